"""What data sets and runs there are, and cached loaders for them.

Loaders are keyed by path and modification time, never by arrays; what they return is shared between sessions: read it,
do not change it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import streamlit as st

from wtal_core.data import Dataset, FeatureStore, read_detections
from wtal_core.data.activations import ActivationStore
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.evaluation import GroundTruthIndex
from wtal_core.records import Activations, Annotations, Detections
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import stored_activations
from wtal_core.workspace import DatasetEntry, RunSummary, Workspace, home_folder

__all__ = [
    "DatasetEntry",
    "RunSummary",
    "dataset_id",
    "dataset_of",
    "dataset_stamp",
    "datasets",
    "ground_truth",
    "load_activations",
    "load_annotations",
    "load_dataset",
    "load_detections",
    "load_features",
    "load_run",
    "open_dataset",
    "register",
    "run_id",
    "run_name",
    "runs",
    "seen_videos",
    "short",
    "stamp",
    "test_split",
    "video_file",
    "workspace",
]


_WORKSPACES: dict[str, Workspace] = {}


def workspace() -> Workspace:
    """Return the workspace of this process (`$WTAL_HOME`, else the current folder); also outside a page."""
    key = os.environ.get("WTAL_HOME") or os.getcwd()
    if key not in _WORKSPACES:
        _WORKSPACES[key] = Workspace(home_folder())
    return _WORKSPACES[key]


def short(folder: Path) -> str:
    """Return a path relative to the workspace where it lies in it, as a person would type it there."""
    home = workspace().home
    return str(folder.relative_to(home)) if folder.is_relative_to(home) else str(folder)


def datasets() -> dict[str, DatasetEntry]:
    """Return `{id: data set}`, unreadable ones with their error."""
    return workspace().datasets()


def runs(dataset_id: str | None = None) -> dict[str, RunSummary]:
    """Return `{id: run}`, unreadable ones with their error; of one data set where its id is given."""
    entry = None if dataset_id is None else workspace().dataset(dataset_id)
    return workspace().runs(entry)


def run_name(run_id: str) -> str:
    """Return what people read for a run: the end of its id that no other run shares."""
    return workspace().run(run_id).name


def dataset_id(name: str) -> str:
    """Return the id of the data set that a link names, the name itself where there is none or several."""
    return _resolved(str(workspace().home), "data set", name, None, int(time.monotonic()))


def run_id(name: str, dataset: str | None = None) -> str:
    """Return the id of the run (of a data set) that a link names, the name itself where there is none or several."""
    return _resolved(str(workspace().home), "run", name, dataset, int(time.monotonic()))


@lru_cache(maxsize=128)
def _resolved(home: str, kind: str, name: str, dataset: str | None, second: int) -> str:
    """Resolve a name, not more often than once a second: pages ask many times while they are drawn."""
    here = workspace()
    with suppress(UsageError):
        if kind == "data set":
            return here.dataset(name).id
        with suppress(UsageError):
            return here.run(name, here.dataset(dataset) if dataset else None).id
        return here.run(name).id
    return name


def dataset_of(run_id: str) -> DatasetEntry | None:
    """Return the data set of a run, None where the workspace does not have it."""
    return workspace().dataset_of(workspace().run(run_id))


def register(folder: str) -> Path:
    """Add a folder with data sets or runs to the workspace."""
    return workspace().register(folder)


def stamp(path: Path) -> int:
    """Return the modification time of a file in nanoseconds, 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):  # also a name that no file can have
        return 0


def dataset_stamp(folder: Path) -> tuple[int, ...]:
    """Return what changes when a data set is described or annotated anew, or features or videos come or go."""
    described = stamp(folder / "dataset.yaml")
    return (described, *(stamp(folder / part) for part in _parts(str(folder), described)))


@lru_cache(maxsize=64)
def _parts(folder: str, changed: int) -> tuple[str, ...]:
    """Return where a data set's annotations, videos and unlisted features lie, relative to its folder."""
    try:
        dataset = Dataset.open(folder)
    except WtalError:  # said where it is opened
        return ()
    return (dataset.annotations_path, dataset.videos_folder, "features")


def load_dataset(id: str) -> Dataset:
    """Open a data set by id."""
    entry = workspace().dataset(id)
    if entry.error:
        raise DataError(entry.error, next_step="Repair the folder, or remove it")
    return open_dataset(entry)


def open_dataset(entry: DatasetEntry) -> Dataset:
    """Open a readable data set, in sessions or outside of them; kept until it changes."""
    return _dataset(str(entry.folder), dataset_stamp(entry.folder))


@lru_cache(maxsize=16)
def _dataset(folder: str, changed: tuple[int, ...]) -> Dataset:
    return Dataset.open(folder)


def video_file(dataset: Dataset, video: str) -> Path | None:
    """Return the file of a video, None where there is none, or none any more: a link may lead to a disk that is off."""
    path = dataset.video_path(video)
    return path if path is not None and os.path.isfile(path) else None


def load_annotations(dataset_id: str) -> Annotations:
    """Read the ground truth of a data set, with the data set's classes."""
    dataset = load_dataset(dataset_id)
    file = dataset.folder / dataset.annotations_path
    return _annotations(str(dataset.folder), stamp(dataset.folder / "dataset.yaml"), stamp(file))


@st.cache_resource(max_entries=16, show_spinner="Reading annotations")
def _annotations(folder: str, changed: int, file_changed: int) -> Annotations:
    return Dataset.open(folder).annotations


def ground_truth(dataset_id: str, split: str = "test") -> GroundTruthIndex:
    """Return the ground truth of a split, prepared for repeated evaluation."""
    dataset = load_dataset(dataset_id)
    file = dataset.folder / dataset.annotations_path
    return _ground_truth(dataset_id, str(dataset.folder), split, stamp(dataset.folder / "dataset.yaml") + stamp(file))


@st.cache_resource(max_entries=32, show_spinner=False)
def _ground_truth(dataset_id: str, folder: str, split: str, changed: int) -> GroundTruthIndex:
    return GroundTruthIndex(load_annotations(dataset_id), load_dataset(dataset_id).subsets(split))


def load_run(id: str) -> Run:
    """Open a run by id."""
    entry = workspace().run(id)
    if entry.error:
        raise DataError(entry.error, next_step="Repair the folder, or remove it")
    return _run(str(entry.folder), stamp(entry.folder / "run.yaml"))


@st.cache_resource(max_entries=64, show_spinner=False)
def _run(folder: str, changed: int) -> Run:
    return Run.open(folder)


def load_activations(run_id: str) -> dict[str, Activations]:
    """Read all stored activations of a run into memory."""
    run = load_run(run_id)
    return _activations(str(run.folder), stamp(run.activations_path))


@st.cache_resource(max_entries=6, show_spinner="Reading activations")
def _activations(folder: str, changed: int) -> dict[str, Activations]:
    return stored_activations(Run.open(folder))


def load_kept(run_id: str, step: int) -> dict[str, Activations]:
    """Read what was kept of a few videos at a step of the training."""
    run = load_run(run_id)
    return _kept(str(run.folder), step, stamp(run.kept_path(step)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(folder: str, step: int, changed: int) -> dict[str, Activations]:
    with Run.open(folder).activations(step) as store:
        return {video: store.read(video, embedding=False) for video in store.videos}


def seen_videos(run_id: str) -> frozenset[str] | None:
    """Return the videos that a run has stored activations of, None where it cannot say."""
    try:
        path = load_run(run_id).activations_path
        return _seen_videos(str(path), stamp(path)) if path.is_file() else None
    except WtalError:  # said where the run is shown
        return None


@st.cache_resource(max_entries=64, show_spinner=False)
def _seen_videos(path: str, changed: int) -> frozenset[str]:
    with ActivationStore(path) as store:
        return frozenset(store.videos)


def load_detections(run_id: str) -> Detections:
    """Read the stored detections of a run.

    Raises:
        DataError: it has none yet.
    """
    run = load_run(run_id)
    if not run.detections_path.is_file():
        raise DataError("has no detections yet", where=run.folder, next_step=f"Run: wtal localize {run.folder}")
    return _detections(str(run.detections_path), stamp(run.detections_path))


@st.cache_resource(max_entries=16, show_spinner="Reading detections")
def _detections(path: str, changed: int) -> Detections:
    return read_detections(path)


def load_features(dataset_id: str, name: str | None = None) -> FeatureStore:
    """Open a set of features of a data set (default: the first); unknown names fall back to the default."""
    dataset = load_dataset(dataset_id)
    file = dataset.feature_file(name if name in dataset.feature_names else None)
    return _features(
        str(dataset.folder), stamp(dataset.folder / "dataset.yaml"), file.name, stamp(dataset.folder / file.path)
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _features(folder: str, dataset_stamp: int, name: str, file_stamp: int) -> FeatureStore:
    return Dataset.open(folder).store(name)


def test_split(dataset: Dataset) -> str:
    """Return the split that results are shown on: "test" where there is one, else the last.

    Raises:
        UsageError: the data set has no split.
    """
    if not dataset.splits:
        raise UsageError("the data set has no splits", where=dataset.folder, next_step="State them in dataset.yaml")
    return "test" if "test" in dataset.splits else list(dataset.splits)[-1]
