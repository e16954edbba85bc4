"""Train: teach it."""

from __future__ import annotations

import streamlit as st

from pages.ui import jobs, theme
from pages.ui.errors import guard
from pages.ui.train.form import new_training
from pages.ui.train.view import all_trainings, show_training
from wtal_core.jobs.trainings import Training

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


def _choose(key: str) -> None:
    st.query_params["training"] = key


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
            found = all_trainings()
            if busy and not any(t.open for t in found):
                st.rerun(scope="app")
            if not found:
                st.caption("Trainings appear here: running, waiting and past ones.")
            section = ""
            with st.container(key="train_list"):
                for training in found:
                    title = {"running": "Running", "stopping": "Running", "queued": "Waiting"}.get(
                        training.state, "Past"
                    )
                    if title != section:
                        st.caption(f"**{title}**")
                        section = title
                    _rail_item(training)

        watched()


def _rail_item(training: Training) -> None:
    said = {
        "running": f"{100 * (training.fraction or 0):.0f} %",
        "finished": theme.percent(training.score) if training.score is not None else "",
    }.get(training.state, training.state)
    selected = _chosen() in training.names
    if st.button(
        f"{training.name}" + (f"  :gray[{said}]" if said else ""),
        key=f"train.open.{training.key}",
        icon=jobs.ICONS.get(training.state, jobs.ICONS["unknown"]),
        type="secondary" if selected else "tertiary",
        width="stretch",
        help=" · ".join(part for part in (training.method, training.dataset, training.state) if part),
    ):
        _choose(training.key)
        st.rerun(scope="app")  # the list is a fragment: by itself only the list would be drawn again


def main() -> None:
    """Draw the page."""
    st.html(_STYLE)
    with guard(stop=False):
        jobs.queue().start_workers()  # what waits goes on after the machine was restarted
    found = all_trainings()
    rail, page = st.columns([1, 4.4], gap="medium")
    with rail:
        _rail(any(t.open for t in found))
    with page:
        wanted = _chosen()
        if wanted in ("", _NEW):
            new_training()
            return
        training = next((t for t in found if wanted in t.names), None)
        if training is None:
            st.warning(
                f"There is no training “{wanted}” in this workspace: it was removed, or the link is of another one."
            )
            return
        show_training(training)


main()
