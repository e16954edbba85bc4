"""The planted world as a data set folder."""

from __future__ import annotations

from pathlib import Path

from wtal_core.data import FeatureWriter, write_annotations
from wtal_core.data.dataset import Dataset, FeatureFile
from wtal_core.training.planted import CLASSES, World


def write_dataset(world: World, folder: Path, name: str = "tiny") -> Dataset:
    """Write a world as a data set folder with the splits train and test, and return it."""
    with FeatureWriter(folder / "features" / "planted.h5") as writer:
        for video in world.store.videos:
            writer.write(world.store.read(video))
    write_annotations(world.annotations, folder / "annotations.json")
    dataset = Dataset(
        folder=folder,
        name=name,
        splits={"train": ("training",), "test": ("test",)},
        class_list=CLASSES,
        feature_files=(FeatureFile("planted", "features/planted.h5"),),
    )
    dataset.save()
    return dataset
