"""`.npz` archives, read array by array."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.safe_load.interpreter import DATA, Broken, Encoding, Interpreter, check_encoding, reporting
from wtal_core.data.safe_load.limits import PART_BYTES, is_inflated
from wtal_core.data.safe_load.npy import NpyHeader, object_array, read_header
from wtal_core.errors import unknown_name
from wtal_core.files import require_file, sized

__all__ = ["NpzFile", "load_npz"]


class NpzFile(Mapping[str, Array]):
    """The arrays of a `.npz` by name, each read when it is asked for. Close it, or use it in a `with` statement."""

    def __init__(self, path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> None:
        check_encoding(encoding)
        self.path = require_file(path, "a .npz file")
        self._encoding = encoding
        with reporting(self.path, "a .npz file (a zip archive of .npy files)"):
            self._zip = zipfile.ZipFile(self.path)
        members = [info for info in self._zip.infolist() if info.filename and not info.filename.endswith("/")]
        self._members = {info.filename.removesuffix(".npy"): info for info in members}

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

    def start(self, key: str, most_bytes: int = PART_BYTES) -> Array:
        """Return the first values of an array of numbers as they are stored, in one row of at most so many bytes.

        Raises:
            KeyError: there is no such array.
            DataError: it is damaged or holds anything but numbers.
        """
        header, info = self.header(key), self._member(key)
        with reporting(f"{self.path}[{key!r}]", "a .npy member of numbers"), self._zip.open(info) as member:
            if header.is_object_array or not header.dtype.itemsize:
                raise Broken("it holds objects")
            member.read(header.data_offset)
            count = min(math.prod(header.shape), most_bytes // header.dtype.itemsize)
            return np.frombuffer(member.read(count * header.dtype.itemsize), dtype=header.dtype)

    def snippets(self, key: str) -> Array:
        """Return the first rows of an array `(T, D)`, or of the first crop of `(crops, T, D)`, all where it is small.

        Raises:
            KeyError: there is no such array.
            DataError: it is damaged or holds anything but numbers.
        """
        header = self.header(key)
        shape, width = header.shape, header.shape[-1]
        if header.fortran_order or math.prod(shape) * header.dtype.itemsize <= PART_BYTES:
            return self[key]
        flat = self.start(key)
        rows = min(flat.size // width, shape[-2])
        return flat[: rows * width].reshape((1,) * (len(shape) - 2) + (rows, width))

    def __getitem__(self, key: str) -> Array:
        """Read one array.

        Raises:
            KeyError: there is no such array.
            DataError: it is damaged or holds anything but data.
        """
        info = self._member(key)
        header = self.header(key)
        with reporting(f"{self.path}[{key!r}]", f"a .npy member of {DATA}"), self._zip.open(info) as member:
            if is_inflated(info.file_size, info.compress_size):
                raise Broken(
                    f"it would become {sized(info.file_size)} of values from {sized(info.compress_size)} in the file"
                )
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
