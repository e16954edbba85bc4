"""Explore: what does the model see in this video?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import background, loaders, pickers
from pages.ui.errors import guard
from pages.ui.explore import recompute, rows, thresholds
from pages.ui.explore.view import Erased, Panel, View, again_of, clear_erased, live_split
from pages.ui.selection import select, selection
from pages.ui.timeline import pack, timeline
from wtal_core.analysis import live
from wtal_core.evaluation import TIOU_PRESETS, list_protocols

KEY = "timeline"
_END = -1  # of the steps of a training: what is stored
_WHOLE = "explore.whole"  # what the timeline reported concerns the pickers too
VERDICT_TIOU = TIOU_PRESETS["0.1:0.7"]
_CSS = f"<style>{(Path(__file__).parent / 'explore.css').read_text(encoding='utf-8')}</style>"


def main() -> None:
    """Draw the page."""
    st.html(_CSS)
    columns = st.columns([1.2, 2.2, 1.7, 1.3], gap="small")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. A data set is a folder with `dataset.yaml`, annotations and features; videos are "
            "optional.",
            icon=":material/folder_open:",
        )
        st.page_link("pages/data.py", label="Bring in a data set", icon=":material/database:")
        return
    with guard():
        dataset = loaders.load_dataset(entry.id)
        annotations = loaders.load_annotations(entry.id)
        split = loaders.test_split(dataset)
        videos = dataset.videos(split)
    with columns[1]:
        runs = pickers.pick_runs(entry.id)
    with columns[2]:
        video = pickers.pick_video(dataset, videos, runs=runs)
    if video is None:
        st.info(f"The split “{split}” of this data set lists no videos.")
        return
    present = list(dict.fromkeys(annotations.instances.for_video(video).label.tolist()))
    with columns[3]:
        label = pickers.pick_class(annotations.classes, (present or list(annotations.classes))[0], marked=present)
    select(dataset=entry.id, runs=runs, video=video, label=label)
    workbench(View(entry.id, dataset, annotations, split, runs, video, label))


@st.fragment
def workbench(view: View) -> None:
    """Draw panel and timeline; a moved control reruns this part only."""
    if st.session_state.pop(_WHOLE, False):
        st.rerun(scope="app")
    left, right = st.columns([3.75, 1], gap="small")
    lead = view.runs[0] if view.runs else None
    recompute.take_answer()
    with right, st.container(key="panel"):
        if lead is None:
            st.info("Choose a run above to see what a model says, or train one on the Train page.")
            rules = Panel(tiou=selection().tiou or 0.5)
        else:
            rules = panel(view, lead)
    with left:
        shown, facts = rows.build(view, rules)
        where = selection()
        timeline(
            pack(
                shown,
                start={"t": where.t, "from": where.t0, "to": where.t1},
                subject=view.subject,
                tiou=rules.tiou,
                label=view.label,
                classes=view.annotations.classes,
                **facts,
            ),
            KEY,
            on_moment=_moved,
            on_erase=_erase,
            on_label=_labelled,
            on_ask=_asked,
        )
    if rules.split is not None:
        time.sleep(0.01)  # the server sends the detections before the split's mAP keeps Python busy
        with guard(stop=False):
            thresholds.show_scores(rules.scores, rules.split, rules.changes, rules.tiou)
    if rules.table is not None:
        thresholds.show_table(rules.table, shown, view.video)
    background.card()


def panel(view: View, lead: str) -> Panel:
    """Draw verdict rules, scores, post-processing and recomputing of the leading run."""
    first, second = st.columns([1.35, 1], gap="small")
    with first:
        about = "Named evaluation protocol that mAP is computed under."
        protocol = _picked("protocol", "Protocol", list_protocols(), "activitynet", about)
    with second:
        levels = sorted({*VERDICT_TIOU, selection().tiou or 0.5})  # a link may name one between
        tiou = _picked("tiou", "tIoU", levels, 0.5, "True or false positive at this overlap.")
    with guard(stop=False):
        _pick_step(view, lead)
    scores = st.container()  # not st.empty(), which would blank the table until the new numbers are there
    said = st.container(key="said")
    tuning, asking, table = st.tabs(["Post-processing", "Recompute", "Table"], key="explore.tab", on_change="rerun")
    split: live.LiveSplit | None = None
    changes: dict[str, Any] = {}
    with guard(stop=False):
        if loaders.load_run(lead).activations_path.is_file():
            stored = live_split(lead, view.dataset_id, view.split, protocol)
            split = thresholds.with_recomputed(stored, lead, view, protocol)
        else:
            tuning.caption(
                "This run holds no activations, so there is nothing to cut at other thresholds. `wtal infer` computes "
                "them where it has weights; `run.log(...)` or `wtal runs import` brings in those of other code."
            )
    if asking.open:
        with asking:
            recompute.ask_controls(view, lead)
    else:
        recompute.ask_without_erased(view, lead)
    if (again := again_of(lead)) is not None:
        said.caption(again.text)
    if split is not None:
        with tuning, guard(stop=False):
            changes = thresholds.tune_controls(view, lead, split)
    return Panel(protocol, tiou, changes, split, scores, table if table.open else None)


def _pick_step(view: View, lead: str) -> None:
    """Show the steps of the training whose activations were kept, to see how curves and detections formed."""
    steps = loaders.load_run(lead).kept_steps()
    if not steps:
        return
    of = [step for step in steps if view.video in loaders.load_kept(lead, step)]
    if not of:
        kept = ", ".join(loaders.load_kept(lead, steps[-1]))
        st.caption(f"Steps of the training are kept of other videos: {kept}.")
        return
    st.session_state["explore.step"] = selection().step if selection().step in of else _END
    st.select_slider(
        "Step of the training", [*of, _END], key="explore.step", on_change=_stepped,
        format_func=lambda step: "end" if step == _END else f"{step:,}",
        help="What the model said of this video while it was trained.",
    )  # fmt: skip


def _stepped() -> None:
    step = st.session_state["explore.step"]
    select(step=None if step == _END else step)


def _picked(part: str, label: str, options: Any, default: Any, about: str) -> Any:
    """Show a selectbox that follows the selection and writes it."""
    key, wanted = f"explore.{part}", getattr(selection(), part)
    st.session_state[key] = wanted if wanted in options else default
    return st.selectbox(label, options, key=key, on_change=_pick, args=(part, key), help=about)


def _pick(part: str, key: str) -> None:
    select(**{part: st.session_state[key]})


# -- what the timeline reports --------------------------------------------------------------------------------------


def _event(name: str) -> dict[str, Any] | None:
    """Return what the timeline reported, if it is about what is selected."""
    event = st.session_state[KEY].get(name)
    chosen = selection()
    return event if event and event.get("subject") == f"{chosen.dataset}/{chosen.video}" else None


def _moved() -> None:
    if event := _event("moment"):
        select(t=event["t"], t0=event["from"], t1=event["to"])


def _erase() -> None:
    if event := _event("erase"):
        clear_erased()
        if event["spans"]:
            st.session_state["explore.erased"] = Erased(event["subject"], tuple((a, b) for a, b in event["spans"]))


def _labelled() -> None:
    if event := _event("label"):
        select(label=event["name"])
        st.session_state[_WHOLE] = True


def _asked() -> None:
    if event := _event("ask"):
        dataset_id, video = str(selection().dataset), str(selection().video)
        if event["what"] == "step":
            dataset = loaders.load_dataset(dataset_id)
            videos = dataset.videos(loaders.test_split(dataset))
            pickers.step_video(videos, video, int(event["by"]))
            st.session_state[_WHOLE] = True
        else:
            {"flow": recompute.start_flow, "copy": recompute.start_copy}[event["what"]](dataset_id, video)


main()
