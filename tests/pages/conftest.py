"""What the page tests share: a small workspace, made once, and the app run against it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the app needs streamlit: pip install 'wtal[app]'")

from streamlit.testing.v1 import AppTest

from tests.conftest import REPOSITORY
from tests.pages.workspace import make_workspace
from wtal_core.jobs.queue import Queue

OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a planted data set (one video file) and runs of HAM-Net, ACM-Net and CMCS; do not change it."""
    return make_workspace(tmp_path_factory.mktemp("home"), methods=("hamnet", "acmnet", "cmcs"))


@pytest.fixture
def home(small_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small workspace that may be changed; jobs are queued in it and no worker takes them."""
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    return Path(shutil.copytree(small_home, tmp_path / "home", symlinks=True))


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    """Return `open_page(page, home, **query)`: the app on a page, run once, without an exception."""

    def opened(page: str, home: Path, **query: str) -> AppTest:
        monkeypatch.setenv("WTAL_HOME", str(home))
        monkeypatch.chdir(REPOSITORY)
        app = AppTest.from_file(str(REPOSITORY / "app.py"), default_timeout=20)
        app.switch_page(page)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception, [e.value for e in app.exception]
        return app

    return opened
