"""What happens in a video, and therefore its truth: videos are cut into shots, shots into beats.

Times are kept in whole frames of the finished video, so the truth is exact; seconds are frames divided by the
frame rate. Every frame belongs to exactly one beat, and every beat to exactly one of four tracks: action, fake,
context, background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Final

from wtal_core.errors import DataError, UsageError

__all__ = ["LIGHT_NAMES", "MOVES", "TRACKS", "Beat", "Camera", "Shot", "Truth", "VideoScript"]

TRACKS: Final = ("action", "fake", "context", "background")
MOVES: Final = ("hold", "drift", "push", "pull", "follow", "pan")
LIGHT_NAMES: Final = ("day", "golden", "overcast", "evening")
Span = tuple[str, float, float]


@dataclass(frozen=True)
class Beat:
    """A labelled stretch of one shot.

    Attributes:
        track: "action", "fake", "context" or "background".
        name: what happens, e.g. "swing", "practice_swing", "empty_tee".
        parts: (phase name, frames) in order; one part unless the beat has phases.
    """

    track: str
    name: str
    parts: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if self.track not in TRACKS:
            raise UsageError(
                f"unknown track {self.track!r}", expected=f"one of {', '.join(TRACKS)}", next_step="Choose one of these"
            )
        if not self.parts or any(frames < 1 for _, frames in self.parts):
            raise UsageError(
                "a beat needs at least one part of at least one frame",
                where=self.name,
                got=str(self.parts),
                next_step='Give it a part, e.g. ("swing", 30)',
            )

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum(frames for _, frames in self.parts)


@dataclass(frozen=True)
class Camera:
    """How one shot is filmed.

    Attributes:
        azimuth: degrees the camera stands to the right (+) or left (-) of the scene's usual place.
        zoom: magnification relative to the scene's usual framing.
        move: "hold", "drift", "push", "pull", "follow" or "pan".
        shake: 0 (tripod) to 1 (running cameraman).
    """

    azimuth: float = 0.0
    zoom: float = 1.0
    move: str = "follow"
    shake: float = 0.05

    def __post_init__(self) -> None:
        if self.move not in MOVES:
            raise UsageError(
                f"unknown camera move {self.move!r}",
                expected=f"one of {', '.join(MOVES)}",
                next_step="Choose one of these",
            )
        if not (0.5 <= self.zoom <= 2.5 and abs(self.azimuth) <= 60 and 0 <= self.shake <= 2):
            raise UsageError(
                "camera out of range",
                expected="zoom 0.5 to 2.5, azimuth within 60, shake 0 to 2",
                got=str(self),
                next_step="Choose values within these ranges",
            )


@dataclass(frozen=True)
class Shot:
    """One uninterrupted take.

    Attributes:
        scene: name of a scene (a class, or a background scene).
        beats: what happens, in order.
        seed: variation of the performance; the same seed performs the same way (replays rely on it).
        cast, venue: seeds of the athlete and of the place.
        lighting: one of `LIGHT_NAMES`.
        camera: how it is filmed.
        mirror: left and right exchanged (left-handed athletes, the other side of the ground).
        slow: world seconds per playback second (0.4 is a slow-motion replay).
        still: nothing moves, neither scene nor camera.
        caption: words burnt into the picture: "" for none; scenes choose the form (lower third, title card).
        replay: the shot shows an action of an earlier shot again.
    """

    scene: str
    beats: tuple[Beat, ...]
    seed: int
    cast: int = 0
    venue: int = 0
    lighting: str = "day"
    camera: Camera = field(default_factory=Camera)
    mirror: bool = False
    slow: float = 1.0
    still: bool = False
    caption: str = ""
    replay: bool = False

    def __post_init__(self) -> None:
        if not self.beats:
            raise UsageError("a shot needs at least one beat", where=self.scene, next_step="Give it a beat")
        if self.lighting not in LIGHT_NAMES:
            raise UsageError(
                f"unknown light {self.lighting!r}",
                expected=f"one of {', '.join(LIGHT_NAMES)}",
                next_step="Choose one of these",
            )
        if not 0.1 <= self.slow <= 2:
            raise UsageError(
                "slow out of range",
                expected="0.1 to 2",
                got=str(self.slow),
                next_step="Choose a value within the range",
            )
        if self.still and any(beat.track in ("action", "fake") for beat in self.beats):
            raise UsageError(
                "a still shot cannot contain an action or a fake",
                where=self.scene,
                next_step="Let the shot move, or take the beat out",
            )

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum(beat.frames for beat in self.beats)

    def spans(self) -> Iterator[tuple[Beat, int, int]]:
        """Yield each beat with its first frame and the frame after its last, counted from the shot's start."""
        start = 0
        for beat in self.beats:
            yield beat, start, start + beat.frames
            start += beat.frames


@dataclass(frozen=True)
class Truth:
    """Everything that is known about a video, as (label, start, end) in seconds, ordered by start.

    Attributes:
        actions: instances, labelled with the class ("GolfSwing"). Slow-motion replays of an action count as
            instances, as they do in THUMOS14's annotations; `replays` tells them apart.
        phases: parts of the instances ("GolfSwing/backswing"); they partition each instance.
        context: co-occurring scenes without action ("GolfSwing/empty_tee").
        fakes: what looks like the action and is not ("GolfSwing/practice_swing").
        background: everything else ("crowd"); actions, fakes, context and background partition the video.
        static: stretches in which neither scene nor camera moves ("static").
        replays: the instances that are slow-motion replays, labelled with the class.
        cuts: first moments of every shot but the first, as zero-length spans ("cut").
    """

    actions: tuple[Span, ...]
    phases: tuple[Span, ...]
    context: tuple[Span, ...]
    fakes: tuple[Span, ...]
    background: tuple[Span, ...]
    static: tuple[Span, ...]
    replays: tuple[Span, ...]
    cuts: tuple[Span, ...]

    def as_dict(self) -> dict[str, list[Span]]:
        """Return the tracks as plain lists."""
        return {f.name: list(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True)
class VideoScript:
    """A whole video: its shots and how they are recorded.

    Attributes:
        name: file stem and video id.
        subset: "train" or "test".
        seed: drives grain and everything else that is not a shot's own.
        shots: in order.
        width, height: picture in pixels, even.
        fps: frames per second.
        crf: H.264 constant rate factor (higher: smaller and coarser).
        grain: standard deviation of the film grain, grey levels.
        exposure: brightness factor of the recording.
    """

    name: str
    subset: str
    seed: int
    shots: tuple[Shot, ...]
    width: int = 340
    height: int = 256
    fps: float = 25.0
    crf: int = 26
    grain: float = 1.5
    exposure: float = 1.0

    def __post_init__(self) -> None:
        if not self.shots:
            raise UsageError("a video needs at least one shot", where=self.name, next_step="Give it a shot")
        if self.subset not in ("train", "test"):
            raise UsageError(
                f"unknown subset {self.subset!r}",
                expected="train or test",
                where=self.name,
                next_step="Choose one of these",
            )
        if self.width % 2 or self.height % 2 or not (64 <= self.width <= 1920 and 64 <= self.height <= 1080):
            raise UsageError(
                "picture size",
                expected="even, 64 to 1920 by 64 to 1080",
                got=f"{self.width}x{self.height}",
                next_step="Choose an even size within the range",
            )
        if not (1 <= self.fps <= 120 and 0 <= self.crf <= 51 and 0 <= self.grain <= 20 and 0.5 <= self.exposure <= 1.5):
            raise UsageError(
                "recording settings out of range",
                got=f"fps {self.fps}, crf {self.crf}, grain {self.grain}",
                where=self.name,
                next_step="Choose fps > 0, crf 0 to 51 and grain >= 0",
            )

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum(shot.frames for shot in self.shots)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.fps

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the video-level labels: classes of which an action happens, sorted."""
        return tuple(sorted({span[0] for span in self.truth().actions}))

    def starts(self) -> tuple[int, ...]:
        """Return the first frame of every shot."""
        total, result = 0, []
        for shot in self.shots:
            result.append(total)
            total += shot.frames
        return tuple(result)

    def truth(self) -> Truth:
        """Return all ground-truth tracks."""
        tracks: dict[str, list[tuple[str, int, int]]] = {f.name: [] for f in fields(Truth)}
        home = {"action": "actions", "fake": "fakes", "context": "context", "background": "background"}
        for shot, first in zip(self.shots, self.starts(), strict=True):
            if first:
                tracks["cuts"].append(("cut", first, first))
            if shot.still:
                tracks["static"].append(("static", first, first + shot.frames))
            for beat, start, end in shot.spans():
                start, end = start + first, end + first
                label = {"action": shot.scene, "background": beat.name}.get(beat.track, f"{shot.scene}/{beat.name}")
                tracks[home[beat.track]].append((label, start, end))
                if beat.track == "action":
                    if shot.replay:
                        tracks["replays"].append((label, start, end))
                    for phase, frames in beat.parts:
                        tracks["phases"].append((f"{shot.scene}/{phase}", start, start + frames))
                        start += frames
        for name in ("context", "background", "static"):
            tracks[name] = _merge(tracks[name])
        return Truth(
            **{n: tuple((label, a / self.fps, b / self.fps) for label, a, b in spans) for n, spans in tracks.items()}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the script as plain data (JSON-ready)."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoScript:
        """Rebuild a script from `to_dict`; raises `DataError` where it does not fit."""
        try:
            shots = tuple(
                Shot(
                    **{
                        **shot,
                        "camera": Camera(**shot["camera"]),
                        "beats": tuple(
                            Beat(b["track"], b["name"], tuple((str(p), int(n)) for p, n in b["parts"]))
                            for b in shot["beats"]
                        ),
                    }
                )
                for shot in data["shots"]
            )
            return cls(**{**data, "shots": shots})
        except (TypeError, KeyError) as error:
            raise DataError(
                f"not a video script: {error}",
                expected="what VideoScript.to_dict returns",
                next_step="Write the script again with to_dict()",
            ) from error


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _merge(spans: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Join neighbours of the same label that touch."""
    result: list[tuple[str, int, int]] = []
    for span in spans:
        if result and result[-1][0] == span[0] and result[-1][2] == span[1]:
            result[-1] = (span[0], result[-1][1], span[2])
        else:
            result.append(span)
    assert all(a[2] <= b[1] for a, b in pairwise(result))
    return result
