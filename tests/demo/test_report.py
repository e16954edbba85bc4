"""The report: its table, its verdicts, and where it is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from wtal_core.demo.measures import Measures
from wtal_core.demo.recipes import VARIANTS
from wtal_core.demo.report import BEGIN, CLAIMS, END, Claim, Report, to_markdown, verdict, write_into
from wtal_core.errors import DataError

PLAIN = Measures(
    average_map=0.3,
    completeness=0.6,
    found=0.9,
    on_action=0.5,
    on_context=0.2,
    on_fake=0.1,
    on_background=0.2,
    false_alarms=0.4,
    recall=0.5,
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
    found = verdict(claim, {"full": rows("on_context", 0.1, 0.2, 0.3), "less": rows("on_context", 0.3, 0.5, 0.4)})
    # Gains 0.2, 0.3, 0.1: mean 0.2, deviation 0.1, standard error 0.058.
    assert found["gain"] == pytest.approx(0.2)
    assert found["spread"] == pytest.approx(0.1)
    assert found["shows"] is True
    unsure = verdict(claim, {"full": rows("on_context", 0.1, 0.5, 0.3), "less": rows("on_context", 0.3, 0.4, 0.4)})
    assert unsure["shows"] is False
    once = verdict(claim, {"full": rows("on_context", 0.1), "less": rows("on_context", 0.9)})
    assert once["shows"] is False
    assert math.isnan(once["spread"])


def test_markdown_says_what_shows_and_what_does_not() -> None:
    text = to_markdown(
        report(
            cmcs=rows("completeness", 0.70, 0.72, 0.74),
            cmcs__one__branch=rows("completeness", 0.60, 0.63, 0.63),
            hamnet=rows("completeness", 0.50, 0.62, 0.56),
            hamnet__no__dropping=rows("completeness", 0.55, 0.55, 0.55),
            acn=rows("average_map", 0.20, 0.21, 0.22),
            acn__oic__only=rows("average_map", 0.30, 0.32, 0.31),
        )
    )
    assert "| `cmcs` | 30.0 ± 0.0 | 72.0 ± 2.0 |" in text
    lines = text.splitlines()
    assert any(
        "one: **shows**" in line and "72.0 with, 62.0 without (+10.0 ± 1.0 over 3 seeds)" in line for line in lines
    )
    assert any("HAM-Net" in line and "**does not show**" in line and "(+1.0 ± 6.0" in line for line in lines)
    assert any("ACN" in line and "**the opposite shows**" in line and "-10.0" in line for line in lines)
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
