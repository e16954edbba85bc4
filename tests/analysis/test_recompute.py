"""Asking a run's model again, whole and with snippets erased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.planted_runs import make_run
from wtal_core.analysis.recompute import erase, load_method, recompute, recompute_split
from wtal_core.errors import DataError, UsageError
from wtal_core.methods import create_method
from wtal_core.methods.acn import ACN
from wtal_core.progress import listening
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import stored_activations
from wtal_core.training.planted import CLASSES, World


def test_recomputing_says_what_inference_said(world: World, acmnet: Run) -> None:
    method = load_method(acmnet)
    video = world.videos("test")[1]
    done = recompute(method, world.store.read(video))
    np.testing.assert_allclose(done.activations[video].cas, stored_activations(acmnet, [video])[video].cas, atol=1e-6)
    assert done.seconds > 0


def test_changed_layers_are_refused_with_a_way_out(acmnet: Run, world: World, tmp_path: Path) -> None:
    run, _ = make_run(tmp_path / "hamnet", world, "hamnet", attention_filters=8)
    with pytest.raises(DataError, match="leave the network's layers"):
        load_method(run, changes={"attention_filters": 16})
    assert load_method(run, changes={"gamma": 0.5}).config.gamma == 0.5


@pytest.mark.parametrize("fill", ["zeros", "mean"])
def test_erasing_changes_the_brushed_snippets_only(world: World, fill: str) -> None:
    features = world.store.read(world.videos("test")[0])
    step = features.grid.step_seconds
    erased = erase(features, [(2 * step, 5 * step)], fill)
    changed = (erased.data != features.data).any(axis=1)
    assert changed.nonzero()[0].tolist() == [2, 3, 4]
    expected = np.zeros(features.dim) if fill == "zeros" else features.data.mean(axis=0)
    np.testing.assert_allclose(erased.data[3], expected, atol=1e-6)
    assert erased.grid == features.grid
    assert erase(features, []) is features


def test_a_split_is_asked_video_by_video_and_counted(world: World, acmnet: Run) -> None:
    counted: list[tuple[float, float | None]] = []
    with listening(lambda done, total, _: counted.append((done, total))):
        done = recompute_split(load_method(acmnet), world.store, [*world.videos("test"), "no features of this one"])
    assert list(done.activations) == list(world.videos("test"))
    assert counted == [(float(k), 5.0) for k in range(6)]
    with pytest.raises(DataError, match="features"):
        recompute_split(load_method(acmnet), world.store, ["nowhere"])


def test_one_crop_of_many_can_be_asked_about(world: World, acmnet: Run) -> None:
    features = world.store.read(world.videos("test")[0])
    crops = replace(features, data=np.stack([features.data, 0.5 * features.data, features.data[::-1]]))
    method = load_method(acmnet)
    alone = recompute(method, features).activations[features.video]
    np.testing.assert_array_equal(recompute(method, crops, crop=0).activations[features.video].cas, alone.cas)
    second = recompute(method, crops, crop=1).activations[features.video]
    assert np.abs(second.cas - alone.cas).max() > 1e-6
    with pytest.raises(UsageError, match="no such crop"):
        recompute(method, crops, crop=3)


def test_a_method_that_keeps_imported_predictions_is_told_the_video(world: World) -> None:
    video = world.videos("test")[0]
    features = world.store.read(video)
    method = create_method("acn", classes=CLASSES, feature_dim=features.dim, snippet_predictions="imported")
    scp = np.full((features.grid.num_snippets, len(CLASSES)), 1 / len(CLASSES))
    stream = (scp, np.zeros(len(scp)), None)
    assert isinstance(method, ACN)
    method.import_predictions({video: {"rgb": stream, "flow": stream}})
    done = recompute(method, features, spans=[(0.0, 1.0)])
    np.testing.assert_allclose(done.activations[video].cas, scp, atol=1e-6)
