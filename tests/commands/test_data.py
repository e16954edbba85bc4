"""`wtal data ...`: exit codes, JSON, messages, and no half-written output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.cli import main
from wtal_core.data import Dataset, open_features, read_annotations, read_detections, write_annotations


@pytest.fixture
def have(tmp_path: Path) -> Path:
    folder = tmp_path / "have"
    (folder / "npy").mkdir(parents=True)
    (folder / "videos").mkdir()
    database = {
        f"v{i}": {
            "subset": "training" if i % 2 else "validation",
            "duration": 10.0,
            "annotations": [{"label": "Run" if i < 2 else "Jump", "segment": [1.0, 2.0 + i]}],
        }
        for i in range(4)
    }
    (folder / "truth.json").write_text(json.dumps({"version": "1", "database": database}))
    for i in range(4):
        np.save(folder / "npy" / f"v{i}.npy", np.random.default_rng(i).random((15, 6), dtype=np.float32))
        (folder / "videos" / f"v{i}.mp4").write_bytes(b"x")
    results = {"v0": [{"label": "Run", "score": 0.5, "segment": [1, 2]}]}
    (folder / "found.json").write_text(json.dumps({"version": "1", "results": results}))
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["data", *map(str, arguments)])
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return code, output.out, output.err


def test_from_loose_files_to_a_healthy_dataset(have: Path, tmp_path: Path, capsys: Any) -> None:
    toy = tmp_path / "toy"
    code, out, err = run(
        capsys, "import", toy, "--annotations", have / "truth.json", "--features", f"i3d={have / 'npy'}",
        "--videos", have / "videos", "--grid", "i3d-25fps-16", "--extractor", "i3d-x", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert summary["splits"] == {"train": 2, "test": 2}
    assert summary["videos"] == 4
    assert summary["features"] == {"i3d": "features/i3d.h5"}
    dataset = Dataset.open(toy)
    assert dataset.store().provenance("v0").extractor == "i3d-x"
    assert dataset.video_path("v3") == toy / "videos" / "v3.mp4"
    code, out, _ = run(capsys, "doctor", toy)
    assert code == 0
    assert "healthy: 0 errors" in out
    code, out, _ = run(capsys, "explain", toy)
    assert code == 0
    assert "the data set 'toy'" in out
    code, out, _ = run(capsys, "explain", toy / "features" / "i3d.h5", "--json")
    assert json.loads(out)["facts"]["extractor"] == "i3d-x"


def test_doctor_finds_and_fails(have: Path, capsys: Any) -> None:
    (have / "npy" / "v2.npy").unlink()
    arguments = ("doctor", "--annotations", have / "truth.json", "--features", have / "npy", "--grid", "i3d-25fps-16")
    code, out, _ = run(capsys, *arguments)
    assert code == 1
    assert "error: features missing (1) - annotated videos without features" in out
    assert "npy: v2: is annotated and has no features. Extract or convert them" in out
    assert "not fit for training: 1 error" in out
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 1
    report = json.loads(out)
    assert report["counts"]["error"] == 1
    assert report["findings"][0]["where"] == "npy: v2"
    code, out, _ = run(capsys, *arguments[:-2])
    assert code == 1
    assert "the snippet grid is not known (of the presets: i3d-25fps-16 fits 100%" in out


def test_doctor_shortens_long_groups(have: Path, capsys: Any) -> None:
    for i in range(4):
        (have / "videos" / f"v{i}.mp4").unlink()
        (have / "npy" / f"v{i}.npy").write_bytes(b"x" * (i + 1))
    (have / "videos" / "other.mp4").touch()
    arguments = ("doctor", "--annotations", have / "truth.json", "--videos", have / "videos")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    (said,) = (line for line in out.splitlines() if "has no file" in line)
    assert said.startswith("  v0, v1, v2 and 1 more, each: has no file in ")
    assert out.splitlines()[1].startswith("1 kind of finding: ")
    assert "videos (4 notes)" in out.splitlines()[1]
    assert "v3: has no file" in run(capsys, *arguments, "--max", "0")[1]
    wrong = ("doctor", "--annotations", have / "truth.json", "--features", have / "npy", "--grid", "i3d-25fps-16")
    report = json.loads(run(capsys, *wrong, "--json")[1])
    assert report["counts"]["error"] >= 4
    assert "features unreadable (4 errors)" in run(capsys, *wrong)[1]


def test_doctor_shortens_long_groups_of_different_findings(have: Path, capsys: Any) -> None:
    for i in range(4):
        np.save(have / "npy" / f"v{i}.npy", np.ones((15 + 9 * (i + 1), 6), np.float32))
    arguments = ("doctor", "--annotations", have / "truth.json", "--features", have / "npy", "--grid", "i3d-25fps-16")
    out = run(capsys, *arguments, "--max", "1")[1]
    assert "length (4 " in out
    assert "... and 3 more (--max 0 prints all)" in out
    assert len([line for line in run(capsys, *arguments, "--max", "0")[1].splitlines() if " snippets" in line]) > 4


def test_import_without_the_videos_that_have_no_features(have: Path, tmp_path: Path, capsys: Any) -> None:
    videos = Dataset.open(make_dataset(have, tmp_path / "all", capsys)).annotations.videos
    training = [video for video, info in videos.items() if info.subset == "training"]
    for video in training:
        (have / "npy" / f"{video}.npy").unlink()
    folder = make_dataset(have, tmp_path / "some", capsys, "--only-with-features")
    dataset = Dataset.open(folder)
    assert list(dataset.annotations.videos) == [video for video in videos if video not in training]
    assert dataset.splits == {"test": ("validation",)}
    assert dataset.classes == Dataset.open(tmp_path / "all").classes
    assert not any("features missing" in line for line in run(capsys, "doctor", folder)[1].splitlines())
    arguments = ("import", tmp_path / "x", "--annotations", have / "truth.json", "--only-with-features")
    code, _, err = run(capsys, *arguments)
    assert (code, "no features are given to choose the videos by" in err) == (2, True)
    for file in (have / "npy").iterdir():
        file.rename(file.with_name(f"v_{file.name}"))
    code, _, err = run(capsys, *arguments, "--features", have / "npy", "--grid", "i3d-25fps-16")
    assert (code, "no annotated video has features" in err) == (1, True)
    assert not (tmp_path / "x").exists()


def test_import_states_the_streams(have: Path, tmp_path: Path, capsys: Any) -> None:
    arguments = ("import", tmp_path / "my toy", "--annotations", have / "truth.json", "--features", have / "npy",
                 "--grid", "i3d-25fps-16", "--modalities", "rgb:4")  # fmt: skip
    code, out, err = run(capsys, *arguments, "flow:2")
    assert (code, err) == (0, "")
    assert f"next: wtal data doctor '{tmp_path / 'my toy'}'" in out
    with Dataset.open(tmp_path / "my toy").store() as store:
        assert store.provenance("v1").modalities == (("rgb", 4), ("flow", 2))
    shutil.rmtree(tmp_path / "my toy")
    assert run(capsys, *arguments, "flow:3")[0] == 1
    code, _, err = run(capsys, *arguments, "--reference")
    assert (code, err.strip().endswith("convert (--reference).")) == (2, True)


def make_dataset(have: Path, folder: Path, capsys: Any, *more: str) -> Path:
    arguments = ("import", folder, "--annotations", have / "truth.json", "--features", have / "npy", *more)
    code, out, _ = run(capsys, *arguments, "--grid", "i3d-25fps-16")
    assert code == 0
    assert ("left out: 2 annotated videos without features" in out) == bool(more)
    return folder


def test_convert_features(have: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "out.h5"
    arguments = ("convert", have / "npy", "--to", target, "--grid", "16/16@25", "--annotations", have / "truth.json",
                 "--modalities", "rgb:4", "flow:2", "--json")  # fmt: skip
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert json.loads(out) | {"bytes": 0} == {
        "kind": "features", "source": str(have / "npy"), "to": str(target), "written": 4, "kept": 0, "snippets": 60,
        "bytes": 0, "notes": [],
    }  # fmt: skip
    store = open_features(target)
    assert store.grid("v1").duration == 10.0
    assert store.provenance("v1").modalities == (("rgb", 4), ("flow", 2))
    assert json.loads(run(capsys, *arguments)[1])["kept"] == 4


def test_convert_annotations_and_detections(have: Path, tmp_path: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "convert", have / "truth.json", "--to", tmp_path / "a.csv")
    assert code == 0
    assert "4 instances" in out
    assert read_annotations(tmp_path / "a.csv").instances == read_annotations(have / "truth.json").instances
    code, out, _ = run(capsys, "convert", have / "found.json", "--to", tmp_path / "d.csv", "--json")
    assert json.loads(out)["detections"] == 1
    assert read_detections(tmp_path / "d.csv") == read_detections(have / "found.json")


def test_convert_takes_a_prefix_off_the_video_ids(have: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("truth.json", "found.json"):
        text = (have / name).read_text().replace('"v', '"v_v')
        (tmp_path / name).write_text(text)
        code, _, err = run(
            capsys, "convert", tmp_path / name, "--to", tmp_path / f"short_{name}", "--strip-prefix", "v_"
        )
        assert (code, err) == (0, "")
    assert read_annotations(tmp_path / "short_truth.json").instances == read_annotations(have / "truth.json").instances
    assert read_detections(tmp_path / "short_found.json") == read_detections(have / "found.json")


def test_convert_and_doctor_of_two_streams(tmp_path: Path, capsys: Any) -> None:
    folder, target = tmp_path / "jump", tmp_path / "jump.h5"
    folder.mkdir()
    for stream, shape in (("rgb", (14, 1024)), ("flow", (14, 1024)), ("vggish", (36, 128))):
        np.save(folder / f"leap_{stream}.npy", np.random.default_rng(len(stream)).random(shape, dtype=np.float32))
    entry = {"duration": 35.08, "annotations": [{"label": "Leap", "segment": [9.1, 15.0]}]}
    (folder / "annotations.json").write_text(json.dumps({"database": {"leap": entry}}))
    code, out, _ = run(capsys, "convert", folder, "--to", target, "--grid", "i3d-25fps-64", "--annotations",
                       folder / "annotations.json")  # fmt: skip
    assert code == 0
    assert "note: 1 file without the other of RGB and flow left out: leap_vggish.npy" in out
    assert open_features(target).read("leap").data.shape == (14, 2048)
    assert run(capsys, "doctor", "--annotations", folder / "annotations.json", "--features", target)[0] == 0


def test_annotations_of_thumos14_text_become_json(have: Path, tmp_path: Path, capsys: Any) -> None:
    write_annotations(read_annotations(have / "truth.json"), tmp_path / "text", format="thumos14")
    assert run(capsys, "convert", tmp_path / "text", "--to", tmp_path / "truth.json")[0] == 0
    assert len(read_annotations(tmp_path / "truth.json").instances) == 4


USAGE: list[tuple[list[str], str]] = [
    (["doctor"], "nothing to check"),
    (["doctor", "HAVE", "--annotations", "HAVE/truth.json"], "both given"),
    (["doctor", "HAVE", "--grid", "i3d-25fps-16"], "describes itself"),
    (["doctor", "--annotations", "HAVE/truth.json", "--max", "-1"], "--max is out of range"),
    (["doctor", "--annotations", "HAVE/truth.json", "--splits", "train"], "is not a split"),
    (["doctor", "--annotations", "HAVE/truth.json", "--features", "x=HAVE/npy", "x=HAVE/npy"], "called 'x'"),
    (["doctor", "--annotation", "x"], "annotations"),
    (["explain"], "PATH"),
    (["explain", "HAVE/truth.json", "--duration", "-3"], "--duration is out of range"),
    (["convert", "HAVE/npy", "--to", "OUT.h5"], "does not say where its snippets lie"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "i3d-25fps-61"], "Did you mean"),
    (["convert", "HAVE/npy", "--to", "OUT.csv"], "expected --to NAME.h5"),
    (["convert", "HAVE/npy", "--to", "OUT.json", "--kind", "features"], "features go into an HDF5 file"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--exclude", "v9"], "unknown video 'v9'"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--modalities", "rgb"], "is not a stream"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--dtype", "float8"], "dtype"),
    (["convert", "HAVE/truth.json", "--to", "OUT.xyz"], "suffix"),
    (["convert", "HAVE/truth.json", "--to", "HAVE/truth.json"], "are the same"),
    (["convert", "HAVE/truth.json", "--to", "OUT.csv", "--grid", "16@25"], "not for annotations: --grid"),
    (["convert", "HAVE/found.json", "--to", "OUT.csv", "--dtype", "float32"], "not for detections: --dtype"),
    (["import", "OUT", "--annotations", "HAVE/truth.json", "--splits", "train=trainig"], "Did you mean 'training'"),
    (["import", "OUT", "--annotations", "HAVE/truth.json", "--features", "=x"], "is not a set of features"),
    # Nothing that is stated is passed over in silence.
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--names", "HAVE/truth.json"], "--names has nothing"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--lengths", "trim"], "got per-video). Leave --leng"),
    (["convert", "HAVE/made.h5", "--to", "OUT.h5", "--grid", "16@30"], "native files state it themselves"),
    (["convert", "HAVE/made.h5", "--to", "OUT.h5", "--strip-prefix", "v"], "--strip-prefix has nothing"),
    (["import", "OUT", "--annotations", "HAVE/truth.json", "--grid", "16@25"], "got no features). Leave --grid out"),
    (["doctor", "--annotations", "HAVE/truth.json", "--features", "HAVE/made.h5", "--grid", "16@25"], "got native"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_arguments_are_exit_code_2(
    have: Path, tmp_path: Path, capsys: Any, arguments: list[str], message: str
) -> None:
    if "HAVE/made.h5" in arguments:
        assert run(capsys, "convert", have / "npy", "--to", have / "made.h5", "--grid", "16@25")[0] == 0
    filled = [a.replace("HAVE", str(have)).replace("OUT", str(tmp_path / "out")) for a in arguments]
    code, _, err = run(capsys, *filled)
    assert code == 2
    assert message in " ".join(err.split())
    assert [p.name for p in tmp_path.iterdir()] == ["have"], "nothing was written"


DATA: list[tuple[list[str], str]] = [
    (["doctor", "HAVE"], "is not a data set folder"),
    (["doctor", "HAVE/nothing"], "does not exist"),
    (["doctor", "--annotations", "HAVE/nothing"], "does not exist"),
    (["doctor", "--annotations", "HAVE/truth.json", "--videos", "HAVE/truth.json"], "is a file"),
    (["explain", "HAVE/nothing"], "does not exist"),
    (["convert", "HAVE/nothing", "--to", "OUT.h5", "--grid", "16@25"], "does not exist"),
    (["convert", "HAVE/videos/v0.mp4", "--to", "OUT.h5", "--grid", "16@25"], "not a feature file"),
    (["convert", "HAVE/truth.json", "--to", "OUT.json", "--kind", "detections"], "holds no results"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--annotations", "HAVE/found.json"], "found.json"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@native"], "the frame rate of the video is not known"),
    (["import", "OUT", "--annotations", "HAVE/found.json"], "found.json"),
    (["import", "HAVE/truth.json", "--annotations", "HAVE/truth.json"], "is a file"),
    (["convert", "HAVE/npy", "--to", "OUT.h5", "--grid", "16@25", "--strip-prefix", "v0"], "nothing is left of it"),
    (["convert", "HAVE/found.json", "--to", "OUT.txt"], "unknown class 'Run'"),
    (["import", "OUT", "--annotations", "HAVE/truth.json", "--features", "HAVE/bad", "--grid", "16@25"], "not finite"),
]


@pytest.mark.parametrize(("arguments", "message"), DATA)
def test_wrong_data_is_exit_code_1(have: Path, tmp_path: Path, capsys: Any, arguments: list[str], message: str) -> None:
    (have / "bad").mkdir()
    np.save(have / "bad" / "v0.npy", np.full((15, 6), np.nan, dtype=np.float32))
    filled = [a.replace("HAVE", str(have)).replace("OUT", str(tmp_path / "out")) for a in arguments]
    code, _, err = run(capsys, *filled)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["have"], "nothing was written"


@pytest.mark.parametrize("command", ["doctor", "explain", "convert", "import"])
def test_help(capsys: Any, command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "--json" in out
