"""Snippet sampling and batch composition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError
from wtal_core.training.sampling import BatchSampler, sample_snippets

LENGTHS = st.integers(1, 3000)
WANTED = st.sampled_from([1, 2, 7, 60, 75, 300, 500, 750])


@given(length=LENGTHS, wanted=WANTED, seed=st.integers(0, 99))
@pytest.mark.parametrize("rule", ["cells", "cells_or_draws", "window", "subset", "all"])
def test_every_rule_gives_ordered_existing_snippets(rule: str, length: int, wanted: int, seed: int) -> None:
    index = sample_snippets(rule, length, wanted, np.random.default_rng(seed))
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
    index = sample_snippets("cells", length, n, np.random.default_rng(seed))
    if length == n:
        assert (index == np.arange(n)).all()
        return
    low = np.arange(n) * length // n
    high = np.append(low[1:], length - 1)
    assert ((index >= low) & (index <= high)).all()


@pytest.mark.parametrize("length", [7, 60, 499, 500, 501, 777, 2600])
def test_official_draws_obey_the_same_bounds(length: int, shared) -> None:  # type: ignore[no-untyped-def]
    with np.load(shared / "golden" / "hamnet.npz") as golden:
        official = golden[f"sample_random_T{length}"]
    low = np.arange(500) * length // 500
    high = np.append(low[1:], length - 1)
    assert ((official >= low) & (official <= high)).all()


def test_shuffle_visits_everything_once_a_pass_and_ends_short() -> None:
    labels = np.eye(10, 4, dtype=np.float32)
    labels[:, 0] = 1
    sampler = BatchSampler("shuffle", labels, batch_size=4, rng=np.random.default_rng(0))
    steps = [sampler.next().video for _ in range(3)]
    assert [s.size for s in steps] == [4, 4, 2]
    assert sorted(np.concatenate(steps).tolist()) == list(range(10))
    assert sampler.steps_per_pass() == 3


def test_entries_are_video_class_pairs_with_weights_and_pseudo_videos() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32)
    sampler = BatchSampler("entries", labels, batch_size=4, rng=np.random.default_rng(0))
    visit = sampler.next()
    seen = sorted(zip(visit.video.tolist(), visit.label.tolist(), visit.weight.tolist(), strict=True))
    assert seen == [(0, 0, 0.5), (0, 1, 0.5), (1, 2, 1.0), (2, -1, 1.0)]
    assert sampler.next().video.size == 4


def test_class_groups_share_their_class() -> None:
    labels = np.zeros((40, 5), dtype=np.float32)
    labels[np.arange(40), np.arange(40) % 5] = 1
    sampler = BatchSampler(
        "class_groups", labels, batch_size=22, classes_per_batch=5, videos_per_class=4, rng=np.random.default_rng(3)
    )
    for _ in range(20):
        visit = sampler.next()
        assert visit.video.size == 22
        groups = visit.video[:20].reshape(5, 4)
        assert all(labels[g].prod(0).sum() == 1 and np.unique(g).size == 4 for g in groups)


def test_class_groups_need_enough_videos() -> None:
    with pytest.raises(DataError, match="no class has 4 training videos"):
        BatchSampler(
            "class_groups", np.eye(3, dtype=np.float32), batch_size=4, classes_per_batch=1, videos_per_class=4,
            rng=np.random.default_rng(0),
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["shuffle", "entries", "class_groups"])
def test_state_survives_json_and_goes_on_identically(kind: str) -> None:
    labels = (np.random.default_rng(0).random((30, 4)) < 0.4).astype(np.float32)
    labels[:4] = np.eye(4)

    def make() -> BatchSampler:
        return BatchSampler(
            kind, labels, batch_size=7, classes_per_batch=2, videos_per_class=2, rng=np.random.default_rng(5)
        )

    one, other = make(), make()
    for _ in range(6):
        one.next()
    other.restore(json.loads(json.dumps(one.state())))
    for _ in range(9):
        assert (one.next().entry == other.next().entry).all()
