"""`wtal demo features`: real annotations -> a data set with planted features and known phases and context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError

__all__ = ["DemoFeatures", "DemoTable"]


@dataclass(frozen=True)
class DemoFeatures:
    """Make a data set folder with planted features in the shape of real annotations; no video is needed."""

    annotations: Path
    """Real annotations: ActivityNet JSON, THUMOS14 text folder, or W-TALC npy folder."""
    out: Path
    """Data set folder to make."""
    dim: int = 2048
    """Channels, half RGB and half flow; 256 trains quickly on a CPU."""
    seed: int = 0
    """Seed; the same seed gives the same features."""
    crops: int = 1
    """Spatial crops; the first is the same for any number, further ones differ in gains, noise and what they show."""
    train: tuple[str, ...] = ("validation",)
    """Subsets that make the training split."""
    test: tuple[str, ...] = ("test",)
    """Subsets that make the test split."""
    max_videos: int = 0
    """At most so many videos of each split, spread over the classes; 0: all."""
    max_seconds: float = 0.0
    """Leave out videos longer than this; 0: none."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Further options, e.g. context_share=0.6 noise=0.5 static_share=0.1."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Make the data set."""
        from wtal_core.data import read_annotations
        from wtal_core.demo.planted import PlantedOptions
        from wtal_core.demo.planted_dataset import make_planted_dataset
        from wtal_core.settings import override

        if self.max_videos < 0 or self.max_seconds < 0:
            raise UsageError(
                "a limit is negative",
                expected=">= 0",
                got=f"{self.max_videos}, {self.max_seconds}",
                next_step="Give 0 for no limit",
            )
        options = override(PlantedOptions(dim=self.dim, seed=self.seed, crops=self.crops), self.set)
        report = make_planted_dataset(
            read_annotations(self.annotations),
            self.out,
            options,
            splits={"train": self.train, "test": self.test},
            max_videos=self.max_videos,
            max_seconds=self.max_seconds,
            quiet=self.quiet,
        )
        if self.as_json:
            print_json(report)
        else:
            crops = f" in {report['crops']} crops" if report["crops"] > 1 else ""
            print(
                f"{report['videos']} videos, {report['snippets']:,} snippets of {report['dim']} channels{crops}, "
                f"{report['instances']:,} instances, {report['context']:,} contexts: {self.out}"
            )
        return 0


@dataclass(frozen=True)
class DemoTable:
    """Train every method on a planted data set over several seeds and print mAP as mean and standard deviation."""

    data: Path
    """Data set folder made by wtal demo features."""
    out: Path
    """Folder for the runs; finished ones are kept, interrupted ones go on."""
    method: tuple[str, ...] = ()
    """Methods. Default: all five."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of a Markdown table."""

    def run(self) -> int:
        """Train and print."""
        from wtal_core.demo.planted_table import markdown_table, train_planted
        from wtal_core.methods import method_class
        from wtal_core.runs.scores import compare

        for name in self.method:
            method_class(name)
        if not self.seeds or min(self.seeds) < 0:
            raise UsageError(
                "there is no seed",
                expected="one or several numbers >= 0",
                got=str(self.seeds),
                next_step="Name one or several seeds after --seeds",
            )
        runs = train_planted(
            self.data, self.out, methods=self.method, seeds=self.seeds, device=self.device, quiet=self.quiet
        )
        table = compare(list(runs))
        if self.as_json:
            print_json(table)
        else:
            print(markdown_table(table))
        return 0
