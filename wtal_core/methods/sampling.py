"""Which videos make a step, and which of their snippets: the rules of `Recipe`, from one seeded generator.

A method with a rule of its own overrides `Method.batch_sampler` or `Method.sample_snippets`; a sampler is anything with
the four functions of `Sampler`, for example a `BatchSampler` with another `draw`. Everything here is plain index
arithmetic on the host; features are gathered on the device by these indices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import IntArray
from wtal_core.errors import DataError
from wtal_core.methods.recipe import Recipe

__all__ = ["BatchSampler", "Sampler", "Visit", "sample_snippets"]


# -- snippets of one visit ----------------------------------------------------------------------------------------


def _all(length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    return np.arange(length)


def _from_cells(length: int, wanted: int, last_low: Callable[[IntArray], int], rng: np.random.Generator) -> IntArray:
    """Draw one snippet from each of `wanted` cells [floor(iT/n), floor((i+1)T/n)], ends included (official codes)."""
    edge = np.arange(wanted) * length // wanted
    index = edge.copy()
    index[:-1] = rng.integers(edge[:-1], edge[1:] + 1)  # equal ends leave one choice
    index[-1] = rng.integers(last_low(index), length)
    return index


def _cells(length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """HAM-Net: also for videos with fewer snippets than wanted, which then repeat."""
    if length == wanted:
        return np.arange(length)
    return _from_cells(length, wanted, lambda index: (wanted - 1) * length // wanted, rng)


def _cells_or_draws(length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """ACM-Net: videos with fewer snippets than wanted are drawn with replacement and sorted."""
    if length == wanted:
        return np.arange(length)
    if length < wanted:
        return np.sort(rng.integers(0, length, wanted))
    return _from_cells(length, wanted, lambda index: int(index[-2]) if wanted > 1 else 0, rng)


def _window(length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """Deep metric learning: a contiguous window; the very last start is never drawn (official code)."""
    if length <= wanted:
        return np.arange(length)
    return int(rng.integers(0, length - wanted)) + np.arange(wanted)


def _subset(length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """ACN's stage-1 head: a random subset without replacement, in order."""
    if length <= wanted:
        return np.arange(length)
    return np.sort(rng.permutation(length)[:wanted])


_RULES: dict[str, Callable[[int, int, np.random.Generator], IntArray]] = {
    "all": _all,
    "cells": _cells,
    "cells_or_draws": _cells_or_draws,
    "window": _window,
    "subset": _subset,
}


def sample_snippets(recipe: Recipe, length: int, rng: np.random.Generator) -> IntArray:
    """Return the snippet indices of one visit to a video, in non-decreasing order.

    Args:
        recipe: `sampling` is the rule, `snippets` how many n are wanted; 0 takes all.
        length: snippets T of the video, >= 1.
        rng: generator; "all" and videos that need no draw leave it untouched.

    Returns:
        `(n,)` for "cells" and "cells_or_draws", `(min(n, T),)` otherwise, in `[0, T)`.
    """
    rule = _RULES[recipe.sampling if recipe.snippets else "all"]
    return rule(length, recipe.snippets, rng).astype(np.int64)


# -- videos of one step -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Visit:
    """One step's videos.

    Args:
        video: `(B,)` index of each video.
        label: `(B,)` the only class that a video comes with, -1 where it comes with all its labels.
        weight: `(B,)` weight of each video in the loss.
    """

    video: IntArray
    label: IntArray
    weight: npt.NDArray[np.float32]

    @classmethod
    def of(cls, video: IntArray) -> Visit:
        """Return a visit to videos with all their labels, with weight 1."""
        return cls(video, np.full(video.size, -1, dtype=np.int64), np.ones(video.size, dtype=np.float32))


class Sampler(Protocol):
    """An endless stream of steps whose state can be saved and restored."""

    def next(self) -> Visit:
        """Return the next step's videos."""

    def steps_per_pass(self) -> int:
        """Return how many steps see as many videos as there are, >= 1: the length of an epoch."""

    def state(self) -> dict[str, Any]:
        """Return the state as values that JSON holds."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state()` was taken."""


class BatchSampler:
    """The composition of steps that a recipe asks for.

    `Recipe.batches` "shuffle": shuffled passes over all videos, the last step of a pass may be short (HAM-Net, ACM-Net,
    ACN); "entries": shuffled passes over (video, class) pairs with weight 1 / number of classes, batches run across
    passes (CMCS); "class_groups": classes drawn uniformly with replacement, for each a group of distinct videos that
    contain it, then random videos up to the batch size (deep metric learning).

    Args:
        recipe: composition and batch size.
        labels: `(V, C)` multi-hot labels; pseudo videos (background) have none.
        rng: generator that belongs to this sampler alone.

    Raises:
        DataError: no video has a label, or no class enough videos for a group.
    """

    def __init__(self, recipe: Recipe, labels: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
        self.recipe = recipe
        self.rng = rng
        kind, videos_per_class = recipe.batches, recipe.videos_per_class
        video, label = np.nonzero(labels)
        count = labels.sum(axis=1)
        if kind == "entries":
            background = np.flatnonzero(count == 0)
            self.video = np.concatenate([video, background]).astype(np.int64)
            self.label = np.concatenate([label, np.full(background.size, -1)]).astype(np.int64)
            self.weight = np.concatenate([1 / count[video], np.ones(background.size)]).astype(np.float32)
        else:
            self.video = np.flatnonzero(count > 0).astype(np.int64)
            self.label = np.full(self.video.size, -1, dtype=np.int64)
            self.weight = np.ones(self.video.size, dtype=np.float32)
        if self.video.size == 0:
            raise DataError(
                "no training video has a label",
                expected="at least one",
                where="training set",
                next_step="Annotate the videos, or train on another split",
            )
        self.members = [np.flatnonzero(column) for column in labels[self.video].T] if kind == "class_groups" else []
        self.usable = np.array([c for c, m in enumerate(self.members) if m.size >= videos_per_class], dtype=np.int64)
        if kind == "class_groups" and self.usable.size == 0:
            raise DataError(
                f"no class has {videos_per_class} training videos",
                expected=f"at least {videos_per_class} videos of one class",
                got=f"at most {max((m.size for m in self.members), default=0)}",
                where="training set",
                next_step="Set training.videos_per_class lower",
            )
        self.order = np.empty(0, dtype=np.int64)
        self.position = 0

    def steps_per_pass(self) -> int:
        """Return how many steps one pass over the entries takes, rounded up."""
        return -(-self.video.size // self.recipe.batch_size)

    def next(self) -> Visit:
        """Return the next step's videos."""
        entry = self.draw()
        return Visit(self.video[entry], self.label[entry], self.weight[entry])

    def draw(self) -> IntArray:
        """Return the entries of the next step; `rng`, `order` and `position` are all that is saved of its state."""
        return self._class_groups() if self.recipe.batches == "class_groups" else self._shuffled()

    def _shuffled(self) -> IntArray:
        taken: list[IntArray] = []
        missing = self.recipe.batch_size
        while missing:
            if self.position >= self.order.size:
                if taken and self.recipe.batches == "shuffle":
                    break  # the last step of a pass is short
                self.order = self.rng.permutation(self.video.size).astype(np.int64)
                self.position = 0
            part = self.order[self.position : self.position + missing]
            self.position += part.size
            missing -= part.size
            taken.append(part)
        return np.concatenate(taken)

    def _class_groups(self) -> IntArray:
        recipe = self.recipe
        classes = self.rng.choice(self.usable, recipe.classes_per_batch)
        groups = [self.rng.permutation(self.members[c])[: recipe.videos_per_class] for c in classes]
        rest = recipe.batch_size - recipe.classes_per_batch * recipe.videos_per_class
        if rest > 0:
            groups.append(self.rng.integers(0, self.video.size, rest))
        return np.concatenate(groups).astype(np.int64)

    def state(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {"rng": self.rng.bit_generator.state, "order": self.order.tolist(), "position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state()` was taken."""
        self.rng.bit_generator.state = state["rng"]
        self.order = np.array(state["order"], dtype=np.int64)
        self.position = int(state["position"])
