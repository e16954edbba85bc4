"""From a failure to the moment in Explore, and the compare page, in Chromium."""

from __future__ import annotations

from collections.abc import Callable
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
    assert (chosen["run"], chosen["tiou"]) == ("acmnet,hamnet", "0.4")
    minutes, seconds = where.split(", ")[1].split(" to ")[0].split(":")
    page.wait_for_function("window.__wtal && window.__wtal.w > 100")
    assert float(page.evaluate("window.__wtal.t")) == pytest.approx(60 * float(minutes) + float(seconds), abs=0.1)


def test_a_kind_filters_and_a_note_stays(browse: Browse) -> None:
    page = browse("/failures?data=planted&run=hamnet", scheme="dark")
    page.locator("[class*='st-key-card-']").first.wait_for()
    page.locator(".st-key-kind [role='toolbar'] button").first.click()
    page.wait_for_url("**kind=**")
    card = page.locator("[class*='st-key-card-']").first
    card.get_by_text("Tag or note").click()
    page.get_by_role("dialog").get_by_label("Note").fill("seen in the browser")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.locator(".fail-tags", has_text="seen in the browser").first.wait_for()


def test_views_of_the_comparison(browse: Browse) -> None:
    page = browse("/compare?data=planted&run=acmnet,hamnet&printed=THUMOS14")
    page.locator("table.cmp tr", has_text="AAAI 2021").wait_for()
    for view in ("Classes", "Precision-recall", "Scores", "Significance"):
        page.get_by_text(view, exact=True).click()
        page.wait_for_url(f"**view={view}**")
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
