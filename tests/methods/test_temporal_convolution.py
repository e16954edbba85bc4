"""The fast convolution over time equals PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wtal_core.methods import temporal_convolution
from wtal_core.methods.temporal_convolution import convolve_snippets


@pytest.mark.parametrize("length", [1, 2, 7, 10])
def test_outputs_and_gradients_equal_conv1d(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(temporal_convolution, "_WORTH_IT", 0)
    torch.manual_seed(length)
    layer = nn.Conv1d(6, 5, 3, padding=1)
    x = torch.randn(3, length, 6)
    target = torch.randn(3, length, 5)

    def run(fast: bool) -> list[torch.Tensor]:
        layer.zero_grad()
        own = x.clone().requires_grad_()
        y = convolve_snippets(own, layer) if fast else layer(own.transpose(1, 2)).transpose(1, 2)
        ((y - target) ** 2).sum().backward()
        assert own.grad is not None
        assert layer.weight.grad is not None
        assert layer.bias is not None
        assert layer.bias.grad is not None
        return [y.detach(), own.grad, layer.weight.grad.clone(), layer.bias.grad.clone()]

    for fast, plain in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)


def test_only_what_is_asked_for_gets_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal_convolution, "_WORTH_IT", 0)
    layer = nn.Conv1d(6, 5, 3, padding=1)
    x = torch.randn(2, 4, 6)
    convolve_snippets(x, layer).sum().backward()
    assert x.grad is None
    layer.weight.requires_grad_(False)
    layer.weight.grad = None
    convolve_snippets(x, layer).sum().backward()
    assert layer.weight.grad is None


def test_rounding_is_that_of_float32_at_full_width() -> None:
    """2,048 channels: the largest deviation from float64 stays within a few units of conv1d's own."""
    torch.manual_seed(0)
    layer = nn.Conv1d(2048, 64, 3, padding=1)
    x = torch.rand(2, 1024, 2048)
    with torch.no_grad():
        fast = convolve_snippets(x, layer)
        plain = layer(x.transpose(1, 2)).transpose(1, 2)
        exact = layer.double()(x.double().transpose(1, 2)).transpose(1, 2)
    assert (fast - exact).abs().max() < 4 * (plain - exact).abs().max() + 1e-6
