"""HDF5 files of other projects: one two-dimensional dataset per video, at the root or in one level of groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.arrays import check_shape, part_snippets
from wtal_core.data.features.store import OneFile
from wtal_core.data.hdf5 import tripping, whole
from wtal_core.errors import DataError
from wtal_core.files import require_file

__all__ = ["ForeignHDF5"]


_WHAT = "an HDF5 file with one dataset (snippets, channels) per video"


def _may_be_features(dataset: Any) -> bool:
    # Values that lie in another file are not read: any file of this machine could be named.
    return (
        isinstance(dataset, h5py.Dataset)
        and dataset.ndim in (2, 3)
        and dataset.dtype.kind in "fiu"
        and not dataset.external
    )


class ForeignHDF5(OneFile[h5py.File]):
    """Datasets `/<video>` or `/<video>/<one dataset>` (some projects nest it) of shape `(T, D)` or `(crops, T, D)`.

    Raises:
        DataError: the file is not readable HDF5 or holds no such dataset.
    """

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "an HDF5 file")
        super().__init__()
        self._names: dict[str, str] = {}
        with tripping(self.path, _WHAT):
            for name, item in self.file.items():
                inner = (
                    [d for d in item.values() if isinstance(d, h5py.Dataset)]
                    if isinstance(item, h5py.Group)
                    else [item]
                )
                if len(inner) == 1 and _may_be_features(inner[0]):
                    self._names[name] = inner[0].name
        if not self._names:
            raise DataError(
                "holds no features that are recognised",
                expected="one dataset (snippets, channels) per video",
                got=", ".join(list(self.file)[:5]) or "an empty file",
                where=path,
                next_step="'wtal data explain' says what this file holds",
            )
        self.videos = tuple(self._names)

    def _open(self) -> h5py.File:
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(
                "is not a readable HDF5 file",
                got=str(error).strip(),
                where=self.path,
                next_step="It may be truncated: copy or download it again",
            ) from error

    @contextmanager
    def _dataset(self, video: str) -> Iterator[Any]:
        with tripping(self.path, _WHAT, f"video {video!r} cannot be read"):
            dataset = self.file[self._names[video]]
            check_shape(tuple(dataset.shape), np.dtype(dataset.dtype), Path(f"{self.path}[{video}]"))
            yield dataset

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""
        with self._dataset(video) as dataset:
            return tuple(int(n) for n in dataset.shape)

    def array(self, video: str) -> Array:
        """Return the array of one video."""
        with self._dataset(video) as dataset:
            return whole(dataset)

    def start(self, video: str) -> Array:
        """Return the first snippets of one video, all where they are few."""
        with self._dataset(video) as dataset:
            shape, itemsize = tuple(int(n) for n in dataset.shape), dataset.dtype.itemsize
            part: Array = dataset[..., : part_snippets(shape, itemsize), :]
            return part
