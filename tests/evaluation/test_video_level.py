from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError
from wtal_core.evaluation import video_level_map


def test_by_hand():
    scores = [[0.9, 0.1], [0.8, 0.3], [0.7, 0.1], [0.6, 0.9]]
    labels = [[1, 0], [0, 1], [1, 0], [0, 0]]
    result = video_level_map(scores, labels)
    assert result.ap.tolist() == pytest.approx([(1 + 2 / 3) / 2, 1.0])  # the unlabelled video does not count
    assert result.mean_ap == pytest.approx((5 / 6 + 1) / 2)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.num_videos == 3
    assert video_level_map(scores, labels, threshold=0.85).accuracy == pytest.approx(1 / 3)


def test_classes_without_videos_are_left_out():
    result = video_level_map([[0.9, 0.5]], [[1, 0]])
    assert np.isnan(result.ap[1])
    assert result.mean_ap == 1.0
    nothing = video_level_map(np.zeros((2, 2)), np.zeros((2, 2)))
    assert np.isnan(nothing.mean_ap)
    assert np.isnan(nothing.accuracy)
    assert nothing.num_videos == 0


@given(st.data())
def test_as_a_loop(data):
    videos, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3))
    grid = st.lists(st.lists(st.integers(0, 3), min_size=classes, max_size=classes), min_size=videos, max_size=videos)
    scores, labels = np.array(data.draw(grid)) / 3, (np.array(data.draw(grid)) > 1).astype(int)
    result = video_level_map(scores, labels)
    rows = [v for v in range(videos) if labels[v].any()]
    for c in range(classes):
        ranked = sorted(rows, key=lambda v: -scores[v, c])
        hits = [labels[v, c] for v in ranked]
        npos = sum(hits)
        if npos:
            expected = sum(sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit) / npos
            assert result.ap[c] == pytest.approx(expected)
        else:
            assert np.isnan(result.ap[c])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[1.0]], [[1, 0]], "do not fit"),
        ([1.0], [1], "do not fit"),
        ([[float("nan")]], [[1]], "not finite"),
        ([[0.5]], [[2]], "neither 0 nor 1"),
        ([["x"]], [[1]], "not numeric"),
        ([[0.5], [0.5, 0.1]], [[1], [0]], "not numeric"),
    ],
)
def test_bad_input(scores, labels, message):
    with pytest.raises(DataError, match=message):
        video_level_map(scores, labels)
