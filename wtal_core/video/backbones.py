"""Backbones: what turns the frames of a snippet into a feature vector.

A backbone is called with a run of frames and the places of the snippets in it, so that work on frames that several
snippets share (optical flow, overlapping windows) is done once. Built in:

| name                    | channels | what                                                             | weights |
|-------------------------|----------|------------------------------------------------------------------|---------|
| `i3d-rgb`               | 1024     | I3D, RGB stream                                                  | yes     |
| `i3d-flow`              | 1024     | I3D, optical-flow stream                                         | yes     |
| `appearance-descriptor` | 512      | colour, gradient and luminance statistics                        | no      |
| `motion-descriptor`     | 512      | camera-compensated optical-flow and small-object statistics      | no      |
| `module:function`       | any      | your function `(B, window, H, W, 3) uint8 -> (B, D)`             |         |

A function of your own joins with `register_clip_function`, or unregistered as `module:function`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from wtal_core.arrays import Array, Frames, IntArray
from wtal_core.devices import check_device
from wtal_core.errors import DataError, UsageError, WtalError, unknown_name

if TYPE_CHECKING:
    from wtal_core.video.descriptors import AppearanceDescriptor, MotionDescriptor

__all__ = [
    "CROPS",
    "Backbone",
    "BackboneInfo",
    "BackboneOptions",
    "ClipFunction",
    "create_backbone",
    "expand_streams",
    "list_backbones",
    "register_backbone",
    "register_clip_function",
]

ClipCallable = Callable[[Frames], Any]

#: Spatial crops: name -> crops of one snippet. "full" is the whole frame.
CROPS = {"full": 1, "center224": 1, "oversample10": 10}


@dataclass(frozen=True, slots=True)
class BackboneInfo:
    """What the features of a backbone are, for provenance, and what it needs.

    Args:
        extractor: name of network and training data, or of the descriptor.
        modality: name of the stream in the features' channel list: "rgb" and "flow" are I3D's, a descriptor is called
            by its own name.
        dim: channels D; None where only the first call tells.
        short_side: pixels that frames are scaled to before the call (aspect kept); None leaves them alone.
        lookahead: frames after the window that it wants to see.
        crop: key of `CROPS`.
        flow_kind: optical flow inside, "" without.
        checksum: SHA-256 over its weights' names, shapes and values (whatever file they were in), "" without.
        frames_per_batch: how many frames of snippets to hand over at once unless the user says otherwise.
    """

    extractor: str
    modality: str
    dim: int | None = None
    short_side: int | None = None
    lookahead: int = 0
    crop: str = "full"
    flow_kind: str = ""
    checksum: str = ""
    frames_per_batch: int = 128


@runtime_checkable
class Backbone(Protocol):
    """Frames to snippet features."""

    @property
    def info(self) -> BackboneInfo:
        """What it is and needs."""

    def __call__(self, frames: Frames, snippets: IntArray) -> Array:
        """Return features of snippets.

        Args:
            frames: `(n, H, W, 3)` uint8 RGB, consecutive on the grid's clock.
            snippets: `(B, window + lookahead)` indices into `frames`; past the video's end the last frame repeats.

        Returns:
            `(B, D)`, or `(crops, B, D)` where `info.crop` has several crops.
        """


@dataclass(frozen=True, slots=True)
class BackboneOptions:
    """What a backbone is built with; each takes what concerns it.

    Args:
        weights: weights file; None looks into the cache folder.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        half: compute in half precision where that is quicker, see `half_type`.
        crop: key of `CROPS`; None takes the backbone's own.
        flow: optical flow, key of `wtal_core.video.optical_flow.FLOW_KINDS`.
    """

    weights: str | os.PathLike[str] | None = None
    device: str = "auto"
    half: bool = False
    crop: str | None = None
    flow: str = "dis"

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop not in CROPS:
            raise unknown_name("crop", self.crop, CROPS)
        from wtal_core.video.optical_flow import FLOW_KINDS

        if self.flow not in FLOW_KINDS:
            raise unknown_name("optical flow", self.flow, FLOW_KINDS)
        check_device(self.device)


Factory = Callable[[BackboneOptions], Backbone]
_FACTORIES: dict[str, Factory] = {}


# -- registry -----------------------------------------------------------------------------------------------------


def register_backbone(name: str, factory: Factory, *, replace_existing: bool = False) -> None:
    """Make a backbone known under `name`.

    Args:
        name: letters, digits, `-`, `_` and `.`.
        factory: called with `BackboneOptions`, returns a `Backbone`.

    Raises:
        UsageError: the name is taken or not usable.
    """
    if not name or not all(c.isalnum() or c in "-_." for c in name):
        raise UsageError(
            "not a backbone name",
            expected="letters, digits, '-', '_', '.'",
            got=repr(name),
            next_step="Rename the backbone",
        )
    if name in _FACTORIES and not replace_existing:
        raise UsageError(
            f"a backbone {name!r} exists already", next_step="Choose another name, or replace_existing=True"
        )
    _FACTORIES[name] = factory


def register_clip_function(
    name: str, function: ClipCallable, *, short_side: int | None = None, replace_existing: bool = False
) -> None:
    """Make a function `(B, window, H, W, 3) uint8 -> (B, D)` known as backbone `name`; see `ClipFunction`."""
    backbone = ClipFunction(function, name, short_side=short_side)

    def factory(options: BackboneOptions) -> Backbone:
        _refuse_options(name, options)
        return backbone

    register_backbone(name, factory, replace_existing=replace_existing)


def list_backbones() -> list[str]:
    """Return the names of the registered backbones, sorted."""
    return sorted(_FACTORIES)


def create_backbone(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    half: bool = False,
    crop: str | None = None,
    flow: str = "dis",
) -> Backbone:
    """Build a backbone by name, or of `module:function`.

    Raises:
        UsageError: no such backbone, module, function, crop, flow or device.
        DataError: its weights are missing or unreadable.
    """
    options = BackboneOptions(weights=weights, device=device, half=half, crop=crop, flow=flow)
    if name in _FACTORIES:
        return _FACTORIES[name](options)
    if ":" in name:
        found = _import_object(name)
        if isinstance(found, Backbone):
            return found
        _refuse_options(name, options)
        return ClipFunction(found, name)
    raise unknown_name("backbone", name, [*list_backbones(), "module:function"])


def expand_streams(names: Iterable[str], weights: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Replace "i3d" and "descriptors" by their two streams.

    "i3d" is `i3d-rgb` and `i3d-flow`; where no I3D flow weights are given or cached its second stream is the
    `motion-descriptor`, under that name.

    Args:
        names: backbone names as given.
        weights: backbone name -> weights file, as given.

    Returns:
        `(names of backbones, notes for the user)`.
    """
    from wtal_core.video.weights import WEIGHTS, cached_path

    expanded: list[str] = []
    notes: list[str] = []
    for name in names:
        if name == "descriptors":
            expanded += ["appearance-descriptor", "motion-descriptor"]
        elif name == "i3d":
            has_flow = "i3d-flow" in weights or cached_path(WEIGHTS["i3d-flow"]).is_file()
            expanded += ["i3d-rgb", "i3d-flow" if has_flow else "motion-descriptor"]
            if not has_flow:
                notes.append(
                    "no I3D flow weights are on this machine: the second stream is the motion-descriptor "
                    "('wtal weights list' says where to get I3D's)"
                )
        else:
            expanded.append(name)
    return expanded, notes


def _refuse_options(name: str, options: BackboneOptions) -> None:
    if options.weights is not None:
        raise UsageError(
            f"backbone {name!r} takes no weights", got=str(options.weights), next_step="Leave the weights out"
        )
    if options.crop not in (None, "full"):
        raise UsageError(
            f"backbone {name!r} sees the full frame",
            expected="crop full",
            got=str(options.crop),
            next_step="Leave the crop out",
        )


def _import_object(name: str) -> Any:
    """Import `module:attribute`; modules in the working folder are found."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise UsageError(
            "not a function of a module",
            expected="module:function",
            got=repr(name),
            next_step="Write the module's name, ':' and the function's",
        )
    added = os.getcwd() not in sys.path
    if added:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a user's module raises on import
        raise UsageError(
            f"module {module_name!r} cannot be imported ({type(error).__name__}: {error})",
            where=f"backbone {name!r}",
            next_step="Run in the folder that holds it, or install it",
        ) from error
    finally:
        if added:
            sys.path.remove(os.getcwd())
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            there = [n for n, value in vars(found).items() if callable(value) and not n.startswith("_")]
            raise unknown_name("function", part, there, where=module_name)
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(
            "is not callable",
            expected="(B, window, H, W, 3) uint8 -> (B, D)",
            got=type(found).__name__,
            where=name,
            next_step="Name a function of this module",
        )
    return found


# -- any function -------------------------------------------------------------------------------------------------


class ClipFunction:
    """A function of clips as backbone.

    Args:
        function: takes clips `(B, window, H, W, 3)` uint8 RGB, returns `(B, D)` (array, or anything NumPy can read; a
            tensor on a GPU is fetched). It may be called with any B >= 1.
        name: extractor and modality in the features' provenance.
        short_side: pixels to scale frames to; None hands them over as they are in the file.
    """

    def __init__(self, function: ClipCallable, name: str, *, short_side: int | None = None) -> None:
        self._function = function
        self.info = BackboneInfo(extractor=name, modality=name, short_side=short_side, frames_per_batch=64)

    def __call__(self, frames: Frames, snippets: IntArray) -> Array:
        """Gather the clips and call the function."""
        where = f"backbone {self.info.extractor!r}"
        try:
            result = self._function(frames[snippets])
            if hasattr(result, "detach"):
                result = result.detach().cpu()
            array = np.asarray(result, dtype=np.float32)
        except WtalError:
            raise
        except Exception as error:  # whatever a user's function raises
            raise DataError(
                f"the function failed ({type(error).__name__}: {error})", where=where, next_step="Correct the function"
            ) from error
        if array.ndim != 2 or len(array) != len(snippets):
            raise DataError(
                "the function returned the wrong shape",
                expected=f"({len(snippets)}, D)",
                got=str(array.shape),
                where=where,
                next_step="Return one row a snippet",
            )
        return array


# -- built in ---------------------------------------------------------------------------------------------------


def _i3d(stream: Literal["rgb", "flow"], options: BackboneOptions) -> Backbone:
    from wtal_core.video.i3d_backbone import I3DBackbone

    return I3DBackbone(stream, options)


@dataclass(frozen=True)
class _DescriptorBackbone:
    describe: AppearanceDescriptor | MotionDescriptor
    info: BackboneInfo

    def __call__(self, frames: Frames, snippets: IntArray) -> Array:
        return self.describe(frames, snippets)


def _appearance(options: BackboneOptions) -> Backbone:
    from wtal_core.video.descriptors import DESCRIPTOR_DIM, DESCRIPTOR_SHORT_SIDE, AppearanceDescriptor

    name = "appearance-descriptor"
    _refuse_options(name, options)
    info = BackboneInfo(name, name, dim=DESCRIPTOR_DIM, short_side=DESCRIPTOR_SHORT_SIDE)
    return _DescriptorBackbone(AppearanceDescriptor(), info)


def _motion(options: BackboneOptions) -> Backbone:
    from wtal_core.video.descriptors import DESCRIPTOR_DIM, DESCRIPTOR_SHORT_SIDE, LOOKAHEAD, MotionDescriptor

    name = "motion-descriptor"
    _refuse_options(name, options)
    info = BackboneInfo(name, name, dim=DESCRIPTOR_DIM, short_side=DESCRIPTOR_SHORT_SIDE, lookahead=LOOKAHEAD)
    return _DescriptorBackbone(MotionDescriptor(options.flow), replace(info, flow_kind=options.flow))


register_backbone("i3d-rgb", partial(_i3d, "rgb"))
register_backbone("i3d-flow", partial(_i3d, "flow"))
register_backbone("appearance-descriptor", _appearance)
register_backbone("motion-descriptor", _motion)
