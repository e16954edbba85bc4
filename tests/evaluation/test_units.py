"""Times that are no seconds are noticed and named; times that are, in whatever way they are wrong, are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.data import read_annotations, read_detections
from wtal_core.evaluation import GroundTruthIndex, evaluate
from wtal_core.records import Annotations, Detections, Segments, VideoInfo, as_names


def world(
    seed: int, videos: int = 40, longest: float = 200.0, share: float = 0.08, fps: float | None = None
) -> tuple[Detections, Annotations]:
    """Return instances of one class a video and detections of a middling method: three an instance, and some chance."""
    rng = np.random.default_rng(seed)
    duration = rng.uniform(longest / 3, longest, videos)
    of = np.repeat(np.arange(videos), 4)
    length = duration[of] * share * rng.uniform(0.5, 1.5, of.size)
    start = rng.uniform(0, duration[of] - length)
    label = of % 3
    source = np.repeat(np.arange(of.size), 3)
    wrong = rng.normal(0, 0.15, (source.size, 2)) * length[source, None]
    begin, end = start[source] + wrong[:, 0], start[source] + length[source] + wrong[:, 1]
    chance = rng.random(source.size) < 0.3
    begin = np.where(chance, rng.uniform(0, duration[of[source]] * 0.9), begin).clip(0.0)
    end = np.where(chance, begin + length[source], end).clip(begin, duration[of[source]])

    def names(prefix: str, numbers: Iterable[int]) -> Any:
        return as_names([f"{prefix}{number}" for number in numbers])

    truth = Annotations(
        ("c0", "c1", "c2"),
        {f"v{i}": VideoInfo(duration=float(d), fps=fps) for i, d in enumerate(duration)},
        Segments(names("v", of), names("c", label), start, start + length),
    )
    return Detections(names("v", of[source]), names("c", label[source]), begin, end, rng.random(source.size)), truth


def scaled(rows: Detections, factor: Any) -> Detections:
    return Detections(rows.video, rows.label, rows.start * factor, rows.end * factor, rows.score)


def about_units(rows: Detections, truth: Annotations) -> list[str]:
    words = ("They fit as", "are these times", "do not look like seconds")
    return [note for note in evaluate(rows, truth, tiou=0.5, matches=False).notes if any(w in note for w in words)]


def per_video(rows: Detections, truth: Annotations, name: str) -> np.ndarray[Any, Any]:
    return np.array([getattr(truth.videos[video], name) for video in rows.video])


@pytest.mark.parametrize(
    ("factor", "named"),
    [
        (25, "frames at 25 a second"),
        (30, "frames at 30 a second"),
        (25 / 16, "snippets of 16 frames at 25 a second"),
        (30 / 16, "snippets of 16 frames at 30 a second"),
        (30 / 25, "seconds computed with another frame rate, 30/25 of what they should be"),
        (25 / 30, "seconds computed with another frame rate, 25/30 of what they should be"),
        (24 / 25, "seconds computed with another frame rate, 24/25 of what they should be"),
        ("duration", "shares of the duration"),
        ("parts", "the numbers of 100 equal parts of the video"),
    ],
)
def test_other_units_are_named(factor: Any, named: str) -> None:
    rows, truth = world(0)
    if of_duration := isinstance(factor, str):
        factor = (1 if factor == "duration" else 100) / per_video(rows, truth, "duration")
    without = replace(truth, videos={video: VideoInfo() for video in truth.videos})
    for ground in [truth] if of_duration else [truth, without]:
        (note,) = about_units(scaled(rows, factor), ground)
        assert f"They fit as {named}: read so, both boundaries of " in note
        assert not about_units(rows, ground)


def test_frame_rates_of_the_videos_are_used_where_they_are_known() -> None:
    rows, truth = world(1)
    rates = {video: (24.0, 29.97, 50.0)[i % 3] for i, video in enumerate(truth.videos)}
    truth = replace(truth, videos={v: replace(info, fps=rates[v]) for v, info in truth.videos.items()})
    fps = per_video(rows, truth, "fps")
    (note,) = about_units(scaled(rows, fps), truth)
    assert "They fit as frames of the videos' own rates" in note
    (note,) = about_units(scaled(rows, fps / 25), truth)
    assert "They fit as seconds computed with 25 frames a second instead of the videos' own rates" in note
    assert not about_units(rows, truth)


@pytest.mark.parametrize("longest", [1.0, 4.0, 15.0, 60.0, 600.0])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_seconds_are_seconds(longest: float, share: float, seed: int) -> None:
    """Short videos and long ones; detections that are right, too long, too short, late, everywhere, or chance."""
    rows, truth = world(seed, longest=longest, share=min(share, 0.6))
    rng = np.random.default_rng(seed)
    duration = per_video(rows, truth, "duration")
    length = rows.end - rows.start
    wide = rng.uniform(0, 1, len(rows)) * length
    variants = {
        "right": (rows.start, rows.end),
        "too long": (rows.start - wide, rows.end + wide),
        "too short": (rows.start + wide / 3, rows.end - wide / 3),
        "late": (rows.start + longest / 40, rows.end + longest / 40),
        "whole video": (np.zeros(len(rows)), duration),
        "first half": (np.zeros(len(rows)), duration / 2),
        "rounded": (np.floor(rows.start), np.ceil(rows.end)),
        "chance": (begin := rng.uniform(0, duration), begin + length),
    }
    for name, (start, end) in variants.items():
        start, end = np.clip(start, 0, duration), np.clip(end, 0, duration)
        made = Detections(rows.video, rows.label, start, np.maximum(start, end), rows.score)
        assert not about_units(made, truth), name


def test_few_detections_of_short_videos_are_no_shares() -> None:
    truth = Annotations(("a",), {"v": VideoInfo(duration=3.0)}, Segments("v", ["a"], [0.2], [0.9]))
    assert not about_units(Detections("v", ["a", "a"], [0.1, 0.0], [0.8, 1.0], [0.9, 0.1]), truth)
    long = replace(truth, videos={"v": VideoInfo(duration=60.0)})  # the action is in the first second
    assert not about_units(Detections("v", ["a"] * 30, np.linspace(0, 0.3, 30), np.full(30, 0.9), np.ones(30)), long)


def test_shares_without_a_fit_are_asked_about() -> None:
    """Nothing matches, but twenty detections of a minute's video that end by its first second are no accident."""
    truth = Annotations(("a",), {"v": VideoInfo(duration=60.0)}, Segments("v", ["a"], [50.0], [51.0]))
    rows = Detections("v", ["a"] * 20, np.linspace(0.0, 0.1, 20), np.linspace(0.2, 0.3, 20), np.ones(20))
    (note,) = about_units(rows, truth)
    assert note == (
        "All detections end by 1 s, though half of their videos last 60 s or more: are these times shares of the "
        "duration?"
    )
    assert not about_units(rows[:19], truth)


def test_times_after_the_end_are_counted() -> None:
    names = as_names(["v1", "v2", "new"])
    rows = Detections(names, "a", [1.0, 114.0, 900.0], [2.0, 115.0, 901.0], [0.9, 0.8, 0.7])
    truth = Annotations(
        ("a",),
        {"v1": VideoInfo(duration=10.0), "v2": VideoInfo(duration=10.0)},
        Segments(["v1", "v2"], "a", [1.0, 114.0], [2.0, 115.0]),
    )
    assert not about_units(rows, truth)  # an instance after the stated duration is no mistake of the detections
    (note,) = about_units(scaled(rows, 25), truth)
    assert note.startswith("2 detections of 3 begin after the end of the video: are these times in seconds?")


def test_real_detections_are_seconds(shared: Path) -> None:
    """Published THUMOS14 detections of two methods, in seconds and as they come out of common mistakes."""
    folder = shared / "data" / "autoloc_thumos14_detections"
    truth = GroundTruthIndex(read_annotations(folder / "thumos14_gt.json"))
    rows = read_detections(folder / "thumos14_detections.json")
    of_stpn = shared / "data" / "stpn_thumos14_detections"
    assert not about_units(rows, truth)  # type: ignore[arg-type]
    assert not about_units(read_detections(of_stpn / "results.json"), read_annotations(of_stpn / "gt.json"))
    for factor, named in ((30, "frames at 30"), (30 / 25, "30/25"), (25 / 30, "25/30"), (25 / 16, "16 frames at 25")):
        assert named in about_units(scaled(rows, factor), truth)[0]  # type: ignore[arg-type]


def test_the_demo_runs_are_seconds() -> None:
    demo = Path(__file__).parents[2] / "assets" / "demo"
    truth = GroundTruthIndex(read_annotations(demo / "annotations.json"), "test")
    for run in sorted((demo / "runs").iterdir()):
        assert not about_units(read_detections(run / "detections.json"), truth), run.name  # type: ignore[arg-type]
