"""Pickers for data set, runs, video and class; what they pick is in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import streamlit as st

from pages.ui import loaders
from pages.ui.errors import plain
from pages.ui.selection import select, selection
from wtal_core.data import Dataset
from wtal_core.workspace import matches

__all__ = ["follow_link", "pick_class", "pick_dataset", "pick_runs", "pick_video", "step_video", "why_not"]

Needs = Literal["activations", "detections"]


def _changed(part: str, key: str, *, many: bool = False) -> None:
    value = st.session_state[key]
    select(**{part: tuple(value) if many else value})


def _one(part: str, label: str, options: Sequence[Any], value: Any, **more: Any) -> Any:
    """Show a selectbox that follows the selection and writes it."""
    key = f"pick.{part}"
    st.session_state[key] = value
    return st.selectbox(label, options, key=key, on_change=_changed, args=(part, key), **more)


def pick_dataset(label: str = "Data set") -> loaders.DatasetEntry | None:
    """Let the user pick a data set; None where the workspace has none."""
    known = loaders.datasets()
    if not known:
        return None
    chosen = selection()
    current = chosen.dataset
    if current is None and chosen.runs and chosen.runs[0] in loaders.runs():
        home = loaders.dataset_of(chosen.runs[0])  # a link may name the run alone
        current = home.id if home is not None else None
    missing = current if current not in known else None
    if current not in known:
        current = next((i for i, entry in known.items() if not entry.error), next(iter(known)))
    picked = _one("dataset", label, list(known), current, format_func=lambda i: known[i].name)
    if missing is not None:
        why_not("data set", missing)
    return known[picked]


def default_runs(dataset_id: str, needs: Needs = "activations") -> tuple[str, ...]:
    """Return what is shown of a data set where no run was chosen: the first run that has what the page needs.

    Of several, one that lacks nothing else is taken; where none has it, the first readable one.
    """

    def lacks(run: loaders.RunSummary) -> tuple[bool, int]:
        absent = {"activations": not run.has_activations, "detections": not run.has_detections}
        return absent[needs], sum(absent.values())

    readable = [entry for entry in loaders.runs(dataset_id).values() if not entry.error]
    return tuple(entry.id for entry in sorted(readable, key=lacks)[:1])


def pick_runs(dataset_id: str, max: int = 4, label: str = "Runs", needs: Needs = "activations") -> tuple[str, ...]:
    """Let the user pick up to `max` runs of a data set; the first one leads, by default one that has what is needed."""
    known = loaders.runs(dataset_id)
    wanted = selection().runs
    missing = [r for r in wanted if r not in known]
    current = [r for r in wanted if r in known][:max] or list(default_runs(dataset_id, needs))
    key = "pick.runs"
    st.session_state[key] = current
    picked = st.multiselect(
        label,
        list(known),
        format_func=lambda run: known[run].name,
        key=key,
        max_selections=max,
        placeholder="Choose a run" if known else "No runs yet",
        on_change=_changed,
        args=("runs", key),
        kwargs={"many": True},
    )
    if missing:
        why_not("run", missing[0])
    return tuple(picked)


def follow_link(key: str, runs: Sequence[str]) -> None:
    """Let a widget of runs that is bound to the URL take a run that a link names by another end of its path."""
    named = st.query_params.get(key)
    if named is not None and named not in runs and (found := loaders.run_id(named)) in runs:
        st.session_state[key] = found  # by itself it takes its own options only


def why_not(kind: Literal["run", "data set"], name: str) -> None:
    """Say why a link leads to no run or data set: there is none of this name, or there are several."""
    found = matches(name, loaders.runs() if kind == "run" else loaders.datasets())
    which = "is of another data set" if found else "is not in this workspace"
    if len(found) > 1:
        which = f"may mean {' or '.join(found)}"
    st.warning(plain(f"This link names the {kind} “{name}”, which {which}."))


def pick_video(dataset: Dataset, videos: Sequence[str], label: str = "Video", runs: Sequence[str] = ()) -> str | None:
    """Let the user pick one of the videos, by default one that the leading run has seen; None where there is none."""
    if not videos:
        return None
    wanted = selection().video
    if wanted is not None and wanted not in videos and wanted in dataset.annotations.videos:
        videos = [wanted, *videos]
    seen = loaders.seen_videos(runs[0]) if runs else None
    first = videos[0] if seen is None else next((v for v in videos if v in seen), videos[0])
    current = wanted if wanted in videos else first
    key = "pick.video"
    st.session_state[key] = current
    picked: str = st.selectbox(
        label, list(videos), key=key, on_change=lambda: _go_to(st.session_state[key]),
        format_func=lambda v: v if seen is None or v in seen else f"{v} · no CAS",
    )  # fmt: skip
    if wanted is not None and wanted not in videos:
        st.warning(f"This link names the video “{wanted}”, which is not in this data set.")
    return picked


def pick_class(classes: Sequence[str], default: str, label: str = "Class", marked: Sequence[str] = ()) -> str:
    """Let the user pick a class; those in `marked` (the video's own) come first."""
    ordered = [*(c for c in classes if c in marked), *(c for c in classes if c not in marked)]
    wanted = selection().label
    current = wanted if wanted in ordered else default
    picked: str = _one("label", label, ordered, current, format_func=lambda c: f"{c} •" if c in marked else c)
    return picked


def step_video(videos: Sequence[str], current: str, by: int) -> None:
    """Select the video that lies `by` places further on, around the end."""
    position = list(videos).index(current) if current in videos else 0
    _go_to(videos[(position + by) % len(videos)])


def _go_to(video: str) -> None:
    """Select a video, and with it one of its own classes where it does not have the selected one."""
    chosen = selection()
    present = loaders.load_annotations(chosen.dataset).instances.for_video(video).label if chosen.dataset else ()
    select(video=video, label=chosen.label if chosen.label in present or not len(present) else None)
