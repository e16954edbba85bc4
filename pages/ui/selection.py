"""What is selected, kept in the URL so that every view can be linked to.

Keys: `data`, `run` (ids with commas between; a comma in one is %2C), `video`, `class`, `t`, `from`, `to` (seconds),
`protocol`, `tiou`, `step` (of the training whose kept activations are shown), `lens.<setting>` for settings that change
tracks without the model, `set.<setting>` for changed post-processing settings. A URL that carries any of them says
everything; without them, what was selected last in this session holds.

A link may name a data set or run by an end of its path that no other has (`run=hamnet` for `runs/hamnet`, as links of
earlier versions do): it is taken for the id. A name of several or of none stays as it is, and the pickers say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException

from pages.ui import loaders
from wtal_core.documents import parse_yaml
from wtal_core.errors import DataError

__all__ = ["Selection", "explore_link", "explore_query", "select", "selection"]

_KEYS = {"dataset": "data", "runs": "run", "video": "video", "label": "class", "t": "t", "t0": "from", "t1": "to",
         "protocol": "protocol", "tiou": "tiou", "step": "step"}  # fmt: skip
_REMEMBERED = "wtal.selection"
_PREFIX, _LENS = "set.", "lens."


@dataclass(frozen=True)
class Selection:
    """What is selected; None or empty where nothing is.

    Args:
        dataset: id of the data set.
        runs: ids of up to four runs, the first one in the lead.
        video: video id.
        label: class.
        t: playhead in seconds.
        t0, t1: visible part of the time axis in seconds.
        protocol: evaluation protocol that mAP and verdicts are made under.
        tiou: tIoU that verdicts are made at.
        step: of the training, whose kept activations of the first run are shown; None: the stored ones.
        lenses: `{setting: value}` that the first run's tracks are shown at.
        settings: changed localization settings of the first run.
    """

    dataset: str | None = None
    runs: tuple[str, ...] = ()
    video: str | None = None
    label: str | None = None
    t: float | None = None
    t0: float | None = None
    t1: float | None = None
    protocol: str | None = None
    tiou: float | None = None
    step: int | None = None
    lenses: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_query(self) -> dict[str, str]:
        """Return the URL parameters that say this."""
        query: dict[str, str] = {}
        for name, key in _KEYS.items():
            value = getattr(self, name)
            if name == "runs":
                value = ",".join(run.replace(",", "%2C") for run in value) or None
            elif isinstance(value, float | int):
                value = _number(value)
            if value is not None:
                query[key] = value
        for name, value in sorted(self.lenses.items()):
            query[_LENS + name] = f"{value:.6g}"
        for name, value in sorted(self.settings.items()):
            query[_PREFIX + name] = _setting_text(value)
        return query


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _setting_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_setting_text(v) for v in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _not_negative(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


_UNREADABLE = object()
_LONGEST_SETTING = 2000  # characters; twenty thresholds are 400


def _setting(text: str) -> Any:
    """Return the value of a setting in a link: a number, text or truth value, or a tuple of such.

    Of a mangled link it is `_UNREADABLE`: the setting stays as the run has it.
    """
    if len(text) > _LONGEST_SETTING:
        return _UNREADABLE
    try:
        value = parse_yaml(text)
    except DataError:
        return _UNREADABLE
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, list | dict) for part in parts):
        return _UNREADABLE
    return tuple(value) if isinstance(value, list) else value


def _from_query(query: Mapping[str, str]) -> Selection:
    found: dict[str, Any] = {}
    lenses: dict[str, float] = {}
    for key, text in query.items():
        if key.startswith(_LENS) and (at := _not_negative(text)) is not None:
            lenses[key.removeprefix(_LENS)] = at
        if key.startswith(_PREFIX):
            value = _setting(text)
            if value is not _UNREADABLE:
                found[key.removeprefix(_PREFIX)] = value
    dataset = loaders.dataset_id(query["data"]) if query.get("data") else None
    named = [run.replace("%2C", ",") for run in (query.get("run") or "").split(",") if run]
    runs = tuple(dict.fromkeys(loaders.run_id(run, dataset) for run in named))[:4]
    t0, t1 = _not_negative(query.get("from")), _not_negative(query.get("to"))
    if t0 is None or t1 is None or t1 <= t0:
        t0 = t1 = None
    tiou, step = _not_negative(query.get("tiou")), query.get("step") or ""
    return Selection(
        dataset=dataset,
        runs=runs,
        video=query.get("video") or None,
        label=query.get("class") or None,
        t=_not_negative(query.get("t")),
        t0=t0,
        t1=t1,
        protocol=query.get("protocol") or None,
        tiou=tiou if tiou is not None and 0 < tiou <= 1 else None,
        step=int(step) if step.isdecimal() and len(step) < 12 else None,
        lenses=lenses,
        settings=found,
    )


def _own_keys(query: Mapping[str, str]) -> list[str]:
    return [k for k in query if k in _KEYS.values() or k.startswith((_PREFIX, _LENS))]


def _query() -> dict[str, str]:
    """Return the URL's parameters; a repeated `run` counts as a list."""
    params = st.query_params
    return {key: ",".join(params.get_all(key)) if key == "run" else params[key] for key in params}


def selection() -> Selection:
    """Return what is selected, and make the URL say it."""
    query = _query()
    if _own_keys(query):
        chosen = _from_query(query)
        st.session_state[_REMEMBERED] = chosen
        return chosen
    remembered: Selection = st.session_state.get(_REMEMBERED, Selection())
    if remembered != Selection():
        _write(remembered)
    return remembered


def select(**changes: Any) -> Selection:
    """Change parts of the selection and write the URL; None clears a part.

    A new data set clears what belonged to the old one; a new video clears time and zoom; a new leading run clears
    changed settings and lenses.
    """
    old = selection()
    resets: dict[str, Any] = {}
    if "dataset" in changes and old.dataset is not None and changes["dataset"] != old.dataset:
        resets = dict.fromkeys(("video", "label", "t", "t0", "t1", "step"))
        resets |= {"runs": (), "lenses": {}, "settings": {}}
    if "video" in changes and old.video is not None and changes["video"] != old.video:
        resets |= {"t": None, "t0": None, "t1": None}
    if "runs" in changes and old.runs and tuple(changes["runs"])[:1] != old.runs[:1]:
        resets |= {"settings": {}, "lenses": {}, "step": None}
    new = replace(old, **{**resets, **changes})
    if new != old:
        _write(new)
    return new


def _write(chosen: Selection) -> None:
    st.session_state[_REMEMBERED] = chosen
    wanted = chosen.to_query()
    current = _query()
    for key in _own_keys(current):
        if key not in wanted:
            del st.query_params[key]
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    if changed:
        try:
            st.query_params.update(changed)
        except StreamlitAPIException:
            # A widget of the page is bound to the protocol, and says it where it is no default.
            st.query_params.update({key: value for key, value in changed.items() if key != "protocol"})


def explore_query(
    run: str | None = None, video: str | None = None, label: str | None = None, t: float | None = None, **more: Any
) -> dict[str, str]:
    """Return the URL parameters of a moment, for `st.page_link("pages/explore.py", query_params=...)`."""
    return Selection(runs=(run,) if run else (), video=video, label=label, t=t, **more).to_query()


def explore_link(
    run: str | None = None, video: str | None = None, label: str | None = None, t: float | None = None, **more: Any
) -> str:
    """Return the relative URL that opens a moment in Explore."""
    return "/explore?" + urlencode(explore_query(run, video, label, t, **more))
