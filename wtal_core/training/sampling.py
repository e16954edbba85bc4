"""Which videos make a step, and which of their snippets: each method's own rule, from one seeded generator.

Everything here is plain index arithmetic on the host; features are gathered on the device by these indices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import IntArray
from wtal_core.errors import DataError

__all__ = ["BatchSampler", "Visit", "sample_snippets"]


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


def sample_snippets(rule: str, length: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """Return the snippet indices of one visit to a video, in non-decreasing order.

    Args:
        rule: `Recipe.sampling`.
        length: snippets T of the video, >= 1.
        wanted: snippets of a visit n; 0 takes all.
        rng: generator; "all" and videos that need no draw leave it untouched.

    Returns:
        `(n,)` for "cells" and "cells_or_draws", `(min(n, T),)` otherwise, in `[0, T)`.
    """
    return (_all if wanted == 0 else _RULES[rule])(length, wanted, rng).astype(np.int64)


# -- videos of one step -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Visit:
    """One step's videos.

    Args:
        entry: `(B,)` indices into the sampler's entries.
        video: `(B,)` index of each entry's video.
        label: `(B,)` class of a (video, class) entry, -1 where the video comes with all its labels.
        weight: `(B,)` weight of each entry in the loss.
    """

    entry: IntArray
    video: IntArray
    label: IntArray
    weight: npt.NDArray[np.float32]


class BatchSampler:
    """Endless stream of steps with the composition a recipe asks for; its state can be saved and restored.

    Args:
        kind: "shuffle": shuffled passes over all videos, the last step of a pass may be short (HAM-Net, ACM-Net, ACN);
            "entries": shuffled passes over (video, class) pairs with weight 1 / number of classes, batches run across
            passes (CMCS); "class_groups": classes drawn uniformly with replacement, for each a group of distinct videos
            that contain it (deep metric learning).
        labels: `(V, C)` multi-hot labels; pseudo videos (background) have none.
        batch_size: videos a step. "class_groups" fills what the groups leave with random videos.
        classes_per_batch, videos_per_class: composition of "class_groups".
        rng: generator that belongs to this sampler alone.
    """

    def __init__(
        self,
        kind: str,
        labels: npt.NDArray[np.float32],
        *,
        batch_size: int,
        classes_per_batch: int = 0,
        videos_per_class: int = 0,
        rng: np.random.Generator,
    ) -> None:
        self.kind = kind
        self.batch_size = batch_size
        self.classes_per_batch = classes_per_batch
        self.videos_per_class = videos_per_class
        self.rng = rng
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
        """Return how many steps one pass over the entries takes (rounded up)."""
        return -(-self.video.size // self.batch_size)

    def next(self) -> Visit:
        """Return the next step's videos."""
        entry = self._class_groups() if self.kind == "class_groups" else self._shuffled()
        return Visit(entry, self.video[entry], self.label[entry], self.weight[entry])

    def _shuffled(self) -> IntArray:
        taken: list[IntArray] = []
        missing = self.batch_size
        while missing:
            if self.position >= self.order.size:
                if taken and self.kind == "shuffle":
                    break  # the last step of a pass is short
                self.order = self.rng.permutation(self.video.size).astype(np.int64)
                self.position = 0
            part = self.order[self.position : self.position + missing]
            self.position += part.size
            missing -= part.size
            taken.append(part)
        return np.concatenate(taken)

    def _class_groups(self) -> IntArray:
        classes = self.rng.choice(self.usable, self.classes_per_batch)
        groups = [self.rng.permutation(self.members[c])[: self.videos_per_class] for c in classes]
        rest = self.batch_size - self.classes_per_batch * self.videos_per_class
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
