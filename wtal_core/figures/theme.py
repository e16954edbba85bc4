"""How figures look in print: the palette of `looks` for matplotlib, fonts, settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.colors import Colormap, LinearSegmentedColormap, is_color_like, to_hex, to_rgb

from wtal_core.errors import UsageError, unknown_name
from wtal_core.figures.looks import DASHES, LOOKS

__all__ = [
    "COLORMAPS",
    "FONTS",
    "PALETTES",
    "SIMULATIONS",
    "Look",
    "colormap",
    "figure_style",
    "font_family",
    "looks",
    "similar_in_greyscale",
    "simulate",
]

Dash = Literal["-"] | tuple[float, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Look:
    """How one meaning is drawn by matplotlib.

    Args:
        colour: hex colour.
        dash: line style of curves and outlines.
        hatch: hatch of bars; "" for none.
        fill: whether bars are filled with the colour; else they are white with an outline.
    """

    colour: str
    dash: Dash = "-"
    hatch: str = ""
    fill: bool = True


PALETTES = ("colour", "greyscale")

#: Colour maps of barcodes and heat maps: "tint" goes from white to the meaning's own colour; all grow monotonically in
#: lightness, so that they survive greyscale printing.
COLORMAPS = ("tint", "cividis", "viridis", "gray_r", "magma_r")


def looks(palette: str = "colour", colours: Mapping[str, str] | None = None) -> dict[str, Look]:
    """Return `{meaning: look}` of a palette with some colours replaced.

    Raises:
        UsageError: there is no such palette or meaning, or a colour is not a colour.
    """
    if palette not in PALETTES:
        raise unknown_name("palette", palette, PALETTES)
    grey = palette == "greyscale"
    chosen = {}
    for name, look in LOOKS.items():
        dash: Dash = (0.0, DASHES[look.dash]) if DASHES[look.dash] else "-"
        chosen[name] = Look(look.grey if grey else look.light, dash, look.hatch, look.fill)
    for name, colour in (colours or {}).items():
        if name not in LOOKS:
            raise unknown_name("meaning", name, LOOKS, where="colours")
        if not isinstance(colour, str) or not is_color_like(colour):
            raise UsageError(
                "is not a colour",
                expected="e.g. '#0072B2'",
                got=repr(colour),
                where=f"colours.{name}",
                next_step="Write '#' and six hexadecimal digits",
            )
        chosen[name] = replace(chosen[name], colour=to_hex(colour))
    return chosen


def colormap(name: str, colour: str) -> Colormap:
    """Return one of `COLORMAPS`; "tint" from white over `colour` to a darker shade of it."""
    if name not in COLORMAPS:
        raise unknown_name("colour map", name, COLORMAPS)
    if name != "tint":
        return matplotlib.colormaps[name]
    red, green, blue = to_rgb(colour)
    dark = to_hex((0.45 * red, 0.45 * green, 0.45 * blue))
    return LinearSegmentedColormap.from_list("tint", [(0.0, "#FFFFFF"), (0.65, colour), (1.0, dark)])


def pale(colour: str, strength: float = 0.18) -> str:
    """Return an opaque light tint of a colour (PDF viewers and printers differ on transparency)."""
    red, green, blue = (1.0 - strength * (1.0 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))


# -- fonts --------------------------------------------------------------------------------------------------------

#: Short names -> families, first installed one wins. STIXGeneral (a Times) and DejaVu Sans come with matplotlib.
FONTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sans": ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"),
        "serif": ("Times New Roman", "Times", "Liberation Serif", "STIXGeneral"),
    }
)


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    """Return `{family: file}` of the installed TrueType fonts (others cannot be embedded as TrueType)."""
    return {f.name: f.fname for f in font_manager.fontManager.ttflist if Path(f.fname).suffix.lower() == ".ttf"}


def font_family(name: str) -> str:
    """Return the installed family that a font name means: "sans", "serif", or a family.

    Raises:
        UsageError: it is not installed as TrueType; the nearest ones are named.
    """
    installed = _installed()
    for family in FONTS.get(name, (name,)):
        if family in installed:
            return family
    raise unknown_name("font", name, [*FONTS, *sorted(installed)], where="font")


# -- matplotlib ---------------------------------------------------------------------------------------------------

_LOCK = threading.RLock()  # rcParams are global to the process; script threads of the app draw at the same time


@contextmanager
def figure_style(font: str = "sans", font_size: float = 8.0) -> Iterator[None]:
    """Draw and save figures inside with this project's settings, whatever the user's matplotlibrc says.

    One thread at a time: matplotlib's settings belong to the whole process.

    Args:
        font: see `font_family`.
        font_size: points.
    """
    family = font_family(font)
    settings: dict[str, Any] = {
        "font.family": [family, "DejaVu Sans"],  # the second one has the glyphs that text fonts lack
        "font.size": font_size,
        "text.parse_math": False,
        "text.usetex": False,
        "text.hinting": "none",  # letters of a preview are as wide as those of the PDF
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "wtal",
        "axes.linewidth": 0.5,
        "hatch.linewidth": 0.6,
        "lines.linewidth": 1.0,
        "lines.scale_dashes": True,
        "xtick.major.width": 0.5,
        "xtick.major.size": 2.5,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, settings))
        yield


# -- checks -------------------------------------------------------------------------------------------------------

#: Linear-light RGB matrices of Machado, Oliveira and Fernandes (2009), severity 1; greyscale is Rec. 709 luminance.
_MATRICES: Mapping[str, npt.NDArray[np.float64]] = MappingProxyType(
    {
        "greyscale": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
        "protanopia": np.array(
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
        ),
        "deuteranopia": np.array(
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
        ),
        "tritanopia": np.array(
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
        ),
    }
)

SIMULATIONS = tuple(_MATRICES)


def _to_linear(srgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def simulate(image: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[np.uint8]:
    """Return an sRGB image `(H, W, 3)` as a greyscale printer or a colour-blind reader shows or sees it.

    Raises:
        UsageError: `kind` is none of `SIMULATIONS`.
    """
    if kind not in _MATRICES:
        raise unknown_name("simulation", kind, SIMULATIONS)
    levels = _to_linear(np.arange(256) / 255.0)  # a table: images have few levels and many pixels
    linear = np.clip(levels[image] @ _MATRICES[kind].T, 0.0, 1.0)  # (H, W, 3)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * encoded).astype(np.uint8)


def _lightness(colour: str) -> float:
    """Return CIE L* in [0, 100]."""
    luminance = float(_to_linear(np.array(to_rgb(colour))) @ _MATRICES["greyscale"][0])
    return 116.0 * luminance ** (1 / 3) - 16.0 if luminance > 216 / 24389 else luminance * 24389 / 27


def similar_in_greyscale(colours: Mapping[str, str], least: float = 12.0) -> list[tuple[str, str, float]]:
    """Return the pairs of names whose colours are closer than `least` in lightness (CIE L*), closest first."""
    names = list(colours)
    pairs = [
        (a, b, abs(_lightness(colours[a]) - _lightness(colours[b]))) for i, a in enumerate(names) for b in names[:i]
    ]
    return sorted(((b, a, gap) for a, b, gap in pairs if gap < least), key=lambda pair: pair[2])
