"""THUMOS14's annotation text: one file for each class and subset, `video  start end` in seconds on each line."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from wtal_core.data.annotations.draft import AMBIGUOUS, Draft
from wtal_core.data.annotations.thumos14_facts import THUMOS14_CLASS_IDS
from wtal_core.errors import DataError
from wtal_core.files import composed, read_text, visible
from wtal_core.records import Annotations

__all__ = ["is_thumos14_folder", "read", "write"]

#: Suffix of the official file names -> subset.
_SUBSETS = {"val": "validation"}
_FOLDER = re.compile(r"temporal_annotations_(?P<subset>.+)")
_FILE = re.compile(r"(?P<label>.+)_(?P<subset>[^_]+)\.txt")
#: Text files beside the annotations that are not annotations.
_OTHER = re.compile(r".*(durations|avoid_videos|vid_list)\.txt|split_.*|readme.*", re.IGNORECASE)


def is_thumos14_folder(path: Path) -> bool:
    """Return whether a folder holds THUMOS14 text: subset folders, or class files themselves."""
    return bool(_subset_folders(path)) or any(
        (match := _FILE.fullmatch(file.name)) and match["label"] in (*THUMOS14_CLASS_IDS, AMBIGUOUS)
        for file in visible(path, "*.txt")
    )


def _subset_folders(path: Path) -> list[Path]:
    """Return the folders that hold class files, validation (which is trained on) before test."""
    if _FOLDER.fullmatch(path.resolve().name):
        return [path]
    found = [child for child in path.iterdir() if child.is_dir() and _FOLDER.fullmatch(child.name)]
    return sorted(found, key=lambda child: child.name, reverse=True)


def read(path: Path) -> Draft:
    """Read a folder of class files or the folder above several such."""
    draft = Draft(path, "THUMOS14 text")
    folders = _subset_folders(path) or [path]
    found: dict[tuple[str, str], Path] = {}
    for folder in folders:
        named = _FOLDER.fullmatch(folder.resolve().name)
        for file in visible(folder, "*.txt"):
            match = _FILE.fullmatch(file.name)
            if match is None or (named is None and _OTHER.fullmatch(file.name)):
                continue
            subset = named["subset"] if named else _SUBSETS.get(match["subset"], match["subset"])
            found[subset, match["label"]] = file
    if not found:
        raise DataError(
            "holds no class files",
            expected="<class>_test.txt or <class>_val.txt",
            where=path,
            next_step="Name the folder that holds one text file a class",
        )
    _settle_classes(draft, found)
    rows: list[tuple[str, str, str, str, str, str]] = []
    for (subset, label), file in found.items():
        rows += _read_file(draft, file, subset, label)
    subset_of: dict[str, str] = {}
    for video, _, _, _, subset, where in rows:
        if subset_of.setdefault(video, subset) != subset:
            draft.problem("repeated_video", where, f"video {video} is in {subset_of[video]} and in {subset}")
    parents = [folder.resolve().parent for folder in folders if _FOLDER.fullmatch(folder.resolve().name)]
    around = list(dict.fromkeys((*folders, *parents)))
    durations = _durations(draft, around)
    subsets = list(dict.fromkeys(subset for subset, _ in found))
    for video in sorted(subset_of, key=lambda video: (subsets.index(subset_of[video]), video)):
        draft.add_video(video, f"video {video}", subset=subset_of[video], duration=durations.get(video))
    for video, label, start, end, _, where in rows:
        draft.add_segment("instances", video, label, start, end, where)
    _note_avoid_lists(draft, around)
    return draft


def _settle_classes(draft: Draft, found: dict[tuple[str, str], Path]) -> None:
    labels = {label for _, label in found if label != AMBIGUOUS}
    draft.classes = sorted(labels)
    # Another data set in the same layout may share a few classes; most of the twenty make it THUMOS14 itself.
    if len(labels & THUMOS14_CLASS_IDS.keys()) > len(THUMOS14_CLASS_IDS) // 2:
        for subset in dict.fromkeys(subset for subset, _ in found):
            for label in THUMOS14_CLASS_IDS:
                if (subset, label) not in found:
                    draft.problem("missing_class", subset, f"there is no file of {label}")


def _read_file(draft: Draft, file: Path, subset: str, label: str) -> list[tuple[str, str, str, str, str, str]]:
    """Return `(video, label, start, end, subset, where)` of each line; broken lines become findings."""
    if file.stat().st_size == 0:
        return []  # a class without instances in this subset
    rows = []
    for count, line in enumerate(read_text(file, "THUMOS14 annotation text").splitlines(), 1):
        parts = line.split()
        where = f"{file.name}, line {count}"
        if len(parts) == 3:
            rows.append((composed(parts[0].removesuffix(".mp4")), label, parts[1], parts[2], subset, where))
        elif parts:
            draft.problem("row", where, f"it is not `video start end` (got {line.strip()[:60]!r})")
    return rows


def _durations(draft: Draft, folders: list[Path]) -> dict[str, str]:
    """Return durations from `*durations.txt` beside the annotations: a line with the file, a line with the seconds."""
    durations: dict[str, str] = {}
    for file in sorted({file.resolve() for folder in folders for file in visible(folder, "*durations.txt")}):
        lines = [line.strip() for line in read_text(file, "a list of durations").splitlines() if line.strip()]
        if len(lines) % 2:
            draft.problem("row", file.name, "it does not alternate between a file name and seconds")
        for name, seconds in zip(lines[::2], lines[1::2], strict=False):
            video = composed(Path(name).name.removesuffix(".mp4"))
            if durations.setdefault(video, seconds) != seconds:
                draft.problem("duration", file.name, f"{video} lasts {durations[video]} s in another list")
    return durations


def _note_avoid_lists(draft: Draft, folders: list[Path]) -> None:
    for file in sorted({file.resolve() for folder in folders for file in visible(folder, "*avoid_videos.txt")}):
        for count, line in enumerate(read_text(file, "a list of videos").splitlines(), 1):
            video, *rest = composed(line).split() or [""]
            if video in draft.videos:
                draft.problem("avoid_list", f"{file.name}, line {count}", f"{video} ({' '.join(rest)})")


# -- writing --------------------------------------------------------------------------------------------------------


def write(annotations: Annotations, path: str | os.PathLike[str]) -> None:
    """Write the folder as the THUMOS14 release lays it out; the official files come out byte for byte.

    The text cannot hold videos without segments, frame rates, video-level labels or tracks; they are left out.

    Raises:
        DataError: `path` exists and is not an empty folder; a video has no subset; a name does not fit the text.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(
            "exists", expected="a new or empty folder", where=path, next_step="Name another folder or remove it"
        )
    texts: dict[tuple[str, str], list[str]] = {}
    for name in annotations.subsets():
        _check_name(name, "subset", path)
        texts.update({(name, label): [] for label in annotations.classes})
    for table, fixed_label in ((annotations.instances, None), (annotations.ambiguous, AMBIGUOUS)):
        for video, label, start, end in zip(
            table.video, table.label, table.start.tolist(), table.end.tolist(), strict=True
        ):
            subset = annotations.videos[video].subset
            if subset is None:
                raise DataError(
                    f"video {video} has no subset, and THUMOS14 text is sorted by subset",
                    where=path,
                    next_step='Set one, or write format="activitynet"',
                )
            if len(video.split()) != 1 or video.endswith(".mp4"):
                raise DataError(
                    f"video {video!r} cannot be a word of THUMOS14 text",
                    where=path,
                    next_step="Rename the video, or write ActivityNet JSON or CSV instead",
                )
            texts.setdefault((subset, fixed_label or label), []).append(f"{video}  {start!r} {end!r}\n")
    for name in dict.fromkeys(label for _, label in texts):
        _check_name(name, "class", path)
    suffix = {subset: next((k for k, v in _SUBSETS.items() if v == subset), subset) for subset, _ in texts}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary:
            whole = Path(temporary) / "whole"
            for (subset, label), lines in texts.items():
                file = whole / f"temporal_annotations_{subset}" / f"{label}_{suffix[subset]}.txt"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("".join(lines), encoding="utf-8")
            for subset in suffix:
                text = "".join(
                    f"{video}.mp4\n{info.duration:.6f}\n"
                    if float(f"{info.duration:.6f}") == info.duration
                    else f"{video}.mp4\n{float(info.duration)!r}\n"
                    for video, info in annotations.videos.items()
                    if info.subset == subset and info.duration is not None
                )
                if text:
                    (whole / f"{subset}_durations.txt").write_text(text, encoding="utf-8")
            whole.mkdir(exist_ok=True)
            os.replace(whole, path)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror or error}", where=path, next_step="Name another folder"
        ) from error


def _check_name(name: str, what: str, path: Path) -> None:
    if "/" in name or "\\" in name or "\0" in name or name.startswith(".") or (what == "subset" and "_" in name):
        raise DataError(
            f"{what} {name!r} cannot be part of a file name of THUMOS14 text",
            where=path,
            next_step='Write format="activitynet"',
        )
