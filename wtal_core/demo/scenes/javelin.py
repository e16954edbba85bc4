"""JavelinThrow: run-up, crossover steps, throw, recovery. A throw counts when the javelin leaves the hand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, draw_part, random_look, rod
from wtal_core.demo.motion import Timeline, blend, locomotion, smoothstep
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take, camera_path, generators, moments, orbit, overlays
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
    banners,
    blob_shadow,
    disc,
    finished,
    fog,
    hex_color,
    hills,
    light,
    mix,
    new_canvas,
    paint,
    sky,
    stands,
    text,
    trees,
)
from wtal_core.demo.story import Shot

__all__ = ["JavelinThrow"]

Array = NDArray[Any]

_LENGTH = 2.3  # metres of javelin
_START, _STOP = -15.5, -1.6


def _lens(picture: tuple[int, int], azimuth: float, sector: bool) -> Lens:
    if sector:  # the landing area, seen from the side line
        return orbit(
            picture, target=(3.0, 0.9, 0.0), distance=17.0, azimuth=azimuth + 8, height=3.4, fov=19, margin=(1.5, 1.2)
        )
    return orbit(
        picture,
        target=(-6.0, 1.35, 0.0),
        distance=15.0,
        azimuth=azimuth,
        height=2.1,
        fov=16.5,
        margin=(3.4, 1.3),
        offset=(0.1, 0.0),
    )


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, lighting: str, sector: bool, mirrored: bool) -> Image:
    air = light(lighting)
    rng = np.random.default_rng([venue, 303])
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=rng.uniform(0.3, 0.8))
    hills(canvas, lens, air, venue, [(0.2, hex_color("6d8fa0"), 0.6), (0.12, hex_color("5c8a70"), 0.45)])
    ground = Ground.under(lens)
    stripe = np.clip(np.sin(ground.x * 2 * np.pi / 9) / np.clip(ground.footprint * 0.4, 0.05, 3), -1, 1) * 0.5 + 0.5
    grass = (
        np.asarray(hex_color("5fa03f"))
        + (np.asarray(hex_color("6fae47")) - np.asarray(hex_color("5fa03f"))) * stripe[..., None]
    )
    grass = ground.speckled(grass, (0.06, 0.25, venue), (0.05, 2.0, venue + 1), (0.05, 0.06, venue))
    paint(canvas, grass, ground.mask.astype(float))
    white = (248, 248, 248)
    if sector:
        for k in range(-2, 6):
            arc = np.hypot(ground.x + 60, ground.z) - (58 + 5 * k)
            paint(
                canvas,
                white,
                np.clip(0.5 + (0.05 - np.abs(arc)) / 0.03, 0, 1) * ground.mask * (np.abs(ground.z) < 16) * 0.85,
            )
        for sign in (-1, 1):
            edge = ground.z - sign * (13 + 0.12 * ground.x)
            paint(
                canvas,
                white,
                np.clip(0.5 + (0.06 - np.abs(edge)) / np.clip(ground.footprint, 0.01, 1), 0, 1) * ground.mask * 0.85,
            )
    else:
        red = np.asarray(hex_color(("b9583d", "a94a3c", "3f6ea8")[venue % 3]))
        red = ground.speckled(red, (0.05, 0.06, venue + 2), (0.05, 1.4, venue + 3))
        paint(
            canvas, red, smoothstep(0, 0.1, 2.4 - np.abs(ground.z)) * smoothstep(0, 0.1, 0.2 - ground.x) * ground.mask
        )
        for z in (-2.0, 2.0):
            paint(canvas, white, ground.line("z", z, 0.09, -40, 0.0))
        paint(canvas, white, ground.line("x", 0.0, 0.14, -2.0, 2.0))
        for sign in (-1, 1):
            edge = ground.z - sign * (2.0 + 0.25 * ground.x)
            paint(
                canvas,
                white,
                np.clip(0.5 + (0.05 - np.abs(edge)) / np.clip(ground.footprint, 0.01, 1), 0, 1)
                * (ground.x > 0)
                * ground.mask
                * 0.9,
            )
        for x in (-14.0, -10.0, -6.0):
            paint(canvas, white, (np.abs(ground.x - x) < 0.05) * (np.abs(np.abs(ground.z) - 1.85) < 0.16) * ground.mask)
    fog(canvas, ground, air, 25, 110, 0.45)
    trees(
        canvas,
        lens,
        air,
        venue,
        distance=62,
        height=10,
        color=hex_color("3f7a48"),
        x_range=(-70, 75),
        spacing=4.0,
        z_jitter=7,
        haze=0.42,
    )
    wall = (hex_color("8c2f39"), hex_color("1f4e8c"), hex_color("e0a52b"))[venue % 3]
    stands(
        canvas,
        lens,
        air,
        venue + 5,
        z=30,
        x_range=(-60, 62),
        rows=6,
        haze=0.42,
        base=0.95,
        wall=wall,
        roof=venue % 2 == 0,
    )
    image = finished(canvas)
    words = ("JAVELIN", "THROWS MEETING", "HARBOUR GAMES")[venue % 3]
    pale = mix((255, 255, 255), air.haze, 0.25)
    banners(image, lens, words, np.arange(-50, 60, 21.0), y=0.3, z=29.9, height=0.66, color=pale, mirrored=mirrored)
    if not sector:
        for x, number in ((3.5, "20"), (8.5, "25")):
            px, py, s = lens.point(x, 0.0, 4.2)
            solid_px = np.array([px, py - 0.3 * s])
            disc(image, solid_px, 0.34 * s, hex_color("f3d23c"))
            text(
                image, number, (px, py - 0.17 * s), 0.4 * s, (20, 20, 20), weight=700, align="centre", mirrored=mirrored
            )
    return image


class JavelinThrow(Scene):
    """Javelin, thrown to the right."""

    label = "JavelinThrow"
    title = "Javelin throw"
    azimuths = (0.0, -16.0, 16.0)
    kinds = (
        Kind(
            "action",
            "throw",
            (("run_up", 1.9, 2.7), ("crossover", 0.75, 0.95), ("release", 0.32, 0.42), ("recovery", 0.8, 1.2)),
            "the javelin leaves the hand",
        ),
        Kind("fake", "run_up_stop", (("", 3.4, 4.4),), "runs, draws back, brakes; keeps the javelin"),
        Kind("fake", "arm_rehearsal", (("", 2.4, 3.4),), "rehearses the arm while standing; nothing is released"),
        Kind("context", "at_mark", (("", 1.4, 3.2),), "waits at the start of the runway"),
        Kind("context", "watching", (("", 0.8, 2.0),), "watches the flight behind the line"),
        Kind("context", "empty_runway", (("", 2.0, 4.5),), "runway and sector, nobody there", still=True),
        Kind("context", "sector", (("", 2.2, 3.8),), "a javelin sticks in the landing sector"),
    )
    action_takes = (
        Take(("throw", "watching"), 2.5),
        Take(("at_mark", "throw", "watching"), 1.5),
        Take(("throw",), 0.5),
    )
    fake_takes = (
        Take(("run_up_stop",), 1.6),
        Take(("at_mark", "run_up_stop"), 0.8),
        Take(("at_mark", "arm_rehearsal"), 1.0),
    )
    context_takes = (Take(("empty_runway",), 1.3), Take(("at_mark",), 1.0), Take(("sector",), 1.0))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        names = [beat.name for beat in shot.beats]
        sector = names == ["sector"]
        lens = _lens(self.picture(size), shot.camera.azimuth, sector)
        canvas, air = _canvas(lens, shot.venue, shot.lighting, sector, shot.mirror), light(shot.lighting)
        t = moments(shot, fps)
        one = np.ones(len(t))
        cast, style = generators(shot)
        body = Body(height=cast.uniform(1.72, 1.94), build=cast.uniform(0.95, 1.15))
        look = random_look(cast, legs="shorts", sleeves=(0.0, 0.4)[cast.integers(2)])
        if sector:
            return self._sector(shot, lens, canvas, t, style, air.shadow, fps)
        if names == ["empty_runway"]:
            where = -6.0 if style.random() < 0.5 else -2.0
            matrices = camera_path(lens, shot, lens.project(np.tile([where, 1.35, 0.0], (len(t), 1)))[0], fps=fps)
            return Clip(lens, canvas, matrices, lambda image, i: None, mirror=shot.mirror, overlay=overlays(shot, fps))

        pose, aim, lift, back, release = self._athlete(shot, t, fps, style)
        focus_x = np.clip(pose["x"] + 0.7, -16, 0.4)
        focus = lens.project(np.stack([focus_x, 1.35 * one, 0 * one], -1))[0]
        matrices = camera_path(lens, shot, focus, fps=fps, hold=1.0)
        rest = solve(body, pose)
        # the throwing hand: carried over the shoulder, drawn back, whipped over (towards, up, right of the chest)
        shoulder = rest["r_shoulder"]
        level = np.stack([np.cos(np.deg2rad(pose["yaw"])), 0 * one, np.sin(np.deg2rad(pose["yaw"]))], -1)
        carry = shoulder + 0.10 * level + np.array([0, 0.26, 0]) + rest.chest[:, 2] * -0.10
        drawn = shoulder - 0.60 * level + np.array([0, 0.12, 0]) + rest.chest[:, 2] * -0.05
        over = shoulder + 0.30 * level + np.array([0, 0.55, 0])
        down = shoulder + 0.40 * level + np.array([0, -0.34, 0]) + rest.chest[:, 2] * 0.25
        hand = carry * (1 - back[:, None]) + drawn * back[:, None]
        stage = lift[:, None]
        first, second = np.clip(stage, 0, 1), np.clip(stage - 1, 0, 1)
        arc = np.array([0, 0.26, 0]) * np.sin(np.pi * first)
        hand = hand * (1 - first) + over * first + arc
        hand = hand * (1 - second) + down * second
        hold = pose.get("hold", one)
        skeleton = solve(body, pose, hands={"r": (hand, np.clip(hold, 0, 1))})
        grip = skeleton["r_hand"]
        angle = np.deg2rad(aim)
        direction = np.stack([np.cos(angle) * level[:, 0], np.sin(angle), np.cos(angle) * level[:, 2]], -1)
        centre = grip + direction * 0.12
        if release is not None:
            k = int(np.searchsorted(t, release))
            k = min(k, len(t) - 1)
            since = np.clip(t - t[k], 0, None)[:, None]
            velocity = np.array([24.0, 13.5, 1.5]) * style.uniform(0.92, 1.08)
            flying = centre[k] + velocity * since - np.array([0, 4.9, 0]) * since**2
            course = velocity - np.array([0, 9.81 * 0.5, 0]) * since
            course = course / np.linalg.norm(course, axis=-1, keepdims=True)
            gone = (t >= t[k])[:, None]
            centre = np.where(gone, flying, centre)
            direction = np.where(gone, course, direction)
        tail, tip = centre - direction * _LENGTH * 0.52, centre + direction * _LENGTH * 0.48
        tint = hex_color(("f6f2e6", "ffe14a", "ff7a45", "e8f2fa")[style.integers(4)])
        spear = rod(
            lens,
            matrices,
            tail,
            tip,
            (0.026, 0.036),
            tint,
            minimum=1.5,
            depth_shift=-0.1,
            edge=0.9,
            split=[(0.46, 0.54, hex_color("2b3850")), (0.86, 1.0, hex_color("8f97a3"))],
        )
        figure = Figure(skeleton, body, look, lens, matrices, air.sun)
        unit = lens.project(np.array([0.0, 0.0, 0.0]))[2] * np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])

        def draw(image: Image, i: int) -> None:
            figure.shadow(image, i, air.shadow)
            x, y = (figure._at("l_ankle")[i] + figure._at("r_ankle")[i]) / 2
            blob_shadow(image, (x, y + 0.04 * unit[i]), (0.42 * unit[i], 0.09 * unit[i]), 0.3)
            figure.draw(image, i, [spear])

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _sector(
        shot: Shot, lens: Lens, canvas: Image, t: Array, rng: np.random.Generator, strength: float, fps: float
    ) -> Clip:
        """A javelin comes down and sticks, beside one that is already there."""
        matrices = camera_path(lens, shot, lens.project(np.tile([3.0, 0.9, 0.0], (len(t), 1)))[0], fps=fps)
        when = 0.35 * float(t[-1])
        place = np.array([3.4 + rng.uniform(-1, 1.4), 0.0, rng.uniform(-1.2, 1.5)])
        since = np.clip(when - t, 0, None)[:, None]
        course = np.array([0.78, -0.62, 0.02])
        tip = place + np.array([0, -0.16, 0]) - course * since * 21.0
        shiver = np.where(t > when, np.exp(-(t - when) * 4.5) * np.sin((t - when) * 42) * 0.10, 0)
        axis = np.stack([-0.78 + shiver * 0.3, 0.62 + shiver, 0 * t], -1)
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        spears = [
            rod(
                lens,
                matrices,
                tip,
                tip + axis * _LENGTH,
                (0.036, 0.026),
                hex_color("ffe14a"),
                minimum=1.5,
                edge=0.9,
                split=[(0.46, 0.54, hex_color("2b3850"))],
            )
        ]
        old = np.tile(place + np.array([-2.6, -0.16, 2.2]), (len(t), 1))
        spears.append(
            rod(
                lens,
                matrices,
                old,
                old + np.array([-0.7, 0.7, 0.1]) * _LENGTH,
                (0.036, 0.026),
                hex_color("f6f2e6"),
                minimum=1.5,
                edge=0.9,
                split=[(0.46, 0.54, hex_color("8c2f39"))],
            )
        )
        feet = np.stack([place, old[0] * [1, 0, 1]])
        spots, _, scale = lens.project(feet)

        def draw(image: Image, i: int) -> None:
            for k in (1, 0):
                at = matrices[i, :, :2] @ spots[k] + matrices[i, :, 2]
                far = 1.0 if k else float(np.clip(1 - since[i, 0] * 2.5, 0, 1))
                blob_shadow(
                    image, at + np.array([0.45 * scale[k], 0]), (0.9 * scale[k], 0.08 * scale[k]), strength * far
                )
                draw_part(image, spears[k], i)
                if k == 0 and 0 < t[i] - when < 0.5:
                    age = t[i] - when
                    for q in range(7):
                        p = (
                            at
                            + np.array([(q - 3) * 0.22 * age, -(1.9 * age - 4.9 * age * age) * (0.6 + 0.1 * q)])
                            * scale[k]
                        )
                        disc(image, p, 0.02 * scale[k], hex_color("6b5a36"))

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _athlete(
        shot: Shot, t: Array, fps: float, rng: np.random.Generator
    ) -> tuple[dict[str, Array], Array, Array, Array, float | None]:
        """Return the pose, the javelin's pitch in degrees, lift (0 held, 1 over, 2 down), back (0..1), release time."""
        # fmt: off
        path, keys = Timeline(), Timeline()
        release: float | None = None
        start = _START + rng.uniform(-0.6, 0.6)
        keys.key(0, w=0, arm=0, lift=0, back=0, aim=10, hold=1)
        path.key(0, x=start)
        for beat, first, _ in shot.spans():
            t0, parts = first * shot.slow / fps, [n * shot.slow / fps for _, n in beat.parts]
            length = sum(parts)
            if beat.name == "at_mark":
                path.key(t0 + length, x=path.last("x"))
                keys.key(t0, w=0.6, pitch=0, bend=0, y=0, l_hip=4, r_hip=-4, l_knee=4, r_knee=6, aim=14, l_raise=4,
                    l_elbow=16, twist=0, yaw=0)
                sway = t0 + 0.3
                while sway + 0.8 < t0 + length:
                    keys.key(sway, pitch=-3, l_hip=16, l_knee=16, aim=16)
                    keys.key(sway + 0.4, pitch=5, l_hip=8, l_knee=10, aim=9, bend=4)
                    sway += 0.8
                keys.key(t0 + length - 0.1, w=0.5, pitch=4).key(t0 + length + 0.15, w=0)
            elif beat.name in ("throw", "run_up_stop"):
                real = beat.name == "throw"
                if not real:
                    parts = [0.46 * length, 0.18 * length, 0.10 * length, 0.26 * length]
                t1, t2, t3, t4 = np.cumsum([t0 + parts[0], *parts[1:]])
                end = _STOP + rng.uniform(-0.3, 0.1) - (0 if real else 2.2)
                if first == 0:  # with a short approach he starts nearer to the line
                    path.key(t0, x=max(start, end - 1.5 - 5.2 * parts[1] - 3.66 * parts[0]))
                begin = path.last("x")
                x1 = end - 1.45 - 4.6 * parts[1]
                path.key(t0 + 0.4 * parts[0], x=begin + 0.27 * (x1 - begin)).key(t1, x=x1).key(t2, x=end - 1.15)
                path.key(t3, x=end - 0.45).key(t3 + 0.55 * parts[3], x=end + 0.15).key(t4, x=end + 0.2)
                keys.key(t0, w=0, back=0, lift=0, aim=10, yaw=0, twist=0)
                keys.key(t1 - 0.25, w=0, back=0, aim=9, twist=0, yaw=0)
                # crossover: javelin drawn back, hips and chest side-on, body leaning away from the throw
                keys.key(t1 + 0.3 * parts[1], w=0.45, back=0.8, aim=16, twist=-50, yaw=-22, pitch=-8, bend=0,
                    l_raise=62, l_spread=26, l_elbow=26)
                keys.key(t1 + 0.62 * parts[1], w=0.6, back=1, twist=-62, yaw=-28, pitch=-12, l_hip=20, r_hip=34,
                    l_knee=30, r_knee=34, y=0)
                if real:
                    release = float(t2 + 0.62 * parts[2])
                    keys.key(t2 - 0.12, w=0.9, l_hip=52, l_knee=26, r_hip=-8, r_knee=40)
                    keys.key(t2, w=1, back=1, lift=0, aim=30, twist=-58, yaw=-22, pitch=-14, bend=-2, side=4,
                        l_hip=44, l_knee=4, l_ankle=-8, r_hip=-20, r_knee=38, r_ankle=24, l_raise=84, l_spread=30,
                        l_elbow=18, y=0, nod=0)
                    keys.key(t2 + 0.38 * parts[2], lift=0.12, twist=-18, yaw=2, pitch=-10, bend=-10, l_raise=60,
                        l_elbow=50, aim=32)
                    keys.key(release, lift=1.0, twist=22, yaw=10, pitch=8, bend=6, side=14, l_hip=32, l_knee=3,
                        r_hip=-26, r_knee=30, r_ankle=34, l_raise=4, l_elbow=76, l_spread=20)
                    keys.key(t3 + 0.1 * parts[3], lift=2, twist=42, yaw=12, pitch=34, bend=24, side=8, l_hip=26,
                        l_knee=12, r_hip=-12, r_knee=58, hold=1, nod=-18)
                    keys.key(t3 + 0.42 * parts[3], w=1, pitch=38, bend=26, twist=30, yaw=4, l_hip=2, l_knee=16,
                        l_ankle=20, r_hip=62, r_knee=50, r_ankle=0, nod=-26, l_raise=-30, l_spread=34, hold=0.6,
                        r_raise=30, r_elbow=30, r_spread=30)
                    keys.key(t3 + 0.72 * parts[3], w=1, pitch=24, bend=18, twist=6, l_hip=-30, l_knee=50, r_hip=40,
                        r_knee=40, nod=-24, hold=0, r_raise=36, r_spread=34, l_raise=10, l_spread=34)
                    keys.key(t4, w=1, pitch=6, bend=8, twist=0, yaw=0, side=0, l_hip=-4, l_knee=10, l_ankle=0,
                        r_hip=14, r_knee=20, nod=-14, r_raise=14, r_spread=18, l_raise=8, l_spread=16, l_elbow=26,
                        r_elbow=26)
                else:
                    keys.key(t2, w=0.75, back=0.85, twist=-40, yaw=-10, pitch=-15, l_hip=44, l_knee=14, r_hip=4,
                        r_knee=34, l_raise=46, aim=18, lift=0)
                    keys.key(t3 + 0.1 * parts[3], w=0.7, back=0.35, twist=-12, yaw=0, pitch=4, bend=8, l_hip=22,
                        l_knee=24, r_hip=4, r_knee=18, aim=8, l_raise=16, l_elbow=30)
                    keys.key(t3 + 0.5 * parts[3], w=0.55, back=0, twist=0, pitch=6, bend=14, nod=18, hold=1, aim=2)
                    keys.key(t4, w=0.5, back=0, hold=0.0, aim=-14, nod=22, r_raise=10, r_elbow=18, l_hip=4, r_hip=0,
                        l_knee=6, r_knee=8, pitch=2, l_raise=2)
            elif beat.name == "arm_rehearsal":
                path.key(t0 + length, x=path.last("x"))
                stance = {"w": 1, "l_hip": 30, "r_hip": -22, "l_knee": 8, "r_knee": 14, "l_out": 4, "r_out": 4, "y": 0}
                keys.key(t0, w=0.6, back=0, lift=0, twist=0, yaw=0, aim=12)
                keys.key(t0 + 0.3 * length, stance, back=1, twist=-52, yaw=-26, pitch=-10, bend=0, aim=26,
                    l_raise=80, l_spread=24, l_elbow=16, lift=0)
                keys.key(t0 + 0.42 * length, back=1, lift=0.0, aim=28)
                keys.key(t0 + 0.66 * length, lift=0.72, back=0.8, twist=-6, yaw=-4, pitch=3, bend=-4, aim=26,
                    l_raise=24, l_elbow=60, r_knee=26)
                keys.key(t0 + 0.8 * length, lift=0.62, aim=22)
                keys.key(t0 + length, lift=0, back=0, twist=0, yaw=0, pitch=0, w=0.6, aim=12, l_hip=6, r_hip=-4,
                    l_raise=4, l_elbow=16)
            elif beat.name == "watching":
                path.key(t0 + length, x=path.last("x"))
                keys.key(t0 + 0.6 * length, w=1, pitch=-4, bend=-4, nod=-18, r_raise=10, l_raise=10, l_hip=6,
                    r_hip=-2, l_knee=4, r_knee=6)
                keys.key(t0 + length, nod=-20, r_raise=160, r_spread=20, r_elbow=20, pitch=-5)
        x = path.channel("x", t)
        run = locomotion(t, x)
        pose = keys.pose(t)
        aim, lift, back, weight = (pose.pop(n) for n in ("aim", "lift", "back", "w"))
        hold = pose.pop("hold")
        pose.pop("arm", None)
        mixed = blend(run, pose, weight)
        for name in ("yaw", "twist"):
            if name in pose:
                mixed[name] = run.get(name, 0 * x) * (1 - weight) + pose[name] * np.maximum(weight,
                    np.clip(back + lift, 0, 1))
        aim = aim + 2.5 * np.sin(t * 14) * np.clip(np.gradient(x, t[1] - t[0]) / 5 if len(t) > 1 else 0, 0,
            1) * (1 - back)
        mixed["hold"] = hold
        return mixed, aim, lift, back, release
        # fmt: on
