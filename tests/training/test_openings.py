"""What a method may bring of its own to a training: samplers, epochs, averaged weights, pseudo labels, an optimiser.

`Rounds` uses all of it in one, `Groups` an optimiser and two stages; the contract checks run on the former.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wtal_core import settings
from wtal_core.methods import Batch, BatchSampler, Method, MethodConfig, Progress, Recipe, Sampler, Stage, Visit
from wtal_core.methods.pooling import topk_mean
from wtal_core.records import Activations, Track
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training import checks
from wtal_core.training.checks import Check, Subject, batch_of
from wtal_core.training.loop import train
from wtal_core.training.options import TrainOptions


class Pairs:
    """Two videos of one class a step; nothing of `BatchSampler` is used."""

    def __init__(self, labels: np.ndarray, rng: np.random.Generator) -> None:
        self.labels, self.rng = labels, rng

    def steps_per_pass(self) -> int:
        return len(self.labels) // 2

    def next(self) -> Visit:
        members = np.flatnonzero(self.labels[:, self.rng.integers(self.labels.shape[1])])
        return Visit.of(self.rng.permutation(members)[:2])

    def state(self) -> dict[str, Any]:
        return {"rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


@dataclass(frozen=True)
class RoundsConfig(MethodConfig):
    training: Recipe = settings.option(
        factory=lambda: Recipe(epochs=3, ema=0.9, refresh_every=1, lr=1e-2, lr_drop_at=(0.5,)), meaning="training"
    )


class Rounds(Method):
    """A linear classifier that learns from what its average said of the same snippets a round ago."""

    Config = RoundsConfig
    quick: ClassVar[Mapping[str, Any]] = {
        "training.epochs": 30,
        "training.lr": 0.03,
        "localization.class_threshold": 0.9,
        "localization.score": "mean",
    }

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.classifier = nn.Linear(self.feature_dim, self.num_classes)
        self.pseudo: dict[str, Tensor] = {}  # (T, C) scores of each training video
        self.seen: list[Progress] = []
        self.rounds: list[Progress] = []
        self.history: list[Tensor] = []

    def get_extra_state(self) -> dict[str, Tensor]:
        return dict(self.pseudo)

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.pseudo = dict(state)

    def batch_sampler(self, recipe: Recipe, labels: np.ndarray, rng: np.random.Generator) -> Sampler:
        return Pairs(labels, rng)

    def sample_snippets(self, recipe: Recipe, video: str, length: int, rng: np.random.Generator) -> np.ndarray:
        return np.sort(rng.permutation(length)[: max(1, length // 2)])

    def prepare(self, stage: str, videos: Iterable[Batch]) -> None:
        assert not self.training
        assert not torch.is_grad_enabled()
        for video in videos:
            assert len(video) == 1
            self.pseudo[video.videos[0]] = self.classifier(video.features[0]).sigmoid() * video.labels
            progress = video.progress
        self.rounds.append(progress)

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        self.seen.append(batch.progress)
        self.history.append(self.classifier.weight.detach().clone())
        s = self.classifier(batch.features)
        mil = nn.functional.binary_cross_entropy_with_logits(topk_mean(s, 5, batch.mask), batch.labels)
        pseudo = s.sum() * 0.0
        for i, video in enumerate(batch.videos):
            if video in self.pseudo:
                exists = batch.mask[i]
                wanted = self.pseudo[video][batch.positions[i][exists]]
                pseudo = pseudo + (s[i][exists].sigmoid() - wanted).square().mean() / len(batch)
        return {"total": mil + batch.progress.fraction * pseudo, "mil": mil, "pseudo": pseudo}

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        cas = self.classifier(features).mean(0)
        certainty = Track("curve", cas.sigmoid().amax(1).cpu().numpy(), "how sure", low=0, high=1)
        video = topk_mean(cas[None], 5)[0].sigmoid()
        return Activations(
            cas.cpu().numpy(),
            video.cpu().numpy(),
            grid,
            self.classes,
            method=self.name,
            tracks={"certainty": certainty},
        )


class Groups(Rounds):
    """Two stages, the second one from the average of the first, by an optimiser of its own."""

    def stages(self) -> tuple[Stage, ...]:
        first = Recipe(steps=4, ema=0.5, lr=0.1)
        return Stage("first", first), Stage("second", Recipe(steps=4, lr=0.1, lr_drop_at=(0.5,)))

    def batch_sampler(self, recipe: Recipe, labels: np.ndarray, rng: np.random.Generator) -> Sampler:
        return BatchSampler(recipe, labels, rng)

    def optimizer(self, recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.0}], recipe.lr)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(Rounds)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_rounds_keep_the_contract(subject: Subject, check: Check) -> None:
    check(subject)


def trained(target: type[Method], folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Any, Any]:
    """Train; return the run, and the method object that was trained."""
    subject = Subject(target)
    config = subject.cls.preset_config()
    run = subject.new_run(folder, config)
    method = run.new_method()
    monkeypatch.setattr(run, "new_method", lambda: method)
    train(run, subject.corpus(config), TrainOptions(log_every=1, validate_every=4), quiet=True, **more)
    return run, method


def test_epochs_and_rounds_count_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, method = trained(Rounds, tmp_path / "run", monkeypatch)
    a_pass = 24 // 2
    assert run.status()["steps"] == len(method.seen) == 3 * a_pass
    assert [p.step for p in method.seen] == list(range(3 * a_pass))
    assert [p.epoch for p in method.seen] == [step // a_pass for step in range(3 * a_pass)]
    assert {(p.steps, p.epochs) for p in method.seen} == {(3 * a_pass, 3)}
    assert method.seen[a_pass].fraction == pytest.approx(1 / 3)
    assert [p.step for p in method.rounds] == [0, a_pass, 2 * a_pass]
    rates = [m["lr"] for m in run.metrics()]
    assert rates == pytest.approx([1e-2 if 2 * step < 3 * a_pass else 1e-3 for step in range(3 * a_pass)])


def test_the_average_is_saved_and_validated_and_the_weights_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated: list[Tensor] = []

    def validation(method: Method) -> dict[str, float]:
        validated.append(next(method.parameters()).detach().clone())
        return {"score": float(len(validated))}

    run, method = trained(Rounds, tmp_path / "run", monkeypatch, validation=validation)
    content = run.load_checkpoint("last")
    raw = content["raw"]["classifier.weight"]
    average = method.history[0].clone()
    for weight in [*method.history[1:], raw]:
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(content["model"]["classifier.weight"], average)
    assert not torch.allclose(raw, average)
    assert torch.equal(validated[-1], content["model"]["classifier.weight"])
    assert torch.equal(run.load_checkpoint("best")["model"]["classifier.weight"], validated[-1])
    # Pseudo labels are what the average said, not the weights.
    assert content["model"]["_extra_state"].keys() == {f"training_{n:03d}" for n in range(24)}


def test_a_stage_begins_with_the_average_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    biases: list[Tensor] = []

    def validation(method: Method) -> dict[str, float]:
        biases.append(method.classifier.bias.detach().clone())  # type: ignore[union-attr]
        return {"score": -float(len(biases))}

    run, method = trained(Groups, tmp_path / "run", monkeypatch, validation=validation)
    first, second = run.load_checkpoint("best"), run.load_checkpoint("last")  # best: the end of the first stage
    average = method.history[0].clone()
    for weight in [*method.history[1:4], first["raw"]["classifier.weight"]]:
        average = 0.5 * average + 0.5 * weight
    torch.testing.assert_close(first["model"]["classifier.weight"], average)
    assert torch.equal(method.history[4], first["model"]["classifier.weight"])
    assert "raw" not in second
    assert [p.step for p in method.rounds] == [0, 0]
    rates = [m["lr"] for m in run.metrics() if m["kind"] == "losses"]
    assert rates == pytest.approx([0.1] * 4 + [0.1] * 2 + [0.01] * 2)
    assert torch.equal(biases[0], biases[1])  # its group has a rate of 0


def test_losses_outside_of_a_training_are_those_of_its_beginning() -> None:
    batch = batch_of()
    assert (batch.progress, batch.progress.fraction) == (Progress(), 0.0)
    assert batch.positions[3].tolist() == list(range(40))
    assert batch.to("cpu").videos == batch.videos
