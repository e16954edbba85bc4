"""Asking a run's model again: another device, checkpoint, crop or setting, and with snippets erased from its input."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wtal_core import settings
from wtal_core.data.features.store import FeatureStore, videos_with_features
from wtal_core.devices import synchronize
from wtal_core.errors import DataError, UsageError
from wtal_core.methods import Method, method_class
from wtal_core.progress import progress_bar
from wtal_core.records import Activations, VideoFeatures
from wtal_core.runs.folder import Run

__all__ = ["Recomputed", "erase", "load_method", "pick_crop", "recompute", "recompute_split"]


@dataclass(frozen=True, eq=False)
class Recomputed:
    """What a model said again.

    Args:
        activations: `{video: Activations}`.
        seconds: time the model took, reading features excluded.
    """

    activations: Mapping[str, Activations]
    seconds: float


def load_method(
    run: Run, *, checkpoint: str = "last", device: str | torch.device = "cpu", changes: Mapping[str, Any] | None = None
) -> Method:
    """Return the run's model in eval mode, with a checkpoint's weights and changed config values.

    Raises:
        UsageError: an unknown setting, or one out of range.
        DataError: no such checkpoint, or its weights do not fit the changed config.
    """
    config = settings.override(run.config(), dict(changes)) if changes else run.config()
    method = method_class(run.info.method)(len(run.info.classes), run.info.feature_dim, config, run.info.classes)
    weights = run.load_checkpoint(checkpoint)["model"]
    try:
        method.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            "the weights do not fit the changed settings",
            got=str(error).splitlines()[-1].strip()[:160],
            where=run.checkpoint_path(checkpoint),
            next_step="Change only settings that leave the network's layers as they are",
        ) from error
    return method.to(device).eval()


def pick_crop(data: npt.NDArray[np.floating[Any]], crop: int | None) -> npt.NDArray[np.floating[Any]]:
    """Return one crop `(T, D)` of `(crops, T, D)` features; None: as they are, the model averages over crops.

    Raises:
        UsageError: there is no such crop.
    """
    if crop is None:
        return data
    crops = data.shape[0] if data.ndim == 3 else 1
    if not 0 <= crop < crops:
        raise UsageError(
            "there is no such crop",
            expected=f"0 to {crops - 1}",
            got=str(crop),
            where="features",
            next_step=f"Choose a crop up to {crops - 1}",
        )
    return data[crop] if data.ndim == 3 else data


def erase(features: VideoFeatures, spans: Sequence[tuple[float, float]], fill: str = "zeros") -> VideoFeatures:
    """Drop snippets from a model's input.

    Args:
        features: of one video.
        spans: `[start, end)` seconds; snippets whose centre lies inside are dropped.
        fill: what the model gets instead: "zeros" (a snippet in which nothing fires) or "mean" (the video's mean
            snippet). The sequence keeps its length, so that time stays where it is.
    """
    if fill not in ("zeros", "mean"):
        raise UsageError(
            "unknown filling of erased snippets",
            expected="zeros or mean",
            got=repr(fill),
            next_step="Choose one of the two",
        )
    if not spans:
        return features
    start, end = np.array(spans, dtype=np.float64).T
    dropped = features.grid.mask(start, end)
    data = np.array(features.data)
    data[..., dropped, :] = features.data.mean(axis=-2, keepdims=True) if fill == "mean" else 0
    return replace(features, data=data)


def recompute(
    method: Method,
    features: VideoFeatures,
    *,
    crop: int | None = None,
    spans: Sequence[tuple[float, float]] = (),
    fill: str = "zeros",
) -> Recomputed:
    """Ask the model again about one video, with snippets erased where wanted."""
    erased = erase(features, spans, fill)
    data = pick_crop(erased.data, crop)
    synchronize(method.device)
    began = time.perf_counter()
    try:
        activations = method.activations(data, grid=erased.grid, video=features.video)
        synchronize(method.device)
    except torch.OutOfMemoryError as error:
        raise DataError(
            "the device has not enough memory for this video",
            got=f"{data.shape[-2]} snippets on {method.device}",
            where=features.video,
            next_step="Choose the CPU, or end what else uses the device",
        ) from error
    return Recomputed({features.video: activations}, time.perf_counter() - began)


def recompute_split(
    method: Method, store: FeatureStore, videos: Sequence[str], *, crop: int | None = None, quiet: bool = True
) -> Recomputed:
    """Ask the model again about many videos; those without features are left out."""
    present = videos_with_features(store, videos)
    activations: dict[str, Activations] = {}
    seconds = 0.0
    with progress_bar("asking the model", len(present), quiet=quiet) as advance:
        for video in present:
            once = recompute(method, store.read(video), crop=crop)
            activations |= once.activations
            seconds += once.seconds
            advance()
    return Recomputed(activations, seconds)
