"""Are the times of detections seconds? Other units are recognised by what the ground truth says.

Times in frames, in snippets, as shares of the duration, or computed with another frame rate than the video's are
seconds times a factor. Each usual factor is tried on a sample of instances and the best-ranked detections of their
video and class. A factor *speaks for* an instance if under it some detection meets both of its boundaries, each clearly
closer than the detection that meets it best as it stands; *against* it the other way round. Because both boundaries
have to come closer, detections that are only too long or too short speak for nothing.

Three things look like a factor and are none. Chance: the factor has to speak for far more instances than against, and
for more than of the mirrored ground truth, on which nothing can rightly match. A constant delay: what is left under the
factor has to be smaller than what is left after the best shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wtal_core.arrays import BoolArray, FloatArray, IntArray, stable_argsort
from wtal_core.errors import counted
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.evaluation.matching import Matching
from wtal_core.records import Detections

__all__ = ["unit_note"]

#: Pairs of a detection and an instance that are looked at.
PAIRS = 12_000
#: Pairs that are looked at first, to leave out what cannot be.
FIRST_PAIRS = 2_000
#: Detections of a video and class that are looked at, beside as many as it has instances.
AT_LEAST = 5

#: A boundary is met within this share of the instance's length, and is clearly closer by this share.
MET, CLEARLY = 0.5, 0.2

_FRAME_RATES = (25, 30, 24, 15, 10, 50, 60)
_SNIPPETS = ((16, 25), (16, 30), (16, 24), (15, 25), (8, 25), (8, 30), (4, 25), (4, 30))
_PARTS = (100, 128, 192, 256, 1000)
_RATES = ((25, 30), (30, 25), (24, 25), (25, 24), (24, 30), (30, 24), (25, 50), (50, 25), (10, 25), (25, 10), (10, 30),
          (30, 10), (15, 25), (25, 15))  # fmt: skip


def unit_note(matching: Matching, detections: Detections) -> str | None:
    """Return one sentence if the times of the detections seem to be no seconds of their videos, with the evidence."""
    truth = matching.ground_truth
    if not len(detections):
        return None
    late = _begin_too_late(detections, truth)
    sample = _Sample.of(matching, detections)
    best = None if sample is None else sample.best()
    clause = ""
    if best is not None and best.speaks > 2 * best.against:
        clause = f" They fit as {best.name}: {best.evidence}."
    if late:
        return (
            f"{counted(late, 'detection')} of {len(detections):,} {'begins' if late == 1 else 'begin'} after the end "
            f"of the video: are these times in seconds?{clause}"
        )
    if float(detections.end.max()) <= 1.0 and (extent := _usual_extent(matching)) is not None:
        as_share = best is not None and best.name == _SHARES and clause
        nothing_fits = not clause and (sample is None or not sample.fits)
        if as_share or (nothing_fits and extent >= 10 and len(detections) >= 20):
            return (
                f"All detections end by 1 s, though half of their videos last {extent:.0f} s or more: are these times "
                f"shares of the duration?{clause}"
            )
    if sample is not None and best is not None and sample.convinces(best):
        return f"The times do not look like seconds of these videos. They fit as {best.name}: {best.evidence}."
    return None


def _usual_extent(matching: Matching) -> float | None:
    """Return the median extent of the evaluated videos with detections, None where there is none."""
    truth = matching.ground_truth
    video = np.unique(matching.video)
    video = video[video < len(truth.videos)]
    return float(np.median(truth.extent[video])) if video.size else None


def _begin_too_late(detections: Detections, truth: GroundTruthIndex) -> int:
    """Return how many detections begin after the end of their videos, 0 where they are few.

    A few only say that a duration is not exact. Where no duration is known, half of all have to begin after ten times
    the end of the last instance.
    """
    codes, names = detections.video_codes
    number = truth.video_numbers(names)
    own = (number >= 0) & (number < len(truth.videos))
    video = np.where(own, number, 0)
    extent, known = truth.extent[video], ~np.isnan(truth.duration[video])
    end = np.where(known, extent, np.where(extent > 0, 10 * extent, np.inf))
    after = detections.start > np.where(own, end, np.inf)[codes]
    certain = int(np.count_nonzero(after & known[codes])) if after.any() else 0
    late = int(np.count_nonzero(after))
    return late if 10 * certain > len(detections) or 2 * (late - certain) > len(detections) else 0


@dataclass(frozen=True, eq=False)
class _Factor:
    """What a factor from the detections' times to seconds explains.

    Args:
        name: what the times are if it is right.
        factor: `(I,)` for each instance.
        met_by: `(I,)` the pair with the detection that meets each instance best under it.
        speaking: `(I,)` whether it speaks for the instance.
        against: number of instances it speaks against.
    """

    name: str
    factor: FloatArray
    met_by: IntArray
    speaking: BoolArray
    against: int

    @property
    def speaks(self) -> int:
        """Number of instances it speaks for."""
        return int(np.count_nonzero(self.speaking))

    @property
    def excess(self) -> float:
        """By how many standard deviations of chance more instances speak for it than against it."""
        return _excess(self.speaks, self.against)

    @property
    def evidence(self) -> str:
        """What speaks for it and against it, as part of a sentence."""
        return (
            f"read so, both boundaries of {self.speaks} of {counted(self.speaking.size, 'instance')} are met better, "
            f"those of {self.against} worse"
        )


_SHARES = "shares of the duration"


@dataclass(frozen=True, eq=False)
class _Sample:
    """Some instances with detections of their video and class.

    Args:
        start, end: `(I,)` the instances, seconds.
        extent, fps: `(I,)` of their videos; NaN where not known.
        instance: `(P,)` ascending, of each pair with a detection; every instance has one.
        detected_start, detected_end: `(P,)` times as they were given.
    """

    start: FloatArray
    end: FloatArray
    extent: FloatArray
    fps: FloatArray
    instance: IntArray
    detected_start: FloatArray
    detected_end: FloatArray

    @classmethod
    def of(cls, matching: Matching, detections: Detections) -> _Sample | None:
        """Return a sample, None where no instance has a detection of its class in its video."""
        truth, classes = matching.ground_truth, len(matching.ground_truth.classes)
        group = truth.video * classes + truth.label
        every, size = np.unique(group, return_counts=True)
        groups = every
        if groups.size > PAIRS // AT_LEAST:  # spread over the whole set
            groups = groups[np.linspace(0, groups.size - 1, PAIRS // AT_LEAST).astype(np.int64)]
        detected = matching.video * classes + matching.label
        position = np.flatnonzero(np.isin(detected, groups))
        position = position[stable_argsort(np.searchsorted(groups, detected[position]))]
        detected = detected[position]
        rank = np.arange(position.size) - np.searchsorted(detected, detected)
        position = position[rank < np.maximum(size[np.searchsorted(every, detected)], AT_LEAST)]
        detected = matching.video[position] * classes + matching.label[position]

        first, stop = np.searchsorted(detected, group), np.searchsorted(detected, group, side="right")
        instance = np.flatnonzero(stop > first)
        pairs = int((stop - first)[instance].sum())
        if not pairs:
            return None
        instance = instance[:: -(-pairs // PAIRS)]
        count = (stop - first)[instance]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        row = matching.row[position[np.repeat(first[instance], count) + within]]
        video = truth.video[instance]
        return cls(
            start=truth.segments.start[instance],
            end=truth.segments.end[instance],
            extent=truth.extent[video],
            fps=truth.fps[video],
            instance=np.repeat(np.arange(instance.size), count),
            detected_start=detections.start[row],
            detected_end=detections.end[row],
        )

    @cached_property
    def _first(self) -> IntArray:
        return np.flatnonzero(np.diff(self.instance, prepend=-1))

    def _nearest(
        self, factor: FloatArray, start: FloatArray, end: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Return the pair that meets each instance best, and how far its boundaries are off, in instance lengths."""
        scale = (1.0 / np.maximum(end - start, 1e-3))[self.instance]
        seconds = factor[self.instance]
        off_start = np.abs(self.detected_start * seconds - start[self.instance]) * scale
        off_end = np.abs(self.detected_end * seconds - end[self.instance]) * scale
        worse = np.maximum(off_start, off_end)
        is_least = worse == np.minimum.reduceat(worse, self._first)[self.instance]
        pair = np.flatnonzero(is_least)
        pair = pair[np.flatnonzero(np.diff(self.instance[pair], prepend=-1))]
        return pair, off_start[pair], off_end[pair]

    @cached_property
    def _as_they_stand(self) -> tuple[IntArray, FloatArray, FloatArray]:
        return self._nearest(np.ones(self.start.size), self.start, self.end)

    @property
    def fits(self) -> bool:
        """Whether some instance is met as the times stand."""
        _, off_start, off_end = self._as_they_stand
        return bool((np.maximum(off_start, off_end) <= MET).any())

    def _factors(self) -> list[tuple[str, FloatArray]]:
        one = np.ones(self.start.size)
        found = []
        if not np.isnan(self.fps).any():
            found += [("frames of the videos' own rates", 1.0 / self.fps)]
            found += [
                (f"seconds computed with {rate} frames a second instead of the videos' own rates", rate / self.fps)
                for rate in (25, 30)
                if not np.allclose(self.fps, rate, rtol=0.01)
            ]
        found += [(f"frames at {rate} a second", one / rate) for rate in _FRAME_RATES]
        found += [
            (f"snippets of {frames} frames at {rate} a second", one * frames / rate) for frames, rate in _SNIPPETS
        ]
        found += [(_SHARES, self.extent)]
        found += [(f"the numbers of {parts} equal parts of the video", self.extent / parts) for parts in _PARTS]
        return found + [
            (f"seconds computed with another frame rate, {a}/{b} of what they should be", one * b / a)
            for a, b in _RATES
        ]

    def best(self) -> _Factor | None:
        """Return the factor that most instances speak for, None where none does."""
        names: set[str] | None = None
        if self.instance.size > 2 * FIRST_PAIRS:  # a look at fewer pairs leaves out what has no chance
            some = self._thinned()
            first = sorted(some._judged(), key=lambda found: -found.excess)
            names = {found.name for found in first[:6] if found.excess > 0}
        return max(self._judged(names), key=lambda found: found.excess, default=None)

    def _thinned(self) -> _Sample:
        """Return about `FIRST_PAIRS` of the pairs, of instances from all over the sample."""
        step = self.instance.size // FIRST_PAIRS
        pair = np.flatnonzero(self.instance % step == 0)
        return _Sample(
            self.start[::step],
            self.end[::step],
            self.extent[::step],
            self.fps[::step],
            self.instance[pair] // step,
            self.detected_start[pair],
            self.detected_end[pair],
        )

    def _judged(self, names: set[str] | None = None) -> list[_Factor]:
        """Return the factors of these names (None: all) that any instance speaks for."""
        _, start_now, end_now = self._as_they_stand
        met_now = np.maximum(start_now, end_now) <= MET
        judged = []
        for name, factor in self._factors():
            if names is not None and name not in names:
                continue
            pair, off_start, off_end = self._nearest(factor, self.start, self.end)
            speaking = np.maximum(off_start, off_end) <= MET
            speaking &= (start_now - off_start >= CLEARLY) & (end_now - off_end >= CLEARLY)
            if speaking.any():
                against = met_now & (off_start - start_now >= CLEARLY) & (off_end - end_now >= CLEARLY)
                judged.append(_Factor(name, factor, pair, speaking, int(np.count_nonzero(against))))
        return judged

    def convinces(self, best: _Factor) -> bool:
        """Return whether a factor explains the detections better than chance and than a delay do."""
        speaks, against = best.speaks, best.against
        if speaks < max(5, 0.1 * self.start.size, 2 * against) or best.excess < 3.3:
            return False
        start, end = self.extent - self.end, self.extent - self.start  # mirrored
        _, start_now, end_now = self._nearest(np.ones(start.size), start, end)
        _, off_start, off_end = self._nearest(best.factor, start, end)
        chance = np.maximum(off_start, off_end) <= MET
        chance &= (start_now - off_start >= CLEARLY) & (end_now - off_end >= CLEARLY)
        by_chance = int(np.count_nonzero(chance))
        if _excess(speaks, by_chance) < 2.2 or speaks < 1.5 * by_chance:
            return False
        pair = best.met_by[best.speaking]
        middle = (self.detected_start[pair] + self.detected_end[pair]) / 2
        instance = ((self.start + self.end) / 2)[best.speaking]
        left = np.median(np.abs(middle * best.factor[best.speaking] - instance))
        delay = middle - instance
        return bool(left <= 0.4 * np.median(np.abs(delay - np.median(delay))))


def _excess(speaks: int, against: int) -> float:
    """Return by how many standard deviations of chance one number is above the other."""
    return float((speaks - against) / max(speaks + against, 1) ** 0.5)
