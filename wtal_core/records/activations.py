"""What a method says about one video before any threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray, NameArray
from wtal_core.errors import DataError
from wtal_core.records.pickling import Picklable
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Activations", "Boundaries"]


@dataclass(frozen=True, eq=False)
class Boundaries:
    """ACN's regressed proposals of one video, all streams and anchors in one flat list.

    Args:
        stream: `(N,)` stream names ("rgb", "flow").
        anchor: `(N,)` anchor sizes P in snippets.
        raw: `(N, 2)` anchor boundaries in snippets, inclusive `[xs, xe]`: they cover `[xs, xe + 1)`.
        refined: `(N, 2)` regressed boundaries, same convention.
        coherence: `(N,)` coherence term L_c.
        oic: `(N, C)` outer-inner contrast L_OIC per class, low is good.
    """

    stream: NameArray
    anchor: IntArray
    raw: FloatArray
    refined: FloatArray
    coherence: FloatArray
    oic: FloatArray

    def __post_init__(self) -> None:
        n = len(self.anchor)
        shapes = {"stream": (n,), "anchor": (n,), "raw": (n, 2), "refined": (n, 2), "coherence": (n,)}
        for name, shape in shapes.items():
            got = np.asarray(getattr(self, name)).shape
            if got != shape:
                raise DataError(
                    f"{name} has the wrong shape",
                    expected=str(shape),
                    got=str(got),
                    where="Boundaries",
                    next_step="Give one entry a proposal",
                )
        if np.ndim(self.oic) != 2 or len(self.oic) != n:
            raise DataError(
                "oic has the wrong shape",
                expected=f"({n}, C)",
                got=str(np.shape(self.oic)),
                where="Boundaries",
                next_step="Give one row a proposal, one column a class",
            )

    def __len__(self) -> int:
        return len(self.anchor)


@dataclass(frozen=True, eq=False)
class Activations(Picklable):
    """What a method says about one video before any threshold; everything to the right of it needs no model.

    Args:
        cas: `(T, C)` or `(T, C + 1)` class activation sequence; the background is the last channel where there is one.
            Which scale it has (logits, class softmax) is part of each method's contract (design, "What travels").
        video_scores: `(C,)` what the method thresholds to pick classes, actions only.
        grid: where the T snippets lie in time.
        classes: the C action classes.
        branch_cas: `(K, T, C + 1)` per-branch CAS (CMCS), or None.
        attention: class-agnostic attentions `{name: (T,)}`.
        drop_mask: `(T,)` bool, True where the method dropped a discriminative snippet (HAM-Net), or None.
        boundaries: regressed proposals (ACN), or None.
        embedding: `(T, D')` snippet embedding (deep metric), or None.
        extra_cas: further sequences `{name: (T, C) or (T, C + 1)}`: ACM-Net "context", "background", "unattended";
            ACN "rgb", "flow"; deep metric "similarity".
        method: name of the method that made it.

    Raises:
        DataError: shapes disagree or a value is not finite.
    """

    cas: npt.NDArray[np.floating[Any]]
    video_scores: npt.NDArray[np.floating[Any]]
    grid: SnippetGrid
    classes: tuple[str, ...]
    branch_cas: npt.NDArray[np.floating[Any]] | None = None
    attention: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    drop_mask: npt.NDArray[np.bool_] | None = None
    boundaries: Boundaries | None = None
    embedding: npt.NDArray[np.floating[Any]] | None = None
    extra_cas: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    method: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "attention", MappingProxyType(dict(self.attention)))
        object.__setattr__(self, "extra_cas", MappingProxyType(dict(self.extra_cas)))
        t, c = self.grid.num_snippets, len(self.classes)
        wide: set[tuple[int, ...]] = {(t, c), (t, c + 1)}
        expected: list[tuple[str, Any, set[tuple[int, ...]]]] = [
            ("cas", self.cas, wide),
            ("video_scores", self.video_scores, {(c,)}),
            ("drop_mask", self.drop_mask, {(t,)}),
        ]
        expected += [(f"attention[{name!r}]", value, {(t,)}) for name, value in self.attention.items()]
        expected += [(f"extra_cas[{name!r}]", value, wide) for name, value in self.extra_cas.items()]
        if self.branch_cas is not None:
            branches = np.shape(self.branch_cas)[:1]
            expected.append(("branch_cas", self.branch_cas, {(*branches, *shape) for shape in wide}))
        if self.embedding is not None:
            expected.append(("embedding", self.embedding, {(t, *(np.shape(self.embedding)[1:2] or (1,)))}))
        for name, value, shapes in expected:
            if value is None:
                continue
            if np.shape(value) not in shapes:
                raise DataError(
                    f"{name} has the wrong shape",
                    expected=" or ".join(str(s) for s in sorted(shapes)),
                    got=str(np.shape(value)),
                    where="Activations",
                    next_step="Check the grid's num_snippets and the number of classes against the array",
                )
            if not np.isfinite(value).all():
                raise DataError(
                    f"{name} is not finite",
                    expected="no NaN and no infinity",
                    where="Activations",
                    next_step="Look for NaN in the features ('wtal data doctor') or a diverged training",
                )

    @property
    def has_background(self) -> bool:
        """Whether `cas` carries a background channel (the last one)."""
        return int(self.cas.shape[1]) == len(self.classes) + 1

    @property
    def action_cas(self) -> npt.NDArray[np.floating[Any]]:
        """`(T, C)`: the CAS without the background channel."""
        return self.cas[:, : len(self.classes)]
