"""The evaluator against published tables and files, on real detections."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from wtal_core.evaluation import evaluate
from wtal_core.records import Annotations, Detections, Segments, VideoInfo


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
