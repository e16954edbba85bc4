"""The formats by name: which files they make of layers, and how they are read back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import read_json, read_start, read_text, stem, visible, write_json, write_text
from wtal_core.interchange import elan, label_studio, subtitles, via
from wtal_core.interchange.layers import Interval, Layer, Media, annotations_of, intervals
from wtal_core.records import Annotations

__all__ = ["EXTENSIONS", "FORMATS", "Media", "detect_format", "read", "write_all", "write_video"]

#: Format -> (suffix, whether one file holds many videos, what it is).
FORMATS: Mapping[str, tuple[str, bool, str]] = MappingProxyType(
    {
        "vtt": (".vtt", False, "WebVTT subtitles"),
        "srt": (".srt", False, "SubRip subtitles"),
        "ass": (".ass", False, "Advanced SubStation Alpha subtitles"),
        "elan": (".eaf", False, "ELAN annotation files"),
        "via": (".json", True, "VGG Image Annotator 3 project"),
        "label_studio": (".json", True, "Label Studio tasks with TimelineLabels"),
    }
)
EXTENSIONS: Mapping[str, str] = MappingProxyType({".vtt": "vtt", ".srt": "srt", ".ass": "ass", ".eaf": "elan"})


def write_video(path: str | os.PathLike[str], format: str, layers: Sequence[Layer], media: Media) -> None:
    """Write the layers of one video as a file of a format that holds one video, in one step.

    Raises:
        UsageError: there is no such format, or it holds many videos.
    """
    rows = intervals(layers, [media.video])[media.video]
    write_text(path, _text(format, rows, media, [layer.name for layer in layers]))


def _text(format: str, rows: Sequence[Interval], media: Media, names: Sequence[str]) -> str:
    match format:
        case "vtt":
            return subtitles.to_vtt(rows)
        case "srt":
            return subtitles.to_srt(rows) or "\n"
        case "ass":
            return subtitles.to_ass(rows)
        case "elan":
            return elan.to_eaf(rows, media, names)
        case _:
            raise unknown_name("format of one video", format, [n for n, (_, many, _) in FORMATS.items() if not many])


def write_all(
    path: str | os.PathLike[str], format: str, layers: Sequence[Layer], media: Sequence[Media], *, fps: float = 25.0
) -> list[Path]:
    """Write the layers of many videos: one file, or a folder of one file a video, as the format wants.

    Args:
        path: the file or folder.
        format: one of `FORMATS`.
        layers: what to write; layers need different names.
        media: the videos.
        fps: Label Studio: frame rate of videos that do not say theirs.

    Returns:
        The files that were written.

    Raises:
        UsageError: there is no such format, or two layers have one name.
        DataError: it cannot be written.
    """
    if format not in FORMATS:
        raise unknown_name("interchange format", format, FORMATS)
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names):
        raise UsageError(
            "two layers have one name", expected="different names", got=", ".join(names), next_step="Rename one of them"
        )
    suffix, many, _ = FORMATS[format]
    found = intervals(layers, [item.video for item in media])
    if not many:
        files = []
        for item in media:
            name = item.video.replace("/", "_").replace("\\", "_")
            file = Path(path) / f"{name}{suffix}"
            write_text(file, _text(format, found[item.video], item, names))
            files.append(file)
        return files
    by_video = {item.video: item for item in media}
    if format == "via":
        write_json(path, via.to_via(found, by_video, names))
        return [Path(path)]
    write_json(path, label_studio.to_label_studio(found, by_video, names, fps))
    config = Path(path).with_suffix(".xml")
    labels = sorted({i.label for rows in found.values() for i in rows})
    write_text(config, label_studio.labelling_config(labels, [item.fps or fps for item in media]))
    return [Path(path), config]


def detect_format(path: str | os.PathLike[str]) -> str | None:
    """Return which of `FORMATS` a file (or the first file of a folder) is in, None where in none of them.

    Raises:
        DataError: it does not exist or is empty.
    """
    path = Path(path)
    if path.is_dir():
        first = next((p for p in visible(path) if p.suffix.lower() in EXTENSIONS), None)
        return EXTENSIONS[first.suffix.lower()] if first is not None else None
    if path.suffix.lower() in EXTENSIONS:
        return EXTENSIONS[path.suffix.lower()]
    if path.suffix.lower() != ".json" or read_start(path)[:64].lstrip()[:1] not in (b"{", b"["):
        return None
    content = read_json(path)
    if isinstance(content, dict) and {"project", "attribute", "file", "metadata", "view"} <= content.keys():
        return "via"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "data" in content[0]:
        return "label_studio"
    return None


def read(path: str | os.PathLike[str], format: str | None = None, *, fps: float | None = None) -> Annotations:
    """Read annotations that another tool made.

    Args:
        path: file; for subtitles and ELAN also a folder of files named after their videos.
        format: one of `FORMATS`; None detects it.
        fps: Label Studio: frame rate of the project, for tasks that do not say theirs.

    Returns:
        Annotations: the layer "Ground truth" (else the first) as instances, other layers as tracks.

    Raises:
        DataError: the format is not known, or the content cannot be read.
        UsageError: `format` is none of the names.
    """
    path = Path(path)
    form = detect_format(path) if format is None else format
    if form is None:
        raise DataError(
            "is in no format of other tools that is known here",
            expected=", ".join(FORMATS),
            where=path,
            next_step="Name the format, or export it again in one of these",
            arguments=("format",),
        )
    if form not in FORMATS:
        raise unknown_name("interchange format", form, FORMATS)
    if FORMATS[form][1]:
        content = read_json(path)
        found = _many(form, content, str(path), fps)
        return annotations_of(found, f"{path} ({form})", {})
    suffix = FORMATS[form][0]
    files = [p for p in visible(path) if p.suffix.lower() == suffix] if path.is_dir() else [path]
    rows = {stem(file): _one(form, read_text(file, FORMATS[form][2]), str(file)) for file in files}
    return annotations_of(rows, f"{path} ({form})", {})


def _many(form: str, content: Any, where: str, fps: float | None) -> dict[str, list[Interval]]:
    if form == "via":
        if not isinstance(content, dict):
            raise DataError(
                "is not a VIA 3 project",
                expected="an object",
                got=type(content).__name__,
                where=where,
                next_step="Save the project from VIA 3 as JSON",
            )
        return via.parse_via(content, where)
    if not isinstance(content, list):
        raise DataError(
            "is not a list of tasks",
            expected="a list",
            got=type(content).__name__,
            where=where,
            next_step="Export the tasks from Label Studio as JSON",
        )
    return label_studio.parse_label_studio(content, where, fps)


def _one(form: str, text: str, where: str) -> list[Interval]:
    if form == "elan":
        return elan.parse_eaf(text, where)[0]
    parse = {"vtt": subtitles.parse_vtt, "srt": subtitles.parse_srt, "ass": subtitles.parse_ass}[form]
    return parse(text, where)
