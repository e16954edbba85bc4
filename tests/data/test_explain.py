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
from hypothesis import HealthCheck, given, settings
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


# -- the real files: (path, kind, what the answer must contain) ---------------------------------------------------

REAL: list[tuple[str, str, list[str]]] = [
    ("bmt_long_jump_i3d/women_long_jump_rgb.npy", "features",
     ["14 snippets of 1,024 channels", "float32", "I3D", "RGB by its file name", "i3d-25fps-64",
      "first snippet: 0 - 2.56 s", "last snippet: 33.28 - 35.84 s", "35.08 s"]),
    ("bmt_long_jump_i3d/women_long_jump_flow.npy", "features", ["flow by its file name", "i3d-25fps-64"]),
    ("bmt_long_jump_i3d/women_long_jump_vggish.npy", "features", ["36 snippets of 128", "VGGish", "33.6 - 34.56 s"]),
    ("bmt_long_jump_i3d", "features", ["rgb (1024), flow (1024)", "vggish.npy", "i3d-25fps-64", "channels: 2,048"]),
    ("bmt_long_jump_i3d/annotations.json", "annotations", ["2 instances of 1 class in 1 of 1 video", "LongJump"]),
    ("wtalc_thumos14_annotations", "annotations",
     ["6,365 instances of 20 classes", "validation 200, test 212", "validation 3,007, test 3,358", "W-TALC"]),
    ("wtalc_thumos14_annotations/videoname.npy", "names", ["412 THUMOS14 video ids", "validation 200, test 212"]),
    ("wtalc_thumos14_annotations/classlist.npy", "names", ["20 class names of THUMOS14", "VolleyballSpiking"]),
    ("wtalc_thumos14_annotations/subset.npy", "names", ["validation 200, test 212"]),
    ("wtalc_thumos14_annotations/duration.npy", "numbers", ["412 numbers", "seconds", "max 1673"]),
    ("wtalc_thumos14_annotations/original_fps.npy", "numbers", ["frame rate of each video", "min 24", "max 30"]),
    ("wtalc_thumos14_annotations/extracted_fps.npy", "numbers", ["known to be wrong", "do not use"]),
    ("wtalc_thumos14_annotations/labels.npy", "labels", ["6,365 class names of 412 videos", "empty: 0"]),
    ("wtalc_thumos14_annotations/labels_all.npy", "labels", ["463 class names of 412 videos", "empty: 1"]),
    ("wtalc_thumos14_annotations/segments.npy", "segments", ["6,365 segments of 412 videos"]),
    ("wtalc_thumos14_annotations/Ambiguous_test.txt", "segments", ["99 Ambiguous intervals in 37 videos"]),
    ("acmnet_thumos14_annotations/gt.json", "annotations", ["6,365 instances", "in 412 of 412 videos", "duration 1"]),
    ("acmnet_thumos14_annotations/split_test.txt", "names", ["210 THUMOS14 video ids", "test 210"]),
    ("activitynet12_annotations/activity_net.v1-2.min-missing-removed.json", "annotations",
     ["100 classes", "videos: 8,907", "training 4,441", "validation 2,198", "testing 2,268"]),
    ("activitynet13_annotations/anet_anno_action.json", "annotations",
     ["22,152 instances of 200 classes", "videos: 19,228", "flat"]),
    ("activitynet13_annotations/video_info_new.csv", "table", ["BMN's video table", "19228 videos", "training 9,649"]),
    ("activitynet13_annotations/action_name.csv", "names", ["200 names", "Applying sunscreen"]),
    ("activitynet13_annotations/sample_detection_prediction.json", "detections", ["7,654 detections of 200 classes"]),
    ("activitynet13_annotations/sample_classification_prediction.json", "video scores", ["4,926 videos, 200 classes"]),
    ("autoloc_thumos14_detections/thumos14_detections.json", "detections", ["20,763 detections of 20 classes in 213"]),
    ("autoloc_thumos14_detections/thumos14_gt.json", "annotations", ["3,234 instances", "210 of 210 videos"]),
    ("stpn_thumos14_detections/results.json", "detections", ["9,151 detections", "scores: -23.35 to 31.24"]),
    ("stpn_thumos14_detections/results.txt", "detections", ["9,151 detections of 20 classes"]),
    ("stpn_thumos14_detections/gt.json", "annotations", ["3,311 instances", "duration of 210 videos"]),
    ("stpn_thumos14_detections/train_labels.npy", "labels", ["200 videos x 20 classes", "labels per row: 1 to 2"]),
    ("stpn_thumos14_detections/THUMOS14_test_vid_list.txt", "names", ["210 THUMOS14 video ids"]),
    ("thumos14_official_txt", "annotations", ["6,365 instances of 20 classes in 412 of 413 videos", "intervals: 188"]),
    ("thumos14_official_txt/temporal_annotations_test", "annotations", ["3,358 instances", "intervals: 99"]),
    ("thumos14_official_txt/temporal_annotations_test/Diving_test.txt", "segments", ["388 segments of Diving in 26"]),
    ("thumos14_official_txt/test_durations.txt", "numbers", ["durations of 1574 videos"]),
    ("thumos14_official_txt/test_avoid_videos.txt", "names", ["avoid list: 14 pairs"]),
    ("thumos14_unet_scores/uNet_test.npy", "video scores",
     ["1,574 THUMOS14 test videos", "not snippet features", "class id - 1", "2 softmaxes", "1,574, 101",
      "VolleyballSpiking 96"]),
    ("thumos14_unet_scores/thumos_gt.json", "annotations", ["6,318 instances", "test 210, train 200"]),
    ("thumos14_unet_scores/test_Annotation.csv", "annotations", ["3,358 instances of 20 classes", "intervals: 99"]),
    ("i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz", "weights",
     ["I3D", "RGB (3 input channels)", "arrays: 230", "classes: 400", "parameters: 12,704,544"]),
    ("i3d_rgb_kinetics400/K400_label_map.txt", "names", ["400 names", "abseiling"]),
    ("i3d_rgb_kinetics400", "folder", ["weights of I3D", "400 names"]),
    ("thumos14_unet_scores", "folder", ["uNet_test.npy: video-level class scores"]),
    ("real_clips/mmaction2_demo.mp4", "video", ["a video file"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "expected"), REAL, ids=[r[0] for r in REAL])
def test_real_files(shared: Path, name: str, kind: str, expected: list[str]) -> None:
    found = explain(shared / "data" / name)
    assert found.kind == kind
    text = lines(found)
    for part in expected:
        assert part in text


def test_real_features_by_duration_alone(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes((shared / "data/bmt_long_jump_i3d/women_long_jump_rgb.npy").read_bytes())
    assert "the snippet grid: no duration is known" in lines(explain(tmp_path / "x.npy"))
    assert "i3d-25fps-64" in lines(explain(tmp_path / "x.npy", duration=35.08))
    stated = explain(
        shared / "data/bmt_long_jump_i3d/women_long_jump_rgb.npy",
        annotations=shared / "data/bmt_long_jump_i3d/annotations.json",
    )
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
    assert "4/16@native" in one.next_step
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


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
