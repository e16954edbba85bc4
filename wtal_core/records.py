"""The typed values that travel between the rooms of the project.

`Segments` and `Detections` are columnar: one NumPy array per column, so that everything after a model runs in array
operations.
All times are seconds of the source video; intervals are `[start, end)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from wtal_core.errors import DataError, and_more, shortened, unknown_name
from wtal_core.snippet_grid import SnippetGrid, is_finite_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Activations",
    "Annotations",
    "Boundaries",
    "Detections",
    "Evaluation",
    "Provenance",
    "Segments",
    "VideoFeatures",
    "VideoInfo",
    "as_names",
    "factorize",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
NameArray = npt.NDArray[np.object_]
Array = npt.NDArray[Any]


# -- columns ------------------------------------------------------------------------------------------------------


def _names(values: Iterable[str] | str, column: str, length: int | None, where: str) -> NameArray:
    """Return a column of strings as an object array; a single string is repeated `length` times."""
    if isinstance(values, str):
        if length is None:
            raise DataError(
                f"column {column!r} is one string",
                expected="one string a row",
                got=repr(values),
                where=where,
                next_step="Put the names into a list",
            )
        array = np.empty(length, dtype=object)
        array[:] = values
        return array
    if not isinstance(values, Iterable) or (isinstance(values, np.ndarray) and values.ndim != 1):
        raise DataError(
            f"column {column!r} is not a list of names",
            expected="one string a row",
            got=shortened(repr(values)),
            where=where,
            next_step="Put the names into a list",
        )
    items = values if isinstance(values, np.ndarray) else list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items.astype(object) if isinstance(items, np.ndarray) else items
    for row, value in enumerate(array):
        if not isinstance(value, str) or not value:
            raise DataError(
                f"column {column!r} holds something that is not a name",
                expected="a non-empty string",
                got=repr(value),
                where=f"{where}, row {row}",
                next_step="Name it, or drop this row",
            )
    return array


def _sources(values: Iterable[str] | str | None, length: int, where: str) -> NameArray:
    """Return a column of texts that may be empty."""
    items = [values or ""] * length if values is None or isinstance(values, str) else list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    for row, value in enumerate(items):
        if not isinstance(value, str):
            raise DataError(
                "column 'source' holds something that is not a text",
                expected="a text, which may be empty",
                got=repr(value),
                where=f"{where}, row {row}",
                next_step="Write it as text",
            )
    return array


def _numbers(values: Any, column: str, where: str) -> FloatArray:
    """Return a column of finite numbers as a float64 array of shape (N,)."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"column {column!r} is not numeric",
            expected="numbers",
            where=where,
            next_step="Convert the column to numbers first",
        ) from error
    if array.ndim != 1:
        raise DataError(
            f"column {column!r} has the wrong shape",
            expected="(N,)",
            got=str(array.shape),
            where=where,
            next_step="Give one number a row",
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise DataError(
            f"column {column!r} holds {array[bad[0]]}",
            expected="finite numbers",
            got=f"{bad.size} of {array.size} rows are not",
            where=f"{where}, row {bad[0]}",
            next_step="Replace or drop these rows",
        )
    return array


def _check_intervals(start: FloatArray, end: FloatArray, video: NameArray, where: str) -> None:
    bad = np.flatnonzero((start < 0) | (end < start))
    if bad.size:
        row = int(bad[0])
        raise DataError(
            "a segment is negative or inverted",
            expected="0 <= start <= end (seconds)",
            got=f"[{start[row]:g}, {end[row]:g}]{and_more(bad.size)}",
            where=f"{where}, row {row}, video {video[row]}",
            next_step="Correct or drop these rows",
        )


def factorize(names: NameArray) -> tuple[IntArray, tuple[str, ...]]:
    """Return `(codes (N,), vocabulary)` of a column of names; the vocabulary is sorted."""
    import pandas as pd

    codes, vocabulary = pd.factorize(names, sort=True)
    return codes.astype(np.int64), tuple(str(v) for v in vocabulary)


def _freeze(array: Array) -> Array:
    array.flags.writeable = False
    return array


_Columns = TypeVar("_Columns", bound="_Table")


class _Table:
    """What `Segments` and `Detections` share: row selection, concatenation, grouping, pandas."""

    _columns: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.__dict__["start"].size)

    def select(self: _Columns, rows: npt.ArrayLike) -> _Columns:
        """Return the given rows (indices, boolean mask or slice result), in the given order."""
        index = np.asarray(rows)
        if index.size == 0:
            index = index.astype(np.int64)
        return self._trusted({name: getattr(self, name)[index] for name in self._columns})

    @classmethod
    def _trusted(cls: type[_Columns], columns: dict[str, Array]) -> _Columns:
        """Build from columns that come out of a validated table, without validating again."""
        table = object.__new__(cls)
        for name, column in columns.items():
            object.__setattr__(table, name, _freeze(column))
        return table

    @classmethod
    def concat(cls: type[_Columns], tables: Iterable[_Columns]) -> _Columns:
        """Return the rows of all tables, one table after the other."""
        tables = [table for table in tables if len(table)]
        if not tables:
            return cls.empty()
        return cls._trusted({name: np.concatenate([getattr(t, name) for t in tables]) for name in cls._columns})

    @classmethod
    def empty(cls: type[_Columns]) -> _Columns:
        """Return a table without rows."""
        names, numbers = ("video", "label", "source"), np.zeros(0)
        return cls._trusted({n: np.empty(0, dtype=object) if n in names else numbers.copy() for n in cls._columns})

    def renamed_videos(self: _Columns, rename: Callable[[str], str]) -> _Columns:
        """Return the rows with other video ids."""
        codes, vocabulary = self.video_codes
        columns = {name: getattr(self, name) for name in self._columns}
        return type(self)(**columns | {"video": as_names([rename(v) for v in vocabulary])[codes]})

    def for_video(self: _Columns, video: str) -> _Columns:
        """Return the rows of one video."""
        return self.select(np.flatnonzero(self.__dict__["video"] == video))

    def for_labels(self: _Columns, labels: Iterable[str]) -> _Columns:
        """Return the rows of some labels, in table order."""
        codes, vocabulary = self.label_codes
        wanted = set(labels)
        return self.select(np.flatnonzero(np.isin(codes, [i for i, v in enumerate(vocabulary) if v in wanted])))

    def by_video(self: _Columns) -> dict[str, _Columns]:
        """Return the rows of each video that has any, videos in sorted order, rows in table order."""
        codes, vocabulary = self.video_codes
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(vocabulary) + 1))
        return {v: self.select(order[bounds[i] : bounds[i + 1]]) for i, v in enumerate(vocabulary)}

    @cached_property
    def video_codes(self) -> tuple[IntArray, tuple[str, ...]]:
        """`(codes (N,), sorted videos)`."""
        return factorize(self.__dict__["video"])

    @cached_property
    def label_codes(self) -> tuple[IntArray, tuple[str, ...]]:
        """`(codes (N,), sorted labels)`."""
        return factorize(self.__dict__["label"])

    def to_dataframe(self) -> pd.DataFrame:
        """Return the columns as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in self._columns})

    @classmethod
    def from_dataframe(cls: type[_Columns], frame: pd.DataFrame) -> _Columns:
        """Build from a DataFrame with this table's columns, others are refused; a missing source is an empty one."""
        optional = {"source"}
        for column in frame.columns:
            if column not in cls._columns:
                raise unknown_name("column", column, cls._columns, where=cls.__name__, usage=False)
        missing = [c for c in cls._columns if c not in frame.columns and c not in optional]
        if missing:
            raise DataError(
                "columns are missing",
                expected=", ".join(cls._columns),
                got=f"no {missing}",
                where=cls.__name__,
                next_step="Add them to the table",
            )
        columns = {c: frame[c].to_numpy() for c in frame.columns}
        for c in optional & columns.keys():
            columns[c] = np.where(frame[c].isna(), "", columns[c].astype(object))
        return cls(**columns)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in self._columns)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False, init=False)
class Segments(_Table):
    """Labelled intervals of videos: ground truth, phases, contexts, fakes.

    Args:
        video: N video ids, or one id for all rows.
        label: N labels, or one label for all rows.
        start, end: N times in seconds, `0 <= start <= end`.

    Raises:
        DataError: columns differ in length, a number is not finite, a segment is negative or inverted.
    """

    video: NameArray
    label: NameArray
    start: FloatArray
    end: FloatArray

    _columns = ("video", "label", "start", "end")

    def __init__(self, video: Any, label: Any, start: Any, end: Any) -> None:
        where = "Segments"
        start, end = _numbers(start, "start", where), _numbers(end, "end", where)
        columns: dict[str, Array] = {
            "video": _names(video, "video", start.size, where),
            "label": _names(label, "label", start.size, where),
            "start": start,
            "end": end,
        }
        _check_lengths(columns, where)
        _check_intervals(start, end, columns["video"], where)
        for name, column in columns.items():
            object.__setattr__(self, name, _freeze(column))

    @property
    def length(self) -> FloatArray:
        """Length of each segment in seconds."""
        return self.end - self.start


@dataclass(frozen=True, eq=False, init=False)
class Detections(_Table):
    """Scored intervals: what a method says happens, and when.

    Args:
        video: N video ids, or one id for all rows.
        label: N class names, or one for all rows.
        start, end: N times in seconds, `0 <= start <= end`.
        score: N finite scores; higher is more certain. Only their order matters.
        source: N short texts saying which branch, threshold or stream a detection came from, one text, or None ("").

    Raises:
        DataError: columns differ in length, a number is not finite, a segment is negative or inverted.
    """

    video: NameArray
    label: NameArray
    start: FloatArray
    end: FloatArray
    score: FloatArray
    source: NameArray

    _columns = ("video", "label", "start", "end", "score", "source")

    def __init__(self, video: Any, label: Any, start: Any, end: Any, score: Any, source: Any = None) -> None:
        where = "Detections"
        start, end = _numbers(start, "start", where), _numbers(end, "end", where)
        columns: dict[str, Array] = {
            "video": _names(video, "video", start.size, where),
            "label": _names(label, "label", start.size, where),
            "start": start,
            "end": end,
            "score": _numbers(score, "score", where),
            "source": _sources(source, start.size, where),
        }
        _check_lengths(columns, where)
        _check_intervals(start, end, columns["video"], where)
        for name, column in columns.items():
            object.__setattr__(self, name, _freeze(column))

    def sorted(self) -> Detections:
        """Return the rows by video, then score descending, then table order."""
        codes, _ = self.video_codes
        return self.select(np.lexsort((-self.score, codes)))

    def to_activitynet(self) -> dict[str, Any]:
        """Return the ActivityNet results form: `{"version", "external_data", "results": {video: [...]}}`."""
        results = {
            video: [
                {
                    "label": label,
                    "score": score,
                    "segment": [start, end],
                    **({"source": source} if source else {}),
                }
                for label, score, start, end, source in zip(
                    rows.label.tolist(),
                    rows.score.tolist(),
                    rows.start.tolist(),
                    rows.end.tolist(),
                    rows.source.tolist(),
                    strict=True,
                )
            ]
            for video, rows in self.by_video().items()
        }
        return {"version": "wtal 1", "external_data": {"used": False, "details": ""}, "results": results}


def _check_lengths(columns: dict[str, Array], where: str) -> None:
    sizes = {name: column.shape[0] for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(
            "columns differ in length",
            expected="equal lengths",
            got=str(sizes),
            where=where,
            next_step="Give every column one value a row",
        )


# -- annotations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known about one video besides its segments.

    Args:
        subset: split the video belongs to, e.g. "training", "validation", "test"; None where not stated.
        duration: seconds, > 0, or None.
        fps: the file's own average frame rate, > 0, or None.
        num_frames: frames in the file, or None.
        labels: video-level labels. They may name classes without a segment (W-TALC's `labels_all`).
    """

    subset: str | None = None
    duration: float | None = None
    fps: float | None = None
    num_frames: int | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("duration", "fps", "num_frames"):
            value = getattr(self, name)
            if value is not None and not (is_finite_number(value) and value > 0):
                raise DataError(
                    f"{name} is out of range",
                    expected="a finite number > 0, or nothing",
                    got=repr(value),
                    where="VideoInfo",
                    next_step="Leave it out where it is not known",
                )
        if isinstance(self.labels, str):
            raise DataError(
                "labels is one string",
                expected="a sequence of class names",
                got=repr(self.labels),
                where="VideoInfo",
                next_step="Put the name into a tuple",
            )
        object.__setattr__(self, "labels", tuple(self.labels))


class _Picklable:
    """Let records with read-only mappings be pickled and copied, for worker processes and `copy.deepcopy`."""

    def __getstate__(self) -> dict[str, Any]:
        return {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if isinstance(value, dict) else value)


@dataclass(frozen=True, eq=False)
class Annotations(_Picklable):
    """Ground truth of a data set.

    Args:
        classes: action classes in the data set's order.
        videos: what is known about each video, in file order; videos without segments are allowed.
        instances: action instances, in file order (the THUMOS14 kit matches in that order).
        ambiguous: intervals that count neither for nor against a detection (label "Ambiguous").
        tracks: further truth where a data set knows it: "phases", "context", "fakes", "static", ...
        source: file or folder it was read from, and the format.
        notes: what a reader dropped or repaired, one sentence each.

    Raises:
        DataError: a class is listed twice, a segment names an unknown class or video.
    """

    classes: tuple[str, ...]
    videos: Mapping[str, VideoInfo]
    instances: Segments
    ambiguous: Segments = field(default_factory=Segments.empty)
    tracks: Mapping[str, Segments] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = self.source or "Annotations"
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "videos", MappingProxyType(dict(self.videos)))
        object.__setattr__(self, "tracks", MappingProxyType(dict(self.tracks)))
        object.__setattr__(self, "notes", tuple(self.notes))
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({c for c in self.classes if self.classes.count(c) > 1})
            raise DataError("a class is listed twice", got=str(twice), where=where, next_step="List each class once")
        known = set(self.classes)
        labels = set(self.instances.label.tolist()) | {label for info in self.videos.values() for label in info.labels}
        for label in sorted(labels - known):
            raise unknown_name("class", label, self.classes, where=where, usage=False)
        for name, table in {"instances": self.instances, "ambiguous": self.ambiguous, **self.tracks}.items():
            unknown = sorted(set(table.video.tolist()) - self.videos.keys())
            if unknown:
                raise DataError(
                    f"{name} name videos that are not listed",
                    expected="videos of the list",
                    got=str(unknown[:5]),
                    where=where,
                    next_step="Add these videos to `videos`, or drop their segments",
                )

    def subset(self, *names: str) -> Annotations:
        """Return the videos of the given subsets with their segments; classes stay.

        Raises:
            UsageError: no video has such a subset.
        """
        known = self.subsets()
        for name in names:
            if name not in known:
                raise unknown_name("subset", name, known, where=self.source or None)
        return self.only(video for video, info in self.videos.items() if info.subset in names)

    def subsets(self) -> tuple[str, ...]:
        """Return the names of the subsets that occur, sorted."""
        return tuple(sorted({info.subset for info in self.videos.values() if info.subset is not None}))

    def only(self, videos: Iterable[str]) -> Annotations:
        """Return the given videos (those that exist, in this object's order) with their segments."""
        wanted = set(videos)

        def rows(table: Segments) -> Segments:
            return table.select(np.flatnonzero([v in wanted for v in table.video]))

        return replace(
            self,
            videos={video: info for video, info in self.videos.items() if video in wanted},
            instances=rows(self.instances),
            ambiguous=rows(self.ambiguous),
            tracks={name: rows(table) for name, table in self.tracks.items()},
        )

    def renamed_videos(self, rename: Callable[[str], str]) -> Annotations:
        """Return the same ground truth under other video ids.

        Raises:
            DataError: two videos would have the same id.
        """
        videos = {rename(video): info for video, info in self.videos.items()}
        if len(videos) != len(self.videos):
            raise DataError(
                "two videos would have the same id",
                expected="different ids after renaming",
                got=f"{len(self.videos)} videos, {len(videos)} ids",
                where=self.source or "Annotations",
                next_step="Rename so that every video keeps an id of its own",
            )
        return replace(
            self,
            videos=videos,
            instances=self.instances.renamed_videos(rename),
            ambiguous=self.ambiguous.renamed_videos(rename),
            tracks={name: table.renamed_videos(rename) for name, table in self.tracks.items()},
        )

    def video_labels(self) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Return `(videos, multi-hot labels (V, C))`: the stated video-level labels, else the segments' classes."""
        index = {name: i for i, name in enumerate(self.classes)}
        videos = tuple(self.videos)
        row = {video: i for i, video in enumerate(videos)}
        labels = np.zeros((len(videos), len(self.classes)), dtype=np.float32)
        for video, info in self.videos.items():
            labels[row[video], [index[label] for label in info.labels]] = 1.0
        stated = {video for video, info in self.videos.items() if info.labels}
        for video, label in zip(self.instances.video, self.instances.label, strict=True):
            if video not in stated:
                labels[row[video], index[label]] = 1.0
        return videos, labels


# -- features -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where snippet features come from. Models refuse features of another extractor.

    Args:
        extractor: name of the network or descriptor, e.g. "i3d-rgb-kinetics400"; "" where not known.
        modalities: streams in channel order with their widths, e.g. `(("rgb", 1024), ("flow", 1024))`.
        crop: spatial crop, e.g. "center224", "oversample10"; "" where not known.
        flow_kind: optical-flow algorithm ("tvl1", "dis"); "" without a flow stream.
        checksum: SHA-256 of the weights that were used, or of the file the features were converted from.
    """

    extractor: str = ""
    modalities: tuple[tuple[str, int], ...] = ()
    crop: str = ""
    flow_kind: str = ""
    checksum: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple((str(name), int(width)) for name, width in self.modalities))
        if any(width <= 0 for _, width in self.modalities):
            raise DataError(
                "a modality has no channels",
                expected="widths > 0",
                got=str(self.modalities),
                where="Provenance",
                next_step="Leave out modalities without channels",
            )

    def channels(self, modality: str) -> slice:
        """Return the channels of one stream.

        Raises:
            UsageError: there is no such stream.
        """
        start = 0
        for name, width in self.modalities:
            if name == modality:
                return slice(start, start + width)
            start += width
        raise unknown_name("modality", modality, [name for name, _ in self.modalities])


@dataclass(frozen=True, eq=False)
class VideoFeatures:
    """Snippet features of one video.

    Args:
        video: video id.
        data: `(T, D)`, or `(crops, T, D)` for several spatial crops, floating point and finite.
        grid: where the T snippets lie in time.
        provenance: what made them.
    """

    video: str
    data: npt.NDArray[np.floating[Any]]
    grid: SnippetGrid
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        where = f"features of {self.video}"
        data = np.asarray(self.data)
        if data.ndim not in (2, 3) or data.shape[-1] == 0 or data.dtype.kind != "f":
            raise DataError(
                "features have the wrong shape or type",
                expected="(snippets, channels) or (crops, snippets, channels), floating point",
                got=f"{data.shape} {data.dtype}",
                where=where,
                next_step="Transpose to snippets first, and convert to float32",
            )
        if data.shape[-2] != self.grid.num_snippets:
            raise DataError(
                "features and snippet grid disagree",
                expected=f"{self.grid.num_snippets} snippets",
                got=f"{data.shape[-2]}",
                where=where,
                next_step="Make the grid with this number of snippets: grid.with_snippets()",
            )
        width = sum(w for _, w in self.provenance.modalities)
        if width and width != data.shape[-1]:
            raise DataError(
                "channels and modalities disagree",
                expected=f"{width} channels",
                got=f"{data.shape[-1]}",
                where=where,
                next_step="Correct the widths, or their order",
            )
        object.__setattr__(self, "data", data)

    @property
    def dim(self) -> int:
        """Number of channels D."""
        return int(self.data.shape[-1])


# -- what a method says about a video -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Boundaries:
    """ACN's regressed proposals of one video, all streams and anchors in one flat list.

    Args:
        stream: `(N,)` stream names ("rgb", "flow").
        anchor: `(N,)` anchor sizes P in snippets.
        raw: `(N, 2)` anchor boundaries in snippets, inclusive `[xs, xe]`: they cover `[xs, xe + 1)`.
        refined: `(N, 2)` regressed boundaries, same convention.
        coherence: `(N,)` coherence term L_c.
        oic: `(N, C)` outer-inner contrast L_OIC per class, low is good.
    """

    stream: NameArray
    anchor: IntArray
    raw: FloatArray
    refined: FloatArray
    coherence: FloatArray
    oic: FloatArray

    def __post_init__(self) -> None:
        n = len(self.anchor)
        shapes = {"stream": (n,), "anchor": (n,), "raw": (n, 2), "refined": (n, 2), "coherence": (n,)}
        for name, shape in shapes.items():
            got = np.asarray(getattr(self, name)).shape
            if got != shape:
                raise DataError(
                    f"{name} has the wrong shape",
                    expected=str(shape),
                    got=str(got),
                    where="Boundaries",
                    next_step="Give one entry a proposal",
                )
        if np.ndim(self.oic) != 2 or len(self.oic) != n:
            raise DataError(
                "oic has the wrong shape",
                expected=f"({n}, C)",
                got=str(np.shape(self.oic)),
                where="Boundaries",
                next_step="Give one row a proposal, one column a class",
            )

    def __len__(self) -> int:
        return len(self.anchor)


@dataclass(frozen=True, eq=False)
class Activations(_Picklable):
    """What a method says about one video before any threshold; everything to the right of it needs no model.

    Args:
        cas: `(T, C)` or `(T, C + 1)` class activation sequence; the background is the last channel where there is one.
            Which scale it has (logits, class softmax) is part of each method's contract (design, "What travels").
        video_scores: `(C,)` what the method thresholds to pick classes, actions only.
        grid: where the T snippets lie in time.
        classes: the C action classes.
        branch_cas: `(K, T, C + 1)` per-branch CAS (CMCS), or None.
        attention: class-agnostic attentions `{name: (T,)}`.
        drop_mask: `(T,)` bool, True where the method dropped a discriminative snippet (HAM-Net), or None.
        boundaries: regressed proposals (ACN), or None.
        embedding: `(T, D')` snippet embedding (deep metric), or None.
        extra_cas: further sequences `{name: (T, C) or (T, C + 1)}`: ACM-Net "context", "background", "unattended";
            ACN "rgb", "flow"; deep metric "similarity".
        method: name of the method that made it.

    Raises:
        DataError: shapes disagree or a value is not finite.
    """

    cas: npt.NDArray[np.floating[Any]]
    video_scores: npt.NDArray[np.floating[Any]]
    grid: SnippetGrid
    classes: tuple[str, ...]
    branch_cas: npt.NDArray[np.floating[Any]] | None = None
    attention: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    drop_mask: npt.NDArray[np.bool_] | None = None
    boundaries: Boundaries | None = None
    embedding: npt.NDArray[np.floating[Any]] | None = None
    extra_cas: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    method: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "attention", MappingProxyType(dict(self.attention)))
        object.__setattr__(self, "extra_cas", MappingProxyType(dict(self.extra_cas)))
        t, c = self.grid.num_snippets, len(self.classes)
        wide: set[tuple[int, ...]] = {(t, c), (t, c + 1)}
        expected: list[tuple[str, Any, set[tuple[int, ...]]]] = [
            ("cas", self.cas, wide),
            ("video_scores", self.video_scores, {(c,)}),
            ("drop_mask", self.drop_mask, {(t,)}),
        ]
        expected += [(f"attention[{name!r}]", value, {(t,)}) for name, value in self.attention.items()]
        expected += [(f"extra_cas[{name!r}]", value, wide) for name, value in self.extra_cas.items()]
        if self.branch_cas is not None:
            branches = np.shape(self.branch_cas)[:1]
            expected.append(("branch_cas", self.branch_cas, {(*branches, *shape) for shape in wide}))
        if self.embedding is not None:
            expected.append(("embedding", self.embedding, {(t, *(np.shape(self.embedding)[1:2] or (1,)))}))
        for name, value, shapes in expected:
            if value is None:
                continue
            if np.shape(value) not in shapes:
                raise DataError(
                    f"{name} has the wrong shape",
                    expected=" or ".join(str(s) for s in sorted(shapes)),
                    got=str(np.shape(value)),
                    where="Activations",
                    next_step="Check the grid's num_snippets and the number of classes against the array",
                )
            if not np.isfinite(value).all():
                raise DataError(
                    f"{name} is not finite",
                    expected="no NaN and no infinity",
                    where="Activations",
                    next_step="Look for NaN in the features ('wtal data doctor') or a diverged training",
                )

    @property
    def has_background(self) -> bool:
        """Whether `cas` carries a background channel (the last one)."""
        return int(self.cas.shape[1]) == len(self.classes) + 1

    @property
    def action_cas(self) -> npt.NDArray[np.floating[Any]]:
        """`(T, C)`: the CAS without the background channel."""
        return self.cas[:, : len(self.classes)]


# -- what an evaluation says --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a set of detections under one named protocol, with the matches behind them.

    Args:
        protocol: name of the protocol ("activitynet", "thumos14", "wtalc").
        ap: average precision in [0, 1], a DataFrame of classes x tIoU (index: class, columns: tIoU).
        matches: one row per detection and ground-truth instance, see `wtal_core.evaluation`; None if not asked for.
        num_videos, num_instances, num_detections: how much was evaluated.
        notes: what the protocol dropped, rounded or ignored, one sentence each.
    """

    protocol: str
    ap: pd.DataFrame
    matches: pd.DataFrame | None = None
    num_videos: int = 0
    num_instances: int = 0
    num_detections: int = 0
    notes: tuple[str, ...] = ()

    @property
    def tiou(self) -> tuple[float, ...]:
        """The tIoU thresholds."""
        return tuple(float(t) for t in self.ap.columns)

    @property
    def mean_ap(self) -> dict[float, float]:
        """`{tIoU: mAP}`, the mean over classes, in [0, 1]."""
        return {float(t): float(v) for t, v in self.ap.mean(axis=0).items()}  # type: ignore[arg-type]

    @property
    def average(self) -> float:
        """Mean of the mAPs over all tIoU."""
        return float(np.mean(list(self.mean_ap.values()))) if self.ap.size else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return protocol, mAP per tIoU, average and per-class AP as plain values (no match table)."""
        return {
            "protocol": self.protocol,
            "mean_ap": {f"{t:g}": v for t, v in self.mean_ap.items()},
            "average": self.average,
            "ap": {
                str(c): {f"{t:g}": float(v) for t, v in zip(self.tiou, row, strict=True)}
                for c, row in zip(self.ap.index, self.ap.to_numpy(), strict=True)
            },
            "num_videos": self.num_videos,
            "num_instances": self.num_instances,
            "num_detections": self.num_detections,
            "notes": list(self.notes),
        }


def as_names(values: Sequence[str]) -> NameArray:
    """Return strings as the object array that name columns use."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
