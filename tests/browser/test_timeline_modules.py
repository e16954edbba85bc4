"""The timeline's ES modules in a blank page, without the app: what is computed, and the component by itself."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pages.ui import timeline
from pages.ui.javascript import join
from pages.ui.timeline import Payload, pack
from tests.browser.chromium import Chromium, Witness
from wtal_core.figures.rows import Row, Series
from wtal_core.snippet_grid import SnippetGrid

pytestmark = pytest.mark.browser

FOLDER = Path(timeline.__file__).parent
NAMES = sorted(file.stem for file in FOLDER.glob("*.js") if file.stem not in ("arrays", "component"))
IMPORTS = "".join(f'import * as {name} from "/{name}.js";' for name in NAMES)
BLANK = f"""<!doctype html><meta charset="utf-8"><style>{(FOLDER / "timeline.css").read_text(encoding="utf-8")}</style>
<body class="stApp" style="margin:0"><div id="host">{(FOLDER / "timeline.html").read_text(encoding="utf-8")}</div>
<script type="module">{IMPORTS} window.m = {{ {", ".join(NAMES)} }};
import arrays from "/arrays.js"; import show from "/joined.js"; Object.assign(window, {{ arrays, show }});
window.bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
window.modelOf = ([header, body]) => {{
  const data = bytes(body), id = new TextDecoder().decode(data.subarray(0, 16));
  const model = new m.model.Model({{ order: [], hidden: {{}}, folded: {{}} }});
  model.load(m.payload.decode(bytes(header), new Map([[id, data.slice(16).buffer]])));
  model.axis.w = 800; model.h = 600; model.arrange();
  return model;
}};
</script>"""

#: Of 40 snippets of 0.5 s, the first of which starts at second 2.
GRID = SnippetGrid(fps=10, stride=5, window=5, offset=20, num_snippets=40, duration=24.0)
VALUES = np.linspace(0, 1, 40, dtype=np.float32)
CELLS = np.arange(120, dtype=np.uint8).reshape(3, 40)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """URL of a page with all modules as `m.<name>` and the component, joined, as `show`."""
    files = {"/": BLANK, "/favicon.ico": "", "/joined.js": join(FOLDER / "component.js")}
    files |= {f"/{file.name}": file.read_text(encoding="utf-8") for file in FOLDER.glob("*.js")}

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "text/html")
            self.end_headers()
            self.wfile.write(files.get(self.path, "").encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(chromium: Chromium, url: str) -> Iterator[Any]:
    """Open the page; it may neither complain nor ask elsewhere."""
    witness = Witness()
    context = chromium.browser.new_context(viewport={"width": 1000, "height": 900})
    witness.listen(context)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto(url)
    page.wait_for_function("!!window.modelOf")
    yield page
    context.close()
    assert not witness.problems, witness.problems


@pytest.fixture(scope="module")
def page(chromium: Chromium, url: str) -> Iterator[Any]:
    """A page for tests that only compute."""
    with opened(chromium, url) as found:
        yield found


def detection(start: float, end: float, verdict: str = "fp", **more: Any) -> dict[str, Any]:
    return {"id": f"A{start:g}", "label": "Dive", "start": start, "end": end, "verdict": verdict, "score": 0.5,
            "class_score": 0.4, "rank": 0.5, "source": "cas", "threshold": 0.25} | more  # fmt: skip


def truth(start: float, end: float, role: str = "gt", label: str = "Dive") -> dict[str, Any]:
    return {"label": label, "start": start, "end": end, "role": role}


TRACKS = (
    Row("gt", "Ground truth", "segments", items=(truth(4, 8), truth(12, 15), truth(13, 17, "ambiguous"))),
    Row("truth:fakes", "Fakes", "segments", items=(truth(9, 11, "fake", "practice"),)),
    Row("det:A", "run", "detections", run="A", counts={"tp": 1, "fp": 2}, misses=({"start": 12.0, "end": 15.0},),
          items=(detection(4.5, 8, "tp"), detection(5, 10), detection(18, 20))),
    Row("cas:A", "CAS", "lines", run="A", grid=GRID, series=(Series("CAS", VALUES, "instance"),), sources=("cas",)),
    Row("area:A", "Parts", "area", run="A", grid=GRID, hidden=True,
          series=(Series("one", VALUES, "instance"), Series("rest", 1 - VALUES, "context"))),
    Row("heat:A", "All classes", "heat", run="A", grid=GRID, cells=CELLS, names=("Dive", "Jump", "Throw"), row=1),
    Row("dropped:A", "Dropped", "mask", run="A", spans=((3.0, 4.0), (10.0, 11.5)), role="ghost", folded=True),
    Row("bounds:A", "Boundaries", "boundaries", run="A",
          items=({"label": "Dive", "start": 4.0, "end": 9.0, "raw_start": 5.0, "raw_end": 8.0, "stream": "flow",
                  "oic": -0.3, "coherence": 0.7},)),
    Row("flow", "Optical flow", "offer", note="Compute", about="computed once"),
)  # fmt: skip


def packed(tracks: tuple[Row, ...] = TRACKS, **facts: Any) -> Payload:
    """Return a payload as the page makes it."""
    known: dict[str, Any] = {
        "subject": "planted/one", "title": "one", "duration": 24.0, "fps": 10.0, "step": 0.5, "t0": 2.0,
        "num_snippets": 40, "video": {"url": "", "problem": "No file.", "offer": ""}, "scores": [], "lead": "run",
        "erasable": True, "erased": [], "label": "Dive", "classes": ["Dive", "Jump", "Throw"], "tiou": 0.5,
    }  # fmt: skip
    return pack(tracks, start={"t": None, "from": None, "to": None}, **known | facts)


def texts(payload: Payload) -> list[str]:
    """Return header and arrays as a page's scripts take them."""
    return [base64.b64encode(part).decode() for part in (payload.header, payload.arrays)]


def on_model(page: Any, code: str, arg: Any = None, payload: Payload | None = None) -> Any:
    """Return what `(model, arg) => ...` returns of a payload's model, 800 x 600 pixels."""
    return page.evaluate(f"([payload, arg]) => ({code})(modelOf(payload), arg)", [texts(payload or packed()), arg])


# -- time <-> pixel -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [(0, 7200), (12.5, 13.25), (7199, 7200)])
@pytest.mark.parametrize("width", [50, 811, 2560])
def test_seconds_and_pixels_turn_into_each_other(page: Any, view: tuple[float, float], width: int) -> None:
    pixels, seconds, edges = page.evaluate(
        """([view, w, times]) => { const a = Object.assign(new m.axis.Axis(), {end: 7200, w}); a.view = view;
          const x = times.map(t => a.x(t)); return [x, x.map(x => a.at(x)), view.map(t => a.x(t))]; }""",
        [view, width, (times := [0, 12.5, 13, 3600.04, 7200])],
    )
    assert seconds == pytest.approx(times, abs=1e-6)
    assert edges == pytest.approx([0, width])
    assert pixels == pytest.approx([(t - view[0]) / (view[1] - view[0]) * width for t in times])


def test_the_part_in_view_stays_inside_the_video_and_is_never_too_short(page: Any) -> None:
    shown, linked = page.evaluate(
        """() => { const after = (name) => ([a, b]) => {
            const axis = Object.assign(new m.axis.Axis(), {end: 100, shortest: 2});
            axis[name](a, b);
            return axis.view; };
          return [[[-5, 10], [95, 130], [50, 50.1], [-10, 500], [20, 30]].map(after('show')),
            [[10, 20], [20, 10], [null, 20], [10, 10.5], [90, 400]].map(after('open'))]; }"""
    )
    assert shown == [[0, 15], [65, 100], [pytest.approx(49.05), pytest.approx(51.05)], [0, 100], [20, 30]]
    assert linked == [[10, 20], [0, 100], [0, 100], [0, 100], [90, 100]]


def test_zooming_keeps_the_moment_under_the_pointer(page: Any) -> None:
    places = page.evaluate(
        """() => { const a = Object.assign(new m.axis.Axis(), {end: 100, w: 800, view: [20, 60]}), x = [a.x(33)];
          for (const f of [0.5, 0.3, 1.2]) { a.show(...a.zoomed(f, 33)); x.push(a.x(33)); } return x; }"""
    )
    assert places == pytest.approx([places[0]] * 4)


@pytest.mark.parametrize("span", [0.5, 3, 24, 300, 7200])
def test_ticks_stand_apart_at_round_times_in_view(page: Any, span: float) -> None:
    ticks = page.evaluate(
        """(span) => { const a = Object.assign(new m.axis.Axis(), {end: 9000, w: 800}); a.view = [17.3, 17.3 + span];
          return a.ticks().map(([t, text]) => [t, a.x(t), text]); }""",
        span,
    )
    pixels = [x for _, x, _ in ticks]
    assert len(ticks) >= 2
    assert 0 <= pixels[0] <= pixels[-1] <= 800
    apart = np.diff(pixels)
    assert apart == pytest.approx([apart[0]] * len(apart))
    assert 76 <= apart[0] < 230
    assert len({text for _, _, text in ticks}) == len(ticks), "each tick reads differently"


# -- level of detail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Float32Array", "Uint8Array"])
def test_extrema_of_every_range_are_those_of_its_values(page: Any, kind: str) -> None:
    rng = np.random.default_rng(3)
    values = [int(v) for v in rng.integers(0, 256, 37)]
    gaps = [3, 4, 5, 6, 20] if kind == "Float32Array" else []
    wrong = page.evaluate(
        """([values, gaps, kind]) => { for (const i of gaps) values[i] = NaN;
          const a = window[kind].from(values), n = a.length, wrong = [];
          for (const [name, best] of [['highest', Math.max], ['lowest', Math.min]])
            for (let i = 0; i < n; i++) for (let j = i + 1; j <= n; j++) {
              const level = m.levels[name](a, n)[m.levels.powerOf(j - i)], k = j - (1 << m.levels.powerOf(j - i));
              const seen = [...a.slice(i, j)].filter(v => v === v), two = [level[i], level[k]].filter(v => v === v);
              if ((seen.length ? best(...seen) : null) !== (two.length ? best(...two) : null)) wrong.push([name, i, j]);
            }
          return wrong; }""",
        [values, gaps, kind],
    )
    assert wrong == []


@pytest.mark.parametrize("view", [(0, 2100), (300.3, 1111.7), (1900, 2100)])
def test_each_pixel_column_shows_the_extrema_of_its_snippets(page: Any, view: tuple[float, float]) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=20_000).astype(np.float32)
    values[5000:5400] = np.nan
    t0, step, width = 50.0, 0.1, 300
    count, highs, lows = page.evaluate(
        """([values, view, t0, step, w]) => {
          const axis = Object.assign(new m.axis.Axis(), {end: 2100, w}); axis.view = view;
          const found = m.levels.columns(Float32Array.from(values, v => v ?? NaN), {t0, step}, axis), n = found.count;
          return [n, [...found.highs.slice(0, n)], [...found.lows.slice(0, n)]]; }""",
        [[None if np.isnan(v) else float(v) for v in values], view, t0, step, width],
    )
    per = (view[1] - view[0]) / width / step
    edges = np.floor((view[0] - t0) / step + per * np.arange(width + 1) + 1e-9).astype(int)
    for x in range(width):
        part = values[max(0, edges[x]) : max(0, edges[x + 1])]
        part = part[~np.isnan(part)]
        if x >= count or not len(part):
            assert x >= count or np.isnan(highs[x]), f"nothing is drawn in column {x}"
            continue
        assert (highs[x], lows[x]) == (part.max(), part.min()), f"column {x}"
    assert count == width or edges[count] >= len(values)


# -- payload ------------------------------------------------------------------------------------------------------


def test_a_payload_comes_back_as_it_was_packed(page: Any) -> None:
    tracks = on_model(
        page,
        """model => model.data.tracks.map(t => ({key: t.key, lanes: t.lanes, items: t.items,
          cells: t.cells && [...t.cells], kind: t.cells?.constructor.name,
          series: (t.series || []).map(s => [...s.values])}))""",
    )
    by_key = {t["key"]: t for t in tracks}
    assert list(by_key) == [t.key for t in TRACKS]
    assert by_key["cas:A"]["series"] == [VALUES.tolist()]
    assert by_key["area:A"]["series"] == [VALUES.tolist(), (1 - VALUES).tolist()]
    assert by_key["heat:A"]["cells"] == CELLS.ravel().tolist()
    assert by_key["heat:A"]["kind"] == "Uint8Array"
    assert [i["lane"] for i in by_key["gt"]["items"]] == [0, 0, 1]
    assert by_key["det:A"]["lanes"] == 2
    first = by_key["det:A"]["items"][0]
    assert (first["threshold"], first["rivals"]) == (0.25, []), "what is not known of a detection is filled in"


def test_arrays_on_their_way_are_waited_for_and_kept_between_payloads(page: Any) -> None:
    nothing, same = page.evaluate(
        """([[header, body], [later, _]]) => {
          const data = bytes(body), id = new TextDecoder().decode(data.subarray(0, 16));
          const bodies = new Map([[id, data.slice(16).buffer]]), { decode } = m.payload;
          const curve = (p) => p.tracks.find(t => t.key === 'cas:A').series[0].values;
          return [[decode(bytes(header), undefined), decode(bytes(header), new Map())],
            curve(decode(bytes(header), bodies)) === curve(decode(bytes(later), bodies))]; }""",
        [texts(packed()), texts(packed(label="Jump"))],
    )
    assert nothing == [None, None]
    assert same, "what is computed from a curve is kept when detections change"


def change(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return what changes values of the header, or of its track "cas:A" by names that start with `cas_`."""

    def apply(header: dict[str, Any]) -> None:
        for name, value in values.items():
            key, _, rest = name.partition("_")
            known = {"cas": "cas:A", "heat": "heat:A", "area": "area:A"}
            place = next(t for t in header["tracks"] if t["key"] == known[key]) if key in known else header
            place[rest if key in known else name] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(arrays=None), "its header names no arrays and tracks"),
        (change(tracks={}), "its header names no arrays and tracks"),
        (change(body=None), "its header names no arrays and tracks"),
        (change(arrays=[["f4", 0, 4000]]), "array 0 ends at byte 16000 of "),
        (change(arrays=[["f8", 0, 4]]), "array 0 is not described by type, offset and size"),
        (change(arrays=[["f4", 2, 4]]), "array 0 is not described by type, offset and size"),
        (change(arrays=[["f4", -4, 4]]), "array 0 is not described by type, offset and size"),
        (change(arrays=[["u1", 0]]), "array 0 is not described by type, offset and size"),
        (change(arrays=["f4"]), "array 0 is not described by type, offset and size"),
        (change(cas_series=[{"name": "CAS", "values": 9}]), "track cas:A has no Float32Array as array 9"),
        (change(cas_series=[{"name": "CAS", "values": 3}]), "track cas:A has no Float32Array as array 3"),
        (change(cas_series=[]), "track cas:A has no curves"),
        (change(cas_grid=None), "track cas:A has no grid"),
        (change(cas_kind="spiral"), "track cas:A is of an unknown kind: spiral"),
        (change(heat_cells=0), "track heat:A has no Uint8Array as array 0"),
        (change(heat_names=["a", "b", "c", "d", "e", "f", "g"]), "track heat:A has 120 cells for 7 rows"),
        (change(heat_names=[]), "track heat:A has 120 cells for 0 rows"),
        (change(heat_grid=None), "track heat:A has no grid"),
    ],
)
def test_a_payload_that_does_not_fit_says_where(
    page: Any, damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    payload = packed()
    header = json.loads(payload.header)
    damage(header)
    assert message in said_of(page, Payload(json.dumps(header).encode(), payload.arrays))


@pytest.mark.parametrize("text", [b"", b"{", b"null", b"[]", b"\xff\x00"])
def test_what_is_no_payload_is_refused(page: Any, text: bytes) -> None:
    expected = "its header is no JSON" if text in (b"", b"{", b"\xff\x00") else "its header names no arrays and tracks"
    assert said_of(page, Payload(text, packed().arrays)) == expected
    assert page.evaluate("() => { try { m.payload.decode('{}'); } catch (e) { return e.message; } }") == (
        "the timeline got no bytes"
    )


def said_of(page: Any, payload: Payload) -> str:
    """Return the message of the error that reading a payload throws."""
    code = "payload => { try { modelOf(payload); return 'no error'; } catch (e) { return e.message; } }"
    return str(page.evaluate(code, texts(payload)))


def test_lanes_hold_what_does_not_overlap_and_the_first_choose_first(page: Any) -> None:
    rng = np.random.default_rng(5)
    items = [{"start": s, "end": s + length} for s, length in rng.uniform((0, 1), (50, 9), (60, 2)).tolist()]
    count, lanes = page.evaluate("items => [m.payload.assignLanes(items, 4), items.map(i => i.lane)]", items)
    assert count == 4
    assert set(lanes) == {-1, 0, 1, 2, 3}
    for i, (item, lane) in enumerate(zip(items, lanes, strict=True)):
        meets = {lanes[k] for k in range(i) if items[k]["start"] < item["end"] and items[k]["end"] > item["start"]}
        assert lane == next((free for free in range(4) if free not in meets), -1), f"item {i}"
    touching = [{"start": 5, "end": 9}, {"start": 0, "end": 5}, {"start": 9, "end": 12}]
    assert page.evaluate("items => [m.payload.assignLanes(items), items.map(i => i.lane)]", touching) == [1, [0, 0, 0]]
    assert page.evaluate("() => m.payload.assignLanes([])") == 1


# -- layout and hit testing ---------------------------------------------------------------------------------------


def test_rows_lie_below_each_other_without_those_that_are_hidden(page: Any) -> None:
    rows, total, folded = on_model(
        page, "model => [model.visible.map(r => [r.track.key, r.y, r.h]), model.total, model.prefs.folded]"
    )
    assert [key for key, _, _ in rows] == [t.key for t in TRACKS if not t.hidden]
    assert [y for _, y, _ in rows] == [sum(h for _, _, h in rows[:k]) for k in range(len(rows))]
    assert total == sum(h for _, _, h in rows)
    heights = {key: h for key, _, h in rows}
    assert folded == {"dropped:A": True}
    assert heights["dropped:A"] == 20
    assert heights["gt"] == 6 + 2 * 17, "two lanes"
    assert heights["det:A"] == 6 + 2 * 17 + 11, "two lanes and misses"


def test_rows_are_moved_folded_and_brought_back(page: Any) -> None:
    first, moved, after, hidden, back = on_model(
        page,
        """model => { const out = [], keep = () => { model.arrange(); out.push(model.visible.map(r => r.track.key)); };
          keep(); model.reorder('flow', 'gt'); model.shift('cas:A', -1); keep();
          model.load({...model.data, tracks: [{key: 'new', kind: 'mask', spans: [], items: []}, ...model.data.tracks]});
          keep(); model.prefs.hidden.gt = true; keep(); model.reset(); keep(); return out; }""",
    )
    assert moved == ["flow", "gt", "truth:fakes", "cas:A", "det:A", "heat:A", "dropped:A", "bounds:A"]
    assert after == [*moved, "new"], "tracks that nobody placed come last"
    assert hidden == [key for key in after if key != "gt"]
    assert back == ["new", *first]


def test_a_pixel_is_in_the_row_that_is_drawn_there(page: Any) -> None:
    wrong = on_model(
        page,
        """model => { const wrong = [];
          for (const scrolled of [0, 33]) { model.scrolled = scrolled;
            for (let y = 0; y < 700; y++) {
              const inner = y - 24 + scrolled, row = model.visible.find(r => inner >= r.y && inner < r.y + r.h);
              if (model.rowAt(y) !== (y < 24 ? null : row ?? null)) wrong.push([scrolled, y]);
            } }
          return wrong; }""",
    )
    assert wrong == []


def test_the_bar_under_the_pointer_is_hit(page: Any) -> None:
    hits = on_model(
        page,
        """model => { const row = model.visible.find(r => r.track.key === 'det:A'), x = t => model.axis.x(t);
          const id = (x, y) => model.hit(x, y)?.item.id ?? null;
          const lane = k => 24 - model.scrolled + row.y + 3 + k * 17 + 7;
          model.scrolled = 40;
          return {first: id(x(6), lane(0)), second: id(x(6), lane(1)), alone: id(x(9), lane(1)), gap: id(x(9), lane(0)),
            last: id(x(19), lane(0)), near: id(x(18) - 2, lane(0)), far: id(x(18) - 3, lane(0)),
            other: model.hit(x(6), 24 - 40 + 5), ruler: model.hit(x(6), 5)}; }""",
    )
    assert hits == {
        "first": "A4.5", "second": "A5", "alone": "A5", "gap": None, "last": "A18", "near": "A18", "far": None,
        "other": None, "ruler": None,
    }  # fmt: skip


def test_bars_too_short_to_see_can_be_hit_and_those_without_a_lane_cannot(page: Any) -> None:
    items = [detection(10, 10.001, id=f"A{k}") for k in range(5)] + [detection(10, 14, id="A5")]
    ids, folded = on_model(
        page,
        """model => { const id = (t, y) => model.hit(model.axis.x(t) + 4, y)?.item.id ?? null;
          const ids = [0, 1, 2, 3, 4, 5].map(k => id(10, 24 + 3 + k * 17 + 7));
          model.prefs.folded['det:A'] = true; model.arrange();
          return [ids, [id(10, 24 + 10), id(13, 24 + 10)]]; }""",
        payload=packed((Row("det:A", "run", "detections", items=tuple(items)),)),
    )
    assert ids == ["A0", "A1", "A2", "A3", "A4", None], "five lanes are drawn"
    assert folded == ["A0", None]


def test_rows_of_a_heat_map_and_values_are_found_by_pixel(page: Any) -> None:
    rows, folded, scale = on_model(
        page,
        """model => { const row = key => model.visible.find(r => r.track.key === key), heat = row('heat:A');
          const at = part => model.heatRow(heat, 24 + heat.y + 2 + part * (heat.h - 4));
          const found = [-0.01, 0.1, 0.4, 0.9, 1.01].map(at); model.prefs.folded['heat:A'] = true;
          const cas = row('cas:A'), s = model.scaled(cas);
          return [found, at(0.9), [s.y(0) - cas.y, s.y(1) - cas.y, s.y(7) - cas.y, cas.h]]; }""",
    )
    assert rows == [0, 0, 1, 2, 2]
    assert folded == 1, "a folded heat map shows the selected class"
    low, high, beyond, height = scale
    assert 0 < high < low < height
    assert beyond == high


def test_values_are_read_where_their_snippets_lie(page: Any) -> None:
    curve, strongest, chosen, outside = on_model(
        page,
        """model => { const [cas, heat] = ['cas:A', 'heat:A'].map(k => model.data.tracks.find(t => t.key === k));
          const read = [1.9, 2, 2.49, 2.5, 21.9, 22].map(t => m.model.valueAt(cas.series[0], cas, t));
          const { strongest } = m.model;
          return [read, strongest(heat, 5.2), strongest(heat, 5.2, 0), strongest(heat, 23)]; }""",
    )
    assert np.isnan(curve[0])
    assert np.isnan(curve[-1])
    assert curve[1:5] == [VALUES[0], VALUES[0], VALUES[1], VALUES[39]]
    assert strongest == {"name": "Throw", "value": pytest.approx(CELLS[2, 6] / 255)}
    assert chosen == {"name": "Dive", "value": pytest.approx(CELLS[0, 6] / 255)}
    assert outside is None


# -- moments ------------------------------------------------------------------------------------------------------


def test_moments_are_starts_in_order_and_two_presses_go_on(page: Any) -> None:
    moments, steps = on_model(
        page,
        """model => { const {truths, detections, failures} = model.moments, next = m.moments.nextOf;
          return [{truths, detections, failures: failures.map(f => [f.start, f.id ?? null])},
            [next(truths, 0, 1), next(truths, 4, 1), next(truths, 4.04, -1), next(truths, 13, 1), next(truths, 12, -1),
             next(failures, 11, 1, f => f.start).start]].map(v => v); }""",
    )
    assert moments["truths"] == [4, 12, 13]
    assert moments["detections"] == [4.5, 5, 18]
    assert moments["failures"] == [[5, "A5"], [12, None], [18, "A18"]], "false positives and what was missed"
    assert steps == [4, 12, None, None, 4, 12]


def test_what_was_chosen_is_found_again_by_its_place(page: Any) -> None:
    def shifted(by: float) -> Payload:
        items = (detection(1, 2), detection(5 + by, 10 + by, id="B"))
        return packed((Row("det:A", "run", "detections", items=items),))

    for by, expected in ((0.5, "B"), (3, None)):
        chosen = page.evaluate(
            """([before, after]) => { const model = modelOf(before); model.chosen = 'A5'; const {item} = model.found();
              model.load(modelOf(after).data); return [item.start, model.chosen]; }""",
            [texts(packed()), texts(shifted(by))],
        )
        assert chosen == [5, expected]


def test_another_subject_starts_where_its_link_says(page: Any) -> None:
    moved, same, chosen, view, erased = on_model(
        page,
        """model => { model.chosen = 'A5'; model.axis.show(3, 9); model.erased = [[2, 3]];
          const same = model.load({...model.data, erased: null}), view = model.axis.view, kept = model.erased;
          const moved = model.load({...model.data, subject: 'other', start: {t: 5, from: 4, to: 14}, erased: null});
          return [moved, same, model.chosen, [view, model.axis.view], [kept, model.erased]]; }""",
    )
    assert (moved, same) == (True, False)
    assert chosen is None
    assert view == [[3, 9], [4, 14]]
    assert erased == [[[2, 3]], []]


def test_most_of_a_false_positive_lies_on_what_the_data_set_knows_of(page: Any) -> None:
    found = on_model(
        page,
        """model => [[9, 12], [6, 10], [9.5, 10]].map(([start, end]) =>
          m.moments.liesOn({start, end}, model.data.tracks)?.item.label ?? null)""",
        payload=packed(
            (*TRACKS, Row("truth:phases", "Phases", "segments", items=(truth(5, 12.5, "phase", "address"),)))
        ),
    )
    assert found == ["practice", None, "practice"]


# -- brush --------------------------------------------------------------------------------------------------------


def test_strokes_erase_whole_snippets_and_bring_them_back(page: Any) -> None:
    snapped, brushed = page.evaluate(
        """() => { const grid = {t0: 2, step: 0.5, duration: 24}, { snapped, brushed } = m.brush;
          return [[[3.1, 4.2], [3.1, 3.1], [3, 4], [-1, 2.2], [23.9, 30]].map(([a, b]) => snapped(a, b, grid)),
            [brushed([], [3, 4], 3.5), brushed([[3, 4]], [4, 5], 4.5), brushed([[6, 7], [1, 2]], [3, 6.5], 3),
             brushed([[3, 8]], [4, 5], 4.2), brushed([[3, 8]], [2, 9], 3), brushed([[3, 8]], [7, 9], 7.5)]]; }"""
    )
    assert snapped == [[3, 4.5], [3, 3.5], [3, 4], [0, 2.5], [23.5, 24]]
    assert brushed == [[[3, 4]], [[3, 5]], [[1, 2], [3, 7]], [[3, 4], [5, 8]], [], [[3, 7]]]


# -- text and colour ----------------------------------------------------------------------------------------------


def test_times_and_numbers_are_written_for_people(page: Any) -> None:
    clock, numbers, html, tail = page.evaluate(
        """() => { const {clockText, number, escaped, tail} = m.text;
          return [[[0], [59.96], [61.04, 2], [3725, 0], [-3], [NaN]].map(a => clockText(...a)),
            [[null], [NaN], [0], [0.00012], [0.004], [0.25], [0.25, 0.1], [12.34], [1234.5, 500], [-0.5]]
              .map(a => number(...a)),
            escaped('<a b="1">&\\''), ['Golf/address', 'Golf'].map(tail)]; }"""
    )
    assert clock == ["0:00.0", "1:00.0", "1:01.04", "1:02:05", "0:00.0", "–"]
    assert numbers == ["–", "–", "0", "1.2e-4", "0.0040", "0.25", "0.250", "12.3", "1235", "-0.50"]
    assert html == "&#60;a b=&#34;1&#34;&#62;&#38;&#39;"
    assert tail == ["address", "Golf"]


def test_colours_are_read_as_css_writes_them(page: Any) -> None:
    given = [" #1A2b3c", "#1a2b3cff", "rgb(20, 23, 28)", "rgba(20 23 28 / 50%)", "", "red"]
    read = page.evaluate("texts => texts.map(t => m.look.parseColour(t, 'fallback'))", given)
    assert read == ["#1A2b3c", "#1a2b3c", "#14171c", "#14171c", "fallback", "fallback"]


# -- keys ---------------------------------------------------------------------------------------------------------

#: What help calls a key -> `KeyboardEvent.key`.
SHOWN = {"Space": " ", "Esc": "Escape", "←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown", "−": "-"}
#: Keys that do what another one does; help names that one alone.
ALIKE = {"j", "k", "l", "=", "_"}


def test_help_names_every_key_and_every_key_does_something(page: Any) -> None:
    entries = page.evaluate("() => m.keys.KEYS.map(k => [k.show, k.help, k.keys ? Object.keys(k.keys) : null])")
    named: list[str] = []
    for show, text, keys in entries:
        assert text
        if keys is None:
            assert any(word in show for word in ("click", "drag", "wheel")), f"no key of {show!r}"
            continue
        *before, rest = show.partition("Shift ")[1:] if show.startswith("Shift ") else ("", show)
        modifier = "Shift+" if before and before[0] else ""
        if show.startswith("Alt "):
            modifier, rest = "Alt+", show.removeprefix("Alt ")
        shown = {modifier + SHOWN.get(word, word) for word in rest.split()}
        assert shown == set(keys) - ALIKE, f"help says {show!r}"
        named += keys
    assert len(named) == len(set(named)), "no key stands twice"
    acts = page.evaluate(
        "events => events.map(e => typeof m.keys.actionOf(e) === 'function')",
        [{"key": k.rpartition("+")[2] or "+", "altKey": k[:4] == "Alt+", "shiftKey": k[:6] == "Shift+"} for k in named]
        + [{"key": "x"}, {"key": "Enter"}, {"key": "f", "ctrlKey": True}, {"key": "f", "metaKey": True}],
    )
    assert acts == [True] * len(named) + [False] * 4


@pytest.fixture
def mounted(chromium: Chromium, url: str, bounded: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The component on a page of its own, as Streamlit calls it; what it tells Python is in `told`."""
    monkeypatch.setenv("WTAL_TEST_HOOK", "1")
    with opened(chromium, url) as page:
        page.evaluate(
            """([header, body]) => { window.told = []; const told = (name, value) => window.told.push([name, value]);
              window.again = (bytes) => show({data: bytes, parentElement: document.querySelector('#host'),
                setStateValue: told, setTriggerValue: told});
              arrays({data: bytes(body)}); window.destroy = again(bytes(header)); }""",
            texts(packed()),
        )
        page.wait_for_function("window.__wtal?.w > 100")
        page.locator(".root").focus()
        yield page


#: Keys pressed one after the other at second 5 of a 10 fps video with snippets of 0.5 s -> where the playhead is.
WALKS = {
    "ArrowRight": 5.15, "ArrowLeft": 4.95, "Shift+ArrowRight": 5.5, "Shift+ArrowLeft": 4.5, "Alt+ArrowRight": 6.0,
    "Alt+ArrowLeft": 4.0, "]": 12.0, "[": 4.0, "}": 18.0, "{": 4.5, "f": 12.0, "F": 18.0, "Home": 0.0, "End": 23.999,
}  # fmt: skip


def test_keys_move_the_playhead(mounted: Any) -> None:
    def walk(key: str) -> float:
        mounted.keyboard.press("Home")
        for _ in range(5):
            mounted.keyboard.press("Alt+ArrowRight")
        assert mounted.evaluate("__wtal.t") == pytest.approx(5)
        mounted.keyboard.press(key)
        return float(mounted.evaluate("__wtal.t"))

    assert {key: walk(key) for key in WALKS} == pytest.approx(WALKS)


def test_keys_zoom_play_scroll_erase_close_and_step(mounted: Any) -> None:
    press, see = mounted.keyboard.press, mounted.evaluate
    press("+")
    assert see("__wtal.view[1] - __wtal.view[0]") == pytest.approx(16)
    press("-")
    press("-")
    press("+")
    press("0")
    assert see("__wtal.view") == [0, 24]
    press("Space")
    mounted.wait_for_function("__wtal.t > 0.05")
    press("l")
    press("l")
    assert mounted.locator(".rate").inner_text() == "4×"
    press("j")
    assert mounted.locator(".rate").inner_text() == "−1×"
    press("k")
    assert not see("__wtal.playing")
    see("document.querySelector('.body').style.maxHeight = '120px'")
    mounted.wait_for_function("__wtal.scroll.scrollHeight > __wtal.scroll.clientHeight + 60")
    press("ArrowDown")
    assert see("__wtal.scroll.scrollTop") == 60
    press("ArrowUp")
    assert see("__wtal.scroll.scrollTop") == 0
    press("e")
    assert mounted.locator(".root.erasing").count() == 1
    press("Escape")
    assert mounted.locator(".root.erasing").count() == 0
    press("Shift+?")
    assert mounted.locator(".help").is_visible()
    press("Escape")
    assert not mounted.locator(".help").is_visible()
    press("n")
    press("n")
    press("Shift+N")
    mounted.wait_for_function("told.some(([name]) => name === 'ask')")
    assert [v for name, v in see("told") if name == "ask"] == [{"what": "step", "by": 1, "subject": "planted/one"}]
    press("Tab")
    assert see("document.activeElement !== document.querySelector('.root')"), "other keys do what they do elsewhere"


def test_a_stroke_is_told_in_whole_snippets_and_brought_back_by_key(mounted: Any) -> None:
    mounted.keyboard.press("e")
    box = mounted.locator("canvas.over").bounding_box()
    x = [box["x"] + mounted.evaluate(f"__wtal.x({t})") for t in (3.2, 6.3)]
    mounted.mouse.move(x[0], box["y"] + 60)
    mounted.mouse.down()
    mounted.mouse.move(x[1], box["y"] + 60, steps=3)
    mounted.mouse.up()
    mounted.keyboard.press("Backspace")
    told = [value["spans"] for name, value in mounted.evaluate("told") if name == "erase"]
    assert told == [[[3, 6.5]], []]


def test_labels_read_every_value_at_the_pointer_and_at_the_playhead(mounted: Any) -> None:
    def value(key: str) -> str:
        return str(mounted.locator(f".row[data-key='{key}'] .v").last.inner_text())

    for _ in range(5):
        mounted.keyboard.press("Alt+ArrowRight")
    mounted.wait_for_function("document.querySelector('.corner').textContent === 'at the playhead'")
    mounted.wait_for_function("document.querySelector(\".row[data-key='gt'] .title .v\").textContent === 'Dive'")
    assert value("cas:A") == f"{VALUES[6]:.2f}", "snippet 6 starts at second 5"
    assert value("heat:A") == f"{CELLS[2, 6] / 255:.2f}", "the strongest class"
    assert value("dropped:A") == "no"
    assert value("bounds:A") == "OIC -0.30"
    box = mounted.locator("canvas.over").bounding_box()
    row = mounted.evaluate("__wtal.visible.find(r => r.track.key === 'heat:A').y") + 24 + 4
    mounted.mouse.move(box["x"] + mounted.evaluate("__wtal.x(10.3)"), box["y"] + row)
    mounted.wait_for_function("document.querySelector('.corner').textContent.startsWith('at 0:10.3')")
    assert value("heat:A") == f"{CELLS[0, 16] / 255:.2f}", "the class under the pointer"
    assert value("cas:A") == f"{VALUES[16]:.2f}"
    assert value("dropped:A") == "yes"


def test_every_kind_of_row_is_drawn(mounted: Any) -> None:
    mounted.evaluate("document.querySelector('[data-do=menu]').click()")
    mounted.locator(".menu input[value='area:A']").check()
    mounted.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    colours = mounted.evaluate(
        """() => { const c = document.querySelector('canvas.base'), g = c.getContext('2d', {willReadFrequently: true});
          return Object.fromEntries(__wtal.visible.map(({track, y, h}) => {
            const seen = new Set(new Uint32Array(g.getImageData(0, 24 + y + 1, c.width, h - 3).data.buffer));
            return [track.key, seen.size]; })); }"""
    )
    assert colours.pop("flow") <= 3, "an offer is a button; the grid alone is drawn"
    assert set(colours) == {t.key for t in TRACKS} - {"flow"}
    assert {key: n for key, n in colours.items() if n < 4} == {}


def test_a_payload_that_cannot_be_read_is_said_and_the_picture_stays(mounted: Any) -> None:
    rev = mounted.evaluate("__wtal.rev")
    mounted.evaluate("again(new TextEncoder().encode('{\"tracks\": 1}'))")
    problem = mounted.locator(".problem")
    assert problem.inner_text() == "The timeline cannot be shown: its header names no arrays and tracks."
    assert mounted.evaluate("__wtal.rev") == rev
    mounted.evaluate("([header]) => again(bytes(header))", texts(packed(label="Jump")))
    assert not problem.is_visible()
    assert mounted.evaluate("__wtal.rev") != rev


def test_a_payload_is_shown_when_its_arrays_arrive(mounted: Any) -> None:
    other = TRACKS[3]
    later = texts(packed((Row("cas:A", "CAS", "lines", grid=GRID, series=(Series("CAS", VALUES / 2, other.key),)),)))
    mounted.evaluate("([header]) => again(bytes(header))", later)
    assert mounted.evaluate("__wtal.data.tracks.length") == len(TRACKS), "the earlier one stays"
    mounted.evaluate("([_, body]) => arrays({data: bytes(body)})", later)
    assert mounted.evaluate("__wtal.data.tracks.length") == 1


def test_a_timeline_that_is_taken_away_listens_no_more(mounted: Any) -> None:
    mounted.evaluate("destroy()")
    mounted.evaluate("document.querySelector('.root').focus()")
    mounted.keyboard.press("End")
    assert mounted.evaluate("__wtal.t") == 0
    mounted.evaluate("window.dispatchEvent(new CustomEvent('wtal-arrays'))")
    mounted.wait_for_timeout(100)
    assert mounted.evaluate("__wtal.raf") == 0
