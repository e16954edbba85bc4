"""The printed tables: complete, plausible, and found by the names people use."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wtal_core.cli import main
from wtal_core.errors import UsageError
from wtal_core.evaluation import TIOU_PRESETS, list_protocols
from wtal_core.methods import list_methods
from wtal_core.papers import dataset_name, get_paper, list_papers, published_results

#: Averages that are not the mean of the row's printed mAPs: so printed (STPN's is over tIoU 0.1 to 0.9 elsewhere).
PRINTED_SO = {
    ("acmnet", "STPN (CVPR 2018)"), ("acmnet", "EM-MIL (ECCV 2020)"), ("hamnet", "STPN (2018)"), ("hamnet", "W-TALC"),
}  # fmt: skip


def test_every_paper_has_its_method_and_a_known_protocol() -> None:
    assert {get_paper(name).method for name in list_papers()} <= set(list_methods())
    assert {get_paper(name).protocol for name in list_papers()} <= {None, *list_protocols()}


@pytest.mark.parametrize("name", list_papers())
def test_printed_numbers_are_plausible(name: str) -> None:
    """mAP falls with tIoU, and a printed average is that of the printed numbers: transcription slips break both."""
    for table in get_paper(name).tables:
        for row in table.rows:
            values = [v for _, v in sorted(table.mean_ap(row).items())]
            assert values == sorted(values, reverse=True), (table.name, row.method)
            for tiou, average in table.averages(row).items():
                wanted = TIOU_PRESETS.get(tiou)
                known = table.mean_ap(row)
                if wanted and set(wanted) <= known.keys() and (name, row.method) not in PRINTED_SO:
                    assert average == pytest.approx(np.mean([known[t] for t in wanted]), abs=6.1e-4), row.method


@pytest.mark.parametrize(
    ("method", "tiou", "percent"),
    [("acmnet", 0.5, 34.6), ("acn", 0.5, 24.2), ("deep_metric", 0.5, 29.6),
     ("hamnet", 0.5, 31.0), ("hamnet", 0.7, 11.14)],
)  # fmt: skip
def test_what_the_papers_printed_about_themselves(method: str, tiou: float, percent: float) -> None:
    ((_, table, row),) = published_results("thumos14", method)
    assert table.mean_ap(row)[tiou] == pytest.approx(percent / 100)


def test_cmcs_printed_two_kinds_of_features() -> None:
    found = {row.feature: table.averages(row) for _, table, row in published_results("THUMOS-14", "cmcs")}
    assert found == {"UNT": {"0.1:0.5": 0.374}, "I3D": {"0.1:0.5": 0.409}}


def test_data_sets_by_the_names_people_use() -> None:
    assert dataset_name("thumos-14") == "THUMOS14"
    assert dataset_name("ActivityNet 1.2") == "ActivityNet1.2"
    assert dataset_name("demo") is None
    assert dataset_name(None) is None
    assert list(published_results("demo")) == []
    assert len(list(published_results())) > len(list(published_results("thumos14")))


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "list"]) == 0
    assert "AAAI 2021" in capsys.readouterr().out
    assert main(["paper", "show", "hamnet", "--dataset", "thumos14"]) == 0
    shown = capsys.readouterr().out
    assert "11.14" in shown
    assert "Table 3" not in shown
    assert main(["paper", "show", "acn", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["protocol"] is None
    assert value["tables"][1]["rows"][-1]["values"] == [35.9, 30.7, 24.2, 15.7, 7.4]
    assert main(["paper", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5
    assert main(["paper", "show", "hamnett"]) == 2
    assert "Did you mean 'hamnet'" in capsys.readouterr().err
    assert main(["paper", "show", "hamnet", "--dataset", "activitynet1.3"]) == 2


def test_unknown_paper() -> None:
    with pytest.raises(UsageError, match="unknown paper"):
        get_paper("cola")
