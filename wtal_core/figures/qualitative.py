"""Qualitative figures for papers: rows on one time axis, as CMCS Fig. 5 (barcodes) or ACM-Net Fig. 3 (curves).

`load` reads what a spec names, `draw` lays it out in inches: titles in a column of their own, legend above the rows,
time below; nothing that is text lies on data.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from wtal_core.errors import DataError, UsageError, WtalError, unknown_name
from wtal_core.figures import timeline
from wtal_core.figures.spec import FigureSpec, Row
from wtal_core.figures.theme import Look, branch_look, colormap, font_family, looks, pale
from wtal_core.records import Activations, Annotations, Detections, Segments

__all__ = ["FigureData", "RunData", "draw", "load", "read_run"]

_LEGEND_ORDER = {"true positive": 0, "false positive": 1, "missed": 2, "ambiguous": 3}
_FRAME_HEIGHT = 0.42  # inches a strip of key frames aims at
_BAR_HEIGHT = {"barcode": 0.13, "curve": 0.13}
_LANE_HEIGHT = 0.085
_CURVE_HEIGHT = 0.36
_CURVE_ROOM = 1.06  # axis limits of curves reach a little over their range, so that lines at it are drawn whole


@dataclass(frozen=True, eq=False)
class RunData:
    """What one run says about the video.

    Args:
        method: name of the method, "" for a detection file.
        activations: of the video, None where there are none.
        detections: of the video, all classes; None where there are none.
        problem: why something is missing, "" where nothing is.
    """

    method: str = ""
    activations: Activations | None = None
    detections: Detections | None = None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class FigureData:
    """Everything that is drawn.

    Args:
        video: id.
        label: the class.
        duration: seconds.
        truth: annotations of this video alone, None without a data set.
        runs: name -> what the run says, leading run first.
        video_file: the file, None where there is none.
    """

    video: str
    label: str
    duration: float
    truth: Annotations | None = None
    runs: Mapping[str, RunData] = field(default_factory=dict)
    video_file: Path | None = None

    @property
    def instances(self) -> Segments:
        """Ground truth of the class."""
        if self.truth is None:
            return Segments.empty()
        return self.truth.instances.select(np.flatnonzero(self.truth.instances.label == self.label))

    def has(self) -> dict[str, bool]:
        """Return what there is to show, as `template_rows` asks for it."""
        lead = next((run.activations for run in self.runs.values()), None)
        return {
            "frames": self.video_file is not None,
            "truth": self.truth is not None,
            "cas": lead is not None,
            "branches": lead is not None and lead.branch_cas is not None,
            "attention": lead is not None and bool(lead.attention),
            "dropped": lead is not None and lead.drop_mask is not None,
        }


# -- reading --------------------------------------------------------------------------------------------------------


def read_run(path: Path, video: str) -> RunData:
    """Read what a run folder or a detection file says about a video.

    Raises:
        DataError: it is neither, or damaged.
    """
    from wtal_core.data import read_detections

    if path.is_file():
        return RunData(detections=read_detections(path).for_video(video), problem="is a detection file")
    from wtal_core.runs.folder import Run

    run = Run.open(path)
    activations, problem = None, ""
    if run.activations_path.is_file():
        with run.activations() as store:
            if video in store.videos:
                activations = store.read(video)
            else:
                problem = f"has no activations of {video}"
    else:
        problem = "has no activations yet: run wtal infer"
    detections = read_detections(run.detections_path).for_video(video) if run.detections_path.is_file() else None
    return RunData(run.info.method, activations, detections, problem)


def load(spec: FigureSpec) -> FigureData:
    """Read what a spec names.

    Raises:
        DataError: a folder or file is missing or damaged.
        UsageError: the video or class is not known, or nothing says how long the video is.
    """
    from wtal_core.data import Dataset

    truth, file = None, None
    if not spec.video:
        raise UsageError(
            "the figure names no video", expected="video: its id", where="video", next_step="Add the line 'video: ID'"
        )
    if spec.data:
        dataset = Dataset.open(spec.path(spec.data))
        if spec.video not in dataset.annotations.videos:
            raise unknown_name("video", spec.video, dataset.annotations.videos, where=spec.path(spec.data))
        truth, file = dataset.annotations.only([spec.video]), dataset.video_path(spec.video)
    runs = {name: read_run(spec.path(path), spec.video) for name, path in spec.runs.items()}
    return assemble(spec, truth, runs, file)


def assemble(
    spec: FigureSpec, truth: Annotations | None, runs: Mapping[str, RunData], video_file: Path | None
) -> FigureData:
    """Put together what was read elsewhere; finds the class and the video's length.

    Raises:
        UsageError: the class is not known, or nothing says how long the video is.
    """
    acts = [run.activations for run in runs.values() if run.activations is not None]
    classes = truth.classes if truth is not None else acts[0].classes if acts else ()
    label = spec.label
    if not label and truth is not None and len(truth.instances):
        names, counts = np.unique(truth.instances.label.astype(str), return_counts=True)
        label = str(names[counts.argmax()])
    if not label and acts:
        label = acts[0].classes[int(np.argmax(acts[0].video_scores))]
    if label not in classes and (label or not classes):
        found = [run.detections for run in runs.values() if run.detections is not None]
        if classes or not any(label in d.label_codes[1] for d in found):
            raise unknown_name("class", label, classes, where="class")
    info = truth.videos.get(spec.video) if truth is not None else None
    duration = info.duration if info is not None else None
    if duration is None:
        ends = [a.grid.duration or a.grid.end_seconds for a in acts]
        ends += [float(t.end.max()) for t in [truth.instances if truth else Segments.empty()] if len(t)]
        ends += [float(run.detections.end.max()) for run in runs.values() if run.detections and len(run.detections)]
        duration = max(ends, default=None)
    if duration is None:
        raise UsageError(
            "nothing says how long the video is",
            expected="a duration in the annotations, or a run",
            where=spec.video,
            next_step="Add the duration to the annotations, or name a run",
        )
    return FigureData(spec.video, label, float(duration), truth, MappingProxyType(dict(runs)), video_file)


# -- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Band:
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


class _Painter:
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

    def bands(self) -> list[_Band]:
        """Return the bands of all rows in order."""
        makers: dict[str, Callable[[Row], list[_Band]]] = {
            "frames": self._frames,
            "ground_truth": self._ground_truth,
            "track": self._track,
            "detections": self._detections,
            "cas": self._cas,
            "branches": self._branches,
            "attention": self._attention,
            "dropped": self._dropped,
            "heatmap": self._heatmap,
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

    def _ground_truth(self, row: Row) -> list[_Band]:
        if self.data.truth is None:
            raise UsageError(
                "ground truth needs a data set",
                expected="data: its folder",
                where="rows: ground_truth",
                next_step="Name the data set under data, or take the row out",
            )
        shown, ambiguous = self.data.instances, self.data.truth.ambiguous
        shown = shown.select(self._inside(shown.start, shown.end))
        ambiguous = ambiguous.select(self._inside(ambiguous.start, ambiguous.end))

        def paint(axes: Axes) -> None:
            timeline.draw_segments(axes, ambiguous.start, ambiguous.end, self.looks["ambiguous"], gid="ambiguous")
            timeline.draw_segments(axes, shown.start, shown.end, self.looks["gt"], gid="gt")

        legend = (("ambiguous", "bar", self.looks["ambiguous"]),) if len(ambiguous) else ()
        height = row.height or _BAR_HEIGHT[self._style(row)]
        return [_Band("ground_truth", "", row.title or "Ground truth", height, paint, legend=legend)]

    def _track(self, row: Row) -> list[_Band]:
        tracks = self.data.truth.tracks if self.data.truth is not None else {}
        if row.name and row.name not in tracks:
            raise unknown_name("track", row.name, tracks, where="rows: track")
        bands = []
        for name in [row.name] if row.name else list(tracks):
            table = tracks[name]
            own = [i for i in self._inside(table.start, table.end) if self._of_class(str(table.label[i]))]
            table = table.select(np.array(own, dtype=np.int64))
            last = [str(table.label[i]).rpartition("/")[2] for i in np.argsort(table.start, kind="stable")]
            kinds = list(dict.fromkeys(last))
            base = self.looks["context" if name == "context" else "track"]
            by_kind = {
                kind: base if base.hatch else replace(base, hatch=self.looks["track"].hatch, fill=False)
                for kind in kinds
            }
            if len(kinds) > 1:  # parts of an action: shades from light to full, as they first follow each other
                shades = np.linspace(0.25, 1.0, len(kinds))
                by_kind = {k: Look(pale(base.colour, float(s))) for k, s in zip(kinds, shades, strict=True)}

            def paint(axes: Axes, table: Segments = table, by_kind: dict[str, Look] = by_kind) -> None:
                last = np.array([str(label).rpartition("/")[2] for label in table.label])
                for kind, look in by_kind.items():
                    rows = np.flatnonzero(last == kind)
                    timeline.draw_segments(axes, table.start[rows], table.end[rows], look, gid="track")

            legend = tuple((kind, "bar", look) for kind, look in by_kind.items()) if len(kinds) > 1 else ()
            title = row.title or name.replace("_", " ").capitalize()
            height = row.height or _BAR_HEIGHT[self._style(row)]
            bands.append(_Band("track", name, title, height, paint, legend=legend))
        return bands

    def _of_class(self, label: str) -> bool:
        """Return whether a track's label speaks of the figure's class ("Class" or "Class/part") or of no class."""
        head = label.partition("/")[0]
        known = self.data.truth.classes if self.data.truth is not None else ()
        return head == self.data.label or head not in known

    def _detections(self, row: Row) -> list[_Band]:
        names = [row.run] if row.run else list(self.data.runs)
        if not names:
            self._run(row)
        return [self._detections_of(name, row) for name in names]

    def _detections_of(self, name: str, row: Row) -> _Band:
        found = self.data.runs[name].detections
        if found is None:
            raise DataError(
                "the run has no detections yet",
                where=self.spec.runs.get(name, name),
                next_step=f"Run: wtal localize {self.spec.runs.get(name, name)}",
            )
        found = found.select(np.flatnonzero(found.label == self.data.label))
        outcome = self._outcomes(found)
        keep = np.argsort(-found.score, kind="stable")
        if row.min_score is not None:
            keep = keep[found.score[keep] >= row.min_score]
        if row.top:
            keep = keep[: row.top]
        keep = keep[np.isin(keep, self._inside(found.start, found.end))]
        shown = found.select(keep)
        kinds = outcome[keep] if outcome is not None else np.full(len(keep), "detection", dtype=object)
        missed = self._missed(found, outcome)
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
        return _Band("detections", name, title, height, paint, legend=tuple(legend))

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

    def _outcomes(self, found: Detections) -> npt.NDArray[Any] | None:
        """Return "tp" or "fp" for each detection, None where verdicts were not asked for."""
        tiou = self.spec.verdicts
        if tiou is None or self.data.truth is None:
            return None
        if not len(found):
            return np.empty(0, dtype=object)
        from wtal_core.evaluation import MatchTable, evaluate

        evaluation = evaluate(found, self.data.truth, protocol="activitynet", tiou=(tiou,), matches=True)
        return np.asarray(MatchTable(evaluation).outcome(tiou), dtype=object)

    def _missed(self, found: Detections, outcome: npt.NDArray[Any] | None) -> Segments:
        """Return the ground truth that no detection of the class matches."""
        if outcome is None or self.spec.verdicts is None:
            return Segments.empty()
        from wtal_core.evaluation import temporal_iou

        truth = self.data.instances
        hit = np.zeros(len(truth), dtype=bool)
        for i in np.flatnonzero(outcome == "tp")[np.argsort(-found.score[outcome == "tp"], kind="stable")]:
            overlap = temporal_iou(found.start[[i]], found.end[[i]], truth.start, truth.end)
            overlap = np.where(hit, -1.0, np.asarray(overlap).reshape(-1))
            hit[int(overlap.argmax())] = True
        missed = truth.select(np.flatnonzero(~hit))
        return missed.select(self._inside(missed.start, missed.end))

    # -- sequences ------------------------------------------------------------------------------------------------

    def _sequence_bands(
        self, row: Row, acts: Activations, kind: str, named: list[tuple[str, str, npt.NDArray[Any], Look]], joint: str
    ) -> list[_Band]:
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
                colours = colormap(self.spec.colormap, self.looks["cas"].colour)

                def paint(axes: Axes, v: Any = sequence, c: Any = colours) -> None:
                    timeline.draw_barcode(axes, acts.grid, v, c, limits, self.t0, self.t1)

                shade = (_shade_text(limits), "shade", self.looks["cas"])
                height = row.height or _BAR_HEIGHT["barcode"]
                text = row.title if row.title and len(named) == 1 else title
                bands.append(_Band(kind, key, text, height, paint, legend=(shade,)))
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
            _Band(kind, named[0][0] if len(named) == 1 else "", title, row.height or _CURVE_HEIGHT, paint_curves, True,
                  limits, legend=legend)
        ]  # fmt: skip

    def _cas(self, row: Row) -> list[_Band]:
        name, acts = self._activations(row)
        index = self._class_index(acts, name)
        if row.name and row.name not in acts.extra_cas:
            raise self._lacks(row, name, f"CAS {row.name!r}", acts)
        cas = acts.extra_cas[row.name] if row.name else acts.cas
        look = self.looks.get(row.name, self.looks["cas"]) if row.name else self.looks["cas"]
        text = "Average CAS" if acts.branch_cas is not None and not row.name else "CAS"
        title = (f"{text} {row.name}" if row.name else text) + self._many(name)
        return self._sequence_bands(row, acts, "cas", [(row.name, title, cas[:, index], look)], title)

    def _branches(self, row: Row) -> list[_Band]:
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
             branch_look(n, self.spec.palette))
            for n in numbers
        ]  # fmt: skip
        return self._sequence_bands(row, acts, "branches", named, "Branches" + self._many(name))

    def _attention(self, row: Row) -> list[_Band]:
        name, acts = self._activations(row)
        if (row.name and row.name not in acts.attention) or not acts.attention:
            raise self._lacks(row, name, f"attention {row.name!r}" if row.name else "attention", acts)
        keys = [row.name] if row.name else list(acts.attention)
        named = [
            (key, _attention_title(key, len(acts.attention)) + self._many(name), acts.attention[key],
             self.looks.get(key, self.looks["attention"]))
            for key in keys
        ]  # fmt: skip
        return self._sequence_bands(row, acts, "attention", named, "Attention" + self._many(name))

    def _dropped(self, row: Row) -> list[_Band]:
        name, acts = self._activations(row)
        if acts.drop_mask is None:
            raise self._lacks(row, name, "dropped snippets", acts)
        change = np.diff(np.concatenate([[0], np.asarray(acts.drop_mask, dtype=np.int8), [0]]))
        first, last = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
        start, end = np.asarray(acts.grid.to_seconds(first)), np.asarray(acts.grid.to_seconds(last))
        rows = self._inside(start, end)

        def paint(axes: Axes) -> None:
            timeline.draw_segments(axes, start[rows], end[rows], self.looks["dropped"], gid="dropped")

        title = row.title or "Dropped" + self._many(name)
        return [_Band("dropped", "", title, row.height or _BAR_HEIGHT[self._style(row)], paint)]

    def _heatmap(self, row: Row) -> list[_Band]:
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
        colours = colormap(self.spec.colormap, self.looks["cas"].colour)

        def paint(axes: Axes) -> None:
            timeline.draw_heatmap(axes, acts.grid, cas[:, chosen], colours, limits, self.t0, self.t1)

        line = self.small / 72 * 1.18
        legend = ((_shade_text(limits), "shade", self.looks["cas"]),)
        title = row.title or (f"CAS of {name}" if len(self.data.runs) > 1 else "")
        return [
            _Band("heatmap", row.name, title, row.height or line * len(chosen), paint,
                  lines=tuple(acts.classes[i] for i in chosen), legend=legend)
        ]  # fmt: skip

    # -- frames ---------------------------------------------------------------------------------------------------

    def _frames(self, row: Row) -> list[_Band]:
        def paint_note(axes: Axes, note: str) -> None:
            timeline.draw_missing_frames(axes, self.t0, self.t1, note, self.looks["frame"])

        height = row.height or _FRAME_HEIGHT
        file = self.data.video_file
        if file is None:
            note = "no video file"
            return [_Band("frames", "", row.title, 0.22, lambda axes: paint_note(axes, note))]
        stamp = file.stat().st_mtime_ns
        aspect = _aspect(file, stamp)
        count = row.count or max(1, round(self.axes_width / (height * aspect)))
        height = self.axes_width / count / aspect  # the strip spans the axis: the number of frames decides their height
        times = self.t0 + (self.t1 - self.t0) / count * (np.arange(count) + 0.5)
        frames = _key_frames(file, stamp, tuple(times.tolist()), max(8, round(height * self.spec.dpi)))
        gap = 0.02 * (self.t1 - self.t0) / self.axes_width

        def paint(axes: Axes) -> None:
            timeline.draw_frames(axes, frames, self.t0, self.t1, gap)

        return [_Band("frames", "", row.title, height, paint)]


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


def _attention_title(key: str, count: int) -> str:
    """Return how papers call an attention."""
    known = {"foreground": "Soft attention", "semi_soft": "Semi-soft attention", "hard": "Hard attention",
             "temporal": "Attention"}  # fmt: skip
    return known.get(key, f"{key.replace('_', ' ').capitalize()} attention" if count > 1 else "Attention")


def _shade_text(limits: tuple[float, float]) -> str:
    return f"{_number(limits[0])} to {_number(limits[1])}"


def _number(value: float) -> str:
    text = "0" if value == 0 else f"{value:.0f}" if float(value).is_integer() else f"{value:.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


# -- layout -----------------------------------------------------------------------------------------------------------


class _Shades(HandlerBase):
    """A legend key that runs through a colour map."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def create_artists(
        self, legend: Any, orig_handle: Any, xdescent: float, ydescent: float, width: float, height: float,
        fontsize: float, trans: Any,
    ) -> list[Artist]:  # fmt: skip
        """Return the key's cells."""
        del legend, fontsize
        cells = 12
        colours = colormap(self._name, orig_handle.get_facecolor())
        keys: list[Artist] = [
            Rectangle((-xdescent + i * width / cells, -ydescent), width / cells, height,
                      facecolor=colours(i / (cells - 1)), edgecolor="none", linewidth=0, transform=trans,
                      antialiased=False)
            for i in range(cells)
        ]  # fmt: skip
        keys.append(Rectangle((-xdescent, -ydescent), width, height, facecolor="none", edgecolor="#777777",
                              linewidth=0.4, transform=trans))  # fmt: skip
        return keys


class _ShadeKey(Patch):
    """Marks a legend entry that explains a colour map."""


def _wrap(text: str, width: float, family: str, size: float) -> list[str]:
    """Break a title into lines of at most `width` inches, at spaces; what does not fit is cut with an ellipsis."""
    lines = [""]
    for word in text.split():
        tried = f"{lines[-1]} {word}".strip()
        if not lines[-1] or timeline.text_width(tried, family, size) <= width:
            lines[-1] = tried
        else:
            lines.append(word)
    return [_cut(line, width, family, size) for line in lines]


def _cut(line: str, width: float, family: str, size: float) -> str:
    if timeline.text_width(line, family, size) <= width:
        return line
    while len(line) > 1 and timeline.text_width(line + "…", family, size) > width:
        line = line[:-1]
    return line + "…"


def draw(spec: FigureSpec, data: FigureData) -> Figure:
    """Draw a figure; call it inside `theme.figure_style`, or use `export.render`, which does.

    Returns:
        A matplotlib Figure of exactly the spec's width. Its axes carry labels "row 0: frames", "row 1: cas context".

    Raises:
        UsageError, DataError: a row asks for what the run does not have.
    """
    painter = _Painter(spec, data)
    family, size, small = painter.family, spec.font_size, painter.small
    line = size / 72 * 1.2
    width, margin = spec.inches, 0.02

    # Titles first: what they leave is the width of the axis, which decides how many frames and ticks fit.
    titles_limit = 0.3 * width
    rough = painter.bands() if all(r.kind != "frames" for r in spec.rows) else _without_frames(spec, data)
    texts = [b.title for b in rough] + [r.title for r in spec.rows if r.kind == "frames"]
    wrapped = {text: _wrap(text, titles_limit, family, size) for text in texts}
    names = {name: _cut(name, titles_limit, family, small) for b in rough for name in b.lines}
    widest = [timeline.text_width(part, family, size) for parts in wrapped.values() for part in parts]
    widest += [timeline.text_width(name, family, small) for name in names.values()]
    clock_title = "" if spec.time == "none" else "Time (min:s)"
    widest.append(timeline.text_width(clock_title, family, size))
    ranges = [b.limits for b in rough if b.curve and b.limits is not None and spec.scores_range]
    range_width = max((timeline.text_width(_number(v), family, small) for r in ranges for v in r), default=0.0)
    left = margin + max(widest) + (range_width + 0.05 if ranges else 0.0) + 0.06
    last_label = timeline.format_time(painter.t1, clock=painter.t1 >= 120 or spec.time == "min:s")
    right = margin + (0.5 * timeline.text_width(last_label, family, size) if spec.time != "none" else 0.01)
    painter.axes_width = width - left - right
    bands = painter.bands()

    gap = {"barcode": 0.035, "curve": 0.06}[spec.style]
    heights = [max(b.height, len(wrapped.get(b.title, ())) * line if not b.lines else 0.0) for b in bands]
    headers = [line if b.lines and b.title else 0.0 for b in bands]

    figure = Figure(figsize=(width, 1.0), dpi=300)
    legend_rows = _legend(figure, spec, painter, bands, width - 2 * margin) if spec.legend else 0.0
    title_height = (size + 1) / 72 * 1.35 if spec.title else 0.0
    marks_height = line if any(m.text for m in spec.marks) else 0.0
    ticks = timeline.time_ticks(painter.t0, painter.t1, painter.axes_width, family, size, spec.time)
    axis_height = 0.0 if spec.time == "none" else 0.05 + size / 72 * 1.25
    caption = _wrap(spec.caption, width - 2 * margin, family, size) if spec.caption else []
    caption_height = len(caption) * line + 0.05 if caption else 0.0
    above = margin + title_height + legend_rows + marks_height
    body = sum(heights) + sum(headers) + gap * (len(bands) - 1)
    total = above + body + axis_height + caption_height + margin
    figure.set_size_inches(width, total)
    ink = painter.looks["ink"].colour

    def place(x: float, y: float) -> tuple[float, float]:
        """Return figure coordinates of inches from the left and from the top."""
        return x / width, 1.0 - y / total

    if spec.title:
        figure.text(*place(margin, margin), spec.title, size=size + 1, weight="bold", va="top", color=ink, gid="title")
    if figure.legends:
        figure.legends[0].set_bbox_to_anchor(
            (left / width, 1.0 - (margin + title_height) / total), transform=figure.transFigure
        )
        extent = figure.legends[0].get_window_extent()
        if extent.width / figure.dpi > width - left - margin:  # wider than the rows: begin at the left edge
            figure.legends[0].set_bbox_to_anchor(
                (margin / width, 1.0 - (margin + title_height) / total), transform=figure.transFigure
            )

    y = above
    bottom = above
    for number, (band, slot, header) in enumerate(zip(bands, heights, headers, strict=True)):
        if header:
            figure.text(*place(margin, y), wrapped[band.title][0], size=size, va="top", color=ink, gid="row-title")
        y += header
        height = slot if band.curve or band.lines else band.height  # bars stay as high as others beside a long title
        top = y + (slot - height) / 2
        bottom = top + height
        axes = figure.add_axes(
            (left / width, 1.0 - bottom / total, painter.axes_width / width, height / total),
            label=f"row {number}: {band.kind} {band.name}".strip(),
        )
        axes.patch.set_visible(False)
        _dress(axes, band, painter)
        middle = y + slot / 2
        if band.lines:
            step = height / len(band.lines)
            for i, name in enumerate(band.lines):
                figure.text(*place(left - 0.04, y + (i + 0.5) * step), names[name], size=small, ha="right",
                            va="center_baseline", color=ink, gid="line-title")  # fmt: skip
        elif band.title:
            parts = wrapped[band.title]
            for i, part in enumerate(parts):
                at = middle + (i - (len(parts) - 1) / 2) * line
                figure.text(*place(margin, at), part, size=size, va="center_baseline", color=ink, gid="row-title")
        if band.curve and band.limits is not None and spec.scores_range:
            for value, at, va in ((band.limits[1], top, "top"), (band.limits[0], bottom, "bottom")):
                figure.text(
                    *place(left - 0.04, at), _number(value), size=small, ha="right", va=va, color=ink, gid="range"
                )
        y += slot + gap

    if spec.time != "none":
        last = figure.axes[-1]
        last.set_xticks(ticks.positions, ticks.labels)
        last.tick_params(axis="x", bottom=True, labelbottom=True, pad=1.5, labelsize=size, colors=ink)
        figure.text(*place(margin, bottom + 0.035 + 1.5 / 72), f"Time ({ticks.unit})", size=size, va="top", color=ink,
                    gid="time-title")  # fmt: skip
    _marks(figure, spec, painter, left, above, bottom, total)
    for i, text in enumerate(caption):
        figure.text(*place(width / 2, bottom + axis_height + 0.05 + i * line), text, size=size, ha="center", va="top",
                    color=ink, gid="caption")  # fmt: skip
    return figure


def _without_frames(spec: FigureSpec, data: FigureData) -> list[_Band]:
    """Return the bands of a spec without its frames, which need the axis's width before they are read."""
    rows = tuple(r for r in spec.rows if r.kind != "frames")
    return _Painter(replace(spec, rows=rows), data).bands() if rows else []


def _dress(axes: Axes, band: _Band, painter: _Painter) -> None:
    """Set limits and frame of a row, then paint it."""
    if band.curve and painter.spec.guides and painter.data.truth is not None:
        shown = painter.data.instances
        timeline.draw_tint(axes, shown.start, shown.end, painter.looks["gt"].colour)
    band.paint(axes)
    axes.set_xlim(painter.t0, painter.t1)
    if band.curve and band.limits is not None:
        low, high = band.limits
        room = (high - low) * (_CURVE_ROOM - 1) / 2
        axes.set_ylim(low - room, high + room)
    else:
        axes.set_ylim(0.0, 1.0)
    axes.set_aspect("auto")
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    edge = painter.looks["frame"].colour
    for side, spine in axes.spines.items():
        spine.set_color(edge)
        spine.set_linewidth(0.5)
        spine.set_zorder(4)
        if band.kind == "frames" or (band.curve and side in ("top", "right")):
            spine.set_visible(False)


def _legend(figure: Figure, spec: FigureSpec, painter: _Painter, bands: list[_Band], room: float) -> float:
    """Put the legend into the figure, as wide as fits; return its height in inches, 0 without entries."""
    entries: dict[tuple[str, str], Look] = {}
    for band in bands:
        for text, kind, look in band.legend:
            entries.setdefault((text, kind), look)
    shades = [key for key in entries if key[1] == "shade"]
    if len(shades) > 1:  # rows of different ranges: the numbers would be several, the meaning is one
        entries = {key: look for key, look in entries.items() if key[1] != "shade"}
        entries["low to high", "shade"] = painter.looks["cas"]
    if not entries:
        return 0.0
    entries = dict(sorted(entries.items(), key=lambda item: _LEGEND_ORDER.get(item[0][0], 9)))
    handles: list[Artist] = []
    for (_, kind), look in entries.items():
        if kind == "line":
            handles.append(Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.0))
        elif kind == "shade":
            handles.append(_ShadeKey(facecolor=look.colour))
        else:
            handles.append(
                Patch(facecolor=look.colour if look.fill else "white", edgecolor=look.colour, hatch=look.hatch or None,
                      linestyle="-" if look.fill else look.dash, linewidth=0.7)
            )  # fmt: skip
    texts = [text for text, _ in entries]
    for columns in range(len(texts), 0, -1):
        for old in list(figure.legends):
            old.remove()
        by_column = [i for first in range(columns) for i in range(first, len(texts), columns)]  # reads line by line
        legend = figure.legend(
            [handles[i] for i in by_column], [texts[i] for i in by_column], loc="upper left", ncols=columns,
            frameon=False, fontsize=spec.font_size, borderpad=0, borderaxespad=0, handlelength=2.2, handleheight=0.75,
            handletextpad=0.5, columnspacing=1.2, labelspacing=0.3, labelcolor=painter.looks["ink"].colour,
            handler_map={_ShadeKey: _Shades(spec.colormap)},
        )  # fmt: skip
        extent = legend.get_window_extent()
        if extent.width / figure.dpi <= room:
            break
    return float(extent.height) / figure.dpi + 0.05


def _marks(
    figure: Figure, spec: FigureSpec, painter: _Painter, left: float, above: float, bottom: float, total: float
) -> None:  # fmt: skip
    """Draw the boxes of `marks` across all rows, their texts in the line above."""
    if not spec.marks:
        return
    width = spec.inches
    look = painter.looks["mark"]
    overlay = figure.add_axes(
        (left / width, 1.0 - bottom / total, painter.axes_width / width, (bottom - above) / total), label="marks"
    )
    overlay.set_xlim(painter.t0, painter.t1)
    overlay.set_ylim(0, 1)
    overlay.axis("off")
    overlay.set_zorder(10)
    scale = (painter.t1 - painter.t0) / painter.axes_width
    taken: list[tuple[float, float]] = []
    for mark in spec.marks:
        a, b = max(mark.start, painter.t0), min(mark.end, painter.t1)
        if a >= b:
            continue
        colour = mark.colour or look.colour
        overlay.add_patch(Rectangle((a, 0), b - a, 1, facecolor="none", edgecolor=colour, linestyle=look.dash,
                                    linewidth=0.9, clip_on=False, gid="mark"))  # fmt: skip
        half = timeline.text_width(mark.text, painter.family, painter.small) * scale / 2
        middle = min(max((a + b) / 2, painter.t0 + half), painter.t1 - half)
        if mark.text and not any(middle - half < y and middle + half > x for x, y in taken):
            taken.append((middle - half, middle + half))
            overlay.text(middle, 1.0 + 0.02 / (bottom - above), mark.text, size=painter.small, ha="center", va="bottom",
                         color=painter.looks["ink"].colour, clip_on=False, gid="mark-text")  # fmt: skip


def describe(spec: FigureSpec, data: FigureData) -> str:
    """Return a sentence that says what is shown, for alternative texts and LaTeX captions."""
    runs = " and ".join(data.runs) if data.runs else "no run"
    part = f"{_window_text(spec, data)} of " if spec.window else ""
    return textwrap.shorten(f"{part}{data.video} ({data.label}): {runs}.", 300, placeholder=" ...")


def _window_text(spec: FigureSpec, data: FigureData) -> str:
    """Return the window as text."""
    t0, t1 = spec.window or (0.0, data.duration)
    return f"{timeline.format_time(t0, clock=True)} to {timeline.format_time(t1, clock=True)}"
