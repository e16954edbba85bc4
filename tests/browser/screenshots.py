"""Make the README's pictures: `make screenshots` (needs Chromium and the bundled demo data).

Every page is opened in the real app at 1280 x 800, light and dark, and written to `assets/screenshots/`.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.conftest import _CHROMIUM, _FLAGS
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "assets" / "screenshots"


@dataclass(frozen=True)
class Picture:
    """One picture: the page's path with its query, and what to do before it is taken."""

    name: str
    path: str
    themes: tuple[str, ...] = ("light", "dark")
    prepare: Callable[[Any], None] | None = None


def play_to_the_middle(page: Any) -> None:
    """Let the first frames of the video decode."""
    page.wait_for_timeout(1500)


def pictures(data: str, runs: tuple[str, ...], video: str, label: str, seconds: float) -> list[Picture]:
    """Return the pictures of one data set."""
    where = f"data={data}&video={video}&class={label}&t={seconds:g}"
    first = runs[0] if runs else ""
    return [
        Picture("home", "/"),
        Picture("explore", f"/explore?{where}&run={first}", prepare=play_to_the_middle),
        Picture("explore-two-runs", f"/explore?{where}&run={','.join(runs[:2])}", prepare=play_to_the_middle),
        Picture("failures", f"/failures?data={data}&run={first}"),
        Picture("compare", f"/compare?data={data}&run={','.join(runs[:4])}"),
        Picture("train", f"/train?data={data}"),
        Picture("figures", f"/figures?{where}&run={','.join(runs[:2])}"),
        Picture("data", f"/data?data={data}"),
    ]


def serve(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the app on a workspace and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true",
               "--server.port", str(port), "--server.fileWatcherType", "none"]  # fmt: skip
    environment = {**os.environ, "WTAL_HOME": str(home)}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
            return process, url
        except OSError:
            time.sleep(0.25)
    process.terminate()
    raise SystemExit("the app did not answer within a minute")


def settled(page: Any) -> None:
    """Wait until the page has stopped running and drawing."""
    page.wait_for_selector('[data-testid="stApp"]', timeout=60_000)
    for _ in range(120):
        page.wait_for_timeout(500)
        running = page.locator('[data-testid="stStatusWidget"]').count()
        state = page.locator('[data-testid="stApp"]').first.get_attribute("data-test-script-state")
        if not running and state in (None, "notRunning"):
            break
    page.wait_for_timeout(1200)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=REPOSITORY, help="workspace folder")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the pictures")
    parser.add_argument("--data", default="demo", help="id of the data set")
    parser.add_argument("--runs", nargs="*", default=["hamnet", "cmcs", "acmnet", "acn"], help="ids of runs")
    parser.add_argument("--video", default="", help="video id")
    parser.add_argument("--class", dest="label", default="GolfSwing", help="class")
    parser.add_argument("--seconds", type=float, default=10.0, help="playhead")
    parser.add_argument("--only", nargs="*", default=[], help="names of pictures")
    chosen = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chosen.out.mkdir(parents=True, exist_ok=True)
    process, url = serve(chosen.home)
    try:
        with sync_playwright() as driver:
            path = next((p for p in _CHROMIUM if Path(p).exists()), None)
            browser = driver.chromium.launch(executable_path=path, args=list(_FLAGS))
            for picture in pictures(chosen.data, tuple(chosen.runs), chosen.video, chosen.label, chosen.seconds):
                if chosen.only and picture.name not in chosen.only:
                    continue
                for theme in picture.themes:
                    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=theme)
                    page.goto(url + picture.path)
                    settled(page)
                    if picture.prepare:
                        picture.prepare(page)
                    file = chosen.out / f"{picture.name}-{theme}.png"
                    page.screenshot(path=file)
                    page.close()
                    print(file)
            browser.close()
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
