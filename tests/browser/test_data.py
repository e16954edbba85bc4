"""Data in a real browser: uploads that are what they should be, and uploads that are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

Browse = Callable[..., Any]


def upload(page: Any, file: Path) -> None:
    page.get_by_role("button", name="Upload").click()
    page.locator("input[type=file]").set_input_files(str(file))


def open_import(browse: Browse, kind: str = "Detections") -> Any:
    page = browse("/data?tool=import&data=planted")
    page.get_by_text(kind, exact=True).click()
    page.get_by_text(f"{kind} of any system").wait_for()
    page.locator(".stMain").get_by_role("button", name="Upload").nth(1).wait_for(state="detached")  # of the other form
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return page


def test_uploaded_detections_are_compared(browse: Browse, tmp_path: Path) -> None:
    theirs = tmp_path / "uploaded.csv"
    theirs.write_text("video,label,start,end,score\ntest_024,Dive,1,4,0.9\ntest_025,Dive,2,5,0.4\n")
    page = open_import(browse)
    upload(page, theirs)
    page.get_by_text("2 of 2").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("is a run now").wait_for()
    page.get_by_test_id("stMain").get_by_role("link", name="Compare").click()
    page.locator("table.cmp tr", has_text="uploaded").wait_for()


NONSENSE = {
    "empty.json": (b"", "is empty (0 bytes)"),
    "picture.json": (b"\x89PNG\r\n\x1a\n\x00\x00", "is a binary file, not text"),
    "wide.json": ('{"results": {}}'.encode("utf-16"), "is not UTF-8 text"),
    "latin.csv": ("video,label,start,end,score\nvidéo,Tänz,1,2,0.5\n".encode("latin-1"), "is not UTF-8 text"),
    "<b>list.json": (b"[1, 2]", "holds no results"),
    "evil.pkl": (b"\x80\x04c__main__\nx\n.", "is not UTF-8 text"),
}


def test_nonsense_is_answered_by_a_sentence(browse: Browse, tmp_path: Path) -> None:
    page = open_import(browse)
    page.get_by_role("button", name="Upload").click()
    for name, (content, said) in NONSENSE.items():
        (tmp_path / name).write_bytes(content)
        page.locator("input[type=file]").set_input_files(str(tmp_path / name))  # takes the place of the one before
        shown = re.sub(r"[^\w.]", "_", name)
        page.get_by_test_id("stAlert").filter(has_text=f"/{shown}: {said}").wait_for()
    assert page.get_by_test_id("stException").count() == 0


def test_uploads_are_bounded(browse: Browse, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(201 * 2**20)  # a hole: takes no room
    page = open_import(browse)
    upload(page, large)
    page.get_by_text("File must be 200.0MB or smaller").wait_for()
