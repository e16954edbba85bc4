"""A run in a notebook: what its folder holds, scores and failures as the commands give them, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import wtal_core as wtal
from tests.planted_dataset import write_dataset
from tests.planted_runs import make_run, world
from wtal_core.analysis.opened_run import OpenedRun
from wtal_core.errors import DataError, UsageError
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.training.planted import CLASSES, World

__all__ = ["world"]  # a fixture


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a run in it."""
    root = tmp_path_factory.mktemp("opened") / "planted"
    write_dataset(world, root)
    make_run(root / "runs" / "acmnet", world, "acmnet")
    return root


@pytest.fixture
def opened(folder: Path) -> OpenedRun:
    return wtal.open_run(folder / "runs" / "acmnet")


def test_what_the_folder_holds(opened: OpenedRun, folder: Path, world: World) -> None:
    path = folder / "runs" / "acmnet"
    assert (opened.folder, opened.name, opened.info.method) == (path, "acmnet", "acmnet")
    assert opened.config == Run.open(path).config()
    assert opened.detections == wtal.read_detections(path / "detections.json")
    assert len(opened.detections) > 0
    assert set(opened.videos) == set(world.videos("test"))
    found = opened.activations(opened.videos[0])
    assert found.classes == CLASSES
    with Run.open(path).activations() as store:
        np.testing.assert_array_equal(found.cas, store.read(opened.videos[0]).cas)
    with pytest.raises(DataError, match="unknown video 'nowhere'"):
        opened.activations("nowhere")


def test_scores_and_failures_are_those_of_the_functions(opened: OpenedRun, folder: Path) -> None:
    data = wtal.open_dataset(folder)
    assert opened.annotations.instances == data.annotations.instances
    expected = wtal.evaluate(opened.detections, data.annotations, tiou=data.evaluation.tiou, subset="test")
    pd.testing.assert_frame_equal(opened.evaluate().ap, expected.ap)
    assert opened.evaluate(tiou=0.3, protocol="thumos14", subset="training").protocol == "thumos14"
    assert opened.evaluate(tiou=0.3).tiou == (0.3,)
    failures = opened.failures(tiou=0.3)
    assert len(failures) > 0
    assert failures["cost"].is_monotonic_decreasing
    assert set(failures["video"]) <= set(data.videos("test"))
    assert set(failures["key"]) != set(opened.failures(tiou=0.7)["key"])
    assert opened.diagnose(0.3).mean_ap == opened.evaluate(tiou=0.3).mean_ap[0.3]
    with pytest.raises(UsageError, match="unknown subset"):
        opened.failures(subset="tset")


def test_the_data_set_can_be_named(world: World, folder: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "away", world, "hamnet")
    alone = wtal.open_run(tmp_path / "away")
    with pytest.raises(DataError, match=r"away: names no data set\. Open it with its data set: data=FOLDER"):
        alone.evaluate()
    for data in (folder, wtal.open_dataset(folder)):
        assert wtal.open_run(tmp_path / "away", data).evaluate().num_videos == len(world.videos("test"))


def test_what_a_run_does_not_hold_is_said_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    Run.create(tmp_path / "empty", RunInfo("somebodys", "", {"depth": 3}, CLASSES, 8))
    empty = wtal.open_run(tmp_path / "empty", folder)
    assert empty.config == {"depth": 3}
    assert "holds" in repr(empty)
    assert "nothing yet" in repr(empty)
    for ask in (lambda: empty.detections, empty.evaluate, empty.failures, lambda: empty.videos):
        with pytest.raises(DataError, match="has no detections yet"):
            ask()
    with pytest.raises(DataError, match="has no activations yet"):
        empty.activations("v")
    with pytest.raises(DataError, match="not a run folder"):
        wtal.open_run(tmp_path)


def test_detections_alone_are_enough_for_scores(opened: OpenedRun, folder: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "alone", RunInfo("", "", {}, CLASSES, 0))
    wtal.write_detections(opened.detections, run.detections_path, format="activitynet")
    alone = wtal.open_run(run.folder, folder)
    assert set(alone.videos) == set(opened.detections.video)
    pd.testing.assert_frame_equal(alone.evaluate().ap, opened.evaluate().ap)
    assert len(alone.failures()) == len(opened.failures())


def test_runs_print_in_a_few_lines(opened: OpenedRun) -> None:
    lines = repr(opened).splitlines()
    assert lines[0] == "Run acmnet: acmnet"
    assert lines[1].split() == ["holds", "activations,", "detections,", "checkpoint", "last"]
    assert "<td>holds</td>" in opened._repr_html_()
