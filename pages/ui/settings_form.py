"""Controls for settings objects: bounds, choices and meanings come from the settings themselves."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import streamlit as st

from wtal_core.runs.live import evenly_spaced
from wtal_core.settings import Option, options

__all__ = ["settings_form"]


def _label(option: Option) -> str:
    name = option.key.rpartition(".")[2].replace("_", " ")
    return f"{name} ({option.unit})" if option.unit else name


def _help(option: Option) -> str:
    return option.meaning + (f" Paper: {option.paper}." if option.paper else "")


def _top(option: Option, value: float) -> float:
    """Return a slider's upper end where the setting itself has none: generous, and the same while dragging."""
    if option.high is not None:
        return float(option.high)
    default = abs(float(option.value)) or 0.5
    top = 10 ** math.ceil(math.log10(4 * default))
    return max(top / 2 if top / 2 >= 2 * default else top, value)


def _step(low: float, high: float) -> float:
    return float(10 ** math.floor(math.log10((high - low) / 50)))


def _control(option: Option, value: Any, key: str, on_change: Callable[[], None]) -> Any:
    """Draw one control and return its value."""
    common: dict[str, Any] = {"help": _help(option), "on_change": on_change}

    def seed(name: str, start: Any) -> str:
        if name not in st.session_state:
            st.session_state[name] = start
        return name

    if option.choices:
        return st.selectbox(_label(option), list(option.choices), key=seed(key, value), **common)
    if isinstance(value, bool):
        return st.toggle(_label(option), key=seed(key, value), **common)
    if isinstance(value, int):
        low = int(option.low) if option.low is not None else 0
        high = int(option.high) if option.high is not None else max(4 * abs(int(option.value)), low + 10, value)
        return st.slider(_label(option), low, high, key=seed(key, value), **common)
    if isinstance(value, float):
        low = option.low if option.low is not None else min(0.0, -_top(option, value))
        high = _top(option, value)
        if option.low is not None and 0 < option.low < 1e-3:
            low = 0.01 if value >= 0.01 else option.low
        step = _step(low, high)
        return st.slider(_label(option), float(low), high, key=seed(key, value), step=step, format="%.3g", **common)
    if isinstance(value, tuple) and (spaced := evenly_spaced(value)):
        first, last, count = spaced
        low = 0.0 if option.low is None else float(option.low)
        high = 1.0 if option.high is None else float(option.high)
        between = st.slider(
            _label(option), low, max(high, last), key=seed(f"{key}.range", (first, last)), step=0.01, **common
        )
        number = st.slider("how many", 2, max(30, count), key=seed(f"{key}.count", count), on_change=on_change)
        if (round(between[0], 6), round(between[1], 6), number) == (round(first, 6), round(last, 6), count):
            return value  # as it was, to the last digit
        if between[1] <= between[0]:
            return (float(between[0]),)
        return tuple(np.round(np.linspace(between[0], between[1], number), 6).tolist())
    empty = "none" if type(None) in typing.get_args(option.type) else None
    text = st.text_input(_label(option), key=seed(key, _text(value)), placeholder=empty, **common)
    return _parse(text, option, value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _parse(text: str, option: Option, value: Any) -> Any:
    """Read what was typed; what cannot be read is said, and the value stays."""
    optional = type(None) in typing.get_args(option.type)
    if optional and not text.strip():
        return None
    many = typing.get_origin(option.type) is tuple or isinstance(value, tuple)
    kinds = [k for k in typing.get_args(option.type) if k not in (type(None), Ellipsis)] or [option.type]
    try:
        if many:
            return tuple(kinds[0](part) for part in text.replace(";", ",").split(",") if part.strip())
        return kinds[0](text)
    except (TypeError, ValueError):
        st.caption(f":red[{_label(option)}: {'numbers, separated by commas' if many else 'a number'}]")
        return value


def settings_form(
    settings: Any, changes: Mapping[str, Any], prefix: str, on_change: Callable[[], None]
) -> dict[str, Any]:
    """Draw a control for every field and return `{dotted key: value}` of those that differ from `settings`.

    Args:
        settings: the settings that "unchanged" means.
        changes: values to start from where they differ (a link, an earlier visit).
        prefix: of the controls' keys; a new prefix starts afresh.
        on_change: called when a control moves.
    """
    changed = {}
    for option in options(settings):
        value = changes.get(option.key, option.value)
        if isinstance(option.value, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        new = _control(option, value, f"{prefix}.{option.key}", on_change)
        if new != option.value:
            changed[option.key] = new
    return changed
