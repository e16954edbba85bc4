"""Live post-processing and keeping, against what the pipeline itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wtal_core.analysis import live
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import GroundTruthIndex, evaluate
from wtal_core.records import Detections
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import localize, stored_activations
from wtal_core.training.planted import World


def test_unchanged_settings_are_the_stored_run(split: live.LiveSplit) -> None:
    result = split.update()
    assert result.delta_average == 0
    assert set(result.delta.values()) == {0.0}


def test_changed_settings_give_what_localize_and_evaluate_give(
    world: World, acmnet: Run, split: live.LiveSplit
) -> None:
    changes = {"class_threshold": 0.01, "nms": 0.3}
    result = split.update(changes)
    expected = localize(acmnet, changes, store=False)
    assert result.detections == expected
    scored = evaluate(expected, world.annotations, subset="test")
    assert result.evaluation.mean_ap == scored.mean_ap
    assert result.delta_average == pytest.approx(scored.average - split.baseline.average)
    assert split.update(dict(changes)) is result, "the last results are kept"


def test_stored_detections_of_other_videos_are_left_out_on_both_sides(
    world: World, acmnet: Run, split: live.LiveSplit
) -> None:
    """A run may hold more than its split; what a threshold does not move is no part of a difference."""
    stored = split.update().detections
    label = stored.label[0]
    elsewhere = Detections(
        [next(iter(world.annotations.subset("training").videos)), "new"], label, [0, 0], [9, 9], [99, 99]
    )
    more = live.LiveSplit(acmnet, stored_activations(acmnet), split.truth, stored=stored + elsewhere)
    assert more.baseline.mean_ap == split.baseline.mean_ap
    assert more.update().delta_average == 0


def test_a_videos_detections_are_those_of_the_split(split: live.LiveSplit) -> None:
    video = next(iter(split.activations))
    localization = split.settings({"class_threshold": 0.01})
    one = live.localize_video(split.localizer, video, split.activations[video], localization)
    of_split = split.update({"class_threshold": 0.01}).detections.for_video(video)
    assert one.detections.sorted() == of_split.sorted()


def test_unknown_settings_name_the_nearest(split: live.LiveSplit) -> None:
    with pytest.raises(UsageError, match="class_threshold"):
        split.update({"clas_threshold": 0.1})


def test_activations_of_another_split_are_refused(world: World, acmnet: Run) -> None:
    with pytest.raises(DataError, match="no activations of this split"):
        live.LiveSplit(acmnet, stored_activations(acmnet), GroundTruthIndex(world.annotations, "training"))


def test_keeping_links_what_is_large_and_writes_what_is_new(split: live.LiveSplit, acmnet: Run, tmp_path: Path) -> None:
    new = live.keep_as_new_run(acmnet, split.update({"class_threshold": 0.01}), folder=tmp_path / "kept")
    assert new.config().localization.class_threshold == 0.01
    assert new.activations_path.samefile(acmnet.activations_path)
    assert live.stored_localization(new).class_threshold == 0.01
    again = live.LiveSplit(new, stored_activations(new), split.truth)
    assert again.baseline.average == pytest.approx(split.update({"class_threshold": 0.01}).evaluation.average)
    with pytest.raises(UsageError, match="holds a run already"):
        live.keep_as_new_run(acmnet, split.update(), folder=tmp_path / "kept")


def test_a_full_disk_leaves_no_half_run(
    split: live.LiveSplit, acmnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DataError("cannot be written: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(live, "write_detections", full)
        with pytest.raises(DataError, match="No space"):
            live.keep_as_new_run(acmnet, split.update(), folder=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    live.keep_as_new_run(acmnet, split.update(), folder=tmp_path / "kept")
    with pytest.raises(UsageError, match="holds a run already"):
        live.keep_as_new_run(acmnet, split.update(), folder=tmp_path / "kept")
    assert (tmp_path / "kept" / "detections.json").is_file()


@pytest.mark.parametrize(
    ("values", "spaced"),
    [((0.1, 0.2, 0.3), (0.1, 0.3, 3)), ((0.1, 0.25, 0.3), None), ((0.5,), None), ((0.3, 0.2), None)],
)
def test_evenly_spaced(values: tuple[float, ...], spaced: tuple[float, float, int] | None) -> None:
    assert live.evenly_spaced(values) == spaced
