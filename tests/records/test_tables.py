"""Segments and detections refuse what is wrong, and keep and find what they were given."""

from __future__ import annotations

import io
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.records import Detection, Detections, Segment, Segments, factorize

seconds = st.floats(0, 1e6)
rows = st.lists(
    st.tuples(
        st.sampled_from(["v1", "видео", "a b", "v2"]),
        st.sampled_from(["Diving", "Höhe", "x"]),
        st.tuples(seconds, seconds).map(sorted),
        st.floats(-100, 100),
        st.sampled_from(["", "rgb"]),
    ),
    max_size=15,
)


def detections_of(values: list[Any]) -> Detections:
    if not values:
        return Detections.empty()
    video, label, times, score, source = zip(*values, strict=True)
    return Detections(video, label, [a for a, _ in times], [b for _, b in times], score, source)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"start": [0.0, math.nan]}, ["Detections, row 1", "'start' holds nan", "expected finite numbers", "1 of 2"]),
        ({"end": [2.0, math.inf]}, ["'end' holds inf", "Detections, row 1"]),
        ({"score": [0.1, -math.inf]}, ["'score' holds -inf"]),
        ({"score": ["high", "low"]}, ["'score' is not numeric", "expected numbers"]),
        ({"score": [None, 1]}, ["'score'"]),
        ({"score": [[1.0, 2.0]]}, ["'score' has the wrong shape", "(N,)", "(1, 2)"]),
        ({"start": [3.0, 0.0]}, ["negative or inverted", "expected 0 <= start <= end (seconds)", "got [3, 2]",
                                 "row 0, video v1", "Correct or drop these rows"]),
        ({"start": [-0.1, -1.0]}, ["got [-0.1, 2] and 1 more"]),
        ({"video": ["v1", ""]}, ["'video' holds something that is not a name", "a non-empty string", "row 1"]),
        ({"label": ["a", 3]}, ["'label' holds something that is not a name", "got 3"]),
        ({"video": ["v1"]}, ["columns differ in length", "'video': 1", "'start': 2"]),
        ({"score": [1.0]}, ["columns differ in length"]),
        ({"source": ["rgb"]}, ["columns differ in length", "'source': 1"]),
        ({"source": ["rgb", 3]}, ["row 1", "'source' holds something that is not a text", "got 3"]),
        ({"video": None}, ["'video' is not a list of names", "got None"]),
        ({"label": np.array([["a", "b"]])}, ["'label' is not a list of names"]),
    ],
)  # fmt: skip
def test_wrong_columns_say_what_and_where(change: dict[str, Any], parts: list[str]) -> None:
    good: dict[str, Any] = {
        "video": ["v1", "v2"], "label": "a", "start": [0.0, 1.0], "end": [2.0, 3.0], "score": [0.5, 0.6],
    }  # fmt: skip
    assert len(Detections(**good)) == 2
    with pytest.raises(DataError) as caught:
        Detections(**good | change)
    for part in parts:
        assert part in str(caught.value)


def test_one_name_fills_a_column_and_columns_are_read_only() -> None:
    table = Segments("v", "a", [1, 2], [3, 4])
    assert table.video.tolist() == ["v", "v"]
    assert table.length.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        table.start[0] = 5
    start = np.array([1.0])
    kept = Segments("v", "a", start, [2.0])
    start[0] = 9.0
    assert kept.start[0] == 1.0


@given(first=rows, second=rows, data=st.data())
def test_selection_concatenation_and_grouping_keep_rows(
    first: list[Any], second: list[Any], data: st.DataObject
) -> None:
    one, two = detections_of(first), detections_of(second)
    both = Detections.concat([one, two])
    assert both == detections_of(first + second)
    assert both[np.arange(len(first))] == one
    assert both[np.zeros(len(both), dtype=bool)] == Detections.empty()
    chosen = data.draw(st.lists(st.integers(0, len(both) - 1), max_size=5)) if len(both) else []
    assert both[chosen] == detections_of([(first + second)[i] for i in chosen])
    groups = both.by_video()
    assert list(groups) == sorted({row[0] for row in first + second})
    for video, table in groups.items():
        assert table == both.for_video(video) == detections_of([r for r in first + second if r[0] == video])
    ranked = both.sorted()
    assert sorted(ranked.score.tolist()) == sorted(both.score.tolist())
    for table in ranked.by_video().values():
        assert (np.diff(table.score) <= 0).all()


@given(values=rows)
def test_tables_survive_pandas_and_pickle(values: list[Any]) -> None:
    table = detections_of(values)
    frame = table.to_dataframe()
    assert list(frame.columns) == ["video", "label", "start", "end", "score", "source"]
    assert Detections.from_dataframe(frame) == table
    assert Detections.from_dataframe(frame.sample(frac=1, random_state=0).sort_index()) == table
    assert pickle.loads(pickle.dumps(table)) == table
    results = table.to_activitynet()["results"]
    assert sum(len(found) for found in results.values()) == len(table)


def test_frames_with_other_columns_are_refused() -> None:
    frame = detections_of([("v", "a", (0.0, 1.0), 0.5, "")]).to_dataframe()
    with pytest.raises(DataError, match=r"Detections: unknown column 'scores'.*Did you mean 'score'"):
        Detections.from_dataframe(frame.rename(columns={"score": "scores"}))
    with pytest.raises(DataError, match=r"columns are missing \(expected video, .*, got no \['score'\]"):
        Detections.from_dataframe(frame.drop(columns="score"))
    assert Detections.from_dataframe(frame.drop(columns="source")).source.tolist() == [""]
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))  # pandas reads an empty text as NaN
    assert Detections.from_dataframe(read).source.tolist() == [""]


def test_equal_means_same_columns() -> None:
    one = Segments("v", "a", [1.0], [2.0])
    assert one == Segments("v", "a", [1.0], [2.0])
    assert one != Segments("v", "b", [1.0], [2.0])
    assert one != Detections("v", "a", [1.0], [2.0], [1.0])
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_factorize_codes_into_a_sorted_vocabulary() -> None:
    codes, vocabulary = factorize(np.array(["b", "a", "b"], dtype=object))
    assert (codes.tolist(), vocabulary) == ([1, 0, 1], ("a", "b"))


# -- rows ---------------------------------------------------------------------------------------------------------


@given(values=rows, data=st.data())
def test_rows_come_one_by_one_by_number_slice_mask_and_list(values: list[Any], data: st.DataObject) -> None:
    table = detections_of(values)
    expected = [Detection(v, c, *times, s, source) for v, c, times, s, source in values]
    assert list(table) == expected
    assert [table[i] for i in range(len(table))] == expected
    assert [table[-i] for i in range(1, len(table) + 1)] == expected[::-1]
    part = data.draw(st.slices(len(values)))
    assert list(table[part]) == expected[part]
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    assert list(table[np.array(mask, dtype=bool)]) == list(table[mask]) == list(itertools.compress(expected, mask))
    numbers = data.draw(st.lists(st.integers(-len(values), len(values) - 1), max_size=5)) if values else []
    assert list(table[numbers]) == [expected[i] for i in numbers]


@given(first=rows, second=rows, third=rows)
def test_addition_appends(first: list[Any], second: list[Any], third: list[Any]) -> None:
    one, two, three = map(detections_of, (first, second, third))
    assert one + two == detections_of(first + second)
    assert (one + two) + three == one + (two + three)
    assert one + Detections.empty() == Detections.empty() + one == one


def test_rows_are_frozen_and_selected_tables_read_only() -> None:
    table = Segments("v", ["a", "b"], [1, 2], [3, 4])
    assert table[1] == Segment("v", "b", 2.0, 4.0)
    with pytest.raises(AttributeError):
        table[0].start = 5.0  # type: ignore[misc]
    for part in (table[:1], table[[True, False]], table + table):
        with pytest.raises(ValueError, match="read-only"):
            part.start[0] = 9.0


@pytest.mark.parametrize("chosen", [[True], [True, False, True], "start", [0.5], None, [[0, 1]], True])
def test_what_chooses_no_rows_is_said(chosen: Any) -> None:
    table = Segments("v", "a", [1, 2], [3, 4])
    with pytest.raises(UsageError, match=r"these are no rows of Segments \(expected a mask of 2 rows, a slice"):
        table[chosen]


@pytest.mark.parametrize("chosen", [2, -3, [0, 2]])
def test_rows_that_are_not_there_are_index_errors(chosen: Any) -> None:
    with pytest.raises(IndexError, match="row"):
        Segments("v", "a", [1, 2], [3, 4])[chosen]


def test_different_tables_do_not_add_up() -> None:
    with pytest.raises(TypeError):
        Segments("v", "a", [1.0], [2.0]) + Detections("v", "a", [1.0], [2.0], [1.0])  # type: ignore[operator]


# -- suppression --------------------------------------------------------------------------------------------------


@given(values=rows, tiou=st.sampled_from([0.0, 0.3, 0.5, 1.0]), across=st.booleans())
def test_nms_leaves_no_rivals_and_is_done_after_once(values: list[Any], tiou: float, across: bool) -> None:
    table = detections_of(values)
    kept = table.nms(tiou, class_agnostic=across)
    assert kept.nms(tiou, class_agnostic=across) == kept
    places = iter(list(table))  # a filter: rows stay as they are and in their order
    assert all(row in places for row in kept)
    for one, other in itertools.combinations(kept, 2):
        if one.video == other.video and (across or one.label == other.label):
            shared = max(min(one.end, other.end) - max(one.start, other.start), 0.0)
            whole = one.end - one.start + other.end - other.start - shared
            assert whole == 0 or shared / whole <= tiou + 1e-9
    best = {}
    for row in table:
        key = row.video if across else (row.video, row.label)
        best[key] = max(best.get(key, -math.inf), row.score)
    assert {(r.video if across else (r.video, r.label)): r.score for r in kept if r.score == best.get(
        r.video if across else (r.video, r.label))} == best  # fmt: skip


def test_nms_works_within_each_video_and_class() -> None:
    table = Detections(
        ["v", "v", "v", "w"], ["a", "a", "b", "a"], [0.0, 1.0, 0.0, 0.0], [10.0, 10.0, 10.0, 10.0], [0.5, 0.9, 0.7, 0.1]
    )
    assert table.nms(0.5) == table[[1, 2, 3]]
    assert table.nms(0.95) == table
    assert table.nms(0.5, class_agnostic=True) == table[[1, 3]]
    assert table.nms(1.0, most=1) == table[[1, 2, 3]]
    with pytest.raises(UsageError, match=r"the tIoU threshold is out of range \(expected within \[0, 1\], got 50\)"):
        table.nms(50)


def test_soft_nms_lowers_the_scores_of_rivals() -> None:
    table = Detections(["v", "v", "w"], "a", [0.0, 0.0, 0.0], [10.0, 10.0, 10.0], [0.5, 0.9, 0.4], "cas")
    soft = table.soft_nms(sigma=0.5)
    np.testing.assert_allclose(soft.score, [0.5 * math.exp(-2.0), 0.9, 0.4])
    assert [row.source for row in soft] == ["cas"] * 3
    assert table.score.tolist() == [0.5, 0.9, 0.4]
    assert table.soft_nms(sigma=0.5, min_score=0.4) == table[[1, 2]]
    with pytest.raises(UsageError, match="sigma"):
        table.soft_nms(sigma=0)


# -- printing -----------------------------------------------------------------------------------------------------


def test_tables_print_in_a_few_lines() -> None:
    table = Detections([f"v{i}" for i in range(300)], "Höhe", np.arange(300), np.arange(300) + 1.5, np.full(300, 0.25))
    lines = repr(table).splitlines()
    assert lines[0] == "Detections: 300 rows, 300 videos, 1 label"
    assert lines[1].split() == ["video", "label", "start", "end", "score"]  # no empty source
    assert lines[2].split() == ["v0", "Höhe", "0.000", "1.500", "0.250"]
    assert lines[-1].strip() == "... and 295 more"
    assert len(lines) == 8
    assert repr(Segments.empty()) == "Segments: 0 rows"
    assert "... and 280 more" in table._repr_html_()


@given(rows)
def test_names_listed_once_give_the_same_table(values: list[Any]) -> None:
    table = detections_of(values)
    videos, labels = ["v2", "видео", "never", "v1", "a b"], ["x", "Höhe", "Diving"]
    video, label = [videos.index(v) for v in table.video], [labels.index(v) for v in table.label]
    made = Detections.from_codes(
        videos, video, labels, label, table.start, table.end, table.score, table.source.tolist(), notes=["said"]
    )
    assert made == table
    assert made.notes == ("said",)
    for column in ("video_codes", "label_codes"):  # computed from the numbers, as they would be from the names
        codes, names = getattr(made, column)
        assert codes.tolist() == getattr(table, column)[0].tolist()
        assert names == getattr(table, column)[1]


@pytest.mark.parametrize(
    ("videos", "video", "message"),
    [
        (["v", "v"], [0, 1], "a video is listed twice"),
        (["v"], [1], "a number of a video is out of range.*0 to 0.*got 1 to 1"),
        (["v"], [-1], "out of range"),
        ([""], [0], "not a name"),
        (["v"], [0, 0], "columns differ in length"),
    ],
)
def test_numbers_of_names_are_checked(videos: list[str], video: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Detections.from_codes(videos, video, ["a"], [0], [0.0], [1.0], [0.5])


def test_notes_stay_with_the_rows() -> None:
    table = Detections.from_codes(["v"], [0, 0], ["a"], [0, 0], [0.0, 1.0], [1.0, 2.0], [0.5, 0.4], notes=["clipped"])
    other = Detections("w", ["a"], [0], [1], [0.1])
    assert other.notes == ()
    for kept in (table[:1], table[[1]], table + other, table.for_video("v"), table.for_labels(["a"]), table.sorted()):
        assert kept.notes == ("clipped",)
    assert (table + table).notes == ("clipped",)
    assert table.renamed_videos(str.upper).notes == ("clipped",)
    assert pickle.loads(pickle.dumps(table)).notes == ("clipped",)
    assert table == Detections("v", ["a", "a"], [0, 1], [1, 2], [0.5, 0.4])  # the rows are the same
