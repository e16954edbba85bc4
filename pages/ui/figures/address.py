"""What the Figures page remembers while a figure is composed, and the spec it amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from pages.ui import loaders
from wtal_core.figures.spec import FigureSpec, Mark, Row, template_rows
from wtal_core.methods import method_class

__all__ = ["Composition", "composition", "keep", "spec_of", "take_spec"]

_KEY = "wtal.figure"
#: Fields of a spec that the page edits one by one; the others come from the selection.
LOOK = (
    "style", "width", "font", "font_size", "palette", "colormap", "title", "caption", "legend", "scores_range",
    "guides", "verdicts", "protocol", "time", "dpi",
)  # fmt: skip


@dataclass(frozen=True)
class Composition:
    """A figure in the making.

    Args:
        look: fields of the spec (style, width, fonts, texts, ...) that were changed.
        rows: the rows, whose runs are ids; None: those that suit style and run.
        marks: boxes around intervals.
        window: visible seconds, None for the whole video.
        of: data set and video that window and marks belong to.
        names: run id -> name in the figure, where it was changed.
        colours: meaning -> colour, where it was changed.
    """

    look: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] | None = None
    marks: tuple[Mark, ...] = ()
    window: tuple[float, float] | None = None
    of: tuple[str, str] = ("", "")
    names: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """Return a field of the look."""
        return self.look.get(name, getattr(FigureSpec(), name))


def composition() -> Composition:
    """Return what is being composed in this session."""
    found = st.session_state.get(_KEY, Composition())
    assert isinstance(found, Composition)
    return found


def keep(**changes: Any) -> None:
    """Remember changes."""
    st.session_state[_KEY] = replace(composition(), **changes)


def run_names(runs: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return `{run id: name in the figure}`, all different; runs called after their method get its proper name."""
    found: dict[str, str] = {}
    known = loaders.runs()
    for run in runs:
        wanted = names.get(run) or run.rpartition("/")[2]
        if run not in names and run in known and known[run].method_known and wanted == known[run].method:
            wanted = method_class(wanted).title.partition(" (")[0]
        name, count = wanted, 2
        while name in found.values():
            name, count = f"{wanted} {count}", count + 1
        found[run] = name
    return found


def rows_of(made: Composition, runs: Sequence[str], has: Mapping[str, bool]) -> tuple[Row, ...]:
    """Return the rows as they are edited: their runs are ids; those of runs that are not chosen any more go."""
    if made.rows is None:
        return tuple(template_rows(made.value("style"), has, runs))
    return tuple(row for row in made.rows if not row.run or row.run in runs)


def spec_of(
    made: Composition, dataset_id: str, video: str, label: str, runs: Sequence[str], rows: Sequence[Row]
) -> FigureSpec:
    """Return the spec of what is composed, with absolute paths.

    Raises:
        UsageError: a value does not fit (the spec says which).
    """
    names = run_names(runs, made.names)
    here = made.of == (dataset_id, video)
    return FigureSpec(
        data=str(loaders.load_dataset(dataset_id).folder.resolve()),
        video=video,
        label=label,
        runs={names[run]: str(loaders.load_run(run).folder.resolve()) for run in runs},
        rows=tuple(replace(row, run=names.get(row.run, "")) for row in rows),
        window=made.window if here else None,
        marks=made.marks if here else (),
        colours=made.colours,
        **dict(made.look),
    )


def take_spec(spec: FigureSpec, home: str) -> tuple[dict[str, Any], list[str]]:
    """Make a loaded spec what is composed.

    Args:
        spec: the spec.
        home: id of the data set that is selected, for specs that name none.

    Returns:
        `(changes of the selection, sentences about what this workspace does not have)`. Paths of a spec are never
        opened: they are looked up among the workspace's own data sets and runs.
    """
    missing: list[str] = []

    def find(path: str, entries: Mapping[str, Any], what: str) -> str | None:
        target = spec.path(path)
        exact = [i for i, e in entries.items() if e.folder == target]
        same_name = [i for i, e in entries.items() if e.folder.name == target.name]
        found = next(iter(exact or same_name), None)
        if found is None:
            missing.append(f"the {what} {path}")
        return found

    dataset = (find(spec.data, loaders.datasets(), "data set") if spec.data else None) or home
    every = loaders.runs()
    own = loaders.runs(dataset) if dataset in loaders.datasets() else {}
    # Runs of other data sets may have the same name: those of the figure's own come first.
    ids = {name: find(path, own | every, f"run {name}") for name, path in spec.runs.items()}
    known = {name: run for name, run in ids.items() if run is not None}
    rows = tuple(replace(r, run=known.get(r.run, "")) for r in spec.rows if not r.run or r.run in known)
    keep(
        look={name: getattr(spec, name) for name in LOOK if getattr(spec, name) != getattr(FigureSpec(), name)},
        rows=rows or None,
        marks=spec.marks,
        window=spec.window,
        of=(dataset, spec.video),
        names={run: name for name, run in known.items()},
        colours=dict(spec.colours),
    )
    changes: dict[str, Any] = {"dataset": dataset, "runs": tuple(known.values())[:4], "video": spec.video or None}
    changes["label"] = spec.label or None
    return changes, missing
