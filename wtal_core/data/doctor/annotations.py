"""Checks of the annotations alone: rows, labels, class names, Ambiguous intervals, and the video files they name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from wtal_core.data.doctor.report import Finding, Severity
from wtal_core.data.doctor.subject import Subject
from wtal_core.errors import counted, nearest

__all__ = ["check_ambiguous", "check_classes", "check_problems", "check_videos"]

#: Kind of `Problem` -> (severity, check, what to do).
_PROBLEMS: dict[str, tuple[Severity, str, str]] = {
    "missing": ("error", "annotations", "Fill it in or drop the row"),
    "type": ("error", "annotations", "Correct the value"),
    "segment": ("error", "annotations", "Correct or drop the row"),
    "number": ("error", "annotations", "Correct the value"),
    "unknown_class": ("error", "classes", "Correct the label or add the class to the list"),
    "unknown_video": ("error", "annotations", "List the video or drop the row"),
    "repeated_video": ("error", "annotations", "Keep one of the entries"),
    "row": ("error", "annotations", "Correct or drop the row"),
    "beyond_duration": ("warning", "beyond duration", "Check the duration; evaluation keeps the segment as it is"),
    "empty_segment": ("warning", "empty segments", "Drop the row: no detection can match it"),
    "duplicate": ("warning", "duplicates", "Drop one of them: each needs its own detection, so recall is capped"),
    "unknown_key": ("note", "annotations", ""),
    "duration": ("warning", "durations", "Take durations from the official text files or the videos"),
    "fps": ("warning", "frame rates", "State the grid the features were cut on: W-TALC's are 16 frames at 25 fps"),
    "faulty_video": (
        "warning",
        "known faulty videos",
        "Published numbers keep it (in Python, exclude_faulty leaves it out)",
    ),
    "avoid_list": ("note", "known faulty videos", ""),
    "video_labels": ("note", "video-level labels", "Training uses the video-level labels"),
    "unlisted_video": ("note", "annotations", ""),
    "missing_facts": ("note", "annotations", ""),
    "missing_class": ("note", "classes", ""),
}


def check_problems(subject: Subject) -> Iterator[Finding]:
    """Report what the reader of the annotations found."""
    path = subject.annotations.source.rsplit(" (", 1)[0]
    for problem in subject.problems:
        where = problem.where.removeprefix(f"{path}: ").removeprefix("video ") or problem.where
        severity, check, step = _PROBLEMS.get(problem.kind, ("error" if problem.fatal else "note", "annotations", ""))
        yield Finding(severity, check, where, problem.message, step)


def check_ambiguous(subject: Subject) -> Iterator[Finding]:
    """Say how much is Ambiguous and which videos have nothing else."""
    table = subject.annotations.ambiguous
    if not len(table):
        return
    with_instances = set(subject.annotations.instances.video)
    yield Finding(
        "note",
        "ambiguous",
        subject.annotations.source,
        f"{counted(len(table), 'Ambiguous interval')} in {counted(len(set(table.video)), 'video')}; the protocols "
        "'thumos14' and 'wtalc' drop detections on them, 'activitynet' counts those as false",
        "Name the protocol with every number",
    )
    for video in sorted(set(table.video) - with_instances):
        message = "has Ambiguous intervals only, no instance"
        yield Finding("note", "ambiguous", video, message, "It never counts as annotated")


def check_classes(subject: Subject) -> Iterator[Finding]:
    """Compare the labels with the declared class list, and look for near-identical names."""
    annotations, listed = subject.annotations, tuple(subject.class_list)
    used = Counter(annotations.instances.label.tolist())
    for info in annotations.videos.values():
        used.update(dict.fromkeys(info.labels, 0))
    for label in sorted(set(used) - set(listed)) if listed else ():
        guesses = nearest(label, listed, 1)
        yield Finding(
            "error",
            "classes",
            f"class {label!r}",
            f"a label of {counted(used[label], 'instance')} is not in the data set's list of {len(listed)} classes",
            f"Did you mean {guesses[0]!r}?" if guesses else "Add it to 'classes' or drop the rows",
        )
    folded: dict[str, list[str]] = defaultdict(list)
    for label in dict.fromkeys([*listed, *annotations.classes]):
        folded["".join(c for c in label.casefold() if c.isalnum())].append(label)
    for same in folded.values():
        if len(same) > 1:
            yield Finding("warning", "classes", f"class {same[0]!r}", f"is also written {same[1:]}", "Use one spelling")
    for label in listed or annotations.classes:
        if label not in used:
            yield Finding("warning", "classes", f"class {label!r}", "no video has it", "Drop it from the class list")


def check_videos(subject: Subject) -> Iterator[Finding]:
    """Look for missing video files. Training needs none; looking does."""
    files = subject.video_files
    if files is None:
        return
    if not len(files):
        message = "holds no video; curves and scores work without, pictures do not"
        yield Finding("note", "videos", str(files.folder), message, "Put the files there, named <video>.mp4")
        return
    for video in subject.annotations.videos:
        if files.find(video) is None:
            step = "Fetch it, or do without its pictures"
            yield Finding("note", "videos", video, f"has no file in {files.folder}", step)
