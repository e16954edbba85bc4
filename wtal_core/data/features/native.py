"""The native feature file: HDF5, one dataset per video, grid and provenance as attributes.

Layout version 1::

    /                    attributes: wtal_format = "features", layout_version, written_by, num_videos, and what all
                         videos agree in: extractor, modalities, crop, flow_kind, fps, stride, window, dim;
                         mixed = JSON list of those they do not
    /entries/<video>     dataset (T, D) or (crops, T, D), float16 (or float32), not compressed, chunked by time
                         attributes: fps, stride, window, num_snippets, offset, duration (the SnippetGrid; duration =
                         source duration in seconds, absent where unknown), extractor, modalities (JSON, channel order),
                         crop, flow_kind, checksum (the Provenance), digest (BLAKE2b-128 of the stored bytes)

Why so: gzip costs 35 times the reading time for 5 % of size on features, and half precision halves the disk at an error
far below what a network notices. Snippet features beyond half precision's range (65,504) are refused, never clipped.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from typing import Any, Literal

import h5py
import numpy as np

from wtal_core.arrays import Array, Float32Array
from wtal_core.data.features.store import StoredVideos
from wtal_core.data.hdf5 import EntryFile, EntryWriter, read_grid, whole, write_grid
from wtal_core.errors import DataError, and_more, unknown_name
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["FeatureWriter", "HDF5Store", "array_digest", "to_float32"]

_KIND, _VERSION, _WHAT = "features", 1, "a wtal feature file (.h5)"

#: Snippets per chunk: 64 x 2048 half-precision channels are 256 KiB, inside HDF5's default 1 MiB chunk cache.
_CHUNK_SNIPPETS = 64


def array_digest(stored: Array) -> str:
    """Return the BLAKE2b-128 of an array's bytes (little-endian, C order), 32 hexadecimal digits."""
    plain = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<"))
    return hashlib.blake2b(plain.data, digest_size=16).hexdigest()


@lru_cache(maxsize=1)
def _half_values() -> Float32Array:
    """The float32 value of each of the 65,536 half-precision bit patterns."""
    return np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)


def to_float32(stored: Array) -> Float32Array:
    """Widen to float32, exactly. A table look-up is about 5 times as fast as NumPy's half-precision cast."""
    if stored.dtype != np.float16:
        return stored.astype(np.float32, copy=False)
    native = np.ascontiguousarray(stored, dtype=np.float16)
    widened: Float32Array = np.take(_half_values(), native.view(np.uint16), mode="clip")
    return widened


def _read_provenance(attributes: Any) -> Provenance:
    return Provenance(
        extractor=str(attributes["extractor"]),
        modalities=tuple((str(name), int(width)) for name, width in json.loads(attributes["modalities"])),
        crop=str(attributes["crop"]),
        flow_kind=str(attributes["flow_kind"]),
        checksum=str(attributes["checksum"]),
    )


class HDF5Store(StoredVideos):
    """Read a native feature file.

    Opening reads the list of videos only. Safe across forks, pickling and threads; see `EntryFile`.

    Raises:
        DataError: the file is missing, damaged, or not a native feature file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._entries = EntryFile(path, _KIND, _VERSION, _WHAT)
        self.path = self._entries.path
        self.videos = self._entries.names  # sorted

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""
        with self._entries.reading(video) as dataset:
            shape = tuple(int(n) for n in dataset.shape)
            if len(shape) not in (2, 3) or 0 in shape:
                raise ValueError(f"its shape is {shape}")
            return shape

    def dtype(self, video: str) -> np.dtype[Any]:
        """Return the type on disk."""
        with self._entries.reading(video) as dataset:
            stored: np.dtype[Any] = np.dtype(dataset.dtype)
            return stored

    def grid(self, video: str) -> SnippetGrid:
        """Return where the T snippets lie in time."""
        with self._entries.reading(video) as dataset:
            return read_grid(dataset.attrs, f"{self.path}: {video}")

    def provenance(self, video: str) -> Provenance:
        """Return what made the features."""
        with self._entries.reading(video) as dataset:
            return _read_provenance(dataset.attrs)

    def digest(self, video: str) -> str:
        """Return the digest of the stored bytes that was taken when they were written."""
        with self._entries.reading(video) as dataset:
            return str(dataset.attrs["digest"])

    def read(self, video: str) -> VideoFeatures:
        """Return the features of one video as float32."""
        with self._entries.reading(video) as dataset:
            return VideoFeatures(
                video,
                to_float32(whole(dataset)),
                read_grid(dataset.attrs, f"{self.path}: {video}"),
                _read_provenance(dataset.attrs),
            )

    def read_stored(self, video: str) -> Array:
        """Return the array of one video in the type it has on disk."""
        with self._entries.reading(video) as dataset:
            stored: Array = whole(dataset)
            return stored

    def read_snippets(self, video: str, start: int = 0, stop: int | None = None) -> Float32Array:
        """Return the snippets `start..stop` (as in a Python slice) only, `(t, D)` or `(crops, t, D)`, as float32."""
        with self._entries.reading(video) as dataset:
            return to_float32(dataset[..., start:stop, :])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._entries.close()


class FeatureWriter:
    """Write a native feature file video by video; resumable, and safe against crashes (see `wtal_core.data.hdf5`).

    >>> with FeatureWriter("features.h5") as writer:                                      # doctest: +SKIP
    ...     for features in extracted:
    ...         if not writer.has(features.video):
    ...             writer.write(features)

    The file appears, or grows, when the block is left without an exception. Several processes may write shards of the
    same file at once.

    Args:
        path: the `.h5` file. Videos that an earlier, even interrupted, writer finished are kept: ask `has(video)`.
        dtype: type on disk.
        allow_mixed: accept videos of another extractor, width or crop than those already in the file.

    Raises:
        DataError: `path` is a folder, cannot be written, or is not a native feature file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: Literal["float16", "float32"] = "float16",
        allow_mixed: bool = False,
    ) -> None:
        if dtype not in ("float16", "float32"):
            raise unknown_name("dtype", dtype, ["float16", "float32"])
        self._dtype = np.dtype(dtype)
        self._allow_mixed = allow_mixed
        self._writer = EntryWriter(path, _KIND, _VERSION, _WHAT, _summarise)
        self.path = self._writer.path
        self._like: tuple[Any, ...] | None = self._writer.any_entry(
            lambda dataset: _signature(_read_provenance(dataset.attrs), dataset.shape)
        )

    def has(self, video: str) -> bool:
        """Whether the video is already written, by this writer or an earlier one."""
        return self._writer.has(video)

    def made(self, video: str) -> tuple[SnippetGrid, Provenance, np.dtype[Any]]:
        """Return grid, provenance and type on disk of a video that is already written."""
        facts: tuple[SnippetGrid, Provenance, np.dtype[Any]] = self._writer.look_at(
            video,
            lambda dataset: (
                read_grid(dataset.attrs, f"{self.path}: {video}"),
                _read_provenance(dataset.attrs),
                np.dtype(dataset.dtype),
            ),
        )
        return facts

    def write(self, features: VideoFeatures) -> None:
        """Write one video.

        Raises:
            DataError: there are no snippets; a value is NaN, infinite or beyond the range of the type on disk; the
                video is already there; or it has another extractor, width or crop than the file (`allow_mixed`).
        """
        where = f"{self.path}: {features.video}"
        if features.data.shape[-2] == 0 or 0 in features.data.shape:
            raise DataError(
                "the features are empty",
                expected="at least one snippet",
                got=str(features.data.shape),
                where=where,
                next_step="Leave this video out: it is shorter than one snippet",
            )
        signature = _signature(features.provenance, features.data.shape)
        if self._like is not None and signature != self._like and not self._allow_mixed:
            names = ("extractor", "modalities", "crop", "flow kind", "channels", "dimensions")
            differing = [i for i, (a, b) in enumerate(zip(signature, self._like, strict=True)) if a != b]
            raise DataError(
                "the features are of another kind than those already in the file",
                expected=", ".join(f"{names[i]} {self._like[i]!r}" for i in differing),
                got=", ".join(f"{names[i]} {signature[i]!r}" for i in differing),
                where=where,
                next_step="Write them to another file",
            )
        stored = self._convert(features.data, where)
        self._writer.add(features.video, lambda file, link: _fill(file, link, stored, features))
        self._like = self._like or signature

    def _convert(self, data: Array, where: str) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            stored = np.ascontiguousarray(data, dtype=self._dtype)
        if np.isfinite(stored).all():
            return stored
        broken = ~np.isfinite(data)
        first = np.argwhere(broken if broken.any() else ~np.isfinite(stored))[0]
        place = f"{where}, snippet {first[-2]}, channel {first[-1]}" + (f", crop {first[0]}" if data.ndim == 3 else "")
        if broken.any():
            raise DataError(
                "a value is not finite",
                expected="no NaN and no infinity",
                got=f"{data[tuple(first)]}{and_more(int(broken.sum()))}",
                where=place,
                next_step="Extract this video again, or leave it out",
                arguments=("exclude",),
            )
        raise DataError(
            f"a value is beyond the range of {self._dtype}",
            expected=f"|value| <= {np.finfo(self._dtype).max:g}",
            got=f"{data[tuple(first)]:g}",
            where=place,
            next_step="Write float32, or check the features: activations are seldom above 100",
            arguments=("dtype",),
        )

    def close(self) -> None:
        """Merge everything into the file and make it visible."""
        self._writer.finish()

    def abandon(self) -> None:
        """Leave without touching the file; finished videos stay aside for the next writer."""
        self._writer.abandon()

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)


def _signature(provenance: Provenance, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return (
        provenance.extractor,
        provenance.modalities,
        provenance.crop,
        provenance.flow_kind,
        int(shape[-1]),
        len(shape),
    )


def _fill(file: h5py.File, link: str, stored: Array, features: VideoFeatures) -> None:
    *crops, snippets, channels = stored.shape
    dataset = file["entries"].create_dataset(
        link, data=stored, chunks=(*(1 for _ in crops), min(snippets, _CHUNK_SNIPPETS), channels)
    )
    write_grid(dataset.attrs, features.grid)
    provenance = features.provenance
    dataset.attrs["extractor"] = provenance.extractor
    dataset.attrs["modalities"] = json.dumps([list(m) for m in provenance.modalities])
    dataset.attrs["crop"] = provenance.crop
    dataset.attrs["flow_kind"] = provenance.flow_kind
    dataset.attrs["checksum"] = provenance.checksum
    dataset.attrs["digest"] = array_digest(stored)


def _summarise(file: h5py.File) -> None:
    """Write at the root what all videos share, so that one look at the file says what it is."""
    keys = ("extractor", "modalities", "crop", "flow_kind", "fps", "stride", "window")
    values: dict[str, set[Any]] = {key: set() for key in (*keys, "dim")}
    for dataset in file["entries"].values():
        for key in keys:
            values[key].add(dataset.attrs[key])
        values["dim"].add(int(dataset.shape[-1]))
    mixed = []
    for key, found in values.items():
        file.attrs.pop(key, None)
        if len(found) == 1:
            file.attrs[key] = next(iter(found))
        elif found:
            mixed.append(key)
    file.attrs["num_videos"] = len(file["entries"])
    file.attrs["mixed"] = json.dumps(mixed)
