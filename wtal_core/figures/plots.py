"""Interactive charts (plotly) of comparisons and diagnoses. Every colour is set here, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import plotly.graph_objects as go

from wtal_core.evaluation import FALSE_POSITIVE_KINDS, PrecisionRecall, ScoreHistogram
from wtal_core.figures.looks import LOOKS, colours

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "THEMES",
    "PlotTheme",
    "class_figure",
    "cost_figure",
    "histogram_figure",
    "interval_figure",
    "mean_ap_figure",
    "missed_figure",
    "precision_recall_figure",
    "profile_figure",
    "sensitivity_figure",
    "series_look",
    "slice_figure",
]


@dataclass(frozen=True, slots=True)
class PlotTheme:
    """Colours of a chart.

    Args:
        text, muted, grid: letters, secondary letters and lines.
        background: of the page, behind hover boxes.
        tp, fp, fn: true positives, false positives, misses.
        series: colours of compared sets; each also has its own dash and marker.
    """

    text: str
    muted: str
    grid: str
    background: str
    tp: str
    fp: str
    fn: str
    series: tuple[str, ...]


def _theme(mode: Literal["light", "dark"], muted: str, grid: str) -> PlotTheme:
    of = colours(mode)
    series = ("branch0", "branch1", "branch2", "wrong class", "branch4", "branch5", "incomplete", "double")
    return PlotTheme(
        text=of["ink"],
        muted=muted,
        grid=grid,
        background=of["paper"],
        tp=of["tp"],
        fp=of["fp"],
        fn=of["fn"],
        series=tuple(of[name] for name in series),
    )


THEMES: dict[str, PlotTheme] = {
    "light": _theme("light", "#6B7280", "#E5E7EB"),
    "dark": _theme("dark", "#9CA3AF", "#343943"),
}

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
_FONT = "Source Sans, Source Sans Pro, Segoe UI, Helvetica, Arial, sans-serif"
_MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star", "hexagon")


def series_look(theme: PlotTheme, number: int) -> dict[str, str]:
    """Return colour, dash and marker of the compared set number `number`."""
    return {
        "colour": theme.series[number % len(theme.series)],
        "dash": _DASHES[number % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def _meaning(kind: str) -> str:
    """Return the meaning of a kind of failure, or of a hit."""
    return "fn" if kind.startswith("missed") else "tp" if kind == "true positive" else kind


def kind_colour(kind: str, mode: str) -> str:
    """Return the colour of a kind of failure on a "light" or "dark" page; a miss has that of misses."""
    look = LOOKS[_meaning(kind)]
    return look.dark if mode == "dark" else look.light


def _pattern(kind: str) -> str:
    """Return the pattern of a kind in plotly's letters."""
    return LOOKS[_meaning(kind)].hatch[:1]


def _hatched(colour: str, shape: str, theme: PlotTheme) -> dict[str, Any]:
    """Return a bar marker: filled, with the pattern in the page's colour on top."""
    return {
        "color": colour,
        "line": {"width": 0.5, "color": theme.background},
        "pattern": {"shape": shape, "bgcolor": colour, "fgcolor": theme.background, "size": 7, "solidity": 0.22},
    }


def _figure(theme: PlotTheme, height: int, **layout: Any) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 34, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": theme.text, "size": 12.5, "family": _FONT},
        hoverlabel={"bgcolor": theme.background, "bordercolor": theme.grid, "font": {"color": theme.text}},
        legend={
            "orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom",
            "font": {"color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
        },
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.text},
        **layout,
    )  # fmt: skip
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zerolinecolor": theme.grid,
        "tickfont": {"color": theme.text},
        "title_font": {"color": theme.muted, "size": 12.5},
        "automargin": True,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def _percent(values: Any) -> Any:
    return 100 * np.asarray(values, dtype=np.float64)


def mean_ap_figure(
    results: Mapping[str, Mapping[float, float]], printed: Mapping[str, Mapping[float, float]], theme: PlotTheme
) -> go.Figure:
    """Draw mAP over tIoU: one line for each set, thin dotted grey ones for what papers printed.

    Args:
        results: `{name: {tIoU: mAP}}` in [0, 1].
        printed: the same of published rows.
        theme: colours.
    """
    figure = _figure(theme, 340)
    for i, (name, mean_ap) in enumerate(printed.items()):
        look = series_look(theme, i)
        figure.add_scatter(
            x=list(mean_ap),
            y=_percent(list(mean_ap.values())),
            name=f"{name} (printed)",
            mode="lines+markers",
            line={"color": theme.muted, "width": 1.2, "dash": "dot"},
            marker={"color": theme.muted, "size": 7, "symbol": f"{look['marker']}-open"},
            hovertemplate="%{y:.1f}",
        )
    for i, (name, mean_ap) in enumerate(results.items()):
        look = series_look(theme, i)
        figure.add_scatter(
            x=list(mean_ap),
            y=_percent(list(mean_ap.values())),
            name=name,
            mode="lines+markers",
            line={"color": look["colour"], "width": 2.4, "dash": look["dash"]},
            marker={"color": look["colour"], "size": 8, "symbol": look["marker"]},
            hovertemplate="%{y:.1f}",
        )
    figure.update_xaxes(title_text="tIoU")
    figure.update_yaxes(title_text="mAP %", rangemode="tozero")
    figure.update_layout(hovermode="x unified")
    return figure


def class_figure(table: pd.DataFrame, theme: PlotTheme) -> go.Figure:
    """Draw the AP of every class (rows of `table`, in their order from the top) as dots, one per set (columns)."""
    figure = _figure(theme, 90 + 24 * len(table))
    low, high = _percent(table.min(axis=1)), _percent(table.max(axis=1))
    labels = [str(label) for label in table.index]
    span_x: list[float | None] = []
    span_y: list[str | None] = []
    for label, a, b in zip(labels, low.tolist(), high.tolist(), strict=True):
        span_x += [a, b, None]
        span_y += [label, label, None]
    figure.add_scatter(
        x=span_x, y=span_y, mode="lines", line={"color": theme.grid, "width": 3}, hoverinfo="skip", showlegend=False
    )
    for i, name in enumerate(table.columns):
        look = series_look(theme, i)
        figure.add_scatter(
            x=_percent(table[name]),
            y=labels,
            name=str(name),
            mode="markers",
            marker={"color": look["colour"], "size": 10, "symbol": look["marker"]},
            hovertemplate="%{y}: %{x:.1f}",
        )
    figure.update_xaxes(title_text="AP %", range=[-2, 102], side="bottom")
    figure.update_yaxes(autorange="reversed", gridcolor="rgba(0,0,0,0)", categoryorder="array", categoryarray=labels)
    return figure


def precision_recall_figure(curves: Mapping[str, PrecisionRecall], theme: PlotTheme, *, title: str = "") -> go.Figure:
    """Draw one precision-recall curve for each set, with its envelope as a thin line."""
    figure = _figure(theme, 360)
    for i, (name, curve) in enumerate(curves.items()):
        look = series_look(theme, i)
        mean = curve.label == "mean"
        hover = "recall %{x:.1f}, precision %{y:.1f}" + ("" if mean else ", score %{customdata:.3g}")
        figure.add_scatter(
            x=_percent(curve.recall),
            y=_percent(curve.precision),
            customdata=None if mean else curve.score,
            name=name,
            legendgroup=name,
            mode="lines",
            line={"color": look["colour"], "width": 2.2, "dash": look["dash"]},
            hovertemplate=hover,
        )
        if not mean and curve.recall.size:
            figure.add_scatter(
                x=_percent(np.concatenate([[0.0], curve.recall])),
                y=_percent(np.concatenate([[curve.envelope[0]], curve.envelope])),
                legendgroup=name,
                showlegend=False,
                mode="lines",
                line={"color": look["colour"], "width": 0.8, "shape": "vh"},
                hoverinfo="skip",
            )
    figure.update_xaxes(title_text="recall %", range=[0, 101])
    figure.update_yaxes(title_text="precision %", range=[0, 103])
    if title:
        figure.update_layout(title={"text": title, "font": {"size": 13, "color": theme.text}})
    return figure


def histogram_figure(histogram: ScoreHistogram, theme: PlotTheme, *, height: int = 260) -> go.Figure:
    """Draw the scores of true positives (up) and false positives (down, hatched), each as shares of its own number."""
    figure = _figure(theme, height, barmode="overlay", bargap=0.04)
    centres = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    top = 1.0
    for name, counts, colour, sign, pattern in (
        ("true positives", histogram.true_positives, theme.tp, 1, ""),
        ("false positives", histogram.false_positives, theme.fp, -1, "/"),
    ):
        total = int(counts.sum())
        share = _percent(counts / max(total, 1))
        top = max(top, float(share.max(initial=0.0)))
        figure.add_bar(
            x=centres,
            y=sign * share,
            customdata=np.stack([counts, share], axis=1),
            name=f"{total:,} {name}",
            marker=_hatched(colour, pattern, theme),
            hovertemplate="score %{x:.3g}: %{customdata[0]:,} (%{customdata[1]:.1f} %)",
        )
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 25, 50) if 3 * s >= top)
    ticks = step * np.arange(-(top // step), top // step + 1)
    figure.update_xaxes(title_text="score")
    figure.update_yaxes(
        title_text="% of each",
        range=[-1.05 * top, 1.05 * top],
        tickvals=ticks,
        ticktext=[f"{abs(t):g}" for t in ticks],
        zerolinecolor=theme.muted,
    )
    return figure


def interval_figure(
    tables: Mapping[str, pd.DataFrame], theme: PlotTheme, *, first: str, names: Sequence[str]
) -> go.Figure:
    """Draw differences in mAP with their bootstrap intervals, one group for each compared set.

    Args:
        tables: `{name: paired_bootstrap(first, name)}`.
        theme: colours.
        first: name of the set that the others are compared with.
        names: of all sets, in the order of their colours.
    """
    figure = _figure(theme, 330)
    for name, table in tables.items():
        look = series_look(theme, list(names).index(name))
        figure.add_scatter(
            x=[t if isinstance(t, str) else f"{t:g}" for t in table.index],
            y=_percent(table["difference"]),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": _percent(table["high"] - table["difference"]),
                "arrayminus": _percent(table["difference"] - table["low"]),
                "color": look["colour"],
                "thickness": 1.6,
                "width": 5,
            },
            customdata=np.stack([_percent(table["low"]), _percent(table["high"]), table["p_value"]], axis=1),
            name=f"{name} − {first}",
            mode="markers",
            marker={"color": look["colour"], "size": 9, "symbol": look["marker"]},
            hovertemplate="%{y:+.1f} [%{customdata[0]:+.1f}, %{customdata[1]:+.1f}], p = %{customdata[2]:.3f}",
        )
    figure.add_hline(y=0, line={"color": theme.muted, "width": 1.2})
    figure.update_layout(scattermode="group", showlegend=True)
    figure.update_xaxes(title_text="tIoU", type="category")
    figure.update_yaxes(title_text="difference in mAP, points")
    return figure


def slice_figure(table: pd.DataFrame, names: Sequence[str], theme: PlotTheme) -> go.Figure:
    """Draw mAP on every slice (rows of `table`) as bars side by side, one for each set (columns `names`)."""
    figure = _figure(theme, 320, barmode="group", bargap=0.25, bargroupgap=0.06)
    for i, name in enumerate(names):
        figure.add_bar(
            x=[str(part) for part in table["slice"]],
            y=_percent(table[name]),
            customdata=table["instances"],
            name=name,
            text=[f"{100 * v:.1f}" for v in table[name]],
            textposition="outside",
            textangle=0,
            textfont={"color": theme.text, "size": 11},
            cliponaxis=False,
            marker=_hatched(series_look(theme, i)["colour"], ("", "/", ".", "\\", "x")[i % 5], theme),
            hovertemplate="%{y:.1f} on %{customdata:,} instances",
        )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text="%", rangemode="tozero")
    figure.update_layout(showlegend=True)
    return figure


def cost_figure(summary: pd.DataFrame, theme: PlotTheme, mode: str) -> go.Figure:
    """Draw what mAP would gain if every failure of a kind were repaired (rows of `Diagnosis.summary`)."""
    table = summary.sort_values("cost", ascending=True)
    kinds = [str(kind) for kind in table.index]
    figure = _figure(theme, 60 + 27 * len(table), showlegend=False)
    figure.add_bar(
        x=_percent(table["cost"]),
        y=kinds,
        orientation="h",
        customdata=np.stack([table["number"], _percent(table["share"])], axis=1),
        text=[f"+{100 * cost:.1f}" for cost in table["cost"]],
        textposition="outside",
        textfont={"color": theme.text},
        cliponaxis=False,
        marker={"color": [kind_colour(kind, mode) for kind in kinds], "line": {"width": 0}},
        hovertemplate="%{y}: %{customdata[0]:,} failures (%{customdata[1]:.1f} %), +%{x:.1f} mAP<extra></extra>",
    )
    figure.update_xaxes(title_text="mAP points gained if repaired", rangemode="tozero")
    figure.update_yaxes(gridcolor="rgba(0,0,0,0)")
    figure.update_layout(margin={"t": 8, "r": 44})
    return figure


def profile_figure(profile: pd.DataFrame, theme: PlotTheme, mode: str) -> go.Figure:
    """Draw DETAD's false-positive profile: what the top predictions are, band by band."""
    figure = _figure(theme, 380, barmode="stack", bargap=0.12)
    for kind in ("true positive", *FALSE_POSITIVE_KINDS):
        if kind not in profile or not profile[kind].any():
            continue
        figure.add_bar(
            x=[str(band) for band in profile.index],
            y=_percent(profile[kind]),
            name=kind,
            marker=_hatched(kind_colour(kind, mode), _pattern(kind), theme),
            customdata=profile["detections"],
            hovertemplate="%{y:.1f} % of %{customdata:,}",
        )
    figure.update_xaxes(title_text="top predictions (G = instances of the class)", type="category")
    figure.update_yaxes(title_text="% of predictions", range=[0, 100])
    figure.update_layout(legend={"y": 1.02, "traceorder": "normal"}, margin={"t": 64})
    return figure


def _bucket_figure(table: pd.DataFrame, column: str, theme: PlotTheme, colour: str, ink: str, title: str) -> go.Figure:
    """Draw one bar a bucket, its number in `ink` at the bar's end: inside, where no line over the bars crosses it."""
    figure = _figure(theme, 300, showlegend=False, bargap=0.2)
    rows = table[table["characteristic"] != "all"]
    figure.add_bar(
        x=[rows["characteristic"].tolist(), rows["bucket"].tolist()],
        y=_percent(rows[column]),
        customdata=np.stack([rows["range"], rows["instances"]], axis=1),
        text=[f"{100 * v:.1f}" for v in rows[column]],
        textposition="auto",
        insidetextanchor="end",
        textangle=0,
        insidetextfont={"color": ink, "size": 11},
        outsidetextfont={"color": theme.text, "size": 11},
        cliponaxis=False,
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{x}: %{y:.1f}<br>%{customdata[0]}, %{customdata[1]:,} instances<extra></extra>",
    )
    figure.update_xaxes(dividercolor=theme.grid, showgrid=False)
    figure.update_yaxes(title_text=title, rangemode="tozero")
    figure.update_layout(margin={"t": 18})
    return figure


def sensitivity_figure(table: pd.DataFrame, theme: PlotTheme) -> go.Figure:
    """Draw mAP_N by bucket of length, coverage and number of instances, with the overall value as a line."""
    figure = _bucket_figure(table, "map_n", theme, theme.tp, theme.background, "mAP_N %")
    overall = table[table["characteristic"] == "all"]["map_n"]
    if len(overall):
        figure.add_hline(
            y=100 * float(overall.iloc[0]), line={"color": theme.muted, "width": 1.4, "dash": "dash"}, layer="below"
        )
    return figure


def missed_figure(table: pd.DataFrame, theme: PlotTheme) -> go.Figure:
    """Draw the share of missed instances by bucket."""
    return _bucket_figure(table, "share", theme, theme.fn, "#14161C", "missed %")


def plotly_config(filename: str, buttons: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings every chart is shown with: no logo, SVG on download, quiet buttons."""
    return {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "svg", "filename": filename},
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", *buttons],
    }
