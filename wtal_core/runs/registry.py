"""Find runs and say what they are, side by side."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wtal_core import settings
from wtal_core.errors import DataError
from wtal_core.evaluation import mean_and_deviation
from wtal_core.files import read_json
from wtal_core.methods import method_class
from wtal_core.runs.folder import Run

__all__ = ["compare", "describe", "find_runs", "stored_evaluations", "summary"]


def find_runs(folder: str | os.PathLike[str], *, must_exist: bool = False) -> Iterator[Run]:
    """Yield the runs in a folder and its sub-folders, by path; folders that cannot be read as runs are left out.

    Raises:
        DataError: `must_exist` and there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        if must_exist:
            raise DataError(
                "does not exist",
                expected="a run folder, or a folder that holds runs",
                where=root,
                next_step="Check the path",
            )
        return
    if (root / "run.yaml").is_file():
        yield Run.open(root)
        return
    for file in sorted(root.rglob("run.yaml")):
        try:
            yield Run.open(file.parent)
        except DataError:
            continue


def stored_evaluations(run: Run) -> list[dict[str, Any]]:
    """Return the stored evaluations of a run, [] where there are none."""
    if not run.evaluation_path.is_file():
        return []
    content = read_json(run.evaluation_path)
    found = content.get("evaluations") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise DataError(
            "is not a stored evaluation",
            expected="an object with 'evaluations'",
            where=run.evaluation_path,
            next_step="Evaluate again: wtal evaluate RUN",
        )
    return found


def summary(run: Run) -> dict[str, Any]:
    """Return one line about a run as plain values."""
    evaluations = stored_evaluations(run)
    status = run.status()
    return {
        "folder": run.folder,
        "name": run.name,
        "method": run.info.method,
        "preset": run.info.preset,
        "dataset": run.info.dataset.get("name"),
        "seed": run.info.seed,
        "state": status["state"],
        "step": status.get("step"),
        "steps": status.get("steps"),
        "average": evaluations[0]["average"] if evaluations else None,
        "created": run.info.created,
    }


def describe(run: Run) -> dict[str, Any]:
    """Return everything about a run that a person wants to read, as plain values."""
    cls = method_class(run.info.method)
    preset = settings.override(cls.Config(), cls.presets.get(run.info.preset, {}))
    return {
        **summary(run),
        "title": cls.title,
        "feature_dim": run.info.feature_dim,
        "extractor": run.info.provenance.extractor,
        "classes": list(run.info.classes),
        "checkpoints": list(run.checkpoints()),
        "best": run.status().get("best"),
        "selected_on": list(run.info.training.get("selected_on", [])),
        "changes": settings.differences(run.config(), preset),
        "evaluations": stored_evaluations(run),
        "versions": dict(run.info.versions),
        "notes": run.info.notes,
    }


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Put the stored scores of runs side by side, and runs that differ only in their seed together.

    Returns:
        `{"tiou", "runs": [{name, protocol, mean_ap, average}], "seeds": [{name, runs, mean_ap: {t: {mean, std}},
        average}], "without_scores"}`; std is the sample standard deviation, None for one run.
    """
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
            same = (
                run.info.method,
                str(dict(run.info.config)),
                str(run.info.dataset.get("name")),
                evaluation["protocol"],
            )
            groups[same].append(row)
    levels = sorted({t for row in rows for t in row["mean_ap"]}, key=float)

    def spread(values: list[float]) -> dict[str, float | None]:
        return dict(zip(("mean", "std"), mean_and_deviation(values), strict=True))

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
