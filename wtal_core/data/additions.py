"""Add to a data set folder: features that were made later, and detections of other systems checked against it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wtal_core.data.dataset import Dataset, FeatureFile
from wtal_core.errors import UsageError, nearest
from wtal_core.files import visible
from wtal_core.records import Annotations, Detections

__all__ = ["DetectionCheck", "check_detections", "list_features", "unlisted_features"]


def unlisted_features(dataset: Dataset) -> tuple[str, ...]:
    """Return the files in `features/` that `dataset.yaml` does not list, relative to the folder."""
    listed = {(dataset.folder / file.path).resolve() for file in dataset.feature_files}
    found = visible(dataset.folder / "features", "*.h5")
    return tuple(f"features/{path.name}" for path in found if path.resolve() not in listed)


def list_features(dataset: Dataset, path: str) -> Dataset:
    """Add a file of `unlisted_features` to `dataset.yaml` and return the data set as it is then.

    Raises:
        UsageError: it is no such file, or a set of features of this name is listed already.
    """
    if path not in unlisted_features(dataset):
        raise UsageError(
            "is not an unlisted file of features",
            where=dataset.folder / path,
            next_step="Name one of those that 'wtal data doctor' reports as not listed",
        )
    name = Path(path).stem
    if name in dataset.feature_names:
        raise UsageError(
            f"a set of features is called {name!r} already",
            where=dataset.folder / "dataset.yaml",
            next_step="Rename the file, or list it in dataset.yaml under another name",
        )
    changed = replace(dataset, feature_files=(*dataset.feature_files, FeatureFile(name, path)))
    changed.save()
    return changed


@dataclass(frozen=True)
class DetectionCheck:
    """How detections fit a data set.

    Args:
        rows, videos, classes: how many there are.
        known_rows: rows whose video and class the data set knows.
        problems: what does not fit, sentences.
    """

    rows: int
    videos: int
    classes: int
    known_rows: int
    problems: tuple[str, ...]


def check_detections(detections: Detections, annotations: Annotations) -> DetectionCheck:
    """Say how detections of any system fit a data set's annotations."""
    videos, classes = detections.video_codes[1], detections.label_codes[1]
    strange_videos = [v for v in videos if v not in annotations.videos]
    strange_classes = [c for c in classes if c not in annotations.classes]
    problems = []
    for what, strange, count, known in (
        ("videos", strange_videos, len(videos), list(annotations.videos)),
        ("classes", strange_classes, len(classes), list(annotations.classes)),
    ):
        if strange:
            guess = nearest(strange[0], known, 1)
            hint = f" (did they mean {guess[0]!r}?)" if guess else ""
            some = f"{len(strange)} of {count} {what}"
            problems.append(f"{some} are not in the data set, e.g. {strange[0]!r}{hint}: they are ignored.")
    late = 0
    for video, rows in detections.by_video().items():
        info = annotations.videos.get(video)
        if info is not None and info.duration is not None:
            late += int((rows.start >= info.duration).sum())
    if late:
        problems.append(f"{late} detections start after their video's end: other videos, or frames taken for seconds?")
    subsets = {annotations.videos[v].subset for v in videos if v in annotations.videos}
    same = [v for v, info in annotations.videos.items() if info.subset in subsets]
    missing = len(set(same) - set(videos))
    if missing and not strange_videos:
        names = " and ".join(sorted(s or "no subset" for s in subsets))
        problems.append(f"{missing} of {len(same)} videos of {names} have no detection: they count as misses.")
    unknown = set(strange_videos), set(strange_classes)
    known_rows = sum(
        v not in unknown[0] and c not in unknown[1]
        for v, c in zip(detections.video.tolist(), detections.label.tolist(), strict=True)
    )
    return DetectionCheck(len(detections), len(videos), len(classes), known_rows, tuple(problems))
