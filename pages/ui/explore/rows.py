"""What the timeline is told: the stack of tracks from ground truth to heat maps, and the facts around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from pages.ui import background, loaders, media
from pages.ui.errors import guard
from pages.ui.explore.recompute import erasable, flow_folder, why_not
from pages.ui.explore.view import Panel, View, answer_of, erased_of, lens_value
from wtal_core.analysis import live
from wtal_core.analysis.explain import explain, explain_stored, judge
from wtal_core.figures import rows
from wtal_core.records import Activations
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import localizer_of
from wtal_core.settings import override
from wtal_core.video import flow

__all__ = ["build"]

_LETTERS = "ABCD"


@st.cache_resource(max_entries=24, show_spinner=False)
def _activation_rows(
    key: tuple[Any, ...], _acts: Activations, _before: Activations | None, **what: Any
) -> list[rows.Row]:
    return rows.activation_rows(_acts, before=_before, **what)


@st.cache_resource(max_entries=64, show_spinner=False)
def _stored_row(
    stamps: tuple[Any, ...], run_id: str, title: str, letter: str, key: str, tiou: float, protocol: str, _view: View
) -> rows.Row:
    """Return the track of a run's stored detections, which no slider moves."""
    stored = loaders.load_detections(run_id).for_video(_view.video).sorted()
    verdicts = judge(stored, _view.annotations, _view.video, tiou=tiou, protocol=protocol)
    acts = (
        loaders.load_activations(run_id).get(_view.video)
        if loaders.load_run(run_id).activations_path.is_file()
        else None
    )
    explained = explain_stored(stored, verdicts, acts)
    return rows.detection_row(explained, verdicts, run=letter, title=title, key=key)


@dataclass
class _Stack:
    """Tracks and facts, gathered run by run."""

    detections: list[rows.Row] = field(default_factory=list)
    curves: list[rows.Row] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    grid: Any = None
    erasable: bool = False


def build(view: View, rules: Panel) -> tuple[list[rows.Row], dict[str, Any]]:
    """Return the tracks from top to bottom, and what else the timeline is told."""
    truth = [*rows.truth_rows(view.annotations, view.video), *_flow_rows(view)]
    stack = _Stack()
    entries = loaders.runs()
    for place, run_id in enumerate(view.runs):
        with guard(stop=False):
            _add_run(stack, view, rules, run_id, entries[run_id].name, place)
    shown = media.media_of(view.dataset_id, view.video)
    info, grid = view.annotations.videos[view.video], stack.grid
    ends = [item["end"] for track in (*truth, *stack.detections) for item in track.items]
    duration = shown.duration or info.duration or (grid.duration or grid.end_seconds if grid else 0)
    facts = {
        "title": view.video,
        "duration": max([duration, *ends]) or 1.0,
        "fps": shown.fps or info.fps or (grid.fps if grid else 25.0),
        "step": grid.step_seconds if grid else 1.0,
        "t0": float(grid.to_seconds(0)) if grid else 0.0,
        "num_snippets": grid.num_snippets if grid else 0,
        "video": _video(view, shown),
        "scores": stack.scores,
        "lead": entries[view.runs[0]].name if view.runs else "",
        "erasable": stack.erasable,
        "erased": erased_of(view.subject).spans,
    }
    return [*truth, *stack.detections, *stack.curves], facts


def _add_run(stack: _Stack, view: View, rules: Panel, run_id: str, title: str, place: int) -> None:
    """Add what one run says; the leading one under changed settings, asked again, or without erased snippets."""
    run, letter, lead = loaders.load_run(run_id), _LETTERS[place], place == 0
    stored = loaders.load_activations(run_id).get(view.video) if run.activations_path.is_file() else None
    answer = answer_of(view, run_id) if lead else None
    acts = stored if answer is None else answer.activations
    if acts is None and (run.activations_path.is_file() or not run.detections_path.is_file()):
        st.warning(_why_unseen(view, run, title, lead))
    if acts is None and not run.detections_path.is_file():
        return

    def add_stored(key: str, name: str) -> None:
        stamps = (str(run.folder), *map(loaders.stamp, (run.detections_path, run.activations_path)))
        subject = (*stamps, view.subject, str(view.dataset.folder), *loaders.dataset_stamp(view.dataset.folder))
        stack.detections.append(_stored_row(subject, run_id, name, letter, key, rules.tiou, rules.protocol, _view=view))

    if acts is None:
        add_stored("det", title)
        return
    changes = rules.changes if lead else {}
    settings = rules.split.settings(changes) if lead and rules.split is not None else live.stored_localization(run)
    result = live.localize_video(localizer_of(run), view.video, acts, settings)
    verdicts = judge(result.detections, view.annotations, view.video, tiou=rules.tiou, protocol=rules.protocol)
    explained = explain(result, acts, verdicts)
    found = rows.detection_row(explained, verdicts, run=letter, title=title, key="det")
    if answer is not None:
        found = replace(found, note=f"{answer.what} · {found.note}", about=answer.what)
    stack.detections.append(found)
    if (changes or answer is not None) and run.detections_path.is_file():
        add_stored("stored", f"{title}, stored")
    stack.grid = stack.grid or acts.grid
    if lead:
        stack.scores, stack.erasable = _video_scores(view, acts), erasable(view, run)
    before = stored if answer is not None and answer.key[0] != "step" else None
    config = run.config() if run.method_known else None
    if answer is not None and answer.changes:
        config = override(config, dict(answer.changes))
    at, limits = {}, {}
    for lens in run.lenses:
        at[lens.key] = lens_value(view, run_id, config, lens) if lead else float(getattr(config, lens.key))
        config = override(config, {lens.key: at[lens.key]})
        acts = lens.apply(acts, config)
        if lens.threshold is not None:
            limits[lens.key] = lens.threshold(acts, config)
    key = (
        str(run.folder),
        loaders.stamp(run.activations_path),
        view.video,
        view.label,
        letter,
        tuple(at.items()),
        answer.key if answer else (),
    )
    stack.curves += _activation_rows(
        key, acts, before, label=view.label, run=letter, lead=lead, views=run.views, thresholds=limits
    )


def _why_unseen(view: View, run: Run, title: str, lead: bool) -> str:
    """Say that a run has no activations of the video, and the way out."""
    if run.checkpoints() and (reason := why_not(view, run)):
        return f"{title} has no activations of this video, so there is no CAS of it. {reason}"
    here = " Under Recompute, ask it about this video; or" if lead and run.checkpoints() else " To change that,"
    return f"{title} has not been asked about this video yet.{here} run `wtal infer {run.folder}`."


def _video_scores(view: View, acts: Activations) -> list[dict[str, Any]]:
    """Return the six best video-level scores."""
    order = sorted(zip(acts.video_scores.tolist(), acts.classes, strict=True), reverse=True)[:6]
    present = set(view.annotations.instances.for_video(view.video).label.tolist())
    low, high = min(0.0, *(s for s, _ in order)), max(s for s, _ in order)
    return [{"label": c, "score": s, "share": (s - low) / (high - low or 1), "truth": c in present} for s, c in order]


def _flow_rows(view: View) -> Sequence[rows.Row]:
    """Return optical-flow intensity and mined static clips where they were computed, else the offer to do so."""
    path = loaders.video_file(view.dataset, view.video)
    if path is None:
        return []
    kept = flow.stored_flow(flow_folder(), path)
    if kept is not None:
        return rows.flow_rows(kept.intensity, kept.fps, kept.duration, kept.static)
    job = background.of(f"flow:{view.subject}")
    about = "compute its intensity, frame to frame, and the static clips that are mined from it; kept for next time"
    if job is not None and job.error is not None:
        return [rows.offer_row("flow", "Optical flow", "Try again", f"it could not be computed: {job.error}")]
    running = job is not None and job.running
    return [rows.offer_row("flow", "Optical flow", "" if running else "Compute", about)]


def _video(view: View, shown: media.Media) -> dict[str, Any]:
    """Return what the player is told."""
    job = background.of(f"copy:{view.subject}")
    problem, offer = shown.problem, "Make a browser copy" if shown.convertible else ""
    if job is not None and job.running:
        problem, offer = "A copy that browsers play is being made; the timeline works meanwhile.", ""
    elif job is not None and job.error is not None and not shown.url:
        problem = f"No browser copy could be made: {job.error}"
    return {"url": shown.url, "problem": problem, "offer": offer}
