"""How well video-level class scores tell which classes a video shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray
from wtal_core.errors import DataError

__all__ = ["VideoLevelScores", "video_level_map"]


@dataclass(frozen=True, eq=False)
class VideoLevelScores:
    """Video-level classification quality.

    Args:
        ap: `(C,)` non-interpolated AP of each class, NaN for a class that no video has.
        mean_ap: mean of the APs that exist, in [0, 1]; NaN if none does.
        accuracy: share of videos whose set of classes with score >= threshold is exactly the labelled set.
        num_videos: videos counted; those without any label are left out.
    """

    ap: FloatArray
    mean_ap: float
    accuracy: float
    num_videos: int


def video_level_map(scores: npt.ArrayLike, labels: npt.ArrayLike, *, threshold: float = 0.2) -> VideoLevelScores:
    """Score video-level class scores against multi-hot labels.

    AP is the mean over a class's videos of the precision at their rank (W-TALC, HAM-Net, CMCS); equal scores keep the
    order of the rows. Accuracy is HAM-Net's "classification accuracy": exact match at `threshold`. Like HAM-Net,
    videos without any label are left out.

    Args:
        scores: `(V, C)` finite; higher is more certain.
        labels: `(V, C)` of 0 and 1.
        threshold: score from which on a class counts as predicted (HAM-Net: 0.2), for the accuracy only.

    Raises:
        DataError: shapes differ, a score is not finite, or a label is neither 0 nor 1.
    """
    try:
        score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            "scores and labels are not numeric arrays",
            where="video_level_map",
            next_step="Convert both to arrays of numbers first",
        ) from error
    if score.ndim != 2 or score.shape != label.shape:
        raise DataError(
            "scores and labels do not fit together",
            expected="two arrays (videos, classes) of one shape",
            got=f"{score.shape} and {label.shape}",
            where="video_level_map",
            next_step="Give both arrays the same videos and classes, in the same order",
        )
    if not np.isfinite(score).all():
        raise DataError(
            "a score is not finite",
            expected="no NaN and no infinity",
            where="video_level_map",
            next_step="Replace or drop the videos without scores",
        )
    if not np.isin(label, (0.0, 1.0)).all():
        raise DataError(
            "a label is neither 0 nor 1",
            expected="multi-hot labels",
            where="video_level_map",
            next_step="Mark each class of a video with 1, all others with 0",
        )
    labelled = label.any(axis=1)
    score, label = score[labelled], label[labelled]
    order = np.argsort(-score, axis=0, kind="stable")  # (V, C)
    true = np.take_along_axis(label, order, axis=0)
    precision = np.cumsum(true, axis=0) / np.arange(1, len(true) + 1)[:, None]
    positives = label.sum(axis=0)
    ap = np.divide((precision * true).sum(axis=0), positives, out=np.full(positives.shape, np.nan), where=positives > 0)
    exact = ((score >= threshold) == (label > 0)).all(axis=1)
    return VideoLevelScores(
        ap=ap,
        mean_ap=float(np.nanmean(ap)) if (positives > 0).any() else float("nan"),
        accuracy=float(exact.mean()) if exact.size else float("nan"),
        num_videos=len(score),
    )
