"""A video whose truth, activations and detections are small enough to count in a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'wtal[figures]'")

from wtal_core.figures.content import FigureData, RunData
from wtal_core.records import Activations, Annotations, Detections, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

CLASSES = ("Dive", "Jump", "Throw")
GRID = SnippetGrid(fps=25, stride=25, window=25, num_snippets=40, duration=40.0)


def make_activations(method: str = "cmcs") -> Activations:
    rng = np.random.default_rng(3)
    cas = rng.random((40, 4)) * 0.2
    cas[10:15, 1] = 0.9
    cas[25:32, 1] = 0.7
    attention = {"instance": cas[:, 1], "context": 0.3 - 0.2 * cas[:, 1], "background": 0.7 - 0.5 * cas[:, 1]}
    drop = np.zeros(40, dtype=bool)
    drop[11:13] = drop[27:30] = True
    return Activations(
        cas=cas,
        video_scores=np.array([0.1, 0.8, 0.2]),
        grid=GRID,
        classes=CLASSES,
        branch_cas=np.stack([cas * w for w in (1.0, 0.5, 0.25, 0.1)]),
        attention=attention,
        drop_mask=drop,
        extra_cas={"context": cas * 0.5},
        method=method,
    )


def make_detections() -> Detections:
    """A hit, a false positive that overlaps it, a hit, one outside, one of another class."""
    return Detections(
        "v",
        ["Jump", "Jump", "Jump", "Jump", "Dive"],
        [10.0, 8.0, 25.5, 36.0, 1.0],
        [15.0, 18.0, 32.0, 38.0, 2.0],
        [0.9, 0.4, 0.8, 0.2, 0.5],
    )


@pytest.fixture
def data() -> FigureData:
    """Three instances (one is missed), context, an ambiguous interval; runs "Ours" and "Base" (detections alone)."""
    truth = Annotations(
        CLASSES,
        {"v": VideoInfo(subset="test", duration=40.0)},
        Segments("v", ["Jump", "Jump", "Jump", "Throw"], [10.0, 25.0, 34.0, 1.0], [15.0, 32.0, 35.0, 3.0]),
        ambiguous=Segments("v", "Ambiguous", [20.0], [22.0]),
        tracks={
            "context": Segments("v", ["Jump", "Dive"], [15.0, 3.0], [18.0, 5.0]),
            "phases": Segments("v", ["Jump/start", "Jump/peak"], [10.0, 12.0], [12.0, 15.0]),
        },
    )
    runs = {
        "Ours": RunData("cmcs", make_activations(), make_detections()),
        "Base": RunData("", None, make_detections()),
    }
    return FigureData("v", "Jump", 40.0, truth, runs)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short video file."""
    from tests.video.clips import write_clip

    path = tmp_path / "v.mp4"
    write_clip(path, 100, fps=10)
    return path
