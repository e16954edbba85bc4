"""`wtal data doctor`: check a data set, or loose files, before the first epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from wtal_core.commands.arguments import with_options
from wtal_core.commands.data_arguments import Foreign, ForeignFeatures, parse_feature_sets, parse_splits
from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError, counted

if TYPE_CHECKING:
    from wtal_core.data.doctor import Diagnosis, Finding, Severity

__all__ = ["Doctor"]

_MARKS = {"error": "error  ", "warning": "warning", "note": "note   "}


@dataclass(frozen=True)
class Doctor:
    """Check a data set before the first epoch: features, lengths, splits, labels, segments, videos.

    Errors make training or evaluation wrong, warnings make numbers doubtful, notes are worth knowing. Exit code 1 if
    there is an error.
    """

    dataset: Annotated[Path | None, tyro.conf.Positional] = None
    """The data set folder (with dataset.yaml). Leave it out and give --annotations to check loose files."""
    annotations: Path | None = None
    """Annotation file or folder, in place of a data set folder."""
    features: tuple[str, ...] = ()
    """Feature files or folders to check against --annotations, each PATH or NAME=PATH."""
    videos: Path | None = None
    """Folder of video files to check against --annotations."""
    splits: tuple[str, ...] = ()
    """Splits of loose annotations, e.g. train=validation test=test. Default: what the subset names usually mean."""
    foreign: Foreign = field(default_factory=ForeignFeatures)
    max: int = 8
    """Lines printed for each kind of finding; 0 prints all."""
    json: bool = False
    """Print all findings as JSON."""

    def run(self) -> int:
        """Print the findings; return 1 if there is an error among them."""
        if (self.dataset is None) == (self.annotations is None):
            raise UsageError(
                "nothing to check" if self.dataset is None else "a data set folder and --annotations are both given",
                expected="either a data set folder, or --annotations with --features",
                next_step="Name one of the two",
            )
        if self.max < 0:
            raise UsageError(
                "--max is out of range",
                expected="a number >= 0",
                got=str(self.max),
                next_step="Give a number of findings; 0 prints all",
            )
        diagnosis = self._dataset() if self.dataset is not None else self._loose()
        if self.json:
            print_json(diagnosis.to_dict())
        else:
            self._print(diagnosis)
        return 0 if diagnosis.healthy else 1

    def _dataset(self) -> Diagnosis:
        from wtal_core.data.doctor import diagnose_dataset

        assert self.dataset is not None
        if self.features or self.videos or self.splits or self.foreign != ForeignFeatures():
            raise UsageError(
                "a data set folder describes itself",
                expected="--features, --videos, --splits and --grid only with --annotations",
                next_step="Edit its dataset.yaml, or leave the folder out",
            )
        return diagnose_dataset(self.dataset, quiet=self.json)

    def _loose(self) -> Diagnosis:
        from wtal_core.data.annotations import scan_annotations
        from wtal_core.data.doctor import Subject, diagnose
        from wtal_core.data.importing import usual_splits
        from wtal_core.data.video_files import VideoFiles
        from wtal_core.errors import DataError
        from wtal_core.files import require_folder

        assert self.annotations is not None
        annotations, problems = scan_annotations(self.annotations)
        splits = parse_splits(self.splits)
        if not splits:
            with suppress(DataError):
                splits = usual_splits(annotations)
        sets = parse_feature_sets(self.features)
        self.foreign.refuse_unused(sets.values())
        facts = self.foreign.facts()
        stores = {n: facts.open(p, annotations=annotations, without_grid=True) for n, p in sets.items()}
        files = VideoFiles(require_folder(self.videos, "a folder of videos")) if self.videos else None
        subject = Subject(annotations, problems, stores, splits, video_files=files)
        return diagnose(subject, quiet=self.json)

    def _print(self, diagnosis: Diagnosis) -> None:
        from rich.console import Console

        from wtal_core.data.doctor import CHECKS

        console = Console(highlight=False, soft_wrap=True)
        groups = diagnosis.groups()
        colours: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
        singular = {"classes": "class"}
        looked = ", ".join(
            counted(count, singular.get(what, what.removesuffix("s")), what)
            for what, count in diagnosis.examined.items()
        )
        console.print(f"examined: {looked}", markup=False)
        if kinds := [f"{check} ({counted(len(found), severity)})" for (severity, check), found in groups.items()]:
            console.print(f"{counted(len(kinds), 'kind')} of finding: {', '.join(kinds)}", markup=False)
        for (severity, check), found in groups.items():
            console.print()
            console.print(
                f"{_MARKS[severity].strip()}: {check} ({len(found):,})", style=colours[severity], markup=False, end=""
            )
            console.print(f" - {CHECKS[check]}", markup=False)
            alike = [[finding] for finding in found] if self.max == 0 else _alike(found)
            shown = alike[: self.max or None]
            steps = {_step(same[0]) for same in shown}
            common = len(steps) == 1 and len(found) > 1  # said once, below
            for same in shown:
                step = f". {_step(same[0])}" if same[0].next_step and not common else ""
                console.print(f"  {_places(same)}: {same[0].message}{step}.", markup=False)
            if hidden := sum(len(same) for same in alike[len(shown) :]):
                console.print(f"  ... and {hidden:,} more (--max 0 prints all)", markup=False)
            if common and (step := steps.pop()):
                console.print(f"  -> {step}.", markup=False)
        counts = ", ".join(
            counted(n, word) for word in ("error", "warning", "note") if (n := diagnosis.count(word)) or word == "error"
        )
        console.print()
        verdict = "healthy" if diagnosis.healthy else "not fit for training"
        console.print(f"{verdict}: {counts}", markup=False)


def _step(finding: Finding) -> str:
    return with_options(finding.next_step, finding.arguments, Doctor)


def _alike(found: Iterable[Finding]) -> list[list[Finding]]:
    """Return findings that say the same of several places together, in the order of the first."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        about = finding.where.rpartition(": ")[0]  # the features or file that the place lies in
        alike.setdefault((about, finding.message, finding.next_step), []).append(finding)
    return list(alike.values())


def _places(same: Sequence[Finding]) -> str:
    """Return where findings that say the same were made: up to three places, and how many more there are."""
    about, separator, first = same[0].where.rpartition(": ")
    names = [first, *(finding.where.rpartition(": ")[2] for finding in same[1:3])]
    more = f" and {len(same) - 3:,} more" if len(same) > 3 else ""
    between = "; " if any("," in name for name in names) else ", "
    return f"{about}{separator}{between.join(names)}{more}" + (", each" if len(same) > 1 else "")
