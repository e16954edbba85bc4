"""CoLA: Zhang, Cao, Yang, Chen and Zou, "CoLA: Weakly-Supervised Temporal Action Localization with Snippet Contrastive
Learning", CVPR 2021 (arXiv 2103.16392).

A convolution embeds the snippets, a second one scores them for C action classes (there is no background class), and
the sum over the classes is the actionness. The snippets of highest and of lowest actionness are *easy* action and
background. Those next to the boundaries of what lies above the median are *hard*: an erosion leaves a band just inside
the boundaries, where the most action-like snippets are hard action, and a dilation one just outside, where they are
hard background. A contrastive loss pulls the mean hard action to the mean easy action and away from the easy background
of the same video, and the mean hard background the other way round.

What is visualised: the scores; the actionness with its median; the bands inside and outside the boundaries; the four
sets of snippets, and which of the hard ones only fill the set up; the cosine of every snippet to both easy means. In
training, `cosine_*` are the cosines of the hard means to the easy ones: what the contrastive loss changes.

Differences between the paper and the official code (github zhang-can/CoLA, branch main; anet12 for ActivityNet 1.2).
Defaults are the code's, and what the paper prints is named only where it is certain:

1. actionness: sigmoid of the sum over the classes in the paper (`actionness="sigmoid"`), the sum itself in the code.
2. hard snippets: the code binarises the actionness at the video's median; `binarise="absolute"` cuts it at a constant.
3. easy snippets: plain top-k in the paper (`easy_dropout=0`); in the code's training a random 40 % of the snippets, the
   same for action and background, can be chosen at all.
4. L_action: cross entropy with the normalised labels in the paper (`classification="ce"`); *binary* cross entropy on
   the softmax output, averaged over the classes, in the code. Its gradient falls with the number of classes: users
   report that ActivityNet's preset as released hardly trains, and that ten times the term does (`action_weight`,
   preset `activitynet12-working`).
5. ActivityNet 1.2: the code's branch has kernels of 9 and a dilated depthwise convolution behind the classifier.
6. lambda: 0.01 in the paper; 0.01 and, for ActivityNet, 0.005 in the code.
7. NMS adds 1 *second* to every length and intersection (`localization.plus_one`).
8. published numbers: best step on the test set. Here `last` and `best` are reported separately.

Guards that the official code lacks: at least one snippet in every set (k = 0 makes scores of very short videos NaN);
ties are broken by the lower index (the official sort is not stable, and zeros tie often); a video of one snippet is
up-sampled as a constant.
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
from wtal_core.methods.pooling import topk_mean
from wtal_core.methods.recipe import Recipe
from wtal_core.methods.temporal_convolution import convolve_snippets
from wtal_core.records import Activations, Trace, Track, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["CoLA", "CoLAConfig", "CoLALocalization", "Mined", "SnippetSet", "mine_snippets"]

_LEAST = float(np.finfo(np.float64).tiny)  # the smallest number above 0, for thresholds of 0
_LOG_FLOOR = -100.0  # of logarithms in the binary cross entropy (PyTorch's own)


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoLALocalization:
    """From scores and actionness to detections."""

    class_threshold: float = option(
        0.2, "classes kept: video score of at least this; if none has it, the best class is used", low=0, high=1
    )
    cas_thresholds: tuple[float, ...] = option(
        tuple(np.arange(0.0, 0.25, 0.025).tolist()), "thresholds on the min-max normalised CAS", low=0, high=1
    )
    actionness_thresholds: tuple[float, ...] = option(
        tuple(np.arange(0.1, 0.925, 0.025).tolist()), "thresholds on the min-max normalised actionness", low=0, high=1
    )
    upsampling: int = option(24, "samples a snippet after linear interpolation", low=1)
    min_length: int = option(2, "shorter runs are dropped", unit="samples", low=1)
    margin: float = option(0.25, "outer area on either side, as a fraction of the run", low=0)
    gamma: float = option(0.2, "weight of the video score in a proposal's score", low=0)
    nms: float = option(0.6, "tIoU from which a proposal goes that overlaps a better one", low=1e-6, high=1)
    plus_one: bool = option(True, "tIoU with one second added to every length, as the official code computes it")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CoLAConfig:
    """Settings of the method."""

    streams: str = option(
        "both", "feature streams used: first half RGB, second half flow", choices=("both", "rgb", "flow")
    )
    width: int = option(2048, "filters of the embedding", low=1)
    kernel: int = option(3, "kernel of the embedding, odd", unit="snippets", low=1)
    classifier: str = option(
        "pointwise",
        "one linear layer a snippet; a kernel of 9 and a depthwise kernel of 7, dilated by 2 (the code's ActivityNet)",
        choices=("pointwise", "dilated"),
    )
    dropout: float = option(0.7, "dropout between embedding and classifier", low=0, high=0.99)
    actionness: str = option(
        "sum", "actionness: sum of the scores over the classes, or its sigmoid", paper="sigmoid",
        choices=("sum", "sigmoid"),
    )  # fmt: skip
    binarise: str = option(
        "median",
        "hard snippets lie at the boundaries of what is above the video's median actionness, or above a constant",
        choices=("median", "absolute"),
    )
    binarise_at: float = option(0.5, "binarise=absolute: the constant", low=0)
    inner_window: int = option(3, "m: the smaller window of erosion and dilation", unit="snippets", low=1)
    outer_window: int = option(6, "M: the larger window of erosion and dilation", unit="snippets", low=1)
    easy_ratio: int = option(5, "r_easy: k = T // ratio snippets in an easy set and in the video's score", low=1)
    hard_ratio: int = option(20, "r_hard: k = T // ratio snippets in a hard set", low=1)
    easy_dropout: float = option(
        0.6, "share of the snippets that cannot become easy in a training step", paper="0", low=0, high=0.99
    )
    classification: str = option(
        "bce",
        "L_action: binary cross entropy on the softmax output, mean over the classes; or cross entropy",
        paper="ce",
        choices=("bce", "ce"),
    )
    temperature: float = option(0.07, "tau of the contrastive loss", low=1e-3)
    action_weight: float = option(1.0, "weight of L_action", low=0)
    contrast_weight: float = option(0.01, "lambda, weight of the contrastive loss L_HA + L_HB", paper="0.01", low=0)
    hard_action_weight: float = option(1.0, "weight of the contrastive loss L_HA of hard action in their sum", low=0)
    hard_background_weight: float = option(
        1.0, "weight of the contrastive loss L_HB of hard background in their sum", low=0
    )
    test_snippets: int = option(750, "longer videos are sub-sampled to this at test time; 0: never", low=0)
    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: CoLALocalization = option(factory=CoLALocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=6_000, batch_size=16, sampling="cells", snippets=750, lr=1e-4, weight_decay=5e-4
        ),
        meaning="how it is trained",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
        if self.kernel % 2 == 0:
            raise UsageError(
                "a centred convolution needs an odd kernel",
                expected="1, 3, 5, ... snippets",
                got=str(self.kernel),
                where="CoLAConfig.kernel",
                next_step="Choose an odd number",
            )

    @property
    def splits_streams(self) -> bool:
        """Whether halves of the channels are taken for RGB and flow."""
        return self.streams != "both"


_ACTIVITYNET12: dict[str, Any] = {
    "kernel": 9,
    "classifier": "dilated",
    "easy_ratio": 10,
    "hard_ratio": 8,
    "contrast_weight": 0.005,
    "test_snippets": 50,
    "localization": {"class_threshold": 0.1, "cas_thresholds": tuple(np.arange(0.0, 0.15, 0.015).tolist())},
    "training": {"batch_size": 256, "steps": 100_000, "snippets": 50},
}


# -- mining -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SnippetSet:
    """Chosen snippets of each video, best first; all `(B, K)`, K the largest number in the batch.

    Args:
        index: int64, which snippets.
        used: bool, False behind the last one of a video.
        fill: bool, True for snippets that were not wanted, and taken since there were not enough others.
    """

    index: Tensor
    used: Tensor
    fill: Tensor

    def rows(self, values: Tensor) -> Tensor:
        """Return `(B, K, E)` rows of `(B, T, E)` values."""
        return values.gather(1, self.index[..., None].expand(-1, -1, values.shape[-1]))

    def mean(self, values: Tensor) -> Tensor:
        """Return `(B, E)` means of `(B, T, E)` values over the set."""
        return (self.rows(values) * self.used[..., None]).sum(1) / self.used.sum(1, keepdim=True)

    def mask(self, length: int, chosen: Tensor | None = None) -> Tensor:
        """Return `(B, length)` bool: where the set is, or those of it that are `chosen`."""
        chosen = self.used if chosen is None else self.used & chosen
        return (
            torch.zeros(len(self.index), length, device=self.index.device).scatter_add_(1, self.index, chosen.float())
            > 0
        )


@dataclass(frozen=True, eq=False)
class Mined:
    """What mining finds in a batch of videos.

    Args:
        easy_action, easy_background, hard_action, hard_background: the four sets.
        threshold: `(B, 1)` the actionness above which a snippet counts as action.
        action: `(B, T)` bool, above it.
        inner, outer: `(B, T)` bool, bands inside and outside the boundaries of `action`.
    """

    easy_action: SnippetSet
    easy_background: SnippetSet
    hard_action: SnippetSet
    hard_background: SnippetSet
    threshold: Tensor
    action: Tensor
    inner: Tensor
    outer: Tensor


@torch.no_grad()
def mine_snippets(actionness: Tensor, exists: Tensor, config: CoLAConfig, keep: Tensor | None = None) -> Mined:
    """Choose easy and hard snippets by their actionness.

    Args:
        actionness: `(B, T)`, >= 0.
        exists: `(B, T)` bool, existing snippets first.
        config: ratios, windows and threshold.
        keep: `(B, T)` factor of the easy sets' scores, 0 for snippets that cannot become easy; None: 1.
    """
    a = actionness.detach() * exists
    length = exists.sum(1)  # (B,)
    k_easy, k_hard = ((length // ratio).clamp(min=1) for ratio in (config.easy_ratio, config.hard_ratio))

    def best(scores: Tensor, k: Tensor) -> SnippetSet:
        order = scores.masked_fill(~exists, float("-inf")).argsort(dim=1, descending=True, stable=True)
        index = order[:, : int(k.max())]
        used = torch.arange(index.shape[1], device=a.device) < k[:, None]
        return SnippetSet(index, used, used & (scores.gather(1, index) <= 0))

    if config.binarise == "median":
        ordered = a.masked_fill(~exists, float("inf")).sort(1).values
        middle = torch.stack([(length - 1) // 2, length // 2], dim=1)  # the same one where T is odd
        threshold = ordered.gather(1, middle).mean(1, keepdim=True)
    else:
        threshold = torch.full_like(a[:, :1], config.binarise_at)
    action = (a > threshold) & exists
    small, large = config.inner_window, config.outer_window
    inner = _eroded(action, small) & ~_eroded(action, large)
    outer = _dilated(action, large) & ~_dilated(action, small) & exists
    highest, chance = a.amax(1, keepdim=True), torch.ones_like(a) if keep is None else keep
    return Mined(
        easy_action=best(a * chance, k_easy),
        easy_background=best((highest - a) * chance, k_easy),
        hard_action=best(a * inner, k_hard),
        hard_background=best(a * outer, k_hard),
        threshold=threshold,
        action=action,
        inner=inner,
        outer=outer,
    )


def _dilated(mask: Tensor, size: int) -> Tensor:
    """Return where any of `t - (size - 1) // 2 .. t + size // 2` is True in `(B, T)`; outside is False."""
    padded = F.pad(mask.float()[:, None], ((size - 1) // 2, size // 2))
    return F.max_pool1d(padded, size, stride=1)[:, 0] > 0


def _eroded(mask: Tensor, size: int) -> Tensor:
    """Return where all of `t - size // 2 .. t + (size - 1) // 2` are True in `(B, T)`; outside is False."""
    padded = F.pad((~mask).float()[:, None], (size // 2, (size - 1) // 2), value=1.0)
    return F.max_pool1d(padded, size, stride=1)[:, 0] == 0


# -- method -------------------------------------------------------------------------------------------------------


def _row(track: str, title: str, about: str, role: str, *, folded: bool = False) -> View:
    return View(track, title, (Trace(track, role=role),), "mask", about, folded=folded, figure=not folded)


class CoLA(Method):
    """Snippet contrast of hard with easy action and background (CVPR 2021)."""

    name: ClassVar[str] = "cola"
    title: ClassVar[str] = "CoLA (Zhang et al., CVPR 2021)"
    Config: ClassVar[type[Any]] = CoLAConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "thumos14": {},
        "activitynet12": _ACTIVITYNET12,
        "activitynet12-working": {**_ACTIVITYNET12, "action_weight": 10.0},
    }
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"),), about="class scores, 0 or above"),
        View("attention", "Actionness", (
            Trace("attention.actionness", "actionness", "foreground"), Trace("median", "median", "background"),
        ), about="sum of all class scores; what lies above the median counts as action when snippets are mined"),
        _row("action_mask", "Above the median", "where boundaries are looked for", "instance", folded=True),
        _row("inner_band", "Inner band", "just inside the boundaries: where hard action is looked for", "instance"),
        _row("outer_band", "Outer band", "just outside the boundaries: where hard background is looked for", "context"),
        _row("easy_action", "Easy action", "snippets of the highest actionness", "instance"),
        _row("hard_action", "Hard action", "most action-like snippets of the inner band", "instance"),
        _row("hard_action_fill", "Hard action, filled up", "taken since the inner band has too few snippets of any "
             "actionness: the first ones of the video outside of it", "ghost", folded=True),
        _row("hard_background", "Hard background", "most action-like snippets of the outer band", "context"),
        _row("hard_background_fill", "Hard background, filled up", "taken since the outer band has too few snippets of "
             "any actionness: the first ones of the video outside of it", "ghost", folded=True),
        _row("easy_background", "Easy background", "snippets of the lowest actionness", "background"),
        View("cosine", "Cosine to easy snippets", (
            Trace("cosine_easy_action", "easy action", "instance"),
            Trace("cosine_easy_background", "easy background", "background"),
        ), about="of each snippet's embedding to the mean embedding of the easy snippets"),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        "training.steps": 200, "training.batch_size": 8, "training.snippets": 60, "training.lr": 1e-3,
        "width": 64, "action_weight": 1.0,
    }  # fmt: skip
    config: CoLAConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: CoLAConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        channels, width = self.stream_width(config.streams), config.width
        self.embedding = nn.Conv1d(channels, width, config.kernel, padding=config.kernel // 2)
        if config.classifier == "pointwise":
            layers: list[nn.Module] = [nn.Conv1d(width, num_classes, 1, bias=False)]
        else:
            layers = [
                nn.Conv1d(width, num_classes, 9, padding=4, bias=False),
                nn.Conv1d(num_classes, num_classes, 7, padding=6, dilation=2, groups=num_classes, bias=False),
            ]
        self.classifier = nn.ModuleList(layers)

    def official_names(self) -> dict[str, str]:
        """Names of `state_dict` in the official file."""
        prefix = "actionness_module"
        names = {f"{prefix}.f_embed.0.{p}": f"embedding.{p}" for p in ("weight", "bias")}
        return names | {f"{prefix}.f_cls.{i}.weight": f"classifier.{i}.weight" for i in range(len(self.classifier))}

    # -- network ----------------------------------------------------------------------------------------------------

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map `(B, T, D)` features to the embedding E `(B, T, E)` and class scores A `(B, T, C)`, both >= 0.

        The dropout acts on what is classified, not on the embedding that is returned. `mask` keeps padding out.
        """
        exists = None if mask is None else mask[..., None]  # (B, T, 1)

        def existing(x: Tensor) -> Tensor:
            return x if exists is None else x * exists

        x = existing(self.select_streams(features, self.config.streams))
        if self.config.kernel == 3:
            embedding = convolve_snippets(x, self.embedding)
        else:
            embedding = self.embedding(x.transpose(1, 2)).transpose(1, 2)
        embedding = existing(F.relu(embedding))
        scores = F.dropout(embedding, self.config.dropout, self.training)
        for layer in (layer for layer in self.classifier if isinstance(layer, nn.Conv1d)):
            if layer.kernel_size == (1,):
                scores = F.linear(scores, layer.weight[:, :, 0])
            else:
                scores = existing(layer(scores.transpose(1, 2)).transpose(1, 2))
        return embedding, F.relu(scores)

    def actionness(self, scores: Tensor) -> Tensor:
        """Return the actionness `(B, T)` of class scores `(B, T, C)`."""
        total = scores.sum(-1)
        return total.sigmoid() if self.config.actionness == "sigmoid" else total

    def video_logits(self, scores: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return `(B, C)` means of each class's k = max(1, T // r_easy) best snippets; their softmax is the score."""
        if mask is None:
            return topk_mean(scores, scores.shape[1] // self.config.easy_ratio)
        return topk_mean(scores, mask.sum(1) // self.config.easy_ratio, mask)

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `action`, `hard_action`, `hard_background` (unweighted), four `cosine_*` for display, and `total`.

        `total = action_weight * action + contrast_weight * (hard_action_weight * hard_action +
        hard_background_weight * hard_background)`; the terms are means over the videos. `cosine_hard_action` is the
        cosine of the mean hard action to the mean easy action, `cosine_hard_action_wrong` to the easy background;
        the same for hard background.
        """
        config = self.config
        mask = None if bool(batch.mask.all()) else batch.mask
        embedding, scores = self(batch.features, mask)
        a = self.actionness(scores)
        keep = F.dropout(torch.ones_like(a), config.easy_dropout, self.training)
        mined = mine_snippets(a, batch.mask, config, keep)
        easy_action, easy_background, hard_action, hard_background = (
            F.normalize(chosen.mean(embedding), dim=-1)
            for chosen in (mined.easy_action, mined.easy_background, mined.hard_action, mined.hard_background)
        )
        terms = {
            "action": self._classification_loss(self.video_logits(scores, mask), batch.labels),
            "hard_action": self._contrast(hard_action, easy_action, mined.easy_background, embedding),
            "hard_background": self._contrast(hard_background, easy_background, mined.easy_action, embedding),
        }
        snico = (
            config.hard_action_weight * terms["hard_action"] + config.hard_background_weight * terms["hard_background"]
        )
        total = config.action_weight * terms["action"] + config.contrast_weight * snico
        with torch.no_grad():
            cosines = {
                "cosine_hard_action": (hard_action * easy_action).sum(-1).mean(),
                "cosine_hard_action_wrong": (hard_action * easy_background).sum(-1).mean(),
                "cosine_hard_background": (hard_background * easy_background).sum(-1).mean(),
                "cosine_hard_background_wrong": (hard_background * easy_action).sum(-1).mean(),
            }
        return {"total": total, **terms, **cosines}

    def _classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return L_action of video logits `(B, C)` and multi-hot labels."""
        targets = labels / labels.sum(1, keepdim=True).clamp(min=1)
        log_p = logits.log_softmax(-1).clamp(min=_LOG_FLOOR)
        if self.config.classification == "ce":
            return -(targets * log_p).sum(-1).mean()
        rest = 1 - logits.softmax(-1)
        open_ = rest > 0
        log_rest = torch.where(open_, torch.where(open_, rest, torch.ones_like(rest)).log(), _LOG_FLOOR)
        return -(targets * log_p + (1 - targets) * log_rest).mean()

    def _contrast(self, query: Tensor, positive: Tensor, negatives: SnippetSet, embedding: Tensor) -> Tensor:
        """Return the InfoNCE loss of unit queries and positives `(B, E)` against single snippets of the same video."""
        others = F.normalize(negatives.rows(embedding), dim=-1)  # (B, K, E)
        against = torch.einsum("be,bke->bk", query, others).masked_fill(~negatives.used, float("-inf"))
        logits = torch.cat([(query * positive).sum(-1, keepdim=True), against], dim=1) / self.config.temperature
        return -logits.log_softmax(1)[:, 0].mean()

    # -- what it says about a video -----------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        length, limit = features.shape[1], self.config.test_snippets
        if limit and length > limit:  # official test sampling: rows floor(i * T0 / T)
            features = features[:, torch.arange(limit, device=features.device) * length // limit]
            grid = replace(grid, num_snippets=limit, stride=grid.stride * length / limit)
        embedding, scores = self(features)
        embedding, scores = embedding.mean(0, keepdim=True), scores.mean(0, keepdim=True)  # mean over crops
        a = self.actionness(scores)  # (1, T)
        mined = mine_snippets(a, torch.ones_like(a, dtype=torch.bool), self.config)
        unit, snippets = F.normalize(embedding, dim=-1), a.shape[1]

        def array(tensor: Tensor) -> Any:
            return tensor[0].cpu().numpy()

        def curve(tensor: Tensor, meaning: str, low: float | None = None, high: float | None = None) -> Track:
            return Track("curve", array(tensor), meaning, low, high)

        def marked(tensor: Tensor, meaning: str) -> Track:
            return Track("mask", array(tensor), meaning)

        def cosine(chosen: SnippetSet, of: str) -> Track:
            mean = F.normalize(chosen.mean(embedding), dim=-1)
            return curve((unit * mean[:, None]).sum(-1), f"cosine to the mean embedding of easy {of}", -1.0, 1.0)

        tracks = {
            "median": curve(mined.threshold.expand_as(a), "actionness above which a snippet counts as action"),
            "action_mask": marked(mined.action, "actionness above the median"),
            "inner_band": marked(mined.inner, "inside, next to a boundary of what is above the median"),
            "outer_band": marked(mined.outer, "outside, next to a boundary of what is above the median"),
            "cosine_easy_action": cosine(mined.easy_action, "action"),
            "cosine_easy_background": cosine(mined.easy_background, "background"),
            "actionness_median": Track("scalar", float(mined.threshold), "median of the actionness"),
            "k_easy": Track("scalar", int(mined.easy_action.used.sum()), "snippets of an easy set"),
            "k_hard": Track("scalar", int(mined.hard_action.used.sum()), "snippets of a hard set"),
        }
        for name in ("easy_action", "easy_background", "hard_action", "hard_background"):
            chosen: SnippetSet = getattr(mined, name)
            tracks[name] = marked(chosen.mask(snippets), f"snippets mined as {name.replace('_', ' ')}")
            if name.startswith("hard"):
                fill = chosen.mask(snippets, chosen.fill)
                tracks[f"{name}_fill"] = marked(fill, "those of them that only fill the set up")
        return Activations(
            cas=array(scores),
            video_scores=array(self.video_logits(scores).softmax(-1)),
            grid=grid,
            classes=self.classes,
            attention={"actionness": array(a)},
            embedding=array(embedding),
            tracks=tracks,
            method=self.name,
        )

    # -- localization -------------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Cut normalised CAS and actionness at many thresholds, score by contrast on the CAS, suppress per class.

        CAS proposals are scored on the *thresholded* CAS, actionness proposals on the CAS of each kept class as it is
        (official code). A threshold of 0 selects what is above 0.
        """
        settings: CoLALocalization = localization
        videos = list(activations.values())
        if not videos:
            return Proposals.build(video=[], label=[], start=[], end=[], score=[])
        factor = settings.upsampling
        # Samples to seconds in the official order of operations: some overlaps are exactly the threshold of the NMS.
        begin = np.array([acts.grid.offset / acts.grid.fps for acts in videos])
        step = np.array([acts.grid.stride / (factor * acts.grid.fps) for acts in videos])
        scores = np.stack([acts.video_scores for acts in videos])  # (V, C)
        video, label = kept_classes(scores, settings.class_threshold, strict=False, at_least_one=True)  # (K,) pairs
        rows = Curves.of([acts.cas.T[label[video == v]] for v, acts in enumerate(videos)])
        cas = upsample(rows.min_max(), factor)
        actionness = upsample(Curves.of([acts.attention["actionness"] for acts in videos]).min_max(), factor)

        def selected(curves: Curves, thresholds: FloatArray) -> Runs:
            return runs_above(curves, np.maximum(thresholds, _LEAST), strict=False)

        def scored(runs: Runs, source: str, thresholds: FloatArray, contrast: Contrast) -> Proposals:
            pair = runs.row

            def seconds(sample: IntArray) -> FloatArray:
                return np.asarray(begin[video[pair]] + sample * step[video[pair]])

            return Proposals.build(
                video=video[pair],
                label=label[pair],
                start=seconds(runs.first),
                end=seconds(runs.last + 1),
                score=contrast.score(settings.gamma * scores[video[pair], label[pair]]),
                threshold=thresholds[runs.threshold],
                inner=contrast.inner,
                outer=contrast.outer,
                outer_start=seconds(contrast.left),
                outer_end=seconds(contrast.right),
                sources=(source,),
            )

        cuts = np.array(settings.cas_thresholds)
        every = selected(cas, cuts)
        runs = every.select(every.length >= settings.min_length)
        from_cas = scored(runs, "cas", cuts, outer_inner_contrast(cas, runs, inflation=settings.margin, above=every))

        cuts = np.array(settings.actionness_thresholds)
        every = selected(actionness, cuts)
        runs, _ = every.select(every.length >= settings.min_length).onto(video)  # repeated for each kept class
        contrast = outer_inner_contrast(cas, runs, inflation=settings.margin)
        from_actionness = scored(runs, "actionness", cuts, contrast)

        proposals = Proposals.concat([from_cas, from_actionness])
        suppressed = nms(
            proposals.start,
            proposals.end,
            proposals.score,
            proposals.group,
            threshold=settings.nms,
            plus_one=settings.plus_one,
            inclusive=True,
        )
        return proposals.with_rivals(suppressed)
