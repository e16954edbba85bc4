"""`wtal bench evaluate`: how long the evaluator needs, and how much memory."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError, counted

if TYPE_CHECKING:
    from wtal_core.records import Annotations, Detections

__all__ = ["BenchEvaluate"]


@dataclass(frozen=True)
class BenchEvaluate:
    """Time the evaluator on a made case and report how much memory it takes."""

    case: Literal["usual", "large", "crowded"] = "usual"
    """usual: 200,000 detections in 5,000 videos of 200 classes. large: 2,000,000 in 19,000. crowded: one video whose
    40,000 detections overlap all of its 2,000 instances."""
    detections: int | None = None
    """Number of detections. Default: the case's."""
    videos: int | None = None
    """Number of videos. Default: the case's."""
    classes: int | None = None
    """Number of classes. Default: the case's."""
    instances: int | None = None
    """Number of instances of the crowded case. Default: 2,000."""
    tiou: str = "0.5:0.95"
    """tIoU thresholds: a preset (0.1:0.7, 0.1:0.5, 0.3:0.7, 0.5:0.95, 0.1:0.9), first:last:step, or numbers
    (0.3,0.5)."""
    protocol: tuple[str, ...] = field(default=("activitynet", "thumos14", "wtalc"))
    """Protocols to time."""
    repeats: int = 5
    """Runs per protocol; the median is reported."""
    seed: int = 0
    """Seed of the random case."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of a table (seconds, bytes)."""

    def run(self) -> int:
        """Run the benchmark and print it."""
        from wtal_core.evaluation.benchmark import (
            memory_above,
            peak_memory_bytes,
            resident_memory_bytes,
            time_evaluation,
        )
        from wtal_core.evaluation.protocols import get_protocol, parse_tiou

        if self.repeats < 1 or not self.protocol:
            raise UsageError(
                "there is nothing to time",
                expected="--repeats >= 1 and a protocol",
                got=f"{self.repeats} repeats, {len(self.protocol)} protocols",
                next_step="Leave the option out to take its default",
            )
        for name in self.protocol:
            get_protocol(name)
        thresholds = parse_tiou(self.tiou)
        detections, annotations = self._inputs()
        inputs = resident_memory_bytes()
        results = [
            time_evaluation(detections, annotations, protocol=name, tiou=self.tiou, repeats=self.repeats)
            for name in self.protocol
        ]
        peak, above = peak_memory_bytes(), memory_above(inputs)
        if self.as_json:
            report: dict[str, Any] = {
                "case": self.case,
                "detections": len(detections),
                "videos": len(annotations.videos),
                "classes": len(annotations.classes),
                "instances": len(annotations.instances),
                "tiou": thresholds,
                "repeats": self.repeats,
                "results": [
                    {
                        "protocol": result.protocol,
                        "median_seconds": statistics.median(result.first),
                        "median_cpu_seconds": statistics.median(result.cpu),
                        "median_seconds_prepared": statistics.median(result.again),
                        "seconds": result.first,
                        "average_map": result.average,
                    }
                    for result in results
                ],
                "peak_memory_bytes": peak,
                "memory_above_inputs_bytes": above,
            }
            print_json(report)
            return 0
        print(
            f"{len(detections):,} detections, {counted(len(annotations.videos), 'video')}, "
            f"{counted(len(annotations.classes), 'class', 'classes')}, "
            f"{len(annotations.instances):,} instances, {len(thresholds)} tIoU, {counted(self.repeats, 'run')}"
        )
        print_table(
            ["protocol", "median ms", "CPU ms", "prepared ms", "average mAP %"],
            [
                (
                    result.protocol,
                    f"{1000 * statistics.median(result.first):.0f}",
                    f"{1000 * statistics.median(result.cpu):.0f}",
                    f"{1000 * statistics.median(result.again):.0f}",
                    f"{100 * result.average:.1f}",
                )
                for result in results
            ],
        )
        print("prepared: ground truth prepared before, no match table (what a threshold slider pays)")
        print(f"peak memory of the process: {_in_mebibytes(peak)}; above the inputs: {_in_mebibytes(above)}")
        return 0

    def _inputs(self) -> tuple[Detections, Annotations]:
        from wtal_core.evaluation.benchmark import crowded_case, random_case

        if self.case == "crowded":
            if self.videos is not None or self.classes is not None:
                raise UsageError(
                    "the crowded case is one video of one class",
                    next_step="Leave out their numbers, or take another case",
                    arguments=("videos", "classes"),
                )
            return crowded_case(_or(self.detections, 40_000), _or(self.instances, 2_000), seed=self.seed)
        if self.instances is not None:
            raise UsageError(
                "only the crowded case has a number of instances",
                next_step="Leave it out, or take the crowded case",
                arguments=("instances",),
            )
        usual = {"usual": (200_000, 5_000), "large": (2_000_000, 19_000)}[self.case]
        return random_case(
            _or(self.detections, usual[0]), _or(self.videos, usual[1]), _or(self.classes, 200), seed=self.seed
        )


def _or(number: int | None, default: int) -> int:
    return default if number is None else number


def _in_mebibytes(size: int | None) -> str:
    return "not known here" if size is None else f"{size / 2**20:.0f} MiB"
