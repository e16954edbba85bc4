"""The training loop: stages, steps, checkpoints, resume, metrics.

A run that was interrupted and resumed does on a CPU exactly what an uninterrupted one does: weights and their average,
optimiser, every random generator and the batch sampler are in the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wtal_core.devices import device_name, generator_state, memory_bytes, reproducible, set_generator_state
from wtal_core.errors import DataError, Interrupted, UsageError, and_more
from wtal_core.methods import Method, Progress, Sampler, Stage, arithmetic
from wtal_core.processes import SILENT_SECONDS, liveness
from wtal_core.progress import progress_bar
from wtal_core.records import Activations
from wtal_core.runs.folder import Run
from wtal_core.training.corpus import Corpus
from wtal_core.training.options import TrainOptions

__all__ = ["Outcome", "Snapshot", "Validation", "train"]

#: Computes metrics of the method as it is; "score" (higher is better) chooses the best checkpoint.
Validation = Callable[[Method], Mapping[str, float]]

#: Computes what the method as it is says of a few videos, to be kept; `TrainOptions.keep_activations` says how often.
Snapshot = Callable[[Method], Mapping[str, Activations]]


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        state: "finished" or "stopped" (a later resume goes on).
        steps: optimiser steps done in all stages, earlier sittings included.
        seconds: wall time of this sitting.
        early: whether patience ended it.
        signal: the signal that stopped it; None for none, and where the file `stop` did.
    """

    state: str
    steps: int
    seconds: float
    early: bool = False
    signal: int | None = None

    @property
    def interruption(self) -> Interrupted | None:
        """What stopped it, to be raised or to leave with; None where it finished. The file `stop` counts as Ctrl-C."""
        return Interrupted(self.signal or signal.SIGINT) if self.state == "stopped" else None


def train(
    run: Run,
    corpus: Corpus,
    options: TrainOptions,
    *,
    validation: Validation | None = None,
    snapshot: Snapshot | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Train the run's method and keep checkpoints, metrics and status in the run folder.

    Stops cleanly after the current step on SIGINT, SIGTERM or when a file `stop` appears in the folder; a checkpoint is
    written and `resume=True` goes on from it.

    Raises:
        DataError: the loss is not finite, or the disk is full; the last checkpoint is kept. On `resume`: there is no
            checkpoint, or the training videos are others than before.
        UsageError: another process is training the run; `resume` from weights alone.
    """
    _refuse_a_second_process(run)
    trainer = _Trainer(run, corpus, options, validation, snapshot, quiet)
    if resume:
        trainer.restore()
    with _graceful_stop() as asked, arithmetic(options.precision), reproducible(corpus.device):
        try:
            outcome = trainer.run_stages(lambda: bool(asked) or (run.folder / "stop").exists())
            return replace(outcome, signal=asked[0]) if outcome.state == "stopped" and asked else outcome
        except BaseException as error:
            with contextlib.suppress(OSError, DataError):  # a full disk has no room for this either
                run.set_status(
                    "failed", step=trainer.step, stage=trainer.stage_index, message=f"{type(error).__name__}: {error}"
                )
            raise


def _refuse_a_second_process(run: Run) -> None:
    """Raise if another process is training the run, here or on another machine: both would write the same files."""
    status = run.status()
    alive = liveness(status)
    if status["state"] != "running" or alive is False or (alive and status.get("pid") == os.getpid()):
        return
    problem, step = f"is being trained by process {status.get('pid')}", "Wait for it, or stop it first"
    if alive is None:
        problem += f" of {status.get('host')}"
        step += f" (if that machine is off, wait until it has been silent for {SILENT_SECONDS / 60:.0f} minutes)"
    raise UsageError(problem, where=run.folder, next_step=step)


@contextlib.contextmanager
def _graceful_stop() -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into a request to stop, named in the list; a second signal stops at once."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise Interrupted(number)
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Trainer:
    """State of one training between steps."""

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        options: TrainOptions,
        validation: Validation | None,
        snapshot: Snapshot | None,
        quiet: bool,
    ) -> None:
        self.run, self.corpus, self.options, self.quiet = run, corpus, options, quiet
        self.validation, self.snapshot = validation, snapshot
        self.device = corpus.device
        torch.manual_seed(options.seed)
        self.method = run.new_method().to(self.device)
        self.stages: tuple[Stage, ...] = self.method.stages()
        self.stage_index, self.step = 0, 0
        self.best: dict[str, Any] = {}
        self.waited = 0
        self.draws = np.random.default_rng([options.seed, 1])
        #: Steps that a pass over the videos takes, and steps of each stage.
        self.passes = [self._sampler(index).steps_per_pass() for index in range(len(self.stages))]
        self.steps = [s.recipe.steps_in(n) for s, n in zip(self.stages, self.passes, strict=True)]
        self._begin_stage(fresh=True)
        self.losses = _compiled(self.method.losses) if options.compile else self.method.losses

    # -- stages -----------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        return self.stages[self.stage_index]

    @property
    def steps_before(self) -> int:
        """Steps of the stages that are done."""
        return sum(self.steps[: self.stage_index])

    @property
    def steps_done(self) -> int:
        return self.steps_before + self.step

    @property
    def steps_in_all(self) -> int:
        return sum(self.steps)

    @property
    def steps_in_stage(self) -> int:
        return self.steps[self.stage_index]

    @property
    def progress(self) -> Progress:
        """How far the current stage is."""
        a_pass, steps = self.passes[self.stage_index], self.steps_in_stage
        return Progress(self.step, steps, self.step // a_pass, -(-steps // a_pass))

    def _sampler(self, index: int) -> Sampler:
        """Return the sampler of a stage at its beginning."""
        rng = np.random.default_rng([self.options.seed, 2, index])
        return self.method.batch_sampler(self.stages[index].recipe, self.corpus.labels, rng)

    def _prepare(self) -> None:
        """Let the method learn from the training videos what its losses need."""
        with self._evaluated(), torch.no_grad():
            self.method.eval()
            whole = (replace(video, progress=self.progress) for video in self.corpus.whole_videos())
            self.method.prepare(self.stage.name, whole)

    def _begin_stage(self, *, fresh: bool) -> None:
        """Set up parameters, optimiser, averaged weights and sampler of the current stage."""
        recipe = self.stage.recipe
        if self.average is not None:  # the average is what a stage leaves to the next one
            self._set_weights(self.average)
            self.average = None
        if fresh:
            self._prepare()
        trained = []
        for name, parameter in self.method.named_parameters():
            parameter.requires_grad_(not self.stage.parameters or name.startswith(self.stage.parameters))
            if parameter.requires_grad:
                trained.append(parameter)
        self.optimizer = self.method.optimizer(recipe, trained)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.average = self._weights() if recipe.ema else None
        self.sampler = self._sampler(self.stage_index)

    # -- averaged weights -------------------------------------------------------------------------------------------

    average: dict[str, Tensor] | None = None

    def _weights(self) -> dict[str, Tensor]:
        """Return a copy of the parameters by all their names."""
        return {n: p.detach().clone() for n, p in self.method.named_parameters(remove_duplicate=False)}

    @torch.no_grad()
    def _set_weights(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self.method.named_parameters(remove_duplicate=False):
            parameter.copy_(weights[name])

    @contextlib.contextmanager
    def _evaluated(self) -> Iterator[None]:
        """Let the method have the weights that are evaluated: their average, where the recipe asks for one."""
        if self.average is None:
            yield
            return
        raw = self._weights()
        self._set_weights(self.average)
        try:
            yield
        finally:
            self._set_weights(raw)

    # -- steps ------------------------------------------------------------------------------------------------------

    def run_stages(self, stop: Callable[[], bool]) -> Outcome:
        """Do every step that is left."""
        began = time.perf_counter()
        self._status("running", None)
        with progress_bar(self.stage.name, self.steps_in_all, quiet=self.quiet) as advance:
            advance(self.steps_done)
            if self.steps_done == 0:
                self._keep_activations()
            while True:
                early = self._is_out_of_patience()  # a run that had ended so before it is resumed
                while not early and self.step < self.steps_in_stage:
                    if stop():
                        self.save("last")
                        self._status("stopped", None)
                        return Outcome("stopped", self.steps_done, time.perf_counter() - began)
                    self._one_step(began)
                    advance(1, self.stage.name)
                    self._after_step()
                    early = self._is_out_of_patience()
                if self.stage_index + 1 == len(self.stages):
                    break
                self.stage_index, self.step, self.waited = self.stage_index + 1, 0, 0
                self._begin_stage(fresh=True)
        if early:
            self._keep_activations()
        self.save("last")
        self._status("finished", 0.0)
        return Outcome("finished", self.steps_done, time.perf_counter() - began, early)

    def _one_step(self, began: float) -> None:
        recipe, progress = self.stage.recipe, self.progress
        refresh = recipe.refresh_every * self.passes[self.stage_index]
        if refresh and self.step and self.step % refresh == 0:  # checkpoints of this step were written before it
            self._prepare()
        self.method.train()
        batch = self.corpus.batch(self.sampler.next(), self.method, recipe, self.draws)
        batch = replace(batch, progress=progress)
        drops = sum(self.step >= at * progress.steps for at in recipe.lr_drop_at)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * recipe.lr_drop_factor**drops
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
            losses = self.losses(batch, stage=self.stage.name)
        torch.autograd.backward(losses["total"])
        if recipe.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(
                [p for g in self.optimizer.param_groups for p in g["params"]], recipe.max_grad_norm
            )
        self.optimizer.step()
        if self.average is not None:
            for name, weight in self.method.named_parameters(remove_duplicate=False):
                self.average[name].lerp_(weight.detach(), 1 - recipe.ema)
        self.step += 1
        if self.step % self.options.log_every == 0 or self.step in (1, progress.steps):
            self._log(losses, began)

    def _log(self, losses: Mapping[str, Tensor], began: float) -> None:
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(values["total"]):
            raise DataError(
                f"the loss is {values['total']} at step {self.step} of stage {self.stage.name!r}",
                expected="a finite number",
                got=", ".join(f"{n} {v:.4g}" for n, v in values.items()),
                where=self.run.folder,
                next_step="Lower training.lr; the last checkpoint is kept",
            )
        done = self.steps_done - self._resumed_at
        elapsed = time.perf_counter() - began
        eta = elapsed / max(done, 1) * (self.steps_in_all - self.steps_before - self.step)
        self.run.log(
            kind="losses",
            stage=self.stage.name,
            stage_index=self.stage_index,
            step=self.step,
            losses=values,
            lr=self.optimizer.param_groups[0]["lr"],
            seconds=elapsed,
            eta_seconds=eta,
            gpu_memory_bytes=memory_bytes(self.device),
        )
        self._status("running", eta)

    def _after_step(self) -> None:
        """Validate and keep checkpoints where it is time."""
        options, last = self.options, self.step == self.steps_in_stage
        validate_every = options.validate_every or max(self.steps_in_all // 10, 1)
        if self.validation and (self.step % validate_every == 0 or last):
            with self._evaluated():
                metrics = dict(self.validation(self.method))
            self.run.log(
                kind="validation", stage=self.stage.name, stage_index=self.stage_index, step=self.step, metrics=metrics
            )
            if not self.best or metrics["score"] > self.best["score"]:
                self.best = {"score": float(metrics["score"]), "step": self.step, "stage": self.stage.name}
                self.waited = 0
                self.save("best")
            else:
                self.waited += 1
        if last or (options.keep_activations and self.steps_done % options.keep_activations == 0):
            self._keep_activations()
        if options.checkpoint_every and self.step % options.checkpoint_every == 0:
            self.save("last")

    def _keep_activations(self) -> None:
        if self.snapshot is not None:
            self.run.keep_activations(self.steps_done, self.snapshot(self.method))

    def _is_out_of_patience(self) -> bool:
        """Whether so many validations were without a better score that the stage ends here."""
        return bool(self.options.patience) and self.waited >= self.options.patience

    def _status(self, state: str, eta: float | None) -> None:
        self.run.set_status(
            state,
            step=self.steps_done,
            steps=self.steps_in_all,
            stage=self.stage.name,
            eta_seconds=eta,
            device=device_name(self.device),
            best=self.best or None,
        )

    # -- checkpoints -------------------------------------------------------------------------------------------

    _resumed_at = 0

    def save(self, which: str) -> None:
        """Write a checkpoint that a resume continues from.

        Raises:
            DataError: a weight is not finite (losses are looked at every few steps only), or the disk is full; the
                checkpoint before it stays.
        """
        raw = {} if self.average is None else self._weights()
        weights = {**self.method.state_dict(), **(self.average or {})}
        tensors = [(name, v) for part in (weights, raw) for name, v in part.items() if isinstance(v, Tensor)]
        broken = [name for name, value in tensors if not bool(torch.isfinite(value).all())]
        if broken:
            raise DataError(
                f"the weights are not finite after step {self.step} of stage {self.stage.name!r}",
                expected="finite numbers",
                got=f"NaN or infinity in {broken[0]}{and_more(len(broken))}",
                where=self.run.folder,
                next_step="Lower training.lr; the last checkpoint is kept",
            )
        plain = {
            "stage_index": self.stage_index,
            "step": self.step,
            "sampler": self.sampler.state(),
            "draws": self.draws.bit_generator.state,
            "best": self.best,
            "waited": self.waited,
            "corpus": self.corpus.fingerprint,
        }
        content: dict[str, Any] = {
            "model": weights,
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "state": json.dumps(plain),  # as text: generator states hold integers of 128 bits
        }
        if raw:
            content["raw"] = raw
        if (state := generator_state(self.device)) is not None:
            content[f"{self.device.type}_rng"] = state
        self.run.save_checkpoint(which, content)

    def restore(self) -> None:
        """Go on from the last checkpoint of the run."""
        content = self.run.load_checkpoint("last")
        if "optimizer" not in content:
            raise UsageError(
                "cannot be resumed: its checkpoint holds weights only",
                where=self.run.folder,
                next_step="Train a new run",
            )
        plain = json.loads(content["state"])
        if plain.get("corpus", self.corpus.fingerprint) != self.corpus.fingerprint:
            raise DataError(
                "the training videos, their labels or their lengths have changed since this run was begun",
                where=self.run.folder,
                next_step="Restore the data set, or train a new run",
            )
        try:
            self._take_over(content, plain)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise DataError(
                f"does not fit run.yaml: {reason[:200]}",
                where=self.run.checkpoint_path("last"),
                next_step="Give run.yaml back the settings the run was begun with, or train a new run",
            ) from error
        torch.set_rng_state(content["torch_rng"])
        if f"{self.device.type}_rng" in content:
            set_generator_state(self.device, content[f"{self.device.type}_rng"])
        self.run.forget_after(self.stage_index, self.step, self.steps_done)
        (self.run.folder / "stop").unlink(missing_ok=True)
        for unfinished in (self.run.folder / "checkpoints").glob(".*.pt"):  # of a process that was killed in the act
            unfinished.unlink(missing_ok=True)
        self._resumed_at = self.steps_done

    def _take_over(self, content: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
        """Be where the checkpoint was written; raises what PyTorch and NumPy raise for one of another config."""
        self.stage_index, self.step = int(plain["stage_index"]), int(plain["step"])
        self.best, self.waited = plain["best"], int(plain["waited"])
        self._begin_stage(fresh=False)
        self.method.load_state_dict(content["model"])
        if self.average is not None:
            self.average = self._weights()
            self._set_weights(content["raw"])
        if content["optimizer"]["param_groups"][0].keys() != self.optimizer.state_dict()["param_groups"][0].keys():
            raise ValueError("another kind of optimizer")
        self.optimizer.load_state_dict(content["optimizer"])
        self.sampler.restore(plain["sampler"])
        self.draws.bit_generator.state = plain["draws"]


def _compiled(losses: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Return the losses compiled with `torch.compile`.

    Raises:
        UsageError: when called, if they cannot be compiled here (no C++ compiler, for example).
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # that it compiles in parts is no news to a user
    compiled = torch.compile(losses)

    def call(*arguments: Any, **named: Any) -> dict[str, Tensor]:
        try:
            found: dict[str, Tensor] = compiled(*arguments, **named)
        except (TorchDynamoException, InductorError) as error:
            reason = " ".join(str(error).split("Set TORCHDYNAMO_VERBOSE")[0].split())
            raise UsageError(
                "torch.compile does not work here",
                expected="a C++ compiler on the PATH (CPU), or Triton (GPU)",
                got=reason[:300],
                next_step="Train without compiling",
                arguments=("compile",),
            ) from error
        return found

    return call
