"""CO2-Net and DELU: their options, pairs and guards; the numbers are in `tests/golden/test_co2net.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.errors import UsageError
from wtal_core.localization import Proposals
from wtal_core.methods import Progress, create_method
from wtal_core.methods.co2net import CO2Net
from wtal_core.methods.delu import DELU, guide_curve
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training.checks import batch_of, features_of


def make(name: str = "co2net", **changes: Any) -> CO2Net:
    torch.manual_seed(0)
    method = create_method(name, num_classes=3, feature_dim=32, **{"attention_filters": 8, **changes})
    assert isinstance(method, CO2Net)
    return method.eval()


@pytest.mark.parametrize("consensus", ["full", "global", "local", "none"])
@pytest.mark.parametrize("streams", ["both", "rgb", "flow"])
def test_every_consensus_trains_and_localizes(consensus: str, streams: str) -> None:
    method = make(consensus=consensus, streams=streams)
    losses = method.train().losses(batch_of([40] * 8))
    losses["total"].backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    acts = method.activations(features_of(30))
    assert set(acts.attention) == {"foreground", *(["rgb", "flow"] if streams == "both" else [streams])}
    assert ("gate_rgb" in acts.tracks) is (streams != "flow")
    gates = [acts.tracks[f"gate_{s}"].values for s in ("rgb", "flow") if f"gate_{s}" in acts.tracks]
    assert all((gate == 1).all() == (consensus == "none") for gate in gates)
    if streams != "both":
        assert losses["mutual"].item() == 0


def test_without_a_filter_the_attentions_are_the_unfiltered_ones() -> None:
    acts = make(consensus="none").activations(features_of(30))
    for stream in ("rgb", "flow"):
        np.testing.assert_allclose(acts.tracks[f"unfiltered_{stream}"].values, acts.attention[stream], rtol=1e-6)
        np.testing.assert_allclose(acts.tracks[f"kept_energy_{stream}"].values, 1, rtol=1e-6)


def test_the_local_context_is_of_the_other_stream() -> None:
    x = features_of(30)
    changed = x.copy()
    changed[:, 16:] = 0  # flow
    for context, same in (("other", False), ("same", True)):
        method = make(local_context=context)
        before, after = (method.activations(f).attention["rgb"] for f in (x, changed))
        assert np.array_equal(before, after) is same


@pytest.mark.parametrize("mutual", ["mse", "mae", "kl"])
def test_the_mutual_loss_pulls_each_attention_to_the_other(mutual: str) -> None:
    method = make(mutual=mutual)
    rgb, flow = (torch.full((1, 5, 1), v, requires_grad=True) for v in (0.2, 0.6))
    out = replace(method(torch.rand(1, 5, 32)), of_stream={"rgb": rgb, "flow": flow})
    method._mutual(out, None).backward()
    assert rgb.grad is not None
    assert flow.grad is not None
    assert bool((rgb.grad < 0).all())
    assert bool((flow.grad > 0).all())
    equal = replace(out, of_stream={"rgb": rgb, "flow": rgb})
    assert method._mutual(equal, None).item() == pytest.approx(0, abs=1e-7)


def test_pairs_without_a_shared_class_have_no_contrastive_loss() -> None:
    losses = make().losses(batch_of([30] * 4, [[0], [1], [1], [2]]))
    assert losses["contrastive"].item() == 0
    assert bool(losses["total"].isfinite())


def test_only_the_pairs_of_the_recipe_are_contrasted() -> None:
    method = make(**{"training.classes_per_batch": 1})
    alone, more = batch_of([30] * 2, [[0]] * 2), batch_of([30] * 6, [[0]] * 6)
    assert method.losses(more)["contrastive"].item() == pytest.approx(method.losses(alone)["contrastive"].item())


def test_activitynet_pads_as_it_ends() -> None:
    method = make(average_pool=13, topk_ratio=5)
    for name, value in method.losses(batch_of()).items():
        torch.testing.assert_close(method.losses(batch_of(pad=23))[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["co2net", "delu"])
def test_an_even_window_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="odd window"):
        make(name, average_pool=4)


def test_one_stream_of_odd_width_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be told apart"):
        create_method("co2net", num_classes=3, feature_dim=33)


def two_peaks() -> Activations:
    """One snippet above 0.9 inside of what is above 0.1."""
    a = np.full(12, 0.05)
    a[3:9] = 0.5
    a[5] = 0.95
    cas = np.tile(a[:, None], (1, 2)) * 4
    return Activations(
        cas=cas, video_scores=np.array([0.8]), grid=SnippetGrid.preset("i3d-25fps-16", 12), classes=("A",),
        attention={"foreground": a},
    )  # fmt: skip


@pytest.mark.parametrize("suppression", ["soft", "hard", "none"])
def test_short_detections_go_after_the_suppression(suppression: str) -> None:
    base = make().config.localization
    every, long = (
        CO2Net.propose({"v": two_peaks()}, replace(base, suppression=suppression, thresholds=(0.1, 0.9), min_length=n))
        for n in (1, 2)
    )
    assert every.end.size == 2
    assert long.end.size == 1
    kept = int(np.argmax(every.end - every.start))
    assert long.score[0] == every.score[kept]
    assert long.lowered_by[0] == -1  # its rival is no detection
    _refers_to_itself(long)


def _refers_to_itself(proposals: Proposals) -> None:
    for rival in (proposals.suppressed_by, proposals.lowered_by):
        assert (rival < len(proposals)).all()


def test_a_snippet_is_what_plus_one_adds() -> None:
    """On a grid of 6.4 s a snippet, tIoU with one snippet more is what it is at 0.64 s."""
    acts = two_peaks()
    slow = replace(acts, grid=replace(acts.grid, stride=160))
    fast, late = (CO2Net.propose({"v": one}, make().config.localization) for one in (acts, slow))
    np.testing.assert_array_equal(fast.score, late.score)
    np.testing.assert_allclose(10 * fast.end, late.end)


@pytest.mark.parametrize("name", ["co2net", "delu"])
@pytest.mark.parametrize(("classes", "count"), [(20, 46_717_975), (100, 46_881_895)])
def test_networks_have_the_official_size(name: str, classes: int, count: int) -> None:
    unused = 2048 * 2048 * 3 + 2048  # `feat_encoder`
    with torch.device("meta"):
        method = create_method(name, num_classes=classes)
    assert sum(p.numel() for p in method.parameters()) == count - unused
    assert set(method.official_names().values()) == set(method.state_dict())


# -- DELU ---------------------------------------------------------------------------------------------------------


def test_weights_rise_with_the_uncertainty_and_then_fall() -> None:
    lengths = torch.tensor([40, 20])
    begin, middle, end = (guide_curve(Progress(step, 1000), lengths, 40, 0.7) for step in (0, 500, 999))
    assert bool((begin.diff(dim=1) > 0).all())
    torch.testing.assert_close(middle, torch.ones_like(middle))
    assert bool((end.diff(dim=1) < 0).all())
    torch.testing.assert_close(begin[1, :20], guide_curve(Progress(0, 1000), torch.tensor([20]), 20, 0.7)[0])


@pytest.mark.parametrize("kind", ["code", "rank"])
def test_padding_changes_no_weight(kind: str) -> None:
    method = make("delu", uncertainty_rank=kind)
    assert isinstance(method, DELU)
    floored = torch.randn(1, 12, 4, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([floored, torch.zeros(1, 5, 4)], dim=1)
    now = Progress(100, 1000)
    weights = method.guide_weights(floored, torch.ones(1, 12, dtype=torch.bool), now)
    exists = torch.arange(17)[None] < 12
    torch.testing.assert_close(method.guide_weights(padded, exists, now)[:, :12], weights)
    if kind == "rank":
        uncertain = method.snippet_uncertainty(floored)[0].argsort()
        assert bool((weights[0, uncertain].diff() > 0).all())


def test_the_middle_of_the_training_is_the_plain_guide() -> None:
    method = make("delu")
    losses = method.losses(replace(batch_of(), progress=Progress(50, 100)))
    torch.testing.assert_close(losses["uct_guide"], losses["guide"])
    early = method.losses(batch_of())
    assert early["uct_guide"].item() != pytest.approx(early["guide"].item(), rel=1e-4)


def test_videos_without_labels_have_finite_evidence() -> None:
    method = make("delu")
    assert isinstance(method, DELU)
    loss = method.video_evidence_loss(torch.randn(2, 3), torch.zeros(2, 3))
    assert loss.tolist() == [0, 0]
