"""Data without a browser: checking, previewing, explaining, importing and extracting, and what broken input says."""

from __future__ import annotations

import errno
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.ui import errors, file_input
from tests.pages.conftest import OpenPage
from tests.pages.seen import html, press, texts
from tests.pages.workspace import give_crops
from wtal_core.data import Dataset, read_detections
from wtal_core.errors import UsageError
from wtal_core.jobs.job import Job
from wtal_core.jobs.queue import Queue
from wtal_core.methods import create_method
from wtal_core.runs.folder import Run

PAGE = "pages/data.py"


def switch(app: AppTest, key: str, value: str) -> None:
    next(c for c in app.get("button_group") if c.key == key).set_value(value).run()
    assert not app.exception


def queued(home: Path) -> list[Job]:
    return Queue(home).jobs()


# -- check ------------------------------------------------------------------------------------------------------------


def test_several_crops_are_told(open_page: OpenPage, home: Path) -> None:
    assert "<dt>crops</dt>" not in html(open_page(PAGE, home, tool="check"))
    give_crops(home / "datasets" / "planted", 4)
    assert "<dt>crops</dt><dd>4</dd>" in html(open_page(PAGE, home, tool="check"))
    assert "32 in each of 4 crops" in html(open_page(PAGE, home, tool="snippets"))


def test_a_data_set_is_examined(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, tool="check")
    assert app.header[0].value in ("Healthy", "Not fit for training")
    assert "instances" in texts(app)
    assert "<dd>3</dd>" in html(app)  # classes


def test_findings_are_grouped_with_the_way_out(open_page: OpenPage, home: Path) -> None:
    folder = home / "datasets" / "planted"
    content = json.loads((folder / "annotations.json").read_text())
    content["database"]["never_extracted"] = {
        "subset": "training", "duration": 20, "annotations": [{"label": "Dive", "segment": [1, 30]}]
    }  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(content))
    app = open_page(PAGE, home, tool="check")
    assert app.header[0].value == "Not fit for training"
    titles = " ".join(e.label for e in app.expander)
    assert "**features missing**] · 1" in titles
    assert "**beyond duration**] · 1" in titles
    table = next(d.value for d in app.dataframe if "planted: never_extracted" in d.value["where"].tolist())
    assert "Extract or convert them" in table["what to do"].tolist()[0]


@pytest.mark.parametrize("text", ["name: [", "", "name: x\nsplits: {train: [training]}\nsurprise: 1\n"])
def test_a_broken_data_set_is_said(open_page: OpenPage, home: Path, text: str) -> None:
    (home / "datasets" / "planted" / "dataset.yaml").write_text(text)
    app = open_page(PAGE, home, tool="check")
    assert len(app.error) >= 1
    assert "dataset.yaml" in texts(app)


def test_large_features_are_examined_in_the_background(
    open_page: OpenPage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wtal_core.data import doctor

    monkeypatch.setattr(doctor, "total_bytes", lambda read: 2**40)
    app = open_page(PAGE, home, tool="check")
    press(app, "Examine")
    (job,) = queued(home)
    assert job.request == {"command": "data doctor", "dataset": str(home / "datasets" / "planted"), "json": True}
    assert "Waiting on files" in texts(app)


def test_an_empty_workspace_teaches_and_offers_the_import(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path)
    assert "There is no data set in this workspace yet" in texts(app)
    assert any(t.label == "Annotations" for t in app.text_input)
    for tool in ("check", "snippets", "extract", "static"):
        assert "There is no data set" in texts(open_page(PAGE, tmp_path, tool=tool))


# -- snippets ---------------------------------------------------------------------------------------------------------


def test_a_snippet_is_shown_against_its_frames(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, tool="snippets", video="test_024")
    box = next(n for n in app.number_input if n.label.startswith("Snippet"))
    box.set_value(3).run()
    shown = html(app)
    assert "/frame/datasets/planted/test_024?t=1.920" in shown  # snippet 3 of 16 frames at 25 fps
    assert "48 – 63 of the 25 fps clock" in shown
    assert "snippet **3** · 0:01.92 – 0:02.56" in texts(app)
    press(app, "Next")
    assert "64 – 79 of the 25 fps clock" in html(app)
    press(app, "Last")
    press(app, "Next")  # stays on the last one
    assert f"snippet **{int(box.max)}**" in texts(app)


def test_without_a_file_the_numbers_stand_alone(open_page: OpenPage, home: Path) -> None:
    shutil.rmtree(home / "datasets" / "planted" / "videos")
    app = open_page(PAGE, home, tool="snippets", video="test_024")
    assert "no file of this video" in texts(app)
    assert "<img" not in html(app)


def test_without_features_there_are_no_snippets(open_page: OpenPage, home: Path) -> None:
    folder = home / "datasets" / "planted"
    shutil.rmtree(folder / "features")
    (folder / "dataset.yaml").write_text("name: planted\nsplits: {train: [training], test: [test]}\n")
    assert "no features yet" in texts(open_page(PAGE, home, tool="snippets"))


# -- explain ----------------------------------------------------------------------------------------------------------


def test_any_file_is_explained(open_page: OpenPage, home: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clip_rgb.npy", np.random.default_rng(0).random((52, 1024), dtype=np.float32))
    app = open_page(PAGE, home, tool="explain")
    app.text_input(key="data.explain.path").set_value(str(tmp_path / "clip_rgb.npy")).run()
    assert app.header[0].value == "Features"
    assert "52 snippets, 1024 channels" in html(app)
    for name, content in (("empty.json", b""), ("noise.dat", bytes(range(256)))):
        (tmp_path / name).write_bytes(content)
        app.text_input(key="data.explain.path").set_value(str(tmp_path / name)).run()
        assert not app.exception
        assert len(app.error) == 1, name
    (tmp_path / "evil.pkl").write_bytes(b"\x80\x04c__main__\nx\n.")
    app.text_input(key="data.explain.path").set_value(str(tmp_path / "evil.pkl")).run()
    assert "it was not loaded" in texts(app)
    app.text_input(key="data.explain.path").set_value(str(tmp_path / "nowhere")).run()
    assert "does not exist" in texts(app)


# -- import -----------------------------------------------------------------------------------------------------------


def test_a_data_set_is_imported_in_the_background(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, tool="import")
    truth = home / "datasets" / "planted" / "annotations.json"
    app.text_input(key="data.annotations.path").set_value(str(truth)).run()
    app.text_input(key="data.name").set_value("../escape").run()
    assert "is not a folder name" in texts(app)
    app.text_input(key="data.name").set_value("planted").run()
    assert "is a data set already" in texts(app)
    app.text_input(key="data.name").set_value("mine").run()
    app.text_input(key="data.features.path").set_value("datasets/planted/features/planted.h5").run()
    app.selectbox(key="data.grid").set_value("i3d-25fps-16").run()
    app.checkbox(key="data.complete").check().run()
    app.text_input(key="data.splits").set_value("train=training test=test").run()
    press(app, "Import")
    (job,) = queued(home)
    assert job.request == {
        "command": "data import", "folder": str(home / "datasets" / "mine"), "annotations": str(truth),
        "features": [str(home / "datasets/planted/features/planted.h5")], "foreign": {"grid": "i3d-25fps-16"},
        "only_with_features": True, "splits": ["train=training", "test=test"],
    }  # fmt: skip
    assert job.slot == "files"  # does not wait for a training


def test_official_weights_become_a_run(open_page: OpenPage, home: Path, tmp_path: Path) -> None:
    method = create_method("cmcs", num_classes=3, feature_dim=32)
    state = method.state_dict()
    torch.save({o: state[n] for o, n in method.official_names().items()}, tmp_path / "official.pt")
    app = open_page(PAGE, home, tool="import")
    switch(app, "data.import", "Official weights")
    app.selectbox(key="data.weights.method").set_value("cmcs").run()
    app.text_input(key="data.weights.path").set_value(str(tmp_path / "official.pt")).run()
    press(app, "Import")
    assert "shape" in app.error[0].value  # THUMOS14 has 20 classes
    app.text_input(key="data.weights.classes").set_value("").run()
    app.selectbox(key="data.weights.dataset").set_value("planted").run()
    press(app, "Import")
    assert "cmcs-official is a run now" in texts(app)
    assert Run.open(home / "runs" / "cmcs-official").info.notes == "official weights from official.pt"
    (job,) = queued(home)
    assert job.request == {"command": "infer", "folder": str(home / "runs" / "cmcs-official"), "split": "test"}


def test_detections_are_checked_against_the_data_set(open_page: OpenPage, home: Path, tmp_path: Path) -> None:
    rows = ["video,label,start,end,score", "test_024,Dive,1,2,0.5", "test_24,Dive,1,2,0.5", "test_025,Dance,1,2,0.4"]
    (tmp_path / "theirs.csv").write_text("\n".join(rows))
    app = open_page(PAGE, home, tool="import")
    switch(app, "data.import", "Detections")
    app.text_input(key="data.detections.path").set_value(str(tmp_path / "theirs.csv")).run()
    said = texts(app)
    assert "1 of 3 videos are not in the data set" in said
    assert "test\\_024" in said or "test_024" in said
    assert "1 of 2 classes are not in the data set" in said
    assert "<dd>1 of 3</dd>" in html(app)
    press(app, "Import")
    run = Run.open(home / "runs" / "theirs")
    assert run.info.method == "theirs"
    assert read_detections(run.detections_path).video.tolist() == ["test_024", "test_025"]
    press(app, "Import")
    assert "holds a run already" in texts(app)


def test_a_name_with_dots_is_kept_whole(open_page: OpenPage, home: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.v1.csv").write_text("video,label,start,end,score\ntest_024,Dive,1,2,0.5\n")
    app = open_page(PAGE, home, tool="import")
    switch(app, "data.import", "Detections")
    app.text_input(key="data.detections.path").set_value(str(tmp_path / "ours.v1.csv")).run()
    press(app, "Import")
    assert (home / "runs" / "ours.v1" / "detections.json").is_file()


@pytest.mark.parametrize("text", ["a" * 5000, "~nobody-of-this-name/x", "a" + chr(0) + "b"])
def test_a_path_that_cannot_be_is_a_sentence(open_page: OpenPage, home: Path, text: str) -> None:
    app = open_page(PAGE, home, tool="explain")
    app.text_input(key="data.explain.path").set_value(text).run()
    assert "does not exist" in texts(app)


def test_uploads_that_fail_half_way_or_share_a_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTAL_HOME", str(home))

    class File(io.BytesIO):
        def __init__(self, name: str, content: bytes) -> None:
            super().__init__(content)
            self.name = name

    content = b"x" * 1000
    written = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        written(self, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            file_input._saved([File("a.csv", content)])
    assert file_input._saved([File("a.csv", content)]).read_bytes() == content
    with pytest.raises(UsageError, match="same name"):
        file_input._saved([File("a b.csv", b"1"), File("a_b.csv", b"2")])
    long = file_input._saved([File("動画" * 100 + ".json", b"{}")])
    assert long.suffix == ".json"
    assert long.read_bytes() == b"{}"


def test_a_full_disk_is_not_called_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(errors.st, "error", lambda text, **_: said.append(text))
    errors.show_error(OSError(errno.ENOSPC, "No space left on device", "/data/a_b"))
    assert said == [r"/data/a\_b: No space left on device."]


def test_folders_are_registered_and_taken_off(open_page: OpenPage, small_home: Path, tmp_path: Path) -> None:
    app = open_page(PAGE, tmp_path, tool="import")
    switch(app, "data.import", "A folder that is one")
    app.text_input(key="data.register").set_value(str(tmp_path / "nowhere")).run()
    press(app, "Add")
    assert "is not a folder" in texts(app)
    app.text_input(key="data.register").set_value(str(small_home)).run()
    press(app, "Add")
    assert "Added" in texts(app)
    app = open_page(PAGE, tmp_path, tool="check")
    assert app.header[0].value in ("Healthy", "Not fit for training")


# -- extract ----------------------------------------------------------------------------------------------------------


def test_extraction_is_queued_and_its_features_are_listed(open_page: OpenPage, home: Path) -> None:
    folder = home / "datasets" / "planted"
    app = open_page(PAGE, home, tool="extract")
    assert "Videos with a file: 1 of 30." in texts(app)
    press(app, "Extract")
    (job,) = queued(home)
    assert (job.request["command"], job.request["videos"]) == ("extract", [str(folder)])
    assert job.request["out"] == str(folder / "features" / "descriptors.h5")
    assert job.slot == job.request["device"]
    press(app, "Extract")
    assert "a job that makes it is queued already" in texts(app)
    Queue(home).cancel(job)
    (folder / "dataset.yaml").write_text(
        "name: planted\nsplits: {train: [training], test: [test]}\nfeatures: [features/planted.h5]\n"
    )
    shutil.copy(folder / "features" / "planted.h5", folder / "features" / "descriptors.h5")
    app = open_page(PAGE, home, tool="extract")
    press(app, "List it")
    assert Dataset.open(folder).feature_names == ("planted", "descriptors")


def test_static_clips_are_mined_in_the_background(open_page: OpenPage, home: Path) -> None:
    app = open_page(PAGE, home, tool="static")
    assert next(b for b in app.button if b.label == "Mine static clips").disabled  # no training video has a file
    app.selectbox(key="data.static.split.datasets/planted").set_value("test").run()
    press(app, "Mine static clips")
    (job,) = queued(home)
    assert job.request == {
        "command": "data static", "dataset": str(home / "datasets" / "planted"), "split": "test", "rho": 25.0,
    }  # fmt: skip
