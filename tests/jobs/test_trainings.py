"""Trainings as jobs: seeds as people type them, and what a run says it was made by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted_dataset import write_dataset
from wtal_core.commands.requests import command_of
from wtal_core.data.dataset import Dataset
from wtal_core.errors import DataError, UsageError
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.trainings import parse_seeds, resume_training, training_of
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.driver import create_run
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import make_world


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(make_world(num_train=2, num_test=1), tmp_path_factory.mktemp("data") / "planted")


def made(dataset: Dataset, out: Path) -> tuple[TrainRequest, Run]:
    request = TrainRequest(
        method="hamnet", data=dataset.folder, out=out, set={"gamma": 0.3, "training.steps": 5}, validate="test",
        seed=4, device="cpu", log_every=3, keep_activations=2, keep_videos=("a",),
    )  # fmt: skip
    with dataset.store() as store:
        return request, create_run(request, dataset, store)


def test_a_run_says_the_request_that_made_it(dataset: Dataset, tmp_path: Path) -> None:
    request, run = made(dataset, tmp_path / "run")
    again = training_of(Run.open(run.folder))
    assert again.recorded() == request.recorded()
    assert (again.method, again.data, again.out, again.seed) == ("hamnet", dataset.folder, run.folder.resolve(), 4)
    assert again.set["gamma"] == 0.3
    assert again.set["training"]["steps"] == 5
    assert command_of(again.to_request()).set == again.set


def test_a_training_in_a_data_set_that_was_moved_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    here = write_dataset(make_world(num_train=2, num_test=1), tmp_path / "planted")
    _, run = made(here, here.folder / "runs" / "r")
    moved = here.folder.rename(tmp_path / "elsewhere")
    run = Run.open(moved / "runs" / "r")
    run.checkpoint_path().write_bytes(b"")
    job = resume_training(run.folder, home=tmp_path)
    assert job.request["data"] == str(moved)
    assert (job.request["resume"], job.request["validate"], "set" in job.request) == (True, "test", False)


def test_a_run_that_was_not_trained_here_has_no_request(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "logged", RunInfo("CoLA"))
    with pytest.raises(DataError, match="does not name the data set"):
        training_of(run)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", (0,)), ("0 1 2", (0, 1, 2)), ("0-4", (0, 1, 2, 3, 4)), ("3, 7;3", (3, 7))]
)
def test_seeds_as_people_type_them(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "two", "-1", "3-1", "0-100", "0-60 61-120", "1.5", "9" * 21])
def test_what_are_no_seeds(text: str) -> None:
    with pytest.raises(UsageError, match="seeds"):
        parse_seeds(text)
