"""Fetch one file of a Python package as pip would find it: from find-links, the index and the extra indexes.

People's mirrors, private indexes and folders of offline machines are used by pip's own settings. pip itself is asked
for these alone: `pip download` runs the build code of a source distribution, and nothing fetched here is to be run.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from wtal_core.errors import DataError

__all__ = ["fetch_file", "index_pages", "pip_settings"]

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"


def pip_settings() -> dict[str, str]:
    """Return what pip's configuration files say; {} without pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = re.findall(r"^(?:global|install|download|user|site)\.([\w-]+)='(.*)'$", output, flags=re.MULTILINE)
    return {key: value.replace("\\n", " ") for key, value in pairs}


def _setting(name: str, settings: Mapping[str, str]) -> str:
    return os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or settings.get(name, "")


def index_pages(package: str) -> list[str]:
    """Return the addresses to look for `package` at, in pip's order."""
    settings = pip_settings()
    links = _setting("find-links", settings).split()
    indexes = []
    if _setting("no-index", settings).lower() not in ("1", "true", "yes", "on"):
        indexes = [_setting("index-url", settings) or "https://pypi.org/simple"]
        indexes += _setting("extra-index-url", settings).split()
    return links + [f"{index.rstrip('/')}/{package}/" for index in indexes]


def fetch_file(
    package: str, filename: str, folder: Path, advance: Callable[[int, int | None], None] | None = None
) -> Path:
    """Fetch a file of a package from the first place that has it; the caller checks its hash.

    Args:
        package, filename: name on the index, and of the file.
        folder: where to put it.
        advance: called with (bytes so far, bytes in all or None).

    Raises:
        DataError: no place has it or can be reached; every one is named.
    """
    tried: list[str] = []
    names = {filename, filename.replace("_", "-", package.count("-"))}
    for page in index_pages(package):
        shown = re.sub(r"//[^/@]*@", "//", page)  # no password in a message
        try:
            urls = [url for url in _offered(page) if unquote(urlsplit(url).path).rpartition("/")[2] in names]
            if urls:
                return _download(urls[0], folder / filename, advance)
            tried.append(f"{shown}: not there")
        except (OSError, ValueError, HTTPException) as error:  # HTTPException: an address that is none, a cut answer
            tried.append(f"{shown}: {getattr(error, 'reason', None) or error}")
    raise DataError(
        f"{filename} could not be fetched from the package index",
        got="; ".join(tried) or "no index is configured",
        next_step="Check the network or pip's index-url, or download it elsewhere and name the file",
        arguments=("source",),
    )


def _offered(page: str) -> list[str]:
    """Return the addresses of the files that an index page or a folder offers."""
    if "://" not in page or page.startswith("file:"):
        path = Path(url2pathname(urlsplit(page).path)) if page.startswith("file:") else Path(page)
        if (path / "index.html").is_file():
            path /= "index.html"
        elif not path.is_file():
            return [entry.resolve().as_uri() for entry in path.iterdir()] if path.is_dir() else []
        page = path.resolve().as_uri()
    with _open(page, _ACCEPT) as response:
        text, kind = response.read().decode("utf-8", "replace"), response.headers.get("Content-Type", "")
    if "json" in kind:
        return [urljoin(page, str(entry["url"])) for entry in json.loads(text).get("files", [])]
    found = re.findall(r"""<a\s[^>]*?\bhref\s*=\s*["']([^"']+)""", text, flags=re.IGNORECASE)
    return [urljoin(page, html.unescape(link)) for link in found]


def _download(url: str, target: Path, advance: Callable[[int, int | None], None] | None) -> Path:
    with _open(url) as response, target.open("wb") as out:
        total, done = int(response.headers.get("Content-Length") or 0) or None, 0
        while block := response.read(1 << 18):
            done += out.write(block)
            if advance is not None:
                advance(done, total)
    if total is not None and done != total:
        raise OSError(f"the connection broke off after {done} of {total} bytes")
    return target


def _open(url: str, accept: str = "*/*") -> Any:
    """Open an http(s) or file address; a user and password in it become basic authentication."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError(f"unknown scheme {parts.scheme!r}: http, https and file are known")
    headers = {"User-Agent": "wtal", "Accept": accept}
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    certificates = os.environ.get("PIP_CERT")
    context = ssl.create_default_context(cafile=certificates if certificates and Path(certificates).is_file() else None)
    return urllib.request.urlopen(urllib.request.Request(bare, headers=headers), timeout=60, context=context)
