"""Other tools' formats: what is written is what they define, and what is read back is what was written."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.interchange import FORMATS, Layer, Media, detect_format, read, write_all, write_video
from wtal_core.interchange.elan import parse_eaf, to_eaf
from wtal_core.interchange.label_studio import parse_label_studio, to_label_studio
from wtal_core.interchange.layers import Interval
from wtal_core.interchange.subtitles import parse_ass, parse_srt, parse_vtt, to_ass, to_srt, to_vtt
from wtal_core.interchange.via import parse_via, to_via
from wtal_core.records import Annotations, Detections, Segments

TRUTH = Segments(["a", "a", "b"], ["Long Jump", "Dive", "Dive"], [1.5, 10.0, 0.0], [4.25, 20.0, 3600.5])
CONTEXT = Segments("a", "Dive", [4.0], [6.0])
FOUND = Detections(
    ["a", "a", "b"], ["Dive", "Dive", "Long Jump"], [9.0, 9.5, 1.0], [21.0, 12.0, 2.0], [0.75, 0.5, 0.25]
)
LAYERS = (Layer("Ground truth", TRUTH), Layer("context", CONTEXT), Layer("Ours", FOUND))
MEDIA = (Media("a", "a.mp4", 25.0, 30.0), Media("b", "sub/b & c.mp4", 25.0, 4000.0))

LABELS = (
    st.text("abcXYZäß-_&<> ", min_size=1, max_size=10).map(str.strip).filter(bool).map(lambda s: " ".join(s.split()))
)
INTERVALS = st.lists(
    st.builds(
        lambda layer, label, start, length, score: Interval(layer, label, start / 1000, (start + length) / 1000, score),
        st.sampled_from(["Ground truth", "Ours"]),
        LABELS,
        st.integers(0, 40_000_000).map(lambda n: n * 10),
        st.integers(1, 50_000).map(lambda n: n * 10),
        st.none() | st.integers(-500, 500).map(lambda n: n / 100),
    ),
    max_size=6,
)


def comparable(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (i.layer, i.label, round(i.start, 2), round(i.end, 2), -9.0 if i.score is None else round(i.score, 2))
        for i in rows
    )


@given(INTERVALS)
def test_subtitles_round_trip(rows: list[Interval]) -> None:
    assert comparable(parse_vtt(to_vtt(rows), "x")) == comparable(rows)
    assert comparable(parse_ass(to_ass(rows), "x")) == comparable(rows)
    plain = [i for i in rows if "<" not in i.label and ">" not in i.label]  # players take these for tags in SubRip
    assert comparable(parse_srt(to_srt(plain), "x")) == comparable(plain)


@given(INTERVALS)
def test_elan_round_trip(rows: list[Interval]) -> None:
    text = to_eaf(rows, MEDIA[0], ["Ground truth", "Ours", "nothing here"])
    found, file = parse_eaf(text, "x")
    assert comparable(found) == comparable(rows)
    assert file == "a.mp4"
    for tier in ET.fromstring(text).iter("TIER"):
        times = {s.get("TIME_SLOT_ID"): int(s.get("TIME_VALUE", "")) for s in ET.fromstring(text).iter("TIME_SLOT")}
        spans = sorted(
            (times[a.get("TIME_SLOT_REF1")], times[a.get("TIME_SLOT_REF2")]) for a in tier.iter("ALIGNABLE_ANNOTATION")
        )
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), "ELAN allows no overlap"


def test_elan_tiers_keep_their_names_apart() -> None:
    """Two overlapping detections of "Ours" need a second tier, and another run is called "Ours (2)"."""
    rows = [Interval("Ours", "Dive", 1.0, 3.0, 0.5), Interval("Ours", "Dive", 2.0, 4.0, 0.25)]
    rows += [Interval("Ours (2)", "Jump", 1.0, 2.0, 0.5)]
    text = to_eaf(rows, MEDIA[0], ["Ours", "Ours (2)"])
    names = [tier.get("TIER_ID") for tier in ET.fromstring(text).iter("TIER")]
    assert names == ["Ours", "Ours (3)", "Ours (2)"]
    assert comparable(parse_eaf(text, "x")[0]) == comparable(rows)


@given(INTERVALS)
def test_via_round_trip(rows: list[Interval]) -> None:
    project = json.loads(json.dumps(to_via({"a": rows}, {"a": MEDIA[0]}, ["Ground truth", "Ours"])))
    assert comparable(parse_via(project, "x")["a"]) == comparable(rows)


@given(INTERVALS)
def test_label_studio_round_trip(rows: list[Interval]) -> None:
    frames = [i for i in rows if i.score is None or i.layer != "Ground truth"]
    tasks = json.loads(json.dumps(to_label_studio({"a": frames}, {"a": MEDIA[0]}, ["Ground truth", "Ours"], 25.0)))
    found = parse_label_studio(tasks, "x", None)["a"]
    assert len(found) == len(frames)
    for got, wanted in zip(sorted(found, key=_key), sorted(frames, key=_key), strict=True):
        assert (got.layer, got.label, got.score) == (wanted.layer, wanted.label, wanted.score)
        assert abs(got.start - wanted.start) <= 0.5 / 25 + 1e-9, "to the nearest frame"
        assert got.end > got.start


def _key(i: Interval) -> tuple[Any, ...]:
    return (i.layer, i.label, -9.0 if i.score is None else i.score, i.start)


@pytest.mark.parametrize("format", list(FORMATS))
def test_truth_comes_back(format: str, tmp_path: Path) -> None:
    target = tmp_path / (f"x{FORMATS[format][0]}" if FORMATS[format][1] else "folder")
    files = write_all(target, format, LAYERS, MEDIA)
    assert all(f.is_file() for f in files)
    assert detect_format(target) == format
    back = read(target)
    assert isinstance(back, Annotations)
    assert back.classes == ("Dive", "Long Jump")
    rows = sorted(
        zip(back.instances.video, back.instances.label, back.instances.start, back.instances.end, strict=True)
    )
    wanted = sorted(zip(TRUTH.video, TRUTH.label, TRUTH.start, TRUTH.end, strict=True))
    assert [r[1] for r in rows] == [w[1] for w in wanted]
    np.testing.assert_allclose([r[2:] for r in rows], [w[2:] for w in wanted], atol=0.021)
    assert len(back.tracks["context"]) == 1
    assert len(back.tracks["Ours"]) == 3


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    for format in FORMATS:
        made = []
        for turn in ("1", "2"):
            files = write_all(tmp_path / turn / f"x{FORMATS[format][0]}", format, LAYERS, MEDIA)
            made.append([f.read_bytes() for f in files])
        assert made[0] == made[1]


def test_webvtt_by_hand() -> None:
    rows = [Interval("Ours", "A & B", 3661.5, 3662.0, 0.756), Interval("Ground truth", "Dive", 0.0, 1.2344)]
    assert to_vtt(rows) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\nGround truth: Dive\n\n"
        "01:01:01.500 --> 01:01:02.000\nOurs: A &amp; B 0.76\n"
    )
    assert to_srt(rows).startswith("1\n00:00:00,000 --> 00:00:01,234\nGround truth: Dive\n\n2\n")
    assert "Dialogue: 0,1:01:01.50,1:01:02.00,layer0,Ours,0,0,0,,Ours: A & B 0.76" in to_ass(rows)


def test_subtitles_of_other_tools() -> None:
    text = "\ufeffWEBVTT - a talk\n\nNOTE nothing\n\nintro\n00:01.000 --> 00:02.500 line:0\n<v Ann>High <b>jump</b>\n"
    assert parse_vtt(text, "x") == [Interval("Ground truth", "High jump", 1.0, 2.5)]
    windows = "1\r\n00:00:01,000 --> 00:00:02,000\r\nDive\r\n\r\n"
    assert parse_srt(windows, "x") == [Interval("Ground truth", "Dive", 1.0, 2.0)]


def test_label_studio_counts_frames_from_one(tmp_path: Path) -> None:
    rows = {"a": [Interval("Ground truth", "Dive", 1.0, 2.0)]}
    (task,) = to_label_studio(rows, {"a": MEDIA[0]}, ["Ground truth"], 30.0)
    value = task["annotations"][0]["result"][0]["value"]
    assert value == {"ranges": [{"start": 26, "end": 50}], "timelinelabels": ["Dive"]}
    exported = [{"id": 7, "data": {"video": "/data/upload/1/x.mp4"}, "annotations": task["annotations"]}]
    file = tmp_path / "x.json"
    file.write_text(json.dumps(exported))
    with pytest.raises(DataError, match="State the frame rate"):
        read(file)
    back = read(file, fps=25.0)
    assert (list(back.videos), back.instances.start.tolist(), back.instances.end.tolist()) == (["x"], [1.0], [2.0])


@pytest.mark.parametrize(
    ("data", "video"),
    [
        ({"video": "/data/upload/12/0a1b2c3d-x%20y.mp4"}, "x y"),
        ({"video": "/data/local-files/?d=clips/x.mp4"}, "x"),
        ({"video": "/data/local-files/?d=x.mp4"}, "x"),
        ({"video": "https://host/bucket/deadbeef-x.mp4?X-Amz-Date=1/2.3"}, "deadbeef-x"),
        ({"note": "a.b", "video_url": "s3://bucket/x.webm"}, "x"),
        ({"video": "x.mp4", "video_id": "y"}, "y"),
        ({"note": "a.b"}, "1"),
    ],
)
def test_label_studio_names_files_in_its_own_ways(data: dict[str, str], video: str) -> None:
    assert list(parse_label_studio([{"data": data}], "x", 25.0)) == [video]


@pytest.mark.parametrize(("fps", "rate"), [(25.0, "25"), (29.97, "$fps")])
def test_label_studio_shows_every_video_at_the_rate_its_frames_were_counted_at(
    fps: float, rate: str, tmp_path: Path
) -> None:
    media = MEDIA[0], Media("b", "b.mp4", fps, 4000.0)
    write_all(tmp_path / "x.json", "label_studio", LAYERS, media)
    video = ET.parse(tmp_path / "x.xml").find("Video")
    assert video is not None
    assert video.get("frameRate") == rate
    assert [task["data"]["fps"] for task in json.loads((tmp_path / "x.json").read_text())] == [25.0, fps]


def test_label_studio_tasks_of_several_annotators_are_not_counted_twice() -> None:
    def annotation(start: int, **more: Any) -> dict[str, Any]:
        value = {"ranges": [{"start": start, "end": 50}], "timelinelabels": ["Dive"]}
        return {"result": [{"type": "timelinelabels", "value": value}], **more}

    annotations = [annotation(1), annotation(26, ground_truth=True), annotation(9, was_cancelled=True)]
    found = parse_label_studio([{"data": {"video": "x.mp4"}, "annotations": annotations}], "x", 25.0)
    assert found["x"] == [Interval("Ground truth", "Dive", 1.0, 2.0), Interval("Annotation 2", "Dive", 0.0, 2.0)]


@pytest.mark.parametrize(("write", "parse"), [(to_vtt, parse_vtt), (to_srt, parse_srt), (to_ass, parse_ass)])
def test_colons_in_names_of_layers_do_not_reach_the_labels(write: Any, parse: Any) -> None:
    (found,) = parse(write([Interval("Ours: seed 1", "Dive", 1.0, 2.0, 0.5)]), "x")
    assert found == Interval("Ours - seed 1", "Dive", 1.0, 2.0, 0.5)
    (label,) = parse(write([Interval("Ours", "Dive: high", 1.0, 2.0, 0.5)]), "x")
    assert label == Interval("Ours", "Dive: high", 1.0, 2.0, 0.5)


def test_via_checkboxes_tick_several_classes() -> None:
    rows = {"a": [Interval("Ground truth", "Dive", 1.0, 2.0), Interval("Ground truth", "Jump", 4.0, 5.0)]}
    project = to_via(rows, {"a": MEDIA[0]}, ["Ground truth"])
    project["attribute"]["1"]["type"] = 2
    project["metadata"]["1_000001"]["av"] = {"1": "0,1"}
    both = [Interval("Ground truth", label, 4.0, 5.0) for label in ("Dive", "Jump")]
    assert parse_via(project, "x") == {"a": [rows["a"][0], *both]}


def test_one_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.vtt", "vtt", LAYERS, MEDIA[0])
    assert (tmp_path / "a.vtt").read_text().count("-->") == 5
    with pytest.raises(UsageError, match="unknown format of one video 'via'"):
        write_video(tmp_path / "a.json", "via", LAYERS, MEDIA[0])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.vtt", "hello", "is not WebVTT"),
        ("a.vtt", "WEBVTT\n\n00:01 --> 00:02\nDive\n", "is not a time"),
        ("a.srt", "1\n00:00:09,000 --> 00:00:02,000\nDive\n", "negative or inverted"),
        ("a.srt", "nothing at all", "holds no intervals"),
        ("a.ass", "Dialogue: 0,0:00:01.00", "too short"),
        ("a.eaf", "<x", "is not valid XML"),
        ("a.eaf", "<x/>", "is not an ELAN file"),
        ("a.eaf", '<!DOCTYPE x [<!ENTITY a "b">]><ANNOTATION_DOCUMENT/>', "entities"),
        (
            "a.eaf",
            '<ANNOTATION_DOCUMENT><TIER TIER_ID="t"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" '
            'TIME_SLOT_REF1="x" TIME_SLOT_REF2="y"/></ANNOTATION></TIER></ANNOTATION_DOCUMENT>',
            "has no time",
        ),
        ("a.json", '{"x": 1}', "is in no format"),
        (
            "a.json",
            '{"project": {}, "attribute": 1, "file": {}, "metadata": {}, "view": {}}',
            "is not a mapping of objects",
        ),
        ("a.json", '[{"data": {"video": "a.mp4"}}, 5]', "a task has no data"),
        (
            "a.json",
            '[{"data": {"video": "a.mp4", "fps": 25}, "annotations": [{"result": [{"type": "timelinelabels", '
            '"value": {"ranges": [{"start": "x", "end": 2}], "timelinelabels": ["D"]}}]}]}]',
            "a region cannot be read",
        ),
    ],
)
def test_broken_files_are_told_in_a_sentence(name: str, text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read(file)
    assert words in str(caught.value)


@given(st.binary(max_size=200), st.sampled_from(["vtt", "srt", "ass", "elan", "via", "label_studio"]))
def test_no_content_breaks_the_readers(tmp_path_factory: pytest.TempPathFactory, content: bytes, format: str) -> None:
    file = tmp_path_factory.mktemp("x") / f"a{FORMATS[format][0]}"
    file.write_bytes(content)
    try:
        read(file, format)
    except DataError:
        return


def test_layers_need_different_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two layers have one name"):
        write_all(tmp_path / "x.json", "via", (LAYERS[0], LAYERS[0]), MEDIA)
    with pytest.raises(UsageError, match="Did you mean 'elan'"):
        write_all(tmp_path / "x", "elann", LAYERS, MEDIA)
