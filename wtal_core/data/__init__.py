"""Annotations, detections and snippet features on disk, data sets made of them, and what is wrong with them.

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ActivationStore": "activations",
    "ActivationWriter": "activations",
    "Dataset": "dataset",
    "FeatureStore": "features",
    "FeatureWriter": "features",
    "open_activations": "activations",
    "open_features": "features",
    "read_annotations": "annotations",
    "read_detections": "detections",
    "write_activations": "activations",
    "write_annotations": "annotations",
    "write_detections": "detections",
}

__all__ = [
    "ActivationStore",
    "ActivationWriter",
    "Dataset",
    "FeatureStore",
    "FeatureWriter",
    "open_activations",
    "open_features",
    "read_annotations",
    "read_detections",
    "write_activations",
    "write_annotations",
    "write_detections",
]

if TYPE_CHECKING:
    from wtal_core.data.activations import ActivationStore, ActivationWriter, open_activations, write_activations
    from wtal_core.data.annotations import read_annotations, write_annotations
    from wtal_core.data.dataset import Dataset
    from wtal_core.data.detections import read_detections, write_detections
    from wtal_core.data.features import FeatureStore, FeatureWriter, open_features


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"wtal_core.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wtal_core.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
