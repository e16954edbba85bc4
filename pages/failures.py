"""Failures: where does it go wrong, and why?"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import detection_sets, loaders, pickers, theme
from pages.ui.errors import guard, show_error
from pages.ui.failures import gallery
from pages.ui.failures.gallery import Looked
from pages.ui.selection import select, selection
from wtal_core.analysis.failures import FailureNotes, Note, filter_failures, right_elsewhere
from wtal_core.errors import WtalError, counted
from wtal_core.evaluation import KINDS, Diagnosis, list_protocols

if TYPE_CHECKING:
    import pandas as pd

VIEWS = ("Gallery", "Table", "Overview")
ALL = "any run or none"
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)

# -- what is looked at ----------------------------------------------------------------------------------------------


def main() -> None:
    """Draw the page."""
    st.html(gallery.CSS)
    if (problem := st.session_state.pop("note.error", None)) is not None:
        show_error(problem)
    columns = st.columns([1.3, 2.6, 1.1, 0.9], gap="small", vertical_alignment="bottom")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. Failures are found by comparing a run's detections with the data set's ground truth.",
            icon=":material/folder_open:",
        )
        return
    with guard():
        annotations = loaders.load_annotations(entry.id)
        split = detection_sets.split_of(entry.id)
    with columns[1]:
        runs = pickers.pick_runs(entry.id, needs="detections")
    with columns[2]:
        protocol = st.selectbox("Protocol", list_protocols(), key="protocol", bind="query-params")
    with columns[3]:
        tiou = _pick_tiou()
    if not runs:
        _no_runs(entry.id)
        return

    run_id = runs[0]
    strip = st.container(horizontal=True, vertical_alignment="center", gap="large")
    if len(runs) > 1:
        pickers.follow_link("failures_of", runs)
        with strip:
            picked = st.segmented_control(
                "Failures of",
                runs,
                key="failures_of",
                bind="query-params",
                required=True,
                default=None if "failures_of" in st.session_state else runs[0],
                label_visibility="collapsed",
            )
        run_id = picked if picked in runs else runs[0]
    with guard():
        found = detection_sets.diagnosis(detection_sets.run_set(run_id), split, protocol, tiou)
        notes = FailureNotes(loaders.load_run(run_id).folder)
    looked = Looked(run_id, runs, split, annotations, found, notes, _written(notes))
    with strip:
        _headline(found)
    if not len(found.failures):
        st.success(
            f"At tIoU {tiou:g} every instance is found and no detection is false. Try a stricter tIoU.",
            icon=":material/check_circle:",
        )
        return
    left, right = st.columns([1, 3.1], gap="medium")
    with left:
        chosen, order = _filters(looked)
    with right:
        _views(looked, chosen, order)


def _pick_tiou() -> float:
    current = selection().tiou
    options = sorted({*TIOU, *([current] if current is not None else [])})
    st.session_state["pick.tiou"] = current if current is not None else 0.5
    return float(
        st.selectbox(
            "tIoU",
            options,
            key="pick.tiou",
            format_func=lambda t: f"{t:g}",
            on_change=lambda: select(tiou=float(st.session_state["pick.tiou"])),
            help="A detection is right if its temporal intersection over union with a free instance reaches this.",
        )
    )


def _no_runs(dataset_id: str) -> None:
    known = loaders.runs(dataset_id)
    if known:
        st.info("**Choose a run** to see where it goes wrong.", icon=":material/checklist:")
        return
    st.info(
        "**No run of this data set yet.** Train one on the Train page or with "
        "`wtal train METHOD --data ... --out runs/NAME`; its failures appear here, ranked by what each costs in mAP.",
        icon=":material/model_training:",
    )


def _written(notes: FailureNotes) -> dict[str, Note]:
    try:
        return notes.all()
    except WtalError as error:
        show_error(error)
        return {}


def _headline(found: Diagnosis) -> None:
    misses = int(found.failures["miss"].sum())
    false = len(found.failures) - misses
    hits = found.num_instances - misses
    st.html(
        f'<div class="fail-sum"><span><b>{theme.percent(found.mean_ap)}</b>mAP@{found.tiou:g}</span>'
        f"<span><b>{hits:,}</b>of {counted(found.num_instances, 'instance')} found</span>"
        f"<span><b>{misses:,}</b>missed (all found: {theme.delta(found.totals['all misses'])})</span>"
        f"<span><b>{false:,}</b>false positives (none: {theme.delta(found.totals['all false positives'])})</span></div>"
    )
    if found.notes:
        with st.popover(counted(len(found.notes), "note"), icon=":material/notes:"):
            for note in found.notes:
                st.markdown(f"- {note}")


# -- filters --------------------------------------------------------------------------------------------------------


def _kinds_to_url() -> None:
    """Write the chosen kinds themselves; a bound widget would write what the pills show, costs included."""
    if chosen := st.session_state["kind"]:
        st.query_params["kind"] = ",".join(chosen)
    else:
        st.query_params.pop("kind", None)


def _range(label: str, name: str, low: float, high: float) -> tuple[float, float] | None:
    """Let the user narrow a range, which the URL keeps as "from,to" (an end that was not moved is empty)."""
    if low >= high:
        return None
    first, _, last = (st.query_params.get(name) or "").partition(",")
    chosen = min(max(_number(first, low), low), high), max(min(_number(last, high), high), low)
    key = f"range.{name}"
    st.session_state[key] = chosen if chosen[0] <= chosen[1] else (low, high)

    def write() -> None:
        a, b = st.session_state[key]
        text = f"{f'{a:.6g}' if a > low else ''},{f'{b:.6g}' if b < high else ''}"
        if text == ",":
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = text

    picked: tuple[float, float] = st.slider(label, low, high, key=key, on_change=write)
    return None if picked == (low, high) else picked


def _number(text: str, default: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return default
    return value if math.isfinite(value) else default


def _filters(looked: Looked) -> tuple[pd.DataFrame, str]:
    """Show the filters and return what passes them, in the chosen order."""
    found, written = looked.found, looked.written
    failures, summary = found.failures, found.summary
    by_cost = summary.sort_values("cost", ascending=False)
    in_url = (st.query_params.get("kind") or "").split(",")
    st.session_state["kind"] = [kind for kind in by_cost.index if kind in in_url]
    kinds = st.pills(
        "Kind, and what repairing it would gain",
        list(by_cost.index),
        selection_mode="multi",
        wrap=True,
        format_func=lambda kind: f"{kind}  {theme.delta(float(summary.loc[kind, 'cost']))}",
        key="kind",
        on_change=_kinds_to_url,
        help="\n".join(f"- **{kind}**: {KINDS[kind]}" for kind in summary.index),
    )
    classes = st.multiselect(
        "Class", list(found.ground_truth.classes), key="of_class", bind="query-params", placeholder="all classes"
    )
    others = [r for r in looked.runs if r != looked.run]
    compared = ALL
    if others:
        pickers.follow_link("right_in", others)
        compared = st.selectbox(
            "Wrong here, right in",
            [ALL, *others],
            key="right_in",
            bind="query-params",
        )
    tags = sorted({tag for note in written.values() for tag in note.tags})
    wanted_tags: list[str] = []
    if written:
        wanted_tags = st.multiselect(
            "Tag", ["any note", *tags], key="tag", bind="query-params", placeholder="tagged or not"
        )
    score = length = None
    with st.expander("Score, length, order"):
        values = failures["score"].dropna()
        if len(values):
            score = _range("Score", "score", float(values.min()), float(values.max()))
        lengths = failures["end"] - failures["start"]
        length = _range("Length in seconds", "length", 0.0, max(float(lengths.max()), 0.1))
        order = st.selectbox("Order", ["cost", "score", "length", "video and time"], key="order", bind="query-params")
        explained = st.toggle(
            "Misses with a detection nearby",
            value=False,
            key="explained",
            bind="query-params",
            help="A missed instance whose nearest detection is listed as a failure of its own (too short, too "
            "long, wrong class) is the same failure seen from the other side. They are left out unless this is on, or "
            "their kind is chosen.",
        )
    keys = None
    if wanted_tags:
        keys = [key for key, note in written.items() if "any note" in wanted_tags or set(wanted_tags) & set(note.tags)]
    chosen = failures
    if compared != ALL and compared in others:
        with guard():
            there = detection_sets.diagnosis(detection_sets.run_set(compared), looked.split, found.protocol, found.tiou)
            chosen = failures[right_elsewhere(found, there)]
    chosen = filter_failures(
        chosen,
        kinds=kinds,
        labels=classes,
        score=score,
        length=length,
        keys=keys,
        explained=explained or any(kind.startswith("missed") for kind in kinds) or keys is not None,
    )
    return chosen, order


def _ordered(chosen: pd.DataFrame, order: str) -> pd.DataFrame:
    if order == "score":
        return chosen.sort_values("score", ascending=False, kind="stable")
    if order == "length":
        return chosen.iloc[(chosen["start"] - chosen["end"]).argsort(kind="stable")]
    if order == "video and time":
        return chosen.sort_values(["video", "start"], kind="stable")
    return chosen


# -- views ----------------------------------------------------------------------------------------------------------


def _views(looked: Looked, chosen: pd.DataFrame, order: str) -> None:
    head = st.columns([2, 3], vertical_alignment="center")
    with head[0]:
        view = st.segmented_control(
            "View",
            VIEWS,
            key="view",
            default=VIEWS[0],
            required=True,
            label_visibility="collapsed",
            bind="query-params",
        )
    if view == "Overview":
        gallery.overview(looked.found)
        return
    if not len(chosen):
        st.info("No failure passes these filters. Clear one on the left.", icon=":material/filter_alt_off:")
        return
    rows = _ordered(chosen, order)
    with head[1]:
        st.html(
            f'<div style="text-align:right" class="fail-where">{len(chosen):,} of '
            f"{len(looked.found.failures):,} failures, by {escape(order)}</div>"
        )
    if view == "Table":
        gallery.table(rows, looked.written)
        return
    gallery.gallery(rows, looked)


main()
gallery.edit_note()
