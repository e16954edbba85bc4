"""Figure specs: round trips, relative paths, strict keys with the nearest name, other runs."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError
from wtal_core.figures.spec import ROW_KINDS, FigureSpec, Mark, Row, template_rows

NAMES = st.text("abcXYZ äß0_-'\":#&[]{}", min_size=1, max_size=12).filter(str.strip)
SECONDS = st.floats(0, 5000, allow_nan=False).map(lambda x: round(x, 3))
SPANS = st.tuples(SECONDS, st.floats(0.1, 500)).map(lambda s: (s[0], s[0] + s[1]))
ROWS = st.builds(
    Row,
    kind=st.sampled_from(list(ROW_KINDS)),
    name=st.sampled_from(["", "context", "2"]),
    title=NAMES | st.just(""),
    style=st.sampled_from(["", "barcode", "curve"]),
    height=st.floats(0, 3),
    count=st.integers(0, 30),
    top=st.integers(0, 30),
    min_score=st.none() | st.floats(-5, 5),
    scores=st.booleans(),
    scale=st.sampled_from(["auto", "unit", "video", "window"]),
    threshold=st.none() | st.floats(-5, 5),
)
SPECS = st.builds(
    FigureSpec,
    data=NAMES,
    video=NAMES,
    label=NAMES | st.just(""),
    runs=st.dictionaries(NAMES, NAMES, max_size=4),
    window=st.none() | SPANS,
    style=st.sampled_from(["barcode", "curve"]),
    rows=st.lists(ROWS, min_size=1, max_size=5).map(tuple),
    marks=st.lists(st.builds(lambda s, t: Mark(s[0], s[1], t), SPANS, NAMES), max_size=3).map(tuple),
    width=st.sampled_from(["single", "double"]) | st.floats(1, 20),
    font=st.sampled_from(["sans", "serif"]),
    font_size=st.floats(4, 14),
    colours=st.dictionaries(st.sampled_from(["gt", "tp"]), st.sampled_from(["#112233", "#ABCDEF"])),
    title=NAMES | st.just(""),
    legend=st.booleans(),
    verdicts=st.none() | st.floats(0.05, 1),
    dpi=st.integers(72, 600),
)


@given(SPECS)
def test_a_spec_survives_its_file(spec: FigureSpec) -> None:
    assert FigureSpec.parse(spec.to_yaml()) == spec


def test_defaults_are_not_written() -> None:
    spec = FigureSpec(data="d", video="v", rows=(Row("frames"), Row("detections", top=3)))
    assert spec.to_dict() == {
        "figure": 1, "data": "d", "video": "v", "rows": ["frames", {"kind": "detections", "top": 3}]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("video: v", DataError, "is not a figure spec (expected figure: 1"),
        ("figure: 2\nvideo: v", DataError, "of this version"),
        ("figure: true\nvideo: v", DataError, "of this version"),
        ("- 1", DataError, "expected a mapping"),
        ("figure: 1\nvideo: [", DataError, "is not valid YAML at line"),
        ("figure: 1\nvideo: a\nvideo: b", DataError, "'video' is listed twice"),
        ("figure: 1\nvidoe: v", UsageError, "Did you mean 'video' or"),
        ("figure: 1\nrows: [grond_truth]", UsageError, "Did you mean 'ground_truth'?"),
        ("figure: 1\nrows: [{kind: cas, titel: x}]", UsageError, "Did you mean 'title'?"),
        ("figure: 1\nrows: [{title: x}]", UsageError, "rows 1: has no kind"),
        ("figure: 1\nrows: cas", UsageError, "is not a list"),
        ("figure: 1\nrows: []", UsageError, "has no rows"),
        ("figure: 1\nstyle: barcodes", UsageError, "Did you mean 'barcode'?"),
        ("figure: 1\nwidth: singel", UsageError, "Did you mean 'single'?"),
        ("figure: 1\nwidth: 400", UsageError, "1 to 40 inches"),
        ("figure: 1\nwindow: [9, 3]", UsageError, "the window is empty"),
        ("figure: 1\nwindow: 3", UsageError, "window"),
        ("figure: 1\nfont: DejaVu San", UsageError, "Did you mean 'DejaVu Sans"),
        ("figure: 1\ncolours: {gtt: red}", UsageError, "Did you mean 'gt"),
        ("figure: 1\ncolours: {gt: reddish}", UsageError, "is not a colour"),
        ("figure: 1\ncolormap: viridiss", UsageError, "Did you mean 'viridis' or"),
        ("figure: 1\npalette: color", UsageError, "Did you mean 'colour'?"),
        ("figure: 1\nruns: [a]", UsageError, "runs"),
        ("figure: 1\nruns: {Ours: a}\nrows: [{kind: cas, run: Our}]", UsageError, "Did you mean 'Ours'?"),
        ("figure: 1\nmarks: [{start: 5, end: 2}]", UsageError, "a mark is empty"),
        ("figure: 1\nfont_size: .nan", UsageError, "font_size"),
        ("figure: 1\nverdicts: 2", UsageError, "verdicts"),
    ],
)
def test_errors_name_the_place_and_the_way_out(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        FigureSpec.parse(text, "spec.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("spec.yaml")


@given(st.text(max_size=60))
def test_no_text_makes_anything_but_a_spec_or_a_sentence(text: str) -> None:
    for content in (text, f"figure: 1\n{text}", f"figure: 1\nrows: [{text}]"):
        with contextlib.suppress(DataError, UsageError):
            FigureSpec.parse(content)


def test_paths_start_in_the_specs_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    file = tmp_path / "a" / "spec.yaml"
    file.write_text("figure: 1\ndata: ../data\nvideo: v\nruns: {Ours: run, Far: /elsewhere/run}\n")
    spec = FigureSpec.open(file)
    assert spec.path(spec.data).resolve() == tmp_path / "data"
    spec.save(tmp_path / "b" / "moved.yaml")
    moved = FigureSpec.open(tmp_path / "b" / "moved.yaml")
    assert moved.runs == {"Ours": "../a/run", "Far": "/elsewhere/run"}
    assert moved.path(moved.runs["Ours"]).resolve() == tmp_path / "a" / "run"


def test_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = FigureSpec(runs={"Ours": "a", "Base": "b"}, folder=tmp_path / "far")
    assert spec.with_runs(["new"]).runs == {"Ours": str(tmp_path / "new"), "Base": "b"}
    assert spec.with_runs(["Base=new", "Third=x"]).runs == {
        "Ours": "a", "Base": str(tmp_path / "new"), "Third": str(tmp_path / "x")
    }  # fmt: skip
    assert replace(spec, runs={}).with_runs(["runs/hamnet"]).runs == {"hamnet": str(tmp_path / "runs" / "hamnet")}
    for wrong in (["a", "b"], ["=x"], ["Ours="]):
        with pytest.raises(UsageError):
            spec.with_runs(wrong)


def test_templates_show_what_there_is() -> None:
    everything = {
        "frames": True, "truth": True, "cas": True, "branches": ("1", "2"), "attention": ("soft", "hard"),
        "dropped": True, "boundaries": True,
    }  # fmt: skip

    def rows(style: str, has: dict[str, object], runs: list[str]) -> list[str]:
        return [f"{row.kind} {row.run or row.name}".strip() for row in template_rows(style, has, runs)]

    ends = ["dropped", "boundaries"]
    start = ["frames", "ground_truth", "detections a", "detections b", "cas"]
    assert rows("barcode", everything, ["a", "b"]) == [*start, "branches", *ends]
    attention = ["attention soft", "attention hard"]
    assert rows("curve", everything, ["a", "b"]) == [*start, "branches 1", "branches 2", *attention, *ends]
    assert rows("barcode", {**everything, "branches": ()}, ["a", "b"]) == [*start, "attention", *ends]
    assert rows("curve", {}, []) == ["ground_truth"]
