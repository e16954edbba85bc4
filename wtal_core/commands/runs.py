"""`wtal runs list | show | compare`: what there is and how good it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import percent, print_json, print_mean_ap, print_table
from wtal_core.errors import DataError, UsageError
from wtal_core.methods.registry import method_class

__all__ = ["CompareRuns", "ListRuns", "ShowRun"]


@dataclass(frozen=True)
class ListRuns:
    """List the run folders under a folder with state and stored average mAP."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Folder that is searched, sub-folders included."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """List."""
        from wtal_core.jobs.queue import Queue
        from wtal_core.workspace import list_runs

        runs = list_runs(self.folder, Queue())
        if self.as_json:
            print_json([run.to_dict() for run in runs])
        elif not runs:
            print(
                f"no runs under {self.folder}; make one with: wtal train METHOD --data DATASET --out {self.folder}/NAME"
            )
        else:
            print_table(
                ["run", "method", "data set", "state", "step", "avg mAP %", "seed"],
                [
                    (r.folder, "-", "-", "unreadable", "-", "-", "-")
                    if r.error
                    else (
                        r.folder,
                        r.method or "-",
                        r.dataset or "-",
                        r.state,
                        r.step or "-",
                        percent(r.score),
                        r.seed,
                    )
                    for r in runs
                ],
            )
            for r in runs:
                if r.message:
                    print(f"note: {r.folder.name}: {r.message}", file=sys.stderr)
        return 0


@dataclass(frozen=True)
class ShowRun:
    """Show one run: what it is, how it is, its settings that differ from the preset, and its scores."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Show."""
        from wtal_core.jobs.queue import Queue
        from wtal_core.runs.folder import Run
        from wtal_core.runs.scores import stored_evaluations
        from wtal_core.workspace import summarize, training_jobs

        run = Run.open(self.folder)
        info = run.info
        summary = summarize(self.folder, str(self.folder), training_jobs(Queue().jobs()).get(run.folder.resolve(), ()))
        about: dict[str, Any] = {
            **summary.to_dict(),
            "title": method_class(info.method).title if run.method_known else info.method,
            "feature_dim": info.feature_dim,
            "extractor": info.provenance.extractor,
            "classes": list(info.classes),
            "checkpoints": list(run.checkpoints()),
            "best": summary.best,
            "selected_on": list(info.training.get("selected_on", [])),
            "kept_steps": list(run.kept_steps()),
            "changes": run.changes(),
            "evaluations": stored_evaluations(run),
            "versions": dict(info.versions),
            "notes": info.notes,
        }
        if self.as_json:
            print_json(about)
            return 0
        trained = f", preset {info.preset}, seed {info.seed}" if info.config else ""
        print(f"{self.folder}: {about['title'] or 'no method named'}{trained}")
        print(
            f"data set {about['dataset'] or '-'}, {about['feature_dim']} channels ({about['extractor'] or 'unknown'})"
        )
        print(f"state {about['state']}, checkpoints: {', '.join(about['checkpoints']) or 'none'}")
        if about["selected_on"]:
            print(f"best.pt was selected on: {', '.join(about['selected_on'])}")
        if about["kept_steps"]:
            print(f"activations were kept at steps: {', '.join(map(str, about['kept_steps']))}")
        if about["changes"]:
            print_table(["setting that differs from the preset", "value"], sorted(about["changes"].items()))
        print_mean_ap(about["evaluations"])
        return 0


@dataclass(frozen=True)
class CompareRuns:
    """Compare the stored scores of runs; runs that differ only in their seed are also shown as mean and deviation."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, or folders that hold runs."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Compare."""
        from wtal_core.evaluation import in_percent
        from wtal_core.runs.find import find_runs
        from wtal_core.runs.scores import compare

        if not self.folders:
            raise UsageError("no run was named", expected="one or several run folders", next_step="Name at least one")
        runs = [run for folder in self.folders for run in find_runs(folder)]
        if not runs:
            raise DataError(
                "no run was found",
                where=", ".join(map(str, self.folders)),
                next_step="Name run folders, or a folder that holds them",
            )
        table = compare(runs)
        if self.as_json:
            print_json(table)
            return 0
        levels = table["tiou"]
        rows: list[tuple[Any, ...]] = [
            (r["name"], r["protocol"], *(percent(r["mean_ap"].get(t)) for t in levels), percent(r["average"]))
            for r in table["runs"]
        ]
        print_table(["mAP % at tIoU", "protocol", *levels, "average"], rows)
        groups = [g for g in table["seeds"] if g["runs"] > 1]
        if groups:
            print()
            print_table(
                ["seeds: mean ± standard deviation", "runs", *levels, "average"],
                [
                    (g["name"], g["runs"], *(in_percent(**g["mean_ap"][t]) for t in levels), in_percent(**g["average"]))
                    for g in groups
                ],
            )
        for name in table["without_scores"]:
            print(f"note: {name} has no evaluation.json")
        return 0
