"""Read the frames of a video exactly: by index, in any order, with their presentation times.

Two decoders stand behind one reader. decord is quicker; PyAV reads everything. `FrameReader` takes decord only where it
is known to be exact and falls back to PyAV otherwise, keeping the reason in `fallback_reason`. decord is not used for

* files it cannot open (AV1 with the bundled FFmpeg of decord 0.6),
* open groups of pictures, the usual case in HEVC: after a seek decord hands out the wrong frame for the leading ones,
* MPEG transport streams and other containers in which it fills gaps with copies of neighbouring frames,
* rotated or truncated files, and Matroska or AVI files with gaps between their frames (it hides damage there).

Time 0 is the first video frame (see `wtal_core.video.probe`). Where a video's frame rate varies, an index divided by an
average rate is not a time: use `timestamps`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Frames, IntArray
from wtal_core.errors import DataError, MissingDependency, UsageError, unknown_name
from wtal_core.snippet_grid import SnippetGrid, nearest_frames
from wtal_core.video.probe import VideoProbe, import_av, import_cv2, open_container, probe_video, video_stream

__all__ = ["FrameReader", "key_frames"]


log = logging.getLogger(__name__)

#: A batch holds at most this many bytes of decoded frames, however many were asked for.
_BATCH_BYTES = 256 << 20
#: Frames to decode and drop rather than seek (a seek costs about as much as this many small frames).
_SKIP = 16
_DECORD_CONTAINERS = frozenset({"mp4", "matroska", "webm", "avi"})


class FrameReader:
    """Frames of one video by index. Open it with `FrameReader.open`.

    Attributes:
        path: the file.
        decoder: "decord" or "pyav", the one in use.
        fallback_reason: why decord is not in use, None where it is or was not asked for.
        num_frames, width, height: of the frames handed out, upright.
        fps: average frames a second.
        duration: seconds from the first frame's start to the last frame's end.
        timestamps: `(num_frames,)` float64 presentation times in seconds, starting at 0, increasing, read-only.
        start_seconds: the first frame's time on the file's own clock; a browser's `<video>` adds it to our times.
        codec: e.g. "h264".
        rotation: degrees counter-clockwise by which the stored frames were turned upright.
        notes: what a user should know of this file (rotation, truncation, assumed times).
        probe: everything else that is known of the file.
    """

    def __init__(self, probe: VideoProbe, decoder: str, threads: int) -> None:
        self.probe = probe
        self.path: Path = probe.path
        self.num_frames = probe.num_frames
        self.fps = probe.fps
        self.duration = probe.duration
        self.width, self.height = probe.width, probe.height
        self.timestamps = probe.timestamps
        self.start_seconds = probe.start_seconds
        self.codec = probe.codec
        self.rotation = probe.rotation
        self.notes = probe.notes
        self.fallback_reason: str | None = None
        self._threads = threads
        self._process = os.getpid()
        self._last: tuple[int, Frames] | None = None
        self._may_fall_back = decoder == "auto"
        self._decoder: _Decoder | None = None
        if decoder in ("auto", "decord"):
            try:
                self._decoder = _DecordDecoder(probe, threads)
            except (_NotExact, MissingDependency) as error:
                if decoder == "decord":
                    if isinstance(error, MissingDependency):
                        raise
                    raise DataError(
                        f"decord cannot read this file exactly: {error}",
                        where=probe.path,
                        next_step='Use decoder="auto" or "pyav"',
                    ) from error
                self._fall_back(str(error))
        if self._decoder is None:
            self._decoder = _PyavDecoder(probe, threads)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        decoder: Literal["auto", "decord", "pyav"] | str = "auto",
        *,
        allow_truncated: bool = False,
        threads: int = 0,
    ) -> FrameReader:
        """Open a video file.

        Args:
            path: video file; H.264, HEVC, VP8, VP9, MPEG-4 or AV1 in mp4, mkv, webm or avi, and what else FFmpeg reads.
            decoder: "auto" (decord where it is exact, else PyAV), "decord" or "pyav".
            allow_truncated: hand out the frames that decode of a file that was cut off, with a note.
            threads: decoding threads, 0 = as many as there are cores.

        Raises:
            DataError: the file is missing, empty, a folder, not a video, without frames, or truncated.
            UsageError: there is no such decoder.
        """
        if decoder not in ("auto", "decord", "pyav"):
            raise unknown_name("decoder", decoder, ("auto", "decord", "pyav"))
        return cls(probe_video(path, allow_truncated=allow_truncated), decoder, threads)

    @property
    def decoder(self) -> str:
        """Name of the decoder in use; "closed" after `close`."""
        return "closed" if self._decoder is None else self._decoder.name

    def __len__(self) -> int:
        return self.num_frames

    def __repr__(self) -> str:
        return (
            f"FrameReader({self.path.name!r}, {self.decoder}, {self.codec}, {self.width}x{self.height}, "
            f"{self.num_frames} frames, {self.fps:.2f} fps, {self.duration:.2f} s)"
        )

    def read(self, indices: npt.ArrayLike | range | slice) -> Frames:
        """Return frames `indices` as `(n, H, W, 3)` uint8 RGB, in the order asked for; repeats are allowed.

        All frames are held in memory at once: use `iter_frames` for more than a few hundred.

        Raises:
            DataError: an index is not an integer in `[0, num_frames)`, or a frame cannot be decoded.
        """
        wanted = self._check_indices(indices)
        unique, inverse = np.unique(wanted, return_inverse=True)
        frames = np.empty((unique.size, self.height, self.width, 3), dtype=np.uint8)
        self._fill(unique, frames)
        return frames if np.array_equal(unique, wanted) else frames[inverse]

    def iter_frames(self, indices: npt.ArrayLike | range | slice | None = None, batch: int = 64) -> Iterator[Frames]:
        """Yield frames `indices` (default: all) in the order asked for, as arrays `(<= batch, H, W, 3)`.

        A batch never exceeds 256 MiB, so that large frames come in smaller batches. Ascending indices are read in one
        pass through the file.
        """
        if batch < 1:
            raise UsageError(
                "the batch is too small",
                expected="an integer >= 1",
                got=str(batch),
                next_step="Choose a number of frames",
            )
        wanted = self._check_indices(range(self.num_frames) if indices is None else indices)
        step = int(max(1, min(batch, _BATCH_BYTES // (self.height * self.width * 3))))
        for first in range(0, wanted.size, step):
            yield self.read(wanted[first : first + step])

    def resampled(self, fps: float) -> IntArray:
        """Return for each tick of a clock of `fps` the index of the frame that is on screen then.

        Ticks are at `k / fps` seconds for as many whole frame periods as fit into the duration (at least one).
        """
        clock = SnippetGrid(fps=fps, stride=1, window=1, num_snippets=0, duration=self.duration)
        return clock.resample(self.timestamps)

    def at(self, seconds: npt.ArrayLike) -> IntArray:
        """Return the index of the frame on screen at each time in seconds (clipped to the video)."""
        return nearest_frames(self.timestamps, seconds)

    def close(self) -> None:
        """Release the decoder; the reader cannot be read afterwards."""
        if self._decoder is not None and self._process == os.getpid():
            self._decoder.close()
        self._decoder = self._last = None

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a FrameReader cannot be sent to another process",
            where=self.path,
            next_step="Send the path and open the file in each worker",
        )

    # -- inside ---------------------------------------------------------------------------------------------------

    def _check_indices(self, indices: npt.ArrayLike | range | slice) -> IntArray:
        if isinstance(indices, slice):
            indices = range(*indices.indices(self.num_frames))
        array = np.atleast_1d(np.asarray(indices))
        if array.size == 0:
            return np.empty(0, dtype=np.int64)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise DataError(
                "frame indices are not a list of integers",
                expected="integers, shape (n,)",
                got=f"{array.dtype}, shape {array.shape}",
                where=self.path,
                next_step="Round the indices to integers and put them into one list",
            )
        bad = array[(array < 0) | (array >= self.num_frames)]
        if bad.size:
            raise DataError(
                "there is no such frame",
                expected=f"0 <= index < {self.num_frames}",
                got=str(int(bad[0])),
                where=self.path,
                next_step="Clip the indices to the frames of this file",
            )
        return array.astype(np.int64)

    def _fill(self, unique: IntArray, frames: Frames) -> None:
        """Decode the ascending, distinct `unique` into `frames`."""
        if self._decoder is None:
            raise UsageError("the video is closed", where=self.path, next_step="Open it again")
        if self._process != os.getpid():
            raise UsageError(
                "a FrameReader cannot be used in another process than the one that opened it",
                where=self.path,
                next_step="Open the file in each worker",
            )
        if unique.size == 0:
            return
        done = 0
        if self._last is not None and self._last[0] == unique[0]:
            frames[0], done = self._last[1], 1  # slow clocks ask for the last frame again: no seek for that
        if done < unique.size:
            try:
                self._decoder.fill(unique[done:], frames[done:])
            except _NotExact as error:
                if not self._may_fall_back:
                    raise DataError(
                        f"decord stopped: {error}", where=self.path, next_step='Use decoder="auto" or "pyav"'
                    ) from error
                self._decoder.close()
                self._fall_back(str(error))
                self._decoder = _PyavDecoder(self.probe, self._threads)
                self._decoder.fill(unique[done:], frames[done:])
        self._last = (int(unique[-1]), frames[-1].copy())

    def _fall_back(self, reason: str) -> None:
        self.fallback_reason = reason
        log.info("%s: read with PyAV instead of decord: %s", self.path, reason)


class _NotExact(Exception):
    """decord cannot read this file, or not exactly."""


class _Decoder(Protocol):
    name: str

    def fill(self, indices: IntArray, out: Frames) -> None:
        """Decode the ascending, distinct `indices` into `out`."""

    def close(self) -> None:
        """Release files and memory."""


class _DecordDecoder:
    name = "decord"

    def __init__(self, probe: VideoProbe, threads: int) -> None:
        for trouble, reason in (
            (probe.truncated, "the file is truncated"),
            (probe.rotation, "the file is rotated"),
            (probe.pts is None, "the container stores no exact frame times"),
            (probe.container not in _DECORD_CONTAINERS, f"decord is not exact in {probe.container} files"),
            (
                probe.container != "mp4" and probe.variable_frame_rate,
                "its frame times have gaps: if frames are damaged there, decord would not say so",
            ),
            (probe.open_gop, "its groups of pictures are open, where decord seeks to wrong frames"),
        ):
            if trouble:
                raise _NotExact(reason)
        try:
            import decord
        except (ImportError, OSError) as error:
            raise MissingDependency(
                f"decord cannot be imported: {error}", next_step="Install it: pip install 'wtal[video]'"
            ) from error
        decord.logging.set_level(decord.logging.QUIET)
        self._failures = (decord.DECORDError, RuntimeError)
        try:
            # fault_tol: raise at the first frame that would be replaced by a copy of its neighbour.
            self._reader: Any = decord.VideoReader(
                os.fspath(probe.path), ctx=decord.cpu(0), num_threads=threads, fault_tol=1e-12
            )
            count, shape = len(self._reader), tuple(self._reader[0].shape)
            times = np.asarray(self._reader.get_frame_timestamp(range(count)), dtype=np.float64)[:, 0]
        except self._failures as error:
            raise _NotExact(f"decord cannot open it ({_first_line(error)})") from error
        if count != probe.num_frames:
            raise _NotExact(f"decord counts {count} frames instead of {probe.num_frames}")
        if shape != (probe.height, probe.width, 3):
            raise _NotExact(f"decord gives frames of shape {shape}")
        # decord's times are float32.
        if np.abs(times - times[0] - probe.timestamps).max() > 1e-3 + 1e-6 * probe.duration:
            raise _NotExact("decord's frame times differ from the container's")

    def fill(self, indices: IntArray, out: Frames) -> None:
        # One frame at a time: decord's get_batch lets decoded frames pile up (over 1 GB on a 640x480 video) and is
        # no quicker.
        for row, index in enumerate(indices.tolist()):
            try:
                out[row] = self._reader[index].asnumpy()
            except self._failures as error:
                raise _NotExact(f"decord failed at frame {index} ({_first_line(error)})") from error

    def close(self) -> None:
        self._reader = None


class _PyavDecoder:
    name = "pyav"

    def __init__(self, probe: VideoProbe, threads: int) -> None:
        self._av = import_av()
        self._probe = probe
        self._threads = threads
        self._container: Any = None
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._next = -1  # index that the running decoder yields next; -1: none is running

    def fill(self, indices: IntArray, out: Frames) -> None:
        for row, index in enumerate(indices.tolist()):
            out[row] = self._picture(self._frame(index))

    def close(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
        self._container, self._next = None, -1

    def _picture(self, frame: Any) -> Frames:
        probe = self._probe
        sideways = probe.rotation % 180 != 0
        width, height = (probe.height, probe.width) if sideways else (probe.width, probe.height)
        picture: Frames = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.rot90(picture, k=probe.rotation // 90) if probe.rotation else picture

    def _frame(self, index: int) -> Any:
        """Return the decoded frame `index`, going on from the last one where that is shorter than a seek."""
        keys = self._probe.keyframes
        at = int(np.searchsorted(keys, index, side="right")) - 1
        key = int(keys[at]) if at > 0 else 0
        if not (0 <= self._next <= index and (self._probe.pts is None or key <= self._next + _SKIP)):
            self._start(key)
        found = self._advance(index)
        while found is None and at > 0 and self._probe.pts is not None:
            # The seek landed behind the frame, or the keyframe was none: start one keyframe earlier.
            at -= 1
            self._start(int(keys[at]) if at else 0)
            found = self._advance(index)
        if found is None:
            raise DataError(
                f"frame {index} (at {self._probe.timestamps[index]:.3f} s) cannot be decoded",
                where=self._probe.path,
                next_step="The file is damaged there: copy or download it again",
            )
        return found

    def _advance(self, index: int) -> Any | None:
        for at, frame in self._frames:
            self._next = at + 1
            if at == index:
                return frame
            if at > index:
                break
        self._next = -1
        return None

    def _start(self, key: int) -> None:
        """Run a decoder from keyframe `key`; from the start where that is 0 or there are no times to seek by."""
        pts = self._probe.pts
        if key > 0 and pts is not None:
            if self._container is None:
                self._open()
            stream = video_stream(self._container, self._probe.path)
            try:
                self._container.seek(int(pts[key]), stream=stream, backward=True)
            except (self._av.error.FFmpegError, OSError):
                pass  # no index to seek by: decode from the start
            else:
                self._frames, self._next = self._numbered(stream), -1
                return
        self.close()
        self._frames, self._next = self._numbered(self._open()), 0

    def _open(self) -> Any:
        self._container = open_container(self._probe.path)
        stream = video_stream(self._container, self._probe.path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        return stream

    def _numbered(self, stream: Any) -> Iterator[tuple[int, Any]]:
        """Yield `(display index, frame)`; packets that do not decode are passed over."""
        pts = self._probe.pts
        counted = 0
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
                if packet.is_corrupt:
                    continue
                decoded = packet.decode()
            except (StopIteration, self._av.error.EOFError):
                return
            except (self._av.error.FFmpegError, OSError):
                continue
            for frame in decoded:
                if frame.is_corrupt:
                    continue
                if pts is None:
                    yield counted, frame
                    counted += 1
                elif frame.pts is not None:
                    at = int(np.searchsorted(pts, frame.pts))
                    if at < pts.size and pts[at] == frame.pts:
                        yield at, frame


def _first_line(error: BaseException) -> str:
    """Return what FFmpeg or decord said, without its source position and stack trace."""
    text = str(error).strip().splitlines()
    return (text[0].split("Check failed:")[-1].strip() if text else type(error).__name__)[:160]


def key_frames(video: str | os.PathLike[str] | FrameReader, seconds: npt.ArrayLike, height: int) -> Frames:
    """Return the frames on screen at `seconds`, scaled to `height` pixels, for strips and galleries.

    Args:
        video: file (whose end may be missing) or open reader.
        seconds: `(n,)` times; those outside the video show its first or last frame.
        height: pixels; the width follows the aspect ratio.

    Returns:
        `(n, height, W, 3)` uint8 RGB.
    """
    cv2 = import_cv2()

    if height < 1:
        raise UsageError(
            "the height of a frame strip is too small",
            expected="pixels >= 1",
            got=str(height),
            next_step="Choose a height in pixels",
        )
    if not isinstance(video, FrameReader):
        with FrameReader.open(video, allow_truncated=True) as reader:
            return key_frames(reader, seconds, height)
    width = max(1, round(video.width * height / video.height))
    indices = video.at(np.atleast_1d(np.asarray(seconds, dtype=np.float64)))
    unique, inverse = np.unique(indices, return_inverse=True)
    small = np.empty((unique.size, height, width, 3), dtype=np.uint8)
    row = 0
    for frames in video.iter_frames(unique, batch=8):
        for frame in frames:
            small[row] = cv2.resize(
                frame, (width, height), interpolation=cv2.INTER_AREA if height < video.height else cv2.INTER_LINEAR
            )
            row += 1
    return small[inverse]
