"""Asking the model again: device, checkpoint, drop threshold, crop, other settings; and with snippets erased."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import background, loaders, media
from pages.ui.errors import guard, show_error
from pages.ui.explore.view import Again, View, again_of, clear_erased, erased_of, forget_again
from wtal_core.analysis.recompute import Recomputed, load_method, recompute, recompute_split
from wtal_core.data import FeatureStore
from wtal_core.devices import list_devices
from wtal_core.errors import WtalError, counted
from wtal_core.methods import Method
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import check_provenance
from wtal_core.settings import parse_assignments
from wtal_core.video import flow

__all__ = [
    "ask_controls",
    "ask_without_erased",
    "erasable",
    "flow_folder",
    "start_copy",
    "start_flow",
    "take_answer",
    "why_not",
]

_SPLIT = "explore.split"  # key of the work on a whole split
_QUESTION = "explore.question"
_NUMBERS = itertools.count(1)  # of answers: sessions share the cache of what is drawn of them


@dataclass(frozen=True)
class _Question:
    """What a model is asked with: everything but the video.

    Args:
        run: id of the run.
        checkpoint, device: of the model.
        crop: one crop of the features, None: the mean of all.
        changes: config values that differ from the run's.
        fill: what stands in for erased snippets.
    """

    run: str
    checkpoint: str
    device: str = "cpu"
    crop: int | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    fill: str = "zeros"

    @property
    def text(self) -> str:
        """What was asked, for people."""
        crop = [f"crop {self.crop + 1}"] if self.crop is not None else []
        return ", ".join([self.checkpoint, *crop, *(f"{key}={value}" for key, value in self.changes)])

    def method(self) -> Method:
        """Return the model."""
        run = loaders.load_run(self.run)
        stamp = loaders.stamp(run.checkpoint_path(self.checkpoint))
        return _method(str(run.folder), stamp, self.checkpoint, self.device, self.changes)


@st.cache_resource(max_entries=4, show_spinner=False)
def _method(folder: str, stamp: int, checkpoint: str, device: str, changes: tuple[tuple[str, Any], ...]) -> Method:
    return load_method(Run.open(folder), checkpoint=checkpoint, device=device, changes=dict(changes))


@st.cache_resource(show_spinner=False)
def _devices() -> dict[str, str]:
    """Return `{device: name people know}`, the fastest first."""
    return {device.id: device.name for device in list_devices()}


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


# -- what can be asked ----------------------------------------------------------------------------------------------


def _features(view: View, run: Run) -> FeatureStore:
    """Return the features as the run's model reads them."""
    store = loaders.load_features(view.dataset_id, run.info.dataset.get("features"))
    return run.method_class.read_features(run.config(), store, training=False)


def why_not(view: View, run: Run) -> str:
    """Say why the run's model cannot be asked about the video, "" where it can."""
    if not run.checkpoints():
        return "This run holds no checkpoint: its stored activations are all there is."
    try:
        store = _features(view, run)
        if view.video not in store.videos:
            return (
                "There are no features of this video. Extract or import them on the Data page, or choose another video."
            )
        if store.dim != run.info.feature_dim:
            return f"The features have {store.dim} numbers a snippet, the model wants {run.info.feature_dim}."
        made = store.provenance(view.video)
    except WtalError as error:
        return f"The features of this data set cannot be read: {error.problem}. Examine it on the Data page."
    try:
        check_provenance(run.info.provenance, made, where=run.folder)
    except WtalError as error:
        return f"{error.problem.capitalize()}: {error.got} instead of {error.expected}."
    return ""


def erasable(view: View, run: Run) -> bool:
    """Return whether snippets can be dropped from the model's input."""
    return not why_not(view, run)


# -- controls -------------------------------------------------------------------------------------------------------


def ask_controls(view: View, lead: str) -> None:
    """Draw what the model is asked with, and ask it."""
    with guard(stop=False):
        run = loaders.load_run(lead)
        reason = why_not(view, run)
        if reason:
            st.caption(reason)
            return
        question = _question(view, run, lead)
        one, two = st.columns(2, gap="small")
        job = background.of(_SPLIT)
        busy = job is not None and job.running
        if one.button("This video", width="stretch", key="explore.once"):
            done = recompute(question.method(), _features(view, run).read(view.video), crop=question.crop)
            _keep(question, done, view.video, whole=False)
        two.button(
            f"Whole {view.split} split", width="stretch", key="explore.all", disabled=busy,
            on_click=_ask_split, args=(view, question),
        )  # fmt: skip
        if job is not None and job.error is not None:
            show_error(job.error)
        if again_of(lead) is not None:
            st.button("Back to the stored activations", on_click=forget_again, width="stretch")
        st.divider()
        ask_without_erased(view, lead)
        _erase_controls(view)


def _question(view: View, run: Run, lead: str) -> _Question:
    """Draw device, checkpoint, drop threshold, crop and other settings; return what they say."""
    devices, config = _devices(), run.config()
    device = st.selectbox(
        "Device", list(devices), format_func=devices.__getitem__, key="explore.device", persist_state="session"
    )
    shape = _features(view, run).shape(view.video)
    crops = shape[0] if len(shape) == 3 else 0
    left, right = st.columns(2, gap="small") if crops else (st.container(), None)
    checkpoint = left.selectbox(
        "Checkpoint", run.checkpoints(), key=f"explore.checkpoint.{lead}", persist_state="session"
    )
    crop = None
    if right is not None:
        crop = right.selectbox(
            "Crop",
            [None, *range(crops)],
            format_func=lambda i: f"mean of {crops}" if i is None else f"crop {i + 1}",
            key=f"explore.crop.{view.dataset_id}",
            help="Which of the features' spatial crops the model sees; by default it averages what it says of each.",
            persist_state="session",
        )
    changes: dict[str, Any] = {}
    for lens in run.lenses:
        trained = float(getattr(config, lens.key))
        at = st.slider(
            lens.label.removesuffix(" (lens)").capitalize(), lens.low, lens.high, trained, lens.step,
            key=f"explore.lens.{lens.key}.{lead}", persist_state="session",
            help=f"The run was trained with {trained:g}.",
        )  # fmt: skip
        if abs(at - trained) > 1e-9:
            changes[lens.key] = at
    text = st.text_input(
        "Changed settings",
        key=f"explore.changes.{lead}",
        placeholder="name=value name=value",
        help="Config values that leave the network's layers as they are.",
        persist_state="session",
    )
    changes |= parse_assignments((text or "").split())
    hashable = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(changes.items()))
    question = _Question(lead, str(checkpoint), str(device), crop, hashable, _fill())
    st.session_state[_QUESTION] = question
    return question


def _fill() -> str:
    return str(st.session_state.get("explore.fill") or "zeros")


def _erase_controls(view: View) -> None:
    st.markdown("**Erase**")
    erased = erased_of(view.subject)
    st.segmented_control(
        "The model gets instead",
        ["zeros", "mean"],
        default="zeros",
        key="explore.fill",
        help="A snippet in which nothing fires, or the video's mean snippet. Time stays where it is.",
        persist_state="session",
        required=True,
    )
    if erased.spans:
        st.caption(erased.text)
        st.button("Bring them back", on_click=clear_erased, width="stretch", key="explore.clear")
    else:
        st.caption("Switch on *Erase* above the tracks and brush over snippets: they are dropped from the input.")


# -- answers --------------------------------------------------------------------------------------------------------


def _keep(question: _Question, done: Recomputed, of: str, *, whole: bool) -> None:
    text = f"Asked again about {of}: {_duration(done.seconds)} on {_devices()[question.device]} ({question.text})"
    st.session_state["explore.again"] = Again(
        question.run, done.activations, question.text, text, whole, next(_NUMBERS), dict(question.changes)
    )


def _ask_split(view: View, question: _Question) -> None:
    """Ask about every video of the split, beside the page."""
    run = loaders.load_run(question.run)

    def ask() -> tuple[_Question, Recomputed]:
        videos = view.dataset.videos(view.split)
        return question, recompute_split(question.method(), _features(view, run), videos, crop=question.crop)

    background.start(_SPLIT, f"Asking {run.name} about the {view.split} split", ask)


def take_answer() -> None:
    """Take over what the model said about a whole split, once it is there."""
    job = background.of(_SPLIT)
    if job is None or job.running or job.error is not None:
        return
    answer = job.result()
    background.drop(_SPLIT)
    if answer is not None:
        question, done = answer
        _keep(question, done, counted(len(done.activations), "video"), whole=True)


def ask_without_erased(view: View, lead: str) -> None:
    """Ask the model without the erased snippets, unless its answer is there already."""
    erased = erased_of(view.subject)
    if not erased.spans:
        return
    with guard(stop=False):
        run = loaders.load_run(lead)
        question = st.session_state.get(_QUESTION)
        if not isinstance(question, _Question) or question.run != lead:
            checkpoints = run.checkpoints()
            if not checkpoints:
                return
            question = _Question(lead, checkpoints[0])
        question = replace(question, fill=_fill())
        asked = (question, erased.spans)
        if erased.asked == asked:
            return
        store = _features(view, run)
        done = recompute(
            question.method(), store.read(view.video), crop=question.crop, spans=erased.spans, fill=question.fill
        )
        count = int(store.grid(view.video).mask(*zip(*erased.spans, strict=True)).sum())
        snippets = f"{count} snippet{'s' if count != 1 else ''}"
        text = f"{snippets} erased, {_duration(done.seconds)} on {_devices()[question.device]}."
        st.session_state["explore.erased"] = replace(
            erased, run=lead, asked=asked, activations=done.activations[view.video], text=text,
            changes=dict(question.changes),
        )  # fmt: skip


# -- beside the model -----------------------------------------------------------------------------------------------


def flow_folder() -> Path:
    """Return where optical flow is kept."""
    return loaders.workspace().home / ".wtal" / "flow"


def start_flow(dataset_id: str, video: str) -> None:
    """Compute optical flow of a video, beside the page."""
    folder = flow_folder()

    def compute() -> None:
        path = loaders.load_dataset(dataset_id).video_path(video)
        if path is not None:
            flow.compute_flow(folder, path, loaders.load_features(dataset_id).grid(video))

    background.start(f"flow:{dataset_id}/{video}", f"Optical flow of {video}", compute)


def start_copy(dataset_id: str, video: str) -> None:
    """Make a copy of a video that browsers play, beside the page."""
    background.start(
        f"copy:{dataset_id}/{video}", f"Browser copy of {video}", lambda: media.make_copy(dataset_id, video)
    )
