"""`wtal train`: a data set and a method -> a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.progress import stderr

if TYPE_CHECKING:
    from wtal_core.data.dataset import Dataset
    from wtal_core.data.features import FeatureStore
    from wtal_core.methods import Method
    from wtal_core.runs.folder import Run
    from wtal_core.training.loop import TrainOptions, Validation

__all__ = ["Train"]

#: Arguments that a resumed training is given again; they are kept in run.yaml.
_RESUMED_WITH = (
    "device", "precision", "compile", "residence", "split", "validate", "test", "no_test",
    "checkpoint_every", "log_every", "validate_every", "patience",
)  # fmt: skip


@dataclass(frozen=True)
class Train:
    """Train a method, then infer, localize and evaluate its test split.

    Ctrl-C stops after the current step and keeps a checkpoint; the same command with --resume goes on from it, on a CPU
    with exactly the losses of an uninterrupted run. Files in the run folder: run.yaml, status.json, metrics.jsonl,
    checkpoints/last.pt (and best.pt with --validate), activations.h5, detections.json, evaluation.json.
    """

    method: tyro.conf.Positional[str]
    """acmnet | acn | cmcs | deep_metric | hamnet."""
    data: Path
    """Data set folder (dataset.yaml, annotations.json, features/*.h5)."""
    out: Path
    """Run folder to make (or to go on with, by --resume)."""
    preset: str = "thumos14"
    """Values of the paper and official code for a data set, e.g. thumos14, activitynet12, activitynet13."""
    set: tuple[str, ...] = ()
    """Settings that differ from the preset, e.g. training.steps=500 sparse_weight=0 (see: wtal methods METHOD)."""
    features: str | None = None
    """Which of the data set's features. Default: the first."""
    split: str = "train"
    """Split to train on."""
    validate: str | None = None
    """Split to validate on; keeps best.pt by average mAP. The test split may be named; that is recorded."""
    test: str = "test"
    """Split that is inferred, localized and evaluated at the end."""
    no_test: bool = False
    """Only train; infer, localize and evaluate later."""
    seed: int = 0
    """Seed of weights, batches, snippets and dropout."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Arithmetic; anything but float32 changes numbers slightly."""
    compile: bool = False
    """Compile the losses with torch.compile: minutes to start; agrees to rounding (checked for acmnet on a CPU)."""
    residence: Literal["auto", "device", "host", "disk"] = "auto"
    """Where features are kept during training; auto takes the fastest that fits."""
    checkpoint_every: int = 500
    """Steps between checkpoints; 0: only at the end."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    validate_every: int = 0
    """Steps between validations. Default: a tenth of the steps when --validate is given."""
    patience: int = 0
    """Stop after so many validations without a better score; 0: never."""
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
        from wtal_core.runs.pipeline import evaluate_run, feature_view, infer, localize
        from wtal_core.settings import parse_assignments
        from wtal_core.training.corpus import Corpus
        from wtal_core.training.loop import train

        changes = parse_assignments(self.set)
        device = choose_device(self.device)
        dataset = Dataset.open(self.data)
        for split in (self.split, *([self.validate] if self.validate else []), *([] if self.no_test else [self.test])):
            if split not in dataset.splits:
                raise unknown_name("split", split, list(dataset.splits), where=self.data)
        with dataset.features(self.features) as store:
            run = self._reopen(dataset, store, changes) if self.resume else self._create(dataset, store, changes)
            stages = run.new_method().stages()
            options = self._options(sum(stage.recipe.steps for stage in stages), run)
            corpus = Corpus.load(
                feature_view(run.config(), store, phases=True),
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
        return 0

    def _create(self, dataset: Dataset, store: FeatureStore, changes: Mapping[str, Any]) -> Run:
        """Resolve the config and make the run folder."""
        from wtal_core import settings
        from wtal_core.methods import create_method
        from wtal_core.runs.folder import Run, RunInfo

        method = create_method(
            self.method, classes=dataset.classes, feature_dim=store.dim, preset=self.preset, **dict(changes)
        )
        info = RunInfo(
            method=self.method,
            preset=self.preset,
            config=settings.to_dict(method.config),
            classes=dataset.classes,
            feature_dim=store.dim,
            provenance=store.provenance(store.videos[0]),
            dataset={
                "name": dataset.name,
                "folder": str(self.data.resolve()),
                "features": dataset.feature_file(self.features).name,
                "train": list(dataset.subsets(self.split)),
                "test": list(dataset.subsets(self.test)) if self.test in dataset.splits else [],
            },
            seed=self.seed,
            training={
                **{name: getattr(self, name) for name in _RESUMED_WITH},
                "selected_on": list(dataset.subsets(self.validate)) if self.validate else [],
            },
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

    def _options(self, steps: int, run: Run) -> TrainOptions:
        from wtal_core.training.loop import TrainOptions

        return TrainOptions(
            seed=run.info.seed,
            device=self.device,
            precision=self.precision,
            compile=self.compile,
            residence=self.residence,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
            validate_every=self.validate_every or (max(steps // 10, 1) if self.validate else 0),
            patience=self.patience,
        )

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
        for evaluation in report.get("evaluations", []):
            levels, values = zip(*evaluation["mean_ap"].items(), strict=True)
            print_table(
                ["mAP % at tIoU", *levels, "average"],
                [(evaluation["protocol"], *(f"{100 * v:.1f}" for v in values), f"{100 * evaluation['average']:.1f}")],
            )
