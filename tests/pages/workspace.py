"""A small workspace for the app's tests: a planted data set, runs of three methods, one video with numbered frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wtal_core.cli import main
from wtal_core.data import Dataset, FeatureWriter, write_annotations
from wtal_core.data.activations import ActivationStore, ActivationWriter
from wtal_core.training.planted import make_world

#: Training that is long enough to find something, and short enough for a test.
_STEPS = {"hamnet": (40, "attention_filters=16"), "acmnet": (60, "cas_thresholds=[0.1,0.2,0.3]"), "cmcs": (60, "")}


def give_crops(dataset: Path, crops: int = 3) -> None:
    """Give a data set's features several crops, each weaker than the one before."""
    path = dataset / "features" / "planted.h5"
    with Dataset.open(dataset).store() as store:
        features = [store.read(video) for video in store.videos]
    path.unlink()
    weights = 0.7 ** np.arange(crops)[:, None, None]
    with FeatureWriter(path, dtype="float32") as writer:
        for one in features:
            writer.write(replace(one, data=(one.data * weights).astype(np.float32)))


def make_dataset(folder: Path, *, video: bool = True) -> Dataset:
    """Write the planted world as a data set folder; the first test video gets a clip where `video`."""
    world = make_world(num_train=24, num_test=6)
    folder.mkdir(parents=True)
    write_annotations(world.annotations, folder / "annotations.json", format="activitynet")
    (folder / "features").mkdir()
    with FeatureWriter(folder / "features" / "planted.h5", dtype="float32") as writer:
        for name in world.store.videos:
            writer.write(world.store.read(name))
    dataset = Dataset(
        folder, folder.name, {"train": ("training",), "test": ("test",)}, class_list=world.annotations.classes
    )
    dataset.save()
    if video:
        from tests.video.clips import write_clip

        name = world.videos("test")[0]
        duration = world.annotations.videos[name].duration or 10.0
        (folder / "videos").mkdir()
        write_clip(folder / "videos" / f"{name}.mp4", int(duration * 10), fps=10)
    return replace(dataset)


def forget_activations(run: Path, videos: Sequence[str]) -> None:
    """Take the activations of some videos out of a run, as if they had had no features."""
    path = run / "activations.h5"
    with ActivationStore(path) as store:
        kept = {video: store.read(video) for video in store.videos if video not in videos}
    path.unlink()
    with ActivationWriter(path) as writer:
        for video, acts in kept.items():
            writer.write(video, acts)


def make_workspace(home: Path, *, methods: tuple[str, ...] = ("hamnet",), video: bool = True) -> Path:
    """Make `<home>/datasets/planted` and a short run of each method in `<home>/runs`; return `home`."""
    make_dataset(home / "datasets" / "planted", video=video)
    for method in methods:
        steps, more = _STEPS[method]
        code = main(
            ["train", method, "--data", str(home / "datasets" / "planted"), "--out", str(home / "runs" / method),
             "--device", "cpu", "--quiet", "--set", f"training.steps={steps}", "training.lr=2e-3",
             *([more] if more else [])]
        )  # fmt: skip
        assert code == 0, f"wtal train {method} failed"
    return home
