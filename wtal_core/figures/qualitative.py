"""Qualitative figures for papers: rows on one time axis, as CMCS Fig. 5 (barcodes) or ACM-Net Fig. 3 (curves).

`content` reads what a spec names, `bands` turns its rows into bands, and `draw` lays these out in inches: titles in a
column of their own, legend above the rows, time below; nothing that is text lies on data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from wtal_core.figures import timeline
from wtal_core.figures.bands import Band, Painter, number_text
from wtal_core.figures.content import FigureData
from wtal_core.figures.spec import FigureSpec
from wtal_core.figures.theme import Look, colormap

__all__ = ["draw"]

_LEGEND_ORDER = {"true positive": 0, "false positive": 1, "missed": 2, "ambiguous": 3}
_CURVE_ROOM = 1.06  # axis limits of curves reach a little over their range, so that lines at it are drawn whole


class _Shades(HandlerBase):
    """A legend key that runs through a colour map."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def create_artists(
        self, legend: Any, orig_handle: Any, xdescent: float, ydescent: float, width: float, height: float,
        fontsize: float, trans: Any,
    ) -> list[Artist]:  # fmt: skip
        """Return the key's cells."""
        del legend, fontsize
        cells = 12
        colours = colormap(self._name, orig_handle.get_facecolor())
        keys: list[Artist] = [
            Rectangle((-xdescent + i * width / cells, -ydescent), width / cells, height,
                      facecolor=colours(i / (cells - 1)), edgecolor="none", linewidth=0, transform=trans,
                      antialiased=False)
            for i in range(cells)
        ]  # fmt: skip
        keys.append(Rectangle((-xdescent, -ydescent), width, height, facecolor="none", edgecolor="#777777",
                              linewidth=0.4, transform=trans))  # fmt: skip
        return keys


class _ShadeKey(Patch):
    """Marks a legend entry that explains a colour map."""


def _wrap(text: str, width: float, family: str, size: float) -> list[str]:
    """Break a title into lines of at most `width` inches, at spaces; what does not fit is cut with an ellipsis."""
    lines = [""]
    for word in text.split():
        tried = f"{lines[-1]} {word}".strip()
        if not lines[-1] or timeline.text_width(tried, family, size) <= width:
            lines[-1] = tried
        else:
            lines.append(word)
    return [_cut(line, width, family, size) for line in lines]


def _cut(line: str, width: float, family: str, size: float) -> str:
    if timeline.text_width(line, family, size) <= width:
        return line
    while len(line) > 1 and timeline.text_width(line + "…", family, size) > width:
        line = line[:-1]
    return line + "…"


def draw(spec: FigureSpec, data: FigureData) -> Figure:
    """Draw a figure; call it inside `theme.figure_style`, or use `export.render`, which does.

    Returns:
        A matplotlib Figure of exactly the spec's width. Its axes carry labels "row 0: frames", "row 1: cas context".

    Raises:
        UsageError, DataError: a row asks for what the run does not have.
    """
    painter = Painter(spec, data)
    family, size, small = painter.family, spec.font_size, painter.small
    line = size / 72 * 1.2
    width, margin = spec.inches, 0.02

    # Titles first: what they leave is the width of the axis, which decides how many frames and ticks fit.
    titles_limit = 0.3 * width
    rough = painter.bands() if all(r.kind != "frames" for r in spec.rows) else _without_frames(spec, data)
    texts = [b.title for b in rough] + [r.title for r in spec.rows if r.kind == "frames"]
    wrapped = {text: _wrap(text, titles_limit, family, size) for text in texts}
    names = {name: _cut(name, titles_limit, family, small) for b in rough for name in b.lines}
    widest = [timeline.text_width(part, family, size) for parts in wrapped.values() for part in parts]
    widest += [timeline.text_width(name, family, small) for name in names.values()]
    decimals = 0
    if spec.time != "none":  # the first tick's label reaches half its width to the left of the axis
        rough_ticks = timeline.time_ticks(painter.t0, painter.t1, width, family, size, spec.time)
        decimals = int(any("." in label for label in rough_ticks.labels))
        first_label = timeline.format_time(
            painter.t0, clock=painter.t1 >= 120 or spec.time == "min:s", decimals=decimals
        )
        widest.append(timeline.text_width("Time (min:s)", family, size))
        widest[-1] += 0.5 * timeline.text_width(first_label, family, size)
    ranges = [b.limits for b in rough if b.curve and b.limits is not None and spec.scores_range]
    range_width = max((timeline.text_width(number_text(v), family, small) for r in ranges for v in r), default=0.0)
    left = margin + max(widest) + (range_width + 0.05 if ranges else 0.0) + 0.06
    last_label = timeline.format_time(painter.t1, clock=painter.t1 >= 120 or spec.time == "min:s", decimals=decimals)
    right = margin + (0.5 * timeline.text_width(last_label, family, size) if spec.time != "none" else 0.01)
    painter.axes_width = width - left - right
    bands = painter.bands()

    gap = {"barcode": 0.035, "curve": 0.06}[spec.style]
    heights = [max(b.height, len(wrapped.get(b.title, ())) * line if not b.lines else 0.0) for b in bands]
    headers = [line if b.lines and b.title else 0.0 for b in bands]

    figure = Figure(figsize=(width, 1.0), dpi=300)
    legend_rows = _legend(figure, spec, painter, bands, width - 2 * margin) if spec.legend else 0.0
    title = _wrap(spec.title, 0.9 * (width - 2 * margin), family, size + 1) if spec.title else []  # bold is wider
    title_line = (size + 1) / 72 * 1.35
    title_height = len(title) * title_line
    marks_height = line if any(m.text for m in spec.marks) else 0.0
    ticks = timeline.time_ticks(painter.t0, painter.t1, painter.axes_width, family, size, spec.time)
    axis_height = 0.0 if spec.time == "none" else 0.05 + size / 72 * 1.25
    caption = _wrap(spec.caption, width - 2 * margin, family, size) if spec.caption else []
    caption_height = len(caption) * line + 0.05 if caption else 0.0
    above = margin + title_height + legend_rows + marks_height
    body = sum(heights) + sum(headers) + gap * (len(bands) - 1)
    total = above + body + axis_height + caption_height + margin
    figure.set_size_inches(width, total)
    ink = painter.looks["ink"].colour

    def place(x: float, y: float) -> tuple[float, float]:
        """Return figure coordinates of inches from the left and from the top."""
        return x / width, 1.0 - y / total

    for i, text in enumerate(title):
        figure.text(*place(margin, margin + i * title_line), text, size=size + 1, weight="bold", va="top", color=ink,
                    gid="title")  # fmt: skip
    if figure.legends:
        figure.legends[0].set_bbox_to_anchor(
            (left / width, 1.0 - (margin + title_height) / total), transform=figure.transFigure
        )
        extent = figure.legends[0].get_window_extent()
        if extent.width / figure.dpi > width - left - margin:  # wider than the rows: begin at the left edge
            figure.legends[0].set_bbox_to_anchor(
                (margin / width, 1.0 - (margin + title_height) / total), transform=figure.transFigure
            )

    y = above
    bottom = above
    for number, (band, slot, header) in enumerate(zip(bands, heights, headers, strict=True)):
        if header:
            figure.text(*place(margin, y), wrapped[band.title][0], size=size, va="top", color=ink, gid="row-title")
        y += header
        height = slot if band.curve or band.lines else band.height  # bars stay as high as others beside a long title
        last_row = number == len(bands) - 1  # sits on the time axis, whose title a long row title keeps clear of
        top = y + (slot - height) / (1 if last_row else 2)
        bottom = top + height
        axes = figure.add_axes(
            (left / width, 1.0 - bottom / total, painter.axes_width / width, height / total),
            label=f"row {number}: {band.kind} {band.name}".strip(),
        )
        axes.patch.set_visible(False)
        _dress(axes, band, painter)
        middle = y + slot / 2
        if band.lines:
            step = height / len(band.lines)
            for i, name in enumerate(band.lines):
                figure.text(*place(left - 0.04, y + (i + 0.5) * step), names[name], size=small, ha="right",
                            va="center_baseline", color=ink, gid="line-title")  # fmt: skip
        elif band.title:
            parts = wrapped[band.title]
            for i, part in enumerate(parts):
                at = middle + (i - (len(parts) - 1) / 2) * line
                figure.text(*place(margin, at), part, size=size, va="center_baseline", color=ink, gid="row-title")
        if band.curve and band.limits is not None and spec.scores_range:
            for value, at, va in ((band.limits[1], top, "top"), (band.limits[0], bottom, "bottom")):
                figure.text(
                    *place(left - 0.04, at), number_text(value), size=small, ha="right", va=va, color=ink, gid="range"
                )
        y += slot + gap

    if spec.time != "none":
        last = figure.axes[-1]
        last.set_xticks(ticks.positions, ticks.labels)
        last.tick_params(axis="x", bottom=True, labelbottom=True, pad=1.5, labelsize=size, colors=ink)
        figure.text(*place(margin, bottom + 0.035 + 1.5 / 72), f"Time ({ticks.unit})", size=size, va="top", color=ink,
                    gid="time-title")  # fmt: skip
    _marks(figure, spec, painter, left, above, bottom, total)
    for i, text in enumerate(caption):
        figure.text(*place(width / 2, bottom + axis_height + 0.05 + i * line), text, size=size, ha="center", va="top",
                    color=ink, gid="caption")  # fmt: skip
    return figure


def _without_frames(spec: FigureSpec, data: FigureData) -> list[Band]:
    """Return the bands of a spec without its frames, which need the axis's width before they are read."""
    rows = tuple(r for r in spec.rows if r.kind != "frames")
    return Painter(replace(spec, rows=rows), data).bands() if rows else []


def _dress(axes: Axes, band: Band, painter: Painter) -> None:
    """Set limits and frame of a row, then paint it."""
    if band.curve and painter.spec.guides and painter.data.truth is not None:
        shown = painter.data.instances
        timeline.draw_tint(axes, shown.start, shown.end, painter.looks["gt"].colour)
    band.paint(axes)
    axes.set_xlim(painter.t0, painter.t1)
    if band.curve and band.limits is not None:
        low, high = band.limits
        room = (high - low) * (_CURVE_ROOM - 1) / 2
        axes.set_ylim(low - room, high + room)
    else:
        axes.set_ylim(0.0, 1.0)
    axes.set_aspect("auto")
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    edge = painter.looks["frame"].colour
    for side, spine in axes.spines.items():
        spine.set_color(edge)
        spine.set_linewidth(0.5)
        spine.set_zorder(4)
        if band.kind == "frames" or (band.curve and side in ("top", "right")):
            spine.set_visible(False)


def _legend(figure: Figure, spec: FigureSpec, painter: Painter, bands: list[Band], room: float) -> float:
    """Put the legend into the figure, as wide as fits; return its height in inches, 0 without entries."""
    entries: dict[tuple[str, str], Look] = {}
    for band in bands:
        for text, kind, look in band.legend:
            entries.setdefault((text, kind), look)
    shades = [key for key in entries if key[1] == "shade"]
    if len(shades) > 1:  # rows of different ranges: the numbers would be several, the meaning is one
        entries = {key: look for key, look in entries.items() if key[1] != "shade"}
        entries["low to high", "shade"] = painter.looks["instance"]
    if not entries:
        return 0.0
    entries = dict(sorted(entries.items(), key=lambda item: _LEGEND_ORDER.get(item[0][0], 9)))
    handles: list[Artist] = []
    for (_, kind), look in entries.items():
        if kind == "line":
            handles.append(Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.0))
        elif kind == "shade":
            handles.append(_ShadeKey(facecolor=look.colour))
        else:
            handles.append(
                Patch(facecolor=look.colour if look.fill else "white", edgecolor=look.colour, hatch=look.hatch or None,
                      linestyle="-" if look.fill else look.dash, linewidth=0.7)
            )  # fmt: skip
    texts = [text for text, _ in entries]
    for columns in range(len(texts), 0, -1):
        for old in list(figure.legends):
            old.remove()
        by_column = [i for first in range(columns) for i in range(first, len(texts), columns)]  # reads line by line
        legend = figure.legend(
            [handles[i] for i in by_column], [texts[i] for i in by_column], loc="upper left", ncols=columns,
            frameon=False, fontsize=spec.font_size, borderpad=0, borderaxespad=0, handlelength=2.2, handleheight=0.75,
            handletextpad=0.5, columnspacing=1.2, labelspacing=0.3, labelcolor=painter.looks["ink"].colour,
            handler_map={_ShadeKey: _Shades(spec.colormap)},
        )  # fmt: skip
        extent = legend.get_window_extent()
        if extent.width / figure.dpi <= room:
            break
    return float(extent.height) / figure.dpi + 0.05


def _marks(
    figure: Figure, spec: FigureSpec, painter: Painter, left: float, above: float, bottom: float, total: float
) -> None:  # fmt: skip
    """Draw the boxes of `marks` across all rows, their texts in the line above."""
    if not spec.marks:
        return
    width = spec.inches
    look = painter.looks["mark"]
    overlay = figure.add_axes(
        (left / width, 1.0 - bottom / total, painter.axes_width / width, (bottom - above) / total), label="marks"
    )
    overlay.set_xlim(painter.t0, painter.t1)
    overlay.set_ylim(0, 1)
    overlay.axis("off")
    overlay.set_zorder(10)
    scale = (painter.t1 - painter.t0) / painter.axes_width
    taken: list[tuple[float, float]] = []
    for mark in spec.marks:
        a, b = max(mark.start, painter.t0), min(mark.end, painter.t1)
        if a >= b:
            continue
        colour = mark.colour or look.colour
        overlay.add_patch(Rectangle((a, 0), b - a, 1, facecolor="none", edgecolor=colour, linestyle=look.dash,
                                    linewidth=0.9, clip_on=False, gid="mark"))  # fmt: skip
        half = timeline.text_width(mark.text, painter.family, painter.small) * scale / 2
        middle = min(max((a + b) / 2, painter.t0 + half), painter.t1 - half)
        if mark.text and not any(middle - half < y and middle + half > x for x, y in taken):
            taken.append((middle - half, middle + half))
            overlay.text(middle, 1.0 + 0.02 / (bottom - above), mark.text, size=painter.small, ha="center", va="bottom",
                         color=painter.looks["ink"].colour, clip_on=False, gid="mark-text")  # fmt: skip
