"""wtal: a workbench for weakly-supervised temporal action localization.

>>> import wtal_core as wtal
>>> wtal.list_methods()
['acmnet', 'acn', 'cmcs', 'deep_metric', 'hamnet']

Names are loaded when they are first used: `import wtal_core` is quick and needs none of the optional packages.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wtal_core.version import __version__

_HOMES = {
    "Activations": "records",
    "Annotations": "records",
    "DataError": "errors",
    "Detections": "records",
    "Evaluation": "records",
    "Segments": "records",
    "SnippetGrid": "snippet_grid",
    "UsageError": "errors",
    "VideoFeatures": "records",
    "WtalError": "errors",
    "create_method": "methods",
    "evaluate": "evaluation",
    "list_methods": "methods",
    "list_protocols": "evaluation",
    "open_features": "data",
    "read_annotations": "data",
    "read_detections": "data",
    "write_annotations": "data",
    "write_detections": "data",
}

__all__ = [
    "Activations",
    "Annotations",
    "DataError",
    "Detections",
    "Evaluation",
    "Segments",
    "SnippetGrid",
    "UsageError",
    "VideoFeatures",
    "WtalError",
    "__version__",
    "create_method",
    "evaluate",
    "list_methods",
    "list_protocols",
    "open_features",
    "read_annotations",
    "read_detections",
    "write_annotations",
    "write_detections",
]

if TYPE_CHECKING:
    from wtal_core.data import (
        open_features,
        read_annotations,
        read_detections,
        write_annotations,
        write_detections,
    )
    from wtal_core.errors import DataError, UsageError, WtalError
    from wtal_core.evaluation import evaluate, list_protocols
    from wtal_core.methods import create_method, list_methods
    from wtal_core.records import Activations, Annotations, Detections, Evaluation, Segments, VideoFeatures
    from wtal_core.snippet_grid import SnippetGrid


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"wtal_core.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wtal_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
