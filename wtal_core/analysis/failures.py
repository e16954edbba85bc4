"""The failures of runs as something to look through: filters, comparison of two runs, moments to draw, and notes.

Tags and notes are kept with the run, in `failures.json` in its folder, so that they travel with it:
`{"version": 1, "notes": {failure key: {"tags": [...], "note": "..."}}}`. The key names a failure by what it is (video,
class, times), not by its row: it outlives other thresholds, other protocols and a repeated inference.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import Diagnosis, overlap_parts
from wtal_core.files import read_json, write_json
from wtal_core.records import Activations, Annotations, Detections

try:
    import fcntl
except ImportError:  # Windows: windows of one app are kept apart, several apps are not
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FailureNotes",
    "Moment",
    "MomentTrack",
    "Note",
    "filter_failures",
    "moment_of",
    "right_elsewhere",
    "tagged_videos",
]


_VERSION = 1
_LONGEST_NOTE, _LONGEST_TAG = 10_000, 60
_WRITING = threading.Lock()


# -- notes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote about one failure.

    Args:
        tags: short words, sorted, each once.
        text: the note.
    """

    tags: tuple[str, ...] = ()
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.tags or self.text)

    def merged(self, other: Note, base: Note) -> Note:
        """Return what two people made of the same note `base`: all their changes; two new texts one below the other."""
        kept = set(self.tags) & set(other.tags)
        tags = kept | ((set(self.tags) | set(other.tags)) - set(base.tags))
        if self.text == base.text or self.text == other.text:
            text = other.text
        else:
            text = self.text if other.text == base.text else f"{self.text}\n\n{other.text}".strip()
        return Note(tuple(sorted(tags)), text)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other windows and other processes from writing notes of a run meanwhile."""
    with _WRITING:
        handle = -1
        if fcntl is not None:
            with suppress(OSError):  # no folder, or a file system without locks: writing says what is wrong
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if handle >= 0:
                os.close(handle)


class FailureNotes:
    """Tags and notes of a run's failures. Every call reads the file, so that two windows do not undo each other.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / "failures.json"

    def all(self) -> dict[str, Note]:
        """Return `{failure key: note}`.

        Raises:
            DataError: the file is damaged.
        """
        if not self.path.is_file():
            return {}
        content = read_json(self.path, "tags and notes of failures")
        notes = content.get("notes") if isinstance(content, Mapping) else None
        if not isinstance(notes, Mapping):
            raise DataError(
                "is not a file of notes",
                expected='{"notes": {...}}',
                where=self.path,
                next_step="Move the file away: notes begin anew",
            )
        return {str(key): self._read(key, value) for key, value in notes.items()}

    def _read(self, key: object, value: object) -> Note:
        tags = value.get("tags", []) if isinstance(value, Mapping) else None
        text = value.get("note", "") if isinstance(value, Mapping) else None
        if not isinstance(tags, list) or not all(isinstance(t, str) for t in tags) or not isinstance(text, str):
            raise DataError(
                f"the note of {key!r} is damaged",
                expected='{"tags": [...], "note": "..."}',
                where=self.path,
                next_step="Correct it, or delete this entry",
            )
        return Note(tuple(tags), text)

    def get(self, key: str) -> Note:
        """Return the note of a failure, an empty one where there is none."""
        return self.all().get(key, Note())

    def set(self, key: str, tags: Iterable[str] = (), text: str = "", *, seen: Note | None = None) -> Note:
        """Write the note of a failure and return it; an empty one is removed.

        Args:
            key: of the failure.
            tags, text: the note.
            seen: the note that was edited; what somebody else has changed in it since is kept. None: overwrite.

        Raises:
            UsageError: a tag or the note is too long.
            DataError: the file is damaged or cannot be written.
        """
        note = Note(tuple(sorted({" ".join(tag.split()) for tag in tags} - {""})), text.strip())
        with _alone(self.path.parent):
            notes = self.all()
            if seen is not None:
                note = notes.get(key, Note()).merged(note, seen)
            if len(note.text) > _LONGEST_NOTE or any(len(tag) > _LONGEST_TAG for tag in note.tags):
                raise UsageError(
                    "the note is too long",
                    expected=f"tags of {_LONGEST_TAG} and a note of {_LONGEST_NOTE:,} letters at most",
                    next_step="Shorten it",
                )
            if note:
                notes[key] = note
            else:
                notes.pop(key, None)
            content = {k: {"tags": list(n.tags), "note": n.text} for k, n in sorted(notes.items())}
            write_json(self.path, {"version": _VERSION, "notes": content})
        return note

    def tags(self) -> tuple[str, ...]:
        """Return every tag that is used, sorted."""
        return tuple(sorted({tag for note in self.all().values() for tag in note.tags}))


def tagged_videos(*notes: Mapping[str, Note]) -> dict[str, tuple[str, ...]]:
    """Return `{tag: videos}` that have a failure with the tag in the notes of any run, tags and videos sorted."""
    found: dict[str, set[str]] = {}
    for key, note in (item for written in notes for item in written.items()):
        for tag in note.tags:
            found.setdefault(tag, set()).add(video_of(key))
    return {tag: tuple(sorted(videos)) for tag, videos in sorted(found.items())}


def video_of(key: str) -> str:
    """Return the video in a failure's key, `half|video|class|start|end`."""
    return key.partition("|")[2].rsplit("|", 3)[0]


# -- choosing -------------------------------------------------------------------------------------------------------


def filter_failures(
    failures: pd.DataFrame,
    *,
    kinds: Collection[str] = (),
    labels: Collection[str] = (),
    videos: Collection[str] = (),
    score: tuple[float, float] | None = None,
    length: tuple[float, float] | None = None,
    keys: Collection[str] | None = None,
    explained: bool = True,
) -> pd.DataFrame:
    """Return the failures that pass every filter, in their order; an empty collection lets everything pass.

    Args:
        failures: `Diagnosis.failures`.
        kinds, labels, videos: kinds, classes, videos to keep.
        score: lowest and highest score; misses, which have none, pass.
        length: shortest and longest, seconds.
        keys: keys to keep (e.g. those with a tag); None keeps all.
        explained: whether to keep misses whose nearest detection is listed as a failure of its own.
    """
    keep = np.ones(len(failures), dtype=np.bool_)
    for column, wanted in (("kind", kinds), ("label", labels), ("video", videos)):
        if wanted:
            keep &= failures[column].isin(list(wanted)).to_numpy()
    if score is not None:
        values = failures["score"].to_numpy()
        keep &= np.isnan(values) | ((values >= score[0]) & (values <= score[1]))
    if length is not None:
        values = (failures["end"] - failures["start"]).to_numpy()
        keep &= (values >= length[0]) & (values <= length[1])
    if keys is not None:
        keep &= failures["key"].isin(list(keys)).to_numpy()
    if not explained:
        miss = failures["miss"].to_numpy()
        listed = failures["row"].to_numpy()[~miss]
        keep &= ~(miss & np.isin(failures["partner"].to_numpy(), listed))
    return failures[keep]


def right_elsewhere(here: Diagnosis, there: Diagnosis) -> BoolArray:
    """Return which of one run's failures another run does not make, aligned with `here.failures`.

    A miss, or a false positive that means an instance: the other run found that instance. A false positive that means
    none: no false positive of the other run in that video and class overlaps it with tIoU >= 0.5.

    Raises:
        UsageError: the two diagnoses are of different ground truths.
    """
    if here.ground_truth.annotations is not there.ground_truth.annotations and not np.array_equal(
        here.ground_truth.row, there.ground_truth.row
    ):
        raise UsageError(
            "the two runs were diagnosed on different ground truths",
            next_step="Compare runs on the same data set and split",
        )
    failures = here.failures
    target = failures["target"].to_numpy()
    found = np.isin(target, there.match[there.match >= 0]) & (target >= 0)
    wrong = there.detections[there.failures["row"].to_numpy()[~there.failures["miss"].to_numpy()]]
    false = np.flatnonzero(~failures["miss"].to_numpy())
    mine = here.detections[failures["row"].to_numpy()[false]]
    shared = np.zeros(len(failures), dtype=np.bool_)
    for pairs in overlap_parts(mine, wrong, same_label=True):
        shared[false[pairs.detection[pairs.tiou >= 0.5]]] = True
    right: BoolArray = np.where(target >= 0, found, ~shared)
    return right


# -- moments --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MomentTrack:
    """Intervals on one line of a moment.

    Args:
        name: "ground truth", "detections", "context", ...
        start, end: seconds.
        labels: class of each interval.
        strength: `(N,)` in [0, 1]: how strongly to draw (the score among those shown).
        marked: `(N,)` the failure itself and the instance it means.
    """

    name: str
    start: FloatArray
    end: FloatArray
    labels: tuple[str, ...]
    strength: FloatArray
    marked: BoolArray


@dataclass(frozen=True, eq=False)
class Moment:
    """What happens around a failure, ready to be drawn.

    Args:
        t0, t1: the window in seconds.
        start, end: the failure.
        label: its class.
        tracks: intervals, top to bottom.
        curve_time, curve: class activation sequence of the class, scaled to [0, 1] over the video; empty without
            activations. Times are snippet centres in seconds.
        key_times: times worth a key frame.
    """

    t0: float
    t1: float
    start: float
    end: float
    label: str
    tracks: tuple[MomentTrack, ...]
    curve_time: FloatArray
    curve: FloatArray
    key_times: tuple[float, ...]


def moment_of(
    failure: Any,
    annotations: Annotations,
    detections: Detections,
    activations: Activations | None = None,
    *,
    most: int = 8,
    frames: int = 4,
) -> Moment:
    """Return what happens around a failure.

    Args:
        failure: a row of `Diagnosis.failures`.
        annotations: ground truth, with its tracks.
        detections: the detections (of this video at least).
        activations: of this video.
        most: detections that are shown, those with the highest scores.
        frames: number of key frames.
    """
    start, end, target = float(failure.start), float(failure.end), int(failure.target)
    marks = [(start, end)]
    if target >= 0:
        marks.append((float(annotations.instances.start[target]), float(annotations.instances.end[target])))
    low, high = min(a for a, _ in marks), max(b for _, b in marks)
    margin = max(0.6 * (high - low), 2.0)
    t0, t1 = max(0.0, low - margin), high + margin
    info = annotations.videos.get(failure.video)  # None: a detection in a video that is not annotated
    duration = None if info is None else info.duration
    if duration is not None and duration > low:
        t1 = min(t1, max(float(duration), high))

    def track(name: str, table: Any, marked_row: int = -1, own: bool = False) -> MomentTrack | None:
        codes, names = table.video_codes
        number = bisect_left(names, failure.video)
        if number == len(names) or names[number] != failure.video:
            return None
        rows = np.flatnonzero(codes == number)
        rows = rows[(table.end[rows] > t0) & (table.start[rows] < t1)]
        if own:
            rows = rows[[label.split("/")[0] == failure.label for label in table.label[rows]]]
        strength = np.ones(rows.size)
        if isinstance(table, Detections):
            rows = rows[table.label[rows] == failure.label]
            rows = rows[np.argsort(-table.score[rows], kind="stable")]
            keep = rows[:most]
            if marked_row >= 0 and marked_row not in keep:
                keep = np.append(keep, marked_row)
            rows = keep
            score = table.score[rows]
            spread = float(np.ptp(score)) if rows.size else 0.0
            strength = (score - score.min()) / spread if spread > 0 else np.ones(rows.size)
        if not rows.size:
            return None
        return MomentTrack(
            name, table.start[rows], table.end[rows], tuple(table.label[rows]), strength, rows == marked_row
        )

    detection_row = int(failure.partner if failure.miss else failure.row)
    tracks = [
        track("ground truth", annotations.instances, target),
        *(
            track(name, annotations.tracks[name], own=True)
            for name in ("fakes", "context")
            if name in annotations.tracks
        ),
        track("detections", detections, detection_row),
    ]
    time, curve = np.zeros(0), np.zeros(0)
    if activations is not None and failure.label in activations.classes:
        values = np.asarray(activations.action_cas[:, activations.classes.index(failure.label)], dtype=np.float64)
        spread = float(np.ptp(values)) if values.size else 0.0
        centres = activations.grid.centres()
        # The curve reaches the edges of the window, unless the video ends before.
        inner = centres[(centres > t0) & (centres < t1)]
        time = np.concatenate([[max(t0, centres[0])], inner, [min(t1, centres[-1])]]) if centres.size else inner
        time = time[(time >= t0) & (time <= t1)]
        curve = (np.interp(time, centres, values) - values.min()) / spread if spread > 0 else np.zeros(time.size)
    shown = np.linspace(t0, t1, 2 * frames + 1)[1::2].tolist() if frames else []
    return Moment(
        t0=t0,
        t1=t1,
        start=start,
        end=end,
        label=str(failure.label),
        tracks=tuple(t for t in tracks if t is not None),
        curve_time=time,
        curve=curve,
        key_times=tuple(shown),
    )
