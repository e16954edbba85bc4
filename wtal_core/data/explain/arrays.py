"""NumPy files and pickles."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.annotations import THUMOS14_CLASS_IDS
from wtal_core.data.explain.explanation import Context, Explanation, converting, describe_names, range_text
from wtal_core.data.explain.features import explain_array, explain_source, likely_extractors, statistics, values_title
from wtal_core.data.explain.weights import explain_weights, flat_shapes
from wtal_core.data.features import FEATURE_LAYOUTS, open_arrays
from wtal_core.data.features.arrays import part_snippets
from wtal_core.data.features.cmcs import is_cmcs_file, look_at_cmcs, start_of_cmcs
from wtal_core.data.features.packed import find_video_names
from wtal_core.data.safe_load import PART_BYTES, load_npy, load_npz, load_pickle, npy_header, open_object_array
from wtal_core.errors import DataError, counted, shortened
from wtal_core.snippet_grid import SnippetGrid, is_finite_number

__all__ = ["explain_npy", "explain_npz", "explain_pickle"]

_MOST_NAMES = 100_000  # that are looked at


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


def explain_npy(path: Path, context: Context) -> Explanation:
    header = npy_header(path)
    part = _wtalc_part(path)
    beside = f"; part of W-TALC's annotation folder: {part}" if part else ""
    step = f"wtal data explain {shlex.quote(str(path.parent))}" if part else ""
    if header.is_object_array:
        return _explain_objects(path, context, beside, step)
    array = load_npy(path, mmap=True)
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if array.dtype.kind in "SU":
        first = array.reshape(-1)[:_MOST_NAMES].tolist()
        values = [shortened(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v), 200) for v in first]
        what, more = describe_names(values)
        if array.size > len(values):
            what, more["entries"] = f"{array.size:,} texts, of which the first: {what}", array.size
        return Explanation(path, "names", f"{what}{beside}", facts | more, next_step=step)
    if array.dtype.kind not in "fiub" or array.size == 0:
        return Explanation(path, "table", f"an array of {array.dtype}", facts, ("what it means",))
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        facts["values"] = statistics(array)
        return Explanation(
            path, "numbers", f"{array.size} numbers{beside}", facts, () if part else ("what the numbers are",), step
        )
    if array.ndim == 2 and np.isin(array[:4096], (0, 1)).all() and array[:4096].any():
        per_row = array[: part_snippets(array.shape, 8)].sum(axis=1)
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
    if array.ndim == 2 and (scores := _video_scores(path, array, facts)) is not None:
        return scores
    if array.ndim in (2, 3) and array.shape[-1] > 1:
        start = array[..., : part_snippets(array.shape, array.dtype.itemsize), :]
        return explain_array(path, start, context, "one .npy", array.shape)
    facts["values"] = statistics(array)
    return Explanation(path, "table", f"an array of shape {array.shape}", facts, ("what it means",))


def _video_scores(path: Path, array: Array, facts: dict[str, Any]) -> Explanation | None:
    """Recognise UntrimmedNet's video-level scores of THUMOS14 (one row per test video of the 2014 release)."""
    if array.shape != (1574, 101):
        return None
    sums = array.sum(axis=1)
    if not np.isfinite(sums).all() or array.min() < 0 or float(np.ptp(sums)) > 0.01:
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
            "values": statistics(array),
            "highest of row 0": f"class id {int(row.argmax()) + 1}",
        },
        (),
        "Use it as video-level classifier when localizing",
    )


def _explain_objects(path: Path, context: Context, beside: str, step: str) -> Explanation:
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
                "snippets": range_text(lengths),
                "dtype": str(first.dtype),
                "values of the first video": statistics(first),
                "likely extractor": likely_extractors(first, path.stem),
            }
            if names and npy_header(names).shape[:1] == (count,):
                explained = explain_source(path, open_arrays(path), "packed", context)
                facts |= {k: v for k, v in explained.facts.items() if k not in facts}
                return replace(explained, facts=facts)
            return Explanation(
                path, "features", f"packed snippet features of {count} videos", facts,
                ("which array is which video", "the snippet grid", "what made them"),
                **converting(path, names="videoname.npy", grid="i3d-25fps-16"),
            )  # fmt: skip
        values: list[Any] = []
        read = 0
        for i in range(count):
            if read > PART_BYTES:
                break
            values.append(elements[i])
            read += values[-1].nbytes if isinstance(values[-1], np.ndarray) else 0
    facts = {"shape": [count], "dtype": "object (read by the restricted loader)"}
    if len(values) < count:
        facts["looked at"] = f"the first {counted(len(values), 'element')}"
    rows = [v.tolist() if isinstance(v, np.ndarray) else v for v in values]
    if all(isinstance(row, list) for row in rows):
        flat = [item for row in rows for item in row]
        facts |= {"videos": count, "entries": len(flat), "empty": sum(not row for row in rows)}
        if flat and all(isinstance(item, str | bytes) for item in flat):
            labels = Counter(i.decode("utf-8", "replace") if isinstance(i, bytes) else i for i in flat)
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
        if flat and len(pairs) == len(flat) and all(is_finite_number(t) for pair in pairs for t in pair):
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


def explain_npz(path: Path, context: Context) -> Explanation:
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
        weights = explain_weights(path, {name: shape for name, (shape, _) in shapes.items()}, "arrays of a .npz")
        if weights is not None:
            return weights
        facts: dict[str, Any] = {
            "arrays": {name: f"{shape} {dtype}" for name, (shape, dtype) in list(shapes.items())[:20]}
        }
        if is_cmcs_file(path):
            stream, part = look_at_cmcs(path), start_of_cmcs(path)
            (crops, snippets, width), frames = stream.shape, stream.num_frames
            step = frames / snippets
            window = 5 if stream.untrimmednet else 16
            dense = [SnippetGrid(fps=1, stride=s, window=window, num_snippets=snippets) for s in (4, 5, 15, 16)]
            # On a clock of one frame a second, frames are seconds.
            stride = min(dense, key=lambda g: abs(g.expected_num_snippets(frames) - g.num_snippets)).stride
            facts |= {
                "shape": list(headers["feature"].shape),
                "frame_cnt": frames,
                "crops": crops,
                "snippets": snippets,
                "channels": width,
                "frames a snippet": f"{step:.2f}: the base stride is likely {stride:g} frames",
                "likely extractor": "UntrimmedNet" if stream.untrimmednet else likely_extractors(part, path.stem),
                values_title(part, stream.shape): statistics(part),
            }
            return Explanation(
                path,
                "features",
                "CMCS snippet features of one video and stream: all crops at the base stride",
                facts,
                ("the frame rate: CMCS keeps the video's own on THUMOS14 and 25 fps on ActivityNet",),
                **converting(path.parent, grid="4/16@native", annotations="ANNOTATIONS"),
            )
        two = [name for name, (shape, _) in shapes.items() if len(shape) in (2, 3) and 0 not in shape]
        if len(two) == 1 and headers[two[0]].dtype.kind == "f":
            part, layout = archive.snippets(two[0]), f"array {shortened(two[0])!r} of a .npz"
            explained = explain_array(path, part, context, layout, shapes[two[0]][0])
            return replace(explained, facts=facts | dict(explained.facts))
    return Explanation(path, "table", f"{len(shapes)} NumPy arrays", facts, ("what they mean",))


def explain_pickle(path: Path) -> Explanation:
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
    shapes = flat_shapes(value)
    if (weights := explain_weights(path, shapes, "a pickle of arrays")) is not None:
        return weights
    facts: dict[str, Any] = {"type": type(value).__name__}
    if isinstance(value, dict):
        facts["keys"] = [shortened(str(k)) for k in islice(value, 10)]
    if isinstance(value, dict | list | tuple):
        facts["entries"] = len(value)
    if shapes:
        facts["arrays"] = {name: str(shape) for name, shape in list(shapes.items())[:10]}
    return Explanation(path, "table", f"a pickled {type(value).__name__} of data", facts, ("what it means",))
