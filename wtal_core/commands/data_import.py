"""`wtal data import`: make a data set folder of what somebody has."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wtal_core.commands.data_arguments import Foreign, ForeignFeatures, parse_feature_sets, parse_splits
from wtal_core.commands.output import print_json
from wtal_core.errors import counted

__all__ = ["Import"]


@dataclass(frozen=True)
class Import:
    """Make a data set folder of annotations, features and videos that you have.

    It gets dataset.yaml, annotations.json, features/*.h5 and videos/. An interrupted import goes on when run again.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """The folder to make."""
    annotations: Path
    """Annotation file or folder: ActivityNet JSON, THUMOS14 text, W-TALC's npy folder, CSV."""
    features: tuple[str, ...] = ()
    """Feature files or folders, each PATH or NAME=PATH; converted to features/NAME.h5."""
    videos: Path | None = None
    """Folder of video files named <video>.mp4 (or .mkv, .webm, ...); v_<video>.mp4 is found too."""
    name: str | None = None
    """Name of the data set. Default: the folder's name."""
    splits: tuple[str, ...] = ()
    """Which subsets make which split, e.g. train=training test=validation. Default: what the names usually mean."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type of features on disk."""
    reference: bool = False
    """Leave features where they are and name their path in dataset.yaml."""
    copy: bool = False
    """Copy videos instead of linking to them."""
    exclude: tuple[str, ...] = ()
    """Videos whose features to leave out."""
    only_with_features: bool = False
    """Leave annotated videos without features out; otherwise their instances count as missed."""
    foreign: Foreign = field(default_factory=ForeignFeatures)
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Make the folder and print what is in it."""
        from wtal_core.data.importing import ImportRequest, import_dataset

        sets = parse_feature_sets(self.features)
        self.foreign.refuse_unused(sets.values())
        request = ImportRequest(
            folder=self.folder,
            annotations=self.annotations,
            features=sets,
            facts=self.foreign.facts(),
            videos=self.videos,
            name=self.name or "",
            splits=parse_splits(self.splits),
            dtype=self.dtype,
            reference=self.reference,
            link="copy" if self.copy else "symlink",
            exclude=self.exclude,
            only_with_features=self.only_with_features,
        )
        done = import_dataset(request, quiet=self.json)
        dataset = done.dataset
        summary: dict[str, Any] = {
            "folder": self.folder,
            "name": dataset.name,
            "splits": {split: len(dataset.videos(split)) for split in dataset.splits},
            "classes": len(dataset.classes),
            "instances": len(dataset.annotations.instances),
            "features": {f.name: f.path for f in dataset.feature_files},
            "videos": done.videos,
            "videos_missing": done.videos_missing,
            "left_out": done.left_out,
        }
        if self.json:
            print_json(summary)
            return 0
        splits = ", ".join(f"{split} {count:,}" for split, count in summary["splits"].items())
        counts = f"{counted(summary['classes'], 'class', 'classes')}, {counted(summary['instances'], 'instance')}"
        print(f"{self.folder}: {dataset.name}, {counts}, videos: {splits}")
        for name, path in summary["features"].items():
            print(f"  features {name}: {path}")
        if done.left_out:
            print(f"  left out: {counted(done.left_out, 'annotated video')} without features")
        if self.videos is not None:
            how = "copied" if self.copy else "linked"
            print(f"  videos: {done.videos:,} {how}, {done.videos_missing:,} not found in {self.videos}")
        print(f"  next: wtal data doctor {shlex.quote(str(self.folder))}")
        return 0
