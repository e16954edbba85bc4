"""Make a run of what somebody's code wrote to files: activations as .npz or .h5, detections in any format that is read.

An .npz holds the arrays of one video (its name is the video's id), or of many under `<video>/<key>`. Keys:

cas  video_scores  embedding        as `RunWriter.log` takes them
attention.NAME  map.NAME  branches.NAME  curve.NAME  mask.NAME  scalar.NAME
classes                             names in channel order, for all videos of the file
any other key                       by its shape: (T,) bool is a mask, (T,) a curve, (T, C) a map, (K, T, C) branches
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data import read_detections
from wtal_core.data.activations import ActivationStore
from wtal_core.data.dataset import Dataset
from wtal_core.data.safe_load import load_npz
from wtal_core.errors import DataError, UsageError, and_more
from wtal_core.files import visible
from wtal_core.progress import track
from wtal_core.records import Detections
from wtal_core.runs.folder import Run
from wtal_core.runs.writer import start_run
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["import_predictions"]

_PARTS = {"attention": "attention", "map": "maps", "branches": "branches", "curve": "curves", "mask": "masks",
          "scalar": "scalars"}  # fmt: skip
_ALONE = ("cas", "video_scores", "embedding")


def import_predictions(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    data: Dataset | None = None,
    method: str = "",
    classes: Sequence[str] = (),
    grid: str = "",
    quiet: bool = False,
) -> Run:
    """Make a finished run of activations and detections from files.

    Args:
        sources: `.npz` files, folders of them, `.h5` activation files, and detection files.
        out: run folder to make.
        data: the data set the videos belong to; with it the run is scored.
        method: what the method is called.
        classes: class names in channel order; default those in the files, else the data set's.
        grid: a snippet grid's name for activations that say none; default see `RunWriter.log`.
        quiet: no progress bar.

    Raises:
        DataError: a file cannot be read, or what it holds fits together with nothing.
        UsageError: there are no classes, or the folder holds a run.
    """
    detections: list[Detections] = []
    stores: list[ActivationStore] = []
    arrays: list[tuple[str, Mapping[str, Array]]] = []
    named: tuple[str, ...] = ()
    for source in map(Path, sources):
        if source.is_dir() or source.suffix == ".npz":
            files = visible(source, "*.npz") if source.is_dir() else [source]
            if not files:
                raise DataError(
                    "holds no .npz files", expected="one a video", where=source,
                    next_step="Name the folder of the files, or a file",
                )  # fmt: skip
            for file in files:
                found, names = _read_npz(file)
                arrays += found
                named = named or names
        elif source.suffix in (".h5", ".hdf5"):
            stores.append(ActivationStore(source))
            named = named or stores[-1].classes
        else:
            detections.append(read_detections(source))
    table = Detections.concat(detections)
    names = tuple(classes) or named or (data.classes if data is not None else ()) or table.label_codes[1]
    if not names and any("cas" in found for _, found in arrays):
        raise UsageError(
            "the classes of the CAS are not known", expected="class names in channel order", where=str(sources[0]),
            next_step="Give classes, or the data set",
        )  # fmt: skip
    if data is not None:
        _check_videos(data, [*table.video_codes[1], *(v for v, _ in arrays), *(v for s in stores for v in s.videos)])
    with start_run(out, data=data, method=method, classes=names, notes="imported") as run:
        for video, content in track(arrays, "import", quiet=quiet):
            length = next((len(a) for a in content.values() if a.ndim), 0)
            own = SnippetGrid.preset(grid, length) if grid else None
            run.log(video, grid=own, **_log_parts(content, video))
        for store in stores:
            for video in track(store.videos, "import", quiet=quiet):
                run.log_activations(video, store.read(video))
        if detections:
            run.log_detections(table)
    return run.run


def _check_videos(data: Dataset, videos: Sequence[str]) -> None:
    unknown = sorted(set(videos) - data.annotations.videos.keys())
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(set(videos))} videos are not in the data set",
            expected=f"ids like {next(iter(data.annotations.videos), '')!r}",
            got=f"{unknown[0]!r}{and_more(len(unknown))}",
            where=data.folder,
            next_step="Name the videos as the data set does, or name the right data set",
        )


def _read_npz(file: Path) -> tuple[list[tuple[str, dict[str, Array]]], tuple[str, ...]]:
    """Return the arrays of each video in a file, and the class names it states."""
    content = {str(key): np.asarray(value) for key, value in load_npz(file).items()}
    classes = tuple(str(name) for name in content.pop("classes", np.zeros(0)).ravel().tolist())
    if not content:
        raise DataError("holds no arrays", expected="cas, attention.NAME, ...", where=file, next_step="Write them")
    if not any("/" in key for key in content):
        return [(file.stem, content)], classes
    videos: dict[str, dict[str, Array]] = {}
    for key, value in content.items():
        video, slash, name = key.rpartition("/")
        if not slash:
            raise DataError(
                f"the array {key!r} belongs to no video", expected="<video>/<key>", where=file,
                next_step="Name it like the others of the file",
            )  # fmt: skip
        videos.setdefault(video, {})[name] = value
    return list(videos.items()), classes


def _log_parts(content: Mapping[str, Array], video: str) -> dict[str, Any]:
    """Return the arguments of `RunWriter.log` that arrays stand for."""
    parts: dict[str, Any] = {}
    for key, value in content.items():
        kind, dot, name = key.partition(".")
        if key in _ALONE:
            parts[key] = value
        elif dot and name and kind in _PARTS:
            parts.setdefault(_PARTS[kind], {})[name] = value
        elif key == "attention" and value.ndim == 1:
            parts.setdefault("attention", {})["attention"] = value
        else:
            parts.setdefault(_by_shape(key, value, video), {})[key.replace(".", "_")] = value
    return parts


def _by_shape(key: str, value: Array, video: str) -> str:
    if value.dtype.kind in "biuf" and 0 <= value.ndim <= 3:
        one = "masks" if value.dtype.kind == "b" else "curves"
        return ("scalars", one, "maps", "branches")[value.ndim]
    raise DataError(
        f"{key!r} is nothing that a run holds",
        expected="cas, video_scores, embedding, or an array (T,), (T, C) or (K, T, C)",
        got=f"{value.dtype} {value.shape}",
        where=video,
        next_step="Leave it out, or reshape it",
    )
