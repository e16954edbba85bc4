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


def moment_svg(moment: Moment, palette: Mapping[str, str], *, miss: bool, text: str, width: int = 430) -> str:
    """Return the drawing of a moment as an SVG element.

    Args:
        moment: what to draw.
        palette: colours of "gt", "fp", "fn", "tp", "context", "background", "ghost".
        miss: whether the failure is a missed instance (else a false positive).
        text: colour of letters.
        width: width in pixels of the drawing's own scale; it stretches to the space it gets.
    """
    left, right = 62, 6
    plot = width - left - right
    scale = plot / max(moment.t1 - moment.t0, 1e-9)

    def x(seconds: float) -> float:
        return left + (min(max(seconds, moment.t0), moment.t1) - moment.t0) * scale

    parts: list[str] = []
    y = 2.0
    fp, gt, fn = palette["fp"], palette["gt"], palette["fn"]
    accent = fn if miss else fp
    band = (x(moment.start), max(x(moment.end) - x(moment.start), 1.0))
    lines: list[str] = []

    def bar(a: float, b: float, top: float, height: float, style: str, title: str) -> str:
        wide = max(x(b) - x(a), 1.5)
        return (
            f'<rect x="{x(a):.1f}" y="{top:.1f}" width="{wide:.1f}" height="{height:.1f}" rx="1.5" {style}>'
            f"<title>{escape(title)}</title></rect>"
        )

    def named(name: str, middle: float) -> str:
        return (
            f'<text x="{left - 6}" y="{middle + 3:.1f}" font-size="11" text-anchor="end" fill="{text}" '
            f'opacity=".75">{escape(name)}</text>'
        )

    if moment.curve.size > 1:
        height = 30.0
        points = " ".join(
            f"{x(t):.1f},{y + height * (1 - v):.1f}"
            for t, v in zip(moment.curve_time.tolist(), np.clip(moment.curve, 0, 1).tolist(), strict=True)
        )
        first, last = x(float(moment.curve_time[0])), x(float(moment.curve_time[-1]))
        lines.append(named("CAS", y + height / 2))
        lines.append(
            f'<polygon points="{first:.1f},{y + height:.1f} {points} {last:.1f},{y + height:.1f}" '
            f'fill="{palette["instance"]}" opacity=".18"/>'
            f'<polyline points="{points}" fill="none" stroke="{palette["instance"]}" stroke-width="1.4"/>'
        )
        y += height + 5
    for track in moment.tracks:
        if track.name == "detections":
            rows, used = _stacked(track)
            height = 5.0
            lines.append(named(_NAMES[track.name], y + used * (height + 2) / 2))
            for i, row in enumerate(rows):
                a, b = float(track.start[i]), float(track.end[i])
                shade = f'fill="{palette["tp"]}" opacity="{0.3 + 0.7 * float(track.strength[i]):.2f}"'
                if track.marked[i] and miss:  # the detection that comes nearest
                    style = f'fill="{palette["tp"]}" stroke="{fn}" stroke-width="1.2" stroke-dasharray="4 1.6"'
                elif track.marked[i]:
                    style = f'fill="url(#hatch)" stroke="{fp}" stroke-width="1.2" stroke-dasharray="4 1.6"'
                else:
                    style = shade
                lines.append(
                    bar(a, b, y + row * (height + 2), height, style, f"{track.labels[i]} {a:.1f} to {b:.1f} s")
                )
            y += max(used * (height + 2) + 4, 11)
            continue
        height = 8.0
        lines.append(named(_NAMES.get(track.name, track.name), y + height / 2))
        for i in range(track.start.size):
            a, b = float(track.start[i]), float(track.end[i])
            own = track.labels[i] == moment.label
            missed = miss and bool(track.marked[i])
            if track.name == "ground truth":
                style = (
                    f'fill="none" stroke="{fn}" stroke-width="1.8"'
                    if missed
                    else f'fill="{gt if own else palette["ghost"]}"'
                )
            elif track.name == "fakes":
                style = f'fill="{fp}" opacity=".55"'
            else:
                colour = palette["context"]
                style = f'fill="{colour}" fill-opacity=".25" stroke="{colour}" stroke-dasharray="1 1.5"'
            lines.append(bar(a, b, y, height, style, f"{track.labels[i]} {a:.1f} to {b:.1f} s"))
        y += height + 6
    axis = y + 2
    ticks = np.linspace(moment.t0, moment.t1, 4)
    lines.append(
        f'<line x1="{left}" x2="{width - right}" y1="{axis:.1f}" y2="{axis:.1f}" stroke="{text}" opacity=".25"/>'
    )
    for i, t in enumerate(ticks.tolist()):
        anchor = "start" if i == 0 else "end" if i == len(ticks) - 1 else "middle"
        lines.append(
            f'<text x="{x(t):.1f}" y="{axis + 11:.1f}" font-size="10.5" text-anchor="{anchor}" fill="{text}" '
            f'opacity=".65">{_clock(t)}</text>'
        )
    height_all = axis + 14
    parts.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height_all:.0f}" width="100%" role="img" '
        f'aria-label="{escape(moment.label)}, {moment.start:.1f} to {moment.end:.1f} seconds" '
        'font-family="Source Sans Pro, Source Sans, Segoe UI, Helvetica, Arial, sans-serif">'
        f'<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<line x1="0" y1="0" x2="0" y2="4" stroke="{fp}" stroke-width="1.6"/></pattern></defs>'
        f'<rect x="{band[0]:.1f}" y="0" width="{band[1]:.1f}" height="{axis:.1f}" fill="{accent}" opacity=".10"/>'
    )
    return "".join([*parts, *lines, "</svg>"])


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
