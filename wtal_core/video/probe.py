"""What a video file holds: streams, exact frame times, rotation, and whether the file is whole.

Packets are read without decoding them, which is quick and gives every frame's presentation time. Times start at the
first video frame: `timestamps[0] == 0`. A file whose first frame lies later on the container's own clock (recorder
offsets, audio that begins earlier) keeps that lead in `start_seconds`: a browser's `<video>` shows the frame of time t
at `currentTime = start_seconds + t` (measured in Chromium for mp4 and webm), so 0 for nearly all files.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import DataError, MissingDependency
from wtal_core.files import read_start, require_file

__all__ = ["VideoProbe", "container_facts", "import_av", "import_cv2", "open_container", "probe_video", "video_stream"]


#: One coded packet is one shown frame, once the container has presentation times. VP8 (invisible reference frames) and
#: the MPEG-4 family in old containers (packed B-frames) break that rule and are counted by decoding.
_PACKET_IS_FRAME = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "prores"})


@dataclass(frozen=True, eq=False)
class VideoProbe:
    """What is known of one video file before its frames are decoded.

    `timestamps` are seconds of the first video frame's clock, ascending, one for each frame in display order; `pts` are
    the same instants in the container's `time_base`. `pts` is None where the container stores no presentation times in
    display order (AVI with B-frames): frames are then counted in the decoder's output order.
    """

    path: Path
    container: str  #: FFmpeg's short name, e.g. "mp4", "matroska", "webm", "avi"
    brand: str  #: major brand of an mp4 family file, else ""
    codec: str  #: e.g. "h264", "hevc", "vp9", "av1", "mpeg4"
    pixel_format: str
    width: int  #: as shown, after rotation
    height: int
    sample_aspect_ratio: Fraction  #: width of a pixel over its height, of frames as shown
    rotation: int  #: degrees counter-clockwise that a player turns the stored picture by: 0, 90, 180, 270
    timestamps: FloatArray
    pts: IntArray | None
    keyframes: IntArray  #: display indices of frames that decoding can start from
    open_gop: bool  #: some frames need the group of pictures before theirs
    time_base: Fraction
    duration: float  #: seconds, from the first frame's start to the last frame's end
    start_seconds: float  #: the first frame's time on the container's own clock
    has_audio: bool
    truncated: str = ""  #: what is missing, "" for a whole file
    notes: tuple[str, ...] = field(default=())

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return int(self.timestamps.size)

    @property
    def fps(self) -> float:
        """Average frames a second; meaningless as a clock where the frame rate varies."""
        return self.num_frames / self.duration

    @property
    def variable_frame_rate(self) -> bool:
        """Whether some frame is shown for noticeably longer or shorter than the median one (2 ms and 5 %)."""
        if self.num_frames < 3:
            return False
        steps = np.diff(self.timestamps)
        middle = float(np.median(steps))
        return bool((np.abs(steps - middle) > max(2e-3, 0.05 * middle)).any())


def import_av() -> Any:
    """Return PyAV, or raise `MissingDependency`."""
    return _import("av", "PyAV")


def import_cv2() -> Any:
    """Return OpenCV, or raise `MissingDependency`."""
    return _import("cv2", "OpenCV")


def _import(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependency(
            f"{name} is not installed", where="reading videos", next_step="Install it: pip install 'wtal[video]'"
        ) from error


def open_container(path: str | os.PathLike[str]) -> Any:
    """Open a video file with PyAV for reading.

    Raises:
        DataError: it is missing, empty, a folder, or not a media file that can be read.
    """
    av = import_av()
    file = require_file(path, "a video file")
    try:
        # A playlist or reference file disguised as a video must not make us open other files or the network.
        return av.open(os.fspath(file.resolve()), metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        head = read_start(file, "a video file", 12)  # says so where it is not ours to read
        problem = "cannot be opened as a video"
        if head[4:8] == b"ftyp":
            problem = "has no readable index (moov box): its recording, copy or download was cut off, or is damaged"
        elif head[:4] == b"RIFF" or head[:4] == b"\x1a\x45\xdf\xa3":
            problem = "is cut off or damaged before its first frame"
        raise DataError(
            problem,
            expected="a video file (mp4, mkv, webm, avi, ...)",
            got=getattr(error, "strerror", None) or str(error),
            where=file,
            next_step="Check that it plays in a video player; copy or download it again",
        ) from error


def video_stream(container: Any, path: Path) -> Any:
    """Return the first real video stream (cover pictures do not count) or raise `DataError`."""
    av = import_av()
    picture = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if stream.disposition & picture:
            continue
        if stream.codec_context is None:
            raise DataError(
                "its video stream has a codec that this build of FFmpeg does not know",
                where=path,
                next_step="Convert it to H.264 mp4",
            )
        return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
    raise DataError(
        "holds no video stream",
        expected="a file with a moving picture",
        got=f"streams: {kinds}",
        where=path,
        next_step="Name the video file itself, not its sound track",
    )


def probe_video(path: str | os.PathLike[str], *, allow_truncated: bool = False) -> VideoProbe:
    """Read a video file's frame times and properties without decoding more than it must.

    A file is *truncated* when it has fewer frames than its index claims (mp4), or ends before the length that its
    header claims (mkv, webm, avi, fragmented mp4). A fragmented mp4 or live mkv cut between two fragments claims
    nothing and cannot be told from a shorter video.

    Args:
        path: video file.
        allow_truncated: return the frames that do decode, with a note, instead of raising.

    Raises:
        DataError: the file is missing, empty, a folder, not a video, without a frame that decodes, or truncated.
    """
    file = require_file(path, "a video file").resolve()
    with open_container(file) as container:
        stream = video_stream(container, file)
        packets, last_end = _read_packets(container, stream)
        facts = container_facts(container, stream, file)
        missing = _missing(file, container, stream, packets, last_end)
    if missing and not allow_truncated:
        raise DataError(
            f"is truncated: {missing}",
            expected="a whole video",
            where=file,
            next_step="Copy or download it again; where no whole file is to be had, cut it: ffmpeg -i OLD -c copy NEW",
        )
    first_pts, width, height, rotation = _first_frame(file)
    frames = None if missing else _frames_of_packets(packets, facts, first_pts)
    frames = frames or _frames_by_decoding(file, packets, facts)
    if frames.ticks.size == 0:
        raise _no_frame(file)
    base, aspect = facts["time_base"], facts["sample_aspect_ratio"]
    timestamps = ((frames.ticks - frames.ticks[0]) * base.numerator / base.denominator).astype(np.float64)
    timestamps.flags.writeable = False
    tail = frames.last_duration * float(base)
    if tail <= 0:
        rate = float(facts["average_rate"] or 25)
        tail = float(np.median(np.diff(timestamps))) if timestamps.size > 1 else 1 / rate
    turned = rotation % 180 != 0
    return VideoProbe(
        path=file,
        container=facts["container"],
        brand=facts["brand"],
        codec=facts["codec"],
        pixel_format=facts["pixel_format"],
        width=height if turned else width,
        height=width if turned else height,
        sample_aspect_ratio=1 / aspect if turned else aspect,
        rotation=rotation,
        timestamps=timestamps,
        pts=frames.ticks if frames.presented else None,
        keyframes=frames.keyframes.astype(np.int64),
        open_gop=frames.open_gop,
        time_base=base,
        duration=float(timestamps[-1]) + tail,
        start_seconds=float(frames.ticks[0] * base),
        has_audio=facts["has_audio"],
        truncated=missing,
        notes=(*frames.notes, *_notes(timestamps, missing, rotation, aspect)),
    )


def _notes(timestamps: FloatArray, missing: str, rotation: int, aspect: Fraction) -> Iterator[str]:
    """Say what is unusual about a video that can be read."""
    steps = np.diff(timestamps)
    holes = np.flatnonzero(steps > max(1.0, 10 * float(np.median(steps)))) if steps.size else np.empty(0, np.int64)
    if holes.size:
        first = float(timestamps[holes[0]])
        yield f"{holes.size} times no new frame for long, first from {first:.2f} to {first + steps[holes[0]]:.2f} s"
    if missing:
        yield f"truncated: {missing}; {timestamps.size} frames decode"
    if rotation:
        yield f"frames are turned by {rotation} degrees counter-clockwise, as the file asks"
    if aspect != 1:
        yield f"pixels are not square ({aspect.numerator}:{aspect.denominator}); frames are given as stored"


@dataclass(frozen=True, eq=False)
class _Frames:
    """When frames are shown, in display order."""

    ticks: IntArray  #: in the container's time base
    presented: bool  #: the ticks are the container's presentation times
    keyframes: IntArray
    open_gop: bool
    last_duration: int  #: ticks that the last frame is shown for, 0 where not known
    notes: tuple[str, ...] = ()


def _frames_of_packets(packets: _Packets, facts: Mapping[str, Any], first_pts: int | None) -> _Frames | None:
    """Return the frames as the packets of a whole file tell them, or None where only decoding tells."""
    pts = packets.pts
    if pts is None or facts["codec"] not in _PACKET_IS_FRAME or first_pts != int(pts.min()):
        return None
    order = np.argsort(pts, kind="stable")
    # AVI stores decoding times only: FFmpeg's presentation times are guesses once frames are reordered.
    if (np.diff(pts[order]) <= 0).any() or (facts["container"] == "avi" and (np.diff(pts) < 0).any()):
        return None
    keys = packets.keyframe
    # Leading frames: packets after a keyframe in decoding order that are shown before it.
    later_min = np.minimum.accumulate(pts[::-1])[::-1]
    open_gop = bool((later_min[keys] < pts[keys]).any())
    return _Frames(pts[order], True, np.flatnonzero(keys[order]), open_gop, int(packets.duration[order][-1]))


def _frames_by_decoding(file: Path, packets: _Packets, facts: Mapping[str, Any]) -> _Frames:
    """Return the frames that decode, with the decoder's times, else the packets' decoding times, else evenly spaced."""
    ticks, keys, failures = _decode_all(file)
    notes = (f"{failures} packets could not be decoded",) if failures else ()
    keyframes, last = np.flatnonzero(keys), int(packets.duration[-1]) if packets.duration.size else 0
    if ticks.size and (ticks >= 0).all() and (np.diff(ticks) > 0).all() and facts["container"] != "avi":
        return _Frames(ticks, True, keyframes, False, last, notes)
    dts = packets.dts
    if dts is not None and dts.size == ticks.size and (np.diff(dts) > 0).all():
        return _Frames(dts, False, keyframes, True, last, notes)
    rate = facts["average_rate"] or Fraction(25)
    even = np.rint(np.arange(ticks.size) / float(rate * facts["time_base"])).astype(np.int64)
    assumed = f"the container stores no usable frame times; {float(rate):g} frames a second assumed"
    return _Frames(even, False, keyframes, True, last, (*notes, assumed))


@dataclass(frozen=True, eq=False)
class _Packets:
    """Columns over the video stream's packets in decoding order; a column is None where some packet lacks the value."""

    pts: IntArray | None
    dts: IntArray | None
    duration: IntArray
    keyframe: BoolArray
    count: int  #: including those an edit list discards
    corrupt: int


def _read_packets(container: Any, stream: Any) -> tuple[_Packets, float]:
    """Read all packets of all streams; also return the latest end of any of them in seconds."""
    av = import_av()
    rows: list[tuple[int | None, int | None, int, bool]] = []
    count = corrupt = 0
    last_end = 0.0
    packets = container.demux()
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.error.FFmpegError, OSError):
            break  # a damaged tail; what is missing shows in the counts
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base is not None:
            last_end = max(last_end, float((time + (packet.duration or 0)) * packet.time_base))
        if packet.size == 0:  # the end of a stream, or an empty AVI frame: the last picture stays
            continue
        if packet.stream_index != stream.index:
            continue
        count += 1
        if packet.is_corrupt:
            corrupt += 1
        elif not packet.is_discard:
            rows.append((packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe))

    def column(k: int) -> IntArray | None:
        values = [row[k] for row in rows]
        return None if not values or None in values else np.array(values, dtype=np.int64)

    return _Packets(
        pts=column(0),
        dts=column(1),
        duration=np.array([row[2] for row in rows], dtype=np.int64),
        keyframe=np.array([row[3] for row in rows], dtype=np.bool_),
        count=count,
        corrupt=corrupt,
    ), last_end


def container_facts(container: Any, stream: Any, file: Path) -> dict[str, Any]:
    """Return what the headers of an open file say of its video stream."""
    name = container.format.name
    if name.startswith("mov"):
        name = "mp4"
    elif name.startswith("matroska"):
        with file.open("rb") as handle:
            name = "webm" if b"webm" in handle.read(64) else "matroska"
    context = stream.codec_context
    return {
        "container": name,
        "brand": container.metadata.get("major_brand", "").strip(),
        "codec": context.codec.canonical_name,
        "pixel_format": context.pix_fmt or "",
        "time_base": stream.time_base,
        "average_rate": stream.average_rate or stream.guessed_rate,
        "sample_aspect_ratio": stream.sample_aspect_ratio or Fraction(1),
        "has_audio": bool(container.streams.audio),
    }


def _first_frame(file: Path) -> tuple[int | None, int, int, int]:
    """Decode one frame; return its pts, stored width and height, and rotation (degrees counter-clockwise)."""
    av = import_av()
    with open_container(file) as container:
        stream = video_stream(container, file)
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return frame.pts, frame.width, frame.height, round(frame.rotation / 90) * 90 % 360
            except (av.error.FFmpegError, OSError):
                continue
    raise _no_frame(file)


def _no_frame(file: Path) -> DataError:
    return DataError(
        "holds a video stream, but not one frame of it can be decoded",
        where=file,
        next_step="Check that it plays in a video player; copy or download it again",
    )


def _decode_all(file: Path) -> tuple[IntArray, BoolArray, int]:
    """Decode the whole video; return each output frame's pts (-1 for none), keyframe flags, and the failed packets."""
    av = import_av()
    pts: list[int] = []
    keys: list[bool] = []
    failures = 0
    with open_container(file) as container:
        stream = video_stream(container, file)
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                if packet.is_corrupt:
                    failures += 1
                    continue
                for frame in packet.decode():
                    if not frame.is_corrupt:
                        pts.append(-1 if frame.pts is None else frame.pts)
                        keys.append(bool(frame.key_frame))
            except StopIteration:
                break
            except av.error.EOFError:
                break
            except (av.error.FFmpegError, OSError):
                failures += 1
                if failures > 10_000:
                    break
    return np.array(pts, dtype=np.int64), np.array(keys, dtype=np.bool_), failures


def _missing(file: Path, container: Any, stream: Any, packets: _Packets, last_end: float) -> str:
    """Say what the container claims and the file does not have, or return ""."""
    claimed_frames = stream.frames if container.format.name.startswith("mov") else 0
    if claimed_frames and packets.count - packets.corrupt < claimed_frames:
        return f"{packets.count - packets.corrupt} of the {claimed_frames} frames that its index claims are there"
    size = file.stat().st_size
    short_bytes = 0 if claimed_frames else max(0, _claimed_bytes(file, size) - size)
    claimed_end = (container.duration or 0) / 1_000_000  # FFmpeg counts container times in microseconds
    step = float(1 / stream.average_rate) if stream.average_rate else 0.04
    tolerance = max(1.0, 0.02 * claimed_end)  # headers of whole files are sloppy about the length of the last frames
    if short_bytes:
        tolerance = 1.5 * step
    elif container.format.name == "avi":  # a header counts frames
        tolerance = max(0.2, 1.5 * step)
    if claimed_end - last_end > tolerance:
        text = f"it ends at {last_end:.2f} s, its header claims {claimed_end:.2f} s"
        return text + (f" ({short_bytes} bytes are missing)" if short_bytes else "")
    if short_bytes and packets.corrupt:
        return f"{short_bytes} bytes are missing and {packets.corrupt} frames are cut"
    if short_bytes and stream.frames > packets.count:  # an AVI cut between two frames: FFmpeg shortens its length to it
        frames = f"{stream.frames - packets.count} of the {stream.frames} claimed frames"
        return f"{short_bytes} bytes and {frames} are missing"
    return ""


def _claimed_bytes(file: Path, size: int) -> int:
    """Return the file size that the outermost structure of an mp4, Matroska or AVI file claims, else 0."""
    with file.open("rb") as handle:
        head = handle.read(4096)
        if head[:4] == b"RIFF":  # "RIFF", uint32 size of what follows
            return 8 + int.from_bytes(head[4:8], "little")
        if head[:4] == b"\x1a\x45\xdf\xa3":  # EBML: header element, then the one Segment (RFC 8794, RFC 9559)
            position, end = _ebml_size(head, 4)
            segment = position + (end or 0)
            if head[segment : segment + 4] != b"\x18\x53\x80\x67":
                return 0
            position, length = _ebml_size(head, segment + 4)
            return 0 if length is None else position + length
        if head[4:8] != b"ftyp":
            return 0
        position = 0  # ISO BMFF: boxes of (uint32 size, type); size 1 = a uint64 follows, 0 = to the end of the file
        while position + 8 <= size:
            handle.seek(position)
            box = handle.read(16)
            length = int.from_bytes(box[:4], "big")
            if length == 1:
                length = int.from_bytes(box[8:16], "big")
            if length < 8:
                break
            position += length
        return position


def _ebml_size(data: bytes, position: int) -> tuple[int, int | None]:
    """Read an EBML variable-length size; return the position after it and the size (None = unknown)."""
    if position >= len(data) or data[position] == 0:
        return position, None
    length = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + length], "big") & ((1 << 7 * length) - 1)
    return position + length, None if value == (1 << 7 * length) - 1 else value
