"""Find what a workspace folder holds: data sets, runs, jobs.

A workspace is a folder (`$WTAL_HOME`, else the current one). Searched are `assets/demo`, `datasets/` and `runs/` below
it, the folder itself and the folders in it (a data set may be the workspace), the `runs/` of every data set, and
folders that the user registered in `<home>/.wtal/workspace.json`. What cannot be read is listed with its error instead
of being left out, so that a person sees what is wrong with it.

The id of a data set or run is its folder: relative to the workspace where it lies in it, else absolute. A link may name
it by the end of its path that no other has: `hamnet` for `runs/hamnet`, `demo/hamnet` for `assets/demo/runs/hamnet`.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wtal_core.errors import DataError, UsageError, text_of, unknown_name
from wtal_core.files import read_json, write_json
from wtal_core.jobs.queue import Queue
from wtal_core.runs.find import files_below
from wtal_core.workspace.summary import RunSummary, summarize, training_jobs, waiting_run

__all__ = ["DatasetEntry", "Workspace", "home_folder", "matches"]

_DATASET, _RUN = "dataset.yaml", "run.yaml"
_SEARCHED = ("assets/demo", "datasets", "runs")
_DEPTH = 4  # folders below a searched one
_ORDER = {state: i for i, state in enumerate(("running", "stopping", "queued"))}


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A data set of the workspace.

    Args:
        id: its folder: relative to the workspace where it lies in it, else absolute. It does not change.
        name: what its `dataset.yaml` calls it.
        folder: where it lies.
        error: why it cannot be read, "" where it can.
    """

    id: str
    name: str
    folder: Path
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
        self.queue = Queue(self.home)
        self._names: dict[str, str] = {}  # of the runs that were found the last time, by id

    # -- what there is --------------------------------------------------------------------------------------------

    def datasets(self) -> dict[str, DatasetEntry]:
        """Return `{id: data set}`, demo first, then by path."""
        found = (_read_dataset(id, folder) for id, folder in self._find(_DATASET, self._roots()).items())
        return {entry.id: entry for entry in found if not entry.error or (entry.folder / _DATASET).is_file()}

    def runs(self, dataset: DatasetEntry | None = None) -> dict[str, RunSummary]:
        """Return `{id: run}`, by path; those of one data set (and unreadable ones) where it is given."""
        roots = {entry.folder / "runs": _DEPTH for entry in self.datasets().values()} | self._roots()
        jobs = training_jobs(self.queue.jobs())
        found = self._find(_RUN, roots)
        self._names = _short_names(found)
        every = (
            replace(summarize(folder, id, jobs.get(folder, ())), name=self._names[id]) for id, folder in found.items()
        )
        return {
            run.id: run
            for run in every
            if (dataset is None or run.error or self._belongs(run, dataset))
            and (not run.error or (run.folder / _RUN).is_file())  # deleted since it was listed
        }

    def trainings(self) -> list[RunSummary]:
        """Return the runs and the trainings that are to make one: running, waiting, then past ones, latest first."""
        found = self.runs()
        there = {run.folder for run in found.values()}
        waiting = [
            waiting_run(folder, self._id(folder), jobs)
            for folder, jobs in training_jobs(self.queue.jobs()).items()
            if folder not in there
        ]
        past = len(_ORDER)
        return sorted(
            [*found.values(), *filter(None, waiting)],
            key=lambda run: (
                _ORDER.get(run.state, past), run.when if run.state in _ORDER else -run.when, run.name
            ),
        )  # fmt: skip

    def dataset_of(self, run: RunSummary) -> DatasetEntry | None:
        """Return the data set a run is of, where the workspace has it."""
        candidates = [entry for entry in self.datasets().values() if self._belongs(run, entry)]
        same = [entry for entry in candidates if run.dataset_folder and entry.folder == Path(run.dataset_folder)]
        return next(iter(same or candidates), None)

    def dataset(self, name: str) -> DatasetEntry:
        """Return a data set by its id, or by an end of it that no other has.

        Raises:
            UsageError: there is none, or there are several.
        """
        known = self.datasets()
        return known[_one_of(name, known, "data set", self.home)]

    def run(self, name: str, dataset: DatasetEntry | None = None) -> RunSummary:
        """Return a run by its id, or by an end of it that no other has.

        Args:
            name: the id or its end.
            dataset: look among the runs of this data set only.

        Raises:
            UsageError: there is none, or there are several.
        """
        folder = (self.home / name).resolve()
        if dataset is None and name in self._names and (folder / _RUN).is_file():
            jobs = training_jobs(self.queue.jobs()).get(folder, ())
            return replace(summarize(folder, name, jobs), name=self._names[name])
        known = self.runs(dataset)
        return known[_one_of(name, known, "run", self.home)]

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
        if not os.path.isdir(path):
            raise UsageError("is not a folder", where=path, next_step="Check the path")
        if not any(True for name in (_DATASET, _RUN) for _ in files_below(path, name, _DEPTH)):
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

    def _find(self, name: str, roots: Mapping[Path, int]) -> dict[str, Path]:
        """Return `{id: folder}` of the folders that hold a file called `name`."""
        found: dict[Path, str] = {}
        for root in [*(root for root in roots if root != self.home), self.home]:
            for file in files_below(root, name, roots[root]):
                folder = file.parent.resolve()
                found.setdefault(folder, self._id(folder, file.parent))
        return {id: folder for folder, id in found.items()}

    def _id(self, folder: Path, found_as: Path | None = None) -> str:
        """Return the id of a folder, which a link in the workspace may have led to."""
        for path in (folder, found_as or folder):
            if path.is_relative_to(self.home):
                return self.home.name if path == self.home else path.relative_to(self.home).as_posix()
        return str(folder)

    @staticmethod
    def _belongs(run: RunSummary, dataset: DatasetEntry) -> bool:
        same_folder = bool(run.dataset_folder) and Path(run.dataset_folder) == dataset.folder
        return same_folder or run.dataset == dataset.name


def _read_dataset(id: str, folder: Path) -> DatasetEntry:
    try:
        return DatasetEntry(id, _dataset_name(folder, (folder / _DATASET).stat().st_mtime_ns), folder)
    except Exception as error:  # whatever is wrong with one entry, the others are shown
        return DatasetEntry(id, folder.name, folder, text_of(error, folder / _DATASET))


@functools.lru_cache(maxsize=256)
def _dataset_name(folder: Path, changed: int) -> str:
    from wtal_core.data.dataset import Dataset

    return Dataset.open(folder).name


# -- ids as links say them ------------------------------------------------------------------------------------------


def _ends(id: str) -> list[str]:
    """Return the ends of a path, shortest first; that a data set or workspace keeps its runs in runs/ says nothing."""
    parts = [part for part in PurePosixPath(id).parts if part not in ("/", "runs")]
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)]


def _short_names(ids: Iterable[str]) -> dict[str, str]:
    """Return for each id the shortest end that no other has; the id itself where it has none."""
    ids = list(ids)
    shared = Counter(end for id in ids for end in _ends(id))
    return {id: next((end for end in _ends(id) if shared[end] == 1), id) for id in ids}


def matches(name: str, ids: Iterable[str]) -> list[str]:
    """Return the id that a name is, else those that it is an end of."""
    ids = list(ids)
    end = _ends(name)[-1:]
    return [name] if name in ids else [id for id in ids if end and end[0] in _ends(id)]


def _one_of(name: str, ids: Iterable[str], kind: str, where: Path) -> str:
    """Return the id that a name is, or is an end of."""
    ids = list(ids)
    found = matches(name, ids)
    if len(found) > 1:
        raise UsageError(
            f"{name!r} may be one of several {kind}s",
            expected=" or ".join(found),
            where=where,
            next_step="Choose one of them",
        )
    if not found:
        raise unknown_name(kind, name, ids, where=where)
    return found[0]
