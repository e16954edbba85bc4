"""CMCS: packing of videos, batches, ablations, localization by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.errors import DataError, UsageError
from wtal_core.methods import Batch, create_method
from wtal_core.methods.cmcs import CMCS, CMCSLocalization, PackedVideos
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid

CLASSES, DIM = 3, 8


def small(preset: str = "thumos14", **config: Any) -> CMCS:
    torch.manual_seed(0)
    method = create_method("cmcs", num_classes=CLASSES, feature_dim=DIM, preset=preset, **config)
    assert isinstance(method, CMCS)
    return method


def videos(*lengths: int, seed: int = 0, longest: int | None = None) -> Batch:
    """Return videos with one label each, the last one a background pseudo video; padding holds large numbers."""
    rng = torch.Generator().manual_seed(seed)
    longest = longest or max(lengths)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    features = torch.rand(len(lengths), longest, DIM, generator=rng)
    labels = torch.zeros(len(lengths), CLASSES)
    labels[torch.arange(len(lengths)), torch.arange(len(lengths)) % CLASSES] = 1
    background = torch.arange(len(lengths)) == len(lengths) - 1
    labels[-1] = 0
    weights = torch.linspace(0.5, 1, len(lengths))
    return Batch.of(torch.where(mask[..., None], features, 1e4), labels, mask, weights, background)


def one(batch: Batch, i: int) -> Batch:
    n = int(batch.lengths[i])
    return Batch.of(
        batch.features[i : i + 1, :n],
        batch.labels[i : i + 1],
        batch.mask[i : i + 1, :n],
        batch.weights[i : i + 1],
        batch.background[i : i + 1],
    )


def gradients(method: CMCS, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    method.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


# -- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"hidden": 0}, {"attention": False}, {"streams": "late"}, {"branches": 1}])
def test_a_batch_equals_its_videos_one_by_one(config: dict[str, Any]) -> None:
    method, batch = small(**config).eval(), videos(5, 1, 9, 3)
    together = method.losses(batch)
    alone = [method.losses(one(batch, i)) for i in range(4)]
    torch.testing.assert_close(together["total"], torch.stack([a["total"] for a in alone]).sum())
    for term in ("mil", "div", "norm"):
        torch.testing.assert_close(together[term], torch.stack([a[term] for a in alone]).mean())
    ours = gradients(method, together["total"])
    summed = gradients(method, torch.stack([method.losses(one(batch, i))["total"] for i in range(4)]).sum())
    assert ours.keys() == summed.keys() == dict(method.named_parameters()).keys()
    for name in ours:
        torch.testing.assert_close(ours[name], summed[name], rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing() -> None:
    method, batch = small().eval(), videos(5, 1, 9, 3)
    longer = videos(5, 1, 9, 3, longest=9)
    padded = Batch.of(
        torch.nn.functional.pad(longer.features, (0, 0, 0, 7), value=-5e3),
        longer.labels,
        torch.nn.functional.pad(longer.mask, (0, 7)),
        longer.weights,
        longer.background,
    )
    assert method.losses(batch)["total"].item() == method.losses(padded)["total"].item()


def test_a_row_of_several_labels_is_the_mean_of_its_one_label_rows() -> None:
    method, batch = small().eval(), one(videos(6, 2), 0)
    two = torch.tensor([[1.0, 0, 1]])
    both = method.losses(Batch.of(batch.features, two, batch.mask, batch.weights, batch.background))["total"]
    rows = [
        method.losses(Batch.of(batch.features, label, batch.mask, batch.weights / 2, batch.background))["total"]
        for label in torch.tensor([[[1.0, 0, 0]], [[0.0, 0, 1]]])
    ]
    torch.testing.assert_close(both, rows[0] + rows[1])


def test_background_videos_are_labelled_with_the_extra_class() -> None:
    method = small(div_weight=0.0, norm_weight=0.0).eval()
    batch = one(videos(4, 6), 1)
    assert bool(batch.background.all())
    acts = method.activations(batch.features[0].numpy())
    expected = -np.log(1 - acts.video_scores.sum())
    assert method.losses(batch)["mil"].item() == pytest.approx(expected, rel=1e-4)


def test_a_video_without_snippets_is_refused() -> None:
    batch = videos(3, 2)
    empty = Batch.of(batch.features, batch.labels, torch.zeros_like(batch.mask), batch.weights, batch.background)
    with pytest.raises(DataError, match="no snippets"):
        small().losses(empty)


def test_packed_videos_know_their_own_rows() -> None:
    packed = PackedVideos([2, 1], torch.device("cpu"))
    rows = packed.lay_out([torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0]])])
    assert rows[:, 0].tolist() == [0, 1, 2, 0, 5, 0, 0]
    values = torch.tensor([1.0, 2, 100, 5, 100])
    assert packed.sum(values[:, None])[:, 0].tolist() == [3, 5]
    assert packed.max(values[:, None])[:, 0].tolist() == [2, 5]
    assert packed.softmax(values).tolist() == pytest.approx([1 / (1 + np.e), np.e / (1 + np.e), 0, 1, 0])


def test_bfloat16_autocast_stays_close() -> None:
    method, batch = small().eval(), videos(40, 7, 90)
    exact = method.losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = method.losses(batch)
    for name, value in exact.items():
        torch.testing.assert_close(rough[name].float(), value, rtol=0.02, atol=0.02)


# -- losses by hand -----------------------------------------------------------------------------------------------


def test_diversity_is_the_mean_cosine_of_branch_pairs() -> None:
    from wtal_core.methods.cmcs import diversity

    packed = PackedVideos([3], torch.device("cpu"))
    scores = torch.randn(4, 3, CLASSES + 1)
    cas = scores[:3].softmax(-1).numpy()
    cosines = [
        (cas[:, i, c] @ cas[:, j, c]) / (np.linalg.norm(cas[:, i, c]) * np.linalg.norm(cas[:, j, c]))
        for c in range(CLASSES + 1)
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert diversity(scores, packed).item() == pytest.approx(np.mean(cosines), rel=1e-4)
    same = scores[:, :1].expand(-1, 3, -1)
    assert diversity(same, packed).item() == pytest.approx(1, abs=1e-4)


def test_the_paper_norm_compares_with_the_average_scores() -> None:
    method, batch = small(norm_reference="average_norm").eval(), one(videos(4, 2), 0)
    packed = PackedVideos([4], torch.device("cpu"))
    (scores,) = method(batch.features.unbind(), packed).values()
    branches = scores.branches[:4].detach().numpy()  # (T, K, C + 1)
    norms, average = np.abs(branches).mean(0), np.abs(branches.mean(1)).mean(0)
    assert method.losses(batch)["norm"].item() == pytest.approx(np.abs(norms - average).mean(), rel=1e-4)
    assert method.losses(batch)["norm"].item() != pytest.approx(small().eval().losses(batch)["norm"].item(), rel=1e-3)


def test_channel_dropout_drops_channels_for_the_whole_video() -> None:
    method = small(dropout=0.5, filters=DIM)
    network = method.networks["both"]
    with torch.no_grad():
        network.embedding.weight.copy_(torch.eye(DIM)[:, :, None])
        network.embedding.bias.zero_()
        torch.manual_seed(1)
        first, second = network.train().embed([torch.ones(6, DIM), torch.ones(2, DIM)])
    assert set(first.unique().tolist()) == {0.0, 2.0}  # scaled by 1 / (1 - p)
    assert bool((first == first[0]).all())
    assert not torch.equal(first[0], second[0])  # each video draws its own channels


# -- options ------------------------------------------------------------------------------------------------------

ABLATIONS: list[dict[str, Any]] = [
    *({"branches": k} for k in range(1, 9)),
    *({f"{term}_weight": 0.0} for term in ("mil", "div", "norm")),
    {"attention": False},
    {"hidden": 0},
    {"hidden": 0, "attention": False},
    *({"streams": s} for s in ("rgb", "flow", "late")),
    {"norm_reference": "average_norm"},
    {"dropout": 0.0},
    {"training.hard_negatives": False},
    {"training.hard_negatives": False, "background_class": False},
]


@pytest.mark.parametrize("config", ABLATIONS, ids=str)
def test_every_ablation_trains_a_step_and_localizes(config: dict[str, Any]) -> None:
    method = small(**config).train()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    before = {name: p.clone() for name, p in method.named_parameters()}
    losses = method.losses(videos(5, 1, 9))
    losses["total"].backward()
    optimizer.step()
    assert all(bool(torch.isfinite(v)) for v in losses.values())
    if config.get("mil_weight") != 0.0:
        moved = [name for name, p in method.named_parameters() if not torch.equal(p, before[name])]
        assert {name.rsplit(".", 2)[0] for name in moved} == {name.rsplit(".", 2)[0] for name in before}
    acts = method.activations(np.random.default_rng(0).random((12, DIM)))
    assert ("temporal" in acts.attention) == config.get("attention", True)
    method.localize(acts, video="v", class_threshold=0.0)


def test_without_a_background_class_snippets_are_scored_for_actions_only() -> None:
    method = small(**{"training.hard_negatives": False, "background_class": False})
    acts = method.activations(np.random.default_rng(0).random((12, DIM)))
    assert acts.cas.shape == (12, CLASSES)
    assert acts.video_scores.sum() == pytest.approx(1.0)
    with pytest.raises(UsageError, match="no class to be labelled with"):
        small(background_class=False)


@pytest.mark.parametrize("preset", CMCS.presets)
def test_presets_build(preset: str) -> None:
    method = small(preset)
    assert len(method.official_names()) == len(dict(method.named_parameters()))
    assert len(method.networks) == (2 if preset.endswith("-late") else 1)
    assert method.config.localization.threshold == (1.0 if preset.startswith("thumos14") else 1e-7)


def test_official_parameter_counts() -> None:
    """Sizes of the published checkpoints."""
    for preset, classes, dim, count in (
        ("thumos14", 20, 2048, 73_749),
        ("thumos14", 20, 1024, 40_981),
        ("activitynet12", 100, 2048, 1_003_413),
        ("activitynet12-unt", 100, 2048, 395_413),
        ("activitynet13", 200, 1024, 792_869),
    ):
        method = create_method("cmcs", num_classes=classes, feature_dim=dim, preset=preset)
        assert sum(p.numel() for p in method.parameters()) == count


@pytest.mark.parametrize(
    "config",
    [{"branch": 4}, {"branches": 0}, {"streams": "late_fusion"}, {"localization.metrics": "score"}, {"dropout": 1.0}],
    ids=str,
)
def test_impossible_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        small(**config)


def test_official_keys_must_fit(tmp_path: Any) -> None:
    late = small(streams="late")
    weights = {official: late.state_dict()[name].clone() for official, name in late.official_names().items()}
    assert {key.split("/")[0] for key in weights} == {"rgb", "flow"}
    halves = {s: {k.removeprefix(f"{s}/"): v for k, v in weights.items() if k.startswith(s)} for s in ("rgb", "flow")}
    torch.save(halves["rgb"], tmp_path / "rgb.pth")
    other = small(streams="late")
    torch.manual_seed(5)
    for p in other.parameters():
        torch.nn.init.normal_(p)
    other.load_official(tmp_path / "rgb.pth", halves["flow"])
    for name, value in other.state_dict().items():
        assert torch.equal(value, late.state_dict()[name])
    with pytest.raises(DataError, match="keys"):
        small().load_official(weights)
    with pytest.raises(DataError, match="wrong shape"):
        small().load_official(halves["rgb"])  # half of the channels


# -- activations and localization -----------------------------------------------------------------------------------


def test_activations_are_averages_of_raw_outputs() -> None:
    method = small()
    crops = np.random.default_rng(0).random((2, 5, DIM)).astype(np.float32)
    acts = method.activations(crops)
    single = [method.eval()([torch.from_numpy(c)], PackedVideos([5], torch.device("cpu")))["both"] for c in crops]
    average = torch.stack([s.average[:5] for s in single]).mean(0)
    torch.testing.assert_close(torch.from_numpy(acts.cas), average.softmax(-1))
    assert acts.branch_cas is not None
    assert acts.branch_cas.shape == (4, 5, CLASSES + 1)
    np.testing.assert_allclose(acts.branch_cas.sum(-1), 1, rtol=1e-5)
    assert acts.attention["temporal"].sum() == pytest.approx(1, rel=1e-5)
    assert method.training is False  # activations restores the mode it found


@pytest.mark.parametrize("features", [np.ones((1, DIM)), np.ones((7, DIM)), np.zeros((4, DIM))], ids=["1", "7", "0s"])
@pytest.mark.parametrize("streams", ["both", "late"])
def test_one_snippet_and_constant_videos(features: np.ndarray, streams: str) -> None:
    method = small(streams=streams)
    acts = method.activations(features)  # refuses NaN itself
    assert np.isfinite(method.localize(acts, video="v", class_threshold=0.0).score).all()
    batch = Batch.of(torch.from_numpy(features[None]).float(), torch.eye(CLASSES)[:1])
    losses = method.losses(batch)
    losses["total"].backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def test_exploded_scores_keep_gradients_finite() -> None:
    method = small()
    with torch.no_grad():
        for p in method.parameters():
            p.mul_(200)
    losses = method.losses(videos(6, 4))
    losses["total"].backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def stored(
    cas: list[float], *, video_score: float = 0.8, stride: float = 4, duration: float | None = None
) -> Activations:
    """Return activations of one class over the given snippets, at 1 frame a second."""
    curve = np.array(cas, dtype=np.float64)
    return Activations(
        cas=np.stack([curve, 1 - curve], axis=1),
        video_scores=np.array([video_score]),
        attention={"temporal": np.linspace(0, 1, len(curve))},
        grid=SnippetGrid(fps=1, stride=stride, window=stride, num_snippets=len(curve), duration=duration),
        classes=("jump",),
    )


def test_localization_by_hand() -> None:
    """Snippets 0 0 1 0 0 of 4 frames: a triangle from frame 4 to frame 12 over 17 frames, mean 4 / 17."""
    acts = stored([0.1, 0.1, 0.6, 0.1, 0.1])
    plain = CMCS.localize_many({"v": acts}, CMCSLocalization(dilation=0.0))
    # Above 4 / 17 are 1/4, 2/4, 3/4, 1, 3/4, 2/4, 1/4 at frames 5..11.
    assert (plain.start.tolist(), plain.end.tolist()) == ([5.0], [12.0])
    inner, outer = 4 / 7, 0.0  # one frame on either side (int(7 / 4) = 1): frames 4 and 12 are 0
    assert plain.score[0] == pytest.approx(inner - outer + 0.25 * 0.8)
    dilated = CMCS.localize_many({"v": acts}, CMCSLocalization())  # int(1.25 * 4) = 5 ones
    assert (dilated.start.tolist(), dilated.end.tolist()) == ([3.0], [14.0])
    assert dilated.label.tolist() == ["jump"]
    assert "cas" in dilated.source[0]


def test_left_context_that_begins_before_the_video() -> None:
    acts = stored([1.0, 1.0, 0.0, 0.0, 0.5])
    settings = {"dilation": 0.0, "threshold_kind": "absolute", "outer_margin": 0.5}
    # Runs above .2: frames 0..7, and 14..16. The first has no left side either way.
    dropped, clipped = (
        CMCS.localize_many({"v": acts}, CMCSLocalization(threshold=0.2, clip_left=clip, **settings))
        for clip in (False, True)
    )
    assert dropped.start.tolist() == clipped.start.tolist() == [0.0, 14.0]
    np.testing.assert_allclose(dropped.score, clipped.score)
    later = stored([0.0, 1.0, 1.0, 1.0, 0.0])
    dropped, clipped = (
        CMCS.localize_many({"v": later}, CMCSLocalization(threshold=0.1, clip_left=clip, **settings))
        for clip in (False, True)
    )
    assert dropped.start.tolist() == [1.0]  # frames 1..15; the left side would begin at -6
    # Left side (frame 0) is 0, the right side (frame 16) is 0: dropped or not, the mean stays 0, the score too.
    np.testing.assert_allclose(dropped.score, clipped.score)
    half = stored([0.4, 1.0, 1.0, 1.0, 0.0])
    dropped, clipped = (
        CMCS.localize_many({"v": half}, CMCSLocalization(threshold=0.45, clip_left=clip, **settings))
        for clip in (False, True)
    )
    assert dropped.start.tolist() == [1.0]
    assert dropped.score[0] != pytest.approx(clipped.score[0])  # frame 0 (0.4) counts only where it is clipped


def test_many_videos_of_different_grids_equal_each_alone() -> None:
    rng = np.random.default_rng(3)
    every = {
        "a": stored(rng.random(9).tolist()),
        "b": stored(rng.random(1).tolist()),
        "c": stored(rng.random(14).tolist(), stride=6.5, duration=70.0),
        "d": stored(rng.random(5).tolist(), video_score=0.05),
        "e": stored(rng.random(20).tolist(), stride=16),
    }
    settings = CMCSLocalization(metric="multiply")
    together = CMCS.localize_many(every, settings)
    for video, acts in every.items():
        assert together.for_video(video) == CMCS.localize_many({video: acts}, settings)
    assert set(together.video) == {"a", "c", "e"}
    assert len(CMCS.localize_many({"d": every["d"]}, settings)) == 0
    assert len(CMCS.propose({}, settings)) == 0


def test_attention_options_need_an_attention() -> None:
    method = small(attention=False)
    acts = method.activations(np.random.default_rng(0).random((6, DIM)))
    with pytest.raises(DataError, match="temporal attention"):
        method.localize(acts, video="v", metric="multiply", class_threshold=0.0)
    with pytest.raises(UsageError, match="class_threshold"):
        method.localize(acts, video="v", class_treshold=0.1)
