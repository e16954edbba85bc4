"""Files of weights: read and converted in any container, never executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from wtal_core.errors import DataError, UsageError
from wtal_core.files import read_json, sha256
from wtal_core.video.weight_files import arrays_sha256, convert_checkpoint, read_arrays, sidecar_path, write_arrays


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("name", ["empty.pt", "text.pt", "cut.npz", "cut.safetensors", "list.pt", "odd.txt", "folder"])
def test_unusable_files_give_one_clear_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "empty.pt":
        path.touch()
    elif name == "list.pt":
        torch.save([torch.zeros(2)], path)
    elif name == "cut.npz":
        np.savez(path, x=np.arange(1000.0))
        path.write_bytes(path.read_bytes()[:300])
    else:
        path.write_bytes(b"\xff\x00 not weights" * 20)
    with pytest.raises(DataError) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value) or "empty" in str(caught.value)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "trap.pt", tmp_path / "executed"
    with path.open("wb") as handle:
        pickle.dump({"x": Trap(mark)}, handle, protocol=2)  # what torch's legacy reader expects
    with pytest.raises(DataError):
        read_arrays(path)
    torch.save({"x": Trap(mark)}, path)
    with pytest.raises(DataError, match="would run its code"):
        read_arrays(path)
    assert not mark.exists()


def test_the_checksum_is_of_the_content() -> None:
    a = {"x": np.arange(6.0).reshape(2, 3), "y": np.zeros(0, np.float32)}
    same = {"y": a["y"].copy(), "x": np.asfortranarray(a["x"])}
    assert arrays_sha256(a) == arrays_sha256(same)
    for other in ({**a, "x": a["x"].T}, {**a, "x": a["x"] + 1}, {"z": a["x"], "y": a["y"]}, {"x": a["x"]}):
        assert arrays_sha256(other) != arrays_sha256(a)


# -- converting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["torch zip", "torch legacy", "pickle", "npz", "safetensors", "python 2 pickle"])
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_checkpoints_become_arrays_with_a_sidecar(tmp_path: Path, form: str, suffix: str) -> None:
    source, out = tmp_path / "model.pt", tmp_path / f"converted{suffix}"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    if form.startswith("torch"):
        torch.save({"w": torch.from_numpy(array)}, source, _use_new_zipfile_serialization=form == "torch zip")
    elif form in ("npz", "safetensors"):
        source = write_arrays(tmp_path / f"model.{form}", {"w": array}, {})
    else:
        source.write_bytes(pickle.dumps({"w": array}, protocol=2 if form.startswith("python") else 4))
    assert convert_checkpoint(source, out, sha256_expected=sha256(source).upper()) == out
    np.testing.assert_array_equal(read_arrays(out)["w"], array)
    about = read_json(sidecar_path(out))
    assert about["source_sha256"] == sha256(source)
    assert about["sha256"] == sha256(out)


def test_the_default_name_lies_beside_the_source(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "model.pth")
    assert convert_checkpoint(tmp_path / "model.pth") == tmp_path / "model.safetensors"
    with pytest.raises(UsageError, match="one file"):
        convert_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("form", ["torch", "pickle", "module", "text", "numbers", "cut", "hash", "suffix"])
def test_what_cannot_be_converted_safely(tmp_path: Path, form: str) -> None:
    source, out, mark = tmp_path / "model.pt", tmp_path / "out.safetensors", tmp_path / "executed"
    expected = None
    if form == "torch":
        torch.save({"w": Trap(mark)}, source)
    elif form == "module":
        torch.save(torch.nn.Linear(2, 2), source)
    elif form == "pickle":
        source.write_bytes(pickle.dumps({"w": Trap(mark)}))
    elif form == "text":
        source.write_text("hello")
    elif form == "numbers":
        source.write_bytes(pickle.dumps({"w": [1, 2, 3]}))
    else:
        torch.save({"w": torch.ones(100)}, source)
        if form == "cut":
            source.write_bytes(source.read_bytes()[:200])
        elif form == "hash":
            expected = "0" * 64
        else:
            out = tmp_path / "out.pt"
    with pytest.raises(UsageError if form == "suffix" else DataError) as caught:
        convert_checkpoint(source, out, sha256_expected=expected)
    assert "expected" in str(caught.value)
    assert not mark.exists()
    assert not out.exists()
    assert {p.name for p in tmp_path.iterdir()} <= {"model.pt"}
