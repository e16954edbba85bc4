"""Live post-processing, explanations, erasing and keeping, against what the pipeline itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.planted import CLASSES, World, make_world
from wtal_core import settings
from wtal_core.data.activations import write_activations
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import GroundTruthIndex, evaluate
from wtal_core.methods import create_method
from wtal_core.methods.base import Method
from wtal_core.records import Annotations, Detections, Segments, VideoInfo
from wtal_core.runs import live, tracks
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import localize, stored_activations


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(num_train=2, num_test=5)


def make_run(folder: Path, world: World, name: str, **config: Any) -> tuple[Run, Method]:
    """Make a run of a method with random weights, its activations and detections."""
    torch.manual_seed(0)
    method = create_method(name, classes=CLASSES, feature_dim=world.store.dim, **config).eval()
    run = Run.create(folder, RunInfo(name, "thumos14", settings.to_dict(method.config), CLASSES, world.store.dim))
    run.save_checkpoint("last", {"model": method.state_dict()})
    acts = {v: method.activations(world.store.read(v).data, grid=world.store.grid(v)) for v in world.videos("test")}
    write_activations(run.activations_path, acts)
    localize(run)
    return run, method


@pytest.fixture(scope="module")
def acmnet(world: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("live") / "acmnet", world, "acmnet")[0]


@pytest.fixture(scope="module")
def split(world: World, acmnet: Run) -> live.LiveSplit:
    truth = GroundTruthIndex(world.annotations, "test")
    return live.LiveSplit(acmnet, stored_activations(acmnet), truth)


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


def test_a_videos_detections_are_those_of_the_split(split: live.LiveSplit) -> None:
    video = next(iter(split.activations))
    localization = split.settings({"class_threshold": 0.01})
    one = live.localize_video("acmnet", video, split.activations[video], localization)
    of_split = split.update({"class_threshold": 0.01}).detections.for_video(video)
    assert one.detections.sorted() == of_split.sorted()


def test_unknown_settings_name_the_nearest(split: live.LiveSplit) -> None:
    with pytest.raises(UsageError, match="class_threshold"):
        split.update({"clas_threshold": 0.1})


def test_activations_of_another_split_are_refused(world: World, acmnet: Run) -> None:
    with pytest.raises(DataError, match="no activations of this split"):
        live.LiveSplit(acmnet, stored_activations(acmnet), GroundTruthIndex(world.annotations, "training"))


def _case() -> tuple[Annotations, Detections]:
    infos = {"a": VideoInfo(subset="test", duration=60), "b": VideoInfo(subset="test", duration=60)}
    truth = Segments(["a", "a", "b"], ["Dive", "Jump", "Dive"], [10, 30, 5], [20, 40, 9])
    rows = Detections(
        "a", ["Dive", "Dive", "Dive", "Jump"], [10, 11, 31, 50], [19, 20, 40, 55], [0.9, 0.8, 0.7, 0.6], ""
    )
    return Annotations(classes=CLASSES, videos=infos, instances=truth), rows


def test_verdicts_know_doubles_wrong_classes_and_misses() -> None:
    annotations, rows = _case()
    verdicts = live.judge(rows, annotations, "a", tiou=0.5)
    assert verdicts.outcome == ("tp", "fp", "fp", "fp")
    assert verdicts.missed.label.tolist() == ["Jump"]
    assert verdicts.near[0] == live.Near("Dive", 10, 20, pytest.approx(0.9))
    assert verdicts.near[1] is not None
    assert verdicts.near[1].label == "Dive"
    assert verdicts.near[2] == live.Near("Jump", 30, 40, pytest.approx(0.9))
    assert verdicts.near[3] is None


def test_a_video_without_truth_has_false_positives_only() -> None:
    annotations, rows = _case()
    alone = annotations.only(["a"])
    bare = Annotations(classes=CLASSES, videos=alone.videos, instances=Segments.empty())
    verdicts = live.judge(rows, bare, "a")
    assert set(verdicts.outcome) == {"fp"}
    assert len(verdicts.missed) == 0


def test_explanations_name_suppressed_rivals(world: World, split: live.LiveSplit) -> None:
    video = next(iter(split.activations))
    acts = split.activations[video]
    result = live.localize_video("acmnet", video, acts, split.settings({"class_threshold": 0.0}))
    explained = live.explain(result, acts, live.judge(result.detections, world.annotations, video))
    assert [e.score for e in explained] == sorted((e.score for e in explained), reverse=True)
    suppressed = int((result.proposals.suppressed_by >= 0).sum())
    assert suppressed > 0
    assert sum(e.num_rivals for e in explained) == suppressed
    with_rivals = next(e for e in explained if e.num_rivals)
    assert all(r.score <= with_rivals.score for r in with_rivals.rivals)


@pytest.mark.parametrize(
    "config",
    [{}, {"drop_mode": "absolute", "gamma": 0.5}, {"include_min": True, "gamma": 0.4}, {"drop": "inverse"}],
    ids=str,
)
def test_the_drop_lens_is_hamnets_own_drop(config: dict[str, Any], world: World) -> None:
    torch.manual_seed(1)
    method = create_method("hamnet", classes=CLASSES, feature_dim=32, attention_filters=8, **config).eval()
    video = world.videos("test")[0]
    acts = method.activations(world.store.read(video).data, grid=world.store.grid(video))
    _, dropped = live.drop_lens(acts.attention["foreground"], method.config)
    np.testing.assert_array_equal(dropped, acts.drop_mask)
    again = live.with_drop(acts, method.config, method.config.gamma)
    np.testing.assert_array_equal(again.attention["semi_soft"], acts.attention["semi_soft"])
    np.testing.assert_array_equal(again.attention["hard"], acts.attention["hard"])
    fewer = live.with_drop(acts, method.config, 0.99).drop_mask
    assert fewer is not None
    assert (fewer != acts.drop_mask).any()


def test_recomputing_says_what_inference_said(world: World, acmnet: Run) -> None:
    method = live.load_method(acmnet)
    video = world.videos("test")[1]
    done = live.recompute(method, world.store.read(video))
    np.testing.assert_allclose(done.activations[video].cas, stored_activations(acmnet, [video])[video].cas, atol=1e-6)
    assert done.seconds > 0


def test_changed_layers_are_refused_with_a_way_out(acmnet: Run, world: World, tmp_path: Path) -> None:
    run, _ = make_run(tmp_path / "hamnet", world, "hamnet", attention_filters=8)
    with pytest.raises(DataError, match="leave the network's layers"):
        live.load_method(run, changes={"attention_filters": 16})
    assert live.load_method(run, changes={"gamma": 0.5}).config.gamma == 0.5


@pytest.mark.parametrize("fill", ["zeros", "mean"])
def test_erasing_changes_the_brushed_snippets_only(world: World, fill: str) -> None:
    features = world.store.read(world.videos("test")[0])
    step = features.grid.step_seconds
    erased = live.erase(features, [(2 * step, 5 * step)], fill)
    changed = (erased.data != features.data).any(axis=1)
    assert changed.nonzero()[0].tolist() == [2, 3, 4]
    expected = np.zeros(features.dim) if fill == "zeros" else features.data.mean(axis=0)
    np.testing.assert_allclose(erased.data[3], expected, atol=1e-6)
    assert erased.grid == features.grid
    assert live.erase(features, []) is features


def test_keeping_links_what_is_large_and_writes_what_is_new(split: live.LiveSplit, acmnet: Run, tmp_path: Path) -> None:
    new = live.keep_as_new_run(acmnet, split.update({"class_threshold": 0.01}), folder=tmp_path / "kept")
    assert new.config().localization.class_threshold == 0.01
    assert new.activations_path.samefile(acmnet.activations_path)
    assert live.stored_localization(new).class_threshold == 0.01
    again = live.LiveSplit(new, stored_activations(new), split.truth)
    assert again.baseline.average == pytest.approx(split.update({"class_threshold": 0.01}).evaluation.average)
    with pytest.raises(UsageError, match="holds a run already"):
        live.keep_as_new_run(acmnet, split.update(), folder=tmp_path / "kept")


@pytest.mark.parametrize(
    ("values", "spaced"),
    [((0.1, 0.2, 0.3), (0.1, 0.3, 3)), ((0.1, 0.25, 0.3), None), ((0.5,), None), ((0.3, 0.2), None)],
)
def test_evenly_spaced(values: tuple[float, ...], spaced: tuple[float, float, int] | None) -> None:
    assert live.evenly_spaced(values) == spaced


def test_tracks_of_each_method_hold_its_curves_unrounded(world: World, acmnet: Run) -> None:
    video = world.videos("test")[0]
    acts = stored_activations(acmnet, [video])[video]
    made = {t.key: t for t in tracks.run_tracks(acts, "Jump", run="A")}
    np.testing.assert_array_equal(made["cas:A"].series[0].values, acts.cas[:, 1])
    assert made["heat:A"].row == 1
    cells = made["heat:A"].cells
    assert cells is not None
    low, high = made["heat:A"].low, made["heat:A"].high
    np.testing.assert_allclose(low + cells.T / 255 * (high - low), acts.cas, atol=(high - low) / 254)
    assert made["area:A"].kind == "area"
