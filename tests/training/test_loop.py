"""The training loop: stop, validation, errors. Resume is tested with every method in contract/."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from wtal_core import settings
from wtal_core.errors import DataError, UsageError
from wtal_core.files import write_json
from wtal_core.methods import Method, arithmetic, create_method
from wtal_core.processes import identity
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import Outcome, train
from wtal_core.training.options import TrainOptions
from wtal_core.training.planted import CLASSES, World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def new_run(folder: Path, **config: Any) -> Run:
    base = {"training.steps": 12, "training.batch_size": 6, "training.classes_per_batch": 2,
            "training.videos_per_class": 3, "training.snippets": 30, "training.lr": 1e-3}  # fmt: skip
    method = create_method("deep_metric", classes=CLASSES, feature_dim=32, **{**base, **config})
    info = RunInfo("deep_metric", "thumos14", settings.to_dict(method.config), CLASSES, 32)
    return Run.create(folder, info)


def load(world: World, **more: Any) -> Corpus:
    return Corpus.load(world.store, world.annotations, world.videos("training"), quiet=True, **more)


def losses(run: Run) -> list[tuple[int, float]]:
    return [(m["step"], m["losses"]["total"]) for m in run.metrics() if m["kind"] == "losses"]


def test_stop_file_stops_cleanly_and_resume_goes_on(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    (run.folder / "stop").touch()
    assert train(run, load(world), TrainOptions(), quiet=True).state == "stopped"
    assert run.status()["state"] == "stopped"
    assert train(run, load(world), TrainOptions(), resume=True, quiet=True).state == "finished"
    assert run.status()["step"] == 12


def test_best_is_kept_beside_last_and_patience_ends(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    outcome = train(
        run,
        load(world),
        TrainOptions(validate_every=2, patience=2),
        validation=lambda method: {"score": next(scores)},
        quiet=True,
    )
    assert outcome.early
    assert outcome.steps == 8
    assert run.checkpoints() == ("last", "best")
    assert run.status()["best"] == {"score": 0.5, "step": 4, "stage": "train"}
    before = run.load_checkpoint("last")["model"]

    def resumed(patience: int) -> Outcome:
        options = TrainOptions(validate_every=2, patience=patience)
        return train(run, load(world), options, validation=lambda _: {"score": 0.0}, resume=True, quiet=True)

    again = resumed(2)  # killed before its test split was scored, for example: what it was trained to stays
    assert (again.early, again.steps) == (True, 8)
    assert all(torch.equal(value, before[name]) for name, value in run.load_checkpoint("last")["model"].items())
    assert resumed(0).steps == 12


def test_without_validation_there_is_no_best(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    train(run, load(world), TrainOptions(), quiet=True)
    assert run.checkpoints() == ("last",)


def test_a_loss_that_is_not_finite_ends_with_advice(tmp_path: Path, world: World) -> None:
    run, corpus = new_run(tmp_path / "run"), load(world)
    assert corpus.rows is not None
    corpus.rows *= float("nan")
    with pytest.raises(DataError, match=r"the loss is nan at step 1 .* Lower training\.lr"):
        train(run, corpus, TrainOptions(log_every=1), quiet=True)
    assert run.status()["state"] == "failed"


def test_residence_does_not_change_a_number(tmp_path: Path, world: World) -> None:
    results = []
    for residence in ("device", "host", "disk"):
        run = new_run(tmp_path / residence)
        train(run, load(world, residence=residence), TrainOptions(log_every=1), quiet=True)
        results.append(losses(run))
    assert results[0] == results[1] == results[2]


def test_hard_negatives_become_background_videos(world: World) -> None:
    corpus = load(world, hard_negatives=True)
    plain = load(world)
    extra = len(corpus.videos) - len(plain.videos)
    assert extra > 0
    assert corpus.background.sum() == extra
    assert (corpus.labels[corpus.background] == 0).all()
    assert all(v.endswith("/static") for v in corpus.videos[-extra:])


def test_resume_needs_a_checkpoint(tmp_path: Path, world: World) -> None:
    with pytest.raises(DataError, match="has no checkpoint 'last'"):
        train(new_run(tmp_path / "run"), load(world), TrainOptions(), resume=True, quiet=True)


def test_run_folders_are_never_overwritten(tmp_path: Path) -> None:
    new_run(tmp_path / "run")
    with pytest.raises(UsageError, match="holds a run already"):
        new_run(tmp_path / "run")


def test_a_run_that_ended_before_its_first_step_is_made_anew(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    write_json(run.folder / "status.json", {"state": "created", **identity(), "process_start": "long ago"})
    new_run(tmp_path / "run")


def test_two_processes_do_not_train_one_run(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    write_json(run.folder / "status.json", {"state": "running", "heartbeat": time.time(), **identity(os.getppid())})
    with pytest.raises(UsageError, match=f"is being trained by process {os.getppid()}"):
        train(run, load(world), TrainOptions(), quiet=True)


def test_a_run_that_another_machine_trains_is_left_alone(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    train(run, load(world), TrainOptions(), quiet=True)
    elsewhere = {"state": "running", "pid": os.getpid(), "host": "another-machine", "process_start": "x:1"}
    write_json(run.folder / "status.json", {**elsewhere, "heartbeat": time.time()})
    with pytest.raises(UsageError, match=r"by process \d+ of another-machine"):
        train(run, load(world), TrainOptions(), resume=True, quiet=True)
    write_json(run.folder / "status.json", {**elsewhere, "heartbeat": time.time() - 3600})
    assert train(run, load(world), TrainOptions(), resume=True, quiet=True).state == "finished"


def test_weights_that_are_not_finite_replace_no_checkpoint(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")

    def diverges(method: Method) -> dict[str, float]:
        next(method.parameters()).data.fill_(math.nan)
        return {"score": 0.0}

    options = TrainOptions(log_every=100, checkpoint_every=5, validate_every=7)
    with pytest.raises(DataError, match=r"weights are not finite after step 7 .* Lower training\.lr"):
        train(run, load(world), options, validation=diverges, quiet=True)
    assert run.checkpoints() == ("last",)
    assert all(torch.isfinite(value).all() for value in run.load_checkpoint("last")["model"].values())
    assert train(run, load(world), options, resume=True, quiet=True).state == "finished"


@pytest.mark.parametrize(
    ("old", "new"), [("feature_dim: 32", "feature_dim: 16"), ("optimizer: adam", "optimizer: sgd")]
)
def test_resume_after_the_settings_were_edited_is_a_sentence(tmp_path: Path, world: World, old: str, new: str) -> None:
    run = new_run(tmp_path / "run")
    train(run, load(world), TrainOptions(), quiet=True)
    text = (run.folder / "run.yaml").read_text()
    assert old in text
    (run.folder / "run.yaml").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=r"does not fit run\.yaml"):
        train(Run.open(run.folder), load(world), TrainOptions(), resume=True, quiet=True)


def test_resume_refuses_other_training_videos_and_clears_what_a_kill_left(tmp_path: Path, world: World) -> None:
    run = new_run(tmp_path / "run")
    (run.folder / "stop").touch()
    train(run, load(world), TrainOptions(), quiet=True)
    fewer = Corpus.load(world.store, world.annotations, world.videos("training")[:-1], quiet=True)
    with pytest.raises(DataError, match="training videos, their labels or their lengths have changed"):
        train(run, fewer, TrainOptions(), resume=True, quiet=True)
    unfinished = run.folder / "checkpoints" / ".last-half.pt"
    unfinished.touch()
    assert train(run, load(world), TrainOptions(), resume=True, quiet=True).state == "finished"
    assert not unfinished.exists()


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run, written = new_run(tmp_path / "run"), torch.save

    def fails_at_step_10(content: dict[str, Any], path: Path) -> None:
        written(content, path)
        if json.loads(content["state"])["step"] == 10:
            raise RuntimeError("unexpected pos 704 vs 598")  # torch's words for it

    monkeypatch.setattr(torch, "save", fails_at_step_10)
    with pytest.raises(DataError, match="the disk is full or refuses"):
        train(run, load(world), TrainOptions(checkpoint_every=5), quiet=True)
    monkeypatch.undo()
    assert run.status()["state"] == "failed"
    assert json.loads(run.load_checkpoint("last")["state"])["step"] == 5
    assert train(run, load(world), TrainOptions(), resume=True, quiet=True).steps == 12


def test_videos_without_features_or_label_are_named(world: World) -> None:
    videos = world.videos("training")
    assert load(world).left_out == ()
    assert Corpus.load(world.store, world.annotations, [*videos, "unheard_of"], quiet=True).left_out == ("unheard_of",)


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_other_arithmetic_trains(tmp_path: Path, world: World, precision: str) -> None:
    run = new_run(tmp_path / "run")
    train(run, load(world), TrainOptions(precision=precision, log_every=1), quiet=True)
    assert torch.get_float32_matmul_precision() == "highest"  # the next one in this process is not touched
    assert torch.backends.cudnn.allow_tf32  # as PyTorch has it
    assert all(math.isfinite(total) for _, total in losses(run))


def test_a_missing_compiler_is_said(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def broken(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            raise TorchDynamoException("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1 for more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    run = new_run(tmp_path / "run")
    with pytest.raises(UsageError, match="does not work here") as caught:
        train(run, load(world), TrainOptions(compile=True), quiet=True)
    assert caught.value.got == "No working C++ compiler found"
    assert train(new_run(tmp_path / "run"), load(world), TrainOptions(), quiet=True).state == "finished"


def test_float32_means_float32_also_in_convolutions_on_a_gpu() -> None:
    for precision, products, convolutions in (("float32", "highest", False), ("tf32", "high", True)):
        with arithmetic(precision):
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (products, convolutions)
