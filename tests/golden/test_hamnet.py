"""HAM-Net against the official modules (`numbers/hamnet.npz`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.methods import Batch, create_method, temporal_convolution
from wtal_core.methods.hamnet import HAMNet, HAMNetConfig
from wtal_core.methods.pooling import cross_entropy_with_targets, normalised_targets
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid

Golden = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read("hamnet")


@pytest.fixture
def method(golden: Golden) -> HAMNet:
    """The official weights without dropout; the golden losses and gradients were made so."""
    method = create_method("hamnet", num_classes=20, feature_dim=64, dropout=0.0)
    method.load_official({k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")})
    assert isinstance(method, HAMNet)
    return method.train()


@pytest.fixture
def batch(golden: Golden) -> Batch:
    return Batch.of(torch.from_numpy(golden["x"]), torch.from_numpy(golden["labels"]))


close = Fidelity("hamnet", rtol=1e-4, atol=1e-4)  # float32 sums of up to 1536 products; logits reach 30


def test_network_and_video_scores(method: HAMNet, batch: Batch, golden: Golden) -> None:
    with torch.no_grad():
        s, a = method.eval()(batch.features)
        close(s, golden["eval_logits"], "CAS (logits)")
        close(a, golden["eval_attention"], "attention", atol=1e-5)
        close(a * s, golden["train_logits_soft"], "CAS (logits)")
        close(
            method.video_logits(a * s).softmax(-1)[:, :20], golden["eval_video_score_rat10"], "video scores", atol=1e-5
        )


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_attentions_are_those_of_training_also_in_evaluation(
    method: HAMNet, batch: Batch, golden: Golden, training: bool
) -> None:
    method.train(training)
    s, a = method(batch.features)
    attention = method.hybrid_attention(a)
    close(attention.threshold[:, :, 0], golden["train_drop_threshold"], "drop threshold", atol=1e-6)
    close(attention.soft, golden["train_att_soft"], "attention", atol=1e-5)
    close(attention.semi_soft, golden["train_att_semisoft"], "semi-soft attention", atol=1e-5)
    close(attention.hard, golden["train_att_hard"], "hard attention", rtol=0, atol=0)
    np.testing.assert_array_equal(attention.dropped.numpy(), golden["train_att_semisoft"] == 0)
    modulated = method.modulated(s, attention)
    for name, key in (("soft", "soft"), ("semi_soft", "semisoft"), ("hard", "hard")):
        close(modulated[name], golden[f"train_logits_{key}"], "modulated CAS")


def test_losses_of_each_video(method: HAMNet, batch: Batch, golden: Golden) -> None:
    s, a = method(batch.features)
    modulated = method.modulated(s, method.hybrid_attention(a))
    for key, logits, background in (
        ("BCL", s, 1.0),
        ("HAL", modulated["hard"], 1.0),
        ("SAL", modulated["soft"], 0.0),
        ("SSAL", modulated["semi_soft"], 0.0),
    ):
        targets = normalised_targets(batch.labels, background, eps=1e-4)
        found = cross_entropy_with_targets(method.video_logits(logits), targets)
        close(found, golden[f"loss_{key}_per_video"], f"loss {key}")


@pytest.mark.parametrize("worth_it", [10**9, 0], ids=["conv1d", "winograd"])
def test_losses_gradients_and_adam(
    method: HAMNet, batch: Batch, golden: Golden, monkeypatch: pytest.MonkeyPatch, worth_it: int
) -> None:
    monkeypatch.setattr(temporal_convolution, "_WORTH_IT", worth_it)
    losses = method.losses(batch)
    for term in ("bcl", "sal", "ssal", "hal"):
        close(losses[term], golden[f"loss_{term.upper()}_per_video"].mean(), f"loss {term.upper()}")
    close(0.2 * losses["hal"] + 0.8 * losses["bcl"], golden["loss_loss_1"], "loss HAL + BCL")
    close(0.2 * losses["ssal"] + 0.8 * losses["sal"], golden["loss_loss_2"], "loss SSAL + SAL")
    close(losses["sparse"], golden["loss_loss_norm"], "loss sparse")
    close(losses["guide"], golden["loss_loss_guide"], "loss guide")
    close(losses["total"], golden["loss_total"], "loss total")

    optimizer = torch.optim.Adam(method.parameters(), lr=1e-5, weight_decay=1e-3)
    losses["total"].backward()
    own = dict(method.named_parameters())
    for official, name in method.official_names().items():
        gradient = own[name].grad
        assert gradient is not None
        close(gradient.norm(), golden[f"gradnorm/{official}"], "gradient norms")
        if f"grad/{official}" in golden:
            close(gradient, golden[f"grad/{official}"], "gradients")
    optimizer.step()
    for official in ("net.attention.4.weight", "net.classifier.5.weight"):
        close(own[method.official_names()[official]], golden[f"after_adam_step/{official}"], "Adam step", atol=1e-7)


@pytest.fixture
def video(method: HAMNet, golden: Golden) -> Activations:
    grid = SnippetGrid.preset("i3d-25fps-16", len(golden["vid_x"]))
    return method.activations(golden["vid_x"], grid=grid)


def test_activations(video: Activations, golden: Golden) -> None:
    attention = golden["vid_attention"][:, 0]
    close(video.cas, golden["vid_logits"], "CAS (logits)")
    close(video.attention["foreground"], attention, "attention", atol=1e-5)
    close(video.video_scores, golden["vid_video_score"], "video scores", atol=1e-5)
    dropped = attention >= 0.2 * attention.max()
    np.testing.assert_array_equal(video.drop_mask, dropped)
    close(video.attention["semi_soft"], np.where(dropped, 0, attention), "semi-soft attention", atol=1e-5)
    close(video.attention["hard"], np.where(dropped, 0, 1), "hard attention", rtol=0, atol=0)


def rows_in_order(rows: np.ndarray) -> np.ndarray:
    """Sort rows (class, start, end, score) by class, start, end, score; times to 1e-6."""
    return rows[np.lexsort((rows[:, 3], rows[:, 2].round(6), rows[:, 1].round(6), rows[:, 0]))]


@pytest.mark.parametrize(("threshold", "count"), [(0.2, 132), (0.02, 264)])
def test_proposals_and_detections(
    method: HAMNet, video: Activations, golden: Golden, threshold: float, count: int
) -> None:
    np.testing.assert_allclose(HAMNetConfig().localization.thresholds, golden["act_thresh"], rtol=0, atol=1e-15)
    for suppression, key, columns in (
        ("none", f"vid_prop_ct{threshold}", [0, 2, 3, 1]),
        ("soft", f"vid_det_ct{threshold}", [2, 0, 1, 3]),
    ):
        ours = method.localize(video, video="v", class_threshold=threshold, suppression=suppression)
        label = [int(name.removeprefix("class_")) for name in ours.label]
        rows = np.stack([label, ours.start, ours.end, ours.score], axis=1)
        assert len(rows) == count
        theirs = rows_in_order(golden[key][:, columns])
        what = "proposals" if suppression == "none" else "detections"
        close(rows_in_order(rows)[:, :3], theirs[:, :3], f"{what}: class, times", rtol=0, atol=1e-6)
        close(rows_in_order(rows)[:, 3], theirs[:, 3], f"{what}: scores", rtol=0)
