"""`wtal data explain`: say what a file or folder is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wtal_core.commands.output import command_line, print_json
from wtal_core.errors import UsageError

__all__ = ["Explain"]


@dataclass(frozen=True)
class Explain:
    """Say what a feature, annotation, detection or weight file (or folder) is, and what it does not tell.

    Opens .h5, .npy, .npz, .pkl, .json, .txt, .csv, .pt, .pth, .safetensors and folders; runs no code from them.
    """

    path: Annotated[Path, tyro.conf.Positional]
    """The file or folder."""
    duration: float | None = None
    """Duration of the video in seconds, to find the snippet grid of one video's features."""
    annotations: Path | None = None
    """Annotations that know the durations. Default: annotations.json or gt.json beside the file."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the explanation."""
        from rich.console import Console

        from wtal_core.data.explain import explain, facts_as_text

        if self.duration is not None and not self.duration > 0:
            raise UsageError(
                "--duration is out of range",
                expected="seconds > 0",
                got=str(self.duration),
                next_step="Give the video's length in seconds",
            )
        found = explain(self.path, duration=self.duration, annotations=self.annotations)
        step = command_line(found.next_step, found.options)
        if self.json:
            print_json(found.to_dict() | {"next_step": step})
            return 0
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"{self.path}: {found.summary}", markup=False)
        facts = facts_as_text(found)
        width = max(map(len, facts), default=0)
        for name, text in facts.items():
            console.print(f"  {name:<{width}}  {text}", markup=False)
        for text in found.unknown:
            console.print(f"  not told: {text}", markup=False)
        if step:
            console.print(f"  next: {step}", markup=False)
        return 0
