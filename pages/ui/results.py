"""What the failures and compare pages share: cached diagnoses, and activations of single videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import streamlit as st

from pages.ui import library, theme
from wtal_core.data.activations import ActivationStore
from wtal_core.errors import WtalError
from wtal_core.evaluation import Diagnosis, diagnose
from wtal_core.records import Activations

if TYPE_CHECKING:
    from wtal_core.figures.plots import PlotTheme

__all__ = ["activations_of", "diagnosis", "page_mode", "plot_theme"]


def page_mode() -> Literal["light", "dark"]:
    """Return which theme the browser shows."""
    return theme.mode()


def plot_theme() -> PlotTheme:
    """Return the colours of charts on the theme that the browser shows."""
    from wtal_core.figures.plots import THEMES

    return THEMES[page_mode()]


def diagnosis(run_id: str, dataset_id: str, split: str, protocol: str, tiou: float) -> Diagnosis:
    """Return the diagnosis of a run's stored detections on a split."""
    run, dataset = library.load_run(run_id), library.load_dataset(dataset_id)
    stamps = (
        library.stamp(run.detections_path),
        library.stamp(dataset.folder / "dataset.yaml"),
        library.stamp(dataset.folder / dataset.annotations_path),
    )
    return _diagnosis(run_id, str(run.folder), dataset_id, str(dataset.folder), split, protocol, tiou, stamps)


@st.cache_resource(max_entries=24, show_spinner="Diagnosing")
def _diagnosis(
    run_id: str,
    run_folder: str,
    dataset_id: str,
    dataset_folder: str,
    split: str,
    protocol: str,
    tiou: float,
    stamps: tuple[int, ...],
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
