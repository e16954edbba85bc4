"""What the failures and compare pages share: cached diagnoses, comparisons, and activations of single videos."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from pages.ui import library, theme
from wtal_core.data import read_detections
from wtal_core.data.activations import ActivationStore
from wtal_core.errors import DataError, WtalError
from wtal_core.evaluation import Comparison, Diagnosis, compare_detections, diagnose, paired_bootstrap
from wtal_core.records import Activations, Detections

if TYPE_CHECKING:
    import pandas as pd

    from wtal_core.figures.plots import PlotTheme

__all__ = [
    "SetRef",
    "activations_of",
    "bootstrap",
    "comparison",
    "diagnosis",
    "file_set",
    "load_set",
    "page_mode",
    "plot_theme",
    "run_set",
    "upload_set",
]


def page_mode() -> Literal["light", "dark"]:
    """Return which theme the browser shows."""
    return theme.mode()


def plot_theme() -> PlotTheme:
    """Return the colours of charts on the theme that the browser shows."""
    from wtal_core.figures.plots import THEMES

    return THEMES[page_mode()]


def diagnosis(run_id: str, dataset_id: str, split: str, protocol: str, tiou: float) -> Diagnosis:
    """Return the diagnosis of a run's stored detections on a split."""
    run = library.load_run(run_id)
    stamp = (str(run.folder), library.stamp(run.detections_path), *_truth_stamp(dataset_id))
    return _diagnosis(run_id, dataset_id, split, protocol, tiou, stamp)


@st.cache_resource(max_entries=24, show_spinner="Diagnosing")
def _diagnosis(
    run_id: str, dataset_id: str, split: str, protocol: str, tiou: float, stamp: tuple[str | int, ...]
) -> Diagnosis:
    truth = library.ground_truth(dataset_id, split)
    return diagnose(library.load_detections(run_id), truth, protocol=protocol, tiou=tiou)


def activations_of(run_id: str, video: str) -> Activations | None:
    """Return the stored activations of one video, None where the run has none (pages draw without them)."""
    try:
        path = library.load_run(run_id).activations_path
        return _activations(str(path), library.stamp(path), video) if path.is_file() else None
    except WtalError:
        return None


@st.cache_resource(max_entries=256, show_spinner=False)
def _activations(path: str, stamp: int, video: str) -> Activations | None:
    with ActivationStore(path) as store:
        return store.read(video) if video in store.videos else None


# -- sets of detections to compare ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetRef:
    """A set of detections by reference: cheap to hash, so that what is computed of it can be kept.

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
    return SetRef(run_id, "run", run_id, library.stamp(library.load_run(run_id).detections_path))


def file_set(path: str) -> SetRef:
    """Return a detection file of the machine the app runs on (or a folder with one)."""
    file = Path(path).expanduser()
    if file.is_dir():
        file = file / "detections.json"
    return SetRef(
        file.parent.name if file.name == "detections.json" else file.stem, "file", str(file), library.stamp(file)
    )


def upload_set(name: str, content: bytes) -> SetRef:
    """Return an uploaded detection file; its rows stay in memory, the file itself is not kept."""
    digest = hashlib.sha256(content).hexdigest()
    suffix = Path(name).suffix or ".json"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"detections{suffix}"
        path.write_bytes(content)
        try:
            _uploads()[digest] = read_detections(path)
        except WtalError as error:
            text = str(error).replace(str(path), name)
            raise DataError(text.rstrip(".")) from None
    return SetRef(Path(name).stem, "upload", digest)


@st.cache_resource(show_spinner=False)
def _uploads() -> dict[str, Detections]:
    return {}


def load_set(ref: SetRef) -> Detections:
    """Return the detections of a set."""
    if ref.kind == "run":
        return library.load_detections(ref.where)
    if ref.kind == "upload":
        return _uploads()[ref.where]
    return _file(ref.where, ref.stamp)


@st.cache_resource(max_entries=16, show_spinner="Reading detections")
def _file(path: str, stamp: int) -> Detections:
    return read_detections(path)


def _truth_stamp(dataset_id: str) -> tuple[str, int, int]:
    dataset = library.load_dataset(dataset_id)
    return (
        str(dataset.folder),
        library.stamp(dataset.folder / "dataset.yaml"),
        library.stamp(dataset.folder / dataset.annotations_path),
    )


def comparison(
    sets: tuple[SetRef, ...], dataset_id: str, split: str, protocols: tuple[str, ...], tiou: tuple[float, ...]
) -> Comparison:
    """Return the evaluations of several sets side by side."""
    return _comparison(sets, dataset_id, split, protocols, tiou, _truth_stamp(dataset_id))


@st.cache_resource(max_entries=32, show_spinner="Evaluating")
def _comparison(
    sets: tuple[SetRef, ...],
    dataset_id: str,
    split: str,
    protocols: tuple[str, ...],
    tiou: tuple[float, ...],
    stamp: tuple[str, int, int],
) -> Comparison:
    truth = library.ground_truth(dataset_id, split)
    return compare_detections({s.name: load_set(s) for s in sets}, truth, protocols=protocols, tiou=tiou)


def bootstrap(
    first: SetRef,
    second: SetRef,
    dataset_id: str,
    split: str,
    protocol: str,
    tiou: tuple[float, ...],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return the paired bootstrap of two sets."""
    return _bootstrap(first, second, dataset_id, split, protocol, tiou, resamples, seed, _truth_stamp(dataset_id))


@st.cache_resource(max_entries=64, show_spinner="Drawing videos with replacement")
def _bootstrap(
    first: SetRef,
    second: SetRef,
    dataset_id: str,
    split: str,
    protocol: str,
    tiou: tuple[float, ...],
    resamples: int,
    seed: int,
    stamp: tuple[str, int, int],
) -> pd.DataFrame:
    truth = library.ground_truth(dataset_id, split)
    return paired_bootstrap(
        load_set(first), load_set(second), truth, protocol=protocol, tiou=tiou, resamples=resamples, seed=seed
    )
