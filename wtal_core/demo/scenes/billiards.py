"""Billiards: a table under a lamp. A shot counts when the cue ball is struck."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.actors import Figure, random_look, rod
from wtal_core.demo.motion import Timeline, smoothstep
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take, camera_path, generators, moments, orbit, overlays, solid
from wtal_core.demo.skeleton import Body, solve
from wtal_core.demo.stage import (
    Ground,
    Image,
    Lens,
    blob_shadow,
    disc,
    ellipse,
    finished,
    hex_color,
    mix,
    new_canvas,
    noise,
    paint,
    polygon,
    ribbon,
    shade,
    text,
)
from wtal_core.demo.story import Shot

__all__ = ["Billiards"]

Array = NDArray[Any]

_BED = 0.82  # metres of the cloth above the floor
_L, _W = 1.30, 0.68  # half length and half width of the cloth
_R = 0.038  # ball radius, a little larger than life
_CUE = 1.45
_SPOT = (-0.62, 0.0)  # where the cue ball waits
_COLORS = ("f2c230", "2452b8", "d43b34", "6b3fa0", "ef7e2e", "1f8a54", "8c2430", "1d1d22", "f2c230", "2452b8")


def _lens(picture: tuple[int, int], azimuth: float) -> Lens:
    return orbit(
        picture, target=(-0.66, 0.98, 0.0), distance=4.7, azimuth=azimuth, height=2.35, fov=33.0, margin=(1.3, 1.15)
    )


@lru_cache(maxsize=6)
def _canvas(lens: Lens, venue: int, mirrored: bool) -> Image:
    canvas = new_canvas(lens)
    h, w = canvas.shape[:2]
    tone = (("314a55", "7b4a2e"), ("5a2f35", "6b4429"), ("2f4a3a", "77502f"), ("3b3a58", "6e472d"))[venue % 4]
    wall, wood = hex_color(tone[0]), hex_color(tone[1])
    yy, xx = np.mgrid[0:h, 0:w]
    lamp = lens.project(np.array([0.1, 2.3, 0.4]))[0]
    away = np.hypot((xx - lamp[0]) / w, (yy - lamp[1]) / h * 1.1)
    canvas[:] = np.asarray(wall) * (1.28 - 0.85 * np.clip(away * 1.25, 0, 1))[..., None]
    tile = np.resize(noise(venue), (max(h, 512), max(w, 512)))[:h, :w]
    canvas *= (1 + 0.02 * tile)[..., None]
    floor = Ground.under(lens)
    boards = np.clip(np.abs(np.mod(floor.z * 4, 1) - 0.5) * 24 - 0.4, 0, 1) * 0.16 + 0.84
    carpet = np.asarray(shade(wood, -0.3)) * (boards * (1 + 0.06 * floor.grain(0.3, venue)))[..., None]
    reach = np.hypot(floor.x - 0.1, floor.z)
    carpet *= np.clip(1.15 - 0.16 * reach, 0.45, 1.1)[..., None]
    paint(canvas, carpet, (floor.mask & (floor.z < 2.9)).astype(float))
    image = finished(canvas)

    def board(x0: float, x1: float, y0: float, y1: float, color: tuple[float, float, float], z: float = 2.88) -> None:
        polygon(image, lens.project(np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]))[0], color)

    board(-9, 9, 0.0, 0.95, mix(wood, wall, 0.35))  # wainscot
    board(-9, 9, 0.92, 1.0, shade(wood, 0.12))
    for x in np.arange(-8.4, 8.5, 1.2):
        board(x, x + 0.98, 0.16, 0.8, mix(shade(wood, -0.12), wall, 0.3))
    for k, (x, tint) in enumerate(((-3.1, "c9a35a"), (-1.5, "8fb0b8"), (2.0, "c07a52"))):
        board(x, x + 0.9, 1.45, 2.15, shade(wood, 0.15))
        board(x + 0.06, x + 0.84, 1.51, 2.09, mix(hex_color(tint), wall, 0.2))
        base = lens.project(
            np.array(
                [
                    (x + 0.06, 1.51, 2.87),
                    (x + 0.84, 1.51, 2.87),
                    (x + 0.62, 1.9, 2.87),
                    (x + 0.44, 1.72, 2.87),
                    (x + 0.26, 1.95 - 0.1 * k, 2.87),
                ]
            )
        )[0]
        polygon(image, base, mix(shade(hex_color(tint), -0.35), wall, 0.2))
    board(0.15, 1.35, 1.16, 1.72, hex_color("22262b"))  # slate with the score
    px, py, s = lens.point(0.75, 1.47, 2.86)
    text(image, "FRAME 3", (px, py), 0.2 * s, hex_color("e8e4d4"), weight=600, align="centre", mirrored=mirrored)
    text(
        image,
        "42 : 37",
        (px, py + 0.24 * s),
        0.22 * s,
        hex_color("f2cf6b"),
        weight=700,
        align="centre",
        mirrored=mirrored,
    )
    for k in range(5):  # cue rack
        x = 3.0 + 0.13 * k
        ribbon(
            image, lens.project(np.array([(x, 1.02, 2.8), (x, 2.3, 2.8)]))[0], 3.5, mix(hex_color("c79a5d"), wall, 0.25)
        )

    # table: legs, frame, rails, cloth, pockets
    dark, frame_color = shade(wood, -0.35), shade(wood, -0.02)
    spread = lens.project(
        np.array([(-_L - 0.1, 0, -_W), (_L + 0.3, 0, -_W - 0.15), (_L + 0.3, 0, _W), (-_L - 0.1, 0, _W)])
    )[0]
    under = image.copy()
    polygon(under, spread, (16, 12, 12))
    image[:] = (image * 0.45 + under * 0.55).astype(np.uint8)
    for x, z in ((-_L + 0.05, _W - 0.1), (_L - 0.25, _W - 0.1), (-_L + 0.05, -_W + 0.0), (_L - 0.25, -_W + 0.0)):
        solid(image, lens, (x, 0.0, z - 0.08), (x + 0.2, _BED - 0.2, z + 0.1), dark, (-0.1, 1, -0.4))
    out = 0.17
    solid(
        image,
        lens,
        (-_L - out, _BED - 0.26, -_W - out),
        (_L + out, _BED + 0.035, _W + out),
        frame_color,
        (-0.1, 1, -0.35),
    )
    cloth = hex_color(("1f8b57", "1f7f8b", "2a8f4a", "2a63a0")[venue % 4])
    deck = Ground.under(lens, _BED)
    inside = (np.abs(deck.x) < _L + 0.055) & (np.abs(deck.z) < _W + 0.055)
    cushion = (np.abs(deck.x) > _L - 0.005) | (np.abs(deck.z) > _W - 0.005)
    bright = np.clip(1.16 - 0.22 * np.hypot(deck.x - 0.1, deck.z * 1.2), 0.6, 1.2) * (
        1 + 0.025 * deck.grain(0.02, venue) + 0.02 * deck.grain(0.2, venue)
    )
    picture = image.astype(np.float32)
    paint(picture, np.asarray(cloth) * bright[..., None], inside.astype(float))
    paint(picture, np.asarray(shade(cloth, -0.22)) * bright[..., None], (inside & cushion).astype(float))
    paint(picture, (235, 240, 235), deck.line("x", -_L * 0.5, 0.008) * inside * ~cushion * 0.5)
    image = finished(picture)
    for x in (-_L - 0.02, 0.0, _L + 0.02):
        for z in (-_W - 0.02, _W + 0.02):
            *at, s = lens.point(x, _BED + 0.01, z)
            flat = 0.42
            ellipse(image, at, (0.082 * s, 0.082 * s * flat), 0, shade(frame_color, -0.4))
            ellipse(image, at, (0.064 * s, 0.064 * s * flat), 0, (14, 12, 12))
    for x in (-0.975, -0.65, -0.325, 0.325, 0.65, 0.975):
        for z in (-_W - 0.12, _W + 0.12):
            *at, s = lens.point(x, _BED + 0.036, z)
            disc(image, at, 0.012 * s, hex_color("f0e6c8"))
    # lamp with its cone of light
    cord = lens.project(np.array([(0.1, 4.0, 0.0), (0.1, 2.42, 0.0)]))[0]
    ribbon(image, cord, 2, (20, 20, 22))
    shade_px = lens.project(np.array([(-0.55, 2.1, 0.0), (0.75, 2.1, 0.0), (0.5, 2.42, 0.0), (-0.3, 2.42, 0.0)]))[0]
    cone = image.copy()
    beam = lens.project(np.array([(-0.55, 2.1, 0), (0.75, 2.1, 0), (_L + 0.3, _BED, 0), (-_L - 0.1, _BED, 0)]))[0]
    polygon(cone, beam, (190, 232, 250))
    image = (image * 0.9 + cone * 0.1).astype(np.uint8)
    polygon(image, shade_px, hex_color("2f6b4c"))
    polygon(
        image,
        lens.project(np.array([(-0.55, 2.1, 0.0), (0.75, 2.1, 0.0), (0.72, 2.14, 0.0), (-0.52, 2.14, 0.0)]))[0],
        hex_color("fff0b8"),
    )
    return image


class Billiards(Scene):
    """Pool, played from the left end of the table."""

    label = "Billiards"
    title = "Billiards"
    azimuths = (0.0, -14.0, 9.0)
    indoor = True
    kinds = (
        Kind(
            "action",
            "shot",
            (("backstroke", 0.7, 1.1), ("strike", 0.24, 0.36), ("roll_out", 1.2, 2.4)),
            "the cue ball is struck, the balls roll",
        ),
        Kind("fake", "aiming", (("", 2.4, 3.6),), "strokes the cue back and forth, never touches the ball"),
        Kind("fake", "air_stroke", (("", 2.0, 3.0),), "a full stroke well short of the ball, which stays"),
        Kind("context", "address", (("", 1.0, 2.4),), "bends over the table, looks along the cue"),
        Kind("context", "standing", (("", 0.8, 2.0),), "straightens up and watches"),
        Kind("context", "empty_table", (("", 2.0, 4.8),), "the table with a commentary caption", still=True),
        Kind("context", "chalking", (("", 2.2, 4.0),), "chalks the cue beside the table"),
    )
    action_takes = (
        Take(("address", "shot", "standing"), 2.5),
        Take(("shot",), 0.5),
        Take(("address", "aiming", "shot", "standing"), 1.5),
        Take(("address", "air_stroke", "address", "shot", "standing"), 0.7),
    )
    fake_takes = (Take(("address", "aiming", "standing"), 1.5), Take(("address", "air_stroke", "standing"), 1.0))
    context_takes = (Take(("empty_table",), 1.6), Take(("chalking",), 1.0), Take(("address",), 0.5))

    def build(self, shot: Shot, size: tuple[int, int], fps: float) -> Clip:
        """Prepare a shot (see `Scene.build`)."""
        lens = _lens(self.picture(size), shot.camera.azimuth)
        canvas = _canvas(lens, shot.venue, shot.mirror)
        t = moments(shot, fps)
        one = np.ones(len(t))
        cast, style = generators(shot)
        names = [beat.name for beat in shot.beats]
        body = Body(height=cast.uniform(1.68, 1.86), build=cast.uniform(0.92, 1.12))
        vest = hex_color(("2b2f3a", "6b2230", "22483d", "3a3350", "c9a24a")[cast.integers(5)])
        look = random_look(
            cast,
            legs="trousers",
            sleeves=0.95,
            bottoms=hex_color("3b4254"),
            shirt=hex_color(("f2efe6", "d9e4ee", "e7cfd2", "2f3f63", "f0dfb0")[cast.integers(5)]),
            band=vest,
            shoes=hex_color("1c1c20"),
        )
        balls, strike = self._layout(shot, t, fps, style)
        focus = lens.project(np.tile([-0.66, 0.98, 0.0], (len(t), 1)))[0]
        matrices = camera_path(lens, shot, focus, fps=fps)
        zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        figure: Figure | None = None
        props = []
        if names != ["empty_table"]:
            pose, push, up, chalk, far = self._player(shot, t, fps, strike)
            scale = body.height / 1.78
            low = 1 - up
            # the cue lies on the bridge hand; standing, it is held upright
            tip_rest = np.array([_SPOT[0] - 0.10, _BED + 0.045, 0.0])
            tip = tip_rest + np.stack([push - far, 0.0 * push, 0.0 * push], -1)
            level = np.array([0.988, -0.15, 0.0])
            level = level / np.linalg.norm(level)
            pose["x"] = -2.02 * one - 0.10 * up - far
            rest = solve(body, pose)
            grip_up = rest["r_shoulder"] + np.array([0.30, -0.34, -0.05]) * scale
            post = np.stack([0.16 + 0 * up, 0.98 + 0 * up, -0.06 + 0 * up], -1)
            post /= np.linalg.norm(post, axis=-1, keepdims=True)
            tip_up = grip_up + post * 0.62
            mixd = smoothstep(0.0, 1.0, up)[:, None]
            axis = level * (1 - mixd) + post * mixd
            axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
            tip_now = tip * (1 - mixd) + tip_up * mixd
            butt_now = tip_now - axis * _CUE
            grip = butt_now + axis * (0.30 * (1 - mixd) + (_CUE - 0.62) * mixd)
            bridge = np.array([_SPOT[0] - 0.50, _BED + 0.035, 0.02]) - np.stack([far, 0 * far, 0 * far], -1)
            chalk_at = tip_now + np.stack([0.03 * np.sin(t * 13), 0.02 * np.cos(t * 13), -0.03 * one], -1)
            left = bridge * (1 - mixd) + (rest["l_hand"] * (1 - chalk[:, None]) + chalk_at * chalk[:, None]) * mixd
            pole = {
                "r": np.stack([-0.7 * low, 0.9 * low - 0.5 * up, -0.25 * one], -1),
                "l": np.stack([0.2 * one, -0.8 * one, 0.3 * one], -1),
            }
            feet_l, feet_r = pose["x"] + 0.22, pose["x"] - 0.24
            skeleton = solve(
                body,
                pose,
                hands={"r": (grip, one), "l": (left, np.maximum(low, chalk))},
                elbow_pole=pole,
                grounded=0.0,
                flat=1.0,
                feet={
                    "l": (np.stack([feet_l, body.sole * one, 0.14 * one], -1), one),
                    "r": (np.stack([feet_r, body.sole * one, -0.16 * one], -1), one),
                },
                toes={"l": np.tile([1.0, -0.05, 0.0], (len(t), 1)), "r": np.tile([0.7, -0.05, -0.6], (len(t), 1))},
            )
            figure = Figure(skeleton, body, look, lens, matrices, (-0.1, 0.9, -0.35))
            props.append(
                rod(
                    lens,
                    matrices,
                    butt_now,
                    tip_now,
                    (0.038, 0.018),
                    hex_color("d9ad6a"),
                    minimum=1.3,
                    depth_shift=-0.12,
                    edge=0.8,
                    split=[(0.0, 0.34, hex_color("40241a")), (0.975, 1.0, hex_color("3f7fc4"))],
                )
            )
        count = balls.shape[1]
        order = np.argsort(-balls[..., 1], axis=1)

        def draw(image: Image, i: int) -> None:
            if figure is not None:
                s = float(figure._scale[i, 0])
                feet = (figure._at("l_ankle")[i] + figure._at("r_ankle")[i]) / 2
                blob_shadow(image, (feet[0], feet[1] + 0.04 * s), (0.62 * s, 0.12 * s), 0.5)
                hand = figure._at("l_hand")[i]
                if float(figure.skeleton["l_hand"][i, 1]) < _BED + 0.25:
                    blob_shadow(image, (hand[0] + 0.05 * s, hand[1] + 0.05 * s), (0.3 * s, 0.06 * s), 0.4)
            for k in order[i]:
                x, z, sunk = balls[i, k]
                if sunk > 0.99:
                    continue
                px, py, scale = lens.point(x, _BED + _R - 0.05 * sunk, z)
                p = matrices[i, :, :2] @ [px, py] + matrices[i, :, 2]
                r = _R * float(scale) * zoom[i] * (1 - 0.4 * sunk)
                blob_shadow(image, (p[0] + r * 0.5, p[1] + r * 0.75), (r * 1.7, r * 0.75), 0.55)
                color = hex_color("f8f5ea") if k == 0 else hex_color(_COLORS[(k - 1) % len(_COLORS)])
                disc(image, p, r + 0.8, shade(color, -0.55))
                disc(image, p, r, color)
                if k == count - 1:  # a striped ball
                    ellipse(image, p, (r * 0.95, r * 0.4), 0, (245, 245, 240))
                disc(image, p - [r * 0.32, r * 0.38], r * 0.3, shade(color, 0.75))
            if figure is not None:
                figure.draw(image, i, props)

        return Clip(lens, canvas, matrices, draw, mirror=shot.mirror, overlay=overlays(shot, fps))

    @staticmethod
    def _layout(shot: Shot, t: Array, fps: float, rng: np.random.Generator) -> tuple[Array, float | None]:
        """Return balls (T, N, 3: x, z, how far sunk 0..1) and the moment the cue ball is struck."""
        strike = None
        for beat, first, _ in shot.spans():
            if beat.name == "shot":
                strike = (first + beat.parts[0][1] + 0.72 * beat.parts[1][1]) * shot.slow / fps
        if rng.random() < 0.5:  # a racked triangle
            gap = 2 * _R * 1.03
            spots = [(0.55 + 0.87 * gap * row, gap * (k - row / 2)) for row in range(4) for k in range(row + 1)][:10]
        else:
            spots = []
            while len(spots) < 7:
                x, z = rng.uniform(-0.05, 1.1), rng.uniform(-0.5, 0.5)
                if all(np.hypot(x - a, z - b) > 0.2 for a, b in spots):
                    spots.append((x, z))
        place = np.array([_SPOT, *spots])
        frames = np.zeros((len(t), len(place), 3))
        frames[:, :, :2] = place
        if strike is None:
            return frames, None
        target = place[1 + int(np.argmin(np.hypot(*(place[1:] - [0.4, 0.0]).T)))]
        way = target - place[0] + [0, rng.uniform(-0.03, 0.03)]
        speed = rng.uniform(2.4, 3.6)
        position, velocity = place.copy(), np.zeros_like(place)
        velocity[0] = way / np.linalg.norm(way) * speed
        sunk = np.zeros(len(place))
        pockets = np.array([(x, z) for x in (-_L, 0.0, _L) for z in (-_W, _W)])
        step, clock, i = 1 / 400, strike, int(np.searchsorted(t, strike))
        while i < len(t):
            while clock < t[i]:
                clock += step
                position = position + velocity * step
                fast = np.linalg.norm(velocity, axis=1, keepdims=True)
                velocity = velocity * np.clip(1 - 0.45 * step / np.maximum(fast, 1e-9), 0, 1) * (1 - 0.32 * step)
                gone = (np.linalg.norm(position[:, None] - pockets[None], axis=2) < 0.075).any(1)
                sunk = np.where(gone | (sunk > 0), np.minimum(sunk + step / 0.15, 1), 0)
                velocity[sunk > 0] *= 0.9
                for axis, limit in ((0, _L - _R), (1, _W - _R)):
                    out = (np.abs(position[:, axis]) > limit) & (sunk == 0)
                    position[out, axis] = np.sign(position[out, axis]) * limit
                    velocity[out, axis] *= -0.78
                delta = position[:, None] - position[None]
                gap2 = (delta**2).sum(-1)
                close = np.argwhere(np.triu(gap2 < (2 * _R) ** 2, 1))
                for a, b in close:
                    if sunk[a] or sunk[b]:
                        continue
                    n = delta[a, b] / max(np.sqrt(gap2[a, b]), 1e-9)
                    overlap = 2 * _R - np.sqrt(gap2[a, b])
                    position[a] += n * overlap / 2
                    position[b] -= n * overlap / 2
                    rush = float((velocity[a] - velocity[b]) @ n)
                    if rush < 0:
                        velocity[a] -= n * rush * 0.97
                        velocity[b] += n * rush * 0.97
            frames[i, :, :2], frames[i, :, 2] = position, sunk
            i += 1
        return frames, strike

    @staticmethod
    def _player(
        shot: Shot, t: Array, fps: float, strike: float | None
    ) -> tuple[dict[str, Array], Array, Array, Array, Array]:
        """Return pose, cue push in metres, upright share, chalking share and distance back from the ball."""
        # fmt: off
        keys = Timeline()
        down = {
            "pitch": 48, "bend": 34, "nod": -64, "twist": 0, "l_hip": 0, "r_hip": 0, "y": -0.06, "yaw": 6,
            "side": 0,
        }
        tall = {"pitch": 0, "bend": 4, "nod": 8, "twist": 0, "y": 0.0, "yaw": -24, "side": 0}
        names = [beat.name for beat in shot.beats]
        first_name = names[0]
        start_up = 1.0 if first_name in ("chalking", "address") else 0.0
        back = 0.46 if "air_stroke" in names and names.index("air_stroke") <= 1 else 0.0
        keys.key(0, tall if start_up else down, up=start_up, push=0.0, chalk=0.0, far=back)
        for index, (beat, first, _) in enumerate(shot.spans()):
            t0, parts = first * shot.slow / fps, [n * shot.slow / fps for _, n in beat.parts]
            length = sum(parts)
            if beat.name == "address":
                after = names[index + 1] if index + 1 < len(names) else ""
                short = 0.46 if after == "air_stroke" else 0.0
                bow = min(0.75, 0.6 * length)
                here = keys.last("up")
                keys.key(t0, tall if here > 0.5 else down, up=here, far=keys.last("far"))
                keys.key(t0 + bow, down, up=0.0, far=short)
                keys.key(t0 + bow, push=-0.02)
                for k in range(int((length - bow) / 0.8)):
                    keys.key(t0 + bow + 0.8 * k + 0.4, push=-0.07).key(t0 + bow + 0.8 * k + 0.7, push=-0.02)
                keys.key(t0 + length, down, up=0.0, far=short, push=-0.02)
            elif beat.name == "shot":
                hit = t0 + parts[0] + 0.72 * parts[1]
                keys.key(t0, down, up=0, push=-0.02)
                keys.key(t0 + 0.22 * parts[0], push=-0.10).key(t0 + 0.40 * parts[0], push=-0.02)
                keys.key(t0 + 0.86 * parts[0], push=-0.36, pitch=47).key(t0 + parts[0], push=-0.37)
                keys.key(hit, push=0.075).key(hit + 0.14, push=0.24, pitch=50)
                keys.key(hit + 0.45, push=0.23)
                keys.key(t0 + parts[0] + parts[1] + 0.7 * parts[2], push=0.05, nod=-58, bend=30)
                keys.key(t0 + length, push=0.0)
            elif beat.name == "aiming":
                keys.key(t0, down, up=0, push=-0.02)
                k, w = 0, t0 + 0.15
                while w + 0.75 < t0 + length:
                    keys.key(w + 0.34, push=-0.26 + 0.04 * (k % 3)).key(w + 0.62, push=-0.015 - 0.01 * (k % 2))
                    w, k = w + 0.72, k + 1
                keys.key(t0 + length, push=-0.03)
            elif beat.name == "air_stroke":
                keys.key(t0, down, up=0, push=-0.02, far=0.46)
                keys.key(t0 + 0.18 * length, push=-0.1).key(t0 + 0.3 * length, push=-0.02)
                keys.key(t0 + 0.58 * length, push=-0.34).key(t0 + 0.64 * length, push=-0.34).key(t0 + 0.74 * length,
                    push=0.14).key(t0 + 0.84 * length, push=0.12)
                keys.key(t0 + length, push=-0.02, far=0.46)
            elif beat.name == "standing":
                rise = min(0.8, 0.7 * length)
                keys.key(t0, up=0.0, far=keys.last("far")).key(t0 + rise, tall, up=1.0, push=0.0)
                keys.key(t0 + length, tall, up=1.0)
            elif beat.name == "chalking":
                keys.key(t0, tall, up=1.0, chalk=0.0).key(t0 + 0.22 * length, chalk=1.0, nod=-4,
                    yaw=-34).key(t0 + 0.8 * length, chalk=1.0, nod=-2)
                keys.key(t0 + length, chalk=0.0, nod=10, up=1.0)
        pose = keys.pose(t)
        push, up, chalk, far = (pose.pop(n) for n in ("push", "up", "chalk", "far"))
        for s in "lr":
            pose[f"{s}_raise"] = 12 + 0 * t
            pose[f"{s}_elbow"] = 20 + 0 * t
            pose[f"{s}_spread"] = 8 + 0 * t
        return pose, push, up, chalk, far
        # fmt: on
