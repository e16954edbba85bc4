"""The stored scores of runs, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from wtal_core.runs.folder import Run

__all__ = ["compare", "seed_groups", "stored_evaluations"]


def stored_evaluations(run: Run) -> list[dict[str, Any]]:
    """Return the stored evaluations of a run, [] where there are none."""
    found: list[dict[str, Any]] = run.evaluation().get("evaluations", [])
    return found


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Put the stored scores of runs side by side, and runs that differ only in their seed together.

    Returns:
        `{"tiou", "runs": [{name, protocol, mean_ap, average}], "seeds": [{name, runs, mean_ap: {t: {mean, std}},
        average}], "without_scores"}`; std is the sample standard deviation, None for one run.
    """
    from wtal_core.evaluation import mean_and_deviation

    rows: list[dict[str, Any]] = []
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    without = []
    for run in runs:
        evaluations = stored_evaluations(run)
        if not evaluations:
            without.append(run.name)
        for evaluation in evaluations:
            row = {
                "name": run.name,
                "folder": run.folder,
                "protocol": evaluation["protocol"],
                "mean_ap": evaluation["mean_ap"],
                "average": evaluation["average"],
            }
            rows.append(row)
            groups[*_but_for_the_seed(run), evaluation["protocol"]].append(row)
    levels = sorted({t for row in rows for t in row["mean_ap"]}, key=float)

    def spread(values: list[float | None]) -> dict[str, float | None]:
        known = [value for value in values if value is not None]  # where nothing was to be found there is no score
        return dict(zip(("mean", "std"), mean_and_deviation(known) if known else (None, None), strict=True))

    seeds = [
        {
            "name": f"{same[0]} ({', '.join(r['name'] for r in members)})",
            "method": same[0],
            "protocol": same[-1],
            "runs": len(members),
            "mean_ap": {t: spread([r["mean_ap"][t] for r in members if t in r["mean_ap"]]) for t in levels},
            "average": spread([r["average"] for r in members]),
        }
        for same, members in groups.items()
    ]
    return {"tiou": levels, "runs": rows, "seeds": seeds, "without_scores": without}


def seed_groups(runs: Mapping[str, Run]) -> dict[str, list[str]]:
    """Return `{title: names}` of runs that differ in nothing but their seed; groups of at least two."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, run in runs.items():
        groups[_but_for_the_seed(run)].append(name)
    return {
        f"{method}, {len(names)} seeds ({', '.join(names)})": names
        for (method, *_), names in groups.items()
        if len(names) > 1
    }


def _but_for_the_seed(run: Run) -> tuple[str, ...]:
    """Return what runs have in common that differ in their seed alone; of a run that was not trained here, itself."""
    info = run.info
    return info.method, str(dict(info.config)) if info.config else str(run.folder), str(info.dataset.get("name"))
