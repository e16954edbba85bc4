"""CMCS against the official modules with real trained weights (`cmcs_golden.npz`, `cmcs_postproc_golden.npz`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity
from wtal_core.methods import Batch, create_method
from wtal_core.methods.cmcs import CMCS, CMCSLocalization, PackedVideos
from wtal_core.records import Activations, Detections
from wtal_core.snippet_grid import SnippetGrid

Golden = Mapping[str, np.ndarray]
STREAMS = ("both", "rgb", "flow", "late")
SINGLE = ("both", "rgb", "flow")


def read(path: Path) -> Golden:
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return read(shared / "golden" / "cmcs_golden.npz")


@pytest.fixture(scope="module")
def postproc(shared: Path) -> Golden:
    return read(shared / "golden" / "cmcs_postproc_golden.npz")


def weights(golden: Golden, stream: str) -> dict[str, np.ndarray]:
    prefix = f"{stream}/sd/"
    return {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}


def trained(golden: Golden, streams: str) -> CMCS:
    """Return a network with the official weights; it takes two-stream features."""
    method = create_method("cmcs", num_classes=20, feature_dim=2048, streams=streams)
    assert isinstance(method, CMCS)
    if streams == "late":
        method.load_official(weights(golden, "rgb"), weights(golden, "flow"))
    else:
        method.load_official(weights(golden, streams))
    return method.eval()  # the golden losses and gradients are without dropout


@pytest.fixture(scope="module")
def features(golden: Golden) -> np.ndarray:
    return np.concatenate([golden["rgb"], golden["flow"]], axis=-1)  # (3 crops, T, 2048)


def grid_of(frames: float, fps: float, duration: float, snippets: int) -> SnippetGrid:
    assert frames >= 16 * snippets
    return SnippetGrid(fps=fps, stride=16, window=16, num_snippets=snippets, duration=duration)


def batch_of(features: np.ndarray, labels: list[int], weight: list[float]) -> Batch:
    """Return videos with one label each; label 20 is a background pseudo video."""
    one_hot = torch.zeros(len(labels), 21)
    one_hot[range(len(labels)), labels] = 1
    return Batch.of(
        torch.from_numpy(features),
        one_hot[:, :20],
        weights=torch.tensor(weight),
        background=one_hot[:, 20].bool(),
    )


close = Fidelity("cmcs", rtol=1e-4, atol=1e-5)
RAW = 5e-5  # logits of up to 10, summed over thousands of channels: on ARM float32 gives 2e-5 more or less


def close_gradient(ours: torch.Tensor | None, theirs: np.ndarray) -> None:
    """Compare to 1e-4 of the largest entry: the official float32 attention gradients are themselves that exact."""
    assert ours is not None
    close(ours, theirs, "gradients", atol=max(1e-5, 1e-4 * float(np.abs(theirs).max())))


def same_detections(ours: Detections, theirs: np.ndarray) -> None:
    """Compare with official rows (class, start, end, score): count, order, times and scores."""
    label = [int(name.removeprefix("class_")) for name in ours.label]
    assert label == theirs[:, 0].astype(int).tolist()
    close(ours.start, theirs[:, 1], "detections: times", rtol=0, atol=1e-6)
    close(ours.end, theirs[:, 2], "detections: times", rtol=0, atol=1e-6)
    close(ours.score, theirs[:, 3], "detections: scores", rtol=0, atol=1e-4)


@pytest.mark.parametrize("streams", STREAMS)
def test_network(golden: Golden, features: np.ndarray, streams: str) -> None:
    method, (crops, length) = trained(golden, streams), features.shape[:2]
    with torch.no_grad():
        every = list(
            method(torch.from_numpy(features).unbind(), PackedVideos([length] * crops, torch.device("cpu"))).values()
        )

    def videos(name: str) -> torch.Tensor:
        """Average over the streams; packed rows become (crops, T, ...)."""
        values = torch.stack([getattr(scores, name) for scores in every]).mean(0)
        return values.view(crops, length + 1, *values.shape[1:])[:, :-1]

    close(videos("average"), golden[f"{streams}/avg_score"], "average scores (raw)", atol=RAW)
    close(videos("branches").permute(2, 0, 1, 3), golden[f"{streams}/branch_scores"], "branch scores (raw)", atol=RAW)
    close(videos("attention")[..., None], golden[f"{streams}/att"], "attention")
    close(
        torch.stack([s.video for s in every]).mean(0), golden[f"{streams}/global_score"], "video scores (raw)", atol=RAW
    )
    close(videos("average").softmax(-1), golden[f"{streams}/avg_cas"], "CAS")
    close(videos("branches").permute(2, 0, 1, 3).softmax(-1), golden[f"{streams}/branch_cas"], "branch CAS")


@pytest.mark.parametrize("stream", SINGLE)
def test_embedding(golden: Golden, features: np.ndarray, stream: str) -> None:
    method = trained(golden, stream)
    videos = [method.select_streams(x, stream) for x in torch.from_numpy(features)]
    close(
        torch.stack(method.networks[stream].embed(videos)).transpose(1, 2),
        golden[f"{stream}/base_feature"],
        "embedding",
    )


@pytest.mark.parametrize("streams", STREAMS)
def test_activations(golden: Golden, features: np.ndarray, streams: str) -> None:
    acts = trained(golden, streams).activations(features)
    average = torch.from_numpy(golden[f"{streams}/test_avg_score"])
    branches = torch.from_numpy(golden[f"{streams}/branch_scores"]).mean(1)  # crops
    close(acts.cas, average.softmax(-1), "CAS")
    close(acts.branch_cas, branches.softmax(-1), "branch CAS")
    close(acts.attention["temporal"], golden[f"{streams}/test_weight"][:, 0], "attention")
    close(acts.video_scores, golden[f"{streams}/test_video_prob"][:20], "video scores")
    close(
        torch.from_numpy(golden[f"{streams}/test_global_score"]).softmax(-1)[:20],
        golden[f"{streams}/test_video_prob"][:20],
        "video scores",
    )
    if streams == "late":
        for stream in ("rgb", "flow"):
            alone = torch.from_numpy(golden[f"{stream}/test_avg_score"]).softmax(-1)
            close(acts.extra_cas[stream], alone, "CAS")


def test_a_single_stream_network_also_takes_features_of_that_stream_alone(golden: Golden) -> None:
    method = create_method("cmcs", num_classes=20, feature_dim=1024)
    method.load_official(weights(golden, "flow"))
    acts = method.activations(golden["flow"])
    close(acts.video_scores, golden["flow/test_video_prob"][:20], "video scores")


@pytest.mark.parametrize("stream", SINGLE)
def test_losses_and_gradients(golden: Golden, features: np.ndarray, stream: str) -> None:
    method = trained(golden, stream)
    losses = method.losses(batch_of(features[:1], [7], [0.5]))
    close(losses["mil"], golden[f"{stream}/loss_ce"], "loss MIL")
    close(losses["div"], golden[f"{stream}/loss_div"], "loss div")
    close(losses["norm"], golden[f"{stream}/loss_norm"], "loss norm")
    close(losses["total"], golden[f"{stream}/loss_total"], "loss total")
    losses["total"].backward()
    own = dict(method.named_parameters())
    for official, name in method.official_names().items():
        close_gradient(own[name].grad, golden[f"{stream}/grad/{official}"])

    three = method.losses(batch_of(features, [7, 4, 20], [0.5, 0.5, 1.0]))
    close(three["div"], golden[f"{stream}/loss_div_b3"], "loss div")
    close(three["norm"], golden[f"{stream}/loss_norm_b3"], "loss norm")


@pytest.mark.parametrize("stream", SINGLE)
def test_two_adam_steps(golden: Golden, features: np.ndarray, stream: str) -> None:
    """Adam's first steps are the sign of the gradient, so entries whose gradient is rounding noise may go either way
    (the attention's last bias moves all logits alike: its true gradient is 0). They are counted instead."""
    lr, decay = 1e-4, 1e-3
    method = trained(golden, stream)
    optimizer = torch.optim.Adam(method.parameters(), lr=lr, weight_decay=decay)
    first: dict[str, torch.Tensor] = {}
    for _ in range(2):
        optimizer.zero_grad()
        method.losses(batch_of(features, [7, 4, 20], [0.5, 0.5, 1.0]))["total"].backward()
        if not first:
            first = {name: (p.grad + decay * p).detach() for name, p in method.named_parameters() if p.grad is not None}
        optimizer.step()
    noise = 0
    own = method.state_dict()
    for official, name in method.official_names().items():
        theirs = golden[f"{stream}/sd_after2/{official}"]
        apart = np.abs(own[name].numpy() - theirs)
        clear = np.abs(first[name].numpy()) > 1e-5  # the golden float32 gradients are exact to a few 1e-6
        close(own[name].numpy()[clear], theirs[clear], "two Adam steps", rtol=0, atol=5e-6)
        assert apart.max() <= 4 * lr
        noise += int((apart > 5e-6).sum())
    assert noise <= 6


def test_late_fusion_trains_each_stream_as_if_alone(golden: Golden, features: np.ndarray) -> None:
    method = trained(golden, "late")
    losses = method.losses(batch_of(features[:1], [7], [0.5]))
    close(losses["total"], golden["rgb/loss_total"] + golden["flow/loss_total"], "loss total")
    losses["total"].backward()
    own = dict(method.named_parameters())
    for official, name in method.official_names().items():
        stream, _, key = official.partition("/")
        close_gradient(own[name].grad, golden[f"{stream}/grad/{key}"])


@pytest.mark.parametrize(
    ("streams", "threshold", "key"),
    [
        ("both", 0.1, "both/detections_thr0.1"),
        ("both", 1e-6, "both/detections_thr1e-6"),
        ("late", 1e-6, "late/detections_thr1e-6"),
    ],
)
def test_detections(golden: Golden, features: np.ndarray, streams: str, threshold: float, key: str) -> None:
    method = trained(golden, streams)
    grid = grid_of(*(float(golden[k]) for k in ("frame_cnt", "fps", "duration")), features.shape[1])
    acts = method.activations(features, grid=grid)
    detections = method.localize(acts, video="vid", class_threshold=threshold)
    same_detections(detections, golden[key])
    if threshold == 1e-6 and streams == "both":
        text = [line.split() for line in str(golden["both/detections_thr1e-6_txt"]).splitlines()]
        times = zip(detections.start, detections.end, strict=True)
        assert [[f"{start:.2f}", f"{end:.2f}"] for start, end in times] == [[t[1], t[2]] for t in text]
        close(detections.score, [float(t[4]) for t in text], "detections: printed scores", rtol=0, atol=1e-4)


VARIANTS: dict[str, dict[str, Any]] = {
    "thumos": {},
    "anet": {"threshold": 1e-7},
    "multiply": {"metric": "multiply"},
    "attfilt": {"metric": "att-filtering"},
    "maxthr": {"threshold_kind": "absolute", "threshold": 0.4},
    "noglobal": {"global_weight": 0.0},
    "quad": {"interpolation": "quadratic"},
    "nearest": {"interpolation": "nearest"},
}


def stored(postproc: Golden, case: int) -> Activations:
    """Return what the official code stores of a video before it localizes."""
    score, weight = (postproc[f"case{case}/{name}"] for name in ("avg_score", "weight"))
    return Activations(
        cas=torch.from_numpy(score).softmax(-1).numpy(),
        video_scores=torch.from_numpy(postproc[f"case{case}/global_score"]).softmax(-1).numpy()[:20],
        attention={"temporal": weight[:, 0]},
        grid=grid_of(*postproc[f"case{case}/frame_cnt_fps_duration"].tolist(), len(score)),
        classes=tuple(f"class_{i}" for i in range(20)),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_localization_variants(postproc: Golden, variant: str) -> None:
    """Every case alone and, where settings are the same for all, all cases in one pass."""
    cases = [c for c in range(5) if f"case{c}/det_{variant}" in postproc]
    assert len(cases) == (4 if variant == "quad" else 5)
    for case in cases:
        changes = dict(VARIANTS[variant])
        if variant == "attfilt":
            changes["attention_threshold"] = float(np.median(postproc[f"case{case}/weight"].astype(np.float64)))
        detections = CMCS.localize_many({"v": stored(postproc, case)}, CMCSLocalization(**changes))
        same_detections(detections, postproc[f"case{case}/det_{variant}"])
    if variant != "attfilt":
        together = CMCS.localize_many(
            {f"v{c}": stored(postproc, c) for c in cases}, CMCSLocalization(**VARIANTS[variant])
        )
        for case in cases:
            same_detections(together.for_video(f"v{case}"), postproc[f"case{case}/det_{variant}"])


def test_real_features_of_a_real_video(golden: Golden, shared: Path) -> None:
    """Official weights on real two-stream features: both jumps are found, the athlete in the pit is left out.

    Scores, CAS and the jumps (9.1-15.0 s, slow replay 22.4-33.9 s; pit 15-22.3 s) stand in the data folder's README.
    """
    folder = shared / "data" / "bmt_long_jump_i3d"
    features = np.concatenate([np.load(folder / f"women_long_jump_{s}.npy") for s in ("rgb", "flow")], axis=1)
    named = {7: "Diving", 13: "LongJump"}  # alphabetical order of THUMOS14's 20 classes
    classes = tuple(named.get(i, f"class_{i}") for i in range(20))
    method = create_method("cmcs", num_classes=20, feature_dim=2048, classes=classes)
    method.load_official(weights(golden, "both"))
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
