"""Read and write the ground truth of temporal action localization in every format the field uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from wtal_core.data.annotations import activitynet, table, thumos14, wtalc
from wtal_core.data.annotations.draft import AMBIGUOUS, Draft
from wtal_core.data.annotations.problems import PROBLEM_KINDS, Problem
from wtal_core.data.annotations.thumos14_facts import FAULTY_VIDEOS, THUMOS14_CLASS_IDS, exclude_faulty
from wtal_core.errors import DataError, unknown_name
from wtal_core.files import read_start, refuse_packed, require_file, require_folder, visible
from wtal_core.records import Annotations

__all__ = [
    "AMBIGUOUS",
    "ANNOTATION_FORMATS",
    "FAULTY_VIDEOS",
    "PROBLEM_KINDS",
    "THUMOS14_CLASS_IDS",
    "Problem",
    "detect_format",
    "exclude_faulty",
    "read_annotations",
    "scan_annotations",
    "write_annotations",
]

_READERS: dict[str, Callable[[Path], Draft]] = {
    "activitynet": activitynet.read,
    "thumos14": thumos14.read,
    "wtalc": wtalc.read,
    "csv": table.read,
}
_WRITERS: dict[str, Callable[[Annotations, str | os.PathLike[str]], None]] = {
    "activitynet": activitynet.write,
    "thumos14": thumos14.write,
    "csv": table.write,
}
_FOLDERS = ("thumos14", "wtalc")

#: Names of the formats that can be read; all but "wtalc" can be written.
ANNOTATION_FORMATS = tuple(_READERS)


def detect_format(path: str | os.PathLike[str]) -> str:
    """Return which of `ANNOTATION_FORMATS` a file or folder is in, by its content.

    Raises:
        DataError: it does not exist, is empty, or is in none of them.
    """
    path = Path(path)
    if os.path.isdir(path):
        try:
            if wtalc.is_wtalc_folder(path):
                return "wtalc"
            if thumos14.is_thumos14_folder(path):
                return "thumos14"
            inside = ", ".join(child.name for child in visible(path)[:5]) or "nothing"
        except OSError as error:
            raise DataError(
                f"cannot be read: {error.strerror or error}", where=path, next_step="Check its permissions"
            ) from error
        raise DataError(
            "is a folder without annotations",
            expected="THUMOS14 class files (temporal_annotations_*/) or W-TALC's .npy files",
            got=inside,
            where=path,
            next_step="If it holds an annotation file, name that file",
        )
    what = "an annotation file or folder"
    start = read_start(path, what).removeprefix(b"\xef\xbb\xbf").lstrip()
    refuse_packed(path, start, what)
    if start[:1] in (b"{", b"["):
        return "activitynet"
    if table.column_separator(start.split(b"\n", 1)[0].decode("utf-8", "replace")) is not None:
        return "csv"
    name, parent = path.name, path.parent
    known = thumos14.is_thumos14_folder(parent) or wtalc.is_wtalc_folder(parent)
    raise DataError(
        "is not an annotation file",
        expected="ActivityNet JSON, CSV with a header, a THUMOS14 text folder or W-TALC's npy folder",
        got=f"the first bytes {start[:20]!r}",
        where=path,
        next_step=f"{name} is part of a folder of annotations: name {parent}"
        if known
        else "'wtal data explain' says what this file is",
    )


def _draft(path: str | os.PathLike[str], form: str | None) -> Draft:
    if form is not None and form not in _READERS:
        raise unknown_name("annotation format", form, _READERS)
    form = detect_format(path) if form is None else form
    if form in _FOLDERS:
        folder = require_folder(path, f"a folder of annotations ({form})")
        return _READERS[form](folder)
    return _READERS[form](require_file(path, f"an annotation file ({form})"))


def read_annotations(path: str | os.PathLike[str], format: str | None = None) -> Annotations:
    """Read ground truth; the format is detected.

    Known: ActivityNet JSON (1.2, 1.3, ACM-Net's `gt.json`, this project's superset), BMN's flat JSON (with
    `video_info_new.csv` and `action_name.csv` where they lie beside it), a THUMOS14 text folder (one subset, or the
    folder above), W-TALC's npy folder, CSV. Oddities that published files have are kept and described in `notes`.

    Args:
        path: file or folder.
        format: one of `ANNOTATION_FORMATS` to skip detection.

    Returns:
        Annotations; classes in the file's stated order, else alphabetical; rows in file order; seconds.

    Raises:
        DataError: nothing is there, the format is not known, or the content cannot be trusted (a missing or mistyped
            value, a negative, inverted or non-finite segment, an unknown class or video).
        UsageError: `format` is not one of the names.
    """
    return _draft(path, format).finish(lenient=False)[0]


def scan_annotations(
    path: str | os.PathLike[str], format: str | None = None
) -> tuple[Annotations, tuple[Problem, ...]]:
    """Read ground truth like `read_annotations`, but list every problem instead of stopping at the first.

    Returns:
        What could be read (rows with a fatal problem are left out) and the problems in the order they were found.

    Raises:
        DataError: nothing could be read at all.
        UsageError: `format` is not one of the names.
    """
    return _draft(path, format).finish(lenient=True)


def write_annotations(annotations: Annotations, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write ground truth in one step; a reader never sees half of it.

    Args:
        annotations: what to write.
        path: file, or folder for THUMOS14 text.
        format: "activitynet" (lossless), "thumos14" (text folder) or "csv"; None chooses by suffix (`.json`, `.csv`,
            none for THUMOS14 text).

    Raises:
        DataError: it cannot be written there, or the format cannot hold a name.
        UsageError: the format is not known.
    """
    if format is None:
        by_suffix = {".json": "activitynet", ".csv": "csv", "": "thumos14"}
        suffix = Path(path).suffix.lower()
        if suffix not in by_suffix:
            raise unknown_name("annotation file suffix", suffix, [s for s in by_suffix if s], where=path)
        format = by_suffix[suffix]
    if format not in _WRITERS:
        raise unknown_name("annotation format to write", format, _WRITERS)
    _WRITERS[format](annotations, path)
