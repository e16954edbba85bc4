"""A run of anybody's method: what any training or test loop logs becomes a run folder that every page opens.

::

    with wtal.start_run("runs/autoloc", data="datasets/thumos14", method="AutoLoc") as run:
        for video, features in test_videos:
            run.log(video, cas=cas, attention={"foreground": a})

Every video is written at once and atomically. A run that was interrupted goes on with `resume=True`; so do further
processes that log other videos of the same run. PyTorch is not needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from wtal_core.arrays import Array
from wtal_core.data import read_detections, write_detections
from wtal_core.data.activations import ActivationWriter
from wtal_core.data.dataset import Dataset
from wtal_core.data.hdf5 import encode_name
from wtal_core.errors import UsageError, WtalError, counted, unknown_name
from wtal_core.files import write_json
from wtal_core.records import Activations, Boundaries, Detections, Track, View
from wtal_core.records.views import views_to_plain
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import localize, rescore
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["RunWriter", "start_run", "video_scores_of"]

_BEST_SHARE = 8  # of a video's snippets, one in so many makes its video-level score


def video_scores_of(cas: npt.ArrayLike, num_classes: int) -> npt.NDArray[np.float32]:
    """Return video-level scores `(C,)` of a CAS: the mean of the best eighth of its snippets, at least one."""
    actions = np.asarray(cas, dtype=np.float32)[:, :num_classes]
    k = max(1, len(actions) // _BEST_SHARE)
    return np.asarray(np.sort(actions, axis=0)[-k:].mean(axis=0), dtype=np.float32)


class RunWriter:
    """Writes a run of any method, see `start_run`. Leave it by `close()`, or use it in a `with` block."""

    def __init__(self, run: Run, dataset: Dataset | None) -> None:
        self.run, self.dataset = run, dataset
        self.folder = run.folder
        self._writers: dict[int | None, ActivationWriter] = {}
        self._parts = run.folder / ".detections.parts"
        self._grids: Mapping[str, SnippetGrid] | None = None
        run.set_status("running")

    # -- logging ----------------------------------------------------------------------------------------------------

    def has(self, video: str) -> bool:
        """Return whether the activations or detections of a video are logged already."""
        return self._writer(None).has(video) or self._part(video).is_file()

    def log(
        self,
        video: str,
        *,
        cas: npt.ArrayLike | None = None,
        video_scores: npt.ArrayLike | None = None,
        attention: Mapping[str, npt.ArrayLike] | None = None,
        maps: Mapping[str, npt.ArrayLike] | None = None,
        branches: Mapping[str, npt.ArrayLike] | None = None,
        curves: Mapping[str, npt.ArrayLike] | None = None,
        masks: Mapping[str, npt.ArrayLike] | None = None,
        embedding: npt.ArrayLike | None = None,
        proposals: Mapping[str, Boundaries] | None = None,
        scalars: Mapping[str, float] | None = None,
        tracks: Mapping[str, Track] | None = None,
        detections: Detections | Sequence[tuple[str, float, float, float]] | None = None,
        grid: SnippetGrid | None = None,
        step: int | None = None,
    ) -> bool:
        """Write what a method says about one video; everything but the video is optional.

        Arrays may be NumPy arrays, lists, or tensors on the CPU. T snippets, C classes of the run.

        Args:
            video: its id in the data set.
            cas: `(T, C)` or `(T, C + 1)`, the background last.
            video_scores: `(C,)`; default `video_scores_of(cas)`.
            attention: `{name: (T,)}`.
            maps: further sequences `{name: (T, C) or (T, C + 1)}`.
            branches: `{name: (K, T, C) or (K, T, C + 1)}`.
            curves: `{name: (T,)}` that are no attention, e.g. an uncertainty.
            masks: `{name: (T,) bool}`.
            embedding: `(T, D')`.
            proposals: `{name: Boundaries.of(start, end, score)}`.
            scalars: `{name: number}`.
            tracks: `{name: Track}`, where meaning, range or legend are to be said.
            detections: of the video, a table or rows `(label, start, end, score)` in seconds.
            grid: where the snippets lie in time; default that of the data set's features where it has as many
                snippets, else spread evenly over the annotated duration.
            step: of the training; what is logged with a step is kept aside, for the slider of Explore.

        Returns:
            False, and nothing is written, if the video was logged before.

        Raises:
            UsageError: the video is not in the data set, or its snippets cannot be placed in time.
            DataError: shapes disagree, or a value is not finite.
        """
        if self.dataset is not None and video not in self.dataset.annotations.videos:
            raise unknown_name("video", video, self.dataset.annotations.videos, where=self.folder)
        written = False
        parts: dict[str, Any] = {
            "cas": cas, "attention": attention, "maps": maps, "branches": branches, "curves": curves, "masks": masks,
            "embedding": embedding, "tracks": tracks,
        }  # fmt: skip
        if any(part is not None for part in parts.values()):
            writer = self._writer(step)
            if not writer.has(video):
                acts = self._activations(
                    video, grid, video_scores, proposals=proposals or {}, scalars=scalars or {}, **parts
                )
                writer.write(video, acts)
                written = True
        if detections is not None:
            table = detections if isinstance(detections, Detections) else _table(video, detections)
            strange = sorted(set(table.video_codes[1]) - {video})
            if strange:
                raise UsageError(
                    "the detections are of other videos", expected=video, got=", ".join(strange[:3]),
                    where=self.folder, next_step="Log each video's own",
                )  # fmt: skip
            if step is None and not self._part(video).is_file():
                self._parts.mkdir(exist_ok=True)
                write_detections(table, self._part(video), format="activitynet")
                written = True
        return written

    def log_detections(self, detections: Detections) -> None:
        """Write the detections of many videos at once, in place of what was logged of these videos."""
        self._parts.mkdir(exist_ok=True)
        name = f"many-{os.getpid()}-{len(list(self._parts.iterdir()))}.json"
        write_detections(detections, self._parts / name, format="activitynet")

    def log_activations(self, video: str, activations: Activations, *, step: int | None = None) -> bool:
        """Write the activations of a video that were put together elsewhere; False if it was logged before."""
        writer = self._writer(step)
        if writer.has(video):
            return False
        writer.write(video, activations)
        return True

    def log_metrics(self, step: int, **values: float) -> None:
        """Append numbers of a training step to `metrics.jsonl`, for the Train page.

        Names that begin with "mAP" or "val" are validation metrics, all others loss terms.
        """
        checks = {name: float(v) for name, v in values.items() if name.lower().startswith(("map", "val"))}
        losses = {name: float(v) for name, v in values.items() if name not in checks}
        at = {"stage": "train", "stage_index": 0, "step": int(step)}
        if losses:
            self.run.log(kind="losses", losses=losses, **at)
        if checks:
            self.run.log(kind="validation", metrics=checks, **at)
        self.run.set_status("running", step=int(step))

    # -- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Put together what was logged; localize and score it where that is possible."""
        for writer in self._writers.values():
            writer.close()
        with FileLock(self.folder / ".writing.lock"):
            logged = self._merge_detections()
            note = ""
            if not logged and self.run.activations_path.is_file() and self.run.info.classes:
                found = localize(self.run)
                note = f"{counted(len(found), 'detection')} by the generic localizer"
            if self.run.detections_path.is_file():
                try:
                    rescore(self.run, self.dataset)
                except WtalError as error:  # what was logged is kept, also where it cannot be scored
                    note = f"not scored: {error}"
            self.run.set_status("finished", message=note)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        for writer in self._writers.values():  # what is finished stays aside for resume=True
            writer.__exit__(kind, error, trace)
        self.run.set_status("failed", message=f"{type(error).__name__}: {error}")

    # -- inside -----------------------------------------------------------------------------------------------------

    def _writer(self, step: int | None) -> ActivationWriter:
        if step not in self._writers:
            path = self.run.activations_path if step is None else self.run.kept_path(int(step))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[step] = ActivationWriter(path)
        return self._writers[step]

    def _part(self, video: str) -> Path:
        return self._parts / f"{encode_name(video)}.json"

    def _merge_detections(self) -> bool:
        """Put the videos' detections into one file; return whether any were logged."""
        parts = sorted(self._parts.glob("*.json")) if self._parts.is_dir() else []
        if not parts:
            return self.run.detections_path.is_file()
        fresh = Detections.concat(read_detections(part) for part in parts)
        new = set(fresh.video_codes[1])
        if self.run.detections_path.is_file():
            before = read_detections(self.run.detections_path)
            fresh = before[np.array([v not in new for v in before.video], dtype=bool)] + fresh
        write_detections(fresh, self.run.detections_path, format="activitynet")
        for part in parts:
            part.unlink(missing_ok=True)
        return True

    def _activations(
        self, video: str, grid: SnippetGrid | None, scores: npt.ArrayLike | None, **parts: Any
    ) -> Activations:
        arrays = {name: _named(parts[name] or {}) for name in ("attention", "maps", "branches", "curves", "masks")}
        cas = None if parts["cas"] is None else _array(parts["cas"])
        embedding = None if parts["embedding"] is None else _array(parts["embedding"])
        own = dict(parts["tracks"] or {})
        lengths = [len(a) for a in (cas, embedding) if a is not None]
        lengths += [len(a) for name in ("attention", "maps", "curves", "masks") for a in arrays[name].values()]
        lengths += [a.shape[1] for a in arrays["branches"].values() if a.ndim > 1]
        lengths += [len(t.values) for t in own.values() if t.kind in ("curve", "map", "mask", "embedding")]
        if not lengths:
            raise UsageError(
                "nothing says how many snippets the video has", expected="a CAS, a curve or a map", where=video,
                next_step="Log one of them together with scalars and proposals",
            )  # fmt: skip
        classes = self.run.info.classes if cas is not None else ()
        own |= {name: Track("branches", a) for name, a in arrays["branches"].items()}
        own |= {name: Track("curve", a) for name, a in arrays["curves"].items()}
        own |= {name: Track("mask", a.astype(bool)) for name, a in arrays["masks"].items()}
        own |= {name: Track("proposals", table) for name, table in parts["proposals"].items()}
        own |= {name: Track("scalar", float(value)) for name, value in parts["scalars"].items()}
        if scores is None:
            scores = np.zeros(0, np.float32) if cas is None else video_scores_of(cas, len(classes))
        return Activations(
            cas=np.zeros((lengths[0], 0), np.float32) if cas is None else cas,
            video_scores=_array(scores),
            grid=grid or self._grid(video, lengths[0]),
            classes=classes,
            attention=arrays["attention"],
            extra_cas=arrays["maps"],
            embedding=embedding,
            tracks=own,
            method=self.run.info.method,
        )

    def _grid(self, video: str, length: int) -> SnippetGrid:
        """Return the grid of the data set's features where it fits, else one spread over the video."""
        duration = None
        if self.dataset is not None:
            duration = self.dataset.annotations.videos[video].duration
            if self.dataset.feature_names:
                with self.dataset.store() as store:
                    if video in store.videos and store.grid(video).num_snippets == length:
                        return store.grid(video)
        if duration is None:
            raise UsageError(
                "nothing says where the snippets lie in time",
                expected=f"a grid of {length} snippets, or a data set that knows the video's duration",
                where=video,
                next_step="Give the grid, e.g. SnippetGrid.preset('i3d-25fps-16', T)",
            )
        return SnippetGrid.rescaled(length, duration)


def _array(values: Any) -> Array:
    """Return an array of numbers; tensors are taken off their graph."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype.kind in "fiu" else array


def _named(values: Mapping[str, Any]) -> dict[str, Array]:
    return {str(name): _array(value) for name, value in values.items()}


def _table(video: str, rows: Sequence[tuple[str, float, float, float]]) -> Detections:
    try:
        label, start, end, score = zip(*rows, strict=True) if len(rows) else ((), (), (), ())
    except (TypeError, ValueError) as error:
        raise UsageError(
            "the detections are not rows", expected="(label, start, end, score), seconds", got=str(rows)[:80],
            where=video, next_step="Give one such row a detection",
        ) from error  # fmt: skip
    return Detections(video, list(label), list(start), list(end), list(score))


def start_run(
    folder: str | os.PathLike[str],
    *,
    data: Dataset | str | os.PathLike[str] | None = None,
    method: str = "",
    classes: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    views: Sequence[View] = (),
    seed: int = 0,
    notes: str = "",
    resume: bool = False,
) -> RunWriter:
    """Begin a run of anybody's method, to be filled by `run.log(...)`.

    Args:
        folder: the run folder to make.
        data: the data set (opened, or its folder) the videos belong to; with it the run is scored at the end.
        method: what the method is called.
        classes: class names in the CAS's channel order; default the data set's.
        config: any settings that are worth keeping, as plain values; "localization" may hold `GenericLocalization`'s.
        views: how its tracks are shown; tracks that none names get rows by their kind.
        seed: of the training, so that runs that differ in it are put together.
        notes: anything worth saying.
        resume: go on with the run in the folder if there is one; needed where several processes log.

    Raises:
        UsageError: the folder holds a run and `resume` is not given, or it is the run of another method.
    """
    dataset = data if isinstance(data, Dataset) or data is None else Dataset.open(data)
    names = tuple(classes) or (dataset.classes if dataset is not None else ())
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with FileLock(path / ".writing.lock"):
        there = (path / "run.yaml").is_file()
        if there and not resume:
            raise UsageError(
                "holds a run already", where=path, next_step="Choose another folder, or go on with it: resume=True"
            )
        if there:
            run = Run.open(path)
            if (run.info.method, run.info.classes) != (method, names):
                raise UsageError(
                    "holds the run of another method or with other classes",
                    expected=f"{method or 'no method'}, {len(names)} classes",
                    got=f"{run.info.method or 'no method'}, {len(run.info.classes)} classes",
                    where=path,
                    next_step="Choose another folder",
                )
        else:
            source: dict[str, Any] = {}
            if dataset is not None:
                test = list(dataset.subsets("test")) if "test" in dataset.splits else []
                source = {"name": dataset.name, "folder": str(dataset.folder.resolve()), "features": None,
                          "train": [], "test": test}  # fmt: skip
            info = RunInfo(method=method, classes=names, config=dict(config or {}), dataset=source, seed=seed,
                           notes="\n".join(part for part in ("logged", notes) if part))  # fmt: skip
            run = Run.create(path, info)
            if views:
                write_json(run.views_path, views_to_plain(tuple(views)))
    return RunWriter(run, dataset)
