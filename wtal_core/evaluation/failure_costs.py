"""What failures cost: the mAP that repairing them would gain, one by one and kind by kind.

The repairs follow TIDE (Bolya et al., ECCV 2020); `wtal_core.evaluation.diagnose` says what the repair of each kind is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.evaluation.choice import NONE
from wtal_core.evaluation.failure_kinds import (
    BOUNDARY_KINDS,
    FALSE_POSITIVE_KINDS,
    MISS_KINDS,
    FalsePositives,
    Misses,
)
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import Matching
from wtal_core.evaluation.repairs import Ranking
from wtal_core.records import Detections

__all__ = ["Costs", "costs_of"]


@dataclass(frozen=True, eq=False)
class Costs:
    """What F false positives and M misses cost.

    Args:
        cost: `(F + M,)` mAP gained by repairing one failure alone, in [0, 1].
        gain_class: `(F + M,)` the same as AP of its class.
        totals: `{kind: mAP gained by repairing all of the kind}`, and "all false positives" and "all misses".
    """

    cost: FloatArray
    gain_class: FloatArray
    totals: dict[str, float]


def costs_of(
    matching: Matching,
    detections: Detections,
    ranking: Ranking,
    false: FalsePositives,
    missed: Misses,
    found: BoolArray,
) -> Costs:
    """Return the costs of all failures.

    Args:
        matching, detections: what was diagnosed.
        ranking: of the matching.
        false, missed: the failures.
        found: `(G,)` which instances are matched.
    """
    truth = matching.ground_truth
    free = false.of(*BOUNDARY_KINDS, "wrong class") & (false.target >= 0) & ~np.append(found, True)[false.target]
    boundary = false.of(*BOUNDARY_KINDS)
    own = np.empty(false.position.size)
    becomes_hit = free & boundary
    own[becomes_hit] = ranking.gain_hit(false.position[becomes_hit])
    own[~becomes_hit] = ranking.gain_removed(false.position[~becomes_hit])
    moved = np.flatnonzero(free & ~boundary)
    new_label = truth.label[false.target[moved]]
    new_place = ranking.place(new_label, detections.score[matching.row[false.position[moved]]])
    cost_false = own.copy()
    cost_false[moved] += ranking.gain_inserted(new_label, new_place)
    scale = 1.0 / max(int(np.count_nonzero(truth.counts)), 1)
    cost_false *= scale

    label = truth.label[missed.instance]
    place = ranking.median_hit(label)
    gain_missed = ranking.gain_inserted(label, place)
    cost_missed = gain_missed * scale
    # The nearest detection may mean another instance, or be of a kind that only goes away: then it repairs nothing.
    number_of = np.full(len(detections) + 1, NONE, dtype=np.int64)
    number_of[matching.row[false.position]] = np.arange(false.position.size)
    partner = number_of[missed.partner]  # number among the false positives, -1 for none
    near = missed.of("boundaries", "wrong class") & (partner >= 0)
    near &= np.append(free, False)[partner] & (np.append(false.target, NONE)[partner] == missed.instance)
    cost_missed = np.where(near, np.append(cost_false, 0.0)[partner], cost_missed)
    gain_missed = np.where(near & missed.of("boundaries"), np.append(own, 0.0)[partner], gain_missed)
    return Costs(
        np.concatenate([cost_false, cost_missed]),
        np.concatenate([own, gain_missed]),
        _totals(truth, ranking, false, missed, becomes_hit, moved, new_place, place),
    )


def _totals(
    truth: GroundTruthIndex,
    ranking: Ranking,
    false: FalsePositives,
    missed: Misses,
    becomes_hit: BoolArray,
    moved: IntArray,
    new_place: FloatArray,
    place: FloatArray,
) -> dict[str, float]:
    """Return what repairing all failures of a kind gains; of several that mean one instance the best one hits it."""
    base = float(np.nanmean(ranking.ap)) if np.isfinite(ranking.ap).any() else 0.0
    label = truth.label[missed.instance]
    none, nowhere = np.zeros(0, dtype=np.int64), np.zeros(0)

    def total(gone: IntArray, hit: IntArray, labels: IntArray, places: FloatArray) -> float:
        ap = ranking.repaired(false.position[gone], false.position[hit], labels, places)
        return float(np.nanmean(ap)) - base if np.isfinite(ap).any() else 0.0

    totals: dict[str, float] = {}
    for kind in FALSE_POSITIVE_KINDS:
        these = false.of(kind)
        if not these.any():
            continue
        if kind == "wrong class":
            best = np.argsort(new_place, kind="stable")
            first = best[np.unique(false.target[moved[best]], return_index=True)[1]]
            totals[kind] = total(np.flatnonzero(these), none, truth.label[false.target[moved[first]]], new_place[first])
        else:
            hit = np.flatnonzero(these & becomes_hit)  # ascending in the rank inside a class
            hit = hit[np.unique(false.target[hit], return_index=True)[1]]
            these[hit] = False
            totals[kind] = total(np.flatnonzero(these), hit, none, nowhere)
    for kind in MISS_KINDS:
        chosen = missed.of(kind)
        if chosen.any():
            totals[f"missed: {kind}"] = total(none, none, label[chosen], place[chosen])
    totals["all false positives"] = total(np.arange(false.position.size), none, none, nowhere)
    totals["all misses"] = total(none, none, label, place)
    return totals
