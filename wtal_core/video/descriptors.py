"""Two snippet descriptors that need no weights and no GPU: what a snippet looks like, and how it moves.

They are hand-made statistics, not a network: `appearance-descriptor` and `motion-descriptor` are their names
everywhere, in file provenance too. Both have 512 channels, are non-negative, square-root normalised (so that large
values do not drown small ones, as with Hellinger-normalised histograms), deterministic, and independent of the frame's
size: pixel distances are those of a frame whose short side is `FLOW_SHORT_SIDE`.

`AppearanceDescriptor` (channels of `APPEARANCE_BLOCKS`): colour names, gradient orientations (HOG: Dalal, Triggs, CVPR
2005) and luminance statistics on a spatial pyramid of 1 x 1, 2 x 2 and 4 x 4 cells, averaged over four moments of the
snippet.

`MotionDescriptor` (channels of `MOTION_BLOCKS`): dense optical flow from which the camera's motion (a robustly fitted
affine field, as in Jain, Jegou, Bouthemy: "Better exploiting motion for better action recognition", CVPR 2013) is
taken away; of the rest magnitude-weighted orientation histograms (HOF: Laptev et al., CVPR 2008), speed histograms,
divergence and curl, each over cells and over the four temporal phases of the snippet; separate channels for small fast
objects (a ball), which dense flow loses; the camera's own motion; and the rhythm of the motion.
"""

from __future__ import annotations

import itertools
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Array, Float32Array, FloatArray, Frames, IntArray
from wtal_core.errors import DataError, unknown_name

__all__ = [
    "APPEARANCE_BLOCKS",
    "DESCRIPTOR_DIM",
    "DESCRIPTOR_SHORT_SIDE",
    "FLOW_SHORT_SIDE",
    "LOOKAHEAD",
    "MOTION_BLOCKS",
    "AppearanceDescriptor",
    "MotionDescriptor",
    "block_slices",
    "fit_camera_motion",
]


#: Short side in pixels of the frames both descriptors want.
DESCRIPTOR_SHORT_SIDE = 240

#: Short side in pixels at which flow and gradients are computed; distances are in pixels of this size.
FLOW_SHORT_SIDE = 120

#: Channels of each descriptor.
DESCRIPTOR_DIM = 512

#: Frames after a snippet that the motion descriptor wants: motion at a frame is seen against its two successors.
LOOKAHEAD = 2

_GRID = 4  # cells a side of the finest pyramid level
_CELLS = _GRID * _GRID
_PHASES = 4  # temporal parts of a snippet
_ORIENTATIONS = 8

#: Appearance channels: block -> width. The first three come per pyramid cell (1 + 4 + 16 cells).
APPEARANCE_BLOCKS: dict[str, int] = {
    "colour": 12 * 21,  # 8 hues and 4 greys, fractions of the cell's pixels
    "orientation": 8 * 21,  # magnitude-weighted gradient orientations, relative to the cell's gradient energy
    "luminance": 4 * 21,  # mean, deviation, gradient magnitude, change within the snippet
    "texture": 8,  # histogram of the whole frame's gradient magnitude, logarithmic bins
}

#: Motion channels: block -> width. "cells" are the 4 x 4 grid, "quarters" the 2 x 2 grid.
MOTION_BLOCKS: dict[str, int] = {
    "orientation_cells": 9 * _CELLS,  # 8 orientations and the fraction of still pixels, whole snippet
    "orientation_phases": 8 * 4 * _PHASES,  # 8 orientations, quarters, phases
    "kinematics": 6 * 4 * _PHASES,  # mean and deviation of speed, divergence +-, curl +-; quarters, phases
    "small_objects": 3 * _CELLS
    + 2 * _PHASES,  # peak of lone, peak of small, mean of large (cells); lone, large (phases)
    "speed": 6 * (4 + _PHASES),  # histogram of speed, logarithmic bins; quarters, then phases
    "camera": 8 * _PHASES,  # pan +-, tilt +-, zoom +-, roll +-; phases
    "rhythm": 8,  # amplitudes of the first 4 frequencies of speed and of small-object energy
}


def block_slices(blocks: dict[str, int]) -> dict[str, slice]:
    """Return where each block of `APPEARANCE_BLOCKS` or `MOTION_BLOCKS` lies among the channels."""
    ends = np.cumsum(list(blocks.values())).tolist()
    return {name: slice(end - width, end) for (name, width), end in zip(blocks.items(), ends, strict=True)}


# -- small tools --------------------------------------------------------------------------------------------------


def _check(frames: Array, snippets: Array) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise DataError(
            "the frames have the wrong shape or type",
            expected="(n, H, W, 3) uint8, n >= 1",
            got=f"{frames.shape} {frames.dtype}",
            where="descriptor",
            next_step="Stack the decoded RGB frames into one uint8 array",
        )
    if min(frames.shape[1:3]) < 2 * _GRID:
        raise DataError(
            "the frames are too small",
            expected="at least 8 x 8 pixels",
            got=str(frames.shape[1:3]),
            where="descriptor",
            next_step="Decode the video at a larger size",
        )
    if snippets.ndim != 2 or (snippets.size and (snippets.min() < 0 or snippets.max() >= len(frames))):
        raise DataError(
            "the snippets do not index the frames",
            expected=f"(B, frames) within [0, {len(frames)})",
            got=f"shape {snippets.shape}",
            where="descriptor",
            next_step="Give indices of the frames passed beside them",
        )


def _flow_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) with short side `FLOW_SHORT_SIDE` and the same aspect."""
    scale = FLOW_SHORT_SIDE / min(height, width)
    return max(8, round(height * scale)), max(8, round(width * scale))


def _resize(image: Array, height: int, width: int) -> Array:
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    resized: Array = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized


@cache
def _cell_map(height: int, width: int) -> IntArray:
    """Return `(H, W)`: the row-major index of the 4 x 4 cell of each pixel."""
    row = np.arange(height) * _GRID // height
    column = np.arange(width) * _GRID // width
    cells = row[:, None] * _GRID + column[None, :]
    cells.flags.writeable = False
    return cells


@cache
def _cell_sizes(height: int, width: int) -> Float32Array:
    """Return `(16,)`: pixels of each cell."""
    return np.bincount(_cell_map(height, width).ravel(), minlength=_CELLS).astype(np.float32)


def _cell_means(values: Array) -> Array:
    """Average `(n, H, W)` over the 4 x 4 cells: `(n, 16)`."""
    height, width = values.shape[1:]
    rows = np.searchsorted(np.arange(height) * _GRID // height, np.arange(_GRID))
    columns = np.searchsorted(np.arange(width) * _GRID // width, np.arange(_GRID))
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)  # (n, 4, 4)
    means: Array = sums.reshape(len(values), _CELLS) / _cell_sizes(height, width)
    return means


def _cell_peaks(values: Float32Array) -> Float32Array:
    """Return the maximum of `(n, H, W)` in each of the 4 x 4 cells: `(n, 16)`."""
    height, width = values.shape[1:]
    rows = np.searchsorted(np.arange(height) * _GRID // height, np.arange(_GRID))
    columns = np.searchsorted(np.arange(width) * _GRID // width, np.arange(_GRID))
    peaks: Float32Array = np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=1), columns, axis=2)
    return peaks.reshape(len(values), _CELLS)


def _histogram(bins: Array, num_bins: int, weights: Float32Array | None = None) -> Float32Array:
    """Histogram `(n, H, W)` bin numbers per frame and cell: `(n, 16, num_bins)`, summed weights (default: counts)."""
    n, height, width = bins.shape
    place = _cell_map(height, width)[None] + (_CELLS * np.arange(n))[:, None, None]
    flat = (place * num_bins + bins).ravel()
    counts = np.bincount(flat, None if weights is None else weights.ravel(), minlength=n * _CELLS * num_bins)
    return counts.reshape(n, _CELLS, num_bins).astype(np.float32)


def _quarters(cells: Array) -> Array:
    """Sum `(n, 16, k)` cell values to the 2 x 2 quarters: `(n, 4, k)`."""
    n, _, k = cells.shape
    quarters: Array = cells.reshape(n, 2, 2, 2, 2, k).sum(axis=(2, 4)).reshape(n, 4, k)
    return quarters


def _pyramid(cells: Array) -> Array:
    """Sum `(n, 16, k)` cell values to 1 + 4 + 16 cells: `(n, 21, k)`."""
    return np.concatenate([cells.sum(axis=1, keepdims=True), _quarters(cells), cells], axis=1)


def _phase_means(values: Array) -> Array:
    """Average `(B, frames, ...)` over the four temporal phases: `(B, 4, ...)`; short snippets repeat frames."""
    length = values.shape[1]
    edges = np.floor(np.arange(_PHASES + 1) * length / _PHASES).astype(int)
    parts = [values[:, a : max(b, a + 1)].mean(axis=1) for a, b in itertools.pairwise(edges)]
    return np.stack(parts, axis=1)


def _orientation_bins(angle_degrees: Float32Array, span: float) -> IntArray:
    """Return the nearest of 8 orientations over `span` degrees (180 unsigned, 360 signed); bin 0 is centred on 0."""
    bins: IntArray = np.rint(angle_degrees * (_ORIENTATIONS / span)).astype(np.int64) % _ORIENTATIONS
    return bins


# -- appearance ---------------------------------------------------------------------------------------------------

_MOMENTS = 4  # frames of a snippet that the appearance is averaged over


@cache
def _colour_table() -> npt.NDArray[np.uint8]:
    """Return `(32 * 32 * 32,)`: the name of each 5-bit RGB colour, 0-7 hues from red on, 8-11 greys from black on."""
    level = (np.arange(32, dtype=np.float32) + 0.5) * 8
    red, green, blue = (c.ravel() for c in np.meshgrid(level, level, level, indexing="ij"))
    rgb = np.stack([red, green, blue], axis=-1)[None].astype(np.float32) / 255
    hue, saturation, value = np.moveaxis(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[0], -1, 0)  # hue in degrees
    grey = (saturation < 0.18) | (value < 0.16)
    names: Array = np.where(grey, 8 + np.minimum(value * 4, 3).astype(int), np.rint(hue / 45).astype(int) % 8)
    table: npt.NDArray[np.uint8] = names.astype(np.uint8)
    return table


class AppearanceDescriptor:
    """Colour, gradient and luminance statistics of snippets: 512 non-negative channels in [0, about 2]."""

    dim = DESCRIPTOR_DIM

    def __call__(self, frames: Frames, snippets: IntArray) -> Float32Array:
        """Describe snippets.

        Args:
            frames: `(n, H, W, 3)` uint8 RGB.
            snippets: `(B, window)` the frames of each snippet.

        Returns:
            `(B, 512)` float32, blocks in the order of `APPEARANCE_BLOCKS`.
        """
        _check(frames, snippets)
        window = snippets.shape[1]
        moments = np.unique(((np.arange(_MOMENTS) + 0.5) * window / _MOMENTS).astype(int).clip(0, window - 1))
        chosen = snippets[:, moments]  # (B, m)
        used, inverse = np.unique(chosen, return_inverse=True)
        colour, orientation, luminance, texture = self._frames(frames[used])
        index = inverse.reshape(chosen.shape)
        mean_luminance = luminance[index][..., 0]  # (B, m, 21)
        change = np.abs(np.diff(mean_luminance, axis=1)).sum(axis=1)  # (B, 21)
        pooled = luminance[index].mean(axis=1)  # (B, 21, 3)
        blocks = [
            colour[index].mean(axis=1),
            orientation[index].mean(axis=1),
            np.concatenate([pooled, change[..., None]], axis=2),
            texture[index].mean(axis=1),
        ]
        joined = np.concatenate([block.reshape(len(snippets), -1) for block in blocks], axis=1)
        described: Float32Array = np.sqrt(joined, dtype=np.float32)
        return described

    @staticmethod
    def _frames(frames: Frames) -> tuple[Array, Array, Array, Array]:
        """Return colour `(n, 21, 12)`, orientation `(n, 21, 8)`, luminance `(n, 21, 3)`, texture `(n, 8)`."""
        height, width = _flow_size(*frames.shape[1:3])
        small = np.stack([_resize(frame, height, width) for frame in frames])
        table = _colour_table()
        code = small >> 3
        names = table[(code[..., 0].astype(np.int64) << 10) | (code[..., 1].astype(np.int64) << 5) | code[..., 2]]
        pixels = _pyramid(_cell_sizes(height, width)[None, :, None])  # (1, 21, 1)
        colour = _pyramid(_histogram(names, 12)) / pixels
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in small]).astype(np.float32) / 255
        dx = np.stack([cv2.Scharr(g, cv2.CV_32F, 1, 0, scale=1 / 16) for g in grey])
        dy = np.stack([cv2.Scharr(g, cv2.CV_32F, 0, 1, scale=1 / 16) for g in grey])
        magnitude, angle = _polar(dx, dy)
        energy = _pyramid(_histogram(_orientation_bins(angle % 180, 180.0), _ORIENTATIONS, magnitude)) / pixels
        # A flat cell has no orientation worth amplifying: the constant is the energy of faint sensor noise.
        orientation = energy / (energy.sum(axis=2, keepdims=True) + 0.01)
        mean = _pyramid(_cell_means(grey)[..., None] * _cell_sizes(height, width)[:, None]) / pixels
        square = _pyramid(_cell_means(grey**2)[..., None] * _cell_sizes(height, width)[:, None]) / pixels
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        luminance = np.concatenate([mean, deviation, 4 * energy.sum(axis=2, keepdims=True)], axis=2)
        bins = np.clip(np.log2(np.maximum(magnitude, 1e-6) * 256).astype(np.int64), 0, 7)
        texture = _histogram(bins, 8).sum(axis=1) / (height * width)
        return colour, orientation, luminance, texture


def _polar(x: Float32Array, y: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return magnitude and angle in degrees [0, 360) of vectors."""
    shape = x.shape
    magnitude, angle = cv2.cartToPolar(x.reshape(shape[0], -1), y.reshape(shape[0], -1), angleInDegrees=True)
    return magnitude.reshape(shape), angle.reshape(shape)


# -- motion -------------------------------------------------------------------------------------------------------


@cache
def _fit_design(height: int, width: int) -> tuple[slice, slice, FloatArray]:
    """Return the sampled rows and columns and the design matrix `(p, 3)`: 1, x, y from the centre, in half-widths."""
    rows, columns = slice(3, height, 6), slice(3, width, 6)
    y, x = np.mgrid[rows, columns].astype(np.float64)
    scale = min(height, width) / 2
    x, y = (x - (width - 1) / 2) / scale, (y - (height - 1) / 2) / scale
    return rows, columns, np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1)


def fit_camera_motion(flow: Float32Array, iterations: int = 4) -> FloatArray:
    """Fit the affine field that most of the picture follows, moving objects set aside.

    Iteratively re-weighted least squares with Geman-McClure weights whose scale is the median residual, started at the
    median flow; batched over frames.

    Args:
        flow: `(n, H, W, 2)` pixels a frame.

    Returns:
        `(n, 2, 3)`: for u and v the constant, the slope along x and the slope along y; x and y are measured from the
        picture's centre in units of half its short side.
    """
    rows, columns, design = _fit_design(*flow.shape[1:3])
    samples = flow[:, rows, columns].reshape(len(flow), -1, 2).astype(np.float64)  # (n, p, 2)
    parameters = np.zeros((len(flow), 3, 2))
    parameters[:, 0] = np.median(samples, axis=1)
    ridge = 1e-3 * np.diag([0.0, 1.0, 1.0])  # keeps slopes at zero where the picture says nothing of them
    for _ in range(iterations):
        residual = np.linalg.norm(samples - design @ parameters, axis=2)  # (n, p)
        scale = np.maximum(1.5 * np.median(residual, axis=1, keepdims=True), 0.05)
        weight = (1 + (residual / scale) ** 2) ** -2
        weighted = design[None] * weight[..., None]  # (n, p, 3)
        total = weight.sum(axis=1)[:, None, None]
        normal = np.swapaxes(weighted, 1, 2) @ design / total + ridge + 1e-9 * np.eye(3)
        parameters = np.linalg.solve(normal, np.swapaxes(weighted, 1, 2) @ samples / total)
    return np.swapaxes(parameters, 1, 2)


def _camera_field(parameters: FloatArray, height: int, width: int) -> Float32Array:
    """Return the affine fields `(n, H, W, 2)` of `fit_camera_motion`'s parameters."""
    scale = min(height, width) / 2
    x = (np.arange(width) - (width - 1) / 2) / scale
    y = (np.arange(height) - (height - 1) / 2) / scale
    p = parameters.astype(np.float32)
    field: Float32Array = (
        p[:, None, None, :, 0]
        + p[:, None, None, :, 1] * x.astype(np.float32)[None, None, :, None]
        + p[:, None, None, :, 2] * y.astype(np.float32)[None, :, None, None]
    )
    return field


def _align(image: Array, parameters: FloatArray) -> Array:
    """Sample a later `image` where the camera's motion took each pixel, which lays it over the earlier one."""
    if np.abs(parameters[:, 0]).max() + np.abs(parameters[:, 1:]).sum() < 0.1:
        return image  # a standing camera
    height, width = image.shape
    p = parameters * (min(height, width) / FLOW_SHORT_SIDE)  # pixels of this image
    linear = np.eye(2) + p[:, 1:] / (min(height, width) / 2)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.concatenate([linear, (p[:, 0] + centre - linear @ centre)[:, None]], axis=1)
    aligned: Array = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return aligned


_STILL = 0.25  # pixels a frame below which a pixel counts as still
_SPEED_EDGES = np.array([0.25, 0.5, 1.0, 2.0, 4.0], dtype=np.float32)  # 6 bins
_NOISE = 8  # grey levels of difference that compression alone makes


class MotionDescriptor:
    """Camera-compensated optical-flow and small-object statistics of snippets: 512 non-negative channels.

    Args:
        flow: optical flow, key of `wtal_core.video.optical_flow.FLOW_KINDS`.

    Speeds are in pixels a frame of the grid's clock at a short side of `FLOW_SHORT_SIDE`, so features of different
    frame rates do not mix.
    """

    dim = DESCRIPTOR_DIM

    def __init__(self, flow: str = "dis") -> None:
        from wtal_core.video.optical_flow import FLOW_KINDS

        if flow not in FLOW_KINDS:
            raise unknown_name("optical flow", flow, FLOW_KINDS)
        self.flow = flow

    def __call__(self, frames: Frames, snippets: IntArray) -> Float32Array:
        """Describe snippets.

        Args:
            frames: `(n, H, W, 3)` uint8 RGB, consecutive frames of the grid's clock.
            snippets: `(B, window + LOOKAHEAD)`: the frames of each snippet and those after it.

        Returns:
            `(B, 512)` float32, blocks in the order of `MOTION_BLOCKS`.
        """
        _check(frames, snippets)
        starts = snippets[:, : max(1, snippets.shape[1] - LOOKAHEAD)]
        if len(frames) == 1:
            frames = np.concatenate([frames, frames])
        statistics = self._steps(frames)
        # The last frame of a video has no successor: it repeats the step before it.
        index = np.minimum(starts, len(frames) - 2)  # (B, window)
        return self._pool({name: value[index] for name, value in statistics.items()})

    def _steps(self, frames: Frames) -> dict[str, Float32Array]:
        """Return per-step statistics `{name: (n - 1, ...)}`; step t leads from frame t to frame t + 1."""
        from wtal_core.video.optical_flow import optical_flow

        height, width = _flow_size(*frames.shape[1:3])
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
        small = np.stack([_resize(g, height, width) for g in grey])
        flow = optical_flow(small, kind=self.flow)  # (n - 1, h, w, 2)
        camera = fit_camera_motion(flow)
        residual = flow - _camera_field(camera, height, width)
        u, v = np.ascontiguousarray(residual[..., 0]), np.ascontiguousarray(residual[..., 1])
        speed, angle = _polar(u, v)
        moving = np.maximum(speed - _STILL, 0, dtype=np.float32)
        sizes = _cell_sizes(height, width)[None, :, None]
        orientation = _histogram(_orientation_bins(angle, 360.0), _ORIENTATIONS, moving) / sizes
        speeds = _histogram(np.searchsorted(_SPEED_EDGES, speed.ravel()).reshape(speed.shape), 6) / sizes
        divergence = np.gradient(u, axis=2) + np.gradient(v, axis=1)
        curl = np.gradient(v, axis=2) - np.gradient(u, axis=1)
        kinematics = [
            _cell_means(field)
            for field in (
                speed,
                speed**2,
                np.maximum(divergence, 0),
                np.maximum(-divergence, 0),
                np.maximum(curl, 0),
                np.maximum(-curl, 0),
            )
        ]
        lone, small_energy, large_energy = _object_energies(grey, camera, height, width)
        return {
            "orientation": orientation,  # (n - 1, 16, 8)
            "speeds": speeds,  # (n - 1, 16, 6)
            "kinematics": np.stack(kinematics, axis=-1),  # (n - 1, 16, 6)
            "lone_peak": _cell_peaks(lone),  # (n - 1, 16)
            "small_peak": _cell_peaks(small_energy),
            "large_mean": _cell_means(large_energy),
            "camera": camera.astype(np.float32).reshape(len(camera), 6),
        }

    @staticmethod
    def _pool(steps: dict[str, Float32Array]) -> Float32Array:
        """Pool statistics `{name: (B, window, ...)}` over time into `(B, 512)`."""
        batch, window = steps["camera"].shape[:2]

        def quarters(name: str) -> Array:
            values = steps[name]
            return _quarters(values.reshape(batch * window, _CELLS, -1)).reshape(batch, window, 4, -1) / 4

        kinematics = _phase_means(quarters("kinematics"))  # (B, 4 phases, 4 quarters, 6)
        kinematics[..., 1] = np.sqrt(np.maximum(kinematics[..., 1] - kinematics[..., 0] ** 2, 0))
        kinematics[..., 2:] *= 8  # derivatives are small numbers
        still = steps["speeds"][..., :1].mean(axis=1)  # fraction of still pixels (B, 16, 1)
        peaks = steps["small_peak"]
        camera = _phase_means(steps["camera"])  # (B, 4, 6): u 1, x, y; v 1, x, y
        moves = np.stack(
            [camera[..., 0], camera[..., 3], camera[..., 1] + camera[..., 5], camera[..., 4] - camera[..., 2]], axis=-1
        )  # pan, tilt, zoom, roll
        rhythm = [steps["kinematics"][..., 0].mean(axis=2), peaks.max(axis=2)]  # 2 x (B, window)
        spectrum = [
            np.abs(np.fft.rfft(signal - signal.mean(axis=1, keepdims=True), n=max(window, 10))) for signal in rhythm
        ]
        blocks = [
            np.concatenate([steps["orientation"].mean(axis=1), still], axis=2),
            _phase_means(quarters("orientation")),
            kinematics,
            np.concatenate(
                [
                    steps["lone_peak"].max(axis=1),
                    peaks.max(axis=1),
                    steps["large_mean"].mean(axis=1),
                    _phase_means(steps["lone_peak"].max(axis=2)),
                    _phase_means(steps["large_mean"].mean(axis=2)),
                ],
                axis=1,
            ),
            np.concatenate([quarters("speeds").mean(axis=1), _phase_means(quarters("speeds").mean(axis=2))], axis=1),
            np.concatenate([np.maximum(moves, 0), np.maximum(-moves, 0)], axis=2),
            np.concatenate([s[:, 1:5] / window for s in spectrum], axis=1),
        ]
        joined = np.concatenate([block.reshape(batch, -1) for block in blocks], axis=1)
        described: Float32Array = np.sqrt(joined, dtype=np.float32)
        return described


def _object_energies(
    grey: npt.NDArray[np.uint8], camera: FloatArray, height: int, width: int
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return the energy `(n - 1, h, w)` of lone, small and large moving things at each frame but the last.

    Where a frame differs from both of its camera-aligned successors something moves: a double difference, which shows a
    thing once, where it is, and not where it goes. Only later frames are used, so that a snippet's description does not
    depend on how a video is cut into batches. What stands out of its surroundings at the scale of a ball is small (a
    ball, but also a club or a hand); what is small and has nothing else moving around it is lone (a ball in flight);
    the rest is large. In units of the full grey range.
    """
    n = len(grey)
    lone, small, large = np.empty((3, n - 1, height, width), dtype=np.float32)
    for t in range(n - 1):
        double = cv2.absdiff(grey[t], _align(grey[t + 1], camera[t]))
        if t + 2 < n:
            double = np.minimum(double, cv2.absdiff(grey[t], _align(grey[t + 2], camera[t] + camera[t + 1])))
        difference = _resize(cv2.subtract(double, np.full(1, _NOISE)), height, width).astype(np.float32) / 255
        near = cv2.boxFilter(difference, -1, (3, 3))
        around = cv2.boxFilter(difference, -1, (15, 15))
        neighbourhood = cv2.boxFilter(difference, -1, (25, 25), normalize=False)
        share = 9 * near / (neighbourhood + 0.05)  # of all that moves within a tenth of the picture
        lone[t] = near * np.maximum(2 * share - 1, 0)
        small[t] = np.maximum(near - 3 * around, 0)
        large[t] = around
    return lone, small, large
