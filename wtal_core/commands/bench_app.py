"""`wtal bench app`: what the app costs in a real browser, and what a slider costs without one."""

from __future__ import annotations

import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import DataError, MissingDependency, UsageError

if TYPE_CHECKING:
    pass

__all__ = ["BenchApp", "find_chromium"]

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPS = ("Google Chrome", "Chromium")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
          "--disable-component-update", "--autoplay-policy=no-user-gesture-required")  # fmt: skip

#: What a person notices, in milliseconds: (measure, what it is, target).
TARGETS = (
    ("page_ready", "page ready, warm", 2000.0),
    ("click_to_seek", "click to playhead, hour-long video without a file", 100.0),
    ("click_to_seek_video", "click to the picture, demo video", 100.0),
    ("pan_zoom_script", "pan or zoom, script time of a frame", 17.0),
    ("video_detections", "threshold to detections of the video, computing", 250.0),
    ("browser_detections", "threshold to detections in the browser", 250.0),
    ("split_map", "threshold to mAP of the split, computing", 500.0),
    ("browser_map", "threshold to mAP in the browser", 500.0),
    ("idle", "work of the paused page in a second", 10.0),
)


@dataclass(frozen=True)
class BenchApp:
    """Measure Explore: page ready, click to seek, pan and zoom, threshold to detections and to the split's mAP.

    Without --run: a synthetic split of 212 videos, one an hour long (6,000 snippets, 20 classes, 4 branches), and for
    seeking in a video the shipped demo data.
    """

    run_folder: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """Run folder to measure instead; its data set must be in its workspace (--home)."""
    home: Path | None = None
    """Workspace of --run. Default: the current folder."""
    videos: int = 212
    """Videos of the synthetic split."""
    snippets: int = 6000
    """Snippets of the synthetic hour-long video."""
    repeats: int = 20
    """Measurements of each kind; median, 95th percentile and worst are reported."""
    no_browser: bool = False
    """Only what needs no browser."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and report."""
        with tempfile.TemporaryDirectory(prefix="wtal-bench-") as temporary:
            if self.run_folder is None:
                from wtal_core.demo.synthetic import make_synthetic

                home = Path(temporary)
                run_id, video = make_synthetic(home, self.videos, self.snippets)
                _link_demo(home)
            else:
                home = (self.home or Path()).resolve()
                run_id, video = _find(home, self.run_folder), None
            measures = measure_python(home, run_id, video, self.repeats)
            if not self.no_browser:
                try:
                    measures |= measure_browser(home, run_id, video, self.repeats)
                except MissingDependency as error:
                    step = f"{error.next_step}, or measure with --no-browser"
                    raise MissingDependency(error.problem, next_step=step) from error
        rows = [
            {
                "measure": name,
                "what": what,
                "median_ms": statistics.median(measures[name]),
                "p95_ms": _percentile(measures[name], 0.95),
                "worst_ms": max(measures[name]),
                "target_ms": target,
                "met": statistics.median(measures[name]) <= target,
            }
            for name, what, target in TARGETS
            if measures.get(name)
        ]
        if self.as_json:
            print_json({"run": run_id, "video": video, "repeats": self.repeats, "results": rows})
            return 0
        print_table(
            ["", "median ms", "95 % ms", "worst ms", "target ms"],
            [
                (r["what"], *(f"{r[key]:.1f}" for key in ("median_ms", "p95_ms", "worst_ms")), f"{r['target_ms']:.0f}")
                for r in rows
            ],
        )
        return 0


def _percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _find(home: Path, folder: Path) -> str:
    """Return the id of a run folder in a workspace."""
    from wtal_core.workspace import Workspace

    for run_id, entry in Workspace(home).runs().items():
        if entry.folder == folder.resolve():
            if entry.error:
                raise DataError(entry.error, next_step="Repair the run folder, or remove it")
            return run_id
    raise UsageError(
        "is not a run of the workspace", expected=f"a run in {home / 'runs'}", where=folder, next_step="Name its --home"
    )


# -- the demo beside it -----------------------------------------------------------------------------------------------


def _link_demo(home: Path) -> None:
    """Let a workspace hold the shipped demo data, where there is any."""
    from wtal_core.commands.app import app_file

    demo = app_file().parent / "assets" / "demo"
    if (demo / "dataset.yaml").is_file():
        (home / "assets").mkdir()
        (home / "assets" / "demo").symlink_to(demo, target_is_directory=True)


# -- without a browser ----------------------------------------------------------------------------------------------


def measure_python(home: Path, run_id: str, video: str | None, repeats: int) -> dict[str, list[float]]:
    """Time what a moved threshold computes: the video's detections with verdicts, and the split's mAP."""
    from wtal_core.analysis import explain, live
    from wtal_core.data import Dataset, read_detections
    from wtal_core.evaluation import GroundTruthIndex
    from wtal_core.runs.folder import Run
    from wtal_core.runs.pipeline import stored_activations
    from wtal_core.workspace import Workspace

    workspace = Workspace(home)
    entry = workspace.run(run_id)
    home_of = workspace.dataset_of(entry)
    if home_of is None:
        raise DataError(
            "the run's data set is not in the workspace",
            expected=entry.dataset,
            where=home,
            next_step=f"Add it to {home}",
        )
    run, dataset = Run.open(entry.folder), Dataset.open(home_of.folder)
    split = "test" if "test" in dataset.splits else list(dataset.splits)[-1]
    activations = stored_activations(run)
    stored = read_detections(run.detections_path) if run.detections_path.is_file() else None
    truth = GroundTruthIndex(dataset.annotations, dataset.subsets(split))
    whole = live.LiveSplit(run, activations, truth, stored=stored)
    subject = video or max(whole.activations, key=lambda v: whole.activations[v].grid.num_snippets)
    times: dict[str, list[float]] = {"video_detections": [], "split_map": []}
    for k in range(repeats):
        changes = {"class_threshold": 0.05 + 0.01 * k} if hasattr(whole.localization, "class_threshold") else {}
        began = time.perf_counter()
        result = live.localize_video(whole.localizer, subject, whole.activations[subject], whole.settings(changes))
        explain.explain(
            result, whole.activations[subject], explain.judge(result.detections, dataset.annotations, subject)
        )
        times["video_detections"].append(1000 * (time.perf_counter() - began))
        times["split_map"].append(1000 * whole.update(changes).seconds)
    return times


# -- in a browser ---------------------------------------------------------------------------------------------------


@contextmanager
def _server(home: Path) -> Iterator[str]:
    from wtal_core.commands.app import app_file

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = app_file()
    command = [sys.executable, "-m", "streamlit", "run", str(file)]
    command += ["--server.headless", "true", "--server.port", str(port)]
    environment = {**os.environ, "WTAL_HOME": str(home), "WTAL_TEST_HOOK": "1"}
    process = subprocess.Popen(
        command, cwd=file.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.25)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(15)


_SCORES = ".st-key-panel .scores"
_READY = "window.__wtal && document.querySelector('.stApp') && window.__wtal.w > 100 && window.__wtal.rev"

#: Moves a slider by one step and waits in the page, so that only the app is measured.
_CLICK = """async (fraction) => {
  const t = window.__wtal, box = t.over.getBoundingClientRect(), x = box.x + fraction * t.w, y = box.y + 30;
  const began = performance.now();
  const event = (kind) => t.over.dispatchEvent(
    new PointerEvent(kind, {clientX: x, clientY: y, pointerId: 1, bubbles: true}));
  t.over.setPointerCapture = () => {};
  const seeked = t.src ? new Promise(r => t.video.addEventListener('seeked', r, {once: true})) : Promise.resolve();
  event('pointerdown'); event('pointerup'); await seeked;
  await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
  return performance.now() - began; }"""

_ZOOM = """async (n) => {
  const t = window.__wtal; t.draws.length = 0;
  for (let k = 0; k < n; k++) {
    t.zoom(k < n / 2 ? 0.85 : 1.18, t.end * 0.4); await new Promise(requestAnimationFrame);
  }
  for (let k = 0; k < n; k++) {
    const d = t.end * 0.002; t.setView(t.view[0] + d, t.view[1] + d); await new Promise(requestAnimationFrame);
  }
  return [...t.draws]; }"""


def find_chromium() -> str:
    """Return the path of Chromium or Chrome: a command, or an application of a Mac.

    Raises:
        MissingDependency: there is none.
    """
    found = [path for name in _CHROMIUM if (path := shutil.which(name))]
    if sys.platform == "darwin":
        folders = (Path("/Applications"), Path.home() / "Applications")
        programs = (folder / f"{name}.app" / "Contents" / "MacOS" / name for name in _MAC_APPS for folder in folders)
        found += [str(program) for program in programs if program.is_file()]
    if found:
        return found[0]
    install = "brew install --cask google-chrome" if sys.platform == "darwin" else "sudo apt-get install chromium"
    raise MissingDependency("Chromium was not found", next_step=f"Install it: {install}")


def measure_browser(home: Path, run_id: str, video: str | None, repeats: int) -> dict[str, list[float]]:
    """Time the app in headless Chromium.

    Raises:
        MissingDependency: Playwright or Chromium is not there.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingDependency("playwright is not installed", next_step="pip install playwright") from error
    path = find_chromium()
    times: dict[str, list[float]] = {"page_ready": [], "browser_detections": [], "browser_map": []}
    link = f"/explore?run={run_id}" + (f"&video={video}" if video else "")
    with _server(home) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for k in range(3 + min(repeats, 5)):
            began = time.perf_counter()
            page.goto(url + link)
            page.wait_for_function(_READY, timeout=60_000)
            if k >= 3:  # warm
                times["page_ready"].append(1000 * (time.perf_counter() - began))
        page.wait_for_selector(_SCORES)
        times["click_to_seek"] = [page.evaluate(_CLICK, (k + 1) / (repeats + 2)) for k in range(repeats)]
        times["pan_zoom_script"] = page.evaluate(_ZOOM, 40)
        times["idle"] = _idle(page)
        page.evaluate("window.__wtal.setView(0, window.__wtal.end)")
        slider = page.locator(".st-key-panel input[type=range]").first
        slider.focus()
        for k in range(repeats):
            page.wait_for_timeout(900)
            rev, shown = page.evaluate("window.__wtal.rev"), page.locator(_SCORES).inner_text()
            began = time.perf_counter()
            slider.press("ArrowRight" if k % 4 < 2 else "ArrowLeft")
            page.wait_for_function("r => window.__wtal.rev !== r", arg=rev, timeout=30_000)
            times["browser_detections"].append(1000 * (time.perf_counter() - began))
            page.wait_for_function(
                "([q, s]) => document.querySelector(q)?.innerText !== s", arg=[_SCORES, shown], timeout=30_000
            )
            times["browser_map"].append(1000 * (time.perf_counter() - began))
        if (home / "assets" / "demo").is_dir():
            page.goto(f"{url}/explore?data=demo")
            page.wait_for_function(f"{_READY} && window.__wtal.video.readyState >= 2", timeout=60_000)
            page.wait_for_timeout(1000)
            times["click_to_seek_video"] = [page.evaluate(_CLICK, (7 * k % 20 + 1) / 22) for k in range(repeats)]
        browser.close()
    return times


def _idle(page: Any, seconds: int = 3) -> list[float]:
    """Return the milliseconds that the page's main thread works in each of some seconds in which nothing happens."""
    page.wait_for_timeout(1500)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def worked() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    marks = [worked()]
    for _ in range(seconds):
        time.sleep(1)
        marks.append(worked())
    session.detach()
    return [b - a for a, b in pairwise(marks)]
