"""`wtal bench evaluate`: how long the evaluator needs, and how much memory."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError, counted

__all__ = ["BenchEvaluate"]


@dataclass(frozen=True)
class BenchEvaluate:
    """Time the evaluator on a random case and report the peak memory of the process."""

    detections: int = 200_000
    """Number of detections."""
    videos: int = 5_000
    """Number of videos."""
    classes: int = 200
    """Number of classes."""
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
        from wtal_core.evaluation.benchmark import peak_memory_bytes, random_case, time_evaluation
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
        detections, annotations = random_case(self.detections, self.videos, self.classes, seed=self.seed)
        results = [
            time_evaluation(detections, annotations, protocol=name, tiou=self.tiou, repeats=self.repeats)
            for name in self.protocol
        ]
        peak = peak_memory_bytes()
        if self.as_json:
            report: dict[str, Any] = {
                "detections": self.detections,
                "videos": self.videos,
                "classes": self.classes,
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
            }
            print_json(report)
            return 0
        print(
            f"{self.detections:,} detections, {self.videos:,} videos, {self.classes:,} classes, "
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
        print(f"peak memory of the process: {'not known here' if peak is None else f'{peak / 2**20:.0f} MiB'}")
        return 0
