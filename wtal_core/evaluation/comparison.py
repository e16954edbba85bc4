"""Several sets of detections side by side: every protocol, every threshold, every class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np

from wtal_core.errors import UsageError, unknown_name
from wtal_core.evaluation.evaluator import evaluate, prepare
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.protocols import TIOU_PRESETS, get_protocol, parse_tiou
from wtal_core.records import Annotations, Detections, Evaluation
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "averages", "compare_detections", "in_percent", "mean_and_deviation"]


def averages(mean_ap: Mapping[float, float]) -> dict[str, float]:
    """Return the average mAP over every preset whose thresholds are all there; "all" where all of them are no preset.

    Args:
        mean_ap: `{tIoU: mAP}`.
    """
    known = {round(t, 6): value for t, value in mean_ap.items()}
    found = {
        name: fmean(known[t] for t in preset) for name, preset in TIOU_PRESETS.items() if known.keys() >= set(preset)
    }
    if known and set(known) not in [set(preset) for preset in TIOU_PRESETS.values()]:
        found["all"] = fmean(known.values())
    return found


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation, which is None for one value: nothing is known of how others fall.

    Raises:
        UsageError: there is no value.
    """
    if not values:
        raise UsageError("there is nothing to take the mean of", next_step="Give at least one evaluation")
    return fmean(values), stdev(values) if len(values) > 1 else None


def in_percent(mean: float, std: float | None) -> str:
    """Return mean and standard deviation in [0, 1] as papers print them: "45.1 ± 7.2", "45.1 ± -" of a single run."""
    return f"{100 * mean:.1f} ± {'-' if std is None else f'{100 * std:.1f}'}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evaluations of several sets of detections on the same ground truth.

    Args:
        names: of the sets, in the order they came.
        protocols: names of the protocols.
        tiou: thresholds.
        evaluations: `{(name, protocol): Evaluation}` without match tables.
    """

    names: tuple[str, ...]
    protocols: tuple[str, ...]
    tiou: tuple[float, ...]
    evaluations: Mapping[tuple[str, str], Evaluation]

    def mean_ap(self, name: str, protocol: str) -> dict[float, float]:
        """Return `{tIoU: mAP}` in [0, 1] of one set."""
        return self._evaluation(name, protocol).mean_ap

    def averages(self, name: str, protocol: str) -> dict[str, float]:
        """Return `{range: average mAP}` of one set, as `averages`."""
        return averages(self.mean_ap(name, protocol))

    def ap(self, protocol: str, tiou: float | None = None) -> pd.DataFrame:
        """Return the AP of every class with instances (rows) and set (columns) at a threshold, or their mean."""
        import pandas as pd

        columns = {}
        for name in self.names:
            table = self._evaluation(name, protocol).ap
            if tiou is None:
                columns[name] = table.mean(axis=1)
            else:
                column = [c for c in table.columns if abs(float(c) - tiou) < 1e-9]
                if not column:
                    raise UsageError(
                        f"tIoU {tiou:g} was not evaluated",
                        expected="one of " + ", ".join(f"{t:g}" for t in self.tiou),
                        next_step=f"Choose one of these, or evaluate again with tiou={tiou:g} among the thresholds",
                    )
                columns[name] = table[column[0]]
        return pd.DataFrame(columns).dropna(how="all")

    def class_differences(self, first: str, second: str, protocol: str, tiou: float | None = None) -> pd.DataFrame:
        """Return AP of two sets and their difference, second minus first, per class, largest gain first."""
        table = self.ap(protocol, tiou)[[first, second]]
        table.columns = ["first", "second"]
        table = table.assign(difference=table["second"] - table["first"])
        return table.sort_values("difference", ascending=False, kind="stable")

    def over_seeds(
        self, names: Sequence[str], protocol: str
    ) -> tuple[dict[float, tuple[float, float | None]], tuple[float, float | None]]:
        """Return mean and standard deviation over several sets: `{tIoU: (mean, sd)}` of mAP, and of its average."""
        rows = [self.mean_ap(name, protocol) for name in names]
        per_level = {t: mean_and_deviation([row[t] for row in rows]) for t in self.tiou}
        return per_level, mean_and_deviation([float(np.mean(list(row.values()))) for row in rows])

    def _evaluation(self, name: str, protocol: str) -> Evaluation:
        if name not in self.names:
            raise unknown_name("set of detections", name, self.names)
        if protocol not in self.protocols:
            raise unknown_name("protocol of this comparison", protocol, self.protocols)
        return self.evaluations[name, protocol]


def compare_detections(
    tables: Mapping[str, Detections],
    annotations: Annotations | GroundTruthIndex,
    *,
    protocols: Sequence[str] = ("activitynet",),
    tiou: str | float | Sequence[float] = "0.1:0.7",
    subset: str | Sequence[str] | None = None,
    videos: Iterable[str] | None = None,
    only_subset_videos: bool = False,
    grid: SnippetGrid | None = None,
) -> Comparison:
    """Evaluate several sets of detections under several protocols.

    Args:
        tables: `{name: detections}`.
        annotations, tiou, subset, videos, only_subset_videos, grid: as in `evaluate`.
        protocols: names of protocols.

    Raises:
        UsageError: nothing to compare, unknown protocol; else as `evaluate`.
    """
    if not tables or not protocols:
        raise UsageError(
            "there is nothing to compare",
            expected="at least one set of detections and one protocol",
            next_step="Name a file of detections and a protocol",
        )
    rules, levels = [get_protocol(name) for name in dict.fromkeys(protocols)], parse_tiou(tiou)
    truth = prepare(annotations, subset, videos, only_subset_videos)
    return Comparison(
        names=tuple(tables),
        protocols=tuple(rule.name for rule in rules),
        tiou=levels,
        evaluations={
            (name, rule.name): evaluate(table, truth, protocol=rule, tiou=levels, matches=False, grid=grid)
            for name, table in tables.items()
            for rule in rules
        },
    )
