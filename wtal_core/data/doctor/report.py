"""What the doctor reports: findings, grouped by severity and by what was checked, and the report read back."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from wtal_core.documents import parse_json
from wtal_core.errors import DataError
from wtal_core.files import read_text

__all__ = ["CHECKS", "SEVERITIES", "Diagnosis", "Finding", "Severity", "read_diagnosis"]

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: What a check looks for; findings are grouped under these names, in this order.
CHECKS: dict[str, str] = {
    "annotations": "rows, keys and files of the annotations",
    "duplicates": "instances that are listed twice",
    "empty segments": "instances without length",
    "beyond duration": "segments that end after their video",
    "durations": "durations that cannot be trusted",
    "frame rates": "frame rates that cannot be trusted",
    "known faulty videos": "videos of the data set that are known to be wrong",
    "video-level labels": "video-level labels that differ from the segments",
    "ambiguous": "intervals that count neither way",
    "classes": "labels and class list",
    "splits": "videos and classes of each split",
    "features missing": "annotated videos without features",
    "features without annotation": "features that no annotation knows",
    "features unreadable": "features that cannot be read",
    "snippet grid": "where snippets lie in time",
    "length": "number of snippets against duration and grid",
    "segments beyond features": "segments after the last snippet",
    "values": "NaN, infinite, zero and constant snippets",
    "dimension": "channels and crops",
    "provenance": "what made the features",
    "same features": "videos with identical features",
    "videos": "video files",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Args:
        severity: "error", "warning" or "note".
        check: one of `CHECKS`.
        where: video, file or row.
        message: what is the matter, one sentence without a final full stop.
        next_step: what to do about it, an imperative sentence; "" where nothing is to be done.
        arguments: names of the arguments that the next step is about, as for errors.
    """

    severity: Severity
    check: str
    where: str
    message: str
    next_step: str = ""
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", tuple(self.arguments))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, errors first, and what was looked at.

    Args:
        findings: sorted by severity, then in the order of `CHECKS`.
        examined: how many videos, instances, classes, feature sets and snippets were looked at.
    """

    findings: tuple[Finding, ...]
    examined: Mapping[str, int]

    @classmethod
    def of(cls, findings: Iterable[Finding], examined: Mapping[str, int]) -> Diagnosis:
        """Sort findings into a diagnosis."""
        rank = {name: i for i, name in enumerate(CHECKS)}
        ordered = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), rank[f.check]))
        return cls(tuple(ordered), dict(examined))

    def count(self, severity: Severity) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether there is no error."""
        return self.count("error") == 0

    def groups(self) -> dict[tuple[Severity, str], tuple[Finding, ...]]:
        """Return the findings by severity and check, in order."""
        grouped: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            grouped[finding.severity, finding.check].append(finding)
        return {key: tuple(found) for key, found in grouped.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, which `from_dict` reads."""
        return {
            "healthy": self.healthy,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "examined": dict(self.examined),
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, values: Any, where: object = None) -> Diagnosis:
        """Rebuild a diagnosis from `to_dict`.

        Raises:
            DataError: it is something else.
        """
        try:
            return cls(tuple(Finding(**finding) for finding in values["findings"]), dict(values["examined"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "is not an examination",
                expected="findings and examined",
                where=where,
                next_step="Examine the data set again",
            ) from error


def read_diagnosis(log: str | os.PathLike[str]) -> Diagnosis:
    """Read the diagnosis that `wtal data doctor` printed as JSON into the log of a job; of several the last.

    Raises:
        DataError: the log holds none.
    """
    text = read_text(log, "the log of an examination")
    start = text.rfind("\n{\n")
    try:
        content = parse_json(text[start + 1 :] if start >= 0 else text, log)
    except DataError as error:
        raise DataError("holds no examination", where=log, next_step="Examine the data set again") from error
    return Diagnosis.from_dict(content, log)
