"""From curves and thresholds to runs, and from runs to proposals: every row and threshold in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.arrays import BoolArray, FloatArray, IntArray, expand
from wtal_core.errors import DataError, UsageError
from wtal_core.localization.curves import CurveLike, Curves
from wtal_core.records import Detections
from wtal_core.suppression import Suppression

__all__ = [
    "Proposals",
    "Runs",
    "kept_classes",
    "median_filter",
    "midpoint_thresholds",
    "runs_above",
]


# -- which classes ------------------------------------------------------------------------------------------------


def kept_classes(
    video_scores: npt.ArrayLike, threshold: float, *, strict: bool = True, at_least_one: bool = False
) -> tuple[IntArray, IntArray]:
    """Choose the classes that are localized in each video.

    Args:
        video_scores: `(V, C)`, or `(C,)` for one video, actions only.
        threshold: a class is kept if its score is above it.
        strict: True for `>` (CMCS, ACM-Net, ACN), False for `>=` (HAM-Net).
        at_least_one: keep the arg-max class where no class passes (ACM-Net, ACN); otherwise such a video has none.

    Returns:
        `(video (K,), class (K,))` indices, by video, then class.
    """
    scores = np.atleast_2d(np.asarray(video_scores))
    kept = scores > threshold if strict else scores >= threshold
    if at_least_one and scores.shape[1]:
        none = np.flatnonzero(~kept.any(axis=1))
        kept[none, scores[none].argmax(axis=1)] = True
    video, label = np.nonzero(kept)
    return video.astype(np.int64), label.astype(np.int64)


# -- runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Runs:
    """Maximal runs of selected samples, one column a property, sorted by row, threshold, position.

    Args:
        row: `(N,)` row of the curves.
        threshold: `(N,)` index of the threshold.
        first, last: `(N,)` first and last sample, both inclusive: a run of snippets covers `[first, last + 1)`.
    """

    row: IntArray
    threshold: IntArray
    first: IntArray
    last: IntArray

    def __len__(self) -> int:
        return int(self.row.size)

    @property
    def length(self) -> IntArray:
        """`(N,)` samples of each run."""
        return self.last - self.first + 1

    def select(self, rows: npt.ArrayLike) -> Runs:
        """Return the given runs (indices or boolean mask), in the given order."""
        index = np.asarray(rows)
        return Runs(self.row[index], self.threshold[index], self.first[index], self.last[index])

    def onto(self, source: npt.ArrayLike, target: npt.ArrayLike | None = None) -> tuple[Runs, IntArray]:
        """Repeat class-agnostic runs for each class of their video (HAM-Net, ACM-Net's attention proposals).

        Args:
            source: `(K,)` the row of these runs that pair k takes its runs from, e.g. the video of a kept class.
            target: `(K,)` the row that pair k's runs get; default `0 .. K - 1`.

        Returns:
            `(runs, original)`: the runs sorted by pair, then as before; and for each the index of the run it repeats.
        """
        source = np.asarray(source, dtype=np.int64)
        rows = np.arange(source.size) if target is None else np.asarray(target, dtype=np.int64)
        begin = np.searchsorted(self.row, source, side="left")
        count = np.searchsorted(self.row, source, side="right") - begin
        row, original = expand(rows, begin, count)
        return replace(self.select(original), row=row), original

    def dilated(self, size: int, lengths: npt.ArrayLike) -> Runs:
        """Dilate the runs with `size` ones and merge those that then touch (CMCS).

        A true sample t sets `t - size // 2 .. t + (size - 1) // 2`: an even size reaches one sample further to the left
        (20 sets t-10..t+9, 18 sets t-9..t+8), as `skimage.morphology.binary_dilation` does.

        Args:
            size: number of ones, >= 1.
            lengths: `(R,)` samples of each row; runs are cut at the ends of their row.
        """
        if size < 1:
            raise UsageError(
                "the dilation has no width",
                expected="size >= 1",
                got=repr(size),
                next_step="Choose 1 to leave the curve as it is",
            )
        first = np.maximum(self.first - size // 2, 0)
        last = np.minimum(self.last + (size - 1) // 2, np.asarray(lengths, dtype=np.int64)[self.row] - 1)
        opens = np.ones(len(self), dtype=bool)
        opens[1:] = (
            (self.row[1:] != self.row[:-1]) | (self.threshold[1:] != self.threshold[:-1]) | (first[1:] > last[:-1] + 1)
        )
        closes = np.append(opens[1:], True)[: len(self)]
        return Runs(self.row[opens], self.threshold[opens], first[opens], last[closes])

    def mask(self, length: int, *, row: int = 0, threshold: int = 0) -> BoolArray:
        """Return `(length,)`: True on the samples that the runs of one row and threshold cover."""
        steps = np.zeros(length + 1, dtype=np.int64)
        chosen = (self.row == row) & (self.threshold == threshold)
        np.add.at(steps, self.first[chosen], 1)
        np.add.at(steps, self.last[chosen] + 1, -1)
        return np.asarray(np.cumsum(steps)[:-1] > 0)


def midpoint_thresholds(curves: CurveLike, fraction: float = 0.5) -> FloatArray:
    """Return `(R, 1)` thresholds `max - (max - min) * (1 - fraction)` of each row (deep metric learning's code)."""
    rows = Curves.of(curves)
    high, low = rows.max(), rows.min()
    return (high - (high - low) * (1.0 - fraction))[:, None]


def runs_above(
    curves: CurveLike,
    thresholds: npt.ArrayLike,
    *,
    strict: bool = True,
    min_length: int = 1,
    drop_lone_first: bool = False,
) -> Runs:
    """Find the maximal runs of samples above each threshold, for all rows and thresholds at once.

    Works on how many thresholds a sample passes: a run opens wherever that number rises and closes wherever it falls.

    Args:
        curves: `Curves`, a matrix `(R, T)`, or a sequence of curves of different lengths.
        thresholds: one number, `(H,)` for all rows, or `(R, H)` with each row's own; in any order.
        strict: True selects `value > threshold` (CMCS, HAM-Net, deep metric), False `>=` (ACM-Net, ACN).
        min_length: runs with fewer samples are dropped (deep metric, ACM-Net: 2).
        drop_lone_first: drop the run of a row and threshold that selects sample 0 and nothing else. The official codes
            of HAM-Net and ACM-Net lose it (they test the *indices* of the selected samples for a non-zero one).

    Returns:
        The runs, sorted by row, then threshold as given, then position.
    """
    rows = Curves.of(curves)
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.ndim == 2 and limits.shape[0] != len(rows):
        raise DataError(
            "there are not as many thresholds as curves",
            expected=f"({len(rows)}, H)",
            got=str(limits.shape),
            where="runs_above",
            next_step="Give one row of thresholds a curve",
        )
    if limits.ndim > 2 or np.isnan(limits).any():
        raise DataError(
            "thresholds are not usable",
            expected="numbers, (H,) or (R, H)",
            where="runs_above",
            next_step="Replace NaN, and give one row a curve",
        )
    limits = np.atleast_1d(limits)
    order = np.argsort(limits, axis=-1, kind="stable")  # ascending
    limits = np.take_along_axis(limits, order, axis=-1)
    count = limits.shape[-1]
    n = rows.values.size

    # level: how many thresholds each sample passes; the runs of the h-th lowest are where level > h.
    above = np.greater if strict else np.greater_equal
    level: npt.NDArray[np.signedinteger[Any]] = np.zeros(n, dtype=np.int8 if count < 128 else np.int64)
    for h in range(count):
        np.add(level, above(rows.values, rows.spread(limits[:, h]) if limits.ndim == 2 else limits[h]), out=level)
    before, after = np.empty_like(level), np.empty_like(level)
    before[1:], after[:-1] = level[:-1], level[1:]
    before[rows.offsets[:-1]] = 0
    after[rows.offsets[1:] - 1] = 0

    def crossings(neighbour: npt.NDArray[Any]) -> IntArray:
        """Return `(row * H + threshold) * N + flat position` of every step up from the neighbour, sorted."""
        at = np.flatnonzero(level > neighbour)
        steps = (level[at] - neighbour[at]).astype(np.int64)
        nth = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps - neighbour[at], steps)
        row = np.searchsorted(rows.offsets, at, side="right") - 1
        base = np.repeat(row * (count * n) + at, steps)
        key: IntArray = base + n * (order[np.repeat(row, steps), nth] if limits.ndim == 2 else order[nth])
        key.sort()
        return key

    if count == 0 or n == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Runs(nothing, nothing, nothing, nothing)
    opens, closes = crossings(before), crossings(after)  # in step: runs of one row and threshold do not overlap
    group = opens // n
    row, threshold = np.divmod(group, count)
    base = group * n + rows.offsets[row]
    runs = Runs(row, threshold, opens - base, closes - base)
    keep = runs.length >= min_length
    if drop_lone_first:
        alone = np.ones(len(runs), dtype=bool)
        alone[1:] &= group[1:] != group[:-1]
        alone[:-1] &= group[1:] != group[:-1]
        keep &= ~(alone & (runs.last == 0))
    return runs if keep.all() else runs.select(keep)


def median_filter(mask: npt.ArrayLike, size: int) -> BoolArray:
    """Return the running median of boolean rows, zeros beyond both ends.

    CMCS's alternative to dilation, and what smooths its masks of static frames. The median of an odd number of truth
    values is their majority, so counts from prefix sums suffice. Equals `scipy.signal.medfilt(row.astype(float), size)`
    (the official option passes booleans, which current SciPy refuses).

    Args:
        mask: `(..., T)` bool.
        size: odd window in samples.
    """
    if size < 1 or size % 2 == 0:
        raise UsageError(
            "a median needs an odd window",
            expected="1, 3, 5, ... samples",
            got=repr(size),
            next_step="Choose an odd number",
        )
    selected = np.asarray(mask, dtype=np.int64)
    half = size // 2
    padding = [(0, 0)] * (selected.ndim - 1) + [(half + 1, half)]
    total = np.cumsum(np.pad(selected, padding), axis=-1)
    return np.asarray(total[..., size:] - total[..., :-size] > half)


# -- proposals ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Proposals:
    """Scored proposals with what explains them, one column a property; seconds.

    A method builds this on the way to its `Detections`, and the viewer reads it to say which branch and threshold a
    detection came from, which areas its score compares, and which rival suppressed it.

    Args:
        video, label: `(N,)` indices into lists of videos and classes that the caller keeps.
        start, end: `(N,)` seconds.
        score: `(N,)` the final score.
        source: `(N,)` index into `sources`.
        threshold: `(N,)` value of the threshold that the run lies above; NaN where there is none.
        inner, outer: `(N,)` means of the two areas that the score compares; NaN where the score is no contrast.
        outer_start, outer_end: `(N,)` seconds from the left edge of the outer area to its right edge.
        suppressed_by: `(N,)` index of the proposal that suppressed this one, -1 for none.
        lowered_by: `(N,)` soft suppression: index of the one that lowered this one's score most, -1 for none.
        raw_score: `(N,)` soft suppression: the score before it.
        sources: names of the curves ("cas", "attention", "rgb", ...).

    Raises:
        DataError: columns differ in length.
    """

    video: IntArray
    label: IntArray
    start: FloatArray
    end: FloatArray
    score: FloatArray
    source: IntArray
    threshold: FloatArray
    inner: FloatArray
    outer: FloatArray
    outer_start: FloatArray
    outer_end: FloatArray
    suppressed_by: IntArray
    lowered_by: IntArray
    raw_score: FloatArray
    sources: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        sizes = {f.name: getattr(self, f.name).shape for f in fields(self) if f.name != "sources"}
        if len(set(sizes.values())) != 1:
            raise DataError(
                "columns differ in length",
                expected="equal lengths",
                got=str(sizes),
                where="Proposals",
                next_step="Give every column one value a row",
            )

    @classmethod
    def build(
        cls,
        *,
        video: npt.ArrayLike,
        label: npt.ArrayLike,
        start: npt.ArrayLike,
        end: npt.ArrayLike,
        score: npt.ArrayLike,
        source: npt.ArrayLike = 0,
        threshold: npt.ArrayLike = np.nan,
        inner: npt.ArrayLike = np.nan,
        outer: npt.ArrayLike = np.nan,
        outer_start: npt.ArrayLike | None = None,
        outer_end: npt.ArrayLike | None = None,
        sources: Sequence[str] = ("",),
    ) -> Proposals:
        """Build from columns; a single number is repeated, the outer area defaults to the proposal itself."""
        times = np.array(start, dtype=np.float64, ndmin=1)

        def floats(column: npt.ArrayLike) -> FloatArray:
            return np.array(np.broadcast_to(np.asarray(column, dtype=np.float64), times.shape))

        def ints(column: npt.ArrayLike) -> IntArray:
            return np.array(np.broadcast_to(np.asarray(column, dtype=np.int64), times.shape))

        return cls(
            video=ints(video),
            label=ints(label),
            start=times,
            end=floats(end),
            score=floats(score),
            source=ints(source),
            threshold=floats(threshold),
            inner=floats(inner),
            outer=floats(outer),
            outer_start=times.copy() if outer_start is None else floats(outer_start),
            outer_end=floats(end) if outer_end is None else floats(outer_end),
            suppressed_by=ints(-1),
            lowered_by=ints(-1),
            raw_score=floats(score),
            sources=tuple(sources),
        )

    def __len__(self) -> int:
        return int(self.start.size)

    @property
    def group(self) -> IntArray:
        """`(N,)` one number for each pair of video and class, as `nms` and `soft_nms` want it."""
        classes = int(self.label.max(initial=0)) + 1
        return self.video * classes + self.label

    def select(self, rows: npt.ArrayLike) -> Proposals:
        """Return the given proposals (indices or boolean mask), in the given order.

        `suppressed_by` still counts the rows of the table that was selected from.
        """
        index = np.asarray(rows)
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "sources"})

    def with_rivals(self, done: Suppression) -> Proposals:
        """Return all proposals, each with the one that suppressed it, scores unchanged."""
        return replace(self, suppressed_by=done.suppressed_by)

    def softened(self, done: Suppression) -> Proposals:
        """Return all proposals with the scores of a soft suppression, each with the one that lowered it most."""
        return replace(self, score=done.score, lowered_by=done.suppressed_by)

    def after(self, done: Suppression) -> Proposals:
        """Return the proposals that a suppression kept, in its order, with their new scores."""
        return replace(self, score=done.score, suppressed_by=done.suppressed_by).select(done.keep)

    @classmethod
    def concat(cls, tables: Iterable[Proposals]) -> Proposals:
        """Return the rows of all tables, one after the other; equal source names become one, rivals are renumbered."""
        parts = list(tables)
        if not parts:
            return cls.build(video=[], label=[], start=[], end=[], score=[])
        names = tuple(dict.fromkeys(name for part in parts for name in part.sources))
        shift = np.cumsum([0, *(len(part) for part in parts)])
        moved = [
            replace(
                part,
                source=np.array([names.index(name) for name in part.sources], dtype=np.int64)[part.source],
                suppressed_by=np.where(part.suppressed_by < 0, -1, part.suppressed_by + offset),
                lowered_by=np.where(part.lowered_by < 0, -1, part.lowered_by + offset),
                sources=names,
            )
            for part, offset in zip(parts, shift, strict=False)
        ]
        columns = {
            f.name: np.concatenate([getattr(p, f.name) for p in moved]) for f in fields(cls) if f.name != "sources"
        }
        return cls(**columns, sources=names)

    def source_texts(self) -> list[str]:
        """Return a short text for each proposal: its source and threshold, e.g. "attention > 0.28"."""
        steps, which = np.unique(self.threshold, return_inverse=True)
        pairs, text_of = np.unique(self.source * max(steps.size, 1) + which.reshape(-1), return_inverse=True)
        texts = []
        for pair in pairs.tolist():
            name, limit = self.sources[pair // steps.size], float(steps[pair % steps.size])
            texts.append(name if np.isnan(limit) else f"{name} > {limit:.3g}".strip())
        return [texts[i] for i in text_of.reshape(-1).tolist()]

    def to_detections(self, videos: Sequence[str], classes: Sequence[str]) -> Detections:
        """Return the proposals as detections, naming videos and classes."""
        video, label = np.asarray(videos, dtype=object), np.asarray(classes, dtype=object)
        return Detections(video[self.video], label[self.label], self.start, self.end, self.score, self.source_texts())
