"""Activations refuse what contradicts their grid, and list every track they hold."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from wtal_core.errors import DataError
from wtal_core.records import Activations, Boundaries, Track
from wtal_core.snippet_grid import SnippetGrid

GRID = SnippetGrid(fps=25, stride=16, window=16, num_snippets=4)


def activations(**changes: Any) -> Activations:
    values: dict[str, Any] = {
        "cas": np.zeros((4, 3)),
        "video_scores": np.zeros(2),
        "grid": GRID,
        "classes": ("a", "b"),
        "attention": {"foreground": np.zeros(4)},
        "branch_cas": np.zeros((5, 4, 3)),
        "embedding": np.zeros((4, 7)),
        "drop_mask": np.zeros(4, bool),
        "extra_cas": {"context": np.zeros((4, 2))},
    }
    return Activations(**values | changes)


def test_activations_know_their_background_channel() -> None:
    assert activations().has_background
    assert activations().action_cas.shape == (4, 2)
    assert not activations(cas=np.zeros((4, 2))).has_background
    assert pickle.loads(pickle.dumps(activations())).attention["foreground"].shape == (4,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cas": np.zeros((4, 4))}, r"cas has the wrong shape \(expected \(4, 2\) or \(4, 3\), got \(4, 4\)\)"),
        ({"cas": np.zeros((5, 3))}, "cas has the wrong shape"),
        ({"cas": np.full((4, 3), np.nan)}, "cas is not finite"),
        ({"video_scores": np.zeros(3)}, "video_scores has the wrong shape"),
        ({"video_scores": np.array([0, np.inf])}, "video_scores is not finite"),
        ({"attention": {"temporal": np.zeros(5)}}, r"attention\['temporal'\] has the wrong shape"),
        ({"branch_cas": np.zeros((5, 4, 4))}, "branch_cas has the wrong shape"),
        ({"branch_cas": np.zeros((4, 3))}, "branch_cas has the wrong shape"),
        ({"drop_mask": np.zeros(3, bool)}, "drop_mask has the wrong shape"),
        ({"embedding": np.zeros((3, 7))}, "embedding has the wrong shape"),
        ({"embedding": np.float64(3)}, "embedding has the wrong shape"),
        ({"embedding": np.zeros(4)}, "embedding has the wrong shape"),
        ({"branch_cas": np.float64(3)}, "branch_cas has the wrong shape"),
        ({"extra_cas": {"rgb": np.zeros((4, 5))}}, r"extra_cas\['rgb'\] has the wrong shape"),
    ],
)
def test_activations_that_contradict_their_grid_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        activations(**changes)


def test_boundaries_are_one_flat_list() -> None:
    good: dict[str, Any] = {
        "stream": np.array(["rgb"] * 3, dtype=object), "anchor": np.ones(3, int), "raw": np.zeros((3, 2)),
        "refined": np.zeros((3, 2)), "coherence": np.zeros(3), "oic": np.zeros((3, 2)),
    }  # fmt: skip
    assert len(Boundaries(**good)) == 3
    for name, value in [("raw", np.zeros((3, 3))), ("coherence", np.zeros(2)), ("oic", np.zeros(3))]:
        with pytest.raises(DataError, match=f"Boundaries: {name} has the wrong shape"):
            Boundaries(**good | {name: value})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grid": None}, "grid"),
        ({"classes": "ab"}, "classes"),
        ({"cas": [[0.0, 0.0]] * 4}, "cas"),
        ({"video_scores": None}, "video_scores"),
        ({"attention": None}, "attention"),
        ({"attention": {"foreground": None}}, r"attention\['foreground'\]"),
        ({"extra_cas": {"context": 1.0}}, r"extra_cas\['context'\]"),
        ({"tracks": {"energy": np.zeros(4)}}, r"tracks\['energy'\]"),
        ({"boundaries": np.zeros((3, 2))}, "boundaries"),
        ({"drop_mask": [True] * 4}, "drop_mask"),
    ],
)
def test_every_field_has_a_type(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=f"Activations: {field} is of the wrong type"):
        activations(**changes)


def test_activations_print_in_a_few_lines() -> None:
    found = activations(video_scores=np.array([0.25, 0.75]), method="mine", drop_mask=np.array([True, False] * 2))
    lines = repr(found).splitlines()
    assert lines[0] == "Activations of mine: 4 snippets, 2 classes"
    assert lines[1].split() == ["scores", "b", "0.75,", "a", "0.25"]
    assert lines[2].split() == ["track", "kind", "shape", "values"]
    assert lines[3].split() == ["cas", "map", "4", "x", "3", "0", "to", "0"]
    assert lines[-1].strip() == "... and 1 more"
    assert "<td>drop_mask</td><td>mask</td><td>4</td><td>2 true</td>" in found._repr_html_()


def test_tracks_and_boundaries_print_in_short() -> None:
    assert repr(Track("curve", np.arange(4.0), "energy")) == "Track: curve, 4, 0 to 3\n  meaning  energy"
    assert repr(Track("scalar", 2.0)) == "Track: scalar, one number, 2 to 2"
    found = Boundaries.of(np.arange(9.0), np.arange(9.0) + 2, np.zeros((9, 2)))
    assert repr(found).splitlines()[0] == "Boundaries: 9 proposals"
    assert repr(found).splitlines()[-1].strip() == "... and 4 more"
