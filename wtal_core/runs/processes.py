"""Who a process is, so that a number that the system gave to another process is not taken for it."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wtal_core.errors import WtalError
from wtal_core.files import read_json

__all__ = ["Liveness", "identity", "liveness", "read_record", "start_token"]

#: What can be said about a process: it runs, it does not, or it belongs to another machine.
Liveness = bool | None


@functools.cache
def _boot() -> str:
    """Return a text that changes when the machine is restarted ("" where the system does not say)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def start_token(pid: int) -> str | None:
    """Return when a process started, as a text to compare, or None if there is no such process (or it is a zombie)."""
    if pid <= 0:
        return None
    proc = Path("/proc/self/stat")
    if proc.exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the name in brackets may hold spaces; state is the field after it
        if len(fields) < 20 or fields[0] in ("Z", "X"):
            return None
        return f"{_boot()}:{fields[19]}"  # proc(5), field 22: ticks since the machine started
    try:
        found = subprocess.run(
            ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    state, _, started = found.partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def identity(pid: int | None = None) -> dict[str, Any]:
    """Return what `liveness` needs to find a process (default: this one) again, as plain values."""
    pid = os.getpid() if pid is None else pid
    return {"pid": pid, "host": platform.node(), "process_start": start_token(pid)}


def liveness(record: Mapping[str, Any]) -> Liveness:
    """Return whether the process of an `identity` runs; None if it ran on another machine.

    Records without a start time (of older runs) are judged by the process number alone.
    """
    pid = record.get("pid")
    if record.get("host") not in (None, "", platform.node()):
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
