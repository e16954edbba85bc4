"""The app's server and Chromium, as the browser tests and the README's pictures use them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tests.conftest import REPOSITORY
from wtal_core.commands.bench_app import find_chromium
from wtal_core.errors import MissingDependency

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",  # a look elsewhere fails at once, and is seen
)  # fmt: skip
_START_SECONDS = 90.0  # on a machine that is busy with other things


class Missing(Exception):
    """What browser tests need is not installed."""


class Server:
    """The app on a workspace, on a free port of this machine.

    Args:
        home: the workspace folder.
        log: file for what the server says.
        environment: variables besides those of this process.
        port: default a free one.
    """

    def __init__(
        self, home: Path, log: Path, environment: Mapping[str, str] | None = None, port: int | None = None
    ) -> None:
        self.home, self.log = home, log
        self.port = port or _free_port()
        self.url = f"http://localhost:{self.port}"
        options = {"server.headless": "true", "server.port": str(self.port)}
        command = [sys.executable, "-m", "streamlit", "run", "app.py"]
        command += [part for key, value in options.items() for part in (f"--{key}", value)]
        variables = {**os.environ, "WTAL_HOME": str(home), "OMP_NUM_THREADS": "1", **(environment or {})}
        with log.open("a") as out:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=variables, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self) -> Server:
        """Wait until it answers; raises RuntimeError with what it said where it does not."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self.running:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=5).close()
                return self
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the app did not start; it said:\n{self.said()}")

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process.poll() is None

    def said(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it, and kill it where it does not go."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Chromium:
    """A headless Chromium, started when it is first asked for, and anew after it was killed.

    Raises:
        Missing: Playwright or Chromium is not installed.
    """

    def __init__(self) -> None:
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            raise Missing("playwright is missing: pip install playwright") from None
        try:
            self._executable = find_chromium()
        except MissingDependency as error:
            raise Missing(str(error)) from None
        self._driver = sync_playwright().start()
        self._browser: Any = None
        self._pid = 0

    @property
    def browser(self) -> Any:
        """The running browser."""
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._driver.chromium.launch(executable_path=self._executable, args=list(_FLAGS))
            processes = self._browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
            self._pid = next(int(p["id"]) for p in processes if p["type"] == "browser")
        return self._browser

    def kill(self) -> None:
        """End it from another thread: whatever waits for it gets an error."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """End it and its driver."""
        if self._browser is not None:
            self._browser.close()
        self._driver.stop()


class Witness:
    """Listens to the pages of a browser context: errors on the console, and requests that leave this machine."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def listen(self, context: Any) -> None:
        """Listen to all pages of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Streamlit looks for its server below a deep link's path first, and is answered by 404.
        probing = str(message.location.get("url", "")).endswith(("/_stcore/health", "/_stcore/host-config"))
        if message.type == "error" and not probing:
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Any) -> None:
        place = urlparse(request.url)
        if place.scheme in ("http", "https", "ws", "wss") and place.hostname != "localhost":
            self.problems.append(f"leaves this machine: {request.url}")
