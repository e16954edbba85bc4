"""HighJump: a curved approach, a flop over the bar, a mat. A jump counts when the athlete takes off for the bar."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, draw_part, map_points, random_look, rod
from wtal_core.demo.motion import Timeline, blend, locomotion, smoothstep
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take, camera_path, generators, moments, orbit, overlays, solid
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
    banners,
    blob_shadow,
    finished,
    fog,
    hex_color,
    light,
    mix,
    new_canvas,
    paint,
    polygon,
    ribbon,
    shade,
    sky,
    stands,
    trees,
)
from wtal_core.demo.story import Shot

__all__ = ["HighJump"]

Array = NDArray[Any]

_MAT = (0.35, 3.9, -2.5, 2.5, 0.72)  # x from, to, z from, to, height in metres
_TAKE_OFF = -0.95
_GRAVITY = 9.81


def _lens(picture: tuple[int, int], azimuth: float) -> Lens:
    return orbit(
        picture,
        target=(-0.9, 1.45, 0.0),
        distance=15.0,
        azimuth=azimuth - 24,
        height=2.5,
        fov=17.5,
        margin=(2.9, 1.4),
        offset=(0.5, 0.0),
    )


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, lighting: str, mirrored: bool) -> Image:
    air = light(lighting)
    rng = np.random.default_rng([venue, 202])
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=rng.uniform(0.2, 0.7))
    trees(
        canvas,
        lens,
        air,
        venue,
        distance=75,
        height=13,
        color=hex_color("3f7a48"),
        x_range=(-30, 90),
        spacing=4.5,
        z_jitter=6,
        haze=0.45,
    )
    wall = (hex_color("1f4e8c"), hex_color("8c2f39"), hex_color("23695a"))[venue % 3]
    ground = Ground.under(lens)
    grass = ground.speckled(hex_color("6ba845"), (0.06, 0.3, venue), (0.05, 2.5, venue + 1))
    paint(canvas, grass, ground.mask.astype(float))
    tartan_hex = ("b4533c", "3b6fa5", "b4533c")[venue % 3]
    tartan = ground.speckled(hex_color(tartan_hex), (0.05, 0.06, venue + 2), (0.05, 1.2, venue + 3))
    area = (
        smoothstep(0.0, 0.12, 4.9 - np.abs(ground.z))
        * smoothstep(0, 0.1, ground.x + 18)
        * smoothstep(0, 0.1, 6.0 - ground.x)
    )
    paint(canvas, tartan, area * ground.mask)
    lanes = smoothstep(0, 0.2, ground.z - 14.0) * smoothstep(0, 0.2, 24.0 - ground.z)
    paint(canvas, tartan, lanes * ground.mask)
    for k in range(9):
        paint(canvas, (245, 245, 245), ground.line("z", 14.2 + 1.22 * k, 0.08) * 0.85)
    paint(canvas, (245, 245, 245), ground.line("z", -4.8, 0.07, -18, 6) * 0.9)
    paint(canvas, (245, 245, 245), ground.line("z", 4.8, 0.07, -18, 6) * 0.9)
    for x, z in ((-8.9, -2.5), (-5.4, -1.6)):
        paint(canvas, (250, 250, 250), (np.abs(ground.x - x) < 0.06) * (np.abs(ground.z - z) < 0.28) * ground.mask)
    fog(canvas, ground, air, 25, 120, 0.4)
    stands(canvas, lens, air, venue, z=27, x_range=(-45, 75), rows=7, haze=0.4, wall=wall, roof=False)
    image = finished(canvas)
    words = ("ATHLETICS GALA", "CITY GAMES", "TRACK CLASSIC")[venue % 3]
    white = mix((255, 255, 255), air.haze, 0.45)
    banners(image, lens, words, (-21, -5, 24), y=0.38, z=26.9, height=0.75, color=white, mirrored=mirrored)
    tint = hex_color(("2f62b3", "d6a52b", "c43d3d")[venue % 3])
    shadow = lens.project(
        np.array(
            [
                (_MAT[0], 0, _MAT[2] - 0.5),
                (_MAT[1] + 0.9, 0, _MAT[2] - 0.5),
                (_MAT[1] + 0.9, 0, _MAT[3]),
                (_MAT[0], 0, _MAT[3]),
            ]
        )
    )[0]
    dark = image.copy()
    polygon(dark, shadow, (30, 24, 24))
    image = (image * 0.7 + dark * 0.3).astype(np.uint8)
    solid(image, lens, (_MAT[0], 0.08, _MAT[2]), (_MAT[1], 0.56, _MAT[3]), tint, air.sun)
    solid(
        image,
        lens,
        (_MAT[0] - 0.03, 0.56, _MAT[2] - 0.03),
        (_MAT[1] + 0.03, _MAT[4], _MAT[3] + 0.03),
        shade(tint, 0.35),
        air.sun,
    )
    for z in (-0.85, 0.85):
        seam = lens.project(np.array([(_MAT[0], _MAT[4], z), (_MAT[1], _MAT[4], z)]))[0]
        ribbon(image, seam, 1.2, shade(tint, 0.1))
    return image


class HighJump(Scene):
    """Fosbury flop from the left."""

    label = "HighJump"
    title = "High jump"
    azimuths = (0.0, 14.0, -12.0)
    kinds = (
        Kind(
            "action",
            "jump",
            (("approach", 2.1, 2.9), ("take_off", 0.34, 0.42), ("flight", 0.88, 0.96), ("landing", 0.6, 1.0)),
            "clears (or drops) the bar and lands on the mat",
        ),
        Kind("fake", "aborted_approach", (("", 2.9, 3.8),), "runs up and brakes before the bar"),
        Kind("fake", "practice_take_off", (("", 2.4, 3.2),), "a few steps and a hop on the spot, far from the bar"),
        Kind("context", "at_mark", (("", 1.4, 3.5),), "rocks at the start mark"),
        Kind("context", "on_mat", (("", 0.8, 2.0),), "sits up on the mat"),
        Kind("context", "empty_mat", (("", 2.0, 4.5),), "bar and mat, nobody there", still=True),
        Kind("context", "bar_raised", (("", 2.5, 4.5),), "an official has the bar raised"),
    )
    action_takes = (Take(("jump", "on_mat"), 2.5), Take(("at_mark", "jump", "on_mat"), 1.5), Take(("jump",), 0.5))
    fake_takes = (
        Take(("aborted_approach",), 2.0),
        Take(("at_mark", "aborted_approach"), 1.0),
        Take(("practice_take_off",), 1.0),
    )
    context_takes = (Take(("empty_mat",), 1.3), Take(("at_mark",), 1.0), Take(("bar_raised",), 0.8))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = _lens(self.picture(size), shot.camera.azimuth)
        canvas, air = _canvas(lens, shot.venue, shot.lighting, shot.mirror), light(shot.lighting)
        t = moments(shot, fps)
        cast, style = generators(shot)
        body = Body(height=cast.uniform(1.74, 1.94), build=cast.uniform(0.86, 1.0))
        look = random_look(
            cast, legs="shorts", sleeves=0.0, hair_style=("short", "tail", "short", "tail")[cast.integers(4)]
        )
        bar_height = style.uniform(1.72, 1.88)
        names = [beat.name for beat in shot.beats]
        world: dict[str, float] = {}
        one = np.ones(len(t))
        bar_y = bar_height * one
        figure_pose = None
        air_time = 0 * one
        lengths = {beat.name: beat.frames * shot.slow / fps for beat in shot.beats}
        if names == ["empty_mat"]:
            focus_x = -0.4 * one
        elif names == ["bar_raised"]:
            length = lengths["bar_raised"]
            bar_y = bar_height - 0.09 + 0.09 * smoothstep(0.3 * length, 0.75 * length, t)
            look = random_look(
                cast,
                legs="trousers",
                sleeves=0.55,
                shirt=hex_color("f4f2ea"),
                bottoms=hex_color("2b3140"),
                band=None,
                hair_style="cap",
            )
            stage_x = -0.15 * one
            pose = locomotion(t, stage_x, -2.75 * one)
            up = smoothstep(0.1 * length, 0.35 * length, t) * (1 - smoothstep(0.85 * length, length, t))
            for s, wave in (("l", 1.0), ("r", 0.85)):
                pose[f"{s}_raise"] = 10 + up * (105 + 6 * np.sin(4 * t)) * wave
                pose[f"{s}_elbow"] = 15 + 40 * up
            pose["yaw"], pose["nod"] = 78 * one, -18 * up
            figure_pose, focus_x = pose, -0.5 * one
        else:
            figure_pose, air_time, world = self._athlete(shot, t, fps, body, bar_height, style)
            focus_x = np.clip(figure_pose["x"] + 0.8, -8.2, 0.9)
        focus = lens.project(np.stack([focus_x, 1.42 * one, 0 * one if figure_pose is None else figure_pose["z"]], -1))[
            0
        ]
        matrices = camera_path(lens, shot, focus, fps=fps)
        zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        figure: Figure | None = None
        dent = np.zeros(len(t))
        if figure_pose is not None:
            skeleton = solve(body, figure_pose, grounded=1 - air_time)
            figure = Figure(skeleton, body, look, lens, matrices, air.sun)
            if "landing" in world:
                since = t - world["landing"]
                dent = np.where(since > 0, np.exp(-since * 3.0) * np.cos(since * 9) ** 2, 0)
        ends = np.stack([np.stack([0 * t, bar_y, -2.0 * one], -1), np.stack([0 * t, bar_y, 2.0 * one], -1)], 1)
        if world.get("knocked"):
            since = np.clip(t - world["peak"] - 0.06, 0, None)
            fall = 4.9 * since**2
            ends[:, 0, 1] -= np.minimum(fall * 1.1, bar_y - 0.03)
            ends[:, 1, 1] -= np.minimum(fall * 0.8, bar_y - 0.8)
            ends[:, 0, 0] += np.clip(since * 0.9, 0, 0.7)
            ends[:, 1, 0] += np.clip(since * 1.3, 0, 0.5)
        elif "peak" in world and style.random() < 0.5:
            since = np.clip(t - world["peak"], 0, None)
            ends[..., 1] += (np.exp(-since * 3) * np.sin(since * 34) * 0.018 * (since > 0))[:, None]
        bar = rod(
            lens,
            matrices,
            ends[:, 0],
            ends[:, 1],
            0.035,
            hex_color("f6f6f2"),
            minimum=1.3,
            split=[(a, a + 0.125, hex_color("d9332f")) for a in (0.06, 0.31, 0.56, 0.81)],
        )
        posts = [
            map_points(matrices, lens.project(np.tile([(0.05, 0, z), (0.05, 2.35, z)], (len(t), 1, 1)))[0])
            for z in (2.05, -2.05)
        ]
        unit = lens.project(np.array([0.0, 0.0, 0.0]))[2] * zoom

        def upright(image: Image, i: int, which: int) -> None:
            line = posts[which][i]
            blob_shadow(image, line[0], (0.35 * unit[i], 0.1 * unit[i]), 0.45)
            ribbon(image, line, 0.085 * unit[i], hex_color("3a414d"))
            ribbon(image, line - np.array([0.012 * unit[i], 0]), 0.03 * unit[i], hex_color("8b95a3"))
            base = line[0]
            ribbon(
                image, base + np.array([(-0.3 * unit[i], 0), (0.3 * unit[i], 0)]), 0.06 * unit[i], hex_color("3a414d")
            )

        def draw(image: Image, i: int) -> None:
            upright(image, i, 0)
            over = figure is not None and float(figure.skeleton["pelvis"][i, 0]) > 0.0
            if figure is not None:
                on_mat = float(figure.skeleton["pelvis"][i, 0]) > 0.2
                if on_mat:
                    x, y = figure.skeleton["pelvis"][i, 0], figure.skeleton["pelvis"][i, 2]
                    at = lens.project(np.array([x, _MAT[4], y]))[0]
                    at = matrices[i, :, :2] @ at + matrices[i, :, 2]
                    blob_shadow(
                        image,
                        at,
                        ((0.8 + 0.3 * dent[i]) * unit[i], (0.2 + 0.1 * dent[i]) * unit[i]),
                        0.35 + 0.35 * float(dent[i]),
                    )
                else:
                    figure.shadow(image, i, air.shadow)
            if over:
                # the athlete is behind the bar's plane: the bar crosses in front
                assert figure is not None
                figure.draw(image, i)
                draw_part(image, bar, i)
            else:
                if (
                    figure is not None
                    and float(figure.skeleton["pelvis"][i, 1]) > 1.35
                    and figure.skeleton["head"][i, 0] > -0.1
                ):
                    figure.draw(image, i, [bar])
                else:
                    draw_part(image, bar, i)
                    if figure is not None:
                        figure.draw(image, i)
            upright(image, i, 1)
            if figure is not None and names == ["bar_raised"]:
                figure.draw(image, i)

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _athlete(
        shot: Shot, t: Array, fps: float, body: Body, bar: float, rng: np.random.Generator
    ) -> tuple[dict[str, Array], Array, dict[str, float]]:
        """Return the pose, how much of it is off the floor (0..1), and the moments of the jump."""
        # fmt: off
        path, keys, world = Timeline(), Timeline(), {}
        start_x = -8.6 + rng.uniform(-0.4, 0.4)
        if shot.beats[0].name == "practice_take_off":
            start_x = -5.2
        keys.key(0, w=0)
        path.key(0, x=start_x)
        jump_t0 = jump_t1 = None
        for beat, first, _ in shot.spans():
            t0, parts = first * shot.slow / fps, [n * shot.slow / fps for _, n in beat.parts]
            length = sum(parts)
            if beat.name == "at_mark":
                path.key(t0, x=start_x).key(t0 + length, x=start_x)
                k, w = 0, t0 + 0.1
                keys.key(t0, w=0, pitch=0, l_hip=0, r_hip=4, l_knee=4, r_knee=4, bend=0, l_raise=0, r_raise=0,
                    l_elbow=10, r_elbow=10, y=0, roll=0)
                keys.key(t0 + 0.25, w=1)
                while w + 1.0 < t0 + length:
                    keys.key(w + 0.35, pitch=-6, l_hip=26, l_knee=10, r_hip=-2, r_knee=10, bend=4, l_raise=-22,
                        r_raise=-26, l_elbow=20, r_elbow=20, l_ankle=-25)
                    keys.key(w + 0.8, pitch=10, l_hip=20, l_knee=24, r_hip=-14, r_knee=16, bend=8, l_raise=30,
                        r_raise=34, l_elbow=50, r_elbow=50, l_ankle=0)
                    w, k = w + 0.9, k + 1
                keys.key(t0 + length - 0.12, w=1, pitch=6).key(t0 + length + 0.1, w=0)
            elif beat.name == "jump":
                t1, t2, t3, t4 = np.cumsum([t0 + parts[0], *parts[1:]])
                # the pelvis: accelerate along the curve, then rise over the bar
                path.key(t0, x=start_x).key(t0 + 0.42 * parts[0], x=start_x + 0.27 * (_TAKE_OFF - start_x))
                path.key(t1, x=_TAKE_OFF - 0.95).key(t2, x=_TAKE_OFF)
                jump_t0, jump_t1 = t2, t3
                world["landing"] = t3
                _flop_keys(keys, t1, t2, t3, t4)
                path.key(t3, x=1.75).key(t4, x=1.95)
                world["knocked"] = float(rng.random() < 0.25)
            elif beat.name == "on_mat":
                t4 = t0
                keys.key(t4 + 0.5 * length, w=1, pitch=-52, bend=22, l_hip=72, r_hip=66, l_knee=62, r_knee=74,
                    nod=16, l_raise=20, r_raise=26, l_elbow=30, r_elbow=20)
                keys.key(t4 + length, w=1, pitch=-30, bend=30, l_hip=84, r_hip=80, l_knee=70, r_knee=86, nod=-4,
                    l_raise=60, r_raise=120, l_elbow=50, r_elbow=40, l_spread=8, r_spread=20)
                path.key(t4 + length, x=1.98)
            elif beat.name == "aborted_approach":
                stop = t0 + 0.68 * length
                end_x = -1.55 + rng.uniform(-0.3, 0.1)
                path.key(t0, x=start_x).key(t0 + 0.26 * length, x=start_x + 0.32 * (end_x - start_x))
                path.key(t0 + 0.5 * length, x=end_x - 1.0).key(stop, x=end_x).key(t0 + 0.76 * length,
                    x=end_x).key(t0 + length, x=end_x - 0.7)
                keys.key(t0 + 0.46 * length, w=0)
                keys.key(t0 + 0.56 * length, w=0.85, pitch=-14, bend=6, l_hip=38, l_knee=22, r_hip=8, r_knee=34,
                    l_raise=40, r_raise=36, l_spread=35, r_spread=38, l_elbow=40, r_elbow=40, y=0, nod=4)
                keys.key(stop, w=0.9, pitch=10, bend=16, l_hip=16, l_knee=18, r_hip=4, r_knee=16, l_raise=30,
                    r_raise=24, l_spread=12, r_spread=14, l_elbow=30, r_elbow=34, nod=16)
                keys.key(t0 + 0.82 * length, w=0.5, nod=20, pitch=2, bend=10)
                keys.key(t0 + length, w=0.2)
            elif beat.name == "practice_take_off":
                path.key(t0, x=start_x).key(t0 + 0.42 * length, x=start_x + 1.35).key(t0 + 0.75 * length,
                    x=start_x + 1.9).key(t0 + length, x=start_x + 2.1)
                a, b, c = t0 + 0.40 * length, t0 + 0.52 * length, t0 + 0.68 * length
                keys.key(a - 0.2, w=0).key(a, w=1, y=-0.1, pitch=-5, l_hip=28, l_knee=20, r_hip=-16, r_knee=40,
                    l_raise=-30, r_raise=-30, l_elbow=35, r_elbow=35)
                keys.key(b, y=0.02, w=1, pitch=-3, l_hip=0, l_knee=2, l_ankle=30, r_hip=82, r_knee=95, l_raise=140,
                    r_raise=130, l_elbow=50, r_elbow=60, hop=1)
                keys.key(a, hop=0).key((b + c) / 2, hop=1).key(c, hop=0)
                keys.key(c, w=1, y=-0.08, pitch=8, l_hip=26, l_knee=44, l_ankle=0, r_hip=20, r_knee=30, l_raise=20,
                    r_raise=16, l_elbow=30, r_elbow=30)
                keys.key(c + 0.22 * length, w=0)
        x = path.channel("x", t)
        near = np.clip((x - _TAKE_OFF) / (start_x - _TAKE_OFF if abs(start_x - _TAKE_OFF) > 0.1 else 1), 0, 1)
        z = -0.35 - 1.9 * near**1.6
        if jump_t0 is not None:
            z = np.where(t > jump_t0, -0.35 + 0.45 * np.clip((t - jump_t0) / 0.9, 0, 1), z)
        run = locomotion(t, x, z)
        dx, dz = np.gradient(x), np.gradient(z)
        run["yaw"] = np.rad2deg(np.arctan2(dz, np.maximum(np.abs(dx), 1e-3)))
        off = np.zeros(len(t))
        if shot.beats[0].name == "practice_take_off":
            hop = keys.channel("hop", t)
            off = np.where(hop > 0.02, 1.0, 0.0)
        pose = keys.pose(t)
        weight = pose.pop("w")
        pose.pop("hop", None)
        base_yaw = run["yaw"].copy()
        if jump_t0 is not None and jump_t1 is not None:
            before = t < jump_t0
            base_yaw[~before] = base_yaw[before][-1] if before.any() else 15.0
        turn = pose.pop("turned", np.zeros(len(t)))
        mixed = blend(run, pose, weight, skip=("x", "z", "yaw"))
        mixed["x"], mixed["z"], mixed["yaw"] = x, z, base_yaw + (178 - base_yaw) * turn
        if shot.beats[0].name == "practice_take_off":
            mixed["y"] = mixed["y"] + 0.30 * keys.channel("hop", t)
        if jump_t0 is not None and jump_t1 is not None:
            # ballistic flight of the pelvis: rises to clear the bar, falls onto the mat
            y0, peak, y1 = body.hip_height + 0.05, bar + 0.24 - (0.12 if world["knocked"] else 0), _MAT[4] + 0.17
            total = jump_t1 - jump_t0
            up = np.sqrt(peak - y0) / (np.sqrt(peak - y0) + np.sqrt(peak - y1)) * total
            world["peak"] = jump_t0 + up
            s = t - jump_t0
            rise = peak - (peak - y0) * ((up - s) / up) ** 2
            fall = peak - (peak - y1) * ((s - up) / (total - up)) ** 2
            after = y1 - 0.06 * np.exp(-np.clip(s - total, 0, None) * 4) * np.cos(np.clip(s - total, 0,
                None) * 9) ** 2 + 0.06
            height = np.where(s < up, rise, np.where(s < total, fall, after))
            flying = t >= jump_t0
            mixed["y"] = np.where(flying, height - body.hip_height, mixed["y"])
            off = np.where(flying, 1.0, off)
        return mixed, off, world
        # fmt: on


def _flop_keys(keys: Timeline, t1: float, t2: float, t3: float, t4: float) -> None:
    """Write plant, take-off, arch over the bar and landing on the upper back."""
    # fmt: off
    flight = t3 - t2
    keys.key(t1 - 0.08, w=0)
    keys.key(t1 + 0.10, w=1, turned=0, pitch=-12, roll=10, bend=0, l_hip=36, l_knee=8, l_ankle=-10, r_hip=-20,
        r_knee=62, l_raise=-34, r_raise=-38, l_elbow=40, r_elbow=40, y=-0.05, nod=0)
    keys.key(t2, w=1, turned=0.1, pitch=-3, roll=2, bend=0, l_hip=-8, l_knee=2, l_ankle=38, r_hip=86, r_knee=98,
        r_ankle=0, l_raise=142, r_raise=128, l_elbow=45, r_elbow=55, l_spread=10, r_spread=14, nod=-6)

    def f(share: float) -> float:
        return t2 + share * flight

    keys.key(f(0.2), turned=0.5, pitch=-26, l_hip=-14, l_knee=18, r_hip=52, r_knee=88, l_raise=150, r_raise=100,
        bend=-6, nod=-10)
    keys.key(f(0.46), turned=0.95, pitch=-84, roll=0, bend=-34, l_hip=-24, r_hip=-22, l_knee=78, r_knee=82,
        l_ankle=30, r_ankle=30, l_raise=24, r_raise=20, l_spread=44, r_spread=42, l_elbow=12, r_elbow=12, nod=-34)
    keys.key(f(0.64), turned=1, pitch=-108, bend=-22, l_hip=-4, r_hip=0, l_knee=84, r_knee=88, nod=-12)
    keys.key(f(0.82), turned=1, pitch=-122, bend=4, l_hip=62, r_hip=66, l_knee=34, r_knee=30, l_raise=30, r_raise=30,
        l_spread=70, r_spread=70, nod=24)
    keys.key(t3, turned=1, pitch=-124, bend=22, l_hip=92, r_hip=96, l_knee=16, r_knee=14, l_ankle=10, r_ankle=10,
        l_raise=30, r_raise=30, l_spread=80, r_spread=80, nod=36)
    keys.key(t3 + 0.35 * (t4 - t3), pitch=-112, bend=24, l_hip=104, r_hip=112, l_knee=30, r_knee=24, nod=34)
    keys.key(t4, w=1, turned=1, pitch=-92, bend=14, l_hip=58, r_hip=62, l_knee=66, r_knee=58, l_ankle=0, r_ankle=0,
        l_spread=60, r_spread=55, l_raise=12, r_raise=12, l_elbow=14, r_elbow=14, nod=20)
    # fmt: on
