"""`wtal demo table`: methods over seeds on one data set, as Markdown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.planted_dataset import write_dataset
from wtal_core.cli import main
from wtal_core.demo.planted_table import PLANTED_SETTINGS
from wtal_core.training.planted import make_world


def test_a_table_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(make_world(num_train=8, num_test=3), tmp_path)
    monkeypatch.setitem(
        PLANTED_SETTINGS,
        "hamnet",
        {"training.steps": 3, "training.snippets": 20, "training.batch_size": 4, "attention_filters": 8},
    )
    command = ["demo", "table", "--data", str(tmp_path), "--out", str(tmp_path / "runs"), "--method", "hamnet"]
    assert main([*command, "--seeds", "0", "1", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^\| hamnet \| 2 \|( \d+\.\d ± \d+\.\d \|){8}$", shown, flags=re.M)
    assert main([*command, "--seeds", "1", "--quiet", "--json"]) == 0
    assert [run["name"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["hamnet-seed1"]
    assert main([*command, "--seeds", "-1"]) == 2
    assert "there is no seed" in capsys.readouterr().err
