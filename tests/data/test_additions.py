"""Previews of snippets, features that are listed later, foreign detections, examinations kept in a log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.planted import make_world
from wtal_core.data import Dataset, FeatureWriter, write_annotations
from wtal_core.data.additions import check_detections, list_features, unlisted_features
from wtal_core.data.doctor import diagnose_dataset
from wtal_core.data.examination import read_examination, stamps, total_bytes
from wtal_core.data.preview import preview_snippet
from wtal_core.errors import DataError, UsageError
from wtal_core.records import Annotations, Detections, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    world = make_world(num_train=4, num_test=2)
    write_annotations(world.annotations, tmp_path / "annotations.json", format="activitynet")
    with FeatureWriter(tmp_path / "features" / "first.h5") as writer:
        for video in world.store.videos:
            writer.write(world.store.read(video))
    (tmp_path / "dataset.yaml").write_text(
        "name: p\nsplits: {train: [training], test: [test]}\nfeatures: [features/first.h5]\n"
    )
    return tmp_path


def test_a_snippet_covers_its_frames_and_seconds() -> None:
    grid = SnippetGrid(fps=25, stride=16, window=32, num_snippets=10, duration=7.0)
    rows = Segments("v", ["Jump", "Dive"], [0.5, 1.0], [1.1, 3.0])
    truth = Annotations(("Dive", "Jump"), {"v": VideoInfo("test", duration=7.0)}, rows)
    seen = preview_snippet(grid, 1, frames=3, annotations=truth, video="v")
    assert (seen.start, seen.end, seen.seen_until) == (0.64, 1.28, 1.92)  # it sees longer than it owns
    assert (seen.first_frame, seen.last_frame, seen.beyond) == (16, 47, 0)
    assert seen.times == pytest.approx((0.64, 1.28, 1.88))
    assert seen.actions == ("Jump",)  # its centre lies at 0.96 s
    last = preview_snippet(grid, 9)
    assert last.last_frame == 174  # 7 s at 25 fps; what would come later repeats it
    assert last.beyond == 144 + 32 - 175
    for index in (-1, 10):
        with pytest.raises(UsageError, match="0 to 9"):
            preview_snippet(grid, index)
    open_end = SnippetGrid(fps=25, stride=16, window=16, num_snippets=3)
    assert (preview_snippet(open_end, 2).last_frame, preview_snippet(open_end, 2).beyond) == (47, 0)


def test_features_that_were_made_later_are_found_and_listed(folder: Path) -> None:
    dataset = Dataset.open(folder)
    assert unlisted_features(dataset) == ()
    shutil.copy(folder / "features" / "first.h5", folder / "features" / "second.h5")
    (folder / "features" / ".third.new.h5").touch()  # an extraction in progress
    assert unlisted_features(dataset) == ("features/second.h5",)
    assert list_features(dataset, "features/second.h5").feature_names == ("first", "second")
    again = Dataset.open(folder)
    assert again.feature_names == ("first", "second")
    assert unlisted_features(again) == ()
    for path in ("features/second.h5", "../elsewhere.h5"):
        with pytest.raises(UsageError, match="not an unlisted file"):
            list_features(again, path)


def test_detections_of_other_systems_are_checked(folder: Path) -> None:
    truth = Dataset.open(folder).annotations
    first, second = list(truth.videos)[:2]
    length = truth.videos[first].duration or 0.0
    found = Detections(
        [first, first, "v_" + second, first],
        ["Dive", "Dance", "Dive", "Dive"],
        [0.0, 0.0, 0.0, length + 5],
        [1.0, 1.0, 1.0, length + 6],
        np.ones(4),
    )
    checked = check_detections(found, truth)
    assert (checked.rows, checked.known_rows) == (4, 2)
    said = " ".join(checked.problems)
    assert f"did they mean {second!r}?" in said
    assert "1 of 2 classes are not in the data set, e.g. 'Dance'" in said
    assert "1 detections start after their video's end" in said
    fine = check_detections(Detections(first, "Dive", [0.0], [1.0], [0.5]), truth)
    same = sum(info.subset == truth.videos[first].subset for info in truth.videos.values())  # its split, not all
    assert 1 < same < len(truth.videos)
    assert fine.problems == (f"{same - 1} of {same} videos of training have no detection: they count as misses.",)


def test_an_examination_is_read_back_from_a_log(folder: Path) -> None:
    diagnosis = diagnose_dataset(folder)
    log = folder / "worker.log"
    old, new = {"findings": [], "examined": {"videos": 0}}, diagnosis.to_dict()
    log.write_text(f"# wtal data doctor\n{json.dumps(old, indent=1)}\n# again\n{json.dumps(new, indent=1)}\n")
    assert read_examination(log) == diagnosis
    for text in ("# nothing\n", "# wtal\n{\n", '# wtal\n{\n "findings": [1]\n}\n'):
        log.write_text(text)
        with pytest.raises(DataError, match="examination"):
            read_examination(log)


def test_stamps_change_with_the_files_and_survive_missing_ones(folder: Path) -> None:
    dataset = Dataset.open(folder)
    before = stamps(dataset)
    assert total_bytes(before) == (folder / "features" / "first.h5").stat().st_size
    (folder / "annotations.json").write_text("{}")
    assert stamps(dataset) != before
    (folder / "features" / "first.h5").unlink()
    assert total_bytes(stamps(dataset)) == 0
