"""What every method offers, and the registry that finds them.

A method is a `torch.nn.Module` built from a frozen config. Its file reads like its paper: config, network, losses,
localization. Nothing here decides anything that a paper decides.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wtal_core import settings
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import require_file
from wtal_core.localization import Proposals
from wtal_core.records import Activations, Detections
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid

__all__ = [
    "METHODS",
    "Batch",
    "Method",
    "Recipe",
    "Stage",
    "arithmetic",
    "create_method",
    "list_methods",
    "method_class",
    "read_official_checkpoint",
]

#: Name -> (module, class). Modules are imported when their method is asked for.
METHODS: dict[str, tuple[str, str]] = {
    "acmnet": ("wtal_core.methods.acmnet", "ACMNet"),
    "acn": ("wtal_core.methods.acn", "ACN"),
    "cmcs": ("wtal_core.methods.cmcs", "CMCS"),
    "deep_metric": ("wtal_core.methods.deep_metric", "DeepMetric"),
    "hamnet": ("wtal_core.methods.hamnet", "HAMNet"),
}


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Compute float32 products and convolutions as such, or in TF32 where `precision` is "tf32"; then as before.

    PyTorch's own default lets convolutions use TF32 on a GPU, and matrix products not.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


@dataclass(frozen=True, eq=False)
class Batch:
    """Training videos, padded to one length.

    Args:
        features: `(B, T, D)` float; rows where `mask` is False are padding.
        labels: `(B, C)` multi-hot video-level labels (all zero for a background pseudo video).
        mask: `(B, T)` bool, True where a snippet exists. Existing snippets come first.
        weights: `(B,)` weight of each video in the loss (CMCS: 1 / number of classes of the video).
        background: `(B,)` bool, True for pseudo videos of static clips (CMCS hard negatives).
        videos: ids, for messages.
    """

    features: Tensor
    labels: Tensor
    mask: Tensor
    weights: Tensor
    background: Tensor
    videos: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        features: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        background: Tensor | None = None,
        videos: tuple[str, ...] = (),
    ) -> Batch:
        """Build a batch; missing parts mean: no padding, weight 1, no pseudo videos."""
        b, t = features.shape[:2]
        return cls(
            features=features,
            labels=labels,
            mask=torch.ones(b, t, dtype=torch.bool, device=features.device) if mask is None else mask,
            weights=features.new_ones(b) if weights is None else weights,
            background=torch.zeros(b, dtype=torch.bool, device=features.device) if background is None else background,
            videos=videos,
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def lengths(self) -> Tensor:
        """`(B,)` number of existing snippets of each video."""
        return self.mask.sum(1)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on another device."""
        move = {n: getattr(self, n).to(device) for n in ("features", "labels", "mask", "weights", "background")}
        return Batch(**move, videos=self.videos)


@dataclass(frozen=True)
class Recipe:
    """How one stage of a method is trained: batch composition, snippet sampling, optimiser, schedule."""

    steps: int = option(1000, "optimiser steps", low=1)
    batch_size: int = option(20, "videos a step", unit="videos", low=1)
    batches: str = option(
        "shuffle",
        "composition: shuffled passes over the videos; passes over (video, class) entries incl. pseudo videos (CMCS); "
        "groups of videos that share a class (deep metric)",
        choices=("shuffle", "entries", "class_groups"),
    )
    classes_per_batch: int = option(5, "class_groups: classes drawn a step", low=1)
    videos_per_class: int = option(4, "class_groups: videos of each class", low=1)
    sampling: str = option(
        "all",
        "snippets of a visit: all; one from each of `snippets` equal cells, repeating in short videos (HAM-Net); "
        "the same, but short videos draw with replacement and sort (ACM-Net); a contiguous window, zero-padded (deep "
        "metric); a random subset without replacement (ACN's head)",
        choices=("all", "cells", "cells_or_draws", "window", "subset"),
    )
    snippets: int = option(0, "snippets a visit takes; 0: as many as the video has", unit="snippets", low=0)
    crops: str = option("one", "which of several crops / phases a visit sees", choices=("one", "mean"))
    optimizer: str = option("adam", "optimiser", choices=("adam", "sgd"))
    lr: float = option(1e-4, "learning rate", low=0)
    weight_decay: float = option(0.0, "L2 term added to the gradient (coupled, as torch.optim.Adam)", low=0)
    momentum: float = option(0.9, "momentum of SGD", low=0, high=1)
    lr_drop_at: tuple[float, ...] = option((), "fractions of the steps after which the rate drops", low=0, high=1)
    lr_drop_factor: float = option(0.1, "what the rate is multiplied by at a drop", low=0, high=1)
    max_grad_norm: float = option(0.0, "clip the gradient norm to this; 0: do not clip", low=0)
    hard_negatives: bool = option(False, "add pseudo videos of static clips where the data set has them (CMCS)")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Stage:
    """One of the stages a method is trained in, one after the other.

    Args:
        name: passed to `Method.losses(batch, stage=name)`.
        recipe: how it is trained.
        parameters: prefixes of the parameter names it trains; empty means all.
    """

    name: str
    recipe: Recipe
    parameters: tuple[str, ...] = ()


class Method(nn.Module, ABC):
    """A published method: network, losses and localization in one object.

    Subclasses set `name`, `title`, `Config` and `presets`, build their network in `__init__` and implement `losses`,
    `_activations`, `propose` and `official_names`.

    Args:
        num_classes: number of action classes C.
        feature_dim: channels D of the snippet features.
        config: the method's config.
        classes: class names; `class_0` ... where not given.
    """

    name: ClassVar[str]
    title: ClassVar[str]  # as papers cite it
    Config: ClassVar[type[Any]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]  # preset name -> overrides of the config's defaults

    def __init__(self, num_classes: int, feature_dim: int, config: Any, classes: tuple[str, ...] | None = None) -> None:
        super().__init__()
        if num_classes < 1 or feature_dim < 1:
            raise UsageError(
                "a method needs classes and features",
                expected="num_classes >= 1 and feature_dim >= 1",
                got=f"{num_classes} and {feature_dim}",
                where=self.name,
                next_step="Give both, at least 1",
            )
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.config = config
        self.classes = tuple(classes) if classes else tuple(f"class_{i}" for i in range(num_classes))
        if len(self.classes) != num_classes:
            raise UsageError(
                "class names and number of classes disagree",
                expected=str(num_classes),
                got=str(len(self.classes)),
                where=self.name,
                next_step="Give as many names as classes, or leave num_classes out",
            )

    # -- what a subclass provides ---------------------------------------------------------------------------------

    @abstractmethod
    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return every loss term under its paper's name, unweighted scalars, and their weighted sum as "total"."""

    @abstractmethod
    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        """Compute activations of `(crops, T, D)` features of one video; called in eval mode without gradients."""

    @staticmethod
    @abstractmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Return the scored proposals of many videos `{video: activations}`; needs no model.

        All videos go through in one pass (`localization.Curves` holds rows of different lengths), so that a whole split
        follows a slider. A video's proposals do not depend on which other videos are in the batch. `video` indexes the
        mapping's keys in order, `label` the classes. Proposals that suppression removed stay in the table and name in
        `suppressed_by` what removed them, so that the viewer can show a detection's rivals; scores are final ones.
        """

    @abstractmethod
    def official_names(self) -> dict[str, str]:
        """Return `{parameter name in the official checkpoint: parameter name here}`."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the training stages in order; one stage named "train" unless the method says otherwise."""
        return (Stage("train", self.config.training),)

    def prepare_stage(self, stage: str, features: Iterator[Tensor]) -> None:
        """Prepare for a training stage from one pass over the training videos' `(T, D)` features.

        Called once when a stage begins, on the method's device; what is learned here belongs into buffers, so that
        checkpoints keep it.
        """

    # -- feature streams ----------------------------------------------------------------------------------------------

    def stream_width(self, streams: str) -> int:
        """Return the channels that "both", "rgb" or "flow" take; single streams are halves of the features.

        Raises:
            UsageError: a single stream is asked for and the number of channels is odd.
        """
        if streams == "both":
            return self.feature_dim
        if self.feature_dim % 2:
            raise UsageError(
                f"{streams} features cannot be told apart",
                expected="an even feature_dim: first half RGB, second half flow",
                got=str(self.feature_dim),
                where=self.name,
                next_step="Stack RGB and flow features of the same width, or choose settings without streams",
            )
        return self.feature_dim // 2

    def select_streams(self, features: Tensor, streams: str) -> Tensor:
        """Return the channels of "both", "rgb" (first half) or "flow" (second half) of `(..., D)` features."""
        half = self.feature_dim // 2
        return {"both": features, "rgb": features[..., :half], "flow": features[..., half:]}[streams]

    # -- what all share -------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    @torch.no_grad()
    def activations(
        self, features: npt.ArrayLike | Tensor, *, grid: SnippetGrid | None = None, video: str = ""
    ) -> Activations:
        """Compute what the method says about one video, in eval mode.

        Args:
            features: `(T, D)`, or `(crops, T, D)`, T >= 1; any floating type, array or tensor on any device.
            grid: where the T snippets lie in time; default: the grid of the config's preset.
            video: id, for messages, and for methods that look up what was imported for a video (ACN).

        Raises:
            DataError: wrong shape, no snippets, or values that are not finite.
        """
        tensor = torch.as_tensor(np.asarray(features) if not isinstance(features, Tensor) else features)
        where = f"{self.name}.activations" + (f" of {video}" if video else "")
        if tensor.ndim == 2:
            tensor = tensor[None]
        if tensor.ndim != 3 or tensor.shape[-1] != self.feature_dim or 0 in tensor.shape or tensor.is_complex():
            raise DataError(
                "features have the wrong shape",
                expected=f"(T, {self.feature_dim}) or (crops, T, {self.feature_dim}), T >= 1",
                got=str(tuple(np.shape(features))),
                where=where,
                next_step="Put snippets before channels, or make the method with this feature_dim",
            )
        tensor = tensor.to(torch.float32).to(self.device)  # in this order: Apple's GPUs have no float64
        if not bool(torch.isfinite(tensor).all()):
            raise DataError(
                "features are not finite",
                expected="no NaN and no infinity",
                where=where,
                next_step="Extract these features again; 'wtal data doctor' finds all that hold NaN",
            )
        if grid is None:
            grid = SnippetGrid.preset(self.config.grid, tensor.shape[1])
        if grid.num_snippets != tensor.shape[1]:
            raise DataError(
                "features and snippet grid disagree",
                expected=f"{grid.num_snippets} snippets",
                got=str(tensor.shape[1]),
                where=where,
                next_step="Make the grid with this number of snippets: grid.with_snippets()",
            )
        training = self.training
        self.eval()
        try:
            with arithmetic("float32"):
                return self._activations(tensor, grid)
        finally:
            self.train(training)

    @classmethod
    def localize_many(cls, activations: Mapping[str, Activations], localization: Any) -> Detections:
        """Turn stored activations of many videos into detections: the proposals that nothing suppressed."""
        if not activations:
            return Detections.empty()
        proposals = cls.propose(activations, localization)
        kept = proposals.select(proposals.suppressed_by < 0)
        return kept.to_detections(list(activations), next(iter(activations.values())).classes)

    def localize(self, activations: Activations, *, video: str, **changes: Any) -> Detections:
        """Turn activations into detections of `video`; `changes` override the config's localization settings."""
        localization = self.config.localization
        return self.localize_many(
            {video: activations}, settings.override(localization, changes) if changes else localization
        )

    def load_official(self, source: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        """Load an official checkpoint: a file, or `{official key: array}`; every parameter must be found.

        Raises:
            DataError: the file cannot be read safely, keys are missing or unknown, or a shape differs.
        """
        where = self.name if isinstance(source, Mapping) else f"{self.name}: {source}"
        weights = source if isinstance(source, Mapping) else read_official_checkpoint(source)
        names = self.official_names()
        own = self.state_dict()
        unknown, missing = sorted(weights.keys() - names.keys()), sorted(names.keys() - weights.keys())
        if unknown or missing:
            raise DataError(
                "the keys are not those of the official checkpoint for this config",
                expected=f"{len(names)} keys like {next(iter(names))!r}",
                got=f"missing {missing[:3]}, unknown {unknown[:3]}",
                where=where,
                next_step="Check method, preset, number of classes and streams",
            )
        loaded: dict[str, Tensor] = {}
        for official, name in names.items():
            value = weights[official]
            tensor = torch.as_tensor(value if isinstance(value, Tensor) else np.array(value, dtype=np.float32))
            if tensor.shape != own[name].shape:
                raise DataError(
                    f"{official} has the wrong shape",
                    expected=str(tuple(own[name].shape)),
                    got=str(tuple(tensor.shape)),
                    where=where,
                    next_step="Check num_classes and feature_dim",
                )
            loaded[name] = tensor.to(own[name].dtype)
        self.load_state_dict({**own, **loaded})


def list_methods() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(METHODS)


def method_class(name: str) -> type[Method]:
    """Return the class of a method, or raise `UsageError` naming the nearest one."""
    if name not in METHODS:
        raise unknown_name("method", name, list_methods())
    module, attribute = METHODS[name]
    found: type[Method] = getattr(importlib.import_module(module), attribute)
    return found


def create_method(
    name: str,
    *,
    num_classes: int | None = None,
    feature_dim: int | None = None,
    preset: str = "thumos14",
    classes: tuple[str, ...] | None = None,
    **config: Any,
) -> Method:
    """Build a method with fresh weights.

    Args:
        name: one of `list_methods()`.
        num_classes: number of action classes C; may be left out when `classes` is given.
        feature_dim: channels D of the snippet features (all streams together); default 2048.
        preset: one of the method's presets: the values of its paper and official code for that data set.
        classes: class names in channel order.
        **config: settings that differ from the preset; keys of the method's config, nested ones dotted or as mappings.

    Raises:
        UsageError: unknown method, preset or setting (the nearest names are given), or a value out of range.
    """
    cls = method_class(name)
    if preset not in cls.presets:
        raise unknown_name("preset", preset, list(cls.presets), where=name)
    if num_classes is None:
        if not classes:
            raise UsageError(
                "the number of classes is not known",
                expected="num_classes or classes",
                where=name,
                next_step="Give one of the two",
            )
        num_classes = len(classes)
    resolved = settings.override(settings.override(cls.Config(), cls.presets[preset]), config)
    return cls(num_classes, 2048 if feature_dim is None else feature_dim, resolved, classes)


def read_official_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights out of a checkpoint file without running anything that is pickled in it.

    Understands plain state dicts and files that keep one under `state_dict` (Lightning) or `model_state_dict`.

    Raises:
        DataError: the file is missing, truncated, or holds objects other than tensors and plain containers.
    """
    path = Path(require_file(path, "a checkpoint file"))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals([argparse.Namespace]):  # Lightning keeps its hyper-parameters so
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for broken files
        raise DataError(
            f"cannot be read as a checkpoint: {str(error).splitlines()[0][:200]}",
            expected="a file of tensors and plain containers",
            where=path,
            next_step="If it is complete, turn it into tensors first: wtal weights convert",
        ) from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(
            "holds no state dict",
            expected="{name: tensor}",
            got=type(content).__name__,
            where=path,
            next_step="Save the model with torch.save(model.state_dict(), ...)",
        )
    return {str(key): value for key, value in content.items()}
