"""Tiny clips with known content, written with PyAV at test time."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

av = pytest.importorskip("av", reason="clips are written with PyAV: pip install 'wtal[video]'")

#: Encoder and its options for each codec: quick and lossy, but far from destroying a 24-pixel block.
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "crf": "18"}),
    "h264-bframes": ("libx264", {"preset": "veryfast", "crf": "18", "bf": "2", "x264-params": "b-adapt=0:scenecut=0"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "18", "x265-params": "log-level=none:pools=1:frame-threads=1"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"}),
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "1M"}),
    "av1": ("libsvtav1", {"preset": "12", "crf": "30", "svtav1-params": "lp=1"}),
    "mpeg4": ("mpeg4", {"qscale": "3"}),
}

BITS = 12
_BLOCK = 24
#: Four columns and three rows of blocks, one bit each; wider than they need be, as decord2, which stands in for decord
#: on ARM and macOS, takes frames of 96 pixels for four channels (rows are padded to 384 bytes).
HEIGHT, WIDTH = 3 * _BLOCK, 4 * (_BLOCK + 4)


def coded_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint8]:
    """Return a `(height, width, 3)` frame that carries `number` (< 4096) as twelve black or white blocks."""
    bits = (number >> np.arange(BITS)) & 1
    blocks = np.where(bits.reshape(3, 4) == 1, 220, 30).astype(np.uint8)
    grey = np.repeat(np.repeat(blocks, height // 3, axis=0), width // 4, axis=1)
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_codes(frames: npt.NDArray[np.uint8]) -> list[int]:
    """Read back the numbers of `(n, H, W, 3)` frames made by `coded_frame`."""
    n, height, width = frames.shape[:3]
    blocks = frames.mean(axis=3).reshape(n, 3, height // 3, 4, width // 4)
    margin_h, margin_w = height // 12, width // 16
    centres = blocks[:, :, margin_h:-margin_h, :, margin_w:-margin_w].mean(axis=(2, 4)).reshape(n, BITS)
    return [int(code) for code in ((centres > 128) << np.arange(BITS)).sum(axis=1)]


def require_encoder(codec: str) -> None:
    """Skip the test, saying why, where this build of PyAV cannot write `codec`."""
    try:
        av.codec.Codec(ENCODERS[codec][0], "w")
    except (av.error.FFmpegError, ValueError):
        pytest.skip(f"this build of PyAV has no {ENCODERS[codec][0]} encoder to make a {codec} clip with")


@contextmanager
def own_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1 does to the thread that calls it as root: a real-time one, it starves all others."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


@own_scheduling()
def write_clip(
    path: Path,
    frames: int | Sequence[npt.NDArray[np.uint8]] = 30,
    *,
    codec: str = "h264",
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    gop: int = 10,
    audio: bool = False,
    video: bool = True,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write `frames` (coded frames 0, 1, ... where a number is given) to `path` and return it.

    `times` gives every frame's presentation time in seconds (variable frame rate); `start` shifts them all.
    """
    require_encoder(codec)
    pictures = [coded_frame(i) for i in range(frames)] if isinstance(frames, int) else list(frames)
    shown = [i / fps for i in range(len(pictures))] if times is None else list(times)
    encoder, options = ENCODERS[codec]
    rate = Fraction(fps).limit_denominator(1001)
    # MPEG-4 codes times in at most 16 bits; AVI has no presentation times at all, only a frame rate.
    time_base = 1 / rate if codec == "mpeg4" else Fraction(1, 90_000 if path.suffix == ".mp4" else 1000)
    with av.open(os.fspath(path), "w", options=container_options or {}) as container:
        stream: Any = None
        if video:
            stream = container.add_stream(encoder, rate=rate, options={**options, "g": str(gop)})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = time_base
            stream.codec_context.thread_count = 1
            if codec.startswith("h264") and "bframes" not in codec:
                stream.codec_context.max_b_frames = 0
        sound: Any = None
        if audio:
            sound = container.add_stream("aac", rate=8000, layout="mono")
        if sound is not None:
            length = max(shown[-1] + 1 / fps, 0.2)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * length)), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts, silence.time_base = 8000, 0, Fraction(1, 8000)
            for packet in (*sound.encode(silence), *sound.encode(None)):
                container.mux(packet)
        if stream is not None:
            for picture, seconds in zip(pictures, shown, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round((seconds + start) / time_base), time_base
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
    return path


def rotate_mp4(path: Path, degrees: int) -> Path:
    """Set the display matrix of an mp4's first track, as telephones do, and return `path`."""
    content = bytearray(path.read_bytes())
    box = content.index(b"tkhd")
    version = content[box + 4]
    matrix = box + 4 + 4 + (32 if version else 20) + 16  # past version, flags, times, ids, layer, volume
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    struct.pack_into(">9i", content, matrix, cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
