"""The interval engine against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core import intervals
from wtal_core.intervals import IntervalIndex, spans, temporal_iou

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


@given(INTERVALS)
def test_union_joins_what_overlaps(items):
    """As painting quarter seconds: what overlaps becomes one, what touches stays two."""
    group, start, end = columns(items)
    row, first, last = intervals.union(group, start, end)
    found = sorted(zip(group[row].tolist(), first.tolist(), last.tolist(), strict=True))
    expected = []
    for g, s, e in sorted(items):
        if expected and expected[-1][0] == g and s < expected[-1][2]:
            expected[-1] = (g, expected[-1][1], max(expected[-1][2], e))
        else:
            expected.append((g, s, e))
    assert found == sorted(expected)
    assert (start[row] == first).all()


@given(INTERVALS, INTERVALS)
def test_windows_hold_what_shares_time_and_nothing_of_other_groups(items, queries):
    index = IntervalIndex(*columns(items))
    windows = index.windows(*columns(queries))
    assert (np.diff(windows.query) > 0).all()
    assert (windows.count > 0).all()
    for q, a, n in zip(windows.query.tolist(), windows.first.tolist(), windows.count.tolist(), strict=True):
        assert set(index.group[a : a + n].tolist()) == {queries[q][0]}
    places = index.sharing(windows, *columns(queries)[1:])
    pairs = index.pairs(*columns(queries))
    assert places[0].tolist() == pairs[0].tolist()
    assert index.row[places[1]].tolist() == pairs[1].tolist()


def test_temporal_iou():
    assert temporal_iou(0, 2, 1, 3) == pytest.approx(1 / 3)
    assert temporal_iou(0, 2, 1, 3, "hull") == pytest.approx(1 / 3)
    assert temporal_iou([0, 0, 1, 0], [2, 1, 1, 4], [2, 5, 1, 0], [3, 6, 1, 4]).tolist() == [0, 0, 0, 1]


def test_plus_one_adds_one_to_every_length():
    assert temporal_iou(0.0, 1.0, 1.5, 2.5, plus_one=True) == pytest.approx(0.5 / 3.5)
    assert temporal_iou(0.0, 1.0, 1.5, 2.5, "hull", plus_one=True) == pytest.approx(0.5 / 3.5)
    assert temporal_iou(0.0, 1.0, 2.0, 3.0, plus_one=True) == 0  # a gap of one second


@given(INTERVALS, INTERVALS)
def test_best_is_the_largest_overlap_the_first_of_equal_ones(items, queries):
    value, which = IntervalIndex(*columns(items)).best(*columns(queries))
    for q, (group, start, end) in enumerate(queries):
        met = [(float(temporal_iou(start, end, s, e)), -i) for i, (g, s, e) in enumerate(items) if g == group]
        tiou, row = max(met, default=(0.0, 0))
        assert value[q] == tiou
        assert which[q] == (-row if tiou > 0 else -1)


@given(INTERVALS, st.booleans(), st.sampled_from([1, 3, 2_000_000]))
def test_rivals_are_the_overlapping_pairs_each_once(items, plus_one, chunk):
    expected = {}
    for a, b in itertools.combinations(range(len(items)), 2):
        tiou = float(temporal_iou(*items[a][1:], *items[b][1:], plus_one=plus_one))
        if items[a][0] == items[b][0] and tiou > 0:
            expected[a, b] = tiou
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "CHUNK_PAIRS", chunk)
        batches = list(IntervalIndex(*columns(items)).rivals(plus_one=plus_one))
    found = [
        (min(a, b), max(a, b), tiou)
        for first, second, tious in batches
        for a, b, tiou in zip(first.tolist(), second.tolist(), tious.tolist(), strict=True)
        if tiou > 0
    ]
    assert len(found) == len(expected)
    assert {(a, b): tiou for a, b, tiou in found} == expected


@given(INTERVALS, st.booleans())
def test_clusters_hold_whatever_is_connected(items, plus_one):
    cluster = IntervalIndex(*columns(items)).clusters(plus_one=plus_one)
    for a, b in itertools.combinations(range(len(items)), 2):
        if items[a][0] != items[b][0]:
            assert cluster[a] != cluster[b]
        elif temporal_iou(*items[a][1:], *items[b][1:], plus_one=plus_one) > 0:
            assert cluster[a] == cluster[b]
    # Between two clusters of one group there is a time that no interval covers.
    margin = float(plus_one)
    for number in set(cluster.tolist()):
        own = [item for item, c in zip(items, cluster, strict=True) if c == number]
        low, high = min(i[1] for i in own), max(i[2] for i in own)
        for other, c in zip(items, cluster, strict=True):
            if c != number and other[0] == own[0][0]:
                assert other[2] + margin <= low or other[1] >= high + margin


@given(st.lists(st.booleans(), max_size=20))
def test_spans_are_the_runs_of_true(mask):
    expected, first = [], 0
    for value, group in itertools.groupby(mask):
        length = len(list(group))
        if value:
            expected.append((first, first + length))
        first += length
    start, after = spans(np.array(mask, dtype=bool))
    assert list(zip(start.tolist(), after.tolist(), strict=True)) == expected
    assert spans(mask)[0].tolist() == start.tolist()
