"""Say what a file of the field is: shape, likely extractor and grid, times, classes, and what it does not tell.

What is known from the file is stated; what is inferred is called likely and says from what; what cannot be known is
listed. Nothing is unpickled freely and nothing large is read that a header can answer.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from wtal_core.data.activations import open_activations
from wtal_core.data.annotations import THUMOS14_CLASS_IDS, detect_format, scan_annotations
from wtal_core.data.dataset import VIDEO_SUFFIXES, Dataset
from wtal_core.data.detections import read_detections, read_video_scores
from wtal_core.data.features import FEATURE_LAYOUTS, ArraySource, HDF5Store, detect_layout, open_arrays
from wtal_core.data.features.cmcs import is_cmcs_file
from wtal_core.data.features.grid_rule import fitting_presets
from wtal_core.data.features.packed import find_video_names
from wtal_core.data.safe_load import load_npy, load_npz, load_pickle, npy_header, open_object_array
from wtal_core.errors import DataError, WtalError, counted
from wtal_core.files import read_json, read_start, read_text, require_file
from wtal_core.records import Annotations
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid

__all__ = ["Explanation", "explain", "likely_extractors"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """What a file or folder is.

    Args:
        path: what was asked about.
        kind: one word or two: "features", "annotations", "detections", "video scores", "labels", "names", "numbers",
            "segments", "activations", "data set", "weights", "checkpoint", "table", "text", "video".
        summary: what it is, one sentence without a final full stop.
        facts: name -> what is known or inferred, in reading order; values are what JSON knows.
        unknown: what it does not tell.
        next_step: what one usually does with it.
    """

    path: Path
    kind: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    next_step: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "summary": self.summary,
            "facts": dict(self.facts),
            "unknown": list(self.unknown),
            "next_step": self.next_step,
        }


@dataclass(frozen=True)
class _Context:
    """What the user, or the files beside, say about the videos."""

    duration: float | None = None
    annotations: Annotations | None = None

    def durations(self) -> dict[str, float]:
        known = {} if self.annotations is None else self.annotations.videos
        return {video: float(info.duration) for video, info in known.items() if info.duration is not None}

    def duration_of(self, stem: str) -> tuple[float, str] | None:
        """Return `(seconds, where from)` of the video a file name belongs to."""
        if self.duration is not None:
            return self.duration, "as stated"
        durations = self.durations()
        for name in (stem, _video_of(stem), stem.removeprefix("v_"), f"v_{stem}"):
            if name in durations:
                return durations[name], f"from {(self.annotations.source if self.annotations else '')}"
        return None


_SUFFIX = re.compile(r"[-_.](rgb|flow|i3d|vggish|audio|feat|feature|features)$", re.IGNORECASE)


def _video_of(stem: str) -> str:
    """Return a file's stem without the stream's name at its end."""
    return _SUFFIX.sub("", stem)


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
            where="--duration",
            next_step="Give the video's length in seconds",
        )
    context = _Context(duration, _annotations_for(path, annotations))
    if path.is_dir():
        return _explain_folder(path, context)
    if not path.exists() and path.with_name(f".{path.name}.parts").is_dir():
        HDF5Store(path)  # unfinished: opening it says so
    require_file(path, "a file or folder to explain")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"\x89HDF"):
        return _explain_hdf5(path, context)
    if start.startswith(b"\x93NUMPY") or suffix == ".npy":
        return _explain_npy(path, context)
    if suffix in (".pt", ".pth", ".tar", ".bin") or (suffix in (".ckpt", ".pkl") and start.startswith(b"PK")):
        return _explain_torch(path)
    if start.startswith(b"PK"):
        return _explain_npz(path, context)
    if suffix == ".safetensors":
        return _explain_safetensors(path)
    if suffix in (".pkl", ".pickle", ".p", ".ckpt") or start.startswith(b"\x80"):
        return _explain_pickle(path)
    if suffix in VIDEO_SUFFIXES:
        return Explanation(
            path,
            "video",
            f"a video file ({suffix}, {path.stat().st_size / 1e6:.1f} MB)",
            unknown=("frames, frame rate and duration: this command does not decode",),
            next_step="wtal extract makes features of it",
        )
    what = "a feature, annotation, detection or weight file"
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
        return _explain_json(path)
    if suffix == ".csv":
        return _explain_csv(path, text, context)
    return _explain_text(path, text)


def _annotations_for(path: Path, stated: str | os.PathLike[str] | None) -> Annotations | None:
    """Read the stated annotations, or those of a usual name beside the file."""
    if stated is not None:
        return scan_annotations(stated)[0]
    here = path if path.is_dir() else path.parent
    for name in ("annotations.json", "gt.json", "../annotations.json", "../gt.json"):
        candidate = here / name
        if candidate.is_file() and candidate != path:
            try:
                return scan_annotations(candidate)[0]
            except WtalError:
                continue
    return None


# -- features -----------------------------------------------------------------------------------------------------

#: Channels -> what commonly has that width in this field.
_WIDTHS: dict[int, str] = {
    101: "class scores of UCF-101 / THUMOS14 (UntrimmedNet)",
    128: "VGGish audio embeddings (0.96 s each)",
    200: "class scores of ActivityNet",
    400: "class scores of Kinetics-400, or two-stream TSN scores of ActivityNet (200 + 200; BSN, BMN)",
    500: "C3D features after PCA (ActivityNet's official ones)",
    512: "R(2+1)D-34 / TSP, ResNet-18/34, or CLIP ViT-B",
    768: "a ViT-B (VideoMAE) or CLIP ViT-L",
    1024: "one I3D stream (mean-pooled Mixed_5c) or one UntrimmedNet / BN-Inception stream",
    1280: "VideoMAE-H",
    1408: "VideoMAE V2-g",
    2048: "I3D with RGB and flow joined (1024 each), or a ResNet-50",
    2304: "SlowFast R50",
    3072: "two joined 1536-channel streams",
    3200: "InternVideo2-6B",
    4096: "C3D fc6 / fc7",
}


def likely_extractors(array: Array, name: str = "") -> str:
    """Return what probably made an array `(T, D)` of features, and from what that is inferred.

    Args:
        array: features, `(T, D)` or `(crops, T, D)`.
        name: file name; streams are often told by it.
    """
    width = int(array.shape[-1])
    sample = np.asarray(array[..., :512, :], dtype=np.float64).reshape(-1, width)
    finite = sample[np.isfinite(sample).all(axis=1)]
    if not len(finite):
        return "cannot be told: no finite snippet among the first 512"
    sums, low = finite.sum(axis=1), float(finite.min())
    probabilities = low >= 0 and float(np.ptp(sums)) < 0.01 and round(float(sums.mean())) in (1, 2)
    if probabilities:
        times = "" if round(float(sums.mean())) == 1 else " (sum of two softmaxes)"
        known = f": {_WIDTHS[width]}" if "scores" in _WIDTHS.get(width, "") else ""
        return f"class probabilities over {width} classes{times}, rows sum to {sums.mean():.2f}{known}"
    common = _WIDTHS.get(width, f"no common network has {width} channels")
    if width in (1024, 2048):
        if low >= 0:
            stream = next((s for s in ("rgb", "flow") if re.search(rf"(^|[-_./]){s}($|[-_./])", name.lower())), None)
            signs = "no negative value, as after ReLU and average pooling"
            if width == 1024:
                named = f"; {stream.upper() if stream == 'rgb' else 'flow'} by its file name" if stream else ""
                return f"{common}{named} ({signs})"
            halves = finite[:, :1024].mean(), finite[:, 1024:].mean()
            return f"{common} ({signs}; mean of the halves {halves[0]:.3f} and {halves[1]:.3f})"
        other = "VideoMAE-L or another transformer" if width == 1024 else common
        return f"{other} (negative values: not pooled after ReLU)"
    return common


def _statistics(array: Array) -> str:
    values = np.asarray(array, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    bad = values.size - finite.size
    return (
        f"min {finite.min():.4g}, mean {finite.mean():.4g}, max {finite.max():.4g}, {np.mean(finite == 0):.1%} zeros"
        + (f", {bad} NaN or infinite" if bad else "")
    )


def _span(grid: SnippetGrid, index: int) -> list[float]:
    edges = grid.to_seconds(np.array([index, index + 1]))
    return [round(float(edges[0]), 3), round(float(edges[1]), 3)]


def _grid_facts(snippets: int, known: tuple[float, str] | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Infer the grid of one video; return `(facts, unknown)`."""
    if known is None:
        spans = ", ".join(
            f"{SnippetGrid.preset(name, snippets).end_seconds:.1f} s on {name}" for name in list(GRID_PRESETS)[:3]
        )
        return {"would last": spans}, ("the snippet grid: no duration is known (give --duration or --annotations)",)
    duration, origin = known
    facts: dict[str, Any] = {"video duration": f"{duration:g} s ({origin})"}
    fits = [name for name, _ in fitting_presets({"v": snippets}, {"v": duration})]
    if not fits:
        step = duration / snippets
        facts["snippet grid"] = (
            f"no preset fits: {step:.3f} s a snippet = {step * 25:.1f} frames at 25 fps or {step * 30:.1f} at 30 fps"
        )
        return facts, ("the snippet grid",)
    grid = SnippetGrid.preset(fits[0], snippets, duration)
    facts["likely grid"] = (
        f"{fits[0]} ({grid.stride:g} frames at {grid.fps:g} fps, {grid.step_seconds:.2f} s a snippet)"
    )
    if len(fits) > 1:
        facts["other grids that fit"] = ", ".join(fits[1:])
    facts["first snippet"] = _span(grid, 0)
    facts["last snippet"] = _span(grid, snippets - 1)
    return facts, ("whether the grid is right: it is inferred from the duration",)


def _explain_array(path: Path, array: Array, context: _Context, layout: str) -> Explanation:
    """Explain one video's features `(T, D)` or `(crops, T, D)`."""
    *crops, snippets, width = array.shape
    facts: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "meaning of the shape": (f"{crops[0]} crops, " if crops else "") + f"{snippets} snippets, {width} channels",
        "values": _statistics(array),
        "likely extractor": likely_extractors(array, path.stem),
    }
    if width == 128 and snippets > 1:  # VGGish: audio patches of 0.96 s, no video frames
        known = context.duration_of(path.stem)
        facts["likely grid"] = "audio patches of 0.96 s, if it is VGGish; no video snippets"
        facts["first snippet"], facts["last snippet"] = (
            [0.0, 0.96],
            [round((snippets - 1) * 0.96, 2), round(snippets * 0.96, 2)],
        )
        if known:
            facts["video duration"] = f"{known[0]:g} s ({known[1]})"
        unknown: tuple[str, ...] = ()
    elif snippets == 100 and context.duration_of(path.stem) is None:
        facts["note"] = (
            "exactly 100 snippets: perhaps rescaled to a fixed length (BMN and BSN do), then a step is duration / 100"
        )
        unknown = ("the snippet grid",)
    else:
        more, unknown = _grid_facts(snippets, context.duration_of(path.stem))
        facts |= more
    return Explanation(
        path,
        "features",
        f"snippet features of one video ({layout}): {counted(snippets, 'snippet')} of {counted(width, 'channel')}",
        facts,
        (*unknown, "what made them: the file does not say"),
        f"wtal data convert {path} --to features.h5 --grid {facts.get('likely grid', 'GRID').split(' ')[0]}",
    )


def _explain_source(path: Path, source: ArraySource, layout: str, context: _Context) -> Explanation:
    """Explain the features of many videos in a foreign layout."""
    with_shapes = {video: source.shape(video) for video in source.videos[:2000]}
    lengths = {video: shape[-2] for video, shape in with_shapes.items()}
    widths = Counter(shape[-1] for shape in with_shapes.values())
    first = source.array(source.videos[0])
    facts: dict[str, Any] = {
        "layout": f"{layout}: {FEATURE_LAYOUTS[layout]}",
        "videos": len(source.videos),
        "first videos": list(source.videos[:3]),
        "channels": widths.most_common(1)[0][0] if len(widths) == 1 else {str(k): v for k, v in widths.items()},
        "snippets": f"{min(lengths.values())} to {max(lengths.values())}",
        "dtype": str(first.dtype),
    }
    if first.ndim == 3:
        facts["crops"] = first.shape[0]
    if streams := source.modalities(source.videos[0]):
        facts["streams"] = ", ".join(f"{name} ({width})" for name, width in streams)
        start = np.cumsum([0, *(width for _, width in streams)])
        for i, (name, _) in enumerate(streams):
            facts[f"likely extractor ({name})"] = likely_extractors(first[..., start[i] : start[i + 1]], name)
    else:
        facts["likely extractor"] = likely_extractors(first, source.videos[0])
    facts["values of the first video"] = _statistics(first)
    if (frames := source.num_frames(source.videos[0])) is not None:
        step = frames / first.shape[-2]
        facts["frames a snippet"] = f"{step:.2f} (frame_cnt {frames} / {first.shape[-2]} snippets of the first video)"
    others = getattr(source, "unpaired", [])
    if others:
        facts["files that do not belong"] = [file.name for file in others[:5]]
    unknown = ["what made them: the files do not say"]
    known = {v: d[0] for v in lengths if (d := context.duration_of(v)) is not None}
    if known:
        fits = fitting_presets(lengths, known)
        facts["grids that fit"] = {name: f"{share:.0%} of {len(known)} videos" for name, share in fits[:3]}
        if fits:
            video = next(iter(known))
            grid = SnippetGrid.preset(fits[0][0], lengths[video], known[video])
            facts["likely grid"] = fits[0][0]
            facts[f"first snippet of {video}"] = _span(grid, 0)
            facts[f"last snippet of {video}"] = _span(grid, lengths[video] - 1)
        unknown.append("whether the grid is right: it is inferred from the durations")
    else:
        unknown.append("the snippet grid: no durations are known (give --annotations)")
    source.close()
    return Explanation(
        path,
        "features",
        f"snippet features of {counted(len(with_shapes) if len(with_shapes) < 2000 else len(source.videos), 'video')} "
        f"({layout})",
        facts,
        tuple(unknown),
        f"wtal data convert {path} --to features.h5 --grid {facts.get('likely grid', 'GRID')}",
    )


def _explain_hdf5(path: Path, context: _Context) -> Explanation:
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("wtal_format")
            names = list(file)[:8]
            root = {str(k): _plain(v) for k, v in file.attrs.items()}
    except (OSError, RuntimeError) as error:
        raise DataError(
            "is not a readable HDF5 file",
            got=str(error).strip(),
            where=path,
            next_step="It may be truncated: copy it again",
        ) from error
    if kind == "features":
        return _explain_native(path, root)
    if kind == "activations":
        with open_activations(path) as store:
            facts: dict[str, Any] = {"videos": len(store), "method": store.method, "classes": len(store.classes)}
            if store.videos:
                acts = store.read(store.videos[0])
                facts |= {
                    "first video": store.videos[0],
                    "cas": list(acts.cas.shape),
                    "background channel": acts.has_background,
                    "attention": list(acts.attention),
                    "branches": None if acts.branch_cas is None else acts.branch_cas.shape[0],
                    "further sequences": list(acts.extra_cas),
                    "drop mask": acts.drop_mask is not None,
                    "regressed boundaries": acts.boundaries is not None,
                    "grid": acts.grid.to_dict(),
                }
        return Explanation(
            path, "activations", f"activations of {counted(len(store), 'video')} by {store.method or 'a method'}", facts
        )
    try:
        source = open_arrays(path, layout="hdf5")
    except DataError:
        return Explanation(
            path,
            "table",
            "an HDF5 file of unknown layout",
            {"members": names, "attributes": root},
            ("what its members are",),
        )
    return _explain_source(path, source, "hdf5", context)


def _plain(value: Any) -> Any:
    value = np.asarray(value)
    return value.item() if value.ndim == 0 else value.tolist()


#: Root attributes of a native file that say what the summary says already.
_FILE_KEYS = ("wtal_format", "num_videos")


def _explain_native(path: Path, root: dict[str, Any]) -> Explanation:
    with HDF5Store(path) as store:
        facts: dict[str, Any] = {"layout": "native", "videos": len(store.videos)}
        facts |= {key: value for key, value in root.items() if key not in _FILE_KEYS}
        for key, change in (("modalities", lambda text: dict(json.loads(text))), ("mixed", json.loads)):
            if key in facts:
                facts[key] = change(facts[key])
        if not facts.get("mixed"):
            facts.pop("mixed", None)
        unknown: list[str] = []
        if store.videos:
            video = store.videos[0]
            grid, origin = store.grid(video), store.provenance(video)
            facts |= {
                "first video": video,
                "shape": list(store.shape(video)),
                "dtype": str(store.dtype(video)),
                "grid": grid.to_dict(),
                "first snippet": _span(grid, 0),
                "last snippet": _span(grid, grid.num_snippets - 1),
                "values": _statistics(store.read_stored(video)),
            }
            if not origin.extractor:
                unknown.append("what made them: the file does not say")
                facts["likely extractor"] = likely_extractors(store.read_snippets(video, 0, 512))
            if grid.duration is None:
                unknown.append("the duration of the video")
        count = len(store.videos)
    made = root.get("extractor")
    return Explanation(
        path,
        "features",
        f"native feature file: {counted(count, 'video')}{f', {made} features' if made else ''}",
        facts,
        tuple(unknown),
        "wtal train, wtal data doctor",
    )


# -- .npy, .npz, pickles ------------------------------------------------------------------------------------------

#: Files of W-TALC's annotation folder -> what they hold.
_WTALC_FILES: dict[str, str] = {
    "videoname": "video ids",
    "classlist": "class names, in label order",
    "subset": "subset of each video",
    "duration": "duration of each video in seconds",
    "original_fps": "frame rate of each video file (29.97 rounded to 30)",
    "extracted_fps": "frame rate of extraction; known to be wrong (10 everywhere, features were cut at 25): do not use",
    "labels": "class of each segment of each video",
    "labels_all": "video-level classes of each video",
    "segments": "[start, end] in seconds of each segment of each video",
}


def _wtalc_part(path: Path) -> str | None:
    if path.stem in _WTALC_FILES and (path.parent / "videoname.npy").is_file():
        return _WTALC_FILES[path.stem]
    return None


def _explain_npy(path: Path, context: _Context) -> Explanation:
    header = npy_header(path)
    part = _wtalc_part(path)
    beside = f"; part of W-TALC's annotation folder: {part}" if part else ""
    step = f"wtal data explain {path.parent}" if part else ""
    if header.is_object_array:
        return _explain_objects(path, context, beside, step)
    array = load_npy(path, mmap=True)
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.dtype.kind in "SU":
        values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
        what, more = _describe_names(values)
        return Explanation(path, "names", f"{what}{beside}", facts | more, next_step=step)
    if array.dtype.kind not in "fiub" or array.size == 0:
        return Explanation(path, "table", f"an array of {array.dtype}", facts, ("what it means",))
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        facts["values"] = _statistics(array)
        return Explanation(
            path, "numbers", f"{array.size} numbers{beside}", facts, () if part else ("what the numbers are",), step
        )
    if array.ndim == 2 and np.isin(array[:4096], (0, 1)).all() and array[:4096].any():
        per_row = array.sum(axis=1)
        facts |= {
            "labels per row": f"{int(per_row.min())} to {int(per_row.max())}",
            "rows": array.shape[0],
            "classes": array.shape[1],
        }
        return Explanation(
            path,
            "labels",
            f"video-level labels: {array.shape[0]} videos x {array.shape[1]} classes, zeros and ones",
            facts,
            ("which row is which video", "which column is which class"),
        )
    if array.ndim == 2 and (scores := _video_scores(path, np.asarray(array), facts)) is not None:
        return scores
    if array.ndim in (2, 3) and array.shape[-1] > 1:
        return _explain_array(path, array, context, "one .npy")
    facts["values"] = _statistics(array)
    return Explanation(path, "table", f"an array of shape {array.shape}", facts, ("what it means",))


def _video_scores(path: Path, array: Array, facts: dict[str, Any]) -> Explanation | None:
    """Recognise UntrimmedNet's video-level scores of THUMOS14 (one row per test video of the 2014 release)."""
    sums = array.sum(axis=1)
    if array.shape != (1574, 101) or array.min() < 0 or float(np.ptp(sums)) > 0.01:
        return None
    row = array[0]
    return Explanation(
        path,
        "video scores",
        "video-level class scores of the 1,574 THUMOS14 test videos (UntrimmedNet): not snippet features",
        facts
        | {
            "rows": "row = video number - 1: row 0 is video_test_0000001",
            "columns": "column = official class id - 1 (UCF-101 numbering)",
            "row sums": f"{float(sums.mean()):.2f}: the sum of {round(float(sums.mean()))} softmaxes (RGB and flow)",
            "detection classes": {name: class_id - 1 for name, class_id in THUMOS14_CLASS_IDS.items()},
            "values": _statistics(array),
            "highest of row 0": f"class id {int(row.argmax()) + 1}",
        },
        (),
        "Use it as video-level classifier when localizing",
    )


def _explain_objects(path: Path, context: _Context, beside: str, step: str) -> Explanation:
    with open_object_array(path) as elements:
        count = len(elements)
        shapes = [elements.element_shape(i) for i in range(count)]
        if count and all(shape is not None and len(shape) == 2 for shape in shapes):
            names = find_video_names(path)
            first = np.asarray(elements[0])
            lengths = [shape[0] for shape in shapes if shape is not None]
            facts: dict[str, Any] = {
                "layout": f"packed: {FEATURE_LAYOUTS['packed']}",
                "videos": count,
                "names": str(names) if names else "none found beside it",
                "channels": sorted({shape[1] for shape in shapes if shape is not None}),
                "snippets": f"{min(lengths)} to {max(lengths)}",
                "dtype": str(first.dtype),
                "values of the first video": _statistics(first),
                "likely extractor": likely_extractors(first, path.stem),
            }
            if names and npy_header(names).shape[:1] == (count,):
                explained = _explain_source(path, open_arrays(path), "packed", context)
                facts |= {k: v for k, v in explained.facts.items() if k not in facts}
                return Explanation(path, "features", explained.summary, facts, explained.unknown, explained.next_step)
            return Explanation(
                path, "features", f"packed snippet features of {count} videos", facts,
                ("which array is which video", "the snippet grid", "what made them"),
                f"wtal data convert {path} --to features.h5 --names videoname.npy --grid i3d-25fps-16",
            )  # fmt: skip
        values = [elements[i] for i in range(count)]
    facts = {"shape": [count], "dtype": "object (read by the restricted loader)"}
    rows = [v.tolist() if isinstance(v, np.ndarray) else v for v in values]
    if all(isinstance(row, list) for row in rows):
        flat = [item for row in rows for item in row]
        facts |= {"videos": count, "entries": len(flat), "empty": sum(not row for row in rows)}
        if flat and all(isinstance(item, str | bytes) for item in flat):
            labels = Counter(i.decode() if isinstance(i, bytes) else i for i in flat)
            facts["classes"] = sorted(labels)
            return Explanation(
                path,
                "labels",
                f"{counted(len(flat), 'class name')} of {counted(count, 'video')}{beside}",
                facts,
                (),
                step,
            )
        pairs = [item for item in flat if isinstance(item, list | tuple) and len(item) == 2]
        if flat and len(pairs) == len(flat):
            times = np.array(pairs, dtype=np.float64)
            facts["seconds"] = f"{times.min():g} to {times.max():g}"
            return Explanation(
                path,
                "segments",
                f"{counted(len(flat), 'segment')} of {counted(count, 'video')}{beside}",
                facts,
                (),
                step,
            )
    facts["element types"] = dict(Counter(type(v).__name__ for v in values))
    return Explanation(
        path, "table", f"an object array of {counted(count, 'element')}{beside}", facts, ("what it means",), step
    )


_THUMOS_VIDEO = re.compile(r"video_(test|validation)_\d{7}$")


def _describe_names(values: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Say what a list of names is; return `(sentence, facts)`."""
    distinct = list(dict.fromkeys(values))
    facts: dict[str, Any] = {"entries": len(values), "distinct": len(distinct), "first": values[:5]}
    if all(_THUMOS_VIDEO.match(v) for v in values):
        facts["subsets"] = dict(Counter(v.split("_")[1] for v in values))
        return counted(len(values), "THUMOS14 video id"), facts
    if set(distinct) <= THUMOS14_CLASS_IDS.keys() and len(distinct) == len(values):
        facts["classes"] = distinct
        return f"{len(values)} class names of THUMOS14", facts
    if len(distinct) <= 6 < len(values):
        return f"{len(values)} entries with the values {', '.join(distinct)}", facts | {"counts": dict(Counter(values))}
    return counted(len(values), "name"), facts


def _explain_npz(path: Path, context: _Context) -> Explanation:
    with load_npz(path) as archive:
        headers = {name: archive.header(name) for name in archive}
        if not headers:
            raise DataError(
                "holds no array",
                expected="a .npz with arrays",
                where=path,
                next_step="Save the arrays again with numpy.savez",
            )
        shapes = {name: (header.shape, str(header.dtype)) for name, header in headers.items()}
        weights = _weights(path, {name: shape for name, (shape, _) in shapes.items()}, "arrays of a .npz")
        if weights is not None:
            return weights
        facts: dict[str, Any] = {
            "arrays": {name: f"{shape} {dtype}" for name, (shape, dtype) in list(shapes.items())[:20]}
        }
        if is_cmcs_file(path):
            feature, frames = np.asarray(archive["feature"]), int(np.asarray(archive["frame_cnt"]).reshape(-1)[0])
            untrimmednet = feature.ndim == 5
            array = feature[..., 0, 0].swapaxes(0, 1) if untrimmednet else feature
            step = frames / max(array.shape[-2], 1)
            window = 5 if untrimmednet else 16
            dense = [SnippetGrid(fps=1, stride=s, window=window, num_snippets=array.shape[-2]) for s in (4, 5, 15, 16)]
            # On a clock of one frame a second, frames are seconds.
            stride = min(dense, key=lambda g: abs(g.expected_num_snippets(frames) - g.num_snippets)).stride
            facts |= {
                "shape": list(feature.shape),
                "frame_cnt": frames,
                "crops": int(array.shape[0]),
                "snippets": int(array.shape[-2]),
                "channels": int(array.shape[-1]),
                "frames a snippet": f"{step:.2f}: the base stride is likely {stride:g} frames",
                "likely extractor": "UntrimmedNet" if untrimmednet else likely_extractors(array, path.stem),
                "values": _statistics(array),
            }
            return Explanation(
                path,
                "features",
                "CMCS snippet features of one video and stream: all crops at the base stride",
                facts,
                ("the frame rate: CMCS keeps the video's own on THUMOS14 and 25 fps on ActivityNet",),
                f"wtal data convert {path.parent} --to features.h5 --grid 4/16@native --annotations ANNOTATIONS",
            )
        two = [name for name, (shape, _) in shapes.items() if len(shape) in (2, 3)]
        if len(two) == 1 and headers[two[0]].dtype.kind == "f":
            explained = _explain_array(path, np.asarray(archive[two[0]]), context, f"array {two[0]!r} of a .npz")
            return Explanation(
                path,
                "features",
                explained.summary,
                facts | dict(explained.facts),
                explained.unknown,
                explained.next_step,
            )
    return Explanation(path, "table", f"{len(shapes)} NumPy arrays", facts, ("what they mean",))


def _explain_pickle(path: Path) -> Explanation:
    try:
        value = load_pickle(path)
    except DataError as error:
        if "is refused" not in error.problem:
            raise
        return Explanation(
            path,
            "checkpoint",
            "a pickle that holds more than data; it was not loaded",
            {"refused": error.problem},
            ("its content",),
            "wtal weights convert reads checkpoints safely",
        )
    shapes = _flat_shapes(value)
    if (weights := _weights(path, shapes, "a pickle of arrays")) is not None:
        return weights
    facts: dict[str, Any] = {"type": type(value).__name__}
    if isinstance(value, dict):
        facts["keys"] = [str(k) for k in list(value)[:10]]
    if isinstance(value, dict | list | tuple):
        facts["entries"] = len(value)
    if shapes:
        facts["arrays"] = {name: str(shape) for name, shape in list(shapes.items())[:10]}
    return Explanation(path, "table", f"a pickled {type(value).__name__} of data", facts, ("what it means",))


def _flat_shapes(value: Any, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return `{path in the tree: shape}` of every array or tensor in nested dicts."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {prefix: tuple(int(n) for n in value.shape)}
    if isinstance(value, Mapping):
        found: dict[str, tuple[int, ...]] = {}
        for key, inner in value.items():
            found |= _flat_shapes(inner, f"{prefix}|{key}" if prefix else str(key))
        return found
    return {}


# -- weights ------------------------------------------------------------------------------------------------------


def _weights(path: Path, shapes: Mapping[str, tuple[int, ...]], container: str) -> Explanation | None:
    """Recognise the weights of the networks of this field by the names of their arrays."""
    named = _recognise(shapes)
    if named is None:
        return None
    network, more = named
    facts: dict[str, Any] = {
        "container": container,
        "arrays": len(shapes),
        "parameters": int(sum(np.prod(shape, dtype=np.int64) for shape in shapes.values())),
        **more,
    }
    return Explanation(path, "weights", f"weights of {network}", facts, (), "wtal weights list")


def _recognise(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, dict[str, Any]] | None:
    def shape(ending: str) -> tuple[int, ...] | None:
        return next(
            (s for name, s in shapes.items() if name == ending or re.search(rf"(^|[|./]){re.escape(ending)}$", name)),
            None,
        )

    streams = {3: "RGB (3 input channels)", 2: "optical flow (2 input channels)"}
    if stem := shape("Conv3d_1a_7x7|Conv_0|kernel"):  # (T, H, W, in, out)
        logits = shape("Conv3d_0c_1x1|Conv_0|kernel") or next((s for n, s in shapes.items() if "Logits" in n), (0,))
        return f"I3D, {streams.get(stem[3], f'{stem[3]} input channels')}, as TF / JAX arrays", {
            "stream": streams.get(stem[3], ""),
            "classes": int(logits[-1]),
            "feature channels": 1024,
        }
    if stem := shape("Conv3d_1a_7x7.conv3d.weight"):  # (out, in, T, H, W)
        logits = shape("logits.conv3d.weight") or (0,)
        return f"I3D, {streams.get(stem[1], f'{stem[1]} input channels')}, of the PyTorch port", {
            "stream": streams.get(stem[1], ""),
            "classes": int(logits[0]),
            "feature channels": 1024,
        }
    if base := shape("base.base_conv_0.weight"):  # CMCS
        heads = [s for n, s in shapes.items() if re.search(r"cls_heads\.\d+\.weight$", n)]
        stream = {2048: "RGB and flow joined", 1024: "one stream (RGB or flow)"}.get(base[1], f"{base[1]} channels")
        return "CMCS", {"input": stream, "branches": len(heads), "classes": heads[0][0] - 1 if heads else 0}
    if (attention := shape("att_branch.weight")) and (head := shape("snippet_cls.weight")):
        return "ACM-Net", {"feature channels": attention[1], "classes": head[0] - 1}
    if (fc := shape("fc.weight")) and (head := shape("classifier.weight")) and len(head) == 2:
        return "the deep-metric network (two linear layers)", {"feature channels": fc[1], "classes": head[0]}
    if attention := next((s for n, s in shapes.items() if re.search(r"attention\.\d+\.weight$", n)), None):
        layers = [s for n, s in shapes.items() if re.search(r"classifier\.\d+\.weight$", n)]
        if layers and len(attention) == 3:
            return "HAM-Net", {"feature channels": layers[0][1], "classes": layers[-1][0] - 1}
    return None


def _explain_torch(path: Path) -> Explanation:
    import pickle
    import zipfile

    import torch

    value: Any
    try:
        # Tensors stay in the file (memory map); nothing but tensors and plain containers is admitted.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, of interest to nobody who asks what a file is
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0][:200]
        if "Weights only load failed" not in str(error):
            raise DataError(
                f"is not a readable checkpoint: {reason}", where=path, next_step="Copy or download it again"
            ) from error
        return Explanation(
            path,
            "checkpoint",
            "a PyTorch checkpoint that holds more than tensors; it was not loaded",
            {"size": f"{path.stat().st_size / 1e6:.1f} MB", "refused": reason},
            ("its content",),
            "wtal weights convert reads it safely",
        )
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise DataError(
            f"is not a readable PyTorch checkpoint: {reason}",
            where=path,
            next_step="It may be truncated: copy or download it again",
        ) from error
    shapes = _flat_shapes(value)
    container = "a PyTorch checkpoint"
    extra = {k: v for k, v in value.items() if isinstance(v, int | float | str)} if isinstance(value, dict) else {}
    if (weights := _weights(path, shapes, container)) is not None:
        return Explanation(
            path, "weights", weights.summary, dict(weights.facts) | _strings(extra), (), weights.next_step
        )
    return _unknown_tensors(path, shapes, container, extra)


def _strings(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v for k, v in values.items()}


def _unknown_tensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], container: str, extra: Mapping[Any, Any]
) -> Explanation:
    facts: dict[str, Any] = {
        "container": container,
        "tensors": len(shapes),
        "parameters": int(sum(np.prod(shape, dtype=np.int64) for shape in shapes.values())),
        "first tensors": {name: str(shape) for name, shape in list(shapes.items())[:6]},
        **_strings(extra),
    }
    return Explanation(
        path, "checkpoint", f"{container} of {len(shapes)} tensors", facts, ("which network it belongs to",)
    )


def _explain_safetensors(path: Path) -> Explanation:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"is not a readable safetensors file: {error}", where=path, next_step="Copy or download it again"
        ) from error
    if (weights := _weights(path, shapes, "a safetensors file")) is not None:
        return Explanation(
            path, "weights", weights.summary, dict(weights.facts) | _strings(metadata), (), weights.next_step
        )
    return _unknown_tensors(path, shapes, "a safetensors file", metadata)


# -- annotations, detections, tables, text ------------------------------------------------------------------------


def _explain_annotations(path: Path) -> Explanation:
    annotations, problems = scan_annotations(path)
    table = annotations.instances
    subsets = Counter(info.subset or "no subset" for info in annotations.videos.values())
    durations = [info.duration for info in annotations.videos.values() if info.duration is not None]
    annotated = len(set(table.video))
    facts: dict[str, Any] = {
        "format": annotations.source.removeprefix(str(path)).strip(" ()"),
        "videos": len(annotations.videos),
        "videos with instances": annotated,
        "instances": len(table),
        "classes": len(annotations.classes),
        "first classes": list(annotations.classes[:5]),
        "subsets": dict(subsets),
    }
    if len(annotations.subsets()) > 1:
        owner = {video: info.subset or "no subset" for video, info in annotations.videos.items()}
        facts["instances by subset"] = dict(Counter(owner[v] for v in table.video))
    if len(annotations.ambiguous):
        facts["ambiguous intervals"] = len(annotations.ambiguous)
    if len(table):
        facts["instance length"] = (
            f"{table.length.min():.2f} to {table.length.max():.1f} s, median {np.median(table.length):.1f} s"
        )
    if durations:
        facts["video durations"] = (
            f"{min(durations):.1f} to {max(durations):.1f} s, {sum(durations) / 3600:.1f} h in all"
        )
    for name, track in annotations.tracks.items():
        facts[f"track {name}"] = len(track)
    if problems:
        facts["findings"] = dict(Counter(problem.kind.replace("_", " ") for problem in problems))
    unknown = []
    if len(durations) < len(annotations.videos):
        unknown.append(f"the duration of {counted(len(annotations.videos) - len(durations), 'video')}")
    if not annotations.subsets():
        unknown.append("which split the videos belong to")
    return Explanation(
        path,
        "annotations",
        f"temporal annotations: {counted(len(table), 'instance')} of "
        f"{counted(len(annotations.classes), 'class', 'classes')} in {annotated:,} of "
        f"{counted(len(annotations.videos), 'video')}",
        facts,
        tuple(unknown),
        "wtal data doctor, wtal data import",
    )


def _explain_detections(path: Path) -> Explanation:
    detections = read_detections(path)
    labels = Counter(detections.label.tolist())
    facts: dict[str, Any] = {
        "detections": len(detections),
        "videos": len(set(detections.video)),
        "classes": len(labels),
    }
    if len(detections):
        facts |= {
            "most frequent classes": dict(labels.most_common(3)),
            "scores": f"{detections.score.min():.4g} to {detections.score.max():.4g}",
            "times": f"{detections.start.min():.1f} to {detections.end.max():.1f} s",
            "detections a video": round(len(detections) / len(set(detections.video)), 1),
        }
    return Explanation(
        path,
        "detections",
        f"{counted(len(detections), 'detection')} of {counted(len(labels), 'class', 'classes')} in "
        f"{counted(facts['videos'], 'video')}",
        facts,
        ("the method and settings behind them",),
        "wtal evaluate",
    )


def _explain_json(path: Path) -> Explanation:
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("results"), dict):
        rows = [row for found in content["results"].values() if isinstance(found, list) for row in found]
        if rows and not any(isinstance(row, dict) and "segment" in row for row in rows):
            scores = read_video_scores(path)
            finite = scores.scores[np.isfinite(scores.scores)]
            return Explanation(
                path,
                "video scores",
                f"video-level results (classification): {counted(len(scores.videos), 'video')}, "
                f"{counted(len(scores.classes), 'class', 'classes')}",
                {
                    "videos": len(scores.videos),
                    "classes": len(scores.classes),
                    "scores": f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "none",
                },
                next_step="It has no segments, so it is no detection file",
            )
        return _explain_detections(path)
    try:
        return _explain_annotations(path)
    except DataError as error:
        if isinstance(content, dict) and "database" in content:
            raise
        size = len(content) if isinstance(content, dict | list) else 1
        facts: dict[str, Any] = {"type": type(content).__name__, "entries": size}
        if isinstance(content, dict):
            facts["first keys"] = [str(k) for k in list(content)[:8]]
        elif isinstance(content, list) and content and all(isinstance(v, str) for v in content):
            what, more = _describe_names(content)
            return Explanation(path, "names", what, more)
        return Explanation(
            path,
            "table",
            "JSON, but neither annotations nor detections",
            facts | {"because": error.problem},
            ("what it means",),
        )


def _explain_csv(path: Path, text: str, context: _Context) -> Explanation:
    for attempt in (_explain_detections, _explain_annotations):  # a score column tells detections apart
        try:
            return attempt(path)
        except DataError:
            continue
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise DataError(
            f"is not valid CSV: {error}", where=path, next_step="Save it as comma-separated text in UTF-8"
        ) from error
    header, body = rows[0], rows[1:]
    numeric = _numeric(body[:50])
    if numeric is not None and numeric.shape[1] >= 32:
        array = _numeric(body)
        if array is not None:
            return _explain_array(path, array, context, "CSV, one row a snippet")
    facts: dict[str, Any] = {"rows": len(body), "columns": header[:12], "first row": body[0][:12] if body else []}
    unknown: tuple[str, ...] = ("what it means",)
    summary = f"a table of {counted(len(body), 'row')} and {counted(len(header), 'column')}"
    if header == ["video", "numFrame", "seconds", "fps", "rfps", "subset", "featureFrame"]:
        subsets = Counter(row[5] for row in body if len(row) == 7)
        summary = f"BMN's video table of ActivityNet: subset, frame rate and duration of {len(body)} videos"
        facts["subsets"] = dict(subsets)
        unknown = ("the segments: they are in anet_anno_action.json beside it",)
    elif {"t-init", "t-end", "label-idx"} <= set(header):
        summary = (
            f"ground truth as a table: {counted(len(body), 'row')}, times in seconds and frames, classes as indices"
        )
        facts |= {
            "videos": len({row[header.index("video-name")] for row in body}) if "video-name" in header else None,
            "label indices": sorted(
                {
                    int(row[header.index("label-idx")])
                    for row in body
                    if row[header.index("label-idx")].lstrip("-").isdigit()
                }
            ),
        }
        unknown = ("which index is which class (-1 marks Ambiguous in GTAD's table)",)
    elif len(header) == 1:
        values = [row[0] for row in body]
        what, more = _describe_names(values)
        summary, unknown = f"a list of {what} under the heading {header[0]!r}", ()
        facts |= more
        return Explanation(path, "names", summary, facts, unknown)
    return Explanation(path, "table", summary, facts, unknown)


def _numeric(rows: Sequence[Sequence[str]]) -> Array | None:
    try:
        array = np.array([[float(cell) for cell in row] for row in rows])
    except ValueError:
        return None
    return array if array.ndim == 2 and array.size else None


_CLASS_FILE = re.compile(r"^(?P<label>\w+)_(?P<subset>test|val)$")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(lines: Iterable[str]) -> set[int]:
    return {len(line.split()) for line in lines}


def _explain_text(path: Path, text: str) -> Explanation:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(
            "holds no text",
            expected="a list or table",
            where=path,
            next_step="Check that it is the right file and complete",
        )
    columns, parts = _columns(lines), [line.split() for line in lines]
    facts: dict[str, Any] = {"lines": len(lines), "first line": lines[0][:120]}
    name = _CLASS_FILE.match(path.stem)
    if columns == {3} and all(_is_number(p[1]) and _is_number(p[2]) for p in parts):
        label = name["label"] if name else None
        facts |= {
            "videos": len({p[0] for p in parts}),
            "segments": len(parts),
            "class": label,
            "seconds": f"{min(float(p[1]) for p in parts):g} to {max(float(p[2]) for p in parts):g}",
        }
        kind = (
            "Ambiguous intervals"
            if label == "Ambiguous"
            else f"segments of {label}"
            if label
            else "segments of one class"
        )
        return Explanation(
            path,
            "segments",
            f"THUMOS14 text: {len(parts)} {kind} in {facts['videos']} videos (video, start, end in seconds)",
            facts,
            () if label else ("the class: it is in the file's name in the official release",),
            "wtal data explain FOLDER reads all classes together",
        )
    if columns == {5} and all(_is_number(cell) for p in parts for cell in p[1:]):
        return _explain_detections(path)
    if len(lines) % 2 == 0 and all(_is_number(v) for v in lines[1::2]) and not any(_is_number(v) for v in lines[::2]):
        seconds = [float(v) for v in lines[1::2]]
        facts |= {"videos": len(seconds), "seconds": f"{min(seconds):g} to {max(seconds):g}"}
        return Explanation(
            path, "numbers", f"durations of {len(seconds)} videos, name and seconds on alternate lines", facts
        )
    if columns == {2} and all(_THUMOS_VIDEO.match(p[0]) for p in parts):
        facts |= {"videos": len({p[0] for p in parts}), "classes": sorted({p[1] for p in parts})}
        what = "avoid list: " if "avoid" in path.stem else ""
        return Explanation(path, "names", f"{what}{len(parts)} pairs of THUMOS14 video and class", facts)
    what, more = _describe_names(lines)
    if columns <= {1, 2, 3, 4, 5, 6} and max(len(line) for line in lines) < 100:
        return Explanation(path, "names", f"a list of {what}, one a line", facts | more)
    return Explanation(path, "text", f"text of {counted(len(lines), 'line')}", facts, ("what it means",))


# -- folders ------------------------------------------------------------------------------------------------------


def _explain_dataset(folder: Path) -> Explanation:
    dataset = Dataset.open(folder)
    facts: dict[str, Any] = {"name": dataset.name, "splits": {k: list(v) for k, v in dataset.splits.items()}}
    unknown: list[str] = []
    try:
        annotations = _explain_annotations(folder / dataset.annotations_path)
        facts["annotations"] = annotations.summary
        facts["videos by split"] = {split: len(dataset.videos(split)) for split in dataset.splits}
        facts["video files"] = sum(dataset.video_path(v) is not None for v in dataset.videos())
    except WtalError as error:
        unknown.append(f"the annotations: {error.problem}")
    for name in dataset.feature_names:
        try:
            with dataset.features(name) as store:
                facts[f"features {name}"] = f"{counted(len(store.videos), 'video')}, {counted(store.dim, 'channel')}"
        except WtalError as error:
            unknown.append(f"the features {name}: {error.problem}")
    facts["evaluation"] = {"protocol": dataset.evaluation.protocol, "tiou": dataset.evaluation.tiou}
    return Explanation(path=folder, kind="data set", summary=f"the data set {dataset.name!r}", facts=facts,
                       unknown=tuple(unknown), next_step=f"wtal data doctor {folder}")  # fmt: skip


def _explain_folder(path: Path, context: _Context) -> Explanation:
    if (path / "dataset.yaml").is_file():
        return _explain_dataset(path)
    try:
        detect_format(path)
        return _explain_annotations(path)
    except DataError:
        pass
    files = sorted(child for child in path.iterdir() if child.is_file() and not child.name.startswith("."))
    try:
        layout = detect_layout(path)
        source = open_arrays(path, layout=layout)
        shapes = [source.shape(video) for video in source.videos]
    except DataError:
        return _explain_loose(path, files)
    arrays = [file for file in files if file.suffix.lower() in (".npy", ".npz")]
    if layout == "per-video" and (len(arrays) == 1 or len({shape[-1] for shape in shapes}) > 1):
        return _explain_loose(path, files)  # one array, or arrays that do not belong together
    return _explain_source(path, source, layout, context)


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
            got=", ".join(sorted(child.name for child in path.iterdir())[:5]) or "an empty folder",
            where=path,
            next_step="Name a folder or file inside it",
        )
    if (path / "run.yaml").is_file():
        return Explanation(path, "run", "a run folder", facts, (), "wtal evaluate, wtal app")
    more = (counted(len(files) - 40, "further file"),) if len(files) > 40 else ()
    return Explanation(path, "folder", f"a folder of {counted(len(files), 'file')}, not one data set", facts, more)


def to_text(value: Any) -> str:
    """Return a fact as one line for people."""
    if isinstance(value, str):
        return value or "not stated"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {to_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        if len(value) == 2 and all(isinstance(v, float) for v in value):
            return f"{value[0]:g} - {value[1]:g} s"
        return ", ".join(to_text(v) for v in value)
    if value is None:
        return "none"
    return json.dumps(value) if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else str(value)
