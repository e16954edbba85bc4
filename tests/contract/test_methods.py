"""What every registered method must do. The registry is the parametrisation: a new method is tested by being listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.planted import CLASSES, World, make_world
from wtal_core import settings
from wtal_core.data import open_activations, write_activations
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import evaluate
from wtal_core.methods import Batch, Method, create_method, list_methods, method_class
from wtal_core.records import Activations, Provenance
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import infer_videos
from wtal_core.settings import to_dict
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import train
from wtal_core.training.options import TrainOptions

DIM, C = 32, len(CLASSES)
METHODS = list_methods()

#: Small enough for a test, otherwise as published. ACN's anchors must fit into the short videos of the planted world.
SMALL: dict[str, dict[str, Any]] = {"acn": {"anchors": (1, 2, 4, 8)}}

#: How each method learns the planted world in seconds: steps, batch and rate that suit 24 short videos.
QUICK: dict[str, dict[str, Any]] = {
    "acmnet": {"training.steps": 200, "training.batch_size": 8, "training.snippets": 60, "training.lr": 1e-3},
    "acn": {},
    "cmcs": {"training.steps": 250, "training.lr": 5e-3, "training.hard_negatives": True},
    "deep_metric": {"training.steps": 300, "training.batch_size": 12, "training.videos_per_class": 4,
                    "training.classes_per_batch": 3, "training.lr": 5e-3, "training.snippets": 60},
    # 32 channels leave nothing to drop, and the attention needs room to open in a few hundred steps.
    "hamnet": {"training.steps": 160, "training.batch_size": 10, "training.snippets": 60, "training.lr": 1e-3,
               "dropout": 0.0, "sparse_weight": 0.3, "guide_weight": 0.3},
}  # fmt: skip


#: A training of a few steps, batches and snippets drawn as published.
FEW_STEPS: dict[str, dict[str, Any]] = {
    "acmnet": {"training.steps": 6, "training.batch_size": 5, "training.snippets": 40},
    "acn": {"head_training.steps": 6, "training.steps": 6},
    "cmcs": {"training.steps": 6, "training.batch_size": 7},
    "deep_metric": {"training.steps": 6, "training.batch_size": 9, "training.videos_per_class": 3,
                    "training.classes_per_batch": 2, "training.snippets": 40},
    "hamnet": {"training.steps": 6, "training.batch_size": 7, "training.snippets": 40},
}  # fmt: skip


def make(name: str, seed: int = 0, **config: Any) -> Method:
    torch.manual_seed(seed)
    return create_method(name, classes=CLASSES, feature_dim=DIM, **{**SMALL.get(name, {}), **config})


def features(length: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=(length, DIM))).astype(np.float32)


def batch_of(lengths: list[int], pad: int = 0, seed: int = 0, labels: list[list[int]] | None = None) -> Batch:
    width = max(lengths) + pad
    x, mask = torch.zeros(len(lengths), width, DIM), torch.zeros(len(lengths), width, dtype=torch.bool)
    for i, length in enumerate(lengths):
        x[i, :length] = torch.from_numpy(features(length, seed + i))
        mask[i, :length] = True
    y = torch.zeros(len(lengths), C)
    for i, row in enumerate(labels or [[0]] * len(lengths)):
        y[i, row] = 1
    return Batch.of(x, y, mask=mask, videos=tuple(f"v{i}" for i in range(len(lengths))))


def arrays(acts: Activations) -> dict[str, np.ndarray]:
    found = {"cas": acts.cas, "video_scores": acts.video_scores}
    found |= {f"attention/{k}": v for k, v in acts.attention.items()}
    found |= {f"extra/{k}": v for k, v in acts.extra_cas.items()}
    for name in ("branch_cas", "embedding", "drop_mask"):
        if getattr(acts, name) is not None:
            found[name] = getattr(acts, name)
    if acts.boundaries is not None:
        found |= {f"boundaries/{n}": getattr(acts.boundaries, n) for n in ("raw", "refined", "coherence", "oic")}
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_presets_build_and_state_their_title(self, name: str) -> None:
        cls = method_class(name)
        assert cls.name == name
        assert "thumos14" in cls.presets
        for preset in cls.presets:
            method = create_method(name, num_classes=4, feature_dim=DIM, preset=preset)
            assert to_dict(method.config) == to_dict(settings.build(cls.Config, to_dict(method.config)))
        assert all(o.meaning for o in settings.options(method.config)), "every setting says what it means"

    def test_unknown_settings_name_the_nearest(self, name: str) -> None:
        with pytest.raises(UsageError, match="Did you mean"):
            make(name, **{"training.stepz": 3})
        with pytest.raises(UsageError, match="unknown preset"):
            create_method(name, num_classes=2, preset="thumos15")

    def test_shapes(self, name: str) -> None:
        method = make(name)
        for length in (1, 2, 9, 70):
            acts = method.activations(features(length))
            assert acts.cas.shape[0] == length
            assert acts.video_scores.shape == (C,)
            assert acts.classes == CLASSES
            assert acts.method == name
            assert acts.grid.num_snippets == length

    def test_wrong_features_are_refused(self, name: str) -> None:
        method = make(name)
        for wrong in (np.zeros((0, DIM)), np.zeros((5, DIM + 1)), np.zeros(DIM), np.full((5, DIM), np.nan)):
            with pytest.raises(DataError):
                method.activations(wrong)
        with pytest.raises(DataError, match="snippet grid disagree"):
            method.activations(features(5), grid=SnippetGrid.preset("i3d-25fps-16", 6))

    def test_crops_are_averaged(self, name: str) -> None:
        """Two equal crops say what one says."""
        method, x = make(name), features(20)
        one, two = arrays(method.activations(x)), arrays(method.activations(np.stack([x, x])))
        assert one.keys() == two.keys()
        for key in one:
            np.testing.assert_allclose(two[key], one[key], atol=1e-5, err_msg=key)

    def test_evaluation_is_deterministic_and_leaves_the_mode(self, name: str) -> None:
        method, x = make(name).train(), features(30)
        first, second = arrays(method.activations(x)), arrays(method.activations(x))
        assert method.training
        assert all(np.array_equal(first[k], second[k]) for k in first)

    def test_one_snippet_and_constant_videos_are_finite(self, name: str) -> None:
        method = make(name)
        for x in (
            features(1),
            np.zeros((1, DIM), np.float32),
            np.ones((40, DIM), np.float32),
            np.zeros((40, DIM), np.float32),
        ):
            acts = method.activations(x)  # Activations refuses NaN
            assert np.isfinite(method.localize(acts, video="v").score).all()
        m = method.config.training.videos_per_class if hasattr(method.config, "training") else 4
        for stage in method.train().stages():
            for lengths in ([1] * m, [40] * m):
                batch = batch_of(lengths)
                for value in (0.0, 1.0):
                    method.zero_grad()
                    constant = Batch.of(torch.full_like(batch.features, value), batch.labels)
                    losses = method.losses(constant, stage=stage.name)
                    assert all(bool(torch.isfinite(v)) for v in losses.values()), (stage.name, losses)
                    if losses["total"].requires_grad:
                        torch.autograd.backward(losses["total"])
                    broken = [
                        n for n, p in method.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
                    ]
                    assert broken == [], (stage.name, lengths[0], value)

    def test_losses_have_a_total_and_scalar_terms(self, name: str) -> None:
        method = make(name)
        for stage in method.stages():
            losses = method.losses(batch_of([30] * 8, labels=[[0]] * 4 + [[1, 2]] * 4), stage=stage.name)
            assert "total" in losses
            assert len(losses) > 1
            assert all(v.ndim == 0 for v in losses.values())

    def test_padding_changes_nothing(self, name: str) -> None:
        method = make(name).eval()
        lengths = [30, 12, 25, 40, 9, 33, 21, 40]
        for stage in method.stages():
            plain = method.losses(batch_of(lengths), stage=stage.name)
            padded = method.losses(batch_of(lengths, pad=17), stage=stage.name)
            for key in plain:
                torch.testing.assert_close(
                    padded[key], plain[key], rtol=1e-4, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}"
                )

    def test_a_batch_equals_its_parts(self, name: str) -> None:
        """Terms are means over videos (deep metric's over groups that share a class), CMCS's total is their sum."""
        method = make(name).eval()
        lengths, labels = [30, 12, 25, 40, 9, 33, 21, 40], [[0]] * 4 + [[1]] * 4
        whole, size = batch_of(lengths, labels=labels), 4 if name == "deep_metric" else 1
        parts = []
        for i in range(0, len(lengths), size):
            rows, longest = slice(i, i + size), max(lengths[i : i + size])
            part = Batch.of(
                whole.features[rows, :longest],
                whole.labels[rows],
                whole.mask[rows, :longest],
                videos=whole.videos[rows],
            )
            parts.append(part)
        for stage in method.stages():
            together = method.losses(whole, stage=stage.name)
            alone = [method.losses(part, stage=stage.name) for part in parts]
            for term, value in together.items():
                if term in ("oic", "coherence_term"):  # for display: means over the proposals kept, not over videos
                    continue
                each = torch.stack([losses[term] for losses in alone])
                expected = each.sum() if (name, term) == ("cmcs", "total") else each.mean()
                torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5, msg=lambda m, k=term: f"{k}: {m}")

    def test_every_trained_parameter_gets_a_gradient(self, name: str) -> None:
        method = make(name).train()
        batch = batch_of([40] * 8, labels=[[0]] * 4 + [[1]] * 4)
        touched: set[str] = set()
        for stage in method.stages():
            method.zero_grad()
            torch.autograd.backward(method.losses(batch, stage=stage.name)["total"])
            touched |= {n for n, p in method.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
        assert {n for n, _ in method.named_parameters()} - touched == set()

    def test_same_seed_same_weights_and_losses(self, name: str) -> None:
        values = []
        for _ in range(2):
            method = make(name, seed=7).train()
            torch.manual_seed(3)
            values.append([method.losses(batch_of([30] * 8), stage=s.name)["total"].item() for s in method.stages()])
        assert values[0] == values[1]

    def test_save_and_load_give_the_same_activations(self, name: str, tmp_path: Path) -> None:
        method = make(name)
        info = RunInfo(name, "thumos14", to_dict(method.config), CLASSES, DIM)
        run = Run.create(tmp_path / "run", info)
        run.save_checkpoint("last", {"model": method.state_dict()})
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        again = Run.open(tmp_path / "elsewhere").method()
        x = features(25)
        before, after = arrays(method.activations(x)), arrays(again.activations(x))
        assert all(np.array_equal(before[k], after[k]) for k in before)

    def test_stored_activations_localize_alike_alone_and_together(self, name: str, tmp_path: Path) -> None:
        method = make(name)
        acts = {f"v{i}": method.activations(features(20 + 7 * i, seed=i)) for i in range(4)}
        write_activations(tmp_path / "a.h5", acts)
        with open_activations(tmp_path / "a.h5") as stored:
            loaded = {v: stored.read(v) for v in acts}
        together = method.localize_many(loaded, method.config.localization)
        for video in acts:
            alone = method.localize(acts[video], video=video)
            rows = together.for_video(video)
            assert len(rows) == len(alone)
            np.testing.assert_allclose(rows.start, alone.start, atol=1e-6)
            np.testing.assert_allclose(rows.score, alone.score, atol=1e-5)
            assert set(rows.label) <= set(CLASSES)

    def test_learns_the_planted_world(self, name: str, world: World, tmp_path: Path) -> None:
        method = create_method(name, classes=CLASSES, feature_dim=DIM, **{**SMALL.get(name, {}), **QUICK[name]})
        provenance = Provenance("planted", (("rgb", DIM // 2), ("flow", DIM // 2)))
        run = Run.create(tmp_path / "run", RunInfo(name, "thumos14", to_dict(method.config), CLASSES, DIM, provenance))
        hard = any(stage.recipe.hard_negatives for stage in method.stages())
        corpus = Corpus.load(world.store, world.annotations, world.videos("training"), hard_negatives=hard, quiet=True)
        train(run, corpus, TrainOptions(seed=1), quiet=True)
        acts = infer_videos(run.method(), world.store, world.videos("test"))
        found = method.localize_many(acts, method.config.localization)
        scored = evaluate(found, world.annotations, subset="test", tiou=(0.5,), matches=False)
        assert scored.mean_ap[0.5] >= 0.60, f"mAP@0.5 {scored.mean_ap[0.5]:.3f}"

    def test_resume_continues_bit_identically(self, name: str, world: World, tmp_path: Path) -> None:
        method = create_method(name, classes=CLASSES, feature_dim=DIM, **{**SMALL.get(name, {}), **FEW_STEPS[name]})
        steps = [stage.recipe.steps for stage in method.stages()]
        hard = any(stage.recipe.hard_negatives for stage in method.stages())
        options = TrainOptions(seed=3, log_every=1, checkpoint_every=2)
        info = RunInfo(name, "thumos14", to_dict(method.config), CLASSES, DIM)

        def corpus() -> Corpus:
            videos = world.videos("training")
            return Corpus.load(world.store, world.annotations, videos, hard_negatives=hard, quiet=True)

        def losses(run: Run) -> list[Any]:
            return [(m["stage"], m["step"], m["losses"]) for m in run.metrics()]

        whole = Run.create(tmp_path / "whole", info)
        train(whole, corpus(), options, quiet=True)
        assert len(losses(whole)) == sum(steps)
        theirs = whole.load_checkpoint("last")
        for stage in range(len(steps)):
            run, dying, left = Run.create(tmp_path / f"dies {stage}", info), corpus(), sum(steps[:stage]) + 4

            def power_cut(*arguments: Any, batch: Any = dying.batch) -> Batch:
                nonlocal left
                left -= 1
                if left == 0:  # in step 4 of the stage: step 3 is done again from the checkpoint of step 2
                    raise RuntimeError("power cut")
                found: Batch = batch(*arguments)
                return found

            dying.batch = power_cut  # type: ignore[method-assign]
            with pytest.raises(RuntimeError, match="power cut"):
                train(run, dying, options, quiet=True)
            assert run.status()["state"] == "failed"
            torch.manual_seed(99)  # what this process drew before must not matter
            outcome = train(run, corpus(), options, resume=True, quiet=True)
            assert (outcome.state, outcome.steps) == ("finished", sum(steps))
            assert losses(run) == losses(whole)
            ours = run.load_checkpoint("last")
            assert all(torch.equal(ours["model"][key], value) for key, value in theirs["model"].items())
            assert ours["state"] == theirs["state"]

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_cuda_gives_the_same_detections(self, name: str) -> None:
        method, x = make(name), features(60)
        here = method.localize(method.activations(x), video="v").sorted()
        there = method.to("cuda").localize(method.activations(x), video="v").sorted()
        assert len(here) == len(there)
        np.testing.assert_allclose(there.score, here.score, atol=1e-3)
        np.testing.assert_allclose(there.start, here.start, atol=1e-3)


def test_the_registry_is_complete() -> None:
    assert METHODS == ["acmnet", "acn", "cmcs", "deep_metric", "hamnet"]
    with pytest.raises(UsageError, match="Did you mean 'hamnet'"):
        create_method("hamnett", num_classes=2)
