"""PyTorch files: tensors and plain containers, after a look at what reading them would cost.

`torch.load(weights_only=True)` runs no code, but it follows the pickle inside wherever that leads: a small one can fill
any memory, hold itself, or nest without end, and a zip archive may inflate a thousand times. So the archive's table and
the pickle are gone through first, without making anything of what the pickle names.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wtal_core.data.safe_load.interpreter import OPERATIONS, Blob, Broken, Interpreter, Raw, check_tree, reporting
from wtal_core.data.safe_load.limits import is_inflated
from wtal_core.documents import bounded_integer
from wtal_core.errors import DataError, reason, shortened
from wtal_core.files import require_file

__all__ = ["load_torch"]

_WHAT = "a PyTorch file of tensors and plain containers"
_MOST_PICKLE = 2**26  # bytes of the pickle beside the tensors
#: What a file begins with that PyTorch before 1.6 wrote (torch/serialization.py, MAGIC_NUMBER).
_MAGIC = bounded_integer(0x1950A86A20F9469CFC6C)


def load_torch(path: str | os.PathLike[str], *, mapped: bool = False, classes: Sequence[type] = ()) -> Any:
    """Read what `torch.save` wrote, without running anything that is pickled in it.

    Args:
        path: the file, of the zip layout or the one before PyTorch 1.6.
        mapped: leave tensors in the file until they are used, where its layout allows.
        classes: harmless classes that are admitted too.

    Raises:
        DataError: the file is missing, truncated, or no PyTorch file; "is refused" where it holds more than tensors and
            plain containers.
    """
    import pickle

    import torch

    path = require_file(path, _WHAT)
    endless = _look_through(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(classes)):
            warnings.simplefilter("ignore")  # about pickle protocols, of interest to nobody who reads a file
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "Weights only load failed" not in str(error):
            raise _unreadable(path, error) from error
        raise DataError(
            f"is refused: it holds more than tensors, and loading it would run its code ({reason(error)})",
            expected=_WHAT,
            where=path,
            next_step="Save model.state_dict() where you trust the file, then read that",
        ) from error
    except Exception as error:  # torch.load raises many kinds for broken files
        raise _unreadable(path, error) from error
    if endless is not None:
        raise _unreadable(path, endless)
    return content


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"is not a readable PyTorch file: {reason(error)}",
        expected=_WHAT,
        where=path,
        next_step="It may be truncated: copy or download it again",
    )


def _look_through(path: Path) -> Broken | None:
    """Return what would make walking through the content endless.

    Raises:
        DataError: reading it would take more memory than a file of its size holds data.
    """
    with reporting(path, _WHAT), path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            file.seek(0)
            return _walk(_Skeleton(file), legacy=True)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if is_inflated(sum(member.file_size for member in members), path.stat().st_size):
                raise Broken("its members promise more than the file can hold")
            found = None
            for member in members:
                if member.filename.endswith(".pkl"):
                    if member.file_size > _MOST_PICKLE:
                        raise Broken("it holds far more beside its tensors than they need")
                    with archive.open(member) as inner:
                        found = found or _walk(_Skeleton(io.BytesIO(inner.read(_MOST_PICKLE))))
            return found


def _walk(machine: _Skeleton, *, legacy: bool = False) -> Broken | None:
    value = machine.value()
    if legacy:
        if value != _MAGIC:
            return None  # torch says that it is none of its files
        for _ in range(3):  # a version, about the system, the content
            value = machine.value()
    try:
        check_tree(value, True)
    except Broken as error:
        return error
    return None


class _Skeleton(Interpreter):
    """Goes through a pickle of any classes: what is named, called or given a state stands as a list of its parts."""

    @classmethod
    def operations(cls) -> dict[bytes, Any]:
        return _OPERATIONS

    def settle(self, value: Any) -> Any:
        if isinstance(value, Blob):
            return ""
        return [self.settle(part) for part in value] if type(value) is Raw else value

    def push_name(self, module: Any, name: Any) -> None:
        self.stack.append(shortened(f"{module}.{name}"))

    def call(self) -> None:
        arguments = self.settle(self.stack.pop())
        self.stack[-1] = [self.settle(self.stack[-1]), arguments]

    def build(self) -> None:
        self.fill([self.stack.pop()])

    def fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend([self.settle(item) for item in items])


def _collect(machine: _Skeleton) -> None:
    items = machine.pop_mark()
    machine.stack.append([])
    machine.fill(items)


_OPERATIONS: dict[bytes, Any] = {
    **OPERATIONS,
    **dict.fromkeys((b"}", b"\x8f"), lambda m: m.stack.append([])),
    **dict.fromkeys((b"d", b"\x91"), _collect),
    **dict.fromkeys((b"e", b"u", b"\x90"), lambda m: m.fill(m.pop_mark())),
    b"a": lambda m: m.fill([m.stack.pop()]),
    b"s": lambda m: m.fill([m.stack.pop(), m.stack.pop()]),
    b"R": lambda m: m.call(),
    b"\x81": lambda m: m.call(),
    b"b": lambda m: m.build(),
    b"Q": lambda m: m.fill([]),  # a storage, told by the tuple on the stack
    b"P": lambda m: m.stack.append(shortened(m.line().decode("latin1"))),
}
