"""Real clips and the real long jump, where the folder with them is present."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wtal_core.data.dataset import Dataset
from wtal_core.demo.real import CLASSES, compose, make_long_jump, make_real, make_real_clips
from wtal_core.errors import DataError
from wtal_core.runs.folder import Run
from wtal_core.runs.scores import stored_evaluations


def test_compositions() -> None:
    for test in (False, True):
        for index in range(9):
            pieces = [piece for piece, _ in compose(index, test=test)]
            assert compose(index, test=test) == compose(index, test=test)
            actions = [p for p in pieces if p.track == "action"]
            assert 2 <= len(actions) <= 3
            assert sum(p.name == CLASSES[index % 3] for p in actions) >= 2
            assert pieces[0].track != "action"
            assert pieces[-1].track != "action"
            labels = {p.name for p in actions}
            for piece in pieces:
                assert piece.start < piece.end
                if piece.track == "context":  # only where its class is
                    assert piece.name.partition("/")[0] in labels
            assert not any(a.track == b.track == "action" for a, b in pairwise(pieces))
    assert compose(0, test=False) != compose(0, test=True)


def test_long_jump(shared: Path, tmp_path: Path) -> None:
    """CMCS's official weights on the real features give what they are known to give."""
    golden = shared / "golden" / "cmcs_golden.npz"
    made, notes = make_long_jump(shared / "data", tmp_path / "jump", golden, quiet=True)
    assert (made["videos"], made["instances"], notes) == (1, 2, [])
    dataset = Dataset.open(tmp_path / "jump")
    assert len(dataset.classes) == 20
    assert dataset.video_path("women_long_jump") is not None
    run = Run.open(tmp_path / "jump" / "runs" / "cmcs-official")
    said = run.activations().read("women_long_jump")
    score = dict(zip(said.classes, said.video_scores.tolist(), strict=True))
    # Measured with the official code: LongJump .741, Diving .057, and the class activation sequence below.
    assert score["LongJump"] == pytest.approx(0.741, abs=1e-3)
    assert score["Diving"] == pytest.approx(0.057, abs=1e-3)
    assert max(score, key=score.__getitem__) == "LongJump"
    known = [0.000, 0.000, 0.006, 0.198, 0.828, 0.773, 0.148, 0.004, 0.052, 0.323, 0.717, 0.651, 0.392, 0.005]
    np.testing.assert_allclose(said.cas[:, said.classes.index("LongJump")], known, atol=1e-3)
    at_03 = stored_evaluations(run)[0]["mean_ap"]["0.3"]
    assert at_03 == 1.0  # both jumps, nothing else
    before = run.evaluation_path.stat().st_mtime_ns
    assert make_long_jump(shared / "data", tmp_path / "jump", golden, quiet=True)[0] == made
    assert run.evaluation_path.stat().st_mtime_ns == before


def test_without_weights_there_is_a_note(shared: Path, tmp_path: Path) -> None:
    _, notes = make_long_jump(shared / "data", tmp_path / "jump", tmp_path / "none.npz", quiet=True)
    assert len(notes) == 1
    assert not (tmp_path / "jump" / "runs").exists()


def test_an_interrupted_import_is_done_again(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden" / "cmcs_golden.npz"
    make_long_jump(shared / "data", tmp_path / "jump", golden, quiet=True)
    folder = tmp_path / "jump" / "runs" / "cmcs-official"
    (folder / "evaluation.json").unlink()
    shutil.rmtree(folder / "checkpoints")
    make_long_jump(shared / "data", tmp_path / "jump", golden, quiet=True)
    assert stored_evaluations(Run.open(folder))


def test_real_clips_by_descriptors(shared: Path, tmp_path: Path) -> None:
    made, notes = make_real_clips(shared / "data", tmp_path / "clips", num_train=1, num_test=0, i3d=False, quiet=True)
    assert (made["videos"], made["features"], notes) == (3, "descriptors", [])
    dataset = Dataset.open(tmp_path / "clips")
    truth = dataset.annotations
    rows = truth.instances.for_video("v_GGSY1Qvo990")
    assert (rows.label.tolist(), rows.start.tolist(), rows.end.tolist()) == (["CleanAndJerk"], [5.82], [16.2])
    video = "composed_train_00"
    pieces = compose(0, test=False)
    assert truth.videos[video].duration == pytest.approx(sum(round((p.end - p.start) * 25) for p, _ in pieces) / 25)
    covered = sum(
        float(table.for_video(video).length.sum())
        for table in (truth.instances, truth.tracks["context"], truth.tracks["background"])
    )
    assert covered == pytest.approx(truth.videos[video].duration)
    assert len(truth.tracks["cuts"].for_video(video)) == len(pieces) - 1
    with dataset.store() as store:
        assert store.dim == 1024
        assert store.grid(video).duration == pytest.approx(truth.videos[video].duration, abs=0.05)
        # At a cut from one clip to another the appearance jumps, within a piece it hardly changes.
        features, grid = store.read(video).data[:, :512], store.grid(video)
        change = np.linalg.norm(np.diff(features, axis=0), axis=1)
        at = np.unique(np.clip(grid.snippet_at(truth.tracks["cuts"].for_video(video).start), 1, len(change) - 1))
        jumps = np.maximum(change[at - 1], change[at])
        assert np.median(jumps) > 2 * np.median(change)
    again = {p: p.stat().st_mtime_ns for p in (tmp_path / "clips" / "videos").iterdir()}
    make_real_clips(shared / "data", tmp_path / "clips", num_train=1, num_test=0, i3d=False, quiet=True)
    assert again == {p: p.stat().st_mtime_ns for p in (tmp_path / "clips" / "videos").iterdir()}


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        make_real(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="does not exist"):
        make_real(tmp_path / "empty", tmp_path / "out")


@pytest.mark.slow
def test_both_data_sets_with_i3d(shared: Path, tmp_path: Path) -> None:
    report = make_real(shared / "data", tmp_path, quiet=True)
    assert report["notes"] == []
    with Dataset.open(tmp_path / "real-clips").store() as store:
        assert store.dim == 1024 + 512
        assert dict(store.provenance(store.videos[0]).modalities)["rgb"] == 1024
