"""Snippet features: their likely extractor, their grid, the first and the last snippet."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.activations import open_activations
from wtal_core.data.explain.explanation import Context, Explanation, converting, range_text
from wtal_core.data.features import FEATURE_LAYOUTS, ArraySource, HDF5Store, open_arrays
from wtal_core.data.features.arrays import part_snippets
from wtal_core.data.features.grid_rule import fitting_presets
from wtal_core.data.hdf5 import tripping
from wtal_core.errors import DataError, counted, shortened
from wtal_core.files import stem
from wtal_core.snippet_grid import GRID_PRESETS, SnippetGrid

__all__ = ["explain_array", "explain_hdf5", "explain_source", "likely_extractors", "statistics", "values_title"]


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


def statistics(array: Array) -> str:
    """Return range, mean and zeros of an array, which may be large or lie in a file: it is gone through in blocks."""
    flat = array.reshape(-1)
    finite = zeros = 0
    low, high, total = math.inf, -math.inf, 0.0
    with np.errstate(all="ignore"):
        for first in range(0, flat.size, _BLOCK):
            values = np.asarray(flat[first : first + _BLOCK], dtype=np.float64)
            good = np.isfinite(values)
            if not good.all():
                values = values[good]
            if values.size:
                finite, zeros = finite + values.size, zeros + int(np.count_nonzero(values == 0))
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                total += float(values.sum())
    if not finite:
        return "no finite value"
    bad = flat.size - finite
    return f"min {low:.4g}, mean {total / finite:.4g}, max {high:.4g}, {zeros / finite:.1%} zeros" + (
        f", {bad} NaN or infinite" if bad else ""
    )


_BLOCK = 2**20  # values


def _span(grid: SnippetGrid, index: int) -> list[float]:
    edges = grid.to_seconds(np.array([index, index + 1]))
    return [round(float(edges[0]), 3), round(float(edges[1]), 3)]


def _grid_facts(snippets: int, known: tuple[float, str] | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Infer the grid of one video; return `(facts, unknown)`."""
    if known is None:
        spans = ", ".join(
            f"{SnippetGrid.preset(name, snippets).end_seconds:.1f} s on {name}" for name in list(GRID_PRESETS)[:3]
        )
        return {"would last": spans}, ("the snippet grid: no duration is known (annotations would tell)",)
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


def explain_array(
    path: Path, array: Array, context: Context, layout: str, shape: tuple[int, ...] | None = None
) -> Explanation:
    """Explain one video's features `(T, D)` or `(crops, T, D)`.

    Args:
        path: the file.
        array: the features, or the first snippets of them.
        context: what is known beside the file.
        layout: how they are stored, for people.
        shape: of all of them, where `array` is a part.
    """
    shape = shape or array.shape
    *crops, snippets, width = shape
    facts: dict[str, Any] = {
        "shape": list(shape),
        "dtype": str(array.dtype),
        "meaning of the shape": (f"{crops[0]} crops, " if crops else "") + f"{snippets} snippets, {width} channels",
        values_title(array, shape): statistics(array),
        "likely extractor": likely_extractors(array, path.stem),
    }
    if width == 128 and snippets > 1:  # VGGish: audio patches of 0.96 s, no video frames
        known = context.duration_of(stem(path))
        facts["likely grid"] = "audio patches of 0.96 s, if it is VGGish; no video snippets"
        facts["first snippet"], facts["last snippet"] = (
            [0.0, 0.96],
            [round((snippets - 1) * 0.96, 2), round(snippets * 0.96, 2)],
        )
        if known:
            facts["video duration"] = f"{known[0]:g} s ({known[1]})"
        unknown: tuple[str, ...] = ()
    elif snippets == 100 and context.duration_of(stem(path)) is None:
        facts["note"] = (
            "exactly 100 snippets: perhaps rescaled to a fixed length (BMN and BSN do), then a step is duration / 100"
        )
        unknown = ("the snippet grid",)
    else:
        more, unknown = _grid_facts(snippets, context.duration_of(stem(path)))
        facts |= more
    return Explanation(
        path,
        "features",
        f"snippet features of one video ({layout}): {counted(snippets, 'snippet')} of {counted(width, 'channel')}",
        facts,
        (*unknown, "what made them: the file does not say"),
        **converting(path, grid=facts.get("likely grid", "GRID").split(" ")[0]),
    )


def values_title(part: Array, shape: tuple[int, ...], what: str = "values") -> str:
    """Return the name of the fact that tells the values of an array, or of the first snippets of it."""
    if part.shape == tuple(shape):
        return what
    of_crops = " of the first crop" if part.shape[:-2] != tuple(shape)[:-2] else ""
    return f"{what} (first {counted(part.shape[-2], 'snippet')}{of_crops})"


def explain_source(path: Path, source: ArraySource, layout: str, context: Context) -> Explanation:
    """Explain the features of many videos in a foreign layout."""
    with_shapes = {video: source.shape(video) for video in source.videos[:2000]}
    lengths = {video: shape[-2] for video, shape in with_shapes.items()}
    widths = Counter(shape[-1] for shape in with_shapes.values())
    first, shape = source.start(source.videos[0]), with_shapes[source.videos[0]]
    facts: dict[str, Any] = {
        "layout": f"{layout}: {FEATURE_LAYOUTS[layout]}",
        "videos": len(source.videos),
        "first videos": list(source.videos[:3]),
        "channels": widths.most_common(1)[0][0] if len(widths) == 1 else {str(k): v for k, v in widths.items()},
        "snippets": range_text(lengths.values()),
        "dtype": str(first.dtype),
    }
    if first.ndim == 3:
        facts["crops"] = shape[0]
    if streams := source.modalities(source.videos[0]):
        facts["streams"] = ", ".join(f"{name} ({width})" for name, width in streams)
        start = np.cumsum([0, *(width for _, width in streams)])
        for i, (name, _) in enumerate(streams):
            facts[f"likely extractor ({name})"] = likely_extractors(first[..., start[i] : start[i + 1]], name)
    else:
        facts["likely extractor"] = likely_extractors(first, source.videos[0])
    facts[values_title(first, shape, "values of the first video")] = statistics(first)
    if (frames := source.num_frames(source.videos[0])) is not None:
        step = frames / shape[-2]
        facts["frames a snippet"] = f"{step:.2f} (frame_cnt {frames} / {shape[-2]} snippets of the first video)"
    others = getattr(source, "unpaired", [])
    if others:
        facts["files that do not belong"] = [file.name for file in others[:5]]
    unknown = ["what made them: the files do not say"]
    known = {v: d[0] for v in lengths if (d := context.duration_of(v)) is not None}
    if known:
        fits = fitting_presets(lengths, known)
        facts["grids that fit"] = {name: f"{share:.0%} of {counted(len(known), 'video')}" for name, share in fits[:3]}
        if fits:
            video = next(iter(known))
            grid = SnippetGrid.preset(fits[0][0], lengths[video], known[video])
            facts["likely grid"] = fits[0][0]
            facts[f"first snippet of {video}"] = _span(grid, 0)
            facts[f"last snippet of {video}"] = _span(grid, lengths[video] - 1)
        unknown.append("whether the grid is right: it is inferred from the durations")
    else:
        unknown.append("the snippet grid: no durations are known (annotations would tell)")
    source.close()
    return Explanation(
        path,
        "features",
        f"snippet features of {counted(len(with_shapes) if len(with_shapes) < 2000 else len(source.videos), 'video')} "
        f"({layout})",
        facts,
        tuple(unknown),
        **converting(path, grid=facts.get("likely grid", "GRID")),
    )


def explain_hdf5(path: Path, context: Context) -> Explanation:
    with tripping(path, "an HDF5 file", "is not a readable HDF5 file"), h5py.File(path, "r") as file:
        kind = str(file.attrs.get("wtal_format"))
        names = [shortened(name) for name in islice(file, 8)]
        root = {str(key): _plain(file.attrs[key]) for key in islice(file.attrs, 100)}
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
    return explain_source(path, source, "hdf5", context)


def _plain(value: Any) -> Any:
    """Return an attribute as what JSON knows; one that is none, in words."""
    value = np.asarray(value)
    if value.size > 1000 or value.dtype.kind not in "OSUfiub":
        return f"{value.size} values of {shortened(str(value.dtype))}"
    plain = value.item() if value.ndim == 0 else value.tolist()
    return shortened(plain, 1000) if isinstance(plain, str) else plain


#: Root attributes of a native file that say what the summary says already.
_FILE_KEYS = ("wtal_format", "num_videos")


def _explain_native(path: Path, root: dict[str, Any]) -> Explanation:
    with HDF5Store(path) as store:
        facts: dict[str, Any] = {"layout": "native", "videos": len(store.videos)}
        facts |= {key: value for key, value in root.items() if key not in _FILE_KEYS}
        with tripping(path, "a wtal feature file (.h5)"):
            for key, change in (("modalities", lambda text: dict(json.loads(text))), ("mixed", json.loads)):
                if key in facts:
                    facts[key] = change(facts[key])
        if not facts.get("mixed"):
            facts.pop("mixed", None)
        unknown: list[str] = []
        if store.videos:
            video = store.videos[0]
            grid, origin, shape = store.grid(video), store.provenance(video), store.shape(video)
            part = store.read_snippets(video, 0, part_snippets(shape, 4))
            facts |= {
                "first video": video,
                "shape": list(shape),
                "dtype": str(store.dtype(video)),
                "grid": grid.to_dict(),
                "first snippet": _span(grid, 0),
                "last snippet": _span(grid, grid.num_snippets - 1),
                values_title(part, shape): statistics(part),
            }
            if not origin.extractor:
                unknown.append("what made them: the file does not say")
                facts["likely extractor"] = likely_extractors(part)
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
