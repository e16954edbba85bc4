"""`wtal jobs list | add | stop | log`: commands that run in the background, one after the other on each device."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError, WtalError

if TYPE_CHECKING:
    from wtal_core.jobs.job import Job

__all__ = ["AddJob", "ListJobs", "LogJob", "StopJob"]


def _clock(value: float | None) -> str:
    return "-" if value is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(value))


def _line(job: Job) -> str | None:
    """Return what does the same in a shell, None where the request cannot be carried out."""
    from wtal_core.commands.requests import command_line

    try:
        return command_line(job.request)
    except WtalError:
        return None


@dataclass(frozen=True)
class ListJobs:
    """List the jobs of this workspace ($WTAL_HOME, else the current folder) with their state."""

    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """List."""
        from wtal_core.jobs.queue import Queue

        queue = Queue()
        rows: list[dict[str, Any]] = []
        for job in queue.jobs():
            status, progress = job.status(), job.progress
            rows.append({
                "id": job.id, "state": status.state, "slot": job.slot, "title": job.title, "request": job.request,
                "command": _line(job) if self.as_json else "", "started": status.started, "ended": status.ended,
                "exit_code": status.exit_code, "fraction": progress.fraction if progress else None, "log": job.log,
                "message": status.message,
            })  # fmt: skip
        for id, error in queue.unreadable().items():
            print(f"note: {id}: {error}", file=sys.stderr)
        if self.as_json:
            print_json(rows)
        elif not rows:
            print("no jobs; add one with: wtal jobs add train METHOD --data DATASET --out RUN")
        else:
            columns = ["job", "state", "on", "started", "done", "what"]
            done = ("-" if r["fraction"] is None else f"{r['fraction']:.0%}" for r in rows)
            print_table(
                columns,
                [
                    (r["id"], r["state"], r["slot"], _clock(r["started"]), d, r["title"])
                    for r, d in zip(rows, done, strict=True)
                ],
            )
        return 0


@dataclass(frozen=True)
class AddJob:
    """Queue a command, e.g. wtal jobs add --slot cuda:0 -- train METHOD --data datasets/x --out runs/x

    It runs in the background, after the earlier jobs of its slot, and goes on when this shell is closed.
    """

    words: Annotated[tuple[str, ...], tyro.conf.Positional]
    """The command, without `wtal`; put -- before it."""
    slot: str = "cpu"
    """Jobs of one slot run one after the other; name the device."""

    def run(self) -> int:
        """Queue it."""
        from wtal_core.commands.requests import command_line, request_of
        from wtal_core.jobs.queue import Queue

        words = self.words[1:] if self.words[:1] == ("wtal",) else self.words
        if not words:
            raise UsageError(
                "no command was given",
                expected="e.g. wtal jobs add -- extract videos --out f.h5",
                next_step="Write the command after --",
            )
        request = request_of(words)
        line = command_line(request)
        if request["command"] == "train":
            out = request["out"]
            title = f"train {request['method']}: {Path(out).name}"
            job = Queue().submit(request, title=title, slot=self.slot, result=out, log=f"{out}/worker.log")
        else:
            job = Queue().submit(request, title=line, slot=self.slot)
        print(f"{job.id}: {line}\nlog: {job.log}")
        return 0


@dataclass(frozen=True)
class StopJob:
    """Stop a running job (a training writes a checkpoint first) or take a queued one out of the queue."""

    id: tyro.conf.Positional[str]
    """The job, as wtal jobs list calls it."""
    now: bool = False
    """End it at once; a training loses the steps since its last checkpoint."""

    def run(self) -> int:
        """Stop it."""
        from wtal_core.jobs.queue import Queue

        queue = Queue()
        job = queue.job(self.id)
        if not job.status().open:
            print(f"{job.id} has ended: {job.status().state}")
            return 0
        (queue.kill if self.now else queue.stop)(job)
        print(f"{job.id}: {job.status().state}")
        return 0


@dataclass(frozen=True)
class LogJob:
    """Print the last lines of a job's log."""

    id: tyro.conf.Positional[str]
    """The job, as wtal jobs list calls it."""
    lines: int = 40
    """How many."""

    def run(self) -> int:
        """Print them."""
        from wtal_core.jobs.job import log_tail
        from wtal_core.jobs.queue import Queue

        if self.lines < 1:
            raise UsageError(
                "--lines is out of range", expected=">= 1", got=str(self.lines), next_step="Give a number of lines"
            )
        for line in log_tail(Queue().job(self.id).log, self.lines):
            print(line)
        return 0
