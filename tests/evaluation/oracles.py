"""Slow evaluators in exact arithmetic, each written from its definition; they share no code with the project.

Instances are `(video, label, start, end)` and detections `(video, label, start, end, score)`, times as `Fraction`;
Ambiguous intervals are `(video, start, end)`. Every function returns `{label: AP or None}` at one tIoU threshold; a
label without instances has no AP (None). Equal scores: video name, then table order.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

Instance = tuple[str, str, Fraction, Fraction]
Detection = tuple[str, str, Fraction, Fraction, float]
Interval = tuple[str, Fraction, Fraction]
Result = dict[str, Fraction | None]


def tiou(a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]) -> Fraction:
    shared = min(a[1], b[1]) - max(a[0], b[0])
    if shared <= 0:
        return Fraction(0)
    return Fraction(shared) / ((a[1] - a[0]) + (b[1] - b[0]) - shared)


def interpolated(flags: list[bool], npos: int) -> Fraction:
    """Area under the precision envelope."""
    points, tp = [], 0
    for n, flag in enumerate(flags, start=1):
        tp += flag
        points.append((Fraction(tp, npos), Fraction(tp, n)))
    area, before = Fraction(0), Fraction(0)
    for k, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[k:])
        before = recall
    return area


def not_interpolated(flags: list[bool], npos: int) -> Fraction:
    """Mean over the instances of the precision at the true positives."""
    total, tp = Fraction(0), 0
    for n, flag in enumerate(flags, start=1):
        tp += flag
        if flag:
            total += Fraction(tp, n)
    return total / npos


def per_class(
    classes: list[str],
    instances: list[Instance],
    detections: list[Detection],
    flags_of: Callable[[list[Instance], list[Detection]], list[bool]],
    ap: Callable[[list[bool], int], Fraction],
) -> Result:
    result: Result = {}
    for label in classes:
        mine = [g for g in instances if g[1] == label]
        theirs = sorted((d for d in detections if d[1] == label), key=lambda d: (-d[4], d[0]))
        result[label] = ap(flags_of(mine, theirs), len(mine)) if mine else None
    return result


def activitynet(classes, instances, detections, ambiguous, threshold: Fraction) -> Result:
    """Each detection, by score, locks the free instance it overlaps most, if that reaches the threshold."""

    def flags_of(mine: list[Instance], theirs: list[Detection]) -> list[bool]:
        locked: set[int] = set()
        flags = []
        for video, _, start, end, _ in theirs:
            best, best_tiou = None, threshold
            for i, (v, _, s, e) in enumerate(mine):
                overlap = tiou((start, end), (s, e))
                if v == video and i not in locked and (overlap > best_tiou or (best is None and overlap >= threshold)):
                    best, best_tiou = i, overlap
            if best is not None:
                locked.add(best)
            flags.append(best is not None)
        return flags

    return per_class(classes, instances, detections, flags_of, interpolated)


def thumos14(classes, instances, detections, ambiguous, threshold: Fraction) -> Result:
    """Video by video, each instance frees itself the detection it overlaps most; leftovers on Ambiguous vanish."""
    result: Result = {}
    for label in classes:
        npos = sum(g[1] == label for g in instances)
        scored: list[tuple[float, bool]] = []
        for video in sorted({d[0] for d in detections} | {g[0] for g in instances}):
            dets = sorted((d for d in detections if d[0] == video and d[1] == label), key=lambda d: -d[4])
            free = [True] * len(dets)
            for v, name, s, e in instances:
                if v != video or name != label:
                    continue
                candidates = [(tiou((d[2], d[3]), (s, e)), -i) for i, d in enumerate(dets) if free[i]]
                if candidates and max(candidates)[0] > threshold:
                    free[-max(candidates)[1]] = False
            for d, is_free in zip(dets, free, strict=True):
                on_ambiguous = any(v == video and min(d[3], e) > max(d[2], s) for v, s, e in ambiguous)
                if not is_free or not on_ambiguous:
                    scored.append((d[4], not is_free))
        flags = [flag for _, flag in sorted(scored, key=lambda pair: -pair[0])]
        result[label] = not_interpolated(flags, npos) if npos else None
    return result


def _snippets(start: Fraction, end: Fraction) -> set[int]:
    return set(range(round(start * Fraction(25, 16)), round(end * Fraction(25, 16))))


def _wtalc(classes, instances, detections, ambiguous, threshold: Fraction, first: bool, ap) -> Result:
    kept = [
        d for d in detections if not any(v == d[0] and _snippets(s, e) & _snippets(d[2], d[3]) for v, s, e in ambiguous)
    ]

    def flags_of(mine: list[Instance], theirs: list[Detection]) -> list[bool]:
        free = list(mine)
        flags = []
        for video, _, start, end, _ in theirs:
            predicted = _snippets(start, end)
            able = []
            for i, (v, _, s, e) in enumerate(free):
                truth = _snippets(s, e)
                if v == video and predicted & truth:
                    overlap = Fraction(len(predicted & truth), len(predicted | truth))
                    if overlap >= threshold:
                        able.append((0 if first else -overlap, i))
            if able:
                del free[min(able)[1]]
            flags.append(bool(able))
        return flags

    return per_class(classes, instances, kept, flags_of, ap)


def wtalc(classes, instances, detections, ambiguous, threshold: Fraction) -> Result:
    """Sets of snippets; detections that share one with an Ambiguous interval are removed; then as activitynet."""
    return _wtalc(classes, instances, detections, ambiguous, threshold, False, interpolated)


def wtalc_original(classes, instances, detections, ambiguous, threshold: Fraction) -> Result:
    """As wtalc, but the first free instance that reaches the threshold is taken, and AP is not interpolated."""
    return _wtalc(classes, instances, detections, ambiguous, threshold, True, not_interpolated)


ORACLES = {"activitynet": activitynet, "thumos14": thumos14, "wtalc": wtalc, "wtalc-original": wtalc_original}
