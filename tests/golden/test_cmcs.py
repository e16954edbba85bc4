"""CMCS against the official modules with random weights (`numbers/cmcs.npz`): inputs, network, training, localization.

With the official trained weights: `test_real_cmcs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.fidelity import Fidelity, same_detections
from tests.golden.fixtures import read
from wtal_core.data import open_features
from wtal_core.data.features.sample_rate import at_sample_rate
from wtal_core.errors import DataError
from wtal_core.methods import Batch, create_method
from wtal_core.methods.cmcs import CMCS, CMCSLocalization, PackedVideos, Scores
from wtal_core.records import Activations
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.video.static_clips import mine_static_clips

Golden = Mapping[str, np.ndarray]

MODELS: dict[str, dict[str, Any]] = {
    "both": {},
    "rgb": {"streams": "rgb"},
    "flow": {"streams": "flow"},
    "late": {"streams": "late"},
    "one": {"branches": 1},
    "noatt": {"attention": False},
    "nobg": {"background_class": False, "training.hard_negatives": False},
    "unt": {"preset": "thumos14-unt", "filters": 8, "hidden": 5},
}
TRAINED = tuple(model for model in MODELS if model != "late")
LENGTHS = {model: (1, 2, 9, 63, 300) if model == "both" else (1, 9, 63) for model in MODELS}
CLASSES = tuple(f"class_{i}" for i in range(20))


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read("cmcs")


def weights(golden: Golden, model: str) -> dict[str, np.ndarray]:
    prefix = f"{model}/sd/"
    return {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}


def make(golden: Golden, model: str) -> CMCS:
    """Return a network with the official weights, in eval mode: the golden losses and gradients are without dropout."""
    method = create_method("cmcs", num_classes=20, feature_dim=64, **{"filters": 12, "hidden": 6, **MODELS[model]})
    assert isinstance(method, CMCS)
    if model == "late":
        method.load_official(weights(golden, "rgb"), weights(golden, "flow"))
    else:
        method.load_official(weights(golden, model))
    return method.eval()


def scores(method: CMCS, videos: list[np.ndarray]) -> dict[str, Scores]:
    return method(list(map(torch.from_numpy, videos)), PackedVideos([len(x) for x in videos], torch.device("cpu")))


def batch_of(videos: list[np.ndarray], labels: list[int], weight: list[float]) -> Batch:
    """Return videos of different lengths with one label each; label 20 is a background pseudo video."""
    lengths = torch.tensor([len(x) for x in videos])
    one_hot = torch.zeros(len(labels), 21)
    one_hot[range(len(labels)), labels] = 1
    return Batch.of(
        torch.nn.utils.rnn.pad_sequence(list(map(torch.from_numpy, videos)), batch_first=True),
        one_hot[:, :20],
        mask=torch.arange(int(lengths.max())) < lengths[:, None],
        weights=torch.tensor(weight, dtype=torch.float32),
        background=one_hot[:, 20].bool(),
    )


def flat(golden: Golden, model: str, method: CMCS, of: str) -> np.ndarray:
    """Return the parameters ("data") or their gradients ("grad") as one vector, in the official order."""
    own, names = dict(method.named_parameters()), method.official_names()
    parts = [getattr(own[names[official]], of) for official in golden[f"{model}/params"].tolist()]
    assert len(parts) == len(own)
    return np.concatenate([part.detach().numpy().ravel() for part in parts])


close = Fidelity("cmcs", rtol=1e-4, atol=1e-5)  # float32 sums in another order


def close_gradient(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Compare to 1e-4 of the largest entry of the whole vector, beside which float32 leaves no more.

    The attention's gradient is 0 for a single snippet, and its last bias's always: what stands there is rounding.
    """
    close(ours, theirs, "gradients", rtol=0, atol=1e-4 * float(np.abs(theirs).max()))


# -- feature files and static clips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["untri", "i3d"])
def test_feature_files(golden: Golden, kind: str, tmp_path: Path) -> None:
    """The rows of training (every phase of every crop) and of testing (phase 0) of a pair of official files."""
    frames, base, used = golden[f"files/{kind}/frame_cnt_base_used"].tolist()
    for stream in ("rgb", "flow"):
        np.savez(tmp_path / f"v-{stream}.npz", feature=golden[f"files/{kind}/{stream}"], frame_cnt=frames)
    with open_features(tmp_path, grid=f"{base}/{used}@native", native_fps={"v": 30.0}) as store:
        training, testing = (at_sample_rate(store, used, phases=phases).read("v") for phases in (True, False))
    close(training.data, golden[f"files/{kind}/train_rows"], "features: phases of training", rtol=0, atol=0)
    close(testing.data, golden[f"files/{kind}/test_crops"], "features: crops of testing", rtol=0, atol=0)
    assert testing.grid.stride == used


STATIC = ("a", "noise", "open50", "open30", "short49", "much")


@pytest.mark.parametrize("case", STATIC)
def test_static_clips(golden: Golden, case: str) -> None:
    intensity, mask, kept = (golden[f"static/{case}/{key}"] for key in ("intensity", "mask", "snippet_idx"))
    snippets = (len(intensity) - 16) // 16 + 1
    clips = mine_static_clips(intensity, SnippetGrid.preset("i3d-25fps-16", snippets))
    close(clips.mask, mask, "static clips: frames", rtol=0, atol=0)
    close(clips.ratio, golden[f"static/{case}/ratio"], "static clips: share", rtol=0, atol=1e-12)
    assert clips.accepted == golden[f"static/{case}/accepted"]
    assert clips.snippet_indices.tolist() == kept.tolist()
    starts = np.flatnonzero(np.diff(mask.astype(int), prepend=0) == 1)
    close(clips.segments[:, 0], starts / 25, "static clips: starts", rtol=0, atol=1e-12)


def test_the_pseudo_video_is_made_of_the_static_snippets(golden: Golden) -> None:
    clips = mine_static_clips(golden["static/a/intensity"], SnippetGrid.preset("i3d-25fps-16", 63))
    close(golden["x_T63"][clips.snippet_indices], golden["batch/bg_features"], "features: pseudo video", rtol=0, atol=0)


# -- network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_network(golden: Golden, model: str) -> None:
    method = make(golden, model)
    for length in LENGTHS[model]:
        key = f"{model}/T{length}"
        with torch.no_grad():
            every = list(scores(method, [golden[f"x_T{length}"]]).values())

        def outputs(name: str, every: list[Scores] = every) -> torch.Tensor:
            return torch.stack([getattr(s, name) for s in every]).mean(0)

        average, branches = outputs("average")[:-1], outputs("branches")[:-1].transpose(0, 1)
        close(average, golden[f"{key}/avg_score"], "average scores (raw)")
        close(outputs("video")[0], golden[f"{key}/global_score"], "video scores (raw)")
        if model == "noatt":
            assert every[0].attention is None
        else:
            close(outputs("attention")[:-1, None], golden[f"{key}/att"], "attention")
        for name, ours in {
            "branch_scores": (branches, "branch scores (raw)"),
            "branch_scores_every3": (branches[:, ::3], "branch scores (raw)"),
            "avg_cas": (average.softmax(-1), "CAS"),
            "branch_cas": (branches.softmax(-1), "branch CAS"),
        }.items():
            if f"{key}/{name}" in golden:
                close(ours[0], golden[f"{key}/{name}"], ours[1])
        if f"{key}/base_feature" in golden:
            network, x = method.networks[method.config.streams], torch.from_numpy(golden[f"x_T{length}"])
            embedded = network.embed([method.select_streams(x, method.config.streams)])[0]
            close(embedded.T, golden[f"{key}/base_feature"], "embedding")


@pytest.mark.parametrize("model", MODELS)
def test_activations(golden: Golden, model: str) -> None:
    method = make(golden, model)
    for length in LENGTHS[model]:
        compare_activations(golden, f"{model}/T{length}", "att", method.activations(golden[f"x_T{length}"]))


@pytest.mark.parametrize("model", ["both", "rgb", "flow", "late"])
def test_activations_of_several_crops(golden: Golden, model: str) -> None:
    acts = make(golden, model).activations(golden["x_crops"])
    compare_activations(golden, f"{model}/crops", "weight", acts)
    if model == "late":
        for stream in ("rgb", "flow"):
            alone = torch.from_numpy(golden[f"{stream}/crops/avg_score"])
            close(acts.extra_cas[stream], alone.softmax(-1), "CAS")


def compare_activations(golden: Golden, key: str, attention: str, acts: Activations) -> None:
    """Compare with raw outputs: average over crops and streams first, softmax then."""
    close(acts.cas, torch.from_numpy(golden[f"{key}/avg_score"]).softmax(-1), "CAS")
    close(acts.video_scores, torch.from_numpy(golden[f"{key}/global_score"]).softmax(-1)[:20], "video scores")
    if f"{key}/{attention}" in golden:
        close(acts.attention["temporal"], golden[f"{key}/{attention}"][:, 0], "attention")
    else:
        assert not acts.attention
    if f"{key}/branch_scores" in golden:
        branches = torch.from_numpy(golden[f"{key}/branch_scores"])
        branches = branches.mean(1) if branches.ndim == 4 else branches  # crops
        close(acts.branch_cas, branches.softmax(-1), "branch CAS")


def test_a_single_stream_network_also_takes_features_of_that_stream_alone(golden: Golden) -> None:
    method = create_method("cmcs", num_classes=20, feature_dim=32, filters=12, hidden=6)
    method.load_official(weights(golden, "flow"))
    compare_activations(golden, "flow/T63", "att", method.activations(golden["x_T63"][:, 32:]))


def test_dropout_drops_whole_channels(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    method, keep = make(golden, "both"), torch.from_numpy(golden["dropout/keep"])

    def draw(ones: torch.Tensor, p: float) -> torch.Tensor:
        assert (ones.shape, p) == ((1, 1, 64), 0.5)
        return ones * keep

    monkeypatch.setattr(torch.nn.functional, "dropout", draw)
    with torch.no_grad():
        average = scores(method.train(), [golden["x_T9"]])["both"].average[:-1]
    close(average, golden["dropout/avg_score"], "average scores (raw)")


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", TRAINED)
def test_losses_and_gradients_of_single_videos(golden: Golden, model: str) -> None:
    method = make(golden, model)
    for length, label, weight in zip(*(golden[key].tolist() for key in ("lengths", "label", "weight")), strict=True):
        if length not in LENGTHS[model]:
            continue
        losses = method.losses(batch_of([golden[f"x_T{length}"]], [label], [weight]))
        theirs = dict(zip(("mil", "div", "norm", "total"), golden[f"{model}/T{length}/losses"], strict=True))
        for term, name in {"mil": "MIL", "div": "div", "norm": "norm", "total": "total"}.items():
            close(losses[term], theirs[term], f"loss {name}")
        if f"{model}/T{length}/grad" in golden:
            method.zero_grad()
            losses["total"].backward()
            close_gradient(flat(golden, model, method, "grad"), golden[f"{model}/T{length}/grad"])


@pytest.fixture
def update(golden: Golden) -> tuple[list[np.ndarray], list[int], list[float]]:
    """Videos, labels and weights of the entries of one official update."""
    videos = {"v0": "x_T9", "v1": "x_T63", "v1_bg": "batch/bg_features", "v2": "x_T2", "v3": "x_T1", "v4": "x_T300"}
    entries = [golden[videos[name]] for name in golden["batch/entry_video"].tolist()]
    return entries, golden["batch/entry_label"].tolist(), golden["batch/entry_weight"].tolist()


@pytest.mark.parametrize("model", TRAINED)
def test_one_update(golden: Golden, update: tuple[list[np.ndarray], list[int], list[float]], model: str) -> None:
    """Losses and gradients are summed over a batch's entries, then Adam goes one step.

    Its first step is the sign of the gradient, so that an entry whose gradient is rounding may go either way.
    """
    method = make(golden, model)
    entries = list(zip(*update, strict=True))
    if model == "nobg":
        entries = [entry for entry in entries if entry[1] < 20]
    batch = batch_of(*map(list, zip(*entries, strict=True)))  # type: ignore[arg-type]
    config = method.config
    for terms, theirs in zip(("mil", "div", "norm", "mil div norm"), golden[f"{model}/batch/losses"], strict=True):
        others = {f"{term}_weight": 0.0 for term in ("mil", "div", "norm") if term not in terms}
        method.config = replace(config, **others)
        close(method.losses(batch)["total"], theirs, "losses of an update")
    method.config = config
    method.losses(batch)["total"].backward()
    gradient, before = (flat(golden, model, method, of) for of in ("grad", "data"))
    close_gradient(gradient, golden[f"{model}/batch/grad"])

    lr, decay = golden[f"{model}/batch/lr_wd"].tolist()
    torch.optim.Adam(method.parameters(), lr=lr, weight_decay=decay).step()
    ours, theirs = flat(golden, model, method, "data"), golden[f"{model}/batch/after_adam_step"]
    clear = np.abs(gradient + decay * before) > 1e-5  # the golden float32 gradients are exact to a few 1e-6
    close(ours[clear], theirs[clear], "Adam step", rtol=0, atol=5e-6)
    assert clear.mean() > 0.95
    assert np.abs(ours - theirs).max() <= 2.02 * lr


def test_late_fusion_trains_each_stream_as_if_alone(
    golden: Golden, update: tuple[list[np.ndarray], list[int], list[float]]
) -> None:
    method = make(golden, "late")
    losses = method.losses(batch_of(*update))
    close(losses["total"], sum(golden[f"{s}/batch/losses"][3] for s in ("rgb", "flow")), "losses of an update")
    losses["total"].backward()
    own, names = dict(method.named_parameters()), method.official_names()
    for stream in ("rgb", "flow"):
        parts = [own[names[f"{stream}/{key}"]].grad for key in golden[f"{stream}/params"].tolist()]
        ours = np.concatenate([part.numpy().ravel() for part in parts if part is not None])
        close_gradient(ours, golden[f"{stream}/batch/grad"])


# -- localization -----------------------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "thumos": {},
    "anet": {"threshold": 1e-7},
    "untthumos": {},
    "untanet": {"threshold": 1e-7},
    "lowclass": {"class_threshold": 0.02},
    "multiply": {"metric": "multiply"},
    "attfilt": {"metric": "att-filtering"},
    "maxthr": {"threshold_kind": "absolute", "threshold": 0.4},
    "noglobal": {"global_weight": 0.0},
    "nodilation": {"dilation": 0.0},
    "nearest": {"interpolation": "nearest"},
    "quad": {"interpolation": "quadratic"},
}
STRIDE = {"i3d": 16, "untri": 15}


def stored(golden: Golden, case: int, kind: str) -> Activations:
    """Return what the official code stores of a video before it localizes."""
    raw, attention = (torch.from_numpy(golden[f"case{case}/{name}"]) for name in ("avg_score", "weight"))
    duration = float(golden[f"case{case}/frame_cnt_duration_{kind}"][1])
    return Activations(
        cas=raw.softmax(-1).numpy(),
        video_scores=torch.from_numpy(golden[f"case{case}/global_score"]).softmax(-1).numpy()[:20],
        attention={"temporal": attention[:, 0].numpy()},
        grid=SnippetGrid(
            fps=float(golden[f"case{case}/fps"]),
            stride=STRIDE[kind],
            window=STRIDE[kind],
            num_snippets=len(raw),
            duration=duration,
        ),
        classes=CLASSES,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_localization_variants(golden: Golden, variant: str) -> None:
    """Every case alone and, where settings are the same for all, all cases in one pass."""
    cases = [c for c in range(9) if f"case{c}/det_{variant}" in golden]
    assert len(cases) == (7 if variant == "quad" else 9)
    kind = "untri" if variant.startswith("unt") else "i3d"
    for case in cases:
        changes = dict(VARIANTS[variant])
        if variant == "attfilt":
            changes["attention_threshold"] = float(golden[f"case{case}/att_filtering_value"])
        detections = CMCS.localize_many({"v": stored(golden, case, kind)}, CMCSLocalization(**changes))
        same_detections(close, detections, golden[f"case{case}/det_{variant}"])
    if variant != "attfilt":
        together = {f"v{case}": stored(golden, case, kind) for case in cases}
        detections = CMCS.localize_many(together, CMCSLocalization(**VARIANTS[variant]))
        for case in cases:
            same_detections(close, detections.for_video(f"v{case}"), golden[f"case{case}/det_{variant}"])


@pytest.mark.parametrize("case", [0, 1])
def test_a_quadratic_spline_needs_three_snippets(golden: Golden, case: int) -> None:
    assert str(golden[f"case{case}/raises_quad"])  # the official code fails there, too
    with pytest.raises(DataError, match="3 snippets"):
        CMCS.localize_many({"v": stored(golden, case, "i3d")}, CMCSLocalization(interpolation="quadratic"))


def test_the_official_text_file(golden: Golden) -> None:
    detections = CMCS.localize_many({"v": stored(golden, 3, "i3d")}, CMCSLocalization())
    text = [line.split() for line in str(golden["case3/det_thumos_txt"]).splitlines()]
    times = zip(detections.start, detections.end, strict=True)
    assert [[f"{start:.2f}", f"{end:.2f}"] for start, end in times] == [line[1:3] for line in text]
    close(detections.score, [float(line[4]) for line in text], "detections: printed scores", rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "variant"),
    [*((m, v) for m in ("both", "rgb", "flow", "late") for v in ("thumos", "anet")), ("unt", "untthumos")],
)
def test_detections_from_features(golden: Golden, model: str, variant: str) -> None:
    kind, duration = ("untri", 31.5) if model == "unt" else ("i3d", 33.6)
    grid = SnippetGrid(fps=30, stride=STRIDE[kind], window=STRIDE[kind], num_snippets=63, duration=duration)
    acts = make(golden, model).activations(golden["x_T63"], grid=grid)
    settings = CMCSLocalization(**{**VARIANTS[variant], "class_threshold": 0.05})
    same_detections(close, CMCS.localize_many({"v": acts}, settings), golden[f"{model}/T63/det_{variant}"])
