"""Read and write detections and video-level scores: ActivityNet results JSON, THUMOS14 text, CSV."""

from __future__ import annotations

import csv
import io
import math
import os
from array import array
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wtal_core.data.annotations.draft import name_problem, number, shown
from wtal_core.data.annotations.table import column_separator, read_csv
from wtal_core.data.annotations.thumos14_facts import THUMOS14_CLASS_IDS
from wtal_core.data.results_json import no_cycle_search, results_of, results_text
from wtal_core.errors import DataError, UsageError, counted, unknown_name
from wtal_core.files import composed, read_start, read_text, require_file, write_text
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
        Detections in file order, seconds. Times before 0 become 0; `notes` say how many there were.

    Raises:
        DataError: nothing is there, no such format, a value is missing or not finite, a segment is inverted, or a class
            is not known.
    """
    path = Path(path)
    start = read_start(path, _WHAT).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"["):
        return _of_json(path, _names(classes))
    text = read_text(path, _WHAT)
    first_line = text.lstrip().split("\n", 1)[0]
    if column_separator(first_line) is not None:
        return _of_rows(_rows_of_csv(path), path, _names(classes))
    if text.strip() and len(first_line.split()) != 5:
        raise DataError(
            "is not a file of detections",
            expected="ActivityNet results JSON, CSV with a header, or THUMOS14 text `video start end class_id score`",
            got=f"the first line {first_line[:60]!r}",
            where=path,
            next_step="'wtal data explain' says what this file is",
        )
    return _of_rows(_rows_of_text(text, path, classes), path, None)


def _names(classes: Classes) -> set[str] | None:
    if classes is None:
        return None
    return set(classes.values() if isinstance(classes, Mapping) else classes)


class _Codes(dict[Any, int]):
    """Numbers names in the order in which they are first met."""

    def __missing__(self, name: Any) -> int:
        self[name] = number = len(self)
        return number


class _Columns:
    """Detections under construction, checked as they come; every error names the row it is in.

    Args:
        path: the file, for messages.
        known: labels that may occur; None admits any.
    """

    def __init__(self, path: Path, known: Set[str] | None) -> None:
        self._path, self._known = path, known
        self._videos, self._labels = _Codes(), _Codes()
        self._video, self._label = array("q"), array("q")
        self._start, self._end, self._score = array("d"), array("d"), array("d")
        self._source: list[str] = []  # as long as the last row that has one
        self._clipped = self._before = 0

    def add(self, video: Any, label: Any, start: Any, end: Any, score: Any, source: Any, where: str) -> None:
        """Add a row.

        Raises:
            DataError: something in it is not what it has to be.
        """

        def fail(problem: str, expected: str, got: str | None = None) -> DataError:
            at = f"{self._path}: {where}"
            return DataError(problem, expected=expected, got=got, where=at, next_step="Correct or drop this detection")

        for name, value in (("video", video), ("label", label)):
            if (problem := name_problem(value)) is not None:
                raise fail(f"the {name} {problem[1]}", expected="a non-empty text")
        if source != "" and (problem := name_problem(source)) is not None:
            raise fail(f"the source {problem[1]}", expected="a text")
        if self._known is not None and label not in self._known:
            raise unknown_name("class", label, sorted(self._known), where=f"{self._path}: {where}", usage=False)
        numbers = []
        for name, value in (("start", start), ("end", end), ("score", score)):
            numbers.append(number(value))
            if not math.isfinite(numbers[-1]):
                kind = "missing" if value is None else "not a finite number"
                raise fail(f"the {name} is {kind}", expected="a finite number", got=shown(value))
        if numbers[1] < numbers[0]:
            raise fail("a segment is inverted", "start <= end (seconds)", f"[{numbers[0]:g}, {numbers[1]:g}]")
        if source:
            self._source += [""] * (len(self._video) - len(self._source)) + [source]
        self._video.append(self._videos[composed(video)])
        self._label.append(self._labels[composed(label)])
        for column, value in zip((self._start, self._end, self._score), numbers, strict=True):
            column.append(value)

    def add_rows(self, video: str, rows: list[dict[str, Any]]) -> None:
        """Add the rows of one video of ActivityNet JSON.

        Raises:
            DataError: as `add`.
        """
        if not self._add_plain(video, rows):
            for i, row in enumerate(rows):
                self._add_object(video, row, f"results[{video!r}][{i}]")

    def _add_object(self, video: str, row: dict[str, Any], where: str) -> None:
        segment = row.get("segment")
        if not isinstance(segment, list) or len(segment) != 2:
            raise DataError(
                "a detection has no segment" if segment is None else "a segment is not [start, end]",
                expected='"segment": [start, end] in seconds',
                got=shown(row),
                where=f"{self._path}: {where}",
                next_step="Video-level results have no place in time: read_video_scores reads them"
                if segment is None
                else "Correct or drop this entry",
            )
        start, end = segment
        self.add(video, row.get("label"), start, end, row.get("score"), row.get("source") or "", where)

    def _add_plain(self, video: str, rows: list[dict[str, Any]]) -> bool:
        """Add rows that hold what they should and no source; return False, and add nothing, where one does not."""
        try:
            labels, scores = [row["label"] for row in rows], [row["score"] for row in rows]
            segments = [row["segment"] for row in rows]
        except KeyError:
            return False
        if set(map(type, segments)) != {list} or set(map(len, segments)) != {2}:
            return False
        starts, ends = [start for start, _ in segments], [end for _, end in segments]
        if (
            set(map(type, labels)) != {str}
            or not set(map(type, scores)) | set(map(type, starts)) | set(map(type, ends)) <= {float, int}
            or (sum(map(len, rows)) > 3 * len(rows) and any("source" in row for row in rows))
            or any(name_problem(name) is not None or composed(name) != name for name in {*labels, video})
            or (self._known is not None and not all(label in self._known for label in set(labels)))
        ):
            return False
        try:
            finite = math.isfinite(sum(starts) + sum(ends) + sum(scores))
            columns = array("d", starts), array("d", ends), array("d", scores)
        except OverflowError:
            return False
        if not finite or not (np.asarray(columns[0]) <= np.asarray(columns[1])).all():
            return False
        for mine, column in zip((self._start, self._end, self._score), columns, strict=True):
            mine.extend(column)
        self._video.extend([self._videos[video]] * len(rows))
        self._label.extend(map(self._labels.__getitem__, labels))
        return True

    def finish(self) -> Detections:
        """Return the detections; times before the beginning of the video become 0, and a note says so."""
        start, end = np.asarray(self._start), np.asarray(self._end)
        notes = []
        if early := int(np.count_nonzero(start < 0)):
            before = int(np.count_nonzero(end < 0))
            whole = f" ({before:,} of them {'ends' if before == 1 else 'end'} there, too)" if before else ""
            notes.append(
                f"Clipped {counted(early, 'detection')} that {'begins' if early == 1 else 'begin'} before 0 s{whole}."
            )
        source = self._source + [""] * (len(self._video) - len(self._source)) if self._source else None
        return Detections.from_codes(
            tuple(self._videos),
            np.asarray(self._video),
            tuple(self._labels),
            np.asarray(self._label),
            np.maximum(start, 0.0),
            np.maximum(end, 0.0),
            np.asarray(self._score),
            source,
            notes=notes,
        )


def _of_json(path: Path, known: Set[str] | None) -> Detections:
    columns = _Columns(path, known)
    with no_cycle_search():  # what is read here refers to nothing that refers back
        for video, rows in results_of(path):
            if rows:
                columns.add_rows(video, rows)
    return columns.finish()


def _of_rows(rows: Iterable[_Row], path: Path, known: Set[str] | None) -> Detections:
    columns = _Columns(path, known)
    for row in rows:
        columns.add(*row)
    return columns.finish()


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
    for video, rows in results_of(path):
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
        write_text(path, results_text(detections))
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
