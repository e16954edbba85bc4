"""Articulated athletes: proportions, joint angles and the forward and inverse kinematics that place the joints.

World axes: X to the right of the picture, Y up, Z away from the viewer; metres. An athlete has its own axes
forward, up, left; a yaw of 0 degrees faces +X and positive yaw turns to the athlete's left (90 faces away from
the viewer, -90 faces the viewer). Everything is vectorised over T frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHANNELS", "JOINTS", "Body", "Skeleton", "reach", "rotation", "solve"]

Array = NDArray[Any]

JOINTS: Final = (
    "pelvis", "waist", "neck", "head",
    "l_shoulder", "l_elbow", "l_wrist", "l_hand",
    "r_shoulder", "r_elbow", "r_wrist", "r_hand",
    "l_hip", "l_knee", "l_ankle", "l_toe",
    "r_hip", "r_knee", "r_ankle", "r_toe",
)  # fmt: skip
INDEX: Final = {name: index for index, name in enumerate(JOINTS)}

CHANNELS: Final = (
    "x", "y", "z", "yaw", "pitch", "roll", "bend", "side", "twist", "nod", "turn",
    *(f"{s}_{c}" for s in "lr" for c in ("raise", "spread", "elbow", "in", "hip", "out", "knee", "ankle")),
)  # fmt: skip
"""Pose channels. x, y, z: pelvis offset in metres. All others in degrees: yaw, pitch (lean forward), roll (lean
left) of the pelvis; bend, side, twist of the chest on the pelvis; nod and turn of the head on the chest; per arm
raise (forward and up), spread (sideways), elbow flexion and in (forearm towards the midline); per leg hip flexion,
out (sideways), knee flexion and ankle (pointing the toes)."""


@dataclass(frozen=True)
class Body:
    """Proportions of one athlete, in metres; `build` scales thickness (0.85 slim, 1.15 sturdy)."""

    height: float = 1.78
    build: float = 1.0

    def __post_init__(self) -> None:
        if not (1.3 <= self.height <= 2.2 and 0.7 <= self.build <= 1.4):
            raise ValueError(f"expected height 1.3 to 2.2 m and build 0.7 to 1.4, got {self.height} and {self.build}")

    @property
    def spine(self) -> float:
        """Pelvis to base of the neck (proportions after Winter, Biomechanics and Motor Control, table 4.1)."""
        return 0.288 * self.height

    @property
    def upper_arm(self) -> float:
        """Shoulder to elbow."""
        return 0.172 * self.height

    @property
    def forearm(self) -> float:
        """Elbow to wrist."""
        return 0.150 * self.height

    @property
    def thigh(self) -> float:
        """Hip to knee."""
        return 0.245 * self.height

    @property
    def shin(self) -> float:
        """Knee to ankle."""
        return 0.236 * self.height

    @property
    def foot(self) -> float:
        """Ankle to toe."""
        return 0.115 * self.height

    @property
    def sole(self) -> float:
        """Ankle above the ground."""
        return 0.042 * self.height

    @property
    def hip_height(self) -> float:
        """Pelvis above the ground when standing straight."""
        return self.thigh + self.shin + self.sole + 0.012 * self.height


@dataclass(frozen=True)
class Skeleton:
    """Placed joints of one athlete over T frames.

    Attributes:
        joints: (T, 20, 3) metres, in the order of `JOINTS`.
        pelvis, chest, head: (T, 3, 3) rows forward, up, left in world axes.
    """

    joints: Array
    pelvis: Array
    chest: Array
    head: Array

    def __getitem__(self, name: str) -> Array:
        return self.joints[:, INDEX[name]]


def rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Return (T, 3, 3) rows forward, up, left of a frame turned by yaw, then pitch, then roll, in degrees."""
    y, p, r = np.deg2rad(yaw), np.deg2rad(pitch), np.deg2rad(roll)
    zero = np.zeros_like(y)
    forward = np.stack([np.cos(y), zero, np.sin(y)], -1)
    left = np.stack([-np.sin(y), zero, np.cos(y)], -1)
    up = np.stack([zero, zero + 1, zero], -1)
    cp, sp, cr, sr = np.cos(p)[:, None], np.sin(p)[:, None], np.cos(r)[:, None], np.sin(r)[:, None]
    forward, up = cp * forward - sp * up, cp * up + sp * forward
    up, left = cr * up + sr * left, cr * left - sr * up
    return np.stack([forward, up, left], 1)


def _turn(frame: Array, yaw: Array, pitch: Array, roll: Array) -> Array:
    """Turn a child frame on its parent `frame` (both (T, 3, 3) rows)."""
    return np.asarray(np.einsum("tij,tjk->tik", rotation(yaw, pitch, roll), frame))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9))


def reach(root: Array, target: Array, upper: float, lower: float, pole: Array) -> tuple[Array, Array]:
    """Solve a two-bone limb: return middle joint and end, both (T, 3).

    Args:
        root: (T, 3) shoulder or hip.
        target: (T, 3) wanted wrist or ankle; out of reach, the limb stretches towards it.
        upper, lower: bone lengths in metres.
        pole: (T, 3) direction the elbow or knee points to.
    """
    span = target - root
    distance = np.linalg.norm(span, axis=-1)
    length = np.clip(distance, abs(upper - lower) + 1e-3, (upper + lower) * 0.9995)
    axis = span / np.maximum(distance, 1e-9)[:, None]
    side = _unit(pole - np.sum(pole * axis, -1, keepdims=True) * axis)
    cosine = np.clip((upper**2 + length**2 - lower**2) / (2 * upper * length), -1, 1)
    middle = root + upper * (cosine[:, None] * axis + np.sqrt(1 - cosine**2)[:, None] * side)
    return middle, root + length[:, None] * axis


def solve(
    body: Body,
    pose: Mapping[str, Array],
    *,
    ground: Array | float | None = 0.0,
    grounded: Array | float = 1.0,
    hands: Mapping[str, tuple[Array, Array]] | None = None,
    feet: Mapping[str, tuple[Array, Array]] | None = None,
    toes: Mapping[str, Array] | None = None,
    flat: Array | float | None = None,
    elbow_pole: Mapping[str, Array] | None = None,
) -> Skeleton:
    """Place all joints.

    Args:
        body: proportions.
        pose: channel -> (T,) values (missing channels are 0); y is measured from the standing pelvis height.
        ground: height of the floor in metres (scalar or (T,)); None leaves the pelvis where y puts it.
        grounded: (T,) or scalar 0..1, how much the lowest foot is pulled onto the floor (0 in flight).
        hands: "l" / "r" -> (target (T, 3), weight (T,)): where a wrist is held, over the arm angles.
        feet: the same for ankles.
        toes: "l" / "r" -> (T, 3) direction of a planted foot (else it follows the leg).
        flat: (T,) or scalar 0..1, how much a foot near the floor lies on it; `grounded` where None.
        elbow_pole: "l" / "r" -> (T, 3) world direction of the elbow where `hands` is used.
    """
    frames = len(next(iter(pose.values())))
    zero = np.zeros(frames)

    def get(name: str) -> Array:
        return np.asarray(pose.get(name, zero), dtype=float) + zero

    def degrees(name: str) -> tuple[Array, Array]:
        angle = np.deg2rad(get(name))[:, None]
        return np.cos(angle), np.sin(angle)

    pelvis_frame = rotation(get("yaw"), get("pitch"), get("roll"))
    half = _turn(pelvis_frame, get("twist") * 0.5, get("bend") * 0.5, get("side") * 0.5)
    chest = _turn(pelvis_frame, get("twist"), get("bend"), get("side"))
    head_frame = _turn(chest, get("turn"), get("nod"), zero)
    joints = np.zeros((frames, len(JOINTS), 3))
    pelvis = np.stack([get("x"), get("y") + body.hip_height, get("z")], -1)

    def put(name: str, value: Array) -> None:
        joints[:, INDEX[name]] = value

    put("pelvis", pelvis)
    waist = pelvis + 0.42 * body.spine * (0.6 * pelvis_frame[:, 1] + 0.4 * half[:, 1])
    neck = waist + 0.58 * body.spine * (0.35 * half[:, 1] + 0.65 * chest[:, 1])
    put("waist", waist)
    put("neck", neck)
    put("head", neck + body.height * (0.045 * chest[:, 1] + 0.062 * head_frame[:, 1] + 0.008 * head_frame[:, 0]))

    for side, sign in (("l", 1.0), ("r", -1.0)):
        f, u, out = chest[:, 0], chest[:, 1], sign * chest[:, 2]
        lift = np.clip(get(f"{side}_raise") / 180, 0, 1)[:, None]  # the shoulder rises with the arm
        shoulder = neck + out * 0.104 * body.height - u * body.height * (0.028 - 0.022 * lift)
        ca, sa = degrees(f"{side}_raise")
        cb, sb = degrees(f"{side}_spread")
        ce, se = degrees(f"{side}_elbow")
        ci, si = degrees(f"{side}_in")
        swing = -ca * u + sa * f
        direction = cb * swing + sb * out
        bend = ci * (sa * u + ca * f) - si * out
        bend = _unit(bend - np.sum(bend * direction, -1, keepdims=True) * direction)
        elbow = shoulder + body.upper_arm * direction
        lower = ce * direction + se * bend
        put(f"{side}_shoulder", shoulder)
        put(f"{side}_elbow", elbow)
        put(f"{side}_wrist", elbow + body.forearm * lower)

        f, u, out = pelvis_frame[:, 0], pelvis_frame[:, 1], sign * pelvis_frame[:, 2]
        hip = pelvis + out * 0.052 * body.height - u * 0.012 * body.height
        ch, sh = degrees(f"{side}_hip")
        co, so = degrees(f"{side}_out")
        ck, sk = degrees(f"{side}_knee")
        cn, sn = degrees(f"{side}_ankle")
        swing = -ch * u + sh * f
        thigh = co * swing + so * out
        front = _unit(sh * u + ch * f)
        shin = ck * thigh - sk * front
        toe_front = ck * front + sk * thigh
        knee = hip + body.thigh * thigh
        ankle = knee + body.shin * shin
        put(f"{side}_hip", hip)
        put(f"{side}_knee", knee)
        put(f"{side}_ankle", ankle)
        put(f"{side}_toe", ankle + body.foot * (cn * toe_front + sn * shin) + shin * body.sole * 0.8 * cn)

    if ground is not None:
        floor = np.asarray(ground, dtype=float) + zero
        lowest = np.minimum.reduce(
            [joints[:, INDEX["l_ankle"], 1] - body.sole, joints[:, INDEX["r_ankle"], 1] - body.sole,
             joints[:, INDEX["l_toe"], 1] - 0.012, joints[:, INDEX["r_toe"], 1] - 0.012]
        )  # fmt: skip
        joints[:, :, 1] -= ((lowest - floor) * np.asarray(grounded, dtype=float))[:, None]

    for side, sign in (("l", 1.0), ("r", -1.0)):
        if feet and side in feet:
            target, weight = feet[side]
            hip, ankle = joints[:, INDEX[f"{side}_hip"]], joints[:, INDEX[f"{side}_ankle"]]
            toe_offset = joints[:, INDEX[f"{side}_toe"]] - ankle
            goal = ankle + (target - ankle) * weight[:, None]
            pole = pelvis_frame[:, 0] + 0.15 * sign * pelvis_frame[:, 2]
            knee, end = reach(hip, goal, body.thigh, body.shin, pole)
            joints[:, INDEX[f"{side}_knee"]], joints[:, INDEX[f"{side}_ankle"]] = knee, end
            if toes and side in toes:
                toe_offset = _unit(toes[side]) * body.foot
            joints[:, INDEX[f"{side}_toe"]] = end + toe_offset
        if hands and side in hands:
            target, weight = hands[side]
            shoulder, wrist = joints[:, INDEX[f"{side}_shoulder"]], joints[:, INDEX[f"{side}_wrist"]]
            goal = wrist + (target - wrist) * weight[:, None]
            pole = -chest[:, 1] + 0.6 * sign * chest[:, 2] - 0.3 * chest[:, 0]
            if elbow_pole and side in elbow_pole:
                pole = elbow_pole[side]
            # the angles keep the elbow while nothing is held
            free = joints[:, INDEX[f"{side}_elbow"]] - (shoulder + wrist) / 2
            pole = pole * weight[:, None] + free * 4 * (1 - weight[:, None])
            elbow, end = reach(shoulder, goal, body.upper_arm, body.forearm, pole)
            joints[:, INDEX[f"{side}_elbow"]], joints[:, INDEX[f"{side}_wrist"]] = elbow, end
        elbow, wrist = joints[:, INDEX[f"{side}_elbow"]], joints[:, INDEX[f"{side}_wrist"]]
        put(f"{side}_hand", wrist + 0.045 * body.height * _unit(wrist - elbow))

    if ground is not None:  # a foot that touches the floor lies on it
        floor = np.asarray(ground, dtype=float) + zero
        lie = np.asarray(grounded if flat is None else flat, dtype=float) + zero
        for side in "lr":
            ankle, toe = joints[:, INDEX[f"{side}_ankle"]], joints[:, INDEX[f"{side}_toe"]].copy()
            low = lie * np.clip(1 - (ankle[:, 1] - floor - body.sole) / 0.14, 0, 1)
            flat = toe - ankle
            flat[:, 1] = -body.sole + 0.02 - (ankle[:, 1] - floor - body.sole)
            flat = _unit(flat) * body.foot
            blend = low[:, None]
            toe = ankle + (toe - ankle) * (1 - blend) + flat * blend
            toe[:, 1] = np.where(lie > 0.5, np.maximum(toe[:, 1], floor + 0.015), toe[:, 1])
            joints[:, INDEX[f"{side}_toe"]] = toe
    return Skeleton(joints, pelvis_frame, chest, head_frame)
