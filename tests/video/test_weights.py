"""Weights: fetched from a package index, checked, converted, never executed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.video.test_weight_files import Trap
from wtal_core.errors import DataError, UsageError
from wtal_core.files import read_json, sha256
from wtal_core.video import package_index, weights
from wtal_core.video.weight_files import read_arrays, sidecar_path, write_arrays
from wtal_core.video.weights import (
    WEIGHTS,
    PackagedFile,
    cache_folder,
    cached_path,
    find_weights,
    get_weights,
    identify,
    list_weights,
)

TREE = {
    "params": {"Conv": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}},
    "batch_stats": {"Conv": {"mean": np.ones(3, np.float32), "count": None}},
}
MEMBER = "toy_pkg-1.0/toy/weights.ckpt"


def make_archive(path: Path, content: bytes, member: str = MEMBER) -> Path:
    """A source distribution with one file; its setup.py must never run."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in ((member, content), ("toy_pkg-1.0/setup.py", b"raise SystemExit('setup was run')")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache folder of the test's own, and no index but the test's."""
    monkeypatch.setenv("WTAL_CACHE", str(tmp_path / "cache"))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(package_index, "pip_settings", lambda: {"no-index": "true"})


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy source distribution, and a table entry that wants it under the name "toy"."""
    folder = tmp_path / "index"
    folder.mkdir()
    content = pickle.dumps(TREE)
    archive = make_archive(folder / "toy_pkg-1.0.tar.gz", content)
    entry = replace(
        WEIGHTS["i3d-rgb"],
        name="toy",
        identity="toy-weights",
        packaged=PackagedFile(
            package="toy-pkg",
            version="1.0",
            filename=archive.name,
            archive_sha256=sha256(archive),
            member=MEMBER,
            sha256=hashlib.sha256(content).hexdigest(),
        ),
    )
    monkeypatch.setitem(weights.WEIGHTS, "toy", entry)
    return folder


def expect_toy(path: Path) -> None:
    arrays = read_arrays(path)
    assert set(arrays) == {"params|Conv|kernel", "batch_stats|Conv|mean"}
    np.testing.assert_array_equal(arrays["params|Conv|kernel"], TREE["params"]["Conv"]["kernel"])


# -- table and cache ----------------------------------------------------------------------------------------------


def test_every_entry_is_complete() -> None:
    for name, entry in WEIGHTS.items():
        assert entry.name == name
        assert entry.title
        assert entry.licence
        assert entry.where
        assert entry.layout in ("tf", "port")
        if entry.packaged:
            assert len(entry.packaged.sha256) == len(entry.packaged.archive_sha256) == 64
    assert len({entry.identity for entry in WEIGHTS.values()}) == len(WEIGHTS)


def test_the_list_says_what_is_here(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    assert {row["name"]: row["path"] for row in list_weights()}["toy"] is None
    path = get_weights("toy")
    assert {row["name"]: row["path"] for row in list_weights()}["toy"] == str(path)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, ".cache/wtal"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/wtal"),
        ("darwin", {}, "Library/Caches/wtal"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/wtal/cache"),
        ("linux", {"WTAL_CACHE": "/chosen"}, "/chosen"),
    ],
)
def test_cache_folders(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("WTAL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert str(cache_folder()).endswith(expected)


def test_a_damaged_cache_is_noticed(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(DataError, match=r"not on this machine.*wtal weights get toy"):
        find_weights("toy")
    path = get_weights("toy")
    assert find_weights("toy") == path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError, match="changed or damaged"):
        find_weights("toy")
    expect_toy(get_weights("toy", force=True))
    assert find_weights("toy") == path


def test_weights_are_known_by_content_then_by_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"a": np.arange(3.0)}
    path = write_arrays(tmp_path / "x.npz", arrays, {"identity": "mine"})
    monkeypatch.setitem(weights.WEIGHTS, "k", replace(WEIGHTS["i3d-rgb"], identity="known", content_sha256="abc"))
    assert identify(path, "abc") == "known"
    assert identify(path, "other") == "mine"
    sidecar_path(path).unlink()
    assert identify(path, "other") == ""


# -- fetching -----------------------------------------------------------------------------------------------------


class Handler(SimpleHTTPRequestHandler):
    """A package index: HTML or, for those who accept it, JSON; optionally behind a password."""

    password = ""
    form = "html"

    def do_GET(self) -> None:
        if self.password:
            wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
            if self.headers.get("Authorization") != wanted:
                self.send_error(401)
                return
        if self.path == "/simple/toy-pkg/":
            url = "../../files/toy_pkg-1.0.tar.gz"
            if self.form == "json":
                body = json.dumps({"files": [{"filename": "toy_pkg-1.0.tar.gz", "url": url}]}).encode()
                kind = "application/vnd.pypi.simple.v1+json"
            else:
                body = f'<a href="x.whl">x</a><a href="{url}#sha256=00">toy</a>'.encode()
                kind = "text/html"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(index: Path) -> Iterator[tuple[str, type[Handler]]]:
    """An index on this machine: `(address without scheme, handler to configure)`."""
    (index / "files").mkdir()
    (index / "toy_pkg-1.0.tar.gz").rename(index / "files/toy_pkg-1.0.tar.gz")

    class Own(Handler):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Own, directory=str(index)))
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{http.server_address[1]}", Own
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("form", ["html", "json"])
def test_from_an_index(
    server: tuple[str, type[Handler]], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    handler.form = form
    monkeypatch.setattr(package_index, "pip_settings", lambda: {"index-url": f"http://{address}/simple"})
    seen: list[tuple[int, int | None]] = []
    path = get_weights("toy", advance=lambda done, total: seen.append((done, total)))
    expect_toy(path)
    assert path == cached_path(WEIGHTS["toy"])
    assert seen[-1][0] == seen[-1][1]
    about = read_json(sidecar_path(path))
    assert about["identity"] == "toy-weights"
    assert about["sha256"] == sha256(path)
    assert about["source_sha256"] == WEIGHTS["toy"].packaged.sha256  # type: ignore[union-attr]
    assert about["arrays"]["batch_stats|Conv|mean"] == {"shape": [3], "dtype": "float32"}
    handler.password = "locked"  # what is here is not fetched again
    assert get_weights("toy") == path


def test_from_a_private_index_without_naming_its_password(
    server: tuple[str, type[Handler]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    handler.password = "me:s3cr@t"
    monkeypatch.setattr(package_index, "pip_settings", dict)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:wrong@{address}/simple")
    with pytest.raises(DataError, match="could not be fetched") as caught:
        get_weights("toy")
    assert "wrong" not in str(caught.value)
    assert "Unauthorized" in str(caught.value)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:s3cr%40t@{address}/simple")
    expect_toy(get_weights("toy"))


@pytest.mark.parametrize("form", ["folder", "file address", "simple folder"])
def test_from_a_folder(index: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's find-links, and an index that is a folder tree, as offline machines have."""
    if form == "simple folder":
        page = index / "simple/toy-pkg"
        page.mkdir(parents=True)
        (page / "index.html").write_text('<a href="../../toy_pkg-1.0.tar.gz">toy</a>')
        monkeypatch.setattr(package_index, "pip_settings", lambda: {"index-url": (index / "simple").as_uri()})
    else:
        monkeypatch.setenv("PIP_FIND_LINKS", str(index) if form == "folder" else index.as_uri())
    expect_toy(get_weights("toy"))


def test_from_a_file_that_is_here(index: Path, tmp_path: Path) -> None:
    expect_toy(get_weights("toy", source=index / "toy_pkg-1.0.tar.gz", out=tmp_path / "a.npz"))
    (tmp_path / "weights.ckpt").write_bytes(pickle.dumps(TREE))
    expect_toy(get_weights("toy", source=tmp_path / "weights.ckpt"))


def test_nothing_reachable(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "pip_settings", lambda: {"index-url": "http://127.0.0.1:9/simple"})
    with pytest.raises(DataError, match=r"could not be fetched.*127\.0\.0\.1:9.*name the file"):
        get_weights("toy")
    assert not cached_path(WEIGHTS["toy"]).exists()


@pytest.mark.parametrize("what", ["archive", "member", "absent", "checkpoint", "code", "empty"])
def test_what_is_not_as_it_should_be_is_refused(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    archive, mark = tmp_path / "changed.tar.gz", tmp_path / "executed"
    packaged = WEIGHTS["toy"].packaged
    assert packaged is not None
    source, message = archive, "SHA-256 differs"
    if what == "archive":
        make_archive(archive, pickle.dumps(TREE) + b" ")
    elif what == "checkpoint":
        source = tmp_path / "w.ckpt"
        source.write_bytes(pickle.dumps({**TREE, "more": 1}))
    elif what == "empty":
        archive.touch()
        message = "is empty"
    else:
        content = pickle.dumps({"params": Trap(mark)}) if what == "code" else pickle.dumps({"x": np.ones(2)})
        make_archive(archive, content, "other/name" if what == "absent" else MEMBER)
        digest = hashlib.sha256(content).hexdigest() if what == "code" else packaged.sha256
        changed = replace(packaged, archive_sha256=sha256(archive), sha256=digest)
        monkeypatch.setitem(weights.WEIGHTS, "toy", replace(WEIGHTS["toy"], packaged=changed))
        message = {"absent": "does not hold", "code": "touch|Path", "member": message}[what]
    with pytest.raises(DataError, match=message):
        get_weights("toy", source=source)
    assert not mark.exists()
    assert not cached_path(WEIGHTS["toy"]).exists()


def test_weights_that_must_be_brought_by_hand(tmp_path: Path) -> None:
    from tests.video.layouts import to_layout
    from tests.video.test_i3d import randomised

    with pytest.raises(DataError, match=r"cannot be fetched automatically.*'wtal weights get i3d-flow'"):
        get_weights("i3d-flow")
    state = {k: torch.from_numpy(v) for k, v in to_layout(randomised(2), "port").items()}
    torch.save(state, tmp_path / "flow_imagenet.pt")
    path = get_weights("i3d-flow", source=tmp_path / "flow_imagenet.pt")
    assert path == cached_path(WEIGHTS["i3d-flow"])
    assert read_json(sidecar_path(path))["source_sha256"] == sha256(tmp_path / "flow_imagenet.pt")
    with pytest.raises(DataError, match="holds no rgb weights"):
        get_weights("i3d-rgb-port", source=tmp_path / "flow_imagenet.pt")


def test_wrong_requests(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown weights 'i3d-rbg'.*Did you mean"):
        get_weights("i3d-rbg")
    with pytest.raises(UsageError, match="unknown suffix"):
        get_weights("toy", out=tmp_path / "x.pt")
    with pytest.raises(DataError, match="does not exist"):
        get_weights("toy", source=tmp_path / "nowhere.tar.gz")
