"""What the workspace finds, how it names it, and what it says of what cannot be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wtal_core import settings
from wtal_core.errors import UsageError
from wtal_core.methods import create_method
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.workspace import Workspace
from wtal_core.workspace import folders as folders_module


def make_dataset(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"name: {name}\nsplits: {{test: [test]}}\n", encoding="utf-8")
    return folder


def make_run(folder: Path, dataset: str, home: Path | None = None) -> Run:
    config = settings.to_dict(create_method("acmnet", num_classes=1, feature_dim=4).config)
    source = {"name": dataset, "folder": str(home or "")}
    return Run.create(folder, RunInfo("acmnet", "thumos14", config, ("Jump",), 4, dataset=source))


def test_finds_data_sets_and_runs_below_the_home(tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "sports", "Sports")
    make_dataset(tmp_path / "assets" / "demo" / "world", "demo")
    make_run(tmp_path / "runs" / "today" / "first", "Sports")
    workspace = Workspace(tmp_path)
    assert {i: e.name for i, e in workspace.datasets().items()} == {
        "assets/demo/world": "demo",
        "datasets/sports": "Sports",
    }
    assert list(workspace.runs()) == ["runs/today/first"]
    sports = workspace.dataset("datasets/sports")
    assert list(workspace.runs(sports)) == ["runs/today/first"]
    assert workspace.runs(workspace.dataset("assets/demo/world")) == {}
    assert workspace.dataset_of(workspace.run("runs/today/first")) == sports


def test_a_data_set_may_be_the_workspace_or_lie_in_it(tmp_path: Path) -> None:
    home = make_dataset(tmp_path / "sports", "Sports")
    make_run(home / "runs" / "first", "Sports")
    assert list(Workspace(home).datasets()) == ["sports"]
    assert list(Workspace(home).runs(Workspace(home).dataset("sports"))) == ["runs/first"]
    assert list(Workspace(tmp_path).datasets()) == ["sports"]
    assert list(Workspace(tmp_path).runs()) == ["sports/runs/first"], "a data set's own runs are found with it"


# -- ids ------------------------------------------------------------------------------------------------------------


def test_an_id_does_not_change_when_a_neighbour_appears(tmp_path: Path) -> None:
    """A second hamnet, beside it or in another data set, once changed the first one's id, and broke its links."""
    make_run(tmp_path / "assets" / "demo" / "runs" / "hamnet", "demo")
    make_dataset(tmp_path / "datasets" / "a" / "same", "one")
    workspace = Workspace(tmp_path)
    assert (list(workspace.runs()), list(workspace.datasets())) == (
        ["assets/demo/runs/hamnet"],
        ["datasets/a/same"],
    )
    assert workspace.run("hamnet").id == "assets/demo/runs/hamnet", "a link of an earlier version"
    assert workspace.run("demo/hamnet").name == "hamnet"
    assert workspace.dataset("same").id == "datasets/a/same"
    make_run(tmp_path / "runs" / "hamnet", "demo")
    make_dataset(tmp_path / "datasets" / "b" / "same", "two")
    for again in (workspace, Workspace(tmp_path)):
        assert list(again.runs()) == ["assets/demo/runs/hamnet", "runs/hamnet"]
        assert list(again.datasets()) == ["datasets/a/same", "datasets/b/same"]
        assert [run.name for run in again.runs().values()] == ["demo/hamnet", "runs/hamnet"]
        assert again.run("demo/hamnet").id == "assets/demo/runs/hamnet"
        for link, several in (("hamnet", "assets/demo/runs/hamnet or runs/hamnet"), ("same", "a/same or datasets/b")):
            with pytest.raises(UsageError, match=f"may be one of several.*{several}"):
                again.run(link) if link == "hamnet" else again.dataset(link)


def test_a_link_names_a_run_of_the_data_set_it_names(tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "one", "one")
    make_dataset(tmp_path / "datasets" / "two", "two")
    make_run(tmp_path / "runs" / "hamnet", "one")
    make_run(tmp_path / "datasets" / "two" / "runs" / "hamnet", "two")
    workspace = Workspace(tmp_path)
    assert workspace.run("hamnet", workspace.dataset("one")).id == "runs/hamnet"
    assert workspace.run("hamnet", workspace.dataset("two")).id == "datasets/two/runs/hamnet"


def test_ids_of_what_lies_elsewhere_are_absolute_unless_a_link_leads_there(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    make_run(outside / "linked", "x")
    make_run(outside / "registered", "x")
    (home / "runs").mkdir(parents=True)
    (home / "runs" / "there").symlink_to(outside / "linked", target_is_directory=True)
    workspace = Workspace(home)
    assert list(workspace.runs()) == ["runs/there"]
    workspace.register(outside)
    assert list(workspace.runs()) == ["runs/there", str(outside / "registered")]
    assert workspace.run(str(outside / "registered")).folder == outside / "registered"


def test_what_cannot_be_read_is_listed_with_its_error(tmp_path: Path) -> None:
    broken = make_dataset(tmp_path / "datasets" / "broken", "x")
    (broken / "dataset.yaml").write_text("name: [", encoding="utf-8")
    run = tmp_path / "runs" / "half"
    run.mkdir(parents=True)
    (run / "run.yaml").write_text("method: acmnet\nconfig: {}\n", encoding="utf-8")
    workspace = Workspace(tmp_path)
    assert "YAML" in workspace.dataset("datasets/broken").error
    assert "complete" in workspace.run("runs/half").error
    assert list(workspace.runs(workspace.dataset("datasets/broken"))) == ["runs/half"], (
        "a run nobody can read may belong anywhere"
    )


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "datasets" / "sports", "Sports")
    workspace = Workspace(tmp_path)
    assert workspace.dataset("sports").name == "Sports"
    (folder / "dataset.yaml").write_text("name: Other\nsplits: {test: [test]}\n", encoding="utf-8")
    assert workspace.dataset("sports").name == "Other"


def test_a_folder_that_is_not_ours_to_look_into_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path / "datasets" / "sports", "Sports")
    (tmp_path / "lost+found").mkdir()
    stat = os.stat

    def refused(path: Any, *given: Any, **more: Any) -> os.stat_result:  # tests may run as root, whom nothing refuses
        if "lost+found/" in os.fspath(path) if isinstance(path, str | os.PathLike) else False:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *given, **more)

    monkeypatch.setattr(os, "stat", refused)
    assert list(Workspace(tmp_path).datasets()) == ["datasets/sports"]


def test_a_run_that_goes_while_runs_are_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "runs" / "a", "x")
    gone = make_run(tmp_path / "runs" / "b", "x").folder
    below = folders_module.files_below

    def deleting(root: Path, name: str, depth: int) -> Iterator[Path]:
        found = list(below(root, name, depth))
        if gone / "run.yaml" in found:
            shutil.rmtree(gone, ignore_errors=True)
        return iter(found)

    monkeypatch.setattr(folders_module, "files_below", deleting)
    assert list(Workspace(tmp_path).runs()) == ["runs/a"]


def test_folders_can_be_registered_and_taken_off(tmp_path: Path) -> None:
    elsewhere = make_dataset(tmp_path / "elsewhere" / "mine", "Mine").parent
    workspace = Workspace(tmp_path / "home")
    assert workspace.datasets() == {}
    workspace.register(elsewhere)
    workspace.register(elsewhere)
    assert workspace.registered() == (elsewhere,)
    assert list(Workspace(tmp_path / "home").datasets()) == [str(elsewhere / "mine")]
    workspace.unregister(elsewhere)
    assert workspace.datasets() == {}


def test_a_folder_without_anything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="neither a data set nor a run"):
        Workspace(tmp_path).register(tmp_path / "empty")
    with pytest.raises(UsageError, match="not a folder"):
        Workspace(tmp_path).register(tmp_path / "nowhere")


def test_unknown_ids_name_the_nearest(tmp_path: Path) -> None:
    make_dataset(tmp_path / "datasets" / "sports", "Sports")
    with pytest.raises(UsageError, match="sports"):
        Workspace(tmp_path).dataset("sport")
