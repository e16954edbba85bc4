"""Measures on cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from wtal_core.demo.measures import best_detections, covered_share, measure, mining_quality, operating_point
from wtal_core.errors import DataError
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

Row = tuple[str, str, float, float]


def segments(*rows: Row) -> Segments:
    return Segments(*(list(c) for c in zip(*rows, strict=True))) if rows else Segments.empty()


def world(
    instances: Sequence[Row],
    phases: Sequence[Row],
    context: Sequence[Row],
    fakes: Sequence[Row],
    static: Sequence[Row] = (),
) -> Annotations:
    return Annotations(
        classes=("Dive", "Golf"),
        videos={v: VideoInfo(subset="test", duration=100.0) for v in ("a", "b")},
        instances=segments(*instances),
        tracks={
            "phases": segments(*phases),
            "context": segments(*context),
            "fakes": segments(*fakes),
            "static": segments(*static),
        },
    )


def detections(*rows: tuple[str, str, float, float, float]) -> Detections:
    return Detections(*(list(c) for c in zip(*rows, strict=True)))


def three_phases(video: str, start: float) -> list[Row]:
    """A swing of ten seconds: four, two and four."""
    return [
        (video, "Golf/back", start, start + 4),
        (video, "Golf/hit", start + 4, start + 6),
        (video, "Golf/follow", start + 6, start + 10),
    ]


TRUTH = world(
    [("a", "Golf", 10, 20), ("b", "Golf", 50, 60)],
    [*three_phases("a", 10), *three_phases("b", 50)],
    [("a", "Golf/tee", 20, 30), ("b", "Dive/platform", 60, 70)],
    [("a", "Golf/practice", 40, 44), ("b", "Golf/practice", 80, 84)],
    [("a", "static", 22, 26), ("b", "static", 60, 66)],
)


def test_perfect_detections() -> None:
    found = measure(detections(("a", "Golf", 10, 20, 2), ("b", "Golf", 50, 60, 1)), TRUTH)
    assert found.average_map == 1.0
    assert found.completeness == found.found == found.on_action == 1.0
    assert found.on_context == found.on_fake == found.on_background == found.false_alarms == 0.0
    assert found.action_time == 0.5  # the operating point ends where half is covered


def test_incomplete_and_over_complete() -> None:
    # In a only the hit and the follow-through; in b the action, another class's context, a fake.
    rows = detections(("a", "Golf", 14, 20, 3), ("b", "Golf", 50, 70, 2), ("b", "Golf", 80, 82, 2.5))
    found = measure(rows, TRUTH)
    assert found.completeness == pytest.approx((2 / 3 + 1) / 2)
    assert found.found == 1.0
    # Six seconds of the first action are not half of the twenty: all three detections are needed.
    assert found.action_time == pytest.approx(16 / 20)
    assert found.on_action == pytest.approx(16 / 28)
    assert found.on_context == 0.0  # the platform belongs to another class
    assert found.on_fake == pytest.approx(2 / 28)
    assert found.on_background == pytest.approx(10 / 28)
    assert found.false_alarms == 0.5  # exactly half of the second fake


def test_own_context_counts() -> None:
    found = measure(detections(("a", "Golf", 10, 25, 1)), TRUTH)
    assert found.on_action == pytest.approx(10 / 15)
    assert found.on_context == pytest.approx(5 / 15)
    assert found.static_context == pytest.approx(3 / 10)  # of 22 to 26 and of the platform's 60 to 66
    assert found.action_time == 0.5


def test_time_counts_once_and_shares_add_up() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 80, 40)
    rows = Detections(
        rng.choice(["a", "b"], 40).tolist(), "Golf", start, start + rng.uniform(1, 15, 40), rng.random(40)
    )
    found = measure(rows, TRUTH)
    assert found.on_action + found.on_context + found.on_fake + found.on_background == pytest.approx(1.0)
    doubled = measure(Detections.concat([rows, rows]), TRUTH)
    assert doubled.on_action == pytest.approx(found.on_action)
    assert doubled.false_alarms == found.false_alarms


def test_operating_point_ends_where_half_of_the_time_is_covered() -> None:
    rows = detections(
        ("a", "Golf", 10, 16, 5), ("a", "Golf", 30, 40, 4), ("a", "Golf", 14, 20, 3), ("b", "Golf", 50, 60, 2)
    )
    chosen, share = operating_point(rows, TRUTH.instances)
    assert chosen.score.tolist() == [5, 4, 3]
    assert share == 0.5
    tied = detections(("a", "Golf", 10, 20, 1), ("a", "Golf", 70, 80, 1), ("b", "Golf", 0, 1, 0))
    assert operating_point(tied, TRUTH.instances)[0].start.tolist() == [10, 70]  # the same score, the same fate


def test_operating_point_without_enough_action_keeps_all() -> None:
    rows = detections(("a", "Golf", 0, 5, 1), ("a", "Golf", 10, 19, 1), ("a", "Dive", 0, 5, 9))
    chosen, share = operating_point(rows, TRUTH.instances)
    assert chosen.label.tolist() == ["Golf", "Golf"]  # no instance of Dive, so no operating point for it
    assert share == pytest.approx(9 / 20)


def test_best_is_the_highest_score_that_meets() -> None:
    rows = detections(
        ("a", "Golf", 10, 10.5, 9), ("a", "Golf", 12, 18, 5), ("a", "Golf", 10, 20, 4), ("b", "Dive", 50, 60, 9)
    )
    assert best_detections(rows, TRUTH.instances).tolist() == [1, -1]


def test_covered_share_merges() -> None:
    rows = segments(("a", "Golf", 0, 6), ("a", "Golf", 4, 8), ("b", "Golf", 0, 10))
    assert covered_share(segments(("a", "Golf", 0, 10), ("b", "Dive", 0, 10)), rows) == pytest.approx([0.8, 0.0])


def test_no_detections() -> None:
    other = Detections("a", "Dive", [1.0], [2.0], [0.5])
    found = measure(other, TRUTH)
    assert found.average_map == found.completeness == found.found == found.false_alarms == 0.0
    assert math.isnan(found.on_action)


def test_needs_a_demo_world() -> None:
    plain = Annotations(
        classes=("Golf",), videos={"a": VideoInfo(subset="test")}, instances=segments(("a", "Golf", 1, 2))
    )
    with pytest.raises(DataError, match="phases"):
        measure(detections(("a", "Golf", 1, 2, 1)), plain)


def test_mining_quality() -> None:
    tracks = {
        "static": segments(("a", "static", 0, 10), ("b", "static", 0, 10)),
        "static_mined": segments(("a", "static", 5, 15), ("a", "static", 20, 25)),
    }
    annotations = Annotations(
        classes=("Golf",),
        videos={"a": VideoInfo(subset="train"), "b": VideoInfo(subset="train")},
        instances=segments(("a", "Golf", 1, 2)),
        tracks=tracks,
    )
    assert mining_quality(annotations) == pytest.approx((5 / 20, 5 / 15))
    with pytest.raises(DataError, match="not mined"):
        mining_quality(TRUTH)
