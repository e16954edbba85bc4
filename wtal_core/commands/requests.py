"""A command as plain values, which is what a job holds: `{command: train, method: hamnet, data: ..., ...}`.

The options are named as the fields of the command's class. A command is built from its request, never from words; the
words that do the same in a shell are made of the request too, so that what is shown and what is run cannot differ.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from wtal_core import settings
from wtal_core.cli import COMMANDS, find_command, load_command
from wtal_core.commands.arguments import default_of, parse, to_words
from wtal_core.errors import unknown_name

__all__ = ["command_line", "command_of", "request_of"]


def command_of(request: Mapping[str, Any], where: object = "request") -> Any:
    """Build the command that a request names.

    Raises:
        UsageError: the command or an option is unknown, or a value is of another type or out of range.
        DataError: an option that has no default is missing.
    """
    name, options = str(request.get("command", "")), {key: value for key, value in request.items() if key != "command"}
    known = {" ".join(words): words for words in COMMANDS}
    if name not in known:
        raise unknown_name("command", name, known, where=where)
    command = settings.build(load_command(known[name]), options, where=f"{where}: {name}")
    for part in (*(getattr(command, item.name) for item in dataclasses.fields(command)), command):
        if dataclasses.is_dataclass(part):  # a group of options, then the command
            settings.check(part)
    return command


def request_of(words: Sequence[str]) -> dict[str, Any]:
    """Return the request that the words after `wtal` make; prints what is wrong with them.

    Raises:
        UsageError: there is no such command, or it refuses a value.
        SystemExit: an argument is unknown, missing or misspelt (code 2), or asks for help (0).
    """
    name, rest = find_command(words)
    command = parse(load_command(name), rest, f"wtal {' '.join(name)}")
    return {"command": " ".join(name), **_options(command)}


def command_line(request: Mapping[str, Any]) -> str:
    """Return what does the same in a shell.

    Raises:
        WtalError: as `command_of`.
    """
    return shlex.join(["wtal", *str(request["command"]).split(), *to_words(command_of(request))])


def _options(command: Any) -> dict[str, Any]:
    """Return a command's options as plain values; what is at its default is left out."""
    found = {}
    for item in dataclasses.fields(command):
        value, default = getattr(command, item.name), default_of(item)
        if value != default:
            found[item.name] = _options(value) if dataclasses.is_dataclass(value) else settings.plain(value)
    return found
