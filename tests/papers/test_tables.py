"""Comparison tables as papers print them."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.evaluation import compare_detections
from wtal_core.evaluation.benchmark import random_case
from wtal_core.papers import published_results
from wtal_core.papers.tables import comparison_rows, csv_table, latex_table

ROWS, TRUTH = random_case(300, 12, 3, seed=1)
OTHER = ROWS[np.arange(0, 300, 2)]


def test_tables_for_papers() -> None:
    compared = compare_detections({"a_1": ROWS, "b": OTHER}, TRUTH, protocols=("activitynet", "thumos14"))
    columns, rows = comparison_rows(compared, list(published_results("thumos14")))
    assert columns[:2] == ["0.1", "0.2"]
    assert columns[7:] == ["avg 0.1:0.7", "avg 0.1:0.5", "avg 0.3:0.7"]
    assert [row.name for row in rows[:4]] == ["a_1", "b", "a_1", "b"]
    for i in range(len(columns)):
        own = [row for row in rows[:2] if row.best[i]]
        assert own, "every column has a best set"
        assert max(r.values[i] for r in rows[:2]) == pytest.approx(own[0].values[i], abs=0.051)
    printed = next(row for row in rows if row.name == "ACM-Net")
    assert printed.values[4] == pytest.approx(34.6)
    assert not any(printed.best)
    text = latex_table(columns, rows)
    assert "a\\_1" in text
    assert "\\textbf{" in text
    assert text.count("\\midrule") == 3  # two protocols, and what was printed
    assert text.count("&") == (len(rows) + 1) * (len(columns) + 1)
    lines = csv_table(columns, rows).splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[0].startswith("name,protocol,printed in,0.1")
