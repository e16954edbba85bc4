"""ACM-Net against the official modules (`acm_golden.npz`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity
from wtal_core.methods import Batch, create_method
from wtal_core.methods.acmnet import BRANCHES, ACMNet
from wtal_core.snippet_grid import SnippetGrid

Golden = dict[str, np.ndarray]
PRESET = {"thu64": "thumos14", "act64": "activitynet13", "short64": "thumos14", "tr256": "thumos14"}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    with np.load(shared / "golden" / "acm_golden.npz") as file:
        return {key: file[key] for key in file.files}


def make(golden: Golden, tag: str) -> ACMNet:
    dim = golden[f"{tag}/x"].shape[-1]
    method = create_method("acmnet", num_classes=20, feature_dim=dim, preset=PRESET[tag])
    prefix = f"{tag}/sd/"
    method.load_official({k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)})
    assert isinstance(method, ACMNet)
    return method.eval()


close = Fidelity("acmnet", rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("tag", ["thu64", "act64", "short64"])
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
    method = make(golden, "tr256")
    length = int(golden["tr256/vid_len"])
    grid = SnippetGrid.preset("i3d-25fps-16", length)
    acts = method.activations(golden["tr256/x"][0], grid=grid)
    close(acts.cas, golden["tr256/inst_cas"][0], "CAS")
    close(acts.video_scores, golden["tr256/inst_cls"][0, :20], "video scores")
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
