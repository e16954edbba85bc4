"""A data set folder: annotations, features and videos that belong together, and how they are split.

::

    <folder>/  dataset.yaml  annotations.json  features/*.h5  videos/*.mp4

`dataset.yaml`::

    name: thumos14
    splits: {train: [validation], test: [test]}              # split -> subsets of the annotations
    classes: [BaseballPitch, ...]                            # optional; else the annotations' classes and order
    evaluation: {protocol: activitynet, tiou: [0.1, 0.2]}    # optional; tiou may be a preset's name ("0.1:0.7")
    features:                                                # optional; else every features/*.h5; the first is default
      - features/i3d.h5
      - {name: i3d-packed, path: ../Thumos14reduced-I3D-JOINTFeatures.npy, grid: i3d-25fps-16, names: videoname.npy}
    annotations: annotations.json                            # optional
    videos: videos                                           # optional

Paths are relative to the folder. Unknown keys are errors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from wtal_core.data.features import (
    FEATURE_LAYOUTS,
    Conversion,
    FeatureStore,
    GridRule,
    HDF5Store,
    convert_features,
    detect_layout,
    open_features,
)
from wtal_core.data.features.packed import read_video_names
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import atomic_path, composed, read_text, require_folder, stem, visible, write_text
from wtal_core.records import Annotations, Provenance

__all__ = ["VIDEO_SUFFIXES", "Dataset", "EvaluationDefaults", "FeatureFile", "VideoFiles", "import_dataset"]

#: File name endings that are taken for videos, in the order they are preferred.
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp")


@dataclass(frozen=True, slots=True)
class EvaluationDefaults:
    """How detections on this data set are scored unless said otherwise.

    Args:
        protocol: name of an evaluation protocol.
        tiou: thresholds in (0, 1], or the name of a preset.
    """

    protocol: str = "activitynet"
    tiou: tuple[float, ...] | str = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

    def __post_init__(self) -> None:
        if not isinstance(self.protocol, str) or not self.protocol:
            raise DataError(
                "protocol is not a name",
                expected="a text",
                got=repr(self.protocol),
                where="evaluation",
                next_step="Write e.g. activitynet, thumos14 or wtalc",
            )
        if isinstance(self.tiou, str):
            return
        values = self.tiou if isinstance(self.tiou, Sequence) else ()
        if not values or not all(isinstance(t, int | float) and not isinstance(t, bool) and 0 < t <= 1 for t in values):
            raise DataError(
                "tiou is not a list of thresholds",
                expected="numbers in (0, 1], or the name of a preset",
                got=repr(self.tiou),
                where="evaluation",
                next_step="Write 0.1:0.7:0.1, or [0.3, 0.5, 0.7]",
            )
        object.__setattr__(self, "tiou", tuple(float(t) for t in values))


@dataclass(frozen=True, slots=True)
class FeatureFile:
    """One set of features of a data set.

    Args:
        name: what it is called, unique in the data set.
        path: file or folder, relative to the data set's folder.
        grid: where snippets lie, for files that do not say it: a preset, or "STRIDE/WINDOW@FPS" in frames.
        layout: one of `FEATURE_LAYOUTS`; "" detects it.
        names: list of video ids of a packed file (`videoname.npy`), relative to the data set's folder.
        extractor: what made the features, for files that do not say it.
        strip_prefix: text taken off the front of the file's video ids ("v_").
        lengths: what to do where RGB and flow differ in length, "same" (refuse) or "trim".
    """

    name: str
    path: str
    grid: str = ""
    layout: str = ""
    names: str = ""
    extractor: str = ""
    strip_prefix: str = ""
    lengths: Literal["same", "trim"] = "same"

    def __post_init__(self) -> None:
        for item in fields(self):
            if not isinstance(getattr(self, item.name), str):
                raise DataError(
                    f"{item.name} is not a text",
                    expected="a text",
                    got=repr(getattr(self, item.name)),
                    where="features",
                    next_step=f"Write the {item.name} in quotes",
                )
        if not self.name or not self.path:
            raise DataError(
                "a feature file has no name or no path",
                got=f"{self.name!r}, {self.path!r}",
                where="features",
                next_step="Give it both, e.g. {name: i3d, path: features/i3d.h5}",
            )
        if self.layout and self.layout not in FEATURE_LAYOUTS:
            raise unknown_name("feature layout", self.layout, FEATURE_LAYOUTS, where="features", usage=False)
        if self.lengths not in ("same", "trim"):
            raise unknown_name("treatment of lengths", self.lengths, ("same", "trim"), where="features", usage=False)


class VideoFiles:
    """Find the file of a video by its id: `<id>.*`, or `v_<id>.*` as ActivityNet's downloads are named.

    Args:
        folder: searched without sub-folders; may be missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        rank = {suffix: i for i, suffix in enumerate(VIDEO_SUFFIXES)}
        files = [p for p in visible(self.folder) if p.suffix.lower() in rank] if self.folder.is_dir() else []
        self._files: dict[str, Path] = {}
        for file in sorted(files, key=lambda p: (rank[p.suffix.lower()], p.name)):
            self._files.setdefault(stem(file), file)

    def __len__(self) -> int:
        return len(self._files)

    def find(self, video: str) -> Path | None:
        """Return the file of a video, or None."""
        video = composed(video)
        for name in (video, f"v_{video}", video.removeprefix("v_")):
            if name in self._files:
                return self._files[name]
        return None


@dataclass(frozen=True)
class Dataset:
    """A data set folder; make one with `Dataset.open(folder)`.

    Args:
        folder: where it lies.
        name: what it is called.
        splits: split name -> subsets of the annotations.
        class_list: the classes and their order, or () for the annotations' own.
        evaluation: default protocol and thresholds.
        feature_files: sets of features, the default first.
        annotations_path, videos_folder: relative to the folder.
    """

    folder: Path
    name: str
    splits: Mapping[str, tuple[str, ...]]
    class_list: tuple[str, ...] = ()
    evaluation: EvaluationDefaults = EvaluationDefaults()
    feature_files: tuple[FeatureFile, ...] = ()
    annotations_path: str = "annotations.json"
    videos_folder: str = "videos"

    def __post_init__(self) -> None:
        where = Path(self.folder) / "dataset.yaml"
        object.__setattr__(self, "folder", Path(self.folder))
        if not isinstance(self.name, str) or not self.name:
            raise DataError(
                "name is not a text",
                expected="a text",
                got=repr(self.name),
                where=where,
                next_step="Write a name, in quotes if it looks like a number",
            )
        object.__setattr__(self, "splits", _splits(self.splits, where))
        twice = {c for c in self.class_list if self.class_list.count(c) > 1}
        if twice:
            raise DataError(
                "a class is listed twice", got=str(sorted(twice)), where=where, next_step="List each class once"
            )
        names = [f.name for f in self.feature_files]
        if len(set(names)) != len(names):
            raise DataError(
                "two feature files have the same name",
                got=str(sorted(names)),
                where=where,
                next_step="Give one of them another name, e.g. {name: i3d-flow, path: ...}",
            )

    # -- reading --------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Dataset:
        """Read `dataset.yaml`; annotations and features are read when they are asked for.

        Raises:
            DataError: the folder or file is missing, not YAML, or has unknown keys or wrong values.
        """
        folder = require_folder(folder, "a data set folder")
        path = folder / "dataset.yaml"
        if not path.exists():
            raise DataError(
                "is not a data set folder",
                expected="a dataset.yaml in it",
                where=folder,
                next_step="Make one with 'wtal data import'",
            )
        return cls.from_dict(_read_yaml(path), folder)

    @classmethod
    def from_dict(cls, values: Any, folder: str | os.PathLike[str]) -> Dataset:
        """Build from the content of a `dataset.yaml`; unknown keys are errors that name the nearest known one."""
        folder = Path(folder)
        where = folder / "dataset.yaml"
        _check_keys(values, ("name", "splits", "classes", "evaluation", "features", "annotations", "videos"), where)
        missing = [key for key in ("name", "splits") if key not in values]
        if missing:
            raise DataError(
                "keys are missing",
                expected="name, splits",
                got=f"no {', '.join(missing)}",
                where=where,
                next_step="Add them to the file",
            )
        evaluation = values.get("evaluation") or {}
        _check_keys(evaluation, ("protocol", "tiou"), f"{where}: evaluation")
        try:
            return cls(
                folder=folder,
                name=values["name"],
                splits=values["splits"],
                class_list=tuple(map(composed, _texts(values.get("classes") or (), "classes", where))),
                evaluation=EvaluationDefaults(**evaluation),
                feature_files=_feature_files(values.get("features"), folder, where),
                annotations_path=_text(values.get("annotations", "annotations.json"), "annotations", where),
                videos_folder=_text(values.get("videos", "videos"), "videos", where),
            )
        except DataError as error:
            if error.where and not error.where.startswith(str(folder)):
                error = DataError(
                    error.problem,
                    expected=error.expected,
                    got=error.got,
                    where=f"{where}: {error.where}",
                    next_step=error.next_step,
                )
                raise error from None
            raise

    def to_dict(self) -> dict[str, Any]:
        """Return what `dataset.yaml` holds; values at their default are left out."""
        values: dict[str, Any] = {"name": self.name, "splits": {k: list(v) for k, v in self.splits.items()}}
        if self.class_list:
            values["classes"] = list(self.class_list)
        if self.evaluation != EvaluationDefaults():
            tiou = self.evaluation.tiou
            values["evaluation"] = {
                "protocol": self.evaluation.protocol,
                "tiou": tiou if isinstance(tiou, str) else list(tiou),
            }
        if self.feature_files:
            values["features"] = [
                {item.name: getattr(f, item.name) for item in fields(f) if getattr(f, item.name) != item.default}
                for f in self.feature_files
            ]
        if self.annotations_path != "annotations.json":
            values["annotations"] = self.annotations_path
        if self.videos_folder != "videos":
            values["videos"] = self.videos_folder
        return values

    def save(self) -> None:
        """Write `dataset.yaml` in one step."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)
        write_text(self.folder / "dataset.yaml", text)

    # -- what is in it --------------------------------------------------------------------------------------------

    @cached_property
    def annotations(self) -> Annotations:
        """The ground truth, with the data set's classes."""
        from wtal_core.data.annotations import read_annotations

        annotations = read_annotations(self.folder / self.annotations_path)
        return replace(annotations, classes=self.class_list) if self.class_list else annotations

    @property
    def classes(self) -> tuple[str, ...]:
        """Action classes in the data set's order."""
        return self.class_list or self.annotations.classes

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the sets of features, the default first."""
        return tuple(f.name for f in self.feature_files)

    def feature_file(self, name: str | None = None) -> FeatureFile:
        """Return the description of a set of features (default: the first).

        Raises:
            DataError: the data set has no features.
            UsageError: there is no such set.
        """
        if not self.feature_files:
            raise DataError(
                "the data set has no features",
                expected="a file in features/",
                where=self.folder,
                next_step="Make them with 'wtal extract', or convert them with 'wtal data convert'",
            )
        for file in self.feature_files:
            if name in (None, file.name):
                return file
        raise unknown_name("set of features", name, self.feature_names, where=self.folder)

    def features(self, name: str | None = None) -> FeatureStore:
        """Open a set of features (default: the first)."""
        file = self.feature_file(name)
        return open_features(
            self.folder / file.path,
            grid=file.grid or None,
            layout=file.layout or None,
            annotations=self.annotations if file.grid else None,
            names=read_video_names(self.folder / file.names) if file.names else None,
            provenance=Provenance(extractor=file.extractor) if file.extractor else None,
            strip_prefix=file.strip_prefix,
            lengths=file.lengths,
        )

    def subsets(self, split: str) -> tuple[str, ...]:
        """Return the subsets that make a split.

        Raises:
            UsageError: there is no such split.
        """
        if split not in self.splits:
            raise unknown_name("split", split, self.splits, where=self.folder)
        return self.splits[split]

    def videos(self, split: str | None = None) -> tuple[str, ...]:
        """Return the videos of a split (default: all), in the annotations' order."""
        if split is None:
            return tuple(self.annotations.videos)
        subsets = self.subsets(split)
        return tuple(video for video, info in self.annotations.videos.items() if info.subset in subsets)

    @cached_property
    def _video_files(self) -> VideoFiles:
        return VideoFiles(self.folder / self.videos_folder)

    def video_path(self, video: str) -> Path | None:
        """Return the file of a video, or None where there is none."""
        return self._video_files.find(video)


# -- parsing ------------------------------------------------------------------------------------------------------


def _read_yaml(path: Path) -> Any:
    text = read_text(path, "a YAML file")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DataError(
            f"is not valid YAML{place}: {getattr(error, 'problem', error)}",
            where=path,
            next_step="Correct this place; texts with ':' or '#' need quotes",
        ) from error


def _check_keys(values: Any, known: tuple[str, ...], where: object) -> None:
    if not isinstance(values, dict):
        raise DataError(
            "is not a mapping",
            expected=f"the keys {', '.join(known)}",
            got=type(values).__name__,
            where=where,
            next_step="Write one 'key: value' a line",
        )
    for key in values:
        if key not in known:
            raise unknown_name("key", key, known, where=where, usage=False)


def _text(value: Any, key: str, where: object) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(
            f"{key} is not a text",
            expected="a text",
            got=repr(value),
            where=where,
            next_step=f"Write a name after '{key}:', in quotes if it looks like a number",
        )
    return value


def _texts(value: Any, key: str, where: object) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(v, str) and v for v in items):
        raise DataError(
            f"{key} is not a list of names",
            expected="texts",
            got=repr(value)[:100],
            where=where,
            next_step="Write the names as [first, second]",
        )
    return list(items)


def _splits(values: Any, where: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(values, Mapping) or not values or not all(isinstance(k, str) for k in values):
        raise DataError(
            "splits is not a mapping",
            expected="e.g. {train: [validation], test: [test]}",
            got=repr(values),
            where=where,
            next_step="Name each split and the subsets it takes",
        )
    return {str(k): tuple(_texts(v, f"splits.{k}", where)) for k, v in values.items()}


def _feature_files(values: Any, folder: Path, where: object) -> tuple[FeatureFile, ...]:
    if values is None:
        found = visible(folder / "features", "*.h5") if (folder / "features").is_dir() else []
        return tuple(FeatureFile(name=p.stem, path=f"features/{p.name}") for p in found)
    if not isinstance(values, list):
        raise DataError(
            "features is not a list",
            expected="paths or mappings",
            got=repr(values)[:100],
            where=where,
            next_step="Begin each file of features with '- '",
        )
    known = tuple(item.name for item in fields(FeatureFile))
    files = []
    for value in values:
        if isinstance(value, str):
            files.append(FeatureFile(name=Path(value).stem, path=value))
            continue
        _check_keys(value, known, f"{where}: features")
        path = _text(value.get("path"), "path", f"{where}: features")
        files.append(FeatureFile(**({"name": Path(path).stem} | value)))
    return tuple(files)


# -- making one ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Args:
        dataset: the new data set.
        conversions: `{name of features: conversion}` of those that were converted.
        videos: files linked or copied now.
        videos_missing: annotated videos without a file.
        left_out: annotated videos that were left out for want of features.
    """

    dataset: Dataset
    conversions: Mapping[str, Conversion] = field(default_factory=dict)
    videos: int = 0
    videos_missing: int = 0
    left_out: int = 0


#: Usual subset names of the training and test side, in the order they are looked for.
_SPLIT_GUESSES = (
    ({"training", "validation", "testing"}, {"train": ("training",), "test": ("validation",)}),  # ActivityNet
    ({"training", "validation"}, {"train": ("training",), "test": ("validation",)}),
    ({"validation", "test"}, {"train": ("validation",), "test": ("test",)}),  # THUMOS14
    ({"train", "test"}, {"train": ("train",), "test": ("test",)}),
    ({"training", "test"}, {"train": ("training",), "test": ("test",)}),
    ({"training", "testing"}, {"train": ("training",), "test": ("testing",)}),
    ({"train", "val"}, {"train": ("train",), "test": ("val",)}),
)


def usual_splits(annotations: Annotations) -> dict[str, tuple[str, ...]]:
    """Return the splits that these subset names conventionally mean ("Validation" as "validation").

    Raises:
        DataError: the subset names are none of the usual sets; they must be stated then.
    """
    subsets = set(annotations.subsets())
    spelled = {subset.casefold(): subset for subset in subsets}
    for names, splits in _SPLIT_GUESSES:
        if spelled.keys() == names and len(spelled) == len(subsets):
            return {split: tuple(spelled[name] for name in members) for split, members in splits.items()}
    if len(subsets) == 1:
        return {"test": tuple(subsets)}
    raise DataError(
        "the splits do not follow from the subset names",
        expected="e.g. training and validation, or validation and test",
        got=", ".join(sorted(subsets)) or "no subsets",
        where=annotations.source or None,
        next_step="State them, e.g. --splits train=training test=validation",
    )


def import_dataset(
    folder: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str],
    features: Mapping[str, str | os.PathLike[str]] | None = None,
    videos: str | os.PathLike[str] | None = None,
    name: str | None = None,
    splits: Mapping[str, Sequence[str]] | None = None,
    grid: str = "",
    names: str | os.PathLike[str] | None = None,
    extractor: str = "",
    modalities: Sequence[tuple[str, int]] = (),
    strip_prefix: str = "",
    lengths: Literal["same", "trim"] = "same",
    dtype: Literal["float16", "float32"] = "float16",
    reference: bool = False,
    link: Literal["symlink", "copy"] = "symlink",
    exclude: Iterable[str] = (),
    only_with_features: bool = False,
    quiet: bool = False,
) -> Imported:
    """Make a data set folder; `dataset.yaml` comes last, so that an interrupted import is not taken for a data set.

    Args:
        folder: the folder to make; a second try goes on where the first stopped.
        annotations: file or folder in any format that `read_annotations` knows.
        features: `{name: file or folder}` in any layout; converted to `features/<name>.h5`.
        videos: folder with the video files.
        name: what the data set is called; default the folder's name.
        splits: split -> subsets; default what the subset names conventionally mean (`usual_splits`).
        grid, names, extractor, strip_prefix, lengths: what foreign features do not say, see `FeatureFile`.
        modalities: streams of converted features and their channels, where the files do not tell.
        dtype: type of converted features on disk.
        reference: leave features where they are and name their path instead of converting them.
        link: how videos come into the folder.
        exclude: videos whose features to leave out.
        only_with_features: leave annotated videos out that some of the features do not have; the classes stay.
        quiet: no progress bars.

    Raises:
        DataError, UsageError: an input is wrong, or the folder already is a data set.
    """
    from wtal_core.data.annotations import read_annotations, write_annotations

    folder = Path(folder)
    if (folder / "dataset.yaml").exists():
        raise UsageError(
            "is a data set already",
            expected="a new folder",
            where=folder,
            next_step="Choose another name, delete this folder, or edit its dataset.yaml",
        )
    if folder.exists() and not folder.is_dir():
        raise DataError(
            "is a file", expected="a folder to make", where=folder, next_step="Choose another name, or remove the file"
        )
    truth = read_annotations(annotations)
    chosen = {k: tuple(v) for k, v in splits.items()} if splits else usual_splits(truth)
    for subset in (s for group in chosen.values() for s in group):
        if subset not in truth.subsets():
            raise unknown_name("subset", subset, truth.subsets(), where="splits")
    if exclude and reference:
        raise UsageError(
            "videos cannot be left out of features that stay where they are", next_step="Give exclude or reference"
        )
    video_names = read_video_names(names) if names else None

    def opened(source: str | os.PathLike[str]) -> FeatureStore:
        return open_features(
            source,
            grid=grid or None,
            annotations=truth,
            names=video_names,
            provenance=Provenance(extractor, tuple(modalities)) if extractor or modalities else None,
            strip_prefix=strip_prefix,
            lengths=lengths,
        )

    # Whatever is wrong with the arguments is said before anything is made.
    GridRule.parse(grid or None)
    left_out = set(exclude)
    present: set[str] = set()
    complete = set(truth.videos) - left_out
    for source in (features or {}).values():
        with opened(source) as store:
            present.update(store.videos)
            complete.intersection_update(store.videos)
    for video in sorted(left_out - present):
        raise unknown_name("video", video, sorted(present), where="exclude")
    if videos is not None:
        require_folder(videos, "a folder of videos")
    annotated = len(truth.videos)
    if only_with_features:
        truth, chosen = _only_complete(truth, chosen, complete, present)

    files: list[FeatureFile] = []
    conversions: dict[str, Conversion] = {}
    for key, source in (features or {}).items():
        if reference:
            file = FeatureFile(key, os.path.relpath(Path(source).resolve(), folder.resolve()))
            if detect_layout(source) != "native":
                listed = os.path.relpath(Path(names).resolve(), folder.resolve()) if names else ""
                file = replace(
                    file, grid=grid, names=listed, extractor=extractor, strip_prefix=strip_prefix, lengths=lengths
                )
        else:
            file = FeatureFile(key, f"features/{key}.h5")
            target = folder / file.path
            with opened(source) as store, _without_empty_folders(folder, target.parent):
                conversions[key] = _bring_features(store, source, target, left_out, dtype=dtype, quiet=quiet)
        files.append(file)

    write_annotations(truth, folder / "annotations.json", format="activitynet")
    count, missing = _bring_videos(videos, folder, truth, link) if videos is not None else (0, 0)
    dataset = Dataset(folder, name or folder.resolve().name, chosen, feature_files=tuple(files))
    if truth.classes != tuple(sorted(truth.classes)) or len(truth.videos) < annotated:
        dataset = replace(dataset, class_list=truth.classes)  # what JSON annotations do not keep: order, unused ones
    dataset.save()
    return Imported(dataset, conversions, count, missing, annotated - len(truth.videos))


def _only_complete(
    truth: Annotations, splits: Mapping[str, tuple[str, ...]], complete: set[str], present: set[str]
) -> tuple[Annotations, dict[str, tuple[str, ...]]]:
    """Return the annotations of the videos that have all features, and the splits that are left of them."""
    if not present:
        raise UsageError(
            "no features are given to choose the videos by",
            expected="--features with --only-with-features",
            next_step="Name the features, or leave --only-with-features out",
        )
    if not complete:
        raise DataError(
            "no annotated video has features",
            expected=f"names such as {next(iter(truth.videos), '')!r}",
            got=f"names such as {min(present)!r}",
            where=truth.source or None,
            next_step="Bring the names together, e.g. by --strip-prefix",
        )
    truth = truth.only(complete)
    there = set(truth.subsets())
    left = {split: tuple(name for name in names if name in there) for split, names in splits.items()}
    return truth, {split: names for split, names in left.items() if names}


@contextmanager
def _without_empty_folders(*folders: Path) -> Iterator[None]:
    """Remove the folders (innermost last) that were made in vain: they are empty after something failed in them."""
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in reversed(new):
            with suppress(OSError):  # it holds what a second try goes on from
                folder.rmdir()
        raise


def _bring_features(
    store: FeatureStore,
    source: str | os.PathLike[str],
    target: Path,
    left_out: set[str],
    *,
    dtype: Literal["float16", "float32"],
    quiet: bool,
) -> Conversion:
    """Convert features to `target`; a native file that is already what it would become is copied."""
    exclude = [video for video in store.videos if video in left_out]
    same_type = isinstance(store, HDF5Store) and all(store.dtype(v) == dtype for v in store.videos)
    if not same_type or exclude or target.exists():
        return convert_features(store, target, dtype=dtype, exclude=exclude, quiet=quiet)
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return Conversion(target, len(store.videos), 0, sum(store.shape(v)[-2] for v in store.videos))


def _bring_videos(
    source: str | os.PathLike[str], folder: Path, annotations: Annotations, link: Literal["symlink", "copy"]
) -> tuple[int, int]:
    """Link or copy the files of annotated videos into `videos/`; return `(brought, missing)`."""
    files = VideoFiles(require_folder(source, "a folder of videos"))
    target_folder = folder / "videos"
    target_folder.mkdir(parents=True, exist_ok=True)
    brought = missing = 0
    for video in annotations.videos:
        file = files.find(video)
        if file is None:
            missing += 1
            continue
        target = target_folder / f"{video}{file.suffix.lower()}"
        if target.exists():
            continue
        try:
            if link == "copy":
                with atomic_path(target) as temporary:
                    shutil.copyfile(file, temporary)
            else:
                target.unlink(missing_ok=True)  # a link that leads nowhere
                target.symlink_to(file.resolve())
        except OSError as error:
            raise DataError(
                f"cannot be brought here: {error.strerror or error}",
                where=file,
                next_step="Check free space and permissions" if link == "copy" else "Copy the files instead: --copy",
            ) from error
        brought += 1
    return brought, missing
