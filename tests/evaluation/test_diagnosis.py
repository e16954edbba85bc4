"""Every kind of failure worked by hand, and every cost against a plain evaluation of the repaired detections."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation import (
    FALSE_POSITIVE_KINDS,
    KINDS,
    DiagnosisSettings,
    describe_failure,
    diagnose,
    evaluate,
    failure_kinds,
    false_positive_profile,
    missed_share,
    sensitivity,
)
from wtal_core.evaluation.benchmark import random_case
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

TRUTH = [("A", 20, 30), ("A", 40, 50), ("B", 60, 70)]


def annotations(
    instances: list[tuple[str, float, float]] = TRUTH, duration: float = 100, **tracks: Segments
) -> Annotations:
    labels, starts, ends = zip(*instances, strict=True)
    return Annotations(
        classes=("A", "B"),
        videos={"v": VideoInfo(subset="test", duration=100), "w": VideoInfo(subset="test", duration=100)},
        instances=Segments("v", labels, starts, ends),
        tracks=tracks,
    )


def detections(*rows: tuple[str, float, float, float]) -> Detections:
    labels, starts, ends, scores = zip(*rows, strict=True)
    return Detections("v", labels, starts, ends, scores)


TRACKS = {
    "fakes": Segments("v", "A/practice", [80], [84]),
    "context": Segments("v", ["A", "B/crowd"], [88, 94], [92, 98]),
}


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([("A", 20, 30, 0.9), ("A", 20.5, 30, 0.8)], "double"),
        ([("A", 61, 70, 0.9)], "wrong class"),
        ([("A", 62, 64, 0.9)], "wrong class"),  # inside B, tIoU 0.2
        ([("A", 20, 50, 0.9)], "merged"),  # tIoU 1/3 with both
        ([("B", 50, 80, 0.9)], "over-complete"),  # 20 s too much, nothing missing
        ([("B", 66, 80, 0.9)], "over-complete"),  # covers 0.4 only: tIoU 0.2, 10 s too much, 6 s missing
        ([("A", 42, 45, 0.9)], "incomplete"),
        ([("A", 44, 44.5, 0.9)], "incomplete"),  # tIoU 0.05, but inside
        ([("A", 36, 44, 0.9)], "incomplete"),  # shifted: 4 s too much, 6 s missing
        ([("A", 46, 50, 0.9), ("A", 40, 44, 0.8)], "split"),
        ([("A", 46, 48, 0.9), ("A", 44, 46, 0.8)], "incomplete"),  # the hull [44, 48] does not reach 0.5
        ([("A", 80, 84, 0.9)], "fake"),
        ([("A", 82, 87, 0.9)], "background"),  # 2 of 5 s on the fake
        ([("A", 88, 93, 0.9)], "context"),  # 4 of 5 s on the track
        ([("A", 94, 98, 0.9)], "background"),  # the context of B is none of A
        ([("A", 31, 34, 0.9)], "context"),  # 1 s beside an instance of 10 s
        ([("A", 50, 54, 0.9)], "context"),  # touching
        ([("A", 10, 14, 0.9)], "background"),  # 6 s away
        ([("B", 1, 5, 0.9)], "background"),
        ([("A", 50, 50, 0.9)], "background"),  # no length
    ],
)
def test_kind_of_a_false_positive(rows: list[tuple[str, float, float, float]], kind: str) -> None:
    found = diagnose(detections(*rows), annotations(**TRACKS))
    assert found.outcome[-1] == kind
    assert (found.outcome[:-1] == "tp").all() or (found.outcome == kind).all()


def test_instances_that_overlap_are_not_merged_by_a_detection() -> None:
    truth = annotations([("A", 20, 30), ("A", 21, 31)])
    assert diagnose(detections(("A", 10, 45, 0.9)), truth).outcome[0] == "over-complete"


def test_settings_move_the_borders() -> None:
    rows = detections(("A", 31, 34, 0.9))
    assert diagnose(rows, annotations(), settings=DiagnosisSettings(beside=0.05)).outcome[0] == "background"
    rows = detections(("A", 36, 44, 0.9))
    strict = DiagnosisSettings(background_tiou=0.4, share=0.6)
    assert diagnose(rows, annotations(), settings=strict).outcome[0] == "context"
    with pytest.raises(UsageError, match="share is out of range"):
        DiagnosisSettings(share=0)
    with pytest.raises(UsageError, match="beside"):
        DiagnosisSettings(beside=-1)
    with pytest.raises(UsageError, match="one tIoU"):
        diagnose(rows, annotations(), tiou=(0.3, 0.5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        ([("B", 60, 70, 0.9)], ["missed: video label", "missed: video label"]),
        ([("B", 60, 70, 0.9), ("A", 1, 5, 0.9)], ["missed: unseen", "missed: unseen"]),
        ([("B", 60, 70, 0.9), ("B", 20, 29, 0.9), ("A", 43, 45, 0.9)], ["missed: wrong class", "missed: boundaries"]),
        ([("B", 60, 70, 0.9), ("A", 15, 55, 0.9)], ["missed: boundaries", "missed: boundaries"]),
        ([("A", 20, 30, 0.9), ("A", 40, 50, 0.9)], ["missed: video label"]),
    ],
)
def test_kind_of_a_miss(rows: list[tuple[str, float, float, float]], kinds: list[str]) -> None:
    failures = diagnose(detections(*rows), annotations()).failures
    missed = failures[failures.miss].sort_values("start")
    assert missed["kind"].tolist() == kinds


def test_a_taken_instance() -> None:
    truth = annotations([("A", 20, 30), ("A", 21, 31)])
    failures = diagnose(detections(("A", 20, 30.5, 0.9)), truth).failures
    assert failures["kind"].tolist() == ["missed: taken"]


def test_split_needs_a_missed_instance() -> None:
    rows = detections(("A", 40, 50, 0.9), ("A", 46, 50, 0.5), ("A", 40, 44, 0.4))
    assert diagnose(rows, annotations()).outcome.tolist() == ["tp", "incomplete", "incomplete"]


def test_costs_by_hand() -> None:
    """One class, two instances: a false positive in front of a hit halves its precision."""
    truth = annotations([("A", 20, 30), ("A", 40, 50)])
    found = diagnose(detections(("A", 1, 5, 0.9), ("A", 20, 30, 0.8)), truth)
    assert found.mean_ap == pytest.approx(0.25)
    cost = dict(zip(found.failures["kind"], found.failures["cost"], strict=True))
    assert cost["background"] == pytest.approx(0.25)  # AP 1/2 without it
    # [40, 50] found behind the only hit: precisions 1/2 and 2/3, envelope 2/3 and 2/3.
    assert cost["missed: unseen"] == pytest.approx(2 / 3 - 0.25)
    assert found.totals["all false positives"] == pytest.approx(0.25)


def test_a_wrong_class_is_repaired_in_both_classes() -> None:
    rows = detections(("A", 61, 70, 0.9), ("A", 20, 30, 0.8), ("A", 40, 50, 0.7))
    found = diagnose(rows, annotations())
    wrong = found.failures[found.failures.kind == "wrong class"].iloc[0]
    # A: precisions 1/2, 2/3 -> envelope 2/3; without it 1. B: 0 -> 1. Mean over two classes.
    assert wrong.cost == pytest.approx((1 - 2 / 3 + 1) / 2)
    assert wrong.gain_class == pytest.approx(1 / 3)
    assert wrong.other == "B"
    missed = found.failures[found.failures.kind == "missed: wrong class"].iloc[0]
    assert missed.cost == pytest.approx(wrong.cost)
    assert (missed.other, missed.partner) == ("A", 0)


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14", "wtalc", "wtalc-original"])
def test_costs_are_those_of_evaluating_repaired_detections(protocol: str) -> None:
    """Random data: removing a detection and correcting its boundaries cost exactly what `evaluate` says."""
    rows, truth = random_case(250, 40, 3, seed=5)
    found = diagnose(rows, truth, protocol=protocol)
    base = evaluate(rows, truth, protocol=protocol, tiou=0.5, matches=False)
    np.testing.assert_allclose(found.ap, base.ap[0.5], rtol=0, atol=1e-12)

    def map_of(repaired: Detections) -> float:
        return evaluate(repaired, truth, protocol=protocol, tiou=0.5, matches=False).average

    matched = set(found.match.tolist())
    checked = {"removed": 0, "moved": 0}
    false = found.failures[~found.failures.miss]
    for failure in false.itertuples():
        keep = np.arange(len(rows)) != failure.row
        if failure.kind == "wrong class" and failure.target not in matched:
            continue
        moves = failure.kind in ("incomplete", "split", "over-complete", "merged") and failure.target not in matched
        if moves:
            start, end = rows.start.copy(), rows.end.copy()
            start[failure.row] = truth.instances.start[failure.target]
            end[failure.row] = truth.instances.end[failure.target]
            others = truth.instances[np.arange(len(truth.instances)) != failure.target]
            same = (others.video == failure.video) & (others.label == failure.label)
            if (same & (others.start < end[failure.row]) & (others.end > start[failure.row])).any():
                continue  # the documented exception
            if protocol.startswith("wtalc") and rows[[failure.row]].label[0] and _ambiguous(truth, failure):
                continue  # moved onto an Ambiguous interval, the protocol would drop it
            repaired = replace_columns(rows, start, end)
        else:
            repaired = rows[keep]
        assert failure.cost == pytest.approx(map_of(repaired) - base.average, abs=1e-9), failure
        checked["moved" if moves else "removed"] += 1
    assert checked["removed"] > 20
    assert checked["moved"] > 3


def replace_columns(rows: Detections, start: np.ndarray, end: np.ndarray) -> Detections:
    return Detections(rows.video, rows.label, start, end, rows.score)


def _ambiguous(truth: Annotations, failure: object) -> bool:
    table = truth.ambiguous.for_video(failure.video)  # type: ignore[attr-defined]
    target = failure.target  # type: ignore[attr-defined]
    return bool(
        ((table.start < truth.instances.end[target] + 1) & (table.end > truth.instances.start[target] - 1)).any()
    )


def test_removing_a_whole_kind_costs_its_total() -> None:
    rows, truth = random_case(600, 12, 3, seed=6)
    found = diagnose(rows, truth)
    for kind in ("background", "context", "double"):
        gone = rows[found.outcome != kind]
        expected = evaluate(gone, truth, tiou=0.5, matches=False).average - found.mean_ap
        assert found.totals[kind] == pytest.approx(expected, abs=1e-12)
    hits = rows[found.outcome == "tp"]
    expected = evaluate(hits, truth, tiou=0.5, matches=False).average - found.mean_ap
    assert found.totals["all false positives"] == pytest.approx(expected, abs=1e-12)
    assert found.totals["all misses"] > 0


@pytest.mark.parametrize("seed", range(6))
def test_costs_and_totals_bound_each_other(seed: int) -> None:
    """No repair hurts; a kind repaired as a whole gains what each of its failures gains and never more than is left."""
    rows, truth = random_case(300, 10, 3, seed=seed)
    found = diagnose(rows, truth, tiou=0.4)
    left = 1.0 - found.mean_ap
    assert (found.failures["cost"] >= -1e-12).all()
    assert (found.failures["cost"] <= left + 1e-12).all()
    false = found.failures[~found.failures["miss"]]
    for kind, group in false.groupby("kind"):
        assert group["cost"].max() <= found.totals[kind] + 1e-12 <= left + 2e-12, kind
    removed = false[~false["kind"].isin(["incomplete", "split", "over-complete", "merged", "wrong class"])]
    assert removed["cost"].max() <= found.totals["all false positives"] + 1e-12 <= left + 2e-12
    assert found.totals["all misses"] <= left + 1e-12
    assert found.failures["cost"].is_monotonic_decreasing, "ranked by cost"


def test_every_detection_and_every_instance_is_accounted_for() -> None:
    rows, truth = random_case(800, 15, 4, seed=7)
    found = diagnose(rows, truth, protocol="thumos14")
    assert set(found.outcome) <= {"tp", "dropped", "outside", *FALSE_POSITIVE_KINDS}
    hits = int((found.outcome == "tp").sum())
    misses = int(found.failures.miss.sum())
    assert hits + misses == len(truth.instances)
    false = int(np.isin(found.outcome, list(FALSE_POSITIVE_KINDS)).sum())
    assert false == int((~found.failures.miss).sum())
    assert found.failures["cost"].is_monotonic_decreasing
    assert (found.failures["cost"] >= -1e-12).all()
    assert set(found.failures["kind"]) <= set(KINDS)
    summary = found.summary
    assert summary["number"].sum() == len(found.failures)
    assert not found.outcome.flags.writeable


def test_detections_in_other_videos_are_a_kind_of_their_own() -> None:
    """They are false positives, and what happens there is not what the diagnosis is about."""
    truth = annotations(**TRACKS)
    videos = {"v": replace(truth.videos["v"], subset="test"), "w": replace(truth.videos["w"], subset="train")}
    instances = Segments.concat([truth.instances, Segments("w", ["A"], [1], [5])])
    truth = replace(truth, videos=videos, instances=instances)
    rows = Detections(["w", "v", "x"], "A", [1, 20, 0], [5, 30, 1], [0.9, 0.8, 0.7])
    found = diagnose(rows, truth, subset="test")
    assert found.outcome.tolist() == ["other video", "tp", "other video"]
    base = evaluate(rows, truth, tiou=0.5, subset="test").average
    gain = evaluate(rows[[1]], truth, tiou=0.5, subset="test").average - base
    assert gain > 0
    assert found.totals["other video"] == pytest.approx(gain)
    assert found.failures.set_index("video").loc["w", "cost"] == pytest.approx(gain)
    alone = diagnose(rows, truth, subset="test", only_subset_videos=True)
    assert alone.outcome.tolist() == ["outside", "tp", "outside"]


@pytest.mark.parametrize("at_once", [1, 7, 200_000])
def test_parts_of_any_size_give_one_diagnosis(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = random_case(700, 9, 2, instances_per_video=8, seed=3)
    tracks = {"fakes": truth.instances[::3], "context": truth.instances[::2]}
    truth = replace(truth, instances=truth.instances[1::2], tracks=tracks)
    whole = diagnose(rows, truth, tiou=0.6)
    monkeypatch.setattr(failure_kinds, "AT_ONCE", at_once)
    parts = diagnose(rows, truth, tiou=0.6)
    assert parts.outcome.tolist() == whole.outcome.tolist()
    assert parts.failures.equals(whole.failures)
    assert parts.totals == whole.totals
    assert len(set(whole.outcome)) > 7


def test_detections_outside_and_dropped_are_no_failures() -> None:
    truth = replace(annotations(), ambiguous=Segments("v", "Ambiguous", [80], [90]))
    rows = Detections(["v", "v", "w"], "A", [80, 20, 1], [84, 30, 5], [0.9, 0.8, 0.7])
    found = diagnose(rows, truth, protocol="thumos14", videos=["v"])
    assert found.outcome.tolist() == ["dropped", "tp", "outside"]
    assert found.failures["miss"].all()


def test_nothing_detected() -> None:
    found = diagnose(Detections.empty(), annotations())
    assert found.failures["kind"].tolist() == ["missed: video label"] * 3
    assert found.mean_ap == 0
    # A class without a true positive: the miss is found first. A: 1 of 2 instances; B: its only one.
    assert sorted(found.failures["cost"].round(6)) == [0.25, 0.25, 0.5]
    assert found.totals["all misses"] == pytest.approx(1)
    assert false_positive_profile(found).empty


def test_false_positive_profile_by_hand() -> None:
    rows = detections(("A", 20, 30, 0.9), ("A", 1, 5, 0.8), ("A", 2, 6, 0.7), ("B", 60, 70, 0.1))
    profile = false_positive_profile(diagnose(rows, annotations()))
    # A has two instances: ranks 1-2 are its first band. B has one.
    assert profile.index.tolist() == ["1G", "2G"]
    assert profile["detections"].tolist() == [3, 1]
    assert profile.loc["1G", "true positive"] == pytest.approx(2 / 3)
    assert profile.loc["2G", "background"] == 1
    with pytest.raises(UsageError, match="band"):
        false_positive_profile(diagnose(rows, annotations()), bands=0)


def test_sensitivity_by_hand() -> None:
    """A short and a long instance of A; only the long one is found, behind one false positive."""
    truth = annotations([("A", 20, 22), ("A", 40, 50)])
    rows = detections(("A", 80, 84, 0.9), ("A", 40, 50, 0.8))
    table = sensitivity(diagnose(rows, truth), "thumos14").set_index(["characteristic", "bucket"])
    # N = 2 instances per class. XS: recall 0. M: recall 1, precision 2 / (2 + 1).
    assert table.loc[("length", "XS"), "map_n"] == 0
    assert table.loc[("length", "M"), "map_n"] == pytest.approx(2 / 3)
    assert table.loc[("length", "M"), "range"] == "6 to 12 s"
    # All: recall 1/2, precision 1 / (1 + 1), half of the recall.
    assert table.loc[("all", "all"), "map_n"] == pytest.approx(0.25)
    assert table.loc[("coverage", "XL"), "range"] == "> 8 %"  # 10 s of 100 s
    assert table.loc[("instances", "S"), "instances"] == 2
    missed = missed_share(diagnose(rows, truth), "thumos14").set_index(["characteristic", "bucket"])
    assert missed.loc[("length", "XS"), "share"] == 1
    assert missed.loc[("length", "M"), "missed"] == 0
    with pytest.raises(UsageError, match="buckets"):
        sensitivity(diagnose(rows, truth), "coco")


def test_coverage_needs_durations() -> None:
    truth = replace(annotations(), videos={"v": VideoInfo(), "w": VideoInfo()})
    table = missed_share(diagnose(Detections.empty(), truth))
    assert set(table["characteristic"]) == {"length", "instances"}


def test_a_failure_in_words() -> None:
    truth = annotations()
    rows = detections(("A", 42, 45, 0.9), ("A", 61, 70, 0.5), ("A", 20, 30, 0.4))
    words = [describe_failure(f, truth, 0.5) for f in diagnose(rows, truth).failures.itertuples()]
    assert "Too short for A [40.0, 50.0] s: 7.0 s missing, 0.0 s too much, tIoU 0.30 < 0.5." in words
    assert "Lies on B [60.0, 70.0] s (tIoU 0.90), detected as A." in words
    tracks = annotations(**TRACKS)
    rows = detections(("A", 80, 83, 0.9), ("A", 89, 91, 0.5), ("A", 31, 34, 0.4))
    words = [describe_failure(f, tracks, 0.5) for f in diagnose(rows, tracks).failures.itertuples()]
    assert "Lies on a practice [80.0, 84.0] s, which looks like A and is not." in words
    assert "Lies on context [88.0, 92.0] s, which goes with A." in words
    assert "This A lies on or beside what goes with the action, not on the action." in words, "beside an instance"
    for kind in KINDS:  # every kind has a sentence
        miss = kind.startswith("missed")
        fake = SimpleNamespace(
            kind=kind, miss=miss, target=0, label="A", start=1.0, end=2.0, tiou=0.2, other="B", video="v"
        )
        assert describe_failure(fake, truth, 0.5).endswith(".")
