"""Failures: where does it go wrong, and why?"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import library, media, pickers, results, theme
from pages.ui.errors import guard, show_error
from pages.ui.state import select, selection
from wtal_core.errors import WtalError
from wtal_core.evaluation import (
    KINDS,
    Diagnosis,
    describe_failure,
    false_positive_profile,
    list_protocols,
    missed_share,
    sensitivity,
)
from wtal_core.records import Annotations
from wtal_core.runs.failures import FailureNotes, Note, filter_failures, moment_of, right_elsewhere

if TYPE_CHECKING:
    import pandas as pd

PER_PAGE = 12
VIEWS = ("Gallery", "Table", "Overview")
ALL = "all failures"
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)

_CSS = """
<style>
.fail-head { display:flex; align-items:center; gap:.5rem; font-size:.86rem; line-height:1.25; min-height:1.5rem; }
.fail-kind { display:inline-flex; align-items:center; gap:.35rem; font-weight:600; white-space:nowrap; }
.fail-dot { width:.62rem; height:.62rem; border-radius:2px; display:inline-block; flex:none; }
.fail-dot.hollow { background:transparent !important; border:2px solid; }
.fail-cost { margin-left:auto; font-variant-numeric:tabular-nums; font-weight:600; white-space:nowrap; }
.fail-where { font-size:.78rem; opacity:.72; overflow:hidden; text-overflow:ellipsis; white-space:nowrap;
  font-variant-numeric:tabular-nums; }
.fail-frames { display:grid; grid-auto-flow:column; grid-auto-columns:1fr; gap:2px; padding-left:14.4%;
  padding-right:1.4%; margin:.25rem 0 .2rem; }
.fail-frames img { width:100%; aspect-ratio:16/9; object-fit:cover; border-radius:2px; display:block;
  background:color-mix(in srgb, currentColor 8%, transparent); }
.fail-moment { width:100%; display:block; margin:.15rem 0 .1rem; }
.fail-why { font-size:.8rem; line-height:1.35; min-height:1.1rem; margin:.15rem 0 0; }
.fail-tags { display:flex; gap:.3rem; flex-wrap:wrap; font-size:.74rem; margin-top:.25rem; }
.fail-tags span { border:1px solid color-mix(in srgb, currentColor 30%, transparent); border-radius:1rem;
  padding:0 .5rem; }
.fail-tags i { opacity:.75; }
[role="dialog"] h2 { padding: 1rem 1.35rem 0 1.35rem !important; }
.fail-sum { display:flex; gap:1.6rem; flex-wrap:wrap; align-items:baseline; font-variant-numeric:tabular-nums;
  font-size:.9rem; margin:.1rem 0 .2rem; }
.fail-sum b { font-size:1.25rem; font-weight:600; margin-right:.3rem; }
.fail-sum span { opacity:.95; }
</style>
"""


# -- what is looked at ----------------------------------------------------------------------------------------------


def main() -> None:
    """Draw the page."""
    st.html(_CSS)
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
        dataset = library.load_dataset(entry.id)
        annotations = library.load_annotations(entry.id)
        split = library.test_split(dataset)
    with columns[1]:
        runs = pickers.pick_runs(entry.id)
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
        with strip:
            picked = st.segmented_control(
                "Failures of",
                runs,
                key="failures_of",
                bind="query-params",
                required=True,
                default=runs[0],
                label_visibility="collapsed",
            )
        run_id = picked if picked in runs else runs[0]
    with guard():
        found = results.diagnosis(run_id, entry.id, split, protocol, tiou)
        notes = FailureNotes(library.load_run(run_id).folder)
    written = _written(notes)
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
        chosen, order = _filters(found, runs, run_id, entry.id, split, protocol, tiou, written)
    with right:
        _views(found, chosen, order, run_id, runs, entry.id, annotations, notes, written, tiou)


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
    known = library.runs(dataset_id)
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
        f"<span><b>{hits:,}</b>of {found.num_instances:,} instances found</span>"
        f"<span><b>{misses:,}</b>missed (all found: {theme.delta(found.totals['all misses'])})</span>"
        f"<span><b>{false:,}</b>false positives (none: {theme.delta(found.totals['all false positives'])})</span></div>"
    )


# -- filters --------------------------------------------------------------------------------------------------------


def _kinds_to_url() -> None:
    """Write the chosen kinds themselves; a bound widget would write what the pills show, costs included."""
    if chosen := st.session_state["kind"]:
        st.query_params["kind"] = ",".join(chosen)
    else:
        st.query_params.pop("kind", None)


def _filters(
    found: Diagnosis,
    runs: tuple[str, ...],
    run_id: str,
    dataset_id: str,
    split: str,
    protocol: str,
    tiou: float,
    written: dict[str, Note],
) -> tuple[pd.DataFrame, str]:
    """Show the filters and return what passes them, in the chosen order."""
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
    others = [r for r in runs if r != run_id]
    compared = ALL
    if others:
        compared = st.selectbox(
            "Compared with",
            [ALL, *others],
            format_func=lambda r: r if r == ALL else f"wrong here, right in {r}",
            key="right_in",
        )
    tags = sorted({tag for note in written.values() for tag in note.tags})
    wanted_tags: list[str] = []
    if written:
        wanted_tags = st.multiselect("Tag", ["any note", *tags], key="tag", placeholder="tagged or not")
    score = length = None
    with st.expander("Score, length, order"):
        values = failures["score"].dropna()
        if len(values) and float(values.min()) < float(values.max()):
            low, high = float(values.min()), float(values.max())
            picked = st.slider("Score", low, high, (low, high), key=f"score.{run_id}.{low}.{high}")
            score = None if picked == (low, high) else picked
        lengths = failures["end"] - failures["start"]
        longest = max(float(lengths.max()), 0.1)
        picked = st.slider("Length in seconds", 0.0, longest, (0.0, longest), key=f"length.{run_id}.{longest}")
        length = None if picked == (0.0, longest) else picked
        order = st.selectbox("Order", ["cost", "score", "length", "video and time"], key="order", bind="query-params")
        explained = st.toggle(
            "Misses with a detection nearby",
            value=False,
            key="explained",
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
            chosen = failures[right_elsewhere(found, results.diagnosis(compared, dataset_id, split, protocol, tiou))]
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


def _views(
    found: Diagnosis,
    chosen: pd.DataFrame,
    order: str,
    run_id: str,
    runs: tuple[str, ...],
    dataset_id: str,
    annotations: Annotations,
    notes: FailureNotes,
    written: dict[str, Note],
    tiou: float,
) -> None:
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
        _overview(found)
        return
    if not len(chosen):
        st.info("No failure passes these filters. Clear one on the left.", icon=":material/filter_alt_off:")
        return
    rows = _ordered(chosen, order)
    with head[1]:
        st.html(
            f'<div style="text-align:right" class="fail-where">{len(chosen):,} of {len(found.failures):,} failures, '
            f"by {escape(order)}</div>"
        )
    if view == "Table":
        _table(rows, written)
        return
    pages = -(-len(rows) // PER_PAGE)
    if st.session_state.get("failures_page", 1) > pages:
        st.session_state["failures_page"] = 1
    page = st.session_state.get("failures_page", 1)
    shown = list(rows.iloc[(page - 1) * PER_PAGE : page * PER_PAGE].itertuples())
    for i in range(0, len(shown), 2):
        for column, failure in zip(st.columns(2, gap="small"), shown[i : i + 2], strict=False):
            with column:
                _card(failure, found, run_id, runs, dataset_id, annotations, notes, written, tiou)
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key="failures_page")


def _card(
    failure: Any,
    found: Diagnosis,
    run_id: str,
    runs: tuple[str, ...],
    dataset_id: str,
    annotations: Annotations,
    notes: FailureNotes,
    written: dict[str, Note],
    tiou: float,
) -> None:
    from wtal_core.figures.moments import moment_image
    from wtal_core.figures.plots import kind_colour

    moment = moment_of(failure, annotations, found.detections, results.activations_of(run_id, failure.video))
    colour = kind_colour(failure.kind, results.page_mode())
    frames = ""
    if library.load_dataset(dataset_id).video_path(failure.video) is not None:
        frames = (
            '<div class="fail-frames">'
            + "".join(
                f'<img loading="lazy" alt="frame at {theme.seconds(t)}" '
                f'src="{escape(media.frame_url(dataset_id, failure.video, t, 90))}">'
                for t in moment.key_times
            )
            + "</div>"
        )
    note = written.get(failure.key, Note())
    tags = "".join(f"<span>{escape(tag)}</span>" for tag in note.tags)
    if note.text:
        tags += f"<i>{escape(note.text[:140])}</i>"
    facts = f"{escape(failure.video)}, {theme.seconds(failure.start)} to {theme.seconds(failure.end)}"
    if not failure.miss:
        facts += f", score {failure.score:.3g}, rank {failure.rank:,}"
    drawing = moment_image(moment, theme.palette(), miss=bool(failure.miss), text=results.plot_theme().text)
    hollow = " hollow" if failure.miss else ""
    with st.container(border=True, gap="small", key=f"card-{failure.Index}"):
        st.html(
            f'<div class="fail-head"><span class="fail-kind"><span class="fail-dot{hollow}" '
            f'style="background:{colour};border-color:{colour}"></span>{escape(failure.kind)}</span>'
            f"<span>{escape(failure.label)}</span>"
            '<span class="fail-cost" title="mAP gained by repairing this one">'
            f"{_cost(failure.cost)} mAP</span></div>"
            f'<div class="fail-where" title="{facts}">{facts}</div>{frames}'
            f'<img class="fail-moment" alt="{escape(_in_words(failure))}" src="{drawing}">'
            f'<div class="fail-why">{escape(describe_failure(failure, annotations.instances, tiou))}</div>'
            + (f'<div class="fail-tags">{tags}</div>' if tags else "")
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.page_link(
                "pages/explore.py",
                label="Open in Explore",
                icon=":material/movie:",
                query_params=_moment_query(failure, moment.t0, moment.t1, run_id, runs, dataset_id, tiou),
            )
            st.button(
                "Edit note" if note else "Tag or note",
                key=f"note-{failure.Index}",
                icon=":material/sell:",
                type="tertiary",
                on_click=_edit,
                args=(failure.key, f"{failure.kind}: {failure.label}", notes),
            )


def _cost(value: float) -> str:
    text = f"{100 * value:.2f}"
    return f"−{text}" if float(text) else text


def _in_words(failure: Any) -> str:
    return (
        f"timeline around {failure.kind}, {failure.label}, "
        f"{theme.seconds(failure.start)} to {theme.seconds(failure.end)} of {failure.video}"
    )


def _moment_query(
    failure: Any, t0: float, t1: float, run_id: str, runs: tuple[str, ...], dataset_id: str, tiou: float
) -> dict[str, str]:
    """Return the URL parameters of the moment: this run in the lead, the window around the failure."""
    return replace(
        selection(),
        dataset=dataset_id,
        runs=(run_id, *(r for r in runs if r != run_id)),
        video=failure.video,
        label=failure.other or failure.label if failure.miss else failure.label,
        t=float(failure.start),
        t0=float(t0),
        t1=float(t1),
        tiou=tiou,
        settings={},
    ).to_query()


def _edit(key: str, title: str, notes: FailureNotes) -> None:
    st.session_state["editing"] = (key, title, str(notes.path.parent))


@st.dialog("Tag or note")
def _dialog(key: str, title: str, folder: str) -> None:
    notes = FailureNotes(folder)
    with guard():
        note = notes.get(key)
        used = sorted({*notes.tags(), *note.tags})
    st.markdown(f"**{title}**")
    st.multiselect(
        "Tags",
        used,
        default=list(note.tags),
        accept_new_options=True,
        placeholder="type a new tag or choose",
        key="note.tags",
    )
    st.text_area("Note", note.text, height=120, key="note.text")
    st.caption("Kept with the run, in its failures.json.")
    if st.button("Save", type="primary", on_click=_save, args=(key, folder)):
        st.rerun()  # closes the dialog


def _save(key: str, folder: str) -> None:
    try:
        FailureNotes(folder).set(key, st.session_state["note.tags"], st.session_state["note.text"])
    except WtalError as error:
        st.session_state["note.error"] = error


def _table(rows: pd.DataFrame, written: dict[str, Note]) -> None:
    shown = rows[["kind", "label", "video", "start", "end", "score", "rank", "tiou", "inside", "cost", "key"]].copy()
    shown["cost"] *= 100
    shown["rank"] = shown["rank"].where(shown["rank"] > 0)  # misses have none
    shown["tiou"] = shown["tiou"].where(shown["tiou"] > 0)
    shown["tags"] = [", ".join(written[key].tags) if key in written else "" for key in shown["key"]]
    shown["note"] = [written[key].text if key in written else "" for key in shown["key"]]
    shown = shown.drop(columns="key")
    number = st.column_config.NumberColumn
    st.dataframe(
        shown,
        hide_index=True,
        height=560,
        column_config={
            "label": "class",
            "start": number("start s", format="%.1f"),
            "end": number("end s", format="%.1f"),
            "score": number(format="%.3g"),
            "rank": number(format="%d", help="among the detections of its class that count"),
            "tiou": number("tIoU", format="%.2f", help="with the instance that is meant"),
            "inside": number(format="%.2f", help="share of the detection that lies on instances of its class"),
            "cost": number("mAP cost", format="%.2f", help="mAP points gained by repairing just this one"),
        },
    )
    st.download_button(
        "Download as CSV",
        data=lambda: shown.to_csv(index=False).encode(),
        file_name="failures.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _overview(found: Diagnosis) -> None:
    from wtal_core.figures import plots

    look, mode = results.plot_theme(), results.page_mode()
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("What would repairing a kind gain?")
        st.plotly_chart(
            plots.cost_figure(found.summary, look, mode), theme=None, config=plots.plotly_config("cost"), key="fig.cost"
        )
    with right:
        st.subheader("What are the top predictions?")
        profile = false_positive_profile(found)
        if len(profile):
            st.plotly_chart(
                plots.profile_figure(profile, look, mode),
                theme=None,
                config=plots.plotly_config("profile"),
                key="fig.profile",
            )
        else:
            st.caption("No detection counts here.")
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Which instances is it good at?")
        st.plotly_chart(
            plots.sensitivity_figure(sensitivity(found), look),
            theme=None,
            config=plots.plotly_config("sensitivity"),
            key="fig.sens",
        )
    with right:
        st.subheader("Which instances are missed?")
        st.plotly_chart(
            plots.missed_figure(missed_share(found), look),
            theme=None,
            config=plots.plotly_config("missed"),
            key="fig.missed",
        )
    st.caption(
        "Profile, sensitivity and misses as in DETAD (Alwassel et al., ECCV 2018); mAP_N is mAP with precision "
        "normalised for the number of instances, the dashed line that of all instances. Repairs as in TIDE (Bolya et "
        "al., ECCV 2020)."
    )


main()
if editing := st.session_state.pop("editing", None):
    _dialog(*editing)
