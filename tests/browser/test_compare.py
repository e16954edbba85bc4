"""Two runs and an imported file side by side, their slices and the bootstrap, in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wtal_core.cli import main

pytestmark = pytest.mark.browser

Browse = Callable[..., Any]
VIEWS = ("Classes", "Precision-recall", "Scores", "Slices", "Significance")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_of_the_comparison(browse: Browse, scheme: str) -> None:
    page = browse("/compare?data=planted&run=acmnet,hamnet&printed=THUMOS14", scheme=scheme)
    page.locator("table.cmp tr", has_text="AAAI 2021").wait_for()
    for view in VIEWS:
        page.get_by_text(view, exact=True).click()
        page.wait_for_url(f"**view={view}**")
        chart = page.locator(".js-plotly-plot .main-svg").first
        chart.wait_for()
        assert page.locator(".stAlert [data-testid='stAlertContentError']").count() == 0, view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_imported_detections_are_compared_and_the_bootstrap_says_how_surely(browse: Browse, served_home: Path) -> None:
    folder = served_home / "runs" / "other system"
    detections, data = served_home / "runs" / "acmnet" / "detections.json", served_home / "datasets" / "planted"
    assert main(["runs", "import", str(detections), "--data", str(data), "--out", str(folder)]) == 0
    try:
        page = browse("/compare?data=planted&sets=acmnet&sets=other+system&sets=runs/hamnet&view=Significance")
        table = page.locator("table.cmp")
        same = table.locator("tr", has_text="other system").first
        same.wait_for()
        cells = same.locator("td").all_inner_texts()
        assert cells[3:] == ["±0.0", "[±0.0, ±0.0]", "1.000"], "a file with the run's own detections does not differ"
        cells = table.locator("tr", has_text="hamnet").last.locator("td").all_inner_texts()
        assert 0 < float(cells[5]) <= 1
        assert float(cells[2]) - float(cells[1]) == pytest.approx(
            float(cells[3].replace("−", "-").replace("±", "")), abs=0.11
        )
        page.get_by_text("mAP", exact=True).click()
        page.locator("table.cmp th", has_text="mAP % at tIoU").wait_for()
        rows = {name: page.locator("table.cmp tr", has_text=name).first.locator("td").all_inner_texts()[2:]
                for name in ("acmnet", "other system")}  # fmt: skip
        assert rows["acmnet"] == rows["other system"]
    finally:
        shutil.rmtree(folder)


def test_text_of_charts_grows_with_a_screen_of_4k(browse: Browse) -> None:
    def tick(width: int, height: int) -> float:
        page = browse("/compare?sets=hamnet&sets=acmnet", width=width, height=height)
        page.locator(".xtick text").first.wait_for()
        box = page.locator(".js-plotly-plot .main-svg").first.bounding_box()
        assert 0.9 * width < box["width"] < width, "the chart fills the page and does not stand out of it"
        last = page.locator(".xtick text").last.bounding_box()
        page.mouse.move(last["x"] + last["width"] / 2, box["y"] + 0.5 * box["height"])
        page.locator(".hoverlayer .legendtitletext", has_text="0.7").wait_for()  # the pointer is where it is seen
        return float(last["height"])

    assert tick(3840, 2160) == pytest.approx(1.7 * tick(1280, 800), rel=0.1)
