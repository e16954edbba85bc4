"""Post-processing that follows the hand: controls of the run's settings, the split's mAP, keeping what was found."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.ui import loaders, theme
from pages.ui.errors import guard
from pages.ui.explore.live_controls import controls, fields_of, read_values
from pages.ui.explore.view import Again, View, again_of, asked_value, lens_value
from pages.ui.selection import select, selection
from wtal_core.analysis import live
from wtal_core.errors import WtalError, counted
from wtal_core.figures.rows import Row

__all__ = ["show_scores", "show_table", "tune_controls", "with_recomputed"]

_CONTROLS = "controls"
_LENS = "lens."  # in front of the key of a lens


def with_recomputed(split: live.LiveSplit, lead: str, view: View, protocol: str) -> live.LiveSplit:
    """Return the split on recomputed activations where the whole split was computed again."""
    again = again_of(lead)
    if again is None or not again.whole:
        return split
    kept = st.session_state.get("explore.again.split")
    if kept is None or kept[0] != (again.number, protocol):
        new = live.LiveSplit(
            split.run, again.activations, loaders.ground_truth(view.dataset_id, view.split), protocol=protocol
        )
        new.baseline = split.baseline  # differences refer to the stored run
        st.session_state["explore.again.split"] = kept = ((again.number, protocol), new)
    result: live.LiveSplit = kept[1]
    return result


def tune_controls(view: View, lead: str, split: live.LiveSplit) -> dict[str, Any]:
    """Draw the run's localization settings; return what differs from the stored ones."""
    try:
        changes = dict(selection().settings)
        split.settings(changes)
    except WtalError as error:
        st.caption(f":red[This link's settings do not fit this run: {error}]")
        changes = {}
    fields = fields_of(split.localization, changes)
    config = split.run.config() if split.run.method_known else None
    stored = {}
    for lens in split.run.lenses:
        stored[lens.key] = asked_value(view, lead, config, lens.key)
        fields.append(
            {
                "key": _LENS + lens.key, "label": lens.label, "kind": "range", "integer": False, "help": lens.about,
                "value": lens_value(view, lead, config, lens), "stored": stored[lens.key],
                "low": lens.low, "high": lens.high, "step": lens.step,
            }
        )  # fmt: skip
    problem = st.session_state.get("explore.problem", "")
    if problem:
        st.caption(f":red[{problem}]")
    report = st.session_state.get("explore.values", {})
    scope = f"{lead}|{split.run.folder}|{st.session_state.get('explore.form', 0)}"
    st.session_state["explore.tuned"] = (scope, split.localization, stored)
    controls(fields, _CONTROLS, scope=scope, ack=report.get(scope, 0), on_values=_tuned)
    one, two = st.columns(2, gap="small")
    untouched = not changes and not selection().lenses
    one.button("Reset", on_click=_reset, disabled=untouched, width="stretch", help="Back to the stored run.")
    again = again_of(lead)
    again = again if again is not None and again.whole else None
    activations = "the same activations" if again is None else f"what it said when asked again ({again.what})"
    if two.button(
        "Keep as new run",
        disabled=not changes and again is None,
        width="stretch",
        help=f"A new run folder with the same weights, {activations} and these settings.",
    ):
        with guard(stop=False):
            _keep(view, split, changes, again)
    return changes


def _keep(view: View, split: live.LiveSplit, changes: dict[str, Any], again: Again | None) -> None:
    asked = None if again is None else live.Asked(again.activations, again.what, again.changes)
    new = live.keep_as_new_run(split.run, split.update(changes), asked=asked)
    st.toast(f"Kept as {new.name}.", icon=":material/check:")
    found = next((i for i, e in loaders.runs().items() if e.folder == new.folder.resolve()), None)
    if found is not None:
        select(runs=(found, *(r for r in view.runs if r != found))[:4], settings={})
        st.rerun(scope="app")


def _tuned() -> None:
    """Take in what the controls report: changed settings and the lens go into the selection."""
    event = st.session_state[_CONTROLS].get("values")
    scope, localization, stored = st.session_state.get("explore.tuned", ("", None, {}))
    if not event or event.get("scope") != scope:
        return
    st.session_state["explore.values"] = {scope: event["seq"]}
    values = dict(event["values"])
    shown = {key: round(float(values.pop(_LENS + key, at)), 4) for key, at in stored.items()}
    changes, st.session_state["explore.problem"] = read_values(localization, values)
    select(settings=changes, lenses={key: at for key, at in shown.items() if at != stored[key]})


def _reset() -> None:
    st.session_state["explore.form"] = st.session_state.get("explore.form", 0) + 1
    st.session_state.pop("explore.problem", None)
    select(settings={}, lenses={})


def show_scores(place: Any, split: live.LiveSplit, changes: dict[str, Any], tiou: float) -> None:
    """Show the split's mAP with differences to the stored run."""
    result = split.update(changes)
    rows = []
    for level, value in result.evaluation.mean_ap.items():
        mark = ' class="now"' if abs(level - tiou) < 1e-9 else ""
        rows.append(f"<tr{mark}><td>{level:g}</td><td>{theme.percent(value)}</td>{_delta(result.delta[level])}</tr>")
    average, difference = result.evaluation.average, result.delta_average
    rows.append(f'<tr class="sum"><td>avg</td><td>{theme.percent(average)}</td>{_delta(difference)}</tr>')
    evaluation = result.evaluation
    head = "<tr><th>tIoU</th><th>mAP %</th><th>vs stored</th></tr>"
    counts = f"{counted(evaluation.num_videos, 'video')}, {counted(evaluation.num_detections, 'detection')}"
    place.html(
        f'<div class="scores" data-changes="{len(changes)}"><table>{head}'
        f"{''.join(rows)}</table><p>{counts}, "
        f"{1000 * result.seconds:.0f} ms</p></div>"
    )


def _delta(value: float) -> str:
    text = theme.delta(value)
    kind = "up" if text.startswith("+") else "down" if text.startswith("−") else "same"
    return f'<td class="{kind}">{text}</td>'


def show_table(place: Any, shown: list[Row], video: str) -> None:
    """Show the leading run's detections and the ground truth as a table: to read aloud, sort and copy."""
    rows = [
        {"start": i["start"], "end": i["end"], "verdict": i["verdict"], "score": i["score"], "label": i["label"]}
        for track in shown
        if track.key == "det:A"
        for i in track.items
    ]
    rows += [
        {"start": i["start"], "end": i["end"], "verdict": "truth", "score": None, "label": i["label"]}
        for track in shown
        if track.key == "gt"
        for i in track.items
    ]
    two, three = st.column_config.NumberColumn(format="%.2f"), st.column_config.NumberColumn(format="%.3f")
    place.dataframe(
        rows,
        hide_index=True,
        height=420,
        column_config={"start": two, "end": two, "score": three},
        key=f"table.{video}",
    )
