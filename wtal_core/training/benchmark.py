"""How long a training step and the localization of a test set take, on features of real size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from wtal_core.devices import memory_bytes, synchronize
from wtal_core.methods import Batch, Method, Recipe, Sampler, arithmetic, create_method
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["LocalizeTime", "StepTime", "thumos_lengths", "time_localization", "time_method", "time_step"]


@dataclass(frozen=True)
class StepTime:
    """Seconds of training steps: forward, losses, backward, optimiser; wall and processor time of each."""

    method: str
    stage: str
    videos: int
    snippets: int
    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    peak_bytes: int | None


@dataclass(frozen=True)
class LocalizeTime:
    """Seconds of the localization of a whole test set, stored activations to detections."""

    method: str
    videos: int
    snippets: int
    proposals: int
    detections: int
    wall: tuple[float, ...]
    cpu: tuple[float, ...]


def thumos_lengths(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return video lengths in snippets like THUMOS14's test set: median 253, mean 338, 71,691 in 212 videos.

    Durations there have a median of 161.7 s and a mean of 216.8 s at 0.64 s a snippet; a log-normal with these fits.
    """
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(2 * np.log(216.8 / 161.7))
    return np.clip(rng.lognormal(np.log(161.7 / 0.64), sigma, count), 23, 2614).astype(np.int64)


def _features(length: int, dim: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    return rng.gamma(0.6, 0.2, (length, dim)).astype(np.float32)


def time_step(
    name: str,
    *,
    preset: str | None = None,
    dim: int = 2048,
    classes: int = 20,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    repeats: int = 3,
    seed: int = 0,
) -> list[StepTime]:
    """Time steps at the official batch size and video lengths, one entry for each training stage."""
    torch.manual_seed(seed)
    method = create_method(name, num_classes=classes, feature_dim=dim, preset=preset)
    return time_method(method, device=device, precision=precision, repeats=repeats, seed=seed)


def time_method(
    method: Method,
    *,
    lengths: Sequence[int] = (),
    device: torch.device | str = "cpu",
    precision: str = "float32",
    repeats: int = 3,
    seed: int = 0,
) -> list[StepTime]:
    """Time steps of a method on random features, one entry for each training stage.

    Args:
        method: is moved to the device.
        lengths: snippets of the training videos; default: lengths like THUMOS14's.
        device, precision: where and how to compute.
        repeats: steps that are timed, after one that is not.
        seed: of features and batches.
    """
    rng = np.random.default_rng(seed)
    device, dim, classes = torch.device(device), method.feature_dim, method.num_classes
    method = method.to(device).train()
    with torch.no_grad():
        method.eval()
        for stage in method.stages():
            whole = (torch.from_numpy(_features(n, dim, rng))[None].to(device) for n in (60, 200))
            method.prepare(stage.name, (Batch.of(x, x.new_zeros(1, classes), videos=("v",)) for x in whole))
        method.train()
    results = []
    for stage in method.stages():
        recipe = stage.recipe
        number = max(4 * recipe.batch_size, 4 * classes)
        sizes = np.resize(np.array(lengths), number) if len(lengths) else thumos_lengths(number, seed)
        labels = np.eye(classes, dtype=np.float32)[np.arange(number) % classes]
        sampler = method.batch_sampler(recipe, labels, rng)
        batches = [_batch(method, sampler, recipe, sizes, labels, rng).to(device) for _ in range(repeats + 1)]
        for parameter_name, parameter in method.named_parameters():
            parameter.requires_grad_(not stage.parameters or parameter_name.startswith(stage.parameters))
        trained = [p for p in method.parameters() if p.requires_grad]
        optimizer = method.optimizer(replace(recipe, lr=1e-5), trained)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        wall, cpu = [], []
        for batch in batches:
            synchronize(device)
            began, worked = time.perf_counter(), time.process_time()
            optimizer.zero_grad(set_to_none=True)
            with arithmetic(precision):
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    total = method.losses(batch, stage=stage.name)["total"]
                if total.requires_grad:
                    torch.autograd.backward(total)
                    optimizer.step()
            synchronize(device)
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - worked)
        peak = memory_bytes(device)
        snippets = int(np.median([int(b.lengths.sum()) for b in batches]))
        results.append(
            StepTime(method.name, stage.name, recipe.batch_size, snippets, tuple(wall[1:]), tuple(cpu[1:]), peak)
        )
    return results


def _batch(
    method: Method,
    sampler: Sampler,
    recipe: Recipe,
    lengths: np.ndarray[Any, np.dtype[np.int64]],
    labels: np.ndarray[Any, np.dtype[np.float32]],
    rng: np.random.Generator,
) -> Batch:
    visit = sampler.next()
    sizes = [method.sample_snippets(recipe, f"v{v}", int(lengths[v]), rng).size for v in visit.video]
    features = torch.zeros(len(sizes), max(sizes), method.feature_dim)
    for i, size in enumerate(sizes):
        features[i, :size] = torch.from_numpy(_features(size, method.feature_dim, rng))
    mask = torch.arange(max(sizes))[None] < torch.tensor(sizes)[:, None]
    return Batch.of(
        features, torch.from_numpy(labels[visit.video]), mask=mask, weights=torch.from_numpy(visit.weight.copy())
    )


def time_localization(
    name: str,
    *,
    preset: str | None = None,
    videos: int = 212,
    classes: int = 20,
    dim: int = 64,
    repeats: int = 3,
    seed: int = 0,
) -> LocalizeTime:
    """Time localization of activations with the sparsity of trained models: one or two actions' worth of classes pass.

    The activations come from the method itself (untrained, narrow features); then CAS and attention are replaced by
    curves with bumps at random instances, in the scale each method stores.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    method = create_method(name, num_classes=classes, feature_dim=dim, preset=preset)
    lengths = thumos_lengths(videos, seed)
    stored: dict[str, Activations] = {}
    for i, length in enumerate(lengths):
        stored[f"v{i:04d}"] = method.activations(
            _bumpy(int(length), dim, rng), grid=SnippetGrid.preset("i3d-25fps-16", int(length))
        )
    stored = {video: _trained_like(acts, rng) for video, acts in stored.items()}
    localization = method.config.localization
    wall, cpu = [], []
    proposals = detections = 0
    for _ in range(repeats + 1):
        began, worked = time.perf_counter(), time.process_time()
        detections = len(method.localize_many(stored, localization))
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    proposals = len(method.propose(stored, localization))
    return LocalizeTime(name, videos, int(lengths.sum()), proposals, detections, tuple(wall[1:]), tuple(cpu[1:]))


def _bumpy(length: int, dim: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (_features(length, dim, rng) * (0.3 + _bumps(length, rng))[:, None]).astype(np.float32)


def _bumps(length: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a curve in [0, 1] with a smooth bump about every 25 snippets, as trained attentions look."""
    position = np.arange(length)
    centre = rng.uniform(0, length, max(1, length // 25))
    width = rng.uniform(1.5, 5, centre.size)
    bumps = np.exp(-(((position[:, None] - centre) / width) ** 2)).max(1)
    return np.asarray(np.clip(bumps + rng.normal(0, 0.04, length), 0, 1))


def _trained_like(acts: Activations, rng: np.random.Generator) -> Activations:
    """Give activations the shape of a trained model's: two classes that pass, attention and CAS that rise together."""
    length, count = acts.cas.shape[0], len(acts.classes)
    bump = _bumps(length, rng)
    shown = rng.choice(count, 2, replace=False)
    scores = np.full(count, 0.01)
    scores[shown] = (0.6, 0.3)
    cas = np.array(acts.cas, dtype=np.float64)
    is_probability = bool(cas.min() >= 0 and cas.max() <= 1)
    cas[:, shown] = 0.9 * bump[:, None] if is_probability else 6 * bump[:, None] - 2
    if is_probability:
        cas /= np.maximum(cas.sum(1, keepdims=True), 1.0)
    attention = {name: bump.astype(np.float32) for name in acts.attention}
    extra = {name: cas[:, : values.shape[1]].astype(np.float32) for name, values in acts.extra_cas.items()}
    scale = 1.0 if acts.video_scores.min() >= 0 and acts.video_scores.max() <= 1 else 4.0  # probabilities or logits
    return replace(
        acts,
        cas=cas.astype(np.float32),
        video_scores=(scale * scores).astype(np.float32),
        attention=attention,
        extra_cas=extra,
        drop_mask=None if acts.drop_mask is None else bump > 0.2,
    )


def median(values: tuple[float, ...]) -> float:
    """Return the median of times."""
    return statistics.median(values)
