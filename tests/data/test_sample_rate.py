"""Dense features read at the coarser step a model works at."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.data.features.sample_rate import at_sample_rate
from wtal_core.errors import DataError
from wtal_core.records import VideoFeatures
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training.planted import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    data = np.arange(2 * 11 * 3, dtype=np.float32).reshape(2, 11, 3)
    grid = SnippetGrid(fps=30, stride=4, window=16, num_snippets=11, duration=2.0)
    return MemoryStore({"v": VideoFeatures("v", data, grid)})


def test_inference_takes_phase_zero_of_every_crop(store: MemoryStore) -> None:
    coarse = at_sample_rate(store, 16, phases=False)
    features = coarse.read("v")
    np.testing.assert_array_equal(features.data, store.read("v").data[:, ::4])
    assert features.data.shape == coarse.shape("v")
    assert features.grid == coarse.grid("v")
    assert (features.grid.stride, features.grid.window) == (16, 16)


def test_training_sees_every_phase(store: MemoryStore) -> None:
    rows = at_sample_rate(store, 16, phases=True)
    data = rows.read("v").data
    assert data.shape == rows.shape("v") == (8, 2, 3)
    np.testing.assert_array_equal(data[2], store.read("v").data[0, 1::4][:2])  # crop 0 of phase 1


def test_zero_and_the_same_step_change_nothing(store: MemoryStore) -> None:
    assert at_sample_rate(store, 0, phases=True) is store
    np.testing.assert_array_equal(at_sample_rate(store, 4, phases=False).read("v").data, store.read("v").data)


@pytest.mark.parametrize("frames", [6, 2])
def test_a_step_that_does_not_fit_is_refused(store: MemoryStore, frames: float) -> None:
    with pytest.raises(DataError, match="sample_rate=0"):
        at_sample_rate(store, frames, phases=False).read("v")
