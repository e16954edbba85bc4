"""What is packed opens as it did."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from wtal_core.data.activations import ActivationWriter, open_activations
from wtal_core.demo.shipping import repack
from wtal_core.records import Activations, Boundaries
from wtal_core.snippet_grid import SnippetGrid


def activations(snippets: int, proposals: int) -> Activations:
    rng = np.random.default_rng(snippets)
    stream = np.empty(proposals, dtype=object)
    stream[:] = [("rgb", "flow")[k % 2] for k in range(proposals)]
    return Activations(
        cas=rng.random((snippets, 3)).astype(np.float32),
        video_scores=np.array([0.5, 0.25, 0.25], np.float32),
        grid=SnippetGrid(fps=25, stride=8, window=16, num_snippets=snippets, duration=snippets * 0.32 + 1),
        classes=("a", "b", "c"),
        attention={"z": rng.random(snippets).astype(np.float32), "a": rng.random(snippets).astype(np.float32)},
        boundaries=Boundaries(
            stream=stream,
            anchor=rng.integers(1, 8, proposals),
            raw=np.sort(rng.random((proposals, 2)) * snippets, axis=1),
            refined=np.sort(rng.random((proposals, 2)) * snippets, axis=1),
            coherence=rng.random(proposals),
            oic=rng.random((proposals, 3)),
        ),
        embedding=rng.random((snippets, 64)).astype(np.float32),
        method="acn",
    )


@pytest.mark.parametrize(("snippets", "proposals"), [(5, 3), (600, 2000)])
def test_activations_survive_packing(tmp_path: Path, snippets: int, proposals: int) -> None:
    made = activations(snippets, proposals)
    with ActivationWriter(tmp_path / "a.h5") as writer:
        writer.write("v/1", made)
    repack(tmp_path / "a.h5", tmp_path / "b.h5", drop=("embedding",), single=("boundaries",))
    with open_activations(tmp_path / "b.h5") as store:
        assert store.videos == ("v/1",)
        packed = store.read("v/1")
    assert packed.embedding is None
    assert packed.grid == made.grid
    assert packed.classes == made.classes
    np.testing.assert_array_equal(packed.cas, made.cas)
    assert list(packed.attention) == ["z", "a"]  # the method's own order
    np.testing.assert_array_equal(packed.attention["a"], made.attention["a"])
    assert packed.boundaries is not None
    assert made.boundaries is not None
    assert packed.boundaries.stream.tolist() == made.boundaries.stream.tolist()
    np.testing.assert_array_equal(packed.boundaries.anchor, made.boundaries.anchor)
    np.testing.assert_array_equal(packed.boundaries.refined, made.boundaries.refined.astype(np.float32))


def test_long_arrays_get_smaller(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["kind"] = "x"
        file["long"] = np.repeat(np.arange(100, dtype=np.float32), 100)
        file["long"].attrs["unit"] = "s"
        file["short"] = np.arange(4)
    repack(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file.attrs["kind"] == "x"
        assert file["long"].attrs["unit"] == "s"
        assert file["long"].compression == "gzip"
        assert file["short"].compression is None
        assert file["long"].dtype == np.float32
        np.testing.assert_array_equal(file["long"][()], np.repeat(np.arange(100), 100))
    assert (tmp_path / "b.h5").stat().st_size < (tmp_path / "a.h5").stat().st_size / 4
