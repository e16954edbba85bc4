"""Frozen dataclasses as settings: documented fields, checked ranges, strict keys, dotted overrides.

A settings class declares each field with `option(...)` and calls `check(self)` in `__post_init__`::

    @dataclass(frozen=True)
    class Example:
        gamma: float = option(0.2, "drop threshold relative to the video's maximum", paper="0.2", low=0, high=1)

        def __post_init__(self) -> None:
            check(self)
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from wtal_core.documents import parse_yaml, to_yaml
from wtal_core.errors import DataError, UsageError, shortened, unknown_name
from wtal_core.snippet_grid import is_finite_number

__all__ = [
    "Option",
    "build",
    "check",
    "check_values",
    "differences",
    "fitting_values",
    "option",
    "options",
    "override",
    "parse_assignments",
    "plain",
    "to_dict",
]

S = TypeVar("S")


def option(
    default: Any = MISSING,
    meaning: str = "",
    *,
    paper: str = "",
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    factory: Any = MISSING,
) -> Any:
    """Declare a settings field.

    Args:
        default: default value. Use `factory` for nested settings.
        meaning: one line for help texts and the Train page.
        paper: value printed in the paper, where it differs from or confirms the default.
        unit: unit of the value ("snippets", "seconds", ...).
        low, high: inclusive bounds of a number (or of each number of a tuple).
        choices: allowed values.
    """
    metadata = {"meaning": meaning, "paper": paper, "unit": unit, "low": low, "high": high, "choices": choices}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def _matches(value: Any, wanted: Any) -> bool:
    """Return whether `value` is of the (resolved) type `wanted`; int passes as float, bool never passes as a number."""
    origin = typing.get_origin(wanted)
    if wanted is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, part) for part in typing.get_args(wanted))
    if origin is typing.Literal:
        return value in typing.get_args(wanted)
    if origin is tuple:
        parts = typing.get_args(wanted)
        if not isinstance(value, tuple):
            return False
        if len(parts) == 2 and parts[1] is Ellipsis:
            return all(_matches(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(_matches(v, p) for v, p in zip(value, parts, strict=True))
    if origin is list:
        return isinstance(value, list) and all(_matches(item, typing.get_args(wanted)[0]) for item in value)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            return False
        kinds = typing.get_args(wanted)
        return all(_matches(k, kinds[0]) and _matches(v, kinds[1]) for k, v in value.items())
    if wanted is float:
        return isinstance(value, int | float) and is_finite_number(value)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is type(None):
        return value is None
    return isinstance(value, origin or wanted)


def _coerce(value: Any, wanted: Any) -> Any:
    """Turn what YAML and the command line give (lists, ints for floats) into what a field holds."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        for part in parts:
            coerced = _coerce(value, part)
            if _matches(coerced, part):
                return coerced
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [parts[0]] * len(value) if len(parts) == 2 and parts[1] is Ellipsis else parts
        return tuple(_coerce(v, k) for v, k in zip(value, kinds, strict=False)) if len(kinds) == len(value) else value
    if origin is tuple and len(parts) == 2 and parts[1] is Ellipsis and _matches(_coerce(value, parts[0]), parts[0]):
        return (_coerce(value, parts[0]),)  # `thresholds=0.4` for a list of one
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is float and isinstance(value, int) and is_finite_number(value):
        return float(value)
    if wanted is float and isinstance(value, str):  # YAML reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _type_name(wanted: Any) -> str:
    if isinstance(wanted, type) and not typing.get_args(wanted):
        return wanted.__name__
    return str(wanted).replace("typing.", "").replace("collections.abc.", "").replace("NoneType", "None")


def _in_words(wanted: Any) -> str:
    """Return a type as people call it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_in_words, parts)))
    if origin in (list, tuple):
        inner = "" if not parts or parts[0] is Any else f" of {_in_words(parts[0])}"
        return f"a list{inner}"
    if origin in (dict, Mapping):
        return "a mapping"
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    return words.get(wanted, _type_name(wanted))


def check_values(values: Any, kinds: Mapping[str, Any], where: object, what: str, next_step: str) -> dict[str, Any]:
    """Return what a file says as a dict whose known keys have the right types (lists become tuples); others pass.

    Args:
        values: what was read.
        kinds: key -> type as in an annotation, e.g. `int | None`; keys may be missing.
        where: the file, for messages.
        what: what it should be, for messages.
        next_step: what to do about a wrong value.

    Raises:
        DataError: it is no mapping, a key is not a text, or a value is of another type.
    """
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise DataError(
            f"is not {what}", expected="a mapping", got=type(values).__name__, where=where, next_step=next_step
        )
    found = dict(values)
    for key, wanted in kinds.items():
        if key not in found:
            continue
        listed = isinstance(found[key], list | tuple) or typing.get_origin(wanted) is not tuple
        if listed:  # elsewhere one value stands for a list of one
            found[key] = _coerce(found[key], wanted)
        if not listed or not _matches(found[key], wanted):
            raise DataError(
                f"{key} is not what it should be",
                expected=_in_words(wanted),
                got=shortened(repr(values[key])),
                where=where,
                next_step=next_step,
            )
    return found


def fitting_values(values: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says as a dict, without the known keys that are of another type than in `check_values`."""
    if not isinstance(values, Mapping):
        return {}
    found = {str(key): _coerce(value, kinds.get(key, Any)) for key, value in values.items()}
    return {key: value for key, value in found.items() if _matches(value, kinds.get(key, Any))}


def check(settings: Any) -> None:
    """Validate every field of a settings object against its type, bounds and choices.

    Raises:
        UsageError: naming the field, what was expected and what came.
    """
    hints = typing.get_type_hints(type(settings))
    for item in fields(settings):
        value = _coerce(getattr(settings, item.name), hints[item.name])
        object.__setattr__(settings, item.name, value)
        where = f"{type(settings).__name__}.{item.name}"
        if not _matches(value, hints[item.name]):
            raise UsageError(
                "has the wrong type",
                expected=_type_name(hints[item.name]),
                got=shortened(repr(value)),
                where=where,
                next_step="Correct its value; 'wtal methods NAME' shows every setting of a method",
            )
        choices = item.metadata.get("choices") or ()
        if choices and value not in choices:
            raise unknown_name("value", value, [str(c) for c in choices], where=where)
        low, high = item.metadata.get("low"), item.metadata.get("high")
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, int | float) or isinstance(number, bool):
                continue
            if (low is not None and number < low) or (high is not None and number > high):
                bounds = f"{'' if low is None else f'{low:g} <= '}value{'' if high is None else f' <= {high:g}'}"
                raise UsageError(
                    "is out of range",
                    expected=bounds,
                    got=shortened(repr(value)),
                    where=where,
                    next_step="Choose a value within the bounds",
                )


def build(cls: type[S], values: Mapping[str, Any], where: object | None = None) -> S:
    """Build a settings object from nested plain values; unknown keys are errors that name the nearest known one.

    Raises:
        UsageError: a key is unknown, or a value is refused.
        DataError: a value is missing.
    """
    hints = typing.get_type_hints(cls)
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise unknown_name("setting", key, known, where=where or cls.__name__)
        wanted = hints[key]
        if isinstance(wanted, type) and is_dataclass(wanted) and isinstance(value, Mapping):
            value = build(wanted, value, where=f"{where}.{key}" if where else key)
        arguments[key] = value
    missing = [k for k, item in known.items() if item.default is item.default_factory is MISSING and k not in values]
    if missing:
        raise DataError(
            "settings are incomplete",
            expected=", ".join(missing),
            got="nothing",
            where=where or cls.__name__,
            next_step="Give every setting that has no default",
        )
    return cls(**arguments)


def override(settings: S, changes: Mapping[str, Any], *, under: str = "") -> S:
    """Return a copy with changes applied; keys may be dotted (`localization.class_threshold`) or nested mappings.

    A key without a dot that is unknown at the top but exists in exactly one nested settings object is applied there.

    Args:
        settings: what is changed.
        changes: keys and their new values.
        under: what stands before the keys in errors, e.g. `localization.`

    Raises:
        UsageError: a key is unknown (the nearest names are given) or a value is out of range; by its dotted name.
    """
    known = [item.name for item in fields(settings)]  # type: ignore[arg-type]
    direct: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    children = {name: getattr(settings, name) for name in known if is_dataclass(getattr(settings, name))}
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if rest and head in children:
            nested.setdefault(head, {})[rest] = value
        elif not rest and head in children and isinstance(value, Mapping):
            nested.setdefault(head, {}).update(value)
        elif not rest and head in known:
            direct[head] = value
        else:
            homes = [n for n, child in children.items() if not rest and head in {f.name for f in fields(child)}]
            if len(homes) != 1:
                raise unknown_name("setting", key, [o.key for o in options(settings)], where=under.rstrip(".") or None)
            nested.setdefault(homes[0], {})[head] = value
    for name, values in nested.items():
        direct[name] = override(children[name], values, under=f"{under}{name}.")
    try:
        return replace(settings, **direct)  # type: ignore[type-var]
    except UsageError as error:
        own = f"{type(settings).__name__}."
        if error.where is None or not error.where.startswith(own):
            raise
        raise error.at(f"{under}{error.where.removeprefix(own)}") from error


def plain(value: Any) -> Any:
    """Return a value as YAML and JSON know it: settings and mappings become dicts, tuples lists, paths texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def to_dict(settings: Any) -> dict[str, Any]:
    """Return nested settings as plain values for YAML and JSON."""
    result: dict[str, Any] = plain(settings)
    return result


def differences(settings: Any, base: Any) -> dict[str, Any]:
    """Return `{dotted key: value}` of everything in `settings` that is not as in `base` (of the same class)."""
    old = {o.key: o.value for o in options(base)}
    return {o.key: o.value for o in options(settings) if o.key not in old or old[o.key] != o.value}


@dataclass(frozen=True, slots=True)
class Option:
    """One documented field of a settings object, for help texts and forms."""

    key: str
    value: Any
    type: Any
    meaning: str
    paper: str
    unit: str
    low: float | None
    high: float | None
    choices: tuple[Any, ...]


def options(settings: Any, prefix: str = "") -> Iterator[Option]:
    """Yield every leaf field of a settings object with its dotted key, value and documentation."""
    hints = typing.get_type_hints(type(settings))
    for item in fields(settings):
        value = getattr(settings, item.name)
        key = f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from options(value, f"{key}.")
        else:
            about = item.metadata
            yield Option(
                key,
                value,
                hints[item.name],
                meaning=about.get("meaning", ""),
                paper=about.get("paper", ""),
                unit=about.get("unit", ""),
                low=about.get("low"),
                high=about.get("high"),
                choices=about.get("choices", ()),
            )


def parse_assignments(assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` texts of the command line; values are read as YAML (`1e-4`, `true`, `[0.1, 0.2]`, `null`).

    Raises:
        UsageError: a text has no `=`, its value is not YAML, or a key comes twice.
    """
    parsed: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                "is not an assignment",
                expected="key=value",
                got=repr(text),
                where="settings",
                next_step="Write the setting's name, '=' and its value",
                arguments=("set",),
            )
        key = key.strip()
        if key in parsed:
            raise UsageError(
                f"{key!r} is set twice",
                expected="each key once",
                where="settings",
                next_step="Keep one of the two",
                arguments=("set",),
            )
        try:
            parsed[key] = parse_yaml(value)
        except DataError as error:
            raise UsageError(
                "has a value that cannot be read",
                got=repr(text),
                where="settings",
                next_step="Put a text with special characters in quotes",
                arguments=("set",),
            ) from error
    return parsed


def assignments(changes: Mapping[str, Any], prefix: str = "") -> tuple[str, ...]:
    """Return changes as the texts that `parse_assignments` reads; nested mappings become dotted keys.

    >>> assignments({"training": {"lr": 1e-05}, "streams": "late"})
    ('training.lr=1.0e-05', 'streams=late')
    """
    texts: list[str] = []
    for key, value in changes.items():
        if isinstance(value, Mapping):
            texts += assignments(value, f"{prefix}{key}.")
            continue
        plain = list(value) if isinstance(value, tuple) else value
        text = to_yaml(plain, flow=True, width=math.inf).strip()
        texts.append(f"{prefix}{key}={text.removesuffix('...').strip()}")
    return tuple(texts)
