"""ACM-Net: Qu, Chen, Li, Zhang, Lu and Wang, "ACM-Net: Action Context Modeling Network for Weakly-Supervised Temporal
Action Localization", 2021 (arXiv 2104.02967).

A snippet is action instance, action context (the run-up, the empty tee: it co-occurs with the action and is not it) or
background. Three softmaxed attentions say which; each weights the class logits and makes a video score of its own,
trained towards the action (instance), action and background (context), background (background). Only the instance
branch localizes.

What is visualised: instance / context / background attention, the instance CAS, and the context, background and
un-attended CAS beside it.

Differences between the paper and the official code (github ispc-lab/ACM-Net). Defaults are the code's, per preset:

1. weight decay 5e-4 in the paper, 5e-5 in the code (THUMOS14); NMS 0.50 against 0.55.
2. thresholds .15 to .25 for CAS and attention in the paper; CAS .15, .20 and attention .15 to .95 in the code;
   ActivityNet .01 to .02 against .005 to .02.
3. scores: the paper has no gamma; the code adds 0.25 times the class score to attention proposals on ActivityNet.
   alpha .5 against .30 there. Inflation 1/5 against .15 there.
4. L_guide and L_sparse are divided by T in the paper and summed over T in the code; sparse is also halved. The weights
   belong to the sums.
5. L_cls: equal weights in the paper; the instance term counts five times on ActivityNet in the code.
6. NMS adds 1 *second* to every length and intersection (`plus_one`). Kept, because the thresholds were tuned with it.
7. published numbers: best epoch on the test set. Here `last` and `best` are reported separately.

Guards that the official code lacks: cross entropies use log-softmax (the official log of a softmax can be NaN and then
skips the step); a video of one snippet is used as it is (the official code doubles the row).
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
from wtal_core.localization import (
    Contrast,
    Curves,
    Proposals,
    Runs,
    kept_classes,
    nms,
    outer_inner_contrast,
    runs_above,
    upsample,
)
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import cross_entropy_with_targets, normalised_targets, topk_mean
from wtal_core.methods.recipe import Recipe
from wtal_core.methods.temporal_convolution import convolve_snippets
from wtal_core.records import Activations, Trace, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["ACMNet", "ACMNetConfig", "ACMNetLocalization"]

BRANCHES = ("instance", "context", "background")


@dataclass(frozen=True)
class ACMNetLocalization:
    """From attentions and CAS to detections."""

    class_threshold: float = option(
        0.25, "video score a class needs; if none has it, the best class is used", low=0, high=1
    )
    cas_thresholds: tuple[float, ...] = option(
        (0.15, 0.20), "thresholds on the instance CAS", paper=".15 .20 .25", low=0, high=1
    )
    attention_thresholds: tuple[float, ...] = option(
        tuple(round(0.15 + 0.05 * i, 2) for i in range(17)),
        "thresholds on the instance attention",
        paper=".15 .20 .25",
        low=0,
        high=1,
    )
    upsampling: int = option(20, "samples a snippet, by linear interpolation", paper="not stated", low=1)
    alpha: float = option(0.0, "weight of the attention in the scored curve, CAS has 1 - alpha", low=0, high=1)
    margin: float = option(0.2, "outer area on each side, as a share of the length", paper="1/5", low=0)
    cas_gamma: float = option(0.0, "weight of the class score for CAS proposals", paper="absent")
    attention_gamma: float = option(0.0, "weight of the class score for attention proposals", paper="absent")
    nms: float = option(
        0.55, "suppress proposals of a class that overlap a better one by this tIoU", paper=".50", low=0
    )
    plus_one: bool = option(True, "tIoU with one second added to every length, as the official code computes it")
    clip_to_duration: bool = option(False, "clip detections to the video (the official code does not)")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ACMNetConfig:
    """Settings of the method; every row of the paper's ablation tables is reachable by weights and T."""

    dropout: float = option(0.7, "snippet dropout and dropout before the classifier", low=0, high=0.99)
    input_dropout: bool = option(False, "the same dropout on the features and before the attention (ActivityNet)")
    instance_ratio: int = option(8, "k = T // ratio best snippets, instance branch", low=1)
    context_ratio: int = option(3, "k = T // ratio best snippets, context branch", low=1)
    background_ratio: int = option(3, "k = T // ratio best snippets, background branch", low=1)
    instance_weight: float = option(1.0, "weight of L_cls^ins (Table III)", paper="1", low=0)
    context_weight: float = option(1.0, "weight of L_cls^con (Table III)", paper="1", low=0)
    background_weight: float = option(1.0, "weight of L_cls^bak (Table III)", paper="1", low=0)
    guide_weight: float = option(2e-3, "lambda 1, weight of L_guide (Table V)", paper="2e-3", low=0)
    feat_weight: float = option(5e-5, "lambda 2, weight of L_feat (Table V)", paper="5e-5", low=0)
    sparse_weight: float = option(2e-4, "lambda 3, weight of L_sparse (Table V)", paper="2e-4", low=0)
    margin: float = option(50.0, "margin m between the feature norms in L_feat", paper="not stated", low=0)
    test_snippets: int = option(750, "longer videos are sub-sampled to this at test time; 0: never", low=0)
    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: ACMNetLocalization = option(factory=ACMNetLocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=13000,  # 1,000 epochs of 13 steps (200 videos)
            batch_size=16,
            sampling="cells_or_draws",
            snippets=750,
            optimizer="adam",
            lr=1e-4,
            weight_decay=5e-5,
        ),
        meaning="how it is trained",
    )

    def __post_init__(self) -> None:
        check(self)


_ACTIVITYNET: dict[str, Any] = {
    "input_dropout": True,
    "instance_ratio": 2,
    "context_ratio": 10,
    "background_ratio": 10,
    "instance_weight": 5.0,
    "guide_weight": 5e-3,
    "sparse_weight": 0.0,
    "test_snippets": 75,
    "localization": {
        "class_threshold": 0.10,
        "cas_thresholds": (0.005, 0.01, 0.015, 0.02),
        "attention_thresholds": (0.005, 0.01, 0.015, 0.02),
        "alpha": 0.30,
        "margin": 0.15,
        "attention_gamma": 0.25,
        "nms": 0.90,
    },
    # 1,000 epochs of 10,024 videos in batches of 64
    "training": {"batch_size": 64, "snippets": 75, "weight_decay": 1e-3, "steps": 157_000},
}


_ATTENTIONS = tuple(Trace(f"attention.{name}", name, name) for name in BRANCHES)


class ACMNet(Method):
    """Instance, context and background attention over one classifier (2021)."""

    name: ClassVar[str] = "acmnet"
    title: ClassVar[str] = "ACM-Net (Qu et al., 2021)"
    Config: ClassVar[type[Any]] = ACMNetConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"thumos14": {}, "activitynet13": _ACTIVITYNET}
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"), Trace("cas", "background", "background", True)),
             about="instance CAS: softmax of the logits times instance attention", sources=("cas",)),
        View("extra", "Attended CAS · {label}", (
            Trace("cas", "instance", "instance"), Trace("extra_cas.context", "context", "context"),
            Trace("extra_cas.background", "background", "background"),
            Trace("extra_cas.unattended", "unattended", "unattended"),
        ), figure=False),
        View("attention", "Attention", _ATTENTIONS, sources=("attention",)),
        View("area", "Attention, stacked", _ATTENTIONS, kind="area", figure=False),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        "training.steps": 200, "training.batch_size": 8, "training.snippets": 60, "training.lr": 1e-3
    }  # fmt: skip
    config: ACMNetConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: ACMNetConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        self.embedding = nn.Conv1d(feature_dim, feature_dim, 3, padding=1)
        self.attention = nn.Conv1d(feature_dim, len(BRANCHES), 1)
        self.classifier = nn.Linear(feature_dim, num_classes + 1)
        self.dropout = nn.Dropout(config.dropout)

    def official_names(self) -> dict[str, str]:
        """Names of `model_state_dict` in the official file; ActivityNet's embedding stands behind a dropout layer."""
        conv = "feature_embedding.1" if self.config.input_dropout else "feature_embedding.0"
        layers = {conv: "embedding", "att_branch": "attention", "snippet_cls": "classifier"}
        return {f"{o}.{p}": f"{n}.{p}" for o, n in layers.items() for p in ("weight", "bias")}

    # -- network ----------------------------------------------------------------------------------------------------

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Map `(B, T, D)` features to embedding X `(B, T, D)`, attention `(B, T, 3)` and raw logits `(B, T, C + 1)`.

        Attention channels are instance, context, background; the background class is the last channel of the logits.
        """
        x = self.dropout(features) if self.config.input_dropout else features
        x = F.relu(convolve_snippets(x, self.embedding))
        if mask is not None:
            x = x * mask[..., None]
        weighted = self.dropout(x) if self.config.input_dropout else x
        attention = self.attention(weighted.transpose(1, 2)).softmax(1).transpose(1, 2)  # (B, T, 3)
        snippets = self.dropout(x.new_ones(*x.shape[:2], 1))  # whole snippets are dropped before single channels
        logits = self.classifier(self.dropout(x * snippets))
        return x, attention, logits

    def video_logits(self, attention: Tensor, logits: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return each branch's video-level logits `(B, C + 1)`: top-k pooling of `Phi * attention` (Eq. 3-5)."""
        length = torch.full((len(logits),), logits.shape[1]) if mask is None else mask.sum(1)
        ratios = (self.config.instance_ratio, self.config.context_ratio, self.config.background_ratio)
        return {
            name: topk_mean(logits * attention[..., i : i + 1], (length // ratio).clamp(min=1), mask)
            for i, (name, ratio) in enumerate(zip(BRANCHES, ratios, strict=True))
        }

    def branch_features(self, x: Tensor, attention: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return `(B, D)` mean embeddings of the k snippets with the highest attention of each branch."""
        length = mask.sum(1)
        ratios = (self.config.instance_ratio, self.config.context_ratio, self.config.background_ratio)
        features: dict[str, Tensor] = {}
        for i, (name, ratio) in enumerate(zip(BRANCHES, ratios, strict=True)):
            k = (length // ratio).clamp(min=1)  # (B,)
            order = attention[..., i].masked_fill(~mask, float("-inf")).topk(int(k.max()), dim=1).indices  # (B, k)
            chosen = x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))  # (B, k, D)
            used = (torch.arange(order.shape[1], device=x.device)[None] < k[:, None])[..., None]
            features[name] = (chosen * used).sum(1) / k[:, None]
        return features

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `cls_ins`, `cls_con`, `cls_bak`, `guide`, `feat`, `sparse` (unweighted) and `total` (Eq. 6-14)."""
        config = self.config
        x, attention, logits = self(batch.features, batch.mask)
        video = self.video_logits(attention, logits, batch.mask)
        nothing = torch.zeros_like(batch.labels)
        targets = {
            "instance": normalised_targets(batch.labels, 0.0),
            "context": normalised_targets(batch.labels, 1.0),
            "background": normalised_targets(nothing, 1.0),
        }
        instance, context, background = (cross_entropy_with_targets(video[b], targets[b]).mean() for b in BRANCHES)

        exists = batch.mask.to(x.dtype)  # (B, T)
        instance_cas = (logits * attention[..., :1]).softmax(-1)
        guide = ((1 - instance_cas[..., -1] - attention[..., 0].detach()).abs() * exists).sum(1).mean()

        norms = {name: f.norm(dim=1) for name, f in self.branch_features(x, attention, batch.mask).items()}
        feat = (
            F.relu(config.margin - norms["instance"] + norms["context"])
            + F.relu(config.margin - norms["context"] + norms["background"])
            + norms["background"]
        ) ** 2
        feat = feat.mean()
        sparse = (attention[..., :2] * exists[..., None]).sum(1).mean()

        total = (
            config.instance_weight * instance
            + config.context_weight * context
            + config.background_weight * background
            + config.guide_weight * guide
            + config.feat_weight * feat
            + config.sparse_weight * sparse
        )
        return {
            "total": total,
            "cls_ins": instance,
            "cls_con": context,
            "cls_bak": background,
            "guide": guide,
            "feat": feat,
            "sparse": sparse,
        }

    # -- what it says about a video -----------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        length, limit = features.shape[1], self.config.test_snippets
        if limit and length > limit:  # official test sampling: rows floor(i * T0 / T)
            features = features[:, torch.arange(limit, device=features.device) * length // limit]
            grid = replace(grid, num_snippets=limit, stride=grid.stride * length / limit)
        _, attention, logits = self(features)
        video = self.video_logits(attention, logits)["instance"].softmax(-1).mean(0)  # mean over crops
        cas = {b: (logits * attention[..., i : i + 1]).softmax(-1).mean(0) for i, b in enumerate(BRANCHES)}
        attention = attention.mean(0)  # (T, 3)

        def array(tensor: Tensor) -> Any:
            return tensor.cpu().numpy()

        return Activations(
            cas=array(cas["instance"]),
            video_scores=array(video[: self.num_classes]),
            grid=grid,
            classes=self.classes,
            attention={name: array(attention[:, i]) for i, name in enumerate(BRANCHES)},
            extra_cas={
                "context": array(cas["context"]),
                "background": array(cas["background"]),
                "unattended": array(logits.softmax(-1).mean(0)),
            },
            method=self.name,
        )

    # -- localization -------------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Cut instance CAS and instance attention at many thresholds, score by contrast, suppress per class.

        CAS proposals are scored on the *thresholded* CAS, attention proposals on the thresholded attention (official
        code), so that their outer area is mostly zero next to a run.
        """
        settings: ACMNetLocalization = localization
        videos = list(activations.values())
        grids = [acts.grid for acts in videos]
        scores = np.stack([acts.video_scores for acts in videos])  # (V, C)
        video, label = kept_classes(scores, settings.class_threshold, at_least_one=True)  # (K,) pairs
        cas = upsample([videos[v].cas[:, c] for v, c in zip(video, label, strict=True)], settings.upsampling)
        attention = upsample([acts.attention["instance"] for acts in videos], settings.upsampling)

        def scored(runs: Runs, source: str, thresholds: FloatArray, contrast: Contrast, gamma: float) -> Proposals:
            pair = runs.row
            start, end = (
                seconds_of(grids, video[pair], position / settings.upsampling)
                for position in (runs.first, runs.last + 1)
            )
            outer_start, outer_end = (
                seconds_of(grids, video[pair], position / settings.upsampling)
                for position in (contrast.left, contrast.right)
            )
            return Proposals.build(
                video=video[pair],
                label=label[pair],
                start=start,
                end=end,
                score=contrast.score(gamma * scores[video[pair], label[pair]]),
                threshold=thresholds[runs.threshold],
                inner=contrast.inner,
                outer=contrast.outer,
                outer_start=outer_start,
                outer_end=outer_end,
                sources=(source,),
            )

        def contrast_of(curves: Curves, runs: Runs, row: IntArray, above: Runs | None = None) -> Contrast:
            return outer_inner_contrast(curves, runs, row=row, inflation=settings.margin, above=above)

        # Each source's score mixes both curves, its own one thresholded; with alpha 0 (THUMOS14) only the CAS counts.
        alpha = settings.alpha
        cuts = np.array(settings.cas_thresholds)
        every = runs_above(cas, cuts, strict=False)
        runs = every.select(every.length >= 2)
        contrast = contrast_of(cas, runs, runs.row, above=every)
        if alpha:
            contrast = contrast.blend(contrast_of(attention, runs, video[runs.row]), alpha)
        from_cas = scored(runs, "cas", cuts, contrast, settings.cas_gamma)

        cuts = np.array(settings.attention_thresholds)
        every = runs_above(attention, cuts, strict=False)
        runs, _ = every.select(every.length >= 2).onto(video)  # class-agnostic runs, repeated for each kept class
        contrast = contrast_of(cas, runs, runs.row)
        if alpha:
            contrast = contrast.blend(contrast_of(attention, runs, video[runs.row], above=every), alpha)
        from_attention = scored(runs, "attention", cuts, contrast, settings.attention_gamma)

        proposals = Proposals.concat([from_cas, from_attention])
        if settings.clip_to_duration:
            limit = np.array([grid.clip_seconds(np.inf) for grid in grids])[proposals.video]
            proposals = replace(
                proposals, start=np.minimum(proposals.start, limit), end=np.minimum(proposals.end, limit)
            )
        suppressed = nms(
            proposals.start,
            proposals.end,
            proposals.score,
            proposals.group,
            threshold=settings.nms,
            plus_one=settings.plus_one,
            inclusive=True,
        )
        return replace(proposals, suppressed_by=suppressed.suppressed_by)
