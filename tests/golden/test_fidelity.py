"""The comparison that the golden tests use: it fails beyond its tolerance and remembers the worst."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Deviation, Fidelity
from tests.golden.fixtures import Sample


def test_deviations_are_kept_and_judged() -> None:
    close = Fidelity("method", rtol=1e-3, atol=0.1, ledger={})
    close(torch.tensor([1.0, 2.05], requires_grad=True), [1.0, 2.0], "cas")
    close(np.array([-10.0]), np.array([-10.0]), "cas", rtol=0, atol=0)
    with pytest.raises(AssertionError, match="loss"):
        close(1.0, 1.2, "loss")
    with pytest.raises(AssertionError, match="is not"):
        close([1.0], [1.0, 1.0], "cas")
    seen = close.ledger["method", "cas"]
    assert seen == Deviation("method", "cas", 3, seen.absolute, seen.relative, 1e-3, 0.1, seen.share)
    assert seen.absolute == pytest.approx(0.05, abs=1e-6)
    assert seen.relative == pytest.approx(0.025, abs=1e-6)
    assert seen.share == pytest.approx(0.05 / 0.102, abs=1e-6)
    assert close.ledger["method", "loss"].share > 1


def test_a_sample_is_compared_with_the_same_numbers_of_the_whole() -> None:
    close = Fidelity("method", rtol=0, atol=0, ledger={})
    ours = np.arange(12.0).reshape(3, 4)
    close(ours, Sample(np.array([0.0, 5.0, 10.0]), 5, (3, 4)), "cas")
    assert close.ledger["method", "cas"].numbers == 3
    with pytest.raises(AssertionError, match="cas"):
        close(ours, Sample(np.array([0.0, 5.0, 11.0]), 5, (3, 4)), "cas")
    with pytest.raises(AssertionError, match="is not"):
        close(ours.T, Sample(np.array([0.0, 5.0, 10.0]), 5, (3, 4)), "cas")
