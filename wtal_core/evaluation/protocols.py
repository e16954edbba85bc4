"""Named evaluation protocols and tIoU presets.

The same detections get different mAP from the different evaluators of the field (at tIoU 0.5 by several points), so a
number means something only together with the name of its protocol. Each protocol here is a frozen record of the
choices in which the evaluators differ; `wtal_core.evaluation.evaluate` reads nothing else.

One rule breaks all ties, in every protocol: **score descending, then video name, then table order**; among instances
with equal tIoU the one earlier in the annotations wins, among detections with equal tIoU the one ranked higher. The
official evaluators leave ties to their sort:

* ActivityNet's (also HAM-Net's, ACM-Net's and deep metric learning's) uses NumPy's unstable quicksort and reverses it,
  so equal scores come out in no defined order (small tables: reversed), and of two instances with equal tIoU the later
  one is taken. Its tIoU of two zero-length segments at the same time is 0/0, which it counts as a match; here it is 0.
- The THUMOS14 kit sorts each video's detections stably and goes through the videos in sorted order, which is this
  rule. Its first release lists all true positives before all false positives of equal score; the updated one, which
  CMCS ships, does not.
* W-TALC's uses an unstable sort of the negated scores.

Detections with distinct scores and tIoUs (float scores of a network) are not affected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from wtal_core.errors import UsageError, unknown_name
from wtal_core.snippet_grid import GRID_PRESETS

__all__ = ["PROTOCOLS", "TIOU_PRESETS", "EvaluationProtocol", "get_protocol", "list_protocols", "parse_tiou"]

Chooser = Literal["detections", "instances"]
Preference = Literal["highest tIoU", "table order"]
AmbiguousRule = Literal["not considered", "unmatched overlaps dropped", "overlaps removed first"]
Denominator = Literal["union", "hull"]


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """Everything in which the evaluators of the field differ.

    Args:
        name: what the protocol is called on the command line and in results.
        summary: one line for people.
        chooser: who picks a partner, one after the other, of the same video and class: "detections" by score, or
            "instances" in annotation order. A partner that is taken is not available to later ones.
        preference: which of the available partners that reach the tIoU threshold is picked.
        strict: whether a match needs tIoU > threshold rather than >=.
        interpolated: area under the precision envelope (PASCAL VOC 2010), rather than the mean of the raw precisions
            at the true positives.
        ambiguous: what happens to detections (of any class) that share time with an "Ambiguous" interval.
        grid: preset of the snippet grid to whose boundaries all times are rounded first, or None for seconds.
        denominator: tIoU as intersection / (sum of lengths - intersection) or as intersection / hull. They are equal
            for overlapping intervals; the last digit of the float differs, which matters where tIoU equals a threshold.

    Raises:
        UsageError: a value is not one of the possible ones.
    """

    name: str
    summary: str
    chooser: Chooser = "detections"
    preference: Preference = "highest tIoU"
    strict: bool = False
    interpolated: bool = True
    ambiguous: AmbiguousRule = "not considered"
    grid: str | None = None
    denominator: Denominator = "union"

    def __post_init__(self) -> None:
        for field, kind in (
            ("chooser", Chooser),
            ("preference", Preference),
            ("ambiguous", AmbiguousRule),
            ("denominator", Denominator),
        ):
            if getattr(self, field) not in get_args(kind):
                raise unknown_name(field, getattr(self, field), get_args(kind), where=f"protocol {self.name!r}")
        if self.grid is not None and self.grid not in GRID_PRESETS:
            raise unknown_name("snippet grid", self.grid, GRID_PRESETS, where=f"protocol {self.name!r}")


PROTOCOLS: dict[str, EvaluationProtocol] = {
    protocol.name: protocol
    for protocol in (
        EvaluationProtocol(
            name="activitynet",
            summary="ActivityNet toolkit: greedy by score, tIoU >= threshold, interpolated AP, Ambiguous not "
            "considered (most work since 2018)",
        ),
        EvaluationProtocol(
            name="thumos14",
            summary="THUMOS Challenge 2014 kit: each instance takes its best free detection, tIoU > threshold, "
            "unmatched detections on Ambiguous intervals dropped, non-interpolated AP",
            chooser="instances",
            strict=True,
            interpolated=False,
            ambiguous="unmatched overlaps dropped",
            denominator="hull",
        ),
        EvaluationProtocol(
            name="wtalc",
            summary="times rounded to snippets, detections on Ambiguous intervals removed first, then as activitynet",
            ambiguous="overlaps removed first",
            grid="i3d-25fps-16",
        ),
        EvaluationProtocol(
            name="wtalc-original",
            summary="W-TALC's own evaluator: as wtalc, but each detection takes the first free instance in annotation "
            "order that reaches the threshold, non-interpolated AP",
            preference="table order",
            interpolated=False,
            ambiguous="overlaps removed first",
            grid="i3d-25fps-16",
        ),
    )
}


def list_protocols() -> list[str]:
    """Return the names of the protocols."""
    return list(PROTOCOLS)


def get_protocol(protocol: str | EvaluationProtocol) -> EvaluationProtocol:
    """Return the protocol of that name (a protocol is returned as it is).

    Raises:
        UsageError: there is no such protocol.
    """
    if isinstance(protocol, EvaluationProtocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol]


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    """Return `first, first + step, ... <= last`, each the float nearest to its decimals (0.3, not 0.1 + 0.2)."""
    return tuple(round(first + i * step, 6) for i in range(math.floor((last - first) / step + 1e-6) + 1))


#: Sets of tIoU thresholds by the names papers use; step 0.1, but 0.05 for ActivityNet's "0.5:0.95".
TIOU_PRESETS: dict[str, tuple[float, ...]] = {
    "0.1:0.7": _steps(0.1, 0.7, 0.1),
    "0.1:0.5": _steps(0.1, 0.5, 0.1),
    "0.3:0.7": _steps(0.3, 0.7, 0.1),
    "0.5:0.95": _steps(0.5, 0.95, 0.05),
    "0.1:0.9": _steps(0.1, 0.9, 0.1),
}


def parse_tiou(tiou: str | float | Sequence[float]) -> tuple[float, ...]:
    """Return tIoU thresholds from a preset name, numbers, or a text with numbers.

    Args:
        tiou: a key of `TIOU_PRESETS`; "first:last:step"; one number or several, as numbers or comma-separated text.
            Numbers are used exactly as given: `np.arange(0.1, 0.75, 0.1)` holds 0.30000000000000004, and a detection
            whose tIoU is 0.3 does not reach that.

    Raises:
        UsageError: the text cannot be read, or a threshold is not in (0, 1], or one comes twice.
    """
    if isinstance(tiou, str):
        text = tiou.strip()
        if text in TIOU_PRESETS:
            return TIOU_PRESETS[text]
        try:
            parts = [float(part) for part in text.replace(":", ",").split(",")]
        except ValueError:
            parts = []
        if ":" in text:
            readable = len(parts) == 3 and "," not in text and parts[2] > 0 and all(map(math.isfinite, parts))
            values = _steps(*parts) if readable and (parts[1] - parts[0]) / parts[2] < 1000 else ()
        else:
            values = tuple(parts)
        if not values:
            raise UsageError(
                f"tIoU thresholds {tiou!r} cannot be read",
                expected=f"one of {', '.join(TIOU_PRESETS)}, or first:last:step, or numbers such as 0.3,0.5",
                next_step="Write for example 0.1:0.7, or 0.3,0.5",
            )
    else:
        try:
            several = [tiou] if isinstance(tiou, int | float | np.number) else list(tiou)
            if any(isinstance(t, bool) for t in several):
                raise TypeError("a truth value is no threshold")
            values = tuple(float(t) for t in several)
        except (TypeError, ValueError) as error:
            raise UsageError(
                "tIoU thresholds are not numbers",
                expected="numbers in (0, 1]",
                got=repr(tiou),
                next_step="Write a number, or several in a tuple",
            ) from error
    bad = [t for t in values if not 0 < t <= 1]
    if bad or not values:
        raise UsageError(
            "a tIoU threshold is out of range" if bad else "there is no tIoU threshold",
            expected="numbers in (0, 1]",
            got=str(bad) if bad else None,
            next_step="Drop the thresholds outside; 50 % overlap is 0.5" if bad else "Name at least one, e.g. 0.5",
        )
    if len({f"{t:g}" for t in values}) < len(values):
        raise UsageError(
            "a tIoU threshold comes twice",
            got=", ".join(f"{t:g}" for t in values),
            next_step="Name each threshold once",
        )
    return values
