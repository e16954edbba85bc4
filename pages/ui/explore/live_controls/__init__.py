"""Controls for settings objects that report while they are dragged; bounds and meanings come from the settings."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from wtal_core.analysis.live import evenly_spaced
from wtal_core.errors import UsageError
from wtal_core.settings import Option, options, override

__all__ = ["controls", "fields_of", "read_values"]

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "wtal_live_controls",
    html='<div class="form"></div>',
    css=(_FOLDER / "controls.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "controls.js").read_text(encoding="utf-8"),
)


def controls(fields: list[dict[str, Any]], key: str, *, scope: str, ack: int, on_values: Callable[[], None]) -> None:
    """Show the controls.

    Args:
        fields: of `fields_of`.
        key: constant for a place on a page.
        scope: what the values belong to; a new scope starts afresh.
        ack: number of the last report that this run of the page has taken in.
        on_values: called after `st.session_state[key].values` changed: `{"seq", "scope", "values"}`.
    """
    _component(key=key, data={"fields": fields, "scope": scope, "ack": ack}, on_values_change=on_values)


def fields_of(settings: Any, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the browser needs to draw a control for every field of a settings object.

    Args:
        settings: the stored settings.
        changes: `{dotted key: value}` that differ, as a link gives them.
    """
    now = {option.key: option.value for option in options(override(settings, changes))}  # 0.9 is a list of one
    return [_field(option, now[option.key]) for option in options(settings)]


def _field(option: Option, value: Any) -> dict[str, Any]:
    stored = option.value
    name = option.key.rpartition(".")[2].replace("_", " ")
    field: dict[str, Any] = {
        "key": option.key,
        "label": f"{name} ({option.unit})" if option.unit else name,
        "help": option.meaning + (f"\nPaper: {option.paper}" if option.paper else ""),
        "value": value,
        "stored": stored,
    }
    if option.choices:
        return field | {"kind": "choice", "choices": [str(c) for c in option.choices]}
    if isinstance(stored, bool):
        return field | {"kind": "toggle"}
    if isinstance(stored, int | float):
        low, high, step = _scale(option, float(stored), float(value))
        return field | {"kind": "range", "low": low, "high": high, "step": step, "integer": isinstance(stored, int)}
    if isinstance(stored, tuple) and (spaced := evenly_spaced(stored)) is not None:
        now = evenly_spaced(value) or (value[0], value[-1], max(2, len(value))) if value else spaced
        low = 0.0 if option.low is None else float(option.low)
        high = max(1.0 if option.high is None else float(option.high), spaced[1])
        return field | {
            "kind": "span", "value": list(now), "stored": list(spaced), "low": low, "high": high, "step": 0.01
        }  # fmt: skip
    return field | {"kind": "text", "value": _text(value), "stored": _text(stored)}


def _scale(option: Option, stored: float, value: float) -> tuple[float, float, float]:
    """Return `(low, high, step)` of a slider; where a setting has no bounds, generous ones around the stored value."""
    if isinstance(option.value, int):
        low = float(option.low if option.low is not None else 0)
        high = option.high if option.high is not None else max(4 * abs(stored), low + 10, value)
        return low, float(high), 1.0
    if option.high is not None:
        high = float(option.high)
    else:
        size = abs(stored) or 0.5
        top = 10.0 ** math.ceil(math.log10(4 * size))
        high = max(top / 2 if top / 2 >= 2 * size else top, value)
    low = float(option.low) if option.low is not None else min(0.0, -high if stored < 0 else 0.0, value)
    if 0 < low < 1e-3:
        low = min(high / 100, stored, value)  # "more than nothing": the slider starts at its first step
    return low, high, float(10.0 ** math.floor(math.log10((high - low) / 50)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def read_values(settings: Any, values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return `({dotted key: value} of what differs from `settings`, what could not be read)`."""
    changed: dict[str, Any] = {}
    problems = []
    for option in options(settings):
        if option.key not in values:
            continue
        try:
            value = _read(option, values[option.key])
            override(settings, {option.key: value})
        except (UsageError, TypeError, ValueError) as error:
            problems.append(f"{option.key}: {error}")
            continue
        if value != option.value:
            changed[option.key] = value
    return changed, " ".join(problems)


def _read(option: Option, value: Any) -> Any:
    """Turn what a control says into what the field holds.

    Raises:
        ValueError, TypeError: a text is no number.
    """
    stored = option.value
    if option.choices:
        return next(c for c in (*option.choices, value) if str(c) == str(value))
    if isinstance(stored, bool):
        return bool(value)
    if isinstance(stored, int):
        return round(value)
    if isinstance(stored, float):
        return stored if math.isclose(value, stored, rel_tol=1e-6) else round(float(value), 10)
    if isinstance(stored, tuple) and isinstance(value, list):
        first, last, count = value
        spaced = evenly_spaced(stored)
        if spaced is not None and np.allclose(spaced, (first, last, count), atol=1e-6):
            return stored  # to the last digit
        if last <= first:
            return (float(first),)
        return tuple(np.round(np.linspace(first, last, int(count)), 6).tolist())
    text = str(value).strip()
    kinds = [k for k in typing.get_args(option.type) if k not in (type(None), Ellipsis)] or [option.type]
    if not text and type(None) in typing.get_args(option.type):
        return None
    if isinstance(stored, tuple):
        return tuple(kinds[0](part) for part in text.replace(";", ",").split(",") if part.strip())
    return kinds[0](text)
