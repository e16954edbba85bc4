"""Train: teach it."""

from __future__ import annotations

import streamlit as st

from pages.ui import jobs, loaders, theme
from pages.ui.errors import guard, plain
from pages.ui.train.form import new_training
from pages.ui.train.view import show_training
from wtal_core.workspace import RunSummary, matches

_STYLE = """
<style>
.stMainBlockContainer { padding-top: 4.4rem; }
.st-key-train_list button, .st-key-train_list button > div { justify-content: flex-start; text-align: left; }
.st-key-train_list { gap: .1rem; }
.st-key-train_list [data-testid="stCaptionContainer"] { padding-top: .35rem; }
.st-key-train_list p { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
</style>
"""
_NEW = "new"


def _chosen() -> str:
    return st.query_params.get("training", "")


def _choose(id: str) -> None:
    st.query_params["training"] = id


# -- the list on the left -------------------------------------------------------------------------------------------


def _rail(busy: bool) -> None:
    """List all trainings; the list keeps itself up to date while something happens."""
    with st.container(key="train_rail"):
        is_new = _chosen() in ("", _NEW)
        st.button(
            "New training", icon=":material/add:", key="train.new", width="stretch", on_click=_choose, args=(_NEW,),
            type="primary" if is_new else "secondary",
        )  # fmt: skip

        @st.fragment(run_every=2.0 if busy else None)
        def watched() -> None:
            found = loaders.workspace().trainings()
            if busy and not any(t.open for t in found):
                st.rerun(scope="app")
            if not found:
                st.caption("Trainings appear here: running, waiting and past ones.")
            section = ""
            with st.container(key="train_list"):
                for run in found:
                    title = {"running": "Running", "stopping": "Running", "queued": "Waiting"}.get(run.state, "Past")
                    if title != section:
                        st.caption(f"**{title}**")
                        section = title
                    _rail_item(run)

        watched()


def _rail_item(run: RunSummary) -> None:
    said = {
        "running": f"{100 * (run.fraction or 0):.0f} %",
        "finished": theme.percent(run.score) if run.score is not None else "",
    }.get(run.state, run.state)
    selected = _chosen() in run.names
    if st.button(
        f"{run.name}" + (f"  :gray[{said}]" if said else ""),
        key=f"train.open.{run.id}",
        icon=jobs.ICONS.get(run.state, jobs.ICONS["unknown"]),
        type="secondary" if selected else "tertiary",
        width="stretch",
        help=" · ".join(part for part in (run.method, run.dataset, run.state) if part),
    ):
        _choose(run.id)
        st.rerun(scope="app")  # the list is a fragment: by itself only the list would be drawn again


def main() -> None:
    """Draw the page."""
    st.html(_STYLE)
    with guard(stop=False):
        jobs.queue().start_workers()  # what waits goes on after the machine was restarted
    found = loaders.workspace().trainings()
    rail, page = st.columns([1, 4.4], gap="medium")
    with rail:
        _rail(any(run.open for run in found))
    with page:
        jobs.say_unreadable()
        wanted = _chosen()
        if wanted in ("", _NEW):
            new_training()
            return
        named = [run for run in found if wanted in run.names]
        named = named or [run for run in found if run.id in matches(wanted, [run.id for run in found])]
        if len(named) != 1:
            why = "it was removed, or the link is of another one"
            if named:
                why = f"this may mean {' or '.join(run.id for run in named)}"
            st.warning(plain(f"There is no training “{wanted}” in this workspace: {why}."))
            return
        show_training(named[0])


main()
