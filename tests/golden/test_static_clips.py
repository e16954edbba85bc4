"""Static-clip mining against the masks that CMCS's official tool made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.static_clips import mine_static_clips


@pytest.mark.parametrize("case", ["bg0", "bg1", "bg2"])
def test_official_masks(shared: Path, case: str) -> None:
    with np.load(shared / "golden" / "cmcs_postproc_golden.npz") as golden:
        intensity, mask, snippets = (golden[f"{case}/{key}"] for key in ("intensity", "mask", "snippet_idx"))
        ratio, accepted = float(golden[f"{case}/ratio"]), bool(golden[f"{case}/accepted"])
    grid = SnippetGrid.preset("i3d-25fps-16", num_snippets=-(-intensity.size // 16))
    clips = mine_static_clips(intensity, grid)
    np.testing.assert_array_equal(clips.mask, mask.astype(bool))
    assert clips.ratio == pytest.approx(ratio, abs=1e-12)
    assert clips.accepted == accepted
    np.testing.assert_array_equal(clips.snippet_indices, snippets)
    starts = np.flatnonzero(np.diff(mask.astype(int), prepend=0) == 1)
    np.testing.assert_allclose(clips.segments[:, 0], starts / 25, atol=1e-12)
