"""Deep metric learning against the official modules (`numbers/deep_metric.npz`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.methods import Batch, create_method
from wtal_core.methods.deep_metric import DeepMetric, block_scores, noisy_or

Golden = dict[str, Any]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read("deep_metric")


@pytest.fixture
def method(golden: Golden) -> DeepMetric:
    method = create_method("deep_metric", num_classes=20, feature_dim=64)
    method.load_official({k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")})
    assert isinstance(method, DeepMetric)
    return method.eval()


@pytest.fixture
def batch(golden: Golden) -> Batch:
    length = torch.from_numpy(golden["seq_len"])
    return Batch.of(
        torch.from_numpy(golden["x"]),
        torch.from_numpy(golden["labels"]),
        mask=torch.arange(golden["x"].shape[1])[None] < length[:, None],
    )


close = Fidelity("deep_metric", rtol=1e-4, atol=1e-4)  # float32; log(1 - P + 1e-8) near P = 1 is that exact


def test_network(method: DeepMetric, batch: Batch, golden: Golden) -> None:
    with torch.no_grad():
        u, s = method(batch.features)
    close(u[:, :40], golden["eval_embedding"], "embedding", atol=1e-5)
    close(s, golden["eval_logits"], "CAS (logits)", atol=1e-5)


def test_blocks_and_noisy_or(method: DeepMetric, batch: Batch, golden: Golden) -> None:
    with torch.no_grad():
        _, s = method(batch.features)
        blocks, exists = block_scores(s.clamp(-4, 4), batch.lengths, 60, 10)
    assert exists.sum(1).tolist() == golden["n_blocks"].tolist()
    close(blocks.sigmoid()[exists], golden["block_prob_concat"], "block probabilities", atol=1e-6)
    close(noisy_or(blocks, exists), golden["video_prob"], "noisy-or", atol=1e-6)


def test_classification_loss_of_each_video(method: DeepMetric, batch: Batch, golden: Golden) -> None:
    with torch.no_grad():
        _, s = method(batch.features)
        blocks, exists = block_scores(s.clamp(-4, 4), batch.lengths, 60, 10)
        for v, (present, absent) in enumerate(zip(golden["bbce_pos"], golden["bbce_neg"], strict=True)):
            one = slice(v, v + 1)
            loss = method._classification_loss(blocks[one], exists[one], batch.labels[one])
            close(loss, (present + absent) / 2, "loss BBCE of each video")


def test_aggregated_features_and_metric_terms(method: DeepMetric, batch: Batch, golden: Golden) -> None:
    rows = golden["metric_terms"]
    with torch.no_grad():
        u, s = method(batch.features)
        for group, label, d_plus, d_minus, hinge in rows:
            classes = torch.tensor([int(label)])
            videos = int(group) * 4 + torch.arange(4)[None]
            z, z_low = method.aggregate(u, s.clamp(-4, 4), batch.mask, videos, classes)
            column = [int(r[1]) for r in rows if r[0] == group].index(int(label))
            close(z[0].T, golden[f"z_high/g{int(group)}"][..., column], "aggregated features", atol=1e-6)
            close(z_low[0].T, golden[f"z_low/g{int(group)}"][..., column], "aggregated features", atol=1e-6)
            within = method.squared_distance(z[:, :, None] - z[:, None], z[:, :, None], z[:, None], classes)
            across = method.squared_distance(z[:, :, None] - z_low[:, None], z[:, :, None], z_low[:, None], classes)
            others = ~torch.eye(4, dtype=torch.bool)
            close(within[0][others].mean(), d_plus, "distances d+, d-", rtol=1e-6, atol=1e-5)
            close(across[0][others].mean(), d_minus, "distances d+, d-", rtol=1e-6, atol=1e-5)
            assert max(0.0, d_plus - d_minus + 3) == pytest.approx(hinge, abs=1e-5)


def test_losses_gradients_and_adam_step(method: DeepMetric, batch: Batch, golden: Golden) -> None:
    optimizer = torch.optim.Adam(method.parameters(), lr=2e-4)
    losses = method.losses(batch)
    close(losses["bbce"], golden["loss_bbce"], "loss BBCE", atol=0)
    close(losses["triplet"], golden["loss_metric"], "loss metric", atol=0)
    close(losses["total"], golden["loss_total"], "loss total", atol=0)
    losses["total"].backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None
        close(parameter.grad, golden[f"grad/{name}"], "gradients", atol=1e-5)
    optimizer.step()
    for name, parameter in method.named_parameters():
        close(parameter, golden[f"after_adam_step/{name}"], "Adam step", atol=1e-5)


def test_detections(method: DeepMetric, golden: Golden) -> None:
    rows = []
    for video in range(5):
        acts = method.activations(golden[f"vid{video}_x"])
        close(acts.cas, golden[f"vid{video}_logits"], "CAS (logits)", atol=1e-5)
        close(acts.video_scores, golden["video_cscore"][video], "video scores", atol=1e-5)
        found = method.localize(acts, video=str(video))
        classes = np.array([acts.classes.index(label) for label in found.label])
        start, end = acts.grid.to_position(found.start), acts.grid.to_position(found.end)
        rows.append(np.stack([np.full(len(found), video), start, end, classes, found.score], axis=1))
    ours, theirs = np.concatenate(rows), golden["det_all"]
    assert ours.shape == theirs.shape
    order = [np.lexsort((a[:, 1].round(3), a[:, 3], a[:, 0])) for a in (ours, theirs)]
    ours, theirs = ours[order[0]], theirs[order[1]]
    close(ours[:, :4], theirs[:, :4], "detections: class, times (snippets)", rtol=0, atol=1e-6)
    close(ours[:, 4], theirs[:, 4], "detections: scores")
