"""A failure in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from wtal_core.evaluation.failure_kinds import KINDS, OTHER_VIDEO
from wtal_core.records import Annotations

__all__ = ["describe_failure"]


def describe_failure(failure: Any, annotations: Annotations, tiou: float) -> str:
    """Return one sentence about a row of `Diagnosis.failures`.

    Args:
        failure: the row (attributes as the columns).
        annotations: the ground truth; its tracks name the fakes and the context.
        tiou: the threshold of the diagnosis.
    """
    kind = str(failure.kind)
    target = int(failure.target)
    name = str(failure.label)
    instances = annotations.instances
    if kind == OTHER_VIDEO:
        info = annotations.videos.get(failure.video)
        if info is None:
            return f"This {name} lies in a video that is not annotated."
        where = "" if info.subset is None else f" of the subset {info.subset!r}"
        return f"This {name} lies in a video{where} that is not evaluated."
    if not failure.miss and (under := _under(failure, annotations, {"fake": "fakes"}.get(kind, kind))):
        what, start, end = under
        tail = f"which looks like {name} and is not" if kind == "fake" else f"which goes with {name}"
        return f"Lies on {what} [{start:.1f}, {end:.1f}] s, {tail}."
    if target >= 0 and not failure.miss:
        a, b = float(instances.start[target]), float(instances.end[target])
        shared = max(min(b, float(failure.end)) - max(a, float(failure.start)), 0.0)
        missing, extra = (b - a) - shared, (float(failure.end) - float(failure.start)) - shared
        measure = f"tIoU {float(failure.tiou):.2f} < {tiou:g}"
        if kind in ("incomplete", "split"):
            piece = "One of several pieces of" if kind == "split" else "Too short for"
            return f"{piece} {name} [{a:.1f}, {b:.1f}] s: {missing:.1f} s missing, {extra:.1f} s too much, {measure}."
        if kind == "over-complete":
            return (
                f"Too long for {name} [{a:.1f}, {b:.1f}] s: {extra:.1f} s too much, {missing:.1f} s missing, {measure}."
            )
        if kind == "merged":
            return f"Runs over several instances of {name}; best match [{a:.1f}, {b:.1f}] s, {measure}."
        if kind == "double":
            return (
                f"{name} [{a:.1f}, {b:.1f}] s is found (tIoU {float(failure.tiou):.2f}), but another detection has it."
            )
        if kind == "wrong class":
            return f"Lies on {failure.other} [{a:.1f}, {b:.1f}] s (tIoU {float(failure.tiou):.2f}), detected as {name}."
    if kind == "missed: boundaries":
        return (
            f"{name} is detected with boundaries that are too far off: best tIoU {float(failure.tiou):.2f} < {tiou:g}."
        )
    if kind == "missed: wrong class":
        return f"{name} is detected as {failure.other} (tIoU {float(failure.tiou):.2f})."
    meaning = KINDS[kind]
    return f"{name}: {meaning}." if failure.miss else f"This {name} {meaning}."


def _under(failure: Any, annotations: Annotations, track: str) -> tuple[str, float, float] | None:
    """Return name, start and end of what a failure lies on most among a track's segments of its class, if it does."""
    if track not in annotations.tracks:
        return None
    table = annotations.tracks[track]
    rows = np.flatnonzero(table.video == failure.video)
    rows = rows[[str(label).partition("/")[0] == failure.label for label in table.label[rows]]]
    shared = np.minimum(table.end[rows], failure.end) - np.maximum(table.start[rows], failure.start)
    if not rows.size or shared.max() <= 0:
        return None
    row = rows[int(shared.argmax())]
    what = str(table.label[row]).partition("/")[2].replace("_", " ") or track.removesuffix("s")
    return f"a {what}" if track == "fakes" else what, float(table.start[row]), float(table.end[row])
