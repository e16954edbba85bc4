"""ELAN annotation files (.eaf): one file a video, one tier a layer, times in whole milliseconds.

Scores travel behind the label ("LongJump 0.74"), as tiers hold text alone. Read back are the time-aligned tiers.
"""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import PurePath

from wtal_core.errors import DataError
from wtal_core.interchange.layers import Interval, Media

__all__ = ["parse_eaf", "to_eaf"]

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_SCORED = re.compile(r"(.+) (-?\d+\.\d+(?:e-?\d+)?)")
_MIME = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}


def to_eaf(rows: Sequence[Interval], media: Media, layers: Sequence[str]) -> str:
    """Return the text of an EAF 3.0 document; layers without intervals become empty tiers.

    Annotations of a tier may not overlap in ELAN: what overlaps goes to further tiers "Layer (2)", "Layer (3)", ...
    that have the layer's name as their participant.
    """
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    document = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "wtal",
            "DATE": "1970-01-01T00:00:00+00:00",  # files depend on their content alone
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ET.SubElement(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    name = PurePath(media.file)
    ET.SubElement(
        header,
        "MEDIA_DESCRIPTOR",
        {
            "MEDIA_URL": name.as_uri() if name.is_absolute() else f"./{name.as_posix()}",
            "MIME_TYPE": _MIME.get(name.suffix.lower(), "video/unknown"),
            "RELATIVE_MEDIA_URL": f"./{name.name}",
        },
    )
    order = ET.SubElement(document, "TIME_ORDER")
    times = sorted({t for i in rows for t in _milliseconds(i)})
    slot = {t: f"ts{n}" for n, t in enumerate(times, 1)}
    for t in times:
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot[t], "TIME_VALUE": str(t)})
    number = 0
    names = list(dict.fromkeys([*layers, *(i.layer for i in rows)]))
    taken = set(names)
    for layer in names:
        for lane, members in enumerate(_lanes([i for i in rows if i.layer == layer])):
            tier_name = layer
            if lane:  # tiers need different names: "Ours (2)" may be a layer of its own
                tier_name = next(n for k in itertools.count(2) if (n := f"{layer} ({k})") not in taken)
            taken.add(tier_name)
            tier = ET.SubElement(
                document, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "PARTICIPANT": layer, "TIER_ID": tier_name}
            )
            for i in members:
                number += 1
                outer = ET.SubElement(tier, "ANNOTATION")
                inner = ET.SubElement(
                    outer,
                    "ALIGNABLE_ANNOTATION",
                    {
                        "ANNOTATION_ID": f"a{number}",
                        "TIME_SLOT_REF1": slot[_milliseconds(i)[0]],
                        "TIME_SLOT_REF2": slot[_milliseconds(i)[1]],
                    },
                )
                ET.SubElement(inner, "ANNOTATION_VALUE").text = i.text
    ET.SubElement(
        document,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"},
    )
    ET.indent(document, "  ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(document, encoding="unicode") + "\n"


def _milliseconds(interval: Interval) -> tuple[int, int]:
    """Return start and end; ELAN knows no annotation without length."""
    start = round(interval.start * 1000)
    return start, max(start + 1, round(interval.end * 1000))


def _lanes(rows: Sequence[Interval]) -> list[list[Interval]]:
    """Split intervals into lists without overlap, at least one list."""
    lanes: list[list[Interval]] = [[]]
    for i in sorted(rows, key=lambda i: (i.start, i.end)):
        lane = next((lane for lane in lanes if not lane or _milliseconds(lane[-1])[1] <= _milliseconds(i)[0]), None)
        if lane is None:
            lane = []
            lanes.append(lane)
        lane.append(i)
    return lanes


def parse_eaf(text: str, where: str) -> tuple[list[Interval], str]:
    """Read the time-aligned tiers of an EAF document.

    Returns:
        `(intervals, name of the media file or "")`; tiers "Layer (2)" are joined with "Layer".

    Raises:
        DataError: it is not EAF, declares entities, or an annotation names a time that is not there.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(
            "declares XML entities, which EAF files do not need", where=where, next_step="Save the file again with ELAN"
        )
    try:
        document = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise DataError(
            f"is not valid XML: {error}",
            expected="an ELAN file (.eaf)",
            where=where,
            next_step="Save the file again with ELAN",
        ) from error
    if document.tag != "ANNOTATION_DOCUMENT":
        raise DataError(
            "is not an ELAN file",
            expected="ANNOTATION_DOCUMENT",
            got=document.tag,
            where=where,
            next_step="Name a file that ELAN saved",
        )
    times = {
        slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", ""))
        for slot in document.iter("TIME_SLOT")
        if (slot.get("TIME_VALUE") or "").isdecimal()
    }
    tiers = {tier.get("TIER_ID") or "" for tier in document.iter("TIER")}
    found = []
    for tier in document.iter("TIER"):
        name = tier.get("TIER_ID") or ""
        base = re.sub(r" \(\d+\)$", "", name)
        # What this project wrote says whose tier it is; in other files the name has to do.
        layer = base if base in tiers and (tier.get("PARTICIPANT") or base) == base else name
        for item in tier.iter("ALIGNABLE_ANNOTATION"):
            ends = [times.get(item.get(key)) for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            start, end = ends
            if start is None or end is None:
                raise DataError(
                    "an annotation has no time",
                    expected="both of its time slots",
                    got=str(item.get("ANNOTATION_ID")),
                    where=f"{where}: tier {name!r}",
                    next_step="Give it both in ELAN, or delete it there",
                )
            words = (item.findtext("ANNOTATION_VALUE") or "").strip()
            if not words:
                continue  # an interval that the annotator has not named yet
            scored = _SCORED.fullmatch(words)
            label, score = (scored[1], float(scored[2])) if scored else (words, None)
            found.append(Interval(layer, label, start / 1000, end / 1000, score))
    url = next((m.get("MEDIA_URL") or "" for m in document.iter("MEDIA_DESCRIPTOR")), "")
    return found, url.rpartition("/")[2]
