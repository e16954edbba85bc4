"""CoLA against the official modules (`numbers/cola.npz`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.golden.fidelity import Fidelity, side_by_side
from tests.golden.fixtures import read
from wtal_core.methods import Batch, create_method, temporal_convolution
from wtal_core.methods.cola import CoLA, CoLAConfig, mine_snippets
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid

Golden = dict[str, Any]
PRESET = {"thu": "thumos14", "anet": "activitynet12"}
SETS = {"EA": "easy_action", "EB": "easy_background", "HA": "hard_action", "HB": "hard_background"}
CLASSES = tuple(f"class_{i}" for i in range(20))


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read("cola")


def make(golden: Golden, tag: str, **changes: Any) -> CoLA:
    method = create_method("cola", classes=CLASSES, feature_dim=64, preset=PRESET[tag], width=64, **changes)
    method.load_official({k.removeprefix(f"{tag}/sd/"): v for k, v in golden.items() if k.startswith(f"{tag}/sd/")})
    assert isinstance(method, CoLA)
    return method.eval()


def batch(golden: Golden, tag: str) -> Batch:
    return Batch.of(torch.from_numpy(golden[f"{tag}/x"]), torch.from_numpy(golden[f"{tag}/y"]))


def exists(a: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(a, dtype=torch.bool)


close = Fidelity("cola", rtol=1e-4, atol=1e-5)  # float32 sums of up to 576 products


@pytest.mark.parametrize("tag", PRESET)
def test_network(golden: Golden, tag: str) -> None:
    method = make(golden, tag)
    with torch.no_grad():
        embedding, scores = method(torch.from_numpy(golden[f"{tag}/x"]))
        close(embedding, golden[f"{tag}/embeddings"], "embedding")
        close(scores, golden[f"{tag}/cas"], "CAS")
        close(method.actionness(scores), golden[f"{tag}/actionness"], "actionness")
        close(method.video_logits(scores).softmax(-1), golden[f"{tag}/video_scores"], "video scores")


@pytest.mark.parametrize("tag", [*PRESET, "mining"])
def test_mining(golden: Golden, tag: str) -> None:
    config = create_method("cola", num_classes=20, feature_dim=4, width=4, preset=PRESET.get(tag)).config
    a = torch.from_numpy(golden[f"{tag}/actionness"])
    mined = mine_snippets(a, exists(a), config)
    for short, name in SETS.items():
        chosen = getattr(mined, name)
        assert bool(chosen.used.all())
        np.testing.assert_array_equal(chosen.index.numpy(), golden[f"{tag}/idx_{short}"], err_msg=name)
    close(a * mined.inner, golden[f"{tag}/region_inner_scores"], "bands", rtol=0, atol=0)
    close(a * mined.outer, golden[f"{tag}/region_outer_scores"], "bands", rtol=0, atol=0)
    if tag in PRESET:
        close(mined.threshold, golden[f"{tag}/actionness_median"], "median", rtol=0, atol=0)


@pytest.mark.parametrize("tag", PRESET)
@pytest.mark.parametrize("worth_it", [10**9, 0], ids=["conv1d", "winograd"])
def test_losses_gradients_and_adam_step(
    golden: Golden, tag: str, monkeypatch: pytest.MonkeyPatch, worth_it: int
) -> None:
    monkeypatch.setattr(temporal_convolution, "_WORTH_IT", worth_it)
    method, rate = make(golden, tag), 1e-4
    recipe = method.config.training
    assert (recipe.lr, recipe.weight_decay) == (rate, 5e-4)
    optimizer = method.optimizer(recipe, list(method.parameters()))
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    losses = method.losses(batch(golden, tag))
    same_losses(golden, f"{tag}/loss_", losses)
    losses["total"].backward()
    own = dict(method.named_parameters())
    optimizer_step_of = {official: own[name] for official, name in method.official_names().items()}
    for official, parameter in optimizer_step_of.items():
        assert parameter.grad is not None
        close(parameter.grad.norm(), golden[f"{tag}/gradnorm/{official}"], "gradient norms")
        same_gradient(golden[f"{tag}/grad/{official}"], parameter.grad)
    steps = {name: p.grad + recipe.weight_decay * before[name] for name, p in own.items() if p.grad is not None}
    optimizer.step()
    for official, name in method.official_names().items():
        ours, theirs = side_by_side(own[name], golden[f"{tag}/after_adam_step/{official}"])
        large = np.abs(side_by_side(steps[name], golden[f"{tag}/grad/{official}"])[0]) > 1e-6
        close(ours[large], theirs[large], "Adam step", rtol=0, atol=1e-6)
        close(ours[~large], theirs[~large], "Adam step where the gradient is rounding", rtol=0, atol=2 * rate)


def same_losses(golden: Golden, prefix: str, losses: dict[str, torch.Tensor]) -> None:
    for ours, theirs in {"action": "action", "hard_action": "HA", "hard_background": "HB", "total": "total"}.items():
        close(losses[ours], golden[f"{prefix}{theirs}"], f"loss {ours}", atol=0)
    close(losses["hard_action"] + losses["hard_background"], golden[f"{prefix}snico"], "loss contrast", atol=0)


def same_gradient(theirs: Any, ours: torch.Tensor) -> None:
    largest = np.abs(side_by_side(ours, theirs)[1]).max()
    close(ours, theirs, "gradients", rtol=0, atol=1e-4 * float(largest))


@pytest.mark.parametrize("tag", PRESET)
def test_dropouts_of_training(golden: Golden, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks that the official code drew: of snippets that may become easy, and of the embedding."""
    easy = torch.from_numpy(golden[f"{tag}/easy_keep"])
    channels = torch.from_numpy(golden[f"{tag}/feat_keep"]).transpose(1, 2)  # (B, T, E)
    both = False

    def drawn(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
        assert training
        assert p == (0.6 if x.ndim == 2 else 0.7)
        return x * (easy / 0.4 if x.ndim == 2 else channels / 0.3 if both else 1.0)

    method = make(golden, tag).train()
    monkeypatch.setattr(F, "dropout", drawn)
    mined = []
    monkeypatch.setattr("wtal_core.methods.cola.mine_snippets", lambda *a: mined.append(mine_snippets(*a)) or mined[-1])
    losses = method.losses(batch(golden, tag))
    same_losses(golden, f"{tag}/easydrop_loss_", losses)
    losses["total"].backward()
    own = dict(method.named_parameters())
    for official, name in method.official_names().items():
        gradient = own[name].grad
        assert gradient is not None
        same_gradient(golden[f"{tag}/easydrop_grad/{official}"], gradient)
    both = True
    same_losses(golden, f"{tag}/fulldrop_loss_", method.losses(batch(golden, tag)))
    for found, prefix in zip(mined, ("easydrop", "fulldrop"), strict=True):
        for short, name in SETS.items():
            expected = golden[f"{tag}/{prefix}_idx_{short}"]
            np.testing.assert_array_equal(getattr(found, name).index.numpy(), expected, err_msg=f"{prefix} {name}")
    with torch.no_grad():
        scores = method(torch.from_numpy(golden[f"{tag}/x"]))[1]
    close(scores, golden[f"{tag}/fulldrop_cas"], "CAS")
    close(method.video_logits(scores).softmax(-1), golden[f"{tag}/fulldrop_video_scores"], "video scores")


@pytest.mark.parametrize("wanted", [750, 50])
@pytest.mark.parametrize("length", [1, 7, 49, 50, 51, 60, 749, 750, 751, 2600])
def test_snippets_of_training_and_test(golden: Golden, length: int, wanted: int) -> None:
    method = make(golden, "thu", **{"training.snippets": wanted, "test_snippets": wanted})
    drawn = golden[f"sample/random_L{length}_S{wanted}"]
    low, high = np.arange(wanted) * length // wanted, (np.arange(wanted) + 1) * length // wanted
    for seed in range(20):
        index = method.sample_snippets(method.config.training, "v", length, np.random.default_rng(seed))
        for one in (index, drawn):
            assert one.shape == (wanted,)
            assert (one >= low).all()
            assert (one <= np.minimum(high, length - 1)).all()
    kept = golden[f"sample/uniform_L{length}_S{wanted}"]
    features = np.random.default_rng(0).random((length, 64), dtype=np.float32)
    sampled = method.activations(features)
    assert sampled.grid.num_snippets == len(kept)
    assert sampled.grid.end_seconds == pytest.approx(SnippetGrid.preset("i3d-25fps-16", length).end_seconds)
    method.config = replace(method.config, test_snippets=0)
    close(sampled.cas, method.activations(features[kept]).cas, "CAS of sampled videos", rtol=0, atol=0)


VARIANTS: dict[str, dict[str, Any]] = {
    "ct0.2": {},
    "ct0.05": {"class_threshold": 0.05},
    "nms0.4": {"nms": 0.4},
    "anet": {"class_threshold": 0.1, "cas_thresholds": tuple(np.arange(0.0, 0.15, 0.015).tolist())},
}


def same_localization(golden: Golden, key: str, acts: Activations, variant: str) -> None:
    """Compare proposals with rows (class, score, start, end), detections with rows (start, end, class, score)."""
    config = CoLAConfig(localization=replace(CoLAConfig().localization, **VARIANTS[variant])).localization
    every = CoLA.propose({"v": acts}, config)
    order = np.argsort(every.label, kind="stable")  # by class, both sources one after the other
    ours = np.stack([every.label, every.score, every.start, every.end], axis=1)[order]
    theirs = golden.get(f"{key}proposals")
    if theirs is not None:
        close(ours, theirs, "proposals: class, score, times", rtol=0, atol=1e-5)
    found = CoLA.localize_many({"v": acts}, config)
    label = [acts.classes.index(name) for name in found.label]
    ours, theirs = np.stack([found.start, found.end, label, found.score], axis=1), golden[f"{key}det_stable"]
    assert ours.shape == theirs.shape
    order, other = (np.lexsort((r[:, 1].round(4), r[:, 0].round(4), r[:, 2])) for r in (ours, theirs))
    close(ours[order][:, :3], theirs[other][:, :3], "detections: class, times", rtol=0, atol=1e-6)
    close(ours[order][:, 3], theirs[other][:, 3], "detections: scores", rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [23, 60, 173])
def test_videos(golden: Golden, length: int) -> None:
    tag = f"vid{length}"
    acts = make(golden, "thu").activations(golden[f"{tag}/x"])
    close(acts.cas, golden[f"{tag}/cas"], "CAS")
    close(acts.attention["actionness"], golden[f"{tag}/actionness"], "actionness")
    close(acts.video_scores, golden[f"{tag}/video_scores"], "video scores")
    theirs = replace(
        acts, cas=golden[f"{tag}/cas"], video_scores=golden[f"{tag}/video_scores"],
        attention={"actionness": golden[f"{tag}/actionness"]},
    )  # fmt: skip
    for variant in VARIANTS:
        same_localization(golden, f"{tag}/{variant}_", theirs, variant)


def given(golden: Golden, name: str) -> Activations:
    cas, scores = golden[f"pp_{name}/cas"], golden[f"pp_{name}/score"]
    grid, length = SnippetGrid.preset("i3d-25fps-16", len(cas)), int(golden[f"pp_{name}/v_len"])
    return Activations(
        cas=cas, video_scores=scores, grid=replace(grid, stride=grid.stride * length / len(cas)), classes=CLASSES,
        attention={"actionness": golden[f"pp_{name}/actionness"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["two", "longer", "none_above", "T2", "T5", "zero", "const", "first_only", "single_peak", "last_only",
     "first_and_one"],
)  # fmt: skip
def test_localization_alone(golden: Golden, name: str) -> None:
    same_localization(golden, f"pp_{name}/", given(golden, name), "ct0.2")


@pytest.mark.parametrize("length", [1, 3, 4])
def test_very_short_videos_have_scores(golden: Golden, length: int) -> None:
    """The official code divides 0 by 0 there: k = 0 snippets. Here k is at least 1."""
    tag = f"pp_T{length}"
    assert np.isnan(golden[f"{tag}/score"]).all()
    acts = make(golden, "thu").activations(golden["vid23/x"][:length])
    assert acts.tracks["k_easy"].values == acts.tracks["k_hard"].values == 1
    found = CoLA.localize_many({"v": acts}, CoLAConfig().localization)
    assert np.isfinite(found.score).all()


def test_activations_show_the_mining(golden: Golden) -> None:
    acts = make(golden, "thu").activations(golden["thu/x"][0])
    a, tracks = golden["thu/actionness"][0], acts.tracks
    for short, name in SETS.items():
        chosen = golden[f"thu/idx_{short}"][0]
        np.testing.assert_array_equal(np.flatnonzero(tracks[name].values), np.sort(chosen))
    for short, region in (("HA", "inner"), ("HB", "outer")):
        chosen, band = golden[f"thu/idx_{short}"][0], golden[f"thu/region_{region}_scores"][0]
        fill = np.sort(chosen[band[chosen] <= 0])
        np.testing.assert_array_equal(np.flatnonzero(tracks[f"{SETS[short]}_fill"].values), fill)
        np.testing.assert_array_equal(tracks[f"{region}_band"].values & (a > 0), band > 0)
    close(tracks["median"].values, np.full(len(a), golden["thu/actionness_median"][0, 0]), "median")
    np.testing.assert_array_equal(tracks["action_mask"].values, a > np.median(a))
    e = acts.embedding / np.linalg.norm(acts.embedding, axis=1, keepdims=True)
    for short in ("EA", "EB"):
        mean = acts.embedding[golden[f"thu/idx_{short}"][0]].mean(0)
        close(tracks[f"cosine_{SETS[short]}"].values, e @ mean / np.linalg.norm(mean), "cosine to the easy mean")
