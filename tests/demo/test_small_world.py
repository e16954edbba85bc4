"""`wtal demo build --small`, whole: it gives what it gave before, is complete, and goes on where it was interrupted.

`small_world.json` is written by `python -m tests.demo.test_small_world FOLDER` from a folder that was built.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.cli import main
from wtal_core.data.dataset import Dataset
from wtal_core.demo.builder import BuildOptions, build, scripts_of
from wtal_core.demo.recipes import SHIPPED_SEED, TUNING_SEED, VARIANTS, settings_of
from wtal_core.demo.training import run_info, train_variant
from wtal_core.demo.world import annotate
from wtal_core.errors import UsageError
from wtal_core.files import write_json
from wtal_core.runs.folder import Run
from wtal_core.runs.scores import stored_evaluations

REFERENCE = Path(__file__).with_name("small_world.json")
OPTIONS = BuildOptions(seed=0, small=True)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world, built by the command: the whole pipeline on 18 short videos, about a minute on two cores."""
    folder = tmp_path_factory.mktemp("demo") / "small"
    assert main(["demo", "build", "--out", str(folder), "--seed", "0", "--small", "--quiet"]) == 0
    return folder


def mined(folder: Path) -> dict[str, list[tuple[float, float]]]:
    state = json.loads((folder / "build.json").read_text())["mined"]
    return {video: [(a, b) for a, b in spans] for video, spans in state.items()}


def losses(run: Run) -> list[dict[str, float]]:
    return [m["losses"] for m in run.metrics() if m["kind"] == "losses"]


def summary(folder: Path) -> dict[str, Any]:
    """Say in a few numbers what a built world is."""
    dataset = Dataset.open(folder)
    truth = dataset.annotations
    # Everything but the mined clips: those depend on the optical flow's build.
    rows = {
        name: table for name, table in {"instances": truth.instances, **truth.tracks}.items() if "mined" not in name
    }
    text = json.dumps(
        {n: [list(r) for r in zip(t.video, t.label, t.start, t.end, strict=True)] for n, t in sorted(rows.items())}
    )
    with dataset.store() as store:
        features = {
            v: [round(float(x), 4) for x in (store.read(v).data[:, :128].mean(), store.read(v).data[:, 128:].mean())]
            for v in store.videos
        }
    runs = {}
    for name in VARIANTS:
        run = Run.open(folder / "runs" / name)
        logged = [entry["total"] for entry in losses(run)]
        runs[name] = {
            "first": round(logged[0], 5),
            "last": round(logged[-1], 5),
            "average": round(stored_evaluations(run)[0]["average"], 4),
        }
    return {"annotations": hashlib.sha256(text.encode()).hexdigest(), "features": features, "runs": runs}


def test_small_world_comes_again(small: Path) -> None:
    made, known = summary(small), json.loads(REFERENCE.read_text())
    assert made["annotations"] == known["annotations"]
    assert made["features"].keys() == known["features"].keys()
    for video, values in known["features"].items():
        np.testing.assert_allclose(made["features"][video], values, rtol=0.01, atol=1e-3, err_msg=video)
    for name, values in known["runs"].items():
        # Same seeds and batches; other builds of PyTorch sum in another order, which a training slowly amplifies.
        assert made["runs"][name]["first"] == pytest.approx(values["first"], rel=0.02), name
        assert made["runs"][name]["last"] == pytest.approx(values["last"], rel=0.2, abs=0.05), name
        assert made["runs"][name]["average"] == pytest.approx(values["average"], abs=0.15), name


def test_world_on_disk(small: Path) -> None:
    dataset = Dataset.open(small)
    scripts = scripts_of(OPTIONS)
    made, kept = annotate(scripts, mined(small)), replace(dataset.annotations, source="")
    assert (kept.classes, dict(kept.videos), kept.instances) == (made.classes, dict(made.videos), made.instances)
    assert dict(kept.tracks) == dict(made.tracks)
    assert (len(dataset.videos("train")), len(dataset.videos("test"))) == (12, 6)
    with dataset.store() as store:
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


def test_runs_are_complete_and_anonymous(small: Path) -> None:
    for name in VARIANTS:
        run = Run.open(small / "runs" / name)
        assert run.status()["state"] == "finished"
        assert "folder" not in run.info.dataset
        assert run.dataset_folder == small.resolve()  # the data set it lies in
        assert "platform" not in run.info.versions
        assert "pid" not in run.status()
        content = run.load_checkpoint()
        assert set(content) == {"model"}
        assert all(w.dtype in (torch.float16, torch.int64, torch.float32) for w in content["model"].values())
        assert set(run.activations().videos) == set(Dataset.open(small).videos("test"))
        assert 0 <= stored_evaluations(run)[0]["average"] <= 1
        assert len(losses(run)) >= 8


def test_training_reads_the_recipe(small: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(small)
    with dataset.store() as store:
        for name, variant in VARIANTS.items():
            config = run_info(dataset, store, name).config
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
        train_variant(small, tmp_path / "x", "acmne")
    assert SHIPPED_SEED != TUNING_SEED


def test_building_again_changes_nothing(small: Path) -> None:
    kinds = ("*.mp4", "*.pt", "evaluation.json")
    before = {path: path.stat().st_mtime_ns for kind in kinds for path in small.rglob(kind)}
    assert len(before) == 18 + 2 * len(VARIANTS)
    report = build(small, OPTIONS, quiet=True)
    assert report["videos_made"] == report["runs_made"] == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_what_is_missing_is_made_again_the_same(small: Path) -> None:
    """Delete a video, a video's mined clips and a run: they come back as they were, byte by byte and loss by loss."""
    dataset = Dataset.open(small)
    run = Run.open(small / "runs" / "cmcs")
    logged, score = losses(run), stored_evaluations(run)[0]["average"]
    shortest = min(dataset.videos("test"), key=lambda video: dataset.annotations.videos[video].duration or 0)
    path = small / "videos" / f"{shortest}.mp4"
    content = path.read_bytes()
    path.unlink()
    run.evaluation_path.unlink()
    for file in (run.folder / "checkpoints").iterdir():
        file.unlink()
    state = json.loads((small / "build.json").read_text())
    train = dataset.videos("train")[0]
    kept = state["mined"].pop(train)
    (small / "build.json").write_text(json.dumps(state))
    report = build(small, OPTIONS, quiet=True)
    assert (report["videos_made"], report["runs_made"]) == (2, 1)
    assert path.read_bytes() == content
    assert mined(small)[train] == [(a, b) for a, b in kept]
    again = Run.open(run.folder)
    assert losses(again) == logged
    assert stored_evaluations(again)[0]["average"] == score


def test_another_world_is_refused(small: Path) -> None:
    with pytest.raises(UsageError, match="another demo world"):
        build(small, replace(OPTIONS, seed=4), quiet=True)


if __name__ == "__main__":
    write_json(REFERENCE, summary(Path(sys.argv[1])))
