"""Several trainings on one data set: finished ones are kept, interrupted ones go on, others are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.planted_dataset import write_dataset
from wtal_core.data.dataset import Dataset
from wtal_core.errors import DataError, Interrupted, UsageError, WtalError
from wtal_core.progress import PROGRESS_VARIABLE
from wtal_core.runs.folder import Run
from wtal_core.training import driver as driver_module
from wtal_core.training.corpus import Corpus
from wtal_core.training.driver import Driver, Scoring, create_run, train_many
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import make_world

SMALL = {"training.steps": 6, "training.snippets": 20, "training.batch_size": 4, "attention_filters": 8}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(make_world(num_train=8, num_test=3), tmp_path_factory.mktemp("series"))


def plan(out: Path, *seeds: int, method: str = "hamnet", **changes: object) -> list[TrainRequest]:
    settings = {**SMALL, **changes} if method == "hamnet" else changes
    return [
        TrainRequest(method=method, data=Path(), out=out / f"seed{s}", set=settings, seed=s, device="cpu")
        for s in seeds
    ]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often features are read."""
    counted: list[int] = []
    load = Corpus.load

    def counting(*args: object, **more: object) -> Corpus:
        counted.append(1)
        return load(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(driver_module.Corpus, "load", counting)
    return counted


def test_runs_are_complete_and_finished_ones_are_kept(dataset: Dataset, tmp_path: Path, loads: list[int]) -> None:
    runs = list(train_many(dataset, plan(tmp_path, 0, 1), quiet=True))
    assert [run.info.seed for run in runs] == [0, 1]
    assert len(loads) == 1, "features that all runs see alike are read once"
    trained = [run.checkpoint_path().stat().st_mtime_ns for run in runs]
    again = list(train_many(dataset, plan(tmp_path, 0, 1, 2), quiet=True))
    assert [run.checkpoint_path().stat().st_mtime_ns for run in again[:2]] == trained
    assert len(again) == 3
    assert Scoring.of(dataset).scores(again[2]) is not None


def test_another_scoring_needs_no_training(dataset: Dataset, tmp_path: Path, loads: list[int]) -> None:
    planned = plan(tmp_path, 0)
    (first,) = train_many(dataset, planned, quiet=True)
    assert set(Scoring.of(dataset).scores(first) or ()) == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}
    other = Scoring("thumos14", (0.25, 0.5))
    assert other.scores(first) is None
    (second,) = train_many(dataset, planned, other, quiet=True)
    assert set(other.scores(second) or ()) == {0.25, 0.5}
    assert len(loads) == 1


def test_a_stopped_series_goes_on_with_the_same_losses(dataset: Dataset, tmp_path: Path) -> None:
    """A stop ends the series after the step; what is resumed is what an uninterrupted run is."""
    straight = list(train_many(dataset, plan(tmp_path / "straight", 0, 1), quiet=True))
    stop = tmp_path / "broken" / "seed1" / "stop"
    series = train_many(dataset, plan(tmp_path / "broken", 0, 1), quiet=True)
    assert next(series).info.seed == 0
    stop.parent.mkdir(parents=True)
    stop.touch()
    with pytest.raises(Interrupted):
        next(series)
    assert Run.open(stop.parent).status()["state"] == "stopped"
    whole = list(train_many(dataset, plan(tmp_path / "broken", 0, 1), quiet=True))
    assert [run.info.seed for run in whole] == [0, 1]
    for one, other in zip(straight, whole, strict=True):
        assert [m["losses"] for m in one.metrics()] == [m["losses"] for m in other.metrics()]
        assert one.detections_path.read_bytes() == other.detections_path.read_bytes()


def test_an_interrupted_inference_is_done_again(dataset: Dataset, tmp_path: Path, loads: list[int]) -> None:
    (run,) = train_many(dataset, plan(tmp_path, 0), quiet=True)
    before = run.detections_path.read_bytes()
    run.detections_path.unlink()
    run.evaluation_path.unlink()
    (run,) = train_many(dataset, plan(tmp_path, 0), quiet=True)
    assert run.detections_path.read_bytes() == before
    assert len(loads) == 1


def test_a_folder_with_another_run_is_refused_before_anything_is_trained(dataset: Dataset, tmp_path: Path) -> None:
    list(train_many(dataset, plan(tmp_path, 1), quiet=True))
    with pytest.raises(UsageError, match=r"seed1: holds another run \(expected gamma 0.5, got gamma 0.2\)"):
        list(train_many(dataset, plan(tmp_path, 0, 1, gamma=0.5), quiet=True))
    assert not (tmp_path / "seed0").exists()
    with pytest.raises(UsageError, match="expected data set elsewhere, got data set tiny"):
        list(train_many(replace(dataset, name="elsewhere"), plan(tmp_path, 1), quiet=True))
    with pytest.raises(UsageError, match="expected method acmnet, got method hamnet"):
        list(train_many(dataset, plan(tmp_path, 1, method="acmnet"), quiet=True))


def test_a_failed_run_is_told_and_the_next_one_begun(dataset: Dataset, tmp_path: Path) -> None:
    planned = [*plan(tmp_path / "bad", 0, **{"training.lr": 1e30}), *plan(tmp_path / "good", 0)]
    told: list[tuple[TrainRequest, WtalError]] = []
    runs = list(train_many(dataset, planned, quiet=True, failed=lambda run, error: told.append((run, error))))
    assert [run.folder for run in runs] == [planned[1].out]
    assert [run for run, _ in told] == [planned[0]]
    assert "loss is" in str(told[0][1])
    with pytest.raises(DataError, match="loss is"):
        list(train_many(dataset, planned, quiet=True))


def test_progress_counts_the_steps_of_all_runs(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bars that one run shows by itself do not appear: the file follows the whole series."""
    list(train_many(dataset, plan(tmp_path, 0), quiet=True))
    monkeypatch.setenv(PROGRESS_VARIABLE, str(tmp_path / "progress.json"))
    list(train_many(dataset, plan(tmp_path, 0, 1, 2), quiet=True))
    said = json.loads((tmp_path / "progress.json").read_text())
    assert (said["done"], said["total"]) == (12, 12)
    assert said["description"] == "3/3 seed2"


# -- activations over the training ------------------------------------------------------------------------------------


def test_activations_are_kept_as_they_form(dataset: Dataset, tmp_path: Path) -> None:
    """Before the first step, every so many, and after the last; what is learnt is not touched by it."""
    told: list[str] = []
    (plain,) = plan(tmp_path / "plain", 0)
    (keeping,) = plan(tmp_path / "keeping", 0)
    keeping = replace(keeping, keep_activations=4)
    with dataset.store() as store:
        driver = Driver(dataset, store, device="cpu", quiet=True, note=told.append)
        runs = [create_run(request, dataset, store) for request in (plain, keeping)]
        for run, request in zip(runs, (plain, keeping), strict=True):
            assert driver.train(run, request).state == "finished"
        without, with_them = runs
        assert [m["losses"] for m in without.metrics()] == [m["losses"] for m in with_them.metrics()]
        assert without.kept_steps() == ()
        assert with_them.kept_steps() == (0, 4, 6)
        videos = dataset.videos("test")  # fewer than would be chosen
        assert told == [f"note: every 4 steps the activations of 3 videos are kept: {', '.join(videos)}"]
        first, last = with_them.activations(step=0), with_them.activations(step=6)
        assert set(first.videos) == set(videos)
        video = videos[0]
        assert not np.allclose(first.read(video).cas, last.read(video).cas)
        final = with_them.method().activations(store.read(video).data, grid=store.grid(video))
        np.testing.assert_allclose(last.read(video).cas, final.cas, atol=1e-6)
    with pytest.raises(DataError, match=r"has no activations of step 5 \(expected 0, 4, 6\)"):
        with_them.activations(step=5)
    with pytest.raises(DataError, match="Train with keep_activations=N"):
        without.activations(step=0)


@pytest.mark.parametrize("keep", [1, 0])
def test_a_resumed_training_keeps_nothing_of_steps_it_has_not_done(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """A process that dies after its last checkpoint leaves activations of later steps."""
    (request,) = plan(tmp_path / "straight", 0)
    request = replace(request, keep_activations=1, keep_videos=("test_009",))
    broken = replace(request, out=tmp_path / "broken")
    written = Run.keep_activations

    def stopping(run: Run, step: int, activations: Any) -> None:
        written(run, step, activations)
        if step == 3 and run.folder == broken.out:
            (run.folder / "stop").touch()

    with dataset.store() as store:
        driver = Driver(dataset, store, device="cpu", quiet=True)
        straight, run = (create_run(r, dataset, store) for r in (request, broken))
        driver.train(straight, request)
        monkeypatch.setattr(Run, "keep_activations", stopping)
        assert driver.train(run, broken).state == "stopped"
        assert run.kept_steps() == (0, 1, 2, 3)
        run.keep_activations(5, straight.activations(step=5))
        monkeypatch.setattr(Run, "keep_activations", written)
        assert driver.train(run, replace(broken, keep_activations=keep)).state == "finished"
        assert run.kept_steps() == (straight.kept_steps() if keep else (0, 1, 2, 3))
        for step in run.kept_steps():
            one, other = (r.activations(step=step).read("test_009").cas for r in (straight, run))
            np.testing.assert_array_equal(one, other)


def test_videos_to_be_kept_must_have_features(dataset: Dataset, tmp_path: Path) -> None:
    (request,) = plan(tmp_path, 0)
    request = replace(request, keep_activations=1, keep_videos=("tset_009",))
    with dataset.store() as store:
        run = create_run(request, dataset, store)
        with pytest.raises(UsageError, match="unknown video 'tset_009'"):
            Driver(dataset, store, device="cpu", quiet=True).train(run, request)
