"""Annotations as CSV: one segment a line, columns named in the first."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from wtal_core.data.annotations.draft import AMBIGUOUS, Draft, shown
from wtal_core.data.annotations.thumos14_facts import THUMOS14_CLASS_IDS
from wtal_core.errors import DataError
from wtal_core.files import read_text, write_text
from wtal_core.records import Annotations

__all__ = ["column_separator", "read", "read_csv", "write"]

#: Column -> names under which files of the field have it (BMN, G-TAD, the TURN and SST family, pandas of the toolkits).
_ALIASES: dict[str, tuple[str, ...]] = {
    "video": ("video", "video-name", "video_name", "video-id", "video_id", "videoname"),
    "label": ("label", "type", "class", "class_name", "action", "activity"),
    "start": ("start", "t-init", "t-start", "t_start", "start_time"),
    "end": ("end", "t-end", "t_end", "end_time"),
    "subset": ("subset", "split"),
    "duration": ("duration", "video-duration"),
    "fps": ("fps", "frame-rate"),
    "num_frames": ("frames", "video-frames"),
    "label_index": ("label-idx",),
    "score": ("score", "conf", "confidence"),
}


def column_separator(header: str) -> str | None:
    """Return what separates the columns that a first line names: comma, semicolon or tab; None where it names none."""
    for mark in ",;\t":
        if {name.strip(' "').casefold() for name in header.split(mark)} & {*_ALIASES["start"], *_ALIASES["end"]}:
            return mark
    return "," if "," in header else None


def read_csv(
    path: Path, what: str, aliases: dict[str, tuple[str, ...]], required: tuple[str, ...]
) -> tuple[list[tuple[int, dict[str, str]]], dict[str, str]]:
    """Return `([(line number, {column: value})], {our column: the file's})` of a CSV whose first line names columns.

    Columns may be separated as spreadsheets do it (see `column_separator`), or by ", " throughout.

    Raises:
        DataError: not CSV, a required column is missing, or a line has another number of values than the first.
    """
    text = read_text(path, what)
    first_line = text.partition("\n")[0]
    mark = column_separator(first_line) or ","
    spaced = f"{mark} " in first_line
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark, skipinitialspace=spaced)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        columns = {ours: next((h for h in header if h.casefold() in names), "") for ours, names in aliases.items()}
        columns = {ours: theirs for ours, theirs in columns.items() if theirs}
        missing = [name for name in required if name not in columns]
        if missing:
            raise DataError(
                "columns are missing",
                expected=f"{what} with the columns {', '.join(required)}",
                got=f"no {', '.join(missing)} in the first line {shown(','.join(header))}",
                where=path,
                next_step="Name the columns in the first line of the file",
            )
        for row in reader:
            if not any(row):
                continue  # empty, or what spreadsheets leave of deleted rows: ",,,"
            if len(row) != len(header):
                raise DataError(
                    "a line has the wrong number of values",
                    expected=f"{len(header)} as in the first line",
                    got=str(len(row)),
                    where=f"{path}, line {reader.line_num}",
                    next_step="Correct this line; values that hold a comma need quotes",
                )
            by_name = dict(zip(header, row, strict=True))
            rows.append((reader.line_num, {ours: by_name[theirs] for ours, theirs in columns.items()}))
    except csv.Error as error:
        raise DataError(
            f"is not CSV: {error}",
            expected=what,
            where=f"{path}, line {reader.line_num}",
            next_step="Save it as comma-separated text in UTF-8",
        ) from error
    return rows, columns


def read(path: Path) -> Draft:
    """Read a CSV with the columns video, label, start, end (seconds), and optionally subset, duration and fps."""
    draft = Draft(path, "CSV")
    rows, columns = read_csv(path, "annotations as CSV", _ALIASES, ("video", "start", "end"))
    if "score" in columns:
        raise DataError(
            "has a score column: these are detections, not annotations",
            where=path,
            next_step="Name the ground truth here",
        )
    by_index = "label" not in columns
    if by_index and "label_index" not in columns:
        raise DataError(
            "columns are missing",
            expected="video, label, start, end",
            got="no label",
            where=path,
            next_step="Add a column 'label' with the class names",
        )
    official = list(THUMOS14_CLASS_IDS)
    for line, row in rows:
        where = f"line {line}"
        label: str | None = row.get("label")
        if by_index:
            index = row["label_index"].strip()
            known = index.isdecimal() and int(index) < len(official) and row["video"].startswith("video_")
            label = AMBIGUOUS if index == "-1" else official[int(index)] if known else None
            if label is None:
                draft.problem("row", where, f"label index {index!r} is not that of a THUMOS14 class (0 to 19, or -1)")
                continue
        video = draft.name(row["video"], "video", where)
        if video is None:
            continue
        facts = {name: row[name].strip() or None for name in ("subset", "duration", "fps", "num_frames") if name in row}
        draft.add_video(video, where, **facts)
        draft.add_segment("instances", video, label, row["start"], row["end"], where)
    return draft


def write(annotations: Annotations, path: str | os.PathLike[str]) -> None:
    """Write the columns video, label, start, end (seconds), subset; ambiguous rows have the label "Ambiguous".

    Videos without segments, durations, frame rates, video-level labels and tracks do not fit and are left out.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "label", "start", "end", "subset"])
    for table, fixed_label in ((annotations.instances, None), (annotations.ambiguous, AMBIGUOUS)):
        for video, label, start, end in zip(
            table.video, table.label, table.start.tolist(), table.end.tolist(), strict=True
        ):
            writer.writerow(
                [video, fixed_label or label, repr(start), repr(end), annotations.videos[video].subset or ""]
            )
    write_text(path, text.getvalue())
