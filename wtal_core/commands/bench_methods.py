"""`wtal bench localize` and `wtal bench train`: what post-processing and training steps cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError

__all__ = ["BenchLocalize", "BenchTrain"]


def _methods(wanted: tuple[str, ...]) -> list[str]:
    from wtal_core.methods.registry import list_methods, target_of

    for name in wanted:
        target_of(name)
    return list(wanted) or list_methods()


@dataclass(frozen=True)
class BenchLocalize:
    """Time each method's localization of a THUMOS14-sized test set: stored activations -> detections."""

    method: tuple[str, ...] = field(default=())
    """Methods to time: names of `wtal methods`, or module:Class. Default: all that have a name."""
    videos: int = 212
    """Number of videos, with THUMOS14-like lengths (mean about 340 snippets)."""
    preset: str | None = None
    """Preset whose localization settings are used. Default: each method's first."""
    repeats: int = 5
    """Runs; the median is reported."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON (seconds)."""

    def run(self) -> int:
        """Run the benchmark."""
        names = _methods(self.method)
        from wtal_core.training.benchmark import median, time_localization

        if self.repeats < 1 or self.videos < 1:
            raise UsageError(
                "there is nothing to time",
                expected="--repeats >= 1 and --videos >= 1",
                next_step="Leave the options out to take their defaults",
            )
        times = [
            time_localization(name, preset=self.preset, videos=self.videos, repeats=self.repeats) for name in names
        ]
        if self.as_json:
            print_json(
                [
                    {"method": t.method, "videos": t.videos, "snippets": t.snippets, "proposals": t.proposals,
                     "detections": t.detections, "median_seconds": median(t.wall), "median_cpu_seconds": median(t.cpu)}
                    for t in times
                ]
            )  # fmt: skip
            return 0
        print(f"{self.videos} videos, {times[0].snippets:,} snippets, 20 classes, {self.repeats} runs")
        print_table(
            ["method", "proposals", "detections", "median ms", "CPU ms"],
            [
                (
                    t.method,
                    f"{t.proposals:,}",
                    f"{t.detections:,}",
                    f"{1e3 * median(t.wall):.0f}",
                    f"{1e3 * median(t.cpu):.0f}",
                )
                for t in times
            ],
        )
        return 0


@dataclass(frozen=True)
class BenchTrain:
    """Time a training step of each method at the official batch size, video lengths and 2048 channels."""

    method: tuple[str, ...] = field(default=())
    """Methods to time: names of `wtal methods`, or module:Class. Default: all that have a name."""
    dim: int = 2048
    """Channels of the features."""
    preset: str | None = None
    """Preset whose batch is used. Default: each method's first."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Arithmetic of the step."""
    repeats: int = 3
    """Steps that are timed after one that is not; the median is reported."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON (seconds, bytes)."""

    def run(self) -> int:
        """Run the benchmark."""
        names = _methods(self.method)
        from wtal_core.devices import choose_device, device_name
        from wtal_core.training.benchmark import median, time_step

        if self.repeats < 1 or self.dim < 2:
            raise UsageError(
                "there is nothing to time",
                expected="--repeats >= 1 and --dim >= 2",
                next_step="Leave the options out to take their defaults",
            )
        device = choose_device(self.device)
        times = [
            t
            for name in names
            for t in time_step(
                name, preset=self.preset, dim=self.dim, device=device, precision=self.precision, repeats=self.repeats
            )
        ]
        if self.as_json:
            print_json(
                [
                    {
                        "method": t.method,
                        "stage": t.stage,
                        "videos": t.videos,
                        "snippets": t.snippets,
                        "device": device_name(device),
                        "median_seconds": median(t.wall),
                        "median_cpu_seconds": median(t.cpu),
                        "peak_gpu_bytes": t.peak_bytes,
                    }
                    for t in times
                ]
            )
            return 0
        print(f"{self.dim} channels, {self.precision}, {device_name(device)}, {self.repeats} steps")
        print_table(
            ["method", "stage", "videos", "snippets", "median s", "CPU s"],
            [
                (t.method, t.stage, t.videos, f"{t.snippets:,}", f"{median(t.wall):.3f}", f"{median(t.cpu):.3f}")
                for t in times
            ],
        )
        return 0
