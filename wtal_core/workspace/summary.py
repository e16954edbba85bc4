"""A run in one line: what it is, what its folder holds, how it is."""

from __future__ import annotations

import functools
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wtal_core.errors import WtalError, text_of
from wtal_core.jobs.job import Job, JobStatus
from wtal_core.jobs.queue import Queue
from wtal_core.methods.registry import is_method
from wtal_core.processes import read_record
from wtal_core.runs.find import run_folders
from wtal_core.runs.folder import Run
from wtal_core.runs.scores import stored_evaluations
from wtal_core.snippet_grid import finite_or_none

__all__ = ["OPEN_STATES", "RunSummary", "list_runs", "state_of", "summarize", "training_jobs", "waiting_run"]

#: States of runs for which something still has to happen.
OPEN_STATES = ("queued", "running", "stopping")


@dataclass(frozen=True)
class RunSummary:
    """A run, or a training that waits for its turn to make one.

    Args:
        id: its folder: relative to the workspace where it lies in it, else absolute. It does not change.
        folder: where it lies.
        name: what people read: the end of the id that no other run of the workspace shares.
        method: name of the method, "" where the run does not say; it need not be one that is known here.
        preset, seed: what it was trained with.
        dataset: name of its data set, "" where not known.
        dataset_folder: where that data set lay when the run was made, "" where not known.
        created: ISO time.
        exists: whether the run folder has been made.
        has_detections, has_activations, has_weights: what it holds, which is what can be done with it.
        resumable: whether there is a checkpoint to go on from.
        state: queued | running | stopping | stopped | finished | failed | crashed | created | unknown.
        message: what went wrong, "" where nothing did.
        error: why the run cannot be read, "" where it can.
        step, steps: optimiser steps done and in all, all stages together.
        stage: name of the current stage.
        eta_seconds: expected time left.
        device: what it was trained on.
        best: step and score of the best checkpoint.
        score: stored average mAP, None where it was not evaluated.
        when: when it was last heard of, seconds since 1970.
        job: the latest job that makes it, None where it was started elsewhere.
        names: what links may call it: its id, and the ids of all jobs that worked on it.
    """

    id: str
    folder: Path
    name: str
    method: str = ""
    preset: str = ""
    seed: int = 0
    dataset: str = ""
    dataset_folder: str = ""
    created: str = ""
    exists: bool = True
    has_detections: bool = False
    has_activations: bool = False
    has_weights: bool = False
    resumable: bool = False
    state: str = "unknown"
    message: str = ""
    error: str = ""
    step: int = 0
    steps: int = 0
    stage: str = ""
    eta_seconds: float | None = None
    device: str = ""
    best: Mapping[str, Any] | None = None
    score: float | None = None
    when: float = 0.0
    job: Job | None = None
    names: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether something still has to happen."""
        return self.state in OPEN_STATES

    @property
    def fraction(self) -> float | None:
        """Share of the steps that is done, in [0, 1]; None where it is not known."""
        return min(max(self.step / self.steps, 0.0), 1.0) if self.steps else None

    @property
    def method_known(self) -> bool:
        """Whether the method can be computed here: its own post-processing, and with weights and features all of it."""
        return is_method(self.method)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `wtal runs list` prints them in JSON."""
        names = (
            *("folder", "name", "method", "preset", "dataset", "seed", "created", "state", "message", "step", "steps"),
            *("has_detections", "has_activations", "has_weights", "error"),
        )
        return {name: getattr(self, name) for name in names} | {"average": self.score}


def list_runs(folder: str | os.PathLike[str], queue: Queue) -> list[RunSummary]:
    """Return the runs in a folder and below it, by path; one that cannot be read says why in `error`."""
    jobs = training_jobs(queue.jobs())
    return [summarize(path, str(path), jobs.get(path.resolve(), ())) for path in run_folders(folder)]


def training_jobs(jobs: Iterable[Job]) -> dict[Path, list[Job]]:
    """Return the trainings among jobs by the run folder that they make, in the order of submission."""
    found: dict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.command == "train" and job.target is not None:
            found[job.target].append(job)
    return found


def summarize(folder: Path, id: str, jobs: Sequence[Job] = ()) -> RunSummary:
    """Read a run folder; what cannot be read is said in the summary.

    Args:
        folder: the run folder.
        id: what it is called.
        jobs: the jobs that worked on it, the latest last.
    """
    job = jobs[-1] if jobs else None
    bare = RunSummary(id, folder, folder.name, job=job, names=(id, *(job.id for job in jobs)))
    try:
        run = _open(folder, _stamp(folder / "run.yaml"))
    except Exception as error:  # whatever is wrong with one entry, the others are shown
        text = text_of(error, folder / "run.yaml")
        return replace(bare, error=text, message=text)
    info, checkpoints = run.info, run.checkpoints()
    known = replace(
        bare,
        method=info.method,
        preset=info.preset,
        seed=info.seed,
        dataset=str(info.dataset.get("name") or ""),
        dataset_folder=str(info.dataset.get("folder") or ""),
        created=info.created,
        has_detections=run.detections_path.is_file(),
        has_activations=run.activations_path.is_file(),
        has_weights=bool(checkpoints),
        resumable="last" in checkpoints,
    )
    try:
        status = run.status()
        score = _score(run, _stamp(run.evaluation_path))
    except Exception as error:
        return replace(known, message=text_of(error, folder))
    state, message = state_of(status, job)
    best, beat = status.get("best"), finite_or_none(status.get("heartbeat")) or 0.0
    return replace(
        known,
        state=state,
        message=message if state in ("failed", "crashed") else "",
        step=int(finite_or_none(status.get("step")) or 0),
        steps=int(finite_or_none(status.get("steps")) or 0),
        stage=str(status.get("stage") or ""),
        eta_seconds=finite_or_none(status.get("eta_seconds")),
        device=str(status.get("device") or ""),
        best=best if isinstance(best, Mapping) else None,
        score=score,
        when=(job.created if job is not None and state == "queued" else 0) or beat or _made(folder),
    )


def waiting_run(folder: Path, id: str, jobs: Sequence[Job]) -> RunSummary | None:
    """Return the run that jobs are to make: the last waits, is just starting, or failed at the start; else None."""
    job = jobs[-1]
    status = job.status()
    if status.state in ("cancelled", "finished", "stopped"):
        return None
    return RunSummary(
        id,
        folder,
        folder.name,
        method=str(job.request.get("method", "")),
        dataset=_dataset_of(job),
        exists=False,
        state=status.state,
        message=status.message,
        when=job.created,
        job=job,
        names=(id, *(job.id for job in jobs)),
    )


# -- the state --------------------------------------------------------------------------------------------------------


def state_of(status: Mapping[str, Any], job: Job | None) -> tuple[str, str]:
    """Return a run's state and what is to be said of it, from its `status.json` and the latest job that makes it.

    The job knows more (it waits; it failed before or after the training), unless the run was heard of later.
    """
    state, message = str(status["state"]), str(status.get("message") or "")
    if job is None:
        return state, message
    how = job.status()
    if how.open:
        return how.state, ""
    if how.state == "cancelled" or state == "running" or _resumed_by_hand(status, job, how):
        return state, message
    if how.state in ("failed", "crashed"):
        return how.state, how.message
    return ("stopped" if how.state == "stopped" and state in ("created", "crashed") else state), message


def _resumed_by_hand(status: Mapping[str, Any], job: Job, how: JobStatus) -> bool:
    """Whether the run was heard of after its last job had ended; nobody saw when one that crashed did."""
    beat = finite_or_none(status.get("heartbeat")) or 0.0
    if how.ended is not None:
        return beat > how.ended + 1.0
    own = read_record(job.folder / "process.json")
    another = any(status.get(key) != own.get(key) for key in ("pid", "host", "process_start"))
    return how.state == "crashed" and another and beat > (how.started or 0.0)


# -- inside -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _open(folder: Path, changed: int) -> Run:
    return Run.open(folder)


@functools.lru_cache(maxsize=1024)
def _score(run: Run, changed: int) -> float | None:
    return next((finite_or_none(e.get("average")) for e in stored_evaluations(run)), None)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _dataset_of(job: Job) -> str:
    """Return the name of the data set that a job trains on, of its folder where that cannot be read."""
    from wtal_core.data.dataset import Dataset

    folder = Path(job.cwd, str(job.request.get("data", "")))
    try:
        return Dataset.open(folder).name
    except WtalError:
        return folder.name


def _made(folder: Path) -> float:
    try:
        return (folder / "run.yaml").stat().st_mtime // 60 * 60  # what was copied together stays in the order of names
    except OSError:
        return time.time()
