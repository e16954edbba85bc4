"""Snippet features on disk: the native HDF5 file, and readers for what the field publishes.

`open_features(path)` opens any of them; `FeatureWriter` and `convert_features` make native files.
"""

from __future__ import annotations

from wtal_core.data.features.convert import Conversion, convert_features
from wtal_core.data.features.grid_rule import GridRule
from wtal_core.data.features.native import FeatureWriter, HDF5Store
from wtal_core.data.features.opening import FEATURE_LAYOUTS, FeatureFacts, detect_layout, open_arrays, open_features
from wtal_core.data.features.store import ArraySource, FeatureStore, ForeignStore

__all__ = [
    "FEATURE_LAYOUTS",
    "ArraySource",
    "Conversion",
    "FeatureFacts",
    "FeatureStore",
    "FeatureWriter",
    "ForeignStore",
    "GridRule",
    "HDF5Store",
    "convert_features",
    "detect_layout",
    "open_arrays",
    "open_features",
]
