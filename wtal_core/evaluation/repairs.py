"""What AP would be if detections were repaired: exact, for every detection at once.

AP only needs the precision at the true positives. In a class with K of them the k-th (from 0) at rank n_k has precision
(k + 1) / n_k. Repairing one detection adds the same to the numerators and the denominators of all true positives behind
it. Their new precisions, envelope included, do not depend on which detection it was, so they are computed once. The
true positives in front keep their precisions; no repair lowers one, so of their envelope, which falls, the tail below
the new maximum rises to it, and a binary search finds where that tail begins.

A *position* is an index into the matching's order (by class, then score); a *place* is a position minus or plus one
half: between two detections.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray, stable_argsort
from wtal_core.evaluation.matching import Matching
from wtal_core.records import Detections

__all__ = ["Ranking"]


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
    def _hit_bounds(self) -> IntArray:
        """`(C + 1,)`: class c owns the true positives hit_bounds[c] ... hit_bounds[c + 1] - 1."""
        return self._hits_before[self.bounds]

    @cached_property
    def _hit_rank(self) -> tuple[IntArray, IntArray]:
        """`(K,)` number of each true positive in its class, from 0, and its rank, from 1."""
        position = np.flatnonzero(self.hit)
        label = self.label[position]
        rank = self._before[position + 1] - self._before[self.bounds[label]]
        return np.arange(position.size) - self._hit_bounds[label], rank

    def _envelope(self, hits: int = 0, ranks: int = 0) -> FloatArray:
        """Return the `(K,)` precision at each true positive, or its envelope, with so many hits and ranks more."""
        number, rank = self._hit_rank
        precision = (number + 1 + hits) / np.maximum(rank + ranks, 1)
        if self.interpolated:
            for a, b in zip(self._hit_bounds[:-1].tolist(), self._hit_bounds[1:].tolist(), strict=True):
                precision[a:b] = np.maximum.accumulate(precision[a:b][::-1])[::-1]
        return precision

    @cached_property
    def ap(self) -> FloatArray:
        """`(C,)` AP of each class as it is; NaN without instances."""
        envelope, bounds = self._envelope(), self._hit_bounds
        ap = np.full(self.counts.size, np.nan)
        for c in np.flatnonzero(self.counts):
            ap[c] = envelope[bounds[c] : bounds[c + 1]].sum() / self.counts[c]
        return ap

    def rank(self, position: IntArray) -> IntArray:
        """Return the rank, from 1, among the detections of the class that count."""
        first = self.bounds[self.label[position]]
        ranks: IntArray = self._before[position + 1] - self._before[first]
        return ranks

    def place(self, label: IntArray, score: FloatArray) -> FloatArray:
        """Return where a new detection of a class would stand: behind those of equal score."""
        places = np.empty(label.size)
        for c, these in _by_class(label):
            a, b = self.bounds[c], self.bounds[c + 1]
            places[these] = a + np.searchsorted(-self.score[a:b], -score[these], side="right") - 0.5
        return places

    def median_hit(self, label: IntArray) -> FloatArray:
        """Return the place behind the median true positive of a class; in front of all where it has none."""
        places: FloatArray = self.bounds[:-1].astype(np.float64) - 0.5
        hits = np.flatnonzero(self.hit)
        number = np.diff(self._hit_bounds)
        some = np.flatnonzero(number)
        places[some] = hits[self._hit_bounds[some] + (number[some] - 1) // 2] + 0.5
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
        """Return the gains of repairs.

        Args:
            label, position: `(R,)` where each takes place.
            hits, ranks: what it adds to the numerators and denominators behind it.
            own: whether the repaired detection itself becomes a true positive.
        """
        gain = np.zeros(label.size)
        now, repaired = self._envelope(), self._envelope(hits, ranks)
        for c, these in _by_class(label):
            if not self.counts[c]:
                continue
            first, hit_first, hit_end = self.bounds[c], self._hit_bounds[c], self._hit_bounds[c + 1]
            front, after = now[hit_first:hit_end], repaired[hit_first:hit_end]
            at = position[these]
            behind = self._hits_before[at] - hit_first  # the first true positive that is affected
            total = np.append(np.cumsum((after - front)[::-1])[::-1], 0.0)[behind]
            precision = (behind + 1) / (self._before[at] - self._before[first] + 1) if own else np.zeros(at.size)
            if self.interpolated:
                top = np.maximum(np.append(after, 0.0)[behind], precision)
                higher = np.minimum(np.searchsorted(-front, -top), behind)  # of those in front, they stay as they are
                sums = np.append(0.0, np.cumsum(front))
                total += (behind - higher) * top - (sums[behind] - sums[higher])
                precision = top if own else precision
            gain[these] = (total + precision) / self.counts[c]
        return gain

    # -- many repairs together ------------------------------------------------------------------------------------

    def repaired(self, removed: IntArray, hit: IntArray, label: IntArray, place: FloatArray) -> FloatArray:
        """Return the `(C,)` AP after several repairs together.

        Args:
            removed: positions that are taken away.
            hit: positions that become true positives.
            label, place: new true positives.
        """
        hits = self.hit.copy()
        hits[hit] = True
        labels, counted = self.label, self.counted | hits
        before = np.ceil(place).astype(np.int64)  # the position it is put in front of
        if removed.size:
            keep = np.ones(self.label.size, dtype=np.bool_)
            keep[removed] = False
            labels, hits, counted = labels[keep], hits[keep], counted[keep]
            before = np.append(0, np.cumsum(keep))[before]
        if label.size:
            order = np.lexsort((place, label))
            labels = np.insert(labels, before[order], label[order])
            hits, counted = np.insert(hits, before[order], True), np.insert(counted, before[order], True)
        return Ranking(self.interpolated, self.counts, labels, np.zeros(0), hits, counted).ap


def _by_class(label: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield every class that occurs with the indices where it does, ascending."""
    order = stable_argsort(label)
    first = np.flatnonzero(np.diff(label[order], prepend=-1)).tolist()
    for a, b in itertools.pairwise([*first, label.size]):
        yield int(label[order[a]]), order[a:b]
