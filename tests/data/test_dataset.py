"""The data set folder: strict description and right contents."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import wtal_core.data
from wtal_core.data.annotations import write_annotations
from wtal_core.data.dataset import Dataset, EvaluationDefaults, FeatureFile, open_dataset
from wtal_core.data.features import FeatureWriter
from wtal_core.errors import DataError, UsageError
from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

GRID = "i3d-25fps-16"


def annotations(subsets: tuple[str, str] = ("training", "validation")) -> Annotations:
    info = {f"v{i}": VideoInfo(subsets[i % 2], duration=10.0, fps=25.0) for i in range(4)}
    table = Segments(["v0", "v1", "v2", "v3"], ["b", "a", "a", "b"], [1, 2, 3, 4], [2, 3, 4, 5])
    return Annotations(("b", "a"), info, table)


def native(path: Path, dtype: Any = "float16") -> Path:
    with FeatureWriter(path, dtype=dtype) as writer:
        for i in range(4):
            grid = SnippetGrid.preset(GRID, 15, 10.0)
            data = np.random.default_rng(i).random((15, 6), dtype=np.float32)
            writer.write(VideoFeatures(f"v{i}", data, grid, Provenance("i3d")))
    return path


def describe(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"name": "toy", "splits": {"train": ["training"], "test": ["validation"]}} | changes
    (folder / "dataset.yaml").write_text(yaml.safe_dump({k: v for k, v in values.items() if v is not ...}))
    return folder


# -- opening ------------------------------------------------------------------------------------------------------


def test_open(tmp_path: Path) -> None:
    folder = describe(tmp_path / "toy", classes=["a", "b"], evaluation={"protocol": "thumos14", "tiou": [0.5, 1]})
    write_annotations(annotations(), folder / "annotations.json", format="activitynet")
    native(folder / "features" / "b.h5")
    native(folder / "features" / "a.h5")
    (folder / "videos").mkdir()
    for name in ("v0.avi", "v0.mp4", "v_v2.webm", "v1.txt"):
        (folder / "videos" / name).touch()
    dataset = wtal_core.data.Dataset.open(folder)
    assert (dataset.name, dataset.folder) == ("toy", folder)
    assert dataset.classes == ("a", "b") == dataset.annotations.classes
    assert dict(dataset.splits) == {"train": ("training",), "test": ("validation",)}
    assert dataset.evaluation == EvaluationDefaults("thumos14", (0.5, 1.0))
    assert dataset.feature_names == ("a", "b")
    assert dataset.store().dim == 6
    assert dataset.store("b").videos == ("v0", "v1", "v2", "v3")
    assert dataset.videos() == ("v0", "v1", "v2", "v3")
    assert dataset.videos("train") == ("v0", "v2")
    assert dataset.video_path("v0") == folder / "videos" / "v0.mp4"
    assert dataset.video_path("v2") == folder / "videos" / "v_v2.webm"
    assert dataset.video_path("v1") is None
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        dataset.videos("trian")
    with pytest.raises(UsageError, match="unknown set of features 'c'"):
        dataset.store("c")


def test_saved_and_opened_again_it_is_the_same(tmp_path: Path) -> None:
    dataset = Dataset(
        tmp_path,
        "ü",
        {"train": ["x"], "test": ["y", "z"]},
        ("c", "d"),
        EvaluationDefaults("wtalc", "0.3:0.7"),
        (
            FeatureFile("one", "features/one.h5"),
            FeatureFile("two", "../two.npy", grid=GRID, names="n.npy", lengths="trim"),
        ),
        "truth.json",
        "../films",
    )
    dataset.save()
    assert Dataset.open(tmp_path) == dataset
    plain = Dataset(tmp_path, "p", {"test": ("y",)})
    plain.save()
    assert yaml.safe_load((tmp_path / "dataset.yaml").read_text()) == {"name": "p", "splits": {"test": ["y"]}}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("unknown key", {"split": {}}, "unknown key 'split'.*Did you mean 'splits'"),
    ("no name", {"name": ...}, "no name"),
    ("no splits", {"splits": ...}, "no splits"),
    ("number as name", {"name": 5}, "name is not a text"),
    ("splits list", {"splits": ["train"]}, "splits is not a mapping"),
    ("splits empty", {"splits": {}}, "splits is not a mapping"),
    ("splits number", {"splits": {"train": 3}}, r"splits\.train is not a list"),
    ("splits mixed", {"splits": {"train": ["a", 3]}}, r"splits\.train is not a list"),
    ("classes text list", {"classes": [1, 2]}, "classes is not a list of names"),
    ("class twice", {"classes": ["a", "a"]}, "listed twice"),
    ("evaluation key", {"evaluation": {"tiuo": [0.5]}}, "Did you mean 'tiou'"),
    ("evaluation list", {"evaluation": [1]}, "evaluation: is not a mapping"),
    ("tiou range", {"evaluation": {"tiou": [1.5]}}, "tiou is not a list of thresholds"),
    ("tiou empty", {"evaluation": {"tiou": []}}, "tiou is not a list"),
    ("tiou bool", {"evaluation": {"tiou": [True]}}, "tiou is not a list"),
    ("protocol", {"evaluation": {"protocol": 3}}, "protocol is not a name"),
    ("features text", {"features": "x.h5"}, "features is not a list"),
    ("features number", {"features": [3]}, "is not a mapping"),
    ("features key", {"features": [{"path": "x", "gird": "y"}]}, "Did you mean 'grid'"),
    ("features no path", {"features": [{"name": "x"}]}, "path is not a text"),
    ("features layout", {"features": [{"path": "x", "layout": "npz"}]}, "unknown feature layout"),
    ("features lengths", {"features": [{"path": "x", "lengths": "trimm"}]}, "Did you mean 'trim'"),
    ("features type", {"features": [{"path": "x", "grid": 25}]}, "grid is not a text"),
    ("features twice", {"features": ["a/x.h5", "b/x.h5"]}, "same name"),
    ("annotations", {"annotations": 3}, "annotations is not a text"),
    ("videos", {"videos": []}, "videos is not a text"),
]


@pytest.mark.parametrize(("changes", "match"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_wrong_descriptions(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        Dataset.open(describe(tmp_path, **changes))
    assert "dataset.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"name: [", "not valid YAML at line"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"- a", "not a mapping"),
        (b"name: !!python/object/apply:os.system [ls]", "the tag .* is not read"),
        (b"name: &a p\nsplits: *a", r"line 1, column 7: it uses anchors"),
        (b"name: p\nname: q", r"line 2, column 1: the key 'name' is listed twice"),
    ],
)
def test_wrong_files(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "dataset.yaml").write_bytes(content)
    with pytest.raises(DataError, match=match):
        Dataset.open(tmp_path)


def test_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a data set folder.*wtal data import"):
        Dataset.open(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Dataset.open(tmp_path / "x")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file"):
        Dataset.open(tmp_path / "file")
    with pytest.raises(DataError, match=r"has no features.*wtal extract"):
        Dataset.open(describe(tmp_path)).store()


def test_features_that_were_made_later_are_found_and_added(tmp_path: Path) -> None:
    folder = describe(tmp_path, features=["features/first.h5"])
    native(folder / "features" / "first.h5")
    dataset = Dataset.open(folder)
    assert dataset.unlisted_features() == ()
    native(folder / "features" / "second.h5")
    (folder / "features" / ".third.new.h5").touch()  # an extraction in progress
    assert dataset.unlisted_features() == ("features/second.h5",)
    assert dataset.add_features("features/second.h5").feature_names == ("first", "second")
    again = Dataset.open(folder)
    assert again.feature_names == ("first", "second")
    assert again.unlisted_features() == ()
    for path in ("features/second.h5", "../elsewhere.h5"):
        with pytest.raises(UsageError, match="not an unlisted file"):
            again.add_features(path)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80)
@given(
    values=st.dictionaries(
        st.sampled_from(["name", "splits", "classes", "evaluation", "features", "annotations", "videos"]), json_like
    )
)
def test_any_description_is_accepted_or_a_data_error(tmp_path: Path, values: dict[str, Any]) -> None:
    try:
        dataset = Dataset.from_dict({"name": "x", "splits": {"test": ["a"]}} | values, tmp_path)
    except DataError:
        return
    dataset.save()
    assert Dataset.open(tmp_path) == dataset


@pytest.fixture
def toy(tmp_path: Path) -> Dataset:
    folder = describe(tmp_path / "toy", features=["features/n.h5", "features/m.h5"])
    write_annotations(annotations(), folder / "annotations.json", format="activitynet")
    native(folder / "features" / "n.h5")
    native(folder / "features" / "m.h5", "float32")
    return open_dataset(folder)


def test_one_video_is_read_by_name(toy: Dataset) -> None:
    for name in (None, "n", "m"):
        with toy.store(name) as store:
            features = toy.features("v1", name)
            assert features.video == "v1"
            np.testing.assert_array_equal(features.data, store.read("v1").data)
            assert toy.grid("v1", name) == features.grid == store.grid("v1")
    assert not np.array_equal(toy.features("v1").data, toy.features("v1", "m").data)
    with pytest.raises(DataError, match="unknown video 'v9'"):
        toy.features("v9")
    with pytest.raises(UsageError, match="unknown set of features 'x'"):
        toy.features("v1", "x")
    other = pickle.loads(pickle.dumps(toy))  # also after it was read from
    np.testing.assert_array_equal(other.features("v1").data, toy.features("v1").data)


def test_videos_of_a_split_or_a_subset(toy: Dataset) -> None:
    assert toy.videos() == ("v0", "v1", "v2", "v3")
    assert toy.videos("train") == toy.videos("training") == ("v0", "v2")
    assert toy.videos("test") == toy.videos("validation") == ("v1", "v3")
    swapped = replace(toy, splits={"training": ("validation",)})  # a split that is called like another's subset
    assert swapped.videos("training") == ("v1", "v3")
    with pytest.raises(UsageError, match=r"unknown split or subset 'tset' \(expected one of: test, train, tr"):
        toy.videos("tset")


def test_data_sets_print_in_a_few_lines(tmp_path: Path) -> None:
    describe(tmp_path, classes=["b", "a"], features=["x/one.h5"])
    assert [line.split() for line in repr(open_dataset(tmp_path)).splitlines()] == [
        ["Data", "set", "toy"],
        ["splits", "test", "(validation),", "train", "(training)"],
        ["features", "one"],
        ["classes", "b,", "a"],
        ["folder", *str(tmp_path).split()],
    ]


def test_datasets_and_annotations_go_to_worker_processes(tmp_path: Path) -> None:
    dataset = Dataset.open(describe(tmp_path / "toy"))
    write_annotations(annotations(), dataset.folder / "annotations.json", format="activitynet")
    native(dataset.folder / "features" / "i3d.h5")
    dataset = Dataset.open(dataset.folder)
    dataset.store().read("v0")
    truth = dataset.annotations
    again = pickle.loads(pickle.dumps(dataset))
    assert again == dataset
    assert again.annotations.instances == truth.instances
    assert again.annotations.videos == truth.videos
    with pytest.raises(TypeError):
        again.annotations.videos["new"] = VideoInfo()  # still read-only
