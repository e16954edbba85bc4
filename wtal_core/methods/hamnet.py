"""HAM-Net: Islam, Long, Radke, "A Hybrid Attention Mechanism for Weakly-Supervised Temporal Action Localization",
AAAI 2021.

A classifier scores every snippet for C actions and background, and a class-agnostic attention says how likely a snippet
shows any action. The attention modulates the scores in three ways: as it is (soft); without the most discriminative
snippets, those above a threshold (semi-soft); and 1 for everything but those (hard). Since the dropped snippets cannot
explain the label any more, the rest of the action has to, and the attention grows to the whole of it.

What is visualised: class logits and the soft attention, the semi-soft and hard attention and the mask of dropped
snippets, also in evaluation, where the official code returns only the soft one.

Differences between the paper and the official code (github asrafulashiq/hamnet). Defaults are the code's:

1. drop threshold: absolute 0.2 in the paper (`drop_mode="absolute"`); 0.2 of the video's largest attention in the code.
   Its option `include_min` (0.2 of the way from the smallest to the largest) is on by default but never in force.
2. a dropped snippet scores 0 in the paper (`floor="zero"`), its smallest logit in every class in the code.
3. attention: two convolutions and a sigmoid in the paper, three (kernels 3, 3, 1; 512 filters) in the code.
4. the classifier's last layer follows a dropout of 0.7 in the code.
5. `sparse` and `guide` sum over snippets in the paper, average in the code.
6. `guide`: the background's probability leaves the background out of its denominator in the paper; a softmax over all
   C + 1 classes in the code.
7. targets: multi-hot labels in the paper (`normalise_targets=False`), divided by their sum + 1e-4 in the code.
8. classes kept: score at least 0.1 in the paper, 0.2 in the code (`localization.class_threshold`).
9. attention thresholds: 0.1 to 0.9 in steps of 0.05 in the paper, ten of them in the code (`localization.thresholds`).
10. suppression: "NMS" in the paper; Gaussian soft-NMS in the code, whose tIoU adds one *second* to every length
    (`localization.suppression`, `localization.plus_one`).
11. ActivityNet weights: 0.5 for all four classification losses in the paper; 0.125 BCL, 0.125 HAL, 1 SAL, 1 SSAL in
    the code (preset). The paper speaks of 200 classes, ActivityNet 1.2 has 100.
12. Eq. 7 prints p where p^attn is meant; the code uses the attended scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.localization import (
    Curves,
    Proposals,
    kept_classes,
    nms,
    outer_inner_contrast,
    runs_above,
    soft_nms,
)
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import cross_entropy_with_targets, masked_mean, normalised_targets, topk_mean
from wtal_core.methods.recipe import Recipe
from wtal_core.methods.temporal_convolution import convolve_snippets
from wtal_core.records import Activations, Lens, Trace, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["HAMNet", "HAMNetConfig", "HAMNetLocalization"]


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HAMNetLocalization:
    """From attention and CAS to detections ("Temporal Action Localization", Eq. 14-16)."""

    class_threshold: float = option(0.2, "classes kept: video score of at least this", paper="0.1", low=0, high=1)
    thresholds: tuple[float, ...] = option(
        tuple(np.linspace(0.1, 0.9, 10).tolist()),
        "attention thresholds; each run above one is proposed for every kept class",
        paper="0.1, 0.15, ..., 0.9",
        low=0,
        high=1,
    )
    gamma_oic: float = option(0.2, "weight zeta of the video score in a proposal's score", paper="not stated")
    outer_margin: float = option(0.25, "outer area l_m on either side, as a fraction of the run", paper="1/4", low=0)
    suppression: str = option(
        "soft", "Gaussian soft-NMS; hard NMS; none", paper="hard", choices=("soft", "hard", "none")
    )
    sigma: float = option(0.3, "soft: the score of a rival falls by exp(-tIoU^2 / sigma)", low=1e-6)
    tiou: float = option(0.7, "hard: a proposal goes that overlaps a better one by more than this", low=0, high=1)
    plus_one: bool = option(True, "tIoU with one second added to every length, as the official code computes it")
    keep_lone_first: bool = option(
        False, "keep a run that is snippet 0 alone, where a threshold has no other; the official code loses it"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class HAMNetConfig:
    """Settings of the method; every row of Table 1 and every curve of Figure 4 is reachable."""

    bcl_weight: float = option(0.8, "weight lambda 0 of the base classification loss", paper="0.8", low=0)
    sal_weight: float = option(0.8, "weight lambda 1 of the soft-attention loss", paper="0.8", low=0)
    ssal_weight: float = option(0.2, "weight lambda 2 of the semi-soft-attention loss", paper="0.2", low=0)
    hal_weight: float = option(0.2, "weight lambda 3 of the hard-attention loss", paper="0.2", low=0)
    sparse_weight: float = option(0.8, "weight alpha of the sparsity loss", paper="0.8", low=0)
    guide_weight: float = option(0.8, "weight beta of the guide loss", paper="0.8", low=0)
    gamma: float = option(0.2, "drop threshold on the attention", paper="0.2", low=0, high=1)
    drop: str = option(
        "discriminative",
        "snippets dropped: the most discriminative ones; as many random ones (training only); the least discriminative "
        "ones (Figure 4a)",
        choices=("discriminative", "random", "inverse"),
    )
    drop_mode: str = option(
        "relative",
        "gamma counts in the video's largest attention, or is the attention itself",
        paper="absolute",
        choices=("relative", "absolute"),
    )
    include_min: bool = option(False, "relative: gamma counts from the video's smallest to its largest attention")
    floor: str = option(
        "class_min",
        "scores of a dropped snippet: its smallest logit in every class, or 0",
        paper="zero",
        choices=("class_min", "zero"),
    )
    normalise_targets: bool = option(True, "divide each video's targets by their sum (+ 1e-4)", paper="false")
    topk_ratio: int = option(
        10, "video-level scores average the best T // ratio snippets", paper="k = 50, T = 500", low=1
    )
    dropout: float = option(0.7, "dropout before the classifier's last layer", low=0, high=0.99)
    attention_filters: int = option(512, "filters of the attention's convolutions", low=1)
    average_pool: int = option(
        0, "average logits and attention over this many snippets, odd; 0: do not", paper="ActivityNet only", low=0
    )
    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: HAMNetLocalization = option(factory=HAMNetLocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(steps=1000, batch_size=20, sampling="cells", snippets=500, lr=1e-5, weight_decay=1e-3),
        meaning="how it is trained; `snippets` is the supplement's video length",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.average_pool and self.average_pool % 2 == 0:
            raise UsageError(
                "a centred average needs an odd window",
                expected="0, 1, 3, 5, ... snippets",
                got=str(self.average_pool),
                where="HAMNetConfig.average_pool",
                next_step="Choose an odd number, or 0 for none",
            )


_ACTIVITYNET12: dict[str, Any] = {
    "bcl_weight": 0.125,
    "sal_weight": 1.0,
    "ssal_weight": 1.0,
    "hal_weight": 0.125,
    "sparse_weight": 0.5,
    "guide_weight": 0.1,
    "topk_ratio": 20,  # k = 4 at T = 80
    "dropout": 0.5,
    "average_pool": 17,
    "training.steps": 4_440,  # 20 epochs of 4,441 videos in batches of 20
    "training.snippets": 80,
}


# -- network ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class HybridAttention:
    """The three attentions of a batch and what they drop, all `(B, T, 1)`.

    Args:
        soft: attention a in (0, 1).
        semi_soft: a where it is below the threshold, 0 where the snippet is dropped.
        hard: 1 where the semi-soft attention is above 0, else 0; carries no gradient.
        dropped: bool, True where a snippet is dropped.
        threshold: `(B, 1, 1)` the videos' drop thresholds.
    """

    soft: Tensor
    semi_soft: Tensor
    hard: Tensor
    dropped: Tensor
    threshold: Tensor


def drop_snippets(a: Tensor, exists: Tensor, config: HAMNetConfig) -> tuple[Tensor, Tensor]:
    """Return the videos' drop thresholds `(B, 1, 1)` and what they drop, bool `(B, T, 1)`, of a soft attention."""
    highest = a.masked_fill(~exists, float("-inf")).amax(1, keepdim=True)  # (B, 1, 1)
    lowest = a.masked_fill(~exists, float("inf")).amin(1, keepdim=True)
    if config.drop_mode == "absolute":
        threshold = torch.full_like(highest, config.gamma)
    elif config.include_min:
        threshold = lowest + config.gamma * (highest - lowest)
    else:
        threshold = config.gamma * highest
    return threshold, (a < threshold if config.drop == "inverse" else a >= threshold) & exists


class HAMNet(Method):
    """Hybrid attention: soft, semi-soft and hard (AAAI 2021)."""

    name: ClassVar[str] = "hamnet"
    title: ClassVar[str] = "HAM-Net (Islam et al., AAAI 2021)"
    Config: ClassVar[type[Any]] = HAMNetConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "thumos14": {},
        "activitynet12": _ACTIVITYNET12,
        "activitynet12-paper": {
            **_ACTIVITYNET12,
            **dict.fromkeys(("bcl_weight", "sal_weight", "ssal_weight", "hal_weight"), 0.5),
        },
    }
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"), Trace("cas", "background", "background", True)),
             about="class logits"),
        View("attention", "Attention", (
            Trace("attention.foreground", "soft", "foreground"),
            Trace("attention.semi_soft", "semi-soft", "semi_soft"),
            Trace("attention.hard", "hard", "hard"),
        ), sources=("attention",), lens="gamma"),
        View("dropped", "Dropped", (Trace("drop_mask", role="dropped"),), kind="mask",
             about="most discriminative snippets, dropped by the attention"),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        # 32 channels leave nothing to drop, and the attention needs room to open in a few hundred steps.
        "training.steps": 160, "training.batch_size": 10, "training.snippets": 60, "training.lr": 1e-3,
        "dropout": 0.0, "sparse_weight": 0.3, "guide_weight": 0.3,
    }  # fmt: skip
    config: HAMNetConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: HAMNetConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        d, f = feature_dim, config.attention_filters
        self.classifier = nn.ModuleList(
            [nn.Conv1d(d, d, 3, padding=1), nn.Conv1d(d, d, 3, padding=1), nn.Conv1d(d, num_classes + 1, 1)]
        )
        self.attention = nn.ModuleList(
            [nn.Conv1d(d, f, 3, padding=1), nn.Conv1d(f, f, 3, padding=1), nn.Conv1d(f, 1, 1)]
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def official_names(self) -> dict[str, str]:
        """Names of `state_dict` in the official Lightning file."""
        layers = {f"net.classifier.{i}": f"classifier.{n}" for n, i in enumerate((0, 2, 5))}
        layers |= {f"net.attention.{i}": f"attention.{n}" for n, i in enumerate((0, 2, 4))}
        return {f"{o}.{p}": f"{n}.{p}" for o, n in layers.items() for p in ("weight", "bias")}

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map `(B, T, D)` features to class logits s `(B, T, C + 1)` and soft attention a `(B, T, 1)` (Eq. 4).

        The background is the last channel. `mask` keeps padding out of the convolutions.
        """
        exists = None if mask is None else mask[..., None]  # (B, T, 1)

        def existing(x: Tensor) -> Tensor:
            return x if exists is None else x * exists

        def scores(x: Tensor, layers: nn.ModuleList, dropout: float) -> Tensor:
            """Apply two convolutions and, after dropout, a linear layer per snippet (kernel 1): `(B, T, out)`."""
            first, second, last = (layer for layer in layers if isinstance(layer, nn.Conv1d))
            for layer in (first, second):
                x = existing(F.leaky_relu(convolve_snippets(x, layer), 0.2))
            return F.linear(F.dropout(x, dropout, self.training), last.weight[:, :, 0], last.bias)

        x = existing(features)
        s = scores(x, self.classifier, self.config.dropout)
        a = scores(x, self.attention, 0.0).sigmoid()
        return self._smooth(existing(s)), self._smooth(existing(a))

    def _smooth(self, x: Tensor) -> Tensor:
        """Average `(B, T, C)` over neighbours, zeros beyond the ends counted (ActivityNet)."""
        size = self.config.average_pool
        if size <= 1:
            return x
        return F.avg_pool1d(x.transpose(1, 2), size, stride=1, padding=size // 2).transpose(1, 2)

    def hybrid_attention(self, a: Tensor, mask: Tensor | None = None) -> HybridAttention:
        """Derive semi-soft and hard attention from the soft one `(B, T, 1)`, in training and evaluation alike.

        With random drop, which snippets go is drawn from torch's global generator, as dropout is, in training; in
        evaluation, where nothing is random, those that the threshold drops are shown.
        """
        config = self.config
        exists = torch.ones_like(a, dtype=torch.bool) if mask is None else mask[..., None]
        with torch.no_grad():
            threshold, dropped = drop_snippets(a, exists, config)
            if config.drop == "random" and self.training:
                # As many as the threshold would drop: those with the lowest ranks of a random order.
                order = torch.rand_like(a).masked_fill(~exists, float("inf")).argsort(1).argsort(1)
                dropped = (order < dropped.sum(1, keepdim=True)) & exists
        semi_soft = torch.where(dropped, torch.zeros_like(a), a)
        return HybridAttention(a, semi_soft, (semi_soft > 0).to(a.dtype).detach(), dropped, threshold)

    def modulated(self, s: Tensor, attention: HybridAttention) -> dict[str, Tensor]:
        """Return the class logits under each attention: "soft", "semi_soft" and "hard", `(B, T, C + 1)` each."""
        floor = s.min(-1, keepdim=True).values if self.config.floor == "class_min" else torch.zeros_like(s[..., :1])
        return {
            "soft": attention.soft * s,
            "semi_soft": attention.semi_soft * (s - floor) + floor,
            "hard": attention.hard * (s - floor) + floor,
        }

    def video_logits(self, s: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return video-level logits `(B, C + 1)`: top-k pooling over time, k = max(1, T // ratio) (Eq. 1)."""
        if mask is None:
            return topk_mean(s, s.shape[1] // self.config.topk_ratio)
        return topk_mean(s, mask.sum(1) // self.config.topk_ratio, mask)

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `bcl`, `sal`, `ssal`, `hal`, `sparse`, `guide` and `total` (Eq. 10).

        The terms are means over the videos, without their lambdas. The classification losses share one forward pass;
        `bcl` and `hal` count the background as present, `sal` and `ssal` as absent.
        """
        config = self.config
        mask = None if bool(batch.mask.all()) else batch.mask
        s, a = self(batch.features, mask)
        attention = self.hybrid_attention(a, mask)
        modulated = self.modulated(s, attention)

        def classification(logits: Tensor, background: float) -> Tensor:
            if config.normalise_targets:
                targets = normalised_targets(batch.labels, background, eps=1e-4)
            else:
                targets = F.pad(batch.labels, (0, 1), value=background)
            return (batch.weights * cross_entropy_with_targets(self.video_logits(logits, mask), targets)).mean()

        background = s.softmax(-1)[..., -1:]  # (B, T, 1)
        terms = {
            "bcl": classification(s, 1.0),  # Eq. 3
            "sal": classification(modulated["soft"], 0.0),  # Eq. 7
            "ssal": classification(modulated["semi_soft"], 0.0),  # Eq. 8
            "hal": classification(modulated["hard"], 1.0),  # Eq. 9
            "sparse": masked_mean(a, mask).mean(),  # Eq. 11
            "guide": masked_mean((1 - a - background).abs(), mask).mean(),  # Eq. 12, 13
        }
        total = torch.stack([getattr(config, f"{name}_weight") * term for name, term in terms.items()]).sum()
        return {"total": total, **terms}

    # -- activations ------------------------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        s, a = self(features)
        s, a = s.mean(0, keepdim=True), a.mean(0, keepdim=True)  # mean over crops: (1, T, C + 1), (1, T, 1)
        attention = self.hybrid_attention(a)
        video = self.video_logits(attention.soft * s)[0].softmax(-1)

        def curve(tensor: Tensor) -> Any:
            return tensor[0, :, 0].cpu().numpy()

        return Activations(
            cas=s[0].cpu().numpy(),
            video_scores=video[: self.num_classes].cpu().numpy(),
            attention={
                "foreground": curve(attention.soft),
                "semi_soft": curve(attention.semi_soft),
                "hard": curve(attention.hard),
            },
            drop_mask=curve(attention.dropped),
            grid=grid,
            classes=self.classes,
            method=self.name,
        )

    # -- localization -----------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Cut the attention at many thresholds and score each run for every kept class on the attended logits.

        Rows are ordered by video, class, threshold and time; scores are those after soft suppression.
        """
        settings: HAMNetLocalization = localization
        videos = list(activations.values())
        if not videos:
            return Proposals.build(video=[], label=[], start=[], end=[], score=[])
        grids, thresholds = [acts.grid for acts in videos], np.array(settings.thresholds)
        scores = np.stack([acts.video_scores for acts in videos])  # (V, C)
        video, label = kept_classes(scores, settings.class_threshold, strict=False)  # (K,) pairs
        attention = [acts.attention["foreground"] for acts in videos]
        attended = Curves.of(
            [
                (a[:, None] * acts.cas[:, label[video == v]]).T
                for v, (acts, a) in enumerate(zip(videos, attention, strict=True))
            ]
        )  # K rows
        runs, _ = runs_above(attention, thresholds, drop_lone_first=not settings.keep_lone_first).onto(video)
        contrast = outer_inner_contrast(attended, runs, inflation=settings.outer_margin)

        def seconds(position: IntArray) -> FloatArray:
            return seconds_of(grids, video[runs.row], position)

        proposals = Proposals.build(
            video=video[runs.row],
            label=label[runs.row],
            start=seconds(runs.first),
            end=seconds(runs.last + 1),
            score=contrast.score(settings.gamma_oic * scores[video, label][runs.row]),
            threshold=thresholds[runs.threshold],
            inner=contrast.inner,
            outer=contrast.outer,
            outer_start=seconds(contrast.left),
            outer_end=seconds(contrast.right),
            sources=("attention",),
        )
        columns = (proposals.start, proposals.end, proposals.score, runs.row)
        if settings.suppression == "soft":  # every proposal stays, with a lower score
            return proposals.softened(soft_nms(*columns, sigma=settings.sigma, plus_one=settings.plus_one))
        if settings.suppression == "hard":
            return proposals.with_rivals(nms(*columns, threshold=settings.tiou, plus_one=settings.plus_one))
        return proposals


# -- lens -------------------------------------------------------------------------------------------------------------


def _stored_drop(activations: Activations, config: HAMNetConfig) -> tuple[Tensor, Tensor]:
    a = torch.as_tensor(np.asarray(activations.attention["foreground"], dtype=np.float32))[None, :, None]  # (1, T, 1)
    return drop_snippets(a, torch.ones_like(a, dtype=torch.bool), config)


def _with_drop(activations: Activations, config: HAMNetConfig) -> Activations:
    """Return activations with semi-soft and hard attention and drop mask of a config's drop threshold."""
    a = np.asarray(activations.attention["foreground"])
    dropped = _stored_drop(activations, config)[1][0, :, 0].numpy()
    semi_soft = np.where(dropped, 0, a).astype(a.dtype)
    attention = {**activations.attention, "semi_soft": semi_soft, "hard": (semi_soft > 0).astype(a.dtype)}
    return replace(activations, attention=attention, drop_mask=dropped)


HAMNet.lenses = (
    Lens(
        key="gamma",
        label="drop threshold γ (lens)",
        about="Which snippets the hybrid attention would drop; detections do not depend on it.",
        apply=_with_drop,
        threshold=lambda activations, config: float(_stored_drop(activations, config)[0]),
    ),
)
