"""HAM-Net: attentions, ablations, batches, localization by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.errors import DataError, UsageError
from wtal_core.methods import Batch, create_method
from wtal_core.methods.hamnet import HAMNet, HAMNetLocalization
from wtal_core.records import Activations
from wtal_core.settings import override
from wtal_core.snippet_grid import SnippetGrid

CLASSES, DIM = 3, 8


def small(preset: str = "thumos14", **config: Any) -> HAMNet:
    torch.manual_seed(0)
    method = create_method(
        "hamnet", num_classes=CLASSES, feature_dim=DIM, preset=preset, **{"attention_filters": 6, **config}
    )
    assert isinstance(method, HAMNet)
    return method


def videos(*lengths: int, longest: int | None = None) -> Batch:
    rng = torch.Generator().manual_seed(1)
    mask = torch.arange(longest or max(lengths))[None] < torch.tensor(lengths)[:, None]
    features = torch.rand(len(lengths), mask.shape[1], DIM, generator=rng)
    labels = torch.eye(CLASSES)[torch.arange(len(lengths)) % CLASSES]
    labels[0] = torch.tensor([1.0, 0, 1])
    return Batch.of(torch.where(mask[..., None], features, 1e4), labels, mask)


def one(batch: Batch, i: int) -> Batch:
    n = int(batch.lengths[i])
    return Batch.of(batch.features[i : i + 1, :n], batch.labels[i : i + 1])


# -- attentions ---------------------------------------------------------------------------------------------------

SOFT = [0.1, 0.5, 0.2, 0.9, 0.18]


@pytest.mark.parametrize(
    ("config", "dropped"),
    [
        ({}, [0, 1, 1, 1, 1]),  # 0.2 * 0.9 = 0.18: at the threshold is dropped
        ({"drop_mode": "absolute"}, [0, 1, 1, 1, 0]),
        ({"include_min": True}, [0, 1, 0, 1, 0]),  # 0.1 + 0.2 * 0.8 = 0.26
        ({"gamma": 0.5}, [0, 1, 0, 1, 0]),
        ({"drop": "inverse"}, [1, 0, 0, 0, 0]),
        ({"gamma": 1.0, "drop_mode": "absolute"}, [0, 0, 0, 0, 0]),
    ],
    ids=str,
)
def test_what_is_dropped(config: dict[str, Any], dropped: list[int]) -> None:
    attention = small(**config).hybrid_attention(torch.tensor(SOFT)[None, :, None])
    gone = np.array(dropped, dtype=bool)
    assert attention.dropped[0, :, 0].tolist() == gone.tolist()
    np.testing.assert_allclose(attention.semi_soft[0, :, 0], np.where(gone, 0, SOFT), rtol=1e-6)
    assert attention.hard[0, :, 0].tolist() == (~gone).tolist()


def test_random_drop_takes_as_many_and_only_in_training() -> None:
    method = small(drop="random", gamma=0.5)
    a = torch.tensor(SOFT * 40)[None, :, None].clone()
    mask = torch.arange(200)[None] < 150
    torch.manual_seed(3)
    first = method.train().hybrid_attention(a, mask).dropped
    second = method.hybrid_attention(a, mask).dropped
    torch.manual_seed(3)
    again = method.hybrid_attention(a, mask).dropped
    shown = method.eval().hybrid_attention(a, mask).dropped
    assert first.sum() == second.sum() == shown.sum() == 60  # .5 and .9 of every five
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(shown, (a >= 0.45) & mask[..., None])
    assert not first[0, 150:].any()


@pytest.mark.parametrize("floor", ["class_min", "zero"])
def test_a_dropped_snippet_scores_its_floor(floor: str) -> None:
    method = small(floor=floor)
    s = torch.tensor([[[1.0, -2, 3, 0.5], [4, 5, -6, 7]]])
    attention = method.hybrid_attention(torch.tensor([[[0.1], [0.9]]]))  # the second one is dropped
    modulated = method.modulated(s, attention)
    low = (-2.0, -6.0) if floor == "class_min" else (0.0, 0.0)
    torch.testing.assert_close(modulated["soft"], torch.tensor([[[0.1], [0.9]]]) * s)
    torch.testing.assert_close(modulated["semi_soft"][0, 0], 0.1 * (s[0, 0] - low[0]) + low[0])
    torch.testing.assert_close(modulated["hard"][0, 0], s[0, 0])
    for name in ("semi_soft", "hard"):
        assert modulated[name][0, 1].tolist() == [low[1]] * 4


# -- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"average_pool": 3}, {"topk_ratio": 2, "floor": "zero"}], ids=str)
def test_a_batch_equals_its_videos_one_by_one_whatever_the_padding(config: dict[str, Any]) -> None:
    method = small(**{"dropout": 0.0, **config})
    together = method.losses(videos(5, 1, 9, 20))
    padded = method.losses(videos(5, 1, 9, 20, longest=20))
    alone = [method.losses(one(videos(5, 1, 9, 20), i)) for i in range(4)]
    for name, value in together.items():
        torch.testing.assert_close(value, torch.stack([a[name] for a in alone]).mean())
        torch.testing.assert_close(value, padded[name])
    more = videos(5, 1, 9, 20)
    more = Batch.of(
        torch.nn.functional.pad(more.features, (0, 0, 0, 11), value=-3e3),
        more.labels,
        torch.nn.functional.pad(more.mask, (0, 11)),
    )
    torch.testing.assert_close(method.losses(more)["total"], together["total"])


def test_total_is_the_weighted_sum_of_the_terms() -> None:
    config = {"bcl": 0.3, "sal": 0.5, "ssal": 0.7, "hal": 0.11, "sparse": 0.13, "guide": 0.17}
    method = small(dropout=0.0, **{f"{name}_weight": weight for name, weight in config.items()})
    losses = method.losses(videos(12, 12))
    assert losses["total"].item() == pytest.approx(sum(w * losses[n].item() for n, w in config.items()), rel=1e-5)


def test_targets_by_hand() -> None:
    batch = videos(12, 12)
    for normalise in (True, False):
        method = small(dropout=0.0, normalise_targets=normalise).eval()
        s, a = method(batch.features)
        log_p = method.video_logits(s).log_softmax(-1).detach().numpy()  # (2, 4)
        labels = np.concatenate([batch.labels.numpy(), np.ones((2, 1))], axis=1)
        targets = labels / (labels.sum(1, keepdims=True) + 1e-4) if normalise else labels
        assert method.losses(batch)["bcl"].item() == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)
        assert a.shape == (2, 12, 1)


# -- options ------------------------------------------------------------------------------------------------------

TERMS = ("bcl", "sal", "ssal", "hal", "sparse", "guide")
TABLE_1 = [
    ("bcl",),
    ("bcl", "sal"),
    ("bcl", "sal", "guide"),
    ("bcl", "sal", "sparse"),
    ("bcl", "sal", "sparse", "guide"),
    ("bcl", "sal", "hal", "ssal"),
    ("bcl", "sal", "hal", "ssal", "guide"),
    ("bcl", "sal", "hal", "ssal", "sparse"),
    ("bcl", "sal", "hal", "sparse", "guide"),
    ("bcl", "sal", "ssal", "sparse", "guide"),
    TERMS,
]
ABLATIONS: list[dict[str, Any]] = [
    *({f"{t}_weight": 0.0 for t in TERMS if t not in row} for row in TABLE_1),
    {"drop": "random"},
    {"drop": "inverse"},
    {"drop_mode": "absolute"},
    {"include_min": True},
    {"floor": "zero"},
    {"normalise_targets": False},
    {"average_pool": 17, "topk_ratio": 20},
    *({"gamma": g} for g in (0.1, 0.3, 0.5)),
    {"training.snippets": 300},
]


@pytest.mark.parametrize("config", ABLATIONS, ids=str)
def test_every_ablation_trains_a_step_and_localizes(config: dict[str, Any]) -> None:
    method = small(**config).train()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    losses = method.losses(videos(15, 15, 15))
    losses["total"].backward()
    without = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    only_bcl = config.keys() >= {f"{t}_weight" for t in TERMS[1:]}
    assert not [name for name in without if not (only_bcl and name.startswith("attention"))]
    optimizer.step()
    acts = method.activations(np.random.default_rng(0).random((12, DIM)))
    assert set(acts.attention) == {"foreground", "semi_soft", "hard"}
    assert acts.drop_mask is not None
    assert acts.drop_mask.dtype == bool
    method.localize(acts, video="v", class_threshold=0.0)


@pytest.mark.parametrize("preset", HAMNet.presets)
def test_presets_build(preset: str) -> None:
    method = small(preset)
    assert len(method.official_names()) == len(dict(method.named_parameters())) == 12
    assert (method.config.average_pool, method.config.training.snippets) == (
        (0, 500) if preset == "thumos14" else (17, 80)
    )


def test_official_size_and_initialisation() -> None:
    """29.1 M parameters; Kaiming-uniform weights (bound sqrt(6 / fan in)), biases 0."""
    with torch.device("meta"):
        full = create_method("hamnet", num_classes=20, feature_dim=2048)
    assert sum(p.numel() for p in full.parameters()) == 29_146_646
    method = small()
    for name, p in method.named_parameters():
        if name.endswith("bias"):
            assert not p.any()
        else:
            bound = (6 / (p.shape[1] * p.shape[2])) ** 0.5
            assert 0.5 * bound < p.abs().max() <= bound


@pytest.mark.parametrize(
    "config",
    [
        {"gama": 0.2},
        {"gamma": 1.5},
        {"drop": "inversed"},
        {"average_pool": 16},
        {"localization.suppression": "softnms"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        small(**config)


def test_official_checkpoints_of_lightning(tmp_path: Any) -> None:
    import argparse

    method, other = small(), small(gamma=0.3)
    for p in other.parameters():
        torch.nn.init.normal_(p)
    weights = {official: method.state_dict()[name] for official, name in method.official_names().items()}
    torch.save(
        {"state_dict": weights, "hyper_parameters": argparse.Namespace(lr=1e-5), "epoch": 100}, tmp_path / "l.ckpt"
    )
    other.load_official(tmp_path / "l.ckpt")
    for name, value in method.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    with pytest.raises(DataError, match="missing"):
        other.load_official({k: v for k, v in weights.items() if "classifier.5" not in k})


# -- activations and localization -----------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [np.ones((1, DIM)), np.ones((7, DIM)), np.zeros((4, DIM))], ids=["1", "7", "0s"])
def test_one_snippet_and_constant_videos(features: np.ndarray) -> None:
    method = small()
    acts = method.activations(features)  # refuses NaN itself
    assert np.isfinite(method.localize(acts, video="v", class_threshold=0.0).score).all()
    losses = method.losses(Batch.of(torch.from_numpy(features[None]).float(), torch.eye(CLASSES)[:1]))
    losses["total"].backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def test_crops_are_averaged() -> None:
    method = small()
    crops = np.random.default_rng(0).random((2, 6, DIM))
    acts, singles = method.activations(crops), [method.activations(c) for c in crops]
    np.testing.assert_allclose(acts.cas, np.mean([s.cas for s in singles], axis=0), rtol=1e-4, atol=1e-6)


def stored(attention: list[float], logit: list[float], score: float = 0.5) -> Activations:
    """Return activations of two classes; the second one is below any class threshold."""
    t = len(attention)
    return Activations(
        cas=np.stack([np.array(logit), np.zeros(t), np.zeros(t)], axis=1),
        video_scores=np.array([score, 0.01]),
        attention={"foreground": np.array(attention)},
        grid=SnippetGrid(fps=1, stride=1, window=1, num_snippets=t),
        classes=("jump", "run"),
    )


def test_localization_by_hand() -> None:
    acts = stored([0.1, 0.1, 0.8, 0.8, 0.8, 0.8, 0.1, 0.1], [0, 1, 5, 5, 5, 5, 2, 0])
    found = HAMNet.localize_many({"v": acts}, HAMNetLocalization(thresholds=(0.5, 0.9), suppression="none"))
    assert (found.label.tolist(), found.start.tolist(), found.end.tolist()) == (["jump"], [2.0], [6.0])
    # Attended logits: 4 inside; 0.1 before and 0.2 after (int(4 / 4) = 1 snippet on either side).
    assert found.score[0] == pytest.approx(4 - 0.15 + 0.2 * 0.5)
    assert found.source.tolist() == ["attention > 0.5"]


def test_suppression_options() -> None:
    acts = stored([0.1, 0.5, 0.9, 0.9, 0.5, 0.1], [1, 1, 9, 9, 1, 1])

    def detect(**changes: Any) -> Any:
        return HAMNet.localize_many({"v": acts}, HAMNetLocalization(thresholds=(0.3, 0.7), **changes))

    every = detect(suppression="none")
    assert every.end.tolist() == [5.0, 4.0]  # [1, 5) above 0.3, [2, 4) above 0.7
    better, worse = every.score[1], every.score[0]
    tiou, with_one = 2 / 4, 3 / 5  # of [1, 5) and [2, 4); each length and the intersection grow by one second
    soft, plain = detect(), detect(plus_one=False)
    assert soft.score[1] == plain.score[1] == better
    assert soft.score[0] == pytest.approx(worse * np.exp(-(with_one**2) / 0.3))
    assert plain.score[0] == pytest.approx(worse * np.exp(-(tiou**2) / 0.3))
    assert detect(suppression="hard", tiou=0.55).start.tolist() == [2.0]
    assert len(detect(suppression="hard", tiou=0.55, plus_one=False)) == 2
    proposals = HAMNet.propose({"v": acts}, HAMNetLocalization(thresholds=(0.3, 0.7), suppression="hard", tiou=0.55))
    assert proposals.suppressed_by.tolist() == [1, -1]  # the viewer sees the rival


def test_a_run_of_the_first_snippet_alone() -> None:
    acts = stored([0.9, 0.2, 0.2, 0.6], [1, 1, 1, 1])
    lost, kept = (
        HAMNet.localize_many(
            {"v": acts}, HAMNetLocalization(thresholds=(0.5, 0.7), keep_lone_first=k, suppression="none")
        )
        for k in (False, True)
    )
    assert lost.start.tolist() == [0.0, 3.0]  # at 0.5 there is another run, at 0.7 there is none
    assert kept.start.tolist() == [0.0, 3.0, 0.0]


def test_many_videos_equal_each_alone() -> None:
    rng = np.random.default_rng(3)
    every = {
        name: stored(rng.random(t).tolist(), rng.normal(size=t).tolist(), score)
        for name, t, score in (("a", 9, 0.5), ("b", 1, 0.5), ("c", 30, 0.2), ("d", 5, 0.1))
    }
    together = HAMNet.localize_many(every, HAMNetLocalization())
    for video, acts in every.items():
        assert together.for_video(video) == HAMNet.localize_many({video: acts}, HAMNetLocalization())
    assert set(together.video) >= {"a", "c"}  # 0.2 is enough
    assert "d" not in set(together.video)  # no class passes: no detection, no fallback
    assert len(HAMNet.propose({}, HAMNetLocalization())) == 0


@pytest.mark.parametrize(
    "config",
    [{}, {"drop_mode": "absolute", "gamma": 0.5}, {"include_min": True, "gamma": 0.4}, {"drop": "inverse"}],
    ids=str,
)
def test_the_lens_drops_what_the_network_drops(config: dict[str, Any]) -> None:
    torch.manual_seed(1)
    method = create_method("hamnet", num_classes=3, feature_dim=32, attention_filters=8, **config).eval()
    acts = method.activations(torch.rand(50, 32))
    (lens,) = method.lenses
    again = lens.apply(acts, method.config)
    np.testing.assert_array_equal(again.drop_mask, acts.drop_mask)
    np.testing.assert_array_equal(again.attention["semi_soft"], acts.attention["semi_soft"])
    np.testing.assert_array_equal(again.attention["hard"], acts.attention["hard"])
    other = override(method.config, {"gamma": 0.99})
    moved = lens.apply(acts, other)
    assert (moved.drop_mask != acts.drop_mask).any()
    assert lens.threshold is not None
    at = lens.threshold(acts, other)
    attention = acts.attention["foreground"]
    np.testing.assert_array_equal(attention < at if other.drop == "inverse" else attention >= at, moved.drop_mask)
