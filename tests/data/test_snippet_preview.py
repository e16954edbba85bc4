"""Previews of snippets: their seconds, frames and actions."""

from __future__ import annotations

import pytest

from wtal_core.data.snippet_preview import preview_snippet
from wtal_core.errors import UsageError
from wtal_core.records import Annotations, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid


def test_a_snippet_covers_its_frames_and_seconds() -> None:
    grid = SnippetGrid(fps=25, stride=16, window=32, num_snippets=10, duration=7.0)
    rows = Segments("v", ["Jump", "Dive"], [0.5, 1.0], [1.1, 3.0])
    truth = Annotations(("Dive", "Jump"), {"v": VideoInfo("test", duration=7.0)}, rows)
    seen = preview_snippet(grid, 1, frames=3, annotations=truth, video="v")
    assert (seen.start, seen.end, seen.seen_until) == (0.64, 1.28, 1.92)  # it sees longer than it owns
    assert (seen.first_frame, seen.last_frame, seen.beyond) == (16, 47, 0)
    assert seen.times == pytest.approx((0.64, 1.28, 1.88))
    assert seen.actions == ("Jump",)  # its centre lies at 0.96 s
    last = preview_snippet(grid, 9)
    assert last.last_frame == 174  # 7 s at 25 fps; what would come later repeats it
    assert last.beyond == 144 + 32 - 175
    for index in (-1, 10):
        with pytest.raises(UsageError, match="0 to 9"):
            preview_snippet(grid, index)
    open_end = SnippetGrid(fps=25, stride=16, window=16, num_snippets=3)
    assert (preview_snippet(open_end, 2).last_frame, preview_snippet(open_end, 2).beyond) == (47, 0)
