"""The scenes of the demo world: six sports and what lies between them."""

from __future__ import annotations

from typing import Final

from wtal_core.demo.scenes.background import Crowd, Interview, Landscape, TitleCard, Walk
from wtal_core.demo.scenes.base import Clip, Kind, Scene, Take
from wtal_core.demo.scenes.billiards import Billiards
from wtal_core.demo.scenes.diving import Diving
from wtal_core.demo.scenes.golf import GolfSwing
from wtal_core.demo.scenes.high_jump import HighJump
from wtal_core.demo.scenes.javelin import JavelinThrow
from wtal_core.demo.scenes.penalty import SoccerPenalty
from wtal_core.errors import unknown_name

__all__ = ["BACKGROUNDS", "CLASSES", "SPORTS", "Clip", "Kind", "Scene", "Take", "scene"]

SPORTS: Final[dict[str, Scene]] = {
    s.label: s for s in (Billiards(), Diving(), GolfSwing(), HighJump(), JavelinThrow(), SoccerPenalty())
}
BACKGROUNDS: Final[dict[str, Scene]] = {s.label: s for s in (Crowd(), Interview(), Landscape(), TitleCard(), Walk())}
CLASSES: Final = tuple(SPORTS)
"""The action classes, named as in THUMOS14."""


def scene(name: str) -> Scene:
    """Return the scene of that name, a sport or a background; raise `UsageError` for others."""
    found = SPORTS.get(name) or BACKGROUNDS.get(name)
    if found is None:
        raise unknown_name("scene", name, [*SPORTS, *BACKGROUNDS])
    return found
