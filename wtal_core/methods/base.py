"""What every method offers.

A method is a `torch.nn.Module` built from a frozen config. Its file reads like its paper: config, network, losses,
localization. Nothing here decides anything that a paper decides.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wtal_core import settings
from wtal_core.arrays import IntArray
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.localization import Proposals, generic
from wtal_core.methods.features import Refusal, refused_streams
from wtal_core.methods.official import read_official_checkpoint
from wtal_core.methods.recipe import MethodConfig, Progress, Recipe, Stage
from wtal_core.methods.sampling import BatchSampler, Sampler, sample_snippets
from wtal_core.records import Activations, Detections, Lens, View
from wtal_core.snippet_grid import SnippetGrid

if TYPE_CHECKING:
    from wtal_core.data.features.store import FeatureStore

__all__ = ["Batch", "Method", "arithmetic"]


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
        positions: `(B, T)` int64, which snippet of its video each row is; 0 where nothing exists.
        videos: ids.
        progress: how far the training is, for losses that change with it; its beginning outside of one.
    """

    features: Tensor
    labels: Tensor
    mask: Tensor
    weights: Tensor
    background: Tensor
    positions: Tensor
    videos: tuple[str, ...] = ()
    progress: Progress = Progress()

    @classmethod
    def of(
        cls,
        features: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        background: Tensor | None = None,
        positions: Tensor | None = None,
        videos: tuple[str, ...] = (),
    ) -> Batch:
        """Build a batch; missing parts mean: no padding, weight 1, no pseudo videos, every snippet in its place."""
        b, t = features.shape[:2]
        return cls(
            features=features,
            labels=labels,
            mask=torch.ones(b, t, dtype=torch.bool, device=features.device) if mask is None else mask,
            weights=features.new_ones(b) if weights is None else weights,
            background=torch.zeros(b, dtype=torch.bool, device=features.device) if background is None else background,
            positions=torch.arange(t, device=features.device).expand(b, t) if positions is None else positions,
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
        tensors: dict[str, Any] = {n: v.to(device) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


class Method(nn.Module, ABC):
    """A method: network, losses, localization and how it is shown in one object.

    Subclasses build their network in `__init__` and implement `losses` and `_activations`. Everything else has a
    default: without a `Config` of its own a method has the settings of `MethodConfig`, and without a `propose` of its
    own it is localized by thresholds on its CAS, as those settings say.

    Args:
        num_classes: number of action classes C.
        feature_dim: channels D of the snippet features.
        config: the method's config.
        classes: class names; `class_0` ... where not given.
    """

    name: ClassVar[str]  # of the class where none is given
    title: ClassVar[str]  # as papers cite it; the name where none is given
    Config: ClassVar[type[Any]] = MethodConfig
    #: Preset name -> overrides of the config's defaults; the first one is what is meant where none is named.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"default": {}})
    #: Rows of the timeline and of figures, top to bottom; tracks that none names get rows by their kind.
    views: ClassVar[tuple[View, ...]] = ()
    #: Settings that change tracks without the model.
    lenses: ClassVar[tuple[Lens, ...]] = ()
    #: Overrides with which the method learns two dozen short planted videos of 32 channels in seconds.
    quick: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.name = cls.__dict__.get("name", cls.__name__)
        cls.title = cls.__dict__.get("title", cls.name)

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
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Return the scored proposals of many videos `{video: activations}`; by the generic localizer, without a model.

        All videos go through in one pass (`localization.Curves` holds rows of different lengths), so that a whole split
        follows a slider. A video's proposals do not depend on which other videos are in the batch. `video` indexes the
        mapping's keys in order, `label` the classes. Proposals that suppression removed stay in the table and name in
        `suppressed_by` what removed them, so that the viewer can show a detection's rivals; scores are final ones.
        """
        return generic.propose(activations, localization)

    def official_names(self) -> dict[str, str]:
        """Return `{parameter name in the official checkpoint: parameter name here}`; its own names by default."""
        return {name: name for name, _ in self.named_parameters()}

    @classmethod
    def official_files(cls, config: Any) -> tuple[str, ...]:
        """Return what each file of an official checkpoint of this config is called, in order; one by default."""
        return ("checkpoint",)

    def join_official(self, weights: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the weights of all `official_files` as one mapping."""
        return weights[0]

    @classmethod
    def preset_config(cls, preset: str | None = None) -> Any:
        """Return the config of a preset; None: of the first one.

        Raises:
            UsageError: there is no such preset.
        """
        if preset is None:
            preset = next(iter(cls.presets))
        if preset not in cls.presets:
            raise unknown_name("preset", preset, list(cls.presets), where=cls.name)
        return settings.override(cls.Config(), cls.presets[preset])

    @classmethod
    def read_features(cls, config: Any, store: FeatureStore, *, training: bool) -> FeatureStore:
        """Return features as a method of this config reads them; as they are stored unless the method says otherwise.

        Args:
            config: of the method.
            store: the stored features.
            training: whether they are read for a training, where a visit may see one of several variants.
        """
        return store

    @classmethod
    def accepts(cls, config: Any, store: FeatureStore) -> Refusal | None:
        """Return why a method of this config does not take features, None where it does.

        The default looks at the streams of configs that take the halves of the channels for RGB and flow
        (`config.splits_streams`).
        """
        return refused_streams(config, store.provenance(store.videos[0]), store.dim)

    @classmethod
    def check_features(cls, config: Any, store: FeatureStore, *, where: object) -> None:
        """Raise `UsageError` with what `accepts` says; `where` names the features."""
        refusal = cls.accepts(config, store)
        if refusal is not None:
            raise UsageError(
                refusal.message,
                expected=refusal.expected or None,
                got=refusal.got or None,
                where=where,
                next_step=refusal.next_step,
            )

    def stages(self) -> tuple[Stage, ...]:
        """Return the training stages in order; one stage named "train" unless the method says otherwise."""
        return (Stage("train", self.config.training),)

    def prepare(self, stage: str, videos: Iterable[Batch]) -> None:
        """Learn from one pass over the training videos what the losses of a stage need.

        Called when a stage begins, and every `Recipe.refresh_every` passes after that: for constants of the training
        set, and for pseudo labels, which an earlier round's weights give (`self.activations`, or the network itself).
        The method is in eval mode, without gradients, and has its averaged weights where the recipe averages them.
        What is learned belongs into buffers, or what `get_extra_state` returns: checkpoints keep both.

        Args:
            stage: its name.
            videos: each training video as a batch of its own, whole, in its first variant, on the method's device.
        """

    def batch_sampler(self, recipe: Recipe, labels: npt.NDArray[np.float32], rng: np.random.Generator) -> Sampler:
        """Return what chooses the videos of each step; the recipe's composition unless the method says otherwise.

        Args:
            recipe: of the stage.
            labels: `(V, C)` multi-hot labels of the training videos; all zero for pseudo videos of static clips.
            rng: generator that belongs to the sampler alone, and to its state.
        """
        return BatchSampler(recipe, labels, rng)

    def sample_snippets(self, recipe: Recipe, video: str, length: int, rng: np.random.Generator) -> IntArray:
        """Return which snippets a visit takes, `(n,)` non-decreasing in `[0, T)`; by the recipe's rule by default.

        Args:
            recipe: of the stage.
            video: id of the training video.
            length: its snippets T, >= 1.
            rng: generator; its state is kept in checkpoints.
        """
        return sample_snippets(recipe, length, rng)

    def optimizer(self, recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser of a stage; the recipe's Adam or SGD unless the method says otherwise.

        Its learning rates are those of the first step; `Recipe.lr_drop_at` lowers them.
        """
        if recipe.optimizer == "sgd":
            return torch.optim.SGD(parameters, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
        fused = bool(parameters) and parameters[0].device.type == "cuda"
        return torch.optim.Adam(parameters, recipe.lr, weight_decay=recipe.weight_decay, fused=fused or None)

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

    def load_official(self, *sources: str | os.PathLike[str] | Mapping[str, Any]) -> None:
        """Load an official checkpoint: a file, or `{official key: array}`; every parameter must be found.

        Args:
            *sources: one of each `official_files`.

        Raises:
            UsageError: there are more or fewer than the method's config asks for.
            DataError: the file cannot be read safely, keys are missing or unknown, or a shape differs.
        """
        if not self.official_names():
            raise UsageError(
                "there are no official weights: its authors published no code", where=self.name, next_step="Train it"
            )
        files = self.official_files(self.config)
        if len(sources) != len(files):
            raise UsageError(
                f"an official checkpoint of this config is {len(files)} file{'s' if len(files) != 1 else ''}",
                expected=", ".join(files),
                got=str(len(sources)),
                where=self.name,
                next_step="Give them in this order",
            )
        named = [str(source) for source in sources if not isinstance(source, Mapping)]
        where = ": ".join([self.name, *named])
        weights = self.join_official(
            [source if isinstance(source, Mapping) else read_official_checkpoint(source) for source in sources]
        )
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
