"""Post-processing that follows a slider: detections and mAP of a split from stored activations, without the model.

`LiveSplit` holds the raw activations of a split and turns changed localization settings into detections and mAP,
`localize_video` those of one video into detections and the proposals they come from. `keep_as_new_run`
makes a run folder of what was found.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core import settings
from wtal_core.data import write_detections
from wtal_core.data.activations import ActivationWriter
from wtal_core.errors import DataError
from wtal_core.evaluation import GroundTruthIndex, evaluate
from wtal_core.files import read_json, write_json
from wtal_core.localization import Proposals
from wtal_core.records import Activations, Detections, Evaluation
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import Localizer, localizer_of

__all__ = [
    "Asked",
    "LiveResult",
    "LiveSplit",
    "VideoResult",
    "evenly_spaced",
    "keep_as_new_run",
    "localize_video",
    "stored_localization",
]


_KEPT_RESULTS = 12  # results of a split that are kept, so that a slider moved back costs nothing


# -- post-processing -------------------------------------------------------------------------------------------------


def stored_localization(run: Run) -> Any:
    """Return the localization settings that made the run's stored detections (default: the run's own)."""
    own = localizer_of(run).settings
    file = run.folder / "localization.json"
    if not file.is_file():
        return own
    values = read_json(file, "localization settings")
    if not isinstance(values, Mapping):
        raise DataError(
            "are not localization settings",
            expected="an object",
            where=file,
            next_step="Delete this file, or run wtal localize again",
        )
    return settings.build(type(own), values, file)


@dataclass(frozen=True, eq=False)
class VideoResult:
    """Detections of one video with what explains them.

    Args:
        proposals: every proposal, suppressed ones too; `suppressed_by` counts their rows.
        kept: `(N,)` rows of the proposals that became detections, best score first.
        detections: those, in that order.
    """

    proposals: Proposals
    kept: npt.NDArray[np.int64]
    detections: Detections


def localize_video(localizer: Localizer, video: str, activations: Activations, localization: Any) -> VideoResult:
    """Turn one video's activations into detections, keeping the proposals they come from."""
    proposals = localizer.propose({video: activations}, localization)
    kept = np.flatnonzero(proposals.suppressed_by < 0)
    kept = kept[np.argsort(-proposals.score[kept], kind="stable")]
    detections = proposals.select(kept).to_detections([video], activations.classes)
    return VideoResult(proposals, kept, detections)


@dataclass(frozen=True, eq=False)
class LiveResult:
    """What a split looks like under changed settings.

    Args:
        localization: the complete settings.
        detections: of the whole split.
        evaluation: under the split's protocol, without match table.
        delta: `{tIoU: mAP difference to the stored run}`.
        delta_average: difference of the averages.
        seconds: how long it took.
    """

    localization: Any
    detections: Detections
    evaluation: Evaluation
    delta: Mapping[float, float]
    delta_average: float
    seconds: float


class LiveSplit:
    """The post-processing of a run on a whole split, quick enough to follow a slider.

    Args:
        run: the run.
        activations: its activations. Videos outside the split are left out, here and of `stored`: what is moved is
            compared with what it was on the same videos.
        truth: prepared ground truth of the split.
        protocol, tiou: what mAP is computed under.
        stored: the run's stored detections that differences refer to; None: those of its stored settings.

    Raises:
        DataError: none of the split's videos has activations.
    """

    def __init__(
        self,
        run: Run,
        activations: Mapping[str, Activations],
        truth: GroundTruthIndex,
        *,
        protocol: str = "activitynet",
        tiou: str | float | Sequence[float] = "0.1:0.7",
        stored: Detections | None = None,
    ) -> None:
        wanted = set(truth.videos)
        self.run, self.truth, self.protocol, self.tiou = run, truth, protocol, tiou
        self.activations = {video: acts for video, acts in activations.items() if video in wanted}
        if not self.activations:
            raise DataError(
                "has no activations of this split",
                expected=f"some of {len(wanted)} videos",
                got=f"{len(activations)} others",
                where=run.folder,
                next_step=f"Run: wtal infer {run.folder}",
            )
        self.localizer = localizer_of(run)
        self.localization = stored_localization(run)
        self._kept: OrderedDict[str, LiveResult] = OrderedDict()
        self._lock = threading.Lock()  # sessions of the app share one
        if stored is None:
            stored = self.localizer.detections(self.activations, self.localization)
        else:
            codes, names = stored.video_codes
            stored = stored[np.array([name in wanted for name in names], dtype=np.bool_)[codes]]
        self.baseline = evaluate(stored, truth, protocol=protocol, tiou=tiou, matches=False)

    def settings(self, changes: Mapping[str, Any] | None = None) -> Any:
        """Return the stored settings with changes.

        Raises:
            UsageError: a setting is unknown or out of range.
        """
        return settings.override(self.localization, dict(changes)) if changes else self.localization

    def update(self, changes: Mapping[str, Any] | None = None) -> LiveResult:
        """Localize and score the split under changed settings; the last results are kept."""
        localization = self.settings(changes)
        key = repr(localization)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        began = time.perf_counter()
        detections = self.localizer.detections(self.activations, localization)
        evaluation = evaluate(detections, self.truth, protocol=self.protocol, tiou=self.tiou, matches=False)
        before, after = self.baseline.mean_ap, evaluation.mean_ap
        result = LiveResult(
            localization=localization,
            detections=detections,
            evaluation=evaluation,
            delta={t: after[t] - before[t] for t in after},
            delta_average=evaluation.average - self.baseline.average,
            seconds=time.perf_counter() - began,
        )
        with self._lock:
            self._kept[key] = result
            while len(self._kept) > _KEPT_RESULTS:
                self._kept.popitem(last=False)
        return result


# -- keeping it ------------------------------------------------------------------------------------------------------


def evenly_spaced(values: Sequence[float]) -> tuple[float, float, int] | None:
    """Return `(first, last, count)` if the numbers are evenly spaced and ascending, else None."""
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or not np.allclose(array, np.linspace(array[0], array[-1], array.size), atol=1e-6):
        return None
    return (float(array[0]), float(array[-1]), int(array.size)) if array[-1] > array[0] else None


def free_folder(run: Run) -> Path:
    """Return a folder beside a run that does not exist yet: `<run>-2`, `<run>-3`, ..."""
    number = 2
    while (run.folder.parent / f"{run.name}-{number}").exists():
        number += 1
    return run.folder.parent / f"{run.name}-{number}"


@dataclass(frozen=True, eq=False)
class Asked:
    """What a run's model said of a whole split when it was asked again.

    Args:
        activations: by video.
        what: what it was asked with, for people, e.g. "best, crop 3, gamma=0.4".
        changes: config values that differed from the run's.
    """

    activations: Mapping[str, Activations]
    what: str
    changes: Mapping[str, Any]


def keep_as_new_run(
    run: Run, result: LiveResult, *, asked: Asked | None = None, folder: str | os.PathLike[str] | None = None
) -> Run:
    """Make a run folder of changed post-processing: same weights and activations, new detections and evaluation.

    Weights and activations are hard links where the file system allows it, else copies.

    Args:
        run: the run it comes from; stays as it is.
        result: of `LiveSplit.update`.
        asked: what the detections were made from, where those are not the run's own activations.
        folder: where to make it; default `<run>-2` beside the run.

    Raises:
        UsageError: there is a run already.
    """
    target = Path(folder) if folder is not None else free_folder(run)
    changed = settings.differences(result.localization, localizer_of(run).settings)
    said = ", ".join(f"{key}={_short(value)}" for key, value in changed.items()) or "no changes"
    note = f"Post-processing of {run.name}: {said}"
    if asked is not None:
        note = f"Activations of {run.name}, asked again with {asked.what}. {note}"
    config = dict(run.info.config)
    if asked is not None:
        config = settings.to_dict(settings.override(run.config(), dict(asked.changes)))
    info = replace(
        run.info,
        config={**config, "localization": settings.to_dict(result.localization)},
        created="",
        notes=f"{run.info.notes}\n{note}".strip(),
    )
    with Run.making(target, info) as new:
        if run.views_path.is_file():
            _link(run.views_path, new.views_path)
        for name in run.checkpoints():
            _link(run.checkpoint_path(name), new.checkpoint_path(name))
        if asked is not None:
            with ActivationWriter(new.activations_path) as writer:
                for video, activations in asked.activations.items():
                    writer.write(video, activations)
        elif run.activations_path.is_file():
            _link(run.activations_path, new.activations_path)
        write_detections(result.detections, new.detections_path, format="activitynet")
        write_json(new.folder / "localization.json", settings.to_dict(result.localization))
        evaluation = result.evaluation
        write_json(
            new.evaluation_path,
            {"subset": None, "videos": evaluation.num_videos, "evaluations": [evaluation.to_dict()]},
        )
        new.set_status("finished", message=note)
    return new


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        spaced = evenly_spaced(value)
        if spaced:
            return f"{spaced[0]:g}..{spaced[1]:g} ({spaced[2]})"
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
