"""Frames by index and time: every decoder, codec and container, and what is wrong with files."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.video.clips import HEIGHT, WIDTH, coded_frame, read_codes, rotate_mp4, write_clip
from tests.video.conftest import CLIPS, NUM_FRAMES
from wtal_core.errors import DataError, UsageError
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video import frames as frames_module
from wtal_core.video.frames import FrameReader, key_frames
from wtal_core.video.probe import probe_video

Clip = Callable[[str], Path]

#: Clips that decord does not read exactly, with a part of the reason why it is not used.
WITHOUT_DECORD = {
    "h264-bframes.avi": "no exact frame times",
    "h264-bframes.ts": "not exact in mpegts",
    "hevc.mp4": "open",
    "hevc.mkv": "open",
    "av1.mp4": "cannot open",
    "av1.webm": "cannot open",
    "vfr.mkv": "gaps",
}
if any(d.metadata["Name"] == "decord2" for d in distributions()):  # same import name, reads AV1
    del WITHOUT_DECORD["av1.mp4"], WITHOUT_DECORD["av1.webm"]


def expected_times(name: str) -> np.ndarray:
    return np.asarray(CLIPS[name].get("times", np.arange(NUM_FRAMES) / 25))


@pytest.mark.parametrize("name", CLIPS)
def test_decoders_agree_on_frames_and_times(clip: Clip, name: str) -> None:
    path = clip(name)
    with FrameReader.open(path, "pyav") as reader:
        assert reader.decoder == "pyav"
        assert reader.fallback_reason is None
        assert (reader.num_frames, reader.height, reader.width) == (NUM_FRAMES, HEIGHT, WIDTH)
        every = reader.read(range(NUM_FRAMES))
        assert every.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
        assert every.dtype == np.uint8
        assert read_codes(every) == list(range(NUM_FRAMES))
        np.testing.assert_allclose(reader.timestamps, expected_times(name), atol=6e-4)  # Matroska rounds to 1 ms
        times = reader.timestamps
    with FrameReader.open(path) as reader:
        assert reader.decoder == ("pyav" if name in WITHOUT_DECORD else "decord")
        assert np.abs(reader.read(range(NUM_FRAMES)).astype(int) - every).max() <= 2
        np.testing.assert_array_equal(reader.timestamps, times)
    if name in WITHOUT_DECORD:
        with pytest.raises(DataError, match=f"decord cannot read this file exactly.*{WITHOUT_DECORD[name]}"):
            FrameReader.open(path, "decord")


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("name", CLIPS)
def test_random_access_is_frame_exact(clip: Clip, name: str, decoder: str) -> None:
    rng = np.random.default_rng(len(name))
    with FrameReader.open(clip(name), decoder, threads=2) as reader:
        for size in (1, 1, 1, 1, 7, 12):
            indices = rng.integers(0, NUM_FRAMES, size)  # unsorted, with repeats
            assert read_codes(reader.read(indices)) == indices.tolist()
        assert read_codes(reader.read([NUM_FRAMES - 1, 0, NUM_FRAMES - 1])) == [NUM_FRAMES - 1, 0, NUM_FRAMES - 1]


@settings(max_examples=15)
@given(st.lists(st.integers(0, NUM_FRAMES - 1), max_size=20), st.integers(1, 8), st.sampled_from(["auto", "pyav"]))
def test_batches_keep_order_and_repeats(clip: Clip, indices: list[int], batch: int, decoder: str) -> None:
    with FrameReader.open(clip("h264-bframes.mp4"), decoder) as reader:
        batches = list(reader.iter_frames(np.array(indices, dtype=int), batch))
    assert all(1 <= len(b) <= batch for b in batches)
    assert [code for b in batches for code in read_codes(b)] == indices


def test_all_frames_by_default_and_slices(clip: Clip) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert sum(len(b) for b in reader.iter_frames()) == NUM_FRAMES == len(reader)
        assert read_codes(reader.read(slice(None, None, 13))) == [0, 13, 26, 39]
        assert reader.read([]).shape == (0, HEIGHT, WIDTH, 3)
        assert list(reader.iter_frames([])) == []


def test_batches_are_bounded_in_bytes(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "_BATCH_BYTES", 3 * HEIGHT * WIDTH * 3 + 1)
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert {len(b) for b in reader.iter_frames(range(9), batch=64)} == {3}
        assert read_codes(reader.read(range(9))) == list(range(9))


def test_sequential_reading_seeks_once(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    start = frames_module._PyavDecoder._start
    monkeypatch.setattr(
        frames_module._PyavDecoder, "_start", lambda self, key: (starts.append(key), start(self, key))[1]
    )
    with FrameReader.open(clip("h264.mp4"), "pyav") as reader:
        slow_clock = np.repeat(np.arange(NUM_FRAMES), 3)
        assert read_codes(np.concatenate(list(reader.iter_frames(slow_clock, 8)))) == slow_clock.tolist()
    assert starts == [0]


def test_properties(clip: Clip) -> None:
    with FrameReader.open(clip("vfr.mp4")) as reader:
        assert reader.codec == "h264"
        assert reader.path.name == "vfr.mp4"
        assert reader.probe.variable_frame_rate
        assert not reader.timestamps.flags.writeable
        assert reader.duration == pytest.approx(reader.fps and NUM_FRAMES / reader.fps)
        assert reader.duration > reader.timestamps[-1]
        assert "decord" in repr(reader)
    with FrameReader.open(clip("av1.mp4")) as reader:
        assert reader.codec == "av1"
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert not reader.probe.variable_frame_rate
        assert (reader.fps, reader.duration) == pytest.approx((25.0, 1.6))
        assert reader.notes == ()


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
@pytest.mark.parametrize("fps", [25.0, 10.0, 7.5])
def test_variable_frame_rate_is_resampled_by_time(clip: Clip, name: str, fps: float) -> None:
    times = expected_times(name)
    with FrameReader.open(clip(name)) as reader:
        indices = reader.resampled(fps)
        ticks = np.arange(indices.size) / fps
        assert indices.size == int(reader.duration * fps + 1e-6)
        on_screen = [int(np.flatnonzero(times <= tick + 1e-3)[-1]) for tick in ticks]
        assert read_codes(reader.read(indices)) == on_screen
        by_average = np.minimum((ticks * reader.fps).astype(int), NUM_FRAMES - 1)
        assert (by_average != on_screen).mean() > 0.5  # what index / fps arithmetic would have picked
        grid = SnippetGrid.for_duration(reader.duration, fps=fps, stride=4, window=4)
        np.testing.assert_array_equal(grid.resample(reader.timestamps), indices)


def test_resampling_up_repeats_frames(clip: Clip) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert reader.resampled(50.0)[:6].tolist() == [0, 0, 1, 1, 2, 2]
        assert reader.resampled(25.0).tolist() == list(range(NUM_FRAMES))


@pytest.mark.parametrize(("name", "start"), [("late.mp4", 1.5), ("late.mkv", 1.5), ("late-audio.mp4", 0.5)])
def test_time_zero_is_the_first_frame(clip: Clip, name: str, start: float) -> None:
    with FrameReader.open(clip(name)) as reader:
        assert reader.timestamps[0] == 0
        assert reader.start_seconds == pytest.approx(start, abs=1e-3)
        assert reader.duration == pytest.approx(1.6, abs=2e-3)
        assert read_codes(reader.read(reader.at([-1.0, 0.0, 0.039, 0.04, 99.0]))) == [0, 0, 0, 1, NUM_FRAMES - 1]


def test_edit_list_of_reordered_frames_starts_at_zero(clip: Clip) -> None:
    assert probe_video(clip("h264-bframes.mp4")).start_seconds == 0


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_files_come_upright(tmp_path: Path, degrees: int) -> None:
    path = rotate_mp4(write_clip(tmp_path / "turned.mp4", 12), degrees)
    with FrameReader.open(path) as reader:
        assert "rotated" in (reader.fallback_reason or "")
        assert any("turned" in note for note in reader.notes)
        upright = reader.read([3, 9, 1])
        assert upright.shape[1:3] == (reader.height, reader.width)
        assert (reader.height, reader.width) == ((HEIGHT, WIDTH) if degrees == 180 else (WIDTH, HEIGHT))
    # The file asks to turn clockwise; turning back gives the stored picture.
    assert read_codes(np.rot90(upright, k=degrees // 90, axes=(1, 2))) == [3, 9, 1]


def test_one_frame_video(tmp_path: Path) -> None:
    with FrameReader.open(write_clip(tmp_path / "one.mp4", 1)) as reader:
        assert reader.num_frames == 1
        assert reader.duration > 0
        assert reader.resampled(25.0).tolist() == [0]
        assert read_codes(reader.read([0, 0])) == [0, 0]


def test_long_gap_is_noted(tmp_path: Path) -> None:
    times = [*(np.arange(10) / 25), *(5 + np.arange(10) / 25)]
    probe = probe_video(write_clip(tmp_path / "gap.mp4", 20, times=times))
    assert any("from 0.36 to 5.00 s" in note for note in probe.notes)


# -- fall back -----------------------------------------------------------------------------------------------------


def test_fall_back_is_logged_with_its_reason(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wtal_core.video.frames"), FrameReader.open(clip("hevc.mp4")) as reader:
        assert reader.decoder == "pyav"
        assert "groups of pictures" in (reader.fallback_reason or "")
    assert "groups of pictures" in caplog.text
    assert "hevc.mp4" in caplog.text


def test_without_decord_pyav_reads(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert reader.decoder == "pyav"
        assert "imported" in (reader.fallback_reason or "")


def test_decord_failing_while_reading_falls_back(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader:
        assert reader.decoder == "decord"

        def broken(*_: Any) -> None:
            raise frames_module._NotExact("it lost a frame")

        monkeypatch.setattr(frames_module._DecordDecoder, "fill", broken)
        assert read_codes(reader.read([30, 2])) == [30, 2]
        assert reader.decoder == "pyav"
        assert reader.fallback_reason == "it lost a frame"
    with FrameReader.open(clip("h264.mp4"), "decord") as reader, pytest.raises(DataError, match="it lost a frame"):
        reader.read([0])


# -- one process ------------------------------------------------------------------------------------------------


def test_reader_does_not_pickle(clip: Clip) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader, pytest.raises(UsageError, match="open the file in each worker"):
        pickle.dumps(reader)


def test_reader_refuses_another_process(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(frames_module.os, "getpid", lambda: -1)
            with pytest.raises(UsageError, match="another process"):
                reader.read([0])
        assert read_codes(reader.read([1])) == [1]


def test_closed_reader(clip: Clip) -> None:
    reader = FrameReader.open(clip("h264.mp4"))
    reader.close()
    reader.close()
    with pytest.raises(UsageError, match="closed"):
        reader.read([0])


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indices", [[-1], [NUM_FRAMES], [0.5], [[0, 1]], ["a"], [True], [0, 10**12]])
def test_bad_indices(clip: Clip, indices: Any) -> None:
    with FrameReader.open(clip("h264.mp4")) as reader, pytest.raises(DataError, match=r"h264\.mp4"):
        reader.read(indices)


def test_bad_arguments(clip: Clip) -> None:
    with pytest.raises(UsageError, match="'pyav'"):
        FrameReader.open(clip("h264.mp4"), "pyavv")
    with FrameReader.open(clip("h264.mp4")) as reader:
        with pytest.raises(UsageError, match="batch"):
            next(reader.iter_frames(batch=0))
        with pytest.raises(DataError, match="fps"):
            reader.resampled(0)


def make_bad(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("# a label file\n" * 50)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "zeros":
        path.write_bytes(bytes(5000))
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    elif kind == "audio":
        write_clip(path, video=False, audio=True)
    elif kind == "cut-index":
        whole = write_clip(path).read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif kind == "header-only":
        write_clip(path, container_options={"movflags": "faststart"})
        content = path.read_bytes()
        path.write_bytes(content[: content.index(b"mdat") + 4])
    return path


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("empty", "0 bytes"),
        ("text", "cannot be opened as a video"),
        ("noise", "cannot be opened as a video"),
        ("zeros", "cannot be opened as a video"),
        ("playlist", "video"),
        ("audio", "holds no video stream.*audio"),
        ("cut-index", "cut off"),
        ("header-only", "0 of the 30 frames|cannot be opened|cut off"),
    ],
)
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_what_is_no_video(tmp_path: Path, kind: str, problem: str, decoder: str) -> None:
    path = make_bad(kind, tmp_path)
    with pytest.raises(DataError, match=problem) as caught:
        FrameReader.open(path, decoder)
    assert path.name in str(caught.value)


def test_header_without_frames_is_an_error_even_if_truncation_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        FrameReader.open(make_bad("header-only", tmp_path), allow_truncated=True)


def test_an_avi_cut_between_two_frames_is_truncated_too(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.avi", 150, gop=12, codec="mpeg4")
    whole = path.read_bytes()
    chunk = whole.rindex(b"00dc", 0, int(whole.rindex(b"idx1") * 0.93))  # all frames before are whole
    path.write_bytes(whole[:chunk])
    with pytest.raises(DataError, match=r"is truncated: \d+ bytes and \d+ of the 150 claimed frames"):
        FrameReader.open(path)
    with FrameReader.open(path, allow_truncated=True) as reader:
        assert 10 < reader.num_frames < 150


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("front.mp4", {"container_options": {"movflags": "faststart"}}),
        ("pieces.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("cut.mkv", {}),
        ("reordered.mkv", {"codec": "h264-bframes"}),
        ("cut.webm", {"codec": "vp9"}),
        ("cut.avi", {"codec": "mpeg4"}),
    ],
)
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.93])
def test_truncated_files(tmp_path: Path, name: str, options: dict[str, Any], kept: float) -> None:
    path = write_clip(tmp_path / name, 150, gop=12, **options)
    whole = path.read_bytes()
    # An AVI's index and a Matroska's seek table stand at the end: cut into the frames before them.
    end = whole.rindex(b"idx1") if name.endswith("avi") else len(whole)
    path.write_bytes(whole[: int(end * kept)])
    with pytest.raises(DataError, match=r"is truncated.*no whole file is to be had, cut it") as caught:
        FrameReader.open(path)
    assert "claim" in str(caught.value) or "missing" in str(caught.value)
    with FrameReader.open(path, allow_truncated=True) as reader:
        assert 10 < reader.num_frames < 150
        assert reader.probe.truncated
        assert any("truncated" in note and f"{reader.num_frames} frames decode" in note for note in reader.notes)
        indices = [reader.num_frames - 2, 0, 5]
        assert read_codes(reader.read(indices)) == indices


def test_damaged_middle_is_never_passed_over_in_silence(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "damaged.mp4", 60, gop=20)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    for decoder in ("auto", "pyav"):
        with FrameReader.open(path, decoder) as reader:
            with pytest.raises(DataError, match=r"frame \d+ \(at .* s\) cannot be decoded"):
                reader.read(range(60))
            assert read_codes(reader.read([3, 1])) == [3, 1]  # the reader can still be used
            assert read_codes(reader.read([59])) == [59]


@settings(max_examples=25)
@given(position=st.floats(0, 1), length=st.integers(1, 64), seed=st.integers(0, 99))
def test_random_damage_raises_data_errors_only(
    clip: Clip, tmp_path_factory: pytest.TempPathFactory, position: float, length: int, seed: int
) -> None:
    content = bytearray(clip("h264.mp4").read_bytes())
    at = int(position * (len(content) - length))
    content[at : at + length] = np.random.default_rng(seed).bytes(length)
    path = tmp_path_factory.mktemp("damage") / "damaged.mp4"
    path.write_bytes(content)
    try:
        with FrameReader.open(path, "pyav", allow_truncated=True) as reader:
            assert reader.num_frames > 0
            assert len(reader.read(range(reader.num_frames))) == reader.num_frames
    except DataError as error:
        assert "damaged.mp4" in str(error)  # noqa: PT017 - most damaged files still open


# -- strips -----------------------------------------------------------------------------------------------------


def test_key_frames(clip: Clip) -> None:
    strip = key_frames(clip("h264.mp4"), [1.0, 0.0, 1.0, 50.0], height=HEIGHT // 2)
    assert strip.shape == (4, HEIGHT // 2, WIDTH // 2, 3)
    assert read_codes(strip) == [25, 0, 25, 39]
    with FrameReader.open(clip("vfr.mp4")) as reader:
        assert read_codes(key_frames(reader, np.array([2.0]), height=HEIGHT)) == [25]
        assert key_frames(reader, [], height=HEIGHT).shape == (0, HEIGHT, WIDTH, 3)
        assert key_frames(reader, [0.0], height=2 * HEIGHT).shape == (1, 2 * HEIGHT, 2 * WIDTH, 3)
        with pytest.raises(UsageError, match="height"):
            key_frames(reader, [0.0], height=0)


# -- real clips -----------------------------------------------------------------------------------------------------


def test_real_clips_decode(shared: Path) -> None:
    folders = [shared / "data" / name for name in ("real_clips", "activitynet_real_clips", "bmt_long_jump_i3d")]
    paths = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in (".mp4", ".avi")]
    assert len(paths) == 9
    rng = np.random.default_rng(0)
    for path in paths:
        with FrameReader.open(path) as auto, FrameReader.open(path, "pyav") as pyav:
            indices = [0, *rng.integers(0, auto.num_frames, 2), auto.num_frames - 1]
            np.testing.assert_array_equal(auto.read(indices), pyav.read(indices), err_msg=path.name)
            assert (np.diff(auto.timestamps) > 0).all()


@pytest.mark.parametrize(
    ("path", "size", "fps", "frames", "duration"),
    [
        ("activitynet_real_clips/v_GGSY1Qvo990.mp4", (320, 240), 19.62, 355, 355 / 19.62),
        ("activitynet_real_clips/v_ZNVhz7ctTq0.mp4", (480, 360), 30.0, 420, 14.0),
        ("bmt_long_jump_i3d/women_long_jump.mp4", (480, 360), 24.83, 871, 35.08),
    ],
)
def test_real_clip_properties(
    shared: Path, path: str, size: tuple[int, int], fps: float, frames: int, duration: float
) -> None:
    with FrameReader.open(shared / "data" / path) as reader:
        assert (reader.width, reader.height) == size
        assert reader.num_frames == frames
        assert reader.fps == pytest.approx(fps, abs=0.005)
        assert reader.duration == pytest.approx(duration, abs=0.005)
        assert reader.decoder == "decord"


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_memory_does_not_grow_with_the_video(tmp_path: Path, decoder: str) -> None:
    picture = coded_frame(77, 480, 640)
    path = write_clip(tmp_path / "long.mp4", [picture] * 3000, gop=250)
    script = f"""
import resource, sys
from wtal_core.video.frames import FrameReader
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
with FrameReader.open({str(path)!r}, {decoder!r}, threads=2) as reader:
    list(map(len, reader.iter_frames(range(600), batch=32)))
    early = peak()
    for batch in reader.iter_frames(range(600, 3000), batch=32):
        pass
print(peak() - early)
"""
    grown = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    assert grown < 200  # MiB; the 2,400 frames themselves are 2,109 MiB


def test_a_video_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.mp4"
    file.write_bytes(b"not for everyone")

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so that a mode of 000 shows nothing
    with pytest.raises(DataError, match=r"secret\.mp4: cannot be read: Permission denied.*Check its permissions"):
        FrameReader.open(file)
