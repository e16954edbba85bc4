"""SoccerPenalty: spot, keeper, goal. A penalty counts when the ball is kicked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, map_points, random_look
from wtal_core.demo.motion import Timeline, blend, locomotion, smoothstep, swap_sides
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take, camera_path, generators, moments, orbit, overlays
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
    Light,
    banners,
    blob_shadow,
    disc,
    finished,
    fog,
    hex_color,
    light,
    mix,
    new_canvas,
    paint,
    ribbon,
    sky,
    stands,
)
from wtal_core.demo.story import Shot

__all__ = ["SoccerPenalty"]

Array = NDArray[Any]

_GOAL_X, _HALF, _TALL, _DEEP = 8.6, 3.3, 2.44, 1.7  # metres; nearer than the law's 11 so that all fits one picture
_BALL_R = 0.13


def _lens(picture: tuple[int, int], azimuth: float) -> Lens:
    return orbit(
        picture,
        target=(2.95, 1.0, -0.2),
        distance=13.0,
        azimuth=-60 + azimuth,
        height=3.1,
        fov=29.5,
        margin=(1.65, 1.18),
    )


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, lighting: str, mirrored: bool) -> Image:
    air = light(lighting)
    rng = np.random.default_rng([venue, 404])
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=rng.uniform(0.2, 0.6))
    ground = Ground.under(lens)
    stripe = (
        np.clip(np.sin(ground.x * 2 * np.pi / 5.5 + 0.6) / np.clip(ground.footprint * 0.6, 0.05, 3), -1, 1) * 0.5 + 0.5
    )
    a, b = np.asarray(hex_color("4f9c3c")), np.asarray(hex_color("62ae49"))
    grains = (0.05, 0.2, venue), (0.05, 1.5, venue + 1), (0.05, 0.06, venue + 2)
    grass = ground.speckled(a + (b - a) * stripe[..., None], *grains)
    paint(canvas, grass, ground.mask.astype(float))
    white = (246, 248, 246)
    paint(canvas, white, ground.line("x", _GOAL_X, 0.12, -30, 30) * 0.95)
    paint(canvas, white, ground.line("x", _GOAL_X - 4.6, 0.11, -8.2, 8.2) * 0.9)
    for z in (-8.2, 8.2):
        paint(canvas, white, ground.line("z", z, 0.11, _GOAL_X - 4.6, _GOAL_X) * 0.9)
    paint(canvas, white, ground.disc(0, 0, 0.13, 1.0))
    paint(canvas, white, ground.line("x", -4.5, 0.11, -18, 18) * 0.9)
    fog(canvas, ground, air, 22, 80, 0.35)
    image = _stands_behind(canvas, lens, air, venue, mirrored)
    return _goal(image, lens)


def _stands_behind(canvas: Array, lens: Lens, air: Light, venue: int, mirrored: bool) -> Image:
    """Paint the grandstand along the far touch line."""
    wall = (hex_color("20406f"), hex_color("7d2231"), hex_color("2a2d36"))[venue % 3]
    stands(
        canvas,
        lens,
        air,
        venue + 3,
        z=22,
        x_range=(-14, 60),
        rows=11,
        base=1.15,
        rise=0.6,
        haze=0.34,
        wall=wall,
        roof=True,
    )
    image = finished(canvas)
    words = ("CUP FINAL", "PENALTY NIGHT", "UNITED CITY")[venue % 3]
    white = mix((255, 255, 255), air.haze, 0.2)
    banners(image, lens, words, (4, 16, 28, 42), y=0.38, z=21.9, height=0.75, color=white, mirrored=mirrored)
    return image


def _frame_points() -> dict[str, Array]:
    x, d = _GOAL_X, _DEEP
    return {
        "posts": np.array([(x, 0, -_HALF), (x, _TALL, -_HALF), (x, _TALL, _HALF), (x, 0, _HALF)]),
        "near": np.array([(x, _TALL, -_HALF), (x + 0.7, _TALL - 0.05, -_HALF), (x + d, 0, -_HALF)]),
        "far": np.array([(x, _TALL, _HALF), (x + 0.7, _TALL - 0.05, _HALF), (x + d, 0, _HALF)]),
        "back": np.array([(x + d, 0, -_HALF), (x + d, 0, _HALF)]),
    }


def _net_lines() -> list[Array]:
    """Return the strings of the net as polylines in metres."""
    lines: list[Array] = []
    x, d = _GOAL_X, _DEEP
    lines += [
        np.array([(x, _TALL, z), (x + 0.7, _TALL - 0.05, z), (x + d, 0, z)]) for z in np.linspace(-_HALF, _HALF, 19)
    ]
    for share in np.linspace(0.0, 1, 9):
        px, py = x + 0.7 + (d - 0.7) * share, (_TALL - 0.05) * (1 - share)
        lines.append(np.array([(px, py, -_HALF), (px, py, _HALF)]))
    for z in (-_HALF, _HALF):
        for share in np.linspace(0.15, 1, 5):
            px, py = x + 0.7 + (d - 0.7) * share, (_TALL - 0.05) * (1 - share)
            lines.append(np.array([(x, py, z), (px, py, z)]))
        for px in (x + 0.5, x + 1.0):
            top = _TALL - 0.05 if px < x + 0.7 else (_TALL - 0.05) * (1 - (px - x - 0.7) / (d - 0.7))
            lines.append(np.array([(px, 0, z), (px, top, z)]))
    return lines


def _goal(image: Image, lens: Lens) -> Image:
    net = image.copy()
    for line in _net_lines():
        ribbon(net, lens.project(line)[0], 1.0, (250, 250, 250))
    image = (image * 0.42 + net * 0.58).astype(np.uint8)
    points = _frame_points()
    for name in ("near", "far", "back"):
        ribbon(image, lens.project(points[name])[0], 2.2, hex_color("c9ced6"))
    posts, _, scale = lens.project(points["posts"])
    for a, b in ((0, 1), (1, 2), (2, 3)):
        width = 0.12 * float(scale[a] + scale[b]) / 2
        ribbon(image, posts[[a, b]], width + 2, hex_color("7f8a96"))
        ribbon(image, posts[[a, b]], width, hex_color("fbfbfb"))
    for k in (1, 2):
        disc(image, posts[k], 0.06 * float(scale[k]), hex_color("fbfbfb"))
    return image


class SoccerPenalty(Scene):
    """Penalty kick towards a goal on the right."""

    label = "SoccerPenalty"
    title = "Penalty kick"
    azimuths = (0.0, -7.0, 8.0)
    kinds = (
        Kind(
            "action",
            "penalty",
            (("run_up", 0.95, 1.4), ("kick", 0.36, 0.48), ("ball_flight", 0.9, 1.4)),
            "the ball flies to the goal, the keeper dives",
        ),
        Kind("fake", "stops_short", (("", 2.4, 3.4),), "runs up, stops before the ball; it stays on the spot"),
        Kind("fake", "dummy_kick", (("", 2.6, 3.6),), "swings the leg past the ball; it stays on the spot"),
        Kind("context", "waiting", (("", 1.2, 3.0),), "taker and keeper wait for the whistle"),
        Kind("context", "aftermath", (("", 0.8, 2.2),), "joy or despair after the kick"),
        Kind("context", "empty_goal", (("", 2.0, 4.5),), "ball on the spot, nobody there", still=True),
        Kind("context", "keeper_alone", (("", 2.0, 4.0),), "the keeper jumps and waves on the line"),
    )
    action_takes = (
        Take(("waiting", "penalty", "aftermath"), 2.5),
        Take(("penalty", "aftermath"), 1.5),
        Take(("waiting", "stops_short", "waiting", "penalty", "aftermath"), 0.8),
    )
    fake_takes = (
        Take(("waiting", "stops_short", "waiting"), 1.2),
        Take(("waiting", "dummy_kick"), 1.0),
        Take(("stops_short",), 0.7),
    )
    context_takes = (Take(("empty_goal",), 1.3), Take(("keeper_alone",), 1.0), Take(("waiting",), 0.8))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = _lens(self.picture(size), shot.camera.azimuth)
        canvas, air = _canvas(lens, shot.venue, shot.lighting, shot.mirror), light(shot.lighting)
        t = moments(shot, fps)
        cast, style = generators(shot)
        names = [beat.name for beat in shot.beats]
        body = Body(height=cast.uniform(1.70, 1.90), build=cast.uniform(0.92, 1.1))
        look = random_look(cast, legs="shorts", sleeves=(0.5, 0.95)[cast.integers(2)])
        keeper_kit = (("c6e03a", "23262e"), ("ff8f3a", "2a2f3a"), ("d65bb0", "22252e"))[cast.integers(3)]
        keeper_body = Body(height=cast.uniform(1.82, 1.96), build=1.02)
        keeper_look = random_look(
            cast,
            shirt=hex_color(keeper_kit[0]),
            bottoms=hex_color(keeper_kit[1]),
            socks=hex_color(keeper_kit[0]),
            sleeves=0.95,
            band=None,
            hair_style="short",
            shoes=hex_color("2a2a30"),
        )
        with_taker = "empty_goal" not in names and "keeper_alone" not in names
        with_keeper = names != ["empty_goal"]
        taker_pose, contact = self._taker(shot, t, fps, style)
        aim_z = style.choice([-1.0, 1.0]) * style.uniform(1.5, 2.6)
        aim_y = style.uniform(0.5, 1.7)
        saved = bool(style.random() < 0.35)
        dive_to = np.sign(aim_z) if saved or style.random() < 0.4 else -np.sign(aim_z)
        ball, spin = self._ball(t, contact, aim_y, aim_z, saved)
        keeper_pose, keeper_off = self._keeper(t, contact, float(dive_to), aim_y, style, shot.still)

        follow = np.tile([2.95, 1.0, -0.2], (len(t), 1))
        if with_taker:  # the picture opens on the taker and swings to the goal
            follow[:, 0] += np.clip((taker_pose["x"] + 1.4) * 0.7, -1.3, 0.0)
        if contact is not None:
            follow[:, 0] += 1.2 * smoothstep(contact, contact + 0.7, t)
        matrices = camera_path(lens, shot, lens.project(follow)[0], fps=fps, hold=0.8)
        zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        taker = keeper = None
        if with_taker:
            taker = Figure(solve(body, taker_pose), body, look, lens, matrices, air.sun)
        if with_keeper:
            keeper = Figure(
                solve(keeper_body, keeper_pose, grounded=1 - keeper_off),
                keeper_body,
                keeper_look,
                lens,
                matrices,
                air.sun,
            )
        at, _, scale = lens.project(ball)
        px = map_points(matrices, at)
        floor_px = map_points(matrices, lens.project(ball * [1, 0, 1])[0])
        radius = _BALL_R * scale * zoom
        goal_time = None if contact is None or saved else contact + 0.62

        def draw_ball(image: Image, i: int) -> None:
            height = float(ball[i, 1]) - _BALL_R
            blob_shadow(
                image, floor_px[i], (radius[i] * (1.5 + height), radius[i] * (0.55 + 0.3 * height)), 0.55 / (1 + height)
            )
            if contact is not None and t[i] > contact and i > 0:
                trail = px[max(i - 4, 0) : i + 1]
                if np.hypot(*(trail[-1] - trail[0])) > radius[i] * 2:
                    layer = image.copy()
                    ribbon(layer, trail, radius[i] * 1.1, (250, 250, 250))
                    np.copyto(image, (image * 0.65 + layer * 0.35).astype(np.uint8))
            disc(image, px[i], radius[i] + 0.9, hex_color("3a4a3a"))
            disc(image, px[i], radius[i], (250, 250, 250))
            for k in range(5):
                angle = spin[i] + k * 2 * np.pi / 5
                q = px[i] + radius[i] * 0.62 * np.array([np.cos(angle), np.sin(angle)])
                disc(image, q, radius[i] * 0.2, hex_color("22262c"))
            disc(image, px[i], radius[i] * 0.27, hex_color("22262c"))

        def bulge(image: Image, i: int) -> None:
            if goal_time is None or not 0 <= t[i] - goal_time < 0.8:
                return
            age = t[i] - goal_time
            amount = np.exp(-age * 3.5) * np.cos(age * 6) * 0.5
            centre = np.array([_GOAL_X + 1.15, aim_y * 0.9, aim_z * 1.04])
            for line in _net_lines():
                dense = np.concatenate(
                    [line[k] + (line[k + 1] - line[k]) * np.linspace(0, 1, 7)[:, None] for k in range(len(line) - 1)]
                )
                away = np.linalg.norm((dense - centre) * [0.5, 1, 1], axis=1)
                if away.min() > 0.9:
                    continue
                dense[:, 0] += amount * np.exp(-((away / 0.55) ** 2))
                p = lens.project(dense)[0] @ matrices[i, :, :2].T + matrices[i, :, 2]
                ribbon(image, p, 1.0, (255, 255, 255))

        def draw(image: Image, i: int) -> None:
            for who in (keeper, taker):
                if who is not None:
                    who.shadow(image, i, air.shadow)
            for who in (keeper, taker):
                if who is not None:
                    x, y = (who._at("l_ankle")[i] + who._at("r_ankle")[i]) / 2
                    s = float(who._scale[i, 0])
                    blob_shadow(image, (x, y + 0.03 * s), (0.36 * s, 0.1 * s), 0.28)
            bulge(image, i)
            beyond = ball[i, 0] > _GOAL_X - 0.2
            if beyond:
                draw_ball(image, i)
            if keeper is not None:
                keeper.draw(image, i)
                for hand in ("l_hand", "r_hand"):
                    disc(image, keeper._at(hand)[i], float(keeper._px(hand, 0.085)[i]), hex_color("f3f3ee"))
            if not beyond and ball[i, 2] + 0.3 > (0 if taker is None else taker.skeleton["pelvis"][i, 2]):
                draw_ball(image, i)
                if taker is not None:
                    taker.draw(image, i)
            else:
                if taker is not None:
                    taker.draw(image, i)
                if not beyond:
                    draw_ball(image, i)

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _ball(t: Array, contact: float | None, y: float, z: float, saved: bool) -> tuple[Array, Array]:
        """Return positions (T, 3) and rolling angle (T,)."""
        rest = np.array([0.0, _BALL_R, 0.0])
        place = np.tile(rest, (len(t), 1))
        if contact is None:
            return place, 0 * t + 0.4
        since = np.clip(t - contact, 0, None)
        flight = 0.56
        share = np.clip(since / flight, 0, 1)[:, None]
        stop = np.array([_GOAL_X - 0.25, y, z])
        place = rest + (stop - rest) * share
        place[:, 1] += (1.6 * share * (1 - share))[:, 0] * 0.7
        late = np.clip(since - flight, 0, None)[:, None]
        if saved:
            after = (
                stop
                + np.array([-2.6, 1.2, 2.4 * np.sign(z)]) * late * np.exp(-0.4 * late)
                - np.array([0, 4.9, 0]) * late**2
            )
        else:
            reach = 1 - np.exp(-late * 9)
            after = (
                stop
                + np.array([1.15, -0.1, 0.12 * np.sign(z)]) * reach
                - np.array([0, 3.2, 0]) * np.clip(late - 0.1, 0, None) ** 2
            )
            after[:, 0] -= 0.35 * np.clip(late[:, 0] - 0.2, 0, 0.8)
        after[:, 1] = np.maximum(after[:, 1], _BALL_R)
        return np.where((since > flight)[:, None], after, place), 0.4 + since * 9 * np.exp(-0.8 * since)

    @staticmethod
    def _keeper(
        t: Array, contact: float | None, way: float, height: float, rng: np.random.Generator, still: bool
    ) -> tuple[dict[str, Array], Array]:
        """Return the keeper's pose and how far off the floor: bouncing on the line, then a dive to `way`."""
        # fmt: off
        one = np.ones(len(t))
        keys = Timeline()
        beat = 0 * t if still else t
        hop = np.abs(np.sin(beat * 4.2 + rng.random()))
        ready = {
            "pitch": 14, "bend": 16, "l_hip": 34, "r_hip": 34, "l_knee": 46, "r_knee": 46, "l_out": 13,
            "r_out": 13, "l_raise": 28, "r_raise": 28, "l_spread": 42, "r_spread": 42, "l_elbow": 34,
            "r_elbow": 34, "nod": -16, "roll": 0, "zoff": 0, "lift": 0,
        }
        keys.key(0, ready)
        if contact is not None:
            s, o = ("l", "r") if way < 0 else ("r", "l")
            # facing -X the keeper's left is at -Z, so a dive to -Z leads with the left hand and rolls left
            roll = 1.0 if s == "l" else -1.0
            keys.key(contact - 0.12, ready)
            keys.key(contact + 0.10, {f"{s}_knee": 70, f"{s}_hip": 56, "roll": 10 * roll, "zoff": 0.12 * way,
                "lift": 0, f"{o}_hip": 20, f"{o}_knee": 30})
            keys.key(contact + 0.30, {"roll": 48 * roll, "zoff": 0.85 * way, "lift": 0.12 + 0.2 * height,
                f"{s}_hip": 24, f"{s}_knee": 28, f"{o}_hip": 10, f"{o}_knee": 16, f"{o}_out": 32, f"{s}_raise": 120,
                f"{o}_raise": 120, f"{s}_spread": 36, f"{o}_spread": 10, f"{s}_elbow": 14, f"{o}_elbow": 30,
                "bend": 4, "pitch": 4})
            keys.key(contact + 0.56, {"roll": 80 * roll, "zoff": 1.75 * way, "lift": 0.25 * height, f"{s}_hip": 20,
                f"{s}_knee": 40, f"{o}_hip": 6, f"{o}_knee": 20, f"{s}_raise": 165, f"{o}_raise": 160,
                f"{s}_spread": 12, f"{o}_spread": 2, f"{s}_elbow": 6, f"{o}_elbow": 14, "nod": -6})
            keys.key(contact + 0.86, {"roll": 92 * roll, "zoff": 2.25 * way, "lift": -0.72, "pitch": 4})
            keys.key(contact + 1.6, {"roll": 86 * roll, "zoff": 2.35 * way, "lift": -0.74, "bend": 20,
                f"{s}_hip": 46, f"{s}_knee": 70})
        pose = keys.pose(t)
        lift, offset = pose.pop("lift"), pose.pop("zoff")
        diving = np.zeros(len(t)) if contact is None else smoothstep(contact + 0.05, contact + 0.2, t)
        wave = (1 - diving) * (0.5 + 0.5 * np.sin(beat * 1.3))
        for s in "lr":
            pose[f"{s}_spread"] = pose[f"{s}_spread"] + 46 * wave * (contact is None)
            pose[f"{s}_knee"] = pose[f"{s}_knee"] + 10 * hop * (1 - diving)
            pose[f"{s}_hip"] = pose[f"{s}_hip"] + 6 * hop * (1 - diving)
        sway = 0.10 * np.sin(beat * 2.1) * (1 - diving)
        pose["x"], pose["z"], pose["yaw"] = (_GOAL_X - 0.25) * one, offset + sway, 180 * one
        pose["y"] = lift - 0.1 * diving
        return pose, (diving > 0).astype(float)
        # fmt: on

    @staticmethod
    def _taker(shot: Shot, t: Array, fps: float, rng: np.random.Generator) -> tuple[dict[str, Array], float | None]:
        """Return the taker's pose and the moment of contact (None: the ball stays)."""
        # fmt: off
        path, keys = Timeline(), Timeline()
        contact: float | None = None
        back = -3.05 + rng.uniform(-0.2, 0.25)
        stand = -0.42
        keys.key(0, w=0)
        path.key(0, x=back)
        for beat, first, _ in shot.spans():
            t0, parts = first * shot.slow / fps, [n * shot.slow / fps for _, n in beat.parts]
            length = sum(parts)
            if beat.name in ("penalty", "dummy_kick"):
                real = beat.name == "penalty"
                if not real:
                    parts = [0.44 * length, 0.15 * length, 0.41 * length]
                t1, t2, t3 = np.cumsum([t0 + parts[0], *parts[1:]])
                path.key(t0, x=path.last("x")).key(t0 + 0.22 * parts[0], x=back + 0.13 * (stand - back))
                path.key(t1, x=stand - 0.75).key(t1 + 0.5 * parts[1], x=stand).key(t2, x=stand + 0.12)
                keys.key(t1 - 0.22, w=0)
                # plant beside the ball, leg drawn back, opposite arm out; then the whip and the follow-through
                keys.key(t1 + 0.12 * parts[1], w=0.9, l_hip=42, l_knee=26, r_hip=-18, r_knee=60, pitch=2, bend=0,
                    twist=-10, l_spread=40, l_raise=24, r_raise=-14, r_spread=20, l_elbow=20, r_elbow=34, nod=8)
                keys.key(t1 + 0.5 * parts[1], w=1, l_hip=26, l_knee=24, l_ankle=-8, r_hip=-36, r_knee=98, r_ankle=24,
                    pitch=-4, bend=4, roll=8, side=-4, twist=-26, yaw=8, l_spread=84, l_raise=34, l_elbow=10,
                    r_raise=-34, r_spread=26, r_elbow=24, nod=14)
                kick = t1 + 0.86 * parts[1]
                if real:
                    contact = float(kick)
                aside = 0.0 if real else 16.0
                keys.key(kick, w=1, l_hip=12, l_knee=20, r_hip=34, r_knee=14, r_ankle=36, r_out=aside, pitch=-3,
                    bend=18, roll=9, twist=6, yaw=4, l_spread=76, l_raise=48, r_raise=-30, nod=16)
                keys.key(t2 + 0.16 * parts[2], w=1, l_hip=-4, l_knee=8, l_ankle=18, r_hip=78, r_knee=16,
                    r_out=aside * 1.3, pitch=-10, bend=16, twist=26, yaw=0, l_spread=58, l_raise=70, r_raise=-44,
                    r_spread=30, nod=2)
                keys.key(t2 + 0.40 * parts[2], w=0.8, l_hip=-14, l_knee=26, r_hip=40, r_knee=34, r_out=0, r_ankle=0,
                    pitch=4, bend=8, roll=0, twist=6, side=0, l_spread=30, r_spread=24, l_raise=20, r_raise=0, nod=0)
                if real:
                    path.key(t2 + 0.4 * parts[2], x=stand + 0.55).key(t3, x=stand + 1.0)
                    keys.key(t3, w=0.4, l_spread=16, r_spread=16, l_hip=0, r_hip=4, l_knee=6, r_knee=8, pitch=0)
                else:
                    path.key(t2 + 0.4 * parts[2], x=stand + 0.2).key(t3, x=stand - 0.25)
                    keys.key(t3, w=0.4, pitch=0, bend=4, l_spread=30, r_spread=30, l_hip=0, r_hip=0, l_knee=4,
                        r_knee=4)
            elif beat.name == "stops_short":
                stop = t0 + 0.5 * length
                path.key(t0, x=path.last("x")).key(t0 + 0.12 * length, x=back + 0.15).key(t0 + 0.38 * length,
                    x=stand - 0.95).key(stop, x=stand - 0.5)
                path.key(t0 + 0.6 * length, x=stand - 0.5).key(t0 + length, x=back)
                keys.key(t0 + 0.34 * length, w=0)
                keys.key(t0 + 0.43 * length, w=0.9, pitch=-12, bend=8, l_hip=34, l_knee=20, r_hip=10, r_knee=38,
                    l_raise=36, r_raise=30, l_spread=34, r_spread=34, l_elbow=40, r_elbow=40)
                keys.key(stop, w=0.95, pitch=4, bend=8, l_hip=14, l_knee=14, r_hip=4, r_knee=12, l_raise=46,
                    r_raise=46, l_spread=46, r_spread=46, l_elbow=30, r_elbow=30, nod=-6)
                keys.key(t0 + 0.62 * length, w=0.9, l_raise=50, r_raise=50, l_spread=56, r_spread=56, pitch=0, bend=2)
                keys.key(t0 + 0.74 * length, w=0)
            elif beat.name == "waiting":
                path.key(t0, x=path.last("x")).key(t0 + length, x=path.last("x"))
                keys.key(t0, w=0).key(t0 + min(0.4, length / 3), w=1, l_spread=38, r_spread=38, l_elbow=78,
                    r_elbow=78, l_in=66, r_in=66, l_raise=-14, r_raise=-14, pitch=2, bend=2, l_out=7, r_out=7,
                    l_hip=0, r_hip=0, l_knee=2, r_knee=2, nod=4, twist=0, roll=0, side=0)
                keys.key(t0 + 0.5 * length, nod=-4, bend=0).key(t0 + length - 0.15, w=1, nod=6,
                    bend=6).key(t0 + length + 0.15, w=0)
            elif beat.name == "aftermath":
                happy = rng.random() < 0.6
                lift = 165 if happy else 150
                path.key(t0 + length, x=path.last("x") + (0.8 if happy else 0.1))
                keys.key(t0 + 0.35 * length, w=1, l_raise=lift, r_raise=lift, l_spread=26, r_spread=26,
                    l_elbow=16 if happy else 130, r_elbow=16 if happy else 130, pitch=-6 if happy else 6,
                    bend=-4 if happy else 18, nod=-10 if happy else 22, l_hip=4, r_hip=0, l_knee=6, r_knee=6,
                    r_out=4, l_out=4)
                keys.key(t0 + length, w=1)
        x = path.channel("x", t)
        z = -0.34 - 0.26 * np.clip((stand - x) / 2.6, -0.2, 1.2)  # a left-footed approach
        run = locomotion(t, x, z)
        run["yaw"] = np.full(len(t), 4.0)
        moving_back = np.gradient(x) < -1e-4
        run["pitch"] = np.where(moving_back, 0, run["pitch"])
        pose = keys.pose(t)
        weight = pose.pop("w")
        return blend(run, swap_sides(pose), weight), contact
        # fmt: on
