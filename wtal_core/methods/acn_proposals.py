"""ACN's anchors and proposals of many videos in flat lists, and which stay: no loop over videos or classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from wtal_core.methods.acn_integrals import StepIntegral

__all__ = ["Anchored", "Candidates", "best_per_snippet", "claimed_snippets", "holds_few"]

CONTEXT = 0.25  # context on each side of a proposal, as a share of its anchor (Sec. 3.3: Xs = xs - P / 4)


@dataclass(frozen=True, eq=False)
class Anchored:
    """The anchors of R videos in one list: by video, anchor size, start; `T - P` of each size (none if T <= P).

    Args:
        row: `(N,)` video.
        index: `(N,)` which anchor size.
        size: `(N,)` anchor size P in snippets.
        start: `(N,)` first snippet; the last one is `start + size`, inclusive.
    """

    row: Tensor
    index: Tensor
    size: Tensor
    start: Tensor

    @classmethod
    def of(cls, lengths: Tensor, anchors: Sequence[int]) -> Anchored:
        sizes = torch.tensor(anchors, device=lengths.device)  # (A,)
        count = (lengths[:, None] - sizes).clamp(min=0).flatten()  # (R * A,)
        group = torch.arange(count.numel(), device=lengths.device).repeat_interleave(count)  # (N,)
        start = torch.arange(group.numel(), device=lengths.device) - (count.cumsum(0) - count)[group]
        index = group % len(anchors)
        return cls(group // len(anchors), index, sizes[index], start)

    @property
    def margin(self) -> Tensor:
        """`(N,)` width of the context on each side."""
        return CONTEXT * self.size

    @property
    def raw(self) -> Tensor:
        """`(N, 2)` boundaries before regression."""
        return torch.stack([self.start, self.start + self.size], dim=1).to(torch.float64)


def claimed_snippets(start: Tensor, size: Tensor, refined: Tensor, selection: str) -> tuple[Tensor, Tensor]:
    """Return the first and last snippet `(N,)` for which a proposal competes, both inclusive.

    "position": the centre of its anchor. "cover": all snippets whose centre lies in `[xs, xe + 1)`.
    """
    if selection == "position":
        centre = start + size // 2
        return centre, centre
    return (refined[:, 0] - 0.5).ceil().long(), (refined[:, 1] + 0.5).ceil().long() - 1


def holds_few(bad: Tensor, low: Tensor, high: Tensor, share: float) -> Tensor:
    """Return `(N,)`: whether at most `share` of the snippets `low .. high` (flat positions) are bad."""
    count = F.pad(bad.cumsum(0, dtype=torch.int32), (1, 0))
    return count[high + 1] - count[low] <= share * (high - low + 1) + 1e-9


def best_per_snippet(score: Tensor, low: Tensor, high: Tensor, positions: int) -> tuple[Tensor, Tensor]:
    """Keep for each snippet the best of the proposals that compete for it.

    Ranks are written into a reverse sparse table: an interval is two overlapping powers of two, whose minima are then
    pushed down level by level. `O(N log N + positions * log longest)`; ties: the lowest index.

    Args:
        score: `(N,)`.
        low, high: `(N,)` snippets each competes for, inclusive, on one axis for all videos and classes.
        positions: length of that axis.

    Returns:
        `(kept (K,), times (K,))`: indices, ascending, and at how many snippets each was the best.
    """
    number = score.numel()
    order = torch.sort(score, descending=True, stable=True).indices
    rank = torch.empty_like(order)
    rank[order] = torch.arange(number, device=score.device)
    level = torch.frexp((high - low + 1).double()).exponent.long() - 1  # floor(log2 of the length), exact
    top = int(level.max()) if number else 0
    table = torch.full(((top + 1) * positions,), number, device=score.device)
    right = high + 1 - (1 << level)
    for left in (low, right) if top else (low,):
        table.scatter_reduce_(0, level * positions + left, rank, "amin")
    table = table.view(top + 1, positions)
    for upper in range(top, 0, -1):
        half = 1 << (upper - 1)
        torch.minimum(table[upper - 1], table[upper], out=table[upper - 1])
        torch.minimum(table[upper - 1, half:], table[upper, :-half], out=table[upper - 1, half:])
    best = table[0]
    times = torch.bincount(order[best[best < number]], minlength=number)
    kept = times.nonzero()[:, 0]
    return kept, times[kept]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of a proposal and a class of its video that are worth scoring.

    Args:
        proposal: `(M,)` index of the proposal.
        pair: `(M,)` row of the class curves.
        low, high: `(M,)` snippets it competes for, on the axis of all class curves.
    """

    proposal: Tensor
    pair: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(
        cls,
        curves: StepIntegral,
        anchored: Anchored,
        refined: Tensor,
        pairs_of_row: Tensor,
        *,
        selection: str,
        scp_threshold: float,
        contain_tol: float,
        discarded: Tensor | None = None,
    ) -> Candidates:
        """Combine every proposal with the classes of its video and drop what the selection rule does not admit.

        Args:
            curves: SCP of each pair of video and class; pairs sorted by video.
            anchored, refined: N proposals; `anchored.row` counts videos.
            pairs_of_row: `(R,)` number of pairs of each video.
            selection, scp_threshold, contain_tol: rule and thresholds, see `ACNLocalization`.
            discarded: `(sum of T,)` bool, snippets that attention discarded; proposals that hold them are dropped.
        """
        video = torch.arange(len(pairs_of_row), device=pairs_of_row.device).repeat_interleave(pairs_of_row)  # of a pair
        in_video = torch.bincount(anchored.row, minlength=len(pairs_of_row))
        begin, count = (in_video.cumsum(0) - in_video)[video], in_video[video]
        pair = torch.arange(len(video), device=count.device).repeat_interleave(count)  # (M,)
        proposal = torch.arange(len(pair), device=count.device) + (begin + count - count.cumsum(0))[pair]
        first, last = claimed_snippets(anchored.start, anchored.size, refined, selection)
        base = curves.base[pair]
        found = cls(proposal, pair, base + first[proposal], base + last[proposal])
        if selection != "all":
            bad = curves.values < scp_threshold
            found = found.select(holds_few(bad, found.low, found.high, contain_tol))
        if discarded is not None:
            first, last = claimed_snippets(anchored.start, anchored.size, refined, "cover")
            base = curves.base[found.pair]
            low, high = base + first[found.proposal], base + last[found.proposal]
            found = found.select(holds_few(discarded, low, high, contain_tol))
        return found

    def select(self, admitted: Tensor) -> Candidates:
        """Return those for which `(M,)` bool is True."""
        at = admitted.nonzero()[:, 0]
        return Candidates(self.proposal[at], self.pair[at], self.low[at], self.high[at])

    def best(self, score: Tensor, positions: int, selection: str) -> tuple[Tensor, Tensor]:
        """Return the indices of the candidates that stay, and how often each was the best of a snippet."""
        if selection == "all":
            every = torch.arange(score.numel(), device=score.device)
            return every, torch.ones_like(every)
        return best_per_snippet(score, self.low, self.high, positions)
