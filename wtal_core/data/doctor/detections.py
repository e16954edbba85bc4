"""Checks of detections, of any system, against a data set's annotations."""

from __future__ import annotations

from dataclasses import dataclass

from wtal_core.errors import nearest
from wtal_core.records import Annotations, Detections

__all__ = ["DetectionCheck", "check_detections"]


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
