"""CO2-Net: Hong, Feng, Xu, Shan and Zheng, "Cross-modal Consensus Network for Weakly Supervised Temporal Action
Localization", ACM MM 2021 (arXiv 2107.12589).

RGB and optical flow are two views of the same snippets. A consensus module filters each stream's channels: a global
context of the stream itself and a local one of the other stream, multiplied, gate every channel of every snippet. Each
filtered stream has an attention of its own; their mean is the attention that localizes. A mutual loss makes the two
attentions agree, a guide makes them the opposite of the background's probability, and a contrastive loss over pairs of
videos that share a class pulls the attended features of that class together and away from the rest of either video.

What is visualised: class logits, attended and floored logits; the attentions of both streams, their mean and how far
they are apart; the same attention heads on the streams as they came, without the filter (the method does not compute
these: they show what the consensus changes); the mean gate of each stream, and the share of its norm that is kept.

Differences between the paper and the official code (github harlanhong/MM2021-CO2-Net). Defaults are the code's, and
what the paper prints is named only where it is certain:

1. attention: three convolutions whose last one is followed by a dropout *before* the sigmoid (`attention_dropout`): in
   training half of a stream's attentions are exactly 0.5, and the others have doubled logits.
2. global context: the code convolves a mean of one snippet with a kernel of 3, of which only the middle acts.
3. fusion: a linear layer a snippet, and two dropouts, one behind the other, in front of the classifier.
4. mutual loss: mean squared error to the other stream's attention as a constant, one half for each direction
   (`mutual`: other distances).
5. snippets on THUMOS14: the code samples 500; its training script took 320 before April 2022.
6. iterations on THUMOS14: 5,000 in the code's script, 20,000 in its README.
7. suppression adds one *snippet* to every length and intersection (`localization.plus_one`; in HAM-Net it is a second),
   and detections are evaluated on the grid of snippets (protocol `wtalc`, which also removes what lies on ambiguous
   intervals).
8. ActivityNet 1.2: logits and attentions are averaged over 13 snippets, zeros beyond the ends counted.
9. the official network holds a layer `feat_encoder` that nothing uses: it is skipped when weights are loaded.
10. published numbers: best step on the test set. Here `last` and `best` are reported separately.

Guards that the official code lacks: a batch in which no pair shares a class has no contrastive loss (the official code
divides 0 by 0), and cosines to a feature of norm 0 are 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wtal_core.arrays import BoolArray, FloatArray, IntArray
from wtal_core.errors import UsageError
from wtal_core.localization import Curves, Proposals, kept_classes, nms, outer_inner_contrast, runs_above, soft_nms
from wtal_core.methods.base import Batch, Method
from wtal_core.methods.pooling import (
    cross_entropy_with_targets,
    masked_mean,
    masked_softmax_over_time,
    normalised_targets,
    topk_mean,
)
from wtal_core.methods.recipe import Recipe
from wtal_core.methods.temporal_convolution import convolve_snippets
from wtal_core.records import Activations, Trace, Track, View
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid, seconds_of

__all__ = ["CO2Net", "CO2NetConfig", "CO2NetLocalization", "Consensus", "TwoStreams"]


# -- settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CO2NetLocalization:
    """From attention and logits to detections."""

    class_threshold: float = option(
        0.2, "classes kept: video score of at least this; if none has it, the best class is used", low=0, high=1
    )
    thresholds: tuple[float, ...] = option(
        tuple(np.linspace(0.1, 0.9, 10).tolist()),
        "attention thresholds; each run above one is proposed for every kept class",
        low=0,
        high=1,
    )
    gamma: float = option(0.2, "weight of the video score in a proposal's score")
    margin: float = option(0.25, "outer area on either side, as a fraction of the run", low=0)
    suppression: str = option("soft", "Gaussian soft-NMS; hard NMS; none", choices=("soft", "hard", "none"))
    sigma: float = option(0.3, "soft: the score of a rival falls by exp(-tIoU^2 / sigma)", low=1e-6)
    tiou: float = option(0.7, "hard: a proposal goes that overlaps a better one by more than this", low=0, high=1)
    plus_one: bool = option(True, "tIoU with one snippet added to every length, as the official code computes it")
    min_length: int = option(1, "shorter detections are dropped after the suppression", unit="snippets", low=1)
    keep_lone_first: bool = option(
        False, "keep a run that is snippet 0 alone, where a threshold has no other; the official code loses it"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CO2NetConfig:
    """Settings of the method."""

    streams: str = option(
        "both",
        "feature streams used: first half RGB, second half flow; a stream alone is filtered by itself",
        choices=("both", "rgb", "flow"),
    )
    consensus: str = option(
        "full",
        "what gates a channel: global times local context, one of them, or nothing (no filter)",
        choices=("full", "global", "local", "none"),
    )
    local_context: str = option(
        "other", "where the local context comes from: the other stream, or the stream itself", choices=("other", "same")
    )
    attention_filters: int = option(512, "filters of the attentions' convolutions", low=1)
    consensus_dropout: float = option(0.5, "dropout behind the contexts and in the attentions", low=0, high=0.99)
    attention_dropout: float = option(0.5, "dropout of an attention's logit, before the sigmoid", low=0, high=0.99)
    dropout: float = option(
        0.7, "dropout, three times: two of the fused features, one in the classifier", low=0, high=0.99
    )
    average_pool: int = option(0, "average logits and attentions over this many snippets, odd; 0: do not", low=0)
    topk_ratio: int = option(7, "losses: video-level scores average the best T // ratio snippets", low=1)
    test_ratio: int = option(10, "test: video-level scores average the best T // ratio snippets", low=1)
    mutual: str = option(
        "mse",
        "mutual loss between the attentions: squared error, absolute error, divergence of the two Bernoulli variables",
        choices=("mse", "mae", "kl"),
    )
    margin: float = option(0.5, "margin of the contrastive loss", low=0)
    mil_orig_weight: float = option(1.0, "weight of the classification loss, background present", low=0)
    mil_supp_weight: float = option(1.0, "weight of the classification loss under attention, background absent", low=0)
    contrastive_weight: float = option(1.0, "weight alpha 3 of the contrastive loss between videos of a class", low=0)
    mutual_weight: float = option(1.0, "weight alpha 4 of the mutual loss", low=0)
    norm_weight: float = option(0.8, "weight alpha 1 of the attentions' mean", low=0)
    guide_weight: float = option(0.8, "weight alpha 2 of the guide: attention against background", low=0)
    grid: str = option("i3d-25fps-16", "snippet grid assumed where features carry none")
    localization: CO2NetLocalization = option(factory=CO2NetLocalization, meaning="post-processing")
    training: Recipe = option(
        factory=lambda: Recipe(
            steps=5_000,
            batch_size=10,
            batches="class_groups",
            classes_per_batch=3,
            videos_per_class=2,
            sampling="cells",
            snippets=500,
            lr=5e-5,
            weight_decay=1e-3,
        ),
        meaning="how it is trained; rows 1 and 2, 3 and 4, ... of a batch are the pairs of the contrastive loss",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.average_pool and self.average_pool % 2 == 0:
            raise UsageError(
                "a centred average needs an odd window",
                expected="0, 1, 3, 5, ... snippets",
                got=str(self.average_pool),
                where=f"{type(self).__name__}.average_pool",
                next_step="Choose an odd number, or 0 for none",
            )

    @property
    def splits_streams(self) -> bool:
        """Whether halves of the channels are taken for RGB and flow: always."""
        return True


_ACTIVITYNET12: dict[str, Any] = {
    "topk_ratio": 5,
    "average_pool": 13,
    "training": {"steps": 22_000, "snippets": 60, "lr": 3e-5, "weight_decay": 5e-4},
}


# -- network ------------------------------------------------------------------------------------------------------


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class Consensus(nn.Module):
    """Filters one stream, and attends to it.

    Args:
        channels: of the stream, n.
        config: what gates, filters and dropouts.
    """

    def __init__(self, channels: int, config: CO2NetConfig) -> None:
        super().__init__()
        self.config = config
        f = config.attention_filters
        if config.consensus in ("full", "global"):
            self.global_context = nn.Conv1d(channels, channels, 3, padding=1)
        if config.consensus in ("full", "local"):
            self.local_context = nn.Conv1d(channels, channels, 3, padding=1)
        self.attention = nn.ModuleList(
            [nn.Conv1d(channels, f, 3, padding=1), nn.Conv1d(f, f, 3, padding=1), nn.Conv1d(f, 1, 1)]
        )

    def gate(self, main: Tensor, auxiliary: Tensor, mask: Tensor | None) -> Tensor:
        """Return what every channel of `(B, T, n)` features is multiplied by, in (0, 1); 1 without a filter."""
        config, logit = self.config, None
        if config.consensus in ("full", "global"):
            layer = self.global_context  # on one snippet only the middle of the kernel acts
            context = F.linear(masked_mean(main, mask), layer.weight[:, :, 1], layer.bias)
            logit = self._drop(_leaky(context))[:, None]  # (B, 1, n)
        if config.consensus in ("full", "local"):
            context = self._drop(_leaky(convolve_snippets(auxiliary, self.local_context)))
            logit = context if logit is None else logit * context
        return torch.ones_like(main) if logit is None else logit.sigmoid()

    def attend(self, x: Tensor, exists: Tensor | None) -> Tensor:
        """Return the attention `(B, T, 1)` of filtered features `(B, T, n)`."""
        first, second, last = (layer for layer in self.attention if isinstance(layer, nn.Conv1d))
        x = self._drop(_leaky(convolve_snippets(x, first)))
        x = _leaky(convolve_snippets(x if exists is None else x * exists, second))
        logit = F.linear(x, last.weight[:, :, 0], last.bias)
        return F.dropout(logit, self.config.attention_dropout, self.training).sigmoid()

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.config.consensus_dropout, self.training)


@dataclass(frozen=True, eq=False)
class TwoStreams:
    """What the network says about a batch.

    Args:
        logits: `(B, T, C + 1)` class logits s, background last.
        attention: `(B, T, 1)`, the mean over the streams.
        of_stream: each stream's attention `(B, T, 1)`.
        features: `(B, T, D)` fused features, with their dropout in training.
        gate: each stream's gate `(B, T, n)` (`(B, 1, n)` without local context).
        streams: each stream as it came, `(B, T, n)`.
    """

    logits: Tensor
    attention: Tensor
    of_stream: Mapping[str, Tensor]
    features: Tensor
    gate: Mapping[str, Tensor]
    streams: Mapping[str, Tensor]

    @property
    def floored(self) -> Tensor:
        """`(B, T, C + 1)`: attended logits that fall to the snippet's smallest one, not to 0."""
        lowest = self.logits.amin(-1, keepdim=True)
        return self.attention * (self.logits - lowest) + lowest

    @property
    def attentions(self) -> tuple[Tensor, ...]:
        """The mean attention and each stream's, `(B, T, 1)` each."""
        return (self.attention, *self.of_stream.values())

    def disagreement(self) -> tuple[Tensor, ...]:
        """Return what each attention lacks to be the opposite of the background's probability, `(B, T)` each."""
        background = self.logits.softmax(-1)[..., -1:]
        return tuple((1 - a - background).abs()[..., 0] for a in self.attentions)


_STREAMS = {"rgb": "vAttn", "flow": "fAttn"}  # name here -> name in the official file
_CURVES = (("rgb", "RGB", "context"), ("flow", "flow", "background"))


def _both(prefix: str) -> tuple[Trace, ...]:
    return tuple(Trace(f"{prefix}_{stream}", name, role) for stream, name, role in _CURVES)


class CO2Net(Method):
    """Cross-modal consensus of RGB and flow (ACM MM 2021)."""

    name: ClassVar[str] = "co2net"
    title: ClassVar[str] = "CO2-Net (Hong et al., ACM MM 2021)"
    Config: ClassVar[type[Any]] = CO2NetConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"thumos14": {}, "activitynet12": _ACTIVITYNET12}
    views: ClassVar[tuple[View, ...]] = (
        View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"), Trace("cas", "background", "background", True)),
             about="class logits"),
        View("extra", "Attended CAS · {label}", (
            Trace("extra_cas.attended", "attended", "instance"), Trace("extra_cas.floored", "floored", "context"),
        ), about="logits times attention: localized and scored; the same from the smallest logit up: trained",
             figure=False),
        View("attention", "Attention", (
            Trace("attention.foreground", "mean", "foreground"),
            *(Trace(f"attention.{stream}", name, role) for stream, name, role in _CURVES),
        ), sources=("attention",), about="of each filtered stream, and their mean"),
        View("unfiltered", "Attention without the filter", _both("unfiltered"), low=0.0, high=1.0,
             about="the attention heads on the streams as they came: what the consensus changes"),
        View("disagreement", "Disagreement", (Trace("disagreement", "|RGB - flow|", "instance"),), low=0.0, high=1.0,
             about="of the two attentions; the mean of its square is the video's mutual loss"),
        View("gate", "Mean gate", _both("gate"), low=0.0, high=1.0, figure=False,
             about="of all channels of a stream"),
        View("kept", "Kept by the filter", _both("kept_energy"), low=0.0, high=1.0, figure=False,
             about="norm of the filtered stream over its norm before"),
    )  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {
        # 16 channels a stream leave nothing to drop, and the attentions need room to open in a few hundred steps.
        "training.steps": 200, "training.classes_per_batch": 4, "training.snippets": 60, "training.lr": 1e-3,
        "attention_filters": 16, "dropout": 0.3, "attention_dropout": 0.0, "consensus_dropout": 0.0,
        "norm_weight": 0.3, "guide_weight": 0.3,
    }  # fmt: skip
    config: CO2NetConfig

    def __init__(
        self, num_classes: int, feature_dim: int, config: CO2NetConfig, classes: tuple[str, ...] | None = None
    ) -> None:
        super().__init__(num_classes, feature_dim, config, classes)
        channels = self.stream_width("rgb")
        names = tuple(_STREAMS) if config.streams == "both" else (config.streams,)
        width = channels * len(names)
        self.consensus = nn.ModuleDict({name: Consensus(channels, config) for name in names})
        self.fusion = nn.Conv1d(width, width, 1)
        self.classifier = nn.ModuleList([nn.Conv1d(width, width, 3, padding=1), nn.Conv1d(width, num_classes + 1, 1)])
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @property
    def _consensus(self) -> dict[str, Consensus]:
        return {name: module for name, module in self.consensus.items() if isinstance(module, Consensus)}

    def official_names(self) -> dict[str, str]:
        """Names of `state_dict` in the official file."""
        layers = {"fusion.0": "fusion", "classifier.1": "classifier.0", "classifier.4": "classifier.1"}
        for name in self.consensus:
            official, ours = _STREAMS[name], f"consensus.{name}"
            layers |= {f"{official}.channel_conv.0": f"{ours}.global_context"}
            layers |= {f"{official}.bit_wise_attn.0": f"{ours}.local_context"}
            layers |= {f"{official}.attention.{i}": f"{ours}.attention.{n}" for n, i in enumerate((0, 3, 5))}
        own = dict(self.named_parameters())
        names = {f"{o}.{p}": f"{n}.{p}" for o, n in layers.items() for p in ("weight", "bias")}
        return {official: name for official, name in names.items() if name in own}

    def join_official(self, weights: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Leave out the layer that the official network holds and does not use."""
        return {name: value for name, value in weights[0].items() if not name.startswith("feat_encoder.")}

    def forward(self, features: Tensor, mask: Tensor | None = None) -> TwoStreams:
        """Map `(B, T, D)` features, RGB before flow, to logits and attentions. `mask` keeps padding out."""
        config = self.config
        exists = None if mask is None else mask[..., None]  # (B, T, 1)

        def existing(x: Tensor) -> Tensor:
            return x if exists is None else x * exists

        def smooth(x: Tensor) -> Tensor:
            """Average over neighbours, zeros beyond the ends counted (ActivityNet)."""
            size, x = config.average_pool, existing(x)
            if size <= 1:
                return x
            return F.avg_pool1d(x.transpose(1, 2), size, stride=1, padding=size // 2).transpose(1, 2)

        streams = {name: existing(self.select_streams(features, name)) for name in self.consensus}
        gate, filtered, attention = {}, {}, {}
        for name, module in self._consensus.items():
            other = next((n for n in streams if n != name), name) if config.local_context == "other" else name
            gate[name] = module.gate(streams[name], streams[other], mask)
            filtered[name] = gate[name] * streams[name]
            attention[name] = module.attend(filtered[name], exists)
        h = _leaky(F.linear(torch.cat(list(filtered.values()), -1), self.fusion.weight[:, :, 0], self.fusion.bias))
        h = F.dropout(existing(h), config.dropout, self.training)
        first, last = (layer for layer in self.classifier if isinstance(layer, nn.Conv1d))
        x = _leaky(convolve_snippets(F.dropout(h, config.dropout, self.training), first))
        s = F.linear(F.dropout(x, config.dropout, self.training), last.weight[:, :, 0], last.bias)
        of_stream = {name: smooth(a) for name, a in attention.items()}
        mean = torch.stack(list(of_stream.values())).mean(0)
        return TwoStreams(smooth(s), mean, of_stream, h, gate, streams)

    # -- losses -----------------------------------------------------------------------------------------------------

    def losses(self, batch: Batch, *, stage: str | None = None) -> dict[str, Tensor]:
        """Return the terms of `_terms`, unweighted, and `total`, where each counts by `<term>_weight` of the config."""
        mask = None if bool(batch.mask.all()) else batch.mask
        terms = self._terms(batch, self(batch.features, mask), mask)
        total = torch.stack([getattr(self.config, f"{name}_weight") * term for name, term in terms.items()]).sum()
        return {"total": total, **terms}

    def _terms(self, batch: Batch, out: TwoStreams, mask: Tensor | None) -> dict[str, Tensor]:
        """Return `mil_orig`, `mil_supp`, `contrastive`, `mutual`, `norm` and `guide`.

        All but `contrastive` are means over the videos; `norm` and `guide` are also means over the attentions.
        """
        return {
            "mil_orig": self.classification(out.logits, batch.labels, 1.0, mask).mean(),
            "mil_supp": self.classification(out.floored, batch.labels, 0.0, mask).mean(),
            "contrastive": self._contrastive(batch, out, mask),
            "mutual": self._mutual(out, mask),
            "norm": torch.stack([masked_mean(a[..., 0], mask).mean() for a in out.attentions]).mean(),
            "guide": torch.stack([masked_mean(d, mask).mean() for d in out.disagreement()]).mean(),
        }

    def classification(self, logits: Tensor, labels: Tensor, background: float, mask: Tensor | None) -> Tensor:
        """Return each video's cross entropy `(B,)`: top-k pooled logits against its labels and the background."""
        length = logits.shape[1] if mask is None else mask.sum(1)
        pooled = topk_mean(logits, length // self.config.topk_ratio, mask)
        return cross_entropy_with_targets(pooled, normalised_targets(labels, background, eps=1e-4))

    def _contrastive(self, batch: Batch, out: TwoStreams, mask: Tensor | None) -> Tensor:
        """Return the co-activity loss: the mean hinge over pairs of videos and the classes that they share."""
        recipe = self.config.training
        pairs = min(len(batch), recipe.classes_per_batch * recipe.videos_per_class) // 2
        if pairs == 0:
            return out.logits.sum() * 0.0
        rows = slice(0, 2 * pairs)
        weight = batch.labels[rows].reshape(pairs, 2, -1).prod(1)  # (P, C): classes that both videos show
        exists = batch.mask[rows, :, None].to(out.features.dtype)
        h, scores = out.features[rows] * exists, out.floored[rows, :, : self.num_classes]
        share = masked_softmax_over_time(scores, None if mask is None else mask[rows])  # (2P, T, C)

        def feature(weights: Tensor) -> Tensor:
            """Return unit features `(P, 2, D, C)`."""
            unit = F.normalize(torch.einsum("btd,btc->bdc", h, weights), dim=1)
            return unit.view(pairs, 2, *unit.shape[1:])

        high, low = feature(share), feature((1 - share) * exists)

        def distance(a: Tensor, b: Tensor) -> Tensor:
            return 1 - (a * b).sum(1)  # (P, C)

        within = distance(high[:, 0], high[:, 1])
        hinges = [F.relu(within - distance(high[:, i], low[:, 1 - i]) + self.config.margin) for i in (0, 1)]
        return (weight * (hinges[0] + hinges[1]) / 2).sum() / weight.sum().clamp(min=1)

    def _mutual(self, out: TwoStreams, mask: Tensor | None) -> Tensor:
        """Return the distance of the streams' attentions, each pulled to the other one as it is; 0 for one stream."""
        if len(out.of_stream) < 2:
            return out.attention.sum() * 0.0
        rgb, flow = (a[..., 0] for a in out.of_stream.values())

        def to(a: Tensor, target: Tensor) -> Tensor:
            if self.config.mutual == "mse":
                return (a - target) ** 2
            if self.config.mutual == "mae":
                return (a - target).abs()
            p, q = target.clamp(1e-6, 1 - 1e-6), a.clamp(1e-6, 1 - 1e-6)
            return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()

        return masked_mean(to(rgb, flow.detach()) + to(flow, rgb.detach()), mask).mean() / 2

    # -- what it says about a video -----------------------------------------------------------------------------------

    def _activations(self, features: Tensor, grid: SnippetGrid) -> Activations:
        out = self(features)
        s, a = out.logits.mean(0), out.attention.mean(0)  # (T, C + 1), (T, 1): means over crops
        lowest = s.amin(-1, keepdim=True)
        floored = a * (s - lowest) + lowest
        attended = a * s
        video = topk_mean(attended[None], len(s) // self.config.test_ratio)[0].softmax(-1)

        def array(tensor: Tensor) -> Any:
            return tensor.cpu().numpy()

        attention, tracks = {"foreground": array(a[:, 0])}, dict[str, Track]()
        for name, x in out.streams.items():
            attention[name] = array(out.of_stream[name].mean(0)[:, 0])
            module, gate = self._consensus[name], out.gate[name].expand_as(x)
            kept = ((gate * x).norm(dim=-1) / x.norm(dim=-1).clamp(min=1e-12)).mean(0)
            curves = {
                "unfiltered": (module.attend(x, None)[..., 0].mean(0), "attention of the stream as it came"),
                "gate": (gate.mean((0, 2)), "mean over the channels of what they are multiplied by"),
                "kept_energy": (kept, "norm of the filtered stream over its norm before"),
            }
            tracks |= {f"{k}_{name}": Track("curve", array(v), what, 0.0, 1.0) for k, (v, what) in curves.items()}
            mean = float(attention[name].mean())
            tracks[f"mean_attention_{name}"] = Track("scalar", mean, "mean attention of the stream", 0.0, 1.0)
        if len(out.streams) == 2:
            apart = attention["rgb"] - attention["flow"]
            tracks["disagreement"] = Track("curve", np.abs(apart), "distance of the two attentions", 0.0, 1.0)
            tracks["mutual"] = Track("scalar", float((apart**2).mean()), "mean squared distance of the attentions")
        return Activations(
            cas=array(s),
            video_scores=array(video[: self.num_classes]),
            grid=grid,
            classes=self.classes,
            attention=attention,
            embedding=array(out.features.mean(0)),
            extra_cas={"attended": array(attended), "floored": array(floored)},
            tracks=tracks,
            method=self.name,
        )

    # -- localization -------------------------------------------------------------------------------------------------

    @staticmethod
    def propose(activations: Mapping[str, Activations], localization: Any) -> Proposals:
        """Cut the attention at many thresholds and score each run for every kept class on the attended logits.

        The suppression counts in snippets. Scores are those after soft suppression; detections that are too short are
        dropped after it (official code), and lower the scores of the others before.
        """
        settings: CO2NetLocalization = localization
        videos = list(activations.values())
        if not videos:
            return Proposals.build(video=[], label=[], start=[], end=[], score=[])
        grids, thresholds = [acts.grid for acts in videos], np.array(settings.thresholds)
        scores = np.stack([acts.video_scores for acts in videos])  # (V, C)
        video, label = kept_classes(scores, settings.class_threshold, strict=False, at_least_one=True)  # (K,) pairs
        attention = [acts.attention["foreground"] for acts in videos]
        attended = Curves.of([(a[:, None] * acts.cas[:, label[video == v]]).T
                              for v, (acts, a) in enumerate(zip(videos, attention, strict=True))])  # fmt: skip
        runs, _ = runs_above(attention, thresholds, drop_lone_first=not settings.keep_lone_first).onto(video)
        contrast = outer_inner_contrast(attended, runs, inflation=settings.margin)

        def seconds(position: IntArray) -> FloatArray:
            return seconds_of(grids, video[runs.row], position)

        proposals = Proposals.build(
            video=video[runs.row],
            label=label[runs.row],
            start=seconds(runs.first),
            end=seconds(runs.last + 1),
            score=contrast.score(settings.gamma * scores[video, label][runs.row]),
            threshold=thresholds[runs.threshold],
            inner=contrast.inner,
            outer=contrast.outer,
            outer_start=seconds(contrast.left),
            outer_end=seconds(contrast.right),
            sources=("attention",),
        )
        columns = (runs.first, runs.last + 1, proposals.score, runs.row)
        if settings.suppression == "soft":
            proposals = proposals.softened(soft_nms(*columns, sigma=settings.sigma, plus_one=settings.plus_one))
        elif settings.suppression == "hard":
            proposals = proposals.with_rivals(nms(*columns, threshold=settings.tiou, plus_one=settings.plus_one))
        return _only(proposals, runs.length >= settings.min_length)


def _only(proposals: Proposals, kept: BoolArray) -> Proposals:
    """Return the rows that are kept, without those that a row which is not suppressed."""
    kept = kept & ((proposals.suppressed_by < 0) | kept[proposals.suppressed_by])
    place = np.where(kept, np.cumsum(kept) - 1, -1)

    def moved(rival: IntArray) -> IntArray:
        return np.where(rival < 0, -1, place[rival])

    left = proposals.select(kept)
    return replace(left, suppressed_by=moved(left.suppressed_by), lowered_by=moved(left.lowered_by))
