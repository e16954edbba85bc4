"""Draw athletes: tapered limbs, clothes, hair and shoes over a placed skeleton, sorted by depth.

Outlines of all body parts are computed for the whole shot at once; a frame then only fills polygons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from wtal_core.demo.skeleton import INDEX, Body, Skeleton
from wtal_core.demo.stage import Color, Image, Lens, hex_color, shade

__all__ = ["Figure", "Look", "Part", "capsule", "draw_part", "map_points", "random_look", "rod"]

Array = NDArray[Any]
_SHIFT: Final = 4


@dataclass(frozen=True)
class Look:
    """Colours and clothes of one athlete (BGR).

    Attributes:
        legs: "shorts", "trousers" or "bare" (swimwear).
        sleeves: 0 (none) to 1 (to the wrist).
        hair_style: "short", "tail", "cap", "bald" or "swim".
        band: colour of a chest stripe, or None.
    """

    skin: Color = hex_color("e0a878")
    hair: Color = hex_color("4a2f22")
    shirt: Color = hex_color("d9483b")
    bottoms: Color = hex_color("26324a")
    socks: Color = hex_color("f5f1e8")
    shoes: Color = hex_color("2a2a30")
    accent: Color = hex_color("f5f1e8")
    legs: str = "shorts"
    sleeves: float = 0.5
    hair_style: str = "short"
    band: Color | None = None


SKINS: Final = ("f6d2b3", "eab98f", "d39a6a", "a8703f", "7a4a2c")
HAIRS: Final = ("2b201c", "4a2f22", "8a5a2b", "d8ae5e", "1c1b20", "a44a2a")
KITS: Final = (
    ("d9483b", "1f2b45", "f5f1e8"),
    ("1f6fb8", "f2f2f2", "ffd23f"),
    ("f2c14e", "24407a", "24407a"),
    ("2a9d6f", "f5f1e8", "16324a"),
    ("f5f1e8", "b3263a", "b3263a"),
    ("6a4ca3", "1f1f2b", "f2c14e"),
    ("ef7d2d", "2b2b33", "ffffff"),
    ("18a0b5", "13304a", "fff2c9"),
)


def random_look(rng: np.random.Generator, **fixed: object) -> Look:
    """Draw an athlete's colours; `fixed` overrides single fields."""
    shirt, bottoms, accent = (hex_color(c) for c in KITS[rng.integers(len(KITS))])
    values: dict[str, object] = {
        "skin": hex_color(SKINS[rng.integers(len(SKINS))]),
        "hair": hex_color(HAIRS[rng.integers(len(HAIRS))]),
        "shirt": shirt,
        "bottoms": bottoms,
        "accent": accent,
        "socks": accent,
        "shoes": hex_color(("2a2a30", "f4f4f4", "e0463a", "f0d23c")[rng.integers(4)]),
        "hair_style": ("short", "tail", "short", "short")[rng.integers(4)],
        "band": accent if rng.random() < 0.5 else None,
    }
    values.update(fixed)
    return Look(**values)  # type: ignore[arg-type]


@dataclass
class Part:
    """Something drawn as a stack of polygons, sorted by depth against other parts.

    Attributes:
        depth: (T,) metres from the eye.
        layers: (outline (T, N, 2) picture pixels, colour) in drawing order.
        shown: (T,) bool or None for always.
    """

    depth: Array
    layers: list[tuple[Array, Color]] = field(default_factory=list)
    shown: NDArray[np.bool_] | None = None


def map_points(matrices: Array, points: Array) -> Array:
    """Apply (T, 2, 3) affine maps to (T, N, 2) or (T, 2) canvas points."""
    if points.ndim == 2:
        return map_points(matrices, points[:, None])[:, 0]
    return np.asarray(np.einsum("tij,tnj->tni", matrices[:, :, :2], points) + matrices[:, None, :, 2])


def capsule(a: Array, b: Array, ra: Array | float, rb: Array | float, steps: int = 7) -> Array:
    """Return the outlines (T, 2 * steps, 2) of capsules from `a` to `b` (T, 2) with end radii in pixels."""
    along = b - a
    angle = np.arctan2(along[:, 1], along[:, 0])
    ra, rb = np.broadcast_to(ra, angle.shape), np.broadcast_to(rb, angle.shape)
    length = np.hypot(along[:, 0], along[:, 1])
    # outer tangents of two circles lean towards the smaller one
    lean = np.arcsin(np.clip((ra - rb) / np.maximum(length, 1e-6), -0.9, 0.9))
    front = np.linspace(-1, 1, steps) * (np.pi / 2 - lean)[:, None] + angle[:, None]
    back = np.linspace(1, -1, steps) * (-np.pi / 2 - lean)[:, None] + angle[:, None] + np.pi
    cap_b = b[:, None] + rb[:, None, None] * np.stack([np.cos(front), np.sin(front)], -1)
    cap_a = a[:, None] + ra[:, None, None] * np.stack([np.cos(back), np.sin(back)], -1)
    return np.concatenate([cap_b, cap_a], 1)


def _ring(centre: Array, rx: Array, ry: Array, angle: Array, steps: int = 18) -> Array:
    """Return ellipse outlines (T, steps, 2)."""
    t = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    x, y = rx[:, None] * np.cos(t), ry[:, None] * np.sin(t)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.asarray(centre[:, None] + np.stack([c * x - s * y, s * x + c * y], -1))


def draw_part(image: Image, part: Part, frame: int) -> None:
    """Fill one part's polygons."""
    if part.shown is not None and not part.shown[frame]:
        return
    for outline, color in part.layers:
        points = np.rint(outline[frame] * (1 << _SHIFT))
        if np.abs(points).max() < 2e6:
            cv2.fillPoly(image, [points.astype(np.int32)], color, cv2.LINE_AA, _SHIFT)


def rod(
    lens: Lens,
    matrices: Array,
    a: Array,
    b: Array,
    width: float | tuple[float, float],
    color: Color,
    *,
    split: Sequence[tuple[float, float, Color]] = (),
    depth_shift: float = 0.0,
    minimum: float = 0.9,
    edge: float = 0.0,
) -> Part:
    """Return a straight stick from `a` to `b` (T, 3) metres: club, cue, javelin, bar.

    Args:
        width: thickness in metres (or at both ends); never thinner than `minimum` pixels.
        split: (from, to, colour) stretches painted over the stick, as shares of its length.
        depth_shift: metres added to the sorting depth (negative brings it in front).
        edge: pixels of dark outline.
    """
    wa, wb = (width, width) if isinstance(width, float | int) else width
    zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])

    def at(share: float) -> tuple[Array, Array]:
        points, _, scale = lens.project(a + (b - a) * share)
        thick = (wa + (wb - wa) * share) / 2 * scale * zoom
        return map_points(matrices, points), np.maximum(thick, minimum)

    (pa, ra), (pb, rb) = at(0.0), at(1.0)
    layers = [(capsule(pa, pb, ra + edge, rb + edge, 4), shade(color, -0.6))] if edge else []
    layers.append((capsule(pa, pb, ra, rb, 4), color))
    for start, end, paint in split:
        (ps, rs), (pe, re) = at(start), at(end)
        layers.append((capsule(ps, pe, rs * 1.02, re * 1.02, 4), paint))
    depth = lens.project((a + b) / 2)[1] + depth_shift
    return Part(depth, layers)


class Figure:
    """One athlete over a shot: parts to draw, and the shadow on the floor.

    Args:
        skeleton, body, look: who and how.
        lens, matrices: perspective and the (T, 2, 3) camera maps.
        sun: direction to the sun; the lit side of every limb.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        body: Body,
        look: Look,
        lens: Lens,
        matrices: Array,
        sun: tuple[float, float, float] = (-0.5, 0.8, -0.3),
    ) -> None:
        self.skeleton, self.body, self.look, self.lens, self.matrices, self.sun = (
            skeleton,
            body,
            look,
            lens,
            matrices,
            sun,
        )
        self._zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
        points, self._depth, scale = lens.project(skeleton.joints)
        self._points = map_points(matrices, points)
        self._scale = scale * self._zoom[:, None]
        self._unit = body.height / 1.78 * (0.35 + 0.65 * body.build)
        right, up, _ = lens.axes
        lit = np.array([float(np.dot(sun, right)), -float(np.dot(sun, up))])
        self._lit = lit / max(float(np.hypot(*lit)), 1e-6)
        self.parts = self._limbs()

    # joint helpers -------------------------------------------------------------------------------------------------

    def _at(self, name: str) -> Array:
        return self._points[:, INDEX[name]]

    def _px(self, name: str, metres: float) -> Array:
        return self._scale[:, INDEX[name]] * metres * self._unit

    def _between(self, a: str, b: str, share: float) -> Array:
        return self._at(a) + (self._at(b) - self._at(a)) * share

    def _world(self, points: Array) -> tuple[Array, Array]:
        at, depth, _ = self.lens.project(points)
        return map_points(self.matrices, at), depth

    def _stack(self, pieces: Sequence[tuple[Array, Array, Array, Array, Color]]) -> list[tuple[Array, Color]]:
        """Turn capsules into outline, fill and lit-side layers."""
        result: list[tuple[Array, Color]] = []
        edge = 1.3
        for a, b, ra, rb, color in pieces:
            result.append((capsule(a, b, ra + edge, rb + edge), shade(color, -0.38)))
        for a, b, ra, rb, color in pieces:
            result.append((capsule(a, b, ra, rb), color))
            shift_a, shift_b = self._lit * ra[:, None] * 0.36, self._lit * rb[:, None] * 0.36
            result.append((capsule(a + shift_a, b + shift_b, ra * 0.52, rb * 0.52), shade(color, 0.13)))
        return result

    # parts -----------------------------------------------------------------------------------------------------------

    def _limbs(self) -> list[Part]:
        """Return arms and legs, then torso and head."""
        limbs = [part for side in "lr" for part in (self._arm(side), self._leg(side))]
        return [*limbs, self._torso(), self._head()]

    def _bone(
        self, a: Array, b: Array, at_a: tuple[str, float], at_b: tuple[str, float], color: Color
    ) -> tuple[Array, Array, Array, Array, Color]:
        """Return a capsule from `a` to `b`; its radii are given as (joint whose scale counts, metres)."""
        return a, b, self._px(*at_a), self._px(*at_b), color

    def _depth_of(self, *joints: str) -> Array:
        """Return the mean depth of joints, (T,); one named twice weighs double."""
        return np.asarray(self._depth[:, [INDEX[joint] for joint in joints]].mean(1))

    def _arm(self, s: str) -> Part:
        look = self.look
        shoulder, elbow, wrist, hand = names = tuple(f"{s}_{n}" for n in ("shoulder", "elbow", "wrist", "hand"))
        at = {name: self._at(name) for name in names}
        arm = [
            self._bone(at[elbow], at[wrist], (elbow, 0.041), (wrist, 0.030), look.skin),
            self._bone(at[shoulder], at[elbow], (shoulder, 0.054), (elbow, 0.042), look.skin),
            self._bone(self._between(wrist, hand, 0.25), at[hand], (hand, 0.036), (hand, 0.041), look.skin),
        ]
        if look.sleeves >= 0.7:
            cuff = self._between(elbow, wrist, 0.9)
            arm.append(self._bone(at[elbow], cuff, (elbow, 0.05), (wrist, 0.04), look.shirt))
        if look.sleeves > 0:
            upper = min(look.sleeves / 0.55, 1.0) if look.sleeves < 0.7 else 1.0
            end = self._between(shoulder, elbow, upper)
            arm.append(self._bone(at[shoulder], end, (shoulder, 0.066), (elbow, 0.058), look.shirt))
        return Part(self._depth_of(shoulder, elbow, elbow, wrist, wrist), self._stack(arm))

    def _leg(self, s: str) -> Part:
        look = self.look
        hip, knee, ankle, toe = names = tuple(f"{s}_{n}" for n in ("hip", "knee", "ankle", "toe"))
        at = {name: self._at(name) for name in names}
        skin, fat = (look.bottoms, 1.1) if look.legs == "trousers" else (look.skin, 1.0)
        calf, shin = self._between(knee, ankle, 0.3), at[ankle] - at[knee]
        leg = [
            self._bone(calf, at[ankle], (knee, 0.056 * fat), (ankle, 0.036 * fat * fat), skin),
            self._bone(at[knee], calf, (knee, 0.056 * fat), (knee, 0.056 * fat), skin),
            self._bone(at[hip], at[knee], (hip, 0.092), (knee, 0.058 * fat), skin),
        ]
        if look.legs == "shorts":
            sock = self._between(knee, ankle, 0.62)
            leg.append(self._bone(sock, at[ankle], (knee, 0.046), (ankle, 0.041), look.socks))
        if look.legs == "bare":
            brief = self._between(hip, knee, 0.2)
            leg.append(self._bone(at[ankle], at[toe], (ankle, 0.036), (toe, 0.024), look.skin))
            leg.append(self._bone(at[hip], brief, (hip, 0.1), (hip, 0.094), look.bottoms))
        else:
            below = shin / np.maximum(np.hypot(*shin.T), 1e-6)[:, None] * self._px(ankle, 0.03)[:, None]
            heel = at[ankle] - (at[toe] - at[ankle]) * 0.28 + below
            leg.append(self._bone(heel, at[toe], (ankle, 0.046), (toe, 0.036), look.shoes))
        if look.legs == "shorts":
            hem = self._between(hip, knee, 0.55)
            leg.append(self._bone(at[hip], hem, (hip, 0.104), (knee, 0.088), look.bottoms))
        return Part(self._depth_of(hip, knee, knee, ankle), self._stack(leg))

    def _torso(self) -> Part:
        look, skeleton = self.look, self.skeleton
        pelvis, waist, neck = skeleton["pelvis"], skeleton["waist"], skeleton["neck"]
        low, high = skeleton.pelvis, skeleton.chest
        stations: list[tuple[Array, Array, float, float]] = []
        for share, width, depth in (
            (-0.14, 0.105, 0.088),
            (0.0, 0.158, 0.118),
            (0.2, 0.146, 0.110),
            (0.42, 0.135, 0.104),
            (0.66, 0.160, 0.118),
            (0.84, 0.184, 0.116),
            (0.945, 0.180, 0.094),
            (1.02, 0.075, 0.06),
        ):
            if share <= 0.42:
                centre, frame = pelvis + (waist - pelvis) * (share / 0.42), low + (high - low) * (share / 0.42 * 0.5)
            else:
                t = (share - 0.42) / 0.58
                centre, frame = waist + (neck - waist) * t, low + (high - low) * (0.5 + 0.5 * t)
            stations.append((centre, frame, width, depth))
        centres = np.stack([s[0] for s in stations], 1)
        points, _, scale = self.lens.project(centres)
        points, scale = map_points(self.matrices, points), scale * self._zoom[:, None]
        tangent = np.gradient(points, axis=1)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-6)
        normal = np.stack([-tangent[..., 1], tangent[..., 0]], -1)
        right, up, _ = self.lens.axes
        half = []
        for k, (_, frame, width, depth) in enumerate(stations):
            flat = np.stack([frame @ right, -(frame @ up)], -1)  # (T, 3 axes, 2)
            across = np.einsum("tad,td->ta", flat, normal[:, k])
            half.append(np.hypot(width * across[:, 2], depth * across[:, 0]) + 0.25 * depth * np.abs(across[:, 1]))
        reach = np.stack(half, 1) * scale * self._unit
        reach = np.maximum(reach, scale * 0.055)
        leftside, rightside = points + normal * reach[..., None], points - normal * reach[..., None]

        def strip(start: int, end: int, grow: float = 0.0) -> Array:
            extra = normal[:, start : end + 1] * grow
            return np.concatenate(
                [leftside[:, start : end + 1] + extra, (rightside[:, start : end + 1] - extra)[:, ::-1]], 1
            )

        chest_px, hip_px = self._px("neck", 0.115), self._px("pelvis", 0.12)
        chest_at = self._between("waist", "neck", 0.62)
        bare = look.legs == "bare" and look.sleeves == 0
        top = look.skin if bare and look.accent == look.skin else look.shirt
        zero = np.zeros(len(points))
        layers: list[tuple[Array, Color]] = [
            (_ring(chest_at, chest_px + 1.3, chest_px + 1.3, zero), shade(top, -0.38)),
            (_ring(self._at("pelvis"), hip_px + 1.3, hip_px + 1.3, zero), shade(look.bottoms, -0.38)),
            (strip(0, 7, 1.3), shade(top, -0.38)),
            (_ring(self._at("pelvis"), hip_px, hip_px, zero), look.bottoms),
            (_ring(chest_at, chest_px, chest_px, zero), top),
            (strip(2, 7), top),
            (strip(0, 2), look.bottoms),
        ]
        if look.band is not None and not bare:
            layers.append((strip(4, 5), look.band))
        lit = self._lit[None, None] * reach[..., None] * 0.34
        inner = np.concatenate(
            [
                (points + normal * reach[..., None] * 0.5 + lit)[:, 3:7],
                (points - normal * reach[..., None] * 0.5 + lit)[:, 3:7][:, ::-1],
            ],
            1,
        )
        if look.band is None:
            layers.append((inner, shade(top, 0.1)))
        depth = self._depth[:, [INDEX["pelvis"], INDEX["waist"], INDEX["neck"]]].mean(1)
        return Part(depth, layers)

    def _head(self) -> Part:
        look, skeleton = self.look, self.skeleton
        unit = self.body.height / 1.78
        head, frame = skeleton["head"], skeleton.head
        f, u, left = frame[:, 0], frame[:, 1], frame[:, 2]
        at = self._at("head")
        size = self._scale[:, INDEX["head"]] * unit
        top = self._world(head + u * 0.1 * unit)[0]
        lean = np.arctan2(*(top - at).T[::-1]) + np.pi / 2
        neck = (self._at("neck"), at, self._px("neck", 0.055), self._px("neck", 0.05), shade(look.skin, -0.12))
        layers = self._stack([neck])
        away = -(f @ self.lens.axes[2])  # 1: looks at the viewer

        def ring(forward: float, up: float, rx: float, ry: float, grow: float = 0.0) -> Array:
            centre = self._world(head + (f * forward + u * up) * unit)[0]
            return _ring(centre, size * rx + grow, size * ry + grow, lean)

        skull_color = {"bald": look.skin, "swim": look.accent, "cap": look.accent}.get(look.hair_style, look.hair)
        face = [
            (ring(0.012, -0.005, 0.098, 0.120, 1.3), shade(look.skin, -0.4)),
            (ring(0.012, -0.005, 0.098, 0.120), look.skin),
        ]
        nose, _ = self._world(head + (f * 0.112 - u * 0.012) * unit)
        face.append((_ring(nose, size * 0.020, size * 0.024, lean), shade(look.skin, -0.06)))
        shown_face = Part(self._depth[:, INDEX["head"]], face)
        for sign in (1.0, -1.0):
            eye, _ = self._world(head + (f * 0.094 + u * 0.002 + left * sign * 0.034) * unit)
            facing = (away * 0.94 - sign * 0.34 * (left @ self.lens.axes[2])) > 0.02
            dot = _ring(eye, size * 0.0105, size * 0.0145, lean, 8)
            face.append((np.where(facing[:, None, None], dot, at[:, None]), hex_color("2a211f")))
        for sign in (1.0, -1.0):
            ear, ear_depth = self._world(head + (left * sign * 0.092 - f * 0.012 - u * 0.012) * unit)
            near = ear_depth < self._depth[:, INDEX["head"]] + 0.02
            face.append(
                (
                    np.where(near[:, None, None], _ring(ear, size * 0.02, size * 0.03, lean, 10), at[:, None]),
                    shade(look.skin, -0.14),
                )
            )
        back = ring(-0.022, 0.026, 0.104, 0.112)
        # hair seen from the front covers the top only; seen from behind it covers the whole head
        t = np.linspace(0, 2 * np.pi, 22, endpoint=False)
        profile = f @ self.lens.axes[0]
        cover = np.clip(0.05 - 0.75 * away, -0.42, 0.8)[:, None]  # how far down the hair reaches
        x, y = 0.106 * np.cos(t)[None, :], -0.122 * np.sin(t)[None, :]
        y = np.minimum(y, cover * 0.12 + 0 * y) + np.zeros_like(y)
        # in profile the forehead stays free: the front edge is pulled back and down the neck
        front = np.cos(t)[None, :] * np.sign(profile)[:, None]
        side = np.abs(profile)[:, None]
        low = np.clip(-front, 0, 1) * 0.085 * side
        y = np.where(y >= cover * 0.12 - 1e-9, y + low, y)
        x = x * (1 - 0.16 * side * (front > 0)) - 0.008 * np.sign(profile)[:, None] * side
        c, s = np.cos(lean)[:, None], np.sin(lean)[:, None]
        base = self._world(head + u * 0.006 * unit)[0]
        cap = base[:, None] + np.stack([c * x - s * y, s * x + c * y], -1) * size[:, None, None]
        layers += [(back, shade(skull_color, -0.25))] if look.hair_style != "bald" else []
        layers += shown_face.layers
        if look.hair_style != "bald":
            layers.append((cap, skull_color))
        if look.hair_style == "tail":
            knot = self._world(head + (-f * 0.11 + u * 0.03) * unit)[0]
            tip = self._world(head + (-f * 0.19 - u * 0.13) * unit)[0]
            tail, tint = capsule(knot, tip, size * 0.042, size * 0.016), shade(look.hair, -0.12)
            hidden = (away > 0.6)[:, None, None]  # behind the head of somebody who looks at the viewer
            layers = [(np.where(hidden, at[:, None], tail), tint), *layers]
            layers.append((np.where((away < -0.2)[:, None, None], tail, at[:, None]), tint))
        if look.hair_style == "cap":
            brim_a = self._world(head + (f * 0.07 + u * 0.052) * unit)[0]
            brim_b = self._world(head + (f * 0.175 + u * 0.040) * unit)[0]
            layers.append((capsule(brim_a, brim_b, size * 0.026, size * 0.014), shade(look.accent, -0.2)))
        return Part(self._depth[:, INDEX["head"]] - 0.03, layers)

    # drawing -------------------------------------------------------------------------------------------------------

    def draw(self, image: Image, frame: int, props: Sequence[Part] = ()) -> None:
        """Paint the athlete and `props` (held things) from far to near."""
        for part in sorted([*self.parts, *props], key=lambda p: -float(p.depth[frame])):
            draw_part(image, part, frame)

    def shadow(
        self, image: Image, frame: int, strength: float, *, floor: float = 0.0, color: Color = (38, 26, 22)
    ) -> None:
        """Darken the floor at height `floor` where the sun does not reach it."""
        joints = self.skeleton.joints[frame]
        sun = np.asarray(self.sun)
        drop = (joints[:, 1] - floor) / max(sun[1], 0.25)
        flat = joints - sun * drop[:, None]
        flat[:, 1] = floor
        points, _, scale = self.lens.project(flat)
        matrix = self.matrices[frame]
        points = points @ matrix[:, :2].T + matrix[:, 2]
        scale = scale * self._zoom[frame]
        h, w = image.shape[:2]
        x0, y0 = np.floor(points.min(0) - 24).astype(int)
        x1, y1 = np.ceil(points.max(0) + 24).astype(int)
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
        if x1 - x0 < 4 or y1 - y0 < 4:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        points = points - (x0, y0)
        bones = [("pelvis", "neck", 0.13), ("neck", "head", 0.09), ("head", "head", 0.11)]
        for s in "lr":
            bones += [
                (f"{s}_shoulder", f"{s}_elbow", 0.05),
                (f"{s}_elbow", f"{s}_hand", 0.04),
                (f"{s}_hip", f"{s}_knee", 0.085),
                (f"{s}_knee", f"{s}_ankle", 0.05),
                (f"{s}_ankle", f"{s}_toe", 0.045),
            ]
        for a, b, radius in bones:
            p, q = points[INDEX[a]], points[INDEX[b]]
            r = radius * self._unit * scale[INDEX[a]] * 0.9
            width = max(round(2 * float(r)), 1)
            cv2.line(
                mask, (int(p[0] * 16), int(p[1] * 16)), (int(q[0] * 16), int(q[1] * 16)), 255, width, cv2.LINE_AA, 4
            )
        mask = cv2.GaussianBlur(mask, (0, 0), 2.2)
        alpha = mask.astype(np.float32)[..., None] * (strength / 255)
        region = image[y0:y1, x0:x1]
        region[:] = region + (np.asarray(color, np.float32) - region) * alpha
