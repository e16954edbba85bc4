"""The published annotation files: their counts, and that three sources of THUMOS14 agree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wtal_core.data.annotations import THUMOS14_CLASS_IDS, read_annotations, scan_annotations, write_annotations
from wtal_core.records import Annotations

THUMOS14 = "thumos14_official_txt"
ACMNET = "acmnet_thumos14_annotations/gt.json"
WTALC = "wtalc_thumos14_annotations"
ANET12 = "activitynet12_annotations/activity_net.v1-2.min-missing-removed.json"
ANET13 = "activitynet13_annotations/anet_anno_action.json"

_READ: dict[Path, Annotations] = {}


def read(shared: Path, name: str) -> Annotations:
    path = shared / "data" / name
    return _READ[path] if path in _READ else _READ.setdefault(path, read_annotations(path))


def instances(annotations: Annotations) -> Counter[tuple[str, str, float, float]]:
    t = annotations.instances
    return Counter(zip(t.video, t.label, np.round(t.start, 1).tolist(), np.round(t.end, 1).tolist(), strict=True))


def test_thumos14_counts(shared: Path) -> None:
    for source in (THUMOS14, ACMNET, WTALC):
        whole = read(shared, source)
        assert whole.classes == tuple(THUMOS14_CLASS_IDS), source
        for subset, videos, rows in (("test", 212, 3358), ("validation", 200, 3007)):
            part = whole.subset(subset)
            assert (len(set(part.instances.video)), len(part.instances)) == (videos, rows), source
            assert set(part.instances.label) == set(THUMOS14_CLASS_IDS), source


def test_thumos14_ambiguous_and_durations(shared: Path) -> None:
    whole = read(shared, THUMOS14)
    test, validation = whole.subset("test"), whole.subset("validation")
    assert (len(test.ambiguous), len(set(test.ambiguous.video))) == (99, 37)
    assert (len(validation.ambiguous), len(set(validation.ambiguous.video))) == (89, 35)
    assert set(test.videos) - set(test.instances.video) == {"video_test_0001292"}
    assert all(info.duration for info in whole.videos.values())
    mean = np.mean([info.duration for info in test.only(set(test.instances.video)).videos.values()])
    assert mean == pytest.approx(216.8, abs=0.05)
    only_test = read_annotations(shared / "data" / THUMOS14 / "temporal_annotations_test")
    assert only_test.instances == test.instances
    assert dict(only_test.videos) == dict(test.videos)


def test_three_sources_of_thumos14_agree(shared: Path) -> None:
    official = instances(read(shared, THUMOS14))
    assert official.total() == 6365
    assert instances(read(shared, ACMNET)) == official
    assert instances(read(shared, WTALC)) == official


def test_thumos14_findings(shared: Path) -> None:
    data = shared / "data"
    _, problems = scan_annotations(data / THUMOS14 / "temporal_annotations_test")
    assert Counter(p.kind for p in problems) == {"beyond_duration": 26, "avoid_list": 14, "faulty_video": 3}
    _, problems = scan_annotations(data / THUMOS14)
    assert Counter(p.kind for p in problems) == {"beyond_duration": 30, "avoid_list": 21, "faulty_video": 3}
    _, problems = scan_annotations(data / ACMNET)
    assert Counter(p.kind for p in problems) == {"beyond_duration": 92, "duration": 1, "faulty_video": 2}
    assert not any(p.fatal for p in problems)


def test_wtalc_video_labels_come_from_labels_all(shared: Path) -> None:
    found, problems = scan_annotations(shared / "data" / WTALC)
    assert len(found.videos) == 412
    assert Counter(p.kind for p in problems)["video_labels"] == 28
    assert found.videos["video_test_0000270"].labels == ()
    by_segments = {v: set(t.label) for v, t in found.instances.by_video().items()}
    assert sum(set(info.labels) != by_segments[v] for v, info in found.videos.items()) == 28
    assert Counter(info.fps for info in found.videos.values()) == {30.0: 399, 25.0: 11, 24.0: 2}


def test_activitynet_counts(shared: Path) -> None:
    anet12, anet13 = read(shared, ANET12), read(shared, ANET13)
    assert (len(anet12.videos), len(anet12.classes), len(anet12.instances)) == (8907, 100, 9869)
    assert [len(anet12.subset(s).videos) for s in ("training", "validation", "testing")] == [4441, 2198, 2268]
    assert (len(anet13.videos), len(anet13.classes), len(anet13.instances)) == (19228, 200, 22152)
    assert [len(anet13.subset(s).videos) for s in ("training", "validation", "testing")] == [9649, 4728, 4851]
    assert all(info.fps and info.duration and info.num_frames for info in anet13.videos.values())
    assert set(anet12.instances.label) == set(anet12.classes)
    _, problems = scan_annotations(shared / "data" / ANET13)
    assert Counter(p.kind for p in problems) == {"beyond_duration": 215, "duplicate": 45, "empty_segment": 12}


#: File -> videos, instances, ambiguous intervals.
OTHERS = {
    "stpn_thumos14_detections/gt.json": (210, 3311, 0),
    "autoloc_thumos14_detections/thumos14_gt.json": (210, 3234, 0),
    "thumos14_unet_scores/thumos_gt.json": (410, 6318, 0),
    "thumos14_unet_scores/val_Annotation.csv": (200, 3007, 89),
    "thumos14_unet_scores/test_Annotation.csv": (213, 3358, 99),
    "thumos14_unet_scores/thumos14_test_groundtruth.csv": (213, 3358, 99),
    "bmt_long_jump_i3d/annotations.json": (1, 2, 0),
}


def test_every_other_file_is_read(shared: Path) -> None:
    found = {name: read(shared, name) for name in OTHERS}
    assert {name: (len(a.videos), len(a.instances), len(a.ambiguous)) for name, a in found.items()} == OTHERS


def test_both_csv_forms_hold_the_official_instances(shared: Path) -> None:
    official = instances(read(shared, THUMOS14).subset("test"))
    for name in ("test_Annotation.csv", "thumos14_test_groundtruth.csv"):
        assert instances(read(shared, f"thumos14_unet_scores/{name}")) == official


def test_the_official_text_comes_out_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    write_annotations(read(shared, THUMOS14), tmp_path / "out")
    official = sorted((shared / "data" / THUMOS14).glob("temporal_annotations_*/*.txt"))
    assert len(official) == 42
    for file in official:
        assert (tmp_path / "out" / file.parent.name / file.name).read_bytes() == file.read_bytes(), file.name


def test_real_annotations_survive_our_json(shared: Path, tmp_path: Path) -> None:
    for name in (THUMOS14, ACMNET, WTALC, ANET12, ANET13):
        original = read(shared, name)
        write_annotations(original, tmp_path / "a.json")
        again = read_annotations(tmp_path / "a.json")
        assert again.classes == original.classes
        assert dict(again.videos) == dict(original.videos)
        assert again.instances == original.instances
        assert again.ambiguous == original.ambiguous
