"""Train one method or variant on a demo world, and leave a run folder that is small enough to ship."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wtal_core import settings
from wtal_core.data.dataset import Dataset
from wtal_core.data.features import FeatureStore
from wtal_core.demo.recipes import VARIANTS, settings_of
from wtal_core.errors import DataError, unknown_name
from wtal_core.files import write_json
from wtal_core.methods import method_class
from wtal_core.runs.folder import Run, RunInfo, current_versions
from wtal_core.runs.scores import stored_evaluations
from wtal_core.training.driver import Driver, Scoring, describe_run
from wtal_core.training.options import TrainRequest

__all__ = ["is_finished", "keep_weights_only", "run_info", "train_variant"]


def _request(
    dataset: Dataset, name: str, out: Path, *, seed: int, small: bool, changes: Mapping[str, Any]
) -> TrainRequest:
    """Return the training of a variant.

    Raises:
        UsageError: there is no such variant.
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    variant = VARIANTS[name]
    chosen = settings_of(variant, small=small)
    if variant.method == "cmcs" and not len(dataset.annotations.tracks.get("static", ())):
        chosen["training.hard_negatives"] = False  # a very small world may have no static clip
    return TrainRequest(
        method=variant.method,
        data=dataset.folder,
        out=out,
        set={**chosen, **changes},
        seed=seed,
        device="cpu",
        log_every=10,
        checkpoint_every=0,
    )


def run_info(dataset: Dataset, store: FeatureStore, name: str, *, seed: int = 0, small: bool = False) -> RunInfo:
    """Return what a variant's `run.yaml` says.

    Raises:
        UsageError: there is no such variant.
    """
    return _info(_request(dataset, name, dataset.folder, seed=seed, small=small, changes={}), dataset, store, name)


def _info(request: TrainRequest, dataset: Dataset, store: FeatureStore, name: str) -> RunInfo:
    info = describe_run(request, dataset, store)
    # Without the folder: the run lies inside its data set, wherever that is.
    source = {key: value for key, value in info.dataset.items() if key != "folder"}
    versions = {package: version for package, version in current_versions().items() if package != "platform"}
    training = {"device": "cpu", "precision": "float32", "compile": False, "selected_on": []}
    return replace(info, dataset=source, versions=versions, training=training, notes=VARIANTS[name].about)


def is_finished(folder: Path, info: RunInfo) -> bool:
    """Whether a run folder holds everything that `train_variant` leaves, made as `info` says."""
    try:
        run = Run.open(folder)
        same = _essence(run.info) == _essence(info) and run.status()["state"] == "finished"
    except DataError:
        return False
    files = (run.checkpoint_path(), run.activations_path, run.detections_path, run.evaluation_path)
    return same and all(file.is_file() for file in files)


def _essence(info: RunInfo) -> dict[str, Any]:
    """What decides the result of a training; a setting that is newer than the run is at its default."""
    config = settings.to_dict(settings.build(method_class(info.method).Config, info.config))
    plain = {**info.to_dict(), "config": config}
    return {key: plain[key] for key in ("method", "config", "classes", "feature_dim", "provenance", "dataset", "seed")}


def keep_weights_only(run: Run) -> None:
    """Reduce the last checkpoint to its weights in half precision; what is inferred afterwards is inferred with them.

    Buffers keep their type: they are few, and may hold values that half precision cannot.
    """
    content = run.load_checkpoint("last")
    parameters = {name for name, _ in run.new_method().named_parameters()}
    weights: Mapping[str, torch.Tensor] = content["model"]
    run.save_checkpoint("last", {"model": {name: w.half() if name in parameters else w for name, w in weights.items()}})


def train_variant(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    name: str,
    *,
    seed: int = 0,
    small: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, infer, localize and evaluate; skip what is finished, go on with what was interrupted.

    Computes in one thread, so that the same machine gives the same losses however many runs are trained beside it.

    Args:
        folder: data set folder of a demo world.
        out: run folder. One that was made in another way is replaced.
        name: key of `VARIANTS`.
        seed: of the training.
        small: the recipe of the small world.
        changes: settings on top of the recipe's, for trying out.

    Returns:
        name, average mAP 0.1:0.7, and whether the run was there already.

    Raises:
        UsageError: there is no such variant or setting.
        DataError: the data set is incomplete.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train_variant(Path(folder), Path(out), name, seed, small, dict(changes or {}))
    finally:
        torch.set_num_threads(threads)


def _train_variant(
    folder: Path, out: Path, name: str, seed: int, small: bool, changes: Mapping[str, Any]
) -> dict[str, Any]:
    dataset = Dataset.open(folder)
    request = _request(dataset, name, out, seed=seed, small=small, changes=changes)
    with dataset.store() as store:
        info = _info(request, dataset, store, name)
        if is_finished(out, info):
            return {"name": name, "average": stored_evaluations(Run.open(out))[0]["average"], "kept": True}
        run = _open_or_create(out, info)
        driver = Driver(dataset, store, device="cpu", quiet=True)
        outcome = driver.train(run, request)
        if outcome.interruption is not None:
            raise outcome.interruption
        keep_weights_only(run)
        evaluations = driver.score(run, Scoring.of(dataset), anew=True)
    # The process and machine that trained it are nobody's business any more.
    write_json(run.folder / "status.json", {"state": "finished", "step": outcome.steps, "steps": outcome.steps})
    return {"name": name, "average": next(iter(evaluations.values())).average, "kept": False}


def _open_or_create(out: Path, info: RunInfo) -> Run:
    """Return the run where it can go on from a checkpoint, else a new one; what was made in another way is removed."""
    if (out / "run.yaml").exists():
        try:
            run = Run.open(out)
            if _essence(run.info) == _essence(info) and "optimizer" in run.load_checkpoint("last"):
                return run
        except DataError:
            pass  # damaged, or stopped before its first checkpoint
        shutil.rmtree(out)
    return Run.create(out, info)
