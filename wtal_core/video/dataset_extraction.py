"""Many videos to one feature file: resumable, in shards, and a video that cannot be read does not stop the others.

Finished videos are on disk at once, so an interrupted run goes on where it stopped, and several processes may write
shards of the same file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wtal_core.data.features import FeatureWriter, open_features
from wtal_core.data.hdf5 import fresh_path, remove_entries
from wtal_core.errors import DataError, MissingDependency, UsageError, WtalError
from wtal_core.records import Provenance
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.backbones import Backbone
from wtal_core.video.extraction import GridSpec, extract_video, provenance_of

__all__ = ["ExtractionReport", "extract_dataset", "merge_features"]


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

    def add(self, video: str, grid: SnippetGrid) -> None:
        """Count a video that was extracted."""
        self.extracted[video] = grid.num_snippets
        self.frames += grid.num_frames

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
    target = _target(out, videos, spec, provenance_of(backbones), overwrite=overwrite)
    report = ExtractionReport(out)
    started = time.perf_counter()
    with FeatureWriter(target) as writer:
        for video, path in videos.items():
            progress = _Progress(video, on_fraction, on_video)
            if writer.has(video):
                report.skipped.append(video)
                progress.done("finished before")
                continue
            begun = time.perf_counter()
            try:
                features = extract_video(
                    path, backbones, spec, video=video, batch_size=batch_size, advance=progress.advance
                )
                writer.write(features)
            except Exception as error:  # OpenCV, PyTorch and FFmpeg raise many kinds; the other videos go on
                if _concerns_every_video(error):
                    raise
                report.failed[video] = str(error) if isinstance(error, WtalError) else _explain(error)
                progress.done("failed, see the end of this run")
            else:
                report.add(video, features.grid)
                rate = features.grid.num_frames / (time.perf_counter() - begun)
                progress.done(f"{features.grid.num_snippets} snippets, {rate:.0f} frames/s")
    if target != out:
        _replace_unless_lost(out, target, report.failed)
    report.seconds = time.perf_counter() - started
    return report


def _target(out: Path, videos: Iterable[str], spec: GridSpec, expected: Provenance, *, overwrite: bool) -> Path:
    """Return the file to write: `out`, or one that takes its place in the end; what it holds was made the same way."""
    if out.suffix not in (".h5", ".hdf5"):
        raise UsageError(
            "features are written as HDF5",
            expected="a name ending in .h5",
            got=repr(out.name),
            next_step=f"Name it {out.with_suffix('.h5').name!r}",
        )
    target = fresh_path(out) if overwrite and out.exists() else out
    try:
        FeatureWriter(target).close()  # takes in what an interrupted run left, so that it can be checked
        _check_same_kind(target, videos, spec, expected)
    except DataError:
        if target == out:
            raise
        remove_entries(target)  # an interrupted start afresh with other settings
    return target


class _Progress:
    """Tells what becomes of one video; in the end its whole share has been told, whatever became of it."""

    def __init__(
        self,
        video: str,
        on_fraction: Callable[[float, str], None] | None,
        on_video: Callable[[str, str], None] | None,
    ) -> None:
        self._video, self._on_fraction, self._on_video = video, on_fraction, on_video
        self._left = 1.0

    def advance(self, share: float) -> None:
        """Tell that a share of the video is finished."""
        self._left -= share
        if self._on_fraction is not None:
            self._on_fraction(share, self._video)

    def done(self, line: str) -> None:
        """Tell what became of the video."""
        if self._on_video is not None:
            self._on_video(self._video, line)
        if self._left > 1e-9:
            self.advance(self._left)


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
    return f"{text}. Try a smaller batch_size." if "out of memory" in text.lower() else text


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
                    next_step="Write to another file, or start afresh",
                    arguments=("out", "overwrite"),
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
            next_step="Name the files that the extractions of the shards wrote",
        )
    report = ExtractionReport(out)
    started = time.perf_counter()
    if any(Path(source).resolve() == out.resolve() for source in sources):
        raise UsageError(
            "a shard is the file to write", where=out, next_step="Name another file to write", arguments=("out",)
        )
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
                    writer.write(store.read(video))
                    report.add(video, grid)
    report.seconds = time.perf_counter() - started
    return report


def _cut(grid: SnippetGrid) -> str:
    """Say how a grid cuts videos into snippets (frames)."""
    return f"{grid.fps:g} fps, stride {grid.stride:g}, window {grid.window:g}, offset {grid.offset:g}"
