"""Where `wtal bench app` and the browser tests find Chromium, on Linux and on a Mac, which is rehearsed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wtal_core.commands import bench_app
from wtal_core.commands.bench_app import find_chromium
from wtal_core.errors import MissingDependency


def put(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any browser."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("system", "command"),
    [("linux", "sudo apt-get install chromium"), ("darwin", "brew install --cask google-chrome")],
)
def test_where_there_is_none_the_command_of_this_system_is_named(
    nothing: Path, monkeypatch: pytest.MonkeyPatch, system: str, command: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(bench_app, "_MAC_APPS", ("No Browser Of This Name",))
    with pytest.raises(MissingDependency, match=f"Chromium was not found.*{command}"):
        find_chromium()


def test_a_command_comes_first(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    application = put(nothing / "home/Applications/Chromium.app/Contents/MacOS/Chromium")
    monkeypatch.setattr(bench_app, "_MAC_APPS", ("Chromium",))
    if not Path("/Applications/Chromium.app").exists():
        assert find_chromium() == application
    chrome = put(nothing / "bin/google-chrome")
    assert find_chromium() == chrome
    chromium = put(nothing / "bin/chromium")
    assert find_chromium() == chromium
    monkeypatch.setattr(sys, "platform", "linux")
    assert find_chromium() == chromium


def test_the_command_says_that_it_can_do_without(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(bench_app, "_find", lambda home, folder: "run")
    monkeypatch.setattr(bench_app, "measure_python", lambda *_: {})
    with pytest.raises(MissingDependency, match=", or measure with --no-browser"):
        bench_app.BenchApp(run_folder=nothing).run()
