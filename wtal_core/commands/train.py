"""`wtal train`: a data set and a method -> a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_mean_ap
from wtal_core.errors import unknown_name
from wtal_core.methods.registry import spelling, target_of
from wtal_core.progress import stderr
from wtal_core.settings import option
from wtal_core.training.options import TrainRequest

__all__ = ["Train"]


@dataclass(frozen=True, kw_only=True)
class Train(TrainRequest):
    """Train a method, then infer, localize and evaluate its test split.

    Ctrl-C stops after the current step and keeps a checkpoint; the same command with --resume goes on from it, on a CPU
    with exactly the losses of an uninterrupted run. Files in the run folder: run.yaml, status.json, metrics.jsonl,
    checkpoints/last.pt (and best.pt with --validate), activations.h5, detections.json, evaluation.json, and with
    --keep-activations activations/step-N.h5.
    """

    method: tyro.conf.Positional[str] = option(meaning=spelling())
    resume: bool = False
    """Go on with the run in --out from its last checkpoint."""
    quiet: bool = False
    """No progress bar."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Train."""
        target_of(self.method)  # before anything is loaded
        from wtal_core.data.dataset import Dataset
        from wtal_core.devices import device_name
        from wtal_core.runs.folder import Run
        from wtal_core.training.driver import Driver, Scoring, create_run, planned_steps, reopen_run

        dataset = Dataset.open(self.data)
        for split in (self.split, *([self.validate] if self.validate else []), *([] if self.no_test else [self.test])):
            if split not in dataset.splits:
                raise unknown_name("split", split, list(dataset.splits), where=self.data)
        features = self.features or (Run.open(self.out).info.dataset.get("features") if self.resume else None)
        with dataset.store(features) as store:
            driver = Driver(dataset, store, device=self.device, quiet=self.quiet, note=_note)
            run = reopen_run(self, dataset, store) if self.resume else create_run(self, dataset, store, note=_note)
            corpus = driver.corpus(run, self)
            if not self.as_json:
                steps = sum(planned_steps(run.new_method(), dataset, self.split).values())
                stderr.print(
                    f"{run.info.method} on {dataset.name}: {len(corpus.videos)} training videos, "
                    f"{int(corpus.lengths.sum()):,} snippets of {corpus.dim} channels on {corpus.where}; "
                    f"{steps:,} steps on {device_name(driver.device)}"
                )
            del corpus
            outcome = driver.train(run, self)
            report: dict[str, Any] = {
                "run": self.out,
                "state": outcome.state,
                "steps": outcome.steps,
                "seconds": outcome.seconds,
                "stopped_early": outcome.early,
                "checkpoints": run.checkpoints(),
            }
            if outcome.state == "finished" and not self.no_test:
                driver.free()
                evaluations = driver.score(run, Scoring.of(dataset, self.test), anew=True)
                report["evaluations"] = [e.to_dict() for e in evaluations.values()]
        self._print(report)
        return 0 if outcome.interruption is None else outcome.interruption.exit_code

    def _print(self, report: dict[str, Any]) -> None:
        if self.as_json:
            print_json(report)
            return
        print(f"{report['state']} after {report['steps']:,} steps ({report['seconds']:.1f} s this sitting): {self.out}")
        if report["state"] == "stopped":
            print("Go on with the same command and --resume.")
        print_mean_ap(report.get("evaluations", []))


def _note(text: str) -> None:
    stderr.print(text, style="yellow", markup=False)
