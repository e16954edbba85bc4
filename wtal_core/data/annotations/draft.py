"""Collect what a reader finds in a file, check it once for all formats, and make `Annotations` of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations.problems import PROBLEM_KINDS, Problem, notes, raise_first
from wtal_core.data.annotations.thumos14_facts import FAULTY_VIDEOS
from wtal_core.errors import DataError, nearest
from wtal_core.files import composed
from wtal_core.records import Annotations, Segments, VideoInfo

__all__ = ["AMBIGUOUS", "Draft", "Rows", "name_problem", "number", "shown"]

#: Label of intervals that count neither for nor against a detection (THUMOS14).
AMBIGUOUS = "Ambiguous"


def shown(value: object) -> str:
    """Return a short form of a value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def number(value: Any) -> float:
    """Return a number given as number or text, NaN where it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return math.nan
    try:
        # float() also takes "1_000", which no annotation means.
        return math.nan if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError):
        return math.nan


def name_problem(value: Any) -> tuple[str, str] | None:
    """Return kind and text of what keeps `value` from being a name, None if it is one (text that UTF-8 can hold)."""
    if value is None:
        return "missing", "is missing"
    if not isinstance(value, str):
        return "type", f"is not text (got {shown(value)})"
    if not value.strip():
        return "missing", "is empty"
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        return "type", f"is not valid text (got {shown(value)})"
    return None


@lru_cache(maxsize=4096)
def _did_you_mean(name: str, known: tuple[str, ...]) -> str:
    guesses = nearest(name, known, 1) if len(name) <= 100 else []
    return f"; did you mean {guesses[0]!r}?" if guesses else ""


@dataclass
class Rows:
    """One table under construction; `where` says for each row where it was found."""

    video: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    where: list[str] = field(default_factory=list)

    def pick(self, rows: Iterable[int]) -> None:
        """Keep the given rows, in the given order."""
        rows = list(rows)
        self.video = [self.video[row] for row in rows]
        self.label = [self.label[row] for row in rows]
        self.start = [self.start[row] for row in rows]
        self.end = [self.end[row] for row in rows]
        self.where = [self.where[row] for row in rows]


class Draft:
    """What a reader has found so far.

    Args:
        path: file or folder being read.
        form: name of its format, for `Annotations.source`.
    """

    def __init__(self, path: Path, form: str) -> None:
        self.path = path
        self.form = form
        self.classes: list[str] | None = None
        self.videos: dict[str, VideoInfo] = {}
        self.tables: dict[str, Rows] = {"instances": Rows(), "ambiguous": Rows()}
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    # -- findings -------------------------------------------------------------------------------------------------

    def problem(self, kind: str, where: str, message: str) -> None:
        """Record a finding at `where` (inside the file being read)."""
        self.problems.append(Problem(kind, f"{self.path}: {where}" if where else str(self.path), message))

    def check_keys(self, found: Iterable[str], known: Sequence[str], where: str) -> None:
        """Record keys that are not known, with the known key they may have meant."""
        for key in found:
            if key not in known:
                self.problem("unknown_key", where, f"unknown key {shown(key)}{_did_you_mean(key, tuple(known))}")

    def name(self, value: Any, what: str, where: str) -> str | None:
        """Return `value` in its composed form if it can be a name (see `name_problem`), else record a problem."""
        if (problem := name_problem(value)) is None:
            return composed(value)
        self.problem(problem[0], where, f"the {what} {problem[1]}")
        return None

    # -- filling --------------------------------------------------------------------------------------------------

    def add_video(
        self,
        video: str,
        where: str,
        *,
        subset: Any = None,
        duration: Any = None,
        fps: Any = None,
        num_frames: Any = None,
        labels: Any = None,
    ) -> None:
        """List a video with what the file says about it; None means that it does not say."""
        if subset is not None:
            subset = self.name(subset, "subset", where)
        facts = {"duration": duration, "fps": fps, "num_frames": num_frames}
        for key, value in facts.items():
            if value is None:
                continue
            amount = number(value)
            if not (math.isfinite(amount) and amount > 0) or (key == "num_frames" and amount != int(amount)):
                self.problem("number", where, f"{key} is not a finite number > 0 (got {shown(value)})")
                facts[key] = None
            else:
                facts[key] = int(amount) if key == "num_frames" else amount
        names: list[str] = []
        if labels is not None:
            if not isinstance(labels, list | tuple):
                self.problem("type", where, f"labels is not a list of class names (got {shown(labels)})")
                labels = []
            names = [name for label in labels if (name := self.name(label, "video-level label", where)) is not None]
        info = VideoInfo(subset=subset, labels=tuple(dict.fromkeys(names)), **facts)
        if (known := self.videos.setdefault(video, info)) == info:
            return
        before, now = asdict(known), asdict(info)  # tables may say a fact in the first row of a video only
        merged = {key: before[key] if value in (None, ()) else value for key, value in now.items()}
        if any(before[key] not in (None, (), value) for key, value in merged.items()):
            self.problem("repeated_video", where, f"video {video} was listed before with other facts")
        else:
            self.videos[video] = VideoInfo(**merged)

    def add_segment(self, table: str, video: Any, label: Any, start: Any, end: Any, where: str) -> None:
        """Add one row; an instance labelled "Ambiguous" goes to that table."""
        video, label = self.name(video, "video", where), self.name(label, "label", where)
        if video is None or label is None:
            return
        if table == "instances" and label == AMBIGUOUS:
            table = "ambiguous"
        times = number(start), number(end)
        if not (math.isfinite(times[0]) and math.isfinite(times[1]) and 0 <= times[0] <= times[1]):
            self.problem(
                "segment",
                where,
                f"a segment is not finite, negative or inverted (expected 0 <= start <= end in seconds, "
                f"got [{shown(start)}, {shown(end)}])",
            )
            return
        rows = self.tables.setdefault(table, Rows())
        rows.video.append(video)
        rows.label.append(label)
        rows.start.append(times[0])
        rows.end.append(times[1])
        rows.where.append(where)

    # -- checking and finishing ---------------------------------------------------------------------------------------

    def finish(self, *, lenient: bool) -> tuple[Annotations, tuple[Problem, ...]]:
        """Check the whole and return it with the findings, which also become its notes.

        Raises:
            DataError: not lenient, and there is a fatal finding; or nothing could be read at all.
        """
        self._drop_unknown()
        for name, rows in self.tables.items():
            self._check_table(name, rows)
        self._check_videos()
        if not lenient:
            raise_first(self.problems)
        if not self.videos:
            raise_first(self.problems)
            raise DataError(
                "lists no video",
                expected=f"annotations ({self.form})",
                where=self.path,
                next_step="Check that it is the right file and complete",
            )
        stated = [n for n in self.notes if not any(n.startswith(PROBLEM_KINDS[p.kind]) for p in self.problems)]
        tables = {name: Segments(r.video, r.label, r.start, r.end) for name, r in self.tables.items()}
        annotations = Annotations(
            classes=tuple(self.classes or ()),
            videos=self.videos,
            instances=tables.pop("instances"),
            ambiguous=tables.pop("ambiguous"),
            tracks=tables,
            source=f"{self.path} ({self.form})",
            notes=(*stated, *notes(self.problems, f"{self.path}: ")),
        )
        return annotations, tuple(self.problems)

    def _drop_unknown(self) -> None:
        """Settle the class list; report and drop rows and labels outside the lists of classes and videos."""
        instances = self.tables["instances"]
        if self.classes is None:
            stated = {label for info in self.videos.values() for label in info.labels}
            self.classes = sorted(stated | set(instances.label))
        known, listed = set(self.classes), tuple(self.classes)

        def report(label: str, where: str) -> None:
            hint = _did_you_mean(label, listed)
            self.problem("unknown_class", where, f"class {label!r} is not one of the {len(known)} listed{hint}")

        for video, info in self.videos.items():
            if unknown := [label for label in info.labels if label not in known]:
                report(unknown[0], f"video {video}")
                labels = tuple(label for label in info.labels if label in known)
                self.videos[video] = VideoInfo(info.subset, info.duration, info.fps, info.num_frames, labels)
        for name, rows in self.tables.items():
            keep = []
            for row, (video, label) in enumerate(zip(rows.video, rows.label, strict=True)):
                if video not in self.videos:
                    self.problem("unknown_video", rows.where[row], f"video {video!r} is not listed")
                elif name == "instances" and label not in known:
                    report(label, rows.where[row])
                else:
                    keep.append(row)
            if len(keep) < len(rows.video):
                rows.pick(keep)

    def _check_table(self, name: str, rows: Rows) -> None:
        start, end = np.array(rows.start), np.array(rows.end)
        durations = np.array([self.videos[video].duration or np.inf for video in rows.video])
        # Files print times with as little as one decimal; a microsecond covers the arithmetic, not the data.
        for row in np.flatnonzero(end > durations + 1e-6).tolist():
            self.problem(
                "beyond_duration",
                rows.where[row],
                f"a segment of {rows.video[row]} ends at {end[row]:.9g} s, the video at {durations[row]:.9g} s",
            )
        matched = name in ("instances", "ambiguous")  # tracks may hold instants, e.g. cuts
        for row in np.flatnonzero((start == end) & matched).tolist():
            self.problem("empty_segment", rows.where[row], f"a segment of {rows.video[row]} is empty at {end[row]:g} s")
        seen = Counter(zip(rows.video, rows.label, rows.start, rows.end, strict=True))
        if len(seen) == len(rows.video):
            return
        met: Counter[tuple[str, str, float, float]] = Counter()
        for row, key in enumerate(zip(rows.video, rows.label, rows.start, rows.end, strict=True)):
            met[key] += 1
            if met[key] > 1:
                what = f"{key[1]} [{key[2]:.9g}, {key[3]:.9g}] of {key[0]}"
                self.problem("duplicate", rows.where[row], f"{what} is listed again ({name})")

    def _check_videos(self) -> None:
        segment_classes: dict[str, set[str]] = {}
        instances = self.tables["instances"]
        for video, label in zip(instances.video, instances.label, strict=True):
            segment_classes.setdefault(video, set()).add(label)
        for video, info in self.videos.items():
            found = segment_classes.get(video)
            if info.labels and found and found != set(info.labels):
                self.problem(
                    "video_labels", f"video {video}", f"labels {sorted(info.labels)}, segments of {sorted(found)}"
                )
            if video in FAULTY_VIDEOS:
                self.problem("faulty_video", f"video {video}", FAULTY_VIDEOS[video])
        self._check_durations()

    def _check_durations(self) -> None:
        """Recognise durations that were computed as frames / 30 whatever the video's frame rate (ACM-Net's gt.json)."""
        known = [i for i in self.videos.values() if i.duration is not None and i.num_frames is not None]
        if len(known) < 10 or any(i.fps is not None for i in known):
            return
        if not all(re.fullmatch(r"video_(test|validation)_\d{7}", video) for video in self.videos):
            return
        rates = np.array([info.num_frames / info.duration for info in known if info.num_frames and info.duration])
        if np.allclose(rates, 30.0, rtol=1e-9):
            self.problem(
                "duration",
                "",
                "every duration is frames / 30, also of the videos of 24 and 25 fps, which last up to 25 % longer; "
                "do not clip by these durations",
            )
