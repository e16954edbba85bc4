"""What every feature store can do, and how files of other projects become one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.grid_rule import GridRule
from wtal_core.data.open_once import H, OpenedOnce
from wtal_core.errors import DataError, UsageError, counted, unknown_name
from wtal_core.files import sha256
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid

__all__ = [
    "ArraySource",
    "FeatureStore",
    "ForeignStore",
    "OneFile",
    "StoredVideos",
    "missing_grid",
    "videos_with_features",
]


@runtime_checkable
class FeatureStore(Protocol):
    """Snippet features of many videos, read one video at a time.

    Reading is lazy and may be done from several threads and processes; stores can be pickled.
    """

    @property
    def videos(self) -> tuple[str, ...]:
        """Video ids."""

    @property
    def dim(self) -> int:
        """Channels D of the first video (`wtal data doctor` checks that all agree)."""

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)` without reading the features."""

    def grid(self, video: str) -> SnippetGrid:
        """Return where the T snippets lie in time."""

    def provenance(self, video: str) -> Provenance:
        """Return what made the features."""

    def read(self, video: str) -> VideoFeatures:
        """Return the features of one video as float32.

        Raises:
            DataError: there is no such video, or its data is damaged.
        """

    def close(self) -> None:
        """Free the file handles; reading opens them again."""

    def __enter__(self) -> FeatureStore:
        """Use as a context manager that closes."""

    def __exit__(self, *error: object) -> None:
        """Close."""


def videos_with_features(store: FeatureStore, videos: Iterable[str]) -> list[str]:
    """Return those of the videos that have features, in their order.

    Raises:
        DataError: none has.
    """
    wanted, known = list(videos), set(store.videos)
    present = [video for video in wanted if video in known]
    if not present:
        raise DataError(
            "none of the videos has features",
            expected=f"features of {counted(len(wanted), 'video')}",
            got=f"features of {counted(len(known), 'other video')}",
            next_step="Name the features of this data set, or other videos; 'wtal data doctor' lists what is missing",
        )
    return present


class ArraySource(Protocol):
    """The bare arrays of a foreign file or folder: no grid, no provenance beyond the streams' widths."""

    path: Path
    videos: tuple[str, ...]

    def shape(self, video: str) -> tuple[int, ...]:
        """Return the array's shape, `(T, D)` or `(crops, T, D)`, without reading it if the format allows."""

    def array(self, video: str) -> Array:
        """Return the array as it is stored, `(T, D)` or `(crops, T, D)`."""

    def start(self, video: str) -> Array:
        """Return the first snippets of the array (of the first crop alone, where another order of reading costs more).

        It is the whole array where that is short; else about `PART_BYTES` of it are read.
        """

    def modalities(self, video: str) -> tuple[tuple[str, int], ...]:
        """Return the streams in channel order where the file layout tells, else `()`."""

    def num_frames(self, video: str) -> int | None:
        """Return the number of frames the file states, else None."""

    def checksum(self, video: str) -> str:
        """Return the SHA-256 of the file (or files) the video's features are in."""

    def close(self) -> None:
        """Free the file handles."""


class OneFile(OpenedOnce[H]):
    """What array files have in common that hold many videos and say nothing about them."""

    path: Path
    _checksum = ""

    def modalities(self, video: str) -> tuple[tuple[str, int], ...]:
        """Return `()`: the file does not tell."""
        return ()

    def num_frames(self, video: str) -> int | None:
        """Return None: the file does not tell."""
        return None

    def checksum(self, video: str) -> str:
        """Return the SHA-256 of the whole file (taken once)."""
        self._checksum = self._checksum or sha256(self.path)
        return self._checksum


class StoredVideos(ABC):
    """What every feature store does with its videos."""

    path: Path
    videos: tuple[str, ...]

    @abstractmethod
    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""

    @abstractmethod
    def read(self, video: str) -> VideoFeatures:
        """Return the features of one video as float32."""

    @abstractmethod
    def close(self) -> None:
        """Free the file handles."""

    @property
    def dim(self) -> int:
        """Channels D of the first video."""
        if not self.videos:
            raise DataError(
                "holds no features",
                expected="at least one video",
                where=self.path,
                next_step="Check that it is the right file or folder",
            )
        return self.shape(self.videos[0])[-1]

    def __iter__(self) -> Iterator[VideoFeatures]:
        return (self.read(video) for video in self.videos)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ForeignStore(StoredVideos):
    """A feature store over an `ArraySource`, with the grid and provenance that the user states.

    Args:
        source: the arrays.
        rule: what makes each video's grid; None leaves shapes readable and refuses everything in seconds.
        provenance: what made the features; unknown streams and checksum are filled in from the source.
        strip_prefix: text taken off the front of every video id ("v_").
    """

    def __init__(
        self,
        source: ArraySource,
        rule: GridRule | None,
        provenance: Provenance | None = None,
        strip_prefix: str = "",
    ) -> None:
        self.source = source
        self.rule = rule
        self._provenance = provenance or Provenance()
        self._inner = {video.removeprefix(strip_prefix): video for video in source.videos}
        if "" in self._inner:
            raise DataError(
                f"the id of a video is {strip_prefix!r}, and nothing is left of it without this prefix",
                where=source.path,
                next_step="Leave the prefix on, or shorten what is taken off",
                arguments=("strip_prefix",),
            )
        if len(self._inner) != len(source.videos):
            raise DataError(
                f"two videos have the same id without the prefix {strip_prefix!r}",
                where=source.path,
                next_step="Leave the prefix on, or rename one of the videos",
                arguments=("strip_prefix",),
            )
        self.path = source.path
        self.videos = tuple(self._inner)

    def _source_name(self, video: str) -> str:
        if video not in self._inner:
            raise unknown_name("video", video, self.videos, where=self.path, usage=False)
        return self._inner[video]

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""
        return self.source.shape(self._source_name(video))

    def grid(self, video: str) -> SnippetGrid:
        """Return where the T snippets lie in time."""
        name = self._source_name(video)
        return self._grid(video, self.source.shape(name)[-2])

    def _grid(self, video: str, num_snippets: int) -> SnippetGrid:
        if self.rule is None:
            raise missing_grid(self.path)
        return self.rule.grid(video, num_snippets, self.source.num_frames(self._source_name(video)))

    def provenance(self, video: str) -> Provenance:
        """Return the stated provenance, with the streams the file layout tells. The checksum is the stated one."""
        given = self._provenance
        if given.modalities:
            return given
        return Provenance(
            given.extractor,
            self.source.modalities(self._source_name(video)),
            given.crop,
            given.flow_kind,
            given.checksum,
        )

    def checksum(self, video: str) -> str:
        """Return the SHA-256 of the file the video's features are in."""
        return self.source.checksum(self._source_name(video))

    def read_array(self, video: str) -> Array:
        """Return the bare array of one video as it is stored; needs no grid."""
        return self.source.array(self._source_name(video))

    def read(self, video: str) -> VideoFeatures:
        """Return the features of one video as float32."""
        array = self.source.array(self._source_name(video))
        data = np.ascontiguousarray(array, dtype=np.float32)
        return VideoFeatures(video, data, self._grid(video, data.shape[-2]), self.provenance(video))

    def close(self) -> None:
        """Free the file handles."""
        self.source.close()


def missing_grid(where: object) -> UsageError:
    """Build the error for features whose file does not say where its snippets lie."""
    return UsageError(
        "the file does not say where its snippets lie in time",
        expected=f"a snippet grid: one of {', '.join(GRID_PRESETS)}, or STRIDE/WINDOW@FPS in frames",
        where=where,
        next_step="State it; 'wtal data explain' says which ones fit",
        arguments=("grid",),
    )
