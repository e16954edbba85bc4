"""Options of a training that do not belong to the method: `wtal train`, the Train page and the loop read them here."""

from __future__ import annotations

from dataclasses import dataclass

from wtal_core.settings import check, option

__all__ = ["RESIDENCE", "TrainOptions"]

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
        "compile the losses with torch.compile: minutes to start; agrees to rounding (checked for acmnet on a CPU)",
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

    def __post_init__(self) -> None:
        check(self)
