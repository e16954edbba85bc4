"""`evaluate`: detections and annotations in, mAP under a named protocol out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from wtal_core.errors import counted
from wtal_core.evaluation.average_precision import average_precision
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import Matching, match
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.records import Annotations, Detections, Evaluation
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["evaluate", "prepare"]


def prepare(
    annotations: Annotations | GroundTruthIndex,
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
) -> GroundTruthIndex:
    """Return the annotations prepared for evaluation; what is prepared already is returned as it is.

    Raises:
        UsageError: there is no such subset or video, or prepared annotations come with a selection.
        DataError: the selected videos hold no instance.
    """
    if isinstance(annotations, GroundTruthIndex):
        annotations.check_unused(subset, videos)
        return annotations
    return GroundTruthIndex(annotations, subset, videos)


def evaluate(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: str | float | Sequence[float] = "0.1:0.7",
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    matches: bool = True,
    grid: SnippetGrid | None = None,
) -> Evaluation:
    """Score detections against ground truth.

    Args:
        detections: what a method says, seconds. Detections in annotated videos that are not selected are ignored;
            those in videos that the annotations do not list at all are false positives.
        annotations: ground truth, or a `GroundTruthIndex` made of it where the same videos are evaluated repeatedly.
        protocol: name of a protocol (`list_protocols()`), or a protocol.
        tiou: thresholds, or the name of a preset (`TIOU_PRESETS`), or anything else `parse_tiou` reads.
        subset: evaluate only this subset (or several); None: every video of the annotations.
        videos: evaluate only these videos; instances of other videos do not count as missed.
        matches: whether to build the match table (`Matching.table`, `MatchTable`).
        grid: snippet grid that a rounding protocol rounds to (default: the protocol's own, 25 fps and 16 frames);
            protocols that do not round do not look at it.

    Returns:
        AP per class and threshold. Classes without an instance in the evaluated videos have AP NaN and are left out
        of every mean. `notes` say what was dropped, rounded or ignored.

    Raises:
        DataError: a detection's label is no class of the annotations, none of the detections' videos is among the
            annotated ones, or nothing is annotated.
        UsageError: unknown protocol, subset or video, unreadable thresholds.
    """
    import pandas as pd

    rules = get_protocol(protocol)
    thresholds = parse_tiou(tiou)
    truth = prepare(annotations, subset, videos)
    matching = match(detections, truth, rules, thresholds, grid)
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
        notes=tuple(_notes(matching, detections, grid)),
    )


def _after_the_end(detections: Detections, truth: GroundTruthIndex) -> int:
    """Return how many detections begin after their video's stated duration and its last instance."""
    codes, names = detections.video_codes
    instances, known = truth.annotations.instances, truth.annotations.videos
    of_instance, annotated = instances.video_codes
    last = np.zeros(len(annotated))
    np.maximum.at(last, of_instance, instances.end)
    last_end = dict(zip(annotated, last.tolist(), strict=True))
    durations = [known[name].duration if name in known else None for name in names]
    ends = [
        math.inf if duration is None else max(duration, last_end.get(name, 0.0))
        for name, duration in zip(names, durations, strict=True)
    ]
    return int((detections.start > np.array(ends, np.float64)[codes]).sum())


def _notes(matching: Matching, detections: Detections, grid: SnippetGrid | None) -> list[str]:
    """Say what the protocol dropped, rounded or ignored, one sentence each."""
    truth, rules = matching.ground_truth, matching.protocol
    notes: list[str] = []
    codes, names = detections.video_codes
    numbers = truth.video_numbers(names)
    foreign = [name for name, number in zip(names, numbers, strict=True) if number >= len(truth.videos)]
    if foreign:
        share = int((numbers[codes] >= len(truth.videos)).sum())
        notes.append(
            f"{counted(share, 'detection')} in {counted(len(foreign), 'video')} that the annotations do not list "
            f"count as false positives (e.g. {foreign[0]})."
        )
    if matching.num_outside:
        outside = [name for name, number in zip(names, numbers, strict=True) if number < 0]
        notes.append(
            f"Ignored {counted(matching.num_outside, 'detection')} in {counted(len(outside), 'video')} outside "
            f"the evaluated ones (e.g. {outside[0]})."
        )
    late = _after_the_end(detections, truth)
    if 10 * late > len(detections):  # a few only say that a duration is not exact
        notes.append(
            f"{counted(late, 'detection')} of {len(detections):,} "
            f"{'begins' if late == 1 else 'begin'} after the end of the video: are these times in seconds?"
        )
    annotated = np.unique(truth.video)
    silent = np.setdiff1d(annotated, numbers).size
    if silent:
        notes.append(
            f"{counted(silent, 'video')} of {annotated.size:,} with instances {'has' if silent == 1 else 'have'} no "
            "detection; their instances count as missed."
        )
    if truth.subset is None and silent:
        subset_of = truth.annotations.videos
        covered = {subset_of[truth.videos[n]].subset for n in numbers if 0 <= n < len(truth.videos)} - {None}
        if 0 < len(covered) < len(truth.annotations.subsets()):
            notes.append(
                f"All subsets were evaluated, but detections lie in {', '.join(sorted(map(str, covered)))} only: "
                "was that subset meant?"
            )
    absent = [name for name, count in zip(truth.classes, truth.counts, strict=True) if count == 0]
    if absent:
        share = int(np.isin(matching.label, np.flatnonzero(truth.counts == 0)).sum())
        notes.append(
            f"{counted(len(absent), 'class', 'classes')} of {len(truth.classes)} without instances left out of the "
            f"mean, with {counted(share, 'detection')}: {', '.join(absent[:5])}{', ...' if len(absent) > 5 else ''}."
        )
    if rules.grid is not None:
        used = grid if grid is not None else SnippetGrid.preset(rules.grid, num_snippets=0)
        flat_detections, flat_instances = matching.num_flat
        notes.append(
            f"Rounded all times to snippets of {used.step_seconds:g} s: {counted(flat_instances, 'instance')} and "
            f"{counted(flat_detections, 'detection')} are left without length and cannot match."
        )
    notes += _ambiguous_note(matching)
    return notes


def _ambiguous_note(matching: Matching) -> list[str]:
    truth, rule = matching.ground_truth, matching.protocol.ambiguous
    intervals = counted(truth.num_ambiguous, "Ambiguous interval")
    if rule == "not considered":
        if not truth.num_ambiguous:
            return []
        return [f"{intervals} not considered: detections there are false positives unless they match."]
    if not truth.num_ambiguous:
        return ["The annotations hold no Ambiguous intervals for these videos: nothing was dropped for them."]
    if rule == "overlaps removed first":
        return [f"Removed {counted(matching.removed.size, 'detection')} on {intervals} before matching."]
    matched = np.bincount(matching.hit_tiou[matching.ambiguous[matching.hit_position]], minlength=len(matching.tiou))
    dropped = int(matching.ambiguous.sum()) - matched
    low, high = int(dropped.min()), int(dropped.max())
    number = f"{low:,}" if low == high else f"{low:,} to {high:,} (by tIoU)"
    return [f"Dropped {number} unmatched detections on {intervals}: neither true nor false positives."]
