"""`evaluate` against the slow oracles, by hand, and by what must not change."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import (
    PROTOCOLS,
    EvaluationProtocol,
    GroundTruthIndex,
    MatchTable,
    bootstrap_map,
    choice,
    compare_detections,
    diagnose,
    evaluate,
    paired_bootstrap,
    precision_recall,
    score_histogram,
)
from wtal_core.evaluation.benchmark import random_case
from wtal_core.records import Annotations, Detections, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

_spec = importlib.util.spec_from_file_location("evaluation_oracles", Path(__file__).with_name("oracles.py"))
assert _spec is not None
assert _spec.loader is not None
oracles = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = oracles
_spec.loader.exec_module(oracles)

CLASSES = ["a", "b", "c"]
THRESHOLDS = ("0.1", "0.25", "0.3", "0.5", "0.75", "1")


def annotations_of(instances, ambiguous=(), videos=("v1", "v2", "v3"), classes=CLASSES, subset="test"):
    return Annotations(
        classes=tuple(classes),
        videos={v: VideoInfo(subset=subset) for v in videos},
        instances=Segments(*(list(c) for c in zip(*instances, strict=True))) if instances else Segments.empty(),
        ambiguous=Segments([a[0] for a in ambiguous], "Ambiguous", [a[1] for a in ambiguous], [a[2] for a in ambiguous])
        if ambiguous
        else Segments.empty(),
    )


def detections_of(rows):
    return Detections(*(list(c) for c in zip(*rows, strict=True))) if rows else Detections.empty()


def segments(longest: int):
    # Multiples of 1/4 s are exact in binary, lengths 0 occur, equal times occur often.
    return st.tuples(st.integers(0, longest), st.integers(0, longest)).map(
        lambda t: (Fraction(min(t), 4), Fraction(max(t), 4))
    )


def cases(longest: int):
    segment = segments(longest)
    label = st.sampled_from(["a", "a", "b"])  # "c" never has an instance
    instance = st.tuples(st.sampled_from(["v1", "v2"]), label, segment).map(lambda x: (x[0], x[1], *x[2]))
    detection = st.tuples(
        st.sampled_from(["v2", "v1", "v1", "v3", "not annotated"]),
        st.sampled_from(["a", "a", "a", "b", "c"]),
        segment,
        st.sampled_from([0.1, 0.2, 0.2, 0.9]),
    ).map(lambda x: (x[0], x[1], *x[2], x[3]))
    ambiguous = st.tuples(st.sampled_from(["v1", "v3"]), segment).map(lambda x: (x[0], *x[1]))
    return st.tuples(
        st.lists(instance, min_size=1, max_size=9),
        st.lists(detection, max_size=14),
        st.lists(ambiguous, max_size=2),
    )


def assert_as_oracle(protocol, instances, detections, ambiguous, classes=CLASSES, videos=("v1", "v2", "v3")):
    got = evaluate(
        detections_of(detections),
        annotations_of(instances, ambiguous, videos, classes),
        protocol=protocol,
        tiou=[float(t) for t in THRESHOLDS],
    )
    ap_of = got.ap.stack(future_stack=True).to_dict()
    for threshold in THRESHOLDS:
        expected = oracles.ORACLES[protocol](classes, instances, detections, ambiguous, Fraction(threshold))
        for label, value in expected.items():
            ap = ap_of[label, float(threshold)]
            if value is None:
                assert np.isnan(ap), (label, threshold)
            else:
                assert ap == pytest.approx(float(value), abs=1e-12), (label, threshold)
    check_table(got, [0.3, 0.75])


def check_table(evaluation, thresholds):
    """The match table explains the numbers: partners agree, nothing is matched twice, AP follows from it."""
    table = MatchTable(evaluation)
    rule = oracles.interpolated if PROTOCOLS[evaluation.protocol].interpolated else oracles.not_interpolated
    dets, truth = table.detections.to_dict("index"), table.instances.to_dict("index")
    for tiou in thresholds:
        column = table.column(tiou)
        outcome, found = table.outcome(tiou), table.found(tiou)
        hits = {row: d[column] for row, d in dets.items() if outcome[row] == "tp"}
        assert len(set(hits.values())) == len(hits)
        assert {g: d for d, g in hits.items()} == {row: g[column] for row, g in truth.items() if g[column] >= 0}
        assert (found == "missed").sum() == len(truth) - len(hits)
        for row, instance in hits.items():
            assert (dets[row]["video"], dets[row]["label"]) == (truth[instance]["video"], truth[instance]["label"])
            assert dets[row]["best_tiou"] >= tiou
        ranked = sorted(dets.items(), key=lambda item: (-item[1]["score"], item[1]["video"], item[0]))
        for label, ap in evaluation.ap[tiou].items():
            npos = sum(g["label"] == label for g in truth.values())
            if npos:
                flags = [row in hits for row, d in ranked if d["label"] == label and outcome[row] != "dropped"]
                assert ap == pytest.approx(float(rule(flags, npos)), abs=1e-12)


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@given(case=cases(24))
@settings(max_examples=80)
def test_as_the_oracle_in_seconds(protocol, case):
    assert_as_oracle(protocol, *case)


@pytest.mark.parametrize("protocol", ["wtalc", "wtalc-original"])
@given(case=cases(60))
@settings(max_examples=80)
def test_as_the_oracle_in_snippets(protocol, case):
    assert_as_oracle(protocol, *case)


@pytest.mark.parametrize("at_once", [1, 40, 500_000])
@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("seed", [0, 1])
def test_as_the_oracle_in_a_crowd(protocol, seed, at_once, monkeypatch):
    """One video, one class, everything overlaps: long chains of displaced detections, or one after the other."""
    monkeypatch.setattr(choice, "PAIRS_AT_ONCE", at_once)
    rng = np.random.default_rng(seed)

    def quarter(n, start, length):
        starts = rng.integers(0, start, n)
        lengths = rng.integers(0, length, n)
        return [(Fraction(int(s), 4), Fraction(int(s + d), 4)) for s, d in zip(starts, lengths, strict=True)]

    instances = [("v1", "a", *t) for t in quarter(25, 40, 60)]
    scores = np.round(rng.random(120), 1)
    detections = [("v1", "a", *t, float(s)) for t, s in zip(quarter(120, 40, 60), scores, strict=True)]
    ambiguous = [("v1", Fraction(0), Fraction(3, 4))]
    assert_as_oracle(protocol, instances, detections, ambiguous)


# -- by hand ------------------------------------------------------------------------------------------------------


def test_protocols_differ_where_they_are_said_to():
    # The better-placed detection is ranked second; a third one hits nothing; a fourth lies on an Ambiguous interval.
    truth = annotations_of([("v1", "a", 0.0, 16.0), ("v1", "a", 64.0, 80.0)], [("v1", 32.0, 33.0)], classes=["a"])
    detections = detections_of(
        [
            ("v1", "a", 0.0, 8.0, 0.9),  # tIoU 1/2
            ("v1", "a", 32.0, 40.0, 0.8),  # Ambiguous
            ("v1", "a", 0.0, 16.0, 0.7),  # tIoU 1
            ("v1", "a", 64.0, 80.0, 0.6),  # tIoU 1
        ]
    )

    def ap(protocol, tiou=0.5):
        return evaluate(detections, truth, protocol=protocol, tiou=tiou).average

    # activitynet: tp fp fp tp -> precision 1 and 1/2, each half of the recall
    assert ap("activitynet") == pytest.approx((1 + 1 / 2) / 2)
    # thumos14: the instance takes its best detection: fp (dropped) tp tp -> 1/2 and 2/3, not interpolated
    assert ap("thumos14") == pytest.approx((1 / 2 + 2 / 3) / 2)
    # wtalc: the detection on Ambiguous goes first: tp fp tp; [0, 8) s is 12 of 25 snippets: below 0.5, so fp tp tp
    assert ap("wtalc") == pytest.approx(2 / 3)
    assert ap("wtalc-original") == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert ap("wtalc-original", 0.25) == pytest.approx((1 + 2 / 3) / 2)


def test_strict_and_non_strict_thresholds():
    truth = annotations_of([("v1", "a", 0.0, 2.0)], classes=["a"])
    half = detections_of([("v1", "a", 0.0, 1.0, 1.0)])
    assert evaluate(half, truth, tiou=0.5).average == 1.0
    assert evaluate(half, truth, protocol="thumos14", tiou=0.5).average == 0.0


def test_equal_scores_go_by_video_then_table():
    truth = annotations_of([("v1", "a", 0.0, 1.0)], classes=["a"], videos=["v0", "v1"])
    wrong, right = ("v0", "a", 0.0, 1.0, 0.5), ("v1", "a", 0.0, 1.0, 0.5)
    assert evaluate(detections_of([right, wrong]), truth, tiou=0.5).average == 0.5  # v0 before v1
    other = ("v1", "a", 5.0, 6.0, 0.5)
    assert evaluate(detections_of([right, other]), truth, tiou=0.5).average == 1.0
    assert evaluate(detections_of([other, right]), truth, tiou=0.5).average == 0.5


def test_many_equal_scores_go_by_video_then_table():
    """An attention that is saturated in videos of 2,500 snippets and more gives thousands of detections one score."""
    rng = np.random.default_rng(5)
    videos = ["v2", "v1", "v3"]
    instances = [(v, "a", Fraction(int(s)), Fraction(int(s) + 8)) for v in videos for s in range(0, 2600, 40)]
    detections = [
        (v, "a", Fraction(int(s)), Fraction(int(s + d)), 1.0)
        for v in videos
        for s, d in zip(rng.integers(0, 2600, 90), rng.integers(4, 12, 90), strict=True)
    ]
    for protocol in PROTOCOLS:
        assert_as_oracle(protocol, instances, detections, [("v1", Fraction(0), Fraction(50))], classes=["a"])
    # 2,600 detections of one score: the k-th in the table has rank k, whatever the sort.
    truth = annotations_of([("v1", "a", 10.0 * k, 10.0 * k + 8) for k in range(2600)], classes=["a"])
    right = np.arange(2600) % 2 == 0
    start = 10.0 * np.arange(2600) + np.where(right, 0.0, 8.5)
    rows = Detections("v1", ["a"] * 2600, start, start + np.where(right, 8.0, 1.0), np.ones(2600))
    precision = np.arange(1, 1301) / (2 * np.arange(1300) + 1)
    assert evaluate(rows, truth, protocol="thumos14", tiou=0.5).average == pytest.approx(
        precision.sum() / 2600, abs=1e-12
    )
    assert evaluate(rows[np.argsort(~right, kind="stable")], truth, tiou=0.5).average == 0.5
    shuffled = rows[rng.permutation(2600)]
    table = MatchTable(evaluate(shuffled, truth, tiou=0.5))
    assert (table.outcome(0.5) == "tp").sum() == 1300  # the order decides the AP, not what is found


def test_equal_tiou_goes_by_annotation_order_and_by_rank():
    """Of instances with equal tIoU the first in the annotations is taken, of detections the one ranked higher."""
    truth = annotations_of([("v1", "a", 4.0, 8.0), ("v1", "a", 0.0, 4.0)], classes=["a"])
    one = detections_of([("v1", "a", 2.0, 6.0, 0.9)])  # tIoU 1/3 with both
    for protocol in PROTOCOLS:
        found = MatchTable(evaluate(one, truth, protocol=protocol, tiou=0.25)).detections
        assert found["match@0.25"].tolist() == [0], protocol
        assert found["best"].tolist() == [0], protocol
    truth = annotations_of([("v1", "a", 2.0, 6.0)], classes=["a"])
    two = detections_of([("v1", "a", 4.0, 8.0, 0.5), ("v1", "a", 0.0, 4.0, 0.9)])
    for protocol in PROTOCOLS:
        found = MatchTable(evaluate(two, truth, protocol=protocol, tiou=0.25))
        assert found.instances["match@0.25"].tolist() == [1], protocol
        assert found.instances["best"].tolist() == [1], protocol


def test_match_table_by_hand():
    truth = annotations_of([("v2", "a", 9.0, 10.0), ("v1", "a", 0.0, 4.0), ("v1", "b", 0.0, 4.0)], subset="test")
    detections = detections_of(
        [("v1", "a", 0.0, 3.0, 0.5), ("v1", "a", 0.0, 4.0, 0.4), ("v3", "a", 0.0, 4.0, 0.3), ("v1", "a", 3.0, 5.0, 0.9)]
    )
    evaluation = evaluate(detections, truth, tiou=[0.2, 0.5])
    table = evaluation.matches
    assert table is not None
    assert table.columns.tolist() == [
        *("kind", "row", "video", "label", "start", "end", "score", "best", "best_tiou", "match@0.2", "match@0.5")
    ]
    assert table["row"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert table["best"].tolist() == [1, 1, -1, 1, -1, 1, -1]
    assert table["best_tiou"].tolist() == [0.75, 1.0, 0.0, 0.2, 0.0, 1.0, 0.0]
    assert table["match@0.2"].tolist() == [-1, -1, -1, 1, -1, 3, -1]
    assert table["match@0.5"].tolist() == [1, -1, -1, -1, -1, 0, -1]
    assert evaluate(detections, truth, matches=False).matches is None
    halves = MatchTable(evaluation)
    assert halves.outcome(0.5).tolist() == ["tp", "fp", "fp", "fp"]
    assert halves.found(0.5).to_dict() == {0: "missed", 1: "detected", 2: "missed"}
    with pytest.raises(UsageError, match=r"0\.7 was not evaluated"):
        halves.outcome(0.7)
    with pytest.raises(UsageError, match="matches=True"):
        MatchTable(evaluate(detections, truth, matches=False))


def test_dropped_detections_say_so_in_the_table():
    truth = annotations_of([("v1", "a", 0.0, 4.0)], [("v1", 3.0, 9.0)], classes=["a"])
    detections = detections_of([("v1", "a", 0.0, 5.0, 0.5), ("v1", "a", 4.0, 5.0, 0.4), ("v1", "a", 20.0, 21.0, 0.3)])
    # The first one matches at 0.5 although it touches an Ambiguous interval; at 0.9 it is dropped.
    kit = MatchTable(evaluate(detections, truth, protocol="thumos14", tiou=[0.5, 0.9]))
    assert kit.outcome(0.5).tolist() == ["tp", "dropped", "fp"]
    assert kit.outcome(0.9).tolist() == ["dropped", "dropped", "fp"]
    removed = MatchTable(evaluate(detections, truth, protocol="wtalc", tiou=[0.5, 0.9]))
    assert removed.outcome(0.5).tolist() == ["dropped", "dropped", "fp"]


def test_only_selected_videos_count():
    truth = Annotations(
        classes=("a",),
        videos={"v1": VideoInfo(subset="test"), "v2": VideoInfo(subset="test"), "v3": VideoInfo(subset="train")},
        instances=Segments(["v3", "v1", "v2"], "a", [0.0] * 3, [1.0] * 3),
    )
    detections = Detections(["v3", "v1"], "a", [5.0, 0.0], [6.0, 1.0], [0.9, 0.8])
    everything = evaluate(detections, truth, tiou=0.5)
    assert everything.average == pytest.approx(1 / 6)
    test = evaluate(detections, truth, tiou=0.5, subset="test")
    assert (test.average, test.num_videos, test.num_instances, test.num_detections) == (0.25, 2, 2, 2)
    assert test.notes[0] == (
        "1 detection in 1 video outside the subset (train, e.g. v3) counts as a false positive, as in the official "
        "evaluators; only_subset_videos leaves such ones out."
    )
    assert any("1 video of 2 with instances has no detection" in note for note in test.notes)
    assert MatchTable(test).instances.index.tolist() == [1, 2]  # rows of the table that was passed in
    assert evaluate(detections, truth, tiou=0.5, videos=["v1"]).average == 1.0
    assert evaluate(detections, truth, tiou=0.5, subset=["test", "train"]).average == everything.average
    assert evaluate(detections, truth, tiou=0.5, subset="test", videos=["v1", "v3"]).num_videos == 1
    index = GroundTruthIndex(truth, subset="test")
    assert evaluate(detections, index, tiou=0.5).average == 0.25
    for again in ({"subset": "test"}, {"videos": ["v1"]}, {"only_subset_videos": True}):
        with pytest.raises(UsageError, match="fixed"):
            evaluate(detections, index, **again)


def test_only_subset_videos_leaves_the_others_out():
    truth = Annotations(
        classes=("a",),
        videos={"v1": VideoInfo(subset="test"), "v2": VideoInfo(subset="train"), "v3": VideoInfo()},
        instances=Segments(["v1", "v2"], "a", [0.0, 0.0], [1.0, 1.0]),
    )
    # A case of two videos: the detection in the training video is right there, and still not one of the test split.
    rows = Detections(["v2", "v3", "new", "v1"], "a", [0.0] * 4, [1.0] * 4, [0.9, 0.8, 0.7, 0.6])
    assert evaluate(rows[[0, 3]], truth, tiou=0.5, subset="test").average == 0.5
    official = evaluate(rows, truth, tiou=0.5, subset="test")
    assert (official.average, official.num_detections) == (0.25, 4)
    assert [note for note in official.notes if "false positive" in note] == [
        "2 detections in 2 videos outside the subset (of no subset, train, e.g. v2) count as false positives, as in "
        "the official evaluators; only_subset_videos leaves such ones out.",
        "1 detection in 1 video that the annotations do not list (e.g. new) counts as a false positive.",
    ]
    alone = evaluate(rows, truth, tiou=0.5, subset="test", only_subset_videos=True)
    assert (alone.average, alone.num_detections) == (1.0, 1)
    assert alone.notes == ("Ignored 3 detections in 3 videos outside the 1 evaluated (e.g. new).",)
    index = GroundTruthIndex(truth, "test", only_subset_videos=True)
    assert evaluate(rows, index, tiou=0.5).average == 1.0


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_other_readings_go_through_everything_that_evaluates(protocol):
    """Curves, bootstrap, comparison and diagnosis count what `evaluate` counts, under both readings."""
    rows, truth = random_case(400, 12, 3, seed=2)
    videos = {v: replace(info, subset="test" if i % 3 else "train") for i, (v, info) in enumerate(truth.videos.items())}
    truth = replace(truth, videos=videos)
    for only in (False, True):
        chosen = {"protocol": protocol, "subset": "test", "only_subset_videos": only}
        scored = evaluate(rows, truth, tiou=0.5, **chosen)
        index = GroundTruthIndex(truth, "test", only_subset_videos=only)
        assert evaluate(rows, index, protocol=protocol, tiou=0.5).average == scored.average
        assert bootstrap_map(rows, truth, tiou=0.5, resamples=3, **chosen)["map"].iloc[0] == pytest.approx(
            scored.average
        )
        pair = paired_bootstrap(rows, rows[::2], truth, tiou=0.5, resamples=3, **chosen)
        assert pair["first"].iloc[0] == pytest.approx(scored.average)
        found = diagnose(rows, truth, tiou=0.5, **chosen)
        assert found.mean_ap == pytest.approx(scored.average, abs=1e-12)
        assert found.notes == scored.notes
        counted = ~np.isin(found.outcome, ("dropped", "outside"))
        curves = precision_recall(rows, truth, tiou=0.5, **chosen)
        with_instances = sum(len(curve.recall) for curve in curves if curve.label != "mean")
        assert with_instances == np.isin(rows.label[counted], [c.label for c in curves]).sum()
        histogram = score_histogram(rows, truth, tiou=0.5, **chosen)
        assert histogram.true_positives.sum() + histogram.false_positives.sum() == counted.sum()
        of_others = np.array([videos[v].subset == "train" for v in rows.video])
        assert set(found.outcome[of_others]) <= ({"outside"} if only else {"other video", "dropped"})
        chosen.pop("protocol")
        both = compare_detections({"a": rows}, truth, tiou=0.5, protocols=[protocol], **chosen)
        assert both.evaluations["a", protocol].average == scored.average


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
@given(case=cases(24))
@settings(max_examples=40)
def test_a_subset_is_scored_as_the_oracle_scores_its_instances(protocol, case):
    """The official evaluators know the instances of the subset, and every detection of the file."""
    instances, detections, _ = case
    truth = annotations_of(instances)
    truth = replace(truth, videos={v: VideoInfo(subset="train" if v == "v2" else "test") for v in truth.videos})
    own = [i for i in instances if i[0] != "v2"]
    if not own:
        return
    got = evaluate(detections_of(detections), truth, protocol=protocol, subset="test", tiou=[0.1, 0.5]).ap
    for threshold in ("0.1", "0.5"):
        expected = oracles.ORACLES[protocol](CLASSES, own, detections, [], Fraction(threshold))
        for label, value in expected.items():
            assert got.loc[label, float(threshold)] == pytest.approx(
                np.nan if value is None else float(value), nan_ok=True
            )


def test_forgotten_subset_is_pointed_out():
    truth = Annotations(
        classes=("a",),
        videos={"v1": VideoInfo(subset="test"), "v2": VideoInfo(subset="train")},
        instances=Segments(["v1", "v2"], "a", 0.0 + np.zeros(2), np.ones(2)),
    )
    evaluation = evaluate(Detections(["v1"], "a", [0.0], [1.0], [1.0]), truth)
    assert any("was that subset meant" in note for note in evaluation.notes)


def test_videos_that_nobody_annotated():
    truth = annotations_of([("v1", "a", 0.0, 1.0)], classes=["a"])
    detections = detections_of([("elsewhere", "a", 0.0, 1.0, 0.9), ("v1", "a", 0.0, 1.0, 0.8)])
    evaluation = evaluate(detections, truth, tiou=0.5)
    assert evaluation.average == 0.5
    assert any("do not list (e.g. elsewhere) counts as a false positive" in note for note in evaluation.notes)
    assert evaluate(detections, truth, tiou=0.5, videos=["v1"]).average == 1.0


def test_only_videos_that_nobody_annotated_score_zero():
    truth = annotations_of([("v1", "a", 0.0, 1.0)], classes=["a"])
    detections = detections_of([("elsewhere", "a", 0.0, 1.0, 0.9), ("v1", "a", 0.0, 1.0, 0.8)])
    for options in ({}, {"videos": ["v1"]}, {"only_subset_videos": True}):
        evaluation = evaluate(detections[[0]], truth, tiou=0.5, **options)
        assert evaluation.average == 0.0
        assert evaluation.notes[0] == (
            "None of the 1 video with detections is annotated, so nothing can be right: their ids are such as "
            "'elsewhere', the annotated ones such as 'v1'. Use the same video ids in both files."
        )
    other = evaluate(detections[[1]], truth.renamed_videos(lambda video: f"v_{video}"))
    assert "Take the prefix off the annotations: strip_prefix='v_' of" in other.notes[0]
    long = evaluate(detections_of([("x" * 300, "a", 0.0, 1.0, 0.9)]), truth)  # a long name does not flood the terminal
    assert f"such as '{'x' * 77}...'" in long.notes[0]


def test_nothing_detected_is_zero_not_an_error():
    evaluation = evaluate(Detections.empty(), annotations_of([("v1", "a", 0.0, 1.0)]))
    assert evaluation.ap.loc["a"].tolist() == [0.0] * 7
    assert evaluation.ap.loc["b"].isna().all()
    assert evaluation.average == 0.0
    assert any("2 classes of 3 without instances" in note for note in evaluation.notes)
    assert evaluation.matches is not None
    assert len(evaluation.matches) == 1


def test_snippet_grid_of_the_caller():
    truth = annotations_of([("v1", "a", 0.0, 1.0)], classes=["a"])
    detections = detections_of([("v1", "a", 0.0, 0.7, 1.0)])
    coarse = evaluate(detections, truth, protocol="wtalc", tiou=0.9)  # both are 1 or 2 snippets of 0.64 s
    assert coarse.average == 0.0
    grid = SnippetGrid(fps=25.0, stride=25.0, window=25.0, num_snippets=0)
    assert evaluate(detections, truth, protocol="wtalc", tiou=0.9, grid=grid).average == 1.0
    assert any("0.64 s" in note for note in coarse.notes)


def test_custom_protocol():
    mixed = EvaluationProtocol("strict-anet", "ActivityNet's, but strict", strict=True)
    half = detections_of([("v1", "a", 0.0, 1.0, 1.0)])
    truth = annotations_of([("v1", "a", 0.0, 2.0)], classes=["a"])
    evaluation = evaluate(half, truth, protocol=mixed, tiou=[0.25, 0.5])
    assert evaluation.mean_ap == {0.25: 1.0, 0.5: 0.0}
    assert evaluation.protocol == "strict-anet"


# -- what must not change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_order_of_rows_does_not_matter_without_ties(protocol):
    detections, truth = random_case(3000, 60, 5, instances_per_video=8)
    before = evaluate(detections, truth, protocol=protocol).ap
    shuffled = detections[np.random.default_rng(0).permutation(len(detections))]
    np.testing.assert_allclose(evaluate(shuffled, truth, protocol=protocol).ap, before, atol=1e-12)
    index = GroundTruthIndex(truth)
    for _ in range(2):
        again = evaluate(detections, index, protocol=protocol, matches=False).ap
        np.testing.assert_array_equal(again, before)


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_only_the_order_of_scores_matters(protocol):
    detections, truth = random_case(2000, 40, 4, seed=3)
    squeezed = Detections(
        detections.video, detections.label, detections.start, detections.end, np.arctan(detections.score) * 1e-3 - 7
    )
    np.testing.assert_array_equal(
        evaluate(squeezed, truth, protocol=protocol).ap, evaluate(detections, truth, protocol=protocol).ap
    )


def test_ground_truth_as_detections_is_perfect():
    _, truth = random_case(10, 50, 6, seed=1)
    t = truth.instances
    perfect = Detections(t.video, t.label, t.start, t.end, np.ones(len(t)))
    assert evaluate(perfect, truth, tiou="0.5:0.95").average == 1.0
    assert evaluate(perfect, truth, protocol="thumos14", tiou="0.1:0.9").average == 1.0


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"protocol": "activitnet"}, UsageError, "Did you mean 'activitynet'"),
        ({"tiou": "0.1:0.6"}, UsageError, "cannot be read"),
        ({"tiou": [0.0, 0.5]}, UsageError, "out of range"),
        ({"subset": "tets"}, UsageError, "Did you mean 'test'"),
        ({"videos": ["v1", "v9"]}, UsageError, "unknown video 'v9'"),
        ({"videos": []}, DataError, "nothing to evaluate against"),
    ],
)
def test_bad_arguments(change, error, message):
    truth = annotations_of([("v1", "a", 0.0, 1.0)])
    with pytest.raises(error, match=message):
        evaluate(detections_of([("v1", "a", 0.0, 1.0, 0.5)]), truth, **change)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda d, a: evaluate(a, d), "these are no annotations .*got a Detections.*detections come before"),
        (lambda d, a: evaluate(d, "gt.json"), "these are no annotations .*got a str.*read_annotations"),
        (lambda d, a: evaluate("found.json", a), "these are no detections .*got a str.*read_detections"),
        (lambda d, a: evaluate(d.to_dataframe(), a), "these are no detections .*from_dataframe"),
        (lambda d, a: evaluate(d, a, protocol="wtalc", grid="unt-25fps-15"), "expected a SnippetGrid, got 'unt-25fps"),
    ],
)
def test_wrong_types_are_told_apart(what, message):
    truth = annotations_of([("v1", "a", 0.0, 1.0)])
    with pytest.raises(UsageError, match=message):
        what(detections_of([("v1", "a", 0.0, 1.0, 0.5)]), truth)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_times_beyond_all_measure_are_wrong_not_warnings(protocol):
    truth = annotations_of([("v1", "a", 0.0, 1.0)])
    far = detections_of([("v1", "a", 0.0, 1e300, 0.5), ("v1", "a", 1e15, 1e15 + 1, 0.4)])
    assert evaluate(far, truth, protocol=protocol, tiou=0.5).average == 0.0


def test_unknown_label_names_the_nearest_class():
    truth = annotations_of([("v1", "Diving", 0.0, 1.0)], classes=["Diving", "LongJump"])
    with pytest.raises(DataError, match=r"unknown class 'Divng'.*Did you mean 'Diving'"):
        evaluate(detections_of([("v1", "Divng", 0.0, 1.0, 0.5)]), truth)
