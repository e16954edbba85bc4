"""What the files of a run folder may say, checked by type where they are read.

`run.yaml` and `evaluation.json` are refused where a value is of the wrong type; in `status.json` and `metrics.jsonl`,
which are written all the time, such a value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wtal_core import settings
from wtal_core.documents import parse_json
from wtal_core.errors import DataError, unknown_name
from wtal_core.files import sized

__all__ = [
    "RUN_STEP",
    "checked_evaluation",
    "checked_info",
    "metric_values",
    "refuse_large_metrics",
    "status_values",
]

#: What to do about a damaged `run.yaml`.
RUN_STEP = "Copy run.yaml from the original again, or train anew"
_EVALUATION_STEP = "Evaluate again: wtal evaluate RUN"
_MOST_CHANNELS = 2**20
_MOST_METRIC_BYTES = 2**28

_NAMES = list[str] | tuple[str, ...]

#: A name that looks like a number or a truth value is still a name.
_INFO: dict[str, Any] = {
    "method": str,
    "preset": str,
    "config": Mapping[str, Any],
    "classes": tuple[str | int | float | bool, ...],
    "feature_dim": int,
    "provenance": Mapping[str, Any],
    "dataset": Mapping[str, Any],
    "seed": int,
    "training": Mapping[str, Any],
    "versions": Mapping[str, str | int | float],
    "created": str,
    "notes": str,
}
_INNER: dict[str, dict[str, Any]] = {
    "provenance": {
        "extractor": str,
        "modalities": tuple[tuple[str, int], ...],
        "crop": str,
        "flow_kind": str,
        "checksum": str,
    },
    "dataset": {
        "name": str | None,
        "folder": str | None,
        "features": str | None,
        "train": _NAMES,
        "test": _NAMES,
    },
    "training": {"device": str | None, "selected_on": _NAMES},
}
_STATUS: dict[str, Any] = {
    "state": str,
    "pid": int | None,
    "host": str | None,
    "process_start": str | None,
    "heartbeat": float | None,
    "step": int | None,
    "steps": int | None,
    "stage": str | int | None,
    "device": str | None,
    "eta_seconds": float | None,
    "message": str | None,
    "best": Mapping[str, Any] | None,
}
_METRIC: dict[str, Any] = {
    "kind": str,
    "stage": str | int,
    "stage_index": int,
    "step": int,
    "seconds": float,
    "losses": Mapping[str, Any],
    "metrics": Mapping[str, Any],
}
_EVALUATION: dict[str, Any] = {"evaluations": list[Any], "subset": _NAMES | None, "videos": int | None}
_SCORE: dict[str, Any] = {
    "protocol": str,
    "mean_ap": Mapping[str, float | None],
    "average": float | None,
    "ap": Mapping[str, Mapping[str, float | None]],
}
_SCORE_NEEDS = {"protocol", "mean_ap", "average"}


def checked_info(values: Any, where: object) -> dict[str, Any]:
    """Return the content of `run.yaml` with the types that `RunInfo` states; "provenance" is still a mapping.

    Raises:
        DataError: a key is unknown, a value is of the wrong type, or a config is without what it belongs to.
    """
    found = settings.check_values(values, _INFO, where, "a run description", RUN_STEP)
    for key in found:
        if key not in _INFO:
            raise unknown_name("key", key, _INFO, where=where, usage=False)
    missing = [key for key in ("method", "preset", "config", "classes", "feature_dim") if key not in found]
    if missing and "config" in found:
        raise DataError(
            "is not a complete run description",
            expected=", ".join(missing),
            got="nothing",
            where=where,
            next_step=RUN_STEP,
        )
    for key, kinds in _INNER.items():
        found[key] = settings.check_values(found.get(key, {}), kinds, f"{where}: {key}", "a mapping", RUN_STEP)
    found["classes"] = tuple(str(name) for name in found.get("classes", ()))
    found["versions"] = {name: str(version) for name, version in found.get("versions", {}).items()}
    if not 0 <= found.get("feature_dim", 0) <= _MOST_CHANNELS:
        raise DataError(
            "feature_dim is out of range",
            expected=f"0 (not known) to {_MOST_CHANNELS}",
            got=str(found["feature_dim"]),
            where=where,
            next_step=RUN_STEP,
        )
    return found


def status_values(content: Any) -> dict[str, Any]:
    """Return what of `status.json` is of the right type."""
    return settings.fitting_values(content, _STATUS)


def metric_values(line: str) -> dict[str, Any]:
    """Return what of a line of `metrics.jsonl` is of the right type; {} of a half-written one."""
    try:
        return settings.fitting_values(parse_json(line), _METRIC)
    except DataError:  # the writer is in the middle of it, or died there
        return {}


def refuse_large_metrics(file: Path) -> None:
    """Raise `DataError` where `metrics.jsonl` is larger than any training makes it."""
    if (size := file.stat().st_size) > _MOST_METRIC_BYTES:
        raise DataError(
            f"is too large to be read ({sized(size)})",
            expected=f"metrics of at most {sized(_MOST_METRIC_BYTES)}",
            where=file,
            next_step="Move the file away: the run opens without it",
        )


def checked_evaluation(content: Any, file: Path) -> dict[str, Any]:
    """Return the content of `evaluation.json` with values of the right types.

    Raises:
        DataError: something is missing or of the wrong type.
    """
    stored = settings.check_values(content, _EVALUATION, file, "a stored evaluation", _EVALUATION_STEP)
    if "evaluations" not in stored:
        raise _no_evaluation("an object with 'evaluations'", file)
    for number, one in enumerate(stored["evaluations"]):
        where = f"{file}: evaluation {number + 1}"
        score = settings.check_values(one, _SCORE, where, "a score", _EVALUATION_STEP)
        if not set(score) >= _SCORE_NEEDS or not all(_is_level(level) for level in score["mean_ap"]):
            raise _no_evaluation(f"{', '.join(sorted(_SCORE_NEEDS))}, by tIoU in (0, 1]", where)
        stored["evaluations"][number] = score
    return stored


def _no_evaluation(expected: str, where: object) -> DataError:
    return DataError("is not a stored evaluation", expected=expected, where=where, next_step=_EVALUATION_STEP)


def _is_level(text: str) -> bool:
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False
