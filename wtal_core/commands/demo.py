"""`wtal demo build | sheet | report | real`: worlds whose truth is known, and real material beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError, unknown_name

__all__ = ["DemoBuild", "DemoReal", "DemoReport", "DemoSheet"]


@dataclass(frozen=True)
class DemoBuild:
    """Render a world of sport videos, describe them, and train, run and evaluate every method on it.

    The same seed gives the same world. Interrupted, the same command goes on. A full build renders 54 videos of about
    75 s; --small 18 of about 12 s and half the size.
    """

    out: Path
    """Data set folder to make or go on with."""
    seed: int = 0
    """Seed of the world; the shipped one is 0."""
    small: bool = False
    """A small world, trained for seconds: to try out, and for tests."""
    runs: tuple[str, ...] = ()
    """Methods and variants to train, e.g. cmcs cmcs-one-branch. Default: all; none: only the data set."""
    run_seed: int = 0
    """Seed of the trainings."""
    ship: Path | None = None
    """Also pack what is worth shipping (no training videos, compressed) into this folder."""
    workers: int = 0
    """Processes; 0: one for each core."""
    quiet: bool = False
    """No progress bars."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Build."""
        from wtal_core.demo.builder import BuildOptions, build
        from wtal_core.demo.recipes import VARIANTS

        if "none" in self.runs and len(self.runs) > 1:
            raise UsageError(
                "none stands alone",
                got=" ".join(self.runs),
                where="--runs",
                next_step="Leave it out, or name the runs to train",
            )
        runs = () if self.runs == ("none",) else self.runs or tuple(VARIANTS)
        options = BuildOptions(
            seed=self.seed, small=self.small, runs=runs, run_seed=self.run_seed, workers=self.workers
        )
        report = build(self.out, options, quiet=self.quiet)
        if self.ship is not None:
            from wtal_core.demo.shipping import ship

            report["shipped"] = ship(self.out, self.ship, quiet=self.quiet)
        if self.as_json:
            print_json(report)
            return 0
        took, minutes = report["seconds"], report["minutes"]
        print(
            f"{report['name']}: {report['videos']} videos ({minutes:.0f} minutes; {report['videos_made']} made "
            f"in {took['videos']:.0f} s), {report['instances']} instances, {len(runs)} runs "
            f"({report['runs_made']} trained in {took['runs']:.0f} s): {self.out}"
        )
        if self.ship is not None:
            print(f"packed: {report['shipped']['bytes'] / 1e6:.1f} MB in {self.ship}")
        if report["runs"]:
            print_table(
                ("run", "average mAP 0.1:0.7"), [(n, f"{100 * value:.1f}") for n, value in report["runs"].items()]
            )
        return 0


@dataclass(frozen=True)
class DemoSheet:
    """Draw contact sheets: every action, fake, context and background of a class on one picture."""

    classes: tyro.conf.Positional[tuple[str, ...]] = ()
    """Classes (or Background). Default: all."""
    out: Path = Path("sheets")
    """Folder for the pictures."""
    seed: int = 7
    """Athletes, places and light."""
    width: int = 0
    """Shrink to so many pixels; 0: full size (2096)."""
    format: Literal["png", "jpg"] = "png"
    """File format."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the files as JSON."""

    def run(self) -> int:
        """Draw."""
        from wtal_core.demo.sheet import SHEETS, write_sheet
        from wtal_core.progress import track

        for name in self.classes:
            if name not in SHEETS:
                raise unknown_name("class", name, SHEETS)
        if self.width < 0 or self.seed < 0:
            raise UsageError(
                "a number is negative",
                expected=">= 0",
                got=f"--width {self.width} --seed {self.seed}",
                next_step="Give a number from 0",
            )
        files = {name: self.out / f"{name}.{self.format}" for name in self.classes or SHEETS}
        for name, file in track(list(files.items()), "contact sheets"):
            write_sheet(name, file, seed=self.seed, width=self.width)
        if self.as_json:
            print_json(files)
        else:
            print("\n".join(str(file) for file in files.values()))
        return 0


@dataclass(frozen=True)
class DemoReport:
    """Measure every method and variant over several seeds, and what of the papers' claims shows in it."""

    data: Path = Path("assets/demo")
    """Data set folder of a demo world; its own runs count for their seed."""
    out: Path = Path("runs/demo-report")
    """Folder for the further runs and report.json."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the trainings."""
    runs: tuple[str, ...] = ()
    """Methods and variants. Default: all."""
    readme: Path | None = None
    """Write the tables into this Markdown file, between its markers."""
    workers: int = 0
    """Processes; 0: one for each core."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the measures as JSON."""

    def run(self) -> int:
        """Measure."""
        from wtal_core.demo.recipes import VARIANTS
        from wtal_core.demo.report import make_report, to_markdown, write_into

        for name in self.runs:
            if name not in VARIANTS:
                raise unknown_name("variant", name, VARIANTS)
        report = make_report(
            self.data,
            self.out,
            seeds=self.seeds,
            variants=self.runs or tuple(VARIANTS),
            workers=self.workers,
            quiet=self.quiet,
        )
        text = to_markdown(report)
        if self.readme is not None:
            write_into(self.readme, text)
        if self.as_json:
            print_json(report.to_dict())
        else:
            print(text)
        return 0


@dataclass(frozen=True)
class DemoReal:
    """Make data sets of real clips and real features beside the rendered world."""

    shared: Path
    """Folder with the clips and features (activitynet_real_clips, bmt_long_jump_i3d, i3d_rgb_kinetics400, ...)."""
    out: Path = Path("datasets")
    """Folder for the data sets `real-clips` and `long-jump`; the app finds them in `datasets` beside it."""
    golden: Path | None = None
    """Folder with cmcs_golden.npz, CMCS's official weights. Default: beside the shared folder."""
    i3d: bool = True
    """Describe the clips by the appearance descriptor also where I3D's weights are present."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print what was made as JSON."""

    def run(self) -> int:
        """Make them."""
        from wtal_core.demo.real import make_real

        report: dict[str, Any] = make_real(self.shared, self.out, golden=self.golden, i3d=self.i3d, quiet=self.quiet)
        if self.as_json:
            print_json(report)
            return 0
        for entry in report["datasets"]:
            print(
                f"{entry['dataset']}: {entry['videos']} videos, {entry['instances']} instances, "
                f"features {entry['features']}"
            )
        for note in report["notes"]:
            print(f"note: {note}")
        return 0
