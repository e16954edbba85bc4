"""What a qualitative figure shows: truth, activations and detections of one video, read from what a spec names."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from wtal_core.errors import UsageError, unknown_name
from wtal_core.figures import timeline
from wtal_core.figures.spec import FigureSpec
from wtal_core.records import Activations, Annotations, Detections, Segments, Trace, View, default_views

__all__ = ["FigureData", "RunData", "assemble", "describe", "load", "read_run"]


@dataclass(frozen=True, eq=False)
class RunData:
    """What one run says about the video.

    Args:
        method: name of the method, "" for a detection file.
        views: what its method declares of how it is shown.
        activations: of the video, None where there are none.
        detections: of the video, all classes; None where there are none.
        problem: why something is missing, "" where nothing is.
    """

    method: str = ""
    activations: Activations | None = None
    detections: Detections | None = None
    problem: str = ""
    views: tuple[View, ...] = ()

    @property
    def shown(self) -> dict[str, View]:
        """Return the rows that its tracks can fill, by key; {} without activations."""
        if self.activations is None:
            return {}
        return {view.key: view for view in default_views(self.activations, self.views)}

    @property
    def attention(self) -> dict[str, Trace]:
        """Return the attentions that figures show at first, by name, as the method's rows name them."""
        traces = [t for v in self.shown.values() if v.figure and v.kind == "lines" for t in v.traces]
        named = {t.track.partition(".")[2]: t for t in traces if t.track.startswith("attention.")}
        if named or self.activations is None:
            return named
        return {name: Trace(f"attention.{name}") for name in self.activations.attention}


@dataclass(frozen=True, eq=False)
class FigureData:
    """Everything that is drawn.

    Args:
        video: id.
        label: the class.
        duration: seconds.
        truth: annotations of this video alone, None without a data set.
        runs: name -> what the run says, leading run first.
        video_file: the file, None where there is none.
    """

    video: str
    label: str
    duration: float
    truth: Annotations | None = None
    runs: Mapping[str, RunData] = field(default_factory=dict)
    video_file: Path | None = None

    @property
    def instances(self) -> Segments:
        """Ground truth of the class."""
        if self.truth is None:
            return Segments.empty()
        return self.truth.instances.for_labels([self.label])

    def has(self) -> dict[str, Any]:
        """Return what there is to show, as `template_rows` asks for it: names of sequences that come in several."""
        run = next(iter(self.runs.values()), RunData())
        lead = run.activations
        branches = () if lead is None or lead.branch_cas is None else lead.branch_cas
        own = ("cas", "branch_cas", "drop_mask", "boundaries")
        drawn = {key for key, v in run.shown.items() if any(t.track.startswith((*own, "attention.")) for t in v.traces)}
        return {
            "frames": self.video_file is not None,
            "truth": self.truth is not None,
            "cas": lead is not None and bool(lead.classes),
            "branches": tuple(str(n + 1) for n in range(len(branches))),
            "attention": tuple(run.attention),
            "dropped": lead is not None and lead.drop_mask is not None,
            "boundaries": lead is not None and lead.boundaries is not None,
            "views": tuple(key for key, view in run.shown.items() if view.figure and key not in drawn),
        }


# -- reading --------------------------------------------------------------------------------------------------------


def read_run(path: Path, video: str) -> RunData:
    """Read what a run folder or a detection file says about a video.

    Raises:
        DataError: it is neither, or damaged.
    """
    from wtal_core.data import read_detections

    if path.is_file():
        return RunData(detections=read_detections(path).for_video(video), problem="is a detection file")
    from wtal_core.runs.folder import Run

    run = Run.open(path)
    activations, problem = None, ""
    if run.activations_path.is_file():
        with run.activations() as store:
            if video in store.videos:
                activations = store.read(video)
            else:
                problem = f"has no activations of {video}"
    else:
        problem = "has no activations yet: run wtal infer"
    detections = read_detections(run.detections_path).for_video(video) if run.detections_path.is_file() else None
    return RunData(run.info.method, activations, detections, problem, run.views)


def load(spec: FigureSpec) -> FigureData:
    """Read what a spec names.

    Raises:
        DataError: a folder or file is missing or damaged.
        UsageError: the video or class is not known, or nothing says how long the video is.
    """
    from wtal_core.data import Dataset

    truth, file = None, None
    if not spec.video:
        raise UsageError(
            "the figure names no video", expected="video: its id", where="video", next_step="Add the line 'video: ID'"
        )
    if spec.data:
        dataset = Dataset.open(spec.path(spec.data))
        if spec.video not in dataset.annotations.videos:
            raise unknown_name("video", spec.video, dataset.annotations.videos, where=spec.path(spec.data))
        truth, file = dataset.annotations.only([spec.video]), dataset.video_path(spec.video)
    runs = {name: read_run(spec.path(path), spec.video) for name, path in spec.runs.items()}
    return assemble(spec, truth, runs, file)


def assemble(
    spec: FigureSpec, truth: Annotations | None, runs: Mapping[str, RunData], video_file: Path | None
) -> FigureData:
    """Put together what was read elsewhere; finds the class and the video's length.

    Raises:
        UsageError: the class is not known, or nothing says how long the video is.
    """
    acts = [run.activations for run in runs.values() if run.activations is not None]
    classes = truth.classes if truth is not None else acts[0].classes if acts else ()
    label = spec.label
    if not label and truth is not None and len(truth.instances):
        names, counts = np.unique(truth.instances.label.astype(str), return_counts=True)
        label = str(names[counts.argmax()])
    if not label and acts:
        label = acts[0].classes[int(np.argmax(acts[0].video_scores))]
    if label not in classes and (label or not classes):
        found = [run.detections for run in runs.values() if run.detections is not None]
        if classes or not any(label in d.label_codes[1] for d in found):
            raise unknown_name("class", label, classes, where="class")
    info = truth.videos.get(spec.video) if truth is not None else None
    duration = info.duration if info is not None else None
    if duration is None:
        ends = [a.grid.duration or a.grid.end_seconds for a in acts]
        ends += [float(t.end.max()) for t in [truth.instances if truth else Segments.empty()] if len(t)]
        ends += [float(run.detections.end.max()) for run in runs.values() if run.detections and len(run.detections)]
        duration = max(ends, default=None)
    if duration is None:
        raise UsageError(
            "nothing says how long the video is",
            expected="a duration in the annotations, or a run",
            where=spec.video,
            next_step="Add the duration to the annotations, or name a run",
        )
    return FigureData(spec.video, label, float(duration), truth, MappingProxyType(dict(runs)), video_file)


def describe(spec: FigureSpec, data: FigureData) -> str:
    """Return a sentence that says what is shown, for alternative texts and LaTeX captions."""
    runs = " and ".join(data.runs) if data.runs else "no run"
    part = f"{_window_text(spec, data)} of " if spec.window else ""
    return textwrap.shorten(f"{part}{data.video} ({data.label}): {runs}.", 300, placeholder=" ...")


def _window_text(spec: FigureSpec, data: FigureData) -> str:
    """Return the window as text."""
    t0, t1 = spec.window or (0.0, data.duration)
    return f"{timeline.format_time(t0, clock=True)} to {timeline.format_time(t1, clock=True)}"
