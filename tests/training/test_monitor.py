"""Reading what a training measures while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core import settings
from wtal_core.methods import create_method
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.monitor import Metrics, read_metrics
from wtal_core.training.planted import CLASSES


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = settings.to_dict(create_method("cmcs", classes=CLASSES, feature_dim=32).config)
    return Run.create(tmp_path / "run", RunInfo("cmcs", "thumos14", config, CLASSES, 32))


def losses(run: Run, stage: int, step: int, seconds: float, **terms: float) -> None:
    run.log(kind="losses", stage=f"s{stage}", stage_index=stage, step=step, losses=terms, lr=1e-3, seconds=seconds,
            eta_seconds=9.0, gpu_memory_bytes=2**30)  # fmt: skip


def test_stages_are_joined_and_speed_is_that_of_the_last_sitting(run: Run) -> None:
    for step in (1, 10, 20):
        losses(run, 0, step, step / 10, total=3.0 - step / 20, mil=1.0)
    for step, seconds in ((1, 0.5), (11, 1.0), (21, 1.5)):  # resumed: the clock starts again
        losses(run, 1, step, seconds, total=1.0, head=0.5)
    run.log(kind="validation", stage="s1", stage_index=1, step=10, metrics={"mAP@0.5": 0.2, "score": 0.3})
    seen = read_metrics(run)
    assert seen.stages == (("s0", 0), ("s1", 20))
    assert list(seen.losses) == ["total", "mil", "head"]
    assert seen.losses["total"].step.tolist() == [1, 10, 20, 21, 31, 41]
    assert seen.losses["head"].step.tolist() == [21, 31, 41]
    assert list(seen.validation) == ["score", "mAP@0.5"]
    assert seen.validation["score"].step.tolist() == [30]
    assert seen.steps_per_second == pytest.approx(20)
    assert seen.gpu_memory_bytes == 2**30
    assert seen.learning_rate == 1e-3
    np.testing.assert_allclose(seen.losses["total"].smoothed(2)[:3], [2.95, 2.725, 2.25])


def test_nonsense_in_the_file_is_left_out(run: Run) -> None:
    lines: list[Any] = [
        1, [], {"kind": "losses"}, {"kind": "losses", "losses": 3}, {"kind": "validation", "metrics": None},
        {"kind": "losses", "losses": {"total": None, "mil": "x", "div": 0.5}, "step": "two", "stage_index": []},
    ]  # fmt: skip
    (run.folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "los')
    seen = read_metrics(run)
    assert seen.losses["div"].value.tolist() == [0.5]
    assert "total" not in seen.losses


def test_a_run_that_has_measured_nothing_is_read_too(run: Run) -> None:
    assert read_metrics(run) == Metrics()


def test_a_line_that_a_power_cut_left_garbled_hides_no_other(run: Run) -> None:
    losses(run, 0, 1, 0.1, total=1.0)
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b"\0\xff\xfe\n")
    losses(run, 0, 2, 0.2, total=0.5)
    assert read_metrics(run).losses["total"].value.tolist() == [1.0, 0.5]
