"""The data set doctor: every mismatch between annotations, features, splits and videos, before the first epoch.

Each check is a function that yields `Finding`s: severity, where, what, and what to do. Errors make training or
evaluation wrong or impossible; warnings make numbers doubtful; notes are worth knowing.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wtal_core.data.annotations import FAULTY_VIDEOS, Problem, scan_annotations
from wtal_core.data.dataset import Dataset, VideoFiles
from wtal_core.data.features import FeatureStore, HDF5Store
from wtal_core.data.features.grid_rule import fitting_presets
from wtal_core.data.features.native import array_digest, to_float32
from wtal_core.errors import DataError, WtalError, counted, nearest
from wtal_core.progress import track
from wtal_core.records import Annotations, Provenance
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["CHECKS", "Diagnosis", "Finding", "Severity", "Subject", "diagnose", "diagnose_dataset", "length_message"]

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: What a check looks for; findings are grouped under these names.
CHECKS: dict[str, str] = {
    "annotations": "rows, keys and files of the annotations",
    "duplicates": "instances that are listed twice",
    "empty segments": "instances without length",
    "beyond duration": "segments that end after their video",
    "durations": "durations that cannot be trusted",
    "frame rates": "frame rates that cannot be trusted",
    "known faulty videos": "videos of the data set that are known to be wrong",
    "video-level labels": "video-level labels that differ from the segments",
    "ambiguous": "intervals that count neither way",
    "classes": "labels and class list",
    "splits": "videos and classes of each split",
    "features missing": "annotated videos without features",
    "features without annotation": "features that no annotation knows",
    "features unreadable": "features that cannot be read",
    "snippet grid": "where snippets lie in time",
    "length": "number of snippets against duration and grid",
    "segments beyond features": "segments after the last snippet",
    "values": "NaN, infinite, zero and constant snippets",
    "dimension": "channels and crops",
    "provenance": "what made the features",
    "same features": "videos with identical features",
    "videos": "video files",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Args:
        severity: "error", "warning" or "note".
        check: one of `CHECKS`.
        where: video, file or row.
        message: what is the matter, one sentence without a final full stop.
        next_step: what to do about it, an imperative sentence; "" where nothing is to be done.
    """

    severity: Severity
    check: str
    where: str
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, errors first, and what was looked at.

    Args:
        findings: sorted by severity, then in the order of `CHECKS`.
        examined: how many videos, instances, classes, feature sets and snippets were looked at.
    """

    findings: tuple[Finding, ...]
    examined: Mapping[str, int]

    def count(self, severity: Severity) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is no error."""
        return self.count("error") == 0

    def groups(self) -> dict[tuple[Severity, str], tuple[Finding, ...]]:
        """Return the findings by severity and check, in order."""
        grouped: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            grouped[finding.severity, finding.check].append(finding)
        return {key: tuple(found) for key, found in grouped.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "healthy": self.healthy,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "examined": dict(self.examined),
            "findings": [asdict(finding) for finding in self.findings],
        }


@dataclass(frozen=True)
class Subject:
    """What is examined together.

    Args:
        annotations: ground truth, as far as it could be read.
        problems: what the reader of the annotations found.
        features: `{name: store}`.
        splits: split -> subsets; empty where the data set has none.
        class_list: the classes the data set declares, or ().
        video_files: the folder of videos, or None where none is expected.
    """

    annotations: Annotations
    problems: Sequence[Problem] = ()
    features: Mapping[str, FeatureStore] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_list: Sequence[str] = ()
    video_files: VideoFiles | None = None

    def split_of(self) -> dict[str, str]:
        """Return `{video: split}`; videos of no split are left out, those of two are in the first."""
        return {
            video: next(split for split, subsets in self.splits.items() if info.subset in subsets)
            for video, info in self.annotations.videos.items()
            if any(info.subset in subsets for subsets in self.splits.values())
        }


@dataclass(slots=True)
class _Measured:
    """What one look at a video's features gives."""

    shape: tuple[int, ...]
    provenance: Provenance
    grid: SnippetGrid | None
    digest: str
    not_finite: int = 0
    first_bad: int = -1
    zero: int = 0
    constant: int = 0
    repeated: int = 0
    damaged: bool = False


# -- annotations --------------------------------------------------------------------------------------------------

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


def _check_problems(subject: Subject) -> Iterator[Finding]:
    """Report what the reader of the annotations found."""
    path = subject.annotations.source.rsplit(" (", 1)[0]
    for problem in subject.problems:
        where = problem.where.removeprefix(f"{path}: ").removeprefix("video ") or problem.where
        severity, check, step = _PROBLEMS.get(problem.kind, ("error" if problem.fatal else "note", "annotations", ""))
        yield Finding(severity, check, where, problem.message, step)


def _check_ambiguous(subject: Subject) -> Iterator[Finding]:
    """Say how much is Ambiguous and which videos have nothing else."""
    table = subject.annotations.ambiguous
    if not len(table):
        return
    with_instances = set(subject.annotations.instances.video)
    only = sorted(set(table.video) - with_instances)
    yield Finding(
        "note",
        "ambiguous",
        subject.annotations.source,
        f"{counted(len(table), 'Ambiguous interval')} in {counted(len(set(table.video)), 'video')}; the protocols "
        "'thumos14' and 'wtalc' drop detections on them, 'activitynet' counts those as false",
        "Name the protocol with every number",
    )
    for video in only:
        yield Finding(
            "note", "ambiguous", video, "has Ambiguous intervals only, no instance", "It never counts as annotated"
        )


def _check_classes(subject: Subject) -> Iterator[Finding]:
    """Compare the labels with the declared class list, and look for near-identical names."""
    annotations, listed = subject.annotations, tuple(subject.class_list)
    used = Counter(annotations.instances.label.tolist())
    for info in annotations.videos.values():
        used.update(dict.fromkeys(info.labels, 0))
    if listed:
        for label in sorted(set(used) - set(listed)):
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


def _check_splits(subject: Subject) -> Iterator[Finding]:
    """Look for overlapping or empty splits and classes that cannot be learned."""
    annotations, splits = subject.annotations, subject.splits
    if not splits:
        if len(annotations.subsets()) > 1:
            yield Finding(
                "note", "splits", annotations.source, f"subsets {', '.join(annotations.subsets())}, no splits stated",
                "Name them with --splits to have leakage and untrained classes checked",
            )  # fmt: skip
        return
    seen: dict[str, str] = {}
    for split, subsets in splits.items():
        for subset in subsets:
            if subset not in annotations.subsets():
                guesses = nearest(subset, annotations.subsets(), 1)
                yield Finding(
                    "error",
                    "splits",
                    f"split {split!r}",
                    f"subset {subset!r} has no video; there are {', '.join(annotations.subsets()) or 'no subsets'}",
                    f"Did you mean {guesses[0]!r}?" if guesses else "Correct 'splits'",
                )
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
    split_of = subject.split_of()
    left = sum(video not in split_of for video in annotations.videos)
    if left:
        yield Finding("note", "splits", annotations.source, f"{counted(left, 'video')} in no split", "")
    videos, labels = annotations.video_labels()
    counts = {split: np.zeros(len(annotations.classes)) for split in splits}
    for row, video in zip(labels, videos, strict=True):
        if video in split_of:
            counts[split_of[video]] += row
    if "train" not in counts:
        return
    tested = sum((c for split, c in counts.items() if split != "train"), np.zeros(len(annotations.classes)))
    for i, label in enumerate(annotations.classes):
        if counts["train"][i] == 0 and tested[i]:
            yield Finding(
                "error",
                "splits",
                f"class {label!r}",
                f"no training video, but {counted(int(tested[i]), 'video')} to test on: its AP will be 0",
                "Drop the class or move videos",
            )
        elif counts["train"][i] and not tested[i] and len(counts) > 1:
            yield Finding("note", "splits", f"class {label!r}", "is trained and never tested", "")
    unlabelled = [v for v, row in zip(videos, labels, strict=True) if not row.any() and split_of.get(v) == "train"]
    if unlabelled:
        yield Finding(
            "warning",
            "splits",
            unlabelled[0],
            f"{len(unlabelled)} training videos have no label, among them this one",
            "Give them labels or take them out of the training split",
        )


def _check_videos(subject: Subject) -> Iterator[Finding]:
    """Look for missing video files. Training needs none; looking does."""
    files = subject.video_files
    if files is None:
        return
    if not len(files):
        yield Finding(
            "note", "videos", str(files.folder), "holds no video; curves and scores work without, pictures do not",
            "Put the files there, named <video>.mp4",
        )  # fmt: skip
        return
    missing = [video for video in subject.annotations.videos if files.find(video) is None]
    for video in missing:
        yield Finding("note", "videos", video, f"has no file in {files.folder}", "Fetch it, or do without its pictures")


# -- features -----------------------------------------------------------------------------------------------------


def _measure(store: FeatureStore, video: str) -> _Measured:
    """Read one video's features once and measure everything that the checks need."""
    damaged = False
    if isinstance(store, HDF5Store):
        data = store.read_stored(video)
        digest = array_digest(data)
        damaged = digest != store.digest(video)
        data = to_float32(data)
    else:
        source = getattr(store, "read_array", None)
        data = np.asarray(source(video) if source is not None else store.read(video).data)
        digest = array_digest(data)
    try:
        grid = store.grid(video)
    except WtalError:
        grid = None
    finite = np.isfinite(data)
    bad = ~finite.all(axis=-1)  # (T,) or (crops, T)
    bad_snippets = bad if bad.ndim == 1 else bad.any(axis=0)
    with np.errstate(invalid="ignore"):
        spread = data.max(axis=-1) - data.min(axis=-1)
        zero = (spread == 0) & (data[..., 0] == 0)
        flat = (spread == 0) & ~zero
        steps = (data[..., 1:, :] == data[..., :-1, :]).all(axis=-1) & ~(zero | flat)[..., 1:]
    one_channel = data.shape[-1] == 1
    return _Measured(
        shape=data.shape,
        provenance=store.provenance(video),
        grid=grid,
        digest=digest,
        not_finite=int((~finite).sum()),
        first_bad=int(np.flatnonzero(bad_snippets)[0]) if bad_snippets.any() else -1,
        zero=int((zero if zero.ndim == 1 else zero.all(axis=0)).sum()),
        constant=0 if one_channel else int((flat if flat.ndim == 1 else flat.all(axis=0)).sum()),
        repeated=int((steps if steps.ndim == 1 else steps.all(axis=0)).sum()),
        damaged=damaged,
    )


def length_message(grid: SnippetGrid, duration: float) -> str | None:
    """Return what is wrong with a number of snippets, or None where it fits the duration to within one snippet.

    "63 snippets, but 25 fps implies 52 (33.8 s, 16-frame steps); 63 is what 30 fps would give"
    """
    expected = grid.expected_num_snippets(duration)
    if abs(grid.num_snippets - expected) <= 1:
        return None
    others = [fps for fps in grid.explaining_fps(duration) if abs(fps - grid.fps) > 0.01 * grid.fps]
    if 30.0 in others and 29.97 in others:
        others.remove(29.97)
    text = (
        f"{grid.num_snippets} snippets, but {grid.fps:g} fps implies {expected} "
        f"({duration:.1f} s, {grid.stride:g}-frame steps)"
    )
    if others:
        return f"{text}; {grid.num_snippets} is what {' or '.join(f'{fps:g}' for fps in others[:2])} fps would give"
    step = duration / grid.num_snippets
    return f"{text}; they would be {step:.2f} s apart ({step * grid.fps:.1f} frames of {grid.fps:g} fps)"


def _check_features(subject: Subject, name: str, store: FeatureStore, *, quiet: bool) -> tuple[list[Finding], int]:
    """Run every check on one set of features; return the findings and the number of snippets read."""
    findings: list[Finding] = []
    annotated = subject.annotations.videos
    findings += _check_names(subject, name, store)
    measured: dict[str, _Measured] = {}
    for video in track(store.videos, f"reading {name}", quiet=quiet):
        try:
            measured[video] = _measure(store, video)
        except DataError as error:
            findings.append(
                Finding("error", "features unreadable", f"{name}: {video}", error.problem, error.next_step or "")
            )
    for video, m in measured.items():
        findings += _check_values(f"{name}: {video}", m)
    findings += _check_agreement(name, measured)
    findings += _check_same(subject, name, measured)
    findings += _check_lengths(subject, name, {v: m for v, m in measured.items() if v in annotated})
    for file in getattr(getattr(store, "source", None), "unpaired", []):
        where, step = f"{name}: {file.name}", "Add the other stream or remove the file"
        findings.append(Finding("warning", "features unreadable", where, "belongs to no pair of RGB and flow", step))
    return findings, sum(m.shape[-2] for m in measured.values())


def _check_names(subject: Subject, name: str, store: FeatureStore) -> Iterator[Finding]:
    annotated, present = subject.annotations.videos, set(store.videos)
    missing = [video for video in annotated if video not in present]
    extra = [video for video in store.videos if video not in annotated]
    if missing and extra:
        for change, hint in (
            (lambda v: v.removeprefix("v_"), "Take the prefix off with --strip-prefix v_"),
            (lambda v: f"v_{v}", "Rename the features: the annotations have the prefix v_"),
            (lambda v: v.rsplit(".", 1)[0], "Take the file name ending off the features' names"),
            (str.casefold, "The names differ in upper and lower case only"),
        ):
            if len({change(v) for v in extra} & set(annotated)) >= max(1, len(extra) // 2):
                yield Finding(
                    "error", "features missing", name,
                    f"names differ: e.g. {extra[0]!r} in the features, {change(extra[0])!r} in the annotations", hint,
                )  # fmt: skip
                return
    split_of = subject.split_of()
    for video in missing:
        faulty = video in FAULTY_VIDEOS
        needed = (not subject.splits or video in split_of) and not faulty
        yield Finding(
            "error" if needed else "note",
            "features missing",
            f"{name}: {video}",
            "is annotated and has no features" + (f" (known faulty: {FAULTY_VIDEOS[video]})" if faulty else ""),
            "Extract or convert them, or import with --only-with-features; its instances count as missed"
            if needed
            else "",
        )
    if extra:
        shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
        yield Finding(
            "note",
            "features without annotation",
            name,
            f"{counted(len(extra), 'video')} with features and no annotation: {shown}",
            "",
        )


def _check_values(where: str, m: _Measured) -> Iterator[Finding]:
    snippets = m.shape[-2]
    if m.damaged:
        yield Finding(
            "error", "values", where, "the stored bytes are not those that were written", "Copy or make the file again"
        )
    if m.not_finite:
        yield Finding(
            "error",
            "values",
            where,
            f"{counted(m.not_finite, 'value')} NaN or infinite, the first in snippet {m.first_bad}",
            "Extract this video again",
        )
    if m.zero == snippets:
        yield Finding("error", "values", where, f"all {snippets} snippets are zero", "Extract this video again")
    elif m.zero:
        severity: Severity = "warning" if m.zero > 0.05 * snippets else "note"
        yield Finding(
            severity,
            "values",
            where,
            f"{m.zero} of {counted(snippets, 'snippet')} all zero",
            "Padding, or frames not decoded?",
        )
    if m.constant:
        yield Finding(
            "warning",
            "values",
            where,
            f"{m.constant} of {counted(snippets, 'snippet')} with one value in all channels",
            "Extract again",
        )
    if m.repeated > 0.05 * snippets and m.repeated > 1:
        yield Finding(
            "note",
            "values",
            where,
            f"{m.repeated} of {counted(snippets, 'snippet')} equal to the one before",
            "A still picture, or a decoder that repeats frames",
        )


def _check_agreement(name: str, measured: Mapping[str, _Measured]) -> Iterator[Finding]:
    """Look for videos whose width, crops, grid or origin differ from the others'."""
    if not measured:
        return

    def minority(key: Any, check: str, what: str, severity: Severity, step: str) -> Iterator[Finding]:
        values = {video: key(m) for video, m in measured.items()}
        counts = Counter(values.values())
        if len(counts) < 2:
            return
        common, number = counts.most_common(1)[0]
        for value, count in counts.most_common()[1:]:
            first = next(video for video, v in values.items() if v == value)
            others = f" and {count - 1} more" if count > 1 else ""
            yield Finding(
                severity,
                check,
                f"{name}: {first}{others}",
                f"{what} {value}, where it is {common} in {counted(number, 'video')}",
                step,
            )

    yield from minority(
        lambda m: m.shape[-1],
        "dimension",
        "channels:",
        "error",
        "Extract these videos again, or keep them in another file",
    )
    yield from minority(lambda m: m.shape[:-2] or "none", "dimension", "crops:", "error", "Keep them in another file")
    yield from minority(
        lambda m: m.provenance.extractor or "not stated", "provenance", "extractor:", "error",
        "Features of different networks do not live in one space",
    )  # fmt: skip
    yield from minority(
        lambda m: m.provenance.modalities, "provenance", "streams:", "error", "Bring them into one channel order"
    )
    yield from minority(lambda m: m.provenance.crop, "provenance", "crop:", "warning", "")
    yield from minority(lambda m: m.provenance.flow_kind, "provenance", "optical flow:", "warning", "")
    yield from minority(
        lambda m: None if m.grid is None else (m.grid.stride, m.grid.window, m.grid.offset), "snippet grid",
        "(stride, window, offset):", "warning", "",
    )  # fmt: skip
    yield from minority(
        lambda m: None if m.grid is None else m.grid.fps, "snippet grid", "fps:", "note",
        "Right where each video keeps its own rate (CMCS on THUMOS14)",
    )  # fmt: skip
    if not any(m.provenance.extractor for m in measured.values()):
        yield Finding(
            "note", "provenance", name, "does not say what made the features", "State it when converting (--extractor)"
        )


def _check_same(subject: Subject, name: str, measured: Mapping[str, _Measured]) -> Iterator[Finding]:
    """Look for identical features under two names; across splits that is leakage."""
    groups: dict[str, list[str]] = defaultdict(list)
    for video, m in measured.items():
        groups[m.digest].append(video)
    split_of = subject.split_of()
    for videos in groups.values():
        if len(videos) < 2:
            continue
        splits = {split_of[v] for v in videos if v in split_of}
        leak = len(splits) > 1
        yield Finding(
            "error" if leak else "warning",
            "same features",
            f"{name}: {', '.join(videos[:4])}",
            f"{len(videos)} videos have identical features"
            + (f", in the splits {' and '.join(sorted(splits))}: what is tested was trained on" if leak else ""),
            "Keep one of them" if leak else "Two names for one video, or one file copied over another",
        )


def _check_lengths(subject: Subject, name: str, measured: Mapping[str, _Measured]) -> Iterator[Finding]:
    """Compare the number of snippets with duration and grid, and the segments with the last snippet."""
    videos = subject.annotations.videos
    stated = {v: info.duration for v, info in videos.items() if info.duration is not None}
    without = [v for v, m in measured.items() if m.grid is None]
    if without:
        lengths = {v: measured[v].shape[-2] for v in without if v in stated}
        fits = fitting_presets(lengths, stated)
        hint = ", ".join(f"{preset} fits {share:.0%}" for preset, share in fits[:3]) or "no preset fits most videos"
        yield Finding(
            "error",
            "snippet grid",
            f"{name}: {without[0]}" + (f" and {len(without) - 1} more" if len(without) > 1 else ""),
            f"the snippet grid is not known (of the presets: {hint})",
            "State it with --grid",
        )
    untrusted = any(problem.kind == "duration" for problem in subject.problems)
    unknown = 0
    for video, m in measured.items():
        grid = m.grid
        if grid is None:
            continue
        own, told = grid.duration, stated.get(video)
        if own and told and abs(own - told) > max(1.0, 0.02 * told):
            yield Finding(
                "warning",
                "durations",
                f"{name}: {video}",
                f"lasts {own:.1f} s by the features, {told:.1f} s by the annotations"
                + (" (which give frames / 30)" if untrusted else ""),
                "Find out which is right: segments are placed by it",
            )
        duration = own or told
        if duration is None:
            unknown += 1
        elif (message := length_message(grid, duration)) is not None:
            expected = grid.expected_num_snippets(duration)
            gross = abs(grid.num_snippets - expected) > max(2, 0.03 * expected)
            hint = " or the duration is wrong, as others in these annotations" if untrusted else ""
            yield Finding(
                "error" if gross else "warning",
                "length",
                f"{name}: {video}",
                message,
                f"State the right grid (--grid) when converting{hint}" if gross else "Check how the end was handled",
            )
    if unknown:
        yield Finding(
            "note",
            "length",
            name,
            f"the length of {counted(unknown, 'video')} could not be checked: no duration is known",
            "",
        )
    yield from _check_segment_ends(subject, name, measured)


def _check_segment_ends(subject: Subject, name: str, measured: Mapping[str, _Measured]) -> Iterator[Finding]:
    table = subject.annotations.instances
    codes, vocabulary = table.video_codes
    ends = np.array(
        [g.end_seconds if v in measured and (g := measured[v].grid) is not None else np.inf for v in vocabulary]
    )
    if not len(table):
        return
    outside = table.start >= ends[codes] - 1e-9
    for code, count in Counter(codes[outside].tolist()).items():
        video = vocabulary[code]
        yield Finding(
            "warning",
            "segments beyond features",
            f"{name}: {video}",
            f"{count} instances start after the last snippet ends ({ends[code]:.1f} s): no method can find them",
            "Wrong features, grid or annotation for this video",
        )


# -- all together -------------------------------------------------------------------------------------------------


def diagnose(subject: Subject, *, quiet: bool = True) -> Diagnosis:
    """Run all checks.

    Args:
        subject: annotations, features, splits and videos that belong together.
        quiet: no progress bars.
    """
    findings: list[Finding] = []
    for check in (_check_problems, _check_ambiguous, _check_classes, _check_splits, _check_videos):
        findings += check(subject)
    snippets = 0
    for name, store in subject.features.items():
        found, count = _check_features(subject, name, store, quiet=quiet)
        findings += found
        snippets += count
    examined = {
        "videos": len(subject.annotations.videos),
        "instances": len(subject.annotations.instances),
        "classes": len(subject.class_list or subject.annotations.classes),
        "feature sets": len(subject.features),
        "snippets": snippets,
    }
    return _sorted(findings, examined)


def _sorted(findings: Iterable[Finding], examined: Mapping[str, int]) -> Diagnosis:
    rank = {name: i for i, name in enumerate(CHECKS)}
    ordered = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), rank[f.check]))
    return Diagnosis(tuple(ordered), dict(examined))


def diagnose_dataset(folder: str | os.PathLike[str], *, quiet: bool = True) -> Diagnosis:
    """Examine a data set folder: its annotations, every set of features, its splits and videos.

    Raises:
        DataError: there is no readable `dataset.yaml`, or nothing could be read from the annotations.
    """
    dataset = Dataset.open(folder)
    annotations, problems = scan_annotations(Path(dataset.folder) / dataset.annotations_path)
    stores: dict[str, FeatureStore] = {}
    findings: list[Finding] = []
    for name in dataset.feature_names:
        try:
            stores[name] = dataset.features(name)
        except WtalError as error:
            findings.append(Finding("error", "features unreadable", name, error.problem, error.next_step or ""))
    if not dataset.feature_names:
        findings.append(
            Finding("note", "features missing", str(folder), "the data set has no features", "Make them: wtal extract")
        )
    subject = Subject(
        annotations,
        problems,
        stores,
        dataset.splits,
        dataset.class_list,
        VideoFiles(dataset.folder / dataset.videos_folder),
    )
    try:
        diagnosis = diagnose(subject, quiet=quiet)
    finally:
        for store in stores.values():
            store.close()
    return _sorted([*diagnosis.findings, *findings], diagnosis.examined)
