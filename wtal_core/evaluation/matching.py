"""Which detection is matched to which ground-truth instance, at every tIoU threshold at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import DataError, UsageError, shortened
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.protocols import EvaluationProtocol
from wtal_core.intervals import temporal_iou
from wtal_core.records import Detections
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DROPPED", "UNMATCHED", "Matching", "match", "serial_choice"]


#: Values in the `match@...` columns of the match table, beside the row number of the partner.
UNMATCHED = -1
DROPPED = -2


def serial_choice(agent: IntArray, item: IntArray) -> IntArray:
    """Let agents pick one item each, one agent after the other, and return the pairs that come about.

    This is greedy matching: agent 0 takes its favourite item, agent 1 its favourite of those left, and so on. It is
    computed for all agents at once as deferred acceptance: everyone asks for its favourite, an item keeps the first
    agent that asked, the others ask for their next choice. Since all items rank the agents alike, the outcome is that
    of the serial process (there is only one stable matching), but it takes as many rounds as the longest chain of
    displacements, not as many as there are agents.

    Args:
        agent: `(P,)` non-decreasing; a lower number picks earlier.
        item: `(P,)` the items >= 0 an agent may have, favourite first.

    Returns:
        Ascending indices into the P pairs, at most one per agent and per item.
    """
    if not agent.size:
        return np.zeros(0, dtype=np.int64)
    first = np.flatnonzero(np.diff(agent, prepend=agent[0] - 1))
    stop = np.append(first[1:], agent.size)
    asking = np.arange(first.size)  # agents without an item and with choices left
    choice = first.copy()  # the pair each agent has come to
    nobody = first.size
    holder = np.full(int(item.max()) + 1, nobody, dtype=np.int64)
    while asking.size:
        wanted = item[choice[asking]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, asking)
        after = holder[wanted]
        displaced = np.unique(before[(before != after) & (before != nobody)])
        asking = np.concatenate([asking[after != asking], displaced])
        choice[asking] += 1
        asking = asking[choice[asking] < stop[asking]]
    return np.sort(choice[holder[holder != nobody]])


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
        pair_position, pair_instance, pair_tiou: `(P,)` all overlapping pairs of one class, ascending in position.
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
    pair_position: IntArray
    pair_instance: IntArray
    pair_tiou: FloatArray
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

        truth = self.ground_truth
        rows = np.sort(np.concatenate([self.row, self.removed]))
        n, total = rows.size, rows.size + truth.row.size
        place = np.searchsorted(rows, self.row)  # (N,) table line of each position
        line = n + np.arange(truth.row.size)  # (G,) table line of each instance

        matched = np.full((len(self.tiou), total), UNMATCHED, dtype=np.int64)
        matched[:, np.searchsorted(rows, self.removed)] = DROPPED
        matched[:, place[self.ambiguous]] = DROPPED
        matched[self.hit_tiou, place[self.hit_position]] = truth.row[self.hit_instance]
        matched[self.hit_tiou, line[self.hit_instance]] = self.row[self.hit_position]

        best, best_tiou = np.full(total, UNMATCHED, dtype=np.int64), np.zeros(total)
        if self.pair_tiou.size:
            by_instance = np.argsort(self.pair_instance, kind="stable")
            # Partners are compared by position and by annotation order, so that ties go as in the matching.
            for owner, partner, tiou, lines, partner_rows in (
                (self.pair_position, self.pair_instance, self.pair_tiou, place, truth.row),
                (
                    self.pair_instance[by_instance],
                    self.pair_position[by_instance],
                    self.pair_tiou[by_instance],
                    line,
                    self.row,
                ),
            ):
                first = np.flatnonzero(np.diff(owner, prepend=owner[0] - 1))
                highest = np.maximum.reduceat(tiou, first)
                is_highest = tiou == np.repeat(highest, np.diff(first, append=owner.size))
                chosen = np.minimum.reduceat(np.where(is_highest, partner, np.iinfo(np.int64).max), first)
                best[lines[owner[first]]] = partner_rows[chosen]
                best_tiou[lines[owner[first]]] = highest

        instances = truth.segments
        kinds = np.repeat(np.array([0, 1], dtype=np.int8), [n, total - n])
        columns: dict[str, Any] = {
            "kind": pd.Categorical.from_codes(kinds, categories=pd.Index(["detection", "instance"])),
            "row": np.concatenate([rows, truth.row]),
            "video": _object(np.concatenate([detections.video[rows], instances.video])),
            "label": _object(np.concatenate([detections.label[rows], instances.label])),
            "start": np.concatenate([detections.start[rows], instances.start]),
            "end": np.concatenate([detections.end[rows], instances.end]),
            "score": np.concatenate([detections.score[rows], np.full(total - n, np.nan)]),
            "best": best,
            "best_tiou": best_tiou,
        }
        for i, threshold in enumerate(self.tiou):
            columns[f"match@{threshold:g}"] = matched[i]
        return pd.DataFrame(columns, copy=False)


def _object(names: npt.NDArray[np.object_]) -> pd.Series[Any]:
    """Return a column of names that pandas takes as it is, without looking at every element."""
    import pandas as pd

    return pd.Series(names, dtype=object, copy=False)


def match(
    detections: Detections,
    ground_truth: GroundTruthIndex,
    protocol: EvaluationProtocol,
    tiou: tuple[float, ...],
    grid: SnippetGrid | None = None,
) -> Matching:
    """Match detections to ground truth at every tIoU threshold.

    Args:
        grid: the snippet grid to round to where the protocol rounds (default: the protocol's preset).

    Raises:
        DataError: a detection has a label that is no class of the annotations, or the annotations know none of the
            detections' videos.
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
    known = ground_truth.annotations.videos
    if names and not any(name in known for name in names):
        raise _no_common_video(names, tuple(dict.fromkeys([*ground_truth.videos, *known])))  # evaluated ones first
    video = ground_truth.video_numbers(names)[codes]
    label_codes, labels = detections.label_codes
    label = ground_truth.class_numbers(labels)[label_codes]

    inside = np.flatnonzero(video >= 0)
    num_outside = len(detections) - inside.size
    rounding = None
    if protocol.grid is not None:
        rounding = grid if grid is not None else SnippetGrid.preset(protocol.grid, num_snippets=0)
    truth = ground_truth.prepared(rounding)
    start, end = detections.start, detections.end
    if rounding is not None:
        start = rounding.nearest_boundary(start).astype(np.float64)
        end = rounding.nearest_boundary(end).astype(np.float64)
    num_flat = (
        (int(np.count_nonzero(end[inside] <= start[inside])), int(np.count_nonzero(truth.end <= truth.start)))
        if rounding is not None
        else (0, 0)
    )

    removed = np.zeros(0, dtype=np.int64)
    if protocol.ambiguous == "overlaps removed first":
        touched = truth.ambiguous.touched(video[inside], start[inside], end[inside])
        removed, inside = inside[touched], inside[~touched]

    order = np.lexsort((codes[inside], -detections.score[inside], label[inside]))
    row = inside[order]
    video, label, start, end = video[row], label[row], start[row], end[row]
    ambiguous = np.zeros(row.size, dtype=np.bool_)
    if protocol.ambiguous == "unmatched overlaps dropped":
        ambiguous = truth.ambiguous.touched(video, start, end)

    position, instance = truth.instances.pairs(video * len(ground_truth.classes) + label, start, end)
    overlap = temporal_iou(
        start[position], end[position], truth.start[instance], truth.end[instance], protocol.denominator
    )
    hit_tiou, pair = _choose(position, instance, overlap, protocol, np.asarray(tiou))
    by_position = np.lexsort((position[pair], hit_tiou))
    hit_tiou, pair = hit_tiou[by_position], pair[by_position]
    return Matching(
        protocol=protocol,
        tiou=tiou,
        ground_truth=ground_truth,
        row=row,
        video=video,
        label=label,
        ambiguous=ambiguous,
        hit_tiou=hit_tiou,
        hit_position=position[pair],
        hit_instance=instance[pair],
        pair_position=position,
        pair_instance=instance,
        pair_tiou=overlap,
        removed=removed,
        num_outside=num_outside,
        num_flat=num_flat,
    )


def _no_common_video(found: Sequence[str], annotated: Sequence[str]) -> DataError:
    """Return the error for detections of other videos than the annotated ones, naming a prefix that explains it."""
    step = "Use the same video ids in both files"
    prefix = "v_"  # ActivityNet's file names have it, its own JSON has not; tools keep either
    for one, other, file in ((found, annotated, "detections"), (annotated, found, "annotations")):
        if {name.removeprefix(prefix) for name in one} & set(other):
            step = f"Take the prefix off the {file}: strip_prefix={prefix!r} of 'wtal data convert' does it"
    return DataError(
        "none of these videos is annotated",
        expected=f"ids such as {shortened(annotated[0])!r}",
        got=f"ids such as {shortened(found[0])!r}",
        where="detections",
        next_step=step,
    )


def _choose(
    position: IntArray, instance: IntArray, overlap: FloatArray, protocol: EvaluationProtocol, tiou: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return `(threshold index, pair index)` of every match."""
    able = overlap > tiou.min() if protocol.strict else overlap >= tiou.min()
    pair = np.flatnonzero(able)
    agent, item = position[pair], instance[pair]
    if protocol.chooser == "instances":
        agent, item = item, agent
    keys = (item, agent) if protocol.preference == "table order" else (item, -overlap[pair], agent)
    pair = pair[np.lexsort(keys)]
    agent, item = position[pair], instance[pair]
    if protocol.chooser == "instances":
        agent, item = item, agent
    # Every threshold gets its own copy of agents and items: (S, P) -> flat list of the pairs that reach it.
    reached = overlap[pair] > tiou[:, None] if protocol.strict else overlap[pair] >= tiou[:, None]
    level, which = np.nonzero(reached)
    num_agents, num_items = (int(x.max(initial=-1)) + 1 for x in (agent, item))
    chosen = serial_choice(level * num_agents + agent[which], level * num_items + item[which])
    return level[chosen], pair[which[chosen]]
