"""Figures in Chromium: compose, look, save; the files are what the preview shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from wtal_core.figures.spec import FigureSpec

pytestmark = pytest.mark.browser

Browse = Callable[..., Any]


def saved(page: Any, label: str) -> bytes:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()  # the buttons are the new ones
    with page.expect_download() as download:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(download.value.path()).read_bytes()


def shown(page: Any) -> str:
    return str(page.locator(".paper img").get_attribute("src"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_export_flow(browse: Browse, scheme: str) -> None:
    page = browse("/figures?run=hamnet&video=test_024", scheme=scheme)
    image = page.locator(".paper img")
    image.wait_for()
    assert image.bounding_box()["width"] == pytest.approx(3.25 * 1.5 * 96, abs=1)
    page.get_by_text("True size", exact=True).click()
    page.wait_for_function("document.querySelector('.paper img').getBoundingClientRect().width < 320")
    before = shown(page)
    page.locator(".st-key-fig-row-0-drop button").first.click()
    page.wait_for_function("s => document.querySelector('.paper img').src !== s", arg=before)
    pdf = saved(page, "PDF")
    assert pdf.startswith(b"%PDF")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf, "TrueType fonts are embedded"
    svg = ElementTree.fromstring(saved(page, "SVG"))
    assert svg.tag.endswith("}svg")
    assert "Ground truth" in " ".join("".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text"))
    png = Image.open(io.BytesIO(saved(page, "PNG")))
    png.load()
    assert png.width == round(3.25 * 300)
    spec = FigureSpec.parse(saved(page, "Spec").decode())
    assert spec.video == "test_024"
    assert next(row.kind for row in spec.rows) == "ground_truth", "the key frames were taken out"
    background = image.evaluate("e => getComputedStyle(e.parentElement).backgroundColor")
    assert background == "rgb(255, 255, 255)", "paper is white in both themes"
