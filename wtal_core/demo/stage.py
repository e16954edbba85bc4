"""The place where things happen: a perspective lens, the picture it paints once, and the camera moving over it.

A stage is painted once on a canvas larger than the picture. As with a broadcast camera on a tripod, panning and
zooming look at another part of the same perspective, so every frame is one affine warp of the cached canvas and
everything that moves is projected by the same lens. Colours are BGR, 0 to 255. Drawing happens at `SUPERSAMPLE`
times the size of the finished picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.motion import smoothstep

__all__ = [
    "SUPERSAMPLE",
    "CameraPath",
    "Color",
    "Ground",
    "Image",
    "Lens",
    "Light",
    "banners",
    "blob_shadow",
    "clouds",
    "disc",
    "ellipse",
    "finished",
    "fog",
    "glow",
    "hex_color",
    "hills",
    "light",
    "mix",
    "new_canvas",
    "noise",
    "paint",
    "polygon",
    "ribbon",
    "shade",
    "sky",
    "stands",
    "text",
    "text_width",
    "trees",
]

Array = NDArray[Any]
Image = NDArray[np.uint8]
Color = tuple[float, float, float]
Point = Sequence[float] | NDArray[Any]

SUPERSAMPLE: Final = 2
_SHIFT: Final = 4  # sub-pixel bits of OpenCV's drawing functions


def hex_color(code: str) -> Color:
    """Return the BGR colour of an RGB code such as "ff8800"."""
    return float(int(code[4:6], 16)), float(int(code[2:4], 16)), float(int(code[0:2], 16))


def mix(a: Color, b: Color, share: float) -> Color:
    """Return `a` moved towards `b` by `share` (0 to 1)."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def shade(color: Color, factor: float) -> Color:
    """Lighten (`factor` > 0, towards warm white) or darken (< 0, towards cool black) a colour."""
    return mix(color, (235, 248, 255), factor) if factor >= 0 else mix(color, (48, 26, 22), -factor)


@dataclass(frozen=True)
class Light:
    """Colours of the air and the direction of the sun.

    Attributes:
        sky_top, sky_low, haze: BGR colours.
        sun: unit vector from the scene to the sun.
        shadow: darkness of cast shadows, 0 to 1.
        gain: BGR factors of the final grade.
        glow: 0 to 1, brightness of the sun's halo in the sky.
    """

    sky_top: Color
    sky_low: Color
    haze: Color
    sun: tuple[float, float, float]
    shadow: float
    gain: tuple[float, float, float]
    glow: float


LIGHTS: Final = {
    "day": Light(
        hex_color("3f8fd6"), hex_color("cdeaf8"), hex_color("d3e8f0"), (-0.5, 0.8, -0.35), 0.42, (1, 1, 1), 0.35
    ),
    "golden": Light(
        hex_color("5a86bd"), hex_color("ffd9a0"), hex_color("f6d3a6"), (-0.78, 0.5, 0.2), 0.45, (0.90, 0.985, 1.06), 0.8
    ),
    "overcast": Light(
        hex_color("9fb2c2"), hex_color("e3e9ec"), hex_color("d4dde1"), (-0.2, 0.95, -0.2), 0.24, (1.0, 0.98, 0.96), 0.1
    ),
    "evening": Light(
        hex_color("2c3f77"), hex_color("e79a86"), hex_color("a98ba6"), (0.7, 0.6, -0.2), 0.36, (1.02, 0.93, 0.95), 0.5
    ),
}


def light(name: str) -> Light:
    """Return one of the four named lights: day, golden, overcast, evening."""
    return LIGHTS[name]


@dataclass(frozen=True)
class Lens:
    """A fixed perspective: world metres to canvas pixels.

    Args:
        eye, target: where the camera is and where it looks, metres.
        fov: vertical field of view of the picture at zoom 1, degrees.
        picture: (width, height) of the supersampled picture.
        canvas: (width, height) of the canvas, at least the picture.
        offset: canvas pixels by which the optical axis lies right of and below the canvas centre.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    picture: tuple[int, int]
    canvas: tuple[int, int]
    offset: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def focal(self) -> float:
        """Focal length in canvas pixels."""
        return float(self.picture[1] / 2 / np.tan(np.deg2rad(self.fov) / 2))

    @cached_property
    def axes(self) -> Array:
        """(3, 3) rows right, up, ahead in world axes."""
        ahead = np.subtract(self.target, self.eye)
        ahead = ahead / np.linalg.norm(ahead)
        right = np.cross((0.0, 1.0, 0.0), ahead)
        right = right / np.linalg.norm(right)
        return np.stack([right, np.cross(ahead, right), ahead])

    @property
    def centre(self) -> tuple[float, float]:
        """Where the optical axis meets the canvas."""
        return self.canvas[0] / 2 + self.offset[0], self.canvas[1] / 2 + self.offset[1]

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """Return canvas positions (..., 2), depth in metres (...) and pixels per metre (...)."""
        local = (np.asarray(points, dtype=float) - self.eye) @ self.axes.T
        depth = np.maximum(local[..., 2], 0.05)
        scale = self.focal / depth
        cx, cy = self.centre
        return np.stack([cx + local[..., 0] * scale, cy - local[..., 1] * scale], -1), depth, scale

    def point(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Return canvas x, canvas y and pixels per metre of one point in metres."""
        at, _, scale = self.project(np.array([x, y, z]))
        return float(at[0]), float(at[1]), float(scale)

    @property
    def horizon(self) -> float:
        """Canvas row of the horizon."""
        ahead = self.axes[2]
        far = np.asarray(self.eye) + np.array([ahead[0], 0.0, ahead[2]]) * 1e6
        return float(self.project(far)[0][1])


@dataclass(frozen=True)
class Ground:
    """World coordinates of the floor under every canvas pixel.

    Attributes:
        x, z: (H, W) metres (large beyond the horizon).
        mask: (H, W) bool, where the floor is.
        footprint: (H, W) metres covered by one pixel along the depth, for fading detail out.
        distance: (H, W) metres from the eye.
    """

    x: Array
    z: Array
    mask: NDArray[np.bool_]
    footprint: Array
    distance: Array

    @classmethod
    def under(cls, lens: Lens, height: float = 0.0) -> Ground:
        """Intersect every canvas pixel's ray with the plane y = `height`."""
        w, h = lens.canvas
        cx, cy = lens.centre
        u, v = np.meshgrid((np.arange(w) + 0.5 - cx) / lens.focal, (cy - np.arange(h) - 0.5) / lens.focal)
        right, up, ahead = lens.axes
        ray = u[..., None] * right + v[..., None] * up + ahead
        drop = lens.eye[1] - height
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(ray[..., 1] < -1e-4, drop / -ray[..., 1], 1e4)
        mask = ray[..., 1] < -1e-4
        x, z = lens.eye[0] + ray[..., 0] * reach, lens.eye[2] + ray[..., 2] * reach
        distance = np.minimum(reach * np.linalg.norm(ray, axis=-1), 1e4)
        footprint = np.clip(reach * reach / max(drop, 0.1) / lens.focal, 1e-4, 50)
        return cls(x, z, mask, footprint, distance)

    def line(self, along: str, position: float, width: float, start: float = -1e9, end: float = 1e9) -> Array:
        """Return the anti-aliased cover (H, W) of a painted line at x or z = `position`, from `start` to `end`."""
        across, lengthwise = (self.x, self.z) if along == "x" else (self.z, self.x)
        soft = np.clip(self.footprint, 0.004, 1.5)
        if along == "x":
            soft = np.clip(self.footprint * 0.3, 0.004, 1.5)
        cover = np.clip((width / 2 - np.abs(across - position)) / soft + 0.5, 0, 1) * np.clip(width / soft, 0, 1)
        return np.asarray(cover * (lengthwise >= start) * (lengthwise <= end) * self.mask)

    def disc(self, x: float, z: float, radius: float, squash: float = 1.0) -> Array:
        """Return the anti-aliased cover (H, W) of a disc on the floor."""
        away = np.hypot(self.x - x, (self.z - z) * squash)
        return np.clip((radius - away) / np.clip(self.footprint * 0.6, 0.004, 2) + 0.5, 0, 1) * self.mask

    def grain(self, size: float, seed: int) -> Array:
        """Return noise -1..1 fixed to the floor with features of `size` metres, faded where it would alias."""
        tile = noise(seed)
        n = tile.shape[0]
        scale = n / (size * 32)
        sample = cv2.remap(
            tile,
            (np.mod(self.x * scale, n)).astype(np.float32),
            (np.mod(self.z * scale, n)).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        return np.asarray(sample * np.clip(1.4 - self.footprint / (size * 1.2), 0, 1))

    def speckled(self, color: Color | Array, *grains: tuple[float, float, int]) -> Array:
        """Return a colour, (3,) or (H, W, 3), varied by grains (strength, metres, seed) on the floor: (H, W, 3)."""
        share: Array | float = 1.0
        for strength, size, seed in grains:
            share = share + strength * self.grain(size, seed)
        return np.asarray(np.asarray(color) * np.asarray(share)[..., None])


@lru_cache(maxsize=16)
def noise(seed: int, size: int = 512) -> NDArray[np.float32]:
    """Return a tile of periodic smooth noise (`size`, `size`) with unit-ish range -1..1."""
    rng = np.random.default_rng([seed, 11])
    total = np.zeros((size, size), np.float32)
    for octave, weight in ((16, 0.5), (32, 0.6), (64, 0.7), (128, 0.5)):
        coarse = rng.standard_normal((octave, octave)).astype(np.float32)
        padded = np.pad(coarse, 2, mode="wrap")
        big = cv2.resize(padded, None, fx=size / octave, fy=size / octave, interpolation=cv2.INTER_CUBIC)
        edge = 2 * size // octave
        total += weight * big[edge : edge + size, edge : edge + size]
    result: NDArray[np.float32] = np.clip(total / 1.6, -1, 1)
    return result


def new_canvas(lens: Lens) -> NDArray[np.float32]:
    """Return an empty float canvas (H, W, 3)."""
    return np.zeros((lens.canvas[1], lens.canvas[0], 3), np.float32)


def paint(canvas: Array, color: Array | Color, alpha: Array) -> None:
    """Blend a colour or a picture over the canvas in place with `alpha` (H, W)."""
    canvas += (np.asarray(color, np.float32) - canvas) * np.asarray(alpha, np.float32)[..., None]


def sky(canvas: Array, lens: Lens, air: Light, seed: int, *, cloud: float = 0.6) -> None:
    """Paint a graded sky with a sun halo and soft clouds down to a little below the horizon."""
    h, w = canvas.shape[:2]
    horizon = lens.horizon
    rows = np.arange(h)[:, None]
    span = max(lens.picture[1] * 0.9, 1)
    t = np.clip((horizon - rows) / span, 0, 1) ** 0.8
    colors = np.asarray(air.sky_low) + (np.asarray(air.sky_top) - np.asarray(air.sky_low)) * t[..., None]
    canvas[:] = colors
    sun = np.asarray(lens.eye) + np.array([air.sun[0] * 1.0, max(air.sun[1], 0.2) * 0.5, 1.1]) * 1e4
    at = lens.project(sun)[0]
    yy, xx = np.mgrid[0:h, 0:w]
    away = np.hypot(xx - at[0], yy - at[1]) / lens.picture[1]
    paint(canvas, (225, 245, 255), np.clip(air.glow * np.exp(-((away / 0.42) ** 2)), 0, 0.9))
    clouds(canvas, lens, air, seed, cloud)


def clouds(canvas: Array, lens: Lens, air: Light, seed: int, amount: float) -> None:
    """Paint a few flat-bottomed cumulus clouds above the horizon."""
    rng = np.random.default_rng([seed, 5])
    h, w = canvas.shape[:2]
    unit = lens.picture[1]
    mask = np.zeros((h, w), np.uint8)
    lit = np.zeros((h, w), np.uint8)
    for _ in range(round(amount * 9 * w / lens.picture[0])):
        body, crown = np.zeros_like(mask), np.zeros_like(mask)
        x, up = rng.uniform(0, w), rng.uniform(0.10, 0.62)
        size = unit * rng.uniform(0.05, 0.12) * (0.45 + up)
        y = max(lens.horizon - up * unit, 2.4 * size + h / 2 - unit / 2)  # the whole cloud is in the picture
        for k in range(7):
            px = x + (k - 3) * size * 0.62 + rng.normal(0, size * 0.15)
            radius = size * (1.05 - 0.26 * abs(k - 3)) * rng.uniform(0.75, 1.1)
            disc(body, (px, y - radius * 0.55), max(radius, 1), (255,))
            disc(crown, (px - radius * 0.16, y - radius * 0.75), max(radius * 0.8, 1), (255,))
        flat = int(np.clip(y, 0, h))  # the flat underside
        body[flat:], crown[flat:] = 0, 0
        np.maximum(mask, body, out=mask)
        np.maximum(lit, crown, out=lit)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.2).astype(float) / 255
    bright = cv2.GaussianBlur(lit, (0, 0), 4).astype(float) / 255
    paint(canvas, mix(air.sky_low, (255, 255, 255), 0.45), soft * 0.75)
    paint(canvas, (255, 253, 250), bright * soft * 0.7)


def hills(canvas: Array, lens: Lens, air: Light, seed: int, layers: Sequence[tuple[float, Color, float]]) -> None:
    """Paint ranges of hills, back to front: (height as a share of the picture, colour, haze 0..1)."""
    rng = np.random.default_rng([seed, 7])
    h, w = canvas.shape[:2]
    unit = lens.picture[1]
    x = np.arange(w) / unit
    rows = np.arange(h)[:, None]
    for height, color, haze in layers:
        ridge = np.zeros(w)
        for octave in range(5):
            ridge += np.sin(x * (1.1 * 1.9**octave) * rng.uniform(0.8, 1.3) + rng.uniform(0, 6.3)) / 1.9**octave
        top = lens.horizon - unit * height * (0.62 + 0.24 * ridge)
        cover = np.clip(rows - top[None, :] + 0.5, 0, 1) * np.clip(lens.horizon + unit * 0.05 - rows, 0, 1)
        tint = np.asarray(mix(color, air.haze, haze)) * np.ones((h, 1, 1))
        depth = np.clip((rows - (lens.horizon - unit * height)) / (unit * height + 1), 0, 1)[..., None]
        tint = tint + (np.asarray(air.haze) - tint) * depth * 0.35
        paint(canvas, tint * np.ones((1, w, 1)), cover)


def finished(canvas: Array) -> Image:
    """Return a canvas of floats as a picture to draw on, (H, W, 3) uint8."""
    return np.asarray(canvas.clip(0, 255).astype(np.uint8))


def trees(
    canvas: Array,
    lens: Lens,
    air: Light,
    seed: int,
    *,
    distance: float,
    height: float,
    color: Color,
    x_range: tuple[float, float],
    spacing: float = 3.0,
    z_jitter: float = 4.0,
    haze: float = 0.25,
    base: float = 0.0,
) -> None:
    """Paint a row of leafy trees standing on y = `base` at about z = `distance`."""
    rng = np.random.default_rng([seed, 9])
    image = finished(canvas)
    count = int((x_range[1] - x_range[0]) / spacing)
    order = sorted(
        ((distance + rng.uniform(-z_jitter, z_jitter), rng.uniform(*x_range)) for _ in range(count)), reverse=True
    )
    for z, x in order:
        tall = height * rng.uniform(0.65, 1.25)
        px, py, scale = lens.point(x, base, z)
        r = tall * 0.33 * scale
        if not (-r < px < lens.canvas[0] + r):
            continue
        leaf = mix(mix(color, hex_color("7fa33b"), rng.uniform(0, 0.4)), air.haze, haze * rng.uniform(0.7, 1.2))
        trunk = mix(hex_color("5b4632"), air.haze, haze)
        polygon(
            image,
            np.array(
                [(px - r * 0.10, py), (px + r * 0.10, py), (px + r * 0.06, py - r * 1.4), (px - r * 0.06, py - r * 1.4)]
            ),
            trunk,
        )
        blobs = [(rng.normal(0, 0.42), 1.7 + rng.normal(0, 0.42), rng.uniform(0.45, 0.75)) for _ in range(9)]
        for dx, dy, q in blobs:
            disc(image, (px + dx * r, py - dy * r), q * r, shade(leaf, -0.22))
        for dx, dy, q in blobs:
            disc(image, (px + dx * r - 0.1 * r, py - dy * r - 0.12 * r), q * r * 0.84, leaf)
        for dx, dy, q in blobs[:6]:
            disc(image, (px + dx * r - 0.22 * r, py - dy * r - 0.26 * r), q * r * 0.5, shade(leaf, 0.16))
    canvas[:] = image


_CROWD: Final = tuple(
    hex_color(c)
    for c in (
        "d9483b",
        "2f6db3",
        "f2c14e",
        "f5f1e8",
        "3c9d6b",
        "7c5aa6",
        "e88b3a",
        "37414f",
        "b5d3e7",
        "c96f8e",
        "8a6b52",
    )
)
_SKINS: Final = tuple(hex_color(c) for c in ("f3c9a5", "e0a878", "b97b4f", "8a5635", "f6d6bb"))


def stands(
    canvas: Array,
    lens: Lens,
    air: Light,
    seed: int,
    *,
    z: float,
    x_range: tuple[float, float],
    rows: int = 12,
    base: float = 1.2,
    rise: float = 0.62,
    tread: float = 0.85,
    pitch: float = 0.62,
    haze: float = 0.2,
    wall: Color = (150, 90, 40),
    roof: bool = True,
    jump: float = 0.0,
    filled: float = 0.93,
) -> None:
    """Paint a grandstand full of people, its front wall at z; `jump` (0..1) is how high the crowd is up cheering."""
    rng = np.random.default_rng([seed, 13])
    image = finished(canvas)

    def quad(y0: float, y1: float, z0: float, z1: float, color: Color) -> None:
        points = np.array([(x_range[0], y0, z0), (x_range[1], y0, z0), (x_range[1], y1, z1), (x_range[0], y1, z1)])
        polygon(image, lens.project(points)[0], mix(color, air.haze, haze * 0.6))

    top_y, top_z = base + rows * rise, z + rows * tread
    if roof:
        quad(top_y, top_y + 2.6, top_z, top_z, hex_color("4c5666"))
    for row in range(rows - 1, -1, -1):
        y, depth = base + row * rise, z + row * tread
        quad(y - 0.1, y + rise, depth + tread, depth + tread, hex_color("5d6675") if row % 2 else hex_color("566070"))
        for x in np.arange(x_range[0], x_range[1], pitch):
            # every draw happens for every seat so that `jump` never changes who sits where
            present, body, skin, hair, dx, dy, cheer = rng.random(7)
            if present > filled:
                continue
            lift = jump * (0.18 + 0.3 * cheer)
            px, py, scale = lens.point(x + (dx - 0.5) * 0.16, y + 0.42 + lift + (dy - 0.5) * 0.1, depth)
            if not (-20 < px < lens.canvas[0] + 20 and -20 < py < lens.canvas[1] + 20):
                continue
            shirt = mix(_CROWD[int(body * len(_CROWD))], air.haze, haze)
            face = mix(_SKINS[int(skin * len(_SKINS))], air.haze, haze)
            r = 0.27 * scale
            if cheer * jump > 0.35:
                for sign in (-1, 1):
                    ribbon(
                        image,
                        np.array([(px + sign * r * 0.8, py), (px + sign * r * 1.3, py - r * 2.1)]),
                        max(r * 0.4, 1),
                        face,
                    )
            disc(image, (px, py + r * 0.3), r, shirt)
            ribbon(image, np.array([(px, py + r * 1.15), (px, py + r * 0.3)]), 2 * r, shirt)
            disc(image, (px, py - r * 1.15), r * 0.62, face)
            disc(image, (px, py - r * 1.42), r * 0.55, mix(_SKINS[3] if hair > 0.5 else (40, 36, 40), air.haze, haze))
    quad(0.0, base + 0.25, z, z, wall)
    quad(base + 0.18, base + 0.32, z, z, hex_color("f3f1ea"))
    if roof:
        for x in np.arange(x_range[0], x_range[1] + 1, 9.0):
            a, _, s = lens.project(np.array([(x, base, z + 0.2), (x, top_y + 2.4, z + 1.0)]))
            ribbon(image, a, max(0.16 * float(s[0]), 1.5), mix(hex_color("cfd5dc"), air.haze, haze))
        quad(top_y + 2.0, top_y + 2.9, z - 1.5, z - 1.5, hex_color("e9edf1"))
        quad(top_y + 2.9, top_y + 3.3, z - 1.5, z + 2.0, hex_color("b9c3cf"))
    canvas[:] = image


def fog(canvas: Array, ground: Ground, air: Light, start: float, full: float, strength: float = 0.75) -> None:
    """Fade the floor into the haze with distance."""
    t = smoothstep(start, full, ground.distance) * strength * ground.mask
    paint(canvas, air.haze, t)


# --- drawing on uint8 pictures, coordinates in pixels with sub-pixel precision ---------------------------------------


def _fixed(points: Array) -> NDArray[np.int32]:
    return np.asarray(np.rint(np.clip(points, -20000, 20000) * (1 << _SHIFT)), np.int32)


def polygon(image: Image, points: Array, color: Sequence[float]) -> None:
    """Fill one polygon (N, 2) with anti-aliased edges."""
    cv2.fillPoly(image, [_fixed(points)], tuple(color), cv2.LINE_AA, _SHIFT)


def disc(image: Image, centre: Point, radius: float, color: Sequence[float]) -> None:
    """Fill one anti-aliased disc."""
    at = _fixed(np.asarray(centre, dtype=float))
    if abs(at[0]) > 20000 << 3 or abs(at[1]) > 20000 << 3:
        return
    cv2.circle(
        image,
        (int(at[0]), int(at[1])),
        round(max(float(radius), 0.3) * (1 << _SHIFT)),
        tuple(color),
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def ellipse(image: Image, centre: Point, axes: Sequence[float], angle: float, color: Sequence[float]) -> None:
    """Fill one anti-aliased ellipse with half axes in pixels, turned by `angle` degrees."""
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = axes[0] * np.cos(t), axes[1] * np.sin(t)
    polygon(image, np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], -1), color)


def ribbon(image: Image, points: Array, width: float, color: Sequence[float]) -> None:
    """Draw an anti-aliased polyline (N, 2) of `width` pixels, thin ones with sub-pixel weight."""
    if width < 1.6:
        cv2.polylines(image, [_fixed(points)], False, tuple(color), 1, cv2.LINE_AA, _SHIFT)
        return
    for a, b in pairwise(points):
        along = b - a
        length = float(np.hypot(along[0], along[1]))
        if length < 1e-6:
            continue
        across = np.array([-along[1], along[0]]) / length * width / 2
        polygon(image, np.array([a + across, b + across, b - across, a - across]), color)


@lru_cache(maxsize=4)
def _soft_disc(size: int = 64) -> NDArray[np.float32]:
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    return np.asarray(np.clip(1 - np.hypot(x, y), 0, 1) ** 1.2, np.float32)


def blob_shadow(image: Image, centre: Point, axes: Sequence[float], strength: float) -> None:
    """Darken a soft ellipse in place: the shadow where something touches the floor."""
    glow(image, centre, axes, strength, (38, 26, 22))


def glow(image: Image, centre: Point, axes: Sequence[float], strength: float, color: Color) -> None:
    """Blend a soft elliptical spot of `color` over the picture in place."""
    h, w = image.shape[:2]
    x0, x1 = int(centre[0] - axes[0]), int(centre[0] + axes[0]) + 1
    y0, y1 = int(centre[1] - axes[1]), int(centre[1] + axes[1]) + 1
    if x1 <= 0 or y1 <= 0 or x0 >= w or y0 >= h or x1 - x0 < 2 or y1 - y0 < 2 or strength <= 0:
        return
    alpha = cv2.resize(_soft_disc(), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
    alpha = alpha[cy0 - y0 : cy1 - y0, cx0 - x0 : cx1 - x0, None] * min(strength, 1.0)
    region = image[cy0:cy1, cx0:cx1]
    region[:] = region + (np.asarray(color, np.float32) - region) * alpha


def text(
    image: Image,
    words: str,
    at: tuple[float, float],
    size: float,
    color: Sequence[float],
    *,
    weight: int = 600,
    align: str = "left",
    mirrored: bool = False,
) -> None:
    """Write `words` with the baseline at `at`, `size` in pixels; align left, centre or right.

    `mirrored` writes from right to left, for places that are filmed mirrored.
    """
    if mirrored:
        flipped = cv2.flip(image, 1)
        other = {"left": "right", "right": "left"}.get(align, align)
        text(flipped, words, (image.shape[1] - at[0], at[1]), size, color, weight=weight, align=other)
        image[:] = cv2.flip(flipped, 1)
        return
    width = text_width(words, size, weight)
    x = at[0] - {"left": 0.0, "centre": width / 2, "right": width}[align]
    ink = tuple(int(c) for c in color)
    if hasattr(cv2, "FontFace"):
        cv2.putText(image, words, (round(x), round(at[1])), ink, _face(), round(size), weight)
    else:  # OpenCV 4 has only stroke fonts
        font, thick = cv2.FONT_HERSHEY_DUPLEX, 1 + (weight > 500)
        cv2.putText(image, words, (round(x), round(at[1])), font, size / 30, ink, thick, cv2.LINE_AA)


@lru_cache(maxsize=1)
def _face() -> cv2.FontFace:
    return cv2.FontFace("sans")


def banners(
    image: Image,
    lens: Lens,
    words: str,
    places: Iterable[float],
    *,
    y: float,
    z: float,
    height: float,
    color: Color,
    mirrored: bool,
) -> None:
    """Write words along a wall at z, centred at each x of `places`, standing on y, `height` metres tall."""
    for x in places:
        px, py, scale = lens.point(float(x), y, z)
        text(image, words, (px, py), height * scale, color, weight=700, align="centre", mirrored=mirrored)


def text_width(words: str, size: float, weight: int = 600) -> float:
    """Return the width in pixels that `text` will need."""
    if hasattr(cv2, "FontFace"):
        box = cv2.getTextSize((4000, 200), words, (0, 100), _face(), round(size), weight)
        return float(box[2])
    return float(cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, size / 30, 1)[0][0])


@dataclass(frozen=True)
class CameraPath:
    """Where the picture lies on the canvas in every frame.

    Attributes:
        x, y: (T,) canvas position of the picture's centre.
        zoom: (T,) magnification.
        roll: (T,) degrees.
    """

    x: Array
    y: Array
    zoom: Array
    roll: Array

    def matrices(self, lens: Lens) -> Array:
        """Return (T, 2, 3) affine maps canvas -> picture, kept inside the canvas."""
        w, h = lens.picture
        angle = np.deg2rad(self.roll)
        slack = 1 + np.abs(np.sin(angle)) * 1.4
        zoom = np.maximum(self.zoom, np.maximum(w * slack / (lens.canvas[0] - 2), h * slack / (lens.canvas[1] - 2)))
        half_w, half_h = w / 2 / zoom * slack, h / 2 / zoom * slack
        x = np.clip(self.x, half_w, lens.canvas[0] - half_w)
        y = np.clip(self.y, half_h, lens.canvas[1] - half_h)
        c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
        return np.stack([np.stack([c, -s, w / 2 - c * x + s * y], -1), np.stack([s, c, h / 2 - s * x - c * y], -1)], 1)
