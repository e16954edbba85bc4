"""Every method's localization, composed from the shared parts, against the official codes' results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.arrays import Array
from wtal_core.errors import DataError
from wtal_core.localization import (
    Contrast,
    Curves,
    Runs,
    fuse_streams,
    kept_classes,
    median_filter,
    midpoint_thresholds,
    nms,
    outer_inner_contrast,
    remove_overlapping,
    run_maxima,
    runs_above,
    soft_nms,
    to_frames,
    upsample,
)
from wtal_core.snippet_grid import SnippetGrid


@pytest.fixture(scope="module")
def golden(shared: Path) -> Callable[[str], Mapping[str, Array]]:
    return lambda name: np.load(shared / "golden" / name)


def softmax(x: Array, axis: int) -> Array:
    shifted = np.exp(x - x.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def sort_rows(table: Array, columns: Sequence[int]) -> Array:
    """Sort by the given columns, the first one first; nearly equal numbers count as equal."""
    return table[np.lexsort([np.round(table[:, c], 5) for c in reversed(columns)])]


# -- HAM-Net ------------------------------------------------------------------------------------------------------


def hamnet(attended: Sequence[Array], attention: Sequence[Array], scores: Array, keep_from: float) -> Array:
    """Localize V videos; rows (video, class, first, stop, score) in snippets, before suppression."""
    video, label = kept_classes(scores, keep_from, strict=False)
    runs = runs_above(attention, np.linspace(0.1, 0.9, 10), strict=True, drop_lone_first=True)
    runs, _ = runs.onto(video)
    curves = Curves.of([z[:, label[video == v]].T for v, z in enumerate(attended)])
    contrast = outer_inner_contrast(curves, runs, inflation=0.25)
    score = contrast.score(0.2 * scores[video, label][runs.row])
    return np.column_stack([video[runs.row], label[runs.row], runs.first, runs.last + 1, score])


@pytest.mark.parametrize("keep_from", [0.2, 0.02])
def test_hamnet(golden: Callable[[str], Mapping[str, Array]], keep_from: float) -> None:
    data = golden("hamnet.npz")
    logits, attention, scores = data["vid_logits"], data["vid_attention"][:, 0], data["vid_video_score"]
    grid = SnippetGrid.preset("i3d-25fps-16", len(logits))
    rows = hamnet([attention[:, None] * logits], [attention], scores[None], keep_from)
    start, end = grid.to_seconds(rows[:, 2]), grid.to_seconds(rows[:, 3])
    got = np.column_stack([rows[:, 1], rows[:, 4], start, end])
    want = data[f"vid_prop_ct{keep_from:g}"]
    assert got.shape == want.shape
    np.testing.assert_allclose(sort_rows(got, (0, 2, 3, 1)), sort_rows(want, (0, 2, 3, 1)), atol=1e-5)

    done = soft_nms(start, end, rows[:, 4], rows[:, 1].astype(int), sigma=0.3, plus_one=True)
    assert sorted(done.keep.tolist()) == list(range(len(rows)))  # nothing is discarded
    got = np.column_stack([start, end, rows[:, 1], done.score])
    want = data[f"vid_det_ct{keep_from:g}"]
    assert got.shape == want.shape
    np.testing.assert_allclose(sort_rows(got, (2, 0, 1, 3)), sort_rows(want, (2, 0, 1, 3)), atol=1e-5)


# -- deep metric learning -----------------------------------------------------------------------------------------


def block_scores(logits: Array) -> Array:
    """Return `(C,)`: the best block's mean of its 10 largest logits."""
    blocks = max(len(logits) // 60, 1)
    parts = np.split(logits, np.arange(1, blocks) * 60)
    return np.max([np.sort(p, axis=0)[-10:].mean(axis=0) for p in parts], axis=0)


def deep_metric(logits: Sequence[Array], scores: Array) -> Array:
    """Localize V videos; rows (video, start, end, class, score) in snippets."""
    classes = scores.shape[1]
    curves = Curves.of([s.T for s in logits])
    runs = runs_above(curves, midpoint_thresholds(curves, 0.5), strict=True, min_length=2)
    video, label = np.divmod(runs.row, classes)
    score = run_maxima(curves, runs) + 0.7 * scores[video, label]
    return np.column_stack([video, runs.first, runs.last + 1, label, score])


def test_deep_metric(golden: Callable[[str], Mapping[str, Array]]) -> None:
    data = golden("metric.npz")
    logits = [data[f"vid{v}_logits"] for v in range(5)]
    scores = np.array([block_scores(s) for s in logits])
    np.testing.assert_allclose(scores, data["video_cscore"], atol=1e-5)
    got = deep_metric(logits, scores)
    by = (0, 3, 1, 2)
    assert got.shape == data["det_all"].shape
    np.testing.assert_allclose(sort_rows(got, by), sort_rows(data["det_all"], by), atol=1e-5)

    grid = SnippetGrid.preset("i3d-25fps-16", 300)
    video, start, end = data["ambiguous"].T
    stays = remove_overlapping(
        got[:, 1], got[:, 2], got[:, 0].astype(int),
        other_start=grid.nearest_boundary(start), other_end=grid.nearest_boundary(end), other_group=video.astype(int),
    )  # fmt: skip
    want = data["det_ambig_filtered"]
    assert len(stays) == len(want) < len(got)
    np.testing.assert_allclose(sort_rows(got[stays], by), sort_rows(want, by), atol=1e-5)


# -- CMCS ---------------------------------------------------------------------------------------------------------


def cmcs(
    metric: Array,
    grid: SnippetGrid,
    *,
    threshold: float = 1.0,
    relative: bool = True,
    kind: str = "linear",
    dilation: int = 20,
    bonus: Array,
) -> tuple[Runs, Contrast, Array, Curves]:
    """Localize the normalised CAS `(R, T)` of R kept classes of one video; runs in frames."""
    _, dense = to_frames(metric, grid, kind=kind)  # type: ignore[arg-type]
    curves = Curves.of(dense)
    limits = threshold * curves.mean()[:, None] if relative else threshold
    runs = runs_above(curves, limits, strict=True).dilated(dilation, curves.lengths)
    contrast = outer_inner_contrast(curves, runs, inflation=0.25, min_outer=1, clip_left=False)
    return runs, contrast, contrast.score(bonus[runs.row]), curves


CMCS_VARIANTS: dict[str, dict[str, Any]] = {
    "thumos": {},
    "anet": {"threshold": 1e-7},
    "multiply": {},
    "attfilt": {},
    "maxthr": {"threshold": 0.4, "relative": False},
    "noglobal": {},
    "quad": {"kind": "quadratic"},
    "nearest": {"kind": "nearest"},
}


@pytest.mark.parametrize("variant", CMCS_VARIANTS)
@pytest.mark.parametrize("case", range(5))
def test_cmcs(golden: Callable[[str], Mapping[str, Array]], case: int, variant: str) -> None:
    data = golden("cmcs_postproc_golden.npz")
    scores, weight = data[f"case{case}/avg_score"], data[f"case{case}/weight"]
    _, fps, duration = data[f"case{case}/frame_cnt_fps_duration"]
    grid = SnippetGrid(fps=fps, stride=16, window=16, num_snippets=len(scores), duration=duration)
    video_scores = softmax(data[f"case{case}/global_score"].astype(np.float64), axis=0)[:-1]
    _, label = kept_classes(video_scores, 0.1)
    cas = softmax(scores.astype(np.float64), axis=1)[:, label].T  # (kept classes, T)
    attention = weight[:, 0].astype(np.float64)
    if variant == "multiply":
        cas = cas * attention
    metric = Curves.of(cas).min_max()
    if variant == "attfilt":
        kept = np.tile(~(attention < np.median(attention)), label.size)
        metric = metric.with_values(np.where(kept, metric.values, 0.0)).min_max()
    bonus = (0.0 if variant == "noglobal" else 0.25) * video_scores[label]
    run = lambda: cmcs(  # noqa: E731
        metric.values.reshape(cas.shape), grid, bonus=bonus, **CMCS_VARIANTS[variant]
    )
    if f"case{case}/det_{variant}" not in data:
        assert f"case{case}/raises_{variant}" in data or f"case{case}/raises_quad" in data
        with pytest.raises(DataError, match="3 snippets"):
            run()
        return
    runs, _, score, _ = run()
    start = grid.clip_seconds(grid.frames_to_seconds(runs.first))
    end = grid.clip_seconds(grid.frames_to_seconds(runs.last + 1))
    want = data[f"case{case}/det_{variant}"]
    got = np.column_stack([label[runs.row], start, end, score])
    assert got.shape == want.shape
    np.testing.assert_allclose(got[:, :3], want[:, :3], atol=1e-6)  # and in the official order
    np.testing.assert_allclose(got[:, 3], want[:, 3], atol=1e-5)


@pytest.mark.parametrize("case", range(5))
def test_cmcs_steps_of_one_class(golden: Callable[[str], Mapping[str, Array]], case: int) -> None:
    data = golden("cmcs_postproc_golden.npz")
    scores = data[f"case{case}/avg_score"]
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=len(scores))
    metric = Curves.of(softmax(scores.astype(np.float64), axis=1)[:, 7]).min_max()
    np.testing.assert_allclose(metric.values, data[f"case{case}/metric_c7"][:, 0], atol=1e-5)
    runs, _, _, curves = cmcs(metric.values[None], grid, bonus=np.zeros(1))
    np.testing.assert_allclose(curves.values, data[f"case{case}/metric_c7_frames"], atol=1e-5)
    np.testing.assert_array_equal(runs.mask(curves.values.size), data[f"case{case}/mask_c7"].astype(bool).ravel())


# -- ACM-Net ------------------------------------------------------------------------------------------------------

ACM_SETTINGS: dict[str, dict[str, Any]] = {
    "thu": {
        "keep_from": 0.25, "cas_thresholds": (0.15, 0.20), "attention_thresholds": np.arange(0.15, 0.96, 0.05),
        "alpha": 0.0, "inflation": 0.2, "gamma": (0.0, 0.0), "nms": 0.55,
    },
    "act": {
        "keep_from": 0.10, "cas_thresholds": (0.005, 0.01, 0.015, 0.02),
        "attention_thresholds": (0.005, 0.01, 0.015, 0.02),
        "alpha": 0.30, "inflation": 0.15, "gamma": (0.0, 0.25), "nms": 0.90,
    },
}  # fmt: skip


def acmnet(cas: Sequence[Array], attention: Sequence[Array], scores: Array, settings: Mapping[str, Any]) -> Array:
    """Localize V videos; rows (video, class, first, stop, score) in up-sampled positions, before suppression."""
    video, label = kept_classes(scores, settings["keep_from"], at_least_one=True)
    class_curves = upsample([c[:, label[video == v]].T for v, c in enumerate(cas)], 20)  # rows: pairs
    attention_curves = upsample(attention, 20)  # rows: videos
    bonus, alpha = scores[video, label], settings["alpha"]
    tables = []
    for source in ("cas", "attention"):
        limits = np.asarray(settings[f"{source}_thresholds"])
        curves = class_curves if source == "cas" else attention_curves
        every = runs_above(curves, limits, strict=False)
        runs = every.select(every.length >= 2)
        if source == "attention":
            runs, _ = runs.onto(video)

        def contrast_on(curves: Curves, row: Array, cut: bool, runs: Runs = runs, every: Runs = every) -> Contrast:
            return outer_inner_contrast(
                curves, runs, row=row, inflation=settings["inflation"], above=every if cut else None
            )

        contrast = contrast_on(class_curves, runs.row, source == "cas")
        if alpha:
            contrast = contrast.blend(contrast_on(attention_curves, video[runs.row], source == "attention"), alpha)
        score = contrast.score(settings["gamma"][source == "attention"] * bonus[runs.row])
        tables.append(np.column_stack([video[runs.row], label[runs.row], runs.first, runs.last + 1, score]))
    return np.concatenate(tables)


@pytest.mark.parametrize("name", ["thu", "act"])
def test_acmnet(golden: Callable[[str], Mapping[str, Array]], name: str) -> None:
    data = golden("acm_golden.npz")
    cas, attention = data["tr256/inst_cas"][0, :, :20], data["tr256/att"][0, :, 0]
    grid = SnippetGrid.preset("i3d-25fps-16", len(cas))
    assert grid.step_seconds / 20 == pytest.approx(float(data["tr256/t_factor"]))
    settings = ACM_SETTINGS[name]
    rows = acmnet([cas], [attention], data["tr256/inst_cls"][:, :20], settings)
    start, end = grid.to_seconds(rows[:, 2] / 20), grid.to_seconds(rows[:, 3] / 20)
    got = np.column_stack([rows[:, 1], rows[:, 4], start, end])
    want = data[f"tr256/proposals_before_nms_{name}"]
    assert got.shape == want.shape
    by = (0, 2, 3, 1)
    np.testing.assert_allclose(sort_rows(got, by), sort_rows(want, by), atol=1e-5)

    done = nms(start, end, rows[:, 4], rows[:, 1].astype(int), threshold=settings["nms"], plus_one=True, inclusive=True)
    got = np.column_stack([rows[:, 1], start, end, rows[:, 4]])[done.keep]
    want = data[f"tr256/det_{name}"]
    assert got.shape == want.shape
    by = (0, 1, 2, 3)
    np.testing.assert_allclose(sort_rows(got, by), sort_rows(want, by), atol=1e-5)


@pytest.mark.parametrize("threshold", ["0.50", "0.55", "0.90"])
def test_acmnet_nms(golden: Callable[[str], Mapping[str, Array]], threshold: str) -> None:
    data = golden("acm_golden.npz")
    rows, want = data["nms/in"], data[f"nms/out_{threshold}"]
    done = nms(
        rows[:, 2], rows[:, 3], rows[:, 1], np.zeros(len(rows), int),
        threshold=float(threshold), plus_one=True, inclusive=True,
    )  # fmt: skip
    np.testing.assert_array_equal(rows[done.keep], want)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
@pytest.mark.parametrize(("inflation", "gamma"), [(0.20, 0.0), (0.15, 0.25)])
def test_acmnet_contrast(
    golden: Callable[[str], Mapping[str, Array]], threshold: float, inflation: float, gamma: float
) -> None:
    data = golden("acm_golden.npz")
    curves = Curves.of(data["oic/scores"])
    runs = runs_above(curves, threshold, strict=False, min_length=2, drop_lone_first=True)
    contrast = outer_inner_contrast(curves, runs, inflation=inflation)
    got = np.column_stack([contrast.score(gamma * 7 / 20), runs.first * 0.032, (runs.last + 1) * 0.032])
    want = data[f"oic/th{threshold}_l{inflation:.2f}_g{gamma:.2f}"]
    assert (want[:, 0] == 7).all()
    np.testing.assert_allclose(got, want[:, 1:], atol=1e-6)


def test_acmnet_upsampling(golden: Callable[[str], Mapping[str, Array]]) -> None:
    data = golden("acm_golden.npz")
    dense = upsample(data["upsample/in"][:, :, 0].T, 20)
    np.testing.assert_allclose(dense.values.reshape(2, -1).T, data["upsample/out20"][:, :, 0], atol=1e-9)


# -- ACN ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["cover", "all"])
def test_acn_nms(golden: Callable[[str], Mapping[str, Array]], which: str) -> None:
    data = golden("acn.npz")
    chosen = data["g5_keep_cover"] if which == "cover" else np.arange(len(data["g5_props"]))
    start, end = data["g5_props"][chosen].T
    done = nms(start, end + 1, data["g5_score"][chosen], threshold=0.4)
    np.testing.assert_array_equal(chosen[done.keep], data[f"g5_nms_of_{which}"])


def test_acn_fusion(golden: Callable[[str], Mapping[str, Array]]) -> None:
    data = golden("acn.npz")
    kept = {}
    for stream in "fr":
        start, end = data[f"g6_p{stream}"].T
        done = nms(start, end + 1, data[f"g6_s{stream}"], threshold=0.4)
        np.testing.assert_array_equal(done.keep, data[f"g6_keep_{stream}"])
        kept[stream] = (start[done.keep], end[done.keep] + 1, done.score[done.keep], np.zeros(len(done.keep), int))
    fused = fuse_streams(*kept["f"], *kept["r"], threshold=0.4)
    got = np.column_stack([fused.stream, fused.index, fused.score])
    np.testing.assert_allclose(got, data["g6_fused"], atol=1e-12)


def test_static_clip_mask_uses_the_same_median(golden: Callable[[str], Mapping[str, Array]]) -> None:
    """CMCS's mining of static clips: log intensity, 25th percentile, median over 49, runs of at least 50."""
    data = golden("cmcs_postproc_golden.npz")
    for clip in range(3):
        intensity = np.log(data[f"bg{clip}/intensity"] + 1e-7)
        smooth = median_filter(intensity < np.percentile(intensity, 25), 49)
        runs = runs_above(smooth.astype(float), 0.5, min_length=50)
        np.testing.assert_array_equal(runs.mask(intensity.size), data[f"bg{clip}/mask"].astype(bool))
