"""W-TALC's packed features: one object array `.npy` with an array `(T, 2048)` per video, ordered as `videoname.npy`.

The published THUMOS14 file is 2.5 GB. It is walked through once to find where the arrays lie, and then read one video
at a time; memory stays at about one video.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.arrays import check_shape, part_snippets
from wtal_core.data.features.store import OneFile
from wtal_core.data.safe_load import ObjectArray, load_npy, npy_header, open_object_array
from wtal_core.errors import DataError
from wtal_core.files import read_text

__all__ = ["PackedArrays", "find_video_names", "read_video_names"]


def read_video_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read video ids from a `.npy` of (byte) strings or a text file with one id a line."""
    path = Path(path)
    if path.suffix.lower() != ".npy":
        return tuple(line.split()[0] for line in read_text(path, "a list of video ids").splitlines() if line.strip())
    values = load_npy(path).ravel().tolist()
    names = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            "is not a list of video ids",
            expected="strings",
            got=repr(values[:2]),
            where=path,
            next_step="Take W-TALC's videoname.npy, or a text file with one id a line",
        )
    return tuple(names)


def find_video_names(packed: Path) -> Path | None:
    """Return the `videoname.npy` beside a packed file, in a folder beside it, or in a folder beside its folder."""
    here = packed.parent
    candidates = [
        here / "videoname.npy",
        *sorted(here.glob("*Annotations*/videoname.npy")),
        *sorted(here.parent.glob("*Annotations*/videoname.npy")),
    ]
    return next((c for c in candidates if c.is_file()), None)


class PackedArrays(OneFile[ObjectArray | Array]):
    """The arrays of a packed `.npy`.

    Args:
        path: the `.npy` file.
        names: video ids in the order of the arrays; None looks for a `videoname.npy` beside the file.

    Raises:
        DataError: the names are missing or not as many as the arrays.
    """

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        self.path = path
        if names is None:
            found = find_video_names(path)
            if found is None:
                raise DataError(
                    "holds the features of many videos without their names",
                    expected="a videoname.npy beside it",
                    where=path,
                    next_step="Name the list (names=FILE): W-TALC's is in its annotation folder",
                    arguments=("names",),
                )
            names = read_video_names(found)
        self.videos = tuple(names)
        self._index = {name: i for i, name in enumerate(self.videos)}
        super().__init__()
        count = npy_header(path).shape
        if len(count) == 0 or count[0] != len(self.videos):
            raise DataError(
                "the names do not belong to this file",
                expected=f"{count[0] if count else 1} names",
                got=str(len(self.videos)),
                where=path,
                next_step="Name the list that came with these features, in their order",
            )
        if len(self._index) != len(self.videos):
            twice = sorted({name for name in self.videos if self.videos.count(name) > 1})
            raise DataError(
                "a video is named twice",
                got=str(twice[:3]),
                where=path,
                next_step="Correct the list: features of videos are told apart by their ids",
            )

    def _open(self) -> ObjectArray | Array:
        packed = npy_header(self.path).is_object_array
        return open_object_array(self.path) if packed else load_npy(self.path, mmap=True)

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` without reading the array."""
        with self._lock:
            elements, i = self.file, self._index[video]
            shape = elements.element_shape(i) if isinstance(elements, ObjectArray) else elements[i].shape
        return check_shape(shape or (), np.dtype(float), self._where(video))

    def array(self, video: str) -> Array:
        """Return the array of one video."""
        with self._lock:
            value = self.file[self._index[video]]
        if not isinstance(value, np.ndarray):
            raise DataError(
                "an element is not an array",
                expected="(T, D)",
                got=type(value).__name__,
                where=self._where(video),
                next_step="Copy the file again, or leave this video out",
                arguments=("exclude",),
            )
        check_shape(value.shape, value.dtype, self._where(video))
        return value

    def start(self, video: str) -> Array:
        """Return the first snippets of one video, all where they are few."""
        array = self.array(video)
        return array[..., : part_snippets(array.shape, array.dtype.itemsize), :]

    def _where(self, video: str) -> Path:
        return Path(f"{self.path}[{self._index[video]}]")
