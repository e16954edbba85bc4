"""Read dense features at the coarser step a model works at (CMCS stores I3D every 4 frames and uses every 16th)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.store import FeatureStore
from wtal_core.errors import DataError, UsageError
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["SampleRateStore", "at_sample_rate", "every_phase", "first_phase"]


def _crops(features: VideoFeatures, factor: int) -> Array:
    """Return the features as `(B, T0, D)` after checking that `factor` phases fit."""
    data = features.data if features.data.ndim == 3 else features.data[None]
    if isinstance(factor, bool) or not isinstance(factor, int | np.integer) or not 1 <= factor <= data.shape[1]:
        raise UsageError(
            "the factor between the base stride and the used stride is out of range",
            expected=f"an integer between 1 and the video's {data.shape[1]} snippets",
            got=repr(factor),
            where=features.video,
            next_step=f"Choose a factor up to {data.shape[1]}, or 1 to keep every snippet",
        )
    return data


def every_phase(features: VideoFeatures, factor: int) -> Array:
    """Return every phase of every crop, CMCS's training rows.

    Args:
        features: `(B, T0, D)` (or `(T0, D)`, then B = 1) at the base stride.
        factor: used stride / base stride, f (16 / 4 = 4 for I3D on THUMOS14, 15 / 5 = 3 for UntrimmedNet, 1 on
            ActivityNet).

    Returns:
        `(B * f, T, D)` with `T = floor(T0 / f)`: all phases cut to the shortest, phase-major as in its official code
        (rows `0..B-1` are phase 0). Training picks one row a visit, the same for both streams.
    """
    data = _crops(features, factor)
    shortest = data.shape[1] // factor  # the last phase's length
    phases = [data[:, phase::factor][:, :shortest] for phase in range(factor)]
    return np.concatenate(phases, axis=0)


def first_phase(features: VideoFeatures, factor: int) -> VideoFeatures:
    """Return phase 0 of every crop, `(B, ceil(T0 / f), D)`, on its coarser grid: what CMCS is tested on."""
    data = _crops(features, factor)
    return VideoFeatures(features.video, data[:, ::factor], features.grid.coarser(factor), features.provenance)


def at_sample_rate(store: FeatureStore, frames: float, *, phases: bool) -> FeatureStore:
    """Return the store, read at a coarser step.

    Args:
        store: features at their base step.
        frames: step in frames of the features' clock; 0 returns the store as it is.
        phases: True gives every phase of every crop as a row, `(crops * f, T, D)`, for training (one row is drawn a
            visit); False gives phase 0 of every crop, for inference.

    Raises:
        DataError: on reading, if the base step does not divide `frames`.
    """
    return SampleRateStore(store, frames, phases) if frames else store


@dataclass(frozen=True)
class SampleRateStore:
    """A feature store behind a coarser step; see `at_sample_rate`."""

    store: FeatureStore
    frames: float
    phases: bool

    def _factor(self, video: str) -> int:
        stride = self.store.grid(video).stride
        factor = self.frames / stride
        if factor < 1 or not factor.is_integer():
            raise DataError(
                "the features' step does not fit the model's",
                expected=f"a step that divides {self.frames:g} frames",
                got=f"{stride:g} frames",
                where=video,
                next_step="Set sample_rate=0 to use the features as they are stored",
            )
        return int(factor)

    @property
    def videos(self) -> tuple[str, ...]:
        """Video ids."""
        return self.store.videos

    @property
    def dim(self) -> int:
        """Channels D."""
        return self.store.dim

    def shape(self, video: str) -> tuple[int, ...]:
        """Return the shape that `read` gives."""
        shape, factor = self.store.shape(video), self._factor(video)
        crops, length = (shape[0] if len(shape) == 3 else 1), shape[-2]
        if self.phases:
            return crops * factor, length // factor, shape[-1]
        return crops, -(-length // factor), shape[-1]

    def grid(self, video: str) -> SnippetGrid:
        """Return the coarser grid (of phase 0)."""
        grid = self.store.grid(video).coarser(self._factor(video))
        return grid.with_snippets(self.shape(video)[-2])

    def provenance(self, video: str) -> Provenance:
        """Return what made the features."""
        return self.store.provenance(video)

    def read(self, video: str) -> VideoFeatures:
        """Return the features of one video at the coarser step."""
        features, factor = self.store.read(video), self._factor(video)
        if not self.phases:
            return first_phase(features, factor)
        return VideoFeatures(video, every_phase(features, factor), self.grid(video), features.provenance)

    def close(self) -> None:
        """Free the file handles."""
        self.store.close()

    def __enter__(self) -> SampleRateStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
