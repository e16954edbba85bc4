"""CO2-Net against the official modules (`numbers/co2net.npz`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.golden import two_streams as shared
from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.evaluation import video_level_map
from wtal_core.methods.sampling import BatchSampler

Golden = dict[str, Any]
NAME = "co2net"


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read(NAME)


close = Fidelity(NAME, rtol=1e-4, atol=1e-5)  # float32 sums of up to 192 products


@pytest.mark.parametrize("tag", shared.PRESET)
def test_network(golden: Golden, tag: str) -> None:
    method = shared.make(NAME, golden, tag)
    shared.same_network(close, golden, tag, method)
    method.config = replace(method.config, average_pool=0)
    with torch.no_grad():
        out = method(torch.from_numpy(golden[f"{tag}/x"]))
        close(out.features, golden[f"{tag}/feat"], "fused features", rtol=1e-3, atol=1e-3)  # stored as float16
        for name, official in (("rgb", "vAttn"), ("flow", "fAttn")):
            module, key = method.consensus[name], f"{tag}/{official}/"
            main, other = out.streams[name], out.streams["flow" if name == "rgb" else "rgb"]
            layer = module.global_context
            context = F.leaky_relu(F.linear(main.mean(1), layer.weight[:, :, 1], layer.bias), 0.2)
            close(context[:, None], golden[f"{key}channel"], "global context")
            layer = module.local_context
            local = F.leaky_relu(F.conv1d(other.transpose(1, 2), layer.weight, layer.bias, padding=1), 0.2)
            close(local.transpose(1, 2)[:1], golden[f"{key}local"], "local context")
            close((out.gate[name] * main)[:1], golden[f"{key}filtered"], "filtered stream")
            close(out.of_stream[name], golden[f"{key}attention_unpooled"], "attention of each stream")


def test_a_layer_that_nothing_uses_is_skipped(golden: Golden) -> None:
    assert "thu/sd/feat_encoder.0.bias" in golden
    method = shared.make(NAME, golden, "thu")
    assert not any("feat_encoder" in name for name in method.official_names())


@pytest.mark.parametrize("tag", shared.PRESET)
@pytest.mark.parametrize("plain", [True, False], ids=["conv1d", "winograd"])
def test_losses_gradients_and_adam_step(golden: Golden, tag: str, monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    shared.plain_convolutions(monkeypatch, plain)
    method = shared.make(NAME, golden, tag)
    batch = shared.batch_of(golden, tag)
    shared.same_step(close, golden, tag, method, batch)
    method = shared.make(NAME, golden, tag)
    out = method(batch.features)
    for key, logits, background in (("mil_orig", out.logits, 1.0), ("mil_supp", out.floored, 0.0)):
        ours = method.classification(logits, batch.labels, background, None)
        close(ours, golden[f"{tag}/loss_{key}_per_video"], f"loss {key}")


def test_dropouts_of_training(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks that the official code drew, in the order of the network."""
    places = [f"{stream}.{place}" for stream in ("vAttn", "fAttn")
              for place in ("channel_conv.2", "bit_wise_attn.2", "attention.2", "attention.6")]  # fmt: skip
    left = iter([*places, "fusion.2", "classifier.0", "classifier.3"])

    def drawn(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
        place = next(left)
        keep = torch.from_numpy(golden[f"thu/keep/{place}"]).transpose(1, 2)
        assert training
        assert p == (0.5 if "Attn" in place else 0.7)
        return x * keep.reshape(x.shape) / (1 - p)

    method = shared.make(NAME, golden, "thu").train()
    monkeypatch.setattr(F, "dropout", drawn)
    batch = shared.batch_of(golden, "thu")
    out = method(batch.features)
    assert next(left, None) is None
    for ours, key in ((out.logits, "cas"), (out.attention, "attn"), (out.of_stream["rgb"], "v_atn"),
                      (out.of_stream["flow"], "f_atn")):  # fmt: skip
        close(ours, golden[f"thu/drop_{key}"], "outputs under dropout", atol=1e-4)
    terms = method._terms(batch, out, None)
    weighted = [getattr(method.config, f"{name}_weight") * term for name, term in terms.items()]
    shared.same_losses(close, golden, "thu/drop_", {**terms, "total": torch.stack(weighted).sum()})


@pytest.mark.parametrize(("number", "tag"), [(1, "thu"), (2, "thu"), (4, "thu"), (5, "thu"), (1, "act"), (2, "act")])
def test_videos(golden: Golden, number: int, tag: str) -> None:
    shared.same_video(close, golden, number, tag, shared.make(NAME, golden, tag), thresholds=10)


@pytest.mark.parametrize(
    ("name", "number"),
    [("none_above", 0), ("first_only", 0), ("last_only", 0), ("all", 0), ("half", 0), ("no_class", 0), ("T1", 0),
     ("T9", 0), ("amb", 3), ("amb2", 3)],
)  # fmt: skip
def test_localization_alone(golden: Golden, name: str, number: int) -> None:
    method = shared.make(NAME, golden, "thu")
    shared.same_detections(close, golden, f"pp_{name}/", number, shared.given(golden, name, method), method)


def test_video_level_map(golden: Golden) -> None:
    found = video_level_map(golden["cmap_scores"], golden["cmap_labels"])
    close(100 * found.mean_ap, golden["cmap"], "video-level mAP", rtol=0, atol=1e-4)


@pytest.mark.parametrize("wanted", [500, 60])
@pytest.mark.parametrize("length", [1, 7, 59, 60, 61, 500, 777])
def test_snippets_of_training(golden: Golden, length: int, wanted: int) -> None:
    method = shared.make(NAME, golden, "thu", **{"training.snippets": wanted})
    low, high = np.arange(wanted) * length // wanted, (np.arange(wanted) + 1) * length // wanted
    drawn = golden[f"sample/random_L{length}_S{wanted}"]
    for seed in range(20):
        for one in (method.sample_snippets(method.config.training, "v", length, np.random.default_rng(seed)), drawn):
            assert one.shape == (wanted,)
            assert (one >= low).all()
            assert (one <= np.minimum(high, length - 1)).all()


def test_batches(golden: Golden) -> None:
    """Three pairs of two videos that share a class, then four videos: the official batches, and ours."""
    labels, recipe = golden["batch/labels"].astype(np.float32), shared.make(NAME, golden, "thu").config.training
    sampler = BatchSampler(recipe, labels, np.random.default_rng(0))
    for batch in (*golden["batch/idx"], *(sampler.next().video for _ in range(50))):
        assert batch.shape == (10,)
        for i in (0, 2, 4):
            assert batch[i] != batch[i + 1]
            assert (labels[batch[i]] * labels[batch[i + 1]]).any()
