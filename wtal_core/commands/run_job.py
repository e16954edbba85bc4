"""The process that is a job: it says who it is, runs the command, and writes how it ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from wtal_core.cli import as_process
from wtal_core.commands.requests import command_line, command_of
from wtal_core.files import write_json
from wtal_core.jobs.job import Job
from wtal_core.processes import identity

__all__ = ["claim", "execute"]


def claim(mine: Path, name: Path) -> None:
    """Give a file a name that nobody else has taken; raises FileExistsError where somebody has."""
    try:
        os.link(mine, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, e.g. exFAT
        with name.open("x", encoding="utf-8") as file:
            file.write(mine.read_text(encoding="utf-8"))


def execute(folder: Path) -> int:
    """Be the job: say who one is, run the command, write how it ended."""
    job = Job.read(folder)
    mine = folder / f".process-{os.getpid()}.json"
    write_json(mine, {**identity(), "started": time.time()})
    try:
        claim(mine, folder / "process.json")
    except FileExistsError:  # another process is this job already
        return 0
    finally:
        mine.unlink(missing_ok=True)
    if job.asked("cancelled") or job.asked("kill"):
        write_json(folder / "exit.json", {"code": 1, "ended": time.time()})
        (folder / "stop").touch()
        return 1
    code = 1

    def work() -> int:
        command = command_of(job.request, job.file)
        print(f"# {time.strftime('%Y-%m-%d %H:%M:%S')}  {command_line(job.request)}", flush=True)
        return int(command.run() or 0)

    try:
        os.chdir(job.cwd)
        code = as_process(work)
    except OSError as error:
        print(f"error: {job.cwd}: cannot be entered: {error.strerror or error}.", flush=True)
    finally:
        write_json(folder / "exit.json", {"code": code, "ended": time.time()})
    return code


if __name__ == "__main__":
    sys.exit(execute(Path(sys.argv[1])))
