"""What is shipped in `assets/demo` is what the builder makes, and every run there follows from its weights.

Link by link: scripts give annotations and videos, videos give features, features give losses, and weights give
activations, detections and scores.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from wtal_core.cli import main  # noqa: E402
from wtal_core.data import open_features, read_annotations, read_detections  # noqa: E402
from wtal_core.data.dataset import Dataset  # noqa: E402
from wtal_core.demo.builder import BuildOptions, scripts_of  # noqa: E402
from wtal_core.demo.recipes import SHIPPED_SEED, VARIANTS  # noqa: E402
from wtal_core.demo.render import render_frames, render_video  # noqa: E402
from wtal_core.demo.training import run_info, train_variant  # noqa: E402
from wtal_core.demo.world import annotate, make_video, video_path  # noqa: E402
from wtal_core.records import Activations, Detections  # noqa: E402
from wtal_core.runs.folder import Run  # noqa: E402
from wtal_core.runs.scores import stored_evaluations  # noqa: E402
from wtal_core.settings import to_dict  # noqa: E402
from wtal_core.video.frames import FrameReader  # noqa: E402

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
OPTIONS = BuildOptions(seed=SHIPPED_SEED)
TEST = [script for script in scripts_of(OPTIONS) if script.subset == "test"]

pytestmark = pytest.mark.skipif(not (DEMO / "dataset.yaml").is_file(), reason="assets/demo is not in this checkout")


# -- the data set -------------------------------------------------------------------------------------------------


def test_size() -> None:
    size = sum(p.stat().st_size for p in DEMO.rglob("*") if p.is_file())
    assert size <= 40e6, f"{size / 1e6:.1f} MB"


def test_annotations_are_the_scripts() -> None:
    dataset = Dataset.open(DEMO)
    assert dataset.name == OPTIONS.name
    mined = json.loads((DEMO / "build.json").read_text())["mined"]
    made = annotate(scripts_of(OPTIONS), {video: [(a, b) for a, b in spans] for video, spans in mined.items()})
    kept = replace(read_annotations(DEMO / "annotations.json"), source="")
    assert (kept.classes, dict(kept.videos)) == (made.classes, dict(made.videos))
    assert kept.instances == made.instances
    assert dict(kept.tracks) == dict(made.tracks)
    for video in dataset.videos("test"):
        assert dataset.video_path(video) is not None
    assert (len(dataset.videos("train")), len(dataset.videos("test"))) == (36, 18)
    with dataset.store() as store:
        assert set(store.videos) == set(dataset.annotations.videos)


def test_a_video_is_rendered_again(tmp_path: Path) -> None:
    """The shortest video, rendered today, is the shipped file."""
    script = min(TEST, key=lambda script: script.frames)
    render_video(script, tmp_path / "again.mp4")
    shipped = video_path(DEMO, script.name)
    if (tmp_path / "again.mp4").read_bytes() == shipped.read_bytes():
        return
    # Another processor or build of x264 may round otherwise, which nobody sees.
    with FrameReader.open(tmp_path / "again.mp4") as made, FrameReader.open(shipped) as kept:
        assert made.num_frames == kept.num_frames
        for frames in np.array_split(np.arange(made.num_frames), 20):
            away = np.abs(made.read(frames).astype(np.int16) - kept.read(frames))
            assert away.mean() < 1.0, f"frames {frames[0]} to {frames[-1]}"


@pytest.mark.parametrize("number", range(0, 18, 3))
def test_videos_show_what_the_scripts_say(number: int) -> None:
    """Pictures drawn today from the script are those of the shipped file, but for what compression takes away."""
    script = TEST[number]
    size = script.width, script.height
    shots = list(zip(script.shots, script.starts(), strict=True))[number % 4 :: 8]
    with FrameReader.open(video_path(DEMO, script.name)) as reader:
        assert (reader.num_frames, reader.width, reader.height) == (script.frames, *size)
        for shot, first in shots:
            middle = shot.frames // 2
            drawn = next(islice(render_frames(replace(script, shots=(shot,), grain=0.0)), middle, None))
            kept = reader.read([first + middle])[0, ..., ::-1]
            away = np.abs(cv2.GaussianBlur(drawn.astype(np.float32) - kept, (0, 0), 1.5))
            # Compression and grain, softened: about 3 grey levels. A limb elsewhere differs by 50 to 150.
            assert away.mean() < 6, (script.name, shot.scene)
            assert np.quantile(away, 0.999) < 35, (script.name, shot.scene)


def test_features_are_those_of_the_shipped_videos() -> None:
    shortest = min(TEST, key=lambda script: script.frames)
    made = make_video(shortest, DEMO).features  # the file is there and complete: nothing is rendered
    assert made is not None
    with open_features(DEMO / "features" / "descriptors.h5") as store:
        kept = store.read(shortest.name)
    assert made.grid == kept.grid
    assert made.provenance == kept.provenance
    # Half precision keeps 11 bits; builds of FFmpeg and OpenCV may decode and compare frames a little differently.
    assert np.abs(made.data - kept.data).mean() < 2e-3
    assert np.quantile(np.abs(made.data - kept.data), 0.99) < 0.02


# -- the runs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped world without its videos, to write into: a data set and its runs in another place."""
    folder = tmp_path_factory.mktemp("assets") / "demo"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("*.mp4", "sheets"))
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_run_by_its_commands(name: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`wtal runs show`, `localize`, `infer` and `evaluate` open the run and give what is stored in it."""
    kept, folder = Run.open(DEMO / "runs" / name), copy / "runs" / name
    dataset = Dataset.open(copy)
    with dataset.store() as store:
        assert to_dict(kept.config()) == run_info(dataset, store, name).config  # by the recipe, by today's settings
    stored = read_detections(kept.detections_path)
    average = stored_evaluations(kept)[0]["average"]
    assert average > 0.1  # it localizes; chance is about 0.02

    assert main(["runs", "show", str(folder)]) == 0
    assert main(["localize", str(folder)]) == 0
    found = read_detections(folder / "detections.json")
    assert rows(found)[0] == rows(stored)[0]
    np.testing.assert_allclose(rows(found)[1], rows(stored)[1], atol=1e-6)

    assert main(["infer", str(folder), "--device", "cpu", "--quiet"]) == 0
    with kept.activations() as before, Run.open(folder).activations() as after:
        assert set(before.videos) == set(after.videos) == set(dataset.videos("test"))
        for video in before.videos:
            same_activations(before.read(video), after.read(video))
    # Another build of PyTorch rounds differently, which may move or drop a few of several hundred detections.
    assert len(read_detections(folder / "detections.json")) == pytest.approx(len(stored), rel=0.02, abs=2)

    capsys.readouterr()
    assert main(["evaluate", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["evaluations"][0]
    assert said["average"] == pytest.approx(average, abs=5e-3)


def rows(detections: Detections) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return (video, label) and (start, end, score) of all detections in one order."""
    columns = (detections.video, detections.label, detections.start, detections.end, detections.score)
    ordered = sorted(zip(*(c.tolist() for c in columns), strict=True))
    return [row[:2] for row in ordered], np.array([row[2:] for row in ordered])


def same_activations(stored: Activations, made: Activations) -> None:
    """Fail where two activations differ by more than half precision allows."""
    assert (stored.grid, stored.classes) == (made.grid, made.classes)
    assert list(stored.attention) == list(made.attention)
    pairs = {key: (value, made.attention[key]) for key, value in stored.attention.items()}
    for key in ("cas", "branch_cas", "drop_mask", "video_scores"):
        pairs[key] = getattr(stored, key), getattr(made, key)
    for key, (said, found) in pairs.items():
        assert (said is None) == (found is None), key
        if said is not None:
            np.testing.assert_allclose(found, said, atol=2e-3, rtol=2e-3, err_msg=key)
    assert (stored.boundaries is None) == (made.boundaries is None)


@pytest.mark.parametrize("name", ["cmcs", "deep_metric", "acn", "hamnet", "acmnet"])
def test_losses_come_again(name: str, tmp_path: Path) -> None:
    """The first steps of a training on the shipped features give the losses that the shipped run logged."""
    steps = {"head_training.steps": 20, "training.steps": 4} if name == "acn" else {"training.steps": 20}
    train_variant(DEMO, tmp_path / name, name, changes=steps)
    logged, again = (
        [m for m in run.metrics() if m["kind"] == "losses" and m["step"] <= 20]
        for run in (Run.open(DEMO / "runs" / name), Run.open(tmp_path / name))
    )
    assert [m["step"] for m in again[:3]] == [1, 10, 20]
    for first, second in zip(logged[:3], again, strict=False):
        assert (first["stage"], first["losses"].keys()) == (second["stage"], second["losses"].keys())
        for key, value in second["losses"].items():
            assert math.isclose(value, first["losses"][key], rel_tol=2e-3, abs_tol=1e-4), key


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_training_gives_the_shipped_run(name: str, tmp_path: Path) -> None:
    """A whole training on the shipped features ends in the shipped detections; other processors round otherwise."""
    train_variant(DEMO, tmp_path / name, name)
    kept, made = Run.open(DEMO / "runs" / name), Run.open(tmp_path / name)
    assert stored_evaluations(made)[0]["average"] == pytest.approx(stored_evaluations(kept)[0]["average"], abs=0.02)
    (pairs, numbers), (again, others) = (rows(read_detections(run.detections_path)) for run in (kept, made))
    if pairs == again:
        np.testing.assert_allclose(others, numbers, atol=1e-3)
