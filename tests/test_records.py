"""The records refuse what is wrong, in words that help, and keep what they were given."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.records import (
    Activations,
    Annotations,
    Boundaries,
    Detections,
    Evaluation,
    Provenance,
    Segments,
    VideoFeatures,
    VideoInfo,
    factorize,
)
from wtal_core.snippet_grid import SnippetGrid

GRID = SnippetGrid(fps=25, stride=16, window=16, num_snippets=4)

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


# -- tables -------------------------------------------------------------------------------------------------------


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


# -- annotations --------------------------------------------------------------------------------------------------


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


# -- features and activations -------------------------------------------------------------------------------------


def test_features_know_their_width_and_refuse_contradictions() -> None:
    origin = Provenance("i3d", (("rgb", 3), ("flow", 2)))
    assert VideoFeatures("v", np.zeros((4, 5), np.float16), GRID, origin).dim == 5
    assert VideoFeatures("v", np.zeros((10, 4, 5), np.float32), GRID).dim == 5
    assert (origin.channels("rgb"), origin.channels("flow")) == (slice(0, 3), slice(3, 5))
    for data, message in [
        (np.zeros((5, 5)), r"features of v: features and snippet grid disagree \(expected 4 snippets, got 5\)"),
        (np.zeros((4, 6)), "channels and modalities disagree"),
        (np.zeros((4, 5), int), "wrong shape or type.*floating point.*int64"),
        (np.zeros(4), "wrong shape or type"),
        (np.zeros((4, 0)), "wrong shape or type"),
        (np.array("x"), "wrong shape or type"),
    ]:
        with pytest.raises(DataError, match=message):
            VideoFeatures("v", data, GRID, origin)
    with pytest.raises(UsageError, match="Did you mean 'flow'"):
        origin.channels("flwo")
    with pytest.raises(DataError, match="a modality has no channels"):
        Provenance("i3d", (("rgb", 0),))


def activations(**changes: Any) -> Activations:
    values: dict[str, Any] = {
        "cas": np.zeros((4, 3)),
        "video_scores": np.zeros(2),
        "grid": GRID,
        "classes": ("a", "b"),
        "attention": {"foreground": np.zeros(4)},
        "branch_cas": np.zeros((5, 4, 3)),
        "embedding": np.zeros((4, 7)),
        "drop_mask": np.zeros(4, bool),
        "extra_cas": {"context": np.zeros((4, 2))},
    }
    return Activations(**values | changes)


def test_activations_know_their_background_channel() -> None:
    assert activations().has_background
    assert activations().action_cas.shape == (4, 2)
    assert not activations(cas=np.zeros((4, 2))).has_background
    assert pickle.loads(pickle.dumps(activations())).attention["foreground"].shape == (4,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cas": np.zeros((4, 4))}, r"cas has the wrong shape \(expected \(4, 2\) or \(4, 3\), got \(4, 4\)\)"),
        ({"cas": np.zeros((5, 3))}, "cas has the wrong shape"),
        ({"cas": np.full((4, 3), np.nan)}, "cas is not finite"),
        ({"video_scores": np.zeros(3)}, "video_scores has the wrong shape"),
        ({"video_scores": np.array([0, np.inf])}, "video_scores is not finite"),
        ({"attention": {"temporal": np.zeros(5)}}, r"attention\['temporal'\] has the wrong shape"),
        ({"branch_cas": np.zeros((5, 4, 4))}, "branch_cas has the wrong shape"),
        ({"branch_cas": np.zeros((4, 3))}, "branch_cas has the wrong shape"),
        ({"drop_mask": np.zeros(3, bool)}, "drop_mask has the wrong shape"),
        ({"embedding": np.zeros((3, 7))}, "embedding has the wrong shape"),
        ({"embedding": np.float64(3)}, "embedding has the wrong shape"),
        ({"embedding": np.zeros(4)}, "embedding has the wrong shape"),
        ({"branch_cas": np.float64(3)}, "branch_cas has the wrong shape"),
        ({"extra_cas": {"rgb": np.zeros((4, 5))}}, r"extra_cas\['rgb'\] has the wrong shape"),
    ],
)
def test_activations_that_contradict_their_grid_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        activations(**changes)


def test_boundaries_are_one_flat_list() -> None:
    good: dict[str, Any] = {
        "stream": np.array(["rgb"] * 3, dtype=object), "anchor": np.ones(3, int), "raw": np.zeros((3, 2)),
        "refined": np.zeros((3, 2)), "coherence": np.zeros(3), "oic": np.zeros((3, 2)),
    }  # fmt: skip
    assert len(Boundaries(**good)) == 3
    for name, value in [("raw", np.zeros((3, 3))), ("coherence", np.zeros(2)), ("oic", np.zeros(3))]:
        with pytest.raises(DataError, match=f"Boundaries: {name} has the wrong shape"):
            Boundaries(**good | {name: value})


# -- evaluation ---------------------------------------------------------------------------------------------------


def test_means_leave_out_classes_without_instances() -> None:
    ap = pd.DataFrame([[0.5, 0.25], [np.nan, np.nan], [1.0, 0.25]], index=["a", "b", "c"], columns=[0.3, 0.5])
    found = Evaluation("activitynet", ap, num_videos=2, notes=("one",))
    assert found.tiou == (0.3, 0.5)
    assert found.mean_ap == {0.3: 0.75, 0.5: 0.25}
    assert found.average == 0.5
    plain = found.to_dict()
    assert plain["mean_ap"] == {"0.3": 0.75, "0.5": 0.25}
    assert plain["ap"]["a"] == {"0.3": 0.5, "0.5": 0.25}
    assert plain["notes"] == ["one"]
    assert math.isnan(Evaluation("activitynet", pd.DataFrame()).average)
