"""What one would do next in a workspace, from what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wtal_core.data.dataset import Dataset
from wtal_core.errors import WtalError
from wtal_core.workspace import DatasetEntry, RunSummary

__all__ = ["DatasetFacts", "Step", "dataset_facts", "next_steps"]


@dataclass(frozen=True)
class DatasetFacts:
    """A data set in one line.

    Args:
        id, name: as the workspace calls it.
        videos, files, classes, instances: how many there are; files: videos with a file.
        splits: split -> number of videos.
        features: names of its sets of features.
        problem: why it cannot be read, "" where it can.
    """

    id: str
    name: str
    videos: int = 0
    files: int = 0
    classes: int = 0
    instances: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    problem: str = ""


def dataset_facts(entry: DatasetEntry) -> DatasetFacts:
    """Read what a data set holds; a broken one is described by its problem."""
    if entry.error:
        return DatasetFacts(entry.id, entry.name, problem=entry.error)
    try:
        dataset = Dataset.open(entry.folder)
        annotations = dataset.annotations
    except WtalError as error:
        return DatasetFacts(entry.id, entry.name, problem=str(error))
    return DatasetFacts(
        entry.id,
        dataset.name,
        videos=len(annotations.videos),
        files=sum(dataset.video_path(video) is not None for video in annotations.videos),
        classes=len(dataset.classes),
        instances=len(annotations.instances),
        splits={name: len(dataset.videos(name)) for name in dataset.splits},
        features=dataset.feature_names,
    )


@dataclass(frozen=True)
class Step:
    """Something worth doing next.

    Args:
        title: an imperative sentence.
        why: one sentence.
        page: name of the page where it is done.
        query: URL parameters of that page.
        request: the command that does it, {} where there is none.
    """

    title: str
    why: str
    page: str
    query: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)


def next_steps(datasets: Sequence[DatasetFacts], runs: Sequence[RunSummary], most: int = 4) -> list[Step]:
    """Return what one would do next, the most pressing first.

    Args:
        datasets: data sets of the workspace.
        runs: its runs and waiting trainings.
        most: how many at most.
    """
    steps: list[Step] = []
    if not datasets:
        return [
            Step("Add the data set of your runs", "Its folder is listed here, not copied.", "data", {"tool": "import"})
            if runs
            else Step("Import your data", "Annotations and features of any layout become a data set.", "data",
                      {"tool": "import"}),
            Step("Or look at a demo first", "A small world of known truth, with a run of each method.", "home",
                 request={"command": "demo build", "small": True, "out": "datasets/demo"}),
        ]  # fmt: skip
    for run in runs:
        if run.state in ("crashed", "failed"):
            what = "Resume" if run.resumable else "Look at"
            why = "It crashed." if run.state == "crashed" else "It failed: " + run.message[:120]
            steps.append(Step(f"{what} {run.name}", why, "train", {"training": run.id}))
    for data in datasets:
        if data.problem:
            steps.append(Step(f"Repair {data.name}", data.problem, "data", {"tool": "check", "data": data.id}))
        elif not data.features:
            tool = "extract" if data.files else "import"
            steps.append(
                Step(f"Give {data.name} features", "Without snippet features nothing can be trained or inferred.",
                     "data", {"tool": tool, "data": data.id})
            )  # fmt: skip
    trained = {run.dataset for run in runs if run.exists}
    steps += [
        Step(f"Train on {data.name}", "It has features and no run yet.", "train", {"data": data.id})
        for data in datasets
        if data.features and not data.problem and data.name not in trained and data.splits.get("train")
    ]
    steps += [
        Step(f"Resume {run.name}", f"Stopped at step {run.step:,} of {run.steps:,}.", "train", {"training": run.id})
        for run in runs
        if run.state == "stopped"
    ]
    scored = [run for run in runs if run.score is not None]
    on = Counter(run.dataset for run in scored)  # scores are comparable on one data set: the one with the most runs
    scored.sort(key=lambda run: (-on[run.dataset], -(run.score or 0)))
    if scored:
        best = scored[0]
        score = f"{100 * (best.score or 0):.1f}"
        why = f"The best run on {best.dataset}, average mAP {score}: what does it miss, and why?"
        steps.append(Step(f"See where {best.name} fails", why, "failures", {"run": best.id}))
        steps.append(
            Step(f"Look at what {best.name} sees", "Its class activations and attention under the playing video.",
                 "explore", {"run": best.id})
        )  # fmt: skip
        rivals = [run for run in scored[1:] if run.dataset == best.dataset]
        if rivals:
            names = ",".join(run.id for run in (best, *rivals[:3]))
            why = "Side by side, with a significance test."
            steps.append(Step(f"Compare {1 + len(rivals[:3])} runs on {best.dataset}", why, "compare", {"run": names}))
    return steps[:most]
