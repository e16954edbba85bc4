"""Static clips of a whole data set: mined once, kept with the annotations, found by training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.video.clips import av
from wtal_core.cli import main
from wtal_core.data import Dataset, FeatureWriter
from wtal_core.errors import DataError, UsageError
from wtal_core.records import VideoFeatures
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training.corpus import Corpus
from wtal_core.video.static_track import mine_dataset

FPS, SECONDS = 25, 16


def write_video(path: Path, still: tuple[float, float]) -> None:
    """Write a clip of moving texture that stands still between two times."""
    rng = np.random.default_rng(0)
    texture = np.repeat(np.repeat(rng.integers(0, 255, (24, 60), dtype=np.uint8), 4, axis=0), 4, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "15"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        shift = 0
        for number in range(FPS * SECONDS):
            shift += 0 if still[0] <= number / FPS < still[1] else 3
            picture = np.roll(texture, shift, axis=1)[:, :128]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of four training videos: half still, a fifth still, never still, and one without a file."""
    (tmp_path / "videos").mkdir()
    for name, still in (("half", (0, 8)), ("fifth", (6, 10)), ("never", (99, 99))):
        write_video(tmp_path / "videos" / f"{name}.mp4", still)
    rows = {
        name: {"subset": "train", "duration": SECONDS, "annotations": [{"label": "Spin", "segment": [1, 3]}]}
        for name in ("half", "fifth", "never", "lost")
    }
    rows["fifth"]["tracks"] = {"phases": [{"label": "Spin/start", "segment": [1, 2]}]}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": rows, "tracks": ["phases"]}))
    (tmp_path / "dataset.yaml").write_text("name: still\nsplits: {train: [train]}\n")
    grid = SnippetGrid.for_duration(SECONDS, fps=FPS, stride=16, window=16)
    with FeatureWriter(tmp_path / "features" / "f.h5") as writer:
        for name in ("half", "fifth", "never"):
            writer.write(VideoFeatures(name, np.ones((grid.num_snippets, 4), dtype=np.float32), grid))
    return tmp_path


def test_mining_writes_a_track_that_training_uses(folder: Path) -> None:
    with pytest.raises(UsageError, match="data static"):
        load(folder)
    report = mine_dataset(folder)
    assert report.usable == ["fifth"]
    assert list(report.rejected) == ["half", "never"] or list(report.rejected) == ["never", "half"]
    assert report.missing == ["lost"]
    annotations = Dataset.open(folder).annotations
    static = annotations.tracks["static"]
    assert static.video.tolist() == ["fifth"]
    assert 6.0 - 0.5 <= static.start[0] < static.end[0] <= 10.0 + 0.5
    assert annotations.tracks["phases"].label.tolist() == ["Spin/start"]  # what was there stays
    assert len(annotations.instances) == 4
    corpus = load(folder)
    assert corpus.videos[-1] == "fifth/static"
    assert 4 <= corpus.lengths[-1] <= 7  # snippets that start in the four still seconds


def load(folder: Path) -> Corpus:
    dataset = Dataset.open(folder)
    with dataset.store() as store:
        return Corpus.load(store, dataset.annotations, dataset.videos("train"), hard_negatives=True, quiet=True)


def test_an_interrupted_mining_goes_on_and_other_settings_start_again(folder: Path) -> None:
    done: list[str] = []

    def power_cut(video: str) -> None:
        done.append(video)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine_dataset(folder, advance=power_cut)
    assert "static" not in Dataset.open(folder).annotations.tracks
    report = mine_dataset(folder)
    assert report.kept == 2
    assert report.usable == ["fifth"]
    from wtal_core.video.static_clips import StaticClipConfig

    loose = mine_dataset(folder, config=StaticClipConfig(rho=60, max_ratio=0.8))
    assert loose.kept == 0
    assert "half" in loose.usable
    (folder / "static_clips.json").write_text("{")
    assert mine_dataset(folder).kept == 0


def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="is not annotated"):
        mine_dataset(folder, ["nobody"])
    with pytest.raises(DataError, match="no video has a file"):
        mine_dataset(folder, ["lost"])
    (folder / "videos" / "lost.mp4").write_bytes(b"no video")
    assert main(["data", "static", str(folder), "--videos", "lost", "fifth"]) == 1
    out = capsys.readouterr().out
    assert "1 static clips" in out
    assert "failed: lost" in out
    assert main(["data", "static", str(folder), "--rho", "200"]) == 2


def test_annotations_outside_the_folder_stay_as_they_are(tmp_path: Path) -> None:
    original = '{"database": {"a": {"subset": "train", "url": "https://x", "annotations": []}}}'
    (tmp_path / "activity_net.json").write_text(original)
    (tmp_path / "ds" / "videos").mkdir(parents=True)
    (tmp_path / "ds" / "videos" / "a.mp4").write_bytes(b"no video")
    yaml = "name: x\nsplits: {train: [train]}\nannotations: ../activity_net.json\n"
    (tmp_path / "ds" / "dataset.yaml").write_text(yaml)
    with pytest.raises(UsageError, match="outside the data set folder"):
        mine_dataset(tmp_path / "ds")
    assert (tmp_path / "activity_net.json").read_text() == original
