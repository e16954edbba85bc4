"""The app in a real browser: a server on a small workspace, and Chromium; skipped, saying so, where that is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.pages.workspace import make_workspace

_CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="browser tests need playwright: pip install playwright"
    )
    path = next((p for p in _CHROMIUM if Path(p).exists()), shutil.which("chromium"))
    if path is None:
        pytest.skip("browser tests need Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace the server shows: a planted data set with one video, runs of HAM-Net and ACM-Net."""
    return make_workspace(tmp_path_factory.mktemp("served"), methods=("hamnet", "acmnet"))


@pytest.fixture(scope="session")
def server(served_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the app, running on `served_home`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "server.log"
    environment = {**os.environ, "WTAL_HOME": str(served_home), "WTAL_TEST_HOOK": "1", "OMP_NUM_THREADS": "1"}
    options = {"server.headless": "true", "server.port": str(port), "server.fileWatcherType": "none"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    command += [part for key, value in options.items() for part in (f"--{key}", value)]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://localhost:{port}"
    try:
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(f"the app did not start:\n{log.read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail("the app did not answer within a minute")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _probing(message: Any) -> bool:
    """Whether a console message is Streamlit's own look for its server below a deep link's path, answered by 404."""
    return str(message.location.get("url", "")).endswith(("/_stcore/health", "/_stcore/host-config"))


@pytest.fixture
def browse(chromium: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Return `browse(path, scheme="light")`: a page whose console must stay free of errors."""
    problems: list[str] = []
    contexts = []

    def opened(path: str, scheme: str = "light", width: int = 1280, height: int = 800) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" and not _probing(m) else None)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.goto(server + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems, f"the browser's console reports: {problems}"
