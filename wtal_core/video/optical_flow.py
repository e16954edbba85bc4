"""Dense optical flow between consecutive frames, and how much a video moves.

`dis` (Dense Inverse Search, Kroeger et al., ECCV 2016; OpenCV's "medium" preset) is the default: on a 340x256 frame
about seventy times quicker than `tvl1` and nearly as exact on small motion. `tvl1` (Zach et al., 2007; OpenCV's Dual
TV-L1 with its defaults) is what the published I3D and UntrimmedNet flow features were computed from, there stored as
8-bit images that hold [-20, 20] pixels: `optical_flow(frames, "tvl1", bound=20)` has the same loss of precision.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Float32Array, FloatArray, Frames
from wtal_core.errors import DataError, MissingDependency, UsageError, unknown_name
from wtal_core.progress import progress_bar
from wtal_core.video.frames import FrameReader
from wtal_core.video.probe import import_cv2

__all__ = [
    "FLOW_KINDS",
    "PUBLISHED_BOUND",
    "flow_from_uint8",
    "flow_intensity",
    "flow_magnitude",
    "flow_to_uint8",
    "iter_flow",
    "optical_flow",
]


#: Name -> what it is, for help texts and provenance.
FLOW_KINDS: dict[str, str] = {
    "dis": "Dense Inverse Search, medium preset (default)",
    "dis-fast": "Dense Inverse Search, fast preset: a quarter of the time, overestimates small motion by some 10 %",
    "dis-ultrafast": "Dense Inverse Search, ultrafast preset: for previews",
    "tvl1": "Dual TV-L1, as published flow features use; about a second a frame pair",
}

#: Pixels a frame at which the published flow images saturate (TSN's extraction, I3D's preprocessing).
PUBLISHED_BOUND = 20.0


def optical_flow(frames: npt.ArrayLike, kind: str = "dis", *, bound: float | None = None) -> Float32Array:
    """Return the flow from each frame to the next.

    Args:
        frames: `(n, H, W)` grey or `(n, H, W, 3)` RGB, uint8, n >= 1.
        kind: one of `FLOW_KINDS`.
        bound: clip to [-bound, bound] pixels and quantise to 8 bits, as flow that was stored in image files.

    Returns:
        `(n - 1, H, W, 2)` float32, pixels a frame, x then y; x to the right and y downwards are positive.

    Raises:
        DataError: the frames are not such an array, or too small for the algorithm.
        UsageError: an unknown kind, or a bound that is not positive.
    """
    array = np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise DataError(
            "these are no frames",
            expected="uint8, shape (n, H, W) or (n, H, W, 3)",
            got=f"{array.dtype}, shape {array.shape}",
            where="optical_flow",
            next_step="Stack the decoded frames into one uint8 array",
        )
    if array.shape[0] == 0:
        raise DataError(
            "there are no frames", expected="at least one", where="optical_flow", next_step="Give at least one frame"
        )
    flows = np.empty((array.shape[0] - 1, *array.shape[1:3], 2), dtype=np.float32)
    for row, flow in enumerate(iter_flow(array, kind, bound=bound)):
        flows[row] = flow
    return flows


def iter_flow(frames: Iterable[Frames], kind: str = "dis", *, bound: float | None = None) -> Iterator[Float32Array]:
    """Yield the flow `(H, W, 2)` from each frame of a stream to the next; two frames are held at a time."""
    cv2 = import_cv2()

    estimate = _estimator(kind)
    if bound is not None:
        _check_bound(bound)
    before: Frames | None = None
    for frame in frames:
        grey = np.ascontiguousarray(frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
        if before is not None:
            flow = estimate(before, grey)
            yield flow if bound is None else flow_from_uint8(flow_to_uint8(flow, bound), bound)
        before = grey


def flow_to_uint8(flow: npt.ArrayLike, bound: float = PUBLISHED_BOUND) -> npt.NDArray[np.uint8]:
    """Quantise flow in pixels to 8 bits: [-bound, bound] -> [0, 255], halves to even, clipped (no motion is 128)."""
    _check_bound(bound)
    values = np.asarray(flow)
    if values.dtype != np.float32:  # float32 holds a flow field; no need to widen it
        values = values.astype(np.float64)
    scaled = (np.clip(values, -bound, bound) + bound) * (255 / (2 * bound))
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def flow_from_uint8(image: npt.ArrayLike, bound: float = PUBLISHED_BOUND) -> Float32Array:
    """Return the flow in pixels that an 8-bit flow image stands for (inverse of `flow_to_uint8` up to its rounding)."""
    _check_bound(bound)
    return (np.asarray(image, dtype=np.float32) * np.float32(2 * bound / 255) - np.float32(bound)).astype(np.float32)


def flow_magnitude(
    flow: npt.ArrayLike, convention: Literal["pixels", "8bit"] | str = "pixels", bound: float = PUBLISHED_BOUND
) -> FloatArray:
    """Return the mean length of the flow vectors of each frame.

    Args:
        flow: `(..., H, W, 2)` in pixels a frame.
        convention: "pixels", or "8bit": CMCS's, of flow images v in 0..255: each component becomes `v * 2 / 255 - 1`
            (so that `bound` pixels are 1) and the vector lengths are averaged.
        bound: pixels at which the 8-bit images saturate.

    Returns:
        `(...)` float64.
    """
    if convention == "pixels":
        squares = np.square(np.asarray(flow, dtype=np.float64))
    elif convention == "8bit":
        squares = np.square(np.arange(256) * 2.0 / 255 - 1)[flow_to_uint8(flow, bound)]
    else:
        raise unknown_name("flow convention", convention, ("pixels", "8bit"))
    return np.asarray(np.sqrt(squares[..., 0] + squares[..., 1]).mean(axis=(-2, -1)), dtype=np.float64)


def flow_intensity(
    video: FrameReader | str | os.PathLike[str],
    *,
    fps: float | None = None,
    kind: str = "dis",
    convention: Literal["pixels", "8bit"] | str = "8bit",
    short_side: int | None = 256,
    repeats: Literal["hold", "zero"] | str = "hold",
    quiet: bool = True,
) -> FloatArray:
    """Return how much each frame moves to the next: the mean length of its flow vectors.

    The video is streamed; memory does not grow with its length.

    Args:
        video: file or open reader.
        fps: clock to resample to by presentation times; None takes the file's own frames.
        kind: one of `FLOW_KINDS`.
        convention: "8bit" (CMCS's, of quantised flow images) or "pixels"; see `flow_magnitude`.
        short_side: shrink larger frames to this many pixels first (magnitudes are in shrunk pixels), None: keep them.
        repeats: what two ticks that show the same frame get: "hold" the last value, or "zero" as a re-encoded copy of
            the video would (the published pipeline; there a 10 fps video looks static at 25 fps).
        quiet: show no progress bar.

    Returns:
        `(n - 1,)` float64 for n frames; entry i belongs to the step from frame i to frame i + 1.
    """
    cv2 = import_cv2()

    if repeats not in ("hold", "zero"):
        raise unknown_name("rule for repeated frames", repeats, ("hold", "zero"))
    if short_side is not None and short_side < 16:
        raise UsageError(
            "short_side is too small for optical flow",
            expected="pixels >= 16",
            got=str(short_side),
            next_step="Choose 16 or more",
        )
    with ExitStack() as stack:
        reader = video if isinstance(video, FrameReader) else stack.enter_context(FrameReader.open(video))
        ticks = np.arange(reader.num_frames) if fps is None else reader.resampled(fps)
        distinct, row = np.unique(ticks, return_inverse=True)
        scale = 1.0 if short_side is None else min(1.0, short_side / min(reader.height, reader.width))
        size = (max(1, round(reader.width * scale)), max(1, round(reader.height * scale)))

        def shrunk() -> Iterator[Frames]:
            for frames in reader.iter_frames(distinct, batch=16):
                for frame in frames:
                    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
                    yield grey if scale == 1 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)

        steps = np.zeros(max(0, distinct.size - 1))
        with progress_bar(f"optical flow of {reader.path.name}", steps.size, quiet=quiet) as advance:
            for i, flow in enumerate(iter_flow(shrunk(), kind)):
                steps[i] = flow_magnitude(flow, convention)
                advance()
    # Tick i -> i + 1 shows the same frame again, or goes from distinct frame row[i] to row[i] + 1.
    if repeats == "zero":
        intensity = np.full(ticks.size - 1, flow_magnitude(np.zeros((1, 1, 2)), convention))
        moved = row[1:] != row[:-1]
        intensity[moved] = steps[row[:-1][moved]]
        return intensity
    return steps[np.maximum(row[1:] - 1, 0)] if steps.size else np.zeros(ticks.size - 1)


def _check_bound(bound: float) -> None:
    if not (np.isfinite(bound) and bound > 0):
        raise UsageError(
            "the flow bound is out of range",
            expected="pixels > 0",
            got=str(bound),
            next_step="Choose a bound in pixels, e.g. 20",
        )


def _estimator(kind: str) -> Callable[[Frames, Frames], Float32Array]:
    """Return a function of two grey frames `(H, W)`; a fresh algorithm object, since OpenCV's keep state."""
    cv2 = import_cv2()

    if kind not in FLOW_KINDS:
        raise unknown_name("optical flow", kind, FLOW_KINDS)
    if kind == "tvl1":
        if not hasattr(cv2, "optflow"):
            raise MissingDependency(
                "this OpenCV has no TV-L1 optical flow",
                next_step="Install opencv-contrib-python-headless (and remove opencv-python)",
            )
        algorithm: Any = cv2.optflow.DualTVL1OpticalFlow_create()
    else:
        algorithm = cv2.DISOpticalFlow_create(
            {
                "dis": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
                "dis-fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
                "dis-ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            }[kind]
        )

    def estimate(before: Frames, after: Frames) -> Float32Array:
        try:
            return np.asarray(algorithm.calc(before, after, None), dtype=np.float32)
        except cv2.error as error:
            raise DataError(
                f"{kind} optical flow failed",
                expected="frames of one size, at least 16 pixels wide and high",
                got=f"{before.shape} and {after.shape}",
                where="optical_flow",
                next_step="Resize all frames to one size first",
            ) from error

    return estimate
