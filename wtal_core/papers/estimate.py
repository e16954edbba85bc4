"""How long the trainings of a table will take, from a recorded run of it or a few steps that are timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from wtal_core.data.dataset import Dataset
from wtal_core.data.features.store import videos_with_features
from wtal_core.devices import choose_device, device_name
from wtal_core.errors import WtalError, counted
from wtal_core.methods import create_method
from wtal_core.papers.reproduction import RowPlan
from wtal_core.progress import progress_bar
from wtal_core.runs.folder import Run
from wtal_core.training.benchmark import time_method

__all__ = ["Estimate", "estimate_training", "recorded_pace"]

_TIMED_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """How long the trainings that are left will take.

    Args:
        seconds: of training; inference and evaluation come on top.
        device: where, by the name people know.
        basis: what the estimate is made of, the end of a sentence.
    """

    seconds: float
    device: str
    basis: str


def recorded_pace(run: Run) -> dict[str, float]:
    """Return `{stage: seconds a step}` of a run's last sitting; {} where fewer than two lines tell it."""
    first: dict[str, tuple[int, float]] = {}
    last: dict[str, tuple[int, float]] = {}
    for line in run.metrics():
        if line.get("kind") != "losses" or not {"stage", "step", "seconds"} <= set(line):
            continue
        stage, at = str(line["stage"]), (line["step"], line["seconds"])
        if stage not in last or at[1] <= last[stage][1]:  # the clock starts anew with every sitting
            first[stage] = at
        last[stage] = at
    return {
        stage: (last[stage][1] - first[stage][1]) / (last[stage][0] - first[stage][0])
        for stage in last
        if last[stage][0] > first[stage][0]
    }


def estimate_training(
    plans: Sequence[RowPlan],
    dataset: Dataset,
    *,
    features: str | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> Estimate | None:
    """Estimate how long the trainings that are left will take; None where nothing is left or nothing can be timed.

    A row's pace is that of a run of it that was recorded on the same device, else that of another row's; without any
    run, a few steps of the last row to do are timed on random features as long as the training videos.

    Raises:
        UsageError: there is no such device.
    """
    where = choose_device(device)
    name = device_name(where)
    open_rows = [plan for plan in plans if any(sum(left.values()) for left in plan.left())]
    if not open_rows:
        return None
    recorded: dict[str, tuple[str, dict[str, float]]] = {}
    for plan in plans:
        for run in plan.found:
            if run is not None and run.status().get("device") == name and (pace := recorded_pace(run)):
                recorded[plan.row.name] = (run.name, pace)
    if recorded:
        other = next(iter(recorded.values()))
        used = {plan.row.name: recorded.get(plan.row.name, other) for plan in open_rows}
        runs = sorted({run for run, _ in used.values()})
        paces = {row: pace for row, (_, pace) in used.items()}
        basis = f"at the pace recorded in {', '.join(runs[:3])}" + (", ..." if len(runs) > 3 else "")
    else:
        plan = open_rows[-1]
        try:
            with progress_bar(f"timing {_TIMED_STEPS} steps", len(plan.stages), quiet=quiet) as advance:
                pace = _timed_pace(plan, dataset, features, str(where))
                advance(len(plan.stages))
        except WtalError:  # what hinders it is said with the row
            return None
        paces = {open_plan.row.name: pace for open_plan in open_rows}
        steps = counted(_TIMED_STEPS, "step")
        basis = f"{steps} of row {plan.row.name!r} timed on random features, and every row taken to be like it"
    seconds = sum(_seconds(left, paces[plan.row.name]) for plan in open_rows for left in plan.left())
    return Estimate(seconds, name, basis)


def _seconds(left: Mapping[str, int], pace: Mapping[str, float]) -> float:
    slowest = max(pace.values())  # for a stage that no run has come to
    return sum(steps * pace.get(stage, slowest) for stage, steps in left.items())


def _timed_pace(plan: RowPlan, dataset: Dataset, features: str | None, device: str) -> dict[str, float]:
    """Return `{stage: seconds a step}` of a row's method on random features of the training videos' lengths."""
    run = plan.runs[0]
    with dataset.store(features) as store:
        method = create_method(
            run.method, classes=dataset.classes, feature_dim=store.dim, preset=run.preset, **dict(run.set)
        )
        view = method.read_features(method.config, store, training=True)
        lengths = [view.shape(video)[-2] for video in videos_with_features(store, dataset.videos("train"))]
    times = time_method(method, lengths=lengths, device=device, repeats=_TIMED_STEPS)
    return {time.stage: median(time.wall) for time in times}
