"""Per-video array files: `.npy` and `.npz`, one per video, or one per video and stream."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.safe_load import PART_BYTES, load_npy, load_npz, npy_header
from wtal_core.errors import DataError, unknown_name
from wtal_core.files import sha256, stem, visible

__all__ = [
    "STREAMS",
    "PerVideoArrays",
    "StreamFiles",
    "check_shape",
    "combined_sha256",
    "find_streams",
    "part_snippets",
    "read_file",
    "shape_of_file",
    "start_of_file",
]


#: The streams of a two-stream network in the channel order the field uses.
STREAMS = ("rgb", "flow")

_STREAM_NAME = re.compile(r"^(?P<video>.+)[-_.](?P<stream>rgb|flow)$", re.IGNORECASE)

#: Names of the feature array in `.npz` files, in the order they are looked for.
_NPZ_KEYS = ("feature", "features", "feat", "feats", "data", "x", "arr_0")


def _npz_key(names: list[str], path: Path) -> str:
    if len(names) == 1:
        return names[0]
    for key in _NPZ_KEYS:
        if key in names:
            return key
    raise DataError(
        "holds several arrays and none is named as features are",
        expected=f"one array, or one named {', '.join(_NPZ_KEYS)}",
        got=", ".join(names[:8]) or "nothing",
        where=path,
        next_step="Save the features alone, or under one of these names",
    )


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> tuple[int, ...]:
    """Return `shape` if it can be features, or raise `DataError`."""
    if len(shape) not in (2, 3) or 0 in shape or dtype.kind not in "fiu":
        raise DataError(
            "is not a feature array",
            expected="numbers of shape (snippets, channels) or (crops, snippets, channels)",
            got=f"{shape} {dtype}",
            where=path,
            next_step="Save one number array a video; 'wtal data explain' says more about this file",
        )
    return shape


def shape_of_file(path: Path) -> tuple[int, ...]:
    """Return the shape of the features in a `.npy` or `.npz` file without reading them."""
    if path.suffix.lower() == ".npz":
        with load_npz(path) as archive:
            header = archive.header(_npz_key(list(archive), path))
    else:
        header = npy_header(path)
    return check_shape(header.shape, header.dtype, path)


def read_file(path: Path) -> Array:
    """Return the features in a `.npy` or `.npz` file as they are stored."""
    if path.suffix.lower() == ".npz":
        with load_npz(path) as archive:
            array = archive[_npz_key(list(archive), path)]
    else:
        array = load_npy(path)
    check_shape(array.shape, array.dtype, path)
    return array


def part_snippets(shape: tuple[int, ...], itemsize: int) -> int:
    """Return how many snippets of an array `(T, D)` or `(crops, T, D)` lie in `PART_BYTES`, at least one."""
    crops = shape[0] if len(shape) == 3 else 1
    return max(min(shape[-2], PART_BYTES // max(crops * shape[-1] * itemsize, 1)), 1)


def start_of_file(path: Path) -> Array:
    """Return the first snippets of the features in a `.npy` or `.npz` file, all where they are few.

    Of crops that lie in a packed file one after the other, it is the first snippets of the first one.
    """
    shape = shape_of_file(path)
    if path.suffix.lower() != ".npz":
        mapped = load_npy(path, mmap=True)
        return np.array(mapped[..., : part_snippets(shape, mapped.dtype.itemsize), :])
    with load_npz(path) as archive:
        return archive.snippets(_npz_key(list(archive), path))


class PerVideoArrays:
    """A folder of `<video>.npy` or `<video>.npz`, or one such file.

    Args:
        path: the folder (searched without sub-folders) or the file.
        files: the files to take instead of all in the folder.
    """

    def __init__(self, path: Path, files: list[Path] | None = None) -> None:
        self.path = path
        if files is None:
            files = [path] if os.path.isfile(path) else _array_files(path)
        self._files: dict[str, Path] = {}
        for file in files:
            video = stem(file)
            if video in self._files:
                raise DataError(
                    "two files hold the same video",
                    got=f"{self._files[video].name} and {file.name}",
                    where=path,
                    next_step="Keep one of the two",
                )
            self._files[video] = file
        self.videos = tuple(self._files)

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D)` or `(crops, T, D)`."""
        return shape_of_file(self._files[video])

    def array(self, video: str) -> Array:
        """Return the array of one video."""
        return read_file(self._files[video])

    def start(self, video: str) -> Array:
        """Return the first snippets of one video, all where they are few."""
        return start_of_file(self._files[video])

    def modalities(self, video: str) -> tuple[tuple[str, int], ...]:
        """Return `()`: the file does not tell."""
        return ()

    def num_frames(self, video: str) -> int | None:
        """Return None: the file does not tell."""
        return None

    def checksum(self, video: str) -> str:
        """Return the SHA-256 of the video's file."""
        return sha256(self._files[video])

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""


def _array_files(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.suffix.lower() in (".npy", ".npz")]


def find_streams(folder: Path) -> tuple[dict[str, dict[str, Path]], list[Path]]:
    """Return `({video: {stream: file}}, files that do not belong)` of a folder with one file per video and stream.

    Streams are told by `<video>-rgb.*` and `<video>-flow.*` (also `_` or `.` before the stream) or by the sub-folders
    `rgb` and `flow`. As soon as one video has both streams, those with one are among the files that do not belong;
    where all have the same one (an RGB-only set), that is what the set is. Among more files without a stream, a name
    such as `lava_flow.npy` means no stream either.
    """
    found: dict[str, dict[str, Path]] = {}
    other: list[Path] = []
    folders = {p.name.lower(): p for p in folder.iterdir() if p.is_dir() and p.name.lower() in STREAMS}
    if folders:
        for stream, inner in folders.items():
            for file in _array_files(inner):
                name = _STREAM_NAME.match(stem(file))
                found.setdefault(name["video"] if name else stem(file), {})[stream] = file
    else:
        for file in _array_files(folder):
            if name := _STREAM_NAME.match(stem(file)):
                found.setdefault(name["video"], {})[name["stream"].lower()] = file
            else:
                other.append(file)
    kinds = {tuple(streams) for streams in found.values()}
    wanted = len(STREAMS) if len(kinds) > 1 or any(len(kind) > 1 for kind in kinds) else 1
    if wanted == 1 and len(other) > len(found):
        found = {}
        other = _array_files(folder)
    videos = {
        video: {stream: streams[stream] for stream in STREAMS if stream in streams}
        for video, streams in sorted(found.items())
        if len(streams) == wanted
    }
    other += [file for video, streams in found.items() if video not in videos for file in streams.values()]
    return videos, sorted(other)


class StreamFiles:
    """Separate RGB and flow files of each video, joined to the channels `[rgb, flow]`.

    Args:
        path: the folder.
        lengths: what to do where the streams differ in length (flow often has one snippet less, because it has one
            frame less): "same" refuses, "trim" cuts both to the shorter one.
    """

    def __init__(self, path: Path, lengths: Literal["same", "trim"] = "same") -> None:
        if lengths not in ("same", "trim"):
            raise unknown_name("treatment of lengths", lengths, ["same", "trim"])
        self.path = path
        self._lengths = lengths
        self._files, self.unpaired = find_streams(path)
        self.videos = tuple(self._files)

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(T, D_rgb + D_flow)` or `(crops, T, D_rgb + D_flow)`."""
        shapes = {stream: shape_of_file(file) for stream, file in self._files[video].items()}
        first = next(iter(shapes.values()))
        return (*first[:-2], self._common_length(video, shapes), sum(shape[-1] for shape in shapes.values()))

    def _common_length(self, video: str, shapes: dict[str, tuple[int, ...]]) -> int:
        crops, lengths = {shape[:-2] for shape in shapes.values()}, {shape[-2] for shape in shapes.values()}
        if len(crops) > 1 or (len(lengths) > 1 and self._lengths != "trim"):
            raise DataError(
                f"the streams of {video} differ in {'crops' if len(crops) > 1 else 'length'}",
                expected=f"equal numbers of {'crops' if len(crops) > 1 else 'snippets'}",
                got=", ".join(f"{stream} {shape}" for stream, shape in shapes.items()),
                where=next(iter(self._files[video].values())),
                next_step="Cut both to the shorter one: lengths='trim'"
                if len(crops) == 1
                else "Extract both streams with the same crops",
                arguments=("lengths",) if len(crops) == 1 else (),
            )
        return min(lengths)

    def array(self, video: str) -> Array:
        """Return the streams joined along the channels."""
        arrays = {stream: read_file(file) for stream, file in self._files[video].items()}
        t = self._common_length(video, {stream: array.shape for stream, array in arrays.items()})
        return np.concatenate([array[..., :t, :] for array in arrays.values()], axis=-1)

    def start(self, video: str) -> Array:
        """Return the first snippets of one video, all where they are few."""
        self.shape(video)  # the streams fit together
        parts = [start_of_file(file) for file in self._files[video].values()]
        t, crops = min(part.shape[-2] for part in parts), min(part.shape[:-2] for part in parts)
        return np.concatenate([part[: crops[0], :t] if crops else part[:t] for part in parts], axis=-1)

    def modalities(self, video: str) -> tuple[tuple[str, int], ...]:
        """Return the streams and their widths."""
        return tuple((stream, shape_of_file(file)[-1]) for stream, file in self._files[video].items())

    def num_frames(self, video: str) -> int | None:
        """Return None: the files do not tell."""
        return None

    def checksum(self, video: str) -> str:
        """Return the SHA-256 over the files' digests."""
        return combined_sha256(*self._files[video].values())

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""


def combined_sha256(*files: Path) -> str:
    """Return the SHA-256 of the files' SHA-256 digests, in the order given."""
    import hashlib

    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()
