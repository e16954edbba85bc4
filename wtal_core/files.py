"""Write files so that a reader never sees half of one, and read text and JSON with useful errors."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wtal_core.documents import MOST_YAML_CHARACTERS, parse_json, parse_yaml
from wtal_core.errors import DataError

__all__ = [
    "MOST_TEXT_BYTES",
    "atomic_path",
    "composed",
    "jsonable",
    "read_json",
    "read_start",
    "read_text",
    "read_yaml",
    "refuse_packed",
    "require_file",
    "require_folder",
    "sha256",
    "sized",
    "stem",
    "visible",
    "write_json",
    "write_text",
]


#: Files of text beyond this are not read: what is read takes several times as much memory.
MOST_TEXT_BYTES = 2**31


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on any error.

    The temporary name keeps the suffix, because writers choose their format by it. Parent folders are made.

    Raises:
        DataError: `path` is a folder or its parent cannot be written.
    """
    path = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir never raises, whatever the name
        raise DataError("is a folder", expected="a file name to write", where=path, next_step="Name a file inside it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.stat()  # a name that no file can have is said before the work, not after it
        # The start of the name is enough to recognise it, and a long name still fits into the file system's limit.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes private files; what we publish follows the user's umask
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise _cannot_be_written(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_be_written(path: Path, error: OSError) -> DataError:
    """Return the error for a file that cannot be made, naming what stands in the way."""
    blocking = next((parent for parent in path.parents if os.path.isfile(parent)), None)
    if blocking is not None:
        return DataError(
            "cannot be written",
            expected="a folder to write into",
            got=f"the file {blocking}",
            where=path,
            next_step="Name another folder, or move that file",
        )
    return DataError(
        f"cannot be written: {error.strerror or error}", where=path, next_step="Name another file or folder"
    )


def write_text(path: str | os.PathLike[str], text: str | Iterable[str]) -> None:
    """Write UTF-8 `text`, whole or in parts, to `path` in one step."""
    with atomic_path(path) as temporary:
        try:
            with temporary.open("w", encoding="utf-8") as handle:
                handle.writelines([text] if isinstance(text, str) else text)
        except OSError as error:  # a full disk
            raise _cannot_be_written(Path(path), error) from error


def jsonable(value: Any) -> Any:
    """Turn arrays, NumPy scalars, paths, tuples and mappings into what JSON knows; NaN and infinities become null."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = 1) -> None:
    """Write `value` as strict UTF-8 JSON to `path` in one step."""
    write_text(path, json.dumps(jsonable(value), ensure_ascii=False, indent=indent, allow_nan=False) + "\n")


def _kind_of(path: Path, what: str) -> int:
    """Return the mode bits of a path that exists and may be looked at, or raise `DataError`."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError("does not exist", expected=what, where=path, next_step="Check the path") from error
    except (OSError, ValueError) as error:  # no permission, a name that is too long or holds a NUL
        raise _cannot_be_read(path, what, error) from error


def _cannot_be_read(path: Path, what: str, error: OSError | ValueError) -> DataError:
    return DataError(
        f"cannot be read: {getattr(error, 'strerror', None) or error}",
        expected=what,
        where=path,
        next_step="Check its permissions" if isinstance(error, PermissionError) else "Check the path",
    )


def require_file(path: str | os.PathLike[str], what: str = "a file") -> Path:
    """Return `path` if it is a non-empty regular file.

    Raises:
        DataError: it is missing, a folder, a pipe or device, empty, or out of reach.
    """
    path = Path(path)
    mode = _kind_of(path, what)
    if stat.S_ISDIR(mode):
        raise DataError("is a folder", expected=what, where=path, next_step="Name a file")
    if not stat.S_ISREG(mode):
        raise DataError(
            "is a pipe or device", expected=what, where=path, next_step="Save it to a file first: it is read twice"
        )
    if path.stat().st_size == 0:
        raise DataError("is empty (0 bytes)", expected=what, where=path, next_step="Copy or download it again")
    return path


def require_folder(path: str | os.PathLike[str], what: str = "a folder") -> Path:
    """Return `path` if it is a folder, or raise `DataError`."""
    path = Path(path)
    if not stat.S_ISDIR(_kind_of(path, what)):
        raise DataError("is a file", expected=what, where=path, next_step="Name a folder")
    return path


#: First bytes of a file -> what it is packed by.
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"7z\xbc\xaf": "7z"}
_SPREADSHEETS = (".xlsx", ".xlsm", ".ods", ".numbers")


def refuse_packed(path: str | os.PathLike[str], start: bytes, what: str) -> None:
    """Raise `DataError` where the first bytes are those of a packed file.

    Many formats are zip files inside (.npz, .pt): only archives and spreadsheets are refused, by their names.
    """
    packer = next((packer for mark, packer in _PACKED.items() if start.startswith(mark)), None)
    suffix = Path(path).suffix.lower()
    if packer == "zip" and suffix in _SPREADSHEETS:
        raise DataError("is a spreadsheet", expected=what, where=path, next_step="Save it as CSV first")
    if packer is not None and (packer != "zip" or suffix == ".zip"):
        raise DataError(f"is packed by {packer}", expected=what, where=path, next_step="Unpack it first")


def sized(count: int) -> str:
    """Return a number of bytes for people: "12 bytes", "3.5 MiB", "7.45 TiB"."""
    power = min(max(count.bit_length() - 1, 0) // 10, 6)
    value = count / 1024**power
    unit = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")[power]
    return f"{value:.0f} {unit}" if power == 0 or value >= 100 else f"{value:.3g} {unit}"


def read_start(path: str | os.PathLike[str], what: str = "a file", count: int = 4096) -> bytes:
    """Return the first `count` bytes of a file, to tell what it is, or raise `DataError`."""
    path = require_file(path, what)
    try:
        with path.open("rb") as handle:
            return handle.read(count)
    except OSError as error:
        raise _cannot_be_read(path, what, error) from error


def read_text(path: str | os.PathLike[str], what: str = "a text file", *, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """Read a UTF-8 text file (a byte-order mark is dropped, every line end becomes `\\n`) or raise `DataError`.

    Args:
        path: the file.
        what: what it should be, for messages.
        most_bytes: a longer file is refused before anything of it is read.
    """
    path = require_file(path, what)
    if (size := path.stat().st_size) > most_bytes:
        raise DataError(
            f"is too large to be read as text ({sized(size)})",
            expected=f"{what} of at most {sized(most_bytes)}",
            where=path,
            next_step="Check that it is the right file, or split it",
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _cannot_be_read(path, what, error) from error
    refuse_packed(path, content[:8], what)
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            "is a binary file, not text", expected=what, where=path, next_step="'wtal data explain' says what it is"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 text (byte {error.start})", expected=what, where=path, next_step="Convert it to UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: str | os.PathLike[str], what: str = "a JSON file", *, unique_keys: bool = False) -> Any:
    """Read a JSON file (see `documents.parse_json`) or raise `DataError` naming line and column."""
    return parse_json(read_text(path, what), path, what, unique_keys=unique_keys)


def read_yaml(path: str | os.PathLike[str], what: str = "a YAML file") -> Any:
    """Read a YAML file (see `documents.parse_yaml`) or raise `DataError` naming line and column."""
    return parse_yaml(read_text(path, what, most_bytes=4 * MOST_YAML_CHARACTERS), path, what)


def composed(name: str) -> str:
    """Return a name as it is commonly written (NFC): file names of a Mac may have their accents apart ("e" + "´")."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def stem(path: Path) -> str:
    """Return a file's name without its suffix, as a name to compare with those in other files (see `composed`)."""
    return composed(path.stem)


def visible(folder: Path, pattern: str = "") -> list[Path]:
    """Return what a folder holds, sorted, without hidden files such as `.DS_Store` and `._name` of macOS."""
    found = folder.glob(pattern) if pattern else folder.iterdir()
    return sorted(path for path in found if not path.name.startswith("."))


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    path = require_file(path)
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise _cannot_be_read(path, "a file", error) from error
