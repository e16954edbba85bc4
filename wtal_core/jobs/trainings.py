"""Trainings as jobs: how one is started, stopped, resumed and started anew."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from wtal_core.errors import DataError, UsageError
from wtal_core.jobs.job import Job
from wtal_core.jobs.queue import Queue
from wtal_core.processes import liveness, read_record
from wtal_core.runs.folder import Run
from wtal_core.training.options import RECORDED, TrainRequest

__all__ = ["parse_seeds", "restart_training", "resume_training", "start_training", "stop_run", "training_of"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds as a person types them: "0", "0 1 2", "0-4", "3, 7".

    Raises:
        UsageError: it is something else, or there are more than 100.
    """
    seeds: list[int] = []
    for word in re.split(r"[\s,;]+", text.strip()):
        first, dash, last = word.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(word) > 20:
            raise UsageError(
                f"{text!r} are not seeds",
                expected="numbers, e.g. 0, or 0-4, or 1 2 3",
                next_step="Write numbers with spaces or commas between",
            )
        stop = int(last) if dash else int(first)
        if stop < int(first) or stop - int(first) >= 100:
            raise UsageError(
                f"{word!r} is not a range of seeds",
                expected="e.g. 0-4, at most 100",
                next_step="Begin with the smaller number, and take fewer than 100",
            )
        seeds += range(int(first), stop + 1)
    seeds = list(dict.fromkeys(seeds))
    if len(seeds) > 100:
        raise UsageError(
            "there are too many seeds",
            expected="at most 100",
            got=str(len(seeds)),
            next_step="Train some of them first",
        )
    return tuple(seeds)


def start_training(
    request: TrainRequest,
    *,
    home: str | os.PathLike[str] | None = None,
    slot: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Job:
    """Queue a new training; its log is `worker.log` in the run folder.

    Args:
        request: what to train.
        home: the workspace folder; default `$WTAL_HOME`, else the current one.
        slot: the device as it is really called; default what the request says.
        cwd: folder that relative paths in the request start from; default the current one.

    Raises:
        UsageError: the folder holds a run already, or a job that makes it is open.
    """
    out = Path(cwd or ".", request.out)
    if (out / "run.yaml").exists():
        raise UsageError("holds a run already", where=out, next_step="Choose another name, or resume that run")
    return _queue_training(request, out, slot, home, cwd)


def resume_training(
    folder: str | os.PathLike[str],
    *,
    home: str | os.PathLike[str] | None = None,
    slot: str | None = None,
) -> Job:
    """Queue the rest of a training that was stopped or has crashed; it goes on from its last checkpoint.

    Raises:
        UsageError: there is no checkpoint, or a job of this run is open.
        DataError: the folder is not a run.
    """
    run = Run.open(folder)
    request = training_of(run)
    if not run.checkpoint_path().is_file():
        raise UsageError("has no checkpoint to go on from", where=folder, next_step="Start it again from the beginning")
    return _queue_training(replace(request, set={}), run.folder, slot, home, resume=True)


def restart_training(
    folder: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None, slot: str | None = None
) -> Job:
    """Queue a training again that ended before the first checkpoint it could go on from, in the same folder.

    Raises:
        UsageError: it has a checkpoint (resume it), or a job of this run is open.
        DataError: the folder is not a run.
    """
    run = Run.open(folder)
    request = training_of(run)
    if run.checkpoint_path().is_file():
        raise UsageError("has a checkpoint", where=folder, next_step="Resume it instead")
    open_job = Queue(home).of_result(run.folder)
    if (open_job is not None and open_job.status().open) or _running(run.folder):
        raise UsageError("is being trained", where=folder, next_step="Wait for it, or stop it first")
    shutil.rmtree(run.folder / "activations", ignore_errors=True)
    for name in ("checkpoints/best.pt", "metrics.jsonl", "status.json", "stop", "run.yaml"):
        (run.folder / name).unlink(missing_ok=True)
    return _queue_training(request, run.folder, slot, home)


def _queue_training(
    request: TrainRequest,
    out: Path,
    slot: str | None,
    home: str | os.PathLike[str] | None,
    cwd: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Job:
    if _running(out):
        raise UsageError("is being trained", where=out, next_step="Wait for it, or stop it first")
    return Queue(home).submit(
        request.to_request(**more),
        title=f"train {request.method}: {out.resolve().name}",
        slot=slot or request.device,
        result=out.resolve(),
        log=out / "worker.log",
        cwd=cwd,
    )


def _running(folder: Path) -> bool:
    status = read_record(folder / "status.json")
    return status.get("state") == "running" and liveness(status) is True


def stop_run(folder: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None) -> None:
    """Ask the training in a run folder to stop after its current step, whoever started it."""
    queue = Queue(home)
    job = queue.of_result(folder)
    if job is not None and job.status().open:
        queue.stop(job)
    elif _running(Path(folder)):
        (Path(folder) / "stop").touch()


def training_of(run: Run) -> TrainRequest:
    """Return the request that made a run, from its `run.yaml`.

    Raises:
        DataError: it does not name a data set.
    """
    info, folder = run.info, run.dataset_folder
    if folder is None:
        raise DataError(
            "does not name the data set it was trained on",
            expected="dataset: {folder: ...}",
            where=run.folder / "run.yaml",
            next_step="Train a new run",
        )
    return TrainRequest(
        **{key: value for key, value in info.training.items() if key in RECORDED and value is not None},
        method=info.method,
        data=folder,
        out=run.folder.resolve(),
        preset=info.preset,
        set=info.config,
        features=info.dataset.get("features"),
        seed=info.seed,
    )
