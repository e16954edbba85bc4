"""`wtal evaluate` and `wtal bench evaluate` from the outside."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wtal_core.cli import main
from wtal_core.data import write_annotations, write_detections
from wtal_core.records import Annotations, Detections, Segments, VideoInfo, as_names
from wtal_core.runs.folder import Run, RunInfo


@pytest.fixture
def files(tmp_path):
    """Two classes in three videos; the detections are right in one video of two."""
    database = {
        "video_a": {"subset": "test", "duration": 60.0, "annotations": [{"label": "Diving", "segment": [10.0, 20.0]}]},
        "video_b": {"subset": "test", "duration": 60.0, "annotations": [{"label": "Diving", "segment": [30.0, 40.0]}]},
        "video_c": {"subset": "train", "duration": 60.0, "annotations": [{"label": "Running", "segment": [0.0, 9.0]}]},
    }
    results = {
        "video_a": [{"label": "Diving", "score": 0.9, "segment": [10.0, 20.0]}],
        "video_b": [{"label": "Diving", "score": 0.8, "segment": [0.0, 5.0]}],
        "video_c": [{"label": "Running", "score": 0.7, "segment": [0.0, 9.0]}],
    }
    annotations, detections = tmp_path / "gt.json", tmp_path / "detections.json"
    annotations.write_text(json.dumps({"version": "1", "database": database}))
    detections.write_text(json.dumps({"version": "1", "results": results, "external_data": {}}))
    return tmp_path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_classes_without_ground_truth(files, capsys):
    results = json.loads((files / "detections.json").read_text())
    results["results"]["video_a"].append({"label": "Golf", "score": 0.95, "segment": [10.0, 20.0]})
    (files / "more.json").write_text(json.dumps(results))
    asked = ("--annotations", files / "gt.json", "--subset", "test")
    code, _, err = run(capsys, "evaluate", files / "more.json", *asked)
    assert code == 1
    assert "unknown class 'Golf'" in err
    assert "--shared-classes" in err
    code, out, _ = run(capsys, "evaluate", files / "more.json", *asked, "--shared-classes")
    assert code == 0
    assert "note: Left out 1 detection of classes without ground truth." in out
    assert run(capsys, "evaluate", files / "detections.json", *asked)[1].splitlines()[:5] == out.splitlines()[:5]
    both = (files / "detections.json", files / "more.json", *asked, "--shared-classes", "--json", "--resamples", 0)
    sets = json.loads(run(capsys, "compare", *both)[1])["sets"]
    assert sets[0]["evaluations"] == sets[1]["evaluations"]


def test_table(files, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(
        *(capsys, "evaluate", files / "detections.json", "--annotations", files / "gt.json"),
        *("--protocol", "activitynet", "thumos14", "--tiou", "0.1:0.7", "--subset", "test", "--per-class"),
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "3 detections, 2 videos, 2 instances, 1 of 2 classes"
    columns = [cell.strip() for cell in lines[1].replace("┃", "|").split("|")]
    assert columns == [
        *("mAP % at tIoU", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"),
        *("avg 0.1:0.7", "avg 0.1:0.5", "avg 0.3:0.7"),
    ]
    for name in ("activitynet", "thumos14"):
        row = next(line for line in lines if line.startswith(name))
        assert [cell.strip() for cell in row.split("│")[1:]] == ["50.0"] * 10
    assert sum(line.startswith("Diving") for line in lines) == 2
    assert [cell.strip() for cell in next(li for li in lines if li.startswith("Running")).split("│")[1:]] == ["-"] * 8
    assert (
        "note: 1 detection in 1 video outside the subset (train, e.g. video_c) counts as a false positive, as in the "
        "official evaluators; only_subset_videos leaves such ones out."
    ) in lines
    assert "note: 1 class of 2 without instances left out of the mean, with 1 detection: Running." in lines
    assert any(line.startswith("note (thumos14): The annotations hold no Ambiguous intervals") for line in lines)


def test_detections_outside_the_subset(files, capsys):
    """False positives as in the official evaluators, or left out: in every command that scores."""
    results = json.loads((files / "detections.json").read_text())
    results["results"]["video_c"] = [{"label": "Diving", "score": 0.95, "segment": [0.0, 9.0]}]
    path = files / "more.json"
    path.write_text(json.dumps(results))
    asked = ("--annotations", files / "gt.json", "--subset", "test", "--tiou", "0.5", "--json")
    for only, expected in (((), 0.25), (("--only-subset-videos",), 0.5)):
        code, out, err = run(capsys, "evaluate", path, *asked, *only)
        assert code == 0, err
        report = json.loads(out)
        (scored,) = report["evaluations"]
        assert report["only_subset_videos"] == bool(only)
        assert (scored["average"], scored["num_detections"]) == (expected, 2 if only else 3)
        assert "Ignored 1 detection" in scored["notes"][0] if only else "outside the subset" in scored["notes"][0]
        found = json.loads(run(capsys, "diagnose", path, *asked, *only)[1])
        assert found["mean_ap"] == expected
        assert found["notes"] == scored["notes"]
        assert [f["kind"] for f in found["failures"] if f["video"] == "video_c"] == ([] if only else ["other video"])
        compared = json.loads(run(capsys, "compare", path, path, *asked, *only, "--resamples", 5)[1])
        assert [one["evaluations"][0]["average"] for one in compared["sets"]] == [expected, expected]


def test_other_ids_score_zero_with_a_reason(files, capsys):
    rows = [{"label": "Diving", "score": 0.5, "segment": [0, 1]}]
    (files / "elsewhere.json").write_text(json.dumps({"results": {"v_video_a": rows}}))
    code, out, _ = run(capsys, "evaluate", files / "elsewhere.json", "--annotations", files / "gt.json")
    assert code == 0
    assert "note: None of the 1 video with detections is annotated, so nothing can be right" in out
    assert "Take the prefix off the detections: strip_prefix='v_' of 'wtal data convert' does it." in out


def test_json_and_file(files, capsys):
    out_file = files / "new folder" / "evaluation.json"
    code, out, _ = run(
        *(capsys, "evaluate", files, "--annotations", files / "gt.json", "--protocol", "wtalc", "--tiou", "0.5"),
        *("--json", "--out", out_file),
    )
    assert code == 0
    report = json.loads(out)
    assert report == json.loads(out_file.read_text())
    (evaluation,) = report["evaluations"]
    assert evaluation["mean_ap"] == {"0.5": 0.75}
    assert evaluation["averages"] == {"all": 0.75}
    assert evaluation["ap"] == {"Diving": {"0.5": 0.5}, "Running": {"0.5": 1.0}}
    assert evaluation["num_detections"] == 3


def test_a_run_is_scored_on_the_annotations_its_data_set_names(files, capsys):
    (files / "dataset.yaml").write_text("name: x\nsplits: {train: [train], test: [test]}\nannotations: gt.json\n")
    info = RunInfo("hamnet", "thumos14", {}, ("Diving", "Running"), 2, dataset={"folder": str(files), "test": ["test"]})
    folder = Run.create(files / "run", info).folder
    (folder / "detections.json").write_text((files / "detections.json").read_text())
    code, out, err = run(capsys, "evaluate", folder, "--json")
    assert code == 0, err
    assert json.loads(out)["annotations"] == str(files / "gt.json")
    assert json.loads(out)["evaluations"][0]["num_videos"] == 2


def test_selected_videos_and_grid(files, capsys):
    (files / "list.txt").write_text("video_a\nvideo_c\n")
    code, out, _ = run(
        *(capsys, "evaluate", files / "detections.json", "--annotations", files / "gt.json", "--json"),
        *("--videos", files / "list.txt", "--protocol", "wtalc", "--grid", "unt-25fps-15"),
    )
    assert code == 0
    (evaluation,) = json.loads(out)["evaluations"]
    assert evaluation["average"] == 1.0
    assert any("0.6 s" in note for note in evaluation["notes"])


def test_listed_videos_may_have_blanks_in_their_ids(files, capsys):
    for name in ("gt.json", "detections.json"):
        (files / name).write_text((files / name).read_text().replace("video_a", "Kür 1"))
    (files / "list.txt").write_text("Kür 1\r\n\r\nvideo_c \n", encoding="utf-8")
    asked = ("--annotations", files / "gt.json", "--videos", files / "list.txt", "--json")
    code, out, err = run(capsys, "evaluate", files / "detections.json", *asked)
    assert code == 0, err
    assert json.loads(out)["evaluations"][0]["num_videos"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.json", "--annotations", "gt.json"], 1, "missing.json: does not exist"),
        (["detections.json", "--annotations", "missing.json"], 1, "missing.json"),
        (["empty.json", "--annotations", "gt.json"], 1, "empty.json"),
        (["folder", "--annotations", "gt.json"], 1, "holds no detections.json"),
        (["unknown.json", "--annotations", "gt.json"], 1, "Did you mean 'Diving'"),
        (["detections.json", "--annotations", "gt.json", "--protocol", "thumos"], 2, "Did you mean 'thumos14'"),
        (["detections.json", "--annotations", "gt.json", "--protocol"], 2, "no protocol is named"),
        (["detections.json", "--annotations", "gt.json", "--tiou", "0.1:0.6"], 2, "cannot be read"),
        (["detections.json", "--annotations", "gt.json", "--subset", "tset"], 2, "Did you mean 'test'"),
        (["detections.json", "--annotations", "gt.json", "--grid", "i3d"], 2, "unknown snippet grid"),
        (["detections.json", "--annotations", "gt.json", "--videos", "blank.txt"], 1, "lists no video"),
        (["detections.json", "--annotations", "gt.json", "--out", "folder"], 1, "is a folder"),
        (["detections.json"], 2, "annotations"),
        (
            ["detections.json", "--annotations", "gt.json", "--grid", "unt-25fps-15"],
            2,
            "none of these protocols rounds",
        ),
        (
            ["detections.json", "--annotations", "gt.json", "--out", "detections.json"],
            2,
            "would overwrite what is read",
        ),
        (["detections.json", "--annotations", "gt.json", "--out", "./gt.json"], 2, "would overwrite what is read"),
        (["made", "--annotations", "gt.json", "--out", "made/detections.json"], 2, "would overwrite what is read"),
        (
            ["foreign.json", "--annotations", "gt.json"],
            1,
            "Rename it in one of the files, or leave such detections out",
        ),
    ],
)
def test_errors(files, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(files)
    (files / "folder").mkdir()
    (files / "made").mkdir()
    (files / "made" / "detections.json").write_bytes((files / "detections.json").read_bytes())
    rows = [{"label": "Zwölf", "score": 0.5, "segment": [0, 1]}]
    (files / "foreign.json").write_text(json.dumps({"results": {"video_a": rows}}))
    (files / "empty.json").write_text("")
    (files / "blank.txt").write_text("\n")
    rows = [{"label": "Divng", "score": 0.5, "segment": [0, 1]}]
    (files / "unknown.json").write_text(json.dumps({"results": {"video_a": rows}}))
    before = {file: file.read_bytes() for file in files.rglob("*.json")}
    got, out, err = run(capsys, "evaluate", *arguments)
    assert got == code
    assert message in out + err
    assert {file: file.read_bytes() for file in files.rglob("*.json")} == before
    assert "internal error" not in err
    assert not list(files.glob(".*"))


def test_every_format_gives_the_same_numbers(capsys, tmp_path):
    """The same ground truth in three formats, the same detections in three."""
    rng = np.random.default_rng(0)
    video = as_names([f"video_test_{i:07d}" for i in rng.integers(0, 20, 60)])
    label = as_names([("Billiards", "Diving", "GolfSwing")[i] for i in rng.integers(0, 3, 60)])
    start = rng.uniform(0, 50, 60).round(1)
    videos = {str(v): VideoInfo("test", duration=60.0) for v in sorted(set(video))}
    truth = Annotations(("Billiards", "Diving", "GolfSwing"), videos, Segments(video, label, start, start + 5))
    found = Detections(video, label, start + rng.uniform(0, 3, 60).round(2), start + 6, rng.permutation(60) / 60)
    for name, kind in (("json", "activitynet"), ("csv", "csv"), ("text", "thumos14")):
        write_annotations(truth, tmp_path / f"gt.{name}" if name != "text" else tmp_path / "gt", format=kind)
    for name in ("found.json", "found.csv"):
        write_detections(found, tmp_path / name)
    write_detections(found, tmp_path / "found.txt", decimals=(6, 6))
    results = []
    for gt, name in (("gt.json", "found.json"), ("gt.csv", "found.csv"), ("gt", "found.txt")):
        code, out, err = run(
            *(capsys, "evaluate", tmp_path / name, "--annotations", tmp_path / gt),
            *("--subset", "test", "--tiou", "0.1:0.7", "--json"),
        )
        assert code == 0, err
        results.append(json.loads(out)["evaluations"][0])
    assert [r["num_instances"] for r in results] == [60] * 3
    assert 0.1 < results[0]["mean_ap"]["0.5"] < 0.9
    assert results[1]["mean_ap"] == results[2]["mean_ap"] == pytest.approx(results[0]["mean_ap"], abs=1e-9)


def test_bench(capsys):
    small = ("--detections", "500", "--videos", "20", "--classes", "3", "--repeats", "2")
    code, out, _ = run(capsys, "bench", "evaluate", *small)
    assert code == 0
    assert "peak memory" in out
    assert "thumos14" in out
    code, out, _ = run(capsys, "bench", "evaluate", *small, "--json", "--protocol", "wtalc")
    report = json.loads(out)
    assert code == 0
    assert [result["protocol"] for result in report["results"]] == ["wtalc"]
    assert len(report["results"][0]["seconds"]) == 2
    assert run(capsys, "bench", "evaluate", "--repeats", "0")[0] == 2
    assert run(capsys, "bench", "evaluate", "--videos", "0")[0] == 2
    crowded = ("bench", "evaluate", "--case", "crowded", "--detections", 50, "--instances", 9, "--repeats", 1)
    code, out, _ = run(capsys, *crowded)
    assert code == 0
    assert "50 detections, 1 video, 1 class, 9 instances" in out
    assert "above the inputs" in out
    assert run(capsys, *crowded, "--videos", 3)[0] == 2
    assert run(capsys, "bench", "evaluate", *small, "--instances", 3)[0] == 2
    large = json.loads(run(capsys, "bench", "evaluate", "--case", "large", *small, "--json")[1])
    assert (large["case"], large["detections"]) == ("large", 500)
