"""Subtitles: WebVTT, SubRip (.srt) and Advanced SubStation Alpha (.ass), for any player, one file a video.

Each cue says "Layer: label score"; overlapping intervals are cues of their own, as all three formats allow. ASS files
give each layer a line and a colour of its own. Times are kept to a millisecond (ASS: a hundredth of a second).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from wtal_core.errors import DataError
from wtal_core.interchange.layers import GROUND_TRUTH, Interval

__all__ = ["parse_ass", "parse_srt", "parse_vtt", "to_ass", "to_srt", "to_vtt"]

_TIME = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
_TEXT = re.compile(r"(?:(?P<layer>[^:\n]+): )?(?P<label>.+?)(?: (?P<score>-?\d+\.\d+(?:e-?\d+)?))?", re.DOTALL)
#: Colours of layers as ASS writes them, &HAABBGGRR: ground truth green, runs blue, orange, pink, yellow.
_ASS_COLOURS = ("&H00739E00", "&H00DC9B3D", "&H003C80F0", "&H00C3A0E0", "&H0042E4F0")


def _clock(seconds: float, mark: str, digits: int = 3) -> str:
    ticks = round(seconds * 10**digits)
    whole, part = divmod(ticks, 10**digits)
    hours = f"{whole // 3600:02d}" if digits == 3 else str(whole // 3600)
    return f"{hours}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{part:0{digits}d}"


def _seconds(text: str, where: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise DataError(
            "is not a time",
            expected="hours:minutes:seconds.fraction",
            got=repr(text),
            where=where,
            next_step="Correct this time",
        )
    hours, minutes, seconds, part = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{part}")


def _cue_text(interval: Interval) -> str:
    layer = interval.layer.replace(": ", " - ")  # the first ": " of a cue ends the layer's name
    return f"{layer}: {interval.text}".replace("-->", "→").replace("\n", " ")


def _read_text(text: str, start: float, end: float, where: str) -> Interval:
    found = _TEXT.fullmatch(" ".join(text.split()))
    if found is None:
        raise DataError(
            "a cue has no text",
            expected="Layer: label score",
            where=where,
            next_step="Write what is shown below the cue's times",
        )
    score = found["score"]
    return Interval(found["layer"] or GROUND_TRUTH, found["label"], start, end, None if score is None else float(score))


def _ordered(rows: Sequence[Interval]) -> list[Interval]:
    return sorted(rows, key=lambda i: (i.start, i.end))


def to_vtt(rows: Sequence[Interval]) -> str:
    """Return WebVTT text."""
    cues = [
        f"{_clock(i.start, '.')} --> {_clock(i.end, '.')}\n{html.escape(_cue_text(i), quote=False)}\n"
        for i in _ordered(rows)
    ]
    return "WEBVTT\n\n" + "\n".join(cues)


def to_srt(rows: Sequence[Interval]) -> str:
    """Return SubRip text."""
    cues = [
        f"{n}\n{_clock(i.start, ',')} --> {_clock(i.end, ',')}\n{_cue_text(i)}\n"
        for n, i in enumerate(_ordered(rows), 1)
    ]
    return "\n".join(cues)


def to_ass(rows: Sequence[Interval]) -> str:
    """Return Advanced SubStation Alpha text, a style and a line from the bottom for each layer."""
    names = list(dict.fromkeys(i.layer for i in rows))
    styles = [
        f"Style: layer{n},Arial,28,{_ASS_COLOURS[n % len(_ASS_COLOURS)]},&H00FFFFFF,&H00000000,&H80000000,"
        f"0,0,0,0,100,100,0,0,1,2,0,1,20,20,{20 + 36 * n},1"
        for n in range(len(names))
    ]
    events = [
        f"Dialogue: {names.index(i.layer)},{_clock(i.start, '.', 2)},{_clock(i.end, '.', 2)},"
        f"layer{names.index(i.layer)},{i.layer.replace(',', ';')},0,0,0,,"
        + _cue_text(i).translate({ord("{"): "(", ord("}"): ")"})
        for i in _ordered(rows)
    ]
    return "\n".join(
        [
            "[Script Info]", "ScriptType: v4.00+", "PlayResX: 1280", "PlayResY: 720", "WrapStyle: 2", "",
            "[V4+ Styles]",
            "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, "
            "Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, "
            "MarginL, MarginR, MarginV, Encoding",
            *styles, "",
            "[Events]",
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
            *events, "",
        ]
    )  # fmt: skip


def _blocks(text: str) -> list[list[str]]:
    return [
        block.splitlines() for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip()) if block.strip()
    ]


def _cues(text: str, where: str, *, vtt: bool) -> list[Interval]:
    found = []
    for number, lines in enumerate(_blocks(text), 1):
        at = next((i for i, line in enumerate(lines) if "-->" in line), None)
        if at is None:
            continue  # WebVTT's header, notes and styles
        start, _, rest = lines[at].partition("-->")
        place = f"{where}, cue {number}"
        end = rest.split()[0] if rest.split() else ""
        words = re.sub(r"<[^>]*>", "", "\n".join(lines[at + 1 :]))
        words = html.unescape(words) if vtt else words
        found.append(_read_text(words, _seconds(start, place), _seconds(end, place), place))
    return found


def parse_vtt(text: str, where: str) -> list[Interval]:
    """Read WebVTT text.

    Raises:
        DataError: it is not WebVTT, or a cue has no time or text.
    """
    if not text.lstrip("\ufeff").startswith("WEBVTT"):
        raise DataError(
            "is not WebVTT",
            expected="WEBVTT in the first line",
            where=where,
            next_step="Begin the file with the line WEBVTT",
        )
    return _cues(text, where, vtt=True)


def parse_srt(text: str, where: str) -> list[Interval]:
    """Read SubRip text.

    Raises:
        DataError: a cue has no time or text.
    """
    return _cues(text, where, vtt=False)


def parse_ass(text: str, where: str) -> list[Interval]:
    """Read the dialogue lines of ASS text.

    Raises:
        DataError: a line has too few fields, no time or no text.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("Dialogue:"):
            continue
        place = f"{where}, line {number}"
        parts = line.removeprefix("Dialogue:").split(",", 9)
        if len(parts) < 10:
            raise DataError(
                "a dialogue line is too short",
                expected="10 fields",
                got=str(len(parts)),
                where=place,
                next_step="Correct or delete this line",
            )
        words = re.sub(r"\{[^}]*\}", "", parts[9]).replace("\\N", " ").replace("\\n", " ")
        found.append(_read_text(words, _seconds(parts[1], place), _seconds(parts[2], place), place))
    return found
