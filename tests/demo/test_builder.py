"""The builder: deterministic, resumable, and the shipped assets are what it makes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wtal_core.data import open_features, read_annotations, read_detections
from wtal_core.data.dataset import Dataset
from wtal_core.demo.builder import BuildOptions, build, scripts_of
from wtal_core.demo.descriptors import appearance, appearance_pooling, motion, motion_pooling
from wtal_core.demo.recipes import SHIPPED_SEED, TUNING_SEED, VARIANTS, settings_of
from wtal_core.demo.script import write_scripts
from wtal_core.demo.training import run_info, train_variant
from wtal_core.demo.world import MINED, annotate, make_video
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import evaluate
from wtal_core.records import Annotations
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import localize
from wtal_core.runs.registry import stored_evaluations

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
shipped = pytest.mark.skipif(not (DEMO / "dataset.yaml").is_file(), reason="assets/demo is not in this checkout")

TINY = BuildOptions(seed=3, small=True, videos=2, runs=("cmcs", "hamnet"), workers=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of two training and two test videos with two runs."""
    folder = tmp_path_factory.mktemp("demo") / "tiny"
    report = build(folder, TINY, quiet=True)
    assert report["videos"] == report["videos_made"] == 4
    assert report["runs_made"] == 2
    return folder


def same_annotations(a: Annotations, b: Annotations) -> bool:
    return (
        (a.classes, dict(a.videos), set(a.tracks)) == (b.classes, dict(b.videos), set(b.tracks))
        and a.instances == b.instances
        and all(a.tracks[name] == b.tracks[name] for name in a.tracks)
    )


# -- what is built ------------------------------------------------------------------------------------------------


def test_annotations_hold_every_track() -> None:
    scripts = write_scripts(2, small=True)
    made = annotate(scripts, {scripts[0].name: [(1.0, 3.5)]})
    assert set(made.tracks) == {"phases", "context", "fakes", "background", "static", "replays", "cuts", MINED}
    assert len(made.videos) == len(scripts)
    for script in scripts:
        truth = script.truth()
        rows = made.instances.for_video(script.name)
        assert list(zip(rows.label, rows.start, rows.end, strict=True)) == list(truth.actions)
        assert made.videos[script.name].labels == script.classes
        for name, spans in truth.as_dict().items():
            if name != "actions":
                rows = made.tracks[name].for_video(script.name)
                assert list(zip(rows.label, rows.start, rows.end, strict=True)) == spans
    assert made.tracks[MINED].end.tolist() == [3.5]
    assert MINED not in annotate(scripts).tracks


def test_world_on_disk(tiny: Path) -> None:
    dataset = Dataset.open(tiny)
    scripts = scripts_of(TINY)
    assert same_annotations(replace(dataset.annotations, source=""), annotate(scripts, mined(tiny)))
    assert len(dataset.videos("train")) == len(dataset.videos("test")) == 2
    with dataset.features() as store:
        assert store.dim == 256
        for script in scripts:
            grid = store.grid(script.name)
            assert (grid.fps, grid.stride, grid.window) == (25.0, 8.0, 16.0)
            assert grid.duration == pytest.approx(script.duration, abs=1e-3)
            data = store.read(script.name).data
            assert data.shape == (grid.num_snippets, 256)
            assert data.min() >= 0
            assert data[:, :128].any()
            assert data[:, 128:].any()
    for video in dataset.videos("test"):
        path = dataset.video_path(video)
        assert path is not None
        assert path.is_file()


def mined(folder: Path) -> dict[str, list[tuple[float, float]]]:
    state = json.loads((folder / "build.json").read_text())["mined"]
    return {video: [(a, b) for a, b in spans] for video, spans in state.items()}


def test_runs_are_complete_and_anonymous(tiny: Path) -> None:
    for name in TINY.runs:
        run = Run.open(tiny / "runs" / name)
        assert run.status()["state"] == "finished"
        assert "folder" not in run.info.dataset
        assert "platform" not in run.info.versions
        assert "pid" not in run.status()
        content = run.load_checkpoint()
        assert set(content) == {"model"}
        assert all(w.dtype in (torch.float16, torch.int64, torch.float32) for w in content["model"].values())
        assert set(run.activations().videos) == set(Dataset.open(tiny).videos("test"))
        assert 0 <= stored_evaluations(run)[0]["average"] <= 1
        assert len([m for m in run.metrics() if m["kind"] == "losses"]) >= 8


def test_building_again_changes_nothing(tiny: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns for p in [*tiny.rglob("*.mp4"), *tiny.rglob("*.pt"), *tiny.rglob("evaluation.json")]
    }
    assert len(before) == 4 + 2 + 2
    report = build(tiny, TINY, quiet=True)
    assert report["videos_made"] == report["runs_made"] == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_what_is_missing_is_made_again_the_same(tiny: Path) -> None:
    """Delete a video, a video's mined clips and a run: they come back as they were (features to half precision)."""
    run = Run.open(tiny / "runs" / "cmcs")
    losses = [m["losses"] for m in run.metrics() if m["kind"] == "losses"]
    score = stored_evaluations(run)[0]["average"]
    video = Dataset.open(tiny).videos("test")[0]
    path = tiny / "videos" / f"{video}.mp4"
    content = path.read_bytes()
    path.unlink()
    run.evaluation_path.unlink()
    for file in (tiny / "runs" / "cmcs" / "checkpoints").iterdir():
        file.unlink()
    state = json.loads((tiny / "build.json").read_text())
    kept = state["mined"].pop(Dataset.open(tiny).videos("train")[0])
    (tiny / "build.json").write_text(json.dumps(state))
    report = build(tiny, TINY, quiet=True)
    assert (report["videos_made"], report["runs_made"]) == (2, 1)
    assert path.read_bytes() == content
    assert mined(tiny)[Dataset.open(tiny).videos("train")[0]] == [(a, b) for a, b in kept]
    again = [m["losses"] for m in Run.open(tiny / "runs" / "cmcs").metrics() if m["kind"] == "losses"]
    assert again == losses
    assert stored_evaluations(run)[0]["average"] == score


def test_a_broken_video_is_rendered_again(tmp_path: Path) -> None:
    script = write_scripts(3, small=True)[0]
    short = replace(script, shots=script.shots[:1])
    path = tmp_path / "videos" / f"{script.name}.mp4"
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    made = make_video(short, tmp_path, features=True)
    assert path.stat().st_size > 1000
    assert made.features is not None
    again = make_video(short, tmp_path, features=True).features
    assert again is not None
    np.testing.assert_array_equal(again.data.astype(np.float16), made.features.data.astype(np.float16))


def test_another_world_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another demo world"):
        build(tiny, replace(TINY, seed=4), quiet=True)
    (tmp_path / "dataset.yaml").write_text("name: mine\n")
    with pytest.raises(UsageError, match="not built here"):
        build(tmp_path, TINY, quiet=True)
    with pytest.raises(UsageError, match="cmcs-one-branch"):
        BuildOptions(runs=("cmcs-one-branc",))
    (tmp_path / "dataset.yaml").unlink()
    (tmp_path / "build.json").write_text("[]")
    with pytest.raises(DataError):
        build(tmp_path, TINY, quiet=True)


def test_training_reads_the_recipe(tiny: Path, tmp_path: Path) -> None:
    with Dataset.open(tiny).features() as store:
        for name, variant in VARIANTS.items():
            config = run_info(Dataset.open(tiny), store, name).config
            for key, value in settings_of(variant).items():
                found = config
                for part in key.split("."):
                    found = found[part]
                assert found == (list(value) if isinstance(value, tuple) else value), (name, key)
            if variant.full:
                full = settings_of(VARIANTS[variant.full])
                changed = {k: v for k, v in settings_of(variant).items() if full.get(k) != v}
                assert changed == dict(variant.changes)
    with pytest.raises(UsageError, match="acmnet"):
        train_variant(tiny, tmp_path / "x", "acmne")
    assert SHIPPED_SEED != TUNING_SEED


# -- features -----------------------------------------------------------------------------------------------------


def test_pooling_matrices() -> None:
    for matrix in (appearance_pooling(), motion_pooling()):
        assert matrix.shape == (128, 512)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)  # every coarse channel is an average
    ones = np.ones((2, 512), np.float32)
    for descriptor in (appearance, motion):
        assert isinstance(descriptor.info.dim, int)
        np.testing.assert_allclose(descriptor.coarsen(ones), np.ones((2, 128)), rtol=1e-6)


def test_coarse_channels_are_the_statistics_of_larger_cells() -> None:
    """A quarter's orientation histogram is the average of its four cells, by hand."""
    from wtal_core.video.descriptors import MOTION_BLOCKS, block_slices

    rng = np.random.default_rng(0)
    full = rng.random((1, 512)).astype(np.float32)
    cells = np.square(full[0, block_slices(MOTION_BLOCKS)["orientation_cells"]]).reshape(4, 4, 9)
    by_hand = np.sqrt([cells[r : r + 2, c : c + 2].mean(axis=(0, 1)) for r in (0, 2) for c in (0, 2)])
    np.testing.assert_allclose(motion.coarsen(full)[0, :36].reshape(4, 9), by_hand, rtol=1e-5)


# -- what is shipped ------------------------------------------------------------------------------------------------


@shipped
def test_shipped_size() -> None:
    size = sum(p.stat().st_size for p in DEMO.rglob("*") if p.is_file())
    assert size <= 40e6, f"{size / 1e6:.1f} MB"


@shipped
def test_shipped_annotations_are_the_scripts() -> None:
    dataset = Dataset.open(DEMO)
    options = BuildOptions(seed=SHIPPED_SEED)
    assert dataset.name == options.name
    made = annotate(scripts_of(options), mined(DEMO))
    assert same_annotations(replace(read_annotations(DEMO / "annotations.json"), source=""), made)
    for video in dataset.videos("test"):
        assert dataset.video_path(video) is not None
    assert len(dataset.videos("train")) == 36
    with dataset.features() as store:
        assert set(store.videos) == set(dataset.annotations.videos)


@shipped
def test_shipped_features_are_those_of_the_shipped_videos() -> None:
    options = BuildOptions(seed=SHIPPED_SEED)
    script = min((s for s in scripts_of(options) if s.subset == "test"), key=lambda s: s.frames)
    made = make_video(script, DEMO).features  # the file is there and complete: nothing is rendered
    assert made is not None
    with open_features(DEMO / "features" / "descriptors.h5") as store:
        kept = store.read(script.name)
    assert made.grid == kept.grid
    assert made.provenance == kept.provenance
    # Half precision keeps 11 bits; builds of FFmpeg and OpenCV may decode and compare frames a little differently.
    assert np.abs(made.data - kept.data).mean() < 2e-3
    assert np.quantile(np.abs(made.data - kept.data), 0.99) < 0.02


@shipped
@pytest.mark.parametrize("name", VARIANTS)
def test_shipped_run(name: str) -> None:
    """Opens; was made by the recipe; its activations, detections and scores follow from its weights."""
    run = Run.open(DEMO / "runs" / name)
    dataset = Dataset.open(DEMO)
    assert run.status()["state"] == "finished"
    with dataset.features() as store:
        assert run.info.config == run_info(dataset, store, name).config
        kept = run.activations()
        assert set(kept.videos) == set(dataset.videos("test"))
        shortest = min(kept.videos, key=lambda v: kept.grid(v).num_snippets)
        features = store.read(shortest)
    said, made = kept.read(shortest), run.method().activations(features.data, grid=features.grid)
    np.testing.assert_allclose(made.cas, said.cas, atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(made.video_scores, said.video_scores, atol=2e-3, rtol=2e-3)
    found = localize(run, store=False)
    stored = read_detections(run.detections_path)
    assert len(found) == len(stored)
    score = evaluate(found, dataset.annotations, subset=("test",)).average
    assert score == pytest.approx(stored_evaluations(run)[0]["average"], abs=1e-6)
    assert score > 0.1  # it localizes; chance is about 0.02


@shipped
def test_shipped_losses_come_again(tmp_path: Path) -> None:
    """The first steps of a training on the shipped features give the losses that the shipped run logged."""
    logged = [m["losses"] for m in Run.open(DEMO / "runs" / "cmcs").metrics() if m["kind"] == "losses"]
    train_variant(DEMO, tmp_path / "cmcs", "cmcs", changes={"training.steps": 20})
    again = [m["losses"] for m in Run.open(tmp_path / "cmcs").metrics() if m["kind"] == "losses"]
    assert len(again) >= 3
    for first, second in zip(logged, again, strict=False):
        assert first.keys() == second.keys()
        for key, value in second.items():
            assert math.isclose(value, first[key], rel_tol=2e-3, abs_tol=1e-4), key
