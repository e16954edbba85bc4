"""What kind of failure every false positive and every missed instance is, at one tIoU threshold T.

Every false positive gets exactly one kind. The questions are asked in this order and the first yes decides; *own*
instances are those of the detection's video and class, `settings` are `DiagnosisSettings`:

1.  **other video**: its video is not evaluated (it is of another subset, or nobody annotated it).
2.  **double**: it reaches T with an own instance, which another detection has.
3.  **wrong class**: it reaches T with an instance of another class.
4.  **merged**: it covers at least `cover` of each of two or more own instances.
5.  **over-complete**: it covers at least `cover` of its own instance, and there is more too much than missing.
6.  **fake**: at least `share` of it lies on what looks like its class and is not (track "fakes").
7.  **context**: at least `share` of it lies on the context of its class (track "context").
8.  *It means an own instance*: tIoU >= `background_tiou`, or at least `share` of it lies inside own instances. Then
    **split** if it is one of several disjoint pieces of a missed instance whose hull would reach T; else
    **over-complete** if there is more too much than missing, else **incomplete**.
9.  **wrong class** (loosely): at least `share` of it lies inside instances of other classes.
10. **context**: it touches an own instance, or lies beside one, closer than `beside` times the instance's length.
11. **background**: none of these.

Missed instances, in this order: **taken** (a detection reaches T and was matched to another instance), **wrong class**
(a detection of another class reaches T), **boundaries** (an own detection means it, as in question 8 or covering
`cover` of it), **unseen** (the class is detected elsewhere in the video), **video label** (nowhere in the video).

Geometry is in seconds; only "reaches T" is the protocol's own (rounding, > or >=). Tracks may carry labels such as
"GolfSwing/practice_swing": what stands before the slash is the class.

The kinds refine those of DETAD (Alwassel et al., ECCV 2018: double detection, wrong label, localization, confusion,
background) with what weak supervision gets wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray, stable_argsort
from wtal_core.errors import UsageError
from wtal_core.evaluation.choice import NONE, best_of
from wtal_core.evaluation.matching import Matching
from wtal_core.intervals import IntervalIndex, temporal_iou, union
from wtal_core.records import Annotations, Detections, Segments

__all__ = [
    "BOUNDARY_KINDS",
    "FALSE_POSITIVE_KINDS",
    "KINDS",
    "MISS_KINDS",
    "OTHER_VIDEO",
    "DiagnosisSettings",
    "FalsePositives",
    "Misses",
    "false_positives",
    "misses",
]

OTHER_VIDEO = "other video"

#: Kinds of false positives and what they mean, in the order in which figures stack them.
FALSE_POSITIVE_KINDS: dict[str, str] = {
    "incomplete": "means an instance and is too short",
    "split": "is one of several pieces of an instance",
    "over-complete": "means an instance and is too long",
    "merged": "runs over two or more instances",
    "double": "finds an instance that another detection has",
    "wrong class": "lies on an instance of another class",
    "fake": "lies on what looks like the action and is not",
    "context": "lies on or beside what goes with the action, not on the action",
    "background": "lies where nothing of its class happens",
    OTHER_VIDEO: "lies in a video that is not evaluated: of another subset, or not annotated",
}

#: Kinds of missed instances.
MISS_KINDS: dict[str, str] = {
    "boundaries": "detected, with boundaries that are too far off",
    "wrong class": "detected as another class",
    "taken": "its detection was matched to another instance",
    "unseen": "no detection means it, though the class is detected in the video",
    "video label": "its class is not detected anywhere in the video",
}

#: All kinds as the failures table names them: misses carry the prefix "missed: ".
KINDS: dict[str, str] = {**FALSE_POSITIVE_KINDS, **{f"missed: {k}": v for k, v in MISS_KINDS.items()}}

#: False positives whose repair moves the boundaries to the instance they mean.
BOUNDARY_KINDS = ("incomplete", "split", "over-complete", "merged")


@dataclass(frozen=True, slots=True)
class DiagnosisSettings:
    """Thresholds of the decision order (see the module).

    Args:
        background_tiou: tIoU from which on a detection means an instance (DETAD: 0.1).
        share: part of a detection that has to lie on something to be called that, in (0, 1].
        cover: part of an instance that a detection has to cover to have found it, in (0, 1].
        beside: distance to an instance, in lengths of that instance, that still counts as its context.

    Raises:
        UsageError: a value is out of range.
    """

    background_tiou: float = 0.1
    share: float = 0.5
    cover: float = 0.5
    beside: float = 0.5

    def __post_init__(self) -> None:
        for name in ("background_tiou", "share", "cover"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(
                    f"{name} is out of range",
                    expected="(0, 1]",
                    got=f"{getattr(self, name):g}",
                    next_step="Choose a value within the range",
                )
        if not 0 <= self.beside < float("inf"):
            raise UsageError(
                "beside is out of range",
                expected="a number >= 0",
                got=f"{self.beside:g}",
                next_step="Choose a number of seconds; 0 counts nothing as beside",
            )


#: Detections that are looked at together.
AT_ONCE = 200_000

KindArray = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """The false positives of a matching at one threshold, in ranked order.

    Args:
        position: `(F,)` in the matching's order, ascending.
        kind: `(F,)` number in `FALSE_POSITIVE_KINDS`.
        target: `(F,)` the evaluated instance that is meant, -1 for none.
        tiou: `(F,)` with the target.
        inside: `(F,)` share that lies on own instances.
    """

    position: IntArray
    kind: KindArray
    target: IntArray
    tiou: FloatArray
    inside: FloatArray

    def of(self, *kinds: str) -> BoolArray:
        """Return which are of one of these kinds."""
        return np.isin(self.kind, [_FALSE.index(kind) for kind in kinds])


@dataclass(frozen=True, eq=False)
class Misses:
    """The missed instances of a matching at one threshold.

    Args:
        instance: `(M,)` among the evaluated ones, ascending.
        kind: `(M,)` number in `MISS_KINDS`.
        partner: `(M,)` row of the detection that comes nearest, -1 for none.
        tiou: `(M,)` with it.
    """

    instance: IntArray
    kind: KindArray
    partner: IntArray
    tiou: FloatArray

    def of(self, *kinds: str) -> BoolArray:
        """Return which are of one of these kinds."""
        return np.isin(self.kind, [_MISSED.index(kind) for kind in kinds])


_FALSE, _MISSED = list(FALSE_POSITIVE_KINDS), list(MISS_KINDS)


def _decided(decisions: list[tuple[str, BoolArray]], otherwise: str, names: list[str], size: int) -> KindArray:
    """Return the number of the first kind whose mask is true."""
    kind = np.full(size, names.index(otherwise), dtype=np.int8)
    for name, mask in reversed(decisions):
        kind[mask] = names.index(name)
    return kind


# -- geometry -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Some:
    """Some detections by numbers: video, class, start and end in seconds."""

    video: IntArray
    label: IntArray
    start: FloatArray
    end: FloatArray

    @property
    def length(self) -> FloatArray:
        return self.end - self.start

    def __len__(self) -> int:
        return int(self.start.size)


def _some(matching: Matching, detections: Detections, position: IntArray) -> _Some:
    row = matching.row[position]
    return _Some(matching.video[position], matching.label[position], detections.start[row], detections.end[row])


def _parts(matching: Matching, position: IntArray) -> Iterator[IntArray]:
    """Yield the indices of positions in parts, video by video, so that look-ups stay in the processor's cache."""
    order = stable_argsort(matching.video[position])
    for first in range(0, order.size, AT_ONCE):
        yield order[first : first + AT_ONCE]


def _union(group: IntArray, start: FloatArray, end: FloatArray) -> IntervalIndex:
    row, start, end = union(group, start, end)
    return IntervalIndex(group[row], start, end)


class _Overlaps:
    """All pairs of detections and of the intervals of an index that share time, ascending in the detection."""

    def __init__(self, index: IntervalIndex, group: IntArray, rows: _Some) -> None:
        self.size = len(rows)
        self.detection, place = index.sharing(index.windows(group, rows.start, rows.end), rows.start, rows.end)
        self.interval = index.row[place]
        start, end = rows.start[self.detection], rows.end[self.detection]
        self.shared = np.minimum(end, index.end[place]) - np.maximum(start, index.start[place])
        self.length = index.end[place] - index.start[place]
        self.tiou = temporal_iou(start, end, index.start[place], index.end[place])

    def share_of(self, length: FloatArray) -> FloatArray:
        """Return the part of each detection that lies on the intervals, which are apart from each other."""
        shared = np.bincount(self.detection, weights=self.shared, minlength=self.size)
        return np.minimum(np.divide(shared, length, out=np.zeros(self.size), where=length > 0), 1.0)


@dataclass(eq=False)
class _Best:
    """The partner with the highest value of each of several owners, found part by part; ties: the lowest partner."""

    partner: IntArray
    value: FloatArray

    @classmethod
    def none(cls, size: int) -> _Best:
        return cls(np.full(size, NONE, dtype=np.int64), np.zeros(size))

    def add(self, owner: IntArray, value: FloatArray, partner: IntArray) -> None:
        owner, partner, value = best_of(owner, value, partner)
        better = (value > self.value[owner]) | ((value == self.value[owner]) & (partner < self.partner[owner]))
        owner = owner[better]
        self.partner[owner], self.value[owner] = partner[better], value[better]


class _Ground:
    """The ground truth by numbers, indexed for every question that is asked of it."""

    def __init__(self, matching: Matching, settings: DiagnosisSettings) -> None:
        truth = matching.ground_truth
        self.classes, self.settings = len(truth.classes), settings
        self.instances, self.label = truth.segments, truth.label
        start, end = self.instances.start, self.instances.end
        group = truth.video * self.classes + truth.label
        self.by_video = IntervalIndex(truth.video, start, end)
        self.joined = _union(group, start, end)
        self.anything = _union(truth.video, start, end)
        margin = settings.beside * self.instances.length
        self.wide = IntervalIndex(group, np.maximum(start - margin, 0.0), end + margin)
        self.videos = {name: number for number, name in enumerate(truth.videos)}
        self.names = {name: number for number, name in enumerate(truth.classes)}
        self.fakes, self.context = (self._track(truth.annotations, name) for name in ("fakes", "context"))

    def _track(self, annotations: Annotations, name: str) -> IntervalIndex:
        """Return the union of a track's segments by video and class, the class being what a label has before "/"."""
        table = annotations.tracks.get(name, Segments.empty())

        def numbers(codes: tuple[IntArray, tuple[str, ...]], known: dict[str, int]) -> IntArray:
            names = (known.get(label.split("/")[0], NONE) for label in codes[1])
            return np.fromiter(names, np.int64, len(codes[1]))[codes[0]]

        video, label = numbers(table.video_codes, self.videos), numbers(table.label_codes, self.names)
        row = np.flatnonzero((video >= 0) & (label >= 0))
        return _union(video[row] * self.classes + label[row], table.start[row], table.end[row])


# -- false positives ----------------------------------------------------------------------------------------------


class _Looked:
    """What the questions about some false positives are answered with.

    Attributes:
        own, rival: the best instance of the own class and of the other classes.
        inside: share that lies on own instances.
        means: whether an own instance is meant.
        before, after: `(kind, mask)` of the questions before and after that for pieces of an instance.
    """

    def __init__(self, ground: _Ground, rows: _Some, reached: BoolArray, others: BoolArray, tiou: float) -> None:
        s, n, length = ground.settings, len(rows), rows.length
        group = rows.video * ground.classes + rows.label
        pairs = _Overlaps(ground.by_video, rows.video, rows)
        same = rows.label[pairs.detection] == ground.label[pairs.interval]
        self.own, self.rival = _Best.none(n), _Best.none(n)
        for best, which in ((self.own, same), (self.rival, ~same)):
            best.add(pairs.detection[which], pairs.tiou[which], pairs.interval[which])

        joined = _Overlaps(ground.joined, group, rows)
        self.inside = joined.share_of(length)
        # Instances that overlap each other are one thing to run over, not two.
        whole = joined.detection[joined.shared >= s.cover * joined.length]
        merged = np.bincount(whole, minlength=n) >= 2

        target = self.own.partner
        start, end = np.append(ground.instances.start, 0.0)[target], np.append(ground.instances.end, 0.0)[target]
        shared = np.maximum(np.minimum(rows.end, end) - np.maximum(rows.start, start), 0.0)
        shared[target < 0] = 0.0
        size = end - start
        covered = np.divide(shared, size, out=np.zeros(n), where=size > 0)
        too_long = length - shared > size - shared

        on_fakes, on_context = (
            _Overlaps(track, group, rows).share_of(length) for track in (ground.fakes, ground.context)
        )
        on_any = _Overlaps(ground.anything, rows.video, rows).share_of(length)
        self.means = (target >= 0) & ((self.own.value >= s.background_tiou) | (self.inside >= s.share))
        self.before = [
            (OTHER_VIDEO, others),
            ("double", reached),
            ("wrong class", self.rival.value >= tiou),
            ("merged", merged),
            ("over-complete", (target >= 0) & (covered >= s.cover) & too_long),
            ("fake", on_fakes >= s.share),
            ("context", on_context >= s.share),
        ]
        self.after = [
            ("over-complete", self.means & too_long),
            ("incomplete", self.means),
            ("wrong class", (self.rival.partner >= 0) & (on_any - self.inside >= s.share)),
            ("context", ground.wide.touched(group, rows.start, rows.end)),
        ]


class _Pieces:
    """Finds detections that are one of several disjoint pieces of a missed instance, together reaching the threshold.

    Args:
        ground: the ground truth.
        found: `(G,)` which instances are matched.
        tiou: the threshold.
    """

    def __init__(self, ground: _Ground, found: BoolArray, tiou: float) -> None:
        self._ground, self._found, self._tiou = ground, found, tiou
        size = found.size
        self._first, self._last = np.full(size, np.inf), np.full(size, -np.inf)  # hull of the pieces of each instance
        self._ends_first, self._starts_last = np.full(size, np.inf), np.full(size, -np.inf)
        self._parts: list[tuple[IntArray, IntArray, FloatArray, FloatArray]] = []

    def add(self, number: IntArray, rows: _Some, looked: _Looked, undecided: BoolArray) -> None:
        """Take in detections; those that no question before decided may be pieces.

        Args:
            number: `(n,)` what the detections are called in the result.
            rows, looked: the detections.
            undecided: `(n,)`.
        """
        instances = self._ground.instances
        aimed = np.flatnonzero(looked.means)
        target = looked.own.partner[aimed]
        shared = np.minimum(rows.end[aimed], instances.end[target]) - np.maximum(
            rows.start[aimed], instances.start[target]
        )
        inside = (shared >= self._ground.settings.share * rows.length[aimed]) & ~self._found[target]
        aimed, target = aimed[inside], target[inside]
        start, end = rows.start[aimed], rows.end[aimed]
        np.minimum.at(self._first, target, start)
        np.maximum.at(self._last, target, end)
        np.minimum.at(self._ends_first, target, end)
        np.maximum.at(self._starts_last, target, start)
        pending = undecided[aimed]
        self._parts.append((number[aimed[pending]], target[pending], start[pending], end[pending]))

    def found(self) -> IntArray:
        """Return the numbers of the pieces."""
        start, end = self._ground.instances.start, self._ground.instances.end
        overlap = np.minimum(self._last, end) - np.maximum(self._first, start)
        whole = np.maximum(self._last, end) - np.minimum(self._first, start)
        some = np.isfinite(whole) & (whole > 0)
        joined = np.divide(overlap, whole, out=np.zeros(start.size), where=some) >= self._tiou
        pieces = [np.zeros(0, dtype=np.int64)]
        for number, target, begin, stop in self._parts:
            apart = (self._ends_first[target] <= begin) | (self._starts_last[target] >= stop)
            pieces.append(number[apart & joined[target]])
        return np.concatenate(pieces)


def false_positives(
    matching: Matching,
    detections: Detections,
    reached: BoolArray,
    found: BoolArray,
    tiou: float,
    settings: DiagnosisSettings,
) -> FalsePositives:
    """Return kind and target of every false positive.

    Args:
        matching: at one threshold.
        detections: the table that was matched.
        reached: `(N,)` which positions reach the threshold with an own instance, as the protocol sees it.
        found: `(G,)` which instances are matched.
        tiou: the threshold.
        settings: of the kinds.
    """
    hit = np.zeros(matching.row.size, dtype=np.bool_)
    hit[matching.hit_position] = True
    position = np.flatnonzero(~hit & ~matching.ambiguous)
    n, ground = position.size, _Ground(matching, settings)
    kind, target = np.zeros(n, dtype=np.int8), np.full(n, NONE, dtype=np.int64)
    target_tiou, inside = np.zeros(n), np.zeros(n)
    pieces = _Pieces(ground, found, tiou)
    for part in _parts(matching, position):
        rows = _some(matching, detections, position[part])
        others = rows.video >= len(matching.ground_truth.videos)
        looked = _Looked(ground, rows, reached[position[part]], others, tiou)
        kind[part] = _decided(looked.before + looked.after, "background", _FALSE, len(rows))
        pieces.add(part, rows, looked, ~np.any([mask for _, mask in looked.before], axis=0))
        wrong = kind[part] == _FALSE.index("wrong class")
        target[part] = np.where(wrong, looked.rival.partner, looked.own.partner)
        target_tiou[part] = np.where(wrong, looked.rival.value, looked.own.value)
        inside[part] = looked.inside
    kind[pieces.found()] = _FALSE.index("split")
    return FalsePositives(position, kind, target, target_tiou, inside)


# -- misses -------------------------------------------------------------------------------------------------------


def misses(
    matching: Matching,
    detections: Detections,
    reached: BoolArray,
    found: BoolArray,
    tiou: float,
    settings: DiagnosisSettings,
) -> Misses:
    """Return kind and nearest detection of every missed instance.

    Args:
        matching, detections, found, tiou, settings: as in `false_positives`.
        reached: `(G,)` which instances some detection of their class reaches the threshold with.
    """
    truth, s = matching.ground_truth, settings
    missed = np.flatnonzero(~found)
    near, rival = _Best.none(missed.size), _Best.none(missed.size)
    index = IntervalIndex(truth.video[missed], truth.segments.start[missed], truth.segments.end[missed])
    for part in _parts(matching, np.arange(matching.row.size)) if missed.size else ():
        rows = _some(matching, detections, part)
        pairs = _Overlaps(index, rows.video, rows)
        same = rows.label[pairs.detection] == truth.label[missed[pairs.interval]]
        means = (
            (pairs.tiou >= s.background_tiou)
            | (pairs.shared >= s.share * rows.length[pairs.detection])
            | (pairs.shared >= s.cover * pairs.length)
        )
        order = stable_argsort(pairs.interval)
        for best, which in ((near, order[(same & means)[order]]), (rival, order[~same[order]])):
            best.add(pairs.interval[which], pairs.tiou[which], matching.row[part[pairs.detection[which]]])
    classes = len(truth.classes)
    detected = np.isin(truth.video[missed] * classes + truth.label[missed], matching.video * classes + matching.label)
    kind = _decided(
        [
            ("taken", reached[missed]),
            ("wrong class", rival.value >= tiou),
            ("boundaries", near.partner >= 0),
            ("unseen", detected),
        ],
        "video label",
        _MISSED,
        missed.size,
    )
    wrong = kind == _MISSED.index("wrong class")
    return Misses(missed, kind, np.where(wrong, rival.partner, near.partner), np.where(wrong, rival.value, near.value))
