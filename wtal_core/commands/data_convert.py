"""`wtal data convert`: features to the native file, annotations and detections to another format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wtal_core.commands.data_arguments import Foreign, ForeignFeatures
from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError, counted

__all__ = ["Convert"]


@dataclass(frozen=True)
class Convert:
    """Convert features to the native .h5 file, or annotations and detections to another format.

    An interrupted conversion of features goes on where it stopped when it is run again.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Features: .h5, .npy, .npz, a folder of them. Annotations or detections: .json, .csv, .txt, a folder."""
    to: Path
    """What to write: NAME.h5 for features; NAME.json, NAME.csv, NAME.txt or (THUMOS14 text annotations) a folder."""
    kind: Literal["auto", "features", "annotations", "detections"] = "auto"
    """What the source is; auto looks."""
    format: Literal["auto", "activitynet", "thumos14", "csv"] = "auto"
    """Format of annotations or detections; auto goes by the ending of --to."""
    dtype: Literal["float16", "float32"] = "float16"
    """Type of features on disk. float16 refuses values beyond 65,504."""
    annotations: Path | None = None
    """Annotations that know durations (seconds) and, for "@native" grids, the videos' frame rates."""
    exclude: tuple[str, ...] = ()
    """Videos whose features to leave out."""
    foreign: Foreign = field(default_factory=ForeignFeatures)
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Convert and print what was done."""
        kind = self._kind() if self.kind == "auto" else self.kind
        if self.source.exists() and self.to.exists() and self.source.samefile(self.to):
            raise UsageError(
                "source and target are the same", got=str(self.to), where="--to", next_step="Name another file in --to"
            )
        summary = self._features() if kind == "features" else self._table(kind)
        if self.json:
            print_json({"kind": kind, "source": self.source, "to": self.to, **summary})
        else:
            print(f"{self.to}: {', '.join(_counts(summary))}")
            for note in summary["notes"]:
                print(f"note: {note}")
        return 0

    def _kind(self) -> str:
        """Find out what the source is from the target's ending and a look at the source."""
        if self.to.suffix.lower() in (".h5", ".hdf5"):
            return "features"
        from wtal_core.data.explain import explain

        kind = explain(self.source).kind
        if kind in ("features", "annotations", "detections"):
            return kind
        raise UsageError(
            f"cannot be converted: it is {explain(self.source).summary}",
            expected="features, annotations or detections",
            where=self.source,
            next_step="'wtal weights convert' converts checkpoints; 'wtal data explain' says more about this file",
        )

    def _features(self) -> dict[str, Any]:
        from wtal_core.data.annotations import read_annotations
        from wtal_core.data.features import convert_features

        if self.to.suffix.lower() not in (".h5", ".hdf5"):
            raise UsageError(
                "features go into an HDF5 file",
                expected="--to NAME.h5",
                got=str(self.to),
                where="--to",
                next_step="Give the name in --to the ending .h5",
            )
        self.foreign.refuse_unused([self.source])
        annotations = read_annotations(self.annotations) if self.annotations else None
        with self.foreign.facts().open(self.source, annotations=annotations) as store:
            left = [file.name for file in getattr(getattr(store, "source", None), "unpaired", [])]
            done = convert_features(store, self.to, dtype=self.dtype, exclude=self.exclude, quiet=self.json)
        summary: dict[str, Any] = {"written": done.written, "kept": done.kept, "snippets": done.snippets}
        note = f"{counted(len(left), 'file')} without the other of RGB and flow left out: {', '.join(left[:5])}"
        return summary | {"bytes": self.to.stat().st_size, "notes": [note] if left else []}

    def _table(self, kind: str) -> dict[str, Any]:
        plain = Convert(source=self.source, to=self.to, foreign=ForeignFeatures(strip_prefix=self.foreign.strip_prefix))
        for name in ("dtype", "annotations", "exclude", "foreign"):
            if getattr(self, name) != getattr(plain, name):
                flags = "--grid and the other options of feature files" if name == "foreign" else f"--{name}"
                raise UsageError(
                    f"not for {kind}: {flags}",
                    expected="features to convert",
                    where=self.source,
                    next_step=f"Leave {flags} out",
                )
        form = None if self.format == "auto" else self.format
        prefix = self.foreign.strip_prefix
        if kind == "annotations":
            from wtal_core.data.annotations import read_annotations, write_annotations

            annotations = read_annotations(self.source).renamed_videos(lambda video: video.removeprefix(prefix))
            write_annotations(annotations, self.to, format=form)
            return {
                "videos": len(annotations.videos),
                "instances": len(annotations.instances),
                "ambiguous": len(annotations.ambiguous),
                "classes": len(annotations.classes),
                "notes": list(annotations.notes),
            }
        from wtal_core.data.detections import read_detections, write_detections

        detections = read_detections(self.source).renamed_videos(lambda video: video.removeprefix(prefix))
        write_detections(detections, self.to, format=form)
        return {"detections": len(detections), "videos": len(set(detections.video)), "notes": []}


def _counts(summary: dict[str, Any]) -> list[str]:
    """Return the numbers of a summary with their nouns: "2 videos", "1 class"."""
    nouns = {"videos": "video", "instances": "instance", "detections": "detection", "snippets": "snippet",
             "bytes": "byte"}  # fmt: skip
    return [
        counted(value, "class", "classes") if name == "classes" else counted(value, nouns.get(name, name), name)
        for name, value in summary.items()
        if isinstance(value, int)
    ]
