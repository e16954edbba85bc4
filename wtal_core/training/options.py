"""What a training is told: `wtal train`, the Train page, jobs and the driver read it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from wtal_core.settings import check, option

__all__ = ["RESIDENCE", "TrainOptions", "TrainRequest"]

#: Where features can be kept during a training; "auto" takes the fastest that fits.
RESIDENCE = ("auto", "device", "host", "disk")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of a training that do not belong to the method."""

    seed: int = option(0, "seed of weights, batches, snippets and dropout", low=0)
    device: str = option("auto", "where to compute: auto | cpu | cuda | cuda:N | mps")
    precision: str = option(
        "float32",
        "arithmetic; anything but float32 changes numbers slightly",
        choices=("float32", "tf32", "bf16"),
    )
    compile: bool = option(
        False,
        "compile the losses with torch.compile: minutes to start; agrees with the uncompiled ones to rounding on a CPU",
    )
    residence: str = option(
        "auto", "where features are kept during training; auto takes the fastest that fits", choices=RESIDENCE
    )
    checkpoint_every: int = option(500, "a checkpoint every so many steps; 0: only at the end", unit="steps", low=0)
    log_every: int = option(10, "a line of metrics.jsonl every so many steps", unit="steps", low=1)
    validate_every: int = option(
        0,
        "average mAP every so many steps, where a split for the best checkpoint is named; 0: ten times",
        unit="steps",
        low=0,
    )
    patience: int = option(0, "stop after so many validations without a better score; 0: never", low=0)
    keep_activations: int = option(
        0,
        "store the activations of a few videos every so many steps, to see them form; 0: never",
        unit="steps",
        low=0,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainRequest(TrainOptions):
    """A training to be done (`wtal train`'s own class adds how it speaks)."""

    method: str = option(meaning="a name of `wtal methods`, or module:Class")
    data: Path = option(meaning="data set folder (dataset.yaml, annotations.json, features/*.h5)")
    out: Path = option(meaning="run folder to make, or to go on with")
    preset: str | None = option(
        None,
        "values of the paper and official code for a data set, e.g. activitynet12; default: the method's first",
    )
    set: Mapping[str, Any] = option(
        meaning="settings that differ from the preset, e.g. training.steps=500 sparse_weight=0 "
        "(see: wtal methods METHOD)",
        factory=dict,
    )
    features: str | None = option(None, "which of the data set's features; default: the first")
    split: str = option("train", "split to train on")
    validate: str | None = option(
        None,
        "split to validate on; keeps best.pt by average mAP. The test split may be named; that is recorded",
    )
    test: str = option("test", "split that is inferred, localized and evaluated at the end")
    no_test: bool = option(False, "only train; infer, localize and evaluate later")
    keep_videos: tuple[str, ...] = option(
        (), "videos that keep_activations stores; default: five of the test split, evenly spaced"
    )

    def to_request(self, **more: Any) -> dict[str, Any]:
        """Return the request of a job that does it: the command and its options; what is at its default is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(TrainRequest)}
        defaults = {item.name: item.default for item in fields(TrainRequest)} | {"set": {}}
        return {"command": "train", **{k: v for k, v in values.items() if v != defaults[k]}, **more}

    def recorded(self) -> dict[str, Any]:
        """Return what `run.yaml` keeps below `training`: what a resumed training is told again."""
        return {name: getattr(self, name) for name in RECORDED}


#: What a training is told and `run.yaml` says elsewhere, or need not say.
_ELSEWHERE = {"method", "data", "out", "preset", "set", "features", "seed"}
RECORDED = tuple(item.name for item in fields(TrainRequest) if item.name not in _ELSEWHERE)
