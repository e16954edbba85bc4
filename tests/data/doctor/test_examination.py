"""The doctor finds each planted fault, names it and its remedy, and is silent about a healthy data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from tests.conftest import REPOSITORY
from wtal_core.data.annotations import scan_annotations
from wtal_core.data.dataset import Dataset
from wtal_core.data.doctor import CHECKS, Diagnosis, Subject, diagnose, diagnose_dataset, stamps, total_bytes
from wtal_core.data.features import FeatureWriter, ForeignStore, open_arrays, open_features
from wtal_core.data.video_files import VideoFiles
from wtal_core.errors import DataError
from wtal_core.records import Annotations, Provenance, Segments, VideoFeatures, VideoInfo
from wtal_core.snippet_grid import SnippetGrid

ORIGIN = Provenance("i3d", (("rgb", 4), ("flow", 4)))


def grid(t: int = 20, duration: float | None = 13.0, fps: float = 25) -> SnippetGrid:
    return SnippetGrid(fps=fps, stride=16, window=16, num_snippets=t, duration=duration)


def item(video: str, seed: int, **changes: Any) -> VideoFeatures:
    data = np.random.default_rng(seed).random((20, 8)).astype(np.float32) + 0.1
    return VideoFeatures(video, data, changes.pop("grid", grid()), changes.pop("provenance", ORIGIN))


def healthy_annotations() -> dict[str, Any]:
    database = {}
    for i in range(6):
        database[f"v{i}"] = {
            "subset": "training" if i < 4 else "validation",
            "duration": 13.0,
            "annotations": [
                {"label": "Jump", "segment": [1.0, 3.0]},
                {"label": "Run" if i % 2 else "Jump", "segment": [5.0, 6.5]},
            ],
        }
    return {"version": "1", "database": database}


def make(folder: Path, annotations: dict[str, Any] | None = None, items: list[VideoFeatures] | None = None) -> Path:
    (folder / "features").mkdir(parents=True, exist_ok=True)
    (folder / "videos").mkdir(exist_ok=True)
    for i in range(6):
        (folder / "videos" / f"v{i}.mp4").write_bytes(b"x")
    (folder / "annotations.json").write_text(json.dumps(annotations or healthy_annotations()))
    description = {
        "name": "toy", "splits": {"train": "training", "test": ["validation"]}, "classes": ["Jump", "Run"]
    }  # fmt: skip
    (folder / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    with FeatureWriter(folder / "features" / "i3d.h5", allow_mixed=True) as writer:
        for features in items or [item(f"v{i}", i) for i in range(6)]:
            writer.write(features)
    return folder


def found(diagnosis: Diagnosis) -> set[tuple[str, str]]:
    return {(finding.severity, finding.check) for finding in diagnosis.findings}


def the(diagnosis: Diagnosis, check: str, severity: str | None = None) -> str:
    hits = [f for f in diagnosis.findings if f.check == check and severity in (None, f.severity)]
    assert len(hits) == 1, hits
    return f"{hits[0].where}: {hits[0].message}. {hits[0].next_step}"


def test_a_healthy_dataset_has_no_findings(tmp_path: Path) -> None:
    diagnosis = diagnose_dataset(make(tmp_path))
    assert diagnosis.findings == ()
    assert diagnosis.healthy
    assert diagnosis.examined == {"videos": 6, "instances": 12, "classes": 2, "feature sets": 1, "snippets": 120}
    json.dumps(diagnosis.to_dict())


ANNOTATION_FAULTS: list[tuple[str, Any, str, str, str]] = [
    ("inverted", lambda d: d["v0"]["annotations"][0].update(segment=[3.0, 1.0]), "error", "annotations", "inverted"),
    ("negative", lambda d: d["v0"]["annotations"][0].update(segment=[-1, 1.0]), "error", "annotations", "negative"),
    ("twice", lambda d: d["v0"]["annotations"].append(d["v0"]["annotations"][0]), "warning", "duplicates", "again"),
    ("beyond", lambda d: d["v0"]["annotations"][0].update(segment=[3, 14]), "warning", "beyond duration", "14 s"),
    ("no length", lambda d: d["v0"]["annotations"][0].update(segment=[3, 3]), "warning", "empty segments", "empty"),
    ("misspelt", lambda d: d["v0"]["annotations"][0].update(label="Jmup"), "error", "classes", "Did you mean 'Jump'"),
    ("missing video", lambda d: d.update(v9=dict(d["v5"])), "error", "features missing", "v9: is annotated"),
    ("no file", lambda d: d.update(v9=dict(d["v5"])), "note", "videos", "v9: has no file"),
    ("untrained", lambda d: [r.update(label="Jump") for i in (1, 3) for r in d[f"v{i}"]["annotations"]],
     "error", "splits", "class 'Run': no training video, but 1 video to test on"),
    ("no label", lambda d: d["v0"].update(annotations=[]), "warning", "splits", "1 training videos have no label"),
    ("subset", lambda d: [d[v].update(subset="valid") for v in ("v4", "v5")], "error", "splits",
     "subset 'validation' has no video; there are training, valid. Did you mean 'valid'?"),
    ("ambiguous", lambda d: d["v0"]["annotations"].append({"label": "Ambiguous", "segment": [7, 8]}),
     "note", "ambiguous", "1 Ambiguous interval in 1 video"),
    ("duration", lambda d: d["v0"].update(duration=20.0), "warning", "durations",
     "i3d: v0: lasts 13.0 s by the features, 20.0 s by the annotations"),
    ("late", lambda d: d["v0"].update(duration=90.0, annotations=[{"label": "Jump", "segment": [50, 60]}]),
     "warning", "segments beyond features", "1 instances start after the last snippet ends (12.8 s)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "severity", "check", "text"), [f[1:] for f in ANNOTATION_FAULTS],
                         ids=[f[0] for f in ANNOTATION_FAULTS])  # fmt: skip
def test_planted_annotation_faults(tmp_path: Path, change: Any, severity: str, check: str, text: str) -> None:
    annotations = healthy_annotations()
    change(annotations["database"])
    diagnosis = diagnose_dataset(make(tmp_path, annotations))
    assert (severity, check) in found(diagnosis)
    assert text in the(diagnosis, check, severity)
    assert diagnosis.healthy == (diagnosis.count("error") == 0)


def changed(video: int, change: Any) -> list[VideoFeatures]:
    items = [item(f"v{i}", i) for i in range(6)]
    items[video] = change(items[video])
    return items


def with_data(edit: Any) -> Any:
    def change(features: VideoFeatures) -> VideoFeatures:
        data = features.data.copy()
        edit(data)
        return replace(features, data=data)

    return change


FEATURE_FAULTS: list[tuple[str, list[VideoFeatures], str, str, str]] = [
    ("fps", changed(0, lambda f: replace(f, grid=grid(duration=13.0 * 25 / 30))), "error", "length",
     "v0: 20 snippets, but 25 fps implies 16 (10.8 s, 16-frame steps); 20 is what 30 fps would give"),
    ("short", changed(0, lambda f: replace(f, grid=grid(duration=14.4))), "warning", "length", "implies 22"),
    ("zero", changed(0, with_data(lambda d: d.fill(0))), "error", "values", "all 20 snippets are zero"),
    ("some zero", changed(0, with_data(lambda d: d[3:6].fill(0))), "warning", "values", "3 of 20 snippets all"),
    ("one zero", changed(0, with_data(lambda d: d[3].fill(0))), "note", "values", "1 of 20 snippets all zero"),
    ("constant", changed(0, with_data(lambda d: d[3].fill(2))), "warning", "values", "one value in all channels"),
    ("frozen", changed(0, with_data(lambda d: d.__setitem__(slice(4, 9), d[4]))), "note", "values",
     "4 of 20 snippets equal to the one before"),
    ("width", changed(2, lambda f: VideoFeatures("v2", f.data[:, :6], grid(), Provenance("i3d"))), "error", "dimension",
     "v2: channels: 6, where it is 8 in 5 videos"),
    ("crops", changed(2, lambda f: replace(f, data=np.stack([f.data] * 2))), "error", "dimension", "crops: (2,)"),
    ("extractor", changed(2, lambda f: replace(f, provenance=Provenance("clip", ORIGIN.modalities))), "error",
     "provenance", "extractor: clip, where it is i3d in 5 videos"),
    ("order", changed(2, lambda f: replace(f, provenance=Provenance("i3d", (("flow", 4), ("rgb", 4))))), "error",
     "provenance", "streams: (('flow', 4), ('rgb', 4))"),
    ("leak", changed(5, lambda f: replace(item("v0", 0), video="v5")), "error", "same features",
     "v0, v5: 2 videos have identical features, in the splits test and train"),
    ("twin", changed(1, lambda f: replace(item("v0", 0), video="v1")), "warning", "same features", "v0, v1"),
    ("extra", [*changed(0, lambda f: f), item("v77", 7)], "note", "features without annotation", "1 video with"),
    ("prefix", [item(f"v_v{i}", i) for i in range(6)], "error", "features missing", "Take the prefix v_ off"),
    ("unstated", [item(f"v{i}", i, provenance=Provenance()) for i in range(6)], "note", "provenance", "does not say"),
]  # fmt: skip


@pytest.mark.parametrize(("items", "severity", "check", "text"), [f[1:] for f in FEATURE_FAULTS],
                         ids=[f[0] for f in FEATURE_FAULTS])  # fmt: skip
def test_planted_feature_faults(
    tmp_path: Path, items: list[VideoFeatures], severity: str, check: str, text: str
) -> None:
    diagnosis = diagnose_dataset(make(tmp_path, items=items))
    assert (severity, check) in found(diagnosis)
    assert text in the(diagnosis, check, severity)


def test_overlapping_splits(tmp_path: Path) -> None:
    make(tmp_path)
    description = {"name": "toy", "splits": {"train": ["training", "validation"], "test": ["validation"]}}
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    text = the(diagnose_dataset(tmp_path), "splits", "error")
    assert "its 2 videos are in both 'train' and 'test'" in text


def test_nan_and_damage(tmp_path: Path) -> None:
    make(tmp_path)
    with h5py.File(tmp_path / "features" / "i3d.h5", "a") as file:
        file["entries/v0"][3, 4] = np.nan
        file["entries/v1"][2, 2] = 7
        del file["entries/v2"]
        file.create_group("entries/v2")
    diagnosis = diagnose_dataset(tmp_path)
    messages = {(f.where, f.message) for f in diagnosis.findings if f.severity == "error"}
    assert ("i3d: v0", "1 value NaN or infinite, the first in snippet 3") in messages
    assert ("i3d: v1", "the stored bytes are not those that were written") in messages
    assert any(f.check == "features unreadable" and f.where == "i3d: v2" for f in diagnosis.findings)


def test_what_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "features" / "broken.h5").write_bytes(b"nothing")
    diagnosis = diagnose_dataset(tmp_path)
    assert "broken" in the(diagnosis, "features unreadable")
    with pytest.raises(DataError, match="not a data set folder"):
        diagnose_dataset(tmp_path / "features")


def test_foreign_features_without_a_grid(tmp_path: Path) -> None:
    for i in range(3):
        np.save(tmp_path / f"v{i}.npy", np.random.default_rng(i).random((20, 8), dtype=np.float32))
    info = {f"v{i}": VideoInfo("test", duration=13.0) for i in range(3)}
    annotations = Annotations(("x",), info, Segments("v0", "x", [1.0], [2.0]))
    store = ForeignStore(open_arrays(tmp_path), None)
    diagnosis = diagnose(Subject(annotations, features={"npy": store}))
    assert "i3d-25fps-16 fits 100%" in the(diagnosis, "snippet grid", "error")
    with_grid = open_features(tmp_path, grid="i3d-25fps-16", annotations=annotations)
    assert diagnose(Subject(annotations, features={"npy": with_grid})).healthy


def test_findings_are_sorted_and_named(tmp_path: Path) -> None:
    annotations = healthy_annotations()
    annotations["database"]["v0"]["annotations"][0]["segment"] = [3, 1]
    annotations["database"]["v1"]["annotations"].append({"label": "Ambiguous", "segment": [7, 8]})
    diagnosis = diagnose_dataset(make(tmp_path, annotations))
    order = ["error", "warning", "note"]
    ranks = [order.index(f.severity) for f in diagnosis.findings]
    assert ranks == sorted(ranks)
    assert {f.check for f in diagnosis.findings} <= CHECKS.keys()
    assert sum(len(group) for group in diagnosis.groups().values()) == len(diagnosis.findings)


def test_stamps_change_with_the_files_and_survive_missing_ones(tmp_path: Path) -> None:
    folder = make(tmp_path)
    dataset = Dataset.open(folder)
    before = stamps(dataset)
    assert total_bytes(before) == (folder / "features" / "i3d.h5").stat().st_size
    (folder / "annotations.json").write_text("{}")
    assert stamps(dataset) != before
    (folder / "features" / "i3d.h5").unlink()
    assert total_bytes(stamps(dataset)) == 0


def test_features_at_the_wrong_rate(tmp_path: Path) -> None:
    """Features cut at 25 fps but declared 30: every video is told, with the rate that explains it."""
    duration = {f"v{i}": 60.0 + 7.3 * i for i in range(30)}
    videos = {video: VideoInfo("test", duration=seconds) for video, seconds in duration.items()}
    truth = Annotations(("Jump",), videos, Segments(list(videos), "Jump", [1.0] * 30, [2.0] * 30))
    with FeatureWriter(tmp_path / "wrong.h5") as writer:
        for i, (video, seconds) in enumerate(duration.items()):
            right = SnippetGrid.for_duration(seconds, fps=25, stride=16, window=16)
            data = np.random.default_rng(i).random((right.num_snippets, 4), dtype=np.float32)
            writer.write(VideoFeatures(video, data, replace(right, fps=30.0)))
    subject = Subject(truth, [], splits={"test": ["test"]}, features={"i3d": open_features(tmp_path / "wrong.h5")})
    lengths = [f for f in diagnose(subject).findings if f.check == "length" and f.severity == "error"]
    assert len(lengths) == 30
    assert all("what 24 or 25 fps would give" in f.message or "what 25" in f.message for f in lengths)


def test_features_of_two_streams_with_audio_beside(tmp_path: Path) -> None:
    for stream, shape in (("rgb", (14, 1024)), ("flow", (14, 1024)), ("vggish", (36, 128))):
        np.save(tmp_path / f"leap_{stream}.npy", np.random.default_rng(len(stream)).random(shape, dtype=np.float32))
    (tmp_path / "leap.mp4").write_bytes(b"x")
    entry = {"duration": 35.08, "annotations": [{"label": "Leap", "segment": [9.1, 15.0]}]}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"leap": entry}}))
    annotations, problems = scan_annotations(tmp_path / "annotations.json")
    store = open_features(tmp_path, grid="i3d-25fps-64", annotations=annotations)
    diagnosis = diagnose(Subject(annotations, problems, {"i3d": store}, video_files=VideoFiles(tmp_path)))
    assert diagnosis.healthy
    assert "leap_vggish.npy" in the(diagnosis, "features unreadable", "warning")
    wrong = open_features(tmp_path, grid="i3d-25fps-16", annotations=annotations)
    diagnosis = diagnose(Subject(annotations, problems, {"i3d": wrong}))
    assert "14 snippets, but 25 fps implies 54" in the(diagnosis, "length", "error")


# -- the real annotations -----------------------------------------------------------------------------------------


def real(shared: Path, name: str, **options: Any) -> Diagnosis:
    annotations, problems = scan_annotations(shared / "data" / name)
    return diagnose(Subject(annotations, problems, **options))


THUMOS_SPLITS = {"train": ["validation"], "test": ["test"]}


def test_real_thumos14(shared: Path) -> None:
    diagnosis = real(shared, "thumos14_official_txt", splits=THUMOS_SPLITS)
    assert diagnosis.healthy
    assert diagnosis.examined["instances"] == 3007 + 3358
    faulty = {
        f.where.split()[-1] for f in diagnosis.findings if (f.severity, f.check) == ("warning", "known faulty videos")
    }
    assert faulty == {"video_test_0000270", "video_test_0001292", "video_test_0001496"}
    # 4 validation and 26 test instances end after the duration of their video (the cross-check of three sources).
    assert sum(f.check == "beyond duration" for f in diagnosis.findings) == 30
    assert any("188 Ambiguous intervals in 72 videos" in f.message for f in diagnosis.findings)
    assert any(f.where == "video_test_0001292" and f.check == "ambiguous" for f in diagnosis.findings)


def test_real_wtalc_and_acmnet(shared: Path) -> None:
    wtalc = real(shared, "wtalc_thumos14_annotations", splits=THUMOS_SPLITS)
    assert "extracted_fps.npy: it is known to be wrong" in the(wtalc, "frame rates", "warning")
    assert sum(f.check == "video-level labels" for f in wtalc.findings) == 28
    acmnet = real(shared, "acmnet_thumos14_annotations/gt.json", splits=THUMOS_SPLITS)
    assert "every duration is frames / 30" in the(acmnet, "durations", "warning")


def test_nothing_is_wrong_with_the_bundled_demo() -> None:
    diagnosis = diagnose_dataset(REPOSITORY / "assets" / "demo")
    assert (diagnosis.count("error"), diagnosis.count("warning")) == (0, 0)
    assert diagnosis.examined["videos"] == 54
