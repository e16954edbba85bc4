"""Where detections go wrong, why, and what each failure costs in mAP.

What the kinds of failures are is said in `failure_kinds`, what their repairs are in `diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray, NameArray
from wtal_core.errors import UsageError
from wtal_core.evaluation.choice import NONE
from wtal_core.evaluation.evaluator import prepare
from wtal_core.evaluation.failure_costs import Costs, costs_of
from wtal_core.evaluation.failure_kinds import (
    FALSE_POSITIVE_KINDS,
    KINDS,
    MISS_KINDS,
    DiagnosisSettings,
    FalsePositives,
    Misses,
    false_positives,
    misses,
)
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import Matching, match, ranked
from wtal_core.evaluation.notes import notes_of
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.evaluation.repairs import Ranking
from wtal_core.records import Annotations, Detections
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OUTCOMES", "Diagnosis", "diagnose"]

#: What can become of a detection; those up to "tp" count.
OUTCOMES = (*FALSE_POSITIVE_KINDS, "tp", "dropped", "outside")


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found.

    Args:
        protocol, tiou, settings: what was asked for.
        ground_truth: the evaluated annotations.
        detections: the table that was diagnosed.
        ap: `(C,)` AP of each class in [0, 1], NaN without instances.
        outcome_code: `(N,)` number in `OUTCOMES` of every detection of the table.
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
        notes: as those of an evaluation.
    """

    protocol: str
    tiou: float
    settings: DiagnosisSettings
    ground_truth: GroundTruthIndex
    detections: Detections
    ap: FloatArray
    outcome_code: npt.NDArray[np.int8]
    match: IntArray
    failures: pd.DataFrame
    totals: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def mean_ap(self) -> float:
        """The mAP at the threshold, in [0, 1]."""
        return float(np.nanmean(self.ap))

    @cached_property
    def outcome(self) -> NameArray:
        """One word per detection of the table: "tp", a kind of false positive, "dropped" (the protocol does not count
        it), "outside" (its video is left out)."""
        words = np.array(OUTCOMES, dtype=object)[self.outcome_code]
        words.flags.writeable = False
        return words

    @cached_property
    def ranked(self) -> tuple[IntArray, IntArray]:
        """`(row, label)` of the detections that count, by class, best first."""
        row = np.flatnonzero(self.outcome_code <= OUTCOMES.index("tp"))
        codes, names = self.detections.label_codes
        label = self.ground_truth.class_numbers(names)[codes]
        row = ranked(row, label, self.detections.score, self.detections.video_codes[0])
        return row, label[row]

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
    only_subset_videos: bool = False,
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
        detections, annotations, protocol, subset, videos, only_subset_videos, grid: as in `evaluate`.
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
    truth = prepare(annotations, subset, videos, only_subset_videos)
    matching = match(detections, truth, rules, levels, grid, nearest=True)
    return _diagnosed(detections, matching, levels[0], chosen, grid)


def _diagnosed(
    detections: Detections, matching: Matching, tiou: float, settings: DiagnosisSettings, grid: SnippetGrid | None
) -> Diagnosis:
    truth, nearest = matching.ground_truth, matching.nearest
    assert nearest is not None  # it was asked for
    reaches = np.greater if matching.protocol.strict else np.greater_equal
    found = np.zeros(len(truth.segments), dtype=np.bool_)
    found[matching.hit_instance] = True
    ranking = Ranking.of(matching, detections)
    false = false_positives(matching, detections, reaches(nearest.instance_tiou, tiou), found, tiou, settings)
    missed = misses(matching, detections, reaches(nearest.detection_tiou, tiou), found, tiou, settings)
    costs = costs_of(matching, detections, ranking, false, missed, found)

    outcome = np.full(len(detections), OUTCOMES.index("outside"), dtype=np.int8)
    outcome[matching.removed] = outcome[matching.row] = OUTCOMES.index("dropped")
    outcome[matching.row[matching.hit_position]] = OUTCOMES.index("tp")
    outcome[matching.row[false.position]] = false.kind
    match = np.full(len(detections), NONE, dtype=np.int64)
    match[matching.row[matching.hit_position]] = truth.row[matching.hit_instance]
    for column in (outcome, match):
        column.flags.writeable = False
    return Diagnosis(
        protocol=matching.protocol.name,
        tiou=tiou,
        settings=settings,
        ground_truth=truth,
        detections=detections,
        ap=ranking.ap,
        outcome_code=outcome,
        match=match,
        failures=_table(detections, matching, ranking, false, missed, costs),
        totals=costs.totals,
        notes=tuple(notes_of(matching, detections, grid)),
    )


def _table(
    detections: Detections, matching: Matching, ranking: Ranking, false: FalsePositives, missed: Misses, costs: Costs
) -> pd.DataFrame:
    """Return one row per failure, by cost, then score."""
    import pandas as pd

    truth = matching.ground_truth
    row = matching.row[false.position]
    lost = missed.instance
    miss = np.repeat([False, True], [row.size, lost.size])
    score = np.concatenate([detections.score[row], np.full(lost.size, np.nan)])
    order = np.lexsort((-score, -costs.cost))  # NaN comes last

    def column(of_false: Any, of_missed: Any, dtype: Any = None) -> Any:
        values = np.concatenate([np.asarray(of_false, dtype), np.asarray(of_missed, dtype)])[order]
        return pd.Series(values, dtype=values.dtype, copy=False)  # pandas does not look at every name

    def names(column: str) -> Any:
        found = (getattr(detections, column)[row], getattr(truth.segments, column)[lost])
        return np.concatenate(found)[order]

    kinds = np.array([*FALSE_POSITIVE_KINDS, *(f"missed: {kind}" for kind in MISS_KINDS)], dtype=object)
    instance_row, instance_label = np.append(truth.row, NONE), np.append(truth.segments.label, "")
    under = np.where(false.of("wrong class"), false.target, NONE)
    seen_as = np.append(detections.label, "")[np.where(missed.of("wrong class"), missed.partner, NONE)]
    video, label = names("video"), names("label")
    start = column(detections.start[row], truth.segments.start[lost])
    end = column(detections.end[row], truth.segments.end[lost])
    return pd.DataFrame(
        {
            "key": pd.Series(_keys(miss[order], video, label, start, end), dtype=object),
            "miss": miss[order],
            "kind": column(kinds[false.kind], kinds[missed.kind.astype(np.int64) + len(FALSE_POSITIVE_KINDS)]),
            "video": pd.Series(video, dtype=object, copy=False),
            "label": pd.Series(label, dtype=object, copy=False),
            "start": start,
            "end": end,
            "score": score[order],
            "row": column(row, truth.row[lost]),
            "target": column(instance_row[false.target], truth.row[lost]),
            "partner": column(np.full(row.size, NONE), missed.partner),
            "other": column(instance_label[under], seen_as),
            "tiou": column(false.tiou, missed.tiou),
            "inside": column(false.inside, np.full(lost.size, np.nan)),
            "rank": column(ranking.rank(false.position), np.zeros(lost.size, dtype=np.int64)),
            "cost": costs.cost[order],
            "gain_class": costs.gain_class[order],
        },
        copy=False,
    )


def _keys(miss: BoolArray, video: NameArray, label: NameArray, start: Any, end: Any) -> list[str]:
    return [
        f"{'miss' if lost else 'fp'}|{v}|{c}|{a:.2f}|{b:.2f}"
        for lost, v, c, a, b in zip(
            miss.tolist(), video.tolist(), label.tolist(), start.tolist(), end.tolist(), strict=True
        )
    ]
