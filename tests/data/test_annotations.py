"""Annotations of every format: small hand-made files, round trips, bad input, damage."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.data.annotations import (
    FAULTY_VIDEOS,
    PROBLEM_KINDS,
    THUMOS14_CLASS_IDS,
    detect_format,
    exclude_faulty,
    read_annotations,
    scan_annotations,
    write_annotations,
)
from wtal_core.errors import DataError, UsageError
from wtal_core.files import composed
from wtal_core.records import Annotations, Segments, VideoInfo

GOOD: dict[str, Any] = {
    "version": "1.3",
    "database": {
        "a": {"subset": "training", "duration": 10.0, "annotations": [{"label": "Jump", "segment": [1, 2.5]}]},
        "b": {"subset": "validation", "duration": 20, "annotations": []},
    },
}


def edited(*path: Any, value: Any) -> dict[str, Any]:
    """Return `GOOD` with one place changed; `value` of `...` deletes it."""
    content: Any = json.loads(json.dumps(GOOD))
    place = content["database"]
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content  # type: ignore[no-any-return]


def saved(folder: Path, content: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def rows(table: Segments) -> list[tuple[str, str, float, float]]:
    return list(zip(table.video, table.label, table.start.tolist(), table.end.tolist(), strict=True))


def same(a: Annotations, b: Annotations) -> bool:
    """Everything but where it was read from and the notes."""
    return (
        a.classes == b.classes
        and dict(a.videos) == dict(b.videos)
        and list(a.videos) == list(b.videos)
        and a.instances == b.instances
        and a.ambiguous == b.ambiguous
        and dict(a.tracks) == dict(b.tracks)
    )


# -- each form, by hand ---------------------------------------------------------------------------------------------


def test_activitynet_json(tmp_path: Path) -> None:
    found = read_annotations(saved(tmp_path, GOOD))
    assert found.classes == ("Jump",)
    assert found.videos["a"] == VideoInfo(subset="training", duration=10.0)
    assert list(found.videos) == ["a", "b"]
    assert rows(found.instances) == [("a", "Jump", 1.0, 2.5)]
    assert found.notes == ()
    assert str(tmp_path / "a.json") in found.source
    assert "ActivityNet" in found.source


def test_segments_given_as_text_are_numbers(tmp_path: Path) -> None:
    content = edited("a", "annotations", value=[{"label": "Jump", "segment": ["88.6", "90.9"]}])
    content["database"]["a"]["duration"] = 100
    assert rows(read_annotations(saved(tmp_path, content)).instances) == [("a", "Jump", 88.6, 90.9)]


def test_the_taxonomy_names_classes_without_instances(tmp_path: Path) -> None:
    taxonomy = [
        {"nodeName": "Root", "parentName": None},
        {"nodeName": "Sport", "parentName": "Root"},
        {"nodeName": "Jump", "parentName": "Sport"},
        {"nodeName": "Dive", "parentName": "Sport"},
    ]
    assert read_annotations(saved(tmp_path, GOOD | {"taxonomy": taxonomy})).classes == ("Dive", "Jump")


def test_the_flat_form_takes_subsets_and_rates_from_the_table_beside(tmp_path: Path) -> None:
    flat = {
        "v_1": {
            "duration_second": 10.5, "duration_frame": 315, "feature_frame": 304,
            "annotations": [{"label": "B", "segment": [0, 1]}],
        },
        "v_2": {"duration_second": 3.0, "duration_frame": 90, "annotations": []},
    }  # fmt: skip
    path = saved(tmp_path, flat)
    alone = read_annotations(path)
    assert alone.videos["v_1"] == VideoInfo(duration=10.5, num_frames=315)
    assert "no video_info_new.csv" in alone.notes[0]
    saved(tmp_path, "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_1,315,10.5,30.0,30.0,training,304\n",
          "video_info_new.csv")  # fmt: skip
    saved(tmp_path, "action\nZ\nB\n", "action_name.csv")
    found, problems = scan_annotations(path)
    assert found.videos["v_1"] == VideoInfo(subset="training", duration=10.5, fps=30.0, num_frames=315)
    assert found.classes == ("Z", "B")
    assert [(p.kind, p.fatal) for p in problems] == [("missing_facts", False)]
    assert "v_2" in problems[0].where


def thumos_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


THUMOS = {
    "temporal_annotations_test/GolfSwing_test.txt": "video_test_0000002  3.0 4.5\nvideo_test_0000001  0.1 0.9\n",
    "temporal_annotations_test/Diving_test.txt": "video_test_0000002  1.0 2.0\n",
    "temporal_annotations_test/Ambiguous_test.txt": "video_test_0000003  5.0 6.0\n",
    "temporal_annotations_validation/Diving_val.txt": "video_validation_0000009  1.0 2.0\n",
    "test_durations.txt": "/home/x/video_test_0000001.mp4\n51.328000\nvideo_test_0000099.mp4\n1.0\n",
    "test_avoid_videos.txt": "video_test_0000002 GolfSwing\nvideo_test_0000098 Diving\n",
}


def test_thumos14_text(tmp_path: Path) -> None:
    found, problems = scan_annotations(thumos_folder(tmp_path, THUMOS))
    assert found.classes == ("Diving", "GolfSwing")
    assert list(found.videos) == [
        "video_validation_0000009", "video_test_0000001", "video_test_0000002", "video_test_0000003",
    ]  # fmt: skip
    assert found.videos["video_test_0000001"] == VideoInfo(subset="test", duration=51.328)
    assert found.videos["video_validation_0000009"] == VideoInfo(subset="validation")
    assert rows(found.instances) == [
        ("video_validation_0000009", "Diving", 1.0, 2.0),
        ("video_test_0000002", "Diving", 1.0, 2.0),
        ("video_test_0000002", "GolfSwing", 3.0, 4.5),  # lines stay in the order of the file
        ("video_test_0000001", "GolfSwing", 0.1, 0.9),
    ]
    assert rows(found.ambiguous) == [("video_test_0000003", "Ambiguous", 5.0, 6.0)]
    assert [p.kind for p in problems] == ["avoid_list"]
    one = read_annotations(tmp_path / "temporal_annotations_test")
    assert one.subsets() == ("test",)
    assert one.videos["video_test_0000001"].duration == 51.328  # the list lies in the folder above
    assert len(one.instances) == 3


def test_class_files_without_a_subset_folder(tmp_path: Path) -> None:
    thumos_folder(
        tmp_path, {"GolfSwing_val.txt": "v 1 2\n", "Diving_test.txt": "w 1 2\n", "val_durations.txt": "v\n9\n"}
    )
    found = read_annotations(tmp_path)
    assert {video: info.subset for video, info in found.videos.items()} == {"v": "validation", "w": "test"}
    assert found.videos["v"].duration == 9.0


def test_an_incomplete_thumos14_release_is_noted(tmp_path: Path) -> None:
    names = list(THUMOS14_CLASS_IDS)[:-1]
    found = read_annotations(
        thumos_folder(tmp_path, {f"temporal_annotations_test/{n}_test.txt": "v 1 2\n" for n in names})
    )
    assert any("VolleyballSpiking" in note for note in found.notes)


def wtalc_folder(folder: Path, **changes: Any) -> Path:
    def objects(values: list[Any]) -> Any:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    columns: dict[str, Any] = {
        "videoname": np.array([b"v1", b"v2"]),
        "subset": np.array([b"validation", b"test"]),
        "duration": np.array([[10.0], [20.0]]),
        "classlist": np.array([b"A", b"B"]),
        "segments": objects([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]),
        "labels": objects([["A", "B"], ["A"]]),
        "labels_all": objects([["A", "B"], []]),
        "original_fps": np.array([30.0, 25.0]),
        "extracted_fps": np.array([10, 10]),
    }
    folder.mkdir(exist_ok=True)
    for name, column in (columns | changes).items():
        if column is not None:
            np.save(folder / f"{name}.npy", objects(column) if isinstance(column, list) else column, allow_pickle=True)
    return folder


def test_wtalc_folder(tmp_path: Path) -> None:
    wtalc_folder(tmp_path)
    (tmp_path / "Ambiguous_test.txt").write_text("v2  1.0 2.0\nv3  1.0 2.0\n")
    found, problems = scan_annotations(tmp_path)
    assert found.classes == ("A", "B")
    assert found.videos["v1"] == VideoInfo("validation", 10.0, 30.0, None, ("A", "B"))
    assert found.videos["v2"] == VideoInfo("test", 20.0, 25.0, None, ())
    assert rows(found.instances) == [("v1", "A", 1.0, 2.0), ("v1", "B", 3.0, 4.0), ("v2", "A", 5.0, 6.0)]
    assert rows(found.ambiguous) == [("v2", "Ambiguous", 1.0, 2.0)]
    assert [p.kind for p in problems] == ["fps", "video_labels", "unlisted_video"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [["A"], ["A"]]}, "2 segments and 1 labels"),
        ({"labels": [["A", "C"], ["A"]]}, "class 'C' is not one of the 2 listed"),
        ({"labels_all": [["A"], ["X"]]}, "class 'X' is not one"),
        ({"segments": [[[1.0, 2.0], [4.0, 3.0]], [[5.0, 6.0]]]}, "inverted"),
        ({"segments": [[[1.0, 2.0], 3.0], [[5.0, 6.0]]]}, r"not \[start, end\]"),
        ({"segments": [None, [[5.0, 6.0]]]}, "not a list"),
        ({"videoname": np.array([b"v1"])}, "differ in length"),
        ({"videoname": np.array([b"v1", b"v1"])}, "listed before"),
        ({"duration": np.array([[np.nan], [1.0]])}, "duration is not a finite number"),
        ({"original_fps": np.array([0.0, 1.0])}, "fps is not a finite number > 0"),
        ({"subset": None}, "subset.npy: does not exist"),
        ({"subset": np.float64(3)}, "wrong shape"),
    ],
)
def test_bad_wtalc_folders(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(wtalc_folder(tmp_path / "w", **changes))
    assert str(tmp_path) in str(caught.value)


def test_csv(tmp_path: Path) -> None:
    path = saved(tmp_path, "video,label,start,end,subset\na,Jump,1,2.5,test\n\na,Ambiguous,3,4,test\n", "a.csv")
    found = read_annotations(path)
    assert rows(found.instances) == [("a", "Jump", 1.0, 2.5)]
    assert rows(found.ambiguous) == [("a", "Ambiguous", 3.0, 4.0)]
    assert found.videos["a"].subset == "test"


@pytest.mark.parametrize("mark", [", ", ";", "\t"])
def test_csv_as_spreadsheets_write_it(mark: str, tmp_path: Path) -> None:
    lines = ["video", "label", "start", "end"], ["a", "Long jump", "1", "2.5"]
    found = read_annotations(saved(tmp_path, "".join(mark.join(line) + "\r\n" for line in lines), "a.csv"))
    assert found.classes == ("Long jump",)
    assert found.instances == Segments("a", "Long jump", [1.0], [2.5])


def test_csv_may_say_what_is_known_of_a_video_once(tmp_path: Path) -> None:
    text = "video,label,start,end,subset,duration\na,X,1,2,test,\na,X,3,4,,30\na,X,5,6,test,30\n"
    assert read_annotations(saved(tmp_path, text, "a.csv")).videos["a"] == VideoInfo("test", 30.0)
    with pytest.raises(DataError, match="listed before with other facts"):
        read_annotations(saved(tmp_path, text + "a,X,7,8,train,30\n", "a.csv"))


def test_csv_of_other_tools(tmp_path: Path) -> None:
    header = "video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx\n"
    path = saved(tmp_path, header + "video_test_0000278,0.5,1.4,0,42,215.2,30.0,6455,7\n"
                 "video_test_0000278,2,3,0,42,215.2,30.0,6455,-1\n", "a.csv")  # fmt: skip
    found = read_annotations(path)
    assert rows(found.instances) == [("video_test_0000278", "Diving", 0.5, 1.4)]
    assert len(found.ambiguous) == 1
    assert found.videos["video_test_0000278"] == VideoInfo(None, 215.2, 30.0, 6455)
    with pytest.raises(DataError, match="label index '20'"):
        read_annotations(saved(tmp_path, header + "video_test_0000278,0,1,0,42,215,30,6455,20\n", "a.csv"))


# -- bad input ------------------------------------------------------------------------------------------------------

SEGMENT = ("a", "annotations", 0, "segment")
FATAL = [
    (edited(*SEGMENT, value=[2, 1]), "segment", "inverted.*got \\[2, 1\\]"),
    (edited(*SEGMENT, value=[-1, 1]), "segment", "negative"),
    (edited(*SEGMENT, value=[0, float("nan")]), "segment", "not finite"),
    (edited(*SEGMENT, value=[0, float("inf")]), "segment", "not finite"),
    (edited(*SEGMENT, value=["x", 1]), "segment", "not finite"),
    (edited(*SEGMENT, value=[True, 1]), "segment", "not finite"),
    (edited(*SEGMENT, value=[10**400, 1]), "segment", "not finite"),
    (edited(*SEGMENT, value=[1]), "type", r"not \[start, end\]"),
    (edited(*SEGMENT, value="1 2"), "type", r"not \[start, end\]"),
    (edited(*SEGMENT, value=...), "missing", r"segment is not"),
    (edited("a", "annotations", 0, "label", value=...), "missing", "label is missing"),
    (edited("a", "annotations", 0, "label", value=3), "type", r"label is not text \(got 3\)"),
    (edited("a", "annotations", 0, "label", value=" "), "missing", "label is empty"),
    (edited("a", "annotations", 0, "label", value="\ud800"), "type", "not valid text"),
    (edited("a", "annotations", 0, value=[1, 2]), "type", "not an object"),
    (edited("a", "annotations", value=None), "type", "not a list"),
    (edited("a", "annotations", value=...), "missing", "neither annotations nor labels"),
    (edited("a", value=[]), "type", "not an object"),
    (edited("", value=GOOD["database"]["a"]), "missing", "video id is empty"),
    (edited("a", "duration", value=-1), "number", "duration is not a finite number > 0"),
    (edited("a", "duration", value="long"), "number", "duration"),
    (edited("a", "fps", value=0), "number", "fps"),
    (edited("a", "frames", value=2.5), "number", "num_frames"),
    (edited("a", "subset", value=1), "type", "subset is not text"),
    (edited("a", "labels", value="Jump"), "type", "labels is not a list"),
    (edited("a", "tracks", value=[]), "type", "tracks is not an object"),
    (edited("a", "tracks", value={"instances": []}), "type", "cannot be called 'instances'"),
    (GOOD | {"classes": ["Run", "Jumps"]}, "unknown_class", "'Jump' is not one of the 2 listed; did you mean 'Jumps'"),
    (GOOD | {"classes": ["Jump", "Jump"]}, "type", "a class is listed twice"),
    (GOOD | {"classes": "Jump"}, "type", "not a list of class names"),
    (GOOD | {"row_order": {"instances": [1]}}, "type", "does not number the 1 rows"),
    (GOOD | {"row_order": {"x": [0]}}, "type", "row numbers of a table"),
    (GOOD | {"row_order": []}, "type", "row_order"),
    (GOOD | {"notes": 3}, "type", "list of texts"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "message"), FATAL)
def test_what_cannot_be_trusted_is_refused_and_can_be_listed(
    content: Any, kind: str, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)
    assert caught.value.next_step
    found, problems = scan_annotations(path)
    assert kind in [p.kind for p in problems if p.fatal]
    assert "b" in found.videos  # the rest is still read
    assert all(p.kind in PROBLEM_KINDS and p.where.startswith(str(path)) for p in problems)


def test_an_error_says_how_many_there_are_and_where(tmp_path: Path) -> None:
    bad = {"label": "Jump", "segment": [2, 1]}
    with pytest.raises(DataError, match=r"video a, annotations\[0\].*3 such problems in all"):
        read_annotations(saved(tmp_path, edited("a", "annotations", value=[bad] * 3)))


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (edited(*SEGMENT, value=[1, 11]), "beyond_duration", "ends at 11 s, the video at 10 s"),
        (edited(*SEGMENT, value=[1, 1]), "empty_segment", "empty at 1 s"),
        (edited("a", "annotations", value=GOOD["database"]["a"]["annotations"] * 2), "duplicate", "listed again"),
        (edited("a", "anotations", value=[]), "unknown_key", "did you mean 'annotations'"),
        (GOOD | {"databse": 1}, "unknown_key", "did you mean 'database'"),
        (edited("a", "labels", value=["Jump", "Run"]), "video_labels", "Run"),
    ],
)
def test_oddities_are_kept_and_noted(content: Any, kind: str, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, content)
    found, problems = scan_annotations(path)
    assert [(p.kind, p.fatal) for p in problems] == [(kind, False)]
    assert message in problems[0].message
    assert same(found, read_annotations(path))
    assert len(found.notes) == 1
    assert message in found.notes[0]
    assert len(found.instances) == len(content["database"]["a"]["annotations"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"empty \(0 bytes\)"),
        ('{"database": {"a": {"annot', "not valid JSON.*line 1"),
        ("[1, 2]", "not a JSON object.*got a list"),
        ('{"results": {}}', "results, not annotations.*Name the ground truth"),
        ('{"a": 1}', "JSON of another kind"),
        ("{}", "JSON of another kind"),
        ('{"database": []}', "database is not an object"),
        ('{"database": {}}', "lists no video"),
        ('{"database": {"a": {"annotations": []}, "a": {"annotations": []}}}', "key 'a' is listed twice"),
        ("[" * 100_000, "nested too deeply"),
        ("video_test_0000001 1 2 7 0.5\n", "not an annotation file"),
        ("video,label,start\na,b,1\n", "columns are missing.*no end"),
        ("video,start,end\na,1,2\n", "no label"),
        ("video,label,start,end\na,b,1\n", "wrong number of values.*expected 4.*got 3"),
        ('video,label,start,end\na,"b\n', "not CSV"),
        ("video,label,start,end\na,b,3,2\n", "line 2.*inverted"),
        ("video,label,start,end,score\na,b,1,2,3\n", "these are detections.*Name the ground truth"),
        ("video,label,start,end,subset\na,b,1,2,x\na,b,1,3,y\n", "line 3.*listed before with other facts"),
        ("video,label,start,end\n", "lists no video"),
    ],
)
def test_files_that_are_something_else(text: str, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, text, "file")
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"{\xff\xfe}", b"video,label,start,end\n\xe9,b,1,2\n", "{}".encode("utf-16")])
def test_wrong_encodings(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DataError, match=r"not UTF-8|not an annotation file"):
        read_annotations(tmp_path / "a")


def test_paths_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_annotations(tmp_path / "none")
    with pytest.raises(DataError, match=r"folder without annotations.*got nothing"):
        read_annotations(tmp_path)
    saved(tmp_path, GOOD, "annotations.json")
    with pytest.raises(DataError, match=r"got annotations.json.*name that file"):
        read_annotations(tmp_path)
    with pytest.raises(DataError, match="is a folder"):
        read_annotations(tmp_path, format="activitynet")
    with pytest.raises(DataError, match="is a file"):
        read_annotations(tmp_path / "annotations.json", format="thumos14")
    with pytest.raises(UsageError, match=r"unknown annotation format 'thumos'.*'thumos14'"):
        read_annotations(tmp_path, format="thumos")
    thumos_folder(tmp_path / "t", THUMOS)
    with pytest.raises(DataError, match="part of a folder of annotations"):
        read_annotations(tmp_path / "t" / "temporal_annotations_test" / "GolfSwing_test.txt")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no class files"):
        read_annotations(tmp_path / "none", format="thumos14")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"GolfSwing_test.txt": "v 1\n"}, r"GolfSwing_test.txt, line 1: it is not `video start end`"),
        ({"GolfSwing_test.txt": "v 1 2\nv 3 x\n"}, r"GolfSwing_test.txt, line 2: a segment is not finite"),
        ({"GolfSwing_test.txt": "v 2 1\n"}, "inverted"),
        ({"GolfSwing_test.txt": "v 1_0 2_0\n"}, "not finite"),
        ({"GolfSwing_test.txt": "v 1 2\n", "GolfSwing_val.txt": "v 1 2\n"}, "is in test and in validation"),
        ({"GolfSwing_test.txt": "v 1 2\n", "a_durations.txt": "v\n"}, "does not alternate"),
        ({"GolfSwing_test.txt": "v 1 2\n", "a_durations.txt": "v\nx\n"}, "duration is not a finite number"),
        ({"GolfSwing_test.txt": ""}, "lists no video"),
    ],
)
def test_bad_thumos14_folders(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_annotations(thumos_folder(tmp_path, files))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)
near_rows = st.lists(
    st.fixed_dictionaries({"segment": json_values | st.just([1, 2])}, optional={"label": json_values}), max_size=3
)
near_videos = st.fixed_dictionaries(
    {},
    optional={
        "annotations": json_values | near_rows,
        "ambiguous": json_values | near_rows,
        "tracks": json_values | st.dictionaries(st.text(max_size=3), near_rows, max_size=2),
        **dict.fromkeys(("subset", "duration", "fps", "frames", "labels"), json_values),
    },
)
near_misses = st.fixed_dictionaries(
    {"database": st.dictionaries(st.sampled_from(["a", "b", ""]), json_values | near_videos, max_size=2) | json_values},
    optional=dict.fromkeys(("classes", "taxonomy", "row_order", "notes", "tracks", "version"), json_values),
)


@given(content=near_misses | json_values)
def test_any_json_is_read_or_refused(content: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    for read in (read_annotations, scan_annotations):
        with contextlib.suppress(DataError):
            read(path)


@given(data=st.binary(max_size=60), head=st.sampled_from([b"", b"{", b"video,label,start,end\n", b"a,b\n"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "bytes"
    (folder / "t").mkdir(parents=True, exist_ok=True)
    (folder / "any").write_bytes(head + data)
    (folder / "t" / "Diving_test.txt").write_bytes(data)
    for path in (folder / "any", folder / "t"):
        for read in (read_annotations, scan_annotations):
            with contextlib.suppress(DataError):
                read(path)


# -- writing --------------------------------------------------------------------------------------------------------

names = (
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=6)
    .map(composed)
    .filter(lambda name: name.strip() and name != "Ambiguous")
)
words = (
    st.text(st.characters(categories=["L", "N"], include_characters="-_."), min_size=1, max_size=8)
    .map(composed)
    .filter(lambda word: not word.endswith(".mp4"))
)
seconds = st.floats(0, 1e4).map(abs)


@st.composite
def annotations(draw: st.DrawFn, video_names: st.SearchStrategy[str] = names) -> Annotations:
    classes = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    positive = st.floats(1e-3, 1e5)
    videos = draw(
        st.dictionaries(
            video_names,
            st.builds(
                VideoInfo,
                subset=st.sampled_from(["training", "validation", "test"]) | st.none(),
                duration=st.none() | positive,
                fps=st.none() | positive,
                num_frames=st.none() | st.integers(1, 10**9),
                labels=st.lists(st.sampled_from(classes), unique=True, max_size=3).map(tuple),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def table(labels: st.SearchStrategy[str]) -> Segments:
        found = draw(st.lists(st.tuples(st.sampled_from(list(videos)), labels, seconds, seconds), max_size=8))
        ends = [max(a, b) for _, _, a, b in found]
        return Segments([v for v, *_ in found], [row[1] for row in found], [min(a, b) for _, _, a, b in found], ends)

    tracks = draw(st.lists(names.filter(lambda n: n not in ("instances", "ambiguous")), max_size=2, unique=True))
    return Annotations(
        classes=tuple(classes),
        videos=videos,
        instances=table(st.sampled_from(classes)),
        ambiguous=table(st.just("Ambiguous")),
        tracks={track: table(names) for track in tracks},
        notes=tuple(draw(st.lists(names, max_size=2))),
    )


@given(original=annotations())
def test_activitynet_json_is_lossless(original: Annotations, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_annotations(original, path)
    once = read_annotations(path)
    assert same(original, once)
    assert set(original.notes) <= set(once.notes)
    write_annotations(once, path)
    assert read_annotations(path).notes == once.notes  # findings are not noted twice
    json.loads(path.read_text(), parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))


@given(original=annotations())
def test_csv_keeps_every_segment(original: Annotations, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    write_annotations(original, path)
    if len(original.instances) + len(original.ambiguous) == 0:
        return
    found = read_annotations(path)
    assert rows(found.instances) == rows(original.instances)
    assert rows(found.ambiguous) == rows(original.ambiguous)
    assert {v: i.subset for v, i in found.videos.items()}.items() <= {
        v: i.subset for v, i in original.videos.items()
    }.items()


@given(original=annotations(video_names=words))
def test_thumos14_text_keeps_every_segment(original: Annotations, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("thumos", numbered=True) / "out"
    with_subset = original.only(video for video, info in original.videos.items() if info.subset)
    awkward = any(set(c) & set("/\\") or c.startswith(".") for c in original.classes)
    if awkward and with_subset.videos:
        with pytest.raises(DataError, match="part of a file name"):
            write_annotations(with_subset, path)
        assert not path.exists()
        return
    write_annotations(with_subset, path)
    used = set(with_subset.instances.video) | set(with_subset.ambiguous.video)
    if not used:
        return
    found = read_annotations(path)
    assert set(found.videos) == used
    assert set(found.classes) == set(original.classes)
    for video in used:
        assert found.videos[video].subset == original.videos[video].subset
        assert found.videos[video].duration == original.videos[video].duration
        for label in original.classes:  # the order of the kit: by class, then by line
            pick = [r for r in rows(original.instances) if r[:2] == (video, label)]
            assert [r for r in rows(found.instances) if r[:2] == (video, label)] == pick
    assert sorted(rows(found.ambiguous)) == sorted(rows(with_subset.ambiguous))


def test_writing_says_what_does_not_fit_and_leaves_nothing(tmp_path: Path) -> None:
    found = read_annotations(saved(tmp_path, GOOD))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    blank = Annotations(("A b",), {"two words": VideoInfo("test")}, Segments("two words", ["A b"], [0], [1]))
    no_subset = Annotations(("A",), {"v": VideoInfo()}, Segments("v", ["A"], [0], [1]))
    bad_track = Annotations(("A",), {"v": VideoInfo()}, Segments.empty(), tracks={"ambiguous": Segments.empty()})
    cases: list[tuple[Callable[[], None], str]] = [
        (lambda: write_annotations(found, tmp_path / "full"), "expected a new or empty folder"),
        (lambda: write_annotations(found, tmp_path / "a.json" / "x", "thumos14"), "cannot be written"),
        (lambda: write_annotations(found, tmp_path / "full", "activitynet"), "is a folder"),
        (lambda: write_annotations(found, tmp_path / "x.xml"), r"suffix '.xml'"),
        (lambda: write_annotations(found, tmp_path / "x", "wtalc"), "annotation format to write 'wtalc'"),
        (lambda: write_annotations(blank, tmp_path / "x"), "cannot be a word"),
        (lambda: write_annotations(no_subset, tmp_path / "x"), "has no subset"),
        (lambda: write_annotations(bad_track, tmp_path / "x.json"), "track cannot be called 'ambiguous'"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for write, message in cases:
        with pytest.raises((DataError, UsageError), match=message):
            write()
    assert sorted(tmp_path.rglob("*")) == before


# -- THUMOS14's known faults ----------------------------------------------------------------------------------------


def test_faulty_videos_are_found_and_can_be_left_out(tmp_path: Path) -> None:
    text = "".join(f"{video} 1 2\n" for video in (*FAULTY_VIDEOS, "video_test_0000001"))
    found, problems = scan_annotations(thumos_folder(tmp_path, {"temporal_annotations_test/Diving_test.txt": text}))
    assert {p.kind for p in problems} == {"faulty_video"}
    assert len(problems) == len(FAULTY_VIDEOS) == 3
    kept = exclude_faulty(found)
    assert list(kept.videos) == ["video_test_0000001"]
    assert len(kept.instances) == 1
    assert "left out" in kept.notes[-1]
    assert exclude_faulty(kept) is kept
    assert list(exclude_faulty(found, ["video_test_0000001"]).videos) == sorted(FAULTY_VIDEOS)


def test_durations_computed_as_frames_over_30_are_recognised(tmp_path: Path) -> None:
    database = {
        f"video_test_{n:07d}": {"duration": n / 30, "frames": n, "subset": "test", "annotations": []}
        for n in range(100, 120)
    }
    _, problems = scan_annotations(saved(tmp_path, {"database": database}))
    assert [p.kind for p in problems] == ["duration"]
    database["video_test_0000100"]["duration"] = 4.0
    assert scan_annotations(saved(tmp_path, {"database": database}))[1] == ()


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    assert detect_format(saved(tmp_path, "\ufeff  " + json.dumps(GOOD), "x.csv")) == "activitynet"
    assert detect_format(saved(tmp_path, "video,label,start,end\n", "x.json")) == "csv"
    assert detect_format(wtalc_folder(tmp_path / "w")) == "wtalc"
    assert detect_format(thumos_folder(tmp_path / "t", THUMOS)) == "thumos14"
