"""Copies of videos that every browser plays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from wtal_core.errors import DataError, MissingDependency, UsageError
from wtal_core.files import atomic_path, require_file
from wtal_core.settings import check, option
from wtal_core.video.frames import FrameReader
from wtal_core.video.probe import container_facts, import_av, import_cv2, open_container, video_stream

__all__ = ["ProxyQuality", "make_proxy", "proxy_reason"]

#: Container -> codec -> pixel formats that Chromium, Firefox and Safari decode.
_PLAYABLE: dict[str, dict[str, frozenset[str]]] = {
    "mp4": {
        "h264": frozenset({"yuv420p", "yuvj420p"}),
        "vp9": frozenset({"yuv420p", "yuv420p10le"}),
        "av1": frozenset({"yuv420p", "yuv420p10le"}),
    },
    "webm": {
        "vp8": frozenset({"yuv420p", "yuva420p"}),
        "vp9": frozenset({"yuv420p", "yuva420p", "yuv420p10le"}),
        "av1": frozenset({"yuv420p", "yuv420p10le"}),
    },
}

_CLOCK = Fraction(1, 90_000)  # ticks of the copy's clock: divides all common frame rates to well below a millisecond


def proxy_reason(path: str | os.PathLike[str]) -> str | None:
    """Say why a file needs a browser copy, or return None where it plays as it is.

    H.264 (8 bit 4:2:0), VP9 and AV1 in mp4 or webm play in current browsers; HEVC, MPEG-4 ASP, avi, mkv and QuickTime
    do not. A video whose first frame is not at time 0 of its file plays with all times shifted.

    Raises:
        DataError: the file is not a video.
    """
    file = require_file(path, "a video file")
    with open_container(file) as container:
        stream = video_stream(container, file)
        facts = container_facts(container, stream, file)
        start = float((stream.start_time or 0) * stream.time_base)
        rate = float(stream.average_rate or 25)
    if facts["container"] not in _PLAYABLE:
        return f"browsers do not play {facts['container']} files everywhere"
    if facts["brand"] == "qt":
        return "browsers do not play QuickTime files everywhere"
    formats = _PLAYABLE[facts["container"]].get(facts["codec"])
    if formats is None:
        return f"browsers do not play {facts['codec']} in {facts['container']} files everywhere"
    if facts["pixel_format"] not in formats:
        return f"browsers do not play {facts['codec']} with {facts['pixel_format']} pixels everywhere"
    if abs(start) > 0.5 / rate:
        return f"its first frame is at {start:.3f} s of its own clock"
    return None


@dataclass(frozen=True)
class ProxyQuality:
    """How a browser copy is encoded."""

    max_height: int | None = option(720, "higher videos are scaled down, none keeps the size", unit="pixels", low=16)
    crf: float = option(23, "x264's constant rate factor: 0 is lossless, 23 is visually good", low=0, high=51)
    preset: str = option("veryfast", "x264's preset")
    keyframe_seconds: float = option(2.0, "longest time between frames a player can jump to", unit="seconds", low=0.01)

    def __post_init__(self) -> None:
        check(self)


def make_proxy(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    quality: ProxyQuality | None = None,
    *,
    allow_truncated: bool = False,
) -> Path:
    """Write an H.264 mp4 copy, without sound, that every browser plays and seeks in quickly.

    Every frame keeps its presentation time (variable frame rates stay variable), the first one is at 0, so that the
    copy's clock is that of `FrameReader.timestamps`. The index stands at the front of the file, so that playing starts
    before all is loaded.

    Args:
        path: video to copy.
        out: file to write; it appears only when complete.
        quality: size and compression.
        allow_truncated: copy the part of a cut-off file that is there.

    Returns:
        `out`.

    Raises:
        DataError: the video cannot be read or the copy not be written.
        UsageError: `out` is no mp4 file, or is the video itself.
    """
    out = Path(out)
    if out.suffix.lower() not in (".mp4", ".m4v"):
        raise UsageError(
            "a browser copy is an mp4 file",
            expected="a name that ends in .mp4",
            got=out.name,
            next_step=f"Name it {out.with_suffix('.mp4').name!r}",
        )
    if out.exists() and out.resolve() == Path(path).resolve():
        raise UsageError("the copy would overwrite the video", where=path, next_step="Name another file to write")
    av = import_av()
    try:
        av.codec.Codec("libx264", "w")
    except (av.error.FFmpegError, ValueError) as error:
        raise MissingDependency(
            "this build of PyAV has no H.264 encoder (libx264)", next_step="Install the wheel: pip install 'av>=15'"
        ) from error
    with FrameReader.open(path, allow_truncated=allow_truncated) as reader, atomic_path(out) as temporary:
        try:
            _encode(av, reader, temporary, quality or ProxyQuality())
        except (av.error.FFmpegError, OSError) as error:
            raise DataError(
                f"the browser copy cannot be written: {getattr(error, 'strerror', None) or error}",
                where=out,
                next_step="Check the free space and the x264 preset",
            ) from error
    return out


def _encode(av: Any, reader: FrameReader, target: Path, quality: ProxyQuality) -> None:
    cv2 = import_cv2()
    scale = 1.0 if quality.max_height is None else min(1.0, quality.max_height / reader.height)
    options = {"crf": f"{quality.crf:g}", "preset": quality.preset, "bf": "0", "forced-idr": "1"}
    # 4:2:0 needs even sides.
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (reader.width, reader.height))
    ticks = [round(Fraction(seconds) / _CLOCK) for seconds in (*reader.timestamps.tolist(), reader.duration)]
    with av.open(os.fspath(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        rate = Fraction(max(0.1, reader.fps)).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = _CLOCK
        context.gop_size = 100_000  # keyframes are set by time below
        context.sample_aspect_ratio = reader.probe.sample_aspect_ratio
        context.color_range, context.colorspace = 1, 6  # limited range, BT.601: what RGB is converted to
        durations = {first: after - first for first, after in pairwise(ticks)}

        def mux(packets: list[Any]) -> None:
            for packet in packets:
                packet.duration = max(1, durations.get(round(packet.pts * packet.time_base / _CLOCK), 1))
                container.mux(packet)

        number, last_key = 0, -float("inf")
        for batch in reader.iter_frames(batch=16):
            for picture in batch:
                if (width, height) != (reader.width, reader.height):
                    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
                )
                frame.pts, frame.time_base = ticks[number], _CLOCK
                if reader.timestamps[number] - last_key >= quality.keyframe_seconds - 1e-6:
                    frame.pict_type = av.video.frame.PictureType.I
                    last_key = float(reader.timestamps[number])
                mux(stream.encode(frame))
                number += 1
        mux(stream.encode(None))
