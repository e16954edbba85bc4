"""Features of other projects: every layout comes out with the right values, order, grid and errors."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtal_core.data.features import (
    FeatureStore,
    GridRule,
    convert_features,
    detect_layout,
    open_arrays,
    open_features,
)
from wtal_core.data.features.sample_rate import every_phase, first_phase
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures, VideoInfo
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid

GRID = "i3d-25fps-16"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def array(t: int, d: int = 8, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return rng(seed).random((t, d), dtype=np.float32)


def packed(folder: Path, arrays: list[np.ndarray[Any, Any]], names: bool = True) -> Path:
    path = folder / "features.npy"
    objects = np.empty(len(arrays), dtype=object)
    objects[:] = arrays
    np.save(path, objects, allow_pickle=True)
    if names:
        np.save(folder / "videoname.npy", np.array([f"v{i}".encode() for i in range(len(arrays))]))
    return path


def cmcs_file(path: Path, feature: np.ndarray[Any, Any], frame_cnt: Any) -> None:
    np.savez(path, feature=feature, frame_cnt=frame_cnt)


# -- layouts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_per_video_files(tmp_path: Path, suffix: str) -> None:
    for i, t in enumerate((5, 7)):
        path = tmp_path / f"v{i}{suffix}"
        np.save(path, array(t, seed=i)) if suffix == ".npy" else np.savez(path, array(t, seed=i))
    assert detect_layout(tmp_path) == "per-video"
    store = open_features(tmp_path, grid=GRID)
    assert isinstance(store, FeatureStore)
    assert store.videos == ("v0", "v1")
    assert store.shape("v1") == (7, 8)
    assert store.dim == 8
    read = store.read("v1")
    np.testing.assert_array_equal(read.data, array(7, seed=1))
    assert read.grid == SnippetGrid.preset(GRID, 7)
    single = open_features(tmp_path / f"v0{suffix}", grid=GRID)
    assert single.videos == ("v0",)
    np.testing.assert_array_equal(single.read("v0").data, array(5))


@pytest.mark.parametrize("pattern", ["{v}-{s}.npy", "{v}_{s}.npy", "{s}/{v}.npy", "{s}/{v}-{s}.npy"])
def test_streams_are_joined_rgb_first(tmp_path: Path, pattern: str) -> None:
    for i, video in enumerate(("a", "b-c")):
        for stream, width in (("flow", 3), ("rgb", 5)):
            path = tmp_path / pattern.format(v=video, s=stream)
            path.parent.mkdir(exist_ok=True)
            np.save(path, array(6, width, seed=10 * i + width))
    assert detect_layout(tmp_path) == "rgb-flow"
    store = open_features(tmp_path, grid=GRID)
    assert store.videos == ("a", "b-c")
    read = store.read("b-c")
    np.testing.assert_array_equal(read.data[:, :5], array(6, 5, seed=15))
    np.testing.assert_array_equal(read.data[:, read.provenance.channels("flow")], array(6, 3, seed=13))
    assert read.provenance.modalities == (("rgb", 5), ("flow", 3))
    assert store.shape("a") == (6, 8)


def test_streams_of_different_length(tmp_path: Path) -> None:
    np.save(tmp_path / "a-rgb.npy", array(6, 5))
    np.save(tmp_path / "a-flow.npy", array(5, 3))
    store = open_features(tmp_path, grid=GRID)
    with pytest.raises(DataError, match=r"a differ in length.*rgb \(6, 5\), flow \(5, 3\).*lengths='trim'"):
        store.read("a")
    with pytest.raises(DataError, match="differ in length"):
        store.shape("a")
    assert open_features(tmp_path, grid=GRID, lengths="trim").read("a").data.shape == (5, 8)
    with pytest.raises(UsageError, match="Did you mean 'trim'"):
        open_features(tmp_path, grid=GRID, lengths="trimm")  # type: ignore[arg-type]


def test_a_video_may_be_called_like_a_stream(tmp_path: Path) -> None:
    for name in ("lava_flow", "river", "x.y"):
        np.save(tmp_path / f"{name}.npy", np.ones((3, 4), dtype=np.float32))
    assert detect_layout(tmp_path) == "per-video"
    assert open_features(tmp_path, grid="16/16@25").videos == ("lava_flow", "river", "x.y")


def test_unpaired_files_are_known_and_one_stream_is_a_set(tmp_path: Path) -> None:
    for name in ("a-rgb", "a-flow", "b-rgb", "other"):
        np.save(tmp_path / f"{name}.npy", array(6))
    source = open_arrays(tmp_path)
    assert source.videos == ("a",)
    assert [p.name for p in source.unpaired] == ["b-rgb.npy", "other.npy"]  # type: ignore[attr-defined]
    for name in ("a-flow", "other"):
        (tmp_path / f"{name}.npy").unlink()
    store = open_features(tmp_path, grid=GRID)
    assert store.videos == ("a", "b")
    assert store.provenance("a").modalities == (("rgb", 8),)


@pytest.mark.parametrize("untrimmednet", [False, True])
def test_cmcs_files(tmp_path: Path, untrimmednet: bool) -> None:
    rgb, flow = (rng(i).random((10, 23, 6), dtype=np.float32) for i in range(2))
    for stream, values in (("rgb", rgb), ("flow", flow)):
        stored = values.swapaxes(0, 1)[..., None, None] if untrimmednet else values
        cmcs_file(tmp_path / f"video_test_1-{stream}.npz", stored, np.int64(104))
    assert detect_layout(tmp_path) == "cmcs"
    store = open_features(tmp_path, grid="4/16@native", native_fps={"video_test_1": 24.0})
    read = store.read("video_test_1")
    assert read.data.shape == (10, 23, 12) == store.shape("video_test_1")
    np.testing.assert_array_equal(read.data, np.concatenate([rgb, flow], axis=-1))
    assert read.grid == SnippetGrid(fps=24, stride=4, window=16, num_snippets=23, duration=104 / 24)
    assert read.provenance.modalities == (("rgb", 6), ("flow", 6))


def official_phases(feature: np.ndarray[Any, Any], factor: int) -> np.ndarray[Any, Any]:
    """The definition, phase by phase and crop by crop (methods/cmcs: "Training")."""
    crops, dense, _ = feature.shape
    rows = [[feature[b, t] for t in range(o, dense, factor)] for o in range(factor) for b in range(crops)]
    shortest = min(len(row) for row in rows)
    return np.array([row[:shortest] for row in rows])


@given(crops=st.integers(1, 3), dense=st.integers(1, 20), factor=st.integers(1, 5), flat=st.booleans())
def test_phases(crops: int, dense: int, factor: int, flat: bool) -> None:
    crops = 1 if flat else crops
    data = rng(dense).random((crops, dense, 2), dtype=np.float32)
    grid = SnippetGrid(fps=30, stride=4, window=16, num_snippets=dense, duration=99.0)
    features = VideoFeatures("v", data[0] if flat else data, grid)
    if factor > dense:
        with pytest.raises(UsageError, match="out of range"):
            every_phase(features, factor)
        return
    np.testing.assert_array_equal(every_phase(features, factor), official_phases(data, factor))
    test = first_phase(features, factor)
    np.testing.assert_array_equal(test.data, data[:, ::factor])
    assert test.grid.stride == 4 * factor
    assert (test.grid.offset, test.grid.window, test.grid.duration) == (0, 16, 99.0)
    with pytest.raises(UsageError):
        every_phase(features, True)


def test_packed(tmp_path: Path) -> None:
    arrays = [array(t, seed=t) for t in (5, 900, 3)]
    path = packed(tmp_path, arrays)
    assert detect_layout(path) == "packed"
    store = open_features(path, grid=GRID, provenance=Provenance("i3d", (("rgb", 4), ("flow", 4))))
    assert store.videos == ("v0", "v1", "v2")
    assert [store.shape(v) for v in store.videos] == [(5, 8), (900, 8), (3, 8)]
    for video, values in reversed(list(zip(store.videos, arrays, strict=True))):
        np.testing.assert_array_equal(store.read(video).data, values)
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.read("v1").data, arrays[1])
    named = open_features(path, grid=GRID, names=["x", "y", "z"])
    np.testing.assert_array_equal(named.read("y").data, arrays[1])


def test_packed_with_equal_lengths(tmp_path: Path) -> None:
    """NumPy writes equally long arrays as one plain 3-D array; with names it is still one array per video."""
    arrays = [array(4, seed=i) for i in range(3)]
    np.save(tmp_path / "features.npy", np.array(arrays))
    store = open_features(tmp_path / "features.npy", grid=GRID, layout="packed", names=["a", "b", "c"])
    np.testing.assert_array_equal(store.read("b").data, arrays[1])


@pytest.mark.parametrize("nested", [False, True])
def test_foreign_hdf5(tmp_path: Path, nested: bool) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for i in range(2):
            file[f"v{i}/i3d_features" if nested else f"v{i}"] = array(5 + i, seed=i)
        file["note"] = np.zeros(3)
    assert detect_layout(tmp_path / "f.h5") == "hdf5"
    store = open_features(tmp_path / "f.h5", grid=GRID)
    assert store.videos == ("v0", "v1")
    np.testing.assert_array_equal(store.read("v1").data, array(6, seed=1))
    assert pickle.loads(pickle.dumps(store)).shape("v0") == (5, 8)


# -- the grid is stated, never guessed ----------------------------------------------------------------------------


def test_no_grid_no_features(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array(5))
    with pytest.raises(UsageError, match=r"does not say where its snippets lie.*i3d-25fps-16"):
        open_features(tmp_path)
    assert open_arrays(tmp_path).shape("a") == (5, 8), "bare arrays stay readable, for those who only look"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(name, values) for name, values in GRID_PRESETS.items()]
    + [("16@25", (25.0, 16.0, 16.0)), ("4/16@29.97", (29.97, 4.0, 16.0)), ("4/16@native", (None, 4.0, 16.0))],
)
def test_grid_texts(text: str, expected: tuple[float | None, float, float]) -> None:
    rule = GridRule.parse(text)
    assert rule is not None
    assert (rule.fps, rule.stride, rule.window) == expected
    assert GridRule.parse(rule.describe()) == rule


@pytest.mark.parametrize(
    "text", ["", "i3d", "16", "16@", "@25", "x/16@25", "16/16@-25", "0/16@25", "16@nan", "16/0@25"]
)
def test_wrong_grid_texts(text: str) -> None:
    with pytest.raises((UsageError, DataError)):
        GridRule.parse(text)


def test_native_rates_and_durations_come_from_annotations_or_tables(tmp_path: Path) -> None:
    for video in "ab":
        np.save(tmp_path / f"{video}.npy", array(5))
    info = {"a": VideoInfo(duration=3.0, fps=24.0), "b": VideoInfo()}
    annotations = Annotations(("x",), info, Segments.empty())
    store = open_features(tmp_path, grid="4/16@native", annotations=annotations)
    assert store.grid("a") == SnippetGrid(fps=24, stride=4, window=16, num_snippets=5, duration=3.0)
    with pytest.raises(DataError, match="b: the frame rate of the video is not known"):
        store.read("b")
    store = open_features(
        tmp_path, grid="4/16@native", annotations=annotations, native_fps={"b": 30}, durations={"a": 4.0}
    )
    assert store.grid("b").fps == 30
    assert store.grid("a").duration == 4.0
    fixed = open_features(tmp_path, grid=SnippetGrid(fps=10, stride=5, window=7, num_snippets=0, offset=1))
    assert fixed.grid("b") == SnippetGrid(fps=10, stride=5, window=7, num_snippets=5, offset=1)


def test_prefixes_are_stripped(tmp_path: Path) -> None:
    np.save(tmp_path / "v_abc.npy", array(5))
    assert open_features(tmp_path, grid=GRID, strip_prefix="v_").read("abc").video == "abc"
    np.save(tmp_path / "abc.npy", array(5))
    with pytest.raises(DataError, match="same id"):
        open_features(tmp_path, grid=GRID, strip_prefix="v_")


# -- conversion ---------------------------------------------------------------------------------------------------


def test_conversion_is_faithful_and_resumes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for i in range(4):
        np.save(source / f"v{i}.npy", array(5 + i, seed=i))
    bad = array(5)
    bad[2, 3] = np.nan
    np.save(source / "v2.npy", bad)
    target = tmp_path / "out" / "features.h5"
    store = open_features(source, grid=GRID)
    with pytest.raises(DataError, match=r"v2, snippet 2, channel 3.*not finite"):
        convert_features(store, target)
    assert not target.exists()
    np.save(source / "v2.npy", array(7, seed=2))
    done = convert_features(store, target)
    assert (done.written, done.kept, done.snippets) == (2, 2, 15)
    native = open_features(target)
    for i in range(4):
        np.testing.assert_array_equal(native.read(f"v{i}").data, array(5 + i, seed=i).astype(np.float16))
        assert native.grid(f"v{i}") == store.grid(f"v{i}")
    assert len(native.provenance("v0").checksum) == 64
    assert convert_features(store, target).written == 0
    for other, dtype, match in [
        (open_features(source, grid="16/16@30"), "float16", r"expected fps 30\.0, got fps 25\.0"),
        (
            open_features(source, grid=GRID, durations={"v0": 3.5}),
            "float16",
            "expected duration 3.5, got duration None",
        ),
        (open_features(source, grid=GRID, provenance=Provenance("i3d")), "float16", "expected extractor 'i3d'"),
        (store, "float32", "expected type 'float32', got type 'float16'"),
    ]:
        with pytest.raises(DataError, match=match):
            convert_features(other, target, dtype=dtype)
    with pytest.raises(UsageError, match="same file"):
        convert_features(native, target)
    with pytest.raises(UsageError, match="Did you mean 'v3'"):
        convert_features(store, tmp_path / "x.h5", exclude=["v33"])
    part = convert_features(native, tmp_path / "x.h5", exclude=["v3"], dtype="float32")
    assert part.written == 3
    assert open_features(tmp_path / "x.h5").read("v1").provenance == native.read("v1").provenance


MEMORY = """
import resource, sys
import numpy as np
from wtal_core.data.features import open_features, convert_features
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = open_features({path!r}, grid="i3d-25fps-16")
convert_features(store, {target!r}, quiet=True)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * (1024 if sys.platform == "linux" else 1))
"""


def test_packed_conversion_takes_memory_for_one_video(tmp_path: Path) -> None:
    """96 MB packed, 2 MB a video: the peak stays far below the file."""
    path = packed(tmp_path, [rng(i).random((256, 2048), dtype=np.float32) for i in range(48)])
    assert path.stat().st_size > 90e6
    code = MEMORY.format(path=str(path), target=str(tmp_path / "out.h5"))
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(output) < 45e6
    np.testing.assert_allclose(
        open_features(tmp_path / "out.h5").read("v47").data, rng(47).random((256, 2048), dtype=np.float32), atol=1e-3
    )


# -- bad input ----------------------------------------------------------------------------------------------------


def bad_folder(path: Path, kind: str) -> Path:
    """Make one kind of wrong input and return what to open."""
    match kind:
        case "missing":
            return path / "nothing"
        case "empty folder":
            return path
        case "empty file":
            (path / "a.npy").touch()
        case "text file":
            (path / "a.txt").write_text("hello")
            return path / "a.txt"
        case "text as npy":
            (path / "a.npy").write_text("hello, this is no array")
        case "truncated npy":
            np.save(path / "a.npy", array(50))
            (path / "a.npy").write_bytes((path / "a.npy").read_bytes()[:300])
        case "truncated npz":
            np.savez(path / "a.npz", array(50))
            (path / "a.npz").write_bytes((path / "a.npz").read_bytes()[:300])
        case "one-dimensional":
            np.save(path / "a.npy", np.zeros(9))
        case "no snippets":
            np.save(path / "a.npy", np.zeros((0, 9)))
        case "strings":
            np.save(path / "a.npy", np.array([["x"]]))
        case "complex":
            np.save(path / "a.npy", np.zeros((3, 3), dtype=complex))
        case "several arrays":
            np.savez(path / "a.npz", p=array(3), q=array(3))
        case "folder as npy":
            (path / "a.npy").mkdir()
        case "cmcs without frame_cnt":
            cmcs_file(path / "a-rgb.npz", array(3)[None], 9)
            np.savez(path / "a-flow.npz", feature=array(3)[None], other=1)
        case "cmcs frame_cnt text":
            for s in ("rgb", "flow"):
                cmcs_file(path / f"a-{s}.npz", array(3)[None], "many")
        case "cmcs frame_cnt zero":
            for s in ("rgb", "flow"):
                cmcs_file(path / f"a-{s}.npz", array(3)[None], 0)
        case "cmcs shape":
            for s in ("rgb", "flow"):
                cmcs_file(path / f"a-{s}.npz", array(3), 9)
        case "cmcs streams disagree":
            cmcs_file(path / "a-rgb.npz", array(3)[None], 9)
            cmcs_file(path / "a-flow.npz", array(4)[None], 9)
        case "cmcs frames disagree":
            cmcs_file(path / "a-rgb.npz", array(3)[None], 9)
            cmcs_file(path / "a-flow.npz", array(3)[None], 8)
        case "packed without names":
            return packed(path, [array(3), array(4)], names=False)
        case "packed with other names":
            packed(path, [array(3), array(4), array(5)])
            return packed(path, [array(3), array(4)], names=False)
        case "packed lists":
            target = packed(path, [array(3), array(4)])
            objects = np.empty(2, dtype=object)
            objects[:] = [[1, 2], {"a": 1}]
            np.save(target, objects, allow_pickle=True)
            return target
        case "packed code":
            target = packed(path, [array(3), array(4)])
            objects = np.empty(2, dtype=object)
            objects[:] = [array(3), os.path.join]
            np.save(target, objects, allow_pickle=True)
            return target
        case "packed truncated":
            target = packed(path, [array(300), array(400)])
            target.write_bytes(target.read_bytes()[:5000])
            return target
        case "hdf5 without features":
            with h5py.File(path / "a.h5", "w") as file:
                file["x"] = np.zeros(3)
            return path / "a.h5"
        case "hdf5 truncated":
            with h5py.File(path / "a.h5", "w") as file:
                file["x"] = array(300)
            (path / "a.h5").write_bytes((path / "a.h5").read_bytes()[:4000])
            return path / "a.h5"
        case "folder of hdf5":
            with h5py.File(path / "a.h5", "w") as file:
                file["x"] = array(300)
    return path


BAD = [
    "missing", "empty folder", "empty file", "text file", "text as npy", "truncated npy", "truncated npz",
    "one-dimensional", "no snippets", "strings", "complex", "several arrays", "folder as npy",
    "cmcs without frame_cnt", "cmcs frame_cnt text", "cmcs frame_cnt zero", "cmcs shape", "cmcs streams disagree",
    "cmcs frames disagree", "packed without names", "packed with other names", "packed lists", "packed code",
    "packed truncated", "hdf5 without features", "hdf5 truncated", "folder of hdf5",
]  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_error_and_no_output(tmp_path: Path, kind: str) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    source, target = bad_folder(inside, kind), tmp_path / "out.h5"
    with pytest.raises(DataError) as caught:
        convert_features(open_features(source, grid=GRID), target, quiet=True)
    assert str(inside) in str(caught.value), "the message says where"
    assert "Traceback" not in str(caught.value)
    assert not target.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@settings(max_examples=60)
@given(
    content=st.binary(max_size=200), start=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x89HDF\r\n"])
)
def test_random_bytes_are_data_errors(tmp_path: Path, content: bytes, start: bytes) -> None:
    for name in ("a.npy", "a.npz", "a.h5"):
        path = tmp_path / name
        path.write_bytes(start + content)
        with pytest.raises(WtalError):
            next(iter(open_features(path, grid=GRID)))  # type: ignore[call-overload]
