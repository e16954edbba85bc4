"""From snippet values to denser samples, the way the official codes interpolate."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError, unknown_name
from wtal_core.localization.curves import CurveLike, Curves
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Interpolation", "interpolate", "to_frames", "upsample"]

Interpolation = Literal["linear", "nearest", "quadratic"]


def upsample(curves: CurveLike, factor: int, *, tail: Literal["extrapolate", "stop"] = "extrapolate") -> Curves:
    """Interpolate linearly between neighbouring samples, all rows at once.

    Sample k of the result lies at position `k / factor`; position 0 is sample 0.

    Args:
        curves: rows of T samples each (T may differ).
        factor: new samples for each old one, >= 1.
        tail: "extrapolate" continues the last slope behind the last sample, `factor * T` samples in all (ACM-Net, 20);
            "stop" ends at the last sample, `factor * (T - 1) + 1` in all (CMCS, the frames of a snippet step).

    Returns:
        The dense curves. A row of one sample is continued as a constant.
    """
    rows = Curves.of(curves)
    if factor < 1:
        raise DataError(
            "the up-sampling factor is out of range",
            expected=">= 1",
            got=repr(factor),
            next_step="Choose 1 to leave the curve as it is",
        )
    slope = np.zeros_like(rows.values)
    slope[:-1] = np.diff(rows.values)
    ends = rows.offsets[1:] - 1
    slope[ends] = np.where(rows.lengths > 1, slope[ends - 1], 0.0)  # behind the last sample its predecessor's slope
    dense = slope[:, None] * (np.arange(factor) / factor)[None, :]  # (N, factor)
    dense += rows.values[:, None]
    if tail == "extrapolate":
        return Curves(dense.reshape(-1), rows.offsets * factor)
    if tail != "stop":
        raise unknown_name("tail", tail, ["extrapolate", "stop"])
    keep = np.ones(dense.shape, dtype=bool)
    keep[ends, 1:] = False
    lengths = (rows.lengths - 1) * factor + 1
    return Curves(dense[keep], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def to_frames(
    values: npt.NDArray[Any], grid: SnippetGrid, *, kind: Interpolation = "linear"
) -> tuple[IntArray, FloatArray]:
    """Interpolate snippet values to the frames of the grid's clock, knots at the snippets' starts (CMCS).

    Args:
        values: `(T, ...)` or rows `(R, T)`, T = `grid.num_snippets` on the last axis.
        grid: says at which frames the knots lie. Frames behind the last knot are not produced: the official code never
            detects anything there.
        kind: "linear"; "nearest" (half-way frames take the earlier snippet); "quadratic" (spline of degree 2).

    Returns:
        `(frames (F,), values (R, F))`: consecutive frame numbers from the first knot to the last, and their values.

    Raises:
        DataError: T is not the grid's, or too small for the spline.
    """
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if rows.shape[-1] != grid.num_snippets or grid.num_snippets == 0:
        raise DataError(
            "curves and snippet grid disagree",
            expected=f"{grid.num_snippets} snippets (at least 1)",
            got=str(rows.shape[-1]),
            where="to_frames",
            next_step="Make the grid with this number of snippets: grid.with_snippets()",
        )
    knots = grid.to_frame(np.arange(grid.num_snippets))
    frames = np.arange(math.ceil(knots[0]), math.floor(knots[-1]) + 1, dtype=np.int64)
    if kind == "linear" and grid.offset.is_integer() and grid.stride.is_integer():
        dense = upsample(rows, int(grid.stride), tail="stop")
        return frames, dense.values.reshape(rows.shape[0], -1)
    return frames, interpolate(rows, (frames - grid.offset) / grid.stride, kind=kind)


def interpolate(values: npt.NDArray[Any], positions: npt.ArrayLike, *, kind: Interpolation = "linear") -> FloatArray:
    """Interpolate evenly spaced samples at real-valued positions.

    Args:
        values: `(..., T)` samples at positions 0 .. T - 1.
        positions: `(P,)`; beyond the ends, the end pieces are continued.
        kind: "linear"; "nearest" (halves go down, as `scipy.interpolate.interp1d` does); "quadratic": the spline of
            degree 2 with knots half-way between samples, except next to the ends (also `interp1d`'s).

    Returns:
        `(..., P)` float64.

    Raises:
        DataError: fewer than 3 samples for a quadratic spline.
        UsageError: unknown kind.
    """
    rows = np.asarray(values, dtype=np.float64)
    at = np.asarray(positions, dtype=np.float64)
    count = rows.shape[-1]
    if kind not in get_args(Interpolation):
        raise unknown_name("interpolation", kind, get_args(Interpolation))
    if kind == "quadratic":
        if count < 3:
            raise DataError(
                "a quadratic spline needs 3 snippets",
                expected=">= 3",
                got=str(count),
                next_step="Use linear interpolation for such short videos",
            )
        return _quadratic_spline(rows, at)
    if kind == "nearest" or count == 1:
        return np.asarray(rows[..., np.clip(np.ceil(at - 0.5), 0, count - 1).astype(np.int64)])
    left = np.clip(np.floor(at), 0, count - 2).astype(np.int64)
    return np.asarray(rows[..., left] + (rows[..., left + 1] - rows[..., left]) * (at - left))


def _quadratic_spline(rows: FloatArray, at: FloatArray) -> FloatArray:
    """Interpolating quadratic B-spline of unit-spaced samples `(..., T)`, T >= 3."""
    count = rows.shape[-1]
    inner = np.arange(1, count - 2) + 0.5
    knots = np.concatenate([np.zeros(3), inner, np.full(3, count - 1.0)])  # (T + 3,)

    def basis(x: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the first of the three B-splines that are not 0 at x, and their values `(3, P)` (Cox-de Boor)."""
        j = np.clip(np.searchsorted(knots, x, side="right") - 1, 2, count - 1)  # knots[j] <= x < knots[j + 1]
        near, far = knots[j + 1] - x, x - knots[j]
        b1 = np.stack([near, far]) / (knots[j + 1] - knots[j])
        wide_left, wide_right = knots[j + 1] - knots[j - 1], knots[j + 2] - knots[j]
        left, right = b1[0] / wide_left, b1[1] / wide_right
        return j - 2, np.stack([left * near, left * (x - knots[j - 1]) + right * (knots[j + 2] - x), right * far])

    # Tridiagonal collocation matrix at the samples; solved for all rows at once.
    samples = np.arange(count, dtype=np.float64)
    first, weights = basis(samples)
    bands = np.zeros((3, count))  # below, on, above the diagonal
    for k in range(3):
        column = first + k - np.arange(count) + 1
        inside = (column >= 0) & (column <= 2)
        bands[column[inside], np.flatnonzero(inside)] += weights[k][inside]
    below, diagonal, above = bands
    coefficients = np.moveaxis(rows, -1, 0).copy()  # (T, ...)
    pivot = diagonal.copy()
    for t in range(1, count):
        ratio = below[t] / pivot[t - 1]
        pivot[t] -= ratio * above[t - 1]
        coefficients[t] -= ratio * coefficients[t - 1]
    coefficients[-1] /= pivot[-1]
    for t in range(count - 2, -1, -1):
        coefficients[t] = (coefficients[t] - above[t] * coefficients[t + 1]) / pivot[t]

    start, values = basis(at)
    c = np.moveaxis(coefficients, 0, -1)  # (..., T)
    return np.asarray(sum(c[..., start + k] * values[k] for k in range(3)))
