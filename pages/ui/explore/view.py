"""What the Explore page looks at, and what a session knows about it beyond the URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from pages.ui import loaders
from pages.ui.selection import selection
from wtal_core.analysis import live
from wtal_core.data import Dataset
from wtal_core.records import Activations, Annotations, Lens

__all__ = [
    "Again",
    "Erased",
    "Panel",
    "View",
    "again_of",
    "answer_of",
    "asked_value",
    "clear_erased",
    "erased_of",
    "forget_again",
    "lens_value",
    "live_split",
]


@dataclass(frozen=True)
class View:
    """What is looked at: everything the workbench needs, picked above it.

    Args:
        dataset_id, dataset, annotations, split: the data.
        runs: ids, the first one leads.
        video, label: what the tracks show.
    """

    dataset_id: str
    dataset: Dataset
    annotations: Annotations
    split: str
    runs: tuple[str, ...]
    video: str
    label: str

    @property
    def subject(self) -> str:
        """What time, zoom and erased snippets belong to."""
        return f"{self.dataset_id}/{self.video}"


@dataclass(frozen=True)
class Panel:
    """What the panel says: verdict rules and changed settings; and where it shows results.

    Args:
        protocol, tiou: what verdicts and mAP are made under.
        changes: localization settings of the leading run that differ from the stored ones.
        split: its post-processing, None where there is no run, or it cannot be read.
        scores, table: containers that are filled when the timeline stands.
    """

    protocol: str = "activitynet"
    tiou: float = 0.5
    changes: dict[str, Any] = field(default_factory=dict)
    split: live.LiveSplit | None = None
    scores: Any = None
    table: Any = None


@dataclass(frozen=True)
class Again:
    """What the model said when it was asked again, kept for the session.

    Args:
        run: id of the run.
        activations: by video.
        what: what it was asked with: checkpoint, crop, changed settings.
        text: that, and how long it took where.
        whole: whether the whole split was computed.
        number: changes with every computation.
        changes: config values that differed from the run's.
    """

    run: str
    activations: Mapping[str, Activations]
    what: str
    text: str
    whole: bool
    number: int
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Erased:
    """Snippets that are dropped from the model's input, and what the model says without them.

    Args:
        subject: data set and video.
        spans: `[start, end)` in seconds.
        run: id of the run that was asked, "" before it was.
        asked: what it was asked with; another answer is needed when it changes.
        activations: what it says, None before it was asked.
        text: how many snippets, and how long it took.
        changes: config values that differed from the run's.
    """

    subject: str
    spans: tuple[tuple[float, float], ...] = ()
    run: str = ""
    asked: tuple[Any, ...] = ()
    activations: Activations | None = None
    text: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def again_of(run_id: str) -> Again | None:
    """Return what a run's model said again, None where it was not asked."""
    again = st.session_state.get("explore.again")
    return again if isinstance(again, Again) and again.run == run_id else None


def forget_again() -> None:
    """Go back to the stored activations."""
    st.session_state.pop("explore.again", None)


def erased_of(subject: str) -> Erased:
    """Return what is erased of a video."""
    erased = st.session_state.get("explore.erased")
    return erased if isinstance(erased, Erased) and erased.subject == subject else Erased(subject)


def clear_erased() -> None:
    """Bring the erased snippets back."""
    st.session_state.pop("explore.erased", None)


@dataclass(frozen=True)
class Answer:
    """What the model says about the video in view, beyond what is stored.

    Args:
        activations: of the video.
        key: what tells it apart from what is stored, and from other answers.
        what: what it was asked with, for people.
        changes: config values that differed from the run's.
    """

    activations: Activations
    key: tuple[Any, ...]
    what: str
    changes: Mapping[str, Any]


def answer_of(view: View, run_id: str) -> Answer | None:
    """Return what is shown of the leading run instead of what is stored: a step of its training, or a new answer."""
    step = selection().step
    if step is not None and step in loaders.load_run(run_id).kept_steps():
        kept = loaders.load_kept(run_id, step).get(view.video)
        if kept is not None:
            return Answer(kept, ("step", step), f"step {step:,} of the training", {})
    erased, again = erased_of(view.subject), again_of(run_id)
    if erased.spans and erased.run == run_id and erased.activations is not None:
        return Answer(erased.activations, ("erased", repr(erased.asked)), "snippets erased", erased.changes)
    if again is not None and view.video in again.activations:
        return Answer(again.activations[view.video], ("again", again.number), again.what, again.changes)
    return None


def asked_value(view: View, run_id: str, config: Any, key: str) -> float:
    """Return the value of a lens's setting that the model was asked with: the run's own, unless it was asked again."""
    answer = answer_of(view, run_id)
    return float(getattr(config, key) if answer is None else answer.changes.get(key, getattr(config, key)))


def lens_value(view: View, run_id: str, config: Any, lens: Lens) -> float:
    """Return the value that a lens shows: the link's, else that which the model was asked with."""
    at = selection().lenses.get(lens.key)
    return asked_value(view, run_id, config, lens.key) if at is None else min(max(at, lens.low), lens.high)


def live_split(run_id: str, dataset_id: str, split: str, protocol: str) -> live.LiveSplit:
    """Return the run's post-processing on a split, ready to follow sliders."""
    run = loaders.load_run(run_id)
    paths = (run.activations_path, run.detections_path, run.folder / "localization.json")
    stored = loaders.load_detections(run_id) if run.detections_path.is_file() else None
    stamps = tuple(loaders.stamp(p) for p in paths)
    truth = loaders.load_dataset(dataset_id).folder
    stamps = (*stamps, loaders.stamp(run.folder / "run.yaml"), *loaders.dataset_stamp(truth))
    return _live_split(run_id, f"{run.folder}|{truth}", dataset_id, split, protocol, stamps, stored)


@st.cache_resource(max_entries=8, show_spinner="Reading the run")
def _live_split(
    run_id: str, folders: str, dataset_id: str, split: str, protocol: str, stamps: tuple[int, ...], _stored: Any
) -> live.LiveSplit:
    return live.LiveSplit(
        loaders.load_run(run_id),
        loaders.load_activations(run_id),
        loaders.ground_truth(dataset_id, split),
        protocol=protocol,
        stored=_stored,
    )
