"""Who a process is, so that a number that the system gave to another process is not taken for it."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wtal_core.errors import WtalError
from wtal_core.files import read_json

__all__ = ["SILENT_SECONDS", "Liveness", "identity", "liveness", "read_record", "start_token"]

#: What can be said about a process: it runs, it does not, or it belongs to another machine.
Liveness = bool | None

#: A process of another machine that has written nothing for so long is taken for dead.
SILENT_SECONDS = 600.0

_PROC = Path("/proc")  # where Linux tells of processes; macOS has none


@functools.cache
def _boot() -> str:
    """Return a text that changes when the machine is restarted ("" where the system does not say)."""
    if sys.platform == "darwin":
        return _said_by("sysctl", "-n", "kern.bootsessionuuid")
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _said_by(*command: str) -> str:
    """Return what a program of the system writes, in the same words for everybody; "" where it cannot be asked."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}  # else a time reads otherwise after a journey
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def start_token(pid: int) -> str | None:
    """Return when a process started, as a text to compare, or None if there is no such process (or it is a zombie)."""
    if pid <= 0:
        return None
    if (_PROC / "self/stat").exists():
        try:
            text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the name in brackets may hold spaces; state is the field after it
        if len(fields) < 20 or fields[0] in ("Z", "X"):
            return None
        return f"{_boot()}:{fields[19]}"  # proc(5), field 22: ticks since the machine started
    # One column for each -o: after "=" POSIX takes the rest, commas included, for the heading.
    state, _, started = _said_by("ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)).partition(" ")
    return None if not started or state.startswith("Z") else f"{_boot()}:{started.strip()}"


@functools.cache
def _own_token(pid: int) -> str | None:
    return start_token(pid)


def identity(pid: int | None = None) -> dict[str, Any]:
    """Return what `liveness` needs to find a process (default: this one) again, as plain values."""
    # Heartbeats say it every second or so, and asking `ps` takes a while: one's own start does not change.
    token = _own_token(os.getpid()) if pid is None else start_token(pid)
    return {"pid": os.getpid() if pid is None else pid, "host": platform.node(), "process_start": token}


def _elsewhere(record: Mapping[str, Any]) -> bool:
    """Whether the record was made on another machine. A Mac is called otherwise in another network."""
    if record.get("host") in (None, "", platform.node()):
        return False
    boot = _boot() if sys.platform == "darwin" else ""
    return not boot or not str(record.get("process_start")).startswith(f"{boot}:")


def liveness(record: Mapping[str, Any]) -> Liveness:
    """Return whether the process of an `identity` runs; None if it ran on another machine.

    Records without a start time (of older runs) are judged by the process number alone.
    """
    pid = record.get("pid")
    if _elsewhere(record):
        return None
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    now, then = start_token(pid), record.get("process_start")
    return now is not None and (then is None or now == then)


def read_record(path: Path) -> dict[str, Any]:
    """Read a small JSON object that tells of a process; {} where it is missing or damaged."""
    try:
        value = read_json(path)
    except WtalError:
        return {}
    return value if isinstance(value, dict) else {}
