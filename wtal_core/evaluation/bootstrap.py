"""Is a difference in mAP more than luck? Bootstrap over videos, for one run or paired for two.

Videos are drawn with replacement, as often as there are. A video drawn k times counts as k copies of itself, with its
instances and its detections; a resample without any instance has no mAP and is drawn again. Matching happens inside a
video, so it is done once; only the ranking is counted anew, for all resamples together, with the number of copies as
weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.evaluation.evaluator import prepare
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import Matching, match
from wtal_core.evaluation.protocols import EvaluationProtocol, get_protocol, parse_tiou
from wtal_core.records import Annotations, Detections
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bootstrap_map", "paired_bootstrap", "resampled_average_precision"]


#: Numbers in the largest array that is held at once: about what a core's cache holds, which is fastest.
CHUNK_NUMBERS = 250_000


def resampled_average_precision(matching: Matching, copies: IntArray) -> FloatArray:
    """Return the AP of every threshold, class and resample, shape `(S, C, B)`; NaN where a resample has no instance.

    Copies of one detection stand together in the ranking. Detections in videos that are not evaluated are in every
    resample once.

    Args:
        copies: `(V, B)` how often each evaluated video is in each resample.
    """
    truth = matching.ground_truth
    num_levels, num_classes, (num_videos, num_resamples) = len(matching.tiou), len(truth.classes), copies.shape
    copies = np.concatenate([copies, np.ones((1, num_resamples), dtype=np.int64)])
    weight = copies[np.minimum(matching.video, num_videos)]  # (N, B)

    instances = np.zeros((num_classes, num_resamples))
    np.add.at(instances, truth.label, copies[truth.video])
    ap = np.zeros((num_levels * num_classes, num_resamples))
    position = matching.hit_position
    label = matching.label[position]
    segment = matching.hit_tiou * num_classes + label
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    if first.size:
        length = np.diff(first, append=segment.size)

        def within_segment(values: IntArray) -> IntArray:
            """Return the running sum inside each segment, the element itself included; `(H, B)`."""
            running = np.cumsum(values, axis=0)
            before = running[first] - values[first]
            inside: IntArray = running - np.repeat(before, length, axis=0)
            return inside

        own = weight[position]  # (H, B)
        true_positives = within_segment(own)
        droppable = matching.ambiguous
        certain = np.zeros((weight.shape[0] + 1, num_resamples), dtype=np.int64)
        np.cumsum(np.where(droppable[:, None], 0, weight) if droppable.any() else weight, axis=0, out=certain[1:])
        class_start = np.searchsorted(matching.label, np.arange(num_classes))
        counted = certain[position + 1] - certain[class_start[label]]
        if droppable.any():
            counted += within_segment(np.where(droppable[position][:, None], own, 0))

        if matching.protocol.interpolated:
            precision = np.divide(true_positives, counted, out=np.zeros(own.shape), where=own > 0)
            for a, b in zip(first, first + length, strict=True):  # one step per threshold and class
                precision[a:b] = np.maximum.accumulate(precision[a:b][::-1], axis=0)[::-1]
            gain = own * precision
        else:
            gain = np.zeros(own.shape)
            later = own - 1  # copies of each detection that follow the one that is looked at
            while (drawn := np.flatnonzero(later >= 0)).size:  # the precision differs from copy to copy
                behind = later.flat[drawn]
                gain.flat[drawn] += (true_positives.flat[drawn] - behind) / (counted.flat[drawn] - behind)
                later -= 1
        ap[segment[first]] = np.add.reduceat(gain, first, axis=0)
    total = ap.reshape(num_levels, num_classes, num_resamples)  # (S * C, B) -> (S, C, B)
    result: FloatArray = np.divide(total, instances, out=np.full(total.shape, np.nan), where=instances > 0)
    return result


def _draws(truth: GroundTruthIndex, resamples: int, seed: int, width: int) -> Iterator[IntArray]:
    """Yield `(V, b)` numbers of copies, all resamples in parts that fit `width` rows into `CHUNK_NUMBERS`.

    A resample of videos without instances is drawn again.
    """
    rng = np.random.default_rng(seed)
    num_videos, annotated = len(truth.videos), np.unique(truth.video)
    step = max(1, CHUNK_NUMBERS // max(width, num_videos, 1))
    for begin in range(0, resamples, step):
        copies = np.zeros((min(step, resamples - begin), num_videos), dtype=np.int64)
        while (empty := np.flatnonzero(~copies[:, annotated].any(axis=1))).size:
            copies[empty] = rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=empty.size)
        yield copies.T


def _maps(matchings: Sequence[Matching], resamples: int, seed: int) -> FloatArray:
    """Return mAP and average mAP of every run and resample, shape `(runs, S + 1, B)`."""
    width = max(max(m.row.size, m.hit_position.size) for m in matchings)
    parts = []
    for copies in _draws(matchings[0].ground_truth, resamples, seed, width):
        aps = np.stack([resampled_average_precision(m, copies) for m in matchings])  # (runs, S, C, b)
        present = ~np.isnan(aps)
        mean = np.where(present, aps, 0.0).sum(axis=2) / np.maximum(present.sum(axis=2), 1)  # (runs, S, b)
        parts.append(np.concatenate([mean, mean.mean(axis=1, keepdims=True)], axis=1))
    return np.concatenate(parts, axis=2)


def _run(
    tables: Sequence[Detections],
    truth: GroundTruthIndex,
    protocol: str | EvaluationProtocol,
    tiou: str | float | Sequence[float],
    grid: SnippetGrid | None,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[FloatArray, FloatArray, list[float | str]]:
    """Return the maps `(runs, S + 1)` as they are, those of the resamples `(runs, S + 1, B)`, and the row names."""
    if resamples < 1 or not 0 < confidence < 1:
        raise UsageError(
            "the bootstrap cannot be made",
            expected="resamples >= 1 and 0 < confidence < 1",
            got=f"{resamples} resamples, confidence {confidence:g}",
            next_step="Choose values within these ranges",
        )
    rules, levels = get_protocol(protocol), parse_tiou(tiou)
    matchings = [match(table, truth, rules, levels, grid) for table in tables]
    once = np.ones((len(truth.videos), 1), dtype=np.int64)
    aps = np.stack([resampled_average_precision(m, once)[:, :, 0] for m in matchings])  # (runs, S, C)
    mean = np.nanmean(aps, axis=2)
    estimate = np.concatenate([mean, mean.mean(axis=1, keepdims=True)], axis=1)
    return estimate, _maps(matchings, resamples, seed), [*levels, "average"]


def bootstrap_map(
    detections: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: str | float | Sequence[float] = "0.1:0.7",
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    grid: SnippetGrid | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how far mAP would move with other videos of the same kind.

    Args:
        detections, annotations, protocol, tiou, subset, videos, only_subset_videos, grid: as in `evaluate`.
        resamples: number of resamples B.
        confidence: coverage of the interval (percentiles of the resampled mAPs).
        seed: the same seed gives the same resamples.

    Returns:
        One row per threshold and a row "average"; columns `map`, `low`, `high`, `sd`, all in [0, 1].

    Raises:
        UsageError, DataError: as `evaluate`; resamples or confidence out of range.
    """
    import pandas as pd

    truth = prepare(annotations, subset, videos, only_subset_videos)
    estimate, resampled, names = _run([detections], truth, protocol, tiou, grid, resamples, confidence, seed)
    low, high = np.quantile(resampled[0], [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return pd.DataFrame(
        {"map": estimate[0], "low": low, "high": high, "sd": resampled[0].std(axis=1)},
        index=pd.Index(names, name="tiou", dtype=object),
    )


def paired_bootstrap(
    first: Detections,
    second: Detections,
    annotations: Annotations | GroundTruthIndex,
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: str | float | Sequence[float] = "0.1:0.7",
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    grid: SnippetGrid | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the difference in mAP, second minus first, and whether it could be luck of the videos.

    Both runs are scored on the same resamples, so that what makes a video hard for both cancels out.

    Args:
        first, second: detections of the two runs.
        annotations, protocol, tiou, subset, videos, only_subset_videos, grid: as in `evaluate`.
        resamples, confidence, seed: as in `bootstrap_map`.

    Returns:
        One row per threshold and a row "average"; columns `first`, `second`, `difference`, `low`, `high` (percentile
        interval of the difference) in [0, 1] or [-1, 1], and `p_value`: two-sided, twice the smaller share of
        resamples on either side of zero, counting the data themselves once; at least 2 / (resamples + 1), at most 1.

    Raises:
        UsageError, DataError: as `evaluate`; resamples or confidence out of range.
    """
    import pandas as pd

    truth = prepare(annotations, subset, videos, only_subset_videos)
    estimate, resampled, names = _run([first, second], truth, protocol, tiou, grid, resamples, confidence, seed)
    difference = resampled[1] - resampled[0]  # (S + 1, B)
    low, high = np.quantile(difference, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    sides = np.minimum((difference <= 0).sum(axis=1), (difference >= 0).sum(axis=1))
    return pd.DataFrame(
        {
            "first": estimate[0],
            "second": estimate[1],
            "difference": estimate[1] - estimate[0],
            "low": low,
            "high": high,
            "p_value": np.minimum(1.0, 2.0 * (1 + sides) / (resamples + 1)),
        },
        index=pd.Index(names, name="tiou", dtype=object),
    )
