"""What a training says while it runs: state, losses under their papers' names, validation, time left, memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import FloatArray
from wtal_core.errors import WtalError
from wtal_core.runs.folder import Run
from wtal_core.snippet_grid import finite_or_none, is_finite_number

__all__ = ["Curve", "Watch", "watch"]


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
class Watch:
    """A training as one looks at it.

    Args:
        state: state of `status.json`; "unknown" where that cannot be read.
        step, steps: optimiser steps done and in all, all stages together.
        stage: name of the current stage.
        stages: `(name, first step)` of each stage that has begun.
        eta_seconds: expected time that is left.
        steps_per_second: since the last start.
        device: its name.
        gpu_memory_bytes: most memory taken on a GPU so far.
        learning_rate: of the last step.
        losses: term -> curve, "total" first.
        validation: metric -> curve, "score" (the average mAP) first.
        best: step and score of the best checkpoint.
        message: what went wrong, "" where nothing did.
    """

    state: str
    step: int = 0
    steps: int = 0
    stage: str = ""
    stages: tuple[tuple[str, int], ...] = ()
    eta_seconds: float | None = None
    steps_per_second: float | None = None
    device: str = ""
    gpu_memory_bytes: int | None = None
    learning_rate: float | None = None
    losses: Mapping[str, Curve] = field(default_factory=dict)
    validation: Mapping[str, Curve] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @property
    def fraction(self) -> float:
        """Share of the steps that is done, in [0, 1]."""
        return min(max(self.step / self.steps, 0.0), 1.0) if self.steps else 0.0


def watch(folder: str | os.PathLike[str]) -> Watch:
    """Read what the training in a run folder has said so far; damaged files are said in `message`."""
    path = Path(folder)
    try:
        run = Run.open(path)
        status = run.status()
        lines = run.metrics()
    except (WtalError, OSError) as error:
        return Watch("unknown", message=str(error))
    losses = [m for m in lines if m.get("kind") == "losses" and isinstance(m.get("losses"), dict)]
    checks = [m for m in lines if m.get("kind") == "validation" and isinstance(m.get("metrics"), dict)]
    begins, stages = _stage_begins(losses)
    last = losses[-1] if losses else {}
    best = status.get("best")
    return Watch(
        state=str(status["state"]),
        step=_whole(status.get("step")),
        steps=_whole(status.get("steps")),
        stage=str(status.get("stage") or ""),
        stages=stages,
        eta_seconds=finite_or_none(status.get("eta_seconds")),
        steps_per_second=_speed(losses, begins),
        device=str(status.get("device") or ""),
        gpu_memory_bytes=_whole(last.get("gpu_memory_bytes")) or None,
        learning_rate=finite_or_none(last.get("lr")),
        losses=_curves(losses, "losses", begins, "total"),
        validation=_curves(checks, "metrics", begins, "score"),
        best=best if isinstance(best, dict) else {},
        message=str(status.get("message") or ""),
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
