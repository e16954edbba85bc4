"""The experiments behind tables and figures: complete, linked with what was printed, found by their names."""

from __future__ import annotations

import pytest

from wtal_core import settings
from wtal_core.errors import UsageError
from wtal_core.evaluation import list_protocols
from wtal_core.methods import method_class
from wtal_core.papers import EXPERIMENTS, Experiment, ExperimentRow, get_experiment, get_paper, list_papers
from wtal_core.papers.experiments import slug
from wtal_core.video.static_clips import StaticClipConfig

NAMES = [experiment.name for experiment in EXPERIMENTS]


@pytest.mark.parametrize("paper", list_papers())
def test_every_printed_row_of_the_papers_own_methods_is_here(paper: str) -> None:
    for table in get_paper(paper).tables:
        (experiment,) = [e for e in EXPERIMENTS if (e.paper, e.source) == (paper, table.name)]
        own = [row for row in table.rows if row.ours or not any(r.ours for r in table.rows)]
        assert [experiment.printed(row) for row in experiment.rows] == own


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=NAMES)
def test_an_experiment_is_complete(experiment: Experiment) -> None:
    assert experiment.rows
    assert experiment.about
    assert experiment.columns
    assert experiment.dataset in ("THUMOS14", "ActivityNet1.2", "ActivityNet1.3")
    assert experiment.protocol in list_protocols()
    assert (0.95 in experiment.tiou) <= experiment.dataset.startswith("ActivityNet")
    assert len({slug(row.name) for row in experiment.rows}) == len(experiment.rows), "rows share a folder"
    presets = method_class(get_paper(experiment.paper).method).presets
    assert {row.preset for row in experiment.rows} <= set(presets)


def test_names_are_unique_and_plain() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert "hamnet-table-1" in NAMES
    assert "acmnet-sec-iv" in NAMES
    assert slug("RGB, alpha = 0.4") == "rgb-alpha-0.4"


def test_numbers_stand_beside_their_rows() -> None:
    table = get_experiment("hamnet-table-1")
    printed = table.printed(table.rows[-1])
    assert printed is not None
    assert printed.values == (39.8,)
    assert table.printed(ExperimentRow("BCL + nothing", "thumos14", {})) is None
    figure = get_experiment("HAMNet Figure 4b")
    assert figure.published is None
    assert figure.printed(figure.rows[0]) is None


def test_columns_are_thresholds_and_averages_over_them() -> None:
    experiment = get_experiment("deep_metric Table 3")
    assert experiment.tiou == (0.1, 0.3, 0.5, 0.7)
    assert experiment.values({0.1: 0.6, 0.3: 0.4, 0.5: 0.2, 0.7: 0.0}) == pytest.approx([0.6, 0.4, 0.2, 0.0, 0.3])
    assert get_experiment("cmcs-table-2").protocol == "activitynet"
    assert len(get_experiment("cmcs-table-2").tiou) == 10


def test_rows_are_chosen_by_name() -> None:
    table = get_experiment("hamnet-table-1")
    assert [row.name for row in table.choose(["bcl + sal", "BCL"])] == ["BCL", "BCL + SAL"]
    assert table.choose([]) == table.rows
    assert [row.name for row in get_experiment("acn-table-4").choose(["l-c"])] == ["-L_c"]
    with pytest.raises(UsageError, match=r"unknown row 'BCL \+ SSL'.*Did you mean"):
        table.choose(["BCL + SSL"])
    with pytest.raises(UsageError, match="Did you mean 'hamnet-table-1'"):
        get_experiment("hamnet-tabel-1")


def test_rows_that_change_nothing_are_the_full_method() -> None:
    """A switched-off term must not be one that the rows only seem to name."""

    def full(name: str) -> list[str]:
        cls = method_class(get_paper(get_experiment(name).paper).method)
        found = []
        for row in get_experiment(name).rows:
            base = settings.override(cls.Config(), cls.presets[row.preset])
            if settings.override(base, row.changes) == base:
                found.append(row.name)
        return found

    assert full("cmcs-table-4") == ["Multiple + L_sum + HN (Full)"]
    assert full("hamnet-table-1") == ["BCL + SAL + HAL + SSAL + sparse + guide"]
    assert full("acmnet-table-v") == ["guide + feat + sparse"]
    assert full("deep-metric-table-5") == ["kappa = 4"]


def test_what_varies_the_mining_says_so() -> None:
    """Table 5 of CMCS: the share of frames that are static clips, on the single-branch model of Table 4."""
    table = get_experiment("cmcs-table-5")
    single = next(row for row in get_experiment("cmcs-table-4").rows if row.name == "Single + L_mil + HN")
    for row, rho in zip(table.rows, (15, 20, 25, 30), strict=True):
        assert StaticClipConfig(rho=float(rho)).rho == rho
        assert f"by 'wtal data static' with rho {rho}" in row.cannot
        assert row.changes == single.changes
    assert not any(row.cannot for e in EXPERIMENTS for row in e.rows if e is not table)
