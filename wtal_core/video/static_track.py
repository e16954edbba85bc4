"""Mine the static clips of a whole data set and keep them with its annotations, as the track "static"."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.data.annotations import read_annotations, write_annotations
from wtal_core.data.dataset import Dataset
from wtal_core.data.features import FeatureStore
from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.files import read_json, write_json
from wtal_core.records import Segments
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.frames import FrameReader
from wtal_core.video.static_clips import StaticClipConfig, mine_video

__all__ = ["RECORD", "TRACK", "StaticReport", "mine_dataset"]

#: Name of the track in annotations.json.
TRACK = "static"

#: File in the data set folder with what was found in each video; an interrupted mining goes on from it.
RECORD = "static_clips.json"


@dataclass
class StaticReport:
    """What a mining did.

    Args:
        usable: videos whose static clips became part of the track.
        rejected: `{video: why}` of videos with too little or too much that is static.
        failed: `{video: problem}`.
        missing: videos without a file.
        kept: videos whose result was there before.
        segments: static clips in the track.
        seconds: their length in all.
    """

    usable: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    kept: int = 0
    segments: int = 0
    seconds: float = 0.0


def mine_dataset(
    folder: str | os.PathLike[str],
    videos: Sequence[str] | None = None,
    config: StaticClipConfig | None = None,
    *,
    features: str | None = None,
    split: str = "train",
    kind: str = "dis",
    again: bool = False,
    advance: Callable[[str], None] | None = None,
) -> StaticReport:
    """Mine the static clips of a data set's videos and write them into its annotations.

    Flow is computed on the clock of the features (their frames a second), or on the video's own frame rate where the
    data set has no features yet. A video's result is kept in `static_clips.json` as soon as it is there.

    Args:
        folder: the data set folder.
        videos: which ones; default those of `split` (hard negatives are used in training only).
        config: thresholds; default as published.
        features: set of features whose clock is used; default the first.
        split: split that is mined.
        kind: optical flow.
        again: forget earlier results.
        advance: called with each video's id when it is done.

    Raises:
        UsageError: the split or a video is unknown, or no file of the folder holds the annotations with tracks.
        DataError: no video has a file, or the data set cannot be read or written.
    """
    config = config or StaticClipConfig()
    dataset = Dataset.open(folder)
    path = _own_annotations(dataset)
    annotations = read_annotations(path)
    chosen = list(dataset.videos(split) if videos is None else videos)
    unknown = [v for v in chosen if v not in annotations.videos]
    if unknown:
        raise UsageError(
            f"the video {unknown[0]!r} is not annotated", where=path, next_step="Annotate it, or name other videos"
        )
    report = StaticReport(missing=[v for v in chosen if dataset.video_path(v) is None])
    present = [v for v in chosen if v not in set(report.missing)]
    if not present:
        raise DataError(
            "no video has a file",
            expected=f"{len(chosen)} files, e.g. {chosen[0]}.mp4" if chosen else "annotated videos",
            where=dataset.folder / dataset.videos_folder,
            next_step="Put the videos there, or link to them when importing: wtal data import",
        )
    settings = {**asdict(config), "flow": kind}
    record = {} if again else _earlier(dataset.folder / RECORD, settings)
    with dataset.store(features) if dataset.feature_names else nullcontext() as store:
        for video in present:
            if video in record:
                report.kept += 1
            else:
                try:
                    record[video] = _mine(dataset.video_path(video), store, video, config, kind)
                except WtalError as error:
                    report.failed[video] = str(error)
                else:
                    write_json(dataset.folder / RECORD, {"settings": settings, "videos": record})
            if advance is not None:
                advance(video)
    table = _static_table(record, present, report)
    others = {name: track for name, track in annotations.tracks.items() if name != TRACK}
    tracks = {**others, TRACK: table} if len(table) else others
    write_annotations(replace(annotations, tracks=tracks), path, format="activitynet")
    return report


def _own_annotations(dataset: Dataset) -> Path:
    """Return the data set's annotation file, which must hold tracks and be the data set's own: it is written again."""
    path = dataset.folder / dataset.annotations_path
    if path.suffix.lower() != ".json":
        raise UsageError(
            "cannot hold tracks",
            expected="annotations in one JSON file",
            where=path,
            next_step="Make a data set folder of them first: wtal data import",
        )
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(dataset.folder)):
        raise UsageError(
            "lies outside the data set folder and would be overwritten in another form",
            expected="annotations inside the folder",
            where=path,
            next_step="Copy it into the folder, and name the copy in dataset.yaml",
        )
    return path


def _static_table(record: Mapping[str, Any], present: Sequence[str], report: StaticReport) -> Segments:
    """Return the static clips of the usable videos; the report gets which are usable, which not, and the sums."""
    rows: list[tuple[str, float, float]] = []
    for video, found in record.items():
        if found["usable"]:
            report.usable.append(video)
            rows += [(video, start, end) for start, end in found["segments"]]
        elif video in present:
            report.rejected[video] = found["why"]
    report.segments, report.seconds = len(rows), float(sum(end - start for _, start, end in rows))
    return Segments([r[0] for r in rows], TRACK, [r[1] for r in rows], [r[2] for r in rows])


def _mine(
    file: Path | None, store: FeatureStore | None, video: str, config: StaticClipConfig, kind: str
) -> dict[str, Any]:
    """Return what was found in one video, as plain values."""
    if file is None:
        raise DataError("has no file", where=video, next_step="Put its file into the data set's videos folder")
    with FrameReader.open(file) as reader:
        if store is not None and video in store.videos:
            grid = store.grid(video)
        else:  # no snippets yet: a grid of single frames on the video's own clock
            grid = SnippetGrid.for_duration(reader.duration, fps=reader.fps, stride=1, window=1)
        found = mine_video(reader, grid, config, kind=kind)
    why = ""
    if not found.accepted:
        low, high = config.min_ratio, config.max_ratio
        why = f"{found.ratio:.0%} of its frames are static, {low:.0%} to {high:.0%} are wanted"
    elif not found.usable:
        why = "no snippet starts on a static frame"
    return {
        "ratio": round(found.ratio, 4),
        "usable": found.usable,
        "why": why,
        "segments": np.round(found.segments, 3).tolist(),
    }


def _earlier(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the videos of an earlier mining with the same settings, {} where there is none."""
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except DataError:
        return {}
    if not isinstance(content, dict) or content.get("settings") != settings:
        return {}
    videos, keys = content.get("videos"), {"ratio", "usable", "why", "segments"}
    if not isinstance(videos, dict):
        return {}
    return {video: found for video, found in videos.items() if isinstance(found, dict) and keys <= set(found)}
