"""A demo world on disk: what is true, the videos, their features, and what mining finds static in them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from wtal_core.data.dataset import Dataset, EvaluationDefaults, FeatureFile
from wtal_core.demo.recipes import FEATURES, FPS, STRIDE, WINDOW
from wtal_core.demo.scenes import CLASSES
from wtal_core.demo.story import Truth, VideoScript
from wtal_core.records import Annotations, Segments, VideoFeatures, VideoInfo

__all__ = ["MINED", "MadeVideo", "annotate", "dataset_of", "feature_path", "make_video", "video_path"]

#: Track of the static clips that mining by optical flow finds; "static" is the truth.
MINED = "static_mined"

_FLOW_SHORT_SIDE = 128  # pixels at which frames are compared when static clips are mined

Spans = Sequence[tuple[float, float]]


def video_path(folder: Path, video: str) -> Path:
    """Return where a world keeps a video."""
    return folder / "videos" / f"{video}.mp4"


def feature_path(folder: Path) -> Path:
    """Return where a world keeps its features."""
    return folder / "features" / f"{FEATURES}.h5"


def dataset_of(folder: Path, name: str) -> Dataset:
    """Return the description of a world's data set folder (`save()` writes it)."""
    return Dataset(
        folder=folder,
        name=name,
        splits={"train": ("train",), "test": ("test",)},
        class_list=CLASSES,
        evaluation=EvaluationDefaults(),
        feature_files=(FeatureFile(FEATURES, feature_path(folder).relative_to(folder).as_posix()),),
    )


def annotate(scripts: Sequence[VideoScript], mined: Mapping[str, Spans] | None = None) -> Annotations:
    """Turn scripts into annotations: instances, and a track for everything else that is known.

    Args:
        scripts: of all videos.
        mined: static clips in seconds found by optical flow, for the track "static_mined"; None: no such track.
    """
    names = [field.name for field in fields(Truth) if field.name != "actions"]
    instances: list[Segments] = []
    tracks: dict[str, list[Segments]] = {name: [] for name in names}
    videos: dict[str, VideoInfo] = {}

    def rows(video: str, spans: Sequence[tuple[str, float, float]]) -> Segments:
        return Segments(video, *([span[k] for span in spans] for k in range(3))) if spans else Segments.empty()

    for script in scripts:
        truth = script.truth()
        videos[script.name] = VideoInfo(
            subset=script.subset,
            duration=script.duration,
            fps=script.fps,
            num_frames=script.frames,
            labels=script.classes,
        )
        instances.append(rows(script.name, truth.actions))
        for name in names:
            tracks[name].append(rows(script.name, getattr(truth, name)))
    tables = {name: Segments.concat(parts) for name, parts in tracks.items()}
    if mined is not None:
        found = {video: [("static", a, b) for a, b in spans] for video, spans in mined.items()}
        tables[MINED] = Segments.concat(rows(video, spans) for video, spans in found.items())
    return Annotations(classes=CLASSES, videos=videos, instances=Segments.concat(instances), tracks=tables)


@dataclass(frozen=True, eq=False)
class MadeVideo:
    """What making one video gave.

    Args:
        video: its id.
        frames: its length in frames.
        features: its snippet features, or None where they were not asked for.
        mined: its static clips in seconds found by optical flow, or None where they were not asked for.
    """

    video: str
    frames: int
    features: VideoFeatures | None = None
    mined: tuple[tuple[float, float], ...] | None = None


def make_video(
    script: VideoScript, folder: str | os.PathLike[str], *, features: bool = True, mine: bool = False
) -> MadeVideo:
    """Render a video where it is not there already, and describe it.

    A file that is there is trusted if it has the script's number of frames; files appear complete or not at all. Runs
    in one thread, so that several processes share a machine well and results do not depend on it.

    Args:
        script: what happens.
        folder: of the world.
        features: extract snippet features.
        mine: find static clips by optical flow.

    Raises:
        DataError: the video cannot be written or read.
    """
    import cv2

    from wtal_core.demo.descriptors import backbones
    from wtal_core.demo.render import render_video
    from wtal_core.video.extraction import GridSpec, extract_video
    from wtal_core.video.optical_flow import flow_intensity
    from wtal_core.video.static_clips import mine_static_clips

    cv2.setNumThreads(1)
    path = video_path(Path(folder), script.name)
    if not _is_complete(path, script):
        render_video(script, path)
    spec = GridSpec(fps=FPS, stride=STRIDE, window=WINDOW)
    found: tuple[tuple[float, float], ...] | None = None
    if mine:
        intensity = flow_intensity(path, fps=FPS, short_side=_FLOW_SHORT_SIDE)
        clips = mine_static_clips(intensity, spec.for_duration(script.duration))
        found = tuple((float(a), float(b)) for a, b in clips.segments) if clips.usable else ()
    return MadeVideo(script.name, script.frames, extract_video(path, backbones(), spec) if features else None, found)


def _is_complete(path: Path, script: VideoScript) -> bool:
    from wtal_core.errors import DataError
    from wtal_core.video.frames import FrameReader

    if not path.is_file():
        return False
    try:
        with FrameReader.open(path) as reader:
            return (reader.num_frames, reader.width, reader.height) == (script.frames, script.width, script.height)
    except DataError:
        return False
