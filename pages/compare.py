"""Compare: is it better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from pages.ui import detection_sets, loaders, pickers
from pages.ui.compare import views
from pages.ui.detection_sets import SetRef
from pages.ui.errors import guard, show_error
from pages.ui.selection import selection
from wtal_core.errors import UsageError, WtalError
from wtal_core.evaluation import PROTOCOLS, TIOU_PRESETS, list_protocols, parse_tiou
from wtal_core.papers import dataset_name, published_results

VIEWS = ("mAP", "Classes", "Precision-recall", "Scores", "Slices", "Significance")
NOTHING = "none"
_SHOWN = "compare.dataset"  # id of the data set that was shown last
_CHOSEN = "compare.sets"  # {id of a data set: ids of the runs that were chosen of it}


def main() -> None:
    """Draw the page."""
    st.html(views.CSS)
    columns = st.columns([1.3, 3.2, 1.1, 1.2], gap="small", vertical_alignment="bottom")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. Sets of detections are compared on a data set's ground truth.",
            icon=":material/folder_open:",
        )
        return
    with guard():
        dataset = loaders.load_dataset(entry.id)
        split = detection_sets.split_of(entry.id)
    with columns[1]:
        runs = _pick_sets(entry.id)
    with columns[2]:
        st.selectbox("tIoU", list(TIOU_PRESETS), key="levels", bind="query-params")
    with columns[3], st.popover("Detection files", icon=":material/upload_file:", width="stretch"):
        more = _more_files()
    levels = parse_tiou(st.session_state["levels"])
    sets = _sets(runs, more)
    if not sets:
        _teach(entry.id)
        return
    row = st.columns([2.6, 1.5, 3], gap="medium", vertical_alignment="bottom")
    with row[0]:
        protocols = st.pills(
            "Protocols",
            list_protocols(),
            selection_mode="multi",
            default=["activitynet"],
            key="protocols",
            bind="query-params",
            help="\n".join(f"- **{name}**: {PROTOCOLS[name].summary}" for name in list_protocols()),
        )
    with row[1]:
        same = dataset_name(dataset.name)
        options = [NOTHING, "THUMOS14", "ActivityNet1.2", "ActivityNet1.3"]
        printed_on = st.selectbox(
            "Printed numbers",
            options,
            index=options.index(same) if same else 0,
            key="printed",
            bind="query-params",
            help="What the five papers printed about their own methods.",
        )
    with row[2]:
        view = st.segmented_control(
            "View",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
    with guard():
        sets = _readable(sets)
        if not sets:
            return
        found = detection_sets.comparison(sets, split, tuple(protocols or ["activitynet"]), levels)
    protocol = found.protocols[0]
    if len(found.protocols) > 1 and view != "mAP":
        protocol = st.segmented_control(
            "Protocol", found.protocols, default=protocol, required=True, key="compare_protocol"
        )
    question = views.Question(sets, split, protocol, levels)
    with guard():
        if view == "mAP":
            printed = [] if printed_on == NOTHING else list(published_results(printed_on))
            views.mean_ap(found, printed, printed_on, dataset.name, same == printed_on)
            views.seeds(found, runs)
        elif view == "Classes":
            views.classes(found, question)
        elif view == "Precision-recall":
            views.curves(question)
        elif view == "Scores":
            views.scores(question)
        elif view == "Slices":
            views.slices(question, runs)
        else:
            views.significance(question)


# -- what is compared -----------------------------------------------------------------------------------------------


def _pick_sets(dataset_id: str) -> list[str]:
    """Let the user pick runs; what is picked is in the URL, by id. Return the ids."""
    runs = loaders.runs(dataset_id)
    if st.session_state.get(_SHOWN, dataset_id) != dataset_id:
        st.query_params.pop("sets", None)  # what was chosen is of the data set shown before
    st.session_state[_SHOWN] = dataset_id
    named = [loaders.run_id(name, dataset_id) for name in st.query_params.get_all("sets") if name]
    picked = [run for run in named if run in runs]
    if "sets" not in st.query_params or (named and not picked):
        wanted = [run for run in selection().runs if run in runs]
        first = wanted or [run for run, entry in runs.items() if not entry.error][:4]
        picked = st.session_state.get(_CHOSEN, {}).get(dataset_id, first)
    st.session_state["sets"] = picked
    st.multiselect(
        "Runs",
        list(runs),
        format_func=lambda run: runs[run].name,
        key="sets",
        on_change=_keep_sets,
        args=(dataset_id,),
        placeholder="Choose runs" if runs else "No runs yet",
        help="The first one is what the others are compared with. Detections of other systems become runs on the Data "
        "page.",
    )
    for lost in (run for run in named if run not in runs):
        pickers.why_not("run", lost)
    return picked


def _keep_sets(dataset_id: str) -> None:
    picked = st.session_state["sets"]
    st.session_state.setdefault(_CHOSEN, {})[dataset_id] = picked
    st.query_params["sets"] = picked or [""]  # an empty one says that nothing was chosen


def _more_files() -> list[SetRef]:
    """Show the ways to look at detection files without importing them, and return those that were named."""
    st.markdown(
        "Detections of any system, to look at once: ActivityNet results JSON, THUMOS14 text, or CSV. The Data page "
        "imports them for good."
    )
    text = st.text_area(
        "Paths on this machine, one a line",
        key="files",
        bind="query-params",
        placeholder="/data/results/other_system.json",
        height=90,
    )
    uploads = st.file_uploader("Or upload", accept_multiple_files=True, type=["json", "txt", "csv"], key="uploads")
    lines = dict.fromkeys(line.strip() for line in (text or "").splitlines())
    found = [detection_sets.file_set(line) for line in lines if line]
    for upload in uploads or []:
        try:
            found.append(detection_sets.upload_set(upload.name, upload.getvalue()))
        except WtalError as error:
            show_error(error)
    return found


def _sets(runs: Sequence[str], files: Sequence[SetRef]) -> tuple[SetRef, ...]:
    """Return all sets with names that differ."""
    sets: list[SetRef] = []
    for run in runs:
        try:
            sets.append(detection_sets.run_set(run))
        except WtalError as error:
            show_error(error)
    for ref in files:
        name, number = ref.name, 2
        while any(s.name == name for s in sets):
            name, number = f"{ref.name} ({number})", number + 1
        sets.append(replace(ref, name=name))
    return tuple(sets)


def _readable(sets: Sequence[SetRef]) -> tuple[SetRef, ...]:
    """Return the sets that can be read; say what is wrong with the others."""
    good: list[SetRef] = []
    for ref in sets:
        try:
            if not len(detection_sets.load_set(ref)):
                raise UsageError("holds no detections", where=ref.name, next_step="Leave it out")
            good.append(ref)
        except WtalError as error:
            show_error(error)
    return tuple(good)


def _teach(dataset_id: str) -> None:
    known = loaders.runs(dataset_id)
    if known:
        st.info(
            "**Choose runs or bring in detection files** to put them side by side.", icon=":material/compare_arrows:"
        )
        return
    st.info(
        "**No run of this data set yet.** Train one on the Train page, or bring in the detections of another system by "
        "*Detection files* or on the Data page: ActivityNet results JSON, THUMOS14 text or CSV.",
        icon=":material/compare_arrows:",
    )


main()
