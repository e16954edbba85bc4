"""Label Studio tasks with `TimelineLabels` regions: ground truth as annotations, runs as predictions.

Label Studio counts frames of the video from 1, at the frame rate its project states (`frameRate` of the Video tag,
which may be "$fps", the field of the task): both directions need that rate. Ranges include their last frame.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from wtal_core.data.video_files import VIDEO_SUFFIXES
from wtal_core.errors import DataError
from wtal_core.interchange.layers import GROUND_TRUTH, Interval, Media
from wtal_core.snippet_grid import finite_or_none

__all__ = ["labelling_config", "parse_label_studio", "to_label_studio"]


def to_label_studio(
    found: Mapping[str, Sequence[Interval]], media: Mapping[str, Media], layers: Sequence[str], fps: float
) -> list[dict[str, Any]]:
    """Return tasks: ground truth becomes an annotation, every other layer a prediction with its name as model version.

    Args:
        found: intervals by video.
        media: what is known of each video.
        layers: all layers, so that empty ones appear as well.
        fps: frame rate that the Label Studio project states; the video's own where that is known.
    """
    tasks = []
    for number, (video, rows) in enumerate(found.items(), 1):
        rate = media[video].fps or fps
        task: dict[str, Any] = {"id": number, "data": {"video": media[video].file, "video_id": video, "fps": rate}}
        for layer in layers:
            own = [i for i in rows if i.layer == layer]
            result = [_region(i, f"{number}_{layer}_{k}", rate) for k, i in enumerate(own)]
            if layer == GROUND_TRUTH:
                task.setdefault("annotations", []).append({"result": result, "ground_truth": True})
            else:
                best = max((i.score for i in own if i.score is not None), default=0.0)
                task.setdefault("predictions", []).append({"model_version": layer, "score": best, "result": result})
        tasks.append(task)
    return tasks


def _region(interval: Interval, key: str, fps: float) -> dict[str, Any]:
    first = math.floor(interval.start * fps + 0.5) + 1
    last = max(first, math.floor(interval.end * fps + 0.5))
    region: dict[str, Any] = {
        "id": "".join(c if c.isalnum() or c == "_" else "-" for c in key),
        "type": "timelinelabels",
        "from_name": "labels",
        "to_name": "video",
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [interval.label]},
    }
    if interval.score is not None:
        region["score"] = interval.score
    return region


def labelling_config(labels: Sequence[str], rates: Iterable[float]) -> str:
    """Return the labelling interface to paste into the Label Studio project.

    Args:
        labels: the classes.
        rates: frame rates of the tasks. Where they differ, each task's own ("fps") is used.
    """
    different = set(rates)
    rate = f"{different.pop():g}" if len(different) == 1 else "$fps"
    lines = [f'    <Label value="{html.escape(label)}"/>' for label in labels]
    return "\n".join(
        [
            "<View>", '  <TimelineLabels name="labels" toName="video">', *lines, "  </TimelineLabels>",
            f'  <Video name="video" value="$video" frameRate="{rate}"/>', "</View>", "",
        ]
    )  # fmt: skip


def parse_label_studio(content: Sequence[Any], where: str, fps: float | None) -> dict[str, list[Interval]]:
    """Read exported tasks, `{video: intervals}`; annotations become ground truth, predictions layers of their own.

    Of a task that several people annotated, the one marked as ground truth (else the first) is taken; the others are
    layers "Annotation 2", "Annotation 3", ...

    Args:
        content: the list of tasks.
        where: file name for messages.
        fps: frame rate the project stated, for tasks that do not say theirs.

    Raises:
        DataError: a task or region cannot be read, or no frame rate is known.
    """
    found: dict[str, list[Interval]] = {}
    for number, task in enumerate(content, 1):
        place = f"{where}: task {number}"
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping):
            raise DataError(
                "a task has no data",
                expected="an export of Label Studio (JSON)",
                where=place,
                next_step="Export the tasks from Label Studio as JSON, not JSON_MIN",
            )
        video = str(data.get("video_id") or _video_of(data) or number)
        stated = finite_or_none(data.get("fps"))
        rate = stated if stated is not None and stated > 0 else fps
        rows = found.setdefault(video, [])
        made = {
            kind: [item for item in task.get(kind) or [] if isinstance(item, Mapping) and not item.get("was_cancelled")]
            for kind in ("annotations", "predictions")
        }
        made["annotations"].sort(key=lambda item: not item.get("ground_truth"))
        layers = [(f"Annotation {n}" if n > 1 else GROUND_TRUTH, item) for n, item in enumerate(made["annotations"], 1)]
        layers += [(str(item.get("model_version") or "predictions"), item) for item in made["predictions"]]
        for layer, item in layers:
            for region in item.get("result") or []:
                if isinstance(region, Mapping) and region.get("type") == "timelinelabels":
                    rows += _intervals(region, layer, rate, place)
    return found


def _video_of(data: Mapping[str, Any]) -> str:
    """Return the id of a task's video by its file, "" without one.

    The file may be a path, an address, one of Label Studio's local files ("?d=folder/x.mp4"), or one of its uploads,
    whose names it begins with eight digits of its own ("/data/upload/1/0a1b2c3d-x.mp4"). Projects name the field
    themselves: without "video" it is the one that ends like a video.
    """
    for key in sorted(data, key=lambda key: key != "video"):
        if not isinstance(data[key], str):
            continue
        address, _, local = data[key].replace("\\", "/").partition("?d=")
        path = PurePosixPath(unquote(local or address.partition("?")[0]))
        if key == "video" or path.suffix.lower() in VIDEO_SUFFIXES:
            uploaded = "/upload/" in address
            return re.sub("^[0-9a-f]{8}-", "", path.stem) if uploaded else path.stem
    return ""


def _intervals(region: Mapping[str, Any], layer: str, fps: float | None, where: str) -> list[Interval]:
    if fps is None:
        raise DataError(
            "counts frames, and nothing says how many a second",
            where=where,
            next_step="State the frame rate",
            arguments=("fps",),
        )
    value = region.get("value")
    ranges = value.get("ranges") if isinstance(value, Mapping) else None
    labels = value.get("timelinelabels") if isinstance(value, Mapping) else None
    score = region.get("score")
    try:
        return [
            Interval(
                layer,
                str(label),
                (int(span["start"]) - 1) / fps,
                int(span["end"]) / fps,
                finite_or_none(score),
            )
            for span in ranges or []
            for label in labels or []
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            "a region cannot be read",
            expected="ranges of start and end",
            got=str(region)[:80],
            where=where,
            next_step="Correct or delete this region",
        ) from error
