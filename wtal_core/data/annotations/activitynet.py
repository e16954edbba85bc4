"""ActivityNet's annotation JSON: versions 1.2 and 1.3, BMN's flat form, and this project's own superset of it.

The own form adds to ActivityNet's, so that other tools can read it: `classes` (order), names of all `tracks`, `notes`,
and `row_order` where the rows of a table are not grouped by video in the order of the list; for each video `fps`,
`frames`, video-level `labels`, `ambiguous` and `tracks`.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations.draft import AMBIGUOUS, Draft, Rows, shown
from wtal_core.errors import DataError
from wtal_core.files import jsonable, read_json, read_text, write_text
from wtal_core.records import Annotations, Segments

__all__ = ["read", "write"]

_WHAT = "annotations as ActivityNet JSON"

_TOP_KEYS = ("database", "version", "taxonomy", "classes", "tracks", "row_order", "notes", "source")
_VIDEO_KEYS = (
    "annotations", "subset", "duration", "fps", "frames", "labels", "ambiguous", "tracks",
    "url", "resolution", "duration_second", "duration_frame", "feature_frame", "feature_fps", "rfps",
)  # fmt: skip
_TABLES = ("instances", "ambiguous")
_SEGMENT_KEYS = ("segment", "label", "label_id", "segment(frames)", "id")


def read(path: Path) -> Draft:
    """Read an annotation JSON of any of the known forms."""
    content = read_json(path, _WHAT, unique_keys=True)
    if not isinstance(content, dict):
        raise DataError(
            "is not a JSON object",
            expected=_WHAT,
            got=f"a {type(content).__name__}",
            where=path,
            next_step="Put the videos into an object with one key a video",
        )
    if "database" in content:
        draft = Draft(path, "ActivityNet JSON")
        draft.check_keys(content, _TOP_KEYS, "")
        database = content["database"]
        if not isinstance(database, dict):
            raise DataError(
                "database is not an object",
                expected="{video: {...}}",
                got=f"a {type(database).__name__}",
                where=path,
                next_step="Make it an object with one key a video",
            )
        beside: dict[str, dict[str, Any]] = {}
    elif _is_flat(content):
        draft, database = Draft(path, "flat ActivityNet JSON"), content
        beside = _facts_beside(path, draft)
        draft.classes = _classes_beside(path)
    else:
        raise _not_annotations(path, content)
    for video, entry in database.items():
        _read_video(draft, video, entry, beside.get(video, {}))
    if beside:
        without = [video for video in database if video not in beside]
        for video in without:
            draft.problem("missing_facts", f"video {video}", "it is not listed in video_info_new.csv")
    if "database" in content:
        _read_top(draft, content)
    return draft


def _is_flat(content: Mapping[str, Any]) -> bool:
    entries = list(content.values())
    marks = ("annotations", "duration_second", "duration")
    return bool(entries) and all(isinstance(e, dict) and any(m in e for m in marks) for e in entries)


def _not_annotations(path: Path, content: Mapping[str, Any]) -> DataError:
    if "results" in content:
        return DataError(
            "holds results, not annotations",
            expected=_WHAT,
            where=path,
            next_step="Name the ground truth here, and this file as detections",
        )
    return DataError(
        "is JSON of another kind",
        expected='{"database": {video: {"annotations": [...]}}} or {video: {"annotations": [...]}}',
        got=f"an object with the keys {shown(list(content)[:5])}",
        where=path,
        next_step="'wtal data explain' says what this file is",
    )


def _read_video(draft: Draft, id: str, entry: Any, beside: Mapping[str, Any]) -> None:
    where = f"video {shown(id)[1:-1]}"
    video = draft.name(id, "video id", where)
    if video is None:
        return
    if not isinstance(entry, dict):
        draft.problem("type", where, f"its entry is not an object (got {shown(entry)})")
        return
    draft.check_keys(entry, _VIDEO_KEYS, where)
    first = {key: next((entry[k] for k in names if entry.get(k) is not None), beside.get(key)) for key, names in (
        ("subset", ("subset",)),
        ("duration", ("duration", "duration_second")),
        ("fps", ("fps",)),
        ("num_frames", ("frames", "duration_frame")),
    )}  # fmt: skip
    draft.add_video(video, where, **first, labels=entry.get("labels"))
    if "annotations" not in entry and "labels" not in entry:
        draft.problem("missing", where, "it has neither annotations nor labels")
    _read_rows(draft, "instances", video, entry.get("annotations", []), f"{where}, annotations")
    _read_rows(draft, "ambiguous", video, entry.get("ambiguous", []), f"{where}, ambiguous")
    tracks = entry.get("tracks", {})
    if not isinstance(tracks, dict):
        draft.problem("type", where, f"tracks is not an object (got {shown(tracks)})")
        return
    for name, rows in tracks.items():
        if _is_track(draft, name, where):
            _read_rows(draft, name, video, rows, f"{where}, tracks[{name!r}]")


def _is_track(draft: Draft, name: Any, where: str) -> bool:
    if name in _TABLES:
        draft.problem("type", where, f"a track cannot be called {name!r}")
        return False
    return draft.name(name, "name of a track", where) is not None


def _read_rows(draft: Draft, table: str, video: str, rows: Any, where: str) -> None:
    if not isinstance(rows, list):
        draft.problem("type", where, f"it is not a list (got {shown(rows)})")
        return
    for i, row in enumerate(rows):
        here = f"{where}[{i}]"
        if not isinstance(row, dict):
            draft.problem("type", here, f"it is not an object (got {shown(row)})")
            continue
        draft.check_keys(row, _SEGMENT_KEYS, here)
        segment = row.get("segment")
        if not isinstance(segment, list) or len(segment) != 2:
            kind = "missing" if segment is None else "type"
            draft.problem(kind, here, f"segment is not [start, end] in seconds (got {shown(segment)})")
            continue
        label = row.get("label", AMBIGUOUS if table == "ambiguous" else None)
        draft.add_segment(table, video, label, segment[0], segment[1], here)


def _read_top(draft: Draft, content: Mapping[str, Any]) -> None:
    """Read the class list, notes and row order of the own form, and the class list of ActivityNet's taxonomy."""
    classes, taxonomy = content.get("classes"), content.get("taxonomy")
    labels = set(draft.tables["instances"].label)
    if classes is not None:
        if not isinstance(classes, list):
            draft.problem("type", "classes", f"it is not a list of class names (got {shown(classes)})")
            classes = []
        names = [name for c in classes if (name := draft.name(c, "class", "classes")) is not None]
        if len(set(names)) < len(names):
            draft.problem("type", "classes", "a class is listed twice")
        draft.classes = list(dict.fromkeys(names))
    elif isinstance(taxonomy, list) and all(isinstance(node, dict) for node in taxonomy):
        parents = {node.get("parentName") for node in taxonomy}
        leaves = {str(node.get("nodeName")) for node in taxonomy} - parents
        if leaves >= labels and leaves:
            draft.classes = sorted(leaves)
    for key in ("tracks", "notes"):
        names = content.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            draft.problem("type", key, f"it is not a list of texts (got {shown(names)})")
        elif key == "notes":
            draft.notes.extend(names)
        else:
            for name in names:
                if _is_track(draft, name, key):
                    draft.tables.setdefault(name, Rows())
    _reorder(draft, content.get("row_order", {}))


def _reorder(draft: Draft, row_order: Any) -> None:
    """Put the rows of each table back into the order in which they were before they were grouped by video."""
    if not isinstance(row_order, dict):
        draft.problem("type", "row_order", f"it is not an object (got {shown(row_order)})")
        return
    for name, order in row_order.items():
        table = draft.tables.get(name)
        if table is None or not isinstance(order, list) or not all(type(i) is int for i in order):
            draft.problem("type", f"row_order[{name!r}]", "it is not a list of row numbers of a table of the file")
            continue
        if sorted(order) != list(range(len(table.video))):
            if any(problem.fatal for problem in draft.problems):
                continue  # rows were left out, so the numbers no longer fit; the findings say so
            draft.problem("type", f"row_order[{name!r}]", f"it does not number the {len(table.video)} rows of the file")
            continue
        table.pick(np.argsort(order).tolist())


# -- what BMN keeps beside its flat file ----------------------------------------------------------------------------


def _facts_beside(path: Path, draft: Draft) -> dict[str, dict[str, Any]]:
    """Return subset and frame rate of each video from BMN's `video_info_new.csv`, if it lies beside the file."""
    table = path.with_name("video_info_new.csv")
    if not table.is_file():
        draft.notes.append("no video_info_new.csv beside the file: subsets and frame rates are not known")
        return {}
    rows = csv.DictReader(read_text(table, "BMN's table of videos").splitlines())
    missing = {"video", "subset", "fps"} - set(rows.fieldnames or ())
    if missing:
        raise DataError(
            "columns are missing",
            expected="video, subset, fps",
            got=f"no {sorted(missing)}",
            where=table,
            next_step="Take the file that comes with BMN, or add these columns to its first line",
        )
    return {row["video"]: {"subset": row["subset"], "fps": row["fps"]} for row in rows}


def _classes_beside(path: Path) -> list[str] | None:
    """Return the classes of BMN's `action_name.csv` (header "action"), if it lies beside the file."""
    table = path.with_name("action_name.csv")
    if not table.is_file():
        return None
    names = [line.strip() for line in read_text(table, "BMN's list of classes").splitlines() if line.strip()]
    return list(dict.fromkeys(names[1:] if names[:1] == ["action"] else names))


# -- writing --------------------------------------------------------------------------------------------------------


def write(annotations: Annotations, path: str | os.PathLike[str]) -> None:
    """Write the own form, one video a line; `read` gives back the same annotations."""
    for name in annotations.tracks:
        if name in _TABLES:
            raise DataError(f"a track cannot be called {name!r}", where=path, next_step="Rename the track")
    tables: dict[str, Segments] = {
        "instances": annotations.instances,
        "ambiguous": annotations.ambiguous,
        **annotations.tracks,
    }
    position = {video: i for i, video in enumerate(annotations.videos)}
    rows_of: dict[str, dict[str, list[dict[str, Any]]]] = {video: {} for video in annotations.videos}
    row_order: dict[str, list[int]] = {}
    for name, table in tables.items():
        order = np.argsort([position[video] for video in table.video], kind="stable").astype(np.int64)
        if not np.array_equal(order, np.arange(len(table))):
            row_order[name] = order.tolist()
        for video, label, start, end in zip(
            table.video, table.label, table.start.tolist(), table.end.tolist(), strict=True
        ):
            rows_of[video].setdefault(name, []).append({"label": label, "segment": [start, end]})
    lines = []
    for video, info in annotations.videos.items():
        rows = rows_of[video]
        facts = {"subset": info.subset, "duration": info.duration, "fps": info.fps, "frames": info.num_frames}
        entry: dict[str, Any] = {key: value for key, value in facts.items() if value is not None}
        if info.labels:
            entry["labels"] = list(info.labels)
        entry["annotations"] = rows.pop("instances", [])
        if "ambiguous" in rows:
            entry["ambiguous"] = rows.pop("ambiguous")
        if rows:
            entry["tracks"] = rows
        lines.append(f"{_json(video)}: {_json(entry)}")
    head = {
        "version": "wtal 1",
        "classes": list(annotations.classes),
        **({"tracks": list(annotations.tracks)} if annotations.tracks else {}),
        **({"notes": list(annotations.notes)} if annotations.notes else {}),
        **({"row_order": row_order} if row_order else {}),
    }
    parts = [f"{_json(key)}: {_json(value)}" for key, value in head.items()]
    parts.append('"database": {\n' + ",\n".join(lines) + "\n}")
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _json(value: Any) -> str:
    return json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
