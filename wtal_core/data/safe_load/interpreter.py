"""The pickle interpreter: it knows data and runs nothing; see the room's docstring.

A pickle is also a small language, in which a short program can fill any memory: one byte makes a container, two bytes
put an array, a text or a list that is already there into another place, and a list may hold itself. So every operation
is counted with the memory that it takes, against a budget that follows from the size of the file; what comes out is a
tree of bounded depth, in which no part stands so often that walking through it would take longer than reading it.
"""

from __future__ import annotations

import codecs
import lzma
import math
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np

from wtal_core.arrays import Array
from wtal_core.documents import MOST_LEVELS, bounded_integer
from wtal_core.errors import DataError, counted, shortened, unknown_name
from wtal_core.files import require_file

__all__ = [
    "DATA",
    "OPERATIONS",
    "Array",
    "Blob",
    "Broken",
    "Encoding",
    "Interpreter",
    "LazyArray",
    "Raw",
    "check_encoding",
    "check_tree",
    "load_pickle",
    "reporting",
]

Encoding = Literal["latin1", "bytes"]

#: Byte strings from this length on stay in the file until an array is built from them.
_LEAVE_IN_FILE = 4096

#: Bytes that a stream may take beyond `_BUDGET_RATIO` times its size.
_BUDGET = 256 * 2**20
_BUDGET_RATIO = 24

#: Values that may stand in a tree beyond four times those that were read.
_MOST_REPEATED = 1_000_000
_MOST_FIELDS = 1000  # of a structured dtype
_LONGEST_KEY = 64  # parts of a tuple that is a key
#: An array without values may promise no more rows or columns than this: nobody can count to more of nothing.
_MOST_OF_NOTHING = 10**6

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

DATA = "NumPy arrays and plain containers (dict, list, tuple, set, text, bytes, numbers, None)"

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


#: What a damaged archive can raise. RuntimeError: a member is encrypted.
_UNPACKING = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


# -- the pickle interpreter ---------------------------------------------------------------------------------------


class Broken(Exception):
    """The stream is not what a pickle of data looks like; the text says how."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Stands on the stack for an admitted function or type."""

    name: str


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes left in the file.

    `kind`: "bytes", "str" (Python 2's), "text" (UTF-8), "latin1" (bytes that were stored as UTF-8 text).
    """

    offset: int
    size: int
    kind: str = "bytes"


class Raw(tuple[Any, ...]):
    """A tuple with parts that may not stand in a container: arguments of a call, or a state."""


@dataclass(slots=True, eq=False)
class _Unbuilt:
    """An array or dtype between its creation and the opcode that fills it; `keys` are the memo slots that hold it."""

    kind: str
    spec: str = ""
    keys: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LazyArray:
    """An array whose content is still in the file."""

    blob: Blob
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    axes: tuple[int, ...] | None = None


class Interpreter:
    """Run one pickle stream from the current position of `file`.

    Args:
        file: seekable binary file.
        encoding: how text written by Python 2 is decoded; "bytes" keeps it as bytes.
        lazy: leave the content of large arrays in the file (`LazyArray`).
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
        self.left = _BUDGET + _BUDGET_RATIO * self.size
        self.recalled = False  # whether some container may stand in two places
        self.fetched: dict[Blob, Any] = {}
        self.settled: dict[int, tuple[Raw, tuple[Any, ...]]] = {}

    def run(self) -> Any:
        """Return the value of the stream."""
        value = self.value()
        check_tree(value, self.recalled)
        return value

    def value(self) -> Any:
        """Return the value of the stream, which may hold itself or repeat its parts without end."""
        read, operations = self.file.read, self.operations()
        while True:
            opcode = read(1)
            if opcode == b".":
                if self.marks or len(self.stack) != 1:
                    raise Broken("it ends with an unfinished value")
                value = self.settle(self.stack.pop())
                self.memo.clear()
                self.fetched.clear()
                self.settled.clear()
                return value
            operation = operations.get(opcode)
            if operation is None:
                raise Broken("it ends too early" if not opcode else f"it uses the opcode {opcode!r}")
            self.left -= _COSTS.get(opcode, _COST)
            if self.left < 0:
                self.charge(0)
            operation(self)

    @classmethod
    def operations(cls) -> dict[bytes, Callable[[Any], None]]:
        """Return what each opcode does."""
        return OPERATIONS

    def charge(self, count: int) -> None:
        """Take bytes off the budget."""
        self.left -= count
        if self.left < 0:
            raise Broken("it fills more memory than a file of its size holds data")

    # -- reading --------------------------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.size - self.file.tell():
            raise Broken("it ends too early")
        data = self.file.read(count)
        if len(data) != count:
            raise Broken("it ends too early")
        return data

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise Broken("it ends too early")
        self.charge(len(line))
        return line[:-1]

    def whole_line(self, suffix: bytes = b"") -> int | float:
        line = self.line().removesuffix(suffix)
        if len(line) > 4300:
            raise Broken(f"it holds a whole number of {counted(len(line), 'digit')}")
        return bounded_integer(int(line))

    def slot(self) -> int:
        """Read the number of a memo slot written as text."""
        line = self.line()
        if len(line) > 20:
            raise Broken("it uses a memo slot without a number")
        return int(line)

    def long_bytes(self, form: str, kind: str) -> None:
        """Push a string with a length prefix; long ones stay in the file."""
        size, offset = self.number(form), self.file.tell()
        if not 0 <= size <= self.size - offset:
            raise Broken("it ends too early")
        blob = Blob(offset, size, kind)
        if size < _LEAVE_IN_FILE:
            self.charge(size)
            self.stack.append(self.fetch(blob))
        else:
            self.file.seek(offset + size)
            self.stack.append(blob)

    def python2(self, data: bytes) -> Any:
        return data if self.encoding == "bytes" else data.decode(self.encoding)

    def fetch(self, blob: Blob) -> Any:
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
        if isinstance(value, Blob):
            if value not in self.fetched:  # a long text may stand in many places
                self.charge(value.size)
                self.fetched[value] = self.fetch(value)
            return self.fetched[value]
        if isinstance(value, _Name):
            raise Broken(f"it holds a reference to {value.name} as a value")
        if isinstance(value, _Unbuilt):
            raise Broken(f"it holds a {value.kind} without content")
        if type(value) is Raw:
            if id(value) not in self.settled:
                self.settled[id(value)] = value, tuple([self.settle(part) for part in value])
            return self.settled[id(value)][1]
        return value

    def key(self, value: Any) -> Any:
        """Return `value` as a dict key or set member: a scalar or a tuple of scalars (hashing stays cheap)."""
        value = self.settle(value)
        if type(value) is tuple and len(value) > _LONGEST_KEY:
            raise Broken(f"it uses a tuple of {counted(len(value), 'part')} as a key")
        for part in value if type(value) is tuple else (value,):
            if not isinstance(part, str | bytes | int | float | complex | np.generic | None):
                raise Broken(f"it uses a {type(part).__name__} as a key")
        return value

    def push_tuple(self, items: list[Any]) -> None:
        items = [self.settle(v) if type(v) is Raw else v for v in items]
        self.charge(8 * len(items))
        self.stack.append((Raw if any(isinstance(v, _INNER) for v in items) else tuple)(items))

    def top(self, kinds: type | tuple[type, ...]) -> Any:
        if not isinstance(self.stack[-1], kinds):
            raise Broken(f"it treats a {type(self.stack[-1]).__name__} as a container")
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
        self.push_again(self.memo[key])

    def push_again(self, value: Any) -> None:
        self.recalled = self.recalled or type(value) in _CONTAINERS
        self.stack.append(value)

    def fill(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise Broken("a dict has a key without a value")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = self.settle(value)

    # -- names, calls and state -----------------------------------------------------------------------------------

    def push_name(self, module: Any, name: Any) -> None:
        """Push what stands here for a function or type, or refuse it."""
        admitted = _ADMITTED.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if admitted is None:
            raise _Refused(shortened(f"{module}.{name}", 200))
        self.stack.append(_Name(admitted))

    def call(self) -> None:
        """Replace a function and its arguments by what it makes."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise Broken("it calls something that is not a function")
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
            case "encode", (Blob(kind="text") as text, "latin1" | "latin-1"):
                self.stack.append(Blob(text.offset, text.size, "latin1"))
            case "encode", (str() as text, "latin1" | "latin-1"):
                self.stack.append(text.encode("latin1"))
            case "OrderedDict", ():
                self.stack.append(OrderedDict())
            case "OrderedDict", (list() as pairs,):
                self.charge(200 * len(pairs))
                self.stack.append(OrderedDict())
                self.fill([part for key, value in pairs for part in (key, value)])
            case "set" | "frozenset", (list() as items,):
                self.charge(128 * len(items))
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
                raise Broken(f"it calls {function.name} in a way no data file does")

    def build(self) -> None:
        """Give the unbuilt array or dtype below the state its content, on the stack and in the memo."""
        state, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, _Unbuilt) or not isinstance(state, tuple):
            raise Broken("it sets the state of something that is neither an array nor a dtype")
        built: Any
        if target.kind == "dtype":
            built = _dtype(target.spec, state)
        else:
            _, shape, dtype, fortran, data = state
            if not isinstance(dtype, np.dtype):
                raise Broken("an array has no dtype")
            built = self.array(data, dtype, shape, "F" if fortran else "C")
        self.stack.append(built)
        for key in target.keys:
            if self.memo.get(key) is target:
                self.memo[key] = built

    def array(
        self, data: Any, dtype: np.dtype[Any], shape: Any, order: Literal["C", "F"], axes: Any = None
    ) -> Array | LazyArray:
        """Build an array after checking that its content has exactly the size its shape asks for."""
        if isinstance(shape, int):
            shape = (shape,)
        if type(shape) is not tuple or len(shape) > 64 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise Broken("an array has no shape, or one of other things than up to 64 numbers >= 0")
        count = math.prod(shape)
        refuse_nothing(shape)
        self.charge(16 * len(shape) + (8 * count if dtype.hasobject else 0))
        if dtype.hasobject:
            if dtype != np.dtype(object) or type(data) is not list or len(data) != count:
                raise Broken("an object array does not hold as many objects as its shape says")
            objects = np.empty(count, dtype=object)
            for i, value in enumerate(data):
                objects[i] = value
            return objects.reshape(shape, order=order)
        if isinstance(data, str):
            data = data.encode("latin1")
        size = data.size if isinstance(data, Blob) else len(data) if isinstance(data, bytes) else -1
        utf8 = isinstance(data, Blob) and data.kind in ("text", "latin1")  # its size in the file is not its length
        if not utf8 and (size != count * dtype.itemsize or (count and not dtype.itemsize)):
            raise Broken(f"an array of shape {shape} and dtype {shortened(str(dtype))} has {size} bytes of content")
        self.charge(max(size, 0))
        if axes is not None:
            axes = tuple(axes)
        if isinstance(data, Blob):
            lazy = LazyArray(data, dtype, shape, order, axes)
            return lazy if self.lazy else self.read_array(lazy)
        return _shaped(np.frombuffer(bytearray(data), dtype=dtype), shape, order, axes)

    def read_array(self, lazy: LazyArray) -> Array:
        """Read the content of an array from the file, once, into its own memory."""
        blob = lazy.blob
        if blob.kind in ("text", "latin1"):
            content = self.fetch(Blob(blob.offset, blob.size, "latin1"))
            if len(content) != math.prod(lazy.shape) * lazy.dtype.itemsize:
                raise Broken(f"an array of shape {lazy.shape} has {len(content)} bytes of content")
            return _shaped(np.frombuffer(bytearray(content), lazy.dtype), lazy.shape, lazy.order, lazy.axes)
        raw = np.empty(blob.size, dtype=np.uint8)
        here = self.file.tell()
        self.file.seek(blob.offset)
        if self.file.readinto(raw) != blob.size:  # type: ignore[attr-defined]
            raise Broken("it ends too early")
        self.file.seek(max(here, blob.offset + blob.size))
        return _shaped(raw.view(lazy.dtype), lazy.shape, lazy.order, lazy.axes)


def refuse_nothing(shape: tuple[int, ...]) -> None:
    """Raise `Broken` for an array without values whose other sizes no program should count up to."""
    if 0 in shape and max(shape) > _MOST_OF_NOTHING:
        raise Broken(f"an array of shape {shape} holds nothing")


_INNER = (Blob, _Name, _Unbuilt)
_CONTAINERS = frozenset({list, tuple, dict, OrderedDict, np.ndarray})


def _inner(value: Any) -> list[Any]:
    """Return the containers in a container; keys and members of sets are no containers."""
    parts: Any = value.values() if isinstance(value, dict) else value.ravel() if type(value) is np.ndarray else value
    return [
        part for part in parts if type(part) in _CONTAINERS and (type(part) is not np.ndarray or part.dtype == object)
    ]


def check_tree(value: Any, recalled: bool) -> None:
    """Raise `Broken` where walking through a value would not end, or not soon.

    Args:
        value: what a stream made.
        recalled: whether some container may stand in several places.
    """
    if type(value) not in _CONTAINERS or (type(value) is np.ndarray and value.dtype != object):
        return
    known: dict[int, tuple[int, int]] = {}  # size and height of containers that may come again
    path = {id(value)}
    read = 0
    # Each container on the path with those in it that are still to be walked through, its size and its height.
    walk: list[list[Any]] = [[value, _inner(value), _length(value), 0]]
    while walk:
        container, todo, size, height = walk[-1]
        if todo:
            part = todo.pop()
            if id(part) in path:
                raise Broken("a container holds itself")
            size, height = known.get(id(part), (0, 0))
            if len(walk) + height >= MOST_LEVELS:
                raise Broken(f"it is nested more than {MOST_LEVELS} levels deep")
            if id(part) not in known:
                path.add(id(part))
                walk.append([part, _inner(part), _length(part), 0])
                continue
        else:
            walk.pop()
            path.discard(id(container))
            read += _length(container)
            if recalled:
                known[id(container)] = size, height
                if size > 4 * read + _MOST_REPEATED:
                    raise Broken(f"written out it would hold more than {size:,} values: it repeats its parts")
        if walk:
            walk[-1][2] += size
            walk[-1][3] = max(walk[-1][3], height + 1)


def _length(container: Any) -> int:
    return int(container.size) if type(container) is np.ndarray else len(container)


class _Refused(Exception):
    """The stream names something that is not data."""


def _shaped(flat: Array, shape: tuple[int, ...], order: Literal["C", "F"], axes: tuple[int, ...] | None) -> Array:
    array = flat.reshape(shape, order=order)
    return array if axes is None else array.transpose(axes)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin1")
    if not isinstance(value, str):
        raise Broken(f"a {type(value).__name__} stands where a text was meant")
    return value


def _order(value: Any) -> Literal["C", "F"]:
    return "F" if _text(value) == "F" else "C"


def _dtype(spec: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    """Return the dtype of `numpy.dtype(spec).__setstate__(state)`, built anew from checked parts."""
    if spec[:1] == "O":
        return np.dtype(object)
    if not re.fullmatch(r"[?biufcSUV]\d{0,9}", spec):
        raise Broken(f"it uses the dtype {shortened(repr(spec))}")
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
        raise Broken("it mixes objects into a structured dtype")
    check_fields(dtype)
    return dtype


def check_fields(dtype: np.dtype[Any]) -> None:
    """Raise `Broken` where a dtype has so many fields, counted through all levels, that naming it takes long."""
    inner, fields = [dtype], 0
    while inner:
        part = inner.pop()
        fields += 1
        if fields > _MOST_FIELDS:
            raise Broken(f"a dtype has more than {_MOST_FIELDS:,} fields")
        if part.subdtype is not None:
            inner.append(part.subdtype[0])
        elif part.fields is not None:
            inner += [found[0] for found in part.fields.values()]


def _push(convert: Callable[[Interpreter], Any]) -> Callable[[Interpreter], None]:
    def operation(machine: Interpreter) -> None:
        machine.stack.append(convert(machine))

    return operation


def _push_integer_line(m: Interpreter) -> None:
    line = m.line()
    if len(line) > 4300:
        raise Broken(f"it holds a whole number of {counted(len(line), 'digit')}")
    m.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else bounded_integer(int(line)))


def _push_quoted_line(m: Interpreter) -> None:
    line = m.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Broken("a string has no quotes")
    m.stack.append(m.python2(codecs.escape_decode(line[1:-1])[0]))


def _push_long(form: str) -> Callable[[Interpreter], None]:
    return _push(lambda m: bounded_integer(int.from_bytes(m.take(m.number(form)), "little", signed=True)))


def _protocol(m: Interpreter) -> None:
    if (version := m.number("<B")) > 5:
        raise Broken(f"it was written by pickle protocol {version}, and 0 to 5 are known")


def _drop(_: object) -> None:
    """Read and forget."""


def _mark(m: Interpreter) -> None:
    m.marks.append(m.stack)
    m.stack = []


def _pop(m: Interpreter) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _append(m: Interpreter) -> None:
    value = m.stack.pop()
    m.top(list).append(m.settle(value))


def _extend(m: Interpreter) -> None:
    items = m.pop_mark()
    m.top(list).extend([m.settle(v) for v in items])


def _add_items(m: Interpreter) -> None:
    items = m.pop_mark()
    m.top(set).update([m.key(v) for v in items])


def _make_list(m: Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append([m.settle(v) for v in items])


def _make_dict(m: Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append({})
    m.fill(items)


def _make_frozenset(m: Interpreter) -> None:
    items = m.pop_mark()
    m.stack.append(frozenset([m.key(v) for v in items]))


def _set_item(m: Interpreter) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.fill([key, value])


def _set_items(m: Interpreter) -> None:
    m.fill(m.pop_mark())


def _make_tuple(count: int | None) -> Callable[[Interpreter], None]:
    def operation(m: Interpreter) -> None:
        m.push_tuple(m.pop_mark() if count is None else [m.stack.pop() for _ in range(count)][::-1])

    return operation


def _global_line(m: Interpreter) -> None:
    module = m.line().decode("utf-8")
    m.push_name(module, m.line().decode("utf-8"))


def _global_stack(m: Interpreter) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push_name(module, name)


def _instance(m: Interpreter) -> None:
    # Old-style instances: always an object of some class, never data.
    module = m.line().decode("utf-8")
    raise _Refused(shortened(f"{module}.{m.line().decode('utf-8')}", 200))


OPERATIONS: dict[bytes, Callable[[Any], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: _drop(m.take(8)),  # a frame only groups reads
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _push_integer_line,
    b"L": _push(lambda m: m.whole_line(b"L")),
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
    b"2": lambda m: m.push_again(m.stack[-1]),
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
    b"g": lambda m: m.recall(m.slot()),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"p": lambda m: m.remember(m.slot()),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"c": _global_line,
    b"\x93": _global_stack,
    b"i": _instance,
    b"R": Interpreter.call,
    b"b": Interpreter.build,
}

_COST = 40  # bytes of memory that an operation takes; more where it makes a container or fills a slot
_COSTS: dict[bytes, int] = {
    **dict.fromkeys((b"N", b"\x88", b"\x89", b")", b"0", b"2", b"g", b"h", b"j", b"\x80", b"\x95"), 8),
    **dict.fromkeys((b"p", b"q", b"r", b"\x94", b"(", b"]", b"l"), 120),
    **dict.fromkeys((b"}", b"d", b"\x8f", b"\x91", b"R", b"\x81"), 240),
    **dict.fromkeys((b"\x85", b"\x86", b"\x87", b"t"), 72),
}


@contextmanager
def reporting(where: object, what: str) -> Iterator[None]:
    """Turn everything a foreign file can raise into one DataError that names it."""
    try:
        yield
    except _Refused as error:
        raise DataError(
            f"is refused: it holds {error}, which is code and not data (nothing was run)",
            expected=DATA,
            where=where,
            next_step="Ask for the file as plain .npy, .npz, .h5 or .json, or convert it where you trust it",
        ) from None
    except Broken as error:
        raise DataError(
            f"cannot be read: {error}",
            expected=what,
            where=where,
            next_step="It may be truncated or of another format: copy or download it again",
        ) from None
    except DataError:
        raise
    except (*_MALFORMED, *_UNPACKING) as error:
        raise DataError(
            f"cannot be read ({type(error).__name__}: {str(error)[:200]})",
            expected=what,
            where=where,
            next_step="It may be truncated or of another format: copy or download it again",
        ) from error


def check_encoding(encoding: str) -> None:
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
    check_encoding(encoding)
    path = require_file(path, "a pickle file")
    with reporting(path, f"a pickle of {DATA}"), path.open("rb") as file:
        return Interpreter(file, encoding).run()
