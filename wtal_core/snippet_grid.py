"""Snippet index <-> frame <-> second: the only place in the project where this arithmetic lives.

Three axes are used, all starting at 0 and real-valued:

* **position**, in snippets. Snippet `i` owns the cell `[i, i + 1)`; a run of snippets `first..last` covers
  `[first, last + 1)`.
* **frame**, in frames of the grid's clock (`fps` frames a second), not of the file's own frame rate.
* **time**, in seconds of the source video.

`frame = offset + position * stride` and `time = frame / fps`. Position 0 is therefore the *start* of snippet 0, the
convention of the official implementations (16-frame steps at 25 fps are 0.64 s; CMCS, ACM-Net, HAM-Net and W-TALC put a
snippet's value at its start). A snippet *sees* `window` frames from its start, which matters for features, not for the
time axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError, unknown_name
from wtal_core.summary import Summarized, Summary

__all__ = ["GRID_PRESETS", "SnippetGrid", "finite_or_none", "is_finite_number", "nearest_frames", "seconds_of"]


#: Common feature grids as (fps, stride, window), with where they come from.
GRID_PRESETS: dict[str, tuple[float, float, float]] = {
    "i3d-25fps-16": (25.0, 16.0, 16.0),  # W-TALC features: HAM-Net, ACM-Net, deep metric learning
    "i3d-30fps-16": (30.0, 16.0, 16.0),  # CMCS on THUMOS14 keeps the native rate (mostly 30 fps)
    "i3d-25fps-64": (25.0, 64.0, 64.0),  # BMT / video_features
    "unt-25fps-15": (25.0, 15.0, 15.0),  # UntrimmedNet snippets of CMCS on ActivityNet and of ACN
    "unt-30fps-15": (30.0, 15.0, 15.0),  # UntrimmedNet snippets of CMCS on THUMOS14
}


#: Boundaries beyond this many snippets are not told apart: floats are exact integers up to here.
_FARTHEST = 2.0**53


def is_finite_number(value: object) -> bool:
    """Return whether `value` is a finite Python or NumPy number; True and False are none."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what floats reach
        return False


def finite_or_none(value: object) -> float | None:
    """Return a finite number as float, and None for anything else that a file may say in its place."""
    return float(value) if isinstance(value, int | float) and is_finite_number(value) else None


@dataclass(frozen=True, slots=True)
class SnippetGrid(Summarized):
    """Where the snippets of one video lie in time.

    Args:
        fps: frames a second of the clock that snippets are cut on, > 0.
        stride: frames from one snippet's start to the next one's, > 0.
        window: frames that one snippet sees, > 0.
        offset: frame at which snippet 0 starts, >= 0.
        num_snippets: number of snippets T, >= 0.
        duration: length of the source video in seconds, > 0, or None where it is not known.

    Raises:
        DataError: a value is not a finite number in its range.
    """

    fps: float
    stride: float
    window: float
    num_snippets: int
    offset: float = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        for name, low_ok in (("fps", False), ("stride", False), ("window", False), ("offset", True)):
            value = getattr(self, name)
            if not is_finite_number(value) or value < 0 or (value == 0 and not low_ok):
                raise DataError(
                    f"{name} is out of range",
                    expected=f"a finite number {'>= 0' if low_ok else '> 0'}",
                    got=repr(value),
                    where="SnippetGrid",
                    next_step=f"Give {name} in frames{' a second' if name == 'fps' else ''}",
                )
            object.__setattr__(self, name, float(value))
        if (
            isinstance(self.num_snippets, bool)
            or not isinstance(self.num_snippets, int | np.integer)
            or self.num_snippets < 0
        ):
            raise DataError(
                "num_snippets is out of range",
                expected="an integer >= 0",
                got=repr(self.num_snippets),
                where="SnippetGrid",
                next_step="Give the number of feature vectors of the video",
            )
        object.__setattr__(self, "num_snippets", int(self.num_snippets))
        if self.duration is not None:
            if not is_finite_number(self.duration) or self.duration <= 0:
                raise DataError(
                    "duration is out of range",
                    expected="a finite number of seconds > 0, or None",
                    got=repr(self.duration),
                    where="SnippetGrid",
                    next_step="Leave the duration out where it is not known",
                )
            object.__setattr__(self, "duration", float(self.duration))

    # -- construction ---------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, name: str, num_snippets: int, duration: float | None = None) -> SnippetGrid:
        """Return one of `GRID_PRESETS` for a video of `num_snippets` snippets and `duration` seconds."""
        if name not in GRID_PRESETS:
            raise unknown_name("snippet grid", name, GRID_PRESETS)
        fps, stride, window = GRID_PRESETS[name]
        return cls(fps=fps, stride=stride, window=window, num_snippets=num_snippets, duration=duration)

    @classmethod
    def for_duration(
        cls, duration: float, *, fps: float, stride: float, window: float, offset: float = 0.0
    ) -> SnippetGrid:
        """Return the grid with as many whole snippets as fit into `duration` seconds (at least one)."""
        empty = cls(fps=fps, stride=stride, window=window, offset=offset, num_snippets=0, duration=duration)
        return replace(empty, num_snippets=empty.expected_num_snippets())

    @classmethod
    def rescaled(cls, num_snippets: int, duration: float) -> SnippetGrid:
        """Return the grid of `num_snippets` snippets spread evenly over a video of `duration` seconds."""
        return cls(
            fps=max(num_snippets, 1) / duration, stride=1, window=1, num_snippets=num_snippets, duration=duration
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: object | None = None) -> SnippetGrid:
        """Rebuild a grid from `to_dict()`; unknown or missing keys are errors."""
        known = ["fps", "stride", "window", "num_snippets", "offset", "duration"]
        for key in values:
            if key not in known:
                raise unknown_name("grid key", key, known, where=where, usage=False)
        missing = [key for key in known[:4] if key not in values]
        if missing:
            raise DataError(
                "the snippet grid is incomplete",
                expected=", ".join(known[:4]),
                got=f"no {missing}",
                where=where,
                next_step="Add the missing keys",
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict, for attributes and JSON."""
        return asdict(self)

    def _summary(self, rows: int) -> Summary:
        """Return the grid in short."""
        facts = [(name, "not known" if value is None else f"{value:g}") for name, value in self.to_dict().items()]
        return Summary(f"Snippet grid: {self.num_snippets:,} snippets of {self.step_seconds:g} s", facts=facts)

    def with_snippets(self, num_snippets: int) -> SnippetGrid:
        """Return the same grid with another number of snippets."""
        return replace(self, num_snippets=num_snippets)

    def coarser(self, factor: int, phase: int = 0) -> SnippetGrid:
        """Return the grid of every `factor`-th snippet, starting with snippet `phase` (CMCS's phase shifts).

        The window is kept: each remaining snippet still sees the frames it saw.
        """
        if not isinstance(factor, int | np.integer) or factor < 1 or not 0 <= phase < factor:
            raise DataError(
                "this is no coarser grid",
                expected="an integer factor >= 1 and a phase in [0, factor)",
                got=f"factor {factor}, phase {phase}",
                where="SnippetGrid",
                next_step="Choose factor >= 1 and a phase below it",
            )
        return replace(
            self,
            stride=self.stride * factor,
            offset=self.offset + phase * self.stride,
            num_snippets=max(0, -(-(self.num_snippets - phase) // factor)),
        )

    # -- seconds ---------------------------------------------------------------------------------------------

    @property
    def step_seconds(self) -> float:
        """Seconds from one snippet's start to the next one's."""
        return self.stride / self.fps

    @property
    def end_seconds(self) -> float:
        """End of the last snippet's cell in seconds."""
        return float(self.to_seconds(self.num_snippets))

    @overload
    def to_seconds(self, position: float) -> float: ...
    @overload
    def to_seconds(self, position: npt.NDArray[Any]) -> FloatArray: ...
    def to_seconds(self, position: Any) -> Any:
        """Convert positions (snippets) to seconds; snippet `i` owns `[to_seconds(i), to_seconds(i + 1))`."""
        return (self.offset + np.asarray(position, dtype=np.float64) * self.stride) / self.fps

    @overload
    def to_position(self, seconds: float) -> float: ...
    @overload
    def to_position(self, seconds: npt.NDArray[Any]) -> FloatArray: ...
    def to_position(self, seconds: Any) -> Any:
        """Convert seconds to positions in snippets (real-valued, unclipped; inverse of `to_seconds`)."""
        return (np.asarray(seconds, dtype=np.float64) * self.fps - self.offset) / self.stride

    def snippet_at(self, seconds: npt.ArrayLike) -> IntArray:
        """Return the index of the snippet whose cell holds each time, clipped to `[0, num_snippets - 1]`."""
        # A relative nudge keeps `snippet_at(to_seconds(i)) == i` in floating point.
        position = self.to_position(np.asarray(seconds, dtype=np.float64))
        if np.isnan(position).any():
            raise DataError(
                "a time is NaN",
                expected="seconds",
                where="SnippetGrid.snippet_at",
                next_step="Drop times without a value",
            )
        index = np.floor(position + 1e-9 * np.maximum(1.0, np.abs(position)))
        clipped: IntArray = np.clip(index, 0, max(self.num_snippets - 1, 0)).astype(np.int64)
        return clipped

    def nearest_boundary(self, seconds: npt.ArrayLike) -> IntArray:
        """Round times to the nearest snippet boundary, halves to even (W-TALC: `round(seconds * 25 / 16)`)."""
        boundary = np.rint(self.to_position(np.asarray(seconds, dtype=np.float64)))
        return np.clip(boundary, -_FARTHEST, _FARTHEST).astype(np.int64)

    def edges(self) -> FloatArray:
        """Return the T + 1 cell edges in seconds."""
        return self.to_seconds(np.arange(self.num_snippets + 1))

    def centres(self) -> FloatArray:
        """Return the T cell centres in seconds."""
        return self.to_seconds(np.arange(self.num_snippets) + 0.5)

    def clip_seconds(self, seconds: npt.ArrayLike) -> FloatArray:
        """Clip times to `[0, duration]` (to the end of the grid where the duration is not known)."""
        return np.clip(
            np.asarray(seconds, dtype=np.float64),
            0.0,
            self.end_seconds if self.duration is None else self.duration,
        )

    def mask(self, start: npt.ArrayLike, end: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return `(T,)`: True where a snippet's centre lies in any of the intervals `[start, end)` in seconds."""
        centres = self.centres()[:, None]
        inside = (centres >= np.atleast_1d(start)[None, :]) & (centres < np.atleast_1d(end)[None, :])  # (T, N)
        return np.asarray(inside.any(axis=1), dtype=np.bool_)

    # -- frames ---------------------------------------------------------------------------------------------------

    @property
    def num_frames(self) -> int:
        """Number of frames of the grid's clock in the source video (to the end of the last window if unknown)."""
        if self.duration is None:
            return math.ceil(self.offset + max(self.num_snippets - 1, 0) * self.stride + self.window)
        return max(1, math.floor(self.duration * self.fps + 1e-6))

    def snippet_frames(self) -> IntArray:
        """Return `(T, window)` frames of the grid's clock that each snippet sees; past the end the last one repeats."""
        starts = np.rint(self.offset + np.arange(self.num_snippets) * self.stride).astype(np.int64)
        frames = starts[:, None] + np.arange(max(1, round(self.window)), dtype=np.int64)[None, :]  # (T, window)
        return np.asarray(np.minimum(frames, max(self.num_frames - 1, 0)), dtype=np.int64)

    def frame_times(self) -> FloatArray:
        """Return the time in seconds at which each frame of the grid's clock is shown."""
        return np.arange(self.num_frames) / self.fps

    def to_frame(self, position: npt.ArrayLike) -> FloatArray:
        """Convert positions (snippets) to frames of the grid's clock."""
        return self.offset + np.asarray(position, dtype=np.float64) * self.stride

    def frames_to_seconds(self, frame: npt.ArrayLike) -> FloatArray:
        """Convert frames of the grid's clock to seconds."""
        return np.asarray(frame, dtype=np.float64) / self.fps

    def resample(self, timestamps: npt.ArrayLike) -> IntArray:
        """Return for each frame of the grid's clock the index of the decoded frame that is on screen then.

        Args:
            timestamps: presentation times of the decoded frames in seconds, increasing, shape `(N,)`. Variable frame
                rates are handled by these times; an average rate is never used.
        """
        return nearest_frames(timestamps, self.frame_times())

    # -- checking -------------------------------------------------------------------------------------------------

    def expected_num_snippets(self, duration: float | None = None) -> int:
        """Return how many whole snippets fit into `duration` seconds (default: the grid's own), at least 1."""
        duration = self.duration if duration is None else duration
        if duration is None:
            raise DataError(
                "the duration is not known",
                expected="a duration in seconds",
                where="SnippetGrid",
                next_step="Give the duration, or make the grid with one",
            )
        if not is_finite_number(duration) or duration <= 0:
            raise DataError(
                "duration is out of range",
                expected="a finite number of seconds > 0",
                got=repr(duration),
                where="SnippetGrid",
                next_step="Give the length of the video",
            )
        frames = math.floor(duration * self.fps + 1e-6)
        return max(1, math.floor((frames - self.offset - self.window) / self.stride) + 1)

    def explaining_fps(
        self, duration: float, candidates: tuple[float, ...] = (10, 12, 15, 24, 25, 29.97, 30, 50, 60)
    ) -> list[float]:
        """Return the frame rates (best first) for which `num_snippets` fits `duration` seconds to within one snippet.

        "63 snippets, but 25 fps implies 52; 63 is what 30 fps would give." Of rates that fit equally well (29.97 and
        30) the one nearest to the middle of what this number of snippets allows comes first.
        """
        self.expected_num_snippets(duration)  # refuses what is no duration
        middle = (self.offset + self.window + (self.num_snippets - 0.5) * self.stride) / duration
        fits = [
            (abs(replace(self, fps=fps).expected_num_snippets(duration) - self.num_snippets), abs(fps - middle), fps)
            for fps in candidates
        ]
        return [float(fps) for miss, _, fps in sorted(fits) if miss <= 1]


def nearest_frames(timestamps: npt.ArrayLike, times: npt.ArrayLike) -> IntArray:
    """Return the index of the last frame shown at or before each time (the first frame for earlier times).

    Args:
        timestamps: presentation times of the frames in seconds, non-decreasing, shape `(N,)`, N >= 1.
        times: query times in seconds, shape `(M,)`.

    Raises:
        DataError: there are no timestamps, or they are not finite and non-decreasing.
    """
    stamps = np.asarray(timestamps, dtype=np.float64)
    if stamps.ndim != 1 or stamps.size == 0:
        raise DataError(
            "there are no frame timestamps",
            expected="shape (N,), N >= 1",
            got=f"shape {stamps.shape}",
            next_step="Decode the file again, or give the frames' times as an array",
        )
    if not np.isfinite(stamps).all() or (np.diff(stamps) < 0).any():
        raise DataError(
            "the frame timestamps are not in order",
            expected="finite, non-decreasing seconds",
            next_step="Sort the frames by time, and drop those without one",
        )
    # Half a millisecond of tolerance: containers round timestamps (Matroska to 1 ms).
    index = np.searchsorted(stamps, np.asarray(times, dtype=np.float64) + 5e-4, side="right") - 1
    return np.clip(index, 0, stamps.size - 1).astype(np.int64)


def seconds_of(grids: Sequence[SnippetGrid], video: npt.ArrayLike, position: npt.ArrayLike) -> FloatArray:
    """Convert positions (snippets) of many videos to seconds at once.

    Args:
        grids: grid of each video.
        video: `(N,)` index into `grids` for each position.
        position: `(N,)` positions in snippets.
    """
    which = np.asarray(video, dtype=np.int64)
    offset, stride, fps = (np.array([getattr(g, name) for g in grids]) for name in ("offset", "stride", "fps"))
    return np.asarray((offset[which] + np.asarray(position, dtype=np.float64) * stride[which]) / fps[which])
