"""The compare page without a browser: tables, views, imported files, and its empty and broken states."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import loaders
from tests.pages.seen import html
from tests.pages.workspace import make_dataset
from wtal_core.analysis.failures import FailureNotes
from wtal_core.data import Dataset, read_detections, write_detections
from wtal_core.evaluation import GroundTruthIndex, diagnose, evaluate

OpenPage = Callable[..., AppTest]
PAGE = "pages/compare.py"


def again(changed: Any) -> AppTest:
    """Run the app again after a change (a widget, or the app itself), without an exception."""
    app: AppTest = changed.run()
    assert not app.exception, [e.value for e in app.exception]
    return app


def test_numbers_are_those_of_the_evaluator(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet")
    truth = GroundTruthIndex(Dataset.open(small_home / "datasets" / "planted").annotations, "test")
    for run in ("acmnet", "hamnet"):
        rows = read_detections(small_home / "runs" / run / "detections.json")
        score = evaluate(rows, truth, matches=False)
        assert f"{100 * score.mean_ap[0.5]:.1f}<" in html(app)
        assert f"{100 * score.average:.1f}<" in html(app)
    assert len(app.get("plotly_chart")) == 1
    assert len(app.get("download_button")) == 2


def test_another_data_set_brings_its_own_runs(open_page: OpenPage, home: Path) -> None:
    make_dataset(home / "datasets" / "other", video=False)
    shutil.copytree(home / "runs" / "acmnet", home / "runs" / "elsewhere")
    info = home / "runs" / "elsewhere" / "run.yaml"
    info.write_text(info.read_text().replace("planted", "other"))
    app = open_page(PAGE, home, data="planted", sets="hamnet")
    assert app.multiselect(key="sets").value == ["runs/hamnet"], "a link says what is compared"
    again(app.selectbox(key="pick.dataset").set_value("datasets/other"))
    assert app.multiselect(key="sets").value == ["runs/elsewhere"]
    again(app.multiselect(key="sets").set_value([]))  # to choose nothing stays possible
    assert app.multiselect(key="sets").value == []
    again(app.selectbox(key="pick.dataset").set_value("datasets/planted"))
    assert app.multiselect(key="sets").value == ["runs/acmnet", "runs/cmcs", "runs/hamnet"]


def test_protocols_and_printed_numbers(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet")
    assert "AAAI 2021" not in html(app)
    app.button_group(key="protocols").set_value(["activitynet", "thumos14"])
    again(app.selectbox(key="printed").set_value("THUMOS14"))
    assert "AAAI 2021, Table 2, THUMOS14" in html(app)
    assert "not what these runs should reach" in app.warning[0].value
    assert len(app.get("plotly_chart")) == 2
    again(app.button_group(key="protocols").set_value([]))  # never nothing
    assert "activitynet" in html(app)


@pytest.mark.parametrize(
    ("view", "charts"), [("Classes", 1), ("Precision-recall", 1), ("Scores", 2), ("Slices", 1), ("Significance", 1)]
)
def test_every_view(open_page: OpenPage, small_home: Path, view: str, charts: int) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet", view=view)
    assert len(app.get("plotly_chart")) == charts
    assert not app.error


def test_one_class_alone(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet", view="Precision-recall")
    again(app.selectbox(key="pr_class").set_value("Dive"))
    assert "interpolated AP" in app.caption[0].value


def test_significance_needs_two(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet", view="Significance")
    assert "nothing to differ from" in app.info[0].value


def test_files_of_other_systems(open_page: OpenPage, small_home: Path, tmp_path: Path) -> None:
    rows = read_detections(small_home / "runs" / "hamnet" / "detections.json")
    write_detections(rows, tmp_path / "other.csv", format="csv")
    app = open_page(PAGE, small_home, run="acmnet", files=f"{tmp_path / 'other.csv'}\n{tmp_path / 'none.json'}")
    assert "</span>other</td>" in html(app)
    assert any("does not exist" in error.value for error in app.error)
    uploaded = ("mine.json", (small_home / "runs" / "hamnet" / "detections.json").read_bytes(), "application/json")
    again(app.file_uploader(key="uploads").upload(*uploaded))
    assert "</span>mine</td>" in html(app)


@pytest.mark.parametrize("path", ["a" * 5000, "~nobody-of-this-name/x.json", "a" + chr(0)])
def test_a_path_that_no_file_can_have_is_a_sentence(open_page: OpenPage, small_home: Path, path: str) -> None:
    app = open_page(PAGE, small_home, run="acmnet", files=path)
    assert len(app.error) == 1
    assert "defect" not in app.error[0].value
    assert "</span>acmnet</td>" in html(app)


def test_an_upload_is_read_once_and_forgotten_in_the_end(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.ui import detection_sets

    kept: dict[str, object] = {}
    monkeypatch.setattr(detection_sets, "_uploads", lambda: kept)
    monkeypatch.setattr(detection_sets, "_KEPT_UPLOADS", 2)
    read = []
    monkeypatch.setattr(detection_sets, "read_detections", lambda path: read.append(path.read_bytes()))
    for content in (b"1", b"1", b"2", b"3", b"3"):
        detection_sets.upload_set("a.json", content)
    assert read == [b"1", b"2", b"3"]
    assert len(kept) == 2


def test_a_run_that_is_deleted_while_it_is_shown_leaves_the_others(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="acmnet,hamnet")
    assert "</span>hamnet</td>" in html(app)
    shutil.rmtree(home / "runs" / "hamnet")
    again(app)
    assert "</span>acmnet</td>" in html(app)
    assert "</span>hamnet</td>" not in html(app)


def test_slices_by_length_and_by_tag(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="acmnet,hamnet", view="Slices")
    assert "DETAD" in app.caption[0].value
    assert "<th>length</th><th>instances</th>" in html(app)
    assert len(app.get("plotly_chart")) == 1
    again(app.selectbox(key="slice_class").set_value("tag"))
    assert "No failure of these runs has a tag yet" in app.info[0].value
    truth = GroundTruthIndex(Dataset.open(home / "datasets" / "planted").annotations, "test")
    rows = {run: read_detections(home / "runs" / run / "detections.json") for run in ("acmnet", "hamnet")}
    failure = next(diagnose(rows["hamnet"], truth).failures.itertuples())
    FailureNotes(home / "runs" / "hamnet").set(failure.key, ["camera <moves>"])
    again(app)
    assert "<td>camera &lt;moves&gt;</td><td>1</td>" in html(app)
    alone = GroundTruthIndex(truth.annotations, None, [failure.video])
    for table in rows.values():
        assert f"{100 * evaluate(table, alone, tiou=0.5, matches=False).average:.1f}" in html(app)


def test_a_bad_upload_is_a_sentence(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet")
    again(app.file_uploader(key="uploads").upload("bad.json", b"{", "application/json"))
    assert "bad.json" in app.error[0].value
    assert "</span>acmnet</td>" in html(app)


def test_seeds_together(open_page: OpenPage, home: Path) -> None:
    shutil.copytree(home / "runs" / "hamnet", home / "runs" / "hamnet_1")
    description = home / "runs" / "hamnet_1" / "run.yaml"
    description.write_text(description.read_text().replace("\nseed: 0", "\nseed: 1"))
    app = open_page(PAGE, home, run="hamnet,hamnet_1")
    assert "2 seeds (hamnet, hamnet_1)" in html(app)
    assert "± 0.0" in html(app)


def test_an_empty_workspace_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    assert "no data set in this workspace" in open_page(PAGE, tmp_path).info[0].value


def test_a_data_set_without_runs_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "alone", video=False)
    assert "No run of this data set yet" in open_page(PAGE, tmp_path).info[0].value


@pytest.mark.parametrize("file", ["run.yaml", "detections.json"])
def test_a_broken_run_does_not_take_the_others_with_it(open_page: OpenPage, home: Path, file: str) -> None:
    (home / "runs" / "acmnet" / file).write_text("{[")
    app = open_page(PAGE, home, run="acmnet,hamnet")
    assert app.error
    assert "</span>hamnet</td>" in html(app)
    assert "</span>acmnet</td>" not in html(app)


def test_a_run_without_detections(open_page: OpenPage, home: Path) -> None:
    (home / "runs" / "acmnet" / "detections.json").unlink()
    app = open_page(PAGE, home, run="acmnet,hamnet")
    assert "has no detections yet" in app.error[0].value
    assert "</span>hamnet</td>" in html(app)


def test_links_of_earlier_versions_and_ambiguous_ones(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, data="planted", sets="hamnet")
    assert app.multiselect(key="sets").value == ["runs/hamnet"]
    assert "</span>hamnet</td>" in html(app)
    shutil.copytree(home / "runs" / "hamnet", home / "datasets" / "planted" / "runs" / "hamnet")
    loaders._resolved.cache_clear()  # a page of another second
    app = open_page(PAGE, home, data="planted", sets="hamnet")
    assert "may mean datasets/planted/runs/hamnet or runs/hamnet" in app.warning[0].value
    app = open_page(PAGE, home, sets="runs/hamnet")
    assert "</span>runs/hamnet</td>" in html(app), "names in tables tell the two apart"
