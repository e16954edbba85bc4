"""Annotations refuse what contradicts itself, and select and rename what they hold."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from wtal_core.errors import DataError, UsageError
from wtal_core.records import Annotations, Segments, VideoInfo


def truth(**changes: Any) -> Annotations:
    values: dict[str, Any] = {
        "classes": ("a", "b"),
        "videos": {
            "v1": VideoInfo(subset="train", duration=10.0, labels=("a", "b")),
            "v2": VideoInfo(subset="test"),
            "v3": VideoInfo(subset="test", duration=3),
        },
        "instances": Segments(["v1", "v2"], ["a", "b"], [0.0, 1.0], [1.0, 2.0]),
        "ambiguous": Segments("v2", "Ambiguous", [5.0], [6.0]),
        "tracks": {"phases": Segments("v3", "run-up", [0.0], [1.0])},
        "source": "truth.json",
    }
    return Annotations(**values | changes)


def test_subsets_and_selection() -> None:
    found = truth()
    assert found.subsets() == ("test", "train")
    test = found.subset("test")
    assert list(test.videos) == ["v2", "v3"]
    assert test.classes == found.classes
    assert len(test.instances) == len(test.ambiguous) == len(test.tracks["phases"]) == 1
    assert list(found.subset("test", "train").videos) == ["v1", "v2", "v3"]
    assert list(found.only(["v3", "v1", "nowhere"]).videos) == ["v1", "v3"]
    with pytest.raises(UsageError, match=r"truth\.json: unknown subset 'tests'.*Did you mean 'test'"):
        found.subset("tests")


def test_stated_labels_win_over_those_of_segments() -> None:
    videos, labels = truth().video_labels()
    assert videos == ("v1", "v2", "v3")
    assert labels.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert labels.dtype == np.float32


def test_renamed_videos() -> None:
    found = truth().renamed_videos(str.upper)
    assert list(found.videos) == ["V1", "V2", "V3"]
    assert found.instances.video.tolist() == ["V1", "V2"]
    assert found.tracks["phases"].video.tolist() == ["V3"]
    with pytest.raises(DataError, match="two videos would have the same id"):
        truth().renamed_videos(lambda video: "v")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a", "b", "a")}, r"truth\.json: a class is listed twice \(got \['a'\]\)"),
        ({"classes": ("a",)}, r"unknown class 'b' \(expected one of: a\)"),
        ({"videos": {"v1": VideoInfo(labels=("c",))}, "instances": Segments.empty()}, "unknown class 'c'"),
        ({"instances": Segments("v9", "a", [0.0], [1.0])}, r"instances name videos that are not listed.*\['v9'\]"),
        ({"ambiguous": Segments("v9", "a", [0.0], [1.0])}, "ambiguous name videos that are not listed"),
        ({"tracks": {"fakes": Segments("v9", "a", [0.0], [1.0])}}, "fakes name videos that are not listed"),
    ],
)
def test_annotations_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        truth(**changes)


def test_annotations_cannot_be_changed_but_copied_and_pickled() -> None:
    found = truth()
    with pytest.raises(TypeError):
        found.videos["v9"] = VideoInfo()  # type: ignore[index]
    with pytest.raises(AttributeError):
        found.classes = ()  # type: ignore[misc]
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert dict(other.videos) == dict(found.videos)
        assert other.instances == found.instances
        with pytest.raises(TypeError):
            other.tracks["x"] = Segments.empty()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": 0}, r"duration is out of range \(expected a finite number > 0, or nothing, got 0\)"),
        ({"duration": -3.0}, "duration is out of range"),
        ({"duration": math.nan}, "duration is out of range"),
        ({"duration": "12"}, "duration is out of range"),
        ({"duration": True}, "duration is out of range"),
        ({"fps": math.inf}, "fps is out of range"),
        ({"num_frames": 0}, "num_frames is out of range"),
        ({"labels": "Diving"}, r"labels is of the wrong type \(expected a sequence of texts, got str .Diving.\)"),
    ],
)
def test_facts_of_a_video_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        VideoInfo(**change)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"videos": {"a": None}}, "videos['a']", "expected a VideoInfo, got None"),
        ({"videos": {3: VideoInfo()}}, "a key of videos", "expected a text, got int 3"),
        ({"videos": ["v1"]}, "videos", "expected a mapping of names to VideoInfo"),
        ({"instances": None}, "instances", "expected Segments, got None"),
        ({"ambiguous": {}}, "ambiguous", "expected Segments"),
        ({"tracks": {"phases": [1]}}, "tracks['phases']", "expected Segments, got list [1]"),
        ({"tracks": None}, "tracks", "expected a mapping"),
        ({"classes": "ab"}, "classes", "expected a sequence of texts, got str 'ab'"),
        ({"classes": None}, "classes", "expected a sequence of texts, got None"),
        ({"classes": ("a", 2)}, "classes[1]", "expected a text, got int 2"),
        ({"notes": "one"}, "notes", "expected a sequence of texts"),
        ({"source": None}, "source", "expected a text, got None"),
    ],
)
def test_every_field_has_a_type(changes: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        truth(**changes)
    assert f": {field} is of the wrong type ({expected}" in str(caught.value)


def test_annotations_print_in_a_few_lines() -> None:
    lines = repr(truth()).splitlines()
    assert lines[0] == "Annotations: 2 classes, 3 videos (2 test, 1 train), 2 instances"
    assert [line.split() for line in lines[1:]] == [
        ["ambiguous", "1", "interval"],
        ["tracks", "phases", "(1)"],
        ["source", "truth.json"],
        ["class", "videos", "instances", "seconds"],
        ["a", "1", "1", "1.000"],
        ["b", "1", "1", "1.000"],
    ]
    many = truth(classes=tuple("abcdefghij"), source="x" * 500)
    assert len(repr(many).splitlines()) < 12
    assert max(map(len, repr(many).splitlines())) < 130
    assert "<td>truth.json</td>" in truth()._repr_html_()
