"""Planted features: their shape, their truth, and several crops of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wtal_core.cli import main
from wtal_core.data import Dataset, write_annotations
from wtal_core.demo.planted import PlantedFeatures, PlantedOptions, plant_tracks
from wtal_core.records import Annotations, Segments, VideoInfo


@pytest.fixture
def real() -> Annotations:
    videos = {
        f"v{i}": VideoInfo(subset="validation" if i < 2 else "test", duration=40.0 + i, labels=("Dive",))
        for i in range(4)
    }
    rows = [(v, "Dive", start, start + 6.0) for v in videos for start in (5.0, 22.0)]
    return Annotations(classes=("Dive", "Jump"), videos=videos, instances=Segments(*map(list, zip(*rows, strict=True))))


def planted(real: Annotations, **options: int) -> PlantedFeatures:
    chosen = PlantedOptions(dim=64, **options)
    return PlantedFeatures(plant_tracks(real, chosen), chosen)


def test_a_video_does_not_depend_on_those_before_it(real: Annotations) -> None:
    every = {f.video: f.data for f in planted(real)}
    np.testing.assert_array_equal(every["v3"], planted(real).video("v3").data)
    assert not np.array_equal(every["v3"], planted(real, seed=1).video("v3").data)
    assert every["v3"].dtype == np.float32
    assert (every["v3"] >= 0).all()


def test_the_first_of_several_crops_is_the_single_one(real: Annotations) -> None:
    one, three, five = (planted(real, crops=n).video("v0") for n in (1, 3, 5))
    assert one.data.shape == three.data.shape[1:]
    assert three.data.shape == (3, one.grid.num_snippets, 64)
    np.testing.assert_array_equal(one.data, three.data[0])
    np.testing.assert_array_equal(three.data, five.data[:3])
    assert (one.provenance.crop, three.provenance.crop) == ("", "planted3")


def test_further_crops_show_the_same_truth_with_less_of_the_action(real: Annotations) -> None:
    maker = planted(real, crops=5)
    features = maker.video("v0")
    rows = real.instances.for_video("v0")
    inside = features.grid.mask(rows.start, rows.end)
    assert len(np.unique(features.data[:, 0, 0])) == 5, "no crop repeats another"
    moving = features.data[..., features.provenance.channels("flow")].mean(-1)  # (crops, T)
    contrast = moving[:, inside].mean(1) / moving[:, ~inside].mean(1)  # (crops,)
    assert (contrast > 1.2).all(), "the action moves in every crop"
    assert contrast[0] > contrast[1:].mean()


def test_the_command_writes_several_crops(
    real: Annotations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_annotations(real, tmp_path / "gt.json", format="activitynet")
    for name, crops in (("one", "1"), ("three", "3")):
        words = ["demo", "features", "--annotations", str(tmp_path / "gt.json"), "--out", str(tmp_path / name)]
        assert main([*words, "--dim", "16", "--crops", crops, "--quiet"]) == 0
    assert "of 16 channels in 3 crops" in capsys.readouterr().out
    one, three = (Dataset.open(tmp_path / name) for name in ("one", "three"))
    assert (one.name, three.name) == ("planted-16-seed0", "planted-16-seed0-crops3")
    with one.store() as a, three.store() as b:
        assert b.shape("v0") == (3, *a.shape("v0"))
        np.testing.assert_array_equal(a.read("v0").data, b.read("v0").data[0])
    assert main(["demo", "features", "--annotations", str(tmp_path / "gt.json"), "--out", str(tmp_path / "one"),
                 "--dim", "16", "--crops", "3", "--quiet"]) == 2  # fmt: skip
    assert "holds another data set" in capsys.readouterr().err
