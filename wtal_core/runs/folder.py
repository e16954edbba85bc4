"""A run folder: what some method says about a data set, in files that another machine can open.

run.yaml            what it is: method, resolved config, classes, features, data set, seed, versions; written once
status.json         how it is: state, process, heartbeat, step, steps, stage, message
metrics.jsonl       what was measured: one JSON object a line
checkpoints/        last.pt, best.pt (tensors and plain containers only)
activations.h5  detections.json  evaluation.json     what it says, written by `wtal infer|localize|evaluate`
activations/step-<step>.h5                           what it said of a few videos while it was trained

Only run.yaml has to be there: a run that was not trained here has what it has. PyTorch is imported where weights are.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtal_core import settings
from wtal_core.documents import to_yaml
from wtal_core.errors import DataError, UsageError, reason
from wtal_core.files import atomic_path, jsonable, read_json, read_yaml, require_folder, write_json, write_text
from wtal_core.methods.registry import is_method, list_methods, method_class, name_of
from wtal_core.processes import SILENT_SECONDS, identity, liveness
from wtal_core.records import Lens, Provenance, View
from wtal_core.records.views import views_from_plain
from wtal_core.runs import contents
from wtal_core.version import __version__

if TYPE_CHECKING:
    import torch

    from wtal_core.data.activations import ActivationStore
    from wtal_core.data.dataset import Dataset
    from wtal_core.data.features import FeatureStore
    from wtal_core.methods import Method
    from wtal_core.records import Activations

__all__ = ["STATES", "Run", "RunInfo"]

#: What a run can be doing. "running" whose process is gone is shown as crashed.
STATES = ("created", "running", "stopped", "finished", "failed")


@dataclass(frozen=True)
class RunInfo:
    """Content of `run.yaml`.

    Args:
        method: name of the method, "" where nobody said; it may be one that is not known here.
        preset: preset the config started from; "", like the config {}, where the run was not trained here.
        config: the resolved config as plain values, every field of it.
        classes: action classes in channel order.
        feature_dim: channels D, 0 where not known.
        provenance: what made the features it was trained on; other features are refused.
        dataset: name, folder and features name of the data set it was trained on.
        seed: seed of everything random.
        training: options of the training that do not belong to the method.
        versions: versions of what it ran with.
        created: ISO time.
        notes: anything worth saying, e.g. "official weights".
    """

    method: str = ""
    preset: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    feature_dim: int = 0
    provenance: Provenance = Provenance()
    dataset: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    notes: str = ""

    @classmethod
    def of(
        cls,
        method: Method,
        dataset: Dataset,
        store: FeatureStore,
        *,
        preset: str | None = None,
        features: str | None = None,
        train: str = "train",
        test: str = "test",
        seed: int = 0,
        training: Mapping[str, Any] | None = None,
    ) -> RunInfo:
        """Return the description of a training to be done.

        Args:
            method: as it will be trained; weights do not matter.
            dataset: what it is trained on.
            store: the features, and what made them.
            preset: preset of the method; default its first.
            features: which of the data set's features `store` is; default: the first.
            train, test: splits; a `test` that the data set does not have is left out.
            seed: seed of everything random.
            training: options of the training that a resumed one is told again.
        """
        return cls(
            method=name_of(type(method)),
            preset=preset or next(iter(method.presets)),
            config=settings.to_dict(method.config),
            classes=dataset.classes,
            feature_dim=store.dim,
            provenance=store.provenance(store.videos[0]),
            dataset={
                "name": dataset.name,
                "folder": str(dataset.folder.resolve()),
                "features": dataset.feature_file(features).name,
                "train": list(dataset.subsets(train)),
                "test": list(dataset.subsets(test)) if test in dataset.splits else [],
            },
            seed=seed,
            training=dict(training or {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        plain: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            plain[name] = dict(value) if isinstance(value, Mapping) else value
        return {**plain, "classes": list(self.classes), "provenance": settings.to_dict(self.provenance)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object) -> RunInfo:
        """Rebuild from plain values; what comes back has the types stated above, down to the entries of `dataset`.

        Raises:
            DataError: a key is unknown, a value is of the wrong type, or a config is without what it belongs to.
        """
        values = contents.checked_info(values, where)
        try:
            values["provenance"] = settings.build(Provenance, values["provenance"])
        except DataError as error:
            raise error.at(f"{where}: provenance") from None
        return settings.build(cls, values, where)


def current_versions() -> dict[str, str]:
    """Return the versions of what computes here; packages that are not installed are left out."""
    found = {"wtal": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "h5py"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "platform": platform.platform()}


def _never_begun(folder: Path) -> bool:
    """Return whether a run ended before its first step: nothing measured, nothing kept, no process at work."""
    if any((folder / "checkpoints").glob("[!.]*.pt")):
        return False
    if any((folder / name).exists() for name in ("metrics.jsonl", "activations.h5", "detections.json")):
        return False
    try:
        status = contents.status_values(read_json(folder / "status.json"))
        return status.get("state") == "failed" or liveness(status) is False
    except DataError:  # no status at all: not a run that a training made
        return False


class Run:
    """One run folder. Open an existing one with `Run.open`, make one with `Run.create`.

    Reading never needs the data set or the machine the run was made on.
    """

    def __init__(self, folder: Path, info: RunInfo) -> None:
        self.folder = folder
        self.info = info

    # -- opening --------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Open a run folder.

        Raises:
            DataError: it is not a folder, has no `run.yaml`, or that file is damaged.
        """
        path = require_folder(folder, "a run folder")
        file = path / "run.yaml"
        if not file.is_file():
            raise DataError(
                "is not a run folder: it has no run.yaml", where=path, next_step="Name a folder made by wtal train"
            )
        return cls(path, RunInfo.from_dict(read_yaml(file, "a run description"), file))

    @classmethod
    def create(cls, folder: str | os.PathLike[str], info: RunInfo) -> Run:
        """Make a new run folder. One that failed before its first step, and holds nothing, is made anew.

        Raises:
            UsageError: there is a run already; nothing of it is touched.
        """
        path = Path(folder)
        if (path / "run.yaml").exists() and not _never_begun(path):
            raise UsageError(
                "holds a run already",
                where=path,
                next_step="Choose another folder, or resume that run",
                arguments=("out", "resume"),
            )
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        complete = {**info.to_dict(), "versions": dict(info.versions) or current_versions()}
        complete["created"] = info.created or time.strftime("%Y-%m-%dT%H:%M:%S%z")
        run = cls(path, RunInfo.from_dict(complete, path / "run.yaml"))
        run.set_status("created")
        # Last: a folder without it is no run, and can be made one where this was interrupted.
        write_text(path / "run.yaml", to_yaml(complete))
        return run

    @classmethod
    @contextmanager
    def making(cls, folder: str | os.PathLike[str], info: RunInfo) -> Iterator[Run]:
        """Make a new run folder to be filled in the block; it is removed where that fails, on a full disk for example.

        Raises:
            UsageError: there is a run already; nothing of it is touched.
        """
        existed = Path(folder).exists()
        run = cls.create(folder, info)
        try:
            yield run
        except BaseException:
            if not existed:
                shutil.rmtree(run.folder, ignore_errors=True)
            raise

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def dataset_folder(self) -> Path | None:
        """Folder of the data set it was trained on, None where that is not known here.

        The one that `run.yaml` names; where that is not there, the one that the run lies in, at most three folders up.
        """
        named = self.info.dataset.get("folder")
        above = [folder for folder in self.folder.resolve().parents[:3] if os.path.isfile(folder / "dataset.yaml")]
        if named and (os.path.isdir(named) or not above):
            return Path(str(named))
        return above[0] if above else None

    # -- status and metrics -----------------------------------------------------------------------------------------

    def set_status(self, state: str, **more: Any) -> None:
        """Write `status.json`: state, this process, the time, and what is given."""
        value = {"state": state, **identity(), "heartbeat": time.time(), **more}
        write_json(self.folder / "status.json", value)

    def status(self) -> dict[str, Any]:
        """Return the status; a run whose process died while "running" is reported as "crashed".

        Raises:
            DataError: `status.json` is damaged or names no state. What else is of the wrong type is left out.
        """
        file = self.folder / "status.json"
        if not file.is_file():
            made = (self.checkpoint_path(), self.activations_path, self.detections_path)
            return {"state": "finished" if any(path.exists() for path in made) else "created"}
        value = contents.status_values(read_json(file))
        if "state" not in value:
            raise DataError(
                "is not a run status",
                expected="an object with a state",
                where=file,
                next_step="Delete this file: the run opens without it",
            )
        if value["state"] == "running":
            alive = liveness(value)
            silent = time.time() - (value.get("heartbeat") or 0)
            if alive is False or (alive is None and silent > SILENT_SECONDS):
                value["state"] = "crashed"
        return value

    def log(self, **values: Any) -> None:
        """Append one line to `metrics.jsonl`."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(jsonable(values), allow_nan=False) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`; half-written ones, and values of the wrong type, are left out.

        Raises:
            DataError: the file is too large.
        """
        return list(self._metric_lines())

    def _metric_lines(self) -> Iterator[dict[str, Any]]:
        file = self.folder / "metrics.jsonl"
        if not file.is_file():
            return
        contents.refuse_large_metrics(file)
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                value = contents.metric_values(line)
                if value:
                    yield value

    def forget_after(self, stage: int, step: int, total: int) -> None:
        """Drop metrics and kept activations of later steps than the one a run goes on from.

        Args:
            stage, step: index of the stage, and steps done in it.
            total: steps done in all stages.
        """
        for kept in self.kept_steps():
            if kept > total:
                self.kept_path(kept).unlink(missing_ok=True)
        file = self.folder / "metrics.jsonl"
        if not file.is_file():
            return
        lines = [m for m in self._metric_lines() if (m.get("stage_index", 0), m.get("step", 0)) <= (stage, step)]
        write_text(file, "".join(json.dumps(m) + "\n" for m in lines))

    # -- checkpoints ------------------------------------------------------------------------------------------------

    def checkpoint_path(self, which: str = "last") -> Path:
        """Return the path of a checkpoint: "last", "best", or a name in `checkpoints/`."""
        return self.folder / "checkpoints" / f"{which}.pt"

    def checkpoints(self) -> tuple[str, ...]:
        """Return the names of the checkpoints there are, "last" first."""
        names = [p.stem for p in (self.folder / "checkpoints").glob("*.pt") if not p.name.startswith(".")]
        return tuple(sorted(names, key=lambda n: (n != "last", n != "best", n)))

    def save_checkpoint(self, which: str, content: Mapping[str, Any]) -> None:
        """Write a checkpoint (tensors and plain containers) in one step.

        Raises:
            DataError: the disk is full; the checkpoint before it stays.
        """
        import torch

        path = self.checkpoint_path(which)
        with atomic_path(path) as temporary:
            try:
                torch.save(dict(content), temporary)
            except (OSError, RuntimeError) as error:  # torch's writer knows no reason, only that bytes are missing
                raise DataError(
                    "cannot be written: the disk is full or refuses",
                    where=path,
                    next_step="Make room, then resume the run; the checkpoint before it is kept",
                    arguments=("resume",),
                ) from error

    def load_checkpoint(self, which: str = "last") -> dict[str, Any]:
        """Read a checkpoint without unpickling anything but tensors and plain containers.

        Raises:
            DataError: it is missing or damaged.
        """

        path = self.checkpoint_path(which)
        if not path.is_file():
            have = ", ".join(self.checkpoints()) or "none"
            raise DataError(
                f"has no checkpoint {which!r}",
                expected="a trained run",
                got=f"checkpoints: {have}",
                where=self.folder,
                next_step="Name a checkpoint it has, or train it",
            )
        from wtal_core.data.safe_load import load_torch

        content = load_torch(path)
        if not isinstance(content, dict) or "model" not in content:
            raise DataError(
                "is not a checkpoint of this project",
                expected="a mapping with 'model'",
                where=path,
                next_step="'wtal runs import' takes official checkpoints",
            )
        return content

    # -- the method -------------------------------------------------------------------------------------------------

    @property
    def method_known(self) -> bool:
        """Whether the run was made by a method that can be computed here; one that was logged names no preset."""
        return bool(self.info.preset) and is_method(self.info.method)

    @property
    def method_class(self) -> type[Method]:
        """Class of the method.

        Raises:
            DataError: the method is not known here.
        """
        if not self.method_known:
            raise DataError(
                f"the method {self.info.method!r} is not known here" if self.info.method else "names no method",
                expected=f"module:Class, or one of: {', '.join(list_methods())}",
                where=self.folder / "run.yaml",
                next_step="What is stored of it can be looked at; only its own settings and weights cannot be used",
            )
        return method_class(self.info.method)

    @property
    def views(self) -> tuple[View, ...]:
        """What its method declares of how it is shown: as stored with the run, else as the method says now.

        () where the method is not known here: what is shown then follows from the tracks.
        """
        if self.views_path.is_file():
            return views_from_plain(read_json(self.views_path, "views"), self.views_path)
        return self.method_class.views if self.method_known else ()

    @property
    def views_path(self) -> Path:
        """Path of the stored views."""
        return self.folder / "views.json"

    @property
    def lenses(self) -> tuple[Lens, ...]:
        """Settings of its method that change tracks without the model; () where it is not known here."""
        return self.method_class.lenses if self.method_known else ()

    def config(self) -> Any:
        """Return the method's resolved config.

        Raises:
            DataError: the method is not known here.
        """
        return settings.build(self.method_class.Config, self.info.config, self.folder / "run.yaml")

    def changes(self) -> dict[str, Any]:
        """Return the settings that differ from the preset's, by dotted key; {} where the method is not known here."""
        if not self.method_known:
            return {}
        preset = self.info.preset if self.info.preset in self.method_class.presets else None
        return settings.differences(self.config(), self.method_class.preset_config(preset))

    def new_method(self) -> Method:
        """Return the method with fresh weights."""
        cls = self.method_class
        try:
            return cls(len(self.info.classes), self.info.feature_dim, self.config(), self.info.classes)
        except (RuntimeError, MemoryError, OverflowError) as error:  # widths that no memory holds
            raise DataError(
                f"describes a network that cannot be made: {reason(error)}",
                where=self.folder / "run.yaml",
                next_step=contents.RUN_STEP,
            ) from error

    def method(self, which: str = "last", device: str | torch.device = "cpu") -> Method:
        """Return the method with the weights of a checkpoint, in eval mode on `device`."""
        method = self.new_method()
        weights = self.load_checkpoint(which)["model"]
        try:
            method.load_state_dict(weights)
        except RuntimeError as error:
            raise DataError(
                f"does not fit run.yaml: {str(error).splitlines()[-1].strip()[:200]}",
                where=self.checkpoint_path(which),
                next_step="Use the run.yaml that this checkpoint was trained with",
            ) from error
        return method.to(device).eval()

    # -- what it says -----------------------------------------------------------------------------------------------

    @property
    def activations_path(self) -> Path:
        """Path of the stored activations."""
        return self.folder / "activations.h5"

    @property
    def detections_path(self) -> Path:
        """Path of the stored detections."""
        return self.folder / "detections.json"

    @property
    def evaluation_path(self) -> Path:
        """Path of the stored evaluation."""
        return self.folder / "evaluation.json"

    def evaluation(self) -> dict[str, Any]:
        """Return what `evaluation.json` holds: "evaluations" (a list of scores), "subset", "videos"; {} without one.

        Raises:
            DataError: it is damaged, or holds something of the wrong type.
        """
        file = self.evaluation_path
        return contents.checked_evaluation(read_json(file), file) if file.is_file() else {}

    def activations(self, step: int | None = None) -> ActivationStore:
        """Open the stored activations, or those that were kept of a few videos at a step of the training.

        Raises:
            DataError: there are none, or none of this step.
        """
        from wtal_core.data.activations import ActivationStore

        if step is None:
            if not self.activations_path.is_file():
                raise DataError("has no activations yet", where=self.folder, next_step=f"Run: wtal infer {self.folder}")
            return ActivationStore(self.activations_path)
        if not self.kept_path(step).is_file():
            raise DataError(
                f"has no activations of step {step}",
                expected=", ".join(map(str, self.kept_steps())) or "a training with keep_activations",
                where=self.folder,
                next_step="Choose a step that was kept" if self.kept_steps() else "Train with keep_activations=N",
            )
        return ActivationStore(self.kept_path(step))

    # -- what it said while it was trained --------------------------------------------------------------------------

    def kept_path(self, step: int) -> Path:
        """Return the path of the activations that are kept of a step."""
        return self.folder / "activations" / f"step-{step}.h5"

    def kept_steps(self) -> tuple[int, ...]:
        """Return the steps whose activations were kept, counted over all stages, in order."""
        names = (re.fullmatch(r"step-(\d+)", path.stem) for path in (self.folder / "activations").glob("*.h5"))
        return tuple(sorted(int(name[1]) for name in names if name))

    def keep_activations(self, step: int, activations: Mapping[str, Activations]) -> None:
        """Write what the method says of some videos at a step, in one step; readers of other steps are not disturbed.

        Raises:
            DataError: a value is too large for float32, or the file cannot be written.
        """
        from wtal_core.data.activations import write_activations

        write_activations(self.kept_path(step), activations)
