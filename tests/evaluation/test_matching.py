"""The array algorithms against their plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.evaluation import overlapping_pairs
from wtal_core.evaluation.average_precision import running_max_from_end
from wtal_core.evaluation.choice import serial_choice
from wtal_core.records import Detections, Segments


@given(st.lists(st.lists(st.integers(0, 7), max_size=6, unique=True), max_size=12))
def test_serial_choice_is_the_serial_process(wishes):
    agent = np.repeat(np.arange(len(wishes)), [len(w) for w in wishes]).astype(np.int64)
    item = np.array([i for w in wishes for i in w], dtype=np.int64)
    taken: set[int] = set()
    expected = []
    for number, wish in enumerate(wishes):
        free = [i for i in wish if i not in taken]
        if free:
            taken.add(free[0])
            expected.append((number, free[0]))
    chosen = serial_choice(agent, item)
    assert list(zip(agent[chosen].tolist(), item[chosen].tolist(), strict=True)) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 1 / 3, 0.5, 0.7, 1.0])), max_size=20))
def test_running_max_from_end(rows):
    rows.sort(key=lambda row: row[0])
    segment = np.array([s for s, _ in rows], dtype=np.int64)
    values = np.array([v for _, v in rows])
    expected = [max(v for s, v in rows[i:] if s == rows[i][0]) for i in range(len(rows))]
    assert running_max_from_end(values, segment).tolist() == expected


@pytest.mark.parametrize("same_label", [False, True])
def test_overlapping_pairs(same_label):
    detections = Detections(["w", "v", "v", "x"], ["a", "b", "a", "z"], [0, 1, 8, 0], [4, 3, 9, 9.0], np.ones(4))
    instances = Segments(["v", "w", "v", "w"], ["b", "b", "a", "a"], [2, 1, 0, 0], [5, 2, 9, 4.0])
    pairs = overlapping_pairs(detections, instances, same_label=same_label)
    frame = pairs.to_dataframe()
    expected = [(0, 1, 1 / 4, 1.0, False), (0, 3, 1.0, 4.0, True), (1, 0, 1 / 4, 1.0, True), (1, 2, 2 / 9, 2.0, False)]
    expected += [(2, 2, 1 / 9, 1.0, True)]
    expected = [row for row in expected if row[4] or not same_label]
    assert list(frame.itertuples(index=False, name=None)) == expected
    assert len(pairs) == len(expected)
    assert len(overlapping_pairs(Detections.empty(), instances)) == 0
    assert len(overlapping_pairs(detections, Segments.empty(), same_label=same_label)) == 0
