"""Read `.npy`, `.npz` and pickle files of other people without running what is inside them.

A pickle is a program, and most published annotations and packed features of this field are pickles (every object-array
`.npy` is one). This module interprets the pickle opcodes itself and knows only data: numbers, text, bytes, None, list,
tuple, dict, OrderedDict, set, NumPy arrays, dtypes and scalars. A stream that names anything else is refused by that
name, and nothing it names is ever imported or called. Array contents are checked against their shape before memory is
taken for them, and are left in the file until wanted, so that one video of a multi-gigabyte object array can be read
without the others.

Opcodes and their meaning: CPython `Lib/pickletools.py`. Layout of pickled arrays and dtypes: NumPy
`numpy/_core/src/multiarray/methods.c` (`array_reduce`) and `descriptor.c` (`arraydescr_reduce`). Layout of `.npy`:
`numpy.lib.format`.
"""

from __future__ import annotations

import ast
import io
import math
import operator
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import numpy as np
import numpy.typing as npt

from wtal_core.errors import DataError, unknown_name
from wtal_core.files import require_file

__all__ = [
    "NpyHeader",
    "NpzFile",
    "ObjectArray",
    "load_npy",
    "load_npz",
    "load_pickle",
    "npy_header",
    "open_object_array",
    "stream_object_array",
]

Array = npt.NDArray[Any]
Encoding = Literal["latin1", "bytes"]

#: Byte strings from this length on stay in the file until an array is built from them.
_LEAVE_IN_FILE = 4096

#: Everything a stream may name, with what it stands for here. Python 2 and NumPy 1 wrote the older module names.
_ADMITTED: dict[tuple[str, str], str] = {
    **{(f"numpy.{core}.multiarray", name): name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("core", "_core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "OrderedDict",
    **{
        (module, name): name
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "complex", "bytes", "bytearray")
    },
}

_DATA = "NumPy arrays and plain containers (dict, list, tuple, set, text, bytes, numbers, None)"

#: What a malformed stream can raise inside the interpreter; all of it becomes one DataError.
_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # from NumPy's header parser
)


# -- the pickle interpreter ---------------------------------------------------------------------------------------


class _Broken(Exception):
    """The stream is not what a pickle of data looks like; the text says how."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Stands on the stack for an admitted function or type."""

    name: str


@dataclass(frozen=True, slots=True)
class _Blob:
    """Bytes left in the file.

    `kind`: "bytes", "str" (Python 2's), "text" (UTF-8), "latin1" (bytes that were stored as UTF-8 text).
    """

    offset: int
    size: int
    kind: str = "bytes"


@dataclass(slots=True, eq=False)
class _Unbuilt:
    """An array or dtype between its creation and the opcode that fills it; `keys` are the memo slots that hold it."""

    kind: str
    spec: str = ""
    keys: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _LazyArray:
    """An array whose content is still in the file."""

    blob: _Blob
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    axes: tuple[int, ...] | None = None


class _Interpreter:
    """Run one pickle stream from the current position of `file`.

    Args:
        file: seekable binary file.
        encoding: how text written by Python 2 is decoded; "bytes" keeps it as bytes.
        lazy: leave the content of large arrays in the file (`_LazyArray`).
    """

    def __init__(self, file: BinaryIO, encoding: Encoding = "latin1", lazy: bool = False) -> None:
        self.file = file
        self.encoding = encoding
        self.lazy = lazy
        here = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        file.seek(here)
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value of the stream."""
        read, operations = self.file.read, _OPERATIONS
        while True:
            opcode = read(1)
            if opcode == b".":
                if self.marks or len(self.stack) != 1:
                    raise _Broken("it ends with an unfinished value")
                return self.settle(self.stack.pop())
            operation = operations.get(opcode)
            if operation is None:
                raise _Broken("it ends too early" if not opcode else f"it uses the opcode {opcode!r}")
            operation(self)

    # -- reading --------------------------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.size - self.file.tell():
            raise _Broken("it ends too early")
        data = self.file.read(count)
        if len(data) != count:
            raise _Broken("it ends too early")
        return data

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise _Broken("it ends too early")
        return line[:-1]

    def long_bytes(self, form: str, kind: str) -> None:
        """Push a string with a length prefix; long ones stay in the file."""
        size, offset = self.number(form), self.file.tell()
        if not 0 <= size <= self.size - offset:
            raise _Broken("it ends too early")
        blob = _Blob(offset, size, kind)
        if size < _LEAVE_IN_FILE:
            self.stack.append(self.fetch(blob))
        else:
            self.file.seek(offset + size)
            self.stack.append(blob)

    def python2(self, data: bytes) -> Any:
        return data if self.encoding == "bytes" else data.decode(self.encoding)

    def fetch(self, blob: _Blob) -> Any:
        """Read a blob; the file position ends after it or where it was, whichever is later in the stream."""
        here = self.file.tell()
        self.file.seek(blob.offset)
        data = self.take(blob.size)
        self.file.seek(max(here, blob.offset + blob.size))
        if blob.kind == "text":
            return data.decode("utf-8", "surrogatepass")
        if blob.kind == "latin1":
            return data.decode("utf-8", "surrogatepass").encode("latin1")
        return self.python2(data) if blob.kind == "str" else data

    # -- values ---------------------------------------------------------------------------------------------------

    def settle(self, value: Any) -> Any:
        """Return `value` as it may stand in a container: nothing half built, no bytes left in the file."""
        if isinstance(value, _Blob):
            return self.fetch(value)
        if isinstance(value, _Name):
            raise _Broken(f"it holds a reference to {value.name} as a value")
        if isinstance(value, _Unbuilt):
            raise _Broken(f"it holds a {value.kind} without content")
        if type(value) is tuple:
            return tuple([self.settle(v) if isinstance(v, _Blob | _Name | _Unbuilt) else v for v in value])
        return value

    def key(self, value: Any) -> Any:
        """Return `value` as a dict key or set member: a scalar or a tuple of scalars (hashing stays cheap)."""
        value = self.settle(value)
        for part in value if type(value) is tuple else (value,):
            if not isinstance(part, str | bytes | int | float | complex | np.generic | None):
                raise _Broken(f"it uses a {type(part).__name__} as a key")
        return value

    def push_tuple(self, items: list[Any]) -> None:
        self.stack.append(tuple([self.settle(v) if type(v) is tuple else v for v in items]))

    def top(self, kinds: type | tuple[type, ...]) -> Any:
        if not isinstance(self.stack[-1], kinds):
            raise _Broken(f"it treats a {type(self.stack[-1]).__name__} as a container")
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def remember(self, key: int) -> None:
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, _Unbuilt):
            value.keys.append(key)

    def recall(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def fill(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise _Broken("a dict has a key without a value")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = self.settle(value)

    # -- names, calls and state -----------------------------------------------------------------------------------

    def push_name(self, module: Any, name: Any) -> None:
        admitted = _ADMITTED.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if admitted is None:
            raise _Refused(f"{module}.{name}")
        self.stack.append(_Name(admitted))

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or type(arguments) is not tuple:
            raise _Broken("it calls something that is not a function")
        match function.name, arguments:
            case "_reconstruct", (_Name("ndarray"), _, _):
                self.stack.append(_Unbuilt("array"))
            case "dtype", (spec, *_):
                self.stack.append(_Unbuilt("dtype", _text(spec)))
            case "scalar", (np.dtype() as dtype, data):
                self.stack.append(np.asarray(self.array(self.settle(data), dtype, (), "C"))[()])
            case "_frombuffer", (data, np.dtype() as dtype, shape, order):
                self.stack.append(self.array(data, dtype, shape, _order(order)))
            case "_frombuffer", (data, np.dtype() as dtype, shape, "K", axes):
                self.stack.append(self.array(data, dtype, shape, "C", axes))
            case "encode", (_Blob(kind="text") as text, "latin1" | "latin-1"):
                self.stack.append(_Blob(text.offset, text.size, "latin1"))
            case "encode", (str() as text, "latin1" | "latin-1"):
                self.stack.append(text.encode("latin1"))
            case "OrderedDict", ():
                self.stack.append(OrderedDict())
            case "OrderedDict", (list() as pairs,):
                self.stack.append(OrderedDict())
                self.fill([part for key, value in pairs for part in (key, value)])
            case "set" | "frozenset", (list() as items,):
                kind: type[set[Any]] | type[frozenset[Any]] = set if function.name == "set" else frozenset
                self.stack.append(kind([self.key(item) for item in items]))
            case "complex", (float() as real, float() as imaginary):
                self.stack.append(complex(real, imaginary))
            case "bytes" | "bytearray", ():
                self.stack.append(b"")
            case "bytearray", (data,) if isinstance(self.settle(data), bytes):
                self.stack.append(self.settle(data))
            case "bytearray", (text, "latin1" | "latin-1") if isinstance(self.settle(text), str):
                self.stack.append(self.settle(text).encode("latin1"))
            case _:
                raise _Broken(f"it calls {function.name} in a way no data file does")

    def build(self) -> None:
        """Give the unbuilt array or dtype below the state its content, on the stack and in the memo."""
        state, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, _Unbuilt) or type(state) is not tuple:
            raise _Broken("it sets the state of something that is neither an array nor a dtype")
        built: Any
        if target.kind == "dtype":
            built = _dtype(target.spec, state)
        else:
            _, shape, dtype, fortran, data = state
            if not isinstance(dtype, np.dtype):
                raise _Broken("an array has no dtype")
            built = self.array(data, dtype, shape, "F" if fortran else "C")
        self.stack.append(built)
        for key in target.keys:
            if self.memo.get(key) is target:
                self.memo[key] = built

    def array(
        self, data: Any, dtype: np.dtype[Any], shape: Any, order: Literal["C", "F"], axes: Any = None
    ) -> Array | _LazyArray:
        """Build an array after checking that its content has exactly the size its shape asks for."""
        if isinstance(shape, int):
            shape = (shape,)
        if type(shape) is not tuple or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise _Broken(f"an array has the shape {shape!r}")
        count = math.prod(shape)
        if dtype.hasobject:
            if dtype != np.dtype(object) or type(data) is not list or len(data) != count:
                raise _Broken("an object array does not hold as many objects as its shape says")
            objects = np.empty(count, dtype=object)
            for i, value in enumerate(data):
                objects[i] = value
            return objects.reshape(shape, order=order)
        if isinstance(data, str):
            data = data.encode("latin1")
        size = data.size if isinstance(data, _Blob) else len(data) if isinstance(data, bytes) else -1
        utf8 = isinstance(data, _Blob) and data.kind in ("text", "latin1")  # its size in the file is not its length
        if not utf8 and (size != count * dtype.itemsize or (count and not dtype.itemsize)):
            raise _Broken(f"an array of shape {shape} and dtype {dtype} has {size} bytes of content")
        if axes is not None:
            axes = tuple(axes)
        if isinstance(data, _Blob):
            lazy = _LazyArray(data, dtype, shape, order, axes)
            return lazy if self.lazy else self.read_array(lazy)
        return _shaped(np.frombuffer(bytearray(data), dtype=dtype), shape, order, axes)

    def read_array(self, lazy: _LazyArray) -> Array:
        """Read the content of an array from the file, once, into its own memory."""
        blob = lazy.blob
        if blob.kind in ("text", "latin1"):
            content = self.fetch(_Blob(blob.offset, blob.size, "latin1"))
            if len(content) != math.prod(lazy.shape) * lazy.dtype.itemsize:
                raise _Broken(f"an array of shape {lazy.shape} has {len(content)} bytes of content")
            return _shaped(np.frombuffer(bytearray(content), lazy.dtype), lazy.shape, lazy.order, lazy.axes)
        raw = np.empty(blob.size, dtype=np.uint8)
        here = self.file.tell()
        self.file.seek(blob.offset)
        if self.file.readinto(raw) != blob.size:  # type: ignore[attr-defined]
            raise _Broken("it ends too early")
        self.file.seek(max(here, blob.offset + blob.size))
        return _shaped(raw.view(lazy.dtype), lazy.shape, lazy.order, lazy.axes)


class _Refused(Exception):
    """The stream names something that is not data."""


def _shaped(flat: Array, shape: tuple[int, ...], order: Literal["C", "F"], axes: tuple[int, ...] | None) -> Array:
    array = flat.reshape(shape, order=order)
    return array if axes is None else array.transpose(axes)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin1")
    if not isinstance(value, str):
        raise _Broken(f"a {type(value).__name__} stands where a text was meant")
    return value


def _order(value: Any) -> Literal["C", "F"]:
    return "F" if _text(value) == "F" else "C"


def _dtype(spec: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    """Return the dtype of `numpy.dtype(spec).__setstate__(state)`, built anew from checked parts."""
    if spec[:1] == "O":
        return np.dtype(object)
    if not re.fullmatch(r"[?biufcSUV]\d{0,9}", spec):
        raise _Broken(f"it uses the dtype {spec!r}")
    _, byteorder, subdtype, names, fields, itemsize, *_ = state
    if subdtype is not None:
        base, shape = subdtype
        dtype = np.dtype((base, shape))
    elif names is not None:
        names = [_text(name) for name in names]
        by_name = {_text(name): value for name, value in fields.items()}
        dtype = np.dtype(
            {
                "names": names,
                "formats": [by_name[name][0] for name in names],
                "offsets": [by_name[name][1] for name in names],
                "itemsize": itemsize,
            }
        )
    else:
        dtype = np.dtype(spec)
        if _text(byteorder) in "<>":
            dtype = dtype.newbyteorder(_text(byteorder))  # type: ignore[arg-type]
    if dtype.hasobject:
        raise _Broken(f"it mixes objects into the dtype {dtype}")
    return dtype


def _push(convert: Callable[[_Interpreter], Any]) -> Callable[[_Interpreter], None]:
    def operation(machine: _Interpreter) -> None:
        machine.stack.append(convert(machine))

    return operation


def _push_integer_line(m: _Interpreter) -> None:
    line = m.line()
    m.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))


def _push_quoted_line(m: _Interpreter) -> None:
    value = ast.literal_eval("b" + m.line().decode("ascii"))
    if not isinstance(value, bytes):
        raise _Broken("a string has no quotes")
    m.stack.append(m.python2(value))


def _push_long(form: str) -> Callable[[_Interpreter], None]:
    return _push(lambda m: int.from_bytes(m.take(m.number(form)), "little", signed=True))


def _protocol(m: _Interpreter) -> None:
    if (version := m.number("<B")) > 5:
        raise _Broken(f"it was written by pickle protocol {version}, and 0 to 5 are known")


def _drop(_: object) -> None:
    """Read and forget."""


def _mark(m: _Interpreter) -> None:
    m.marks.append(m.stack)
    m.stack = []


def _pop(m: _Interpreter) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _append(m: _Interpreter) -> None:
    value = m.stack.pop()
    m.top(list).append(m.settle(value))


def _extend(m: _Interpreter) -> None:
    items = m.pop_mark()
    m.top(list).extend([m.settle(v) for v in items])


def _add_items(m: _Interpreter) -> None:
    items = m.pop_mark()
    m.top(set).update([m.key(v) for v in items])


def _make_list(m: _Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append([m.settle(v) for v in items])


def _make_dict(m: _Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append({})
    m.fill(items)


def _make_frozenset(m: _Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append(frozenset([m.key(v) for v in items]))


def _set_item(m: _Interpreter) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.fill([key, value])


def _set_items(m: _Interpreter) -> None:
    m.fill(m.pop_mark())


def _make_tuple(count: int | None) -> Callable[[_Interpreter], None]:
    def operation(m: _Interpreter) -> None:
        m.push_tuple(m.pop_mark() if count is None else [m.stack.pop() for _ in range(count)][::-1])

    return operation


def _global_line(m: _Interpreter) -> None:
    module = m.line().decode("utf-8")
    m.push_name(module, m.line().decode("utf-8"))


def _global_stack(m: _Interpreter) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push_name(module, name)


def _instance(m: _Interpreter) -> None:
    # Old-style instances: always an object of some class, never data.
    module = m.line().decode("utf-8")
    raise _Refused(f"{module}.{m.line().decode('utf-8')}")


_OPERATIONS: dict[bytes, Callable[[_Interpreter], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: _drop(m.take(8)),  # a frame only groups reads
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _push_integer_line,
    b"L": _push(lambda m: int(m.line().rstrip(b"L"))),
    b"J": _push(lambda m: m.number("<i")),
    b"K": _push(lambda m: m.number("<B")),
    b"M": _push(lambda m: m.number("<H")),
    b"\x8a": _push_long("<B"),
    b"\x8b": _push_long("<i"),
    b"F": _push(lambda m: float(m.line())),
    b"G": _push(lambda m: m.number(">d")),
    b"S": _push_quoted_line,
    b"T": lambda m: m.long_bytes("<i", "str"),
    b"U": lambda m: m.long_bytes("<B", "str"),
    b"V": _push(lambda m: m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.long_bytes("<I", "text"),
    b"\x8c": lambda m: m.long_bytes("<B", "text"),
    b"\x8d": lambda m: m.long_bytes("<Q", "text"),
    b"B": lambda m: m.long_bytes("<I", "bytes"),
    b"C": lambda m: m.long_bytes("<B", "bytes"),
    b"\x8e": lambda m: m.long_bytes("<Q", "bytes"),
    b"\x96": lambda m: m.long_bytes("<Q", "bytes"),
    b"(": _mark,
    b"0": _pop,
    b"1": lambda m: _drop(m.pop_mark()),
    b"2": lambda m: m.stack.append(m.stack[-1]),
    b"]": _push(lambda m: []),
    b"l": _make_list,
    b"a": _append,
    b"e": _extend,
    b")": _push(lambda m: ()),
    b"t": _make_tuple(None),
    b"\x85": _make_tuple(1),
    b"\x86": _make_tuple(2),
    b"\x87": _make_tuple(3),
    b"}": _push(lambda m: {}),
    b"d": _make_dict,
    b"s": _set_item,
    b"u": _set_items,
    b"\x8f": _push(lambda m: set()),
    b"\x90": _add_items,
    b"\x91": _make_frozenset,
    b"g": lambda m: m.recall(int(m.line())),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"p": lambda m: m.remember(int(m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"c": _global_line,
    b"\x93": _global_stack,
    b"i": _instance,
    b"R": _Interpreter.call,
    b"b": _Interpreter.build,
}


@contextmanager
def _reporting(where: object, what: str) -> Iterator[None]:
    """Turn everything a foreign file can raise into one DataError that names it."""
    try:
        yield
    except _Refused as error:
        raise DataError(
            f"is refused: it holds {error}, which is code and not data (nothing was run)",
            expected=_DATA,
            where=where,
            next_step="Ask for the file as plain .npy, .npz, .h5 or .json, or convert it where you trust it",
        ) from None
    except _Broken as error:
        raise DataError(
            f"cannot be read: {error}",
            expected=what,
            where=where,
            next_step="It may be truncated or of another format: copy or download it again",
        ) from None
    except DataError:
        raise
    except (*_MALFORMED, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot be read ({type(error).__name__}: {str(error)[:200]})",
            expected=what,
            where=where,
            next_step="It may be truncated or of another format: copy or download it again",
        ) from error


def _check_encoding(encoding: str) -> None:
    if encoding not in ("latin1", "bytes"):
        raise unknown_name("text encoding", encoding, ("latin1", "bytes"))


def load_pickle(path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> Any:
    """Read a pickle that holds data only.

    Args:
        path: file written by any pickle protocol (0 to 5) of Python 2 or 3. `bytearray` comes back as `bytes`.
        encoding: how text written by Python 2 is decoded: "latin1", or "bytes" to keep it as bytes.

    Raises:
        DataError: the file is missing, empty, truncated, no pickle, or holds anything but data (which is named).
    """
    _check_encoding(encoding)
    path = require_file(path, "a pickle file")
    with _reporting(path, f"a pickle of {_DATA}"), path.open("rb") as file:
        return _Interpreter(file, encoding).run()


# -- .npy ---------------------------------------------------------------------------------------------------------


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


def _read_header(file: BinaryIO, size: int) -> NpyHeader:
    """Read the header at the current position and check it against the `size` of the whole file in bytes."""
    start = file.read(8)
    file.seek(0)
    if start[:6] != b"\x93NUMPY":
        found = next((name for magic, name in _SIGNATURES if start.startswith(magic)), "something else")
        raise _Broken(f"it is no .npy file but {found}")
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise _Broken(f"it is of .npy version {version[0]}.{version[1]}, and versions 1.0 and 2.0 are known")
    if any(n < 0 for n in shape):
        raise _Broken(f"its header says the shape is {shape}")
    header = NpyHeader(tuple(int(n) for n in shape), dtype, bool(fortran), file.tell())
    if header.is_object_array and dtype != np.dtype(object):
        raise _Broken(f"it mixes objects into the dtype {dtype}")
    needed = math.prod(shape) * dtype.itemsize
    if not header.is_object_array and needed > size - header.data_offset:
        raise _Broken(
            f"its header promises shape {shape} of {dtype} = {needed} bytes, and {size - header.data_offset} are there"
        )
    return header


def npy_header(path: str | os.PathLike[str]) -> NpyHeader:
    """Return shape, dtype and order of a `.npy` file without reading its content.

    Raises:
        DataError: the file is missing, empty, shorter than its header promises, or no `.npy` file.
    """
    path = require_file(path, "a .npy file")
    with _reporting(path, "a .npy file"), path.open("rb") as file:
        return _read_header(file, path.stat().st_size)


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
    _check_encoding(encoding)
    path = require_file(path, "a .npy file")
    with _reporting(path, f"a .npy file of {_DATA}"), path.open("rb") as file:
        header = _read_header(file, path.stat().st_size)
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
        return _object_array(_Interpreter(file, encoding).run(), header)


def _object_array(value: Any, header: NpyHeader) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != header.shape:
        raise _Broken(f"its header promises an array of shape {header.shape}, and its content is another thing")
    return value


class ObjectArray(Sequence[Any]):
    """The elements of an object-array `.npy`, each read from the file when it is asked for.

    Opening walks through the file once without reading the content of arrays; memory stays at the list of offsets.
    Elements are in C order of the stored array. Close it, or use it in a `with` statement.
    """

    def __init__(self, path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> None:
        _check_encoding(encoding)
        self.path = require_file(path, "an object-array .npy file")
        with _reporting(self.path, "an object-array .npy file"):
            self._file = self.path.open("rb")
        try:
            with _reporting(self.path, f"an object-array .npy file of {_DATA}"):
                header = _read_header(self._file, self.path.stat().st_size)
                if not header.is_object_array:
                    raise _Broken(f"it is a plain array of {header.dtype}; load_npy(mmap=True) reads it")
                self._interpreter = _Interpreter(self._file, encoding, lazy=True)
                self._items = _object_array(self._interpreter.run(), header).ravel()
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
        with _reporting(f"{self.path}[{index}]", "an element of an object array"):
            return self._load(item)

    def element_shape(self, index: int) -> tuple[int, ...] | None:
        """Return the shape of an element without reading it, None where it is not an array."""
        item = self._items[index]
        return tuple(item.shape) if isinstance(item, np.ndarray | _LazyArray) else None

    def _load(self, value: Any) -> Any:
        if isinstance(value, _LazyArray):
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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


# -- .npz ---------------------------------------------------------------------------------------------------------


class NpzFile(Mapping[str, Array]):
    """The arrays of a `.npz` by name, each read when it is asked for. Close it, or use it in a `with` statement."""

    def __init__(self, path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> None:
        _check_encoding(encoding)
        self.path = require_file(path, "a .npz file")
        self._encoding = encoding
        with _reporting(self.path, "a .npz file (a zip archive of .npy files)"):
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
        with _reporting(f"{self.path}[{key!r}]", "a .npy member"), self._zip.open(info) as file:
            return _read_header(io.BytesIO(file.read(70_000)), info.file_size)

    def __getitem__(self, key: str) -> Array:
        """Read one array.

        Raises:
            KeyError: there is no such array.
            DataError: it is damaged or holds anything but data.
        """
        info = self._member(key)
        header = self.header(key)
        with _reporting(f"{self.path}[{key!r}]", f"a .npy member of {_DATA}"), self._zip.open(info) as member:
            if not header.is_object_array:
                array: Array = np.lib.format.read_array(member, allow_pickle=False)
                return array
            file = io.BytesIO(member.read())
            file.seek(header.data_offset)
            return _object_array(_Interpreter(file, self._encoding).run(), header)

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def load_npz(path: str | os.PathLike[str], *, encoding: Encoding = "latin1") -> NpzFile:
    """Open a `.npz`; arrays are read lazily and object arrays go through the restricted pickle interpreter.

    Raises:
        DataError: missing, empty, truncated, or no zip archive.
    """
    return NpzFile(path, encoding=encoding)
