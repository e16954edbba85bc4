"""Make a run folder of an official checkpoint, so that published weights can be looked at like a run of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wtal_core import settings
from wtal_core.data.annotations import THUMOS14_CLASS_IDS
from wtal_core.data.dataset import Dataset
from wtal_core.errors import UsageError
from wtal_core.files import read_text
from wtal_core.methods import create_method
from wtal_core.records import Provenance
from wtal_core.runs.folder import Run, RunInfo

__all__ = ["CLASS_LISTS", "class_names", "import_official"]

#: Class lists of published data sets, in the official checkpoints' channel order.
CLASS_LISTS: dict[str, tuple[str, ...]] = {"thumos14": tuple(sorted(THUMOS14_CLASS_IDS))}


def class_names(text: str) -> tuple[str, ...]:
    """Return class names, in channel order, from a known list's name, a text file (one a line), or `A,B,C`.

    Numbers in front of every name of a file are left out.

    Raises:
        UsageError: a name is there twice, or there are none.
        DataError: the file cannot be read.
    """
    text = text.strip()
    if text in CLASS_LISTS:
        return CLASS_LISTS[text]
    if text and "," not in text and os.path.isfile(text):
        lines = [line.strip() for line in read_text(text, "class names, one a line").splitlines() if line.strip()]
        numbered = all(re.match(r"\d+\s+\S", line) for line in lines)  # THUMOS14's detclasslist.txt: "7 BaseballPitch"
        names = tuple((line.split(None, 1)[1] if numbered else line).split("\t")[-1].strip() for line in lines)
    else:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        raise UsageError(
            f"the class {twice[0]!r} is named twice" if twice else "no classes are named",
            expected=f"{', '.join(CLASS_LISTS)}, a text file with one name a line, or names with commas between",
            got=repr(text),
            where="classes",
            next_step="Name each class once, in the checkpoint's order",
            arguments=("classes",),
        )
    return names


def import_official(
    method: str,
    checkpoints: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    feature_dim: int | None = None,
    preset: str | None = None,
    changes: Mapping[str, Any] | None = None,
    extractor: str = "",
    dataset: Dataset | None = None,
    features: str | None = None,
) -> Run:
    """Make a finished run of official weights; nothing is written unless they fit.

    Args:
        method: name of the method.
        checkpoints: one file of each of the method's `official_files`.
        out: run folder to make.
        classes: class names in channel order; default the data set's.
        feature_dim: channels D; default the data set's features, else 2048.
        preset, changes: the config the weights were trained with.
        extractor: what made the features they were trained on, e.g. "i3d-kinetics400"; other features are refused then.
        dataset, features: data set (and set of features) that the run will be used on, so that `wtal infer` finds it.

    Raises:
        DataError: a file cannot be read safely, or the weights do not fit method, config, classes or channels.
        UsageError: the folder holds a run, an argument is unknown, or there are too many or too few files.
    """
    if (Path(out) / "run.yaml").exists():
        raise UsageError("holds a run already", where=out, next_step="Choose another name")
    names = tuple(classes) or (dataset.classes if dataset is not None else ())
    if not names:
        raise UsageError(
            "the classes are not known",
            expected="class names in channel order",
            where=method,
            next_step=f"Name them, e.g. {next(iter(CLASS_LISTS))}, or name the data set",
            arguments=("classes", "data"),
        )
    if feature_dim is None and dataset is not None and dataset.feature_names:
        with dataset.store(features) as store:
            feature_dim = store.dim
    model = create_method(method, classes=names, feature_dim=feature_dim, preset=preset, **dict(changes or {}))
    model.load_official(*checkpoints)
    source: dict[str, Any] = {}
    if dataset is not None:
        source = {
            "name": dataset.name,
            "folder": str(dataset.folder.resolve()),
            "features": dataset.feature_file(features).name if dataset.feature_names else None,
            "train": [],
            "test": list(dataset.subsets("test")) if "test" in dataset.splits else [],
        }
    files = " and ".join(Path(c).name for c in checkpoints)
    info = RunInfo(
        method=method,
        preset=preset or next(iter(model.presets)),
        config=settings.to_dict(model.config),
        classes=names,
        feature_dim=model.feature_dim,
        provenance=Provenance(extractor=extractor),
        dataset=source,
        notes=f"official weights from {files}",
    )
    with Run.making(out, info) as run:
        run.save_checkpoint("last", {"model": model.state_dict()})
        run.set_status("finished", message=f"imported from {files}")
    return run
