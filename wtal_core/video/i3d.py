"""I3D: Inception-v1 inflated to three dimensions, as PyTorch module, with readers for both public weight layouts.

Carreira, Zisserman: "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017. The network is
that of the authors' TensorFlow release: TensorFlow's SAME padding (asymmetric where a stride leaves an odd remainder),
batch normalisation with epsilon 1e-3, ReLU after every unit but the logits, final average pooling over 2 x 7 x 7 with
stride 1. The 1024 feature channels are the mean over all positions of that average-pooled `Mixed_5c`; the logits are
linear in them.

Weight layouts that `load_i3d_weights` understands:

* **TF/JAX arrays** (`params|Conv3d_1a_7x7|Conv_0|kernel` ..., kernels `(T, H, W, in, out)`), `.npz` or `.safetensors`;
* **PyTorch port** (`Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.running_mean` ...), `.pt`, `.pth` or `.safetensors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError, nearest, unknown_name
from wtal_core.files import require_file

__all__ = [
    "FEATURE_DIM",
    "I3D",
    "INPUT_CHANNELS",
    "Layout",
    "build_i3d",
    "detect_layout",
    "from_layout",
    "load_i3d_weights",
    "read_arrays",
    "to_layout",
]

Layout = Literal["tf", "port"]

#: Channels of the feature that comes out of the last inception block.
FEATURE_DIM = 1024

#: Input channels of the two streams.
INPUT_CHANNELS = {"rgb": 3, "flow": 2}

#: Inception blocks in order, with the widths of their branches:
#: (1x1), (1x1 -> 3x3), (1x1 -> 3x3), (max-pool -> 1x1). Paper, figure 3; widths of Inception-v1.
_INCEPTION: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}

#: Branch units: our name -> (TF name, name in the PyTorch port).
_BRANCH_UNITS = {
    "branch_0": ("Branch_0/Conv3d_0a_1x1", "b0"),
    "branch_1.0": ("Branch_1/Conv3d_0a_1x1", "b1a"),
    "branch_1.1": ("Branch_1/Conv3d_0b_3x3", "b1b"),
    "branch_2.0": ("Branch_2/Conv3d_0a_1x1", "b2a"),
    "branch_2.1": ("Branch_2/Conv3d_0b_3x3", "b2b"),
    "branch_3.1": ("Branch_3/Conv3d_0b_1x1", "b3b"),
}

_Triple = tuple[int, int, int]


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding (before, after) of one axis."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _pad_same(x: Tensor, kernel: _Triple, stride: _Triple) -> Tensor:
    """Zero-pad `(B, C, T, H, W)` so that a VALID operation gives TensorFlow's SAME result."""
    pads = [_same_padding(size, k, s) for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    flat = [amount for pair in reversed(pads) for amount in pair]  # functional.pad wants the last axis first
    return functional.pad(x, flat) if any(flat) else x


class _Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        # With stride 1 and an odd kernel SAME is symmetric, so the convolution pads itself without a copy.
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm: nn.Module = nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != (1, 1, 1):
            x = _pad_same(x, self.kernel, self.stride)
        return functional.relu(self.norm(self.conv(x)), inplace=True)

    def fold(self) -> None:
        """Fold the batch normalisation into the convolution (evaluation only)."""
        if isinstance(self.norm, nn.BatchNorm3d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class _MaxPool(nn.Module):
    """Max pooling with SAME padding. Its inputs come out of a ReLU, so that zeros pad as well as minus infinity."""

    def __init__(self, kernel: _Triple, stride: _Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(_pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class _Inception(nn.Module):
    """Four branches side by side, concatenated over channels."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        w0, w1a, w1b, w2a, w2b, w3 = widths
        self.branch_0 = _Unit(inputs, w0)
        self.branch_1 = nn.Sequential(_Unit(inputs, w1a), _Unit(w1a, w1b, 3))
        self.branch_2 = nn.Sequential(_Unit(inputs, w2a), _Unit(w2a, w2b, 3))
        self.branch_3 = nn.Sequential(_MaxPool((3, 3, 3), (1, 1, 1)), _Unit(inputs, w3))
        self.outputs = w0 + w1b + w2b + w3

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1)


class I3D(nn.Module):
    """Inflated Inception-v1.

    Args:
        input_channels: 3 for RGB, 2 for optical flow.
        num_classes: width of the logits, 400 for Kinetics-400; None leaves the logits out.

    Input of `forward`, `logits` and `endpoint`: `(B, C, T, H, W)`, RGB scaled to [-1, 1], flow clipped to +-20 pixels a
    frame and scaled to [-1, 1]. Trained on 224 x 224 crops; any size of at least 32 x 32 pixels and 8 frames works.
    """

    def __init__(self, input_channels: int = 3, num_classes: int | None = 400) -> None:
        super().__init__()
        self.input_channels, self.num_classes = input_channels, num_classes
        self.trunk = nn.ModuleDict(
            {
                "Conv3d_1a_7x7": _Unit(input_channels, 64, 7, 2),
                "MaxPool3d_2a_3x3": _MaxPool((1, 3, 3), (1, 2, 2)),
                "Conv3d_2b_1x1": _Unit(64, 64),
                "Conv3d_2c_3x3": _Unit(64, 192, 3),
                "MaxPool3d_3a_3x3": _MaxPool((1, 3, 3), (1, 2, 2)),
            }
        )
        channels = 192
        for name, widths in _INCEPTION.items():
            if name == "Mixed_4b":
                self.trunk["MaxPool3d_4a_3x3"] = _MaxPool((3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                self.trunk["MaxPool3d_5a_2x2"] = _MaxPool((2, 2, 2), (2, 2, 2))
            block = _Inception(channels, widths)
            self.trunk[name] = block
            channels = block.outputs
        self.classifier = None if num_classes is None else nn.Conv3d(FEATURE_DIM, num_classes, 1)

    def endpoint(self, clips: Tensor, name: str = "Mixed_5c") -> Tensor:
        """Return the activation `(B, C', T', H', W')` after the named layer."""
        if name not in self.trunk:
            raise unknown_name("endpoint", name, self.trunk)
        x = clips
        for layer, module in self.trunk.items():
            x = module(x)
            if layer == name:
                break
        return x

    def forward(self, clips: Tensor) -> Tensor:
        """Return the features `(B, 1024)`: the mean of the average-pooled `Mixed_5c`."""
        if clips.ndim != 5 or clips.shape[1] != self.input_channels:
            raise DataError(
                "the clips have the wrong shape",
                expected=f"(B, {self.input_channels}, T, H, W)",
                got=str(tuple(clips.shape)),
                where="I3D",
                next_step="Put the channels second: (batch, channels, frames, height, width)",
            )
        x = self.endpoint(clips)  # (B, 1024, T', H', W')
        kernel = [min(k, size) for k, size in zip((2, 7, 7), x.shape[2:], strict=True)]
        pooled = functional.avg_pool3d(x.float(), kernel, stride=1)  # in single precision: halves have no CPU kernel
        return pooled.mean(dim=(2, 3, 4))

    def logits(self, features: Tensor) -> Tensor:
        """Return class logits `(B, num_classes)` of features `(B, 1024)`; they are linear in the features."""
        if self.classifier is None:
            raise UsageError("this I3D was built without logits", next_step="Build it with num_classes=400")
        weight = self.classifier.weight.flatten(1)  # (num_classes, 1024)
        return functional.linear(features.to(weight.dtype), weight, self.classifier.bias).float()

    def fold(self) -> I3D:
        """Fold every batch normalisation into its convolution: same result, less work. Returns self in eval mode."""
        self.eval()
        for module in self.modules():
            if isinstance(module, _Unit):
                module.fold()
        return self


# -- weight layouts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _UnitName:
    """One unit under its three names."""

    ours: str
    tf: str
    port: str


@cache
def _units() -> tuple[_UnitName, ...]:
    stem = [_UnitName(f"trunk.{n}", n, n) for n in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")]
    blocks = [
        _UnitName(f"trunk.{block}.{ours}", f"{block}|{tf}", f"{block}.{port}")
        for block in _INCEPTION
        for ours, (tf, port) in _BRANCH_UNITS.items()
    ]
    return tuple(stem + blocks)


_TF_LOGITS, _PORT_LOGITS = "params|Logits/Conv3d_0c_1x1|Conv_0", "logits.conv3d"


def _pairs(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield (our key, key of the layout) of every array, logits last."""
    for unit in _units():
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
    pairs = dict(_pairs(layout))
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
        for unit in _units():
            state[f"{unit.ours}.norm.weight"] = torch.ones_like(state[f"{unit.ours}.norm.bias"])
    for unit in _units():
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


def to_layout(model: I3D, layout: Layout) -> dict[str, Array]:
    """Return the weights of an unfolded `model` under the names and axes of a public layout.

    Raises:
        UsageError: the batch normalisation was folded, or has a scale that the TF layout cannot hold.
    """
    state = {key: value.detach().cpu().numpy() for key, value in model.state_dict().items()}
    if not any(".norm." in key for key in state):
        raise UsageError("folded weights cannot be written to a public layout", next_step="Convert before fold()")
    scales = [state[f"{unit.ours}.norm.weight"] for unit in _units()]
    if layout == "tf" and not all((scale == 1).all() for scale in scales):
        raise UsageError(
            "the TF layout knows no batch-norm scale",
            expected="all scales 1",
            next_step="Fold the scales into the kernels first, or save the PyTorch layout",
        )
    arrays: dict[str, Array] = {}
    for ours, theirs in _pairs(layout):
        if ours not in state:
            continue
        value = state[ours]
        if layout == "tf" and value.ndim == 5:
            value = value.transpose(2, 3, 4, 1, 0)
        elif layout == "tf" and ours.endswith(("running_mean", "running_var")):
            value = value.reshape(1, 1, 1, 1, -1)
        arrays[theirs] = np.ascontiguousarray(value)
    return arrays


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read named arrays from `.npz`, `.safetensors`, or a PyTorch state dict (`.pt`, `.pth`), executing nothing.

    A state dict may lie under the key "state_dict" or "model".

    Raises:
        DataError: the file is missing, empty, truncated, of another kind, or would need code to be run.
    """
    path = require_file(path, "a weights file")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except Exception as error:  # zipfile, zlib and NumPy each raise their own kinds for damaged archives
            raise _unreadable(path, "an .npz archive of arrays", error) from error
    if suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise _unreadable(path, "a safetensors file", error) from error
    if suffix in (".pt", ".pth", ".ckpt", ".tar", ".bin"):
        return _read_state_dict(path)
    raise DataError(
        "has an unknown suffix",
        expected=".npz, .safetensors, .pt or .pth",
        got=repr(suffix),
        where=path,
        next_step="Rename it, or convert it with 'wtal weights convert'",
    )


def _read_state_dict(path: Path) -> dict[str, Array]:
    import pickle

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            "holds more than tensors, and loading it would run its code",
            expected="a state dict of tensors",
            got=str(error).splitlines()[0][:160],
            where=path,
            next_step="Save model.state_dict() where you trust the file, then load that",
        ) from error
    except Exception as error:  # torch raises many kinds for damaged archives
        raise _unreadable(path, "a PyTorch state dict", error) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise DataError(
            "is not a state dict",
            expected="{name: tensor}",
            got=type(loaded).__name__,
            where=path,
            next_step="Save the model with torch.save(model.state_dict(), ...)",
        )
    return {str(key): value.float().numpy() for key, value in loaded.items()}


def _unreadable(path: Path, expected: str, error: Exception) -> DataError:
    return DataError(
        f"cannot be read ({type(error).__name__})",
        expected=expected,
        where=path,
        next_step="It may be truncated: copy or download it again, and check its SHA-256",
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
