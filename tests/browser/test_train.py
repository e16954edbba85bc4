"""Train in a real browser: start a tiny training, watch its losses come, stop it, find it again, resume it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wtal_core.runs.folder import Run
from wtal_core.runs.worker import Queue

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def no_job_is_left(served_home: Path) -> Iterator[None]:
    yield
    queue = Queue(served_home)
    for job in queue.jobs():
        if job.status().open:
            queue.kill(job)
    until = time.monotonic() + 20
    while any(job.status().open for job in queue.jobs()) and time.monotonic() < until:
        time.sleep(0.1)


def fill(page: Any, label: str, text: str) -> None:
    box = page.get_by_role("textbox", name=label, exact=True)
    box.fill(text)
    box.press("Tab")


def panels(page: Any) -> list[str]:
    return [t.strip() for t in page.locator(".js-plotly-plot .annotation-text").all_text_contents()]


def test_start_watch_stop_find_again_resume(browse: Callable[..., Any], served_home: Path) -> None:
    page = browse("/train")
    page.get_by_role("button", name="Start", exact=True).wait_for()
    fill(page, "steps", "20000")
    page.get_by_role("code").filter(has_text="training.steps").first.wait_for()  # in the summary of what differs
    fill(page, "Run folder", "runs/tiny")
    page.get_by_role("button", name="Start", exact=True).click()

    page.get_by_role("heading", name="tiny").wait_for()
    page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)  # the first losses
    assert panels(page)[:2] == ["total", "cls_ins"]
    progress = page.get_by_text(re.compile(r"step [\d,]+ of 20,000"))
    progress.first.wait_for()
    before = progress.first.inner_text()
    page.wait_for_function(
        "before => [...document.querySelectorAll('p')].some(p => /step [\\d,]+ of 20,000/.test(p.innerText)"
        " && p.innerText != before)",
        arg=before,
    )  # alive, without a click
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Resume").wait_for(timeout=60_000)
    run = Run.open(served_home / "runs" / "tiny")
    assert run.status()["state"] == "stopped"
    done = run.status()["step"]
    assert 0 < done < 20_000

    other = browse(page.url.replace(page.url.split("/train")[0], ""))  # the page was closed; another is opened
    other.get_by_role("heading", name="tiny").wait_for()
    other.get_by_role("button", name="Resume").click()
    other.get_by_role("button", name="Stop", exact=True).wait_for(timeout=60_000)
    until = time.monotonic() + 60
    while run.status()["state"] != "running" or run.status()["step"] <= done:
        assert time.monotonic() < until, run.status()
        time.sleep(0.1)
    other.get_by_role("button", name="Stop", exact=True).click()
    other.get_by_role("button", name="Resume").wait_for(timeout=60_000)
    steps = [m["step"] for m in run.metrics() if m["kind"] == "losses"]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "What to do next"),
        ("/train", "optimiser steps"),
        ("/train?training=hamnet", "HAM-Net (Islam et al., AAAI 2021)"),
        ("/data?tool=check", "Examined"),
        ("/data?tool=snippets", "sees frames"),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_draw_without_errors_in_both_themes(
    browse: Callable[..., Any], path: str, text: str, scheme: str
) -> None:
    page = browse(path, scheme=scheme)
    page.get_by_text(text).first.wait_for()
    assert page.locator("[data-testid=stException]").count() == 0
    wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0  # nothing sticks out at 1280 pixels
