"""CoLA: its options, and what its mining does at the ends of videos; the numbers are in `tests/golden/test_cola.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.errors import UsageError
from wtal_core.methods import create_method
from wtal_core.methods.cola import CoLA, CoLAConfig, mine_snippets
from wtal_core.training.checks import batch_of, features_of


def make(**changes: Any) -> CoLA:
    torch.manual_seed(0)
    method = create_method("cola", num_classes=3, feature_dim=32, **{"width": 16, **changes})
    assert isinstance(method, CoLA)
    return method.eval()


def test_cross_entropy_is_the_papers_classification_loss() -> None:
    batch, logits = batch_of(), torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    targets = batch.labels / batch.labels.sum(1, keepdim=True)
    ce = make(classification="ce")._classification_loss(logits, batch.labels)
    torch.testing.assert_close(ce, torch.nn.functional.cross_entropy(logits, targets))
    bce = make()._classification_loss(logits, batch.labels)
    torch.testing.assert_close(bce, torch.nn.functional.binary_cross_entropy(logits.softmax(-1), targets))


def test_a_certain_wrong_class_costs_a_finite_loss_with_a_gradient() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = make()._classification_loss(logits, torch.tensor([[0.0, 1.0, 0.0]]))
    assert loss.item() == pytest.approx(200 / 3)  # both logarithms are floored at -100, as PyTorch's are
    loss.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_weights_make_the_total() -> None:
    weights = {"action_weight": 3.0, "contrast_weight": 0.5, "hard_action_weight": 2.0, "hard_background_weight": 0.25}
    losses = make(**weights).losses(batch_of())
    expected = 3 * losses["action"] + 0.5 * (2 * losses["hard_action"] + 0.25 * losses["hard_background"])
    torch.testing.assert_close(losses["total"], expected)


def test_activitynet_pads_as_it_ends() -> None:
    method = make(kernel=9, classifier="dilated")
    for name, value in method.losses(batch_of()).items():
        torch.testing.assert_close(method.losses(batch_of(pad=23))[name], value, rtol=1e-4, atol=1e-5)


def test_the_working_preset_weighs_the_classification_ten_times() -> None:
    released, working = (CoLA.preset_config(name) for name in ("activitynet12", "activitynet12-working"))
    assert (released.action_weight, working.action_weight) == (1, 10)
    assert released.training == working.training


def test_bands_lie_at_both_sides_of_a_boundary() -> None:
    a = torch.zeros(1, 30)
    a[0, 10:20] = 1
    config = CoLAConfig(binarise="absolute", hard_ratio=10)
    mined = mine_snippets(a, torch.ones(1, 30, dtype=torch.bool), config)
    assert mined.inner[0].nonzero().flatten().tolist() == [11, 12, 18]  # an even window is not centred
    assert mined.outer[0].nonzero().flatten().tolist() == [7, 8, 21]
    assert mined.hard_action.index.tolist() == [[11, 12, 18]]
    assert not bool(mined.hard_action.fill.any())
    assert mined.hard_background.index.tolist() == [[0, 1, 2]]  # nothing in the band is above 0: the set is filled up
    assert bool(mined.hard_background.fill.all())


def test_a_constant_binarises_in_the_place_of_the_median() -> None:
    a = torch.arange(10.0)[None] / 10
    exists = torch.ones(1, 10, dtype=torch.bool)
    assert mine_snippets(a, exists, CoLAConfig()).action.sum() == 5
    assert mine_snippets(a, exists, CoLAConfig(binarise="absolute", binarise_at=0.75)).action.sum() == 2


def test_sigmoid_bounds_the_actionness() -> None:
    x = features_of(30)
    a, bounded = (make(actionness=kind).activations(x).attention["actionness"] for kind in ("sum", "sigmoid"))
    np.testing.assert_allclose(bounded, 1 / (1 + np.exp(-a)), rtol=1e-5)


@pytest.mark.parametrize(("streams", "changed"), [("rgb", slice(16, None)), ("flow", slice(16))])
def test_a_stream_alone_does_not_see_the_other(streams: str, changed: slice) -> None:
    method, x = make(streams=streams), features_of(20)
    before = method.activations(x).cas
    x[:, changed] = 0
    np.testing.assert_array_equal(method.activations(x).cas, before)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(UsageError, match="odd kernel"):
        make(kernel=4)


@pytest.mark.parametrize(
    ("preset", "classes", "count"), [("thumos14", 20, 12_625_920), ("activitynet12", 100, 39_594_684)]
)
def test_networks_have_the_official_size(preset: str, classes: int, count: int) -> None:
    with torch.device("meta"):
        method = create_method("cola", num_classes=classes, preset=preset)
    assert sum(p.numel() for p in method.parameters()) == count
    assert set(method.official_names().values()) == set(method.state_dict())
