"""From a failure to the moment in Explore, and tags and notes that outlive a reload, in Chromium."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

pytestmark = pytest.mark.browser

Browse = Callable[..., Any]


def query(page: Any) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlparse(page.url).query).items()}


def test_a_failure_opens_in_explore(browse: Browse) -> None:
    page = browse("/failures?data=planted&run=acmnet,hamnet&tiou=0.4")
    card = page.locator("[class*='st-key-card-']").first
    card.wait_for()
    where = card.locator(".fail-where").inner_text()
    assert card.locator("img.fail-moment").evaluate("i => i.complete && i.naturalWidth > 0")
    card.get_by_text("Open in Explore").click()
    page.wait_for_url("**/explore?**")
    page.wait_for_selector(".root[data-ready='1']")
    chosen = query(page)
    assert where.startswith(chosen["video"])
    assert (chosen["run"], chosen["tiou"]) == ("runs/acmnet,runs/hamnet", "0.4")
    minutes, seconds = where.split(", ")[1].split(" to ")[0].split(":")
    page.wait_for_function("window.__wtal && window.__wtal.w > 100")
    assert float(page.evaluate("window.__wtal.t")) == pytest.approx(60 * float(minutes) + float(seconds), abs=0.1)


def test_a_kind_filters_and_tag_and_note_outlive_a_reload(browse: Browse, served_home: Path) -> None:
    (served_home / "runs" / "hamnet" / "failures.json").unlink(missing_ok=True)
    page = browse("/failures?data=planted&run=hamnet", scheme="dark")
    page.locator("[class*='st-key-card-']").first.wait_for()
    page.locator(".st-key-kind [role='toolbar'] button").first.click()
    page.wait_for_url("**kind=**")
    card = page.locator("[class*='st-key-card-']").first
    card.get_by_text("Tag or note").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tags").fill("camera moves")
    dialog.get_by_label("Tags").press("Enter")
    dialog.get_by_label("Note").fill("seen in the browser")
    dialog.get_by_role("button", name="Save").click()
    page.locator(".fail-tags", has_text="seen in the browser").first.wait_for()
    page.reload()
    page.locator(".fail-tags", has_text="seen in the browser").first.wait_for()
    assert "camera moves" in page.locator(".fail-tags").first.inner_text()
    assert "kind" in query(page), "the filter outlives the reload too"
    page.locator("[class*='st-key-card-']").first.get_by_text("Edit note").click()
    assert page.get_by_role("dialog").get_by_label("Note").input_value() == "seen in the browser"


def test_cards_fill_the_width_without_overlapping(browse: Browse) -> None:
    for width, least in ((1280, 2), (2560, 3)):
        page = browse("/failures?data=planted&run=acmnet", width=width)
        page.locator("img.fail-moment").nth(
            3
        ).wait_for()  # before, Streamlit shows placeholders without the page's style
        boxes = [card.bounding_box() for card in page.locator("[class*='st-key-card-']").all()[: least + 1]]
        row = [box for box in boxes if abs(box["y"] - boxes[0]["y"]) < 2]
        assert len(row) >= least, f"{width} px"
        for left, right in itertools.pairwise(row):
            assert left["x"] + left["width"] <= right["x"] + 1
        assert max(box["height"] for box in row) - min(box["height"] for box in row) < 2, "cards of a row align"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing runs out to the right"
