"""CMCS: Liu, Jiang, Wang, "Completeness Modeling and Context Separation for Weakly Supervised Temporal Action
Localization", CVPR 2019.

K classification branches look at the same embedded snippets. A diversity loss keeps their class activation sequences
(CAS) apart, so that each finds another part of an action, and their average covers the whole action (completeness). A
norm regularisation keeps any one branch from dominating. Temporal attention pools the average scores to the video-level
score that the labels supervise. Pseudo videos made of motionless clips, labelled with the extra background class, teach
the network to reject the context that surrounds actions (context separation).

What is visualised: the CAS of every branch, their average, and the temporal attention; with late fusion also the
average CAS of either stream.

Differences between the paper and the official code (github Finspire13/CMCS-Temporal-Action-Localization). Defaults are
the code's:

1. a branch is one convolution in the paper (`hidden=0`); convolution, ReLU and linear layer in the code. The same holds
   for the attention.
2. F = 32 filters everywhere in the paper; the code has 128 or 256 on ActivityNet (presets).
3. channel dropout on the input is not in the paper's main text.
4. `norm`: deviation from the norm of the average scores in the paper, which leaves the kind of norm open; deviation
   from the branches' mean L1 norm, divided by T, in the code (`norm_reference`).
5. a video with n labels counts as n one-label videos of weight 1/n in the code; the paper prints a one-hot label.
6. a batch sums its videos' gradients in the code (matters beside weight decay and Adam's epsilon).
7. localization: the code thresholds the min-max normalised CAS, interpolated to frames, at its mean (THUMOS14) or just
   above 0 (ActivityNet), and dilates; the paper says "threshold". The outer-inner contrast is also taken of the
   normalised CAS, not of the CAS itself.
8. an outer area that would begin before the video is dropped instead of clipped (`localization.clip_left=True` clips).
9. static clips: the paper takes the share rho of frames of least flow (Table 5: rho of `wtal data static`); the code
   cleans that selection up and rejects videos with too little or too much of it (`wtal_core.video.static_clips`). A
   clip that lasts to the video's end counts one frame less in the code, and leaves its last frame static where it is
   too short (whole_last_run of `wtal data static`: as any other clip).
10. without hard negatives the code has no background class either (`background_class`); the paper does not say.

The published numbers are late fusion for I3D (presets `...-late`) and early fusion for UntrimmedNet (`...-unt`). The
code trains RGB, flow and early fusion alike; early fusion is the default here because it is a single network.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.arrays import FloatArray, IntArray
from wtal_core.data.features.sample_rate import at_sample_rate
from wtal_core.data.features.store import FeatureStore
from wtal_core.errors import DataError, UsageError
from wtal_core.localization import (
    Curves,
    Proposals,
    Runs,
    kept_classes,
    outer_inner_contrast,
    runs_above,
    to_frames,
    upsample,
)
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import cross_entropy_with_targets
from wtal_core.methods.recipe import Recipe
from wtal_core.records import Activations, Trace, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["CMCS", "CMCSConfig", "CMCSLocalization"]


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CMCSLocalization:
    """From CAS to detections (Section 3.3). Runs of one class never overlap, so there is no suppression."""

    class_threshold: float = option(0.1, "classes kept: video score p_c above this", paper="0.1", low=0, high=1)
    metric: str = option(
        "score",
        "what is thresholded: the average CAS; the CAS times the attention; the CAS, 0 where the attention is low",
        paper="score",
        choices=("score", "multiply", "att-filtering"),
    )
    attention_threshold: float = option(0.0, "att-filtering: snippets with less attention than this become 0", low=0)
    threshold_kind: str = option(
        "mean",
        "`threshold` counts in means of the min-max normalised CAS over the frames, or is the value itself",
        choices=("mean", "absolute"),
    )
    threshold: float = option(1.0, "frames kept: normalised CAS above this (1 THUMOS14, 1e-7 ActivityNet)", low=0)
    interpolation: str = option(
        "linear", "between snippet starts, to frames", choices=("linear", "nearest", "quadratic")
    )
    dilation: float = option(1.25, "dilate runs by this many snippet strides; 0: do not", paper="none", low=0)
    outer_margin: float = option(0.25, "outer area on either side, as a fraction of the run", paper="1/4", low=0)
    clip_left: bool = option(
        False, "clip an outer area that begins before the video, instead of dropping it", paper="true"
    )
    global_weight: float = option(0.25, "weight gamma of the video score in a detection's score", paper="0.25")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CMCSConfig:
    """Settings of the method: every row of Table 4 and of Figure 3; Table 5 is where static clips are mined."""

    streams: str = option(
        "both",
        "one network on all channels as they come (early fusion); on the first half (RGB) or second half (flow) of the "
        "channels; or one network for each half, raw outputs averaged (late fusion)",
        paper="late for I3D, both for UntrimmedNet",
        choices=("both", "rgb", "flow", "late"),
    )
    branches: int = option(4, "classification branches K (Figure 3: 1 to 8; Table 4 'Single': 1)", paper="4", low=1)
    filters: int = option(32, "filters F of the embedding", paper="32", low=1)
    hidden: int = option(16, "hidden filters of branches and attention; 0: the paper's single convolution", low=0)
    dropout: float = option(0.5, "channel dropout on the features, a channel for the whole video", low=0, high=0.99)
    attention: bool = option(
        True, "temporal attention (Table 4 'No TA': false); without it the best snippet of a class is its video score"
    )
    mil_weight: float = option(1.0, "weight of the classification loss", paper="1", low=0)
    div_weight: float = option(0.2, "weight alpha of the diversity loss", paper="0.2", low=0)
    norm_weight: float = option(0.2, "weight beta of the norm regularisation", paper="0.2", low=0)
    norm_reference: str = option(
        "mean_norm",
        "what branch norms are compared with: their mean, or the norm of the average scores",
        paper="average_norm",
        choices=("mean_norm", "average_norm"),
    )
    background_class: bool = option(
        True, "an extra class for pseudo videos of static clips; the official code leaves it out where it has none"
    )
    sample_rate: float = option(
        0.0,
        "work on every so many frames of denser features: training draws one of the phases, inference takes the first; "
        "0: as stored. The official THUMOS14 files hold I3D every 4 and UntrimmedNet every 5 frames",
        paper="16 (I3D), 15 (UntrimmedNet)",
        unit="frames",
        low=0,
    )
    grid: str = option("i3d-30fps-16", "snippet grid assumed where features carry none")
    localization: CMCSLocalization = option(factory=CMCSLocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=15_000, batch_size=24, batches="entries", lr=1e-4, weight_decay=1e-3, hard_negatives=True
        ),
        meaning="how it is trained; `hard_negatives=false`, with `background_class=false`, is Table 4 without 'HN'",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.training.hard_negatives and not self.background_class:
            raise UsageError(
                "hard negatives have no class to be labelled with",
                expected="background_class=true, or training.hard_negatives=false",
                where="CMCSConfig.background_class",
                next_step="Set one of the two",
            )

    @property
    def splits_streams(self) -> bool:
        """Whether halves of the channels are taken for RGB and flow."""
        return self.streams != "both"

    def outputs(self, num_classes: int) -> int:
        """Return the number of classes that snippets are scored for."""
        return num_classes + int(self.background_class)


_ACTIVITYNET: dict[str, Any] = {
    "grid": "i3d-25fps-16",
    "filters": 256,
    "hidden": 128,
    "localization.threshold": 1e-7,
    "training.steps": 30_000,
    "training.batch_size": 32,
    "training.lr": 1e-3,
    "training.weight_decay": 1e-4,
    "training.lr_drop_at": (0.5,),
}
_ACTIVITYNET12 = {**_ACTIVITYNET, "training.steps": 20_000}
_LATE = {"streams": "late"}


# -- network --------------------------------------------------------------------------------------------------------


class PackedVideos:
    """Where the snippets of videos of different lengths stand when the videos lie end to end in one long sequence.

    A row of zeros follows each video and precedes the first. It is what zero padding puts beside a video's ends, so
    that a kernel of 3 sees the same as in every video alone, without a row of padding for the shorter ones.

    Args:
        lengths: snippets of each video, all >= 1.
        device: where the index tensors live.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        if min(lengths) < 1:
            raise DataError(
                "a video has no snippets", expected="at least 1", where="cmcs", next_step="Leave this video out"
            )
        self.lengths = tuple(lengths)
        videos = torch.arange(len(self.lengths), device=device)  # (B,)
        counts = torch.tensor(self.lengths, device=device)  # (B,)
        ends = (counts + 1).cumsum(0)  # (B,) one row beyond each video's zero row
        video = videos.repeat_interleave(counts + 1)  # (R,), R = sum(lengths + 1)
        position = torch.arange(len(video), device=device) - (ends - counts - 1)[video]  # (R,) within the video
        self.counts = counts.float()
        self.exists = position < counts[video]  # (R,) False on the zero rows
        self.slot = video * (max(self.lengths) + 1) + position  # (R,) place in a padded (B, longest + 1) matrix
        self.membership = ((video == videos[:, None]) & self.exists).float()  # (B, R)

    def lay_out(self, sequences: Sequence[Tensor]) -> Tensor:
        """Lay `(n_b, F)` sequences end to end with zero rows before, between and after (two): `(1 + R + 1, F)`."""
        gap = sequences[0].new_zeros(1, sequences[0].shape[1])
        return torch.cat([gap, *itertools.chain.from_iterable((s, gap) for s in sequences), gap])

    def split(self, values: Tensor, dim: int = 0) -> list[Tensor]:
        """Cut R rows along `dim` into the videos, without the zero rows."""
        parts = torch.split(values, [n + 1 for n in self.lengths], dim)
        return [part.narrow(dim, 0, n) for part, n in zip(parts, self.lengths, strict=True)]

    def sum(self, values: Tensor) -> Tensor:
        """Sum `(R, ...)` over the snippets of each video: `(B, ...)`.

        A matrix product, so that it is the same on every run; in float32 at least, also where autocast is on.
        """
        dtype = torch.promote_types(values.dtype, torch.float32)
        with torch.autocast(values.device.type, enabled=False):
            summed = self.membership.to(dtype) @ values.to(dtype).flatten(1)
        return summed.view(-1, *values.shape[1:])

    def max(self, values: Tensor) -> Tensor:
        """Return the largest of `(R, ...)` over the snippets of each video: `(B, ...)`."""
        return torch.stack([part.amax(0) for part in self.split(values)])

    def softmax(self, logits: Tensor) -> Tensor:
        """Return the softmax of `(R,)` over the snippets of each video, 0 on the zero rows."""
        padded = logits.new_full((len(self.lengths) * (max(self.lengths) + 1),), float("-inf"))
        padded = padded.scatter(0, self.slot, logits.masked_fill(~self.exists, float("-inf")))
        return padded.view(len(self.lengths), -1).softmax(1).view(-1)[self.slot]


@dataclass(frozen=True, eq=False)
class Scores:
    """Raw outputs of one network for packed videos of R rows.

    Args:
        branches: `(R, K, C + 1)` class scores A^k (Eq. 2).
        average: `(R, C + 1)` their mean A^avg (Eq. 5).
        attention: `(R,)` temporal attention U, sum 1 a video (Eq. 8), or None.
        video: `(B, C + 1)` attention-weighted sum of the average scores, before the softmax of Eq. 9.
    """

    branches: Tensor
    average: Tensor
    attention: Tensor | None
    video: Tensor


class Head(nn.Module):
    """One branch, or the attention: temporal convolution, then (in the code) ReLU and a linear layer per snippet."""

    def __init__(self, filters: int, hidden: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(filters, hidden or outputs, kernel)
        self.linear = nn.Linear(hidden, outputs) if hidden else None

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(R, F)` to `(R, outputs)` with a kernel of 1; `MultiBranchNetwork.classify` does kernels of 3."""
        outputs = F.linear(rows, self.conv.weight[:, :, 0], self.conv.bias)
        return outputs if self.linear is None else F.linear(outputs.relu(), self.linear.weight, self.linear.bias)


class MultiBranchNetwork(nn.Module):
    """Embedding, K classification branches and temporal attention on one stream (Section 3.2)."""

    def __init__(self, channels: int, num_classes: int, config: CMCSConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.embedding = nn.Conv1d(channels, config.filters, 1)
        self.branches = nn.ModuleList(
            Head(config.filters, config.hidden, config.outputs(num_classes), kernel=3) for _ in range(config.branches)
        )
        self.attention = Head(config.filters, config.hidden, 1, kernel=1) if config.attention else None

    def embed(self, videos: Sequence[Tensor]) -> list[Tensor]:
        """Embed `(n_b, D)` features of each video as `(n_b, F)` (Eq. 1), with channel dropout in training.

        To drop channels of a video is to drop columns of the weight for that video: the same product, and the features,
        by far the largest array, are read once and never copied.
        """
        weight, bias = self.embedding.weight[:, :, 0], self.embedding.bias  # (F, D), (F,)
        if not self.training or self.dropout == 0:
            return [F.linear(x, weight, bias).relu() for x in videos]
        keep = F.dropout(weight.new_ones(len(videos), 1, weight.shape[1]), self.dropout)  # (B, 1, D): 0 or 1 / (1 - p)
        return [F.linear(x, weight * kept, bias).relu() for x, kept in zip(videos, keep.unbind(), strict=True)]

    def classify(self, rows: Tensor) -> Tensor:
        """Return the scores of all branches `(R, K, C + 1)` from packed embeddings `(1 + R + 1, F)` (Eq. 2)."""
        # The kernels of all branches at once: one product with [row before, row, row after].
        windows = torch.cat([rows[:-2], rows[1:-1], rows[2:]], dim=1)  # (R, 3F)
        kernels = torch.cat([b.conv.weight for b in self._heads]).transpose(1, 2).flatten(1)  # (K * H, 3F)
        biases = torch.cat([b.conv.bias for b in self._heads if b.conv.bias is not None])
        hidden = F.linear(windows, kernels, biases)
        hidden = hidden.view(len(hidden), len(self.branches), -1)  # (R, K, H or C + 1)
        linears = [b.linear for b in self._heads if b.linear is not None]
        if not linears:
            return hidden
        weight = torch.stack([linear.weight for linear in linears])  # (K, C + 1, H)
        bias = torch.stack([linear.bias for linear in linears])  # (K, C + 1)
        return torch.einsum("rkh,kch->rkc", hidden.relu(), weight) + bias

    @property
    def _heads(self) -> list[Head]:
        return [b for b in self.branches if isinstance(b, Head)]

    def forward(self, videos: Sequence[Tensor], packed: PackedVideos) -> Scores:
        """Score videos of `(n_b, D)` features each; rows of the result are laid out as `packed` says."""
        rows = packed.lay_out(self.embed(videos))
        branches = self.classify(rows)
        average = branches.mean(1)
        if self.attention is None:
            return Scores(branches, average, None, packed.max(average))
        attention = packed.softmax(self.attention(rows[1:-1])[:, 0])
        return Scores(branches, average, attention, packed.sum(attention[:, None] * average))


class CMCS(Method):
    """Multi-branch network with diversity loss and hard-negative videos (CVPR 2019)."""

    name: ClassVar[str] = "cmcs"
    title: ClassVar[str] = "CMCS (Liu et al., CVPR 2019)"
    Config: ClassVar[type[Any]] = CMCSConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "thumos14": {},
        "thumos14-late": _LATE,
        "thumos14-unt": {"dropout": 0.8, "grid": "unt-30fps-15", "training.steps": 7_500},
        "activitynet12": _ACTIVITYNET12,
        "activitynet12-late": {**_ACTIVITYNET12, **_LATE},
        "activitynet12-unt": {
            **_ACTIVITYNET,
            "grid": "unt-25fps-15",
            "filters": 128,
            "hidden": 64,
            "dropout": 0.8,
            "training.lr": 5e-4,
            "training.weight_decay": 1e-3,
        },
        "activitynet13": _ACTIVITYNET,
        "activitynet13-late": {**_ACTIVITYNET, **_LATE},
    }
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"), Trace("cas", "background", "background", True)),
             about="mean over the branches, softmax over the classes"),
        View("branches", "Branches · {label}", (Trace("branch_cas"),), about="CAS of every branch"),
        View("extra", "Streams · {label}",
             (Trace("extra_cas.rgb", "RGB", "rgb"), Trace("extra_cas.flow", "flow", "flow")),
             about="CAS of each stream; late fusion is their mean", figure=False),
        View("attention", "Attention", (Trace("attention.temporal", "temporal", "temporal"),), sources=("attention",)),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        "training.steps": 250, "training.lr": 5e-3, "training.hard_negatives": True
    }  # fmt: skip
    config: CMCSConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: CMCSConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        streams = ("rgb", "flow") if config.streams == "late" else (config.streams,)
        self.networks = nn.ModuleDict(
            {s: MultiBranchNetwork(self.stream_width(s), num_classes, config) for s in streams}
        )

    @classmethod
    def read_features(cls, config: CMCSConfig, store: FeatureStore, *, training: bool) -> FeatureStore:
        """Read dense features at `sample_rate`; a training visit sees one of their phases."""
        return at_sample_rate(store, config.sample_rate, phases=training)

    @classmethod
    def official_files(cls, config: CMCSConfig) -> tuple[str, ...]:
        """Return one file, or with late fusion one for each stream."""
        return ("checkpoint of RGB", "checkpoint of flow") if config.streams == "late" else ("checkpoint",)

    def join_official(self, weights: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Join the checkpoints of late fusion: `{"rgb/<official key>": ..., "flow/<official key>": ...}`."""
        if len(weights) == 1:
            return weights[0]
        return {
            f"{stream}/{key}": v for stream, one in zip(self.networks, weights, strict=True) for key, v in one.items()
        }

    def official_names(self) -> dict[str, str]:
        """Names of the official state dicts; with late fusion those of both files, prefixed by `rgb/` and `flow/`."""
        names: dict[str, str] = {}
        for stream in self.networks:
            prefix, own = f"{stream}/" if self.config.streams == "late" else "", f"networks.{stream}"
            layers = {"base.base_conv_0": "embedding"}
            for k in range(self.config.branches):
                layers[f"cls_bottoms.{k}.cls_b{k}_conv_0"] = f"branches.{k}.conv"
                layers[f"cls_heads.{k}"] = f"branches.{k}.linear"
            layers["att_bottom.att_conv_0"] = "attention.conv"
            layers["att_head"] = "attention.linear"
            names |= {
                f"{prefix}{official}.{kind}": f"{own}.{layer}.{kind}"
                for official, layer in layers.items()
                for kind in ("weight", "bias")
            }
        parameters = self.state_dict().keys()  # without attention or hidden layer there are fewer
        return {official: name for official, name in names.items() if name in parameters}

    def forward(self, videos: Sequence[Tensor], packed: PackedVideos) -> dict[str, Scores]:
        """Score `(n_b, D)` features of each video with each stream's network."""
        return {
            stream: network([self.select_streams(x, stream) for x in videos], packed)
            for stream, network in self.networks.items()
        }

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return `mil`, `div`, `norm` (means over the videos, unweighted) and `total` (Eq. 11).

        `total` is the SUM over videos of `weight * (mil + 0.2 div + 0.2 norm)`, as the official code accumulates the
        gradients of single videos. A row with n labels equals n one-label rows of weight 1/n. Background pseudo videos
        have the extra class as their label. With late fusion every term is the sum over the two networks, which shares
        no parameter, so that each trains as if it were alone.
        """
        lengths = batch.lengths.tolist()
        packed = PackedVideos(lengths, batch.features.device)
        videos = [x[:n] for x, n in zip(batch.features.unbind(), lengths, strict=True)]
        labels = batch.labels
        if self.config.background_class:
            background = batch.background[:, None].to(labels.dtype)
            labels = torch.cat([labels * (1 - background), background], dim=1)  # (B, C + 1)
        targets = labels / labels.sum(1, keepdim=True).clamp(min=1)
        every = list(self(videos, packed).values())
        mil = torch.stack([cross_entropy_with_targets(s.video, targets) for s in every]).sum(0)  # (B,)
        div = torch.stack([diversity(s.branches, packed) for s in every]).sum(0)
        norm = torch.stack([norm_deviation(s, packed, self.config.norm_reference) for s in every]).sum(0)
        config = self.config
        loss = config.mil_weight * mil + config.div_weight * div + config.norm_weight * norm
        total = (batch.weights * loss).sum()
        return {"total": total, "mil": mil.mean(), "div": div.mean(), "norm": norm.mean()}

    # -- activations ------------------------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        """Average raw outputs over streams and crops, and only then take softmaxes (as the official test does)."""
        crops, snippets, _ = features.shape
        packed = PackedVideos([snippets] * crops, features.device)
        every = self(features.unbind(), packed)

        def over_crops(values: Tensor) -> Tensor:
            return values.view(crops, snippets + 1, *values.shape[1:])[:, :-1].mean(0)  # (R, ...) -> (T, ...)

        def over_streams(values: Sequence[Tensor]) -> Tensor:
            return torch.stack(list(values)).mean(0)

        def probabilities(scores: Tensor) -> Any:
            return scores.softmax(-1).cpu().numpy()

        streams = list(every.values())
        attentions = [s.attention for s in streams if s.attention is not None]
        return Activations(
            cas=probabilities(over_crops(over_streams([s.average for s in streams]))),
            branch_cas=probabilities(over_crops(over_streams([s.branches for s in streams])).transpose(0, 1)),
            attention={"temporal": over_crops(over_streams(attentions)).cpu().numpy()} if attentions else {},
            video_scores=probabilities(over_streams([s.video for s in streams]).mean(0))[: self.num_classes],
            extra_cas={name: probabilities(over_crops(s.average)) for name, s in every.items()}
            if len(every) > 1
            else {},
            grid=grid,
            classes=self.classes,
            method=self.name,
        )

    # -- localization -----------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Threshold the normalised CAS of every kept class at frame resolution (Section 3.3, Eq. 12).

        Values stand at the snippets' starts. The frames are those from the first snippet's start to the last one's:
        what comes after it is never detected, so that the number of frames in the file does not matter. Times are
        clipped to the grid's duration, or to its end where that is not known. A CAS that is constant over time yields
        nothing.

        Raises:
            DataError: the attention is needed and there is none; a quadratic spline of fewer than 3 snippets.
        """
        settings: CMCSLocalization = localization
        videos = list(activations.values())
        if not videos:
            return Proposals.build(video=[], label=[], start=[], end=[], score=[])
        scores = np.stack([acts.video_scores for acts in videos])  # (V, C)
        video, label = kept_classes(scores, settings.class_threshold)  # rows from here on: pairs of video and class
        cas, first_frame = _to_frames(_normalised(videos, video, label, settings), videos, video, settings)
        thresholds = np.full(len(cas), settings.threshold)
        if settings.threshold_kind == "mean":
            thresholds *= cas.mean()
        runs = runs_above(cas, thresholds[:, None])
        strides = np.array([acts.grid.stride for acts in videos])[video]
        runs = _dilated(runs, (settings.dilation * strides).astype(np.int64), cas.lengths)
        contrast = outer_inner_contrast(
            cas, runs, inflation=settings.outer_margin, min_outer=1, clip_left=settings.clip_left
        )

        grids, source = [acts.grid for acts in videos], video[runs.row]
        ends = np.array([float(grid.clip_seconds(np.inf)) for grid in grids])[source]

        def seconds(frame: IntArray) -> FloatArray:
            return np.clip(seconds_of(grids, source, first_frame[source] + frame / strides[runs.row]), 0.0, ends)

        return Proposals.build(
            video=source,
            label=label[runs.row],
            start=seconds(runs.first),
            end=seconds(runs.last + 1),
            score=contrast.score(settings.global_weight * scores[video, label][runs.row]),
            threshold=thresholds[runs.row],
            inner=contrast.inner,
            outer=contrast.outer,
            outer_start=seconds(contrast.left),
            outer_end=seconds(contrast.right),
            sources=("cas",),
        )


# -- losses, one number a video -----------------------------------------------------------------------------------


def diversity(branches: Tensor, packed: PackedVideos) -> Tensor:
    """Return L_div `(B,)` (Eq. 4): cosine similarity of two branches' CAS over time, mean over pairs and classes.

    Args:
        branches: `(R, K, C + 1)` raw scores. A single branch has no pair: 0.
    """
    k = branches.shape[1]
    if k == 1:
        return branches.new_zeros(len(packed.lengths))
    cas = branches.softmax(-1).permute(2, 1, 0).contiguous()  # (C + 1, K, R)
    gram = torch.stack([torch.bmm(v, v.transpose(1, 2)) for v in packed.split(cas, dim=2)])  # (B, C + 1, K, K)
    # The clamp keeps the gradient of the root finite where the squares of a hopeless class underflow.
    norm = gram.diagonal(dim1=2, dim2=3).clamp(min=torch.finfo(cas.dtype).tiny).sqrt()  # (B, C + 1, K)
    similarity = gram / (norm[..., :, None] * norm[..., None, :] + 1e-6)
    i, j = torch.triu_indices(k, k, 1, device=cas.device)
    return similarity[..., i, j].mean((1, 2))


def norm_deviation(scores: Scores, packed: PackedVideos, reference: str = "mean_norm") -> Tensor:
    """Return L_norm `(B,)` (Eq. 7): how far branches differ in strength, mean over branches and classes.

    The strength of a branch is the L1 norm of its raw scores over time, divided by T (official code).
    """
    counts = packed.counts[:, None, None]
    norms = packed.sum(scores.branches.abs()) / counts  # (B, K, C + 1)
    if reference == "mean_norm":
        middle = norms.mean(1, keepdim=True)
    else:
        middle = packed.sum(scores.average.abs())[:, None] / counts
    return (norms - middle).abs().mean((1, 2))


# -- parts of the localization ------------------------------------------------------------------------------------


def _normalised(videos: Sequence[Activations], video: IntArray, label: IntArray, settings: CMCSLocalization) -> Curves:
    """Return the min-max normalised CAS of each pair of video and class, with the attention in it where wanted."""
    cas = Curves.of([acts.cas[:, label[video == v]].T for v, acts in enumerate(videos)])
    if settings.metric == "score":
        return cas.min_max()
    if any("temporal" not in acts.attention for acts in videos):
        raise DataError(
            f"metric={settings.metric} needs a temporal attention",
            expected="activations of a network with attention=true",
            where="cmcs",
            next_step="Localize with metric=score",
        )
    attention = Curves.of([acts.attention["temporal"] for acts in videos]).take(video).values
    if settings.metric == "multiply":
        return cas.with_values(cas.values * attention).min_max()
    normalised = cas.min_max()
    attended = np.where(attention < settings.attention_threshold, 0.0, normalised.values)
    return normalised.with_values(attended).min_max()


def _to_frames(
    curves: Curves, videos: Sequence[Activations], video: IntArray, settings: CMCSLocalization
) -> tuple[Curves, FloatArray]:
    """Interpolate the rows of each video to frames; returns them and each video's first frame as a position `(V,)`."""
    strides = {acts.grid.stride for acts in videos}
    whole = strides == {round(stride) for stride in strides} and not any(acts.grid.offset for acts in videos)
    if settings.interpolation == "linear" and len(strides) == 1 and whole:  # all videos at once
        return upsample(curves, int(strides.pop()), tail="stop"), np.zeros(len(videos))
    dense, first = [], np.zeros(len(videos))
    for v in np.unique(video).tolist():
        grid, rows = videos[v].grid, np.flatnonzero(video == v)
        values = curves.values[curves.offsets[rows[0]] : curves.offsets[rows[-1] + 1]].reshape(rows.size, -1)
        frames, values = to_frames(values, grid, kind=settings.interpolation)  # type: ignore[arg-type]
        dense.append(values)
        first[v] = (frames[0] - grid.offset) / grid.stride
    return Curves.of(dense), first


def _dilated(runs: Runs, sizes: IntArray, lengths: IntArray) -> Runs:
    """Dilate the runs of each row by the row's own size in frames; 0 leaves them as they are."""
    different = np.unique(sizes[runs.row])
    parts = [runs.select(sizes[runs.row] == size) for size in different]
    parts = [part.dilated(int(size), lengths) if size else part for part, size in zip(parts, different, strict=True)]
    if len(parts) < 2:
        return parts[0] if parts else runs
    joined = Runs(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("row", "threshold", "first", "last"))
    )
    return joined.select(np.argsort(joined.row, kind="stable"))  # videos of several strides: back in row order
