"""One run as a notebook reads it: what its folder holds, and what follows from that with the ground truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtal_core.data import Dataset, read_detections
from wtal_core.errors import DataError
from wtal_core.evaluation import Diagnosis, diagnose, evaluate
from wtal_core.records import Activations, Annotations, Detections, Evaluation
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.summary import Summarized, Summary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OpenedRun", "open_run"]


def open_run(folder: str | os.PathLike[str], data: Dataset | str | os.PathLike[str] | None = None) -> OpenedRun:
    """Open a run folder to look at it; nothing is written.

    Args:
        folder: the run folder.
        data: its data set, or that one's folder; default the one that the run names, or lies in.

    Raises:
        DataError: the folder is no run, or the given data set cannot be opened.
    """
    return OpenedRun(Run.open(folder), data if data is None or isinstance(data, Dataset) else Dataset.open(data))


class OpenedRun(Summarized):
    """A run and its data set; make one with `open_run`.

    What the folder does not hold is said where it is asked for: a run may be detections alone.
    """

    def __init__(self, run: Run, data: Dataset | None = None) -> None:
        self.run = run
        if data is not None:
            self.data = data

    # -- what the folder holds --------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.run.name

    @property
    def info(self) -> RunInfo:
        """What `run.yaml` says: method, preset, classes, features, data set, seed, versions."""
        return self.run.info

    @property
    def config(self) -> Any:
        """The method's resolved settings; plain values where the method is not known here."""
        return self.run.config() if self.run.method_known else dict(self.info.config)

    @cached_property
    def detections(self) -> Detections:
        """The stored detections.

        Raises:
            DataError: there are none yet, or they cannot be read.
        """
        if not self.run.detections_path.is_file():
            raise DataError("has no detections yet", where=self.folder, next_step=f"Run: wtal localize {self.folder}")
        return read_detections(self.run.detections_path)

    @cached_property
    def videos(self) -> tuple[str, ...]:
        """Videos with stored activations, else those with detections."""
        if not self.run.activations_path.is_file():
            return self.detections.video_codes[1]
        with self.run.activations() as store:
            return tuple(store.videos)

    def activations(self, video: str, step: int | None = None) -> Activations:
        """Return the stored activations of a video, or those that were kept of it at a step of the training.

        Raises:
            DataError: the run has none, or none of this video and step.
        """
        with self.run.activations(step) as store:
            return store.read(video)

    # -- with the ground truth --------------------------------------------------------------------------------------

    @cached_property
    def data(self) -> Dataset:
        """The data set.

        Raises:
            DataError: the run names none, or it is not there.
        """
        folder = self.run.dataset_folder
        if folder is None:
            raise DataError("names no data set", where=self.folder, next_step="Open it with its data set: data=FOLDER")
        return Dataset.open(folder)

    @property
    def annotations(self) -> Annotations:
        """Ground truth of the whole data set."""
        return self.data.annotations

    @property
    def subset(self) -> tuple[str, ...] | None:
        """Subsets that the run is scored on: those it names as its test split, else the data set's, None for all."""
        named = self.info.dataset.get("test")
        if named:
            return tuple(named)
        return self.data.subsets("test") if "test" in self.data.splits else None

    def evaluate(
        self,
        *,
        protocol: str | None = None,
        tiou: str | float | Sequence[float] | None = None,
        subset: str | Sequence[str] | None = None,
        only_subset_videos: bool = False,
    ) -> Evaluation:
        """Score the stored detections, with the match table.

        Args:
            protocol, tiou: as in `wtal_core.evaluate`; default what the data set states.
            subset: default `self.subset`.
            only_subset_videos: leave out detections in other videos, which else are false positives.

        Raises:
            DataError: there are no detections or no data set, or they do not fit each other.
            UsageError: unknown protocol or subset, unreadable thresholds.
        """
        usual = self.data.evaluation
        return evaluate(
            self.detections,
            self.annotations,
            protocol=protocol or usual.protocol,
            tiou=usual.tiou if tiou is None else tiou,
            subset=self.subset if subset is None else subset,
            only_subset_videos=only_subset_videos,
        )

    def diagnose(
        self,
        tiou: float = 0.5,
        *,
        protocol: str | None = None,
        subset: str | Sequence[str] | None = None,
        only_subset_videos: bool = False,
    ) -> Diagnosis:
        """Give every false positive and every miss of the stored detections a kind and a cost, see `diagnose`.

        Args:
            tiou: the threshold.
            protocol: default what the data set states.
            subset, only_subset_videos: as in `evaluate`.

        Raises:
            DataError, UsageError: as `evaluate`.
        """
        return diagnose(
            self.detections,
            self.annotations,
            protocol=protocol or self.data.evaluation.protocol,
            tiou=tiou,
            subset=self.subset if subset is None else subset,
            only_subset_videos=only_subset_videos,
        )

    def failures(
        self,
        tiou: float = 0.5,
        *,
        protocol: str | None = None,
        subset: str | Sequence[str] | None = None,
        only_subset_videos: bool = False,
    ) -> pd.DataFrame:
        """Return the failures, one row each, the costliest first; arguments and errors as for `diagnose`.

        Columns are those of `Diagnosis.failures`: video, label, start, end (seconds), kind, score, cost, ...
        """
        found = self.diagnose(tiou, protocol=protocol, subset=subset, only_subset_videos=only_subset_videos)
        return found.failures

    def _summary(self, rows: int) -> Summary:
        """Return the run in short; no file is read for it."""
        about = self.info.dataset.get("name")
        stored = {
            "activations": self.run.activations_path,
            "detections": self.run.detections_path,
            "evaluation": self.run.evaluation_path,
        }
        held = [name for name, path in stored.items() if path.is_file()]
        held += [f"checkpoint {name}" for name in self.run.checkpoints()]
        return Summary(
            f"Run {self.name}: {self.info.method or 'method not known'}{f' on {about}' if about else ''}",
            facts=[
                ("holds", ", ".join(held) or "nothing yet"),
                ("notes", self.info.notes),
                ("folder", str(self.folder)),
            ],
        )
