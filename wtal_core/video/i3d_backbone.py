"""I3D as backbone: frames or optical flow, scaled, cropped and normalised as the network was trained."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from wtal_core.arrays import Array, Float32Array, Frames, IntArray
from wtal_core.devices import choose_device
from wtal_core.errors import UsageError
from wtal_core.video.backbones import BackboneInfo, BackboneOptions
from wtal_core.video.i3d import FEATURE_DIM
from wtal_core.video.i3d_weights import load_i3d_weights
from wtal_core.video.optical_flow import PUBLISHED_BOUND, optical_flow
from wtal_core.video.weight_files import arrays_sha256
from wtal_core.video.weights import find_weights, identify

__all__ = ["I3DBackbone", "crop_offsets", "half_type"]

_SHORT_SIDE, _CROP = 256, 224


def half_type(device: torch.device) -> torch.dtype:
    """Return the type in which convolutions are quick on a device.

    float16 on CUDA and MPS; bfloat16 on a CPU that multiplies it in hardware (AMX; I3D runs there at four times the
    speed); float32 on any other CPU, where halves are slower.
    """
    if device.type != "cpu":
        return torch.float16
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return torch.bfloat16 if has_amx is not None and has_amx() else torch.float32


def crop_offsets(height: int, width: int, size: int, crop: str) -> list[tuple[int, int, bool]]:
    """Return `(top, left, mirrored)` of each crop.

    "oversample10" is the four corners and the centre, then the same mirrored (order: top left, top right, bottom left,
    bottom right, centre).

    Raises:
        UsageError: no such crop for a crop size.
    """
    centre = ((height - size) // 2, (width - size) // 2)
    if crop == "center224":
        return [(*centre, False)]
    if crop != "oversample10":
        raise UsageError(
            "I3D cannot use this crop",
            expected="center224 or oversample10",
            got=repr(crop),
            next_step="Choose one of these",
        )
    bottom, right = height - size, width - size
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), centre]
    return [(top, left, mirrored) for mirrored in (False, True) for top, left in corners]


class I3DBackbone:
    """I3D as backbone, see `wtal_core.video.i3d`.

    RGB: frames scaled to short side 256, cropped to 224, `x / 127.5 - 1`. Flow: optical flow of the scaled frames,
    clipped to +-20 pixels a frame and quantised to 8 bits (as the network was trained), cropped, divided by 20; step t
    leads from frame t to t + 1, and the last frame of a video repeats the step before. Mirrored flow crops have their
    horizontal component negated.
    """

    def __init__(self, stream: Literal["rgb", "flow"], options: BackboneOptions) -> None:
        self.stream: Literal["rgb", "flow"] = stream
        self.device = choose_device(options.device)
        crop = options.crop or "center224"
        crop_offsets(_SHORT_SIDE, _SHORT_SIDE, _CROP, crop)
        path = find_weights(f"i3d-{stream}", options.weights)
        model = load_i3d_weights(path, stream)
        checksum = arrays_sha256({k: v.numpy() for k, v in model.state_dict().items() if not k.endswith("_tracked")})
        self._dtype = half_type(self.device) if options.half else torch.float32
        model.fold()
        model.to(device=self.device, dtype=self._dtype)
        self.network = model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._flow = options.flow
        self.info = BackboneInfo(
            extractor=identify(path, checksum) or f"i3d-{stream}",
            modality=stream,
            dim=FEATURE_DIM,
            short_side=_SHORT_SIDE,
            lookahead=0 if stream == "rgb" else 1,
            crop=crop,
            flow_kind="" if stream == "rgb" else options.flow,
            checksum=checksum,
            frames_per_batch=64 if self.device.type == "cpu" else 512,
        )

    def __call__(self, frames: Frames, snippets: IntArray) -> Array:
        """Return `(B, 1024)`, or `(10, B, 1024)` for "oversample10"."""
        if self.stream == "rgb":
            source, index = torch.from_numpy(frames), snippets
        else:
            source = torch.from_numpy(self._flow_of(frames))
            index = np.minimum(snippets[:, :-1], len(source) - 1)
        height, width = frames.shape[1:3]
        offsets = crop_offsets(height, width, _CROP, self.info.crop)
        places = torch.from_numpy(index).to(self.device)
        results = []
        with torch.inference_mode():
            source = source.to(self.device)
            for top, left, mirrored in offsets:
                window = source[:, top : top + _CROP, left : left + _CROP]
                clips = self._normalise(window)[places]  # (B, T, H, W, C): channels last already
                if mirrored:
                    clips = clips.flip(3)
                    if self.stream == "flow":
                        clips = clips * clips.new_tensor([-1.0, 1.0])
                results.append(self.network(clips.permute(0, 4, 1, 2, 3)).cpu())
        stacked: Array = torch.stack(results).numpy()
        return stacked if len(offsets) > 1 else stacked[0]

    def _normalise(self, window: torch.Tensor) -> torch.Tensor:
        values = window.to(self._dtype)
        return values / 127.5 - 1 if self.stream == "rgb" else values / PUBLISHED_BOUND

    def _flow_of(self, frames: Frames) -> Float32Array:
        """Return the clipped flow `(max(n - 1, 1), H, W, 2)`; a single frame does not move."""
        if len(frames) < 2:
            return np.zeros((1, *frames.shape[1:3], 2), dtype=np.float32)
        return optical_flow(frames, kind=self._flow, bound=PUBLISHED_BOUND)
