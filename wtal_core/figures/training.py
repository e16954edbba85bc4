"""Curves of a training (plotly): every loss term under its paper's name, and what validation says."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from wtal_core.figures.looks import colours
from wtal_core.training.monitor import Curve, Metrics

__all__ = ["loss_figure", "validation_figure"]

_FONT = "Source Sans, Source Sans Pro, sans-serif"  # the app's
_MAX_POINTS = 600  # more than a panel has pixels would only slow the browser down


@dataclass(frozen=True)
class _Inks:
    text: str
    faint: str
    grid: str
    line: str
    total: str
    best: str


#: Explicit colours: a figure must not depend on which theme its host happens to apply.
_OF = {"light": colours("light"), "dark": colours("dark")}
_LIGHT = _Inks(_OF["light"]["ink"], "#6b7480", "#e7eaee", _OF["light"]["tp"], _OF["light"]["ink"], _OF["light"]["fp"])
_DARK = _Inks(_OF["dark"]["ink"], "#98a1ad", "#2a303a", _OF["dark"]["tp"], _OF["dark"]["ink"], _OF["dark"]["fp"])


def _thin(curve: Curve) -> Curve:
    """Return at most about `_MAX_POINTS` points of a curve: the lowest and the highest of each stretch stay."""
    count = curve.step.size
    if count <= _MAX_POINTS:
        return curve
    edges = np.linspace(0, count, _MAX_POINTS // 2 + 1).astype(int)
    keep = {0, count - 1}
    for first, last in itertools.pairwise(edges):
        part = curve.value[first:last]
        keep |= {first + int(part.argmin()), first + int(part.argmax())}
    index = np.array(sorted(keep))
    return Curve(curve.step[index], curve.value[index])


def _horizon(metrics: Metrics, steps: int) -> int:
    """Return the end of the step axis: a round number beyond the step that is reached, at most all steps.

    The axis stays where it is for a while, instead of moving with every step.
    """
    reached = max((int(c.step[-1]) for c in metrics.losses.values()), default=0)
    decade = 10 ** math.floor(math.log10(max(reached, 10)))
    ahead = next(int(m * decade) for m in (1, 1.5, 2, 3, 5, 7.5, 10, 15) if m * decade > reached)
    return min(ahead, steps) if steps else ahead


def _plain(figure: go.Figure, inks: _Inks, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 12, "t": 26, "b": 4},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": inks.text, "size": 12, "family": _FONT},
        showlegend=False,
        hovermode="x",
        uirevision="training",
    )
    axis = {"gridcolor": inks.grid, "zeroline": False, "linecolor": inks.grid, "automargin": True, "nticks": 4,
            "tickfont": {"color": inks.faint, "size": 10.5, "family": _FONT}, "fixedrange": True}  # fmt: skip
    figure.update_xaxes(**{**axis, "showgrid": False, "rangemode": "tozero", "tickformat": "~s"})
    figure.update_yaxes(**{**axis, "tickformat": "~g", "exponentformat": "power"})
    for title in figure.layout.annotations:
        title.update(
            font={"size": 12.5, "color": inks.text, "family": _FONT}, yanchor="bottom", xanchor="left", x=title.x
        )
    return figure


def loss_figure(
    metrics: Metrics, *, steps: int = 0, dark: bool = False, columns: int = 3, row_height: int = 150
) -> go.Figure:
    """Draw one panel for each loss term, "total" first: the values pale, their running mean strong.

    Every term has its own scale: terms differ by orders of magnitude. Stage borders are dashed.

    Args:
        metrics: what the training has measured.
        steps: all steps of the training, 0 where not known.
        dark: for a dark page.
        columns: panels in a row.
        row_height: height of a row in pixels.
    """
    inks = _DARK if dark else _LIGHT
    terms = list(metrics.losses)
    columns = max(1, min(columns, len(terms)))
    rows = max(1, math.ceil(len(terms) / columns))
    figure = make_subplots(
        rows, columns, subplot_titles=terms, horizontal_spacing=0.075, vertical_spacing=min(0.9 / rows, 0.3 / rows)
    )
    for i, term in enumerate(terms):
        row, column = divmod(i, columns)
        curve, where = metrics.losses[term], {"row": row + 1, "col": column + 1}
        colour = inks.total if term == "total" else inks.line
        window = max(1, curve.value.size // 25)
        smooth = _thin(Curve(curve.step, curve.smoothed(window)))
        raw = _thin(curve)
        if window > 1:
            figure.add_scatter(x=raw.step, y=raw.value, mode="lines", line={"color": colour, "width": 1}, opacity=0.25,
                               hoverinfo="skip", **where)  # fmt: skip
        figure.add_scatter(
            x=smooth.step, y=smooth.value, mode="lines+markers" if curve.step.size < 3 else "lines",
            line={"color": colour, "width": 2}, hovertemplate="%{y:.4g}<extra></extra>", **where,
        )  # fmt: skip
        for name, begin in metrics.stages[1:]:
            figure.add_vline(x=begin, line={"color": inks.faint, "width": 1, "dash": "dot"}, **where,
                             annotation={"text": name, "font": {"size": 10, "color": inks.faint}})  # fmt: skip
    for title in figure.layout.annotations[: len(terms)]:
        panel = terms.index(title.text)
        axis = figure.layout[f"xaxis{panel + 1 if panel else ''}"]
        title.update(x=axis.domain[0], xanchor="left")
    figure = _plain(figure, inks, rows * row_height + 20)
    figure.update_xaxes(range=[0, _horizon(metrics, steps)])
    return figure


def validation_figure(metrics: Metrics, *, steps: int = 0, dark: bool = False, height: int = 190) -> go.Figure:
    """Draw average mAP on the validation split over the steps, in percent; the best checkpoint is marked."""
    inks = _DARK if dark else _LIGHT
    figure = make_subplots(1, 1, subplot_titles=["average mAP (%)"])
    curve = metrics.validation.get("score")
    if curve is not None:
        percent = 100 * curve.value
        figure.add_scatter(x=curve.step, y=percent, mode="lines+markers", line={"color": inks.line, "width": 2},
                           marker={"size": 5}, hovertemplate="%{y:.1f}<extra></extra>")  # fmt: skip
        best = int(np.argmax(curve.value))
        figure.add_scatter(
            x=[curve.step[best]], y=[percent[best]], mode="markers", cliponaxis=False, hoverinfo="skip",
            marker={"size": 11, "symbol": "diamond-open", "color": inks.best, "line": {"width": 2}},
        )  # fmt: skip
        figure.layout.annotations[
            0
        ].text = f"average mAP (%) <span style='color:{inks.best}'>◇ best {percent[best]:.1f}</span>"
    for title in figure.layout.annotations:
        title.update(x=0, xanchor="left")
    figure = _plain(figure, inks, height)
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(range=[0, _horizon(metrics, steps)])
    return figure
