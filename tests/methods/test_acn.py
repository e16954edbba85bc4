"""ACN: integrals, decoding, selection, losses, imported predictions, training and localization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wtal_core import settings
from wtal_core.data.activations import open_activations, write_activations
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import evaluate
from wtal_core.methods import Batch, create_method
from wtal_core.methods.acn import (
    ACN,
    ACNConfig,
    ACNLocalization,
    decode,
    kept_snippets,
)
from wtal_core.methods.acn_integrals import GramIntegral, StepIntegral, coherence, outer_inner_means
from wtal_core.methods.acn_proposals import Anchored, best_per_snippet, claimed_snippets, holds_few
from wtal_core.records import Activations
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import infer_videos
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import train
from wtal_core.training.options import TrainOptions
from wtal_core.training.planted import CLASSES, World, make_world

PADS, AREAS = ("zero", "replicate"), ("inclusive", "disjoint")
D = 32  # channels of both streams


def acn(preset: str = "thumos14", **config: Any) -> ACN:
    torch.manual_seed(0)
    base = {"hidden": 8, "anchors": (1, 2, 4, 8)}
    method = create_method("acn", classes=CLASSES, feature_dim=D, preset=preset, **{**base, **config})
    assert isinstance(method, ACN)
    if method.head:  # the head's initial weights are nearly zero: make the classes differ over time
        with torch.no_grad():
            for name, parameter in method.head.named_parameters():
                if name.endswith("weight"):
                    parameter.normal_(0, 0.5)
    return method


def videos(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(n, D, generator=generator) ** 3 for n in lengths]


@torch.no_grad()
def prepare(method: ACN, stage: str, features: list[Tensor]) -> None:
    method.eval().prepare(stage, (Batch.of(f[None], torch.zeros(1, len(CLASSES))) for f in features))


def batch_of(features: list[Tensor], width: int = 0) -> Batch:
    width = max(width, *(len(f) for f in features))
    padded = torch.stack([torch.nn.functional.pad(f, (0, 0, 0, width - len(f))) for f in features])
    mask = torch.arange(width)[None] < torch.tensor([len(f) for f in features])[:, None]
    labels = torch.eye(len(CLASSES))[torch.arange(len(features)) % len(CLASSES)]
    return Batch.of(padded, labels, mask=mask, videos=tuple(f"v{i}" for i in range(len(features))))


# -- integrals --------------------------------------------------------------------------------------------------------


def proposals_of(lengths: list[int], anchors: tuple[int, ...], seed: int = 0) -> tuple[Anchored, Tensor]:
    """Anchors of rows with random refined boundaries, off the cell edges."""
    anchored = Anchored.of(torch.tensor(lengths), anchors)
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.randn(len(anchors), 2, sum(lengths), generator=generator)
    length = torch.tensor(lengths)
    return anchored, decode(offsets, anchored, length.cumsum(0) - length, length)


@pytest.mark.parametrize("pad", PADS)
def test_gradients_are_exact(pad: str) -> None:
    generator = torch.Generator().manual_seed(1)
    curves = [torch.rand(n, 3, generator=generator, dtype=torch.float64) for n in (9, 14)]
    row = torch.tensor([0, 1, 1, 0])
    start = torch.tensor([-0.3, 2.2, 5.7, 7.3], dtype=torch.float64, requires_grad=True)
    end = torch.tensor([2.6, 4.4, 15.1, 7.9], dtype=torch.float64, requires_grad=True)
    margin = torch.tensor([1.0, 0.5, 2.0, 0.25], dtype=torch.float64)
    integral, gram = StepIntegral(curves, pad), GramIntegral(curves, 20, 20, pad=pad)

    def terms(start: Tensor, end: Tensor) -> tuple[Tensor, ...]:
        return (
            *outer_inner_means(integral, row, start, end, margin),
            *(coherence(integral, row, start, end, margin, areas) for areas in AREAS),
            *(gram.coherence(row, start.detach().long().clamp(0, 8), start, end, margin, areas) for areas in AREAS),
        )

    assert torch.autograd.gradcheck(terms, (start, end), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("areas", AREAS)
def test_blocked_gram_matrices_equal_the_definition(pad: str, areas: str) -> None:
    lengths = [150, 7, 61]
    features = [torch.rand(n, 5, dtype=torch.float64) - 0.3 for n in lengths]
    anchored, refined = proposals_of(lengths, (1, 2, 8, 16))
    start, end = refined.unbind(1)
    expected = coherence(StepIntegral(features, pad), anchored.row, start, end, anchored.margin, areas)
    for block in (1, 16, 1000):
        gram = GramIntegral(features, 12, 30, block=block, pad=pad)
        assert (len(gram.first) > 3) == (block < 100)  # more than one block a row
        fast = gram.coherence(anchored.row, anchored.start, start, end, anchored.margin, areas)
        torch.testing.assert_close(fast, expected, rtol=0, atol=1e-10)


def test_features_without_any_content_have_no_coherence_and_no_nan() -> None:
    features = [torch.zeros(20, 4)]
    anchored, refined = proposals_of([20], (1, 4))
    refined = refined.detach().requires_grad_()
    start, end = refined.unbind(1)
    for integral in (GramIntegral(features, 10, 10), StepIntegral(features)):
        if isinstance(integral, GramIntegral):
            values = integral.coherence(anchored.row, anchored.start, start, end, anchored.margin)
        else:
            values = coherence(integral, anchored.row, start, end, anchored.margin)
        assert (values == 0).all()
        (gradient,) = torch.autograd.grad(values.sum(), refined, retain_graph=True)
        assert (gradient == 0).all()


# -- anchors and decoding ---------------------------------------------------------------------------------------------


def test_anchors_of_several_videos() -> None:
    anchored = Anchored.of(torch.tensor([4, 1, 3]), (1, 2, 8))
    found = torch.stack([anchored.row, anchored.size, anchored.start], 1).tolist()
    assert found == [[0, 1, 0], [0, 1, 1], [0, 1, 2], [0, 2, 0], [0, 2, 1], [2, 1, 0], [2, 1, 1], [2, 2, 0]]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.floats(0.1, 200.0),
    st.integers(0, 99),
    st.sampled_from(["end", "start"]),
    st.sampled_from(["straight_through", "hard"]),
)
def test_decoded_boundaries_are_in_order_and_in_the_video(
    lengths: list[int], scale: float, seed: int, end_position: str, clamp: str
) -> None:
    anchored = Anchored.of(torch.tensor(lengths), (1, 3, 16))
    length = torch.tensor(lengths)
    offsets = torch.randn(3, 2, sum(lengths), generator=torch.Generator().manual_seed(seed)) * scale
    refined = decode(offsets, anchored, length.cumsum(0) - length, length, end_position=end_position, clamp=clamp)
    start, end = refined.unbind(1)
    assert (start >= 0).all()
    assert (start <= end).all()
    assert (end <= length[anchored.row] - 1).all()
    assert ((refined - anchored.raw).abs() <= anchored.size[:, None] / 2 + 1e-9).all()  # receptive field


def test_boundaries_outside_the_video_get_a_gradient_only_straight_through() -> None:
    anchored, length, base = Anchored.of(torch.tensor([5]), (4,)), torch.tensor([5]), torch.tensor([0])
    offsets = torch.zeros(1, 2, 5, dtype=torch.float64)
    offsets[0, 0] = -2.0  # the only anchor starts at 0: moves outside
    offsets.requires_grad_()
    for clamp, expected in (("straight_through", True), ("hard", False)):
        refined = decode(offsets, anchored, base, length, clamp=clamp)
        assert refined.tolist() == [[0.0, 4.0]]
        (gradient,) = torch.autograd.grad(refined[:, 0].sum(), offsets)
        assert bool(gradient[0, 0, 0] != 0) == expected


@pytest.mark.parametrize(("mode", "expected"), [("gaps", [5, 5, 9, 13, 21, 37]), ("quarter", [5, 5, 5, 9, 17, 33])])
def test_receptive_fields(mode: str, expected: list[int]) -> None:
    method = acn(anchors=(1, 2, 4, 8, 16, 32), dilation_mode=mode)
    features = torch.rand(1, 101, D // 2, requires_grad=True)
    offsets = method.regress("rgb", features, method._packed(torch.ones(1, 101, dtype=torch.bool)))
    for i, field in enumerate(expected):
        (gradient,) = torch.autograd.grad(offsets[i, :, 50].sum(), features, retain_graph=True)
        seen = gradient[0].abs().sum(1).nonzero()[:, 0]
        assert int(seen.max() - seen.min()) + 1 == field


# -- selection --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 500), st.booleans())
def test_best_per_snippet_is_what_a_loop_finds(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    positions, number = int(rng.integers(1, 40)), int(rng.integers(0, 60))
    low = rng.integers(0, positions, number)
    high = np.minimum(low + rng.integers(0, 20, number), positions - 1)
    score = rng.integers(0, 4, number).astype(float) if ties else rng.normal(size=number)
    wins: dict[int, int] = {}
    for n in range(positions):
        cover = [i for i in range(number) if low[i] <= n <= high[i]]
        if cover:
            best = max(cover, key=lambda i: (score[i], -i))
            wins[best] = wins.get(best, 0) + 1
    kept, times = best_per_snippet(torch.tensor(score), torch.tensor(low), torch.tensor(high), positions)
    assert dict(zip(kept.tolist(), times.tolist(), strict=True)) == wins
    assert kept.tolist() == sorted(wins)


def test_which_snippets_a_proposal_competes_for() -> None:
    start, size = torch.tensor([3, 3]), torch.tensor([4, 1])
    refined = torch.tensor([[2.4, 6.6], [3.6, 3.9]], dtype=torch.float64)
    assert [t.tolist() for t in claimed_snippets(start, size, refined, "position")] == [[5, 3], [5, 3]]
    # [2.4, 7.6) holds the centres 2.5 ... 6.5 and 7.5; [3.6, 4.9) holds 4.5 alone.
    assert [t.tolist() for t in claimed_snippets(start, size, refined, "cover")] == [[2, 4], [7, 4]]


def test_tolerance_counts_the_share_of_bad_snippets() -> None:
    bad = torch.tensor([False, True, False, False, False, True])
    low, high = torch.tensor([2, 0, 0, 5]), torch.tensor([4, 4, 1, 5])
    assert holds_few(bad, low, high, 0.0).tolist() == [True, False, False, False]
    assert holds_few(bad, low, high, 0.2).tolist() == [True, True, False, False]


# -- losses -----------------------------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {item.name: choice}
    for cls in (ACNConfig, ACNLocalization)
    for item in fields(cls)
    for choice in item.metadata.get("choices", ())
    if choice not in (item.default, "imported")
] + [
    {"feature_rms": 0.0},
    {"dropout": 0.5},
    {"anchors": (2,)},
    {"selection": "cover", "contain_tol": 0.2, "scp_threshold": 0.3, "duplicates": "per_location"},
    {"drop_discarded": True, "ratio_rgb": 1.0},
    {"class_score_weight": 0.25, "score_floor": 0.0, "max_per_class": 3},
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()))
def test_every_option_trains_a_step_and_localizes(option: dict[str, Any]) -> None:
    method = acn(**option)
    features = videos(30, 24, 17)
    for stage in method.stages():
        prepare(method, stage.name, features)
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-2)
    before = [p.detach().clone() for p in method.parameters()]
    losses = method.train().losses(batch_of(features))
    losses["total"].backward()
    optimizer.step()
    assert all(bool(torch.isfinite(v)) for v in losses.values())
    changed = [not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True)]
    names = [name for name, _ in method.named_parameters()]
    assert [n for n, c in zip(names, changed, strict=True) if not c] == []
    acts = {f"v{i}": method.activations(f.numpy()) for i, f in enumerate(features)}
    found = method.propose(acts, method.config.localization)
    assert (found.end > found.start).all()
    assert np.isfinite(found.score).all()


def test_losses_of_a_batch_are_those_of_its_videos() -> None:
    method = acn().train()
    features = videos(30, 2, 24, 41)  # anchors that do not fit, gaps between videos
    together = method.losses(batch_of(features), stage="regression")
    alone = [method.losses(batch_of([f]), stage="regression") for f in features]
    for stream in ("rgb", "flow"):
        expected = torch.stack([a[f"coherence_loss_{stream}"] for a in alone]).mean()
        torch.testing.assert_close(together[f"coherence_loss_{stream}"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("block", ["relu", "batch_norm"])
def test_padding_changes_nothing(block: str) -> None:
    method = acn(block=block, head_dropout=0.0).train()
    features = videos(30, 24)
    tight, wide = (method.losses(batch_of(features, width)) for width in (30, 55))
    for name, value in tight.items():
        torch.testing.assert_close(wide[name], value, rtol=0, atol=1e-6)


def test_videos_that_keep_nothing_do_not_count() -> None:
    method = acn(scp_threshold=0.3)
    pair, single = videos(30, 1), videos(30, 1)[:1]
    both, one = (method.losses(batch_of(f), stage="regression")["total"] for f in (pair, single))
    torch.testing.assert_close(both, one)
    nothing = method.losses(batch_of(pair[1:]), stage="regression")["total"]
    assert nothing.item() == 0
    nothing.backward()  # and can be stepped on


def test_regression_does_not_touch_the_head_nor_see_its_dropout() -> None:
    method = acn(head_dropout=0.9).train()
    batch = batch_of(videos(30, 24))
    first, second = (method.losses(batch, stage="regression") for _ in range(2))
    assert first["total"].item() == second["total"].item()
    first["total"].backward()
    assert all(p.grad is None for p in method.head.parameters())
    assert all(p.grad is not None for p in method.regressors.parameters())
    assert method.head.training


def test_averaging_and_duplicates_weigh_proposals_as_they_say() -> None:
    """A mean over classes first differs from one over pairs only where classes keep different numbers."""
    features = videos(40, seed=3)
    totals = {
        (averaging, duplicates): acn(
            averaging=averaging, duplicates=duplicates, selection="cover", scp_threshold=0.2, class_source="gt"
        )
        .losses(batch_of(features), stage="regression")["total"]
        .item()
        for averaging in ("pairs", "classes")
        for duplicates in ("once", "per_location")
    }
    assert totals["pairs", "once"] == totals["classes", "once"]  # one class
    assert totals["pairs", "once"] != totals["pairs", "per_location"]


def test_training_classes() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.05], [0.04, 0.05, 0.01], [0.5, 0.02, 0.01]])
    labels = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    expected = {
        "score": [[1, 1, 0], [0, 1, 0], [1, 0, 0]],
        "gt": [[0, 1, 1], [0, 0, 1], [0, 1, 0]],
        "score_and_gt": [[0, 1, 0], [0, 0, 1], [0, 1, 0]],
    }
    for source, rows in expected.items():
        found = acn(class_source=source)._training_classes(scores, labels)
        assert found.int().tolist() == rows, source
    assert not acn(class_source="score_and_gt")._training_classes(scores, torch.zeros(3, 3)).any()


def test_the_regression_loss_falls() -> None:
    world = make_world(num_train=8, num_test=1)
    features = [torch.from_numpy(world.store.read(v).data) for v in world.videos("training")]
    labels = torch.from_numpy(world.annotations.video_labels()[1][: len(features)])
    batch = batch_of(features)
    batch = Batch.of(batch.features, labels, mask=batch.mask)
    method = acn(hidden=16, head_dropout=0.0)
    prepare(method, "head", features)

    def descend(stage: str, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        history = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = method.losses(batch, stage=stage)["total"]
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        return history

    head = descend("head", torch.optim.Adam(method.head.parameters(), lr=2e-2), 60)
    assert head[-1] < 0.5 * head[0]
    losses = descend("regression", torch.optim.SGD(method.regressors.parameters(), lr=0.1, momentum=0.9), 30)
    assert losses[-1] < losses[0] - 0.03


# -- videos at the edge of what is possible ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 5])
def test_short_and_constant_videos(length: int) -> None:
    method = acn(selection="cover", anchors=(1, 2, 4, 8, 16))
    for features in (torch.zeros(length, D), torch.ones(length, D), videos(length)[0]):
        losses = method.losses(batch_of([features]))
        losses["total"].backward()
        assert all(bool(torch.isfinite(v)) for v in losses.values())
        acts = method.activations(features.numpy())
        expected = sum(max(length - p, 0) for p in (1, 2, 4, 8, 16)) * 2
        assert acts.boundaries is not None
        assert len(acts.boundaries) == expected
        for mode in ("ratio", "minmax", "none", "absolute"):
            found = method.localize(acts, video="v", attention=mode)
            assert (found.end <= acts.grid.end_seconds + 1e-9).all()


def test_a_batch_of_videos_localizes_as_each_alone() -> None:
    method = acn()
    acts = {f"v{i}": method.activations(f.numpy()) for i, f in enumerate(videos(40, 1, 25, 60))}
    for rule in ("position", "cover", "all"):
        local = settings.override(method.config.localization, {"selection": rule, "class_threshold": 0.3})
        together = method.localize_many(acts, local)
        for video, one in acts.items():
            alone = method.localize_many({video: one}, local)
            mine = together[together.video == video]
            # Fusion lists flow before RGB over all videos; within a video the order is the same.
            assert mine.label.tolist() == alone.label.tolist()
            np.testing.assert_array_equal(mine.start, alone.start)
            np.testing.assert_array_equal(mine.score, alone.score)


# -- activations and localization -------------------------------------------------------------------------------------


def test_activations_carry_what_is_shown() -> None:
    method = acn(anchors=(1, 4))
    acts = method.activations(videos(20)[0].numpy())
    assert set(acts.attention) == {"rgb", "flow"}
    np.testing.assert_allclose(acts.cas, (acts.extra_cas["rgb"] + acts.extra_cas["flow"]) / 2, atol=1e-6)
    np.testing.assert_allclose(acts.extra_cas["rgb"].sum(1), 1, atol=1e-5)
    b = acts.boundaries
    assert b is not None
    assert b.stream.tolist() == ["rgb"] * 35 + ["flow"] * 35
    assert b.raw[:3].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert (b.refined != b.raw).any()
    # The stored contrast is what localization computes when attention discards nothing.
    found = method.propose({"v": acts}, ACNLocalization(attention="none", selection="all", nms=1.0, stream="flow"))
    flow = np.flatnonzero(b.stream == "flow")
    label = found.label[0]
    np.testing.assert_allclose(
        np.sort((found.outer - found.inner)[found.label == label]), np.sort(b.oic[flow, label]), atol=1e-6
    )
    single = acn(streams="flow").activations(videos(20)[0].numpy())
    assert set(single.attention) == set(single.extra_cas) == {"flow"}
    with pytest.raises(UsageError, match="stream"):
        method.localize(single, video="v", stream="rgb")


def test_stored_activations_localize_as_fresh_ones(tmp_path: Path) -> None:
    method = acn()
    prepare(method, "regression", videos(30, 40))
    acts = {f"v{i}": method.activations(f.numpy()) for i, f in enumerate(videos(40, 25))}
    write_activations(tmp_path / "a.h5", acts)
    stored = dict(open_activations(tmp_path / "a.h5"))
    for mode in ("ratio", "quantile", "minmax"):
        local = ACNLocalization(attention=mode)
        ours, theirs = method.localize_many(acts, local), method.localize_many(stored, local)
        assert len(ours) > 0
        np.testing.assert_array_equal(ours.start, theirs.start)
        np.testing.assert_array_equal(ours.score, theirs.score)


def changed(acts: Activations, **values: Any) -> Activations:
    from dataclasses import replace

    return replace(acts, **values)


def test_attention_modes() -> None:
    acts = acn().activations(videos(6)[0].numpy())
    logits = np.array([0.0, 1.0, 4.0, 5.0, 6.0, 7.5])
    acts = changed(acts, attention={"rgb": logits, "flow": logits, "rgb_rank": np.linspace(0, 1, 6)})

    def kept(stream: str = "rgb", **values: Any) -> list[bool]:
        return kept_snippets(acts, stream, ACNLocalization(**values)).tolist()

    assert kept(attention="none") == [True] * 6
    assert kept(attention="absolute") == [False] * 5 + [True]
    assert kept("flow", attention="absolute") == [False] * 3 + [True] * 3
    assert kept(attention="minmax", minmax_rgb=0.5) == [False, False, True, True, True, True]
    assert kept(attention="quantile", quantile_rgb=0.5) == [False] * 3 + [True] * 3
    assert kept(ratio_rgb=0.0) == [True] * 6
    softmax = np.exp(logits / 2) / np.exp(logits / 2).sum()
    assert kept(ratio_rgb=0.5, temperature=2.0) == (6 * softmax >= 0.5).tolist()
    with pytest.raises(UsageError, match="Train the model, or use another attention mode"):
        kept("flow", attention="quantile")


def test_quantiles_are_those_of_the_training_attention() -> None:
    method = acn()
    training = videos(50, 70, seed=5)
    assert "rgb_rank" not in method.activations(training[0].numpy()).attention
    prepare(method, "head", training)
    assert not method.attention_quantiles.any()
    prepare(method, "regression", training)
    acts = [method.activations(v.numpy()) for v in training]
    logits = np.concatenate([a.attention["flow"] for a in acts])
    ranks = np.concatenate([a.attention["flow_rank"] for a in acts])
    kept = ranks >= 0.3
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    assert logits[kept].min() >= logits[~kept].max()


def test_feature_scale_is_one_constant_a_stream() -> None:
    method = acn(feature_rms=0.5)
    training = [v * torch.cat([torch.full((D // 2,), 3.0), torch.full((D // 2,), 7.0)]) for v in videos(50, 20)]
    prepare(method, "head", training)
    for stream in ("rgb", "flow"):
        scaled = torch.cat([method.stream_features(v, stream) for v in training])
        assert scaled.norm(dim=1).mean().item() == pytest.approx(0.5 * (D // 2) ** 0.5, rel=1e-5)
    scale = method.feature_scale.clone()
    prepare(method, "regression", videos(9))
    assert torch.equal(scale, method.feature_scale)


def test_the_cap_drops_the_worst_and_what_they_suppressed() -> None:
    method = acn()
    acts = {"v": method.activations(videos(80)[0].numpy())}
    every = method.propose(acts, ACNLocalization(nms=0.1, stream="rgb", class_threshold=0.99))
    few = method.propose(acts, ACNLocalization(nms=0.1, stream="rgb", class_threshold=0.99, max_per_class=2))
    best = np.sort(every.score[every.suppressed_by < 0])[::-1]
    assert len(best) > 2
    assert sorted(few.score[few.suppressed_by < 0].tolist(), reverse=True) == best[:2].tolist()
    gone = few.suppressed_by[few.suppressed_by >= 0]
    assert (few.suppressed_by[gone] < 0).all()


def test_settings_change_scores_as_they_say() -> None:
    method = acn()
    acts = {"v": method.activations(videos(50)[0].numpy())}

    def propose(**values: Any) -> Any:
        base = {"selection": "all", "nms": 1.0, "attention": "none", "stream": "flow"}
        return method.propose(acts, ACNLocalization(**{**base, **values}))

    full, oic, term = propose(), propose(score="oic"), propose(score="coherence")
    np.testing.assert_allclose(oic.score, oic.inner - oic.outer)
    np.testing.assert_allclose(full.score, 0.6 * oic.score + 0.4 * (term.score + 1))
    np.testing.assert_allclose(propose(alpha=1.0).score, oic.score)
    bonus = propose(class_score_weight=0.5).score - full.score
    np.testing.assert_allclose(bonus, 0.5 * acts["v"].video_scores[full.label], atol=1e-7)
    floor = propose(score_floor=0.1).score
    assert floor.min() >= 0.1
    assert len(floor) == (full.score >= 0.1).sum()
    # Discounting RGB: halved above zero; with "shift", halved above -alpha, so that no score rises.
    rgb = propose(stream="rgb").score
    for kind, expected in (
        ("multiply", np.where(rgb >= 0, rgb / 2, rgb * 2)),
        ("shift", (rgb + 0.6) / 2 - 0.6),
    ):
        both = propose(stream="fusion", negative_scores=kind)
        mine = np.array([both.sources[i].startswith("rgb") for i in both.source])
        np.testing.assert_allclose(both.score[mine], expected)
        np.testing.assert_allclose(both.score[~mine], full.score)
        assert (expected <= rgb + 1e-12).all()


def test_fusion_at_no_overlap_at_all_lets_apart_proposals_stay() -> None:
    method = acn()
    acts = method.activations(videos(50)[0].numpy())
    blind = changed(acts, extra_cas={**acts.extra_cas, "flow": np.zeros_like(acts.extra_cas["flow"])})
    for each in (acts, blind):
        found = method.propose({"v": each}, ACNLocalization(fusion_tiou=0.0, attention="none", nms=1.0))
        flow = np.array([found.sources[i].startswith("flow") for i in found.source])
        meets = (found.start[:, None] < found.end[flow]) & (found.start[flow] < found.end[:, None])
        meets &= found.label[:, None] == found.label[flow]  # of one class
        gone = ~flow & meets.any(axis=1)
        np.testing.assert_array_equal(found.suppressed_by >= 0, gone)
        assert flow.any() == gone.any() == (each is acts)
        rival = found.suppressed_by[gone]
        assert flow[rival].all()
        assert (found.label[rival] == found.label[gone]).all()


def test_own_class_scores_pick_each_streams_classes() -> None:
    method = acn()
    acts = method.activations(videos(50)[0].numpy())
    own = method.propose({"v": acts}, ACNLocalization(class_scores="own", class_threshold=0.99, attention="none"))
    for stream in ("rgb", "flow"):
        weight = np.exp(acts.attention[stream]) / np.exp(acts.attention[stream]).sum()
        expected = int((weight @ acts.extra_cas[stream]).argmax())
        mine = [own.sources[i].startswith(stream) for i in own.source]
        assert set(own.label[mine].tolist()) <= {expected}


def test_no_official_weights() -> None:
    with pytest.raises(UsageError, match="published no code"):
        acn().load_official({})


def test_presets_and_impossible_settings() -> None:
    assert create_method("acn", num_classes=20).config.anchors == (1, 2, 4, 8, 16, 32)
    large = create_method("acn", num_classes=100, preset="activitynet12", feature_dim=64)
    assert large.config.anchors == (16, 32, 64, 128, 256, 512)
    assert [s.name for s in large.stages()] == ["head", "regression"]
    with pytest.raises(UsageError, match="not in order"):
        acn(anchors=(4, 2))
    with pytest.raises(UsageError, match="stage"):
        acn().losses(batch_of(videos(9)), stage="heads")
    acts = changed(acn().activations(videos(9)[0].numpy()), boundaries=None)
    with pytest.raises(DataError, match="not activations of ACN"):
        ACN.propose({"v": acts}, ACNLocalization())


# -- imported predictions ---------------------------------------------------------------------------------------------


def predictions(lengths: Mapping[str, int], seed: int = 0) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return {
        video: {
            stream: (rng.dirichlet(np.ones(8), n)[:, :3], 3 * rng.normal(size=n), np.array([0.6, 0.3, 0.02]))
            for stream in ("rgb", "flow")
        }
        for video, n in lengths.items()
    }


def test_imported_predictions_replace_the_head(tmp_path: Path) -> None:
    given = predictions({"v0": 30, "v1": 24})
    arrays = {
        f"{v}/{s}/{kind}": a
        for v, streams in given.items()
        for s, parts in streams.items()
        for kind, a in zip(("scp", "attention", "class_scores"), parts, strict=True)
    }
    np.savez(tmp_path / "p.npz", **arrays)
    method = acn(snippet_predictions="imported", predictions_file=str(tmp_path / "p.npz"))
    assert [s.name for s in method.stages()] == ["regression"]
    assert not list(method.head.parameters())
    features = videos(30, 24)
    prepare(method, "regression", features)
    assert method.attention_quantiles.any()
    assert (method.feature_scale != 1).all()
    method.losses(batch_of(features), stage="regression")["total"].backward()
    assert all(p.grad is not None for p in method.parameters())
    acts = method.activations(features[1].numpy(), video="v1")
    np.testing.assert_allclose(acts.extra_cas["flow"], given["v1"]["flow"][0], atol=1e-6)
    np.testing.assert_allclose(acts.video_scores, [0.6, 0.3, 0.02], atol=1e-6)
    assert set(method.localize(acts, video="v1", attention="none", scp_threshold=0.0).label) == set(CLASSES[:2])
    with pytest.raises(DataError, match="no predictions were imported for video 'other'"):
        method.activations(features[1].numpy(), video="other")
    with pytest.raises(DataError, match="differ in length"):
        method.activations(features[0].numpy(), video="v1")


def test_imports_are_checked_and_streams_cut_to_the_shorter() -> None:
    method = acn(snippet_predictions="imported")
    good = predictions({"v": 20})
    rgb, flow = good["v"]["rgb"], good["v"]["flow"]
    method.import_predictions({"v": {"rgb": rgb, "flow": (flow[0][:18], flow[1][:18], None)}})
    acts = method.activations(videos(18)[0].numpy(), video="v")
    weight = np.exp(flow[1][:18]) / np.exp(flow[1][:18]).sum()
    np.testing.assert_allclose(acts.video_scores, (rgb[2] + weight @ flow[0][:18]) / 2, atol=1e-5)
    for bad, message in (
        ({"rgb": rgb}, "a stream is missing"),
        ({"rgb": rgb, "flow": (flow[0], flow[1][:5], flow[2])}, "wrong shapes"),
        ({"rgb": rgb, "flow": (flow[0] * 9, flow[1], flow[2])}, "out of range"),
        ({"rgb": rgb, "flow": (flow[0], flow[1] * np.nan, flow[2])}, "out of range"),
    ):
        with pytest.raises(DataError, match=message):
            method.import_predictions({"v": bad})
    with pytest.raises(UsageError, match="snippet_predictions=imported"):
        acn().import_predictions(good)


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def test_both_stages_learn_a_planted_world(tmp_path: Path, world: World) -> None:
    method = create_method("acn", classes=CLASSES, feature_dim=D, hidden=32, **{"training.steps": 18})
    run = Run.create(tmp_path / "run", RunInfo("acn", "thumos14", settings.to_dict(method.config), CLASSES, D))
    corpus = Corpus.load(world.store, world.annotations, world.videos("training"), quiet=True)
    outcome = train(run, corpus, TrainOptions(seed=1, log_every=1), quiet=True)
    assert (outcome.state, outcome.steps) == ("finished", 538)
    stages = {name: [m for m in run.metrics() if m.get("stage") == name] for name in ("head", "regression")}
    assert stages["head"][-1]["losses"]["total"] < 0.5 * stages["head"][0]["losses"]["total"]
    rates = [m["lr"] for m in stages["regression"]]
    assert rates == pytest.approx([1e-3] * 6 + [1e-4] * 6 + [1e-5] * 6)  # after each of three epochs
    trained = run.method()
    for stage in ("regression", "head"):
        if stage == "head":  # stage 1 alone: its SCP scores anchors as they are
            with torch.no_grad():
                for parameter in trained.regressors.parameters():
                    parameter.zero_()
        acts = infer_videos(trained, world.store, world.videos("test"))
        boundaries = [a.boundaries for a in acts.values() if a.boundaries is not None]
        assert all(np.array_equal(b.raw, b.refined) for b in boundaries) == (stage == "head")
        detections = trained.localize_many(acts, trained.config.localization)
        result = evaluate(detections, world.annotations, tiou=(0.5,), videos=list(acts))
        assert result.mean_ap[0.5] >= 0.6, stage
