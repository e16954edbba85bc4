"""How a method says its activations are shown: rows of tracks, and settings that change a track without the model.

Methods declare `View`s and `Lens`es next to their network. A view names tracks by their address in `Activations`:
"cas", "branch_cas", "drop_mask", "boundaries", "attention.NAME", "extra_cas.NAME", or the name of a further track.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wtal_core.errors import DataError
from wtal_core.records.activations import Activations, Track

__all__ = ["VIEW_KINDS", "Lens", "Trace", "View", "default_views", "views_from_plain", "views_to_plain"]

#: Kind of a row -> how it is drawn.
VIEW_KINDS: Mapping[str, str] = {
    "lines": "curves over one another",
    "area": "curves stacked",
    "heat": "a map, one line a class",
    "mask": "spans where a mask is true",
    "proposals": "boundaries before and after regression",
}

_SUMS_TO_ONE = 1e-3


@dataclass(frozen=True)
class Trace:
    """One track in a row.

    Args:
        track: its address. Of `(K, T, C)` branches every branch is drawn.
        name: what the legend calls it; "" takes the track's name.
        role: meaning that decides colour and dash (`figures.looks`), e.g. "instance", "context"; "" takes one in order.
        background: the map's background channel instead of the selected class.
    """

    track: str
    name: str = ""
    role: str = ""
    background: bool = False


@dataclass(frozen=True)
class View:
    """One row: which tracks together, and how.

    Args:
        key: identity of the row, remembered by what a person hides or folds; unique within a method.
        title: what it is called; "{label}" becomes the selected class.
        traces: the tracks, first one first.
        kind: one of `VIEW_KINDS`.
        about: one line for a tooltip.
        low, high: range of the values; None: from 0, or the smallest value below it, to the largest.
        log: whether the scale is logarithmic.
        sources: proposal sources whose threshold lies on this row's scale.
        lens: key of a lens whose threshold lies on this row's scale.
        folded: whether it starts folded.
        figure: whether figures show it at first.
    """

    key: str
    title: str
    traces: tuple[Trace, ...]
    kind: str = "lines"
    about: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    sources: tuple[str, ...] = ()
    lens: str = ""
    folded: bool = False
    figure: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", tuple(self.traces))
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.kind not in VIEW_KINDS or not self.traces or not self.key:
            raise DataError(
                "is not a view",
                expected=f"a key, at least one trace, and a kind of {', '.join(VIEW_KINDS)}",
                got=f"key {self.key!r}, {len(self.traces)} traces, kind {self.kind!r}",
                where="View",
                next_step="Correct the method's views",
            )


@dataclass(frozen=True)
class Lens:
    """A setting of the network that changes tracks at inference and can be moved without the model.

    Args:
        key: the setting's key in the method's config.
        label: what its control is called.
        about: what moving it shows.
        low, high, step: range of its control.
        apply: `(activations, config) -> activations` with the tracks as a config with another value has them.
        threshold: `(activations, config) -> float`: where it lies on the scale of the row that names this lens; None
            where it has no place there.
    """

    key: str
    label: str
    about: str
    apply: Callable[[Activations, Any], Activations]
    threshold: Callable[[Activations, Any], float] | None = None
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01


# -- what was not declared ------------------------------------------------------------------------------------------


def default_views(activations: Activations, declared: tuple[View, ...] = ()) -> tuple[View, ...]:
    """Return the declared views that these activations can fill, then rows for every track that no view names.

    What a method does not declare follows from the kinds of its tracks: class activation sequences of the selected
    class, attentions together, a row for each further curve, mask and table of proposals, and a heat map of every map.
    """
    tracks = activations.all_tracks()
    views = [
        replace(view, traces=traces)
        for view in declared
        if (traces := tuple(trace for trace in view.traces if trace.track in tracks))
    ]
    named = {trace.track for view in views for trace in view.traces}
    heats = {trace.track for view in views if view.kind == "heat" for trace in view.traces}
    left = {address: track for address, track in tracks.items() if address not in named}
    together = {
        "maps": tuple(Trace(a) for a, track in left.items() if track.kind == "map" and a != "cas"),
        "attention": tuple(Trace(a) for a in left if a.startswith("attention.")),
    }
    if "cas" in left and activations.classes:
        rest = (Trace("cas", "background", "background", background=True),) if activations.has_background else ()
        about = "class activation sequence of the class"
        views.append(
            View("cas", "CAS · {label}", (Trace("cas", "CAS", "instance"), *rest), about=about, sources=("cas",))
        )
    if together["maps"]:
        views.append(View("maps", "Further CAS · {label}", together["maps"]))
    if traces := together["attention"]:
        views.append(View("attention", "Attention", traces, sources=("attention",)))
        total = sum(tracks[trace.track].values for trace in traces)
        if len(traces) > 2 and abs(total - 1.0).max() < _SUMS_TO_ONE:
            views.append(View("area", "Attention, stacked", traces, kind="area", figure=False))
    gathered = {trace.track for traces in together.values() for trace in traces}
    views += [_own_row(address, track) for address, track in left.items()
              if address not in gathered and track.kind in _OWN_ROW]  # fmt: skip
    for address, track in tracks.items():
        if track.kind in ("map", "branches") and address not in heats and activations.classes:
            key, title, main = f"heat.{address}", f"{_title(address)} map", address == "cas"
            if main:
                key, title = "heat", "CAS map"
            about = "every class, one row each"
            views.append(View(key, title, (Trace(address),), "heat", about, folded=not main, figure=False))
    return tuple(views)


#: Kind of a track -> kind of the row of its own that it gets.
_OWN_ROW = {"curve": "lines", "branches": "lines", "mask": "mask", "proposals": "proposals"}


def _own_row(address: str, track: Track) -> View:
    of_class = " · {label}" if track.kind in ("branches", "proposals") else ""
    title = "Branches" if address == "branch_cas" else _title(address)
    return View(
        address, title + of_class, (Trace(address),), _OWN_ROW[track.kind], track.meaning,
        low=track.low, high=track.high, log=track.log, sources=(address,),
    )  # fmt: skip


def _title(address: str) -> str:
    name = address.rpartition(".")[2].replace("_", " ")
    return name[:1].upper() + name[1:]


# -- in files -------------------------------------------------------------------------------------------------------


def views_to_plain(views: tuple[View, ...]) -> list[dict[str, Any]]:
    """Return views as plain values for a file."""
    return [asdict(view) for view in views]


def views_from_plain(values: Any, where: object) -> tuple[View, ...]:
    """Rebuild views from plain values.

    Raises:
        DataError: they are not views.
    """
    try:
        return tuple(
            View(**{**value, "traces": tuple(Trace(**trace) for trace in value["traces"])}) for value in values
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(
            "are not the views of a method",
            expected="a list of rows with their traces",
            got=str(error)[:120],
            where=where,
            next_step="Delete this file: rows then follow from the kinds of the tracks",
        ) from error
