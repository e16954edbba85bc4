"""Fusion of two streams against its definition, one proposal at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_suppression import ROWS, Row, columns, tiou
from wtal_core.errors import DataError
from wtal_core.localization import discount, fuse_streams, late_fusion


@given(flow=ROWS, rgb=ROWS)
def test_fusion_keeps_flow_and_what_flow_has_not(flow: list[Row], rgb: list[Row]) -> None:
    got = fuse_streams(*columns(flow), *columns(rgb), threshold=0.4)
    kept = {i for i, r in enumerate(rgb) if max([tiou(r, f, False) for f in flow if f[3] == r[3]], default=0) < 0.4}
    assert set(got.index[got.stream == 1].tolist()) == kept
    assert sorted(got.index[got.stream == 0].tolist()) == list(range(len(flow)))
    for stream, index, score in zip(got.stream.tolist(), got.index.tolist(), got.score.tolist(), strict=True):
        raw = (rgb if stream else flow)[index][2]
        assert score == (raw if not stream else raw / 2 if raw >= 0 else raw * 2)
    group = [(rgb if s else flow)[i][3] for s, i in zip(got.stream.tolist(), got.index.tolist(), strict=True)]
    assert list(zip(group, -got.score, strict=True)) == sorted(zip(group, -got.score, strict=True))


@given(scores=st.lists(st.floats(-2, 2), min_size=1, max_size=9))
def test_discount_raises_no_score_and_keeps_the_order(scores: list[float]) -> None:
    lowered = discount(sorted(scores))
    assert (lowered <= np.array(sorted(scores))).all()
    assert (np.diff(lowered) >= 0).all()


def test_late_fusion_is_the_mean_of_raw_scores() -> None:
    assert late_fusion(np.array([1.0, 2.0]), np.array([3.0, -2.0])).tolist() == [2.0, 0.0]
    with pytest.raises(DataError, match="streams differ"):
        late_fusion(np.zeros(2), np.zeros(3))
