"""Import what other systems made: data sets, folders, detections, official weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import jobs, loaders, selection
from pages.ui.errors import guard, plain
from pages.ui.file_input import ask_file, new_path, opened
from wtal_core.data import read_detections
from wtal_core.data.doctor import check_detections
from wtal_core.devices import list_devices
from wtal_core.errors import UsageError, counted
from wtal_core.methods import list_methods, method_class
from wtal_core.methods.form import config_of
from wtal_core.runs.importing import CLASS_LISTS, class_names, import_official
from wtal_core.runs.writer import start_run
from wtal_core.settings import parse_assignments
from wtal_core.snippet_grid import GRID_PRESETS

__all__ = ["import_files"]

_NO_GRID = "the file says it"


def import_files() -> None:
    """Draw the tool."""
    kind = st.segmented_control(
        "What", ["A new data set", "A folder that is one", "Detections", "Official weights"], default="A new data set",
        required=True, key="data.import", label_visibility="collapsed",
    )  # fmt: skip
    pages: dict[str, Callable[[], None]] = {
        "A folder that is one": _import_folder,
        "Detections": _import_detections,
        "Official weights": _import_weights,
    }
    pages.get(kind or "", _import_dataset)()


def _import_dataset() -> None:
    st.caption(
        "Annotations of any format of the field, features of any layout, videos by link: converted into a data set "
        "folder in the background."
    )
    with guard():
        a, b, c = st.columns(3, gap="medium")
        with a:
            annotations = ask_file(
                "Annotations", "annotations", many=True, hint="JSON, THUMOS14 text or W-TALC folder, CSV"
            )
            name = st.text_input("Name of the data set", key="data.name", placeholder="e.g. thumos14")
        with b:
            features = ask_file(
                "Features (optional)", "features", many=True, hint=".h5, .npy, .npz, or a folder of them"
            )
            grid = st.selectbox("Their snippet grid", [_NO_GRID, *GRID_PRESETS], key="data.grid",
                                help="Never guessed. “Explain a file” says which fits.")  # fmt: skip
            complete = st.checkbox("Only videos with features", key="data.complete", disabled=features is None,
                                   help="Otherwise the instances of those without count as missed.")  # fmt: skip
        with c:
            videos = st.text_input("Folder of videos (optional)", key="data.videos", help="Linked, not copied.",
                                   placeholder="a path on this machine")  # fmt: skip
            splits = st.text_input("Splits (optional)", key="data.splits",
                                   placeholder="train=validation test=test",
                                   help="Which subsets make which split; usual names are understood.")  # fmt: skip
            extractor = st.text_input("Features made by (optional)", key="data.extractor",
                                      placeholder="e.g. i3d-kinetics400")  # fmt: skip
        request: dict[str, Any] = {}
        folder = new_path(name.strip(), "datasets") if name and name.strip() else None
        job = jobs.queue().of_result(folder) if folder is not None else None
        if folder is None or annotations is None:
            st.caption("Annotations and a name are needed.")
        elif job is not None and job.status().open:
            pass  # it is listed below
        elif job is not None and (folder / "dataset.yaml").exists():
            _imported_dataset(folder)
        else:
            if (folder / "dataset.yaml").exists():
                raise UsageError("is a data set already", where=folder, next_step="Choose another name")
            foreign = {"extractor": extractor.strip()} if extractor and extractor.strip() else {}
            request = {"command": "data import", "folder": folder, "annotations": annotations}
            if features is not None:
                foreign |= {"grid": grid} if grid != _NO_GRID else {}
                request |= {"features": [str(features)], "only_with_features": complete}
            request |= {"foreign": foreign} if foreign else {}
            request |= {"videos": Path(videos.strip()).expanduser()} if videos and videos.strip() else {}
            request |= {"splits": splits.split()} if splits and splits.strip() else {}
            if st.button("Import", type="primary", icon=":material/download:"):
                jobs.submit(request, title=f"import {folder.name}", slot="files", result=folder)
                st.rerun()
    if request:
        with st.expander("The same from a shell"):
            jobs.show_command(request)
    jobs.job_list(("data import",), "data.imports")


def _imported_dataset(folder: Path) -> None:
    """Say that a folder is a data set now, and lead on."""
    found = next((entry for entry in loaders.datasets().values() if entry.folder == folder.resolve()), None)
    if found is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success(f"{plain(found.name)} is a data set now.", icon=":material/check_circle:")
        st.page_link("pages/data.py", label="Check it", icon=":material/stethoscope:",
                     query_params={"tool": "check", "data": found.id})  # fmt: skip
        st.page_link("pages/train.py", label="Train on it", icon=":material/model_training:",
                     query_params={"data": found.id})  # fmt: skip


def _import_folder() -> None:
    st.caption("A data set folder, a run folder, or a folder that holds some: listed in this workspace, not copied.")
    with guard(stop=False):
        path = st.text_input("Folder", key="data.register", placeholder="a path on this machine")
        if st.button("Add", type="primary", icon=":material/add:", disabled=not path) and path:
            added = loaders.register(path.strip())
            st.success(f"Added {plain(str(added))}.", icon=":material/check_circle:")
        for folder in loaders.workspace().registered():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(plain(str(folder)), width="stretch")
                if st.button("", icon=":material/close:", key=f"data.unregister.{folder}", type="tertiary",
                             help="Take it off the list; nothing on disk is touched."):  # fmt: skip
                    loaders.workspace().unregister(folder)
                    st.rerun()


def _import_detections() -> None:
    st.caption(
        "Detections of any system become a run: ActivityNet results JSON, THUMOS14 text or CSV. Failures, Compare, "
        "Explore and Figures show it like every other."
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        dataset_id, dataset = opened()
        with guard():
            path = ask_file("Detections", "detections", hint=".json, .txt or .csv")
            if path is None:
                return
            with st.spinner("Reading"):
                detections = read_detections(path)
                checked = check_detections(detections, loaders.load_annotations(dataset_id))
            name = st.text_input("Name", path.stem, key=f"data.detections.name.{path}")
            method = st.text_input("What made them", path.stem, key=f"data.detections.method.{path}")
    with right:
        jobs.facts(
            {
                "detections": f"{checked.rows:,}",
                "videos": f"{checked.videos:,}",
                "classes": f"{checked.classes:,}",
                "fit this data set": f"{checked.known_rows:,} of {checked.rows:,}",
            }
        )
        for problem in checked.problems:
            st.warning(plain(problem), icon=":material/warning:")
        if st.button("Import", type="primary", icon=":material/download:", disabled=not checked.known_rows):
            with guard(stop=False):
                target = new_path((name or "").strip(), "runs")
                with start_run(target, data=dataset, method=(method or "").strip(), notes="imported") as run:
                    known = dataset.annotations.videos
                    run.log_detections(detections[[video in known for video in detections.video]])
                _imported_detections(dataset_id, target)


def _imported_detections(dataset_id: str, folder: Path) -> None:
    """Say that detections are a run now, and lead on."""
    run_id = next((i for i, entry in loaders.runs().items() if entry.folder == folder.resolve()), None)
    if run_id is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success(f"{plain(run_id)} is a run now.", icon=":material/check_circle:")
        for page, label, icon in (("failures", "Failures", "error"), ("compare", "Compare", "compare_arrows"),
                                  ("explore", "Explore", "movie")):  # fmt: skip
            key = "sets" if page == "compare" else "run"
            st.page_link(f"pages/{page}.py", label=label, icon=f":material/{icon}:",
                         query_params={"data": dataset_id, key: run_id})  # fmt: skip


def _import_weights() -> None:
    st.caption(
        "An official checkpoint becomes a run that can be looked at. Only tensors are read; nothing in it is run."
    )
    left, right = st.columns(2, gap="large")
    with guard():
        with left:
            a, b = st.columns(2)
            method = a.selectbox("Method", list_methods(), key="data.weights.method", accept_new_options=True,
                                 help="Another one: type module:Class.")  # fmt: skip
            presets = list(method_class(method).presets)
            preset = b.selectbox("Preset", presets, key=f"data.weights.preset.{method}")
            wanted = method_class(method).official_files(config_of(method, preset))
            files = [
                ask_file(what[:1].upper() + what[1:], f"weights{n or ''}", hint=".pt, .pth, .pkl, .safetensors, .npz")
                for n, what in enumerate(wanted)
            ]
        with right:
            known = {i: entry for i, entry in loaders.datasets().items() if not entry.error}
            dataset_id = st.selectbox("Data set it will be used on", [None, *known], key="data.weights.dataset",
                                      format_func=lambda i: "–" if i is None else known[i].name)  # fmt: skip
            classes = st.text_input("Classes in channel order", next(iter(CLASS_LISTS)), key="data.weights.classes",
                                    help="A known list, a text file with one a line, names with commas between, or "
                                    "empty for the data set's.")  # fmt: skip
            changes = st.text_input("Settings that differ from the preset", key="data.weights.set",
                                    placeholder="e.g. branches=4 filters=128")  # fmt: skip
            default = f"{method.rpartition(':')[2].lower()}-official"
            name = st.text_input("Run folder", default, key=f"data.weights.name.{method}")
        ready = [file for file in files if file is not None]
        if st.button("Import", type="primary", icon=":material/download:", disabled=len(ready) < len(files)):
            dataset = loaders.load_dataset(dataset_id) if dataset_id else None
            run = import_official(
                method, ready, new_path((name or "").strip(), "runs"),
                classes=class_names(classes) if classes and classes.strip() else (), preset=preset,
                changes=parse_assignments((changes or "").split()), dataset=dataset,
            )  # fmt: skip
            st.session_state["data.weights.done"] = run.folder
            if dataset is not None and dataset.feature_names:
                split = loaders.test_split(dataset)
                jobs.submit({"command": "infer", "folder": run.folder, "split": split},
                            title=f"infer {run.name} on {dataset.name}", slot=list_devices()[0].id,
                            result=run.activations_path)  # fmt: skip
    done = st.session_state.get("data.weights.done")
    run_id = next((i for i, run in loaders.runs().items() if run.folder == done and not run.error), None)
    if run_id is not None:
        _imported(run_id)
    jobs.job_list(("infer",), "data.infer", most=2)


def _imported(run_id: str) -> None:
    """Say that a run was made of official weights, and lead on."""
    with guard(stop=False), st.container(horizontal=True, vertical_alignment="center"):
        info = loaders.load_run(run_id).info
        text = f"{info.method}, {counted(len(info.classes), 'class', 'classes')}, {info.feature_dim} channels"
        st.success(f"{plain(loaders.run_name(run_id))} is a run now: {text}.", icon=":material/check_circle:")
        if loaders.load_run(run_id).activations_path.is_file():
            entry = loaders.dataset_of(run_id)
            query = selection.explore_query(run_id, dataset=entry.id if entry else None)
            st.page_link("pages/explore.py", label="Open in Explore", icon=":material/movie:", query_params=query)
