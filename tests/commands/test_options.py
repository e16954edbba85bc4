"""Errors name arguments; the command that was run adds its options for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtal_core.cli import COMMANDS, load_command, main
from wtal_core.commands.arguments import options_of, with_options
from wtal_core.errors import DataError, UsageError, WtalError, unknown_name


@pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)
def test_options_are_those_of_the_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    options = options_of(load_command(words))
    assert all(option in shown for option in options.values())
    assert shown.count("--") > 1


def shown(error: WtalError, command: type) -> str:
    return with_options(str(error), error.arguments, command)


def test_options_stand_behind_the_step() -> None:
    train = load_command(("train",))
    error = UsageError("holds a run already", next_step="Take another folder", arguments=("out", "resume", "nothing"))
    assert shown(error, train) == "holds a run already. Take another folder (--out, --resume)."
    assert str(error) == "holds a run already. Take another folder."
    assert shown(error, load_command(("jobs", "list"))) == str(error)
    assert shown(DataError("is empty", next_step="Fill it"), train) == "is empty. Fill it."
    convert = load_command(("data", "convert"))  # an option of a group, and a question
    guess = unknown_name("snippet grid", "i3d-25fps-61", ["i3d-25fps-16"], arguments=("grid",))
    assert shown(guess, convert).endswith("Did you mean 'i3d-25fps-16'? (--grid)")
    figure = load_command(("figure",))  # an option with another name than its field
    renamed = UsageError("is not a run", next_step="Name it", arguments=["runs"])
    assert shown(renamed, figure) == "is not a run. Name it (--run)."


def test_a_guess_is_not_about_the_arguments_of_the_other_step() -> None:
    known = {"otherwise": "Leave it out", "arguments": ("shared_classes",)}
    assert unknown_name("class", "Divng", ["Diving"], **known).arguments == ()  # type: ignore[arg-type]
    assert unknown_name("class", "x", ["Diving"], **known).arguments == ("shared_classes",)  # type: ignore[arg-type]


def test_an_error_keeps_its_arguments_elsewhere() -> None:
    moved = DataError("is empty", expected="rows", got="none", next_step="Fill it", arguments=("to",)).at("a.csv")
    assert isinstance(moved, DataError)
    assert (str(moved), moved.arguments) == ("a.csv: is empty (expected rows, got none). Fill it.", ("to",))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["compare", "HERE"], "(--data, --annotations)."),
        (["compare", "HERE", "--data", "x", "--annotations", "y"], "(--annotations, --data)."),
        (["runs", "import", "hamnet", "HERE", "--out", "run", "--classes", "a,a"], "(--classes)."),
        (["train", "hamnet", "--data", "HERE", "--out", "run", "--set", "steps"], "(--set)."),
        (["weights", "get", "i3d-flow", "--out", "there.npz"], "(--source)."),
    ],
)
def test_commands_show_their_options(
    arguments: list[str], options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "detections.csv"
    here.write_text("video,label,start,end,score\nv,a,0,1,0.5\n")
    assert main([str(here) if word == "HERE" else word for word in arguments]) in (1, 2)
    assert capsys.readouterr().err.strip().endswith(options)
