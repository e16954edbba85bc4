"""Turn a script into pictures, and pictures into an H.264 file."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.scenes import scene
from wtal_core.demo.stage import Image, light
from wtal_core.demo.story import Shot, VideoScript
from wtal_core.errors import MissingDependency
from wtal_core.files import atomic_path

__all__ = ["render_frames", "render_shot", "render_video"]


def render_shot(shot: Shot, size: tuple[int, int], fps: float) -> Iterator[Image]:
    """Yield the clean pictures of one shot, (height, width, 3) uint8 BGR, without grade and grain."""
    clip = scene(shot.scene).build(shot, size, fps)
    for index in range(len(clip)):
        yield np.asarray(cv2.resize(clip.frame(index), size, interpolation=cv2.INTER_AREA))


def render_frames(script: VideoScript) -> Iterator[Image]:
    """Yield all pictures of a video, (height, width, 3) uint8 BGR; the same script always gives the same pictures."""
    size = script.width, script.height
    vignette = _vignette(size)
    rng = np.random.default_rng([script.seed, 21])
    grain = _grain(size, script.grain, rng)
    for shot in script.shots:
        table = _grade(shot, script.exposure)
        for picture in render_shot(shot, size, script.fps):
            picture = cv2.LUT(picture, table)
            picture = cv2.multiply(picture, vignette, scale=1 / 255)
            if grain is not None:
                y, x = rng.integers(0, 64, 2)
                tile = grain[int(rng.integers(len(grain)))][y : y + size[1], x : x + size[0]]
                picture = cv2.add(picture, tile, dtype=cv2.CV_8U)
            yield np.asarray(picture)


def _grade(shot: Shot, exposure: float) -> NDArray[np.uint8]:
    """Return the lookup table (1, 256, 3) of a shot: exposure, the light's tint, a gentle contrast curve."""
    ramp = np.linspace(0, 1, 256)
    curve = ramp + 0.06 * np.sin(2 * np.pi * (ramp - 0.5)) / np.pi
    gain = light(shot.lighting).gain
    table = np.stack([np.clip(curve * g * exposure, 0, 1) * 255 for g in gain], -1)
    return np.asarray(np.rint(table)[None], np.uint8)


def _vignette(size: tuple[int, int]) -> NDArray[np.uint8]:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    away = np.hypot((x + 0.5) / size[0] - 0.5, (y + 0.5) / size[1] - 0.5)
    shade = 255 * (1 - 0.30 * np.clip(away - 0.32, 0, 1) ** 1.5 * 3)
    return np.repeat(np.rint(shade).astype(np.uint8)[..., None], 3, axis=2)


def _grain(size: tuple[int, int], sigma: float, rng: np.random.Generator) -> list[NDArray[np.int16]] | None:
    """Return a few tiles of soft luminance grain, larger than the picture so that offsets vary it."""
    if sigma <= 0:
        return None
    tiles = []
    for _ in range(6):
        raw = rng.standard_normal((size[1] + 64, size[0] + 64)).astype(np.float32)
        soft = cv2.GaussianBlur(raw, (0, 0), 0.7)
        soft *= sigma / float(soft.std())
        tiles.append(np.repeat(np.rint(soft).astype(np.int16)[..., None], 3, axis=2))
    return tiles


def _portable() -> dict[str, str]:
    """Return options with which x264 writes the same bytes every time and on every x86 processor.

    Its AVX-512 code for macroblock-tree rate control (x264 164) reads memory that nobody has written, so that two
    encodings of the same pictures differ; with SSE2 it gives what its plain C code gives, as quickly at this size.
    """
    return {"x264-params": "asm=SSE2"} if platform.machine().lower() in ("x86_64", "amd64", "i686") else {}


def render_video(
    script: VideoScript, path: str | os.PathLike[str], on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Render a script to an MP4 file (H.264, yuv420p, a key frame every two seconds, index at the front).

    The file appears under its name only when it is complete.

    Args:
        script: what to render.
        path: the file to write.
        on_progress: called with (frames done, frames in all) after every frame.

    Raises:
        MissingDependency: PyAV is not installed.
        DataError: the file cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise MissingDependency("rendering needs PyAV", next_step="pip install 'wtal[video]'") from error
    rate = Fraction(script.fps).limit_denominator(1001)
    total = script.frames
    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = script.width, script.height, "yuv420p"
        stream.options = {"crf": str(script.crf), "preset": "fast", "tune": "animation", **_portable()}
        context = stream.codec_context
        context.gop_size = max(round(2 * script.fps), 1)
        context.thread_count = 1  # the same bytes whatever the machine
        for done, picture in enumerate(render_frames(script), start=1):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame))
            if on_progress is not None:
                on_progress(done, total)
        container.mux(stream.encode())
