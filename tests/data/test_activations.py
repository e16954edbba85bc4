"""Activations survive the way to disk and back, and a crash."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtal_core.data.activations import ActivationWriter, open_activations, write_activations
from wtal_core.errors import DataError
from wtal_core.records import Activations, Boundaries
from wtal_core.snippet_grid import SnippetGrid


def make(t: int = 7, c: int = 3, seed: int = 0, *, full: bool = True, duration: float | None = 5.0) -> Activations:
    rng = np.random.default_rng(seed)

    def f(*shape: int) -> np.ndarray[Any, Any]:
        return rng.standard_normal(shape).astype(np.float32)

    grid = SnippetGrid(fps=25, stride=16, window=16, offset=3, num_snippets=t, duration=duration)
    classes = tuple(f"Ünicode/{i}" for i in range(c))
    if not full:
        return Activations(cas=f(t, c), video_scores=f(c), grid=grid, classes=classes)
    n = 4
    return Activations(
        cas=f(t, c + 1),
        video_scores=f(c),
        grid=grid,
        classes=classes,
        branch_cas=f(4, t, c + 1),
        attention={"instance": f(t), "context": f(t), "a/b": f(t)},
        drop_mask=rng.random(t) > 0.5,
        boundaries=Boundaries(
            stream=np.array(["rgb", "flow", "rgb", "flow"], dtype=object),
            anchor=np.arange(n),
            raw=rng.random((n, 2)),
            refined=rng.random((n, 2)),
            coherence=rng.random(n),
            oic=rng.random((n, c)),
        ),
        embedding=f(t, 5),
        extra_cas={"context": f(t, c), "background": f(t, c + 1)},
        method="acmnet",
    )


def assert_same(a: Activations, b: Activations) -> None:
    assert a.grid == b.grid
    assert a.classes == b.classes
    assert a.method == b.method
    for name in ("cas", "video_scores", "branch_cas", "drop_mask", "embedding"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y, err_msg=name)
    for name in ("attention", "extra_cas"):
        x, y = getattr(a, name), getattr(b, name)
        assert list(x) == list(y)
        for key in x:
            np.testing.assert_array_equal(x[key], y[key])
    assert (a.boundaries is None) == (b.boundaries is None)
    if a.boundaries is not None:
        for name in ("stream", "anchor", "raw", "refined", "coherence", "oic"):
            x, y = getattr(a.boundaries, name), getattr(b.boundaries, name)
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@settings(max_examples=20)
@given(
    t=st.integers(1, 9),
    c=st.integers(1, 4),
    full=st.booleans(),
    seed=st.integers(0, 99),
    video=st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=30),
    duration=st.none() | st.floats(0.1, 1e4),
)
def test_round_trip(tmp_path: Path, t: int, c: int, full: bool, seed: int, video: str, duration: float | None) -> None:
    values = make(t, c, seed, full=full, duration=duration)
    write_activations(tmp_path / "a.h5", {video: values})
    with open_activations(tmp_path / "a.h5") as store:
        assert store.videos == (video,)
        assert_same(values, store.read(video))
        assert store.grid(video) == values.grid
        assert store.classes == values.classes
        assert store.method == values.method


def test_embeddings_are_left_out_on_request(tmp_path: Path) -> None:
    written = make()
    write_activations(tmp_path / "a.h5", {"v": written})
    with open_activations(tmp_path / "a.h5") as store:
        assert store.read("v").embedding is not None
        assert_same(store.read("v", embedding=False), replace(written, embedding=None))


def test_writer_merges_resumes_and_shares_class_lists(tmp_path: Path) -> None:
    path = tmp_path / "run" / "activations.h5"
    with ActivationWriter(path) as writer:
        writer.write("b", make(seed=1))
        assert not path.exists(), "nothing is visible before the merge"
    with ActivationWriter(path) as writer:
        assert writer.has("b")
        assert not writer.has("a")
        with pytest.raises(DataError, match="already written"):
            writer.write("b", make())
        writer.write("a", make(seed=2))
    store = open_activations(path)
    assert store.videos == ("a", "b") == tuple(store)
    assert_same(store["a"], make(seed=2))
    assert_same(store["b"], make(seed=1))
    with h5py.File(path) as file:
        assert len(file["shared"]) == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["activations.h5"]


def test_interrupted_work_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(DataError, match="already written"), ActivationWriter(path) as writer:  # noqa: PT012
        writer.write("a", make(seed=1))
        writer.write("a", make(seed=1))
    assert not path.exists()
    with pytest.raises(DataError, match=r"not finished.*1 finished"):
        open_activations(path)
    with ActivationWriter(path) as writer:
        assert writer.has("a")
        writer.write("b", make(seed=2))
    assert open_activations(path).videos == ("a", "b")


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_activations import make
from wtal_core.data.activations import ActivationWriter
writer = ActivationWriter({path!r})
for i in range(10_000):
    writer.write(f"v{{i:05d}}", make(200, 20, i))
    print(i, flush=True)
"""


def test_a_killed_writer_leaves_whole_videos_only(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with ActivationWriter(path) as writer:
        writer.write("old", make())
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 4:
                time.sleep(0.002)
                os.kill(process.pid, signal.SIGKILL)
                break
    assert open_activations(path).videos == ("old",), "the finished file is untouched"
    with ActivationWriter(path) as writer:
        assert all(writer.has(f"v{i:05d}") for i in range(5))
    store = open_activations(path)
    assert len(store) >= 6
    for i, video in enumerate(v for v in store.videos if v != "old"):
        assert_same(store[video], make(200, 20, i))
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"], "what the killed writer left is gone"


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    first, second = ActivationWriter(tmp_path / "a.h5"), ActivationWriter(tmp_path / "a.h5")
    first.write("a", make(seed=1))
    second.write("b", make(seed=2))
    first.close()
    second.write("c", make(seed=3))
    second.close()
    assert open_activations(tmp_path / "a.h5").videos == ("a", "b", "c")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_readers_in_other_processes(tmp_path: Path) -> None:
    write_activations(tmp_path / "a.h5", {"a": make()})
    store = open_activations(tmp_path / "a.h5")
    expected = float(store["a"].cas.sum())
    # A process of its own forks: this one may have threads that a fork would not survive.
    script = """
import multiprocessing, sys
from wtal_core.data.activations import open_activations

store = open_activations(sys.argv[1])
store["a"]  # the handle is open and inherited

def read(store):
    return float(store["a"].cas.sum())

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*pool.map(read, [store] * 4))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.h5")], capture_output=True, text=True, timeout=120, check=True
    )
    assert [float(x) for x in done.stdout.split()] == [expected] * 4
    assert pickle.loads(pickle.dumps(store)).read("a").cas.sum() == expected
    assert float(store["a"].cas.sum()) == expected


def test_wrong_values_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    good = make(full=False)
    huge = Activations(cas=np.full((7, 3), 1e300), video_scores=good.video_scores, grid=good.grid, classes=good.classes)
    with pytest.raises(DataError, match="cas does not fit"):
        write_activations(tmp_path / "a.h5", {"a": good, "b": huge})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "foreign", "newer", "truncated", "half"])
def test_bad_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not HDF5 at all" * 100)
    elif kind == "foreign":
        with h5py.File(path, "w") as file:
            file["x"] = np.zeros(3)
    elif kind != "missing":
        write_activations(path, {"a": make(300, 20)})
        if kind == "newer":
            with h5py.File(path, "a") as file:
                file.attrs["layout_version"] = 99
        elif kind == "truncated":
            path.write_bytes(path.read_bytes()[:5000])
        else:
            with h5py.File(path, "a") as file:
                del file["entries/a/cas"]
    with pytest.raises(DataError, match=r"a\.h5"):
        open_activations(path).read("a")


def test_unknown_video_suggests_the_nearest(tmp_path: Path) -> None:
    write_activations(tmp_path / "a.h5", {"video_test_0000004": make()})
    store = open_activations(tmp_path / "a.h5")
    with pytest.raises(DataError, match="Did you mean 'video_test_0000004'"):
        store.read("video_test_0000005")
    with pytest.raises(KeyError):
        store["nothing"]
    with pytest.raises(DataError, match="folder"):
        ActivationWriter(tmp_path)


def test_activations_go_to_worker_processes() -> None:
    assert_same(pickle.loads(pickle.dumps(make())), make())
