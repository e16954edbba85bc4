"""Decide what happens in a video: a seeded editor that cuts takes of scenes into one programme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from wtal_core.demo.scenes import BACKGROUNDS, CLASSES, SPORTS, Scene, Take, scene
from wtal_core.demo.story import LIGHT_NAMES, Beat, Camera, Shot, VideoScript
from wtal_core.errors import UsageError, unknown_name

__all__ = ["NUM_VIDEOS", "write_script", "write_scripts"]

NUM_VIDEOS: Final = {"train": 36, "test": 18}
_SUBSETS: Final = {"train": 1, "test": 2}
_SECONDS: Final = (40.0, 112.0)
_SMALL_SECONDS: Final = (8.0, 11.0)
_SMALL_PICTURE: Final = {"width": 240, "height": 180}
_CAPTIONS: Final = {
    "Billiards": ("FRAME 3  |  42 : 37", "Commentary|'He has to leave the blue'", "TABLE 2|Semi-final"),
    "Diving": ("PLATFORM|Round 4 of 6", "Scores|8.5  9.0  8.0"),
    "GolfSwing": ("HOLE 7|Par 4, 382 m", "LEADERBOARD|Lind  -6"),
    "HighJump": ("HIGH JUMP|2.12 m, second attempt", "Next|2.15 m"),
    "JavelinThrow": ("JAVELIN|Leader 84.20 m", "Throw 3 of 6"),
    "SoccerPenalty": ("PENALTIES|3 : 2", "Commentary|'All on this one'"),
}
_CARDS: Final = (
    "SPORTS NIGHT|All the action",
    "HIGHLIGHTS|Day two",
    "COMING UP|Stay with us",
    "ARENA|The weekend's best",
    "REVIEW|Slow motion and more",
)
_NAMES: Final = ("M. LIND|Coach", "A. OKAFOR|Former champion", "J. PEREIRA|Team captain", "S. WEBER|Analyst")


class _Editor:
    """Draws shots for one video; all choices come from one generator."""

    def __init__(self, rng: np.random.Generator, fps: float) -> None:
        self.rng, self.fps = rng, fps
        self.lighting = str(rng.choice(LIGHT_NAMES, p=(0.46, 0.22, 0.18, 0.14)))
        self.shake = float(rng.choice([0.0, 0.05, 0.15, 0.45], p=(0.25, 0.4, 0.25, 0.1)))
        self.pace = float(rng.uniform(0.9, 1.15))
        self._setups: dict[str, tuple[int, tuple[int, ...], bool, float]] = {}

    def _setup(self, where: Scene) -> tuple[int, tuple[int, ...], bool, float]:
        """Return venue, athletes, side and usual camera angle of a scene in this video."""
        if where.label not in self._setups:
            cast = tuple(int(c) for c in self.rng.integers(0, 2**31, 2))
            angle = float(self.rng.choice(where.azimuths))
            self._setups[where.label] = int(self.rng.integers(0, 2**31)), cast, bool(self.rng.random() < 0.4), angle
        return self._setups[where.label]

    def take(self, where: Scene, takes: Sequence[Take], *, brief: bool = False) -> Shot:
        """Draw one take of a scene."""
        rng = self.rng
        if brief:  # short videos prefer the shortest takes
            fewest = min(len(t.kinds) for t in takes)
            takes = [t for t in takes if len(t.kinds) <= max(fewest, 2)]
        weights = np.array([t.weight for t in takes])
        kinds = [where.kind(name) for name in takes[int(rng.choice(len(takes), p=weights / weights.sum()))].kinds]
        venue, cast, mirror, angle = self._setup(where)
        still = all(kind.still for kind in kinds) and rng.random() < 0.62
        beats = tuple(kind.beat(rng, self.fps, pace=self.pace if kind.track != "background" else 1.0) for kind in kinds)
        moves = ("follow", "follow", "drift", "push", "pull", "hold")
        wide = all(kind.track == "context" and kind.name.startswith("empty") for kind in kinds)
        move = "hold" if still else str(rng.choice(("drift", "pan", "push", "hold") if wide else moves))
        if any(kind.track in ("action", "fake") for kind in kinds) or where.label in ("Walk",):
            move = str(rng.choice(("follow", "follow", "follow", "push", "pull")))
        if where.label in ("Crowd", "Landscape") and not still:
            move = str(rng.choice(("pan", "pan", "drift")))
        other = rng.random() < 0.25
        azimuth = float(rng.choice(where.azimuths)) if other else angle
        camera = Camera(
            azimuth=azimuth,
            zoom=float(np.round(rng.uniform(0.97, 1.09), 3)),
            move=move,
            shake=0.0 if still else float(np.round(self.shake * rng.uniform(0.6, 1.4), 3)),
        )
        caption = ""
        chance = 0.7 if where.label == "Billiards" and wide else 0.2
        if where.label in _CAPTIONS and all(kind.track == "context" for kind in kinds) and rng.random() < chance:
            caption = str(rng.choice(_CAPTIONS[where.label]))
        elif where.label == "TitleCard":
            caption = str(rng.choice(_CARDS))
        elif where.label == "Interview":
            caption = str(rng.choice(_NAMES))
        person = cast[int(rng.random() < 0.3)]
        return Shot(
            where.label,
            beats,
            seed=int(rng.integers(0, 2**31)),
            cast=person,
            venue=venue,
            lighting="day" if where.indoor else self.lighting,
            camera=camera,
            mirror=mirror,
            still=still,
            caption=caption,
        )

    def replay(self, shot: Shot) -> Shot:
        """Return the action of a shot again, in slow motion from another angle."""
        rng = self.rng
        slow = float(rng.choice([0.4, 0.5]))
        where = scene(shot.scene)
        beat = next(b for b in shot.beats if b.track == "action")
        parts = tuple((name, max(round(frames / slow), 2)) for name, frames in beat.parts)
        angles = [a for a in where.azimuths if a != shot.camera.azimuth] or list(where.azimuths)
        camera = Camera(
            azimuth=float(rng.choice(angles)), zoom=float(np.round(rng.uniform(1.1, 1.3), 3)), move="follow", shake=0.0
        )
        return Shot(
            shot.scene,
            (Beat("action", beat.name, parts),),
            seed=shot.seed,
            cast=shot.cast,
            venue=shot.venue,
            lighting=shot.lighting,
            camera=camera,
            mirror=shot.mirror,
            slow=slow,
            replay=True,
        )


def write_script(
    seed: int,
    subset: str,
    index: int,
    *,
    classes: Sequence[str] = CLASSES,
    small: bool = False,
    duration: tuple[float, float] | None = None,
    fps: float = 25.0,
) -> VideoScript:
    """Write the script of one video; the same arguments always give the same script.

    Args:
        seed: seed of the whole world.
        subset: "train" or "test".
        index: number of the video in its subset; the main class goes round the `classes`.
        classes: which sports may appear.
        small: short videos of small pictures (10 to 20 s of 240 x 180, not 40 to 120 s of 340 x 256), for quick builds
            and tests.
        duration: least and greatest length in seconds aimed at, over `small`; the last take may run over.
        fps: frames per second.

    Raises:
        UsageError: unknown subset or class.
    """
    if subset not in _SUBSETS:
        raise unknown_name("subset", subset, _SUBSETS)
    for name in classes:
        if name not in SPORTS:
            raise unknown_name("class", name, CLASSES)
    if not classes or index < 0 or seed < 0:
        raise UsageError(
            "cannot write this script",
            expected="at least one class, index and seed from 0",
            got=f"{list(classes)}, {index}, {seed}",
            next_step="Name a class of the world and numbers from 0",
        )
    rng = np.random.default_rng([seed, _SUBSETS[subset], index])
    low, high = duration or (_SMALL_SECONDS if small else _SECONDS)
    target = float(low + (high - low) * rng.beta(1.3, 2.0))  # most videos are short, some are long
    main = classes[index % len(classes)]
    sports = [main]
    if len(classes) > 1 and rng.random() < (0.1 if small else 0.28):
        sports.append(str(rng.choice([c for c in classes if c != main])))
    editor = _Editor(rng, fps)
    shots: list[Shot] = []
    if rng.random() < (0.35 if small else 0.75):
        shots.append(_interlude(editor, rng, opening=True))
    # what remains to be shown: every sport at least once (twice in long videos), a fake and a context for the main one
    must = [(s, "action") for s in sports] + ([] if small else [(main, "action"), (main, "fake"), (main, "context")])
    must = [must[k] for k in rng.permutation(len(must))]
    last = ""
    while must or sum(s.frames for s in shots) / fps < target:
        remaining = target - sum(s.frames for s in shots) / fps
        if must and (remaining < 7.0 * len(must) or rng.random() < 0.5):
            sport, what = must.pop()
        else:
            sport = sports[0] if len(sports) == 1 or rng.random() < 0.6 else sports[1]
            what = str(rng.choice(("action", "fake", "context", "background"), p=(0.32, 0.20, 0.31, 0.17)))
            if what == last == "background":
                what = "context"
        last = what
        if what == "background":
            shots.append(_interlude(editor, rng, opening=False))
            continue
        where = SPORTS[sport]
        takes = {"action": where.action_takes, "fake": where.fake_takes, "context": where.context_takes}[what]
        shot = editor.take(where, takes, brief=small)
        shots.append(shot)
        if what == "action" and rng.random() < (0.12 if small else 0.2):
            shots.append(editor.replay(shot))
    return VideoScript(
        name=f"demo_{subset}_{index:03d}",
        subset=subset,
        seed=int(rng.integers(0, 2**31)),
        shots=tuple(shots),
        fps=fps,
        crf=int(rng.integers(28, 33)),
        grain=float(np.round(rng.uniform(0.5, 1.9), 2)),
        exposure=float(np.round(rng.uniform(0.93, 1.07), 3)),
        **(_SMALL_PICTURE if small else {}),
    )


def write_scripts(seed: int, *, small: bool = False, classes: Sequence[str] = CLASSES) -> tuple[VideoScript, ...]:
    """Write all scripts of a world: 36 training and 18 test videos (12 and 6 short ones where `small`)."""
    return tuple(
        write_script(seed, subset, index, classes=classes, small=small)
        for subset, count in NUM_VIDEOS.items()
        for index in range(count // 3 if small else count)
    )


def _interlude(editor: _Editor, rng: np.random.Generator, *, opening: bool) -> Shot:
    names = tuple(BACKGROUNDS)
    weight = (
        {"TitleCard": 3.0, "Landscape": 1.6, "Crowd": 1.0, "Interview": 0.3, "Walk": 0.4}
        if opening
        else {"TitleCard": 0.8, "Landscape": 0.6, "Crowd": 1.6, "Interview": 1.0, "Walk": 1.2}
    )
    p = np.array([weight[n] for n in names])
    where = BACKGROUNDS[str(rng.choice(names, p=p / p.sum()))]
    return editor.take(where, where.context_takes)
