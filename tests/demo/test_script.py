"""Scripts are deterministic, and their truth is exact and consistent."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from wtal_core.demo.scenes import BACKGROUNDS, CLASSES, SPORTS, scene
from wtal_core.demo.script import NUM_VIDEOS, write_script, write_scripts
from wtal_core.demo.story import Beat, Camera, Shot, VideoScript
from wtal_core.errors import UsageError


@pytest.fixture(scope="module")
def world() -> tuple[VideoScript, ...]:
    return write_scripts(3)


def test_same_arguments_same_script(world: tuple[VideoScript, ...]) -> None:
    assert write_scripts(3) == world
    assert write_script(3, "train", 0) == world[0]
    assert write_script(4, "train", 0) != world[0]
    assert write_script(3, "test", 0).shots != world[0].shots


def test_size_of_the_world(world: tuple[VideoScript, ...]) -> None:
    assert sum(s.subset == "train" for s in world) == NUM_VIDEOS["train"] == 36
    assert sum(s.subset == "test" for s in world) == NUM_VIDEOS["test"] == 18
    assert len({s.name for s in world}) == 54
    assert all(40 <= s.duration <= 125 for s in world)
    assert all(len(s.truth().actions) >= 2 for s in world)
    for subset in NUM_VIDEOS:
        for name in CLASSES:
            assert sum(name in s.classes for s in world if s.subset == subset) >= 3
    assert any(len(s.classes) == 2 for s in world)
    assert any(s.truth().replays for s in world)
    assert any(s.truth().static for s in world)


def test_small_videos_are_short() -> None:
    small = write_scripts(3, small=True)
    assert len(small) == 18
    assert all(7 <= s.duration <= 30 for s in small)
    assert all(s.classes for s in small)
    assert all(write_script(1, "train", k, duration=(10, 12)).duration >= 10 for k in range(3))


def test_truth_is_inside_the_video_and_ordered(world: tuple[VideoScript, ...]) -> None:
    for script in world:
        for name, spans in script.truth().as_dict().items():
            assert [s[1] for s in spans] == sorted(s[1] for s in spans), (script.name, name)
            assert all(0 <= start <= end <= script.duration for _, start, end in spans)
            assert all(start < end for _, start, end in spans) or name == "cuts"
            assert all(a[2] <= b[1] for a, b in pairwise(spans)), (script.name, name)


def test_four_tracks_partition_the_video(world: tuple[VideoScript, ...]) -> None:
    for script in world:
        truth = script.truth()
        spans = sorted(
            (a, b) for track in (truth.actions, truth.fakes, truth.context, truth.background) for _, a, b in track
        )
        assert spans[0][0] == 0
        assert spans[-1][1] == script.duration
        assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_fakes_never_overlap_actions(world: tuple[VideoScript, ...]) -> None:
    for script in world:
        truth = script.truth()
        for _, a, b in truth.fakes:
            assert all(b <= start or end <= a for _, start, end in truth.actions)


def test_phases_partition_their_action(world: tuple[VideoScript, ...]) -> None:
    for script in world:
        truth = script.truth()
        for label, start, end in truth.actions:
            inside = [p for p in truth.phases if start <= p[1] and p[2] <= end]
            assert [p[0] for p in inside] == [f"{label}/{phase}" for phase in SPORTS[label].phases()]
            assert (inside[0][1], inside[-1][2]) == (start, end)
            assert all(a[2] == b[1] for a, b in pairwise(inside))


def test_action_lengths_are_realistic(world: tuple[VideoScript, ...]) -> None:
    for script in world:
        truth = script.truth()
        for span in truth.actions:
            length = span[2] - span[1]
            assert (3 <= length <= 16) if span in truth.replays else (1.5 <= length <= 6), span


def test_replays_show_an_earlier_action(world: tuple[VideoScript, ...]) -> None:
    replayed = [(script, k) for script in world for k, shot in enumerate(script.shots) if shot.replay]
    assert replayed
    for script, k in replayed:
        shot, before = script.shots[k], script.shots[k - 1]
        assert (shot.scene, shot.seed, shot.cast) == (before.scene, before.seed, before.cast)
        assert shot.slow < 1
        assert set(script.truth().replays) <= set(script.truth().actions)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_phases_contexts_and_fakes(name: str) -> None:
    where = SPORTS[name]
    assert 2 <= len(where.phases()) <= 4
    assert sum(kind.track == "fake" for kind in where.kinds) >= 1
    assert sum(kind.track == "context" for kind in where.kinds) >= 1
    assert any(kind.still for kind in where.kinds if kind.track == "context")
    for takes in (where.action_takes, where.fake_takes, where.context_takes):
        assert takes
        assert all(where.kind(kind).name == kind for take in takes for kind in take.kinds)
    assert all(any(where.kind(k).track == "action" for k in take.kinds) for take in where.action_takes)
    assert not any(
        where.kind(k).track == "action" for take in (*where.fake_takes, *where.context_takes) for k in take.kinds
    )


def test_script_survives_json(world: tuple[VideoScript, ...]) -> None:
    assert VideoScript.from_dict(json.loads(json.dumps(world[5].to_dict()))) == world[5]


def test_classes_can_be_chosen() -> None:
    script = write_script(0, "train", 1, classes=("Diving", "HighJump"), small=True)
    assert set(script.classes) <= {"Diving", "HighJump"}
    assert "HighJump" in script.classes


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: write_script(0, "valid", 0), "subset"),
        (lambda: write_script(0, "train", 0, classes=("GolfSwin",)), "GolfSwing"),
        (lambda: write_script(0, "train", -1), "index"),
        (lambda: scene("Golf"), "scene"),
        (lambda: Camera(move="fly"), "move"),
        (lambda: Camera(zoom=9), "zoom"),
        (lambda: Beat("action", "swing", (("a", 0),)), "frame"),
        (lambda: Beat("acts", "swing", (("a", 3),)), "track"),
        (lambda: Shot("GolfSwing", (Beat("action", "swing", (("a", 3),)),), seed=1, still=True), "still"),
        (lambda: VideoScript("v", "train", 0, (), crf=20), "shot"),
        (lambda: VideoScript("v", "train", 0, write_script(0, "train", 0, small=True).shots, width=333), "even"),
    ],
)
def test_mistakes_are_named(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()  # type: ignore[operator]


def test_scene_names_are_unique() -> None:
    assert len({*SPORTS, *BACKGROUNDS}) == len(SPORTS) + len(BACKGROUNDS) == 11
