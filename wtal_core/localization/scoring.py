"""What a proposal is worth: inside against outside, by prefix sums."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray, expand
from wtal_core.localization.curves import CurveLike, Curves
from wtal_core.localization.proposals import Runs

__all__ = ["Contrast", "outer_inner_contrast", "run_maxima"]


@dataclass(frozen=True, eq=False)
class Contrast:
    """Inner and outer areas of runs and their means.

    Args:
        inner: `(N,)` mean of the curve over the run.
        outer: `(N,)` mean over the samples of both sides, pooled; 0 where there are none.
        left, right: `(N,)` the outer area is the samples `left <= t < first` and `last < t < right`.
    """

    inner: FloatArray
    outer: FloatArray
    left: IntArray
    right: IntArray

    def score(self, bonus: npt.ArrayLike = 0.0) -> FloatArray:
        """Return `inner - outer + bonus` `(N,)`; the bonus is usually gamma times the video score of the class."""
        return np.asarray(self.inner - self.outer + np.asarray(bonus, dtype=np.float64))

    def blend(self, other: Contrast, weight: float) -> Contrast:
        """Return the contrast of the fused curve `(1 - weight) * self + weight * other` on the same runs (ACM-Net)."""
        return replace(
            self,
            inner=(1.0 - weight) * self.inner + weight * other.inner,
            outer=(1.0 - weight) * self.outer + weight * other.outer,
        )


def outer_inner_contrast(
    curves: CurveLike,
    runs: Runs,
    *,
    row: npt.ArrayLike | None = None,
    inflation: float = 0.25,
    min_outer: int = 0,
    clip_left: bool = True,
    above: Runs | None = None,
) -> Contrast:
    """Compare each run `first..last` of n samples with its surroundings.

    The outer area reaches `inflation * n` samples to both sides: from `int(first - inflation * n)` to
    `int(last + inflation * n)`, where `int` cuts toward zero; it ends at the ends of the row. Its samples are pooled
    before the mean, so an area that is cut on one side counts less.

    | method | inflation | min_outer | clip_left |
    |---|---|---|---|
    | CMCS | 0.25 | 1 | False (official slip, see below) |
    | HAM-Net | 0.25 | 0 | True |
    | ACM-Net | 0.2 (THUMOS14), 0.15 (ActivityNet) | 0 | True |

    Args:
        curves: what is averaged; need not be the curves that the runs were found on.
        runs: the runs, in samples of these curves.
        row: `(N,)` row of `curves` for each run; default `runs.row`.
        inflation: length of each side as a fraction of the run.
        min_outer: fewest samples of each side.
        clip_left: False drops the left side when it would begin before sample 0: CMCS's code slices with that negative
            index, which selects nothing. True cuts it at sample 0.
        above: all runs of the rows and thresholds that `runs` were chosen from. Then the curve counts as 0 wherever it
            is not above the run's own threshold (ACM-Net's code scores proposals on the thresholded curve).
    """
    rows = Curves.of(curves)
    index = runs.row if row is None else np.asarray(row, dtype=np.int64)
    stretch = inflation * runs.length
    left = np.minimum(np.trunc(runs.first - stretch).astype(np.int64), runs.first - min_outer)
    right = np.maximum(np.trunc(runs.last + stretch).astype(np.int64), runs.last + min_outer) + 1
    left = np.maximum(left, 0) if clip_left else np.where(left < 0, runs.first, left)
    right = np.minimum(right, rows.lengths[index])
    inner = rows.sums(index, runs.first, runs.last + 1) / runs.length
    samples = runs.first - left + right - runs.last - 1
    sides = (left, runs.first), (runs.last + 1, right)
    if above is None:
        total = sum(rows.sums(index, low, high) for low, high in sides)
    else:
        total = sum(_sums_above(rows, above, index, runs.threshold, low, high) for low, high in sides)
    outer = np.divide(total, samples, out=np.zeros_like(total), where=samples > 0)
    return Contrast(inner, outer, left, right)


def _sums_above(
    rows: Curves, above: Runs, row: IntArray, threshold: IntArray, start: IntArray, stop: IntArray
) -> FloatArray:
    """Return the sums `(N,)` of those samples `start <= t < stop` that runs of the same row and threshold cover.

    An area beside a run holds few other runs: what they share with it is summed run by run.
    """
    span, levels = int(rows.lengths.max(initial=0)) + 1, int(above.threshold.max(initial=0)) + 1
    there = (above.row * levels + above.threshold) * span  # runs are sorted by row, threshold, position
    here = (row * levels + threshold) * span
    begin = np.searchsorted(there + above.last, here + start)  # the first run that has not ended before the area
    count = np.searchsorted(there + above.first, here + stop) - begin
    area, run = expand(np.arange(row.size), begin, count)
    low, high = np.maximum(above.first[run], start[area]), np.minimum(above.last[run] + 1, stop[area])
    shared = rows.sums(row[area], low, high)
    return np.bincount(area, weights=shared, minlength=row.size).astype(np.float64)  # of nothing it counts integers


def run_maxima(curves: CurveLike, runs: Runs, *, row: npt.ArrayLike | None = None) -> FloatArray:
    """Return the largest sample of each run `(N,)` (deep metric learning adds 0.7 times the video score to it)."""
    rows = Curves.of(curves)
    return rows.maxima(runs.row if row is None else np.asarray(row, dtype=np.int64), runs.first, runs.last + 1)
