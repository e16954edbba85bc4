"""What is said of a file, and what may be known beside it."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wtal_core.arrays import Array
from wtal_core.data.annotations import THUMOS14_CLASS_IDS
from wtal_core.errors import counted
from wtal_core.records import Annotations

__all__ = [
    "THUMOS_VIDEO",
    "Array",
    "Context",
    "Explanation",
    "describe_names",
    "facts_as_text",
    "range_text",
    "to_text",
]


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
        next_step: what one usually does with it: a command.
        options: the command's options and their values.
    """

    path: Path
    kind: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    next_step: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "summary": self.summary,
            "facts": dict(self.facts),
            "unknown": list(self.unknown),
            "next_step": self.next_step,
            "options": dict(self.options),
        }


def converting(path: Path, **options: str) -> dict[str, Any]:
    """Return `next_step` and `options` of an explanation: how one converts these features."""
    return {"next_step": f"wtal data convert {shlex.quote(str(path))}", "options": {"to": "features.h5", **options}}


@dataclass(frozen=True)
class Context:
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


THUMOS_VIDEO = re.compile(r"video_(test|validation)_\d{7}$")


def describe_names(values: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Say what a list of names is; return `(sentence, facts)`."""
    distinct = list(dict.fromkeys(values))
    facts: dict[str, Any] = {"entries": len(values), "distinct": len(distinct), "first": values[:5]}
    if all(THUMOS_VIDEO.match(v) for v in values):
        facts["subsets"] = dict(Counter(v.split("_")[1] for v in values))
        return counted(len(values), "THUMOS14 video id"), facts
    if set(distinct) <= THUMOS14_CLASS_IDS.keys() and len(distinct) == len(values):
        facts["classes"] = distinct
        return f"{len(values)} class names of THUMOS14", facts
    if len(distinct) <= 6 < len(values):
        return f"{len(values)} entries with the values {', '.join(distinct)}", facts | {"counts": dict(Counter(values))}
    return counted(len(values), "name"), facts


def range_text(values: Iterable[int]) -> str:
    """Return "14" or "14 to 3,200"."""
    found = list(values)
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


#: Names of facts that a person reads otherwise than a program.
_WORDS = {
    "dim": "channels",
    "flow_kind": "optical flow",
    "layout_version": "layout version",
    "written_by": "written by",
}


def facts_as_text(explanation: Explanation) -> dict[str, str]:
    """Return the facts with names and values for people."""
    return {
        _WORDS.get(name, name): " x ".join(f"{n:,}" for n in value) if name == "shape" and value else to_text(value)
        for name, value in explanation.facts.items()
    }


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
