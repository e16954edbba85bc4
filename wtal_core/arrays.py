"""Names of the array types that are used everywhere, and two array operations that NumPy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "BoolArray",
    "Float32Array",
    "FloatArray",
    "Frames",
    "IntArray",
    "NameArray",
    "expand",
    "stable_argsort",
]

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Frames = npt.NDArray[np.uint8]  # (n, H, W, 3), RGB
IntArray = npt.NDArray[np.int64]
NameArray = npt.NDArray[np.object_]  # of strings


def expand(rows: IntArray, begin: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """Return every pair `(row, begin + 0 .. begin + count - 1)`."""
    return np.repeat(rows, count), np.arange(count.sum()) + np.repeat(begin - np.cumsum(count) + count, count)


def stable_argsort(keys: IntArray) -> IntArray:
    """Return the order that sorts integers >= 0, equal ones as they come; several times faster than NumPy's own."""
    size = max(keys.size, 1)
    if int(keys.max(initial=0)) >= 2**62 // size:
        return np.argsort(keys, kind="stable")
    # Key and place in one number: a plain sort of numbers is vectorised, a sort of places is not.
    order: IntArray = np.sort(keys * size + np.arange(keys.size)) % size
    return order
