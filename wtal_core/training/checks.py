"""What every method must do, as checks that run on any: `wtal methods check`, and the contract tests of this project.

A check is a function of a `Subject`: it returns, or raises `Failed` with a sentence (or whatever the method raised);
one that cannot be made here raises `unittest.SkipTest`, which pytest and unittest know. The method is built with its
`quick` settings, and trained on a planted world of two dozen short videos of 32 channels.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from wtal_core import settings
from wtal_core.arrays import Array, Float32Array
from wtal_core.data import open_activations, write_activations
from wtal_core.errors import WtalError
from wtal_core.evaluation import evaluate
from wtal_core.methods import Batch, Method, Recipe, method_class, name_of
from wtal_core.records import Activations, Boundaries, Detections, Provenance, default_views
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import infer_videos
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import train
from wtal_core.training.options import TrainOptions
from wtal_core.training.planted import CLASSES, World, make_world

__all__ = ["CHECKS", "Check", "Failed", "Outcome", "Subject", "run_checks"]

#: Channels of the features of every check, the first half RGB; mAP@0.5 that the planted world must be learnt to.
DIM, LEARNT = 32, 0.60

_LENGTHS = (30, 12, 25, 40, 9, 33, 21, 40)
_LABELS = ((0,), (0,), (0,), (0,), (1, 2), (1, 2), (1, 2), (1, 2))


class Failed(AssertionError):
    """A method does not do what it must; the text says what."""


def _need(condition: object, message: str) -> None:
    if not condition:
        raise Failed(message)


# -- what is checked ------------------------------------------------------------------------------------------------


class Subject:
    """A method that is checked.

    Args:
        target: its class, its name, or `module:Class`.

    Raises:
        UsageError: there is no such method.
    """

    def __init__(self, target: str | type[Method]) -> None:
        self.cls = target if isinstance(target, type) else method_class(target)

    @cached_property
    def world(self) -> World:
        """The planted world."""
        return make_world(dim=DIM)

    def config(self) -> Any:
        """Return the config of the first preset with the quick settings."""
        return settings.override(self.cls.preset_config(), self.cls.quick)

    def few_steps(self) -> Any:
        """Return the quick config with 6 steps, or passes, in every stage."""
        changes: dict[str, Any] = {}
        for name, recipe in _recipes(config := self.config()).items():
            changes |= {f"{name}.steps": 6, f"{name}.epochs": 6 if recipe.epochs else 0}
            changes[f"{name}.refresh_every"] = min(recipe.refresh_every, 1)
        return settings.override(config, changes)

    def corpus(self, config: Any) -> Corpus:
        """Return the training videos as a config trains on them."""
        store = self.cls.read_features(config, self.world.store, training=True)
        hard = any(recipe.hard_negatives for recipe in _recipes(config).values())
        videos = self.world.videos("training")
        return Corpus.load(store, self.world.annotations, videos, hard_negatives=hard, quiet=True)

    def method(self, *, seed: int = 0) -> Method:
        """Return the method with fresh weights and quick settings, prepared for its stages as a training does it."""
        config = self.config()
        torch.manual_seed(seed)
        method = self.cls(len(CLASSES), DIM, config, CLASSES).eval()
        corpus = self.corpus(config)
        with torch.no_grad():
            for stage in method.stages():
                method.prepare(stage.name, corpus.whole_videos())
        return method.train()

    def new_run(self, folder: Path, config: Any) -> Run:
        """Make a run folder of a config."""
        provenance = Provenance("planted", (("rgb", DIM // 2), ("flow", DIM // 2)))
        preset = next(iter(self.cls.presets))
        return Run.create(
            folder, RunInfo(name_of(self.cls), preset, settings.to_dict(config), CLASSES, DIM, provenance)
        )


def _recipes(config: Any) -> dict[str, Recipe]:
    found = {item.name: getattr(config, item.name) for item in fields(config)}
    return {name: value for name, value in found.items() if isinstance(value, Recipe)}


def features_of(length: int, seed: int = 0) -> Float32Array:
    """Return random `(T, 32)` features, non-negative as a network's."""
    return np.abs(np.random.default_rng(seed).normal(size=(length, DIM))).astype(np.float32)


def batch_of(
    lengths: Sequence[int] = _LENGTHS, labels: Sequence[Sequence[int]] = _LABELS, *, pad: int = 0, seed: int = 0
) -> Batch:
    """Return a batch of random videos, padded by `pad` snippets more than it needs."""
    width = max(lengths) + pad
    x, mask = torch.zeros(len(lengths), width, DIM), torch.zeros(len(lengths), width, dtype=torch.bool)
    y = torch.zeros(len(lengths), len(CLASSES))
    for i, length in enumerate(lengths):
        x[i, :length] = torch.from_numpy(features_of(length, seed + i))
        mask[i, :length] = True
        y[i, list(labels[i])] = 1
    return Batch.of(x, y, mask=mask, videos=tuple(f"v{i}" for i in range(len(lengths))))


def arrays_of(activations: Activations) -> dict[str, Array]:
    """Return every array that activations hold, by the address of its track."""
    found: dict[str, Array] = {"video_scores": activations.video_scores}
    for address, track in activations.all_tracks().items():
        if isinstance(track.values, Boundaries):
            found |= {f"{address}.{item.name}": getattr(track.values, item.name) for item in fields(track.values)}
        else:
            found[address] = track.values
    return found


def _need_same(one: Activations, two: Activations, what: str, tolerance: float = 0.0) -> None:
    """Raise `Failed` unless two activations hold the same; what they differ in is named."""
    ours, theirs = arrays_of(one), arrays_of(two)
    _need(ours.keys() == theirs.keys(), f"{what}: the tracks are {', '.join(theirs)}, and were {', '.join(ours)}")
    for name, a in ours.items():
        b = theirs[name]
        if a.shape != b.shape or a.dtype.kind in "OSU" or tolerance == 0.0:
            _need(np.array_equal(a, b), f"{what}: {name} differs")
            continue
        apart = float(np.abs(np.asarray(a, np.float64) - b).max(initial=0.0))
        _need(apart <= tolerance * (1 + float(np.abs(a).max(initial=0.0))), f"{what}: {name} differs by {apart:.3g}")


def _need_same_detections(one: Detections, two: Detections, what: str) -> None:
    _need(len(one) == len(two), f"{what}: {len(two)} detections, and there were {len(one)}")
    for column, tolerance in (("start", 1e-6), ("end", 1e-6), ("score", 1e-5)):
        a, b = getattr(one, column), getattr(two, column)
        _need(np.allclose(a, b, rtol=1e-6, atol=tolerance), f"{what}: {column} differs by {np.abs(a - b).max():.3g}")


# -- checks ---------------------------------------------------------------------------------------------------------


def builds(subject: Subject) -> None:
    """Every preset builds, every setting says what it means, and run.yaml brings a config back."""
    cls = subject.cls
    _need(cls.presets, "there is no preset: leave `presets` out, or name one")
    for preset in cls.presets:
        config = cls.preset_config(preset)
        again = settings.build(cls.Config, settings.to_dict(config))
        changed = settings.differences(again, config)
        _need(not changed, f"preset {preset}: run.yaml does not bring back {', '.join(changed)}")
        silent = [o.key for o in settings.options(config) if not o.meaning]
        _need(not silent, f"no meaning: {', '.join(silent)} (declare them with settings.option)")
        cls(len(CLASSES), DIM, config, CLASSES)
    _need(list(subject.method().parameters()), "the network has no parameters")


def shapes(subject: Subject) -> None:
    """Activations have one row a snippet and one score a class, for videos of any length."""
    method = subject.method()
    for length in (1, 2, 9, 70):
        acts = method.activations(features_of(length))
        _need(acts.grid.num_snippets == length, f"{length} snippets: the grid has {acts.grid.num_snippets}")
        _need(acts.classes == CLASSES, f"the classes are {acts.classes}, not self.classes")
        _need(acts.method == method.name, f"made by {acts.method!r}: give method=self.name")


def crops(subject: Subject) -> None:
    """Two equal crops of a video say what one says."""
    method, x = subject.method(), features_of(20)
    _need_same(method.activations(x), method.activations(np.stack([x, x])), "two equal crops", 1e-5)


def deterministic(subject: Subject) -> None:
    """Inference gives the same twice, and leaves the method in the mode it was in."""
    method, x = subject.method().train(), features_of(30)
    _need_same(method.activations(x), method.activations(x), "the second time")
    _need(method.training, "activations() leaves the method in eval mode")


def short_videos(subject: Subject) -> None:
    """One-snippet and constant videos give finite activations, detections, losses and gradients."""
    method = subject.method()
    for x in (features_of(1), *(np.full((t, DIM), v, np.float32) for t in (1, 40) for v in (0, 1))):
        found = method.localize(method.activations(x), video="v")  # Activations refuse NaN
        _need(np.isfinite(found.score).all(), f"{len(x)} snippets: a score is not finite")
    method.train()
    for stage in method.stages():
        for length in (1, 40):
            for value in (0.0, 1.0):
                what = f"videos of {length} snippets, all {value:g}, stage {stage.name}"
                batch = batch_of([length] * 4, _LABELS)
                losses = method.losses(Batch.of(torch.full_like(batch.features, value), batch.labels), stage=stage.name)
                broken = [name for name, term in losses.items() if not bool(torch.isfinite(term))]
                _need(not broken, f"{what}: {', '.join(broken)} is not finite")
                method.zero_grad()
                if losses["total"].requires_grad:
                    torch.autograd.backward(losses["total"])
                for name, parameter in method.named_parameters():
                    finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
                    _need(finite, f"{what}: the gradient of {name} is not finite")


def losses(subject: Subject) -> None:
    """The losses of every stage are scalars, and "total" is one of them."""
    method = subject.method()
    for stage in method.stages():
        found = method.losses(batch_of(), stage=stage.name)
        _need("total" in found, f"stage {stage.name}: no 'total' among {', '.join(found)}")
        for name, value in found.items():
            _need(value.ndim == 0, f"stage {stage.name}: {name} has shape {tuple(value.shape)}")


def padding(subject: Subject) -> None:
    """Rows of a batch where nothing exists (`batch.mask`) change no loss."""
    method = subject.method().eval()
    for stage in method.stages():
        torch.manual_seed(0)
        plain = method.losses(batch_of(), stage=stage.name)
        torch.manual_seed(0)
        padded = method.losses(batch_of(pad=17), stage=stage.name)
        for name, value in plain.items():
            same = torch.allclose(padded[name], value, rtol=1e-4, atol=1e-5)
            _need(same, f"stage {stage.name}: {name} is {value:.6g}, and {padded[name]:.6g} with more padding")


def gradients(subject: Subject) -> None:
    """Every parameter that is trained gets a gradient in some stage."""
    method = subject.method().train()
    touched: set[str] = set()
    for stage in method.stages():
        method.zero_grad()
        torch.autograd.backward(method.losses(batch_of([40] * 8), stage=stage.name)["total"])
        touched |= {n for n, p in method.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
    dead = [name for name, p in method.named_parameters() if p.requires_grad and name not in touched]
    _need(not dead, f"no gradient: {', '.join(dead[:5])} (requires_grad_(False) says that one is not trained)")


def seeds(subject: Subject) -> None:
    """The same seed gives the same weights and losses."""
    values = []
    for _ in range(2):
        method = subject.method(seed=7).train()
        torch.manual_seed(3)
        values.append([method.losses(batch_of(), stage=s.name)["total"].item() for s in method.stages()])
    _need(values[0] == values[1], f"total loss {values[0]}, and {values[1]} with the same seed")


def saved(subject: Subject) -> None:
    """Weights that are saved and loaded elsewhere give the same activations."""
    method, x = subject.method(seed=1), features_of(25)
    with tempfile.TemporaryDirectory() as folder:
        run = subject.new_run(Path(folder, "run"), method.config)
        run.save_checkpoint("last", {"model": method.state_dict()})
        run.folder.rename(Path(folder, "elsewhere"))
        again = Run.open(Path(folder, "elsewhere")).method()
    _need_same(method.activations(x), again.activations(x), "after loading")


def stored(subject: Subject) -> None:
    """Activations survive the store, and are localized as those that were not stored."""
    method = subject.method()
    acts = {f"v{i}": method.activations(features_of(20 + 7 * i, seed=i)) for i in range(4)}
    with tempfile.TemporaryDirectory() as folder:
        write_activations(Path(folder, "a.h5"), acts)
        with open_activations(Path(folder, "a.h5")) as store:
            loaded = {video: store.read(video) for video in acts}
    for video, one in acts.items():
        _need_same(one, loaded[video], f"{video} read again", 1e-6)
        fresh, again = (method.localize(a, video=video) for a in (one, loaded[video]))
        _need_same_detections(fresh, again, f"{video} read again")


def independent(subject: Subject) -> None:
    """A video's detections do not depend on which other videos are localized with it."""
    method = subject.method()
    acts = {f"v{i}": method.activations(features_of(20 + 7 * i, seed=i)) for i in range(4)}
    together = method.localize_many(acts, method.config.localization)
    unknown = set(together.label) - set(CLASSES)
    _need(not unknown, f"detections of {', '.join(sorted(unknown))}, which is no class")
    for video, one in acts.items():
        alone = method.localize(one, video=video).sorted()
        _need_same_detections(alone, together.for_video(video).sorted(), f"{video} among others")
    _need(not len(method.localize_many({}, method.config.localization)), "no videos give detections")


def views(subject: Subject) -> None:
    """Every curve, map, mask and table of proposals has a row, and the declared views name tracks that there are."""
    acts = subject.method().activations(features_of(30))
    tracks, declared = acts.all_tracks(), subject.cls.views
    keys = [view.key for view in declared]
    _need(len(set(keys)) == len(keys), f"two views have the same key: {', '.join(keys)}")
    names = {trace.track for view in declared for trace in view.traces}  # some may be those of other settings
    _need(not names or names & set(tracks), f"the views name {', '.join(names)}; there are: {', '.join(tracks)}")
    shown = {trace.track for view in default_views(acts, declared) for trace in view.traces}
    hidden = [a for a, track in tracks.items() if a not in shown and track.kind not in ("embedding", "scalar")]
    _need(not hidden, f"no row shows {', '.join(hidden)}")


def sampling(subject: Subject) -> None:
    """Steps name training videos and existing snippets, and a sampler goes on exactly where its state was saved."""
    corpus = subject.corpus(subject.config())
    method = subject.method()
    for stage in method.stages():
        one, two = (method.batch_sampler(stage.recipe, corpus.labels, np.random.default_rng(5)) for _ in range(2))
        _need(one.steps_per_pass() >= 1, f"stage {stage.name}: a pass of {one.steps_per_pass()} steps")
        for _ in range(7):
            visit = one.next()
        _need(visit.video.size and visit.video.min() >= 0 and visit.video.max() < len(corpus.videos),
              f"stage {stage.name}: a step of the videos {visit.video} of {len(corpus.videos)}")  # fmt: skip
        two.restore(json.loads(json.dumps(one.state())))
        for _ in range(9):
            a, b = one.next(), two.next()
            same = all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
            _need(same, f"stage {stage.name}: the restored sampler draws others")
        for length in (1, 7, 90):
            index = method.sample_snippets(stage.recipe, "v", length, np.random.default_rng(0))
            exist = index.size and index.min() >= 0 and index.max() < length
            _need(exist and (np.diff(index) >= 0).all(), f"stage {stage.name}: snippets {index} of {length}")


def resumed(subject: Subject) -> None:
    """A training that dies and is resumed does exactly what an uninterrupted one does, on a CPU."""
    config = subject.few_steps()
    options = TrainOptions(seed=3, log_every=1, checkpoint_every=2)
    with tempfile.TemporaryDirectory() as folder:
        whole = subject.new_run(Path(folder, "whole"), config)
        train(whole, subject.corpus(config), options, quiet=True)
        logged = [(m["stage_index"], m["step"], m["losses"]) for m in whole.metrics()]
        theirs = whole.load_checkpoint("last")
        for stage in sorted({index for index, _, _ in logged}):
            before = sum(index < stage for index, _, _ in logged)
            run, dying = subject.new_run(Path(folder, f"dies {stage}"), config), subject.corpus(config)
            _die_at(dying, before + 4)  # in step 4 of the stage: step 3 is done again from the checkpoint of step 2
            with suppress(_PowerCut):
                train(run, dying, options, quiet=True)
            torch.manual_seed(99)  # what this process drew before must not matter
            outcome = train(run, subject.corpus(config), options, resume=True, quiet=True)
            _need((outcome.state, outcome.steps) == ("finished", len(logged)), f"resumed: {outcome}")
            for mine, known in zip(run.metrics(), logged, strict=True):
                same = (mine["stage_index"], mine["step"], mine["losses"]) == known
                _need(same, f"stage {known[0]}, step {known[1]}: {mine['losses']}, and {known[2]} uninterrupted")
            ours = run.load_checkpoint("last")
            for part in ("model", "raw"):
                for name, value in theirs.get(part, {}).items():
                    same = not isinstance(value, Tensor) or torch.equal(ours[part][name], value)
                    _need(same, f"stage {stage}: the weights {name} differ")
            _need(ours["state"] == theirs["state"], f"stage {stage}: samplers or generators are elsewhere")


class _PowerCut(RuntimeError):
    """The end of a process, as far as a training can tell."""


def _die_at(corpus: Corpus, step: int) -> None:
    """Let a corpus raise in the place of its `step`-th batch."""
    batch, left = corpus.batch, step

    def cut(*arguments: Any) -> Batch:
        nonlocal left
        left -= 1
        if left == 0:
            raise _PowerCut("power cut")
        return batch(*arguments)

    vars(corpus)["batch"] = cut


def learns(subject: Subject) -> None:
    """The quick settings learn the planted world: mAP@0.5 of at least 60 % on its test videos."""
    config, world = subject.config(), subject.world
    with tempfile.TemporaryDirectory() as folder:
        run = subject.new_run(Path(folder, "run"), config)
        train(run, subject.corpus(config), TrainOptions(seed=1), quiet=True)
        method = run.method()
    found = method.localize_many(infer_videos(method, world.store, world.videos("test")), config.localization)
    scored = evaluate(found, world.annotations, subset="test", tiou=(0.5,), matches=False)
    advice = "" if subject.cls.quick else " (set `quick`: steps and rates for two dozen short videos)"
    _need(scored.mean_ap[0.5] >= LEARNT, f"mAP@0.5 {100 * scored.mean_ap[0.5]:.1f} %{advice}")


def cuda(subject: Subject) -> None:
    """A GPU gives the detections that a CPU gives."""
    if not torch.cuda.is_available():
        raise SkipTest("needs a CUDA device")
    method, x = subject.method(), features_of(60)
    here = method.localize(method.activations(x), video="v").sorted()
    there = method.to("cuda").localize(method.activations(x), video="v").sorted()
    _need(len(here) == len(there), f"{len(there)} detections, {len(here)} on the CPU")
    for column in ("start", "score"):
        apart = np.abs(getattr(here, column) - getattr(there, column)).max(initial=0)
        _need(apart < 1e-3, f"{column} differs by {apart:.3g}")


#: Every check, quick ones first.
Check = Callable[[Subject], None]
CHECKS: tuple[Check, ...] = (
    builds, shapes, crops, deterministic, short_videos, losses, padding, gradients, seeds, saved, stored,
    independent, views, sampling, resumed, learns, cuda,
)  # fmt: skip


# -- running them ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        check: its name.
        state: "passed", "failed" or "skipped".
        message: what is wrong, or why it was skipped; "" where it passed.
        seconds: how long it took.
    """

    check: str
    state: str
    message: str
    seconds: float


def run_checks(target: str | type[Method]) -> Iterator[Outcome]:
    """Run every check on a method; what the method raises fails a check, and ends none of the others.

    Raises:
        UsageError: there is no such method.
    """
    subject = Subject(target)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # the networks are so small that threads cost more than they save
        yield from (_outcome(check, subject) for check in CHECKS)
    finally:
        torch.set_num_threads(threads)


def _outcome(check: Check, subject: Subject) -> Outcome:
    began = time.perf_counter()
    state, message = "passed", ""
    try:
        check(subject)
    except SkipTest as reason:
        state, message = "skipped", str(reason)
    except Exception as error:
        if os.environ.get("WTAL_DEBUG"):
            raise
        state, message = "failed", _what_happened(error, subject)
    return Outcome(check.__name__, state, message, time.perf_counter() - began)


def _what_happened(error: Exception, subject: Subject) -> str:
    if isinstance(error, Failed | WtalError):
        return str(error)
    module = sys.modules.get(subject.cls.__module__)
    file = getattr(module, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({Path(file).name}, line {lines[-1]})" if file and lines else ""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}{where}"
