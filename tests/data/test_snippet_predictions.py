"""Snippet predictions of other networks: read, checked, and the streams of a video made equally long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.data.snippet_predictions import checked_predictions, read_predictions
from wtal_core.errors import DataError

SCP, ATTENTION, SCORES = np.full((4, 2), 0.5), np.arange(4.0), np.array([0.1, 0.2])


def test_a_file_is_read_and_checked(tmp_path: Path) -> None:
    arrays = {"v/1/rgb/scp": SCP, "v/1/rgb/attention": ATTENTION, "v/1/flow/scp": SCP[:3]}
    arrays |= {"v/1/flow/attention": ATTENTION[:3], "v/1/flow/class_scores": SCORES}
    np.savez(tmp_path / "p.npz", **arrays)  # type: ignore[arg-type]
    found = checked_predictions(read_predictions(tmp_path / "p.npz"), ("rgb", "flow"), 2)
    assert list(found) == ["v/1"]
    rgb, flow = found["v/1"]["rgb"], found["v/1"]["flow"]
    assert (rgb.scp.shape, rgb.attention.tolist(), rgb.class_scores) == ((3, 2), [0, 1, 2], None)
    assert flow.class_scores is not None
    np.testing.assert_allclose(flow.class_scores, SCORES)
    assert {a.dtype for a in (rgb.scp, rgb.attention, flow.class_scores)} == {np.dtype(np.float32)}


def test_a_file_with_other_names_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **{"v/rgb/scores": np.zeros(3)})
    with pytest.raises(DataError, match="not a file of snippet predictions"):
        read_predictions(tmp_path / "p.npz")
    np.savez(tmp_path / "q.npz", **{"v/rgb/scp": np.zeros((3, 2))})
    with pytest.raises(DataError, match="incomplete"):
        read_predictions(tmp_path / "q.npz")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flow": (SCP, ATTENTION, None)}, "a stream is missing"),
        ({"rgb": (SCP, None, None)}, "SCP or attention is missing"),
        ({"rgb": (SCP[:3], ATTENTION, None)}, "wrong shapes"),
        ({"rgb": (SCP[:0], ATTENTION[:0], None)}, "wrong shapes"),
        ({"rgb": (SCP, ATTENTION, SCORES[:1])}, "wrong shapes"),
        ({"rgb": (2.1 * SCP, ATTENTION, None)}, "out of range"),
        ({"rgb": (SCP, ATTENTION, SCORES * np.inf)}, "out of range"),
    ],
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_predictions({"v": given}, ("rgb",), 2)
