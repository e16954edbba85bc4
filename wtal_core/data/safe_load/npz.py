"""`.npz` archives, read array by array."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.safe_load.interpreter import DATA, Encoding, Interpreter, check_encoding, reporting
from wtal_core.data.safe_load.npy import NpyHeader, object_array, read_header
from wtal_core.errors import unknown_name
from wtal_core.files import require_file

__all__ = ["NpzFile", "load_npz"]


class NpzFile(Mapping[str, Array]):
    """The arrays of a `.npz` by name, each read when it is asked for. Close it, or use it in a `with` statement."""

    def __init__(self, path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> None:
        check_encoding(encoding)
        self.path = require_file(path, "a .npz file")
        self._encoding = encoding
        with reporting(self.path, "a .npz file (a zip archive of .npy files)"):
            self._zip = zipfile.ZipFile(self.path)
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist() if not info.is_dir()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def _member(self, key: str) -> zipfile.ZipInfo:
        if key not in self._members:
            # A KeyError keeps `in`, `get` and the other Mapping methods working.
            raise KeyError(str(unknown_name("array", key, self._members, where=self.path, usage=False)))
        return self._members[key]

    def header(self, key: str) -> NpyHeader:
        """Return shape and dtype of one array without reading its content."""
        info = self._member(key)
        with reporting(f"{self.path}[{key!r}]", "a .npy member"), self._zip.open(info) as file:
            return read_header(io.BytesIO(file.read(70_000)), info.file_size)

    def __getitem__(self, key: str) -> Array:
        """Read one array.

        Raises:
            KeyError: there is no such array.
            DataError: it is damaged or holds anything but data.
        """
        info = self._member(key)
        header = self.header(key)
        with reporting(f"{self.path}[{key!r}]", f"a .npy member of {DATA}"), self._zip.open(info) as member:
            if not header.is_object_array:
                array: Array = np.lib.format.read_array(member, allow_pickle=False)
                return array
            file = io.BytesIO(member.read())
            file.seek(header.data_offset)
            return object_array(Interpreter(file, self._encoding).run(), header)

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def load_npz(path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> NpzFile:
    """Open a `.npz`; arrays are read lazily and object arrays go through the restricted pickle interpreter.

    Raises:
        DataError: missing, empty, truncated, or no zip archive.
    """
    return NpzFile(path, encoding=encoding)
