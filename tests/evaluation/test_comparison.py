"""Side by side: the same numbers as one by one; curves and histograms by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation import (
    averages,
    compare_detections,
    diagnose,
    evaluate,
    in_percent,
    mean_and_deviation,
    precision_recall,
    score_histogram,
)
from wtal_core.evaluation.benchmark import random_case
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

TRUTH = Annotations(
    classes=("A", "B", "never"),
    videos={"v": VideoInfo(duration=100)},
    instances=Segments("v", ["A", "A", "B"], [20, 40, 60], [30, 50, 70]),
)
ROWS = Detections("v", ["A", "A", "A", "B"], [20, 1, 40, 60], [30, 5, 50, 70], [0.9, 0.8, 0.7, 0.6])


def test_every_set_under_every_protocol() -> None:
    first, truth = random_case(300, 10, 3, seed=1)
    second, _ = random_case(300, 10, 3, seed=1)
    second = second[np.arange(0, 300, 2)]
    found = compare_detections({"a": first, "b": second}, truth, protocols=("activitynet", "thumos14"))
    for name, rows in (("a", first), ("b", second)):
        for protocol in ("activitynet", "thumos14"):
            expected = evaluate(rows, truth, protocol=protocol, matches=False)
            assert found.mean_ap(name, protocol) == expected.mean_ap
    classes = found.class_differences("a", "b", "thumos14", 0.5)
    assert classes["difference"].is_monotonic_decreasing
    np.testing.assert_allclose(classes["second"] - classes["first"], classes["difference"])
    expected_ap = evaluate(first, truth, protocol="thumos14", matches=False).ap[0.5]
    np.testing.assert_allclose(found.ap("thumos14", 0.5)["a"], expected_ap)
    with pytest.raises(UsageError, match="was not evaluated"):
        found.ap("thumos14", 0.55)
    with pytest.raises(UsageError, match="set of detections"):
        found.mean_ap("c", "thumos14")
    with pytest.raises(UsageError, match="protocol of this comparison"):
        found.mean_ap("a", "wtalc")
    with pytest.raises(UsageError, match="nothing to compare"):
        compare_detections({}, truth)


def test_classes_without_instances_are_left_out() -> None:
    found = compare_detections({"a": ROWS}, TRUTH)
    assert found.ap("activitynet").index.tolist() == ["A", "B"]


def test_seeds() -> None:
    worse = ROWS[[0, 1]]
    found = compare_detections({"s0": ROWS, "s1": worse}, TRUTH, tiou=(0.3, 0.5))
    levels, average = found.over_seeds(["s0", "s1"], "activitynet")
    # A: 1, 2/3 -> (1 + 2/3) / 2; B: 1. Without the last two: A 1/2, B 0.
    values = [(5 / 6 + 1) / 2, 0.25]
    assert levels[0.5] == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert average == pytest.approx(levels[0.5])
    assert mean_and_deviation([0.4]) == (0.4, None)
    assert in_percent(0.4, None) == "40.0 ± -"
    assert in_percent(0.4512, 0.0718) == "45.1 ± 7.2"
    with pytest.raises(UsageError):
        mean_and_deviation([])


def test_averages_over_presets() -> None:
    every = {t / 10: t / 10 for t in range(1, 8)}
    assert averages(every) == pytest.approx({"0.1:0.7": 0.4, "0.1:0.5": 0.3, "0.3:0.7": 0.5})
    assert averages({0.5: 0.2, 0.75: 0.1}) == pytest.approx({"all": 0.15})
    assert averages({}) == {}


def test_precision_recall_by_hand() -> None:
    mean, a, b = precision_recall(ROWS, TRUTH)
    assert (a.label, b.label) == ("A", "B")
    assert a.recall.tolist() == [0.5, 0.5, 1.0]
    assert a.precision.tolist() == [1.0, 0.5, pytest.approx(2 / 3)]
    assert a.envelope.tolist() == [1.0, pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert a.score.tolist() == [0.9, 0.8, 0.7]
    assert mean.precision[:51].tolist() == [1.0] * 51  # recall 0 to 0.5
    assert mean.precision[51:] == pytest.approx((2 / 3 + 1) / 2)
    only = precision_recall(ROWS, TRUTH, labels=["B"], tiou=(0.3, 0.5))
    assert [(c.label, c.tiou) for c in only] == [("mean", 0.3), ("B", 0.3), ("mean", 0.5), ("B", 0.5)]
    with pytest.raises(UsageError, match="class"):
        precision_recall(ROWS, TRUTH, labels=["C"])


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_area_under_the_curve_is_the_average_precision(protocol: str) -> None:
    rows, truth = random_case(400, 12, 3, seed=3)
    ap = evaluate(rows, truth, protocol=protocol, tiou=0.5, matches=False).ap[0.5]
    for curve in precision_recall(rows, truth, protocol=protocol)[1:]:
        heights = curve.envelope if protocol == "activitynet" else curve.precision
        area = float((np.diff(curve.recall, prepend=0.0) * heights).sum())
        assert area == pytest.approx(ap[curve.label])


def test_nothing_detected_has_a_flat_curve() -> None:
    mean, *classes = precision_recall(Detections.empty(), TRUTH)
    assert mean.precision.tolist() == [0.0] * 101
    assert all(curve.recall.size == 0 for curve in classes)


def test_score_histogram_by_hand() -> None:
    found = score_histogram(ROWS, TRUTH, bins=3)
    assert found.edges == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert (found.true_positives.sum(), found.false_positives.tolist()) == (3, [0, 0, 1])
    only = score_histogram(ROWS, TRUTH, label="B", bins=2)
    assert only.true_positives.sum() == 1
    assert (np.diff(only.edges) > 0).all()
    empty = score_histogram(Detections.empty(), TRUTH)
    assert empty.true_positives.sum() == 0
    with pytest.raises(UsageError, match="class"):
        score_histogram(ROWS, TRUTH, label="C")
    with pytest.raises(UsageError, match="one tIoU"):
        score_histogram(ROWS, TRUTH, tiou=(0.3, 0.5))  # type: ignore[arg-type]


def test_histogram_and_diagnosis_count_the_same() -> None:
    rows, truth = random_case(400, 12, 3, seed=4)
    histogram, found = score_histogram(rows, truth, protocol="thumos14"), diagnose(rows, truth, protocol="thumos14")
    assert histogram.true_positives.sum() == (found.outcome == "tp").sum()
    assert histogram.false_positives.sum() == (~found.failures["miss"]).sum()
