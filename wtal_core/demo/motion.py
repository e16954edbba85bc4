"""Keyframes, smooth interpolation and locomotion.

Keys hold what a choreographer thinks of (a pose at a moment); between them every channel follows a monotone cubic
(Fritsch and Carlson 1980): it eases in and out, never overshoots a key, and keeps holds still.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timeline", "blend", "locomotion", "monotone_cubic", "smoothstep", "swap_sides"]

Array = NDArray[Any]


def smoothstep(edge0: float, edge1: float, x: Array) -> Array:
    """Rise from 0 at `edge0` to 1 at `edge1` along the minimum-jerk polynomial."""
    t = np.clip((np.asarray(x, dtype=float) - edge0) / max(edge1 - edge0, 1e-9), 0, 1)
    return np.asarray(t * t * t * (t * (6 * t - 15) + 10))


def monotone_cubic(times: Array, values: Array, at: Array) -> Array:
    """Interpolate `values` (K,) given at increasing `times` (K,) at the moments `at`; constant outside."""
    times, values, at = (np.asarray(a, dtype=float) for a in (times, values, at))
    if len(times) == 1:
        return np.full(at.shape, values[0])
    step = np.diff(times)
    slope = np.diff(values) / step
    tangent = np.zeros_like(values)
    before, after = slope[:-1], slope[1:]
    same = before * after > 0
    w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = (w1 + w2) / (w1 / before + w2 / after)
    tangent[1:-1] = np.where(same, harmonic, 0.0)
    at = np.clip(at, times[0], times[-1])
    i = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(step) - 1)
    h = step[i]
    t = (at - times[i]) / h
    return np.asarray(
        (1 + 2 * t) * (1 - t) ** 2 * values[i]
        + t * (1 - t) ** 2 * h * tangent[i]
        + t * t * (3 - 2 * t) * values[i + 1]
        + t * t * (t - 1) * h * tangent[i + 1]
    )


class Timeline:
    """A dope sheet: sparse keys per channel, each key at a moment in seconds."""

    def __init__(self, defaults: Mapping[str, float] | None = None) -> None:
        self._keys: dict[str, dict[float, float]] = {}
        self._defaults = dict(defaults or {})

    def key(self, time: float, pose: Mapping[str, float] | None = None, /, **channels: float) -> Timeline:
        """Set channels at `time` seconds; a later key at the same moment replaces the earlier one."""
        for name, value in {**(pose or {}), **channels}.items():
            self._keys.setdefault(name, {})[round(float(time), 6)] = float(value)
        return self

    def last(self, name: str, default: float = 0.0) -> float:
        """Return the latest keyed value of a channel."""
        keys = self._keys.get(name)
        return keys[max(keys)] if keys else self._defaults.get(name, default)

    def channel(self, name: str, at: Array, default: float = 0.0) -> Array:
        """Return one channel at the moments `at` (T,)."""
        keys = self._keys.get(name)
        if not keys:
            return np.full(len(at), self._defaults.get(name, default))
        times = np.array(sorted(keys))
        return monotone_cubic(times, np.array([keys[t] for t in times.tolist()]), at)

    def pose(self, at: Array) -> dict[str, Array]:
        """Return every channel that has keys or a default at the moments `at` (T,)."""
        return {name: self.channel(name, at) for name in sorted({*self._keys, *self._defaults})}


# One stride per leg, phase 0 at foot strike: (phase, hip flexion, knee flexion, ankle) in degrees. Curves follow the
# shape of published gait data (Novacheck, The biomechanics of running, 1998), rounded for clear silhouettes.
_WALK = np.array(
    [(0, 26, 4, -4), (0.12, 20, 16, 4), (0.3, 2, 6, -6), (0.5, -17, 8, -4), (0.62, -10, 42, 18), (0.75, 15, 58, 4),
     (0.88, 29, 26, -4), (1, 26, 4, -4)]
)  # fmt: skip
_RUN = np.array(
    [(0, 34, 14, -4), (0.14, 16, 38, -12), (0.27, -8, 26, -2), (0.37, -25, 14, 24), (0.5, -14, 76, 22),
     (0.64, 22, 112, 10), (0.79, 58, 88, 0), (0.91, 52, 34, -6), (1, 34, 14, -4)]
)  # fmt: skip


def _cycle(table: Array, phase: Array) -> tuple[Array, Array, Array]:
    phase = phase % 1
    shift = np.array([1.0, 0.0, 0.0, 0.0])
    wide = np.concatenate([table[:-1] - shift, table[:-1], table + shift])
    return tuple(monotone_cubic(wide[:, 0], wide[:, c], phase) for c in (1, 2, 3))  # type: ignore[return-value]


def locomotion(
    seconds: Array, x: Array, z: Array | None = None, *, phase: float = 0.0, backwards: bool = False
) -> dict[str, Array]:
    """Make legs, arms and trunk walk or run along a path, from its speed alone.

    Args:
        seconds: (T,) moments, evenly spaced.
        x, z: (T,) path of the pelvis in metres.
        phase: where the stride cycle starts, in cycles.
        backwards: play the cycle in reverse (stepping back).

    Returns:
        Pose channels (T,), including `x`, `z` and a `yaw` along the path where it moves.
    """
    z = np.zeros_like(x) if z is None else z
    dt = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 0.04
    vx, vz = np.gradient(x, dt) if len(x) > 1 else x * 0, np.gradient(z, dt) if len(z) > 1 else z * 0
    speed = np.hypot(vx, vz)
    run = smoothstep(2.0, 3.6, speed)
    stride = 1.35 + 0.28 * np.clip(speed - 1.2, 0, None)
    go = smoothstep(0.0, 1.0, speed)
    rate = speed / stride
    cycles = phase + np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * dt)])
    if backwards:
        cycles = phase - (cycles - phase)
    pose: dict[str, Array] = {"x": x, "z": z}
    push = np.clip(speed / 7.5, 0, 1)
    for side, shift in (("l", 0.0), ("r", 0.5)):
        walk, fast = _cycle(_WALK, cycles + shift), _cycle(_RUN, cycles + shift)
        hip, knee, ankle = (w * (1 - run) + f * run for w, f in zip(walk, fast, strict=True))
        reachout = 0.8 + 0.25 * push
        pose[f"{side}_hip"] = go * hip * np.where(run > 0.5, reachout, 1.0) + 2
        pose[f"{side}_knee"] = go * knee + 4
        pose[f"{side}_ankle"] = go * ankle
        swing = np.cos(2 * np.pi * (cycles + shift + 0.5 - 0.04))
        pose[f"{side}_raise"] = go * (swing * (22 + 26 * run) + 4 - 2 * run)
        pose[f"{side}_elbow"] = 12 + go * (10 + 4 * swing) + run * (66 + 14 * swing)
        pose[f"{side}_spread"] = 7 + 4 * run
        pose[f"{side}_in"] = 18 * run
        pose[f"{side}_out"] = 2 + 0 * x
    hop = np.abs(np.sin(2 * np.pi * (cycles - 0.18)))
    pose["y"] = run * 0.07 * push * hop
    pose["pitch"] = run * (5 + 3 * push)
    pose["bend"] = go * 2 + run * 3
    pose["nod"] = -run * 6
    twist = np.sin(2 * np.pi * (cycles + 0.25))
    pose["twist"] = -go * twist * (5 + 5 * run)
    return pose


def blend(
    under: Mapping[str, Array], over: Mapping[str, Array], weight: Array, *, skip: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Return `under` moved towards `over` by `weight` (T,) channel by channel; `skip` stays as in `under`."""
    result = dict(under)
    for name, values in over.items():
        if name not in skip:
            base = under.get(name, np.zeros_like(weight))
            result[name] = base + (values - base) * weight
    return result


def swap_sides(pose: Mapping[str, Array]) -> dict[str, Array]:
    """Return a pose with left and right exchanged."""
    swap = {"l_": "r_", "r_": "l_"}
    return {
        swap.get(name[:2], name[:2]) + name[2:]: -values
        if name in ("yaw", "roll", "side", "twist", "turn", "z")
        else values
        for name, values in pose.items()
    }
