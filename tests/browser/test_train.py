"""Train in a real browser: a training that outlives its page and its server, is stopped, resumed, and killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Server
from wtal_core.jobs.queue import Queue
from wtal_core.runs.folder import Run

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


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.1)


@pytest.fixture
def other_server(served_home: Path, tmp_path: Path) -> Iterator[Server]:
    """Another server on the same workspace, one that may be killed."""
    server = Server(served_home, tmp_path / "other.log")
    yield server
    server.stop()


def test_a_training_outlives_page_and_server(
    browse: Callable[..., Any], other_server: Server, server: str, served_home: Path
) -> None:
    page = browse(f"{other_server.wait().url}/train")
    page.get_by_role("button", name="Start", exact=True).wait_for()
    fill(page, "steps", "20000")
    page.get_by_role("code").filter(has_text="training.steps").first.wait_for()  # in the summary of what differs
    fill(page, "Run folder", "runs/tiny")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("heading", name="tiny").wait_for()
    page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)  # the first losses
    assert panels(page)[:2] == ["total", "cls_ins"]
    progress = page.get_by_text(re.compile(r"step [\d,]+ of 20,000"))
    before = progress.first.inner_text()
    until(lambda: progress.first.inner_text() != before)  # alive, without a click
    page.get_by_role("button", name="hamnet", exact=False).first.click()  # the list is alive as well
    page.get_by_role("heading", name="hamnet").wait_for()
    page.get_by_role("button", name="tiny").click()
    page.get_by_role("heading", name="tiny").wait_for()
    link = page.url.removeprefix(other_server.url)
    page.context.close()
    os.killpg(other_server.process.pid, signal.SIGKILL)

    run = Run.open(served_home / "runs" / "tiny")
    step = run.status()["step"]
    page = browse(server + link)
    page.get_by_role("heading", name="tiny").wait_for()
    until(lambda: run.status()["step"] > step)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Resume").wait_for(timeout=60_000)
    assert run.status()["state"] == "stopped"
    done = run.status()["step"]
    assert 0 < done < 20_000
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Stop", exact=True).wait_for(timeout=60_000)
    until(lambda: run.status()["state"] == "running" and run.status()["step"] > done)

    os.kill(run.status()["pid"], signal.SIGKILL)
    page.get_by_text("The process ended without saying why").wait_for()
    page.get_by_role("button", name="Resume").wait_for()
    assert "wtal train acmnet" in page.get_by_test_id("stCode").first.inner_text()  # its last lines
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
