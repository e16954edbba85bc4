"""The failures page without a browser: what it shows, filters, notes, and its empty and broken states."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.seen import html
from tests.pages.workspace import make_dataset
from wtal_core.analysis.failures import FailureNotes, Note, filter_failures, right_elsewhere
from wtal_core.data import Dataset, read_detections, write_detections
from wtal_core.evaluation import GroundTruthIndex, diagnose
from wtal_core.records import Detections

OpenPage = Callable[..., AppTest]
PAGE = "pages/failures.py"


def cards(app: AppTest) -> list[str]:
    return [e.proto.body for e in app.get("html") if 'class="fail-head"' in e.proto.body]


def again(changed: Any) -> AppTest:
    """Run the app again after a change (a widget, or the app itself), without an exception."""
    app: AppTest = changed.run()
    assert not app.exception, [e.value for e in app.exception]
    return app


def truth_of(home: Path) -> GroundTruthIndex:
    return GroundTruthIndex(Dataset.open(home / "datasets" / "planted").annotations, "test")


def test_shows_the_failures_by_cost(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet")
    found = diagnose(read_detections(small_home / "runs" / "acmnet" / "detections.json"), truth_of(small_home))
    assert f"<b>{100 * found.mean_ap:.1f}</b>mAP@0.5" in html(app)
    first = cards(app)[0]
    assert found.failures.iloc[0]["kind"] in first
    assert f"{100 * found.failures.iloc[0]['cost']:.2f} mAP" in first
    assert "data:image/svg+xml;base64," in first
    assert len(cards(app)) <= 12
    assert "/frame/datasets/planted/test_024?t=" in html(app) or "test_024" not in html(app)


def test_filters_by_kind_class_and_threshold(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet")
    found = diagnose(read_detections(small_home / "runs" / "acmnet" / "detections.json"), truth_of(small_home))
    kind = found.summary.index[0]
    again(app.button_group(key="kind").set_value([kind]))
    assert cards(app)
    assert all(f"</span>{kind}</span>" in card for card in cards(app))
    app.button_group(key="kind").set_value([])
    again(app.multiselect(key="of_class").set_value(["Dive"]))
    assert all("<span>Dive</span>" in card for card in cards(app))
    app.multiselect(key="of_class").set_value([])
    again(app.selectbox(key="pick.tiou").set_value(0.3))
    assert "mAP@0.3" in html(app)
    assert app.query_params["tiou"] in ("0.3", ["0.3"])


def test_the_link_opens_the_moment(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet", tiou="0.4")
    links = [e.proto for e in app.get("page_link") if e.proto.label == "Open in Explore"]
    found = diagnose(
        read_detections(small_home / "runs" / "acmnet" / "detections.json"), truth_of(small_home), tiou=0.4
    )
    assert links
    query = links[0].query_string
    for part in ("data=datasets%2Fplanted", "run=runs%2Facmnet%2Cruns%2Fhamnet", "tiou=0.4", "from=", "to=", "t="):
        assert part in query
    assert str(found.failures.iloc[0]["video"]) in query


def test_wrong_here_right_there(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet")
    everything = next(e.proto.body for e in app.get("html") if "failures, by" in e.proto.body)
    again(app.selectbox(key="right_in").set_value("runs/hamnet"))
    fewer = [e.proto.body for e in app.get("html") if "failures, by" in e.proto.body]
    assert fewer != [everything]
    again(app.button_group(key="failures_of").set_value("runs/hamnet"))
    assert not app.error


def test_table_and_overview(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="hamnet", view="Table")
    table = app.dataframe[0].value
    assert {"kind", "label", "video", "cost", "tags"} <= set(table.columns)
    assert table["cost"].is_monotonic_decreasing
    again(app.button_group(key="view").set_value("Overview"))
    assert len(app.get("plotly_chart")) == 4


def test_tags_and_notes_are_kept_with_the_run(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="acmnet")
    again(next(b for b in app.button if b.label == "Tag or note").click())
    app.text_area(key="note.text").set_value("the camera cuts away")
    again(next(b for b in app.button if b.label == "Save").click())
    stored = json.loads((home / "runs" / "acmnet" / "failures.json").read_text())["notes"]
    assert [note["note"] for note in stored.values()] == ["the camera cuts away"]
    assert any("the camera cuts away" in card for card in cards(app))
    again(app.multiselect(key="tag").set_value(["any note"]))
    assert len(cards(app)) == 1
    again(next(b for b in app.button if b.label == "Edit note").click())
    app.text_area(key="note.text").set_value("x" * 20_000)
    again(next(b for b in app.button if b.label == "Save").click())
    assert "too long" in app.error[0].value


def test_what_was_typed_for_one_failure_does_not_turn_up_at_another(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="acmnet")
    buttons = [b.key for b in app.button if b.label == "Tag or note"]
    again(app.button(key=buttons[0]).click())
    note = next(t for t in app.text_area if t.label == "Note")
    note.set_value("meant for the first")  # and the dialog is closed by its cross
    again(app.button(key=buttons[1]).click())
    assert next(t for t in app.text_area if t.label == "Note").value == ""


@pytest.mark.parametrize("protocol", ["activitynet", "of another workbench"])
def test_a_link_may_name_the_usual_protocol_or_an_unknown_one(
    open_page: OpenPage, small_home: Path, protocol: str
) -> None:
    app = open_page(PAGE, small_home, protocol=protocol)
    assert app.selectbox(key="protocol").value == "activitynet"
    assert cards(app)


def test_filters_come_with_the_link(open_page: OpenPage, home: Path) -> None:
    found = diagnose(read_detections(home / "runs" / "acmnet" / "detections.json"), truth_of(home))
    there = diagnose(read_detections(home / "runs" / "hamnet" / "detections.json"), truth_of(home))
    wrong = found.failures[right_elsewhere(found, there)]
    app = open_page(PAGE, home, run="acmnet,hamnet", right_in="hamnet")
    count = next(e.proto.body for e in app.get("html") if "failures, by" in e.proto.body)
    shown = filter_failures(wrong, explained=False)
    assert f"{len(shown):,} of {len(found.failures):,} failures" in count
    middle = float(found.failures["score"].median())
    app = open_page(PAGE, home, run="acmnet", score=f"{middle:.3f},", length=",nonsense", explained="true")
    count = next(e.proto.body for e in app.get("html") if "failures, by" in e.proto.body)
    above = filter_failures(found.failures, score=(round(middle, 3), 1e9))
    assert f"{len(above):,} of {len(found.failures):,} failures" in count
    again(
        app.slider(key="range.score").set_value((app.slider(key="range.score").min, app.slider(key="range.score").max))
    )
    assert "score" not in app.query_params
    again(app.slider(key="range.length").set_value((1.0, app.slider(key="range.length").max)))
    assert app.query_params["length"] in ("1,", ["1,"])
    key = str(shown.iloc[0]["key"])
    FailureNotes(home / "runs" / "acmnet").set(key, ["dark"])
    app = open_page(PAGE, home, run="acmnet", tag="dark", order="score")
    assert len(cards(app)) == 1
    assert "<span>dark</span>" in cards(app)[0]


def test_a_note_that_cannot_be_kept_is_a_sentence(
    open_page: OpenPage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(PAGE, home, run="acmnet")
    again(next(b for b in app.button if b.label == "Tag or note").click())
    app.text_area(key="note.text").set_value("lost")

    def refused(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")  # as in a run folder of somebody else

    monkeypatch.setattr("wtal_core.files.tempfile.mkstemp", refused)
    again(next(b for b in app.button if b.label == "Save").click())
    assert "Permission denied" in app.error[0].value
    assert cards(app), "the page goes on"
    assert not (home / "runs" / "acmnet" / "failures.json").exists()


def test_what_another_window_wrote_is_kept(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="acmnet")
    again(next(b for b in app.button if b.label == "Tag or note").click())
    first = diagnose(read_detections(home / "runs" / "acmnet" / "detections.json"), truth_of(home)).failures
    shown = filter_failures(first, explained=False)
    notes = FailureNotes(home / "runs" / "acmnet")
    notes.set(str(shown.iloc[0]["key"]), ["theirs"])
    app.text_area(key="note.text").set_value("mine")
    again(next(b for b in app.button if b.label == "Save").click())
    assert notes.get(str(shown.iloc[0]["key"])) == Note(("theirs",), "mine")


def test_an_empty_workspace_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path)
    assert "no data set in this workspace" in app.info[0].value


def test_a_data_set_without_runs_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "alone", video=False)
    app = open_page(PAGE, tmp_path)
    assert "No run of this data set yet" in app.info[0].value


def test_a_run_without_detections_says_what_to_do(open_page: OpenPage, home: Path) -> None:
    (home / "runs" / "acmnet" / "detections.json").unlink()
    app = open_page(PAGE, home, run="acmnet")
    assert "has no detections yet" in app.error[0].value
    assert "wtal localize" in app.error[0].value


@pytest.mark.parametrize("file", ["run.yaml", "detections.json", "failures.json"])
def test_broken_files_are_sentences(open_page: OpenPage, home: Path, file: str) -> None:
    (home / "runs" / "acmnet" / file).write_text("{[")
    app = open_page(PAGE, home, run="acmnet")
    assert app.error
    assert "Traceback" not in app.error[0].value


def test_broken_annotations_are_sentences(open_page: OpenPage, home: Path) -> None:
    (home / "datasets" / "planted" / "annotations.json").write_text("{")
    assert open_page(PAGE, home, run="acmnet").error


def test_without_activations_and_without_videos(open_page: OpenPage, home: Path) -> None:
    (home / "runs" / "acmnet" / "activations.h5").unlink()
    shutil.rmtree(home / "datasets" / "planted" / "videos")
    app = open_page(PAGE, home, run="acmnet")
    assert cards(app)
    assert "/frame/" not in html(app)


def test_nothing_wrong(open_page: OpenPage, home: Path) -> None:
    truth = truth_of(home).segments
    perfect = Detections(truth.video, truth.label, truth.start, truth.end, [1.0] * len(truth))
    write_detections(perfect, home / "runs" / "acmnet" / "detections.json", format="activitynet")
    app = open_page(PAGE, home, run="acmnet")
    assert "every instance is found" in app.success[0].value


def test_filters_that_leave_nothing(open_page: OpenPage, home: Path) -> None:
    truth = truth_of(home).segments
    perfect = Detections(truth.video, truth.label, truth.start, truth.end, [1.0] * len(truth))
    keep = [i for i, label in enumerate(truth.label) if label == "Dive" or i % 2]
    write_detections(perfect[keep], home / "runs" / "acmnet" / "detections.json", format="activitynet")
    app = open_page(PAGE, home, run="acmnet")
    again(app.multiselect(key="of_class").set_value(["Dive"]))
    assert "No failure passes these filters" in app.info[0].value
