"""`wtal figure`: a spec file -> a qualitative figure for a paper, for the runs it names or for others."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import MissingDependency

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """Make the figure of a spec file (compose one on the Figures page): SVG, PDF with TrueType fonts, or PNG."""

    spec: tyro.conf.Positional[Path]
    """Spec file (.yaml). Its relative paths start in its folder."""
    out: tuple[Path, ...] = ()
    """Files to write; .svg, .pdf or .png. Default: a PDF beside the spec."""
    runs: Annotated[tuple[str, ...], tyro.conf.arg(name="run")] = ()
    """Other runs: PATH replaces the leading one, NAME=PATH the one of that name (or adds it)."""
    data: Path | None = None
    """Other data set folder."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the spec that differ, e.g. video=video_test_0000324 class=LongJump style=curve width=double."""
    save_spec: Path | None = None
    """Also write the spec with these changes there."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Make the figure."""
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingDependency("matplotlib is not installed", next_step="Install it: pip install 'wtal[figures]'")
        from wtal_core.figures.content import load
        from wtal_core.figures.export import save
        from wtal_core.figures.spec import FigureSpec

        spec = FigureSpec.open(self.spec)
        changes = dict(self.set)
        if self.data is not None:
            changes["data"] = str(self.data.expanduser().resolve())
        if changes:
            spec = FigureSpec.from_dict({**spec.to_dict(), **changes}, self.spec, spec.folder)
        spec = spec.with_runs(self.runs)
        data = load(spec)
        files = save(spec, self.out or [self.spec.with_suffix(".pdf")], data)
        if self.save_spec is not None:
            spec.save(self.save_spec)
        if self.as_json:
            print_json(
                {
                    "files": files,
                    "video": data.video,
                    "class": data.label,
                    "width_inches": spec.inches,
                    "runs": {name: run.method for name, run in data.runs.items()},
                }
            )
        else:
            print(f"{data.video}, {data.label}, {spec.inches:g} in wide: {', '.join(map(str, files))}")
        return 0
