"""Plain functions that draw one thing on a time axis; axes are in seconds, rows in [0, 1].

Snippet `i` owns a cell of time: barcodes and heat maps are drawn on the cells' edges, curves at their centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from wtal_core.arrays import FloatArray
from wtal_core.figures.theme import Look, pale
from wtal_core.snippet_grid import SnippetGrid

__all__ = [
    "TimeTicks",
    "assign_lanes",
    "draw_barcode",
    "draw_curve",
    "draw_frames",
    "draw_heatmap",
    "draw_missing_frames",
    "draw_segments",
    "draw_spans",
    "draw_tint",
    "format_time",
    "text_width",
    "time_ticks",
    "visible",
]

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400)


# -- text -----------------------------------------------------------------------------------------------------------


def text_width(text: str, family: str, size: float) -> float:
    """Return the width of one line of text in inches."""
    if not text:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(family=family, size=size), False)
    return float(width) / 72.0


def format_time(seconds: float, *, clock: bool, decimals: int = 0) -> str:
    """Return a time as "75" or, with `clock`, as "1:15" ("1:01:15" from one hour on)."""
    if not clock:
        return f"{seconds:.{decimals}f}"
    ticks = round(seconds * 10**decimals)
    whole, part = divmod(ticks, 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    tail = f".{part:0{decimals}d}" if decimals else ""
    return f"{hours}:{minute:02d}:{second:02d}{tail}" if hours else f"{minute}:{second:02d}{tail}"


@dataclass(frozen=True, slots=True)
class TimeTicks:
    """Ticks of a time axis.

    Args:
        positions: seconds.
        labels: their texts.
        unit: "s" or "min:s".
    """

    positions: tuple[float, ...]
    labels: tuple[str, ...]
    unit: str


def time_ticks(t0: float, t1: float, width: float, family: str, size: float, form: str = "auto") -> TimeTicks:
    """Choose round ticks whose labels keep clear of each other.

    Args:
        t0, t1: ends of the axis in seconds.
        width: of the axis in inches.
        family, size: font and points of the labels.
        form: "seconds", "min:s", or "auto" (min:s from two minutes on).
    """
    clock = form == "min:s" or (form == "auto" and t1 >= 120)
    for step in _STEPS:
        decimals = 1 if step < 1 else 0
        first = int(np.ceil(t0 / step - 1e-9))
        last = int(np.floor(t1 / step + 1e-9))
        if last - first > 400:
            continue
        positions = tuple(float(k * step) for k in range(first, last + 1))
        labels = tuple(format_time(p, clock=clock, decimals=decimals) for p in positions)
        widest = max((text_width(label, family, size) for label in labels), default=0.0)
        if len(positions) < 2 or (t1 - t0) / step * (widest + 1.3 * size / 72) <= width + widest:
            break
    return TimeTicks(positions, labels, "min:s" if clock else "s")


# -- rows -----------------------------------------------------------------------------------------------------------


def visible(grid: SnippetGrid, t0: float, t1: float, margin: int = 0) -> slice:
    """Return the snippets whose cells touch `[t0, t1]` seconds, and `margin` more on both sides."""
    if grid.num_snippets == 0:
        return slice(0, 0)
    edges = grid.edges()
    first = int(np.searchsorted(edges[1:], t0, side="right"))
    last = int(np.searchsorted(edges[:-1], t1, side="left"))
    return slice(max(0, first - margin), min(grid.num_snippets, last + margin))


def assign_lanes(start: FloatArray, end: FloatArray, score: FloatArray) -> tuple[npt.NDArray[np.int64], int]:
    """Put overlapping segments into lanes, better-scored ones first and higher up.

    Returns:
        `(lane of each segment, counted from the top, number of lanes)`; the number is at least 1.
    """
    lanes: list[list[tuple[float, float]]] = [[]]
    lane_of = np.zeros(len(start), dtype=np.int64)
    for i in np.argsort(-score, kind="stable"):
        free = (n for n, taken in enumerate(lanes) if all(end[i] <= a or start[i] >= b for a, b in taken))
        number = next(free, len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append((float(start[i]), float(end[i])))
        lane_of[i] = number
    return lane_of, len(lanes)


def draw_segments(
    axes: Axes,
    start: FloatArray,
    end: FloatArray,
    look: Look,
    *,
    bottom: float | npt.NDArray[Any] = 0.12,
    height: float | npt.NDArray[Any] = 0.76,
    gid: str = "segment",
    zorder: float = 3.0,
) -> list[Rectangle]:
    """Draw segments `[start, end)` in seconds as bars, solid, hatched or hollow as the look says."""
    bottoms, heights = np.broadcast_to(bottom, start.shape), np.broadcast_to(height, start.shape)
    bars = []
    for a, b, y, h in zip(start.tolist(), end.tolist(), bottoms.tolist(), heights.tolist(), strict=True):
        bar = Rectangle(
            (a, y),
            b - a,
            h,
            facecolor=look.colour if look.fill else "white",
            edgecolor=look.colour,
            hatch=look.hatch or None,
            linewidth=0.5 if look.fill and not look.hatch else 0.7,
            linestyle="-" if look.fill else look.dash,
            joinstyle="miter",
            zorder=zorder,
        )
        bar.set_gid(gid)
        axes.add_patch(bar)
        bars.append(bar)
    return bars


def draw_spans(
    axes: Axes, start: FloatArray, end: FloatArray, height: FloatArray, look: Look, *, gid: str = "span"
) -> None:
    """Draw intervals in seconds as thin lines with ticks at their ends, each at its own height."""
    for a, b, y in zip(start.tolist(), end.tolist(), height.tolist(), strict=True):
        line = axes.plot(
            [a, b], [y, y], color=look.colour, linestyle=look.dash, linewidth=0.7, marker="|", markersize=3.0,
            markeredgewidth=0.7, zorder=4, clip_on=True,
        )  # fmt: skip
        line[0].set_gid(gid)


def draw_tint(axes: Axes, start: FloatArray, end: FloatArray, colour: str) -> None:
    """Tint intervals over the whole height, behind everything else."""
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        axes.axvspan(a, b, facecolor=pale(colour), edgecolor="none", linewidth=0, zorder=0.5, gid="tint")


def draw_curve(
    axes: Axes, grid: SnippetGrid, values: npt.ArrayLike, look: Look, t0: float, t1: float, *, width: float = 1.0
) -> None:
    """Draw a sequence `(T,)` as a line through the centres of the snippets' cells."""
    part = visible(grid, t0, t1, margin=1)  # one more on both sides, so that the line runs to the edges
    shown = np.asarray(values, dtype=np.float64)
    axes.plot(
        grid.centres()[part],
        shown[part],
        drawstyle="steps-mid" if np.isin(shown, (0.0, 1.0)).all() else "default",  # what is on or off has edges
        color=look.colour,
        linestyle=look.dash,
        linewidth=width,
        solid_joinstyle="round",
        zorder=3,
        gid="curve",
    )


def draw_barcode(
    axes: Axes, grid: SnippetGrid, values: npt.ArrayLike, colours: Colormap, limits: tuple[float, float],
    t0: float, t1: float,
) -> None:  # fmt: skip
    """Draw a sequence `(T,)` as vertical bars, one cell a snippet."""
    draw_heatmap(axes, grid, np.asarray(values)[:, None], colours, limits, t0, t1)


def draw_heatmap(
    axes: Axes, grid: SnippetGrid, values: npt.ArrayLike, colours: Colormap, limits: tuple[float, float],
    t0: float, t1: float,
) -> None:  # fmt: skip
    """Draw sequences `(T, N)` as N rows of cells over [0, 1], the first at the top; rasterised in vector files."""
    part = visible(grid, t0, t1)
    shown = np.asarray(values, dtype=np.float64)[part]
    if not shown.size:
        return
    edges = grid.edges()
    axes.imshow(
        shown.T,  # (N, T)
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(float(edges[part.start]), float(edges[part.stop]), 0.0, 1.0),
        aspect="auto",
        interpolation="nearest",
        rasterized=True,
        zorder=2,
        gid="cells",
    )


def draw_frames(axes: Axes, frames: npt.NDArray[np.uint8], t0: float, t1: float, gap: float = 0.0) -> None:
    """Draw key frames `(n, H, W, 3)` side by side over `[t0, t1]`, `gap` seconds apart."""
    step = (t1 - t0) / max(len(frames), 1)
    for number, frame in enumerate(frames):
        left = t0 + number * step + (gap / 2 if number else 0.0)
        right = t0 + (number + 1) * step - (gap / 2 if number < len(frames) - 1 else 0.0)
        axes.imshow(
            frame,
            extent=(left, right, 0.0, 1.0),
            aspect="auto",
            interpolation="none",  # vector files keep the frames' own pixels
            zorder=2,
            gid="frame",
        )


def draw_missing_frames(axes: Axes, t0: float, t1: float, note: str, look: Look) -> None:
    """Draw a hatched strip that says why there are no frames."""
    strip = Rectangle(
        (t0, 0), t1 - t0, 1, facecolor="white", edgecolor=pale(look.colour, 0.55), hatch="////", linewidth=0
    )
    strip.set_gid("no-frames")
    axes.add_patch(strip)
    axes.text(
        (t0 + t1) / 2, 0.5, note, ha="center", va="center", color=look.colour, fontstyle="italic", zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.0},
    )  # fmt: skip


def limits_of(
    values: Sequence[npt.NDArray[Any]], scale: str, part: slice, *, curve: bool = True
) -> tuple[float, float]:
    """Return the value range that sequences `(T, ...)` are drawn in.

    Args:
        values: sequences that share the range.
        scale: "unit" is [0, 1]; "video" from the smallest to the largest value; "window" the same among the snippets of
            `part`; "auto" begins at 0 where nothing is negative, and ends at 1 for curves of values in [0, 1] that
            reach 0.4 or more, else at the video's largest value.
        part: visible snippets.
        curve: whether they are drawn as curves.
    """
    shown = [v[part] for v in values if v[part].size] if scale == "window" else [v for v in values if v.size]
    if scale == "unit" or not shown:
        return 0.0, 1.0
    low, high = min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)
    if scale == "auto" and low >= 0.0:
        low, high = 0.0, 1.0 if curve and 0.4 <= high <= 1.0 else high
    return (low, high) if high > low else (low, low + 1.0)
