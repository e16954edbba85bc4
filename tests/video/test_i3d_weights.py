"""Both public weight layouts of I3D, and what is said of weights that are of neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.video.layouts import to_layout
from tests.video.test_i3d import randomised
from wtal_core.errors import DataError
from wtal_core.video.i3d import I3D
from wtal_core.video.i3d_weights import Layout, from_layout, load_i3d_weights


@pytest.fixture(scope="module")
def model() -> I3D:
    return randomised()


@pytest.mark.parametrize("layout", ["tf", "port"])
@pytest.mark.parametrize(("channels", "classes"), [(3, 7), (2, None)])
def test_both_layouts_hold_the_same_network(layout: Layout, channels: int, classes: int | None) -> None:
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
def test_files_of_every_kind_give_the_same_features(model: I3D, tmp_path: Path, suffix: str) -> None:
    from safetensors.numpy import save_file

    clips = torch.rand(1, 3, 9, 40, 36, generator=torch.Generator().manual_seed(1)) * 2 - 1
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
