"""What the failures page shows of the failures that were chosen: cards with key frames, a table, an overview; notes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui import detection_sets, loaders, media, theme
from pages.ui.detection_sets import SplitRef
from pages.ui.errors import guard
from pages.ui.selection import selection
from wtal_core.analysis.failures import FailureNotes, Note, moment_of
from wtal_core.errors import WtalError
from wtal_core.evaluation import Diagnosis, describe_failure, false_positive_profile, missed_share, sensitivity
from wtal_core.records import Annotations

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CSS", "Looked", "edit_note", "gallery", "overview", "table"]

PER_PAGE = 12

CSS = """
<style>
.st-key-failure-cards { display:grid !important; grid-template-columns:repeat(auto-fill, minmax(min(27rem, 100%), 1fr));
  gap:1rem; align-items:stretch; }
.st-key-failure-cards > div { height:100%; }
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


@dataclass(frozen=True, eq=False)
class Looked:
    """What the page looks at.

    Args:
        run: id of the run whose failures are shown.
        runs: ids of all chosen runs.
        split: on which ground truth.
        annotations: of the data set.
        found: the diagnosis.
        notes: of the run.
        written: what the notes say.
    """

    run: str
    runs: tuple[str, ...]
    split: SplitRef
    annotations: Annotations
    found: Diagnosis
    notes: FailureNotes
    written: Mapping[str, Note]


def gallery(rows: pd.DataFrame, looked: Looked) -> None:
    """Show failures as cards, some on a page."""
    pages = -(-len(rows) // PER_PAGE)
    if st.session_state.get("failures_page", 1) > pages:
        st.session_state["failures_page"] = 1
    page = st.session_state.get("failures_page", 1)
    shown = list(rows.iloc[(page - 1) * PER_PAGE : page * PER_PAGE].itertuples())
    with st.container(key="failure-cards"):
        for failure in shown:
            _card(failure, looked)
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key="failures_page")


def _card(failure: Any, looked: Looked) -> None:
    from wtal_core.figures.moments import moment_image
    from wtal_core.figures.plots import kind_colour

    activations = None
    with suppress(WtalError):  # damaged ones are said where they are needed; the rest of the card stands without them
        activations = detection_sets.activations_of(looked.run, failure.video)
    moment = moment_of(failure, looked.annotations, looked.found.detections, activations)
    colour = kind_colour(failure.kind, detection_sets.page_mode())
    frames = ""
    if loaders.load_dataset(looked.split.dataset).video_path(failure.video) is not None:
        frames = (
            '<div class="fail-frames">'
            + "".join(
                f'<img loading="lazy" alt="frame at {theme.seconds(t)}" '
                f'src="{escape(media.frame_url(looked.split.dataset, failure.video, t, 90))}">'
                for t in moment.key_times
            )
            + "</div>"
        )
    note = looked.written.get(failure.key, Note())
    tags = "".join(f"<span>{escape(tag)}</span>" for tag in note.tags)
    if note.text:
        tags += f"<i>{escape(note.text[:140])}</i>"
    facts = f"{escape(failure.video)}, {theme.seconds(failure.start)} to {theme.seconds(failure.end)}"
    if not failure.miss:
        facts += f", score {failure.score:.3g}, rank {failure.rank:,}"
    drawing = moment_image(moment, theme.palette(), miss=bool(failure.miss), text=detection_sets.plot_theme().text)
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
            f'<div class="fail-why">{escape(describe_failure(failure, looked.annotations, looked.found.tiou))}</div>'
            + (f'<div class="fail-tags">{tags}</div>' if tags else "")
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.page_link(
                "pages/explore.py",
                label="Open in Explore",
                icon=":material/movie:",
                query_params=_moment_query(failure, moment.t0, moment.t1, looked),
            )
            st.button(
                "Edit note" if note else "Tag or note",
                key=f"note-{failure.Index}",
                icon=":material/sell:",
                type="tertiary",
                on_click=_edit,
                args=(failure.key, f"{failure.kind}: {failure.label}", note, looked.notes),
            )


def _cost(value: float) -> str:
    text = f"{100 * value:.2f}"
    return f"−{text}" if float(text) else text


def _in_words(failure: Any) -> str:
    return (
        f"timeline around {failure.kind}, {failure.label}, "
        f"{theme.seconds(failure.start)} to {theme.seconds(failure.end)} of {failure.video}"
    )


def _moment_query(failure: Any, t0: float, t1: float, looked: Looked) -> dict[str, str]:
    """Return the URL parameters of the moment: this run in the lead, the window around the failure."""
    return replace(
        selection(),
        dataset=looked.split.dataset,
        runs=(looked.run, *(r for r in looked.runs if r != looked.run)),
        video=failure.video,
        label=failure.other or failure.label if failure.miss else failure.label,
        t=float(failure.start),
        t0=float(t0),
        t1=float(t1),
        tiou=looked.found.tiou,
        settings={},
    ).to_query()


# -- notes ----------------------------------------------------------------------------------------------------------


def _edit(key: str, title: str, note: Note, notes: FailureNotes) -> None:
    for name in ("note.tags", "note.text"):  # what was typed into a dialog that was closed by its cross
        st.session_state.pop(name, None)
    st.session_state["note.editing"] = (key, title, note, str(notes.path.parent))


def edit_note() -> None:
    """Open the dialog for the note that was asked for; call it at the end of the page."""
    if (editing := st.session_state.pop("note.editing", None)) is not None:
        _dialog(*editing)


@st.dialog("Tag or note")
def _dialog(key: str, title: str, seen: Note, folder: str) -> None:
    with guard():
        used = sorted({*FailureNotes(folder).tags(), *seen.tags})
    st.markdown(f"**{title}**")
    st.multiselect(
        "Tags",
        used,
        default=list(seen.tags),
        accept_new_options=True,
        placeholder="type a new tag or choose",
        key="note.tags",
    )
    st.text_area("Note", seen.text, height=120, key="note.text")
    st.caption("Kept with the run, in its failures.json.")
    if st.button("Save", type="primary", on_click=_save, args=(key, seen, folder)):
        st.rerun()  # closes the dialog


def _save(key: str, seen: Note, folder: str) -> None:
    try:
        FailureNotes(folder).set(key, st.session_state["note.tags"], st.session_state["note.text"], seen=seen)
    except WtalError as error:
        st.session_state["note.error"] = error


# -- table and overview ---------------------------------------------------------------------------------------------


def table(rows: pd.DataFrame, written: Mapping[str, Note]) -> None:
    """Show failures as a table that sorts, with a download."""
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
        placeholder="–",
        column_config={
            "label": "class",
            "start": number("start s", format="%.1f"),
            "end": number("end s", format="%.1f"),
            "score": number(format="%.3f"),
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


def overview(found: Diagnosis) -> None:
    """Show what all failures together cost, and which instances suffer."""
    from wtal_core.figures import plots

    look, mode = detection_sets.plot_theme(), detection_sets.page_mode()
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
