"""Where a package index is looked for: pip's own settings. Fetching from one is tested with the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtal_core.video.package_index import index_pages


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
