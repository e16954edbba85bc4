"""A moment as a small drawing: ground truth, detections, context and the class activation sequence on one time axis.

The drawing is an SVG text without scripts; every meaning has a second cue besides its colour: ground truth solid, the
failing detection hatched with a dashed outline, a missed instance hollow, context dotted.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

import numpy as np

from wtal_core.analysis.failures import Moment, MomentTrack

__all__ = ["moment_image", "moment_svg"]

_NAMES = {"ground truth": "truth", "detections": "detected", "fakes": "fake", "context": "context"}


def moment_image(moment: Moment, palette: Mapping[str, str], *, miss: bool, text: str) -> str:
    """Return the drawing of a moment as a `data:` URL for an image element."""
    svg = moment_svg(moment, palette, miss=miss, text=text)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


_LEFT, _RIGHT = 62, 6  # room for names, and beside the last tick


class _Canvas:
    """An SVG in the making: what is drawn goes below what is there."""

    def __init__(self, moment: Moment, palette: Mapping[str, str], miss: bool, text: str, width: int) -> None:
        self.moment, self.palette, self.miss, self.text, self.width = moment, palette, miss, text, width
        self.lines: list[str] = []
        self.y = 2.0

    def x(self, seconds: float) -> float:
        """Return where a time lies, in pixels; times beside the moment lie at its ends."""
        m = self.moment
        share = (min(max(seconds, m.t0), m.t1) - m.t0) / max(m.t1 - m.t0, 1e-9)
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def bar(self, a: float, b: float, top: float, height: float, style: str, title: str) -> None:
        """Draw an interval."""
        wide = max(self.x(b) - self.x(a), 1.5)
        self.lines.append(
            f'<rect x="{self.x(a):.1f}" y="{top:.1f}" width="{wide:.1f}" height="{height:.1f}" rx="1.5" {style}>'
            f"<title>{escape(title)}</title></rect>"
        )

    def name(self, name: str, middle: float) -> None:
        """Print what a row is, at its left."""
        self.lines.append(
            f'<text x="{_LEFT - 6}" y="{middle + 3:.1f}" font-size="11" text-anchor="end" fill="{self.text}" '
            f'opacity=".75">{escape(name)}</text>'
        )

    def curve(self) -> None:
        """Draw the class activation sequence."""
        moment, height, colour = self.moment, 30.0, self.palette["instance"]
        if moment.curve.size < 2:
            return
        points = " ".join(
            f"{self.x(t):.1f},{self.y + height * (1 - v):.1f}"
            for t, v in zip(moment.curve_time.tolist(), np.clip(moment.curve, 0, 1).tolist(), strict=True)
        )
        first, last = self.x(float(moment.curve_time[0])), self.x(float(moment.curve_time[-1]))
        below = self.y + height
        self.name("CAS", self.y + height / 2)
        self.lines.append(
            f'<polygon points="{first:.1f},{below:.1f} {points} {last:.1f},{below:.1f}" fill="{colour}" '
            f'opacity=".18"/><polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>'
        )
        self.y += height + 5

    def detections(self, track: MomentTrack) -> None:
        """Draw detections in lines; the one the moment is about stands out."""
        rows, used = _stacked(track)
        height, of = 5.0, self.palette
        self.name(_NAMES[track.name], self.y + used * (height + 2) / 2)
        for i, row in enumerate(rows):
            style = f'fill="{of["tp"]}" opacity="{0.3 + 0.7 * float(track.strength[i]):.2f}"'
            if track.marked[i]:  # the false positive; of a miss the detection that comes nearest
                fill, stroke = (of["tp"], of["fn"]) if self.miss else ("url(#hatch)", of["fp"])
                style = f'fill="{fill}" stroke="{stroke}" stroke-width="1.2" stroke-dasharray="4 1.6"'
            a, b = float(track.start[i]), float(track.end[i])
            self.bar(a, b, self.y + row * (height + 2), height, style, f"{track.labels[i]} {a:.1f} to {b:.1f} s")
        self.y += max(used * (height + 2) + 4, 11)

    def intervals(self, track: MomentTrack) -> None:
        """Draw what is there: ground truth, fakes, context."""
        height, of = 8.0, self.palette
        self.name(_NAMES.get(track.name, track.name), self.y + height / 2)
        for i in range(track.start.size):
            if track.name == "ground truth" and self.miss and bool(track.marked[i]):
                style = f'fill="none" stroke="{of["fn"]}" stroke-width="1.8"'
            elif track.name == "ground truth":
                style = f'fill="{of["gt" if track.labels[i] == self.moment.label else "ghost"]}"'
            else:
                colour, dash = (of["fake"], "4 1.6") if track.name == "fakes" else (of["context"], "1 1.5")
                style = f'fill="{colour}" fill-opacity=".25" stroke="{colour}" stroke-dasharray="{dash}"'
            a, b = float(track.start[i]), float(track.end[i])
            self.bar(a, b, self.y, height, style, f"{track.labels[i]} {a:.1f} to {b:.1f} s")
        self.y += height + 6

    def axis(self) -> float:
        """Draw the time axis; return where it lies."""
        y = self.y + 2
        self.lines.append(
            f'<line x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{self.text}" '
            'opacity=".25"/>'
        )
        for i, t in enumerate(np.linspace(self.moment.t0, self.moment.t1, 4).tolist()):
            self.lines.append(
                f'<text x="{self.x(t):.1f}" y="{y + 11:.1f}" font-size="10.5" text-anchor="{_ANCHORS[i]}" '
                f'fill="{self.text}" opacity=".65">{_clock(t)}</text>'
            )
        return y


_ANCHORS = ("start", "middle", "middle", "end")


def moment_svg(moment: Moment, palette: Mapping[str, str], *, miss: bool, text: str, width: int = 430) -> str:
    """Return the drawing of a moment as an SVG element.

    Args:
        moment: what to draw.
        palette: `{meaning: colour}`, see `looks.colours`.
        miss: whether the failure is a missed instance (else a false positive).
        text: colour of letters.
        width: width in pixels of the drawing's own scale; it stretches to the space it gets.
    """
    canvas = _Canvas(moment, palette, miss, text, width)
    canvas.curve()
    for track in moment.tracks:
        (canvas.detections if track.name == "detections" else canvas.intervals)(track)
    axis = canvas.axis()
    wide = max(canvas.x(moment.end) - canvas.x(moment.start), 1.0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {axis + 14:.0f}" width="100%" role="img" '
        f'aria-label="{escape(moment.label)}, {moment.start:.1f} to {moment.end:.1f} seconds" '
        'font-family="Source Sans Pro, Source Sans, Segoe UI, Helvetica, Arial, sans-serif">'
        '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<line x1="0" y1="0" x2="0" y2="4" stroke="{palette["fp"]}" stroke-width="1.6"/></pattern></defs>'
        f'<rect x="{canvas.x(moment.start):.1f}" y="0" width="{wide:.1f}" height="{axis:.1f}" '
        f'fill="{palette["fn" if miss else "fp"]}" opacity=".10"/>'
    )
    return "".join([head, *canvas.lines, "</svg>"])


def _stacked(track: MomentTrack) -> tuple[list[int], int]:
    """Return the line of each interval so that no two on a line overlap, and the number of lines."""
    ends: list[float] = []
    rows: list[int] = []
    for start, end in zip(track.start.tolist(), track.end.tolist(), strict=True):
        row = next((i for i, last in enumerate(ends) if start >= last), len(ends))
        if row == len(ends):
            ends.append(end)
        ends[row] = end
        rows.append(row)
    return rows, max(len(ends), 1)
