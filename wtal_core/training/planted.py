"""A tiny planted world for checks and tests: features with class prototypes where actions are, and the truth beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["CLASSES", "MemoryStore", "World", "make_world"]

CLASSES = ("Dive", "Jump", "Throw")


class MemoryStore:
    """A feature store over arrays in memory."""

    def __init__(self, features: dict[str, VideoFeatures]) -> None:
        self._features = features

    @property
    def videos(self) -> tuple[str, ...]:
        return tuple(self._features)

    @property
    def dim(self) -> int:
        return next(iter(self._features.values())).dim

    def shape(self, video: str) -> tuple[int, ...]:
        return self._features[video].data.shape

    def grid(self, video: str) -> SnippetGrid:
        return self._features[video].grid

    def provenance(self, video: str) -> Provenance:
        return self._features[video].provenance

    def read(self, video: str) -> VideoFeatures:
        return self._features[video]

    def close(self) -> None: ...

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *error: object) -> None: ...


@dataclass(frozen=True)
class World:
    """Features and annotations."""

    store: MemoryStore
    annotations: Annotations

    def videos(self, subset: str) -> list[str]:
        """Return the videos of a subset, "training" or "test"."""
        return [v for v, info in self.annotations.videos.items() if info.subset == subset]


def make_world(
    num_train: int = 24, num_test: int = 9, dim: int = 32, seed: int = 0, length: tuple[int, int] = (40, 90)
) -> World:
    """Plant some actions of one class (sometimes of a second) into each video.

    Features are non-negative and sparse like I3D's; both halves of the channels (rgb, flow) carry the class.

    Args:
        num_train, num_test: videos of each subset.
        dim: channels.
        seed: seed of everything.
        length: smallest and largest number of snippets, the latter excluded.
    """
    rng = np.random.default_rng(seed)
    provenance = Provenance("planted", (("rgb", dim // 2), ("flow", dim // 2)))
    # Each class has channels of its own, in both streams, so that even a few hundred steps tell them apart.
    owner = np.concatenate([rng.permutation(dim // 2) % (len(CLASSES) + 1) for _ in range(2)])
    prototypes = rng.uniform(1.0, 4.0, (len(CLASSES), dim)) * (owner[None] == np.arange(len(CLASSES))[:, None])
    scene = rng.gamma(1.0, 0.4, (4, dim)) * (rng.random((4, dim)) < 0.3)
    features: dict[str, VideoFeatures] = {}
    videos: dict[str, VideoInfo] = {}
    rows: list[tuple[str, str, float, float]] = []
    static: list[tuple[str, str, float, float]] = []
    for number in range(num_train + num_test):
        subset = "training" if number < num_train else "test"
        name = f"{subset}_{number:03d}"
        snippets = int(rng.integers(*length))
        data = scene[rng.integers(4)] + 0.15 * np.abs(rng.normal(size=(snippets, dim)))
        grid = SnippetGrid.preset("i3d-25fps-16", snippets)
        grid = SnippetGrid.preset("i3d-25fps-16", snippets, grid.end_seconds)
        labels = [number % len(CLASSES)] + ([(number + 1) % len(CLASSES)] if number % 5 == 0 else [])
        at = int(rng.integers(2, 8))
        while at + 14 < snippets:
            size = int(rng.integers(5, 12))
            label = int(rng.choice(labels)) if rows and rows[-1][0] == name else labels[0]
            data[at : at + size] += prototypes[label]
            start, end = grid.to_seconds(at), grid.to_seconds(at + size)
            rows.append((name, CLASSES[label], float(start), float(end)))
            static.append((name, "static", float(end), float(grid.to_seconds(at + size + 2))))
            at += size + int(rng.integers(8, 20))
        present = sorted({r[1] for r in rows if r[0] == name})
        videos[name] = VideoInfo(subset=subset, duration=grid.duration, labels=tuple(present))
        features[name] = VideoFeatures(name, data.astype(np.float32), grid, provenance)
    columns = [list(c) for c in zip(*rows, strict=True)]
    clips = [list(c) for c in zip(*static, strict=True)]
    annotations = Annotations(
        classes=CLASSES, videos=videos, instances=Segments(*columns), tracks={"static": Segments(*clips)}
    )
    return World(MemoryStore(features), annotations)
