"""`wtal train`: a data set and a method -> a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_mean_ap
from wtal_core.errors import DataError, UsageError, and_more, counted, unknown_name
from wtal_core.jobs.requests import TrainRequest
from wtal_core.progress import stderr

if TYPE_CHECKING:
    from wtal_core.data.dataset import Dataset
    from wtal_core.data.features import FeatureStore
    from wtal_core.methods import Method
    from wtal_core.runs.folder import Run
    from wtal_core.training.loop import Validation

__all__ = ["Train"]


@dataclass(frozen=True, kw_only=True)
class Train(TrainRequest):
    """Train a method, then infer, localize and evaluate its test split.

    Ctrl-C stops after the current step and keeps a checkpoint; the same command with --resume goes on from it, on a CPU
    with exactly the losses of an uninterrupted run. Files in the run folder: run.yaml, status.json, metrics.jsonl,
    checkpoints/last.pt (and best.pt with --validate), activations.h5, detections.json, evaluation.json.
    """

    method: tyro.conf.Positional[str]
    """acmnet | acn | cmcs | deep_metric | hamnet."""
    resume: bool = False
    """Go on with the run in --out from its last checkpoint."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Train."""
        from wtal_core.data.dataset import Dataset
        from wtal_core.devices import choose_device, device_name
        from wtal_core.runs.folder import Run
        from wtal_core.runs.pipeline import evaluate_run, infer, localize
        from wtal_core.settings import parse_assignments
        from wtal_core.training.corpus import Corpus
        from wtal_core.training.loop import train

        changes = parse_assignments(self.set)
        device = choose_device(self.device)
        dataset = Dataset.open(self.data)
        for split in (self.split, *([self.validate] if self.validate else []), *([] if self.no_test else [self.test])):
            if split not in dataset.splits:
                raise unknown_name("split", split, list(dataset.splits), where=self.data)
        features = self.features or (Run.open(self.out).info.dataset.get("features") if self.resume else None)
        with dataset.features(features) as store:
            run = self._reopen(dataset, store, changes) if self.resume else self._create(dataset, store, changes)
            stages = run.new_method().stages()
            corpus = Corpus.load(
                run.method_class.read_features(run.config(), store, training=True),
                dataset.annotations,
                dataset.videos(self.split),
                device=device,
                residence=self.residence,
                hard_negatives=any(stage.recipe.hard_negatives for stage in stages),
                quiet=self.quiet,
            )
            if corpus.left_out:
                stderr.print(
                    f"note: {len(corpus.left_out)} of {len(dataset.videos(self.split))} training videos have no "
                    f"features or no label and are left out, e.g. {corpus.left_out[0]}",
                    style="yellow",
                )
            for recipe in (stage.recipe for stage in stages):
                if recipe.batches == "class_groups" and (rare := corpus.rare_classes(recipe.videos_per_class)):
                    stderr.print(
                        f"note: {counted(len(rare), 'class', 'classes')} with fewer than {recipe.videos_per_class} "
                        "training videos (training.videos_per_class) get no group in a batch and are hardly learnt: "
                        f"{dataset.classes[rare[0]]}{and_more(len(rare))}",
                        style="yellow",
                    )
            if not self.as_json:
                stderr.print(
                    f"{run.info.method} on {dataset.name}: {len(corpus.videos)} training videos, "
                    f"{int(corpus.lengths.sum()):,} snippets of {corpus.dim} channels on {corpus.where}; "
                    f"{sum(s.recipe.steps for s in stages):,} steps on {device_name(device)}"
                )
            validation = self._validation(dataset, store) if self.validate else None
            begun = self.resume and run.checkpoint_path("last").exists()
            if self.resume and not begun:  # it ended before its first checkpoint: the same steps once more
                run.forget_metrics_after(0, 0)
            options = replace(self, seed=run.info.seed)
            outcome = train(run, corpus, options, validation=validation, resume=begun, quiet=self.quiet)
            del corpus
            report: dict[str, Any] = {
                "run": self.out,
                "state": outcome.state,
                "steps": outcome.steps,
                "seconds": outcome.seconds,
                "stopped_early": outcome.early,
                "checkpoints": run.checkpoints(),
            }
            if outcome.state == "finished" and not self.no_test:
                videos = dataset.videos(self.test)
                infer(run, store, videos, device=device, quiet=self.quiet)
                localize(run)
                evaluations = evaluate_run(
                    run,
                    dataset.annotations,
                    protocols=(dataset.evaluation.protocol,),
                    tiou=dataset.evaluation.tiou,
                    subset=dataset.subsets(self.test),
                )
                report["evaluations"] = [e.to_dict() for e in evaluations.values()]
        self._print(report)
        return 0 if outcome.interruption is None else outcome.interruption.exit_code

    def _create(self, dataset: Dataset, store: FeatureStore, changes: Mapping[str, Any]) -> Run:
        """Resolve the config and make the run folder."""
        from wtal_core.methods import create_method
        from wtal_core.methods.features import splits_streams
        from wtal_core.runs.folder import Run, RunInfo

        method = create_method(
            self.method, classes=dataset.classes, feature_dim=store.dim, preset=self.preset, **dict(changes)
        )
        provenance = store.provenance(store.videos[0])
        method.check_features(method.config, store, where=dataset.feature_file(self.features).name)
        if splits_streams(method.config) and not provenance.modalities:
            stderr.print(
                "warning: the features do not say which channels are RGB and flow: the first half is taken for RGB. "
                "wtal data convert --modalities states it.",
                style="yellow",
            )
        selected_on = list(dataset.subsets(self.validate)) if self.validate else []
        info = RunInfo.of(
            method,
            dataset,
            store,
            preset=self.preset,
            features=self.features,
            train=self.split,
            test=self.test,
            seed=self.seed,
            training={**self.recorded(), "selected_on": selected_on},
        )
        return Run.create(self.out, info)

    def _reopen(self, dataset: Dataset, store: FeatureStore, changes: Mapping[str, Any]) -> Run:
        """Open the run to go on with; refuse what would make it another one than it was."""
        from wtal_core import settings
        from wtal_core.runs.folder import Run
        from wtal_core.runs.pipeline import check_provenance

        run = Run.open(self.out)
        info, config = run.info, run.config()
        defaults = {"preset": "thumos14", "seed": 0}  # what is not said is not meant to change anything
        for name in ("method", "preset", "seed"):
            had, given = getattr(info, name), getattr(self, name)
            if given not in (had, defaults.get(name, had)):
                raise UsageError(
                    f"the {name} of a run that is resumed cannot change",
                    expected=str(had),
                    got=str(given),
                    where=self.out,
                    next_step="Train a new run",
                )
        if changes and settings.override(config, changes) != config:
            raise UsageError("--set cannot change a run that is resumed", where=self.out, next_step="Train a new run")
        if (dataset.classes, store.dim) != (info.classes, info.feature_dim):
            raise DataError(
                "the data set has other classes or channels than this run was begun with",
                expected=f"{len(info.classes)} classes, {info.feature_dim} channels",
                got=f"{len(dataset.classes)} classes, {store.dim} channels",
                where=self.out,
                next_step="Restore the data set, or train a new run",
            )
        given_provenance = store.provenance(store.videos[0])
        check_provenance(info.provenance, given_provenance, where=self.out, otherwise="train a new run")
        return run

    def _validation(self, dataset: Dataset, store: FeatureStore) -> Validation:
        """Return what computes average mAP on the validation split."""
        from wtal_core.data.features.store import videos_with_features
        from wtal_core.evaluation import GroundTruthIndex, evaluate
        from wtal_core.runs.pipeline import infer_videos

        if self.validate is None:
            raise UsageError(
                "no split to validate on was named",
                expected="--validate SPLIT",
                next_step="Add --validate, or leave out what needs it",
            )
        videos = videos_with_features(store, dataset.videos(self.validate))
        shared = set(dataset.subsets(self.validate)) & set(
            dataset.subsets(self.test) if self.test in dataset.splits else ()
        )
        if shared:
            stderr.print(
                f"warning: best.pt is selected on the test split ({', '.join(sorted(shared))}): say so.",
                style="yellow",
            )
        truth = GroundTruthIndex(dataset.annotations, None, videos)

        def validation(method: Method) -> dict[str, float]:
            found = method.localize_many(infer_videos(method, store, videos), method.config.localization)
            scored = evaluate(
                found, truth, protocol=dataset.evaluation.protocol, tiou=dataset.evaluation.tiou, matches=False
            )
            return {"score": scored.average, **{f"mAP@{t:g}": v for t, v in scored.mean_ap.items()}}

        return validation

    def _print(self, report: dict[str, Any]) -> None:
        if self.as_json:
            print_json(report)
            return
        print(f"{report['state']} after {report['steps']:,} steps ({report['seconds']:.1f} s this sitting): {self.out}")
        if report["state"] == "stopped":
            print("Go on with the same command and --resume.")
        print_mean_ap(report.get("evaluations", []))
