"""A method of somebody else's package: found, trained, resumed, inferred, localized and scored, with no line here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.outside import NAME, SETTINGS, install, installed
from tests.planted_dataset import write_dataset
from wtal_core.cli import main
from wtal_core.data.dataset import Dataset
from wtal_core.errors import UsageError
from wtal_core.jobs.trainings import start_training
from wtal_core.methods import create_method, list_methods, method_class, name_of
from wtal_core.methods.registry import outline, target_of
from wtal_core.runs.folder import Run
from wtal_core.runs.scores import stored_evaluations
from wtal_core.training.checks import CHECKS, Check, Subject
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import make_world


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture
def package(site: Path) -> Iterator[Path]:
    with installed(site):
        yield site


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(make_world(), tmp_path / "datasets" / "tiny")


def report_of(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_an_installed_method_is_listed_without_being_imported(package: Path) -> None:
    code = "import sys; from wtal_core.cli import main; main(['methods', '--json']); " \
           "assert not {'torch', 'probe'} & set(sys.modules)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows[NAME] == {
        "name": NAME, "title": "ProbeNet (Authors, venue year)", "presets": ["thumos14", "activitynet12"],
    }  # fmt: skip
    assert {"acmnet", "acn", "cmcs", "deep_metric", "hamnet"} < set(rows)


def test_a_name_that_this_project_has_stays_its_own(package: Path) -> None:
    points = package / "probe-1.0.dist-info" / "entry_points.txt"
    before = points.read_text()
    points.write_text(before + f"hamnet = probe.{NAME}:ProbeNet\n")
    try:
        assert target_of("hamnet") == "wtal_core.methods.hamnet:HAMNet"
    finally:
        points.write_text(before)


def test_it_trains_resumes_infers_localizes_and_is_scored(
    package: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(dataset.folder), tmp_path / "runs" / "mine"
    words = ["train", NAME, "--data", data, "--out", str(out), "--device", "cpu", "--quiet", "--json"]
    (out).mkdir(parents=True)
    (out / "stop").touch()
    assert main([*words, "--set", *SETTINGS]) == 130
    assert report_of(capsys)["state"] == "stopped"
    assert main([*words, "--resume"]) == 0
    report = report_of(capsys)
    assert (report["state"], report["steps"]) == ("finished", 60)
    assert report["evaluations"][0]["average"] > 0.3  # chance is about 0.1
    run = Run.open(out)
    assert (run.info.method, run.info.preset) == (NAME, "thumos14")
    assert main(["infer", str(out), "--data", data, "--quiet"]) == 0
    assert main(["localize", str(out), "--set", "thresholds=[0.3,0.5]"]) == 0
    assert main(["evaluate", str(out)]) == 0
    assert main(["runs", "show", str(out)]) == 0
    said = capsys.readouterr().out
    assert "ProbeNet (Authors, venue year)" in said
    assert stored_evaluations(run)[0]["average"] > 0.2


def test_a_class_is_named_by_its_path_in_python(package: Path) -> None:
    target = f"probe.{NAME}:ProbeNet"
    method = create_method(target, num_classes=3, feature_dim=8, hidden=4)
    assert name_of(type(method)) == NAME
    assert method_class(NAME) is method_class(target) is type(method)


def test_what_is_wrong_with_a_path_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_probe.py").write_text("import no_such_package_anywhere\n")
    (tmp_path / "empty_probe.py").write_text("Thing = 3\n")
    for target, said in {
        "no_such_module_anywhere:Mine": "is not there",
        "broken_probe:Mine": "cannot be imported",
        "empty_probe:Mine": "no such class",
        "empty_probe:Thing": "is not a method",
        "not a path:Mine": "is not the path of a class",
        "pack.mine:": "is not the path of a class",
    }.items():
        with pytest.raises(UsageError, match=said):
            method_class(target)
    assert outline("empty_probe:Thing").title == "Thing"


def test_a_file_of_the_workspace_trains_as_a_job(tmp_path: Path, dataset: Dataset) -> None:
    assert main(["methods", "new", "JobNet", "--out", str(tmp_path)]) == 0
    request = TrainRequest(
        method="job_net:JobNet", data=Path("datasets/tiny"), out=Path("runs/mine"), device="cpu",
        set={"hidden": 8, "training.steps": 3, "training.batch_size": 4},
    )  # fmt: skip
    job = start_training(request, home=tmp_path, cwd=tmp_path)
    until = time.monotonic() + 120
    while job.status().open and time.monotonic() < until:
        time.sleep(0.2)
    assert job.status().state == "finished", (tmp_path / "runs" / "mine" / "worker.log").read_text()
    described = yaml.safe_load((tmp_path / "runs" / "mine" / "run.yaml").read_text())
    assert described["method"] == "job_net:JobNet"


def test_new_refuses_what_is_no_name_or_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "new", "my-net", "--out", str(tmp_path)]) == 2
    assert main(["methods", "new", "lambda", "--out", str(tmp_path)]) == 2
    assert main(["methods", "new", "MyNet", "--out", str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"my_net.py", "test_my_net.py"}
    assert main(["methods", "new", "my_net", "--out", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


BROKEN = {
    "padding": ("masked_mean(a, batch.mask).mean()", "a.mean()"),
    "gradients": ("self.attention(x).sigmoid()", "self.attention(x.detach()).detach().sigmoid()"),
    "short_videos": ("lengths // self.config.topk_ratio", "lengths // self.config.topk_ratio / (lengths - 1)"),
    "crops": ("(x.mean(0, keepdim=True) for x in", "(x.sum(0, keepdim=True) for x in"),
    "deterministic": ("self.config.dropout, self.training)", "self.config.dropout, True)"),
    "shapes": ("classes=self.classes,", "classes=tuple(c.lower() for c in self.classes),"),
    "losses": ('"sparse": sparse}', '"sparse": a}'),
    "seeds": ("mil = F", "mil = __import__('time').perf_counter() + F"),
    "independent": ("    def _activations", '''    @staticmethod
    def propose(activations, localization):
        from dataclasses import replace
        from wtal_core.localization import generic
        found = generic.propose(activations, localization)
        return replace(found, score=found.score / max(len(activations), 1))

    def _activations'''),
    "builds": ('"channels of the embedding"', '""'),
    "views": ('View("attention", "Attention"', 'View("cas", "Attention"'),
    "sampling": ("    def forward", '''    def sample_snippets(self, recipe, video, length, rng):
        return rng.integers(0, length + 1, 20)

    def forward'''),
    "resumed": ("    def forward", '''    step = 0

    def optimizer(self, recipe, parameters):
        type(self).step += 1
        from dataclasses import replace
        return super().optimizer(replace(recipe, lr=recipe.lr * type(self).step), parameters)

    def forward'''),
    "saved": ("    def forward", '''    def state_dict(self, *arguments, **named):
        return {k: v.round(decimals=2) for k, v in super().state_dict(*arguments, **named).items()}

    def forward'''),
    "learns": ('"training.lr": 5e-3', '"training.lr": 0.0'),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_every_check_finds_what_it_is_for(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"broken_{broken}_net"
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["methods", "new", name, "--out", str(tmp_path)]) == 0
    file = tmp_path / f"{name}.py"
    text = file.read_text()
    right, wrong = BROKEN[broken]
    assert right in text
    file.write_text(text.replace(right, wrong, 1))
    check = next(check for check in CHECKS if check.__name__ == broken)
    monkeypatch.setattr("wtal_core.training.checks.CHECKS", (check,))
    target = f"{name}:{''.join(part.title() for part in name.split('_'))}"
    capsys.readouterr()
    assert main(["methods", "check", target, "--json"]) == 1
    (outcome,) = report_of(capsys)["checks"]
    assert outcome["state"] == "failed"
    assert outcome["message"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_file_to_begin_from_keeps_the_contract(check: Check) -> None:
    check(Subject("wtal_core.methods.template:NewMethod"))


def test_an_installed_name_is_in_every_list(package: Path) -> None:
    assert NAME in list_methods()
