"""What stands in a training's way, said before it is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.planted_dataset import write_dataset
from wtal_core import settings
from wtal_core.data import Dataset, write_annotations
from wtal_core.methods import method_class
from wtal_core.methods.form import config_of
from wtal_core.records import Provenance
from wtal_core.training.planted import MemoryStore, World, make_world
from wtal_core.training.preflight import preflight


def test_what_would_stop_a_training_is_said_before(tmp_path: Path) -> None:
    dataset = write_dataset(make_world(num_train=4, num_test=2), tmp_path)
    folder = dataset.folder
    hamnet, cmcs = config_of("hamnet", "thumos14"), config_of("cmcs", "thumos14")
    assert preflight(dataset, method_class("hamnet"), hamnet) == []
    assert preflight(dataset, method_class("cmcs"), cmcs) == []  # the planted world has static clips
    without = replace(dataset.annotations, tracks={})
    write_annotations(without, folder / "annotations.json", format="activitynet")
    (obstacle,) = preflight(Dataset.open(folder), method_class("cmcs"), cmcs)
    assert obstacle.remedy == {"training.hard_negatives": False}
    assert preflight(Dataset.open(folder), method_class("cmcs"), settings.override(cmcs, obstacle.remedy)) == []
    (strange,) = preflight(dataset, method_class("hamnet"), hamnet, split="training")
    assert "no split “training”" in strange.message
    empty = Dataset(folder, "x", {"train": ("nothing",)})
    assert len(preflight(empty, method_class("hamnet"), hamnet)) == 2  # no features, no videos


@pytest.mark.parametrize("modalities", [(("rgb", 32),), (("flow", 16), ("rgb", 16))])
def test_streams_that_are_not_there_stand_in_the_way_of_what_takes_them_apart(
    modalities: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    world = make_world(num_train=2, num_test=1)
    made = Provenance("planted", modalities)
    store = MemoryStore({v: replace(world.store.read(v), provenance=made) for v in world.store.videos})
    dataset = write_dataset(World(store, world.annotations), tmp_path)
    late, acn = config_of("cmcs", "thumos14", {"streams": "late"}), config_of("acn", "thumos14")
    assert preflight(dataset, method_class("cmcs"), settings.override(late, {"streams": "both"})) == []
    (obstacle,) = preflight(dataset, method_class("cmcs"), late)
    assert "not RGB and flow of the same width" in obstacle.message
    assert obstacle.remedy == {"streams": "both"}
    (obstacle,) = preflight(dataset, method_class("acn"), acn)
    assert obstacle.remedy == {}, "ACN has no setting without streams"
