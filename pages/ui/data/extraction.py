"""Make what a data set lacks of its videos, in the background: snippet features and static clips."""

from __future__ import annotations

import re

import streamlit as st

from pages.ui import jobs, loaders
from pages.ui.errors import guard
from pages.ui.file_input import opened
from wtal_core.devices import list_devices
from wtal_core.errors import UsageError, counted

__all__ = ["extract", "static_clips"]

_STREAMS = {
    "descriptors": "descriptors (no weights needed)",
    "i3d": "I3D, RGB and flow",
    "i3d-rgb": "I3D, RGB only",
    "appearance-descriptor": "appearance descriptor only",
    "motion-descriptor": "motion descriptor only",
}


def extract() -> None:
    """Draw the tool that extracts features."""
    from wtal_core.video.weights import list_weights

    st.caption(
        "Videos become snippet features, in the background. Finished videos are kept: it can be stopped and goes on."
    )
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        dataset_id, dataset = opened()
        with guard():
            videos = list(loaders.load_annotations(dataset_id).videos)
            files = sum(dataset.video_path(v) is not None for v in videos)
        st.caption(f"Videos with a file: {files:,} of {len(videos):,}.")
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
        free = [stream, *(f"{stream}-{n}" for n in range(2, len(dataset.feature_names) + 3))]
        name = st.text_input(
            "Name of the features", next(n for n in free if n not in dataset.feature_names),
            key=f"data.extract.name.{dataset_id}.{stream}",
        )  # fmt: skip
        with guard():
            if not re.fullmatch(r"[\w+=-][\w.+=-]{0,99}", (name or "").strip()):
                raise UsageError(
                    "is not a file name",
                    expected="letters, digits and - _ .",
                    got=repr(name),
                    next_step="Choose another name",
                )
            out = dataset.folder / "features" / f"{name.strip()}.h5"
            request = {"command": "extract", "videos": [str(dataset.folder)], "out": out, "backbone": stream,
                       "fps": fps, "stride": float(stride), "window": float(window), "device": device}  # fmt: skip
            if st.button("Extract", type="primary", icon=":material/play_arrow:", disabled=not files):
                jobs.submit(request, title=f"extract {name} of {dataset.name}", slot=device, result=out)
                st.rerun()
    with right:
        for path in dataset.unlisted_features():
            job = jobs.queue().of_result(dataset.folder / path)
            if job is None or not job.status().open:
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.markdown(f"`{path}` is ready and not listed in dataset.yaml yet.", width="stretch")
                    if st.button("List it", key=f"data.extract.list.{path}", type="primary"):
                        with guard(stop=False):
                            dataset.add_features(path)
                            st.rerun()
        jobs.job_list(("extract",), "data.extract.jobs")
        with st.expander("The same from a shell"):
            jobs.show_command(request)


def static_clips() -> None:
    """Draw the tool that mines static clips."""
    st.caption(
        "Stretches in which a training video hardly moves. A training can learn from them what is scene and not "
        "action (“hard negatives”); they are kept with the annotations and shown as a track in Explore."
    )
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        dataset_id, dataset = opened()
        with guard():
            split = st.selectbox("Split", list(dataset.splits), key=f"data.static.split.{dataset_id}")
            videos = dataset.videos(split)
            files = sum(dataset.video_path(v) is not None for v in videos)
            tracks = loaders.load_annotations(dataset_id).tracks
        rho = st.number_input(
            "Share of least-moving frames (%)", 1.0, 99.0, 25.0, key="data.static.rho", help="Paper: 25."
        )
        now = "none"
        if "static" in tracks:
            now = f"{len(tracks['static']):,} in {counted(len(tracks['static'].video_codes[1]), 'video')}"
        jobs.facts({"videos with a file": f"{files:,} of {len(videos):,}", "static clips now": now})
        request = {"command": "data static", "dataset": dataset.folder, "split": split, "rho": rho}
        if st.button("Mine static clips", type="primary", icon=":material/play_arrow:", disabled=not files):
            with guard(stop=False):
                jobs.submit(request, title=f"static clips of {dataset.name}", slot="cpu",
                            result=dataset.folder / "static_clips.json")  # fmt: skip
                st.rerun()
        if not files:
            st.caption("None of these videos has a file: without frames there is no motion to measure.")
    with right:
        jobs.job_list(("data static",), "data.static.jobs")
        with st.expander("The same from a shell"):
            jobs.show_command(request)
