"""Qualitative figures: what is drawn where, that text keeps off data, that files are the same every time."""

from __future__ import annotations

import itertools
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wtal_core.errors import DataError, UsageError
from wtal_core.figures import theme, timeline
from wtal_core.figures.content import FigureData, RunData, assemble
from wtal_core.figures.export import FORMATS, latex, render, save, simulated_png
from wtal_core.figures.qualitative import draw
from wtal_core.figures.spec import FigureSpec, Mark, Row
from wtal_core.methods import method_class
from wtal_core.records import Boundaries, Detections, Segments, Track

EVERY_ROW = (
    Row("frames"), Row("ground_truth"), Row("track"), Row("detections"), Row("cas"), Row("cas", name="context"),
    Row("branches"), Row("attention"), Row("dropped"), Row("heatmap"),
)  # fmt: skip
FEW_ROWS = (Row("ground_truth"), Row("detections", run="Ours"), Row("cas"))
SPEC = FigureSpec(video="v", label="Jump", runs={"Ours": "a", "Base": "b"}, rows=EVERY_ROW)


def drawn(spec: FigureSpec, data: FigureData) -> Figure:
    with theme.figure_style(spec.font, spec.font_size):
        figure = draw(spec, data)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return figure


def row(figure: Figure, label: str) -> Axes:
    found = [axes for axes in figure.axes if axes.get_label().partition(": ")[2] == label]
    assert len(found) == 1, f"{label} among {[a.get_label() for a in figure.axes]}"
    return found[0]


def bars(axes: Axes, gid: str) -> list[tuple[float, float]]:
    return [(p.get_x(), p.get_x() + p.get_width()) for p in axes.patches if p.get_gid() == gid]


def with_boundaries(data: FigureData) -> FigureData:
    """Let the leading run regress boundaries: two of "Jump" (one of them twice), one that is better for "Dive"."""
    ours = data.runs["Ours"]
    oic = np.full((4, 3), 0.5)
    oic[:, 1] = [-0.8, -0.7, -0.9, 0.4]
    oic[3, 0] = -1.0
    boundaries = Boundaries(
        stream=np.array(["rgb", "flow", "rgb", "flow"]), anchor=np.array([4, 4, 8, 2]),
        raw=np.array([[9, 13], [10, 14], [24, 31], [1, 2]], dtype=float),
        refined=np.array([[10, 14], [10.5, 14.5], [25, 31], [1, 2]], dtype=float), coherence=np.zeros(4), oic=oic,
    )  # fmt: skip
    ours = replace(ours, activations=replace(ours.activations, boundaries=boundaries), detections=None)
    return replace(data, runs={**data.runs, "Ours": ours})


def test_boundaries_before_and_after_regression(data: FigureData) -> None:
    data = with_boundaries(data)
    assert data.has()["boundaries"]
    axes = row(drawn(replace(SPEC, rows=(Row("ground_truth"), Row("boundaries", top=2))), data), "boundaries")
    assert bars(axes, "regressed") == [(25, 32), (10, 15)], "best by OIC; the second one is the first one again"
    assert sorted(tuple(line.get_xdata()) for line in axes.lines if line.get_gid() == "raw") == [(9, 14), (24, 32)]
    lines = {line.get_gid(): line.get_ydata()[0] for line in axes.lines}
    assert all(0 < y < 1 for y in lines.values())
    every = row(drawn(replace(SPEC, rows=(Row("boundaries"),)), data), "boundaries")
    assert len(bars(every, "regressed")) == 4, "each stream's best, as on the timeline"
    rows = Detections("v", ["Jump", "Jump", "Dive"], [10.5, 1.0, 25], [15.5004, 3.0, 32], [0.2, 0.9, 0.5])
    runs = {**data.runs, "Ours": replace(data.runs["Ours"], detections=rows)}
    spec = replace(SPEC, rows=(Row("boundaries"),))
    axes = row(drawn(spec, replace(data, runs=runs)), "boundaries")
    assert bars(axes, "regressed") == [(1, 3), (10.5, 15.5)], "those that became detections of the class, best first"
    with pytest.raises(UsageError, match="has no boundaries"):
        drawn(replace(SPEC, rows=(Row("boundaries"),)), without_boundaries(data))


def without_boundaries(data: FigureData) -> FigureData:
    ours = data.runs["Ours"]
    return replace(
        data, runs={**data.runs, "Ours": replace(ours, activations=replace(ours.activations, boundaries=None))}
    )


def test_every_attention_has_a_look_of_its_own() -> None:
    for palette in theme.PALETTES:
        for names in (("rgb", "flow"), ("foreground", "semi_soft", "hard"),
                      ("instance", "context", "background")):  # fmt: skip
            found = [theme.looks(palette)[name] for name in names]
            assert len({(look.colour, look.dash) for look in found}) == len(names), (palette, names)


def test_figures_show_at_first_what_the_method_says(data: FigureData) -> None:
    """A row that is not for figures, as the ranks of an attention, is drawn where it is asked for."""
    ours = data.runs["Ours"]
    attention = {name: np.linspace(0, 1, 40) for name in ("rgb", "flow", "rgb_rank", "flow_rank")}
    changed = replace(ours.activations, attention=attention)
    run = replace(ours, activations=changed, views=method_class("acn").views)
    data = replace(data, runs={"Ours": run})
    assert data.has()["attention"] == ("rgb", "flow")
    rows = (Row("attention"), Row("attention", name="flow_rank"), Row("view", name="rank"))
    figure = drawn(replace(SPEC, runs={"Ours": "a"}, rows=rows), data)
    assert [a.get_label().partition(": ")[2] for a in figure.axes] == [
        "attention rgb", "attention flow", "attention flow_rank", "view RGB", "view flow",
    ]  # fmt: skip
    assert [t.get_text() for t in figure.texts if t.get_gid() == "row-title"] == [
        "RGB attention", "Flow attention", "Flow rank attention", "RGB", "Flow",
    ]  # fmt: skip


def test_any_track_of_any_method_is_a_row(data: FigureData) -> None:
    ours = data.runs["Ours"]
    tracks = {
        "doubt": Track("curve", np.linspace(0, 1, 40), low=0.0, high=2.0),
        "mined": Track("mask", np.arange(40) % 8 < 2),
    }
    run = replace(ours, activations=replace(ours.activations, tracks=tracks), views=())
    data = replace(data, runs={"Ours": run})
    assert {"doubt", "mined"} <= set(data.has()["views"])
    rows = (Row("view", name="doubt", style="curve"), Row("view", name="mined"))
    curve, mask = drawn(replace(SPEC, runs={"Ours": "a"}, rows=rows), data).axes
    assert curve.get_ylim()[1] == pytest.approx(2.0, abs=0.1)
    grid = ours.activations.grid
    assert len(bars(mask, "mask")) == 5
    assert bars(mask, "mask")[0] == pytest.approx((0.0, float(grid.to_seconds(2))))
    with pytest.raises(UsageError, match="doubt"):
        drawn(replace(SPEC, runs={"Ours": "a"}, rows=(Row("view", name="dout"),)), data)


def test_verdicts_are_those_of_the_named_protocol(data: FigureData) -> None:
    """At a tIoU of exactly the threshold the THUMOS14 kit finds nothing, ActivityNet's evaluator does."""
    ours = data.runs["Ours"]
    exact = Detections(data.video, data.label, [10.0], [12.5], [0.9])  # half of [10, 15)
    data = replace(data, runs={"Ours": replace(ours, detections=exact)})
    spec = replace(SPEC, runs={"Ours": "a"}, rows=(Row("detections"),), verdicts=0.5)
    assert bars(drawn(spec, data).axes[0], "tp") == [(10, 12.5)]
    assert bars(drawn(replace(spec, protocol="thumos14"), data).axes[0], "fp") == [(10, 12.5)]


def test_what_is_on_or_off_has_edges(data: FigureData) -> None:
    ours = data.runs["Ours"]
    hard = (np.arange(40) % 10 < 5).astype(float)
    changed = replace(ours.activations, attention={"hard": hard, "foreground": hard * 0.5})
    data = replace(data, runs={"Ours": replace(ours, activations=changed)})
    spec = replace(SPEC, runs={"Ours": "a"}, style="curve", rows=(Row("attention", name="hard"), Row("attention")))
    first, both = drawn(spec, data).axes
    assert [line.get_drawstyle() for line in first.lines] == ["steps-mid"]
    assert [line.get_drawstyle() for line in both.lines] == ["steps-mid", "default"]


def test_rows_in_order(data: FigureData) -> None:
    labels = [axes.get_label().partition(": ")[2] for axes in drawn(SPEC, data).axes]
    assert labels == [
        "frames", "ground_truth", "track context", "track phases", "detections Ours", "detections Base", "cas",
        "cas context", "branches 1", "branches 2", "branches 3", "branches 4", "attention instance",
        "attention context", "attention background", "dropped", "heatmap",
    ]  # fmt: skip
    curve = [axes.get_label().partition(": ")[2] for axes in drawn(replace(SPEC, style="curve"), data).axes]
    assert "branches" in curve
    assert "attention" in curve
    assert len(row(drawn(replace(SPEC, style="curve"), data), "branches").lines) == 4


def test_bars_are_where_the_segments_are(data: FigureData) -> None:
    figure = drawn(SPEC, data)
    assert bars(row(figure, "ground_truth"), "gt") == [(10, 15), (25, 32), (34, 35)]
    assert bars(row(figure, "ground_truth"), "ambiguous") == [(20, 22)]
    assert bars(row(figure, "track context"), "track") == [(15, 18)], "contexts of other classes are not shown"
    assert sorted(bars(row(figure, "detections Ours"), "detection")) == [(8, 18), (10, 15), (25.5, 32), (36, 38)]
    assert bars(row(figure, "dropped"), "dropped") == [(11, 13), (27, 30)]


def test_verdicts(data: FigureData) -> None:
    figure = drawn(replace(SPEC, verdicts=0.5), data)
    axes = row(figure, "detections Ours")
    assert sorted(bars(axes, "tp")) == [(10, 15), (25.5, 32)]
    assert sorted(bars(axes, "fp")) == [(8, 18), (36, 38)]
    assert bars(axes, "fn") == [(34, 35)]
    assert not bars(axes, "detection")
    hatched = [p for p in axes.patches if p.get_gid() == "fp"]
    assert all(p.get_hatch() and p.get_linestyle() != "-" for p in hatched), "a second cue besides the colour"
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert set(texts) == {"true positive", "false positive", "missed", "ambiguous", "start", "peak", "0 to 0.9"}
    filtered = drawn(replace(SPEC, rows=(Row("detections", run="Ours", top=2, min_score=0.85),)), data)
    assert bars(row(filtered, "detections Ours"), "detection") == [(10, 15)]


def test_overlapping_detections_get_lanes(data: FigureData) -> None:
    axes = row(drawn(SPEC, data), "detections Ours")
    by_start = {p.get_x(): p for p in axes.patches}
    assert by_start[10.0].get_y() > by_start[8.0].get_y(), "the better-scored one lies above"
    assert by_start[8.0].get_y() + by_start[8.0].get_height() <= by_start[10.0].get_y()
    assert by_start[25.5].get_y() == by_start[10.0].get_y()
    lanes, count = timeline.assign_lanes(
        np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0])
    )
    assert count == 2
    assert lanes.tolist() == [0, 1, 0], "segments that touch share a lane"


def test_cells_lie_on_edges_and_lines_on_centres(data: FigureData) -> None:
    figure = drawn(replace(SPEC, window=(9.5, 20.25)), data)
    (cells,) = row(figure, "cas").images
    assert cells.get_extent() == [9.0, 21.0, 0.0, 1.0]
    shown = np.asarray(cells.get_array())
    assert shown.shape == (1, 12)
    acts = data.runs["Ours"].activations
    assert acts is not None
    np.testing.assert_array_equal(shown[0], acts.cas[9:21, 1])
    assert cells.get_interpolation() == "nearest"
    assert cells.get_rasterized()
    (curve,) = row(drawn(replace(SPEC, style="curve", window=(9.5, 20.25)), data), "cas").lines
    assert curve.get_xdata()[0] == 8.5, "one more snippet on both sides, so that the line runs to the edges"
    assert curve.get_xdata()[-1] == 21.5
    for axes in figure.axes:
        assert axes.get_xlim() == (9.5, 20.25)


def test_average_and_branches_share_one_scale(data: FigureData) -> None:
    figure = drawn(SPEC, data)
    limits = {row(figure, f"branches {k}").images[0].get_clim() for k in (1, 2, 3, 4)}
    assert limits == {row(figure, "cas").images[0].get_clim()} == {(0.0, 0.9)}


@pytest.mark.parametrize(
    ("low", "high", "scale", "curve", "expected"),
    [
        (0.1, 0.9, "auto", True, (0.0, 1.0)),
        (0.1, 0.2, "auto", True, (0.0, 0.2)),
        (0.1, 0.9, "auto", False, (0.0, 0.9)),
        (-2.0, 6.0, "auto", True, (-2.0, 6.0)),
        (-2.0, 6.0, "unit", True, (0.0, 1.0)),
        (0.1, 0.9, "video", True, (0.1, 0.9)),
        (0.5, 0.5, "video", True, (0.5, 1.5)),
    ],
)
def test_value_ranges(low: float, high: float, scale: str, curve: bool, expected: tuple[float, float]) -> None:
    values = np.array([low, high, low])
    assert timeline.limits_of([values], scale, slice(0, 3), curve=curve) == pytest.approx(expected)
    assert timeline.limits_of([np.arange(10.0)], "window", slice(3, 6)) == (3.0, 5.0)


@pytest.mark.parametrize("style", ["barcode", "curve"])
@pytest.mark.parametrize(("width", "size"), [("single", 7.0), ("double", 9.0), (2.0, 6.0)])
def test_text_keeps_off_data_and_inside_the_figure(data: FigureData, style: str, width: Any, size: float) -> None:
    spec = replace(
        SPEC, style=style, width=width, font_size=size, verdicts=0.5, title="(a) A jump", caption="What it shows.",
        marks=(Mark(15, 18, "context"), Mark(16, 19, "second")),
    )  # fmt: skip
    figure = drawn(spec, data)
    assert figure.get_figwidth() == pytest.approx(spec.inches)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [t for t in figure.texts if t.get_text()]
    last = [axes for axes in figure.axes if axes.get_label().startswith("row")][-1]
    texts += [t for t in last.get_xticklabels() if t.get_text()]
    texts += [t for axes in figure.axes for t in axes.texts if t.get_gid() == "mark-text"]
    texts += list(figure.legends[0].get_texts())
    boxes = [t.get_window_extent(renderer) for t in texts]
    rows_ = [axes.get_window_extent(renderer) for axes in figure.axes if axes.get_label().startswith("row")]
    whole = figure.bbox
    for text, box in zip(texts, boxes, strict=True):
        for area in rows_:
            across = min(box.x1, area.x1) - max(box.x0, area.x0)
            down = min(box.y1, area.y1) - max(box.y0, area.y0)
            assert not (across > 0.5 and down > 0.5), f"{text.get_text()!r} lies on a row"
        assert box.x0 >= whole.x0 - 0.5, text.get_text()
        assert box.x1 <= whole.x1 + 0.5, text.get_text()
        assert box.y0 >= whole.y0 - 0.5, text.get_text()
        assert box.y1 <= whole.y1 + 0.5, text.get_text()
    for i, (a, one) in enumerate(zip(boxes, texts, strict=True)):
        for b, other in zip(boxes[:i], texts[:i], strict=True):
            overlap = min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.5
            assert not overlap, f"{one.get_text()!r} and {other.get_text()!r} overlap"


def test_a_long_title_takes_lines(data: FigureData) -> None:
    words = "What three people agreed on and what four methods of two years make of it, in one video of many"
    figure = drawn(replace(SPEC, rows=FEW_ROWS, title=words, legend=False), data)
    title = [t for t in figure.texts if t.get_gid() == "title"]
    assert " ".join(t.get_text() for t in title) == words
    boxes = [t.get_window_extent() for t in title]
    assert len(boxes) > 1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert all(a.y0 >= b.y1 - 1 for a, b in itertools.pairwise(boxes))
    assert boxes[-1].y0 >= row(figure, "ground_truth").get_window_extent().y1


@pytest.mark.parametrize("long", ["GT", "What three people agreed on"])
def test_the_time_title_keeps_clear_of_the_first_tick_and_of_the_row_above(data: FigureData, long: str) -> None:
    rows = (Row("ground_truth", title="A"), Row("ground_truth", title=long))
    figure = drawn(replace(SPEC, rows=rows, time="min:s", width="single", font_size=7.0), data)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    tick = next(t for t in figure.axes[-1].get_xticklabels() if t.get_text() == "0:00").get_window_extent(renderer)
    title = next(t for t in figure.texts if t.get_gid() == "time-title").get_window_extent(renderer)
    above = [t.get_window_extent(renderer) for t in figure.texts if t.get_gid() == "row-title"]
    assert len(above) == (2 if long == "GT" else 3), "a long title takes two lines"
    assert tick.x0 - title.x1 >= 0.03 * figure.dpi
    assert min(box.y0 for box in above) - title.y1 >= 0.02 * figure.dpi


def test_rows_do_not_overlap(data: FigureData) -> None:
    boxes = [axes.get_position() for axes in drawn(SPEC, data).axes]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(boxes))
    assert len({(round(b.x0, 9), round(b.x1, 9)) for b in boxes}) == 1, "one time axis for all"


def test_scores_are_printed_above_their_bars(data: FigureData) -> None:
    axes = row(drawn(replace(SPEC, rows=(Row("detections", run="Ours", scores=True),)), data), "detections Ours")
    texts = {t.get_text(): t.get_position() for t in axes.texts}
    assert set(texts) <= {"0.90", "0.40", "0.80", "0.20"}
    assert "0.90" in texts
    tops = {p.get_x(): p.get_y() + p.get_height() for p in axes.patches}
    assert texts["0.90"][1] >= tops[10.0]


@pytest.mark.parametrize(
    ("t0", "t1", "form", "first", "unit"),
    [(0, 40, "auto", "0", "s"), (0, 240, "auto", "0:00", "min:s"), (3600, 7200, "auto", "1:00:00", "min:s"),
     (0, 240, "seconds", "0", "s"), (0.0, 0.8, "auto", "0.0", "s")],
)  # fmt: skip
def test_time_ticks(t0: float, t1: float, form: str, first: str, unit: str) -> None:
    ticks = timeline.time_ticks(t0, t1, 2.5, "DejaVu Sans", 7, form)
    assert ticks.unit == unit
    assert ticks.labels[0] == first
    assert 3 <= len(ticks.labels) <= 14
    widths = [timeline.text_width(label, "DejaVu Sans", 7) for label in ticks.labels]
    step = (ticks.positions[1] - ticks.positions[0]) / (t1 - t0) * 2.5
    assert step > max(widths), "labels keep clear of each other"


# -- files ----------------------------------------------------------------------------------------------------------


def test_the_same_bytes_every_time(data: FigureData) -> None:
    spec = replace(SPEC, verdicts=0.5, marks=(Mark(1, 2, "x"),))
    assert render(spec, data, ("svg",)) == render(spec, data, ("svg",))
    spec = replace(spec, style="curve", rows=FEW_ROWS)
    assert render(spec, data) == render(spec, data)


def test_a_users_matplotlib_settings_do_not_matter(data: FigureData) -> None:
    import matplotlib

    spec = replace(SPEC, rows=FEW_ROWS)
    before = render(spec, data, ("svg",))
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9, "svg.fonttype": "path", "text.color": "red"}):
        assert render(spec, data, ("svg",)) == before
        assert matplotlib.rcParams["font.size"] == 30, "and they are left as they were"


def _streams(pdf: bytes) -> bytes:
    parts = [pdf]
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            parts.append(zlib.decompress(found[1]))
        except zlib.error:
            continue
    return b"".join(parts)


@pytest.mark.parametrize("font", ["sans", "serif", "DejaVu Sans"])
def test_pdf_has_truetype_fonts_alone(data: FigureData, font: str) -> None:
    content = _streams(render(replace(SPEC, rows=FEW_ROWS, font=font, title="Tor – ä 5 µs"), data, ("pdf",))["pdf"])
    assert b"/Type3" not in content
    assert b"/Type1" not in content
    assert b"/FontFile2" in content
    assert b"/CIDFontType2" in content


def test_svg_keeps_text_and_has_no_date(data: FigureData) -> None:
    svg = render(replace(SPEC, title="A & B $x_1$ <i>"), data, ("svg",))["svg"].decode()
    assert "Ground truth" in svg
    assert "A &amp; B $x_1$ &lt;i&gt;" in svg, "dollar signs are no formulas"
    assert "dc:date" not in svg
    assert len(svg) < 400_000
    assert 'width="234pt"' in svg, "3.25 inches"


def test_png_has_the_resolution_of_the_spec(data: FigureData) -> None:
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(render(replace(SPEC, dpi=200), data, ("png",))["png"]))
    assert image.width == 650
    assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)


def test_frames_of_the_video(data: FigureData, clip: Path) -> None:
    with_file = replace(data, video_file=clip, duration=10.0)
    axes = row(drawn(replace(SPEC, rows=(Row("frames", count=5),), window=(0, 10)), with_file), "frames")
    assert len(axes.images) == 5
    spans = [image.get_extent()[:2] for image in axes.images]
    assert spans[0][0] == 0
    assert spans[-1][1] == 10
    assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))
    box = axes.get_window_extent()
    frame = np.asarray(axes.images[0].get_array())
    aspect = frame.shape[1] / frame.shape[0]
    assert box.width / 5 / box.height == pytest.approx(aspect, rel=0.03), "frames keep their shape"
    without = row(drawn(replace(SPEC, rows=(Row("frames"),)), data), "frames")
    assert [t.get_text() for t in without.texts] == ["no video file"]


def test_saving(data: FigureData, tmp_path: Path) -> None:
    files = save(replace(SPEC, rows=FEW_ROWS), [tmp_path / f"a.{form}" for form in FORMATS], data)
    assert [f.read_bytes()[:4] for f in files] == [b"%PDF", b"<?xm", b"\x89PNG"]
    with pytest.raises(UsageError, match=r"expected \.pdf or \.svg or \.png"):
        save(SPEC, [tmp_path / "a.eps"], data)
    assert not (tmp_path / "a.eps").exists()


def test_latex_sets_the_true_size_and_escapes() -> None:
    text = latex(replace(SPEC, width="double"), "a.pdf", r"50 % of {x}_1 & \y", "a")
    assert r"\begin{figure*}" in text
    assert "width=6.875in" in text
    assert r"50 \% of \{x\}\_1 \& \textbackslash{}y" in text


# -- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"rows": (Row("cas", run="Base"),)}, DataError, "cannot fill a row of kind 'cas'"),
        (
            {"rows": (Row("attention", name="soft"),)},
            UsageError,
            "has no attention 'soft' (expected one of: CAS, 4 branches",
        ),
        ({"rows": (Row("branches", name="7"),)}, UsageError, "unknown branch '7'"),
        ({"rows": (Row("track", name="contxt"),)}, UsageError, "Did you mean 'context'?"),
        ({"rows": (Row("cas", name="xyz"),)}, UsageError, "has no CAS 'xyz'"),
        ({"window": (50, 60)}, UsageError, "the window begins after the video ends"),
    ],
)
def test_sentences(data: FigureData, changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        drawn(replace(SPEC, **changes), data)
    assert words in str(caught.value)


def test_missing_parts_of_runs(data: FigureData) -> None:
    acts = data.runs["Ours"].activations
    assert acts is not None
    bare = replace(acts, branch_cas=None, drop_mask=None, attention={})
    one = replace(data, runs={"Ours": RunData("hamnet", bare, None)})
    spec = replace(SPEC, runs={"Ours": "a"})
    for kind, words in (
        ("branches", "has no branches"),
        ("dropped", "has no dropped"),
        ("attention", "has no attention"),
    ):
        with pytest.raises(UsageError, match=words):
            drawn(replace(spec, rows=(Row(kind),)), one)
    with pytest.raises(DataError, match="no detections yet"):
        drawn(replace(spec, rows=(Row("detections"),)), one)
    with pytest.raises(UsageError, match="needs a run"):
        drawn(replace(spec, runs={}, rows=(Row("detections"),)), replace(data, runs={}))
    with pytest.raises(UsageError, match="needs a data set"):
        drawn(replace(spec, rows=(Row("ground_truth"),)), replace(one, truth=None))


def test_class_and_duration_are_found(data: FigureData) -> None:
    spec = FigureSpec(video="v")
    assert assemble(spec, data.truth, data.runs, None).label == "Jump"
    assert assemble(spec, None, data.runs, None).label == "Jump", "the best video score"
    assert assemble(spec, None, data.runs, None).duration == 40.0
    with pytest.raises(UsageError, match="Did you mean 'Jump'"):
        assemble(FigureSpec(video="v", label="Jmp"), data.truth, data.runs, None)
    with pytest.raises(UsageError, match="class"):
        assemble(spec, None, {}, None)


def test_an_empty_window_of_data_is_drawn(data: FigureData) -> None:
    figure = drawn(replace(SPEC, window=(5.0, 7.0), verdicts=0.5), data)
    assert not bars(row(figure, "ground_truth"), "gt")
    last = next(t for t in figure.axes[-1].get_xticklabels() if t.get_text() == "7.0")
    assert last.get_window_extent().x1 <= figure.bbox.x1, "the last tick of a short window has decimals, and room"


def test_verdicts_in_a_video_where_nothing_happens(data: FigureData) -> None:
    assert data.truth is not None
    truth = replace(data.truth, instances=Segments.empty())
    axes = row(drawn(replace(SPEC, rows=FEW_ROWS, verdicts=0.5), replace(data, truth=truth)), "detections Ours")
    assert len(bars(axes, "fp")) == 4
    assert not bars(axes, "fn")


# -- theme ------------------------------------------------------------------------------------------------------------


def test_greyscale_palette_and_simulation() -> None:
    for look in theme.looks("greyscale").values():
        red, green, blue = (look.colour[i : i + 2] for i in (1, 3, 5))
        assert red == green == blue
    image = np.array([[[255, 0, 0], [0, 158, 115], [255, 255, 255], [0, 0, 0]]], dtype=np.uint8)
    grey = theme.simulate(image, "greyscale")
    assert (grey.max(-1) == grey.min(-1)).all()
    assert grey[0, 2].tolist() == [255, 255, 255]
    for kind in theme.SIMULATIONS:
        ends = theme.simulate(image, kind)[0, 2:]
        np.testing.assert_allclose(ends, [[255] * 3, [0] * 3], atol=1)
    with pytest.raises(UsageError, match="Did you mean 'greyscale'"):
        theme.simulate(image, "grayscale")


def test_similar_lightness_is_reported() -> None:
    close = theme.similar_in_greyscale({"a": "#808080", "b": "#858585", "c": "#000000"})
    assert [(a, b) for a, b, _ in close] == [("a", "b")]


def test_colour_maps_grow_in_one_direction() -> None:
    for name in theme.COLORMAPS:
        colours = theme.colormap(name, "#0072B2")(np.linspace(0, 1, 32))[:, :3]
        luminance = np.diff(colours @ [0.2126, 0.7152, 0.0722])
        assert (luminance >= -1e-3).all() or (luminance <= 1e-3).all(), name


def test_simulated_preview(data: FigureData) -> None:
    png = render(replace(SPEC, rows=FEW_ROWS), data, ("png",), dpi=80)["png"]
    assert simulated_png(png, "deuteranopia")[:4] == b"\x89PNG"
    assert simulated_png(png, "greyscale") != png
