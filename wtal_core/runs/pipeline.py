"""What comes after training: features -> activations -> detections -> evaluation, each step stored in the run folder.

Activations need the model; everything after them does not, so thresholds can be changed wherever the folder is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wtal_core import settings
from wtal_core.data import write_detections
from wtal_core.data.activations import ActivationWriter
from wtal_core.data.dataset import Dataset
from wtal_core.data.features.store import FeatureStore, videos_with_features
from wtal_core.data.hdf5 import fresh_path, has_entries, remove_entries, remove_unfinished
from wtal_core.errors import DataError, UsageError
from wtal_core.evaluation import evaluate
from wtal_core.files import write_json
from wtal_core.progress import track
from wtal_core.records import Activations, Annotations, Detections, Evaluation, Provenance
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import localizer_of

if TYPE_CHECKING:
    import torch

    from wtal_core.methods import Method

__all__ = [
    "Inference",
    "check_provenance",
    "evaluate_run",
    "infer",
    "infer_videos",
    "localize",
    "rescore",
    "stored_activations",
]


#: Videos whose activations `localize` holds in memory together: enough for one array operation to be worth it.
_VIDEOS_AT_ONCE = 256


@dataclass(frozen=True)
class Inference:
    """What an inference did: videos computed and skipped, seconds of computing."""

    computed: int
    skipped: int
    missing: tuple[str, ...]
    seconds: float


def check_provenance(
    trained: Provenance,
    given: Provenance,
    *,
    where: object,
    otherwise: str = "insist on these",
    arguments: Sequence[str] = ("features", "any_features"),
) -> None:
    """Refuse features of another extractor than the model was trained on.

    Args:
        trained, given: what made the features the model knows, and those at hand.
        where: names the run in the message.
        otherwise: what the user can do who has no other features.
        arguments: names of the arguments that this is about.

    Raises:
        DataError: both extractors are known and differ, or the streams do.
    """
    if trained.extractor and given.extractor and trained.extractor != given.extractor:
        raise DataError(
            "the features come from another extractor than the model was trained on",
            expected=trained.extractor,
            got=given.extractor,
            where=where,
            next_step=f"Take features of the right one, or {otherwise}",
            arguments=arguments,
        )
    if trained.modalities and given.modalities and trained.modalities != given.modalities:
        raise DataError(
            "the features have other streams than the model was trained on",
            expected=" + ".join(f"{n} ({w})" for n, w in trained.modalities),
            got=" + ".join(f"{n} ({w})" for n, w in given.modalities),
            where=where,
            next_step=f"Choose the right features, or {otherwise}",
            arguments=arguments,
        )


def infer_videos(method: Method, store: FeatureStore, videos: Iterable[str]) -> dict[str, Activations]:
    """Compute the activations of videos in memory, between the steps of a training."""
    store = method.read_features(method.config, store, training=False)
    return {
        video: method.activations(features.data, grid=features.grid, video=video)
        for video, features in ((v, store.read(v)) for v in videos)
    }


def infer(
    run: Run,
    store: FeatureStore,
    videos: Sequence[str],
    *,
    checkpoint: str = "last",
    device: str | torch.device = "cpu",
    any_features: bool = False,
    keep: bool = False,
    quiet: bool = False,
) -> Inference:
    """Compute activations of videos and store them in the run, in place of those before once all are there.

    Args:
        run: the run; its checkpoint is loaded.
        store: features.
        videos: which ones. Those without features are reported and left out.
        checkpoint: "last" or "best".
        device: where to compute.
        any_features: accept features of another extractor.
        keep: compute only what is missing: of an interrupted inference, else of what is stored.
        quiet: no progress bar.

    Raises:
        DataError: features of another extractor or dimension; no video has features.
    """
    present = videos_with_features(store, videos)
    if store.dim != run.info.feature_dim:
        raise DataError(
            "the features have another dimension than the model",
            expected=str(run.info.feature_dim),
            got=str(store.dim),
            where=run.folder,
            next_step="Name features of the same extractor as those of the training",
        )
    if not any_features:
        check_provenance(run.info.provenance, store.provenance(present[0]), where=run.folder)
        run.method_class.check_features(run.config(), store, where=run.folder)
    method = run.method(checkpoint, device)
    store = method.read_features(method.config, store, training=False)
    stored = run.activations_path
    fresh = fresh_path(stored, checkpoint)
    if not keep:  # what an interrupted inference left may be of other weights
        for which in ("last", "best"):
            remove_entries(fresh_path(stored, which))
        remove_unfinished(stored)
    target = fresh if not keep or has_entries(fresh) else stored
    began = time.perf_counter()
    computed = skipped = 0
    with ActivationWriter(target) as writer:
        for video in track(present, "infer", quiet=quiet):
            if writer.has(video):
                skipped += 1
                continue
            features = store.read(video)
            writer.write(video, method.activations(features.data, grid=features.grid, video=video))
            computed += 1
    if target == fresh:
        os.replace(fresh, stored)
    missing = set(videos) - set(present)
    return Inference(computed, skipped, tuple(v for v in videos if v in missing), time.perf_counter() - began)


def stored_activations(run: Run, videos: Iterable[str] | None = None) -> dict[str, Activations]:
    """Read the stored activations of some videos (default all) into memory, videos in order; without embeddings."""
    with run.activations() as store:
        known = set(store.videos)
        chosen = store.videos if videos is None else [video for video in videos if video in known]
        return {video: store.read(video, embedding=False) for video in chosen}


def localize(
    run: Run,
    changes: Mapping[str, Any] | None = None,
    *,
    activations: Mapping[str, Activations] | None = None,
    store: bool = True,
) -> Detections:
    """Turn the run's stored activations into detections: by its method's rules, else by the generic ones.

    Args:
        run: the run.
        changes: localization settings that differ from the run's own, e.g. `{"class_threshold": 0.1}`.
        activations: use these instead of the stored ones.
        store: write `detections.json` (with the settings that were used).
    """
    localizer = localizer_of(run)
    localization = settings.override(localizer.settings, dict(changes or {}))
    if activations is None:
        with run.activations() as stored:  # a part at a time: those of thousands of videos do not fit into memory
            parts = [
                stored.videos[first : first + _VIDEOS_AT_ONCE]
                for first in range(0, len(stored.videos), _VIDEOS_AT_ONCE)
            ]
            detections = Detections.concat(
                localizer.detections({video: stored.read(video, embedding=False) for video in part}, localization)
                for part in parts
            )
    else:
        detections = localizer.detections(activations, localization)
    if store:
        write_detections(detections, run.detections_path, format="activitynet")
        write_json(run.folder / "localization.json", settings.to_dict(localization))
    return detections


def evaluate_run(
    run: Run,
    annotations: Annotations,
    *,
    protocols: Sequence[str] = ("activitynet",),
    tiou: Any = "0.1:0.7",
    subset: Sequence[str] | None = None,
    videos: Sequence[str] | None = None,
    detections: Detections | None = None,
    store: bool = True,
) -> dict[str, Evaluation]:
    """Score the run's detections under one or several protocols and store `evaluation.json`."""
    if detections is None:
        from wtal_core.data import read_detections

        if not run.detections_path.is_file():
            raise DataError("has no detections yet", where=run.folder, next_step=f"Run: wtal localize {run.folder}")
        detections = read_detections(run.detections_path)
    if not protocols:
        raise UsageError("no protocol was named", expected="at least one", next_step="Name one, e.g. activitynet")
    results = {
        name: evaluate(detections, annotations, protocol=name, tiou=tiou, subset=subset, videos=videos, matches=False)
        for name in protocols
    }
    if store:
        write_json(
            run.evaluation_path,
            {
                "subset": list(subset) if subset else None,
                "videos": len(videos) if videos is not None else None,
                "evaluations": [e.to_dict() for e in results.values()],
            },
        )
    return results


def rescore(
    run: Run,
    dataset: Dataset | None = None,
    *,
    subset: Sequence[str] | None = None,
    videos: Sequence[str] | None = None,
) -> dict[str, Evaluation]:
    """Score the run's new detections as its last ones were; the old scores go, also where the new cannot be had.

    Args:
        run: the run.
        dataset: the data set; default the one it was trained on.
        subset, videos: what was localized; default what the stored evaluation was on, else the run's test split.

    Returns:
        The evaluations by protocol, {} where the data set is not here.

    Raises:
        DataError, UsageError: the data set does not fit these detections.
    """
    stored: dict[str, Any] = {}
    with suppress(DataError):  # a damaged one is made anew
        stored = run.evaluation()
    run.evaluation_path.unlink(missing_ok=True)
    if dataset is None:
        home = run.dataset_folder
        if home is None or not (home / "dataset.yaml").is_file():
            return {}
        dataset = Dataset.open(home)
    before = stored.get("evaluations") or [{}]
    if subset is None:
        subset = stored.get("subset") or run.info.dataset.get("test")
        if videos is None and stored.get("videos") is not None:  # a choice of videos: those that have activations
            with run.activations() as activations:
                videos = [video for video in activations.videos if video in dataset.annotations.videos]
    return evaluate_run(
        run,
        dataset.annotations,
        protocols=[one.get("protocol", dataset.evaluation.protocol) for one in before],
        tiou=[float(level) for level in before[0].get("mean_ap", ())] or dataset.evaluation.tiou,
        subset=subset,
        videos=videos,
    )
