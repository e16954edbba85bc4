"""Notes that stay with the run, filters, what another run gets right, and moments to draw."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wtal_core.analysis.failures import FailureNotes, Note, filter_failures, moment_of, right_elsewhere, tagged_videos
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import describe_failure, diagnose
from wtal_core.records import Activations, Annotations, Detections, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

TRUTH = Annotations(
    classes=("A", "B"),
    videos={"v": VideoInfo(duration=100.0), "w": VideoInfo()},
    instances=Segments("v", ["A", "A", "B"], [20, 40, 60], [30, 50, 70]),
    tracks={"fakes": Segments("v", ["A/swing", "B/other"], [80, 81], [84, 85])},
)
#: too short for [20, 30]; on the fake; B found.
FIRST = Detections("v", ["A", "A", "B"], [20, 80, 60], [24, 84, 70], [0.9, 0.8, 0.7])
#: [20, 30] found; the same fake; B not found.
SECOND = Detections("v", ["A", "A"], [20, 80.5], [30, 84], [0.9, 0.8])


# -- notes ----------------------------------------------------------------------------------------------------------


def test_notes_are_kept_with_the_run(tmp_path: Path) -> None:
    notes = FailureNotes(tmp_path)
    assert notes.all() == {}
    assert notes.get("fp|v|A|1.00|2.00") == Note()
    notes.set("fp|v|A|1.00|2.00", ["replay", " camera   cut ", "replay", ""], "  looks like a jump ")
    again = FailureNotes(tmp_path)
    assert again.get("fp|v|A|1.00|2.00") == Note(("camera cut", "replay"), "looks like a jump")
    notes.set("miss|v|B|3.00|4.00", ["dark"])
    assert again.tags() == ("camera cut", "dark", "replay")
    notes.set("fp|v|A|1.00|2.00")
    assert list(again.all()) == ["miss|v|B|3.00|4.00"]
    assert json.loads((tmp_path / "failures.json").read_text())["version"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["failures.json"]  # nothing temporary is left


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"notes": []}', '{"notes": {"k": {"tags": "a"}}}', '{"notes": {"k": 3}}']
)
def test_damaged_notes_are_said_and_not_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "failures.json").write_text(content)
    with pytest.raises(DataError, match=r"failures\.json"):
        FailureNotes(tmp_path).all()
    with pytest.raises(DataError):
        FailureNotes(tmp_path).set("k", ["new"])
    assert (tmp_path / "failures.json").read_text() == content


def test_notes_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        FailureNotes(tmp_path).set("k", ["x" * 61])
    with pytest.raises(UsageError, match="too long"):
        FailureNotes(tmp_path).set("k", [], "x" * 10_001)


def test_what_another_window_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    first, second = FailureNotes(tmp_path), FailureNotes(tmp_path)
    first.set("k", ["dark", "replay"], "old")
    seen = first.get("k")
    second.set("k", ["dark", "replay", "cut"], "theirs", seen=seen)
    assert first.set("k", ["replay", "crowd"], "mine", seen=seen) == Note(("crowd", "cut", "replay"), "theirs\n\nmine")
    seen = first.get("k")
    second.set("k", [], "", seen=seen)
    assert first.set("k", seen.tags, seen.text, seen=seen) == Note(), "who changes nothing brings nothing back"
    second.set("k", ["a"], "theirs")
    assert first.set("k", ["b"], "", seen=Note()) == Note(("a", "b"), "theirs")


def test_many_windows_write_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(5):
            FailureNotes(tmp_path).set(f"k{number}", [f"tag {number}"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    assert FailureNotes(tmp_path).tags() == tuple(sorted(f"tag {n}" for n in range(16)))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FailureNotes(tmp_path).set("k", ["kept"])

    def refused(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("wtal_core.files.tempfile.mkstemp", refused)  # as in a run folder of somebody else
    with pytest.raises(DataError, match="cannot be written: Permission denied"):
        FailureNotes(tmp_path).set("k", ["lost"])
    assert FailureNotes(tmp_path).tags() == ("kept",)


def test_videos_of_a_tag() -> None:
    notes = {
        "fp|v|A|1.00|2.00": Note(("dark", "replay")), "miss|odd|name|A|3.00|4.00": Note(("dark",)),
        "fp|v|A|5.00|6.00": Note(("dark",)), "fp|w|A|1.00|2.00": Note((), "text alone"),
    }  # fmt: skip
    assert tagged_videos(notes) == {"dark": ("odd|name", "v"), "replay": ("v",)}
    for failure in diagnose(FIRST, TRUTH).failures.itertuples():
        assert tagged_videos({failure.key: Note(("t",))}) == {"t": (failure.video,)}


def test_keys_outlive_the_threshold() -> None:
    at = {t: set(diagnose(FIRST, TRUTH, tiou=t).failures["key"]) for t in (0.3, 0.5)}
    assert "fp|v|A|80.00|84.00" in at[0.3] & at[0.5]
    assert at[0.3] < at[0.5]  # [20, 24] reaches 0.3 and is a failure at 0.5 only


# -- choosing -------------------------------------------------------------------------------------------------------


def kinds(frame: object, order: str = "start") -> list[str]:
    return frame.sort_values(order)["kind"].tolist()  # type: ignore[attr-defined, no-any-return]


def test_filters() -> None:
    failures = diagnose(FIRST, TRUTH).failures
    assert kinds(failures) == ["incomplete", "missed: boundaries", "missed: unseen", "fake"]
    assert kinds(filter_failures(failures, kinds=["fake"])) == ["fake"]
    assert kinds(filter_failures(failures, labels=["B"])) == []
    assert kinds(filter_failures(failures, videos=["w"])) == []
    assert kinds(filter_failures(failures, score=(0.85, 1))) == ["incomplete", "missed: boundaries", "missed: unseen"]
    assert kinds(filter_failures(failures, length=(5, 20))) == ["missed: boundaries", "missed: unseen"]
    assert kinds(filter_failures(failures, keys=["fp|v|A|80.00|84.00"])) == ["fake"]
    assert kinds(filter_failures(failures, explained=False)) == ["incomplete", "missed: unseen", "fake"]
    assert len(filter_failures(failures)) == 4


def test_what_the_other_run_gets_right() -> None:
    first, second = diagnose(FIRST, TRUTH), diagnose(SECOND, TRUTH)
    assert kinds(first.failures[right_elsewhere(first, second)]) == ["incomplete", "missed: boundaries"]
    # [40, 50] is missed by both, the fake is detected by both.
    assert kinds(second.failures[right_elsewhere(second, first)]) == ["missed: video label"]
    assert not right_elsewhere(first, first).any()
    other = Annotations(classes=("A",), videos={"v": VideoInfo()}, instances=Segments("v", "A", [20], [30]))
    with pytest.raises(UsageError, match="different ground truths"):
        right_elsewhere(first, diagnose(FIRST[[0]], other))


# -- moments --------------------------------------------------------------------------------------------------------


def activations(length: int = 100) -> Activations:
    grid = SnippetGrid(fps=1, stride=1, window=1, offset=0, num_snippets=length, duration=float(length))
    cas = np.stack([np.arange(length), np.zeros(length)], axis=1).astype(np.float32)
    return Activations(cas=cas, video_scores=np.ones(2, np.float32), grid=grid, classes=("A", "B"))


def rows_of(failures: object) -> Iterable[SimpleNamespace]:
    return failures.itertuples()  # type: ignore[attr-defined, no-any-return]


def test_a_moment_shows_what_is_around_a_failure() -> None:
    found = diagnose(FIRST, TRUTH)
    failure = next(f for f in rows_of(found.failures) if f.kind == "incomplete")
    moment = moment_of(failure, TRUTH, FIRST, activations())
    assert (moment.t0, moment.t1) == (14.0, 36.0)  # [20, 30] and 0.6 of its length on both sides
    names = {track.name: track for track in moment.tracks}
    assert list(names) == ["ground truth", "detections"]
    assert names["ground truth"].marked.tolist() == [True]
    assert names["detections"].marked.tolist() == [True]
    assert moment.curve_time[0] == 14.0
    assert moment.curve_time[-1] == 36.0
    # Sample i lies at i + 0.5 s and has the value i; the video's range is 0 to 99.
    np.testing.assert_allclose(moment.curve, (moment.curve_time - 0.5) / 99)
    assert len(moment.key_times) == 4
    assert moment.t0 < min(moment.key_times) < max(moment.key_times) < moment.t1


def test_a_moment_of_a_miss_marks_the_instance_and_the_nearest_detection() -> None:
    found = diagnose(FIRST, TRUTH)
    failure = next(f for f in rows_of(found.failures) if f.kind == "missed: boundaries")
    moment = moment_of(failure, TRUTH, FIRST)
    marked = {track.name: track.marked.tolist() for track in moment.tracks}
    assert marked == {"ground truth": [True], "detections": [True]}
    assert moment.curve.size == 0


def test_a_moment_shows_fakes_of_its_class_and_ends_with_the_video() -> None:
    truth = Annotations(
        classes=TRUTH.classes,
        videos={"v": VideoInfo(duration=84.5)},
        instances=TRUTH.instances,
        tracks=TRUTH.tracks,
    )
    failure = next(f for f in rows_of(diagnose(FIRST, truth).failures) if f.kind == "fake")
    moment = moment_of(failure, truth, FIRST, activations(85))
    fakes = next(track for track in moment.tracks if track.name == "fakes")
    assert fakes.labels == ("A/swing",)
    assert moment.t1 == 84.5
    assert moment.curve_time[-1] == 84.5


@pytest.mark.parametrize("video", ["other", "unlisted"])
def test_a_moment_of_a_video_that_is_not_evaluated(video: str) -> None:
    truth = Annotations(
        classes=TRUTH.classes,
        videos={**TRUTH.videos, "other": VideoInfo(subset="train", duration=50.0)},
        instances=Segments.concat([TRUTH.instances, Segments("other", ["A"], [20], [24])]),
    )
    rows = Detections([video, "v"], "A", [20.0, 20.0], [24.0, 30.0], [0.9, 0.8])
    videos = {v: VideoInfo(subset=info.subset or "test", duration=info.duration) for v, info in truth.videos.items()}
    truth = replace(truth, videos=videos)
    failure = next(f for f in rows_of(diagnose(rows, truth, subset="test").failures) if f.video == video)
    assert failure.kind == "other video"
    moment = moment_of(failure, truth, rows)
    assert [track.name for track in moment.tracks] == (["ground truth"] if video == "other" else []) + ["detections"]
    assert (moment.t0, moment.t1) == (17.6, 26.4)
    said = describe_failure(failure, truth, 0.5)
    assert (
        said
        == {
            "other": "This A lies in a video of the subset 'train' that is not evaluated.",
            "unlisted": "This A lies in a video that is not annotated.",
        }[video]
    )


def test_a_moment_shows_the_best_detections_and_the_failure() -> None:
    many = Detections("v", "A", np.full(30, 80.0), np.linspace(82, 84, 30), np.linspace(1, 0, 30))
    last = next(f for f in rows_of(diagnose(many, TRUTH).failures) if not f.miss and f.row == 29)
    track = next(t for t in moment_of(last, TRUTH, many, most=5).tracks if t.name == "detections")
    assert track.start.size == 6
    assert track.marked.tolist() == [False] * 5 + [True]
    assert track.strength.max() == 1
    assert track.strength.min() == 0
