"""Planted features: a feature set in the shape of a real one, with the truth about phases and context beside it.

Lengths, segments, classes and splits are those of real annotations; only the features are made. They look like I3D's
(non-negative, sparse, heavy-tailed, of low intrinsic dimension: 1024 channels of a real long jump have a mean of 0.17
and 0.10 and norms of about 8.5 and 5 in RGB and flow) and hold what makes weak supervision hard:

* **phases**: every instance is three sub-actions; the middle one is the most telling, the first and last are weaker, so
  a method that fires on the telling snippets alone is *incomplete*;
* **context**: before and after instances stands a scene that occurs with its class only, shares part of the class's
  appearance and hardly moves, so a method that learns co-occurrence is *over-complete*;
* **static clips**: background at rest, for CMCS's hard negatives;
* **background**: scenes that all videos share, changing smoothly; noise; a gain per channel and video.

Several spatial crops may be made. The first is what a single one would be; each further one shows the same moments of
the same truth with gains and noise of its own and less of the action, as where the athlete stands at the border. Crops
of a real network share most of their noise: the planted ones differ more from each other, and averaging helps more.

A video-level classifier separates the classes easily; where the action begins and ends is what must be learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray
from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["PHASES", "PlantedFeatures", "PlantedOptions", "plant_tracks"]


#: Sub-actions of every instance with the share of the class appearance that shows in each.
PHASES = {"start": 0.55, "peak": 1.0, "end": 0.55}

_TIMES = 4  # moments of a snippet that are looked at, so that a snippet on a boundary is a mixture


@dataclass(frozen=True)
class PlantedOptions:
    """How the features are made."""

    dim: int = option(2048, "channels, half RGB and half flow", low=8)
    seed: int = option(0, "seed of everything", low=0)
    grid: str = option("i3d-25fps-16", "snippet grid (preset)")
    context_seconds: tuple[float, float] = option((0.8, 4.0), "length of context on each side", unit="seconds", low=0)
    context_share: float = option(0.45, "share of the class appearance that context shows", low=0, high=1)
    static_share: float = option(0.12, "share of a video that is static background", low=0, high=0.5)
    noise: float = option(0.35, "noise, relative to the mean of the features", low=0)
    signal: float = option(1.0, "strength of the class appearance, relative to the scene", low=0)
    crops: int = option(1, "spatial crops; the first does not depend on their number", low=1)

    def __post_init__(self) -> None:
        check(self)

    @property
    def name(self) -> str:
        """Name of a data set that is made so."""
        return f"planted-{self.dim}-seed{self.seed}" + (f"-crops{self.crops}" if self.crops > 1 else "")


def _rng(seed: int, *key: object) -> np.random.Generator:
    """Return a generator that depends on the seed and on names, not on the order in which videos are made."""
    digits = [ord(c) for part in key for c in f"{part}\0"]
    return np.random.default_rng([seed, *digits])


def plant_tracks(annotations: Annotations, options: PlantedOptions) -> Annotations:
    """Add the tracks "phases", "context" and "static" to real annotations.

    Context ends where the next instance of any class begins; beside an instance that overlaps another it may reach into
    that one. Phases partition their instance; static clips lie where nothing else is.
    """
    phases: list[tuple[str, str, float, float]] = []
    context: list[tuple[str, str, float, float]] = []
    static: list[tuple[str, str, float, float]] = []
    instances = annotations.instances.by_video()
    for video in annotations.videos:
        rng = _rng(options.seed, "tracks", video)
        rows = instances.get(video, Segments.empty())
        limit = duration_of(annotations, video)
        busy = _merged(rows.start, rows.end)
        for label, start, end in zip(rows.label, rows.start, rows.end, strict=True):
            cuts = start + (end - start) * np.concatenate([[0], np.sort(rng.uniform((0.2, 0.6), (0.4, 0.8))), [1]])
            phases += [(video, f"{label}/{n}", a, b) for n, a, b in zip(PHASES, cuts[:-1], cuts[1:], strict=True)]
            before, after = rng.uniform(*options.context_seconds, size=2)
            previous = max((e for _, e in busy if e <= start), default=0.0)
            following = min((s for s, _ in busy if s >= end), default=limit)
            around = ((max(previous, start - before), start), (end, min(following, end + after)))
            context += [(video, str(label), a, b) for a, b in around if b - a > 0.2]
        context = list(dict.fromkeys(context))  # what fills the time between two instances belongs to both
        taken = _merged(
            np.array([a for v, _, a, _ in context if v == video] + rows.start.tolist()),
            np.array([b for v, _, _, b in context if v == video] + rows.end.tolist()),
        )
        gaps = _gaps(taken, limit)
        wanted = options.static_share * limit
        for index in rng.permutation(len(gaps)):
            a, b = gaps[index]
            length = min(b - a, wanted, float(rng.uniform(3, 8)))
            if length >= 2.0:  # shorter clips are not mined either (CMCS: two seconds)
                begin = float(rng.uniform(a, b - length))
                static.append((video, "static", begin, begin + length))
                wanted -= length
    tables = {
        name: Segments(*(list(column) for column in zip(*rows, strict=True))) if rows else Segments.empty()
        for name, rows in (("phases", phases), ("context", context), ("static", static))
    }
    return replace(annotations, tracks={**annotations.tracks, **tables})


def duration_of(annotations: Annotations, video: str) -> float:
    """Return a video's stated duration, or the end of its last segment where that is later or nothing is stated."""
    rows = annotations.instances.for_video(video)
    stated = annotations.videos[video].duration or 0.0
    return max(stated, float(rows.end.max(initial=0.0)), 2.0)


def _merged(start: FloatArray, end: FloatArray) -> list[tuple[float, float]]:
    """Return the union of intervals as sorted disjoint intervals."""
    union: list[tuple[float, float]] = []
    for a, b in sorted(zip(start.tolist(), end.tolist(), strict=True)):
        if union and a <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], b))
        else:
            union.append((a, b))
    return union


def _gaps(taken: list[tuple[float, float]], limit: float) -> list[tuple[float, float]]:
    edges = [0.0, *(t for interval in taken for t in interval), limit]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 2.0]


class PlantedFeatures:
    """Make the features of one video after the other; the same options give the same features in any order.

    Args:
        annotations: real annotations with the tracks of `plant_tracks`.
        options: how.
    """

    def __init__(self, annotations: Annotations, options: PlantedOptions) -> None:
        self.annotations = annotations
        self.options = options
        half = options.dim // 2
        self.provenance = Provenance(
            extractor=f"planted-{options.dim}-seed{options.seed}",
            modalities=(("rgb", half), ("flow", options.dim - half)),
            crop=f"planted{options.crops}" if options.crops > 1 else "",
        )
        rng = _rng(options.seed, "world")
        classes = len(annotations.classes)
        #: Appearance of each stream: (concept, channels), heavy-tailed and sparse, scaled to mean 1.
        self.look: dict[str, dict[str, FloatArray]] = {
            stream: {
                "class": _looks(rng, classes, width),
                "phase": _looks(rng, classes * len(PHASES), width),
                "context": _looks(rng, classes, width),
                "background": _looks(rng, 12, width),
            }
            for stream, width in self.provenance.modalities
        }

    def __iter__(self) -> Iterator[VideoFeatures]:
        for video in self.annotations.videos:
            yield self.video(video)

    def video(self, video: str) -> VideoFeatures:
        """Return the float32 features of one video, `(T, D)`, or `(crops, T, D)` where there are several crops."""
        options, rng = self.options, _rng(self.options.seed, "features", video)
        empty = SnippetGrid.preset(options.grid, 0, duration_of(self.annotations, video))
        grid = empty.with_snippets(empty.expected_num_snippets())
        weights = self._weights(video, grid)
        scene = _smooth_mixture(rng, grid.num_snippets, 12)  # (T, 12)
        crops = [self._crop(weights, scene, 1.0, rng)]
        for crop in range(1, options.crops):
            rng = _rng(options.seed, "features", video, f"crop {crop}")
            crops.append(self._crop(weights, scene, rng.uniform(0.5, 1.0), rng))
        data = crops[0] if options.crops == 1 else np.stack(crops)
        return VideoFeatures(video, data, grid, self.provenance)

    def _crop(
        self, weights: dict[str, FloatArray], scene: FloatArray, visible: float, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """Return the `(T, D)` features of one crop that shows a share `visible` of the action."""
        options, snippets = self.options, len(scene)
        inside = weights["phase"].sum(1)  # (T,) share of the snippet that lies in an action
        free = np.clip(1 - inside - weights["context"].sum(1), 0, 1)[:, None]
        streams = []
        for stream, width in self.provenance.modalities:
            look = self.look[stream]
            moving = stream == "flow"
            background = scene @ look["background"] * (0.55 if moving else 1.0) * (1 - 0.9 * moving * weights["static"])
            # What of the scene remains visible behind an action or its context.
            value = background * (0.35 + 0.65 * free)
            strength = options.signal * (1.6 if moving else 1.3)
            value += visible * strength * (weights["class"] @ look["class"] + 0.6 * weights["phase"] @ look["phase"])
            shared = strength * options.context_share * weights["context"] @ look["class"]
            value += (0.35 if moving else 1.0) * (shared + 0.8 * weights["context"] @ look["context"])
            value *= rng.lognormal(0.0, 0.25, width) * rng.lognormal(0.0, 0.10, (snippets, 1))
            value += options.noise * np.abs(rng.normal(size=value.shape)) * rng.gamma(0.5, 2.0, value.shape)
            # Means of real I3D features: 0.17 (RGB) and 0.10 (flow).
            streams.append(value * (0.10 if moving else 0.17) / (1.0 + options.noise))
        return np.concatenate(streams, axis=1).astype(np.float32)

    def _weights(self, video: str, grid: SnippetGrid) -> dict[str, FloatArray]:
        """Return the share of each snippet: class `(T, C)`, phase `(T, 3C)`, context `(T, C)`, static `(T, 1)`."""
        index = {name: i for i, name in enumerate(self.annotations.classes)}
        moments = grid.to_seconds(np.arange(grid.num_snippets)[:, None] + (np.arange(_TIMES) + 0.5) / _TIMES)  # (T, 4)

        def share(rows: Segments) -> FloatArray:
            """`(T, N)` share of each snippet that lies in each segment."""
            inside = (moments[..., None] >= rows.start) & (moments[..., None] < rows.end)  # (T, 4, N)
            return np.asarray(inside.mean(axis=1))

        phases = self.annotations.tracks["phases"].for_video(video)
        context = self.annotations.tracks["context"].for_video(video)
        static = self.annotations.tracks["static"].for_video(video)
        classes = len(index)
        weights = {
            "class": np.zeros((grid.num_snippets, classes)),
            "phase": np.zeros((grid.num_snippets, classes * len(PHASES))),
            "context": np.zeros((grid.num_snippets, classes)),
            "static": np.minimum(share(static).sum(1, keepdims=True), 1.0),
        }
        names = [label.split("/") for label in phases.label]
        label = np.array([index[c] for c, _ in names], dtype=np.int64)
        phase = np.array([list(PHASES).index(p) for _, p in names], dtype=np.int64)
        shown = share(phases)  # (T, N)
        np.maximum.at(weights["class"].T, label, (shown * np.array(list(PHASES.values()))[phase]).T)
        np.maximum.at(weights["phase"].T, label * len(PHASES) + phase, shown.T)
        np.maximum.at(
            weights["context"].T, np.array([index[c] for c in context.label], dtype=np.int64), share(context).T
        )
        return weights


def _looks(rng: np.random.Generator, count: int, width: int) -> FloatArray:
    """Return `(count, width)` non-negative appearances: a quarter of the channels respond, a few of them strongly."""
    looks = rng.gamma(0.6, 1.0, (count, width)) * (rng.random((count, width)) < 0.25)
    return np.asarray(looks / np.maximum(looks.mean(axis=1, keepdims=True), 1e-12))


def _smooth_mixture(rng: np.random.Generator, length: int, parts: int) -> FloatArray:
    """Return `(length, parts)` weights of a scene that drifts and sometimes cuts; each row sums to 1."""
    cut = np.cumsum(rng.random(length) < 0.04)  # a cut every 25 snippets
    shots = rng.dirichlet(np.full(parts, 0.25), cut[-1] + 1 if length else 1)[cut]  # (length, parts)
    drift = rng.normal(size=(length, parts)).cumsum(axis=0) * 0.03
    weights = shots * np.exp(drift - drift.mean(axis=0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
