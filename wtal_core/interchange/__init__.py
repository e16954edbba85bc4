"""Detections and ground truth for other tools, and back: subtitles, ELAN, VIA, Label Studio.

write("a.eaf", "elan", [Layer("Ground truth", segments), Layer("Ours", detections)], video)
read("a.eaf")    # -> Annotations
"""

from __future__ import annotations

from wtal_core.interchange.formats import (
    EXTENSIONS,
    FORMATS,
    Media,
    detect_format,
    read,
    write_all,
    write_video,
)
from wtal_core.interchange.layers import Layer

__all__ = ["EXTENSIONS", "FORMATS", "Layer", "Media", "detect_format", "read", "write_all", "write_video"]
