"""The backbone registry, functions as backbones, and I3D's crops and streams."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="backbones use OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="the video room imports PyAV: pip install 'wtal[video]'")

from tests.video.test_i3d import randomised
from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError
from wtal_core.video import backbones
from wtal_core.video.backbones import (
    Backbone,
    BackboneInfo,
    BackboneOptions,
    ClipFunction,
    I3DBackbone,
    create_backbone,
    crop_offsets,
    expand_streams,
    list_backbones,
    register_backbone,
    register_clip_function,
)
from wtal_core.video.i3d import to_layout
from wtal_core.video.weights import WEIGHTS, cached_path


@pytest.fixture(autouse=True)
def clean_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backbones, "_FACTORIES", dict(backbones._FACTORIES))
    monkeypatch.setenv("WTAL_CACHE", str(tmp_path / "cache"))


def mean_colour(clips: Array) -> Array:
    return clips.mean(axis=(1, 2, 3))


FRAMES = np.random.default_rng(0).integers(0, 255, (10, 24, 32, 3), dtype=np.uint8)
SNIPPETS = np.array([[0, 1, 2, 3], [2, 3, 4, 5], [8, 9, 9, 9]])


# -- registry -----------------------------------------------------------------------------------------------------


def test_what_is_built_in() -> None:
    assert list_backbones() == ["appearance-descriptor", "i3d-flow", "i3d-rgb", "motion-descriptor"]
    for name in ("appearance-descriptor", "motion-descriptor"):
        backbone = create_backbone(name)
        assert isinstance(backbone, Backbone)
        assert backbone.info.extractor == backbone.info.modality == name
        index = np.minimum(np.arange(4 + backbone.info.lookahead), 9)[None]
        assert backbone(FRAMES, index).shape == (1, backbone.info.dim)
    assert create_backbone("motion-descriptor", flow="dis-fast").info.flow_kind == "dis-fast"
    assert create_backbone("appearance-descriptor").info.flow_kind == ""


def test_a_factory_gets_the_options() -> None:
    seen: list[BackboneOptions] = []

    def factory(options: BackboneOptions) -> Backbone:
        seen.append(options)
        return ClipFunction(mean_colour, "mine")

    register_backbone("mine", factory)
    create_backbone("mine", "w.npz", device="cpu", half=True)
    assert seen == [BackboneOptions(weights="w.npz", device="cpu", half=True)]
    with pytest.raises(UsageError, match="exists already"):
        register_backbone("mine", factory)
    register_backbone("mine", factory, replace_existing=True)
    with pytest.raises(UsageError, match="not a backbone name"):
        register_backbone("a:b", factory)


def test_a_registered_function_gets_the_clips() -> None:
    register_clip_function("colour", mean_colour, short_side=12)
    backbone = create_backbone("colour")
    assert backbone.info == BackboneInfo("colour", "colour", short_side=12, frames_per_batch=64)
    np.testing.assert_allclose(backbone(FRAMES, SNIPPETS), FRAMES[SNIPPETS].mean(axis=(1, 2, 3)), rtol=1e-6)


def test_a_tensor_is_fetched() -> None:
    result = ClipFunction(lambda clips: torch.ones(len(clips), 2, requires_grad=True), "t")(FRAMES, SNIPPETS)
    np.testing.assert_array_equal(result, np.ones((3, 2)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda clips: np.zeros(len(clips)), r"wrong shape \(expected \(3, D\), got \(3,\)\)"),
        (lambda clips: np.zeros((1, 4)), "wrong shape"),
        (lambda clips: clips["x"], "failed .IndexError"),
        (lambda clips: "text", "failed .ValueError"),
    ],
)
def test_a_function_that_misbehaves_is_named(function: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ClipFunction(function, "bad one")(FRAMES, SNIPPETS)
    assert "bad one" in str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "my_features.py").write_text(
        "import numpy as np\nfrom wtal_core.video.backbones import ClipFunction\n"
        "def colour(clips):\n    return clips.mean(axis=(1, 2, 3))\n"
        "ready = ClipFunction(colour, 'ready-made')\nnumber = 3\n"
    )
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('no GPU')\n")
    monkeypatch.chdir(tmp_path)
    yield "my_features"
    sys.modules.pop("my_features", None)


def test_module_and_function(module: str) -> None:
    backbone = create_backbone("my_features:colour")
    assert backbone.info.extractor == "my_features:colour"
    assert backbone(FRAMES, SNIPPETS).shape == (3, 3)
    assert create_backbone("my_features:ready").info.extractor == "ready-made"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("i3d-rbg", {}, "unknown backbone 'i3d-rbg'.*Did you mean 'i3d-rgb'"),
        ("my_features:color", {}, "unknown function 'color'.*'colour'"),
        ("my_features:number", {}, "is not callable"),
        ("no_such_module:f", {}, "cannot be imported .ModuleNotFoundError"),
        ("my_broken:f", {}, "cannot be imported .RuntimeError: no GPU"),
        (":f", {}, "not a function of a module"),
        ("my_features:colour", {"weights": "w.npz"}, "takes no weights"),
        ("motion-descriptor", {"weights": "w.npz"}, "takes no weights"),
        ("appearance-descriptor", {"crop": "center224"}, "sees the full frame"),
        ("motion-descriptor", {"flow": "tvl2"}, "unknown optical flow 'tvl2'.*'tvl1'"),
        ("i3d-rgb", {"crop": "center"}, "unknown crop 'center'.*'center224'"),
        ("i3d-rgb", {"crop": "full"}, "cannot use this crop"),
        ("i3d-rgb", {"device": "tpu7"}, "device"),
        ("i3d-rgb", {"device": "cuda:99"}, "not present"),
    ],
)
def test_wrong_requests(module: str, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_backbone(name, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [("i3d-rgb", "wtal weights get i3d-rgb"), ("i3d-flow", r"--weights i3d-flow=FILE")],
)
def test_missing_weights_say_how_to_get_them(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        create_backbone(name)


def test_two_streams_without_flow_weights_name_the_descriptor() -> None:
    names, notes = expand_streams(["i3d"], {})
    assert names == ["i3d-rgb", "motion-descriptor"]
    assert "no I3D flow weights" in notes[0]
    assert expand_streams(["i3d"], {"i3d-flow": "f.pt"}) == (["i3d-rgb", "i3d-flow"], [])
    assert expand_streams(["descriptors", "x"], {})[0] == ["appearance-descriptor", "motion-descriptor", "x"]
    path = cached_path(WEIGHTS["i3d-flow"])
    path.parent.mkdir(parents=True)
    path.touch()
    assert expand_streams(["i3d"], {})[0] == ["i3d-rgb", "i3d-flow"]


# -- I3D ----------------------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(backbones, "_I3D_SHORT_SIDE", 40)
    monkeypatch.setattr(backbones, "_I3D_CROP", 32)


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
        from wtal_core.video import optical_flow

        def fake(frames: Array, kind: str, bound: float) -> Array:
            step = np.diff(frames.astype(np.float32).mean(axis=3), axis=0) / 20
            across = np.gradient(step, axis=2)  # changes its sign under mirroring, as a horizontal component does
            return np.stack([across, step], axis=-1)

        monkeypatch.setattr(optical_flow, "optical_flow", fake)
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
