"""Run all checks on a data set, and tell from its files whether an earlier diagnosis still holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from wtal_core.data.annotations import scan_annotations
from wtal_core.data.dataset import Dataset
from wtal_core.data.doctor import features, grids
from wtal_core.data.doctor.annotations import check_ambiguous, check_classes, check_problems, check_videos
from wtal_core.data.doctor.measure import Measured, measure
from wtal_core.data.doctor.report import Diagnosis, Finding
from wtal_core.data.doctor.splits import check_splits
from wtal_core.data.doctor.subject import Subject
from wtal_core.data.features import FeatureStore
from wtal_core.data.video_files import VideoFiles
from wtal_core.errors import DataError, WtalError
from wtal_core.files import visible
from wtal_core.progress import track

__all__ = ["Stamp", "diagnose", "diagnose_dataset", "stamps", "total_bytes"]

#: Name, size in bytes and modification time in nanoseconds of a file.
Stamp = tuple[str, int, int]

_ARRAYS = (".h5", ".hdf5", ".npy", ".npz")


def diagnose(subject: Subject, *, quiet: bool = True) -> Diagnosis:
    """Run all checks.

    Args:
        subject: annotations, features, splits and videos that belong together.
        quiet: no progress bars.
    """
    findings: list[Finding] = []
    for check in (check_problems, check_ambiguous, check_classes, check_splits, check_videos):
        findings += check(subject)
    snippets = 0
    for name, store in subject.features.items():
        measured: dict[str, Measured] = {}
        findings += _check_features(subject, name, store, measured, quiet=quiet)
        snippets += sum(m.shape[-2] for m in measured.values())
    examined = {
        "videos": len(subject.annotations.videos),
        "instances": len(subject.annotations.instances),
        "classes": len(subject.class_list or subject.annotations.classes),
        "feature sets": len(subject.features),
        "snippets": snippets,
    }
    return Diagnosis.of(findings, examined)


def _check_features(
    subject: Subject, name: str, store: FeatureStore, measured: dict[str, Measured], *, quiet: bool
) -> Iterator[Finding]:
    """Run every check on one set of features; `measured` gets what was read of each video."""
    yield from features.check_names(subject, name, store)
    for video in track(store.videos, f"reading {name}", quiet=quiet):
        try:
            measured[video] = measure(store, video)
        except DataError as error:
            where, step = f"{name}: {video}", error.next_step or ""
            yield Finding("error", "features unreadable", where, error.problem, step)
    for video, m in measured.items():
        yield from features.check_values(f"{name}: {video}", m)
    yield from features.check_agreement(name, measured)
    yield from features.check_identical(subject, name, measured)
    annotated = {v: m for v, m in measured.items() if v in subject.annotations.videos}
    for check in (grids.check_grids, grids.check_lengths, grids.check_segment_ends):
        yield from check(subject, name, annotated)
    for file in getattr(getattr(store, "source", None), "unpaired", []):
        where, step = f"{name}: {file.name}", "Add the other stream or remove the file"
        yield Finding("warning", "features unreadable", where, "belongs to no pair of RGB and flow", step)


def diagnose_dataset(folder: str | os.PathLike[str], *, quiet: bool = True) -> Diagnosis:
    """Examine a data set folder: its annotations, every set of features, its splits and videos.

    Raises:
        DataError: there is no readable `dataset.yaml`, or nothing could be read from the annotations.
    """
    dataset = Dataset.open(folder)
    annotations, problems = scan_annotations(Path(dataset.folder) / dataset.annotations_path)
    findings: list[Finding] = []
    if not dataset.feature_names:
        message = "the data set has no features"
        findings.append(Finding("note", "features missing", str(folder), message, "Make them: wtal extract"))
    with ExitStack() as opened:
        stores: dict[str, FeatureStore] = {}
        for name in dataset.feature_names:
            try:
                stores[name] = opened.enter_context(dataset.store(name))
            except WtalError as error:
                findings.append(Finding("error", "features unreadable", name, error.problem, error.next_step or ""))
        files = VideoFiles(dataset.folder / dataset.videos_folder)
        subject = Subject(annotations, problems, stores, dataset.splits, dataset.class_list, files)
        diagnosis = diagnose(subject, quiet=quiet)
    return Diagnosis.of([*diagnosis.findings, *findings], diagnosis.examined)


def stamps(dataset: Dataset) -> tuple[Stamp, ...]:
    """Return what the doctor would read of a data set, so that an answer can be kept until something changes."""
    files = [dataset.folder / "dataset.yaml", dataset.folder / dataset.annotations_path]
    for feature in dataset.feature_files:
        files += _content(dataset.folder / feature.path)
    files += _content(dataset.folder / dataset.videos_folder)
    found = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            found.append((str(file), 0, 0))
        else:
            found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _content(path: Path) -> list[Path]:
    return visible(path) if path.is_dir() else [path]


def total_bytes(read: tuple[Stamp, ...]) -> int:
    """Return how many bytes of features are among the files of `stamps`."""
    return sum(size for name, size, _ in read if name.endswith(_ARRAYS))
