"""Who a process is: on Linux by /proc, elsewhere (macOS) by `ps` and `sysctl`, which is rehearsed here."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wtal_core import processes
from wtal_core.processes import identity, liveness, start_token


@pytest.fixture(params=["here", "without /proc"])
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This system, and one that tells of processes by `ps` alone."""
    if request.param == "without /proc":
        if shutil.which("ps") is None:
            pytest.skip("there is no ps here")
        monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
    forget()
    yield request.param
    forget()


def forget() -> None:
    processes._boot.cache_clear()
    processes._own_token.cache_clear()


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A Mac: no /proc, `ps`, and a `sysctl` that says which start of the machine this is."""
    if shutil.which("ps") is None:
        pytest.skip("there is no ps here")
    programs = tmp_path / "bin"
    programs.mkdir()

    def started(session: str) -> None:
        file = programs / "sysctl"
        file.write_text(f'#!/bin/sh\n[ "$*" = "-n kern.bootsessionuuid" ] && echo {session}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        forget()

    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
    monkeypatch.setattr(sys, "platform", "darwin")
    started("5E6F")
    yield started
    forget()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def gone(process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 10
    while start_token(process.pid) is not None and time.monotonic() < until:
        time.sleep(0.02)
    return start_token(process.pid) is None


def test_a_process_number_that_was_given_away_is_not_taken_for_the_process(
    system: str, child: subprocess.Popen[bytes]
) -> None:
    record = identity(child.pid)
    assert record["process_start"]
    assert liveness(record) is True
    assert liveness({**record, "process_start": "another"}) is False
    assert liveness({**record, "process_start": None}) is True
    child.kill()
    assert gone(child), "a zombie counts as gone"
    assert liveness(record) is False
    child.wait()
    assert liveness(record) is False
    assert liveness({**record, "host": "elsewhere"}) is None


@pytest.mark.parametrize("pid", [None, "7", -1, 0, True, 2**22 + 5])
def test_nonsense_is_no_process(pid: Any, system: str) -> None:
    assert liveness({"pid": pid}) is False


def test_one_is_alive_oneself(system: str) -> None:
    assert identity() == identity(os.getpid())
    assert liveness(identity()) is True


def test_ps_is_asked_as_posix_reads_it(mac: Any, tmp_path: Path) -> None:
    """What follows "=" is a heading, with all its commas: BSD takes one such column for each -o."""
    file = tmp_path / "bin" / "ps"
    file.write_text(f"""#!/bin/sh
for word in "$@"; do
  case "$word" in *=*,*) echo "${{word#*=}}"; echo S; exit ;; esac
done
exec {shutil.which("ps")} "$@"
""")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    assert start_token(os.getpid()) is not None


def test_a_start_is_the_same_text_in_another_time_zone_and_language(mac: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before = start_token(os.getpid())
    monkeypatch.setenv("TZ", "America/Lima")
    monkeypatch.setenv("LC_ALL", "C")
    assert before == start_token(os.getpid()) is not None


def test_a_mac_that_changes_its_name_with_the_network_is_the_same(
    mac: Callable[[str], None], child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = identity(child.pid)
    monkeypatch.setattr(platform, "node", lambda: "host-27.hotel.example")
    assert liveness(record) is True
    child.kill()
    assert gone(child)
    assert liveness(record) is False
    mac("77AA")  # another machine, or this one started again under another name: nobody knows
    assert liveness(record) is None
    assert liveness({**record, "host": "host-27.hotel.example"}) is False


def test_a_mac_that_does_not_say_its_session_goes_by_its_name(
    mac: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mac("")
    record = identity()
    assert liveness(record) is True
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    assert liveness(record) is None


def test_heartbeats_do_not_ask_ps_each_time(mac: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    answer = processes._said_by
    monkeypatch.setattr(processes, "_said_by", lambda *command: asked.append(command) or answer(*command))
    assert len({str(identity()) for _ in range(5)}) == 1
    assert [command[0] for command in asked].count("ps") == 1
