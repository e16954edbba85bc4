"""Media without a browser: frames where many files are asked for at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the app needs streamlit: pip install 'wtal[app]'")

from pages.ui import media
from tests.pages.conftest import OpenPage
from tests.video.clips import write_clip
from wtal_core.video.frames import FrameReader


def test_a_reader_that_was_closed_while_it_was_waited_for_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, 8, fps=8)
    gone = FrameReader.open(clip)
    gone.close()
    first = iter([(gone, threading.Lock())])
    opened = media._reader
    monkeypatch.setattr(media, "_reader", lambda path: next(first, None) or opened(path))
    assert media._jpeg(clip, 0.5, 32).startswith(b"\xff\xd8")


@pytest.mark.parametrize("page", ["explore", "figures"])
def test_a_video_that_goes_while_it_is_shown_is_missing_and_no_error(
    open_page: OpenPage, home: Path, page: str
) -> None:
    video = home / "datasets" / "planted" / "videos" / "test_024.mp4"
    elsewhere = video.rename(home / "on another disk.mp4")
    video.symlink_to(elsewhere)  # as imports bring videos: the folder does not change when the disk goes
    app = open_page(f"pages/{page}.py", home, run="hamnet", video="test_024")
    assert media.media_of("datasets/planted", "test_024").url
    elsewhere.unlink()
    app.run()
    assert not app.exception
    assert not app.error
    assert "no file of this video" in media.media_of("datasets/planted", "test_024").problem
