"""I3D's public weights: two layouts of names and axes, mapped to the network and back.

* **TF/JAX arrays** (`params|Conv3d_1a_7x7|Conv_0|kernel` ..., kernels `(T, H, W, in, out)`), `.npz` or `.safetensors`;
* **PyTorch port** (`Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.running_mean` ...), `.pt`, `.pth` or `.safetensors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wtal_core.arrays import Array
from wtal_core.errors import DataError, nearest
from wtal_core.video.i3d import I3D, INCEPTION, INPUT_CHANNELS
from wtal_core.video.weight_files import read_arrays

__all__ = ["Layout", "array_names", "build_i3d", "detect_layout", "from_layout", "load_i3d_weights"]

Layout = Literal["tf", "port"]

#: Branch units: our name -> (TF name, name in the PyTorch port).
_BRANCH_UNITS = {
    "branch_0": ("Branch_0/Conv3d_0a_1x1", "b0"),
    "branch_1.0": ("Branch_1/Conv3d_0a_1x1", "b1a"),
    "branch_1.1": ("Branch_1/Conv3d_0b_3x3", "b1b"),
    "branch_2.0": ("Branch_2/Conv3d_0a_1x1", "b2a"),
    "branch_2.1": ("Branch_2/Conv3d_0b_3x3", "b2b"),
    "branch_3.1": ("Branch_3/Conv3d_0b_1x1", "b3b"),
}


class _UnitName(NamedTuple):
    """One unit under its three names."""

    ours: str
    tf: str
    port: str


#: Every unit of the network.
_UNITS = [_UnitName(f"trunk.{n}", n, n) for n in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")] + [
    _UnitName(f"trunk.{block}.{ours}", f"{block}|{tf}", f"{block}.{port}")
    for block in INCEPTION
    for ours, (tf, port) in _BRANCH_UNITS.items()
]

_TF_LOGITS, _PORT_LOGITS = "params|Logits/Conv3d_0c_1x1|Conv_0", "logits.conv3d"


def array_names(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield (our key, key of the layout) of every array, logits last."""
    for unit in _UNITS:
        if layout == "tf":
            yield f"{unit.ours}.conv.weight", f"params|{unit.tf}|Conv_0|kernel"
            yield f"{unit.ours}.norm.bias", f"params|{unit.tf}|BatchNorm_0|bias"
            yield f"{unit.ours}.norm.running_mean", f"batch_stats|{unit.tf}|BatchNorm_0|mean"
            yield f"{unit.ours}.norm.running_var", f"batch_stats|{unit.tf}|BatchNorm_0|var"
        else:
            yield f"{unit.ours}.conv.weight", f"{unit.port}.conv3d.weight"
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"{unit.ours}.norm.{name}", f"{unit.port}.bn.{name}"
    if layout == "tf":
        yield "classifier.weight", f"{_TF_LOGITS}|kernel"
        yield "classifier.bias", f"{_TF_LOGITS}|bias"
    else:
        yield "classifier.weight", f"{_PORT_LOGITS}.weight"
        yield "classifier.bias", f"{_PORT_LOGITS}.bias"


def detect_layout(keys: Mapping[str, Any], where: object | None = None) -> Layout:
    """Return which public layout the array names belong to.

    Raises:
        DataError: neither.
    """
    if any("|Conv_0|kernel" in key for key in keys):
        return "tf"
    if any(key.endswith(".conv3d.weight") for key in keys):
        return "port"
    raise DataError(
        "holds no I3D weights",
        expected="names like 'params|Conv3d_1a_7x7|Conv_0|kernel' (TF/JAX) or 'Conv3d_1a_7x7.conv3d.weight' (PyTorch)",
        got=", ".join(map(repr, list(keys)[:3])) or "no arrays",
        where=where,
        next_step="'wtal weights list' names files that fit",
    )


def from_layout(arrays: Mapping[str, Array], where: object | None = None) -> tuple[dict[str, Tensor], int, int | None]:
    """Map arrays of either public layout to the state dict of `I3D`.

    Returns:
        `(state dict, input channels, number of classes or None)`. Batch normalisation without scale (TF) gets scale 1.

    Raises:
        DataError: a key is missing or unexpected, a shape is wrong, or a value is not finite.
    """
    prefixes = ("module.", "i3d.")  # DataParallel and common wrappers
    for prefix in prefixes:
        if arrays and all(key.startswith(prefix) for key in arrays):
            arrays = {key.removeprefix(prefix): value for key, value in arrays.items()}
    layout = detect_layout(arrays, where)
    pairs = dict(array_names(layout))
    counters = {key for key in arrays if key.endswith(".num_batches_tracked")}
    has_logits = pairs["classifier.weight"] in arrays
    wanted = {ours: theirs for ours, theirs in pairs.items() if has_logits or not ours.startswith("classifier.")}
    missing = [theirs for theirs in wanted.values() if theirs not in arrays]
    unexpected = sorted(set(arrays) - set(wanted.values()) - counters)
    if missing or unexpected:
        parts = [f"{len(missing)} missing (first: {missing[0]!r})"] if missing else []
        parts += [f"{len(unexpected)} unexpected (first: {unexpected[0]!r})"] if unexpected else []
        guesses = nearest(unexpected[0], missing, 1) if missing and unexpected else []
        raise DataError(
            "the I3D weights are incomplete or of another network",
            expected=f"{len(wanted)} arrays of the {'TF/JAX' if layout == 'tf' else 'PyTorch port'} layout",
            got=" and ".join(parts),
            where=where,
            next_step=f"{unexpected[0]!r} looks like {guesses[0]!r}: rename it"
            if guesses
            else "'wtal weights list' names files that fit",
        )
    state: dict[str, Tensor] = {}
    for ours, theirs in wanted.items():
        array = np.asarray(arrays[theirs], dtype=np.float32)
        if layout == "tf" and ours.endswith(".weight") and array.ndim == 5:
            array = array.transpose(4, 3, 0, 1, 2)  # (T, H, W, in, out) -> (out, in, T, H, W)
        elif not ours.endswith("conv.weight") and ours != "classifier.weight":
            array = array.reshape(-1)  # statistics are (1, 1, 1, 1, C) in TF
        if not np.isfinite(array).all():
            raise DataError(
                f"{theirs!r} holds NaN or infinity",
                expected="finite weights",
                where=where,
                next_step="Copy or download the weights again",
            )
        state[ours] = torch.from_numpy(np.ascontiguousarray(array))
    if layout == "tf":
        for unit in _UNITS:
            state[f"{unit.ours}.norm.weight"] = torch.ones_like(state[f"{unit.ours}.norm.bias"])
    for unit in _UNITS:
        state[f"{unit.ours}.norm.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    channels = int(state["trunk.Conv3d_1a_7x7.conv.weight"].shape[1])
    classes = int(state["classifier.weight"].shape[0]) if has_logits else None
    _check_shapes(state, pairs, channels, classes, where)
    return state, channels, classes


def _check_shapes(
    state: Mapping[str, Tensor], names: Mapping[str, str], channels: int, classes: int | None, where: object | None
) -> None:
    if channels not in INPUT_CHANNELS.values():
        raise DataError(
            "the first convolution has an unknown number of input channels",
            expected="3 (RGB) or 2 (flow)",
            got=str(channels),
            where=where,
            next_step="Take weights of I3D's RGB or flow stream",
        )
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in I3D(channels, classes).state_dict().items()}
    for key, value in state.items():
        if value.shape != shapes[key]:
            raise DataError(
                f"{names.get(key, key)!r} has the wrong shape",
                expected=str(tuple(shapes[key])),
                got=str(tuple(value.shape)),
                where=where,
                next_step="The shapes are those after the axes are put in PyTorch order (out, in, T, H, W)",
            )


def build_i3d(arrays: Mapping[str, Array], where: object | None = None) -> I3D:
    """Return an `I3D` in eval mode holding the given weights of either public layout."""
    state, channels, classes = from_layout(arrays, where)
    with torch.device("meta"):
        model = I3D(channels, classes)
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False).eval()


def load_i3d_weights(path: str | os.PathLike[str], stream: str | None = None) -> I3D:
    """Read a weights file of either public layout into an `I3D`.

    Args:
        path: `.npz`, `.safetensors`, `.pt` or `.pth`.
        stream: "rgb" or "flow" where the caller needs one of them; None takes what the file holds.

    Raises:
        DataError: the file cannot be read, is incomplete, or holds the other stream.
    """
    model = build_i3d(read_arrays(path), where=path)
    if stream is not None and model.input_channels != INPUT_CHANNELS[stream]:
        raise DataError(
            "holds the other stream's weights",
            expected=f"{INPUT_CHANNELS[stream]} input channels ({stream})",
            got=f"{model.input_channels}",
            where=path,
            next_step=f"Name the file of the {stream} stream",
        )
    return model
