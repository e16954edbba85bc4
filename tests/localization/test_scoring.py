"""Outer-inner contrast against the slices of the official codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.localization import Curves, outer_inner_contrast, run_maxima, runs_above

VALUES = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40)
ROWS = st.lists(VALUES, min_size=1, max_size=4)


def cmcs(curve: list[float], first: int, last: int, clip_left: bool) -> tuple[float, float]:
    """CMCS slices `[min(int(s - l/4), s - 1), s)` and `[e, max(int(e + l/4), e + 1))`, e exclusive."""
    s, e = first, last + 1
    length = e - s
    left = min(int(s - 0.25 * length), s - 1)
    before = curve[max(left, 0) : s] if clip_left else curve[left:s]  # a negative start selects nothing in CMCS
    outer = [*before, *curve[e : max(int(e + 0.25 * length), e + 1)]]
    return float(np.mean(curve[s:e])), float(np.mean(outer)) if outer else 0.0


def inclusive(curve: list[float], first: int, last: int, inflation: float) -> tuple[float, float]:
    """HAM-Net and ACM-Net: from `max(0, int(i0 - n f))` to `min(T - 1, int(i1 + n f))`, both inclusive."""
    n = last - first + 1
    begin, end = max(0, int(first - inflation * n)), min(len(curve) - 1, int(last + inflation * n))
    outer = [curve[t] for t in range(begin, end + 1) if t < first or t > last]
    return float(np.mean(curve[first : last + 1])), float(np.mean(outer)) if outer else 0.0


@given(rows=ROWS, clip_left=st.booleans())
def test_cmcs_rule(rows: list[list[float]], clip_left: bool) -> None:
    runs = runs_above(rows, [-0.5, 0.0, 0.3])
    got = outer_inner_contrast(rows, runs, inflation=0.25, min_outer=1, clip_left=clip_left)
    want = [
        cmcs(rows[r], a, b, clip_left)
        for r, a, b in zip(runs.row.tolist(), runs.first.tolist(), runs.last.tolist(), strict=True)
    ]
    np.testing.assert_allclose(np.column_stack([got.inner, got.outer]), np.reshape(want, (-1, 2)), atol=1e-9)


@given(rows=ROWS, inflation=st.sampled_from([0.15, 0.2, 0.25, 1.0]))
def test_hamnet_and_acmnet_rule(rows: list[list[float]], inflation: float) -> None:
    runs = runs_above(rows, [-0.5, 0.0, 0.3])
    got = outer_inner_contrast(rows, runs, inflation=inflation)
    want = [
        inclusive(rows[r], a, b, inflation)
        for r, a, b in zip(runs.row.tolist(), runs.first.tolist(), runs.last.tolist(), strict=True)
    ]
    np.testing.assert_allclose(np.column_stack([got.inner, got.outer]), np.reshape(want, (-1, 2)), atol=1e-9)
    np.testing.assert_allclose(
        run_maxima(rows, runs),
        [max(rows[r][a : b + 1]) for r, a, b in zip(runs.row, runs.first, runs.last, strict=True)],
    )


@given(rows=ROWS, inflation=st.sampled_from([0.2, 1.0, 3.0]))
def test_what_is_not_above_the_threshold_counts_as_0(rows: list[list[float]], inflation: float) -> None:
    limits = [0.3, -0.5, 0.0]
    every = runs_above(rows, limits, strict=False)
    runs = every.select(every.length >= 2)
    got = outer_inner_contrast(rows, runs, inflation=inflation, above=every)
    want = [
        inclusive([v if v >= limits[h] else 0.0 for v in rows[r]], a, b, inflation)
        for r, h, a, b in zip(*(c.tolist() for c in (runs.row, runs.threshold, runs.first, runs.last)), strict=True)
    ]
    np.testing.assert_allclose(np.column_stack([got.inner, got.outer]), np.reshape(want, (-1, 2)), atol=1e-9)


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=2, max_size=30),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_blend_is_the_contrast_of_the_fused_curve(pairs: list[tuple[float, float]], weight: float) -> None:
    cas, attention = np.array(pairs).T
    runs = runs_above(cas, [0.2, 0.6])
    fused = outer_inner_contrast((1 - weight) * cas + weight * attention, runs)
    got = outer_inner_contrast(cas, runs).blend(outer_inner_contrast(attention, runs), weight)
    np.testing.assert_allclose(got.score(), fused.score(), atol=1e-9)


def test_worked_example_and_other_rows() -> None:
    curve = [0.0, 0.2, 1.0, 1.0, 1.0, 1.0, 0.4, 0.0]
    runs = runs_above(curve, 0.5)
    got = outer_inner_contrast(curve, runs, inflation=0.25)
    assert (got.left.tolist(), got.right.tolist()) == ([1], [7])
    assert got.score(0.05)[0] == pytest.approx(1.0 - 0.3 + 0.05)
    # The run is scored on another curve than it was found on.
    two = Curves.of([curve, np.arange(8.0)])
    assert outer_inner_contrast(two, runs, row=[1]).inner.tolist() == [3.5]


def test_a_run_over_everything_has_no_outer_area() -> None:
    runs = runs_above(np.ones(5), 0.5)
    assert outer_inner_contrast(np.ones(5), runs, min_outer=1, clip_left=False).score().tolist() == [1.0]
