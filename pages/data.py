"""Data: is my data right?"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import jobs, library, media, pickers, state, theme
from pages.ui.errors import guard
from wtal_core.data import Dataset, read_detections, write_detections
from wtal_core.data.additions import check_detections, list_features, unlisted_features
from wtal_core.data.doctor import CHECKS, SEVERITIES, Diagnosis, diagnose_dataset
from wtal_core.data.examination import Stamp, diagnosis_of, read_examination, stamps, total_bytes
from wtal_core.data.explain import explain, to_text
from wtal_core.data.preview import preview_snippet
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.methods import list_methods, method_class
from wtal_core.runs.importing import CLASS_LISTS, class_names, import_official
from wtal_core.settings import parse_assignments
from wtal_core.snippet_grid import GRID_PRESETS
from wtal_core.training.devices import list_devices

_STYLE = """
<style>
.stMainBlockContainer { padding-top: 4.4rem; }
.wtal-strip { display: flex; gap: 4px; overflow: hidden; }
.wtal-strip figure { margin: 0; flex: 1 1 0; min-width: 0; }
.wtal-strip img { width: 100%; display: block; border-radius: 4px; min-height: 60px; background: #8882; }
.wtal-strip figcaption { font-size: .78rem; opacity: .7; font-variant-numeric: tabular-nums; padding-top: 2px; }
.wtal-axis { position: relative; height: 34px; border-radius: 4px; background: #8882; margin: 2px 0 0; }
.wtal-axis span { position: absolute; top: 4px; bottom: 4px; border-radius: 2px; opacity: .85; }
.wtal-axis i { position: absolute; top: 0; bottom: 0; border: 2px solid; border-radius: 3px; min-width: 4px; }
</style>
"""

_QUICK_BYTES = 300 * 2**20  # features that the doctor reads while one waits; more is read in the background
_NO_GRID = "the file says it"


def _no_datasets() -> None:
    st.info(
        "There is no data set in this workspace yet. A data set is a folder with annotations, snippet features and, if "
        "you have them, videos: **Import** makes one of the files you have.",
        icon=":material/database:",
    )


def _opened() -> tuple[str, Dataset]:
    """Let the user pick a data set and open it."""
    entry = pickers.pick_dataset()
    if entry is None:
        _no_datasets()
        st.stop()
    with guard():
        if entry.error:
            raise DataError(entry.error, next_step="Repair the folder, or remove it")
        return entry.id, library.load_dataset(entry.id)


# -- files from the user --------------------------------------------------------------------------------------------


def _upload_folder() -> Path:
    return library.workspace().home / ".wtal" / "uploads"


def _saved(files: list[Any]) -> Path:
    """Write uploaded files beside each other and return the file, or the folder where there are several."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.getbuffer())
    folder = _upload_folder() / digest.hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file in files:
        name = re.sub(r"[^\w.+-]", "_", Path(file.name).name).lstrip(".") or "file"
        path = folder / name
        if not path.exists():
            path.write_bytes(file.getbuffer())
        paths.append(path)
    return paths[0] if len(paths) == 1 else folder


def _file(label: str, key: str, *, many: bool = False, hint: str = "") -> Path | None:
    """Ask for a path on this machine, or an upload of up to 200 MB; None where nothing is given yet."""
    about = "Features and videos are large: name where they lie instead of uploading them."
    text, button = st.columns([3.2, 1], vertical_alignment="bottom", gap="small")
    typed = text.text_input(label, key=f"data.{key}.path", placeholder=hint or "a path on this machine", help=about)
    with button.popover("Upload", width="stretch"):
        given = st.file_uploader(
            "Several files make a folder" if many else "One file", accept_multiple_files=many, key=f"data.{key}.upload"
        )
    given_files = given if isinstance(given, list) else [given] if given is not None else []
    if given_files:
        st.caption(f"Uploaded: {', '.join(file.name for file in given_files[:3])}")
    if typed and typed.strip():
        path = Path(typed.strip()).expanduser()
        path = path if path.is_absolute() else library.workspace().home / path
        if not path.exists():
            raise DataError("does not exist", where=path, next_step="Check the path")
        return path
    return _saved(given_files) if given_files else None


def _folder_name(text: str, under: str) -> Path:
    """Check the name of a new folder and return its path."""
    if not re.fullmatch(r"[\w+=-][\w.+=-]{0,99}", text):
        raise UsageError(
            "is not a folder name",
            expected="letters, digits and - _ .",
            got=repr(text),
            next_step="Choose another name",
        )
    return library.workspace().home / under / text


# -- check ------------------------------------------------------------------------------------------------------------


def _check() -> None:
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        dataset_id, dataset = _opened()
        with guard(stop=False):
            _overview(dataset_id, dataset)
    with right:
        _doctor(dataset)


def _overview(dataset_id: str, dataset: Dataset) -> None:
    annotations = library.load_annotations(dataset_id)
    videos = annotations.videos
    files = sum(dataset.video_path(v) is not None for v in videos)
    rows = {
        "folder": str(dataset.folder),
        "videos": ", ".join(f"{name} {len(dataset.videos(name)):,}" for name in dataset.splits),
        "video files": f"{files:,} of {len(videos):,}",
        "classes": f"{len(annotations.classes):,}",
        "instances": f"{len(annotations.instances):,}",
        "further truth": ", ".join(annotations.tracks),
        "protocol": dataset.evaluation.protocol,
    }
    jobs.facts(rows)
    for name in dataset.feature_names:
        with guard(stop=False), dataset.features(name) as store:
            first = store.videos[0]
            grid, made = store.grid(first), store.provenance(first)
            st.caption(f"**Features {name}**")
            jobs.facts(
                {
                    "videos": f"{len(store.videos):,}",
                    "channels": f"{store.dim:,}",
                    "grid": f"{grid.stride:g} frames at {grid.fps:g} fps = {grid.step_seconds:.3g} s a snippet",
                    "made by": made.extractor or "not stated",
                }
            )
    for path in unlisted_features(dataset):
        st.warning(f"`{path}` is not listed in dataset.yaml.")
        if st.button("List it", key=f"data.list.{path}"):
            with guard(stop=False):
                list_features(dataset, path)
                st.rerun()


@st.cache_data(show_spinner="Examining the data set", max_entries=16)
def _diagnose(folder: str, read: tuple[Stamp, ...]) -> dict[str, Any]:
    return diagnose_dataset(folder).to_dict()


def _doctor(dataset: Dataset) -> None:
    read = stamps(dataset)
    size = total_bytes(read)
    if size <= _QUICK_BYTES:
        with guard():
            _findings(diagnosis_of(_diagnose(str(dataset.folder), read)))
        return
    result = dataset.folder / ".doctor"  # the name under which its examination is found in the queue
    job = jobs.queue().of_result(result)
    if job is not None and job.status().exit_code in (0, 1) and job.status().state in ("finished", "failed"):
        with guard(stop=False):
            _findings(read_examination(job.log))
    st.caption(f"The features are {size / 2**30:.1f} GiB: they are examined in the background.")
    if (job is None or not job.status().open) and st.button("Examine", icon=":material/stethoscope:", type="primary"):
        with guard(stop=False):
            words = ("data", "doctor", str(dataset.folder), "--json")
            jobs.queue().submit(words, kind="doctor", title=f"examine {dataset.name}", slot="files", result=result)
            st.rerun()
    if job is not None and job.status().open:
        jobs.job_list(("doctor",), "data.doctor", most=1)


_LOOKS = {
    "error": (":material/error:", "red", "makes training or evaluation wrong"),
    "warning": (":material/warning:", "orange", "makes numbers doubtful"),
    "note": (":material/info:", "blue", "worth knowing"),
}


def _findings(diagnosis: Diagnosis) -> None:
    """Show the doctor's findings, grouped by what was checked, the worst first."""
    looked = ", ".join(f"{count:,} {what}" for what, count in diagnosis.examined.items())
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
            rows = {"where": [f.where for f in found], "what": [f.message for f in found]}
            if any(f.next_step for f in found):
                rows["what to do"] = [f.next_step for f in found]
            st.dataframe(rows, hide_index=True, height=min(35 * len(found) + 38, 320), column_config={
                "where": st.column_config.TextColumn(width="medium"),
                "what": st.column_config.TextColumn(width="large"),
            })  # fmt: skip


# -- snippets ---------------------------------------------------------------------------------------------------------


def _snippets() -> None:
    top = st.columns([1.3, 1.6, 1, 1.2])
    with top[0]:
        dataset_id, dataset = _opened()
    if not dataset.feature_names:
        st.info("This data set has no features yet, so there are no snippets: extract or import them.")
        return
    with guard():
        with top[2]:
            name = st.selectbox("Features", list(dataset.feature_names), key=f"data.snippets.features.{dataset_id}")
        store = dataset.features(name)
        known = set(store.videos)
        annotations = library.load_annotations(dataset_id)
        listed = [v for v in annotations.videos if v in known]
        videos = sorted(listed, key=lambda v: dataset.video_path(v) is None) or list(store.videos)
        with top[1]:
            video = pickers.pick_video(dataset, videos)
        if video is None or video not in known:
            st.info("This video has no features.")
            return
        grid = store.grid(video)
        dimension = store.shape(video)[-1]
    if grid.num_snippets < 1:
        st.error("These features have no snippets.")
        return
    last = grid.num_snippets - 1
    key = f"data.snippet.{dataset_id}.{name}.{video}"
    st.session_state.setdefault(key, min(last, grid.num_snippets // 2))

    def move(by: int) -> None:
        st.session_state[key] = min(last, max(0, st.session_state[key] + by))

    with top[3]:
        st.number_input(f"Snippet (0 to {last})", 0, last, step=1, key=key)
    index = int(st.session_state[key])
    with guard():
        seen = preview_snippet(grid, index, annotations=annotations, video=video)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Previous", icon=":material/chevron_left:", on_click=move, args=(-1,), shortcut="ArrowLeft")
        st.button("Next", icon=":material/chevron_right:", on_click=move, args=(1,), shortcut="ArrowRight")
        st.button("First", on_click=move, args=(-last,), type="tertiary")
        st.button("Last", on_click=move, args=(last,), type="tertiary")
        doing = ", ".join(seen.actions) or "no action"
        st.markdown(f"snippet **{index}** · {theme.seconds(seen.start, 2)} – {theme.seconds(seen.end, 2)} · {doing}")
    _axis(dataset, dataset_id, video, seen.start, seen.end, grid.duration or grid.end_seconds)
    shown = media.media_of(dataset_id, video) if dataset.video_path(video) is not None else None
    if shown is None:
        st.caption("There is no file of this video, so its frames cannot be shown: the numbers stand alone.")
    else:
        pictures = "".join(
            f"<figure><img src='{html.escape(media.frame_url(dataset_id, video, t, 180))}' loading='lazy' alt=''>"
            f"<figcaption>{theme.seconds(t, 2)}</figcaption></figure>"
            for t in seen.times
        )
        st.html(f"<div class='wtal-strip'>{pictures}</div>")
    left, right = st.columns(2, gap="large")
    with left:
        jobs.facts(
            {
                "sees frames": f"{seen.first_frame:,} – {seen.last_frame:,} of the {grid.fps:g} fps clock",
                "sees": f"{theme.seconds(seen.start, 2)} – {theme.seconds(seen.seen_until, 2)}",
                "owns on the axis": f"{theme.seconds(seen.start, 2)} – {theme.seconds(seen.end, 2)}"
                f" ({grid.step_seconds:.3g} s)",
                "after the end": f"{seen.beyond} frames lie after the video and repeat its last one"
                if seen.beyond
                else "",
            }
        )
    with right:
        told = annotations.videos[video].duration if video in annotations.videos else None
        duration = grid.duration or told
        expected = grid.expected_num_snippets(duration) if duration else None
        jobs.facts(
            {
                "snippets": f"{grid.num_snippets:,}" + (f" (the duration implies {expected:,})" if expected else ""),
                "last one ends": theme.seconds(grid.end_seconds, 2),
                "video lasts": theme.seconds(duration, 2) if duration else "not known",
                "channels": f"{dimension:,}",
            }
        )
    if duration and expected is not None and abs(expected - grid.num_snippets) > 1:
        fits = ", ".join(f"{f:g}" for f in grid.explaining_fps(duration)[:2])
        st.warning(
            f"{grid.num_snippets} snippets do not fit {duration:.1f} s at {grid.fps:g} fps"
            + (f"; {fits} fps would." if fits else "."),
            icon=":material/warning:",
        )


def _axis(dataset: Dataset, dataset_id: str, video: str, start: float, end: float, duration: float) -> None:
    """Draw the video's ground truth and where the snippet lies in it."""
    rows = library.load_annotations(dataset_id).instances.for_video(video)
    ink = theme.palette()
    total = max(duration, end, float(rows.end.max()) if len(rows) else 0.0, 1e-6)
    bars = "".join(
        f"<span style='left:{100 * a / total:.3f}%;width:{100 * (b - a) / total:.3f}%;background:{ink['gt']}' "
        f"title='{html.escape(label)} {a:.1f} - {b:.1f} s'></span>"
        for label, a, b in zip(rows.label.tolist(), rows.start.tolist(), rows.end.tolist(), strict=True)
    )
    mark = f"<i style='left:{100 * start / total:.3f}%;width:{100 * (end - start) / total:.3f}%;color:{ink['fp']}'></i>"
    st.html(f"<div class='wtal-axis' role='img' aria-label='Ground truth and the snippet'>{bars}{mark}</div>")


# -- explain ----------------------------------------------------------------------------------------------------------


def _explain() -> None:
    st.caption(
        "What is this file? Features, annotations, detections, weights, or a folder of them. Nothing in it is run."
    )
    with guard():
        path = _file("File or folder", "explain", hint="e.g. features/v_123.npy, gt.json, checkpoint.pt")
        if path is None:
            return
        with st.spinner("Looking"):
            found = explain(path)
    st.header(found.kind.capitalize())
    st.markdown(_plain(found.summary) + ".")
    jobs.facts({name: to_text(value) for name, value in found.facts.items()})
    if found.unknown:
        st.caption("**What it does not tell**")
        for text in found.unknown:
            st.markdown(f"- {_plain(text)}")
    if found.next_step:
        st.caption("**What one usually does with it**")
        st.code(found.next_step, language="bash", wrap_lines=True)


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]$~<>])", r"\\\1", text)


# -- import -----------------------------------------------------------------------------------------------------------


def _import() -> None:
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
    words: list[str] = []
    with guard():
        a, b, c = st.columns(3, gap="medium")
        with a:
            annotations = _file(
                "Annotations", "annotations", many=True, hint="JSON, THUMOS14 text or W-TALC folder, CSV"
            )
            name = st.text_input("Name of the data set", key="data.name", placeholder="e.g. thumos14")
        with b:
            features = _file("Features (optional)", "features", many=True, hint=".h5, .npy, .npz, or a folder of them")
            grid = st.selectbox("Their snippet grid", [_NO_GRID, *GRID_PRESETS], key="data.grid",
                                help="Never guessed. “Explain a file” says which fits.")  # fmt: skip
        with c:
            videos = st.text_input("Folder of videos (optional)", key="data.videos", help="Linked, not copied.",
                                   placeholder="a path on this machine")  # fmt: skip
            splits = st.text_input("Splits (optional)", key="data.splits",
                                   placeholder="train=validation test=test",
                                   help="Which subsets make which split; usual names are understood.")  # fmt: skip
            extractor = st.text_input("Features made by (optional)", key="data.extractor",
                                      placeholder="e.g. i3d-kinetics400")  # fmt: skip
        if annotations is None or not name:
            st.caption("Annotations and a name are needed.")
            jobs.job_list(("import",), "data.imports")
            return
        folder = _folder_name(name.strip(), "datasets")
        if (folder / "dataset.yaml").exists():
            raise UsageError("is a data set already", where=folder, next_step="Choose another name")
        words = ["data", "import", str(folder), "--annotations", str(annotations)]
        words += ["--features", str(features)] if features is not None else []
        words += ["--grid", grid] if features is not None and grid != _NO_GRID else []
        words += ["--extractor", extractor.strip()] if extractor and extractor.strip() else []
        words += ["--videos", str(Path(videos.strip()).expanduser())] if videos and videos.strip() else []
        words += ["--splits", *splits.split()] if splits and splits.strip() else []
    if st.button("Import", type="primary", icon=":material/download:"):
        with guard(stop=False):
            jobs.queue().submit(words, kind="import", title=f"import {name}", slot="files", result=folder)
            st.rerun()
    with st.expander("The same from a shell"):
        jobs.show_command(tuple(words))
    jobs.job_list(("import",), "data.imports")


def _import_folder() -> None:
    st.caption("A data set folder, a run folder, or a folder that holds some: listed in this workspace, not copied.")
    with guard(stop=False):
        path = st.text_input("Folder", key="data.register", placeholder="a path on this machine")
        if st.button("Add", type="primary", icon=":material/add:", disabled=not path) and path:
            added = library.register(path.strip())
            st.success(f"Added {_plain(str(added))}.", icon=":material/check_circle:")
        for folder in library.workspace().registered():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(_plain(str(folder)), width="stretch")
                if st.button("", icon=":material/close:", key=f"data.unregister.{folder}", type="tertiary",
                             help="Take it off the list; nothing on disk is touched."):  # fmt: skip
                    library.workspace().unregister(folder)
                    st.rerun()


def _import_detections() -> None:
    st.caption(
        "Detections of any system: ActivityNet results JSON, THUMOS14 text or CSV. Compare shows them beside runs."
    )
    left, right = st.columns([1, 1], gap="large")
    with left:
        dataset_id, _ = _opened()
        with guard():
            path = _file("Detections", "detections", hint=".json, .txt or .csv")
            if path is None:
                return
            with st.spinner("Reading"):
                detections = read_detections(path)
                checked = check_detections(detections, library.load_annotations(dataset_id))
            name = st.text_input("Name", path.stem, key=f"data.detections.name.{path}")
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
            st.warning(_plain(problem), icon=":material/warning:")
        if st.button("Import", type="primary", icon=":material/download:", disabled=not checked.known_rows):
            with guard(stop=False):
                target = _folder_name((name or "").strip(), "detections").with_suffix(".json")
                if target.exists():
                    raise UsageError("is there already", where=target, next_step="Choose another name")
                write_detections(detections, target, format="activitynet")
                st.success(f"Written to {_plain(str(target))}.", icon=":material/check_circle:")


def _import_weights() -> None:
    st.caption(
        "An official checkpoint becomes a run that can be looked at. Only tensors are read; nothing in it is run."
    )
    left, right = st.columns(2, gap="large")
    with guard():
        with left:
            a, b = st.columns(2)
            methods = list_methods()
            method = a.selectbox("Method", methods, index=methods.index("cmcs"), key="data.weights.method")
            presets = list(method_class(method).presets)
            preset = b.selectbox("Preset", presets, key=f"data.weights.preset.{method}")
            late = method == "cmcs" and preset.endswith("-late")
            files = [
                _file("Checkpoint" + (" of RGB" if late else ""), "weights", hint=".pt, .pth, .pkl, .safetensors, .npz")
            ]
            if late:
                files.append(_file("Checkpoint of flow", "weights2"))
        with right:
            known = {i: entry for i, entry in library.datasets().items() if not entry.error}
            dataset_id = st.selectbox("Data set it will be used on", [None, *known], key="data.weights.dataset",
                                      format_func=lambda i: "–" if i is None else known[i].name)  # fmt: skip
            classes = st.text_input("Classes in channel order", next(iter(CLASS_LISTS)), key="data.weights.classes",
                                    help="A known list, a text file with one a line, names with commas between, or "
                                    "empty for the data set's.")  # fmt: skip
            changes = st.text_input("Settings that differ from the preset", key="data.weights.set",
                                    placeholder="e.g. branches=4 filters=128")  # fmt: skip
            name = st.text_input("Run folder", f"{method}-official", key=f"data.weights.name.{method}")
        ready = [file for file in files if file is not None]
        if st.button("Import", type="primary", icon=":material/download:", disabled=len(ready) < len(files)):
            dataset = library.load_dataset(dataset_id) if dataset_id else None
            run = import_official(
                method, ready, _folder_name((name or "").strip(), "runs"),
                classes=class_names(classes) if classes and classes.strip() else (), preset=preset,
                changes=parse_assignments((changes or "").split()), dataset=dataset,
            )  # fmt: skip
            st.session_state["data.weights.done"] = run.name
            if dataset is not None and dataset.feature_names:
                split = library.test_split(dataset)
                jobs.queue().submit(("infer", str(run.folder), "--split", split), kind="infer",
                                    title=f"infer {run.name} on {dataset.name}", slot=list_devices()[0].id,
                                    result=run.activations_path)  # fmt: skip
    done = st.session_state.get("data.weights.done")
    run_id = next((i for i, entry in library.runs().items() if entry.name == done and not entry.error), None)
    if run_id is not None:
        _imported(run_id)
    jobs.job_list(("infer",), "data.infer", most=2)


def _imported(run_id: str) -> None:
    """Say that a run was made of official weights, and lead on."""
    with guard(stop=False), st.container(horizontal=True, vertical_alignment="center"):
        info = library.load_run(run_id).info
        text = f"{info.method}, {len(info.classes)} classes, {info.feature_dim} channels"
        st.success(f"{_plain(run_id)} is a run now: {text}.", icon=":material/check_circle:")
        if library.load_run(run_id).activations_path.is_file():
            entry = library.dataset_of(run_id)
            query = state.explore_query(run_id, dataset=entry.id if entry else None)
            st.page_link("pages/explore.py", label="Open in Explore", icon=":material/movie:", query_params=query)


# -- extract ----------------------------------------------------------------------------------------------------------

_STREAMS = {
    "descriptors": "descriptors (no weights needed)",
    "i3d": "I3D, RGB and flow",
    "i3d-rgb": "I3D, RGB only",
    "appearance-descriptor": "appearance descriptor only",
    "motion-descriptor": "motion descriptor only",
}


def _extract() -> None:
    from wtal_core.video.weights import list_weights

    st.caption(
        "Videos become snippet features, in the background. Finished videos are kept: it can be stopped and goes on."
    )
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        dataset_id, dataset = _opened()
        with guard():
            videos = list(library.load_annotations(dataset_id).videos)
            files = sum(dataset.video_path(v) is not None for v in videos)
        st.caption(f"{files:,} of {len(videos):,} videos have a file.")
        here = {row["name"] for row in list_weights() if row["path"]}
        stream = st.selectbox("Backbone", list(_STREAMS), format_func=_STREAMS.__getitem__, key="data.extract.backbone")
        if stream.startswith("i3d") and "i3d-rgb" not in here:
            st.warning("The weights of I3D are not on this machine. Fetch them first: `wtal weights get i3d-rgb`.")
        a, b, c = st.columns(3)
        fps = a.number_input("fps", 1.0, 240.0, 25.0, key="data.extract.fps", help="Videos are resampled to this.")
        stride = b.number_input("stride (frames)", 1, 512, 16, key="data.extract.stride")
        window = c.number_input("window (frames)", 1, 512, 16, key="data.extract.window")
        st.caption(f"A snippet every {stride / fps:.3g} s, seeing {window / fps:.3g} s.")
        devices = {d.id: d for d in list_devices()}
        device = st.selectbox("Device", list(devices), format_func=lambda i: devices[i].name, key="data.extract.device")
        name = st.text_input("Name of the features", stream, key=f"data.extract.name.{stream}")
        with guard():
            if not re.fullmatch(r"[\w+=-][\w.+=-]{0,99}", (name or "").strip()):
                raise UsageError(
                    "is not a file name",
                    expected="letters, digits and - _ .",
                    got=repr(name),
                    next_step="Choose another name",
                )
            out = dataset.folder / "features" / f"{name.strip()}.h5"
            words = ["extract", str(dataset.folder), "--out", str(out), "--backbone", stream, "--fps", f"{fps:g}",
                     "--stride", f"{stride:g}", "--window", f"{window:g}", "--device", device]  # fmt: skip
            if st.button("Extract", type="primary", icon=":material/play_arrow:", disabled=not files):
                jobs.queue().submit(words, kind="extract", title=f"extract {name} of {dataset.name}", slot=device,
                                    result=out)  # fmt: skip
                st.rerun()
    with right:
        for path in unlisted_features(dataset):
            job = jobs.queue().of_result(dataset.folder / path)
            if job is None or not job.status().open:
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.markdown(f"`{path}` is ready and not listed in dataset.yaml yet.", width="stretch")
                    if st.button("List it", key=f"data.extract.list.{path}", type="primary"):
                        with guard(stop=False):
                            list_features(dataset, path)
                            st.rerun()
        jobs.job_list(("extract",), "data.extract.jobs")
        with st.expander("The same from a shell"):
            jobs.show_command(tuple(words))


def _static() -> None:
    st.caption(
        "Stretches in which a training video hardly moves. CMCS learns from them what is scene and not action (“hard "
        "negatives”); they are kept with the annotations and shown as a track in Explore."
    )
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        dataset_id, dataset = _opened()
        with guard():
            split = st.selectbox("Split", list(dataset.splits), key=f"data.static.split.{dataset_id}")
            videos = dataset.videos(split)
            files = sum(dataset.video_path(v) is not None for v in videos)
            tracks = library.load_annotations(dataset_id).tracks
        rho = st.number_input(
            "Share of least-moving frames (%)", 1.0, 99.0, 25.0, key="data.static.rho", help="Paper: 25."
        )
        jobs.facts(
            {
                "videos with a file": f"{files:,} of {len(videos):,}",
                "static clips now": f"{len(tracks['static']):,} in {len(tracks['static'].video_codes[1])} videos"
                if "static" in tracks
                else "none",
            }
        )
        words = ["data", "static", str(dataset.folder), "--split", split, "--rho", f"{rho:g}"]
        if st.button("Mine static clips", type="primary", icon=":material/play_arrow:", disabled=not files):
            with guard(stop=False):
                jobs.queue().submit(words, kind="static", title=f"static clips of {dataset.name}", slot="cpu",
                                    result=dataset.folder / "static_clips.json")  # fmt: skip
                st.rerun()
        if not files:
            st.caption("None of these videos has a file: without frames there is no motion to measure.")
    with right:
        jobs.job_list(("static",), "data.static.jobs")
        with st.expander("The same from a shell"):
            jobs.show_command(tuple(words))


_TOOLS: dict[str, tuple[str, Callable[[], None]]] = {
    "check": ("Check", _check),
    "snippets": ("Snippets and frames", _snippets),
    "explain": ("Explain a file", _explain),
    "import": ("Import", _import),
    "extract": ("Extract features", _extract),
    "static": ("Static clips", _static),
}


def main() -> None:
    """Draw the page."""
    st.html(_STYLE)
    with guard(stop=False):
        jobs.queue().start_workers()
    wanted = st.query_params.get("tool", "check")
    key = "data.tool"
    st.session_state[key] = wanted if wanted in _TOOLS else "check"
    if not library.datasets() and "tool" not in st.query_params:
        st.session_state[key] = "import"
        _no_datasets()

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
