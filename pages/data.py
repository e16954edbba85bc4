"""Data: is my data right?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.ui import jobs, loaders
from pages.ui.data.extraction import extract, static_clips
from pages.ui.data.importing import import_files
from pages.ui.data.snippets import snippets
from pages.ui.errors import guard, plain
from pages.ui.file_input import ask_file, no_datasets, opened
from wtal_core.commands.output import command_line
from wtal_core.data import Dataset
from wtal_core.data.doctor import (
    CHECKS,
    SEVERITIES,
    Diagnosis,
    Stamp,
    diagnose_dataset,
    read_diagnosis,
    stamps,
    total_bytes,
)
from wtal_core.data.explain import explain, facts_as_text
from wtal_core.errors import WtalError

_STYLE = """
<style>
.stMainBlockContainer { padding-top: 4.4rem; }
</style>
"""

_QUICK_BYTES = 300 * 2**20  # features that the doctor reads while one waits; more is read in the background


# -- check ------------------------------------------------------------------------------------------------------------


def _check() -> None:
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        dataset_id, dataset = opened()
        with guard(stop=False):
            _overview(dataset_id, dataset)
    with right:
        _doctor(dataset)


def _overview(dataset_id: str, dataset: Dataset) -> None:
    annotations = loaders.load_annotations(dataset_id)
    videos = annotations.videos
    files = sum(dataset.video_path(v) is not None for v in videos)
    rows = {
        "folder": loaders.short(dataset.folder),
        "videos": ", ".join(f"{name} {len(dataset.videos(name)):,}" for name in dataset.splits),
        "video files": f"{files:,} of {len(videos):,}",
        "classes": f"{len(annotations.classes):,}",
        "instances": f"{len(annotations.instances):,}",
        "further truth": ", ".join(annotations.tracks),
        "protocol": dataset.evaluation.protocol,
    }
    jobs.facts(rows)
    for name in dataset.feature_names:
        with guard(stop=False), dataset.store(name) as store:
            first = store.videos[0]
            grid, made = store.grid(first), store.provenance(first)
            *crops, _, _ = store.shape(first)
            st.caption(f"**Features {name}**")
            jobs.facts(
                {
                    "videos": f"{len(store.videos):,}",
                    "channels": f"{store.dim:,}",
                    "crops": f"{crops[0]}" if crops else "",
                    "grid": f"{grid.stride:g} frames at {grid.fps:g} fps = {grid.step_seconds:.3g} s a snippet",
                    "made by": made.extractor or "not stated",
                }
            )
    for path in dataset.unlisted_features():
        st.warning(f"`{path}` is not listed in dataset.yaml.")
        if st.button("List it", key=f"data.list.{path}"):
            with guard(stop=False):
                dataset.add_features(path)
                st.rerun()


@st.cache_data(show_spinner="Examining the data set", max_entries=16)
def _diagnose(folder: str, read: tuple[Stamp, ...]) -> dict[str, Any]:
    return diagnose_dataset(folder).to_dict()


def _doctor(dataset: Dataset) -> None:
    read = stamps(dataset)
    size = total_bytes(read)
    if size <= _QUICK_BYTES:
        with guard():
            _findings(Diagnosis.from_dict(_diagnose(str(dataset.folder), read)))
        return
    result = dataset.folder / ".doctor"  # the name under which its examination is found in the queue
    job = jobs.queue().of_result(result)
    if job is not None and job.status().exit_code in (0, 1) and job.status().state in ("finished", "failed"):
        with guard(stop=False):
            _findings(read_diagnosis(job.log))
    st.caption(f"The features are {size / 2**30:.1f} GiB: they are examined in the background.")
    if (job is None or not job.status().open) and st.button("Examine", icon=":material/stethoscope:", type="primary"):
        with guard(stop=False):
            request = {"command": "data doctor", "dataset": dataset.folder, "json": True}
            jobs.submit(request, title=f"examine {dataset.name}", slot="files", result=result)
            st.rerun()
    if job is not None and job.status().open:
        jobs.job_list(("data doctor",), "data.doctor", most=1)


_LOOKS = {
    "error": (":material/error:", "red", "makes training or evaluation wrong"),
    "warning": (":material/warning:", "orange", "makes numbers doubtful"),
    "note": (":material/info:", "blue", "worth knowing"),
}


def _findings(diagnosis: Diagnosis) -> None:
    """Show the doctor's findings, grouped by what was checked, the worst first."""
    what = diagnosis.examined.items()
    looked = ", ".join(f"{count:,} {name.removesuffix('s') if count == 1 else name}" for name, count in what)
    counts = {severity: diagnosis.count(severity) for severity in SEVERITIES}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Healthy" if diagnosis.healthy else "Not fit for training", width="content")
        for severity, count in counts.items():
            if count:
                icon, colour, _ = _LOOKS[severity]
                st.badge(f"{count} {severity}{'s' if count > 1 else ''}", icon=icon, color=colour)  # type: ignore[arg-type]
    st.caption(f"Examined {looked}.")
    if not diagnosis.findings:
        st.success("Annotations, features, splits and videos agree.", icon=":material/check_circle:")
    for (severity, check), found in diagnosis.groups().items():
        icon, colour, meaning = _LOOKS[severity]
        title = f":{colour}[**{check}**] · {len(found)} · {CHECKS[check]}"
        with st.expander(title, icon=icon, expanded=severity == "error"):
            st.caption(f"{severity.capitalize()}: {meaning}.")
            here = f"{loaders.workspace().home}/"  # paths in the workspace are named from it
            rows = {name: [text.replace(here, "") for text in texts] for name, texts in (
                ("where", [f.where for f in found]), ("what", [f.message for f in found]))}  # fmt: skip
            if any(f.next_step for f in found):
                rows["what to do"] = [f.next_step for f in found]
            st.dataframe(rows, hide_index=True, height=min(35 * len(found) + 38, 320), column_config={
                "where": st.column_config.TextColumn(width="medium"),
                "what": st.column_config.TextColumn(width="large"),
            })  # fmt: skip


# -- explain ----------------------------------------------------------------------------------------------------------


def _explain() -> None:
    st.caption(
        "What is this file? Features, annotations, detections, weights, or a folder of them. Nothing in it is run."
    )
    with guard():
        path = ask_file("File or folder", "explain", hint="e.g. features/v_123.npy, gt.json, checkpoint.pt")
        if path is None:
            return
        with st.spinner("Looking"):
            found = explain(path)
    st.header(found.kind.capitalize())
    st.markdown(plain(found.summary) + ".")
    jobs.facts(facts_as_text(found))
    if found.unknown:
        st.caption("**What it does not tell**")
        for text in found.unknown:
            st.markdown(f"- {plain(text)}")
    if found.next_step:
        st.caption("**What one usually does with it**")
        st.code(command_line(found.next_step, found.options), language="bash", wrap_lines=True)


_TOOLS: dict[str, tuple[str, Callable[[], None]]] = {
    "check": ("Check", _check),
    "snippets": ("Snippets and frames", snippets),
    "explain": ("Explain a file", _explain),
    "import": ("Import", import_files),
    "extract": ("Extract features", extract),
    "static": ("Static clips", static_clips),
}


def main() -> None:
    """Draw the page."""
    st.html(_STYLE)
    with guard(stop=False):
        jobs.queue().start_workers()
    wanted = st.query_params.get("tool", "check")
    key = "data.tool"
    st.session_state[key] = wanted if wanted in _TOOLS else "check"
    if not loaders.datasets() and "tool" not in st.query_params:
        st.session_state[key] = "import"
        no_datasets()

    def chosen() -> None:
        st.query_params["tool"] = st.session_state[key] or "check"

    tool = st.segmented_control("Tool", list(_TOOLS), format_func=lambda t: _TOOLS[t][0], key=key, required=True,
                                on_change=chosen, label_visibility="collapsed")  # fmt: skip
    try:
        _TOOLS[tool or "check"][1]()
    except WtalError as error:
        with guard(stop=False):
            raise error


main()
