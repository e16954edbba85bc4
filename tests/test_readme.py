"""The README's commands and Python run, one after the other, in a folder that has what they assume."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.video.clips import coded_frame, write_clip
from wtal_core.cli import COMMANDS, main
from wtal_core.data import write_annotations
from wtal_core.records import Annotations, Segments, VideoInfo

TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")

#: Settings that make a command quick enough for a test; nothing else of a command is changed.
QUICKER = {
    "wtal train hamnet": "--set training.steps=2 training.snippets=10 training.batch_size=2 --quiet",
    "wtal train cmcs": "--quiet",
    "wtal train my_net": "--set hidden=8 training.steps=2 training.snippets=10 training.batch_size=2 --quiet",
    "wtal paper run": "--rows BCL --set training.steps=2 training.snippets=10 training.batch_size=2 --quiet",
    "wtal demo sheet": "Background --width 400",
    "wtal demo features": "--max-videos 3 --max-seconds 60 --dim 16 --quiet",
}
REPLACED = {"training.steps=3000": "training.steps=3", "--seeds 0 1 2": "--seeds 0", "video_test_0000324": "v3"}

#: Commands that set up or serve forever, or take minutes; other tests cover what they start.
ELSEWHERE = ("make ", "pip ", "streamlit ", "python -m pytest", "wtal app", "wtal demo build", "wtal demo report",
             "wtal demo real", "wtal demo table", "wtal bench", "wtal weights get", "wtal methods check")  # fmt: skip


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, flags=re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "videos").mkdir()
    database = {}
    for i in range(4):
        write_clip(folder / "videos" / f"v{i}.mp4", [coded_frame(100 * i + n) for n in range(75)])
        subset = "training" if i < 2 else "test"
        database[f"v{i}"] = {
            "subset": subset,
            "duration": 3.0,
            "annotations": [{"label": "ABC"[i % 2], "segment": [0.5, 1.8]}],
        }
    gt = {"version": "1", "database": database}
    (folder / "gt.json").write_text(json.dumps(gt))
    found = {
        v: [{"label": a["label"], "score": 0.5, "segment": [0.4, 2.0]} for a in e["annotations"]]
        for v, e in database.items()
    }
    for name in ("detections.json", "autoloc.json"):
        (folder / name).write_text(json.dumps({"version": "1", "results": found}))
    official = {f"video_{s}_{i:07d}": VideoInfo(s, duration=50.0) for s in ("validation", "test") for i in range(6)}
    table = Segments(list(official), ["Billiards", "Diving"] * 6, [5.0] * 12, [12.0] * 12)
    thumos14 = folder.parent / "shared" / "data" / "thumos14_official_txt"
    write_annotations(Annotations(("Billiards", "Diving"), official, table), thumos14, format="thumos14")
    figure = re.search(r"```yaml\n(figure: .*?)```", TEXT, flags=re.S)
    assert figure
    (folder / "figure.yaml").write_text(figure[1].replace("video_test_0000062", "v2"))
    return folder


def test_commands_run_as_printed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    ran = 0
    for line in commands():
        if line.startswith(ELSEWHERE):
            continue
        if "assets/" in line:
            line = line.replace("assets/", f"{REPOSITORY}/assets/")
        for old, new in REPLACED.items():
            line = line.replace(old, new)
        line += next(
            (f" {extra}" for start, extra in QUICKER.items() if line.startswith(start) and "--resume" not in line), ""
        )
        words = shlex.split(line)
        assert words[0] == "wtal", f"the test does not know how to run: {line}"
        assert main(words[1:]) == 0, line
        ran += 1
    assert ran >= 9


def test_every_printed_command_exists() -> None:
    for line in commands():
        words = line.split()
        if words[0] == "wtal" and words[1] != "--help":
            assert tuple(words[1:2]) in COMMANDS or tuple(words[1:3]) in COMMANDS, line


def test_python_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    code = re.search(r"```python\n(.*?)```", TEXT, flags=re.S)
    assert code
    text = code[1].replace('"thumos14/"', '"gt.json"').replace("num_classes=20", 'classes=("A", "B")')
    text = text.replace("video_test_0000004", "v2").replace("2048", "64")
    names: dict[str, object] = {"features": np.random.default_rng(0).random((30, 64), dtype=np.float32)}
    exec(compile(text, "README.md", "exec"), names)
    assert names["ev"].average >= 0  # type: ignore[attr-defined]
