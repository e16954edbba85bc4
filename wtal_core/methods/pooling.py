"""Maths that several methods share: top-k pooling over time, softmax over existing snippets, target distributions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cross_entropy_with_targets", "masked_mean", "masked_softmax_over_time", "normalised_targets", "topk_mean"]


def topk_mean(scores: Tensor, k: Tensor | int, mask: Tensor | None = None) -> Tensor:
    """Return the mean of the `k` largest values over time, per channel (top-k pooling of multiple-instance learning).

    Args:
        scores: `(B, T, C)`.
        k: how many values to average, one number or `(B,)`; cut to the number of existing snippets, at least 1.
        mask: `(B, T)` bool, True where a snippet exists; None means all exist.

    Returns:
        `(B, C)`.
    """
    batch, snippets, _ = scores.shape
    lengths = torch.full((batch,), snippets, device=scores.device) if mask is None else mask.sum(1)
    counts = torch.as_tensor(k, device=scores.device).expand(batch).clamp(min=1).minimum(lengths.clamp(min=1))  # (B,)
    if mask is not None:
        scores = scores.masked_fill(~mask[..., None], float("-inf"))
    most = int(counts.max()) if not isinstance(k, int) else min(max(k, 1), snippets)
    largest = scores.topk(most, dim=1).values  # (B, most, C), descending
    used = torch.arange(most, device=scores.device)[None, :, None] < counts[:, None, None]  # (B, most, 1)
    return torch.where(used, largest, torch.zeros_like(largest)).sum(1) / counts[:, None].to(scores.dtype)


def masked_softmax_over_time(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the softmax over time (dimension 1) of `(B, T, ...)`; snippets that do not exist get exactly 0."""
    if mask is None:
        return logits.softmax(1)
    mask = mask.reshape(*mask.shape, *[1] * (logits.ndim - 2))
    return logits.masked_fill(~mask, float("-inf")).softmax(1).masked_fill(~mask, 0.0)


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean over time of `(B, T, ...)` over existing snippets."""
    if mask is None:
        return values.mean(1)
    weights = mask.reshape(*mask.shape, *[1] * (values.ndim - 2)).to(values.dtype)
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def normalised_targets(labels: Tensor, background: float, eps: float = 0.0) -> Tensor:
    """Append a background target to `(B, C)` multi-hot labels and divide by the sum (+ `eps`): `(B, C + 1)`."""
    targets = torch.cat([labels, labels.new_full((len(labels), 1), background)], dim=1)
    return targets / (targets.sum(1, keepdim=True) + eps)


def cross_entropy_with_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of each row against a target distribution, `(B,)`; computed with log-softmax."""
    return -(targets * logits.log_softmax(-1)).sum(-1)
