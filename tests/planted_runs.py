"""What tests of live runs share: runs of random weights on a small planted world, with activations and detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from wtal_core import settings
from wtal_core.analysis import live
from wtal_core.data.activations import write_activations
from wtal_core.evaluation import GroundTruthIndex
from wtal_core.methods import create_method
from wtal_core.methods.base import Method
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import localize, stored_activations
from wtal_core.training.planted import CLASSES, World, make_world


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def acmnet(world: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("live") / "acmnet", world, "acmnet")[0]


@pytest.fixture(scope="session")
def split(world: World, acmnet: Run) -> live.LiveSplit:
    truth = GroundTruthIndex(world.annotations, "test")
    return live.LiveSplit(acmnet, stored_activations(acmnet), truth)
