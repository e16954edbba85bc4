"""Contact sheets: everything a class can show, on one picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from wtal_core.demo.scenes import BACKGROUNDS, SPORTS, Kind, Scene
from wtal_core.demo.stage import Image, hex_color, polygon, text
from wtal_core.demo.story import Camera, Shot
from wtal_core.errors import unknown_name
from wtal_core.files import atomic_path

__all__ = ["SHEETS", "sheet_image", "write_sheet"]

SHEETS: Final = (*SPORTS, "Background")
_TINT: Final = {"action": "2e9d5b", "fake": "cf3f3f", "context": "d99a25", "background": "5b6b82"}
_WORD: Final = {"action": "ACTION", "fake": "FAKE", "context": "CONTEXT", "background": "BACKGROUND"}
_COLUMNS: Final = 6
_TILE: Final = (340, 256)
_GAP: Final = 8
_JPEG_QUALITY: Final = 72


def _pictures(where: Scene, kind: Kind, count: int, seed: int) -> list[tuple[Image, str]]:
    """Return `count` moments of one kind of beat and the phase each belongs to."""
    rng = np.random.default_rng([seed, 31])
    beat = kind.beat(rng, 25.0)
    takes = (*where.action_takes, *where.fake_takes, *where.context_takes)
    take = min((t for t in takes if kind.name in t.kinds), key=lambda t: (t.kinds.index(kind.name), len(t.kinds)))
    place = take.kinds.index(kind.name)
    beats = (*(where.kind(n).beat(rng, 25.0) for n in take.kinds[:place]), beat)
    still = kind.still
    shot = Shot(
        where.label,
        beats,
        seed=seed,
        cast=seed,
        venue=seed,
        still=still and len(beats) == 1,
        camera=Camera(move="hold" if still else "follow", shake=0.0),
        caption="COMMENTARY|42 : 37" if kind.name == "empty_table" else "",
    )
    clip = where.build(shot, _TILE, 25.0)
    first = sum(b.frames for b in beats[:-1])
    result: list[tuple[int, str]] = []
    if kind.track == "action":
        per_phase = [
            count // len(beat.parts) + (k >= len(beat.parts) - count % len(beat.parts)) for k in range(len(beat.parts))
        ]
        start = first
        for (phase, frames), wanted in zip(beat.parts, per_phase, strict=True):
            moments = [start + int(frames * (k + 0.62) / (wanted + 0.15)) for k in range(wanted)]
            result += [(moment, phase.replace("_", " ")) for moment in moments]
            start += frames
    else:
        result = [(first + int(beat.frames * (k + 0.5) / count), "") for k in range(count)]
    last = len(clip) - 1
    return [
        (np.asarray(cv2.resize(clip.frame(min(i, last)), _TILE, interpolation=cv2.INTER_AREA)), phase)
        for i, phase in result
    ]


def sheet_image(name: str, *, seed: int = 7) -> Image:
    """Return the contact sheet of a class (or of "Background") as a (H, W, 3) uint8 BGR picture.

    Raises:
        UsageError: there is no such class.
    """
    if name not in SHEETS:
        raise unknown_name("class", name, SHEETS)
    sources = [SPORTS[name]] if name in SPORTS else list(BACKGROUNDS.values())
    width = _COLUMNS * (_TILE[0] + _GAP) + _GAP
    blocks: list[Image] = [_header(width, SPORTS[name].title if name in SPORTS else "Background", name)]
    for track in ("action", "fake", "context", "background"):
        kinds = [(s, k) for s in sources for k in s.kinds if k.track == track]
        if track == "action":
            for where, kind in kinds:
                blocks += [_row(width, track, kind, _pictures(where, kind, 2 * _COLUMNS, seed))]
        elif track == "fake":
            for number, (where, kind) in enumerate(kinds):
                blocks.append(_row(width, track, kind, _pictures(where, kind, _COLUMNS, seed + 1 + number)))
        else:
            per = 2 if len(kinds) % 3 == 0 else 3
            for start in range(0, len(kinds), _COLUMNS // per):
                group = kinds[start : start + _COLUMNS // per]
                cells = [
                    _row(per * (_TILE[0] + _GAP), track, k, _pictures(w, k, per, seed + 9 + start + n), columns=per)
                    for n, (w, k) in enumerate(group)
                ]
                band = np.full((cells[0].shape[0], width, 3), 250, np.uint8)
                x = 0
                for cell in cells:
                    band[:, x : x + cell.shape[1]] = cell
                    x += cell.shape[1]
                blocks.append(band)
    return np.vstack(blocks)


def _header(width: int, title: str, label: str) -> Image:
    image = np.full((74, width, 3), hex_color("1b2433"), np.uint8)
    text(image, title, (20, 50), 40, (255, 255, 255), weight=750)
    text(image, label, (width - 20, 48), 26, hex_color("9fb2cc"), weight=400, align="right")
    return image


def _row(width: int, track: str, kind: Kind, pictures: list[tuple[Image, str]], *, columns: int = _COLUMNS) -> Image:
    lines = -(-len(pictures) // columns)
    label_height = 24 if any(phase for _, phase in pictures) else 0
    image = np.full((40 + lines * (_TILE[1] + _GAP + label_height), width, 3), 250, np.uint8)
    tint = hex_color(_TINT[track])
    badge = 34 + 13 * len(_WORD[track])
    polygon(image, np.array([(_GAP, 8), (_GAP + badge, 8), (_GAP + badge, 34), (_GAP, 34)]), tint)
    text(image, _WORD[track], (_GAP + badge / 2, 28), 19, (255, 255, 255), weight=700, align="centre")
    words = f"{kind.name.replace('_', ' ')}: {kind.about}"
    text(image, words, (_GAP + badge + 12, 28), 20 if columns == _COLUMNS else 17, hex_color("222b38"), weight=500)
    for n, (picture, phase) in enumerate(pictures):
        x, y = _GAP + (n % columns) * (_TILE[0] + _GAP), 40 + (n // columns) * (_TILE[1] + _GAP + label_height)
        image[y : y + _TILE[1], x : x + _TILE[0]] = picture
        if phase:
            cv2.rectangle(image, (x, y + _TILE[1]), (x + _TILE[0] - 1, y + _TILE[1] + label_height - 3), tint, -1)
            text(image, phase, (x + 10, y + _TILE[1] + 17), 18, (255, 255, 255), weight=600)
    return image


def write_sheet(name: str, path: str | os.PathLike[str], *, seed: int = 7, width: int = 0) -> None:
    """Write the contact sheet of a class (or of "Background").

    Args:
        name: one of `SHEETS`.
        path: the file; `.jpg` compresses, anything else is PNG.
        seed: athletes, places and light.
        width: pixels to shrink to; 0: full size.

    Raises:
        UsageError: there is no such class.
        DataError: the file cannot be written.
    """
    image = sheet_image(name, seed=seed)
    if 0 < width < image.shape[1]:
        height = round(image.shape[0] * width / image.shape[1])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    jpeg = Path(path).suffix.lower() == ".jpg"
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if jpeg else []
    _, data = cv2.imencode(".jpg" if jpeg else ".png", image, options)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
