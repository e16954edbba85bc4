"""Page style and number formats, the same on every page; colours are those of `wtal_core.figures.looks`."""

from __future__ import annotations

import math
from typing import Literal

import streamlit as st

from wtal_core.figures.looks import colours

__all__ = ["css", "delta", "palette", "percent", "seconds"]


def mode() -> Literal["light", "dark"]:
    """Return which theme the browser shows."""
    return "dark" if st.context.theme.type == "dark" else "light"


def palette() -> dict[str, str]:
    """Return the colours of the theme that is shown."""
    return colours(mode())


_CSS = """
<style>
.stMainBlockContainer { padding: 3.6rem 1.5rem 1rem 1.5rem; max-width: 100%; }
.stAppHeader { height: 3rem; }
h1 { font-size: 1.5rem !important; font-weight: 600 !important; padding: 0 0 .25rem 0 !important; }
h2 { font-size: 1.15rem !important; font-weight: 600 !important; padding: .5rem 0 .25rem 0 !important; }
h3 { font-size: 1rem !important; font-weight: 600 !important; padding: .25rem 0 !important; }
[data-testid="stMetricValue"], .num { font-variant-numeric: tabular-nums; }
[data-testid="stHeaderActionElements"] { display: none; }
/* A screen of 4k without scaling by the system: everything grows with it. Canvases read the factor. */
@media (min-width: 2400px) and (min-height: 1250px) { :root { --wtal-magnify: 1.3; font-size: 18.2px !important; } }
@media (min-width: 3200px) and (min-height: 1700px) { :root { --wtal-magnify: 1.7; font-size: 23.8px !important; } }
/* Text of charts is in pixels: they are drawn for a smaller page and enlarged whole. Zoom makes room for that, and is
   taken back where Streamlit measures the width to draw for; a transform is what the chart's own pointer follows. */
@media (min-width: 2400px) and (min-height: 1250px) {
  body:not([style*="overflow: hidden"]) { /* a chart that fills the screen is drawn for the screen */
    .stElementContainer:has(.stPlotlyChart) { zoom: var(--wtal-magnify); }
    [data-testid="stFullScreenFrame"]:has(.stPlotlyChart) {
      zoom: calc(1 / var(--wtal-magnify));
      width: calc(100% / var(--wtal-magnify)) !important; height: calc(100% / var(--wtal-magnify)) !important;
    }
    .js-plotly-plot { transform: scale(var(--wtal-magnify)); transform-origin: 0 0; }
  }
  [data-testid="stTooltipIcon"] svg { width: 1rem; height: 1rem; }
}
</style>
"""


def css() -> None:
    """Apply the page style; app.py calls this once for every page."""
    st.html(_CSS)


def percent(value: float | None, digits: int = 1) -> str:
    """Format a number in [0, 1] as papers print mAP: "34.6"; "–" where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}"


def delta(value: float | None, digits: int = 1) -> str:
    """Format a difference of two numbers in [0, 1] in points: "+1.2", "−0.4", "±0.0"."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{abs(100 * value):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return ("+" if value > 0 else "−") + text


def seconds(value: float | None, digits: int = 1) -> str:
    """Format a time as "1:02.4", with hours from one hour on: "1:00:02.4"."""
    if value is None or not math.isfinite(value):
        return "–"
    scale = 10**digits
    ticks = round(value * scale)
    whole, part = divmod(ticks, scale)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    tail = f".{part:0{digits}d}" if digits else ""
    return f"{hours}:{minute:02d}:{second:02d}{tail}" if hours else f"{minute}:{second:02d}{tail}"
