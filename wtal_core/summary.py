"""What records print: a few lines in a terminal, a small table in a notebook."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from wtal_core.errors import shortened

__all__ = ["Summarized", "Summary"]

_CELL = 32  # characters of a cell in a terminal
_TEXT_ROWS, _HTML_ROWS = 5, 20
_NUMBER = re.compile(r"-|nan|-?[\d.,]+")


@dataclass(frozen=True, slots=True)
class Summary:
    """A record in short.

    Args:
        title: what it is, and how much of it, in one line.
        facts: `(name, text)` of what is worth a line of its own; those with an empty text are left out.
        columns: heads of the table's columns.
        rows: the first rows of the table; columns of numbers stand right.
        total: how many rows the whole table has.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str | float]] = ()
    total: int = 0

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the rows as texts; the fractions of a column have the same number of digits."""
        return list(zip(*(_texts(column) for column in zip(*self.rows, strict=True)), strict=True))

    def _more(self) -> str:
        hidden = self.total - len(self.rows)
        return f"... and {hidden:,} more" if hidden > 0 else ""

    def text(self) -> str:
        """Return the lines for a terminal."""
        lines = [self.title]
        facts = [(name, shortened(" ".join(text.split()), 100)) for name, text in self.facts if text]
        width = max((len(name) for name, _ in facts), default=0)
        lines += [f"  {name:<{width}}  {text}" for name, text in facts]
        if self.rows:
            table = [list(self.columns), *([shortened(cell, _CELL) for cell in row] for row in self._cells())]
            right = [i > 0 and all(_NUMBER.fullmatch(row[i]) for row in table[1:]) for i in range(len(self.columns))]
            widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
            lines += [
                "  " + "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
                for row in table
            ]
        if more := self._more():
            lines.append(f"  {more}")
        return "\n".join(line.rstrip() for line in lines)

    def html(self) -> str:
        """Return a table for a notebook; every text is escaped."""

        def row(tag: str, cells: Sequence[str]) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        parts = [f"<p><b>{html.escape(self.title)}</b></p>"]
        facts = [(name, text) for name, text in self.facts if text]
        if facts:
            parts.append("<table>" + "".join(row("td", fact) for fact in facts) + "</table>")
        if self.rows:
            body = "".join(row("td", cells) for cells in self._cells())
            parts.append(f"<table><thead>{row('th', self.columns)}</thead><tbody>{body}</tbody></table>")
        if more := self._more():
            parts.append(f"<p>{html.escape(more)}</p>")
        return f"<div>{''.join(parts)}</div>"


class Summarized:
    """A record whose `repr` is a few lines, and that a notebook shows as a table."""

    __slots__ = ()

    def _summary(self, rows: int) -> Summary:
        """Return the record in short, with so many rows at most."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._summary(_TEXT_ROWS).text()

    def _repr_html_(self) -> str:
        return self._summary(_HTML_ROWS).html()


def _texts(column: Sequence[str | float]) -> list[str]:
    largest = max((abs(cell) for cell in column if isinstance(cell, float)), default=0.0)
    digits = ",.2f" if largest >= 10 else ".3f" if largest >= 0.1 else ".3g"
    return [c if isinstance(c, str) else f"{c:,}" if isinstance(c, int) else format(c, digits) for c in column]
