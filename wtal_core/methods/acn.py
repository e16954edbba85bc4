"""Action Coherence Network (ACN): Zhai, Wang, Liu, Zhang, Hua, Zheng, "Action Coherence Network for Weakly Supervised
Temporal Action Localization", ICIP 2019.

Two streams, RGB and optical flow, work alone until the end. A head trained with video-level labels says per snippet
which class it shows (SCP, snippet-level classification prediction) and how much it matters (attention). Small dilated
networks, one per anchor size P, then regress both boundaries of every anchor. What trains them, and what scores
proposals, is the coherence loss `L = alpha * L_OIC + (1 - alpha) * (L_c - 1)`: outer-inner contrast of the SCP, and
cosine similarity between the features of the action and those right before and after it. Flow proposals are kept, RGB
proposals join where flow has none.

What is visualised: SCP and attention of each stream, every anchor before and after regression, its coherence term and
contrast, and which flow proposal overrode an RGB one.

There is no official code. The paper is silent or ambiguous at these points; the default comes first:

1. intervals: a proposal `[xs, xe]` is inclusive, covers `[xs, xe + 1)`, measures `xe - xs + 1` (the "+ 1" of Eq. 1-2).
2. areas of L_c: as Eq. 2 prints them they share a snippet's width with the action; or "disjoint" (`coherence_areas`).
3. outside the video: zero, or the edge repeated (`pad`). The ring keeps its measure P / 2.
4. dilation: P / 4 gaps, i.e. `P // 4 + 1`, which gives the printed receptive field; or `max(1, P // 4)`.
5. layers: ReLU, He initialisation, last layer N(0, 0.01); or batch norm and leaky ReLU 0.1 as in AutoLoc (`block`).
6. the end's offset is read at position xe (index of Eq. 6); or at xs (`end_position`).
7. boundaries outside the video are clamped, the gradient passes straight through (AutoLoc); or not (`clamp`).
8. classes in training: score above the threshold, else the best one; or the labels; or both (`class_source`).
9. which proposals stay: "per location only the best" competes among anchors centred there (AutoLoc's rule), or among
   all that cover it, dropped if they hold one snippet below the SCP threshold (`selection`, `contain_tol`); also at
   test time.
10. a proposal that wins several locations counts once, or once for each (`duplicates`); the loss is the mean over all
    pairs of class and proposal of a video, or over classes first (`averaging`).
11. momentum 0.9, weight decay 5e-4, gradient norm at most 10 (both streams together).
12. attention thresholds 5 (flow) and 7 (RGB) are logits of UntrimmedNet's weights and mean nothing for another head.
    Default: attention of at least `ratio` times the uniform one. A discarded snippet has SCP 0.
13. negative RGB scores are doubled, not halved, which would promote them (`negative_scores`).
14. class scores do not enter a detection's score (`class_score_weight`); they are the mean of both streams.
15. the stage-1 head: UntrimmedNet's, fed with snippet features; random subsets of a video play the role of its shots.
16. features are scaled by one constant a stream to a root mean square of 0.5, so that a learning rate means the same
    for every extractor (`feature_rms`).
17. AutoLoc's public code weighs anchors with the durations of *ground-truth* instances. That leaks temporal labels; it
    is not built here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.data.snippet_predictions import GivenPredictions, checked_predictions, read_predictions
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.localization import Proposals, discount, fuse_streams, kept_classes, nms
from wtal_core.methods.acn_integrals import GramIntegral, StepIntegral, in_double, outer_inner_means
from wtal_core.methods.acn_proposals import Anchored, Candidates
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import masked_softmax_over_time
from wtal_core.methods.recipe import Recipe, Stage
from wtal_core.methods.temporal_convolution import PackedVideos
from wtal_core.records import Activations, Boundaries, Trace, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["ACN", "ACNConfig", "ACNLocalization"]

STREAMS = ("rgb", "flow")


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ACNLocalization:
    """How proposals are scored and chosen. Training scores and chooses by the same settings, without attention."""

    stream: str = option(
        "fusion", "proposals of both streams, fused, or of one of them", choices=("fusion", "rgb", "flow")
    )
    class_threshold: float = option(
        0.1, "class score a class needs; if none has it, the best class is used", paper="0.1", low=0, high=1
    )
    class_scores: str = option(
        "mean", "class scores: mean of the streams; or each stream's own, from its SCP", choices=("mean", "own")
    )
    scp_threshold: float = option(
        0.1,
        "SCP a snippet needs; below 20 classes a head's uniform SCP comes close to it: take max(0.1, 2 / classes)",
        paper="0.1",
        low=0,
        high=1,
    )
    selection: str = option(
        "position",
        "at each snippet the best stays: of the anchors centred there; of all proposals that cover it; or all stay",
        choices=("position", "cover", "all"),
    )
    contain_tol: float = option(0.0, "cover: share of snippets below the threshold that is allowed", low=0, high=0.99)
    score: str = option(
        "full", "score and loss: L, L_OIC alone, L_c alone (Tables 4, 5)", choices=("full", "oic", "coherence")
    )
    alpha: float = option(0.6, "weight of L_OIC in L (Table 3)", paper="0.6", low=0, high=1)
    pad: str = option(
        "zero", "SCP, and when activations are made features, outside the video", choices=("zero", "replicate")
    )
    attention: str = option(
        "ratio",
        "snippets kept: attention above `ratio` times uniform; logit above `absolute`; rank among the training "
        "snippets above `quantile`; logit min-max normalised in the video above `minmax`; all",
        paper="absolute",
        choices=("ratio", "absolute", "quantile", "minmax", "none"),
    )
    temperature: float = option(1.0, "ratio: temperature of the softmax over time", low=0.01)
    ratio_rgb: float = option(0.1, "ratio to uniform attention, RGB; 0 keeps all", low=0)
    ratio_flow: float = option(0.1, "ratio to uniform attention, flow; 0 keeps all", low=0)
    absolute_rgb: float = option(7.0, "smallest attention logit, RGB; for UntrimmedNet's attention only", paper="7")
    absolute_flow: float = option(5.0, "smallest attention logit, flow; for UntrimmedNet's attention only", paper="5")
    quantile_rgb: float = option(0.3, "smallest rank among the training snippets, RGB", low=0, high=1)
    quantile_flow: float = option(0.3, "smallest rank among the training snippets, flow", low=0, high=1)
    minmax_rgb: float = option(0.3, "smallest normalised attention, RGB", low=0, high=1)
    minmax_flow: float = option(0.3, "smallest normalised attention, flow", low=0, high=1)
    drop_discarded: bool = option(
        False, "also drop proposals that hold discarded snippets (more than contain_tol of them)"
    )
    class_score_weight: float = option(0.0, "weight of the class score in a detection's score", low=0)
    score_floor: float | None = option(None, "drop proposals that score less; null: keep all")
    nms: float = option(
        0.4, "suppress proposals of a class and stream that overlap a better one by more", low=0, high=1
    )
    max_per_class: int = option(200, "proposals of a class, video and stream kept at most", low=1)
    fusion_tiou: float = option(0.4, "RGB proposals overlapping a flow proposal by this go", paper="0.4", low=0, high=1)
    rgb_discount: float = option(2.0, "what RGB scores are divided by in the fusion", paper="2", low=1)
    negative_scores: str = option(
        "multiply",
        "RGB scores below 0: multiplied by the discount; or all scores raised by alpha while they are divided",
        choices=("multiply", "shift"),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ACNConfig:
    """Settings of the method; every row of the paper's tables is reachable, here or in `localization`."""

    streams: str = option(
        "both", "streams: first half of the channels RGB, second half flow", choices=("both", *STREAMS)
    )
    snippet_predictions: str = option(
        "head",
        "SCP, attention and class scores: of a head trained here (stage 1), or imported, e.g. from UntrimmedNet",
        paper="imported",
        choices=("head", "imported"),
    )
    predictions_file: str = option("", "imported: .npz file of <video>/<rgb|flow>/<scp|attention|class_scores>")
    feature_rms: float = option(0.5, "root mean square that training features are scaled to; 0: as they are", low=0)
    head_dropout: float = option(0.5, "dropout on the features of the head", low=0, high=0.99)
    anchors: tuple[int, ...] = option((1, 2, 4, 8, 16, 32), "anchor sizes P, ascending", unit="snippets", low=1)
    hidden: int = option(256, "filters of the first two layers of a regression network", paper="256", low=1)
    dilation_mode: str = option("gaps", "dilation: P // 4 + 1; or max(1, P // 4)", choices=("gaps", "quarter"))
    block: str = option("relu", "after a convolution: ReLU; batch norm and leaky ReLU", choices=("relu", "batch_norm"))
    dropout: float = option(0.0, "dropout in the regression networks", low=0, high=0.99)
    end_position: str = option("end", "where the end's offset is read: at xe, or at xs", choices=("end", "start"))
    clamp: str = option(
        "straight_through", "gradient of boundaries clamped to the video", choices=("straight_through", "hard")
    )
    coherence_areas: str = option(
        "inclusive", "areas of L_c: as Eq. 2 prints them; beside the action", choices=("inclusive", "disjoint")
    )
    class_source: str = option(
        "score",
        "classes of a training video: by score; its labels; its labels that have the score",
        paper="score",
        choices=("score", "gt", "score_and_gt"),
    )
    duplicates: str = option(
        "once", "a proposal kept at several snippets counts once; once for each", choices=("once", "per_location")
    )
    averaging: str = option(
        "pairs",
        "a video's loss: mean over pairs of class and proposal; over classes first",
        choices=("pairs", "classes"),
    )
    grid: str = option("unt-30fps-15", "snippet grid assumed where features carry none")
    localization: ACNLocalization = option(factory=ACNLocalization, meaning="scoring, selection, post-processing")
    head_training: Recipe = option(
        factory=lambda: Recipe(
            steps=520,  # 40 epochs of 200 videos
            batch_size=16,
            sampling="subset",
            snippets=64,
            optimizer="adam",
            lr=1e-3,
            weight_decay=5e-4,
        ),
        meaning="how the head is trained (stage 1)",
    )
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=150,  # 3 epochs of 200 videos; steps = 3 * videos / 4 for another data set
            batch_size=4,
            optimizer="sgd",
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            lr_drop_at=(1 / 3, 2 / 3),  # after each epoch
            max_grad_norm=10.0,
        ),
        meaning="how the regression networks are trained (stage 2)",
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.anchors or any(b <= a for a, b in zip(self.anchors, self.anchors[1:], strict=False)):
            raise UsageError(
                "anchor sizes are not in order",
                expected="at least one, ascending",
                got=str(self.anchors),
                where="ACNConfig.anchors",
                next_step="Sort the sizes, smallest first",
            )

    @property
    def splits_streams(self) -> bool:
        """Whether halves of the channels are taken for RGB and flow: always, one of them or each by itself."""
        return True


_ACTIVITYNET12: dict[str, Any] = {
    "anchors": (16, 32, 64, 128, 256, 512),
    "grid": "unt-25fps-15",
    "head_training": {"steps": 7530},  # 25 epochs of 4,819 videos
    "training": {"steps": 3615},  # 3 epochs
}


# -- boundaries and their loss ---------------------------------------------------------------------------------------


def decode(
    offsets: Tensor,
    anchored: Anchored,
    base: Tensor,
    length: Tensor,
    *,
    end_position: str = "end",
    clamp: str = "straight_through",
) -> Tensor:
    """Return refined boundaries `[xs, xe]` `(N, 2)` float64, `0 <= xs <= xe <= T - 1` (Eq. 5-6).

    Args:
        offsets: `(A, 2, L)` raw outputs of the regression networks, start and end.
        anchored: the N anchors.
        base: `(R,)` position of each video's first snippet on the axis L.
        length: `(R,)` snippets T of each video.
        end_position: read the end's offset at the anchor's "end" or "start".
        clamp: gradient of boundaries outside the video: "straight_through" (1) or "hard" (0).
    """
    raw, size = anchored.raw, anchored.size
    first = base[anchored.row] + anchored.start
    at = torch.stack([first, first + size if end_position == "end" else first], dim=1)  # (N, 2)
    side = torch.arange(2, device=at.device)
    moved = raw + size[:, None] * (in_double(offsets[anchored.index[:, None], side, at]).sigmoid() - 0.5)
    inside = moved.clamp(min=0).minimum((length[anchored.row] - 1)[:, None].to(moved.dtype))
    if clamp == "straight_through":
        return moved + (inside - moved).detach()
    return torch.where(inside == moved, moved, inside.detach())


def proposal_loss(oic: Tensor, coherence_term: Tensor, score: str, alpha: float) -> Tensor:
    """Return L of proposals (Eq. 4), or the part of it that `score` names; a proposal's confidence is -L."""
    if score == "oic":
        return oic
    if score == "coherence":
        return coherence_term
    return alpha * oic + (1 - alpha) * (coherence_term - 1)


# -- network --------------------------------------------------------------------------------------------------------


class SnippetHead(nn.Module):
    """UntrimmedNet's two linear layers on one stream's snippet features."""

    def __init__(self, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.action = nn.Linear(width, num_classes)
        self.attention = nn.Linear(width, 1, bias=False)  # a softmax over time ignores a constant
        for layer in (self.action, self.attention):
            nn.init.normal_(layer.weight, std=1e-3)
        nn.init.zeros_(self.action.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(B, T, D)` features to class logits `(B, T, C)` and attention logits `(B, T)`."""
        features = self.dropout(features)
        return self.action(features), self.attention(features)[..., 0]


def video_probability(scp: Tensor, attention: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return `(B, C)` class scores: SCP `(B, T, C)` weighted by the softmax of attention logits `(B, T)` over time."""
    return (masked_softmax_over_time(attention, mask)[..., None] * scp).sum(1)


def head_loss(logits: Tensor, attention: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the head's loss: cross entropy of the class scores against the L1-normalised labels, mean over videos.

    The class scores are mixtures of softmaxes; their logarithm is taken by logsumexp, so that none becomes log 0.

    Args:
        logits: `(B, T, C)` class logits.
        attention: `(B, T)` attention logits.
        labels: `(B, C)` multi-hot.
        mask: `(B, T)` bool, True where a snippet exists.
    """
    if logits.dtype != torch.float64:
        logits, attention = logits.float(), attention.float()
    if mask is not None:
        attention = attention.masked_fill(~mask, float("-inf"))
    log_scores = (attention.log_softmax(1)[..., None] + logits.log_softmax(-1)).logsumexp(1)  # (B, C)
    targets = labels / labels.sum(1, keepdim=True).clamp(min=1)
    return -(targets * log_scores).sum(1).mean()


class Regressor(nn.Module):
    """Regression network of one anchor size: two dilated convolutions, whose receptive field is about P, and a third.

    Args:
        width: channels of the features.
        anchor: anchor size P in snippets.
        config: the method's config.
    """

    def __init__(self, width: int, anchor: int, config: ACNConfig) -> None:
        super().__init__()
        self.dilation = anchor // 4 + 1 if config.dilation_mode == "gaps" else max(1, anchor // 4)
        hidden = config.hidden
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, hidden, 3, padding=self.dilation, dilation=self.dilation)
            for channels in (width, hidden)
        )
        normalised = config.block == "batch_norm"
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(2) if normalised)
        self.slope = 0.1 if normalised else 0.0
        self.dropout = nn.Dropout(config.dropout)
        self.offsets = nn.Conv1d(hidden, 2, 1)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv1d)
            nn.init.kaiming_normal_(conv.weight, a=self.slope, nonlinearity="leaky_relu")
            nn.init.zeros_(_bias(conv))
        nn.init.normal_(self.offsets.weight, std=0.01)
        nn.init.zeros_(_bias(self.offsets))

    def forward(self, features: Tensor, exists: Tensor | None = None) -> Tensor:
        """Map `(1, D, L)` features to raw offsets `(2, L)` of start and end.

        Args:
            features: videos one after the other, zero between them.
            exists: `(L,)` bool, False in the gaps, or None without gaps. A gap is at least as wide as the dilation.
        """
        x = features
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if len(self.norms):
                x = self._normalise(self.norms[i], x, exists)
            x = self.dropout(F.leaky_relu(x, self.slope) if self.slope else F.relu(x))
            if exists is not None:
                x = x * exists
        offsets: Tensor = self.offsets(x)[0]
        return offsets

    @staticmethod
    def _normalise(norm: nn.Module, x: Tensor, exists: Tensor | None) -> Tensor:
        """Normalise by the statistics of existing snippets only."""
        at = slice(None) if exists is None else exists.nonzero()[:, 0]
        rows: Tensor = x[0].T[at]  # (n, H)
        if norm.training and len(rows) == 1:  # no variance to learn from
            return x
        result = torch.zeros_like(x[0].T)
        result[at] = norm(rows).to(result.dtype)
        return result.T[None]


def _bias(layer: nn.Conv1d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


# -- the method -----------------------------------------------------------------------------------------------------


class ACN(Method):
    """Per-stream snippet head, boundary regression by coherence loss, fusion of RGB and flow (ICIP 2019)."""

    name: ClassVar[str] = "acn"
    title: ClassVar[str] = "ACN (Zhai et al., ICIP 2019)"
    Config: ClassVar[type[Any]] = ACNConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"thumos14": {}, "activitynet12": _ACTIVITYNET12}
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"),), about="snippet class probabilities, mean"),
        View("extra", "Streams · {label}",
             (Trace("extra_cas.rgb", "RGB", "rgb"), Trace("extra_cas.flow", "flow", "flow")), figure=False),
        View("attention", "Attention", (Trace("attention.rgb", "RGB", "rgb"), Trace("attention.flow", "flow", "flow")),
             sources=("attention",)),
        View("rank", "Attention rank",
             (Trace("attention.rgb_rank", "RGB", "rgb"), Trace("attention.flow_rank", "flow", "flow")),
             about="attention as a rank, which the keep threshold compares", folded=True, figure=False),
        View("boundaries", "Boundaries · {label}", (Trace("boundaries"),), kind="proposals",
             about="regressed boundaries; dotted: before regression"),
    )  # fmt: skip
    #: Its anchors must fit into short videos.
    quick: ClassVar[Mapping[str, Any]] = {"anchors": (1, 2, 4, 8)}
    config: ACNConfig
    feature_scale: Tensor
    attention_quantiles: Tensor

    def __init__(
        self, num_classes: int, feature_dim: int, config: ACNConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        self.streams = STREAMS if config.streams == "both" else (config.streams,)
        width = self.stream_width(self.streams[0])
        self.head = nn.ModuleDict(
            {s: SnippetHead(width, num_classes, config.head_dropout) for s in self.streams if self._has_head}
        )
        self.regressors = nn.ModuleDict(
            {s: nn.ModuleList(Regressor(width, anchor, config) for anchor in config.anchors) for s in self.streams}
        )
        # Constants of the training set, see `prepare`. Quantiles of the attention at 0, 1, ..., 100 %.
        self.register_buffer("feature_scale", torch.ones(len(self.streams)))
        self.register_buffer("attention_quantiles", torch.zeros(len(self.streams), 101))
        self._video = ""  # whose activations are being computed
        self._imported: dict[str, dict[str, tuple[Tensor, Tensor, Tensor]]] = {}
        if not self._has_head and config.predictions_file:
            self.import_predictions(read_predictions(config.predictions_file))

    @property
    def _has_head(self) -> bool:
        return self.config.snippet_predictions == "head"

    def stages(self) -> tuple[Stage, ...]:
        """Stage 1 "head" (unless predictions are imported), then stage 2 "regression" with the head frozen."""
        regression = Stage("regression", self.config.training, ("regressors.",))
        return (Stage("head", self.config.head_training, ("head.",)), regression) if self._has_head else (regression,)

    def official_names(self) -> dict[str, str]:
        """Nothing: there is no official code."""
        return {}

    # -- imported predictions -----------------------------------------------------------------------------------------

    def import_predictions(self, predictions: GivenPredictions) -> None:
        """Use external snippet predictions, e.g. UntrimmedNet's, in place of the head (`snippet_predictions=imported`).

        Args:
            predictions: of training and test videos, see `wtal_core.data.snippet_predictions`. Class scores that are
                not given are the SCP weighted by the softmax of the attention.

        Raises:
            DataError: a stream is missing, shapes disagree or values are out of range.
            UsageError: the config asks for a head.
        """
        if self._has_head:
            raise UsageError(
                "predictions are imported, but the config trains a head",
                where=self.name,
                next_step="Set snippet_predictions=imported",
            )
        for video, by_stream in checked_predictions(predictions, self.streams, self.num_classes).items():
            for stream, given in by_stream.items():
                scp, attention = torch.from_numpy(given.scp), torch.from_numpy(given.attention)
                scores = video_probability(scp[None], attention[None])[0]
                if given.class_scores is not None:
                    scores = torch.from_numpy(given.class_scores)
                self._imported.setdefault(video, {})[stream] = (scp, attention, scores)

    def _imported_for(self, video: str, stream: str, length: int) -> tuple[Tensor, Tensor, Tensor]:
        if video not in self._imported:
            raise DataError(
                f"no predictions were imported for video {video!r}",
                expected=f"one of {len(self._imported)} videos",
                where=self.name,
                next_step="Call import_predictions, set predictions_file, and name the video: activations(..., video=)",
            )
        found = self._imported[video][stream]
        if len(found[0]) != length:
            raise DataError(
                "features and imported predictions differ in length",
                expected=f"{length} snippets",
                got=str(len(found[0])),
                where=f"{self.name}: {video}, {stream}",
                next_step="Cut both to the same snippets; training.sampling must be all",
            )
        return found

    # -- network ------------------------------------------------------------------------------------------------------

    def stream_features(self, features: Tensor, stream: str) -> Tensor:
        """Return the scaled channels `(..., D / 2)` of one stream."""
        return self.select_streams(features, stream) * self.feature_scale[self.streams.index(stream)]

    def snippet_predictions(
        self, stream: str, features: Tensor, mask: Tensor, videos: Sequence[str]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return SCP `(B, T, C)`, attention logits `(B, T)` and class scores `(B, C)` of one stream.

        Args:
            features: `(B, T, D / 2)` as `stream_features` returns them.
            mask: `(B, T)` bool, existing snippets.
            videos: ids, needed for imported predictions.
        """
        if not self._has_head:
            lengths = mask.sum(1).tolist()
            names = [*videos, *[""] * (len(lengths) - len(videos))]
            parts = [self._imported_for(v, stream, n) for v, n in zip(names, lengths, strict=True)]
            scp, attention = (nn.utils.rnn.pad_sequence([p[i] for p in parts], batch_first=True) for i in range(2))
            scores = torch.stack([p[2] for p in parts])
            return scp.to(mask.device), attention.to(mask.device), scores.to(mask.device)
        logits, attention = self.head[stream](features)
        scp, attention = logits.float().softmax(-1), attention.float()
        return scp, attention, video_probability(scp, attention, mask)

    def regress(self, stream: str, features: Tensor, packed: PackedVideos) -> Tensor:
        """Return raw offsets `(A, 2, L)` of all anchors of one stream from padded `(B, T, D / 2)` features."""
        x, exists = packed.lay_out(features), packed.exists()
        networks = self.regressors[stream]
        assert isinstance(networks, nn.ModuleList)
        return torch.stack([network(x, exists) for network in networks])

    def _packed(self, mask: Tensor) -> PackedVideos:
        networks = self.regressors[self.streams[0]]
        assert isinstance(networks, nn.ModuleList)
        return PackedVideos.of(mask, max(n.dilation for n in networks if isinstance(n, Regressor)))

    def prepare(self, stage: str, videos: Iterable[Batch]) -> None:
        """Learn constants of the training set: the feature scale (first stage), attention quantiles (regression).

        The quantiles are those of the training snippets; of all imported ones where predictions are imported.
        """
        first = stage == self.stages()[0].name
        if first and self.config.feature_rms > 0:
            width = self.stream_width(self.streams[0])
            norms = [  # (streams, T) of each video
                torch.stack([self.select_streams(video.features[0], s).float().norm(dim=1) for s in self.streams])
                for video in videos
            ]
            mean = torch.cat(norms, dim=1).mean(1).clamp(min=1e-8)
            self.feature_scale.copy_(self.config.feature_rms * width**0.5 / mean)
        if stage != "regression":
            return
        logits: list[list[Tensor]] = [[] for _ in self.streams]
        if self._has_head:
            for video in videos:
                for i, stream in enumerate(self.streams):
                    logits[i].append(self.head[stream](self.stream_features(video.features, stream))[1][0])
        else:
            logits = [[by_stream[s][1] for by_stream in self._imported.values()] for s in self.streams]
        if not logits[0]:
            return
        steps = torch.linspace(0, 1, self.attention_quantiles.shape[1], dtype=torch.float64)
        for i, parts in enumerate(logits):
            found = np.quantile(torch.cat(parts).cpu().double().numpy(), steps.numpy())
            self.attention_quantiles[i] = torch.as_tensor(found, dtype=torch.float32)

    # -- losses -------------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return the terms of a stage and `total`, the sum over the streams, which share no parameter.

        Stage "head": `cls_rgb`, `cls_flow`. Stage "regression": `coherence_loss_rgb`, `coherence_loss_flow` (L), and
        for display `oic` and `coherence_term`, the means of L_OIC and L_c over the proposals kept. No stage: both.
        """
        names = [s.name for s in self.stages()]
        if stage is not None and stage not in names:
            raise unknown_name("stage", stage, names, where=self.name)
        terms: dict[str, Tensor] = {}
        total = batch.features.new_zeros(())
        if self._has_head and stage in (None, "head"):
            for stream in self.streams:
                logits, attention = self.head[stream](self.stream_features(batch.features, stream))
                terms[f"cls_{stream}"] = head_loss(logits, attention, batch.labels, batch.mask)
                total = total + terms[f"cls_{stream}"]
        if stage in (None, "regression"):
            regression, parts = self._regression_losses(batch)
            total = total + regression.to(total.device)
            terms.update(parts)
        return {"total": total, **terms}

    def _regression_losses(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        packed = self._packed(batch.mask)
        terms: dict[str, Tensor] = {}
        contrasts, coherences = [], []
        for stream in self.streams:
            features = self.stream_features(batch.features, stream)
            offsets = self.regress(stream, features, packed)
            with torch.autocast(offsets.device.type, enabled=False):
                loss, oic, term = self._coherence_loss(stream, features, offsets, packed, batch)
            terms[f"coherence_loss_{stream}"] = loss
            contrasts.append(oic)
            coherences.append(term)
        total = torch.stack(list(terms.values())).sum()
        return total, {**terms, "oic": torch.stack(contrasts).mean(), "coherence_term": torch.stack(coherences).mean()}

    def _coherence_loss(
        self, stream: str, features: Tensor, offsets: Tensor, packed: PackedVideos, batch: Batch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return L of the proposals kept, and their mean L_OIC and L_c.

        All proposals are scored without gradient; those that are kept are scored again with it.
        """
        config, settings = self.config, self.config.localization
        base, length = (t.to(in_double(offsets[:0]).device) for t in (packed.base, packed.length))
        anchored = Anchored.of(length, config.anchors)
        refined = decode(
            offsets.to(base.device), anchored, base, length, end_position=config.end_position, clamp=config.clamp
        )
        zero = torch.zeros((), device=base.device)
        nothing = ((refined.sum() * 0.0).float(), zero, zero)
        rows = [x[:n].to(base.device) for x, n in zip(features, length.tolist(), strict=True)]
        with torch.no_grad():
            was_training = self.head.training
            self.head.eval()  # frozen: no dropout
            scp, _, scores = self.snippet_predictions(stream, features, batch.mask, batch.videos)
            self.head.train(was_training)
            video, label = self._training_classes(scores, batch.labels).nonzero(as_tuple=True)
            pairs = zip(video.tolist(), label.tolist(), strict=True)
            if len(video) == 0:
                return nothing
            curves = StepIntegral([in_double(scp[v, : len(rows[v]), k]) for v, k in pairs], settings.pad)
            video = video.to(base.device)
            pairs_of_row = torch.bincount(video, minlength=len(rows))
            found = Candidates.of(
                curves,
                anchored,
                refined,
                pairs_of_row,
                selection=settings.selection,
                scp_threshold=settings.scp_threshold,
                contain_tol=settings.contain_tol,
            )
            gram = self._gram(rows)
            oic, term = self._terms(curves, gram, found, anchored, refined)
            score = -proposal_loss(oic, term, settings.score, settings.alpha)
            kept, times = found.best(score, len(curves.values), settings.selection)
            found = replace(found, proposal=found.proposal[kept], pair=found.pair[kept])
        if len(kept) == 0:
            return nothing

        oic, term = self._terms(curves, gram, found, anchored, refined)
        loss = proposal_loss(oic, term, settings.score, settings.alpha)
        weight = times.to(loss.dtype) if config.duplicates == "per_location" else torch.ones_like(loss)
        group = found.pair
        if config.averaging == "classes":
            loss, weight = _weighted_means(loss, weight, group, len(video))
            group = torch.arange(len(video), device=video.device)
        means, counts = _weighted_means(loss, weight, video[group], len(rows))
        total = (means * counts).sum() / counts.sum()  # videos that keep nothing do not count
        return total.float(), oic.detach().mean().float(), term.detach().mean().float()

    def _terms(
        self, curves: StepIntegral, gram: GramIntegral, found: Candidates, anchored: Anchored, refined: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return L_OIC and L_c `(M,)` of candidates."""
        at = found.proposal
        start, end = refined[at].unbind(1)
        margin = anchored.margin[at]
        inner, outer = outer_inner_means(curves, found.pair, start, end, margin)
        areas = self.config.coherence_areas
        return outer - inner, gram.coherence(anchored.row[at], anchored.start[at], start, end, margin, areas)

    def _gram(self, rows: Sequence[Tensor]) -> GramIntegral:
        """Return what coherence terms of videos `(T, D / 2)` are read from.

        A boundary moves by P / 2 at most and the context is P / 4 wide, so that proposals with their context lie
        between `start - 3P/4` and `start + 7P/4 + 1`.
        """
        largest = self.config.anchors[-1]
        return GramIntegral(rows, -(-3 * largest // 4), -(-7 * largest // 4) + 2, pad=self.config.localization.pad)

    def _training_classes(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return `(B, C)` bool: the classes whose proposals train a video; at least one where it has any label."""
        source, present = self.config.class_source, labels > 0
        if source == "gt":
            return present
        passing = scores > self.config.localization.class_threshold
        if source == "score_and_gt":
            passing &= present
            scores = scores.masked_fill(~present, -1.0)
        best = F.one_hot(scores.argmax(1), scores.shape[1]).bool() & (scores >= 0)
        return torch.where(passing.any(1, keepdim=True), passing, best)

    # -- what it says about a video -----------------------------------------------------------------------------------

    @torch.no_grad()
    def activations(
        self, features: npt.ArrayLike | Tensor, *, grid: SnippetGrid | None = None, video: str = ""
    ) -> Activations:
        """Compute what the method says about one video, see `Method.activations`.

        Imported predictions are those of `video`. Several crops are averaged. `attention` holds raw logits, and, once
        trained, under "rgb_rank" and "flow_rank" the rank in [0, 1] of each snippet's attention among the training
        snippets, for the attention mode "quantile".
        """
        self._video = video
        try:
            return super().activations(features, grid=grid, video=video)
        finally:
            self._video = ""

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        config, settings = self.config, self.config.localization
        features = features.mean(0, keepdim=True)  # (1, T, D)
        mask = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        packed = self._packed(mask)
        attention: dict[str, Any] = {}
        ranks: dict[str, Any] = {}
        scps: dict[str, Tensor] = {}
        scores, columns = [], []
        for i, stream in enumerate(self.streams):
            x = self.stream_features(features, stream)
            scp, logits, score = self.snippet_predictions(stream, x, mask, [self._video])
            offsets = in_double(self.regress(stream, x, packed))
            base, length = packed.base.to(offsets.device), packed.length.to(offsets.device)
            anchored = Anchored.of(length, config.anchors)
            refined = decode(offsets, anchored, base, length, end_position=config.end_position)
            curves = StepIntegral([in_double(scp[0])], settings.pad)
            start, end = refined.unbind(1)
            inner, outer = outer_inner_means(curves, anchored.row, start, end, anchored.margin)  # (N, C)
            term = self._gram([x[0].to(offsets.device)]).coherence(
                anchored.row, anchored.start, start, end, anchored.margin, config.coherence_areas
            )
            columns.append((anchored.size, anchored.raw, refined, term, (outer - inner).float()))
            attention[stream] = _array(logits[0])
            if bool(self.attention_quantiles[i].any()):
                table = self.attention_quantiles[i].cpu().numpy()
                ranks[f"{stream}_rank"] = np.interp(attention[stream], table, np.linspace(0, 1, table.size))
            scps[stream] = scp[0]
            scores.append(score[0])
        size, raw, refined, term, oic = (_array(torch.cat(column)) for column in zip(*columns, strict=True))
        return Activations(
            cas=_array(torch.stack(list(scps.values())).mean(0)),
            video_scores=_array(torch.stack(scores).mean(0)),
            grid=grid,
            classes=self.classes,
            attention={**attention, **{k: v.astype(np.float32) for k, v in ranks.items()}},
            boundaries=Boundaries(
                stream=np.repeat(np.array(self.streams, dtype=object), [len(c[0]) for c in columns]),
                anchor=size,
                raw=raw,
                refined=refined,
                coherence=term,
                oic=oic,
            ),
            extra_cas={stream: _array(scp) for stream, scp in scps.items()},
            method=self.name,
        )

    # -- localization -------------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Score, choose and suppress the proposals of each stream, then fuse the streams.

        L_OIC is computed here, because attention decides which snippets count in it; L_c comes with the activations.
        In the result, proposals of flow come first; RGB scores are the discounted ones.
        """
        settings: ACNLocalization = localization
        videos = list(activations.values())
        streams = _streams_of(videos, settings.stream)
        tables = [_stream_proposals(videos, stream, settings) for stream in reversed(streams)]  # flow first
        if len(tables) == 1:
            return tables[0][0]
        (flow, *flow_columns), (rgb, *rgb_columns) = tables
        lift = settings.alpha if settings.negative_scores == "shift" else 0.0
        keeps = [np.flatnonzero(table.suppressed_by < 0) for table in (flow, rgb)]
        flow_start, flow_end, flow_group = (column[keeps[0]] for column in flow_columns)
        rgb_start, rgb_end, rgb_group = (column[keeps[1]] for column in rgb_columns)
        fused = fuse_streams(
            flow_start,
            flow_end,
            flow.score[keeps[0]] + lift,
            flow_group,
            rgb_start,
            rgb_end,
            rgb.score[keeps[1]] + lift,
            rgb_group,
            threshold=settings.fusion_tiou,
            factor=settings.rgb_discount,
        )
        rgb = replace(rgb, score=discount(rgb.score + lift, settings.rgb_discount) - lift)
        overridden = (fused.rival_tiou >= settings.fusion_tiou) & (fused.rival >= 0)
        both = Proposals.concat([flow, rgb])
        both.suppressed_by[len(flow) + keeps[1][overridden]] = keeps[0][fused.rival[overridden]]
        return both


def _weighted_means(value: Tensor, weight: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return the weighted mean of each group `(G,)` and `(G,)` 1 where a group has any weight, else 0."""
    total = value.new_zeros(groups).index_add(0, group, weight)
    mean = value.new_zeros(groups).index_add(0, group, value * weight) / total.clamp(min=1e-12)
    return mean, (total > 0).to(value.dtype)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()


# -- localization on stored activations -------------------------------------------------------------------------------


def _streams_of(videos: Sequence[Activations], wanted: str) -> tuple[str, ...]:
    """Return the streams to localize with; fusion of a single stream is that stream."""
    there = tuple(s for s in STREAMS if all(s in acts.extra_cas and s in acts.attention for acts in videos))
    if not there or any(acts.boundaries is None for acts in videos):
        raise DataError(
            "are not activations of ACN",
            expected="SCP and attention of a stream, and boundaries",
            got=f"streams {sorted(set(there))}",
            where="acn.propose",
            next_step="Give what ACN's activations() returned",
        )
    if wanted == "fusion":
        return there
    if wanted not in there:
        raise unknown_name("stream", wanted, there, where="acn.localization.stream")
    return (wanted,)


def kept_snippets(acts: Activations, stream: str, settings: ACNLocalization) -> npt.NDArray[np.bool_]:
    """Return `(T,)`: the snippets of one stream that attention does not discard.

    Raises:
        UsageError: mode "quantile" for activations of a model that has not seen a training set.
    """
    logits = np.asarray(acts.attention[stream], dtype=np.float64)
    mode = settings.attention
    if mode == "none":
        return np.ones(logits.shape, dtype=bool)
    limit = float(getattr(settings, f"{mode}_{stream}"))
    if mode == "absolute":
        return np.asarray(logits >= limit)
    if mode == "minmax":
        span = logits.max() - logits.min()
        return np.asarray(logits - logits.min() >= limit * span)
    if mode == "quantile":
        if f"{stream}_rank" not in acts.attention:
            raise UsageError(
                "the quantiles of the training attention are not known",
                where="acn.localization.attention",
                next_step="Train the model, or use another attention mode",
            )
        return np.asarray(acts.attention[f"{stream}_rank"] >= limit)
    if limit == 0:
        return np.ones(logits.shape, dtype=bool)
    scaled = logits / settings.temperature  # T * softmax(scaled) >= ratio
    peak = scaled.max()
    return np.asarray(scaled - peak >= np.log(np.exp(scaled - peak).mean()) + np.log(limit))


def _class_scores(acts: Activations, stream: str, settings: ACNLocalization) -> FloatArray:
    """Return the `(C,)` class scores that pick a stream's classes."""
    if settings.class_scores == "mean":
        return np.asarray(acts.video_scores, dtype=np.float64)
    logits = np.asarray(acts.attention[stream], dtype=np.float64)
    weight = np.exp(logits - logits.max())
    return np.asarray(weight @ np.asarray(acts.extra_cas[stream], dtype=np.float64) / weight.sum())


def _stream_proposals(
    videos: Sequence[Activations], stream: str, settings: ACNLocalization
) -> tuple[Proposals, FloatArray, FloatArray, IntArray]:
    """Return one stream's proposals with rivals, their covered interval `[start, end)` in snippets, and their group."""
    scores = np.stack([_class_scores(acts, stream, settings) for acts in videos])  # (V, C)
    video, label = kept_classes(scores, settings.class_threshold, strict=True, at_least_one=True)  # (K,) pairs
    kept = [kept_snippets(acts, stream, settings) for acts in videos]
    scps = [np.where(k[:, None], acts.extra_cas[stream], 0.0) for acts, k in zip(videos, kept, strict=True)]
    pairs = list(zip(video.tolist(), label.tolist(), strict=True))
    curves = StepIntegral([torch.from_numpy(scps[v][:, k].astype(np.float64)) for v, k in pairs], settings.pad)
    discarded = torch.from_numpy(np.concatenate([~kept[v] for v, _ in pairs])) if settings.drop_discarded else None

    columns: list[tuple[npt.NDArray[Any], ...]] = []
    for v, acts in enumerate(videos):
        b = acts.boundaries
        assert b is not None
        mine = np.flatnonzero(b.stream == stream)
        if settings.selection == "position":  # most anchors are centred where no class shows: they are not looked at
            shows = np.any(scps[v][:, label[video == v]] >= settings.scp_threshold, axis=1)
            mine = mine[shows[b.raw[mine, 0].astype(np.int64) + b.anchor[mine] // 2]]
        columns.append((b.anchor[mine], b.raw[mine, 0], b.refined[mine], b.coherence[mine]))
    row = torch.from_numpy(np.repeat(np.arange(len(videos)), [len(c[0]) for c in columns]))
    size, start, refined, term = (torch.from_numpy(np.concatenate(c)) for c in zip(*columns, strict=True))
    size = size.long()
    sizes = torch.bincount(size).nonzero()[:, 0]
    anchored = Anchored(row, torch.searchsorted(sizes, size), size, start.long())
    refined, term = refined.double(), term.double()

    pairs_of_row = torch.from_numpy(np.bincount(video, minlength=len(videos)))
    found = Candidates.of(
        curves,
        anchored,
        refined,
        pairs_of_row,
        selection=settings.selection,
        scp_threshold=settings.scp_threshold,
        contain_tol=settings.contain_tol,
        discarded=discarded,
    )
    at = found.proposal
    margin = anchored.margin[at]
    inner, outer = outer_inner_means(curves, found.pair, refined[at, 0], refined[at, 1], margin)
    bonus = settings.class_score_weight * torch.from_numpy(scores[video, label])[found.pair]
    score = bonus - proposal_loss(outer - inner, term[at], settings.score, settings.alpha)
    stays, _ = found.best(score, len(curves.values), settings.selection)
    if settings.score_floor is not None:
        stays = stays[score[stays] >= settings.score_floor]

    pair = found.pair[stays].numpy()
    first, last = (refined[at[stays], side].numpy() for side in range(2))
    margins = margin[stays].numpy()
    grids = [acts.grid for acts in videos]
    limit = np.array([grid.clip_seconds(np.inf) for grid in grids])[video[pair]]

    def seconds(position: FloatArray) -> FloatArray:
        return np.clip(seconds_of(grids, video[pair], position), 0.0, limit)

    table = Proposals.build(
        video=video[pair],
        label=label[pair],
        start=seconds(first),
        end=seconds(last + 1),
        score=score[stays].numpy(),
        source=anchored.index[at[stays]].numpy(),
        inner=inner[stays].numpy(),
        outer=outer[stays].numpy(),
        outer_start=seconds(first - margins),
        outer_end=seconds(last + 1 + margins),
        sources=[f"{stream} P={p}" for p in sizes.tolist()] or [stream],
    )
    group = video[pair] * scores.shape[1] + label[pair]
    done = nms(first, last + 1, table.score, group, threshold=settings.nms, max_per_group=settings.max_per_class)
    # Out go: proposals beyond the cap, those without any length once cut to the video, and those these suppressed.
    best = np.append(done.kept & (table.end > table.start), False)
    remains = np.flatnonzero((best[:-1] | best[done.suppressed_by]) & (table.end > table.start))
    new_row = np.full(best.size, -1, dtype=np.int64)
    new_row[remains] = np.arange(remains.size)
    table = table.with_rivals(done).select(remains)
    table = replace(table, suppressed_by=new_row[table.suppressed_by])
    return table, first[remains], last[remains] + 1, group[remains]
