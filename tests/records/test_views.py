"""Named tracks of any method, and the rows that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.data import open_activations, write_activations
from wtal_core.errors import DataError, UsageError
from wtal_core.figures.rows import activation_rows
from wtal_core.records import TRACK_KINDS, Activations, Boundaries, Trace, Track, View, default_views
from wtal_core.records.views import views_from_plain, views_to_plain
from wtal_core.snippet_grid import SnippetGrid

T, CLASSES = 12, ("jump", "throw")
RNG = np.random.default_rng(0)
ONE_OF_EACH = {
    "uncertainty": Track("curve", RNG.random(T), "how unsure it is", low=0.0, high=1.0),
    "evidence": Track("map", RNG.random((T, 2)) * 100, log=True),
    "heads": Track("branches", RNG.random((3, T, 3)), legend=("near", "far", "both")),
    "easy": Track("mask", RNG.random(T) > 0.5, "mined as easy action"),
    "space": Track("embedding", RNG.random((T, 5))),
    "spans": Track("proposals", Boundaries.of([0, 4], [3, 9], RNG.random((2, 2)), raw=[[0, 4], [4, 8]])),
    "temperature": Track("scalar", 0.7),
}


def acts(**more: Any) -> Activations:
    return Activations(
        cas=RNG.normal(size=(T, 3)), video_scores=np.ones(2), grid=SnippetGrid.preset("i3d-25fps-16", T),
        classes=CLASSES, **{"attention": {"fg": np.linspace(0, 1, T)}, "tracks": ONE_OF_EACH, **more},
    )  # fmt: skip


def test_every_kind_survives_the_file(tmp_path: Path) -> None:
    assert {track.kind for track in ONE_OF_EACH.values()} == set(TRACK_KINDS)
    written = acts()
    write_activations(tmp_path / "a.h5", {"v": written})
    with open_activations(tmp_path / "a.h5") as store:
        read, bare = store.read("v"), store.read("v", embedding=False)
    assert list(read.tracks) == list(ONE_OF_EACH)
    assert "space" not in bare.tracks
    for name, track in ONE_OF_EACH.items():
        again = read.tracks[name]
        about = ("kind", "meaning", "low", "high", "log", "legend")
        assert [getattr(again, key) for key in about] == [getattr(track, key) for key in about]
        if track.kind == "proposals":
            np.testing.assert_array_equal(again.values.refined, track.values.refined)
        else:
            np.testing.assert_allclose(again.values, track.values, rtol=1e-6)


def test_every_track_has_a_row_though_nothing_is_declared() -> None:
    rows = {row.key.rpartition(":")[0]: row for row in activation_rows(acts(), "throw", run="A")}
    assert set(rows) == {"cas", "maps", "attention", "uncertainty", "heads", "easy", "spans", "heat", "heat.evidence",
                         "heat.heads.1", "heat.heads.2", "heat.heads.3"}  # fmt: skip
    assert [s.name for s in rows["heads"].series] == ["near", "far", "both"]
    assert (rows["uncertainty"].low, rows["uncertainty"].high) == (0.0, 1.0)
    assert rows["uncertainty"].about == "how unsure it is"
    assert rows["easy"].kind == "mask"
    share = 100 * float(np.mean(ONE_OF_EACH["easy"].values))
    assert rows["easy"].title == f"Easy {share:.0f} %"
    first = rows["spans"].items[0]
    assert {round(first["start"], 2), round(first["end"], 2)} in ({0.0, 1.92}, {2.56, 5.76})


def test_declared_rows_come_first_and_as_declared() -> None:
    mine = View("u", "Doubt in {label}", (Trace("uncertainty", "u"), Trace("not.there")), high=2.0, lens="x")
    rows = activation_rows(acts(), "jump", run="A", views=(mine,), thresholds={"x": 0.25})
    assert (rows[0].key, rows[0].title, rows[0].high) == ("u:A", "Doubt in jump", 2.0)
    assert [s.name for s in rows[0].series] == ["u"]
    assert rows[0].limits[0]["value"] == 0.25
    assert sum("uncertainty" in row.key for row in rows) == 0  # shown once
    assert views_from_plain(views_to_plain((mine,)), "f") == (mine,)


def test_attention_without_classes_is_shown() -> None:
    bare = Activations(
        cas=np.zeros((T, 0)), video_scores=np.zeros(0), grid=SnippetGrid.preset("i3d-25fps-16", T), classes=(),
        attention={"fg": np.linspace(0, 1, T)},
    )  # fmt: skip
    assert [row.key for row in activation_rows(bare, "anything", run="B")] == ["attention:B"]


@pytest.mark.parametrize(
    ("name", "track", "message"),
    [
        ("u", Track("curve", np.zeros(T + 1)), "wrong shape"),
        ("u", Track("map", np.zeros((T, 5))), "wrong shape"),
        ("u", Track("scalar", np.zeros(2)), "wrong shape"),
        ("u", Track("curve", np.full(T, np.nan)), "not finite"),
        ("attention.x", Track("curve", np.zeros(T)), "cannot name a track"),
        ("cas", Track("curve", np.zeros(T)), "cannot name a track"),
    ],
)
def test_tracks_are_checked(name: str, track: Track, message: str) -> None:
    with pytest.raises(DataError, match=message):
        acts(tracks={name: track})


def test_kinds_are_checked() -> None:
    with pytest.raises(UsageError, match="curve"):
        Track("curv", np.zeros(T))
    with pytest.raises(DataError, match=r"Boundaries\.of"):
        Track("proposals", np.zeros((3, 2)))
    with pytest.raises(DataError, match="not a view"):
        View("k", "t", (), kind="lines")
    with pytest.raises(DataError, match="not the views"):
        views_from_plain([{"key": 3}], "views.json")


def test_views_of_the_demo_methods_show_what_they_showed() -> None:
    """Attention that sums to one is stacked too; nothing is shown twice."""
    three = {name: np.full(T, 1 / 3) for name in ("instance", "context", "background")}
    keys = [view.key for view in default_views(acts(attention=three, tracks={}))]
    assert keys == ["cas", "attention", "area", "heat"]
