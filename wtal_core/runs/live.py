"""Looking at a run while its settings move: post-processing that follows a slider, explanations, and recomputing.

`LiveSplit` holds the raw activations of a split and turns changed localization settings into detections and mAP,
without the model. `explain` says why each detection of a video is there and what became of it. `recompute` and `erase`
ask the model again. `keep_as_new_run` makes a run folder of what was found.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wtal_core import settings
from wtal_core.data import write_detections
from wtal_core.data.features.store import FeatureStore
from wtal_core.data.safe_load import load_npz
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import GroundTruthIndex, MatchTable, evaluate, overlapping_pairs
from wtal_core.files import atomic_path, read_json, write_json
from wtal_core.localization import Proposals
from wtal_core.methods import Method, method_class
from wtal_core.records import Activations, Annotations, Detections, Evaluation, Segments, VideoFeatures
from wtal_core.runs.folder import Run, RunInfo
from wtal_core.snippet_grid import SnippetGrid

__all__ = [
    "Explanation",
    "Flow",
    "LiveResult",
    "LiveSplit",
    "Near",
    "Recomputed",
    "Rival",
    "VideoResult",
    "compute_flow",
    "drop_lens",
    "erase",
    "evenly_spaced",
    "explain",
    "keep_as_new_run",
    "load_method",
    "localize_video",
    "recompute",
    "recompute_split",
    "stored_flow",
    "stored_localization",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_KEPT_RESULTS = 12  # results of a split that are kept, so that a slider moved back costs nothing


# -- post-processing ----------------------------------------------------------------------------------------------


def stored_localization(run: Run) -> Any:
    """Return the localization settings that made the run's stored detections (default: those of its config)."""
    own = run.config().localization
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


def localize_video(method: str, video: str, activations: Activations, localization: Any) -> VideoResult:
    """Turn one video's activations into detections, keeping the proposals they come from."""
    proposals = method_class(method).propose({video: activations}, localization)
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
        activations: its activations; videos outside the ground truth's are left out.
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
        self.method = run.info.method
        self.localization = stored_localization(run)
        self._kept: OrderedDict[str, LiveResult] = OrderedDict()
        self._lock = threading.Lock()  # sessions of the app share one
        if stored is None:
            stored = method_class(self.method).localize_many(self.activations, self.localization)
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
        detections = method_class(self.method).localize_many(self.activations, localization)
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


# -- why a detection is there -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Near:
    """The ground-truth instance that shares most time with a detection: of its class, else of another."""

    label: str
    start: float
    end: float
    tiou: float


@dataclass(frozen=True, slots=True)
class Rival:
    """A proposal that suppression removed, or (soft) the one that lowered a score most; seconds."""

    start: float
    end: float
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a detection is there, and what became of it.

    Args:
        label, start, end, score: the detection, seconds.
        class_score: the method's video-level score of its class, None where it is not known.
        source: the curve it was cut from ("cas", "attention", "rgb", ...).
        threshold: the value the run lies above, None where there is none.
        inner, outer: means of the two areas its score compares, None where the score is no contrast.
        outer_start, outer_end: seconds from the outer area's left edge to its right edge.
        rivals: what it suppressed, best first, at most eight; `num_rivals` counts all.
        near: the nearest ground truth, None where nothing shares time.
        verdict: "tp", "fp" or "dropped" (not counted by the protocol).
    """

    label: str
    start: float
    end: float
    score: float
    class_score: float | None
    source: str
    threshold: float | None
    inner: float | None
    outer: float | None
    outer_start: float
    outer_end: float
    rivals: tuple[Rival, ...]
    num_rivals: int
    near: Near | None
    verdict: str


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Outcomes of one video's detections.

    Args:
        outcome: "tp", "fp" or "dropped" of each detection.
        missed: ground-truth instances that nothing found.
        near: the nearest instance of each detection.
    """

    outcome: tuple[str, ...]
    missed: Segments
    near: tuple[Near | None, ...]


def judge(
    detections: Detections, annotations: Annotations, video: str, *, tiou: float = 0.5, protocol: str = "activitynet"
) -> Verdicts:
    """Say what becomes of one video's detections at a tIoU under a protocol.

    Matching is within video and class, so that a video's verdicts are those of the whole split.
    """
    truth = annotations.only([video])
    instances = truth.instances
    if not len(instances):
        return Verdicts(("fp",) * len(detections), Segments.empty(), (None,) * len(detections))
    table = MatchTable(evaluate(detections, truth, protocol=protocol, tiou=(tiou,)))
    outcome = table.outcome(tiou).reindex(range(len(detections)), fill_value="fp").to_list()
    found = table.found(tiou).reindex(range(len(instances)), fill_value="missed").to_numpy()
    pairs = overlapping_pairs(detections, instances)
    near: list[Near | None] = [None] * len(detections)
    for k in np.lexsort((pairs.tiou, pairs.same_label)).tolist():  # the best pair of its own class comes last
        row = int(pairs.instance[k])
        near[int(pairs.detection[k])] = Near(
            str(instances.label[row]), float(instances.start[row]), float(instances.end[row]), float(pairs.tiou[k])
        )
    return Verdicts(tuple(outcome), instances.select(np.flatnonzero(found == "missed")), tuple(near))


def explain(
    result: VideoResult, activations: Activations, verdicts: Verdicts, *, most: int = 400
) -> tuple[Explanation, ...]:
    """Explain the detections of one video, best score first, at most `most` of them."""
    p = result.proposals
    removed = np.flatnonzero(p.suppressed_by >= 0)
    removed = removed[np.lexsort((-p.score[removed], p.suppressed_by[removed]))]
    owners = p.suppressed_by[removed]

    def optional(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def rival(row: int) -> Rival:
        return Rival(float(p.start[row]), float(p.end[row]), float(p.score[row]), p.sources[int(p.source[row])])

    explanations = []
    for place, row in enumerate(result.kept[:most].tolist()):
        first, last = np.searchsorted(owners, row, "left"), np.searchsorted(owners, row, "right")
        label = int(p.label[row])
        explanations.append(
            Explanation(
                label=activations.classes[label],
                start=float(p.start[row]),
                end=float(p.end[row]),
                score=float(p.score[row]),
                class_score=float(activations.video_scores[label]),
                source=p.sources[int(p.source[row])],
                threshold=optional(p.threshold[row]),
                inner=optional(p.inner[row]),
                outer=optional(p.outer[row]),
                outer_start=float(p.outer_start[row]),
                outer_end=float(p.outer_end[row]),
                rivals=tuple(rival(r) for r in removed[first : min(last, first + 8)].tolist()),
                num_rivals=int(last - first),
                near=verdicts.near[place],
                verdict=verdicts.outcome[place],
            )
        )
    return tuple(explanations)


def explain_stored(
    detections: Detections, verdicts: Verdicts, activations: Activations | None, *, most: int = 400
) -> tuple[Explanation, ...]:
    """Explain detections that came without proposals (an imported file), as far as that goes."""
    scores: dict[str, float] = {}
    if activations is not None:
        scores = dict(zip(activations.classes, activations.video_scores.tolist(), strict=True))
    return tuple(
        Explanation(
            label=str(detections.label[i]),
            start=float(detections.start[i]),
            end=float(detections.end[i]),
            score=float(detections.score[i]),
            class_score=scores.get(str(detections.label[i])),
            source=str(detections.source[i]),
            threshold=None,
            inner=None,
            outer=None,
            outer_start=float(detections.start[i]),
            outer_end=float(detections.end[i]),
            rivals=(),
            num_rivals=0,
            near=verdicts.near[i],
            verdict=verdicts.outcome[i],
        )
        for i in range(min(most, len(detections)))
    )


# -- HAM-Net's drop lens ------------------------------------------------------------------------------------------


def drop_lens(attention: npt.ArrayLike, config: Any, gamma: float | None = None) -> tuple[float, BoolArray]:
    """Return HAM-Net's drop threshold and mask of dropped snippets for a drop threshold gamma, without the model.

    Args:
        attention: `(T,)` soft attention.
        config: HAM-Net's config; its `drop_mode`, `include_min` and `drop` say what gamma means.
        gamma: default the config's.

    Returns:
        `(threshold on the attention, (T,) bool)`: the same as `HAMNet.hybrid_attention` in evaluation.
    """
    a = np.asarray(attention, dtype=np.float32)
    gamma = config.gamma if gamma is None else gamma
    if config.drop_mode == "absolute":
        threshold = np.float32(gamma)
    elif config.include_min:
        threshold = a.min() + np.float32(gamma) * (a.max() - a.min())
    else:
        threshold = np.float32(gamma) * a.max()
    return float(threshold), np.asarray(a < threshold if config.drop == "inverse" else a >= threshold)


def with_drop(activations: Activations, config: Any, gamma: float) -> Activations:
    """Return HAM-Net activations with semi-soft and hard attention and drop mask of another drop threshold."""
    a = np.asarray(activations.attention["foreground"])
    _, dropped = drop_lens(a, config, gamma)
    semi_soft = np.where(dropped, 0, a).astype(a.dtype)
    attention = {**activations.attention, "semi_soft": semi_soft, "hard": (semi_soft > 0).astype(a.dtype)}
    return replace(activations, attention=attention, drop_mask=dropped)


# -- asking the model again ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Recomputed:
    """What a model said again.

    Args:
        activations: `{video: Activations}`.
        seconds: time the model took, reading features excluded.
    """

    activations: Mapping[str, Activations]
    seconds: float


def load_method(
    run: Run, *, checkpoint: str = "last", device: str | torch.device = "cpu", changes: Mapping[str, Any] | None = None
) -> Method:
    """Return the run's model in eval mode, with a checkpoint's weights and changed config values.

    Raises:
        UsageError: an unknown setting, or one out of range.
        DataError: no such checkpoint, or its weights do not fit the changed config.
    """
    config = settings.override(run.config(), dict(changes)) if changes else run.config()
    method = method_class(run.info.method)(len(run.info.classes), run.info.feature_dim, config, run.info.classes)
    weights = run.load_checkpoint(checkpoint)["model"]
    try:
        method.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            "the weights do not fit the changed settings",
            got=str(error).splitlines()[-1].strip()[:160],
            where=run.checkpoint_path(checkpoint),
            next_step="Change only settings that leave the network's layers as they are",
        ) from error
    return method.to(device).eval()


def pick_crop(data: npt.NDArray[np.floating[Any]], crop: int | None) -> npt.NDArray[np.floating[Any]]:
    """Return one crop `(T, D)` of `(crops, T, D)` features; None: as they are, the model averages over crops.

    Raises:
        UsageError: there is no such crop.
    """
    if crop is None:
        return data
    crops = data.shape[0] if data.ndim == 3 else 1
    if not 0 <= crop < crops:
        raise UsageError(
            "there is no such crop",
            expected=f"0 to {crops - 1}",
            got=str(crop),
            where="features",
            next_step=f"Choose a crop up to {crops - 1}",
        )
    return data[crop] if data.ndim == 3 else data


def erase(features: VideoFeatures, spans: Sequence[tuple[float, float]], fill: str = "zeros") -> VideoFeatures:
    """Drop snippets from a model's input.

    Args:
        features: of one video.
        spans: `[start, end)` seconds; snippets whose centre lies inside are dropped.
        fill: what the model gets instead: "zeros" (a snippet in which nothing fires) or "mean" (the video's mean
            snippet). The sequence keeps its length, so that time stays where it is.
    """
    if fill not in ("zeros", "mean"):
        raise UsageError(
            "unknown filling of erased snippets",
            expected="zeros or mean",
            got=repr(fill),
            next_step="Choose one of the two",
        )
    if not spans:
        return features
    start, end = np.array(spans, dtype=np.float64).T
    dropped = features.grid.mask(start, end)
    data = np.array(features.data)
    data[..., dropped, :] = features.data.mean(axis=-2, keepdims=True) if fill == "mean" else 0
    return replace(features, data=data)


def recompute(
    method: Method,
    features: VideoFeatures,
    *,
    crop: int | None = None,
    spans: Sequence[tuple[float, float]] = (),
    fill: str = "zeros",
) -> Recomputed:
    """Ask the model again about one video, with snippets erased where wanted."""
    erased = erase(features, spans, fill)
    data = pick_crop(erased.data, crop)
    _synchronize(method.device)
    began = time.perf_counter()
    activations = method.activations(data, grid=erased.grid)
    _synchronize(method.device)
    return Recomputed({features.video: activations}, time.perf_counter() - began)


def recompute_split(
    method: Method,
    store: FeatureStore,
    videos: Sequence[str],
    *,
    crop: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Recomputed:
    """Ask the model again about many videos; those without features are left out.

    Args:
        progress: called with videos done and in all.
    """
    known = set(store.videos)
    present = [v for v in videos if v in known]
    if not present:
        raise DataError(
            "none of the videos has features",
            expected=f"features of {len(videos)} videos",
            next_step="Name the features of this data set, or other videos",
        )
    activations: dict[str, Activations] = {}
    seconds = 0.0
    for done, video in enumerate(present):
        once = recompute(method, store.read(video), crop=crop)
        activations |= once.activations
        seconds += once.seconds
        if progress is not None:
            progress(done + 1, len(present))
    return Recomputed(activations, seconds)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# -- optical flow -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Flow:
    """Optical-flow intensity of a video and the static clips mined from it.

    Args:
        intensity: `(n,)` mean flow length from each frame of a clock to the next.
        fps: frames a second of that clock.
        duration: seconds of the video.
        static: `[start, end)` of the static clips in seconds.
    """

    intensity: npt.NDArray[np.float32]
    fps: float
    duration: float
    static: tuple[tuple[float, float], ...]


def _flow_file(folder: Path, video: Path) -> Path:
    stat = video.stat()
    digest = hashlib.sha1(f"{video.resolve()}|{stat.st_mtime_ns}|{stat.st_size}".encode(), usedforsecurity=False)
    return folder / f"{digest.hexdigest()[:20]}.npz"


def stored_flow(folder: Path, video: Path) -> Flow | None:
    """Return the flow of a video that was computed before, None where it was not."""
    file = _flow_file(folder, video)
    if not file.is_file():
        return None
    with load_npz(file) as kept:
        spans = np.asarray(kept["static"], dtype=np.float64).reshape(-1, 2)
        return Flow(
            np.asarray(kept["intensity"], dtype=np.float32),
            float(kept["fps"]),
            float(kept["duration"]),
            tuple((float(a), float(b)) for a, b in spans),
        )


def compute_flow(folder: Path, video: Path, grid: SnippetGrid) -> Flow:
    """Compute a video's flow intensity on the grid's clock, mine its static clips, and keep both in `folder`.

    Raises:
        DataError: the video cannot be decoded.
    """
    from wtal_core.video.optical_flow import flow_intensity
    from wtal_core.video.static_clips import mine_static_clips

    intensity = flow_intensity(video, fps=grid.fps)
    static = mine_static_clips(intensity, grid).segments
    with atomic_path(_flow_file(folder, video)) as temporary:
        np.savez(
            temporary,
            intensity=intensity.astype(np.float32),
            fps=grid.fps,
            duration=grid.duration or (len(intensity) + 1) / grid.fps,
            static=np.asarray(static, dtype=np.float64),
        )
    kept = stored_flow(folder, video)
    assert kept is not None
    return kept


# -- keeping it ---------------------------------------------------------------------------------------------------


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


def keep_as_new_run(run: Run, result: LiveResult, *, folder: str | os.PathLike[str] | None = None) -> Run:
    """Make a run folder of changed post-processing: same weights and activations, new detections and evaluation.

    Weights and activations are hard links where the file system allows it, else copies.

    Args:
        run: the run it comes from; stays as it is.
        result: of `LiveSplit.update`.
        folder: where to make it; default `<run>-2` beside the run.

    Raises:
        UsageError: there is a run already.
    """
    target = Path(folder) if folder is not None else free_folder(run)
    config = replace(run.config(), localization=result.localization)
    changed = settings.differences(result.localization, run.config().localization)
    said = ", ".join(f"{key}={_short(value)}" for key, value in changed.items()) or "no changes"
    note = f"Post-processing of {run.name}: {said}"
    info: RunInfo = replace(
        run.info,
        config=settings.to_dict(config),
        created="",
        notes=f"{run.info.notes}\n{note}".strip(),
    )
    new = Run.create(target, info)
    for name in run.checkpoints():
        _link(run.checkpoint_path(name), new.checkpoint_path(name))
    if run.activations_path.is_file():
        _link(run.activations_path, new.activations_path)
    write_detections(result.detections, new.detections_path, format="activitynet")
    write_json(new.folder / "localization.json", settings.to_dict(result.localization))
    subset = result.evaluation
    write_json(
        new.evaluation_path,
        {"subset": None, "videos": subset.num_videos, "evaluations": [result.evaluation.to_dict()]},
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
