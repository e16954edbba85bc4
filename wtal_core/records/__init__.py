"""The typed values that travel between the rooms of the project.

`Segments` and `Detections` are columnar: one NumPy array per column, so that everything after a model runs in array
operations. All times are seconds of the source video; intervals are `[start, end)`.
"""

from __future__ import annotations

from wtal_core.records.activations import Activations, Boundaries
from wtal_core.records.annotations import Annotations, VideoInfo
from wtal_core.records.evaluation import Evaluation
from wtal_core.records.features import Provenance, VideoFeatures
from wtal_core.records.tables import Detections, Segments, as_names, factorize

__all__ = [
    "Activations",
    "Annotations",
    "Boundaries",
    "Detections",
    "Evaluation",
    "Provenance",
    "Segments",
    "VideoFeatures",
    "VideoInfo",
    "as_names",
    "factorize",
]
