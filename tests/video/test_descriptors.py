"""The weight-free descriptors: what each channel answers to, on pictures whose motion is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("cv2", reason="the descriptors use OpenCV: pip install 'wtal[video]'")

import cv2

from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError
from wtal_core.video.descriptors import (
    APPEARANCE_BLOCKS,
    DESCRIPTOR_DIM,
    LOOKAHEAD,
    MOTION_BLOCKS,
    AppearanceDescriptor,
    MotionDescriptor,
    block_slices,
    fit_camera_motion,
)

WINDOW = 16
APPEARANCE, MOTION = block_slices(APPEARANCE_BLOCKS), block_slices(MOTION_BLOCKS)


def texture(height: int, width: int, seed: int = 0) -> Array:
    """A smooth random RGB texture."""
    noise = np.random.default_rng(seed).normal(size=(height // 4, width // 4, 3)).astype(np.float32)
    smooth = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 1), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 120 * smooth, 0, 255).astype(np.uint8)


BACKGROUND = texture(400, 500)


def movie(
    paint: Callable[[Array, int], None], count: int = WINDOW + LOOKAHEAD, size: tuple[int, int] = (240, 320)
) -> Array:
    """Frames of a standing background that `paint(frame, t)` draws on."""
    frames = np.repeat(BACKGROUND[None, : size[0], : size[1]], count, axis=0).copy()
    for t, frame in enumerate(frames):
        paint(frame, t)
    return frames


def pan(dx: float, dy: float, zoom: float = 1.0, count: int = WINDOW + LOOKAHEAD) -> Array:
    """A camera that moves over the background: the picture moves by (dx, dy) pixels a frame and grows by `zoom`."""
    frames = []
    for t in range(count):
        scale = zoom**t
        matrix = np.array([[scale, 0, 160 - scale * 250 + dx * t], [0, scale, 120 - scale * 200 + dy * t]], float)
        frames.append(cv2.warpAffine(BACKGROUND, matrix, (320, 240), flags=cv2.INTER_LINEAR))
    return np.stack(frames)


def snippets(count: int = 1, stride: int = WINDOW, extra: int = LOOKAHEAD) -> npt.NDArray[np.int64]:
    return np.arange(count)[:, None] * stride + np.arange(WINDOW + extra)[None, :]


def describe_motion(frames: Array) -> Array:
    return MotionDescriptor()(frames, snippets())[0]


def moving_patch(dx: float, dy: float, side: int = 70) -> Array:
    patch = texture(side, side + side % 4, seed=5)[:, :side]

    def paint(frame: Array, t: int) -> None:
        x, y = round(125 + dx * t - dx * 8), round(85 + dy * t - dy * 8)
        frame[y : y + side, x : x + side] = patch

    return movie(paint)


def orientation_energy(description: Array) -> Array:
    """Return `(8,)`: energy of each orientation over the whole frame and snippet."""
    cells = description[MOTION["orientation_cells"]].reshape(16, 9)
    return np.asarray((cells[:, :8] ** 2).sum(axis=0))


# -- form ---------------------------------------------------------------------------------------------------------


def test_blocks_fill_the_channels_exactly() -> None:
    for blocks in (APPEARANCE_BLOCKS, MOTION_BLOCKS):
        assert sum(blocks.values()) == DESCRIPTOR_DIM
        ends = [s.stop for s in block_slices(blocks).values()]
        assert all(a < b for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("size", [(240, 320), (240, 427), (320, 240), (120, 160), (31, 45)])
def test_form_and_range(size: tuple[int, int]) -> None:
    frames = movie(lambda frame, t: None, count=2 * WINDOW, size=size)
    frames[10:, : size[0] // 2] = 255 - frames[10:, : size[0] // 2]
    last = np.minimum(snippets(2), len(frames) - 1)
    for description in (AppearanceDescriptor()(frames, last[:, :WINDOW]), MotionDescriptor()(frames, last)):
        assert description.shape == (2, DESCRIPTOR_DIM)
        assert description.dtype == np.float32
        assert np.isfinite(description).all()
        assert description.min() >= 0
        assert description.max() < 20


def test_deterministic_and_independent_of_how_a_video_is_cut() -> None:
    frames = pan(1.5, -0.5, count=4 * WINDOW + LOOKAHEAD)
    frames[20:40, 100:120, 100:120] = 255
    for describe, extra in ((AppearanceDescriptor(), 0), (MotionDescriptor(), LOOKAHEAD)):
        whole = describe(frames, snippets(4, extra=extra))
        again = describe(frames, snippets(4, extra=extra))
        parts = [describe(frames[i * WINDOW :], snippets(1, extra=extra)) for i in range(4)]
        np.testing.assert_array_equal(whole, again)
        np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_frame_size_hardly_matters() -> None:
    frames = moving_patch(3, 0)
    small = np.stack([cv2.resize(f, (240, 180), interpolation=cv2.INTER_AREA) for f in frames])
    for describe, index in ((AppearanceDescriptor(), snippets(extra=0)), (MotionDescriptor(), snippets())):
        a, b = describe(frames, index)[0], describe(small, index)[0]
        assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.97


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_videos(count: int) -> None:
    frames = pan(1, 0, count=count)
    index = np.minimum(snippets(), count - 1)
    assert np.isfinite(MotionDescriptor()(frames, index)).all()
    assert np.isfinite(AppearanceDescriptor()(frames, index[:, :WINDOW])).all()


@pytest.mark.parametrize(
    ("frames", "index"),
    [
        (np.zeros((4, 32, 32), np.uint8), [[0]]),
        (np.zeros((4, 32, 32, 3), np.float32), [[0]]),
        (np.zeros((0, 32, 32, 3), np.uint8), [[0]]),
        (np.zeros((4, 4, 32, 3), np.uint8), [[0]]),
        (np.zeros((4, 32, 32, 3), np.uint8), [[4]]),
        (np.zeros((4, 32, 32, 3), np.uint8), [[-1]]),
        (np.zeros((4, 32, 32, 3), np.uint8), [0]),
    ],
)
def test_wrong_input_is_refused(frames: Array, index: list[Any]) -> None:
    for describe in (AppearanceDescriptor(), MotionDescriptor()):
        with pytest.raises(DataError, match="expected"):
            describe(frames, np.asarray(index))


def test_unknown_flow_is_refused() -> None:
    with pytest.raises(UsageError, match="tvl1"):
        MotionDescriptor("tvl2")


# -- appearance ---------------------------------------------------------------------------------------------------


def appearance(frame: Array) -> Array:
    return AppearanceDescriptor()(np.repeat(frame[None], WINDOW, axis=0), snippets(extra=0))[0]


@pytest.mark.parametrize(
    ("colour", "name"),
    [((220, 10, 10), 0), ((20, 200, 30), 3), ((20, 30, 210), 5), ((3, 3, 3), 8), ((250, 250, 250), 11)],
)
def test_colours_go_to_their_names(colour: tuple[int, int, int], name: int) -> None:
    frame = np.full((240, 320, 3), colour, np.uint8)
    histogram = appearance(frame)[APPEARANCE["colour"]].reshape(21, 12)
    np.testing.assert_allclose(histogram, np.eye(12)[[name] * 21], atol=1e-3)


def test_the_pyramid_says_where() -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[:60, 240:] = (220, 10, 10)  # the top right of 4 x 4 cells
    red = appearance(frame)[APPEARANCE["colour"]].reshape(21, 12)[:, 0] ** 2
    expected = np.zeros(21)
    expected[[0, 2, 5 + 3]] = 1 / 16, 1 / 4, 1
    np.testing.assert_allclose(red, expected, atol=0.02)


def test_stripes_have_an_orientation() -> None:
    columns = np.zeros((240, 320, 3), np.uint8)
    columns[:, np.arange(320) // 8 % 2 == 1] = 200
    rows = np.zeros((240, 320, 3), np.uint8)
    rows[np.arange(240) // 8 % 2 == 1] = 200
    for frame, best in ((columns, 0), (rows, 4)):  # gradients along x, along y
        whole = appearance(frame)[APPEARANCE["orientation"]].reshape(21, 8)[0]
        assert whole.argmax() == best
        assert np.delete(whole, best).max() < 0.3 * whole[best]


def test_change_within_a_snippet_is_seen() -> None:
    still = np.full((WINDOW, 240, 320, 3), 60, np.uint8)
    flash = still.copy()
    flash[WINDOW // 2 :] = 200
    describe = AppearanceDescriptor()
    change = [describe(f, snippets(extra=0))[0][APPEARANCE["luminance"]].reshape(21, 4)[0, 3] for f in (still, flash)]
    assert change[0] == 0
    assert change[1] == pytest.approx(np.sqrt(140 / 255), abs=0.02)


# -- motion -------------------------------------------------------------------------------------------------------


def test_nothing_moves() -> None:
    description = describe_motion(movie(lambda frame, t: None))
    assert orientation_energy(description).max() < 1e-6
    np.testing.assert_allclose(description[MOTION["orientation_cells"]].reshape(16, 9)[:, 8], 1)  # all still
    assert description[MOTION["small_objects"]].max() < 1e-3
    assert description[MOTION["camera"]].max() < 0.05


@pytest.mark.parametrize(
    ("dx", "dy", "orientation"),
    [(3, 0, 0), (2, 2, 1), (0, 3, 2), (-2, 2, 3), (-3, 0, 4), (-2, -2, 5), (0, -3, 6), (2, -2, 7)],
)
def test_directions_go_to_their_orientations(dx: float, dy: float, orientation: int) -> None:
    """0 is to the right, 2 downwards."""
    energy = orientation_energy(describe_motion(moving_patch(dx, dy)))
    assert energy.argmax() == orientation
    assert energy[orientation] > 0.6 * energy.sum()


@pytest.mark.parametrize(
    ("motion", "channel"),
    [((4, 0, 1), 0), ((0, 4, 1), 1), ((0, 0, 1.02), 2), ((-4, 0, 1), 4), ((0, -4, 1), 5), ((0, 0, 0.98), 6)],
)
def test_the_cameras_motion_is_taken_away_and_kept_apart(motion: tuple[float, float, float], channel: int) -> None:
    description = describe_motion(pan(*motion))
    camera = description[MOTION["camera"]].reshape(4, 8)
    assert (camera.argmax(axis=1) == channel).all()
    # 4 pixels of a 240-pixel frame are 2 of a 120-pixel one; zoom 1.02 is 0.02 * 60 pixels in u and in v at the edge.
    expected = 2.0 if motion[2] == 1 else 2 * 0.02 * 60
    np.testing.assert_allclose(camera[:, channel] ** 2, expected, rtol=0.15)
    assert orientation_energy(description).sum() < 0.05 * orientation_energy(describe_motion(moving_patch(4, 0))).sum()


def test_an_actor_is_seen_against_a_moving_camera() -> None:
    frames = pan(3, 0)
    patch = texture(64, 64, seed=9)
    for t, frame in enumerate(frames):
        x = 200 - 2 * t
        frame[90:154, x : x + 64] = patch
    energy = orientation_energy(describe_motion(frames))
    assert energy.argmax() == 4  # to the left, although the picture as a whole goes right
    assert energy[4] > 0.5 * energy.sum()


def test_camera_fit_withstands_a_third_of_outliers() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160].astype(np.float64)
    truth = np.array([[1.0, 0.3, -0.2], [-0.5, 0.1, 0.4]])
    xs, ys = (x - 79.5) / 60, (y - 59.5) / 60
    flow = np.stack([t[0] + t[1] * xs + t[2] * ys for t in truth], axis=-1)[None]
    flow = (flow + rng.normal(scale=0.05, size=flow.shape)).astype(np.float32)
    flow[:, 30:110, 20:100] += 8
    np.testing.assert_allclose(fit_camera_motion(flow)[0], truth, atol=0.05)


def ball(radius: int, speed: float, start: int = 0) -> Array:
    def paint(frame: Array, t: int) -> None:
        if t >= start:
            cv2.circle(frame, (round(40 + speed * (t - start)), 60), radius, (255, 255, 255), -1, cv2.LINE_AA)

    return movie(paint)


def small_objects(description: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Peak of lone, peak of small, mean of large in the 4 x 4 cells; peak of lone, mean of large in the phases."""
    block = description[MOTION["small_objects"]]
    return block[:16], block[16:32], block[32:48], block[48:52], block[52:56]


def test_a_flying_ball_is_small_and_an_actor_is_large() -> None:
    _, ball_peak, ball_large, _, _ = small_objects(describe_motion(ball(4, 12)))
    _, actor_peak, actor_large, _, _ = small_objects(describe_motion(moving_patch(4, 0)))
    _, nobody_peak, _, _, _ = small_objects(describe_motion(movie(lambda frame, t: None)))
    assert ball_peak.max() > 0.4
    assert ball_peak.max() ** 2 > 3 * actor_peak.max() ** 2  # channels are square roots of energies
    assert nobody_peak.max() < 0.05
    assert actor_large.max() > ball_large.max()
    row = ball_peak.reshape(4, 4).max(axis=1)
    assert row.argmax() == 1 or row.argmax() == 0  # y = 60 of 240 is where the first two rows of cells meet
    assert row[2:].max() < 0.1


def test_a_ball_is_told_from_the_club_that_hits_it() -> None:
    """A practice swing and a swing differ in a few pixels: those of the ball."""

    def swing(with_ball: bool) -> Array:
        def paint(frame: Array, t: int) -> None:
            angle = -2.2 + 0.25 * t
            tip = round(150 + 70 * np.cos(angle)), round(120 + 70 * np.sin(angle))
            cv2.circle(frame, (150, 120), 22, (40, 60, 90), -1, cv2.LINE_AA)
            cv2.line(frame, (150, 120), tip, (230, 230, 230), 2, cv2.LINE_AA)
            cv2.circle(frame, tip, 5, (20, 20, 20), -1, cv2.LINE_AA)
            if with_ball and t >= 9:
                cv2.circle(frame, (200 + 10 * (t - 9), 180 - 6 * (t - 9)), 2, (255, 255, 255), -1, cv2.LINE_AA)

        return movie(paint)

    real, practice = (small_objects(describe_motion(swing(ball))) for ball in (True, False))
    assert practice[1].max() > 0.3  # the club is small, too, but not lone
    assert practice[0].max() < 0.15
    assert real[0].max() > 0.35
    assert real[3][:2].max() < 0.15 < 0.25 < real[3][2:].min()  # and the phases say when it was hit


def test_a_ball_is_seen_against_a_moving_camera() -> None:
    frames, without = pan(2, 1), pan(2, 1)
    for t, frame in enumerate(frames):
        cv2.circle(frame, (60 + 12 * t, 100), 4, (255, 255, 255), -1, cv2.LINE_AA)
    peak, quiet = (small_objects(describe_motion(f))[1].max() for f in (frames, without))
    assert peak > 0.35
    assert peak > 2 * quiet


def test_phases_say_when() -> None:
    """A ball that is hit in the second half of the snippet is absent from the first two phases."""
    phases = small_objects(describe_motion(ball(3, 12, start=9)))[3]
    assert phases[:2].max() < 0.1
    assert phases[2:].min() > 0.3


def test_a_beat_has_its_frequency() -> None:
    """A patch that swings to and fro once in 8 frames moves fast twice as often: the 4th frequency of 16 frames."""
    patch = texture(64, 64, seed=3)

    def paint(frame: Array, t: int) -> None:
        x = 120 + round(12 * np.sin(2 * np.pi * t / 8))
        frame[90:154, x : x + 64] = patch

    rhythm = describe_motion(movie(paint))[MOTION["rhythm"]][:4]
    assert rhythm.argmax() == 3
