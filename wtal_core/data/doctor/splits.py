"""Checks of the splits: overlap, leakage, and classes that cannot be learned or are never tested."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wtal_core.data.doctor.report import Finding
from wtal_core.data.doctor.subject import Subject
from wtal_core.errors import counted, nearest

__all__ = ["check_splits"]


def check_splits(subject: Subject) -> Iterator[Finding]:
    """Look for overlapping or empty splits and classes that cannot be learned."""
    annotations, splits = subject.annotations, subject.splits
    if splits:
        yield from _check_subsets(subject)
        yield from _check_trained_and_tested(subject)
    elif len(annotations.subsets()) > 1:
        message = f"subsets {', '.join(annotations.subsets())}, no splits stated"
        step = "Name the splits to have leakage and untrained classes checked"
        yield Finding("note", "splits", annotations.source, message, step, ("splits",))


def _check_subsets(subject: Subject) -> Iterator[Finding]:
    """Look for subsets without a video, in two splits, and videos in none."""
    annotations = subject.annotations
    there = annotations.subsets()
    seen: dict[str, str] = {}
    for split, subsets in subject.splits.items():
        for subset in subsets:
            if subset not in there:
                guesses = nearest(subset, there, 1)
                message = f"subset {subset!r} has no video; there are {', '.join(there) or 'no subsets'}"
                step = f"Did you mean {guesses[0]!r}?" if guesses else "Correct 'splits'"
                yield Finding("error", "splits", f"split {split!r}", message, step)
            if subset in seen:
                count = sum(info.subset == subset for info in annotations.videos.values())
                yield Finding(
                    "error",
                    "splits",
                    f"subset {subset!r}",
                    f"its {count} videos are in both {seen[subset]!r} and {split!r}: tested on what was trained on",
                    "Put each subset into one split",
                )
            seen.setdefault(subset, split)
    if left := len(annotations.videos) - len(subject.split_of()):
        yield Finding("note", "splits", annotations.source, f"{counted(left, 'video')} in no split")


def _check_trained_and_tested(subject: Subject) -> Iterator[Finding]:
    """Look for classes that are tested and not trained or the other way round, and training videos without a label."""
    annotations, split_of = subject.annotations, subject.split_of()
    videos, labels = annotations.video_labels()
    counts = {split: np.zeros(len(annotations.classes)) for split in subject.splits}
    for row, video in zip(labels, videos, strict=True):
        if video in split_of:
            counts[split_of[video]] += row
    if "train" not in counts:
        return
    tested = sum((c for split, c in counts.items() if split != "train"), np.zeros(len(annotations.classes)))
    for i, label in enumerate(annotations.classes):
        if counts["train"][i] == 0 and tested[i]:
            message = f"no training video, but {counted(int(tested[i]), 'video')} to test on: its AP will be 0"
            yield Finding("error", "splits", f"class {label!r}", message, "Drop the class or move videos")
        elif counts["train"][i] and not tested[i] and len(counts) > 1:
            yield Finding("note", "splits", f"class {label!r}", "is trained and never tested")
    unlabelled = [v for v, row in zip(videos, labels, strict=True) if not row.any() and split_of.get(v) == "train"]
    if unlabelled:
        message = f"{len(unlabelled)} training videos have no label, among them this one"
        step = "Give them labels or take them out of the training split"
        yield Finding("warning", "splits", unlabelled[0], message, step)
