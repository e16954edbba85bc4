"""`wtal paper run`: train the rows of a printed table and put the numbers beside the printed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import DataError, Interrupted, WtalError, counted
from wtal_core.progress import stderr
from wtal_core.settings import assignments

if TYPE_CHECKING:
    from wtal_core.data.dataset import Dataset
    from wtal_core.papers import Experiment
    from wtal_core.papers.estimate import Estimate
    from wtal_core.papers.reproduction import RowPlan
    from wtal_core.runs.folder import Run
    from wtal_core.training.options import TrainRequest

__all__ = ["RunPaper"]


@dataclass(frozen=True)
class RunPaper:
    """Train every row of a paper's table or figure over several seeds; print mAP % beside the printed number.

    Each row is the method's preset with the row's changes, scored under the paper's protocol and thresholds. Finished
    trainings are kept; Ctrl-C stops after the current step, and the same command goes on.
    """

    table: tyro.conf.Positional[str]
    """Table or figure, see: wtal paper list."""
    data: Path
    """Data set folder (dataset.yaml, annotations.json, features/*.h5)."""
    out: Path
    """Folder for the runs, ROW-seedN."""
    rows: tuple[str, ...] = ()
    """Only these rows, by their names; case and signs do not matter ("-L_c" is l-c). Default: all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of training."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every row that differ from its preset, e.g. training.steps=500."""
    features: str | None = None
    """Which of the data set's features. Default: the first."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    dry_run: bool = False
    """Say what would be trained and about how long it takes, and train nothing."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Train what is missing, and print."""
        from wtal_core.data.dataset import Dataset
        from wtal_core.papers import get_experiment
        from wtal_core.papers.estimate import estimate_training
        from wtal_core.papers.reproduction import plan_rows, remarks

        experiment = get_experiment(self.table)
        dataset = Dataset.open(self.data)
        plans = plan_rows(
            experiment,
            dataset,
            self.out,
            rows=self.rows,
            seeds=self.seeds,
            changes=self.set,
            features=self.features,
            device=self.device,
        )
        said = remarks(experiment, dataset, self.features)
        if self.set:
            said.append(f"Not the paper's settings: {', '.join(assignments(self.set))} in every row.")
        if self.dry_run:
            estimate = estimate_training(plans, dataset, features=self.features, device=self.device, quiet=self.quiet)
            self._print_plan(experiment, dataset, plans, said, estimate)
            return 0
        if not any(plan.runs for plan in plans):
            raise DataError(
                f"no row can be trained here: {plans[0].obstacle}".rstrip("."),
                where=f"{experiment.name} on {self.data}",
                next_step="wtal paper run ... --dry-run says what each row needs",
            )
        runs, failures, stop = self._train(experiment, dataset, plans)
        self._print_result(experiment, dataset, plans, runs, failures, said)
        if stop is not None:
            return stop.exit_code
        return 1 if failures else 0

    def _train(
        self, experiment: Experiment, dataset: Dataset, plans: Sequence[RowPlan]
    ) -> tuple[dict[Path, Run], dict[Path, str], Interrupted | None]:
        """Return finished runs and what went wrong with others, by folder, and what ended it before the rest."""
        from wtal_core.papers.reproduction import row_values, scoring_of
        from wtal_core.training.driver import train_many

        planned = [run for plan in plans for run in plan.runs]
        runs: dict[Path, Run] = {}
        failures: dict[Path, str] = {}

        def failed(run: TrainRequest, error: WtalError) -> None:
            failures[run.out] = str(error)
            stderr.print(f"failed: {run.out.name}: {error}", style="red", markup=False)

        trained = train_many(dataset, planned, scoring_of(experiment), quiet=self.quiet, failed=failed)
        try:
            for run in trained:
                runs[run.folder] = run
                if not self.quiet:
                    last = f"{experiment.columns[-1]}: {100 * row_values(experiment, [run])[-1][0]:.1f}"
                    stderr.print(f"{len(runs)}/{len(planned)} {run.name}: mAP {last}", markup=False)
        except KeyboardInterrupt as stop:
            return runs, failures, stop if isinstance(stop, Interrupted) else Interrupted()
        return runs, failures, None

    def _print_plan(
        self,
        experiment: Experiment,
        dataset: Dataset,
        plans: Sequence[RowPlan],
        said: Sequence[str],
        estimate: Estimate | None,
    ) -> None:
        if self.as_json:
            rows = [
                _facts(experiment, plan)
                | {
                    "steps": plan.steps,
                    "runs": [
                        {"folder": run.out, "seed": run.seed, "state": _state(found)}
                        for run, found in zip(plan.runs, plan.found, strict=True)
                    ],
                }
                for plan in plans
            ]
            about = None if estimate is None else asdict(estimate)
            print_json(_head(experiment, dataset, said) | {"estimate": about, "rows": rows})
            return
        print_table(
            ["row", "preset", "changes", "steps", *(f"seed {seed}" for seed in self.seeds)],
            [
                (
                    plan.row.name,
                    plan.row.preset,
                    ", ".join(f"{key}={value}" for key, value in plan.row.changes.items()) or "-",
                    f"{plan.steps:,}",
                    *([_state(found) for found in plan.found] or ["-"] * len(self.seeds)),
                )
                for plan in plans
            ],
            title=_title(experiment, dataset),
        )
        left = [sum(stages.values()) for plan in plans for stages in plan.left()]
        print(f"{counted(sum(map(bool, left)), 'run')}, {sum(left):,} steps to do.")
        if estimate is not None:
            print(f"About {_long(estimate.seconds)} of training on {estimate.device}: {estimate.basis}. Inference and "
                  "evaluation come on top.")  # fmt: skip
        _print_notes(plans, {}, said)

    def _print_result(
        self,
        experiment: Experiment,
        dataset: Dataset,
        plans: Sequence[RowPlan],
        runs: dict[Path, Run],
        failures: dict[Path, str],
        said: Sequence[str],
    ) -> None:
        from wtal_core.papers.reproduction import row_values

        done = [[runs[run.out] for run in plan.runs if run.out in runs] for plan in plans]
        values = [row_values(experiment, own) for own in done]
        missing = sum(len(plan.runs) for plan in plans) - len(runs) - len(failures)
        if self.as_json:
            rows = [
                _facts(experiment, plan)
                | {
                    "here": [{"mean": 100 * mean, "std": None if std is None else 100 * std} for mean, std in here]
                    or None,
                    "runs": [run.folder for run in own],
                    "failed": {str(r.out): failures[r.out] for r in plan.runs if r.out in failures},
                }
                for plan, own, here in zip(plans, done, values, strict=True)
            ]
            print_json(_head(experiment, dataset, said) | {"stopped": missing > 0, "rows": rows})
            return
        has_numbers = experiment.published is not None
        print_table(
            ["mAP %: here (printed)" if has_numbers else "mAP %", "seeds", *experiment.columns],
            [
                (plan.row.name, len(own) or "-", *_cells(experiment, plan, here))
                for plan, own, here in zip(plans, done, values, strict=True)
            ],
            title=_title(experiment, dataset),
        )
        _print_notes(plans, failures, said)
        if missing:
            print(f"{counted(missing, 'run')} not finished: go on with the same command.")


def _state(run: Run | None) -> str:
    """Return how far a run is."""
    if run is None:
        return "to train"
    state = str(run.status()["state"])
    return state if state in ("finished", "running") else "to go on with"


def _long(seconds: float) -> str:
    """Return a time as one plans it: "3 min", "2 h 10 min"."""
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _title(experiment: Experiment, dataset: Dataset) -> str:
    from wtal_core.papers import get_paper

    paper = get_paper(experiment.paper)
    return f"{paper.label}, {experiment.source} ({experiment.about}) on {dataset.name}, protocol {experiment.protocol}"


def _cells(experiment: Experiment, plan: RowPlan, here: Sequence[tuple[float, float | None]]) -> list[str]:
    from wtal_core.commands.paper import printed_value
    from wtal_core.evaluation import in_percent

    row = experiment.printed(plan.row)
    own = [in_percent(mean, std) for mean, std in here] or ["-"] * len(experiment.columns)
    if experiment.published is None:
        return own
    values = row.values if row else (None,) * len(own)
    return [f"{cell} ({printed_value(value)})" for cell, value in zip(own, values, strict=True)]


def _print_notes(plans: Sequence[RowPlan], failures: dict[Path, str], said: Sequence[str]) -> None:
    for plan in plans:
        if plan.obstacle:
            print(f"{plan.row.name}: not trained: {plan.obstacle}")
    for folder, problem in failures.items():
        print(f"{folder.name}: failed: {problem}")
    for text in said:
        print(text)


def _head(experiment: Experiment, dataset: Dataset, said: Sequence[str]) -> dict[str, Any]:
    return {
        "table": experiment.name,
        "paper": experiment.paper,
        "source": experiment.source,
        "about": experiment.about,
        "data": dataset.name,
        "printed_on": experiment.dataset,
        "protocol": experiment.protocol,
        "tiou": experiment.tiou,
        "columns": experiment.columns,
        "remarks": list(said),
    }


def _facts(experiment: Experiment, plan: RowPlan) -> dict[str, Any]:
    row = experiment.printed(plan.row)
    return {
        "row": plan.row.name,
        "preset": plan.row.preset,
        "changes": dict(plan.row.changes),
        "obstacle": plan.obstacle or None,
        "printed": row.values if row else None,
    }
