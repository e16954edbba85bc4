"""Home: what is here, and what to do next."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from pages.ui import jobs, loaders, selection, theme
from pages.ui.errors import guard, plain
from pages.ui.home.advice import DatasetFacts, Step, dataset_facts, next_steps
from wtal_core.errors import counted
from wtal_core.workspace import DatasetEntry, RunSummary

_STYLE = """
<style>
.stMainBlockContainer { padding-top: 4.4rem; }
.st-key-home_runs [data-testid="stHorizontalBlock"] { min-height: 2.1rem; align-items: center; }
.st-key-home_runs { gap: .1rem; }
.st-key-home_runs p { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: .93rem; }
</style>
"""
_ROWS = 10  # runs that are listed; the Train page lists all
_PAGES = Path(__file__).parent


def _facts(entries: dict[str, DatasetEntry]) -> list[DatasetFacts]:
    return [
        _read(str(entry.folder), entry.id, loaders.dataset_stamp(entry.folder), entry) for entry in entries.values()
    ]


@st.cache_data(max_entries=64, show_spinner=False)
def _read(folder: str, id: str, stamp: tuple[int, ...], _entry: DatasetEntry) -> DatasetFacts:
    return dataset_facts(_entry)


def _dataset(facts: DatasetFacts) -> None:
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{plain(facts.name)}**")
        if facts.problem:
            st.caption(f":red[Cannot be read.] {plain(facts.problem[:200])}")
            st.page_link("pages/data.py", label="Look at it", icon=":material/stethoscope:",
                         query_params={"tool": "check", "data": facts.id})  # fmt: skip
            return
        splits = " · ".join(f"{name} {count:,}" for name, count in facts.splits.items())
        files = f"{facts.files:,} with a file" if facts.files else "no video files"
        jobs.facts(
            {
                "videos": f"{facts.videos:,} ({splits})" if splits else f"{facts.videos:,}",
                "truth": f"{counted(facts.instances, 'instance')} of {counted(facts.classes, 'class', 'classes')}",
                "features": ", ".join(facts.features) or "none yet",
                "frames": files,
            }
        )
        with st.container(horizontal=True):
            st.page_link("pages/explore.py", label="Explore", icon=":material/movie:",
                         query_params=selection.explore_query(dataset=facts.id))  # fmt: skip
            st.page_link("pages/data.py", label="Check", icon=":material/stethoscope:",
                         query_params={"tool": "check", "data": facts.id})  # fmt: skip
            st.page_link("pages/train.py", label="Train", icon=":material/model_training:",
                         query_params={"data": facts.id})  # fmt: skip


_WIDTHS = [2.2, 1.2, 1.7, 1.3, 0.9, 1.2]


def _runs(found: list[RunSummary], entries: dict[str, DatasetEntry]) -> None:
    by_name = {entry.name: i for i, entry in entries.items()}
    with st.container(key="home_runs"):
        for column, title in zip(
            st.columns(_WIDTHS), ("run", "method", "data set", "state", "avg mAP", "last heard of"), strict=True
        ):
            column.caption(title)
        for run in found[:_ROWS]:
            name, method, dataset, status, score, when = st.columns(_WIDTHS, vertical_alignment="center")
            if run.has_activations:
                query = selection.explore_query(run.id, dataset=by_name.get(run.dataset))
                name.page_link("pages/explore.py", label=f"**{plain(run.name)}**", query_params=query)
            else:
                name.page_link("pages/train.py", label=f"**{plain(run.name)}**", query_params={"training": run.id})
            method.markdown(plain(run.method) or "–")
            dataset.markdown(plain(run.dataset) or "–")
            with status:
                jobs.state_badge(run.state)
            score.markdown(theme.percent(run.score))
            when.caption(jobs.ago(time.time() - run.when) if run.when else "–")
    if len(found) > _ROWS:
        st.page_link("pages/train.py", label=f"All {len(found)} runs", icon=":material/arrow_forward:")


def _absent(runs: list[RunSummary], entries: dict[str, DatasetEntry]) -> dict[str, str]:
    """Return `{data set that runs name and the workspace does not have: where it lay when they were trained}`."""
    names, folders = {entry.name for entry in entries.values()}, {str(entry.folder) for entry in entries.values()}
    named = [run for run in runs if run.exists and run.dataset and run.dataset_folder not in folders]
    return {run.dataset: run.dataset_folder for run in named if run.dataset not in names}


def _say_absent(absent: dict[str, str]) -> None:
    """Say which data sets runs lack, and the way to bring them here."""
    for name, folder in absent.items():
        there = bool(folder) and (Path(folder) / "dataset.yaml").is_file()
        lay = f" It lies in {plain(folder)}." if there else f" It lay in {plain(folder)}." if folder else ""
        st.warning(
            f"**There are runs of the data set {plain(name)}, and the data set is not in this workspace.**{lay} "
            "Without it they cannot be looked at. Name its folder on the Data page, under Import, “A folder that is "
            "one”: it is listed here, not copied.",
            icon=":material/folder_off:",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            if there and st.button("Add it", icon=":material/add:", key=f"home.add.{folder}"):
                with guard(stop=False):
                    loaders.register(folder)
                    st.rerun()
            st.page_link("pages/data.py", label="Data", icon=":material/database:", query_params={"tool": "import"})


def _steps(steps: list[Step]) -> None:
    st.header("What to do next")
    for i, step in enumerate(steps):
        with st.container(border=True):
            target = f"pages/{step.page}.py"
            if step.request:
                st.markdown(f"**{plain(step.title)}**")
                st.caption(plain(step.why))
                jobs.show_command(step.request)
                if st.button("Do it in the background", icon=":material/play_arrow:", key=f"home.do.{i}"):
                    home = loaders.workspace().home
                    with guard(stop=False):
                        jobs.submit(step.request, title=step.title, cwd=home, result=home / step.request["out"])
                        st.rerun()
            elif (_PAGES / f"{step.page}.py").is_file():
                st.page_link(target, label=f"**{plain(step.title)}**", icon=":material/arrow_forward:",
                             query_params=dict(step.query) or None, width="stretch")  # fmt: skip
                st.caption(plain(step.why))
            else:
                st.markdown(f"{i + 1}. **{plain(step.title)}**")


def main() -> None:
    """Draw the page."""
    st.html(_STYLE)
    queue = jobs.queue()
    with guard(stop=False):
        queue.start_workers()
    jobs.say_unreadable()
    entries = loaders.datasets()
    facts = _facts(entries)
    found = loaders.workspace().trainings()
    left, right = st.columns([2.7, 1], gap="large")
    with right:
        _steps(next_steps(facts, found))
        busy = [job for job in queue.jobs() if job.status().open and job.command != "train"]
        if busy:
            st.header("Running now")
            jobs.job_list(tuple({job.command for job in busy}), "home.jobs", most=3)
    with left:
        if not entries and not found:
            st.title("See what a model sees")
            st.markdown(
                "A workbench for weakly-supervised temporal action localization: class activation sequences, "
                "attention and detections of five published methods on one time axis under the playing video. "
                "Every threshold is live, every number opens onto the moments behind it."
            )
            st.info(
                "This workspace is empty. Import annotations and features on the **Data** page, or build the demo.",
                icon=":material/folder_open:",
            )
            st.caption(f"Workspace: {plain(str(loaders.workspace().home))}")
            return
        st.header("Data sets")
        _say_absent(_absent(found, entries))
        columns = st.columns(3) if len(facts) > 2 else st.columns(2)
        for i, fact in enumerate(facts):
            with columns[i % len(columns)]:
                _dataset(fact)
        st.header("Runs")
        if found:
            _runs(found, entries)
        else:
            st.caption("No runs yet. A run is a trained model and what it says about the test videos.")
            st.page_link("pages/train.py", label="Train one", icon=":material/model_training:")


main()
