"""Extraction of many videos: resumable, shardable, and bad videos do not stop the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="frames are scaled with OpenCV: pip install 'wtal[video]'")
pytest.importorskip("av", reason="clips are written with PyAV: pip install 'wtal[video]'")

from tests.video.clips import write_clip
from tests.video.test_extraction import READ, Peeker, codes_of_clips
from wtal_core.arrays import Array
from wtal_core.data.features import open_features
from wtal_core.errors import DataError, UsageError
from wtal_core.video.backbones import ClipFunction
from wtal_core.video.dataset_extraction import extract_dataset, merge_features
from wtal_core.video.extraction import GridSpec
from wtal_core.video.find_videos import find_videos, select_shard

SPEC = GridSpec(25, 8, 8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 numbered frames at 25 fps: two seconds."""
    return write_clip(tmp_path_factory.mktemp("clips") / "numbered.mp4", 50)


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Three good videos and three bad ones."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a", "c", "e"):
        (videos / f"{name}.mp4").write_bytes(clip.read_bytes())
    (videos / "b.mp4").touch()
    (videos / "d.mp4").write_bytes(clip.read_bytes()[:700])
    (videos / "f.avi").write_text("no video")
    (videos / "notes.txt").write_text("not a video either")
    return videos


def test_bad_videos_do_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    lines: dict[str, str] = {}
    total = [0.0]
    report = extract_dataset(
        find_videos([folder]),
        [READ],
        SPEC,
        tmp_path / "f.h5",
        on_video=lines.__setitem__,
        on_fraction=lambda share, video: total.__setitem__(0, total[0] + share),
    )
    assert report.extracted == {"a": 6, "c": 6, "e": 6}
    assert list(report.failed) == ["b", "d", "f"]
    assert all(str(folder) in message for message in report.failed.values())
    assert "0 bytes" in report.failed["b"]
    assert lines["b"].startswith("failed")
    assert "6 snippets" in lines["a"]
    assert total[0] == pytest.approx(6)
    assert report.to_dict()["frames_per_second"] > 0
    with open_features(tmp_path / "f.h5") as store:
        assert store.videos == ("a", "c", "e")
        np.testing.assert_array_equal(store.read("c").data[1], np.arange(8, 16))
        assert store.grid("c").duration == pytest.approx(2, abs=0.01)


def test_errors_that_are_not_ours_stop_one_video_only(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WTAL_DEBUG", raising=False)

    class Exhausted(Peeker):
        calls = 0

        def __call__(self, frames: Array, snippets: Array) -> Array:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("CUDA out of memory.\n  Tried to allocate")
            return super().__call__(frames, snippets)

    report = extract_dataset({"a": clip, "b": clip}, [Exhausted(0)], SPEC, tmp_path / "f.h5")
    assert report.failed == {"a": "RuntimeError: CUDA out of memory. Tried to allocate. Try a smaller batch_size."}
    assert list(report.extracted) == ["b"]


def test_a_full_disk_stops_the_run(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtal_core.data.features import FeatureWriter

    def full(self: FeatureWriter, features: Any) -> None:
        raise DataError("entry cannot be written: no space left on device") from OSError(28, "no space left")

    monkeypatch.setattr(FeatureWriter, "write", full)
    with pytest.raises(DataError, match="no space left"):
        extract_dataset({"a": clip, "b": clip}, [READ], SPEC, tmp_path / "f.h5")


def test_an_interrupted_run_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def function(clips: Array) -> Array:
        calls.append(len(clips))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return codes_of_clips(clips)

    backbone = ClipFunction(function, "codes")
    videos = {name: folder / f"{name}.mp4" for name in ("a", "c", "e")}
    with pytest.raises(KeyboardInterrupt):
        extract_dataset(videos, [backbone], SPEC, tmp_path / "f.h5")
    assert not (tmp_path / "f.h5").exists()
    report = extract_dataset(videos, [backbone], SPEC, tmp_path / "f.h5")
    assert report.skipped == ["a"]
    assert list(report.extracted) == ["c", "e"]
    again = extract_dataset(videos, [backbone], SPEC, tmp_path / "f.h5")
    assert again.skipped == ["a", "c", "e"]
    assert again.frames_per_second == 0
    with open_features(tmp_path / "f.h5") as store:
        assert store.videos == ("a", "c", "e")


@pytest.mark.parametrize(
    ("spec", "backbone", "message"),
    [
        (GridSpec(25, 4, 8), READ, "expected stride 4.*got stride 8"),
        (GridSpec(30, 8, 8), READ, "expected fps 30.*got fps 25"),
        (SPEC, ClipFunction(codes_of_clips, "others"), "expected extractor others, got extractor codes"),
        (SPEC, Peeker(0, "codes", checksum="ab"), "expected checksum ab"),
    ],
)
def test_features_made_in_another_way_are_not_mixed(
    clip: Path, tmp_path: Path, spec: GridSpec, backbone: Any, message: str
) -> None:
    out = tmp_path / "f.h5"
    extract_dataset({"v": clip}, [READ], SPEC, out)
    before = out.read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        extract_dataset({"v": clip, "w": clip}, [backbone], spec, out)
    assert caught.value.arguments == ("out", "overwrite")
    assert out.read_bytes() == before


def test_overwriting_keeps_a_file_whose_videos_are_gone(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.h5"
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(clip.read_bytes())
    extract_dataset({"v": clip, "gone": gone}, [READ], SPEC, out)
    gone.unlink()
    again = GridSpec(25, 4, 4)
    report = extract_dataset({"v": clip, "gone": gone}, [READ], again, out, overwrite=True)
    assert "has it from before and stays" in report.failed["gone"]
    with open_features(out) as store:
        assert store.videos == ("gone", "v")
        assert store.grid("v").stride == SPEC.stride
    extract_dataset({"v": clip}, [READ], again, out, overwrite=True)
    with open_features(out) as store:
        assert (store.videos, store.grid("v").stride) == (("v",), 4)


def test_overwriting_with_other_settings_than_an_interrupted_one(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.h5"
    extract_dataset({"a": clip, "b": clip}, [READ], SPEC, out)

    def fails_at_the_second(video: str, line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_dataset(
            {"a": clip, "b": clip}, [READ], GridSpec(25, 4, 4), out, overwrite=True, on_video=fails_at_the_second
        )
    extract_dataset({"a": clip, "b": clip}, [READ], GridSpec(25, 2, 2), out, overwrite=True)
    with open_features(out) as store:
        assert {store.grid(video).stride for video in store.videos} == {2}
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


def test_overwriting_replaces_the_file_when_the_new_one_is_complete(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.h5"
    extract_dataset({"v": clip, "old": clip}, [READ], SPEC, out)

    def fail(clips: Array) -> Array:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_dataset({"v": clip}, [ClipFunction(fail, "x")], GridSpec(25, 4, 4), out, overwrite=True)
    with open_features(out) as store:
        assert store.videos == ("old", "v")
    extract_dataset({"v": clip}, [READ], GridSpec(25, 4, 4), out, overwrite=True)
    with open_features(out) as store:
        assert store.videos == ("v",)
        assert store.grid("v").stride == 4
    assert [p.name for p in tmp_path.iterdir()] == ["f.h5"]


def test_shards_are_disjoint_and_meet_in_one_file(folder: Path, tmp_path: Path) -> None:
    videos = {name: folder / f"{name}.mp4" for name in ("a", "c", "e")}
    shards = [select_shard(videos, (i, 2)) for i in (1, 2)]
    assert [list(s) for s in shards] == [["a", "e"], ["c"]]
    for shard in shards:
        extract_dataset(shard, [READ], SPEC, tmp_path / "f.h5")
    with open_features(tmp_path / "f.h5") as store:
        assert store.videos == ("a", "c", "e")


def test_shards_of_several_machines_are_merged(clip: Path, tmp_path: Path) -> None:
    extract_dataset({"a": clip, "b": clip}, [READ], SPEC, tmp_path / "1.h5")
    extract_dataset({"b": clip, "c": clip}, [READ], SPEC, tmp_path / "2.h5")
    report = merge_features([tmp_path / "1.h5", tmp_path / "2.h5"], tmp_path / "all.h5")
    assert report.extracted == {"a": 6, "b": 6, "c": 6}
    assert report.skipped == ["b"]
    with open_features(tmp_path / "all.h5") as merged, open_features(tmp_path / "2.h5") as second:
        assert merged.videos == ("a", "b", "c")
        np.testing.assert_array_equal(merged.read("c").data, second.read("c").data)
        assert merged.grid("c") == second.grid("c")
        assert merged.provenance("c") == second.provenance("c")
    extract_dataset({"d": clip}, [READ], GridSpec(25, 4, 8), tmp_path / "3.h5")
    with pytest.raises(DataError, match="another grid"):
        merge_features([tmp_path / "1.h5", tmp_path / "3.h5"], tmp_path / "bad.h5")
    assert not (tmp_path / "bad.h5").exists()
    with pytest.raises(UsageError, match="is the file to write"):
        merge_features([tmp_path / "1.h5"], tmp_path / "1.h5")
    with pytest.raises(UsageError, match="no feature files"):
        merge_features([], tmp_path / "x.h5")


def test_wrong_output_names(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.h5"):
        extract_dataset({"v": clip}, [READ], SPEC, tmp_path / "f.npz")
    (tmp_path / "dir.h5").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        extract_dataset({"v": clip}, [READ], SPEC, tmp_path / "dir.h5")
    (tmp_path / "other.h5").write_bytes(b"something else")
    with pytest.raises(DataError, match="HDF5"):
        extract_dataset({"v": clip}, [READ], SPEC, tmp_path / "other.h5")
