"""A made split with an hour-long video, to time the app on: a run whose activations follow a planted truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wtal_core import settings
from wtal_core.data import Dataset, write_annotations
from wtal_core.data.activations import write_activations
from wtal_core.methods import create_method
from wtal_core.records import Activations, Annotations, Segments, VideoInfo
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import evaluate_run, localize
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["make_synthetic"]


def make_synthetic(home: Path, videos: int, snippets: int, classes: int = 20, branches: int = 4) -> tuple[str, str]:
    """Make a data set and a CMCS run whose activations follow a planted truth; return `(run id, hour-long video)`."""
    rng = np.random.default_rng(0)
    names = tuple(f"class_{c:02d}" for c in range(classes))
    truth = _planted_truth(rng, names, videos, snippets)
    folder = home / "datasets" / "synthetic"
    folder.mkdir(parents=True)
    write_annotations(truth, folder / "annotations.json", format="activitynet")
    dataset = Dataset(folder, "synthetic", {"test": ("test",)}, class_list=names)
    dataset.save()
    method = create_method("cmcs", classes=names, feature_dim=8, branches=branches)
    info = RunInfo("cmcs", "thumos14", settings.to_dict(method.config), names, 8,
                   dataset={"name": "synthetic", "folder": str(folder), "test": ["test"]})  # fmt: skip
    run = Run.create(home / "runs" / "synthetic", info)
    activations = {}
    for video, facts in truth.videos.items():
        grid = SnippetGrid.preset("i3d-25fps-16", 1, facts.duration)
        grid = grid.with_snippets(grid.expected_num_snippets())
        scores = rng.normal(0, 0.7, (branches, grid.num_snippets, classes + 1)).cumsum(axis=1) * 0.05
        scores[..., -1] += 3
        instances = truth.instances.for_video(video)
        for label, start, end in zip(instances.label, instances.start, instances.end, strict=True):
            inside = grid.mask(start, end)
            scores[:, inside, names.index(label)] += rng.uniform(2, 6, (branches, 1))
        branch = np.exp(scores - scores.max(axis=-1, keepdims=True))
        branch = (branch / branch.sum(axis=-1, keepdims=True)).astype(np.float32)
        cas = branch.mean(axis=0)
        activations[video] = Activations(
            cas=cas,
            video_scores=np.sort(cas[:, :classes], axis=0)[-max(1, len(cas) // 8) :].mean(axis=0),
            grid=grid,
            classes=names,
            branch_cas=branch,
            attention={"temporal": rng.dirichlet(np.ones(grid.num_snippets)).astype(np.float32)},
            method="cmcs",
        )
    write_activations(run.activations_path, activations)
    localize(run)
    evaluate_run(run, truth, subset=["test"])
    run.set_status("finished")
    return "runs/synthetic", "hour_long"


def _planted_truth(rng: np.random.Generator, names: tuple[str, ...], videos: int, snippets: int) -> Annotations:
    rows: list[tuple[str, str, float, float]] = []
    infos = {}
    for number in range(videos):
        video = "hour_long" if number == 0 else f"video_{number:03d}"
        duration = snippets * 16 / 25 if number == 0 else float(rng.uniform(60, 400))
        infos[video] = VideoInfo(subset="test", duration=duration)
        label, t = names[number % len(names)], 5.0
        while t + 12 < duration:
            length = float(rng.uniform(2, 12))
            rows.append((video, label, t, t + length))
            t += length + float(rng.uniform(5, 60))
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Annotations(classes=names, videos=infos, instances=Segments(*columns))
