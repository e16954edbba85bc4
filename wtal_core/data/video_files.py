"""The video files of a data set: which files count as videos, and which one belongs to an id."""

from __future__ import annotations

import os
from pathlib import Path

from wtal_core.files import composed, stem, visible

__all__ = ["VIDEO_SUFFIXES", "VideoFiles"]

#: File name endings that are taken for videos, in the order they are preferred.
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".flv", ".wmv", ".3gp", ".ogv",
)  # fmt: skip


class VideoFiles:
    """Find the file of a video by its id: `<id>.*`, or `v_<id>.*` as ActivityNet's downloads are named.

    Args:
        folder: searched without sub-folders; may be missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        rank = {suffix: i for i, suffix in enumerate(VIDEO_SUFFIXES)}
        files = [p for p in visible(self.folder) if p.suffix.lower() in rank] if self.folder.is_dir() else []
        self._files: dict[str, Path] = {}
        for file in sorted(files, key=lambda p: (rank[p.suffix.lower()], p.name)):
            self._files.setdefault(stem(file), file)

    def __len__(self) -> int:
        return len(self._files)

    def find(self, video: str) -> Path | None:
        """Return the file of a video, or None."""
        video = composed(video)
        for name in (video, f"v_{video}", video.removeprefix("v_")):
            if name in self._files:
                return self._files[name]
        return None
