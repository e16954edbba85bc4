"""An import is whole or not there, and a request that contradicts itself is refused before anything is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_dataset import GRID, annotations, native
from wtal_core.data.annotations import read_annotations, write_annotations
from wtal_core.data.dataset import Dataset, FeatureFile
from wtal_core.data.features import FeatureFacts
from wtal_core.data.importing import ImportRequest, import_dataset, usual_splits
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.records import Segments
from wtal_core.snippet_grid import SnippetGrid


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Annotations, foreign features and videos as a user has them."""
    folder = tmp_path / "have"
    (folder / "npy").mkdir(parents=True)
    (folder / "videos").mkdir()
    write_annotations(annotations(), folder / "truth.json", format="activitynet")
    for i in range(4):
        np.save(folder / "npy" / f"v{i}.npy", np.random.default_rng(i).random((15, 6), dtype=np.float32))
    for name in ("v0.mp4", "v_v1.MKV", "other.mp4"):
        (folder / "videos" / name).write_bytes(name.encode())
    native(folder / "native.h5")
    return folder


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"exclude": ["v1"], "reference": True}, "stay where they are"),
        ({"facts": FeatureFacts(modalities=(("rgb", 6),)), "reference": True}, "modalities cannot be stated"),
        ({"only_with_features": True, "features": {}}, "no features are given"),
        ({"dtype": "float61"}, "Did you mean 'float16'"),
        ({"link": "simlink"}, "Did you mean 'symlink'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_when_it_is_made(changes: dict[str, Any], match: str) -> None:
    request: dict[str, Any] = {"folder": Path("a"), "annotations": Path("b"), "features": {"x": Path("c")}}
    with pytest.raises(UsageError, match=match):
        ImportRequest(**request | changes)


def test_import_converts_and_links(tmp_path: Path, sources: Path) -> None:
    done = import_dataset(
        ImportRequest(
            folder=tmp_path / "toy",
            annotations=sources / "truth.json",
            features={"npy": sources / "npy", "native": sources / "native.h5"},
            videos=sources / "videos",
            facts=FeatureFacts(grid=GRID, extractor="i3d-test"),
        ),
        quiet=True,
    )
    assert (done.videos, done.videos_missing) == (2, 2)
    dataset = Dataset.open(tmp_path / "toy")
    assert dataset == done.dataset
    assert dataset.name == "toy"
    assert dataset.classes == ("b", "a"), "the order of the classes is kept"
    truth = read_annotations(sources / "truth.json")
    assert dataset.annotations.instances == truth.instances
    assert dict(dataset.annotations.videos) == dict(truth.videos)
    np.testing.assert_array_equal(
        dataset.store("npy").read("v1").data, np.load(sources / "npy" / "v1.npy").astype(np.float16)
    )
    assert dataset.store("npy").grid("v1") == SnippetGrid.preset(GRID, 15, 10.0)
    assert dataset.store("npy").provenance("v1").extractor == "i3d-test"
    assert (tmp_path / "toy" / "features" / "native.h5").read_bytes() == (sources / "native.h5").read_bytes()
    path = dataset.video_path("v1")
    assert path is not None
    assert path.is_symlink()
    assert path.read_bytes() == b"v_v1.MKV"
    with pytest.raises(UsageError, match="is a data set already"):
        import_dataset(ImportRequest(folder=tmp_path / "toy", annotations=sources / "truth.json"))


def test_import_references_and_copies(tmp_path: Path, sources: Path) -> None:
    import_dataset(
        ImportRequest(
            folder=tmp_path / "toy",
            annotations=sources / "truth.json",
            features={"npy": sources / "npy", "native": sources / "native.h5"},
            videos=sources / "videos",
            facts=FeatureFacts(grid=GRID),
            reference=True,
            link="copy",
            name="other",
            splits={"train": ["training"], "test": ["validation"]},
        ),
        quiet=True,
    )
    dataset = Dataset.open(tmp_path / "toy")
    assert dataset.name == "other"
    assert dataset.feature_file("npy") == FeatureFile("npy", "../have/npy", grid=GRID)
    assert dataset.feature_file("native") == FeatureFile("native", "../have/native.h5")
    assert dataset.store("npy").read("v2").grid == dataset.store("native").read("v2").grid
    path = dataset.video_path("v0")
    assert path is not None
    assert not path.is_symlink()
    assert not (tmp_path / "toy" / "features").exists()


def test_interrupted_import_goes_on(tmp_path: Path, sources: Path) -> None:
    good = np.load(sources / "npy" / "v3.npy")
    np.save(sources / "npy" / "v3.npy", np.full((15, 6), np.inf, np.float32))
    arguments: dict[str, Any] = {
        "annotations": sources / "truth.json",
        "features": {"i3d": sources / "npy"},
        "facts": FeatureFacts(grid=GRID),
    }
    with pytest.raises(DataError, match=r"v3.*not finite"):
        import_dataset(ImportRequest(folder=tmp_path / "toy", **arguments), quiet=True)
    assert not (tmp_path / "toy" / "dataset.yaml").exists()
    np.save(sources / "npy" / "v3.npy", good)
    done = import_dataset(ImportRequest(folder=tmp_path / "toy", **arguments), quiet=True)
    assert (done.conversions["i3d"].kept, done.conversions["i3d"].written) == (3, 1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"annotations": "nothing.json"}, "does not exist"),
        ({"annotations": "npy"}, "npy"),
        ({"features": {"x": "nothing"}}, "does not exist"),
        ({"features": {"x": "npy"}, "grid": ""}, "does not say where its snippets lie"),
        ({"features": {"x": "npy"}, "grid": "i3d-25fps"}, "Did you mean 'i3d-25fps"),
        ({"splits": {"train": ["trainning"]}}, "Did you mean 'training'"),
        ({"videos": "nothing"}, "does not exist"),
        ({"videos": "truth.json"}, "is a file"),
        ({"names": "nothing.npy"}, "does not exist"),
        ({"features": {"x": "npy"}, "exclude": ["v11"]}, "Did you mean 'v1'"),
        ({"features": {"x": "npy"}, "exclude": ["v1"], "reference": True}, "stay where they are"),
    ],
)
def test_wrong_imports_make_no_dataset(tmp_path: Path, sources: Path, changes: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"annotations": "truth.json", "grid": GRID} | changes
    for key in ("annotations", "videos", "names"):
        if arguments.get(key):
            arguments[key] = sources / arguments[key]
    arguments["features"] = {k: sources / v for k, v in arguments.get("features", {}).items()}
    stated = {key: arguments.pop(key) for key in ("grid", "names") if key in arguments}
    with pytest.raises(WtalError, match=match):
        import_dataset(ImportRequest(folder=tmp_path / "toy", facts=FeatureFacts(**stated), **arguments), quiet=True)
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [
        (("training", "validation"), {"train": ("training",), "test": ("validation",)}),
        (("validation", "test"), {"train": ("validation",), "test": ("test",)}),
        (("train", "test"), {"train": ("train",), "test": ("test",)}),
        (("Validation", "Test"), {"train": ("Validation",), "test": ("Test",)}),  # ActionFormer's thumos14.json
        (("test", "test"), {"test": ("test",)}),
        (("blue", "red"), None),
    ],
)
def test_usual_splits(subsets: tuple[str, str], expected: dict[str, tuple[str, ...]] | None) -> None:
    if expected is None:
        with pytest.raises(DataError, match=r"splits do not follow.*blue, red.*train=training test=validation"):
            usual_splits(annotations(subsets))
    else:
        assert usual_splits(annotations(subsets)) == expected


def test_a_folder_of_thumos14_text_is_imported(tmp_path: Path) -> None:
    ambiguous = Segments(["v1"], "Ambiguous", [6.0], [7.0])
    truth = replace(annotations(("validation", "test")), ambiguous=ambiguous)
    write_annotations(truth, tmp_path / "official", format="thumos14")
    done = import_dataset(ImportRequest(folder=tmp_path / "thumos14", annotations=tmp_path / "official"), quiet=True)
    dataset = Dataset.open(tmp_path / "thumos14")
    assert (dataset.videos("train"), dataset.videos("test")) == (("v0", "v2"), ("v1", "v3"))
    assert len(dataset.annotations.instances) == 4
    assert dataset.annotations.ambiguous == ambiguous
    assert done.dataset.splits["train"] == ("validation",)
