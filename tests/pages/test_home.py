"""Home without a browser: what is here, what to do next, and workspaces with nothing or broken things in them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import jobs
from tests.pages.conftest import OpenPage
from tests.pages.seen import html, texts
from wtal_core.files import write_json
from wtal_core.jobs.queue import Queue
from wtal_core.processes import identity
from wtal_core.workspace import Workspace

PAGE = "pages/home.py"


def links(app: AppTest) -> dict[str, str]:
    """Return `{label: page?query}` of the page links."""
    return {
        link.proto.label.strip("*"): f"{link.proto.page}?{link.proto.query_string}" for link in app.get("page_link")
    }


def test_data_sets_runs_and_next_steps(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home)
    said, led = texts(app), links(app)
    assert "**planted**" in said
    assert "instances of 3 classes" in html(app)
    assert "1 with a file" in html(app)
    assert {"hamnet", "acmnet", "cmcs"} <= set(led)
    assert led["hamnet"] == "explore?data=datasets%2Fplanted&run=runs%2Fhamnet"
    best = next(label for label in led if label.startswith("See where"))
    assert "cmcs" in best
    assert led["Compare 3 runs on planted"].startswith("compare?run=runs%2Fcmcs%2Cruns%2F")


def test_one_is_not_counted_as_many(open_page: OpenPage, home: Path) -> None:
    file = home / "datasets" / "planted" / "annotations.json"
    content = json.loads(file.read_text())
    first = True
    for entry in content["database"].values():
        entry["annotations"] = entry["annotations"][:1] if first and entry["annotations"] else []
        first = first and not entry["annotations"]
    file.write_text(json.dumps(content))
    app = open_page(PAGE, home)
    assert "1 instance of 3 classes" in html(app)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (119, "1 min"), (1440, "24 min"), (7000, "1 h"), (90000, "25 h"),
     (200000, "2 days")],
)  # fmt: skip
def test_how_long_ago_is_said_in_one_unit(seconds: float, said: str) -> None:
    assert jobs.ago(seconds) == f"{said} ago"


def test_an_empty_workspace_teaches(open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    app = open_page(PAGE, tmp_path)
    assert "This workspace is empty" in texts(app)
    assert links(app)["Import your data"] == "data?tool=import"
    assert any("wtal demo" in c.value for c in app.code)
    next(b for b in app.button if b.label == "Do it in the background").click().run()
    assert not app.exception
    (job,) = Queue(tmp_path).jobs()
    assert job.request == {"command": "demo build", "small": True, "out": "datasets/demo"}
    assert job.cwd == str(tmp_path)
    assert "Running now" in texts(app)


def test_runs_without_their_data_set_are_listed_and_say_what_they_lack(
    open_page: OpenPage, home: Path, small_home: Path
) -> None:
    shutil.rmtree(home / "datasets")
    app = open_page(PAGE, home)
    said, led = texts(app), links(app)
    assert {"hamnet", "acmnet", "cmcs"} <= set(led)
    assert "This workspace is empty" not in said
    assert "runs of the data set planted, and the data set is not in this workspace" in said
    assert led["Data"] == "data?tool=import"
    assert led["Add the data set of your runs"] == "data?tool=import"
    # The runs were trained on a folder that still is there.
    next(b for b in app.button if b.label == "Add it").click().run()
    assert not app.exception
    assert "not in this workspace" not in texts(app)
    assert "**planted**" in texts(app)
    assert Workspace(home).registered() == (small_home / "datasets" / "planted",)


def test_what_is_broken_comes_first_and_hides_nothing(open_page: OpenPage, home: Path) -> None:
    run = home / "runs" / "hamnet"
    write_json(run / "status.json", {**identity(), "process_start": "before", "state": "running", "step": 3, "steps": 9,
                                     "heartbeat": time.time()})  # fmt: skip
    bad = home / "datasets" / "<b>bad"
    bad.mkdir()
    (bad / "dataset.yaml").write_text("name: [")
    (home / "runs" / "torn").mkdir()
    (home / "runs" / "torn" / "run.yaml").write_text("")
    (home / "runs" / "acmnet" / "evaluation.json").write_text("{")
    app = open_page(PAGE, home)
    said, led = texts(app), links(app)
    assert "Cannot be read" in said
    assert "crashed" in said
    assert list(led)[list(led).index("Resume hamnet")] == "Resume hamnet"
    assert any(label.startswith("Repair") for label in led)
    assert {"torn", "cmcs", "acmnet"} <= set(led)


def test_a_data_set_without_features_is_led_to_extraction(open_page: OpenPage, home: Path) -> None:
    shutil.rmtree(home / "runs")
    shutil.rmtree(home / "datasets" / "planted" / "features")
    (home / "datasets" / "planted" / "dataset.yaml").write_text(
        "name: planted\nsplits: {train: [training], test: [test]}\n"
    )
    app = open_page(PAGE, home)
    assert links(app)["Give planted features"].startswith("data?tool=extract")
    assert "No runs yet" in texts(app)
