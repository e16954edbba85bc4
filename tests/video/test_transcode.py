"""Browser copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video.clips import HEIGHT, WIDTH, coded_frame, read_codes, rotate_mp4, write_clip
from wtal_core.errors import DataError, UsageError
from wtal_core.video.frames import FrameReader
from wtal_core.video.transcode import ProxyQuality, make_proxy, proxy_reason

Clip = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("h264.mp4", None),
        ("h264-bframes.mp4", None),
        ("h264-fragmented.mp4", None),
        ("vp8.webm", None),
        ("vp9.webm", None),
        ("vp9.mp4", None),
        ("av1.mp4", None),
        ("av1.webm", None),
        ("hevc.mp4", "hevc"),
        ("mpeg4.mp4", "mpeg4"),
        ("mpeg4.avi", "avi"),
        ("h264-bframes.mkv", "matroska"),
        ("h264-bframes.ts", "mpegts"),
        ("late.mp4", "1.500 s"),
    ],
)
def test_which_files_need_a_copy(clip: Clip, name: str, reason: str | None) -> None:
    got = proxy_reason(clip(name))
    if reason is None:
        assert got is None
    else:
        assert reason in (got or "")


@pytest.mark.parametrize("name", ["vfr.mp4", "hevc.mkv", "mpeg4.avi", "h264-bframes.avi", "late.mkv", "av1.mp4"])
def test_copy_keeps_frames_and_times(clip: Clip, tmp_path: Path, name: str) -> None:
    out = make_proxy(clip(name), tmp_path / "copy" / "clip.mp4", ProxyQuality(keyframe_seconds=0.5))
    assert proxy_reason(out) is None
    with FrameReader.open(clip(name)) as source, FrameReader.open(out) as copy:
        assert copy.codec == "h264"
        assert copy.start_seconds == 0
        np.testing.assert_allclose(copy.timestamps, source.timestamps, atol=1e-4)
        assert copy.duration == pytest.approx(source.duration, abs=1e-3)
        assert read_codes(copy.read(range(copy.num_frames))) == list(range(source.num_frames))
        # A player finds a keyframe at most half a second back, or at the frame itself where frames are longer.
        keys = copy.timestamps[copy.probe.keyframes]
        assert (np.diff([*keys, copy.duration]) <= 0.5 + np.diff(copy.timestamps).max() + 1e-3).all()
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_keyframes_are_two_seconds_apart(tmp_path: Path) -> None:
    flat = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 130
    out = make_proxy(write_clip(tmp_path / "flat.mkv", flat, gop=500), tmp_path / "out.mp4")
    with FrameReader.open(out) as copy:
        np.testing.assert_allclose(copy.timestamps[copy.probe.keyframes], [0.0, 2.0, 4.0], atol=1e-3)


def test_large_videos_are_scaled_to_even_sizes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "large.mp4", [coded_frame(i, 180, 320) for i in range(4)])
    with FrameReader.open(make_proxy(clip, tmp_path / "small.mp4", ProxyQuality(max_height=90))) as copy:
        assert (copy.height, copy.width) == (90, 160)
    with FrameReader.open(make_proxy(clip, tmp_path / "odd.mp4", ProxyQuality(max_height=75))) as copy:
        assert copy.height % 2 == 0 == copy.width % 2
    with FrameReader.open(make_proxy(clip, tmp_path / "same.mp4", ProxyQuality(max_height=None))) as copy:
        assert (copy.height, copy.width) == (180, 320)


def test_rotation_is_baked_in(tmp_path: Path) -> None:
    turned = rotate_mp4(write_clip(tmp_path / "turned.mp4", 5), 90)
    with FrameReader.open(make_proxy(turned, tmp_path / "out.mp4")) as copy:
        assert copy.rotation == 0
        assert (copy.height, copy.width) == (WIDTH, HEIGHT)
        assert read_codes(np.rot90(copy.read([4]), axes=(1, 2))) == [4]


def test_colours_survive(tmp_path: Path) -> None:
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [128, 128, 128]], np.uint8)
    picture = np.repeat(np.repeat(colours.reshape(2, 2, 3), 36, axis=0), 48, axis=1)
    clip = write_clip(tmp_path / "colours.mkv", [picture] * 3)
    with FrameReader.open(clip) as source, FrameReader.open(make_proxy(clip, tmp_path / "out.mp4")) as copy:
        assert np.abs(source.read([1]).astype(int) - copy.read([1]))[:, 8:28, 8:40].mean() < 3


def test_truncated_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "cut.mp4", 60, container_options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[:-2000])
    with pytest.raises(DataError, match="truncated"):
        make_proxy(clip, tmp_path / "out.mp4")
    with FrameReader.open(make_proxy(clip, tmp_path / "out.mp4", allow_truncated=True)) as copy:
        assert 0 < copy.num_frames < 60


@pytest.mark.parametrize("values", [{"crf": 60}, {"max_height": 2}, {"keyframe_seconds": 0}, {"crf": float("nan")}])
def test_qualities_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        ProxyQuality(**values)


def test_a_copy_is_an_mp4_file(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is an mp4 file"):
        make_proxy(clip("h264.mp4"), tmp_path / "x.webm")
    assert list(tmp_path.iterdir()) == []


def test_copy_never_replaces_its_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 3)
    before = clip.read_bytes()
    with pytest.raises(UsageError, match="overwrite"):
        make_proxy(clip, tmp_path / "." / "a.mp4")
    assert clip.read_bytes() == before


def test_failed_copies_leave_nothing_behind(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        make_proxy(clip("h264.mp4"), tmp_path / "out.mp4", ProxyQuality(preset="no-such-preset"))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(DataError):
        make_proxy(text, tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["text.mp4"]


@pytest.mark.parametrize("content", [b"", b"text"])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.mp4"):
        proxy_reason(path)
