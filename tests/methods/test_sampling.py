"""Snippet sampling and batch composition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.fixtures import read
from wtal_core.errors import DataError
from wtal_core.methods import Recipe
from wtal_core.methods.sampling import BatchSampler, sample_snippets

LENGTHS = st.integers(1, 3000)
WANTED = st.sampled_from([1, 2, 7, 60, 75, 300, 500, 750])


@given(length=LENGTHS, wanted=WANTED, seed=st.integers(0, 99))
@pytest.mark.parametrize("rule", ["cells", "cells_or_draws", "window", "subset", "all"])
def test_every_rule_gives_ordered_existing_snippets(rule: str, length: int, wanted: int, seed: int) -> None:
    index = sample_snippets(Recipe(sampling=rule, snippets=wanted), length, np.random.default_rng(seed))
    assert index.min() >= 0
    assert index.max() < length
    assert (np.diff(index) >= 0).all()
    expected = {"cells": wanted, "cells_or_draws": wanted, "all": length}.get(rule, min(wanted, length))
    assert index.size == expected
    if rule == "window":
        assert (np.diff(index) == 1).all()
    if rule == "subset":
        assert np.unique(index).size == index.size


@given(length=st.integers(1, 3000), seed=st.integers(0, 50))
def test_cells_stay_in_their_cell(length: int, seed: int) -> None:
    """Sample i lies in [floor(iT/n), floor((i+1)T/n)], both ends included (HAM-Net's code)."""
    n = 500
    index = sample_snippets(Recipe(sampling="cells", snippets=n), length, np.random.default_rng(seed))
    if length == n:
        assert (index == np.arange(n)).all()
        return
    low = np.arange(n) * length // n
    high = np.append(low[1:], length - 1)
    assert ((index >= low) & (index <= high)).all()


OFFICIAL_DRAWS = [
    *(("hamnet", "cells", f"sample_random_T{length}", length, 500) for length in (7, 60, 499, 500, 501, 777, 2600)),
    *(
        ("acmnet", "cells_or_draws", f"sample/random_{length}_{wanted}_seed123", length, wanted)
        for length, wanted in ((1000, 750), (300, 750), (750, 750), (751, 750), (2000, 75), (10, 75))
    ),
]


@pytest.mark.parametrize(("method", "rule", "key", "length", "wanted"), OFFICIAL_DRAWS)
def test_official_draws_lie_within_ours(method: str, rule: str, key: str, length: int, wanted: int) -> None:
    """The official codes draw from another random stream, so many draws of ours bound each of theirs."""
    rng = np.random.default_rng(0)
    ours = np.array([sample_snippets(Recipe(sampling=rule, snippets=wanted), length, rng) for _ in range(1000)])
    official = read(method)[key]
    assert official.shape == ours.shape[1:]
    assert ((official >= ours.min(0)) & (official <= ours.max(0))).all()


def test_shuffle_visits_everything_once_a_pass_and_ends_short() -> None:
    labels = np.eye(10, 4, dtype=np.float32)
    labels[:, 0] = 1
    sampler = BatchSampler(Recipe(batch_size=4), labels, np.random.default_rng(0))
    steps = [sampler.next().video for _ in range(3)]
    assert [s.size for s in steps] == [4, 4, 2]
    assert sorted(np.concatenate(steps).tolist()) == list(range(10))
    assert sampler.steps_per_pass() == 3


def test_entries_are_video_class_pairs_with_weights_and_pseudo_videos() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32)
    sampler = BatchSampler(Recipe(batches="entries", batch_size=4), labels, np.random.default_rng(0))
    visit = sampler.next()
    seen = sorted(zip(visit.video.tolist(), visit.label.tolist(), visit.weight.tolist(), strict=True))
    assert seen == [(0, 0, 0.5), (0, 1, 0.5), (1, 2, 1.0), (2, -1, 1.0)]
    assert sampler.next().video.size == 4


def test_class_groups_share_their_class() -> None:
    labels = np.zeros((40, 5), dtype=np.float32)
    labels[np.arange(40), np.arange(40) % 5] = 1
    recipe = Recipe(batches="class_groups", batch_size=22, classes_per_batch=5, videos_per_class=4)
    sampler = BatchSampler(recipe, labels, np.random.default_rng(3))
    for _ in range(20):
        visit = sampler.next()
        assert visit.video.size == 22
        groups = visit.video[:20].reshape(5, 4)
        assert all(labels[g].prod(0).sum() == 1 and np.unique(g).size == 4 for g in groups)


def test_class_groups_need_enough_videos() -> None:
    recipe = Recipe(batches="class_groups", batch_size=4, classes_per_batch=1, videos_per_class=4)
    with pytest.raises(DataError, match="no class has 4 training videos"):
        BatchSampler(recipe, np.eye(3, dtype=np.float32), np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["shuffle", "entries", "class_groups"])
def test_state_survives_json_and_goes_on_identically(kind: str) -> None:
    labels = (np.random.default_rng(0).random((30, 4)) < 0.4).astype(np.float32)
    labels[:4] = np.eye(4)
    recipe = Recipe(batches=kind, batch_size=7, classes_per_batch=2, videos_per_class=2)
    one, other = (BatchSampler(recipe, labels, np.random.default_rng(5)) for _ in range(2))
    for _ in range(6):
        one.next()
    other.restore(json.loads(json.dumps(one.state())))
    for _ in range(9):
        assert (one.next().video == other.next().video).all()
