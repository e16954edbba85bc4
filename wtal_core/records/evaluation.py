"""What an evaluation says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wtal_core.errors import counted
from wtal_core.records.checks import check_names, check_type
from wtal_core.summary import Summarized, Summary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Summarized):
    """Scores of a set of detections under one named protocol, with the matches behind them.

    Args:
        protocol: name of the protocol ("activitynet", "thumos14", "wtalc").
        ap: average precision in [0, 1], a DataFrame of classes x tIoU (index: class, columns: tIoU).
        matches: one row per detection and ground-truth instance, see `wtal_core.evaluation`; None if not asked for.
        num_videos, num_instances, num_detections: how much was evaluated.
        notes: what the protocol dropped, rounded or ignored, one sentence each.

    Raises:
        DataError: a field is of the wrong type.
    """

    protocol: str
    ap: pd.DataFrame
    matches: pd.DataFrame | None = None
    num_videos: int = 0
    num_instances: int = 0
    num_detections: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        import pandas as pd

        where = "Evaluation"
        check_type(self.protocol, str, "protocol", "the name of a protocol", where)
        check_type(self.ap, pd.DataFrame, "ap", "a DataFrame of classes x tIoU", where)
        if self.matches is not None:
            check_type(self.matches, pd.DataFrame, "matches", "a DataFrame, or None", where)
        for name in ("num_videos", "num_instances", "num_detections"):
            check_type(getattr(self, name), int, name, "a whole number", where)
        object.__setattr__(self, "notes", check_names(self.notes, "notes", where))

    def _summary(self, rows: int) -> Summary:
        """Return the scores in short: the mean over classes, and the first classes."""
        levels = self.mean_ap
        amounts = [
            counted(self.num_videos, "video"),
            counted(self.num_instances, "instance"),
            counted(self.num_detections, "detection"),
        ]
        values = self.ap.to_numpy(dtype=np.float64)[: max(rows - 1, 0)]
        table = [("mean", *(f"{100 * v:.1f}" for v in (*levels.values(), self.average)))]
        for name, row in zip(self.ap.index, values, strict=False):
            table.append((str(name), *(f"{100 * v:.1f}" if v == v else "-" for v in (*row, row.mean()))))
        return Summary(
            f"Evaluation ({self.protocol}): average mAP {100 * self.average:.1f} %, {', '.join(amounts)}",
            facts=[("note", note) for note in self.notes],
            columns=("AP % at tIoU", *(f"{t:g}" for t in levels), "average"),
            rows=table,
            total=len(self.ap) + 1,
        )

    @property
    def tiou(self) -> tuple[float, ...]:
        """The tIoU thresholds."""
        return tuple(float(t) for t in self.ap.columns)

    @property
    def mean_ap(self) -> dict[float, float]:
        """`{tIoU: mAP}`, the mean over classes, in [0, 1]."""
        return {float(t): float(v) for t, v in self.ap.mean(axis=0).items()}  # type: ignore[arg-type]

    @property
    def average(self) -> float:
        """Mean of the mAPs over all tIoU."""
        return float(np.mean(list(self.mean_ap.values()))) if self.ap.size else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return protocol, mAP per tIoU, average and per-class AP as plain values (no match table)."""
        return {
            "protocol": self.protocol,
            "mean_ap": {f"{t:g}": v for t, v in self.mean_ap.items()},
            "average": self.average,
            "ap": {
                str(c): {f"{t:g}": float(v) for t, v in zip(self.tiou, row, strict=True)}
                for c, row in zip(self.ap.index, self.ap.to_numpy(), strict=True)
            },
            "num_videos": self.num_videos,
            "num_instances": self.num_instances,
            "num_detections": self.num_detections,
            "notes": list(self.notes),
        }
