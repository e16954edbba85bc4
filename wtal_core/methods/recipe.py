"""What the config of every method holds: how it is trained, in one or several stages, and how it localizes."""

from __future__ import annotations

from dataclasses import dataclass

from wtal_core.localization.generic import GenericLocalization
from wtal_core.settings import check, option

__all__ = ["MethodConfig", "Progress", "Recipe", "Stage"]


@dataclass(frozen=True)
class Recipe:
    """How one stage of a method is trained: batch composition, snippet sampling, optimiser, schedule."""

    steps: int = option(1000, "optimiser steps", low=1)
    epochs: int = option(0, "passes over the training videos in place of `steps`; 0: as many as `steps`", low=0)
    batch_size: int = option(20, "videos a step", unit="videos", low=1)
    batches: str = option(
        "shuffle",
        "composition: shuffled passes over the videos; passes over (video, class) entries incl. pseudo videos; "
        "groups of videos that share a class",
        choices=("shuffle", "entries", "class_groups"),
    )
    classes_per_batch: int = option(5, "class_groups: classes drawn a step", low=1)
    videos_per_class: int = option(4, "class_groups: videos of each class", low=1)
    sampling: str = option(
        "all",
        "snippets of a visit: all; one from each of `snippets` equal cells, repeating in short videos; the same, but "
        "short videos draw with replacement and sort; a contiguous window, zero-padded; a random subset without "
        "replacement",
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
    ema: float = option(
        0.0,
        "evaluate and save an average of the weights that keeps this share of itself at a step; 0: the weights",
        low=0,
        high=0.99999,
    )
    refresh_every: int = option(
        0,
        "passes after which `prepare` is called again, e.g. for pseudo labels; 0: at the beginning only",
        low=0,
    )
    hard_negatives: bool = option(False, "add pseudo videos of static clips where the data set has them")

    def __post_init__(self) -> None:
        check(self)

    def steps_in(self, steps_per_pass: int) -> int:
        """Return the optimiser steps of a training whose passes take `steps_per_pass` steps."""
        return self.epochs * steps_per_pass if self.epochs else self.steps


@dataclass(frozen=True)
class Progress:
    """How far a stage of a training is.

    Args:
        step: steps done, 0 in the first one.
        steps: steps in all, >= 1.
        epoch: passes over the training videos that are done, 0 in the first one.
        epochs: passes in all, >= 1.
    """

    step: int = 0
    steps: int = 1
    epoch: int = 0
    epochs: int = 1

    @property
    def fraction(self) -> float:
        """Share of the steps that is done, in [0, 1)."""
        return self.step / self.steps


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


@dataclass(frozen=True)
class MethodConfig:
    """Settings that every method has; a method's own config adds its fields, and may put others in their place."""

    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: GenericLocalization = option(factory=GenericLocalization, meaning="post-processing")
    training: Recipe = option(factory=Recipe, meaning="how it is trained")

    def __post_init__(self) -> None:
        check(self)
