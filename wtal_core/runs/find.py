"""Find runs in folders, and detections and ground truth by the names people give.

A run is named by its folder; a set of detections by a run folder or a file; ground truth by annotations, a data set or
the runs that were trained on it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wtal_core.errors import DataError, UsageError
from wtal_core.runs.folder import Run

if TYPE_CHECKING:
    from wtal_core.evaluation import GroundTruthIndex
    from wtal_core.records import Annotations, Detections

__all__ = [
    "Source",
    "Truth",
    "files_below",
    "find_runs",
    "named_path",
    "open_source",
    "open_sources",
    "open_truth",
    "run_folders",
]

_DEPTH = 8  # folders below the one that is named


def files_below(root: Path, name: str, depth: int = _DEPTH) -> Iterator[Path]:
    """Yield files called `name` in a folder and up to `depth` levels below, by path, not inside what was found.

    Folders that are hidden or cannot be looked into are passed over.
    """
    # os.path, unlike Path, does not raise where a folder is not ours to look into, such as lost+found of a disk.
    if os.path.isfile(root / name):
        yield root / name
        return
    if depth <= 0 or not os.path.isdir(root):
        return
    try:
        folders = sorted(p for p in root.iterdir() if not p.name.startswith(".") and os.path.isdir(p))
    except OSError:
        return
    for folder in folders:
        yield from files_below(folder, name, depth - 1)


def run_folders(folder: str | os.PathLike[str]) -> list[Path]:
    """Return a folder that is a run, else the run folders below it, by path; whether they can be read or not."""
    return [file.parent for file in files_below(Path(folder), "run.yaml")]


def find_runs(folder: str | os.PathLike[str]) -> list[Run]:
    """Return the run in a folder, else the runs below it, by path; those that cannot be read are left out.

    Raises:
        DataError: there is no such folder, or it is a run that cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(
            "does not exist",
            expected="a run folder, or a folder that holds runs",
            where=root,
            next_step="Check the path",
        )
    found = []
    for path in run_folders(root):
        if path == root:
            return [Run.open(root)]
        with suppress(DataError):
            found.append(Run.open(path))
    return found


@dataclass(frozen=True, eq=False)
class Source:
    """A set of detections and where it comes from.

    Args:
        name: how it is called in tables.
        path: the run folder or detection file.
        detections: its detections.
        run: the run, None for a file.
    """

    name: str
    path: Path
    detections: Detections
    run: Run | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth and where it comes from.

    Args:
        index: the evaluated part, prepared.
        name: name of the data set, "" where only annotations were named.
        where: the file or folder.
    """

    index: GroundTruthIndex
    name: str
    where: Path


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a run folder that holds detections, a folder with a detections.json, or a detection file.

    Raises:
        DataError: there are no detections, or they cannot be read.
    """
    from wtal_core.data import read_detections

    path = Path(path)
    run = None
    file = path
    if os.path.isdir(path):
        run = Run.open(path) if os.path.isfile(path / "run.yaml") else None
        file = path / "detections.json"
        if not file.is_file():
            raise DataError(
                "the folder holds no detections.json",
                expected="a run folder with detections, or a detection file",
                where=path,
                next_step=f"Run: wtal localize {path}" if run is not None else "Name the detection file itself",
            )
    name = path.resolve().name if os.path.isdir(path) else path.stem
    return Source(name, path, read_detections(file), run)


def named_path(text: str) -> tuple[str, Path]:
    """Return name and path of NAME=PATH, "" and the path of PATH; what exists as it stands is a path."""
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals and name and path and not os.path.exists(text) else ("", Path(text))


def open_sources(paths: Iterable[str]) -> list[Source]:
    """Open several, each PATH or NAME=PATH; equal names get their folder's name in front, then a number behind.

    Raises:
        DataError: as `open_source`.
    """
    sources = []
    for name, path in map(named_path, paths):
        source = open_source(path)
        sources.append(replace(source, name=name) if name else source)
    names = [source.name for source in sources]
    longer = [
        name if names.count(name) == 1 else f"{source.path.resolve().parent.name}/{name}"
        for name, source in zip(names, sources, strict=True)
    ]
    seen: dict[str, int] = defaultdict(int)
    found = []
    for name, source in zip(longer, sources, strict=True):
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        found.append(Source(unique, source.path, source.detections, source.run))
    return found


def open_truth(
    annotations: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    *,
    sources: Sequence[Source] = (),
    subset: Sequence[str] = (),
    videos: Sequence[str] | None = None,
    only_subset_videos: bool = False,
) -> Truth:
    """Open the ground truth: of annotations, of a data set's test split, or of the data set the runs were trained on.

    Args:
        annotations: file or folder of annotations. Without `subset` every annotated video counts.
        data: data set folder. Without `subset` its test split counts.
        sources: where neither is named, the data set that the first run among them names.
        subset: evaluate only these subsets.
        videos: evaluate only these videos.
        only_subset_videos: leave out detections in other videos, as in `GroundTruthIndex`.

    Raises:
        UsageError: both are named, or nothing is.
        DataError: nothing is there.
    """
    from wtal_core.data import Dataset, read_annotations

    if annotations is not None and data is not None:
        raise UsageError(
            "two ground truths are named",
            expected="either annotations or a data set",
            next_step="Leave one of them out",
            arguments=("annotations", "data"),
        )
    if annotations is not None:
        index = _index(read_annotations(annotations), subset, videos, only_subset_videos)
        return Truth(index, "", Path(annotations))
    folder = None if data is None else Path(data)
    for source in sources:
        if folder is None and source.run is not None:
            folder = source.run.dataset_folder
            if folder is not None and not folder.is_dir():
                raise DataError(
                    "the data set this run was trained on is not there",
                    where=folder,
                    next_step="Name where it is now, or annotations",
                    arguments=("data", "annotations"),
                )
    if folder is None:
        raise UsageError(
            "no ground truth is named",
            next_step="Name a data set, or annotations",
            arguments=("data", "annotations"),
        )
    dataset = Dataset.open(folder)
    chosen = tuple(subset) or (dataset.subsets("test") if "test" in dataset.splits else ())
    return Truth(_index(dataset.annotations, chosen, videos, only_subset_videos), dataset.name, folder)


def _index(
    annotations: Annotations, subset: Sequence[str], videos: Sequence[str] | None, only_subset_videos: bool
) -> GroundTruthIndex:
    from wtal_core.evaluation import GroundTruthIndex

    return GroundTruthIndex(annotations, tuple(subset) or None, videos, only_subset_videos=only_subset_videos)
