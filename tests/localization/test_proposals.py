"""Curves, runs and proposals against loops written from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.localization import (
    Curves,
    Proposals,
    Runs,
    kept_classes,
    median_filter,
    midpoint_thresholds,
    nms,
    runs_above,
    soft_nms,
)

# Few distinct values, so that samples often equal a threshold.
LEVELS = st.sampled_from([-0.5, 0.0, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0])
CURVE = st.lists(LEVELS, min_size=1, max_size=30)
ROWS = st.lists(CURVE, max_size=6)


def slow_runs(mask: list[bool]) -> list[tuple[int, int]]:
    runs, first = [], None
    for t, value in enumerate([*mask, False]):
        if value and first is None:
            first = t
        elif not value and first is not None:
            runs.append((first, t - 1))
            first = None
    return runs


def as_tuples(runs: Runs) -> list[tuple[int, int, int, int]]:
    return list(zip(*(c.tolist() for c in (runs.row, runs.threshold, runs.first, runs.last)), strict=True))


@given(
    rows=ROWS,
    thresholds=st.lists(LEVELS, max_size=5),
    strict=st.booleans(),
    min_length=st.integers(1, 4),
    drop=st.booleans(),
)
def test_runs_above(
    rows: list[list[float]], thresholds: list[float], strict: bool, min_length: int, drop: bool
) -> None:
    want = []
    for r, curve in enumerate(rows):
        for h, limit in enumerate(thresholds):
            runs = slow_runs([v > limit if strict else v >= limit for v in curve])
            if drop and runs == [(0, 0)]:
                continue
            want += [(r, h, a, b) for a, b in runs if b - a + 1 >= min_length]
    got = runs_above(rows, thresholds, strict=strict, min_length=min_length, drop_lone_first=drop)
    assert as_tuples(got) == want
    own = np.tile(thresholds, (len(rows), 1))
    assert as_tuples(runs_above(rows, own, strict=strict, min_length=min_length, drop_lone_first=drop)) == want


@given(rows=st.lists(CURVE, min_size=1, max_size=5), data=st.data())
def test_each_row_may_have_its_own_thresholds(rows: list[list[float]], data: st.DataObject) -> None:
    limits = [data.draw(st.lists(LEVELS, min_size=2, max_size=2)) for _ in rows]
    want = [
        (r, h, a, b)
        for r, curve in enumerate(rows)
        for h in range(2)
        for a, b in slow_runs([v > limits[r][h] for v in curve])
    ]
    assert as_tuples(runs_above(rows, np.array(limits))) == want


def test_more_thresholds_than_a_byte_counts() -> None:
    curve = np.array([0.0, 1.0, 0.5, 1.0])
    runs = runs_above(curve, np.linspace(0, 0.999, 300))
    low, high = (np.linspace(0, 0.999, 300) < 0.5).sum(), (np.linspace(0, 0.999, 300) >= 0.5).sum()
    assert len(runs) == low + 2 * high


def test_the_only_selected_sample_is_the_first_one() -> None:
    """HAM-Net's and ACM-Net's codes lose this run, and no other."""
    assert len(runs_above([[1, 0, 0], [1, 0, 1], [1, 1, 0]], 0.5, drop_lone_first=True)) == 3
    assert len(runs_above([[1, 0, 0], [1, 0, 1], [1, 1, 0]], 0.5)) == 4


@given(rows=ROWS, size=st.integers(1, 9))
def test_dilation(rows: list[list[float]], size: int) -> None:
    curves = Curves.of(rows)
    runs = runs_above(curves, [0.2, 0.5])
    want = []
    for r, curve in enumerate(rows):
        for h, limit in enumerate([0.2, 0.5]):
            wide = [False] * len(curve)
            for t, value in enumerate(curve):
                if value > limit:
                    for u in range(max(0, t - size // 2), min(len(curve), t + (size - 1) // 2 + 1)):
                        wide[u] = True
            want += [(r, h, a, b) for a, b in slow_runs(wide)]
    assert as_tuples(runs.dilated(size, curves.lengths)) == want


def test_even_dilation_reaches_further_to_the_left() -> None:
    one = runs_above(np.eye(1, 60, 30), 0.5)
    assert as_tuples(one.dilated(20, [60])) == [(0, 0, 20, 39)]
    assert as_tuples(one.dilated(18, [60])) == [(0, 0, 21, 38)]
    with pytest.raises(UsageError, match="width"):
        one.dilated(0, [60])


@given(mask=st.lists(st.booleans(), min_size=1, max_size=30), half=st.integers(0, 5))
def test_median_filter(mask: list[bool], half: int) -> None:
    padded = np.pad(np.array(mask), half)
    want = [bool(np.median(padded[t : t + 2 * half + 1]) > 0.5) for t in range(len(mask))]
    assert median_filter(mask, 2 * half + 1).tolist() == want
    with pytest.raises(UsageError, match="odd"):
        median_filter(mask, 4)


def test_class_agnostic_runs_are_repeated_for_each_class() -> None:
    runs = runs_above([[1, 0, 1], [0, 0, 0], [0, 1, 1]], 0.5)
    repeated, original = runs.onto([0, 0, 1, 2])
    assert as_tuples(repeated) == [(0, 0, 0, 0), (0, 0, 2, 2), (1, 0, 0, 0), (1, 0, 2, 2), (3, 0, 1, 2)]
    assert original.tolist() == [0, 1, 0, 1, 2]
    assert len(runs.onto([])[0]) == 0


def test_kept_classes() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.0, 0.1, 0.05]])
    assert [a.tolist() for a in kept_classes(scores, 0.2)] == [[0], [2]]
    assert [a.tolist() for a in kept_classes(scores, 0.2, strict=False)] == [[0, 0], [1, 2]]
    assert [a.tolist() for a in kept_classes(scores, 0.2, at_least_one=True)] == [[0, 1], [2, 1]]
    assert [a.tolist() for a in kept_classes(scores[1], 0.05)] == [[0], [1]]


# -- curves ---------------------------------------------------------------------------------------------------------


@given(rows=st.lists(CURVE, min_size=1, max_size=6), data=st.data())
def test_curves_reduce_rows_of_different_lengths(rows: list[list[float]], data: st.DataObject) -> None:
    curves = Curves.of(rows)
    np.testing.assert_allclose(curves.mean(), [np.mean(r) for r in rows], atol=1e-12)
    assert curves.min().tolist() == [min(r) for r in rows]
    assert curves.max().tolist() == [max(r) for r in rows]
    row = data.draw(st.integers(0, len(rows) - 1))
    start = data.draw(st.integers(0, len(rows[row]) - 1))
    stop = data.draw(st.integers(start + 1, len(rows[row])))
    np.testing.assert_allclose(curves.sums([row], [start], [stop]), [sum(rows[row][start:stop])], atol=1e-12)
    assert curves.maxima([row], [start], [stop]).tolist() == [max(rows[row][start:stop])]
    assert curves.sums([row], [start], [start]).tolist() == [0.0]
    np.testing.assert_array_equal(
        midpoint_thresholds(rows)[:, 0], [max(r) - (max(r) - min(r)) * 0.5 for r in rows]
    )  # fmt: skip


@given(rows=st.lists(CURVE, min_size=1, max_size=5))
def test_a_batch_gives_exactly_what_each_row_gives_alone(rows: list[list[float]]) -> None:
    together = Curves.of(rows)
    for r, curve in enumerate(rows):
        alone = Curves.of([curve])
        length = len(curve)
        spans = [(a, b) for a in range(length) for b in range(a, length + 1)]
        start, stop = np.array(spans).T
        np.testing.assert_array_equal(together.sums(r, start, stop), alone.sums(0, start, stop))
        np.testing.assert_array_equal(together.min_max().row(r), alone.min_max().row(0))


@given(rows=st.lists(CURVE, min_size=1, max_size=5))
def test_min_max(rows: list[list[float]]) -> None:
    normal = Curves.of(rows).min_max()
    for r, curve in enumerate(rows):
        values = np.array(curve)
        span = np.ptp(values)
        np.testing.assert_allclose(normal.row(r), (values - values.min()) / span if span else 0 * values, atol=1e-12)


def test_curves_of_matrices_and_nothing() -> None:
    curves = Curves.of([np.ones((2, 3)), np.ones((0, 7)), np.ones(4)])
    assert curves.lengths.tolist() == [3, 3, 4]
    assert len(Curves.of([])) == 0
    assert len(runs_above(Curves.of([]), [0.1, 0.2])) == 0
    with pytest.raises(DataError, match="no samples"):
        Curves.of([[1.0], []])
    with pytest.raises(DataError, match="thresholds"):
        runs_above([[1.0], [2.0]], np.zeros((3, 1)))


# -- proposals ------------------------------------------------------------------------------------------------------


def test_proposals_explain_and_become_detections() -> None:
    first = Proposals.build(
        video=[0, 1], label=1, start=[0, 1], end=[1, 3], score=[0.5, 0.25],
        threshold=[0.1, 0.28], sources=["attention"],
    )  # fmt: skip
    second = Proposals.build(video=0, label=0, start=[2.0], end=[4.0], score=[1.0], sources=["cas"])
    both = Proposals.concat([first, second])
    assert both.source_texts() == ["attention > 0.1", "attention > 0.28", "cas"]
    assert len(set(both.group.tolist())) == 3
    assert both.outer_end.tolist() == [1, 3, 4]
    found = both.select([2, 1]).to_detections(["a", "b"], ["jump", "run"])
    assert found.video.tolist() == ["a", "b"]
    assert found.label.tolist() == ["jump", "run"]
    assert found.source.tolist() == ["cas", "attention > 0.28"]
    rivals = Proposals.build(video=0, label=[0, 0, 1], start=[0, 1, 0], end=[10, 10, 10], score=[0.5, 0.75, 0.25])
    hard = nms(rivals.start, rivals.end, rivals.score, rivals.group, threshold=0.5)
    assert rivals.with_rivals(hard).suppressed_by.tolist() == [1, -1, -1]
    assert rivals.after(hard).start.tolist() == [1, 0]
    soft = soft_nms(rivals.start, rivals.end, rivals.score, rivals.group, sigma=0.3)
    assert rivals.after(soft).score.tolist() == pytest.approx([0.75, 0.5 * np.exp(-(0.9**2) / 0.3), 0.25])
    assert len(Proposals.concat([])) == 0
    assert len(Proposals.concat([]).to_detections([], [])) == 0
    with pytest.raises(DataError, match="length"):
        both.__class__(**{**vars(both), "end": np.zeros(2)})
