"""NewMethod: Authors, "Title of the paper", venue and year.

A first sketch to begin from: one convolution embeds the snippets, a classifier scores each for every class, and a
class-agnostic attention says how likely it shows any action. The attended scores of the best snippets are pooled to a
video score, which the video-level labels supervise; a sparsity loss keeps the attention low where nothing happens.

Everything that is not here has a default; what can be overridden stands in `wtal_core.methods.Method`: training stages,
samplers of videos and snippets, pseudo labels between rounds, an optimiser, a localizer, official weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.localization.generic import GenericLocalization
from wtal_core.methods import Batch, Method, MethodConfig, Recipe
from wtal_core.methods.pooling import masked_mean, topk_mean
from wtal_core.records import Activations, Trace, View
from wtal_core.settings import option
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["NewMethod", "NewMethodConfig"]


@dataclass(frozen=True)
class NewMethodConfig(MethodConfig):
    """Settings of the method; `wtal train` sets them, and each is a field of the Train page."""

    hidden: int = option(512, "channels of the embedding", low=1)
    dropout: float = option(0.5, "dropout of the embedding", low=0, high=0.99)
    topk_ratio: int = option(8, "the best T // ratio snippets make the video score", paper="8", low=1)
    sparse_weight: float = option(0.1, "weight of the sparsity loss", low=0)
    localization: GenericLocalization = option(
        factory=lambda: GenericLocalization(times="attention.foreground"), meaning="post-processing"
    )
    training: Recipe = option(
        factory=lambda: Recipe(steps=3000, batch_size=16, sampling="cells", snippets=320, lr=1e-4),
        meaning="how it is trained",
    )


class NewMethod(Method):
    """Attention and classifier on one embedding."""

    name: ClassVar[str] = "new_method"
    title: ClassVar[str] = "NewMethod (Authors, venue year)"
    Config: ClassVar[type[Any]] = NewMethodConfig
    #: What differs from the defaults above on other data sets; the first preset is the default.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"thumos14": {}, "activitynet12": {"training.snippets": 75}}
    #: Rows of the timeline and of figures. Without them, rows follow from the kinds of the tracks.
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"),), about="class logits", sources=("cas",)),
        View("attention", "Attention", (Trace("attention.foreground", "attention", "foreground"),), low=0, high=1),
    )
    #: Settings with which the checks train it on two dozen short videos of 32 channels, in seconds.
    quick: ClassVar[Mapping[str, Any]] = {
        "hidden": 32, "training.steps": 200, "training.batch_size": 8, "training.snippets": 60, "training.lr": 5e-3,
    }  # fmt: skip
    config: NewMethodConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: NewMethodConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        self.embedding = nn.Conv1d(feature_dim, config.hidden, 3, padding=1)
        self.classifier = nn.Linear(config.hidden, num_classes)
        self.attention = nn.Linear(config.hidden, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(B, T, D)` features to class logits `(B, T, C)` and attention `(B, T, 1)` in (0, 1)."""
        x = self.embedding(features.transpose(1, 2)).transpose(1, 2).relu()
        x = F.dropout(x, self.config.dropout, self.training)
        return self.classifier(x), self.attention(x).sigmoid()

    def video_logits(self, s: Tensor, a: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return video-level logits `(B, C)`: attended logits of the best snippets of each class."""
        lengths = s.shape[1] if mask is None else mask.sum(1)
        return topk_mean(a * s, lengths // self.config.topk_ratio, mask)

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `mil`, `sparse` and `total`; padding (rows where `batch.mask` is False) must not count."""
        s, a = self(batch.features)
        video = self.video_logits(s, a, batch.mask)
        mil = F.binary_cross_entropy_with_logits(video, batch.labels)
        sparse = masked_mean(a, batch.mask).mean()
        return {"total": mil + self.config.sparse_weight * sparse, "mil": mil, "sparse": sparse}

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        """Compute what is stored and shown of one video; `features` are `(crops, T, D)`."""
        s, a = (x.mean(0, keepdim=True) for x in self(features))  # mean over crops
        return Activations(
            cas=s[0].cpu().numpy(),
            video_scores=self.video_logits(s, a)[0].sigmoid().cpu().numpy(),
            attention={"foreground": a[0, :, 0].cpu().numpy()},
            grid=grid,
            classes=self.classes,
            method=self.name,
        )
