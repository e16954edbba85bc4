"""Train every method on one planted data set over several seeds: the table of the README."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wtal_core import settings
from wtal_core.data.dataset import Dataset
from wtal_core.methods import create_method, list_methods
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import evaluate_run, infer, localize
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import TrainOptions, choose_device, train

__all__ = ["PLANTED_SETTINGS", "markdown_table", "train_planted"]

#: What differs from the THUMOS14 preset: planted features are learnt in hundreds of steps where I3D's take thousands,
#: at a higher rate (CMCS at its own 1e-4 needs all of its 15,000 steps). Chosen on the features of seed 100.
PLANTED_SETTINGS: dict[str, dict[str, Any]] = {
    "acmnet": {"training.steps": 400, "training.snippets": 250, "training.lr": 1e-3},
    "acn": {},
    "cmcs": {"training.steps": 400, "training.lr": 2e-3, "training.hard_negatives": True},
    "deep_metric": {"training.steps": 600, "training.lr": 1e-3, "training.videos_per_class": 2},
    "hamnet": {"training.steps": 250, "training.snippets": 150, "training.lr": 5e-4},
}


def train_planted(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    changes: Mapping[str, Mapping[str, Any]] = PLANTED_SETTINGS,
    device: str = "auto",
    quiet: bool = False,
) -> Iterator[Run]:
    """Train, infer, localize and evaluate each method with each seed; finished runs are kept, interrupted ones go on.

    Yields:
        each run, as `<out>/<method>-seed<n>`.
    """
    dataset = Dataset.open(data)
    where = choose_device(device)
    for name in methods or list_methods():
        method = create_method(
            name, classes=dataset.classes, feature_dim=dataset.features().dim, **changes.get(name, {})
        )
        hard = any(stage.recipe.hard_negatives for stage in method.stages())
        for seed in seeds:
            folder = Path(out) / f"{name}-seed{seed}"
            with dataset.features() as store:
                if (folder / "run.yaml").exists():
                    run = Run.open(folder)
                else:
                    info = RunInfo(
                        method=name,
                        preset="thumos14",
                        config=settings.to_dict(method.config),
                        classes=dataset.classes,
                        feature_dim=store.dim,
                        provenance=store.provenance(store.videos[0]),
                        dataset={
                            "name": dataset.name,
                            "folder": str(Path(data).resolve()),
                            "features": dataset.feature_file().name,
                        },
                        seed=seed,
                    )
                    run = Run.create(folder, info)
                if not run.evaluation_path.is_file():
                    corpus = Corpus.load(
                        store,
                        dataset.annotations,
                        dataset.videos("train"),
                        device=where,
                        hard_negatives=hard,
                        quiet=True,
                    )
                    resume = run.checkpoint_path("last").exists()
                    outcome = train(run, corpus, TrainOptions(seed=seed, device=device), resume=resume, quiet=quiet)
                    if outcome.state != "finished":
                        return
                    infer(run, store, dataset.videos("test"), device=where, quiet=True)
                    localize(run)
                    evaluate_run(
                        run,
                        dataset.annotations,
                        protocols=(dataset.evaluation.protocol,),
                        tiou=dataset.evaluation.tiou,
                        subset=dataset.subsets("test"),
                    )
            yield run


def markdown_table(comparison: Mapping[str, Any]) -> str:
    """Return `compare(runs)` as a Markdown table: mean ± sample standard deviation over seeds, in percent."""
    levels = comparison["tiou"]
    lines = [
        "| method | seeds | " + " | ".join(levels) + " | average |",
        "|---|---|" + "---|" * (len(levels) + 1),
    ]

    def cell(value: Mapping[str, float]) -> str:
        return f"{100 * value['mean']:.1f} ± {100 * value['std']:.1f}"

    lines += [
        f"| {g['method']} | {g['runs']} | "
        + " | ".join(cell(g["mean_ap"][t]) for t in levels)
        + f" | {cell(g['average'])} |"
        for g in comparison["seeds"]
    ]
    return "\n".join(lines)
