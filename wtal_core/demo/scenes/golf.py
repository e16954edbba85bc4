"""GolfSwing: a tee on a fairway. A swing counts when it sends the ball away."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, Part, capsule, map_points, random_look, rod
from wtal_core.demo.motion import Timeline, locomotion, smoothstep
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take, camera_path, generators, moments, orbit, overlays
from wtal_core.demo.skeleton import Body, Skeleton, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
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
    polygon,
    ribbon,
    shade,
    sky,
    text,
    trees,
)
from wtal_core.demo.story import Shot

__all__ = ["GolfSwing"]

Array = NDArray[Any]

_BALL = np.array([0.06, 0.055, -0.86])
_BACK = 0.62  # metres behind the ball for a practice swing


def _venue_lens(picture: tuple[int, int], azimuth: float) -> Lens:
    return orbit(
        picture, target=(0.25, 1.12, 0.0), distance=6.9, azimuth=azimuth, height=1.75, fov=25, margin=(1.5, 1.12)
    )


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, lighting: str, mirrored: bool) -> Image:
    air = light(lighting)
    rng = np.random.default_rng([venue, 101])
    canvas = new_canvas(lens)
    sky(canvas, lens, air, venue, cloud=rng.uniform(0.3, 0.8))
    hills(
        canvas,
        lens,
        air,
        venue,
        [(0.17, hex_color("6f9c8f"), 0.55), (0.12, hex_color("5f9460"), 0.38), (0.07, hex_color("4f8a4a"), 0.2)],
    )
    ground = Ground.under(lens)
    fair, dark = hex_color("86bd4e"), hex_color("74ad45")
    tilt = rng.uniform(-0.5, 0.5)
    bands = np.sin((ground.x * (1 + 0.2 * tilt) + ground.z * tilt) * 2 * np.pi / 6.5)
    sharp = np.clip(bands / np.clip(ground.footprint * 0.8, 0.04, 4), -1, 1) * 0.5 + 0.5
    base = np.asarray(fair) + (np.asarray(dark) - np.asarray(fair)) * sharp[..., None]
    rough = smoothstep(12, 17, np.abs(ground.x + 2 - 0.12 * ground.z + 3 * np.sin(ground.z / 19)))
    base += (np.asarray(hex_color("5b9440")) - base) * rough[..., None]
    speckle = (
        0.05 * ground.grain(0.25, venue) + 0.05 * ground.grain(1.6, venue + 1) + 0.05 * ground.grain(0.05, venue + 2)
    )
    base *= (1 + speckle)[..., None]
    paint(canvas, base, ground.mask.astype(float))
    for bx, bz, size in ((-9.0, 44.0, 4.2), (13.0, 60.0, 5.0)):
        bunker = ground.disc(bx + rng.uniform(-3, 3), bz, size + 0.6)
        paint(canvas, hex_color("5a9139"), bunker)
        paint(canvas, hex_color("ecdcaa"), ground.disc(bx, bz + 0.2, size))
    green_x, green_z = 9 + rng.uniform(-3, 4), 75.0
    paint(canvas, hex_color("a3d565"), ground.disc(green_x, green_z, 9, 0.9))
    fog(canvas, ground, air, 12, 190, 0.6)
    trees(
        canvas,
        lens,
        air,
        venue,
        distance=105,
        height=11,
        color=hex_color("3f7d44"),
        x_range=(-70, 75),
        spacing=4.2,
        z_jitter=12,
        haze=0.38,
    )
    trees(
        canvas,
        lens,
        air,
        venue + 1,
        distance=42,
        height=8,
        color=hex_color("3a7a3b"),
        x_range=(-40, -15),
        spacing=3.6,
        z_jitter=8,
        haze=0.18,
    )
    trees(
        canvas,
        lens,
        air,
        venue + 2,
        distance=50,
        height=9,
        color=hex_color("417f3d"),
        x_range=(20, 48),
        spacing=3.6,
        z_jitter=8,
        haze=0.2,
    )
    # tee box: a closely mown rectangle with two markers
    tee = ((np.abs(ground.x - 0.1) < 3.4) & (np.abs(ground.z + 0.3) < 2.0)).astype(float)
    paint(
        canvas,
        ground.speckled(hex_color("93c95a"), (0.05, 0.05, venue + 3), (0.03, 0.5, venue)),
        tee * 0.85,
    )
    image = finished(canvas)
    pole = lens.project(
        np.array(
            [(green_x, 0, green_z), (green_x, 3.2, green_z), (green_x + 1.7, 2.75, green_z), (green_x, 2.3, green_z)]
        )
    )[0]
    ribbon(image, pole[:2], 2, hex_color("fbfbf4"))
    polygon(image, pole[1:], hex_color("e23b3b"))
    tint = hex_color(("d8423c", "2b62b5", "f2c335")[venue % 3])
    for x, z in ((-1.45, -0.55), (1.75, -0.55)):
        px, py, s = lens.point(x, 0.07, z)
        blob_shadow(image, (px + 0.05 * s, py + 0.06 * s), (0.2 * s, 0.06 * s), 0.6)
        disc(image, (px, py), 0.085 * s, shade(tint, -0.3))
        disc(image, (px - 0.015 * s, py - 0.015 * s), 0.07 * s, tint)
    _bag(image, lens, tint, mirrored)
    return image


def _bag(image: Image, lens: Lens, tint: tuple[float, float, float], mirrored: bool) -> None:
    """Paint a golf bag on its stand and the sign of the hole, at the back of the tee."""
    bag = np.array([(1.62, 0.0, 1.1), (1.88, 0.0, 1.1), (1.98, 0.86, 1.25), (1.66, 0.86, 1.25)])
    points, _, scale = lens.project(bag)
    s = float(scale[0])
    blob_shadow(image, (float(points[0, 0]) + 0.3 * s, float(points[0, 1])), (0.5 * s, 0.1 * s), 0.55)
    for dx, lean, top in ((0.04, 0.03, "d8dde3"), (0.14, 0.07, "3a3f48"), (0.24, 0.12, "d8dde3")):
        club = lens.project(np.array([(1.68 + dx, 0.8, 1.25), (1.68 + dx + lean, 1.16, 1.3)]))[0]
        ribbon(image, club, 3, hex_color("b9c0c8"))
        disc(image, club[1], 0.045 * s, hex_color(top))
    leg = lens.project(np.array([(1.9, 0.7, 1.25), (2.12, 0.0, 1.4)]))[0]
    ribbon(image, leg, 3, hex_color("4a4f58"))
    polygon(image, points, shade(tint, -0.35))
    inner = points + (points.mean(0) - points) * 0.14
    polygon(image, inner, shade(tint, -0.05))
    polygon(
        image,
        lens.project(np.array([(1.66, 0.18, 1.08), (1.87, 0.18, 1.08), (1.9, 0.45, 1.12), (1.67, 0.45, 1.12)]))[0],
        hex_color("f2efe6"),
    )
    sign = lens.project(np.array([(-1.95, 0.0, 1.6), (-1.95, 0.62, 1.6)]))[0]
    ribbon(image, sign, 5, hex_color("6b4a30"))
    plate = lens.project(np.array([(-2.2, 0.46, 1.58), (-1.7, 0.46, 1.58), (-1.7, 0.84, 1.58), (-2.2, 0.84, 1.58)]))[0]
    polygon(image, plate, hex_color("2d5a3c"))
    text(
        image,
        "7",
        (float(plate[:, 0].mean()), float(plate[:, 1].max()) - 0.09 * s),
        0.3 * s,
        (240, 248, 248),
        weight=750,
        align="centre",
        mirrored=mirrored,
    )


class GolfSwing(Scene):
    """Golf from the face-on side; the golfer hits to the right (mirrored: to the left)."""

    label = "GolfSwing"
    title = "Golf swing"
    azimuths = (0.0, -22.0, 20.0)
    kinds = (
        Kind(
            "action",
            "swing",
            (("backswing", 0.9, 1.35), ("downswing", 0.40, 0.52), ("follow_through", 0.8, 1.5)),
            "the ball leaves the tee",
        ),
        Kind("fake", "practice_swing", (("", 2.2, 3.2),), "a full swing behind the ball, which stays on the tee"),
        Kind("fake", "checked_swing", (("", 1.9, 2.8),), "stops half-way down and returns to the ball"),
        Kind("context", "address", (("", 1.2, 3.0),), "stands over the ball, waggles"),
        Kind("context", "finish", (("", 0.8, 2.2),), "holds the finish, watches the ball"),
        Kind("context", "empty_tee", (("", 2.0, 4.5),), "the tee with ball and markers, nobody there", still=True),
        Kind("context", "walk_up", (("", 2.5, 4.5),), "walks to the ball with the club in hand"),
    )
    action_takes = (
        Take(("address", "swing", "finish"), 3.0),
        Take(("address", "practice_swing", "address", "swing", "finish"), 1.4),
        Take(("address", "checked_swing", "address", "swing", "finish"), 1.0),
    )
    fake_takes = (
        Take(("address", "practice_swing", "address"), 1.0),
        Take(("address", "checked_swing", "address"), 1.0),
    )
    context_takes = (Take(("empty_tee",), 1.3), Take(("walk_up",), 1.0), Take(("address",), 0.8))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = _venue_lens(self.picture(size), shot.camera.azimuth)
        canvas = _canvas(lens, shot.venue, shot.lighting, shot.mirror)
        air = light(shot.lighting)
        seconds = moments(shot, fps)
        cast, style = generators(shot)
        body = Body(height=cast.uniform(1.68, 1.88), build=cast.uniform(0.9, 1.12))
        look = random_look(
            cast,
            legs="trousers",
            sleeves=0.5,
            hair_style=("cap", "cap", "tail", "short")[cast.integers(4)],
            shoes=hex_color("f4f4f4"),
        )
        present = any(beat.name != "empty_tee" for beat in shot.beats)
        track, impact = self._choreography(shot, fps, style)
        walking = shot.beats[0].name == "walk_up"
        figure: Figure | None = None
        props: list[Part] = []
        focus = lens.project(np.tile([[0.25, 1.12, 0.0]], (len(seconds), 1)))[0]
        if present:
            pose = track.pose(seconds)
            shift = pose.pop("step")
            alpha, beta, grip = (np.deg2rad(pose.pop("alpha")), np.deg2rad(pose.pop("beta")), pose.pop("grip"))
            heel = pose.pop("heel")
            scale = body.height / 1.78
            offset = np.stack([0 * shift, 0 * shift, shift], -1)
            hips = pose["weight"]
            pose["x"] = hips
            pose["z"] = 0.14 * scale + shift
            centre = np.array([0.0, 1.36 * scale, -0.13]) + offset + np.stack([0.7 * hips, pose["y"], 0 * hips], -1)
            ball = _BALL + offset
            e1 = np.array([1.0, 0.0, 0.0])
            e2 = (np.array([0.0, 1.36 * scale, -0.13]) - _BALL) * [0, 1, 1]
            e2 = e2 / np.linalg.norm(e2)
            r = 0.60 * scale
            hand = centre + r * (np.sin(alpha)[:, None] * e1 - np.cos(alpha)[:, None] * e2)
            hand[:, 2] -= 0.10 * np.clip(1 - np.abs(alpha), 0, 1)
            start_hand = np.array([0.0, 1.36 * scale - 0.055, -0.13]) - r * e2 - [0, 0, 0.10]
            club_length = float(np.linalg.norm(start_hand - _BALL))
            away = alpha + beta
            direction = np.sin(away)[:, None] * e1 - np.cos(away)[:, None] * e2
            low = np.exp(-((away / 0.5) ** 2))[:, None]
            exact = ball - hand
            exact = exact / np.linalg.norm(exact, axis=-1, keepdims=True)
            sweep = np.stack([np.sin(away), 0 * away, 0 * away], -1)
            direction = direction * (1 - low) + (exact * np.cos(away)[:, None] + sweep) * low
            direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
            head = hand + direction * club_length
            head[:, 1] = np.maximum(head[:, 1], 0.03)
            butt = hand - direction * 0.12
            planted = {
                "l": np.array([0.27, body.sole, 0.10]) + offset,
                "r": np.array([-0.27, body.sole, 0.10]) + offset,
            }
            planted["r"] = planted["r"] + np.stack([0.10 * heel, 0.13 * heel, -0.02 * heel], -1)
            one = np.ones(len(seconds))
            toes = {
                "l": np.tile([0.3, -0.09, -1.0], (len(seconds), 1)),
                "r": np.stack([-0.12 + 0.5 * heel, -0.09 - 0.75 * heel, -1 + 0.35 * heel], -1),
            }
            if walking:
                skeleton, butt, head = self._walking(body, seconds, club_length)
            else:
                skeleton = solve(
                    body,
                    pose,
                    ground=0.0,
                    grounded=0.0,
                    flat=0.0,
                    hands={"l": (hand - direction * 0.045, grip * one), "r": (hand + direction * 0.045, grip * one)},
                    feet={s: (planted[s], one) for s in "lr"},
                    toes=toes,
                )
            matrices = camera_path(lens, shot, focus, fps=fps)
            figure = Figure(skeleton, body, look, lens, matrices, air.sun)
            shaft = rod(
                lens,
                matrices,
                butt,
                head,
                (0.022, 0.013),
                hex_color("c9ced6"),
                split=[(0.0, 0.26, hex_color("26262c"))],
                depth_shift=-0.12,
                minimum=1.1,
            )
            props.append(shaft)
            toe = head + np.stack([0 * head[:, 0] + 0.02, 0 * head[:, 0] - 0.005, 0 * head[:, 0] - 0.09], -1)
            pa, _, s = lens.project(head)
            pb = lens.project(toe)[0]
            zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
            club = capsule(map_points(matrices, pa), map_points(matrices, pb), s * zoom * 0.038, s * zoom * 0.045)
            props.append(Part(shaft.depth - 0.05, [(club, hex_color("2c3038"))]))
        else:
            matrices = camera_path(lens, shot, focus, fps=fps)
        flight = self._flight(seconds, impact, style)
        spot, _, spot_scale = lens.project(flight)
        spot_px = map_points(matrices, spot)
        zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        tee_px = map_points(matrices, lens.project(np.tile([_BALL, _BALL * [1, 0, 1]], (len(seconds), 1, 1)))[0])
        strength = air.shadow

        def draw(image: Image, i: int) -> None:
            s = float(spot_scale[i] * zoom[i])
            s0 = float(lens.project(_BALL)[2] * zoom[i])
            ribbon(image, tee_px[i], max(0.012 * s0, 2), hex_color("f0e4c8"))
            if figure is not None:
                figure.shadow(image, i, strength)
                x, y = (figure._at("l_ankle")[i] + figure._at("r_ankle")[i]) / 2
                blob_shadow(image, (x, y + 0.04 * s0), (0.5 * s0, 0.12 * s0), 0.45)
            hit = impact is not None and seconds[i] >= impact
            in_front = not hit
            if in_front:
                blob_shadow(image, (tee_px[i, 1, 0] + 0.04 * s0, tee_px[i, 1, 1]), (0.09 * s0, 0.03 * s0), 0.5)
            if figure is not None:
                self._smear(image, i, props)
                figure.draw(image, i, props)
            if in_front:
                disc(image, spot_px[i], 0.042 * s0 + 0.8, hex_color("6f7f6a"))
                disc(image, spot_px[i], 0.042 * s0, (250, 252, 252))
            elif impact is not None:
                self._tracer(image, i, seconds, impact, spot_px, s)
                dust = seconds[i] - impact
                if dust < 0.35:
                    rng = np.random.default_rng([shot.seed, 9])
                    for _ in range(9):
                        vx, vy, q = rng.uniform(0.2, 1.8), rng.uniform(0.6, 2.2), rng.uniform(0.008, 0.02)
                        p = tee_px[i, 1] + s0 * np.array([vx * dust, -(vy * dust - 4.9 * dust * dust)])
                        disc(image, p, q * s0 * (1 - dust), mix(hex_color("6f9a3c"), hex_color("6b5236"), q * 40))

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _smear(image: Image, i: int, props: list[Part]) -> None:
        """Draw the club head's motion smear: the fan between this frame and the one before."""
        if i == 0:
            return
        now, before = props[1].layers[0][0][i].mean(0), props[1].layers[0][0][i - 1].mean(0)
        if np.hypot(*(now - before)) > 26:
            base = props[0].layers[0][0][i].mean(0) * 0.25 + now * 0.75
            fan = np.array([base, before * 0.8 + base * 0.2, before, now])
            region = image.copy()
            polygon(region, fan, (238, 240, 240))
            np.copyto(image, (image * 0.72 + region * 0.28).astype(np.uint8))

    @staticmethod
    def _tracer(image: Image, i: int, seconds: Array, impact: float, path: Array, scale: float) -> None:
        since = seconds[i] - impact
        first = int(np.searchsorted(seconds, impact))
        fade = 1 - float(smoothstep(0.9, 1.7, np.array(since)))
        if fade <= 0.02:
            return
        line = path[max(first - 1, 0) : i + 1]
        if len(line) >= 2:
            layer = image.copy()
            ribbon(layer, line, 5, (255, 255, 255))
            ribbon(layer, line, 2.4, hex_color("ffe27a"))
            np.copyto(image, (image * (1 - 0.85 * fade) + layer * (0.85 * fade)).astype(np.uint8))
        disc(image, path[i], max(0.05 * scale, 2.2), (255, 255, 255))

    @staticmethod
    def _flight(seconds: Array, impact: float | None, rng: np.random.Generator) -> Array:
        """Return ball positions (T, 3)."""
        position = np.tile(_BALL, (len(seconds), 1))
        if impact is None:
            return position
        t = np.clip(seconds - impact, 0, None)[:, None]
        velocity = np.array([rng.uniform(22, 28), rng.uniform(9, 12), rng.uniform(12, 18)])
        drag = (1 - np.exp(-0.35 * t)) / 0.35
        return np.asarray(position + velocity * drag - np.array([0, 4.9, 0]) * t**2 * 0.75)

    @staticmethod
    def _walking(body: Body, seconds: Array, club: float) -> tuple[Skeleton, Array, Array]:
        """Walk from the left towards the ball with the club in the right hand; return skeleton, grip and club head."""
        share = smoothstep(-0.25, 1.15, seconds / max(float(seconds[-1]), 0.1))
        x = -1.95 + 1.55 * share
        pose = locomotion(seconds, x, np.full_like(x, 0.05))
        pose["yaw"] = np.full_like(x, -14.0)
        pose["r_elbow"] = pose["r_elbow"] * 0.4 + 6
        pose["r_raise"] = pose["r_raise"] * 0.4
        skeleton = solve(body, pose)
        hand = skeleton["r_hand"]
        direction = np.stack([0.62 + 0 * x, -0.62 + 0.05 * np.sin(9 * seconds), -0.2 + 0 * x], -1)
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        head = hand + direction * club * 0.86
        head[:, 1] = np.maximum(head[:, 1], 0.05)
        return skeleton, hand - direction * 0.16, head

    @staticmethod
    def _choreography(shot: Shot, fps: float, rng: np.random.Generator) -> tuple[Timeline, float | None]:
        """Write the keys of all beats; return them and the moment of impact in seconds."""
        # fmt: off
        track = Timeline({"grip": 1.0})
        setup = {
            "alpha": 0, "beta": 0, "yaw": -90, "pitch": 32, "bend": 6, "twist": 0, "side": 3, "weight": 0.0,
            "y": -0.075, "heel": 0, "nod": 6, "turn": 0,
        }
        top = rng.uniform(118, 138)
        depth = rng.uniform(0.95, 1.05)
        impact = None
        track.key(0, setup, step=_BACK if len(shot.beats) > 1 and shot.beats[1].name == "practice_swing" else 0.0)

        def swing(t0: float, back: float, down: float, through: float, vigour: float = 1.0) -> None:
            """A whole swing: the hips lead, the club lags and is released late."""
            t1, t2, t3 = t0 + back, t0 + back + down, t0 + back + down + through
            track.key(t0, setup)
            track.key(t0 + 0.28 * back, alpha=-28 * vigour, beta=-8, yaw=-93, twist=-18, weight=-0.02)
            track.key(t0 + 0.62 * back, alpha=-86 * vigour, beta=-72, yaw=-99, twist=-50, weight=-0.05, turn=32)
            track.key(t1, alpha=-top * vigour, beta=-102 * depth, yaw=-105, twist=-74, weight=-0.04, side=2,
                pitch=30, bend=5, turn=48)
            track.key(t1 - 0.05 * back, y=-0.065)
            track.key(t1 + 0.02, yaw=-104)
            track.key(t1 + 0.45 * down, alpha=-72 * vigour, beta=-100, yaw=-84, twist=-54, weight=0.04, y=-0.095,
                side=2, turn=36)
            track.key(t1 + 0.72 * down, alpha=-34, beta=-66, yaw=-72, twist=-30, weight=0.075)
            track.key(t2, alpha=8, beta=-2, yaw=-62, twist=-6, weight=0.09, side=6, pitch=26, bend=5, y=-0.05,
                heel=0.15, turn=4)
            track.key(t2 + 0.14 * through, alpha=58, beta=24, yaw=-42, twist=10, weight=0.11, heel=0.4, turn=-10)
            track.key(t2 + 0.38 * through, alpha=112, beta=84, yaw=-22, twist=26, weight=0.13, pitch=14, bend=8,
                side=5, heel=0.85, y=-0.01, turn=-14)
            track.key(t2 + 0.72 * through, alpha=140, beta=112, yaw=-12, twist=34, weight=0.15, pitch=4, bend=2,
                side=4, heel=1, y=0.0, nod=0, turn=-6)
            track.key(t3, alpha=143, beta=116, yaw=-10, twist=34, weight=0.15, pitch=3, bend=0, side=4, heel=1,
                y=0.0, nod=-2, turn=0)

        names = [beat.name for beat in shot.beats]
        for index, (beat, start, _end) in enumerate(shot.spans()):
            t = start * shot.slow / fps
            length = beat.frames * shot.slow / fps
            parts = [frames * shot.slow / fps for _, frames in beat.parts]
            if beat.name == "swing":
                impact = t + parts[0] + parts[1]
                # impact lies in the downswing phase: the ball leaves two frames before its end
                swing(t, parts[0], parts[1] - 0.06, parts[2] + 0.06)
                impact -= 0.06
            elif beat.name == "practice_swing":
                swing(t, 0.38 * length, 0.19 * length, 0.25 * length, 0.93)
                track.key(t + length, setup)
            elif beat.name == "checked_swing":
                back, stop = t + 0.45 * length, t + 0.62 * length
                track.key(t, setup)
                track.key(t + 0.25 * length, alpha=-70, beta=-60, yaw=-97, twist=-42, weight=-0.04, turn=25)
                track.key(back, alpha=-top, beta=-100, yaw=-104, twist=-72, weight=-0.04, turn=46, side=2)
                track.key(stop, alpha=-62, beta=-88, yaw=-92, twist=-44, weight=0.02, turn=30, y=-0.085)
                track.key(stop + 0.12 * length, alpha=-56, beta=-84, yaw=-91, twist=-42, weight=0.0, turn=28)
                track.key(t + length, setup)
            elif beat.name == "address":
                after = names[index + 1] if index + 1 < len(names) else ""
                here = track.last("step")
                there = _BACK if after == "practice_swing" else 0.0
                track.key(t, setup, step=here)
                settle = 0.55 * length if here != there else 0.05
                track.key(t + settle, step=there)
                if here != there:
                    track.key(t + settle / 2, y=-0.04, pitch=18)
                for k in range(max(int((length - settle) / 0.9), 1)):
                    w = t + settle + 0.15 + k * 0.9
                    if w + 0.7 < t + length:
                        track.key(w, alpha=0, beta=0, weight=0).key(w + 0.22, alpha=-10, beta=-24,
                            weight=0.015).key(w + 0.5, alpha=0, beta=0, weight=-0.01)
                        track.key(w + 0.35, turn=-24 if k == 0 else 0)
                track.key(t + length, setup)
            elif beat.name == "finish":
                track.key(t + 0.75 * length, alpha=143, beta=116, yaw=-10)
                track.key(t + length, alpha=118, beta=70, yaw=-14, twist=20, turn=4)
        return track, impact
        # fmt: on
