"""Keyframes and skeletons move as animation needs it."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.demo.motion import Timeline, locomotion, monotone_cubic, swap_sides
from wtal_core.demo.skeleton import JOINTS, Body, reach, rotation, solve


def test_monotone_cubic_meets_keys_and_never_overshoots() -> None:
    times, values = np.array([0.0, 1.0, 2.0, 2.5, 4.0]), np.array([0.0, 5.0, 5.0, -2.0, 1.0])
    at = np.linspace(-1, 5, 601)
    curve = monotone_cubic(times, values, at)
    np.testing.assert_allclose(monotone_cubic(times, values, times), values, atol=1e-12)
    assert curve.min() >= -2 - 1e-9
    assert curve.max() <= 5 + 1e-9
    held = curve[(at >= 1) & (at <= 2)]
    np.testing.assert_allclose(held, 5.0)


def test_timeline_keeps_defaults_and_replaces_keys() -> None:
    track = Timeline({"grip": 1.0}).key(0, bend=0).key(1, bend=10).key(1, bend=20)
    assert track.last("bend") == 20
    assert track.channel("grip", np.array([0.0, 3.0])).tolist() == [1.0, 1.0]
    assert track.channel("bend", np.array([1.0]))[0] == 20


def test_bones_keep_their_length_while_running() -> None:
    body = Body(height=1.8)
    t = np.arange(60) / 25
    skeleton = solve(body, locomotion(t, 5.0 * t))
    for a, b, length in (
        ("l_hip", "l_knee", body.thigh),
        ("r_knee", "r_ankle", body.shin),
        ("l_shoulder", "l_elbow", body.upper_arm),
    ):
        np.testing.assert_allclose(np.linalg.norm(skeleton[a] - skeleton[b], axis=1), length, rtol=1e-9)
    assert skeleton.joints.shape == (60, len(JOINTS), 3)


def test_grounded_athlete_stands_on_the_floor() -> None:
    t = np.arange(50) / 25
    skeleton = solve(Body(), locomotion(t, 1.4 * t), ground=0.5)
    lowest = np.minimum(skeleton["l_ankle"][:, 1], skeleton["r_ankle"][:, 1])
    assert lowest.min() >= 0.5 - 1e-6
    assert lowest.max() < 0.5 + 0.2


def test_reach_finds_the_target_or_stretches() -> None:
    root, pole = np.zeros((2, 3)), np.tile([0.0, 0.0, 1.0], (2, 1))
    target = np.array([[0.3, 0.1, 0.0], [9.0, 0.0, 0.0]])
    middle, end = reach(root, target, 0.3, 0.25, pole)
    np.testing.assert_allclose(end[0], target[0], atol=1e-9)
    assert np.linalg.norm(end[1]) == pytest.approx(0.55, rel=1e-3)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), 0.3, rtol=1e-9)


def test_rotation_frames_are_orthonormal() -> None:
    angles = np.array([0.0, 33.0, -90.0])
    frames = rotation(angles, angles / 2, -angles)
    np.testing.assert_allclose(frames @ frames.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)


def test_mirrored_twice_is_the_same() -> None:
    pose = {"l_hip": np.array([1.0]), "r_hip": np.array([2.0]), "yaw": np.array([3.0]), "bend": np.array([4.0])}
    assert swap_sides(pose)["l_hip"][0] == 2.0
    assert swap_sides(pose)["yaw"][0] == -3.0
    assert swap_sides(swap_sides(pose)) == pose


def test_impossible_body_is_refused() -> None:
    with pytest.raises(ValueError, match="height"):
        Body(height=3.0)
