"""From "16 frames at 25 fps" to the snippet grid of each video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.records import Annotations
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid

__all__ = ["GridRule", "fitting_presets"]


@dataclass(frozen=True)
class GridRule:
    """What makes a grid out of a video's name and number of snippets, for files that do not say it themselves.

    Args:
        stride: frames from one snippet's start to the next one's.
        window: frames that one snippet sees.
        fps: frames a second of the clock that snippets were cut on; None where each video keeps its own rate
            (CMCS on THUMOS14), which then must be in `native_fps`.
        offset: frame at which snippet 0 starts.
        native_fps: the videos' own frame rates, used where `fps` is None.
        durations: seconds, where known.

    Raises:
        DataError: a value is not a finite number in its range.
    """

    stride: float
    window: float
    fps: float | None = None
    offset: float = 0.0
    native_fps: Mapping[str, float] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        SnippetGrid(
            fps=25.0 if self.fps is None else self.fps,  # any rate will do to check the others
            stride=self.stride,
            window=self.window,
            offset=self.offset,
            num_snippets=0,
        )
        object.__setattr__(self, "native_fps", dict(self.native_fps))
        object.__setattr__(self, "durations", dict(self.durations))

    @classmethod
    def parse(
        cls,
        grid: GridRule | SnippetGrid | str | None,
        *,
        annotations: Annotations | None = None,
        native_fps: Mapping[str, float] | None = None,
        durations: Mapping[str, float] | None = None,
    ) -> GridRule | None:
        """Build a rule from what a user may say.

        Args:
            grid: a name in `GRID_PRESETS`; a text "STRIDE/WINDOW@FPS", "STRIDE@FPS" (window = stride) or
                "STRIDE/WINDOW@native" (each video's own frame rate); a `SnippetGrid` whose number of snippets and
                duration are ignored; a rule; or None, then the answer is None: nothing is guessed.
            annotations: where durations and native frame rates come from if they are not given.
            native_fps, durations: given tables; they win over `annotations`.

        Raises:
            UsageError: the text is neither a preset nor of that form.
        """
        if grid is None:
            return None
        info = {} if annotations is None else annotations.videos
        rates = {v: float(i.fps) for v, i in info.items() if i.fps is not None} | dict(native_fps or {})
        lengths = {v: float(i.duration) for v, i in info.items() if i.duration is not None} | dict(durations or {})
        if isinstance(grid, GridRule):
            return replace(grid, native_fps=rates | dict(grid.native_fps), durations=lengths | dict(grid.durations))
        if isinstance(grid, SnippetGrid):
            return cls(grid.stride, grid.window, grid.fps, grid.offset, rates, lengths)
        if grid in GRID_PRESETS:
            fps, stride, window = GRID_PRESETS[grid]
            return cls(stride, window, fps, 0.0, rates, lengths)
        steps, at, rate = grid.partition("@")
        stride_text, slash, window_text = steps.partition("/")
        try:
            if not at:
                raise ValueError
            stride = float(stride_text)
            return cls(
                stride=stride,
                window=float(window_text) if slash else stride,
                fps=None if rate.strip() == "native" else float(rate),
                native_fps=rates,
                durations=lengths,
            )
        except ValueError as error:
            if isinstance(error, DataError):
                step = "Write it as STRIDE/WINDOW@FPS in frames, e.g. 16/16@25"
                raise UsageError(
                    error.problem, expected=error.expected, got=error.got, where=f"grid {grid!r}", next_step=step
                ) from None
            if at:
                raise UsageError(
                    "is not a snippet grid",
                    expected="STRIDE/WINDOW@FPS in frames, e.g. 16/16@25 or 4/16@native",
                    got=repr(grid),
                    where="grid",
                    next_step="'wtal data explain' guesses the grid of a feature file",
                ) from None
            raise unknown_name(
                "snippet grid", grid, [*GRID_PRESETS, "STRIDE/WINDOW@FPS", "STRIDE/WINDOW@native"]
            ) from None

    def rate(self, video: str) -> float:
        """Return the clock of one video in frames a second.

        Raises:
            DataError: the rate is each video's own, and this video's is not known.
        """
        if self.fps is not None:
            return self.fps
        if video not in self.native_fps:
            raise DataError(
                "the frame rate of the video is not known",
                expected="its own frame rate, since the grid says 'native'",
                where=video,
                next_step="Give annotations that state it, a table of frame rates, or a fixed rate",
            )
        return self.native_fps[video]

    def grid(self, video: str, num_snippets: int, num_frames: int | None = None) -> SnippetGrid:
        """Return the grid of one video.

        Args:
            video: video id.
            num_snippets: T.
            num_frames: frames of the grid's clock in the video; gives the duration where no table knows it.
        """
        fps = self.rate(video)
        empty = SnippetGrid(
            fps=fps, stride=self.stride, window=self.window, offset=self.offset, num_snippets=num_snippets
        )
        duration = self.durations.get(video)
        if duration is None and num_frames:
            duration = float(empty.frames_to_seconds(num_frames))
        return replace(empty, duration=duration)

    def describe(self) -> str:
        """Return the rule as the text that `parse` reads."""
        return f"{self.stride:g}/{self.window:g}@{'native' if self.fps is None else format(self.fps, 'g')}"


def fitting_presets(lengths: Mapping[str, int], durations: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return which of `GRID_PRESETS` explain the videos' numbers of snippets: `(name, share of videos)`, best first.

    A preset explains a video if the numbers differ by at most one snippet. Presets that explain none are left out.

    Args:
        lengths: video -> T.
        durations: video -> seconds; videos without one are not counted.
    """
    known = [(length, durations[video]) for video, length in lengths.items() if video in durations]
    if not known:
        return []
    fits = []
    for name in GRID_PRESETS:
        misses = [abs(SnippetGrid.preset(name, t).expected_num_snippets(d) - t) for t, d in known]
        share = sum(miss <= 1 for miss in misses) / len(known)
        if share:
            fits.append((-share, sum(misses), name))
    return [(name, -share) for share, _, name in sorted(fits)]
