"""Foreign features -> one native file, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from wtal_core.data.features.native import FeatureWriter
from wtal_core.data.features.store import FeatureStore, ForeignStore
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.progress import track
from wtal_core.records import VideoFeatures

__all__ = ["Conversion", "convert_features"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion did.

    Args:
        path: the file that was made.
        written: videos written now.
        kept: videos that were already there.
        snippets: snippets written now.
    """

    path: Path
    written: int
    kept: int
    snippets: int


def convert_features(
    store: FeatureStore,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float16", "float32"] = "float16",
    exclude: Iterable[str] = (),
    quiet: bool = False,
) -> Conversion:
    """Copy every video of `store` into a native feature file; an interrupted conversion goes on where it stopped.

    The SHA-256 of the source files becomes provenance where none is stated.

    Args:
        store: where the features come from.
        path: the `.h5` file to make.
        dtype: type on disk.
        exclude: videos to leave out.
        quiet: no progress bar.

    Raises:
        DataError: a video cannot be read or stored (it is named), finished videos are kept aside for the next try; or
            the file holds a video with another grid, provenance or type than asked for.
        UsageError: source and target are the same file, or an excluded video does not exist.
    """
    path = Path(path)
    source = getattr(store, "path", None)
    if source is not None and os.path.exists(path) and os.path.samefile(source, path):
        raise UsageError(
            "source and target are the same file",
            got=str(path),
            where="target",
            next_step="Name another file to write",
            arguments=("to",),
        )
    left_out = set(exclude)
    for video in sorted(left_out - set(store.videos)):
        raise unknown_name("video", video, store.videos, where="exclude", arguments=("exclude",))
    written = kept = snippets = 0
    with FeatureWriter(path, dtype=dtype) as writer:
        videos = [video for video in store.videos if video not in left_out]
        for video in track(videos, "converting", quiet=quiet):
            if writer.has(video):
                _check_kept(writer, store, video, dtype)
                kept += 1
                continue
            features = store.read(video)
            if not features.provenance.checksum and isinstance(store, ForeignStore):
                provenance = replace(features.provenance, checksum=store.checksum(video))
                features = VideoFeatures(video, features.data, features.grid, provenance)
            writer.write(features)
            written += 1
            snippets += features.data.shape[-2]
    return Conversion(path, written, kept, snippets)


def _check_kept(writer: FeatureWriter, store: FeatureStore, video: str, dtype: str) -> None:
    """Refuse to keep a video that the file holds in another form than is asked for now.

    The checksum is compared only where the source states one: hashing the source again would cost the time that
    resuming saves.
    """
    grid, provenance, stored = writer.made(video)
    wanted = store.provenance(video)
    if not wanted.checksum:
        provenance = replace(provenance, checksum="")
    asked = store.grid(video).to_dict() | asdict(wanted) | {"type": dtype}
    found = grid.to_dict() | asdict(provenance) | {"type": str(stored)}
    differing = [name for name, value in asked.items() if found[name] != value]
    if differing:
        raise DataError(
            f"holds {video!r} in another form than is asked for now",
            expected=", ".join(f"{name} {asked[name]!r}" for name in differing),
            got=", ".join(f"{name} {found[name]!r}" for name in differing),
            where=writer.path,
            next_step="Write to another file, or remove this one to convert afresh",
        )
