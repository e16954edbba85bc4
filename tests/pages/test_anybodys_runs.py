"""What somebody else's code said: activations of an unknown method, and detections alone, on every page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wtal_core as wtal
from tests.pages.conftest import OpenPage
from tests.pages.seen import texts
from tests.pages.test_explore import form, payload, scores, track
from wtal_core.records import Detections


@pytest.fixture
def foreign(home: Path) -> Path:
    """The workspace with a run of an unknown method, with steps of its training, and one of detections alone."""
    data = wtal.open_dataset(home / "datasets" / "planted")
    rng = np.random.default_rng(0)
    with wtal.start_run(home / "runs" / "cola", data=data, method="CoLA") as run:
        for video in data.videos("test"):
            cas = rng.random((40, len(data.classes)))
            for step in (10, 20):
                run.log(video, cas=cas * step, attention={"fg": cas[:, 0]}, step=step)
            run.log(video, cas=cas, attention={"fg": cas[:, 0]}, curves={"doubt": rng.random(40)},
                    masks={"easy": cas[:, 0] > 0.5})  # fmt: skip
    truth = data.annotations.subset("test").instances
    found = Detections(truth.video, truth.label, truth.start + 0.2, truth.end + 8.0, rng.random(len(truth)))
    with wtal.start_run(home / "runs" / "autoloc", data=data, method="AutoLoc") as run:
        run.log_detections(found)
    return home


def test_explore_shows_tracks_of_an_unknown_method_with_live_thresholds(open_page: OpenPage, foreign: Path) -> None:
    app = open_page("pages/explore.py", foreign, run="cola")
    header = payload(app)
    keys = {t["key"] for t in header["tracks"]}
    assert {"det:A", "cas:A", "attention:A", "doubt:A", "easy:A", "heat:A"} <= keys
    fields = {f["key"]: f for f in form(app)}
    assert {"track", "class_threshold", "thresholds", "suppression"} <= set(fields)
    assert "mAP %" in scores(app)
    before = len(track(header, "det:A")["items"])
    fewer = open_page("pages/explore.py", foreign, run="cola", **{"set.class_threshold": "1.0", "set.tiou": "0.1"})
    assert 0 < len(track(payload(fewer), "det:A")["items"]) < before
    assert not app.error
    assert not fewer.error


def test_explore_steps_through_a_training(open_page: OpenPage, foreign: Path) -> None:
    app = open_page("pages/explore.py", foreign, run="cola", step="10")
    assert app.select_slider(key="explore.step").value == 10
    first = track(payload(app), "cas:A")
    assert first["high"] == pytest.approx(10.0)
    app.select_slider(key="explore.step").set_value(20).run()
    assert track(payload(app), "cas:A")["high"] == pytest.approx(20.0)
    assert "step 20 of the training" in track(payload(app), "det:A")["note"]
    app.select_slider(key="explore.step").set_value(-1).run()
    assert track(payload(app), "cas:A")["high"] == pytest.approx(1.0)


def test_explore_shows_detections_alone(open_page: OpenPage, foreign: Path) -> None:
    app = open_page("pages/explore.py", foreign, run="autoloc")
    header = payload(app)
    items = track(header, "det:A")["items"]
    assert items
    assert all(item["near"]["tiou"] > 0 for item in items)
    assert not [t for t in header["tracks"] if t["key"].startswith("cas")]
    assert not app.error
    assert "activations" in texts(app)  # why there are no sliders


@pytest.mark.parametrize("run", ["cola", "autoloc"])
def test_failures_rank_them(open_page: OpenPage, foreign: Path, run: str) -> None:
    app = open_page("pages/failures.py", foreign, run=run)
    assert not app.error
    assert any("mAP@0.5" in e.proto.body for e in app.get("html"))
    kinds = app.session_state["kind"]
    assert kinds == []


@pytest.mark.parametrize("page", ["home", "figures", "train"])
def test_other_pages_take_them(open_page: OpenPage, foreign: Path, page: str) -> None:
    app = open_page(f"pages/{page}.py", foreign, run="cola,autoloc")
    assert not app.exception
    assert not app.error


def test_compare_puts_them_side_by_side(open_page: OpenPage, foreign: Path) -> None:
    app = open_page("pages/compare.py", foreign, run="cola,autoloc")
    assert app.multiselect(key="sets").value == ["runs/cola", "runs/autoloc"]
    assert not app.error
