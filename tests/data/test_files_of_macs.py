"""Folders as macOS leaves them: `.DS_Store`, `._*` beside each file on a foreign disk, and accents apart from letters.

A file system of a Mac may spell "é" as "e" and "´" (NFD) where annotations have one letter (NFC); both are one name.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from wtal_core import interchange
from wtal_core.data import Dataset, open_features, read_annotations, read_detections, write_annotations
from wtal_core.data.annotations import detect_format
from wtal_core.data.detections import read_video_scores
from wtal_core.data.doctor import stamps
from wtal_core.data.features.grid_rule import GridRule
from wtal_core.data.features.native import FeatureWriter
from wtal_core.data.video_files import VideoFiles
from wtal_core.errors import DataError
from wtal_core.files import composed, stem, visible
from wtal_core.video.find_videos import find_videos

CAFE = "Caf\u00e9"
GRID = GridRule(fps=25.0, stride=16, window=16)
APART = unicodedata.normalize("NFD", CAFE)


def litter(folder: Path) -> None:
    """Leave what macOS leaves: a `.DS_Store`, and a `._name` (no file of its format) beside everything."""
    for file in [p for p in folder.rglob("*") if not p.name.startswith("._")]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    for inner in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        (inner / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def database(*videos: str) -> dict[str, object]:
    entry = {"subset": "test", "duration": 9.0, "annotations": [{"label": CAFE, "segment": [1, 2]}]}
    return {"version": "1", "database": dict.fromkeys(videos, entry)}


def test_names_are_compared_composed_and_hidden_files_left_out(tmp_path: Path) -> None:
    assert APART != CAFE
    assert composed(APART) == CAFE
    assert stem(tmp_path / f"{APART}.x.mp4") == f"{CAFE}.x"
    (tmp_path / "b.txt").touch()
    (tmp_path / "a.h5").touch()
    litter(tmp_path)
    assert [p.name for p in visible(tmp_path)] == ["a.h5", "b.txt"]
    assert [p.name for p in visible(tmp_path, "*.h5")] == ["a.h5"]


def test_a_data_set_folder(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps(database(CAFE)))
    (tmp_path / "dataset.yaml").write_text(
        f"name: x\nclasses: [{APART}]\nsplits: {{train: [test], test: [test]}}\n", "utf-8"
    )
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / f"{APART}.mp4").write_bytes(b"x")
    (tmp_path / "features").mkdir()
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / f"{APART}.npy", np.ones((4, 8), dtype=np.float32))
    source = open_features(tmp_path / "arrays", grid=GRID)
    with FeatureWriter(tmp_path / "features" / "i3d.h5") as writer:
        writer.write(source.read(CAFE))
    litter(tmp_path)

    dataset = Dataset.open(tmp_path)
    assert [feature.name for feature in dataset.feature_files] == ["i3d"]
    assert dataset.classes == dataset.annotations.classes == (CAFE,)
    (video,) = dataset.videos("test")
    assert video == CAFE
    assert dataset.video_path(video) == tmp_path / "videos" / f"{APART}.mp4"
    assert open_features(tmp_path / "features" / "i3d.h5").read(video).data.shape == (4, 8)
    assert not [name for name, _, _ in stamps(dataset) if Path(name).name.startswith(".")]


def test_videos(tmp_path: Path) -> None:
    (tmp_path / f"{APART}.mp4").write_bytes(b"x")
    litter(tmp_path)
    assert find_videos([tmp_path]) == {CAFE: tmp_path / f"{APART}.mp4"}
    videos = VideoFiles(tmp_path)
    assert len(videos) == 1
    assert videos.find(CAFE) == videos.find(APART) == tmp_path / f"{APART}.mp4"


def test_features_of_two_streams(tmp_path: Path) -> None:
    for name in ("rgb", "flow"):
        np.save(tmp_path / f"{APART}-{name}.npy", np.ones((4, 8), dtype=np.float32))
    litter(tmp_path)
    assert open_features(tmp_path, grid=GRID).videos == (CAFE,)
    (tmp_path / "other").mkdir()
    for name in (CAFE, APART):
        np.save(tmp_path / "other" / f"{name}.npy", np.ones((4, 8), dtype=np.float32))
    if len(list((tmp_path / "other").iterdir())) == 2:  # one file where the file system takes both for the same
        with pytest.raises(DataError, match="two files hold the same video"):
            open_features(tmp_path / "other", grid=GRID)


@pytest.mark.parametrize("name", [CAFE, APART])
def test_annotations(tmp_path: Path, name: str) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(database(name)))  # as "\u0301"
    (tmp_path / "plain.json").write_text(json.dumps(database(name), ensure_ascii=False), encoding="utf-8")
    (tmp_path / "gt.csv").write_text(f"video,label,start,end,subset\n{name},jump,1,2,test\n", encoding="utf-8")
    for file in ("gt.json", "plain.json", "gt.csv"):
        annotations = read_annotations(tmp_path / file)
        assert tuple(annotations.videos) == (CAFE,), file
        assert set(annotations.instances.video.tolist()) == {CAFE}, file


def test_thumos14_text(tmp_path: Path) -> None:
    folder = tmp_path / "temporal_annotations_test"
    folder.mkdir()
    (folder / "BaseballPitch_test.txt").write_text(f"{APART} 1.0 2.0\nvideo_test_0000001  3.0 4.0\n", encoding="utf-8")
    (tmp_path / "test_durations.txt").write_text(f"{APART}.mp4\n9.5\n", encoding="utf-8")
    litter(tmp_path)
    assert detect_format(tmp_path) == "thumos14"
    annotations = read_annotations(tmp_path)
    assert annotations.classes == ("BaseballPitch",)
    assert set(annotations.videos) == {CAFE, "video_test_0000001"}
    assert annotations.videos[CAFE].duration == 9.5


def test_detections(tmp_path: Path) -> None:
    rows = [{"label": APART, "score": 0.5, "segment": [1, 2]}]
    (tmp_path / "found.json").write_text(json.dumps({"version": "1", "results": {APART: rows}}))
    found = read_detections(tmp_path / "found.json")
    assert (found.video.tolist(), found.label.tolist()) == ([CAFE], [CAFE])
    assert read_video_scores(tmp_path / "found.json").videos == (CAFE,)


def test_subtitles(tmp_path: Path) -> None:
    (tmp_path / f"{APART}.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\njump\n")
    litter(tmp_path)
    assert interchange.formats.detect_format(tmp_path) == "srt"
    assert tuple(interchange.formats.read(tmp_path).videos) == (CAFE,)


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(database(APART, "plain")))
    first = read_annotations(tmp_path / "gt.json")
    write_annotations(first, tmp_path / "again.json", format="activitynet")
    assert tuple(read_annotations(tmp_path / "again.json").videos) == tuple(first.videos) == (CAFE, "plain")
