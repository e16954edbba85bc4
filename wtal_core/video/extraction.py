"""Videos to snippet features: decode once, resample to the grid's clock, cut snippets, run the backbones.

One sequential pass over each file; what is in memory at a time is a few batches of snippets (and the features so far),
however long the video is. Decoding runs in a thread beside the backbones. Finished videos are on disk at once, so an
interrupted run goes on where it stopped, and several processes may write shards of the same file.
"""

from __future__ import annotations

import glob
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from wtal_core.arrays import Array, Frames, IntArray
from wtal_core.data.features import FeatureWriter, open_features
from wtal_core.data.hdf5 import fresh_path, remove_entries
from wtal_core.errors import DataError, MissingDependency, UsageError, WtalError
from wtal_core.files import stem, visible
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.backbones import CROPS, Backbone
from wtal_core.video.frames import FrameReader

__all__ = [
    "VIDEO_SUFFIXES",
    "ExtractionReport",
    "GridSpec",
    "extract_dataset",
    "extract_video",
    "find_videos",
    "merge_features",
    "parse_shard",
    "provenance_of",
    "scale_frame",
    "select_shard",
]

T = TypeVar("T")

#: File suffixes that count as videos in a folder.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp", ".ogv"}
)


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


# -- which videos -------------------------------------------------------------------------------------------------


def find_videos(sources: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Return `{video id: file}` of files, folders, glob patterns and dataset folders; the id is the file's stem.

    A folder means all video files in it and below; a dataset folder (it holds `dataset.yaml`) means its `videos/`.
    Order: as given, within a folder sorted.

    Raises:
        UsageError: a pattern or folder holds no video, or two files have the same stem.
        DataError: a file does not exist.
    """
    files: list[Path] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            root = path / "videos" if (path / "dataset.yaml").is_file() else path
            found = [p for p in visible(root, "**/*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
        elif path.exists():
            found = [path]
        elif any(c in str(source) for c in "*?["):
            found = [Path(p) for p in sorted(glob.glob(str(source), recursive=True)) if Path(p).is_file()]
        else:
            raise DataError(
                "does not exist", expected="a video file, a folder or a pattern", where=path, next_step="Check the path"
            )
        if not found:
            raise UsageError(
                "no video there",
                expected=f"files with {', '.join(sorted(VIDEO_SUFFIXES))}",
                where=source,
                next_step="Name another folder or pattern",
            )
        files += found
    if not files:
        raise UsageError(
            "no videos were given",
            expected="files, folders, patterns or a dataset folder",
            next_step="Name at least one",
        )
    videos: dict[str, Path] = {}
    for file in files:
        other = videos.setdefault(stem(file), file)
        if other.resolve() != file.resolve():
            raise UsageError(
                f"two videos have the same id {stem(file)!r}",
                got=f"{other} and {file}",
                next_step="Rename one: features are stored by the file's name without suffix",
            )
    return videos


def parse_shard(text: str) -> tuple[int, int]:
    """Parse "i/n", i from 1 to n.

    Raises:
        UsageError: it is something else.
    """
    first, slash, second = text.partition("/")
    if slash and first.strip().isdigit() and second.strip().isdigit() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise UsageError(
        "not a shard",
        expected="i/n with 1 <= i <= n, e.g. 2/8",
        got=repr(text),
        where="--shard",
        next_step="Write the number of this shard, '/' and the number of shards",
    )


def select_shard(videos: Mapping[str, Path], shard: tuple[int, int]) -> dict[str, Path]:
    """Return every n-th video from the i-th on (i counts from 1); the shards are disjoint and cover all."""
    index, count = shard
    return dict(list(videos.items())[index - 1 :: count])


# -- one video ----------------------------------------------------------------------------------------------------


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
            "a stream is there twice", got=", ".join(twice), where="--backbone", next_step="Name each stream once"
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
            next_step="Try without --half, or check the backbone",
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


# -- many videos --------------------------------------------------------------------------------------------------


@dataclass
class ExtractionReport:
    """What became of each video.

    Attributes:
        out: the feature file.
        extracted: video -> number of snippets.
        skipped: videos that were finished before.
        failed: video -> what is wrong with it.
        seconds: time it took.
        frames: frames of the grid's clock that were worked on.
    """

    out: Path
    extracted: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    frames: int = 0

    @property
    def frames_per_second(self) -> float:
        """Frames of the grid's clock a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "out": str(self.out),
            "extracted": self.extracted,
            "skipped": self.skipped,
            "failed": self.failed,
            "seconds": self.seconds,
            "frames": self.frames,
            "frames_per_second": self.frames_per_second,
        }


def extract_dataset(
    videos: Mapping[str, Path],
    backbones: Sequence[Backbone],
    spec: GridSpec,
    out: str | os.PathLike[str],
    *,
    batch_size: int | None = None,
    overwrite: bool = False,
    on_fraction: Callable[[float, str], None] | None = None,
    on_video: Callable[[str, str], None] | None = None,
) -> ExtractionReport:
    """Extract many videos into one native feature file; a video that cannot be read does not stop the others.

    Args:
        videos: video id -> file.
        backbones, spec, batch_size: see `extract_video`.
        out: the `.h5` file. Videos already in it are skipped, after checking that they were made the same way.
        overwrite: start afresh; an existing file is replaced when the new one is complete, and stays where a video in
            it cannot be read any more.
        on_fraction: called with (share of one video just finished, its id), for a progress bar in videos.
        on_video: called with (video id, one line on what became of it).

    Raises:
        DataError: `out` cannot be written, or holds features of another grid or other backbones.
        UsageError: the backbones do not go together, or the suffix is not `.h5`.
    """
    out = Path(out)
    if out.suffix not in (".h5", ".hdf5"):
        raise UsageError(
            "features are written as HDF5",
            expected="a name ending in .h5",
            got=repr(out.name),
            next_step=f"Name it {out.with_suffix('.h5').name!r}",
        )
    expected = provenance_of(backbones)
    target = fresh_path(out) if overwrite and out.exists() else out
    report = ExtractionReport(out)
    started = time.perf_counter()
    try:
        FeatureWriter(target).close()  # takes in what an interrupted run left, so that it can be checked
        _check_same_kind(target, videos, spec, expected)
    except DataError:
        if target == out:
            raise
        remove_entries(target)  # an interrupted start afresh with other settings

    def tell(video: str, line: str, share: float) -> None:
        if on_video is not None:
            on_video(video, line)
        if on_fraction is not None and share > 0:
            on_fraction(share, video)

    with FeatureWriter(target) as writer:
        for video, path in videos.items():
            if writer.has(video):
                report.skipped.append(video)
                tell(video, "finished before", 1.0)
                continue
            finished = 0.0

            def advance(share: float, video: str = video) -> None:
                nonlocal finished
                finished += share
                if on_fraction is not None:
                    on_fraction(share, video)

            begun = time.perf_counter()
            try:
                features = extract_video(path, backbones, spec, video=video, batch_size=batch_size, advance=advance)
                writer.write(features)
            except Exception as error:  # OpenCV, PyTorch and FFmpeg raise many kinds; the other videos go on
                if _concerns_every_video(error):
                    raise
                report.failed[video] = str(error) if isinstance(error, WtalError) else _explain(error)
                tell(video, "failed, see the end of this run", 1.0 - finished)
                continue
            took = time.perf_counter() - begun
            report.extracted[video] = features.grid.num_snippets
            report.frames += features.grid.num_frames
            tell(video, f"{features.grid.num_snippets} snippets, {features.grid.num_frames / took:.0f} frames/s", 0.0)
    if target != out:
        _replace_unless_lost(out, target, report.failed)
    report.seconds = time.perf_counter() - started
    return report


def _replace_unless_lost(out: Path, target: Path, failed: dict[str, str]) -> None:
    """Put `target` in place of `out`, which stays where it holds a video that failed now; `failed` then says so."""
    before: frozenset[str] = frozenset()
    with suppress(DataError), open_features(out) as store:  # what is damaged is replaced whatever it held
        before = frozenset(store.videos)
    lost = [video for video in failed if video in before]
    for video in lost:
        failed[video] += f" {out.name} has it from before and stays: leave the video out to replace the file."
    if not lost and target.exists():
        os.replace(target, out)


def _concerns_every_video(error: Exception) -> bool:
    """Whether an error would come again with each video: bad arguments, a missing package, a full disk."""
    if isinstance(error, UsageError | MissingDependency) or os.environ.get("WTAL_DEBUG"):
        return True
    return isinstance(error, WtalError) and isinstance(error.__cause__, OSError) and "be written" in error.problem


def _explain(error: Exception) -> str:
    """Put an exception that is not ours into one line."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return f"{text}. Try a smaller --batch-size." if "out of memory" in text.lower() else text


def _check_same_kind(out: Path, videos: Iterable[str], spec: GridSpec, expected: Provenance) -> None:
    """Refuse to go on with a file whose features were made in another way."""
    if not out.exists():
        return
    with open_features(out) as store:
        present = set(store.videos)
        for video in videos:
            if video not in present:
                continue
            grid, made = store.grid(video), store.provenance(video)
            found = replace(made, modalities=()) if not expected.modalities else made
            differing = [
                (name, str(want), str(have))
                for name, want, have in (
                    *((n, getattr(spec, n), getattr(grid, n)) for n in ("fps", "stride", "window", "offset")),
                    *((n, getattr(expected, n), getattr(found, n)) for n in Provenance.__slots__),
                )
                if want != have
            ]
            if differing:
                raise DataError(
                    f"holds features of {video!r} that were made in another way",
                    expected=", ".join(f"{name} {want or 'none'}" for name, want, _ in differing),
                    got=", ".join(f"{name} {have or 'none'}" for name, _, have in differing),
                    where=out,
                    next_step="Write to another file with --out, or start afresh with --overwrite",
                )


def merge_features(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> ExtractionReport:
    """Copy the videos of several feature files (shards that were made on several machines) into one.

    Raises:
        UsageError: a source is the result, or none was given.
        DataError: a file cannot be read, or they were made in different ways.
    """
    out = Path(out)
    if not sources:
        raise UsageError(
            "no feature files were given",
            expected="the shards to merge",
            next_step="Name the files that 'wtal extract --shard' wrote",
        )
    report = ExtractionReport(out)
    started = time.perf_counter()
    if any(Path(source).resolve() == out.resolve() for source in sources):
        raise UsageError("a shard is the file to write", where=out, next_step="Name another file with --out")
    first: str | None = None
    with FeatureWriter(out) as writer:
        for source in sources:
            with open_features(source) as store:
                for video in store.videos:
                    grid = store.grid(video)
                    present = writer.has(video)
                    first = first or _cut(writer.made(video)[0] if present else grid)
                    if _cut(grid) != first:
                        raise DataError(
                            f"{video!r} was cut by another grid",
                            expected=first,
                            got=_cut(grid),
                            where=source,
                            next_step="Leave this file out, or merge it into another file",
                        )
                    if present:
                        report.skipped.append(video)
                        continue
                    features = store.read(video)
                    writer.write(features)
                    report.extracted[video] = grid.num_snippets
                    report.frames += grid.num_frames
    report.seconds = time.perf_counter() - started
    return report


def _cut(grid: SnippetGrid) -> str:
    """Say how a grid cuts videos into snippets (frames)."""
    return f"{grid.fps:g} fps, stride {grid.stride:g}, window {grid.window:g}, offset {grid.offset:g}"
