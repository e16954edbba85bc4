"""`make app` sets up what it needs, and says what is missing, on Linux and on a Mac, which is rehearsed here.

The Makefile runs in a folder of its own with nothing on PATH but POSIX programs and a `python3` that is of any version
on any machine, and that notes what it is asked to install or start.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")

_PROGRAMS = ("sh", "cat", "cp", "env", "mkdir", "printf", "rm", "test", "touch")
_PYTHON = """#!/bin/sh
case "$*" in
  --version) echo "Python {version}"; exit ;;
  "-m venv"*) echo "venv {version}" >> {log}; rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit ;;
  "-m pip"*) echo "pip {version}" >> {log}; exit {pip} ;;
  "-m "*) echo "$2" >> {log}; exit ;;
esac
exec env PYTHONPATH={folder} {real} "$@"
"""
_CUSTOM = """
import ensurepip, platform, sys, venv  # before the system is another one
sys.version_info, sys.platform = {version}, {system!r}
platform.machine, platform.mac_ver = lambda: {machine!r}, lambda: ({macos!r}, ("", "", ""), {machine!r})
{more}
"""


class Machine:
    """A checkout with spaces in its path, and the programs there are."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.programs, self.log = folder / "check out" / "wtal", folder / "bin", folder / "log"
        self.checkout.mkdir(parents=True)
        self.programs.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(REPOSITORY / name, self.checkout)
        for name in _PROGRAMS:
            if found := shutil.which(name):
                (self.programs / name).symlink_to(found)
        self.system = ""
        self.is_called("Linux")

    def is_called(self, system: str) -> None:
        """Say what `uname` says."""
        self.system = system
        self.has("uname", f"echo {system}")

    def has(self, name: str, script: str = "") -> None:
        """Install a program."""
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def has_python(
        self,
        version: str = "3.12.4",
        name: str = "python3",
        *,
        machine: str = "arm64",
        macos: str = "14.5",
        pip: int = 0,
        without: str = "",
    ) -> None:
        """Install a Python of a version; `without` is a module that it lacks."""
        folder = self.programs.parent / f"{name}-{version}"
        folder.mkdir()
        numbers = tuple(map(int, version.split(".")))
        mac = self.system == "Darwin"
        (folder / "sitecustomize.py").write_text(
            _CUSTOM.format(
                version=numbers,
                system="darwin" if mac else "linux",
                machine=machine,
                macos=macos if mac else "",
                more=f"sys.modules[{without!r}] = None" if without else "",
            )
        )
        (folder / "pip.py").write_text("")
        script = _PYTHON.format(
            version=version,
            log=shlex.quote(str(self.log)),
            folder=shlex.quote(str(folder)),
            real=sys.executable,
            pip=pip,
        )
        (self.programs / name).write_text(script)
        (self.programs / name).chmod(0o755)

    def make(self, *words: str, expected: int = 0) -> str:
        """Run make; returns what it said."""
        done = subprocess.run(
            [str(shutil.which("make")), *words],
            cwd=self.checkout,
            env={"PATH": str(self.programs), "HOME": str(self.checkout.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == (expected != 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def did(self) -> list[str]:
        """What the Pythons did since the last look."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture(params=["Linux", "Darwin"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.is_called(request.param)
    return machine


@pytest.fixture
def mac(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.is_called("Darwin")
    return machine


def test_the_first_time_it_installs_and_the_second_it_starts_at_once(machine: Machine) -> None:
    machine.has_python("3.12.4")
    machine.make("app")
    assert machine.did == ["venv 3.12.4", "pip 3.12.4", "streamlit"]
    machine.make("app")
    assert machine.did == ["streamlit"]
    machine.make("test")
    assert machine.did == ["ruff", "ruff", "mypy", "pytest", "pytest"]
    os.utime(machine.checkout / "constraints.txt", (2e9, 2e9))
    machine.make("types")
    assert machine.did == ["pip 3.12.4", "mypy"]


def test_a_checkout_that_was_moved_is_installed_again(machine: Machine) -> None:
    machine.has_python("3.12.4")
    machine.make("lint")
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("other"))
    assert machine.did
    machine.make("lint")
    assert machine.did == ["pip 3.12.4", "ruff", "ruff"]
    machine.make("lint")
    assert machine.did == ["ruff", "ruff"]


def test_a_python_that_is_gone_or_another_one_makes_the_environment_anew(machine: Machine) -> None:
    machine.has_python("3.12.4")
    machine.make("types")
    (machine.checkout / ".venv/bin/python").unlink()  # brew removes what it has upgraded
    machine.has_python("3.13.1")
    assert machine.did
    machine.make("types")
    assert machine.did == ["venv 3.13.1", "pip 3.13.1", "mypy"]
    machine.has_python("3.11.9", "python3.11")
    os.utime(machine.checkout / "pyproject.toml", (2e9, 2e9))
    machine.make("types", "PYTHON=python3.11")
    assert machine.did == ["venv 3.11.9", "pip 3.11.9", "mypy"]


def test_an_installation_that_failed_is_tried_again(machine: Machine) -> None:
    machine.has_python("3.12.4", pip=1)
    assert "error: the packages could not be installed" in (said := machine.make("app", expected=2))
    assert "wheels" not in said
    assert machine.did == ["venv 3.12.4", "pip 3.12.4"]
    (machine.checkout / ".venv/bin/python").unlink()
    shutil.rmtree(machine.programs.parent / "python3-3.12.4")
    machine.has_python("3.12.4")
    machine.make("app")
    assert machine.did == ["venv 3.12.4", "pip 3.12.4", "streamlit"]


def test_the_newest_python_is_passed_over_for_one_that_all_packages_know(machine: Machine) -> None:
    machine.has_python("3.15.0")
    machine.has_python("3.13.2", "python3.13")
    machine.make("types")
    assert machine.did == ["venv 3.13.2", "pip 3.13.2", "mypy"]


def test_what_macs_bring_along_is_too_old_and_passed_over(mac: Machine) -> None:
    mac.has_python("3.9.6")
    mac.has_python("3.12.4", "python3.12")
    mac.make("types")
    assert mac.did == ["venv 3.12.4", "pip 3.12.4", "mypy"]


def test_alone_the_newest_is_tried_and_the_reason_given(machine: Machine) -> None:
    machine.has("brew")
    machine.has_python("3.15.0", pip=1)
    said = machine.make("app", expected=2)
    assert "wheels for Python 3.15.0" in said
    assert "brew install python@3.13" in said
    assert machine.did == ["venv 3.15.0", "pip 3.15.0"]


@pytest.mark.parametrize(
    ("system", "manager", "command"),
    [
        ("Linux", "apt-get", "  sudo apt-get install {apt}"),
        ("Linux", "dnf", "  sudo dnf install {dnf}"),
        ("Linux", "", "Debian, Ubuntu: sudo apt-get install {apt}    Fedora: sudo dnf install {dnf}"),
        ("Darwin", "brew", "  brew install {brew}"),
        ("Darwin", "", "  brew install {brew}\n  (brew is missing too: https://brew.sh)"),
    ],
)
@pytest.mark.parametrize(
    ("python", "problem", "names"),
    [
        ({}, "'python3' was not found", ("python3 python3-venv", "python3", "python@3.12")),
        (
            {"version": "3.9.6"},
            "Python 3.11 or newer is needed, python3 is Python 3.9.6",
            ("python3.11 python3.11-venv", "python3.12", "python@3.12"),
        ),
        (
            {"version": "3.13.2", "without": "ensurepip"},
            "python3 cannot make virtual environments",
            ("python3.13-venv", "python3.13", "python@3.13"),
        ),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    tmp_path: Path,
    system: str,
    manager: str,
    command: str,
    python: dict[str, str],
    problem: str,
    names: tuple[str, str, str],
) -> None:
    machine = Machine(tmp_path)
    machine.is_called(system)
    if manager:
        machine.has(manager)
    if python:
        machine.has_python(**python)  # type: ignore[arg-type]
    said = machine.make("app", expected=2)
    assert problem in said
    assert command.format(apt=names[0], dnf=names[1], brew=names[2]) in said
    assert "once more: make app" in said
    assert machine.did == []
    assert not (machine.checkout / ".venv").exists()


@pytest.mark.parametrize(("machine_name", "macos"), [("x86_64", "14.5"), ("arm64", "13.6.1")])
def test_macs_that_pytorch_is_not_made_for_are_told_at_once(mac: Machine, machine_name: str, macos: str) -> None:
    mac.has_python("3.12.4", machine=machine_name, macos=macos)
    said = mac.make("app", expected=2)
    assert f"python3 runs on {machine_name}, macOS {macos}." in said
    assert "make PYTHON=/opt/homebrew/bin/python3.12 app" in said
    assert mac.did == []


@pytest.mark.parametrize(
    "macos", ["14.0", "26.1", "10.16"]
)  # the last is what an old build of Python takes them all for
def test_other_macs_go_on(mac: Machine, macos: str) -> None:
    mac.has_python("3.12.4", macos=macos)
    mac.make("types")
    assert mac.did[-1] == "mypy"
