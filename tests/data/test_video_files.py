"""Which files count as videos, and which one belongs to an id."""

from __future__ import annotations

from pathlib import Path

from wtal_core.data.video_files import VideoFiles


def test_video_files_of_a_missing_folder(tmp_path: Path) -> None:
    files = VideoFiles(tmp_path / "none")
    assert len(files) == 0
    assert files.find("x") is None
