"""Pack a built world into as few bytes as possible: what `assets/demo` holds.

Everything opens as it does in the world it came from. Left out are the training videos (their features and annotations
stay), hidden embeddings and the runs' own working files; HDF5 is compressed without loss, but for the boundaries of
ACN, which are rounded to single precision. Detections and scores are computed again from what is packed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wtal_core.data.dataset import Dataset
from wtal_core.demo.world import feature_path
from wtal_core.errors import UsageError
from wtal_core.files import atomic_path
from wtal_core.progress import track
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import evaluate_run, localize

__all__ = ["repack", "ship"]

_WORTH_COMPRESSING = 4096  # bytes; compressed arrays are chunked, which costs more than it saves on short ones


def ship(folder: str | os.PathLike[str], out: str | os.PathLike[str], *, quiet: bool = False) -> dict[str, Any]:
    """Pack a built world into another folder.

    Args:
        folder: data set folder that `build` made.
        out: folder to make; runs and videos of an earlier packing are replaced.
        quiet: no progress bar.

    Returns:
        folder, number of test videos and runs, size in bytes.

    Raises:
        UsageError: both are the same folder, or `out` holds another data set.
        DataError: the world is incomplete.
    """
    source, target = Path(folder), Path(out)
    dataset = Dataset.open(source)
    if source.resolve() == target.resolve():
        raise UsageError("a world cannot be packed into itself", where=target, next_step="Choose another folder")
    if (target / "dataset.yaml").is_file() and Dataset.open(target).name != dataset.name:
        raise UsageError("holds another data set", where=target, next_step="Choose another folder")
    for part in ("videos", "features", "runs"):
        shutil.rmtree(target / part, ignore_errors=True)
    for name in ("dataset.yaml", "annotations.json", "build.json"):
        _copy(source / name, target / name)
    for video in dataset.videos("test"):
        path = dataset.video_path(video)
        if path is not None:
            _copy(path, target / path.relative_to(source))
    repack(feature_path(source), feature_path(target))
    runs = sorted(file.parent for file in (source / "runs").glob("*/run.yaml"))
    for run in track(runs, "packing runs", quiet=quiet):
        _ship_run(dataset, run, target / "runs" / run.name)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return {"folder": target, "videos": len(dataset.videos("test")), "runs": len(runs), "bytes": size}


def _ship_run(dataset: Dataset, source: Path, target: Path) -> None:
    for name in ("run.yaml", "status.json", "metrics.jsonl", "checkpoints/last.pt"):
        _copy(source / name, target / name)
    repack(source / "activations.h5", target / "activations.h5", drop=("embedding",), single=("boundaries",))
    run = Run.open(target)
    localize(run)
    evaluate_run(
        run,
        dataset.annotations,
        protocols=(dataset.evaluation.protocol,),
        tiou=dataset.evaluation.tiou,
        subset=dataset.subsets("test"),
    )


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def repack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    drop: tuple[str, ...] = (),
    single: tuple[str, ...] = (),
) -> None:
    """Copy an HDF5 file of this project with its longer arrays compressed.

    Args:
        source, target: files.
        drop: names of arrays to leave out.
        single: names of groups whose arrays are rounded to single precision (their type stays).
    """
    with atomic_path(target) as temporary, h5py.File(source) as old, h5py.File(temporary, "w") as new:
        _repack_group(old, new, drop, single, False)


def _repack_group(
    old: h5py.Group, new: h5py.Group, drop: tuple[str, ...], single: tuple[str, ...], round_: bool
) -> None:
    for key, value in old.attrs.items():
        new.attrs[key] = value
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            inner = new.create_group(name, track_order=item.id.get_create_plist().get_link_creation_order() > 0)
            _repack_group(item, inner, drop, single, round_ or name in single)
        elif name not in drop:
            values = item[()]
            if round_ and item.dtype == np.float64:
                values = values.astype(np.float32).astype(np.float64)
            # One chunk: arrays are short, and compress better whole.
            packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True, "chunks": values.shape}
            dtype = item.dtype
            if h5py.check_string_dtype(dtype) is not None and values.size * 16 >= _WORTH_COMPRESSING:
                # Texts of any length lie in a heap that is not compressed, 16 bytes and more each.
                values = np.array([text.encode() if isinstance(text, str) else text for text in values])
                dtype = h5py.string_dtype("utf-8", values.itemsize)
                values = values.astype(dtype)
            large = values.nbytes >= _WORTH_COMPRESSING
            copy = new.create_dataset(name, data=values, dtype=dtype, **(packed if large else {}))
            for key, value in item.attrs.items():
                copy.attrs[key] = value
