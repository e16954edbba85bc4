"""Runs of anybody's method: logged by a script, from several processes, interrupted, or read from files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtal_core as wtal
from wtal_core.cli import main
from wtal_core.data.dataset import Dataset
from wtal_core.data.importing import ImportRequest, import_dataset
from wtal_core.errors import DataError, UsageError
from wtal_core.records import Boundaries, Detections, Trace, View
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import localizer_of
from wtal_core.runs.pipeline import localize
from wtal_core.runs.predictions import import_predictions
from wtal_core.runs.scores import stored_evaluations
from wtal_core.training.planted import CLASSES, World, make_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set without features: what somebody has who trains elsewhere."""
    folder = tmp_path_factory.mktemp("data") / "set"
    world: World = make_world(num_train=2, num_test=4)
    source = folder.parent / "truth.json"
    wtal.write_annotations(world.annotations, source, format="activitynet")
    splits = {"train": ("training",), "test": ("test",)}
    import_dataset(ImportRequest(folder=folder, annotations=source, splits=splits), quiet=True)
    return folder


def cas_of(dataset: Dataset, video: str, length: int = 50) -> np.ndarray:
    """A CAS that knows the truth, with a background channel."""
    duration = dataset.annotations.videos[video].duration or 1.0
    centres = (np.arange(length) + 0.5) * duration / length
    cas = np.full((length, len(dataset.classes) + 1), -4.0, dtype=np.float32)
    for row in dataset.annotations.instances.for_video(video):
        inside = (centres >= row.start) & (centres < row.end)
        cas[inside, dataset.classes.index(row.label)] = 4.0
    return cas


def log_all(folder: Path, data: Path, videos: tuple[str, ...] | None = None, **more: Any) -> Run:
    dataset = wtal.open_dataset(data)
    with wtal.start_run(folder, data=data, method="CoLA", **more) as run:
        for video in videos or dataset.videos("test"):
            run.log(video, cas=cas_of(dataset, video), attention={"fg": np.linspace(0, 1, 50)})
    return Run.open(folder)


def test_two_lines_in_a_test_loop_make_a_run_with_a_score(tmp_path: Path, data: Path) -> None:
    run = log_all(tmp_path / "cola", data)
    assert (run.info.method, run.status()["state"], run.info.classes) == ("CoLA", "finished", CLASSES)
    assert not run.method_known
    (scored,) = stored_evaluations(run)
    assert scored["mean_ap"]["0.5"] > 0.9  # it knew the truth
    with run.activations() as store:
        acts = store.read(store.videos[0])
    assert acts.grid.end_seconds == pytest.approx(acts.grid.duration)  # spread over the video
    assert acts.video_scores.max() == pytest.approx(4.0)
    fewer = localize(run, {"class_threshold": 1.0, "tiou": 0.3})
    assert len(fewer) > 0
    assert json.loads((run.folder / "localization.json").read_text())["tiou"] == 0.3
    assert localizer_of(run).generic


def test_everything_but_the_video_is_optional(tmp_path: Path, data: Path) -> None:
    dataset = wtal.open_dataset(data)
    one, two, three, _ = dataset.videos("test")
    view = View("doubt", "Doubt", (Trace("doubt"),))
    with wtal.start_run(tmp_path / "r", data=dataset, views=(view,), notes="mine") as run:
        assert run.log(one, attention={"fg": np.ones(9)})
        assert not run.log(one, attention={"fg": np.zeros(9)})  # what is there is kept
        assert run.log(two, detections=[(CLASSES[0], 1.0, 2.0, 0.5)])
        assert run.log(
            three, curves={"doubt": [0.0, 1.0]}, masks={"easy": [True, False]}, maps={"heat": np.ones((2, 3))},
            branches={"heads": np.ones((4, 2, 3))}, embedding=np.ones((2, 7)), scalars={"t": 2.0},
            proposals={"p": Boundaries.of([0], [1], np.ones((1, 3)))}, cas=np.ones((2, 3)), video_scores=[3, 2, 1],
        )  # fmt: skip
        run.log(one, curves={"doubt": np.ones(9)}, step=10)
        run.log_metrics(10, loss=1.5, mAP=0.25)
    done = Run.open(tmp_path / "r")
    assert done.views == (view,)
    with done.activations() as store:
        assert set(store.videos) == {one, three}
        kinds = {name: track.kind for name, track in store.read(three).tracks.items()}
    assert kinds == {"doubt": "curve", "easy": "mask", "heads": "branches", "t": "scalar", "p": "proposals"}
    assert done.kept_steps() == (10,)
    assert [line["kind"] for line in done.metrics()] == ["losses", "validation"]
    assert wtal.read_detections(done.detections_path).video.tolist() == [two]


def test_an_interrupted_run_goes_on_and_others_may_write_too(tmp_path: Path, data: Path) -> None:
    dataset = wtal.open_dataset(data)
    videos = dataset.videos("test")

    def faulty() -> None:
        with wtal.start_run(tmp_path / "r", data=data, method="CoLA") as run:
            run.log(videos[0], cas=cas_of(dataset, videos[0]), detections=[(CLASSES[0], 1, 2, 0.5)])
            raise KeyError("a fault of the loop")

    with pytest.raises(KeyError):
        faulty()
    assert Run.open(tmp_path / "r").status()["state"] == "failed"
    with pytest.raises(UsageError, match="holds a run already"):
        wtal.start_run(tmp_path / "r", data=data, method="CoLA")
    with pytest.raises(UsageError, match="another method"):
        wtal.start_run(tmp_path / "r", data=data, method="other", resume=True)
    with (
        wtal.start_run(tmp_path / "r", data=data, method="CoLA", resume=True) as first,
        wtal.start_run(tmp_path / "r", data=data, method="CoLA", resume=True) as second,
    ):
        assert first.has(videos[0])
        first.log(videos[1], cas=cas_of(dataset, videos[1]))
        second.log(videos[2], cas=cas_of(dataset, videos[2]), detections=[(CLASSES[1], 3, 4, 0.5)])
    with Run.open(tmp_path / "r").activations() as store:
        assert set(store.videos) == set(videos[:3])
    assert set(wtal.read_detections(tmp_path / "r" / "detections.json").video) == {videos[0], videos[2]}


def test_a_script_without_torch_can_log(tmp_path: Path, data: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, wtal_core as wtal\n"
        f"data = wtal.open_dataset({str(data)!r})\n"
        f"with wtal.start_run({str(tmp_path / 'r')!r}, data=data, method='mine') as run:\n"
        "    for video in data.videos('test'):\n"
        "        run.log(video, cas=np.random.rand(20, 3), attention={'a': np.random.rand(20)})\n"
        f"print(wtal.open_run({str(tmp_path / 'r')!r}).evaluate().num_detections)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


@pytest.mark.parametrize(
    ("logged", "match"),
    [
        ({"cas": np.ones((5, 9))}, "wrong shape"),
        ({"cas": np.full((5, 3), np.nan)}, "not finite"),
        ({"scalars": {"t": 1.0}, "curves": {}}, "how many snippets"),
        ({"detections": [("jump", 1.0)]}, "are not rows"),
        ({"detections": Detections("elsewhere", [CLASSES[0]], [0], [1], [1])}, "of other videos"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, data: Path, logged: dict[str, Any], match: str) -> None:
    video = wtal.open_dataset(data).videos("test")[0]
    run = wtal.start_run(tmp_path / "r", data=data)
    with pytest.raises((DataError, UsageError), match=match):
        run.log(video, **logged)
    with pytest.raises((DataError, UsageError), match=r"Did you mean|unknown video"):
        run.log(f"{video}x", cas=np.ones((5, 3)))


def test_snippets_need_a_place_in_time(tmp_path: Path) -> None:
    run = wtal.start_run(tmp_path / "r", classes=("a", "b"))
    with pytest.raises(UsageError, match=r"SnippetGrid\.preset"):
        run.log("v", cas=np.ones((5, 2)))
    run.log("v", cas=np.ones((5, 2)), grid=wtal.SnippetGrid.preset("i3d-25fps-16", 5))


# -- from files -----------------------------------------------------------------------------------------------------


def test_files_of_arrays_and_detections_become_a_run(tmp_path: Path, data: Path) -> None:
    dataset = wtal.open_dataset(data)
    (tmp_path / "cas").mkdir()
    for video in dataset.videos("test"):
        np.savez(tmp_path / "cas" / f"{video}.npz", **{
            "cas": cas_of(dataset, video), "attention.fg": np.ones(50), "doubt": np.ones(50), "easy": np.ones(50, bool),
        })  # fmt: skip
    arguments = [str(tmp_path / "cas"), "--data", str(data), "--name", "CoLA", "--out", str(tmp_path / "run")]
    assert main(["runs", "import", *arguments]) == 0
    run = Run.open(tmp_path / "run")
    assert run.info.method == "CoLA"
    assert stored_evaluations(run)[0]["mean_ap"]["0.5"] > 0.9
    with run.activations() as store:
        assert {t.kind for t in store.read(store.videos[0]).tracks.values()} == {"curve", "mask"}
    assert main(["localize", str(tmp_path / "run"), "--set", "thresholds=[0.5,0.6]", "suppression=soft"]) == 0
    together = {f"{v}/{k}": a for v in dataset.videos("test") for k, a in (("cas", cas_of(dataset, v)),)}
    np.savez(tmp_path / "all.npz", **together, classes=np.array(CLASSES))
    again = import_predictions([tmp_path / "all.npz", run.activations_path], tmp_path / "again", data=dataset)
    with again.activations() as store:
        assert store.videos == tuple(sorted(dataset.videos("test")))


def test_detections_alone_make_a_run(tmp_path: Path, data: Path) -> None:
    dataset = wtal.open_dataset(data)
    rows = dataset.annotations.subset("test").instances
    found = Detections(rows.video, rows.label, rows.start, rows.end, np.ones(len(rows)))
    wtal.write_detections(found, tmp_path / "perfect.json", format="activitynet")
    assert (
        main(["runs", "import", str(tmp_path / "perfect.json"), "--data", str(data), "--out", str(tmp_path / "r")]) == 0
    )
    run = wtal.open_run(tmp_path / "r")
    assert run.evaluate().average == 1.0
    assert not len(run.failures())
    with pytest.raises(DataError, match="no activations"):
        run.activations("v")


def test_names_that_do_not_fit_are_said_before_anything_is_kept(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "v_elsewhere.npz", cas=np.ones((5, 3)))
    arguments = [str(tmp_path / "v_elsewhere.npz"), "--data", str(data), "--out", str(tmp_path / "r")]
    assert main(["runs", "import", *arguments]) == 1
    assert "1 of 1 videos are not in the data set" in capsys.readouterr().err
    assert not (tmp_path / "r" / "run.yaml").exists()


def test_published_detections_open_as_a_run(shared: Path, tmp_path: Path) -> None:
    """AutoLoc's on THUMOS14's ground truth: failures are ranked, as for a run that was trained here."""
    folder = tmp_path / "thumos14"
    import_dataset(ImportRequest(folder=folder, annotations=shared / "data" / "thumos14_official_txt"), quiet=True)
    file = shared / "data" / "autoloc_thumos14_detections" / "thumos14_detections.json"
    run = import_predictions([file], tmp_path / "r", data=Dataset.open(folder), method="AutoLoc")
    failures = wtal.open_run(run.folder).failures(tiou=0.5)
    assert len(failures) > 1000
    assert failures["cost"].is_monotonic_decreasing
