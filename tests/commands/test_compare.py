"""`wtal compare` and `wtal diagnose` on small files: numbers, notes, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wtal_core.cli import main
from wtal_core.data import read_detections, write_annotations, write_detections
from wtal_core.data.dataset import Dataset
from wtal_core.evaluation.benchmark import random_case


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    rows, truth = random_case(200, 10, 3, seed=2)
    write_annotations(truth, folder / "truth.json", format="activitynet")
    write_detections(rows, folder / "one.json", format="activitynet")
    (folder / "other").mkdir()
    write_detections(rows[range(0, 200, 2)], folder / "other" / "detections.json", format="activitynet")
    write_detections(rows, folder / "two.csv", format="csv")
    return folder


def test_diagnose(files: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    truth = ["--annotations", str(files / "truth.json")]
    assert main(["diagnose", str(files / "one.json"), *truth, "--out", str(tmp_path / "d.json")]) == 0
    shown = capsys.readouterr().out
    assert "kind of failure" in shown
    assert "costliest failures" in shown
    listed = shown[shown.index("costliest failures") :].partition("\n\n")[0]
    assert len(listed.splitlines()) == 2 + 15
    assert main(["diagnose", str(files / "one.json"), *truth, "--json"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert len(every["failures"]) == sum(kind["number"] for kind in every["kinds"]) > 15
    assert main(["diagnose", str(files / "one.json"), *truth, "--json", "--top", "3"]) == 0
    value = json.loads(capsys.readouterr().out)
    whole = json.loads((tmp_path / "d.json").read_text())
    assert len(value["failures"]) == 3
    assert len(whole["failures"]) == sum(kind["number"] for kind in value["kinds"])
    assert whole["mean_ap"] == value["mean_ap"]
    assert whole["failures"][:3] == value["failures"]
    misses = [failure for failure in whole["failures"] if failure["miss"]]
    assert misses
    assert all(failure["score"] is None and failure["inside"] is None for failure in misses)
    assert {"kind", "number", "share", "cost"} <= value["kinds"][0].keys()


def test_what_lies_outside_of_the_evaluated_videos_is_noted(
    files: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = read_detections(files / "one.json")
    few = rows[rows.video == rows.video[0]]
    write_detections(few, tmp_path / "few.json", format="activitynet")
    truth = ["--annotations", str(files / "truth.json")]
    missing = "with instances have no detection; their instances count as missed."
    assert main(["compare", str(files / "one.json"), str(tmp_path / "few.json"), *truth, "--resamples", "0"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if missing in line)
    assert line.startswith("note (few): ")
    assert main(["diagnose", str(tmp_path / "few.json"), *truth]) == 0
    assert any(line.startswith("note: ") and missing in line for line in capsys.readouterr().out.splitlines())
    assert main(["diagnose", str(tmp_path / "few.json"), *truth, "--json"]) == 0
    assert any(missing in note for note in json.loads(capsys.readouterr().out)["notes"])


def test_slices(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["compare", str(files / "one.json"), str(files / "other"), "--annotations", str(files / "truth.json")]
    assert main([*sets, "--slices", "length", "tag", "--resamples", "0"]) == 0
    shown = capsys.readouterr().out
    assert "mAP_N % at tIoU 0.5 by length, activitynet" in shown
    assert "mAP % at tIoU 0.5 by tag, activitynet" in shown
    assert main([*sets, "--slices", "tag", "--tiou", "0.3", "--resamples", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (part,) = report["slices"]
    assert (part["measure"], part["tiou"]) == ("mAP", 0.3)
    for number, name in enumerate(("one", "other")):  # no notes: the whole split alone
        assert part["rows"][0][name] == pytest.approx(report["sets"][number]["evaluations"][0]["mean_ap"]["0.3"])
    assert main([*sets, "--slices", "size"]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ([], 2, "no ground truth is named"),
        (["--annotations", "t", "--data", "d"], 2, "two ground truths"),
        (["--annotations", "{}/truth.json", "--protocol", "activity"], 2, "Did you mean 'activitynet'"),
        (["--annotations", "{}/truth.json", "--share", "2"], 2, "share is out of range"),
        (["--annotations", "{}/truth.json", "--tiou", "1.5"], 2, "out of range"),
        (["--annotations", "{}/truth.json", "--top", "-1"], 2, "--top is negative"),
        (["--annotations", "{}/nothing.json"], 1, "does not exist"),
        (["--annotations", "{}/truth.json", "--out", "{}/truth.json"], 2, "would overwrite what is read"),
    ],
)
def test_diagnose_refuses(
    files: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, words: str
) -> None:
    assert main(["diagnose", str(files / "one.json"), *(m.format(files) for m in more)]) == code
    assert words in capsys.readouterr().err


def test_compare(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [str(files / name) for name in ("one.json", "two.csv", "other")]
    truth = ["--annotations", str(files / "truth.json"), "--resamples", "50"]
    assert main(["compare", *sets, *truth, "--protocol", "activitynet", "thumos14", "--published-on", "thumos14"]) == 0
    shown = capsys.readouterr().out
    assert "paired bootstrap" in shown
    assert "cmcs as printed (I3D)" in shown
    assert "they compare only if this ground truth is that" in shown
    assert main(["compare", *sets, *truth, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in value["sets"]] == ["one", "two", "other"]
    assert value["published"] == []
    same = value["bootstrap"]["two"]["rows"]
    assert all(row["difference"] == 0 for row in same)
    assert value["bootstrap"]["other"]["first"] == "one"
    assert main(["compare", sets[0], *truth, "--per-class", "--published-on", "none"]) == 0
    assert "class_000" in capsys.readouterr().out


def test_compare_refuses(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(files), "--annotations", str(files / "truth.json")]) == 1
    assert "holds no detections.json" in capsys.readouterr().err
    assert main(["compare", str(files / "one.json"), "--annotations", "t", "--resamples", "-1"]) == 2
    capsys.readouterr()
    over = ["--annotations", str(files / "truth.json"), "--out", str(files / "one.json")]
    assert main(["compare", str(files / "one.json"), *over]) == 2
    assert "would overwrite what is read" in capsys.readouterr().err


def test_equal_names_are_told_apart(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "one.json"
    copy.write_text((files / "one.json").read_text())
    sets = [str(files / "one.json"), str(copy)]
    assert main(["compare", *sets, "--annotations", str(files / "truth.json"), "--resamples", "0", "--json"]) == 0
    names = [s["name"] for s in json.loads(capsys.readouterr().out)["sets"]]
    assert names == [f"{files.name}/one", f"{tmp_path.name}/one"]


def test_a_data_set_folder_counts_with_its_test_split(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dataset.yaml").write_text("name: small\nannotations: truth.json\nsplits:\n  test: [test]\n")
    (tmp_path / "truth.json").write_text((files / "truth.json").read_text())
    assert Dataset.open(tmp_path).name == "small"
    assert main(["compare", str(files / "one.json"), "--data", str(tmp_path), "--resamples", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ground_truth"] == str(tmp_path)


def test_names_and_the_table_for_a_paper(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "a=b.json"
    copy.write_bytes((files / "one.json").read_bytes())
    sets = ["compare", f"Ours & co={files / 'one.json'}", str(copy), "--annotations", str(files / "truth.json")]
    table = tmp_path / "my tables" / "map.tex"
    table.parent.mkdir()
    assert main([*sets, "--resamples", "0", "--table", str(table), "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["sets"]] == ["Ours & co", "a=b"]
    text = table.read_text()
    assert r"Ours \& co & activitynet &" in text
    assert "\\bottomrule" in text
    assert main([*sets, "--resamples", "0", "--table", str(table.with_suffix(".csv"))]) == 0
    assert table.with_suffix(".csv").read_text().startswith("name,protocol,printed in,0.1,")
    assert main([*sets, "--table", "map.docx"]) == 2
    assert "--table: the format of the table is not known" in capsys.readouterr().err
