"""Explore in Chromium: playing, seeking, keys, thresholds, erasing, asking again, links, dark mode, idling."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from tests.pages.workspace import give_crops
from tests.video.clips import write_clip

pytestmark = pytest.mark.browser

Browse = Callable[..., Any]


def ready(page: Any) -> Any:
    page.wait_for_selector(".root[data-ready='1']")
    page.wait_for_function("window.__wtal && window.__wtal.w > 100")
    return page


def clock(page: Any) -> float:
    return float(page.evaluate("window.__wtal.t"))


def query(page: Any) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlparse(page.url).query).items()}


def at(page: Any, t: float) -> tuple[float, float]:
    """Return the pixel of a time on the ground-truth track."""
    box = page.locator("canvas.over").bounding_box()
    return box["x"] + page.evaluate(f"window.__wtal.x({t})"), box["y"] + 34


def scores(page: Any) -> str:
    return str(page.locator(".st-key-panel .scores table").inner_text())


def test_plays_and_seeks_to_the_right_frame(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024"))
    page.wait_for_function("window.__wtal.video.readyState >= 2")
    page.locator(".root").focus()
    page.keyboard.press("Space")
    page.wait_for_function("window.__wtal.t > 0.6")
    page.keyboard.press("Space")
    page.wait_for_function("!window.__wtal.playing && window.__wtal.video.paused")
    page.mouse.click(*at(page, 12.34))
    page.wait_for_function("Math.abs(window.__wtal.video.currentTime - 12.34) < 0.2 && !window.__wtal.video.seeking")
    t = clock(page)
    number = page.evaluate(
        """() => { const v = window.__wtal.video, c = document.createElement('canvas'), w = c.width = v.videoWidth,
          h = c.height = v.videoHeight, g = c.getContext('2d', {willReadFrequently: true}); g.drawImage(v, 0, 0);
          let n = 0; for (let i = 0; i < 12; i++) {
            const x = (i % 4 + .5) * w / 4, y = (Math.floor(i / 4) + .5) * h / 3;
            if (g.getImageData(x, y, 1, 1).data[0] > 128) n |= 1 << i; }
          return n; }"""
    )
    assert number == int(t * 10), f"at {t} s frame {int(t * 10)} is on screen, not {number}"
    page.wait_for_function("new URL(location).searchParams.get('t') !== null")
    assert float(query(page)["t"]) == pytest.approx(t, abs=0.02)


def test_keys_step_by_frame_snippet_and_second_and_jump(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024"))
    page.locator(".root").focus()
    page.keyboard.press("Alt+ArrowRight")
    assert clock(page) == pytest.approx(1.0, abs=1e-6)
    page.keyboard.press("Shift+ArrowRight")
    assert clock(page) == pytest.approx(1.64, abs=1e-6)
    page.keyboard.press("ArrowRight")
    assert clock(page) == pytest.approx(1.75, abs=1e-6), "frame 17 of a 10 fps video, in its middle"
    page.keyboard.press("]")
    starts = page.evaluate("window.__wtal.truths")
    assert clock(page) == pytest.approx(starts[0], abs=1e-6)
    page.keyboard.press("f")
    assert page.evaluate("window.__wtal.failures.some(f => Math.abs(f.start - window.__wtal.t) < 1e-6)")
    page.keyboard.press("Shift+?")
    assert page.locator(".help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".help").is_visible()
    page.locator(".root").evaluate("e => e.blur()")
    page.keyboard.press("Home")
    assert clock(page) == 0, "keys work where nothing else listens to them"


def test_wheel_zooms_at_the_pointer_and_drag_on_the_ruler_pans(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_025"))
    x, y = at(page, 8.0)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function("window.__wtal.view[1] - window.__wtal.view[0] < window.__wtal.end * 0.7")
    assert at(page, 8.0)[0] == pytest.approx(x, abs=1.5), "the moment under the pointer stays there"
    before = page.evaluate("window.__wtal.view[0]")
    page.mouse.move(x, y - 24)
    page.mouse.down()
    page.mouse.move(x - 80, y - 24, steps=4)
    page.mouse.up()
    assert page.evaluate("window.__wtal.view[0]") > before
    page.wait_for_function("new URL(location).searchParams.get('from') !== null")
    page.locator(".b[data-do=fit]").click()
    assert page.evaluate("window.__wtal.view[0]") == 0


def test_a_class_is_picked_on_the_heat_map_and_the_next_video_by_key(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_025"))
    label = page.evaluate("window.__wtal.data.label")
    x, y, other = page.evaluate(
        """() => {
          const t = window.__wtal, row = t.visible.find(r => r.track.key === 'heat:A'), names = row.track.names;
          const box = t.over.getBoundingClientRect(), k = names.findIndex(n => n !== t.data.label);
          t.scroll.scrollTop = row.y;
          const y = 24 + row.y - t.scroll.scrollTop + 2 + (k + .5) * (row.h - 4) / names.length;
          return [box.x + 80, box.y + y, names[k]]; }"""
    )
    page.mouse.dblclick(x, y)
    page.wait_for_function("n => window.__wtal.data.label === n", arg=other)
    assert other != label
    assert query(page)["class"] == other
    page.keyboard.press("n")
    page.wait_for_function("window.__wtal.data.subject === 'datasets/planted/test_026'")
    page.keyboard.press("Shift+N")
    page.wait_for_function("window.__wtal.data.subject === 'datasets/planted/test_025'")
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.wait_for_function("window.__wtal.data.subject === 'datasets/planted/test_028'")


def test_clicking_a_detection_explains_it(browse: Browse) -> None:
    page = ready(browse("/explore?run=acmnet&video=test_024"))
    x, y = page.evaluate(
        """() => { const t = window.__wtal, row = t.visible.find(r => r.track.kind === 'detections'),
          d = row.track.items[0], b = t.barOf(row, d), o = t.over.getBoundingClientRect();
          return [o.x + (t.x(d.start) + t.x(d.end)) / 2, o.y + 24 + b.y + b.h / 2 - t.scroll.scrollTop]; }"""
    )
    page.mouse.click(x, y)
    info = page.locator(".info")
    info.get_by_text("true positive").wait_for()
    for said in ("class score", "inner area", "outer area", "came from", "nearest truth", "suppressed"):
        assert said in info.inner_text()
    page.keyboard.press("Escape")
    assert "true positive" not in info.inner_text()
    there, nowhere = page.evaluate(
        """() => { const t = window.__wtal; t.data.tracks.push({key: 'truth:fakes', title: 'Fakes', items: [
            {start: 1, end: 3, label: 'practice swing'}]});
          const on = [t.liesOn({start: 1.5, end: 3.5})?.item.label, t.liesOn({start: 2.5, end: 4.5})];
          t.data.tracks.pop(); return on; }"""
    )
    assert there == "practice swing"
    assert nowhere is None  # most of it lies elsewhere


def test_tracks_hide_fold_and_stay_so(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_025"))
    rows = page.locator(".row")
    count = rows.count()
    page.locator(".row[data-key='attention:A'] .fold").click()
    assert page.locator(".row[data-key='attention:A']").evaluate("e => e.classList.contains('folded')")
    page.locator(".row[data-key='cas:A'] .label").hover()
    page.locator(".row[data-key='cas:A'] .hide").click()
    assert rows.count() == count - 1
    page.reload()
    ready(page)
    assert page.locator(".row[data-key='cas:A']").count() == 0
    assert page.locator(".row[data-key='attention:A']").evaluate("e => e.classList.contains('folded')")
    page.locator(".b[data-do=menu]").click()
    first = page.evaluate("window.__wtal.visible[0].track.key")
    page.locator(f".menu [data-key='{first}'][data-move=down]").click()
    assert page.evaluate("window.__wtal.visible[1].track.key") == first
    page.reload()
    ready(page)
    assert page.evaluate("window.__wtal.visible[1].track.key") == first, "the order is remembered"
    page.locator(".b[data-do=menu]").click()
    page.locator(".menu [data-menu=reset]").click()
    assert page.locator(".row[data-key='cas:A']").count() == 1
    assert page.evaluate("window.__wtal.visible[0].track.key") == first


def test_detections_and_the_splits_map_follow_a_slider_while_it_is_dragged(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024&t=3"))
    page.wait_for_selector(".st-key-panel .scores[data-changes='0']")
    before = scores(page)
    assert "±0.0" in before
    box = page.locator(".field[data-key=class_threshold] input").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2 + 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, y, steps=12)
    # The button is still down.
    page.wait_for_function("window.__wtal.data.tracks.find(t => t.key === 'det:A').items.length === 0")
    page.wait_for_function("document.querySelectorAll('.st-key-panel .scores td.down').length > 0")
    assert scores(page) != before
    page.mouse.up()
    assert clock(page) == pytest.approx(3.0), "the playhead stays"
    page.wait_for_function("new URL(location).searchParams.get('set.class_threshold') === '1'")
    page.locator(".field[data-key=class_threshold] button").click()
    page.wait_for_selector(".st-key-panel .scores[data-changes='0']")
    assert scores(page) == before
    assert "set.class_threshold" not in query(page)


def test_erasing_snippets_shows_what_changes(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024"))
    # Erasing makes other detections and other ranks: what was chosen stays chosen by where it lies, or nothing is.
    where = "(() => { const t = window.__wtal, f = t.chosen && t.found(t.chosen); return f ? f.item.start : null; })()"
    page.evaluate("window.__wtal.choose(window.__wtal.data.tracks.find(t => t.key === 'det:A').items[1].id)")
    chosen = page.evaluate(where)
    page.locator(".b[data-do=erase]").click()
    truth = page.evaluate("window.__wtal.data.tracks.find(t => t.key === 'gt').items[0]")
    x0, y = at(page, truth["start"] + 0.1)
    x1, _ = at(page, truth["end"] - 0.1)
    page.mouse.move(x0, y)
    page.mouse.down()
    page.mouse.move(x1, y, steps=4)
    page.mouse.up()
    page.wait_for_function("window.__wtal.data.tracks.some(t => t.key === 'stored:A')")
    page.wait_for_function(
        """() => { const c = window.__wtal.data.tracks.find(t => t.key === 'cas:A'),
          now = c.series.find(s => s.name === 'CAS'), old = c.series.find(s => s.ghost);
          if (!old) return false;
          const max = a => Math.max(...a);
          return max(now.values) < max(old.values); }"""
    )
    assert page.evaluate(where) in (None, pytest.approx(chosen, abs=2.0))
    page.get_by_role("tab", name="Recompute").click()
    page.get_by_text("snippets erased").first.wait_for()
    page.mouse.move(x0 + 8, y)  # a stroke from an erased snippet brings back what it passes
    page.mouse.down()
    page.mouse.move(x0 - 20, y, steps=4)
    page.mouse.up()
    page.wait_for_function(
        f"window.__wtal.data.erased.length === 1 && window.__wtal.data.erased[0][0] > {truth['start']}"
    )
    page.keyboard.press("Backspace")
    page.wait_for_function("!window.__wtal.data.tracks.some(t => t.key === 'stored:A')")


def test_a_whole_split_is_asked_again_while_the_page_goes_on(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024"))
    page.get_by_role("tab", name="Recompute").click()
    page.get_by_role("button", name="Whole test split").click()
    page.locator(".root").focus()
    page.keyboard.press("Alt+ArrowRight")
    assert clock(page) == pytest.approx(1.0, abs=1e-6)
    page.get_by_text("6 videos:").wait_for()
    assert "on CPU" in page.locator(".st-key-panel").inner_text()
    page.wait_for_function("window.__wtal.data.tracks.find(t => t.key === 'cas:A').series.some(s => s.ghost)")
    page.get_by_role("button", name="Back to the stored activations").click()
    page.wait_for_function("!window.__wtal.data.tracks.find(t => t.key === 'cas:A').series.some(s => s.ghost)")


def test_another_crop_is_asked_about_and_shown_against_the_stored_one(browse: Browse, served_home: Path) -> None:
    features = served_home / "datasets" / "planted" / "features" / "planted.h5"
    before = features.read_bytes()
    give_crops(served_home / "datasets" / "planted")
    try:
        page = ready(browse("/explore?run=hamnet&video=test_024"))
        page.get_by_role("tab", name="Recompute").click()
        page.get_by_label("Crop", exact=True).click()
        page.get_by_role("option", name="crop 3").click()
        page.get_by_role("button", name="This video").click()
        page.get_by_text("(last, crop 3)").wait_for()
        page.wait_for_function(
            """() => { const t = window.__wtal.data.tracks, c = t.find(t => t.key === 'cas:A');
              return t.find(t => t.key === 'det:A').note.startsWith('last, crop 3') && c.series.some(s => s.ghost); }"""
        )
        assert page.locator(".stMain").evaluate("e => e.scrollHeight === e.clientHeight"), "only the panel scrolls"
    finally:
        features.write_bytes(before)


def test_optical_flow_and_static_clips_are_computed_on_demand(browse: Browse, served_home: Path) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_024"))
    page.locator("button.offer").click()
    page.wait_for_function(
        "window.__wtal.data.tracks.some(t => t.key === 'flow:')", timeout=90_000
    )  # a second when idle
    assert page.locator(".row[data-key=static]").count() == 1
    assert list((served_home / ".wtal" / "flow").glob("*.npz"))


def test_a_video_that_browsers_do_not_play_gets_a_copy_by_one_click(browse: Browse, served_home: Path) -> None:
    videos = served_home / "datasets" / "planted" / "videos"
    write_clip(videos / "test_025.avi", 100, fps=10, codec="mpeg4")
    try:
        page = ready(browse("/explore?run=hamnet&video=test_025"))
        assert "needs a browser copy" in page.locator(".novideo").inner_text()
        page.get_by_role("button", name="Make a browser copy").click()
        page.wait_for_function("window.__wtal.src && window.__wtal.video.readyState >= 2")
        assert not page.locator(".novideo").is_visible()
    finally:
        (videos / "test_025.avi").unlink()


def work(page: Any, milliseconds: int) -> float:
    """Return how much of some time the page's main thread works, in [0, 1]."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def spent() -> tuple[float, float]:
        values = {m["name"]: float(m["value"]) for m in session.send("Performance.getMetrics")["metrics"]}
        return values["TaskDuration"], values["Timestamp"]

    (work0, time0), _, (work1, time1) = spent(), page.wait_for_timeout(milliseconds), spent()
    return (work1 - work0) / (time1 - time0)


@pytest.mark.parametrize("video", ["test_024", "test_027"], ids=["video", "no video"])
def test_a_paused_page_does_nothing(browse: Browse, video: str) -> None:
    page = ready(browse(f"/explore?run=hamnet&video={video}"))
    page.locator(".root").focus()
    page.keyboard.press("Space")
    page.wait_for_function("window.__wtal.t > 0.2")
    page.keyboard.press("k")
    page.wait_for_function("new URL(location).searchParams.get('t') !== null")  # the place has been reported
    page.wait_for_timeout(500)
    assert page.evaluate("window.__wtal.raf") == 0, "no frame is asked for"
    frames = page.evaluate("window.__wtal.frames")
    assert work(page, 1500) < 0.25, "0.001 on a quiet machine; a loop would be 1"
    assert page.evaluate("window.__wtal.frames") == frames


def test_a_link_opens_the_moment_in_dark_mode(browse: Browse) -> None:
    page = ready(browse("/explore?run=acmnet&video=test_026&class=Throw&t=6.4&from=4&to=12&tiou=0.3", scheme="dark"))
    assert clock(page) == pytest.approx(6.4)
    assert page.evaluate("window.__wtal.view") == pytest.approx([4, 12])
    assert page.evaluate("window.__wtal.dark") is True
    assert page.locator(".row[data-key='cas:A'] .t").inner_text() == "CAS · Throw"
    paper = page.locator(".body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert paper == "rgb(20, 23, 28)"


def test_works_without_a_video(browse: Browse) -> None:
    page = ready(browse("/explore?run=hamnet&video=test_027"))
    assert "no file of this video" in page.locator(".novideo").inner_text()
    assert page.locator(".novideo button").count() == 0
    page.locator(".root").focus()
    page.keyboard.press("Space")
    page.wait_for_function("window.__wtal.t > 0.3")
    page.keyboard.press("k")
    page.mouse.click(*at(page, 5.0))
    assert clock(page) == pytest.approx(5.0, abs=0.1)


def get(url: str, **headers: str) -> tuple[int, bytes, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, b"", error.headers


def test_media_come_in_ranges_and_by_id_only(server: str, served_home: Path) -> None:
    file = served_home / "datasets" / "planted" / "videos" / "test_024.mp4"
    status, body, headers = get(f"{server}/video/datasets/planted/test_024", Range="bytes=100-199")
    assert (status, headers["Content-Type"]) == (206, "video/mp4")
    assert body == file.read_bytes()[100:200]
    status, body, headers = get(f"{server}/frame/datasets/planted/test_024?t=2&h=48")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert body[:3] == b"\xff\xd8\xff"
    for path in (
        "/video/datasets/planted/nowhere", "/video/elsewhere/test_024", "/video/planted/test_024",
        "/video/datasets/planted/..%2Fdataset.yaml", "/frame/datasets/planted/test_025", "/video/..%2F..%2Fetc/passwd",
    ):  # fmt: skip
        assert get(server + path)[0] in (400, 404), path  # Streamlit refuses some paths before the route sees them
    assert get(f"{server}/frame/datasets/planted/test_024?t=soon")[0] == 400
