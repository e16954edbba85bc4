"""Activations on disk: one HDF5 file per run, one group per video, everything a method said kept as it was.

Layout version 1::

    /                         attributes: wtal_format = "activations", layout_version, written_by
    /shared/<digest>          class names, UTF-8, one list per distinct list
    /entries/<video>          attributes: the SnippetGrid's fields, method, classes (digest into /shared)
        cas (T, C[+1])  video_scores (C,)  [branch_cas (K, T, C[+1])]  [drop_mask (T,)]  [embedding (T, D')]
        attention/<name> (T,)      extra_cas/<name> (T, C[+1])
        boundaries/{stream, anchor, raw, refined, coherence, oic}
        tracks/<name>              attributes: kind, about (JSON: meaning, low, high, log, legend)

Sequences are float32 (what networks compute in; float64 input is rounded), boundaries keep their own type.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from wtal_core.data.hdf5 import (
    EntryFile,
    EntryWriter,
    decode_name,
    encode_name,
    read_grid,
    whole,
    whole_texts,
    write_entries,
    write_grid,
)
from wtal_core.errors import DataError
from wtal_core.records import Activations, Boundaries, Track, as_names
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["ActivationStore", "ActivationWriter", "open_activations", "write_activations"]

_KIND, _VERSION, _WHAT = "activations", 1, "a wtal activation file (.h5)"
_BOUNDARIES = ("anchor", "raw", "refined", "coherence", "oic")
_ABOUT = ("meaning", "low", "high", "log", "legend")  # of a track


class ActivationStore(Mapping[str, Activations]):
    """Read activations; a mapping `video -> Activations` that loads a video when it is asked for.

    Lazy, safe across processes and threads, and picklable. Arrays are float32 and belong to the caller.

    Raises:
        DataError: the file is missing, damaged, or not an activation file; a video is not in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._entries = EntryFile(path, _KIND, _VERSION, _WHAT)
        self.path = self._entries.path

    @property
    def videos(self) -> tuple[str, ...]:
        """Videos in the file, sorted."""
        return self._entries.names

    def read(self, video: str, *, embedding: bool = True) -> Activations:
        """Return the activations of one video.

        Args:
            video: its id.
            embedding: False leaves snippet embeddings out: they are larger than all the rest, and localization and
                tracks do without.
        """
        where = f"{self.path}: {video}"
        with self._entries.reading(video) as group:
            boundaries = _read_boundaries(group["boundaries"]) if "boundaries" in group else None
            return Activations(
                cas=whole(group["cas"]),
                video_scores=whole(group["video_scores"]),
                grid=read_grid(group.attrs, where),
                classes=self._classes(group),
                branch_cas=whole(group["branch_cas"]) if "branch_cas" in group else None,
                attention={decode_name(name): whole(group["attention"][name]) for name in group["attention"]},
                drop_mask=whole(group["drop_mask"]).astype(bool) if "drop_mask" in group else None,
                boundaries=boundaries,
                embedding=whole(group["embedding"]) if embedding and "embedding" in group else None,
                extra_cas={decode_name(name): whole(group["extra_cas"][name]) for name in group["extra_cas"]},
                method=str(group.attrs["method"]),
                tracks=_read_tracks(group["tracks"], embedding) if "tracks" in group else {},
            )

    def grid(self, video: str) -> SnippetGrid:
        """Return where a video's snippets lie in time, without reading its arrays."""
        with self._entries.reading(video) as group:
            return read_grid(group.attrs, f"{self.path}: {video}")

    def _classes(self, group: Any) -> tuple[str, ...]:
        return tuple(whole_texts(self._entries.file["shared"][str(group.attrs["classes"])]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the first video (methods use one list for all); empty where there is no video."""
        if not self.videos:
            return ()
        with self._entries.reading(self.videos[0]) as group:
            return self._classes(group)

    @property
    def method(self) -> str:
        """Name of the method that made the first video; empty where there is no video."""
        if not self.videos:
            return ""
        with self._entries.reading(self.videos[0]) as group:
            return str(group.attrs["method"])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._entries.close()

    def __getitem__(self, video: str) -> Activations:
        if video not in self.videos:
            raise KeyError(video)
        return self.read(video)

    def __iter__(self) -> Iterator[str]:
        return iter(self.videos)

    def __len__(self) -> int:
        return len(self.videos)

    def __enter__(self) -> ActivationStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ActivationWriter:
    """Write activations video by video; a crash costs one video at most, the next writer goes on after the others.

    Args:
        path: the `.h5` file. Videos that an earlier, even interrupted, writer finished are kept: ask `has(video)`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._writer = EntryWriter(path, _KIND, _VERSION, _WHAT)
        self.path = self._writer.path

    def has(self, video: str) -> bool:
        """Whether a video is already written."""
        return self._writer.has(video)

    def write(self, video: str, activations: Activations) -> None:
        """Write one video.

        Raises:
            DataError: the video is already there, or a value is too large for float32.
        """
        self._writer.add(video, lambda file, link: _fill(file, link, activations, f"activations of {video}"))

    def close(self) -> None:
        """Merge everything into the file and make it visible."""
        self._writer.finish()

    def __enter__(self) -> ActivationWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)


def _float32(values: Any, name: str, where: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    with np.errstate(over="ignore"):
        array = np.asarray(values).astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError(
            f"{name} does not fit into float32",
            expected="finite values",
            where=where,
            next_step="The method's values overflow: look for a diverged training",
        )
    return array


def _fill(file: h5py.File, link: str, activations: Activations, where: str) -> None:
    classes = list(activations.classes)
    digest = hashlib.sha1(json.dumps(classes).encode()).hexdigest()
    text = h5py.string_dtype("utf-8")
    if digest not in file["shared"]:
        file["shared"].create_dataset(digest, data=np.array(classes, dtype=object), shape=(len(classes),), dtype=text)
    group = file["entries"].create_group(link)
    write_grid(group.attrs, activations.grid)
    group.attrs["method"] = activations.method
    group.attrs["classes"] = digest
    for name in ("cas", "video_scores", "branch_cas", "embedding"):
        values = getattr(activations, name)
        if values is not None:
            group.create_dataset(name, data=_float32(values, name, where))
    if activations.drop_mask is not None:
        group.create_dataset("drop_mask", data=np.asarray(activations.drop_mask, dtype=bool))
    for room, sequences in (("attention", activations.attention), ("extra_cas", activations.extra_cas)):
        inner = group.create_group(room, track_order=True)  # the method's own order
        for name, values in sequences.items():
            inner.create_dataset(encode_name(name), data=_float32(values, f"{room}[{name!r}]", where))
    if activations.boundaries is not None:
        _write_boundaries(group.create_group("boundaries"), activations.boundaries)
    if activations.tracks:
        inner = group.create_group("tracks", track_order=True)
        for name, track in activations.tracks.items():
            _write_track(inner, encode_name(name), track, f"tracks[{name!r}]", where)


def _write_boundaries(group: h5py.Group, boundaries: Boundaries) -> None:
    stream = np.array([str(s) for s in boundaries.stream], dtype=object)
    group.create_dataset("stream", data=stream, shape=stream.shape, dtype=h5py.string_dtype("utf-8"))
    for name in _BOUNDARIES:
        group.create_dataset(name, data=np.asarray(getattr(boundaries, name)))


def _read_boundaries(group: h5py.Group) -> Boundaries:
    return Boundaries(
        stream=as_names(whole_texts(group["stream"])), **{name: whole(group[name]) for name in _BOUNDARIES}
    )


def _write_track(group: h5py.Group, link: str, track: Track, name: str, where: str) -> None:
    if track.kind == "proposals":
        _write_boundaries(group.create_group(link), track.values)
    elif track.kind == "mask":
        group.create_dataset(link, data=np.asarray(track.values, dtype=bool))
    else:
        group.create_dataset(link, data=_float32(track.values, name, where))
    about = {key: getattr(track, key) for key in _ABOUT}
    group[link].attrs["kind"], group[link].attrs["about"] = track.kind, json.dumps(about)


def _read_tracks(group: h5py.Group, embedding: bool) -> dict[str, Track]:
    found = {}
    for link in group:
        stored, kind = group[link], str(group[link].attrs["kind"])
        if kind == "embedding" and not embedding:
            continue
        values = _read_boundaries(stored) if kind == "proposals" else whole(stored)
        about = json.loads(str(stored.attrs["about"]))
        found[decode_name(link)] = Track(kind, values, **{key: about[key] for key in _ABOUT})
    return found


def write_activations(path: str | os.PathLike[str], activations: Mapping[str, Activations]) -> None:
    """Write `{video: Activations}` to a new file in one step; an existing file is replaced.

    Raises:
        DataError: a value is too large for float32, or the file cannot be written.
    """

    def fill(file: h5py.File) -> None:
        for video, values in activations.items():
            _fill(file, encode_name(video), values, f"activations of {video}")

    write_entries(path, _KIND, _VERSION, fill)


def open_activations(path: str | os.PathLike[str]) -> ActivationStore:
    """Open an activation file (see `ActivationStore`)."""
    return ActivationStore(path)
