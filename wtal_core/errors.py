"""Errors that say what was expected, what came, where, and what to do next."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from typing import Self

__all__ = [
    "DataError",
    "Interrupted",
    "MissingDependency",
    "UsageError",
    "WtalError",
    "and_more",
    "counted",
    "nearest",
    "reason",
    "shortened",
    "text_of",
    "unexpected",
    "unknown_name",
]


class WtalError(Exception):
    """Base of every error shown to a user; the command line prints its text without a traceback.

    Args:
        problem: what is wrong, one sentence without a final full stop.
        expected: what would have been right.
        got: what came instead.
        where: file, key, row or argument the problem is in.
        next_step: what the user can do about it, an imperative sentence.
        arguments: names of the arguments that the next step is about; the command line adds its options of that name.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        where: object | None = None,
        next_step: str | None = None,
        arguments: Iterable[str] = (),
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.got = got
        self.where = None if where is None else str(where)
        self.next_step = next_step
        self.arguments = tuple(arguments)
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        details = [
            f"{word} {value}" for word, value in (("expected", self.expected), ("got", self.got)) if value is not None
        ]
        if details:
            text += f" ({', '.join(details)})"
        text = text.rstrip(".") + "."
        if self.next_step:
            step = self.next_step.rstrip(".")
            text += f" {step}" if step.endswith("?") else f" {step}."
        return text

    def at(self, where: object) -> Self:
        """Return the same error with another `where`, as a caller knows it."""
        return type(self)(
            self.problem,
            expected=self.expected,
            got=self.got,
            where=where,
            next_step=self.next_step,
            arguments=self.arguments,
        )


class DataError(WtalError, ValueError):
    """A file, array or record is not what it should be (exit code 1)."""


class UsageError(WtalError, ValueError):
    """An argument is not one of those that are possible (exit code 2)."""

    exit_code = 2


class MissingDependency(WtalError, ImportError):
    """An optional package is needed for this and is not installed (exit code 1)."""


class Interrupted(KeyboardInterrupt):
    """Work was ended by a signal; the exit code is the one that shells give what a signal ended.

    Args:
        number: the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def unexpected(error: BaseException, where: object) -> WtalError:
    """Return the error for what nobody expected of a file: it is said, and does not end what else is shown."""
    return DataError(
        f"cannot be read ({type(error).__name__}: {reason(error)})",
        where=where,
        next_step="It may be damaged: copy or make it again",
    )


def text_of(error: BaseException, where: object) -> str:
    """Return what a list says of an entry that cannot be read, whether anybody expected that or not."""
    return str(error if isinstance(error, WtalError) else unexpected(error, where))


def reason(error: BaseException) -> str:
    """Return the first line of what an error says, its kind where it says nothing."""
    return shortened(str(error).strip().partition("\n")[0], 200) or type(error).__name__


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 video", "2,300 videos", "3 classes" (whose `plural` must be given)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def and_more(number: int) -> str:
    """Return what follows the first of `number` things that are wrong in one way: "" or " and 2 more"."""
    return f" and {number - 1:,} more" if number > 1 else ""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` known names that a misspelt `name` may have meant, best first."""
    by_folded = {k.casefold(): k for k in known}
    return [by_folded[m] for m in difflib.get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.5)]


def shortened(text: str, length: int = 80) -> str:
    """Return `text`, or its start with an ellipsis where it is longer than `length` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def unknown_name(
    kind: str,
    name: object,
    known: Iterable[str],
    *,
    where: object | None = None,
    usage: bool = True,
    otherwise: str | None = None,
    arguments: Iterable[str] = (),
) -> WtalError:
    """Build the error for a `kind` (e.g. "method", "config key") whose `name` is not among the `known` ones.

    `otherwise` is the next step where no known name resembles `name`; `arguments` are those that the step is about.
    """
    known = list(known)
    guesses = nearest(str(name), known)
    most = 8 if guesses else 25
    shown = ", ".join(shortened(k) for k in known[:most])
    if len(known) > most:
        shown += f", ... ({len(known)} in all)"
    error = UsageError if usage else DataError
    return error(
        f"unknown {kind} {shortened(str(name))!r}",
        expected=f"one of: {shown}" if known else "nothing here",
        where=where,
        next_step=f"Did you mean {' or '.join(repr(shortened(g)) for g in guesses)}?"
        if guesses
        else otherwise or ("Choose one of these" if known else "Leave it out"),
        arguments=() if guesses and otherwise else arguments,
    )
