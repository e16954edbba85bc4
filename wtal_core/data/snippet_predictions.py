"""Snippet predictions of another network (e.g. UntrimmedNet's): what every snippet shows, and how much it matters.

In an `.npz` file the arrays of a video's stream are named `<video>/<rgb|flow>/scp` (`(T, C)`, in [0, 1]; rows may sum
to less than 1), `.../attention` (`(T,)` logits) and, optionally, `.../class_scores` (`(C,)`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Array, Float32Array
from wtal_core.data.safe_load import load_npz
from wtal_core.errors import DataError

__all__ = ["GivenPredictions", "StreamPredictions", "checked_predictions", "read_predictions"]


#: `{video: {"rgb" | "flow": (SCP, attention logits, class scores or None)}}`
GivenPredictions = Mapping[str, Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None]]]


@dataclass(frozen=True, eq=False)
class StreamPredictions:
    """What a network says about one stream of one video.

    Args:
        scp: `(T, C)` float32 snippet-level classification prediction, in [0, 1].
        attention: `(T,)` float32 logits.
        class_scores: `(C,)` float32, None where they are not known.
    """

    scp: Float32Array
    attention: Float32Array
    class_scores: Float32Array | None = None


def checked_predictions(
    predictions: GivenPredictions, streams: Sequence[str], num_classes: int
) -> dict[str, dict[str, StreamPredictions]]:
    """Return predictions as float32, the streams of a video cut to the shorter one.

    Args:
        predictions: of any number of videos.
        streams: the ones that are wanted; others are left out.
        num_classes: C.

    Raises:
        DataError: a stream is missing, shapes disagree or values are out of range.
    """
    found: dict[str, dict[str, StreamPredictions]] = {}
    for video, by_stream in predictions.items():
        parts: dict[str, StreamPredictions] = {}
        for stream in streams:
            where = f"predictions of {video}, {stream}"
            if stream not in by_stream:
                raise DataError(
                    "a stream is missing",
                    expected=stream,
                    got=str(sorted(by_stream)),
                    where=where,
                    next_step="Add this stream's predictions, or leave the video out",
                )
            parts[stream] = _checked(by_stream[stream], num_classes, where)
        length = min(len(part.attention) for part in parts.values())
        found[video] = {
            stream: StreamPredictions(part.scp[:length], part.attention[:length], part.class_scores)
            for stream, part in parts.items()
        }
    return found


def _checked(given: Sequence[npt.ArrayLike | None], num_classes: int, where: str) -> StreamPredictions:
    scp, attention, scores = (None if a is None else np.array(a, dtype=np.float32) for a in given)
    if scp is None or attention is None:
        raise DataError("SCP or attention is missing", where=where, next_step="Give both for every stream")
    shapes = (scp.shape, attention.shape, None if scores is None else scores.shape)
    wanted = ((len(attention), num_classes), (len(attention),), (num_classes,))
    if len(attention) == 0 or shapes[:2] != wanted[:2] or shapes[2] not in (None, wanted[2]):
        raise DataError(
            "has the wrong shapes",
            expected=str(wanted),
            got=str(shapes),
            where=where,
            next_step="Bring the arrays to snippets by classes",
        )
    finite = all(np.isfinite(a).all() for a in (scp, attention, scores) if a is not None)
    if not finite or scp.min() < 0 or scp.max() > 1 + 1e-4:
        raise DataError(
            "is out of range",
            expected="SCP in [0, 1], finite numbers",
            where=where,
            next_step="Give SCP after its softmax, without NaN",
        )
    return StreamPredictions(scp, attention, scores)


def read_predictions(path: str | os.PathLike[str]) -> dict[str, dict[str, tuple[Any, Any, Any]]]:
    """Read predictions from an `.npz` file, see above for its names.

    Raises:
        DataError: the file cannot be read or an array is named otherwise.
    """
    file = load_npz(path)
    found: dict[str, dict[str, dict[str, Array]]] = {}
    for key in file:
        video, stream, kind = ["", "", *key.rsplit("/", 2)][-3:]
        if not video or stream not in ("rgb", "flow") or kind not in ("scp", "attention", "class_scores"):
            raise DataError(
                "is not a file of snippet predictions",
                expected="<video>/<rgb|flow>/<scp|attention|class_scores>",
                got=key,
                where=path,
                next_step="Rename the arrays, or leave this one out",
            )
        found.setdefault(video, {}).setdefault(stream, {})[kind] = file[key]
    for video, streams in found.items():
        for stream, parts in streams.items():
            if not {"scp", "attention"} <= parts.keys():
                raise DataError(
                    "predictions are incomplete",
                    expected="scp and attention",
                    got=str(sorted(parts)),
                    where=f"{path}: {video}/{stream}",
                    next_step="Give both for every stream",
                )
    return {
        video: {s: (p["scp"], p["attention"], p.get("class_scores")) for s, p in streams.items()}
        for video, streams in found.items()
    }
