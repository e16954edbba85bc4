"""Hard and soft non-maximum suppression over many groups (video x class) at once.

The groups are never looped over. Hard suppression is a graph: an edge leads from each proposal to every lower-ranked
one of its group that it overlaps too much, and whole layers of undisputed winners are taken at a time. Soft suppression
is sequential by nature, but only within proposals that are connected by overlaps; such clusters are padded to blocks of
similar size, and the k-th pick of all clusters of a block is one operation.

**Order and ties.** Rank is score descending, then position in the input. The official codes break ties by the side
effects of `argsort()[::-1]` or of swapping the arg-max to the front; with equal scores their order is accidental.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.intervals import IntervalIndex, temporal_iou

__all__ = ["SoftNMS", "Suppression", "nms", "soft_nms"]

SoftNMS = Literal["gaussian", "linear"]

_BLOCK = 30_000  # proposals in one block of soft suppression: a round works in the processor's cache


@dataclass(frozen=True, eq=False)
class Suppression:
    """What a suppression did to N proposals.

    Args:
        keep: `(K,)` indices of the proposals that stay: by group, then new score descending, then input order.
        score: `(N,)` new scores (hard suppression: the old ones).
        suppressed_by: `(N,)` hard: the best kept proposal that suppressed this one; soft: the earlier pick that lowered
            this one's score most; -1 where there is none.
    """

    keep: IntArray
    score: FloatArray
    suppressed_by: IntArray

    @property
    def kept(self) -> BoolArray:
        """`(N,)` True for the proposals that stay."""
        mask = np.zeros(self.score.size, dtype=bool)
        mask[self.keep] = True
        return mask


# -- hard ---------------------------------------------------------------------------------------------------------


def nms(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    score: npt.ArrayLike,
    group: npt.ArrayLike | None = None,
    *,
    threshold: float,
    plus_one: bool = False,
    inclusive: bool = False,
    max_per_group: int | None = None,
) -> Suppression:
    """Greedy non-maximum suppression within each group.

    Args:
        start, end: `(N,)` in seconds or positions.
        score: `(N,)`, higher is better.
        group: `(N,)` integers, one for each pair of video and class; default: one group.
        threshold: tIoU above which the lower-ranked proposal goes (ACN 0.4; ACM-Net 0.55, 0.90).
        plus_one: see `temporal_iou` (ACM-Net).
        inclusive: suppress at tIoU equal to the threshold too (ACM-Net keeps tIoU < threshold; ACN keeps <=).
        max_per_group: keep no more than this many in a group, the best ones (ACN 200).

    Raises:
        DataError: columns differ in length, or a number is not finite.
        UsageError: the threshold is not in [0, 1].
    """
    starts, ends, scores, groups = _columns(start, end, score, group)
    if not 0.0 <= threshold <= 1.0 or (inclusive and threshold == 0.0):
        raise UsageError(
            "the tIoU threshold is out of range",
            expected="within [0, 1]",
            got=repr(threshold),
            next_step="Choose a value within the range",
        )
    count = scores.size
    order = _ranking(scores, groups)
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)

    winners, losers = [], []
    for a, b, tiou in IntervalIndex(groups, starts, ends).rivals(plus_one=plus_one):
        over = tiou >= threshold if inclusive else tiou > threshold
        ra, rb = rank[a[over]], rank[b[over]]
        winners.append(np.minimum(ra, rb))
        losers.append(np.maximum(ra, rb))
    winner, loser = np.concatenate([*winners, np.zeros(0, np.int64)]), np.concatenate([*losers, np.zeros(0, np.int64)])

    # All ranks from here on. A proposal without an undecided better rival wins; its rivals go; repeat on what is open.
    suppressed = np.zeros(count, dtype=bool)
    hi, lo = winner, loser
    while hi.size:
        contested = np.zeros(count, dtype=bool)
        contested[lo] = True
        won = ~contested[hi]
        suppressed[lo[won]] = True
        undecided = ~won & ~suppressed[hi] & ~suppressed[lo]
        hi, lo = hi[undecided], lo[undecided]

    best = np.full(count, count, dtype=np.int64)
    decided = ~suppressed[winner]
    np.minimum.at(best, loser[decided], winner[decided])
    suppressed_by = np.full(count, -1, dtype=np.int64)
    suppressed_by[order[suppressed]] = order[best[suppressed]]

    keep = order[~suppressed]
    if max_per_group is not None:
        keep = keep[_place_in_group(groups[keep]) < max_per_group]
    return Suppression(keep, scores, suppressed_by)


# -- soft ---------------------------------------------------------------------------------------------------------


def soft_nms(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    score: npt.ArrayLike,
    group: npt.ArrayLike | None = None,
    *,
    sigma: float = 0.3,
    method: SoftNMS = "gaussian",
    threshold: float = 0.0,
    plus_one: bool = False,
    min_score: float | None = None,
    max_per_group: int | None = None,
) -> Suppression:
    """Soft non-maximum suppression within each group (Bodla et al., 2017): rivals lose score instead of going.

    The best proposal is picked, the scores of all that remain are multiplied by a factor that falls with their tIoU to
    it, and so on. Negative scores are multiplied too, as in HAM-Net's code (they rise towards 0).

    Args:
        start, end, score, group: as for `nms`.
        sigma: Gaussian factor `exp(-tIoU^2 / sigma)` (HAM-Net 0.3), > 0.
        method: "gaussian", or "linear": factor `1 - tIoU` where the tIoU exceeds `threshold`.
        threshold: for "linear" only.
        plus_one: see `temporal_iou` (HAM-Net).
        min_score: drop proposals whose new score is below it; None keeps all (HAM-Net).
        max_per_group: keep no more than this many in a group, the best ones.

    Raises:
        DataError: columns differ in length, or a number is not finite.
        UsageError: sigma, method or threshold is not possible.
    """
    starts, ends, scores, groups = _columns(start, end, score, group)
    if method not in get_args(SoftNMS):
        raise unknown_name("soft suppression", method, get_args(SoftNMS))
    if not sigma > 0:
        raise UsageError(
            "sigma is out of range", expected="> 0", got=repr(sigma), next_step="Choose a positive number, e.g. 0.3"
        )
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(
            "the tIoU threshold is out of range",
            expected="within [0, 1]",
            got=repr(threshold),
            next_step="Choose a value within the range",
        )

    def factor(tiou: FloatArray) -> FloatArray:
        factors = np.exp(tiou * tiou / -sigma) if method == "gaussian" else np.where(tiou > threshold, 1.0 - tiou, 1.0)
        return np.maximum(factors, np.finfo(np.float64).tiny)  # 0 times -inf would be NaN

    new_scores = scores.copy()
    rival = np.full(scores.size, -1, dtype=np.int64)
    for block in _blocks(IntervalIndex(groups, starts, ends).clusters(plus_one=plus_one)):
        _soften(block, starts, ends, new_scores, rival, factor, plus_one)

    keep = _ranking(new_scores, groups)
    if min_score is not None:
        keep = keep[new_scores[keep] >= min_score]
    if max_per_group is not None:
        keep = keep[_place_in_group(groups[keep]) < max_per_group]
    return Suppression(keep, new_scores, rival)


def _soften(
    block: IntArray,
    starts: FloatArray,
    ends: FloatArray,
    scores: FloatArray,
    rival: IntArray,
    factor: Callable[[FloatArray], FloatArray],
    plus_one: bool,
) -> None:
    """Run soft suppression on K clusters in step, one pick of each cluster a round.

    Args:
        block: `(K, n)` indices of the proposals, -1 behind the end of a cluster; clusters of ascending size.
        starts, ends: `(N,)` of all proposals.
        scores, rival: `(N,)` of all proposals; this block's are overwritten with the result.
        factor: what a tIoU multiplies scores with, > 0.
    """
    filled = block >= 0
    start, end = starts[block], ends[block]
    still_open = np.where(filled, scores[block], -np.inf)
    final, lowest, lowered_by = still_open.copy(), np.ones(block.shape), np.full(block.shape, -1, dtype=np.int64)
    size = filled.sum(axis=1)
    for k in range(block.shape[1]):
        done = int(np.searchsorted(size, k, side="right"))  # so many clusters are used up
        left = still_open[done:]  # (clusters at work, n)
        each = np.arange(left.shape[0])
        best = left.argmax(axis=1)  # ties: the first in input order
        final[done + each, best] = left[each, best]
        left[each, best] = -np.inf
        s, e = start[done:], end[done:]
        factors = factor(temporal_iou(s[each, best, None], e[each, best, None], s, e, plus_one=plus_one))
        left *= factors
        stronger = (factors < lowest[done:]) & (left > -np.inf)
        np.copyto(lowest[done:], factors, where=stronger)
        np.copyto(lowered_by[done:], block[done + each, best, None], where=stronger)
    scores[block[filled]] = final[filled]
    rival[block[filled]] = lowered_by[filled]


# -- parts ----------------------------------------------------------------------------------------------------------


def _columns(
    start: npt.ArrayLike, end: npt.ArrayLike, score: npt.ArrayLike, group: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Check and convert the columns of proposals."""
    numbers = {
        name: np.asarray(column, dtype=np.float64)
        for name, column in (("start", start), ("end", end), ("score", score))
    }
    groups = np.zeros(numbers["start"].shape, dtype=np.int64) if group is None else np.asarray(group)
    shapes = {name: column.shape for name, column in {**numbers, "group": groups}.items()}
    if len(set(shapes.values())) != 1 or numbers["start"].ndim != 1:
        raise DataError(
            "columns differ in length",
            expected="(N,) each",
            got=str(shapes),
            where="proposals",
            next_step="Give every column one value a row",
        )
    for name, column in numbers.items():
        if not np.isfinite(column).all():
            raise DataError(
                f"column {name!r} is not finite",
                expected="no NaN and no infinity",
                where="proposals",
                next_step="Drop these proposals",
            )
    return numbers["start"], numbers["end"], numbers["score"], groups.astype(np.int64)


def _ranking(scores: FloatArray, groups: IntArray) -> IntArray:
    """Return `np.lexsort((-scores, groups))`: by group, score descending, input order; several times faster."""
    order = np.argsort(-scores)  # vectorised, but ties come in any order
    sorted_scores = scores[order]
    same = sorted_scores[1:] == sorted_scores[:-1]
    if same.any():
        tied = np.zeros(scores.size, dtype=bool)
        tied[1:] = same
        tied[:-1] |= same
        place = np.flatnonzero(tied)
        block = np.concatenate([[0], np.cumsum(~same)])[place]
        order[place] = np.sort(block * scores.size + order[place]) - block * scores.size
    _, dense = np.unique(groups, return_inverse=True)
    dense = dense.reshape(-1)
    for shift in range(0, max(int(dense.max(initial=0)).bit_length(), 1), 16):  # 16-bit keys are sorted by radix
        digit = (dense[order] >> shift).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
    return order


def _place_in_group(groups: IntArray) -> IntArray:
    """Return how many earlier rows have the same group; equal groups stand together."""
    opens = np.ones(groups.size, dtype=bool)
    opens[1:] = groups[1:] != groups[:-1]
    place = np.arange(groups.size)
    return place - np.maximum.accumulate(np.where(opens, place, 0))


def _blocks(cluster: IntArray) -> Iterator[IntArray]:
    """Yield the clusters of several proposals as padded blocks of clusters of similar, ascending size.

    Proposals of different clusters never change each other's score, so clusters can be treated in step.

    Args:
        cluster: `(N,)` the cluster of each proposal, from 0.

    Yields:
        `(K, n)` indices in input order, n >= 2, -1 behind the end of a cluster.
    """
    members = np.argsort(cluster, kind="stable")  # by cluster, inside it in input order
    size = np.bincount(cluster)
    offset = np.cumsum(size) - size
    by_size = np.argsort(size, kind="stable")
    at = int(np.searchsorted(size[by_size], 1, side="right"))  # a proposal alone keeps its score
    while at < by_size.size:
        small = int(size[by_size[at]])
        wide = small + small // 4  # padding wastes less than the overhead of one more block
        last = int(np.searchsorted(size[by_size], wide, side="right"))
        last = min(last, at + max(1, _BLOCK // wide))
        chosen = by_size[at:last]
        width = int(size[chosen[-1]])
        place = np.arange(width)
        inside = place < size[chosen, None]
        yield np.where(inside, members[np.minimum(offset[chosen, None] + place, cluster.size - 1)], -1)
        at = last
