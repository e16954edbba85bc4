"""The version, where every room can read it: files and runs say which version wrote them."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
