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
from wtal_core.localization.curves import expand

__all__ = [
    "SoftNMS",
    "Suppression",
    "best_overlap",
    "nms",
    "overlaps",
    "pairwise_tiou",
    "remove_overlapping",
    "soft_nms",
]

SoftNMS = Literal["gaussian", "linear"]

_PAIRS_AT_ONCE = 2_000_000  # bounds the working memory of hard suppression (some 16 MB an array)
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


# -- temporal intersection over union ----------------------------------------------------------------------------


def pairwise_tiou(
    start: FloatArray, end: FloatArray, other_start: FloatArray, other_end: FloatArray, *, plus_one: bool = False
) -> FloatArray:
    """Return the tIoU of intervals that broadcast together, in [0, 1]; two empty intervals have 0.

    Args:
        plus_one: add 1 to every length and to the intersection, as for pixels. HAM-Net and ACM-Net do so in *seconds*:
            intervals with a gap below one second then overlap, and short ones suppress each other strongly.
    """
    extra = 1.0 if plus_one else 0.0
    shared = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start) + extra, 0.0)
    union = (end - start) + (other_end - other_start) + 2.0 * extra - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


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
        plus_one: see `pairwise_tiou` (ACM-Net).
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
    for a, b in _overlapping_pairs(starts, ends, groups, 1.0 if plus_one else 0.0):
        tiou = pairwise_tiou(starts[a], ends[a], starts[b], ends[b], plus_one=plus_one)
        rivals = tiou >= threshold if inclusive else tiou > threshold
        ra, rb = rank[a[rivals]], rank[b[rivals]]
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
        plus_one: see `pairwise_tiou` (HAM-Net).
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
    for block in _clusters(starts, ends, groups, 1.0 if plus_one else 0.0):
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
        factors = factor(pairwise_tiou(s[each, best, None], e[each, best, None], s, e, plus_one=plus_one))
        left *= factors
        stronger = (factors < lowest[done:]) & (left > -np.inf)
        np.copyto(lowest[done:], factors, where=stronger)
        np.copyto(lowered_by[done:], block[done + each, best, None], where=stronger)
    scores[block[filled]] = final[filled]
    rival[block[filled]] = lowered_by[filled]


# -- further overlap operations ------------------------------------------------------------------------------------


def remove_overlapping(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    group: npt.ArrayLike,
    *,
    other_start: npt.ArrayLike,
    other_end: npt.ArrayLike,
    other_group: npt.ArrayLike,
) -> IntArray:
    """Return the indices of the intervals that share nothing with any other interval of their group, in input order.

    Deep metric learning removes detections that share a snippet with an "Ambiguous" interval of their video this way:
    pass integer snippet ranges (`SnippetGrid.nearest_boundary` rounds seconds to them) and videos as groups.

    Args:
        start, end, group: `(N,)` half-open intervals `[start, end)`.
        other_start, other_end, other_group: `(M,)` same unit; empty intervals remove nothing.
    """
    hit = overlaps(
        start, end, group, other_start=other_start, other_end=other_end, other_group=other_group, min_tiou=0.0
    )
    return np.flatnonzero(~hit)


def overlaps(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    group: npt.ArrayLike,
    *,
    other_start: npt.ArrayLike,
    other_end: npt.ArrayLike,
    other_group: npt.ArrayLike,
    min_tiou: float = 0.0,
) -> BoolArray:
    """Return `(N,)`: whether some other interval of the same group shares more than `min_tiou` with each interval."""
    tiou, _ = best_overlap(start, end, group, other_start=other_start, other_end=other_end, other_group=other_group)
    return np.asarray(tiou > min_tiou)


def best_overlap(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    group: npt.ArrayLike,
    *,
    other_start: npt.ArrayLike,
    other_end: npt.ArrayLike,
    other_group: npt.ArrayLike,
) -> tuple[FloatArray, IntArray]:
    """Return `(largest tIoU (N,), index of that other interval (N,))` within the same group; 0 and -1 without any."""
    s, e, _, g = _columns(start, end, np.zeros(np.size(start)), group)
    os, oe, _, og = _columns(other_start, other_end, np.zeros(np.size(other_start)), other_group)
    by_group = np.argsort(og, kind="stable")
    begin = np.searchsorted(og[by_group], g, side="left")
    count = np.searchsorted(og[by_group], g, side="right") - begin
    best, which = np.zeros(s.size), np.full(s.size, -1, dtype=np.int64)
    for rows in _batches(count):
        a, b = expand(rows, begin[rows], count[rows])
        b = by_group[b]
        tiou = pairwise_tiou(s[a], e[a], os[b], oe[b])
        order = np.lexsort((b, -tiou, a))  # the best other interval of each comes first
        a, b, tiou = a[order], b[order], tiou[order]
        lead = np.ones(a.size, dtype=bool)
        lead[1:] = a[1:] != a[:-1]
        lead &= tiou > 0
        best[a[lead]], which[a[lead]] = tiou[lead], b[lead]
    return best, which


# -- pairs and clusters -------------------------------------------------------------------------------------------


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


def _timeline(starts: FloatArray, ends: FloatArray, groups: IntArray, margin: float) -> tuple[IntArray, FloatArray]:
    """Lay all groups one after the other on one axis, with gaps, so that one sort serves all.

    Returns:
        `(order (N,) by start, shift (N,))`; `starts + shift` and `ends + shift` of different groups never overlap.
    """
    _, dense = np.unique(groups, return_inverse=True)
    low = starts.min()
    span = max(float(ends.max()), float(starts.max())) - low + 2.0 * margin + 1.0
    shift = dense.reshape(-1) * span - low
    return np.argsort(starts + shift, kind="stable"), shift


def _slack(length: float) -> float:
    """Rounding room on the common axis: pairs that touch within it are looked at, and found not to overlap."""
    return 1e-12 * max(1.0, length)


def _overlapping_pairs(
    starts: FloatArray, ends: FloatArray, groups: IntArray, margin: float
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield index pairs (each unordered pair once) of one group whose gap is below `margin`, in batches."""
    if starts.size < 2:
        return
    order, shift = _timeline(starts, ends, groups, margin)
    begin = (starts + shift)[order]
    reach = (ends + shift)[order] + margin
    stop = np.searchsorted(begin, reach + _slack(float(begin[-1])), side="left")
    following = np.arange(starts.size) + 1
    count = np.maximum(stop - following, 0)
    for rows in _batches(count):
        a, b = expand(rows, following[rows], count[rows])
        yield order[a], order[b]


def _batches(count: IntArray) -> Iterator[IntArray]:
    """Split rows that stand for `count` pairs each into batches of bounded total."""
    if count.sum() == 0:
        return
    batch = np.cumsum(count) // _PAIRS_AT_ONCE
    for rows in np.split(np.arange(count.size), np.flatnonzero(np.diff(batch)) + 1):
        yield rows[count[rows] > 0]


def _clusters(starts: FloatArray, ends: FloatArray, groups: IntArray, margin: float) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the proposals that are connected by overlaps, as padded blocks of clusters of similar, ascending size.

    Proposals of different clusters never change each other's score, so clusters can be treated in step.

    Yields:
        `(K, n)` indices in input order, n >= 2, -1 behind the end of a cluster.
    """
    if starts.size == 0:
        return
    order, shift = _timeline(starts, ends, groups, margin)
    begin = (starts + shift)[order]
    reach = np.maximum.accumulate((ends + shift)[order] + margin)
    opens = np.ones(starts.size, dtype=bool)
    opens[1:] = begin[1:] > reach[:-1] + _slack(float(begin[-1]))
    cluster = np.empty(starts.size, dtype=np.int64)
    cluster[order] = np.cumsum(opens) - 1
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
        yield np.where(inside, members[np.minimum(offset[chosen, None] + place, starts.size - 1)], -1)
        at = last
