"""A method of somebody else's package on every page, with no line of the app changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outside import NAME, SETTINGS, install, installed
from tests.pages.conftest import OpenPage
from tests.pages.seen import html, texts
from tests.pages.test_explore import form, payload, track
from tests.pages.workspace import make_dataset
from wtal_core.cli import main
from wtal_core.data import Dataset, read_detections
from wtal_core.evaluation import GroundTruthIndex, evaluate
from wtal_core.figures.spec import FigureSpec
from wtal_core.jobs.queue import Queue

TITLE = "ProbeNet (Authors, venue year)"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a run of an installed method, and a method's file beside it."""
    home = tmp_path_factory.mktemp("outside")
    with installed(install(home / "site")):
        dataset = make_dataset(home / "datasets" / "planted", video=False)
        words = ["train", NAME, "--data", str(dataset.folder), "--out", str(home / "runs" / "mine"), "--device", "cpu"]
        assert main([*words, "--quiet", "--set", *SETTINGS]) == 0
        assert main(["methods", "new", "beside_net", "--out", str(home)]) == 0
        yield home


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)


def test_train_offers_it_with_its_settings(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/train.py", outside)
    assert NAME in app.selectbox(key="train.form.method").options
    app.selectbox(key="train.form.method").set_value(NAME).run()
    assert not app.exception
    assert TITLE in texts(app)
    app.get("button_group")[0].set_value("network").run()
    assert "channels of the embedding" in texts(app)


def test_train_takes_a_class_by_its_path(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/train.py", outside)
    app.selectbox(key="train.form.method").set_value("other …").run()
    assert "Name the class" in texts(app)
    app.text_input(key="train.form.other").set_value("beside_net:Nothing").run()
    assert "no such class" in texts(app)
    app.text_input(key="train.form.other").set_value("beside_net:BesideNet").run()
    assert not app.exception
    assert "BesideNet (Authors, venue year)" in texts(app)
    app.button(key="train.start").click().run()
    assert not app.exception
    request = Queue(outside).jobs()[-1].request
    assert (request["method"], request["out"]) == ("beside_net:BesideNet", "runs/besidenet")


def test_train_shows_the_training_that_was(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/train.py", outside, training="mine")
    assert TITLE in texts(app)


def test_explore_shows_its_tracks_and_moves_its_thresholds(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/explore.py", outside, run="mine")
    header = payload(app)
    assert [s["name"] for s in track(header, "attention:A")["series"]] == ["attention"]
    assert track(header, "cas:A")["series"]
    found = track(header, "det:A")["items"]
    assert found
    fields = {field["key"]: field for field in form(app)}
    assert fields["class_threshold"]["value"] == 0.5
    strict = payload(open_page("pages/explore.py", outside, run="mine", **{"set.thresholds": "0.9"}))
    assert track(strict, "det:A")["items"] != found


def test_failures_ranks_its_mistakes(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/failures.py", outside, run="mine")
    assert not app.error
    assert "mAP@0.5" in html(app)
    assert 'class="fail-head"' in html(app)


def test_compare_sets_it_beside_others(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/compare.py", outside, sets="mine")
    assert not app.error
    assert app.multiselect(key="sets").value == ["runs/mine"]
    truth = GroundTruthIndex(Dataset.open(outside / "datasets" / "planted").annotations, "test")
    score = evaluate(read_detections(outside / "runs" / "mine" / "detections.json"), truth, matches=False)
    assert f"{100 * score.mean_ap[0.5]:.1f}<" in html(app)


def test_figures_draws_its_rows(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/figures.py", outside, run="mine")
    assert not app.error
    spec = FigureSpec.parse(next(c.value for c in app.code if c.value.startswith("figure: 1")))
    assert spec.runs == {"mine": str(outside / "runs" / "mine")}
    assert [row.kind for row in spec.rows] == ["ground_truth", "detections", "cas", "attention"]
    assert 'class="paper"' in html(app)


def test_home_lists_it(open_page: OpenPage, outside: Path) -> None:
    app = open_page("pages/home.py", outside)
    assert not app.error
    assert "mine" in {link.proto.label.strip("*") for link in app.get("page_link")}
