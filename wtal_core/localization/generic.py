"""Localization for activations of any method: cut tracks at thresholds, score the runs, suppress what overlaps.

It is what methods without rules of their own, and logged or imported activations, are localized by. A curve is cut
(the CAS of a class, an attention, or their product); every run above a threshold is a proposal of each kept class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.localization.curves import Curves
from wtal_core.localization.proposals import Proposals, kept_classes, runs_above
from wtal_core.localization.scoring import outer_inner_contrast, run_maxima
from wtal_core.records import Activations
from wtal_core.settings import check, option
from wtal_core.snippet_grid import seconds_of
from wtal_core.suppression import nms, soft_nms

__all__ = ["GenericLocalization", "propose"]


@dataclass(frozen=True)
class GenericLocalization:
    """From any activations to detections."""

    track: str = option("cas", "what is cut: cas, attention.NAME, extra_cas.NAME, or the name of a curve or map")
    times: str = option("", "a track that it is multiplied by first, e.g. attention.NAME; empty: none")
    class_threshold: float = option(
        0.5, "classes kept: video score at least so far from the video's lowest to its highest", low=0, high=1
    )
    min_video_score: float | None = option(None, "classes kept: video score at least this, in its own scale")
    relative: bool = option(True, "thresholds count from the smallest to the largest value of the curve in the video")
    thresholds: tuple[float, ...] = option(
        tuple(np.linspace(0.1, 0.9, 9).round(3).tolist()), "each run above one of these is a proposal"
    )
    min_length: int = option(1, "shorter runs are dropped", unit="snippets", low=1)
    scored_on: str = option("", "track whose values score a run; empty: what is cut")
    score: str = option(
        "outer_inner",
        "score of a run: its mean less the mean beside it; its mean; its largest value",
        choices=("outer_inner", "mean", "max"),
    )
    outer_margin: float = option(0.25, "outer area on either side, as a fraction of the run", low=0)
    video_weight: float = option(0.2, "weight of the video score of the class in a proposal's score")
    suppression: str = option("hard", "NMS; Gaussian soft-NMS; none", choices=("hard", "soft", "none"))
    tiou: float = option(0.5, "hard: a proposal goes that overlaps a better one by more than this", low=0, high=1)
    sigma: float = option(0.3, "soft: the score of a rival falls by exp(-tIoU^2 / sigma)", low=1e-6)

    def __post_init__(self) -> None:
        check(self)


def propose(activations: Mapping[str, Activations], localization: GenericLocalization) -> Proposals:
    """Return the scored proposals of many videos; a video's do not depend on which others are in the batch.

    Raises:
        UsageError: a track that the settings name is not there, or is no curve and no map.
    """
    s = localization
    videos = list(activations.values())
    nothing = Proposals.build(video=[], label=[], start=[], end=[], score=[])
    if not videos or not videos[0].classes:
        return nothing
    scores = np.stack([acts.video_scores for acts in videos]).astype(np.float64)  # (V, C)
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    share = np.divide(scores - low, high - low, out=np.ones_like(scores), where=high > low)
    passes = share if s.min_video_score is None else np.where(scores >= s.min_video_score, share, -1.0)
    video, label = kept_classes(passes, s.class_threshold, strict=False)  # (K,) pairs
    if not video.size:
        return nothing
    cut = _curves(videos, s.track, s.times, video, label)
    thresholds = np.asarray(s.thresholds, dtype=np.float64)
    limits = np.broadcast_to(thresholds, (len(cut), thresholds.size))
    if s.relative:
        limits = cut.min()[:, None] + (cut.max() - cut.min())[:, None] * thresholds
    runs = runs_above(cut, limits, min_length=s.min_length)
    scored = _curves(videos, s.scored_on, "", video, label) if s.scored_on else cut
    contrast = outer_inner_contrast(scored, runs, inflation=s.outer_margin)
    bonus = s.video_weight * scores[video, label][runs.row]
    areas: dict[str, Any] = {}
    grids = [acts.grid for acts in videos]

    def seconds(position: IntArray) -> FloatArray:
        return seconds_of(grids, video[runs.row], position)

    if s.score == "outer_inner":
        score = contrast.score(bonus)
        areas = {"inner": contrast.inner, "outer": contrast.outer,
                 "outer_start": seconds(contrast.left), "outer_end": seconds(contrast.right)}  # fmt: skip
    else:
        score = (contrast.inner if s.score == "mean" else run_maxima(scored, runs)) + bonus
    proposals = Proposals.build(
        video=video[runs.row],
        label=label[runs.row],
        start=seconds(runs.first),
        end=seconds(runs.last + 1),
        score=score,
        threshold=limits[runs.row, runs.threshold],
        sources=(s.track if not s.times else f"{s.track} x {s.times}",),
        **areas,
    )
    columns = (proposals.start, proposals.end, proposals.score, runs.row)
    if s.suppression == "hard":
        return proposals.with_rivals(nms(*columns, threshold=s.tiou))
    if s.suppression == "soft":
        return proposals.softened(soft_nms(*columns, sigma=s.sigma))
    return proposals


def _curves(videos: Sequence[Activations], track: str, times: str, video: IntArray, label: IntArray) -> Curves:
    """Return the K curves of pairs of video and class: of a map the class's, a curve is the same for all classes."""
    rows = []
    for v, acts in enumerate(videos):
        of_video = label[video == v]
        if of_video.size:
            values = _of_classes(acts, track, of_video)
            rows.append(values * _of_classes(acts, times, of_video) if times else values)  # (classes of v, T)
    return Curves.of(rows)


def _of_classes(acts: Activations, address: str, labels: IntArray) -> FloatArray:
    tracks = acts.all_tracks()
    track = tracks.get(address)
    if track is None or track.kind not in ("curve", "map"):
        usable = [name for name, found in tracks.items() if found.kind in ("curve", "map")]
        raise UsageError(
            f"there is no curve or map {address!r}",
            expected=" or ".join(usable) or "a curve or map among the tracks",
            where="localization.track",
            next_step="Name one of these",
        )
    values = np.asarray(track.values, dtype=np.float64)
    if track.kind == "map":
        return np.ascontiguousarray(values[:, labels].T)
    return np.broadcast_to(values, (labels.size, values.size))
