"""Several trainings on one data set, one after the other: finished ones are kept, interrupted ones go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wtal_core import settings
from wtal_core.data.dataset import Dataset
from wtal_core.data.features import FeatureStore
from wtal_core.devices import choose_device
from wtal_core.errors import UsageError, WtalError
from wtal_core.evaluation import parse_tiou
from wtal_core.methods import Method, create_method
from wtal_core.progress import Advance, listening, progress_bar
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import check_provenance, evaluate_run, infer, localize
from wtal_core.runs.registry import stored_evaluations
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import train
from wtal_core.training.options import TrainOptions

__all__ = ["PlannedRun", "Scoring", "train_series"]


@dataclass(frozen=True)
class PlannedRun:
    """A training to be done, or done already.

    Args:
        folder: its run folder.
        method: name of the method.
        preset: preset of the method.
        changes: settings that differ from the preset.
        seed: seed of everything random.
    """

    folder: Path
    method: str
    preset: str = "thumos14"
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def build(self, dataset: Dataset, store: FeatureStore) -> Method:
        """Return the method without weights (on the meta device): its config, stages and refusals.

        Raises:
            UsageError: unknown method, preset or setting, or features without the streams it needs.
        """
        with torch.device("meta"):
            return create_method(
                self.method, classes=dataset.classes, feature_dim=store.dim, preset=self.preset, **dict(self.changes)
            )

    def find(self, dataset: Dataset, store: FeatureStore) -> Run | None:
        """Return the run in the folder, None where there is none yet.

        Raises:
            UsageError: the folder holds another run than this one.
            DataError: that run was trained on features of another extractor.
        """
        if not (self.folder / "run.yaml").exists():
            return None
        run = Run.open(self.folder)
        info, config = run.info, self.build(dataset, store).config
        had = {
            "method": info.method, "seed": info.seed, "data set": info.dataset.get("name"),
            "classes": len(info.classes), "channels": info.feature_dim,
        }  # fmt: skip
        given = {
            "method": self.method, "seed": self.seed, "data set": dataset.name,
            "classes": len(dataset.classes), "channels": store.dim,
        }  # fmt: skip
        if info.method == self.method:
            had |= settings.differences(run.config(), config)
            given |= settings.differences(config, run.config())
        other = [key for key in given if had[key] != given[key]]
        if other or info.classes != dataset.classes:
            raise UsageError(
                "holds another run",
                expected=", ".join(f"{key} {given[key]}" for key in other) or "the data set's classes",
                got=", ".join(f"{key} {had[key]}" for key in other) or "others",
                where=self.folder,
                next_step="Choose another --out, or the settings it was begun with",
            )
        check_provenance(
            info.provenance, store.provenance(store.videos[0]), where=self.folder, otherwise="choose another --out"
        )
        return run

    def create(self, dataset: Dataset, store: FeatureStore, *, features: str | None, device: str) -> Run:
        """Make the run folder.

        Raises:
            UsageError: the method takes streams apart that the features do not have.
        """
        method = self.build(dataset, store)
        method.check_features(method.config, store, where=dataset.folder)
        info = RunInfo.of(
            method,
            dataset,
            store,
            preset=self.preset,
            features=features,
            seed=self.seed,
            training={"device": device},
        )
        return Run.create(self.folder, info)


@dataclass(frozen=True)
class Scoring:
    """How runs are scored.

    Args:
        protocol: name of an evaluation protocol.
        tiou: thresholds.
        split: split of the data set.
    """

    protocol: str
    tiou: tuple[float, ...]
    split: str = "test"

    @classmethod
    def of(cls, dataset: Dataset) -> Scoring:
        """Return the data set's own way."""
        return cls(dataset.evaluation.protocol, parse_tiou(dataset.evaluation.tiou))

    def scores(self, run: Run) -> dict[float, float] | None:
        """Return the stored `{tIoU: mAP}` of a run, None where it was not scored in this way yet."""
        for evaluation in stored_evaluations(run):
            found = {round(float(t), 6): float(value) for t, value in evaluation["mean_ap"].items()}
            if evaluation["protocol"] == self.protocol and found.keys() >= {round(t, 6) for t in self.tiou}:
                return found
        return None


def train_series(
    dataset: Dataset,
    planned: Sequence[PlannedRun],
    scoring: Scoring | None = None,
    *,
    features: str | None = None,
    device: str = "auto",
    quiet: bool = False,
    failed: Callable[[PlannedRun, WtalError], None] | None = None,
) -> Iterator[Run]:
    """Train, infer, localize and evaluate every planned run that is not finished.

    The same call goes on where one was interrupted. Features are read once for all runs that see them alike.

    Args:
        dataset: trained on its split "train".
        planned: the runs, in their order.
        scoring: how they are scored; default: the data set's own way.
        features: which of the data set's features; default: the first.
        device: "auto" or a torch device.
        quiet: no progress bar.
        failed: told about a run that failed, and the next one is begun; without it the error is raised.

    Yields:
        each finished run.

    Raises:
        UsageError, DataError: a folder holds another run (before anything is trained), or a training failed.
        Interrupted: a training was asked to stop, and has kept a checkpoint.
    """
    scoring = scoring or Scoring.of(dataset)
    where = choose_device(device)
    with dataset.features(features) as store:
        runs = [plan.find(dataset, store) for plan in planned]
        stages = [plan.build(dataset, store).stages() for plan in planned]
        steps = [
            0 if run is not None and _is_trained(run) else sum(stage.recipe.steps for stage in own)
            for run, own in zip(runs, stages, strict=True)
        ]
        corpus: Corpus | None = None
        kind: tuple[FeatureStore, bool] | None = None
        with progress_bar("train", sum(steps), quiet=quiet) as advance:
            for number, (plan, run) in enumerate(zip(planned, runs, strict=True)):
                try:
                    run = run or plan.create(dataset, store, features=features, device=device)
                    if not _is_trained(run):
                        advance(0, f"{number + 1}/{len(planned)} {plan.folder.name}")
                        hard = any(stage.recipe.hard_negatives for stage in stages[number])
                        wanted = (run.method_class.read_features(run.config(), store, training=True), hard)
                        if corpus is None or wanted != kind:
                            corpus, kind = None, wanted  # the one before makes room
                            with listening(_nobody):
                                corpus = Corpus.load(
                                    wanted[0],
                                    dataset.annotations,
                                    dataset.videos("train"),
                                    device=where,
                                    hard_negatives=hard,
                                    quiet=True,
                                )
                        _train(run, corpus, TrainOptions(seed=plan.seed, device=device), advance)
                    _score(run, dataset, store, scoring, where)
                except WtalError as error:
                    if failed is None:
                        raise
                    failed(plan, error)
                    continue
                yield run


def _is_trained(run: Run) -> bool:
    return bool(run.status()["state"] == "finished") and run.checkpoint_path("last").is_file()


def _train(run: Run, corpus: Corpus, options: TrainOptions, advance: Advance) -> None:
    """Train or go on; tell `advance` the steps."""
    done = 0.0

    def tell(now: float, total: float | None, description: str) -> None:
        nonlocal done
        advance(now - done)
        done = now

    begun = run.checkpoint_path("last").exists()
    if not begun:  # it ended before its first checkpoint: the same steps once more
        run.forget_metrics_after(0, 0)
    with listening(tell):
        outcome = train(run, corpus, options, resume=begun, quiet=True)
    if outcome.interruption is not None:
        raise outcome.interruption


def _score(run: Run, dataset: Dataset, store: FeatureStore, scoring: Scoring, device: torch.device) -> None:
    """Do what is missing of inference, localization and evaluation."""
    if scoring.scores(run) is not None:
        return
    if not run.detections_path.is_file():
        with listening(_nobody):
            infer(run, store, dataset.videos(scoring.split), device=device, keep=True, quiet=True)
        localize(run)
    evaluate_run(
        run,
        dataset.annotations,
        protocols=(scoring.protocol,),
        tiou=scoring.tiou,
        subset=dataset.subsets(scoring.split),
    )


def _nobody(done: float, total: float | None, description: str) -> None:
    """Hear a bar that is part of a longer one."""
