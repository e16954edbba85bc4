"""The feature files of CMCS (Liu, Jiang and Wang, CVPR 2019): all crops at a dense base stride, two files a video.

`<video>-rgb.npz` and `<video>-flow.npz` with `feature` and the scalar `frame_cnt`. I3D files hold `(B, T0, 1024)`,
UntrimmedNet files `(T0, B, 1024, 1, 1)`; B is 10 (5 crops and their mirror images) or 1. The base stride is not in the
file: on THUMOS14 it is 4 frames (I3D) or 5 (UntrimmedNet) at each video's own frame rate, on ActivityNet 16 or 15
frames at 25 fps. The model works on every f-th snippet (16 / 4 = 4); see `sample_rate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.features.arrays import combined_sha256, find_streams
from wtal_core.data.safe_load import PART_BYTES, load_npz
from wtal_core.errors import DataError, shortened

__all__ = ["CmcsFiles", "is_cmcs_file", "look_at_cmcs", "start_of_cmcs"]


def is_cmcs_file(path: Path) -> bool:
    """Whether a `.npz` holds `feature` and `frame_cnt`."""
    if path.suffix.lower() != ".npz":
        return False
    with load_npz(path) as archive:
        return {"feature", "frame_cnt"} <= set(archive)


@dataclass(frozen=True)
class CmcsStream:
    """What one file holds: `shape` is `(crops, snippets, channels)`, however they are stored."""

    shape: tuple[int, int, int]  # (B, T0, D)
    untrimmednet: bool
    num_frames: int


def look_at_cmcs(path: Path) -> CmcsStream:
    """Return what a file holds without reading its features.

    Raises:
        DataError: an array is missing, or has the wrong shape or type.
    """
    with load_npz(path) as archive:
        missing = {"feature", "frame_cnt"} - set(archive)
        if missing:
            raise DataError(
                "is not a CMCS feature file",
                expected="the arrays 'feature' and 'frame_cnt'",
                got=", ".join(archive) or "nothing",
                where=path,
                next_step="Name the folder of CMCS's .npz files; 'wtal data explain' says what this file is",
            )
        shape, dtype = archive.header("feature").shape, archive.header("feature").dtype
        header = archive.header("frame_cnt")
        count = np.asarray(archive["frame_cnt"]) if math.prod(header.shape) == 1 else np.zeros(0)
    untrimmednet = len(shape) == 5 and shape[3:] == (1, 1)
    if not (untrimmednet or len(shape) == 3) or 0 in shape or dtype.kind not in "fiu":
        raise DataError(
            "'feature' has the wrong shape or type",
            expected="(crops, snippets, channels), or (snippets, crops, channels, 1, 1) for UntrimmedNet",
            got=f"{shape} {dtype}",
            where=path,
            next_step="Take the file as CMCS's extraction writes it, or convert per-video .npy instead",
        )
    if count.size != 1 or count.dtype.kind not in "iuf" or not 0 < float(count.reshape(-1)[0]) < 2**53:
        raise DataError(
            "'frame_cnt' is wrong",
            expected="one number > 0",
            got=f"shape {header.shape}, {shortened(repr(count.tolist()))}",
            where=path,
            next_step="Extract this video again",
        )
    crops, snippets = (shape[1], shape[0]) if untrimmednet else (shape[0], shape[1])
    return CmcsStream((crops, snippets, shape[2]), untrimmednet, int(count.reshape(-1)[0]))


def _read(path: Path) -> Array:
    stream = look_at_cmcs(path)
    with load_npz(path) as archive:
        array = archive["feature"]
    if stream.untrimmednet:
        array = array[:, :, :, 0, 0].swapaxes(0, 1)  # (T0, B, D, 1, 1) -> (B, T0, D)
    return array


def start_of_cmcs(path: Path) -> Array:
    """Return the first snippets of a file `(B, T0, D)`, all where they are few; those of the first crop where long."""
    stream = look_at_cmcs(path)
    crops, snippets, width = stream.shape
    with load_npz(path) as archive:
        if not stream.untrimmednet:
            return archive.snippets("feature")
        header = archive.header("feature")
        if header.fortran_order or crops * snippets * width * header.dtype.itemsize <= PART_BYTES:
            return _read(path)
        flat = archive.start("feature")
    rows = flat.size // (crops * width)
    return flat[: rows * crops * width].reshape(rows, crops, width).swapaxes(0, 1)  # (T0, B, D, 1, 1) -> (B, T0, D)


class CmcsFiles:
    """A folder of CMCS `.npz` files; arrays are `(B, T0, D)` at the base stride, streams joined as `[rgb, flow]`.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files, self.unpaired = find_streams(path)
        self.videos = tuple(self._files)

    def _streams(self, video: str) -> dict[str, CmcsStream]:
        files = self._files[video]
        streams = {name: look_at_cmcs(file) for name, file in files.items()}
        if len({(stream.shape[:2], stream.num_frames) for stream in streams.values()}) > 1:
            raise DataError(
                f"the streams of {video} disagree",
                expected="the same crops, snippets and frame_cnt",
                got=", ".join(f"{n} {s.shape[:2]} of {s.num_frames} frames" for n, s in streams.items()),
                where=next(iter(files.values())),
                next_step="Extract both streams of this video again, or leave it out",
                arguments=("exclude",),
            )
        return streams

    def shape(self, video: str) -> tuple[int, ...]:
        """Return `(B, T0, D)`."""
        streams = list(self._streams(video).values())
        return (*streams[0].shape[:2], sum(stream.shape[2] for stream in streams))

    def array(self, video: str) -> Array:
        """Return `(B, T0, D)`."""
        self._streams(video)
        return np.concatenate([_read(file) for file in self._files[video].values()], axis=-1)

    def start(self, video: str) -> Array:
        """Return the first snippets of one video, all where they are few."""
        self._streams(video)
        parts = [start_of_cmcs(file) for file in self._files[video].values()]
        crops, snippets = min(part.shape[0] for part in parts), min(part.shape[1] for part in parts)
        return np.concatenate([part[:crops, :snippets] for part in parts], axis=-1)

    def modalities(self, video: str) -> tuple[tuple[str, int], ...]:
        """Return the streams and their widths."""
        return tuple((name, stream.shape[2]) for name, stream in self._streams(video).items())

    def num_frames(self, video: str) -> int | None:
        """Return `frame_cnt`."""
        return next(iter(self._streams(video).values())).num_frames

    def checksum(self, video: str) -> str:
        """Return the SHA-256 over the files' digests."""
        return combined_sha256(*self._files[video].values())

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""
