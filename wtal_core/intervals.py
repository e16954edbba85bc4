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

__all__ = ["IntervalIndex", "spans", "temporal_iou"]


#: Candidate pairs that are held in memory at once.
CHUNK_PAIRS = 2_000_000


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


@dataclass(frozen=True, slots=True, init=False)
class IntervalIndex:
    """Intervals in groups, prepared for finding those that share time with others, or with each other.

    Inside a group the intervals are sorted by start; with the running maximum of their ends, two binary searches give
    each query a narrow window of candidates, whatever the number of intervals in the group.
    """

    group: IntArray
    start: FloatArray
    end: FloatArray
    _row: IntArray
    _groups: IntArray
    _origin: float
    _span: float
    _slack: float
    _start_key: FloatArray
    _end_key: FloatArray

    def __init__(self, group: IntArray, start: FloatArray, end: FloatArray) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        row = np.lexsort((start, group)).astype(np.int64)
        keep("_row", row)
        keep("group", group[row])
        keep("start", start[row])
        keep("end", end[row])
        groups, dense = np.unique(self.group, return_inverse=True)
        # One axis for all groups: group g owns [g * span, (g + 1) * span), which its times do not fill.
        origin = float(start.min(initial=0.0))
        span = float(end.max(initial=0.0)) - origin + 1.0
        keep("_groups", groups)
        keep("_origin", origin)
        keep("_span", span)
        # The window may be too wide by rounding, never too narrow: candidates are checked with their own times below.
        keep("_slack", span * (len(groups) + 1) * 2.0**-48)
        keep("_start_key", dense * span + (self.start - origin))
        keep("_end_key", np.maximum.accumulate(dense * span + (self.end - origin)) if row.size else np.zeros(0))

    def pairs(self, group: IntArray, start: FloatArray, end: FloatArray) -> tuple[IntArray, IntArray]:
        """Return `(query rows, interval rows)` of all pairs of one group that share time, ascending in the query.

        Args:
            group, start, end: `(Q,)` the queries. Intervals that merely touch, or have no length, share no time.

        Returns:
            Two arrays `(P,)`; interval rows count in the order the index was given.
        """
        empty = np.zeros(0, dtype=np.int64)
        if not self._groups.size or not group.size:
            return empty, empty
        dense = np.searchsorted(self._groups, group)
        known = np.flatnonzero(self._groups[np.minimum(dense, self._groups.size - 1)] == group)
        base, limit = dense[known] * self._span, self._span - 1.0
        low = np.clip(start[known] - self._origin, 0.0, limit) + (base - self._slack)
        high = np.clip(end[known] - self._origin, 0.0, limit) + (base + self._slack)
        first = np.searchsorted(self._end_key, low)
        count = np.maximum(np.searchsorted(self._start_key, high, side="right") - first, 0)
        busy = np.flatnonzero(count)
        known, first, count = known[busy], first[busy], count[busy]
        if not busy.size:
            return empty, empty
        parts = []
        total = np.cumsum(count)
        bounds = [*np.searchsorted(total, np.arange(0, total[-1], CHUNK_PAIRS)).tolist(), busy.size]
        for a, b in itertools.pairwise(bounds):
            n = count[a:b]
            query = np.repeat(known[a:b], n)
            within = np.arange(query.size) - np.repeat(np.cumsum(n) - n, n)
            item = np.repeat(first[a:b], n) + within
            shared = np.minimum(end[query], self.end[item]) - np.maximum(start[query], self.start[item])
            hit = np.flatnonzero((shared > 0) & (group[query] == self.group[item]))
            parts.append((query[hit], self._row[item[hit]]))
        return np.concatenate([q for q, _ in parts]), np.concatenate([i for _, i in parts])

    def touched(self, group: IntArray, start: FloatArray, end: FloatArray) -> BoolArray:
        """Return `(Q,)`: whether a query shares time with any interval of its group."""
        found = np.zeros(group.size, dtype=np.bool_)
        found[self.pairs(group, start, end)[0]] = True
        return found

    def best(self, group: IntArray, start: FloatArray, end: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return each query's largest tIoU `(Q,)` with an interval of its group, and that interval's row `(Q,)`.

        0 and -1 where none shares time with it; of equal ones the first row.
        """
        query, row = self.pairs(group, start, end)
        own_start, own_end = np.empty(self.start.size), np.empty(self.end.size)
        own_start[self._row], own_end[self._row] = self.start, self.end
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
            yield self._row[a], self._row[b], tiou

    def clusters(self, *, plus_one: bool = False) -> IntArray:
        """Return `(N,)` the cluster of each interval: those of one group that overlap, directly or by way of others.

        Clusters are numbered by group, then by time. Intervals that merely touch may share one.
        """
        opens = np.ones(self.start.size, dtype=np.bool_)
        opens[1:] = self._start_key[1:] > self._end_key[:-1] + (float(plus_one) + self._slack)
        opens[1:] |= self.group[1:] != self.group[:-1]
        cluster = np.empty(self.start.size, dtype=np.int64)
        cluster[self._row] = np.cumsum(opens) - 1
        return cluster
