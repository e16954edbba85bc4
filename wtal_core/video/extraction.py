"""One video to snippet features: decode once, resample to the grid's clock, cut snippets, run the backbones.

One sequential pass over the file; what is in memory at a time is a few batches of snippets (and the features so far),
however long the video is. Decoding runs in a thread beside the backbones.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from wtal_core.arrays import Array, Frames, IntArray
from wtal_core.errors import DataError, UsageError
from wtal_core.files import stem
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.backbones import CROPS, Backbone
from wtal_core.video.frames import FrameReader

__all__ = ["GridSpec", "extract_video", "provenance_of", "scale_frame"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GridSpec:
    """The grid that every video is cut by.

    Args:
        fps: frames a second that the video is resampled to, by timestamps.
        stride: frames from one snippet to the next.
        window: frames that a snippet sees.
        offset: frame at which the first snippet starts.
    """

    fps: float
    stride: float
    window: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        SnippetGrid(fps=self.fps, stride=self.stride, window=self.window, offset=self.offset, num_snippets=0)
        if round(self.window) < 1:
            raise DataError(
                "window is out of range",
                expected="at least 1 frame",
                got=repr(self.window),
                where="GridSpec",
                next_step="Choose the number of frames a snippet sees, e.g. 16",
            )

    def for_duration(self, duration: float) -> SnippetGrid:
        """Return the grid of a video of `duration` seconds."""
        return SnippetGrid.for_duration(
            duration, fps=self.fps, stride=self.stride, window=self.window, offset=self.offset
        )


def provenance_of(backbones: Sequence[Backbone], dims: Sequence[int | None] | None = None) -> Provenance:
    """Return the provenance of concatenated backbones, streams in the given order.

    Args:
        backbones: one or more.
        dims: their channels; default: what they say. Where one is None the modalities stay empty.

    Raises:
        UsageError: two streams have the same name, or different numbers of crops.
    """
    infos = [backbone.info for backbone in backbones]
    if not infos:
        raise UsageError(
            "no backbone was given", expected="at least one", next_step="Name at least one, e.g. descriptors"
        )
    names = [info.modality for info in infos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            "a stream is there twice",
            got=", ".join(twice),
            where="backbones",
            next_step="Name each stream once",
            arguments=("backbone",),
        )
    if len({CROPS[info.crop] for info in infos}) > 1:
        raise UsageError(
            "the streams have different numbers of crops",
            got=", ".join(f"{info.extractor}: {info.crop}" for info in infos),
            next_step="Extract them into separate files, or use one crop for all",
        )
    widths = [info.dim for info in infos] if dims is None else list(dims)
    modalities = tuple((name, width) for name, width in zip(names, widths, strict=True) if width is not None)
    return Provenance(
        extractor=_joined(info.extractor for info in infos),
        modalities=modalities if len(modalities) == len(names) else (),
        crop=_joined(dict.fromkeys(info.crop for info in infos)),
        flow_kind=_joined(dict.fromkeys(info.flow_kind for info in infos)),
        checksum=_joined(info.checksum for info in infos),
    )


def _joined(texts: Iterable[str]) -> str:
    return "+".join(text for text in texts if text)


def extract_video(
    path: str | os.PathLike[str],
    backbones: Sequence[Backbone],
    spec: GridSpec,
    *,
    video: str | None = None,
    batch_size: int | None = None,
    advance: Callable[[float], None] | None = None,
) -> VideoFeatures:
    """Extract the snippet features of one video.

    Args:
        path: the video file.
        backbones: their features are concatenated in this order.
        spec: how snippets are cut.
        video: id of the result; default: the file's stem.
        batch_size: snippets per call of a backbone; default: what the backbones ask for.
        advance: called with the share of the video, in (0, 1], that was just finished.

    Returns:
        `(T, D)` float32, or `(crops, T, D)` where the backbones use several crops.

    Raises:
        DataError: the video cannot be read, or a backbone returned something unusable.
        UsageError: the backbones do not go together.
    """
    provenance_of(backbones)
    path = Path(path)
    parts: list[list[Array]] = [[] for _ in backbones]
    with FrameReader.open(path) as reader:
        grid = spec.for_duration(reader.duration)
        for batch in _prefetched(_batches(reader, grid, backbones, batch_size)):
            for part, backbone in zip(parts, backbones, strict=True):
                frames = batch.frames[backbone.info.short_side]
                snippets = batch.snippets[:, : batch.window + backbone.info.lookahead]
                part.append(_checked(backbone(frames, snippets), backbone, len(snippets), path))
            if advance is not None:
                advance(batch.fraction)
    try:
        streams = [np.concatenate(part, axis=-2) for part in parts]  # each (..., T, D)
    except ValueError as error:
        raise DataError(
            "a backbone changed its number of channels within a video",
            where=path,
            next_step="Make the backbone return vectors of one width",
        ) from error
    provenance = provenance_of(backbones, [stream.shape[-1] for stream in streams])
    return VideoFeatures(
        video=stem(path) if video is None else video,
        data=np.concatenate(streams, axis=-1),
        grid=grid,
        provenance=provenance,
    )


def _checked(features: Array, backbone: Backbone, num_snippets: int, path: Path) -> Array:
    """Check a backbone's answer: `(B, D)` or `(crops, B, D)`, finite, of the stated width."""
    info = backbone.info
    crops = CROPS[info.crop]
    shape = (num_snippets,) if crops == 1 else (crops, num_snippets)
    array = np.asarray(features, dtype=np.float32)
    if array.shape[:-1] != shape or array.shape[-1] == 0 or (info.dim is not None and array.shape[-1] != info.dim):
        raise DataError(
            f"backbone {info.extractor!r} returned features of the wrong shape",
            expected=f"({', '.join(map(str, shape))}, {info.dim or 'D'})",
            got=str(array.shape),
            where=path,
            next_step=f"Return one vector a snippet{', or register its true width' if info.dim else ''}",
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"backbone {info.extractor!r} returned NaN or infinity",
            where=path,
            next_step="Try without half precision, or check the backbone",
            arguments=("half",),
        )
    return array


@dataclass(frozen=True)
class _Batch:
    """Some consecutive snippets: their frames at each size that a backbone asks for."""

    frames: Mapping[int | None, Frames]  # short side -> (n, H, W, 3)
    snippets: IntArray  # (B, window + largest lookahead) indices into the frames
    window: int
    fraction: float  # of the video that this batch finishes


def _batches(
    reader: FrameReader, grid: SnippetGrid, backbones: Sequence[Backbone], batch_size: int | None
) -> Iterator[_Batch]:
    """Yield a video's snippets in batches; every frame is decoded and scaled once."""
    infos = [backbone.info for backbone in backbones]
    places = grid.snippet_frames()  # (T, window) frames of the clock
    window = places.shape[1]
    lookahead = max(info.lookahead for info in infos)
    beyond = np.minimum(places[:, -1:] + np.arange(1, lookahead + 1), grid.num_frames - 1)
    places = np.concatenate([places, beyond], axis=1)
    if batch_size is None:
        batch_size = max(1, min(info.frames_per_batch for info in infos) // window)
    source = grid.resample(reader.timestamps)  # frame of the clock -> frame of the file
    stream = _FrameStream(reader, np.unique(source[places]), dict.fromkeys(info.short_side for info in infos))
    for first in range(0, grid.num_snippets, batch_size):
        rows = places[first : first + batch_size]
        used, index = np.unique(rows, return_inverse=True)  # snippets that do not touch leave frames out
        yield _Batch(
            frames=stream.take(source[used]),
            snippets=index.reshape(rows.shape),
            window=window,
            fraction=len(rows) / grid.num_snippets,
        )


class _FrameStream:
    """The needed frames of a file, scaled, in one forward pass; only what later batches may need is kept.

    Args:
        reader: the open video.
        needed: frames of the file, ascending.
        sizes: short sides in pixels, None for the file's own size.
    """

    def __init__(self, reader: FrameReader, needed: IntArray, sizes: Iterable[int | None]) -> None:
        self._sizes = tuple(sizes)
        self._needed = needed
        self._frames = (frame for frames in reader.iter_frames(needed, batch=16) for frame in frames)
        self._read = 0  # how many of the needed frames were decoded
        self._kept: dict[int, dict[int | None, Frames]] = {}

    def take(self, frames: IntArray) -> dict[int | None, Frames]:
        """Return frames of the file (ascending, repeats allowed) at each size; none may lie before the last call's."""
        low, high = int(frames[0]), int(frames[-1])
        for index in [i for i in self._kept if i < low]:
            del self._kept[index]
        while self._read < len(self._needed) and self._needed[self._read] <= high:
            index, frame = int(self._needed[self._read]), next(self._frames)
            if index >= low:
                self._kept[index] = {size: scale_frame(frame, size) for size in self._sizes}
            self._read += 1
        return {size: np.stack([self._kept[i][size] for i in frames.tolist()]) for size in self._sizes}


def scale_frame(frame: Frames, short_side: int | None) -> Frames:
    """Scale a frame `(H, W, 3)` to a short side in pixels, aspect kept; None leaves it as it is.

    Bilinear, as I3D's training data was made; averaged over areas where it shrinks by more than two, because bilinear
    sampling would skip pixels there.
    """
    height, width = frame.shape[:2]
    if short_side is None or min(height, width) == short_side:
        return frame.copy()  # not a view into the decoder's batch, which would keep all of it alive
    import cv2

    scale = short_side / min(height, width)
    size = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    scaled: Frames = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR)
    return scaled


class _Failure:
    """An exception on its way from the decoding thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _prefetched(items: Iterator[T], ahead: int = 2) -> Iterator[T]:
    """Yield `items` while a thread makes up to `ahead` more of them; the thread has ended when this generator has."""
    ready: queue.Queue[T | _Failure | None] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: T | _Failure | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None)
        except BaseException as error:
            put(_Failure(error))

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()
