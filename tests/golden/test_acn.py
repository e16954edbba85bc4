"""ACN against brute-force integrals, finite differences and loops written from the definitions (`numbers/acn.npz`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden.fidelity import Fidelity
from tests.golden.fixtures import read
from wtal_core.localization import Proposals
from wtal_core.methods.acn import (
    ACN,
    ACNLocalization,
    decode,
    head_loss,
    kept_snippets,
    proposal_loss,
    video_probability,
)
from wtal_core.methods.acn_integrals import GramIntegral, StepIntegral, coherence, outer_inner_means
from wtal_core.methods.acn_proposals import Anchored
from wtal_core.records import Activations, Boundaries, as_names
from wtal_core.snippet_grid import SnippetGrid

PADS, AREAS = ("zero", "replicate"), ("inclusive", "disjoint")


class Golden:
    """The arrays of the file as tensors."""

    def __init__(self) -> None:
        self.arrays = read("acn")

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden()


close = Fidelity("acn", rtol=0, atol=1e-10)  # float64
GRADIENTS = 1e-6  # what central differences with h = 1e-6 are exact to


def rows(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


def oic(s: Tensor, start: Tensor, end: Tensor, margin: Tensor, pad: str = "zero") -> Tensor:
    inner, outer = outer_inner_means(StepIntegral([s], pad), rows(len(start)), start, end, margin)
    return outer - inner


# -- G1, G2, G3: integrals and both terms ---------------------------------------------------------------------------


@pytest.mark.parametrize("pad", PADS)
def test_integrals(golden: Golden, pad: str) -> None:
    integral = StepIntegral([golden["S"]], pad)
    close(integral.between(rows(40), golden["g1_a"], golden["g1_b"]), golden[f"g1_I_{pad}"], "integrals of the SCP")


@pytest.fixture
def boundaries(golden: Golden) -> tuple[Tensor, Tensor, Tensor]:
    """`xs`, `xe` (with gradient) and the margin P / 4 of the proposals of G2."""
    return golden["g2_xs"].requires_grad_(), golden["g2_xe"].requires_grad_(), golden["g2_P"] / 4


def gradients(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return torch.stack(torch.autograd.grad(values.sum(), (start, end), retain_graph=True), dim=-1)


@pytest.mark.parametrize("pad", PADS)
def test_oic(golden: Golden, boundaries: tuple[Tensor, ...], pad: str) -> None:
    start, end, margin = boundaries
    values = oic(golden["S"], start, end, margin, pad)  # (64, 3)
    close(values, golden[f"g2_oic_{pad}"], "loss term L_OIC")
    for k in range(3):
        close(
            gradients(values[:, k], start, end),
            golden[f"g2_oic_grad_{pad}"][:, k],
            "gradients of L_OIC",
            atol=GRADIENTS,
        )


def test_area_features(golden: Golden, boundaries: tuple[Tensor, ...]) -> None:
    start, end, margin = boundaries
    features = StepIntegral([golden["F"]])
    wide = (1 + margin)[:, None]
    close(features.between(rows(64), start - margin, start + 1) / wide, golden["g2_Rs"], "area features (Eq. 2)")
    close(
        features.between(rows(64), start, end + 1) / (end - start + 1)[:, None],
        golden["g2_Ra"],
        "area features (Eq. 2)",
    )
    close(features.between(rows(64), end, end + margin + 1) / wide, golden["g2_Re"], "area features (Eq. 2)")


@pytest.mark.parametrize("areas", AREAS)
@pytest.mark.parametrize(("name", "key"), [("F", "F"), ("F_signed", "Fsigned")])
def test_coherence(golden: Golden, boundaries: tuple[Tensor, ...], name: str, key: str, areas: str) -> None:
    start, end, margin = boundaries
    values = coherence(StepIntegral([golden[name]]), rows(64), start, end, margin, areas)
    close(values, golden[f"g2_lc_{key}_{areas}"], "loss term L_c")
    close(gradients(values, start, end), golden[f"g2_lc_grad_{key}_{areas}"], "gradients of L_c", atol=GRADIENTS)
    anchored = start.detach().floor().long().clamp(0, len(golden[name]) - 1)
    fast = GramIntegral([golden[name]], 10, 40).coherence(rows(64), anchored, start, end, margin, areas)
    close(fast, golden[f"g2_lc_{key}_{areas}"], "loss term L_c, blocked Gram")
    close(gradients(fast, start, end), golden[f"g2_lc_grad_{key}_{areas}"], "gradients of L_c", atol=GRADIENTS)


def test_whole_loss(golden: Golden, boundaries: tuple[Tensor, ...]) -> None:
    start, end, margin = boundaries
    term = coherence(StepIntegral([golden["F"]]), rows(64), start, end, margin)
    values = proposal_loss(oic(golden["S"], start, end, margin), term[:, None], "full", 0.6)
    close(values, golden["g2_L"], "loss L")
    for k in range(3):
        close(gradients(values[:, k], start, end), golden["g2_L_grad"][:, k], "gradients of L", atol=GRADIENTS)


def test_integer_boundaries_are_plain_sums(golden: Golden) -> None:
    size, start, end = golden["g3_P_xs_xe"].double().unbind(1)
    close(oic(golden["S"], start, end, size / 4), golden["g3_oic"], "loss term L_OIC")


# -- G4: regression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_decoding_and_its_gradient(golden: Golden, size: int) -> None:
    offsets = golden[f"g4_r_P{size}"].requires_grad_()
    length = torch.tensor([17])
    anchored = Anchored.of(length, [size])
    refined = decode(offsets[None], anchored, torch.tensor([0]), length, clamp="hard")
    clamped = golden[f"g4_clamped_P{size}"]
    close(refined, golden[f"g4_prop_P{size}"], "regressed boundaries")

    def gradient(boundaries: Tensor) -> tuple[Tensor, Tensor]:
        start, end = boundaries.unbind(1)
        term = coherence(StepIntegral([golden["g4_F"]]), anchored.row, start, end, anchored.margin)
        contrast = oic(golden["g4_S"][:, 0], start, end, anchored.margin)
        loss = proposal_loss(contrast, term, "full", 0.6).mean()
        return loss, torch.autograd.grad(loss, offsets)[0]

    loss, hard = gradient(refined)
    close(loss, golden[f"g4_loss_P{size}"], "loss L")
    close(hard, golden[f"g4_loss_grad_P{size}"], "gradients of the regression", atol=GRADIENTS)
    through = decode(offsets[None], anchored, torch.tensor([0]), length, clamp="straight_through")
    close(through, refined, "regressed boundaries")
    difference = (gradient(through)[1] - hard).abs() > 1e-12  # (2, 17): only where a boundary was clamped
    allowed = torch.zeros(2, 17, dtype=torch.bool)
    starts = torch.arange(17 - size)
    allowed[0, starts], allowed[1, starts + size] = clamped[:, 0], clamped[:, 1]
    assert not (difference & ~allowed).any()


# -- G5: selection, through the whole of localization ------------------------------------------------------------------


def activations(streams: dict[str, tuple[Tensor, Tensor, Tensor, Tensor]], scp: Tensor) -> Activations:
    """One-class activations of `{stream: (size, start, refined, coherence)}` with one SCP `(T,)`."""
    sizes, starts, refined, terms = zip(*streams.values(), strict=True)
    size, start = torch.cat(sizes).numpy(), torch.cat(starts).numpy()
    length = len(scp)
    curve = scp[:, None].numpy()
    return Activations(
        cas=curve,
        video_scores=np.array([1.0]),
        grid=SnippetGrid(fps=1, stride=1, window=1, num_snippets=length, duration=1000.0),
        classes=("Jump",),
        attention={stream: np.zeros(length) for stream in streams},
        boundaries=Boundaries(
            stream=as_names([stream for stream, columns in streams.items() for _ in columns[0]]),
            anchor=size,
            raw=np.stack([start, start + size], axis=1).astype(np.float64),
            refined=torch.cat(refined).numpy(),
            coherence=torch.cat(terms).numpy(),
            oic=np.zeros((len(size), 1)),
        ),
        extra_cas=dict.fromkeys(streams, curve),
    )


def propose(acts: Activations, **settings: Any) -> Proposals:
    return ACN.propose({"video": acts}, ACNLocalization(attention="none", **settings))


def indices(proposals: Proposals, props: Tensor) -> np.ndarray:
    """Return which of the golden proposals (all different) each row is."""
    rows = np.stack([proposals.start, proposals.end - 1], axis=1)
    distance = np.abs(rows[:, None] - props.numpy()[None]).sum(-1)
    assert (distance.min(1) < 1e-9).all()
    return distance.argmin(1)


@pytest.fixture(scope="module")
def case(golden: Golden) -> Activations:
    start, end = golden["g5_props"].unbind(1)
    term = coherence(StepIntegral([golden["g5_F"]]), rows(len(start)), start, end, golden["g5_P"] / 4)
    return activations({"flow": (golden["g5_P"], golden["g5_start"], golden["g5_props"], term)}, golden["g5_S"])


@pytest.mark.parametrize("rule", ["position", "cover"])
def test_selection(golden: Golden, case: Activations, rule: str) -> None:
    proposals = propose(case, selection=rule, nms=1.0)
    found = indices(proposals, golden["g5_props"])
    assert sorted(found.tolist()) == sorted(golden[f"g5_keep_{rule}"].tolist())
    close(proposals.score, golden["g5_score"][found], "selected proposals: scores")
    close(-proposals.score.mean(), golden[f"g5_train_loss_{rule}"], "loss of the selected proposals")


@pytest.mark.parametrize(("rule", "key"), [("cover", "g5_nms_of_cover"), ("all", "g5_nms_of_all")])
def test_suppression(golden: Golden, case: Activations, rule: str, key: str) -> None:
    proposals = propose(case, selection=rule)
    kept = proposals.select(proposals.suppressed_by < 0)
    kept = kept.select(np.argsort(-kept.score, kind="stable"))
    assert indices(kept, golden["g5_props"]).tolist() == golden[key].tolist()
    gone = np.flatnonzero(proposals.suppressed_by >= 0)
    rival = proposals.suppressed_by[gone]
    assert (proposals.suppressed_by[rival] < 0).all()
    assert (proposals.score[rival] >= proposals.score[gone]).all()


# -- G6: fusion -------------------------------------------------------------------------------------------------------


def test_fusion(golden: Golden) -> None:
    def columns(stream: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        refined, score = golden[f"g6_p{stream}"], golden[f"g6_s{stream}"]
        return torch.ones(len(score), dtype=torch.long), rows(len(score)), refined, -score  # -L_c is the score

    length = int(max(golden["g6_pf"].max(), golden["g6_pr"].max())) + 2
    acts = activations({"rgb": columns("r"), "flow": columns("f")}, torch.ones(length, dtype=torch.float64))
    for stream, key in (("flow", "f"), ("rgb", "r")):
        alone = propose(acts, selection="all", score="coherence", stream=stream)
        kept = alone.select(alone.suppressed_by < 0)
        kept = kept.select(np.argsort(-kept.score, kind="stable"))
        assert indices(kept, golden[f"g6_p{key}"]).tolist() == golden[f"g6_keep_{key}"].tolist()

    fused = propose(acts, selection="all", score="coherence")
    kept = fused.select(fused.suppressed_by < 0)
    kept = kept.select(np.argsort(-kept.score, kind="stable"))
    source, index, score = golden.arrays["g6_fused"].T
    close(kept.score, score, "fused detections: scores")
    assert [kept.sources[i] for i in kept.source] == [("flow P=1", "rgb P=1")[int(s)] for s in source]
    for number, key in ((0, "f"), (1, "r")):
        expected = golden.arrays[f"g6_keep_{key}"][index[source == number].astype(int)]
        mine = kept.select([kept.sources[i].startswith("flow") == (number == 0) for i in kept.source])
        assert indices(mine, golden[f"g6_p{key}"]).tolist() == expected.tolist()
    # An RGB proposal that flow overrides names the flow proposal.
    flow = np.array([fused.sources[i].startswith("flow") for i in fused.source])
    assert (~flow & (fused.suppressed_by >= 0) & flow[fused.suppressed_by]).any()


# -- G7: stage-1 head -------------------------------------------------------------------------------------------------


def test_head(golden: Golden) -> None:
    z, a = golden["g7_z"].requires_grad_(), golden["g7_a"].requires_grad_()
    close(z.softmax(-1), golden["g7_scp"], "SCP")
    close(a.softmax(0), golden["g7_lam"], "attention")
    close(video_probability(z.softmax(-1)[None], a[None])[0], golden["g7_p"], "video scores")
    loss = head_loss(z[None], a[None], golden["g7_y"][None])
    close(loss, golden["g7_loss"], "loss of the head")
    loss.backward()
    assert z.grad is not None
    assert a.grad is not None
    close(z.grad, golden["g7_grad_z"], "gradients of the head", atol=GRADIENTS)
    close(a.grad, golden["g7_grad_a"], "gradients of the head", atol=GRADIENTS)


def test_attention_ratio(golden: Golden) -> None:
    none = torch.zeros(0, dtype=torch.long)
    acts = activations(
        {"rgb": (none, none, torch.zeros(0, 2).double(), torch.zeros(0).double())},
        torch.ones(len(golden["g7_a"]), dtype=torch.float64),
    )
    object.__setattr__(acts, "attention", {"rgb": golden.arrays["g7_a"]})
    mask = kept_snippets(acts, "rgb", ACNLocalization(ratio_rgb=1.0))
    assert mask.tolist() == golden.arrays["g7_att_ratio_mask"].tolist()
