"""What belongs to no class: crowds, title cards, walks, interviews, landscapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, random_look
from wtal_core.demo.motion import locomotion, smoothstep
from wtal_core.demo.scenes.base import (
    Clip,
    Kind,
    Scene,
    Take,
    camera_path,
    generators,
    lower_third,
    moments,
    orbit,
    overlays,
    still_or,
)
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    CameraPath,
    Ground,
    Image,
    Lens,
    finished,
    fog,
    hex_color,
    hills,
    light,
    mix,
    new_canvas,
    paint,
    polygon,
    ribbon,
    shade,
    sky,
    stands,
    text,
    trees,
)
from wtal_core.demo.story import Shot

__all__ = ["Crowd", "Interview", "Landscape", "TitleCard", "Walk"]

Array = NDArray[Any]


class Crowd(Scene):
    """A pan over the grandstand; a wave of cheering runs through it."""

    label = "Crowd"
    title = "Crowd"
    kinds = (Kind("background", "crowd", (("", 1.8, 4.0),), "a pan over the stands"),)
    context_takes = (Take(("crowd",)),)

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = orbit(
            self.picture(size), target=(0, 3.2, 20), distance=18.0, azimuth=0, height=3.6, fov=17, margin=(2.3, 1.1)
        )
        calm, wild = _crowd(lens, shot.venue, shot.lighting, 0.0), _crowd(lens, shot.venue, shot.lighting, 1.0)
        matrices = camera_path(lens, shot, fps=fps)
        t = still_or(shot, moments(shot, fps))
        width = lens.picture[0] * 0.55
        front = (t * 0.55 + 0.2) * lens.picture[0] * 1.3 - width * 0.5
        flicker = np.random.default_rng([shot.seed, 6]).random((shot.frames // 5 + 1, 9))

        def draw(image: Image, i: int) -> None:
            picture = cv2.warpAffine(
                wild, matrices[i], lens.picture, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            left, right = int(np.clip(front[i], 0, lens.picture[0])), int(np.clip(front[i] + width, 0, lens.picture[0]))
            image[:, left:right] = picture[:, left:right]
            if not shot.still:
                for k, lit in enumerate(flicker[i // 5]):  # camera flashes
                    if lit > 0.93:
                        x, y = (
                            int(lens.picture[0] * (k + 0.5) / 9),
                            int(lens.picture[1] * (0.2 + 0.5 * ((k * 37) % 10) / 10)),
                        )
                        cv2.circle(image, (x, y), 3, (255, 255, 255), -1, cv2.LINE_AA)

        return Clip(lens, calm, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))


@lru_cache(maxsize=4)
def _crowd(lens: Lens, venue: int, lighting: str, jump: float) -> Image:
    air = light(lighting)
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=0.2)
    wall = (hex_color("20406f"), hex_color("7d2231"), hex_color("2f5d4e"))[venue % 3]
    stands(
        canvas,
        lens,
        air,
        venue,
        z=19,
        x_range=(-22, 22),
        rows=14,
        base=1.1,
        rise=0.58,
        haze=0.05,
        wall=wall,
        roof=False,
        jump=jump,
    )
    return finished(canvas)


class TitleCard(Scene):
    """A graphic title between two programmes."""

    label = "TitleCard"
    title = "Title card"
    kinds = (Kind("background", "title_card", (("", 1.6, 3.4),), "an animated title", still=True),)
    context_takes = (Take(("title_card",)),)

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        w, h = self.picture(size)
        lens = Lens((0, 0, 0), (0, 0, 1), 40, (w, h), (w, h))
        palette = (
            ("12355b", "f2a33a", "2f6f9f"),
            ("4a1942", "f25f5c", "7d3c78"),
            ("0b3d2e", "f4d35e", "2d7a5c"),
            ("1d1e2c", "59c9a5", "3c4468"),
        )[shot.venue % 4]
        base, accent, second = (hex_color(c) for c in palette)
        rows = np.linspace(0.12, -0.35, h)
        canvas = (
            np.stack([np.tile(np.asarray(shade(base, float(r))), (w, 1)) for r in rows]).clip(0, 255).astype(np.uint8)
        )
        words = (shot.caption or "HIGHLIGHTS|Tonight").split("|")
        frames = shot.frames
        one = np.ones(frames)
        matrices = CameraPath(w / 2 * one, h / 2 * one, one, 0 * one).matrices(lens)

        def draw(image: Image, i: int) -> None:
            t = 2.0 if shot.still else i / fps
            rise = float(smoothstep(0.05, 0.7, np.array(t)))
            for k in range(-2, 12):
                x = (k * 0.13 * w + t * 0.035 * w) - 0.05 * w
                bar = np.array([(x, h), (x + 0.05 * w, h), (x + 0.05 * w + 0.5 * h, 0), (x + 0.5 * h, 0)])
                polygon(image, bar, mix(base, second, 0.35 if k % 2 else 0.2))
            width = w * 0.7 * rise
            polygon(
                image,
                np.array(
                    [
                        (w * 0.15, h * 0.56),
                        (w * 0.15 + width, h * 0.56),
                        (w * 0.15 + width, h * 0.575),
                        (w * 0.15, h * 0.575),
                    ]
                ),
                accent,
            )
            text(
                image,
                words[0],
                (w / 2, h * (0.50 + 0.06 * (1 - rise))),
                h * 0.125,
                (255, 255, 255),
                weight=800,
                align="centre",
            )
            if len(words) > 1 and t > 0.35:
                text(
                    image,
                    words[1],
                    (w / 2, h * 0.665),
                    h * 0.062,
                    mix(accent, (255, 255, 255), 0.3),
                    weight=450,
                    align="centre",
                )
            spin = np.deg2rad(t * 40)
            for k in range(5):
                angle = spin + k * 2 * np.pi / 5
                ribbon(
                    image,
                    np.array(
                        [(w / 2, h * 0.25), (w / 2 + h * 0.07 * np.cos(angle), h * 0.25 + h * 0.07 * np.sin(angle))]
                    ),
                    h * 0.012,
                    accent,
                )

        return Clip(lens, canvas, matrices, draw)


class Walk(Scene):
    """Somebody walks through a park."""

    label = "Walk"
    title = "Walking"
    kinds = (Kind("background", "walk", (("", 2.4, 4.5),), "somebody walks through a park"),)
    context_takes = (Take(("walk",)),)

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = orbit(
            self.picture(size),
            target=(0, 1.2, 0),
            distance=9.5,
            azimuth=shot.camera.azimuth * 0.5,
            height=1.7,
            fov=19,
            margin=(2.4, 1.15),
        )
        canvas, air = _park(lens, shot.venue, shot.lighting), light(shot.lighting)
        t = moments(shot, fps)
        cast, _ = generators(shot)
        body = Body(height=cast.uniform(1.6, 1.9), build=cast.uniform(0.9, 1.15))
        look = random_look(cast, legs="trousers", sleeves=0.95)
        speed = cast.uniform(1.1, 1.5)
        x = -speed * float(t[-1]) / 2 + speed * t
        pose = locomotion(t, x, phase=cast.random())
        focus = lens.project(np.stack([x + 0.2, 1.2 + 0 * x, 0 * x], -1))[0]
        matrices = camera_path(lens, shot, focus, fps=fps, hold=1.0)
        figure = Figure(solve(body, pose), body, look, lens, matrices, air.sun)

        def draw(image: Image, i: int) -> None:
            figure.shadow(image, i, air.shadow)
            figure.draw(image, i)

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))


@lru_cache(maxsize=4)
def _park(lens: Lens, venue: int, lighting: str) -> Image:
    air = light(lighting)
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=0.6)
    hills(canvas, lens, air, venue, [(0.22, hex_color("7d9fb0"), 0.55), (0.13, hex_color("6a9c72"), 0.35)])
    ground = Ground.under(lens)
    grass = ground.speckled(hex_color("8abb57"), (0.07, 0.3, venue), (0.06, 2.5, venue + 1))
    paint(canvas, grass, ground.mask.astype(float))
    gravel = ground.speckled(hex_color("d8c49a"), (0.06, 0.05, venue + 2), (0.05, 0.6, venue))
    paint(
        canvas, gravel, smoothstep(0, 0.15, 1.0 + 0.12 * np.sin(ground.x * 0.9) - np.abs(ground.z - 0.05)) * ground.mask
    )
    fog(canvas, ground, air, 12, 90, 0.5)
    trees(
        canvas,
        lens,
        air,
        venue,
        distance=36,
        height=8,
        color=hex_color("4f8f45"),
        x_range=(-32, 32),
        spacing=3.4,
        z_jitter=9,
        haze=0.3,
    )
    trees(
        canvas,
        lens,
        air,
        venue + 1,
        distance=13,
        height=5.2,
        color=hex_color("5b9c3e"),
        x_range=(-14, 14),
        spacing=5.5,
        z_jitter=3,
        haze=0.08,
    )
    return finished(canvas)


class Interview(Scene):
    """A talking head before a sponsors' wall."""

    label = "Interview"
    title = "Interview"
    kinds = (Kind("background", "interview", (("", 2.5, 5.0),), "somebody talks before a sponsors' wall"),)
    context_takes = (Take(("interview",)),)

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = orbit(
            self.picture(size),
            target=(0.14, 1.46, 0),
            distance=3.4,
            azimuth=0,
            height=1.52,
            fov=19,
            margin=(1.25, 1.15),
        )
        canvas = _wall(lens, shot.venue, shot.mirror)
        t = still_or(shot, moments(shot, fps))
        cast, style = generators(shot)
        body = Body(height=1.76, build=cast.uniform(0.95, 1.1))
        look = random_look(cast, legs="trousers", sleeves=0.95)
        a, b, c = style.uniform(0, 6, 3)
        one = np.ones(len(t))
        pose = {
            "yaw": -90 + 14 * one,
            "nod": 3 * np.sin(t * 3.1 + a) + 3 * np.sin(t * 5.3 + b),
            "turn": 7 * np.sin(t * 0.9 + c),
            "twist": 3 * np.sin(t * 0.7 + a),
            "side": 1.5 * np.sin(t * 1.1 + b),
            "l_raise": 16 + 14 * np.sin(t * 1.9 + c),
            "l_elbow": 78 + 26 * np.sin(t * 2.3 + a),
            "r_raise": 18 + 10 * np.sin(t * 1.6 + b),
            "r_elbow": 84 + 18 * np.sin(t * 2.0 + c),
            "l_in": 30 * one,
            "r_in": 36 * one,
            "l_spread": 12 * one,
            "r_spread": 12 * one,
        }
        matrices = camera_path(lens, shot, fps=fps)
        figure = Figure(solve(body, pose), body, look, lens, matrices, (-0.5, 0.8, -0.4))
        speak = np.abs(np.sin(t * 9 + a)) * (np.sin(t * 1.7 + b) > -0.6)

        def draw(image: Image, i: int) -> None:
            figure.draw(image, i)
            head = figure.skeleton["head"][i] + figure.skeleton.head[i, 0] * 0.102 - figure.skeleton.head[i, 1] * 0.058
            at, _, scale = lens.project(head)
            p = matrices[i, :, :2] @ at + matrices[i, :, 2]
            s = float(scale) * float(np.hypot(*matrices[i, 0, :2]))
            cv2.ellipse(
                image,
                (int(p[0] * 16), int(p[1] * 16)),
                (int(0.026 * s * 16), int((0.005 + 0.016 * speak[i]) * s * 16)),
                0,
                0,
                360,
                (52, 40, 92),
                -1,
                cv2.LINE_AA,
                4,
            )
            base = (
                lens.project(np.array([(0.28, 0.95, -0.45), (0.10, 1.36, -0.36)]))[0] @ matrices[i, :, :2].T
                + matrices[i, :, 2]
            )
            ribbon(image, base, 0.035 * s, (40, 38, 38))
            cv2.circle(image, (int(base[1, 0]), int(base[1, 1])), int(0.042 * s), (60, 56, 54), -1, cv2.LINE_AA)

        caption = lower_third((shot.caption or "COACH|after the event").split("|"), shot.frames, fps, still=shot.still)
        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=caption)


@lru_cache(maxsize=4)
def _wall(lens: Lens, venue: int, mirrored: bool) -> Image:
    base = hex_color(("e9edf2", "f2ead9", "dfe9e2")[venue % 3])
    h, w = lens.canvas[1], lens.canvas[0]
    ramp = np.linspace(0.02, -0.16, h)
    canvas = np.stack([np.tile(np.asarray(shade(base, float(r))), (w, 1)) for r in ramp])
    image = finished(canvas)
    marks = (("NORDWIND", "2b62a5"), ("kiwano", "3c9d6b"), ("TRIAS", "c4453c"))
    for row in range(7):
        for col in range(7):
            word, color = marks[(row + col) % 3]
            text(
                image,
                word,
                (w * (col + (row % 2) * 0.5) / 6, h * (row + 0.6) / 6.5),
                h * 0.042,
                mix(hex_color(color), base, 0.45),
                weight=750,
                align="centre",
                mirrored=mirrored,
            )
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0))


class Landscape(Scene):
    """Hills and clouds: where the event takes place."""

    label = "Landscape"
    title = "Landscape"
    kinds = (Kind("background", "landscape", (("", 2.0, 3.8),), "hills, trees, birds", still=True),)
    context_takes = (Take(("landscape",)),)

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = orbit(
            self.picture(size), target=(0, 5.2, 60), distance=70.0, azimuth=0, height=6.0, fov=24, margin=(1.8, 1.1)
        )
        canvas = _valley(lens, shot.venue, shot.lighting)
        matrices = camera_path(lens, shot, fps=fps)
        t = still_or(shot, moments(shot, fps))
        rng = np.random.default_rng([shot.seed, 4])
        birds = rng.uniform((0.1, 0.08, 0.4), (0.7, 0.35, 1.0), (6, 3))

        def draw(image: Image, i: int) -> None:
            h, w = image.shape[:2]
            for k, (x, y, s) in enumerate(birds):
                px, py = (x + 0.05 * s * t[i]) * w, (y + 0.004 * np.sin(t[i] * 2 + k)) * h
                flap = np.sin(t[i] * 9 * s + k) * 0.012 * h * s
                ribbon(
                    image,
                    np.array([(px - 0.018 * w * s, py - flap), (px, py), (px + 0.018 * w * s, py - flap)]),
                    2.0,
                    (70, 62, 58),
                )

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))


@lru_cache(maxsize=4)
def _valley(lens: Lens, venue: int, lighting: str) -> Image:
    air = light(lighting)
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=0.9)
    hills(
        canvas,
        lens,
        air,
        venue,
        [(0.42, hex_color("8aa4b8"), 0.62), (0.30, hex_color("7aa089"), 0.45), (0.18, hex_color("679a5e"), 0.28)],
    )
    ground = Ground.under(lens)
    fields = np.sign(np.sin(ground.x / 9 + np.sin(ground.z / 31))) * np.sign(np.sin(ground.z / 17))
    grass = (
        np.asarray(hex_color("85b455"))
        + (np.asarray(hex_color("c9bd66")) - np.asarray(hex_color("85b455"))) * ((fields > 0) * 0.5)[..., None]
    )
    paint(canvas, ground.speckled(grass, (0.05, 3.0, venue)), ground.mask.astype(float))
    fog(canvas, ground, air, 40, 400, 0.6)
    trees(
        canvas,
        lens,
        air,
        venue,
        distance=90,
        height=6,
        color=hex_color("4b8748"),
        x_range=(-60, 60),
        spacing=4.5,
        z_jitter=40,
        haze=0.3,
    )
    return finished(canvas)
