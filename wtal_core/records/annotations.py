"""Ground truth of a data set, and what is known about its videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from wtal_core.errors import DataError, counted, unknown_name
from wtal_core.records.checks import check_mapping, check_names, check_type
from wtal_core.records.pickling import Picklable
from wtal_core.records.tables import Segments
from wtal_core.snippet_grid import is_finite_number
from wtal_core.summary import Summarized, Summary

__all__ = ["Annotations", "VideoInfo"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known about one video besides its segments.

    Args:
        subset: split the video belongs to, e.g. "training", "validation", "test"; None where not stated.
        duration: seconds, > 0, or None.
        fps: the file's own average frame rate, > 0, or None.
        num_frames: frames in the file, or None.
        labels: video-level labels. They may name classes without a segment (W-TALC's `labels_all`).
    """

    subset: str | None = None
    duration: float | None = None
    fps: float | None = None
    num_frames: int | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.subset is not None:
            check_type(self.subset, str, "subset", "a text, or None", "VideoInfo")
        for name in ("duration", "fps", "num_frames"):
            value = getattr(self, name)
            if value is not None and not (is_finite_number(value) and value > 0):
                raise DataError(
                    f"{name} is out of range",
                    expected="a finite number > 0, or nothing",
                    got=repr(value),
                    where="VideoInfo",
                    next_step="Leave it out where it is not known",
                )
        object.__setattr__(self, "labels", check_names(self.labels, "labels", "VideoInfo"))


@dataclass(frozen=True, eq=False, repr=False)
class Annotations(Picklable, Summarized):
    """Ground truth of a data set.

    Args:
        classes: action classes in the data set's order.
        videos: what is known about each video, in file order; videos without segments are allowed.
        instances: action instances, in file order (the THUMOS14 kit matches in that order).
        ambiguous: intervals that count neither for nor against a detection (label "Ambiguous").
        tracks: further truth where a data set knows it: "phases", "context", "fakes", "static", ...
        source: file or folder it was read from, and the format.
        notes: what a reader dropped or repaired, one sentence each.

    Raises:
        DataError: a field is of the wrong type, a class is listed twice, a segment names an unknown class or video.
    """

    classes: tuple[str, ...]
    videos: Mapping[str, VideoInfo]
    instances: Segments
    ambiguous: Segments = field(default_factory=Segments.empty)
    tracks: Mapping[str, Segments] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = check_type(self.source, str, "source", "a text", "Annotations") or "Annotations"
        videos = check_mapping(self.videos, VideoInfo, "videos", "a VideoInfo", where)
        tracks = check_mapping(self.tracks, Segments, "tracks", "Segments", where)
        for name in ("instances", "ambiguous"):
            check_type(getattr(self, name), Segments, name, "Segments", where)
        object.__setattr__(self, "classes", check_names(self.classes, "classes", where))
        object.__setattr__(self, "videos", MappingProxyType(videos))
        object.__setattr__(self, "tracks", MappingProxyType(tracks))
        object.__setattr__(self, "notes", check_names(self.notes, "notes", where))
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({c for c in self.classes if self.classes.count(c) > 1})
            raise DataError("a class is listed twice", got=str(twice), where=where, next_step="List each class once")
        known = set(self.classes)
        labels = set(self.instances.label.tolist()) | {label for info in self.videos.values() for label in info.labels}
        for label in sorted(labels - known):
            raise unknown_name("class", label, self.classes, where=where, usage=False)
        for name, table in {"instances": self.instances, "ambiguous": self.ambiguous, **self.tracks}.items():
            unknown = sorted(set(table.video.tolist()) - self.videos.keys())
            if unknown:
                raise DataError(
                    f"{name} name videos that are not listed",
                    expected="videos of the list",
                    got=str(unknown[:5]),
                    where=where,
                    next_step="Add these videos to `videos`, or drop their segments",
                )

    def _summary(self, rows: int) -> Summary:
        """Return the ground truth in short: how much there is, and of the first classes each."""
        subsets = Counter(info.subset for info in self.videos.values())
        split = ", ".join(f"{subsets[name]:,} {name}" for name in self.subsets())
        amounts = [
            counted(len(self.classes), "class", "classes"),
            counted(len(self.videos), "video") + (f" ({split})" if split else ""),
            counted(len(self.instances), "instance"),
        ]
        table = []
        for name in self.classes[:rows]:
            own = self.instances[self.instances.label == name]
            table.append((name, len(set(own.video.tolist())), len(own), float(own.length.sum())))
        return Summary(
            f"Annotations: {', '.join(amounts)}",
            facts=[
                ("ambiguous", counted(len(self.ambiguous), "interval") if len(self.ambiguous) else ""),
                ("tracks", ", ".join(f"{name} ({len(track):,})" for name, track in self.tracks.items())),
                ("notes", "; ".join(self.notes)),
                ("source", self.source),
            ],
            columns=("class", "videos", "instances", "seconds"),
            rows=table,
            total=len(self.classes),
        )

    def subset(self, *names: str) -> Annotations:
        """Return the videos of the given subsets with their segments; classes stay.

        Raises:
            UsageError: no video has such a subset.
        """
        known = self.subsets()
        for name in names:
            if name not in known:
                raise unknown_name("subset", name, known, where=self.source or None)
        return self.only(video for video, info in self.videos.items() if info.subset in names)

    def subsets(self) -> tuple[str, ...]:
        """Return the names of the subsets that occur, sorted."""
        return tuple(sorted({info.subset for info in self.videos.values() if info.subset is not None}))

    def only(self, videos: Iterable[str]) -> Annotations:
        """Return the given videos (those that exist, in this object's order) with their segments."""
        wanted = set(videos)

        def rows(table: Segments) -> Segments:
            return table[[v in wanted for v in table.video]]

        return replace(
            self,
            videos={video: info for video, info in self.videos.items() if video in wanted},
            instances=rows(self.instances),
            ambiguous=rows(self.ambiguous),
            tracks={name: rows(table) for name, table in self.tracks.items()},
        )

    def renamed_videos(self, rename: Callable[[str], str]) -> Annotations:
        """Return the same ground truth under other video ids.

        Raises:
            DataError: two videos would have the same id.
        """
        videos = {rename(video): info for video, info in self.videos.items()}
        if len(videos) != len(self.videos):
            raise DataError(
                "two videos would have the same id",
                expected="different ids after renaming",
                got=f"{len(self.videos)} videos, {len(videos)} ids",
                where=self.source or "Annotations",
                next_step="Rename so that every video keeps an id of its own",
            )
        return replace(
            self,
            videos=videos,
            instances=self.instances.renamed_videos(rename),
            ambiguous=self.ambiguous.renamed_videos(rename),
            tracks={name: table.renamed_videos(rename) for name, table in self.tracks.items()},
        )

    def video_labels(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Return `(videos, multi-hot labels (V, C))`: the stated video-level labels, else the segments' classes."""
        index = {name: i for i, name in enumerate(self.classes)}
        videos = tuple(self.videos)
        row = {video: i for i, video in enumerate(videos)}
        labels = np.zeros((len(videos), len(self.classes)), dtype=np.float32)
        for video, info in self.videos.items():
            labels[row[video], [index[label] for label in info.labels]] = 1.0
        stated = {video for video, info in self.videos.items() if info.labels}
        for video, label in zip(self.instances.video, self.instances.label, strict=True):
            if video not in stated:
                labels[row[video], index[label]] = 1.0
        return videos, labels
