"""What a qualitative figure shows, as a small YAML file that remakes it for any run.

::

    figure: 1                              # version of this format
    data: ../datasets/thumos14             # data set folder; paths are relative to this file
    video: video_test_0000324
    class: LongJump                        # default: the class with most ground truth in the video
    runs: {Ours: ../runs/cmcs, AutoLoc: autoloc.json}      # run folders or detection files, leading run first
    window: [30, 95]                       # seconds; default: the whole video
    style: barcode                         # or curve
    width: single                          # single, double, or inches
    rows:
      - frames
      - ground_truth
      - {kind: detections, run: Ours, title: CMCS, top: 8}
      - branches

Unknown keys are errors that name the nearest known one. Values at their default need not be written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wtal_core import settings
from wtal_core.documents import parse_yaml, to_yaml
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.evaluation import PROTOCOLS
from wtal_core.files import read_yaml, write_text
from wtal_core.settings import check, option

__all__ = ["ROW_KINDS", "SPEC_VERSION", "WIDTHS", "FigureSpec", "Mark", "Row", "template_rows"]

SPEC_VERSION = 1

#: Column widths in inches: CVPR / ICCV / IEEE and AAAI templates set columns of 3.25 to 3.33 and text of 6.875 to 7.0.
WIDTHS: Mapping[str, float] = MappingProxyType({"single": 3.25, "double": 6.875})

#: Row kind -> what it shows.
ROW_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "frames": "key frames of the video",
        "ground_truth": "action instances of the class",
        "track": "further truth of the data set: context, phases, fakes, ...",
        "detections": "detections of a run",
        "cas": "class activation sequence of the class",
        "branches": "CAS of every branch",
        "attention": "attention sequences",
        "dropped": "dropped snippets",
        "boundaries": "boundaries of the best detections, raw and regressed",
        "heatmap": "CAS of several classes",
        "view": "any row of the run's method, by its key",
    }
)

STYLES = ("barcode", "curve")


@dataclass(frozen=True)
class Row:
    """One row of a figure. What a kind has no use for is ignored."""

    kind: str = option("cas", "what it shows", choices=tuple(ROW_KINDS))
    run: str = option("", "name of a run; empty: the leading one, for detections: a row for every run")
    name: str = option(
        "", "attention, further CAS ('context'), branch number, track or view; empty: all, or the CAS itself"
    )
    title: str = option("", "text left of it; empty: what it shows")
    style: str = option("", "barcode or curve; empty: as the figure", choices=("", *STYLES))
    height: float = option(0.0, "height; 0: what suits it", unit="inches", low=0, high=8)
    count: int = option(0, "frames in the strip, or classes in the heat map; 0: what fits", low=0, high=200)
    top: int = option(
        0,
        "only so many best ones; 0: all detections (verdicts always count all), six boundaries",
        low=0,
    )
    min_score: float | None = option(None, "detections: only those with at least this score")
    scores: bool = option(False, "detections: print scores above the bars, where there is room")
    scale: str = option(
        "auto",
        "value range: unit = [0, 1]; video or window = from smallest to largest value there; auto = from 0 where "
        "nothing is negative, to 1 for curves of values in [0, 1] that reach 0.4, else to the largest value",
        choices=("auto", "unit", "video", "window"),
    )
    threshold: float | None = option(None, "draw a dashed line at this value (curves)")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Mark:
    """A box around an interval across all rows, as CMCS Fig. 5 draws them."""

    start: float = option(0.0, "start", unit="seconds", low=0)
    end: float = option(0.0, "end", unit="seconds", low=0)
    text: str = option("", "text above it")
    colour: str = option("", "colour; empty: the palette's")

    def __post_init__(self) -> None:
        check(self)
        if self.end <= self.start:
            raise UsageError(
                "a mark is empty",
                expected="start < end (seconds)",
                got=f"[{self.start:g}, {self.end:g}]",
                next_step="Let it end after its start",
            )


def _names(values: Any, key: str) -> Mapping[str, str]:
    """Return a read-only mapping of texts, or raise."""
    if not isinstance(values, Mapping) or not all(
        isinstance(k, str) and k and isinstance(v, str) and v for k, v in values.items()
    ):
        raise UsageError(
            f"{key} is not a mapping of texts",
            expected="{name: text}",
            got=repr(values)[:80],
            where=key,
            next_step="Write one 'name: text' a line",
        )
    return MappingProxyType(dict(values))


@dataclass(frozen=True)
class FigureSpec:
    """Everything a qualitative figure is made of. Open a file with `FigureSpec.open`.

    `folder` is where relative paths start; it belongs to the place of the file and is not written into it.
    """

    data: str = option("", "data set folder")
    video: str = option("", "video id")
    label: str = option("", "class ('class' in the file); empty: the one with most ground truth in the video")
    runs: Mapping[str, str] = field(default_factory=dict, metadata={"meaning": "name -> run folder or detection file"})
    window: tuple[float, float] | None = option(None, "part of the video that is shown", unit="seconds", low=0)
    style: str = option("barcode", "barcode: spans where a curve is high; or curve", choices=STYLES)
    rows: tuple[Row, ...] = field(default=(Row("ground_truth"), Row("detections"), Row("cas")))
    marks: tuple[Mark, ...] = ()
    width: str | float = option("single", "single (3.25 in), double (6.875 in), or inches")
    font: str = option("sans", "sans, serif, or an installed TrueType family")
    font_size: float = option(7.0, "size of text", unit="points", low=3, high=24)
    palette: str = option("colour", "colour (safe for colour-blind readers) or greyscale")
    colours: Mapping[str, str] = field(default_factory=dict, metadata={"meaning": "meaning -> colour that replaces it"})
    colormap: str = option("tint", "colour map of barcodes and heat maps")
    title: str = option("", "text above")
    caption: str = option("", "text below")
    legend: bool = option(True, "explain hatches, dashes and shades above the rows, where there are any")
    scores_range: bool = option(True, "print the value range of curves at their left")
    guides: bool = option(True, "tint ground truth behind curves")
    verdicts: float | None = option(
        None, "tell true and false positives and misses apart at this tIoU; none: one look", low=0.01, high=1
    )
    protocol: str = option("activitynet", "evaluation protocol of the verdicts", choices=tuple(PROTOCOLS))
    time: str = option("auto", "time axis: seconds, min:s, auto, or none", choices=("auto", "seconds", "min:s", "none"))
    dpi: int = option(300, "resolution of PNG and of key frames", unit="dots an inch", low=50, high=1200)
    folder: Path = field(default=Path(), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", _names(self.runs, "runs"))
        object.__setattr__(self, "colours", _names(self.colours, "colours"))
        object.__setattr__(self, "folder", Path(self.folder))
        check(self)
        if not self.rows:
            raise UsageError(
                "the figure has no rows",
                expected=f"some of: {', '.join(ROW_KINDS)}",
                where="rows",
                next_step="Add rows, e.g. 'rows: [ground_truth]'",
            )
        if self.window is not None and self.window[1] <= self.window[0]:
            raise UsageError(
                "the window is empty", expected="[start, end], start < end (seconds)", got=str(list(self.window)),
                where="window",
            next_step="Let it end after its start",)  # fmt: skip
        if isinstance(self.width, str) and self.width not in WIDTHS:
            raise unknown_name("width", self.width, [*WIDTHS, "or a number of inches"], where="width")
        if not 1.0 <= self.inches <= 40.0:
            raise UsageError(
                "is out of range",
                expected="1 to 40 inches",
                got=repr(self.width),
                where="width",
                next_step="Choose a width in inches within the range",
            )
        for row in self.rows:
            if row.run and row.run not in self.runs:
                raise unknown_name("run", row.run, self.runs, where=f"rows: {row.kind}")
        # The theme knows palettes, meanings, colours and fonts; a wrong one is said when the file is read.
        from wtal_core.figures import theme

        theme.looks(self.palette, self.colours)
        theme.font_family(self.font)
        if self.colormap not in theme.COLORMAPS:
            raise unknown_name("colour map", self.colormap, theme.COLORMAPS, where="colormap")
        for mark in self.marks:
            if mark.colour:
                theme.looks("colour", {"mark": mark.colour})

    @property
    def inches(self) -> float:
        """Width in inches."""
        return WIDTHS[self.width] if isinstance(self.width, str) else float(self.width)

    def path(self, text: str) -> Path:
        """Return a path of the spec, relative ones from the spec's folder."""
        path = Path(text).expanduser()
        return path if path.is_absolute() else self.folder / path

    # -- files ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, values: Any, where: object = "figure spec", folder: str | os.PathLike[str] = ".") -> FigureSpec:
        """Build from the content of a spec file.

        Raises:
            DataError: it is not a mapping, or of another version.
            UsageError: a key is unknown (the nearest one is named), or a value is not what it should be.
        """
        if not isinstance(values, Mapping):
            raise DataError(
                "is not a figure spec",
                expected="a mapping",
                got=type(values).__name__,
                where=where,
                next_step="Write one 'key: value' a line",
            )
        values = dict(values)
        version = values.pop("figure", None)
        if version != SPEC_VERSION or isinstance(version, bool):
            raise DataError(
                "is not a figure spec of this version" if version is not None else "is not a figure spec",
                expected=f"figure: {SPEC_VERSION}",
                got="no such key" if version is None else f"figure: {version}",
                where=where,
                next_step="Write a new one on the Figures page"
                if version is not None
                else f"Begin the file with figure: {SPEC_VERSION}",
            )
        known = [_KEYS.get(f.name, f.name) for f in fields(cls) if f.name != "folder"]
        for key in values:
            if key not in known:
                raise unknown_name("key", key, ["figure", *known], where=where)
        names = {key: name for name, key in _KEYS.items()}
        arguments = {names.get(key, key): value for key, value in values.items()}
        for key, kind in (("rows", Row), ("marks", Mark)):
            if key in arguments:
                arguments[key] = tuple(_items(arguments[key], kind, f"{where}: {key}"))
        for key in ("runs", "colours"):
            if arguments.get(key, {}) is None:
                arguments.pop(key)  # `runs:` with nothing behind it
        try:
            return cls(**arguments, folder=Path(folder))
        except UsageError as error:
            raise _at(error, where) from None

    @classmethod
    def parse(cls, text: str, where: object = "figure spec", folder: str | os.PathLike[str] = ".") -> FigureSpec:
        """Build from YAML text; see `from_dict`."""
        return cls.from_dict(parse_yaml(text, where, "a figure spec"), where, folder)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> FigureSpec:
        """Read a spec file; its relative paths start in the file's folder."""
        return cls.from_dict(read_yaml(path, "a figure spec (YAML)"), path, Path(path).parent)

    def to_dict(self) -> dict[str, Any]:
        """Return what a spec file holds; values at their default are left out."""
        values: dict[str, Any] = {"figure": SPEC_VERSION}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "folder" or value == _DEFAULTS[item.name]:
                continue
            if isinstance(value, Mapping):
                value = dict(value)
            elif item.name in ("rows", "marks"):
                value = [_short(part) for part in value]
            elif isinstance(value, tuple):
                value = list(value)
            values[_KEYS.get(item.name, item.name)] = value
        return values

    def to_yaml(self) -> str:
        """Return the text of a spec file."""
        return to_yaml(self.to_dict(), flow=None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a spec file in one step; relative paths are rewritten so that they hold from there."""
        home = Path(path).resolve().parent
        write_text(path, self.at(home).to_yaml())

    def at(self, folder: str | os.PathLike[str]) -> FigureSpec:
        """Return the same spec with relative paths starting in another folder."""
        home = Path(folder).resolve()

        def moved(text: str) -> str:
            path = Path(text).expanduser()
            return text if path.is_absolute() or not text else os.path.relpath((self.folder / path).resolve(), home)

        return replace(self, data=moved(self.data), runs={n: moved(p) for n, p in self.runs.items()}, folder=home)

    # -- another run --------------------------------------------------------------------------------------------------

    def with_runs(self, runs: Iterable[str]) -> FigureSpec:
        """Return the spec for other runs.

        Args:
            runs: each "NAME=PATH" (replaces the run of that name, or adds it) or "PATH" (replaces the leading run,
                which keeps its name). Relative paths start in the current folder.

        Raises:
            UsageError: two plain paths are given, or one is empty.
        """
        chosen = dict(self.runs)
        plain = 0
        for text in runs:
            name, equals, path = text.partition("=")
            if not equals:
                plain += 1
                name, path = next(iter(chosen), Path(text).name), text
            if not name or not path or plain > 1:
                raise UsageError(
                    "is not a run",
                    expected="PATH once, or NAME=PATH",
                    got=repr(text),
                    where="runs",
                    next_step="Write the run's name, '=' and its folder",
                    arguments=("runs",),
                )
            chosen[name] = str(Path(path).expanduser().resolve())
        return replace(self, runs=chosen)


_KEYS = {"label": "class"}
_CLASSES = ("FigureSpec.", "Row.", "Mark.")
_DEFAULTS: dict[str, Any] = {f.name: getattr(FigureSpec(), f.name) for f in fields(FigureSpec)}


def _short(part: Row | Mark) -> Any:
    """Return a row as its kind alone where everything else is at its default, else what differs."""
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    if isinstance(part, Mark):
        return {k: v for k, v in values.items() if k in ("start", "end") or v}
    changed = {f.name: values[f.name] for f in fields(part) if f.name == "kind" or values[f.name] != f.default}
    return part.kind if len(changed) == 1 else changed


def _at(error: UsageError, place: object) -> UsageError:
    """Return the same error with the place in the file before the key's name."""
    key = (error.where or "").rpartition(".")[2] if (error.where or "").startswith(_CLASSES) else error.where or ""
    where = key if key.startswith(str(place)) else f"{place}: {key}".removesuffix(": ")
    return error.at(where)


def _items(values: Any, kind: type[Row] | type[Mark], where: str) -> list[Row] | list[Mark]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise UsageError(
            "is not a list",
            expected="a list",
            got=repr(values)[:80],
            where=where,
            next_step="Begin each entry with '- '",
        )
    found: list[Any] = []
    for number, value in enumerate(values, 1):
        place = f"{where} {number}"
        if isinstance(value, kind):
            found.append(value)
            continue
        if kind is Row and isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            raise UsageError(
                "is not a mapping",
                expected="{key: value}",
                got=repr(value)[:80],
                where=place,
                next_step="Write one 'key: value' a line",
            )
        if kind is Row and "kind" not in value:
            raise UsageError(
                "has no kind",
                expected=f"kind: one of {', '.join(ROW_KINDS)}",
                where=place,
                next_step="Add the line 'kind: ...' to this row",
            )
        try:
            found.append(settings.build(kind, value, place))
        except UsageError as error:
            raise _at(error, place) from None
    return found


# -- templates ------------------------------------------------------------------------------------------------------


def template_rows(style: str, has: Mapping[str, Any], runs: Iterable[str]) -> tuple[Row, ...]:
    """Return the rows that suit a style and what the leading run has.

    Args:
        style: "barcode" (CMCS Fig. 5) or "curve" (ACM-Net Fig. 3, HAM-Net Fig. 5).
        has: of the video and the leading run, whether there are "frames", "truth", "cas", "dropped", "boundaries", and
            the names of its "branches" and "attention", and keys of its further "views".
        runs: names of the runs.
    """
    rows = [Row("frames")] if has.get("frames") else []
    rows += [Row("ground_truth")] if has.get("truth") else []
    rows += [Row("detections", run=name, top=12) for name in runs]
    rows += [Row("cas")] if has.get("cas") else []
    if style == "curve":  # a row each: curves that cross in one row are hard to follow in a column of a paper
        rows += [Row(kind, name=name) for kind in ("branches", "attention") for name in has.get(kind, ())]
    elif has.get("branches"):
        rows += [Row("branches")]
    else:
        rows += [Row("attention")] if has.get("attention") else []
    rows += [Row("dropped")] if has.get("dropped") else []
    rows += [Row("boundaries")] if has.get("boundaries") else []
    rows += [Row("view", name=key) for key in has.get("views", ())]
    return tuple(rows) or (Row("ground_truth"),)
