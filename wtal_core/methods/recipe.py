"""How a method is trained: batch composition, snippet sampling, optimiser, schedule, in one or several stages."""

from __future__ import annotations

from dataclasses import dataclass

from wtal_core.settings import check, option

__all__ = ["Recipe", "Stage"]


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
