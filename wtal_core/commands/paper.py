"""`wtal paper list | show`: the numbers that the papers printed, and which tables can be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import unknown_name

if TYPE_CHECKING:
    from wtal_core.papers import Paper, PublishedTable

__all__ = ["ListPapers", "ShowPaper", "printed_value"]


@dataclass(frozen=True)
class ListPapers:
    """List the five papers, and the tables and figures of theirs that `wtal paper run` trains."""

    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """List."""
        from wtal_core.papers import EXPERIMENTS, get_paper, list_papers

        papers = [get_paper(name) for name in list_papers()]
        if self.as_json:
            print_json([_facts(paper) for paper in papers])
            return 0
        print_table(
            ["paper", "venue", "protocol", "tables", "title"],
            [(p.name, p.venue, p.protocol or "not said", len(p.tables), p.title) for p in papers],
        )
        print()
        print_table(
            ["wtal paper run", "printed as", "data set", "rows", "what is varied"],
            [(e.name, e.source, e.dataset, len(e.rows), e.about) for e in EXPERIMENTS],
        )
        return 0


@dataclass(frozen=True)
class ShowPaper:
    """Show a paper's tables as printed; numbers are percent."""

    name: tyro.conf.Positional[str]
    """Short name, see: wtal paper list."""
    dataset: str | None = None
    """Only tables on this data set, e.g. thumos14, activitynet1.2."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Show."""
        from wtal_core.papers import dataset_name, get_paper

        paper = get_paper(self.name)
        tables = list(paper.tables)
        if self.dataset is not None:
            wanted = dataset_name(self.dataset) or self.dataset
            tables = [table for table in tables if table.dataset == wanted]
            if not tables:
                known = sorted({table.dataset for table in paper.tables})
                raise unknown_name("data set of this paper", self.dataset, known)
        if self.as_json:
            print_json({**_facts(paper), "tables": [_table(table) for table in tables]})
            return 0
        print(f"{paper.authors}: {paper.title}. {paper.venue}.")
        print(f"source: {paper.source}")
        for table in tables:
            print()
            print_table(
                ["mAP % at tIoU", "labels", "features", *table.columns],
                [
                    (
                        f"{row.method} *" if row.ours else row.method,
                        row.supervision,
                        row.feature or "-",
                        *(printed_value(value) for value in row.values),
                    )
                    for row in table.rows
                ],
                title=f"{table.name}: {table.dataset} {table.subset}, {table.about}",
            )
        return 0


def _facts(paper: Paper) -> dict[str, Any]:
    from wtal_core.papers import EXPERIMENTS

    return {
        "name": paper.name,
        "title": paper.title,
        "authors": paper.authors,
        "venue": paper.venue,
        "method": paper.method,
        "protocol": paper.protocol,
        "source": paper.source,
        "experiments": [
            {
                "name": e.name,
                "source": e.source,
                "about": e.about,
                "rows": [
                    {"row": row.name, "preset": row.preset, "changes": dict(row.changes), "cannot": row.cannot or None}
                    for row in e.rows
                ],
            }
            for e in EXPERIMENTS
            if e.paper == paper.name
        ],
    }


def _table(table: PublishedTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "dataset": table.dataset,
        "subset": table.subset,
        "about": table.about,
        "columns": table.columns,
        "rows": [
            {
                "method": row.method,
                "supervision": row.supervision,
                "feature": row.feature,
                "ours": row.ours,
                "values": row.values,
            }
            for row in table.rows
        ],
    }


def printed_value(value: float | None) -> str:
    """Print a number with the digits that the paper gives it, at least one after the point."""
    if value is None:
        return "-"
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"
