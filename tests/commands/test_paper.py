"""`wtal paper list | run` on a tiny data set: what is trained, what is printed, what is said of what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planted_dataset import write_dataset
from wtal_core.cli import main
from wtal_core.errors import DataError
from wtal_core.papers import EXPERIMENTS
from wtal_core.records import Provenance
from wtal_core.runs.folder import Run
from wtal_core.runs.scores import stored_evaluations
from wtal_core.training import driver
from wtal_core.training.planted import MemoryStore, World, make_world

SMALL = ["training.steps=4", "training.snippets=20", "training.batch_size=4", "attention_filters=8"]
ROWS = ["BCL", "BCL + SAL"]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(num_train=8, num_test=3)


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(world, tmp_path_factory.mktemp("paper")).folder


@pytest.fixture(scope="module")
def out(data: Path) -> Path:
    """Two rows of HAM-Net's Table 1, trained with two seeds."""
    assert main(command(data, data / "runs", "--quiet")) == 0
    return data / "runs"


def command(data: Path, out: Path, *more: str, table: str = "hamnet-table-1") -> list[str]:
    rows = ["--rows", *ROWS, "--seeds", "0", "1", "--set", *SMALL] if table == "hamnet-table-1" else []
    return ["paper", "run", table, "--data", str(data), "--out", str(out), *rows, *more]


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_list_names_what_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(experiment.name in shown for experiment in EXPERIMENTS)
    assert main(["paper", "list", "--json"]) == 0
    papers = json.loads(capsys.readouterr().out)
    assert [e["name"] for paper in papers for e in paper["experiments"]] == [e.name for e in EXPERIMENTS]
    assert papers[-1]["experiments"][0]["rows"][-1]["changes"] == {}


def test_dry_run_says_what_would_be_trained(
    data: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path / "none", "--dry-run")) == 0
    shown = capsys.readouterr().out
    assert "4 runs, 16 steps to do" in shown
    assert "sal_weight=0.0" in shown
    assert "tiny is not THUMOS14" in shown
    assert not (tmp_path / "none").exists()
    assert "About 1 min of training on CPU" in shown
    assert "3 steps of row 'BCL + SAL' timed on random features, and every row taken to be like it" in shown
    assert main(command(data, out, "--dry-run", "--json")) == 0
    value = printed(capsys)
    assert value["estimate"] is None  # nothing is left
    rows = value["rows"]
    assert [run["state"] for row in rows for run in row["runs"]] == ["finished"] * 4
    assert rows[0]["runs"][1]["folder"] == str(out / "bcl-seed1")


def test_numbers_stand_beside_the_printed_ones(data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = {file: file.stat().st_mtime_ns for file in out.glob("*/checkpoints/last.pt")}
    capsys.readouterr()
    assert main(command(data, out, "--json", "--quiet")) == 0
    value = printed(capsys)
    assert (value["columns"], value["protocol"], value["data"]) == (["avg 0.1:0.7"], "activitynet", "tiny")
    assert not value["stopped"]
    bcl, sal = value["rows"]
    assert (bcl["printed"], sal["printed"]) == ([24.6], [30.8])
    stored = [100 * stored_evaluations(Run.open(folder))[0]["average"] for folder in bcl["runs"]]
    assert len(stored) == 2
    assert bcl["here"][0]["mean"] == pytest.approx(sum(stored) / 2)
    assert bcl["here"][0]["std"] == pytest.approx(abs(stored[0] - stored[1]) / 2**0.5)
    config = Run.open(bcl["runs"][0]).config()
    assert (config.sal_weight, config.training.steps) == (0.0, 4)
    assert Run.open(sal["runs"][0]).config().sal_weight > 0
    assert {file: file.stat().st_mtime_ns for file in out.glob("*/checkpoints/last.pt")} == trained
    assert len(trained) == 4
    assert main(command(data, out, "--quiet")) == 0
    shown = capsys.readouterr().out
    assert f"{bcl['here'][0]['mean']:.1f} ± {bcl['here'][0]['std']:.1f} (24.6)" in shown
    assert "tiny is not THUMOS14" in shown
    assert "Not the paper's settings: training.steps=4" in shown


def test_on_the_paper_s_own_data_set_nothing_is_excused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(world, tmp_path, "THUMOS-14")
    assert main(command(tmp_path, tmp_path / "runs", "--dry-run", "--json")) == 0
    assert printed(capsys)["remarks"][0] == "Features here: planted; printed with: I3D."


def test_interrupted_it_prints_what_is_done_and_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = driver.infer

    def interrupted(run: Run, *given: Any, **more: Any) -> Any:
        if run.name == "bcl-seed1":
            raise KeyboardInterrupt
        return infer(run, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(driver, "infer", interrupted)
        assert main(command(data, tmp_path, "--quiet")) == 130
    assert "3 runs not finished: go on with the same command" in capsys.readouterr().out
    assert main(command(data, tmp_path, "--json", "--quiet")) == 0
    assert [len(row["runs"]) for row in printed(capsys)["rows"]] == [2, 2]


def test_a_row_that_cannot_be_trained_says_why(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = World(world.store, replace(world.annotations, tracks={}))
    write_dataset(without, tmp_path)
    arguments = ["--seeds", "0", "--set", "training.steps=2", "--json", "--quiet"]
    arguments += ["--rows", "Single + L_mil (Baseline)", "Single + L_mil + HN"]
    assert main(command(tmp_path, tmp_path / "runs", *arguments, table="cmcs-table-4")) == 0
    base, hard = printed(capsys)["rows"]
    assert (base["obstacle"], len(base["runs"])) == (None, 1)
    assert "static clips" in hard["obstacle"]
    assert hard["printed"] == [32.7]
    assert hard["here"] is None
    assert main(command(tmp_path, tmp_path / "x", table="cmcs-table-5")) == 1
    assert "by 'wtal data static' with rho 15" in capsys.readouterr().err


def test_single_streams_need_features_with_two(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb = Provenance("planted", (("rgb", world.store.dim),))
    features = {v: replace(world.store.read(v), provenance=rgb) for v in world.store.videos}
    write_dataset(World(MemoryStore(features), world.annotations), tmp_path)
    assert main(command(tmp_path, tmp_path / "runs", table="acn-table-5")) == 1
    error = capsys.readouterr().err
    assert "no row can be trained here: The features are not RGB and flow of the same width" in error
    assert "takes apart: rgb (32)." in error


def test_figures_are_scored_without_printed_numbers(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--rows", "K = 2", "--seeds", "0", "--set", "training.steps=2", "training.lr=1e-3", "--quiet"]
    assert main(command(data, tmp_path, *more, table="cmcs-figure-3-left")) == 0
    shown = capsys.readouterr().out
    assert "no printed numbers" in shown
    assert "Scored on the train split (8 videos), as in the paper" in shown
    assert "± -" in shown
    with Run.open(tmp_path / "k-2-seed0").activations() as stored:
        assert len(stored.videos) == 8


def test_a_failed_run_does_not_end_the_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = driver.infer

    def failing(run: Run, *given: Any, **more: Any) -> Any:
        if run.name == "bcl-seed0":
            raise DataError("a video is broken")
        return infer(run, *given, **more)

    monkeypatch.setattr(driver, "infer", failing)
    assert main(command(data, tmp_path, "--json", "--quiet")) == 1
    got = capsys.readouterr()
    assert "failed: bcl-seed0: a video is broken" in got.err
    value = json.loads(got.out)
    assert [list(row["failed"].values()) for row in value["rows"]] == [["a video is broken."], []]
    assert [len(row["runs"]) for row in value["rows"]] == [1, 2]
    assert not value["stopped"]


@pytest.mark.parametrize(
    ("table", "more", "code", "words"),
    [
        ("hamnet-tabel-1", [], 2, "Did you mean 'hamnet-table-1'"),
        ("hamnet-table-3", ["--rows", "HAM-Nett"], 2, "Did you mean 'HAM-Net (Ours)'"),
        ("hamnet-table-3", ["--seeds", "1", "1"], 2, "the seeds are not usable"),
        ("hamnet-table-3", ["--set", "training.stps=3"], 2, "Did you mean 'steps'"),
        ("acmnet-table-vi", ["--set", "training.snippets=30"], 2, "sets what the table varies"),
        ("hamnet-table-3", ["--features", "i3d"], 2, "unknown set of features 'i3d'"),
    ],
)
def test_bad_arguments(
    data: Path, tmp_path: Path, table: str, more: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, tmp_path / "x", *more, table=table)) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_folder_of_another_table_is_refused(data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(data, out, "--set", *SMALL, "gamma=0.7")) == 2
    assert "bcl-seed0: holds another run (expected gamma 0.7, got gamma 0.2)" in capsys.readouterr().err
