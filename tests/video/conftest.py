"""Clips that several tests of this room read, made once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video.clips import write_clip

#: Name -> how `write_clip` makes it. All hold the coded frames 0 ... 39 at 25 frames a second unless times are given.
CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264-bframes.mp4": {"codec": "h264-bframes"},
    "h264-bframes.mkv": {"codec": "h264-bframes"},
    "h264-fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "h264-bframes.avi": {"codec": "h264-bframes"},
    "h264-bframes.ts": {"codec": "h264-bframes"},
    "hevc.mp4": {"codec": "hevc"},
    "hevc.mkv": {"codec": "hevc"},
    "vp8.webm": {"codec": "vp8"},
    "vp9.webm": {"codec": "vp9"},
    "vp9.mp4": {"codec": "vp9"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "av1.mp4": {"codec": "av1"},
    "av1.webm": {"codec": "av1"},
    "late.mp4": {"start": 1.5},
    "late-audio.mp4": {"start": 0.5, "audio": True},
    "late.mkv": {"start": 1.5, "codec": "h264-bframes"},
    # 20 frames at 30 a second, then 20 at 5 a second.
    "vfr.mp4": {"times": [*(np.arange(20) / 30), *(1 + np.arange(20) / 5)]},
    "vfr.mkv": {"times": [*(np.arange(20) / 30), *(1 + np.arange(20) / 5)], "codec": "h264-bframes"},
}
NUM_FRAMES = 40


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a name of `CLIPS` to the clip's path."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        path = folder / name
        return path if path.exists() else write_clip(path, NUM_FRAMES, **CLIPS[name])

    return make
