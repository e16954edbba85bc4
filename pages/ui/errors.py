"""Errors as sentences with the way out, never as tracebacks."""

from __future__ import annotations

import logging
from contextlib import ContextDecorator
from types import TracebackType

import streamlit as st

from wtal_core.errors import WtalError

__all__ = ["Guard", "guard", "on_script_error", "plain", "show_error"]

_log = logging.getLogger("wtal.app")


def plain(text: str) -> str:
    """Return a text with what Markdown would read as marks, as in paths and names, escaped."""
    for mark in "\\`*_[]$~<>":
        text = text.replace(mark, "\\" + mark)
    return text


def show_error(error: Exception) -> None:
    """Show an error as a sentence: what is wrong, where, and what to do."""
    if isinstance(error, OSError) and not isinstance(error, WtalError) and error.strerror:
        # The machine's refusal: a full disk, a missing permission, a file that has just gone.
        _log.warning("refused by the machine", exc_info=error)
        place = f"{plain(str(error.filename))}: " if error.filename is not None else ""
        st.error(f"{place}{plain(error.strerror)}.", icon=":material/error:")
        return
    if not isinstance(error, WtalError):
        _log.exception("unexpected error", exc_info=error)
        st.error(
            f"Something unexpected happened ({type(error).__name__}: {plain(str(error)[:300])}). "
            "This is a defect of wtal, not of your data; the server's log has the details.",
            icon=":material/bug_report:",
        )
        return
    details = [
        f"{word} {plain(str(value))}"
        for word, value in (("Expected", error.expected), ("Got", error.got))
        if value is not None
    ]
    sentence = plain(f"{error.where}: {error.problem}" if error.where else error.problem).rstrip(".") + "."
    text = " ".join([sentence, *(f"{d.rstrip('.')}." for d in details)])
    if error.next_step:
        step = plain(error.next_step)
        text += f"\n\n**{step if step.endswith('?') else step.rstrip('.') + '.'}**"
    st.error(text, icon=":material/error:")


class Guard(ContextDecorator):
    """Turn errors inside into sentences.

    Args:
        stop: end the script (or fragment) run after showing the error, so that nothing below runs on missing values.
    """

    def __init__(self, stop: bool = True) -> None:
        self.stop = stop

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        show_error(error)
        if self.stop:
            st.stop()
        return True


def guard(stop: bool = True) -> Guard:
    """Return a context manager or decorator that shows errors as sentences: `with guard(): ...` or `@guard()`."""
    return Guard(stop)


def on_script_error(error: Exception) -> bool:
    """Show what nothing else caught as a sentence; for `st.App(on_script_error=...)`."""
    show_error(error)
    return True
