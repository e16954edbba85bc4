"""A method's settings as a form shows them: grouped, as text, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wtal_core import settings
from wtal_core.documents import parse_yaml
from wtal_core.errors import DataError, UsageError
from wtal_core.methods.registry import method_class
from wtal_core.settings import Option

__all__ = ["GROUPS", "config_of", "parse_text", "setting_groups", "to_text", "try_change"]

#: Groups of a form in the order of a paper.
GROUPS = ("network", "losses", "localization", "training")

_LOSS = re.compile(r"\bloss(es)?\b|\bL_\w|targets|branch norms", re.IGNORECASE)


def config_of(method: str, preset: str | None, changes: Mapping[str, Any] | None = None) -> Any:
    """Return the config of a method's preset with changes.

    Raises:
        UsageError: method, preset or a setting is unknown, or a value is out of range.
    """
    return settings.override(method_class(method).preset_config(preset), dict(changes or {}))


def setting_groups(config: Any) -> dict[str, tuple[Option, ...]]:
    """Return every setting of a config under one of `GROUPS`, in the order of the config."""
    groups: dict[str, list[Option]] = {name: [] for name in GROUPS}
    for option in settings.options(config):
        head, dot, _ = option.key.partition(".")
        if dot:
            group = "localization" if head == "localization" else "training"
        else:
            group = "losses" if option.key.endswith("_weight") or _LOSS.search(option.meaning) else "network"
        groups[group].append(option)
    return {name: tuple(found) for name, found in groups.items() if found}


def to_text(value: Any) -> str:
    """Return a value as a person types it: 0.0001, 0.1 0.2 0.3, true; "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return " ".join(to_text(v) for v in value)
    return str(value)


def parse_text(option: Option, text: str) -> Any:
    """Read what a person typed for a setting: numbers, words, lists with blanks or commas between.

    Raises:
        UsageError: it cannot be read.
    """
    plain = text.strip()
    if isinstance(option.value, tuple) or "tuple" in str(option.type):
        return tuple(_scalar(option, word) for word in re.split(r"[\s,;]+", plain.strip("[]() ")) if word)
    if isinstance(option.value, str):
        return plain
    return None if plain == "" else _scalar(option, plain)


def _scalar(option: Option, word: str) -> Any:
    try:
        value = parse_yaml(word)
    except DataError as error:
        raise UsageError(
            "cannot be read",
            expected="a number",
            got=repr(word),
            where=option.key,
            next_step="Write a number, e.g. 0.5",
        ) from error
    if isinstance(value, str):  # YAML reads 1e-4 as text
        try:
            return float(value)
        except ValueError as error:
            raise UsageError(
                "is not a number",
                expected="a number",
                got=repr(word),
                where=option.key,
                next_step="Write a number, e.g. 0.5",
            ) from error
    return value


def try_change(config: Any, key: str, value: Any) -> str:
    """Return why a value is refused, one sentence, or "" where it fits."""
    try:
        settings.override(config, {key: value})
    except UsageError as error:
        wanted = f"; expected {error.expected}" if error.expected else ""
        return f"{to_text(value) or 'nothing'} {error.problem}{wanted}."
    return ""
