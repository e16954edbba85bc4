"""Where detections go wrong, why, and what each failure costs in mAP.

Every detection that a protocol counts as a false positive at one tIoU threshold T gets exactly one kind. The questions
are asked in this order and the first yes decides; *own* instances are those of the detection's video and class,
`settings` are `DiagnosisSettings`:

1.  **double**: it reaches T with an own instance, which another detection has.
2.  **wrong class**: it reaches T with an instance of another class.
3.  **merged**: it covers at least `cover` of each of two or more own instances.
4.  **over-complete**: it covers at least `cover` of its own instance, and there is more too much than missing.
5.  **fake**: at least `share` of it lies on what looks like its class and is not (track "fakes").
6.  **context**: at least `share` of it lies on the context of its class (track "context").
7.  *It means an own instance*: tIoU >= `background_tiou`, or at least `share` of it lies inside own instances. Then
    **split** if it is one of several disjoint pieces of a missed instance whose hull would reach T; else
    **over-complete** if there is more too much than missing, else **incomplete**.
8.  **wrong class** (loosely): at least `share` of it lies inside instances of other classes.
9.  **context**: it touches an own instance, or lies beside one, closer than `beside` times the instance's length.
10. **background**: none of these.

Missed instances, in this order: **taken** (a detection reaches T and was matched to another instance), **wrong class**
(a detection of another class reaches T), **boundaries** (an own detection means it, as in question 7 or covering
`cover` of it), **unseen** (the class is detected elsewhere in the video), **video label** (nowhere in the video).

Geometry is in seconds; only "reaches T" is the protocol's own (rounding, > or >=). Tracks may carry labels such as
"GolfSwing/practice_swing": what stands before the slash is the class.

The kinds refine those of DETAD (Alwassel et al., ECCV 2018: double detection, wrong label, localization, confusion,
background) with what weak supervision gets wrong; the repair behind each cost follows TIDE (Bolya et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.evaluation.evaluator import prepare
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.match_table import OverlapPairs, overlapping_pairs
from wtal_core.evaluation.matching import Matching, match
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.evaluation.repairs import Ranking
from wtal_core.records import Annotations, Detections, Segments, as_names
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FALSE_POSITIVE_KINDS",
    "KINDS",
    "MISS_KINDS",
    "Diagnosis",
    "DiagnosisSettings",
    "describe_failure",
    "diagnose",
]


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
_BOUNDARY_KINDS = ("incomplete", "split", "over-complete", "merged")

NONE = -1


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


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found.

    Args:
        protocol, tiou, settings: what was asked for.
        ground_truth: the evaluated annotations.
        detections: the table that was diagnosed.
        ap: `(C,)` AP of each class in [0, 1], NaN without instances.
        outcome: one word per detection of the table: "tp", a kind of false positive, "dropped" (the protocol does not
            count it), "outside" (its video is not evaluated).
        match: `(N,)` row (in the annotations' instances) that a detection is matched to, -1 for none.
        failures: one row per failure, by cost. Columns:
            key (text that names the same failure at another threshold and in another session), miss (bool), kind (of
            `KINDS`), video, label, start, end (seconds), score (NaN for misses), row (in the detections, or in the
            annotations' instances for misses), target (row of the instance that is meant, -1), partner (for misses:
            row of the detection that comes nearest, -1), other (class of the instance under a "wrong class"), tiou
            (with target), inside (share of the detection on own instances), rank (among the counted detections of
            its class, from 1; 0 for misses), cost (mAP gained by repairing just this one, in [0, 1]), gain_class
            (the same as AP of the class).
        totals: mAP that each kind costs when all its failures are repaired together, `{kind: mAP}`; also
            "all false positives" and "all misses".
    """

    protocol: str
    tiou: float
    settings: DiagnosisSettings
    ground_truth: GroundTruthIndex
    detections: Detections
    ap: FloatArray
    outcome: npt.NDArray[np.object_]
    match: IntArray
    failures: pd.DataFrame
    totals: dict[str, float] = field(default_factory=dict)

    @property
    def mean_ap(self) -> float:
        """The mAP at the threshold, in [0, 1]."""
        return float(np.nanmean(self.ap))

    @property
    def num_instances(self) -> int:
        """Number of evaluated instances."""
        return len(self.ground_truth.segments)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per kind that occurs (index "kind"): number, share of its half, cost (mAP if all were repaired)."""
        import pandas as pd

        counts = self.failures["kind"].value_counts()
        kinds = [kind for kind in KINDS if kind in counts.index]
        number = counts.reindex(kinds).to_numpy(dtype=np.int64)
        miss = np.array([kind.startswith("missed: ") for kind in kinds], dtype=np.bool_)
        whole = np.where(miss, number[miss].sum(), number[~miss].sum())
        return pd.DataFrame(
            {
                "number": number,
                "share": number / np.maximum(whole, 1),
                "cost": [self.totals.get(kind, 0.0) for kind in kinds],
                "meaning": [KINDS[kind] for kind in kinds],
            },
            index=pd.Index(kinds, name="kind", dtype=object),
        )


def diagnose(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: float = 0.5,
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    grid: SnippetGrid | None = None,
    settings: DiagnosisSettings | None = None,
) -> Diagnosis:
    """Give every false positive and every missed instance a kind and a cost.

    A failure's cost is what mAP would gain if only this one were repaired:

    * double, fake, context, background: the detection is taken away;
    * incomplete, split, over-complete, merged: its boundaries become those of the instance it means, a hit if that is
      missed; if another detection has it, the detection is taken away;
    * wrong class: taken away from its class, and a hit of the other class if that instance is missed;
    * missed: found by the detection that comes nearest, where there is one that misses it by its boundaries or class;
      else found with the score of the class's median true positive (a class without one: ranked first).

    AP is recomputed exactly, with all other matches as they are. They do stay as they are: a false positive holds no
    instance and a missed instance no detection, so nobody else's choice depends on them (exception: instances of one
    class that overlap each other). `totals` repairs all failures of a kind at once; of several detections that mean
    the same missed instance the highest-ranked becomes the hit and the others go.

    Args:
        detections, annotations, protocol, subset, videos, grid: as in `evaluate`.
        tiou: the one threshold T.
        settings: thresholds of the kinds.

    Raises:
        UsageError, DataError: as `evaluate`.
    """
    chosen = settings or DiagnosisSettings()
    rules, levels = get_protocol(protocol), parse_tiou(tiou)
    if len(levels) != 1:
        raise UsageError(
            "a diagnosis is made at one tIoU threshold",
            got=", ".join(f"{t:g}" for t in levels),
            next_step="Name one threshold",
        )
    truth = prepare(annotations, subset, videos)
    matching = match(detections, truth, rules, levels, grid)
    return _Diagnoser(detections, truth, matching, levels[0], chosen).result()


# -- geometry -----------------------------------------------------------------------------------------------------


def union(segments: Segments | Detections) -> Segments:
    """Return the segments with overlapping ones of one video and label joined (touching ones stay apart)."""
    if not len(segments):
        return Segments.empty()
    group = segments.video_codes[0] * len(segments.label_codes[1]) + segments.label_codes[0]
    order = np.lexsort((segments.end, segments.start, group))
    group, start, end = group[order], segments.start[order], segments.end[order]
    span = float(end.max()) + 1.0
    reach = np.maximum.accumulate(np.unique(group, return_inverse=True)[1] * span + end)
    base = np.unique(group, return_inverse=True)[1] * span
    new = np.r_[True, base[1:] + start[1:] >= reach[:-1]]
    first = np.flatnonzero(new)
    rows = order[first]
    return Segments(segments.video[rows], segments.label[rows], start[first], np.maximum.reduceat(end, first))


def _of_classes(track: Segments, videos: set[str]) -> Segments:
    """Return a track's segments in the given videos, labelled with the class before the slash of their label."""
    track = track[[v in videos for v in track.video]]
    return Segments(track.video, as_names([label.split("/")[0] for label in track.label]), track.start, track.end)


def _share_on(detections: Detections, segments: Segments, length: FloatArray, *, same_label: bool = True) -> FloatArray:
    """Return `(N,)` the part of each detection that lies on the union of segments of its class."""
    pairs = overlapping_pairs(detections, union(segments), same_label=same_label)
    shared = np.bincount(pairs.detection, weights=pairs.shared, minlength=len(detections))
    share: FloatArray = np.divide(shared, length, out=np.zeros(len(detections)), where=length > 0)
    return np.minimum(share, 1.0)


def _best(owner: IntArray, value: FloatArray, partner: IntArray, size: int) -> tuple[IntArray, FloatArray]:
    """Return the partner with the highest value of each owner (ties: the lowest partner), -1 and 0 without any."""
    best, highest = np.full(size, NONE, dtype=np.int64), np.zeros(size)
    order = np.lexsort((partner, -value, owner))
    first = order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
    best[owner[first]], highest[owner[first]] = partner[first], value[first]
    return best, highest


# -- the decisions ------------------------------------------------------------------------------------------------


class _Diagnoser:
    """One diagnosis in steps; arrays ending in `_fp` have one element per false positive."""

    def __init__(
        self,
        detections: Detections,
        truth: GroundTruthIndex,
        matching: Matching,
        tiou: float,
        settings: DiagnosisSettings,
    ) -> None:
        self.detections, self.truth, self.matching = detections, truth, matching
        self.tiou, self.settings = tiou, settings
        self.instances = truth.segments
        self.found = np.zeros(len(self.instances), dtype=np.bool_)
        self.found[matching.hit_instance] = True
        hit = np.zeros(matching.row.size, dtype=np.bool_)
        hit[matching.hit_position] = True
        self.position_fp = np.flatnonzero(~hit & ~matching.ambiguous)
        self.row_fp = matching.row[self.position_fp]
        self.ranking = Ranking.of(matching, detections)

    def result(self) -> Diagnosis:
        matching, truth = self.matching, self.truth
        kind_fp, target_fp, tiou_fp, inside_fp = self._false_positives()
        missed, kind_miss, partner_miss, tiou_miss = self._misses()
        repair = self._repairs(kind_fp, target_fp, missed, kind_miss, partner_miss)
        outcome = np.full(len(self.detections), "outside", dtype=object)
        outcome[matching.removed] = "dropped"
        outcome[matching.row] = "dropped"
        outcome[matching.row[matching.hit_position]] = "tp"
        outcome[self.row_fp] = kind_fp
        matched = np.full(len(self.detections), NONE, dtype=np.int64)
        matched[matching.row[matching.hit_position]] = truth.row[matching.hit_instance]
        failures = self._table(
            kind_fp, target_fp, tiou_fp, inside_fp, missed, kind_miss, partner_miss, tiou_miss, *repair[:2]
        )
        for column in (outcome, matched):
            column.flags.writeable = False
        return Diagnosis(
            protocol=matching.protocol.name,
            tiou=self.tiou,
            settings=self.settings,
            ground_truth=truth,
            detections=self.detections,
            ap=self.ranking.ap,
            outcome=outcome,
            match=matched,
            failures=failures,
            totals=repair[2],
        )

    def _false_positives(self) -> tuple[npt.NDArray[np.object_], IntArray, FloatArray, FloatArray]:
        """Return kind, target instance (index of the evaluated ones), tIoU with it, and share on own instances."""
        s, truth, instances = self.settings, self.truth, self.instances
        rows = self.detections[self.row_fp]
        n, length = len(rows), rows.end - rows.start
        pairs = overlapping_pairs(rows, instances)
        own, other = np.flatnonzero(pairs.same_label), np.flatnonzero(~pairs.same_label)
        target, target_tiou = _best(pairs.detection[own], pairs.tiou[own], pairs.instance[own], n)
        rival, rival_tiou = _best(pairs.detection[other], pairs.tiou[other], pairs.instance[other], n)
        inside = _share_on(rows, instances, length)
        covered, missing, extra = self._against(rows, target, pairs, own)

        # 3. instances that overlap each other are one thing to run over, not two
        joined = union(instances)
        over = overlapping_pairs(rows, joined, same_label=True)
        whole = over.shared >= s.cover * joined.length[over.instance]
        merged = np.bincount(over.detection[whole], minlength=n) >= 2

        videos = set(truth.videos)
        on = {
            name: _share_on(rows, _of_classes(truth.annotations.tracks[name], videos), length)
            if name in truth.annotations.tracks
            else np.zeros(n)
            for name in ("fakes", "context")
        }
        means = (target >= 0) & ((target_tiou >= s.background_tiou) | (inside >= s.share))
        too_long = extra > missing
        reached = self._reached_fp()
        others_only = Segments(instances.video, "any", instances.start, instances.end)
        on_any = _share_on(Detections(rows.video, "any", rows.start, rows.end, rows.score), others_only, length)

        decisions: list[tuple[str, BoolArray]] = [
            ("double", reached),
            ("wrong class", rival_tiou >= self.tiou),
            ("merged", merged),
            ("over-complete", (target >= 0) & (covered >= s.cover) & too_long),
            ("fake", on["fakes"] >= s.share),
            ("context", on["context"] >= s.share),
            ("split", means & self._pieces(rows, target, means, length)),
            ("over-complete", means & too_long),
            ("incomplete", means),
            ("wrong class", (rival >= 0) & (on_any - inside >= s.share)),
            ("context", self._beside(rows)),
        ]
        kind = np.select([mask for _, mask in decisions], [name for name, _ in decisions], "background").astype(object)
        wrong = kind == "wrong class"
        target = np.where(wrong, rival, target)
        target_tiou = np.where(wrong, rival_tiou, target_tiou)
        return kind, target, target_tiou, inside

    def _against(
        self, rows: Detections, target: IntArray, pairs: OverlapPairs, own: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the covered share of the target, and the missing and superfluous seconds of each detection."""
        n = len(rows)
        shared = np.zeros(n)
        aimed = own[pairs.instance[own] == target[pairs.detection[own]]]
        shared[pairs.detection[aimed]] = pairs.shared[aimed]
        size = np.where(target >= 0, self.instances.length[target], 0.0) if len(self.instances) else np.zeros(n)
        covered = np.divide(shared, size, out=np.zeros(n), where=size > 0)
        return covered, size - shared, (rows.end - rows.start) - shared

    def _reached_fp(self) -> BoolArray:
        """Return whether each false positive reaches the threshold with an own instance, as the protocol sees it."""
        m = self.matching
        enough = m.pair_tiou > self.tiou if m.protocol.strict else m.pair_tiou >= self.tiou
        reached = np.zeros(m.row.size, dtype=np.bool_)
        reached[m.pair_position[enough]] = True
        return reached[self.position_fp]

    def _pieces(self, rows: Detections, target: IntArray, means: BoolArray, length: FloatArray) -> BoolArray:
        """Return which detections are one of several disjoint pieces of a missed instance that would reach T joined."""
        n, g = len(rows), len(self.instances)
        start, end = self.instances.start, self.instances.end
        aimed = np.flatnonzero(means)
        t = target[aimed]
        shared = np.minimum(rows.end[aimed], end[t]) - np.maximum(rows.start[aimed], start[t])
        inside = shared >= self.settings.share * length[aimed]
        aimed, t = aimed[inside & ~self.found[t]], t[inside & ~self.found[t]]
        first, last = np.full(g, np.inf), np.full(g, -np.inf)  # hull of the pieces of each instance
        ends_first, starts_last = np.full(g, np.inf), np.full(g, -np.inf)
        for at, bound, value in (
            (np.minimum, first, rows.start),
            (np.maximum, last, rows.end),
            (np.minimum, ends_first, rows.end),
            (np.maximum, starts_last, rows.start),
        ):
            at.at(bound, t, value[aimed])
        overlap = np.minimum(last, end) - np.maximum(first, start)
        whole = np.maximum(last, end) - np.minimum(first, start)
        joined = np.divide(overlap, whole, out=np.zeros(g), where=np.isfinite(whole) & (whole > 0)) >= self.tiou
        apart = (ends_first[t] <= rows.start[aimed]) | (starts_last[t] >= rows.end[aimed])
        pieces = np.zeros(n, dtype=np.bool_)
        pieces[aimed[apart & joined[t]]] = True
        return pieces

    def _beside(self, rows: Detections) -> BoolArray:
        """Return which detections touch an own instance, or lie within `beside` of its lengths."""
        margin = self.settings.beside * self.instances.length
        wide = Segments(
            self.instances.video,
            self.instances.label,
            np.maximum(self.instances.start - margin, 0.0),
            self.instances.end + margin,
        )
        near = np.zeros(len(rows), dtype=np.bool_)
        near[overlapping_pairs(rows, wide, same_label=True).detection] = True
        return near

    def _misses(self) -> tuple[IntArray, npt.NDArray[np.object_], IntArray, FloatArray]:
        """Return missed instances, their kinds, the nearest detection (row of the table, -1) and its tIoU."""
        s, m, truth = self.settings, self.matching, self.truth
        missed = np.flatnonzero(~self.found)
        wanted = self.instances[missed]
        seen = np.sort(m.row)
        rows = self.detections[seen]
        pairs = overlapping_pairs(rows, wanted)
        length = (rows.end - rows.start)[pairs.detection]
        means = (
            (pairs.tiou >= s.background_tiou)
            | (pairs.shared >= s.share * length)
            | (pairs.shared >= s.cover * wanted.length[pairs.instance])
        )
        own, other = np.flatnonzero(pairs.same_label & means), np.flatnonzero(~pairs.same_label)
        n = missed.size
        near, near_tiou = _best(pairs.instance[own], pairs.tiou[own], pairs.detection[own], n)
        rival, rival_tiou = _best(pairs.instance[other], pairs.tiou[other], pairs.detection[other], n)

        enough = m.pair_tiou > self.tiou if m.protocol.strict else m.pair_tiou >= self.tiou
        taken = np.zeros(len(self.instances), dtype=np.bool_)
        taken[m.pair_instance[enough]] = True

        classes = len(truth.classes)
        in_video = np.unique(m.video * classes + m.label)
        detected = np.isin(truth.video[missed] * classes + truth.label[missed], in_video)
        decisions: list[tuple[str, BoolArray]] = [
            ("taken", taken[missed]),
            ("wrong class", rival_tiou >= self.tiou),
            ("boundaries", near >= 0),
            ("unseen", detected),
        ]
        kind = np.select([mask for _, mask in decisions], [name for name, _ in decisions], "video label").astype(object)
        wrong = kind == "wrong class"
        partner = np.where(wrong, rival, near)
        tiou = np.where(wrong, rival_tiou, near_tiou)
        # A trailing sentinel lets -1 stay -1.
        return missed, kind, np.append(seen, NONE)[partner], tiou

    # -- costs ----------------------------------------------------------------------------------------------------

    def _repairs(
        self,
        kind_fp: npt.NDArray[np.object_],
        target_fp: IntArray,
        missed: IntArray,
        kind_miss: npt.NDArray[np.object_],
        partner_miss: IntArray,
    ) -> tuple[FloatArray, FloatArray, dict[str, float]]:
        """Return cost in mAP and in AP of the own class of false positives then misses, and the totals of kinds."""
        truth, ranking = self.truth, self.ranking
        aims = np.isin(kind_fp, [*_BOUNDARY_KINDS, "wrong class"])
        free = aims & (target_fp >= 0) & ~np.append(self.found, True)[target_fp]
        boundary = np.isin(kind_fp, _BOUNDARY_KINDS)
        own = np.where(free & boundary, ranking.gain_hit(self.position_fp), ranking.gain_removed(self.position_fp))
        elsewhere = np.zeros(kind_fp.size)
        moved = np.flatnonzero(free & ~boundary)
        new_label = truth.label[target_fp[moved]]
        new_place = ranking.place(new_label, self.detections.score[self.row_fp[moved]])
        elsewhere[moved] = ranking.gain_inserted(new_label, new_place)
        scale = 1.0 / max(int(np.count_nonzero(truth.counts)), 1)
        cost_fp = (own + elsewhere) * scale

        label_miss = truth.label[missed]
        median_place = ranking.median_hit(label_miss)
        gain_miss = ranking.gain_inserted(label_miss, median_place)
        cost_miss = gain_miss * scale
        position_of = np.full(len(self.detections) + 1, NONE, dtype=np.int64)
        position_of[self.row_fp] = np.arange(self.row_fp.size)
        partner = position_of[partner_miss]  # index among the false positives, -1 for none
        near = np.isin(kind_miss, ("boundaries", "wrong class")) & (partner >= 0)
        # The nearest detection may mean another instance, or be of a kind that only goes away: then it repairs nothing.
        near &= np.append(free, False)[partner] & (np.append(target_fp, NONE)[partner] == missed)
        cost_miss = np.where(near, np.append(cost_fp, 0.0)[partner], cost_miss)
        gain_miss = np.where(near & (kind_miss == "boundaries"), np.append(own, 0.0)[partner], gain_miss)

        totals: dict[str, float] = {}
        base = float(np.nanmean(ranking.ap)) if np.isfinite(ranking.ap).any() else 0.0

        def total(gone: BoolArray, hit: BoolArray, labels: IntArray, places: FloatArray) -> float:
            ap = ranking.repaired(self.position_fp[gone], self.position_fp[hit], labels, places)
            return float(np.nanmean(ap)) - base if np.isfinite(ap).any() else 0.0

        nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        for kind in FALSE_POSITIVE_KINDS:
            these = kind_fp == kind
            if not these.any():
                continue
            if kind == "wrong class":
                at = np.flatnonzero(these[moved])
                order = at[np.lexsort((new_place[at], target_fp[moved[at]]))]
                first = order[np.flatnonzero(np.diff(target_fp[moved[order]], prepend=-1))]
                totals[kind] = total(these, np.zeros_like(these), new_label[first], new_place[first])
            else:
                hit = np.zeros_like(these)
                at = np.flatnonzero(these & free & boundary)
                order = at[np.lexsort((self.position_fp[at], target_fp[at]))]  # position: rank within the class
                hit[order[np.flatnonzero(np.diff(target_fp[order], prepend=-1))]] = True
                totals[kind] = total(these & ~hit, hit, *nothing)
        for kind in MISS_KINDS:
            chosen = np.flatnonzero(kind_miss == kind)
            if chosen.size:
                none = np.zeros(kind_fp.size, dtype=np.bool_)
                totals[f"missed: {kind}"] = total(none, none, label_miss[chosen], median_place[chosen])
        every = np.ones(kind_fp.size, dtype=np.bool_)
        totals["all false positives"] = total(every, ~every, *nothing)
        totals["all misses"] = total(~every, ~every, label_miss, median_place)
        return np.concatenate([cost_fp, cost_miss]), np.concatenate([own, gain_miss]), totals

    def _table(
        self,
        kind_fp: npt.NDArray[np.object_],
        target_fp: IntArray,
        tiou_fp: FloatArray,
        inside_fp: FloatArray,
        missed: IntArray,
        kind_miss: npt.NDArray[np.object_],
        partner_miss: IntArray,
        tiou_miss: FloatArray,
        cost: FloatArray,
        gain_class: FloatArray,
    ) -> pd.DataFrame:
        import pandas as pd

        d, g = self.detections[self.row_fp], self.instances[missed]
        miss = np.repeat([False, True], [len(d), len(g)])
        rows = np.append(self.truth.row, NONE)
        labels = np.append(self.instances.label, "")
        wrong = np.where(kind_fp == "wrong class", target_fp, NONE)
        partner_label = np.append(self.detections.label, "")[partner_miss]
        frame = pd.DataFrame(
            {
                "key": [
                    *_keys("fp", d.video, d.label, d.start, d.end),
                    *_keys("miss", g.video, g.label, g.start, g.end),
                ],
                "miss": miss,
                "kind": np.concatenate([kind_fp, "missed: " + kind_miss]),
                "video": np.concatenate([d.video, g.video]),
                "label": np.concatenate([d.label, g.label]),
                "start": np.concatenate([d.start, g.start]),
                "end": np.concatenate([d.end, g.end]),
                "score": np.concatenate([d.score, np.full(len(g), np.nan)]),
                "row": np.concatenate([self.row_fp, self.truth.row[missed]]),
                "target": np.concatenate([rows[target_fp], self.truth.row[missed]]),
                "partner": np.concatenate([np.full(len(d), NONE), partner_miss]),
                "other": np.concatenate([labels[wrong], np.where(kind_miss == "wrong class", partner_label, "")]),
                "tiou": np.concatenate([tiou_fp, tiou_miss]),
                "inside": np.concatenate([inside_fp, np.full(len(g), np.nan)]),
                "rank": np.concatenate([self.ranking.rank(self.position_fp), np.zeros(len(g), dtype=np.int64)]),
                "cost": cost,
                "gain_class": gain_class,
            }
        )
        return frame.sort_values(["cost", "score"], ascending=False, kind="stable", ignore_index=True)


def _keys(half: str, video: Iterable[str], label: Iterable[str], start: FloatArray, end: FloatArray) -> list[str]:
    return [
        f"{half}|{v}|{c}|{a:.2f}|{b:.2f}" for v, c, a, b in zip(video, label, start.tolist(), end.tolist(), strict=True)
    ]


def describe_failure(failure: Any, annotations: Annotations, tiou: float) -> str:
    """Return one sentence about a row of `Diagnosis.failures`.

    Args:
        failure: the row (attributes as the columns).
        annotations: the ground truth; its tracks name the fakes and the context.
        tiou: the threshold of the diagnosis.
    """
    kind = str(failure.kind)
    target = int(failure.target)
    name = str(failure.label)
    instances = annotations.instances
    if not failure.miss and (under := _under(failure, annotations, {"fake": "fakes"}.get(kind, kind))):
        what, start, end = under
        tail = f"which looks like {name} and is not" if kind == "fake" else f"which goes with {name}"
        return f"Lies on {what} [{start:.1f}, {end:.1f}] s, {tail}."
    if target >= 0 and not failure.miss:
        a, b = float(instances.start[target]), float(instances.end[target])
        shared = max(min(b, float(failure.end)) - max(a, float(failure.start)), 0.0)
        missing, extra = (b - a) - shared, (float(failure.end) - float(failure.start)) - shared
        measure = f"tIoU {float(failure.tiou):.2f} < {tiou:g}"
        if kind in ("incomplete", "split"):
            piece = "One of several pieces of" if kind == "split" else "Too short for"
            return f"{piece} {name} [{a:.1f}, {b:.1f}] s: {missing:.1f} s missing, {extra:.1f} s too much, {measure}."
        if kind == "over-complete":
            return (
                f"Too long for {name} [{a:.1f}, {b:.1f}] s: {extra:.1f} s too much, {missing:.1f} s missing, {measure}."
            )
        if kind == "merged":
            return f"Runs over several instances of {name}; best match [{a:.1f}, {b:.1f}] s, {measure}."
        if kind == "double":
            return (
                f"{name} [{a:.1f}, {b:.1f}] s is found (tIoU {float(failure.tiou):.2f}), but another detection has it."
            )
        if kind == "wrong class":
            return f"Lies on {failure.other} [{a:.1f}, {b:.1f}] s (tIoU {float(failure.tiou):.2f}), detected as {name}."
    if kind == "missed: boundaries":
        return (
            f"{name} is detected with boundaries that are too far off: best tIoU {float(failure.tiou):.2f} < {tiou:g}."
        )
    if kind == "missed: wrong class":
        return f"{name} is detected as {failure.other} (tIoU {float(failure.tiou):.2f})."
    meaning = KINDS[kind]
    return f"{name}: {meaning}." if failure.miss else f"This {name} {meaning}."


def _under(failure: Any, annotations: Annotations, track: str) -> tuple[str, float, float] | None:
    """Return name, start and end of what a failure lies on most among a track's segments of its class, if it does."""
    if track not in annotations.tracks:
        return None
    table = annotations.tracks[track]
    rows = np.flatnonzero(table.video == failure.video)
    rows = rows[[str(label).partition("/")[0] == failure.label for label in table.label[rows]]]
    shared = np.minimum(table.end[rows], failure.end) - np.maximum(table.start[rows], failure.start)
    if not rows.size or shared.max() <= 0:
        return None
    row = rows[int(shared.argmax())]
    what = str(table.label[row]).partition("/")[2].replace("_", " ") or track.removesuffix("s")
    return f"a {what}" if track == "fakes" else what, float(table.start[row]), float(table.end[row])
