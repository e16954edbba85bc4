"""Snippets against frames: what a snippet of a video sees, and where it lies on the axis."""

from __future__ import annotations

import html

import streamlit as st

from pages.ui import jobs, loaders, media, pickers, theme
from pages.ui.errors import guard
from pages.ui.file_input import opened
from wtal_core.data import Dataset
from wtal_core.data.snippet_preview import preview_snippet

__all__ = ["snippets"]

_STYLE = """
<style>
.wtal-strip { display: flex; gap: 4px; overflow: hidden; }
.wtal-strip figure { margin: 0; flex: 1 1 0; min-width: 0; }
.wtal-strip img { width: 100%; display: block; border-radius: 4px; min-height: 60px; background: #8882; }
.wtal-strip figcaption { font-size: .78rem; opacity: .7; font-variant-numeric: tabular-nums; padding-top: 2px; }
.wtal-axis { position: relative; height: 34px; border-radius: 4px; background: #8882; margin: 2px 0 0; }
.wtal-axis span { position: absolute; top: 4px; bottom: 4px; border-radius: 2px; opacity: .85; }
.wtal-axis i { position: absolute; top: 0; bottom: 0; border: 2px solid; border-radius: 3px; min-width: 4px; }
</style>
"""


def snippets() -> None:
    """Draw the tool."""
    st.html(_STYLE)
    top = st.columns([1.3, 1.6, 1, 1.2])
    with top[0]:
        dataset_id, dataset = opened()
    if not dataset.feature_names:
        st.info("This data set has no features yet, so there are no snippets: extract or import them.")
        return
    with guard():
        with top[2]:
            name = st.selectbox("Features", list(dataset.feature_names), key=f"data.snippets.features.{dataset_id}")
        store = dataset.store(name)
        known = set(store.videos)
        annotations = loaders.load_annotations(dataset_id)
        listed = [v for v in annotations.videos if v in known]
        videos = sorted(listed, key=lambda v: dataset.video_path(v) is None) or list(store.videos)
        with top[1]:
            video = pickers.pick_video(dataset, videos)
        if video is None or video not in known:
            st.info("This video has no features.")
            return
        grid = store.grid(video)
        *crops, _, dimension = store.shape(video)
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
                "channels": f"{dimension:,}" + (f" in each of {crops[0]} crops" if crops else ""),
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
    rows = loaders.load_annotations(dataset_id).instances.for_video(video)
    ink = theme.palette()
    total = max(duration, end, float(rows.end.max()) if len(rows) else 0.0, 1e-6)
    bars = "".join(
        f"<span style='left:{100 * a / total:.3f}%;width:{100 * (b - a) / total:.3f}%;background:{ink['gt']}' "
        f"title='{html.escape(label)} {a:.1f} - {b:.1f} s'></span>"
        for label, a, b in zip(rows.label.tolist(), rows.start.tolist(), rows.end.tolist(), strict=True)
    )
    mark = f"<i style='left:{100 * start / total:.3f}%;width:{100 * (end - start) / total:.3f}%;color:{ink['fp']}'></i>"
    st.html(f"<div class='wtal-axis' role='img' aria-label='Ground truth and the snippet'>{bars}{mark}</div>")
