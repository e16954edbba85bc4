"""Make a data set folder of the annotations, features and videos that somebody has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from wtal_core.data.annotations import read_annotations, write_annotations
from wtal_core.data.dataset import Dataset, FeatureFile
from wtal_core.data.features import (
    Conversion,
    FeatureFacts,
    HDF5Store,
    convert_features,
    detect_layout,
)
from wtal_core.data.video_files import VideoFiles
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import atomic_path, require_folder
from wtal_core.records import Annotations

__all__ = ["ImportRequest", "Imported", "import_dataset", "usual_splits"]


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What a data set folder is made of, and how.

    Args:
        folder: the folder to make; a second try goes on where the first stopped.
        annotations: file or folder in any format that `read_annotations` knows.
        features: `{name: file or folder}` in any layout; converted to `features/<name>.h5`.
        facts: what foreign features do not say.
        videos: folder with the video files.
        name: what the data set is called; "" takes the folder's name.
        splits: split -> subsets; {} takes what the subset names conventionally mean (`usual_splits`).
        dtype: type of converted features on disk.
        reference: leave features where they are and name their path instead of converting them.
        link: how videos come into the folder.
        exclude: videos whose features to leave out.
        only_with_features: leave annotated videos out that some of the features do not have; the classes stay.

    Raises:
        UsageError: the arguments contradict each other.
    """

    folder: Path
    annotations: Path
    features: Mapping[str, Path] = field(default_factory=dict)
    facts: FeatureFacts = FeatureFacts()
    videos: Path | None = None
    name: str = ""
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dtype: Literal["float16", "float32"] = "float16"
    reference: bool = False
    link: Literal["symlink", "copy"] = "symlink"
    exclude: Sequence[str] = ()
    only_with_features: bool = False

    def __post_init__(self) -> None:
        if self.exclude and self.reference:
            raise UsageError(
                "videos cannot be left out of features that stay where they are", next_step="Give exclude or reference"
            )
        if self.facts.modalities and self.reference:
            raise UsageError(
                "modalities cannot be stated of features that stay where they are",
                next_step="Leave reference out, or convert the features first: wtal data convert",
                arguments=("reference",),
            )
        if self.only_with_features and not self.features:
            raise UsageError(
                "no features are given to choose the videos by",
                expected="features with only_with_features",
                next_step="Name the features, or take all annotated videos",
                arguments=("features", "only_with_features"),
            )
        for kind, value, known in (("type", self.dtype, ("float16", "float32")),
                                   ("way to bring videos", self.link, ("symlink", "copy"))):  # fmt: skip
            if value not in known:
                raise unknown_name(kind, value, known)


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
        next_step="State them, e.g. train=training test=validation",
        arguments=("splits",),
    )


def import_dataset(request: ImportRequest, *, quiet: bool = False) -> Imported:
    """Make a data set folder; `dataset.yaml` comes last, so that an interrupted import is not taken for a data set.

    Args:
        request: what it is made of.
        quiet: no progress bars.

    Raises:
        DataError, UsageError: an input is wrong, or the folder already is a data set.
    """
    _check_new(request.folder)
    whole = read_annotations(request.annotations)
    splits = _chosen_splits(request.splits, whole)
    present, complete = _featured_videos(request, whole)
    if request.videos is not None:
        require_folder(request.videos, "a folder of videos")
    truth = whole
    if request.only_with_features:
        truth, splits = _only_complete(whole, splits, complete, present)
    # Whatever is wrong with the request is said by now: only from here on is anything made.
    files, conversions = [], {}
    for name, source in request.features.items():
        if request.reference:
            files.append(_referenced(request, name, source))
        else:
            files.append(FeatureFile(name, f"features/{name}.h5"))
            conversions[name] = _bring_features(request, whole, source, request.folder / files[-1].path, quiet=quiet)
    write_annotations(truth, request.folder / "annotations.json", format="activitynet")
    brought, missing = (0, 0) if request.videos is None else _bring_videos(request, request.videos, truth)
    name = request.name or request.folder.resolve().name
    dataset = Dataset(request.folder, name, splits, feature_files=tuple(files))
    left_out = len(whole.videos) - len(truth.videos)
    if truth.classes != tuple(sorted(truth.classes)) or left_out:
        dataset = replace(dataset, class_list=truth.classes)  # what JSON annotations do not keep: order, unused ones
    dataset.save()
    return Imported(dataset, conversions, brought, missing, left_out)


def _check_new(folder: Path) -> None:
    """Refuse a folder that is a data set already, and a file."""
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


def _chosen_splits(stated: Mapping[str, Sequence[str]], truth: Annotations) -> dict[str, tuple[str, ...]]:
    """Return the stated splits, whose subsets must exist, or the usual ones."""
    for subset in (s for group in stated.values() for s in group):
        if subset not in truth.subsets():
            raise unknown_name("subset", subset, truth.subsets(), where="splits")
    return {split: tuple(subsets) for split, subsets in stated.items()} or usual_splits(truth)


def _featured_videos(request: ImportRequest, truth: Annotations) -> tuple[set[str], set[str]]:
    """Return the videos that some features have, and the annotated ones that all features have and will keep."""
    left_out, present = set(request.exclude), set[str]()
    complete = set(truth.videos) - left_out
    for source in request.features.values():
        with request.facts.open(source, annotations=truth) as store:
            present.update(store.videos)
            complete.intersection_update(store.videos)
    for video in sorted(left_out - present):
        raise unknown_name("video", video, sorted(present), where="exclude")
    return present, complete


def _only_complete(
    truth: Annotations, splits: Mapping[str, tuple[str, ...]], complete: set[str], present: set[str]
) -> tuple[Annotations, dict[str, tuple[str, ...]]]:
    """Return the annotations of the videos that have all features, and the splits that are left of them."""
    if not complete:
        raise DataError(
            "no annotated video has features",
            expected=f"names such as {next(iter(truth.videos), '')!r}",
            got=f"names such as {min(present)!r}",
            where=truth.source or None,
            next_step="Bring the names together, e.g. take a prefix off",
            arguments=("strip_prefix",),
        )
    truth = truth.only(complete)
    there = set(truth.subsets())
    left = {split: tuple(name for name in names if name in there) for split, names in splits.items()}
    return truth, {split: names for split, names in left.items() if names}


def _referenced(request: ImportRequest, name: str, source: Path) -> FeatureFile:
    """Describe features that stay where they are, with the facts that they do not say themselves."""

    def relative(path: Path) -> str:
        return os.path.relpath(path.resolve(), request.folder.resolve())

    facts = FeatureFacts() if detect_layout(source) == "native" else request.facts
    return FeatureFile(
        name,
        relative(source),
        grid=facts.grid,
        names=relative(facts.names) if facts.names else "",
        extractor=facts.extractor,
        strip_prefix=facts.strip_prefix,
        lengths=facts.lengths,
    )


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
    request: ImportRequest, truth: Annotations, source: Path, target: Path, *, quiet: bool
) -> Conversion:
    """Convert features to `target`; a native file that is already what it would become is copied."""
    with (
        request.facts.open(source, annotations=truth) as store,
        _without_empty_folders(request.folder, target.parent),
    ):
        left_out = set(request.exclude)
        exclude = [video for video in store.videos if video in left_out]
        same_type = isinstance(store, HDF5Store) and all(store.dtype(v) == request.dtype for v in store.videos)
        if not same_type or exclude or target.exists():
            return convert_features(store, target, dtype=request.dtype, exclude=exclude, quiet=quiet)
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return Conversion(target, len(store.videos), 0, sum(store.shape(v)[-2] for v in store.videos))


def _bring_videos(request: ImportRequest, source: Path, annotations: Annotations) -> tuple[int, int]:
    """Link or copy the files of annotated videos into `videos/`; return `(brought, missing)`."""
    files, target_folder, copy = VideoFiles(source), request.folder / "videos", request.link == "copy"
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
            if copy:
                with atomic_path(target) as temporary:
                    shutil.copyfile(file, temporary)
            else:
                target.unlink(missing_ok=True)  # a link that leads nowhere
                target.symlink_to(file.resolve())
        except OSError as error:
            raise DataError(
                f"cannot be brought here: {error.strerror or error}",
                where=file,
                next_step="Check free space and permissions" if copy else "Copy the files instead",
                arguments=() if copy else ("copy",),
            ) from error
        brought += 1
    return brought, missing
