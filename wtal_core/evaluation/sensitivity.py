"""DETAD's three views of a diagnosis: what the top predictions are, where mAP is low, what is missed.

Alwassel, Caba Heilbron, Escorcia, Ghanem: Diagnosing Error in Temporal Action Detectors (ECCV 2018). Of its six
characteristics of an instance the three that follow from plain annotations are here: length (seconds), coverage (length
over the video's duration) and the number of instances of its class in the video.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import UsageError, unknown_name
from wtal_core.evaluation.diagnosis import OUTCOMES, Diagnosis
from wtal_core.evaluation.failure_kinds import FALSE_POSITIVE_KINDS
from wtal_core.evaluation.ground_truth import GroundTruthIndex

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BUCKETS", "characteristics", "false_positive_profile", "missed_share", "sensitivity"]


_SIZES = ("XS", "S", "M", "L", "XL")
_INF = float("inf")

#: Bin edges of DETAD, `(low, high]`, for data sets of long (ActivityNet) and of short instances (THUMOS14).
BUCKETS: dict[str, dict[str, tuple[float, ...]]] = {
    "activitynet": {
        "length": (0, 30, 60, 120, 180, _INF),
        "coverage": (0, 0.2, 0.4, 0.6, 0.8, _INF),
        "instances": (0, 1, 4, 8, _INF),
    },
    "thumos14": {
        "length": (0, 3, 6, 12, 18, _INF),
        "coverage": (0, 0.02, 0.04, 0.06, 0.08, _INF),
        "instances": (0, 1, 40, 80, _INF),
    },
}


def usual_buckets(truth: GroundTruthIndex) -> str:
    """Return the buckets that fit: THUMOS14's where half of the instances are shorter than 15 s."""
    return "thumos14" if float(np.median(truth.segments.length)) < 15 else "activitynet"


def characteristics(truth: GroundTruthIndex) -> dict[str, FloatArray]:
    """Return `{"length": (G,) seconds, "coverage": (G,) in [0, 1], "instances": (G,)}` of the evaluated instances.

    The coverage is NaN where the annotations do not know the video's duration.
    """
    length = truth.segments.length
    _, group, count = np.unique(truth.video * len(truth.classes) + truth.label, return_inverse=True, return_counts=True)
    return {
        "length": length,
        "coverage": length / truth.duration[truth.video],
        "instances": count[group].astype(np.float64),
    }


def _bucketed(truth: GroundTruthIndex, buckets: str | None) -> dict[str, tuple[IntArray, list[str], list[str]]]:
    """Return `{characteristic: (bucket of each instance or -1, short names, ranges)}`."""
    name = usual_buckets(truth) if buckets is None else buckets
    if name not in BUCKETS:
        raise unknown_name("set of buckets", name, BUCKETS)
    result = {}
    for characteristic, values in characteristics(truth).items():
        edges = np.array(BUCKETS[name][characteristic])
        bucket = np.searchsorted(edges, values, side="left") - 1
        bucket = np.where(np.isnan(values), -1, np.maximum(bucket, 0))
        number = len(edges) - 1
        ranges = [_range(characteristic, a, b) for a, b in itertools.pairwise(edges.tolist())]
        result[characteristic] = (bucket.astype(np.int64), list(_SIZES[:number]), ranges)
    return result


def _range(characteristic: str, low: float, high: float) -> str:
    scale, unit = {"length": (1, " s"), "coverage": (100, " %"), "instances": (1, "")}[characteristic]
    if characteristic == "instances":
        low += 1
    last = characteristic == "coverage" and low >= 0.08
    if not np.isfinite(high) or (last and high > 1):
        return f"{'≥ ' if characteristic == 'instances' else '> '}{low * scale:g}{unit}"
    return f"{low * scale:g}{unit}" if low == high else f"{low * scale:g} to {high * scale:g}{unit}"


def false_positive_profile(diagnosis: Diagnosis, bands: int = 10) -> pd.DataFrame:
    """Return what the top predictions are: DETAD's false-positive profile.

    Band k (from 1) holds, of every class with G instances, its detections of rank (k - 1) G + 1 to k G.

    Returns:
        One row per band that is not empty (index "1G", "2G", ...); columns "true positive", the kinds of false
        positives (shares that sum to 1), and "detections" (number).

    Raises:
        UsageError: there is no band.
    """
    import pandas as pd

    if bands < 1:
        raise UsageError(
            "there is no band", expected="bands >= 1", got=str(bands), next_step="Choose a number of bands"
        )
    truth = diagnosis.ground_truth
    words = ["true positive", *FALSE_POSITIVE_KINDS]
    row, label = diagnosis.ranked
    rank = np.arange(label.size) - np.searchsorted(label, label)
    with_instances = truth.counts[label] > 0
    band = rank[with_instances] // truth.counts[label[with_instances]]
    outcome = diagnosis.outcome_code[row[with_instances]].astype(np.int64)
    column = np.where(outcome == OUTCOMES.index("tp"), 0, outcome + 1)  # the kinds come first among the outcomes
    inside = band < bands
    table = np.bincount(band[inside] * len(words) + column[inside], minlength=bands * len(words)).reshape(bands, -1)
    number = table.sum(axis=1)
    some = np.flatnonzero(number)
    frame = pd.DataFrame(
        table[some] / number[some, None], columns=words, index=pd.Index([f"{k + 1}G" for k in some], name="band")
    )
    frame["detections"] = number[some]
    return frame


def sensitivity(diagnosis: Diagnosis, buckets: str | None = None) -> pd.DataFrame:
    """Return mAP_N on the instances of every bucket alone: DETAD's sensitivity analysis.

    In a bucket only its instances count; detections matched to others are left out, false positives stay. Precision is
    normalised: recall * N / (recall * N + false positives) with N, the average number of instances per class, so that
    rare buckets are not punished for being rare. The precision envelope is used whatever the protocol.

    Args:
        diagnosis: of the detections.
        buckets: "activitynet" or "thumos14"; None chooses by the lengths of the instances.

    Returns:
        One row per bucket with instances; columns characteristic, bucket, range, instances, map_n; the first row
        ("all", "all") is mAP_N over all instances.
    """
    import pandas as pd

    truth = diagnosis.ground_truth
    everything = np.ones(len(truth.segments), dtype=np.bool_)
    rows: list[tuple[str, str, str, int, float]] = [
        ("all", "all", "", len(truth.segments), _normalised_map(diagnosis, everything))
    ]
    for characteristic, (bucket, names, ranges) in _bucketed(truth, buckets).items():
        for i in np.unique(bucket[bucket >= 0]):
            chosen = bucket == i
            rows.append((characteristic, names[i], ranges[i], int(chosen.sum()), _normalised_map(diagnosis, chosen)))
    return pd.DataFrame(rows, columns=["characteristic", "bucket", "range", "instances", "map_n"])


def _normalised_map(diagnosis: Diagnosis, chosen: BoolArray) -> float:
    """Return mAP_N over the chosen instances, mean over the classes that have any."""
    truth = diagnosis.ground_truth
    counts = np.bincount(truth.label[chosen], minlength=len(truth.classes))
    average = len(truth.segments) / max(int(np.count_nonzero(truth.counts)), 1)
    hit_row, hit_label, false_before = _hits(diagnosis)
    used = np.isin(hit_row, truth.row[chosen])
    label, false = hit_label[used], false_before[used]
    bounds = np.searchsorted(label, np.arange(len(truth.classes) + 1))
    aps = []
    for c in np.flatnonzero(counts):
        own = slice(bounds[c], bounds[c + 1])
        weighted = np.arange(1, bounds[c + 1] - bounds[c] + 1) / counts[c] * average
        precision = weighted / (weighted + false[own])
        aps.append(np.maximum.accumulate(precision[::-1]).sum() / counts[c])
    return float(np.mean(aps)) if aps else float("nan")


def _hits(diagnosis: Diagnosis) -> tuple[IntArray, IntArray, IntArray]:
    """Return row of the instance, class, and number of false positives in front of every true positive, as ranked."""
    row, label = diagnosis.ranked
    partner = diagnosis.match[row]
    hit = np.flatnonzero(partner >= 0)
    false = np.append(0, np.cumsum(partner < 0))
    return partner[hit], label[hit], false[hit] - false[np.searchsorted(label, label[hit])]


def missed_share(diagnosis: Diagnosis, buckets: str | None = None) -> pd.DataFrame:
    """Return which instances are missed: DETAD's false-negative profile.

    Returns:
        One row per bucket with instances; columns characteristic, bucket, range, instances, missed (number), share.
    """
    import pandas as pd

    truth = diagnosis.ground_truth
    missed = ~np.isin(truth.row, diagnosis.match)
    rows = []
    for characteristic, (bucket, names, ranges) in _bucketed(truth, buckets).items():
        for i in np.unique(bucket[bucket >= 0]):
            chosen = bucket == i
            number = int(missed[chosen].sum())
            rows.append((characteristic, names[i], ranges[i], int(chosen.sum()), number, number / int(chosen.sum())))
    return pd.DataFrame(rows, columns=["characteristic", "bucket", "range", "instances", "missed", "share"])
