"""What the failures and compare pages share: sets of detections by reference, and what is computed of them, cached.

References (`SetRef`, `SplitRef`) are cheap to hash and carry stamps that change with the files, so that they serve as
keys of the caches: what is computed is computed once and forgotten when a file changes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from pages.ui import loaders, theme
from wtal_core.data import read_detections
from wtal_core.data.activations import ActivationStore
from wtal_core.errors import DataError, WtalError
from wtal_core.evaluation import (
    Comparison,
    Diagnosis,
    GroundTruthIndex,
    compare_detections,
    diagnose,
    paired_bootstrap,
    slice_by_videos,
)
from wtal_core.records import Activations, Detections

if TYPE_CHECKING:
    import pandas as pd

    from wtal_core.figures.plots import PlotTheme

__all__ = [
    "SetRef",
    "SplitRef",
    "activations_of",
    "bootstrap",
    "comparison",
    "diagnosis",
    "file_set",
    "load_set",
    "page_mode",
    "plot_theme",
    "run_set",
    "split_of",
    "upload_set",
    "video_slices",
]

_KEPT_UPLOADS = 256


def page_mode() -> Literal["light", "dark"]:
    """Return which theme the browser shows."""
    return theme.mode()


def plot_theme() -> PlotTheme:
    """Return the colours of charts on the theme that the browser shows."""
    from wtal_core.figures.plots import THEMES

    return THEMES[page_mode()]


def activations_of(run_id: str, video: str) -> Activations | None:
    """Return the stored activations of one video, None where the run has none of it.

    Raises:
        DataError: they cannot be read.
    """
    path = loaders.load_run(run_id).activations_path
    return _activations(str(path), loaders.stamp(path), video) if path.is_file() else None


@st.cache_resource(max_entries=256, show_spinner=False)
def _activations(path: str, stamp: int, video: str) -> Activations | None:
    with ActivationStore(path) as store:
        return store.read(video) if video in store.videos else None


# -- references -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SplitRef:
    """A split of a data set by reference.

    Args:
        dataset: id of the data set.
        name: of the split.
        stamp: changes when the data set or its annotations do.
    """

    dataset: str
    name: str
    stamp: tuple[str, int, int]

    def truth(self) -> GroundTruthIndex:
        """Return its ground truth."""
        return loaders.ground_truth(self.dataset, self.name)


def split_of(dataset_id: str) -> SplitRef:
    """Return the split of a data set that results are shown on."""
    dataset = loaders.load_dataset(dataset_id)
    stamps = loaders.stamp(dataset.folder / "dataset.yaml"), loaders.stamp(dataset.folder / dataset.annotations_path)
    return SplitRef(dataset_id, loaders.test_split(dataset), (str(dataset.folder), *stamps))


@dataclass(frozen=True)
class SetRef:
    """A set of detections by reference.

    Args:
        name: how it is called in tables.
        kind: "run" (where: run id), "file" (where: path) or "upload" (where: digest of the content).
        where: see `kind`.
        stamp: changes when the content does.
    """

    name: str
    kind: str
    where: str
    stamp: int = 0


def run_set(run_id: str) -> SetRef:
    """Return the stored detections of a run."""
    return SetRef(loaders.run_name(run_id), "run", run_id, loaders.stamp(loaders.load_run(run_id).detections_path))


def file_set(path: str | Path) -> SetRef:
    """Return a detection file of the machine the app runs on (or a folder with one)."""
    file = Path(os.path.expanduser(path))
    if os.path.isdir(file):  # unlike Path.is_dir never raises, whatever the name
        file = file / "detections.json"
    return SetRef(
        file.parent.name if file.name == "detections.json" else file.stem, "file", str(file), loaders.stamp(file)
    )


def upload_set(name: str, content: bytes) -> SetRef:
    """Return an uploaded detection file; its rows stay in memory, the file itself is not kept."""
    digest = hashlib.sha256(content).hexdigest()
    if digest in _uploads():
        return SetRef(Path(name).stem, "upload", digest)
    suffix = Path(name).suffix or ".json"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"detections{suffix}"
        path.write_bytes(content)
        try:
            found = read_detections(path)
        except WtalError as error:
            text = str(error).replace(str(path), name)
            raise DataError(text.rstrip("."), next_step="Choose another file") from None
    kept = _uploads()
    kept[digest] = found
    while len(kept) > _KEPT_UPLOADS:  # a session whose rows have gone uploads them again with its next run
        kept.pop(next(iter(kept)), None)
    return SetRef(Path(name).stem, "upload", digest)


@st.cache_resource(show_spinner=False)
def _uploads() -> dict[str, Detections]:
    return {}


def load_set(ref: SetRef) -> Detections:
    """Return the detections of a set."""
    if ref.kind == "run":
        return loaders.load_detections(ref.where)
    if ref.kind == "upload":
        return _uploads()[ref.where]
    return _file(ref.where, ref.stamp)


@st.cache_resource(max_entries=16, show_spinner="Reading detections")
def _file(path: str, stamp: int) -> Detections:
    return read_detections(path)


# -- what is computed -----------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=24, show_spinner="Diagnosing")
def diagnosis(ref: SetRef, split: SplitRef, protocol: str, tiou: float) -> Diagnosis:
    """Return the diagnosis of a set on a split."""
    return diagnose(load_set(ref), split.truth(), protocol=protocol, tiou=tiou)


@st.cache_resource(max_entries=32, show_spinner="Evaluating")
def comparison(
    sets: tuple[SetRef, ...], split: SplitRef, protocols: tuple[str, ...], tiou: tuple[float, ...]
) -> Comparison:
    """Return the evaluations of several sets side by side."""
    return compare_detections({s.name: load_set(s) for s in sets}, split.truth(), protocols=protocols, tiou=tiou)


@st.cache_resource(max_entries=64, show_spinner="Drawing videos with replacement")
def bootstrap(
    first: SetRef, second: SetRef, split: SplitRef, protocol: str, tiou: tuple[float, ...], resamples: int, seed: int
) -> pd.DataFrame:
    """Return the paired bootstrap of two sets."""
    return paired_bootstrap(
        load_set(first), load_set(second), split.truth(), protocol=protocol, tiou=tiou, resamples=resamples, seed=seed
    )


@st.cache_resource(max_entries=32, show_spinner="Evaluating")
def video_slices(
    sets: tuple[SetRef, ...],
    split: SplitRef,
    groups: tuple[tuple[str, tuple[str, ...]], ...],
    protocol: str,
    tiou: float,
) -> pd.DataFrame:
    """Return mAP of several sets on groups of videos, as `slice_by_videos`."""
    return slice_by_videos(
        {s.name: load_set(s) for s in sets}, split.truth(), dict(groups), protocol=protocol, tiou=tiou
    )
