"""What travels between this project and other tools: named layers of labelled intervals of one or many videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wtal_core.errors import DataError
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

__all__ = ["GROUND_TRUTH", "Interval", "Layer", "Media", "annotations_of", "intervals"]

#: Name of the layer that holds action instances.
GROUND_TRUTH = "Ground truth"


@dataclass(frozen=True, eq=False)
class Layer:
    """Labelled intervals under one name: ground truth, a track, or what a run detects.

    Args:
        name: shown in the other tool.
        table: the intervals, of any number of videos; detections carry scores.
    """

    name: str
    table: Segments | Detections


@dataclass(frozen=True, slots=True)
class Media:
    """What other tools want to know of a video.

    Args:
        video: id.
        file: name or path of the video file as the other tool finds it.
        fps: frames a second of the file, None where not known.
        duration: seconds, None where not known.
    """

    video: str
    file: str
    fps: float | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a layer, in seconds; `score` is None for ground truth."""

    layer: str
    label: str
    start: float
    end: float
    score: float | None = None

    @property
    def text(self) -> str:
        """The label, with the score where there is one: "LongJump 0.74"."""
        return self.label if self.score is None else f"{self.label} {self.score:.2f}"


def intervals(layers: Iterable[Layer], videos: Iterable[str]) -> dict[str, list[Interval]]:
    """Return the intervals of each video, by layer, then start, then end."""
    tables = [(layer.name, layer.table.by_video()) for layer in layers]
    return {
        video: [
            interval for name, by_video in tables if video in by_video for interval in _in_order(name, by_video[video])
        ]
        for video in videos
    }


def _in_order(layer: str, rows: Segments | Detections) -> list[Interval]:
    scores = rows.score.tolist() if isinstance(rows, Detections) else [None] * len(rows)
    columns = rows.label.tolist(), rows.start.tolist(), rows.end.tolist(), scores
    found = [Interval(layer, *values) for values in zip(*columns, strict=True)]
    return [found[i] for i in np.lexsort((rows.end, rows.start)).tolist()]


def annotations_of(
    found: Mapping[str, Sequence[Interval]], source: str, media: Mapping[str, Media], notes: Sequence[str] = ()
) -> Annotations:
    """Make annotations of intervals that were read: the layer "Ground truth" (or the only one) becomes instances.

    Other layers become tracks under their names. Classes are sorted by name.

    Raises:
        DataError: there is no interval, or one is not an interval.
    """
    names = list(dict.fromkeys(i.layer for rows in found.values() for i in rows))
    if not names:
        raise DataError(
            "holds no intervals", expected="at least one", where=source, next_step="Check that it is the right file"
        )
    for video, rows in found.items():
        for i in rows:
            if not (0 <= i.start <= i.end < float("inf")):
                raise DataError(
                    "an interval is negative or inverted",
                    expected="0 <= start <= end (seconds)",
                    got=f"[{i.start:g}, {i.end:g}]",
                    where=f"{source}: {video}, {i.layer}",
                    next_step="Correct or delete it",
                )
    lead = next((n for n in names if n.casefold() == GROUND_TRUTH.casefold()), names[0])

    def table(name: str) -> Segments:
        rows = [(video, i.label, i.start, i.end) for video, rows in found.items() for i in rows if i.layer == name]
        return Segments(*(list(column) for column in zip(*rows, strict=True))) if rows else Segments.empty()

    instances = table(lead)
    notes = list(notes)
    if lead.casefold() != GROUND_TRUTH.casefold() and len(names) > 1:
        notes.append(f"no layer is called {GROUND_TRUTH!r}: {lead!r} was taken for the action instances")
    return Annotations(
        classes=tuple(sorted(set(instances.label.tolist()))),
        videos={
            v: VideoInfo(duration=media[v].duration, fps=media[v].fps) if v in media else VideoInfo() for v in found
        },
        instances=instances,
        tracks={name: table(name) for name in names if name != lead},
        source=source,
        notes=tuple(notes),
    )
