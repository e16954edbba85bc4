"""Bars are heard in logs too."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from wtal_core import progress
from wtal_core.progress import listening, progress_bar


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "stderr", Console(file=stream, width=20))
    monkeypatch.delenv(progress.PROGRESS_VARIABLE, raising=False)
    return stream


def test_a_log_hears_a_line_a_minute(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress_bar("training [cmcs]", total=10) as advance:
        for _ in range(5):
            now += 25
            advance()
    assert log.getvalue().splitlines() == ["training [cmcs]: 3/10, 0:01:15 elapsed, ETA 0:02:55"]


@pytest.mark.parametrize("quiet", [True, False])
def test_the_quiet_and_those_who_listen_hear_nothing(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    heard: list[float] = []
    if quiet:
        with progress_bar("work", quiet=True) as advance:
            advance()
    else:
        with listening(lambda done, total, what: heard.append(done)), progress_bar("work", total=1) as advance:
            advance()
        assert heard == [0, 1]
    assert log.getvalue() == ""
