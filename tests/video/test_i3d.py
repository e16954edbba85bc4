"""I3D: TensorFlow's padding, and the pooling that makes features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tests.video.layouts import to_layout
from wtal_core.errors import DataError, UsageError
from wtal_core.video import i3d
from wtal_core.video.i3d import I3D
from wtal_core.video.i3d_weights import build_i3d


def randomised(channels: int = 3, classes: int | None = 7) -> I3D:
    """An I3D whose every array differs from its initial value; batch-norm scales stay 1, as in the TF layout."""
    generator = torch.Generator().manual_seed(channels)
    with torch.device("meta"):
        model = I3D(channels, classes)
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
        elif key.endswith("norm.weight"):
            state[key] = torch.ones(value.shape)
        elif key.endswith("running_var"):
            state[key] = torch.rand(value.shape, generator=generator) + 0.5
        else:
            spread = math.sqrt(2 / max(1, value[0].numel())) if value.ndim == 5 else 0.1
            state[key] = torch.randn(value.shape, generator=generator) * spread
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def model() -> I3D:
    return randomised()


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    return torch.rand(2, 3, 9, 40, 36, generator=torch.Generator().manual_seed(1)) * 2 - 1


# -- padding ------------------------------------------------------------------------------------------------------


def same_by_definition(values: np.ndarray, kernel: int, stride: int) -> list[float]:
    """TensorFlow's SAME: ceil(n / stride) outputs, the smaller half of the padding first; here with a sum of ones."""
    n = len(values)
    outputs = math.ceil(n / stride)
    total = max((outputs - 1) * stride + kernel - n, 0)
    padded = [0.0] * (total // 2) + values.tolist() + [0.0] * (total - total // 2)
    return [sum(padded[o * stride : o * stride + kernel]) for o in range(outputs)]


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_same_padding_follows_the_definition(size: int, kernel: int, stride: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    x = torch.from_numpy(values)[None, None, :, None, None].float()
    padded = i3d._pad_same(x, (kernel, 1, 1), (stride, 1, 1))
    got = functional.conv3d(padded, torch.ones(1, 1, kernel, 1, 1), stride=(stride, 1, 1)).flatten()
    np.testing.assert_allclose(got, same_by_definition(values, kernel, stride), atol=1e-4)


def test_the_first_convolution_pads_more_behind_than_before() -> None:
    assert i3d._same_padding(224, 7, 2) == (2, 3)
    assert i3d._same_padding(112, 3, 2) == (0, 1)
    assert i3d._same_padding(28, 3, 1) == (1, 1)


def test_max_pooling_equals_padding_with_minus_infinity() -> None:
    x = torch.rand(1, 2, 5, 9, 8, generator=torch.Generator().manual_seed(0))
    pool = i3d._MaxPool((3, 3, 3), (2, 2, 2))
    pads = [amount for size in (8, 9, 5) for amount in i3d._same_padding(size, 3, 2)]
    expected = functional.max_pool3d(functional.pad(x, pads, value=-math.inf), 3, 2)
    torch.testing.assert_close(pool(x), expected)


def test_a_strided_unit_normalises_and_cuts_off_below_zero() -> None:
    unit = i3d._Unit(1, 1, 3, 2).eval()
    with torch.no_grad():
        unit.conv.weight.fill_(1.0)
        assert isinstance(unit.norm, torch.nn.BatchNorm3d)
        unit.norm.running_mean.fill_(20.0)  # type: ignore[operator,union-attr]
        unit.norm.running_var.fill_(4.0 - 1e-3)  # type: ignore[operator,union-attr]
        got = unit(torch.ones(1, 1, 4, 4, 4)).flatten().tolist()
    # 4 -> 2 outputs a side, padded (0, 1): windows of 3 and of 2 ones.
    sums = [a * b * c for a in (3, 2) for b in (3, 2) for c in (3, 2)]
    assert got == pytest.approx([max((s - 20) / 2, 0) for s in sums])


# -- the network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "shape"),
    [
        ("Conv3d_1a_7x7", (64, 8, 20, 18)),
        ("MaxPool3d_2a_3x3", (64, 8, 10, 9)),
        ("Conv3d_2c_3x3", (192, 8, 10, 9)),
        ("Mixed_3c", (480, 8, 5, 5)),
        ("Mixed_4b", (512, 4, 3, 3)),
        ("Mixed_4f", (832, 4, 3, 3)),
        ("Mixed_5c", (1024, 2, 2, 2)),
    ],
)
def test_shapes_along_the_network(model: I3D, endpoint: str, shape: tuple[int, ...]) -> None:
    x = torch.zeros(1, 3, 16, 40, 36)
    assert tuple(model.endpoint(x, endpoint).shape[1:]) == shape


def test_features_are_the_mean_of_the_pooled_last_block(model: I3D, clips: torch.Tensor) -> None:
    last = model.endpoint(clips)  # (2, 1024, 2, 2, 2)
    pooled = functional.avg_pool3d(last, (2, 2, 2), 1)
    torch.testing.assert_close(model(clips), pooled.mean(dim=(2, 3, 4)))
    assert model(clips).shape == (2, 1024)
    assert model(clips).min() >= 0


def test_logits_of_the_mean_are_the_mean_of_the_logits(model: I3D, clips: torch.Tensor) -> None:
    longer = torch.cat([clips, clips.flip(2)], dim=2)
    positions = functional.avg_pool3d(model.endpoint(longer), (2, 2, 2), 1)
    assert model.classifier is not None
    expected = model.classifier(positions).mean(dim=(2, 3, 4))
    torch.testing.assert_close(model.logits(model(longer)), expected, rtol=1e-4, atol=1e-4)


def test_folding_changes_nothing_but_the_work(model: I3D, clips: torch.Tensor) -> None:
    folded = build_i3d(to_layout(model, "port")).fold()
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in folded.modules())
    torch.testing.assert_close(folded(clips), model(clips), rtol=1e-4, atol=1e-5)


def test_wrong_input_is_refused(model: I3D) -> None:
    with pytest.raises(DataError, match=r"expected \(B, 3, T, H, W\)"):
        model(torch.zeros(1, 2, 8, 32, 32))
    with pytest.raises(UsageError, match="Mixed_5c"):
        model.endpoint(torch.zeros(1, 3, 8, 32, 32), "Mixed_5d")
    with pytest.raises(UsageError, match="without logits"):
        randomised(2, None).logits(torch.zeros(1, 1024))
