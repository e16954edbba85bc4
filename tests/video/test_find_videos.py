"""Which videos are meant by files, folders, patterns, data set folders and shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtal_core.errors import DataError, UsageError
from wtal_core.video.find_videos import find_videos, parse_shard


def test_where_videos_are_looked_for(tmp_path: Path) -> None:
    folder, clip = tmp_path / "videos", tmp_path / "elsewhere" / "numbered.mp4"
    for file in (
        clip,
        *(folder / name for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4", "f.avi", "notes.txt")),
    ):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert list(find_videos([folder])) == ["a", "b", "c", "d", "e", "f"]
    assert list(find_videos([clip, folder / "a.mp4"])) == ["numbered", "a"]
    assert list(find_videos([str(folder / "[ac].mp4")])) == ["a", "c"]
    assert list(find_videos([folder / "a.mp4", folder])) == ["a", "b", "c", "d", "e", "f"]
    (tmp_path / "dataset.yaml").write_text("name: x\n")
    (tmp_path / "other.mp4").touch()
    assert list(find_videos([tmp_path])) == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        ([], UsageError, "no videos were given"),
        (["nowhere.mp4"], DataError, "does not exist"),
        (["*.mp4x"], UsageError, "no video there"),
        (["empty"], UsageError, "no video there"),
        (["one", "two"], UsageError, "same id 'v'"),
    ],
)
def test_videos_that_cannot_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/v.mp4").touch()
    (tmp_path / "two/v.avi").touch()
    with pytest.raises(error, match=message):
        find_videos(sources)


def test_shard_texts() -> None:
    assert parse_shard("2/8") == (2, 8)
    for text in ("0/4", "5/4", "1", "a/b", "1/0", "-1/3", "1/2/3", ""):
        with pytest.raises(UsageError, match="i/n"):
            parse_shard(text)
