"""`evaluate`: detections and annotations in, mAP under a named protocol out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wtal_core.evaluation.average_precision import average_precision
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import match
from wtal_core.evaluation.notes import notes_of
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.records import Annotations, Detections, Evaluation
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["evaluate", "prepare"]


def prepare(
    annotations: Annotations | GroundTruthIndex,
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
) -> GroundTruthIndex:
    """Return the annotations prepared for evaluation; what is prepared already is returned as it is.

    Raises:
        UsageError: there is no such subset or video, or prepared annotations come with a selection.
        DataError: the selected videos hold no instance.
    """
    if isinstance(annotations, GroundTruthIndex):
        annotations.check_unused(subset, videos, only_subset_videos)
        return annotations
    return GroundTruthIndex(annotations, subset, videos, only_subset_videos=only_subset_videos)


def evaluate(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: str | float | Sequence[float] = "0.1:0.7",
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    matches: bool = True,
    grid: SnippetGrid | None = None,
) -> Evaluation:
    """Score detections against ground truth.

    Args:
        detections: what a method says, seconds. Those in videos outside the subset are false positives, as in all
            official evaluators, whether the annotations list these videos under another subset or not at all.
        annotations: ground truth, or a `GroundTruthIndex` made of it where the same videos are evaluated repeatedly.
        protocol: name of a protocol (`list_protocols()`), or a protocol.
        tiou: thresholds, or the name of a preset (`TIOU_PRESETS`), or anything else `parse_tiou` reads.
        subset: evaluate only this subset (or several); None: every video of the annotations.
        videos: evaluate only these videos; instances of other videos do not count as missed, and detections there are
            left out.
        only_subset_videos: leave out detections in videos outside the subset.
        matches: whether to build the match table (`Matching.table`, `MatchTable`).
        grid: snippet grid that a rounding protocol rounds to (default: the protocol's own, 25 fps and 16 frames);
            protocols that do not round do not look at it.

    Returns:
        AP per class and threshold. Classes without an instance in the evaluated videos have AP NaN and are left out
        of every mean. `notes` say what was dropped, rounded or ignored.

    Raises:
        DataError: a detection's label is no class of the annotations, or nothing is annotated.
        UsageError: unknown protocol, subset or video, unreadable thresholds.
    """
    import pandas as pd

    rules = get_protocol(protocol)
    thresholds = parse_tiou(tiou)
    truth = prepare(annotations, subset, videos, only_subset_videos)
    matching = match(detections, truth, rules, thresholds, grid, nearest=matches)
    ap = average_precision(matching)
    return Evaluation(
        protocol=rules.name,
        ap=pd.DataFrame(
            ap.T, index=pd.Index(truth.classes, name="class", dtype=object), columns=pd.Index(thresholds, name="tiou")
        ),
        matches=matching.table(detections) if matches else None,
        num_videos=len(truth.videos),
        num_instances=len(truth.segments),
        num_detections=matching.num_detections,
        notes=tuple(notes_of(matching, detections, grid)),
    )
