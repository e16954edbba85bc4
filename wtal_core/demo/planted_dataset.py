"""Write a planted feature set as a data set folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from wtal_core.data import FeatureWriter, write_annotations
from wtal_core.data.dataset import Dataset, EvaluationDefaults, FeatureFile
from wtal_core.demo.planted import PlantedFeatures, PlantedOptions, duration_of, plant_tracks
from wtal_core.errors import DataError, UsageError
from wtal_core.progress import track
from wtal_core.records import Annotations

__all__ = ["make_planted_dataset"]


def make_planted_dataset(
    annotations: Annotations,
    folder: str | os.PathLike[str],
    options: PlantedOptions,
    *,
    splits: Mapping[str, Sequence[str]],
    max_videos: int = 0,
    max_seconds: float = 0.0,
    quiet: bool = False,
) -> dict[str, Any]:
    """Plant tracks and features for the annotated videos of the splits and write `folder` as a data set.

    Interrupted, the same call goes on with the videos that are missing.

    Args:
        annotations: real annotations.
        folder: data set folder to make.
        options: how the features are made.
        splits: split -> subsets of the annotations.
        max_videos: at most so many videos of each split, one class after the other; 0: all.
        max_seconds: leave out longer videos; 0: none.

    Raises:
        UsageError: the folder holds another data set, or a subset does not exist.
        DataError: no video is left.
    """
    root = Path(folder)
    name = options.name
    if (root / "dataset.yaml").exists() and Dataset.open(root).name != name:
        raise UsageError("holds another data set", where=root, next_step="Choose another folder", arguments=("out",))
    chosen: list[str] = []
    for subsets in splits.values():
        part = annotations.subset(*subsets)
        annotated = set(part.instances.video.tolist())
        videos = [v for v in part.videos if v in annotated]
        if max_seconds:
            videos = [v for v in videos if duration_of(annotations, v) <= max_seconds]
        chosen += _spread(part, videos, max_videos) if max_videos else videos
    if not chosen:
        raise DataError(
            "no annotated video is left", where=annotations.source, next_step="Raise max_videos or max_seconds"
        )
    kept = annotations.only(chosen)
    kept = replace(
        kept,
        videos={v: replace(info, duration=duration_of(kept, v)) for v, info in kept.videos.items()},
        notes=(*kept.notes, f"Features, phases, context and static clips are planted: {name}."),
    )
    planted = plant_tracks(kept, options)
    maker = PlantedFeatures(planted, options)
    snippets = 0
    path = root / "features" / "planted.h5"
    with FeatureWriter(path) as writer:
        for video in track(list(planted.videos), "planted features", quiet=quiet):
            features = None if writer.has(video) else maker.video(video)
            if features is not None:
                writer.write(features)
                snippets += features.grid.num_snippets
    write_annotations(planted, root / "annotations.json")
    Dataset(
        folder=root,
        name=name,
        splits={split: tuple(subsets) for split, subsets in splits.items()},
        class_list=planted.classes,
        evaluation=EvaluationDefaults(),
        feature_files=(FeatureFile("planted", "features/planted.h5"),),
    ).save()
    return {
        "dataset": root,
        "videos": len(planted.videos),
        "snippets": snippets,
        "dim": options.dim,
        "crops": options.crops,
        "instances": len(planted.instances),
        "context": len(planted.tracks["context"]),
        "static": len(planted.tracks["static"]),
    }


def _spread(annotations: Annotations, videos: Sequence[str], count: int) -> list[str]:
    """Return `count` videos, taking one of each class in turn."""
    by_class: dict[str, list[str]] = {}
    for video in videos:
        rows = annotations.instances.for_video(video)
        by_class.setdefault(str(rows.label[0]), []).append(video)
    turns = [video for group in zip_longest(*by_class.values()) for video in group if video is not None]
    wanted = set(turns[:count])
    return [video for video in videos if video in wanted]
