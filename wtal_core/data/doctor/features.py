"""Checks of features: which videos have them, their values, what made them, and whether all were made alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from wtal_core.data.annotations import FAULTY_VIDEOS
from wtal_core.data.doctor.measure import Measured
from wtal_core.data.doctor.report import Finding, Severity
from wtal_core.data.doctor.subject import Subject
from wtal_core.data.features import FeatureStore
from wtal_core.errors import and_more, counted

__all__ = ["check_agreement", "check_identical", "check_names", "check_values"]

#: How names of features may differ from those of the annotations, and what to do about it.
_SPELLINGS: tuple[tuple[Callable[[str], str], str], ...] = (
    (lambda v: v.removeprefix("v_"), "Take the prefix v_ off when importing or converting (strip_prefix)"),
    (lambda v: f"v_{v}", "Rename the features: the annotations have the prefix v_"),
    (lambda v: v.rsplit(".", 1)[0], "Take the file name ending off the features' names"),
    (str.casefold, "The names differ in upper and lower case only"),
)


def check_names(subject: Subject, name: str, store: FeatureStore) -> Iterator[Finding]:
    """Look for annotated videos without features and features without annotation."""
    annotated, present = subject.annotations.videos, set(store.videos)
    missing = [video for video in annotated if video not in present]
    extra = [video for video in store.videos if video not in annotated]
    for change, hint in _SPELLINGS if missing and extra else ():
        if len({change(v) for v in extra} & set(annotated)) >= max(1, len(extra) // 2):
            message = f"names differ: e.g. {extra[0]!r} in the features, {change(extra[0])!r} in the annotations"
            yield Finding("error", "features missing", name, message, hint)
            return
    split_of = subject.split_of()
    step = "Extract or convert them, or import only videos that have them; its instances count as missed"
    for video in missing:
        about = partial(Finding, check="features missing", where=f"{name}: {video}")
        message = "is annotated and has no features"
        if video in FAULTY_VIDEOS:
            yield about("note", message=f"{message} (known faulty: {FAULTY_VIDEOS[video]})")
        elif subject.splits and video not in split_of:
            yield about("note", message=message)
        else:
            yield about("error", message=message, next_step=step)
    if extra:
        shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
        message = f"{counted(len(extra), 'video')} with features and no annotation: {shown}"
        yield Finding("note", "features without annotation", name, message)


def check_values(where: str, m: Measured) -> Iterator[Finding]:
    """Look for damaged, not finite, zero, constant and repeated snippets of one video."""

    def finding(severity: Severity, message: str, next_step: str) -> Finding:
        return Finding(severity, "values", where, message, next_step)

    snippets = m.shape[-2]
    of_all = f"of {counted(snippets, 'snippet')}"
    if m.damaged:
        yield finding("error", "the stored bytes are not those that were written", "Copy or make the file again")
    if m.not_finite:
        message = f"{counted(m.not_finite, 'value')} NaN or infinite, the first in snippet {m.first_bad}"
        yield finding("error", message, "Extract this video again")
    if m.zero == snippets:
        yield finding("error", f"all {snippets} snippets are zero", "Extract this video again")
    elif m.zero:
        severity: Severity = "warning" if m.zero > 0.05 * snippets else "note"
        yield finding(severity, f"{m.zero} {of_all} all zero", "Padding, or frames not decoded?")
    if m.constant:
        yield finding("warning", f"{m.constant} {of_all} with one value in all channels", "Extract again")
    if m.repeated > 0.05 * snippets and m.repeated > 1:
        step = "A still picture, or a decoder that repeats frames"
        yield finding("note", f"{m.repeated} {of_all} equal to the one before", step)


#: What all videos of a set should have in common: (of what it is, check, its name, severity, what to do).
_COMMON: tuple[tuple[Callable[[Measured], Any], str, str, Severity, str], ...] = (
    (lambda m: m.shape[-1], "dimension", "channels:", "error",
     "Extract these videos again, or keep them in another file"),
    (lambda m: m.shape[:-2] or "none", "dimension", "crops:", "error", "Keep them in another file"),
    (lambda m: m.provenance.extractor or "not stated", "provenance", "extractor:", "error",
     "Features of different networks do not live in one space"),
    (lambda m: m.provenance.modalities, "provenance", "streams:", "error", "Bring them into one channel order"),
    (lambda m: m.provenance.crop, "provenance", "crop:", "warning", ""),
    (lambda m: m.provenance.flow_kind, "provenance", "optical flow:", "warning", ""),
    (lambda m: None if m.grid is None else (m.grid.stride, m.grid.window, m.grid.offset), "snippet grid",
     "(stride, window, offset):", "warning", ""),
    (lambda m: None if m.grid is None else m.grid.fps, "snippet grid", "fps:", "note",
     "Right where each video keeps its own rate (some codes on THUMOS14)"),
)  # fmt: skip


def check_agreement(name: str, measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Look for videos whose width, crops, grid or origin differ from the others'."""
    for value_of, check, what, severity, step in _COMMON:
        values = {video: value_of(m) for video, m in measured.items()}
        (common, number), *others = Counter(values.values()).most_common() or [(None, 0)]
        for value, count in others:
            first = next(video for video, v in values.items() if v == value)
            message = f"{what} {value}, where it is {common} in {counted(number, 'video')}"
            yield Finding(severity, check, f"{name}: {first}{and_more(count)}", message, step)
    if measured and not any(m.provenance.extractor for m in measured.values()):
        step = "State it when converting (extractor)"
        yield Finding("note", "provenance", name, "does not say what made the features", step)


def check_identical(subject: Subject, name: str, measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Look for identical features under two names; across splits that is leakage."""
    groups: dict[str, list[str]] = defaultdict(list)
    for video, m in measured.items():
        groups[m.digest].append(video)
    split_of = subject.split_of()
    for videos in groups.values():
        if len(videos) < 2:
            continue
        where, message = f"{name}: {', '.join(videos[:4])}", f"{len(videos)} videos have identical features"
        splits = {split_of[v] for v in videos if v in split_of}
        if len(splits) > 1:
            message += f", in the splits {' and '.join(sorted(splits))}: what is tested was trained on"
            yield Finding("error", "same features", where, message, "Keep one of them")
        else:
            step = "Two names for one video, or one file copied over another"
            yield Finding("warning", "same features", where, message, step)
