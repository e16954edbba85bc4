"""What an evaluation says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a set of detections under one named protocol, with the matches behind them.

    Args:
        protocol: name of the protocol ("activitynet", "thumos14", "wtalc").
        ap: average precision in [0, 1], a DataFrame of classes x tIoU (index: class, columns: tIoU).
        matches: one row per detection and ground-truth instance, see `wtal_core.evaluation`; None if not asked for.
        num_videos, num_instances, num_detections: how much was evaluated.
        notes: what the protocol dropped, rounded or ignored, one sentence each.
    """

    protocol: str
    ap: pd.DataFrame
    matches: pd.DataFrame | None = None
    num_videos: int = 0
    num_instances: int = 0
    num_detections: int = 0
    notes: tuple[str, ...] = ()

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
