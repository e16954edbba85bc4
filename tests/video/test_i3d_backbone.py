"""I3D as backbone: frames and flow as the network was trained on them, crops, half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="backbones use OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="the video room imports PyAV: pip install 'wtal[video]'")

from tests.video.layouts import to_layout
from tests.video.test_i3d import randomised
from wtal_core.arrays import Array
from wtal_core.video import i3d_backbone
from wtal_core.video.backbones import create_backbone
from wtal_core.video.i3d_backbone import I3DBackbone, crop_offsets


def test_crops() -> None:
    assert crop_offsets(256, 341, 224, "center224") == [(16, 58, False)]
    ten = crop_offsets(256, 341, 224, "oversample10")
    assert ten[:5] == [(0, 0, False), (0, 117, False), (32, 0, False), (32, 117, False), (16, 58, False)]
    assert [(top, left, True) for top, left, _ in ten[:5]] == ten[5:]


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of both streams."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for stream, channels in (("rgb", 3), ("flow", 2)):
        files[stream] = folder / f"{stream}.npz"
        np.savez(files[stream], **to_layout(randomised(channels, None), "port"))  # type: ignore[arg-type]
    return files


@pytest.fixture
def small_i3d(monkeypatch: pytest.MonkeyPatch) -> None:
    """I3D at 40 and 32 pixels instead of 256 and 224: the same code, a fiftieth of the work."""
    monkeypatch.setattr(i3d_backbone, "_SHORT_SIDE", 40)
    monkeypatch.setattr(i3d_backbone, "_CROP", 32)


def i3d_frames(count: int = 10) -> Array:
    yy, xx = np.mgrid[:40, :48]
    phase = np.arange(count)[:, None, None] * 1.5
    waves = [128 + 90 * np.sin((xx - phase) / f + yy / (f + 2)) for f in (3, 5, 7)]
    return np.stack(waves, axis=-1).astype(np.uint8)


@pytest.mark.usefixtures("small_i3d")
def test_i3d_rgb_prepares_frames_as_it_was_trained(weight_files: dict[str, Path]) -> None:
    backbone = create_backbone("i3d-rgb", weight_files["rgb"], device="cpu")
    assert isinstance(backbone, I3DBackbone)
    frames = i3d_frames()
    index = np.array([np.arange(8), np.arange(2, 10)])
    crop = torch.from_numpy(frames[:, 4:36, 8:40]).float() / 127.5 - 1
    expected = backbone.network(torch.stack([crop[i] for i in index]).permute(0, 4, 1, 2, 3))
    np.testing.assert_allclose(backbone(frames, index), expected, rtol=1e-4, atol=1e-5)
    assert backbone.info.lookahead == 0
    assert backbone.info.extractor == "i3d-rgb"  # weights that nobody knows are not called Kinetics
    assert len(backbone.info.checksum) == 64


@pytest.mark.usefixtures("small_i3d")
def test_i3d_flow_sees_flow_to_the_next_frame(weight_files: dict[str, Path]) -> None:
    from wtal_core.video.optical_flow import optical_flow

    backbone = create_backbone("i3d-flow", weight_files["flow"], device="cpu")
    assert isinstance(backbone, I3DBackbone)
    assert (backbone.info.lookahead, backbone.info.flow_kind, backbone.info.modality) == (1, "dis", "flow")
    frames = i3d_frames(9)
    flow = torch.from_numpy(optical_flow(frames, "dis", bound=20)[:, 4:36, 8:40]) / 20
    inside = flow.permute(3, 0, 1, 2)[None]  # (1, 2, 8, 32, 32)
    got = backbone(frames, np.arange(9)[None])
    np.testing.assert_allclose(got, backbone.network(inside), rtol=1e-4, atol=1e-5)
    # At the end of a video the window's last frame has no successor: the step before it is seen again.
    ends = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 8]])
    repeated = inside[:, :, [1, 2, 3, 4, 5, 6, 7, 7]]
    np.testing.assert_allclose(backbone(frames, ends), backbone.network(repeated), rtol=1e-4, atol=1e-5)
    assert backbone(frames[:1], np.zeros((1, 9), np.int64)).shape == (1, 1024)


@pytest.mark.usefixtures("small_i3d")
@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_oversampled_crops(weight_files: dict[str, Path], stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second five crops of a video are the first five of its mirror image, right and left exchanged."""
    if stream == "flow":  # an optical flow that is exactly mirrored with its frames

        def fake(frames: Array, kind: str, bound: float) -> Array:
            step = np.diff(frames.astype(np.float32).mean(axis=3), axis=0) / 20
            across = np.gradient(step, axis=2)  # changes its sign under mirroring, as a horizontal component does
            return np.stack([across, step], axis=-1)

        monkeypatch.setattr(i3d_backbone, "optical_flow", fake)
    backbone = create_backbone(f"i3d-{stream}", weight_files[stream], device="cpu", crop="oversample10")
    frames = i3d_frames(9)
    index = np.arange(8 + backbone.info.lookahead)[None]
    crops, mirrored = backbone(frames, index), backbone(np.ascontiguousarray(frames[:, :, ::-1]), index)
    assert crops.shape == (10, 1, 1024)
    np.testing.assert_allclose(mirrored[[6, 5, 8, 7, 9]], crops[:5], rtol=1e-3, atol=1e-4)
    assert not np.allclose(crops[5:], crops[:5], rtol=1e-3)


@pytest.mark.usefixtures("small_i3d")
@pytest.mark.parametrize("has_amx", [True, False])
def test_half_precision_on_a_cpu(weight_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, has_amx: bool) -> None:
    """bfloat16 where the hardware multiplies it, single precision elsewhere; close to single in any case."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx, raising=False)
    frames, index = i3d_frames(8), np.arange(8)[None]
    plain = create_backbone("i3d-rgb", weight_files["rgb"], device="cpu")(frames, index)
    half = create_backbone("i3d-rgb", weight_files["rgb"], device="cpu", half=True)(frames, index)
    assert half.dtype == np.float32
    assert np.array_equal(plain, half) != has_amx
    cosine = float((plain * half).sum() / np.linalg.norm(plain) / np.linalg.norm(half))
    assert cosine > 0.999


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(weight_files: dict[str, Path]) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (16, 256, 320, 3), dtype=np.uint8)
    index = np.arange(16)[None]
    cpu = create_backbone("i3d-rgb", weight_files["rgb"], device="cpu")(frames, index)
    cuda = create_backbone("i3d-rgb", weight_files["rgb"], device="cuda")(frames, index)
    half = create_backbone("i3d-rgb", weight_files["rgb"], device="cuda", half=True)(frames, index)
    np.testing.assert_allclose(cuda, cpu, rtol=2e-2, atol=2e-3)
    np.testing.assert_allclose(half, cpu, rtol=5e-2, atol=2e-2)
