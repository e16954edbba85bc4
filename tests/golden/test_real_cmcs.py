"""CMCS with its official trained weights (THUMOS14, I3D): against the official modules, and on a real video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity, same_detections
from wtal_core.methods import create_method
from wtal_core.methods.cmcs import CMCS
from wtal_core.snippet_grid import SnippetGrid

Golden = Mapping[str, np.ndarray]

close = Fidelity("cmcs, trained weights", rtol=1e-4, atol=1e-5)  # float32 sums in another order


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    with np.load(shared / "golden" / "cmcs_golden.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def features(golden: Golden) -> np.ndarray:
    return np.concatenate([golden["rgb"], golden["flow"]], axis=-1)  # (3 crops, T, 2048)


def weights(golden: Golden, stream: str) -> dict[str, np.ndarray]:
    prefix = f"{stream}/sd/"
    return {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}


def trained(golden: Golden, streams: str, classes: tuple[str, ...] | None = None) -> CMCS:
    """Return a network with the official weights; it takes two-stream features."""
    method = create_method("cmcs", num_classes=20, feature_dim=2048, classes=classes, streams=streams)
    assert isinstance(method, CMCS)
    if streams == "late":
        method.load_official(weights(golden, "rgb"), weights(golden, "flow"))
    else:
        method.load_official(weights(golden, streams))
    return method


@pytest.mark.parametrize("streams", ["both", "rgb", "flow", "late"])
def test_activations(golden: Golden, features: np.ndarray, streams: str) -> None:
    acts = trained(golden, streams).activations(features)
    average = torch.from_numpy(golden[f"{streams}/test_avg_score"])
    branches = torch.from_numpy(golden[f"{streams}/branch_scores"]).mean(1)  # crops
    close(acts.cas, average.softmax(-1), "CAS")
    close(acts.branch_cas, branches.softmax(-1), "branch CAS")
    close(acts.attention["temporal"], golden[f"{streams}/test_weight"][:, 0], "attention")
    close(acts.video_scores, golden[f"{streams}/test_video_prob"][:20], "video scores")


@pytest.mark.parametrize(
    ("streams", "threshold", "key"),
    [
        ("both", 0.1, "both/detections_thr0.1"),
        ("both", 1e-6, "both/detections_thr1e-6"),
        ("late", 1e-6, "late/detections_thr1e-6"),
    ],
)
def test_detections(golden: Golden, features: np.ndarray, streams: str, threshold: float, key: str) -> None:
    fps, duration = float(golden["fps"]), float(golden["duration"])
    grid = SnippetGrid(fps=fps, stride=16, window=16, num_snippets=features.shape[1], duration=duration)
    method = trained(golden, streams)
    acts = method.activations(features, grid=grid)
    same_detections(close, method.localize(acts, video="vid", class_threshold=threshold), golden[key])


def test_real_features_of_a_real_video(golden: Golden, shared: Path) -> None:
    """Official weights on real two-stream features: both jumps are found, the athlete in the pit is left out.

    Scores, CAS and the jumps (9.1-15.0 s, slow replay 22.4-33.9 s; pit 15-22.3 s) stand in the data folder's README.
    """
    folder = shared / "data" / "bmt_long_jump_i3d"
    features = np.concatenate([np.load(folder / f"women_long_jump_{s}.npy") for s in ("rgb", "flow")], axis=1)
    named = {7: "Diving", 13: "LongJump"}  # alphabetical order of THUMOS14's 20 classes
    classes = tuple(named.get(i, f"class_{i}") for i in range(20))
    method = trained(golden, "both", classes)
    acts = method.activations(features, grid=SnippetGrid.preset("i3d-25fps-64", len(features), duration=35.08))
    score = dict(zip(classes, acts.video_scores, strict=True))
    assert score["LongJump"] == pytest.approx(0.741, abs=5e-4)
    assert score["Diving"] == pytest.approx(0.057, abs=5e-4)
    assert 1 - acts.video_scores.sum() == pytest.approx(0.050, abs=5e-4)
    printed = [0.000, 0.000, 0.006, 0.198, 0.828, 0.773, 0.148, 0.004, 0.052, 0.323, 0.717, 0.651, 0.392, 0.005]
    close(acts.cas[:, classes.index("LongJump")], printed, "printed CAS of the real long jump", rtol=0, atol=5.1e-4)

    detections = method.localize(acts, video="women_long_jump")
    assert set(detections.label) == {"LongJump"}
    assert len(detections) == 2
    for start, end, jump in zip(detections.start, detections.end, [(9.1, 15.0), (22.4, 33.9)], strict=True):
        shared_seconds = min(end, jump[1]) - max(start, jump[0])
        assert shared_seconds / (max(end, jump[1]) - min(start, jump[0])) > 0.5
    pit = (17.0, 20.0)  # the middle of the context
    assert not ((detections.start < pit[1]) & (detections.end > pit[0])).any()
