"""What CO2-Net and DELU are compared by alike: network, losses, gradients, one step, videos, localization."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tests.golden.fidelity import Fidelity, side_by_side
from tests.golden.fixtures import Sample
from wtal_core.intervals import IntervalIndex
from wtal_core.methods import Batch, Progress, create_method, temporal_convolution
from wtal_core.methods.co2net import CO2Net
from wtal_core.records import Activations, Detections
from wtal_core.snippet_grid import SnippetGrid

__all__ = [
    "CLASSES",
    "PRESET",
    "batch_of",
    "given",
    "make",
    "plain_convolutions",
    "same_detections",
    "same_losses",
    "same_network",
    "same_step",
    "same_video",
]

Golden = dict[str, Any]
PRESET = {"thu": "thumos14", "act": "activitynet12"}
CLASSES = tuple(f"class_{i}" for i in range(20))
VARIANTS: dict[str, dict[str, Any]] = {"": {}, "ct0.05_": {"class_threshold": 0.05}, "nosoft_": {"suppression": "none"}}


def make(name: str, golden: Golden, tag: str, **changes: Any) -> CO2Net:
    method = create_method(name, classes=CLASSES, feature_dim=64, preset=PRESET[tag], attention_filters=16, **changes)
    weights = {k.removeprefix(f"{tag}/sd/"): v for k, v in golden.items() if k.startswith(f"{tag}/sd/")}
    method.load_official(weights)
    assert isinstance(method, CO2Net)
    return method.eval()


def batch_of(golden: Golden, tag: str, progress: Progress | None = None) -> Batch:
    batch = Batch.of(torch.from_numpy(golden[f"{tag}/x"]), torch.from_numpy(golden[f"{tag}/y"]))
    return replace(batch, progress=progress or Progress())


def same_network(close: Fidelity, golden: Golden, tag: str, method: CO2Net) -> None:
    with torch.no_grad():
        out = method(torch.from_numpy(golden[f"{tag}/x"]))
    close(out.logits, golden[f"{tag}/cas"], "CAS (logits)")
    close(out.attention, golden[f"{tag}/attn"], "attention")
    close(out.of_stream["rgb"], golden[f"{tag}/v_atn"], "attention of each stream")
    close(out.of_stream["flow"], golden[f"{tag}/f_atn"], "attention of each stream")
    close(out.floored, golden[f"{tag}/cas_supp"], "floored CAS")


def same_losses(
    close: Fidelity, golden: Golden, prefix: str, losses: dict[str, torch.Tensor], more: tuple[str, ...] = ()
) -> None:
    """Compare the terms; the official code reports `norm` and `guide` of each attention."""
    for term in ("mil_orig", "mil_supp", "contrastive", "mutual", "total", *more):
        close(losses[term], golden[f"{prefix}loss_{term}"], f"loss {term}", atol=0)
    for term in ("norm", "guide"):
        theirs = np.mean([golden[f"{prefix}loss_{stream}{term}"] for stream in ("", "v_", "f_")])
        close(losses[term], theirs, f"loss {term}", atol=0)


def same_step(
    close: Fidelity, golden: Golden, tag: str, method: CO2Net, batch: Batch, more: tuple[str, ...] = ()
) -> None:
    """Compare losses, gradients and one Adam step."""
    recipe, own = method.config.training, dict(method.named_parameters())
    optimizer = method.optimizer(recipe, list(method.parameters()))
    losses = method.losses(batch)
    same_losses(close, golden, f"{tag}/", losses, more)
    losses["total"].backward()
    before = {name: p.detach().clone() for name, p in own.items()}
    optimizer.step()
    compared = 0
    for official, name in method.official_names().items():
        gradient, theirs = own[name].grad, golden[f"{tag}/grad/{official}"]
        assert gradient is not None
        largest = np.abs(theirs.values if isinstance(theirs, Sample) else theirs).max()
        close(gradient, theirs, "gradients", rtol=0, atol=1e-4 * float(largest) + 1e-8)
        after = golden.get(f"{tag}/after_adam_step/{official}")
        if after is None:
            continue
        a, b = side_by_side(own[name], after)
        step = np.abs(side_by_side(gradient + recipe.weight_decay * before[name], after)[0])
        close(a[step > 1e-6], b[step > 1e-6], "Adam step", rtol=0, atol=1e-6)
        close(a, b, "Adam step, also where the gradient is rounding", rtol=0, atol=2 * recipe.lr)
        compared += a.size
    assert compared > 500


def same_video(close: Fidelity, golden: Golden, number: int, tag: str, method: CO2Net, thresholds: int) -> None:
    """Compare what a test video gets: outputs, and detections of what the official network put out."""
    key = f"vid{number}/{tag}_"
    acts = method.activations(golden[f"vid{number}/x"])
    close(acts.cas, golden[f"{key}cas"], "CAS (logits)")
    close(acts.attention["foreground"], golden[f"{key}attn"], "attention")
    close(acts.video_scores, golden[f"{key}video_score"], "video scores")
    assert len(method.config.localization.thresholds) == thresholds
    same_detections(close, golden, key, number, acts, method)


def given(golden: Golden, name: str, method: CO2Net) -> Activations:
    """Return activations of given logits and attention."""
    cas, a = torch.from_numpy(golden[f"pp_{name}/cas"]), torch.from_numpy(golden[f"pp_{name}/attn"])
    k = max(1, len(cas) // method.config.test_ratio)
    scores = (a[:, None] * cas).topk(k, dim=0).values.mean(0).softmax(-1)[:20]
    grid = SnippetGrid.preset("i3d-25fps-16", len(cas))
    return Activations(
        cas=cas.numpy(), video_scores=scores.numpy(), grid=grid, classes=CLASSES, attention={"foreground": a.numpy()}
    )


def same_detections(close: Fidelity, golden: Golden, key: str, number: int, acts: Activations, method: CO2Net) -> None:
    """Compare with official rows (start, end, class, score) in snippets, without those on ambiguous intervals."""
    for variant, changes in VARIANTS.items():
        theirs = golden[f"{key}{variant}det"]
        for length in (1, 2):
            wanted = theirs[theirs[:, 1] - theirs[:, 0] >= length]
            found = method.localize(acts, video=str(number), min_length=length, **changes)
            ours = _certain(golden["ambiguous"], number, acts, found)
            assert ours.shape == wanted.shape
            a, b = (r[np.lexsort((r[:, 3], r[:, 1].round(), r[:, 0].round(), r[:, 2]))] for r in (ours, wanted))
            close(a[:, :3], b[:, :3], "detections: class, times (snippets)", rtol=0, atol=1e-6)
            close(a[:, 3], b[:, 3], "detections: scores", rtol=0, atol=1e-4)


def _certain(ambiguous: np.ndarray, number: int, acts: Activations, found: Detections) -> np.ndarray:
    label = [acts.classes.index(name) for name in found.label]
    position = [acts.grid.to_position(times) for times in (found.start, found.end)]
    rows = np.stack([*position, label, found.score], axis=1).astype(np.float64)
    begin, end = (acts.grid.nearest_boundary(ambiguous[:, i]) for i in (1, 2))
    unclear = IntervalIndex(ambiguous[:, 0].astype(np.int64), begin.astype(float), end.astype(float))
    group = np.full(len(rows), number, dtype=np.int64)
    left = ~unclear.touched(group, rows[:, 0].round(), rows[:, 1].round())
    return rows[left]


def plain_convolutions(monkeypatch: Any, plain: bool) -> None:
    """Let convolutions over time be PyTorch's, or Winograd's."""
    monkeypatch.setattr(temporal_convolution, "_WORTH_IT", 10**9 if plain else 0)
