"""Array operations against plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.arrays import stable_argsort


@given(st.lists(st.integers(0, 5) | st.integers(0, 2**62 - 1), max_size=30))
def test_stable_argsort(keys: list[int]) -> None:
    expected = sorted(range(len(keys)), key=lambda place: keys[place])
    assert stable_argsort(np.array(keys, dtype=np.int64)).tolist() == expected
