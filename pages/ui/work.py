"""Work in the background of a session: started by a page, shown as a card in the corner, never in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from wtal_core.runs.background import Background

__all__ = ["card", "drop", "of", "start"]

_KEY = "wtal.work"


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
