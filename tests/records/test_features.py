"""Features know their width and refuse what contradicts their grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wtal_core.errors import DataError, UsageError
from wtal_core.records import Provenance, VideoFeatures
from wtal_core.snippet_grid import SnippetGrid

GRID = SnippetGrid(fps=25, stride=16, window=16, num_snippets=4)


def test_features_know_their_width_and_refuse_contradictions() -> None:
    origin = Provenance("i3d", (("rgb", 3), ("flow", 2)))
    assert VideoFeatures("v", np.zeros((4, 5), np.float16), GRID, origin).dim == 5
    assert VideoFeatures("v", np.zeros((10, 4, 5), np.float32), GRID).dim == 5
    assert (origin.channels("rgb"), origin.channels("flow")) == (slice(0, 3), slice(3, 5))
    for data, message in [
        (np.zeros((5, 5)), r"features of v: features and snippet grid disagree \(expected 4 snippets, got 5\)"),
        (np.zeros((4, 6)), "channels and modalities disagree"),
        (np.zeros((4, 5), int), "wrong shape or type.*floating point.*int64"),
        (np.zeros(4), "wrong shape or type"),
        (np.zeros((4, 0)), "wrong shape or type"),
        (np.array("x"), "wrong shape or type"),
    ]:
        with pytest.raises(DataError, match=message):
            VideoFeatures("v", data, GRID, origin)
    with pytest.raises(UsageError, match="Did you mean 'flow'"):
        origin.channels("flwo")
    with pytest.raises(DataError, match="a modality has no channels"):
        Provenance("i3d", (("rgb", 0),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video": None}, r"VideoFeatures: video is of the wrong type \(expected a text, got None\)"),
        ({"grid": 4}, r"features of v: grid is of the wrong type \(expected a SnippetGrid, got int 4\)"),
        ({"provenance": "i3d"}, r"provenance is of the wrong type \(expected a Provenance, got str 'i3d'\)"),
    ],
)
def test_every_field_has_a_type(changes: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"video": "v", "data": np.zeros((4, 5)), "grid": GRID}
    with pytest.raises(DataError, match=message):
        VideoFeatures(**values | changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"extractor": None}, r"extractor is of the wrong type \(expected a text, got None\)"),
        ({"modalities": "rgb"}, "modalities are not streams with their widths"),
        ({"modalities": (("rgb", "wide"),)}, "modalities are not streams with their widths"),
        ({"modalities": ((1024, 1024),)}, "modalities are not streams with their widths"),
        ({"modalities": None}, "modalities are not streams with their widths"),
    ],
)
def test_provenance_is_texts_and_widths(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Provenance(**values)


def test_features_print_in_a_few_lines() -> None:
    found = VideoFeatures("v<1>", np.full((10, 4, 5), 0.5), GRID, Provenance("i3d", (("rgb", 3), ("flow", 2))))
    lines = repr(found).splitlines()
    assert lines[0] == "Features of v<1>: 10 crops x 4 snippets x 5 channels, float64"
    assert [line.split()[0] for line in lines[1:]] == ["grid", "extractor", "modalities", "range"]
    assert "v&lt;1&gt;" in found._repr_html_()
    assert "<1>" not in found._repr_html_()
