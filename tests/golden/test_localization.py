"""Steps of the official localizations, each alone: interpolation, runs, contrast, suppression, fusion.

Every method's localization as a whole stands with the method (`test_<method>.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.arrays import Array
from wtal_core.intervals import IntervalIndex
from wtal_core.localization import (
    Curves,
    fuse_streams,
    nms,
    outer_inner_contrast,
    runs_above,
    soft_nms,
    to_frames,
    upsample,
)
from wtal_core.snippet_grid import SnippetGrid

Golden = dict[str, Any]

close = Fidelity("localization", rtol=0, atol=1e-12)  # float64


def in_order(rows: Array) -> Array:
    """Sort rows by their columns, the first one first; numbers that are equal to 1e-5 count as equal."""
    return rows[np.lexsort([column.round(5) for column in reversed(rows.T)])]


# -- HAM-Net ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept_from", ["0.2", "0.02"])
def test_soft_suppression(kept_from: str) -> None:
    golden = read("hamnet")
    label, score, start, end = golden[f"vid_prop_ct{kept_from}"].T
    done = soft_nms(start, end, score, label.astype(int), sigma=0.3, plus_one=True)
    assert sorted(done.keep.tolist()) == list(range(len(label)))  # nothing is discarded
    ours = in_order(np.column_stack([start, end, label, done.score]))
    theirs = in_order(golden[f"vid_det_ct{kept_from}"])
    close(ours[:, :3], theirs[:, :3], "soft suppression: times, class")
    close(ours[:, 3], theirs[:, 3], "soft suppression: scores")


# -- deep metric learning -----------------------------------------------------------------------------------------


def test_overlaps_with_ambiguous_intervals_are_removed() -> None:
    golden = read("deep_metric")
    rows, (video, start, end) = golden["det_all"], golden["ambiguous"].T
    grid = SnippetGrid.preset("i3d-25fps-16", 300)
    ambiguous = IntervalIndex(video.astype(int), *(grid.nearest_boundary(x).astype(float) for x in (start, end)))
    stays = np.flatnonzero(~ambiguous.touched(rows[:, 0].astype(int), rows[:, 1], rows[:, 2]))
    assert len(stays) < len(rows)
    close(in_order(rows[stays]), in_order(golden["det_ambig_filtered"]), "removal of ambiguous detections", atol=0)


# -- CMCS ---------------------------------------------------------------------------------------------------------


def test_cmcs_from_snippets_to_dilated_frames() -> None:
    golden = read("cmcs")
    raw, label = golden["case3/avg_score"].astype(np.float64), int(golden["case3/step_class"])
    grid = SnippetGrid(fps=float(golden["case3/fps"]), stride=16, window=16, num_snippets=len(raw))
    cas = np.exp(raw - raw.max(axis=1, keepdims=True))
    metric = Curves.of((cas / cas.sum(axis=1, keepdims=True))[:, label]).min_max()
    close(metric.values, golden["case3/step_metric"], "normalised CAS", atol=1e-5)  # the official CAS is float32
    _, dense = to_frames(metric.values[None], grid, kind="linear")
    curves = Curves.of(dense)
    close(curves.values, golden["case3/step_frames"], "CAS of frames", atol=1e-5)
    runs = runs_above(curves, curves.mean()[:, None], strict=True).dilated(20, curves.lengths)
    close(runs.mask(curves.values.size), golden["case3/step_mask"], "dilated mask", atol=0)


# -- ACM-Net ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", ["0.50", "0.55", "0.90"])
def test_acmnet_nms(threshold: str) -> None:
    golden = read("acmnet")
    rows = golden["nms/in"]
    done = nms(
        rows[:, 2], rows[:, 3], rows[:, 1], np.zeros(len(rows), int),
        threshold=float(threshold), plus_one=True, inclusive=True,
    )  # fmt: skip
    close(rows[done.keep], golden[f"nms/out_{threshold}"], "suppression, ACM-Net", atol=0)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
@pytest.mark.parametrize(("inflation", "gamma"), [(0.20, 0.0), (0.15, 0.25)])
def test_acmnet_contrast(threshold: float, inflation: float, gamma: float) -> None:
    golden = read("acmnet")
    curves = Curves.of(golden["oic/scores"])
    runs = runs_above(curves, threshold, strict=False, min_length=2, drop_lone_first=True)
    contrast = outer_inner_contrast(curves, runs, inflation=inflation)
    ours = np.column_stack([contrast.score(gamma * 7 / 20), runs.first * 0.032, (runs.last + 1) * 0.032])
    theirs = golden[f"oic/th{threshold}_l{inflation:.2f}_g{gamma:.2f}"]
    assert (theirs[:, 0] == 7).all()
    close(ours, theirs[:, 1:], "outer-inner contrast, ACM-Net")


def test_acmnet_upsampling() -> None:
    golden = read("acmnet")
    dense = upsample(golden["upsample/in"][:, :, 0].T, 20)
    close(dense.values.reshape(2, -1).T, golden["upsample/out20"][:, :, 0], "up-sampling, ACM-Net")


# -- ACN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["cover", "all"])
def test_acn_nms(which: str) -> None:
    golden = read("acn")
    chosen = golden["g5_keep_cover"] if which == "cover" else np.arange(len(golden["g5_props"]))
    start, end = golden["g5_props"][chosen].T
    done = nms(start, end + 1, golden["g5_score"][chosen], threshold=0.4)
    close(chosen[done.keep], golden[f"g5_nms_of_{which}"], "suppression, ACN", atol=0)


def test_acn_fusion() -> None:
    golden = read("acn")
    kept = {}
    for stream in "fr":
        start, end = golden[f"g6_p{stream}"].T
        done = nms(start, end + 1, golden[f"g6_s{stream}"], threshold=0.4)
        close(done.keep, golden[f"g6_keep_{stream}"], "suppression, ACN", atol=0)
        kept[stream] = (start[done.keep], end[done.keep] + 1, done.score[done.keep], np.zeros(len(done.keep), int))
    fused = fuse_streams(*kept["f"], *kept["r"], threshold=0.4)
    ours = np.column_stack([fused.stream, fused.index, fused.score])
    close(ours, golden["g6_fused"], "fusion of streams, ACN")
