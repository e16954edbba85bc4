"""Look at a file or folder and hand it to what knows its kind."""

from __future__ import annotations

import codecs
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations import detect_format, scan_annotations
from wtal_core.data.dataset import Dataset
from wtal_core.data.explain.arrays import explain_npy, explain_npz, explain_pickle
from wtal_core.data.explain.explanation import Context, Explanation
from wtal_core.data.explain.features import explain_hdf5, explain_source
from wtal_core.data.explain.tables import explain_annotations, explain_csv, explain_json, explain_text
from wtal_core.data.explain.weights import explain_safetensors, explain_torch
from wtal_core.data.features import HDF5Store, detect_layout, open_arrays
from wtal_core.data.video_files import VIDEO_SUFFIXES
from wtal_core.errors import DataError, WtalError, counted
from wtal_core.files import read_start, read_text, refuse_packed, require_file, visible
from wtal_core.records import Annotations

__all__ = ["explain"]


def explain(
    path: str | os.PathLike[str],
    *,
    duration: float | None = None,
    annotations: str | os.PathLike[str] | None = None,
) -> Explanation:
    """Explain a feature, annotation, detection or weight file or folder.

    Args:
        path: HDF5, .npy, .npz, .pkl, .json, .txt, .csv, .pt, .pth, .safetensors, or a folder of such.
        duration: seconds of the video a single feature file belongs to.
        annotations: file or folder with the durations; default a file of the usual name beside `path`.

    Raises:
        DataError: nothing is there, it is empty or damaged, or it is none of these.
    """
    path = Path(path)
    if duration is not None and not (np.isfinite(duration) and duration > 0):
        raise DataError(
            "is not a duration",
            expected="seconds > 0",
            got=repr(duration),
            where="duration",
            next_step="Give the video's length in seconds",
            arguments=("duration",),
        )
    context = Context(duration, _annotations_for(path, annotations))
    if os.path.isdir(path):
        return _explain_folder(path, context)
    if not os.path.exists(path) and os.path.isdir(path.parent / f".{path.name}.parts"):
        HDF5Store(path)  # unfinished: opening it says so
    require_file(path, "a file or folder to explain")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"\x89HDF"):
        return explain_hdf5(path, context)
    if start.startswith(b"\x93NUMPY") or suffix == ".npy":
        return explain_npy(path, context)
    if suffix in (".pt", ".pth", ".tar", ".bin") or (suffix in (".ckpt", ".pkl") and start.startswith(b"PK")):
        return explain_torch(path)
    if suffix == ".safetensors":
        return explain_safetensors(path)
    what = "a feature, annotation, detection or weight file"
    refuse_packed(path, start, what)
    if start.startswith(b"PK"):
        return explain_npz(path, context)
    if suffix in (".pkl", ".pickle", ".p", ".ckpt") or start.startswith(b"\x80"):
        return explain_pickle(path)
    if suffix in VIDEO_SUFFIXES:
        return Explanation(
            path,
            "video",
            f"a video file ({suffix}, {path.stat().st_size / 1e6:.1f} MB)",
            unknown=("frames, frame rate and duration: this command does not decode",),
            next_step="wtal extract makes features of it",
        )
    if b"\0" in read_start(path, what) and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            "is a binary file of a kind that is not known",
            expected="HDF5, .npy, .npz, .pkl, .pt, .safetensors, or text (JSON, CSV, THUMOS14)",
            got=f"a file that begins with {start[:8]!r}",
            where=path,
            next_step="Check where it comes from; what cannot be told apart cannot be read",
        )
    text = read_text(path, what)
    if suffix in (".yaml", ".yml") and path.name == "dataset.yaml":
        return _explain_dataset(path.parent)
    if text.lstrip()[:1] in ("{", "["):
        return explain_json(path)
    if suffix in (".csv", ".tsv"):
        return explain_csv(path, text, context)
    return explain_text(path, text)


def _annotations_for(path: Path, stated: str | os.PathLike[str] | None) -> Annotations | None:
    """Read the stated annotations, or those of a usual name beside the file."""
    if stated is not None:
        return scan_annotations(stated)[0]
    here = path if os.path.isdir(path) else path.parent
    for name in ("annotations.json", "gt.json", "../annotations.json", "../gt.json"):
        candidate = here / name
        if candidate.is_file() and candidate != path:
            try:
                return scan_annotations(candidate)[0]
            except WtalError:
                continue
    return None


def _explain_dataset(folder: Path) -> Explanation:
    dataset = Dataset.open(folder)
    facts: dict[str, Any] = {"name": dataset.name, "splits": {k: list(v) for k, v in dataset.splits.items()}}
    unknown: list[str] = []
    try:
        annotations = explain_annotations(folder / dataset.annotations_path)
        facts["annotations"] = annotations.summary
        facts["videos by split"] = {split: len(dataset.videos(split)) for split in dataset.splits}
        facts["video files"] = sum(dataset.video_path(v) is not None for v in dataset.videos())
    except WtalError as error:
        unknown.append(f"the annotations: {error.problem}")
    for name in dataset.feature_names:
        try:
            with dataset.store(name) as store:
                facts[f"features {name}"] = f"{counted(len(store.videos), 'video')}, {counted(store.dim, 'channel')}"
        except WtalError as error:
            unknown.append(f"the features {name}: {error.problem}")
    facts["evaluation"] = {"protocol": dataset.evaluation.protocol, "tiou": dataset.evaluation.tiou}
    return Explanation(path=folder, kind="data set", summary=f"the data set {dataset.name!r}", facts=facts,
                       unknown=tuple(unknown), next_step=f"wtal data doctor {shlex.quote(str(folder))}")  # fmt: skip


def _explain_folder(path: Path, context: Context) -> Explanation:
    if (path / "dataset.yaml").is_file():
        return _explain_dataset(path)
    try:
        detect_format(path)
        return explain_annotations(path)
    except DataError:
        pass
    files = [child for child in visible(path) if child.is_file()]
    try:
        layout = detect_layout(path)
        source = open_arrays(path, layout=layout)
        shapes = [source.shape(video) for video in source.videos]
    except DataError:
        return _explain_loose(path, files)
    arrays = [file for file in files if file.suffix.lower() in (".npy", ".npz")]
    if layout == "per-video" and (len(arrays) == 1 or len({shape[-1] for shape in shapes}) > 1):
        return _explain_loose(path, files)  # one array, or arrays that do not belong together
    return explain_source(path, source, layout, context)


def _explain_loose(path: Path, files: Sequence[Path]) -> Explanation:
    """Explain the files of a folder that is no data set, annotation or feature folder, one line each."""
    facts: dict[str, Any] = {}
    for file in files[:40]:
        try:
            facts[file.name] = explain(file).summary
        except WtalError as error:
            facts[file.name] = f"not known: {error.problem}"
    if not facts:
        raise DataError(
            "is no data set, annotation or feature folder",
            expected="dataset.yaml, annotation files, or .npy / .npz features",
            got=", ".join(child.name for child in visible(path)[:5]) or "an empty folder",
            where=path,
            next_step="Name a folder or file inside it",
        )
    if (path / "run.yaml").is_file():
        return Explanation(path, "run", "a run folder", facts, (), "wtal evaluate, wtal app")
    more = (counted(len(files) - 40, "further file"),) if len(files) > 40 else ()
    return Explanation(path, "folder", f"a folder of {counted(len(files), 'file')}, not one data set", facts, more)
