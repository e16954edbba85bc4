"""Overlaps between two sets of grouped intervals: sparse, columnar, without a loop over either."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray

__all__ = ["IntervalIndex", "temporal_iou"]


#: Candidate pairs that are held in memory at once.
CHUNK_PAIRS = 2_000_000


def temporal_iou(
    start_a: npt.ArrayLike,
    end_a: npt.ArrayLike,
    start_b: npt.ArrayLike,
    end_b: npt.ArrayLike,
    denominator: Literal["union", "hull"] = "union",
) -> FloatArray:
    """Return the tIoU of intervals, element by element with broadcasting; 0 where they do not share time.

    Args:
        denominator: "union" = sum of lengths - intersection (ActivityNet toolkit), "hull" = last end - first start
            (THUMOS14 kit). They differ in the last digit only.
    """
    start_a, end_a, start_b, end_b = (np.asarray(x, dtype=np.float64) for x in (start_a, end_a, start_b, end_b))
    shared = np.minimum(end_a, end_b) - np.maximum(start_a, start_b)
    if denominator == "hull":
        whole = np.maximum(end_a, end_b) - np.minimum(start_a, start_b)
    else:
        whole = (end_a - start_a) + (end_b - start_b) - shared
    tiou: FloatArray = np.divide(shared, whole, out=np.zeros(np.shape(shared)), where=shared > 0)
    return tiou


@dataclass(frozen=True, slots=True, init=False)
class IntervalIndex:
    """Intervals in groups (video, or video and class), prepared for finding those that share time with others.

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

    def touched(self, group: IntArray, start: FloatArray, end: FloatArray) -> npt.NDArray[np.bool_]:
        """Return `(Q,)`: whether a query shares time with any interval of its group."""
        found = np.zeros(group.size, dtype=np.bool_)
        found[self.pairs(group, start, end)[0]] = True
        return found
