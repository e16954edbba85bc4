"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from wtal_core.errors import UsageError
from wtal_core.files import jsonable

__all__ = ["command_line", "percent", "print_json", "print_mean_ap", "print_notes", "print_table", "refuse_overwriting"]


def command_line(command: str, options: Mapping[str, str]) -> str:
    """Return a command with its options as a shell reads them."""
    return " ".join([command, *(f"--{name.replace('_', '-')} {shlex.quote(text)}" for name, text in options.items())])


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output; NaN becomes null."""
    sys.stdout.write(json.dumps(jsonable(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


#: Columns up to this width (numbers, short names) are moved below each other where a table is too wide.
_NARROW = 16

#: Cells of which a right-aligned column consists: numbers with deviations, signs, units of time, ranges, or nothing.
_NUMBER = re.compile(r"[-+\u2212\u00b1\u2013.,:%/()\s\d]*|nan|[\d.,]+ ?[a-zA-Z]{1,3}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table; columns of numbers after the first are right-aligned.

    Into a file or pipe its lines stay whole. On a terminal that is too narrow, a table of numbers goes on below with
    its first column again, and long texts wrap.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    cells = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    numeric = [i > 0 and all(_NUMBER.fullmatch(row[i]) for row in cells) for i in range(len(columns))]
    blocks = [list(range(len(columns)))]
    if console.is_terminal and max(widths[1:], default=0) <= _NARROW:
        blocks = list(_blocks(widths, console.width))
    for number, block in enumerate(blocks):
        table = Table(title=title if number == 0 else None, title_justify="left", show_edge=False, pad_edge=False)
        for i in block:
            table.add_column(columns[i], justify="right" if numeric[i] else "left", overflow="fold")
        for row in cells:
            table.add_row(*(row[i] for i in block))
        if number:
            console.print()
        console.print(table)


def _blocks(widths: Sequence[int], available: int) -> Iterator[list[int]]:
    """Yield the columns of each table that fits; every one begins with column 0."""
    block, used = [0], widths[0]
    for i, width in enumerate(widths[1:], 1):
        if len(block) > 1 and used + width + 3 > available:  # 3: the line between columns and its margins
            yield block
            block, used = [0], widths[0]
        block.append(i)
        used += width + 3
    yield block


def refuse_overwriting(out: Path | None, *inputs: Path | None, option: str = "--out") -> None:
    """Refuse to write over a file that was named as input, or lies in a run or data set that was.

    Raises:
        UsageError: `out` is one of `inputs`.
    """
    if out is None or not os.path.isfile(out):
        return
    for source in inputs:
        files = (source, source / "detections.json", source / "annotations.json") if source is not None else ()
        if any(os.path.isfile(file) and out.samefile(file) for file in files):
            raise UsageError("would overwrite what is read", got=str(out), where=option, next_step="Name another file")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share of one as percent, "-" where there is none."""
    return "-" if value is None or value != value else f"{100 * value:.{digits}f}"


def print_notes(said: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print what evaluations note, each note once: with the names it was said of unless that is all of them."""
    notes: dict[str, list[str]] = {}
    for name, own in said:
        for note in own:
            notes.setdefault(note, []).append(name)
    for note, names in sorted(notes.items(), key=lambda item: -len(item[1])):
        print(f"note: {note}" if len(names) == len(said) else f"note ({', '.join(names)}): {note}")


def print_mean_ap(evaluations: Iterable[Mapping[str, Any]]) -> None:
    """Print mAP at each tIoU, the average and the notes of evaluations given as plain values, a table each."""
    evaluations = list(evaluations)
    for evaluation in evaluations:
        levels, values = zip(*evaluation["mean_ap"].items(), strict=True)
        print_table(
            ["mAP % at tIoU", *levels, "average"],
            [(evaluation["protocol"], *map(percent, values), percent(evaluation["average"]))],
        )
    print_notes([(evaluation["protocol"], evaluation.get("notes", ())) for evaluation in evaluations])
