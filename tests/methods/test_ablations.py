"""Every row of every ablation table and every figure that the five papers print, as settings: each builds the method,
trains a step and localizes.

Table 5 of CMCS varies where static clips are mined, not the method: `wtal data static --rho`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch

from tests.planted import CLASSES
from wtal_core.methods import Batch, Method, create_method
from wtal_core.methods.hamnet import HAMNetConfig
from wtal_core.papers import get_paper, list_papers
from wtal_core.video.static_clips import StaticClipConfig

Rows = dict[str, dict[str, Any]]
DIM, LENGTHS = 16, (40, 40, 33, 25)


def switched(weights: dict[str, float], **rows: str) -> Rows:
    """Return rows that switch off every loss term they do not name."""
    return {row: {f"{t}_weight": 0.0 for t in weights if t not in kept.split()} for row, kept in rows.items()}


NO_STATIC = {"training.hard_negatives": False, "background_class": False}
MIL_ONLY = {"div_weight": 0.0, "norm_weight": 0.0}
HAMNET = dict.fromkeys(("bcl", "sal", "ssal", "hal", "sparse", "guide"), 1.0)
ACMNET = dict.fromkeys(("context", "background", "guide", "feat", "sparse"), 1.0)

#: (method, preset, table or figure) -> row -> changes of the preset. Rows that `papers/published.yaml` holds have its
#: names.
TABLES: dict[tuple[str, str, str], Rows] = {
    ("cmcs", "thumos14-unt", "Table 4"): {
        "Single + L_mil (Baseline)": {"branches": 1, **MIL_ONLY, **NO_STATIC},
        "Single + L_mil + HN": {"branches": 1, **MIL_ONLY},
        "Multiple + L_sum": NO_STATIC,
        "Multiple + L_mil + HN": MIL_ONLY,
        "Multiple + L_mil + L_div + HN": {"norm_weight": 0.0},
        "Multiple + L_sum + HN (No TA)": {"attention": False},
        "Multiple + L_sum + HN (Full)": {},
    },
    ("cmcs", "thumos14-unt", "Figures 3, 4: branches K"): {f"K = {k}": {"branches": k} for k in range(1, 9)},
    ("cmcs", "thumos14-unt", "Figure 3: diversity weight"): {
        f"{w:g}": {"div_weight": w, "norm_weight": w} for w in (0.0, 0.1, 0.2, 0.5, 1.0)
    },
    ("cmcs", "thumos14", "Tables 1-3, streams"): {
        s: {"streams": s} for s in ("rgb", "flow", "both", "late")
    },
    ("cmcs", "activitynet12", "Tables 2, 3"): {"its thresholds": {"filters": 8, "hidden": 4}},
    ("cmcs", "thumos14", "Eq. 2: one convolution a branch"): {
        "paper": {"hidden": 0},
        "paper's norm": {"hidden": 0, "norm_reference": "average_norm"},
    },
    ("deep_metric", "thumos14", "Figure 2"): {c: {"classification": c} for c in ("balanced_bce", "bce", "softmax_mil")},
    ("deep_metric", "thumos14", "Table 3"): {
        "L_BBCE": {"metric": "none"},
        "L_BBCE + L_Contrastive": {"metric": "contrastive"},
        "L_BBCE + L_Triplet": {"metric": "triplet"},
    },
    ("deep_metric", "thumos14", "Figure 3"): {
        d: {"distance": d} for d in ("cosine", "euclidean", "learned", "class_weight")
    },
    ("deep_metric", "thumos14", "Table 4"): {
        "one block for the whole video": {"block_size": 0, "localization.block_size": 0}
    },
    ("deep_metric", "thumos14", "Figure 4a: k"): {
        f"k = {k}": {"k": k, "localization.k": k} for k in (1, 5, 10, 20, 30, 60)
    },
    ("deep_metric", "thumos14", "Figure 4b: block size, k 6 % of it"): {
        f"{size}": {"block_size": size, "localization.block_size": size, "k": k, "localization.k": k}
        for size, k in ((20, 1), (40, 2), (60, 4), (100, 6), (200, 12))
    },
    ("deep_metric", "thumos14", "Table 5"): {
        "w/o clip": {"clip": 0.0},
        **{f"kappa = {k}": {"clip": float(k)} for k in (2, 3, 4, 5, 10)},
    },
    ("deep_metric", "thumos14", "Sec. 3, as printed"): {
        "paper": {
            "localization.threshold": "sigmoid", "localization.score": "sigmoid", "localization.clip": 4.0,
            "localization.min_length": 1, "metric_weight": 1.0, "classification_weight": 2.0, "training.lr": 1e-4,
            "training.sampling": "subset",
        }
    },
    ("acn", "thumos14", "Table 3"): {
        f"{name}, alpha = {a}": {"streams": stream, "localization.alpha": a}
        for name, stream in (("RGB", "rgb"), ("optical flow", "flow"))
        for a in (0.4, 0.5, 0.6, 0.7, 0.8)
    },
    **{
        ("acn", "thumos14", table): {
            f"-{row}": {"streams": stream, "localization.score": score}
            for row, score in (("L_c", "coherence"), ("L_OIC", "oic"), ("L", "full"))
        }
        for table, stream in (("Table 4", "rgb"), ("Table 5", "flow"))
    },
    ("acn", "thumos14", "Tables 1, 2: fusion, selection and attention"): {
        "fusion": {"streams": "both"},
        "literal selection": {"localization.selection": "cover", "localization.contain_tol": 0.2},
        **{m: {"localization.attention": m} for m in ("ratio", "absolute", "quantile", "minmax", "none")},
    },
    ("hamnet", "thumos14", "Table 1"): {
        row: next(iter(switched(HAMNET, row=row.lower().replace("+", " ")).values()))
        for row in (
            "BCL", "BCL + SAL", "BCL + SAL + guide", "BCL + SAL + sparse", "BCL + SAL + sparse + guide",
            "BCL + SAL + HAL + SSAL", "BCL + SAL + HAL + SSAL + guide", "BCL + SAL + HAL + SSAL + sparse",
            "BCL + SAL + HAL + sparse + guide", "BCL + SAL + SSAL + sparse + guide",
            "BCL + SAL + HAL + SSAL + sparse + guide",
        )
    },
    ("hamnet", "thumos14", "Figure 4a"): {
        "baseline": {"ssal_weight": 0.0, "hal_weight": 0.0},
        **{d: {"drop": d} for d in ("random", "inverse", "discriminative")},
    },
    ("hamnet", "thumos14", "Figure 4b: lambda"): {
        f"{w:g}": {"ssal_weight": w, "hal_weight": w} for w in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)
    },
    ("hamnet", "thumos14", "Supplement, Figure 1a-c"): {
        **{f"alpha {w:g}": {"sparse_weight": w} for w in (0.0, 0.4, 0.8, 1.0)},
        **{f"beta {w:g}": {"guide_weight": w} for w in (0.0, 0.4, 0.8, 1.0)},
        **{f"gamma {g:g}": {"gamma": g} for g in (0.1, 0.2, 0.5, 0.8)},
        "gamma 0.2, absolute": {"drop_mode": "absolute"},
    },
    ("hamnet", "thumos14", "Supplement, Figure 1d: snippets"): {
        str(n): {"training.snippets": n} for n in (100, 300, 500, 700)
    },
    ("hamnet", "activitynet12", "Supplement, Figure 1e: snippets"): {
        str(n): {"training.snippets": n} for n in (40, 80, 120)
    },
    **{
        ("acmnet", preset, table): switched(ACMNET, **rows)
        for preset, table, rows in (
            ("thumos14", "Table III", {
                "instance": "", "instance + background": "background", "instance + context": "context",
                "instance + context + background": "context background",
                "instance + context + background + additional losses": "context background guide feat sparse",
            }),
            ("activitynet13", "Table IV", {
                "instance": "", "instance + context": "context",
                "instance + context + background": "context background",
                "instance + context + background + additional losses": "context background guide feat sparse",
            }),
            ("thumos14", "Table V", {
                "none": "context background", "guide": "context background guide", "feat": "context background feat",
                "sparse": "context background sparse", "guide + feat": "context background guide feat",
                "guide + feat + sparse": "context background guide feat sparse",
            }),
        )
    },
    ("acmnet", "thumos14", "Table VI"): {
        f"T = {t}": {"training.snippets": t, "test_snippets": t} for t in (250, 500, 750, 900, 1000)
    },
    ("acmnet", "thumos14", "Sec. IV: ratios r"): {
        f"{r}": {"instance_ratio": r[0], "context_ratio": r[1], "background_ratio": r[2]}
        for r in ((8, 3, 3), (2, 10, 10), (4, 4, 4))
    },
}  # fmt: skip

SMALL: dict[str, dict[str, Any]] = {
    "acn": {"anchors": (1, 2, 4, 8), "hidden": 8},
    "cmcs": {},
    "deep_metric": {"training.batch_size": 4, "training.classes_per_batch": 1},
    "hamnet": {"attention_filters": 8},
    "acmnet": {},
}

#: Weights of the terms in `total`, for methods whose losses carry them in the config.
WEIGHTS: dict[str, dict[str, str]] = {
    "cmcs": {t: f"{t}_weight" for t in ("mil", "div", "norm")},
    "hamnet": {t: f"{t}_weight" for t in HAMNET},
    "acmnet": {
        "cls_ins": "instance_weight", "cls_con": "context_weight", "cls_bak": "background_weight",
        "guide": "guide_weight", "feat": "feat_weight", "sparse": "sparse_weight",
    },
    "deep_metric": {
        "bbce": "classification_weight", "bce": "classification_weight", "softmax": "classification_weight",
        "triplet": "metric_weight", "contrastive": "metric_weight",
    },
}  # fmt: skip


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]
    features = torch.rand(len(LENGTHS), max(LENGTHS), DIM, generator=generator) * mask[..., None]
    labels = torch.zeros(len(LENGTHS), len(CLASSES))
    labels[:, 0] = 1
    return Batch.of(features, labels, mask=mask)


def expected_total(method: Method, losses: dict[str, torch.Tensor], stage: str) -> torch.Tensor:
    """Return the combination of the terms that the method documents."""
    terms = {name: value for name, value in losses.items() if name != "total"}
    if method.name == "acn":
        kept = [v for n, v in terms.items() if n.startswith("cls_" if stage == "head" else "coherence_loss_")]
        return torch.stack(kept).sum()
    weighted = [getattr(method.config, WEIGHTS[method.name][name]) * value for name, value in terms.items()]
    # CMCS adds up the gradients of its videos, whose terms are reported as means.
    return torch.stack(weighted).sum() * (len(LENGTHS) if method.name == "cmcs" else 1)


CASES = [(*table, row) for table, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize(("name", "preset", "table", "row"), CASES, ids=lambda value: str(value))
def test_a_row_is_a_setting(name: str, preset: str, table: str, row: str) -> None:
    changes = TABLES[name, preset, table][row]
    torch.manual_seed(0)
    method = create_method(name, classes=CLASSES, feature_dim=DIM, preset=preset, **{**SMALL[name], **changes})
    for key, value in changes.items():
        assert attrgetter(key)(method.config) == value
    features = batch().features[0]
    for stage in method.stages():
        method.prepare_stage(stage.name, iter([features]))
        method.train().zero_grad()
        torch.manual_seed(1)
        losses = method.losses(batch(), stage=stage.name)
        assert all(bool(torch.isfinite(value)) for value in losses.values()), losses
        torch.testing.assert_close(losses["total"], expected_total(method, losses, stage.name), rtol=1e-5, atol=1e-5)
        torch.autograd.backward(losses["total"])
        torch.optim.SGD(method.parameters(), lr=1e-6).step()
        assert all(bool(torch.isfinite(p).all()) for p in method.parameters())
    found = method.localize(method.activations(features), video="v")
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize("name", list_papers())
def test_every_printed_ablation_is_here(name: str) -> None:
    paper = get_paper(name)
    for table in paper.tables:
        if table.about.startswith("comparison"):
            continue
        if (paper.method, table.name) == ("cmcs", "Table 5"):
            assert [StaticClipConfig(rho=float(row.method.split()[0])).rho for row in table.rows] == [15, 20, 25, 30]
            continue
        here = [rows for (method, _, title), rows in TABLES.items() if (method, title) == (paper.method, table.name)]
        assert here, f"{name}: {table.name}"
        assert [row.method for row in table.rows] == list(here[0]), f"{name}: {table.name}"


def test_rows_that_change_nothing_are_the_full_method() -> None:
    """A switched-off term must not be one that the rows only seem to name."""
    full = {(m, t): row for (m, _, t), rows in TABLES.items() for row, changes in rows.items() if not changes}
    assert full["cmcs", "Table 4"].endswith("(Full)")
    assert full["hamnet", "Table 1"] == "BCL + SAL + HAL + SSAL + sparse + guide"
    assert full["acmnet", "Table V"] == "guide + feat + sparse"
    assert {f"{t}_weight" for t in HAMNET} <= set(HAMNetConfig.__dataclass_fields__)
