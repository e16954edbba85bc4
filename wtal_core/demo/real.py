"""Real material beside the rendered world: real clips with truth, and a real long jump with official weights.

Nothing of it is shipped: footage, features and weights belong to third parties. Where a folder with them is present,
two data sets are made of it:

* `real-clips`: two complete ActivityNet videos with their published ground truth, and videos *composed* of pieces of
  those clips, of a long jump and of clips without any of these actions, whose truth is known by construction. Two
  streams: I3D (RGB, where its weights are present, else the appearance descriptor) and the motion descriptor.
* `long-jump`: the long jump alone with real two-stream I3D features, ground truth made by watching its frames, and a
  run of CMCS's official THUMOS14 weights.

Composed training and test videos are cut from the same few clips, so scores on them say nothing about how well a method
generalises; they are there to look at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wtal_core.data import FeatureWriter, write_annotations
from wtal_core.data.dataset import Dataset, EvaluationDefaults, FeatureFile
from wtal_core.data.safe_load import load_npy, load_npz
from wtal_core.errors import DataError, MissingDependency
from wtal_core.files import atomic_path, require_file, require_folder
from wtal_core.progress import progress_bar
from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Piece", "compose", "make_long_jump", "make_real", "make_real_clips"]

Frames = npt.NDArray[np.uint8]

CLASSES: Final = ("CleanAndJerk", "LongJump", "WalkingTheDog")

_FPS: Final = 25.0
_SIZE: Final = (340, 256)  # pixels of composed videos; clips are scaled to fit, the rest is black


@dataclass(frozen=True)
class Piece:
    """A stretch of a real clip.

    Args:
        clip: key of `_CLIPS`.
        start, end: seconds of the clip.
        track: "action", "context" or "background".
        name: the class of an action, else what is seen.
    """

    clip: str
    start: float
    end: float
    track: str
    name: str


#: Clip -> file below the shared folder.
_CLIPS: Final = {
    "clean_and_jerk": "activitynet_real_clips/v_GGSY1Qvo990.mp4",
    "dog": "activitynet_real_clips/v_ZNVhz7ctTq0.mp4",
    "long_jump": "bmt_long_jump_i3d/women_long_jump.mp4",
    "demo": "real_clips/mmaction2_demo.mp4",
    "paddle": "real_clips/paddlevideo_example.avi",
    "signs": "real_clips/signseg_demo_video.mp4",
}

# ActivityNet's ground truth of the two videos (subset validation), seconds.
_ACTIVITYNET: Final = {
    "v_GGSY1Qvo990": ("clean_and_jerk", "CleanAndJerk", 5.82, 16.20),
    "v_ZNVhz7ctTq0": ("dog", "WalkingTheDog", 0.33, 14.05),
}

#: What is in the clips: action instances whole, so that a composed instance is a real one from beginning to end.
_ACTIONS: Final = (
    Piece("clean_and_jerk", 5.82, 16.20, "action", "CleanAndJerk"),
    Piece("long_jump", 9.1, 15.0, "action", "LongJump"),
    Piece("long_jump", 22.4, 33.9, "action", "LongJump"),
    Piece("dog", 0.33, 7.0, "action", "WalkingTheDog"),
    Piece("dog", 7.0, 14.05, "action", "WalkingTheDog"),
)
_AROUND: Final = (
    Piece("clean_and_jerk", 0.0, 5.5, "context", "CleanAndJerk/standing at the bar"),
    Piece("long_jump", 15.2, 22.2, "context", "LongJump/athlete in the pit"),
    Piece("long_jump", 0.0, 8.6, "background", "scoreboard and crowd"),
    Piece("demo", 0.0, 4.0, "background", "other clip"),
    Piece("paddle", 0.0, 4.0, "background", "other clip"),
    Piece("signs", 0.0, 4.0, "background", "other clip"),
)


def make_real(
    shared: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    golden: str | os.PathLike[str] | None = None,
    i3d: bool = True,
    quiet: bool = False,
) -> dict[str, Any]:
    """Make both data sets; what is finished is kept.

    Args:
        shared: folder with the clips, features and weights.
        out: folder for `real-clips/` and `long-jump/`.
        golden: folder with `cmcs_golden.npz`, which holds CMCS's official weights; default: `golden` beside `shared`.
        i3d: describe by I3D where its weights are present.
        quiet: no progress bars.

    Returns:
        `{"datasets": [what was made], "notes": [what could not be]}`.

    Raises:
        DataError: the folder or a clip is missing or unreadable.
    """
    source, target = require_folder(shared, "a folder with real clips"), Path(out)
    weights = Path(golden) if golden is not None else source.parent / "golden"
    # The long jump first: it takes seconds, I3D on the clips takes minutes.
    jump, notes = make_long_jump(source, target / "long-jump", weights / "cmcs_golden.npz", quiet=quiet)
    clips, more = make_real_clips(source, target / "real-clips", i3d=i3d, quiet=quiet)
    return {"datasets": [jump, clips], "notes": [*notes, *more]}


# -- composed videos ------------------------------------------------------------------------------------------------


def compose(index: int, *, test: bool) -> tuple[tuple[Piece, bool], ...]:
    """Return the pieces of a composed video in order, each with whether it is mirrored; the same index, the same video.

    A video has one or two classes, two or three instances, and something else before, between and after them.
    """
    rng = np.random.default_rng([index, int(test), 51])
    main = CLASSES[index % len(CLASSES)]
    others = [c for c in CLASSES if c != main]
    labels = [main, main] + ([str(rng.choice(others))] if rng.random() < 0.4 else [])
    pieces: list[tuple[Piece, bool]] = []

    def around(label: str) -> Piece:
        fitting = [p for p in _AROUND if p.track == "background" or p.name.startswith(f"{label}/")]
        return fitting[int(rng.integers(len(fitting)))]

    for label in [labels[k] for k in rng.permutation(len(labels))]:
        choices = [p for p in _ACTIONS if p.name == label]
        pieces.append((around(label), bool(rng.random() < 0.5)))
        pieces.append((choices[int(rng.integers(len(choices)))], bool(rng.random() < 0.5)))
    pieces.append((around(main), False))
    return tuple(pieces)


def _frames_of(piece: Piece) -> int:
    return max(1, round((piece.end - piece.start) * _FPS))


def _pictures(shared: Path, piece: Piece, mirrored: bool) -> Iterator[Frames]:
    """Yield the pictures of a piece at `_FPS`, `(256, 340, 3)` uint8 RGB."""
    import cv2

    from wtal_core.snippet_grid import nearest_frames
    from wtal_core.video.frames import FrameReader

    width, height = _SIZE
    with FrameReader.open(shared / _CLIPS[piece.clip]) as reader:
        times = piece.start + np.arange(_frames_of(piece)) / _FPS
        for batch in reader.iter_frames(nearest_frames(reader.timestamps, times)):
            for frame in batch:
                scale = min(width / frame.shape[1], height / frame.shape[0])
                size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
                picture = np.zeros((height, width, 3), np.uint8)
                x, y = (width - size[0]) // 2, (height - size[1]) // 2
                small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
                picture[y : y + size[1], x : x + size[0]] = small[:, ::-1] if mirrored else small
                yield picture


def _write_video(shared: Path, pieces: Sequence[tuple[Piece, bool]], path: Path) -> None:
    """Encode composed pieces as H.264.

    Raises:
        MissingDependency: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingDependency("composing videos needs PyAV", next_step="pip install 'wtal[video]'") from error
    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(_FPS).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        stream.options = {"crf": "24", "preset": "fast"}
        stream.codec_context.gop_size = round(2 * _FPS)
        for piece, mirrored in pieces:
            for picture in _pictures(shared, piece, mirrored):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _truth(videos: Mapping[str, tuple[str, Sequence[tuple[Piece, bool]]]], real: Mapping[str, float]) -> Annotations:
    """Return the annotations of composed videos `{id: (subset, pieces)}` and of the real ones `{id: duration}`."""
    infos: dict[str, VideoInfo] = {}
    rows: dict[str, list[tuple[str, str, float, float]]] = {"action": [], "context": [], "background": [], "cuts": []}
    for video, duration in real.items():
        _, label, start, end = _ACTIVITYNET[video]
        infos[video] = VideoInfo(subset="test", duration=duration, labels=(label,))
        rows["action"].append((video, label, start, end))
    for video, (subset, pieces) in videos.items():
        at = 0
        for number, (piece, _) in enumerate(pieces):
            start, end = at / _FPS, (at + _frames_of(piece)) / _FPS
            rows[piece.track].append((video, piece.name, start, end))
            if number:
                rows["cuts"].append((video, "cut", start, start))
            at += _frames_of(piece)
        labels = tuple(sorted({piece.name for piece, _ in pieces if piece.track == "action"}))
        infos[video] = VideoInfo(subset=subset, duration=at / _FPS, fps=_FPS, num_frames=at, labels=labels)

    def table(name: str) -> Segments:
        return Segments(*(list(c) for c in zip(*rows[name], strict=True))) if rows[name] else Segments.empty()

    return Annotations(
        classes=CLASSES,
        videos=infos,
        instances=table("action"),
        tracks={name: table(name) for name in ("context", "background", "cuts")},
        notes=("Composed videos are cut from few clips: scores on them say nothing about generalisation.",),
    )


def make_real_clips(
    shared: Path, out: Path, *, num_train: int = 6, num_test: int = 3, i3d: bool = True, quiet: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Make the data set of real and composed videos; return what was made, and notes.

    Raises:
        DataError: a clip is missing, or the features in `out` were made in another way.
    """
    from wtal_core.video.backbones import create_backbone
    from wtal_core.video.dataset_extraction import extract_dataset
    from wtal_core.video.extraction import GridSpec
    from wtal_core.video.frames import FrameReader

    for file in _CLIPS.values():
        require_file(shared / file, "a real clip")
    plans = {
        f"composed_{subset}_{index:02d}": (subset, compose(index, test=subset == "test"))
        for subset, count in (("train", num_train), ("test", num_test))
        for index in range(count)
    }
    paths: dict[str, Path] = {}
    durations: dict[str, float] = {}
    for video, (clip, *_) in _ACTIVITYNET.items():
        paths[video] = out / "videos" / f"{video}.mp4"
        if not paths[video].is_file():
            with atomic_path(paths[video]) as temporary:
                shutil.copyfile(shared / _CLIPS[clip], temporary)
        with FrameReader.open(paths[video]) as reader:
            durations[video] = reader.duration
    with progress_bar("composed videos", len(plans), quiet=quiet) as bar:
        for video, (_, pieces) in plans.items():
            paths[video] = out / "videos" / f"{video}.mp4"
            if not paths[video].is_file():
                _write_video(shared, pieces, paths[video])
            bar(1)
    weights = shared / "i3d_rgb_kinetics400" / "i3d_rgb_kinetics400.npz"
    notes = []
    use_i3d = i3d and weights.is_file()
    if i3d and not use_i3d:
        notes.append(f"no I3D weights at {weights}: the first stream is the appearance descriptor")
    first = create_backbone("i3d-rgb", weights) if use_i3d else create_backbone("appearance-descriptor")
    name = "i3d-rgb+motion" if use_i3d else "descriptors"
    with progress_bar("features", len(paths), quiet=quiet) as bar:
        report = extract_dataset(
            paths,
            (first, create_backbone("motion-descriptor")),
            GridSpec(fps=_FPS, stride=16.0, window=16.0),
            out / "features" / f"{name}.h5",
            on_fraction=lambda share, video: bar(share, f"features of {video}"),
        )
    for video, problem in report.failed.items():
        raise DataError(
            f"features of {video!r}: {problem}",
            where=out,
            next_step="Extract this video alone to see more: wtal extract",
        )
    annotations = _truth(plans, durations)
    write_annotations(annotations, out / "annotations.json")
    features = {f.stem for f in (out / "features").glob("*.h5")}
    _save(out, "real-clips", CLASSES, [name, *sorted(features - {name})])
    made = {"dataset": out, "videos": len(paths), "instances": len(annotations.instances), "features": name}
    return made, notes


def _save(out: Path, name: str, classes: tuple[str, ...], features: Sequence[str]) -> Dataset:
    dataset = Dataset(
        folder=out,
        name=name,
        splits={"train": ("train",), "test": ("test",)},
        class_list=classes,
        evaluation=EvaluationDefaults(),
        feature_files=tuple(FeatureFile(f, f"features/{f}.h5") for f in features),
    )
    dataset.save()
    return dataset


# -- the long jump ----------------------------------------------------------------------------------------------


#: What is seen in the long jump's video, by watching its frames; seconds.
_JUMPS: Final = ((9.1, 15.0), (22.4, 33.9))
_PIT: Final = (15.0, 22.3)
_CROWD: Final = (0.0, 8.6)


def make_long_jump(shared: Path, out: Path, golden: Path, *, quiet: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Make the data set of the real long jump, and the run of CMCS's official weights where they are present.

    Raises:
        DataError: the video or its features are missing or of another shape.
    """
    from wtal_core.runs.importing import CLASS_LISTS
    from wtal_core.video.frames import FrameReader

    video, source = "women_long_jump", shared / "bmt_long_jump_i3d"
    path = out / "videos" / f"{video}.mp4"
    if not path.is_file():
        with atomic_path(path) as temporary:
            shutil.copyfile(require_file(source / f"{video}.mp4", "the long jump's video"), temporary)
    with FrameReader.open(path) as reader:
        duration = reader.duration
    streams = [np.asarray(load_npy(source / f"{video}_{stream}.npy"), np.float32) for stream in ("rgb", "flow")]
    if any(stream.shape != (len(streams[0]), 1024) for stream in streams):
        raise DataError(
            "the features have the wrong shape",
            expected="(T, 1024) of either stream",
            got=" and ".join(str(stream.shape) for stream in streams),
            where=source,
            next_step="Name a folder with features of the public I3D",
        )
    features = np.concatenate(streams, axis=1)
    provenance = Provenance(extractor="i3d-kinetics (BMT)", modalities=(("rgb", 1024), ("flow", 1024)))
    grid = SnippetGrid.preset("i3d-25fps-64", len(features), duration)
    with FeatureWriter(out / "features" / "i3d.h5") as writer:
        if not writer.has(video):
            writer.write(VideoFeatures(video, features, grid, provenance))
    classes = CLASS_LISTS["thumos14"]
    annotations = Annotations(
        classes=classes,
        videos={video: VideoInfo(subset="test", duration=duration, labels=("LongJump",))},
        instances=Segments(video, "LongJump", [a for a, _ in _JUMPS], [b for _, b in _JUMPS]),
        tracks={
            "context": Segments(video, "LongJump/athlete in the pit", [_PIT[0]], [_PIT[1]]),
            "background": Segments(video, "scoreboard and crowd", [_CROWD[0]], [_CROWD[1]]),
            "replays": Segments(video, "LongJump", [_JUMPS[1][0]], [_JUMPS[1][1]]),
        },
        notes=("Ground truth made by watching the frames.",),
    )
    write_annotations(annotations, out / "annotations.json")
    dataset = Dataset(
        folder=out,
        name="long-jump",
        splits={"test": ("test",)},
        class_list=classes,
        evaluation=EvaluationDefaults(),
        feature_files=(FeatureFile("i3d", "features/i3d.h5"),),
    )
    dataset.save()
    made = {"dataset": out, "videos": 1, "instances": len(annotations.instances), "features": "i3d"}
    if not golden.is_file():
        return made, [f"no CMCS weights at {golden}: the long jump has no run"]
    _official_run(dataset, out / "runs" / "cmcs-official", golden, quiet)
    return made, []


_PREFIX: Final = "both/sd/"  # early fusion, the network on both streams


def _official_run(dataset: Dataset, out: Path, golden: Path, quiet: bool) -> None:
    """Make a run of the official weights and let it infer, localize and evaluate; a finished one is kept."""
    from wtal_core.runs.importing import import_official
    from wtal_core.runs.pipeline import evaluate_run, infer, localize

    if (out / "evaluation.json").is_file():
        return
    if (out / "run.yaml").is_file():  # an earlier attempt was interrupted
        shutil.rmtree(out)
    weights = dataset.folder / "weights" / "cmcs-thumos14-i3d.npz"
    arrays = {k.removeprefix(_PREFIX): v for k, v in load_npz(golden).items() if k.startswith(_PREFIX)}
    if not arrays:
        raise DataError(
            "holds no CMCS weights",
            expected=f"arrays {_PREFIX}*",
            where=golden,
            next_step="Name the golden file of CMCS",
        )
    with atomic_path(weights) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    with dataset.store() as store:
        run = import_official(
            "cmcs", [weights], out, dataset=dataset, extractor=store.provenance(store.videos[0]).extractor
        )
        infer(run, store, dataset.videos("test"), quiet=quiet)
    localize(run)
    evaluate_run(run, dataset.annotations, subset=("test",))
