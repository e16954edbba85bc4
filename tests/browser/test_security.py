"""What leaves this machine, and what is served to it: nothing but the app, on localhost, by the ids of data sets.

That no page asks another host for anything is watched in every browser test (`tests.browser.chromium.Witness`).
"""

from __future__ import annotations

import http.client
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.chromium import Server
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.browser


def raw(server: Server, path: str) -> tuple[int, bytes]:
    """Ask for a path as it is, without a client that tidies it up."""
    connection = http.client.HTTPConnection("localhost", server.port, timeout=20)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_settings_keep_the_app_on_this_machine() -> None:
    settings = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "localhost"
    assert settings["server"]["maxUploadSize"] <= 200
    assert settings["server"]["enableStaticServing"] is False
    assert settings["server"]["showEmailPrompt"] is False  # a first start would wait for an answer in the terminal
    assert settings["server"]["fileWatcherType"] == "none"  # it watches .venv too, and floods the terminal
    assert settings["browser"]["gatherUsageStats"] is False


def test_other_machines_are_not_answered(app: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a datagram socket sends nothing by this; it learns its own address
            address = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address besides localhost")
    if address.startswith("127."):
        pytest.skip("this machine has no address besides localhost")
    with pytest.raises(OSError):  # noqa: PT011
        socket.create_connection((address, app.port), timeout=5).close()


@pytest.mark.parametrize("route", ["video", "frame"])
def test_files_are_served_by_id_only(app: Server, served_home: Path, tmp_path: Path, route: str) -> None:
    secret = served_home / "datasets" / "planted" / "videos" / ".." / ".." / ".." / "secret.mp4"
    secret.write_bytes(b"not for the browser")
    steps = ["../../../secret", "..\\..\\..\\secret", "../../../secret.mp4", str(served_home / "secret.mp4"),
             "test_024.mp4/../../../../secret", "test_024\0.mp4", "../annotations.json", "../dataset.yaml"]  # fmt: skip
    for step in steps:
        for text in (step, quote(step, safe=""), quote(quote(step, safe=""), safe="")):
            if not text.isprintable() or " " in text:
                continue
            for dataset in ("datasets/planted", "..", quote("../planted", safe=""), quote(str(served_home), safe="")):
                status, body = raw(app, f"/{route}/{dataset}/{text}")
                assert status in (400, 404) or b"<title>" in body, (dataset, text, status)  # or the app's own page
                assert b"not for the browser" not in body
                assert b"splits:" not in body
    assert raw(app, f"/{route}/datasets/planted/test_024")[0] == 200


def test_no_page_brings_anything_from_elsewhere(browse: Callable[..., Any], server: str) -> None:
    page = browse("/")
    page.get_by_text("What to do next").first.wait_for()
    asked = page.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    assert any(name.endswith(".woff2") for name in asked), "fonts come from the app itself"
    assert all(name.startswith((server, "data:", "blob:")) for name in asked), asked
