"""Deep metric learning for WTAL: Islam & Radke, "Weakly Supervised Temporal Action Localization Using Deep Metric
Learning", WACV 2020.

A linear embedding and a linear classifier per snippet; all of the method is in its two losses. The video is cut into
blocks, each block's class score is the mean of its k best snippets, a noisy-or over blocks gives the video-level
probability, and balanced binary cross entropy trains it. For each class, groups of videos that share the class
aggregate their snippets into a class feature `z` (softmax attention over time) and a background feature `z-` (its
complement); a triplet loss pulls the class features of different videos together and pushes them from the others'
background features, under a distance that the classifier's own weight defines.

What is visualised: raw class logits over time, the snippet embedding, and its cosine similarity to the class weights.

Differences between the paper and the official code (github asrafulashiq/wsad). Defaults are the code's:

1. batch: 4 classes x 5 videos in the paper, 5 classes x 4 videos in the code (`training.classes_per_batch`, ...).
2. learning rate 1e-4 in the paper, 2e-4 in the code.
3. loss: `bbce + metric` in the paper; `0.5 * bbce + 0.5 * metric` with `bbce = (pos + neg) / 2` in the code, so that
   the metric loss counts twice as much (`metric_weight`, `classification_weight`).
4. long videos: 300 random snippets in the paper, a contiguous window of 300 in the code (`training.sampling`).
5. localization threshold: sigmoid(s) > 0.5 in the paper; the midpoint of the video's logit range in the code.
6. detection score: max sigmoid + 0.7 P(c|V) in the paper; max logit + 0.7 best block's mean logit in the code.
7. clipping to [-4, 4]: part of the activation in the paper (also at test time), only inside the losses in the code.
8. detections of one snippet are dropped by the code only.
9. `d+` and `d-` are averaged over videos (the paper prints the number of snippets: a typing error).

Guard that the official code lacks: a video of one snippet has no complement, `z-` would be 0/0; it counts as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.localization import Curves, Proposals, midpoint_thresholds, run_maxima, runs_above
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import masked_softmax_over_time, normalised_targets
from wtal_core.methods.recipe import Recipe
from wtal_core.records import Activations, Trace, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["DeepMetric", "DeepMetricConfig", "DeepMetricLocalization", "block_scores"]


@dataclass(frozen=True)
class DeepMetricLocalization:
    """From class logits to detections. Runs of one class never overlap, so there is no suppression."""

    threshold: str = option(
        "midpoint",
        "snippets kept: logit above the middle of the video's range; sigmoid(logit) above 0.5",
        paper="sigmoid",
        choices=("midpoint", "sigmoid"),
    )
    ratio: float = option(0.5, "midpoint: place of the threshold between minimum and maximum logit", low=0, high=1)
    min_length: int = option(2, "shorter runs are dropped", paper="1", unit="snippets", low=1)
    score: str = option(
        "logit",
        "best logit + video_weight * best block's mean logit, or best sigmoid + video_weight * P(c|V)",
        paper="sigmoid",
        choices=("logit", "sigmoid"),
    )
    video_weight: float = option(0.7, "weight of the video-level score in a detection's score", paper="0.7")
    clip: float = option(0.0, "clip logits to [-clip, clip] before everything; 0: do not", paper="4", low=0)
    block_size: int = option(60, "block for the video-level score; 0: the whole video", unit="snippets", low=0)
    k: int = option(10, "snippets averaged in a block", unit="snippets", low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DeepMetricConfig:
    """Settings of the method; every row of the paper's ablation tables is reachable."""

    streams: str = option(
        "both", "feature streams used: first half RGB, second half flow", choices=("both", "rgb", "flow")
    )
    dropout: float = option(0.7, "dropout after the embedding", low=0, high=0.99)
    classification: str = option(
        "balanced_bce",
        "video-level loss (Fig. 2)",
        paper="balanced_bce",
        choices=("balanced_bce", "bce", "softmax_mil"),
    )
    metric: str = option(
        "triplet", "metric loss (Table 3)", paper="triplet", choices=("triplet", "contrastive", "none")
    )
    distance: str = option(
        "class_weight",
        "distance of aggregated features (Fig. 3): Mahalanobis by the class weight, cosine, Euclidean, learned matrix",
        paper="class_weight",
        choices=("class_weight", "cosine", "euclidean", "learned"),
    )
    margin: float = option(3.0, "margin alpha of the metric loss", paper="3", low=0)
    block_size: int = option(60, "snippets of a block (Fig. 4b); 0: one block, no block processing (Table 4)", low=0)
    k: int = option(10, "best snippets averaged in a block (Fig. 4a)", paper="10", low=1)
    clip: float = option(4.0, "clip value kappa inside the losses (Table 5); 0: no clipping", paper="4", low=0)
    classification_weight: float = option(0.5, "weight of the video-level loss", paper="1 (of pos + neg)", low=0)
    metric_weight: float = option(0.5, "weight lambda of the metric loss", paper="1", low=0)
    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: DeepMetricLocalization = option(factory=DeepMetricLocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=4401,
            batch_size=20,
            batches="class_groups",
            classes_per_batch=5,
            videos_per_class=4,
            sampling="window",
            snippets=300,
            optimizer="adam",
            lr=2e-4,
        ),
        meaning="how it is trained",
    )

    def __post_init__(self) -> None:
        check(self)


class DeepMetric(Method):
    """Snippet embedding and classifier trained with a noisy-or and a metric loss (WACV 2020)."""

    name: ClassVar[str] = "deep_metric"
    title: ClassVar[str] = "Deep metric learning (Islam & Radke, WACV 2020)"
    Config: ClassVar[type[Any]] = DeepMetricConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "thumos14": {},
        # The paper reports ActivityNet 1.2 but gives no other setting for it, and the code has no path for it.
        "activitynet12": {},
    }
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"),), about="class logits",
             sources=("cas", "logit")),
        View("extra", "Similarity · {label}", (Trace("extra_cas.similarity", "similarity", "similarity"),),
             about="cosine similarity of each snippet to the class weight"),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        "training.steps": 300, "training.batch_size": 12, "training.videos_per_class": 4,
        "training.classes_per_batch": 3, "training.lr": 5e-3, "training.snippets": 60,
    }  # fmt: skip
    config: DeepMetricConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: DeepMetricConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        width = self.stream_width(config.streams)
        self.fc = nn.Linear(width, width)
        self.classifier = nn.Linear(width, num_classes)
        for layer in (self.fc, self.classifier):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.dropout = nn.Dropout(config.dropout)
        if config.distance == "learned":  # M of the paper's "custom" distance, (C, D', D'); the identity is Euclidean
            self.metric = nn.Parameter(torch.eye(width).repeat(num_classes, 1, 1))

    def official_names(self) -> dict[str, str]:
        """Names of `model_state_dict` in the official pickle."""
        return {name: name for name in ("fc.weight", "fc.bias", "classifier.weight", "classifier.bias")}

    # -- network ----------------------------------------------------------------------------------------------------

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(B, T, D)` features to the embedding `u` `(B, T, D')` and raw class logits `s` `(B, T, C)`.

        In training `u` is the embedding after dropout; the metric loss sees the same one (official code).
        """
        u = self.dropout(F.relu(self.fc(self.select_streams(features, self.config.streams))))
        return u, self.classifier(u)

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `bbce` (or `bce`, `softmax`), `triplet` (or `contrastive`) and `total`.

        The first `training.classes_per_batch` groups of `training.videos_per_class` consecutive videos form the metric
        loss; each class that all videos of a group share gives one term.
        `total = classification_weight * bbce + metric_weight * metric`.
        """
        config = self.config
        u, s = self(batch.features)
        clipped = s.clamp(-config.clip, config.clip) if config.clip else s
        blocks, exists = block_scores(clipped, batch.lengths, config.block_size, config.k)  # (B, N, C), (B, N)
        name = {"balanced_bce": "bbce", "bce": "bce", "softmax_mil": "softmax"}[config.classification]
        terms = {name: self._classification_loss(blocks, exists, batch.labels)}
        total = config.classification_weight * terms[name]
        if config.metric != "none":
            terms[config.metric] = self._metric_loss(u, clipped, batch)
            total = total + config.metric_weight * terms[config.metric]
        return {"total": total, **terms}

    def _classification_loss(self, blocks: Tensor, exists: Tensor, labels: Tensor) -> Tensor:
        """Video-level loss from block scores `(B, N, C)` (Eq. 4-6)."""
        if self.config.classification == "softmax_mil":
            # W-TALC's loss on the best block; the paper keeps blocks for this variant but does not print how.
            best = blocks.masked_fill(~exists[..., None], float("-inf")).amax(1)  # (B, C)
            return -(normalised_targets(labels, 0.0, 1e-8)[:, :-1] * best.log_softmax(-1)).sum(-1).mean()
        probability = noisy_or(blocks, exists)  # (B, C)
        log_p = (probability + 1e-8).log()
        log_not_p = (1 - probability + 1e-8).log()
        if self.config.classification == "bce":
            return -(labels * log_p + (1 - labels) * log_not_p).mean()
        positive = -(labels * log_p).sum(1) / labels.sum(1).clamp(min=1)
        negative = -((1 - labels) * log_not_p).sum(1) / (1 - labels).sum(1).clamp(min=1)
        return (0.5 * (positive + negative)).mean()

    def _metric_loss(self, u: Tensor, scores: Tensor, batch: Batch) -> Tensor:
        """Mean over (group, shared class) of the triplet or contrastive term (Eq. 9-14)."""
        m = self.config.training.videos_per_class
        groups = min(len(batch) // m, self.config.training.classes_per_batch)  # videos beyond the groups fill the batch
        if groups == 0 or m < 2:
            return scores.sum() * 0.0
        shared = batch.labels[: groups * m].reshape(groups, m, -1).prod(1)  # (G, C)
        group, classes = shared.nonzero(as_tuple=True)  # (P,) pairs of a group and a class its videos share
        if len(group) == 0:
            return scores.sum() * 0.0
        videos = group[:, None] * m + torch.arange(m, device=u.device)  # (P, m)
        z, z_low = self.aggregate(u, scores, batch.mask, videos, classes)  # (P, m, D')
        within = self.squared_distance(z[:, :, None] - z[:, None, :], z[:, :, None], z[:, None, :], classes)
        across = self.squared_distance(z[:, :, None] - z_low[:, None, :], z[:, :, None], z_low[:, None, :], classes)
        others = ~torch.eye(m, dtype=torch.bool, device=u.device)  # every ordered pair of two different videos
        d_plus, d_minus = within[:, others].mean(1), across[:, others].mean(1)  # (P,)
        if self.config.metric == "contrastive":
            return (d_plus + F.relu(self.config.margin - d_minus)).mean()
        return F.relu(d_plus - d_minus + self.config.margin).mean()

    def aggregate(
        self, u: Tensor, scores: Tensor, mask: Tensor, videos: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return unit class features `z` and background features `z-`, each `(P, m, D')` (Eq. 9).

        `z = sum_t pi_t u_t` with `pi` the softmax of the class score over time, `z- = sum_t (1 - pi_t) u_t / (L - 1)`.
        """
        score = scores[videos, :, classes[:, None]]  # (P, m, T)
        exists = mask[videos]  # (P, m, T)
        pi = masked_softmax_over_time(score.flatten(0, 1), exists.flatten(0, 1)).view_as(score)
        rest = (1 - pi) * exists / (exists.sum(-1, keepdim=True) - 1).clamp(min=1)
        members = u[videos]  # (P, m, T, D')
        high, low = (torch.einsum("pmt,pmtd->pmd", weight, members) for weight in (pi, rest))
        tiny = torch.finfo(u.dtype).tiny
        return high / high.norm(dim=-1, keepdim=True).clamp(min=tiny), low / low.norm(dim=-1, keepdim=True).clamp(
            min=tiny
        )

    def squared_distance(self, difference: Tensor, a: Tensor, b: Tensor, classes: Tensor) -> Tensor:
        """Return `D_c^2` between features of shape `(P, m, m, D')`, one class `c` per leading row.

        `class_weight`: `(w_c . (a - b))^2`, the Mahalanobis distance of Eq. 11. `cosine`: `(1 - a . b)^2` on unit
        vectors.
        """
        kind = self.config.distance
        if kind == "class_weight":
            return torch.einsum("pijd,pd->pij", difference, self.classifier.weight[classes]) ** 2
        if kind == "cosine":
            return (1 - (a * b).sum(-1)) ** 2
        if kind == "euclidean":
            return (difference**2).sum(-1)
        return torch.einsum("pijd,pde,pije->pij", difference, self.metric[classes], difference)

    # -- what it says about a video -----------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        u, s = self(features)
        u, s = u.mean(0), s.mean(0)  # (T, D'), (T, C): mean over crops
        blocks, _ = block_scores(
            s[None], torch.tensor([len(s)], device=s.device), self.config.block_size, self.config.k
        )
        similarity = F.normalize(u, dim=-1) @ F.normalize(self.classifier.weight, dim=-1).T
        return Activations(
            cas=s.cpu().numpy(),
            video_scores=blocks[0].amax(0).cpu().numpy(),
            grid=grid,
            classes=self.classes,
            embedding=u.cpu().numpy(),
            extra_cas={"similarity": similarity.cpu().numpy()},
            method=self.name,
        )

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Cut each class's logits at its threshold; every class proposes in every video (official code).

        A proposal's score is its best snippet plus `video_weight` times the video-level score. Those that overlap
        Ambiguous intervals, which the official code removes here, are removed by the `wtalc` protocol instead.
        """
        settings: DeepMetricLocalization = localization
        clip = settings.clip or np.inf
        grids = [acts.grid for acts in activations.values()]
        logits = [np.asarray(acts.cas, dtype=np.float64).clip(-clip, clip) for acts in activations.values()]
        curves = Curves.of([cas.T for cas in logits])  # rows: video, class
        thresholds = midpoint_thresholds(curves, settings.ratio)  # (videos * C, 1)
        if settings.threshold == "sigmoid":
            thresholds = np.zeros_like(thresholds)  # sigmoid(s) > 0.5
        runs = runs_above(curves, thresholds, strict=True, min_length=settings.min_length)
        peak = run_maxima(curves, runs)
        if settings.score == "sigmoid":
            peak = 1 / (1 + np.exp(-peak))
        video_scores = np.stack([_video_scores(cas, settings) for cas in logits])  # (videos, C)
        video, label = np.divmod(runs.row, video_scores.shape[1])
        return Proposals.build(
            video=video,
            label=label,
            start=seconds_of(grids, video, runs.first),
            end=seconds_of(grids, video, runs.last + 1),
            score=peak + settings.video_weight * video_scores[video, label],
            threshold=thresholds[runs.row, 0],
            sources=("logit",),
        )


def block_scores(scores: Tensor, lengths: Tensor, block_size: int, k: int) -> tuple[Tensor, Tensor]:
    """Return each block's mean of its `k` best snippets.

    A video of L snippets has `max(1, L // block_size)` blocks; the last one takes the remainder (60 to 119 snippets).

    Args:
        scores: `(B, T, C)`.
        lengths: `(B,)` existing snippets of each video.
        block_size: snippets of a block; 0 means one block for the whole video.
        k: snippets averaged; a shorter video averages all it has (official code: min(L, k)).

    Returns:
        `(B, N, C)` scores, 0 for blocks that do not exist, and `(B, N)` bool, which blocks exist.
    """
    size = block_size or int(lengths.max())
    count = (lengths // size).clamp(min=1)  # (B,)
    index = torch.arange(int(count.max()), device=scores.device)  # (N,)
    exists = index[None, :] < count[:, None]  # (B, N)
    start = index * size
    length = (
        torch.where(index[None, :] == count[:, None] - 1, lengths[:, None] - start[None, :], size) * exists
    )  # (B, N)
    width = max(int(length.max()), 1)
    inside = torch.arange(width, device=scores.device)
    position = (start[:, None] + inside[None, :]).clamp(max=scores.shape[1] - 1)  # (N, W)
    blocks = scores[:, position]  # (B, N, W, C)
    blocks = blocks.masked_fill(~(inside[None, None, :] < length[..., None])[..., None], float("-inf"))
    used = length.clamp(max=k)  # (B, N)
    best = blocks.topk(min(k, width), dim=2).values  # (B, N, k, C)
    keep = torch.arange(best.shape[2], device=scores.device)[None, None, :, None] < used[..., None, None]
    mean = torch.where(keep, best, torch.zeros_like(best)).sum(2) / used.clamp(min=1)[..., None]
    return mean, exists


def noisy_or(blocks: Tensor, exists: Tensor) -> Tensor:
    """Return P(c | video) = 1 - prod over blocks of (1 - sigmoid(score)): `(B, N, C)` -> `(B, C)` (Eq. 3)."""
    absent = 1 - blocks.sigmoid().masked_fill(~exists[..., None], 0.0)
    return 1 - absent.prod(1)


def _video_scores(logits: npt.NDArray[np.float64], settings: DeepMetricLocalization) -> npt.NDArray[np.float64]:
    """Return `(C,)` video-level scores of `(T, C)` logits: best block's mean logit, or P(c|V) for sigmoid scores."""
    blocks, exists = block_scores(
        torch.from_numpy(logits)[None], torch.tensor([len(logits)]), settings.block_size, settings.k
    )
    best = noisy_or(blocks, exists) if settings.score == "sigmoid" else blocks.amax(1)
    return np.asarray(best[0].numpy())
