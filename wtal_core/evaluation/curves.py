"""Precision-recall curves and score histograms of a set of detections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import UsageError, unknown_name
from wtal_core.evaluation.evaluator import prepare
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import match
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.records import Annotations, Detections
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["PrecisionRecall", "ScoreHistogram", "precision_recall", "score_histogram"]


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """One precision-recall curve.

    Args:
        label: the class, or "mean" for the mean over classes at fixed recalls.
        tiou: the threshold.
        recall, precision: `(N,)` in [0, 1], in ranked order (recall non-decreasing).
        score: `(N,)` the score of the detection at that point; NaN on a mean curve.
    """

    label: str
    tiou: float
    recall: FloatArray
    precision: FloatArray
    score: FloatArray

    @property
    def envelope(self) -> FloatArray:
        """`(N,)` highest precision at this recall or a higher one; the area under it is the interpolated AP."""
        highest: FloatArray = np.maximum.accumulate(self.precision[::-1])[::-1]
        return highest


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """How the scores of true and false positives are spread.

    Args:
        edges: `(B + 1,)` of the bins.
        true_positives, false_positives: `(B,)` numbers.
    """

    edges: FloatArray
    true_positives: IntArray
    false_positives: IntArray


def precision_recall(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: str | float | Sequence[float] = 0.5,
    labels: Sequence[str] | None = None,
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    grid: SnippetGrid | None = None,
    recalls: int = 101,
) -> list[PrecisionRecall]:
    """Return the precision-recall curve of every class with instances, and their mean, per threshold.

    Args:
        detections, annotations, protocol, tiou, subset, videos, only_subset_videos, grid: as in `evaluate`.
        labels: only these classes; the mean is over all classes nevertheless.
        recalls: number of recalls, from 0 to 1, at which the mean of the classes' envelopes is taken.

    Returns:
        Per threshold the mean curve (label "mean"), then the classes in their order. The precision of a class at a
        recall it does not reach is 0.

    Raises:
        UsageError, DataError: as `evaluate`; an unknown class.
    """
    if recalls < 2:
        raise UsageError(
            "a mean curve needs at least two recalls", got=str(recalls), next_step="Choose at least 2 recall points"
        )
    truth = prepare(annotations, subset, videos, only_subset_videos)
    matching = match(detections, truth, get_protocol(protocol), parse_tiou(tiou), grid)
    for label in labels or ():
        if label not in truth.classes:
            raise unknown_name("class", label, truth.classes)
    score = detections.score[matching.row]
    bounds = np.searchsorted(matching.label, np.arange(len(truth.classes) + 1))
    at = np.linspace(0.0, 1.0, recalls)
    found: list[PrecisionRecall] = []
    for level, threshold in enumerate(matching.tiou):
        hit = np.zeros(matching.row.size, dtype=np.bool_)
        hit[matching.hit_position[matching.hit_tiou == level]] = True
        counts = hit | ~matching.ambiguous
        curves, mean = [], np.zeros(recalls)
        for c in np.flatnonzero(truth.counts):
            own = np.arange(bounds[c], bounds[c + 1])[counts[bounds[c] : bounds[c + 1]]]
            true = np.cumsum(hit[own])
            curve = PrecisionRecall(
                truth.classes[c],
                threshold,
                recall=true / truth.counts[c],
                precision=true / np.arange(1, own.size + 1),
                score=score[own],
            )
            reached = np.searchsorted(curve.recall, at - 1e-12)
            mean += np.append(curve.envelope, 0.0)[reached]
            if labels is None or curve.label in labels:
                curves.append(curve)
        mean /= max(int(np.count_nonzero(truth.counts)), 1)
        found.append(PrecisionRecall("mean", threshold, at, mean, np.full(recalls, np.nan)))
        found += curves
    return found


def score_histogram(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: float = 0.5,
    label: str | None = None,
    bins: int = 40,
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    grid: SnippetGrid | None = None,
) -> ScoreHistogram:
    """Return the scores of true and false positives of one class, or of all, in equal bins.

    Detections that the protocol drops are not counted.

    Raises:
        UsageError, DataError: as `evaluate`; an unknown class, no bin.
    """
    if bins < 1:
        raise UsageError("there is no bin", expected="bins >= 1", got=str(bins), next_step="Choose a number of bins")
    truth = prepare(annotations, subset, videos, only_subset_videos)
    matching = match(detections, truth, get_protocol(protocol), parse_tiou(tiou), grid)
    if len(matching.tiou) != 1:
        raise UsageError(
            "a histogram is made at one tIoU threshold",
            got=", ".join(f"{t:g}" for t in matching.tiou),
            next_step="Name one threshold",
        )
    hit = np.zeros(matching.row.size, dtype=np.bool_)
    hit[matching.hit_position] = True
    false = ~hit & ~matching.ambiguous
    score = detections.score[matching.row]
    if label is not None:
        if label not in truth.classes:
            raise unknown_name("class", label, truth.classes)
        own = matching.label == truth.classes.index(label)
        hit, false = hit & own, false & own
    used = score[hit | false]
    low, high = (float(used.min()), float(used.max())) if used.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    return ScoreHistogram(
        edges=edges,
        true_positives=np.histogram(score[hit], edges)[0].astype(np.int64),
        false_positives=np.histogram(score[false], edges)[0].astype(np.int64),
    )
