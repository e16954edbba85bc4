"""`wtal data static`: mine the motionless clips of a data set's videos (hard negatives of CMCS)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from wtal_core.commands.output import print_json

__all__ = ["Static"]


@dataclass(frozen=True)
class Static:
    """Find the clips of training videos that hardly move and keep them as the track "static" in annotations.json.

    A training takes them for background where training.hard_negatives=true: the scene without the action.
    What is found in a video is kept in static_clips.json at once: an interrupted mining goes on when run again.
    """

    dataset: tyro.conf.Positional[Path]
    """Data set folder with videos/."""
    split: str = "train"
    """Split whose videos are mined."""
    videos: tuple[str, ...] = ()
    """Only these videos."""
    features: str | None = None
    """Set of features whose clock (frames a second) is used. Default: the first; the video's own without features."""
    rho: float = 25.0
    """Frames whose motion lies below this percentile of the video's are static (paper: 25)."""
    min_seconds: float = 2.0
    """Static clips shorter than this are dropped."""
    whole_last_run: bool = False
    """Treat a static clip that lasts to the video's end as any other; the official code counts one frame less of it."""
    min_ratio: float = 0.05
    """Videos with a smaller static part are left out."""
    max_ratio: float = 0.30
    """Videos with a larger static part are left out."""
    flow: str = "dis"
    """Optical flow: dis, dis-fast, dis-ultrafast or tvl1."""
    again: bool = False
    """Forget earlier results."""
    json: bool = False
    """Print what was found as JSON."""

    def run(self) -> int:
        """Mine."""
        from wtal_core.data.dataset import Dataset
        from wtal_core.progress import progress_bar
        from wtal_core.video.static_clips import StaticClipConfig
        from wtal_core.video.static_track import mine_dataset

        config = StaticClipConfig(
            rho=self.rho,
            min_seconds=self.min_seconds,
            whole_last_run=self.whole_last_run,
            min_ratio=self.min_ratio,
            max_ratio=self.max_ratio,
        )
        dataset = Dataset.open(self.dataset)
        chosen = self.videos or dataset.videos(self.split)
        with progress_bar("static clips", sum(dataset.video_path(v) is not None for v in chosen)) as bar:
            report = mine_dataset(
                self.dataset,
                chosen,
                config,
                features=self.features,
                kind=self.flow,
                again=self.again,
                advance=lambda video: bar(1, f"static clips: {video}"),
            )
        if self.json:
            print_json(asdict(report))
            return 1 if report.failed else 0
        print(
            f"{self.dataset}: {report.segments} static clips ({report.seconds:.0f} s) in {len(report.usable)} videos; "
            f"{len(report.rejected)} rejected, {len(report.missing)} without a file, {len(report.failed)} failed"
        )
        for video, why in list(report.rejected.items())[:20]:
            print(f"  rejected: {video}: {why}")
        for video, problem in report.failed.items():
            print(f"  failed: {video}: {problem}")
        return 1 if report.failed else 0
