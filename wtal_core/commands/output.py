"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wtal_core.errors import UsageError
from wtal_core.files import jsonable

__all__ = ["print_json", "print_table", "refuse_overwriting"]


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output; NaN becomes null."""
    sys.stdout.write(json.dumps(jsonable(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table; columns after the first are right-aligned."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console = Console(highlight=False)
    # Into a file or pipe a table keeps its lines whole; on a terminal it wraps.
    (console if console.is_terminal else Console(highlight=False, width=200)).print(table)


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
