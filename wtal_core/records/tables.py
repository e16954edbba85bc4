"""Tables with one array a column: labelled intervals (`Segments`) and scored ones (`Detections`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import Array, FloatArray, IntArray, NameArray
from wtal_core.errors import DataError, UsageError, and_more, counted, shortened, unknown_name
from wtal_core.summary import Summarized, Summary
from wtal_core.suppression import nms, soft_nms

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Detection", "Detections", "Segment", "Segments", "as_names", "factorize"]


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
    if set(map(type, array)) <= {str} and "" not in set(array):
        return array
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
    if values is None or isinstance(values, str):
        array = np.empty(length, dtype=object)
        array[:] = values or ""
        return array
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    if set(map(type, items)) <= {str}:
        return array
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


def _sorted_codes(names: NameArray, codes: IntArray, column: str) -> tuple[IntArray, tuple[str, ...]]:
    """Return `factorize(names[codes])` of names that differ."""
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < names.size:
        raise DataError(
            f"a number of a {column} is out of range",
            expected=f"0 to {names.size - 1}",
            got=f"{codes.min()} to {codes.max()}",
            where="Detections",
            next_step=f"Give indices into the list of {column}s",
        )
    used = np.flatnonzero(np.bincount(codes, minlength=names.size))
    order = used[np.argsort(names[used])]
    number = np.zeros(names.size, dtype=np.int64)
    number[order] = np.arange(order.size)
    vocabulary = tuple(names[order].tolist())
    if len(set(vocabulary)) < len(vocabulary):
        raise DataError(
            f"a {column} is listed twice", expected="different names", where="Detections", next_step="List each once"
        )
    return number[codes], vocabulary


def _freeze(array: Array) -> Array:
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True)
class Segment:
    """One row of `Segments`; times in seconds."""

    video: str
    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Detection:
    """One row of `Detections`; times in seconds."""

    video: str
    label: str
    start: float
    end: float
    score: float
    source: str = ""


_Row = TypeVar("_Row", Segment, Detection)


class _Table(Summarized, Generic[_Row]):
    """What `Segments` and `Detections` share: rows, selection, concatenation, grouping, pandas."""

    _columns: tuple[str, ...]
    _row: type[_Row]

    #: What a reader changed in the file that the rows come from, one sentence each.
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.__dict__["start"].size)

    def __iter__(self) -> Iterator[_Row]:
        """Yield the rows, one record each."""
        return map(self._row, *(getattr(self, name).tolist() for name in self._columns))

    @overload
    def __getitem__(self, rows: int | np.integer[Any]) -> _Row: ...
    @overload
    def __getitem__(self, rows: slice | npt.NDArray[Any] | Sequence[int] | Sequence[bool]) -> Self: ...
    def __getitem__(self, rows: Any) -> _Row | Self:
        """Return one row by its number, or the table of the rows that a mask, slice or list of numbers chooses.

        Raises:
            IndexError: there is no row of that number.
            UsageError: the mask has another length than the table, or it is none of these.
        """
        if isinstance(rows, slice):
            return self._trusted({name: getattr(self, name)[rows] for name in self._columns}, self.notes)
        index = np.asarray(rows)
        if index.size == 0:
            index = index.astype(np.int64)
        mask = index.dtype == np.bool_
        if index.ndim > 1 or index.dtype.kind not in "iub" or (mask and index.shape != (len(self),)):
            raise UsageError(
                f"these are no rows of {type(self).__name__}",
                expected=f"a mask of {counted(len(self), 'row')}, a slice, row numbers, or one number",
                got=f"shape {index.shape}, {index.dtype}" if index.dtype != object else shortened(repr(rows)),
                next_step="Choose rows e.g. by table[table.label == 'Diving']",
            )
        if not mask and index.size and not (-len(self) <= index.min() and index.max() < len(self)):
            raise IndexError(f"no row {rows} in {counted(len(self), 'row')}" if index.ndim == 0 else "no such rows")
        if index.ndim == 0:
            return next(iter(self[[int(index)]]))
        return self._trusted({name: getattr(self, name)[index] for name in self._columns}, self.notes)

    def __add__(self, other: Self) -> Self:
        """Return the rows of both, this table's first."""
        if type(other) is not type(self):
            return NotImplemented
        return self.concat([self, other])

    def _summary(self, rows: int) -> Summary:
        """Return the table in short, with so many rows at most."""
        videos, labels = (len(set(self.__dict__[name].tolist())) for name in ("video", "label"))
        title = f"{type(self).__name__}: {counted(len(self), 'row')}"
        if len(self):
            title += f", {counted(videos, 'video')}, {counted(labels, 'label')}"
        columns = [n for n in self._columns if n != "source" or any(self.__dict__[n])]
        first = [[getattr(row, name) for name in columns] for row in self[:rows]]
        return Summary(title, columns=columns, rows=first, total=len(self))

    @classmethod
    def _trusted(cls, columns: dict[str, Array], notes: tuple[str, ...] = ()) -> Self:
        """Build from columns that come out of a validated table, without validating again."""
        table = object.__new__(cls)
        for name, column in columns.items():
            object.__setattr__(table, name, _freeze(column))
        if notes:
            object.__setattr__(table, "notes", notes)
        return table

    @classmethod
    def concat(cls, tables: Iterable[Self]) -> Self:
        """Return the rows of all tables, one table after the other."""
        tables = [table for table in tables if len(table)]
        if not tables:
            return cls.empty()
        notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
        columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in cls._columns}
        return cls._trusted(columns, notes)

    @classmethod
    def empty(cls) -> Self:
        """Return a table without rows."""
        names, numbers = ("video", "label", "source"), np.zeros(0)
        return cls._trusted({n: np.empty(0, dtype=object) if n in names else numbers.copy() for n in cls._columns})

    def renamed_videos(self, rename: Callable[[str], str]) -> Self:
        """Return the rows with other video ids."""
        codes, vocabulary = self.video_codes
        names = _names([rename(v) for v in vocabulary], "video", None, type(self).__name__)
        return self._trusted(
            {name: getattr(self, name) for name in self._columns} | {"video": names[codes]}, self.notes
        )

    def for_video(self, video: str) -> Self:
        """Return the rows of one video."""
        return self[np.asarray(self.__dict__["video"] == video)]

    def for_labels(self, labels: Iterable[str]) -> Self:
        """Return the rows of some labels, in table order."""
        codes, vocabulary = self.label_codes
        wanted = set(labels)
        return self[np.isin(codes, [i for i, v in enumerate(vocabulary) if v in wanted])]

    def by_video(self) -> dict[str, Self]:
        """Return the rows of each video that has any, videos in sorted order, rows in table order."""
        codes, vocabulary = self.video_codes
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(vocabulary) + 1))
        return {v: self[order[bounds[i] : bounds[i + 1]]] for i, v in enumerate(vocabulary)}

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
    def from_dataframe(cls, frame: pd.DataFrame) -> Self:
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


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Segments(_Table[Segment]):
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
    _row = Segment

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


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Detections(_Table[Detection]):
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
    _row = Detection

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

    @classmethod
    def from_codes(
        cls,
        videos: Sequence[str],
        video: npt.ArrayLike,
        labels: Sequence[str],
        label: npt.ArrayLike,
        start: Any,
        end: Any,
        score: Any,
        source: Any = None,
        *,
        notes: Iterable[str] = (),
    ) -> Detections:
        """Build from names that are listed once: row i is of `videos[video[i]]` and `labels[label[i]]`.

        Much quicker than a name a row, also for what is computed from it later.

        Args:
            videos, labels: names.
            video, label: `(N,)` indices into them.
            start, end, score, source: as in the constructor.
            notes: what a reader changed, one sentence each.

        Raises:
            DataError: as the constructor; a name comes twice.
        """
        where = "Detections"
        start, end = _numbers(start, "start", where), _numbers(end, "end", where)
        columns: dict[str, Array] = {}
        codes: dict[str, tuple[IntArray, tuple[str, ...]]] = {}
        for column, names, numbers in (("video", videos, video), ("label", labels, label)):
            codes[column] = _sorted_codes(_names(names, column, None, where), np.asarray(numbers, np.int64), column)
            columns[column] = as_names(codes[column][1])[codes[column][0]]
        columns |= {"start": start, "end": end, "score": _numbers(score, "score", where)}
        columns["source"] = _sources(source, start.size, where)
        _check_lengths(columns, where)
        _check_intervals(start, end, columns["video"], where)
        table = cls._trusted(columns, tuple(notes))
        for column in ("video", "label"):  # the cached properties need not look for the names again
            object.__setattr__(table, f"{column}_codes", codes[column])
        return table

    def sorted(self) -> Detections:
        """Return the rows by video, then score descending, then table order."""
        codes, _ = self.video_codes
        return self[np.lexsort((-self.score, codes))]

    def nms(self, tiou: float = 0.5, *, class_agnostic: bool = False, most: int | None = None) -> Detections:
        """Return the rows that non-maximum suppression within each video and class leaves, in table order.

        Args:
            tiou: of two rows with a higher tIoU the one with the lower score goes (of equal scores the later one).
            class_agnostic: suppress across classes too.
            most: keep no more than this many of a video and class, the best ones.

        Raises:
            UsageError: `tiou` is not in [0, 1].
        """
        groups = self._groups(class_agnostic)
        return self[nms(self.start, self.end, self.score, groups, threshold=tiou, max_per_group=most).kept]

    def soft_nms(
        self, sigma: float = 0.3, *, class_agnostic: bool = False, min_score: float | None = None
    ) -> Detections:
        """Return the rows with the scores that soft suppression within each video and class gives, in table order.

        Args:
            sigma: width of the Gaussian factor `exp(-tIoU^2 / sigma)`, > 0.
            class_agnostic: suppress across classes too.
            min_score: drop rows whose new score is below it; None keeps all.

        Raises:
            UsageError: `sigma` is not positive.
        """
        groups = self._groups(class_agnostic)
        done = soft_nms(self.start, self.end, self.score, groups, sigma=sigma, min_score=min_score)
        columns = {name: getattr(self, name) for name in self._columns}
        return self._trusted(columns | {"score": done.score})[done.kept]

    def _groups(self, class_agnostic: bool) -> IntArray:
        """Return `(N,)` one number for each video, or video and class."""
        video, _ = self.video_codes
        label, labels = self.label_codes
        return video if class_agnostic else video * len(labels) + label

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


def as_names(values: Sequence[str]) -> NameArray:
    """Return strings as the object array that name columns use."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
