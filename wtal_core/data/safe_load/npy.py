"""Plain and object-array `.npy` files."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.safe_load.interpreter import (
    DATA,
    Broken,
    Encoding,
    Interpreter,
    LazyArray,
    check_encoding,
    check_fields,
    refuse_nothing,
    reporting,
)
from wtal_core.errors import DataError
from wtal_core.files import require_file

__all__ = [
    "NpyHeader",
    "ObjectArray",
    "load_npy",
    "npy_header",
    "object_array",
    "open_object_array",
    "read_header",
    "stream_object_array",
]


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What the header of a `.npy` file says. `data_offset` is in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    data_offset: int

    @property
    def is_object_array(self) -> bool:
        """Whether the content is a pickle of objects instead of plain numbers."""
        return bool(self.dtype.hasobject)


_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive (.npz?)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x80", "a pickle"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"MATLAB", "a MATLAB file"),
)


def read_header(file: BinaryIO, size: int) -> NpyHeader:
    """Read the header at the current position and check it against the `size` of the whole file in bytes."""
    start = file.read(8)
    file.seek(0)
    if start[:6] != b"\x93NUMPY":
        found = next((name for magic, name in _SIGNATURES if start.startswith(magic)), "something else")
        raise Broken(f"it is no .npy file but {found}")
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise Broken(f"it is of .npy version {version[0]}.{version[1]}, and versions 1.0 and 2.0 are known")
    if len(shape) > 64 or any(n < 0 for n in shape):
        raise Broken(f"its header says the shape is {shape}")
    if dtype.hasobject and dtype != np.dtype(object):
        raise Broken("it mixes objects into a structured dtype")
    check_fields(dtype)
    refuse_nothing(shape)
    count = math.prod(shape)
    if count and not dtype.itemsize:
        raise Broken(f"its header says that {count:,} values take no bytes ({dtype})")
    header = NpyHeader(tuple(int(n) for n in shape), dtype, bool(fortran), file.tell())
    needed = count * dtype.itemsize
    if not header.is_object_array and needed > size - header.data_offset:
        raise Broken(
            f"its header promises shape {shape} of {dtype} = {needed} bytes, and {size - header.data_offset} are there"
        )
    return header


def npy_header(path: str | os.PathLike[str]) -> NpyHeader:
    """Return shape, dtype and order of a `.npy` file without reading its content.

    Raises:
        DataError: the file is missing, empty, shorter than its header promises, or no `.npy` file.
    """
    path = require_file(path, "a .npy file")
    with reporting(path, "a .npy file"), path.open("rb") as file:
        return read_header(file, path.stat().st_size)


def load_npy(path: str | os.PathLike[str], *, mmap: bool = False, encoding: Encoding = "latin1") -> Array:
    """Read a `.npy` file; object arrays go through the restricted pickle interpreter.

    Args:
        path: the file.
        mmap: return a read-only memory map instead of an array in memory (plain arrays only; an object array has no
            fixed layout to map, see `open_object_array`).
        encoding: how text in object arrays written by Python 2 is decoded ("bytes" keeps it as bytes).

    Raises:
        DataError: missing, empty, truncated, no `.npy` file, or an object array that holds anything but data.
    """
    check_encoding(encoding)
    path = require_file(path, "a .npy file")
    with reporting(path, f"a .npy file of {DATA}"), path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
        if not header.is_object_array:
            mapped = mmap and math.prod(header.shape) > 0  # an empty array cannot be mapped
            array: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
            return array
        if mmap:
            raise DataError(
                "is an object array (a pickle) and cannot be memory-mapped",
                where=path,
                next_step="Read it one element at a time with open_object_array or stream_object_array",
            )
        return object_array(Interpreter(file, encoding).run(), header)


def object_array(value: Any, header: NpyHeader) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != header.shape:
        raise Broken(f"its header promises an array of shape {header.shape}, and its content is another thing")
    return value


class ObjectArray(Sequence[Any]):
    """The elements of an object-array `.npy`, each read from the file when it is asked for.

    Opening walks through the file once without reading the content of arrays; memory stays at the list of offsets.
    Elements are in C order of the stored array. Close it, or use it in a `with` statement.
    """

    def __init__(self, path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> None:
        check_encoding(encoding)
        self.path = require_file(path, "an object-array .npy file")
        with reporting(self.path, "an object-array .npy file"):
            self._file = self.path.open("rb")
        try:
            with reporting(self.path, f"an object-array .npy file of {DATA}"):
                header = read_header(self._file, self.path.stat().st_size)
                if not header.is_object_array:
                    raise Broken(f"it is a plain array of {header.dtype}; load_npy(mmap=True) reads it")
                self._interpreter = Interpreter(self._file, encoding, lazy=True)
                self._items = object_array(self._interpreter.run(), header).ravel()
                self._interpreter.memo.clear()
        except BaseException:
            self._file.close()
            raise
        self.shape = header.shape

    def __len__(self) -> int:
        return int(self._items.size)

    def __getitem__(self, index: Any) -> Any:
        """Return element `index` (an integer)."""
        item = self._items[operator.index(index)]
        with reporting(f"{self.path}[{index}]", "an element of an object array"):
            return self._load(item)

    def element_shape(self, index: int) -> tuple[int, ...] | None:
        """Return the shape of an element without reading it, None where it is not an array."""
        item = self._items[index]
        return tuple(item.shape) if isinstance(item, np.ndarray | LazyArray) else None

    def _load(self, value: Any) -> Any:
        if isinstance(value, LazyArray):
            return self._interpreter.read_array(value)
        if type(value) is np.ndarray and value.dtype == object:
            loaded = np.empty(value.size, dtype=object)
            for i, part in enumerate(value.ravel()):
                loaded[i] = self._load(part)
            return loaded.reshape(value.shape)
        if isinstance(value, list | tuple):
            return type(value)([self._load(part) for part in value])
        if isinstance(value, dict):
            return type(value)((key, self._load(part)) for key, part in value.items())
        return value

    def close(self) -> None:
        """Close the file; elements can no longer be read."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_object_array(path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> ObjectArray:
    """Open an object-array `.npy` (W-TALC's packed features) for reading element by element in any order.

    Raises:
        DataError: missing, empty, truncated, a plain array, or it holds anything but data.
    """
    return ObjectArray(path, encoding=encoding)


def stream_object_array(path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> Iterator[Array]:
    """Yield the arrays of a packed `.npy` one after the other; memory stays at about one of them.

    Args:
        path: an object array of arrays `(T_i, D)`, as W-TALC packs its features, or (what NumPy writes when all have
            the same length) one plain array, whose rows along the first axis are yielded.
        encoding: as in `load_npy`.

    Raises:
        DataError: as `open_object_array`, or an element is not an array.
    """
    if not npy_header(path).is_object_array:
        plain = load_npy(path, mmap=True)
        if plain.ndim == 0:
            raise DataError(
                "holds one number",
                expected="an array of arrays",
                where=path,
                next_step="Save one array a video: numpy.save of an object array",
            )
        for row in plain:
            yield np.array(row)
        return
    with open_object_array(path, encoding=encoding) as elements:
        for index in range(len(elements)):
            value = elements[index]
            if not isinstance(value, np.ndarray):
                raise DataError(
                    "an element is not an array",
                    expected="an array (T, D) for each video",
                    got=type(value).__name__,
                    where=f"{path}[{index}]",
                    next_step="Replace this element by the video's (T, D) array",
                )
            yield value
