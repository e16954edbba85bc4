"""`wtal runs import`: an official checkpoint -> a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError
from wtal_core.methods import list_methods
from wtal_core.settings import option

__all__ = ["ImportRun"]


@dataclass(frozen=True, kw_only=True)
class ImportRun:
    """Make a run folder of an official checkpoint, for `wtal infer` and the app.

    Nothing in the file is run; a checkpoint that holds more than tensors is refused ('wtal weights convert' helps).
    """

    method: tyro.conf.Positional[str] = option(meaning=" | ".join(list_methods()))
    checkpoint: tyro.conf.Positional[tuple[Path, ...]]
    """The checkpoint (.pt, .pth, .pkl, .ckpt, .safetensors, .npz); for CMCS with streams=late RGB's and flow's."""
    out: Path
    """Run folder to make."""
    classes: str | None = None
    """Class names in channel order: thumos14, a text file with one a line, or A,B,C. Default: the data set's."""
    data: Path | None = None
    """Data set folder that the run will be used on."""
    features: str | None = None
    """Which of the data set's features. Default: the first."""
    feature_dim: int | None = None
    """Channels of the features. Default: those of the data set, else 2048."""
    preset: str = "thumos14"
    """Preset the weights were trained with."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the preset, e.g. streams=late branches=4 (see: wtal methods METHOD)."""
    extractor: str = ""
    """What made the features that the weights know, e.g. i3d-kinetics400; other features are refused then."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Import."""
        from wtal_core.data.dataset import Dataset
        from wtal_core.runs.importing import class_names, import_official

        if self.feature_dim is not None and self.feature_dim < 1:
            raise UsageError(
                "--feature-dim is out of range",
                expected=">= 1",
                got=str(self.feature_dim),
                next_step="Leave it out to take the checkpoint's own",
            )
        run = import_official(
            self.method,
            self.checkpoint,
            self.out,
            classes=class_names(self.classes) if self.classes is not None else (),
            feature_dim=self.feature_dim,
            preset=self.preset,
            changes=self.set,
            extractor=self.extractor,
            dataset=Dataset.open(self.data) if self.data is not None else None,
            features=self.features,
        )
        if self.as_json:
            print_json({"run": self.out, "method": run.info.method, "classes": len(run.info.classes),
                        "feature_dim": run.info.feature_dim, "notes": run.info.notes})  # fmt: skip
        else:
            print(f"{self.out}: {run.info.method}, {len(run.info.classes)} classes, {run.info.feature_dim} channels")
            print(f"next: wtal infer {self.out}" + ("" if self.data else " --data DATASET"))
        return 0
