"""The experiment behind each table and figure of the five papers: its rows as changes of a preset.

A row of a table that `published.yaml` holds has that table's name for it, and is trained for the number beside it.
Figures print curves without numbers; a few experiments try what a paper leaves open, or prints and does not do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from wtal_core.errors import unknown_name
from wtal_core.evaluation import parse_tiou
from wtal_core.papers.published import PublishedRow, PublishedTable, dataset_name, get_paper

__all__ = ["EXPERIMENTS", "Experiment", "ExperimentRow", "get_experiment", "slug"]

Changes = Mapping[str, Any]


def slug(text: str) -> str:
    """Return a text as a part of a file name or command: "BCL + SAL" -> "bcl-sal", "alpha = 0.4" -> "alpha-0.4"."""
    return re.sub(r"(?:[^a-z0-9.]|\.(?!\d))+", "-", text.casefold()).strip("-")


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One training that a table or figure shows.

    Args:
        name: the row's name, in the paper's words.
        preset: preset of the method.
        changes: settings that differ from the preset.
        cannot: what has to be done first, by hand, for this row; "" where its settings are all there is to it.
    """

    name: str
    preset: str
    changes: Changes
    cannot: str = ""


@dataclass(frozen=True)
class Experiment:
    """A table or figure as trainings.

    Args:
        paper: short name of the paper.
        source: table or figure, e.g. "Table 1"; as in `published.yaml` where its numbers are there.
        rows: the trainings in the paper's order.
        title: what is varied, for what `published.yaml` does not hold.
        shown: its columns, likewise.
        split: split of the data set that is scored.
    """

    paper: str
    source: str
    rows: tuple[ExperimentRow, ...]
    title: str = ""
    shown: tuple[str, ...] = ()
    split: str = "test"

    @property
    def name(self) -> str:
        """What the command line calls it, e.g. "hamnet-table-1"."""
        return slug(f"{self.paper}-{self.source}")

    @property
    def published(self) -> PublishedTable | None:
        """The printed table, None for what has no printed numbers."""
        return next((table for table in get_paper(self.paper).tables if table.name == self.source), None)

    @property
    def about(self) -> str:
        """What is varied."""
        return self.published.about if self.published else self.title

    @property
    def columns(self) -> tuple[str, ...]:
        """tIoU thresholds as text ("0.5"), then averages ("avg 0.1:0.7")."""
        return self.published.columns if self.published else self.shown

    @property
    def dataset(self) -> str:
        """The paper's data set, e.g. "THUMOS14"."""
        return (self.published and self.published.dataset) or dataset_name(self.rows[0].preset.split("-")[0]) or ""

    @property
    def protocol(self) -> str:
        """The paper's evaluation protocol; activitynet where it does not say, and for CMCS on ActivityNet."""
        protocol = get_paper(self.paper).protocol or "activitynet"
        return "activitynet" if protocol == "thumos14" and self.dataset != "THUMOS14" else protocol

    @property
    def tiou(self) -> tuple[float, ...]:
        """Every threshold that the columns need."""
        return tuple(sorted({t for column in self.columns for t in _thresholds(column)}))

    def values(self, mean_ap: Mapping[float, float]) -> list[float]:
        """Return one number a column of `{tIoU: mAP}`."""
        known = {round(t, 6): value for t, value in mean_ap.items()}
        return [fmean(known[t] for t in _thresholds(column)) for column in self.columns]

    def printed(self, row: ExperimentRow) -> PublishedRow | None:
        """Return what the paper prints for a row, None where it prints no number."""
        rows = self.published.rows if self.published else ()
        return next((printed for printed in rows if printed.method == row.name), None)

    def choose(self, names: Sequence[str]) -> tuple[ExperimentRow, ...]:
        """Return the named rows (default: all) in the paper's order.

        Raises:
            UsageError: there is no such row.
        """
        by_slug = {slug(row.name): row for row in self.rows}
        for name in names:
            if slug(name) not in by_slug:
                raise unknown_name("row", name, [row.name for row in self.rows], where=self.name)
        wanted = {slug(name) for name in names}
        return tuple(row for key, row in by_slug.items() if not names or key in wanted)


def _thresholds(column: str) -> tuple[float, ...]:
    return tuple(round(t, 6) for t in parse_tiou(column.removeprefix("avg ")))


def get_experiment(name: str) -> Experiment:
    """Return an experiment by its name; "HAMNet Table 1" is read like "hamnet-table-1".

    Raises:
        UsageError: there is no such experiment.
    """
    by_name = {experiment.name: experiment for experiment in EXPERIMENTS}
    if slug(name) not in by_name:
        raise unknown_name("table or figure", name, by_name, otherwise="wtal paper list names them all")
    return by_name[slug(name)]


def _ablation(paper: str, source: str, preset: str, rows: Mapping[str, Changes], **more: Any) -> Experiment:
    """Rows that change one preset."""
    return Experiment(paper, source, tuple(ExperimentRow(name, preset, c) for name, c in rows.items()), **more)


def _comparison(paper: str, source: str, rows: Mapping[str, str]) -> Experiment:
    """The paper's own rows of a comparison: {name: preset}."""
    return Experiment(paper, source, tuple(ExperimentRow(name, preset, {}) for name, preset in rows.items()))


def _terms(known: Sequence[str], rows: Mapping[str, str]) -> dict[str, Changes]:
    """Rows that switch off every loss term they do not name."""
    return {name: {f"{t}_weight": 0.0 for t in known if t not in kept.split()} for name, kept in rows.items()}


_NO_STATIC = {"training.hard_negatives": False, "background_class": False}
_MIL_ONLY = {"div_weight": 0.0, "norm_weight": 0.0}
_HAMNET = ("bcl", "sal", "ssal", "hal", "sparse", "guide")
_ACMNET = ("context", "background", "guide", "feat", "sparse")
_ALL_ACMNET = "context background guide feat sparse"
_THUMOS14 = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "avg 0.1:0.7")
_FOUR = ("0.1", "0.3", "0.5", "0.7", "avg 0.1, 0.3, 0.5, 0.7")

#: Everything that can be trained, paper by paper.
EXPERIMENTS: tuple[Experiment, ...] = (
    # -- ACM-Net
    _comparison("acmnet", "Table I", {"ACM-Net (Ours)": "thumos14"}),
    _comparison("acmnet", "Table II", {"ACM-Net (Ours)": "activitynet13"}),
    _ablation("acmnet", "Table III", "thumos14", _terms(_ACMNET, {
        "instance": "",
        "instance + background": "background",
        "instance + context": "context",
        "instance + context + background": "context background",
        "instance + context + background + additional losses": _ALL_ACMNET,
    })),
    _ablation("acmnet", "Table IV", "activitynet13", _terms(_ACMNET, {
        "instance": "",
        "instance + context": "context",
        "instance + context + background": "context background",
        "instance + context + background + additional losses": _ALL_ACMNET,
    })),
    _ablation("acmnet", "Table V", "thumos14", _terms(_ACMNET, {
        "none": "context background",
        "guide": "context background guide",
        "feat": "context background feat",
        "sparse": "context background sparse",
        "guide + feat": "context background guide feat",
        "guide + feat + sparse": _ALL_ACMNET,
    })),
    _ablation("acmnet", "Table VI", "thumos14", {
        f"T = {t}": {"training.snippets": t, "test_snippets": t} for t in (250, 500, 750, 900, 1000)
    }),
    _ablation("acmnet", "Sec. IV", "thumos14", {
        f"r = {ins}, {con}, {bak}": {"instance_ratio": ins, "context_ratio": con, "background_ratio": bak}
        for ins, con, bak in ((8, 3, 3), (2, 10, 10), (4, 4, 4))
    }, title="ratios r of the top-k pooling: instance, context, background", shown=_THUMOS14),
    # -- ACN
    _comparison("acn", "Table 1", {"Ours-ACN": "activitynet12"}),
    _comparison("acn", "Table 2", {"Ours-ACN": "thumos14"}),
    _ablation("acn", "Table 3", "thumos14", {
        f"{name}, alpha = {a}": {"streams": stream, "localization.alpha": a}
        for name, stream in (("RGB", "rgb"), ("optical flow", "flow"))
        for a in (0.4, 0.5, 0.6, 0.7, 0.8)
    }),
    *(
        _ablation("acn", table, "thumos14", {
            f"-{name}": {"streams": stream, "localization.score": score}
            for name, score in (("L_c", "coherence"), ("L_OIC", "oic"), ("L", "full"))
        })
        for table, stream in (("Table 4", "rgb"), ("Table 5", "flow"))
    ),
    _ablation("acn", "readings", "thumos14", {
        "literal selection": {"localization.selection": "cover", "localization.contain_tol": 0.2},
        **{
            f"attention: {m}": {"localization.attention": m}
            for m in ("ratio", "absolute", "quantile", "minmax", "none")
        },
    }, title="what the paper leaves open: selection of proposals, threshold of the attention", shown=_THUMOS14),
    # -- CMCS
    _comparison("cmcs", "Table 1", {"Ours (UNT), Full": "thumos14-unt", "Ours (I3D), Full": "thumos14-late"}),
    _comparison("cmcs", "Table 2", {"Ours (UNT)": "activitynet12-unt", "Ours (I3D)": "activitynet12-late"}),
    _comparison("cmcs", "Table 3", {"Ours (I3D)": "activitynet13-late"}),
    _ablation("cmcs", "Table 4", "thumos14-unt", {
        "Single + L_mil (Baseline)": {"branches": 1, **_MIL_ONLY, **_NO_STATIC},
        "Single + L_mil + HN": {"branches": 1, **_MIL_ONLY},
        "Multiple + L_sum": _NO_STATIC,
        "Multiple + L_mil + HN": _MIL_ONLY,
        "Multiple + L_mil + L_div + HN": {"norm_weight": 0.0},
        "Multiple + L_sum + HN (No TA)": {"attention": False},
        "Multiple + L_sum + HN (Full)": {},
    }),
    Experiment("cmcs", "Table 5", tuple(
        ExperimentRow(
            f"{rho} %", "thumos14-unt", {"branches": 1, **_MIL_ONLY},
            f"static clips have to be mined anew by 'wtal data static' with rho {rho}; then cmcs-table-4, its row "
            "'Single + L_mil + HN'",
        )
        for rho in (15, 20, 25, 30)
    )),
    _ablation("cmcs", "Figure 3, left", "thumos14-unt", {f"K = {k}": {"branches": k} for k in range(1, 9)},
              title="branches K (Figure 4: by class), scored on the training videos as in the paper",
              shown=("avg 0.1:0.5",), split="train"),
    _ablation("cmcs", "Figure 3, right", "thumos14-unt", {
        f"alpha = beta = {w:g}": {"div_weight": w, "norm_weight": w} for w in (0.0, 0.1, 0.2, 0.5, 1.0)
    }, title="weight of the diversity loss and norm regularisation, scored on the training videos as in the paper",
       shown=("avg 0.1:0.5",), split="train"),
    _ablation("cmcs", "streams", "thumos14", {s: {"streams": s} for s in ("rgb", "flow", "both", "late")},
              title="streams: each alone, early and late fusion", shown=_THUMOS14),
    _ablation("cmcs", "Eq. 2", "thumos14", {
        "two convolutions, as the code": {},
        "one convolution": {"hidden": 0},
        "one convolution, norm of the average": {"hidden": 0, "norm_reference": "average_norm"},
    }, title="one convolution a branch, as printed", shown=_THUMOS14),
    # -- deep metric
    _comparison("deep_metric", "Table 1", {"Ours": "thumos14"}),
    _comparison("deep_metric", "Table 2", {"Ours": "activitynet12"}),
    _ablation("deep_metric", "Table 3", "thumos14", {
        "L_BBCE": {"metric": "none"},
        "L_BBCE + L_Contrastive": {"metric": "contrastive"},
        "L_BBCE + L_Triplet": {"metric": "triplet"},
    }),
    _ablation("deep_metric", "Table 4", "thumos14", {
        "one block for the whole video": {"block_size": 0, "localization.block_size": 0}
    }),
    _ablation("deep_metric", "Table 5", "thumos14", {
        "w/o clip": {"clip": 0.0},
        **{f"kappa = {k}": {"clip": float(k)} for k in (2, 3, 4, 5, 10)},
    }),
    _ablation("deep_metric", "Figure 2", "thumos14", {
        name: {"classification": loss}
        for name, loss in (("BBCE", "balanced_bce"), ("BCE", "bce"), ("Softmax", "softmax_mil"))
    }, title="classification loss", shown=_FOUR),
    _ablation("deep_metric", "Figure 3", "thumos14", {
        name: {"distance": d}
        for name, d in (
            ("cosine", "cosine"), ("Euclidean", "euclidean"), ("custom, learnable", "learned"), ("ours", "class_weight")
        )
    }, title="distance of the metric loss", shown=_FOUR),
    _ablation("deep_metric", "Figure 4a", "thumos14", {
        f"k = {k}": {"k": k, "localization.k": k} for k in (1, 5, 10, 20, 30, 60)
    }, title="k of the k-max pooling, blocks of 60", shown=_FOUR),
    _ablation("deep_metric", "Figure 4b", "thumos14", {
        f"blocks of {size}": {"block_size": size, "localization.block_size": size, "k": k, "localization.k": k}
        for size, k in ((20, 1), (40, 2), (60, 4), (100, 6), (200, 12))
    }, title="block size, k 6 % of it", shown=_FOUR),
    _ablation("deep_metric", "Sec. 3", "thumos14", {
        "as the code": {},
        "as printed": {
            "localization.threshold": "sigmoid", "localization.score": "sigmoid", "localization.clip": 4.0,
            "localization.min_length": 1, "metric_weight": 1.0, "classification_weight": 2.0, "training.lr": 1e-4,
            "training.sampling": "subset",
        },
    }, title="where paper and code differ", shown=_FOUR),
    # -- HAM-Net
    _ablation("hamnet", "Table 1", "thumos14", _terms(_HAMNET, {
        row: row.lower().replace("+", " ")
        for row in (
            "BCL",
            "BCL + SAL",
            "BCL + SAL + guide",
            "BCL + SAL + sparse",
            "BCL + SAL + sparse + guide",
            "BCL + SAL + HAL + SSAL",
            "BCL + SAL + HAL + SSAL + guide",
            "BCL + SAL + HAL + SSAL + sparse",
            "BCL + SAL + HAL + sparse + guide",
            "BCL + SAL + SSAL + sparse + guide",
            "BCL + SAL + HAL + SSAL + sparse + guide",
        )
    })),
    _comparison("hamnet", "Table 2", {"HAM-Net (Ours)": "thumos14"}),
    _comparison("hamnet", "Table 3", {"HAM-Net (Ours)": "activitynet12"}),
    _comparison("hamnet", "Supplement, Table 2", {"Ours": "activitynet12"}),
    _ablation("hamnet", "Figure 4a", "thumos14", {
        "baseline": {"ssal_weight": 0.0, "hal_weight": 0.0},
        "random": {"drop": "random"},
        "inverse": {"drop": "inverse"},
        "selective (ours)": {"drop": "discriminative"},
    }, title="which snippets are dropped", shown=_THUMOS14),
    _ablation("hamnet", "Figure 4b", "thumos14", {
        f"lambda = {w:g}": {"ssal_weight": w, "hal_weight": w} for w in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)
    }, title="weight of SSAL and HAL", shown=("avg 0.1:0.7",)),
    _ablation("hamnet", "Supplement, Figure 1a", "thumos14", {
        f"alpha = {w:g}": {"sparse_weight": w} for w in (0.0, 0.4, 0.8, 1.0)
    }, title="weight of the sparsity loss", shown=("avg 0.1:0.7",)),
    _ablation("hamnet", "Supplement, Figure 1b", "thumos14", {
        f"beta = {w:g}": {"guide_weight": w} for w in (0.0, 0.4, 0.8, 1.0)
    }, title="weight of the guide loss", shown=("avg 0.1:0.7",)),
    _ablation("hamnet", "Supplement, Figure 1c", "thumos14", {
        **{f"gamma = {g:g}": {"gamma": g} for g in (0.1, 0.2, 0.5, 0.8)},
        "gamma = 0.2, absolute": {"drop_mode": "absolute"},
    }, title="drop threshold, relative to the video's maximum", shown=("avg 0.1:0.7",)),
    _ablation("hamnet", "Supplement, Figure 1d", "thumos14", {
        f"{n} snippets": {"training.snippets": n} for n in (100, 300, 500, 700)
    }, title="snippets of a video during training", shown=("avg 0.1:0.7",)),
    _ablation("hamnet", "Supplement, Figure 1e", "activitynet12", {
        f"{n} snippets": {"training.snippets": n} for n in (40, 80, 120)
    }, title="snippets of a video during training", shown=("avg 0.5:0.95",)),
)  # fmt: skip
