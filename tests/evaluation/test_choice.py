"""Crowded groups are matched one by one: the same pairs as all together, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.evaluation import PROTOCOLS, GroundTruthIndex, choice, evaluate, get_protocol
from wtal_core.evaluation.benchmark import crowded_case, random_case
from wtal_core.evaluation.choice import best_of
from wtal_core.evaluation.matching import match


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_by_one_is_all_together(protocol: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = random_case(1500, 7, 2, instances_per_video=30, seed=seed)
    if seed:  # many equal tIoUs and scores
        rows = type(rows)(rows.video, rows.label, rows.start.round(), rows.end.round(), rows.score.round(1))
    found = {}
    for at_once in (500_000, 2_000, 1):
        monkeypatch.setattr(choice, "PAIRS_AT_ONCE", at_once)
        found[at_once] = evaluate(rows, truth, protocol=protocol, tiou="0.1:0.9")
    for other in (2_000, 1):
        assert found[other].ap.equals(found[500_000].ap)
        assert found[other].matches is not None
        assert found[other].matches.equals(found[500_000].matches)


def test_a_crowd_needs_little_memory() -> None:
    """8 million pairs at 10 thresholds: all together they would take more than 600 MB."""
    rows, truth = crowded_case(8_000, 1_000)
    index, rules = GroundTruthIndex(truth), get_protocol("activitynet")
    match(rows[:10], index, rules, (0.5,))
    tracemalloc.start()
    matching = match(rows, index, rules, tuple(np.linspace(0.5, 0.95, 10)), nearest=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    assert np.bincount(matching.hit_tiou).max() == 1_000
    assert matching.nearest is not None
    assert (matching.nearest.instance >= 0).all()


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 9)), max_size=20))
def test_best_of(rows: list[tuple[int, float, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    owner, value, partner = (np.array([row[i] for row in rows]) for i in range(3))
    expected = {}
    for o, v, p in rows:
        expected[o] = max(expected.get(o, (0.0, 0)), (v, -p))
    found = best_of(owner.astype(np.int64), value.astype(float), partner.astype(np.int64))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == [
        (o, -p, v) for o, (v, p) in sorted(expected.items())
    ]
