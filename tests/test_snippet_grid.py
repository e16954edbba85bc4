"""Snippet <-> frame <-> second: round trips, order, edges, resampling by timestamps, and what explains a length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid, nearest_frames, seconds_of

rates = st.sampled_from([10.0, 24.0, 25.0, 24000 / 1001, 30000 / 1001, 30.0, 60.0]) | st.floats(1, 120)
sizes = st.sampled_from([1.0, 8.0, 15.0, 16.0, 64.0]) | st.floats(0.5, 100)


@st.composite
def grids(draw: st.DrawFn, min_snippets: int = 1) -> SnippetGrid:
    return SnippetGrid(
        fps=draw(rates),
        stride=draw(sizes),
        window=draw(sizes),
        offset=draw(st.just(0.0) | st.floats(0, 200)),
        num_snippets=draw(st.integers(min_snippets, 3000)),
        duration=draw(st.none() | st.floats(0.5, 4000)),
    )


positions = st.lists(st.floats(-10, 5000), min_size=1, max_size=20).map(np.array)


# -- seconds ------------------------------------------------------------------------------------------------------


@given(grid=grids(), position=positions)
def test_position_survives_the_round_trip(grid: SnippetGrid, position: np.ndarray[Any, Any]) -> None:
    np.testing.assert_allclose(grid.to_position(grid.to_seconds(position)), position, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(
        grid.frames_to_seconds(grid.to_frame(position)), grid.to_seconds(position), rtol=1e-12, atol=1e-12
    )


@given(grid=grids(), position=positions)
def test_time_grows_with_position(grid: SnippetGrid, position: np.ndarray[Any, Any]) -> None:
    ordered = np.unique(np.round(position, 3))
    assert (np.diff(grid.to_seconds(ordered)) > 0).all()
    assert (np.diff(grid.snippet_at(grid.to_seconds(ordered))) >= 0).all()
    assert (np.diff(grid.nearest_boundary(grid.to_seconds(ordered))) >= 0).all()


@given(grid=grids())
def test_every_snippet_owns_its_cell(grid: SnippetGrid) -> None:
    index = np.arange(grid.num_snippets)
    edges = grid.edges()
    assert edges.shape == (grid.num_snippets + 1,)
    np.testing.assert_array_equal(grid.snippet_at(edges[:-1]), index)  # the left edge belongs to the cell
    np.testing.assert_array_equal(grid.snippet_at(grid.centres()), index)
    np.testing.assert_array_equal(grid.nearest_boundary(edges), np.arange(grid.num_snippets + 1))
    np.testing.assert_allclose(np.diff(edges), grid.step_seconds, rtol=1e-6)
    assert edges[-1] == grid.end_seconds
    assert edges[0] == pytest.approx(grid.offset / grid.fps)


@given(grid=grids(), seconds=st.lists(st.floats(-1e4, 1e6), min_size=1, max_size=10))
def test_times_outside_are_clipped(grid: SnippetGrid, seconds: list[float]) -> None:
    index = grid.snippet_at(seconds)
    assert index.min() >= 0
    assert index.max() <= grid.num_snippets - 1
    clipped = grid.clip_seconds(seconds)
    assert clipped.min() >= 0
    assert clipped.max() <= (grid.end_seconds if grid.duration is None else grid.duration)


def test_published_convention_by_hand() -> None:
    """16-frame steps at 25 fps are 0.64 s; snippet i begins at i * 0.64 s (W-TALC, HAM-Net, ACM-Net, CMCS)."""
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=10, duration=6.5)
    assert grid.step_seconds == 0.64
    assert grid.to_seconds(3) == pytest.approx(1.92)
    assert isinstance(grid.to_seconds(3), float)
    assert grid.edges()[[0, 10]].tolist() == pytest.approx([0.0, 6.4])
    assert grid.clip_seconds([-1, 6.45, 9]).tolist() == [0.0, 6.45, 6.5]
    assert grid.snippet_at([0.0, 0.639999, 0.64, 6.4, -5]).tolist() == [0, 0, 1, 9, 0]


def test_halves_are_rounded_to_even_boundaries() -> None:
    """As Python's `round(seconds * 25 / 16)`, which W-TALC's evaluator uses."""
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=9)
    halves = np.arange(9) + 0.5
    assert grid.nearest_boundary(halves * 0.64).tolist() == [0, 2, 2, 4, 4, 6, 6, 8, 8]
    tenths = np.arange(0, 3000) / 10  # THUMOS14's annotations lie on 0.1 s
    assert grid.nearest_boundary(tenths).tolist() == [round(t * 25 / 16) for t in tenths.tolist()]


@given(grid=grids(), data=st.data())
def test_mask_holds_the_snippets_whose_centre_is_inside(grid: SnippetGrid, data: st.DataObject) -> None:
    times = st.floats(0, 2 * grid.end_seconds + 1)
    intervals = data.draw(st.lists(st.tuples(times, times).map(sorted), max_size=5))
    start, end = [a for a, _ in intervals], [b for _, b in intervals]
    expected = [any(a <= c < b for a, b in intervals) for c in grid.centres()]
    assert grid.mask(start, end).tolist() == expected


def test_mask_of_one_interval_and_of_neighbours() -> None:
    grid = SnippetGrid(fps=10, stride=10, window=10, num_snippets=4)  # one snippet a second
    assert grid.mask(1.0, 3.0).tolist() == [False, True, True, False]
    assert grid.mask([0.0, 1.5], [0.5, 1.6]).tolist() == [False, True, False, False]  # [start, end)
    assert not grid.mask(2.0, 2.0).any()


# -- frames and timestamps ----------------------------------------------------------------------------------------


@given(grid=grids(), seed=st.integers(0, 2**32 - 1))
def test_frames_of_snippets_lie_in_the_video_and_in_order(grid: SnippetGrid, seed: int) -> None:
    assume(grid.num_snippets * grid.window < 50_000)
    frames = grid.snippet_frames()
    assert frames.shape == (grid.num_snippets, max(1, round(grid.window)))
    if frames.size:
        assert frames.min() >= 0
        assert frames.max() <= grid.num_frames - 1
        assert (np.diff(frames, axis=1) >= 0).all()
        assert (np.diff(frames[:, 0]) >= 0).all()


def test_past_the_end_the_last_frame_repeats() -> None:
    grid = SnippetGrid(fps=10, stride=4, window=4, num_snippets=3, duration=1.0)  # 10 frames
    assert grid.num_frames == 10
    assert grid.snippet_frames().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert grid.frame_times().tolist() == pytest.approx([i / 10 for i in range(10)])


@given(
    gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=60),
    fps=rates,
    offset=st.floats(0, 3),
)
def test_resampling_shows_the_frame_that_was_on_screen(gaps: list[float], fps: float, offset: float) -> None:
    """Against the definition: the last frame shown at or before the time, the first one before that."""
    stamps = offset + np.cumsum(gaps)
    grid = SnippetGrid.for_duration(float(stamps[-1]) + 0.2, fps=fps, stride=8, window=8)
    for time, index in zip(grid.frame_times(), grid.resample(stamps), strict=True):
        shown = np.flatnonzero(stamps <= time + 5e-4)
        assert index == (shown[-1] if shown.size else 0)


def test_a_variable_rate_is_never_averaged() -> None:
    """Ten frames in the first second, two in the next: index / average rate would be off by up to four frames."""
    stamps = np.concatenate([np.arange(10) / 10, [1.0, 1.5]])
    grid = SnippetGrid(fps=4, stride=4, window=4, num_snippets=2, duration=2.0)
    assert grid.resample(stamps).tolist() == [0, 2, 5, 7, 10, 10, 11, 11]


def test_rounded_timestamps_of_a_container_do_not_shift_frames() -> None:
    stamps = np.round(np.arange(3000) / 29.97, 3)  # Matroska keeps milliseconds
    grid = SnippetGrid(fps=29.97, stride=16, window=16, num_snippets=1, duration=3000 / 29.97)
    assert grid.resample(stamps).tolist() == list(range(3000))


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        ([], "no frame timestamps"),
        ([[0.0, 1.0]], "no frame timestamps"),
        ([0.0, 2.0, 1.0], "not in order"),
        ([0.0, math.nan], "not in order"),
        ([0.0, math.inf], "not in order"),
    ],
)
def test_broken_timestamps_are_refused(stamps: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        nearest_frames(stamps, [0.0])


# -- how many snippets --------------------------------------------------------------------------------------------


@given(duration=st.floats(0.1, 4000), fps=rates, stride=sizes, window=sizes)
def test_as_many_whole_snippets_as_fit(duration: float, fps: float, stride: float, window: float) -> None:
    grid = SnippetGrid.for_duration(duration, fps=fps, stride=stride, window=window)
    count, frames = grid.num_snippets, math.floor(duration * fps + 1e-6)
    assert count == grid.expected_num_snippets() == grid.expected_num_snippets(duration)
    assert count == 1 or (count - 1) * stride + window <= frames + 1e-6
    assert count * stride + window > frames - 1e-6  # one more would not fit


def test_exact_multiples_are_not_lost_to_rounding() -> None:
    for seconds in range(1, 2000):
        grid = SnippetGrid.for_duration(seconds * 0.64, fps=25, stride=16, window=16)
        assert grid.num_snippets == seconds


def test_the_frame_rate_that_explains_a_wrong_length() -> None:
    """63 snippets, but 25 fps implies 52: 63 is what 30 fps would give."""
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=63, duration=33.7)
    assert grid.expected_num_snippets() == 52
    assert grid.explaining_fps(33.7)[0] == 30.0
    assert 25.0 not in grid.explaining_fps(33.7)
    assert grid.with_snippets(52).explaining_fps(33.7)[0] == 25.0
    assert grid.with_snippets(5000).explaining_fps(33.7) == []


@given(fps=st.sampled_from([10.0, 15.0, 24.0, 30.0, 50.0, 60.0]), duration=st.floats(30, 1000))
def test_the_true_frame_rate_is_always_among_the_explanations(fps: float, duration: float) -> None:
    made = SnippetGrid.for_duration(duration, fps=fps, stride=16, window=16)
    claimed = SnippetGrid(fps=25, stride=16, window=16, num_snippets=made.num_snippets)
    assert fps in claimed.explaining_fps(duration)


def test_an_unknown_duration_implies_no_length() -> None:
    with pytest.raises(DataError, match="duration is not known"):
        SnippetGrid(25, 16, 16, 3).expected_num_snippets()


def test_rates_that_miss_by_more_than_one_snippet_explain_nothing() -> None:
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=50)
    assert grid.explaining_fps(32.0) == [25.0]
    assert [grid.with_snippets(n).explaining_fps(32.0) for n in (51, 52)] == [[25.0], []]
    ntsc = SnippetGrid.for_duration(2000.0, fps=29.97, stride=1, window=1)
    assert ntsc.explaining_fps(2000.0) == [29.97], "60 frames of 59,940 tell it from 30"


@pytest.mark.parametrize("duration", [0, -3.0, math.nan, math.inf, "10"])
def test_what_is_no_duration_is_refused(duration: Any) -> None:
    grid = SnippetGrid(25, 16, 16, 3)
    with pytest.raises(DataError, match="duration is out of range"):
        grid.expected_num_snippets(duration)
    with pytest.raises(DataError, match="duration is out of range"):
        grid.explaining_fps(duration)


@pytest.mark.filterwarnings("error")
def test_extreme_times_stay_in_order() -> None:
    grid = SnippetGrid(25, 16, 16, 5)
    assert grid.snippet_at([-1e300, 0.0, 1e300]).tolist() == [0, 0, 4]
    boundaries = grid.nearest_boundary([-1e300, 0.0, 1e6, 1e300])
    assert (np.diff(boundaries) > 0).all()
    with pytest.raises(DataError, match="a time is NaN"):
        grid.snippet_at([1.0, math.nan])
    assert SnippetGrid(25, 0.5, 0.3, 4).snippet_frames().shape == (4, 1), "every snippet sees a frame"


# -- coarser grids ------------------------------------------------------------------------------------------------


@given(grid=grids(min_snippets=0), factor=st.integers(1, 12), data=st.data())
def test_coarser_grids_keep_every_nth_snippet_where_it_was(grid: SnippetGrid, factor: int, data: st.DataObject) -> None:
    phase = data.draw(st.integers(0, factor - 1))
    coarse = grid.coarser(factor, phase)
    kept = np.arange(grid.num_snippets)[phase::factor]
    assert coarse.num_snippets == kept.size
    assert coarse.window == grid.window
    np.testing.assert_allclose(coarse.edges()[:-1], grid.to_seconds(kept), rtol=1e-9, atol=1e-9)


@given(grid=grids(min_snippets=0), factor=st.integers(1, 12))
def test_all_phases_together_are_the_fine_grid(grid: SnippetGrid, factor: int) -> None:
    parts = [grid.coarser(factor, phase) for phase in range(factor)]
    assert sum(part.num_snippets for part in parts) == grid.num_snippets
    together = np.sort(np.concatenate([part.edges()[:-1] for part in parts]))
    np.testing.assert_allclose(together, grid.edges()[:-1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("factor", "phase"), [(0, 0), (-1, 0), (2, 2), (2, -1), (1.5, 0)])
def test_impossible_phases_are_refused(factor: int, phase: int) -> None:
    with pytest.raises(DataError, match=r"a phase in \[0, factor\), got factor"):
        SnippetGrid(25, 16, 16, 10).coarser(factor, phase)


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0}, r"fps is out of range \(expected a finite number > 0, got 0\)"),
        ({"fps": -25.0}, "fps is out of range"),
        ({"fps": math.nan}, "fps is out of range"),
        ({"fps": "25"}, "fps is out of range"),
        ({"fps": True}, "fps is out of range"),
        ({"fps": None}, "fps is out of range"),
        ({"stride": 0}, "stride is out of range"),
        ({"window": math.inf}, "window is out of range"),
        ({"offset": -1}, r"offset is out of range \(expected a finite number >= 0"),
        ({"num_snippets": -1}, "num_snippets is out of range"),
        ({"num_snippets": 3.0}, r"num_snippets is out of range \(expected an integer >= 0, got 3\.0\)"),
        ({"num_snippets": True}, "num_snippets is out of range"),
        ({"duration": 0}, r"duration is out of range \(expected a finite number of seconds > 0, or None, got 0\)"),
        ({"duration": math.nan}, "duration is out of range"),
        ({"duration": True}, "duration is out of range"),
        ({"duration": "9"}, "duration is out of range"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SnippetGrid(**{"fps": 25, "stride": 16, "window": 16, "num_snippets": 3} | change)


@given(grid=grids(min_snippets=0))
def test_a_grid_survives_as_plain_values(grid: SnippetGrid) -> None:
    assert SnippetGrid.from_dict(grid.to_dict()) == grid
    assert all(type(value) in (int, float, type(None)) for value in grid.to_dict().values())


def test_numpy_numbers_become_plain_ones() -> None:
    grid = SnippetGrid(np.float32(25), np.int64(16), np.float64(16), np.int32(4), duration=np.float32(2.5))
    assert grid == SnippetGrid(25.0, 16.0, 16.0, 4, duration=2.5)
    assert hash(grid) == hash(SnippetGrid(25.0, 16.0, 16.0, 4, duration=2.5))
    assert type(grid.num_snippets) is int


def test_wrong_keys_and_presets_name_the_nearest() -> None:
    plain = SnippetGrid(25, 16, 16, 3).to_dict()
    with pytest.raises(DataError, match=r"unknown grid key 'strides'.*Did you mean 'stride'"):
        SnippetGrid.from_dict(plain | {"strides": 3}, where="a.h5")
    del plain["fps"]
    with pytest.raises(DataError, match=r"a\.h5: the snippet grid is incomplete.*no \['fps'\]"):
        SnippetGrid.from_dict(plain, where="a.h5")
    with pytest.raises(UsageError, match="Did you mean 'i3d-25fps-16'"):
        SnippetGrid.preset("i3d-25fps16", 3)
    for name in GRID_PRESETS:
        grid = SnippetGrid.preset(name, 3)
        fps, frames = (int("".join(filter(str.isdigit, part))) for part in name.split("-")[1:])
        assert (grid.fps, grid.stride, grid.window, grid.num_snippets) == (fps, frames, frames, 3)
    assert SnippetGrid.from_dict({"fps": 25, "stride": 16, "window": 16, "num_snippets": 3}).offset == 0


@given(several=st.lists(grids(), min_size=1, max_size=4), data=st.data())
def test_many_videos_at_once(several: list[SnippetGrid], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(0, len(several) - 1), st.floats(0, 3000)), max_size=12))
    video, position = [v for v, _ in rows], [p for _, p in rows]
    expected = [several[v].to_seconds(p) for v, p in rows]
    np.testing.assert_allclose(seconds_of(several, video, position), expected, rtol=1e-12)
