"""ActivityNet results JSON, read and written one video at a time: files of millions of detections exist.

A video's rows are decoded by the standard library's scanner, turned into columns and let go, so that a file needs
little more memory than its text. The checks of `read_json(..., unique_keys=True)` hold: everything after the end, every
key listed twice, every number too long is named.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations.draft import shown
from wtal_core.documents import JsonCursor, json_errors
from wtal_core.errors import DataError
from wtal_core.files import read_text
from wtal_core.records import Detections

__all__ = ["no_cycle_search", "results_of", "results_text"]

_WHAT = "results as ActivityNet JSON"
_AT_ONCE = 50_000  # rows that are turned into text together


@contextmanager
def no_cycle_search() -> Iterator[None]:
    """Keep Python from looking for cycles among millions of rows that have none: a fifth of the time of reading."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def results_of(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield `(video, rows)` of the `results` object of a file, in file order.

    Raises:
        DataError: nothing is there, no valid JSON, a key is listed twice, no `results` in it, or the rows of a video
            are not a list of objects.
    """
    text = read_text(path, _WHAT)
    with json_errors(path, _WHAT):
        yield from _results(JsonCursor(text, path, _WHAT), path)


def _results(at: JsonCursor, path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if not at.begins("{"):
        raise _no_results(path, f"a {type(at.value()).__name__}")
    found = False
    keys = []
    for key in at.entries():
        keys.append(key)
        if key == "results" and at.begins("{"):
            found = True
            for video in at.entries():
                rows = at.value()
                if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                    raise DataError(
                        "the results of a video are not a list of objects",
                        got=shown(rows),
                        where=f"{path}: results[{video!r}]",
                        next_step='Make it a list of {"label", "score", "segment"}',
                    )
                yield video, rows
        else:
            at.value()
    at.finish()
    if not found:
        raise _no_results(path, f"the keys {shown(keys[:5])}", annotations="database" in keys)


def _no_results(path: Path, got: str, *, annotations: bool = False) -> DataError:
    return DataError(
        "holds no results",
        expected='{"results": {video: [{"label", "score", "segment"}]}}',
        got=got,
        where=path,
        next_step="These are annotations: name them as the ground truth"
        if annotations
        else "'wtal data explain' says what this file is",
    )


def results_text(detections: Detections) -> Iterator[str]:
    """Yield the parts of the text of `Detections.to_activitynet()`, to the letter as `json.dumps` writes it."""
    codes, videos = detections.video_codes
    label_codes, labels = detections.label_codes
    quoted = [json.dumps(label, ensure_ascii=False) for label in labels]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(videos) + 1)).tolist()
    yield '{"version": "wtal 1", "external_data": {"used": false, "details": ""}, "results": {'
    for number, video in enumerate(videos):
        yield f"{', ' if number else ''}{json.dumps(video, ensure_ascii=False)}: ["
        for first in range(bounds[number], bounds[number + 1], _AT_ONCE):
            rows = order[first : min(first + _AT_ONCE, bounds[number + 1])]
            columns = (
                label_codes[rows].tolist(),
                detections.score[rows].tolist(),
                detections.start[rows].tolist(),
                detections.end[rows].tolist(),
                detections.source[rows].tolist(),
            )
            if first > bounds[number]:
                yield ", "
            yield ", ".join(
                f'{{"label": {quoted[label]}, "score": {score!r}, "segment": [{start!r}, {end!r}]'
                + (f', "source": {json.dumps(source, ensure_ascii=False)}}}' if source else "}")
                for label, score, start, end, source in zip(*columns, strict=True)
            )
        yield "]"
    yield "}}\n"
