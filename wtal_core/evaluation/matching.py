"""Which detection is matched to which ground-truth instance, at every tIoU threshold at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray, stable_argsort
from wtal_core.errors import UsageError
from wtal_core.evaluation.choice import Nearest, choose
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.protocols import EvaluationProtocol
from wtal_core.records import Detections
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DROPPED", "UNMATCHED", "Matching", "match", "ranked"]

#: Values in the `match@...` columns of the match table, beside the row number of the partner.
UNMATCHED = -1
DROPPED = -2


@dataclass(frozen=True, eq=False)
class Matching:
    """Detections in ranked order and what each tIoU threshold makes of them.

    Detections that count are sorted by class, then by the tie rule of `wtal_core.evaluation.protocols`; "position" is
    an index into that order. Matches are sparse: one entry per true positive.

    Args:
        protocol, tiou: what was asked for.
        ground_truth: the prepared annotations.
        row: `(N,)` row of each position in the detection table.
        video, label: `(N,)` indices into `ground_truth.videos` (beyond its end: a video that is not annotated) and
            `.classes`.
        ambiguous: `(N,)` whether a detection is dropped where it is not matched.
        hit_tiou, hit_position, hit_instance: `(H,)` index of the threshold, position and instance of every true
            positive, sorted by threshold and position.
        nearest: the nearest partner of every position and instance, matched or not; None where it was not asked for.
        removed: rows of the detection table that were removed before matching.
        num_outside: detections in videos that are not evaluated.
        num_flat: detections and instances that snippet rounding left without length.
    """

    protocol: EvaluationProtocol
    tiou: tuple[float, ...]
    ground_truth: GroundTruthIndex
    row: IntArray
    video: IntArray
    label: IntArray
    ambiguous: BoolArray
    hit_tiou: IntArray
    hit_position: IntArray
    hit_instance: IntArray
    nearest: Nearest | None
    removed: IntArray
    num_outside: int = 0
    num_flat: tuple[int, int] = (0, 0)

    @property
    def num_detections(self) -> int:
        """Number of detections in evaluated videos, removed ones included."""
        return int(self.row.size + self.removed.size)

    def table(self, detections: Detections) -> pd.DataFrame:
        """Return the match table: detections in table order, then instances in table order.

        Columns:
            kind: "detection" or "instance".
            row: row in the table of detections, or of the annotations' instances, that were passed in.
            video, label, start, end: as passed in (seconds, not rounded).
            score: of a detection; NaN for an instance.
            best: row of the partner (instance or detection) of the same video and class with the highest tIoU,
                whether matched or not; -1 where none shares time.
            best_tiou: its tIoU as the protocol computes it; 0 where none shares time.
            match@T, one per threshold: row of the matched partner; -1 (`UNMATCHED`) for a false positive or a missed
                instance; -2 (`DROPPED`) for a detection that the protocol does not count.
        """
        import pandas as pd

        truth, nearest = self.ground_truth, self.nearest
        if nearest is None:
            raise UsageError("the matching was made without nearest partners", next_step="Match with nearest=True")
        rows = np.sort(np.concatenate([self.row, self.removed]))
        n, total = rows.size, rows.size + truth.row.size
        line_of = np.empty(len(detections), dtype=np.int64)
        line_of[rows] = np.arange(n)
        place = line_of[self.row]  # (N,) table line of each position
        line = slice(n, None)  # of the instances

        matched = np.full((len(self.tiou), total), UNMATCHED, dtype=np.int32)
        matched[:, line_of[self.removed]] = DROPPED
        matched[:, place[self.ambiguous]] = DROPPED
        matched[self.hit_tiou, place[self.hit_position]] = truth.row[self.hit_instance]
        matched[self.hit_tiou, n + self.hit_instance] = self.row[self.hit_position]

        best, best_tiou = np.full(total, UNMATCHED, dtype=np.int64), np.zeros(total)
        near = np.flatnonzero(nearest.instance >= 0)
        best[place[near]] = truth.row[nearest.instance[near]]
        best_tiou[place] = nearest.instance_tiou
        near = np.flatnonzero(nearest.detection >= 0)
        best[n + near] = self.row[nearest.detection[near]]
        best_tiou[line] = nearest.detection_tiou

        def column(name: str, dtype: Any) -> Any:
            """Return a column of the detections with that of the instances below."""
            values = np.empty(total, dtype=dtype)
            np.take(getattr(detections, name), rows, out=values[:n], mode="clip")
            values[n:] = getattr(truth.segments, name) if name != "score" else np.nan
            return pd.Series(
                values, dtype=values.dtype, copy=False
            )  # pandas takes it as it is, without looking at every name

        kinds = np.repeat(np.array([0, 1], dtype=np.int8), [n, total - n])
        columns: dict[str, Any] = {
            "kind": pd.Categorical.from_codes(kinds, categories=pd.Index(["detection", "instance"])),
            "row": np.concatenate([rows, truth.row]),
            "video": column("video", object),
            "label": column("label", object),
            "start": column("start", np.float64),
            "end": column("end", np.float64),
            "score": column("score", np.float64),
            "best": best,
            "best_tiou": best_tiou,
        }
        for i, threshold in enumerate(self.tiou):
            columns[f"match@{threshold:g}"] = matched[i]
        return pd.DataFrame(columns, copy=False)


def match(
    detections: Detections,
    ground_truth: GroundTruthIndex,
    protocol: EvaluationProtocol,
    tiou: tuple[float, ...],
    grid: SnippetGrid | None = None,
    *,
    nearest: bool = False,
) -> Matching:
    """Match detections to ground truth at every tIoU threshold.

    Args:
        grid: the snippet grid to round to where the protocol rounds (default: the protocol's preset).
        nearest: whether to find the nearest partners too, which the match table needs.

    Raises:
        DataError: a detection has a label that is no class of the annotations.
    """
    if not isinstance(detections, Detections):
        raise UsageError(
            "these are no detections",
            expected="Detections",
            got=f"a {type(detections).__name__}",
            next_step="Read a file with read_detections(), take a table with Detections.from_dataframe()",
        )
    if grid is not None and not isinstance(grid, SnippetGrid):
        raise UsageError(
            "the snippet grid to round to is none",
            expected="a SnippetGrid",
            got=repr(grid),
            next_step="Make one: SnippetGrid.preset(name, num_snippets=0)",
        )
    codes, names = detections.video_codes
    video = ground_truth.video_numbers(names)[codes]
    label_codes, labels = detections.label_codes
    label = ground_truth.class_numbers(labels)[label_codes]

    row = ranked(np.flatnonzero(video >= 0), label, detections.score, codes)
    num_outside = len(detections) - row.size
    rounding = None
    if protocol.grid is not None:
        rounding = grid if grid is not None else SnippetGrid.preset(protocol.grid, num_snippets=0)
    truth = ground_truth.prepared(rounding)
    video, label, start, end = video[row], label[row], detections.start[row], detections.end[row]
    num_flat = (0, 0)
    if rounding is not None:
        start = rounding.nearest_boundary(start).astype(np.float64)
        end = rounding.nearest_boundary(end).astype(np.float64)
        num_flat = (int(np.count_nonzero(end <= start)), int(np.count_nonzero(truth.end <= truth.start)))

    group = video * len(ground_truth.classes) + label
    by_group = stable_argsort(group)
    removed, ambiguous = np.zeros(0, dtype=np.int64), np.zeros(row.size, dtype=np.bool_)
    if protocol.ambiguous != "not considered":
        ambiguous[by_group] = truth.ambiguous.touched(video[by_group], start[by_group], end[by_group])
    if protocol.ambiguous == "overlaps removed first":
        removed, kept = row[ambiguous], np.flatnonzero(~ambiguous)
        by_group = (np.cumsum(~ambiguous) - 1)[by_group[~ambiguous[by_group]]]
        row, video, label, group = row[kept], video[kept], label[kept], group[kept]
        start, end = start[kept], end[kept]
        ambiguous = np.zeros(row.size, dtype=np.bool_)

    near = Nearest.unknown(row.size, truth.start.size) if nearest else None
    hits = choose(by_group, group, start, end, truth.instances, protocol, np.asarray(tiou), near)
    in_order = stable_argsort(hits.level * (row.size + 1) + hits.detection)
    return Matching(
        protocol=protocol,
        tiou=tiou,
        ground_truth=ground_truth,
        row=row,
        video=video,
        label=label,
        ambiguous=ambiguous,
        hit_tiou=hits.level[in_order],
        hit_position=hits.detection[in_order],
        hit_instance=hits.instance[in_order],
        nearest=near,
        removed=removed,
        num_outside=num_outside,
        num_flat=num_flat,
    )


def ranked(rows: IntArray, label: IntArray, score: FloatArray, video: IntArray) -> IntArray:
    """Return rows sorted by class, then by score descending, then by video, then as they came."""
    falling = -score[rows]
    order = np.argsort(falling)
    if (np.diff(falling[order]) == 0).any():
        by_video = stable_argsort(video[rows])
        order = by_video[np.argsort(falling[by_video], kind="stable")]
    rows = rows[order]
    return rows[stable_argsort(label[rows])]
