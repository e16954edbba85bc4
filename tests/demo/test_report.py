"""The report: its table, its verdicts, and where it is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wtal_core.demo.measures import Measures
from wtal_core.demo.recipes import VARIANTS
from wtal_core.demo.report import (
    _T,
    BEGIN,
    CLAIMS,
    END,
    Claim,
    Report,
    _quantile,
    to_markdown,
    verdict,
    write_into,
)
from wtal_core.errors import DataError

PLAIN = Measures(
    average_map=0.3,
    completeness=0.6,
    found=0.9,
    on_action=0.5,
    on_context=0.2,
    on_fake=0.1,
    on_background=0.2,
    static_context=0.3,
    false_alarms=0.4,
    action_time=0.5,
)


def rows(key: str, *values: float) -> list[Measures]:
    return [replace(PLAIN, **{key: v}) for v in values]


def report(**tables: list[Measures]) -> Report:
    return Report("demo-seed0", (0, 1, 2), {name.replace("__", "-"): table for name, table in tables.items()})


def test_claims_name_runs_and_measures_that_exist() -> None:
    for claim in CLAIMS:
        assert VARIANTS[claim.without].full == claim.full
        assert hasattr(PLAIN, claim.measure)
        assert claim.better in (-1, 1)
    assert {VARIANTS[c.full].method for c in CLAIMS} == {"acmnet", "acn", "cmcs", "deep_metric", "hamnet"}


def test_verdict_by_hand() -> None:
    claim = Claim("x", "full", "less", "on_context", -1)

    def judge(full: list[float], less: list[float]) -> dict[str, Any]:
        return verdict(claim, {"full": rows("on_context", *full), "less": rows("on_context", *less)})

    # Gains 0.5, 0.6, 0.4: mean 0.5, deviation 0.1, standard error 0.0577, times Student's t of 2 degrees 4.303.
    found = judge([0.1, 0.2, 0.3], [0.6, 0.8, 0.7])
    assert found["gain"] == pytest.approx(0.5)
    assert found["spread"] == pytest.approx(0.1)
    assert found["margin"] == pytest.approx(0.2484, abs=1e-4)
    assert found["finding"] == "shows"
    assert judge([0.6, 0.8, 0.7], [0.1, 0.2, 0.3])["finding"] == "the opposite shows"
    # Two standard errors would call 0.2 ± 0.1 a difference; three seeds are too few for that.
    assert judge([0.1, 0.2, 0.3], [0.3, 0.5, 0.4])["finding"] == "does not show"
    once = judge([0.1], [0.9])
    assert once["finding"] == "does not show"
    assert math.isinf(once["margin"])
    assert judge([math.nan, 0.1, 0.1], [0.9, 0.9, 0.9])["finding"] == "does not show"


def test_quantiles_are_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (*range(1, 31), 99):  # up to 100 seeds
        assert _quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)
    assert _quantile(len(_T)) == _T[-1]


def test_markdown_says_what_shows_and_what_does_not() -> None:
    text = to_markdown(
        report(
            cmcs=rows("completeness", 0.70, 0.72, 0.74),
            cmcs__one__branch=rows("completeness", 0.60, 0.63, 0.63),
            hamnet=rows("completeness", 0.50, 0.62, 0.56),
            hamnet__no__dropping=rows("completeness", 0.55, 0.55, 0.55),
            acn=rows("average_map", 0.20, 0.21, 0.22),
            acn__oic__only=rows("average_map", 0.30, 0.32, 0.31),
            acmnet=rows("on_context", 0.2, math.nan, 0.2),
            acmnet__no__context=rows("on_context", 0.3, 0.3, 0.3),
        )
    )
    assert "| `cmcs` | 30.0 ± 0.0 | 72.0 ± 2.0 | 50.0 ± 0.0 |" in text
    lines = text.splitlines()
    assert "| CMCS: several branches find more of each instance | completeness | 72.0 | 62.0 " in text
    assert any("branches find" in line and line.endswith("| +10.0 ± 2.5 | **shows** |") for line in lines)
    assert any("dropping finds" in line and line.endswith("| +1.0 ± 14.9 | does not show |") for line in lines)
    assert any("ACN" in line and line.endswith("| -10.0 ± 2.5 | the opposite shows |") for line in lines)
    assert any("off the context" in line and line.endswith("| cannot be measured |") for line in lines)
    assert "deep_metric" not in text


def test_report_survives_json() -> None:
    made = replace(report(cmcs=rows("on_context", 0.1, math.nan, 0.3)), mining=(0.5, 0.25))
    from wtal_core.files import jsonable

    read = Report.from_dict(json.loads(json.dumps(jsonable(made.to_dict()))))
    assert (read.seeds, read.mining) == ((0, 1, 2), (0.5, 0.25))
    assert "finds 50 % of the training videos' static time; 25 % of what it finds is static" in to_markdown(read)
    assert [m.on_context for m in read.table["cmcs"]][::2] == [0.1, 0.3]
    assert math.isnan(read.table["cmcs"][1].on_context)
    assert "20.0 ± 14.1" in to_markdown(read)  # what could not be measured is left out of mean and deviation


def test_write_between_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n")
    write_into(readme, "new table\n")
    write_into(readme, "newer table\n")
    assert readme.read_text() == f"# Title\n\n{BEGIN}\nnewer table\n{END}\n\nrest\n"
    readme.write_text("# Title\n")
    with pytest.raises(DataError, match="no place"):
        write_into(readme, "x")
