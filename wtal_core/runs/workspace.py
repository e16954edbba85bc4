"""The workspace of the app: which data sets and runs there are, found by id.

A workspace is a folder (`$WTAL_HOME`, else the current one). Searched are `assets/demo`, `datasets/` and `runs/` below
it, the folder itself and the folders in it (a data set may be the workspace), the `runs/` of every data set, and
folders that the user registered in `<home>/.wtal/workspace.json`. What cannot be read is listed with its error instead
of being left out, so that a person sees what is wrong with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wtal_core.data.dataset import Dataset
from wtal_core.errors import DataError, UsageError, WtalError, unknown_name
from wtal_core.files import read_json, visible, write_json
from wtal_core.runs.folder import Run

__all__ = ["DatasetEntry", "RunEntry", "Workspace", "home_folder"]

_DATASET, _RUN = "dataset.yaml", "run.yaml"
_SEARCHED = ("assets/demo", "datasets", "runs")
DETECTIONS = "detections"  # folder of the home that imported detection files are kept in
_DEPTH = 4  # folders below a searched one


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A data set of the workspace.

    Args:
        id: its name in links; unique in the workspace.
        name: what its `dataset.yaml` calls it.
        folder: where it lies.
        error: why it cannot be read, "" where it can.
    """

    id: str
    name: str
    folder: Path
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run of the workspace.

    Args:
        id: its name in links; unique in the workspace.
        name: the folder's name.
        folder: where it lies.
        method: name of the method, "" where the run cannot be read.
        dataset_name: name of the data set it was trained on, "" where it does not say.
        dataset_folder: where that data set lay when it was trained, "" where it does not say.
        error: why it cannot be read, "" where it can.
    """

    id: str
    name: str
    folder: Path
    method: str = ""
    dataset_name: str = ""
    dataset_folder: str = ""
    error: str = ""


def home_folder() -> Path:
    """Return the workspace folder: `$WTAL_HOME`, else the current folder."""
    return Path(os.environ.get("WTAL_HOME") or ".").resolve()


class Workspace:
    """What a workspace folder holds. Cheap to ask again: files that did not change are not read again.

    Args:
        home: the folder; need not exist.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = Path(home).resolve() if home is not None else home_folder()
        self._datasets: dict[tuple[Path, int], DatasetEntry] = {}
        self._runs: dict[tuple[Path, int], RunEntry] = {}

    # -- what there is --------------------------------------------------------------------------------------------

    def datasets(self) -> dict[str, DatasetEntry]:
        """Return `{id: data set}`, demo first, then by path."""
        found = []
        for key in self._find(_DATASET):
            entry = self._datasets.get(key) or _read_dataset(key[0].parent)
            if not entry.error:  # permissions may be given without the file being changed
                self._datasets[key] = entry
            found.append(entry)
        ids = _unique_ids([entry.folder for entry in found], [entry.folder.name for entry in found])
        return {i: replace(entry, id=i) for i, entry in zip(ids, found, strict=True)}

    def runs(self, dataset: DatasetEntry | None = None) -> dict[str, RunEntry]:
        """Return `{id: run}`, by path; those of one data set (and unreadable ones) where it is given."""
        found = []
        for key in self._find(_RUN):
            entry = self._runs.get(key) or _read_run(key[0].parent)
            if not entry.error:
                self._runs[key] = entry
            found.append(entry)
        ids = _unique_ids([entry.folder for entry in found], [self._short(entry.folder) for entry in found])
        every = {i: replace(entry, id=i) for i, entry in zip(ids, found, strict=True)}
        if dataset is None:
            return every
        return {i: entry for i, entry in every.items() if entry.error or self._belongs(entry, dataset)}

    def dataset_of(self, run: RunEntry) -> DatasetEntry | None:
        """Return the data set a run was trained on, where the workspace has it."""
        candidates = [entry for entry in self.datasets().values() if self._belongs(run, entry)]
        same = [entry for entry in candidates if run.dataset_folder and entry.folder == Path(run.dataset_folder)]
        return next(iter(same or candidates), None)

    def dataset(self, id: str) -> DatasetEntry:
        """Return a data set by id.

        Raises:
            UsageError: there is none of this id.
        """
        known = self.datasets()
        if id not in known:
            raise unknown_name("data set", id, known, where=self.home)
        return known[id]

    def run(self, id: str) -> RunEntry:
        """Return a run by id.

        Raises:
            UsageError: there is none of this id.
        """
        known = self.runs()
        if id not in known:
            raise unknown_name("run", id, known, where=self.home)
        return known[id]

    def detection_files(self) -> dict[str, Path]:
        """Return `{name: file}` of the detections of other systems that were imported, by name."""
        folder = self.home / DETECTIONS
        return {file.stem: file for file in visible(folder, "*.json")} if folder.is_dir() else {}

    # -- registering ----------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        """Path of the list of registered folders."""
        return self.home / ".wtal" / "workspace.json"

    def registered(self) -> tuple[Path, ...]:
        """Return the registered folders.

        Raises:
            DataError: the list is damaged.
        """
        if not self.file.is_file():
            return ()
        content = read_json(self.file, "the workspace's list of folders")
        folders = content.get("folders") if isinstance(content, Mapping) else None
        if not isinstance(folders, list) or not all(isinstance(f, str) for f in folders):
            raise DataError(
                "is not a list of folders",
                expected='{"folders": [...]}',
                where=self.file,
                next_step="Delete this file, and add the folders again",
            )
        return tuple(Path(f) for f in folders)

    def register(self, folder: str | os.PathLike[str]) -> Path:
        """Add a folder that is, or holds, data sets or runs; return its absolute path.

        Raises:
            UsageError: it does not exist, or holds neither.
        """
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise UsageError("is not a folder", where=path, next_step="Check the path")
        if not any(True for name in (_DATASET, _RUN) for _ in _below(path, name, _DEPTH)):
            raise UsageError(
                "holds neither a data set nor a run",
                expected=f"a {_DATASET} or {_RUN} in it or below it",
                where=path,
                next_step="Make one with 'wtal data import' or 'wtal train'",
            )
        known = self.registered()
        if path not in known:
            write_json(self.file, {"folders": [str(p) for p in (*known, path)]})
        return path

    def unregister(self, folder: str | os.PathLike[str]) -> None:
        """Take a folder off the list; nothing on disk is touched."""
        path = Path(folder).expanduser().resolve()
        write_json(self.file, {"folders": [str(p) for p in self.registered() if p != path]})

    # -- inside ---------------------------------------------------------------------------------------------------

    def _roots(self) -> dict[Path, int]:
        """Return `{folder: how many levels below it are searched}`."""
        try:
            more = self.registered()
        except DataError:  # said where folders are registered; the rest of the workspace stays usable
            more = ()
        return {self.home: 1} | dict.fromkeys((*(self.home / part for part in _SEARCHED), *more), _DEPTH)

    def _find(self, name: str) -> list[tuple[Path, int]]:
        """Return the files called `name` with their modification times."""
        roots = self._roots()
        if name == _RUN:
            roots = {entry.folder / "runs": _DEPTH for entry in self.datasets().values()} | roots
        order = [*(root for root in roots if root != self.home), self.home]
        files = dict.fromkeys(file.resolve() for root in order for file in _below(root, name, roots[root]))
        found = []
        for file in files:
            with suppress(FileNotFoundError):  # deleted since it was listed
                found.append((file, file.stat().st_mtime_ns))
        return found

    def _short(self, folder: Path) -> str:
        for root in [*(root for root in self._roots() if root != self.home), self.home]:
            if folder != root and folder.is_relative_to(root):
                # A data set keeps its runs in runs/.
                return f"/{folder.relative_to(root).as_posix()}".replace("/runs/", "/").removeprefix("/")
        return folder.name

    @staticmethod
    def _belongs(run: RunEntry, dataset: DatasetEntry) -> bool:
        same_folder = bool(run.dataset_folder) and Path(run.dataset_folder) == dataset.folder
        return same_folder or run.dataset_name == dataset.name


def _below(root: Path, name: str, depth: int) -> Iterator[Path]:
    """Yield files called `name` in a folder and up to `depth` levels below, not looking inside what was found."""
    # os.path, unlike Path, does not raise where a folder is not ours to look into, such as lost+found of a disk.
    if os.path.isfile(root / name):
        yield root / name
        return
    if depth <= 0 or not os.path.isdir(root):
        return
    try:
        folders = sorted(p for p in root.iterdir() if not p.name.startswith(".") and os.path.isdir(p))
    except OSError:
        return
    for folder in folders:
        yield from _below(folder, name, depth - 1)


def _read_dataset(folder: Path) -> DatasetEntry:
    try:
        return DatasetEntry(id="", name=Dataset.open(folder).name, folder=folder)
    except WtalError as error:
        return DatasetEntry(id="", name=folder.name, folder=folder, error=str(error))


def _read_run(folder: Path) -> RunEntry:
    try:
        info = Run.open(folder).info
    except WtalError as error:
        return RunEntry(id="", name=folder.name, folder=folder, error=str(error))
    source = info.dataset
    return RunEntry(
        id="",
        name=folder.name,
        folder=folder,
        method=info.method,
        dataset_name=str(source.get("name") or ""),
        dataset_folder=str(source.get("folder") or ""),
    )


def _unique_ids(folders: list[Path], wanted: list[str]) -> list[str]:
    """Return the wanted names; those that several folders want get a digest of their path."""
    return [
        name
        if wanted.count(name) == 1
        else f"{name}~{hashlib.sha1(os.fsencode(folder), usedforsecurity=False).hexdigest()[:6]}"
        for folder, name in zip(folders, wanted, strict=True)
    ]
