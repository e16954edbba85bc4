"""Looking things up in a match table: outcomes, and all pairs of detections and instances that share time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wtal_core import intervals
from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.evaluation.matching import DROPPED, UNMATCHED
from wtal_core.intervals import IntervalIndex, temporal_iou
from wtal_core.records import Detections, Segments

if TYPE_CHECKING:
    import pandas as pd

    from wtal_core.records import Evaluation

__all__ = ["MatchTable", "OverlapPairs", "overlap_parts", "overlapping_pairs", "union"]


@dataclass(frozen=True, eq=False, slots=True)
class OverlapPairs:
    """All pairs of a detection and an instance of one video that share time, columnar, ascending in the detection.

    Args:
        detection, instance: `(P,)` rows of the two tables.
        tiou: `(P,)` temporal intersection over union, in (0, 1].
        shared: `(P,)` seconds they have in common, > 0.
        same_label: `(P,)` bool.
    """

    detection: IntArray
    instance: IntArray
    tiou: FloatArray
    shared: FloatArray
    same_label: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.detection.size)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the columns as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in self.__slots__})


def overlapping_pairs(
    detections: Detections | Segments, instances: Detections | Segments, *, same_label: bool = False
) -> OverlapPairs:
    """Return every pair of a detection and an instance that share time, across classes.

    This is what error kinds are read from: a detection on an instance of another class (wrong class), over several
    instances (merged), several detections on one instance (split, double), or without any pair (background).

    Args:
        detections, instances: tables in seconds; `instances` may be any intervals (contexts, phases, Ambiguous).
        same_label: only pairs of equal labels.
    """
    parts = list(overlap_parts(detections, instances, same_label=same_label))
    return OverlapPairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in OverlapPairs.__slots__))


def overlap_parts(
    detections: Detections | Segments, instances: Detections | Segments, *, same_label: bool = False
) -> Iterator[OverlapPairs]:
    """Yield the pairs of `overlapping_pairs` in parts of bounded size, one at least."""
    videos = {name: i for i, name in enumerate(instances.video_codes[1])}
    labels = {name: i for i, name in enumerate(instances.label_codes[1])}

    def translated(codes: tuple[IntArray, tuple[str, ...]], known: dict[str, int]) -> IntArray:
        return np.fromiter((known.get(name, -1) for name in codes[1]), np.int64, len(codes[1]))[codes[0]]

    video, label = translated(detections.video_codes, videos), translated(detections.label_codes, labels)
    instance_video, instance_label = instances.video_codes[0], instances.label_codes[0]
    if same_label:
        outside = (video < 0) | (label < 0)
        group = np.where(outside, -1, video * len(labels) + label)
        index = IntervalIndex(instance_video * len(labels) + instance_label, instances.start, instances.end)
    else:
        group, index = video, IntervalIndex(instance_video, instances.start, instances.end)
    windows = index.windows(group, detections.start, detections.end)
    for part in windows.parts() if windows.query.size else (windows,):
        d, place = index.sharing(part, detections.start, detections.end)
        g = index.row[place]
        in_order = np.lexsort((g, d))
        d, g = d[in_order], g[in_order]
        times = (detections.start[d], detections.end[d], instances.start[g], instances.end[g])
        yield OverlapPairs(
            detection=d,
            instance=g,
            tiou=temporal_iou(*times),
            shared=np.minimum(times[1], times[3]) - np.maximum(times[0], times[2]),
            same_label=label[d] == instance_label[g],
        )


def union(segments: Segments | Detections) -> Segments:
    """Return the segments with overlapping ones of one video and label joined (touching ones stay apart)."""
    group = segments.video_codes[0] * len(segments.label_codes[1]) + segments.label_codes[0]
    row, start, end = intervals.union(group, segments.start, segments.end)
    return Segments(segments.video[row], segments.label[row], start, end)


class MatchTable:
    """An evaluation's match table, split into its two halves.

    Args:
        evaluation: an `Evaluation` made with `matches=True`.

    Attributes:
        detections, instances: the rows of each kind, indexed by their row in the table that was evaluated. Columns as
            in `Matching.table`, and `match@T` per threshold.
        tiou: the thresholds.

    Raises:
        UsageError: the evaluation holds no match table.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        table = evaluation.matches
        if table is None:
            raise UsageError("the evaluation has no match table", next_step="Evaluate with matches=True")
        kind = table["kind"] == "detection"
        self.tiou = evaluation.tiou
        self.detections = table[kind].drop(columns="kind").set_index("row")
        self.instances = table[~kind].drop(columns=["kind", "score"]).set_index("row")

    def column(self, tiou: float) -> str:
        """Return the name of the match column of a threshold.

        Raises:
            UsageError: it was not evaluated.
        """
        if f"{tiou:g}" not in {f"{t:g}" for t in self.tiou}:
            raise UsageError(
                f"tIoU {tiou:g} was not evaluated",
                expected="one of " + ", ".join(f"{t:g}" for t in self.tiou),
                next_step=f"Choose one of these, or evaluate again with {tiou:g} among the thresholds",
            )
        return f"match@{tiou:g}"

    def outcome(self, tiou: float) -> pd.Series[Any]:
        """Return "tp", "fp" or "dropped" for every detection at a threshold."""
        return self._worded(self.detections, tiou, "tp", "fp")

    def found(self, tiou: float) -> pd.Series[Any]:
        """Return "detected" or "missed" for every instance at a threshold."""
        return self._worded(self.instances, tiou, "detected", "missed")

    def _worded(self, half: pd.DataFrame, tiou: float, matched: str, unmatched: str) -> pd.Series[Any]:
        import pandas as pd

        partner = half[self.column(tiou)].to_numpy()
        words = np.select([partner == UNMATCHED, partner == DROPPED], [unmatched, "dropped"], matched)
        return pd.Series(words.astype(object), index=half.index, name=f"outcome@{tiou:g}", dtype=object)
