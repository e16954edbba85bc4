"""Work of seconds to minutes in the background of a session: in a thread, shown as a card in the corner.

It has progress, a result or an error, and a way to stop it. What takes longer, or must outlive the server, is a job
(`wtal_core.jobs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

from wtal_core.progress import listening

__all__ = ["Background", "card", "drop", "of", "start"]

_KEY = "wtal.work"

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


@dataclass
class _Entry:
    job: Background[Any]
    announced: bool = False  # whether the page was drawn again after it ended


def _entries() -> dict[str, _Entry]:
    entries: dict[str, _Entry] = st.session_state.setdefault(_KEY, {})
    return entries


def start(key: str, title: str, work: Callable[[], Any]) -> Background[Any]:
    """Start work under a key, unless it runs already."""
    old = of(key)
    if old is not None and old.running:
        return old
    entry = _Entry(Background(title, work))
    _entries()[key] = entry
    return entry.job


def of(key: str) -> Background[Any] | None:
    """Return the work of a key, running or ended, None where there is none."""
    entry = _entries().get(key)
    return None if entry is None else entry.job


def drop(key: str) -> None:
    """Forget the work of a key, after stopping it."""
    entry = _entries().pop(key, None)
    if entry is not None:
        entry.job.stop()


def card() -> None:
    """Show what runs, each with its progress and a way to stop it; draw the page again when something has ended."""
    if any(entry.job.running or not entry.announced for entry in _entries().values()):
        with st.container(key="work"):
            _card()


@st.fragment(run_every=0.4)
def _card() -> None:
    ended = False
    for key, entry in _entries().items():
        job = entry.job
        if not job.running:
            ended |= not entry.announced
            entry.announced = True
            continue
        text, button = st.columns([4, 1], gap="small", vertical_alignment="center")
        count = f" · {job.done:.0f} of {job.total:.0f}" if job.total else ""
        text.progress(job.share, f"{job.title}{count}")
        button.button("Stop", key=f"work.stop.{key}", on_click=job.stop, disabled=job.stopped, width="stretch")
    if ended:
        st.rerun()
