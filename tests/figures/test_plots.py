"""Charts and drawings: every colour set, both themes, the numbers that are drawn."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("plotly", reason="charts need plotly: pip install 'wtal[figures]'")

from wtal_core.analysis.failures import moment_of
from wtal_core.evaluation import (
    KINDS,
    GroundTruthIndex,
    compare_detections,
    diagnose,
    false_positive_profile,
    missed_share,
    paired_bootstrap,
    precision_recall,
    score_histogram,
    sensitivity,
    slice_by_videos,
)
from wtal_core.evaluation.benchmark import random_case
from wtal_core.figures import plots
from wtal_core.figures.looks import colours
from wtal_core.figures.moments import moment_image, moment_svg
from wtal_core.records import Detections

ROWS, TRUTH = random_case(300, 12, 3, seed=1)
OTHER = ROWS[np.arange(0, 300, 2)]
PLOTLY_DEFAULTS = {"#636efa", "#ef553b", "#00cc96", "#ab63fa", "#1f77b4", "#ff7f0e"}
PALETTE = colours("light")


def figures(mode: str) -> dict[str, Any]:
    theme = plots.THEMES[mode]
    found = diagnose(ROWS, TRUTH)
    compared = compare_detections({"a": ROWS, "b": OTHER}, TRUTH)
    label = TRUTH.classes[0]
    curves = {"a": precision_recall(ROWS, TRUTH, labels=[label])[1], "b": precision_recall(OTHER, TRUTH)[0]}
    printed = {"paper": {0.5: 0.3}}
    return {
        "mean_ap": plots.mean_ap_figure({n: compared.mean_ap(n, "activitynet") for n in "ab"}, printed, theme),
        "classes": plots.class_figure(compared.ap("activitynet"), theme),
        "curves": plots.precision_recall_figure(curves, theme, title="t"),
        "histogram": plots.histogram_figure(score_histogram(ROWS, TRUTH), theme),
        "intervals": plots.interval_figure(
            {"b": paired_bootstrap(ROWS, OTHER, TRUTH, resamples=20)}, theme, first="a", names=["a", "b"]
        ),
        "slices": plots.slice_figure(
            slice_by_videos({"a": ROWS, "b": OTHER}, GroundTruthIndex(TRUTH), {}), ["a", "b"], theme
        ),
        "cost": plots.cost_figure(found.summary, theme, mode),
        "profile": plots.profile_figure(false_positive_profile(found), theme, mode),
        "sensitivity": plots.sensitivity_figure(sensitivity(found), theme),
        "missed": plots.missed_figure(missed_share(found), theme),
    }


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_mark_has_a_colour_of_the_theme(mode: str) -> None:
    for name, figure in figures(mode).items():
        assert figure.data, name
        assert figure.layout.font.color == plots.THEMES[mode].text
        for trace in figure.data:
            colours = [c for part in (trace.marker, getattr(trace, "line", None)) if part for c in [part.color] if c]
            assert colours, f"{name}: {trace.name} has no colour of its own"
            flat = {str(c).lower() for colour in colours for c in (colour if not isinstance(colour, str) else [colour])}
            assert not flat & PLOTLY_DEFAULTS, name
        figure.to_json()


def test_what_is_drawn() -> None:
    drawn = figures("light")
    compared = compare_detections({"a": ROWS, "b": OTHER}, TRUTH)
    line = next(t for t in drawn["mean_ap"].data if t.name == "a")
    np.testing.assert_allclose(line.y, 100 * np.array(list(compared.mean_ap("a", "activitynet").values())))
    shares = np.array([trace.y for trace in drawn["profile"].data]).sum(axis=0)
    np.testing.assert_allclose(shares, 100)
    true, false = drawn["histogram"].data
    assert sum(true.y) == pytest.approx(100)
    assert sum(false.y) == pytest.approx(-100)


def test_a_set_keeps_its_colour_whoever_it_is_compared_with() -> None:
    theme = plots.THEMES["light"]
    table = paired_bootstrap(ROWS, OTHER, TRUTH, resamples=20)
    names = ["a", "b", "c"]
    figure = plots.interval_figure({"a": table, "c": table}, theme, first="b", names=names)
    assert [trace.marker.color for trace in figure.data] == [theme.series[0], theme.series[2]]


def test_scales_have_round_numbers() -> None:
    rng = np.random.default_rng(0)
    for spread in (0.01, 0.1, 1.0):
        rows = Detections(ROWS.video, ROWS.label, ROWS.start, ROWS.end, rng.normal(0, spread, len(ROWS)).round(1))
        axis = plots.histogram_figure(score_histogram(rows, TRUTH), plots.THEMES["light"]).layout.yaxis
        ticks = np.array(axis.tickvals)
        assert 3 <= len(ticks) <= 9
        assert 0 in ticks
        assert ticks[-1] <= axis.range[1]
        assert all(float(text) == abs(tick) for text, tick in zip(axis.ticktext, ticks, strict=True))


def test_compared_sets_differ_in_more_than_colour() -> None:
    looks = [plots.series_look(plots.THEMES["light"], i) for i in range(6)]
    assert len({(look["dash"], look["marker"]) for look in looks}) == 6
    for mode in ("light", "dark"):
        assert all(plots.kind_colour(kind, mode).startswith("#") for kind in KINDS)


def test_drawing_of_a_moment_is_valid_and_marked() -> None:
    found = diagnose(ROWS, TRUTH)
    for miss in (False, True):
        failure = next(f for f in found.failures.itertuples() if f.miss == miss)
        moment = moment_of(failure, TRUTH, ROWS)
        svg = moment_svg(moment, PALETTE, miss=miss, text="#000000")
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "NaN" not in svg
        assert "nan" not in svg
        width = float(root.attrib["viewBox"].split()[2])
        edges = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', svg)]
        assert all(0 <= x <= width for x in edges)
        assert ("url(#hatch)" in svg) == (not miss)
        assert moment_image(moment, PALETTE, miss=miss, text="#000000").startswith("data:image/svg+xml;base64,")


def test_names_are_escaped() -> None:
    from dataclasses import replace

    failure = next(iter(diagnose(ROWS, TRUTH).failures.itertuples()))
    moment = replace(moment_of(failure, TRUTH, ROWS), label='<script>"&')
    ElementTree.fromstring(moment_svg(moment, PALETTE, miss=False, text="#000"))
