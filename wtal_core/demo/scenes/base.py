"""What every scene offers, and what scenes share: kinds of beats, clips, cameras and captions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.motion import smoothstep
from wtal_core.demo.stage import (
    SUPERSAMPLE,
    CameraPath,
    Color,
    Image,
    Lens,
    hex_color,
    polygon,
    shade,
    text,
    text_width,
)
from wtal_core.demo.story import Beat, Shot

__all__ = [
    "Clip",
    "Kind",
    "Scene",
    "Take",
    "bug",
    "camera_path",
    "generators",
    "lower_third",
    "moments",
    "orbit",
    "overlays",
    "solid",
    "still_or",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """A kind of beat.

    Attributes:
        track: the truth track it belongs to.
        name: what happens.
        parts: (phase, shortest, longest) in world seconds; a single part where there are no phases.
        about: one sentence for the contact sheet.
        still: may be filmed with nothing moving at all.
    """

    track: str
    name: str
    parts: tuple[tuple[str, float, float], ...]
    about: str
    still: bool = False

    def beat(self, rng: np.random.Generator, fps: float, *, pace: float = 1.0, slow: float = 1.0) -> Beat:
        """Draw durations; `pace` > 1 is faster, `slow` < 1 stretches world seconds over more frames."""
        mood = rng.random()
        parts = []
        for phase, low, high in self.parts:
            seconds = low + (high - low) * (0.6 * mood + 0.4 * rng.random())
            parts.append((phase, max(round(seconds / pace / slow * fps), 2)))
        return Beat(self.track, self.name, tuple(parts))


@dataclass(frozen=True)
class Take:
    """A sequence of kinds that makes one continuous shot, with its weight in the draw."""

    kinds: tuple[str, ...]
    weight: float = 1.0


class Clip:
    """A prepared shot: a cached canvas, the camera's maps and a function that draws what moves."""

    def __init__(
        self,
        lens: Lens,
        canvas: Image,
        matrices: Array,
        draw: Callable[[Image, int], None],
        *,
        mirror: bool = False,
        overlay: Callable[[Image, int], None] | None = None,
        smooth: bool = True,
    ) -> None:
        self.lens, self.canvas, self.matrices, self._draw, self._overlay = lens, canvas, matrices, draw, overlay
        self._mirror, self._smooth = mirror, smooth
        self._held: tuple[bytes, Image] | None = None

    def __len__(self) -> int:
        return len(self.matrices)

    def frame(self, index: int) -> Image:
        """Return one supersampled picture (H, W, 3) uint8 BGR."""
        matrix = self.matrices[index]
        key = matrix.tobytes()
        if self._held is None or self._held[0] != key:
            flags = cv2.INTER_LINEAR
            self._held = (
                key,
                cv2.warpAffine(self.canvas, matrix, self.lens.picture, flags=flags, borderMode=cv2.BORDER_REPLICATE),
            )
        image = self._held[1].copy()
        self._draw(image, index)
        if self._mirror:
            image = cv2.flip(image, 1)
        if self._overlay is not None:
            self._overlay(image, index)
        return image


def moments(shot: Shot, fps: float) -> Array:
    """Return the world time of every frame of a shot, seconds from its start, (T,)."""
    return np.arange(shot.frames) * (shot.slow / fps)


def generators(shot: Shot) -> tuple[np.random.Generator, np.random.Generator]:
    """Return what decides on the athlete, the same in all shots of its cast, and on the performance of this shot."""
    return np.random.default_rng([shot.cast, 3]), np.random.default_rng([shot.seed, 4])


def still_or(shot: Shot, seconds: Array) -> Array:
    """Return `seconds`, or all zeros for a still shot: ambient motion stops."""
    return np.zeros_like(seconds) if shot.still else seconds


def camera_path(
    lens: Lens,
    shot: Shot,
    focus: Array | None = None,
    *,
    home: tuple[float, float] | None = None,
    fps: float = 25.0,
    lag: float = 0.35,
    hold: float = 0.0,
    zoom: Array | float = 1.0,
) -> Array:
    """Return the (T, 2, 3) maps of a shot's camera.

    Args:
        focus: (T, 2) canvas position to follow (where the move is "follow"), smoothed over `lag` seconds.
        home: canvas position of the framing's centre; the mean of `focus`, or the canvas centre, where None.
        hold: share 0..1 of the vertical following that is suppressed.
        zoom: scene zoom, scalar or (T,), multiplied with the shot's.
    """
    frames, plan = shot.frames, shot.camera
    rng = np.random.default_rng([shot.seed, 77])
    t = np.linspace(0, 1, frames)
    if home is None:
        home = (
            (lens.canvas[0] / 2, lens.canvas[1] / 2)
            if focus is None
            else (float(focus[:, 0].mean()), float(focus[:, 1].mean()))
        )
    cx, cy = home
    x, y = np.full(frames, float(cx)), np.full(frames, float(cy))
    scale = np.broadcast_to(np.asarray(zoom, dtype=float), (frames,)) * plan.zoom
    unit = lens.picture[1]
    if focus is not None and plan.move in ("follow", "push", "pull"):
        sigma = max(lag * fps / shot.slow, 0.5)
        width = int(3 * sigma)
        kernel = np.exp(-0.5 * (np.arange(-width, width + 1) / sigma) ** 2)
        kernel /= kernel.sum()
        padded = np.pad(focus, ((width, width), (0, 0)), mode="edge")
        x = np.convolve(padded[:, 0], kernel, mode="valid")
        y = cy + (np.convolve(padded[:, 1], kernel, mode="valid") - cy) * (1 - hold)
    if not shot.still:
        ease = smoothstep(0, 1, t)
        if plan.move == "push":
            scale = scale * (1 + 0.16 * ease)
        elif plan.move == "pull":
            scale = scale * (1.16 - 0.16 * ease)
        elif plan.move == "drift":
            way = rng.choice([-1.0, 1.0])
            x, scale = x + way * unit * 0.07 * (t - 0.5), scale * (1.04 + 0.03 * way * t)
        elif plan.move == "pan":
            way = rng.choice([-1.0, 1.0])
            reach = max(lens.canvas[0] / 2 - lens.picture[0] / 2 / float(scale.mean()), 0) * 0.9
            x = x + way * reach * (2 * ease - 1)
        if plan.shake > 0:
            for axis in (x, y):
                axis += _wobble(rng, frames, fps) * plan.shake * unit * 0.02
    roll = np.zeros(frames) if shot.still else _wobble(rng, frames, fps) * plan.shake * 0.7
    return CameraPath(x, y, np.broadcast_to(scale, (frames,)), roll).matrices(lens)


def _wobble(rng: np.random.Generator, frames: int, fps: float) -> Array:
    """Return smooth hand-held motion (T,), about unit amplitude."""
    t = np.arange(frames) / fps
    total = np.zeros(frames)
    for rate, weight in ((0.4, 0.8), (1.1, 0.6), (2.6, 0.35), (5.1, 0.2)):
        total += weight * np.sin(2 * np.pi * (rate * rng.uniform(0.8, 1.25) * t + rng.random()))
    return total


class Scene(ABC):
    """One sport (or one kind of background): its beats, its takes and how they look."""

    label: ClassVar[str]
    title: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    action_takes: ClassVar[tuple[Take, ...]] = ()
    fake_takes: ClassVar[tuple[Take, ...]] = ()
    context_takes: ClassVar[tuple[Take, ...]] = ()
    azimuths: ClassVar[tuple[float, ...]] = (0.0,)
    indoor: ClassVar[bool] = False

    @classmethod
    def kind(cls, name: str) -> Kind:
        """Return the kind of that name."""
        return next(kind for kind in cls.kinds if kind.name == name)

    @classmethod
    def phases(cls) -> tuple[str, ...]:
        """Return the phase names of the action, in order."""
        return tuple(p for kind in cls.kinds if kind.track == "action" for p, _, _ in kind.parts)

    @abstractmethod
    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot for drawing at `size` (width, height of the finished picture)."""

    @staticmethod
    def picture(size: tuple[int, int]) -> tuple[int, int]:
        """Return the supersampled picture size."""
        return size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE


def orbit(
    picture: tuple[int, int],
    *,
    target: tuple[float, float, float],
    distance: float,
    azimuth: float,
    height: float,
    fov: float,
    margin: tuple[float, float] = (1.35, 1.2),
    offset: tuple[float, float] = (0.0, 0.0),
) -> Lens:
    """Return a lens that looks at `target` from `distance` metres, `azimuth` degrees to the right, eye at `height`."""
    angle = np.deg2rad(azimuth)
    eye = (target[0] + distance * float(np.sin(angle)), height, target[2] - distance * float(np.cos(angle)))
    canvas = (int(picture[0] * margin[0]) // 2 * 2, int(picture[1] * margin[1]) // 2 * 2)
    shift = (offset[0] * picture[0], offset[1] * picture[1])
    return Lens(eye, target, fov, picture, canvas, shift)


def lower_third(
    words: Sequence[str], frames: int, fps: float, *, start: float = 0.3, still: bool = False
) -> Callable[[Image, int], None]:
    """Return an overlay that slides a two-line caption bar in and out at the bottom of the picture."""
    head = words[0]
    sub = words[1] if len(words) > 1 else ""

    def draw(image: Image, frame: int) -> None:
        h, w = image.shape[:2]
        t = frame / fps - start
        left = (frames - 1 - frame) / fps
        ease = 1.0 if still else float(smoothstep(0, 0.45, np.array(t))) * float(smoothstep(0, 0.35, np.array(left)))
        if ease <= 0.01:
            return
        width = max(text_width(head, h * 0.052), text_width(sub, h * 0.04, 400)) + h * 0.09
        x1 = -width + (width + w * 0.055) * ease
        y0, y1 = h * 0.80, h * (0.925 if sub else 0.875)
        panel = np.array([(x1 - w, y0), (x1 + width, y0), (x1 + width - h * 0.03, y1), (x1 - w, y1)])
        polygon(image, panel, hex_color("14213d"))
        polygon(image, np.array([(x1 - h * 0.02, y0), (x1, y0), (x1, y1), (x1 - h * 0.02, y1)]), hex_color("f2a33a"))
        text(image, head, (x1 + h * 0.03, y0 + h * 0.056), h * 0.052, (255, 255, 255), weight=650)
        if sub:
            text(image, sub, (x1 + h * 0.03, y0 + h * 0.106), h * 0.04, (225, 210, 190), weight=400)

    return draw


def bug(words: str, fps: float) -> Callable[[Image, int], None]:
    """Return an overlay with a small blinking badge at the top left (the sign of a replay)."""

    def draw(image: Image, frame: int) -> None:
        h = image.shape[0]
        width = text_width(words, h * 0.05, 700) + h * 0.10
        x, y = h * 0.06, h * 0.06
        polygon(
            image,
            np.array([(x, y), (x + width, y), (x + width, y + h * 0.075), (x, y + h * 0.075)]),
            hex_color("b3202c"),
        )
        dot = hex_color("ffffff") if int(frame / fps * 2) % 2 == 0 else hex_color("e99aa0")
        cv2.circle(image, (int(x + h * 0.035), int(y + h * 0.0375)), int(h * 0.014), dot, -1, cv2.LINE_AA)
        text(image, words, (x + h * 0.065, y + h * 0.056), h * 0.05, (255, 255, 255), weight=700)

    return draw


def overlays(shot: Shot, fps: float) -> Callable[[Image, int], None] | None:
    """Return what is burnt over a shot: its caption as a lower third, and the badge of a replay."""
    layers: list[Callable[[Image, int], None]] = []
    if shot.caption:
        layers.append(lower_third(shot.caption.split("|"), shot.frames, fps, still=shot.still))
    if shot.replay:
        layers.append(bug("REPLAY", fps))
    if not layers:
        return None

    def draw(image: Image, frame: int) -> None:
        for layer in layers:
            layer(image, frame)

    return draw


def solid(
    image: Image,
    lens: Lens,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    color: Color,
    sun: tuple[float, float, float] = (-0.5, 0.8, -0.35),
) -> None:
    """Paint a box given by two corners in metres: its visible faces, lit by the sun."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    corners = {
        (-1, 0, 0): [(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)],
        (1, 0, 0): [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
        (0, 0, -1): [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)],
        (0, 1, 0): [(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)],
        (0, -1, 0): [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
    }
    for normal, points in corners.items():
        middle = np.mean(points, axis=0)
        if np.dot(normal, np.subtract(lens.eye, middle)) <= 0:
            continue
        glow = float(np.dot(normal, sun))
        polygon(
            image,
            lens.project(np.array(points))[0],
            shade(color, float(np.clip(0.16 * glow if glow > 0 else 0.3 * glow - 0.06, -0.5, 0.3))),
        )
