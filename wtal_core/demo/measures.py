"""What average mAP hides, measured against the demo world's truth: completeness, context, false alarms.

Context and false alarms are measured at one *operating point* per class: as many of its detections, best first, as it
takes to cover half of the class's action time. Methods are then compared by what else they report for the same time of
action; counting found instances instead would let a method look clean that reports only a part of each. A class that
never gets there is measured with all its detections (`action_time` says so).

* **completeness**: share of an instance's phases that its best detection covers. Best is the highest-scoring detection
  of the class that meets the instance (tIoU of at least 0.1; of all detections, not only those of the operating point);
  a phase is covered if at least half of it is. An instance that no detection meets has none of its phases covered.
* **on action, context, fake, background**: shares of the detected time. Time that several detections of a class cover
  counts once; the four shares add up to one. Action, context and fakes are the detected class's own, everything else is
  background.
* **static context**: share of the context in which nothing moves (the empty platform, a table under a caption) that
  detections of its class cover. It is the context that CMCS's hard negatives are made of.
* **false alarms**: share of the fakes (practice swings, aborted run-ups) of which detections of their class cover at
  least half.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError
from wtal_core.evaluation import evaluate, overlapping_pairs
from wtal_core.evaluation.match_table import union
from wtal_core.records import Annotations, Detections, Segments

__all__ = ["Measures", "best_detections", "covered_share", "measure", "mining_quality", "operating_point"]


ACTION_TIME = 0.5  # share of a class's action time that is covered at its operating point
MEET_TIOU = 0.1  # the best detection meets the instance at least so much
HALF = 0.5  # of a phase, or of a fake, that counts as covered


@dataclass(frozen=True)
class Measures:
    """Measures of one run; all shares in [0, 1], NaN where there is nothing to measure.

    Args:
        average_map: mean of mAP at tIoU 0.1 to 0.7.
        completeness: mean share of an instance's phases that its best detection covers.
        found: share of instances that any detection meets.
        on_action, on_context, on_fake, on_background: shares of the detected time at the operating point.
        static_context: share of the motionless context that is reported at the operating point.
        false_alarms: share of fakes that are reported at the operating point.
        action_time: share of action time covered at the operating point, mean over classes; below 0.5 a class never
            gets there.
    """

    average_map: float
    completeness: float
    found: float
    on_action: float
    on_context: float
    on_fake: float
    on_background: float
    static_context: float
    false_alarms: float
    action_time: float

    def to_dict(self) -> dict[str, float]:
        """Return the measures as plain values."""
        return asdict(self)


def measure(detections: Detections, annotations: Annotations, *, subset: Sequence[str] = ("test",)) -> Measures:
    """Measure a run's detections against the truth of a demo world.

    Args:
        detections: of the subset's videos.
        annotations: with the tracks "phases", "context", "fakes" and "static".
        subset: which videos.

    Raises:
        DataError: the annotations have no such tracks.
    """
    needed = ("phases", "context", "fakes", "static")
    missing = [name for name in needed if name not in annotations.tracks]
    if missing:
        raise DataError(
            "the annotations are not those of a demo world",
            expected=f"tracks {', '.join(needed)}",
            got=f"no {', '.join(missing)}",
            where=annotations.source or "annotations",
            next_step="Name annotations that 'wtal demo build' wrote",
        )
    truth = annotations.subset(*subset)
    phases, context, fakes, static = (truth.tracks[name] for name in needed)
    context, fakes = _by_class(context), _by_class(fakes)
    evaluation = evaluate(detections, annotations, subset=tuple(subset), matches=False)
    chosen, action_time = operating_point(detections, truth.instances)
    best = best_detections(detections, truth.instances)
    return Measures(
        average_map=evaluation.average,
        completeness=_completeness(detections, best, truth.instances, phases),
        found=float((best >= 0).mean()) if best.size else float("nan"),
        **_time_shares(chosen, truth.instances, context, fakes),
        static_context=_covered_time(_static_parts(context, static), chosen),
        false_alarms=float(np.mean(covered_share(fakes, chosen) >= HALF)) if len(fakes) else float("nan"),
        action_time=action_time,
    )


def _by_class(track: Segments) -> Segments:
    """Return a track with the class as label ("GolfSwing/practice_swing" -> "GolfSwing")."""
    return Segments(track.video, [label.partition("/")[0] for label in track.label], track.start, track.end)


def operating_point(detections: Detections, instances: Segments) -> tuple[Detections, float]:
    """Return each class's best detections that cover half of its action time, and the share covered, mean over classes.

    A class of which less than half is ever covered keeps all its detections; classes without instances keep none.
    """
    chosen: list[Detections] = []
    shares: list[float] = []
    for label in sorted(set(instances.label.tolist())):
        actions = instances[instances.label == label]
        chosen.append(_best_covering(detections[detections.label == label], actions))
        shares.append(_covered_time(actions, chosen[-1]))
    return Detections.concat(chosen), float(np.mean(shares)) if shares else float("nan")


def _best_covering(detections: Detections, actions: Segments) -> Detections:
    """Return the detections down to the highest score at which they cover half of the time of `actions`, or all."""
    scores = np.unique(detections.score)[::-1].tolist()

    def at_least(score: float) -> Detections:
        return detections[detections.score >= score]

    place = bisect_left(scores, True, key=lambda score: _covered_time(actions, at_least(score)) >= ACTION_TIME)
    return at_least(scores[place]) if place < len(scores) else detections


def best_detections(detections: Detections, instances: Segments) -> IntArray:
    """Return `(N,)`: the highest-scoring detection of its class that meets each instance, -1 where none does."""
    pairs = overlapping_pairs(instances, detections, same_label=True)
    i, j, tiou = pairs.detection, pairs.instance, pairs.tiou
    meets = tiou >= MEET_TIOU
    i, j, tiou = i[meets], j[meets], tiou[meets]
    best = np.full(len(instances), -1, dtype=np.int64)
    order = np.lexsort((tiou, detections.score[j]))  # equal scores: the better fit last, and the last one stays
    best[i[order]] = j[order]
    return best


def _completeness(detections: Detections, best: IntArray, instances: Segments, phases: Segments) -> float:
    if not len(instances):
        return float("nan")
    # A phase belongs to the instance of its class and video that holds its middle.
    pairs = overlapping_pairs(instances, _by_class(phases), same_label=True)
    i, j = pairs.detection, pairs.instance
    middle = (phases.start + phases.end)[j] / 2
    inside = (middle >= instances.start[i]) & (middle < instances.end[i])
    i, j = i[inside], j[inside]
    found = best[i] >= 0
    d = np.where(found, best[i], 0)
    if len(detections):
        overlap = np.minimum(phases.end[j], detections.end[d]) - np.maximum(phases.start[j], detections.start[d])
        covered = found & (overlap >= HALF * phases.length[j])
    else:
        covered = found
    total = np.bincount(i, minlength=len(instances))
    share = np.bincount(i, covered, minlength=len(instances)) / np.maximum(total, 1)
    return float(share[total > 0].mean())


def covered_share(segments: Segments, cover: Segments | Detections) -> FloatArray:
    """Return `(N,)`: the share of each segment that rows of its video and label cover."""
    pairs = overlapping_pairs(segments, union(cover), same_label=True)
    covered = np.bincount(pairs.detection, pairs.shared, minlength=len(segments))
    return np.asarray(covered / np.maximum(segments.length, 1e-9))


def _covered_time(segments: Segments, cover: Segments | Detections) -> float:
    """Return the share of the segments' time that rows of their video and label cover; NaN where there is no time."""
    total = float(segments.length.sum())
    return _shared_seconds(segments, cover) / total if total else float("nan")


def _shared_seconds(segments: Segments, cover: Segments | Detections) -> float:
    """Return how much of the segments' time rows of their video and label cover."""
    return float(overlapping_pairs(segments, union(cover), same_label=True).shared.sum())


def _static_parts(context: Segments, static: Segments) -> Segments:
    """Return the parts of `context` that lie in static stretches of their video, labelled as the context."""
    pairs = overlapping_pairs(context, static)
    i, j = pairs.detection, pairs.instance
    start, end = np.maximum(context.start[i], static.start[j]), np.minimum(context.end[i], static.end[j])
    return Segments(context.video[i], context.label[i], start, end)


def _time_shares(chosen: Detections, instances: Segments, context: Segments, fakes: Segments) -> dict[str, float]:
    detected = union(chosen)
    total = float(detected.length.sum())
    names = ("on_action", "on_context", "on_fake")
    if total == 0:
        return dict.fromkeys((*names, "on_background"), float("nan"))
    shares = {
        name: _shared_seconds(detected, track) / total
        for name, track in zip(names, (instances, context, fakes), strict=True)
    }
    return {**shares, "on_background": max(0.0, 1.0 - sum(shares.values()))}


def mining_quality(annotations: Annotations, *, subset: Sequence[str] = ("train",)) -> tuple[float, float]:
    """Return the share of truly static time that mining by optical flow finds, and the share of its finds that is true.

    NaN where there is nothing to find, or nothing was found.

    Raises:
        DataError: the annotations lack the tracks "static" and "static_mined".
    """
    missing = [name for name in ("static", "static_mined") if name not in annotations.tracks]
    if missing:
        raise DataError(
            "static clips were not mined",
            expected=f"tracks {', '.join(missing)}",
            where="annotations",
            next_step="Mine them first: wtal data static",
        )
    chosen = annotations.subset(*subset)
    truth, mined = (union(chosen.tracks[name]) for name in ("static", "static_mined"))
    both = _shared_seconds(truth, mined)
    shares = (both / float(t.length.sum()) if len(t) else float("nan") for t in (truth, mined))
    recall, precision = shares
    return recall, precision
