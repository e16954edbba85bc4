"""Static-clip mining on hand-made intensities."""

from __future__ import annotations

import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.clips import write_clip
from wtal_core.errors import DataError, UsageError
from wtal_core.localization.proposals import median_filter
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.static_clips import (
    StaticClipConfig,
    drop_short_runs,
    mine_static_clips,
    mine_video,
    static_mask,
)

RNG = np.random.default_rng(0)


def grid(frames: int, fps: float = 25.0, **changes: Any) -> SnippetGrid:
    values: dict[str, Any] = {"fps": fps, "stride": 16.0, "window": 16.0, "num_snippets": -(-frames // 16)}
    return SnippetGrid(**{**values, **changes})


@given(st.lists(st.booleans(), max_size=120), st.integers(0, 30))
def test_median_filter_equals_scipy(mask: list[bool], half: int) -> None:
    signal = pytest.importorskip("scipy.signal")
    kernel = 2 * half + 1
    got = median_filter(mask, kernel)
    assert got.shape == (len(mask),)
    if mask:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # scipy warns of kernels longer than the array
            np.testing.assert_array_equal(got, signal.medfilt(np.array(mask, dtype=float), kernel) == 1)


def test_median_filter_pads_with_zeros() -> None:
    assert median_filter([True, True, False, False, True], 3).tolist() == [True, True, False, False, False]
    with pytest.raises(UsageError, match="odd"):
        median_filter([True], 4)


@pytest.mark.parametrize(
    ("runs", "official", "whole"),
    [
        ("0110", "0110", "0110"),
        ("0100", "0000", "0000"),
        ("0011", "0001", "0011"),  # a run that lasts to the end counts one less, and leaves its last frame
        ("0111", "0111", "0111"),
        ("0001", "0001", "0000"),
        ("1101", "1101", "1100"),
        ("", "", ""),
        ("111", "111", "111"),
    ],
)
def test_runs_shorter_than_two_are_dropped(runs: str, official: str, whole: str) -> None:
    mask = np.array([c == "1" for c in runs], dtype=bool)
    for expected, whole_last_run in ((official, False), (whole, True)):
        kept = drop_short_runs(mask, 2, whole_last_run=whole_last_run)
        assert "".join("1" if v else "0" for v in kept) == expected


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 9), st.booleans())
def test_run_removal_equals_a_plain_loop(mask: list[bool], least: int, whole: bool) -> None:
    expected = list(mask)
    i = 0
    while i < len(mask):
        j = i
        while j < len(mask) and mask[j] == mask[i]:
            j += 1
        last = j - 1 if j == len(mask) and not whole else j
        if mask[i] and last - i < least:
            expected[i:last] = [False] * (last - i)
        i = j
    assert drop_short_runs(np.array(mask, dtype=bool), least, whole_last_run=whole).tolist() == expected


def test_a_run_at_the_end_of_the_video_is_treated_as_configured() -> None:
    intensity = np.ones(1000)
    intensity[-50:] = intensity[100:200] = 0
    for whole, last in ((False, 1), (True, 50)):
        mask = static_mask(intensity, 25, StaticClipConfig(whole_last_run=whole, smoothing_seconds=0))
        assert (mask[:-50].sum(), mask[-50:].sum()) == (100, last)


def test_still_stretch_is_found() -> None:
    intensity = RNG.uniform(0.5, 1.0, 1000)
    intensity[300:500] = RNG.uniform(0.0, 0.01, 200)
    # 40 more quiet frames, too short to stay; the percentile then cuts between still and moving frames.
    intensity[700:740] = 0.005
    clips = mine_static_clips(intensity, grid(1000))
    assert clips.accepted
    assert clips.usable
    assert clips.segments.shape == (1, 2)
    np.testing.assert_allclose(clips.segments[0], [12.0, 20.0], atol=0.05)
    assert clips.ratio == pytest.approx(0.2, abs=0.005)
    np.testing.assert_array_equal(clips.snippet_indices, np.arange(19, 32))  # frames 304 ... 496
    np.testing.assert_array_equal(clips.snippet_mask, clips.mask[::16])


def test_window_and_run_length_follow_the_frame_rate() -> None:
    config = StaticClipConfig()
    assert [(config.kernel(fps), config.min_run(fps)) for fps in (25.0, 30.0, 29.97, 10.0)] == [
        (49, 50),
        (59, 60),
        (59, 60),
        (19, 20),
    ]


def test_strictly_below_the_percentile_so_a_uniform_video_has_no_static_part() -> None:
    clips = mine_static_clips(np.full(500, 0.3), grid(500))
    assert clips.ratio == 0
    assert not clips.accepted
    assert not clips.usable
    assert clips.segments.shape == (0, 2)


@pytest.mark.parametrize(("still", "accepted"), [(49, False), (60, True), (300, True), (400, False)])
def test_ratio_bounds(still: int, accepted: bool) -> None:
    intensity = np.ones(1000)
    intensity[200 : 200 + still] = 0
    assert mine_static_clips(intensity, grid(1000), StaticClipConfig(rho=50)).accepted is accepted


def test_static_run_between_snippet_starts_is_accepted_but_not_usable() -> None:
    intensity = np.ones(1000)
    intensity[101:199] = 0
    clips = mine_static_clips(intensity, grid(1000, stride=100.0, window=100.0, num_snippets=10))
    assert clips.accepted
    assert clips.snippet_indices.size == 0
    assert not clips.usable


def test_grid_offset_and_short_intensity() -> None:
    intensity = np.ones(1000)
    intensity[-100:] = 0
    shifted = mine_static_clips(intensity, grid(1000, offset=8.0, num_snippets=62))
    np.testing.assert_array_equal(shifted.snippet_mask, shifted.mask[8::16][:62])
    # One snippet starts on the frame that the flow, one entry shorter than the video, no longer has.
    tail = mine_static_clips(intensity, grid(1000, stride=8.0, window=8.0, num_snippets=126))
    assert not tail.snippet_mask[125]
    with pytest.raises(DataError, match="do not belong"):
        mine_static_clips(intensity, grid(1000, num_snippets=100))
    assert mine_static_clips(intensity, grid(1000, num_snippets=0)).snippet_mask.shape == (0,)


@pytest.mark.parametrize(
    ("intensity", "problem"),
    [([], "no flow"), ([[1.0]], "no flow"), ([1.0, np.nan], "frame 1"), ([-1.0], "frame 0"), ([np.inf], "frame 0")],
)
def test_bad_intensities(intensity: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        mine_static_clips(intensity, grid(10))


def test_bad_fps() -> None:
    with pytest.raises(DataError, match="fps"):
        static_mask([1.0], 0.0)


@pytest.mark.parametrize(
    "values",
    [
        {"rho": -1},
        {"rho": 101},
        {"min_ratio": 0.4},
        {"max_ratio": 1.2},
        {"epsilon": 0},
        {"min_seconds": -1},
        {"smoothing_seconds": float("nan")},
    ],
)
def test_bad_config(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        StaticClipConfig(**values)


def test_config_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        StaticClipConfig().rho = 3  # type: ignore[misc]


def test_frozen_part_of_a_real_clip_is_static(tmp_path: Path) -> None:
    import cv2

    scene = cv2.GaussianBlur(RNG.integers(0, 255, (96, 400, 3), dtype=np.uint8), (0, 0), 3)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    # 10 frames a second: 8 s of pan, then 3 s frozen, then 4 s of pan.
    left = np.concatenate([np.arange(80), np.full(30, 79), np.arange(80, 120)]) * 2
    clip = write_clip(tmp_path / "pan.mp4", [scene[:, x : x + 128] for x in left], fps=10, gop=30)
    clips = mine_video(clip, SnippetGrid.for_duration(15.0, fps=10, stride=5, window=5))
    assert clips.usable
    assert clips.segments.shape == (1, 2)
    np.testing.assert_allclose(clips.segments[0], [8.0, 11.0], atol=0.25)
