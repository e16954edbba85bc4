"""How a command's fields become its arguments, and back: tyro parses them, this says what `--help` shows of them.

A field's docstring is its help, as one paragraph; a documented option (`settings.option`) says its meaning and choices
itself. `X | None` is shown as X (None is what leaving the option out means and cannot be written), and a default is
printed where there is one to write.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import shutil
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from wtal_core.errors import WtalError
from wtal_core.settings import assignments, parse_assignments

__all__ = ["default_of", "options_of", "parse", "to_words", "with_options"]

_PLACEHOLDERS: dict[Any, str] = {Path: "PATH", str: "TEXT", int: "INTEGER", float: "NUMBER"}

C = TypeVar("C")


class _Refused(Exception):
    """A command's own refusal of its arguments: tyro would put a `ValueError` into a box of its own."""


def parse(command: type[C], arguments: Sequence[str], program: str) -> C:
    """Build a command of its arguments; prints help or what is wrong with them and raises `SystemExit` (0 or 2).

    Raises:
        WtalError: the command refuses a value.
    """
    registry = ConstructorRegistry()
    registry.struct_rule(_fields_of)
    registry.primitive_rule(_without_none)
    try:
        return tyro.cli(
            command,
            args=list(arguments),
            prog=program,
            description=_paragraphs(inspect.getdoc(command) or ""),
            config=(tyro.conf.FlagCreatePairsOff,),
            registry=registry,
        )
    except _Refused as refused:
        raise refused.args[0] from None


def to_words(command: Any) -> list[str]:
    """Return the words that `parse` builds a command of, positional ones first; what is at its default is left out."""
    first: list[str] = []
    then: list[str] = []
    hints = typing.get_type_hints(type(command), include_extras=True)
    for item in _in_order(type(command)):
        hint, value = hints[item.name], getattr(command, item.name)
        if dataclasses.is_dataclass(value):
            then += to_words(value)
        elif value == default_of(item):
            continue
        elif _is_positional(hint):
            first += _texts(value)
        else:
            then += _option(item.name, hint, value)
    return [*first, *then]


def _flag(field: str, hint: Any) -> str:
    name = next((n for part in typing.get_args(hint)[1:] if (n := getattr(part, "name", None))), field)
    return f"--{name.replace('_', '-')}"


def _option(field: str, hint: Any, value: Any) -> list[str]:
    flag = _flag(field, hint)
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    texts = _texts(value)
    # A value that looks like an option is one with its name; of several, nothing can be done.
    return [f"{flag}={texts[0]}"] if len(texts) == 1 and texts[0].startswith("-") else [flag, *texts]


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return list(assignments(value))
    return [str(one) for one in (value if isinstance(value, tuple) else (value,))]


def _in_order(cls: type[Any]) -> list[dataclasses.Field[Any]]:
    """Return the fields in the order of `__init__`."""
    return sorted(dataclasses.fields(cls), key=lambda item: bool(item.kw_only))


def default_of(item: dataclasses.Field[Any]) -> Any:
    """Return a field's default, `MISSING` where it has none."""
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def _is_positional(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated and tyro.conf.Positional in typing.get_args(hint)


def options_of(command: type) -> dict[str, str]:
    """Return `{field: option}` of a command and its groups of options, e.g. "any_features": "--any-features"."""
    hints = typing.get_type_hints(command, include_extras=True)
    found: dict[str, str] = {}
    for item in dataclasses.fields(command):
        hint = hints[item.name]
        if dataclasses.is_dataclass(group := _bare(hint)) and isinstance(group, type):
            found |= options_of(group)
        elif not _is_positional(hint):
            flag = _flag(item.name, hint)
            found[item.name] = f"--no-{flag.removeprefix('--')}" if item.default is True else flag
    return found


def with_options(text: str, arguments: Iterable[str], command: type) -> str:
    """Return a text with the command's options for the arguments that it is about (`WtalError.arguments`)."""
    known = options_of(command)
    options = [known[name] for name in arguments if name in known]
    if not options:
        return text
    return f"{text.removesuffix('.')} ({', '.join(options)}){'' if text.endswith('?') else '.'}"


def _paragraphs(text: str) -> str:
    """Wrap a docstring for the terminal; indented lines (examples) stay as they are."""
    width = min(shutil.get_terminal_size().columns, 100) - 2
    lines: list[str] = []
    for block in text.split("\n\n"):
        example = block.startswith(" ") or "\n " in block
        lines += [*(block.splitlines() if example else textwrap.wrap(block, width)), ""]
    # tyro joins a line to the one before it unless it begins with something else than a letter.
    return "\n".join(f" {line}" if line else "" for line in lines)


def _without_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read `X | None` as X."""
    parts = _alternatives(info.type)
    if types.NoneType not in parts or len(parts) != 2:
        return None
    inner = next(part for part in parts if part is not types.NoneType)
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(inner, info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    return dataclasses.replace(
        spec,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: [] if value is None else spec.str_from_instance(value),
    )


def _fields_of(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Read a command's fields with their docstrings, placeholders and defaults."""
    if not (isinstance(info.type, type) and dataclasses.is_dataclass(info.type)):
        return None
    hints = typing.get_type_hints(info.type, include_extras=True)
    found = []
    mappings = []
    for item in _in_order(info.type):
        default = default_of(item)
        if default is dataclasses.MISSING:
            default = tyro.constructors.MISSING_NONPROP
        hint = hints[item.name]
        if choices := item.metadata.get("choices"):
            hint = typing.Literal[choices]
        if typing.get_origin(_bare(hint)) is Mapping:  # written as KEY=VALUE ...
            mappings.append(item.name)
            default = assignments(default)
            hint = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="")]
        elif not dataclasses.is_dataclass(_bare(hint)):
            hint = Annotated[hint, _shown(item.name, hint, default)]
        found.append(StructFieldSpec(item.name, hint, default, functools.partial(_help_of, info.type, item)))
    return StructConstructorSpec(functools.partial(_made, info.type, tuple(mappings)), tuple(found))


def _made(cls: type, mappings: tuple[str, ...], **values: Any) -> Any:
    """Build a command of what tyro has read."""
    try:
        return cls(**{k: parse_assignments(v) if k in mappings else v for k, v in values.items()})
    except WtalError as error:
        raise _Refused(error) from error


def _bare(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _alternatives(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _shown(name: str, hint: Any, default: Any) -> Any:
    """Return what stands for a value in the help, and what is said of its default."""
    positional = _is_positional(hint)
    required = default is tyro.constructors.MISSING_NONPROP
    (inner, *others) = (part for part in _alternatives(_bare(hint)) if part is not types.NoneType)
    several = typing.get_origin(inner) is tuple and typing.get_args(inner)[1:] == (...,)
    word = name.upper() if positional else _PLACEHOLDERS.get(typing.get_args(inner)[0] if several else inner)
    if word is not None:
        word += " ..." if several else ""
        word = f"[{word}]" if positional and not required else word
    silent = default is None or isinstance(default, bool) or default in ("", ())
    note = "(required)" if required and several else "" if silent else None
    return tyro.conf.arg(metavar=None if others else word, help_behavior_hint=note)


@functools.cache
def _docstrings(cls: type) -> dict[str, str]:
    """Return `{field: the text below it}` of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, str):
            found[field.target.id] = " ".join(text.split())
    return found


def _help_of(cls: type, item: dataclasses.Field[Any]) -> str | None:
    """Return the help of a field: its docstring, which may stand in a base class, or its meaning as an option."""
    meaning: str = item.metadata.get("meaning", "")
    texts = (_docstrings(base).get(item.name) for base in cls.__mro__[:-1])
    is_list = meaning.split()[1:2] == ["|"]  # its first word is a name, which stays as it is written
    sentence = meaning if is_list else f"{meaning[:1].upper()}{meaning[1:]}"
    return next(filter(None, texts), f"{sentence}." if meaning else None)
