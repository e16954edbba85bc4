"""Diving: a platform and a pool. A dive counts when the diver leaves the platform head over heels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, Look, random_look
from wtal_core.demo.motion import Timeline, blend, locomotion, smoothstep
from wtal_core.demo.scenes.base import (
    Clip,
    Kind,
    Scene,
    Take,
    camera_path,
    generators,
    moments,
    orbit,
    overlays,
    solid,
    still_or,
)
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
    banners,
    blob_shadow,
    disc,
    ellipse,
    finished,
    glow,
    hex_color,
    light,
    mix,
    new_canvas,
    paint,
    polygon,
    ribbon,
    shade,
    stands,
)
from wtal_core.demo.story import Shot

__all__ = ["Diving"]

Array = NDArray[Any]

_TOP = 3.6  # metres of the platform above the water
_DECK = 0.35
_EDGE = -0.1
_LOOP = 24  # pictures in one cycle of the water


def _lens(picture: tuple[int, int], azimuth: float) -> Lens:
    return orbit(
        picture,
        target=(0.3, 3.1, 0.0),
        distance=14.0,
        azimuth=azimuth,
        height=3.3,
        fov=21,
        margin=(1.3, 1.5),
        offset=(0.02, -0.02),
    )


def _water_color(ground: Ground, rng: np.random.Generator) -> Array:
    depth = smoothstep(0, 26, ground.distance - 10)
    near, far = np.asarray(hex_color("1f8fc4")), np.asarray(hex_color("63c3de"))
    return np.asarray(near + (far - near) * depth[..., None] + 6 * rng.uniform(-1, 1))


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, lighting: str, mirrored: bool) -> tuple[Image, tuple[Image, ...]]:
    """Return the painted hall and the moving highlights of the water (grey masks, one cycle)."""
    air = light(lighting)
    rng = np.random.default_rng([venue, 505])
    canvas = new_canvas(lens)
    h, w = canvas.shape[:2]
    # hall: a bright wall with windows, a grandstand along the far side
    wall = np.asarray(hex_color(("dfe7ea", "e9e2d4", "d5e0e6")[venue % 3]))
    rows = np.linspace(1.06, 0.86, h)[:, None, None]
    canvas[:] = wall * rows * np.ones((1, w, 1))
    image = finished(canvas)
    for x in np.arange(-24, 30, 5.2):
        frame = np.array([(x, 5.3, 20), (x + 4.0, 5.3, 20), (x + 4.0, 10.4, 20), (x, 10.4, 20)])
        polygon(image, lens.project(frame)[0], hex_color("9fb1ba"))
        for k in range(2):
            for j in range(3):
                pane = np.array(
                    [
                        (x + 0.15 + 1.9 * k, 5.45 + 1.63 * j),
                        (x + 1.95 + 1.9 * k, 5.45 + 1.63 * j),
                        (x + 1.95 + 1.9 * k, 6.95 + 1.63 * j),
                        (x + 0.15 + 1.9 * k, 6.95 + 1.63 * j),
                    ]
                )
                points = np.column_stack([pane, np.full(4, 19.9)])
                polygon(image, lens.project(points)[0], mix(air.sky_low, air.sky_top, 0.18 + 0.28 * j))
    canvas[:] = image
    stands(
        canvas,
        lens,
        air,
        venue,
        z=17.0,
        x_range=(-24, 26),
        rows=5,
        base=1.9,
        rise=0.55,
        haze=0.25,
        wall=hex_color(("1d5c8f", "7a3048", "256b64")[venue % 3]),
        roof=False,
        filled=0.8,
    )
    ground = Ground.under(lens)
    deck = Ground.under(lens, _DECK)
    tiles = deck.speckled(hex_color("d9d3c4"), (0.03, 0.5, venue))
    paint(canvas, tiles, deck.mask * (deck.z > 12.0) * (deck.z < 17.0))
    for k in range(12):
        paint(canvas, hex_color("bdb6a6"), deck.line("z", 12.5 + 0.5 * k, 0.04) * (deck.z > 12) * (deck.z < 17) * 0.6)
    pool = ground.mask & (ground.z < 12.0)
    paint(canvas, _water_color(ground, rng), pool.astype(float))
    for z in (2.5, 5.0, 7.5, 10.0):  # lane ropes
        dash = np.clip(np.sin(ground.x * 2 * np.pi / 1.2) * 4 + 0.5, 0, 1)
        rope = ground.line("z", z, 0.14)
        paint(canvas, hex_color("e4473f"), rope * dash * pool * 0.85)
        paint(canvas, (248, 248, 248), rope * (1 - dash) * pool * 0.85)
    image = finished(canvas)
    edge = lens.project(np.array([(-40, _DECK, 12.0), (40, _DECK, 12.0), (40, 0.0, 12.0), (-40, 0.0, 12.0)]))[0]
    polygon(image, edge, hex_color("f0ede4"))
    words = ("AQUATIC CENTRE", "DIVING OPEN", "CITY POOL")[venue % 3]
    white = (250, 250, 250)
    banners(image, lens, words, (-13, 1.5, 16), y=1.05, z=16.9, height=0.85, color=white, mirrored=mirrored)
    before = image.copy()
    # tower: column, stairs, platform with rails, on a strip of deck
    stone = hex_color(("c9ccd0", "d6cbb8", "bfc8ce")[venue % 3])
    solid(image, lens, (-9.5, 0.0, -2.6), (-1.8, _DECK, 2.6), hex_color("ddd8ca"), air.sun)
    solid(image, lens, (-3.5, _DECK, -0.55), (-2.5, _TOP - 0.2, 0.55), shade(stone, -0.12), air.sun)
    for k in range(13):
        y = _DECK + (k + 1) * (_TOP - _DECK) / 13
        x = -6.8 + k * 0.19
        solid(image, lens, (x, y - 0.08, -0.5), (x + 0.36, y, 0.5), shade(stone, -0.2), air.sun)
    for z in (0.55, -0.55):
        rail = lens.project(np.array([(-6.8, _DECK + 1.0, z), (-4.4, _TOP + 1.0, z)]))[0]
        ribbon(image, rail, 3, hex_color("8c99a6"))
    _platform(image, lens, stone, air.sun)
    masks = []
    tower = cv2.dilate(np.any(before != image, axis=2).astype(np.uint8), np.ones((3, 3), np.uint8))
    if pool.any():
        waves = [
            (rng.uniform(0.5, 1.6), rng.uniform(-1.2, 1.2), rng.integers(1, 3), rng.uniform(0, 6.28)) for _ in range(6)
        ]
        warp = 0.9 * ground.grain(2.2, venue)
        fade = np.clip(1.5 - ground.footprint * 0.55, 0.25, 1) * pool * (tower == 0)
        for number in range(_LOOP):
            phase = 2 * np.pi * number / _LOOP
            total = sum(
                np.sin(kx * ground.x * 1.9 + kz * ground.z * 1.5 + n * phase + p + warp * 2.2) for kx, kz, n, p in waves
            )
            glint = np.clip(np.asarray(total) / 6 - 0.28, 0, 1) * 3.2
            masks.append(np.clip(glint * 78 * fade, 0, 96).astype(np.uint8))
    return image, tuple(masks)


def _platform(image: Image, lens: Lens, stone: tuple[float, float, float], sun: tuple[float, float, float]) -> None:
    for z in (0.75,):
        _rail(image, lens, z)
    solid(image, lens, (-4.6, _TOP - 0.24, -0.8), (_EDGE, _TOP, 0.8), stone, sun)
    solid(image, lens, (-4.6, _TOP - 0.05, -0.82), (_EDGE + 0.02, _TOP + 0.015, 0.82), hex_color("2f78b7"), sun)


def _rail(image: Image, lens: Lens, z: float) -> None:
    for y in (0.5, 0.95):
        ribbon(image, lens.project(np.array([(-4.5, _TOP + y, z), (-1.7, _TOP + y, z)]))[0], 3, hex_color("aab4bd"))
    for x in (-4.5, -3.1, -1.7):
        ribbon(image, lens.project(np.array([(x, _TOP, z), (x, _TOP + 0.95, z)]))[0], 3, hex_color("aab4bd"))


class Diving(Scene):
    """Platform diving to the right."""

    label = "Diving"
    title = "Platform diving"
    azimuths = (0.0, 15.0, -12.0)
    indoor = True
    kinds = (
        Kind(
            "action",
            "dive",
            (("approach", 0.9, 1.6), ("take_off", 0.45, 0.62), ("flight", 1.22, 1.24), ("entry", 0.5, 0.8)),
            "leaves the platform, turns, enters the water",
        ),
        Kind("fake", "turns_back", (("", 3.4, 4.6),), "walks to the edge, looks down and turns back"),
        Kind("fake", "balk", (("", 2.2, 3.2),), "swings the arms and crouches, but does not leave"),
        Kind("context", "on_platform", (("", 1.2, 3.0),), "stands on the platform, concentrates"),
        Kind("context", "rings", (("", 0.8, 2.2),), "rings on the water after the entry"),
        Kind("context", "empty_platform", (("", 2.0, 4.5),), "platform and pool, nobody there", still=True),
        Kind("context", "swims_off", (("", 2.4, 4.2),), "swims to the side after the dive"),
    )
    action_takes = (
        Take(("dive", "rings"), 2.5),
        Take(("on_platform", "dive", "rings"), 1.6),
        Take(("on_platform", "balk", "on_platform", "dive", "rings"), 0.7),
    )
    fake_takes = (
        Take(("turns_back",), 1.4),
        Take(("on_platform", "balk", "on_platform"), 1.0),
        Take(("on_platform", "turns_back"), 0.5),
    )
    context_takes = (Take(("empty_platform",), 1.3), Take(("on_platform",), 0.8), Take(("swims_off",), 1.0))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = _lens(self.picture(size), shot.camera.azimuth)
        (canvas, masks), air = _canvas(lens, shot.venue, shot.lighting, shot.mirror), light(shot.lighting)
        t = moments(shot, fps)
        cast, style = generators(shot)
        names = [beat.name for beat in shot.beats]
        body = Body(height=cast.uniform(1.62, 1.80), build=cast.uniform(0.88, 1.02))
        suit = hex_color(("c22f3d", "1f4f9c", "16181f", "1d8a6b", "d6862b")[cast.integers(5)])
        look: Look = random_look(
            cast,
            legs="bare",
            sleeves=0.0,
            bottoms=suit,
            band=None,
            hair_style=("swim", "short", "short", "bald")[cast.integers(4)],
        )
        woman = cast.random() < 0.5
        top = suit if woman else look.skin
        look = Look(
            **{
                **look.__dict__,
                "shirt": top,
                "accent": look.accent if woman else look.skin,
                "hair_style": "swim" if woman and look.hair_style == "bald" else look.hair_style,
            }
        )
        figure: Figure | None = None
        splash: float | None = None
        where = np.array([0.3, 3.1, 0.0])
        follow = np.tile(where, (len(t), 1))
        floor = _TOP + 0.015
        entry_x = 1.6
        if names == ["swims_off"]:
            pose, follow = self._swim(t, style)
            skeleton = solve(body, pose, ground=None)
        elif names != ["empty_platform"]:
            pose, off, splash, entry_x = self._diver(shot, t, fps, body, style)
            skeleton = solve(body, pose, ground=floor, grounded=1 - off)
            pelvis = skeleton["pelvis"]
            drop = smoothstep(0, 1, np.clip((pelvis[:, 1] - 3.0) / 1.5, 0, 1))
            follow[:, 0] = np.clip(pelvis[:, 0] * 0.55 + 0.3, -0.9, 1.1)
            follow[:, 1] = 2.35 + 1.35 * drop if splash is not None else 3.6
        else:
            skeleton = None
        matrices = camera_path(lens, shot, lens.project(follow)[0], fps=fps, lag=0.22)
        zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        if skeleton is not None:
            figure = Figure(skeleton, body, look, lens, matrices, air.sun)
        beat = still_or(shot, t)
        cycle = (beat * 9.0 + style.integers(_LOOP)).astype(int) % _LOOP
        surface = lens.project(np.array([(entry_x, 0.0, -0.25), (entry_x, 0.0, 0.0), (2.0, 0.0, 0.0)]))
        unit = float(surface[2][1])
        drops = np.random.default_rng([shot.seed, 8])
        count = 90
        size_rip = drops.uniform(0.75, 1.25)
        angle, lift = drops.uniform(0, 2 * np.pi, count), drops.uniform(1.4, 4.6, count) * size_rip
        spread, grain = drops.uniform(0.15, 1.0, count), drops.uniform(0.012, 0.042, count)

        def to_px(i: int, points: Array) -> Array:
            return lens.project(points)[0] @ matrices[i, :, :2].T + matrices[i, :, 2]

        def water(image: Image, i: int) -> None:
            if not masks:
                return
            mask = cv2.warpAffine(masks[cycle[i]], matrices[i], lens.picture, flags=cv2.INTER_LINEAR)
            cv2.add(image, cv2.merge([mask, mask, mask]), dst=image)

        def rings(image: Image, i: int, age: float) -> None:
            layer = image.copy()
            for k in range(4):
                a = age - 0.22 * k
                if a <= 0:
                    continue
                r = 0.25 + 1.25 * a
                turn = np.linspace(0, 2 * np.pi, 40)
                circle = np.stack([entry_x + r * np.cos(turn), 0 * turn, 1.0 * r * np.sin(turn)], -1)
                ribbon(layer, to_px(i, circle), max((0.07 - 0.012 * a) * unit * zoom[i], 1), (255, 252, 240))
            fade = float(np.clip(1.0 - age / 3.2, 0, 1)) * 0.6
            np.copyto(image, (image * (1 - fade) + layer * fade).astype(np.uint8))

        def burst(image: Image, i: int, age: float) -> None:
            s = unit * zoom[i]
            at = to_px(i, np.array([entry_x, 0.02, 0.0]))
            if age < 1.5:
                wide = (0.25 + 0.55 * min(age * 2.5, 1)) * s
                glow(image, at, (wide * 1.5, wide * 0.42), 0.95 * float(np.clip(1.5 - age, 0, 1)), (255, 253, 246))
            height = lift * age - 4.9 * age**2
            alive = height > -0.02
            x = entry_x + np.cos(angle) * spread * (0.15 + 1.1 * age)
            z = np.sin(angle) * spread * (0.1 + 0.6 * age)
            points = to_px(i, np.stack([x, np.maximum(height, 0), z], -1))
            for k in np.flatnonzero(alive):
                disc(image, points[k], grain[k] * s * (1.15 - 0.4 * min(age, 1)), (255, 250, 240))
            if age < 0.55:  # the crown
                tall = 1.15 * size_rip * np.sin(np.pi * min(age / 0.55, 1)) * s
                for j in range(-3, 4):
                    middle = (at[0] + j * 0.085 * s, at[1] - tall * (0.42 - 0.07 * abs(j)))
                    ellipse(image, middle, (0.05 * s, max(tall * (0.46 - 0.08 * abs(j)), 1)), j * 5, (255, 251, 243))

        def near_rail(image: Image, i: int) -> None:
            width = 0.05 * unit * zoom[i]
            for y in (0.5, 0.95):
                ribbon(
                    image,
                    to_px(i, np.array([(-4.5, _TOP + y, -0.75), (-2.3, _TOP + y, -0.75)])),
                    width,
                    hex_color("aab4bd"),
                )
            for x in (-4.5, -3.4, -2.3):
                ribbon(
                    image, to_px(i, np.array([(x, _TOP, -0.75), (x, _TOP + 0.95, -0.75)])), width, hex_color("aab4bd")
                )

        swims = names == ["swims_off"]

        def draw(image: Image, i: int) -> None:
            water(image, i)
            age = -1.0 if splash is None else float(t[i] - splash)
            if age > 0.1:
                rings(image, i, age - 0.1)
            pelvis = None if figure is None else figure.skeleton["pelvis"][i]
            on_top = pelvis is not None and bool(pelvis[1] > _TOP + 0.3 and pelvis[0] < _EDGE + 0.35)
            if not on_top:
                near_rail(image, i)
            if figure is not None and pelvis is not None:
                if on_top:
                    feet = (figure._at("l_ankle")[i] + figure._at("r_ankle")[i]) / 2
                    blob_shadow(image, (feet[0], feet[1] + 0.05 * unit), (0.30 * unit, 0.06 * unit), 0.45)
                row = int(np.clip(to_px(i, np.array([float(pelvis[0]), 0.0, 0.0]))[1], 0, image.shape[0]))
                below = image[row:].copy()
                figure.draw(image, i)
                if row < image.shape[0]:  # what is under water only shimmers through
                    image[row:] = cv2.addWeighted(below, 0.86, image[row:], 0.14, 0)
                if swims:
                    head = figure._at("head")[i]
                    for k in range(5):
                        wobble = 0.5 + 0.5 * np.sin(t[i] * 7 + k * 1.9)
                        glow(
                            image,
                            (head[0] - (0.25 + 0.3 * k) * unit * zoom[i], row + 0.02 * unit),
                            ((0.30 - 0.03 * k) * unit * zoom[i], 0.06 * unit * zoom[i]),
                            0.7 * wobble,
                            (255, 253, 246),
                        )
            if on_top:
                near_rail(image, i)
            if 0 <= age < 1.6:
                burst(image, i, age)

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _swim(t: Array, rng: np.random.Generator) -> tuple[dict[str, Array], Array]:
        """Front crawl to the right along the surface; return the pose and what the camera follows."""
        x = -0.6 + rng.uniform(0.75, 0.95) * t
        stroke = t * 360 * 0.8
        one = np.ones(len(t))
        pose = {
            "x": x,
            "y": -1.02 + 0.02 * np.sin(t * 5),
            "z": 0 * x,
            "yaw": 4 * one,
            "pitch": 82 * one,
            "nod": -44 * one,
            "bend": 2 * one,
        }
        for s, shift in (("l", 0.0), ("r", 180.0)):
            pose[f"{s}_raise"] = (stroke + shift) % 360 * -1 + 360
            pose[f"{s}_elbow"] = 26 + 24 * np.sin(np.deg2rad(stroke + shift + 60))
            pose[f"{s}_hip"] = 9 * np.sin(t * 16 + shift)
            pose[f"{s}_knee"] = 10 + 8 * np.sin(t * 16 + shift + 1)
            pose[f"{s}_ankle"] = 40 * one
        pose["roll"] = 18 * np.sin(np.deg2rad(stroke))
        follow = np.stack([np.clip(x * 0.7 + 0.4, -1, 1.2), 2.3 * one, 0 * x], -1)
        return pose, follow

    @staticmethod
    def _diver(
        shot: Shot, t: Array, fps: float, body: Body, rng: np.random.Generator
    ) -> tuple[dict[str, Array], Array, float | None, float]:
        """Return pose, how far off the platform (0..1), the moment of the splash and where it is."""
        # fmt: off
        path, keys = Timeline(), Timeline()
        splash = leave = None
        first_name = shot.beats[0].name
        start = -1.15 if first_name == "on_platform" else -2.5
        if first_name == "turns_back":
            start = -2.6
        ready = -0.42
        keys.key(0, w=0, flip=0, turned=0)
        path.key(0, x=start)
        turns = float(rng.choice([0.5, 1.5, 1.5]))
        style = str(rng.choice(["tuck", "pike", "tuck"])) if turns > 1 else "swallow"
        for beat, first, _ in shot.spans():
            t0, parts = first * shot.slow / fps, [n * shot.slow / fps for _, n in beat.parts]
            length = sum(parts)
            if beat.name == "on_platform":
                here = path.last("x")
                path.key(t0, x=here).key(t0 + length, x=here)
                keys.key(t0, w=0.8, pitch=0, bend=0, l_hip=0, r_hip=0, l_knee=2, r_knee=2, l_raise=0, r_raise=0,
                    l_spread=8, r_spread=8, l_elbow=6, r_elbow=6, nod=6, y=0)
                keys.key(t0 + 0.5 * length, l_spread=14, r_spread=14, nod=-4, bend=-3, l_raise=12, r_raise=12)
                keys.key(t0 + length, w=0.8, l_spread=8, r_spread=8, nod=2, bend=0, l_raise=0, r_raise=0)
            elif beat.name == "dive":
                t1, t2, t3, t4 = np.cumsum([t0 + parts[0], *parts[1:]])
                path.key(t0, x=path.last("x")).key(t1, x=ready).key(t2, x=ready + 0.22)
                keys.key(t0, w=0).key(t1 - 0.15, w=0)
                # arms circle up, crouch with heels down, drive
                keys.key(t1 + 0.02, w=1, pitch=2, bend=0, l_raise=150, r_raise=150, l_spread=14, r_spread=14,
                    l_elbow=4, r_elbow=4, l_hip=2, r_hip=2, l_knee=4, r_knee=4, l_ankle=22, r_ankle=22, nod=-8, y=0)
                keys.key(t1 + 0.5 * parts[1], pitch=20, bend=22, l_raise=-42, r_raise=-42, l_spread=12, r_spread=12,
                    l_hip=46, r_hip=46, l_knee=70, r_knee=70, l_ankle=-16, r_ankle=-16, nod=-12)
                keys.key(t2, pitch=12, bend=0, l_raise=168, r_raise=168, l_hip=2, r_hip=2, l_knee=2, r_knee=2,
                    l_ankle=44, r_ankle=44, nod=-4, flip=0)
                leave, splash = float(t2), float(t3)
                flight = t3 - t2
                end = 180 + 360 * (turns - 0.5)

                def f(share: float, begin: float = float(t2), length: float = float(flight)) -> float:
                    return begin + share * length

                if style == "swallow":
                    keys.key(f(0.28), flip=42, pitch=14, bend=-14, l_raise=60, r_raise=60, l_spread=88, r_spread=88,
                        nod=-24)
                    keys.key(f(0.62), flip=105, l_spread=80, r_spread=80, bend=-12, nod=-20)
                    keys.key(f(0.86), flip=150, l_raise=176, r_raise=176, l_spread=4, r_spread=4, bend=0, nod=6,
                        pitch=10)
                    keys.key(t3, flip=end - 10, pitch=0)
                else:
                    tuck = style == "tuck"
                    keys.key(f(0.14), flip=38, bend=10, l_raise=120, r_raise=120)
                    keys.key(f(0.27), flip=118, bend=42, pitch=10, l_hip=124, r_hip=124, l_knee=132 if tuck else 2,
                        r_knee=132 if tuck else 2, l_raise=62 if tuck else 88, r_raise=62 if tuck else 88,
                        l_elbow=58 if tuck else 4, r_elbow=58 if tuck else 4, l_spread=6, r_spread=6, nod=28,
                        l_ankle=30, r_ankle=30)
                    keys.key(f(0.62), flip=end - 118, bend=40, l_hip=122, r_hip=122, l_knee=128 if tuck else 2,
                        r_knee=128 if tuck else 2, nod=24)
                    keys.key(f(0.82), flip=end - 42, bend=4, l_hip=14, r_hip=14, l_knee=8, r_knee=8, l_raise=165,
                        r_raise=165, l_elbow=4, r_elbow=4, nod=6, l_ankle=46, r_ankle=46)
                    keys.key(t3, flip=end - 8, bend=0, l_hip=0, r_hip=0, l_knee=0, r_knee=0, l_raise=178,
                        r_raise=178, pitch=2)
                keys.key(t3 + 0.25, flip=end, w=1).key(t4, flip=end)
            elif beat.name == "turns_back":
                path.key(t0, x=path.last("x")).key(t0 + 0.34 * length, x=-0.42).key(t0 + 0.62 * length,
                    x=-0.42).key(t0 + length, x=-2.2)
                keys.key(t0 + 0.30 * length, w=0, turned=0).key(t0 + 0.42 * length, w=0.9, pitch=14, bend=26, nod=34,
                    l_raise=-8, r_raise=-8, l_spread=22, r_spread=22, l_hip=16, r_hip=16, l_knee=16, r_knee=16,
                    l_elbow=14, r_elbow=14, y=0)
                keys.key(t0 + 0.52 * length, w=0.8, pitch=8, bend=18, nod=30, turned=0)
                keys.key(t0 + 0.62 * length, w=0.1, turned=0.75).key(t0 + 0.68 * length, turned=1, w=0)
            elif beat.name == "balk":
                here = path.last("x")
                path.key(t0, x=here).key(t0 + 0.22 * length, x=ready).key(t0 + 0.7 * length,
                    x=ready).key(t0 + length, x=min(here, ready - 0.35))
                keys.key(t0 + 0.2 * length, w=0.9, pitch=0, bend=0)
                keys.key(t0 + 0.34 * length, w=1, l_raise=148, r_raise=148, l_ankle=20, r_ankle=20, l_knee=2,
                    r_knee=2, l_hip=0, r_hip=0, pitch=0, bend=0, nod=-6)
                keys.key(t0 + 0.5 * length, w=1, pitch=18, bend=20, l_raise=-36, r_raise=-36, l_hip=42, r_hip=42,
                    l_knee=62, r_knee=62, l_ankle=-14, r_ankle=-14, nod=-8)
                keys.key(t0 + 0.62 * length, w=1, pitch=8, bend=10, l_raise=52, r_raise=44, l_spread=64, r_spread=70,
                    l_hip=18, r_hip=22, l_knee=30, r_knee=34, l_ankle=0, r_ankle=0, nod=0)
                keys.key(t0 + 0.78 * length, w=0.9, pitch=2, bend=6, l_raise=6, r_raise=6, l_spread=14, r_spread=14,
                    l_hip=2, r_hip=2, l_knee=4, r_knee=4, nod=22)
                keys.key(t0 + length, w=0.8, nod=6, bend=0, l_spread=8, r_spread=8)
        x = path.channel("x", t)
        walk = locomotion(t, x, backwards=False)
        pose = keys.pose(t)
        weight, flip, turned = pose.pop("w"), pose.pop("flip"), pose.pop("turned")
        mixed = blend(walk, pose, weight)
        mixed["yaw"] = 178 * turned
        mixed["x"] = x
        off = np.zeros(len(t))
        entry_x = 1.6
        if leave is not None and splash is not None:
            s = t - leave
            off = (s >= 0).astype(float)
            total = splash - leave
            base = _TOP + body.hip_height
            # hands touch the water when the pelvis is an arm's length and a trunk above it
            touch = 0.62 * body.height
            v = (touch - base + 4.905 * total**2) / total
            fly = base + v * s - 4.905 * s**2
            after = touch - (v * -1 + 9.81 * total) * 0.62 * (s - total)
            height = np.where(s < total, fly, np.maximum(after, -2.6))
            mixed["y"] = np.where(s >= 0, height - body.hip_height, mixed.get("y", 0 * t))
            drift = 1.25
            entry_x = ready + 0.22 + drift * total + 0.12
            mixed["x"] = np.where(s >= 0, ready + 0.22 + drift * np.clip(s, 0, total) + 0.18 * np.clip(s - total, 0,
                1), x)
            mixed["pitch"] = mixed["pitch"] + flip
        return mixed, off, splash, float(entry_x)
        # fmt: on
