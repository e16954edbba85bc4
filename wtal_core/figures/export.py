"""Figures as files: deterministic SVG with editable text, PDF with TrueType fonts, PNG; the same bytes every time."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from wtal_core.errors import UsageError, unknown_name
from wtal_core.figures import theme
from wtal_core.figures.content import FigureData, load
from wtal_core.figures.qualitative import draw
from wtal_core.figures.spec import FigureSpec
from wtal_core.files import atomic_path

__all__ = ["FORMATS", "figure_bytes", "latex", "render", "save", "simulated_png"]

FORMATS = ("pdf", "svg", "png")

#: Nothing in the files depends on when they were made.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": "wtal"},
    "svg": {"Date": None, "Creator": "wtal"},
    "png": {"Software": "wtal"},
}
#: Characters that mean something to LaTeX.
_TEX = {c: f"\\{c}" for c in "{}&%$#_"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_CELL_DPI = 600  # of barcodes and heat maps inside vector files


def figure_bytes(figure: Figure, format: str, dpi: int = 300) -> bytes:
    """Return a figure as a file's content; call it inside `theme.figure_style`.

    Args:
        figure: a Figure that was made without pyplot.
        format: one of `FORMATS`.
        dpi: resolution of PNG.
    """
    if format not in FORMATS:
        raise unknown_name("figure format", format, FORMATS)
    if format == "png":
        for image in figure.findobj(AxesImage):
            if image.get_gid() == "frame":
                image.set_interpolation("antialiased")
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format=format, dpi=dpi if format == "png" else _CELL_DPI, metadata=_METADATA[format], transparent=False
    )
    return buffer.getvalue()


def render(
    spec: FigureSpec, data: FigureData, formats: Iterable[str] = FORMATS, dpi: int | None = None
) -> dict[str, bytes]:
    """Return `{format: file content}` of a figure; the same spec and data give the same bytes.

    Args:
        spec: what to show.
        data: what `qualitative.load` read for it.
        formats: some of `FORMATS`.
        dpi: resolution of PNG instead of the spec's.

    Raises:
        UsageError, DataError: see `qualitative.draw`.
    """
    made = {}
    for format in formats:
        with theme.figure_style(spec.font, spec.font_size):
            figure = draw(spec, data)
            FigureCanvasAgg(figure)
            made[format] = figure_bytes(figure, format, spec.dpi if dpi is None else dpi)
    return made


def save(spec: FigureSpec, paths: Iterable[str | os.PathLike[str]], data: FigureData | None = None) -> list[Path]:
    """Write a figure to files; the suffix chooses the format.

    Raises:
        UsageError: a suffix is none of `FORMATS`.
        DataError: something cannot be read or written.
    """
    targets = [Path(path) for path in paths]
    for target in targets:
        if target.suffix.lower().removeprefix(".") not in FORMATS:
            raise UsageError(
                "is not a figure file",
                expected=" or ".join(f".{f}" for f in FORMATS),
                got=repr(target.suffix),
                where=target,
                next_step="Give the file one of these endings",
            )
    data = load(spec) if data is None else data
    made = render(spec, data, dict.fromkeys(t.suffix.lower().removeprefix(".") for t in targets))
    for target in targets:
        with atomic_path(target) as temporary:
            temporary.write_bytes(made[target.suffix.lower().removeprefix(".")])
    return targets


def simulated_png(png: bytes, kind: str) -> bytes:
    """Return a PNG as a greyscale printer or a colour-blind reader shows or sees it (`theme.SIMULATIONS`)."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB"))
        dpi = image.info.get("dpi", (300, 300))
    buffer = io.BytesIO()
    Image.fromarray(theme.simulate(pixels, kind)).save(buffer, "png", dpi=dpi)
    return buffer.getvalue()


def latex(spec: FigureSpec, file: str, caption: str, label: str) -> str:
    """Return the LaTeX that sets a figure at its true size."""
    starred = "*" if spec.inches > 4.0 else ""
    escaped = "".join(_TEX.get(character, character) for character in caption)
    return (
        f"\\begin{{figure{starred}}}[t]\n  \\centering\n  \\includegraphics[width={spec.inches:g}in]{{{file}}}\n"
        f"  \\caption{{{escaped}}}\n  \\label{{fig:{label}}}\n\\end{{figure{starred}}}\n"
    )
