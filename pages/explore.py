"""Explore: what does the model see in this video?"""

from __future__ import annotations

import streamlit as st

from pages.ui import library, pickers
from pages.ui.errors import guard
from pages.ui.state import select


def main() -> None:
    """Draw the page."""
    left, middle, right, last = st.columns([1.2, 2, 1.4, 1])
    with left:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info("There is no data set in this workspace yet. Make one on the Data page, or run `wtal demo`.")
        return
    with guard():
        dataset = library.load_dataset(entry.id)
        annotations = library.load_annotations(entry.id)
        videos = dataset.videos(library.test_split(dataset))
    with middle:
        runs = pickers.pick_runs(entry.id)
    with right:
        video = pickers.pick_video(dataset, videos)
    if video is None:
        st.info("This data set lists no videos.")
        return
    present = sorted(set(annotations.instances.for_video(video).label.tolist()))
    with last:
        label = pickers.pick_class(annotations.classes, (present or list(annotations.classes))[0], marked=present)
    select(dataset=entry.id, runs=runs, video=video, label=label)
    for run_id in runs:
        with guard(stop=False):
            st.subheader(run_id)
            st.dataframe(library.load_detections(run_id).for_video(video).to_dataframe())


main()
