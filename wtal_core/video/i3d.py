"""I3D: Inception-v1 inflated to three dimensions, as PyTorch module.

Carreira, Zisserman: "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017. The network is
that of the authors' TensorFlow release: TensorFlow's SAME padding (asymmetric where a stride leaves an odd remainder),
batch normalisation with epsilon 1e-3, ReLU after every unit but the logits, final average pooling over 2 x 7 x 7 with
stride 1. The 1024 feature channels are the mean over all positions of that average-pooled `Mixed_5c`; the logits are
linear in them. Its public weights are read by `wtal_core.video.i3d_weights`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wtal_core.errors import DataError, UsageError, unknown_name

__all__ = ["FEATURE_DIM", "I3D", "INCEPTION", "INPUT_CHANNELS"]

#: Channels of the feature that comes out of the last inception block.
FEATURE_DIM = 1024

#: Input channels of the two streams.
INPUT_CHANNELS = {"rgb": 3, "flow": 2}

#: Inception blocks in order, with the widths of their branches:
#: (1x1), (1x1 -> 3x3), (1x1 -> 3x3), (max-pool -> 1x1). Paper, figure 3; widths of Inception-v1.
INCEPTION: dict[str, tuple[int, int, int, int, int, int]] = {
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
        for name, widths in INCEPTION.items():
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
