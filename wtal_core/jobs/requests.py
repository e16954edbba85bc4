"""Trainings as jobs: what the app asks for, and how it is started, stopped, resumed and started anew."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from wtal_core.errors import DataError, UsageError
from wtal_core.files import read_text
from wtal_core.jobs.job import Job
from wtal_core.jobs.queue import Queue
from wtal_core.processes import liveness, read_record
from wtal_core.settings import assignments, option
from wtal_core.training.options import TrainOptions

__all__ = [
    "TrainRequest",
    "parse_seeds",
    "restart_training",
    "resume_arguments",
    "resume_training",
    "start_training",
    "stop_run",
]


@dataclass(frozen=True)
class TrainRequest(TrainOptions):
    """A training to be done, as `wtal train` is told about it (the command's own class adds how it speaks)."""

    method: str = option(meaning="acmnet | acn | cmcs | deep_metric | hamnet")
    data: Path = option(meaning="data set folder (dataset.yaml, annotations.json, features/*.h5)")
    out: Path = option(meaning="run folder to make (or to go on with, by --resume)")
    preset: str = option(
        "thumos14",
        "values of the paper and official code for a data set, e.g. thumos14, activitynet12, activitynet13",
    )
    set: tuple[str, ...] = option(
        (),
        "settings that differ from the preset, e.g. training.steps=500 sparse_weight=0 (see: wtal methods METHOD)",
    )
    features: str | None = option(None, "which of the data set's features; default: the first")
    split: str = option("train", "split to train on")
    validate: str | None = option(
        None,
        "split to validate on; keeps best.pt by average mAP. The test split may be named; that is recorded",
    )
    test: str = option("test", "split that is inferred, localized and evaluated at the end")
    no_test: bool = option(False, "only train; infer, localize and evaluate later")

    def arguments(self, *, resume: bool = False) -> tuple[str, ...]:
        """Return the words after `wtal`; what is at its default is left out."""
        words = ["train", self.method, "--data", str(self.data), "--out", str(self.out)]
        for item in sorted(fields(TrainRequest), key=lambda item: bool(item.kw_only)):  # what, then how
            value = getattr(self, item.name)
            if item.name in ("method", "data", "out", "set") or value == item.default:
                continue
            name = f"--{item.name.replace('_', '-')}"
            words += [name] if value is True else [name, str(value)]
        if resume:
            words.append("--resume")
        elif self.set:
            words += ["--set", *self.set]
        return tuple(words)

    def recorded(self) -> dict[str, Any]:
        """Return what `run.yaml` keeps below `training`: what a resumed training is told again."""
        return {name: getattr(self, name) for name in _RECORDED}


#: What a training is told and `run.yaml` says elsewhere, or need not say.
_ELSEWHERE = {"method", "data", "out", "preset", "set", "features", "seed"}
_RECORDED = tuple(item.name for item in fields(TrainRequest) if item.name not in _ELSEWHERE)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds as a person types them: "0", "0 1 2", "0-4", "3, 7".

    Raises:
        UsageError: it is something else, or there are more than 100.
    """
    seeds: list[int] = []
    for word in re.split(r"[\s,;]+", text.strip()):
        first, dash, last = word.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(word) > 20:
            raise UsageError(
                f"{text!r} are not seeds",
                expected="numbers, e.g. 0, or 0-4, or 1 2 3",
                next_step="Write numbers with spaces or commas between",
            )
        stop = int(last) if dash else int(first)
        if stop < int(first) or stop - int(first) >= 100:
            raise UsageError(
                f"{word!r} is not a range of seeds",
                expected="e.g. 0-4, at most 100",
                next_step="Begin with the smaller number, and take fewer than 100",
            )
        seeds += range(int(first), stop + 1)
    seeds = list(dict.fromkeys(seeds))
    if len(seeds) > 100:
        raise UsageError(
            "there are too many seeds",
            expected="at most 100",
            got=str(len(seeds)),
            next_step="Train some of them first",
        )
    return tuple(seeds)


def start_training(
    request: TrainRequest,
    *,
    home: str | os.PathLike[str] | None = None,
    slot: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Job:
    """Queue a new training; its log is `worker.log` in the run folder.

    Args:
        request: what to train.
        home: the workspace folder; default `$WTAL_HOME`, else the current one.
        slot: the device as it is really called; default what the request says.
        cwd: folder that relative paths in the request start from; default the current one.

    Raises:
        UsageError: the folder holds a run already, or a job that makes it is open.
    """
    out = Path(cwd or ".", request.out)
    if (out / "run.yaml").exists():
        raise UsageError("holds a run already", where=out, next_step="Choose another name, or resume that run")
    return _queue_training(request.arguments(), request.method, out, slot or request.device, home, cwd)


def resume_training(
    folder: str | os.PathLike[str],
    *,
    device: str | None = None,
    home: str | os.PathLike[str] | None = None,
    slot: str | None = None,
) -> Job:
    """Queue the rest of a training that was stopped or has crashed; it goes on from its last checkpoint.

    Raises:
        UsageError: there is no checkpoint, or a job of this run is open.
        DataError: the folder is not a run.
    """
    arguments = resume_arguments(folder, device=device)
    out = Path(folder)
    if not (out / "checkpoints" / "last.pt").is_file():
        raise UsageError("has no checkpoint to go on from", where=out, next_step="Start it again from the beginning")
    at = arguments.index("--device") + 1 if "--device" in arguments else 0
    return _queue_training(arguments, arguments[1], out, slot or (arguments[at] if at else "auto"), home)


def restart_training(
    folder: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None, slot: str | None = None
) -> Job:
    """Queue a training again that ended before the first checkpoint it could go on from, in the same folder.

    Raises:
        UsageError: it has a checkpoint (resume it), or a job of this run is open.
        DataError: the folder is not a run.
    """
    out = Path(folder)
    request = _request_of(out)
    if (out / "checkpoints" / "last.pt").is_file():
        raise UsageError("has a checkpoint", where=out, next_step="Resume it instead")
    open_job = Queue(home).of_result(out)
    if (open_job is not None and open_job.status().open) or _running(out):
        raise UsageError("is being trained", where=out, next_step="Wait for it, or stop it first")
    for name in ("checkpoints/best.pt", "metrics.jsonl", "status.json", "stop", "run.yaml"):
        (out / name).unlink(missing_ok=True)
    return _queue_training(request.arguments(), request.method, out, slot or request.device, home)


def _queue_training(
    arguments: Sequence[str],
    method: str,
    out: Path,
    slot: str,
    home: str | os.PathLike[str] | None,
    cwd: str | os.PathLike[str] | None = None,
) -> Job:
    if _running(out):
        raise UsageError("is being trained", where=out, next_step="Wait for it, or stop it first")
    title = f"train {method}: {out.resolve().name}"
    return Queue(home).submit(
        arguments, kind="train", title=title, slot=slot, result=out.resolve(), log=out / "worker.log", cwd=cwd
    )


def _running(folder: Path) -> bool:
    status = read_record(folder / "status.json")
    return status.get("state") == "running" and liveness(status) is True


def stop_run(folder: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None) -> None:
    """Ask the training in a run folder to stop after its current step, whoever started it."""
    queue = Queue(home)
    job = queue.of_result(folder)
    if job is not None and job.status().open:
        queue.stop(job)
    elif _running(Path(folder)):
        (Path(folder) / "stop").touch()


def resume_arguments(folder: str | os.PathLike[str], *, device: str | None = None) -> tuple[str, ...]:
    """Return the words after `wtal` that go on with the training in a run folder.

    Raises:
        DataError: `run.yaml` is missing, damaged, or does not name a data set.
    """
    request = _request_of(Path(folder))
    if device is not None:
        request = replace(request, device=device)
    return request.arguments(resume=True)


def _request_of(folder: Path) -> TrainRequest:
    """Return the request that made a run, from its `run.yaml`."""
    file = folder / "run.yaml"
    try:
        info = yaml.safe_load(read_text(file, "a run description"))
    except yaml.YAMLError as error:
        raise DataError(
            "is not valid YAML", where=file, next_step="Copy run.yaml from the original again, or train anew"
        ) from error
    info = info if isinstance(info, dict) else {}
    dataset, training = info.get("dataset") or {}, info.get("training") or {}
    if not isinstance(dataset, dict) or not isinstance(training, dict) or not dataset.get("folder"):
        raise DataError(
            "does not name the data set it was trained on",
            expected="dataset: {folder: ...}",
            where=file,
            next_step="Train a new run",
        )
    data = Path(dataset["folder"])
    if not data.is_dir():  # a data set that was moved together with its runs
        from wtal_core.runs.folder import Run

        data = Run.open(folder).dataset_folder or data
    options = {key: value for key, value in training.items() if key in _RECORDED and value is not None}
    return TrainRequest(
        **options,
        method=str(info.get("method")),
        data=data,
        out=folder.resolve(),
        preset=str(info.get("preset", "thumos14")),
        set=assignments(info.get("config") or {}),
        features=dataset.get("features"),
        seed=int(info.get("seed", 0)),
    )
