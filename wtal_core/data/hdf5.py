"""HDF5 files of named entries: written so that a crash costs one entry at most, read once opened per process.

HDF5 has no journal: a process that dies while it appends can leave the whole file unreadable. `EntryWriter` therefore
never appends in place. Every finished entry is a small complete HDF5 file of its own, renamed into the hidden folder
`.<name>.parts` beside the target; `finish()` merges them into one file under a temporary name and renames that. After a
crash the finished entries are still there, and the same command goes on from them. Several processes (shards) may write
to the same target at once.

Layout of a file: root attributes `wtal_format` (what it holds) and `layout_version`, one member of `/entries` per
entry, and `/shared` for datasets that many entries refer to by digest.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import h5py
import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.open_once import OpenedOnce
from wtal_core.data.safe_load.limits import MOST_INFLATED, is_inflated
from wtal_core.errors import DataError, reason, unknown_name
from wtal_core.files import atomic_path, require_file, sized
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.version import __version__

try:
    import fcntl
except ImportError:  # Windows: no advisory locks, one writer at a time is assumed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "EntryFile",
    "EntryWriter",
    "decode_name",
    "encode_name",
    "fresh_path",
    "has_entries",
    "read_grid",
    "remove_entries",
    "remove_unfinished",
    "tripping",
    "whole",
    "whole_texts",
    "write_entries",
    "write_grid",
]

_GRID_KEYS = ("fps", "stride", "window", "num_snippets", "offset", "duration")


def encode_name(name: str) -> str:
    """Return `name` as an HDF5 link name: `%`, `/` and a leading dot are percent-encoded, everything else is kept."""
    if not name or not name.isprintable():
        raise DataError(
            "an entry has no usable name", expected="printable characters", got=repr(name), next_step="Rename the video"
        )
    coded = name.replace("%", "%25").replace("/", "%2F")
    return "%2E" + coded[1:] if coded.startswith(".") else coded


def decode_name(link: str) -> str:
    """Undo `encode_name`."""
    return unquote(link)


def write_grid(attributes: Any, grid: SnippetGrid) -> None:
    """Store a grid as attributes; an unknown duration is left out."""
    for key, value in grid.to_dict().items():
        if value is not None:
            attributes[key] = value


def read_grid(attributes: Any, where: str) -> SnippetGrid:
    """Rebuild a grid from attributes or raise `DataError`."""
    values = {key: np.asarray(attributes[key]).item() for key in _GRID_KEYS if key in attributes}
    return SnippetGrid.from_dict(values, where=where)


def _part_name(name: str) -> str:
    """A file name for an entry: readable, unique, and short enough for every file system."""
    encode_name(name)  # refuse what cannot be a name
    return f"entry-{quote(name, safe='')[:80]}-{hashlib.sha1(name.encode()).hexdigest()[:12]}.h5"


def _stamp(file: h5py.File, kind: str, version: int) -> None:
    file.attrs["wtal_format"] = kind
    file.attrs["layout_version"] = version
    file.attrs["written_by"] = f"wtal {__version__}"
    file.create_group("entries")
    file.create_group("shared")


@contextmanager
def tripping(path: Path, what: str, problem: str = "cannot be read") -> Iterator[None]:
    """Turn whatever h5py trips over in a damaged file into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{problem}: {reason(error)}",
            expected=what,
            where=path,
            next_step="The file may be damaged: copy or make it again",
        ) from error


def whole(dataset: Any) -> Array:
    """Return all values of a dataset, after a look at how many it declares.

    Raises:
        DataError: it declares far more values than are stored in the file.
    """
    _refuse_hollow(dataset)
    values: Array = dataset[()]
    return values


def whole_texts(dataset: Any) -> list[str]:
    """Return all texts of a one-dimensional dataset (see `whole`)."""
    _refuse_hollow(dataset)
    return [str(text) for text in dataset.asstr()[:]]


def _refuse_hollow(dataset: Any) -> None:
    needed = int(dataset.size or 0) * dataset.dtype.itemsize
    if needed > MOST_INFLATED and is_inflated(needed, dataset.id.get_storage_size()):
        raise DataError(
            f"declares {sized(needed)} of values and stores {sized(dataset.id.get_storage_size())}",
            where=f"{dataset.file.filename}[{dataset.name}]",
            next_step="Copy or make the file again",
        )


class EntryFile(OpenedOnce[h5py.File]):
    """Read-only access to a file of entries.

    It may be sent to data-loader workers and used by several threads (h5py serialises calls).

    Args:
        path: the file.
        kind: what `wtal_format` must say.
        version: newest `layout_version` that is understood.
        what: words for messages, e.g. "a wtal feature file".

    Raises:
        DataError: there is no such file, it is not HDF5, it is damaged, or it holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str, version: int, what: str) -> None:
        self.path = Path(path)
        self._kind, self._version, self._what = kind, version, what
        super().__init__()
        with tripping(self.path, self._what):
            self.names: tuple[str, ...] = tuple(sorted(decode_name(link) for link in self.file["entries"]))

    def _open(self) -> h5py.File:
        parts = _parts_of(self.path)
        if not os.path.exists(self.path) and os.path.isdir(parts):
            raise DataError(
                "is not finished",
                expected=self._what,
                got=f"{len(_finished_parts(parts))} finished entries in {parts.name}",
                where=self.path,
                next_step="Run the command that writes it again: it goes on from there",
            )
        require_file(self.path, self._what)
        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(
                "is not a readable HDF5 file",
                expected=self._what,
                got=str(error).strip(),
                where=self.path,
                next_step="It may be truncated or another format: copy it again, or ask 'wtal data explain'",
            ) from error
        try:
            with tripping(self.path, self._what):
                self._check(file)
        except DataError:
            with suppress(Exception):
                file.close()
            raise
        return file

    def _check(self, file: h5py.File) -> None:
        found = file.attrs.get("wtal_format")
        if found != self._kind or "entries" not in file:
            raise DataError(
                "is HDF5, but of another layout",
                expected=f"{self._what} (wtal_format = {self._kind!r})",
                got=f"wtal_format = {found!r}" if found is not None else "no attribute wtal_format",
                where=self.path,
                next_step="Convert it with 'wtal data convert'",
            )
        version = int(file.attrs.get("layout_version", 0))
        if not 1 <= version <= self._version:
            raise DataError(
                "has an unknown layout version",
                expected=f"1 to {self._version}",
                got=str(version),
                where=self.path,
                next_step="Update wtal",
            )

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """Yield the HDF5 object of one entry.

        Raises:
            DataError: there is no such entry, or h5py trips over something inside the block.
        """
        file = self.file
        with tripping(self.path, self._what, f"entry {name!r} cannot be read"):
            link = encode_name(name)
            if link not in file["entries"]:
                raise unknown_name("video", name, self.names, where=self.path, usage=False)
            yield file["entries"][link]


def write_entries(path: str | os.PathLike[str], kind: str, version: int, fill: Callable[[h5py.File], None]) -> None:
    """Write a whole file of entries in one step, without the detour over parts; an existing file is replaced."""
    try:
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            _stamp(file, kind, version)
            fill(file)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error}", where=path, next_step="Free space on the disk, or name another file"
        ) from error


def _finished_parts(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("entry-*.h5")) if folder.is_dir() else []


def fresh_path(path: str | os.PathLike[str], kind: str = "") -> Path:
    """Return where a file of entries is made anew; it takes the place of the one before when it is complete.

    Args:
        path: the file.
        kind: what distinguishes entries that must not be mixed.
    """
    path = Path(path)
    return path.with_name(f".{path.stem}.new{kind and f'-{kind}'}{path.suffix}")


def has_entries(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of entries, or finished entries that an interrupted writer left beside it."""
    return Path(path).is_file() or bool(_finished_parts(_parts_of(Path(path))))


def remove_entries(path: str | os.PathLike[str]) -> None:
    """Delete a file of entries, and the finished entries that an interrupted writer left beside it."""
    Path(path).unlink(missing_ok=True)
    remove_unfinished(path)


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Delete the finished entries that an interrupted writer left beside a file of entries."""
    shutil.rmtree(_parts_of(Path(path)), ignore_errors=True)


def _parts_of(path: Path) -> Path:
    return path.parent / f".{path.name}.parts"


class EntryWriter:
    """Write a file of entries, each of them atomically; resumable (see the module's docstring).

    Leaving the `with` block merges what was written; leaving it by an exception keeps the finished entries aside, so
    that the next writer on the same path goes on from them.

    Args:
        path: the file to make, or to add entries to.
        kind, version, what: as for `EntryFile`.
        summarise: called with the merged file before it becomes visible, to write root attributes.

    Raises:
        DataError: `path` is a folder, cannot be written, or is a file of another kind.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: str,
        version: int,
        what: str,
        summarise: Callable[[h5py.File], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self._kind, self._version, self._what, self._summarise = kind, version, what, summarise
        if os.path.isdir(self.path):
            raise DataError(
                "is a folder", expected=f"the name of {what}", where=path, next_step="Name a file inside it"
            )
        self._done: set[str] = set()
        if os.path.exists(self.path):
            existing = EntryFile(self.path, kind, version, what)
            self._done.update(existing.names)
            existing.close()
        self._parts = _parts_of(self.path)
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            self._alive = open(self._parts / ".alive", "a")  # noqa: SIM115  # held (shared lock) while this writer lives
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror or error}",
                where=self.path,
                next_step="Name another file or folder",
            ) from error
        self._lock(self._alive, exclusive=False)
        self._closed = False

    @staticmethod
    def _lock(handle: Any, *, exclusive: bool, wait: bool = True) -> bool:
        if fcntl is None:
            return True
        try:
            mode = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
            fcntl.flock(handle, mode)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

    def has(self, name: str) -> bool:
        """Whether the entry is already written, by this writer or an earlier one."""
        return name in self._done or (self._parts / _part_name(name)).exists()

    def names(self) -> tuple[str, ...]:
        """Names of all entries written so far, sorted."""
        found = set(self._done)
        for part in _finished_parts(self._parts):
            with h5py.File(part, "r") as file:
                found.update(decode_name(link) for link in file["entries"])
        return tuple(sorted(found))

    def any_entry(self, look: Callable[[Any], Any]) -> Any:
        """Return `look(entry)` of some entry written before, or None where there is none."""
        files = ([self.path] if self._done and self.path.exists() else []) + _finished_parts(self._parts)[:1]
        for path in files:
            with h5py.File(path, "r") as file:
                for link in file["entries"]:
                    return look(file["entries"][link])
        return None

    def look_at(self, name: str, look: Callable[[Any], Any]) -> Any:
        """Return `look(entry)` of an entry that `has(name)`."""
        for path in (self._parts / _part_name(name), self.path):  # another writer may be merging the part just now
            with suppress(FileNotFoundError), h5py.File(path, "r") as file:
                return look(file["entries"][encode_name(name)])
        raise unknown_name("video", name, self.names(), where=self.path, usage=False)

    def add(self, name: str, fill: Callable[[h5py.File, str], None]) -> None:
        """Write one entry: `fill(file, link)` must make `file["entries"][link]` (and what it needs in `shared`).

        Raises:
            DataError: the entry is already there, or it cannot be written (disk full, no permission).
        """
        if self._closed:
            raise DataError(
                "the writer is closed",
                where=self.path,
                next_step="Open a new writer: it goes on where this one stopped",
            )
        if self.has(name):
            raise DataError(
                f"entry {name!r} is already written", where=self.path, next_step="Ask has() first, or write a new file"
            )
        link = encode_name(name)
        try:
            with atomic_path(self._parts / _part_name(name)) as temporary, h5py.File(temporary, "w") as file:
                _stamp(file, self._kind, self._version)
                fill(file, link)
        except OSError as error:
            raise DataError(
                f"entry {name!r} cannot be written: {error}",
                where=self.path,
                next_step="Free space on the disk and run it again: finished videos are kept",
            ) from error

    def finish(self) -> None:
        """Merge the finished entries into the target and remove what was only needed on the way."""
        if self._closed:
            return
        self._closed = True
        self._parts.mkdir(parents=True, exist_ok=True)  # another writer may have been the last to leave before
        with open(self._parts / ".merge", "a") as merging:
            self._lock(merging, exclusive=True)
            parts = _finished_parts(self._parts)
            if parts:
                self._merge(parts)
                for part in parts:
                    part.unlink(missing_ok=True)
        # The last writer to leave removes the folder, with whatever a killed one left half-made in it.
        if self._lock(self._alive, exclusive=True, wait=False):
            shutil.rmtree(self._parts, ignore_errors=True)
        self._alive.close()

    def abandon(self) -> None:
        """Leave without merging; the finished entries stay aside for the next writer."""
        if not self._closed:
            self._closed = True
            if not _finished_parts(self._parts) and self._lock(self._alive, exclusive=True, wait=False):
                shutil.rmtree(self._parts, ignore_errors=True)
            self._alive.close()

    def _merge(self, parts: list[Path]) -> None:
        try:
            with atomic_path(self.path) as temporary:
                if self.path.exists():
                    shutil.copyfile(self.path, temporary)
                with h5py.File(temporary, "r+" if self.path.exists() else "w") as target:
                    if "entries" not in target:
                        _stamp(target, self._kind, self._version)
                    for part in parts:
                        with h5py.File(part, "r") as source:
                            for room in ("shared", "entries"):
                                for link in source[room]:
                                    if link not in target[room]:
                                        source.copy(source[room][link], target[room], name=link)
                    if self._summarise is not None:
                        self._summarise(target)
        except OSError as error:
            raise DataError(
                f"cannot be written: {error}",
                where=self.path,
                next_step="The finished entries are kept: make room and run the same command again",
            ) from error

    def __enter__(self) -> EntryWriter:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.finish() if kind is None else self.abandon()
