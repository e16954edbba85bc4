"""ACM-Net against the official modules (`numbers/acmnet.npz`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.methods import Batch, create_method
from wtal_core.methods.acmnet import BRANCHES, ACMNet
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid

Golden = dict[str, Any]
PRESET = {"thu64": "thumos14", "act64": "activitynet13", "short64": "thumos14"}


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read("acmnet")


def make(golden: Golden, tag: str) -> ACMNet:
    """Return a network with the weights that all tags share, under the names of the tag's official file."""
    method = create_method("acmnet", num_classes=20, feature_dim=golden[f"{tag}/x"].shape[-1], preset=PRESET[tag])
    prefix, conv = "thu64/sd/", "feature_embedding.1" if tag == "act64" else "feature_embedding.0"
    weights = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    method.load_official({k.replace("feature_embedding.0", conv): v for k, v in weights.items()})
    assert isinstance(method, ACMNet)
    return method.eval()


close = Fidelity("acmnet", rtol=1e-4, atol=1e-5)  # float32 sums of 192 products


@pytest.mark.parametrize("tag", PRESET)
def test_network(golden: Golden, tag: str) -> None:
    method = make(golden, tag)
    features = torch.from_numpy(golden[f"{tag}/x"])
    with torch.no_grad():
        x, attention, logits = method(features)
        video = method.video_logits(attention, logits)
        chosen = method.branch_features(x, attention, torch.ones(features.shape[:2], dtype=torch.bool))
    close(x, golden[f"{tag}/embedded"], "embedding")
    close(attention, golden[f"{tag}/att"], "attentions")
    close(logits, golden[f"{tag}/logits"], "logits")
    close(logits.softmax(-1), golden[f"{tag}/cas"], "CAS")
    for i, (branch, short) in enumerate(zip(BRANCHES, ("inst", "cont", "back"), strict=True)):
        close(video[branch].softmax(-1), golden[f"{tag}/{short}_cls"], "video scores")
        close(chosen[branch], golden[f"{tag}/{short}_feat"], "branch features")
        close((logits * attention[..., i : i + 1]).softmax(-1), golden[f"{tag}/{short}_cas"], "CAS")

    acts = method.activations(golden[f"{tag}/x"][0])
    theirs, attention = torch.from_numpy(golden[f"{tag}/logits"][0]), torch.from_numpy(golden[f"{tag}/att"][0])
    close(acts.cas, (theirs * attention[:, :1]).softmax(-1), "CAS")
    close(acts.extra_cas["unattended"], theirs.softmax(-1), "CAS")
    close(acts.video_scores, golden[f"{tag}/inst_cls"][0, :20], "video scores")
    for i, branch in enumerate(BRANCHES):
        close(acts.attention[branch], attention[:, i], "attentions")


@pytest.mark.parametrize(("length", "wanted"), [(1000, 750), (751, 750), (750, 750), (300, 750), (2000, 75), (10, 75)])
def test_long_videos_are_sampled_as_by_the_official_test(golden: Golden, length: int, wanted: int) -> None:
    method, kept = make(golden, "thu64"), golden[f"sample/uniform_{length}_{wanted}"]
    features = np.random.default_rng(0).random((length, 64), dtype=np.float32)
    method.config = replace(method.config, test_snippets=0)
    theirs = method.activations(features[kept])
    method.config = replace(method.config, test_snippets=wanted)
    close(method.activations(features).cas, theirs.cas, "CAS of sampled videos", rtol=0, atol=0)


@pytest.mark.parametrize("tag", PRESET)
def test_losses_gradients_and_adam_steps(golden: Golden, tag: str) -> None:
    method = make(golden, tag)
    batch = Batch.of(torch.from_numpy(golden[f"{tag}/x"]), torch.from_numpy(golden[f"{tag}/y"]))
    decay = method.config.training.weight_decay
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4, weight_decay=decay)
    names = method.official_names()
    assert (method.config.guide_weight, method.config.feat_weight, method.config.sparse_weight) == pytest.approx(
        tuple(golden[f"{tag}/lambdas"])
    )
    for step in range(2):
        optimizer.zero_grad()
        losses = method.losses(batch)
        losses["total"].backward()
        if step == 0:
            for ours, theirs in {
                "cls_ins": "act_inst_loss",
                "cls_con": "act_cont_loss",
                "cls_bak": "act_back_loss",
                "guide": "guide_loss",
                "feat": "feat_loss",
                "sparse": "sparse_loss",
                "total": "total",
            }.items():
                close(losses[ours], golden[f"{tag}/loss_{theirs}"], f"loss {ours}", atol=0)
            parameters = dict(method.named_parameters())
            for official, name in names.items():
                gradient = parameters[name].grad
                assert gradient is not None
                close(gradient, golden[f"{tag}/grad/{official}"], "gradients")
        optimizer.step()
    for official, name in names.items():
        close(method.state_dict()[name], golden[f"{tag}/sd_after2/{official}"], "two Adam steps")


@pytest.mark.parametrize(("variant", "preset"), [("thu", "thumos14"), ("act", "activitynet13")])
def test_detections(golden: Golden, variant: str, preset: str) -> None:
    """From what a trained network put out (256 channels, synthetic video)."""
    scores, attention = golden["tr256/inst_cls"][0, :20], golden["tr256/att"][0]
    grid = SnippetGrid.preset("i3d-25fps-16", len(attention))
    assert grid.step_seconds / 20 == pytest.approx(float(golden["tr256/t_factor"]))
    acts = Activations(
        cas=golden["tr256/inst_cas"][0],
        video_scores=scores,
        grid=grid,
        classes=tuple(f"class_{i}" for i in range(20)),
        attention={name: attention[:, i] for i, name in enumerate(BRANCHES)},
    )
    localization = create_method("acmnet", num_classes=20, feature_dim=256, preset=preset).config.localization
    found = ACMNet.localize_many({"v": acts}, localization)
    every = ACMNet.propose({"v": acts}, localization)
    ours = np.stack([every.label, every.score, every.start, every.end], axis=1)
    theirs = golden[f"tr256/proposals_before_nms_{variant}"]
    order = [np.lexsort((a[:, 1].round(4), a[:, 3].round(4), a[:, 2].round(4), a[:, 0])) for a in (ours, theirs)]
    ours, theirs = ours[order[0]], theirs[order[1]]
    close(ours[:, [0, 2, 3]], theirs[:, [0, 2, 3]], "proposals: class, times", rtol=1e-7, atol=1e-6)
    close(ours[:, 1], theirs[:, 1], "proposals: scores", rtol=0, atol=1e-4)

    theirs = golden[f"tr256/det_{variant}"]
    ours = np.stack([[acts.classes.index(c) for c in found.label], found.start, found.end, found.score], axis=1)
    assert ours.shape == theirs.shape
    order = [np.lexsort((a[:, 1].round(4), -a[:, 3].round(4), a[:, 0])) for a in (ours, theirs)]
    ours, theirs = ours[order[0]], theirs[order[1]]
    close(ours[:, :3], theirs[:, :3], "detections: class, times", rtol=1e-7, atol=1e-6)
    close(ours[:, 3], theirs[:, 3], "detections: scores", rtol=0, atol=1e-4)
