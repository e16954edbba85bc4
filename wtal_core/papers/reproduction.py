"""Run the experiment behind a table or figure on a data set, and put what comes out beside what was printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wtal_core import settings
from wtal_core.data.dataset import Dataset
from wtal_core.errors import UsageError, WtalError, counted
from wtal_core.evaluation import mean_and_deviation
from wtal_core.methods import method_class
from wtal_core.papers.experiments import Experiment, ExperimentRow, slug
from wtal_core.papers.published import dataset_name, get_paper
from wtal_core.runs.folder import Run
from wtal_core.training.driver import Scoring, build_method, find_run, planned_steps
from wtal_core.training.options import TrainRequest
from wtal_core.training.preflight import preflight

__all__ = ["RowPlan", "plan_rows", "remarks", "row_values", "scoring_of"]


@dataclass(frozen=True)
class RowPlan:
    """What is to be done for a row.

    Args:
        row: the row.
        stages: optimiser steps of each stage of one training.
        runs: its trainings, one a seed; none where there is an obstacle.
        obstacle: why it cannot be trained here, "" where it can.
        found: for each run, the run that is in its folder already.
    """

    row: ExperimentRow
    stages: Mapping[str, int]
    runs: tuple[TrainRequest, ...]
    obstacle: str = ""
    found: tuple[Run | None, ...] = field(default=(), repr=False)

    @property
    def steps(self) -> int:
        """Optimiser steps of one training."""
        return sum(self.stages.values())

    def left(self) -> list[dict[str, int]]:
        """Return `{stage: steps}` that each run still has to do."""
        return [_steps_left(self.stages, run) for run in self.found]


def scoring_of(experiment: Experiment) -> Scoring:
    """Return how the paper scores a table or figure."""
    return Scoring(experiment.protocol, experiment.tiou, experiment.split)


def plan_rows(
    experiment: Experiment,
    dataset: Dataset,
    out: Path,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    changes: Mapping[str, Any] | None = None,
    features: str | None = None,
    device: str = "auto",
) -> list[RowPlan]:
    """Return what each row needs, and what hinders it; nothing is written.

    Args:
        experiment: the table or figure.
        dataset: what is trained and scored on.
        out: holds the run folders, `<row>-seed<n>`.
        rows: only these rows.
        seeds: seeds of training.
        changes: settings of every row, on top of its preset.
        features: which of the data set's features; default: the first.
        device: "auto" or a torch device.

    Raises:
        UsageError: an unknown row or setting, a setting that the table varies, no or equal seeds, a data set without
            the split that is scored, or a folder that holds another run.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UsageError(
            "the seeds are not usable",
            expected="different whole numbers >= 0",
            got=" ".join(map(str, seeds)) or "none",
            where="seeds",
            next_step="Name one or several, e.g. 0 1 2",
            arguments=("seeds",),
        )
    dataset.subsets(experiment.split)
    changes = dict(changes or {})
    chosen = experiment.choose(rows)
    _refuse_what_varies(experiment, chosen, changes)
    plans = []
    with dataset.store(features) as store:
        for row in chosen:
            runs = tuple(
                TrainRequest(
                    method=get_paper(experiment.paper).method,
                    data=dataset.folder,
                    out=Path(out) / f"{slug(row.name)}-seed{seed}",
                    preset=row.preset,
                    set={**changes, **row.changes},
                    features=features,
                    seed=seed,
                    device=device,
                )
                for seed in seeds
            )
            stages: dict[str, int] = {}
            obstacle = row.cannot
            try:
                method = build_method(runs[0], dataset, store)
                stages = planned_steps(method, dataset)
                hindrances = preflight(dataset, type(method), method.config, features=features)
                obstacle = obstacle or " ".join(o.message for o in hindrances)
            except WtalError as error:  # the features do not have the streams
                obstacle = obstacle or str(error)
            if obstacle:
                plans.append(RowPlan(row, stages, (), obstacle))
            else:
                plans.append(RowPlan(row, stages, runs, found=tuple(find_run(run, dataset, store) for run in runs)))
    return plans


def _steps_left(stages: Mapping[str, int], run: Run | None) -> dict[str, int]:
    done = int(run.status().get("step") or 0) if run is not None else 0
    left = {}
    for stage, steps in stages.items():
        left[stage] = max(steps - done, 0)
        done = max(done - steps, 0)
    return left


def _refuse_what_varies(experiment: Experiment, rows: Sequence[ExperimentRow], changes: Mapping[str, Any]) -> None:
    """Raise where `changes` are unknown settings, or those that make a row what it is."""
    cls = method_class(get_paper(experiment.paper).method)
    for row in rows:
        base = settings.override(cls.Config(), cls.presets[row.preset])
        given = settings.differences(settings.override(base, changes), base)
        varied = settings.differences(settings.override(base, row.changes), base)
        if both := sorted(given.keys() & varied.keys()):
            raise UsageError(
                "sets what the table varies",
                expected=f"{both[0]} as in row {row.name!r}: {varied[both[0]]}",
                got=str(given[both[0]]),
                where="settings",
                next_step="Leave it out, and choose rows instead",
                arguments=("set", "rows"),
            )


def row_values(experiment: Experiment, runs: Sequence[Run]) -> list[tuple[float, float | None]]:
    """Return mean and sample standard deviation (None for one run) of each column, in [0, 1]; [] without runs."""
    scoring = scoring_of(experiment)
    found = [experiment.values(mean_ap) for run in runs if (mean_ap := scoring.scores(run)) is not None]
    return [mean_and_deviation(column) for column in zip(*found, strict=True)]


def remarks(experiment: Experiment, dataset: Dataset, features: str | None = None) -> list[str]:
    """Return what has to be known before numbers of this data set are read beside the printed ones."""
    said = []
    paper = get_paper(experiment.paper)
    if experiment.published is None:
        said.append("The paper draws this or leaves it open: there are no printed numbers.")
    elif dataset_name(dataset.name) != experiment.dataset:
        said.append(
            f"{dataset.name} is not {experiment.dataset}: what can be compared with the printed numbers is how the "
            "rows differ, not how high they are."
        )
    if paper.protocol is None:
        said.append(f"The paper does not say how it was evaluated; here: {experiment.protocol}.")
    printed = {row.feature for r in experiment.rows if (row := experiment.printed(r)) and row.feature}
    if printed:
        with dataset.store(features) as store:
            extractor = store.provenance(store.videos[0]).extractor
        said.append(f"Features here: {extractor or 'unknown'}; printed with: {', '.join(sorted(printed))}.")
    if experiment.split != "test":
        number = len(dataset.videos(experiment.split))
        said.append(f"Scored on the {experiment.split} split ({counted(number, 'video')}), as in the paper.")
    return said
