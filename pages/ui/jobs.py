"""What pages show of commands that run in the background: state, progress, log, and the way to stop them."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from pages.ui import loaders
from pages.ui.errors import guard, plain
from wtal_core.commands.requests import command_line, command_of
from wtal_core.jobs.job import Job, log_tail
from wtal_core.jobs.queue import Queue

__all__ = [
    "COLOURS",
    "ICONS",
    "ago",
    "duration",
    "facts",
    "job_card",
    "job_list",
    "queue",
    "refresh",
    "say_unreadable",
    "show_command",
    "show_log",
    "state_badge",
    "submit",
]

ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/play_circle:",
    "stopping": ":material/pending:",
    "finished": ":material/check_circle:",
    "stopped": ":material/pause_circle:",
    "cancelled": ":material/cancel:",
    "failed": ":material/error:",
    "crashed": ":material/error:",
    "created": ":material/radio_button_unchecked:",
    "unknown": ":material/help:",
}
COLOURS = {"queued": "gray", "running": "blue", "stopping": "blue", "finished": "green", "stopped": "orange",
           "cancelled": "gray", "failed": "red", "crashed": "red", "created": "gray", "unknown": "red"}  # fmt: skip


def queue() -> Queue:
    """Return the queue of the app's workspace."""
    return loaders.workspace().queue


def submit(request: Mapping[str, Any], **more: Any) -> Job:
    """Queue a command whose options are in order; arguments as for `Queue.submit`.

    Raises:
        WtalError: the request cannot be carried out, a job that makes the same is open, or the disk is full.
    """
    command_of(request)
    return queue().submit(request, **more)


def refresh() -> None:
    """Run the fragment again, or the page where the fragment is running as a part of it."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()


def duration(seconds: float | None) -> str:
    """Format a time span as people say it: "8 s", "3 min 20 s", "2 h 5 min"; "–" where there is none."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {second} s" if minutes < 10 else f"{minutes} min"
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def ago(seconds: float) -> str:
    """Say how long ago something was, in its largest unit alone: "8 s ago", "3 min ago", "2 h ago", "5 days ago"."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600, whole // 60
    if days > 1:
        return f"{days} days ago"
    return f"{hours} h ago" if hours else f"{minutes} min ago" if minutes else f"{whole} s ago"


def state_badge(state: str) -> None:
    """Show a state with its icon, so that it is not told by colour alone."""
    st.badge(state, icon=ICONS.get(state, ICONS["unknown"]), color=COLOURS.get(state, "gray"))  # type: ignore[arg-type]


_FACTS = """<style>
.wtal-facts { display: grid; margin: 0 !important; padding: 0 !important;
  grid-template-columns: max-content 1fr; gap: .28rem 1rem; font-size: .93rem;
  font-variant-numeric: tabular-nums; }
.wtal-facts dt { opacity: .65; } .wtal-facts dd { margin: 0; overflow-wrap: anywhere; }
</style>"""


def facts(rows: Mapping[str, str]) -> None:
    """Show names and values in two quiet columns; empty values are left out."""
    items = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in rows.items() if v)
    st.html(f"{_FACTS}<dl class='wtal-facts'>{items}</dl>")


def show_command(*requests: Mapping[str, Any]) -> None:
    """Show the commands that do the same in a shell, for copying."""
    with guard(stop=False):
        st.code("\n".join(map(command_line, requests)), language="bash", wrap_lines=True)


def show_log(path: str, lines: int = 12, key: str = "log") -> None:
    """Show the last lines of a log."""
    tail = log_tail(path, lines)
    st.code("\n".join(tail) or "nothing yet", language=None, wrap_lines=True)


def job_card(job: Job, key: str) -> None:
    """Show one job: what, state, progress, log where something went wrong, and its buttons."""
    status, progress = job.status(), job.progress
    with st.container(border=True, key=key):
        with st.container(horizontal=True, vertical_alignment="center"):
            state_badge(status.state)
            st.markdown(f"**{job.title}**", width="stretch")
            if status.open and st.button("Stop", key=f"{key}.stop", icon=":material/stop:", type="tertiary"):
                with guard(stop=False):
                    queue().stop(job)
                refresh()
            if not status.open and st.button("Forget", key=f"{key}.forget", icon=":material/close:", type="tertiary"):
                with guard(stop=False):
                    queue().forget(job)
                st.rerun(scope="app")
        if status.state in ("running", "stopping"):
            text, share = "starting", 0.0
            if progress is not None:
                share = progress.fraction or 0.0
                total = f" of {progress.total:g}" if progress.total else ""
                left = _left(progress.done, progress.total, status.started)
                text = f"{progress.description} · {progress.done:.1f}{total}" + (f" · {left} left" if left else "")
            st.progress(share, text=text)
        elif status.state == "queued":
            position = [j.id for j in queue().waiting(job.slot)].index(job.id) + 1 if _waits(job) else 1
            st.caption(f"Waiting on {job.slot}, number {position}.")
        elif status.state in ("failed", "crashed"):
            st.error(status.message, icon=":material/error:")
        if status.state != "queued":
            with st.expander("Log and command"):
                show_log(job.log, 20)
                show_command(job.request)


def _waits(job: Job) -> bool:
    return any(other.id == job.id for other in queue().waiting(job.slot))


def _left(done: float, total: float | None, started: float | None) -> str:
    if not total or not started or done <= 0:
        return ""
    return duration((time.time() - started) / done * (total - done))


def say_unreadable() -> None:
    """Say which jobs of the workspace cannot be read, so that nobody waits for them."""
    for error in queue().unreadable().values():
        st.warning(plain(str(error)), icon=":material/help:")


def job_list(commands: tuple[str, ...], key: str, most: int = 4) -> None:
    """Show the latest jobs of some commands; refreshes itself while one is open."""
    jobs = [job for job in queue().jobs() if job.command in commands]
    if not jobs:
        return
    busy = any(job.status().open for job in jobs)

    @st.fragment(run_every=1.0 if busy else None)
    def watched() -> None:
        current = [job for job in queue().jobs() if job.command in commands]
        shown = [job for job in current if job.status().open]
        shown += [job for job in reversed(current) if not job.status().open][: max(0, most - len(shown))]
        for job in shown:
            job_card(job, f"{key}.{job.id}")
        if busy and not any(job.status().open for job in current):
            st.rerun(scope="app")

    watched()
