"""`wtal extract`: what is written, what is printed, and which exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="extraction uses OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="clips are written with PyAV: pip install 'wtal[video]'")

from tests.video.clips import write_clip
from wtal_core.cli import main
from wtal_core.data.features import open_features

CODES = "import numpy as np\ndef mean(clips):\n    return clips.mean(axis=(1, 2, 3))\n"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two good clips, a broken one and a module of the user's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WTAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos/a.mp4", 40)
    (tmp_path / "videos/b.mp4").write_bytes((tmp_path / "videos/a.mp4").read_bytes())
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "videos/a.mp4").read_bytes()[:500])
    (tmp_path / "own_features.py").write_text(CODES)
    monkeypatch.delitem(sys.modules, "own_features", raising=False)
    return tmp_path


def test_descriptors_from_end_to_end(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["extract", "videos", "--out", "f.h5", "--backbone", "descriptors"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "2 videos added (4 snippets" in said.out
    assert "a: 2 snippets" in said.err
    with open_features(work / "f.h5") as store:
        features = store.read("a")
        assert features.data.shape == (2, 1024)
        assert features.grid.fps == 25
        provenance = features.provenance
    assert provenance.extractor == "appearance-descriptor+motion-descriptor"
    assert provenance.modalities == (("appearance-descriptor", 512), ("motion-descriptor", 512))
    assert provenance.flow_kind == "dis"
    assert "i3d" not in str(provenance).lower()
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["skipped"] == ["a", "b"]
    assert said["extracted"] == {}


def test_a_function_of_ones_own(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["--fps", "10", "--stride", "4", "--window", "8"]
    backbone = ["--backbone", "own_features:mean", "appearance-descriptor"]
    assert main(["extract", "videos/*.mp4", "--out", "f.h5", *backbone, *grid]) == 0
    with open_features(work / "f.h5") as store:
        features = store.read("b")
    assert features.provenance.modalities == (("own_features:mean", 3), ("appearance-descriptor", 512))
    assert (features.grid.fps, features.grid.stride, features.grid.window) == (10, 4, 8)
    assert features.data.shape == (3, 515)


def test_one_bad_video(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["extract", "broken.mp4", "videos", "--out", "f.h5", "--backbone", "own_features:mean"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "2 videos added" in said.out
    assert "1 failed" in said.out
    assert f"failed: broken: {work / 'broken.mp4'}" in said.err
    assert main([*arguments, "--json"]) == 1
    assert list(json.loads(capsys.readouterr().out)["failed"]) == ["broken"]


def test_shards_and_merging(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["extract", "videos", "--backbone", "own_features:mean"]
    assert main([*base, "--out", "1.h5", "--shard", "1/2"]) == 0
    assert main([*base, "--out", "2.h5", "--shard", "2/2"]) == 0
    assert main(["extract", "1.h5", "2.h5", "--merge", "--out", "all.h5"]) == 0
    with open_features(work / "all.h5") as store:
        assert store.videos == ("a", "b")
        np.testing.assert_array_equal(store.read("a").data, store.read("b").data)
    assert main([*base, "--out", "all.h5", "--stride", "8"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*base, "--out", "all.h5", "--stride", "8", "--overwrite"]) == 0


def test_help_states_units_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Frames a second" in text
    assert "25.0" in text
    assert "--backbone" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "f.h5"], 2, ""),
        (["videos"], 2, ""),
        (["nowhere.mp4", "--out", "f.h5"], 1, "does not exist"),
        (["*.nothing", "--out", "f.h5"], 2, "no video there"),
        (["videos", "--out", "f.npz", "--backbone", "descriptors"], 2, "ending in .h5"),
        (["videos", "--out", "videos", "--backbone", "descriptors"], 2, "ending in .h5"),
        (["videos", "--out", "f.h5", "--backbone", "i4d"], 2, "unknown backbone 'i4d'"),
        (["videos", "--out", "f.h5", "--backbone", "i3d-rgb"], 1, "wtal weights get i3d-rgb"),
        (["videos", "--out", "f.h5"], 1, "wtal weights get i3d-rgb"),
        (["videos", "--out", "f.h5", "--backbone", "i3d-flow"], 1, "i3d-flow"),
        (["videos", "--out", "f.h5", "--weights", "x.npz"], 2, "NAME=FILE"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--weights", "i3d-rgb=x"], 2, "not a stream"),
        (["videos", "--out", "f.h5", "--backbone", "i3d-rgb", "--weights", "i3d-rgb=x.npz"], 1, "x.npz"),
        (["videos", "--out", "f.h5", "--backbone", "i3d-rgb", "--weights", "i3d-rgb=broken.mp4"], 1, "suffix"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "descriptors"], 2, "there twice"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--crop", "center"], 2, "unknown crop"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--flow", "raft"], 2, "unknown optical flow"),
        (["videos", "--out", "f.h5", "--backbone", "i3d-rgb", "--device", "cuda:77"], 2, "not present"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--fps", "0"], 2, "not a snippet grid"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--window", "-4"], 2, "not a snippet grid"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--stride", "nan"], 2, "not a snippet grid"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--batch-size", "0"], 2, "--batch-size >= 1"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--shard", "3/2"], 2, "i/n"),
        (["videos", "--out", "f.h5", "--backbone", "descriptors", "--shard", "1/2", "--overwrite"], 2, "exclude"),
        (["videos", "--out", "own_features.py/f.h5", "--backbone", "descriptors"], 1, "cannot be written"),
        (["own_features.py", "--merge", "--out", "f.h5"], 1, "own_features.py"),
        (["a.h5", "--merge", "--out", "f.h5", "--overwrite"], 2, "--merge and --overwrite exclude"),
        (["a.h5", "--merge", "--out", "f.h5", "--batch-size", "4"], 2, "--merge and --batch-size exclude"),
        (["videos", "--out", "f.h5", "--bakbone", "i3d"], 2, "--backbone"),
    ],
)
def test_what_goes_wrong(
    work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    before = sorted(p.name for p in work.iterdir())
    assert main(["extract", *arguments]) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert "internal error" not in said.err
    assert sorted(p.name for p in work.iterdir() if p.name != "__pycache__") == before
