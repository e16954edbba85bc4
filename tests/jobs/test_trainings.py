"""All trainings in one list, what to do next, and what stands in a training's way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pages.ui.home.advice import DatasetFacts, dataset_facts, next_steps
from tests.planted import CLASSES, MemoryStore, World, make_world, write_dataset
from wtal_core import settings
from wtal_core.data import Dataset, FeatureWriter, write_annotations
from wtal_core.files import write_json
from wtal_core.jobs.job import Job
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.requests import TrainRequest, resume_arguments, start_training
from wtal_core.jobs.trainings import Training, trainings
from wtal_core.methods import create_method, method_class
from wtal_core.methods.form import config_of
from wtal_core.processes import identity
from wtal_core.records import Provenance
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.workspace import Workspace
from wtal_core.training.preflight import preflight


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    world = make_world(num_train=4, num_test=2)
    folder = tmp_path / "datasets" / "planted"
    write_annotations(world.annotations, folder / "annotations.json", format="activitynet")
    with FeatureWriter(folder / "features" / "f.h5") as writer:
        for video in world.store.videos:
            writer.write(world.store.read(video))
    (folder / "dataset.yaml").write_text("name: planted\nsplits: {train: [training], test: [test]}\n")
    return tmp_path


def new_run(home: Path, name: str, **status: Any) -> Run:
    config = settings.to_dict(create_method("hamnet", classes=CLASSES, feature_dim=32).config)
    dataset = {"name": "planted", "folder": str(home / "datasets" / "planted")}
    run = Run.create(home / "runs" / name, RunInfo("hamnet", "thumos14", config, CLASSES, 32, dataset=dataset))
    if status:
        write_json(run.folder / "status.json", {**identity(), "heartbeat": time.time(), **status})
    return run


def listed(home: Path) -> dict[str, Training]:
    return {t.name: t for t in trainings(Workspace(home).runs(), Queue(home))}


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
    assert [t.state for t in found.values()] == ["running", "queued", "queued", "stopped", "finished"]
    assert found["busy"].fraction == 0.5
    assert (found["a"].key, found["a"].run, found["a"].open) == (first.id, False, True)
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
    assert all(len(t.names) == 2 for t in found.values())


def test_a_training_that_crashed_and_was_finished_by_hand_is_finished(home: Path) -> None:
    job = start_training(TrainRequest("hamnet", "d", "runs/r", device="cpu"), home=home, cwd=home)
    gone = {**identity(), "process_start": "before the crash"}
    write_json(job.folder / "process.json", {**gone, "started": time.time() - 60})
    new_run(home, "r", **gone, state="running", heartbeat=time.time() - 30)
    assert listed(home)["r"].state == "crashed"
    new_run_status = {"state": "finished", "heartbeat": time.time(), "step": 9, "steps": 9}
    write_json(home / "runs" / "r" / "status.json", {**identity(), **new_run_status})
    assert (listed(home)["r"].state, listed(home)["r"].message) == ("finished", "")


def test_a_training_in_a_data_set_that_was_moved_goes_on_there(home: Path) -> None:
    run = new_run(home, "r", state="stopped")
    moved = home / "elsewhere"
    (home / "datasets" / "planted").rename(moved)
    run.folder.rename(moved / "r")
    arguments = resume_arguments(moved / "r")
    assert arguments[arguments.index("--data") + 1] == str(moved)


def test_a_job_that_failed_before_there_was_a_run_is_listed(home: Path) -> None:
    job = start_training(TrainRequest("hamnet", "d", "runs/x", device="cpu"), home=home, cwd=home)
    (home / "runs" / "x").mkdir(parents=True)
    (home / "runs" / "x" / "worker.log").write_text("error: d: does not exist.\n")
    end(job, 1, time.time())
    training = listed(home)["x"]
    assert (training.state, training.run, training.message) == ("failed", False, "error: d: does not exist.")


def test_broken_runs_are_listed_with_what_is_wrong(home: Path) -> None:
    (home / "runs" / "torn").mkdir(parents=True)
    (home / "runs" / "torn" / "run.yaml").write_text("[")
    new_run(home, "odd")
    (home / "runs" / "odd" / "status.json").write_text('{"state": "finished", "step": "x", "heartbeat": []}')
    found = listed(home)
    assert found["torn"].state == "unknown"
    assert "is not valid YAML" in found["torn"].message
    assert (found["odd"].state, found["odd"].step) == ("finished", 0)


# -- what next --------------------------------------------------------------------------------------------------------


def test_next_steps_follow_from_what_is_there(home: Path) -> None:
    assert [s.page for s in next_steps([], [])] == ["data", "home"]
    facts = dataset_facts(Workspace(home).datasets()["planted"])
    assert (facts.videos, facts.files, facts.classes, facts.splits) == (6, 0, 3, {"train": 4, "test": 2})
    assert [s.title for s in next_steps([facts], [])] == ["Train on planted"]
    bare, bad = replace(facts, features=()), DatasetFacts("b", "bad", problem="torn")
    assert [s.title for s in next_steps([bare, bad], [])] == ["Give planted features", "Repair bad"]
    one = Training("r1", home, "r1", "hamnet", "planted", state="finished", score=0.4)
    two = replace(one, key="r2", name="r2", score=0.5)
    ill = replace(one, key="r3", name="r3", state="crashed", score=None, resumable=True)
    steps = next_steps([facts], [one, two, ill])
    assert [s.title for s in steps] == [
        "Resume r3", "See where r2 fails", "Look at what r2 sees", "Compare 2 runs on planted",
    ]  # fmt: skip
    assert steps[3].query == {"run": "r2,r1"}
    easy = replace(one, key="e", name="e", dataset="one video", score=0.99)  # not better for being measured elsewhere
    assert next_steps([facts], [easy, one, two])[0].title == "See where r2 fails"


def test_what_would_stop_a_training_is_said_before(home: Path) -> None:
    folder = home / "datasets" / "planted"
    dataset = Dataset.open(folder)
    hamnet, cmcs = config_of("hamnet", "thumos14"), config_of("cmcs", "thumos14")
    assert preflight(dataset, method_class("hamnet"), hamnet) == []
    assert preflight(dataset, method_class("cmcs"), cmcs) == []  # the planted world has static clips
    without = replace(dataset.annotations, tracks={})
    write_annotations(without, folder / "annotations.json", format="activitynet")
    (obstacle,) = preflight(Dataset.open(folder), method_class("cmcs"), cmcs)
    assert obstacle.remedy == {"training.hard_negatives": False}
    assert preflight(Dataset.open(folder), method_class("cmcs"), settings.override(cmcs, obstacle.remedy)) == []
    (strange,) = preflight(dataset, method_class("hamnet"), hamnet, split="training")
    assert "no split “training”" in strange.message
    empty = Dataset(folder, "x", {"train": ("nothing",)})
    assert len(preflight(empty, method_class("hamnet"), hamnet)) == 2  # no features, no videos


@pytest.mark.parametrize("modalities", [(("rgb", 32),), (("flow", 16), ("rgb", 16))])
def test_streams_that_are_not_there_stand_in_the_way_of_what_takes_them_apart(
    modalities: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    world = make_world(num_train=2, num_test=1)
    made = Provenance("planted", modalities)
    store = MemoryStore({v: replace(world.store.read(v), provenance=made) for v in world.store.videos})
    dataset = write_dataset(World(store, world.annotations), tmp_path)
    late, acn = config_of("cmcs", "thumos14", {"streams": "late"}), config_of("acn", "thumos14")
    assert preflight(dataset, method_class("cmcs"), settings.override(late, {"streams": "both"})) == []
    (obstacle,) = preflight(dataset, method_class("cmcs"), late)
    assert "not RGB and flow of the same width" in obstacle.message
    assert obstacle.remedy == {"streams": "both"}
    (obstacle,) = preflight(dataset, method_class("acn"), acn)
    assert obstacle.remedy == {}, "ACN has no setting without streams"
