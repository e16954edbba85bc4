"""One meaning, one colour, one dash, one hatch: on light and dark screens, in print, in greyscale.

Everything that is drawn takes its look from here: the timeline, the cards of failures, charts and figures for papers.
The palette is safe for colour-blind readers, and every meaning has a second cue besides its colour: ground truth and
true positives are solid, false positives hatched with a dashed outline, misses hollow; sequences differ by dash.

The colours of gt, tp, fp, fn, context and background are at least 17 apart (CIE76) for readers with protanopia,
deuteranopia and tritanopia (Machado et al. 2009, severity 1), light and dark; context is darkened to 3:1 on white.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["BRANCHES", "DASHES", "LOOKS", "Look", "branch", "colours", "in_order", "look_of", "pixels"]

Mode = Literal["light", "dark"]

#: Name of a dash -> lengths of strokes and gaps in widths of the line; () is solid.
DASHES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "solid": (),
        "dashed": (4.0, 1.6),
        "dotted": (1.0, 1.3),
        "dashdot": (5.0, 1.3, 1.0, 1.3),
        "dashdotdot": (6.0, 1.2, 1.0, 1.2, 1.0, 1.2),
        "short": (2.0, 1.0),
    }
)
_LINE_PIXELS = 1.5  # width of a curve on the screen


@dataclass(frozen=True, slots=True)
class Look:
    """How one meaning is drawn.

    Args:
        light, dark: colour on a light ground, also in print, and on a dark one.
        grey: colour of the palette "greyscale".
        dash: of curves and outlines, a name in `DASHES`.
        hatch: of bars, in matplotlib's letters; "" for none.
        fill: whether bars are filled with the colour; else they are hollow.
    """

    light: str
    dark: str
    grey: str
    dash: str = "solid"
    hatch: str = ""
    fill: bool = True

    def __post_init__(self) -> None:
        if self.dash not in DASHES:
            raise ValueError(f"no such dash: {self.dash}")


_BLUE = ("#0072B2", "#3D9BDC")
_VERMILION = ("#D55E00", "#F0803C")
_GREEN = ("#009E73", "#00B888")
_AMBER = ("#B87A00", "#E69F00")
_GREY = ("#444444", "#BBBBBB")
_PLUM = ("#9C4F8A", "#E29BC6")
_VIOLET = ("#7A5195", "#B58FD0")

LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        # what is there
        "gt": Look(*_GREEN, "#000000"),
        "ambiguous": Look("#8A8F98", "#7C8593", "#8A8A8A", hatch="||||||", fill=False),
        "fake": Look(*_PLUM, "#7A7A7A", "dashed", hatch="....", fill=False),
        "context": Look(*_AMBER, "#6E6E6E", "dotted"),
        "background": Look(*_GREY, "#9A9A9A", "dashed"),
        "phase": Look("#8196A8", "#5E768A", "#5A5A5A"),
        "static": Look("#C3C9D1", "#4A525E", "#C0C0C0"),
        "track": Look(*_AMBER, "#6E6E6E", "dotted", r"\\\\", fill=False),
        # what was detected, and what became of it
        "detection": Look(*_BLUE, "#5A5A5A"),
        "tp": Look(*_BLUE, "#5A5A5A"),
        "fp": Look(*_VERMILION, "#5A5A5A", "dashed", "//////", fill=False),
        "fn": Look("#CC79A7", "#F0E442", "#5A5A5A", fill=False),
        "incomplete": Look("#56B4E9", "#8CCBF0", "#707070"),
        "split": Look("#56B4E9", "#8CCBF0", "#707070", hatch="/"),
        "over-complete": Look("#004A75", "#2A6FA3", "#3A3A3A"),
        "merged": Look("#8FB8DE", "#B9D7EF", "#A0A0A0", hatch="\\"),
        "double": Look(*_VIOLET, "#5A5A5A", hatch="x"),
        "wrong class": Look("#CC79A7", "#E29AC4", "#8A8A8A"),
        "other video": Look("#8A8F98", "#98A1AD", "#B0B0B0", hatch="."),
        # class activation sequences
        "instance": Look(*_BLUE, "#000000"),
        "unattended": Look("#8A8F98", "#98A1AD", "#B0B0B0", "dashdot"),
        "similarity": Look(*_VIOLET, "#3A3A3A"),
        "rgb": Look(*_BLUE, "#000000"),
        "flow": Look(*_VERMILION, "#7A7A7A", "dashed"),
        # attention
        "attention": Look(*_BLUE, "#000000"),
        "foreground": Look(*_BLUE, "#000000"),
        "temporal": Look(*_BLUE, "#000000"),
        "semi_soft": Look(*_AMBER, "#6E6E6E", "dashed"),
        "hard": Look(*_VERMILION, "#9A9A9A", "dashdot"),
        "dropped": Look("#B0568C", "#E29BC6", "#5A5A5A", hatch="xxxxxx", fill=False),
        # boundaries
        "regressed": Look(*_BLUE, "#7A7A7A"),
        "raw": Look(*_GREY, "#000000", "dotted"),
        # branches, and whatever comes in an order without a meaning
        "branch0": Look(*_BLUE, "#000000"),
        "branch1": Look(*_VERMILION, "#5A5A5A", "dashed"),
        "branch2": Look(*_GREEN, "#8A8A8A", "dashdot"),
        "branch3": Look(*_PLUM, "#3A3A3A", "dotted"),
        "branch4": Look(*_AMBER, "#707070", "dashdotdot"),
        "branch5": Look(*_GREY, "#A0A0A0", "short"),
        # the rest
        "ghost": Look("#9AA1AB", "#6B7280", "#B0B0B0", "short"),
        "mark": Look(*_VERMILION, "#000000", "dashed"),
        "threshold": Look(*_VERMILION, "#5A5A5A", "dashed"),
        "ink": Look("#1D2430", "#E4E7EC", "#000000"),
        "frame": Look("#9AA1AB", "#4A525E", "#9A9A9A"),
        "paper": Look("#FFFFFF", "#14171C", "#FFFFFF"),
    }
)

#: Meanings of branches, in order; more branches start again.
BRANCHES = ("branch0", "branch1", "branch2", "branch3", "branch4", "branch5")


def branch(index: int) -> str:
    """Return the meaning of branch `index`, counted from 0."""
    return BRANCHES[index % len(BRANCHES)]


def in_order(names: list[str]) -> list[str]:
    """Return the meaning of each named sequence of one row: its own, or one in order that no other has."""
    free = iter(name for name in BRANCHES * (1 + len(names)) if LOOKS[name] not in {LOOKS.get(n) for n in names})
    return [name if name in LOOKS else next(free, branch(0)) for name in names]


def look_of(meaning: str) -> Look:
    """Return the look of a meaning, that of the first branch where there is no such meaning."""
    return LOOKS.get(meaning, LOOKS["branch0"])


def colours(mode: Mode) -> dict[str, str]:
    """Return `{meaning: colour}` on a light or a dark ground."""
    return {name: look.dark if mode == "dark" else look.light for name, look in LOOKS.items()}


def pixels(meaning: str) -> tuple[float, ...]:
    """Return the dash of a meaning in pixels of the screen; () is solid."""
    return tuple(round(_LINE_PIXELS * part, 1) for part in DASHES[look_of(meaning).dash])
