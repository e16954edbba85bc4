"""`wtal weights`: what is printed, and which exit code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from wtal_core.cli import main


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WTAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["weights", "list"]) == 0
    text = capsys.readouterr().out
    assert "wtal weights get i3d-rgb\n" in text
    assert "Apache-2.0" in text
    assert main(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["cache"] == str(tmp_path / "cache")
    rgb = next(row for row in listed["weights"] if row["name"] == "i3d-rgb")
    assert rgb["path"] is None
    assert rgb["packaged"]["sha256"] == "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"


@pytest.mark.parametrize("words", [["list"], ["get"], ["convert"]])
def test_help(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["weights", *words, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_convert(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = tmp_path / "model.pth"
    torch.save({"w": torch.ones(2, 3)}, source)
    assert main(["weights", "convert", str(source), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["path"] == str(tmp_path / "model.safetensors")
    assert said["arrays"] == {"w": {"shape": [2, 3], "dtype": "float32"}}
    assert main(["weights", "convert", str(source)]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["weights", "convert", str(source), "--force"]) == 0
    assert "1 array" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["get", "i3d-rbg"], 2, "Did you mean 'i3d-rgb'"),
        (["get", "i3d-flow"], 1, "cannot be fetched automatically"),
        (["get", "i3d-rgb"], 1, "could not be fetched"),
        (["get", "i3d-rgb", "--source", "nowhere.tar.gz"], 1, "does not exist"),
        (["get", "i3d-rgb", "--source", "noise.ckpt"], 1, "SHA-256 differs"),
        (["get", "i3d-rgb", "--out", "x.pt"], 2, "unknown suffix"),
        (["get"], 2, ""),
        (["convert", "nowhere.pt"], 1, "does not exist"),
        (["convert", "noise.ckpt"], 1, "noise.ckpt"),
        (["convert", "empty.pt"], 1, "is empty"),
        (["convert", "folder"], 1, "is a folder"),
        (["convert", "code.pkl"], 1, "code.pkl"),
        (["convert", "fine.npz", "--sha256", "0" * 64], 1, "SHA-256 differs"),
        (["convert", "fine.npz", "--sha256", "00"], 2, "not a SHA-256"),
        (["convert", "fine.npz", "--out", "x.pt"], 2, "unknown suffix"),
        (["convert", "fine.npz", "--out", "fine.npz"], 2, "one file"),
    ],
)
def test_what_goes_wrong(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("noise.ckpt").write_bytes(b"\x80\x04 nothing")
    Path("empty.pt").touch()
    Path("folder").mkdir()
    Path("code.pkl").write_bytes(pickle.dumps({"f": print}))
    np.savez("fine.npz", w=np.ones(2))
    before = {p.name for p in tmp_path.iterdir()}
    assert main(["weights", *arguments]) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert "internal error" not in said.err
    assert {p.name for p in tmp_path.iterdir()} == before
