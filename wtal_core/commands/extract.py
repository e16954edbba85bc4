"""`wtal extract`: videos -> snippet features."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from wtal_core.commands.output import print_json
from wtal_core.errors import UsageError, counted

if TYPE_CHECKING:
    from wtal_core.video.backbones import Backbone
    from wtal_core.video.dataset_extraction import ExtractionReport

__all__ = ["Extract"]


@dataclass(frozen=True)
class Extract:
    """Turn videos into one HDF5 file of snippet features.

    Each video is decoded once, resampled to --fps by its timestamps, cut into snippets and described by one or more
    backbones. Finished videos are kept when a run is interrupted: the same command goes on from there. Several
    processes may work on the same --out with different --shard.

    Without weights: wtal extract VIDEOS --out f.h5 --backbone appearance-descriptor motion-descriptor
    I3D (RGB):       wtal weights get i3d-rgb; wtal extract VIDEOS --out f.h5 --backbone i3d-rgb
    Two streams:     wtal extract VIDEOS --out f.h5 --backbone i3d (flow is the motion descriptor where no I3D flow
                     weights are present, and is called so)
    """

    videos: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Video files, folders, glob patterns or dataset folders (with --merge: feature files)."""

    out: Path
    """Feature file to write or go on with (.h5)."""

    backbone: tuple[str, ...] = ("i3d",)
    """Streams in channel order: i3d-rgb, i3d-flow, i3d (both), appearance-descriptor, motion-descriptor, descriptors
    (both), or module:function for a function (B, window, H, W, 3) uint8 -> (B, D) of your own."""

    weights: tuple[str, ...] = ()
    """Weights files as NAME=FILE, e.g. i3d-flow=flow_imagenet.pt. Default: the cache folder ('wtal weights list')."""

    fps: float = 25.0
    """Frames a second that videos are resampled to."""

    stride: float = 16.0
    """Frames from one snippet's start to the next one's."""

    window: float = 16.0
    """Frames that one snippet sees."""

    crop: str | None = None
    """Spatial crop of I3D: center224 (default) or oversample10 (features of shape 10 crops x snippets x channels)."""

    flow: str = "dis"
    """Optical flow: dis, dis-fast, dis-ultrafast, or tvl1 (parity with published features, about a second a frame)."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    half: bool = False
    """Compute I3D in half precision where that is quicker: CUDA, MPS, and CPUs with AMX (others stay in single)."""

    batch_size: int | None = None
    """Snippets at a time. Default: what suits backbone and device."""

    shard: str | None = None
    """Only every n-th video from the i-th on, as i/n, e.g. 2/8."""

    overwrite: bool = False
    """Start afresh instead of going on; an existing file is replaced when the new one is complete."""

    merge: bool = False
    """VIDEOS are feature files (shards made on several machines): copy them into --out, beside what it holds."""

    json: bool = False
    """Print what was done as JSON."""

    def run(self) -> int:
        """Extract or merge, and say what became of each video."""
        from wtal_core.video.dataset_extraction import merge_features

        if self.merge:
            self._refuse_beside_merge()
        report = merge_features(self.videos, self.out) if self.merge else self._extract()
        if self.json:
            print_json(report.to_dict())
        else:
            done, kept = len(report.extracted), len(report.skipped)
            print(
                f"{report.out}: {counted(done, 'video')} added ({counted(sum(report.extracted.values()), 'snippet')}, "
                f"{report.frames_per_second:.0f} frames/s), {kept} were there before, {len(report.failed)} failed"
            )
        for video, problem in report.failed.items():
            print(f"failed: {video}: {problem}", file=sys.stderr)
        return 1 if report.failed else 0

    def _refuse_beside_merge(self) -> None:
        """Refuse what concerns videos where feature files are merged: nothing stated is passed over in silence."""
        for item in fields(self):
            if item.name in ("videos", "out", "merge", "json") or getattr(self, item.name) == item.default:
                continue
            flag = f"--{item.name.replace('_', '-')}"
            raise UsageError(
                f"--merge and {flag} exclude each other",
                expected="feature files, --out and --merge",
                next_step="Delete the old file first" if item.name == "overwrite" else f"Leave {flag} out",
            )

    def _extract(self) -> ExtractionReport:
        from wtal_core.progress import progress_bar, stderr
        from wtal_core.video.dataset_extraction import extract_dataset
        from wtal_core.video.extraction import GridSpec
        from wtal_core.video.find_videos import find_videos, parse_shard, select_shard

        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(
                "the batch is too small",
                expected="--batch-size >= 1",
                got=str(self.batch_size),
                next_step="Leave --batch-size out to take the default",
            )
        sizes = (self.fps, self.stride, self.window)
        if not all(math.isfinite(size) and size > 0 for size in sizes) or round(self.window) < 1:
            raise UsageError(
                "not a snippet grid",
                expected="--fps > 0, --stride > 0, --window >= 1",
                got=f"fps {self.fps:g}, stride {self.stride:g}, window {self.window:g}",
                next_step="Correct the value, or leave it out to take the default",
            )
        if self.shard is not None and self.overwrite:
            raise UsageError("--overwrite and --shard exclude each other", next_step="Delete the old file first")
        spec = GridSpec(fps=self.fps, stride=self.stride, window=self.window)
        shard = None if self.shard is None else parse_shard(self.shard)
        videos = find_videos(self.videos)
        if shard is not None:
            videos = select_shard(videos, shard)
        backbones = self._backbones()
        plain = not stderr.is_terminal
        with progress_bar("extracting", len(videos), quiet=plain) as bar:

            def on_video(video: str, line: str) -> None:
                if plain:
                    print(f"{video}: {line}", file=sys.stderr)

            return extract_dataset(
                videos,
                backbones,
                spec,
                self.out,
                batch_size=self.batch_size,
                overwrite=self.overwrite,
                on_fraction=lambda share, video: bar(share, f"extracting {video}"),
                on_video=on_video,
            )

    def _backbones(self) -> list[Backbone]:
        """Build the streams in order; crops concern I3D only, weights those they are named for."""
        from wtal_core.video.backbones import BackboneOptions, create_backbone, expand_streams

        BackboneOptions(device=self.device, crop=self.crop, flow=self.flow)  # misspelt also where no stream uses it

        weights = {}
        for item in self.weights:
            name, equals, file = item.partition("=")
            if not equals or not name or not file:
                raise UsageError(
                    "not a weights file",
                    expected="NAME=FILE, e.g. i3d-rgb=weights.npz",
                    got=repr(item),
                    next_step="Write the stream's name, '=' and the file",
                )
            weights[name] = file
        names, notes = expand_streams(self.backbone, weights)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        for name in weights:
            if name not in names:
                raise UsageError(
                    f"--weights names {name!r}, which is not a stream",
                    expected=", ".join(names),
                    next_step="Name one of these streams, or add it to --backbone",
                )
        return [
            create_backbone(
                name,
                weights.get(name),
                device=self.device,
                half=self.half,
                crop=self.crop if name.startswith("i3d-") or self.crop == "full" else None,
                flow=self.flow,
            )
            for name in names
        ]
