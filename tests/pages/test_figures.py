"""The Figures page without a browser: composing, saving, loading a spec, and what it says when things are wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'wtal[figures]'")

from tests.pages.conftest import OpenPage
from tests.pages.seen import texts
from tests.pages.workspace import forget_activations, make_dataset
from wtal_core.data import Dataset
from wtal_core.figures.spec import FigureSpec

PAGE = "pages/figures.py"


def spec(app: AppTest) -> FigureSpec:
    """Return the spec that the page offers for download."""
    return FigureSpec.parse(next(c.value for c in app.code if c.value.startswith("figure: 1")))


def preview(app: AppTest) -> str:
    found = [e.proto.body for e in app.get("html") if 'class="paper"' in e.proto.body]
    return found[0] if found else ""


def kinds(app: AppTest) -> list[str]:
    return [row.kind for row in spec(app).rows]


def test_composes_what_the_run_has(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="cmcs", video="test_024")
    assert not app.error
    assert kinds(app) == ["frames", "ground_truth", "detections", "cas", "branches"]
    assert 'style="width:4.8750in"' in preview(app), "150 % of 3.25 inches"
    made = spec(app)
    assert made.runs == {"CMCS": str(small_home / "runs" / "cmcs")}
    assert made.data == str(small_home / "datasets" / "planted")
    assert {b.label for b in app.get("download_button")} == {"PDF", "SVG", "PNG", "Spec"}
    curve = app.selectbox(key="fig.style").set_value("curve").run()
    assert spec(curve).style == "curve"
    assert not curve.error


def test_rows_move_go_and_come(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="hamnet", video="test_025")
    assert kinds(app) == ["ground_truth", "detections", "cas", "attention", "dropped"]
    app.button(key="fig.row.0.down").click().run()
    assert kinds(app)[:2] == ["detections", "ground_truth"]
    app.button(key="fig.row.2.drop").click().run()
    assert kinds(app) == ["detections", "ground_truth", "attention", "dropped"]
    assert "branches" not in app.selectbox(key="fig.add").options, "HAM-Net has no branches"
    app.selectbox(key="fig.add").set_value("heatmap").run()
    app.button(key="fig.add.go").click().run()
    assert kinds(app)[-1] == "heatmap"
    app.text_input(key="fig.row.1.title").set_value("Truth").run()
    assert spec(app).rows[1].title == "Truth"
    app.button(key="fig.reset").click().run()
    assert kinds(app) == ["ground_truth", "detections", "cas", "attention", "dropped"]
    assert not app.error


def test_looks_texts_window_and_marks(open_page: OpenPage, small_home: Path) -> None:
    app = open_page(PAGE, small_home, run="acmnet,hamnet", video="test_025", **{"from": "3", "to": "12"})
    assert spec(app).window == (3.0, 12.0), "the zoom of the link"
    app.slider(key="fig.window").set_value((4.0, 10.0)).run()
    app.selectbox(key="fig.width.kind").set_value("double").run()
    app.selectbox(key="fig.font").set_value("serif").run()
    app.selectbox(key="fig.verdicts").set_value(0.5).run()
    app.text_input(key="fig.title").set_value("(a) A dive").run()
    app.text_input(key="fig.name.runs/acmnet").set_value("Ours").run()
    app.text_input(key="fig.mark.text").set_value("here").run()
    app.button(key="fig.mark.add").click().run()
    made = spec(app)
    assert (made.window, made.width, made.font) == ((4, 10), "double", "serif")
    assert (made.verdicts, made.title) == (0.5, "(a) A dive")
    assert list(made.runs) == ["Ours", "HAM-Net"]
    assert [m.text for m in made.marks] == ["here"]
    assert "figure*" in next(c.value for c in app.code if "includegraphics" in c.value)
    app.button_group(key="fig.eyes").set_value("Greyscale").run()
    assert "lightness" in texts(app)
    assert not app.error
    app.selectbox(key="pick.video").set_value("test_026").run()
    assert spec(app).window is None, "a window belongs to its video"
    assert spec(app).marks == ()
    assert spec(app).width == "double", "a look belongs to the paper"


def test_a_spec_comes_back(open_page: OpenPage, small_home: Path) -> None:
    text = (
        "figure: 1\ndata: planted\nvideo: test_026\nruns: {Mine: runs/acmnet, Lost: runs/nowhere}\nstyle: curve\n"
        "width: 4.5\nwindow: [2, 9]\n"
        "rows: [ground_truth, {kind: detections, run: Mine, top: 2}, {kind: cas, run: Lost}]\n"
    )
    app = open_page(PAGE, small_home, run="hamnet", video="test_025")
    app.file_uploader(key="fig.load").set_value([("fig.yaml", text.encode(), "application/yaml")]).run()
    assert "run Lost" in texts(app)
    made = spec(app)
    assert (made.video, made.style, made.width, made.window) == ("test_026", "curve", 4.5, (2.0, 9.0))
    assert made.runs == {"Mine": str(small_home / "runs" / "acmnet")}
    assert [(r.kind, r.run, r.top) for r in made.rows] == [("ground_truth", "", 0), ("detections", "Mine", 2)]
    app.file_uploader(key="fig.load").set_value([("bad.yaml", b"figure: 1\nstile: curve", "application/yaml")]).run()
    assert "Did you mean" in texts(app)
    assert spec(app) == made, "a broken spec changes nothing"


def test_a_spec_finds_the_run_of_its_own_data_set_among_runs_of_one_name(open_page: OpenPage, home: Path) -> None:
    other = Dataset.open(shutil.copytree(home / "datasets" / "planted", home / "datasets" / "another"))
    replace(other, name="another").save()
    own = Path(shutil.copytree(home / "runs" / "acmnet", home / "datasets" / "planted" / "runs" / "acmnet"))
    first = home / "runs" / "acmnet" / "run.yaml"
    text = first.read_text().replace("name: planted", "name: another")
    first.write_text(text.replace("datasets/planted", "datasets/another"))
    spec_text = "figure: 1\ndata: /elsewhere/planted\nvideo: test_026\nruns: {Mine: /elsewhere/acmnet}\n"
    for dataset, folder in (("planted", own), ("another", first.parent)):
        app = open_page(PAGE, home, run="hamnet", video="test_025")
        given = spec_text.replace("planted", dataset).encode()
        app.file_uploader(key="fig.load").set_value([("fig.yaml", given, "application/yaml")]).run()
        assert spec(app).runs == {"Mine": str(folder)}


@pytest.mark.parametrize("window", [("100", "120"), ("27.49", "60")])
def test_a_link_to_a_time_that_the_video_does_not_have(
    open_page: OpenPage, small_home: Path, window: tuple[str, str]
) -> None:
    app = open_page(PAGE, small_home, run="acmnet", video="test_024", **{"from": window[0], "to": window[1]})
    assert preview(app)
    assert not app.error


def test_empty_workspace_teaches(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path)
    assert "wtal demo" in texts(app)
    assert not app.error


def test_without_runs_the_truth_is_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "planted", video=False)
    app = open_page(PAGE, tmp_path)
    assert "No run is chosen" in texts(app)
    assert kinds(app) == ["ground_truth"]
    assert preview(app)
    assert not app.error


def test_prefers_a_video_with_activations_and_says_where_there_are_none(open_page: OpenPage, home: Path) -> None:
    forget_activations(home / "runs" / "acmnet", ["test_024", "test_025"])
    app = open_page(PAGE, home, run="acmnet")
    assert spec(app).video == "test_026"
    assert "No activations" not in texts(app)
    app.selectbox(key="pick.video").set_value("test_025").run()
    assert "**No activations of test_025** by ACM-Net" in texts(app)
    assert not app.error


def test_broken_runs_are_sentences(open_page: OpenPage, home: Path) -> None:
    (home / "runs" / "acmnet" / "activations.h5").unlink()
    app = open_page(PAGE, home, run="acmnet", video="test_025")
    assert kinds(app) == ["ground_truth", "detections"]
    assert not app.error
    (home / "runs" / "hamnet" / "detections.json").write_text("{broken")
    app = open_page(PAGE, home, run="hamnet", video="test_025")
    assert "is not valid JSON" in texts(app)
    assert "Traceback" not in texts(app)
    (home / "runs" / "cmcs" / "activations.h5").write_bytes(b"not HDF5")
    app = open_page(PAGE, home, run="cmcs", video="test_025")
    assert app.error
    (home / "datasets" / "planted" / "videos" / "test_024.mp4").write_bytes(b"not a video")
    app = open_page(PAGE, home, run="acmnet", video="test_024")
    assert app.error, "a broken video is told"
    assert "Traceback" not in texts(app)
