"""Media routes: videos (with range requests) and single frames, only of the workspace's data sets, only by id.

/video/{dataset}/{video}            the file as it is, or its browser copy where one was made
/frame/{dataset}/{video}?t=1.5&h=90   the frame on screen at t seconds, as JPEG of h pixels

The id of a data set is a path with slashes; the one that leads an absolute path is left out.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from pages.ui.loaders import open_dataset, video_file, workspace
from wtal_core.errors import WtalError

if TYPE_CHECKING:
    from wtal_core.video.frames import FrameReader

__all__ = ["Media", "frame_url", "make_copy", "media_of", "media_url", "routes"]

_MAX_HEIGHT = 720
_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}


@dataclass(frozen=True, slots=True)
class Media:
    """What the player gets of a video.

    Args:
        url: relative URL to play, "" where there is nothing a browser plays.
        problem: why there is nothing to play, a sentence; "" where there is.
        convertible: whether making a browser copy would help.
        fps: average frame rate, 0 where not known.
        duration: seconds, 0 where not known.
    """

    url: str
    problem: str = ""
    convertible: bool = False
    fps: float = 0.0
    duration: float = 0.0


def media_url(dataset_id: str, video: str) -> str:
    """Return the relative URL of a video."""
    return f"/video/{quote(dataset_id.lstrip('/'))}/{quote(video, safe='')}"


def frame_url(dataset_id: str, video: str, t: float, height: int = 90) -> str:
    """Return the relative URL of the frame on screen at `t` seconds, `height` pixels high."""
    return f"/frame/{quote(dataset_id.lstrip('/'))}/{quote(video, safe='')}?t={t:.3f}&h={height}"


def media_of(dataset_id: str, video: str) -> Media:
    """Say what the player gets of a video; never raises for a missing or broken file."""
    path = _path(dataset_id, video)
    if path is None:
        return Media("", problem="This data set has no file of this video: the timeline works without it.")
    facts = _facts(str(path), path.stat().st_mtime_ns)
    copy = _copy_of(path)
    if facts.problem and not copy.is_file():
        return facts
    served = copy if copy.is_file() else path
    url = f"{media_url(dataset_id, video)}?v={served.stat().st_mtime_ns // 1_000_000:x}"  # a new copy is a new URL
    return Media(url, fps=facts.fps, duration=facts.duration)


def make_copy(dataset_id: str, video: str) -> None:
    """Make the browser copy of a video that browsers do not play.

    Raises:
        DataError: there is no file, or it cannot be decoded.
    """
    from wtal_core.errors import DataError
    from wtal_core.video.transcode import make_proxy

    path = _path(dataset_id, video)
    if path is None:
        raise DataError("has no file", where=f"video {video}", next_step="Put it into the data set's videos folder")
    make_proxy(path, _copy_of(path), allow_truncated=True)


def _path(dataset_id: str, video: str) -> Path | None:
    """Return the file of a video of a data set of the workspace; ids only, so that no path comes from a client."""
    known = workspace().datasets()
    entry = known.get(dataset_id) or known.get(f"/{dataset_id}")
    if entry is None or entry.error:
        return None
    return video_file(open_dataset(entry), video)


@lru_cache(maxsize=256)
def _facts(path: str, stamp: int) -> Media:
    """Probe a file once: can a browser play it, how fast and how long is it."""
    try:
        from wtal_core.video.probe import probe_video
        from wtal_core.video.transcode import proxy_reason

        reason = proxy_reason(path)
        probe = probe_video(path, allow_truncated=True)
    except ImportError:  # without PyAV the browser finds out by itself
        return Media("?") if Path(path).suffix.lower() in _TYPES else Media("", problem="PyAV is not installed.")
    except WtalError as error:
        return Media("", problem=f"The video cannot be read: {error}")
    if reason is not None:
        return Media(
            "",
            problem=f"The video needs a browser copy: {reason}.",
            convertible=True,
            fps=probe.fps,
            duration=probe.duration,
        )
    return Media("?", fps=probe.fps, duration=probe.duration)


def _copy_of(path: Path) -> Path:
    stat = path.stat()
    digest = hashlib.sha1(f"{path.resolve()}|{stat.st_mtime_ns}|{stat.st_size}".encode(), usedforsecurity=False)
    return workspace().home / ".wtal" / "browser_copies" / f"{digest.hexdigest()[:20]}.mp4"


# -- routes -------------------------------------------------------------------------------------------------------


def _media(request: Request) -> Response:
    path = _path(request.path_params["dataset"], request.path_params["video"])
    if path is None or not path.is_file():
        return PlainTextResponse("no such video in the workspace", 404)
    copy = _copy_of(path)
    served = copy if copy.is_file() else path
    kind = _TYPES.get(served.suffix.lower(), "application/octet-stream")
    return FileResponse(served, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})


def _frame(request: Request) -> Response:
    path = _path(request.path_params["dataset"], request.path_params["video"])
    if path is None or not path.is_file():
        return PlainTextResponse("no such video in the workspace", 404)
    try:
        t = max(0.0, float(request.query_params.get("t", "0")))
        height = min(_MAX_HEIGHT, max(16, int(request.query_params.get("h", "90"))))
    except ValueError:
        return PlainTextResponse("t is seconds, h is pixels", 400)
    try:
        data = _FRAMES.get((str(path), path.stat().st_mtime_ns, round(t, 2), height), lambda: _jpeg(path, t, height))
    except (WtalError, ImportError) as error:
        return PlainTextResponse(str(error), 422)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})


class _Pictures:
    """The last pictures that were asked for; least recently used ones go."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = make()
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return data


_FRAMES = _Pictures(2000)
_READERS: OrderedDict[tuple[str, int], tuple[FrameReader, threading.Lock]] = OrderedDict()
_READERS_LOCK = threading.Lock()


def _reader(path: Path) -> tuple[FrameReader, threading.Lock]:
    """Return an open reader of a file and the lock that guards it; the last four stay open."""
    from wtal_core.video.frames import FrameReader

    key = (str(path), path.stat().st_mtime_ns)
    with _READERS_LOCK:
        if key in _READERS:
            _READERS.move_to_end(key)
        else:
            _READERS[key] = (FrameReader.open(path, allow_truncated=True, threads=1), threading.Lock())
            while len(_READERS) > 4:
                _, (old, lock) = _READERS.popitem(last=False)
                with lock:
                    old.close()
        return _READERS[key]


def _jpeg(path: Path, t: float, height: int) -> bytes:
    from PIL import Image

    from wtal_core.video.frames import key_frames

    while True:
        reader, lock = _reader(path)
        with lock:
            if reader.decoder == "closed":  # four other files were asked for while this one was waited for
                continue
            picture = key_frames(reader, [t], height)[0]
            break
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=82)
    return out.getvalue()


routes = [
    Route("/video/{dataset:path}/{video}", _media, methods=["GET", "HEAD"]),
    Route("/frame/{dataset:path}/{video}", _frame, methods=["GET"]),
]
