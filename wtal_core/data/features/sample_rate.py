"""Read dense features at the coarser step a model works at (CMCS stores I3D every 4 frames and uses every 16th)."""

from __future__ import annotations

from dataclasses import dataclass

from wtal_core.data.features.cmcs import cmcs_phases, cmcs_test_crops
from wtal_core.data.features.store import FeatureStore
from wtal_core.errors import DataError
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["SampleRateStore", "at_sample_rate"]


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
            return cmcs_test_crops(features, factor)
        return VideoFeatures(video, cmcs_phases(features, factor), self.grid(video), features.provenance)

    def close(self) -> None:
        """Free the file handles."""
        self.store.close()

    def __enter__(self) -> SampleRateStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
