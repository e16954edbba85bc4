"""Average precision of ranked detections, for all classes and tIoU thresholds at once."""

from __future__ import annotations

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.evaluation.matching import Matching

__all__ = ["average_precision", "running_max_from_end"]


def running_max_from_end(values: FloatArray, segment: IntArray) -> FloatArray:
    """Return for every element the maximum from it to the end of its segment.

    Args:
        values: `(N,)`.
        segment: `(N,)` non-decreasing segment numbers >= 0.
    """
    # Dense ranks are exact integers, so segments can be kept apart by an offset without touching the values.
    distinct, rank = np.unique(values, return_inverse=True)
    key = (segment.max(initial=0) - segment) * distinct.size + rank
    highest = np.maximum.accumulate(key[::-1])[::-1]
    result: FloatArray = distinct[highest % max(distinct.size, 1)]
    return result


def average_precision(matching: Matching) -> FloatArray:
    """Return the AP in [0, 1] of every tIoU threshold and class, shape `(S, C)`.

    A class without instances has no AP: NaN. A class with instances but no true positive has 0.

    The precision only has to be known at the true positives. Interpolated: the precision envelope, times the step in
    recall each true positive makes (PASCAL VOC 2010, ActivityNet toolkit). Not interpolated: the sum of the precisions
    there over the number of instances (THUMOS14 kit, W-TALC).
    """
    counts = matching.ground_truth.counts
    num_classes, num_levels = counts.size, len(matching.tiou)
    level, position = matching.hit_tiou, matching.hit_position
    label = matching.label[position]
    segment = level * num_classes + label  # non-decreasing: hits are sorted by threshold, positions by class
    first = np.flatnonzero(np.diff(segment, prepend=-1))
    length = np.diff(first, append=segment.size)

    def within_segment(cumulative: IntArray) -> IntArray:
        """Turn a cumulative count over all hits into one that starts anew in each segment, the hit itself included."""
        before = np.concatenate([[0], cumulative])[first]
        counted: IntArray = cumulative - np.repeat(before, length)
        return counted

    true_positives = within_segment(np.arange(1, segment.size + 1))
    # Detections that count up to and including this one. Droppable ones count only where they are matched.
    certain = np.concatenate([[0], np.cumsum(~matching.ambiguous)])
    class_start = np.searchsorted(matching.label, np.arange(num_classes))
    counted = certain[position + 1] - certain[class_start[label]]
    counted = counted + within_segment(np.cumsum(matching.ambiguous[position]))

    precision = true_positives / counted
    if matching.protocol.interpolated:
        precision = running_max_from_end(precision, segment)
    total = np.bincount(segment, weights=precision, minlength=num_levels * num_classes)
    ap = total.reshape(num_levels, num_classes)  # (S * C,) -> (S, C)
    result: FloatArray = np.divide(ap, counts, out=np.full(ap.shape, np.nan), where=counts > 0)
    return result
