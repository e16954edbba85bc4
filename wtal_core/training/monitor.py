"""What a training measures while it runs: losses under their papers' names, validation, speed, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wtal_core.arrays import FloatArray
from wtal_core.runs.folder import Run
from wtal_core.snippet_grid import finite_or_none, is_finite_number

__all__ = ["Curve", "Metrics", "read_metrics"]


@dataclass(frozen=True, eq=False)
class Curve:
    """One number over the steps of all stages: `step (N,)` and `value (N,)`."""

    step: FloatArray
    value: FloatArray

    def smoothed(self, window: int) -> FloatArray:
        """Return the running mean over up to `window` values before and at each step."""
        window = max(1, min(window, self.value.size))
        sums = np.concatenate([[0.0], np.cumsum(self.value)])
        last = np.arange(1, self.value.size + 1)
        first = np.maximum(last - window, 0)
        return np.asarray((sums[last] - sums[first]) / (last - first))


@dataclass(frozen=True)
class Metrics:
    """What `metrics.jsonl` tells of a training; all steps are counted over all stages.

    Args:
        stages: `(name, first step)` of each stage that has begun.
        steps_per_second: since the last start, None where two lines do not tell it.
        gpu_memory_bytes: most memory taken on a GPU so far.
        learning_rate: of the last step.
        losses: term -> curve, "total" first.
        validation: metric -> curve, "score" (the average mAP) first.
    """

    stages: tuple[tuple[str, int], ...] = ()
    steps_per_second: float | None = None
    gpu_memory_bytes: int | None = None
    learning_rate: float | None = None
    losses: Mapping[str, Curve] = field(default_factory=dict)
    validation: Mapping[str, Curve] = field(default_factory=dict)


def read_metrics(run: Run) -> Metrics:
    """Read what a training has measured so far; damaged lines are left out.

    Raises:
        DataError: the file cannot be read.
    """
    lines = run.metrics()
    losses = [m for m in lines if m.get("kind") == "losses" and isinstance(m.get("losses"), dict)]
    checks = [m for m in lines if m.get("kind") == "validation" and isinstance(m.get("metrics"), dict)]
    begins, stages = _stage_begins(losses)
    last = losses[-1] if losses else {}
    return Metrics(
        stages=stages,
        steps_per_second=_speed(losses, begins),
        gpu_memory_bytes=_whole(last.get("gpu_memory_bytes")) or None,
        learning_rate=finite_or_none(last.get("lr")),
        losses=_curves(losses, "losses", begins, "total"),
        validation=_curves(checks, "metrics", begins, "score"),
    )


def _whole(value: Any) -> int:
    return int(finite_or_none(value) or 0)


def _stage_begins(lines: list[dict[str, Any]]) -> tuple[dict[int, int], tuple[tuple[str, int], ...]]:
    """Return the number of steps before each stage, and `(name, first step)` of each."""
    longest: dict[int, int] = {}
    names: dict[int, str] = {}
    for line in lines:
        stage = _whole(line.get("stage_index"))
        longest[stage] = max(longest.get(stage, 0), _whole(line.get("step")))
        names.setdefault(stage, str(line.get("stage") or ""))
    begins, before = {}, 0
    for stage in sorted(longest):
        begins[stage] = before
        before += longest[stage]
    return begins, tuple((names[stage], begins[stage]) for stage in sorted(begins))


def _global_step(line: Mapping[str, Any], begins: Mapping[int, int]) -> int:
    return begins.get(_whole(line.get("stage_index")), 0) + _whole(line.get("step"))


def _curves(lines: list[dict[str, Any]], key: str, begins: Mapping[int, int], first: str) -> dict[str, Curve]:
    """Return one curve for each name in the lines' `key`; the one called `first` leads."""
    points: dict[str, list[tuple[int, float]]] = {first: []}
    for line in lines:
        step = _global_step(line, begins)
        for name, value in line[key].items():
            if is_finite_number(value):
                points.setdefault(str(name), []).append((step, float(value)))
    arrays = {name: np.array(rows, dtype=np.float64) for name, rows in points.items() if rows}
    return {name: Curve(rows[:, 0], rows[:, 1]) for name, rows in arrays.items()}


def _speed(lines: list[dict[str, Any]], begins: Mapping[int, int]) -> float | None:
    """Return steps a second over the lines of the last sitting (its clock starts at 0 again)."""
    times = [(_global_step(m, begins), float(m["seconds"])) for m in lines if is_finite_number(m.get("seconds"))]
    first = len(times) - 1
    while first > 0 and times[first - 1][1] < times[first][1]:
        first -= 1
    if len(times) < 2 or times[-1][1] <= times[first][1]:
        return None
    return (times[-1][0] - times[first][0]) / (times[-1][1] - times[first][1])
