"""Every row of every table and figure that the five papers print (`wtal_core/papers/experiments.py`) is a setting: each
builds the method, trains a step and localizes.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.methods import Batch, Method, create_method
from wtal_core.papers import EXPERIMENTS, get_paper
from wtal_core.training.planted import CLASSES

DIM, LENGTHS = 16, (40, 40, 33, 25)
HAMNET = ("bcl", "sal", "ssal", "hal", "sparse", "guide")

SMALL: dict[str, dict[str, Any]] = {
    "acn": {"anchors": (1, 2, 4, 8), "hidden": 8},
    "cmcs": {},
    "deep_metric": {"training.batch_size": 4, "training.classes_per_batch": 1},
    "hamnet": {"attention_filters": 8},
    "acmnet": {},
}

#: Weights of the terms in `total`, for methods whose losses carry them in the config.
WEIGHTS: dict[str, dict[str, str]] = {
    "cmcs": {t: f"{t}_weight" for t in ("mil", "div", "norm")},
    "hamnet": {t: f"{t}_weight" for t in HAMNET},
    "acmnet": {
        "cls_ins": "instance_weight", "cls_con": "context_weight", "cls_bak": "background_weight",
        "guide": "guide_weight", "feat": "feat_weight", "sparse": "sparse_weight",
    },
    "deep_metric": {
        "bbce": "classification_weight", "bce": "classification_weight", "softmax": "classification_weight",
        "triplet": "metric_weight", "contrastive": "metric_weight",
    },
}  # fmt: skip


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]
    features = torch.rand(len(LENGTHS), max(LENGTHS), DIM, generator=generator) * mask[..., None]
    labels = torch.zeros(len(LENGTHS), len(CLASSES))
    labels[:, 0] = 1
    return Batch.of(features, labels, mask=mask)


def expected_total(method: Method, losses: dict[str, torch.Tensor], stage: str) -> torch.Tensor:
    """Return the combination of the terms that the method documents."""
    terms = {name: value for name, value in losses.items() if name != "total"}
    if method.name == "acn":
        kept = [v for n, v in terms.items() if n.startswith("cls_" if stage == "head" else "coherence_loss_")]
        return torch.stack(kept).sum()
    weighted = [getattr(method.config, WEIGHTS[method.name][name]) * value for name, value in terms.items()]
    # CMCS adds up the gradients of its videos, whose terms are reported as means.
    return torch.stack(weighted).sum() * (len(LENGTHS) if method.name == "cmcs" else 1)


CASES = {f"{experiment.name}: {row.name}": (experiment, row) for experiment in EXPERIMENTS for row in experiment.rows}


@pytest.mark.parametrize("case", CASES)
def test_a_row_is_a_setting(case: str) -> None:
    experiment, row = CASES[case]
    name, changes = get_paper(experiment.paper).method, row.changes
    torch.manual_seed(0)
    method = create_method(name, classes=CLASSES, feature_dim=DIM, preset=row.preset, **{**SMALL[name], **changes})
    for key, value in changes.items():
        assert attrgetter(key)(method.config) == value
    for stage in method.stages():
        with torch.no_grad():
            method.eval().prepare(stage.name, [batch()])
        method.train().zero_grad()
        torch.manual_seed(1)
        losses = method.losses(batch(), stage=stage.name)
        assert all(bool(torch.isfinite(value)) for value in losses.values()), losses
        torch.testing.assert_close(losses["total"], expected_total(method, losses, stage.name), rtol=1e-5, atol=1e-5)
        torch.autograd.backward(losses["total"])
        torch.optim.SGD(method.parameters(), lr=1e-6).step()
        assert all(bool(torch.isfinite(p).all()) for p in method.parameters())
    found = method.localize(method.activations(batch().features[0]), video="v")
    assert np.isfinite(found.score).all()
