"""Pickling of frozen records that hold read-only mappings."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

__all__ = ["Picklable"]


class Picklable:
    """Let records with read-only mappings be pickled and copied, for worker processes and `copy.deepcopy`."""

    def __getstate__(self) -> dict[str, Any]:
        return {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)
