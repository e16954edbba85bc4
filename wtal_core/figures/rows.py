"""What the timeline shows of a video, as plain values: which tracks a method has, their curves, ranges and colours.

A track has a `key` that is the same for every video and data set (what a person hid or folded is remembered by it) and
one of these kinds: "segments", "detections", "lines", "area", "heat", "mask", "boundaries", "offer". Curves are
float32; heat maps are quantised to 8 bit, which is for drawing only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.analysis.explain import Explanation, Verdicts
from wtal_core.arrays import Array, IntArray
from wtal_core.figures.looks import branch, in_order, pixels
from wtal_core.intervals import spans
from wtal_core.localization import nms
from wtal_core.records import Activations, Annotations, Boundaries, Segments, Trace, View, default_views
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Row", "Series", "activation_rows", "best_apart", "detection_row", "flow_rows", "offer_row", "truth_rows"]


_MOST_BOUNDARIES = 60
_SAME_BOUNDARIES = 0.4  # tIoU above which boundaries of one stream count as the same


@dataclass(frozen=True, eq=False)
class Series:
    """One curve.

    Args:
        name: what it is called in the label.
        values: `(T,)` float32.
        role: colour role of the palette.
        dash: dash pattern in pixels, the second cue besides colour.
        ghost: drawn thin, as what was before.
        grid: where its values lie if not on the track's grid.
    """

    name: str
    values: npt.NDArray[np.float32]
    role: str
    dash: tuple[float, ...] = ()
    ghost: bool = False
    grid: SnippetGrid | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the timeline.

    Args:
        key: identity across videos and data sets.
        title: what it is called.
        kind: how it is drawn.
        run: letter of the run it belongs to, "" for ground truth.
        about: one line for a tooltip.
        grid: where its values lie.
        series: curves of "lines" and "area".
        items: rows of "segments", "detections" and "boundaries", plain values.
        misses: "detections": instances that nothing found.
        counts: "detections": how many true ("tp") and false positives ("fp") there are in all.
        spans: "mask": `[start, end)` in seconds.
        cells: "heat": `(C, T)` uint8.
        names: "heat": names of its rows.
        row: "heat": the selected class, -1 for none.
        low, high: range of the values.
        limits: horizontal lines, `{"value", "role"}`.
        sources: names of proposal sources whose threshold is on this track's scale.
        note: a short remark under the title.
        role: colour of "mask".
        log: whether the scale is logarithmic.
        hidden, folded: how it starts where nobody chose yet.
    """

    key: str
    title: str
    kind: str
    run: str = ""
    about: str = ""
    grid: SnippetGrid | None = None
    series: tuple[Series, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()
    misses: tuple[Mapping[str, Any], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[tuple[float, float], ...] = ()
    cells: npt.NDArray[np.uint8] | None = None
    names: tuple[str, ...] = ()
    row: int = -1
    low: float = 0.0
    high: float = 1.0
    limits: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[str, ...] = ()
    note: str = ""
    role: str = ""
    hidden: bool = False
    folded: bool = False
    labels: int = field(default=1)
    log: bool = False


# -- ground truth -------------------------------------------------------------------------------------------------


def _items(segments: Segments, role: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"label": label, "start": start, "end": end, "role": role}
        for label, start, end in zip(
            segments.label.tolist(), segments.start.tolist(), segments.end.tolist(), strict=True
        )
    )


#: Known truth tracks: name -> (title, colour role, starts folded).
_TRUTH = {
    "fakes": ("Fakes", "fake", False),
    "context": ("Context", "context", False),
    "contexts": ("Context", "context", False),
    "phases": ("Phases", "phase", False),
    "static": ("Static clips", "static", True),
}


def truth_rows(annotations: Annotations, video: str) -> list[Row]:
    """Return the tracks of what is known to be there: ground truth, then fakes, context, phases, static clips."""
    instances = _items(annotations.instances.for_video(video), "gt")
    ambiguous = _items(annotations.ambiguous.for_video(video), "ambiguous")
    tracks = [Row("gt", "Ground truth", "segments", items=tuple(sorted(instances + ambiguous, key=_start)))]
    ordered = [*(n for n in _TRUTH if n in annotations.tracks), *(n for n in annotations.tracks if n not in _TRUTH)]
    for name in ordered:
        segments = annotations.tracks[name].for_video(video)
        if len(segments):
            title, role, folded = _TRUTH.get(name, (name.replace("_", " ").capitalize(), "phase", True))
            items = tuple(sorted(_items(segments, role), key=_start))
            tracks.append(Row(f"truth:{name}", title, "segments", items=items, folded=folded))
    return tracks


def _start(item: Mapping[str, Any]) -> float:
    return float(item["start"])


# -- detections ---------------------------------------------------------------------------------------------------


def detection_row(explanations: Sequence[Explanation], verdicts: Verdicts, *, run: str, title: str, key: str) -> Row:
    """Return the track of one set of detections.

    Args:
        explanations: best score first; of many detections the best ones.
        verdicts: of all detections of the video.
        run: letter of the run.
        title: e.g. the run's name.
        key: "det" or "stored", which the letter is added to.
    """
    count = len(verdicts.outcome)
    scores = [e.score for e in explanations]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    items = []
    for number, e in enumerate(explanations):
        rank = (e.score - low) / (high - low) if high > low else 1.0
        items.append({"id": f"{key}:{run}:{number}", "rank": round(rank, 3), **_plain(e)})
    shown = f"{len(items)} best of {count}" if count > len(items) else f"{count}"
    return Row(
        f"{key}:{run}",
        title,
        "detections",
        run=run,
        items=tuple(items),
        misses=_items(verdicts.missed, "fn"),
        counts={"tp": verdicts.outcome.count("tp"), "fp": verdicts.outcome.count("fp")},
        labels=len({e.label for e in explanations}),
        note=f"{shown} detection{'s' if count != 1 else ''}",
    )


def _plain(value: Any) -> dict[str, Any]:
    """Return the fields that say something, numbers to seven decimals."""
    plain: dict[str, Any] = {}
    for name in value.__dataclass_fields__:
        content = getattr(value, name)
        if content is None or content == () or content is False:
            continue
        if isinstance(content, float):
            content = round(content, 7)
        elif isinstance(content, tuple):
            content = [_plain(part) for part in content]
        elif not isinstance(content, str | int):
            content = _plain(content)
        plain[name] = content
    return plain


def offer_row(key: str, title: str, offer: str, about: str) -> Row:
    """Return a row that offers to compute what it would show; without an offer it is being computed."""
    return Row(key, title, "offer", note=offer, about=about)


# -- what a method says -------------------------------------------------------------------------------------------


def _nice(value: float) -> float:
    """Round up to 1, 1.5, 2, 3, 5, 7.5 times a power of ten, so that ranges do not jitter."""
    if value <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if value <= step * power * (1 + 1e-9)))


def _range(values: Sequence[Array]) -> tuple[float, float]:
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    low, high = (0.0 if low >= 0 else -_nice(-low)), _nice(high) if high > 0 else 0.0
    return low, high if high > low else low + 1.0


def _series(name: str, values: Array, role: str, *, ghost: bool = False) -> Series:
    return Series(name, np.ascontiguousarray(values, dtype=np.float32), role, pixels(role), ghost)


def _lines(key: str, title: str, run: str, grid: SnippetGrid, series: Sequence[Series], **more: Any) -> Row:
    low, high = _range([s.values for s in series])
    return Row(f"{key}:{run}", title, "lines", run=run, grid=grid, series=tuple(series), low=low, high=high, **more)


def activation_rows(
    activations: Activations,
    label: str,
    *,
    run: str,
    views: tuple[View, ...] = (),
    lead: bool = True,
    before: Activations | None = None,
    thresholds: Mapping[str, float] | None = None,
    declared_only: bool = False,
) -> list[Row]:
    """Return the curves, maps and masks of one run for one class.

    Args:
        activations: of the video.
        label: class that per-class curves show.
        run: letter of the run.
        views: what its method declares; tracks that these do not name get rows by their kind.
        lead: whether it is the run in the lead; the others get no heat maps and start hidden.
        before: activations before snippets were erased or the model was asked again, drawn as ghosts.
        thresholds: `{key of a lens: its threshold}`, drawn in the row that names the lens.
        declared_only: leave out the rows of tracks that no view names.
    """
    c = activations.classes.index(label) if label in activations.classes else 0
    every = views if declared_only else default_views(activations, views)
    shown = [view for view in every if lead or view.kind != "heat"]
    rows: list[Row] = []
    for view in shown:
        drawn = _Drawing(activations, view, c, run, before, dict(thresholds or {}))
        rows += [replace(row, hidden=not lead) for row in _DRAWN[view.kind](drawn)]
    return rows


@dataclass(frozen=True, eq=False)
class _Drawing:
    """A view to be drawn: of which activations, for which class, and what is drawn with it."""

    activations: Activations
    view: View
    label: int
    run: str
    before: Activations | None
    thresholds: Mapping[str, float]

    @property
    def title(self) -> str:
        names = self.activations.classes
        return self.view.title.replace("{label}", names[self.label] if names else "")

    def row(self, kind: str, **more: Any) -> Row:
        view = self.view
        row = Row(f"{view.key}:{self.run}", self.title, kind, run=self.run, about=view.about,
                  grid=self.activations.grid, sources=view.sources, folded=view.folded, log=view.log)  # fmt: skip
        return replace(row, **more)

    def values(self, activations: Activations, trace: Trace) -> list[Array]:
        """Return the curves of a trace: one, or one for each branch; none where the track is not there."""
        track = activations.all_tracks().get(trace.track)
        if track is None:
            return []
        values = np.asarray(track.values)
        if track.kind in ("map", "branches"):
            channel = -1 if trace.background else self.label
            return list(values[..., channel]) if track.kind == "branches" else [values[:, channel]]
        return [values.astype(np.float32)]


def _draw_lines(drawing: _Drawing) -> list[Row]:
    series: list[Series] = []
    meanings = in_order([trace.role or trace.track.rpartition(".")[2] for trace in drawing.view.traces])
    for trace, meaning in zip(drawing.view.traces, meanings, strict=True):
        track = drawing.activations.all_tracks()[trace.track]
        for k, values in enumerate(drawing.values(drawing.activations, trace)):
            if track.kind == "branches":
                series.append(_series(track.legend[k] if track.legend else f"branch {k + 1}", values, branch(k)))
            else:
                series.append(_series(trace.name or trace.track.rpartition(".")[2].replace("_", " "), values, meaning))
    before = drawing.before
    if before is not None and before.grid == drawing.activations.grid and before.classes == drawing.activations.classes:
        ghosts = drawing.values(before, drawing.view.traces[0])
        series += [_series("before", values, "ghost", ghost=True) for values in ghosts if len(ghosts) == 1]
    low, high = _range([s.values for s in series])
    view = drawing.view
    at = drawing.thresholds.get(view.lens)
    return [
        drawing.row(
            view.kind, series=tuple(series), low=low if view.low is None else view.low,
            high=high if view.high is None else view.high,
            limits=() if at is None else ({"value": at, "role": "threshold"},),
        )
    ]  # fmt: skip


def _draw_heat(drawing: _Drawing) -> list[Row]:
    rows = []
    for trace in drawing.view.traces:
        track = drawing.activations.all_tracks()[trace.track]
        values = np.asarray(track.values, dtype=np.float32)
        for k, cas in enumerate(values if track.kind == "branches" else [values]):
            many = track.kind == "branches"
            key, title = drawing.view.key, drawing.title
            if many:
                key, title = f"{key}.{k + 1}", f"{track.legend[k] if track.legend else f'Branch {k + 1}'} map"
            low, high = float(cas.min()), float(cas.max())
            cells = np.rint((cas.T - low) * (255.0 / (high - low if high > low else 1.0))).astype(np.uint8)
            names = (*drawing.activations.classes, "background")[: cas.shape[1]]
            rows.append(
                drawing.row("heat", key=f"{key}:{drawing.run}", title=title, cells=np.ascontiguousarray(cells),
                            names=names, row=drawing.label, low=low, high=high)
            )  # fmt: skip
    return rows


def _draw_mask(drawing: _Drawing) -> list[Row]:
    mask = np.asarray(drawing.activations.all_tracks()[drawing.view.traces[0].track].values, dtype=bool)
    title = f"{drawing.title} {100 * float(mask.mean()):.0f} %"
    role = drawing.view.traces[0].role or branch(1)
    return [drawing.row("mask", title=title, role=role, spans=_spans(mask, drawing.activations.grid), grid=None)]


def best_apart(boundaries: Boundaries, label: int) -> IntArray:
    """Return the rows of the best proposals of a class, best first, one for each place and stream.

    Neighbouring anchors are regressed to much the same: those are suppressed.
    """
    cost = np.asarray(boundaries.oic)[:, label]  # low is good
    streams = np.unique(boundaries.stream.astype(str), return_inverse=True)[1]
    start, end = boundaries.refined[:, 0], boundaries.refined[:, 1] + 1
    apart = nms(start, end, -cost, streams, threshold=_SAME_BOUNDARIES).keep
    return np.asarray(apart[np.argsort(cost[apart], kind="stable")], dtype=np.int64)


def _draw_proposals(drawing: _Drawing) -> list[Row]:
    """Return the best proposals of a class: boundaries before and after regression, with what they were scored by."""
    acts, c = drawing.activations, drawing.label
    b = acts.all_tracks()[drawing.view.traces[0].track].values
    if not len(b) or not acts.classes:
        return []
    oic = np.asarray(b.oic)[:, c]
    best = best_apart(b, c)[:_MOST_BOUNDARIES]
    items = [
        {
            "label": acts.classes[c],
            "stream": str(b.stream[i]),
            "anchor": int(b.anchor[i]),
            "raw_start": float(acts.grid.to_seconds(b.raw[i, 0])),
            "raw_end": float(acts.grid.to_seconds(b.raw[i, 1] + 1)),
            "start": float(acts.grid.to_seconds(b.refined[i, 0])),
            "end": float(acts.grid.to_seconds(b.refined[i, 1] + 1)),
            "oic": float(oic[i]),
            "coherence": float(b.coherence[i]),
        }
        for i in best.tolist()
    ]
    return [drawing.row("boundaries", items=tuple(items), note=f"{len(items)} best, apart", grid=None)]


_DRAWN: Mapping[str, Callable[[_Drawing], list[Row]]] = {
    "lines": _draw_lines,
    "area": _draw_lines,
    "heat": _draw_heat,
    "mask": _draw_mask,
    "proposals": _draw_proposals,
}


def _spans(mask: Array, grid: SnippetGrid) -> tuple[tuple[float, float], ...]:
    """Return the runs of True in seconds."""
    first, after = spans(mask)
    return tuple(zip(grid.to_seconds(first).tolist(), grid.to_seconds(after).tolist(), strict=True))


def flow_rows(intensity: Array, fps: float, duration: float, spans: Sequence[tuple[float, float]]) -> list[Row]:
    """Return optical-flow intensity and the static clips mined from it.

    Args:
        intensity: `(n,)` mean flow length from each frame to the next.
        fps: frames a second of these steps.
        duration: seconds of the video.
        spans: static clips in seconds.
    """
    grid = SnippetGrid(fps=fps, stride=1, window=1, num_snippets=len(intensity), duration=duration)
    usual = float(np.percentile(intensity, 98)) if len(intensity) else 1.0
    line = replace(
        _lines("flow", "Optical flow", "", grid, [_series("intensity", intensity, "instance")]),
        about="mean length of the flow vectors, frame to frame; cuts stand out above the scale",
        low=0.0,
        high=_nice(1.25 * usual) or 1.0,
    )
    return [line, Row("static", "Static clips, mined", "mask", role="static", spans=tuple(spans))]
