"""`wtal figure` and `wtal export` from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'wtal[figures]'")

from wtal_core.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: Any) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "internal error" not in err
        return code, out, err

    return command


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A data set of two videos, detections of two systems, a spec of the first."""
    database = {
        "one": {"subset": "test", "duration": 60.0, "annotations": [{"label": "Diving", "segment": [10.0, 20.0]}]},
        "two": {"subset": "test", "duration": 90.0, "annotations": [{"label": "Running", "segment": [30.0, 40.0]}]},
    }
    data = tmp_path / "data"
    data.mkdir()
    (data / "annotations.json").write_text(json.dumps({"version": "1", "database": database}))
    (data / "dataset.yaml").write_text("name: little\nsplits: {test: [test]}\n")
    for name, start in (("first", 10.0), ("second", 40.0)):
        results = {
            "one": [
                {"label": "Diving", "score": 0.9, "segment": [start, start + 9]},
                {"label": "Diving", "score": 0.3, "segment": [1.0, 2.0]},
            ]
        }
        content = {"version": "1", "results": results, "external_data": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "spec.yaml").write_text(
        "figure: 1\ndata: data\nvideo: one\nruns: {First: first.json}\n"
        "rows: [ground_truth, detections]\nverdicts: 0.5\n"
    )
    return tmp_path


def test_makes_all_formats_and_remakes_them_for_another_run(world: Path, run: Run) -> None:
    code, out, _ = run(
        "figure", world / "spec.yaml", "--out", *(world / f"a.{f}" for f in ("svg", "pdf", "png")), "--json"
    )
    assert code == 0
    report = json.loads(out)
    assert report["class"] == "Diving"
    assert report["width_inches"] == 3.25
    before = (world / "a.svg").read_text()
    assert "true positive" in before
    assert "missed" not in before
    code, out, _ = run("figure", world / "spec.yaml", "--run", world / "second.json", "--out", world / "b.svg")
    assert code == 0
    assert "b.svg" in out
    assert "missed" in (world / "b.svg").read_text()
    assert run("figure", world / "spec.yaml", "--out", world / "a.svg")[0] == 0
    assert (world / "a.svg").read_text() == before


def test_default_output_changes_and_saved_spec(world: Path, run: Run) -> None:
    code, *_ = run(
        *(
            "figure",
            world / "spec.yaml",
            "--set",
            "width=double",
            "window=[5, 30]",
            "--run",
            f"More={world / 'second.json'}",
        ),
        *("--save-spec", world / "sub" / "new.yaml"),
    )
    assert code == 0
    assert (world / "spec.pdf").read_bytes()[:4] == b"%PDF"
    text = (world / "sub" / "new.yaml").read_text()
    assert "width: double" in text
    assert "data: ../data" in text
    assert run("figure", world / "sub" / "new.yaml", "--out", world / "c.svg")[0] == 0
    assert "More" in (world / "c.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing.yaml"], 1, "does not exist"),
        (["spec.yaml", "--set", "styl=curve"], 2, "Did you mean 'style'"),
        (["spec.yaml", "--set", "video=three"], 2, "unknown video 'three'"),
        (["spec.yaml", "--set", "class=Divin"], 2, "Did you mean 'Diving'"),
        (["spec.yaml", "--set", "rows=[cas]"], 1, "cannot fill a row of kind 'cas'"),
        (["spec.yaml", "--out", "x.eps"], 2, "is not a figure file"),
        (["spec.yaml", "--run", "missing_run"], 1, "missing_run"),
        (["spec.yaml", "--data", "missing_data"], 1, "missing_data"),
        (["spec.yaml", "--rum", "x"], 2, "--run"),
    ],
)
def test_exit_codes(
    world: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(world)
    got, _, err = run("figure", *arguments)
    assert got == code
    assert words in err
    assert not (world / "spec.pdf").exists()


def test_export_and_back(world: Path, run: Run) -> None:
    code, out, _ = run(
        "export", world / "data", f"First={world / 'first.json'}", "--to", world / "elan", "--format", "elan", "--json"
    )
    assert code == 0
    report = json.loads(out)
    assert report["layers"] == {"Ground truth": 2, "First": 2}
    assert sorted(Path(f).name for f in report["files"]) == ["one.eaf", "two.eaf"]
    code, *_ = run("export", world / "elan", "--to", world / "back.json", "--format", "activitynet")
    assert code == 0
    database = json.loads((world / "back.json").read_text())["database"]
    assert database["one"]["annotations"] == [{"label": "Diving", "segment": [10.0, 20.0]}]


def test_export_of_one_video(world: Path, run: Run) -> None:
    code, *_ = run("export", world / "first.json", "--to", world / "one.vtt", "--top", "1")
    assert code == 0
    assert (world / "one.vtt").read_text().count("-->") == 1
    code, *_ = run("export", world / "first.json", "--to", world / "one.csv", "--min-score", "0.5")
    assert code == 0
    assert len((world / "one.csv").read_text().splitlines()) == 2


def test_tables_hold_the_videos_that_are_named(world: Path, run: Run) -> None:
    third = {"label": "Diving", "score": 0.5, "segment": [1.0, 2.0]}
    results = {"one": [third], "two": [third, third]}
    (world / "third.json").write_text(json.dumps({"version": "1", "results": results, "external_data": {}}))
    code, out, _ = run("export", world / "third.json", "--to", world / "two.csv", "--videos", "two")
    assert code == 0
    assert "1 video, third 2" in out
    rows = (world / "two.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == ["two", "two"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data", "--to", "x.vtt"], 2, "one file holds one video"),
        (["data", "data/annotations.json", "--to", "x.csv"], 2, "holds one source"),
        (["data", "--to", "x.foo"], 2, "--format NAME"),
        (["nothing", "--to", "x.vtt"], 1, "does not exist"),
        (["data", "--to", "x.vtt", "--videos", "onee"], 2, "Did you mean 'one'"),
        (["data", "first.json", "--to", "x.csv", "--format", "csv"], 2, "holds one source"),
        (["data", "--to", "x.txt", "--format", "via"], 2, "is not a JSON file"),
        (["data", "--to", "x.json", "--format", "label_studio", "--fps", "-1"], 2, "--fps"),
        (["first.json", "--to", "x.csv", "--top", "-1"], 2, "--top is negative"),
    ],
)
def test_exit_codes_of_export(
    world: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(world)
    got, _, err = run("export", *arguments)
    assert got == code
    assert words in err
