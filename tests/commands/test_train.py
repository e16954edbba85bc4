"""`wtal train | infer | localize | evaluate | runs`: one small data set through every command."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from tests.planted_dataset import write_dataset
from wtal_core.cli import main
from wtal_core.commands.requests import command_line, command_of, request_of
from wtal_core.data import FeatureWriter, open_features, write_annotations
from wtal_core.data.dataset import Dataset, FeatureFile
from wtal_core.errors import Interrupted
from wtal_core.methods import list_methods
from wtal_core.records import Provenance
from wtal_core.runs.folder import Run
from wtal_core.settings import plain
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import CLASSES, MemoryStore, World, make_world

SMALL = ["training.steps=6", "training.batch_size=4", "training.snippets=20", "training.videos_per_class=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    world = make_world(num_train=10, num_test=4)
    with FeatureWriter(folder / "features" / "planted.h5") as writer:
        for video in world.store.videos:
            writer.write(world.store.read(video))
    write_annotations(world.annotations, folder / "annotations.json")
    Dataset(
        folder=folder,
        name="tiny",
        splits={"train": ("training",), "test": ("test",)},
        class_list=CLASSES,
        feature_files=(FeatureFile("planted", "features/planted.h5"),),
    ).save()
    return folder


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    folder = data / "runs" / "one"
    assert main(["train", "deep_metric", "--data", str(data), "--out", str(folder), "--set", *SMALL, "--quiet"]) == 0
    return folder


def test_the_command_is_the_request_that_the_app_makes() -> None:
    request = TrainRequest(
        "cmcs", Path("my data"), Path("runs/a"), preset="activitynet12", set={"training.lr": 1e-05, "streams": "late"},
        features="i3d", validate="test", test="all", no_test=True, seed=3, device="cuda:1", precision="bf16",
        compile=True, residence="disk", checkpoint_every=0, log_every=1, validate_every=7, patience=2,
        keep_activations=50, keep_videos=("a", "b"),
    )  # fmt: skip
    command = command_of(request.to_request())
    assert {f.name: getattr(command, f.name) for f in fields(request)} == asdict(request)
    words = shlex.split(command_line(request.to_request()))
    assert words[:5] == ["wtal", "train", "cmcs", "--data", "my data"]
    assert request_of(words[1:]) == plain(request.to_request())
    assert command_of(request.to_request(resume=True)).resume


def test_training_leaves_a_complete_run_folder(run: Path) -> None:
    names = {p.name for p in run.iterdir()}
    assert names >= {"run.yaml", "status.json", "metrics.jsonl", "checkpoints", "activations.h5", "detections.json"}
    assert (run / "evaluation.json").is_file()
    assert json.loads((run / "status.json").read_text())["state"] == "finished"


def test_a_run_opens_elsewhere_unchanged(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    assert main(["localize", str(moved), "--json"]) == 0
    before = json.loads((run / "detections.json").read_text())
    assert json.loads((moved / "detections.json").read_text()) == before
    assert main(["runs", "show", str(moved), "--json"]) == 0
    text = capsys.readouterr().out
    about = json.loads(text[text.rindex("\n{") if "\n{" in text else 0 :])
    assert about["changes"]["training.steps"] == 6


def test_infer_repeats_what_training_stored(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((run / "detections.json").read_text())
    assert main(["infer", str(run), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 4
    assert json.loads((run / "detections.json").read_text()) == before


def test_a_run_stays_with_the_features_it_was_trained_on(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "data"
    shutil.copytree(data, other, ignore=shutil.ignore_patterns("runs"))
    with open_features(other / "features" / "planted.h5") as store, FeatureWriter(other / "features" / "a.h5") as new:
        for video in store.videos:
            features = store.read(video)
            new.write(replace(features, data=features.data[::-1].copy()))
    files = (FeatureFile("a", "features/a.h5"), FeatureFile("planted", "features/planted.h5"))
    replace(Dataset.open(other), feature_files=files).save()
    run = tmp_path / "run"
    command = ["train", "deep_metric", "--data", str(other), "--out", str(run), "--quiet"]
    assert main([*command, "--features", "planted", "--set", *SMALL]) == 0
    before = (run / "detections.json").read_text()
    for again in (["infer", str(run), "--data", str(other), "--quiet"], [*command, "--resume"]):
        (run / "detections.json").unlink()
        assert main(again) == 0
        assert (run / "detections.json").read_text() == before
    assert main(["infer", str(run), "--features", "a", "--quiet"]) == 0
    assert (run / "detections.json").read_text() != before


def test_classes_too_rare_for_a_group_are_noted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "deep_metric", "--data", str(data), "--no-test", "--quiet", "--set", *SMALL[:3]]
    assert main([*command, "training.videos_per_class=4", "--out", str(tmp_path / "four")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "note: 1 class with fewer than 4 training videos" in said
    assert f"hardly learnt: {CLASSES[2]}" in said
    assert main([*command, "training.videos_per_class=3", "--out", str(tmp_path / "three")]) == 0
    assert "fewer than" not in capsys.readouterr().err


def test_localize_takes_settings(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.csv"
    assert main(["localize", str(run), "--set", "min_length=1000", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["detections"] == 0
    assert main(["localize", str(run), "--set", "min_lenght=3"]) == 2
    assert "Did you mean 'min_length'" in capsys.readouterr().err


def test_scores_never_belong_to_other_detections(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(run, changed)
    before = (changed / "evaluation.json").read_text()
    assert main(["localize", str(changed), "--json"]) == 0
    assert (changed / "evaluation.json").read_text() == before
    assert main(["localize", str(changed), "--set", "min_length=1000"]) == 0
    stored = json.loads((changed / "evaluation.json").read_text())
    assert (stored["subset"], stored["evaluations"][0]["num_detections"]) == (["test"], 0)
    assert "mAP % at tIoU" in capsys.readouterr().out
    assert main(["infer", str(changed), "--quiet"]) == 0
    assert (changed / "evaluation.json").read_text() == before
    info = Run.open(changed).info
    (changed / "run.yaml").unlink()
    moved = replace(info, dataset={**info.dataset, "folder": str(tmp_path / "gone")})
    with Run.making(tmp_path / "elsewhere", moved):
        pass
    shutil.copy(tmp_path / "elsewhere" / "run.yaml", changed)
    capsys.readouterr()
    assert main(["localize", str(changed)]) == 0
    assert "note: not scored: the data set of this run is not here" in capsys.readouterr().out
    assert not (changed / "evaluation.json").exists()


def test_evaluate_finds_the_truth_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["subset"] == ["test"]
    stored = json.loads((run / "evaluation.json").read_text())["evaluations"][0]
    assert report["evaluations"][0]["mean_ap"] == stored["mean_ap"]


def test_resume_of_a_finished_run_changes_nothing(data: Path, run: Path) -> None:
    before = (run / "metrics.jsonl").read_text()
    assert main(["train", "deep_metric", "--data", str(data), "--out", str(run), "--resume", "--quiet"]) == 0
    assert (run / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["deep_metric", "--set", *SMALL], 0, ""),  # the same command and --resume, as it advises
        (["deep_metric", "--set", "training.steps=7"], 2, "settings of a run that is resumed cannot change"),
        (["hamnet"], 2, "the method of a run that is resumed cannot change (expected deep_metric, got hamnet)"),
        (["deep_metric", "--seed", "5"], 2, "the seed of a run that is resumed cannot change"),
    ],
)
def test_resume_goes_on_with_the_run_as_it_was_or_not_at_all(
    more: list[str], code: int, words: str, data: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [more[0], "--data", str(data), "--out", str(run), "--resume", "--no-test", "--quiet", *more[1:]]
    assert main(["train", *arguments]) == code
    assert words in capsys.readouterr().err


def test_resume_refuses_other_classes(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other, ignore=shutil.ignore_patterns("runs"))
    text = (other / "dataset.yaml").read_text()
    assert CLASSES[-1] in text
    (other / "dataset.yaml").write_text(text.replace(f"- {CLASSES[-1]}\n", f"- {CLASSES[-1]}\n- Zumba\n"))
    assert main(["train", "deep_metric", "--data", str(other), "--out", str(run), "--resume", "--quiet"]) == 1
    assert "expected 3 classes, 32 channels, got 4 classes" in capsys.readouterr().err


def test_a_run_stopped_before_its_first_checkpoint_starts_over(data: Path, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "checkpoints" / "last.pt").unlink()
    arguments = ["--data", str(data), "--out", str(copy), "--resume", "--no-test", "--quiet"]
    assert main(["train", "deep_metric", *arguments]) == 0

    def losses(folder: Path) -> list[object]:
        return [json.loads(line)["losses"] for line in (folder / "metrics.jsonl").read_text().splitlines()]

    assert losses(copy) == losses(run)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_follows_an_interrupted_training_is_not_begun(
    number: signal.Signals, code: int, data: Path, tmp_path: Path
) -> None:
    """`wtal train && next` does not go on to the next; a shell sees which signal ended it, and --resume goes on."""
    out = tmp_path / "run"
    arguments = ["train", "deep_metric", "--data", str(data), "--out", str(out), "--no-test", "--quiet", "--json"]
    training = subprocess.Popen(
        [sys.executable, "-m", "wtal_core.cli", *arguments, "--set", *SMALL[1:], "training.steps=100000"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start what is in the background deaf
    )
    until = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() and training.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    training.send_signal(number)
    report = json.loads(training.communicate(timeout=60)[0])
    assert (report["state"], report["checkpoints"]) == ("stopped", ["last"])
    assert training.returncode == -number  # what `$?` shows as 128 + number
    assert Interrupted(number).exit_code == code
    assert Run.open(out).status()["state"] == "stopped"


def test_validation_keeps_best_and_says_what_it_was_selected_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["train", "deep_metric", "--data", str(data), "--out", str(out), "--set", *SMALL, "--quiet"]
    assert main([*arguments, "--validate", "test", "--validate-every", "3", "--no-test"]) == 0
    assert "selected on the test split" in capsys.readouterr().err
    assert (out / "checkpoints" / "best.pt").is_file()
    assert main(["runs", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["selected_on"] == ["test"]


def test_runs_are_listed_and_compared_over_seeds(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in ("1", "2"):
        arguments = [
            "--data",
            str(data),
            "--out",
            str(tmp_path / f"s{seed}"),
            "--seed",
            seed,
            "--set",
            *SMALL,
            "--quiet",
        ]
        assert main(["train", "deep_metric", *arguments]) == 0
    capsys.readouterr()
    assert main(["runs", "list", str(tmp_path), "--json"]) == 0
    assert [r["seed"] for r in json.loads(capsys.readouterr().out)] == [1, 2]
    assert main(["runs", "compare", str(tmp_path), str(run), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [g["runs"] for g in table["seeds"]] == [3]
    assert table["seeds"][0]["average"]["std"] > 0
    averages = [r["average"] for r in table["runs"]]
    assert main(["runs", "compare", str(run), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["seeds"][0]
    assert (alone["average"]["std"], alone["mean_ap"]["0.5"]["std"]) == (None, None)
    assert table["seeds"][0]["average"]["mean"] == pytest.approx(sum(averages) / 3)


@pytest.mark.parametrize(("modalities", "code", "words"), [
    ((("rgb", 32),), 2, "not RGB and flow of the same width, which this setting of the method takes apart (expected"),
    ((), 0, "warning: the features do not say which channels are RGB and flow: the first half is taken for RGB"),
])  # fmt: skip
def test_streams_that_are_not_there_are_not_trained_on(
    modalities: tuple[tuple[str, int], ...], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(num_train=4, num_test=2)
    made = Provenance("planted", modalities)
    store = MemoryStore({v: replace(world.store.read(v), provenance=made) for v in world.store.videos})
    data = write_dataset(World(store, world.annotations), tmp_path).folder
    steps = ["training.steps=1", "head_training.steps=1", "anchors=[1, 2]", "hidden=4"]
    out = tmp_path / "run"
    assert (
        main(["train", "acn", "--data", str(data), "--out", str(out), "--no-test", "--quiet", "--set", *steps]) == code
    )
    assert words in " ".join(capsys.readouterr().err.split())
    assert (out / "run.yaml").exists() == (code == 0)
    if code == 0:
        return
    rgb_only = ["train", "cmcs", "--data", str(data), "--out", str(out), "--no-test", "--quiet", "--set"]
    small = ["training.steps=1", "training.hard_negatives=false"]
    assert main([*rgb_only, *small, "streams=late"]) == 2
    assert main([*rgb_only, *small, "streams=both"]) == 0


def test_features_of_another_extractor_are_refused_unless_insisted(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    text = (copy / "run.yaml").read_text().replace("extractor: planted", "extractor: i3d-rgb-kinetics400")
    (copy / "run.yaml").write_text(text)
    assert main(["infer", str(copy), "--quiet"]) == 1
    message = capsys.readouterr().err
    assert "another extractor" in message
    assert "--any-features" in message
    assert main(["infer", str(copy), "--quiet", "--any-features"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "hamnett", "--data", "DATA", "--out", "OUT"], 2, "Did you mean 'hamnet'"),
        (["train", "hamnet", "--data", "/nowhere", "--out", "OUT"], 1, "does not exist"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--set", "gama=1"], 2, "unknown setting"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--set", "gamma"], 2, "key=value"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--preset", "thumos"], 2, "unknown preset"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--split", "trian"], 2, "Did you mean 'train'"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--device", "gpu"], 2, "device"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--seed", "-1"], 2, "Train.seed: is out of range"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--precision", "fp8"], 2, "bf16"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--features", "i3d"], 2, "planted"),
        (["train", "hamnet", "--data", "DATA", "--out", "OUT", "--resume"], 1, "does not exist"),
        (["infer", "/nowhere"], 1, "does not exist"),
        (["infer", "DATA"], 1, "run.yaml"),
        (["localize", "DATA"], 1, "run.yaml"),
        (["runs", "show", "DATA"], 1, "run.yaml"),
        (["runs", "compare"], 2, "no run was named"),
        (["runs", "compare", "/nowhere"], 1, "does not exist"),
        (["methods", "cmsc"], 2, "Did you mean 'cmcs'"),
        (["evaluate", "DATA"], 1, "run folder"),
    ],
)
def test_nonsense_ends_in_one_clear_line(
    arguments: list[str], code: int, words: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = [{"DATA": str(data), "OUT": str(out)}.get(a, a) for a in arguments]
    assert main(given) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert not (out / "run.yaml").exists()


def test_methods_explain_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list_methods()
    assert main(["methods", "hamnet", "--json"]) == 0
    assert all(row["meaning"] for row in json.loads(capsys.readouterr().out))
