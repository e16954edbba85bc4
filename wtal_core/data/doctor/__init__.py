"""The data set doctor: every mismatch between annotations, features, splits and videos, before the first epoch.

Each check is a function that yields `Finding`s: severity, where, what, and what to do. Errors make training or
evaluation wrong or impossible; warnings make numbers doubtful; notes are worth knowing.
"""

from __future__ import annotations

from wtal_core.data.doctor.detections import DetectionCheck, check_detections
from wtal_core.data.doctor.examination import Stamp, diagnose, diagnose_dataset, stamps, total_bytes
from wtal_core.data.doctor.grids import length_message
from wtal_core.data.doctor.report import CHECKS, SEVERITIES, Diagnosis, Finding, Severity, read_diagnosis
from wtal_core.data.doctor.subject import Subject

__all__ = [
    "CHECKS",
    "SEVERITIES",
    "DetectionCheck",
    "Diagnosis",
    "Finding",
    "Severity",
    "Stamp",
    "Subject",
    "check_detections",
    "diagnose",
    "diagnose_dataset",
    "length_message",
    "read_diagnosis",
    "stamps",
    "total_bytes",
]
