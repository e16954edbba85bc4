"""What the papers printed, as data to compare with and as experiments to run."""

from __future__ import annotations

from wtal_core.papers.experiments import EXPERIMENTS, Experiment, ExperimentRow, get_experiment
from wtal_core.papers.published import (
    Paper,
    PublishedRow,
    PublishedTable,
    dataset_name,
    get_paper,
    list_papers,
    published_results,
)

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "ExperimentRow",
    "Paper",
    "PublishedRow",
    "PublishedTable",
    "dataset_name",
    "get_experiment",
    "get_paper",
    "list_papers",
    "published_results",
]
