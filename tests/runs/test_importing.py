"""Official checkpoints as runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.fixtures import read
from wtal_core.cli import main
from wtal_core.data import FeatureWriter
from wtal_core.errors import DataError, UsageError
from wtal_core.methods import create_method
from wtal_core.records import VideoFeatures
from wtal_core.runs.folder import Run
from wtal_core.runs.importing import CLASS_LISTS, class_names, import_official
from wtal_core.runs.pipeline import stored_activations
from wtal_core.snippet_grid import SnippetGrid


def checkpoint(folder: Path, name: str = "official.pt", streams: str = "both") -> Path:
    """Write fresh weights under their official names."""
    method = create_method("cmcs", num_classes=3, feature_dim=8, streams=streams)
    state = method.state_dict()
    torch.save({official: state[own] for official, own in method.official_names().items()}, folder / name)
    return folder / name


def test_class_names(tmp_path: Path) -> None:
    assert class_names("thumos14")[:2] == ("BaseballPitch", "BasketballDunk")
    assert len(CLASS_LISTS["thumos14"]) == 20
    assert class_names("a, b ,c") == ("a", "b", "c")
    (tmp_path / "detclasslist.txt").write_text("7 BaseballPitch\r\n9 Long jump\r\n")
    assert class_names(str(tmp_path / "detclasslist.txt")) == ("BaseballPitch", "Long jump")
    (tmp_path / "some.txt").write_text("100 m hurdles\nLong jump\n")
    assert class_names(str(tmp_path / "some.txt")) == ("100 m hurdles", "Long jump")
    (tmp_path / "list.txt").write_text("7\tBaseballPitch\n9\tBasketballDunk\n\n")
    assert class_names(str(tmp_path / "list.txt")) == ("BaseballPitch", "BasketballDunk")
    for text in ("", " , ", "a,a"):
        with pytest.raises(UsageError, match="class"):
            class_names(text)


def test_an_import_is_a_finished_run_with_the_official_weights(tmp_path: Path) -> None:
    file = checkpoint(tmp_path)
    run = import_official("cmcs", [file], tmp_path / "run", classes=("a", "b", "c"), feature_dim=8, extractor="i3d")
    assert run.status()["state"] == "finished"
    assert run.info.notes == "official weights from official.pt"
    official = torch.load(file, weights_only=True)
    own, names = run.method().state_dict(), run.new_method().official_names()
    assert all(torch.equal(own[names[key]], value) for key, value in official.items())
    with pytest.raises(UsageError, match="holds a run already"):
        import_official("cmcs", [file], tmp_path / "run", classes=("a", "b", "c"), feature_dim=8)


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    file = checkpoint(tmp_path)
    cases = [
        (DataError, "shape", {"classes": ("a", "b"), "feature_dim": 8}),
        (DataError, "shape", {"classes": ("a", "b", "c")}),
        (DataError, "missing", {"classes": ("a", "b", "c"), "feature_dim": 8, "changes": {"branches": 5}}),
        (UsageError, "classes are not known", {}),
        (UsageError, "is 2 files", {"classes": ("a",), "changes": {"streams": "late"}}),
    ]
    for kind, words, arguments in cases:
        with pytest.raises(kind, match=words):
            import_official("cmcs", [file], tmp_path / "run", **arguments)
    (tmp_path / "bad.pt").write_bytes(b"garbage")
    (tmp_path / "objects.npz").write_bytes(b"PK garbage")
    for bad in ("bad.pt", "objects.npz", "none.pt"):
        with pytest.raises(DataError):
            import_official("cmcs", [tmp_path / bad], tmp_path / "run", classes=("a", "b", "c"), feature_dim=8)
    assert not (tmp_path / "run").exists()


def test_late_fusion_takes_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = create_method("cmcs", num_classes=3, feature_dim=8, streams="rgb")
    state = method.state_dict()
    for name in ("rgb.pt", "flow.pt"):
        torch.save({official: state[own] for official, own in method.official_names().items()}, tmp_path / name)
    files = [str(tmp_path / "rgb.pt"), str(tmp_path / "flow.pt")]
    more = ["--classes", "a,b,c", "--feature-dim", "8", "--set", "streams=late"]
    arguments = ["runs", "import", "cmcs", *files, "--out", str(tmp_path / "run"), *more]
    assert main(arguments) == 0
    assert "next: wtal infer" in capsys.readouterr().out
    assert Run.open(tmp_path / "run").info.notes == "official weights from rgb.pt and flow.pt"
    assert main(["runs", "import", "cmcs", files[0], "--out", str(tmp_path / "x"), *more]) == 2
    assert "expected checkpoint of RGB, checkpoint of flow" in capsys.readouterr().err


def test_official_weights_go_from_files_to_official_detections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CMCS's official names and numbers (random weights), through the commands."""
    golden, prefix = read("cmcs"), "both/sd/"
    weights = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in golden.items() if k.startswith(prefix)}
    torch.save(weights, tmp_path / "cmcs-i3d-both.pt")
    with FeatureWriter(tmp_path / "i3d.h5", dtype="float32") as writer:
        writer.write(VideoFeatures("v", golden["x_T63"], SnippetGrid.preset("i3d-30fps-16", 63, 33.6)))
    entry = {"subset": "test", "duration": 33.6, "annotations": [{"label": "LongJump", "segment": [9.1, 15.0]}]}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"v": entry}}))
    data, run = tmp_path / "data", tmp_path / "run"
    assert main(["data", "import", str(data), "--annotations", str(tmp_path / "annotations.json"),
                 "--features", str(tmp_path / "i3d.h5")]) == 0  # fmt: skip
    settings = ("filters=12", "hidden=6", "localization.class_threshold=0.05")
    assert main(["runs", "import", "cmcs", str(tmp_path / "cmcs-i3d-both.pt"), "--out", str(run), "--data", str(data),
                 "--classes", "thumos14", "--set", *settings]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["infer", str(run), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 1
    acts = stored_activations(Run.open(run))["v"]
    average = torch.from_numpy(golden["both/T63/avg_score"])
    np.testing.assert_allclose(acts.cas, average.softmax(-1), rtol=0, atol=5e-4)  # stored as float16
    names, official = class_names("thumos14"), golden["both/T63/det_thumos"]
    found = json.loads((run / "detections.json").read_text())["results"]["v"]
    ours = np.array([[names.index(row["label"]), *row["segment"], row["score"]] for row in found])
    ours, official = (rows[np.lexsort((rows[:, 1], rows[:, 0]))] for rows in (ours, official))
    np.testing.assert_allclose(ours, official, rtol=0, atol=1e-4)
