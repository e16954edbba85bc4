"""Optical-flow intensity of a video and the static clips mined from it, computed once and kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wtal_core.arrays import Float32Array
from wtal_core.data.safe_load import load_npz
from wtal_core.files import atomic_path
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Flow", "compute_flow", "stored_flow"]


@dataclass(frozen=True, eq=False)
class Flow:
    """Optical-flow intensity of a video and the static clips mined from it.

    Args:
        intensity: `(n,)` mean flow length from each frame of a clock to the next.
        fps: frames a second of that clock.
        duration: seconds of the video.
        static: `[start, end)` of the static clips in seconds.
    """

    intensity: Float32Array
    fps: float
    duration: float
    static: tuple[tuple[float, float], ...]


def _flow_file(folder: Path, video: Path) -> Path:
    stat = video.stat()
    digest = hashlib.sha1(f"{video.resolve()}|{stat.st_mtime_ns}|{stat.st_size}".encode(), usedforsecurity=False)
    return folder / f"{digest.hexdigest()[:20]}.npz"


def stored_flow(folder: Path, video: Path) -> Flow | None:
    """Return the flow of a video that was computed before, None where it was not."""
    file = _flow_file(folder, video)
    if not file.is_file():
        return None
    with load_npz(file) as kept:
        spans = np.asarray(kept["static"], dtype=np.float64).reshape(-1, 2)
        return Flow(
            np.asarray(kept["intensity"], dtype=np.float32),
            float(kept["fps"]),
            float(kept["duration"]),
            tuple((float(a), float(b)) for a, b in spans),
        )


def compute_flow(folder: Path, video: Path, grid: SnippetGrid) -> Flow:
    """Compute a video's flow intensity on the grid's clock, mine its static clips, and keep both in `folder`.

    Raises:
        DataError: the video cannot be decoded.
    """
    from wtal_core.video.optical_flow import flow_intensity
    from wtal_core.video.static_clips import mine_static_clips

    intensity = flow_intensity(video, fps=grid.fps)
    static = mine_static_clips(intensity, grid).segments
    with atomic_path(_flow_file(folder, video)) as temporary:
        np.savez(
            temporary,
            intensity=intensity.astype(np.float32),
            fps=grid.fps,
            duration=grid.duration or (len(intensity) + 1) / grid.fps,
            static=np.asarray(static, dtype=np.float64),
        )
    kept = stored_flow(folder, video)
    assert kept is not None
    return kept
