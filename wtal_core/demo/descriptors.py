"""The demo world's snippet features: both weight-free descriptors at a coarser resolution, 128 channels each.

The full descriptors (`wtal_core.video.descriptors`) have 512 channels; networks on twice that are too large to ship ten
of. Averaging their squares over cells and phases, before the square root that ends them, gives what the same statistics
would be on coarser cells. `wtal extract` finds them as `wtal_core.demo.descriptors:appearance` and `:motion`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Array
from wtal_core.video.backbones import Backbone, BackboneInfo, create_backbone
from wtal_core.video.descriptors import APPEARANCE_BLOCKS, MOTION_BLOCKS, block_slices

__all__ = ["CoarseDescriptor", "appearance", "appearance_pooling", "backbones", "motion", "motion_pooling"]

Floats = npt.NDArray[np.float32]


def appearance_pooling() -> Floats:
    """Return `(128, 512)`: the whole frame and its quarters without the 16 finest cells; texture as it is."""
    blocks = block_slices(APPEARANCE_BLOCKS)
    every = np.eye(sum(APPEARANCE_BLOCKS.values()), dtype=np.float32)
    coarse = [
        every[blocks[name]].reshape(21, -1, every.shape[1])[:5] for name in ("colour", "orientation", "luminance")
    ]
    return np.concatenate([*(rows.reshape(-1, every.shape[1]) for rows in coarse), every[blocks["texture"]]])


def motion_pooling() -> Floats:
    """Return `(128, 512)`.

    Orientations over quarters (36) and over phases (32), kinematics over quarters (24), small and large objects over
    quarters and over phases (12 + 8), the camera's motion (8) and the rhythm (8); speed histograms are left out.
    """
    blocks = block_slices(MOTION_BLOCKS)
    every = np.eye(sum(MOTION_BLOCKS.values()), dtype=np.float32)
    width = every.shape[1]

    def quarters(cells: Floats) -> Floats:
        """Average `(16, k, 512)` to `(4 k, 512)`."""
        return np.asarray(cells.reshape(2, 2, 2, 2, -1, width).mean(axis=(1, 3)).reshape(-1, width))

    objects = every[blocks["small_objects"]]
    parts = [
        quarters(every[blocks["orientation_cells"]].reshape(16, 9, width)),
        every[blocks["orientation_phases"]].reshape(4, 4, 8, width).mean(axis=1).reshape(-1, width),
        every[blocks["kinematics"]].reshape(4, 4, 6, width).mean(axis=0).reshape(-1, width),
        *(quarters(objects[16 * k : 16 * (k + 1)].reshape(16, 1, width)) for k in range(3)),
        objects[48:],
        every[blocks["camera"]].reshape(4, 8, width).mean(axis=0),
        every[blocks["rhythm"]],
    ]
    return np.concatenate(parts).astype(np.float32)


class CoarseDescriptor:
    """A descriptor whose squares are averaged by a matrix: non-negative, square-root normalised as the original.

    Args:
        name: registered name of the full descriptor.
        pooling: `(channels, channels of the full descriptor)`, non-negative.
    """

    def __init__(self, name: str, pooling: Floats) -> None:
        self._name, self._pooling = name, pooling
        self._full: Backbone | None = None
        label = f"{name}-{len(pooling)}"
        self.info: BackboneInfo = replace(create_backbone(name).info, extractor=label, modality=label, dim=len(pooling))

    def __call__(self, frames: npt.NDArray[np.uint8], snippets: npt.NDArray[np.int64]) -> Array:
        """Return `(B, channels)` float32."""
        if self._full is None:
            self._full = create_backbone(self._name)
        return self.coarsen(self._full(frames, snippets))

    def coarsen(self, described: Array) -> Floats:
        """Return `(B, channels)` of the full descriptor's `(B, D)`."""
        return np.sqrt(np.square(described.astype(np.float32)) @ self._pooling.T)


def backbones() -> tuple[CoarseDescriptor, CoarseDescriptor]:
    """Return the demo world's two streams: appearance first, motion second."""
    return appearance, motion


appearance = CoarseDescriptor("appearance-descriptor", appearance_pooling())
motion = CoarseDescriptor("motion-descriptor", motion_pooling())
