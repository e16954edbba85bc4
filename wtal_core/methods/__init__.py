"""Published methods, one file each; see `base.py` for what they share."""

from __future__ import annotations

from wtal_core.methods.base import (
    Batch,
    Method,
    Recipe,
    Stage,
    arithmetic,
    create_method,
    list_methods,
    method_class,
    read_official_checkpoint,
)

__all__ = [
    "Batch",
    "Method",
    "Recipe",
    "Stage",
    "arithmetic",
    "create_method",
    "list_methods",
    "method_class",
    "read_official_checkpoint",
]
