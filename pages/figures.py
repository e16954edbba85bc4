"""Figures: put it in the paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.ui import detection_sets, loaders, pickers
from pages.ui.errors import guard
from pages.ui.figures.address import composition, keep, rows_of, run_names, spec_of
from pages.ui.figures.composer import composer
from pages.ui.selection import select, selection
from wtal_core.data import Dataset
from wtal_core.figures import theme
from wtal_core.figures.content import FigureData, RunData, assemble, describe
from wtal_core.figures.export import latex, render, simulated_png
from wtal_core.figures.spec import FigureSpec

ZOOMS = {"True size": 1.0, "150 %": 1.5, "200 %": 2.0, "300 %": 3.0}
EYES = {"As printed": "", "Greyscale": "greyscale", "Deuteranopia": "deuteranopia", "Protanopia": "protanopia",
        "Tritanopia": "tritanopia"}  # fmt: skip

_CSS = """
<style>
.paper { background:#fff; border:1px solid color-mix(in srgb, currentColor 22%, transparent); border-radius:6px;
  padding:18px; overflow:auto; min-height:180px; display:flex; justify-content:safe center; align-items:flex-start; }
.paper img { display:block; flex:none; zoom:var(--wtal-magnify, 1); }
.size { font-size:.8rem; opacity:.8; font-variant-numeric:tabular-nums; }
[class*="st-key-figrow-"] { border-bottom:1px solid color-mix(in srgb, currentColor 12%, transparent);
  margin-top:-.75rem; padding:.05rem 0; }
[class*="st-key-figrow-"] p { margin:0; line-height:2rem; }
[class*="st-key-figrow-"] [data-testid="stMarkdownContainer"] { margin-bottom:0 !important; }
[class*="st-key-figrow-"] button { min-height:2rem; padding:0 .4rem; }
</style>
"""


# -- reading ----------------------------------------------------------------------------------------------------------


def _run_data(run_id: str, video: str) -> RunData:
    """Return what a run says about a video; what is missing is said, not raised."""
    run = loaders.load_run(run_id)
    activations, problem = detection_sets.activations_of(run_id, video), ""
    if activations is None:
        known = run.activations_path.is_file()
        problem = f"has no activations of {video}" if known else "has no activations yet: run wtal infer"
    found = loaders.load_detections(run_id).for_video(video) if run.detections_path.is_file() else None
    return RunData(run.info.method, activations, found, problem, run.views)


def _gather(
    dataset_id: str, dataset: Dataset, video: str, label: str, runs: Sequence[str], names: Mapping[str, str]
) -> FigureData:
    truth = loaders.load_annotations(dataset_id).only([video])
    spec = FigureSpec(video=video, label=label)
    return assemble(spec, truth, {names[r]: _run_data(r, video) for r in runs}, loaders.video_file(dataset, video))


# -- the page ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Draw the page."""
    st.html(_CSS)
    columns = st.columns([1.2, 2.2, 1.4, 1.2], gap="small", vertical_alignment="bottom")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. A figure then sets key frames, ground truth, CAS, attention and detections of any run "
            "on one time axis, ready for a paper.",
            icon=":material/folder_open:",
        )
        return
    with guard():
        dataset = loaders.load_dataset(entry.id)
        annotations = loaders.load_annotations(entry.id)
        videos = dataset.videos(loaders.test_split(dataset))
    with columns[1]:
        runs = pickers.pick_runs(entry.id)
    with columns[2]:
        video = pickers.pick_video(dataset, videos, runs=runs)
    if video is None:
        st.info("This data set lists no videos.", icon=":material/movie:")
        return
    present = sorted(set(annotations.instances.for_video(video).label.tolist()))
    with columns[3]:
        label = pickers.pick_class(annotations.classes, (present or list(annotations.classes))[0], marked=present)
    chosen = selection()
    select(dataset=entry.id, runs=runs, video=video, label=label)
    if composition().of != (entry.id, video):
        link = (chosen.t0, chosen.t1) if chosen.t0 is not None and chosen.t1 is not None else None
        keep(of=(entry.id, video), marks=(), window=link)  # a link from Explore brings its zoom along

    made = composition()
    names = run_names(runs, made.names)
    with guard():
        data = _gather(entry.id, dataset, video, label, runs, names)
    if made.window is not None and made.window[0] >= data.duration:  # of a link that was meant for another video
        keep(window=None)
        made = composition()
    rows = rows_of(made, runs, data.has())
    left, right = st.columns([1, 1.75], gap="medium")
    with left:
        composer(rows, runs, names, data, entry.id)
    made = composition()
    with right:
        if not runs:
            st.info(
                "**No run is chosen**, so the figure shows ground truth alone. Train one on the Train page, or choose "
                "one above, and its CAS, attention and detections can be added as rows.",
                icon=":material/model_training:",
            )
        lacking = [name for name, run in data.runs.items() if run.problem]
        if lacking:
            st.warning(
                f"**No activations of {video}** by {', '.join(lacking)}: without them there is no CAS or attention to "
                "draw. Choose another video, or give this one features on the Data page and run `wtal infer`.",
                icon=":material/search_off:",
            )
        with guard(stop=False):
            spec = spec_of(made, entry.id, video, label, runs, rows)
            _preview(spec, data)


# -- looking and saving -----------------------------------------------------------------------------------------------


@st.cache_data(max_entries=48, show_spinner=False)
def _image(spec_text: str, stamps: tuple[Any, ...], dpi: int, _spec: FigureSpec, _data: FigureData) -> bytes:
    """Return the preview, remembered by what it is made of."""
    return render(_spec, _data, ("png",), dpi)["png"]


@st.cache_data(max_entries=96, show_spinner=False)
def _seen(png: bytes, kind: str) -> bytes:
    return simulated_png(png, kind)


def _stamps(data: FigureData) -> tuple[Any, ...]:
    """Return what tells a figure's inputs apart besides its spec."""
    chosen = selection()
    found: list[Any] = []
    for run_id in chosen.runs:
        run = loaders.load_run(run_id)
        found += [str(run.folder), loaders.stamp(run.activations_path), loaders.stamp(run.detections_path)]
    if chosen.dataset is not None:
        dataset = loaders.load_dataset(chosen.dataset)
        found += [loaders.stamp(dataset.folder / dataset.annotations_path)]
    return (*found, loaders.stamp(data.video_file) if data.video_file is not None else 0)


def _preview(spec: FigureSpec, data: FigureData) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        zoom = st.segmented_control("Size on screen", list(ZOOMS), key="fig.zoom", default="150 %", required=True)
        eyes = st.segmented_control("Seen", list(EYES), key="fig.eyes", default="As printed", required=True)
    scale = ZOOMS[zoom or "150 %"]
    png = _image(spec.to_yaml(), _stamps(data), round(min(400, 192 * scale)), spec, data)
    if EYES[eyes or "As printed"]:
        png = _seen(png, EYES[eyes or "As printed"])
    source = base64.b64encode(png).decode()
    alt = describe(spec, data).replace('"', "'").replace("<", "&lt;")
    st.html(
        f'<div class="paper"><img alt="{alt}" style="width:{spec.inches * scale:.4f}in" '
        f'src="data:image/png;base64,{source}"></div>'
    )
    _greyscale_note(spec, eyes or "")
    _downloads(spec, data)


def _greyscale_note(spec: FigureSpec, eyes: str) -> None:
    """Say which colours a greyscale printer cannot tell apart, and what still does."""
    if eyes != "Greyscale":
        return
    looks = theme.looks(spec.palette, spec.colours)
    used = (
        {"true positive": "tp", "false positive": "fp", "missed": "fn"}
        if spec.verdicts
        else {"ground truth": "gt", "detection": "detection"}
    )
    close = theme.similar_in_greyscale({name: looks[role].colour for name, role in used.items()})
    if close:
        pairs = ", ".join(f"{a} and {b} (ΔL* {gap:.0f})" for a, b, gap in close)
        st.caption(f"Close in lightness: {pairs}. Rows, hatching and outlines still tell them apart.")
    else:
        st.caption("All colours stay apart in lightness.")


def _downloads(spec: FigureSpec, data: FigureData) -> None:
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in f"{data.video}_{data.label}")
    mimes = {"pdf": "application/pdf", "svg": "image/svg+xml", "png": "image/png"}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for form, mime in mimes.items():
            st.download_button(
                form.upper(), lambda form=form: render(spec, data, (form,))[form], f"{stem}.{form}", mime,
                key=f"fig.save.{form}", icon=":material/download:", on_click="ignore",
                type="primary" if form == "pdf" else "secondary",
            )  # fmt: skip
        st.download_button(
            "Spec", spec.to_yaml(), f"{stem}.yaml", "application/yaml", key="fig.save.spec",
            icon=":material/description:", on_click="ignore",
        )  # fmt: skip
        st.html(
            f'<span class="size">{spec.inches:g} in wide, {spec.font_size:g} pt, {theme.font_family(spec.font)}</span>'
        )
    with st.expander("LaTeX and command line"):
        st.code(latex(spec, f"{stem}.pdf", describe(spec, data), stem), language="latex")
        st.code(f"wtal figure {stem}.yaml --out {stem}.pdf", language="bash")
        st.code(spec.to_yaml(), language="yaml")


main()
