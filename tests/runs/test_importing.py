"""Official checkpoints as runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

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
        (UsageError, "two checkpoints", {"classes": ("a",), "changes": {"streams": "late"}}),
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
    assert "expected RGB and flow" in capsys.readouterr().err


def test_official_weights_find_both_long_jumps(
    tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CMCS's THUMOS14 weights on the real video: from files on disk to detections, through the commands."""
    golden = np.load(shared / "golden" / "cmcs_golden.npz")
    prefix = "both/sd/"
    weights = {k.removeprefix(prefix): torch.from_numpy(golden[k]) for k in golden.files if k.startswith(prefix)}
    torch.save(weights, tmp_path / "cmcs-i3d-both.pt")
    source = shared / "data" / "bmt_long_jump_i3d"
    features = np.concatenate([np.load(source / f"women_long_jump_{s}.npy") for s in ("rgb", "flow")], axis=1)
    data = tmp_path / "data"
    grid = SnippetGrid.preset("i3d-25fps-64", len(features), 35.08)
    with FeatureWriter(tmp_path / "i3d.h5") as writer:
        writer.write(VideoFeatures("women_long_jump", features, grid))
    assert main(["data", "import", str(data), "--annotations", str(source / "annotations.json"),
                 "--features", str(tmp_path / "i3d.h5")]) == 0  # fmt: skip
    run = tmp_path / "run"
    assert main(["runs", "import", "cmcs", str(tmp_path / "cmcs-i3d-both.pt"), "--out", str(run), "--data", str(data),
                 "--classes", "thumos14"]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["infer", str(run), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 1
    acts = stored_activations(Run.open(run))["women_long_jump"]
    jump = acts.classes.index("LongJump")
    # shared/data/README.md: the official modules' own numbers
    assert acts.video_scores[jump] == pytest.approx(0.741, abs=6e-4)
    expected = [0, 0, 0.006, 0.198, 0.828, 0.773, 0.148, 0.004, 0.052, 0.323, 0.717, 0.651, 0.392, 0.005]
    np.testing.assert_allclose(acts.cas[:, jump], expected, atol=6e-4)
    found = json.loads((run / "detections.json").read_text())["results"]["women_long_jump"]
    jumps = [d["segment"] for d in found if d["label"] == "LongJump"]
    for start, end in ((9.1, 15.0), (22.4, 33.9)):
        assert any(a < end and b > start for a, b in jumps)
    assert not any(a < 18 < b for a, b in jumps)  # the athlete in the pit is context
