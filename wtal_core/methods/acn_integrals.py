"""Integrals over step functions with exact gradients: what ACN's two loss terms are made of.

Snippet `n` occupies the cell `[n, n + 1)` of a row's time axis, in which a sequence is constant; outside `[0, T)` it
is zero (or repeats its edge). A proposal `[xs, xe]` is inclusive: it covers `[xs, xe + 1)` and measures `xe - xs + 1`.
With integer boundaries every integral below is a plain sum over snippets; in between it is linear, so that autograd
yields the exact derivative: the value of the sequence at the boundary.

Many rows (videos, or pairs of video and class) of different lengths go through together: every function takes the row
of each proposal. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GramIntegral", "StepIntegral", "coherence", "in_double", "outer_inner_means"]

_NORM_FLOOR = 1e-8  # of the product of two norms, as the paper's cosine is undefined for an empty area


def in_double(tensor: Tensor) -> Tensor:
    """Return the tensor as float64; from Apple's GPUs, which have none, on the CPU."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


class StepIntegral:
    """Integrals from the start of each row to real-valued positions.

    Args:
        rows: R sequences, `(T_r,)` or `(T_r, D)`, one dtype and device; constants (they get no gradient).
        pad: what lies outside a row: "zero", or "replicate" for its first and last value.
    """

    def __init__(self, rows: Sequence[Tensor], pad: str = "zero") -> None:
        self.values = torch.cat(list(rows)).detach()  # (sum of T, ...)
        self.pad = pad
        lengths = torch.tensor([len(row) for row in rows])
        self.length = lengths.to(self.values.device)  # (R,)
        self.base = (lengths.cumsum(0) - lengths).to(self.values.device)  # (R,) where a row begins in `values`
        self.prefix = torch.empty(self.values.shape, dtype=torch.float64, device=self.values.device)
        begin = 0
        for length in lengths.tolist():
            end = begin + length
            self.prefix[begin] = 0
            self.prefix[begin + 1 : end] = self.values[begin : end - 1].cumsum(0, dtype=torch.float64)
            begin = end

    def at(self, row: Tensor, x: Tensor) -> Tensor:
        """Return the integral from 0 to `x` `(N,)` of rows `(N,)`: `(N,)` or `(N, D)` float64."""
        length = self.length[row]
        if self.pad == "zero":
            x = x.clamp(min=0).clamp(max=length)
        cell = x.detach().floor().long().clamp(min=0).minimum(length - 1)
        index = self.base[row] + cell
        into = x - cell
        if self.values.ndim > 1:
            into = into[:, None]
        return self.prefix[index] + into * self.values[index]

    def between(self, row: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the integral over `[low, high)`."""
        return self.at(row, high) - self.at(row, low)


def outer_inner_means(
    curves: StepIntegral, row: Tensor, start: Tensor, end: Tensor, margin: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean inside a proposal and the mean of the ring around it, whose difference is L_OIC (Eq. 1).

    Args:
        curves: class activations.
        row: `(N,)` row of each proposal.
        start, end: `(N,)` inclusive proposal `[xs, xe]`.
        margin: `(N,)` width of each side of the ring, > 0. The ring's measure stays `2 * margin` at a row's ends.
    """
    inner = curves.between(row, start, end + 1)
    whole = curves.between(row, start - margin, end + 1 + margin)
    inside, ring = end - start + 1, 2 * margin
    if inner.ndim > 1:
        inside, ring = inside[:, None], ring[:, None]
    return inner / inside, (whole - inner) / ring


def _areas(
    start: Tensor, end: Tensor, margin: Tensor, areas: str
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return start, action and end area as half-open intervals (Eq. 2).

    "inclusive" reads the paper literally: the start area `[Xs, xs]` covers `[Xs, xs + 1)` and shares a snippet's width
    with the action; "disjoint" leaves that out.
    """
    share = 1 if areas == "inclusive" else 0
    return (
        (start - margin, start + share),
        (start, end + 1),
        (end + 1 - share, end + 1 + margin),
    )


def coherence(
    features: StepIntegral, row: Tensor, start: Tensor, end: Tensor, margin: Tensor, areas: str = "inclusive"
) -> Tensor:
    """Return the coherence term L_c `(N,)`: mean cosine between the action and the areas before and after it (Eq. 3).

    This is the definition, at the cost of some `12 N D` look-ups; `GramIntegral` gives the same for many proposals.

    Args:
        features: snippet features `(T_r, D)`.
        row, start, end, margin: see `outer_inner_means`.
        areas: "inclusive" or "disjoint".
    """
    before, action, after = (features.between(row, low, high) for low, high in _areas(start, end, margin, areas))

    def cosine(area: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(area, dim=1) * torch.linalg.vector_norm(action, dim=1)
        return (area * action).sum(1) / norms.clamp(min=_NORM_FLOOR)

    return 0.5 * (cosine(before) + cosine(after))


@dataclass(frozen=True, eq=False)
class _Position:
    """A real-valued position in a Gram table: its cell and how far into the cell it lies."""

    cell: Tensor
    into: Tensor


class GramIntegral:
    """Coherence terms of very many proposals, and their gradients, from doubly integrated Gram matrices.

    `<integral_a^b F, integral_c^d F>` is a combination of four values of `H(x, y) = <integral_0^x F, integral_0^y F>`,
    and H is the bilinear interpolation of the Gram matrix `F F^T` cumulated along both axes. A proposal then costs some
    80 table look-ups, whatever D. A long row is cut into blocks of starts, each with a Gram matrix of its own that
    reaches as far as proposals of that block can: about `T (block + before + after) D` multiplications.

    Args:
        rows: R sequences `(T_r, D)`; the matrix product runs in their dtype, sums in float64.
        before, after: how far proposals reach from the snippet they are anchored at, in snippets, context included.
        block: fewest starts in a block.
        pad: see `StepIntegral`.
    """

    def __init__(self, rows: Sequence[Tensor], before: int, after: int, *, block: int = 256, pad: str = "zero") -> None:
        tables, first, width, row_blocks, step = [], [], [], [], []
        for row in rows:
            count = max(1, len(row) // max(block, before + after))
            size = -(-len(row) // count)
            for begin in range(0, len(row), size):
                low, high = max(0, begin - before), min(len(row), begin + size + after)
                part = row[low:high].detach()
                gram = in_double(part @ part.T)  # (W, W)
                tables.append(F.pad(gram.cumsum_(0).cumsum_(1), (1, 0, 1, 0)).flatten())
                first.append(low)
                width.append(high - low)
            row_blocks.append(-(-len(row) // size))
            step.append(size)
        self.pad = pad
        self.table = torch.cat(tables)
        device = self.table.device
        sizes = torch.tensor([len(t) for t in tables])
        blocks = torch.tensor(row_blocks)
        self.offset = (sizes.cumsum(0) - sizes).to(device)  # (blocks,) where a block's table begins
        self.first = torch.tensor(first, device=device)  # (blocks,) its first snippet
        self.width = torch.tensor(width, device=device)  # (blocks,) its snippets W
        self.row_block = (blocks.cumsum(0) - blocks).to(device)  # (R,) first block of a row
        self.step = torch.tensor(step, device=device)  # (R,) starts of a block
        self.length = torch.tensor([len(row) for row in rows], device=device)  # (R,)

    def coherence(
        self, row: Tensor, anchored: Tensor, start: Tensor, end: Tensor, margin: Tensor, areas: str = "inclusive"
    ) -> Tensor:
        """Return the coherence term L_c `(N,)`, equal to `coherence(...)` up to rounding.

        Args:
            row, start, end, margin, areas: as there.
            anchored: `(N,)` snippet each proposal is anchored at: with its context it lies within
                `[anchored - before, anchored + after)`.
        """
        block = self.row_block[row] + anchored // self.step[row]
        offset, first, width, length = self.offset[block], self.first[block], self.width[block], self.length[row]

        def position(x: Tensor) -> _Position:
            if self.pad == "zero":
                x = x.clamp(min=0).clamp(max=length)
            cell = (x.detach().floor().long() - first).clamp(min=0).minimum(width - 1)
            return _Position(cell, x - first - cell)

        def h(x: _Position, y: _Position) -> Tensor:
            corner = offset + x.cell * (width + 1) + y.cell
            below = corner + width + 1
            upper = torch.lerp(self.table[corner], self.table[corner + 1], y.into)
            return torch.lerp(upper, torch.lerp(self.table[below], self.table[below + 1], y.into), x.into)

        def dot(a: tuple[_Position, _Position], b: tuple[_Position, _Position]) -> Tensor:
            return h(a[1], b[1]) - h(a[0], b[1]) - h(a[1], b[0]) + h(a[0], b[0])

        before, action, after = ((position(low), position(high)) for low, high in _areas(start, end, margin, areas))
        size = dot(action, action)

        def cosine(area: tuple[_Position, _Position]) -> Tensor:
            norms = (size * dot(area, area)).clamp(min=_NORM_FLOOR**2).sqrt()
            return dot(area, action) / norms

        return 0.5 * (cosine(before) + cosine(after))
