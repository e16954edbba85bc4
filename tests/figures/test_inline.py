"""A video as a picture in a notebook."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.figures.inline import plot
from wtal_core.figures.spec import Row
from wtal_core.records import Activations, Annotations, Detections, Segments, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

ACTS = Activations(
    cas=np.linspace(0, 1, 60).reshape(30, 2), video_scores=np.array([0.2, 0.9]), classes=("jump", "throw"),
    grid=SnippetGrid.preset("i3d-25fps-16", 30), attention={"mine": np.linspace(0, 1, 30)}, method="anybody's",
)  # fmt: skip
TRUTH = Segments(["v", "v", "w"], ["jump", "throw", "jump"], [2.0, 9.0, 0.0], [5.0, 11.0, 1.0])
FOUND = Detections("v", ["jump", "jump"], [2.0, 14.0], [5.0, 16.0], [0.9, 0.4])


def labels(figure: object) -> list[str]:
    return [axes.get_label().partition(": ")[2] for axes in figure.axes]  # type: ignore[attr-defined]


def test_a_method_that_declares_nothing_is_drawn_with_truth_and_verdicts() -> None:
    figure = plot(ACTS, truth=TRUTH, detections=FOUND, video="v", label="jump")
    assert labels(figure) == ["ground_truth", "detections Detections", "cas", "attention mine"]
    drawn = figure.axes[1].patches
    assert sorted(p.get_gid() for p in drawn) == ["fp", "tp"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_class_and_the_video_are_found() -> None:
    assert labels(plot(ACTS)) == ["cas", "attention mine"]  # the class with the highest score
    one = Annotations(("jump", "throw"), {"v": VideoInfo(duration=20.0)}, TRUTH.for_video("v"))
    assert labels(plot(truth=one, detections=FOUND)) == ["ground_truth", "detections Detections"]
    with pytest.raises(UsageError, match="Name the video"):
        plot(ACTS, truth=TRUTH)


def test_rows_and_looks_can_be_chosen() -> None:
    figure = plot(ACTS, truth=TRUTH, video="v", rows=["ground_truth", Row("attention", style="barcode")], width=4)
    assert labels(figure) == ["ground_truth", "attention mine"]
    assert figure.get_figwidth() == 4
    with pytest.raises(UsageError, match="cas"):
        plot(ACTS, rows=["cass"])
