"""The builder's parts: annotations, one video, refusals, descriptors; `test_small_world.py` builds a whole world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wtal_core.demo.builder import BuildOptions, build
from wtal_core.demo.descriptors import appearance, appearance_pooling, motion, motion_pooling
from wtal_core.demo.script import write_scripts
from wtal_core.demo.world import MINED, annotate, make_video
from wtal_core.errors import DataError, UsageError

# -- what is built ------------------------------------------------------------------------------------------------


def test_annotations_hold_every_track() -> None:
    scripts = write_scripts(2, small=True)
    made = annotate(scripts, {scripts[0].name: [(1.0, 3.5)]})
    assert set(made.tracks) == {"phases", "context", "fakes", "background", "static", "replays", "cuts", MINED}
    assert len(made.videos) == len(scripts)
    for script in scripts:
        truth = script.truth()
        rows = made.instances.for_video(script.name)
        assert list(zip(rows.label, rows.start, rows.end, strict=True)) == list(truth.actions)
        assert made.videos[script.name].labels == script.classes
        for name, spans in truth.as_dict().items():
            if name != "actions":
                rows = made.tracks[name].for_video(script.name)
                assert list(zip(rows.label, rows.start, rows.end, strict=True)) == spans
    assert made.tracks[MINED].end.tolist() == [3.5]
    assert MINED not in annotate(scripts).tracks


def test_a_broken_video_is_rendered_again(tmp_path: Path) -> None:
    script = write_scripts(3, small=True)[0]
    short = replace(script, shots=script.shots[:1])
    path = tmp_path / "videos" / f"{script.name}.mp4"
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    made = make_video(short, tmp_path, features=True)
    assert path.stat().st_size > 1000
    assert made.features is not None
    again = make_video(short, tmp_path, features=True).features
    assert again is not None
    np.testing.assert_array_equal(again.data.astype(np.float16), made.features.data.astype(np.float16))


def test_what_is_no_world_is_refused(tmp_path: Path) -> None:
    options = BuildOptions(seed=3, small=True)
    (tmp_path / "dataset.yaml").write_text("name: mine\n")
    with pytest.raises(UsageError, match="not built here"):
        build(tmp_path, options, quiet=True)
    with pytest.raises(UsageError, match="cmcs-one-branch"):
        BuildOptions(runs=("cmcs-one-branc",))
    (tmp_path / "dataset.yaml").unlink()
    (tmp_path / "build.json").write_text("[]")
    with pytest.raises(DataError):
        build(tmp_path, options, quiet=True)


# -- features -----------------------------------------------------------------------------------------------------


def test_pooling_matrices() -> None:
    for matrix in (appearance_pooling(), motion_pooling()):
        assert matrix.shape == (128, 512)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)  # every coarse channel is an average
    ones = np.ones((2, 512), np.float32)
    for descriptor in (appearance, motion):
        assert isinstance(descriptor.info.dim, int)
        np.testing.assert_allclose(descriptor.coarsen(ones), np.ones((2, 128)), rtol=1e-6)


def test_coarse_channels_are_the_statistics_of_larger_cells() -> None:
    """A quarter's orientation histogram is the average of its four cells, by hand."""
    from wtal_core.video.descriptors import MOTION_BLOCKS, block_slices

    rng = np.random.default_rng(0)
    full = rng.random((1, 512)).astype(np.float32)
    cells = np.square(full[0, block_slices(MOTION_BLOCKS)["orientation_cells"]]).reshape(4, 4, 9)
    by_hand = np.sqrt([cells[r : r + 2, c : c + 2].mean(axis=(0, 1)) for r in (0, 2) for c in (0, 2)])
    np.testing.assert_allclose(motion.coarsen(full)[0, :36].reshape(4, 9), by_hand, rtol=1e-5)
