"""I3D: TensorFlow's padding, the pooling that makes features, and both public weight layouts."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from wtal_core.errors import DataError, UsageError
from wtal_core.video import i3d
from wtal_core.video.i3d import I3D, build_i3d, from_layout, load_i3d_weights, read_arrays, to_layout


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
    with pytest.raises(UsageError, match="folded"):
        to_layout(folded, "port")


def test_wrong_input_is_refused(model: I3D) -> None:
    with pytest.raises(DataError, match=r"expected \(B, 3, T, H, W\)"):
        model(torch.zeros(1, 2, 8, 32, 32))
    with pytest.raises(UsageError, match="Mixed_5c"):
        model.endpoint(torch.zeros(1, 3, 8, 32, 32), "Mixed_5d")
    with pytest.raises(UsageError, match="without logits"):
        randomised(2, None).logits(torch.zeros(1, 1024))


# -- weight layouts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["tf", "port"])
@pytest.mark.parametrize(("channels", "classes"), [(3, 7), (2, None)])
def test_both_layouts_hold_the_same_network(layout: i3d.Layout, channels: int, classes: int | None) -> None:
    original = randomised(channels, classes)
    arrays = to_layout(original, layout)
    state, got_channels, got_classes = from_layout(arrays)
    assert (got_channels, got_classes) == (channels, classes)
    for key, value in original.state_dict().items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0)


def test_names_and_axes_of_the_tf_layout(model: I3D) -> None:
    arrays = to_layout(model, "tf")
    assert len(arrays) == 57 * 4 + 2
    assert arrays["params|Conv3d_1a_7x7|Conv_0|kernel"].shape == (7, 7, 7, 3, 64)
    assert arrays["params|Mixed_3b|Branch_1/Conv3d_0b_3x3|Conv_0|kernel"].shape == (3, 3, 3, 96, 128)
    assert arrays["batch_stats|Mixed_5c|Branch_3/Conv3d_0b_1x1|BatchNorm_0|mean"].shape == (1, 1, 1, 1, 128)
    kernel = model.state_dict()["trunk.Conv3d_1a_7x7.conv.weight"]
    assert arrays["params|Conv3d_1a_7x7|Conv_0|kernel"][1, 2, 3, 0, 5] == kernel[5, 0, 1, 2, 3]


def test_names_of_the_pytorch_port(model: I3D) -> None:
    arrays = to_layout(model, "port")
    for unit in ("Conv3d_1a_7x7", "Mixed_3b.b0", "Mixed_4f.b1a", "Mixed_4f.b1b", "Mixed_5c.b2b", "Mixed_5c.b3b"):
        assert {f"{unit}.conv3d.weight", f"{unit}.bn.weight", f"{unit}.bn.running_var"} <= arrays.keys()
    assert arrays["logits.conv3d.weight"].shape == (7, 1024, 1, 1, 1)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_files_of_every_kind_give_the_same_features(
    model: I3D, clips: torch.Tensor, tmp_path: Path, suffix: str
) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / f"weights{suffix}"
    arrays = to_layout(model, "tf" if suffix == ".npz" else "port")
    if suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif suffix == ".safetensors":
        save_file(arrays, path)
    else:
        counted = {f"module.{k}": torch.from_numpy(v) for k, v in arrays.items()}  # as saved by DataParallel
        torch.save({"state_dict": counted, "epoch": 3}, path)
    loaded = load_i3d_weights(path, "rgb")
    torch.testing.assert_close(loaded(clips), model(clips))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"1 missing \(first: 'Mixed_4c.b1a.conv3d.weight'\)"),
        ("unexpected", "1 unexpected .*Mixed_9z"),
        ("renamed", r"'Mixed_4c.b1a.conv3d.weights' looks like 'Mixed_4c.b1a.conv3d.weight'"),
        ("shape", r"'Mixed_4c.b1a.conv3d.weight' has the wrong shape \(expected \(112, 512, 1, 1, 1\)"),
        ("nan", "holds NaN"),
        ("channels", "unknown number of input channels .*got 5"),
        ("foreign", "holds no I3D weights .*'conv1.weight'"),
        ("empty", "holds no I3D weights .*no arrays"),
    ],
)
def test_wrong_weights_say_what_is_wrong(model: I3D, change: str, message: str) -> None:
    arrays = to_layout(model, "port")
    key = "Mixed_4c.b1a.conv3d.weight"
    if change == "missing":
        del arrays[key]
    elif change == "unexpected":
        arrays["Mixed_9z.b0.conv3d.weight"] = np.zeros(1)
    elif change == "renamed":
        arrays[key + "s"] = arrays.pop(key)
    elif change == "shape":
        arrays[key] = arrays[key][:, :100]
    elif change == "nan":
        arrays[key] = np.full_like(arrays[key], np.nan)
    elif change == "channels":
        arrays["Conv3d_1a_7x7.conv3d.weight"] = np.zeros((64, 5, 7, 7, 7), np.float32)
    elif change == "foreign":
        arrays = {"conv1.weight": np.zeros(3)}
    else:
        arrays = {}
    with pytest.raises(DataError, match=message) as caught:
        from_layout(arrays, where="weights.pt")
    assert "weights.pt" in str(caught.value)


def test_the_other_streams_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    np.savez(path, **to_layout(randomised(2, None), "tf"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"expected 3 input channels \(rgb\), got 2"):
        load_i3d_weights(path, "rgb")
    assert load_i3d_weights(path, "flow").input_channels == 2


class Trap:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("name", ["empty.pt", "text.pt", "cut.npz", "cut.safetensors", "list.pt", "odd.txt", "folder"])
def test_unusable_files_give_one_clear_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "empty.pt":
        path.touch()
    elif name == "list.pt":
        torch.save([torch.zeros(2)], path)
    elif name == "cut.npz":
        np.savez(path, x=np.arange(1000.0))
        path.write_bytes(path.read_bytes()[:300])
    else:
        path.write_bytes(b"\xff\x00 not weights" * 20)
    with pytest.raises(DataError) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value) or "empty" in str(caught.value)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "trap.pt", tmp_path / "executed"
    with path.open("wb") as handle:
        pickle.dump({"x": Trap(mark)}, handle, protocol=2)  # what torch's legacy reader expects
    with pytest.raises(DataError):
        read_arrays(path)
    torch.save({"x": Trap(mark)}, path)
    with pytest.raises(DataError, match="would run its code"):
        read_arrays(path)
    assert not mark.exists()
