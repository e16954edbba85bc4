"""What the timeline shows of a video, as plain values: which tracks a method has, their curves, ranges and colours.

A track has a `key` that is the same for every video and data set (what a person hid or folded is remembered by it) and
one of these kinds: "segments", "detections", "lines", "area", "heat", "mask", "boundaries", "offer". Curves are
float32; heat maps are quantised to 8 bit, which is for drawing only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.analysis.explain import Explanation, Verdicts
from wtal_core.arrays import Array
from wtal_core.localization import nms
from wtal_core.records import Activations, Annotations, Segments
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Series", "Track", "detection_track", "flow_track", "offer_track", "run_tracks", "truth_tracks"]


#: Colour roles of named attentions and sequences, and the dash that tells them apart without colour.
_ROLES: dict[str, tuple[str, tuple[int, ...]]] = {
    "instance": ("instance", ()),
    "foreground": ("instance", ()),
    "temporal": ("instance", ()),
    "rgb": ("instance", ()),
    "context": ("context", (6, 2)),
    "semi_soft": ("context", (6, 2)),
    "flow": ("context", (6, 2)),
    "background": ("background", (2, 2)),
    "hard": ("background", (2, 2)),
    "unattended": ("ghost", (8, 3, 2, 3)),
    "similarity": ("gt", ()),
}
_BRANCHES = (("branch0", ()), ("branch1", (6, 2)), ("branch2", (2, 2)), ("branch3", (6, 2, 2, 2)))
_SHOWN = {"foreground": "soft", "semi_soft": "semi-soft", "temporal": "temporal", "rgb": "RGB"}
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
    dash: tuple[int, ...] = ()
    ghost: bool = False
    grid: SnippetGrid | None = None


@dataclass(frozen=True, eq=False)
class Track:
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


def truth_tracks(annotations: Annotations, video: str) -> list[Track]:
    """Return the tracks of what is known to be there: ground truth, then fakes, context, phases, static clips."""
    instances = _items(annotations.instances.for_video(video), "gt")
    ambiguous = _items(annotations.ambiguous.for_video(video), "ambiguous")
    tracks = [Track("gt", "Ground truth", "segments", items=tuple(sorted(instances + ambiguous, key=_start)))]
    ordered = [*(n for n in _TRUTH if n in annotations.tracks), *(n for n in annotations.tracks if n not in _TRUTH)]
    for name in ordered:
        segments = annotations.tracks[name].for_video(video)
        if len(segments):
            title, role, folded = _TRUTH.get(name, (name.replace("_", " ").capitalize(), "phase", True))
            items = tuple(sorted(_items(segments, role), key=_start))
            tracks.append(Track(f"truth:{name}", title, "segments", items=items, folded=folded))
    return tracks


def _start(item: Mapping[str, Any]) -> float:
    return float(item["start"])


# -- detections ---------------------------------------------------------------------------------------------------


def detection_track(
    explanations: Sequence[Explanation], verdicts: Verdicts, *, run: str, title: str, key: str
) -> Track:
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
    return Track(
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


def offer_track(key: str, title: str, offer: str, about: str) -> Track:
    """Return a row that offers to compute what it would show; without an offer it is being computed."""
    return Track(key, title, "offer", note=offer, about=about)


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


def _series(name: str, values: Array, role: str, dash: tuple[int, ...] = (), *, ghost: bool = False) -> Series:
    return Series(name, np.ascontiguousarray(values, dtype=np.float32), role, dash, ghost)


def _lines(key: str, title: str, run: str, grid: SnippetGrid, series: Sequence[Series], **more: Any) -> Track:
    low, high = _range([s.values for s in series])
    return Track(f"{key}:{run}", title, "lines", run=run, grid=grid, series=tuple(series), low=low, high=high, **more)


def _heat(key: str, title: str, run: str, cas: Array, acts: Activations, label: int, **more: Any) -> Track:
    """Return a heat map of every class; the background channel is the last row."""
    values = np.asarray(cas, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    cells = np.rint((values.T - low) * (255.0 / (high - low if high > low else 1.0))).astype(np.uint8)
    names = (*acts.classes, "background")[: values.shape[1]]
    return Track(
        f"{key}:{run}", title, "heat", about="every class, one row each", run=run, grid=acts.grid,
        cells=np.ascontiguousarray(cells), names=names,
        row=label, low=low, high=high, **more,
    )  # fmt: skip


def run_tracks(
    activations: Activations,
    label: str,
    *,
    run: str,
    lead: bool = True,
    before: Activations | None = None,
    drop_threshold: float | None = None,
) -> list[Track]:
    """Return the curves and heat maps of one run for one class.

    Args:
        activations: of the video.
        label: class that per-class curves show.
        run: letter of the run.
        lead: whether it is the run in the lead; the others get no heat maps and start hidden.
        before: activations before snippets were erased or the model was asked again, drawn as ghosts.
        drop_threshold: HAM-Net: value of the attention above which snippets are dropped.
    """
    acts, grid = activations, activations.grid
    c = acts.classes.index(label) if label in acts.classes else 0
    name = acts.classes[c]
    tracks: list[Track] = []
    comparable = before is not None and before.cas.shape == acts.cas.shape

    def ghosts(of: Any) -> list[Series]:
        if not comparable or before is None:
            return []
        values = of(before)
        return [] if values is None else [_series("before", values, "ghost", (2, 2), ghost=True)]

    # class activation sequences
    series = [_series("CAS", acts.cas[:, c], "instance")]
    if acts.has_background:
        series.append(_series("background", acts.cas[:, -1], "background", (2, 2)))
    tracks.append(
        _lines(
            "cas", f"CAS · {name}", run, grid, [*series, *ghosts(lambda a: a.cas[:, c])],
            about="class activation sequence of the class", hidden=not lead,
            sources=("cas", "logit") if acts.method in ("acmnet", "deep_metric") else (),
        )
    )  # fmt: skip
    if acts.branch_cas is not None:
        branches = [
            _series(f"branch {k + 1}", branch[:, c], *_BRANCHES[k % len(_BRANCHES)])
            for k, branch in enumerate(acts.branch_cas)
        ]
        tracks.append(
            _lines("branches", f"Branches · {name}", run, grid, branches, about="CAS of every branch", hidden=not lead)
        )
    if acts.extra_cas:
        own = [("instance", acts.cas)] if acts.method == "acmnet" else []
        extra = [
            _series(_SHOWN.get(n, n), values[:, c], *_ROLES.get(n, ("instance", ())))
            for n, values in (*own, *acts.extra_cas.items())
        ]
        title = {"acmnet": "Attended CAS", "deep_metric": "Similarity", "acn": "Streams"}.get(
            acts.method, "CAS of parts"
        )
        about = "cosine similarity of each snippet to the class weight" if acts.method == "deep_metric" else ""
        tracks.append(_lines("extra", f"{title} · {name}", run, grid, extra, about=about, hidden=not lead))

    # attention; ranks (ACN) are on a scale of their own
    ranks = {n: values for n, values in acts.attention.items() if n.endswith("_rank")}
    plain = {n: values for n, values in acts.attention.items() if n not in ranks}
    if plain:
        lines = _attention_lines(plain)
        first = next(iter(plain))
        limits = () if drop_threshold is None else ({"value": drop_threshold, "role": "fp"},)
        tracks.append(
            _lines(
                "attention", "Attention", run, grid, [*lines, *ghosts(lambda a: a.attention.get(first))],
                limits=limits, sources=("attention",), hidden=not lead,
            )
        )  # fmt: skip
        total = np.sum(list(plain.values()), axis=0)
        if len(plain) > 2 and np.allclose(total, 1.0, atol=1e-3):
            tracks.append(
                Track(
                    f"area:{run}",
                    "Attention, stacked",
                    "area",
                    run=run,
                    grid=grid,
                    series=tuple(lines),
                    hidden=not lead,
                )
            )
    if ranks:
        named = _attention_lines({n.removesuffix("_rank"): values for n, values in ranks.items()})
        about = "attention as a rank, which the keep threshold compares"
        tracks.append(_lines("rank", "Attention rank", run, grid, named, about=about, hidden=not lead, folded=True))
    if acts.drop_mask is not None:
        share = float(np.mean(acts.drop_mask))
        tracks.append(
            Track(
                f"dropped:{run}", f"Dropped {100 * share:.0f} %", "mask", run=run, role="fp", hidden=not lead,
                spans=_spans(acts.drop_mask, grid), about="most discriminative snippets, dropped by the attention",
            )
        )  # fmt: skip

    # ACN's boundaries
    if acts.boundaries is not None and len(acts.boundaries):
        tracks.append(_boundary_track(acts, c, run, hidden=not lead))
    if lead:
        tracks.append(_heat("heat", "CAS map", run, acts.cas, acts, c))
        for k, branch in enumerate(acts.branch_cas if acts.branch_cas is not None else ()):
            tracks.append(_heat(f"heat.b{k + 1}", f"Branch {k + 1} map", run, branch, acts, c, folded=True))
        for n, values in acts.extra_cas.items():
            shown = _SHOWN.get(n, n)
            tracks.append(
                _heat(
                    f"heat.{n}",
                    f"{shown if shown.isupper() else shown.capitalize()} map",
                    run,
                    values,
                    acts,
                    c,
                    folded=True,
                )
            )
    return tracks


def _attention_lines(attention: Mapping[str, Array]) -> list[Series]:
    return [_series(_SHOWN.get(n, n), values, *_ROLES.get(n, ("instance", ()))) for n, values in attention.items()]


def _spans(mask: Array, grid: SnippetGrid) -> tuple[tuple[float, float], ...]:
    """Return the runs of True in seconds."""
    edges = np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return tuple(zip(grid.to_seconds(first).tolist(), grid.to_seconds(last).tolist(), strict=True))


def _boundary_track(acts: Activations, c: int, run: str, *, hidden: bool) -> Track:
    """Return ACN's best boundaries of a class: raw and regressed, with outer-inner contrast and coherence."""
    b = acts.boundaries
    assert b is not None
    oic = np.asarray(b.oic)[:, c]  # low is good
    # The best of each place: neighbouring anchors find the same boundaries.
    apart = nms(b.refined[:, 0], b.refined[:, 1] + 1, -oic, b.stream == "flow", threshold=_SAME_BOUNDARIES).keep
    best = apart[np.argsort(oic[apart], kind="stable")][:_MOST_BOUNDARIES]
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
    return Track(
        f"boundaries:{run}", f"Boundaries · {acts.classes[c]}", "boundaries", run=run, items=tuple(items),
        hidden=hidden, about="regressed boundaries; dotted: before regression", note=f"{len(items)} best, apart",
    )  # fmt: skip


def flow_track(intensity: Array, fps: float, duration: float, spans: Sequence[tuple[float, float]]) -> list[Track]:
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
    return [line, Track("static", "Static clips, mined", "mask", role="static", spans=tuple(spans))]
