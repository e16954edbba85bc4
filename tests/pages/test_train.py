"""Train without a browser: the form, what it starts, and what is shown of running, stopped and broken trainings."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import OpenPage
from tests.pages.seen import texts
from wtal_core.commands.requests import command_line
from wtal_core.files import write_json
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.trainings import start_training
from wtal_core.methods.form import config_of
from wtal_core.processes import identity
from wtal_core.runs.folder import Run
from wtal_core.settings import options
from wtal_core.training.options import TrainRequest

PAGE = "pages/train.py"


def field(app: AppTest, key: str) -> str:
    """Return the widget key of a setting."""
    found = [w.key for kind in ("text_input", "selectbox") for w in app.get(kind) if (w.key or "").endswith(f".{key}")]
    assert found, f"no field {key}"
    return str(found[0])


def show(app: AppTest, group: str) -> None:
    control = next(c for c in app.get("button_group") if (c.key or "").startswith("train.group."))
    control.set_value(group).run()
    assert not app.exception


def jobs(home: Path) -> list[Mapping[str, Any]]:
    return [job.request for job in Queue(home).jobs()]


# -- the form ---------------------------------------------------------------------------------------------------------


def test_every_setting_is_there_with_its_meaning_and_paper_value(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("hamnet").run()
    shown: set[str] = set()
    for group in ("network", "losses", "localization", "training", "run"):
        show(app, group)
        shown |= {(w.key or "").split(".thumos14.", 1)[-1] for kind in ("text_input", "selectbox")
                  for w in app.get(kind) if ".thumos14." in (w.key or "")}  # fmt: skip
        if group == "losses":
            said = texts(app)
            assert "weight lambda 0 of the base classification loss" in said
            assert "paper **0.8**" in said
            assert "≥ 0" in said
    assert {o.key for o in options(config_of("hamnet", "thumos14"))} <= shown
    assert {"run.precision", "run.checkpoint_every"} <= shown


def test_changes_are_summed_up_reset_and_started(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("acmnet").run()
    assert "Everything as in the preset" in texts(app)
    app.text_input(key=field(app, "training.steps")).set_value("300").run()
    app.text_input(key=field(app, "training.lr")).set_value("1e-3").run()
    assert "`training.lr` = **0.001**" in texts(app)
    app.text_input(key=field(app, "training.lr")).set_value("-1").run()
    assert "-1 is out of range; expected 0 <= value." in texts(app)
    assert "`training.lr` = **0.001**" in texts(app)  # what was refused changes nothing
    app.text_input(key=field(app, "training.momentum")).set_value("much").run()
    assert "'much' is not a number" in texts(app)
    app.button(key="train.undo.training.lr").click().run()
    assert "training.lr" not in texts(app)
    app.text_input(key="train.form.seeds").set_value("0-2").run()
    assert app.button(key="train.start").label == "Start 3 runs"
    assert "--set training.steps=300" in app.code[0].value
    app.button(key="train.start").click().run()
    assert not app.exception
    started = jobs(home)
    assert [request["out"] for request in started] == [f"runs/acmnet-2-seed{i}" for i in range(3)]
    assert [request.get("seed", 0) for request in started] == [0, 1, 2]
    assert all(request["set"] == {"training.steps": 300} for request in started)
    assert app.query_params["training"] == "runs/acmnet-2-seed0"
    assert all(job.cwd == str(home) for job in Queue(home).jobs())
    assert "queued" in texts(app)


def test_prefers_a_data_set_that_can_be_trained_on(open_page: OpenPage, home: Path) -> None:
    shutil.copytree(home / "datasets" / "planted", home / "datasets" / "aside")
    described = home / "datasets" / "aside" / "dataset.yaml"
    content = yaml.safe_load(described.read_text())
    described.write_text(yaml.safe_dump({**content, "name": "aside", "splits": {"test": content["splits"]["test"]}}))
    app = open_page(PAGE, home)
    assert list(app.selectbox(key="train.form.dataset").options) == ["aside", "planted"]
    assert app.selectbox(key="train.form.dataset").value == "datasets/planted"
    app = open_page(PAGE, home, data="aside")
    assert app.selectbox(key="train.form.dataset").value == "datasets/aside"
    assert "no split “train”" in texts(app)
    app.selectbox(key="train.form.dataset").set_value("datasets/planted").run()
    app.run()
    assert app.selectbox(key="train.form.dataset").value == "datasets/planted"
    app.query_params["data"] = "datasets/planted"
    app.run()
    app.query_params["data"] = "datasets/aside"  # a link followed later
    app.run()
    assert app.selectbox(key="train.form.dataset").value == "datasets/aside"


def test_nothing_starts_while_a_field_is_refused(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("acmnet").run()
    assert not app.button(key="train.start").disabled
    app.text_input(key=field(app, "training.steps")).set_value("abc").run()
    assert app.button(key="train.start").disabled
    assert "Cannot start while a field is refused. **steps**: 'abc' is not a number." in texts(app)
    app.text_input(key=field(app, "training.steps")).set_value("300").run()
    assert not app.button(key="train.start").disabled
    assert "refused" not in texts(app)
    app.text_input(key=field(app, "training.steps")).set_value("abc").run()
    show(app, "losses")
    show(app, "training")  # the field is new and holds the last good value
    assert app.text_input(key=field(app, "training.steps")).value == "300"
    assert "abc" not in texts(app)
    assert not app.button(key="train.start").disabled


def test_what_stands_in_the_way_is_said_before_the_start(open_page: OpenPage, home: Path) -> None:
    annotations = home / "datasets" / "planted" / "annotations.json"
    content = json.loads(annotations.read_text())
    for entry in content["database"].values():
        entry.get("tracks", {}).pop("static", None)
    content.pop("tracks", None)
    annotations.write_text(json.dumps(content))
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("cmcs").run()
    assert "has none" in texts(app)
    assert app.button(key="train.start").disabled
    app.button(key="train.remedy.Train without static clips").click().run()
    assert not app.button(key="train.start").disabled
    app.text_input(key="train.form.seeds").set_value("two").run()
    assert "'two' are not seeds." in texts(app)
    assert app.button(key="train.start").disabled
    app.text_input(key="train.form.seeds").set_value("2").run()
    for name in ("/etc/x", "../up", "runs/a b", "elsewhere/x"):
        app.text_input(key="train.form.name.cmcs").set_value(name).run()
        assert app.button(key="train.start").disabled, name
    app.text_input(key="train.form.name.cmcs").set_value("runs/hamnet").run()
    app.button(key="train.start").click().run()
    assert "holds a run already" in texts(app)
    assert jobs(home) == []


@pytest.mark.parametrize(
    "name", [".", "runs", "runs/.", "runs/.hidden", "runs/a/b/c/d/e", "runs/hamnet/inside", "runs/" + "歩" * 90]
)
def test_a_run_is_not_made_where_it_would_hide_others_or_not_be_found(
    open_page: OpenPage, home: Path, name: str
) -> None:
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("acmnet").run()
    app.text_input(key="train.form.name.acmnet").set_value(name).run()
    assert app.button(key="train.start").disabled
    assert "Choose another name" in texts(app) or "Begin the name" in texts(app)


def test_the_next_free_name_counts_those_that_wait(open_page: OpenPage, home: Path) -> None:
    for _ in range(3):
        app = open_page(PAGE, home)
        app.selectbox(key="train.form.method").set_value("acmnet").run()
        app.button(key="train.start").click().run()
        assert not app.error
    assert [Path(job.result).name for job in Queue(home).jobs()] == ["acmnet-2", "acmnet-3", "acmnet-4"]


def test_a_training_that_patience_ended_is_not_offered_to_be_resumed(open_page: OpenPage, home: Path) -> None:
    Run.open(home / "runs" / "hamnet").set_status("finished", step=20, steps=40)
    app = open_page(PAGE, home, training="hamnet")
    assert not any(button.key in ("train.resume", "train.again") for button in app.button)


def test_an_empty_workspace_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path)
    assert "A training needs a data set" in texts(app)
    assert "Trainings appear here" in texts(app)


# -- trainings --------------------------------------------------------------------------------------------------------


def test_a_finished_run_shows_losses_scores_and_settings(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, training="hamnet")
    assert [h.value for h in app.header] == ["hamnet"]
    assert "finished" in texts(app)
    assert len(app.get("plotly_chart")) >= 1
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    titles = [a["text"] for a in figure["layout"]["annotations"]]
    assert titles[:2] == ["total", "bcl"]
    assert {"sal", "ssal", "hal", "sparse", "guide"} <= set(titles)


def test_a_queued_training_can_be_taken_out(open_page: OpenPage, home: Path) -> None:
    job = start_training(
        TrainRequest("hamnet", "datasets/planted", "runs/later", device="cpu"), home=home, slot="cpu", cwd=home
    )
    app = open_page(PAGE, home, training=job.id)
    assert [h.value for h in app.header] == ["later"]
    app.button(key="train.cancel").click().run()
    assert job.status().state == "cancelled"
    assert "There is no training" in texts(app)


def test_a_crashed_training_shows_its_last_lines_and_resumes(open_page: OpenPage, home: Path) -> None:
    run = Run.open(home / "runs" / "hamnet")
    record = {**identity(), "process_start": "another time", "heartbeat": time.time()}
    write_json(run.folder / "status.json", {**record, "state": "running", "step": 5, "steps": 9})
    (run.folder / "worker.log").write_text("# wtal train\nstep 5\nKilled by <b>the kernel</b>\n")
    app = open_page(PAGE, home, training="hamnet")
    assert "crashed" in texts(app)
    assert "The process ended without saying why" in app.error[0].value
    assert any("Killed by" in c.value for c in app.code)
    app.button(key="train.resume").click().run()
    assert not app.exception
    (request,) = jobs(home)
    assert (request["command"], request["method"], request["resume"]) == ("train", "hamnet", True)
    assert "wtal train hamnet" in app.code[-1].value


def test_a_running_training_is_stopped_by_its_file(open_page: OpenPage, home: Path) -> None:
    run = Run.open(home / "runs" / "hamnet")
    run.set_status("running", step=5, steps=9, stage="train", eta_seconds=80.0, device="CPU")
    app = open_page(PAGE, home, training="hamnet")
    assert "running" in texts(app)
    app.button(key="train.stop").click().run()
    assert not app.exception
    assert (run.folder / "stop").exists()


def test_broken_run_folders_are_said_and_do_not_hide_the_others(open_page: OpenPage, home: Path) -> None:
    broken = home / "runs" / "broken"
    broken.mkdir()
    (broken / "run.yaml").write_text("method: [")
    (home / "runs" / "acmnet" / "status.json").write_text("[]")
    (home / "runs" / "cmcs" / "metrics.jsonl").write_text('{"kind": "losses", "losses": 7}\nnonsense\n')
    (home / "runs" / "cmcs" / "evaluation.json").write_text("[1]")
    for name, words in (("broken", "is not valid YAML"), ("acmnet", "is not a run status"), ("cmcs", "evaluation")):
        app = open_page(PAGE, home, training=name)
        assert words in texts(app)
        assert [h.value for h in app.header] == [name]
    app = open_page(PAGE, home, training="nowhere")
    assert "There is no training “nowhere”" in texts(app)


def test_a_name_that_several_runs_have_is_not_guessed(open_page: OpenPage, home: Path) -> None:
    shutil.copytree(home / "runs" / "hamnet", home / "datasets" / "planted" / "runs" / "hamnet")
    app = open_page(PAGE, home, training="hamnet")
    assert "may mean datasets/planted/runs/hamnet or runs/hamnet" in texts(app)
    app = open_page(PAGE, home, training="runs/hamnet")
    assert [h.value for h in app.header] == ["runs/hamnet"]
    app.button(key="train.open.datasets/planted/runs/hamnet").click().run()
    assert [h.value for h in app.header] == ["planted/hamnet"]
    app = open_page(PAGE, home, training="new")
    app.selectbox(key="train.form.method").set_value("hamnet").run()
    assert app.text_input(key="train.form.name.hamnet").placeholder == "runs/hamnet-2"


def test_what_is_shown_is_what_is_run(open_page: OpenPage, home: Path) -> None:
    """The words for a shell are made of the request that the job holds."""
    app = open_page(PAGE, home)
    app.selectbox(key="train.form.method").set_value("acmnet").run()
    app.text_input(key=field(app, "training.steps")).set_value("300").run()
    show(app, "run")
    app.text_input(key=field(app, "run.keep_activations")).set_value("50").run()
    said = app.code[0].value
    app.button(key="train.start").click().run()
    (job,) = Queue(home).jobs()
    assert said == command_line(job.request)
    assert job.request["keep_activations"] == 50


def test_a_job_that_cannot_be_read_is_said(open_page: OpenPage, home: Path) -> None:
    old = home / ".wtal" / "jobs" / "20250101-000000-000000-aaaa"
    old.mkdir(parents=True)
    write_json(old / "job.json", {"kind": "train", "arguments": ["train", "acn"]})
    app = open_page(PAGE, home)
    assert "is a job of an earlier version" in app.warning[0].value
