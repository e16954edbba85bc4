"""How a figure is composed on the Figures page: its rows, its look, its texts, and specs that are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from pages.ui.errors import guard
from pages.ui.figures.address import composition, keep, take_spec
from pages.ui.selection import select
from wtal_core.errors import WtalError
from wtal_core.evaluation import list_protocols
from wtal_core.figures import theme
from wtal_core.figures.content import FigureData, RunData
from wtal_core.figures.spec import ROW_KINDS, WIDTHS, FigureSpec, Mark, Row

__all__ = ["composer"]

TITLES = {
    "frames": "Key frames",
    "ground_truth": "Ground truth",
    "track": "Track of the data set",
    "detections": "Detections",
    "cas": "CAS",
    "branches": "Branches",
    "attention": "Attention",
    "dropped": "Dropped snippets",
    "boundaries": "Raw and regressed boundaries",
    "heatmap": "Heat map of classes",
    "view": "Row of the method",
}
STYLES = {"barcode": "Barcodes", "curve": "Curves"}


def _control(
    widget: Callable[..., Any], label: str, key: str, value: Any, on_change: Callable[[Any], None], /,
    *args: Any, **more: Any,
) -> Any:  # fmt: skip
    """Show a widget that follows what is composed and writes it."""
    st.session_state[key] = value
    return widget(label, *args, key=key, on_change=lambda: on_change(st.session_state[key]), **more)


def _look(widget: Callable[..., Any], label: str, name: str, *args: Any, **more: Any) -> Any:
    """Show a widget of one field of the look."""

    def write(value: Any) -> None:
        look = dict(composition().look)
        look[name] = value
        if value is None or value == getattr(FigureSpec(), name):
            look.pop(name)
        keep(look=look)

    return _control(widget, label, f"fig.{name}", composition().value(name), write, *args, **more)


def composer(
    rows: tuple[Row, ...], runs: Sequence[str], names: Mapping[str, str], data: FigureData, dataset_id: str
) -> None:
    """Show everything that composes the figure, and write what is changed into the composition.

    Args:
        rows: the figure's rows, whose runs are ids.
        runs, names: ids of the runs, leading run first, and what the figure calls them.
        data: what can be drawn.
        dataset_id: the selected data set, for specs that name none.
    """
    rows_tab, look_tab, text_tab, spec_tab = st.tabs(["Rows", "Look", "Text", "Spec"])
    with rows_tab:
        _rows(rows, runs, names, data)
    with look_tab:
        _looks()
    with text_tab:
        _texts(runs, names, data)
    with spec_tab:
        _spec_file(dataset_id)


def _rows(rows: tuple[Row, ...], runs: Sequence[str], names: Mapping[str, str], data: FigureData) -> None:
    _look(st.selectbox, "Style", "style", list(STYLES), format_func=lambda s: STYLES[s])
    duration = float(data.duration)
    window = composition().window or (0.0, duration)
    window = (min(window[0], duration), min(window[1], duration))

    def write(value: tuple[float, float]) -> None:
        whole = value[0] <= 0 and value[1] >= duration
        keep(window=None if whole or value[0] >= value[1] else (round(value[0], 2), round(value[1], 2)))

    _control(st.slider, "Window (seconds)", "fig.window", window, write, 0.0, duration, step=0.1, format="%.1f")
    with guard(stop=False):
        for index, row in enumerate(rows):
            _row(index, row, rows, runs, names, data)
    kinds = _possible(data)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Add a row", kinds, key="fig.add", format_func=lambda k: TITLES[k])
        st.button(
            "Add",
            key="fig.add.go",
            icon=":material/add:",
            on_click=lambda: keep(rows=(*rows, _new_row(str(kind), data))),
            help=ROW_KINDS[kind],
        )
        st.button(
            "Start over",
            key="fig.reset",
            icon=":material/restart_alt:",
            disabled=composition().rows is None,
            on_click=lambda: keep(rows=None),
            help="The rows that suit the style and the leading run",
        )


def _new_row(kind: str, data: FigureData) -> Row:
    """Return a row of a kind; of a method's rows the first that no other kind draws."""
    if kind != "view":
        return Row(kind)
    further = data.has()["views"] or [key for run in data.runs.values() for key in run.shown]
    return Row(kind, name=next(iter(further), ""))


def _possible(data: FigureData) -> list[str]:
    """Return the kinds of rows that can be filled; key frames also without a video, where they show that."""
    has = data.has()
    tracks = bool(data.truth and data.truth.tracks)
    every = list(data.runs.values())
    acts = [run.activations for run in every if run.activations is not None]
    can = {
        "frames": True,
        "ground_truth": has["truth"],
        "track": tracks,
        "detections": any(run.detections is not None for run in every),
        "cas": bool(acts),
        "branches": any(a.branch_cas is not None for a in acts),
        "attention": any(a.attention for a in acts),
        "dropped": any(a.drop_mask is not None for a in acts),
        "boundaries": any(a.boundaries is not None for a in acts),
        "heatmap": any(a.classes for a in acts),
        "view": any(run.shown for run in every),
    }
    return [kind for kind in ROW_KINDS if can[kind]]


def _row(
    index: int, row: Row, rows: tuple[Row, ...], runs: Sequence[str], names: Mapping[str, str], data: FigureData
) -> None:
    def put(changed: Row) -> None:
        keep(rows=(*rows[:index], changed, *rows[index + 1 :]))

    def move(by: int) -> None:
        order = list(rows)
        order.insert(index + by, order.pop(index))
        keep(rows=tuple(order))

    what = row.title or TITLES[row.kind]
    details = [row.name] if row.name else []
    details += [names[row.run]] if row.run and len(runs) > 1 else []
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"figrow-{index}"):
        st.markdown(
            _plain(what) + (f" :small[:gray[{_plain(', '.join(details))}]]" if details else ""), width="stretch"
        )
        more = st.popover(
            "", icon=":material/tune:", key=f"fig.row.{index}.more", help="Options of this row", type="tertiary"
        )
        with more:
            _row_options(index, row, put, runs, names, data)
        st.button(
            "",
            icon=":material/arrow_upward:",
            key=f"fig.row.{index}.up",
            disabled=index == 0,
            on_click=move,
            args=(-1,),
            help="Move up",
            type="tertiary",
        )
        st.button(
            "",
            icon=":material/arrow_downward:",
            key=f"fig.row.{index}.down",
            disabled=index == len(rows) - 1,
            on_click=move,
            args=(1,),
            help="Move down",
            type="tertiary",
        )
        st.button(
            "",
            icon=":material/close:",
            key=f"fig.row.{index}.drop",
            disabled=len(rows) == 1,
            on_click=lambda: keep(rows=(*rows[:index], *rows[index + 1 :])),
            help="Take out",
            type="tertiary",
        )


def _plain(text: str) -> str:
    """Keep a text from being read as Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_[]$~<>:#" else c for c in text)


def _row_options(
    index: int, row: Row, put: Callable[[Row], None], runs: Sequence[str], names: Mapping[str, str], data: FigureData
) -> None:
    def option(widget: Callable[..., Any], label: str, name: str, *args: Any, none: Any = None, **more: Any) -> None:
        value = getattr(row, name)
        shown = none if value is None and none is not None else value
        _control(
            widget, label, f"fig.row.{index}.{name}", shown, lambda v: put(replace(row, **{name: v})), *args, **more
        )

    kind = row.kind
    option(st.text_input, "Title", "title", placeholder="What it shows")
    if kind in ("detections", "cas", "branches", "attention", "dropped", "boundaries", "heatmap", "view") and runs:
        first = "every run" if kind == "detections" else "leading run"
        option(st.selectbox, "Run", "run", ["", *runs], format_func=lambda r: names.get(r, first))
    run = data.runs.get(names.get(row.run, ""), next(iter(data.runs.values()), RunData()))
    acts = run.activations
    choices: dict[str, list[str]] = {
        "cas": list(acts.extra_cas) if acts else [],
        "attention": list(acts.attention) if acts else [],
        "branches": [str(n + 1) for n in range(len(acts.branch_cas))] if acts and acts.branch_cas is not None else [],
        "track": list(data.truth.tracks) if data.truth else [],
        "view": [key for key, view in run.shown.items() if view.kind in ("lines", "area", "mask")],
    }
    if choices.get(kind):
        every = "class activation sequence" if kind == "cas" else "all"
        known = ["", *choices[kind], *([row.name] if row.name and row.name not in choices[kind] else [])]
        option(st.selectbox, "Which", "name", known, format_func=lambda n: n or every)
    if kind in ("frames", "heatmap"):
        what = "Frames (0: as many as fit)" if kind == "frames" else "Classes (0: five)"
        option(st.number_input, what, "count", 0, 60)
    if kind == "detections":
        option(st.number_input, "Only the best-scored (0: all)", "top", 0, 500)
        option(st.number_input, "Lowest score", "min_score", value=None, format="%.3f", placeholder="none")
        option(st.toggle, "Print scores", "scores")
    if kind == "boundaries":
        option(st.number_input, "Only the best (0: six)", "top", 0, 50)
    if kind in ("cas", "branches", "attention", "view"):
        option(
            st.selectbox, "Drawn as", "style", ["", "barcode", "curve"], format_func=lambda s: s or "the figure's style"
        )
    if kind in ("cas", "branches", "attention", "heatmap"):
        option(st.selectbox, "Value range", "scale", ["auto", "unit", "video", "window"])
    if kind in ("cas", "branches", "attention"):
        option(st.number_input, "Dashed line at", "threshold", value=None, placeholder="none")
    option(st.number_input, "Height (inches, 0: what suits it)", "height", 0.0, 3.0, step=0.05, format="%.2f")


def _looks() -> None:
    width = composition().value("width")
    kinds = [*WIDTHS, "inches"]

    def write_kind(value: str) -> None:
        keep(look={**composition().look, "width": value if value in WIDTHS else 5.0})

    shown = {"single": "one column, 3.25 in", "double": "text width, 6.875 in", "inches": "other"}
    _control(
        st.selectbox, "Width", "fig.width.kind", width if width in WIDTHS else "inches", write_kind, kinds,
        format_func=lambda k: shown[k],
    )  # fmt: skip
    if width not in WIDTHS:
        _look(st.number_input, "Width in inches", "width", 1.0, 20.0, step=0.05)
    first, second = st.columns(2)
    with first:
        fonts = [*theme.FONTS, *(f for f in [composition().value("font")] if f not in theme.FONTS)]
        _look(
            st.selectbox,
            "Font",
            "font",
            fonts,
            format_func=lambda f: {"sans": "Sans (Arial)", "serif": "Serif (Times)"}.get(f, f),
        )
    with second:
        _look(st.number_input, "Size in points", "font_size", 4.0, 14.0, step=0.5)
    with first:
        _look(st.selectbox, "Palette", "palette", list(theme.PALETTES))
    with second:
        _look(st.selectbox, "Shades", "colormap", list(theme.COLORMAPS), help="Colour map of barcodes and heat maps")
    with first:
        _look(st.selectbox, "Time axis", "time", ["auto", "seconds", "min:s", "none"])
    with second:
        _look(st.number_input, "Dots an inch", "dpi", 72, 1200, step=50, help="Of PNG and of key frames")
    tiou = composition().value("verdicts")
    _control(
        st.selectbox, "Verdicts on detections", "fig.verdicts", tiou or 0.0,
        lambda v: keep(look={k: w for k, w in {**composition().look, "verdicts": v or None}.items() if w is not None}),
        sorted({0.0, 0.1, 0.3, 0.5, 0.7, *([tiou] if tiou else [])}),
        format_func=lambda t: f"true, false, missed at tIoU {t:g}" if t else "none",
    )  # fmt: skip
    if tiou:
        _look(st.selectbox, "Protocol of the verdicts", "protocol", list_protocols())
    _look(st.toggle, "Legend", "legend")
    _look(st.toggle, "Tint ground truth behind curves", "guides")
    _look(st.toggle, "Value range of curves", "scores_range")
    with st.expander("Colours"):
        roles = {
            "gt": "Ground truth",
            "detection": "Detections",
            "tp": "True positive",
            "fp": "False positive",
            "fn": "Missed",
            "instance": "CAS",
        }
        looks = theme.looks(composition().value("palette"), composition().colours)
        for row in (list(roles)[:3], list(roles)[3:]):
            for column, role in zip(st.columns(3), row, strict=True):
                with column:
                    _control(st.color_picker, roles[role], f"fig.colour.{role}", looks[role].colour,
                             lambda c, r=role: keep(colours={**composition().colours, r: c}))  # fmt: skip
        st.button(
            "The tested palette",
            key="fig.colours.reset",
            disabled=not composition().colours,
            on_click=lambda: keep(colours={}),
        )


def _texts(runs: Sequence[str], names: Mapping[str, str], data: FigureData) -> None:
    _look(st.text_input, "Title above", "title", placeholder="(a) An example of “LongJump”")
    _look(st.text_area, "Text below", "caption", height=68, placeholder="Usually left to LaTeX's \\caption")
    for run in runs:
        _control(
            st.text_input, f"Name of {run}", f"fig.name.{run}", names[run],
            lambda v, r=run: keep(names={**composition().names, r: v.strip()}),
        )  # fmt: skip
    st.markdown("**Marks** :small[:gray[boxes across all rows]]")
    for index, mark in enumerate(composition().marks):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{mark.start:g} to {mark.end:g} s {_plain(mark.text)}", width="stretch")
            st.button(
                "",
                icon=":material/close:",
                key=f"fig.mark.{index}.drop",
                type="tertiary",
                help="Take out",
                on_click=lambda i=index: keep(marks=composition().marks[:i] + composition().marks[i + 1 :]),
            )
    t0, t1 = composition().window or (0.0, float(data.duration))
    a, b = st.columns(2)
    last = float(data.duration)
    start = a.number_input("From (s)", 0.0, last, value=min(round(t0, 1), last), step=0.5, key="fig.mark.start")
    end = b.number_input(
        "To (s)",
        0.0,
        last,
        value=min(round(t0 + (t1 - t0) / 5, 1), last),
        step=0.5,
        key="fig.mark.end",
    )
    text = st.text_input("Text", key="fig.mark.text", placeholder="context")
    st.button("Add mark", key="fig.mark.add", icon=":material/add:", disabled=end <= start,
              on_click=lambda: keep(marks=(*composition().marks, Mark(start, end, text))))  # fmt: skip


def _spec_file(dataset_id: str) -> None:
    st.caption("A spec file remakes the figure, here or by `wtal figure SPEC --run NEW_RUN --out figure.pdf`.")

    def load() -> None:
        file = st.session_state["fig.load"]
        if file is None:
            return
        try:
            if file.size > 1 << 20:
                raise ValueError("is larger than 1 MB: it is not a figure spec")
            spec = FigureSpec.parse(file.getvalue().decode("utf-8-sig"), file.name)
            changes, missing = take_spec(spec, dataset_id)
        except WtalError as error:
            st.session_state["fig.load.error"] = error
            return
        except (UnicodeDecodeError, ValueError):
            st.session_state["fig.load.error"] = WtalError(
                "is not a text file", expected="a figure spec (YAML)", where=file.name, next_step="Choose another file"
            )
            return
        st.session_state["fig.load.missing"] = missing
        select(dataset=changes.pop("dataset"))
        select(**changes)

    st.file_uploader("Load a spec", type=["yaml", "yml"], key="fig.load", on_change=load)
    error = st.session_state.pop("fig.load.error", None)
    with guard(stop=False):
        if error is not None:
            raise error
    missing = st.session_state.pop("fig.load.missing", [])
    if missing:
        st.warning(f"This workspace does not have {' and '.join(missing)}; the rest of the spec was taken over.")
