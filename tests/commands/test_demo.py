"""`wtal demo build | sheet | report | real` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from wtal_core.cli import main
from wtal_core.data.dataset import Dataset
from wtal_core.demo.builder import BuildOptions, build
from wtal_core.demo.report import BEGIN, END


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "demo"
    build(folder, BuildOptions(seed=3, small=True, videos=1, runs=("acmnet",), workers=1), quiet=True)
    return folder


def test_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "sheet", "Background", "--out", str(tmp_path), "--width", "400", "--format", "jpg"]) == 0
    image = cv2.imread(str(tmp_path / "Background.jpg"))
    assert image is not None
    assert image.shape[1] == 400
    assert "Background.jpg" in capsys.readouterr().out
    assert main(["demo", "sheet", "Golf", "--out", str(tmp_path)]) == 2
    assert "GolfSwing" in capsys.readouterr().err


def test_report_of_one_run(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The world's own run counts for seed 0, seed 1 is trained; the second time nothing is."""
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    command = ["demo", "report", "--data", str(world), "--out", str(tmp_path / "more"), "--runs", "acmnet"]
    command += ["--seeds", "0", "1", "--workers", "1", "--quiet"]
    assert main([*command, "--readme", str(readme)]) == 0
    assert "| `acmnet` |" in readme.read_text()
    assert not (tmp_path / "more" / "seed0").exists()
    weights = tmp_path / "more" / "seed1" / "acmnet" / "checkpoints" / "last.pt"
    trained = weights.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["seeds"] == [0, 1]
    assert len(printed["table"]["acmnet"]) == 2
    assert weights.stat().st_mtime_ns == trained
    assert main(["demo", "report", "--data", str(world), "--seeds", "1", "1"]) == 2
    assert main(["demo", "report", "--data", str(tmp_path)]) == 1
    assert "dataset.yaml" in capsys.readouterr().err


def test_build_packs(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is built already is packed; the packed folder opens and is smaller."""
    from wtal_core.demo.shipping import ship

    report = ship(world, tmp_path / "packed", quiet=True)
    assert (report["videos"], report["runs"]) == (1, 1)
    dataset = Dataset.open(tmp_path / "packed")
    assert dataset.video_path(dataset.videos("test")[0]) is not None
    assert dataset.video_path(dataset.videos("train")[0]) is None
    with dataset.store() as store, Dataset.open(world).store() as original:
        for video in dataset.videos():
            assert (store.read(video).data == original.read(video).data).all()
    assert report["bytes"] < sum(p.stat().st_size for p in world.rglob("*") if p.is_file())
    assert main(["infer", str(tmp_path / "packed" / "runs" / "acmnet"), "--data", str(tmp_path / "packed")]) == 0
    capsys.readouterr()


def test_bad_arguments(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "build", "--out", str(world), "--seed", "9", "--small"]) == 2
    assert "another demo world" in capsys.readouterr().err
    assert main(["demo", "build", "--out", str(tmp_path / "x"), "--runs", "cmsc"]) == 2
    assert "cmcs" in capsys.readouterr().err
    assert main(["demo", "build", "--out", str(tmp_path / "x"), "--runs", "none", "cmcs"]) == 2
    assert main(["demo", "real", "--shared", str(tmp_path / "none"), "--out", str(tmp_path / "y")]) == 1
    assert "does not exist" in capsys.readouterr().err
