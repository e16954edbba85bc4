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


def draw(spec: FigureSpec, data: FigureData, make: type[Figure] = Figure) -> Figure:
    """Draw a figure; call it inside `theme.figure_style`, or use `export.render`, which does.

    Args:
        spec: what to show.
        data: what `content.load` read for it.
        make: class of the figure.

    Returns:
        A matplotlib Figure of exactly the spec's width. Its axes carry labels "row 0: frames", "row 1: cas context".

    Raises:
        UsageError, DataError: a row asks for what the run does not have.
    """
    sheet = _Sheet(spec, data, make)
    sheet.head()
    sheet.rows()
    sheet.time()
    sheet.foot()
    return sheet.figure


class _Sheet:
    """A figure being laid out, in inches from the left and from the top."""

    def __init__(self, spec: FigureSpec, data: FigureData, make: type[Figure]) -> None:
        self.spec, self.painter = spec, Painter(spec, data)
        self.family, self.size, self.small = self.painter.family, spec.font_size, self.painter.small
        self.line = spec.font_size / 72 * 1.2
        self.width, self.margin = spec.inches, 0.02
        self.ink = self.painter.looks["ink"].colour
        self._measure_titles(data)
        self.bands = self.painter.bands()
        self.slots = [
            max(b.height, len(self.wrapped.get(b.title, ())) * self.line if not b.lines else 0.0) for b in self.bands
        ]
        self.headers = [self.line if b.lines and b.title else 0.0 for b in self.bands]
        self.gap = {"barcode": 0.035, "curve": 0.06}[spec.style]
        self.figure = make(figsize=(self.width, 1.0), dpi=300)
        self._measure_heights()
        self.bottom = self.above  # of the last row, once it is there

    def _measure_titles(self, data: FigureData) -> None:
        """Give titles their column: what they leave is the width of the axis, which decides how many frames fit."""
        spec, painter, limit = self.spec, self.painter, 0.3 * self.width
        rough = painter.bands() if all(r.kind != "frames" for r in spec.rows) else _without_frames(spec, data)
        texts = [b.title for b in rough] + [r.title for r in spec.rows if r.kind == "frames"]
        self.wrapped = {text: _wrap(text, limit, self.family, self.size) for text in texts}
        self.names = {name: _cut(name, limit, self.family, self.small) for b in rough for name in b.lines}
        widest = [self._width(part) for parts in self.wrapped.values() for part in parts]
        widest += [self._width(name, self.small) for name in self.names.values()]
        last = 0.01
        if spec.time != "none":  # the first tick's label reaches half its width to the left of the axis
            rough_ticks = timeline.time_ticks(painter.t0, painter.t1, self.width, self.family, self.size, spec.time)
            decimals = int(any("." in label for label in rough_ticks.labels))
            clock = painter.t1 >= 120 or spec.time == "min:s"
            first, end = (timeline.format_time(t, clock=clock, decimals=decimals) for t in (painter.t0, painter.t1))
            widest.append(self._width("Time (min:s)") + 0.5 * self._width(first))
            last = 0.5 * self._width(end)
        ranges = [b.limits for b in rough if b.curve and b.limits is not None and spec.scores_range]
        beside = max((self._width(number_text(v), self.small) for r in ranges for v in r), default=0.0)
        self.left = self.margin + max(widest) + (beside + 0.05 if ranges else 0.0) + 0.06
        painter.axes_width = self.width - self.left - self.margin - last

    def _measure_heights(self) -> None:
        spec, room = self.spec, self.width - 2 * self.margin
        legend = _legend(self.figure, spec, self.painter, self.bands, room) if spec.legend else 0.0
        self.title = _wrap(spec.title, 0.9 * room, self.family, self.size + 1) if spec.title else []  # bold is wider
        self.title_line = (self.size + 1) / 72 * 1.35
        self.caption = _wrap(spec.caption, room, self.family, self.size) if spec.caption else []
        marks = self.line if any(m.text for m in spec.marks) else 0.0
        self.axis_height = 0.0 if spec.time == "none" else 0.05 + self.size / 72 * 1.25
        self.below_title = self.margin + len(self.title) * self.title_line
        self.above = self.below_title + legend + marks
        body = sum(self.slots) + sum(self.headers) + self.gap * (len(self.bands) - 1)
        caption = len(self.caption) * self.line + 0.05 if self.caption else 0.0
        self.total = self.above + body + self.axis_height + caption + self.margin
        self.figure.set_size_inches(self.width, self.total)

    def _width(self, text: str, size: float | None = None) -> float:
        return timeline.text_width(text, self.family, self.size if size is None else size)

    def write(self, x: float, y: float, text: str, gid: str, **look: Any) -> None:
        """Print a text at inches from the left and from the top."""
        given = {"size": self.size, "color": self.ink, "gid": gid, **look}
        self.figure.text(x / self.width, 1.0 - y / self.total, text, **given)

    def head(self) -> None:
        """Print the title, and put the legend above the rows."""
        for i, text in enumerate(self.title):
            y = self.margin + i * self.title_line
            self.write(self.margin, y, text, "title", size=self.size + 1, weight="bold", va="top")
        for legend in self.figure.legends:
            at = 1.0 - self.below_title / self.total
            legend.set_bbox_to_anchor((self.left / self.width, at), transform=self.figure.transFigure)
            wide = legend.get_window_extent().width / self.figure.dpi
            if wide > self.width - self.left - self.margin:  # wider than the rows: begin at the left edge
                legend.set_bbox_to_anchor((self.margin / self.width, at), transform=self.figure.transFigure)

    def rows(self) -> None:
        """Draw every row, from the top."""
        y = self.above
        for number, (band, slot, header) in enumerate(zip(self.bands, self.slots, self.headers, strict=True)):
            if header:
                self.write(self.margin, y, self.wrapped[band.title][0], "row-title", va="top")
            y += header
            height = slot if band.curve or band.lines else band.height  # bars stay as high beside a long title
            last = number == len(self.bands) - 1  # sits on the time axis, whose title a long row title keeps clear of
            top = y + (slot - height) / (1 if last else 2)
            self.bottom = top + height
            axes = self.figure.add_axes(
                (self.left / self.width, 1.0 - self.bottom / self.total,
                 self.painter.axes_width / self.width, height / self.total),
                label=f"row {number}: {band.kind} {band.name}".strip(),
            )  # fmt: skip
            axes.patch.set_visible(False)
            _dress(axes, band, self.painter)
            self._name_row(band, y, slot, height)
            if band.curve and band.limits is not None and self.spec.scores_range:
                for value, at, va in ((band.limits[1], top, "top"), (band.limits[0], self.bottom, "bottom")):
                    self.write(self.left - 0.04, at, number_text(value), "range", size=self.small, ha="right", va=va)
            y += slot + self.gap

    def _name_row(self, band: Band, y: float, slot: float, height: float) -> None:
        """Print what a row is at its left: the names of its lines, or its title."""
        if band.lines:
            step = height / len(band.lines)
            for i, name in enumerate(band.lines):
                self.write(self.left - 0.04, y + (i + 0.5) * step, self.names[name], "line-title", size=self.small,
                           ha="right", va="center_baseline")  # fmt: skip
        elif band.title:
            parts = self.wrapped[band.title]
            for i, part in enumerate(parts):
                at = y + slot / 2 + (i - (len(parts) - 1) / 2) * self.line
                self.write(self.margin, at, part, "row-title", va="center_baseline")

    def time(self) -> None:
        """Draw the time axis below the last row."""
        spec, painter = self.spec, self.painter
        if spec.time == "none":
            return
        ticks = timeline.time_ticks(painter.t0, painter.t1, painter.axes_width, self.family, self.size, spec.time)
        last = self.figure.axes[-1]
        last.set_xticks(ticks.positions, ticks.labels)
        last.tick_params(axis="x", bottom=True, labelbottom=True, pad=1.5, labelsize=self.size, colors=self.ink)
        self.write(self.margin, self.bottom + 0.035 + 1.5 / 72, f"Time ({ticks.unit})", "time-title", va="top")

    def foot(self) -> None:
        """Draw the marks across all rows, and the caption below."""
        _marks(self.figure, self.spec, self.painter, self.left, self.above, self.bottom, self.total)
        for i, text in enumerate(self.caption):
            y = self.bottom + self.axis_height + 0.05 + i * self.line
            self.write(self.width / 2, y, text, "caption", ha="center", va="top")


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
