"""Examinations of large data sets: what they would read, whether it has changed, and reading back what was found."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from wtal_core.data.dataset import Dataset
from wtal_core.data.doctor import Diagnosis, Finding
from wtal_core.errors import DataError
from wtal_core.files import read_text, visible

__all__ = ["Stamp", "diagnosis_of", "read_examination", "stamps", "total_bytes"]

#: Name, size in bytes and modification time in nanoseconds of a file.
Stamp = tuple[str, int, int]

_ARRAYS = (".h5", ".hdf5", ".npy", ".npz")


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


def total_bytes(read: tuple[Stamp, ...]) -> int:
    """Return how many bytes of features are among the files of `stamps`."""
    return sum(size for name, size, _ in read if name.endswith(_ARRAYS))


def _content(path: Path) -> list[Path]:
    return visible(path) if path.is_dir() else [path]


def diagnosis_of(values: Any, where: object = None) -> Diagnosis:
    """Rebuild a diagnosis from `Diagnosis.to_dict()`.

    Raises:
        DataError: it is something else.
    """
    try:
        return Diagnosis(tuple(Finding(**finding) for finding in values["findings"]), dict(values["examined"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "is not an examination",
            expected="findings and examined",
            where=where,
            next_step="Examine the data set again",
        ) from error


def read_examination(log: str | os.PathLike[str]) -> Diagnosis:
    """Read what `wtal data doctor --json` printed into the log of a job; the last one where there are several.

    Raises:
        DataError: the log holds none.
    """
    text = read_text(log, "the log of an examination")
    start = text.rfind("\n{\n")
    try:
        return diagnosis_of(json.loads(text[start + 1 :] if start >= 0 else text), log)
    except json.JSONDecodeError as error:
        raise DataError("holds no examination", where=log, next_step="Examine the data set again") from error
