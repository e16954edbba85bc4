"""How long trainings take: from what was recorded on the same device, or from steps that are timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted_dataset import write_dataset
from wtal_core.data.dataset import Dataset
from wtal_core.methods import create_method
from wtal_core.papers import get_experiment
from wtal_core.papers.estimate import estimate_training, recorded_pace
from wtal_core.papers.reproduction import RowPlan, plan_rows
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.driver import create_run
from wtal_core.training.planted import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(num_train=8, num_test=3)


@pytest.fixture(scope="module")
def dataset(world: World, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(world, tmp_path_factory.mktemp("estimate"))


def plans(dataset: Dataset, out: Path, table: str = "hamnet-table-1", **changes: object) -> list[RowPlan]:
    rows = ("BCL", "BCL + SAL") if table == "hamnet-table-1" else ()
    small = {"training.steps": 100, "training.snippets": 20, "training.batch_size": 4}
    return plan_rows(get_experiment(table), dataset, out, rows=rows, seeds=(0, 1), changes={**small, **changes})


def recorded(plan: RowPlan, dataset: Dataset, *, pace: float, step: int, device: str) -> None:
    """Make the run folder that a training leaves after `step` steps, its second sitting from step 11 on."""
    with dataset.store() as store:
        run = create_run(plan.runs[0], dataset, store)
    for at in range(10, step + 1, 10):
        run.log(kind="losses", stage="train", step=at, losses={}, seconds=pace * (at if at <= 10 else at - 10) + 5)
        run.log(kind="validation", stage="train", step=at, metrics={})
    run.set_status("stopped", step=step, device=device)


def test_the_pace_is_that_of_recorded_runs(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtal_core.papers.estimate.device_name", lambda device: "CPU, 3 threads")
    bcl, sal = plans(dataset, tmp_path, attention_filters=8)
    recorded(bcl, dataset, pace=2.0, step=40, device="CPU, 3 threads")
    recorded(sal, dataset, pace=9.0, step=40, device="another machine's")
    found = estimate_training(plans(dataset, tmp_path, attention_filters=8), dataset, device="cpu")
    assert found is not None
    assert found.seconds == pytest.approx(2.0 * (60 + 100 + 60 + 100))
    assert (found.device, found.basis) == ("CPU, 3 threads", "at the pace recorded in bcl-seed0")
    Run.open(sal.runs[0].out).set_status("stopped", step=40, device="CPU, 3 threads")
    found = estimate_training(plans(dataset, tmp_path, attention_filters=8), dataset, device="cpu")
    assert found is not None
    assert found.seconds == pytest.approx(2.0 * 160 + 9.0 * 160)


def test_without_a_run_steps_of_every_stage_are_timed(dataset: Dataset, tmp_path: Path) -> None:
    two_stages = {"head_training.steps": 30, "hidden": 4, "anchors": [1, 2]}
    (plan, *_) = plans(dataset, tmp_path, "acn-table-3", **two_stages)
    assert plan.stages == {"head": 30, "regression": 100}
    found = estimate_training([plan], dataset, device="cpu", quiet=True)
    assert found is not None
    assert 0 < found.seconds < 2 * 130 * 5
    assert "3 steps" in found.basis
    assert not any(tmp_path.iterdir())


def test_a_pace_needs_two_lines(dataset: Dataset, tmp_path: Path) -> None:
    with dataset.store() as store:
        method = create_method("hamnet", classes=dataset.classes, feature_dim=store.dim)
        run = Run.create(tmp_path / "run", RunInfo.of(method, dataset, store))
    assert recorded_pace(run) == {}
    for step, seconds in ((1, 3.0), (10, 12.0), (20, 32.0), (30, 5.0), (40, 25.0)):
        run.log(kind="losses", stage="train", step=step, losses={}, seconds=seconds)
        if step == 1:
            assert recorded_pace(run) == {}
    assert recorded_pace(run) == {"train": 2.0}
