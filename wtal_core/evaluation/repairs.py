"""What AP would be if detections were repaired: exact, for every detection at once.

AP only needs the precision at the true positives. In a class with K of them the k-th (from 0) at rank n_k has precision
(k + 1) / n_k. Repairing one detection adds the same to the numerators and the denominators of all true positives behind
it, so all repairs of a class are the rows of one `(R, K)` table.

A *position* is an index into the matching's order (by class, then score); a *place* is a position minus or plus one
half: between two detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.evaluation.matching import Matching
from wtal_core.records import Detections

__all__ = ["Ranking"]


#: Numbers in the largest table that is held at once: what a core's cache holds.
CHUNK_NUMBERS = 250_000


@dataclass(frozen=True, eq=False)
class Ranking:
    """The detections of every class in ranked order at one threshold, and the APs that repairs would give.

    Args:
        interpolated: whether AP is the area under the precision envelope.
        counts: `(C,)` instances per class.
        label: `(N,)` non-decreasing class of each position.
        score: `(N,)` descending inside a class.
        hit: `(N,)` whether it is a true positive.
        counted: `(N,)` whether it counts at all (true and false positives).
    """

    interpolated: bool
    counts: IntArray
    label: IntArray
    score: FloatArray
    hit: BoolArray
    counted: BoolArray

    @classmethod
    def of(cls, matching: Matching, detections: Detections, level: int = 0) -> Ranking:
        """Return the ranking of a matching at its threshold number `level`."""
        hit = np.zeros(matching.row.size, dtype=np.bool_)
        hit[matching.hit_position[matching.hit_tiou == level]] = True
        return cls(
            interpolated=matching.protocol.interpolated,
            counts=matching.ground_truth.counts,
            label=matching.label,
            score=detections.score[matching.row],
            hit=hit,
            counted=hit | ~matching.ambiguous,
        )

    @cached_property
    def bounds(self) -> IntArray:
        """`(C + 1,)`: class c owns positions bounds[c] ... bounds[c + 1] - 1."""
        return np.searchsorted(self.label, np.arange(self.counts.size + 1)).astype(np.int64)

    @cached_property
    def _before(self) -> IntArray:
        """`(N + 1,)` detections that count before each position, all classes in one row."""
        return np.concatenate([[0], np.cumsum(self.counted)]).astype(np.int64)

    @cached_property
    def _hits_before(self) -> IntArray:
        return np.concatenate([[0], np.cumsum(self.hit)]).astype(np.int64)

    @cached_property
    def ap(self) -> FloatArray:
        """`(C,)` AP of each class as it is; NaN without instances."""
        return self._average_precision(self.label, self.hit, self.counted)

    def rank(self, position: IntArray) -> IntArray:
        """Return the rank, from 1, among the detections of the class that count."""
        first = self.bounds[self.label[position]]
        ranks: IntArray = self._before[position + 1] - self._before[first]
        return ranks

    def place(self, label: IntArray, score: FloatArray) -> FloatArray:
        """Return where a new detection of a class would stand: behind those of equal score."""
        places = np.empty(label.size)
        for c in np.unique(label):
            a, b = self.bounds[c], self.bounds[c + 1]
            these = label == c
            places[these] = a + np.searchsorted(-self.score[a:b], -score[these], side="right") - 0.5
        return places

    def median_hit(self, label: IntArray) -> FloatArray:
        """Return the place behind the median true positive of a class; in front of all where it has none."""
        places: FloatArray = self.bounds[:-1].astype(np.float64) - 0.5
        hits = np.flatnonzero(self.hit)
        number = np.diff(self._hits_before[self.bounds])
        some = np.flatnonzero(number)
        places[some] = hits[self._hits_before[self.bounds[some]] + (number[some] - 1) // 2] + 0.5
        wanted: FloatArray = places[label]
        return wanted

    # -- one repair at a time -------------------------------------------------------------------------------------

    def gain_removed(self, position: IntArray) -> FloatArray:
        """Return what the AP of its class gains without each false positive."""
        return self._gain(self.label[position], position, hits=0, ranks=-1, own=False)

    def gain_hit(self, position: IntArray) -> FloatArray:
        """Return what the AP of its class gains if each false positive were a true positive."""
        return self._gain(self.label[position], position, hits=1, ranks=0, own=True)

    def gain_inserted(self, label: IntArray, place: FloatArray) -> FloatArray:
        """Return what the AP of a class gains by a new true positive at a place."""
        return self._gain(label, np.ceil(place).astype(np.int64), hits=1, ranks=1, own=True)

    def _gain(self, label: IntArray, position: IntArray, *, hits: int, ranks: int, own: bool) -> FloatArray:
        gain = np.zeros(label.size)
        for c in np.unique(label):
            if not self.counts[c]:
                continue
            these = np.flatnonzero(label == c)
            first, last = self.bounds[c], self.bounds[c + 1]
            n = self._before[first + 1 + np.flatnonzero(self.hit[first:last])] - self._before[first]  # (K,)
            at = position[these]
            behind = self._hits_before[at] - self._hits_before[first]  # (R,) the first hit that is affected
            if own:  # a converted detection counts already, an inserted one does not
                before = self._before[at] - self._before[first]
                key = behind * (last - first + 2) + before
            else:
                before, key = behind, behind
            _, one, same = np.unique(key, return_index=True, return_inverse=True)
            value = (behind[one] + 1) / (before[one] + 1) if own else None
            sums = self._sums(n, behind[one], value, hits, ranks)
            gain[these] = (sums[same] - self.ap[c] * self.counts[c]) / self.counts[c]
        return gain

    def _sums(self, n: IntArray, behind: IntArray, own: FloatArray | None, hits: int, ranks: int) -> FloatArray:
        """Return the sum of the precisions at the true positives after each of R repairs.

        Args:
            n: `(K,)` ranks of the true positives.
            behind: `(R,)` number of the first one behind the repair.
            own: `(R,)` precision at the repaired detection itself, where it becomes a true positive.
            hits, ranks: what the repair adds to the numerators and denominators behind it.
        """
        k, total = np.arange(n.size), np.empty(behind.size)
        step = max(1, CHUNK_NUMBERS // max(n.size, 1))
        for a in range(0, behind.size, step):
            part = slice(a, a + step)
            after = k >= behind[part, None]  # (r, K)
            precision = (k + 1 + hits * after) / (n + ranks * after)
            if self.interpolated and n.size:
                precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            if own is None:
                total[part] = precision.sum(axis=1)
                continue
            mine = own[part]
            if self.interpolated and n.size:
                # The envelope at the repaired one is that of what follows; what precedes it is at least as high.
                following = np.where(after, precision, 0.0).max(axis=1)
                mine = np.maximum(mine, following)
                precision = np.where(after, precision, np.maximum(precision, mine[:, None]))
            total[part] = precision.sum(axis=1) + mine
        return total

    # -- many repairs together ------------------------------------------------------------------------------------

    def repaired(self, removed: IntArray, hit: IntArray, label: IntArray, place: FloatArray) -> FloatArray:
        """Return the `(C,)` AP after several repairs together.

        Args:
            removed: positions that are taken away.
            hit: positions that become true positives.
            label, place: new true positives.
        """
        keep = np.ones(self.label.size, dtype=np.bool_)
        keep[removed] = False
        hits = self.hit.copy()
        hits[hit] = True
        kept = np.flatnonzero(keep)
        where = np.concatenate([kept.astype(np.float64), place])
        labels = np.concatenate([self.label[kept], label])
        fresh = np.ones(label.size, dtype=np.bool_)
        order = np.lexsort((where, labels))
        return self._average_precision(
            labels[order],
            np.concatenate([hits[kept], fresh])[order],
            np.concatenate([(self.counted | hits)[kept], fresh])[order],
        )

    def _average_precision(self, label: IntArray, hit: BoolArray, counted: BoolArray) -> FloatArray:
        bounds = np.searchsorted(label, np.arange(self.counts.size + 1))
        ap = np.full(self.counts.size, np.nan)
        for c in np.flatnonzero(self.counts):
            own = slice(bounds[c], bounds[c + 1])
            n = np.cumsum(counted[own]).astype(np.int64)[hit[own]]
            ap[c] = self._sums(n, np.array([n.size]), None, 0, 0)[0] / self.counts[c]
        return ap
