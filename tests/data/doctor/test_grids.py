"""Snippet counts against durations."""

from __future__ import annotations

import pytest

from wtal_core.data.doctor import length_message
from wtal_core.snippet_grid import SnippetGrid


@pytest.mark.parametrize(
    ("t", "fps", "duration", "text"),
    [
        (63, 25, 33.82, "63 snippets, but 25 fps implies 52 (33.8 s, 16-frame steps); 63 is what 30 fps would give"),
        (52, 25, 33.82, None),
        (53, 25, 33.82, None),
        (51, 25, 33.82, None),
        (200, 25, 33.82, "they would be 0.17 s apart (4.2 frames of 25 fps)"),
    ],
)
def test_length_messages(t: int, fps: float, duration: float, text: str | None) -> None:
    """CoLA issue 6 and the like: the doctor says which frame rate explains the length."""
    message = length_message(SnippetGrid(fps=fps, stride=16, window=16, num_snippets=t), duration)
    assert message is None if text is None else text in (message or "")
