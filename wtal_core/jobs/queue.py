"""The queue of jobs on disk, and the start of the workers that work it off."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.jobs.job import Job
from wtal_core.settings import plain

__all__ = ["Queue", "environment", "lock", "python"]

_KEPT = 100  # ended jobs that are remembered


class Queue:
    """The jobs of a workspace.

    Args:
        home: the workspace folder; default `$WTAL_HOME`, else the current one.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = Path(home or os.environ.get("WTAL_HOME") or ".").resolve()

    @property
    def folder(self) -> Path:
        """Folder that holds the jobs."""
        return self.home / ".wtal" / "jobs"

    # -- what there is ----------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return all jobs in the order of submission; `unreadable` tells of those that are left out."""
        found = []
        for folder in self._folders():
            with contextlib.suppress(WtalError):
                found.append(Job.read(folder))
        return found

    def unreadable(self) -> dict[str, WtalError]:
        """Return `{id: what is wrong}` of jobs that have not ended and cannot be read, e.g. of an earlier version."""
        found = {}
        for folder in self._folders():
            try:
                Job.read(folder)
            except WtalError as error:
                if not (folder / "exit.json").exists():
                    found[folder.name] = error
        return found

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("*/")) if self.folder.is_dir() else []

    def job(self, id: str) -> Job:
        """Return a job by id.

        Raises:
            UsageError: there is none.
            DataError: it cannot be read.
        """
        if not re.fullmatch(r"[\w-]+", id) or not (self.folder / id).is_dir():
            raise UsageError(f"there is no job {id!r}", where=self.folder, next_step="See: wtal jobs list")
        return Job.read(self.folder / id)

    def of_result(self, path: str | os.PathLike[str]) -> Job | None:
        """Return the latest job that makes a file or folder, None where there is none."""
        wanted = Path(path).resolve()
        return next((job for job in reversed(self.jobs()) if job.target == wanted), None)

    def waiting(self, slot: str) -> list[Job]:
        """Return the queued jobs of a slot, next one first."""
        return [job for job in self.jobs() if job.slot == slot and job.status().state == "queued"]

    # -- what people do -----------------------------------------------------------------------------------------------

    def submit(
        self,
        request: Mapping[str, Any],
        *,
        title: str = "",
        slot: str = "cpu",
        result: str | os.PathLike[str] = "",
        log: str | os.PathLike[str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> Job:
        """Queue a command and see to it that a worker runs.

        Args:
            request: the command and its options as plain values; paths may be `Path`.
            title: for people; default the command.
            slot: usually the device; jobs of one slot run one after the other.
            result: file or folder that it makes.
            log: where its output goes; default `worker.log` in the job's folder.
            cwd: folder that relative paths start from; default the current one.

        Raises:
            UsageError: a job that makes the same result is queued or running.
            DataError: the queue cannot be written.
        """
        home = Path(cwd or ".").resolve()
        if not re.fullmatch(r"[\w:.-]+", slot):
            raise UsageError(
                "is not the name of a slot",
                expected="a device, e.g. cpu or cuda:0",
                got=repr(slot),
                next_step="Name the device the job computes on",
            )
        stamp = time.time()
        micro = int(stamp % 1 * 1e6)
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(stamp))}-{micro:06d}-{secrets.token_hex(2)}"
        folder = self.folder / name
        job = Job(
            folder=folder,
            request=plain(request),
            title=title or str(request["command"]),
            slot=slot,
            cwd=str(home),
            log=str(Path(log).resolve() if log else folder / "worker.log"),
            result=os.fspath(result),
            created=stamp,
        )
        with lock(self.folder / "submit.lock", patience=5.0):  # two windows do not queue the same at once
            if result:
                other = self.of_result(home / result)
                if other is not None and other.status().open:
                    raise UsageError(
                        f"a job that makes it is {other.status().state} already",
                        where=result,
                        next_step="Wait for it, or stop it first",
                    )
            try:
                job.write()
            except DataError:  # a full disk
                shutil.rmtree(folder, ignore_errors=True)
                raise
        self._forget_old()
        self.start_worker(slot)
        return job

    def stop(self, job: Job) -> None:
        """Ask a job to stop: a training writes a checkpoint first, an extraction keeps its finished videos.

        A queued job is cancelled.
        """
        if job.status().state == "queued":
            self.cancel(job)
            if job.status().state == "cancelled":
                return
        (job.folder / "stop").touch()
        self.start_worker(job.slot)

    def kill(self, job: Job) -> None:
        """End a job at once; a training loses the steps since its last checkpoint."""
        (job.folder / "kill").touch()
        self.stop(job)

    def cancel(self, job: Job) -> None:
        """Take a queued job out of the queue; one that has begun is left alone."""
        if job.status().state == "queued":
            (job.folder / "cancelled").touch()

    def forget(self, job: Job) -> None:
        """Delete the record of a job that has ended; what it made stays.

        Raises:
            UsageError: it has not ended.
        """
        if job.status().open:
            raise UsageError("has not ended", where=job.title, next_step="Stop it first")
        shutil.rmtree(job.folder, ignore_errors=True)

    def _forget_old(self) -> None:
        ended = [job for job in self.jobs() if not job.status().open]
        for job in ended[: max(0, len(ended) - _KEPT)]:
            shutil.rmtree(job.folder, ignore_errors=True)

    # -- workers ----------------------------------------------------------------------------------------------------

    def start_workers(self) -> None:
        """See to it that every slot with something to do has a worker, e.g. after the machine was restarted."""
        for slot in {job.slot for job in self.jobs() if job.status().open}:
            self.start_worker(slot)

    def start_worker(self, slot: str) -> None:
        """Start the worker of a slot unless it runs."""
        with self.worker_lock(slot) as free:
            if not free:
                return
        with (self.folder / "workers.log").open("ab") as log:
            subprocess.Popen(
                [*python("wtal_core.jobs.supervisor"), str(self.home), slot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environment(),
                start_new_session=True,
            )

    def worker_lock(self, slot: str, patience: float = 0.0) -> contextlib.AbstractContextManager[bool]:
        """Hold the lock of a slot's worker; the block is told whether it was to be had within `patience` seconds."""
        return lock(self.folder / f"worker-{slot.replace(':', '-')}.lock", patience)

    def next(self, slot: str) -> Job | None:
        """Return what is to be done: a job that runs already (its worker was killed), else the next in the queue."""
        states = [(job, job.status().state) for job in self.jobs() if job.slot == slot]
        running = [job for job, state in states if state in ("running", "stopping")]
        return next(iter([*running, *(job for job, state in states if state == "queued")]), None)


def python(module: str) -> tuple[str, ...]:
    """Return the words that run a module in a process of its own."""
    return (sys.executable, "-P", "-m", module)


def environment() -> dict[str, str]:
    """Return the environment of workers and jobs: this one, with the package found and one core left to the app."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != root)]
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    return {"OMP_NUM_THREADS": threads, "COLUMNS": "120", "NO_COLOR": "1", **os.environ,
            "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}  # fmt: skip


@contextlib.contextmanager
def lock(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold an exclusive lock on a file; yields whether it was to be had within `patience` seconds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror or error}", where=path, next_step="Check permissions and free space"
        ) from error
    with file:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS):
                    break  # a file system without locks, e.g. a network share: better two workers than none
                if time.monotonic() >= until:
                    yield False
                    return
                time.sleep(0.02)
        yield True
