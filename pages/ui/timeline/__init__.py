"""The playing video and stacked tracks on one time axis: packing for the browser, and the component itself."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.javascript import join
from wtal_core.figures.looks import colours
from wtal_core.figures.rows import Row
from wtal_core.files import jsonable
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Payload", "pack", "timeline"]

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "wtal_timeline",
    html=(_FOLDER / "timeline.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "timeline.css").read_text(encoding="utf-8"),
    js=join(_FOLDER / "component.js"),
)
_arrays_component = st.components.v2.component(
    "wtal_timeline_arrays", html="", js=(_FOLDER / "arrays.js").read_text(encoding="utf-8")
)


class _Arrays:
    """Arrays that follow the JSON header, 4-byte aligned."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.index: list[tuple[str, int, int]] = []
        self._size = 0

    def add(self, array: np.ndarray[Any, Any]) -> int:
        kind = "u1" if array.dtype == np.uint8 else "f4"
        data = np.ascontiguousarray(array, dtype=np.uint8 if kind == "u1" else np.float32).tobytes()
        padding = -len(data) % 4
        self.index.append((kind, self._size, array.size))
        self.parts += [data, b"\0" * padding]
        self._size += len(data) + padding
        return len(self.index) - 1


def _grid(grid: SnippetGrid | None) -> dict[str, float] | None:
    return None if grid is None else {"t0": float(grid.to_seconds(0)), "step": grid.step_seconds}


_PLAIN = ["key", "title", "kind", "run", "about", "low", "high", "row", "note", "role", "hidden", "folded", "labels",
          "counts"]  # fmt: skip
_LISTS = ["items", "misses", "spans", "names", "limits", "sources"]


def _track(track: Row, arrays: _Arrays) -> dict[str, Any]:
    """Return a track as plain values, its arrays by number."""
    plain: dict[str, Any] = {name: getattr(track, name) for name in _PLAIN}
    plain |= {name: list(getattr(track, name)) for name in _LISTS}
    plain["grid"] = _grid(track.grid)
    if track.series:
        plain["series"] = [
            {"name": s.name, "values": arrays.add(s.values), "role": s.role, "dash": s.dash, "ghost": s.ghost,
             "grid": _grid(s.grid)}
            for s in track.series
        ]  # fmt: skip
    if track.cells is not None:
        plain["cells"] = arrays.add(track.cells)
    return plain


@dataclass(frozen=True)
class Payload:
    """What the browser gets: a header, and arrays that it names by their content.

    The arrays go in a message of their own, which Streamlit sends again only when they change: a moved threshold
    sends new detections, not the curves and heat maps they were cut from.

    Args:
        header: JSON.
        arrays: 4-byte aligned, behind the 16 characters of their id.
    """

    header: bytes
    arrays: bytes


def pack(tracks: Sequence[Row], *, start: Mapping[str, Any], **facts: Any) -> Payload:
    """Pack tracks and facts for the browser.

    Args:
        tracks: from top to bottom.
        start: `{"t", "from", "to"}`: where playhead and view start for a new subject; not part of `rev`.
        facts: what else the header says, see `pages/ui/explore/rows.py`.
    """
    arrays = _Arrays()
    plain = [_track(track, arrays) for track in tracks]
    body = b"".join(arrays.parts)
    body_id = _digest(body)
    header = {
        **facts,
        "tracks": plain,
        "arrays": arrays.index,
        "body": body_id,
        "palette": {"light": colours("light"), "dark": colours("dark")},
        "hook": bool(os.environ.get("WTAL_TEST_HOOK")),
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False, default=jsonable)
    # `rev` and `start` go in front: an unchanged payload is known by `rev` before anything is drawn.
    front = json.dumps({"rev": _digest(text.encode()), "start": dict(start)}, separators=(",", ":"))[:-1]
    return Payload(f"{front},{text[1:]}".encode(), body_id.encode() + body)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def timeline(
    payload: Payload,
    key: str = "timeline",
    *,
    on_moment: Callable[[], None] | None = None,
    on_erase: Callable[[], None] | None = None,
    on_label: Callable[[], None] | None = None,
    on_ask: Callable[[], None] | None = None,
) -> Any:
    """Show the timeline.

    Args:
        payload: of `pack`.
        key: constant for a place on a page, so that video, zoom and position survive reruns.
        on_moment: called after `st.session_state[key].moment` changed: `{"t", "from", "to", "subject"}`.
        on_erase: called with `.erase`: `{"spans": [[start, end], ...], "subject"}`.
        on_label: called with `.label`: `{"name", "subject"}`.
        on_ask: called with `.ask`: `{"what", "subject"}`: "flow" or "copy" to be made, "step" by `"by"` videos.
    """

    def nothing() -> None:
        return None

    with st.container(key=f"{key}-arrays"):  # takes no room: its style hides it
        _arrays_component(key=f"{key}.arrays", data=payload.arrays)
    return _component(
        key=key,
        data=payload.header,
        on_moment_change=on_moment or nothing,
        on_erase_change=on_erase or nothing,
        on_label_change=on_label or nothing,
        on_ask_change=on_ask or nothing,
    )
