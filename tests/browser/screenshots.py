"""Make the README's pictures: `make screenshots` (needs Chromium; see `--help`).

The real app is opened at 1280 x 800 on a copy of the bundled demo data, with a training running beside it, and, where
the folder with the real long jump is there, with CMCS's official weights on that. Pictures are written to
`assets/screenshots/`, with a palette of their own so that they stay small.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.chromium import Chromium, Missing, Server, Witness
from tests.conftest import REPOSITORY, shared_folder
from wtal_core.errors import WtalError
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.trainings import start_training
from wtal_core.runs.folder import Run
from wtal_core.training.options import TrainRequest

FOLDER = REPOSITORY / "assets" / "screenshots"
_MOST_BYTES = 200_000
_WAIT_MILLISECONDS = 60_000
_TRAINING = "runs/hamnet-again"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Args:
        name: of its file.
        path: of the page, with its query.
        ready: waits until the page shows what it shall, and does what a person would do before.
        themes: those that the README uses.
        long_jump: whether it shows the real long jump.
        hidden, folded: keys of Explore's tracks that are out of sight, or one line high.
    """

    name: str
    path: str
    ready: Callable[[Any], None]
    themes: tuple[str, ...] = ("light",)
    long_jump: bool = False
    hidden: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()


def text(words: str) -> Callable[[Any], None]:
    """Return what waits for some words."""
    return lambda page: page.get_by_text(words).first.wait_for()


def explore(page: Any) -> None:
    """Wait for the timeline and the video's frame at the playhead."""
    page.wait_for_selector(".root[data-ready='1']")
    page.wait_for_function("window.__wtal && window.__wtal.w > 100")
    page.wait_for_function("window.__wtal.video.readyState >= 2 && !window.__wtal.video.seeking")


def explain_detection(page: Any) -> None:
    """Click the first run's best detection under the playhead, so that it is explained."""
    explore(page)
    x, y = page.evaluate(
        """() => { const t = window.__wtal, row = t.visible.find(r => r.track.kind === 'detections'),
          d = row.track.items.filter(d => d.start <= t.t && t.t <= d.end).sort((a, b) => b.score - a.score)[0],
          b = t.barOf(row, d), o = t.over.getBoundingClientRect();
          return [o.x + t.x(t.t), o.y + 24 + b.y + b.h / 2 - t.scroll.scrollTop]; }"""
    )
    page.mouse.click(x, y)
    page.locator(".info", has_text="came from").wait_for()


def findings(page: Any) -> None:
    """Wait for the doctor and open what it has found."""
    page.get_by_text("Examined").first.wait_for()
    page.get_by_test_id("stExpander").first.click()
    page.get_by_test_id("stDataFrame").first.wait_for()


def images(selector: str) -> Callable[[Any], None]:
    """Return what waits for the pictures on the page."""
    return lambda page: (
        page.locator(selector).first.wait_for(),
        page.wait_for_function(
            "s => [...document.querySelectorAll(s)].slice(0, 16).every(i => i.complete && i.naturalWidth > 0)",
            arg=selector,
        ),
    )[-1]


def plot(page: Any) -> None:
    """Wait for a plot."""
    page.locator(".js-plotly-plot .main-svg").first.wait_for()


def pictures() -> list[Picture]:
    """Return all pictures."""
    golf = "data=demo&video=demo_test_008&class=GolfSwing"
    runs = "hamnet,acmnet,cmcs"
    further = ("truth:phases", "truth:background", "truth:replays", "truth:cuts", "flow")
    return [
        Picture("home", "/", text("What to do next")),
        Picture(
            "explore",
            f"/explore?{golf}&run={runs}&t=30.6",
            explore,
            ("light", "dark"),
            hidden=further,
            folded=("det:A", "det:B", "det:C"),
        ),
        Picture(
            "fake-golf-swing", f"/explore?{golf}&run=hamnet&t=55.4&from=40&to=64", explain_detection, hidden=further
        ),
        Picture("failures", "/failures?data=demo&run=hamnet&kind=fake", images("img[src*='/frame/']")),
        Picture("compare", "/compare?data=demo&sets=hamnet&sets=hamnet-no-dropping&sets=acmnet&sets=cmcs", plot),
        Picture("figures", f"/figures?{golf}&run=hamnet,acmnet&t=55.4", images(".paper img")),
        Picture("data", "/data?tool=check&data=demo", findings),
        Picture(
            "long-jump",
            "/explore?data=long-jump&run=long-jump/cmcs-official&class=LongJump&t=12.5",
            explore,
            long_jump=True,
            hidden=("flow",),
        ),
        Picture("train", "/train?training=hamnet-again", plot, ("light", "dark")),  # last: the training goes on before
    ]


def make_home(home: Path) -> bool:
    """Copy the demo into a workspace; return whether the long jump is there too."""
    shutil.copytree(REPOSITORY / "assets" / "demo", home / "assets" / "demo")
    shared = shared_folder()
    if shared is None:
        print("the real long jump is left out: the folder ../shared (or $WTAL_SHARED) with it is not there")
        return False
    from wtal_core.demo.real import make_long_jump

    try:
        weights = shared / "golden" / "cmcs_golden.npz"
        _, notes = make_long_jump(shared / "data", home / "datasets" / "long-jump", weights, quiet=True)
        print(*notes, sep="\n", end="")
    except WtalError as error:
        print(f"the real long jump is left out: {error}")
        return False
    return True


def train(home: Path) -> None:
    """Start a training that is watched by one of the pictures."""
    changes = {"training.steps": 3000, "training.snippets": 100, "training.lr": 1e-3, "attention_filters": 32}
    request = TrainRequest("hamnet", "assets/demo", _TRAINING, set=changes, device="cpu", log_every=5,
                           validate="test", validate_every=40)  # fmt: skip
    start_training(request, home=home, slot="cpu", cwd=home)


def trained(home: Path, steps: int, seconds: float = 240.0) -> None:
    """Wait until the training has done some steps."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if int(Run.open(home / _TRAINING).status().get("step") or 0) >= steps:
                return
        except WtalError:
            pass
        time.sleep(0.5)
    print(f"the training did not reach step {steps} within {seconds:g} s")


def stop_everything(home: Path) -> None:
    """End the training and its worker."""
    queue = Queue(home)
    until = time.monotonic() + 20
    while (busy := [job for job in queue.jobs() if job.status().open]) and time.monotonic() < until:
        for job in busy:
            queue.kill(job)
        time.sleep(0.5)


def write(png: bytes, file: Path) -> int:
    """Write a screenshot with as many colours as fit the bound; return its size in bytes."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 160, 96, 64):
        out = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= _MOST_BYTES:
            break
    file.write_bytes(out.getvalue())
    return out.tell()


def take(chromium: Chromium, url: str, picture: Picture, theme: str) -> bytes:
    """Open a page and take its picture."""
    context = chromium.browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)
    witness = Witness()
    witness.listen(context)
    kept = {"order": [], "hidden": dict.fromkeys(picture.hidden, True), "folded": dict.fromkeys(picture.folded, True)}
    keep = f"localStorage.setItem('wtal.tracks', {json.dumps(json.dumps(kept))})"
    context.add_init_script(f"if (location.protocol === 'http:') {keep};")  # about:blank may keep nothing
    try:
        page = context.new_page()
        page.set_default_timeout(_WAIT_MILLISECONDS)
        page.goto(url + picture.path)
        page.locator("[data-testid=stApp]").wait_for()
        picture.ready(page)
        page.mouse.move(1278, 30)  # no tooltip, no hover
        page.wait_for_timeout(1500)  # fonts and fades
        for problem in witness.problems:
            print(f"{picture.name}-{theme}: {problem}")
        return bytes(page.screenshot())
    finally:
        context.close()


def main() -> None:
    """Take the pictures."""
    every = pictures()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the pictures")
    parser.add_argument("--only", nargs="*", default=[], choices=[p.name for p in every], help="names of pictures")
    parser.add_argument("--all", action="store_true", help="each in light and dark, not only those the README uses")
    chosen = parser.parse_args()
    wanted = [p for p in every if not chosen.only or p.name in chosen.only]
    try:
        chromium = Chromium()
    except Missing as reason:
        raise SystemExit(str(reason)) from None
    chosen.out.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="wtal-"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    server = None
    try:
        has_long_jump = make_home(home)
        server = Server(home, home / "server.log", {"WTAL_TEST_HOOK": "1"}).wait()
        if any(p.name == "train" for p in wanted):
            train(home)
        for picture in wanted:
            if picture.long_jump and not has_long_jump:
                continue
            if picture.name == "train":
                trained(home, 200)
            for theme in ("light", "dark") if chosen.all else picture.themes:
                file = chosen.out / f"{picture.name}-{theme}.png"
                size = write(take(chromium, server.url, picture, theme), file)
                print(f"{file}  {size / 1000:.0f} kB", flush=True)
    finally:
        stop_everything(home)
        if server is not None:
            server.stop()
        chromium.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
