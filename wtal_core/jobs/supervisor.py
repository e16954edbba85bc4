"""The processes behind the queue: a worker that sees jobs to their end, and the job itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wtal_core.files import write_json
from wtal_core.jobs.job import ENDED, Job
from wtal_core.jobs.queue import Queue, environment, python
from wtal_core.processes import liveness, read_record
from wtal_core.progress import PROGRESS_VARIABLE

__all__ = ["Supervisor", "serve"]

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0  # from asking a command to stop to insisting
_KILL_SECONDS = 5.0  # from ending a process to killing it
_START_SECONDS = 30.0  # a job that is not there so long after it was started has crashed
_NICE = 5  # the app stays quick beside a training


class Supervisor:
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
        if self.job.command == "train" and self.job.asked("stop"):
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
                    [*python("wtal_core.commands.run_job"), str(self.job.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environment(), PROGRESS_VARIABLE: str(self.job.folder / "progress.json")},
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
        if self.job.command == "train" and self.job.run_state() != "finished":
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
        self._send(signal.SIGKILL if late or self.job.command == "train" else signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        """Send a signal once, to the job and what it has started, if it still is the process that it was."""
        record = read_record(self.job.folder / "process.json")
        if number in self.sent or liveness(record) is not True:
            return
        self.sent.add(number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(record["pid"]), number)  # the job leads its own session and group


def serve(queue: Queue, slot: str) -> None:
    """Work off the jobs of a slot; return when there are none, or at once if another worker does it."""
    while True:
        with queue.worker_lock(slot, patience=1.0) as mine:
            if not mine:
                return
            while (job := queue.next(slot)) is not None:
                Supervisor(job).run()
        # Whoever submitted a job while the lock was held has started no worker: look once more without it.
        if queue.next(slot) is None:
            return


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    serve(Queue(sys.argv[1]), sys.argv[2])
