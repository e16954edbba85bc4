"""Detections and video-level scores of every format: real files, round trips, bad input, damage."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.data import results_json
from wtal_core.data.annotations import THUMOS14_CLASS_IDS
from wtal_core.data.detections import read_detections, read_video_scores, write_detections
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import evaluate
from wtal_core.files import composed
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

ROW = {"label": "Diving", "score": 0.5, "segment": [1.0, 2.0]}
EXAMPLE = Detections(
    ["v2", "v1", "v2"], ["Diving", "GolfSwing", "Diving"], [1, 0.1, 3], [2, 1 / 3, 3], [0.5, -7.25, 1e9]
)


def saved(folder: Path, content: Any, name: str = "d") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def rows(table: Detections) -> list[tuple[Any, ...]]:
    columns = (getattr(table, name).tolist() for name in ("video", "label", "start", "end", "score", "source"))
    return list(zip(*columns, strict=True))


# -- real files -----------------------------------------------------------------------------------------------------


def test_autoloc(shared: Path) -> None:
    found = read_detections(shared / "data" / "autoloc_thumos14_detections" / "thumos14_detections.json")
    assert len(found) == 20_763
    assert len(set(found.video)) == 213
    assert set(found.label) == set(THUMOS14_CLASS_IDS)
    assert (found.video[0], found.start[0], found.score[0]) == ("video_test_0000179", 104.0333, 0.5408711433410645)


def test_both_files_of_stpn_hold_the_same_detections(shared: Path) -> None:
    folder = shared / "data" / "stpn_thumos14_detections"
    of_json, of_text = read_detections(folder / "results.json"), read_detections(folder / "results.txt")
    assert len(of_json) == len(of_text) == 9_151
    assert of_json.score.min() < -23  # unbounded
    assert of_json.score.max() > 31
    assert of_json.video.tolist() == of_text.video.tolist()
    assert of_json.label.tolist() == of_text.label.tolist()
    for column in ("start", "end", "score"):  # the text has six decimals
        np.testing.assert_allclose(getattr(of_json, column), getattr(of_text, column), rtol=0, atol=5.001e-7)


def test_the_samples_of_the_activitynet_toolkit(shared: Path) -> None:
    folder = shared / "data" / "activitynet13_annotations"
    found = read_detections(folder / "sample_detection_prediction.json")
    assert (len(found), len(set(found.video))) == (7654, 4926)
    videos, classes, scores = read_video_scores(folder / "sample_classification_prediction.json")
    assert scores.shape == (len(videos), len(classes)) == (4926, len(set(classes)))
    assert np.isfinite(scores).sum() == 4933
    assert classes[int(scores[videos.index("wONwHYy59Tc")].argmax())] == "Blow-drying hair"
    with pytest.raises(DataError, match=r"has no segment.*read_video_scores"):
        read_detections(folder / "sample_classification_prediction.json")
    with pytest.raises(DataError, match="read_detections"):
        read_video_scores(folder / "sample_detection_prediction.json")


def test_real_text_survives_being_written(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "stpn_thumos14_detections" / "results.txt"
    write_detections(read_detections(source), tmp_path / "out.txt", decimals=(6, 6))
    assert (tmp_path / "out.txt").read_text() == source.read_text()


# -- each format, by hand -------------------------------------------------------------------------------------------


def test_activitynet_results(tmp_path: Path) -> None:
    content = {"results": {"b": [ROW | {"source": "rgb"}, ROW | {"segment": ["3", "4.5"]}], "a": [ROW], "none": []}}
    assert rows(read_detections(saved(tmp_path, content))) == [
        ("b", "Diving", 1.0, 2.0, 0.5, "rgb"),
        ("b", "Diving", 3.0, 4.5, 0.5, ""),
        ("a", "Diving", 1.0, 2.0, 0.5, ""),
    ]
    assert len(read_detections(saved(tmp_path, {"results": {}}))) == 0


def test_thumos14_text(tmp_path: Path) -> None:
    path = saved(tmp_path, "video_test_0000001.mp4 1 2.5 26 0.5\n\nv\t3 4  7 -2e1\n")
    assert rows(read_detections(path)) == [
        ("video_test_0000001", "Diving", 1.0, 2.5, 0.5, ""),
        ("v", "BaseballPitch", 3.0, 4.0, -20.0, ""),
    ]
    assert read_detections(saved(tmp_path, "v 1 2 1 3"), classes=["A", "B"]).label.tolist() == ["B"]
    assert read_detections(saved(tmp_path, "v 1 2 5 3"), classes={5: "E"}).label.tolist() == ["E"]


def test_csv(tmp_path: Path) -> None:
    path = saved(tmp_path, "video-id,t-start,t-end,label,score,extra\nv,1,2,Long jump,0.5,x\n")
    assert rows(read_detections(path)) == [("v", "Long jump", 1.0, 2.0, 0.5, "")]


@pytest.mark.parametrize("mark", [",", ", ", ";", "\t"])
def test_csv_as_spreadsheets_write_it(mark: str, tmp_path: Path) -> None:
    lines = ["video", "label", "start", "end", "score"], ["v", "Long jump", "1", "2", "0.5"], [""] * 5
    text = "\ufeff" + "".join(mark.join(line).strip(" ") + "\r\n" for line in lines)
    assert rows(read_detections(saved(tmp_path, text))) == [("v", "Long jump", 1.0, 2.0, 0.5, "")]


def test_text_may_be_separated_by_tabs(tmp_path: Path) -> None:
    path = saved(tmp_path, "v\t1\t2\t7\t0.5\n")
    assert rows(read_detections(path)) == [("v", "BaseballPitch", 1.0, 2.0, 0.5, "")]


def test_cmcs_decimals(tmp_path: Path) -> None:
    write_detections(EXAMPLE, tmp_path / "cmcs.txt", decimals=(2, 4))
    assert (tmp_path / "cmcs.txt").read_text() == (
        "v2 1.00 2.00 26 0.5000\nv1 0.10 0.33 33 -7.2500\nv2 3.00 3.00 26 1000000000.0000\n"
    )


def test_video_scores(tmp_path: Path) -> None:
    content = {"results": {"b": [{"label": "Y", "score": 2}, {"label": "X", "score": -1.5}], "a": []}}
    videos, classes, scores = read_video_scores(saved(tmp_path, content))
    assert (videos, classes) == (("b", "a"), ("X", "Y"))
    assert scores.tolist() == [[-1.5, 2.0], [-np.inf, -np.inf]]


# -- round trips ----------------------------------------------------------------------------------------------------

names = (
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=6).map(composed).filter(str.strip)
)
words = (
    st.text(st.characters(categories=["L", "N"], include_characters="-_."), min_size=1, max_size=8)
    .map(composed)
    .filter(lambda word: not word.endswith(".mp4"))
)
times = st.floats(0, 1e5).map(abs)


def tables(videos: st.SearchStrategy[str], labels: st.SearchStrategy[str]) -> st.SearchStrategy[Detections]:
    scores = st.floats(allow_nan=False, allow_infinity=False)
    found = st.lists(st.tuples(videos, labels, times, times, scores, st.just("") | names), max_size=12)
    return found.map(
        lambda rows: Detections(
            [r[0] for r in rows],
            [r[1] for r in rows],
            [min(r[2:4]) for r in rows],
            [max(r[2:4]) for r in rows],
            [r[4] for r in rows],
            [r[5] for r in rows],
        )
    )


@given(table=tables(names, names))
def test_json_and_csv_are_lossless(table: Detections, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_detections(table, folder / "round.csv")
    assert rows(read_detections(folder / "round.csv")) == rows(table)
    write_detections(table, folder / "round.json")
    found = read_detections(folder / "round.json")
    assert rows(found) == [row for _, part in sorted(table.by_video().items()) for row in rows(part)]


@given(table=tables(words, st.sampled_from(list(THUMOS14_CLASS_IDS))))
def test_text_is_lossless_but_for_the_source(table: Detections, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round.txt"
    write_detections(table, path)
    assert [row[:5] for row in rows(read_detections(path))] == [row[:5] for row in rows(table)]


@given(table=tables(names, names))
def test_json_is_written_as_the_standard_library_does(
    table: Detections, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "letters.json"
    write_detections(table, path)
    assert path.read_text(encoding="utf-8") == json.dumps(table.to_activitynet(), ensure_ascii=False) + "\n"


def test_many_rows_of_one_video_are_written_in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(results_json, "_AT_ONCE", 2)
    table = Detections("v", "a", np.zeros(5), np.arange(5.0), np.arange(5.0), ["", "x", "", "", "y"])
    write_detections(table, tmp_path / "d.json")
    assert (tmp_path / "d.json").read_text() == json.dumps(table.to_activitynet()) + "\n"


plain_rows = st.fixed_dictionaries(
    {
        "label": st.sampled_from(["a", "b:c", 'd"', "{}"]),
        "score": st.integers(-3, 3) | st.floats(-9, 9),
        "segment": st.tuples(st.floats(-2, 5), st.integers(5, 9)).map(list),
    },
    optional={"source": st.sampled_from(["", "x", "y:z"]), "id": st.just(3), "more": st.just({"a": [{"b": 1}]})},
)


@given(
    content=st.dictionaries(st.sampled_from(["v", "w", "x:y"]), st.lists(plain_rows, max_size=5)),
    indent=st.sampled_from([None, 1]),
)
def test_rows_are_read_alike_whatever_stands_beside_them(
    content: dict[str, Any], indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.json"
    path.write_text(json.dumps({"version": "a: b", "results": content}, indent=indent))
    found = read_detections(path)
    assert rows(found) == [
        (video, r["label"], max(r["segment"][0], 0.0), float(r["segment"][1]), float(r["score"]), r.get("source", ""))
        for video, listed in content.items()
        for r in listed
    ]
    early = sum(r["segment"][0] < 0 for listed in content.values() for r in listed)
    assert len(found.notes) == (early > 0)
    assert all(f"Clipped {early} detection" in note for note in found.notes)
    fresh = Detections(found.video.tolist(), found.label.tolist(), found.start, found.end, found.score)
    for one, other in ((found.video_codes, fresh.video_codes), (found.label_codes, fresh.label_codes)):
        assert one[1] == other[1]
        assert one[0].tolist() == other[0].tolist()


@pytest.mark.parametrize(
    "text",
    [
        '{"results": {"v": [{"label": "Diving", "score": 1, "segment": [-0.5, 2]}, {"label": "Diving", "score": 1, '
        '"segment": [-3, -1]}, {"label": "Diving", "score": 1, "segment": [0, 1]}]}}',
        "v -0.5 2 26 1\nv -3 -1 26 1\nv 0 1 26 1\n",
        "video,label,start,end,score\nv,Diving,-0.5,2,1\nv,Diving,-3,-1,1\nv,Diving,0,1,1\n",
    ],
)
def test_times_before_the_video_are_clipped_and_noted(text: str, tmp_path: Path) -> None:
    found = read_detections(saved(tmp_path, text))
    assert list(zip(found.start.tolist(), found.end.tolist(), strict=True)) == [(0.0, 2.0), (0.0, 0.0), (0.0, 1.0)]
    note = "Clipped 2 detections that begin before 0 s (1 of them ends there, too)."
    assert found.notes == (note,)
    assert found[[2]].notes == Detections.concat([found, EXAMPLE]).notes == (note,)
    assert found.renamed_videos(lambda video: video + "2").notes == (note,)
    truth = Annotations(("Diving",), {"v": VideoInfo()}, Segments("v", ["Diving"], [0], [2]))
    evaluation = evaluate(found, truth)
    assert note in evaluation.notes
    assert evaluation.average == 1.0
    with pytest.raises(DataError, match="negative or inverted"):
        Detections("v", ["Diving"], [-0.5], [2], [1])


# -- bad input ------------------------------------------------------------------------------------------------------


def results(**changes: Any) -> dict[str, Any]:
    return {"results": {"v": [ROW, {k: v for k, v in (ROW | changes).items() if v is not ...}]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"empty \(0 bytes\)"),
        ('{"results": {"v"', "not valid JSON"),
        ("[]", "holds no results.*got a list"),
        ({"database": {}}, "name them as the ground truth"),
        ({"results": []}, "holds no results"),
        ({"results": {"v": 3}}, r"results\['v'\].*not a list of objects"),
        ({"results": {"v": [3]}}, "not a list of objects"),
        ('{"results": {"v": [], "v": []}}', "key 'v' is listed twice"),
        (results(label=...), r"results\['v'\]\[1\]: the label is missing"),
        (results(label=7), "label is not text"),
        (results(label="\ud800"), "not valid text"),
        (results(source=7), "source is not text"),
        (results(score=...), "score is missing"),
        (results(score="high"), "score is not a finite number.*got 'high'"),
        (results(score=float("nan")), "score is not a finite number"),
        (results(segment=...), "has no segment"),
        (results(segment=[1]), r"not \[start, end\]"),
        (results(segment=[2, 1]), r"results\['v'\]\[1\]: a segment is inverted.*got \[2, 1\]\)"),
        (results(segment=[-1, -2]), "a segment is inverted"),
        (results(segment=[True, 2]), "start is not a finite number.*got True"),
        (results(score=10**400), "score is not a finite number"),
        (
            '{"results": {"v": [{"label": "a", "label": "b", "score": 1, "segment": [0, 1]}]}}',
            "key 'label' is listed tw",
        ),
        ('{"results": {"v": []}, "results": {}}', "key 'results' is listed twice"),
        ('{"a": {"b": 1, "b": 2}, "results": {"v": []}}', "key 'b' is listed twice"),
        ('{"results": {"v": []}} {}', "not valid JSON: Extra data at line 1, column 24"),
        ('{"results": {"v": [],}}', "not valid JSON: Expecting property name enclosed in double quotes"),
        ('{"results": {"v": [] "w": []}}', "not valid JSON: Expecting ',' delimiter at line 1, column 22"),
        ('{"results": {"v" []}}', "not valid JSON: Expecting ':' delimiter"),
        ('{"results": {"v": [' + "[" * 100_000, "nested too deeply"),
        ('{"results": {"v": [' + "1" * 5000 + "]}}", "not a list of objects"),
        (results(segment=[0, float("inf")]), "end is not a finite number"),
        (results(segment=[None, 1]), "start is missing"),
        ({"results": {"": [ROW]}}, "video is empty"),
        ("hello world\n", "not a file of detections.*got the first line 'hello world'"),
        ("v 1 2 26 0.5\nv 1 2 26\n", "line 2: a line is not a detection"),
        ("v 1 2 25 0.5\n", "line 1: unknown class id '25'.*24, 26, 31"),
        ("v 1 2 ² 0.5\n", "unknown class id"),
        ("v 1 2 -1 0.5\n", "unknown class id"),
        ("v 3 2 26 0.5\n", "line 1.*inverted"),
        ("v 1 x 26 0.5\n", "end is not a finite number"),
        ("v 1 2 26 nan\n", "score is not a finite number"),
        ("video,label,start,end\nv,a,1,2\n", "columns are missing.*no score"),
        ("video,label,start,end,score\nv,a,1,2\n", "line 2.*wrong number of values"),
        ("video,label,start,end,score\nv,,1,2,3\n", "line 2: the label is empty"),
    ],
)
def test_bad_files(content: Any, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_detections(path)
    assert str(path) in str(caught.value)


def test_classes_restrict_what_may_occur(tmp_path: Path) -> None:
    path = saved(tmp_path, {"results": {"v": [ROW]}})
    assert len(read_detections(path, classes=["Diving", "GolfSwing"])) == 1
    with pytest.raises(DataError, match=r"unknown class 'Diving'.*Did you mean 'Driving'"):
        read_detections(path, classes=["Driving"])


@pytest.mark.parametrize("read", [read_detections, read_video_scores])
def test_paths_and_encodings(read: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"results": {"caf\xe9": []}}')
    with pytest.raises(DataError, match="not UTF-8"):
        read(tmp_path / "latin")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"score": 1}], "label is missing"),
        ([{"label": "X"}], "score is not a finite number.*got None"),
        ([{"label": "X", "score": float("inf")}], "not a finite number"),
        ([{"label": "X", "score": 1}] * 2, "class 'X' is listed twice"),
    ],
)
def test_bad_video_scores(rows: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_video_scores(saved(tmp_path, {"results": {"v": rows}}))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)
near_rows = st.fixed_dictionaries(
    {}, optional={"label": json_values, "score": json_values | st.just(1), "segment": json_values | st.just([1, 2])}
)
near_results = st.fixed_dictionaries(
    {"results": st.dictionaries(st.text(max_size=3), st.lists(near_rows, max_size=2), max_size=2) | json_values}
)


heads = st.sampled_from([b"", b"{", b"v 1 2 26 ", b"video,label,start,end,score\n"])


@given(content=near_results | json_values, data=st.binary(max_size=40), head=heads)
def test_any_content_is_read_or_refused(
    content: Any, data: bytes, head: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for whole in (json.dumps(content).encode(), head + data):
        path.write_bytes(whole)
        for read in (read_detections, read_video_scores):
            with contextlib.suppress(DataError):
                read(path)


def test_writing_says_what_does_not_fit_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    strange = Detections("two words", ["Diving"], [0], [1], [1])
    cases: list[tuple[Any, str]] = [
        (lambda: write_detections(EXAMPLE, tmp_path / "a.xml"), r"suffix '.xml'"),
        (lambda: write_detections(EXAMPLE, tmp_path / "a", "thumos"), "format 'thumos'.*'thumos14'"),
        (lambda: write_detections(EXAMPLE, tmp_path / "a.json", decimals=(2, 4)), "decimals is for THUMOS14"),
        (lambda: write_detections(EXAMPLE, tmp_path / "a.txt", decimals=(2, -4)), "from 0 to 17"),
        (lambda: write_detections(EXAMPLE, tmp_path / "a.txt", classes=["Diving"]), "unknown class 'GolfSwing'"),
        (lambda: write_detections(strange, tmp_path / "a.txt"), "cannot be a word"),
        (lambda: write_detections(EXAMPLE, tmp_path / "folder", "csv"), "is a folder"),
    ]
    for write, message in cases:
        with pytest.raises((DataError, UsageError), match=message):
            write()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
