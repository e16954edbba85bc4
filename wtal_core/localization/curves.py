"""Rows of samples of different lengths in one flat array, so that many videos are localized in one array operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError

__all__ = ["CurveLike", "Curves"]


@dataclass(frozen=True, eq=False)
class Curves:
    """R sampled curves (one class of one video, an attention, ...), each with its own number of samples.

    Build it with `Curves.of`. Samples may be snippets or up-sampled positions; `Curves` does not know which.

    Args:
        values: `(N,)` samples of all rows, one row after the other.
        offsets: `(R + 1,)` row r is `values[offsets[r]:offsets[r + 1]]`.

    Raises:
        DataError: a row has no samples, or the offsets do not fit the values.
    """

    values: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.offsets.ndim != 1 or self.offsets.size == 0:
            raise DataError(
                "curves are not flat",
                expected="(N,) values and (R + 1,) offsets",
                where="Curves",
                next_step="Put the curves one after the other, and say where each begins",
            )
        if self.offsets[0] != 0 or self.offsets[-1] != self.values.size:
            raise DataError(
                "the offsets do not fit the values",
                expected=f"from 0 to {self.values.size}",
                got=f"from {self.offsets[0]} to {self.offsets[-1]}",
                where="Curves",
                next_step="Begin the offsets with 0 and end them with the number of values",
            )
        if (np.diff(self.offsets) < 1).any():
            raise DataError(
                "a curve has no samples",
                expected="at least one sample a row",
                where=f"Curves, row {int(np.argmax(np.diff(self.offsets) < 1))}",
                next_step="Leave this row out",
            )

    @classmethod
    def of(cls, rows: CurveLike) -> Curves:
        """Collect curves, as float64.

        Args:
            rows: one curve `(T,)`; a matrix `(R, T)`; or a sequence of such arrays of any lengths, e.g. for each video
                `cas[:, kept].T` of shape `(kept classes, T of that video)`. Matrices without rows are allowed.
        """
        if isinstance(rows, Curves):
            return rows
        parts = [rows] if isinstance(rows, np.ndarray) else list(rows)
        if parts and np.ndim(parts[0]) == 0:
            parts = [np.asarray(parts)]  # the samples of one curve
        matrices = [np.atleast_2d(np.asarray(part, dtype=np.float64)) for part in parts]
        for matrix in matrices:
            if matrix.ndim != 2:
                raise DataError(
                    "a curve has the wrong shape",
                    expected="(T,) or (R, T)",
                    got=str(matrix.shape),
                    next_step="Give one row a curve",
                )
        lengths = np.repeat([m.shape[1] for m in matrices], [m.shape[0] for m in matrices]).astype(np.int64)
        values = np.concatenate([m.ravel() for m in matrices]) if matrices else np.zeros(0)
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    # -- shape ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    @cached_property
    def lengths(self) -> IntArray:
        """`(R,)` samples of each row."""
        return np.diff(self.offsets)

    def row(self, index: int) -> FloatArray:
        """Return the samples `(T,)` of one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: npt.ArrayLike) -> Curves:
        """Return the given rows, in the given order; a row may be taken more than once."""
        index = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return Curves(self.values[source], offsets)

    def with_values(self, values: FloatArray) -> Curves:
        """Return other samples on the same rows."""
        return Curves(np.asarray(values, dtype=np.float64), self.offsets)

    def spread(self, per_row: npt.ArrayLike) -> FloatArray:
        """Repeat one number a row `(R,)` for each of its samples `(N,)`."""
        return np.repeat(np.asarray(per_row, dtype=np.float64), self.lengths)

    # -- reductions a row -------------------------------------------------------------------------------------------

    def min(self) -> FloatArray:
        """Return the smallest sample of each row `(R,)`."""
        return self._reduce(np.minimum)

    def max(self) -> FloatArray:
        """Return the largest sample of each row `(R,)`."""
        return self._reduce(np.maximum)

    def mean(self) -> FloatArray:
        """Return the mean of each row `(R,)`."""
        return self.sums(np.arange(len(self)), 0, self.lengths) / self.lengths

    def _reduce(self, function: np.ufunc) -> FloatArray:
        if len(self) == 0:
            return np.zeros(0)
        return np.asarray(function.reduceat(self.values, self.offsets[:-1]))

    # -- sums over parts of rows ------------------------------------------------------------------------------------

    @cached_property
    def _prefix(self) -> FloatArray:
        """`(N + R,)` exclusive prefix sums, each row with its own leading 0, so that a row's sums do not depend on
        which other rows are in the batch."""
        prefix = np.zeros(self.values.size + len(self))
        lengths = self.lengths
        changes = np.flatnonzero(np.diff(lengths)) + 1
        blocks = np.concatenate([[0], changes, [len(self)]]).astype(np.int64)  # neighbours of one length go together
        for begin, end in zip(blocks[:-1].tolist(), blocks[1:].tolist(), strict=True):
            if begin == end:
                continue
            low, high = int(self.offsets[begin]), int(self.offsets[end])
            samples = self.values[low:high].reshape(end - begin, -1)  # (rows, T)
            target = prefix[low + begin : high + end].reshape(end - begin, -1)  # (rows, T + 1)
            np.cumsum(samples, axis=1, out=target[:, 1:])
        return prefix

    def sums(self, row: npt.ArrayLike, start: npt.ArrayLike, stop: npt.ArrayLike) -> FloatArray:
        """Return the sum of samples `start <= t < stop` of each given row (float64 prefix sums, O(1) each).

        Args:
            row, start, stop: integers that broadcast together, `0 <= start <= stop <= length of the row`.
        """
        index, low, high = (np.asarray(a, dtype=np.int64) for a in (row, start, stop))
        base = self.offsets[index] + index
        return np.asarray(self._prefix[base + high] - self._prefix[base + low])

    def maxima(self, row: npt.ArrayLike, start: npt.ArrayLike, stop: npt.ArrayLike) -> FloatArray:
        """Return the largest sample `start <= t < stop` of each given row; `start < stop`."""
        index, low, high = (np.asarray(a, dtype=np.int64) for a in (row, start, stop))
        base = self.offsets[index]
        bounds = np.stack([base + low, base + high], axis=-1).ravel()
        if bounds.size == 0:
            return np.zeros(0)
        padded = np.append(self.values, -np.inf)  # a part may end with the last sample
        return np.asarray(np.maximum.reduceat(padded, bounds)[::2])

    # -- transformations --------------------------------------------------------------------------------------------

    def min_max(self) -> Curves:
        """Normalise each row to [0, 1]: `(v - min) / max(v - min)`; a constant row becomes 0 (CMCS: 0/0)."""
        low = self.min()
        span = self.spread(self.max() - low)
        shifted = self.values - self.spread(low)
        return self.with_values(np.divide(shifted, span, out=np.zeros_like(shifted), where=span > 0))


CurveLike = Curves | npt.NDArray[Any] | Sequence[npt.ArrayLike] | Iterable[npt.ArrayLike]
