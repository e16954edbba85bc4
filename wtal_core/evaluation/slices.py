"""mAP on parts of a split: on the instances of one length, or on the videos that have something in common.

Two ways, because they answer different questions. Instances (length, coverage, how many there are): DETAD's mAP_N, in
which only the instances of a bucket count and all false positives stay (`sensitivity`). Videos (those with a tag):
plain mAP of the protocol on these videos alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from wtal_core.errors import UsageError, unknown_name
from wtal_core.evaluation.diagnosis import Diagnosis
from wtal_core.evaluation.evaluator import evaluate
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.protocols import EvaluationProtocol
from wtal_core.evaluation.sensitivity import sensitivity
from wtal_core.records import Detections

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHARACTERISTICS", "slice_by_instances", "slice_by_videos"]

#: What instances are told apart by, and what it means.
CHARACTERISTICS: dict[str, str] = {
    "length": "length of the instance in seconds",
    "coverage": "length of the instance over that of its video",
    "instances": "instances of the class in the video",
}


def slice_by_instances(
    diagnoses: Mapping[str, Diagnosis], characteristic: str, buckets: str | None = None
) -> pd.DataFrame:
    """Return mAP_N of several sets on the instances of every bucket.

    Args:
        diagnoses: `{name: diagnosis}` on the same ground truth.
        characteristic: one of `CHARACTERISTICS`.
        buckets: as in `sensitivity`.

    Returns:
        One row per bucket that has instances, the row "all" first; columns `slice`, `instances`, then one per set, in
        [0, 1].

    Raises:
        UsageError: unknown characteristic; no set.
    """
    if characteristic not in CHARACTERISTICS:
        raise unknown_name("characteristic", characteristic, CHARACTERISTICS)
    if not diagnoses:
        raise UsageError("there is nothing to slice", next_step="Name at least one set of detections")
    table: pd.DataFrame | None = None
    for name, diagnosis in diagnoses.items():
        rows = sensitivity(diagnosis, buckets)
        rows = rows[rows["characteristic"].isin(("all", characteristic))].reset_index(drop=True)
        if table is None:
            table = rows[["instances"]].copy()
            table.insert(0, "slice", rows["range"].where(rows["range"] != "", "all"))
        table[name] = rows["map_n"]
    assert table is not None
    return table


def slice_by_videos(
    tables: Mapping[str, Detections],
    truth: GroundTruthIndex,
    slices: Mapping[str, Collection[str]],
    *,
    protocol: str | EvaluationProtocol = "activitynet",
    tiou: float = 0.5,
) -> pd.DataFrame:
    """Return mAP of several sets on groups of videos. Classes without an instance in a group do not count there.

    Args:
        tables: `{name: detections}`.
        truth: the evaluated split.
        slices: `{name: videos}`; videos outside the split are left out, and so are groups without an instance.
        protocol, tiou: as in `evaluate`, at one threshold.

    Returns:
        One row per group, the row "all" first; columns `slice`, `videos`, `instances`, then one per set, in [0, 1].

    Raises:
        UsageError: no set; else as `evaluate`.
    """
    import pandas as pd

    if not tables:
        raise UsageError("there is nothing to slice", next_step="Name at least one set of detections")
    rows = []
    for name, wanted in {"all": truth.videos, **slices}.items():
        videos = [video for video in truth.videos if video in wanted]
        if not np.isin(truth.segments.video, videos).any():
            continue
        part = truth if name == "all" else GroundTruthIndex(truth.annotations, None, videos)
        scores = [
            float(evaluate(table, part, protocol=protocol, tiou=tiou, matches=False).average)
            for table in tables.values()
        ]
        rows.append((name, len(videos), len(part.segments), *scores))
    return pd.DataFrame(rows, columns=["slice", "videos", "instances", *tables])
