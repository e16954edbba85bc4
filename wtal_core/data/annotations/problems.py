"""What a reader of annotations finds wrong, as records that the dataset doctor can list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wtal_core.errors import DataError

__all__ = ["FATAL_KINDS", "PROBLEM_KINDS", "Problem", "notes", "raise_first"]

#: Problems after which the data cannot be trusted. `read_annotations` raises on the first; `scan_annotations` drops
#: the row or value and goes on.
FATAL_KINDS: dict[str, str] = {
    "missing": "required values are missing",
    "type": "values have the wrong type",
    "segment": "segments are not finite, negative or inverted",
    "number": "durations, frame rates or frame counts are not finite numbers > 0",
    "unknown_class": "labels are outside the stated class list",
    "unknown_video": "rows name a video that is not listed",
    "repeated_video": "videos are listed twice with different facts",
    "row": "rows cannot be understood",
}

#: Oddities that published files have; the rows are kept as they are and a note says so.
NOTED_KINDS: dict[str, str] = {
    "beyond_duration": "segments end after the stated duration of their video (kept)",
    "empty_segment": "segments start and end at the same time (kept)",
    "duplicate": "instances are listed twice (kept)",
    "unknown_key": "keys are not known and were ignored",
    "duration": "stated durations cannot be trusted (kept)",
    "fps": "stated frame rates cannot be trusted",
    "faulty_video": "videos of THUMOS14 are known to be faulty (kept)",
    "avoid_list": "videos are on an avoid list of the data set (kept)",
    "video_labels": "videos have video-level labels that differ from the classes of their segments (kept)",
    "unlisted_video": "rows belong to a video the data set does not list (dropped)",
    "missing_facts": "videos lack their subset, duration or frame rate in the file beside",
    "missing_class": "classes of the official list have no file",
}

PROBLEM_KINDS: dict[str, str] = FATAL_KINDS | NOTED_KINDS


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Args:
        kind: one of `PROBLEM_KINDS`.
        where: file, video, row or line.
        message: what is wrong there, one sentence without a final full stop.
    """

    kind: str
    where: str
    message: str

    @property
    def fatal(self) -> bool:
        """Whether `read_annotations` refuses the file because of it."""
        return self.kind in FATAL_KINDS


def notes(problems: Iterable[Problem], prefix: str = "") -> tuple[str, ...]:
    """Return one sentence for each kind of finding: what, how many, and the first of them (its place less `prefix`)."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    return tuple(
        f"{PROBLEM_KINDS[kind]}: {len(found)}, the first at {found[0].where.removeprefix(prefix)}: {found[0].message}"
        for kind, found in by_kind.items()
    )


def raise_first(problems: Iterable[Problem]) -> None:
    """Raise `DataError` for the first fatal finding, if there is one, saying how many there are."""
    fatal = [problem for problem in problems if problem.fatal]
    if not fatal:
        return
    more = f" ({len(fatal)} such problems in all)" if len(fatal) > 1 else ""
    raise DataError(
        f"{fatal[0].message}{more}",
        where=fatal[0].where,
        next_step="Correct the file; 'wtal data doctor' lists every problem of annotations",
    )
