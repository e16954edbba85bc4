"""Run long commands beside the app: a queue of jobs on disk, and a worker process for each device that works it off.

A job is one `wtal` command. It lives in a folder and is described by files that are written once, so that whoever looks
(a page, another server, the command line) finds the same and nothing has to be told when a process dies::

    <home>/.wtal/jobs/<id>/  job.json       what to do: arguments, device, log, result; written by who submits it
                             process.json   who does it: process number, machine, start time; written by the job itself
                             progress.json  how far it is (`wtal_core.progress`)
                             exit.json      how it ended; without it and without a process, the job has crashed
                             cancelled  stop  kill       what people ask for

A worker takes the jobs of one device one after the other and ends when there are none. It is a session of its own:
closing the page or stopping the server leaves it and its job alone. If the worker itself is killed, its job goes on,
and the next worker waits for that job before it takes another.

This module imports nothing heavy: worker processes stay small.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.files import read_json, write_json
from wtal_core.progress import PROGRESS_VARIABLE
from wtal_core.runs.processes import SILENT_SECONDS, identity, liveness, read_record

__all__ = [
    "ENDED",
    "Job",
    "JobStatus",
    "Progress",
    "Queue",
    "command_line",
    "log_tail",
]

#: States that a job does not leave any more.
ENDED = ("finished", "stopped", "failed", "crashed", "cancelled")

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0  # from asking a command to stop to insisting
_KILL_SECONDS = 5.0  # from ending a process to killing it
_START_SECONDS = 30.0  # a job that is not there so long after it was started has crashed
_KEPT = 100  # ended jobs that are remembered
_INTERRUPTED = (130, 143)  # exit codes: by SIGINT, by SIGTERM
_NICE = 5  # the app stays quick beside a training


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


# -- jobs ---------------------------------------------------------------------------------------------------------


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
        started = _number(process.get("started"))
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
        ended = _number(leave.get("ended"))
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

    def _run_state(self) -> str:
        return str(read_record(Path(self.cwd, self.result) / "status.json").get("state", ""))

    def _complaint(self) -> str:
        """Return the last error line of the log."""
        tail = log_tail(self.log, 60)
        errors = [line for line in tail if re.match(r"(internal )?error: ", line)]
        return (errors or tail or ["it left no message"])[-1]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# -- the queue ----------------------------------------------------------------------------------------------------


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
        """Return all jobs in the order of submission; damaged ones are left out."""
        found = []
        for folder in sorted(self.folder.glob("*/")) if self.folder.is_dir() else []:
            with contextlib.suppress(WtalError):
                found.append(Job.read(folder))
        return found

    def job(self, id: str) -> Job:
        """Return a job by id.

        Raises:
            UsageError: there is none.
        """
        if not re.fullmatch(r"[\w-]+", id) or not (self.folder / id / "job.json").is_file():
            raise UsageError(f"there is no job {id!r}", where=self.folder, next_step="See: wtal jobs list")
        return Job.read(self.folder / id)

    def of_result(self, path: str | os.PathLike[str]) -> Job | None:
        """Return the latest job that makes a file or folder, None where there is none."""
        wanted = Path(path).resolve()
        found = [job for job in self.jobs() if job.result and Path(job.cwd, job.result).resolve() == wanted]
        return found[-1] if found else None

    def waiting(self, slot: str) -> list[Job]:
        """Return the queued jobs of a slot, next one first."""
        return [job for job in self.jobs() if job.slot == slot and job.status().state == "queued"]

    # -- what people do -----------------------------------------------------------------------------------------------

    def submit(
        self,
        arguments: Sequence[str],
        *,
        kind: str,
        title: str = "",
        slot: str = "cpu",
        result: str | os.PathLike[str] = "",
        log: str | os.PathLike[str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> Job:
        """Queue a command and see to it that a worker runs.

        Args:
            arguments: words after `wtal`.
            kind: what it does.
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
            id=name,
            folder=folder,
            kind=kind,
            title=title or command_line(arguments),
            arguments=tuple(arguments),
            slot=slot,
            cwd=str(home),
            log=str(Path(log).resolve() if log else folder / "worker.log"),
            result=os.fspath(result),
            created=stamp,
        )
        with _lock(self.folder / "submit.lock", patience=5.0):  # two windows do not queue the same at once
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
        with _lock(self._lock_file(slot)) as free:
            if not free:
                return
        with (self.folder / "workers.log").open("ab") as log:
            subprocess.Popen(
                [*_PYTHON, "serve", str(self.home), slot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=_environment(),
                start_new_session=True,
            )

    def _lock_file(self, slot: str) -> Path:
        return self.folder / f"worker-{slot.replace(':', '-')}.lock"

    def serve(self, slot: str) -> None:
        """Work off the jobs of a slot; return when there are none, or at once if another worker does it."""
        while True:
            with _lock(self._lock_file(slot), patience=1.0) as mine:
                if not mine:
                    return
                while (job := self._next(slot)) is not None:
                    _Supervisor(job).run()
            # Whoever submitted a job while the lock was held has started no worker: look once more without it.
            if self._next(slot) is None:
                return

    def _next(self, slot: str) -> Job | None:
        """Return what is to be done: a job that runs already (its worker was killed), else the next in the queue."""
        states = [(job, job.status().state) for job in self.jobs() if job.slot == slot]
        running = [job for job, state in states if state in ("running", "stopping")]
        return next(iter([*running, *(job for job, state in states if state == "queued")]), None)


_PYTHON = (sys.executable, "-P", "-m", "wtal_core.runs.worker")


def _environment() -> dict[str, str]:
    """Return the environment of workers and jobs: this one, with the package found and one core left to the app."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != root)]
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    return {"OMP_NUM_THREADS": threads, "COLUMNS": "120", "NO_COLOR": "1", **os.environ,
            "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}  # fmt: skip


@contextlib.contextmanager
def _lock(path: Path, patience: float = 0.0) -> Iterator[bool]:
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


class _Supervisor:
    """Starts a job (or finds it running), does what people ask, and returns when it has ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.child: subprocess.Popen[bytes] | None = None
        self.asked_at: float | None = None
        self.sent: set[int] = set()
        self.killed_at: float | None = None

    def run(self) -> None:
        """Run the job to its end."""
        if self.job.status().state == "queued":
            self._start()
        began = time.monotonic()
        while True:
            gone = self.child is not None and self.child.poll() is not None
            state = self.job.status().state
            if state in ENDED:
                break
            if gone or (state == "queued" and time.monotonic() - began > _START_SECONDS):
                if state == "queued":  # it never got as far as to say who it is
                    code = self.child.returncode if self.child is not None else None
                    write_json(self.job.folder / "exit.json", {"code": code or 1, "ended": time.time()})
                break
            if self.job.asked("kill"):
                self._end_now()
            elif self.job.asked("stop"):
                self._ask_to_stop()
            time.sleep(_POLL_SECONDS)
        self._see_off()
        if self.job.kind == "train" and self.job.asked("stop"):
            self._stop_file.unlink(missing_ok=True)

    def _see_off(self) -> None:
        """Wait for the process to leave after it has said how it ended; one that hangs on its threads is killed."""
        until = time.monotonic() + _KILL_SECONDS
        while liveness(read_record(self.job.folder / "process.json")) is True and time.monotonic() < until:
            if self.child is not None:
                self.child.poll()
            time.sleep(_POLL_SECONDS / 4)
        self.sent.discard(signal.SIGKILL)
        self._send(signal.SIGKILL)
        if self.child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(timeout=_KILL_SECONDS)

    def _start(self) -> None:
        log = Path(self.job.log)
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                self.child = subprocess.Popen(
                    [*_PYTHON, "job", str(self.job.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**_environment(), PROGRESS_VARIABLE: str(self.job.folder / "progress.json")},
                    start_new_session=True,
                )
        except OSError as error:
            value = {"code": 1, "ended": time.time(), "message": str(error)}
            write_json(self.job.folder / "exit.json", value)

    @property
    def _stop_file(self) -> Path:
        return Path(self.job.cwd, self.job.result) / "stop"

    def _ask_to_stop(self) -> None:
        """Ask once more: a run that is just being resumed removes the stop file of its last sitting."""
        if self.job.kind == "train" and self.job._run_state() != "finished":
            if self._stop_file.parent.is_dir():
                self._stop_file.touch()
            return
        self.asked_at = self.asked_at or time.monotonic()
        if time.monotonic() - self.asked_at < _GRACE_SECONDS:
            self._send(signal.SIGINT)
        else:
            self._end_now()

    def _end_now(self) -> None:
        self.killed_at = self.killed_at or time.monotonic()
        late = time.monotonic() - self.killed_at > _KILL_SECONDS
        self._send(signal.SIGKILL if late or self.job.kind == "train" else signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        """Send a signal once, to the job and what it has started, if it still is the process that it was."""
        record = read_record(self.job.folder / "process.json")
        if number in self.sent or liveness(record) is not True:
            return
        self.sent.add(number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(record["pid"]), number)  # the job leads its own session and group


def _claim(mine: Path, name: Path) -> None:
    """Give a file a name that nobody else has taken; raises FileExistsError where somebody has."""
    try:
        os.link(mine, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, e.g. exFAT
        with name.open("x", encoding="utf-8") as file:
            file.write(mine.read_text(encoding="utf-8"))


def _execute(folder: Path) -> int:
    """Be the job: say who one is, run the command, write how it ended."""
    job = Job.read(folder)
    mine = folder / f".process-{os.getpid()}.json"
    write_json(mine, {**identity(), "started": time.time()})
    try:
        _claim(mine, folder / "process.json")
    except FileExistsError:  # another process is this job already
        return 0
    finally:
        mine.unlink(missing_ok=True)
    if job.asked("cancelled") or job.asked("kill"):
        write_json(folder / "exit.json", {"code": 1, "ended": time.time()})
        (folder / "stop").touch()
        return 1
    code = 1
    try:
        print(f"# {time.strftime('%Y-%m-%d %H:%M:%S')}  {job.command}", flush=True)
        os.chdir(job.cwd)
        sys.argv = ["wtal", *job.arguments]
        code = importlib.import_module("wtal_core.cli").as_process()
    except OSError as error:
        print(f"error: {job.cwd}: cannot be entered: {error.strerror or error}.", flush=True)
    finally:
        write_json(folder / "exit.json", {"code": code, "ended": time.time()})
    return code


def main(arguments: Sequence[str]) -> int:
    """Be a worker (`serve HOME SLOT`) or a job (`job FOLDER`)."""
    if arguments[0] == "job":
        return _execute(Path(arguments[1]))
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    Queue(arguments[1]).serve(arguments[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
