"""The evaluator against the official evaluators' numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.evaluation import evaluate
from wtal_core.records import Annotations, Detections, Evaluation, Segments, VideoInfo, as_names
from wtal_core.snippet_grid import SnippetGrid

Golden = dict[str, Any]

close = Fidelity("evaluation", rtol=0, atol=1e-9)  # float64; Octave's tables have ten digits


def named(prefix: str, numbers: npt.ArrayLike) -> npt.NDArray[Any]:
    return as_names([f"{prefix}{int(n):04d}" for n in np.asarray(numbers)])


def annotations_of(instances: Segments, ambiguous: Segments | None = None, classes: int = 20) -> Annotations:
    return Annotations(
        classes=tuple(named("c", range(classes)).tolist()),
        videos={str(v): VideoInfo(subset="test") for v in sorted(set(instances.video))},
        instances=instances,
        ambiguous=Segments.empty() if ambiguous is None else ambiguous,
    )


def truth_of(rows: npt.NDArray[Any], classes: int = 20) -> Annotations:
    """Return the annotations of rows (video, start, end, class)."""
    segments = Segments(named("v", rows[:, 0]), named("c", rows[:, 3]), rows[:, 1], rows[:, 2])
    return annotations_of(segments, classes=classes)


def same_precision(evaluation: Evaluation, ap: npt.NDArray[Any], mean_ap: npt.NDArray[Any], protocol: str) -> None:
    close(evaluation.ap.to_numpy().T, ap, f"AP, {protocol}")
    close(list(evaluation.mean_ap.values()), mean_ap, f"mAP, {protocol}")


@pytest.mark.parametrize(
    ("protocol", "scores", "with_ambiguous", "expected"),
    [
        ("activitynet", "det_score", True, "anet"),
        ("activitynet", "det_score", False, "anet"),
        ("thumos14", "det_score", True, "th14"),
        ("thumos14", "det_score", False, "th14_noamb"),
        ("thumos14", "det_score_ties", True, "th14_ties"),
    ],
)
def test_both_official_evaluators(protocol: str, scores: str, with_ambiguous: bool, expected: str) -> None:
    official = read("evaluation")
    video, seconds = ({kind: official[f"{kind}_{of}"] for kind in ("gt", "amb", "det")} for of in ("video", "ms"))
    seconds = {kind: ms / 1000 for kind, ms in seconds.items()}
    truth = annotations_of(
        Segments(named("v", video["gt"]), named("c", official["gt_class"]), *seconds["gt"].T),
        Segments(named("v", video["amb"]), "Ambiguous", *seconds["amb"].T) if with_ambiguous else None,
    )
    detections = Detections(
        named("v", video["det"]), named("c", official["det_class"]), *seconds["det"].T, official[scores]
    )
    evaluation = evaluate(detections, truth, protocol=protocol, tiou=official["iou"])
    same_precision(evaluation, official[f"ap_{expected}"], official[f"map_{expected}"], protocol)


def test_hamnet_evaluation() -> None:
    golden = read("hamnet")
    rows = golden["map_pred"]
    # Two of the official detections are inverted. They overlap nothing; here they get no length, for the same effect.
    start, end = rows[:, 1], np.maximum(rows[:, 1], rows[:, 2])
    detections = Detections(named("v", rows[:, 0]), named("c", rows[:, 3]), start, end, rows[:, 4])
    evaluation = evaluate(detections, truth_of(golden["map_gt"]), tiou=golden["tIoU_thresh"])
    same_precision(evaluation, golden["map_ap"], golden["map_mAP"], "activitynet")
    close(evaluation.average, golden["map_avg"], "average mAP, activitynet")


@pytest.mark.parametrize("method", ["deep_metric", "co2net", "delu"])
def test_evaluation_in_snippets(method: str) -> None:
    golden = read(method)
    classes = golden["map_ap"].shape[1]
    rows = golden["map_pred_snippets"]
    rows = rows[rows[:, 3] < classes]  # detections of a class without instances count for nothing
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=0)
    start, end = grid.to_seconds(rows[:, 1]), grid.to_seconds(rows[:, 2])
    detections = Detections(named("v", rows[:, 0]), named("c", rows[:, 3]), start, end, rows[:, 4])
    truth = truth_of(golden["map_gt_seconds"], classes)
    evaluation = evaluate(detections, truth, protocol="wtalc", tiou=golden["map_tiou"])
    same_precision(evaluation, golden["map_ap"], golden["map_mAP"], "wtalc")


def test_deep_metric_ambiguous_filter() -> None:
    """The `wtalc` protocol removes exactly the detections that the official filter removes."""
    golden = read("deep_metric")
    rows, kept, ambiguous = golden["det_all"], golden["det_ambig_filtered"], golden["ambiguous"]
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=0)
    detections = Detections(
        named("v", rows[:, 0]), named("c", rows[:, 3]), *(grid.to_seconds(rows[:, i]) for i in (1, 2)), rows[:, 4]
    )
    truth = annotations_of(
        Segments(named("v", range(5)), ["c0000"] * 5, [0.0] * 5, [1.0] * 5),
        Segments(named("v", ambiguous[:, 0]), "Ambiguous", ambiguous[:, 1], ambiguous[:, 2]),
    )
    table = evaluate(detections, truth, protocol="wtalc", tiou=0.5).matches
    table = table[table["kind"] == "detection"]
    remaining = rows[table.loc[table["match@0.5"] != -2, "row"]]
    assert len(kept) < len(rows)
    assert sorted(map(tuple, remaining.tolist())) == sorted(map(tuple, kept.tolist()))
