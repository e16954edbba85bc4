"""Pictures are deterministic and show what the truth says; files hold every frame."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

from wtal_core.demo.render import render_frames, render_shot, render_video  # noqa: E402
from wtal_core.demo.scenes import BACKGROUNDS, CLASSES, SPORTS, Kind, Scene  # noqa: E402
from wtal_core.demo.sheet import SHEETS, write_sheet  # noqa: E402
from wtal_core.demo.story import Beat, Camera, Shot, VideoScript  # noqa: E402
from wtal_core.errors import UsageError  # noqa: E402

SIZE = (112, 84)


def beat(where: Scene, name: str, seed: int = 0) -> Beat:
    return where.kind(name).beat(np.random.default_rng(seed), 25.0)


def shots(where: Scene, kind: Kind, **options: object) -> Shot:
    takes = (*where.action_takes, *where.fake_takes, *where.context_takes)
    take = min((t for t in takes if kind.name in t.kinds), key=lambda t: len(t.kinds))
    settings: dict[str, object] = {"seed": 5, "cast": 6, "venue": 7, "camera": Camera(shake=0.1), **options}
    return Shot(where.label, tuple(beat(where, name) for name in take.kinds), **settings)  # type: ignore[arg-type]


def tiny(seed: int = 1) -> VideoScript:
    golf, card = SPORTS["GolfSwing"], BACKGROUNDS["TitleCard"]
    title = Shot(
        "TitleCard",
        (Beat("background", "title_card", (("", 6),)),),
        seed=3,
        still=True,
        camera=Camera(move="hold", shake=0),
    )
    empty = Shot("GolfSwing", (Beat("context", "empty_tee", (("", 5),)),), seed=4)
    swing = Shot("GolfSwing", (Beat("action", "swing", tuple((p, 6) for p in golf.phases())),), seed=4, mirror=True)
    assert card.kinds
    return VideoScript("tiny", "train", seed, (title, empty, swing), width=112, height=84)


def test_same_script_same_pictures() -> None:
    first, second = list(render_frames(tiny())), list(render_frames(tiny()))
    assert len(first) == tiny().frames == 29
    assert first[0].shape == (84, 112, 3)
    assert first[0].dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = next(iter(render_frames(tiny(2))))
    assert not np.array_equal(first[0], other)  # another seed, another grain


def test_file_holds_every_frame(tmp_path: Path) -> None:
    script, seen = tiny(), []
    render_video(script, tmp_path / "tiny.mp4", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (script.frames, script.frames)
    with av.open(str(tmp_path / "tiny.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 25
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    assert len(frames) == script.frames
    assert frames[0].shape == (84, 112, 3)
    clean = list(render_frames(script))
    assert max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(frames, clean, strict=True)) < 12
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.mp4"]
    head = (tmp_path / "tiny.mp4").read_bytes()[:4096]
    assert b"moov" in head  # the index is at the front


def test_broken_render_leaves_no_file(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_video(tiny(), tmp_path / "x.mp4", on_progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*CLASSES, "Landscape", "TitleCard"])
def test_still_shots_do_not_move(name: str) -> None:
    where = SPORTS.get(name) or BACKGROUNDS[name]
    kind = next(k for k in where.kinds if k.still)
    shot = Shot(
        where.label,
        (Beat(kind.track, kind.name, (("", 40),)),),
        seed=5,
        still=True,
        camera=Camera(move="drift", shake=1.0),
    )
    clip = where.build(shot, SIZE, 25.0)
    assert np.array_equal(clip.frame(0), clip.frame(39))


@pytest.mark.parametrize("name", CLASSES)
def test_actions_and_fakes_move(name: str) -> None:
    where = SPORTS[name]
    for kind in where.kinds:
        if kind.track not in ("action", "fake"):
            continue
        shot = shots(where, kind, camera=Camera(move="hold", shake=0.0))
        clip = where.build(shot, SIZE, 25.0)
        span = next((a, b) for b_, a, b in shot.spans() if b_.name == kind.name)
        some = [clip.frame(i).astype(int) for i in np.linspace(span[0], span[1] - 1, 4).astype(int)]
        assert all(np.abs(a - b).max() > 60 for a, b in pairwise(some)), kind.name


@pytest.mark.parametrize("name", CLASSES)
def test_other_seeds_look_different(name: str) -> None:
    where = SPORTS[name]
    kind = next(k for k in where.kinds if k.track == "action")
    base = where.build(shots(where, kind), SIZE, 25.0).frame(3)
    for change in ({"cast": 99}, {"mirror": True}, {"camera": Camera(zoom=1.3)}):
        assert not np.array_equal(base, where.build(shots(where, kind, **change), SIZE, 25.0).frame(3)), change


def test_replay_performs_the_same_action_slower() -> None:
    where = SPORTS["JavelinThrow"]
    part = tuple((p, 10) for p in where.phases())
    slow = tuple((p, 20) for p in where.phases())
    still = Camera(move="hold", shake=0)
    a = where.build(Shot("JavelinThrow", (Beat("action", "throw", part),), seed=5, camera=still), SIZE, 25.0)
    b = where.build(Shot("JavelinThrow", (Beat("action", "throw", slow),), seed=5, camera=still, slow=0.5), SIZE, 25.0)
    difference = np.abs(a.frame(20).astype(int) - b.frame(40)).mean()
    assert difference < 6
    assert difference < np.abs(a.frame(20).astype(int) - a.frame(30)).mean()


def test_shot_pictures_have_the_asked_size() -> None:
    shot = Shot("Walk", (Beat("background", "walk", (("", 3),)),), seed=1)
    assert [p.shape for p in render_shot(shot, (160, 120), 25.0)] == [(120, 160, 3)] * 3


def test_sheet_is_written(tmp_path: Path) -> None:
    assert set(CLASSES) < set(SHEETS)
    write_sheet("Billiards", tmp_path / "sheet.png")
    image = cv2.imread(str(tmp_path / "sheet.png"))
    assert image.shape[1] > 1800
    assert image.shape[0] > 1200
    with pytest.raises(UsageError, match="Billiards"):
        write_sheet("Billiard", tmp_path / "other.png")
