"""The app in a real browser: one server and one Chromium for all tests, each test in a context of its own.

Every test is bounded: after `_SECONDS` its Chromium is killed, so that whatever it waits for fails, and the next test
gets a new one. No page may write an error to the console or ask another machine for anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Missing, Server, Witness
from tests.pages.workspace import make_workspace

_SECONDS = 120.0  # for a test; the longest takes about 30 s on a quiet machine, 10 s the others
_WAIT_MILLISECONDS = 30_000  # for one thing on the page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the browser tests in one process, and end what even a killed browser does not end."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(2.5 * _SECONDS))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser; tests are skipped where it is missing."""
    try:
        found = Chromium()
    except Missing as reason:
        pytest.skip(f"browser tests: {reason}")
    yield found
    found.close()


@pytest.fixture(autouse=True)
def bounded(chromium: Chromium) -> Iterator[None]:
    """Kill the browser of a test that takes too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        chromium.kill()

    timer = threading.Timer(_SECONDS, end)
    timer.start()
    yield
    timer.cancel()
    assert not late.is_set(), f"took longer than {_SECONDS:g} s: its browser was killed"


@pytest.fixture(scope="session")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace the server shows: a planted data set with one video, runs of HAM-Net and ACM-Net."""
    return make_workspace(tmp_path_factory.mktemp("served"), methods=("hamnet", "acmnet"))


@pytest.fixture(scope="session")
def app(served_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app, running on `served_home`."""
    served = Server(served_home, tmp_path_factory.mktemp("server") / "server.log", {"WTAL_TEST_HOOK": "1"}).wait()
    yield served
    served.stop()


@pytest.fixture
def server(chromium: Chromium, app: Server) -> str:
    """URL of the app."""
    assert app.running, f"the app has ended; it said:\n{app.said()}"
    return app.url


@pytest.fixture
def browse(chromium: Chromium, server: str, bounded: None) -> Iterator[Callable[..., Any]]:
    """Return `browse(path or URL, scheme="light")`: a page that may neither complain nor leave this machine."""
    witness = Witness()
    contexts: list[Any] = []

    def opened(path: str, scheme: str = "light", width: int = 1280, height: int = 800) -> Any:
        context = chromium.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        witness.listen(context)
        page = context.new_page()
        page.set_default_timeout(_WAIT_MILLISECONDS)
        page.goto(path if path.startswith("http") else server + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not witness.problems, witness.problems
