"""One job: its files, how it is, how far it is."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from wtal_core.documents import to_yaml
from wtal_core.errors import DataError, WtalError
from wtal_core.files import read_yaml, write_text
from wtal_core.processes import SILENT_SECONDS, liveness, read_record
from wtal_core.settings import build, check
from wtal_core.snippet_grid import finite_or_none

__all__ = ["ENDED", "Job", "JobStatus", "Progress", "log_tail"]

#: States that a job does not leave any more.
ENDED = ("finished", "stopped", "failed", "crashed", "cancelled")

_INTERRUPTED = (130, 143)  # exit codes: by SIGINT, by SIGTERM


def log_tail(path: str | os.PathLike[str], lines: int = 20, *, most_bytes: int = 65536) -> list[str]:
    """Return the last lines of a log, [] where there is none yet."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - most_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n") if line.strip()][-lines:]


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        description: what it is doing.
        done, total: units finished, and in all (None where that is not known).
        updated: when that was said, seconds since 1970.
    """

    description: str
    done: float
    total: float | None
    updated: float

    @property
    def fraction(self) -> float | None:
        """Share that is done, in [0, 1]; None where the total is not known."""
        return None if not self.total else min(max(self.done / self.total, 0.0), 1.0)


@dataclass(frozen=True)
class JobStatus:
    """How a job is.

    Args:
        state: queued | running | stopping | finished | stopped | failed | crashed | cancelled.
        pid: process number while it runs.
        started, ended: seconds since 1970, None where it has not, or where nobody saw it.
        exit_code: exit code of the command, None where there is none.
        message: what went wrong, "" where nothing did.
    """

    state: str
    pid: int | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    message: str = ""

    @property
    def open(self) -> bool:
        """Whether something still has to happen."""
        return self.state not in ENDED


@dataclass(frozen=True)
class Job:
    """One command to be run, as `job.yaml` holds it.

    Args:
        folder: where its files are; its name is the job's id, and sorts by the time of submission.
        request: the command and its options as plain values, e.g. `{command: train, method: hamnet, ...}`.
        title: for people.
        slot: jobs of one slot run one after the other; usually the device.
        cwd: folder that relative paths in the request start from.
        log: file that its output is appended to.
        result: file or folder that it makes, "" where it makes none.
        created: when it was submitted, seconds since 1970.
    """

    folder: Path
    request: Mapping[str, Any]
    title: str
    slot: str
    cwd: str
    log: str
    result: str = ""
    created: float = 0.0

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read a job's folder.

        Raises:
            DataError: `job.yaml` is missing or not a job.
        """
        file = folder / "job.yaml"
        try:
            changed = file.stat().st_mtime_ns
        except OSError as error:
            old = (folder / "job.json").is_file()
            raise DataError(
                "is a job of an earlier version, which this one cannot run" if old else "holds no job",
                expected="job.yaml",
                where=folder,
                next_step="Queue its command again, and remove this folder",
            ) from error
        return _read(folder, changed)

    def write(self) -> None:
        """Write `job.yaml`.

        Raises:
            DataError: it cannot be written.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "folder"}
        values["request"] = dict(self.request)
        write_text(self.file, to_yaml(values))

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def file(self) -> Path:
        """Path of `job.yaml`."""
        return self.folder / "job.yaml"

    @property
    def command(self) -> str:
        """Words of the command, e.g. "train"; a training is stopped by its run's stop file."""
        return str(self.request.get("command", ""))

    @property
    def target(self) -> Path | None:
        """Absolute path of the result, None where it makes none."""
        return Path(self.cwd, self.result).resolve() if self.result else None

    @property
    def progress(self) -> Progress | None:
        """How far it is, None where it has not said."""
        value = read_record(self.folder / "progress.json")
        try:
            total = value.get("total")
            return Progress(
                str(value["description"]),
                float(value["done"]),
                None if total is None else float(total),
                float(value["updated"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def asked(self, what: str) -> bool:
        """Return whether somebody asked to "stop", "kill" or "cancelled" it."""
        return (self.folder / what).exists()

    def status(self) -> JobStatus:
        """Find out how the job is, from its files and the process table."""
        leave = read_record(self.folder / "exit.json")
        process = read_record(self.folder / "process.json")
        started = finite_or_none(process.get("started"))
        if not process and not leave:
            return JobStatus("cancelled") if self.asked("cancelled") else JobStatus("queued")
        pid = process.get("pid") if isinstance(process.get("pid"), int) else None
        if not leave:
            alive = liveness(process)
            if alive or (alive is None and time.time() - self._last_heard() < SILENT_SECONDS):
                return JobStatus("stopping" if self.asked("stop") else "running", pid, started)
            leave = read_record(self.folder / "exit.json")  # it may have ended between the two looks
        if not leave:
            if self.asked("kill"):
                return JobStatus("stopped", None, started, message="ended at once")
            return JobStatus("crashed", None, started, message="the process is gone without a word; see the log")
        code = leave.get("code") if isinstance(leave.get("code"), int) else 1
        ended = finite_or_none(leave.get("ended"))
        stopped = self.asked("stop") or self.asked("kill") or code in _INTERRUPTED
        state = "finished" if code == 0 else "stopped" if stopped else "failed"
        message = str(leave.get("message") or self._complaint()) if state == "failed" else ""
        return JobStatus(state, None, started, ended, code, message)

    def _last_heard(self) -> float:
        """Return when the job last wrote something, seconds since 1970."""
        files = [self.folder / "process.json", self.folder / "progress.json", Path(self.log)]
        files += [Path(self.cwd, self.result) / "status.json"] if self.result else []
        heard = 0.0
        for file in files:
            with contextlib.suppress(OSError):
                heard = max(heard, file.stat().st_mtime)
        return heard

    def run_state(self) -> str:
        return str(read_record(Path(self.cwd, self.result) / "status.json").get("state", ""))

    def _complaint(self) -> str:
        """Return the last error line of the log."""
        tail = log_tail(self.log, 60)
        errors = [line for line in tail if re.match(r"(internal )?error: ", line)]
        return (errors or tail or ["it left no message"])[-1]


@functools.lru_cache(maxsize=512)
def _read(folder: Path, changed: int) -> Job:
    """Read `job.yaml`, which is written once: pages ask every second."""
    file = folder / "job.yaml"
    values = read_yaml(file, "a job")
    try:
        return build(Job, {**(values if isinstance(values, dict) else {}), "folder": folder}, file)
    except WtalError as error:
        raise DataError(f"is not a job: {error}", where=file, next_step="Remove the job's folder") from error
