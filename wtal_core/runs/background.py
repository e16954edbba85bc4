"""Work of seconds to minutes beside a page: in a thread, with progress, a result or an error, and a way to stop it.

What takes longer, or must outlive the server, is a job of the worker (`wtal_core.runs.worker`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from wtal_core.progress import listening

__all__ = ["Background"]

T = TypeVar("T")


class _Stopped(Exception):
    """The work was asked to stop."""


class Background(Generic[T]):
    """Work that runs in a thread from now on.

    Its progress is what the progress bars inside the work count; stopping ends it at the next count.

    Args:
        title: what it is, for people.
        work: what to do.
    """

    def __init__(self, title: str, work: Callable[[], T]) -> None:
        self.title = title
        self.done: float = 0.0
        self.total: float | None = None
        self.error: Exception | None = None
        self._work = work
        self._result: T | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=title, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]; 0 while that is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def stop(self) -> None:
        """Ask it to stop; it does so at its next count and then has no result."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it has ended, or for so many seconds."""
        self._thread.join(seconds)

    def result(self) -> T | None:
        """Return the result; None where it was stopped or still runs.

        Raises:
            Exception: what the work raised.
        """
        if self.error is not None:
            raise self.error
        return self._result

    def _run(self) -> None:
        try:
            with listening(self._told):
                self._result = self._work()
        except _Stopped:
            pass
        except Exception as error:
            self.error = error

    def _told(self, done: float, total: float | None, description: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        self.done, self.total = done, total
