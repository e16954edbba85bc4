"""Evaluation cases of any size, realistic or crowded, and how long the evaluator needs for them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wtal_core.errors import UsageError
from wtal_core.evaluation.evaluator import evaluate
from wtal_core.evaluation.ground_truth import GroundTruthIndex
from wtal_core.records import Annotations, Detections, Segments, VideoInfo, as_names

__all__ = [
    "BenchmarkResult",
    "crowded_case",
    "memory_above",
    "peak_memory_bytes",
    "random_case",
    "resident_memory_bytes",
    "time_evaluation",
]


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """Times of one benchmark.

    Args:
        protocol: name of the protocol.
        first: seconds of each run from annotations: preparation of the ground truth, evaluation and match table.
        cpu: processor seconds of the same runs, which a busy machine does not lengthen.
        again: seconds of each run with a prepared `GroundTruthIndex` and without a match table.
        average: average mAP, in [0, 1], so that a broken run shows.
    """

    protocol: str
    first: tuple[float, ...]
    cpu: tuple[float, ...]
    again: tuple[float, ...]
    average: float


def random_case(
    num_detections: int,
    num_videos: int,
    num_classes: int,
    *,
    instances_per_video: float = 4.0,
    seed: int = 0,
) -> tuple[Detections, Annotations]:
    """Return detections and annotations such as a method makes them, reproducibly.

    Every video shows one or two classes in several instances (plus one Ambiguous interval in every tenth video). Of the
    detections of a video half are its instances with jittered boundaries and half lie anywhere; one in five has a
    wrong class. Scores say a little about which is which.

    Raises:
        UsageError: a number is not positive.
    """
    if min(num_detections, num_videos, num_classes) < 1 or instances_per_video <= 0:
        raise UsageError(
            "a benchmark needs at least one detection, video, class and instance",
            next_step="Leave the numbers out to take the defaults",
        )
    rng = np.random.default_rng(seed)
    duration = rng.uniform(60.0, 300.0, num_videos)
    shown = rng.integers(num_classes, size=(num_videos, 2))  # one class in two thirds of the videos
    shown[:, 1] = np.where(rng.random(num_videos) < 2 / 3, shown[:, 0], shown[:, 1])

    gt_video = np.repeat(np.arange(num_videos), 1 + rng.poisson(instances_per_video - 1, num_videos))
    gt_label = shown[gt_video, rng.integers(2, size=gt_video.size)]
    gt_start = np.round(rng.random(gt_video.size) * (duration[gt_video] - 30.0), 1)
    gt_end = gt_start + np.round(rng.uniform(1.0, 30.0, gt_video.size), 1)

    source = rng.integers(gt_video.size, size=num_detections)
    video = gt_video[source]
    near = rng.random(num_detections) < 0.5
    jitter = (gt_end - gt_start)[source, None] * rng.normal(0.0, 0.25, (num_detections, 2))
    length = rng.uniform(1.0, 30.0, num_detections)
    anywhere = rng.random(num_detections) * (duration[video] - 30.0)
    start = np.maximum(np.where(near, gt_start[source] + jitter[:, 0], anywhere), 0.0)
    end = np.maximum(np.where(near, gt_end[source] + jitter[:, 1], anywhere + length), start)
    wrong = rng.random(num_detections) < 0.2
    label = np.where(wrong, rng.integers(num_classes, size=num_detections), gt_label[source])
    score = rng.normal(0.0, 1.0, num_detections) + near - 0.5 * wrong

    def named(prefix: str, width: int, numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[str]:
        return [f"{prefix}{number:0{width}d}" for number in numbers.tolist()]  # fresh strings, as a file reader makes

    classes = named("class_", 3, np.arange(num_classes))
    videos = named("video_", 6, np.arange(num_videos))
    ambiguous = np.arange(0, num_videos, 10)
    return (
        Detections(as_names(named("video_", 6, video)), as_names(named("class_", 3, label)), start, end, score),
        Annotations(
            classes=tuple(classes),
            videos={v: VideoInfo(subset="test", duration=float(d)) for v, d in zip(videos, duration, strict=True)},
            instances=Segments(
                as_names(named("video_", 6, gt_video)), as_names(named("class_", 3, gt_label)), gt_start, gt_end
            ),
            ambiguous=Segments(
                as_names(named("video_", 6, ambiguous)), "Ambiguous", np.zeros(ambiguous.size), duration[ambiguous] / 20
            ),
            source="random case",
        ),
    )


def crowded_case(num_detections: int, num_instances: int, *, seed: int = 0) -> tuple[Detections, Annotations]:
    """Return detections and instances of one video and one class that all overlap each other.

    Raises:
        UsageError: a number is not positive.
    """
    if min(num_detections, num_instances) < 1:
        raise UsageError(
            "a benchmark needs at least one detection and one instance",
            next_step="Leave the numbers out to take the defaults",
        )
    rng = np.random.default_rng(seed)

    def wide(number: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return rng.uniform(0.0, 30.0, number), rng.uniform(60.0, 90.0, number)

    detections = Detections("video", "class", *wide(num_detections), rng.normal(0.0, 1.0, num_detections))
    return detections, Annotations(
        classes=("class",),
        videos={"video": VideoInfo(subset="test", duration=90.0)},
        instances=Segments("video", "class", *wide(num_instances)),
        source="crowded case",
    )


def time_evaluation(
    detections: Detections,
    annotations: Annotations,
    *,
    protocol: str = "activitynet",
    tiou: str = "0.5:0.95",
    repeats: int = 5,
) -> BenchmarkResult:
    """Time whole evaluations; every run gets tables that have nothing prepared."""
    index = GroundTruthIndex(annotations)
    first, cpu, again, average = [], [], [], 0.0
    for _ in range(repeats):
        truth = replace(annotations, instances=_anew(annotations.instances), ambiguous=_anew(annotations.ambiguous))
        rows = _anew(detections)
        began, began_cpu = time.perf_counter(), time.process_time()
        average = evaluate(rows, truth, protocol=protocol, tiou=tiou).average
        first.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
        rows = _anew(detections)
        began = time.perf_counter()
        evaluate(rows, index, protocol=protocol, tiou=tiou, matches=False)
        again.append(time.perf_counter() - began)
    return BenchmarkResult(protocol, tuple(first), tuple(cpu), tuple(again), average)


_Rows = TypeVar("_Rows", Detections, Segments)


def _anew(table: _Rows) -> _Rows:
    """Return the table without the name codes it may have computed before."""
    return table[np.arange(len(table))]


def memory_above(start: int | None) -> int | None:
    """Return how far the peak memory of this process went above `start`, None where the system does not say."""
    peak = peak_memory_bytes()
    return None if peak is None or start is None else max(peak - start, 0)


def resident_memory_bytes() -> int | None:
    """Return the memory this process has now, and let its peak begin anew; None where the system does neither."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as refs:
            refs.write("5")  # the largest resident size begins anew
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return None


def peak_memory_bytes() -> int | None:
    """Return the largest resident memory this process has had, or None where the system does not say (Windows)."""
    try:  # Linux: getrusage would also count what the parent held when it started this process
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # macOS counts bytes, Linux KiB
