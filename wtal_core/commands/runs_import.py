"""`wtal runs import`: predictions of anybody's code, or an official checkpoint -> a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError

if TYPE_CHECKING:
    from wtal_core.runs.folder import Run

__all__ = ["ImportRun"]


@dataclass(frozen=True, kw_only=True)
class ImportRun:
    """Make a run folder of what somebody's code wrote, or of an official checkpoint.

    wtal runs import cas/ detections.json --data DATASET --name AutoLoc --out runs/autoloc

    wtal runs import METHOD CHECKPOINT --data DATASET --out runs/official

    Files of predictions are activations (.npz of one video or of many, a folder of them, or a wtal .h5) and detections
    in any format that is read. Keys of an .npz: cas, video_scores, embedding, attention.NAME, map.NAME, branches.NAME,
    curve.NAME, mask.NAME, scalar.NAME, classes; other arrays go by their shape; of many videos VIDEO/KEY.

    Nothing in a checkpoint is run; one that holds more than tensors is refused ('wtal weights convert' helps).
    """

    what: tyro.conf.Positional[str]
    """A file or folder of predictions; or a name of `wtal methods`, or module:Class."""
    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Further files of predictions; or the checkpoint (.pt, .pth, .pkl, .ckpt, .safetensors, .npz), or its parts."""
    out: Path
    """Run folder to make."""
    classes: str | None = None
    """Class names in channel order: thumos14, a text file with one a line, or A,B,C. Default: the data set's."""
    data: Path | None = None
    """Data set folder that the run belongs to; predictions are scored on it."""
    name: str = ""
    """Predictions: what made them, e.g. AutoLoc."""
    grid: str = ""
    """Predictions: where snippets lie, e.g. i3d-25fps-16; default as the data set's features, else over the video."""
    features: str | None = None
    """Which of the data set's features. Default: the first."""
    feature_dim: int | None = None
    """Channels of the features. Default: those of the data set, else 2048."""
    preset: str | None = None
    """Preset the weights were trained with. Default: the method's first."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the preset, e.g. streams=late branches=4 (see: wtal methods METHOD)."""
    extractor: str = ""
    """What made the features that the weights know, e.g. i3d-kinetics400; other features are refused then."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Import."""
        run = self._predictions() if Path(self.what).exists() else self._checkpoint()
        info = run.info
        if self.as_json:
            print_json({"run": self.out, "method": info.method, "classes": len(info.classes),
                        "feature_dim": info.feature_dim, "notes": info.notes})  # fmt: skip
            return 0
        channels = f", {info.feature_dim} channels" if info.feature_dim else ""
        print(f"{self.out}: {info.method or 'predictions'}, {len(info.classes)} classes{channels}")
        if info.preset:
            print(f"next: wtal infer {self.out}" + ("" if self.data else " --data DATASET"))
        elif note := run.status().get("message"):
            print(note)
        return 0

    def _predictions(self) -> Run:
        from wtal_core.data.dataset import Dataset
        from wtal_core.runs.importing import class_names
        from wtal_core.runs.predictions import import_predictions

        return import_predictions(
            [self.what, *self.files],
            self.out,
            data=Dataset.open(self.data) if self.data is not None else None,
            method=self.name,
            classes=class_names(self.classes) if self.classes is not None else (),
            grid=self.grid,
            quiet=self.as_json,
        )

    def _checkpoint(self) -> Run:
        from wtal_core.methods.registry import target_of

        target_of(self.what)
        from wtal_core.data.dataset import Dataset
        from wtal_core.runs.importing import class_names, import_official

        if not self.files:
            raise UsageError("no checkpoint was named", where=self.what, next_step="Name the file behind the method")
        if self.feature_dim is not None and self.feature_dim < 1:
            raise UsageError(
                "--feature-dim is out of range",
                expected=">= 1",
                got=str(self.feature_dim),
                next_step="Leave it out to take the checkpoint's own",
            )
        return import_official(
            self.what,
            self.files,
            self.out,
            classes=class_names(self.classes) if self.classes is not None else (),
            feature_dim=self.feature_dim,
            preset=self.preset,
            changes=self.set,
            extractor=self.extractor,
            dataset=Dataset.open(self.data) if self.data is not None else None,
            features=self.features,
        )
