"""Methods, one file each; `base` says what they share, `registry` finds them. Names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wtal_core.methods.base import Batch, Method, arithmetic
    from wtal_core.methods.features import Refusal
    from wtal_core.methods.official import read_official_checkpoint
    from wtal_core.methods.recipe import Recipe, Stage
    from wtal_core.methods.registry import create_method, list_methods, method_class, method_targets, name_of

_HOMES = {
    "base": ("Batch", "Method", "arithmetic"),
    "features": ("Refusal",),
    "official": ("read_official_checkpoint",),
    "recipe": ("Recipe", "Stage"),
    "registry": ("create_method", "list_methods", "method_class", "method_targets", "name_of"),
}

__all__ = [
    "Batch",
    "Method",
    "Recipe",
    "Refusal",
    "Stage",
    "arithmetic",
    "create_method",
    "list_methods",
    "method_class",
    "method_targets",
    "name_of",
    "read_official_checkpoint",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"wtal_core.methods.{module}"), name)
    raise AttributeError(f"module 'wtal_core.methods' has no attribute {name!r}")
