"""`wtal evaluate`: detections -> mAP under named protocols, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import percent, print_json, print_notes, print_table, refuse_overwriting
from wtal_core.errors import DataError, UsageError, counted
from wtal_core.files import composed, read_text, write_json

if TYPE_CHECKING:
    from wtal_core.records import Evaluation
    from wtal_core.runs.find import Source

__all__ = ["Evaluate"]


@dataclass(frozen=True)
class Evaluate:
    """Score detections against annotations under one or several protocols; numbers are percent."""

    detections: tyro.conf.Positional[Path]
    """Detections (ActivityNet results JSON, THUMOS14 text, CSV), or a run folder that holds detections.json."""
    annotations: Path | None = None
    """Ground truth: ActivityNet JSON, THUMOS14 text folder, or W-TALC npy folder. Default for a run folder: its data
    set's annotations and test subset."""
    protocol: tuple[str, ...] = ("activitynet",)
    """Protocols: activitynet, thumos14, wtalc, wtalc-original."""
    tiou: str = "0.1:0.7"
    """tIoU thresholds: a preset (0.1:0.7, 0.1:0.5, 0.3:0.7, 0.5:0.95, 0.1:0.9), first:last:step, or numbers
    (0.3,0.5)."""
    subset: tuple[str, ...] = ()
    """Evaluate only these subsets, e.g. test, validation. Default: every annotated video (a run folder without
    --annotations: its test)."""
    videos: Path | None = None
    """Text file with the video ids to evaluate, one a line. Default: all of the subset."""
    only_subset_videos: bool = False
    """Leave out detections in videos outside the subset, instead of counting them as false positives as the official
    evaluators do."""
    shared_classes: bool = False
    """Leave out detections of classes that the annotations do not have, as where they hold a part of a data set."""
    grid: str | None = None
    """Snippet grid a rounding protocol rounds to, e.g. unt-25fps-15. Default: the protocol's own, i3d-25fps-16."""
    per_class: bool = False
    """Also print the AP of every class."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of tables (AP in [0, 1], per class)."""
    out: Path | None = None
    """Also write the JSON to this file."""

    def run(self) -> int:
        """Evaluate and print."""
        from wtal_core.data import read_annotations
        from wtal_core.evaluation import GroundTruthIndex, averages, evaluate, get_protocol, list_protocols, parse_tiou
        from wtal_core.runs.find import open_source
        from wtal_core.snippet_grid import SnippetGrid

        # Arguments first: a misspelt protocol should not wait for the files.
        if not self.protocol:
            raise UsageError(
                "no protocol is named",
                expected="one or several of: " + ", ".join(list_protocols()),
                next_step="Name at least one after --protocol, or leave the option out",
            )
        protocols = [get_protocol(name) for name in dict.fromkeys(self.protocol)]
        thresholds = parse_tiou(self.tiou)
        grid = None if self.grid is None else SnippetGrid.preset(self.grid, num_snippets=0)
        if grid is not None and all(protocol.grid is None for protocol in protocols):
            raise UsageError(
                "none of these protocols rounds to snippets",
                expected="--protocol wtalc or wtalc-original beside --grid",
                got=", ".join(self.protocol),
                where="--grid",
                next_step="Leave --grid out, or add such a protocol",
            )
        refuse_overwriting(self.out, self.detections, self.annotations, self.videos)
        listed = None if self.videos is None else _read_list(self.videos)

        source = open_source(self.detections)
        detections = source.detections
        home, subset = (self.annotations, self.subset) if self.annotations else _of_run(source, self.subset)
        truth = GroundTruthIndex(
            read_annotations(home), subset or None, listed, only_subset_videos=self.only_subset_videos
        )
        read = len(detections)
        if self.shared_classes:
            detections = detections.for_labels(truth.classes)
        evaluations = [
            evaluate(detections, truth, protocol=protocol, tiou=thresholds, matches=False, grid=grid)
            for protocol in protocols
        ]
        report = {
            "detections": self.detections,
            "annotations": home,
            "subset": subset or None,
            "only_subset_videos": self.only_subset_videos,
            "tiou": thresholds,
            "detections_of_other_classes": read - len(detections),
            "evaluations": [{**found.to_dict(), "averages": averages(found.mean_ap)} for found in evaluations],
        }
        if self.out is not None:
            write_json(self.out, report)
        if self.as_json:
            print_json(report)
        else:
            _print(evaluations, self.per_class)
            if len(detections) < read:
                print(f"note: Left out {counted(read - len(detections), 'detection')} of classes without ground truth.")
        return 0


def _of_run(source: Source, subset: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """Return the annotations and the subset that a run folder names."""
    from wtal_core.data.dataset import Dataset

    run = source.run
    if run is None:
        step = "Add --annotations"
        raise UsageError(
            "the ground truth is not named", expected="--annotations PATH", where=source.path, next_step=step
        )
    home = run.dataset_folder
    if home is None or not (home / "dataset.yaml").is_file():
        raise UsageError(
            "the data set of this run is not here",
            expected="--annotations PATH",
            got=str(home or "nothing"),
            where=run.folder,
            next_step="Add --annotations, or put the data set back",
        )
    dataset = Dataset.open(home)
    return dataset.folder / dataset.annotations_path, subset or tuple(run.info.dataset.get("test", ()))


def _read_list(path: Path) -> list[str]:
    lines = read_text(path, "a text file with one video id a line").splitlines()
    videos = [composed(line.strip()) for line in lines if line.strip()]
    if not videos:
        raise DataError(
            "lists no video",
            expected="one video id a line",
            where=path,
            next_step="Write the ids of the videos to score into it",
        )
    return videos


def _print(evaluations: Sequence[Evaluation], per_class: bool) -> None:
    from wtal_core.evaluation import averages

    first = evaluations[0]
    levels = [f"{t:g}" for t in first.tiou]
    means = [averages(evaluation.mean_ap) for evaluation in evaluations]
    print(
        f"{first.num_detections:,} detections, {first.num_videos:,} videos, {first.num_instances:,} instances, "
        f"{int(first.ap.notna().any(axis=1).sum())} of {len(first.ap)} classes"
    )
    print_table(
        ["mAP % at tIoU", *levels, *(f"avg {name}" for name in means[0])],
        [
            (evaluation.protocol, *map(percent, (*evaluation.mean_ap.values(), *average.values())))
            for evaluation, average in zip(evaluations, means, strict=True)
        ],
    )
    if per_class:
        for evaluation in evaluations:
            rows: list[tuple[Any, ...]] = [
                (label, *map(percent, (*row, row.mean())))
                for label, row in zip(evaluation.ap.index, evaluation.ap.to_numpy(), strict=True)
            ]
            print()
            print_table([f"AP %, {evaluation.protocol}", *levels, "mean"], rows)
    print()
    print_notes([(evaluation.protocol, evaluation.notes) for evaluation in evaluations])
