"""What the records check of the values they are given: types, with an error that says which field it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from wtal_core.errors import DataError, shortened

__all__ = ["check_mapping", "check_names", "check_type"]

T = TypeVar("T")


def check_type(value: object, kind: type[T] | tuple[type[T], ...], name: str, expected: str, where: object) -> T:
    """Return `value`, which has to be of a type.

    Raises:
        DataError: it is of another one.
    """
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    raise DataError(
        f"{name} is of the wrong type",
        expected=expected,
        got=f"{type(value).__name__} {shortened(' '.join(repr(value).split()))}" if value is not None else "None",
        where=where,
        next_step=f"Give {name} as {expected}",
    )


def check_names(values: Any, name: str, where: object) -> tuple[str, ...]:
    """Return a collection of texts as a tuple.

    Raises:
        DataError: it is a single text, or one of them is no text.
    """
    expected = "a sequence of texts"
    if isinstance(values, str) or not isinstance(values, Iterable):
        check_type(values, (), name, expected, where)
    return tuple(check_type(value, str, f"{name}[{i}]", "a text", where) for i, value in enumerate(values))


def check_mapping(values: Any, kind: type[T], name: str, expected: str, where: object) -> dict[str, T]:
    """Return a mapping of texts to values of one type as a dict.

    Raises:
        DataError: it is no mapping, or a key or value of it is of another type.
    """
    check_type(values, Mapping, name, f"a mapping of names to {kind.__name__}", where)
    for key, value in values.items():
        check_type(key, str, f"a key of {name}", "a text", where)
        check_type(value, kind, f"{name}[{key!r}]", expected, where)
    return dict(values)
