"""What is this file? The answers on the real files of the field are right; damaged files are one clear error."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtal_core.data.activations import write_activations
from wtal_core.data.explain import Explanation, explain, likely_extractors, to_text
from wtal_core.data.features import FeatureWriter
from wtal_core.errors import DataError, WtalError
from wtal_core.records import Activations, Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid


def lines(found: Explanation) -> str:
    """Everything it says, as one text; it must also be JSON."""
    json.dumps(found.to_dict())
    return "\n".join([found.summary, *(f"{k}: {to_text(v)}" for k, v in found.facts.items()), *found.unknown])


def i3d_like(t: int, d: int = 1024, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.maximum(np.random.default_rng(seed).standard_normal((t, d)), 0).astype(np.float32)


# -- files of the field's shapes: (path, kind, what the answer must contain); real ones: test_explain_real.py -----


def objects(rows: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files of every shape that the published repositories use, with made content."""
    root = tmp_path_factory.mktemp("field")

    def text(name: str, content: str) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")

    def array(name: str, values: Any) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        np.save(root / name, values, allow_pickle=True)

    array("jump/leap_rgb.npy", i3d_like(14))
    array("jump/leap_flow.npy", i3d_like(14, seed=1))
    array("jump/leap_vggish.npy", i3d_like(36, 128))
    entry = {"duration": 35.08, "annotations": [{"label": "Leap", "segment": [9, 15]}]}
    text("jump/annotations.json", json.dumps({"database": {"leap": entry}}))

    videos = ["video_test_0000001", "video_validation_0000002"]
    array("wtalc/videoname.npy", np.array([v.encode() for v in videos]))
    array("wtalc/subset.npy", np.array([b"test", b"validation"]))
    array("wtalc/classlist.npy", np.array([b"Billiards", b"Diving"]))
    array("wtalc/duration.npy", np.array([[60.0], [90.0]]))
    array("wtalc/original_fps.npy", np.array([30.0, 25.0]))
    array("wtalc/extracted_fps.npy", np.array([10.0, 10.0]))
    array("wtalc/labels.npy", objects([["Diving", "Diving"], ["Billiards"]]))
    array("wtalc/labels_all.npy", objects([[b"Diving"], []]))
    array("wtalc/segments.npy", objects([[[1.0, 2.5], [4.0, 9.0]], [[3.0, 8.0]]]))
    text("wtalc/Ambiguous_test.txt", "video_test_0000001 11.0 12.0\n")

    row = {"label": "Diving", "score": 0.5}
    text("results/found.json", json.dumps({"results": {"v": [row | {"segment": [1, 2]}] * 3}}))
    text("results/classified.json", json.dumps({"results": {"v": [row], "w": [row | {"label": "Leap"}]}}))
    text("results/found.txt", "video_test_0000001 1.0 2.0 9 0.5\nvideo_test_0000001 3.0 4.0 31 -23.5\n")
    array("results/train_labels.npy", np.eye(4, 20) + np.eye(4, 20, 1) * [[1], [0], [0], [0]])
    array("results/cells.npy", np.ones((4, 3, 2, 2)))
    array("results/odd.npy", objects([{"a": 1}, 2]))

    text("tables/info.csv", "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv,300,10,30,30,training,288\n")
    text("tables/names.csv", "action\nSkiing\nFencing\nSkiing\n")
    text("tables/truth.csv", "t-init,t-end,label-idx\n1.0,2.0,-1\n3.0,4.0,5\n")
    array("tables/empty.npy", np.zeros((0, 4)))
    text("thumos/Diving_test.txt", "video_test_0000001 1.0 2.0\nvideo_test_0000003 3.0 4.5\n")
    text("thumos/test_durations.txt", "video_test_0000001\n60.0\nvideo_test_0000003\n70.5\n")
    text("thumos/avoid_videos.txt", "video_test_0000001 Diving\nvideo_test_0000003 Billiards\n")
    text("thumos/subsets.txt", "test\nvalidation\n" * 5)
    array("scores/uNet.npy", np.random.default_rng(0).dirichlet(np.ones(101), 1574) * 2)
    text("scores/other.txt", "a\nb\n")
    (root / "scores/broken.npz").write_bytes(b"PK\x03\x04 and nothing else")

    kernels = {"Conv3d_1a_7x7|Conv_0|kernel": (7, 7, 7, 3, 4), "Conv3d_0c_1x1|Conv_0|kernel": (1, 1, 1, 8, 400)}
    (root / "archives").mkdir()
    np.savez(root / "archives/i3d.npz", **{name: np.zeros(shape, np.float32) for name, shape in kernels.items()})
    np.savez(root / "archives/one.npz", feature=i3d_like(100))
    np.savez(root / "archives/two.npz", a=np.zeros(3), b=np.zeros(4))
    (root / "archives/clip.mp4").write_bytes(bytes(2_000_000))
    return root


FIELD: list[tuple[str, str, list[str]]] = [
    ("jump/leap_rgb.npy", "features",
     ["14 snippets of 1,024 channels", "float32", "I3D", "RGB by its file name", "i3d-25fps-64",
      "first snippet: 0 - 2.56 s", "last snippet: 33.28 - 35.84 s", "35.08 s"]),
    ("jump/leap_flow.npy", "features", ["flow by its file name", "i3d-25fps-64"]),
    ("jump/leap_vggish.npy", "features", ["36 snippets of 128", "VGGish", "33.6 - 34.56 s", "35.08 s"]),
    ("jump", "features", ["rgb (1024), flow (1024)", "leap_vggish.npy", "i3d-25fps-64", "channels: 2,048"]),
    ("jump/annotations.json", "annotations", ["1 instance of 1 class in 1 of 1 video", "Leap", "split the videos"]),
    ("wtalc", "annotations", ["3 instances of 2 classes in 2 of 2 videos", "W-TALC", "ambiguous intervals: 1"]),
    ("wtalc/videoname.npy", "names", ["2 THUMOS14 video ids", "part of W-TALC's", "test 1, validation 1"]),
    ("wtalc/classlist.npy", "names", ["2 class names of THUMOS14"]),
    ("wtalc/duration.npy", "numbers", ["2 numbers", "in seconds", "max 90"]),
    ("wtalc/original_fps.npy", "numbers", ["frame rate of each video", "min 25"]),
    ("wtalc/extracted_fps.npy", "numbers", ["known to be wrong", "do not use"]),
    ("wtalc/labels.npy", "labels", ["3 class names of 2 videos", "empty: 0"]),
    ("wtalc/labels_all.npy", "labels", ["1 class name of 2 videos", "empty: 1"]),
    ("wtalc/segments.npy", "segments", ["3 segments of 2 videos", "seconds: 1 to 9"]),
    ("wtalc/Ambiguous_test.txt", "segments", ["1 Ambiguous intervals in 1 videos"]),
    ("results/found.json", "detections", ["3 detections of 1 class in 1 video"]),
    ("results/classified.json", "video scores", ["video-level results (classification): 2 videos, 2 classes"]),
    ("results/found.txt", "detections", ["2 detections of 2 classes", "scores: -23.5 to 0.5"]),
    ("results/train_labels.npy", "labels", ["4 videos x 20 classes", "labels per row: 1 to 2"]),
    ("results/cells.npy", "table", ["an array of shape (4, 3, 2, 2)"]),
    ("results/odd.npy", "table", ["an object array of 2 elements", "dict 1, int 1"]),
    ("tables/info.csv", "table", ["BMN's video table", "1 videos", "training 1"]),
    ("tables/names.csv", "names", ["3 names", "'action'"]),
    ("tables/truth.csv", "table", ["ground truth as a table: 2 rows", "-1", "which index is which class"]),
    ("tables/empty.npy", "table", ["an array of float64"]),
    ("thumos/Diving_test.txt", "segments", ["2 segments of Diving in 2"]),
    ("thumos/test_durations.txt", "numbers", ["durations of 2 videos", "60 to 70.5"]),
    ("thumos/avoid_videos.txt", "names", ["avoid list: 2 pairs"]),
    ("thumos/subsets.txt", "names", ["10 entries with the values test, validation"]),
    ("scores/uNet.npy", "video scores",
     ["1,574 THUMOS14 test videos", "not snippet features", "class id - 1", "2 softmaxes", "1,574, 101",
      "VolleyballSpiking 96"]),
    ("scores", "folder", ["a folder of 3 files", "uNet.npy: video-level class scores", "broken.npz: not known"]),
    ("archives/i3d.npz", "weights", ["I3D", "RGB (3 input channels)", "arrays: 2", "classes: 400"]),
    ("archives/one.npz", "features", ["array 'feature' of a .npz", "exactly 100 snippets"]),
    ("archives/two.npz", "table", ["2 NumPy arrays"]),
    ("archives/clip.mp4", "video", ["a video file (.mp4, 2.0 MB)"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "expected"), FIELD, ids=[f[0] for f in FIELD])
def test_files_of_the_field(field: Path, name: str, kind: str, expected: list[str]) -> None:
    found = explain(field / name)
    assert found.kind == kind
    text = lines(found)
    for part in expected:
        assert part in text


def test_features_by_duration_alone(field: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes((field / "jump/leap_rgb.npy").read_bytes())
    assert "the snippet grid: no duration is known" in lines(explain(tmp_path / "x.npy"))
    assert "i3d-25fps-64" in lines(explain(tmp_path / "x.npy", duration=35.08))
    stated = explain(tmp_path / "x.npy", annotations=field / "jump/annotations.json")
    assert "likely grid" not in stated.facts  # x is no video of these
    (tmp_path / "leap.npy").write_bytes((field / "jump/leap_rgb.npy").read_bytes())
    stated = explain(tmp_path / "leap.npy", annotations=field / "jump/annotations.json")
    assert stated.facts["likely grid"].startswith("i3d-25fps-64")


# -- made files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "duration", "expected"),
    [
        (52, 33.82, "i3d-25fps-16 (16 frames at 25 fps, 0.64 s a snippet)"),
        (63, 33.82, "i3d-30fps-16"),
        (14, 35.08, "i3d-25fps-64"),
        (500, 33.82, "no preset fits: 0.068 s a snippet = 1.7 frames at 25 fps or 2.0 at 30 fps"),
    ],
)
def test_grids_are_inferred_from_durations(tmp_path: Path, t: int, duration: float, expected: str) -> None:
    np.save(tmp_path / "v.npy", i3d_like(t))
    assert expected in lines(explain(tmp_path / "v.npy", duration=duration))


@pytest.mark.parametrize(
    ("array", "name", "expected"),
    [
        (i3d_like(5), "x-rgb", "one I3D stream (mean-pooled Mixed_5c) or one UntrimmedNet / BN-Inception stream; RGB"),
        (i3d_like(5), "rgbish", "no negative value"),
        (i3d_like(5) - 1, "x", "negative values"),
        (i3d_like(5, 2048), "x", "I3D with RGB and flow joined"),
        (i3d_like(5, 777), "x", "no common network has 777"),
        (np.full((5, 200), 1 / 200), "x", "class probabilities over 200 classes, rows sum to 1.00"),
        (np.full((5, 101), 2 / 101), "x", "sum of two softmaxes"),
        (i3d_like(5, 400) - 1, "x", "class scores of Kinetics-400"),
        (np.full((2, 3), np.nan), "x", "no finite snippet"),
        (np.stack([i3d_like(5)] * 3), "flow/x", "flow by its file name"),
    ],
)
def test_likely_extractors(array: Any, name: str, expected: str) -> None:
    assert expected in likely_extractors(array, name)


def write_native(path: Path, provenance: Provenance) -> None:
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=9, duration=6.0)
    with FeatureWriter(path) as writer:
        writer.write(VideoFeatures("v", i3d_like(9), grid, provenance))


def test_native_files_say_it_themselves(tmp_path: Path) -> None:
    write_native(tmp_path / "a.h5", Provenance("i3d-x", (("rgb", 1024),)))
    found = explain(tmp_path / "a.h5")
    assert found.kind == "features"
    assert found.unknown == ()
    assert "first snippet: 0 - 0.64 s" in lines(found)
    assert "native feature file: 1 video, i3d-x features" in found.summary
    write_native(tmp_path / "b.h5", Provenance())
    assert "what made them" in lines(explain(tmp_path / "b.h5"))


def test_an_unfinished_file_is_said_to_be_unfinished(tmp_path: Path) -> None:
    writer = FeatureWriter(tmp_path / "a.h5")
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=3)
    writer.write(VideoFeatures("v", np.zeros((3, 2), np.float32), grid))
    writer.abandon()
    with pytest.raises(DataError, match=r"is not finished.*1 finished entries"):
        explain(tmp_path / "a.h5")


def test_binary_files_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x01\x00junk\xff" * 100)
    with pytest.raises(DataError, match="is a binary file of a kind that is not known"):
        explain(tmp_path / "a.h5")
    np.save(tmp_path / "zeros.npy", np.zeros((10, 1024), np.float32))
    assert explain(tmp_path / "zeros.npy").kind == "features"  # no label is set: these are no labels


def test_activations(tmp_path: Path) -> None:
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=9)
    values = Activations(
        np.zeros((9, 3)), np.zeros(2), grid, ("a", "b"), attention={"foreground": np.zeros(9)}, method="hamnet"
    )
    write_activations(tmp_path / "a.h5", {"v": values})
    found = explain(tmp_path / "a.h5")
    assert found.kind == "activations"
    assert "foreground" in lines(found)
    assert "hamnet" in found.summary


def test_foreign_hdf5_and_packed_and_cmcs(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["v"] = i3d_like(9)
    assert "hdf5: another HDF5 file" in lines(explain(tmp_path / "f.h5"))
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["v"] = np.zeros(9)
    assert explain(tmp_path / "g.h5").kind == "table"
    objects = np.empty(2, dtype=object)
    objects[:] = [i3d_like(9, 2048), i3d_like(7, 2048)]
    np.save(tmp_path / "packed.npy", objects, allow_pickle=True)
    assert "which array is which video" in lines(explain(tmp_path / "packed.npy"))
    np.save(tmp_path / "videoname.npy", np.array([b"a", b"b"]))
    assert "snippets: 7 to 9" in lines(explain(tmp_path / "packed.npy"))
    folder = tmp_path / "cmcs"
    folder.mkdir()
    for stream in ("rgb", "flow"):
        np.savez(folder / f"v-{stream}.npz", feature=np.stack([i3d_like(26)] * 10), frame_cnt=119)
    one = explain(folder / "v-rgb.npz")
    assert "the base stride is likely 4 frames" in lines(one)
    assert one.options["grid"] == "4/16@native"
    assert "crops: 10" in lines(explain(folder))


STATE_DICTS: list[tuple[str, dict[str, tuple[int, ...]], list[str]]] = [
    ("cmcs", {"base.base_conv_0.weight": (32, 2048, 1), **{f"cls_heads.{i}.weight": (21, 16) for i in range(4)}},
     ["weights of CMCS", "branches: 4", "classes: 20", "RGB and flow joined"]),
    ("acmnet", {"model_state_dict|att_branch.weight": (3, 2048, 1), "model_state_dict|snippet_cls.weight": (21, 2048)},
     ["weights of ACM-Net", "classes: 20"]),
    ("hamnet", {"state_dict|net.classifier.0.weight": (8, 2048, 3), "state_dict|net.classifier.5.weight": (101, 8, 1),
                "state_dict|net.attention.0.weight": (4, 2048, 3)}, ["weights of HAM-Net", "classes: 100"]),
    ("deep", {"model_state_dict|fc.weight": (8, 2048), "model_state_dict|classifier.weight": (20, 8)},
     ["the deep-metric network", "classes: 20"]),
    ("i3d", {"Conv3d_1a_7x7.conv3d.weight": (64, 2, 7, 7, 7), "logits.conv3d.weight": (400, 8, 1, 1, 1)},
     ["I3D, optical flow", "PyTorch port", "classes: 400"]),
    ("other", {"layer.weight": (3, 4)}, ["1 tensors", "which network"]),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "expected"), [s[1:] for s in STATE_DICTS], ids=[s[0] for s in STATE_DICTS])
@pytest.mark.parametrize("container", ["pth", "legacy", "safetensors"])
def test_state_dicts(tmp_path: Path, shapes: dict[str, Any], expected: list[str], container: str) -> None:
    import torch
    from safetensors.torch import save_file

    content: dict[str, Any] = {}
    for name, shape in shapes.items():
        *outer, key = name.split("|")
        inner = content
        for part in outer:
            inner = inner.setdefault(part, collections.OrderedDict())
        inner[key] = torch.zeros(shape)
    path = tmp_path / f"model.{container if container == 'safetensors' else 'pth'}"
    if container == "safetensors":
        save_file({name.split("|")[-1]: torch.zeros(shape) for name, shape in shapes.items()}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "pth")
    text = lines(explain(path))
    for part in expected:
        assert part in text


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, ("should-never-exist",))


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".npy"])
def test_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"evil{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({"a": Evil()}))
    elif suffix == ".pth":
        import torch

        torch.save({"a": Evil()}, path)
    else:
        objects = np.empty(1, dtype=object)
        objects[0] = Evil()
        np.save(path, objects, allow_pickle=True)
    if suffix == ".npy":
        with pytest.raises(DataError, match=r"refused.*mkdir"):
            explain(path)
    else:
        found = explain(path)
        assert found.kind == "checkpoint"
        assert "not loaded" in found.summary
    assert not (tmp_path / "should-never-exist").exists()


MADE: list[tuple[str, bytes, str, str]] = [
    ("list.txt", b"video_test_0000004\nvideo_test_0000006\n", "names", "2 THUMOS14 video ids"),
    (
        "notes.txt",
        b"This is a long text about nothing that anyone would train on, and it goes on. " * 5,
        "text",
        "lines",
    ),
    ("three.txt", b"v 1.0 2.0\nv 3 4\n", "segments", "the class: it is in the file's name"),
    ("names.json", b'["a", "b", "c"]', "names", "3 names"),
    ("other.json", b'{"a": 1}', "table", "neither annotations nor detections"),
    ("table.csv", b"a,b\n1,x\n", "table", "1 row and 2 columns"),
    ("data.pkl", pickle.dumps({"a": [1, 2]}), "table", "pickled dict"),
]


@pytest.mark.parametrize(("name", "content", "kind", "expected"), MADE, ids=[m[0] for m in MADE])
def test_made_files(tmp_path: Path, name: str, content: bytes, kind: str, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = explain(tmp_path / name)
    assert found.kind == kind
    assert expected in lines(found)


def test_csv_features(tmp_path: Path) -> None:
    rows = [",".join(f"f{i}" for i in range(400))]
    rows += [",".join(f"{x:.4f}" for x in row) for row in np.random.default_rng(0).standard_normal((7, 400))]
    (tmp_path / "v.csv").write_text("\n".join(rows))
    assert "7 snippets of 400 channels" in lines(explain(tmp_path / "v.csv", duration=5.0))


BROKEN = {
    "empty.npy": b"",
    "text.npy": b"this is no array at all",
    "cut.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99, 99), }"
    + b" " * 50
    + b"\n",
    "cut.npz": b"PK\x03\x04 and nothing else",
    "cut.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "cut.pth": b"PK\x03\x04 and nothing else",
    "text.pth": b"hello",
    "cut.pkl": pickle.dumps(list(range(1000)))[:50],
    "cut.safetensors": b"\x10\x00\x00\x00\x00\x00\x00\x00{}",
    "cut.json": b'{"database": {',
    "binary.txt": bytes(range(128, 256)),
    "wrong.json": b'{"database": 3}',
    "blank.txt": b"   \n \n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_data_errors(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        explain(tmp_path / name)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        explain(tmp_path / "x")
    with pytest.raises(DataError, match="empty folder"):
        explain(tmp_path)
    (tmp_path / "x.npy").touch()
    with pytest.raises(DataError, match="duration"):
        explain(tmp_path / "x.npy", duration=-1)


@settings(max_examples=120)
@given(
    content=st.binary(max_size=300),
    start=st.sampled_from(
        [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x04", b"{", b"[", b"a,b\n"]
    ),
    suffix=st.sampled_from([".npy", ".npz", ".pkl", ".json", ".csv", ".txt", ".h5", ".pth", ".safetensors", ".dat"]),
)
def test_random_bytes_are_explained_or_refused(tmp_path: Path, content: bytes, start: bytes, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(start + content)
    with contextlib.suppress(WtalError):
        lines(explain(path))
