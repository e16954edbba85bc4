"""Convolution over time: with a kernel of 3, where HAM-Net and ACM-Net spend their time, and over packed videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PackedVideos", "convolve_snippets"]

#: Below this many snippets a call, transforming the weights costs more than it saves.
_WORTH_IT = 2048


def convolve_snippets(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """Apply a convolution with kernel 3, stride 1 and zero padding 1 over time, time before channels.

    On a GPU, and for single videos, this is `layer` itself. On a CPU, float32 batches go through Winograd's minimal
    filtering F(2, 3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016): two outputs from
    four inputs by four products instead of six, forward and backward, with float32's usual rounding.

    Args:
        x: `(B, T, D)`.
        layer: weights `(D', D, 3)`, with a bias.

    Returns:
        `(B, T, D')`.
    """
    batch, length, _ = x.shape
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if torch.compiler.is_compiling():  # the function below writes into views, which cannot be traced
        plain = True
    if plain or layer.bias is None or batch * length < _WORTH_IT:
        return F.conv1d(x.transpose(1, 2), layer.weight, layer.bias, padding=1).transpose(1, 2)
    # An odd length is filled up with a snippet of zeros: exactly what padding puts there.
    even = F.pad(x, (0, 0, 0, 1)) if length % 2 else x
    y: Tensor = _Winograd.apply(even, layer.weight, layer.bias)  # type: ignore[no-untyped-call]
    return y[:, :length]


class _Winograd(torch.autograd.Function):
    """F(2, 3) over an even number of snippets; every product is one large matrix product into reused memory.

    With inputs d0..d3 of a pair of outputs and taps g0, g1, g2 (each `(D, D')`)::

        p0 = (d0 - d2) g0      p1 = (d1 + d2) (g0 + g1 + g2) / 2      y_even = p0 + p1 + p2
        p3 = (d1 - d3) g2      p2 = (d2 - d1) (g0 - g1 + g2) / 2      y_odd  = p1 - p2 - p3
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        b, t, d = x.shape
        (d0, d1, d2, d3), (g0, g_plus, g_minus, g2) = _inputs(x), _taps(weight)
        m = x.new_empty(b, t // 2, d)
        flat = m.view(-1, d)
        y = x.new_empty(b * t // 2, 2, weight.shape[0])
        even, odd = y[:, 0], y[:, 1]  # (B pairs, D') each
        torch.add(d1, d2, out=m)
        torch.mm(flat, g_plus, out=even)
        torch.sub(d2, d1, out=m)
        p2 = torch.mm(flat, g_minus)
        torch.sub(even, p2, out=odd)
        even.add_(p2)
        torch.sub(d0, d2, out=m)
        even.addmm_(flat, g0)
        torch.sub(d1, d3, out=m)
        odd.addmm_(flat, g2, alpha=-1)
        return y.add_(bias).view(b, t, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        b, t, d = x.shape
        pairs = gradients[0].reshape(b * t // 2, 2, -1)
        even, odd = pairs[:, 0], pairs[:, 1]
        plus, minus = even + odd, even - odd  # gradients of p1 and p2; those of p0 and p3 are `even` and `-odd`
        for_x = for_weight = None
        if ctx.needs_input_grad[1]:
            d0, d1, d2, d3 = _inputs(x)
            m = x.new_empty(b, t // 2, d)
            flat = m.view(-1, d).t()
            taps = x.new_empty(3, d, weight.shape[0])
            torch.add(d1, d2, out=m)
            torch.mm(flat, plus, out=taps[0])
            torch.sub(d2, d1, out=m)
            of_minus = torch.mm(flat, minus)
            torch.sub(taps[0], of_minus, out=taps[1])
            taps[0].add_(of_minus)
            taps[:2].div_(2)
            taps[2].copy_(taps[0])
            torch.sub(d0, d2, out=m)
            taps[0].addmm_(flat, even)
            torch.sub(d1, d3, out=m)
            taps[2].addmm_(flat, odd, alpha=-1)
            for_weight = taps.permute(2, 1, 0)
        if ctx.needs_input_grad[0]:
            g0, g_plus, g_minus, g2 = (g.t() for g in _taps(weight))
            padded = x.new_zeros(b, t + 2, d)
            d0, d1, d2, d3 = (padded[:, i : i + t : 2] for i in range(4))
            m = x.new_empty(b, t // 2, d)
            flat = m.view(-1, d)
            torch.mm(even, g0, out=flat)
            d0.add_(m)
            d2.sub_(m)
            torch.mm(plus, g_plus, out=flat)
            d1.add_(m)
            d2.add_(m)
            torch.mm(minus, g_minus, out=flat)
            d2.add_(m)
            d1.sub_(m)
            torch.mm(odd, g2, out=flat)
            d1.sub_(m)
            d3.add_(m)
            for_x = padded[:, 1:-1]
        return for_x, for_weight, pairs.sum((0, 1)) if ctx.needs_input_grad[2] else None


def _inputs(x: Tensor) -> list[Tensor]:
    """Return d0..d3, `(B, pairs, D)` each: the snippets before, at (two) and after each pair of outputs."""
    t = x.shape[1]
    padded = F.pad(x, (0, 0, 1, 1))  # (B, T + 2, D)
    return [padded[:, i : i + t : 2] for i in range(4)]


def _taps(weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2, `(D, D')` each, of a weight `(D', D, 3)`."""
    g0, g1, g2 = weight.permute(2, 1, 0).contiguous()
    edges, centre = (g0 + g2).div_(2), g1.div(2)
    return g0, edges + centre, edges - centre, g2


@dataclass(frozen=True, eq=False)
class PackedVideos:
    """Layout of padded videos on one axis, so that one convolution serves them all and none pays for padding.

    Args:
        base: `(B,)` where each video begins.
        length: `(B,)` its snippets.
        total: length L of the axis.
        place: `(sum of T,)` position of every existing snippet.
        mask: `(B, T)` bool, which snippets of the padded videos exist.
    """

    base: Tensor
    length: Tensor
    total: int
    place: Tensor
    mask: Tensor

    @classmethod
    def of(cls, mask: Tensor, gap: int) -> PackedVideos:
        """Lay videos out with `gap` empty snippets between them, at least as many as a convolution's kernel reaches."""
        length = mask.sum(1)
        base = (length + gap).cumsum(0) - (length + gap)
        place = (base[:, None] + torch.arange(mask.shape[1], device=mask.device))[mask]
        return cls(base, length, int(base[-1] + length[-1]), place, mask)

    def exists(self) -> Tensor | None:
        """`(L,)` bool, or None for a single video."""
        if len(self.base) == 1:
            return None
        exists = torch.zeros(self.total, dtype=torch.bool, device=self.place.device)
        exists[self.place] = True
        return exists

    def lay_out(self, features: Tensor) -> Tensor:
        """Return `(1, D, L)` from padded `(B, T, D)` features; gaps are zero."""
        packed = features.new_zeros(self.total, features.shape[-1])
        packed[self.place] = features[self.mask]
        return packed.T[None].contiguous()
