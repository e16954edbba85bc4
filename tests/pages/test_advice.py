"""What Home advises to do next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pages.ui.home.advice import DatasetFacts, dataset_facts, next_steps
from tests.planted_dataset import write_dataset
from wtal_core.commands.requests import command_of
from wtal_core.training.planted import make_world
from wtal_core.workspace import RunSummary, Workspace


def test_next_steps_follow_from_what_is_there(tmp_path: Path) -> None:
    nothing = next_steps([], [])
    assert [s.page for s in nothing] == ["data", "home"]
    assert command_of(nothing[1].request).small
    write_dataset(make_world(num_train=4, num_test=2), tmp_path / "datasets" / "planted", "planted")
    facts = dataset_facts(Workspace(tmp_path).datasets()["datasets/planted"])
    assert (facts.videos, facts.files, facts.classes, facts.splits) == (6, 0, 3, {"train": 4, "test": 2})
    assert [s.title for s in next_steps([facts], [])] == ["Train on planted"]
    bare, bad = replace(facts, features=()), DatasetFacts("b", "bad", problem="torn")
    assert [s.title for s in next_steps([bare, bad], [])] == ["Give planted features", "Repair bad"]
    one = RunSummary("r1", tmp_path, "r1", "hamnet", dataset="planted", state="finished", score=0.4)
    two = replace(one, id="r2", name="r2", score=0.5)
    ill = replace(one, id="r3", name="r3", state="crashed", score=None, resumable=True)
    steps = next_steps([facts], [one, two, ill])
    assert [s.title for s in steps] == [
        "Resume r3", "See where r2 fails", "Look at what r2 sees", "Compare 2 runs on planted",
    ]  # fmt: skip
    assert steps[3].query == {"run": "r2,r1"}
    easy = replace(one, id="e", name="e", dataset="one video", score=0.99)  # not better for being measured elsewhere
    assert next_steps([facts], [easy, one, two])[0].title == "See where r2 fails"
