"""Read and write detections and video-level scores: ActivityNet results JSON, THUMOS14 text, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wtal_core.data.annotations.draft import name_problem, number, shown
from wtal_core.data.annotations.table import column_separator, read_csv
from wtal_core.data.annotations.thumos14_facts import THUMOS14_CLASS_IDS
from wtal_core.errors import DataError, UsageError, and_more, unknown_name
from wtal_core.files import composed, read_json, read_start, read_text, require_file, write_text
from wtal_core.records import Detections

__all__ = ["DETECTION_FORMATS", "VideoScores", "read_detections", "read_video_scores", "write_detections"]

DETECTION_FORMATS = ("activitynet", "thumos14", "csv")

_WHAT = "detections (ActivityNet results JSON, THUMOS14 text or CSV)"

#: Column -> names under which files of the field have it ("t-start" and "video-id" are the ActivityNet toolkit's).
_ALIASES: dict[str, tuple[str, ...]] = {
    "video": ("video", "video-id", "video_id", "video-name", "video_name"),
    "label": ("label", "class", "class_name", "action"),
    "start": ("start", "t-start", "t_start", "t-init"),
    "end": ("end", "t-end", "t_end"),
    "score": ("score", "conf", "confidence"),
    "source": ("source",),
}

Classes = Sequence[str] | Mapping[int, str] | None
_Row = tuple[Any, Any, Any, Any, Any, Any, str]  # video, label, start, end, score, source, where


class VideoScores(NamedTuple):
    """Video-level class scores: `scores (V, C)` float64, `-inf` where the file gives a video no score for a class."""

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    scores: npt.NDArray[np.float64]


# -- reading --------------------------------------------------------------------------------------------------------


def read_detections(path: str | os.PathLike[str], classes: Classes = None) -> Detections:
    """Read detections; the format is detected by content. Scores may be unbounded (STPN's are).

    Args:
        path: ActivityNet results JSON `{"results": {video: [{"label", "score", "segment"}]}}`; THUMOS14 text with
            `video start end class_id score` on each line; or CSV with the columns video, label, start, end, score.
        classes: for THUMOS14 text `{class id: name}`, or names by id counted from 0; None means the official ids of
            the 20 THUMOS14 classes. For the other formats the names that may occur; None admits any.

    Returns:
        Detections in file order, seconds.

    Raises:
        DataError: nothing is there, no such format, a value is missing or not finite, a segment is negative or
            inverted, or a class is not known.
    """
    path = Path(path)
    start = read_start(path, _WHAT).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"["):
        return _build(_rows_of_json(path), path, _names(classes))
    text = read_text(path, _WHAT)
    first_line = text.lstrip().split("\n", 1)[0]
    if column_separator(first_line) is not None:
        return _build(_rows_of_csv(path), path, _names(classes))
    if text.strip() and len(first_line.split()) != 5:
        raise DataError(
            "is not a file of detections",
            expected="ActivityNet results JSON, CSV with a header, or THUMOS14 text `video start end class_id score`",
            got=f"the first line {first_line[:60]!r}",
            where=path,
            next_step="'wtal data explain' says what this file is",
        )
    return _build(_rows_of_text(text, path, classes), path, None)


def _names(classes: Classes) -> set[str] | None:
    if classes is None:
        return None
    return set(classes.values() if isinstance(classes, Mapping) else classes)


def _build(rows: Iterable[_Row], path: Path, known: set[str] | None) -> Detections:
    """Check the rows as columns and make Detections; every error names the row it is in."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(7)]
    video, label, start, end, score, source, where = columns

    def fail(row: int, problem: str, expected: str, got: str | None = None) -> None:
        at = f"{path}: {where[row]}"
        raise DataError(problem, expected=expected, got=got, where=at, next_step="Correct or drop this detection")

    for name, column in (("video", video), ("label", label)):
        for row, value in enumerate(column):
            if (problem := name_problem(value)) is not None:
                fail(row, f"the {name} {problem[1]}", expected="a non-empty text")
    for row, value in enumerate(source):
        if value != "" and (problem := name_problem(value)) is not None:
            fail(row, f"the source {problem[1]}", expected="a text")
    if known is not None:
        for row, value in enumerate(label):
            if value not in known:
                raise unknown_name("class", value, sorted(known), where=f"{path}: {where[row]}", usage=False)
    numbers = {}
    for name, column in (("start", start), ("end", end), ("score", score)):
        values = np.array([number(value) for value in column], dtype=np.float64)
        if (bad := np.flatnonzero(~np.isfinite(values))).size:
            row = int(bad[0])
            kind = "missing" if column[row] is None else "not a finite number"
            fail(row, f"the {name} is {kind}", expected="a finite number", got=shown(column[row]))
        numbers[name] = values
    if (bad := np.flatnonzero((numbers["start"] < 0) | (numbers["end"] < numbers["start"]))).size:
        row = int(bad[0])
        fail(
            row,
            "a segment is negative or inverted",
            expected="0 <= start <= end (seconds)",
            got=f"[{numbers['start'][row]:g}, {numbers['end'][row]:g}]{and_more(bad.size)}",
        )
    video, label = [composed(name) for name in video], [composed(name) for name in label]
    return Detections(video, label, numbers["start"], numbers["end"], numbers["score"], source)


def _results(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the checked `results` object of an ActivityNet results JSON."""
    content = read_json(path, "results as ActivityNet JSON", unique_keys=True)
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        keys = f"the keys {shown(list(content)[:5])}" if isinstance(content, dict) else f"a {type(content).__name__}"
        annotations = isinstance(content, dict) and "database" in content
        raise DataError(
            "holds no results",
            expected='{"results": {video: [{"label", "score", "segment"}]}}',
            got=keys,
            where=path,
            next_step="These are annotations: name them as the ground truth"
            if annotations
            else "'wtal data explain' says what this file is",
        )
    for video, rows in content["results"].items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(
                "the results of a video are not a list of objects",
                got=shown(rows),
                where=f"{path}: results[{video!r}]",
                next_step='Make it a list of {"label", "score", "segment"}',
            )
    return dict(content["results"])


def _rows_of_json(path: Path) -> Iterable[_Row]:
    for video, rows in _results(path).items():
        for i, row in enumerate(rows):
            where = f"results[{video!r}][{i}]"
            segment = row.get("segment")
            if not isinstance(segment, list) or len(segment) != 2:
                raise DataError(
                    "a detection has no segment" if segment is None else "a segment is not [start, end]",
                    expected='"segment": [start, end] in seconds',
                    got=shown(row),
                    where=f"{path}: {where}",
                    next_step="Video-level results have no place in time: read_video_scores reads them"
                    if segment is None
                    else "Correct or drop this entry",
                )
            yield video, row.get("label"), segment[0], segment[1], row.get("score"), row.get("source") or "", where


def _rows_of_csv(path: Path) -> Iterable[_Row]:
    rows, _ = read_csv(path, "detections as CSV", _ALIASES, ("video", "label", "start", "end", "score"))
    for line, row in rows:
        yield (
            row["video"], row["label"], row["start"], row["end"], row["score"], row.get("source", ""), f"line {line}",
        )  # fmt: skip


def _rows_of_text(text: str, path: Path, classes: Classes) -> Iterable[_Row]:
    names = _names_by_id(classes)
    for count, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        where = f"line {count}"
        if len(parts) != 5:
            raise DataError(
                "a line is not a detection",
                expected="`video start end class_id score`",
                got=repr(line.strip()[:60]),
                where=f"{path}: {where}",
                next_step="Correct or drop this line",
            )
        label = names.get(int(parts[3])) if parts[3].isascii() and parts[3].isdecimal() and len(parts[3]) < 10 else None
        if label is None:
            raise DataError(
                f"unknown class id {parts[3]!r}",
                expected=f"one of: {', '.join(map(str, names))}",
                where=f"{path}: {where}",
                next_step="If the file counts its classes in another way, say so in Python: classes={id: name, ...}",
            )
        # The THUMOS14 kit drops ".mp4" from video names, so files with and without it are in use.
        yield parts[0].removesuffix(".mp4"), label, parts[1], parts[2], parts[4], "", where


def _names_by_id(classes: Classes) -> dict[int, str]:
    if classes is None:
        return {class_id: name for name, class_id in THUMOS14_CLASS_IDS.items()}
    return dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))


def read_video_scores(path: str | os.PathLike[str]) -> VideoScores:
    """Read video-level results: ActivityNet classification JSON `{"results": {video: [{"label", "score"}]}}`.

    Returns:
        VideoScores; videos in file order, classes sorted.

    Raises:
        DataError: nothing is there, no such JSON, a label is missing or listed twice, a score is not finite.
    """
    path = require_file(path, "video-level results as ActivityNet JSON")
    found: dict[str, dict[str, float]] = {}
    for video, rows in _results(path).items():
        scores = found.setdefault(composed(video), {})
        for i, row in enumerate(rows):
            where = f"{path}: results[{video!r}][{i}]"
            label, score = row.get("label"), number(row.get("score"))
            if (problem := name_problem(label)) is not None:
                raise DataError(
                    f"the label {problem[1]}",
                    expected="a class name",
                    where=where,
                    next_step="Name the class, or drop this entry",
                )
            if not math.isfinite(score):
                raise DataError(
                    "the score is not a finite number",
                    expected="a number",
                    got=shown(row.get("score")),
                    where=where,
                    next_step="Correct or drop this entry",
                )
            if label in scores:
                hint = "These are detections: use read_detections" if "segment" in row else "Keep one score a class"
                raise DataError(f"class {label!r} is listed twice for a video", where=where, next_step=hint)
            scores[str(label)] = score
    classes = tuple(sorted({label for scores in found.values() for label in scores}))
    column = {label: i for i, label in enumerate(classes)}
    table = np.full((len(found), len(classes)), -np.inf)
    for row_index, scores in enumerate(found.values()):
        table[row_index, [column[label] for label in scores]] = list(scores.values())
    return VideoScores(tuple(found), classes, table)


# -- writing --------------------------------------------------------------------------------------------------------


def write_detections(
    detections: Detections,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    classes: Classes = None,
    decimals: tuple[int, int] | None = None,
) -> None:
    """Write detections in one step; a reader never sees half of them.

    Args:
        detections: what to write.
        path: file name.
        format: "activitynet", "thumos14" or "csv"; None chooses by suffix (`.json`, `.txt`, `.csv`).
        classes: class ids of THUMOS14 text, as in `read_detections`; None means the official ids.
        decimals: of times and of scores in THUMOS14 text, e.g. `(2, 4)` as CMCS writes it (rounding makes ties);
            None writes every digit.

    Raises:
        DataError: it cannot be written there; a class has no id; a video name does not fit the text.
        UsageError: the format is not known, or `decimals` is given for another format than THUMOS14 text.
    """
    if format is None:
        by_suffix = {".json": "activitynet", ".txt": "thumos14", ".csv": "csv"}
        suffix = Path(path).suffix.lower()
        if suffix not in by_suffix:
            raise unknown_name("detection file suffix", suffix, by_suffix, where=path)
        format = by_suffix[suffix]
    if format not in DETECTION_FORMATS:
        raise unknown_name("detection format", format, DETECTION_FORMATS)
    if decimals is not None and (len(decimals) != 2 or not all(type(n) is int and 0 <= n <= 17 for n in decimals)):
        raise UsageError(
            "decimals is out of range",
            expected="two integers from 0 to 17",
            got=repr(decimals),
            next_step="Give digits after the point for seconds and for scores, e.g. (2, 4)",
        )
    if format != "thumos14" and decimals is not None:
        raise UsageError(
            f"decimals is for THUMOS14 text and the format is {format!r}",
            got=str(decimals),
            next_step="Leave decimals out, or write format='thumos14'",
        )
    if format == "activitynet":
        write_text(path, json.dumps(detections.to_activitynet(), ensure_ascii=False, allow_nan=False) + "\n")
    elif format == "csv":
        write_text(path, _as_csv(detections))
    else:
        write_text(path, _as_text(detections, path, classes, decimals))


def _as_csv(detections: Detections) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with_source = any(detections.source)
    writer.writerow(["video", "label", "start", "end", "score", *(["source"] if with_source else [])])
    for video, label, start, end, score, source in _zipped(detections):
        writer.writerow([video, label, repr(start), repr(end), repr(score), *([source] if with_source else [])])
    return text.getvalue()


def _as_text(
    detections: Detections, path: str | os.PathLike[str], classes: Classes, decimals: tuple[int, int] | None
) -> str:
    ids = {name: class_id for class_id, name in _names_by_id(classes).items()}
    for label in detections.label_codes[1]:
        if label not in ids:
            raise unknown_name("class", label, ids, where=path, usage=False, otherwise="Write JSON or CSV instead")
    for video in detections.video_codes[1]:
        if len(video.split()) != 1 or video.endswith(".mp4"):
            raise DataError(
                f"video {video!r} cannot be a word of THUMOS14 text",
                where=path,
                next_step="Rename the video, or write JSON or CSV instead",
            )
    if decimals is None:
        lines = [
            f"{video} {start!r} {end!r} {ids[label]} {score!r}\n"
            for video, label, start, end, score, _ in _zipped(detections)
        ]
    else:
        times, scores = decimals
        lines = [
            f"{video} {start:.{times}f} {end:.{times}f} {ids[label]} {score:.{scores}f}\n"
            for video, label, start, end, score, _ in _zipped(detections)
        ]
    return "".join(lines) or "\n"  # a file of 0 bytes would read as a failed copy


def _zipped(detections: Detections) -> Iterable[tuple[str, str, float, float, float, str]]:
    columns = (getattr(detections, name).tolist() for name in ("video", "label", "start", "end", "score", "source"))
    return zip(*columns, strict=True)
