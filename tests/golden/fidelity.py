"""Comparison with golden numbers that keeps what it saw, so that a table of deviations can be printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tests.golden.fixtures import Sample
from wtal_core.records import Detections

__all__ = ["LEDGER", "Deviation", "Fidelity", "same_detections", "side_by_side"]


@dataclass
class Deviation:
    """How far one quantity of one method is from the golden numbers at most.

    Args:
        method, quantity: what was compared.
        numbers: how many numbers were compared.
        absolute: largest difference.
        relative: largest difference over the largest golden number of its array.
        rtol, atol: the tolerance that was used, the widest of all comparisons.
        share: largest share of its tolerance that a number uses up; a test fails above 1.
    """

    method: str
    quantity: str
    numbers: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    rtol: float = 0.0
    atol: float = 0.0
    share: float = 0.0


@dataclass
class Fidelity:
    """Compare one method with its golden numbers: `close(ours, theirs, "cas")`.

    Args:
        method: name of the method.
        rtol, atol: tolerance `atol + rtol * |theirs|` where a comparison names no other.
    """

    method: str
    rtol: float
    atol: float
    ledger: dict[tuple[str, str], Deviation] = field(default_factory=lambda: LEDGER)

    def __call__(
        self, ours: Any, theirs: Any, quantity: str, *, rtol: float | None = None, atol: float | None = None
    ) -> None:
        """Record the largest deviation and raise AssertionError where it is beyond the tolerance.

        Where `theirs` is a `Sample`, the same numbers of `ours` are compared.
        """
        rtol, atol = self.rtol if rtol is None else rtol, self.atol if atol is None else atol
        a, b = side_by_side(ours, theirs, quantity)
        seen = self.ledger.setdefault((self.method, quantity), Deviation(self.method, quantity))
        seen.rtol, seen.atol = max(seen.rtol, rtol), max(seen.atol, atol)
        if b.size:
            apart = np.abs(a - b)
            allowed = atol + rtol * np.abs(b)
            share = np.divide(apart, allowed, out=np.where(apart > 0, np.inf, 0.0), where=allowed > 0)
            seen.numbers += b.size
            seen.absolute = max(seen.absolute, float(apart.max()))
            seen.relative = max(seen.relative, float(apart.max() / max(np.abs(b).max(), 1e-30)))
            seen.share = max(seen.share, float(share.max()))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=quantity)


#: Everything compared in this process, by method and quantity.
LEDGER: dict[tuple[str, str], Deviation] = {}


def side_by_side(ours: Any, theirs: Any, quantity: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 arrays of one shape; of a `Sample`, the numbers that were kept."""
    a = _array(ours)
    if isinstance(theirs, Sample):
        assert a.shape == theirs.shape, f"{quantity}: {a.shape} is not {theirs.shape}"
        a, theirs = a.ravel()[:: theirs.step], theirs.values
    b = _array(theirs)
    assert a.shape == b.shape, f"{quantity}: {a.shape} is not {b.shape}"
    return a, b


def same_detections(close: Fidelity, ours: Detections, theirs: np.ndarray) -> None:
    """Compare with official rows (class, start, end, score): count, order, times to 1e-6 s, scores to 1e-4.

    Times are whole frames and agree to rounding; scores come from the network's float32 outputs.
    """
    assert ours.label.tolist() == [f"class_{int(label)}" for label in theirs[:, 0]]
    close(ours.start, theirs[:, 1], "detections: times", rtol=0, atol=1e-6)
    close(ours.end, theirs[:, 2], "detections: times", rtol=0, atol=1e-6)
    close(ours.score, theirs[:, 3], "detections: scores", rtol=0, atol=1e-4)


def _array(values: Any) -> np.ndarray:
    plain = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return plain.astype(np.float64)
