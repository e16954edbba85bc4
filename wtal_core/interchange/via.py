"""Projects of the VGG Image Annotator, version 3 (its video annotator): one JSON file for many videos.

Layers become attributes of temporal segments with the layer's labels as choices; `z` holds start and end in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtal_core.errors import DataError
from wtal_core.interchange.layers import Interval, Media
from wtal_core.snippet_grid import is_finite_number

__all__ = ["parse_via", "to_via"]

_SEGMENT_OF_ONE_FILE = "FILE1_Z2_XY0"  # VIA's name for "a temporal segment of one file"
_CHECKBOX, _SELECT, _VIDEO, _LOCAL_FILE = 2, 4, 4, 1


def to_via(
    found: Mapping[str, Sequence[Interval]], media: Mapping[str, Media], layers: Sequence[str]
) -> dict[str, Any]:
    """Return a VIA 3 project; scores go into an attribute "score" as text."""
    every = [i for rows in found.values() for i in rows]
    names = list(dict.fromkeys([*layers, *(i.layer for i in every)]))
    labels = {name: sorted({i.label for i in every if i.layer == name}) for name in names}
    scored = any(i.score is not None for i in every)
    attributes: dict[str, Any] = {
        str(n): {
            "aname": name,
            "anchor_id": _SEGMENT_OF_ONE_FILE,
            "type": _SELECT,
            "desc": "",
            "options": {str(k): label for k, label in enumerate(labels[name])},
            "default_option_id": "",
        }
        for n, name in enumerate(names, 1)
    }
    score_id = str(len(names) + 1)
    if scored:
        attributes[score_id] = {
            "aname": "score", "anchor_id": _SEGMENT_OF_ONE_FILE, "type": 1, "desc": "", "options": {},
            "default_option_id": "",
        }  # fmt: skip
    ids = {video: str(n) for n, video in enumerate(found, 1)}
    segments: dict[str, Any] = {}
    for video, rows in found.items():
        for k, i in enumerate(rows):
            values = {str(names.index(i.layer) + 1): str(labels[i.layer].index(i.label))}
            if i.score is not None:
                values[score_id] = f"{i.score:.6g}"
            segments[f"{ids[video]}_{k:06d}"] = {
                "vid": ids[video], "flg": 0, "z": [round(i.start, 3), round(i.end, 3)], "xy": [], "av": values
            }  # fmt: skip
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": "wtal",
            "creator": "wtal",
            "created": 0,
            "vid_list": list(ids.values()),
        },
        "config": {
            "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
            "ui": {
                "file_content_align": "center",
                "file_metadata_editor_visible": True,
                "spatial_metadata_editor_visible": True,
                "temporal_segment_metadata_editor_visible": True,
                "spatial_region_label_attribute_id": "",
                "gtimeline_visible_row_count": "4",
            },
        },
        "attribute": attributes,
        "file": {
            ids[v]: {"fid": ids[v], "fname": media[v].file, "type": _VIDEO, "loc": _LOCAL_FILE, "src": media[v].file}
            for v in found
        },
        "metadata": segments,
        "view": {ids[v]: {"fid_list": [ids[v]]} for v in found},
    }


def parse_via(content: Mapping[str, Any], where: str) -> dict[str, list[Interval]]:
    """Read the temporal segments of a VIA 3 project, `{video file name without suffix: intervals}`.

    Raises:
        DataError: something is missing or of the wrong type.
    """

    def part(key: str) -> dict[str, Any]:
        value = content.get(key)
        if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
            raise DataError(
                f"{key} is not a mapping of objects",
                expected="a VIA 3 project",
                where=where,
                next_step="Save the project again from VIA 3",
            )
        return value

    files, views, attributes = part("file"), part("view"), part("attribute")
    chosen = {k: a for k, a in attributes.items() if a.get("anchor_id") == _SEGMENT_OF_ONE_FILE}
    score_ids = {k for k, a in chosen.items() if a.get("aname") == "score"}
    names: dict[str, str] = {}
    for vid, view in views.items():
        fids = [str(fid) for fid in view.get("fid_list") or []]
        if fids and fids[0] in files:
            name = str(files[fids[0]].get("fname") or files[fids[0]].get("src") or "").replace("\\", "/")
            names[vid] = name.rpartition("/")[2].rpartition(".")[0] or name
    found: dict[str, list[Interval]] = {name: [] for name in names.values()}
    for key, segment in part("metadata").items():
        z, values, vid = segment.get("z"), segment.get("av"), str(segment.get("vid"))
        if not isinstance(z, list) or len(z) != 2:
            continue  # a region of a frame, not a segment of time
        if vid not in names or not isinstance(values, dict) or not all(is_finite_number(t) for t in z):
            raise DataError(
                "a segment cannot be read",
                expected="vid, z and av",
                got=str(segment)[:80],
                where=f"{where}: {key}",
                next_step="Correct or delete this segment in VIA",
            )
        score = next((_number(values.get(k)) for k in score_ids if k in values), None)
        for attribute, value in values.items():
            if attribute not in chosen or attribute in score_ids or value in ("", None):
                continue
            options = chosen[attribute].get("options")
            layer = str(chosen[attribute].get("aname") or "Ground truth")
            several = chosen[attribute].get("type") == _CHECKBOX  # the ticked ones: "0,2"
            for one in str(value).split(",") if several else [str(value)]:
                label = options.get(one, one) if isinstance(options, dict) else one
                found[names[vid]].append(Interval(layer, str(label), float(z[0]), float(z[1]), score))
    return found


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
