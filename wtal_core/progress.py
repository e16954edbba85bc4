"""Progress bars with a remaining-time estimate on the standard error stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
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

__all__ = ["Advance", "progress_bar", "stderr", "track"]

T = TypeVar("T")

stderr = Console(file=sys.stderr, highlight=False)


class Advance:
    """Handle on one bar: call it with the number of finished units and optionally a new description."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, units: float = 1, description: str | None = None) -> None:
        if description is not None:
            self._progress.update(self._task, advance=units, description=description)  # type: ignore[arg-type]
        else:
            self._progress.update(self._task, advance=units)  # type: ignore[arg-type]


@contextmanager
def progress_bar(description: str, total: float | None = None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show one bar with count, elapsed and remaining time; silent when `quiet` or not on a terminal."""
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
    with progress:
        yield Advance(progress, progress.add_task(description, total=total))


def track(items: Iterable[T], description: str, *, total: int | None = None, quiet: bool = False) -> Iterator[T]:
    """Yield `items` while a progress bar counts them."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(description, total, quiet=quiet) as advance:
        for item in items:
            yield item
            advance()
