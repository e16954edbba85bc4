"""What the doctor examines together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wtal_core.data.annotations import Problem
from wtal_core.data.features import FeatureStore
from wtal_core.data.video_files import VideoFiles
from wtal_core.records import Annotations

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """What is examined together.

    Args:
        annotations: ground truth, as far as it could be read.
        problems: what the reader of the annotations found.
        features: `{name: store}`.
        splits: split -> subsets; empty where the data set has none.
        class_list: the classes the data set declares, or ().
        video_files: the folder of videos, or None where none is expected.
    """

    annotations: Annotations
    problems: Sequence[Problem] = ()
    features: Mapping[str, FeatureStore] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_list: Sequence[str] = ()
    video_files: VideoFiles | None = None

    def split_of(self) -> dict[str, str]:
        """Return `{video: split}`; videos of no split are left out, those of two are in the first."""
        return {
            video: next(split for split, subsets in self.splits.items() if info.subset in subsets)
            for video, info in self.annotations.videos.items()
            if any(info.subset in subsets for subsets in self.splits.values())
        }
