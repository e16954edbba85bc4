"""Greedy matching: who picks which partner, one after the other, at every tIoU threshold at once.

Instances and detections of one video and class form a *group*; groups have nothing to do with each other. Small groups
are matched together, as array operations over all of their overlapping pairs (`serial_choice`). A group with millions
of pairs is matched one agent after the other, so that its pairs never lie in memory together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wtal_core.arrays import FloatArray, IntArray, stable_argsort
from wtal_core.evaluation.protocols import Denominator, EvaluationProtocol
from wtal_core.intervals import IntervalIndex, Windows, temporal_iou

__all__ = ["NONE", "Hits", "Nearest", "best_of", "choose", "serial_choice"]

#: Candidate pairs of small groups that are held in memory at once; a group with more is matched agent by agent.
PAIRS_AT_ONCE = 500_000

#: No partner.
NONE = -1

_LAST = np.iinfo(np.int64).max  # stands behind every number


@dataclass(frozen=True, eq=False)
class Hits:
    """Pairs that were matched.

    Args:
        level: `(H,)` index of the threshold.
        detection, instance: `(H,)` who was matched.
    """

    level: IntArray
    detection: IntArray
    instance: IntArray

    @classmethod
    def concat(cls, parts: list[Hits]) -> Hits:
        """Return the hits of all parts, one part after the other."""
        none = [np.zeros(0, dtype=np.int64)]
        return cls(
            np.concatenate(none + [p.level for p in parts]),
            np.concatenate(none + [p.detection for p in parts]),
            np.concatenate(none + [p.instance for p in parts]),
        )


@dataclass(frozen=True, eq=False)
class Nearest:
    """The partner with the highest tIoU, whether matched or not: of N detections and of G instances.

    Args:
        instance: `(N,)` of each detection, -1 where none shares time; ties: the first in annotation order.
        instance_tiou: `(N,)` its tIoU, 0 where none shares time.
        detection: `(G,)` of each instance, -1 where none shares time; ties: the lowest number.
        detection_tiou: `(G,)` its tIoU.
    """

    instance: IntArray
    instance_tiou: FloatArray
    detection: IntArray
    detection_tiou: FloatArray

    @classmethod
    def unknown(cls, detections: int, instances: int) -> Nearest:
        """Return arrays to be filled."""
        return cls(
            np.full(detections, NONE, dtype=np.int64),
            np.zeros(detections),
            np.full(instances, NONE, dtype=np.int64),
            np.zeros(instances),
        )

    def add(self, detection: IntArray, instance: IntArray, tiou: FloatArray) -> None:
        """Take in all pairs of some detections and instances; those of one detection lie next to each other."""
        owner, partner, highest = best_of(detection, tiou, instance)
        self.instance[owner], self.instance_tiou[owner] = partner, highest
        np.maximum.at(self.detection_tiou, instance, tiou)
        is_highest = tiou == self.detection_tiou[instance]
        instance, detection = instance[is_highest], detection[is_highest]
        self.detection[instance[::-1]] = detection[::-1]  # the first of equal ones is written last


def best_of(owner: IntArray, value: FloatArray, partner: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return `(owner, partner, value)` of the highest value of each owner, with the lowest partner that has it.

    Args:
        owner: `(P,)` equal ones next to each other.
        value, partner: `(P,)`.
    """
    if not owner.size:
        return owner, partner, value
    first = np.flatnonzero(np.diff(owner, prepend=owner[0] - 1))
    highest = np.maximum.reduceat(value, first)
    is_highest = value == np.repeat(highest, np.diff(first, append=owner.size))
    return owner[first], np.minimum.reduceat(np.where(is_highest, partner, _LAST), first), highest


def serial_choice(agent: IntArray, item: IntArray) -> IntArray:
    """Let agents pick one item each, one agent after the other, and return the pairs that come about.

    This is greedy matching: agent 0 takes its favourite item, agent 1 its favourite of those left, and so on. It is
    computed for all agents at once as deferred acceptance: everyone asks for its favourite, an item keeps the first
    agent that asked, the others ask for their next choice. Since all items rank the agents alike, the outcome is that
    of the serial process (there is only one stable matching), but it takes as many rounds as the longest chain of
    displacements, not as many as there are agents.

    Args:
        agent: `(P,)` non-decreasing; a lower number picks earlier.
        item: `(P,)` the items >= 0 an agent may have, favourite first.

    Returns:
        Ascending indices into the P pairs, at most one per agent and per item.
    """
    if not agent.size:
        return np.zeros(0, dtype=np.int64)
    first = np.flatnonzero(np.diff(agent, prepend=agent[0] - 1))
    stop = np.append(first[1:], agent.size)
    asking = np.arange(first.size)  # agents without an item and with choices left
    choice = first.copy()  # the pair each agent has come to
    nobody = first.size
    holder = np.full(int(item.max()) + 1, nobody, dtype=np.int64)
    while asking.size:
        wanted = item[choice[asking]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, asking)
        after = holder[wanted]
        displaced = np.unique(before[(before != after) & (before != nobody)])
        asking = np.concatenate([asking[after != asking], displaced])
        choice[asking] += 1
        asking = asking[choice[asking] < stop[asking]]
    return np.sort(choice[holder[holder != nobody]])


def choose(
    order: IntArray,
    group: IntArray,
    start: FloatArray,
    end: FloatArray,
    index: IntervalIndex,
    protocol: EvaluationProtocol,
    tiou: FloatArray,
    nearest: Nearest | None = None,
) -> Hits:
    """Match detections to the instances of their group.

    Args:
        order: `(N,)` the detections group by group, best first in each: ascending inside a group.
        group, start, end: `(N,)` of the detections.
        index: the instances.
        protocol: who chooses, and what.
        tiou: `(S,)` thresholds.
        nearest: filled with the nearest partners where it is given.
    """
    hits = []
    for some in _whole_groups(order, group):
        windows = index.windows(group[some], start[some], end[some])
        windows = Windows(some[windows.query], windows.first, windows.count)
        for part, crowded in _parts(windows, group):
            if crowded:
                hits.append(_one_by_one(part, start, end, index, protocol, tiou, nearest))
                continue
            detection, place = index.sharing(part, start, end)
            overlap = temporal_iou(
                start[detection], end[detection], index.start[place], index.end[place], protocol.denominator
            )
            instance = index.row[place]
            if nearest is not None:
                nearest.add(detection, instance, overlap)
            hits.append(_together(detection, instance, overlap, protocol, tiou))
    return Hits.concat(hits)


def _whole_groups(order: IntArray, group: IntArray) -> Iterator[IntArray]:
    """Yield `order` in parts of about `PAIRS_AT_ONCE` that cut no group."""
    at = 0
    while at < order.size:
        stop = min(at + PAIRS_AT_ONCE, order.size)
        same = group[order[stop - 1]]
        while stop < order.size and group[order[stop]] == same:
            ahead = group[order[stop : stop + PAIRS_AT_ONCE]] == same
            stop += int(ahead.size if ahead.all() else ahead.argmin())
        yield order[at:stop]
        at = stop


def _parts(windows: Windows, group: IntArray) -> Iterator[tuple[Windows, bool]]:
    """Yield whole groups with about `PAIRS_AT_ONCE` pairs together, and one by one those with more (True)."""
    groups, count = group[windows.query], windows.count
    if not count.size:
        return
    first = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    pairs = np.add.reduceat(count, first)
    crowded = pairs > PAIRS_AT_ONCE
    number = np.cumsum(np.where(crowded, 0, pairs)) // PAIRS_AT_ONCE  # of the part
    new = np.diff(number, prepend=-1) != 0
    new |= crowded
    new[1:] |= crowded[:-1]
    begin = np.flatnonzero(new)
    bounds = np.append(first[begin], count.size).tolist()
    for i, which in enumerate(begin.tolist()):
        yield windows.part(bounds[i], bounds[i + 1]), bool(crowded[which])


def _together(
    detection: IntArray, instance: IntArray, overlap: FloatArray, protocol: EvaluationProtocol, tiou: FloatArray
) -> Hits:
    """Match from all pairs that share time, group by group, ascending in the detection inside a group."""
    pair = np.flatnonzero(overlap > tiou.min() if protocol.strict else overlap >= tiou.min())
    detection, instance, overlap = detection[pair], instance[pair], overlap[pair]
    first = np.flatnonzero(np.diff(detection, prepend=-1))
    number = np.repeat(np.arange(first.size), np.diff(first, append=detection.size))  # of the detection, in this part
    instances_choose = protocol.chooser == "instances"
    agent, item = (instance, number) if instances_choose else (number, instance)
    order = stable_argsort(agent)
    again = agent[order[1:]] == agent[order[:-1]]
    several = np.flatnonzero(np.append(again, False) | np.append(False, again)[: order.size])  # who has a choice
    pair = order[several]
    keys = (item[pair],) if protocol.preference == "table order" else (item[pair], -overlap[pair])
    order[several] = pair[np.lexsort((*keys, agent[pair]))]
    agent, item, overlap = agent[order], item[order], overlap[order]
    # Every threshold gets its own copy of agents and items: (S, P) -> flat list of the pairs that reach it.
    reached = overlap > tiou[:, None] if protocol.strict else overlap >= tiou[:, None]
    level, which = np.nonzero(reached)
    agents, items = agent.max(initial=0) + 1, item.max(initial=0) + 1
    chosen = serial_choice(level * agents + agent[which], level * items + item[which])
    level, agent, item = level[chosen], agent[which[chosen]], item[which[chosen]]
    if instances_choose:
        return Hits(level, detection[first[item]], agent)
    return Hits(level, detection[first[agent]], item)


# -- one group with very many pairs -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Crowd:
    """Those of one group that pick, and those that are picked.

    Args:
        start, end: `(A,)` the agents in the order in which they pick.
        windows: `(A,)` the items that an agent may share time with.
        item_start, item_end: `(I,)` the items, by start time.
        item: `(I,)` their numbers: of several that an agent likes equally it picks the lowest.
    """

    start: FloatArray
    end: FloatArray
    windows: Windows
    item_start: FloatArray
    item_end: FloatArray
    item: IntArray

    def overlaps(self, denominator: Denominator) -> Iterator[tuple[int, slice, FloatArray]]:
        """Yield every agent with its window and the tIoU with each item there."""
        starts, ends = self.start.tolist(), self.end.tolist()
        first, stop = self.windows.first.tolist(), (self.windows.first + self.windows.count).tolist()
        for agent, a, b in zip(range(len(starts)), first, stop, strict=True):
            tiou = temporal_iou(starts[agent], ends[agent], self.item_start[a:b], self.item_end[a:b], denominator)
            yield agent, slice(a, b), tiou


def _one_by_one(
    windows: Windows,
    start: FloatArray,
    end: FloatArray,
    index: IntervalIndex,
    protocol: EvaluationProtocol,
    tiou: FloatArray,
    nearest: Nearest | None,
) -> Hits:
    """Match one group, one agent after the other."""
    detection = windows.query
    own = slice(int(windows.first.min()), int((windows.first + windows.count).max()))
    instance, begin, stop = index.row[own], index.start[own], index.end[own]
    crowd = _Crowd(start[detection], end[detection], windows.moved(-own.start), begin, stop, instance)
    watch = None if nearest is None else _Watch(nearest, detection, instance)
    if protocol.chooser == "detections":
        level, agent, place = _pick(crowd, protocol, tiou, watch)
        found = Hits(level, detection[agent], instance[place])
    else:
        order = np.argsort(instance)  # annotation order
        reverse = IntervalIndex(np.zeros_like(detection), crowd.start, crowd.end)
        seen = reverse.windows(np.zeros_like(order), begin[order], stop[order])
        order = order[seen.query]
        turned = _Crowd(begin[order], stop[order], seen, reverse.start, reverse.end, detection[reverse.row])
        level, agent, place = _pick(turned, protocol, tiou, None)
        found = Hits(level, turned.item[place], instance[order[agent]])
        if watch is not None:
            for which, window, overlap in crowd.overlaps(protocol.denominator):
                watch.see(which, window, overlap)
    if watch is not None:
        watch.finish()
    return found


def _pick(
    crowd: _Crowd, protocol: EvaluationProtocol, tiou: FloatArray, watch: _Watch | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Return `(level, agent, place of the item)` of all picks."""
    reach = np.greater if protocol.strict else np.greater_equal
    free = np.ones((tiou.size, crowd.item.size), dtype=np.bool_)
    picks: list[tuple[IntArray, IntArray, IntArray]] = []

    def pick(level: IntArray, agent: int, place: Any) -> None:
        free[level, place] = False
        picks.append((level, np.full_like(level, agent), np.broadcast_to(place, level.shape)))

    for agent, window, overlap in crowd.overlaps(protocol.denominator):
        if watch is not None:
            watch.see(agent, window, overlap)
        item, highest = crowd.item[window], overlap.max()
        level = np.flatnonzero(reach(highest, tiou))
        if protocol.preference == "highest tIoU" and level.size:
            # Where the favourite is free nothing else has to be looked at.
            favourite = window.start + int(np.where(overlap == highest, item, _LAST).argmin())
            got = free[level, favourite]
            pick(level[got], agent, favourite)
            level = level[~got]
        able = free[level, window] & reach(overlap, tiou[level, None])  # (levels, items of the window)
        some = able.any(axis=1)
        level, able = level[some], able[some]
        if not level.size:
            continue
        if protocol.preference == "highest tIoU":
            liking = np.where(able, overlap, NONE)
            able = liking == liking.max(axis=1, keepdims=True)
        pick(level, agent, np.where(able, item, _LAST).argmin(axis=1) + window.start)
    none = np.zeros(0, dtype=np.int64)
    level, agents, places = (np.concatenate([none, *column]) for column in zip(*picks, strict=True)) if picks else (
        none, none, none
    )  # fmt: skip
    return level, agents, places


class _Watch:
    """Notes the nearest partners of one group while its detections pass by, best first.

    Args:
        nearest: what is filled.
        detection: `(A,)` number of each detection that passes.
        instance: `(I,)` number of each instance, by start time.
    """

    def __init__(self, nearest: Nearest, detection: IntArray, instance: IntArray) -> None:
        self._nearest, self._detection, self._instance = nearest, detection, instance
        self._tiou = np.zeros(instance.size)
        self._by = np.full(instance.size, NONE, dtype=np.int64)

    def see(self, agent: int, window: slice, overlap: FloatArray) -> None:
        """Take in one detection."""
        highest = overlap.max()
        if highest <= 0:
            return
        detection = self._detection[agent]
        self._nearest.instance[detection] = self._instance[window][overlap == highest].min()
        self._nearest.instance_tiou[detection] = highest
        better = overlap > self._tiou[window]  # of equal ones the first stays
        self._by[window][better] = detection
        self._tiou[window][better] = overlap[better]

    def finish(self) -> None:
        """Write down what the instances saw."""
        self._nearest.detection[self._instance] = self._by
        self._nearest.detection_tiou[self._instance] = self._tiou
