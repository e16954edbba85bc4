"""Extraction of one video: the right frames in each snippet, one pass, bounded memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="frames are scaled with OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="clips are written with PyAV: pip install 'wtal[video]'")

from tests.video.clips import read_codes, write_clip
from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError
from wtal_core.records import Provenance
from wtal_core.video import extraction
from wtal_core.video.backbones import BackboneInfo, ClipFunction
from wtal_core.video.extraction import GridSpec, extract_video, provenance_of, scale_frame


def codes_of_clips(clips: Array) -> Array:
    """The numbers that the frames of each clip carry: a backbone that says which frames it was shown."""
    return np.array([read_codes(clip) for clip in clips], dtype=np.float32)


READ = ClipFunction(codes_of_clips, "codes")


class Peeker:
    """A backbone that sees frames beyond its window."""

    def __init__(self, lookahead: int, name: str = "peeker", **options: Any) -> None:
        self.info = BackboneInfo(name, name, lookahead=lookahead, **options)
        self.largest = 0

    def __call__(self, frames: Array, snippets: Array) -> Array:
        self.largest = max(self.largest, len(frames))
        return np.array([read_codes(frames[row]) for row in snippets], dtype=np.float32)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 numbered frames at 25 fps: two seconds."""
    return write_clip(tmp_path_factory.mktemp("clips") / "numbered.mp4", 50)


# -- the right frames ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 1, 2, 100])
@pytest.mark.parametrize(("stride", "window"), [(8, 8), (4, 8), (12, 8), (5, 3)])
def test_each_snippet_sees_its_frames(clip: Path, stride: int, window: int, batch_size: int | None) -> None:
    features = extract_video(clip, [READ], GridSpec(25, stride, window), batch_size=batch_size)
    count = (50 - window) // stride + 1
    expected = np.arange(count)[:, None] * stride + np.arange(window)
    np.testing.assert_array_equal(features.data, expected)
    assert features.video == "numbered"
    assert features.grid.num_snippets == count
    assert features.grid.duration == pytest.approx(2.0, abs=0.01)


def test_another_clock_shows_the_frame_that_is_on_screen(clip: Path) -> None:
    slow = extract_video(clip, [READ], GridSpec(10, 5, 5)).data.ravel()
    np.testing.assert_array_equal(slow, np.floor(np.arange(20) * 2.5 + 1e-6))
    fast = extract_video(clip, [READ], GridSpec(50, 10, 10)).data.ravel()
    np.testing.assert_array_equal(fast, np.arange(100) // 2)


def test_variable_frame_rate_goes_by_timestamps(tmp_path: Path) -> None:
    """Twenty frames in the first second, five in the second: a clock of 10 fps shows every other, then pairs."""
    times = [i / 20 for i in range(20)] + [1 + i / 5 for i in range(5)]
    path = write_clip(tmp_path / "vfr.mp4", 25, times=times)
    shown = extract_video(path, [READ], GridSpec(10, 9, 9)).data.ravel()
    np.testing.assert_array_equal(shown[:10], np.arange(10) * 2)
    np.testing.assert_array_equal(shown[10:], 20 + np.arange(8) // 2)


def test_a_video_shorter_than_a_window_repeats_its_last_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", 3)
    features = extract_video(path, [READ], GridSpec(25, 8, 8))
    np.testing.assert_array_equal(features.data, [[0, 1, 2, 2, 2, 2, 2, 2]])


@pytest.mark.parametrize("stride", [8, 11])
def test_lookahead_goes_on_behind_the_window_and_stops_at_the_end(clip: Path, stride: int) -> None:
    features = extract_video(clip, [READ, Peeker(3)], GridSpec(25, stride, 8), batch_size=2)
    start = np.arange((50 - 8) // stride + 1)[:, None] * stride
    np.testing.assert_array_equal(features.data[:, :8], start + np.arange(8))
    np.testing.assert_array_equal(features.data[:, 8:], np.minimum(start + np.arange(11), 49))
    assert features.provenance.modalities == (("codes", 8), ("peeker", 11))


def test_streams_may_want_different_sizes(clip: Path) -> None:
    seen: dict[str, set[tuple[int, ...]]] = {"a": set(), "b": set()}

    def look(name: str) -> Any:
        def function(clips: Array) -> Array:
            seen[name].add(clips.shape[2:4])
            return np.zeros((len(clips), 2))

        return function

    streams = [ClipFunction(look("a"), "a", short_side=36), ClipFunction(look("b"), "b", short_side=144)]
    extract_video(clip, streams, GridSpec(25, 8, 8))
    assert seen == {"a": {(36, 56)}, "b": {(144, 224)}}


@pytest.mark.parametrize("size", [(72, 96), (96, 72), (100, 333), (90, 90)])
def test_scaling_keeps_the_aspect(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for short_side in (24, 60, 200):
        scaled = scale_frame(frame, short_side)
        assert min(scaled.shape[:2]) == short_side
        assert scaled.shape[1] / scaled.shape[0] == pytest.approx(size[1] / size[0], rel=0.02)
    np.testing.assert_array_equal(scale_frame(frame, None), frame)


# -- memory and threads -------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    take = extraction._FrameStream.take

    def watched(self: extraction._FrameStream, frames: Array) -> Any:
        result = take(self, frames)
        kept.append(len(self._kept))
        return result

    monkeypatch.setattr(extraction._FrameStream, "take", watched)
    path = write_clip(tmp_path / "long.mp4", 300)
    peeker = Peeker(2)
    features = extract_video(path, [peeker], GridSpec(25, 4, 8), batch_size=4)
    assert features.grid.num_snippets == 74
    assert max(kept) <= 3 * 4 + 8 + 2
    assert peeker.largest <= 3 * 4 + 8 + 2


def test_a_failing_backbone_ends_the_decoding_thread(clip: Path) -> None:
    def fail(clips: Array) -> Array:
        raise RuntimeError("out of memory")

    before = threading.active_count()
    with pytest.raises(DataError, match="out of memory"):
        extract_video(clip, [ClipFunction(fail, "f")], GridSpec(25, 2, 2), batch_size=1)
    assert threading.active_count() == before


def test_an_error_in_the_decoding_thread_arrives(clip: Path) -> None:
    def items() -> Any:
        yield 1
        raise DataError("the file is damaged")

    received = extraction._prefetched(items())
    assert next(received) == 1
    with pytest.raises(DataError, match="damaged"):
        next(received)


def test_shares_of_a_video_sum_to_one(clip: Path) -> None:
    shares: list[float] = []
    extract_video(clip, [READ], GridSpec(25, 4, 4), batch_size=5, advance=shares.append)
    assert sum(shares) == pytest.approx(1)
    assert len(shares) == 3


# -- what a backbone may answer -----------------------------------------------------------------------------------


class Fixed:
    """A backbone that always gives the same array."""

    def __init__(self, array: Array, **options: Any) -> None:
        self.info = BackboneInfo("fixed", "fixed", **options)
        self.array = array

    def __call__(self, frames: Array, snippets: Array) -> Array:
        return self.array


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((3, 4)), {"dim": 5}, r"expected \(3, 5\), got \(3, 4\)"),
        (np.zeros((2, 4)), {}, r"expected \(3, D\), got \(2, 4\)"),
        (np.zeros((3, 0)), {}, "wrong shape"),
        (np.full((3, 4), np.nan), {}, "NaN"),
        (np.zeros((3, 4)), {"crop": "oversample10"}, r"expected \(10, 3, D\)"),
    ],
)
def test_unusable_answers_are_refused(clip: Path, array: Array, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        extract_video(clip, [Fixed(array, **options)], GridSpec(25, 16, 16))


def test_several_crops_come_first(clip: Path) -> None:
    crops = np.arange(10 * 3 * 2, dtype=np.float32).reshape(10, 3, 2)
    features = extract_video(clip, [Fixed(crops, crop="oversample10")], GridSpec(25, 16, 16))
    np.testing.assert_array_equal(features.data, crops)
    assert features.provenance.crop == "oversample10"


def test_provenance_of_two_streams() -> None:
    a = Fixed(np.zeros(0), dim=4, crop="center224", checksum="aa", flow_kind="")
    b = Peeker(0, "b", dim=3, flow_kind="dis")
    assert provenance_of([a, b]) == Provenance(
        "fixed+b", (("fixed", 4), ("b", 3)), crop="center224+full", flow_kind="dis", checksum="aa"
    )


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([], "no backbone"),
        ([READ, READ], "there twice"),
        ([READ, Fixed(np.zeros(0), crop="oversample10")], "different numbers of crops"),
    ],
)
def test_streams_that_do_not_go_together(clip: Path, streams: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        extract_video(clip, streams, GridSpec(25, 16, 16))


@pytest.mark.parametrize("values", [(0, 16, 16), (25, -1, 16), (25, 16, 0.2), (25, 16, float("nan"))])
def test_grids_that_are_none(values: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match="expected"):
        GridSpec(*values)
