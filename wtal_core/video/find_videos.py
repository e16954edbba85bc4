"""Which videos to work on: files, folders, patterns and data set folders, and shards of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wtal_core.data.video_files import VIDEO_SUFFIXES
from wtal_core.errors import DataError, UsageError
from wtal_core.files import stem, visible

__all__ = ["find_videos", "parse_shard", "select_shard"]


def find_videos(sources: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Return `{video id: file}` of files, folders, glob patterns and dataset folders; the id is the file's stem.

    A folder means all video files in it and below; a dataset folder (it holds `dataset.yaml`) means its `videos/`.
    Order: as given, within a folder sorted.

    Raises:
        UsageError: a pattern or folder holds no video, or two files have the same stem.
        DataError: a file does not exist.
    """
    files: list[Path] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            root = path / "videos" if (path / "dataset.yaml").is_file() else path
            found = [p for p in visible(root, "**/*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
        elif path.exists():
            found = [path]
        elif any(c in str(source) for c in "*?["):
            found = [Path(p) for p in sorted(glob.glob(str(source), recursive=True)) if Path(p).is_file()]
        else:
            raise DataError(
                "does not exist", expected="a video file, a folder or a pattern", where=path, next_step="Check the path"
            )
        if not found:
            raise UsageError(
                "no video there",
                expected=f"files with {', '.join(sorted(VIDEO_SUFFIXES))}",
                where=source,
                next_step="Name another folder or pattern",
            )
        files += found
    if not files:
        raise UsageError(
            "no videos were given",
            expected="files, folders, patterns or a dataset folder",
            next_step="Name at least one",
        )
    videos: dict[str, Path] = {}
    for file in files:
        other = videos.setdefault(stem(file), file)
        if other.resolve() != file.resolve():
            raise UsageError(
                f"two videos have the same id {stem(file)!r}",
                got=f"{other} and {file}",
                next_step="Rename one: features are stored by the file's name without suffix",
            )
    return videos


def parse_shard(text: str) -> tuple[int, int]:
    """Parse "i/n", i from 1 to n.

    Raises:
        UsageError: it is something else.
    """
    first, slash, second = text.partition("/")
    if slash and first.strip().isdigit() and second.strip().isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(
        "not a shard",
        expected="i/n with 1 <= i <= n, e.g. 2/8",
        got=repr(text),
        where="shard",
        next_step="Write the number of this shard, '/' and the number of shards",
        arguments=("shard",),
    )


def select_shard(videos: Mapping[str, Path], shard: tuple[int, int]) -> dict[str, Path]:
    """Return every n-th video from the i-th on (i counts from 1); the shards are disjoint and cover all."""
    index, count = shard
    return dict(list(videos.items())[index - 1 :: count])
