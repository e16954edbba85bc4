"""Why a detection is there, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.analysis.live import VideoResult
from wtal_core.evaluation import MatchTable, evaluate, overlapping_pairs
from wtal_core.records import Activations, Annotations, Detections, Segments

__all__ = ["Explanation", "Near", "Rival", "Verdicts", "explain", "explain_stored", "judge"]


@dataclass(frozen=True, slots=True)
class Near:
    """The ground-truth instance that shares most time with a detection: of its class, else of another."""

    label: str
    start: float
    end: float
    tiou: float


@dataclass(frozen=True, slots=True)
class Rival:
    """Another proposal: one that suppression removed, or the one that soft suppression lowered a score for; seconds."""

    start: float
    end: float
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a detection is there, and what became of it.

    Args:
        label, start, end, score: the detection, seconds.
        class_score: the method's video-level score of its class, None where it is not known.
        source: the curve it was cut from ("cas", "attention", "rgb", ...).
        threshold: the value the run lies above, None where there is none.
        inner, outer: means of the two areas its score compares, None where the score is no contrast.
        outer_start, outer_end: seconds from the outer area's left edge to its right edge.
        rivals: what it suppressed (soft: lowered most), best first, at most eight; `num_rivals` counts all.
        soft: whether suppression was soft: rivals stay, with a lower score.
        raw_score: score before soft suppression.
        lowered_by: the one that lowered its score most, None where nothing did.
        near: the nearest ground truth, None where nothing shares time.
        verdict: "tp", "fp" or "dropped" (not counted by the protocol).
    """

    label: str
    start: float
    end: float
    score: float
    class_score: float | None
    source: str
    threshold: float | None
    inner: float | None
    outer: float | None
    outer_start: float
    outer_end: float
    rivals: tuple[Rival, ...]
    num_rivals: int
    soft: bool
    raw_score: float
    lowered_by: Rival | None
    near: Near | None
    verdict: str


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Outcomes of one video's detections.

    Args:
        outcome: "tp", "fp" or "dropped" of each detection.
        missed: ground-truth instances that nothing found.
        near: the nearest instance of each detection.
    """

    outcome: tuple[str, ...]
    missed: Segments
    near: tuple[Near | None, ...]


def judge(
    detections: Detections, annotations: Annotations, video: str, *, tiou: float = 0.5, protocol: str = "activitynet"
) -> Verdicts:
    """Say what becomes of one video's detections at a tIoU under a protocol.

    Matching is within video and class, so that a video's verdicts are those of the whole split.
    """
    truth = annotations.only([video])
    instances = truth.instances
    if not len(instances):
        return Verdicts(("fp",) * len(detections), Segments.empty(), (None,) * len(detections))
    table = MatchTable(evaluate(detections, truth, protocol=protocol, tiou=(tiou,)))
    outcome = table.outcome(tiou).reindex(range(len(detections)), fill_value="fp").to_list()
    found = table.found(tiou).reindex(range(len(instances)), fill_value="missed").to_numpy()
    pairs = overlapping_pairs(detections, instances)
    near: list[Near | None] = [None] * len(detections)
    for k in np.lexsort((pairs.tiou, pairs.same_label)).tolist():  # the best pair of its own class comes last
        row = int(pairs.instance[k])
        near[int(pairs.detection[k])] = Near(
            str(instances.label[row]), float(instances.start[row]), float(instances.end[row]), float(pairs.tiou[k])
        )
    return Verdicts(tuple(outcome), instances[found == "missed"], tuple(near))


def explain(
    result: VideoResult, activations: Activations, verdicts: Verdicts, *, most: int = 400
) -> tuple[Explanation, ...]:
    """Explain the detections of one video, best score first, at most `most` of them."""
    p = result.proposals
    soft = bool((p.lowered_by >= 0).any())
    above, scores = (p.lowered_by, p.raw_score) if soft else (p.suppressed_by, p.score)
    removed = np.flatnonzero(above >= 0)
    removed = removed[np.lexsort((-scores[removed], above[removed]))]
    owners = above[removed]

    def optional(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def rival(row: int) -> Rival:
        return Rival(float(p.start[row]), float(p.end[row]), float(scores[row]), p.sources[int(p.source[row])])

    explanations = []
    for place, row in enumerate(result.kept[:most].tolist()):
        first, last = np.searchsorted(owners, row, "left"), np.searchsorted(owners, row, "right")
        label = int(p.label[row])
        explanations.append(
            Explanation(
                label=activations.classes[label],
                start=float(p.start[row]),
                end=float(p.end[row]),
                score=float(p.score[row]),
                class_score=float(activations.video_scores[label]),
                source=p.sources[int(p.source[row])],
                threshold=optional(p.threshold[row]),
                inner=optional(p.inner[row]),
                outer=optional(p.outer[row]),
                outer_start=float(p.outer_start[row]),
                outer_end=float(p.outer_end[row]),
                rivals=tuple(rival(r) for r in removed[first : min(last, first + 8)].tolist()),
                num_rivals=int(last - first),
                soft=soft,
                raw_score=float(scores[row]),
                lowered_by=rival(int(p.lowered_by[row])) if p.lowered_by[row] >= 0 else None,
                near=verdicts.near[place],
                verdict=verdicts.outcome[place],
            )
        )
    return tuple(explanations)


def explain_stored(
    detections: Detections, verdicts: Verdicts, activations: Activations | None, *, most: int = 400
) -> tuple[Explanation, ...]:
    """Explain detections that came without proposals (an imported file), as far as that goes."""
    scores: dict[str, float] = {}
    if activations is not None:
        scores = dict(zip(activations.classes, activations.video_scores.tolist(), strict=True))
    return tuple(
        Explanation(
            label=str(detections.label[i]),
            start=float(detections.start[i]),
            end=float(detections.end[i]),
            score=float(detections.score[i]),
            class_score=scores.get(str(detections.label[i])),
            source=str(detections.source[i]),
            threshold=None,
            inner=None,
            outer=None,
            outer_start=float(detections.start[i]),
            outer_end=float(detections.end[i]),
            rivals=(),
            num_rivals=0,
            soft=False,
            raw_score=float(detections.score[i]),
            lowered_by=None,
            near=verdicts.near[i],
            verdict=verdicts.outcome[i],
        )
        for i in range(min(most, len(detections)))
    )
