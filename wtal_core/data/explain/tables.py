"""Annotations, detections, and what else is text: JSON, CSV, lists."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.annotations import scan_annotations
from wtal_core.data.detections import read_detections, read_video_scores
from wtal_core.data.explain.explanation import THUMOS_VIDEO, Context, Explanation, describe_names
from wtal_core.data.explain.features import explain_array
from wtal_core.errors import DataError, counted
from wtal_core.files import read_json

__all__ = ["explain_annotations", "explain_csv", "explain_json", "explain_text"]


def explain_annotations(path: Path) -> Explanation:
    annotations, problems = scan_annotations(path)
    table = annotations.instances
    subsets = Counter(info.subset or "no subset" for info in annotations.videos.values())
    durations = [info.duration for info in annotations.videos.values() if info.duration is not None]
    annotated = len(set(table.video))
    facts: dict[str, Any] = {
        "format": annotations.source.removeprefix(str(path)).strip(" ()"),
        "videos": len(annotations.videos),
        "videos with instances": annotated,
        "instances": len(table),
        "classes": len(annotations.classes),
        "first classes": list(annotations.classes[:5]),
        "subsets": dict(subsets),
    }
    if len(annotations.subsets()) > 1:
        owner = {video: info.subset or "no subset" for video, info in annotations.videos.items()}
        facts["instances by subset"] = dict(Counter(owner[v] for v in table.video))
    if len(annotations.ambiguous):
        facts["ambiguous intervals"] = len(annotations.ambiguous)
    if len(table):
        facts["instance length"] = (
            f"{table.length.min():.2f} to {table.length.max():.1f} s, median {np.median(table.length):.1f} s"
        )
    if durations:
        facts["video durations"] = (
            f"{min(durations):.1f} to {max(durations):.1f} s, {sum(durations) / 3600:.1f} h in all"
        )
    for name, track in annotations.tracks.items():
        facts[f"track {name}"] = len(track)
    if problems:
        facts["findings"] = dict(Counter(problem.kind.replace("_", " ") for problem in problems))
    unknown = []
    if len(durations) < len(annotations.videos):
        unknown.append(f"the duration of {counted(len(annotations.videos) - len(durations), 'video')}")
    if not annotations.subsets():
        unknown.append("which split the videos belong to")
    return Explanation(
        path,
        "annotations",
        f"temporal annotations: {counted(len(table), 'instance')} of "
        f"{counted(len(annotations.classes), 'class', 'classes')} in {annotated:,} of "
        f"{counted(len(annotations.videos), 'video')}",
        facts,
        tuple(unknown),
        "wtal data doctor, wtal data import",
    )


def _explain_detections(path: Path) -> Explanation:
    detections = read_detections(path)
    labels = Counter(detections.label.tolist())
    facts: dict[str, Any] = {
        "detections": len(detections),
        "videos": len(set(detections.video)),
        "classes": len(labels),
    }
    if len(detections):
        facts |= {
            "most frequent classes": dict(labels.most_common(3)),
            "scores": f"{detections.score.min():.4g} to {detections.score.max():.4g}",
            "times": f"{detections.start.min():.1f} to {detections.end.max():.1f} s",
            "detections a video": round(len(detections) / len(set(detections.video)), 1),
        }
    return Explanation(
        path,
        "detections",
        f"{counted(len(detections), 'detection')} of {counted(len(labels), 'class', 'classes')} in "
        f"{counted(facts['videos'], 'video')}",
        facts,
        ("the method and settings behind them",),
        "wtal evaluate",
    )


def explain_json(path: Path) -> Explanation:
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("results"), dict):
        rows = [row for found in content["results"].values() if isinstance(found, list) for row in found]
        if rows and not any(isinstance(row, dict) and "segment" in row for row in rows):
            scores = read_video_scores(path)
            finite = scores.scores[np.isfinite(scores.scores)]
            return Explanation(
                path,
                "video scores",
                f"video-level results (classification): {counted(len(scores.videos), 'video')}, "
                f"{counted(len(scores.classes), 'class', 'classes')}",
                {
                    "videos": len(scores.videos),
                    "classes": len(scores.classes),
                    "scores": f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "none",
                },
                next_step="It has no segments, so it is no detection file",
            )
        return _explain_detections(path)
    try:
        return explain_annotations(path)
    except DataError as error:
        if isinstance(content, dict) and "database" in content:
            raise
        size = len(content) if isinstance(content, dict | list) else 1
        facts: dict[str, Any] = {"type": type(content).__name__, "entries": size}
        if isinstance(content, dict):
            facts["first keys"] = [str(k) for k in list(content)[:8]]
        elif isinstance(content, list) and content and all(isinstance(v, str) for v in content):
            what, more = describe_names(content)
            return Explanation(path, "names", what, more)
        return Explanation(
            path,
            "table",
            "JSON, but neither annotations nor detections",
            facts | {"because": error.problem},
            ("what it means",),
        )


def explain_csv(path: Path, text: str, context: Context) -> Explanation:
    for attempt in (_explain_detections, explain_annotations):  # a score column tells detections apart
        try:
            return attempt(path)
        except DataError:
            continue
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise DataError(
            f"is not valid CSV: {error}", where=path, next_step="Save it as comma-separated text in UTF-8"
        ) from error
    header, body = rows[0], rows[1:]
    numeric = _numeric(body[:50])
    if numeric is not None and numeric.shape[1] >= 32:
        array = _numeric(body)
        if array is not None:
            return explain_array(path, array, context, "CSV, one row a snippet")
    facts: dict[str, Any] = {"rows": len(body), "columns": header[:12], "first row": body[0][:12] if body else []}
    unknown: tuple[str, ...] = ("what it means",)
    summary = f"a table of {counted(len(body), 'row')} and {counted(len(header), 'column')}"
    if header == ["video", "numFrame", "seconds", "fps", "rfps", "subset", "featureFrame"]:
        subsets = Counter(row[5] for row in body if len(row) == 7)
        summary = f"BMN's video table of ActivityNet: subset, frame rate and duration of {len(body)} videos"
        facts["subsets"] = dict(subsets)
        unknown = ("the segments: they are in anet_anno_action.json beside it",)
    elif {"t-init", "t-end", "label-idx"} <= set(header):
        summary = (
            f"ground truth as a table: {counted(len(body), 'row')}, times in seconds and frames, classes as indices"
        )
        facts |= {
            "videos": len({row[header.index("video-name")] for row in body}) if "video-name" in header else None,
            "label indices": sorted(
                {
                    int(row[header.index("label-idx")])
                    for row in body
                    if row[header.index("label-idx")].lstrip("-").isdigit()
                }
            ),
        }
        unknown = ("which index is which class (-1 marks Ambiguous in GTAD's table)",)
    elif len(header) == 1:
        values = [row[0] for row in body]
        what, more = describe_names(values)
        summary, unknown = f"a list of {what} under the heading {header[0]!r}", ()
        facts |= more
        return Explanation(path, "names", summary, facts, unknown)
    return Explanation(path, "table", summary, facts, unknown)


def _numeric(rows: Sequence[Sequence[str]]) -> Array | None:
    try:
        array = np.array([[float(cell) for cell in row] for row in rows])
    except ValueError:
        return None
    return array if array.ndim == 2 and array.size else None


_CLASS_FILE = re.compile(r"^(?P<label>\w+)_(?P<subset>test|val)$")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(lines: Iterable[str]) -> set[int]:
    return {len(line.split()) for line in lines}


def explain_text(path: Path, text: str) -> Explanation:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(
            "holds no text",
            expected="a list or table",
            where=path,
            next_step="Check that it is the right file and complete",
        )
    columns, parts = _columns(lines), [line.split() for line in lines]
    facts: dict[str, Any] = {"lines": len(lines), "first line": lines[0][:120]}
    name = _CLASS_FILE.match(path.stem)
    if columns == {3} and all(_is_number(p[1]) and _is_number(p[2]) for p in parts):
        label = name["label"] if name else None
        facts |= {
            "videos": len({p[0] for p in parts}),
            "segments": len(parts),
            "class": label,
            "seconds": f"{min(float(p[1]) for p in parts):g} to {max(float(p[2]) for p in parts):g}",
        }
        kind = (
            "Ambiguous intervals"
            if label == "Ambiguous"
            else f"segments of {label}"
            if label
            else "segments of one class"
        )
        return Explanation(
            path,
            "segments",
            f"THUMOS14 text: {len(parts)} {kind} in {facts['videos']} videos (video, start, end in seconds)",
            facts,
            () if label else ("the class: it is in the file's name in the official release",),
            "wtal data explain FOLDER reads all classes together",
        )
    if columns == {5} and all(_is_number(cell) for p in parts for cell in p[1:]):
        return _explain_detections(path)
    if len(lines) % 2 == 0 and all(_is_number(v) for v in lines[1::2]) and not any(_is_number(v) for v in lines[::2]):
        seconds = [float(v) for v in lines[1::2]]
        facts |= {"videos": len(seconds), "seconds": f"{min(seconds):g} to {max(seconds):g}"}
        return Explanation(
            path, "numbers", f"durations of {len(seconds)} videos, name and seconds on alternate lines", facts
        )
    if columns == {2} and all(THUMOS_VIDEO.match(p[0]) for p in parts):
        facts |= {"videos": len({p[0] for p in parts}), "classes": sorted({p[1] for p in parts})}
        what = "avoid list: " if "avoid" in path.stem else ""
        return Explanation(path, "names", f"{what}{len(parts)} pairs of THUMOS14 video and class", facts)
    what, more = describe_names(lines)
    if columns <= {1, 2, 3, 4, 5, 6} and max(len(line) for line in lines) < 100:
        return Explanation(path, "names", f"a list of {what}, one a line", facts | more)
    return Explanation(path, "text", f"text of {counted(len(lines), 'line')}", facts, ("what it means",))
