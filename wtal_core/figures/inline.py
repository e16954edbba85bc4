"""One video as a picture in a notebook: activations with ground truth and detections on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wtal_core.errors import UsageError
from wtal_core.figures import theme
from wtal_core.figures.content import RunData, assemble
from wtal_core.figures.export import figure_bytes
from wtal_core.figures.qualitative import draw
from wtal_core.figures.spec import FigureSpec, Row, template_rows
from wtal_core.methods import method_class, method_targets
from wtal_core.records import Activations, Annotations, Detections, Segments, VideoInfo, View

__all__ = ["plot"]

_RUN = "Detections"  # what the one run of the picture is called
_DPI = 110


class InlineFigure(Figure):
    """A matplotlib figure that a notebook shows whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        with theme.figure_style():
            FigureCanvasAgg(self)
            return figure_bytes(self, "png", _DPI)


def plot(
    activations: Activations | None = None,
    *,
    truth: Annotations | Segments | None = None,
    detections: Detections | None = None,
    video: str = "",
    label: str | None = None,
    rows: Sequence[str | Row] | None = None,
    views: Sequence[View] = (),
    verdicts: float | None = 0.5,
    protocol: str = "activitynet",
    window: tuple[float, float] | None = None,
    **look: Any,
) -> Figure:
    """Draw one video: what a method says, what is there, and what was detected.

    Args:
        activations: of the video, None to show truth and detections alone.
        truth: annotations or instances; those of other videos are left out.
        detections: those of other videos are left out.
        video: its id; default the one that truth or detections speak of, where they speak of one.
        label: the class; default the one with most ground truth, else with the highest video score.
        rows: kinds of rows (`figures.spec.ROW_KINDS`) or rows, top to bottom; default what suits the activations.
        views: how tracks are shown; default as the method declares, else by the kinds of the tracks.
        verdicts: tIoU that true and false positives and misses are told apart at; None: not at all.
        protocol: of the verdicts.
        window: seconds that are shown; default the whole video.
        **look: further fields of `figures.spec.FigureSpec`, e.g. `style="barcode"`, `width=5`.

    Returns:
        A matplotlib Figure. A notebook shows it; `figure.savefig(path)` writes it.

    Raises:
        UsageError: truth or detections speak of several videos and none is named, or a setting is unknown.
    """
    named = _video(video, truth, detections)
    known = _annotations(truth, named, activations, detections)
    if not views and activations is not None and activations.method in method_targets():
        views = method_class(activations.method).views
    of_video = None if detections is None else detections.for_video(named)
    runs = {} if activations is None and of_video is None else {
        _RUN: RunData("" if activations is None else activations.method, activations, of_video, "", tuple(views))
    }  # fmt: skip
    bare = FigureSpec(video=named, label=label or "", rows=(Row("ground_truth"),))
    data = assemble(bare, known, runs, None)
    style = str(look.pop("style", "curve"))
    if rows is None:
        has = data.has() | {"truth": known is not None}
        chosen = template_rows(style, has, [_RUN] if of_video is not None else [])
    else:
        chosen = tuple(row if isinstance(row, Row) else Row(row) for row in rows)
    settings: dict[str, Any] = {"width": "double", "font_size": 8.0, **look}
    spec = FigureSpec(
        video=named, label=data.label, runs=dict.fromkeys(runs, "here"), rows=chosen, style=style, window=window,
        verdicts=verdicts if known is not None else None, protocol=protocol, **settings,
    )  # fmt: skip
    with theme.figure_style(spec.font, spec.font_size):
        return draw(spec, data, InlineFigure)


def _video(video: str, truth: Annotations | Segments | None, detections: Detections | None) -> str:
    """Return the video that is meant."""
    if video:
        return video
    spoken: set[str] = set()
    if detections is not None:
        spoken |= set(detections.video_codes[1])
    if isinstance(truth, Annotations):
        spoken = spoken or set(truth.videos)
    elif truth is not None:
        spoken |= set(truth.video_codes[1])
    if len(spoken) > 1:
        raise UsageError(
            "several videos are meant", expected="one video", got=", ".join(sorted(spoken)[:3]), where="plot",
            next_step="Name the video",
        )  # fmt: skip
    return next(iter(spoken), "video")


def _annotations(
    truth: Annotations | Segments | None, video: str, acts: Activations | None, detections: Detections | None
) -> Annotations | None:
    """Return the ground truth of the video, None where none was given."""
    if isinstance(truth, Annotations):
        found = truth.only([video])
        return found if found.videos else replace(found, videos={video: VideoInfo()})
    if truth is None:
        return None
    instances = truth.for_video(video)
    classes = acts.classes if acts is not None else ()
    names = dict.fromkeys((*classes, *instances.label_codes[1], *(detections.label_codes[1] if detections else ())))
    return Annotations(tuple(names), {video: VideoInfo()}, instances)
