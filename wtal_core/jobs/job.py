"""One job: its files, how it is, how far it is."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from wtal_core.errors import DataError
from wtal_core.files import read_json, write_json
from wtal_core.processes import SILENT_SECONDS, liveness, read_record
from wtal_core.snippet_grid import finite_or_none

__all__ = ["ENDED", "Job", "JobStatus", "Progress", "command_line", "log_tail"]

#: States that a job does not leave any more.
ENDED = ("finished", "stopped", "failed", "crashed", "cancelled")

_INTERRUPTED = (130, 143)  # exit codes: by SIGINT, by SIGTERM


def command_line(arguments: Sequence[str]) -> str:
    """Return the command that does the same in a shell."""
    return shlex.join(["wtal", *arguments])


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
    """One command to be run, as `job.json` holds it.

    Args:
        id: name of its folder; sorts by the time of submission.
        folder: where its files are.
        kind: what it does, e.g. "train", "extract", "infer"; a "train" job is stopped by the run's stop file.
        title: for people.
        arguments: words after `wtal`.
        slot: jobs of one slot run one after the other; usually the device.
        cwd: folder that relative paths in the arguments start from.
        log: file that its output is appended to.
        result: file or folder that it makes, "" where it makes none.
        created: when it was submitted, seconds since 1970.
    """

    id: str
    folder: Path
    kind: str
    title: str
    arguments: tuple[str, ...]
    slot: str
    cwd: str
    log: str
    result: str = ""
    created: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read a job's folder.

        Raises:
            DataError: `job.json` is missing or not a job.
        """
        file = folder / "job.json"
        values = read_json(file, "a job")
        known = {item.name for item in fields(cls)} - {"id", "folder"}
        texts = ("kind", "title", "slot", "cwd", "log")
        if (
            not isinstance(values, dict)
            or not set(values) <= known
            or not all(isinstance(values.get(k), str) for k in texts)
            or not isinstance(values.get("arguments"), list)
            or not all(isinstance(a, str) for a in values["arguments"])
        ):
            raise DataError(
                "is not a job", expected=", ".join(sorted(known)), where=file, next_step="Remove the job's folder"
            )
        return cls(id=folder.name, folder=folder, **{**values, "arguments": tuple(values["arguments"])})

    def write(self) -> None:
        """Write `job.json`.

        Raises:
            DataError: it cannot be written.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("id", "folder")}
        write_json(self.folder / "job.json", values)

    @property
    def command(self) -> str:
        """The command that does the same in a shell."""
        return command_line(self.arguments)

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
        if self.result:
            files.append(Path(self.cwd, self.result) / "status.json")
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
