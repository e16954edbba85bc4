"""The array algorithms against their plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core import intervals
from wtal_core.evaluation import overlapping_pairs, temporal_iou
from wtal_core.evaluation.average_precision import running_max_from_end
from wtal_core.evaluation.matching import serial_choice
from wtal_core.intervals import IntervalIndex
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


INTERVALS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 6)).map(
        lambda x: (x[0], x[1] / 4, (x[1] + x[2]) / 4)
    ),
    max_size=15,
)


def columns(rows):
    return (
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=float),
        np.array([r[2] for r in rows], dtype=float),
    )


@given(INTERVALS, INTERVALS)
def test_interval_index_finds_what_shares_time(items, queries):
    expected = {
        (q, i)
        for q, (g, s, e) in enumerate(queries)
        for i, (h, t, f) in enumerate(items)
        if g == h and min(e, f) > max(s, t)
    }
    index = IntervalIndex(*columns(items))
    q, i = index.pairs(*columns(queries))
    found = list(zip(q.tolist(), i.tolist(), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert (np.diff(q) >= 0).all()
    assert index.touched(*columns(queries)).tolist() == [any(q == a for a, _ in expected) for q in range(len(queries))]


def test_interval_index_in_chunks_and_with_huge_times(monkeypatch):
    rng = np.random.default_rng(0)
    start = rng.random(300) * 1e6
    items = (rng.integers(40, size=300) * 1000, start, start + rng.random(300) * 1e5)
    start = rng.random(500) * 2e6
    queries = (rng.integers(40, size=500) * 1000, start, start + rng.random(500) * 1e5)
    shared = np.minimum(queries[2][:, None], items[2]) - np.maximum(queries[1][:, None], items[1])
    expected = np.argwhere((shared > 0) & (queries[0][:, None] == items[0]))
    for chunk in (7, 2_000_000):
        monkeypatch.setattr(intervals, "CHUNK_PAIRS", chunk)
        q, i = IntervalIndex(*items).pairs(*queries)
        order = np.lexsort((i, q))
        np.testing.assert_array_equal(np.stack([q, i], 1)[order], expected)


def test_temporal_iou():
    assert temporal_iou(0, 2, 1, 3) == pytest.approx(1 / 3)
    assert temporal_iou(0, 2, 1, 3, "hull") == pytest.approx(1 / 3)
    assert temporal_iou([0, 0, 1, 0], [2, 1, 1, 4], [2, 5, 1, 0], [3, 6, 1, 4]).tolist() == [0, 0, 0, 1]


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
