"""Comparison tables as papers print them: percent with one decimal, the best in bold; as a frame and as LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wtal_core.evaluation import Comparison
from wtal_core.papers.published import Paper, PublishedRow, PublishedTable

__all__ = ["ComparisonRow", "comparison_rows", "csv_table", "latex_table"]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One row of a comparison table.

    Args:
        name: of the set, or of the paper.
        protocol: name of the protocol; "" where a paper does not say.
        printed: where the numbers were printed, "" for numbers that were computed here.
        values: percent per column, None where there is no number.
        best: per column, whether it is the highest of its protocol among the numbers computed here.
    """

    name: str
    protocol: str
    printed: str
    values: tuple[float | None, ...]
    best: tuple[bool, ...]


def comparison_rows(
    found: Comparison, published: Sequence[tuple[Paper, PublishedTable, PublishedRow]] = ()
) -> tuple[list[str], list[ComparisonRow]]:
    """Return column titles (thresholds, then averages) and the rows: per protocol all sets, then the printed ones.

    Args:
        found: what was computed.
        published: what papers printed (`published_results`).
    """
    ranges = list(found.averages(found.names[0], found.protocols[0]))
    columns = [*(f"{t:g}" for t in found.tiou), *(f"avg {name}" for name in ranges)]
    rows: list[ComparisonRow] = []
    for protocol in found.protocols:
        table = [
            tuple(100 * v for v in (*found.mean_ap(name, protocol).values(), *found.averages(name, protocol).values()))
            for name in found.names
        ]
        highest = [
            max((round(v, 1) for v in column if not math.isnan(v)), default=math.nan)
            for column in zip(*table, strict=True)
        ]
        rows += [
            ComparisonRow(
                name,
                protocol,
                "",
                tuple(None if math.isnan(v) else v for v in values),
                tuple(len(found.names) > 1 and round(v, 1) == top for v, top in zip(values, highest, strict=True)),
            )
            for name, values in zip(found.names, table, strict=True)
        ]
    for paper, printed, row in published:
        levels, averages = printed.mean_ap(row), printed.averages(row)
        numbers = [levels.get(round(t, 6)) for t in found.tiou] + [averages.get(name) for name in ranges]
        rows.append(
            ComparisonRow(
                f"{paper.label}{f' ({row.feature})' if row.feature else ''}",
                paper.protocol or "",
                f"{paper.venue}, {printed.name}, {printed.dataset}",
                tuple(None if v is None else 100 * v for v in numbers),
                (False,) * len(numbers),
            )
        )
    return columns, rows


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def csv_table(columns: Sequence[str], rows: Sequence[ComparisonRow]) -> str:
    """Return the table as CSV."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "protocol", "printed in", *columns])
    writer.writerows(
        [row.name, row.protocol, row.printed, *("" if v is None else f"{v:.4f}" for v in row.values)] for row in rows
    )
    return out.getvalue()


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)


def latex_table(columns: Sequence[str], rows: Sequence[ComparisonRow]) -> str:
    """Return the table as LaTeX (booktabs): one block for each protocol, printed rows last and in grey."""
    head = " & ".join(["Method", "Protocol", *(_escaped(c.replace("avg ", "AVG ")) for c in columns)])
    lines = [
        "% needs \\usepackage{booktabs,xcolor}; mAP in percent at tIoU",
        f"\\begin{{tabular}}{{ll{'c' * len(columns)}}}",
        "\\toprule",
        f"{head} \\\\",
    ]
    block: tuple[str, bool] | None = None
    for row in rows:
        if block != (row.protocol, bool(row.printed)) and (block is None or not (block[1] and row.printed)):
            lines.append("\\midrule")
        block = (row.protocol, bool(row.printed))
        cells = [f"\\textbf{{{_text(v)}}}" if best else _text(v) for v, best in zip(row.values, row.best, strict=True)]
        name = _escaped(row.name)
        if row.printed:
            name, cells = f"\\textcolor{{gray}}{{{name}}}", [f"\\textcolor{{gray}}{{{c}}}" for c in cells]
        lines.append(" & ".join([name, _escaped(row.protocol) or "-", *cells]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"
