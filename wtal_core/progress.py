"""Progress bars with a remaining-time estimate on the standard error stream, and for who watches a job.

Where the environment variable `WTAL_PROGRESS` names a file, every bar (also a quiet one) writes what it counts there,
as JSON: description, done, total, updated (seconds since 1970). That is how the app follows a command it started.
Inside `listening`, every bar of the same thread tells a function instead, which is how the app follows its own threads
and a long bar the shorter ones it is made of. Where the stream is no terminal, as in a log, a bar is a line a minute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["PROGRESS_VARIABLE", "Advance", "listening", "progress_bar", "stderr", "track"]

#: Environment variable that names the file in which bars write what they count.
PROGRESS_VARIABLE = "WTAL_PROGRESS"

_SECONDS_BETWEEN_WRITES = 0.25
_SECONDS_BETWEEN_LINES = 60.0

T = TypeVar("T")

#: Called with units done, units in all (None: not known) and a description.
Listener = Callable[[float, float | None, str], object]

_listener: ContextVar[Listener | None] = ContextVar("wtal_progress_listener", default=None)

stderr = Console(stderr=True, highlight=False)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` what every bar inside counts; it may raise, which ends the work that the bar counts."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class _ProgressFile:
    """Writes one bar's count into the file that `WTAL_PROGRESS` names, not more often than a person looks."""

    def __init__(self, path: str, description: str, total: float | None) -> None:
        self._path, self._description, self._total = path, description, total
        self._done, self._written = 0.0, 0.0
        self.write()

    def advance(self, units: float, description: str | None) -> None:
        self._done += units
        self._description = description or self._description
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        from wtal_core.errors import DataError
        from wtal_core.files import write_json

        value = {"description": self._description, "done": self._done, "total": self._total, "updated": time.time()}
        with suppress(DataError, OSError):  # a full disk is said by what needs the disk
            write_json(self._path, value, indent=None)
        self._written = time.monotonic()


class _Lines:
    """Says in a log, now and then, how far one bar is."""

    def __init__(self, description: str, total: float | None) -> None:
        self._description, self._total, self._done = description, total, 0.0
        self._began = self._said = time.monotonic()

    def advance(self, units: float, description: str | None) -> None:
        self._done += units
        self._description = description or self._description
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said, elapsed = now, now - self._began
        line = f"{self._description}: {self._done:g}"
        if self._total is not None:
            line += f"/{self._total:g}"
        line += f", {timedelta(seconds=round(elapsed))} elapsed"
        if self._total is not None and 0 < self._done <= self._total:
            line += f", ETA {timedelta(seconds=round(elapsed * (self._total - self._done) / self._done))}"
        stderr.print(line, soft_wrap=True, markup=False)


class Advance:
    """Handle on one bar: call it with the number of finished units and optionally a new description."""

    def __init__(self, progress: Progress, task: int, watcher: _ProgressFile | _Lines | None = None) -> None:
        self._progress = progress
        self._task = task
        self._watcher = watcher
        self._listener = _listener.get()
        if self._listener is not None:
            self._tell(self._listener)

    def _tell(self, listener: Listener) -> None:
        bar = self._progress.tasks[self._task]
        listener(bar.completed, bar.total, str(bar.description))

    def __call__(self, units: float = 1, description: str | None = None) -> None:
        if description is not None:
            self._progress.update(self._task, advance=units, description=description)  # type: ignore[arg-type]
        else:
            self._progress.update(self._task, advance=units)  # type: ignore[arg-type]
        if self._watcher is not None:
            self._watcher.advance(units, description)
        if self._listener is not None:
            self._tell(self._listener)


@contextmanager
def progress_bar(description: str, total: float | None = None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show one bar with count, elapsed and remaining time; silent when `quiet`, a line a minute in a log."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=stderr,
        disable=quiet or not stderr.is_terminal,
        transient=True,
    )
    watcher: _ProgressFile | _Lines | None = None
    if _listener.get() is None:
        if path := os.environ.get(PROGRESS_VARIABLE):
            watcher = _ProgressFile(path, description, total)
        elif not quiet and not stderr.is_terminal:
            watcher = _Lines(description, total)
    with progress:
        yield Advance(progress, progress.add_task(description, total=total), watcher)
    if isinstance(watcher, _ProgressFile):
        watcher.write()


def track(items: Iterable[T], description: str, *, quiet: bool = False) -> Iterator[T]:
    """Yield `items` while a progress bar counts them."""
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(description, total, quiet=quiet) as advance:
        for item in items:
            yield item
            advance()
