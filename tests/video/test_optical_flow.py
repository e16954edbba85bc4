"""Optical flow on known motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.clips import write_clip
from wtal_core.errors import DataError, UsageError
from wtal_core.video.frames import FrameReader
from wtal_core.video.optical_flow import (
    FLOW_KINDS,
    flow_from_uint8,
    flow_intensity,
    flow_magnitude,
    flow_to_uint8,
    iter_flow,
    optical_flow,
)

cv2 = pytest.importorskip("cv2")


def texture(height: int, width: int, seed: int = 0) -> Any:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def pan(frames: int, dx: int, dy: int, height: int = 96, width: int = 128) -> Any:
    """Frames whose content moves by (dx, dy) pixels a frame to the right and downwards."""
    scene = texture(height + 80, width + 80)
    return np.stack([scene[40 - i * dy :, 40 - i * dx :][:height, :width] for i in range(frames)])


# What the algorithms reach on texture: DIS medium and TV-L1 are within 1 %, the quick presets within 20 %.
@pytest.mark.parametrize(
    ("kind", "tolerance"), [("dis", 0.02), ("tvl1", 0.02), ("dis-fast", 0.2), ("dis-ultrafast", 0.2)]
)
@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, -1)])
def test_one_pixel_pan(kind: str, tolerance: float, dx: int, dy: int) -> None:
    flow = optical_flow(pan(3, dx, dy), kind)
    assert flow.shape == (2, 96, 128, 2)
    assert flow.dtype == np.float32
    inner = flow[:, 16:-16, 16:-16]
    np.testing.assert_allclose(inner.mean(axis=(1, 2)), [[dx, dy]] * 2, atol=tolerance)
    np.testing.assert_allclose(flow_magnitude(inner), 1.0, atol=tolerance)


def test_colour_and_grey_agree() -> None:
    grey = pan(2, 2, 0)
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_allclose(optical_flow(colour), optical_flow(grey), atol=1e-5)


def test_stream_equals_batch_and_repeats_exactly() -> None:
    frames = pan(4, 1, 1)
    batch = optical_flow(frames)
    np.testing.assert_array_equal(np.stack(list(iter_flow(iter(frames)))), batch)
    np.testing.assert_array_equal(optical_flow(frames), batch)
    assert optical_flow(frames[:1]).shape == (0, 96, 128, 2)


def test_no_motion_is_zero() -> None:
    frames = np.repeat(texture(64, 64)[None], 3, axis=0)
    for kind in FLOW_KINDS:
        assert np.abs(optical_flow(frames[:2], kind)).max() < 0.02, kind


def test_bound_clips_and_quantises() -> None:
    frames = pan(2, 3, 0)
    exact, coarse = optical_flow(frames), optical_flow(frames, bound=20)
    assert np.abs(exact - coarse).max() <= 20 / 255 + 1e-5
    assert len(np.unique(coarse)) <= 256
    np.testing.assert_allclose(optical_flow(frames, bound=1)[0, 20:-20, 20:-20, 0], 1.0, atol=1e-6)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=30), st.floats(0.5, 40))
def test_eight_bit_round_trip(values: list[float], bound: float) -> None:
    image = flow_to_uint8(values, bound)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(flow_from_uint8(image, bound), np.clip(values, -bound, bound), atol=bound / 255 + 1e-4)
    np.testing.assert_array_equal(flow_to_uint8(flow_from_uint8(image, bound), bound), image)


def test_eight_bit_values_of_published_images() -> None:
    assert flow_to_uint8([-25.0, -20.0, 0.0, 20.0, 99.0]).tolist() == [0, 0, 128, 255, 255]


def test_magnitude_conventions() -> None:
    flow = np.zeros((2, 2, 2, 2))
    flow[0, ..., 0], flow[0, ..., 1] = 3, 4
    flow[1, 0, 0] = (20, 0)
    np.testing.assert_allclose(flow_magnitude(flow, "pixels"), [5.0, 5.0])
    # By hand: images hold 147 and 153 (3 and 4 px of 20), 128 for none, 255 for 20.
    moving = np.hypot(147 * 2 / 255 - 1, 153 * 2 / 255 - 1)
    still = np.hypot(1 / 255, 1 / 255)
    np.testing.assert_allclose(
        flow_magnitude(flow, "8bit"), [moving, (np.hypot(1, 1 / 255) + 3 * still) / 4], atol=1e-12
    )


# -- whole videos --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen frames at 10 a second that move by 2 pixels each."""
    frames = np.repeat(pan(15, 2, 0)[..., None], 3, axis=3)
    return write_clip(tmp_path_factory.mktemp("flow") / "pan.mp4", list(frames), fps=10)


def test_intensity_of_a_pan(panned: Path) -> None:
    pixels = flow_intensity(panned, convention="pixels")
    assert pixels.shape == (14,)
    np.testing.assert_allclose(pixels, 2.0, atol=0.25)
    # 2 px are 13 of the 8-bit images' steps from the middle.
    np.testing.assert_allclose(flow_intensity(panned), 0.1, atol=0.02)
    half = flow_intensity(panned, convention="pixels", short_side=48)
    np.testing.assert_allclose(half, 1.0, atol=0.25)


def test_intensity_follows_the_clock(panned: Path) -> None:
    with FrameReader.open(panned) as reader:
        slow = flow_intensity(reader, fps=5, convention="pixels")
        assert slow.shape == (6,)
        np.testing.assert_allclose(slow, 4.0, atol=0.6)
        fast = flow_intensity(reader, fps=20, convention="pixels")
        assert fast.shape == (29,)
        np.testing.assert_allclose(fast, 2.0, atol=0.25)  # repeated frames hold the last motion
        zero = flow_intensity(reader, fps=20, convention="pixels", repeats="zero")
        np.testing.assert_array_equal(zero[::2], 0.0)
        np.testing.assert_allclose(zero[1::2], fast[1::2])
        # Still pictures are not quite 0 in 8 bits: the middle lies between two steps.
        assert flow_intensity(reader, fps=20, repeats="zero")[0] == pytest.approx(np.hypot(1, 1) / 255)


def test_intensity_of_a_single_frame(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "one.mp4", 1)
    assert flow_intensity(clip).shape == (0,)
    np.testing.assert_array_equal(flow_intensity(clip, fps=100, convention="pixels"), np.zeros(3))


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 32, 32), np.float32),
        np.zeros((32, 32), np.uint8),
        np.zeros((2, 32, 32, 4), np.uint8),
        np.zeros((0, 32, 32), np.uint8),
        np.zeros((2, 4, 4), np.uint8),
    ],
)
def test_bad_frames(frames: Any) -> None:
    with pytest.raises(DataError, match="optical_flow"):
        optical_flow(frames)


def test_frames_of_two_sizes() -> None:
    with pytest.raises(DataError, match="one size"):
        list(iter_flow([np.zeros((32, 32), np.uint8), np.zeros((32, 40), np.uint8)]))


def test_bad_arguments(panned: Path) -> None:
    frames = pan(2, 1, 0)
    with pytest.raises(UsageError, match="'tvl1'"):
        optical_flow(frames, "tvl")
    with pytest.raises(UsageError, match="bound"):
        optical_flow(frames, bound=0)
    with pytest.raises(UsageError, match="bound"):
        flow_to_uint8([1.0], float("nan"))
    with pytest.raises(UsageError, match="convention"):
        flow_magnitude(np.zeros((1, 2, 2, 2)), "bits")
    with pytest.raises(UsageError, match="short_side"):
        flow_intensity(panned, short_side=4)
    with pytest.raises(UsageError, match="repeated"):
        flow_intensity(panned, repeats="drop")
