"""What a method says about one video before any threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray, NameArray
from wtal_core.errors import DataError, counted, unknown_name
from wtal_core.records.checks import check_mapping, check_names, check_type
from wtal_core.records.pickling import Picklable
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.summary import Summarized, Summary

__all__ = ["TRACK_KINDS", "Activations", "Boundaries", "Track"]

#: Kind of a track -> shape of its values, for T snippets, C classes (a map may have a background channel more).
TRACK_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "curve": "(T,)",
        "map": "(T, C) or (T, C + 1)",
        "branches": "(K, T, C) or (K, T, C + 1)",
        "mask": "(T,) bool",
        "embedding": "(T, D')",
        "proposals": "a table of boundaries",
        "scalar": "one number",
    }
)


@dataclass(frozen=True, eq=False, repr=False)
class Boundaries(Summarized):
    """Proposals of one video before suppression, all streams and anchors in one flat list (ACN's regressed ones).

    Args:
        stream: `(N,)` stream names ("rgb", "flow"), "" where there is one.
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

    def _summary(self, rows: int) -> Summary:
        """Return the proposals in short."""
        table = [
            (str(stream), int(anchor), float(first), float(last), float(coherence))
            for stream, anchor, (first, last), coherence in zip(
                self.stream[:rows], self.anchor, self.refined, self.coherence, strict=False
            )
        ]
        columns = ("stream", "anchor", "first snippet", "last snippet", "coherence")
        return Summary(f"Boundaries: {counted(len(self), 'proposal')}", columns=columns, rows=table, total=len(self))

    @classmethod
    def of(
        cls,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        score: npt.ArrayLike,
        *,
        raw: npt.ArrayLike | None = None,
    ) -> Boundaries:
        """Build from any method's proposals.

        Args:
            start, end: `(N,)` first snippet, and one after the last; need not be whole.
            score: `(N, C)`, high is good.
            raw: `(N, 2)` start and end before they were refined; default: the same.
        """
        refined = np.stack([np.asarray(start, np.float64), np.asarray(end, np.float64) - 1], axis=1)
        before = refined if raw is None else np.asarray(raw, np.float64) - np.array([0.0, 1.0])
        stream = np.full(len(refined), "", dtype=object)
        return cls(
            stream=stream,
            anchor=np.rint(before[:, 1] - before[:, 0] + 1).astype(np.int64),
            raw=before,
            refined=refined,
            coherence=np.zeros(len(refined)),
            oic=-np.asarray(score, np.float64),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Track(Summarized):
    """One named result of a method for a video.

    Args:
        kind: one of `TRACK_KINDS`, which says the shape of the values.
        values: an array, or `Boundaries` for "proposals".
        meaning: what it is, one line.
        low, high: range of the values where it is fixed.
        log: whether its scale is logarithmic.
        legend: names of the K branches.
    """

    kind: str
    values: Any
    meaning: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    legend: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in TRACK_KINDS:
            raise unknown_name("kind of track", self.kind, TRACK_KINDS, where="Track")
        object.__setattr__(self, "legend", tuple(self.legend))
        if self.kind == "proposals" and not isinstance(self.values, Boundaries):
            raise DataError(
                "is not a table of proposals",
                expected="Boundaries",
                got=type(self.values).__name__,
                where="Track",
                next_step="Build it with Boundaries.of(start, end, score)",
            )
        if self.kind != "proposals":
            object.__setattr__(self, "values", np.asarray(self.values))

    def _summary(self, rows: int) -> Summary:
        """Return the track in short."""
        kind, shape, values = self._row()
        return Summary(f"Track: {kind}, {shape}, {values}", facts=[("meaning", self.meaning)])

    def _row(self) -> tuple[str, str, str]:
        """Return kind, shape and range of the values."""
        if isinstance(self.values, Boundaries):
            return self.kind, counted(len(self.values), "proposal"), ""
        shape = " x ".join(f"{n:,}" for n in self.values.shape) or "one number"
        if self.kind == "mask":
            return self.kind, shape, f"{self.values.sum():,} true"
        return self.kind, shape, f"{self.values.min():.3g} to {self.values.max():.3g}" if self.values.size else ""


@dataclass(frozen=True, eq=False, repr=False)
class Activations(Picklable, Summarized):
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
        tracks: whatever else the method has to show, `{name: Track}`; a name holds no dot.
        method: name of the method that made it.

    Raises:
        DataError: a field is of the wrong type, shapes disagree or a value is not finite.
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
    tracks: Mapping[str, Track] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = "Activations"
        check_type(self.grid, SnippetGrid, "grid", "a SnippetGrid", where)
        object.__setattr__(self, "classes", check_names(self.classes, "classes", where))
        for name in ("attention", "extra_cas"):
            arrays = check_mapping(getattr(self, name), np.ndarray, name, "a NumPy array", where)
            object.__setattr__(self, name, MappingProxyType(arrays))
        tracks = check_mapping(self.tracks, Track, "tracks", "a Track", where)
        object.__setattr__(self, "tracks", MappingProxyType(tracks))
        for name in ("cas", "video_scores", "branch_cas", "drop_mask", "embedding"):
            value = getattr(self, name)
            if value is not None or name in ("cas", "video_scores"):
                check_type(value, (np.ndarray, np.generic), name, "a NumPy array", where)
        if self.boundaries is not None:
            check_type(self.boundaries, Boundaries, "boundaries", "Boundaries", where)
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
        for name, track in self.tracks.items():
            if "." in name or not name or name in _OWN:
                raise DataError(
                    f"{name!r} cannot name a track",
                    expected=f"a name without a dot, and none of {', '.join(_OWN)}",
                    where="Activations.tracks",
                    next_step="Choose another name",
                )
            if track.kind != "proposals":
                shape = np.shape(track.values)
                of: dict[str, set[tuple[int, ...]]] = {"curve": {(t,)}, "mask": {(t,)}, "scalar": {()}, "map": wide}
                of["branches"] = {(*shape[:1], *s) for s in wide}
                of["embedding"] = {(t, *(shape[1:2] or (1,)))}
                expected.append((f"tracks[{name!r}]", track.values, of[track.kind]))
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

    def _summary(self, rows: int) -> Summary:
        """Return the activations in short: the likeliest classes, and what tracks there are."""
        tracks = self.all_tracks()
        likeliest = np.argsort(-self.video_scores, kind="stable")[:3].tolist()
        return Summary(
            f"Activations{self.method and f' of {self.method}'}: {counted(self.grid.num_snippets, 'snippet')}, "
            f"{counted(len(self.classes), 'class', 'classes')}",
            facts=[("scores", ", ".join(f"{self.classes[i]} {self.video_scores[i]:.3g}" for i in likeliest))],
            columns=("track", "kind", "shape", "values"),
            rows=[(name, *track._row()) for name, track in list(tracks.items())[:rows]],
            total=len(tracks),
        )

    def all_tracks(self) -> dict[str, Track]:
        """Return every track by its address: what the five methods call by names of their own, then `tracks`."""
        found = {"cas": Track("map", self.cas)} if self.cas.size else {}
        if self.branch_cas is not None:
            found["branch_cas"] = Track("branches", self.branch_cas)
        found |= {f"attention.{name}": Track("curve", values) for name, values in self.attention.items()}
        found |= {f"extra_cas.{name}": Track("map", values) for name, values in self.extra_cas.items()}
        if self.drop_mask is not None:
            found["drop_mask"] = Track("mask", self.drop_mask)
        if self.boundaries is not None:
            found["boundaries"] = Track("proposals", self.boundaries)
        if self.embedding is not None:
            found["embedding"] = Track("embedding", self.embedding)
        return found | dict(self.tracks)


#: Addresses that are no names of further tracks.
_OWN = ("cas", "branch_cas", "drop_mask", "boundaries", "embedding", "video_scores")
