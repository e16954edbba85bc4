"""A run in one line: what it is, what its folder holds, and how it is, from its own files and its job."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.planted_dataset import write_dataset
from wtal_core import settings
from wtal_core.cli import main
from wtal_core.errors import DataError
from wtal_core.files import write_json
from wtal_core.jobs.job import Job
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.trainings import start_training
from wtal_core.methods import create_method
from wtal_core.processes import identity
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import CLASSES, make_world
from wtal_core.workspace import RunSummary, Workspace


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    write_dataset(make_world(num_train=4, num_test=2), tmp_path / "datasets" / "planted", "planted")
    return tmp_path


def new_run(home: Path, name: str, **status: Any) -> Run:
    config = settings.to_dict(create_method("hamnet", classes=CLASSES, feature_dim=32).config)
    dataset = {"name": "planted", "folder": str(home / "datasets" / "planted")}
    run = Run.create(home / "runs" / name, RunInfo("hamnet", "thumos14", config, CLASSES, 32, dataset=dataset))
    if status:
        write_json(run.folder / "status.json", {**identity(), "heartbeat": time.time(), **status})
    return run


def listed(home: Path) -> dict[str, RunSummary]:
    return {run.name: run for run in Workspace(home).trainings()}


def end(job: Job, code: int, when: float) -> None:
    write_json(job.folder / "process.json", {**identity(), "started": when - 1})
    write_json(job.folder / "exit.json", {"code": code, "ended": when})


def test_waiting_running_and_past_trainings_in_this_order(home: Path) -> None:
    new_run(home, "old", state="finished", step=9, steps=9, heartbeat=1.0)
    new_run(home, "recent", state="stopped", step=3, steps=9)
    new_run(home, "busy", state="running", step=4, steps=8)
    first = start_training(TrainRequest("cmcs", "d", "runs/a", device="cpu"), home=home, cwd=home)
    start_training(TrainRequest("cmcs", "datasets/planted", "runs/b", device="cpu"), home=home, cwd=home)
    found = listed(home)
    assert (found["a"].dataset, found["b"].dataset) == ("d", "planted")
    assert list(found) == ["busy", "a", "b", "recent", "old"]
    assert [run.state for run in found.values()] == ["running", "queued", "queued", "stopped", "finished"]
    assert found["busy"].fraction == 0.5
    assert (found["a"].id, found["a"].exists, found["a"].open) == ("runs/a", False, True)
    assert (found["a"].names, found["a"].job, found["a"].method) == (("runs/a", first.id), first, "cmcs")
    Queue(home).cancel(first)
    assert "a" not in listed(home)


def test_run_and_job_together_say_what_happened(home: Path) -> None:
    now = time.time()
    cases = [
        ({"state": "finished", "heartbeat": now - 9}, 0, "finished"),
        ({"state": "finished", "heartbeat": now - 9}, 1, "failed"),  # trained, but the evaluation failed
        ({"state": "stopped", "heartbeat": now - 9}, 0, "stopped"),
        ({"state": "created", "heartbeat": now - 9}, 1, "failed"),
        ({"state": "finished", "heartbeat": now + 60}, 1, "finished"),  # somebody resumed it by hand
    ]
    for i, (status, code, _) in enumerate(cases):
        job = start_training(TrainRequest("hamnet", "d", f"runs/r{i}", device="cpu"), home=home, cwd=home)
        new_run(home, f"r{i}", **status)
        (home / "runs" / f"r{i}" / "worker.log").write_text("error: no space left.\n")
        end(job, code, now)
    found = listed(home)
    assert [found[f"r{i}"].state for i in range(len(cases))] == [state for *_, state in cases]
    assert found["r1"].message == "error: no space left."
    assert all(len(run.names) == 2 for run in found.values())


def test_a_training_that_crashed_and_was_finished_by_hand_is_finished(home: Path) -> None:
    job = start_training(TrainRequest("hamnet", "d", "runs/r", device="cpu"), home=home, cwd=home)
    gone = {**identity(), "process_start": "before the crash"}
    write_json(job.folder / "process.json", {**gone, "started": time.time() - 60})
    new_run(home, "r", **gone, state="running", heartbeat=time.time() - 30)
    assert listed(home)["r"].state == "crashed"
    new_run_status = {"state": "finished", "heartbeat": time.time(), "step": 9, "steps": 9}
    write_json(home / "runs" / "r" / "status.json", {**identity(), **new_run_status})
    assert (listed(home)["r"].state, listed(home)["r"].message) == ("finished", "")


def test_a_job_that_failed_before_there_was_a_run_is_listed(home: Path) -> None:
    job = start_training(TrainRequest("hamnet", "d", "runs/x", device="cpu"), home=home, cwd=home)
    (home / "runs" / "x").mkdir(parents=True)
    (home / "runs" / "x" / "worker.log").write_text("error: d: does not exist.\n")
    end(job, 1, time.time())
    training = listed(home)["x"]
    assert (training.state, training.exists, training.message) == ("failed", False, "error: d: does not exist.")


def test_broken_runs_are_listed_with_what_is_wrong(home: Path) -> None:
    (home / "runs" / "torn").mkdir(parents=True)
    (home / "runs" / "torn" / "run.yaml").write_text("[")
    new_run(home, "odd")
    (home / "runs" / "odd" / "status.json").write_text('{"state": "finished", "step": "x", "heartbeat": []}')
    found = listed(home)
    assert found["torn"].state == "unknown"
    assert "is not valid YAML" in found["torn"].message
    assert (found["odd"].state, found["odd"].step) == ("finished", 0)


def test_the_list_on_the_command_line_is_the_same(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One truth: what the Train page shows of a run is what `wtal runs list` and `runs show` print."""
    monkeypatch.chdir(home)
    monkeypatch.delenv("WTAL_HOME", raising=False)
    new_run(home, "fine", state="finished", step=9, steps=9)
    new_run(home, "odd", state="finished", heartbeat=time.time() - 9)
    (home / "runs" / "torn").mkdir()
    (home / "runs" / "torn" / "run.yaml").write_text("[")
    job = start_training(TrainRequest("hamnet", "d", "runs/again", device="cpu"), home=home, cwd=home)
    new_run(home, "again", state="stopped", heartbeat=time.time() - 9)
    end(job, 1, time.time())
    (home / "runs" / "again" / "worker.log").write_text("error: no space left.\n")
    assert main(["runs", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: row["state"] for name, row in rows.items()} == {n: r.state for n, r in listed(home).items()}
    assert rows["again"]["state"] == "failed"
    assert rows["again"]["message"] == "error: no space left."
    assert "is not valid YAML" in rows["torn"]["error"]
    assert main(["runs", "list"]) == 0
    printed = capsys.readouterr()
    assert "unreadable" in printed.out
    assert "note: torn: " in printed.err
    assert main(["runs", "show", "runs/again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "failed"


def test_a_run_is_what_its_folder_holds(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A method that nobody knows here, or none: listed and shown like every other run."""
    logged = Run.create(home / "runs" / "cola", RunInfo("CoLA", classes=CLASSES, dataset={"name": "planted"}))
    logged.detections_path.write_text("{}")
    (logged.folder / "status.json").unlink()
    bare = home / "runs" / "bare"
    bare.mkdir()
    (bare / "run.yaml").write_text("{}")
    trained = new_run(home, "known", state="finished")
    trained.checkpoint_path().write_bytes(b"")
    found = listed(home)
    holds = {n: (r.method_known, r.has_detections, r.has_activations, r.has_weights) for n, r in found.items()}
    assert holds == {
        "bare": (False, False, False, False), "cola": (False, True, False, False), "known": (True, False, False, True),
    }  # fmt: skip
    assert (found["bare"].method, found["cola"].method) == ("", "CoLA")
    assert (found["cola"].state, found["cola"].dataset, found["cola"].resumable) == ("finished", "planted", False)
    assert found["known"].resumable
    assert not any(run.error for run in found.values())
    for folder in (logged.folder, bare):
        assert main(["runs", "show", str(folder)]) == 0
        assert main(["runs", "compare", str(folder)]) == 0
    assert "CoLA" in capsys.readouterr().out
    with pytest.raises(DataError, match="the method 'CoLA' is not known here"):
        logged.config()
    with pytest.raises(DataError, match="names no method"):
        Run.open(bare).config()


def test_listing_needs_no_torch(home: Path) -> None:
    new_run(home, "one", state="finished")
    code = "import sys; from wtal_core.cli import main; main(['runs', 'list', 'runs']); main(['jobs', 'list'])"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=home, check=False, capture_output=True).returncode == 0
