"""Explore without a browser: what it tells the timeline, what controls do, and what it says when things are wrong."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import OpenPage
from tests.pages.seen import press, texts
from tests.pages.workspace import forget_activations, give_crops, make_dataset
from wtal_core.cli import main
from wtal_core.data import Dataset, FeatureWriter
from wtal_core.runs.folder import Run

PAGE = "pages/explore.py"


def payload(app: AppTest) -> dict[str, Any]:
    found = [c.proto for c in app.get("bidi_component") if c.proto.component_name == "wtal_timeline"]
    assert len(found) == 1, "the page shows one timeline"
    header: dict[str, Any] = json.loads(found[0].bytes)
    return header


def form(app: AppTest) -> list[dict[str, Any]]:
    found = [c.proto for c in app.get("bidi_component") if c.proto.component_name == "wtal_live_controls"]
    assert len(found) == 1, "the page shows the controls once"
    fields: list[dict[str, Any]] = json.loads(found[0].json)["fields"]
    return fields


def track(header: dict[str, Any], key: str) -> dict[str, Any]:
    by_key = {t["key"]: t for t in header["tracks"]}
    assert key in by_key, f"no track {key}, but {sorted(by_key)}"
    return by_key[key]


def scores(app: AppTest) -> str:
    """Return the table of the split's mAP, without the time it took."""
    found = [e.proto.body for e in app.get("html") if 'class="scores"' in e.proto.body]
    assert len(found) == 1
    return re.sub(r"\d+ ms", "", found[0])


def test_shows_truth_detections_and_what_the_method_sees(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="hamnet")
    header = payload(app)
    assert header["subject"] == "datasets/planted/test_024"
    assert header["video"]["url"].startswith("/video/datasets/planted/test_024?v=")
    assert header["duration"] == pytest.approx(27.5, abs=0.2)
    assert [i["label"] for i in track(header, "gt")["items"]] == ["Dive"]
    found = track(header, "det:A")
    assert found["items"]
    assert all(i["verdict"] in ("tp", "fp") for i in found["items"])
    assert [s["name"] for s in track(header, "attention:A")["series"]] == ["soft", "semi-soft", "hard"]
    assert track(header, "dropped:A")["spans"]
    assert track(header, "heat:A")["names"] == ["Dive", "Jump", "Throw", "background"]
    assert app.query_params == {
        "run": "runs/hamnet", "data": "datasets/planted", "video": "test_024", "class": "Dive",
    }  # fmt: skip


def test_each_method_shows_what_is_its_own(open_page: OpenPage, small_home: Path) -> None:
    header = payload(open_page(PAGE, small_home, run="cmcs,acmnet,hamnet", video="test_025"))
    assert [s["name"] for s in track(header, "branches:A")["series"]] == [f"branch {k}" for k in (1, 2, 3, 4)]
    assert {s["name"] for s in track(header, "extra:B")["series"]} == {
        "instance",
        "context",
        "background",
        "unattended",
    }
    area = track(header, "area:B")
    assert area["kind"] == "area"
    assert area["hidden"], "the curves of runs that do not lead start hidden"
    assert [t["title"] for t in header["tracks"] if t["kind"] == "detections"] == ["cmcs", "acmnet", "hamnet"]


def test_explains_every_detection(open_page: OpenPage, small_home: Path) -> None:
    header = payload(open_page(PAGE, small_home, run="acmnet"))
    items = track(header, "det:A")["items"]
    best = items[0]
    assert best["source"] in ("cas", "attention")
    assert best["threshold"] > 0
    assert best["inner"] > best["outer"], "the best detection stands out from what surrounds it"
    assert best["outer_start"] <= best["start"] < best["end"] <= best["outer_end"]
    assert best["near"]["tiou"] > 0.5
    assert best["verdict"] == "tp"
    assert any(i["num_rivals"] for i in items), "some detection suppressed rivals"


def test_a_threshold_changes_detections_and_split_map(open_page: OpenPage, small_home: Path) -> None:
    before = payload(open_page(PAGE, small_home, run="hamnet"))
    app = open_page(PAGE, small_home, run="hamnet", **{"set.class_threshold": "0.9"})
    after = payload(app)
    assert after["rev"] != before["rev"]
    assert len(track(after, "det:A")["items"]) < len(track(before, "det:A")["items"])
    assert len(track(after, "stored:A")["items"]) == len(track(before, "det:A")["items"])
    html = "".join(e.proto.body for e in app.get("html"))
    assert 'data-changes="1"' in html
    assert 'class="down"' in html, "a class threshold of 0.9 costs mAP against the stored run"
    shown = {f["key"]: f for f in form(app)}["class_threshold"]
    assert (shown["value"], shown["stored"]) == (0.9, 0.2)


def test_controls_come_from_the_settings(open_page: OpenPage, small_home: Path) -> None:
    fields = {f["key"]: f for f in form(open_page(PAGE, small_home, run="hamnet"))}
    assert (fields["class_threshold"]["low"], fields["class_threshold"]["high"]) == (0, 1)
    assert "classes kept" in fields["class_threshold"]["help"]
    assert "Paper: 0.1" in fields["class_threshold"]["help"]
    assert fields["suppression"]["choices"] == ["soft", "hard", "none"]
    assert fields["plus_one"]["kind"] == "toggle"
    assert fields["thresholds"]["value"] == pytest.approx([0.1, 0.9, 10])
    assert fields["lens.gamma"]["stored"] == 0.2


def test_the_drop_threshold_moves_dropped_snippets_and_no_detection(open_page: OpenPage, small_home: Path) -> None:
    stored = payload(open_page(PAGE, small_home, run="hamnet"))
    header = payload(open_page(PAGE, small_home, run="hamnet", **{"lens.gamma": "0.9"}))
    assert track(header, "dropped:A")["title"] != track(stored, "dropped:A")["title"]
    assert track(header, "attention:A")["limits"][0]["value"] > track(stored, "attention:A")["limits"][0]["value"]
    assert track(header, "det:A") == track(stored, "det:A")


def test_soft_suppression_is_explained(open_page: OpenPage, small_home: Path) -> None:
    items = track(payload(open_page(PAGE, small_home, run="hamnet")), "det:A")["items"]
    lowered = [i for i in items if i.get("lowered_by")]
    assert lowered
    assert all(i["soft"] and abs(i["score"]) <= abs(i["raw_score"]) for i in lowered)


def test_a_link_with_settings_of_another_method_says_so(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="hamnet", **{"set.dilation": "2"})
    assert "do not fit this run" in texts(app)
    assert track(payload(app), "det:A")["items"]


@pytest.mark.parametrize("text", ["2020-13-45", "[" * 5000, "9" * 5000, "!!timestamp x"])
def test_a_mangled_setting_in_a_link_is_passed_over(open_page: OpenPage, small_home: Path, text: str) -> None:
    app = open_page(PAGE, small_home, run="hamnet", **{"set.class_threshold": text})
    assert not app.error
    assert track(payload(app), "det:A")["items"]


def test_a_link_restores_thresholds_time_and_zoom(open_page: OpenPage, small_home: Path) -> None:
    link = {"run": "hamnet", "video": "test_026", "t": "5.5", "from": "2", "to": "9.25", "tiou": "0.3"}
    link |= {"protocol": "thumos14", "lens.gamma": "0.35"}
    app = open_page(PAGE, small_home, **link, **{"set.class_threshold": "0.4"})
    header = payload(app)
    assert header["subject"] == "datasets/planted/test_026"
    assert header["start"] == {"t": 5.5, "from": 2.0, "to": 9.25}
    assert header["tiou"] == 0.3
    shown = {f["key"]: f["value"] for f in form(app)}
    assert (shown["class_threshold"], shown["lens.gamma"]) == (0.4, 0.35)
    assert next(s for s in app.selectbox if s.label == "Protocol").value == "thumos14"
    assert {key: app.query_params[key] for key in link} == {**link, "run": "runs/hamnet"}


def test_keeping_makes_a_run_folder_that_leaves_the_first_alone(open_page: OpenPage, home: Path) -> None:
    first = (home / "runs" / "hamnet" / "detections.json").read_bytes()
    app = open_page(PAGE, home, run="hamnet", **{"set.class_threshold": "0.5"})
    next(b for b in app.button if b.label == "Keep as new run").click().run()
    assert not app.exception
    new = Run.open(home / "runs" / "hamnet-2")
    assert new.config().localization.class_threshold == 0.5
    assert "class_threshold=0.5" in new.info.notes
    assert new.checkpoints() == ("last",)
    assert (home / "runs" / "hamnet" / "detections.json").read_bytes() == first
    assert (home / "runs" / "hamnet-2" / "detections.json").read_bytes() != first
    assert app.query_params["run"] == "runs/hamnet-2,runs/hamnet"


def open_tab(app: AppTest, name: str) -> AppTest:
    app.session_state["explore.tab"] = name
    app.run()
    assert not app.exception, [e.value for e in app.exception]
    return app


def test_asking_the_model_again_says_device_and_time(open_page: OpenPage, small_home: Path) -> None:
    app = open_tab(open_page(PAGE, small_home, run="hamnet"), "Recompute")
    next(b for b in app.button if b.label == "This video").click().run()
    assert not app.exception
    assert "test_024:" in texts(app)
    assert " ms on CPU" in texts(app) or " s on CPU" in texts(app)
    stored = [s for s in track(payload(app), "cas:A")["series"] if s["ghost"]]
    assert [s["name"] for s in stored] == ["before"]
    press(app, "Back to the stored activations")
    assert not any(s["ghost"] for s in track(payload(app), "cas:A")["series"])


def test_a_whole_split_is_asked_beside_the_page(open_page: OpenPage, small_home: Path) -> None:
    app = open_tab(open_page(PAGE, small_home, run="hamnet"), "Recompute")
    next(s for s in app.slider if s.label == "Drop threshold γ").set_value(0.6).run()
    press(app, "Whole test split")
    job = app.session_state["wtal.work"].get("explore.split")
    if job is not None:
        job.job.wait(20)
        app.run()
    assert not app.exception
    assert "6 videos:" in texts(app)
    assert "gamma=0.6" in texts(app)
    assert not app.session_state["wtal.work"], "the answer was taken"


def now(header: dict[str, Any]) -> dict[str, Any]:
    """Return what tells the leading run's answer apart: its detections, what they say they are, dropped spans."""
    found = track(header, "det:A")
    return {"note": found["note"], "items": found["items"], "dropped": track(header, "dropped:A")["spans"]}


def test_another_crop_checkpoint_and_drop_threshold(open_page: OpenPage, home: Path) -> None:
    give_crops(home / "datasets" / "planted")
    weights = home / "runs" / "hamnet" / "checkpoints"
    shutil.copy(weights / "last.pt", weights / "best.pt")
    app = open_tab(open_page(PAGE, home, run="hamnet"), "Recompute")
    stored = now(payload(app))
    crop = app.selectbox(key="explore.crop.datasets/planted")
    assert crop.options == ["mean of 3", "crop 1", "crop 2", "crop 3"]
    crop.set_value(0).run()
    press(app, "This video")
    first = now(payload(app))
    assert first["note"].startswith("last, crop 1 · ")
    assert first["items"] == stored["items"], "the first crop is what the run was made from"
    app.selectbox(key="explore.crop.datasets/planted").set_value(2).run()
    press(app, "This video")
    third = now(payload(app))
    assert [i["score"] for i in third["items"]] != [i["score"] for i in first["items"]]
    app.selectbox(key="explore.checkpoint.runs/hamnet").set_value("best").run()
    app.slider(key="explore.lens.gamma.runs/hamnet").set_value(0.9).run()
    press(app, "This video")
    assert "(best, crop 3, gamma=0.9)" in texts(app)
    weaker = now(payload(app))
    assert weaker["items"] == third["items"], "what is dropped counts in training only"
    assert weaker["dropped"] != third["dropped"]
    open_tab(app, "Post-processing")
    assert {f["key"]: f["value"] for f in form(app)}["lens.gamma"] == 0.9


def test_two_sessions_that_ask_again_see_their_own_answers(open_page: OpenPage, home: Path) -> None:
    give_crops(home / "datasets" / "planted")
    arrays = []
    for crop in (1, 2):
        app = open_tab(open_page(PAGE, home, run="acmnet"), "Recompute")
        app.selectbox(key="explore.crop.datasets/planted").set_value(crop).run()
        press(app, "This video")
        arrays.append(payload(app)["body"])
    assert arrays[0] != arrays[1], "the second session is shown what the first one asked"


def test_ground_truth_that_is_edited_while_the_server_runs_is_seen(open_page: OpenPage, home: Path) -> None:
    before = open_page(PAGE, home, run="hamnet")
    file = home / "datasets" / "planted" / "annotations.json"
    content = json.loads(file.read_text())
    gone = content["database"].pop("test_029")
    assert gone["subset"] == "test"
    for video in content["database"].values():
        for row in video["annotations"]:
            row["segment"] = [row["segment"][0], row["segment"][0] + 0.05]
    file.write_text(json.dumps(content))
    after = open_page(PAGE, home, run="hamnet")
    assert "test_029" not in str(after.selectbox(key="pick.video").options)
    assert "5 videos" in scores(after)
    assert scores(after) != scores(before)
    assert {i["verdict"] for i in track(payload(after), "det:A")["items"]} == {"fp"}


def test_a_model_that_works_at_a_coarser_step_is_asked_as_inference_did(open_page: OpenPage, home: Path) -> None:
    run = home / "runs" / "cmcs"
    stride = Dataset.open(home / "datasets" / "planted").store().grid("test_024").stride
    info = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(info.replace("sample_rate: 0.0", f"sample_rate: {2 * stride}"))
    assert main(["infer", str(run), "--quiet"]) == 0
    assert main(["localize", str(run)]) == 0
    app = open_tab(open_page(PAGE, home, run="cmcs"), "Recompute")
    stored = payload(app)
    press(app, "This video")
    again = payload(app)
    assert again["num_snippets"] == stored["num_snippets"]
    assert track(again, "det:A")["items"] == track(stored, "det:A")["items"]


def test_features_of_another_extractor_are_not_asked_about(open_page: OpenPage, home: Path) -> None:
    path = home / "datasets" / "planted" / "features" / "planted.h5"
    with Dataset.open(home / "datasets" / "planted").store() as store:
        features = [store.read(video) for video in store.videos]
    path.unlink()
    with FeatureWriter(path, dtype="float32") as writer:
        for one in features:
            writer.write(replace(one, provenance=replace(one.provenance, extractor="another")))
    run = home / "runs" / "hamnet" / "run.yaml"
    run.write_text(re.sub(r"extractor: .*", "extractor: the-first", run.read_text()))
    app = open_tab(open_page(PAGE, home, run="hamnet"), "Recompute")
    assert "another extractor" in texts(app)
    assert not any(b.label == "This video" for b in app.button)


def test_a_split_asked_again_is_kept_with_its_activations(open_page: OpenPage, home: Path) -> None:
    give_crops(home / "datasets" / "planted")
    app = open_tab(open_page(PAGE, home, run="hamnet"), "Recompute")
    assert next(b for b in app.button if b.label == "Keep as new run").disabled
    app.selectbox(key="explore.crop.datasets/planted").set_value(2).run()
    app.slider(key="explore.lens.gamma.runs/hamnet").set_value(0.6).run()
    press(app, "Whole test split")
    job = app.session_state["wtal.work"].get("explore.split")
    if job is not None:
        job.job.wait(20)
        app.run()
    assert "6 videos:" in texts(app)
    shown = payload(app)
    press(app, "Keep as new run")
    first, new = Run.open(home / "runs" / "hamnet"), Run.open(home / "runs" / "hamnet-2")
    assert "asked again with last, crop 3, gamma=0.6" in new.info.notes
    assert new.config().gamma == 0.6
    assert not new.activations_path.samefile(first.activations_path)
    kept = payload(open_page(PAGE, home, run="hamnet-2"))
    assert track(kept, "det:A")["items"] == track(shown, "det:A")["items"]
    assert track(kept, "dropped:A")["spans"] == track(shown, "dropped:A")["spans"]


def test_erased_snippets_are_asked_about_once_and_come_back(open_page: OpenPage, small_home: Path) -> None:
    from pages.ui.explore.view import Erased

    app = open_page(PAGE, small_home, run="hamnet")
    app.session_state["explore.erased"] = Erased("datasets/planted/test_024", ((0.0, 6.4),))
    open_tab(app, "Recompute")
    header = payload(app)
    assert header["erased"] == [[0.0, 6.4]]
    assert track(header, "stored:A")["items"]
    assert "10 snippets erased" in texts(app)
    before = app.session_state["explore.erased"]
    app.run()
    assert app.session_state["explore.erased"] is before, "the model is asked once"
    press(app, "Bring them back")
    assert payload(app)["erased"] == []


def test_a_wrong_changed_setting_is_said_with_the_nearest_name(open_page: OpenPage, small_home: Path) -> None:
    app = open_tab(open_page(PAGE, small_home, run="hamnet"), "Recompute")
    next(t for t in app.text_input if t.label == "Changed settings").set_value("gama=0.3").run()
    next(b for b in app.button if b.label == "This video").click().run()
    assert not app.exception
    assert "gamma" in texts(app)


def test_devices_are_shown_by_name_the_fastest_first(
    open_page: OpenPage, small_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.ui.explore import recompute

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device=None: f"Imagined GPU {device.index}")
    recompute._devices.clear()
    try:
        app = open_tab(open_page(PAGE, small_home, run="hamnet"), "Recompute")
        device = next(s for s in app.selectbox if s.label == "Device")
        assert [o.split(",")[0] for o in device.options] == [
            "Imagined GPU 0 (cuda:0)", "Imagined GPU 1 (cuda:1)", "CPU"
        ]  # fmt: skip
        assert device.value == "cuda:0"
    finally:
        recompute._devices.clear()


def test_a_run_that_was_not_asked_about_a_video_can_be_asked(open_page: OpenPage, home: Path) -> None:
    for file in ("activations.h5", "detections.json"):
        (home / "runs" / "hamnet" / file).unlink()
    app = open_tab(open_page(PAGE, home, run="hamnet"), "Recompute")
    assert "not been asked about this video" in texts(app)
    assert track(payload(app), "gt")["items"]
    press(app, "This video")
    assert track(payload(app), "det:A")["items"]
    assert "not been asked" not in texts(app)


def test_the_class_goes_with_the_video(open_page: OpenPage, small_home: Path) -> None:
    rows = Dataset.open(small_home / "datasets" / "planted").annotations.instances
    app = open_page(PAGE, small_home, run="hamnet", video="test_024")
    assert payload(app)["label"] == "Dive"
    other = next(v for v in app.selectbox(key="pick.video").options if "Dive" not in rows.for_video(v).label)
    app.selectbox(key="pick.video").set_value(other).run()
    assert payload(app)["label"] in rows.for_video(other).label
    app.selectbox(key="pick.label").set_value("Dive").run()
    assert payload(app)["label"] == "Dive", "any class may be looked at"
    app.selectbox(key="pick.video").set_value("test_024").run()
    assert payload(app)["label"] == "Dive"


def test_a_link_may_name_a_tiou_between_the_usual_ones(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="hamnet", tiou="0.75")
    assert payload(app)["tiou"] == 0.75
    assert app.selectbox(key="explore.tiou").value == 0.75


def test_opens_on_a_run_that_has_what_the_page_shows(open_page: OpenPage, home: Path) -> None:
    def opened(page: str) -> str:
        return str(open_page(f"pages/{page}.py", home).multiselect(key="pick.runs").value[0])

    pages = ("explore", "figures", "failures")
    assert [opened(page) for page in pages] == ["runs/acmnet"] * 3
    (home / "runs" / "acmnet" / "activations.h5").unlink()
    assert [opened(page) for page in pages] == ["runs/cmcs"] * 3, "another run lacks nothing"
    for name in ("cmcs", "hamnet"):
        (home / "runs" / name / "detections.json").unlink()
    assert [opened(page) for page in pages] == ["runs/cmcs", "runs/cmcs", "runs/acmnet"]
    for name in ("cmcs", "hamnet"):
        (home / "runs" / name / "activations.h5").unlink()
    assert opened("explore") == "runs/acmnet", "detections are more than nothing"


def test_opens_on_a_video_that_the_run_has_seen_and_says_what_others_lack(open_page: OpenPage, home: Path) -> None:
    forget_activations(home / "runs" / "hamnet", ["test_024"])
    app = open_page(PAGE, home, run="hamnet")
    assert app.query_params["video"] == "test_025"
    assert "no activations" not in texts(app)
    assert "not been asked" not in texts(app)
    assert app.selectbox(key="pick.video").options[:2] == ["test_024 · no CAS", "test_025"]
    app.selectbox(key="pick.video").set_value("test_024").run()
    assert "not been asked about this video" in texts(app)  # its features are there
    features = home / "datasets" / "planted" / "features" / "planted.h5"
    with Dataset.open(home / "datasets" / "planted").store() as store:
        rest = [store.read(video) for video in store.videos if video != "test_024"]
    features.unlink()
    with FeatureWriter(features, dtype="float32") as writer:
        for one in rest:
            writer.write(one)
    app.run()
    assert "hamnet has no activations of this video" in texts(app)
    assert "Extract or import them on the Data page" in texts(app)
    assert track(payload(app), "gt")["items"]


def test_missing_features_are_said_where_the_model_would_be_asked(open_page: OpenPage, home: Path) -> None:
    (home / "datasets" / "planted" / "features" / "planted.h5").unlink()
    app = open_tab(open_page(PAGE, home, run="hamnet"), "Recompute")
    assert "features of this data set cannot be read" in texts(app)
    header = payload(app)
    assert header["erasable"] is False
    assert track(header, "det:A")["items"], "what is stored is shown all the same"


def test_a_video_that_browsers_do_not_play_comes_with_the_way_out(open_page: OpenPage, home: Path) -> None:
    from tests.video.clips import write_clip

    write_clip(home / "datasets" / "planted" / "videos" / "test_025.avi", 40, fps=10, codec="mpeg4")
    video = payload(open_page(PAGE, home, run="hamnet", video="test_025"))["video"]
    assert video["url"] == ""
    assert "avi" in video["problem"]
    assert video["offer"] == "Make a browser copy"
    (home / "datasets" / "planted" / "videos" / "test_024.mp4").write_bytes(b"nothing")
    broken = payload(open_page(PAGE, home, run="hamnet", video="test_024"))["video"]
    assert (broken["url"], broken["offer"]) == ("", "")
    assert "cannot be read" in broken["problem"]


def test_a_data_set_folder_may_be_the_home(open_page: OpenPage, small_home: Path) -> None:
    header = payload(open_page(PAGE, small_home / "datasets" / "planted"))
    assert header["subject"] == "planted/test_024"
    assert track(header, "gt")["items"]


def test_teaches_when_the_workspace_is_empty(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path)
    assert "no data set in this workspace" in texts(app)
    assert not app.get("bidi_component")


def test_works_without_a_video_file(open_page: OpenPage, small_home: Path) -> None:
    header = payload(open_page(PAGE, small_home, run="hamnet", video="test_027"))
    assert header["video"]["url"] == ""
    assert "no file of this video" in header["video"]["problem"]
    assert header["duration"] > 10


def test_works_without_a_run(open_page: OpenPage, small_home: Path, tmp_path: Path) -> None:
    shutil.copytree(small_home / "datasets", tmp_path / "datasets")
    app = open_page(PAGE, tmp_path)
    header = payload(app)
    assert track(header, "gt")["items"]
    assert not [t for t in header["tracks"] if t["kind"] == "detections"]
    assert "Choose a run" in texts(app)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("run.yaml", "method: [", "YAML"),
        ("activations.h5", "nonsense", "activations.h5"),
        ("run.yaml", "method: hamnet\nconfig: {}\n", "complete"),
    ],
)
def test_a_broken_run_is_a_sentence(open_page: OpenPage, home: Path, file: str, content: str, said: str) -> None:
    (home / "runs" / "hamnet" / file).write_text(content, encoding="utf-8")
    app = open_page(PAGE, home, run="hamnet,cmcs")
    assert app.error, "the broken run is said"
    assert said in app.error[0].value
    assert [t["title"] for t in payload(app)["tracks"] if t["kind"] == "detections"] == ["cmcs"]


def test_a_link_to_what_is_gone_says_so(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="vanished", video="nowhere", data="elsewhere")
    assert len(app.warning) >= 2
    assert "elsewhere" in texts(app)
    assert payload(app)["subject"].startswith("datasets/planted/")


def test_a_link_of_an_earlier_version_still_leads_there(open_page: OpenPage, home: Path) -> None:
    """Those name a run and a data set by the last part of their paths; settings and time of the link stay."""
    link = {"data": "planted", "run": "hamnet,acmnet", "video": "test_025", "t": "3", "set.class_threshold": "0.4"}
    app = open_page(PAGE, home, **link)
    assert not app.warning
    now = {"data": "datasets/planted", "run": "runs/hamnet,runs/acmnet"}
    assert {key: app.query_params[key] for key in link} == {**link, **now}
    assert app.multiselect(key="pick.runs").options == ["acmnet", "cmcs", "hamnet"]


def test_a_neighbour_of_the_same_name_changes_no_link(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, run="runs/hamnet", video="test_025")
    before = payload(app)
    shutil.copytree(home / "runs" / "hamnet", home / "datasets" / "planted" / "runs" / "hamnet")
    again = open_page(PAGE, home, run="runs/hamnet", video="test_025")
    assert track(payload(again), "det:A")["items"] == track(before, "det:A")["items"]
    assert {"planted/hamnet", "runs/hamnet"} <= set(again.multiselect(key="pick.runs").options)
    app = open_page(PAGE, home, run="hamnet", video="test_025")
    (warning,) = app.warning
    assert "“hamnet”, which may mean datasets/planted/runs/hamnet or runs/hamnet" in warning.value


def test_a_link_to_a_run_of_another_data_set_says_so(open_page: OpenPage, home: Path) -> None:
    make_dataset(home / "datasets" / "other", video=False)
    app = open_page(PAGE, home, data="other", run="hamnet")
    assert "“runs/hamnet”, which is of another data set" in texts(app)


def test_a_run_may_have_a_comma_in_its_name(open_page: OpenPage, home: Path) -> None:
    shutil.copytree(home / "runs" / "hamnet", home / "runs" / "march, 3rd")
    app = open_page(PAGE, home, run="runs/march%2C 3rd,runs/acmnet", video="test_025")
    assert not app.warning
    assert app.query_params["run"] == "runs/march%2C 3rd,runs/acmnet"
    assert [t["title"] for t in payload(app)["tracks"] if t["kind"] == "detections"] == ["march, 3rd", "acmnet"]
