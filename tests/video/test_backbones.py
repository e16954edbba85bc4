"""The backbone registry, and functions as backbones."""

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

from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError
from wtal_core.video import backbones
from wtal_core.video.backbones import (
    Backbone,
    BackboneInfo,
    BackboneOptions,
    ClipFunction,
    create_backbone,
    expand_streams,
    list_backbones,
    register_backbone,
    register_clip_function,
)
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
    [("i3d-rgb", "wtal weights get i3d-rgb"), ("i3d-flow", r"then give i3d-flow=FILE")],
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
