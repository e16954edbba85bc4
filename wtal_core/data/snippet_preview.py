"""What one snippet covers: its seconds, the frames it sees, and which actions go on in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.errors import UsageError
from wtal_core.records import Annotations
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["SnippetPreview", "preview_snippet"]


@dataclass(frozen=True)
class SnippetPreview:
    """One snippet against its video.

    Args:
        index: which one, from 0.
        start, end: the cell it owns on the time axis, seconds.
        seen_until: end of the last frame it sees, seconds (later than `end` where snippets overlap).
        first_frame, last_frame: frames of the grid's clock that it sees.
        times: times of frames spread over what it sees, first and last among them, seconds.
        actions: labels of the instances that its centre lies in.
        beyond: how many of its frames lie after the video's end and repeat the last one.
    """

    index: int
    start: float
    end: float
    seen_until: float
    first_frame: int
    last_frame: int
    times: tuple[float, ...]
    actions: tuple[str, ...]
    beyond: int


def preview_snippet(
    grid: SnippetGrid, index: int, *, frames: int = 8, annotations: Annotations | None = None, video: str = ""
) -> SnippetPreview:
    """Say what a snippet covers.

    Args:
        grid: where the video's snippets lie.
        index: which snippet, from 0.
        frames: how many frames to show of it, at least 2.
        annotations, video: to say which actions go on in it.

    Raises:
        UsageError: there is no such snippet.
    """
    if not 0 <= index < grid.num_snippets:
        raise UsageError(
            "there is no such snippet",
            expected=f"0 to {grid.num_snippets - 1}",
            got=str(index),
            next_step=f"Ask for a snippet up to {grid.num_snippets - 1}",
        )
    seen = grid.with_snippets(index + 1).snippet_frames()[index]  # (window,) frames, the last one repeated past the end
    first = round(float(grid.to_frame(index)))
    past_end = max(0, first + seen.size - grid.num_frames) if grid.duration is not None else 0
    chosen = np.unique(np.rint(np.linspace(0, seen.size - 1, max(2, frames))).astype(np.int64))
    start, end = (float(grid.to_seconds(i)) for i in (index, index + 1))
    actions: tuple[str, ...] = ()
    if annotations is not None:
        rows = annotations.instances.for_video(video)
        centre = (start + end) / 2
        inside = (rows.start <= centre) & (centre < rows.end)
        actions = tuple(sorted(set(rows.label[inside].tolist())))
    return SnippetPreview(
        index=index,
        start=start,
        end=end,
        seen_until=float(grid.frames_to_seconds(seen[-1] + 1)),
        first_frame=int(seen[0]),
        last_frame=int(seen[-1]),
        times=tuple(float(t) for t in grid.frames_to_seconds(seen[chosen])),
        actions=actions,
        beyond=int(min(past_end, seen.size)),
    )
