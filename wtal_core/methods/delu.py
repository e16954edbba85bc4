"""DELU: Chen, Gao, Yang and Xu, "Dual-Evidential Learning for Weakly-supervised Temporal Action Localization", ECCV
2022.

The network and the losses of CO2-Net, and evidence: an exponential of the floored logits parametrises a Dirichlet
distribution over the classes, whose spread is an uncertainty. Of a video, the evidence of its most attended snippets is
trained towards the labels; labels that have little evidence yet count more, and videos that are certain do. Of a
snippet, the uncertainty orders the guide of attention against background: certain snippets count less at first and more
towards the end of the training, uncertain ones the other way round.

What is visualised: what CO2-Net shows; the uncertainty of every snippet, which is high where no class has evidence; the
evidence of every class on a logarithmic scale; the snippets whose evidence speaks for the video. Nothing of it is used
at inference.

Differences between the paper and the official code (github MengyuanChen21/ECCV2022-DELU). Defaults are the code's, and
what the paper prints is named only where it is certain:

1. the code sorts the snippets by uncertainty and gives snippet t the weight of place `order[t]`, not that of its own
   rank: permutation and inverse are mixed up (`uncertainty_rank="rank"` gives what is meant).
2. the uncertainty of a snippet divides the number of action classes by a sum over C + 1 channels: at most C / (C + 1).
3. ActivityNet 1.2: evidence is a ReLU, trained by a squared error without a variance term (`evidence`,
   `evidence_loss`).
4. localization: since April 2024 the code takes 20 thresholds and drops detections of one snippet; before it took 10
   and dropped none (`localization.thresholds`, `localization.min_length`).
5. published numbers: best step on the test set; the authors report averages (tIoU 0.1 to 0.7) of 45.1 to 46.4 for
   five seeds. Here `last` and `best` are reported separately.

See `co2net` for the rest. A guard that the official code lacks: ties of the attention, which its dropout makes exact in
training, are broken by the lower index.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from wtal_core.methods.base import Batch
from wtal_core.methods.co2net import CO2Net, CO2NetConfig, CO2NetLocalization, TwoStreams
from wtal_core.methods.pooling import masked_mean
from wtal_core.methods.recipe import Progress, Recipe
from wtal_core.records import Activations, Trace, Track, View
from wtal_core.settings import option
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["DELU", "DELUConfig", "DELULocalization", "guide_curve"]

_CLIP = 10.0  # of logits, before the exponential


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DELULocalization(CO2NetLocalization):
    """CO2-Net's with more thresholds, without detections of one snippet."""

    thresholds: tuple[float, ...] = option(
        tuple(np.linspace(0.1, 0.9, 20).tolist()),
        "attention thresholds; each run above one is proposed for every kept class; 10 of them before April 2024",
        low=0,
        high=1,
    )
    min_length: int = option(
        2, "shorter detections are dropped after the suppression; 1 before April 2024", unit="snippets", low=1
    )


@dataclass(frozen=True)
class DELUConfig(CO2NetConfig):
    """CO2-Net's settings, and those of the evidence."""

    guide_weight: float = option(0.4, "weight alpha 2 of the guide: attention against background", low=0)
    edl_weight: float = option(1.3, "weight of the evidential loss of videos", low=0)
    uct_guide_weight: float = option(
        0.4, "weight of the guide loss that is ordered by the snippets' uncertainty", low=0
    )
    amplitude: float = option(0.7, "how far the ordered guide's weights go from 1", low=0, high=1)
    attention_ratio: int = option(9, "a video's evidence is that of its T // ratio most attended snippets", low=1)
    evidence: str = option(
        "exp", "evidence of a video: exponential of its logits, or the logits above 0", choices=("exp", "relu")
    )
    evidence_loss: str = option(
        "log", "evidential loss of videos: weighted log likelihood, or squared error", choices=("log", "squared")
    )
    uncertainty_rank: str = option(
        "code",
        "weight of a snippet in the ordered guide: that of the place which the official code takes, or of its own rank",
        choices=("code", "rank"),
    )
    localization: DELULocalization = option(factory=DELULocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: replace(CO2NetConfig().training, snippets=320),
        meaning="how it is trained; rows 1 and 2, 3 and 4, ... of a batch are the pairs of the contrastive loss",
    )


_ACTIVITYNET12: dict[str, Any] = {
    **CO2Net.presets["activitynet12"],
    "guide_weight": 0.8,
    "edl_weight": 1.2,
    "uct_guide_weight": 0.2,
    "amplitude": 0.2,
    "attention_ratio": 5,
    "evidence": "relu",
    "evidence_loss": "squared",
}


# -- method -------------------------------------------------------------------------------------------------------


def guide_curve(progress: Progress, lengths: Tensor, snippets: int, amplitude: float) -> Tensor:
    """Return `(B, snippets)` weights by rank of uncertainty, for videos of `lengths` `(B,)` at a training's progress.

    They rise along the ranks at the beginning, are 1 in the middle of the training, and fall at its end.
    """
    rank = torch.arange(snippets, device=lengths.device) + 0.5
    place = 2 * rank / lengths[:, None] - 1  # from -1 to 1
    return 1 + amplitude * torch.tanh(place * (1 - 2 * progress.fraction))


class DELU(CO2Net):
    """Evidence of videos and uncertainty of snippets on CO2-Net (ECCV 2022)."""

    name: ClassVar[str] = "delu"
    title: ClassVar[str] = "DELU (Chen et al., ECCV 2022)"
    Config: ClassVar[type[Any]] = DELUConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"thumos14": {}, "activitynet12": _ACTIVITYNET12}
    views: ClassVar[tuple[View, ...]] = (
        *CO2Net.views[:3],
        View("uncertainty", "Uncertainty", (Trace("uncertainty", "uncertainty", "instance"),), low=0.0, high=1.0,
             about="high where no class has evidence; it orders the guide in training"),
        View("evidence", "Evidence · {label}", (
            Trace("evidence", "evidence", "instance"), Trace("evidence", "background", "background", True),
        ), low=math.exp(-_CLIP), high=math.exp(_CLIP), log=True,
             about=f"exponential of the floored logits, clipped at e^{_CLIP:.0f}"),
        View("evidence_snippets", "Evidence of the video", (Trace("evidence_snippets", role="instance"),), "mask",
             about="the most attended snippets, whose evidence is trained towards the labels", figure=False),
        *CO2Net.views[3:],
    )  # fmt: skip
    config: DELUConfig

    # -- losses -----------------------------------------------------------------------------------------------------

    def _terms(self, batch: Batch, out: TwoStreams, mask: Tensor | None) -> dict[str, Tensor]:
        """Return CO2-Net's terms, `edl` and `uct_guide`: means over the videos, too."""
        return {
            **super()._terms(batch, out, mask),
            "edl": self.video_evidence_loss(self.video_logits(out, batch.mask), batch.labels).mean(),
            "uct_guide": self._ordered_guide(batch, out, mask),
        }

    def video_logits(self, out: TwoStreams, exists: Tensor) -> Tensor:
        """Return `(B, C)` floored logits, means over the most attended snippets; the choice carries no gradient."""
        k = (exists.sum(1) // self.config.attention_ratio).clamp(min=1)  # (B,)
        attention = out.attention.detach()[..., 0].masked_fill(~exists, float("-inf"))
        index = attention.argsort(dim=1, descending=True, stable=True)[:, : int(k.max())]
        used = torch.arange(index.shape[1], device=k.device) < k[:, None]  # (B, K)
        floored = out.floored[..., : self.num_classes]
        chosen = floored.gather(1, index[..., None].expand(-1, -1, self.num_classes))
        return (chosen * used[..., None]).sum(1) / k[:, None]

    def dirichlet(self, logits: Tensor) -> Tensor:
        """Return the parameters alpha, >= 1, of `(..., C)` video logits."""
        return 1 + (logits.clamp(-_CLIP, _CLIP).exp() if self.config.evidence == "exp" else logits.relu())

    def video_evidence_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return each video's evidential loss `(B,)`."""
        alpha = self.dirichlet(logits)
        strength = alpha.sum(1, keepdim=True)  # (B, 1)
        if self.config.evidence_loss == "squared":
            return ((labels - alpha / strength) ** 2).sum(1)
        certain = 1 - self.num_classes / strength.detach()
        share = labels / alpha
        share = share / share.sum(1, keepdim=True).clamp(min=1e-12)
        weight = certain * labels.sum(1, keepdim=True) * share  # (B, C)
        return (weight * (strength.log() - alpha.log())).sum(1)

    def snippet_uncertainty(self, floored: Tensor) -> Tensor:
        """Return `(..., T)` uncertainties of floored logits `(..., T, C + 1)`, in (0, C / (C + 1)]."""
        return self.num_classes / (floored.clamp(-_CLIP, _CLIP).exp() + 1).sum(-1)

    def guide_weights(self, floored: Tensor, exists: Tensor, progress: Progress) -> Tensor:
        """Return each snippet's weight `(B, T)` in the ordered guide; they carry no gradient."""
        uncertainty = self.snippet_uncertainty(floored.detach()).masked_fill(~exists, float("inf"))
        order = uncertainty.argsort(dim=1, stable=True)
        if self.config.uncertainty_rank == "rank":
            order = order.argsort(dim=1)
        curve = guide_curve(progress, exists.sum(1), exists.shape[1], self.config.amplitude)
        return curve.to(floored.dtype).gather(1, order)

    def _ordered_guide(self, batch: Batch, out: TwoStreams, mask: Tensor | None) -> Tensor:
        weights = self.guide_weights(out.floored, batch.mask, batch.progress)
        return masked_mean(weights * torch.stack(out.disagreement()).mean(0), mask).mean()

    # -- what it says about a video -----------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        acts = super()._activations(features, grid)
        floored = torch.as_tensor(np.asarray(acts.extra_cas["floored"]))
        attention = torch.as_tensor(np.asarray(acts.attention["foreground"]))
        k = max(1, len(floored) // self.config.attention_ratio)
        chosen = attention.argsort(descending=True, stable=True)[:k]
        alpha = self.dirichlet(floored[chosen, : self.num_classes].mean(0))
        mask = torch.zeros(len(floored), dtype=torch.bool).scatter_(0, chosen, True)
        tracks = {
            "evidence": Track(
                "map",
                floored.clamp(-_CLIP, _CLIP).exp().numpy(),
                "evidence of every class",
                math.exp(-_CLIP),
                math.exp(_CLIP),
                log=True,
            ),
            "uncertainty": Track(
                "curve", self.snippet_uncertainty(floored).numpy(), "of the Dirichlet distribution", 0.0, 1.0
            ),
            "evidence_snippets": Track("mask", mask.numpy(), "the most attended snippets"),
            "video_uncertainty": Track(
                "scalar", float(self.num_classes / alpha.sum()), "uncertainty of the video's classes", 0.0, 1.0
            ),
        }
        return replace(acts, tracks={**acts.tracks, **tracks})
