"""Write contact sheets as picture files, at full size or shrunk."""

from __future__ import annotations

import os
from pathlib import Path

from wtal_core.demo.sheet import render_sheet, sheet_image
from wtal_core.files import atomic_path

__all__ = ["write_sheet"]

_JPEG_QUALITY = 72


def write_sheet(name: str, path: str | os.PathLike[str], *, seed: int = 7, width: int = 0) -> None:
    """Write the contact sheet of a class (or of "Background").

    Args:
        name: one of `wtal_core.demo.sheet.SHEETS`.
        path: the file; `.jpg` compresses, anything else is PNG.
        seed: athletes, places and light.
        width: pixels to shrink to; 0: full size.

    Raises:
        UsageError: there is no such class.
        DataError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if not width and suffix != ".jpg":
        render_sheet(name, path, seed=seed)
        return
    import cv2

    image = sheet_image(name, seed=seed)
    if width and width < image.shape[1]:
        height = round(image.shape[0] * width / image.shape[1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else []
    _, data = cv2.imencode(".jpg" if suffix == ".jpg" else ".png", image, options)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
