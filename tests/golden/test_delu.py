"""DELU against the official modules (`numbers/delu.npz`); it shares its network with CO2-Net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.golden import two_streams as shared
from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.methods import Progress
from wtal_core.methods.delu import DELU, guide_curve

Golden = dict[str, Any]
NAME = "delu"
STEPS = {"thu": 5000, "act": 22000}
TERMS = ("edl", "uct_guide")


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read(NAME)


close = Fidelity(NAME, rtol=1e-4, atol=1e-5)  # float32 sums of up to 192 products


def make(golden: Golden, tag: str, **changes: Any) -> DELU:
    method = shared.make(NAME, golden, tag, **changes)
    assert isinstance(method, DELU)
    assert method.config.training.steps == STEPS[tag]
    return method


def progress(golden: Golden, tag: str) -> Progress:
    return Progress(int(golden[f"{tag}/itr"]), STEPS[tag])


@pytest.mark.parametrize("tag", shared.PRESET)
def test_network(golden: Golden, tag: str) -> None:
    shared.same_network(close, golden, tag, make(golden, tag))


@pytest.mark.parametrize("tag", shared.PRESET)
@pytest.mark.parametrize("plain", [True, False], ids=["conv1d", "winograd"])
def test_losses_gradients_and_adam_step(golden: Golden, tag: str, monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    shared.plain_convolutions(monkeypatch, plain)
    batch = shared.batch_of(golden, tag, progress(golden, tag))
    shared.same_step(close, golden, tag, make(golden, tag), batch, TERMS)


@pytest.mark.parametrize("tag", shared.PRESET)
def test_losses_over_the_training(golden: Golden, tag: str) -> None:
    method, steps = make(golden, tag), STEPS[tag]
    lengths = torch.full((1,), 60)
    for step in (0, steps // 4, steps // 2, steps - 1):
        now = Progress(step, steps)
        curve = guide_curve(now, lengths, 60, method.config.amplitude)[0]
        close(curve, golden[f"{tag}/curve_itr{step}"], "weights by rank of uncertainty", atol=1e-6)
        losses = method.losses(shared.batch_of(golden, tag, now))
        shared.same_losses(close, golden, f"{tag}/itr{step}_", losses, TERMS)


@pytest.mark.parametrize("tag", shared.PRESET)
def test_weights_by_the_own_rank(golden: Golden, tag: str) -> None:
    """Not the official code's, which mixes up the permutation and its inverse."""
    losses = make(golden, tag, uncertainty_rank="rank").losses(shared.batch_of(golden, tag, progress(golden, tag)))
    close(losses["uct_guide"], golden[f"{tag}/loss_uct_guide_by_rank"], "loss uct_guide by rank", atol=0)


@pytest.mark.parametrize("tag", shared.PRESET)
def test_evidence_and_uncertainty(golden: Golden, tag: str) -> None:
    method, batch = make(golden, tag), shared.batch_of(golden, tag)
    with torch.no_grad():
        out = method(batch.features)
        uncertainty = method.snippet_uncertainty(out.floored)
        logits = method.video_logits(out, batch.mask)
    close(uncertainty, golden[f"{tag}/snippet_uncertainty"], "uncertainty of snippets")
    close(logits, golden[f"{tag}/edl_video_logits"], "logits of videos")
    close(20 / method.dirichlet(logits).sum(1), golden[f"{tag}/video_uncertainty"], "uncertainty of videos")
    acts = method.activations(batch.features[0])
    chosen = np.sort(golden[f"{tag}/edl_topk_idx"][0])
    np.testing.assert_array_equal(np.flatnonzero(acts.tracks["evidence_snippets"].values), chosen)
    close(acts.tracks["uncertainty"].values, uncertainty[0], "uncertainty of snippets")
    close(acts.tracks["video_uncertainty"].values, golden[f"{tag}/video_uncertainty"][0], "uncertainty of videos")
    close(acts.tracks["evidence"].values, out.floored[0].clamp(-10, 10).exp(), "evidence", rtol=1e-3)


@pytest.mark.parametrize(("number", "tag"), [(2, "thu"), (4, "thu"), (5, "thu"), (2, "act")])
def test_videos(golden: Golden, number: int, tag: str) -> None:
    method = make(golden, tag)
    assert method.config.localization.min_length == 2
    shared.same_video(close, golden, number, tag, method, thresholds=20)


@pytest.mark.parametrize("name", ["none_above", "first_only", "last_only", "all", "half", "no_class"])
def test_localization_alone(golden: Golden, name: str) -> None:
    method = make(golden, "thu")
    shared.same_detections(close, golden, f"pp_{name}/", 0, shared.given(golden, name, method), method)
