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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from wtal_core.data.features import FEATURE_LAYOUTS, FeatureFacts, FeatureStore
from wtal_core.data.video_files import VideoFiles
from wtal_core.documents import to_yaml
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import composed, read_yaml, require_folder, visible, write_text
from wtal_core.records import Annotations, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.summary import Summarized, Summary

__all__ = ["Dataset", "EvaluationDefaults", "FeatureFile", "open_dataset"]


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
        layout: one of `FEATURE_LAYOUTS`; "" detects it.
        grid, names, extractor, strip_prefix, lengths: see `FeatureFacts`; names is relative to the data set's folder.
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


def open_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Open a data set folder, see `Dataset`.

    Raises:
        DataError: the folder or its `dataset.yaml` is missing or damaged.
    """
    return Dataset.open(folder)


@dataclass(frozen=True, repr=False)
class Dataset(Summarized):
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

    def _summary(self, rows: int) -> Summary:
        """Return the data set in short, without reading more than its description."""
        return Summary(
            f"Data set {self.name}",
            facts=[
                ("splits", ", ".join(f"{split} ({' + '.join(names)})" for split, names in self.splits.items())),
                ("features", ", ".join(self.feature_names)),
                ("classes", ", ".join(self.class_list)),
                ("folder", str(self.folder)),
            ],
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
        if not os.path.exists(path):
            raise DataError(
                "is not a data set folder",
                expected="a dataset.yaml in it",
                where=folder,
                next_step="Make one with 'wtal data import'",
            )
        return cls.from_dict(read_yaml(path, "the description of a data set"), folder)

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
                raise error.at(f"{where}: {error.where}") from None
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
        write_text(self.folder / "dataset.yaml", to_yaml(self.to_dict()))

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

    def store(self, name: str | None = None) -> FeatureStore:
        """Open a set of features (default: the first)."""
        file = self.feature_file(name)
        facts = FeatureFacts(
            grid=file.grid,
            names=self.folder / file.names if file.names else None,
            extractor=file.extractor,
            strip_prefix=file.strip_prefix,
            lengths=file.lengths,
        )
        annotations = self.annotations if file.grid else None
        return facts.open(self.folder / file.path, layout=file.layout or None, annotations=annotations)

    def unlisted_features(self) -> tuple[str, ...]:
        """Return the files in `features/` that `dataset.yaml` does not list, relative to the folder."""
        listed = {(self.folder / file.path).resolve() for file in self.feature_files}
        found = visible(self.folder / "features", "*.h5")
        return tuple(f"features/{path.name}" for path in found if path.resolve() not in listed)

    def add_features(self, path: str) -> Dataset:
        """Add a file of `unlisted_features` to `dataset.yaml` and return the data set as it is then.

        Raises:
            UsageError: it is no such file, or a set of features of this name is listed already.
        """
        if path not in self.unlisted_features():
            raise UsageError(
                "is not an unlisted file of features",
                where=self.folder / path,
                next_step="Name a file in features/ that dataset.yaml does not list",
            )
        name = Path(path).stem
        if name in self.feature_names:
            raise UsageError(
                f"a set of features is called {name!r} already",
                where=self.folder / "dataset.yaml",
                next_step="Rename the file, or list it in dataset.yaml under another name",
            )
        changed = replace(self, feature_files=(*self.feature_files, FeatureFile(name, path)))
        changed.save()
        return changed

    def features(self, video: str, name: str | None = None) -> VideoFeatures:
        """Return the features of one video, of one set of features (default: the first).

        Raises:
            DataError: the data set has no features, or the video has none.
        """
        with self._known_store(name) as store:
            return store.read(video)

    def grid(self, video: str, name: str | None = None) -> SnippetGrid:
        """Return where the snippets of one video lie in time, in one set of features (default: the first).

        Raises:
            DataError: the data set has no features, or the video has none.
        """
        with self._known_store(name) as store:
            return store.grid(video)

    @cached_property
    def _stores(self) -> dict[str, FeatureStore]:
        return {}

    def _known_store(self, name: str | None) -> FeatureStore:
        """Return a set of features that is looked through once, and whose file is opened when it is read."""
        key = self.feature_file(name).name
        if key not in self._stores:
            self._stores[key] = self.store(key)
        return self._stores[key]

    def subsets(self, split: str) -> tuple[str, ...]:
        """Return the subsets that make a split.

        Raises:
            UsageError: there is no such split.
        """
        if split not in self.splits:
            raise unknown_name("split", split, self.splits, where=self.folder)
        return self.splits[split]

    def videos(self, part: str | None = None) -> tuple[str, ...]:
        """Return the videos of a split or subset (default: all), in the annotations' order; splits come first.

        Raises:
            UsageError: there is no such split or subset.
        """
        if part is None:
            return tuple(self.annotations.videos)
        if part not in self.splits and part not in self.annotations.subsets():
            known = dict.fromkeys((*self.splits, *self.annotations.subsets()))
            raise unknown_name("split or subset", part, known, where=self.folder)
        subsets = self.splits.get(part, (part,))
        return tuple(video for video, info in self.annotations.videos.items() if info.subset in subsets)

    @cached_property
    def _video_files(self) -> VideoFiles:
        return VideoFiles(self.folder / self.videos_folder)

    def video_path(self, video: str) -> Path | None:
        """Return the file of a video, or None where there is none."""
        return self._video_files.find(video)


# -- parsing ------------------------------------------------------------------------------------------------------


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
