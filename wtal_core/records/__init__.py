"""The typed values that travel between the rooms of the project.

`Segments` and `Detections` are columnar: one NumPy array per column, so that everything after a model runs in array
operations. All times are seconds of the source video; intervals are `[start, end)`.
"""

from __future__ import annotations

from wtal_core.records.activations import TRACK_KINDS, Activations, Boundaries, Track
from wtal_core.records.annotations import Annotations, VideoInfo
from wtal_core.records.evaluation import Evaluation
from wtal_core.records.features import Provenance, VideoFeatures
from wtal_core.records.tables import Detection, Detections, Segment, Segments, as_names, factorize
from wtal_core.records.views import Lens, Trace, View, default_views

__all__ = [
    "TRACK_KINDS",
    "Activations",
    "Annotations",
    "Boundaries",
    "Detection",
    "Detections",
    "Evaluation",
    "Lens",
    "Provenance",
    "Segment",
    "Segments",
    "Trace",
    "Track",
    "VideoFeatures",
    "VideoInfo",
    "View",
    "as_names",
    "default_views",
    "factorize",
]
