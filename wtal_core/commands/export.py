"""`wtal export`: detections and ground truth to subtitles and annotation tools, and what those tools made back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from wtal_core.commands.output import print_json, refuse_overwriting
from wtal_core.errors import UsageError, counted, unknown_name

if TYPE_CHECKING:
    from wtal_core.interchange import Layer, Media
    from wtal_core.records import Annotations, Detections

__all__ = ["Export"]


@dataclass(frozen=True)
class Export:
    """Write detections and ground truth for other tools, or turn what other tools wrote into annotations.

    Sources are data set folders, annotation files, run folders, detection files, and files of the tools themselves: a
    folder of .eaf files becomes ActivityNet JSON by --format activitynet.
    """

    sources: tyro.conf.Positional[tuple[str, ...]]
    """Data set, annotations, runs, detection files; each PATH or NAME=PATH (the layer's name)."""
    to: Path
    """File, or folder for formats of one video a file (vtt, srt, ass, elan)."""
    format: Literal["auto", "vtt", "srt", "ass", "elan", "via", "label_studio", "activitynet", "csv"] = "auto"
    """Format; auto chooses by the suffix: .vtt, .srt, .ass, .eaf (which hold one video) or .csv."""
    videos: tuple[str, ...] = ()
    """Only these videos. Default: all of the ground truth, else all that are detected in."""
    min_score: float | None = None
    """Leave out detections with a lower score."""
    top: int = 0
    """Only so many best-scored detections of each video and class; 0: all."""
    tracks: bool = False
    """Also write the data set's further tracks (context, phases, ...)."""
    fps: float | None = None
    """Label Studio: frames a second of the videos."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print a summary as JSON."""

    def run(self) -> int:
        """Export."""
        from wtal_core.interchange import EXTENSIONS, FORMATS, write_all, write_video

        if not self.sources:
            raise UsageError(
                "nothing to export",
                expected="a data set, annotations, runs or detection files",
                next_step="Name at least one of them",
            )
        if self.top < 0:
            raise UsageError(
                "--top is negative",
                expected="a number >= 0",
                got=str(self.top),
                next_step="Give the detections of each video and class to write; 0 writes all",
            )
        if self.fps is not None and not 0 < self.fps < 1000:
            raise UsageError(
                "is out of range",
                expected="frames a second",
                got=str(self.fps),
                where="--fps",
                next_step="Leave --fps out to take that of the videos",
            )
        refuse_overwriting(self.to, *(Path(text.partition("=")[2] or text) for text in self.sources), option="--to")
        layers, truth, media = self._gather()
        suffix = self.to.suffix.lower()
        form = {**EXTENSIONS, ".csv": "csv"}.get(suffix, "") if self.format == "auto" else self.format
        if not form:
            raise UsageError(
                "the format is not known",
                expected="--format NAME",
                got=repr(suffix),
                where="--to",
                next_step="Name the format, or give the file the ending of one",
            )
        if form in ("activitynet", "csv"):
            files = self._tables(form, layers, truth)
        elif suffix in EXTENSIONS and not FORMATS[form][1]:
            if len(media) != 1:
                raise UsageError(
                    "one file holds one video",
                    expected="--videos with one id, or a folder in --to",
                    got=f"{len(media)} videos",
                    where=self.to,
                    next_step="Choose one video, or a folder",
                )
            write_video(self.to, form, layers, media[0])
            files = [self.to]
        else:
            if FORMATS[form][1] and suffix != FORMATS[form][0]:
                raise UsageError(
                    "is not a JSON file",
                    expected="--to NAME.json",
                    got=repr(suffix),
                    where="--to",
                    next_step="Give the name in --to the ending .json",
                )
            files = write_all(self.to, form, layers, media, fps=self.fps or 25.0)
        written = {m.video for m in media}
        counts = {layer.name: sum(video in written for video in layer.table.video) for layer in layers}
        if self.as_json:
            print_json({"format": form, "files": files, "videos": len(media), "layers": counts})
        else:
            shown = files[0] if len(files) == 1 else f"{self.to} ({len(files)} files)"
            print(f"{shown}: {counted(len(media), 'video')}, " + ", ".join(f"{name} {n}" for name, n in counts.items()))
        return 0

    def _gather(self) -> tuple[list[Layer], Annotations | None, list[Media]]:
        """Read the sources; return layers, the first ground truth, and the videos."""
        from wtal_core.interchange import Layer, Media
        from wtal_core.interchange.layers import GROUND_TRUTH
        from wtal_core.records import Annotations, Detections

        layers: list[Layer] = []
        truth: Annotations | None = None
        files: dict[str, Path] = {}
        for text in self.sources:
            name, equals, path = text.partition("=")
            name, source = (name, Path(path)) if equals else ("", Path(text))
            found, found_files = self._read(source)
            files |= found_files
            if isinstance(found, Annotations):
                truth = truth or found
                layers.append(Layer(name or GROUND_TRUTH, found.instances))
                if len(found.ambiguous):
                    layers.append(Layer("Ambiguous", found.ambiguous))
                if self.tracks:
                    layers += [Layer(track, table) for track, table in found.tracks.items()]
            else:
                layers.append(Layer(name or source.resolve().stem, self._best(found)))
        videos = list(truth.videos) if truth is not None else []
        detected = [v for layer in layers if isinstance(layer.table, Detections) for v in layer.table.video_codes[1]]
        videos = videos or list(dict.fromkeys(detected))
        for video in self.videos:
            if video not in videos:
                raise unknown_name("video", video, videos, where="--videos")
        media = []
        for video in self.videos or videos:
            info = truth.videos[video] if truth is not None else None
            file = files.get(video)
            media.append(
                Media(
                    video,
                    str(file.resolve()) if file is not None else f"{video}.mp4",
                    self.fps or (info.fps if info is not None else None),
                    info.duration if info is not None else None,
                )
            )
        return layers, truth, media

    def _read(self, source: Path) -> tuple[Annotations | Detections, dict[str, Path]]:
        """Return the annotations or detections behind a source, and video files where it knows them."""
        from wtal_core.data import Dataset, read_annotations, read_detections
        from wtal_core.data.explain import explain
        from wtal_core.errors import DataError
        from wtal_core.interchange import detect_format, read
        from wtal_core.runs.find import open_source

        if not source.exists():
            raise DataError("does not exist", where=source, next_step="Check the path")
        if (source / "dataset.yaml").is_file():
            dataset = Dataset.open(source)
            paths = {v: dataset.video_path(v) for v in dataset.annotations.videos}
            return dataset.annotations, {v: p for v, p in paths.items() if p is not None}
        if (source / "run.yaml").is_file():
            return open_source(source).detections, {}
        if detect_format(source) is not None:
            return read(source, fps=self.fps), {}
        kind = explain(source).kind
        return (read_detections(source) if kind == "detections" else read_annotations(source)), {}

    def _best(self, found: Detections) -> Detections:
        """Return the detections that are to be written."""
        import numpy as np

        if self.min_score is not None:
            found = found[found.score >= self.min_score]
        if self.top and len(found):
            group = found.video_codes[0] * len(found.label_codes[1]) + found.label_codes[0]
            order = np.lexsort((-found.score, group))
            first = np.searchsorted(group[order], group[order])  # where each group begins in the order
            found = found[np.sort(order[np.arange(len(order)) - first < self.top])]
        return found

    def _tables(self, form: str, layers: list[Layer], truth: Annotations | None) -> list[Path]:
        """Write the annotations or the detections of the only source."""
        import numpy as np

        from wtal_core.data import write_annotations, write_detections
        from wtal_core.records import Detections

        if len(self.sources) > 1:
            raise UsageError(
                "this format holds one source",
                expected="one source",
                got=str(len(self.sources)),
                where=form,
                next_step="Export one source a file, or choose another format",
            )
        if truth is not None:
            write_annotations(truth.only(self.videos) if self.videos else truth, self.to, format=form)
        else:
            (found,) = (layer.table for layer in layers if isinstance(layer.table, Detections))
            if self.videos:
                found = found[np.isin(found.video, self.videos)]
            write_detections(found, self.to, format=form)
        return [self.to]
