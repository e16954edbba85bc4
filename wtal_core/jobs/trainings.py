"""All trainings of a workspace: waiting, running and past ones, whether the app or the command line started them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from wtal_core.data.dataset import Dataset
from wtal_core.errors import WtalError
from wtal_core.jobs.job import Job, JobStatus
from wtal_core.jobs.queue import Queue
from wtal_core.processes import read_record
from wtal_core.runs.folder import Run
from wtal_core.runs.registry import stored_evaluations
from wtal_core.runs.workspace import RunEntry
from wtal_core.snippet_grid import finite_or_none

__all__ = ["OPEN_STATES", "Training", "trainings"]

#: States of trainings for which something still has to happen.
OPEN_STATES = ("queued", "running", "stopping")

_ORDER = {state: i for i, state in enumerate(("running", "stopping", "queued"))}


@dataclass(frozen=True)
class Training:
    """A training in one line.

    Args:
        key: id of the run, or of the job while there is no run yet.
        folder: the run folder.
        name: the folder's name; its key where several runs share that.
        method: name of the method.
        dataset: name of its data set, "" where not known.
        state: queued | running | stopping | stopped | finished | failed | crashed | created | unknown.
        message: what went wrong, "" where nothing did.
        step, steps: optimiser steps done and in all.
        eta_seconds: expected time left.
        score: stored average mAP, None where it was not evaluated.
        when: when it was last heard of, seconds since 1970.
        job: the latest job that makes it, None where it was started elsewhere.
        names: what links may call it: its key, and the ids of all jobs that worked on it.
        run: whether the run folder exists.
        resumable: whether there is a checkpoint to go on from.
    """

    key: str
    folder: Path
    name: str
    method: str
    dataset: str = ""
    state: str = "unknown"
    message: str = ""
    step: int = 0
    steps: int = 0
    eta_seconds: float | None = None
    score: float | None = None
    when: float = 0.0
    job: Job | None = None
    names: tuple[str, ...] = ()
    run: bool = True
    resumable: bool = False

    @property
    def open(self) -> bool:
        """Whether something still has to happen."""
        return self.state in OPEN_STATES

    @property
    def fraction(self) -> float | None:
        """Share of the steps that is done; None where it is not known."""
        return min(max(self.step / self.steps, 0.0), 1.0) if self.steps else None


def trainings(runs: Mapping[str, RunEntry], queue: Queue) -> list[Training]:
    """Return all trainings: running ones first, then waiting ones in their order, then past ones, latest first.

    Args:
        runs: runs of the workspace by id.
        queue: its jobs.
    """
    jobs: dict[Path, list[Job]] = defaultdict(list)
    for job in queue.jobs():
        if job.kind == "train" and job.result:
            jobs[Path(job.cwd, job.result).resolve()].append(job)
    found = []
    for key, entry in runs.items():
        own = jobs.pop(entry.folder.resolve(), [])
        training = _of_run(key, entry, own[-1] if own else None)
        found.append(replace(training, names=(key, *(job.id for job in own))))
    for folder, own in jobs.items():
        waiting = _of_job(folder, own[-1])
        if waiting is not None:
            found.append(replace(waiting, names=tuple(job.id for job in own)))
    shared = Counter(training.name for training in found)
    found = [replace(t, name=t.key) if shared[t.name] > 1 and t.run else t for t in found]
    past = len(_ORDER)
    return sorted(found, key=lambda t: (_ORDER.get(t.state, past), t.when if t.state in _ORDER else -t.when, t.name))


def _of_job(folder: Path, job: Job) -> Training | None:
    """Return the training of a job without a run folder: it waits, is just starting, or failed at the start."""
    status = job.status()
    if status.state in ("cancelled", "finished", "stopped"):
        return None
    method = job.arguments[1] if len(job.arguments) > 1 else ""
    return Training(
        job.id, folder, folder.name, method, _dataset_of(job), state=status.state, message=status.message,
        when=job.created, job=job, run=False,
    )  # fmt: skip


def _dataset_of(job: Job) -> str:
    """Return the name of the data set that a job trains on, of its folder where that cannot be read."""
    words = dict(pairwise(job.arguments))
    if "--data" not in words:
        return ""
    folder = Path(job.cwd, words["--data"])
    try:
        return Dataset.open(folder).name
    except WtalError:
        return folder.name


def _of_run(key: str, entry: RunEntry, job: Job | None) -> Training:
    bare = Training(key, entry.folder, entry.name, entry.method, entry.dataset_name, job=job)
    if entry.error:
        return replace(bare, message=entry.error)
    score: float | None = None
    try:
        run = Run.open(entry.folder)
        status = run.status()
        score = next((finite_or_none(e.get("average")) for e in stored_evaluations(run)), None)
    except WtalError as error:
        return replace(bare, message=str(error))
    beat = finite_or_none(status.get("heartbeat")) or 0.0
    state, message = str(status["state"]), str(status.get("message") or "")
    if job is not None:
        how = job.status()
        state, message = _joined(state, message, _resumed_by_hand(status, beat, job, how), how)
    if state in ("finished", "created") and message.startswith("imported"):
        message = ""
    return replace(
        bare,
        state=state,
        message=message,
        step=int(finite_or_none(status.get("step")) or 0),
        steps=int(finite_or_none(status.get("steps")) or 0),
        eta_seconds=finite_or_none(status.get("eta_seconds")),
        score=score,
        when=(job.created if job is not None and state == "queued" else 0) or beat or _made(entry.folder),
        resumable=run.checkpoint_path("last").is_file(),
    )


def _resumed_by_hand(status: Mapping[str, Any], beat: float, job: Job, how: JobStatus) -> bool:
    """Whether the run was heard of after its last job had ended; nobody saw when one that crashed did."""
    if how.ended is not None:
        return beat > how.ended + 1.0
    own = read_record(job.folder / "process.json")
    another = any(status.get(key) != own.get(key) for key in ("pid", "host", "process_start"))
    return how.state == "crashed" and another and beat > (how.started or 0.0)


def _joined(state: str, message: str, later: bool, job: JobStatus) -> tuple[str, str]:
    """Return what run and job say together; the job knows more unless the run was heard of `later`."""
    if job.open:
        return job.state, ""
    if job.state == "cancelled" or later or state == "running":
        return state, message
    if job.state in ("failed", "crashed"):
        return job.state, job.message
    return ("stopped" if job.state == "stopped" and state in ("created", "crashed") else state), message


def _made(folder: Path) -> float:
    try:
        return (folder / "run.yaml").stat().st_mtime // 60 * 60  # what was copied together stays in the order of names
    except OSError:
        return time.time()
