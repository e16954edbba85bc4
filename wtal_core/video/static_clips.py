"""Mine static clips: stretches of a video that hardly move and serve as background examples.

CMCS (Liu, Jiang, Wang, CVPR 2019) joins the static snippets of each training video into a pseudo video that is labelled
background ("hard negatives": same scene, no action). The paper keeps the `rho` percent of frames with the least motion;
the official code, followed here, further takes the logarithm (which changes no order), median-filters the mask, drops
short runs and rejects videos in which too little or too much is static. It treats a run that lasts to the end of the
video differently from all others; `StaticClipConfig.whole_last_run` treats it as them.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import DataError, UsageError
from wtal_core.intervals import spans
from wtal_core.localization.proposals import median_filter
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.frames import FrameReader
from wtal_core.video.optical_flow import flow_intensity

__all__ = [
    "StaticClipConfig",
    "StaticClips",
    "drop_short_runs",
    "mine_static_clips",
    "mine_video",
    "static_mask",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticClipConfig:
    """How static clips are mined; the defaults are those of CMCS's official code."""

    rho: float = option(25.0, "frames below this percentile of motion are static", paper="25", low=0, high=100)
    smoothing_seconds: float = option(2.0, "width of the median filter (49 frames at 25 fps)", unit="seconds", low=0)
    min_seconds: float = option(2.0, "static runs shorter than this are dropped", unit="seconds", low=0)
    whole_last_run: bool = False
    """Treat a static run that lasts to the video's end as any other. The official code counts one frame less of it,
    and leaves its last frame static where it drops the run."""
    min_ratio: float = option(0.05, "a video with a smaller static part is rejected", low=0, high=1)
    max_ratio: float = option(0.30, "a video with a larger static part is rejected", low=0, high=1)
    epsilon: float = option(1e-7, "added to the intensity before the logarithm", low=1e-30)

    def __post_init__(self) -> None:
        check(self)
        if self.min_ratio > self.max_ratio:
            raise UsageError(
                "min_ratio exceeds max_ratio",
                got=f"{self.min_ratio} > {self.max_ratio}",
                where="StaticClipConfig",
                next_step="Choose min_ratio <= max_ratio",
            )

    def kernel(self, fps: float) -> int:
        """Return the median filter's width in frames, odd: `2 * fps - 1` for the default two seconds."""
        return max(1, 2 * round(self.smoothing_seconds * fps / 2) - 1)

    def min_run(self, fps: float) -> int:
        """Return the least number of frames that a static run has."""
        return round(self.min_seconds * fps)


@dataclass(frozen=True, eq=False)
class StaticClips:
    """The static part of one video."""

    mask: BoolArray  #: (frames of the grid's clock,) True where static
    ratio: float  #: share of static frames
    accepted: bool  #: whether the ratio lies within the configured bounds
    snippet_mask: BoolArray  #: (T,) True for snippets that start on a static frame
    segments: FloatArray  #: (M, 2) static runs [start, end) in seconds

    @property
    def snippet_indices(self) -> IntArray:
        """Indices of the static snippets, whose features make up the background pseudo video."""
        return np.flatnonzero(self.snippet_mask).astype(np.int64)

    @property
    def usable(self) -> bool:
        """Whether there is a pseudo video: the ratio is accepted and at least one snippet starts on a static frame."""
        return self.accepted and bool(self.snippet_mask.any())


def drop_short_runs(mask: npt.ArrayLike, min_run: int, *, whole_last_run: bool = False) -> BoolArray:
    """Return `mask` (N,) without its runs of True of fewer than `min_run`; one of exactly `min_run` stays.

    Args:
        whole_last_run: a run that lasts to the end of the array is a run like any other. Otherwise it ends before the
            last entry, which stays True (official code).
    """
    values = np.asarray(mask, dtype=np.bool_)
    if not whole_last_run and values.size and values[-1]:
        return np.append(drop_short_runs(values[:-1], min_run, whole_last_run=True), True)
    first, after = spans(values)
    keep = after - first >= min_run
    # +1 where a kept run starts, -1 behind its end; the running sum is the mask.
    steps = np.zeros(values.size + 1, dtype=np.int64)
    steps[first[keep]] += 1
    steps[after[keep]] -= 1
    return np.asarray(np.cumsum(steps[:-1]) > 0, dtype=np.bool_)


def static_mask(intensity: npt.ArrayLike, fps: float, config: StaticClipConfig | None = None) -> BoolArray:
    """Return which frames are static, one for each entry of `intensity`.

    Args:
        intensity: `(N,)` motion of each frame, >= 0 (see `wtal_core.video.optical_flow.flow_intensity`).
        fps: frames a second of that array, > 0.
        config: thresholds.

    Raises:
        DataError: the intensities are empty, negative or not finite, or fps is not positive.
    """
    config = config or StaticClipConfig()
    values = np.asarray(intensity, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise DataError(
            "there are no flow intensities",
            expected="shape (N,), N >= 1",
            got=f"shape {values.shape}",
            where="intensity",
            next_step="Give one intensity a frame",
        )
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise DataError(
            f"the flow intensity of frame {bad[0]} is {values[bad[0]]}",
            expected="finite numbers >= 0",
            got=f"{bad.size} of {values.size} are not",
            where="intensity",
            next_step="Compute the flow of these frames again",
        )
    if not (math.isfinite(fps) and fps > 0):
        raise DataError(
            "fps is out of range",
            expected="> 0",
            got=repr(fps),
            where="static clips",
            next_step="Give the frame rate of the intensities",
        )
    log_intensity = np.log(values + config.epsilon)
    below = log_intensity < np.percentile(log_intensity, config.rho)
    smooth = median_filter(below, config.kernel(fps))
    return drop_short_runs(smooth, config.min_run(fps), whole_last_run=config.whole_last_run)


def mine_static_clips(
    intensity: npt.ArrayLike, grid: SnippetGrid, config: StaticClipConfig | None = None
) -> StaticClips:
    """Find the static clips of one video.

    Args:
        intensity: `(N,)` motion of each frame of the grid's clock. N is the number of frames or one less.
        grid: where the video's snippets lie; a snippet is static where the frame at its start is.
        config: thresholds; default as published.

    Raises:
        DataError: the intensities are not usable, or end long before the grid's last snippet.
    """
    config = config or StaticClipConfig()
    mask = static_mask(intensity, grid.fps, config)
    starts = np.rint(grid.to_frame(np.arange(grid.num_snippets))).astype(np.int64)
    if starts.size and starts[-1] > mask.size + grid.window:
        raise DataError(
            "the flow intensities do not belong to these snippets",
            expected=f"at least {int(starts[-1])} frames at {grid.fps:g} frames a second",
            got=f"{mask.size}",
            where="static clips",
            next_step="Compute them on the clock of the features (same frames a second)",
        )
    snippet_mask = np.zeros(grid.num_snippets, dtype=np.bool_)
    inside = starts < mask.size
    snippet_mask[inside] = mask[starts[inside]]
    ratio = float(mask.mean())
    return StaticClips(
        mask=mask,
        ratio=ratio,
        accepted=config.min_ratio <= ratio <= config.max_ratio,
        snippet_mask=snippet_mask,
        segments=grid.frames_to_seconds(np.stack(spans(mask), axis=1)),
    )


def mine_video(
    video: FrameReader | str | os.PathLike[str],
    grid: SnippetGrid,
    config: StaticClipConfig | None = None,
    *,
    kind: str = "dis",
    quiet: bool = True,
) -> StaticClips:
    """Compute a video's flow intensity on the grid's clock and find its static clips."""
    return mine_static_clips(flow_intensity(video, fps=grid.fps, kind=kind, quiet=quiet), grid, config)
