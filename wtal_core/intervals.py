"""Intervals on the time axis: tIoU, which intervals share time, and the spans of a mask. Columnar, without a loop.

Localization, evaluation, diagnosis and figures all use this one engine. Intervals are half-open, `[start, end)`, in
seconds or snippets; a group is any integer that keeps intervals apart (video, or video and class).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray, expand

__all__ = ["IntervalIndex", "Windows", "spans", "temporal_iou", "union"]

#: Candidate pairs that are held in memory at once.
CHUNK_PAIRS = 500_000


def temporal_iou(
    start_a: npt.ArrayLike,
    end_a: npt.ArrayLike,
    start_b: npt.ArrayLike,
    end_b: npt.ArrayLike,
    denominator: Literal["union", "hull"] = "union",
    *,
    plus_one: bool = False,
) -> FloatArray:
    """Return the tIoU of intervals, element by element with broadcasting, in [0, 1]; 0 where they do not share time.

    Args:
        denominator: "union" = sum of lengths - intersection (ActivityNet toolkit), "hull" = last end - first start
            (THUMOS14 kit). They differ in the last digit only.
        plus_one: add 1 to every length and to the intersection, as for pixels. HAM-Net and ACM-Net do so in *seconds*:
            intervals with a gap below one second then overlap, and short ones suppress each other strongly.
    """
    start_a, end_a, start_b, end_b = (np.asarray(x, dtype=np.float64) for x in (start_a, end_a, start_b, end_b))
    extra = 1.0 if plus_one else 0.0
    shared = np.minimum(end_a, end_b) - np.maximum(start_a, start_b) + extra
    if denominator == "hull":
        whole = np.maximum(end_a, end_b) - np.minimum(start_a, start_b) + extra
    else:
        whole = (end_a - start_a) + (end_b - start_b) + 2.0 * extra - shared
    tiou: FloatArray = np.divide(shared, whole, out=np.zeros(np.shape(shared)), where=shared > 0)
    return tiou


def spans(mask: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Return where each run of True begins, and the index after its last one, `(N,)` each, in order."""
    steps = np.diff(np.asarray(mask, dtype=np.int8), prepend=0, append=0)
    return np.flatnonzero(steps == 1).astype(np.int64), np.flatnonzero(steps == -1).astype(np.int64)


def union(group: IntArray, start: FloatArray, end: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return `(row of the first, start, end)` of the intervals with overlapping ones of a group joined.

    Touching ones stay apart. The result is sorted by group, then by start.
    """
    order = np.lexsort((end, start, group))
    group, start, end = group[order], start[order], end[order]
    if not order.size:
        return order, start, end
    base = np.cumsum(np.diff(group, prepend=group[0]) != 0) * (float(end.max()) + 1.0)  # an axis for every group
    reach = np.maximum.accumulate(base + end)
    first = np.flatnonzero(np.append(True, base[1:] + start[1:] >= reach[:-1]))
    return order[first], start[first], np.maximum.reduceat(end, first)


@dataclass(frozen=True, eq=False, slots=True)
class Windows:
    """Where an `IntervalIndex` has what may share time with queries: a run of its sorted intervals for each.

    Args:
        query: `(W,)` ascending numbers of the queries that have any candidate.
        first, count: `(W,)` the run, count >= 1.
    """

    query: IntArray
    first: IntArray
    count: IntArray

    def part(self, begin: int, end: int) -> Windows:
        """Return some of them."""
        return Windows(self.query[begin:end], self.first[begin:end], self.count[begin:end])

    def parts(self) -> Iterator[Windows]:
        """Yield them in parts of about `CHUNK_PAIRS` candidates."""
        total = np.cumsum(self.count)
        last = int(total[-1]) if total.size else 0
        bounds = [*np.searchsorted(total, np.arange(0, last, CHUNK_PAIRS)).tolist(), total.size]
        for a, b in itertools.pairwise(bounds):
            yield self.part(a, b)

    def moved(self, by: int) -> Windows:
        """Return them for an index to which so many intervals were added at the start."""
        return Windows(self.query, self.first + by, self.count)


@dataclass(frozen=True, slots=True, init=False)
class IntervalIndex:
    """Intervals in groups, prepared for finding those that share time with others, or with each other.

    Inside a group the intervals are sorted by start; with the running maximum of their ends, two binary searches give
    each query a narrow window of candidates, whatever the number of intervals in the group. Queries that come group by
    group are found fastest: the searches stay in the processor's cache.

    Attributes:
        row: `(I,)` place of each sorted interval in the order that was given.
        group, start, end: `(I,)` the sorted intervals.
    """

    row: IntArray
    group: IntArray
    start: FloatArray
    end: FloatArray
    _groups: IntArray
    _bounds: IntArray
    _origin: float
    _span: float
    _slack: float
    _start_key: FloatArray
    _end_key: FloatArray

    def __init__(self, group: IntArray, start: FloatArray, end: FloatArray) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        row = np.lexsort((start, group)).astype(np.int64)
        keep("row", row)
        keep("group", group[row])
        keep("start", start[row])
        keep("end", end[row])
        groups, dense = np.unique(self.group, return_inverse=True)
        # One axis for all groups: group g owns [g * span, (g + 1) * span), which its times do not fill.
        origin = float(start.min(initial=0.0))
        span = float(end.max(initial=0.0)) - origin + 1.0
        keep("_groups", groups)
        keep("_bounds", np.searchsorted(dense, np.arange(len(groups) + 1)))
        keep("_origin", origin)
        keep("_span", span)
        # The window may be too wide by rounding, never too narrow: candidates are checked with their own times below.
        keep("_slack", span * (len(groups) + 1) * 2.0**-48)
        keep("_start_key", dense * span + (self.start - origin))
        keep("_end_key", np.maximum.accumulate(dense * span + (self.end - origin)) if row.size else np.zeros(0))

    def windows(self, group: IntArray, start: FloatArray, end: FloatArray) -> Windows:
        """Return where the intervals lie that may share time with queries; some of these do not.

        Args:
            group, start, end: `(Q,)` the queries.
        """
        if not self._groups.size or not group.size:
            none = np.zeros(0, dtype=np.int64)
            return Windows(none, none, none)
        dense = np.searchsorted(self._groups, group)
        known = np.flatnonzero(self._groups[np.minimum(dense, self._groups.size - 1)] == group)
        dense = dense[known]
        base, limit = dense * self._span, self._span - 1.0
        low = (start[known] - self._origin).clip(0.0, limit) + (base - self._slack)
        high = (end[known] - self._origin).clip(0.0, limit) + (base + self._slack)
        first = np.maximum(np.searchsorted(self._end_key, low), self._bounds[dense])
        count = np.minimum(np.searchsorted(self._start_key, high, side="right"), self._bounds[dense + 1]) - first
        busy = np.flatnonzero(count > 0)
        return Windows(known[busy], first[busy], count[busy])

    def sharing(self, windows: Windows, start: FloatArray, end: FloatArray) -> tuple[IntArray, IntArray]:
        """Return `(query, place among the sorted intervals)` of all pairs in windows that share time.

        Args:
            windows: of the queries.
            start, end: `(Q,)` the queries.
        """
        query, place = expand(windows.query, windows.first, windows.count)
        hit = np.flatnonzero(np.minimum(end[query], self.end[place]) > np.maximum(start[query], self.start[place]))
        return query[hit], place[hit]

    def pairs(self, group: IntArray, start: FloatArray, end: FloatArray) -> tuple[IntArray, IntArray]:
        """Return `(query rows, interval rows)` of all pairs of one group that share time, ascending in the query.

        Args:
            group, start, end: `(Q,)` the queries. Intervals that merely touch, or have no length, share no time.

        Returns:
            Two arrays `(P,)`; interval rows count in the order the index was given.
        """
        parts = [self.sharing(part, start, end) for part in self.windows(group, start, end).parts()]
        none = np.zeros(0, dtype=np.int64)
        return np.concatenate([none, *(q for q, _ in parts)]), self.row[np.concatenate([none, *(p for _, p in parts)])]

    def touched(self, group: IntArray, start: FloatArray, end: FloatArray) -> BoolArray:
        """Return `(Q,)`: whether a query shares time with any interval of its group."""
        found = np.zeros(group.size, dtype=np.bool_)
        for part in self.windows(group, start, end).parts():
            found[self.sharing(part, start, end)[0]] = True
        return found

    def best(self, group: IntArray, start: FloatArray, end: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return each query's largest tIoU `(Q,)` with an interval of its group, and that interval's row `(Q,)`.

        0 and -1 where none shares time with it; of equal ones the first row.
        """
        query, row = self.pairs(group, start, end)
        own_start, own_end = np.empty(self.start.size), np.empty(self.end.size)
        own_start[self.row], own_end[self.row] = self.start, self.end
        tiou = temporal_iou(start[query], end[query], own_start[row], own_end[row])
        order = np.lexsort((row, -tiou, query))
        query, row, tiou = query[order], row[order], tiou[order]
        lead = np.flatnonzero(np.diff(query, prepend=-1))
        largest, which = np.zeros(group.size), np.full(group.size, -1, dtype=np.int64)
        largest[query[lead]], which[query[lead]] = tiou[lead], row[lead]
        return largest, which

    # -- among themselves -------------------------------------------------------------------------------------------

    def rivals(self, *, plus_one: bool = False) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Yield `(rows, rows, tIoU)` of the pairs of one group that overlap, each pair once, a batch at a time.

        Args:
            plus_one: see `temporal_iou`; pairs with a gap below 1 overlap then.
        """
        dense = np.searchsorted(self._groups, self.group)
        group_end = np.searchsorted(self.group, self._groups, side="right")
        reach = dense * self._span + (self.end - self._origin) + (float(plus_one) + self._slack)
        following = np.arange(self.start.size) + 1
        stop = np.minimum(np.searchsorted(self._start_key, reach), group_end[dense])
        count = np.maximum(stop - following, 0)
        busy = np.flatnonzero(count)
        batch = np.cumsum(count[busy]) // CHUNK_PAIRS
        for rows in np.split(busy, np.flatnonzero(np.diff(batch)) + 1) if busy.size else ():
            a, b = expand(rows, following[rows], count[rows])
            tiou = temporal_iou(self.start[a], self.end[a], self.start[b], self.end[b], plus_one=plus_one)
            yield self.row[a], self.row[b], tiou

    def clusters(self, *, plus_one: bool = False) -> IntArray:
        """Return `(N,)` the cluster of each interval: those of one group that overlap, directly or by way of others.

        Clusters are numbered by group, then by time. Intervals that merely touch may share one.
        """
        opens = np.ones(self.start.size, dtype=np.bool_)
        opens[1:] = self._start_key[1:] > self._end_key[:-1] + (float(plus_one) + self._slack)
        opens[1:] |= self.group[1:] != self.group[:-1]
        cluster = np.empty(self.start.size, dtype=np.int64)
        cluster[self.row] = np.cumsum(opens) - 1
        return cluster
