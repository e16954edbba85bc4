"""Putting the RGB and the optical-flow stream together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError, UsageError
from wtal_core.intervals import IntervalIndex

__all__ = ["StreamFusion", "discount", "fuse_streams", "late_fusion"]


def late_fusion(rgb: npt.NDArray[Any], flow: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `(rgb + flow) / 2` of raw scores, before any softmax (CMCS: CAS, attention, video score, branches).

    Raises:
        DataError: the streams differ in shape.
    """
    if np.shape(rgb) != np.shape(flow):
        raise DataError(
            "the streams differ in shape",
            expected=f"flow like rgb, {np.shape(rgb)}",
            got=str(np.shape(flow)),
            where="late_fusion",
            next_step="Cut both streams to the shorter one",
        )
    return np.asarray((rgb + flow) / 2)


def discount(score: npt.ArrayLike, factor: float = 2.0) -> FloatArray:
    """Lower scores: divide them by the factor where they are >= 0, multiply them by it where they are negative.

    ACN halves the RGB stream's scores; halving a negative one would promote it, so it is doubled. The map is
    continuous, monotone, and raises no score.
    """
    values = np.asarray(score, dtype=np.float64)
    return np.where(values >= 0, values / factor, values * factor)


@dataclass(frozen=True, eq=False)
class StreamFusion:
    """Result of `fuse_streams`, one row a fused proposal.

    Args:
        stream: `(M,)` 0 for the first stream (flow), 1 for the second (RGB).
        index: `(M,)` index into that stream's proposals.
        score: `(M,)` score, discounted for the second stream; rows are sorted by group, then by it, descending.
        rival: `(N of the second stream,)` the first stream's proposal that each one of the second overlaps most
            (-1: none).
        rival_tiou: its tIoU.
    """

    stream: IntArray
    index: IntArray
    score: FloatArray
    rival: IntArray
    rival_tiou: FloatArray


def fuse_streams(
    flow_start: npt.ArrayLike,
    flow_end: npt.ArrayLike,
    flow_score: npt.ArrayLike,
    flow_group: npt.ArrayLike,
    rgb_start: npt.ArrayLike,
    rgb_end: npt.ArrayLike,
    rgb_score: npt.ArrayLike,
    rgb_group: npt.ArrayLike,
    *,
    threshold: float = 0.4,
    factor: float = 2.0,
) -> StreamFusion:
    """Merge the proposals of two streams: all of flow, and those of RGB that flow does not have (ACN).

    An RGB proposal stays if its largest tIoU with the flow proposals of the same group is below the threshold, or if it
    overlaps none of them; its score is discounted. Both sets have gone through suppression; no further one is needed.

    Args:
        flow_start, flow_end, flow_score, flow_group: `(N,)` half-open intervals; group = pair of video and class.
        rgb_start, rgb_end, rgb_score, rgb_group: `(M,)` the same.
        threshold: tIoU in [0, 1].
        factor: see `discount`.
    """
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(
            "the tIoU threshold is out of range",
            expected="within [0, 1]",
            got=repr(threshold),
            next_step="Choose a value within the range",
        )
    of_flow, of_rgb = np.asarray(flow_group, dtype=np.int64), np.asarray(rgb_group, dtype=np.int64)
    tiou, rival = IntervalIndex(of_flow, np.asarray(flow_start), np.asarray(flow_end)).best(
        of_rgb, np.asarray(rgb_start), np.asarray(rgb_end)
    )
    stays = np.flatnonzero((tiou < threshold) | (rival < 0))
    flow = np.asarray(flow_score, dtype=np.float64)
    stream = np.repeat(np.arange(2), [flow.size, stays.size])
    index = np.concatenate([np.arange(flow.size), stays])
    score = np.concatenate([flow, discount(rgb_score, factor)[stays]])
    group = np.concatenate([of_flow, of_rgb[stays]])
    order = np.lexsort((-score, group))
    return StreamFusion(stream[order], index[order], score[order], rival, tiou)
