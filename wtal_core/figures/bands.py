"""The rows of a qualitative figure: what each kind of row paints, how high it is, what the legend says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from wtal_core.analysis.explain import Verdicts, judge
from wtal_core.arrays import FloatArray, IntArray
from wtal_core.errors import DataError, UsageError, WtalError, unknown_name
from wtal_core.figures import timeline
from wtal_core.figures.content import FigureData, RunData
from wtal_core.figures.looks import branch, in_order
from wtal_core.figures.rows import Row as TimelineRow
from wtal_core.figures.rows import activation_rows, best_apart
from wtal_core.figures.spec import FigureSpec, Row
from wtal_core.figures.theme import Look, colormap, font_family, looks, pale
from wtal_core.intervals import spans
from wtal_core.records import Activations, Boundaries, Detections, Segments, Trace
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Band", "Painter", "number_text"]


_FRAME_HEIGHT = 0.42  # inches a strip of key frames aims at
_BAR_HEIGHT = {"barcode": 0.13, "curve": 0.13}
_LANE_HEIGHT = 0.085
_BOUNDARIES = 6  # proposals a row of boundaries shows
_SAME = 2e-3  # seconds: detection files keep three decimals
_CURVE_HEIGHT = 0.3


@dataclass(frozen=True, eq=False)
class Band:
    """A row ready to be drawn: height in inches, how to paint it, what to print at its left."""

    kind: str
    name: str
    title: str
    height: float
    paint: Callable[[Axes], None]
    curve: bool = False
    limits: tuple[float, float] | None = None  # value range of curves
    lines: tuple[str, ...] = ()  # names of the lines of a heat map, from the top
    legend: tuple[tuple[str, str, Look], ...] = ()  # (text, "bar" | "line" | "shade", look)


class Painter:
    """Turns the rows of a spec into bands."""

    def __init__(self, spec: FigureSpec, data: FigureData) -> None:
        self.spec, self.data = spec, data
        self.looks = looks(spec.palette, spec.colours)
        self.family = font_family(spec.font)
        self.small = max(3.0, spec.font_size - 1.0)
        self.t0, self.t1 = spec.window or (0.0, data.duration)
        if self.t0 >= data.duration:
            raise UsageError(
                "the window begins after the video ends",
                expected=f"a start below {data.duration:.1f} s",
                got=f"{self.t0:g}",
                where="window",
                next_step="Choose an earlier start",
            )
        self.axes_width = 1.0  # inches, known after the titles were measured

    def bands(self) -> list[Band]:
        """Return the bands of all rows in order."""
        makers: dict[str, Callable[[Row], list[Band]]] = {
            "frames": self._frames,
            "ground_truth": self._ground_truth,
            "track": self._track,
            "detections": self._detections,
            "cas": self._cas,
            "branches": self._branches,
            "attention": self._attention,
            "dropped": self._dropped,
            "boundaries": self._boundaries,
            "heatmap": self._heatmap,
            "view": self._view,
        }
        return [band for row in self.spec.rows for band in makers[row.kind](row)]

    # -- what rows need -------------------------------------------------------------------------------------------

    def _run(self, row: Row) -> tuple[str, RunData]:
        if not self.data.runs:
            raise UsageError(
                f"a row of kind {row.kind!r} needs a run",
                expected="runs: {name: folder}",
                got="no runs",
                where="runs",
                next_step="Name a run under runs, or take the row out",
            )
        name = row.run or next(iter(self.data.runs))
        return name, self.data.runs[name]

    def _activations(self, row: Row) -> tuple[str, Activations]:
        name, run = self._run(row)
        if run.activations is None:
            raise DataError(
                f"the run cannot fill a row of kind {row.kind!r}: it {run.problem or 'has no activations'}",
                where=self.spec.runs.get(name, name),
                next_step="Take the row out, or choose another run",
            )
        return name, run.activations

    def _lacks(self, row: Row, name: str, what: str, acts: Activations) -> WtalError:
        has = ["CAS"]
        has += [f"{len(acts.branch_cas)} branches"] if acts.branch_cas is not None else []
        has += [f"attention {n}" for n in acts.attention] + [f"CAS {n}" for n in acts.extra_cas]
        has += ["dropped snippets"] if acts.drop_mask is not None else []
        has += ["boundaries"] if acts.boundaries is not None else []
        return UsageError(
            f"run {name!r} ({acts.method or 'unknown method'}) has no {what}",
            expected=f"one of: {', '.join(has)}",
            where=f"rows: {row.kind}",
            next_step="Take the row out, or choose another run",
        )

    def _class_index(self, acts: Activations, name: str) -> int:
        if self.data.label not in acts.classes:
            raise unknown_name("class", self.data.label, acts.classes, where=f"run {name}")
        return acts.classes.index(self.data.label)

    def _many(self, name: str) -> str:
        """Return " (run)" where several runs need telling apart."""
        return f" ({name})" if len(self.data.runs) > 1 else ""

    def _style(self, row: Row) -> str:
        return row.style or self.spec.style

    # -- segments -------------------------------------------------------------------------------------------------

    def _inside(self, start: npt.NDArray[Any], end: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.flatnonzero((end > self.t0) & (start < self.t1))

    def _ground_truth(self, row: Row) -> list[Band]:
        if self.data.truth is None:
            raise UsageError(
                "ground truth needs a data set",
                expected="data: its folder",
                where="rows: ground_truth",
                next_step="Name the data set under data, or take the row out",
            )
        shown, ambiguous = self.data.instances, self.data.truth.ambiguous
        shown = shown[self._inside(shown.start, shown.end)]
        ambiguous = ambiguous[self._inside(ambiguous.start, ambiguous.end)]

        def paint(axes: Axes) -> None:
            timeline.draw_segments(axes, ambiguous.start, ambiguous.end, self.looks["ambiguous"], gid="ambiguous")
            timeline.draw_segments(axes, shown.start, shown.end, self.looks["gt"], gid="gt")

        legend = (("ambiguous", "bar", self.looks["ambiguous"]),) if len(ambiguous) else ()
        height = row.height or _BAR_HEIGHT[self._style(row)]
        return [Band("ground_truth", "", row.title or "Ground truth", height, paint, legend=legend)]

    def _track(self, row: Row) -> list[Band]:
        tracks = self.data.truth.tracks if self.data.truth is not None else {}
        if row.name and row.name not in tracks:
            raise unknown_name("track", row.name, tracks, where="rows: track")
        bands = []
        for name in [row.name] if row.name else list(tracks):
            table = tracks[name]
            own = [i for i in self._inside(table.start, table.end) if self._of_class(str(table.label[i]))]
            table = table[np.array(own, dtype=np.int64)]
            last = [str(table.label[i]).rpartition("/")[2] for i in np.argsort(table.start, kind="stable")]
            kinds = list(dict.fromkeys(last))
            base = self.looks["context" if name == "context" else "track"]
            by_kind = {
                kind: base if base.hatch else replace(base, hatch=self.looks["track"].hatch, fill=False)
                for kind in kinds
            }
            if len(kinds) > 1:  # parts of an action: shades from light to full, as they first follow each other
                colour = self.looks[{"context": "context", "phases": "phase"}.get(name, "background")].colour
                shades = np.linspace(0.25, 1.0, len(kinds))
                by_kind = {k: Look(pale(colour, float(s))) for k, s in zip(kinds, shades, strict=True)}

            def paint(axes: Axes, table: Segments = table, by_kind: dict[str, Look] = by_kind) -> None:
                last = np.array([str(label).rpartition("/")[2] for label in table.label])
                for kind, look in by_kind.items():
                    rows = np.flatnonzero(last == kind)
                    timeline.draw_segments(axes, table.start[rows], table.end[rows], look, gid="track")

            legend = tuple((kind.replace("_", " "), "bar", look) for kind, look in by_kind.items() if len(kinds) > 1)
            title = row.title or name.replace("_", " ").capitalize()
            height = row.height or _BAR_HEIGHT[self._style(row)]
            bands.append(Band("track", name, title, height, paint, legend=legend))
        return bands

    def _of_class(self, label: str) -> bool:
        """Return whether a track's label speaks of the figure's class ("Class" or "Class/part") or of no class."""
        head = label.partition("/")[0]
        known = self.data.truth.classes if self.data.truth is not None else ()
        return head == self.data.label or head not in known

    def _detections(self, row: Row) -> list[Band]:
        names = [row.run] if row.run else list(self.data.runs)
        if not names:
            self._run(row)
        return [self._detections_of(name, row) for name in names]

    def _detections_of(self, name: str, row: Row) -> Band:
        found = self.data.runs[name].detections
        if found is None:
            raise DataError(
                "the run has no detections yet",
                where=self.spec.runs.get(name, name),
                next_step=f"Run: wtal localize {self.spec.runs.get(name, name)}",
            )
        found = found[found.label == self.data.label]
        verdicts = self._verdicts(found)
        outcome = np.full(len(found), "detection", dtype=object)
        if verdicts is not None:  # what the protocol does not count stays a detection
            outcome[:] = [kind if kind in ("tp", "fp") else "detection" for kind in verdicts.outcome]
        keep = np.argsort(-found.score, kind="stable")
        if row.min_score is not None:
            keep = keep[found.score[keep] >= row.min_score]
        if row.top:
            keep = keep[: row.top]
        keep = keep[np.isin(keep, self._inside(found.start, found.end))]
        shown = found[keep]
        kinds = outcome[keep]
        missed = Segments.empty() if verdicts is None else verdicts.missed
        missed = missed[self._inside(missed.start, missed.end)]
        lanes, count = timeline.assign_lanes(shown.start, shown.end, shown.score)
        rows = count + (1 if len(missed) else 0)
        text = self.small / 72 * 1.15 if row.scores else 0.0
        height = row.height or max(_BAR_HEIGHT[self._style(row)], rows * (_LANE_HEIGHT + text) + 0.03)
        edge = 0.015 / height  # clear of the frame
        lane = (1.0 - 2 * edge) / rows
        bar = lane * (_LANE_HEIGHT / (_LANE_HEIGHT + text)) * (0.84 if rows > 1 else 0.9)

        def paint(axes: Axes) -> None:
            bottoms = 1.0 - edge - (lanes + 1) * lane + (lane * (1 - text / (_LANE_HEIGHT + text)) - bar) / 2
            for kind in ("detection", "tp", "fp"):
                rows_of = np.flatnonzero(kinds == kind)
                timeline.draw_segments(
                    axes, shown.start[rows_of], shown.end[rows_of], self.looks[kind],
                    bottom=bottoms[rows_of], height=bar, gid=kind,
                )  # fmt: skip
            timeline.draw_segments(
                axes, missed.start, missed.end, self.looks["fn"], bottom=edge + (lane - bar) / 2, height=bar, gid="fn"
            )
            if row.scores:
                self._print_scores(axes, shown, lanes, bottoms + bar)

        words = {"tp": "true positive", "fp": "false positive"}
        legend = [(words[kind], "bar", self.looks[kind]) for kind in words if (kinds == kind).any()]
        legend += [("missed", "bar", self.looks["fn"])] if len(missed) else []
        title = row.title or (name if len(self.data.runs) > 1 or not self.data.runs[name].method else "Detections")
        return Band("detections", name, title, height, paint, legend=tuple(legend))

    def _print_scores(self, axes: Axes, shown: Detections, lanes: npt.NDArray[np.int64], tops: Any) -> None:
        """Print scores above bars, best first, where they fit between the ends of the axis and their neighbours."""
        scale = (self.t1 - self.t0) / self.axes_width  # seconds an inch
        taken: dict[int, list[tuple[float, float]]] = {}
        for i in np.argsort(-shown.score, kind="stable").tolist():
            text = f"{shown.score[i]:.2f}"
            half = timeline.text_width(text, self.family, self.small) * scale / 2
            middle = (max(shown.start[i], self.t0) + min(shown.end[i], self.t1)) / 2
            middle = min(max(middle, self.t0 + half), self.t1 - half)
            lane = taken.setdefault(int(lanes[i]), [])
            if any(middle - half < b + half / 2 and middle + half > a - half / 2 for a, b in lane):
                continue
            lane.append((middle - half, middle + half))
            axes.text(middle, float(tops[i]), text, size=self.small, ha="center", va="bottom",
                      color=self.looks["ink"].colour, zorder=5, gid="score")  # fmt: skip

    def _verdicts(self, found: Detections) -> Verdicts | None:
        """Return what becomes of detections of the class and which instances they miss; None where nobody asked."""
        tiou = self.spec.verdicts
        if tiou is None or self.data.truth is None:
            return None
        truth = replace(self.data.truth, instances=self.data.instances)
        return judge(found, truth, self.data.video, tiou=tiou, protocol=self.spec.protocol)

    # -- sequences ------------------------------------------------------------------------------------------------

    def _sequence_bands(
        self, row: Row, acts: Activations, kind: str, named: list[tuple[str, str, npt.NDArray[Any], Look]], joint: str
    ) -> list[Band]:
        """Draw sequences `(key, title, (T,) values, look)`: barcodes one below the other, curves in one row."""
        part = timeline.visible(acts.grid, self.t0, self.t1)
        barcode = self._style(row) == "barcode"
        values = [v for _, _, v, _ in named]
        if barcode and kind in ("cas", "branches") and acts.branch_cas is not None and row.scale != "window":
            index = acts.classes.index(self.data.label)  # average and branches side by side: one scale for all of them
            values = [acts.cas[:, index], *acts.branch_cas[:, :, index]]
        limits = timeline.limits_of(values, row.scale, part, curve=not barcode)
        if barcode:
            bands = []
            for key, title, sequence, _ in named:
                # One colour for all rows, so that one scale explains them.
                colours = colormap(self.spec.colormap, self.looks["instance"].colour)

                def paint(axes: Axes, v: Any = sequence, c: Any = colours) -> None:
                    timeline.draw_barcode(axes, acts.grid, v, c, limits, self.t0, self.t1)

                shade = (_shade_text(limits), "shade", self.looks["instance"])
                height = row.height or _BAR_HEIGHT["barcode"]
                text = row.title if row.title and len(named) == 1 else title
                bands.append(Band(kind, key, text, height, paint, legend=(shade,)))
            return bands

        def paint_curves(axes: Axes) -> None:
            if row.threshold is not None:
                axes.axhline(row.threshold, color=self.looks["threshold"].colour, linestyle=(0, (3, 2)), linewidth=0.6,
                             zorder=1.5, gid="threshold")  # fmt: skip
            for _, _, sequence, look in named:
                shown = look if len(named) > 1 else replace(look, dash="-")
                timeline.draw_curve(axes, acts.grid, sequence, shown, self.t0, self.t1)

        legend: tuple[tuple[str, str, Look], ...] = ()
        if len(named) > 1:
            legend = tuple((title, "line", look) for _, title, _, look in named)
        title = row.title or (named[0][1] if len(named) == 1 else joint)
        return [
            Band(kind, named[0][0] if len(named) == 1 else "", title, row.height or _CURVE_HEIGHT, paint_curves, True,
                  limits, legend=legend)
        ]  # fmt: skip

    def _cas(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        index = self._class_index(acts, name)
        if row.name and row.name not in acts.extra_cas:
            raise self._lacks(row, name, f"CAS {row.name!r}", acts)
        cas = acts.extra_cas[row.name] if row.name else acts.cas
        look = self.looks.get(row.name, self.looks["instance"])
        text = "Average CAS" if acts.branch_cas is not None and not row.name else "CAS"
        title = (f"{text} {row.name}" if row.name else text) + self._many(name)
        return self._sequence_bands(row, acts, "cas", [(row.name, title, cas[:, index], look)], title)

    def _branches(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        index = self._class_index(acts, name)
        if acts.branch_cas is None:
            raise self._lacks(row, name, "branches", acts)
        numbers = list(range(len(acts.branch_cas)))
        if row.name:
            if row.name not in [str(n + 1) for n in numbers]:
                raise unknown_name("branch", row.name, [str(n + 1) for n in numbers], where="rows: branches")
            numbers = [int(row.name) - 1]
        named = [
            (str(n + 1), f"Branch {n + 1}" + self._many(name), acts.branch_cas[n, :, index],
             self.looks[branch(n)])
            for n in numbers
        ]  # fmt: skip
        return self._sequence_bands(row, acts, "branches", named, "Branches" + self._many(name))

    def _attention(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        if (row.name and row.name not in acts.attention) or not acts.attention:
            raise self._lacks(row, name, f"attention {row.name!r}" if row.name else "attention", acts)
        shown = self.data.runs[name].attention
        keys = [row.name] if row.name else list(shown)
        roles = in_order([(shown[key].role if key in shown else "") or key for key in keys])
        named = [
            (key, _attention_title(shown.get(key), key, len(acts.attention)) + self._many(name), acts.attention[key],
             self.looks[role])
            for key, role in zip(keys, roles, strict=True)
        ]  # fmt: skip
        return self._sequence_bands(row, acts, "attention", named, "Attention" + self._many(name))

    def _dropped(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        if acts.drop_mask is None:
            raise self._lacks(row, name, "dropped snippets", acts)
        start, end = map(acts.grid.to_seconds, spans(acts.drop_mask))
        rows = self._inside(start, end)

        def paint(axes: Axes) -> None:
            timeline.draw_segments(axes, start[rows], end[rows], self.looks["dropped"], gid="dropped")

        title = row.title or "Dropped" + self._many(name)
        return [Band("dropped", "", title, row.height or _BAR_HEIGHT[self._style(row)], paint)]

    def _boundaries(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        index = self._class_index(acts, name)
        if acts.boundaries is None:
            raise self._lacks(row, name, "boundaries", acts)
        raw, start, end, oic = _seconds(acts.boundaries, acts.grid, index)
        shown = self._best_boundaries(acts.boundaries, index, start, end, row.top or _BOUNDARIES, name)
        raw, start, end, oic = raw[shown], start[shown], end[shown], oic[shown]
        lanes, count = timeline.assign_lanes(np.minimum(start, raw[:, 0]), np.maximum(end, raw[:, 1]), -oic)
        height = row.height or max(_BAR_HEIGHT[self._style(row)], count * 1.5 * _LANE_HEIGHT + 0.03)
        edge = 0.015 / height  # clear of the frame
        lane = (1.0 - 2 * edge) / count

        def paint(axes: Axes) -> None:
            bottoms = 1.0 - edge - (lanes + 1) * lane
            timeline.draw_segments(
                axes, start, end, self.looks["regressed"], bottom=bottoms + 0.16 * lane, height=0.42 * lane,
                gid="regressed",
            )  # fmt: skip
            timeline.draw_spans(
                axes,
                raw[:, 0],
                raw[:, 1],
                np.asarray(bottoms + 0.8 * lane, dtype=np.float64),
                self.looks["raw"],
                gid="raw",
            )

        legend = (("regressed", "bar", self.looks["regressed"]), ("raw", "line", self.looks["raw"]))
        title = row.title or "Boundaries" + self._many(name)
        return [Band("boundaries", "", title, height, paint, legend=legend)]

    def _best_boundaries(
        self, boundaries: Boundaries, index: int, start: FloatArray, end: FloatArray, count: int, name: str
    ) -> IntArray:
        """Return the visible proposals that the best-scored detections came from; without any, the best by OIC."""
        found = self.data.runs[name].detections
        if found is not None and len(found):
            own = found[found.label == self.data.label]
            own = own[self._inside(own.start, own.end)]
            own = own[np.argsort(-own.score, kind="stable")[:count]]
            far = np.abs(own.start[:, None] - start) + np.abs(own.end[:, None] - end)  # (D, N)
            if far.size and (near := far.min(axis=1) < _SAME).any():
                return np.asarray(far.argmin(axis=1)[near], dtype=np.int64)
        apart = best_apart(boundaries, index)
        return apart[np.isin(apart, self._inside(start, end))][:count]

    def _heatmap(self, row: Row) -> list[Band]:
        name, acts = self._activations(row)
        cas = acts.extra_cas.get(row.name) if row.name else acts.cas
        if cas is None:
            raise self._lacks(row, name, f"CAS {row.name!r}", acts)
        own = {str(v) for v in self.data.truth.instances.label} if self.data.truth is not None else set()
        order = sorted(
            range(len(acts.classes)),
            key=lambda i: (
                acts.classes[i] != self.data.label,
                acts.classes[i] not in own,
                -float(acts.video_scores[i]),
            ),
        )
        chosen = order[: row.count or 5]
        part = timeline.visible(acts.grid, self.t0, self.t1)
        limits = timeline.limits_of([cas[:, chosen]], row.scale, part, curve=False)
        colours = colormap(self.spec.colormap, self.looks["instance"].colour)

        def paint(axes: Axes) -> None:
            timeline.draw_heatmap(axes, acts.grid, cas[:, chosen], colours, limits, self.t0, self.t1)

        line = self.small / 72 * 1.18
        legend = ((_shade_text(limits), "shade", self.looks["instance"]),)
        title = row.title or (f"CAS of {name}" if len(self.data.runs) > 1 else "")
        return [
            Band("heatmap", row.name, title, row.height or line * len(chosen), paint,
                  lines=tuple(acts.classes[i] for i in chosen), legend=legend)
        ]  # fmt: skip

    # -- any row of a method ------------------------------------------------------------------------------------------

    def _view(self, row: Row) -> list[Band]:
        """Draw a row as the timeline shows it."""
        name, acts = self._activations(row)
        views = self.data.runs[name].shown
        if row.name not in views:
            raise unknown_name("view", row.name, views, where="rows: view")
        view = views[row.name]
        drawn = activation_rows(acts, self.data.label, run="", views=(view,), declared_only=True)
        return [band for found in drawn for band in self._view_band(row, found, acts, self._many(name))]

    def _view_band(self, row: Row, found: TimelineRow, acts: Activations, many: str) -> list[Band]:
        title = row.title or found.title + many
        if found.kind in ("lines", "area"):
            named = [(s.name, s.name[:1].upper() + s.name[1:], s.values, self.looks.get(s.role, self.looks["instance"]))
                     for s in found.series]  # fmt: skip
            if len(named) == 1:
                named = [(named[0][0], title, *named[0][2:])]
            bands = self._sequence_bands(row, acts, "view", named, title)
            return [replace(band, limits=(found.low, found.high)) if band.curve and row.scale == "auto" else band
                    for band in bands]  # fmt: skip
        if found.kind == "mask":
            start, end = (np.array([span[k] for span in found.spans], dtype=np.float64) for k in (0, 1))
            rows, look = self._inside(start, end), self.looks.get(found.role, self.looks["dropped"])

            def paint(axes: Axes) -> None:
                timeline.draw_segments(axes, start[rows], end[rows], look, gid="mask")

            return [Band("view", row.name, title, row.height or _BAR_HEIGHT[self._style(row)], paint)]
        raise UsageError(
            f"a figure has no row for what {row.name!r} shows",
            expected="curves or a mask",
            got=found.kind,
            where="rows: view",
            next_step="Use a row of kind boundaries or heatmap",
        )

    # -- frames ---------------------------------------------------------------------------------------------------

    def _frames(self, row: Row) -> list[Band]:
        def paint_note(axes: Axes, note: str) -> None:
            timeline.draw_missing_frames(axes, self.t0, self.t1, note, self.looks["frame"])

        height = row.height or _FRAME_HEIGHT
        file = self.data.video_file
        if file is None:
            note = "no video file"
            return [Band("frames", "", row.title, 0.22, lambda axes: paint_note(axes, note))]
        stamp = file.stat().st_mtime_ns
        aspect = _aspect(file, stamp)
        count = row.count or max(1, round(self.axes_width / (height * aspect)))
        height = self.axes_width / count / aspect  # the strip spans the axis: the number of frames decides their height
        times = self.t0 + (self.t1 - self.t0) / count * (np.arange(count) + 0.5)
        frames = _key_frames(file, stamp, tuple(times.tolist()), max(8, round(height * self.spec.dpi)))
        gap = 0.02 * (self.t1 - self.t0) / self.axes_width

        def paint(axes: Axes) -> None:
            timeline.draw_frames(axes, frames, self.t0, self.t1, gap)

        return [Band("frames", "", row.title, height, paint)]


@lru_cache(maxsize=64)
def _aspect(file: Path, stamp: int) -> float:
    """Return width / height of a video."""
    from wtal_core.video.probe import probe_video

    probe = probe_video(file, allow_truncated=True)
    return probe.width / probe.height


@lru_cache(maxsize=24)
def _key_frames(file: Path, stamp: int, times: tuple[float, ...], height: int) -> npt.NDArray[np.uint8]:
    """Return key frames `(n, height, W, 3)`; remembered, as each format and each change of the spec asks for them."""
    from wtal_core.video.frames import key_frames

    frames = key_frames(file, times, height)
    frames.flags.writeable = False
    return frames


def _seconds(found: Boundaries, grid: SnippetGrid, index: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return raw boundaries `(N, 2)`, regressed starts and ends `(N,)`, all in seconds, and the OIC of a class."""
    shift = np.array([0.0, 1.0])  # the last snippet is inside
    raw = np.asarray(grid.to_seconds(np.asarray(found.raw) + shift))
    refined = np.asarray(grid.to_seconds(np.asarray(found.refined) + shift))
    return raw, refined[:, 0], refined[:, 1], np.asarray(found.oic, dtype=np.float64)[:, index]


def _attention_title(trace: Trace | None, key: str, count: int) -> str:
    """Return what an attention is called: as the method's rows call it."""
    if count == 1:
        return "Attention"
    words = (trace.name if trace is not None else "") or key.replace("_", " ").replace("rgb", "RGB")
    return f"{words[:1].upper()}{words[1:]} attention"


def _shade_text(limits: tuple[float, float]) -> str:
    return f"{number_text(limits[0])} to {number_text(limits[1])}"


def number_text(value: float) -> str:
    text = "0" if value == 0 else f"{value:.0f}" if float(value).is_integer() else f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")
