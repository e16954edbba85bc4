"""HDF5 files of other projects: one two-dimensional dataset per video, at the root or in one level of groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.arrays import check_shape
from wtal_core.data.features.store import OneFile
from wtal_core.errors import DataError
from wtal_core.files import require_file

__all__ = ["ForeignHDF5"]


class ForeignHDF5(OneFile[h5py.File]):
    """Datasets `/<video>` or `/<video>/<one dataset>` (some projects nest it) of shape `(T, D)` or `(crops, T, D)`.

    Raises:
        DataError: the file is not readable HDF5 or holds no such dataset.
    """

    def __init__(self, path: Path) -> None:
        self.path = require_file(path, "an HDF5 file")
        super().__init__()
        self._names: dict[str, str] = {}
        for name, item in self.file.items():
            inner = (
                [d for d in item.values() if isinstance(d, h5py.Dataset)] if isinstance(item, h5py.Group) else [item]
            )
            if len(inner) == 1 and isinstance(inner[0], h5py.Dataset) and inner[0].ndim in (2, 3):
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

    def _dataset(self, video: str) -> Any:
        dataset = self.file[self._names[video]]
        check_shape(tuple(dataset.shape), np.dtype(dataset.dtype), Path(f"{self.path}[{video}]"))
        return dataset

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""
        return tuple(int(n) for n in self._dataset(video).shape)

    def array(self, video: str) -> Array:
        """Return the array of one video."""
        try:
            array: Array = self._dataset(video)[()]
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"video {video!r} cannot be read: {error}",
                where=self.path,
                next_step="Copy the file again, or leave this video out",
                arguments=("exclude",),
            ) from error
        return array
