"""One meaning, one look: sequences of one row can be told apart, with and without colour."""

from __future__ import annotations

import itertools

import pytest

from wtal_core.figures import theme
from wtal_core.figures.looks import BRANCHES, DASHES, LOOKS, branch, in_order, look_of, pixels
from wtal_core.methods import list_methods, method_class


@pytest.mark.parametrize("name", list_methods())
def test_traces_of_one_row_differ_in_colour_and_in_dash(name: str) -> None:
    for view in method_class(name).views:
        if view.kind not in ("lines", "area"):
            continue
        meanings = in_order([trace.role or trace.track.rpartition(".")[2] for trace in view.traces])
        for a, b in itertools.combinations(meanings, 2):
            assert look_of(a).light != look_of(b).light, (view.key, a, b)
            assert look_of(a).dash != look_of(b).dash, (view.key, a, b)


def test_unnamed_sequences_get_looks_that_nothing_beside_them_has() -> None:
    meanings = in_order(["instance", "mine", "yours", "context"])
    assert meanings[0] == "instance"
    assert meanings[3] == "context"
    looks = [LOOKS[name] for name in meanings]
    assert len({look.light for look in looks}) == 4
    assert len(in_order([f"x{i}" for i in range(9)])) == 9


def test_branches_start_again_after_the_last() -> None:
    assert branch(len(BRANCHES)) == BRANCHES[0]
    assert len({LOOKS[name].dash for name in BRANCHES}) == len(BRANCHES) == len(DASHES)
    assert pixels("instance") == ()
    assert pixels("no such meaning") == pixels("branch0")


def test_print_has_the_colours_of_a_light_screen() -> None:
    printed = theme.looks()
    assert {name: look.colour for name, look in printed.items()} == {n: look.light for n, look in LOOKS.items()}
    assert printed["fp"].hatch
    assert not printed["fp"].fill
