"""Ground truth prepared once for many evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.intervals import IntervalIndex
from wtal_core.records import Annotations, Segments
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["GroundTruthIndex"]


@dataclass(frozen=True, slots=True)
class PreparedTruth:
    """Instances and Ambiguous intervals on one time axis (seconds, or snippets of a grid).

    Args:
        start, end: `(G,)` times of the instances.
        instances: the instances by video and class (group = video * classes + class).
        ambiguous: the Ambiguous intervals by video.
    """

    start: FloatArray
    end: FloatArray
    instances: IntervalIndex
    ambiguous: IntervalIndex


class GroundTruthIndex:
    """The evaluated part of a data set's annotations, prepared so that repeated evaluations are quick.

    Give it to `evaluate` in place of the annotations, e.g. while a threshold slider moves.

    Args:
        annotations: the data set.
        subset: evaluate only videos of this subset (or of several).
        videos: evaluate only these videos; with `subset`, those that are in both. Detections elsewhere are left out.
        only_subset_videos: leave out detections in all videos that are not evaluated. The official evaluators, all of
            them, count such detections as false positives: those in annotated videos of other subsets as well as those
            in videos that are not annotated.

    Attributes:
        classes: the annotations' classes.
        videos: evaluated videos, in the annotations' order. A detection in one of them counts even where the video
            has no instance; see `video_numbers` for other videos.
        segments: the G instances of these videos, in the annotations' order.
        row: `(G,)` their rows in `annotations.instances`.
        video, label: `(G,)` indices into `videos` and `classes`.
        counts: `(C,)` instances per class.
        subset: the chosen subsets, or None.
        only_subset_videos: whether detections in other videos are left out.

    Raises:
        UsageError: there is no such subset or video.
        DataError: the evaluated videos hold no instance.
    """

    def __init__(
        self,
        annotations: Annotations,
        subset: str | Sequence[str] | None = None,
        videos: Iterable[str] | None = None,
        *,
        only_subset_videos: bool = False,
    ) -> None:
        if not isinstance(annotations, Annotations):
            raise UsageError(
                "these are no annotations",
                expected="Annotations",
                got=f"a {type(annotations).__name__}",
                next_step="Read a file with read_annotations(); detections come before annotations",
            )
        known = annotations.videos
        chosen = dict.fromkeys(known)
        if subset is not None:
            wanted = [subset] if isinstance(subset, str) else list(subset)
            for name in wanted:
                if name not in annotations.subsets():
                    raise unknown_name("subset", name, annotations.subsets(), where=annotations.source or None)
            chosen = dict.fromkeys(video for video in chosen if known[video].subset in wanted)
        if videos is not None:
            listed = {videos} if isinstance(videos, str) else set(videos)
            unknown = sorted(listed - known.keys())
            if unknown:
                raise unknown_name("video", unknown[0], known, where=annotations.source or None)
            chosen = dict.fromkeys(video for video in chosen if video in listed)

        self.annotations = annotations
        self.classes = annotations.classes
        self.videos = tuple(chosen)
        self.only_subset_videos = only_subset_videos or videos is not None
        self._video_number = {video: i for i, video in enumerate(self.videos)}
        self._class_number = {name: i for i, name in enumerate(self.classes)}
        self.subset = None if subset is None else ((subset,) if isinstance(subset, str) else tuple(subset))

        self.row, self.segments, self.video = self._rows(annotations.instances)
        codes, names = self.segments.label_codes
        self.label = self.class_numbers(names)[codes]
        self.counts = np.bincount(self.label, minlength=len(self.classes))
        _, self._ambiguous, self._ambiguous_video = self._rows(annotations.ambiguous)
        self._prepared: dict[SnippetGrid | None, PreparedTruth] = {}
        if not len(self.segments):
            raise DataError(
                "there is nothing to evaluate against",
                expected="at least one annotated instance in the evaluated videos",
                got=f"{len(self.videos)} videos without instances",
                where=annotations.source or "annotations",
                next_step="Check the subset and the list of videos",
            )

    def _rows(self, table: Segments) -> tuple[IntArray, Segments, IntArray]:
        codes, names = table.video_codes
        video = np.fromiter((self._video_number.get(name, -1) for name in names), np.int64, len(names))[codes]
        row = np.flatnonzero(video >= 0)
        return row, table[row], video[row]

    @cached_property
    def duration(self) -> FloatArray:
        """`(V,)` seconds that each video lasts, NaN where it is not known."""
        return self._facts("duration")

    @cached_property
    def fps(self) -> FloatArray:
        """`(V,)` frame rate of each video, NaN where it is not known."""
        return self._facts("fps")

    def _facts(self, name: str) -> FloatArray:
        known = self.annotations.videos
        return np.array([getattr(known[video], name) or np.nan for video in self.videos], dtype=np.float64)

    @cached_property
    def extent(self) -> FloatArray:
        """`(V,)` seconds to the end of each video or of its last instance, the later of the two; 0 if unknown."""
        last = np.zeros(len(self.videos))
        np.maximum.at(last, self.video, self.segments.end)
        return np.fmax(last, self.duration)

    @property
    def num_ambiguous(self) -> int:
        """Number of Ambiguous intervals in the evaluated videos."""
        return len(self._ambiguous)

    def video_numbers(self, names: Sequence[str]) -> IntArray:
        """Return the index of each video in `videos`; another video gets a number of its own from `len(videos)` on.

        Nothing is annotated there, so detections in it are false positives, as in the official evaluators. With
        `only_subset_videos` other videos get -1: they are left out.
        """
        others = itertools.repeat(-1) if self.only_subset_videos else itertools.count(len(self.videos))
        known = self._video_number
        numbers = (known[name] if name in known else next(others) for name in names)
        return np.fromiter(numbers, np.int64, len(names))

    def class_numbers(self, names: Sequence[str]) -> IntArray:
        """Return the index of each label in `classes`.

        Raises:
            DataError: a label is not among them.
        """
        for name in names:
            if name not in self._class_number:
                raise unknown_name(
                    "class",
                    name,
                    self.classes,
                    where="detections",
                    usage=False,
                    otherwise="Rename it in one of the files, or leave such detections out",
                    arguments=("shared_classes",),
                )
        return np.fromiter((self._class_number[name] for name in names), np.int64, len(names))

    def prepared(self, grid: SnippetGrid | None = None) -> PreparedTruth:
        """Return the ground truth in seconds, or rounded to the snippet boundaries of a grid (kept for next time)."""
        if grid not in self._prepared:

            def times(table: Segments) -> tuple[FloatArray, FloatArray]:
                if grid is None:
                    return table.start, table.end
                return (
                    grid.nearest_boundary(table.start).astype(np.float64),
                    grid.nearest_boundary(table.end).astype(np.float64),
                )

            start, end = times(self.segments)
            self._prepared[grid] = PreparedTruth(
                start=start,
                end=end,
                instances=IntervalIndex(self.video * len(self.classes) + self.label, start, end),
                ambiguous=IntervalIndex(self._ambiguous_video, *times(self._ambiguous)),
            )
        return self._prepared[grid]

    def check_unused(self, subset: object, videos: object, only_subset_videos: bool) -> None:
        """Raise `UsageError` if a selection is asked for again: this object has made it already."""
        if subset is not None or videos is not None or only_subset_videos:
            raise UsageError(
                "subset, videos and only_subset_videos are fixed in a GroundTruthIndex",
                next_step="Give them to GroundTruthIndex(...)",
            )
