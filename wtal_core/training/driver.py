"""Train runs: find or make the folder, read the features, train, infer, localize, evaluate; what is done is kept.

`wtal train` drives one run, `train_many` the rows of a paper's table, a demo world the runs it ships: all by `Driver`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from wtal_core import settings
from wtal_core.data.dataset import Dataset
from wtal_core.data.features import FeatureStore
from wtal_core.data.features.store import videos_with_features
from wtal_core.devices import choose_device
from wtal_core.errors import DataError, UsageError, WtalError, and_more, counted, unknown_name
from wtal_core.evaluation import GroundTruthIndex, evaluate, parse_tiou
from wtal_core.methods import Method, create_method
from wtal_core.methods.features import splits_streams
from wtal_core.progress import listening, progress_bar
from wtal_core.records import Evaluation
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.runs.pipeline import check_provenance, evaluate_run, infer, infer_videos, localize
from wtal_core.runs.scores import stored_evaluations
from wtal_core.training.corpus import Corpus
from wtal_core.training.loop import Outcome, Snapshot, Validation, train
from wtal_core.training.options import TrainRequest

__all__ = [
    "Driver",
    "Scoring",
    "build_method",
    "create_run",
    "describe_run",
    "find_run",
    "planned_steps",
    "reopen_run",
    "train_many",
]

_KEPT_VIDEOS = 5  # whose activations are kept where nobody says which


# -- the run folder -------------------------------------------------------------------------------------------------


def build_method(request: TrainRequest, dataset: Dataset, store: FeatureStore) -> Method:
    """Return the method without weights (on the meta device): its config, stages and refusals.

    Raises:
        UsageError: unknown method, preset or setting, or features without the streams it needs.
    """
    with torch.device("meta"):
        return create_method(
            request.method, classes=dataset.classes, feature_dim=store.dim, preset=request.preset, **dict(request.set)
        )


def planned_steps(method: Method, dataset: Dataset, split: str = "train") -> dict[str, int]:
    """Return the optimiser steps of each stage of a training on a split."""
    names, labels = dataset.annotations.video_labels()
    chosen = set(dataset.videos(split))
    own = labels[[name in chosen for name in names]]
    found = {}
    for stage in method.stages():
        a_pass = 1  # what it takes matters only where epochs are counted
        if stage.recipe.epochs:
            a_pass = method.batch_sampler(stage.recipe, own, np.random.default_rng(0)).steps_per_pass()
        found[stage.name] = stage.recipe.steps_in(a_pass)
    return found


def describe_run(request: TrainRequest, dataset: Dataset, store: FeatureStore) -> RunInfo:
    """Return what the `run.yaml` of a training to be done says.

    Raises:
        UsageError: as `build_method`.
    """
    selected_on = list(dataset.subsets(request.validate)) if request.validate else []
    return RunInfo.of(
        build_method(request, dataset, store),
        dataset,
        store,
        preset=request.preset,
        features=request.features,
        train=request.split,
        test=request.test,
        seed=request.seed,
        training={**request.recorded(), "selected_on": selected_on},
    )


def create_run(
    request: TrainRequest, dataset: Dataset, store: FeatureStore, *, note: Callable[[str], None] | None = None
) -> Run:
    """Make the run folder.

    Args:
        request, dataset, store: what is to be trained, and on what.
        note: told what a person should know.

    Raises:
        UsageError: as `build_method`; the folder holds a run, or the method takes streams apart that are not there.
    """
    info = describe_run(request, dataset, store)
    method = build_method(request, dataset, store)
    method.check_features(method.config, store, where=dataset.feature_file(request.features).name)
    if note and splits_streams(method.config) and not info.provenance.modalities:
        note(
            "warning: the features do not say which channels are RGB and flow: the first half is taken for RGB. "
            "wtal data convert states it."
        )
    return Run.create(request.out, info)


def find_run(request: TrainRequest, dataset: Dataset, store: FeatureStore) -> Run | None:
    """Return the run in the request's folder, None where there is none yet.

    Raises:
        UsageError: the folder holds another run than this one.
        DataError: that run was trained on features of another extractor.
    """
    if not (request.out / "run.yaml").exists():
        return None
    run = Run.open(request.out)
    info, config = run.info, build_method(request, dataset, store).config
    had = {
        "method": info.method, "seed": info.seed, "data set": info.dataset.get("name"),
        "classes": len(info.classes), "channels": info.feature_dim,
    }  # fmt: skip
    given = {
        "method": request.method, "seed": request.seed, "data set": dataset.name,
        "classes": len(dataset.classes), "channels": store.dim,
    }  # fmt: skip
    if info.method == request.method:
        had |= settings.differences(run.config(), config)
        given |= settings.differences(config, run.config())
    other = [key for key in given if had[key] != given[key]]
    if other or info.classes != dataset.classes:
        raise UsageError(
            "holds another run",
            expected=", ".join(f"{key} {given[key]}" for key in other) or "the data set's classes",
            got=", ".join(f"{key} {had[key]}" for key in other) or "others",
            where=request.out,
            next_step="Choose another folder, or the settings it was begun with",
        )
    check_provenance(
        info.provenance, store.provenance(store.videos[0]), where=request.out, otherwise="choose another folder"
    )
    return run


def reopen_run(request: TrainRequest, dataset: Dataset, store: FeatureStore) -> Run:
    """Return the run to go on with; what the request leaves at its default is as the run has it.

    Raises:
        UsageError: the request would make it another run than it was.
        DataError: the folder is not a run, or the data set is another.
    """
    run = Run.open(request.out)
    info, config = run.info, run.config()
    defaults = {"preset": None, "seed": 0}  # what is not said is not meant to change anything
    for name in ("method", "preset", "seed"):
        had, given = getattr(info, name), getattr(request, name)
        if given not in (had, defaults.get(name, had)):
            raise UsageError(
                f"the {name} of a run that is resumed cannot change",
                expected=str(had),
                got=str(given),
                where=request.out,
                next_step="Train a new run",
            )
    if request.set and settings.override(config, request.set) != config:
        raise UsageError(
            "settings of a run that is resumed cannot change", where=request.out, next_step="Train a new run"
        )
    if (dataset.classes, store.dim) != (info.classes, info.feature_dim):
        raise DataError(
            "the data set has other classes or channels than this run was begun with",
            expected=f"{len(info.classes)} classes, {info.feature_dim} channels",
            got=f"{len(dataset.classes)} classes, {store.dim} channels",
            where=request.out,
            next_step="Restore the data set, or train a new run",
        )
    given_provenance = store.provenance(store.videos[0])
    check_provenance(info.provenance, given_provenance, where=request.out, otherwise="train a new run")
    return run


# -- scores ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scoring:
    """How runs are scored.

    Args:
        protocol: name of an evaluation protocol.
        tiou: thresholds.
        split: split of the data set.
    """

    protocol: str
    tiou: tuple[float, ...]
    split: str = "test"

    @classmethod
    def of(cls, dataset: Dataset, split: str = "test") -> Scoring:
        """Return the data set's own way."""
        return cls(dataset.evaluation.protocol, parse_tiou(dataset.evaluation.tiou), split)

    def scores(self, run: Run) -> dict[float, float] | None:
        """Return the stored `{tIoU: mAP}` of a run, None where it was not scored in this way yet."""
        for evaluation in stored_evaluations(run):
            found = {round(float(t), 6): float(value) for t, value in evaluation["mean_ap"].items()}
            if evaluation["protocol"] == self.protocol and found.keys() >= {round(t, 6) for t in self.tiou}:
                return found
        return None


# -- the work -------------------------------------------------------------------------------------------------------


class Driver:
    """Trains and scores runs on one data set; features are read once for runs that see them alike.

    Args:
        dataset: what is trained and scored on.
        store: its features.
        device: "auto" or a torch device.
        quiet: no progress bars.
        note: told what a person should know, one sentence at a time.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: FeatureStore,
        *,
        device: str = "auto",
        quiet: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.dataset, self.store, self.quiet = dataset, store, quiet
        self.device = choose_device(device)
        self._note = note or _nothing
        self._corpus: tuple[Any, Corpus] | None = None

    def corpus(self, run: Run, request: TrainRequest) -> Corpus:
        """Return the training videos as a run sees them; those of the last call are kept.

        Raises:
            DataError, UsageError: as `Corpus.load`.
        """
        stages = run.new_method().stages()
        hard = any(stage.recipe.hard_negatives for stage in stages)
        view = run.method_class.read_features(run.config(), self.store, training=True)
        kind = (view, hard, request.split, request.residence)
        if self._corpus is not None and self._corpus[0] == kind:
            return self._corpus[1]
        self._corpus = None  # the one before makes room
        videos = self.dataset.videos(request.split)
        corpus = Corpus.load(
            view, self.dataset.annotations, videos, device=self.device, residence=request.residence,
            hard_negatives=hard, quiet=self.quiet,
        )  # fmt: skip
        self._corpus = (kind, corpus)
        if corpus.left_out:
            self._note(
                f"note: {len(corpus.left_out)} of {len(videos)} training videos have no features or no label and are "
                f"left out, e.g. {corpus.left_out[0]}"
            )
        for recipe in (stage.recipe for stage in stages):
            if recipe.batches == "class_groups" and (rare := corpus.rare_classes(recipe.videos_per_class)):
                self._note(
                    f"note: {counted(len(rare), 'class', 'classes')} with fewer than {recipe.videos_per_class} "
                    "training videos (training.videos_per_class) get no group in a batch and are hardly learnt: "
                    f"{self.dataset.classes[rare[0]]}{and_more(len(rare))}"
                )
        return corpus

    def train(self, run: Run, request: TrainRequest) -> Outcome:
        """Train a run, or go on from its last checkpoint.

        Raises:
            DataError, UsageError: as `wtal_core.training.loop.train`.
        """
        corpus = self.corpus(run, request)
        begun = run.checkpoint_path().exists()
        if not begun:  # it ended before its first checkpoint: the same steps once more
            run.forget_after(stage=0, step=0, total=-1)
        return train(
            run,
            corpus,
            replace(request, seed=run.info.seed),
            validation=self._validation(request),
            snapshot=self._snapshot(request),
            resume=begun,
            quiet=self.quiet,
        )

    def free(self) -> None:
        """Let go of the training videos: inference may need their room."""
        self._corpus = None

    def score(self, run: Run, scoring: Scoring, *, anew: bool = False) -> Mapping[str, Evaluation]:
        """Infer, localize and evaluate a run.

        Args:
            run: the run, trained.
            scoring: how it is scored.
            anew: also what is there already; it may be of an earlier checkpoint.

        Returns:
            The evaluations by protocol; {} where nothing was left to do.
        """
        if not anew and scoring.scores(run) is not None:
            return {}
        if anew or not run.detections_path.is_file():
            infer(
                run, self.store, self.dataset.videos(scoring.split), device=self.device, keep=not anew, quiet=self.quiet
            )
            localize(run)
        return evaluate_run(
            run,
            self.dataset.annotations,
            protocols=(scoring.protocol,),
            tiou=scoring.tiou,
            subset=self.dataset.subsets(scoring.split),
        )

    def _validation(self, request: TrainRequest) -> Validation | None:
        """Return what computes average mAP on the validation split, None where none was named."""
        dataset, store = self.dataset, self.store
        if request.validate is None:
            return None
        videos = videos_with_features(store, dataset.videos(request.validate))
        test = dataset.subsets(request.test) if request.test in dataset.splits else ()
        shared = sorted(set(dataset.subsets(request.validate)) & set(test))
        if shared:
            self._note(f"warning: best.pt is selected on the test split ({', '.join(shared)}): say so.")
        truth = GroundTruthIndex(dataset.annotations, None, videos)

        def validation(method: Method) -> dict[str, float]:
            found = method.localize_many(infer_videos(method, store, videos), method.config.localization)
            scored = evaluate(
                found, truth, protocol=dataset.evaluation.protocol, tiou=dataset.evaluation.tiou, matches=False
            )
            return {"score": scored.average, **{f"mAP@{t:g}": v for t, v in scored.mean_ap.items()}}

        return validation

    def _snapshot(self, request: TrainRequest) -> Snapshot | None:
        """Return what computes the activations that are kept, None where none are.

        Raises:
            UsageError: a video that is to be kept has no features.
        """
        if not request.keep_activations:
            return None
        dataset, store = self.dataset, self.store
        for video in request.keep_videos:
            if video not in store.videos:
                raise unknown_name("video", video, store.videos, where="keep_videos")
        videos = list(request.keep_videos)
        if not videos:
            split = request.test if request.test in dataset.splits else request.split
            present = videos_with_features(store, dataset.videos(split))
            spread = np.linspace(0, len(present) - 1, min(_KEPT_VIDEOS, len(present)))
            videos = [present[i] for i in spread.round().astype(int)]
        self._note(
            f"note: every {counted(request.keep_activations, 'step')} the activations of "
            f"{counted(len(videos), 'video')} are kept: {', '.join(videos)}"
        )
        return lambda method: infer_videos(method, store, videos)


# -- many runs ------------------------------------------------------------------------------------------------------


def train_many(
    dataset: Dataset,
    requests: Sequence[TrainRequest],
    scoring: Scoring | None = None,
    *,
    quiet: bool = False,
    failed: Callable[[TrainRequest, WtalError], None] | None = None,
) -> Iterator[Run]:
    """Train, infer, localize and evaluate every run that is not finished; the same call goes on where it was stopped.

    Args:
        dataset: what they are trained on; the requests' `data` is not looked at.
        requests: the runs, in their order; with the same features and device.
        scoring: how they are scored; default: the data set's own way.
        quiet: no progress bar.
        failed: told about a run that failed, and the next one is begun; without it the error is raised.

    Yields:
        each finished run.

    Raises:
        UsageError, DataError: a folder holds another run (before anything is trained), or a training failed.
        Interrupted: a training was asked to stop, and has kept a checkpoint.
    """
    if not requests:
        return
    scoring = scoring or Scoring.of(dataset)
    with dataset.store(requests[0].features) as store:
        driver = Driver(dataset, store, device=requests[0].device, quiet=True)
        runs = [find_run(request, dataset, store) for request in requests]
        left = [
            sum(planned_steps(build_method(request, dataset, store), dataset).values())
            for request, run in zip(requests, runs, strict=True)
            if run is None or not _is_trained(run)
        ]
        with progress_bar("train", sum(left), quiet=quiet) as advance:
            for number, (request, run) in enumerate(zip(requests, runs, strict=True)):
                try:
                    run = run or create_run(request, dataset, store)
                    with listening(_nothing):  # bars that are part of this longer one
                        anew = not _is_trained(run)
                        if anew:
                            advance(0, f"{number + 1}/{len(requests)} {request.out.name}")
                            driver.corpus(run, request)
                            with listening(_Steps(advance)):
                                outcome = driver.train(run, request)
                            if outcome.interruption is not None:
                                raise outcome.interruption
                        driver.score(run, scoring, anew=anew)
                except WtalError as error:
                    if failed is None:
                        raise
                    failed(request, error)
                    continue
                yield run


class _Steps:
    """Tells a longer bar what the bar of one training counts."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance, self._done = advance, 0.0

    def __call__(self, done: float, total: float | None, description: str) -> None:
        self._advance(done - self._done)
        self._done = done


def _is_trained(run: Run) -> bool:
    return bool(run.status()["state"] == "finished") and run.checkpoint_path().is_file()


def _nothing(*_: object) -> None:
    """Hear what nobody is told."""
