"""Suppression against the greedy definitions, one proposal at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core import intervals, suppression
from wtal_core.errors import DataError, UsageError
from wtal_core.suppression import nms, soft_nms

Row = tuple[float, float, float, int]  # start, end, score, group

# Half-integer times and few scores make touching intervals, duplicates and ties common.
ROW = st.tuples(
    st.integers(0, 40), st.integers(0, 16), st.sampled_from([-0.5, 0.0, 0.25, 0.3, 0.5, 0.75, 1.0]), st.integers(0, 2)
).map(lambda r: (r[0] / 2, (r[0] + r[1]) / 2, r[2], r[3] * 7 - 3))
ROWS = st.lists(ROW, max_size=25)


def columns(rows: list[Row]) -> tuple[npt.NDArray[np.float64], ...]:
    return tuple(np.array(rows, dtype=float).reshape(-1, 4).T)


def tiou(a: Row, b: Row, plus_one: bool) -> float:
    extra = 1.0 if plus_one else 0.0
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]) + extra)
    union = (a[1] - a[0] + extra) + (b[1] - b[0] + extra) - shared
    return shared / union if union > 0 else 0.0


def slow_nms(rows: list[Row], threshold: float, plus_one: bool, inclusive: bool) -> tuple[list[int], list[int]]:
    keep, by = [], [-1] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: (rows[i][3], -rows[i][2], i)):
        for k in keep:
            if rows[k][3] == rows[i][3]:
                value = tiou(rows[k], rows[i], plus_one)
                if value > threshold or (inclusive and value == threshold):
                    by[i] = k
                    break
        else:
            keep.append(i)
    return keep, by


def slow_soft_nms(rows: list[Row], sigma: float, linear: float | None, plus_one: bool) -> tuple[list[float], list[int]]:
    final, by = [r[2] for r in rows], [-1] * len(rows)
    lowest = [1.0] * len(rows)
    for group in {r[3] for r in rows}:
        left = [i for i, r in enumerate(rows) if r[3] == group]
        while left:
            best = max(left, key=lambda i: (final[i], -i))
            left.remove(best)
            for i in left:
                value = tiou(rows[best], rows[i], plus_one)
                factor = math.exp(-value * value / sigma) if linear is None else 1 - value if value > linear else 1.0
                final[i] *= factor
                if factor < lowest[i]:
                    lowest[i], by[i] = factor, best
    return final, by


@given(
    rows=ROWS, threshold=st.sampled_from([0.0, 0.25, 0.4, 0.5, 1.0]), plus_one=st.booleans(), inclusive=st.booleans()
)
def test_nms_is_the_greedy_one(rows: list[Row], threshold: float, plus_one: bool, inclusive: bool) -> None:
    inclusive = inclusive and threshold > 0
    keep, by = slow_nms(rows, threshold, plus_one, inclusive)
    got = nms(*columns(rows), threshold=threshold, plus_one=plus_one, inclusive=inclusive)
    assert got.keep.tolist() == keep
    assert got.suppressed_by.tolist() == by
    assert got.kept.sum() == len(keep)


@given(rows=ROWS, threshold=st.sampled_from([0.1, 0.4, 0.7]), plus_one=st.booleans())
def test_nms_twice_is_nms_once(rows: list[Row], threshold: float, plus_one: bool) -> None:
    start, end, score, group = columns(rows)
    once = nms(start, end, score, group, threshold=threshold, plus_one=plus_one).keep
    again = nms(start[once], end[once], score[once], group[once], threshold=threshold, plus_one=plus_one)
    assert again.keep.tolist() == list(range(len(once)))


@given(
    rows=ROWS,
    sigma=st.sampled_from([0.001, 0.3, 2.0]),
    linear=st.sampled_from([None, 0.0, 0.3]),
    plus_one=st.booleans(),
)
def test_soft_nms_picks_the_best_again_and_again(
    rows: list[Row], sigma: float, linear: float | None, plus_one: bool
) -> None:
    final, by = slow_soft_nms(rows, sigma, linear, plus_one)
    got = soft_nms(
        *columns(rows), sigma=sigma, plus_one=plus_one,
        method="gaussian" if linear is None else "linear", threshold=linear or 0.0,
    )  # fmt: skip
    np.testing.assert_allclose(got.score, final, rtol=1e-9, atol=1e-12)
    assert got.suppressed_by.tolist() == by
    assert sorted(got.keep.tolist()) == list(range(len(rows)))
    order = [(rows[i][3], -got.score[i], i) for i in got.keep.tolist()]
    assert order == sorted(order)


@given(rows=ROWS)
def test_groups_do_not_touch_each_other(rows: list[Row]) -> None:
    start, end, score, group = columns(rows)
    together = soft_nms(start, end, score, group)
    hard = nms(start, end, score, group, threshold=0.4)
    for g in set(group.tolist()):
        own = np.flatnonzero(group == g)
        alone = soft_nms(start[own], end[own], score[own])
        np.testing.assert_array_equal(together.score[own], alone.score)
        kept = nms(start[own], end[own], score[own], threshold=0.4).keep
        assert own[kept].tolist() == [i for i in hard.keep.tolist() if group[i] == g]


@pytest.mark.parametrize("pairs", [1, 50])
def test_batches_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 40, 400)
    end, score, group = start + rng.gamma(2.0, 3.0, 400), rng.normal(size=400), rng.integers(0, 5, 400)
    rows = list(zip(start.tolist(), end.tolist(), score.tolist(), group.tolist(), strict=True))
    monkeypatch.setattr(intervals, "CHUNK_PAIRS", pairs)
    monkeypatch.setattr(suppression, "_BLOCK", pairs)
    keep, by = slow_nms(rows, 0.4, True, False)
    got = nms(start, end, score, group, threshold=0.4, plus_one=True)
    assert (got.keep.tolist(), got.suppressed_by.tolist()) == (keep, by)
    final, by = slow_soft_nms(rows, 0.3, None, True)
    soft = soft_nms(start, end, score, group, plus_one=True)
    np.testing.assert_allclose(soft.score, final, rtol=1e-9)
    assert soft.suppressed_by.tolist() == by


def test_more_groups_than_sixteen_bits() -> None:
    rng = np.random.default_rng(1)
    score, group = rng.integers(0, 5, 200_000) / 4.0, rng.permutation(200_000) // 2
    got = nms(np.zeros(200_000), np.ones(200_000), score, group, threshold=0.5)
    np.testing.assert_array_equal(got.keep, np.lexsort((-score, group))[::2])


def test_plus_one_second_makes_near_neighbours_rivals() -> None:
    apart = ([0.0, 1.5], [1.0, 2.5], [1.0, 0.9])
    assert len(nms(*apart, threshold=0.1).keep) == 2
    assert nms(*apart, threshold=0.1, plus_one=True).suppressed_by.tolist() == [-1, 0]


def test_caps_and_floors() -> None:
    start = np.arange(10.0) * 2
    score, group = np.arange(10) / 10, np.arange(10) % 2
    assert nms(start, start + 1, score, group, threshold=0.4, max_per_group=2).keep.tolist() == [8, 6, 9, 7]
    assert soft_nms(start, start + 1, score, group, max_per_group=1).keep.tolist() == [8, 9]
    assert soft_nms(start, start + 1, score, group, min_score=0.65).keep.tolist() == [8, 9, 7]
    assert nms([], [], [], threshold=0.4).keep.size == soft_nms([], [], []).keep.size == 0


def test_refusals_say_what_is_wrong() -> None:
    one = ([0.0], [1.0], [0.5])
    for options in ({"threshold": 1.5}, {"threshold": math.nan}, {"threshold": 0.0, "inclusive": True}):
        with pytest.raises(UsageError, match="tIoU"):
            nms(*one, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sigma"):
        soft_nms(*one, sigma=0)
    with pytest.raises(UsageError, match="gaussian"):
        soft_nms(*one, method="gausian")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="length"):
        nms([0.0, 1.0], [1.0], [0.5], threshold=0.4)
    with pytest.raises(DataError, match="score"):
        nms([0.0], [1.0], [math.nan], threshold=0.4)
