"""W-TALC's annotation folder: parallel `.npy` files, one entry for each video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations.draft import AMBIGUOUS, Draft, shown
from wtal_core.data.safe_load import load_npy
from wtal_core.errors import DataError
from wtal_core.files import read_text

__all__ = ["is_wtalc_folder", "read"]

_REQUIRED = ("videoname", "segments", "labels", "subset")


def is_wtalc_folder(path: Path) -> bool:
    """Return whether a folder holds W-TALC's annotation files."""
    return (path / "videoname.npy").is_file() and (path / "segments.npy").is_file()


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _listed(value: Any) -> list[Any] | None:
    """Return a list, tuple or array as list with text decoded, None for anything else."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    return [_text(v) for v in value] if isinstance(value, list | tuple) else None


def read(path: Path) -> Draft:
    """Read the folder. Video-level labels are those of `labels_all` (the ones W-TALC trains with).

    `extracted_fps.npy` says 10 for every video and is wrong (the features were extracted at 25); it is not used.
    """
    draft = Draft(path, "W-TALC npy folder")
    columns: dict[str, list[Any]] = {}
    for name in (*_REQUIRED, "labels_all", "duration", "original_fps"):
        file = path / f"{name}.npy"
        if name in _REQUIRED or file.exists():
            array = load_npy(file)
            columns[name] = [_text(v) for v in (array.ravel() if array.dtype != object else array).tolist()]
            if array.ndim == 0 or array.size != len(columns[name]):
                raise DataError(
                    "has the wrong shape",
                    expected="one entry a video",
                    got=str(array.shape),
                    where=file,
                    next_step="Take the file from W-TALC's own annotation folder",
                )
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(
            "the files differ in length",
            expected="one entry a video each",
            got=str(sizes),
            where=path,
            next_step="Take all files from the same copy of the annotations",
        )
    if (path / "classlist.npy").exists():
        names = [_text(name) for name in load_npy(path / "classlist.npy").ravel().tolist()]
        found = [draft.name(name, "class", "classlist.npy") for name in names]
        draft.classes = list(dict.fromkeys(name for name in found if name is not None))
    if (path / "extracted_fps.npy").exists():
        draft.problem("fps", "extracted_fps.npy", "it is known to be wrong and is not used")
    for row in range(len(columns["videoname"])):
        _read_video(draft, {name: column[row] for name, column in columns.items()}, row)
    for file in sorted(path.glob(f"{AMBIGUOUS}_*.txt")):
        _read_ambiguous(draft, file)
    return draft


def _read_video(draft: Draft, entry: dict[str, Any], row: int) -> None:
    where = f"row {row}"
    video = draft.name(entry["videoname"], "video", where)
    if video is None:
        return
    where = f"row {row}, video {video}"
    if video in draft.videos:
        draft.problem("repeated_video", where, "it was listed before")
        return
    segments, labels = _listed(entry["segments"]), _listed(entry["labels"])
    video_labels = _listed(entry.get("labels_all", labels))
    if segments is None or labels is None or video_labels is None:
        draft.problem("type", where, "segments, labels or labels_all is not a list")
        segments, labels, video_labels = [], [], []
    draft.add_video(
        video,
        where,
        subset=entry["subset"],
        duration=entry.get("duration"),
        fps=entry.get("original_fps"),
        labels=video_labels,
    )
    if not video_labels and segments:
        draft.problem("video_labels", where, "labels_all is empty, although it has segments")
    if len(segments) != len(labels):
        draft.problem("row", where, f"it has {len(segments)} segments and {len(labels)} labels")
    for i, (segment, label) in enumerate(zip(segments, labels, strict=False)):
        times = _listed(segment)
        if times is None or len(times) != 2:
            draft.problem("type", f"{where}, segments[{i}]", f"it is not [start, end] (got {shown(segment)})")
            continue
        draft.add_segment("instances", video, label, times[0], times[1], f"{where}, segments[{i}]")


def _read_ambiguous(draft: Draft, file: Path) -> None:
    for count, line in enumerate(read_text(file, "THUMOS14 annotation text").splitlines(), 1):
        parts, where = line.split(), f"{file.name}, line {count}"
        if len(parts) == 3 and parts[0] in draft.videos:
            draft.add_segment("ambiguous", parts[0], AMBIGUOUS, parts[1], parts[2], where)
        elif len(parts) == 3:
            draft.problem("unlisted_video", where, f"{parts[0]} is not in videoname.npy")
        elif parts:
            draft.problem("row", where, f"it is not `video start end` (got {line.strip()[:60]!r})")
