"""A command as plain values: built strictly, and said in a shell by the words that build the same."""

from __future__ import annotations

import dataclasses
import shlex
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wtal_core.cli import COMMANDS, load_command
from wtal_core.commands.arguments import parse, to_words
from wtal_core.commands.requests import command_line, command_of, request_of
from wtal_core.documents import parse_yaml, to_yaml
from wtal_core.errors import DataError, UsageError


def sample(hint: Any, default: Any, item: dataclasses.Field[Any] | None = None) -> Any:
    """Return a value of a type that is not the default."""
    if typing.get_origin(hint) is typing.Annotated:
        return sample(typing.get_args(hint)[0], default, item)
    if item is not None and item.metadata.get("choices"):
        return next(c for c in item.metadata["choices"] if c != default)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return sample(next(part for part in parts if part is not types.NoneType), default)
    if origin is typing.Literal:
        return next(part for part in parts if part != default)
    if origin is tuple:
        return tuple(sample(parts[0], None) for _ in range(2))
    if origin is Mapping:
        return {"training.lr": 1e-05, "streams": "late", "thresholds": [0.1, 0.2], "attention": True, "name": "a b: c"}
    if dataclasses.is_dataclass(hint):
        return filled(typing.cast(type, hint))
    values = {bool: not default, int: 7 + (default == 7), float: 0.25, str: "some text", Path: Path("a folder/file.h5")}
    return values[hint]


def filled(command: type) -> Any:
    """Return a command with a value other than its default in every field."""
    hints = typing.get_type_hints(command, include_extras=True)
    items = dataclasses.fields(command)
    return command(**{item.name: sample(hints[item.name], item.default, item) for item in items})


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_request_and_its_words_make_the_same_command(words: tuple[str, ...]) -> None:
    command = filled(load_command(words))
    said = to_words(command)
    assert parse(type(command), said, "wtal") == command
    request = parse_yaml(to_yaml(request_of([*words, *said])))
    assert request["command"] == " ".join(words)
    assert set(request) - {"command"} == {item.name for item in dataclasses.fields(command)}
    assert command_of(request) == command
    assert shlex.split(command_line(request)) == ["wtal", *words, *said]


def test_what_is_at_its_default_is_not_said() -> None:
    request = {"command": "train", "method": "acn", "data": "my data", "out": "runs/a", "seed": 0, "split": "train"}
    assert command_line(request) == "wtal train acn --data 'my data' --out runs/a"
    assert request_of(shlex.split(command_line(request))[1:]) == {k: request[k] for k in list(request)[:4]}
    off = {"command": "infer", "folder": "runs/a", "localize": False}
    assert command_line(off) == "wtal infer runs/a --no-localize"
    assert request_of(["infer", "runs/a", "--no-localize"]) == off


def test_a_value_that_looks_like_an_option_is_none() -> None:
    request = {"command": "data convert", "source": "a.npy", "to": "b.h5", "foreign": {"strip_prefix": "-v"}}
    assert request_of(shlex.split(command_line(request))[1:]) == request


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ({}, UsageError, "unknown command ''"),
        ({"command": "data docter"}, UsageError, "Did you mean 'data doctor'"),
        ({"command": "methods", "mehtod": "acn"}, UsageError, "job.yaml: methods: unknown setting 'mehtod'"),
        ({"command": "methods", "method": 3}, UsageError, "expected str | None, got 3"),
        ({"command": "extract", "videos": "a", "out": []}, UsageError, "Extract.out: has the wrong type"),
        ({"command": "data convert", "source": "a", "to": "b", "dtype": "float8"}, UsageError, "Convert.dtype"),
        ({"command": "infer"}, DataError, "settings are incomplete (expected folder, got nothing)"),
        ({"command": "data convert", "source": "a", "to": "b", "foreign": {"gird": 1}}, UsageError, "mean 'grid'?"),
        ({"command": "train", "method": "acn", "data": "d", "out": "o", "seed": -1}, UsageError, "out of range"),
    ],
)
def test_requests_are_strict(request_: Mapping[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        command_of(request_, "job.yaml")
    assert words in str(raised.value)


def test_lists_numbers_and_texts_become_what_the_fields_hold() -> None:
    command = command_of({"command": "extract", "videos": ["a", "b"], "out": "f.h5", "fps": 25})
    assert (command.videos, command.out, command.fps) == (("a", "b"), Path("f.h5"), 25.0)
