"""`wtal infer` and `wtal localize`: from a trained run to activations, and from activations to detections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_mean_ap
from wtal_core.errors import DataError, UsageError, WtalError, unknown_name

if TYPE_CHECKING:
    from wtal_core.runs.folder import Run

__all__ = ["Infer", "Localize"]


@dataclass(frozen=True)
class Infer:
    """Compute the activations of a split (or of some videos) with a run's checkpoint and store them in the run."""

    folder: tyro.conf.Positional[Path]
    """Run folder."""
    data: Path | None = None
    """Data set folder. Default: the one it was trained on."""
    features: str | None = None
    """Which of the data set's features. Default: those it was trained on (with --data: if it has them, else the
    first)."""
    split: str = "test"
    """Split to infer."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    checkpoint: str = "last"
    """last | best."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    any_features: bool = False
    """Accept features of another extractor than the model was trained on."""
    keep: bool = False
    """Compute only what is missing: of an interrupted inference, else of what is stored."""
    localize: bool = True
    """Write no detections.json (it is made with the run's own settings otherwise)."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Infer."""
        from wtal_core.data.dataset import Dataset
        from wtal_core.devices import choose_device, device_name
        from wtal_core.runs.folder import Run
        from wtal_core.runs.pipeline import infer, localize

        device = choose_device(self.device)
        run = Run.open(self.folder)
        home = self.data or run.dataset_folder
        if home is None or not home.is_dir():
            raise UsageError(
                "the data set is not known here",
                expected="--data FOLDER",
                got=str(home or "nothing"),
                where=self.folder,
                next_step="Add --data",
            )
        dataset = Dataset.open(home)
        if self.split not in dataset.splits:
            raise unknown_name("split", self.split, list(dataset.splits), where=home)
        trained = run.info.dataset.get("features")
        name = self.features or (trained if self.data is None or trained in dataset.feature_names else None)
        unknown = [v for v in self.videos if v not in dataset.annotations.videos]
        if unknown:
            raise unknown_name("video", unknown[0], dataset.annotations.videos, where=home)
        with dataset.store(name) as store:
            done = infer(
                run,
                store,
                self.videos or dataset.videos(self.split),
                checkpoint=self.checkpoint,
                device=device,
                any_features=self.any_features,
                keep=self.keep,
                quiet=self.quiet,
            )
        found = localize(run) if self.localize else None
        scores: dict[str, Any] = {}
        if found is not None:
            scores = _rescore(run, dataset, subset=dataset.subsets(self.split), videos=self.videos or None)
        report = {
            "run": self.folder,
            "checkpoint": self.checkpoint,
            "device": device_name(device),
            "computed": done.computed,
            "kept": done.skipped,
            "without_features": done.missing,
            "seconds": done.seconds,
            "detections": None if found is None else len(found),
            **scores,
        }
        if self.as_json:
            print_json(report)
        else:
            print(
                f"{done.computed} videos inferred in {done.seconds:.1f} s on {device_name(device)}"
                + (f", {done.skipped} kept" if done.skipped else "")
                + (f", {len(done.missing)} have no features" if done.missing else "")
                + ("" if found is None else f"; {len(found):,} detections")
            )
            _print_scores(scores)
        return 0


@dataclass(frozen=True)
class Localize:
    """Turn a run's stored activations into detections; needs neither the model nor the data set.

    Where the data set is here, what is written into the run is scored again as the run was before.
    """

    folder: tyro.conf.Positional[Path]
    """Run folder with activations.h5."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Localization settings that differ from the run's own, e.g. class_threshold=0.1 (see: wtal methods
    METHOD)."""
    out: Path | None = None
    """Write detections there (.json, .txt, .csv). Default: detections.json in the run."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Localize."""
        from wtal_core.data import write_detections
        from wtal_core.runs.folder import Run
        from wtal_core.runs.pipeline import localize

        run = Run.open(self.folder)
        if self.out is not None and self.out.resolve() == run.folder.resolve():
            raise DataError(
                "is the run folder",
                expected="a file to write",
                where=self.out,
                next_step="Name a file inside or outside of it, or leave --out out",
            )
        found = localize(run, self.set, store=self.out is None)
        target = self.out or run.detections_path
        if self.out is not None:
            write_detections(found, self.out)
        videos = len(found.video_codes[1])
        scores = _rescore(run) if self.out is None else {}
        if self.as_json:
            print_json({"run": self.folder, "detections": len(found), "videos": videos, "file": target, **scores})
        else:
            print(f"{len(found):,} detections in {videos} videos: {target}")
            _print_scores(scores)
        return 0


def _rescore(run: Run, *args: Any, **chosen: Any) -> dict[str, Any]:
    """Return the scores of the run's new detections as plain values, or why there are none."""
    from wtal_core.runs.pipeline import rescore

    try:
        evaluations = rescore(run, *args, **chosen)
    except WtalError as error:  # the detections are written and right; only their scores cannot be had
        return {"not_scored": str(error)}
    if not evaluations:
        return {"not_scored": "the data set of this run is not here: wtal evaluate RUN --annotations PATH."}
    return {"evaluations": [evaluation.to_dict() for evaluation in evaluations.values()]}


def _print_scores(scores: dict[str, Any]) -> None:
    print_mean_ap(scores.get("evaluations", []))
    if "not_scored" in scores:
        print(f"note: not scored: {scores['not_scored']}")
