"""The tables that the five papers printed, as data (`published.yaml`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from wtal_core.documents import parse_yaml
from wtal_core.errors import DataError, unknown_name

__all__ = ["Paper", "PublishedRow", "PublishedTable", "get_paper", "list_papers", "published_results"]

#: Names that people give the data sets -> the papers' name.
_DATASETS = {
    "thumos14": "THUMOS14",
    "thumos2014": "THUMOS14",
    "activitynet12": "ActivityNet1.2",
    "activitynet13": "ActivityNet1.3",
    "anet12": "ActivityNet1.2",
    "anet13": "ActivityNet1.3",
}


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a printed table.

    Args:
        method: the method as the paper names it.
        supervision: "full", "point" or "weak".
        feature: the features, "" where the paper does not say.
        ours: whether it is the paper's own method.
        values: percent as printed, one per column of the table; None where the paper prints a dash.
    """

    method: str
    supervision: str
    feature: str
    ours: bool
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One printed table.

    Args:
        name: as in the paper, e.g. "Table 2".
        dataset, subset: what was scored, e.g. "THUMOS14", "test".
        about: "comparison", or what is varied.
        columns: tIoU thresholds as text ("0.5"), then averages ("avg 0.1:0.7").
        rows: the rows in the paper's order.
    """

    name: str
    dataset: str
    subset: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    def mean_ap(self, row: PublishedRow) -> dict[float, float]:
        """Return `{tIoU: mAP in [0, 1]}` of what a row prints."""
        return {
            float(column): value / 100
            for column, value in zip(self.columns, row.values, strict=True)
            if value is not None and not column.startswith("avg")
        }

    def averages(self, row: PublishedRow) -> dict[str, float]:
        """Return `{"0.1:0.7": average mAP in [0, 1]}` of what a row prints."""
        return {
            column.removeprefix("avg "): value / 100
            for column, value in zip(self.columns, row.values, strict=True)
            if value is not None and column.startswith("avg")
        }


@dataclass(frozen=True, slots=True)
class Paper:
    """One of the papers.

    Args:
        name: short name.
        label: how it is called in tables.
        title, authors, venue: as printed.
        method: name of the method here.
        protocol: the evaluation protocol of its THUMOS14 numbers, None where not known.
        source: where the numbers and the protocol come from.
        tables: the printed tables.
    """

    name: str
    label: str
    title: str
    authors: str
    venue: str
    method: str
    protocol: str | None
    source: str
    tables: tuple[PublishedTable, ...]


@cache
def _papers() -> dict[str, Paper]:
    content = parse_yaml(files("wtal_core.papers").joinpath("published.yaml").read_text(encoding="utf-8"))
    return {name: _paper(name, value) for name, value in content.items()}


def _paper(name: str, value: dict[str, Any]) -> Paper:
    facts = {key: value[key] for key in ("label", "title", "authors", "venue", "method", "protocol", "source")}
    return Paper(name=name, **facts, tables=tuple(_table(name, table) for table in value["tables"]))


def _table(paper: str, table: dict[str, Any]) -> PublishedTable:
    columns = tuple(str(column) for column in table["columns"])
    ours = set(table.get("ours", ()))
    rows = tuple(PublishedRow(m, s, f, m in ours, tuple(values)) for m, s, f, values in table["rows"])
    for row in rows:
        if len(row.values) != len(columns):
            raise DataError(
                f"row {row.method!r} has the wrong number of values",
                expected=str(len(columns)),
                got=str(len(row.values)),
                where=f"{paper}, {table['name']}",
                next_step="Give one value a column; null where the paper has none",
            )
    if missing := ours - {row.method for row in rows}:
        raise DataError(
            "the paper's own row is missing",
            got=str(sorted(missing)),
            where=f"{paper}, {table['name']}",
            next_step="Name it among the rows",
        )
    return PublishedTable(table["name"], table["dataset"], table["subset"], table["about"], columns, rows)


def list_papers() -> list[str]:
    """Return the short names of the papers."""
    return list(_papers())


def get_paper(name: str) -> Paper:
    """Return a paper by its short name.

    Raises:
        UsageError: there is no such paper.
    """
    if name not in _papers():
        raise unknown_name("paper", name, _papers())
    return _papers()[name]


def dataset_name(name: str | None) -> str | None:
    """Return the papers' name of a data set ("thumos-14" -> "THUMOS14"), None where no paper used it."""
    plain = "".join(c for c in (name or "").casefold() if c.isalnum())
    return _DATASETS.get(plain)


def published_results(
    dataset: str | None = None, method: str | None = None
) -> Iterator[tuple[Paper, PublishedTable, PublishedRow]]:
    """Yield what the papers printed about their own methods in their comparison tables.

    Args:
        dataset: only on this data set (any spelling `dataset_name` knows); nothing for one that no paper used.
        method: only of this method (name here, e.g. "hamnet").
    """
    wanted = None if dataset is None else dataset_name(dataset)
    for paper in _papers().values():
        if method is not None and paper.method != method:
            continue
        for table in paper.tables:
            if dataset is not None and table.dataset != wanted:
                continue
            for row in table.rows:
                if row.ours:
                    yield paper, table, row
