"""The native feature file: lossless to half precision, refusing, resumable, readable from everywhere."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wtal_core.data.features import FeatureStore, FeatureWriter, HDF5Store, open_features
from wtal_core.data.features.native import array_digest
from wtal_core.data.features.store import videos_with_features
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid

UNSTATED = Provenance()
TWO_STREAM = Provenance("i3d-kinetics400", (("rgb", 4), ("flow", 2)), "center224", "tvl1", "ab" * 32)


def features(
    video: str = "v", t: int = 9, d: int = 6, *, crops: int = 0, seed: int = 0, provenance: Provenance = UNSTATED
) -> VideoFeatures:
    shape = (crops, t, d) if crops else (t, d)
    data = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=t, offset=2, duration=t * 0.64 + 0.3)
    return VideoFeatures(video, data, grid, provenance)


def write(path: Path, *items: VideoFeatures, **options: Any) -> Path:
    with FeatureWriter(path, **options) as writer:
        for item in items:
            writer.write(item)
    return path


def test_round_trip_keeps_values_grid_and_provenance(tmp_path: Path) -> None:
    given_features = features(provenance=TWO_STREAM)
    path = write(tmp_path / "f.h5", given_features, features("crops", crops=3, d=6), allow_mixed=True)
    store = open_features(path)
    assert isinstance(store, HDF5Store)
    assert isinstance(store, FeatureStore)
    assert store.videos == ("crops", "v")
    assert store.dim == 6
    assert store.shape("crops") == (3, 9, 6)
    read = store.read("v")
    assert read.data.dtype == np.float32
    np.testing.assert_array_equal(read.data, given_features.data.astype(np.float16).astype(np.float32))
    assert read.grid == given_features.grid == store.grid("v")
    assert read.provenance == TWO_STREAM == store.provenance("v")
    assert store.digest("v") == array_digest(store.read_stored("v"))
    np.testing.assert_array_equal(store.read_snippets("v", 2, 5), read.data[2:5])
    np.testing.assert_array_equal(store.read_snippets("crops", 2), store.read("crops").data[:, 2:])


@settings(max_examples=40)
@given(
    data=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=6),
        elements=st.floats(-1e5, 1e5, width=32) | st.sampled_from([np.nan, np.inf]),
    ),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_what_is_written_is_what_was_given_or_nothing(tmp_path: Path, data: Any, dtype: Any) -> None:
    path = tmp_path / "f.h5"
    path.unlink(missing_ok=True)
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=data.shape[-2])
    item = VideoFeatures("v", data, grid)
    fits = bool(np.isfinite(data).all() and (dtype == "float32" or (np.abs(data) < 65520).all()))
    if fits:
        write(path, item, dtype=dtype)
        np.testing.assert_array_equal(open_features(path).read("v").data, data.astype(dtype).astype(np.float32))
    else:
        with pytest.raises(DataError, match=r"not finite|beyond the range of float16"):
            write(path, item, dtype=dtype)
        assert list(tmp_path.iterdir()) == []


def test_the_videos_that_have_features_in_the_order_of_the_question(tmp_path: Path) -> None:
    store = open_features(write(tmp_path / "f.h5", features("a"), features("b"), features("c")))
    assert videos_with_features(store, iter(["c", "x", "a"])) == ["c", "a"]
    with pytest.raises(DataError, match=r"none of the videos .*of 2 videos, got features of 3 other videos"):
        videos_with_features(store, ["x", "y"])


def test_refusals_name_the_place(tmp_path: Path) -> None:
    bad = features(crops=2)
    bad.data[1, 3, 4] = 70_000
    with pytest.raises(DataError, match=r"v, snippet 3, channel 4, crop 1.*beyond the range of float16.*got 70000"):
        write(tmp_path / "f.h5", bad)
    bad.data[0, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"snippet 2, channel 1, crop 0.*not finite.*got nan\)"):
        write(tmp_path / "f.h5", bad)
    empty = VideoFeatures("e", np.zeros((0, 3), np.float32), SnippetGrid(fps=25, stride=16, window=16, num_snippets=0))
    with pytest.raises(DataError, match="empty"):
        write(tmp_path / "f.h5", empty)
    with pytest.raises(UsageError, match="Did you mean 'float16'"):
        FeatureWriter(tmp_path / "f.h5", dtype="float64")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_features_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5", features("a", provenance=TWO_STREAM))
    other = Provenance("clip", (("rgb", 6),))
    for again in range(2):  # in the file, and then aside
        with FeatureWriter(path) as writer:
            with pytest.raises(DataError, match=r"extractor 'i3d-kinetics400'.*got extractor 'clip'"):
                writer.write(features("b", provenance=other))
            writer.write(features(f"ok{again}", provenance=TWO_STREAM))
    with FeatureWriter(tmp_path / "g.h5") as writer:
        writer.write(features("a"))
        with pytest.raises(DataError, match=r"channels 6\b.*got channels 5"):
            writer.write(features("b", d=5))
        with pytest.raises(DataError, match="dimensions 2"):
            writer.write(features("b", crops=2))


def test_root_says_what_all_videos_share(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5", features("a", provenance=TWO_STREAM), features("b", 5, provenance=TWO_STREAM))
    with h5py.File(path) as file:
        root = dict(file.attrs)
        dataset = file["entries/a"]
        assert dataset.dtype == np.float16
        assert dataset.compression is None
        assert dataset.chunks is not None
    assert root["extractor"] == "i3d-kinetics400"
    assert (root["fps"], root["dim"], root["num_videos"], root["layout_version"]) == (25, 6, 2, 1)
    assert json.loads(root["mixed"]) == []
    write(path, features("c", d=7, provenance=Provenance("clip")), allow_mixed=True)
    with h5py.File(path) as file:
        assert {"extractor", "dim", "modalities"} <= set(json.loads(file.attrs["mixed"]))
        assert "extractor" not in file.attrs


NAMES = ["a/b", "../../etc", ".hidden", "100%", "%2F", "v_" + "x" * 300, "ü ñ 視頻", "a\\b", "--flag", "video.mp4"]


def test_any_video_name(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5", *(features(name, seed=i) for i, name in enumerate(NAMES)))
    store = open_features(path)
    assert store.videos == tuple(sorted(NAMES))
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(store.read(name).data, features(name, seed=i).data, atol=2e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]
    for bad in ("", "a\nb", "\ud800"):
        with pytest.raises(DataError, match="no usable name"):
            write(tmp_path / "g.h5", features(bad))


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_features import features
from wtal_core.data.features import FeatureWriter
writer = FeatureWriter({path!r})
i = 0
while True:
    if not writer.has(f"v{{i:05d}}"):
        writer.write(features(f"v{{i:05d}}", 400, 256, seed=i))
    print(i, flush=True)
    i += 1
"""


def test_killed_writers_leave_whole_videos_only(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    for stop in (3, 6):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= stop:
                    time.sleep(0.001 * stop)
                    os.kill(process.pid, signal.SIGKILL)
                    break
        assert not path.exists()
    with pytest.raises(DataError, match="not finished"):
        open_features(path)
    with FeatureWriter(path) as writer:
        assert all(writer.has(f"v{i:05d}") for i in range(7))
    store = open_features(path)
    for i, video in enumerate(store.videos):
        np.testing.assert_array_equal(
            store.read_stored(video), features(video, 400, 256, seed=i).data.astype(np.float16)
        )
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


def _checksum(job: tuple[HDF5Store, str]) -> float:
    return float(job[0].read(job[1]).data.sum())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_reading_from_threads_and_processes(tmp_path: Path) -> None:
    names = [f"v{i}" for i in range(8)]
    store = HDF5Store(write(tmp_path / "f.h5", *(features(n, 70, seed=i) for i, n in enumerate(names))))
    expected = [_checksum((store, n)) for n in names]
    jobs = [(store, n) for n in names]
    # Only Linux survives a fork of a process with threads; elsewhere stores go to others as pickles.
    with multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Pool(3) as pool:
        assert pool.map(_checksum, jobs) == expected
    fresh = pickle.loads(pickle.dumps(store))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_checksum, [(fresh, n) for n in names * 5])) == expected * 5
    store.close()
    assert _checksum(jobs[0]) == expected[0], "closed stores open again"


def test_shards_write_the_same_file(tmp_path: Path) -> None:
    writers = [FeatureWriter(tmp_path / "f.h5") for _ in range(3)]
    for i in range(9):
        writers[i % 3].write(features(f"v{i}", seed=i))
    for writer in writers:
        writer.close()
    assert len(open_features(tmp_path / "f.h5").videos) == 9
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


def damage(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("nothing of the kind\n" * 50)
    elif kind == "signature":
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    elif kind == "activations":
        with h5py.File(path, "w") as file:
            file.attrs["wtal_format"] = "activations"
            file.create_group("entries")
    else:
        write(path, features("v", 300, 64))
        content = path.read_bytes()
        if kind == "truncated":
            path.write_bytes(content[: len(content) // 2])
            return
        with h5py.File(path, "a") as file:
            dataset = file["entries/v"]
            if kind == "newer":
                file.attrs["layout_version"] = 7
            elif kind == "no stride":
                del dataset.attrs["stride"]
            elif kind == "bad fps":
                dataset.attrs["fps"] = -1.0
            elif kind == "other length":
                dataset.attrs["num_snippets"] = 5
            elif kind == "bad modalities":
                dataset.attrs["modalities"] = "{["
            elif kind == "text fps":
                dataset.attrs["fps"] = "twenty-five"
            elif kind == "group":
                del file["entries/v"]
                file.create_group("entries/v")


DAMAGES = [
    "missing", "folder", "empty", "text", "signature", "activations", "truncated", "newer", "no stride", "bad fps",
    "other length", "bad modalities", "text fps", "group",
]  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_are_data_errors(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "f.h5"
    if kind != "missing":
        damage(path, kind)
    with pytest.raises(DataError):
        HDF5Store(path).read("v")
    with pytest.raises(WtalError):
        open_features(path).read("v")


@settings(max_examples=60)
@given(position=st.integers(0, 10_000), length=st.integers(1, 64), value=st.integers(0, 255))
def test_overwritten_bytes_never_crash_the_reader(tmp_path: Path, position: int, length: int, value: int) -> None:
    path = tmp_path / "f.h5"
    if not path.exists():
        write(path, features("v", 20, 16))
        (tmp_path / "good").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "good").read_bytes())
    position %= len(content)
    content[position : position + length] = bytes([value]) * length
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(content[: len((tmp_path / "good").read_bytes())])
    try:
        with HDF5Store(damaged) as store:
            for video in store.videos:
                store.read(video)
    except DataError:
        pass


def test_writer_refuses_foreign_targets(tmp_path: Path) -> None:
    target = tmp_path / "thesis.h5"
    with h5py.File(target, "w") as file:
        file["precious"] = [1]
    before = target.read_bytes()
    with pytest.raises(DataError, match="another layout"):
        FeatureWriter(target)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="not a readable HDF5"):
        FeatureWriter(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="folder"):
        FeatureWriter(tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        FeatureWriter(tmp_path / "notes.txt" / "inside.h5")
    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "thesis.h5"]


def test_every_half_precision_value_is_read_exactly(tmp_path: Path) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].reshape(1, -1)
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=1)
    path = write(tmp_path / "f.h5", VideoFeatures("v", every, grid))
    read = open_features(path).read("v").data
    np.testing.assert_array_equal(read.view(np.uint32), every.astype(np.float32).view(np.uint32))
