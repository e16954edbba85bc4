"""The evaluator against the official evaluators' numbers and published tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from wtal_core.evaluation import evaluate
from wtal_core.records import Annotations, Detections, Segments, VideoInfo, as_names
from wtal_core.snippet_grid import SnippetGrid


def named(prefix: str, numbers):
    return as_names([f"{prefix}{int(n):04d}" for n in numbers])


def annotations_of(classes, videos, instances, ambiguous=None, subset="test"):
    return Annotations(
        classes=tuple(map(str, classes)),
        videos={str(v): VideoInfo(subset=subset) for v in videos},
        instances=instances,
        ambiguous=Segments.empty() if ambiguous is None else ambiguous,
    )


# -- arrays made with the official evaluators ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def official(shared):
    return np.load(shared / "golden" / "eval_golden.npz")


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
def test_both_official_evaluators(official, protocol, scores, with_ambiguous, expected):
    videos, classes = as_names(official["videos"].tolist()), as_names(official["class_names"].tolist())
    truth = annotations_of(
        classes,
        videos,
        Segments(videos[official["gt_video"]], classes[official["gt_class"]], *official["gt_seg"].T),
        Segments(videos[official["amb_video"]], "Ambiguous", *official["amb_seg"].T) if with_ambiguous else None,
    )
    detections = Detections(
        videos[official["det_video"]], classes[official["det_class"]], *official["det_seg"].T, official[scores]
    )
    evaluation = evaluate(detections, truth, protocol=protocol, tiou=official["iou"])
    np.testing.assert_allclose(evaluation.ap.to_numpy().T, official[f"ap_{expected}"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(list(evaluation.mean_ap.values()), official[f"map_{expected}"], rtol=0, atol=1e-9)


def test_hamnet_evaluation(shared):
    golden = np.load(shared / "golden" / "hamnet.npz")
    gt, rows = golden["map_gt"], golden["map_pred"]
    # Two of the official detections are inverted. They overlap nothing; here they get no length, for the same effect.
    start, end = rows[:, 1], np.maximum(rows[:, 1], rows[:, 2])
    detections = Detections(named("v", rows[:, 0]), named("c", rows[:, 3]), start, end, rows[:, 4])
    truth = annotations_of(
        named("c", range(20)),
        sorted(set(named("v", gt[:, 0]))),
        Segments(named("v", gt[:, 0]), named("c", gt[:, 3]), gt[:, 1], gt[:, 2]),
    )
    evaluation = evaluate(detections, truth, tiou=golden["tIoU_thresh"])
    np.testing.assert_allclose(evaluation.ap.to_numpy().T, golden["map_ap"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(list(evaluation.mean_ap.values()), golden["map_mAP"], rtol=0, atol=1e-9)
    assert evaluation.average == pytest.approx(float(golden["map_avg"]), abs=1e-9)


def test_deep_metric_evaluation(shared):
    golden = np.load(shared / "golden" / "metric.npz")
    gt, rows = golden["map_gt_seconds"], golden["map_pred_snippets"]
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=0)
    start, end = grid.to_seconds(rows[:, 1]), grid.to_seconds(rows[:, 2])
    detections = Detections(named("v", rows[:, 0]), named("c", rows[:, 3]), start, end, rows[:, 4])
    truth = annotations_of(
        named("c", range(20)),
        sorted(set(named("v", gt[:, 0]))),
        Segments(named("v", gt[:, 0]), named("c", gt[:, 3]), gt[:, 1], gt[:, 2]),
    )
    evaluation = evaluate(detections, truth, protocol="wtalc", tiou=golden["map_tiou"])
    np.testing.assert_allclose(evaluation.ap.to_numpy().T, golden["map_ap"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(list(evaluation.mean_ap.values()), golden["map_mAP"], rtol=0, atol=1e-9)


def test_deep_metric_ambiguous_filter(shared):
    """The `wtalc` protocol removes exactly the detections that the official filter removes."""
    golden = np.load(shared / "golden" / "metric.npz")
    rows, kept, ambiguous = golden["det_all"], golden["det_ambig_filtered"], golden["ambiguous"]
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=0)
    detections = Detections(
        named("v", rows[:, 0]), named("c", rows[:, 3]), *(grid.to_seconds(rows[:, i]) for i in (1, 2)), rows[:, 4]
    )
    truth = annotations_of(
        named("c", range(20)),
        named("v", range(5)),
        Segments(["v0000"], ["c0000"], [0.0], [1.0]),
        Segments(named("v", ambiguous[:, 0]), "Ambiguous", ambiguous[:, 1], ambiguous[:, 2]),
    )
    table = evaluate(detections, truth, protocol="wtalc", tiou=0.5).matches
    table = table[table["kind"] == "detection"]
    remaining = rows[table.loc[table["match@0.5"] != -2, "row"]]
    assert len(kept) < len(rows)
    assert sorted(map(tuple, remaining.tolist())) == sorted(map(tuple, kept.tolist()))


# -- published detections and tables ------------------------------------------------------------------------------


def read_files(annotations: Path, detections: Path):
    """Read ActivityNet JSON with nothing but the standard library."""
    content = json.loads(annotations.read_text())
    database = content.get("database", content)
    rows = [
        (video, a["label"], float(a["segment"][0]), float(a["segment"][1]))
        for video, entry in database.items()
        for a in entry["annotations"]
    ]
    truth = Annotations(
        classes=tuple(sorted({row[1] for row in rows})),
        videos={video: VideoInfo(subset=entry.get("subset")) for video, entry in database.items()},
        instances=Segments(*map(list, zip(*rows, strict=True))),
    )
    results = [
        (video, a["label"], float(a["segment"][0]), float(a["segment"][1]), float(a["score"]))
        for video, entries in json.loads(detections.read_text())["results"].items()
        for a in entries
    ]
    return truth, results


def test_autoloc_published_table(shared):
    folder = shared / "data" / "autoloc_thumos14_detections"
    truth, rows = read_files(folder / "thumos14_gt.json", folder / "thumos14_detections.json")
    evaluation = evaluate(Detections(*map(list, zip(*rows, strict=True))), truth, tiou="0.1:0.9")
    assert (len(rows), evaluation.num_instances) == (20_763, 3_234)
    # The ground truth they were scored on lacks 3 of the detections' videos: false positives, in their table too.
    assert any("275 detections in 3 videos" in note for note in evaluation.notes)
    line = next(li for li in (folder / "published_map.tbl").read_text().splitlines() if li.startswith("| mAP"))
    published = [cell.strip() for cell in line.split("|")[2:-1]]
    assert [float(v) for v in published] == [0.467, 0.417, 0.358, 0.29, 0.212, 0.134, 0.058, 0.016, 0.002, 0.217]
    assert [f"{v:.3f}" for v in [*evaluation.mean_ap.values(), evaluation.average]] == published


def test_stpn_reproduction(shared):
    folder = shared / "data" / "stpn_thumos14_detections"
    truth, rows = read_files(folder / "gt.json", folder / "results.json")
    evaluation = evaluate(Detections(*map(list, zip(*rows, strict=True))), truth, tiou="0.1:0.9")
    assert (len(rows), evaluation.num_instances) == (9_151, 3_311)
    expected = [52.2, 44.2, 34.7, 26.1, 17.7, 10.1, 5.0, 1.3, 0.1]
    assert [round(100 * v, 1) for v in evaluation.mean_ap.values()] == expected
    published = [52.1, 44.2, 34.7, 26.1, 17.7, 10.1, 4.9, 1.3, 0.1]
    np.testing.assert_allclose([100 * v for v in evaluation.mean_ap.values()], published, atol=0.1)


def test_bmn_sample_file_is_essentially_the_ground_truth(shared):
    folder = shared / "data" / "activitynet13_annotations"
    truth, rows = read_files(folder / "anet_anno_action.json", folder / "sample_detection_prediction.json")
    with (folder / "video_info_new.csv").open() as handle:
        subsets = {row["video"]: row["subset"] for row in csv.DictReader(handle)}
    truth = Annotations(
        classes=truth.classes,
        videos={video: VideoInfo(subset=subsets[video]) for video in truth.videos},
        instances=truth.instances,
    )
    assert (len(truth.videos), len(truth.classes)) == (19_228, 200)
    rows = [(f"v_{video}", *rest) for video, *rest in rows]  # the sample leaves the prefix out
    detections = Detections(*map(list, zip(*rows, strict=True)))
    assert set(detections.score.tolist()) == {1.0}

    def average(table: Detections, **selection) -> float:
        return evaluate(table, truth, tiou="0.5:0.95", subset="validation", matches=False, **selection).average

    # All scores are equal, so the number hangs on where the ties put 361 detections in videos that are not annotated:
    # in file order .977, by video name .974, and with these videos left out .999.
    in_file_order = Detections(
        *(getattr(detections, name) for name in ("video", "label", "start", "end")), -np.arange(len(detections))
    )
    assert average(in_file_order) == pytest.approx(0.977, abs=5e-4)
    assert average(detections) == pytest.approx(0.9736, abs=5e-4)
    assert average(detections, videos=list(truth.videos)) == pytest.approx(0.9991, abs=5e-4)
