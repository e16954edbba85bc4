"""Interpolation against SciPy and np.interp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.localization import Curves, interpolate, to_frames, upsample
from wtal_core.snippet_grid import SnippetGrid

VALUES = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20)


@given(rows=st.lists(VALUES, max_size=4), factor=st.integers(1, 20))
def test_upsample_rows_of_different_lengths(rows: list[list[float]], factor: int) -> None:
    full, stop = upsample(rows, factor), upsample(rows, factor, tail="stop")
    for r, curve in enumerate(rows):
        at = np.arange(len(curve) * factor) / factor
        want = np.interp(at, np.arange(len(curve)), curve)
        beyond = at > len(curve) - 1
        slope = curve[-1] - curve[-2] if len(curve) > 1 else 0.0
        want[beyond] = curve[-1] + slope * (at[beyond] - (len(curve) - 1))
        np.testing.assert_allclose(full.row(r), want, atol=1e-9)
        np.testing.assert_allclose(stop.row(r), want[: (len(curve) - 1) * factor + 1], atol=1e-9)


@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30), kind=st.sampled_from(["linear", "nearest"])
)
def test_interpolate_like_scipy(values: list[float], kind: str) -> None:
    scipy = pytest.importorskip("scipy.interpolate")
    at = np.arange(0, len(values) - 1 + 1e-9, 1 / 16)
    want = scipy.interp1d(np.arange(len(values)), values, kind=kind)(at)
    np.testing.assert_allclose(interpolate(np.array(values), at, kind=kind), want, atol=1e-9)  # type: ignore[arg-type]


@given(values=st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=30))
def test_quadratic_spline_like_scipy(values: list[float]) -> None:
    scipy = pytest.importorskip("scipy.interpolate")
    at = np.linspace(0, len(values) - 1, 77)
    want = scipy.interp1d(np.arange(len(values)), values, kind="quadratic")(at)
    both = np.array([values, values[::-1]])
    np.testing.assert_allclose(interpolate(both, at, kind="quadratic")[0], want, atol=1e-9)


def test_a_quadratic_spline_meets_a_parabola() -> None:
    at = np.linspace(0, 6, 50)
    np.testing.assert_allclose(interpolate(np.arange(7.0) ** 2, at, kind="quadratic"), at**2, atol=1e-12)
    with pytest.raises(DataError, match="3 snippets"):
        interpolate(np.zeros(2), at, kind="quadratic")


def test_frames_are_those_of_the_grid() -> None:
    values = np.array([0.0, 1.0, 3.0])
    frames, dense = to_frames(values, SnippetGrid(fps=30, stride=4, window=16, num_snippets=3))
    assert frames.tolist() == list(range(9))
    np.testing.assert_allclose(dense, [[0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3]])
    frames, dense = to_frames(values, SnippetGrid(fps=30, stride=2.5, window=16, offset=1.5, num_snippets=3))
    assert frames.tolist() == [2, 3, 4, 5, 6]  # knots at 1.5, 4, 6.5
    np.testing.assert_allclose(dense[0], [0.2, 0.6, 1.0, 1.8, 2.6])
    frames, dense = to_frames(np.array([[5.0]]), SnippetGrid(fps=30, stride=16, window=16, num_snippets=1))
    assert (frames.tolist(), dense.tolist()) == ([0], [[5.0]])


def test_many_videos_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(3)
    videos = [rng.random((2, t)) for t in (5, 1, 40)]
    together = upsample(videos, 16, tail="stop")
    for v, values in enumerate(videos):
        grid = SnippetGrid.preset("i3d-30fps-16", values.shape[1])
        _, dense = to_frames(values, grid)
        np.testing.assert_array_equal(together.take([2 * v, 2 * v + 1]).values, dense.ravel())


def test_refusals_say_what_is_wrong() -> None:
    grid = SnippetGrid.preset("i3d-30fps-16", 4)
    with pytest.raises(DataError, match="4 snippets"):
        to_frames(np.zeros(5), grid)
    with pytest.raises(DataError, match="factor"):
        upsample([[1.0]], 0)
    with pytest.raises(UsageError, match="linear"):
        interpolate(np.zeros(4), [0.0], kind="liner")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="extrapolate"):
        upsample(Curves.of([[1.0]]), 2, tail="extrapolat")  # type: ignore[arg-type]
