"""The localizer for activations of any method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.localization.generic import GenericLocalization, propose
from wtal_core.records import Activations, Track
from wtal_core.snippet_grid import SnippetGrid


def acts(seed: int = 0, length: int = 40, **more: Any) -> Activations:
    rng = np.random.default_rng(seed)
    cas = rng.normal(size=(length, 3))
    cas[10:20, 1] += 6
    return Activations(
        cas=cas, video_scores=np.array([0.1, 4.0, -3.0]), grid=SnippetGrid.preset("i3d-25fps-16", length),
        classes=("a", "b", "c"), attention={"fg": rng.random(length)}, **more,
    )  # fmt: skip


def test_a_bump_becomes_a_detection_of_its_class() -> None:
    found = propose({"v": acts()}, GenericLocalization(thresholds=(0.5,)))
    best = found.score.argmax()
    assert (found.label == 1).all()  # the others' video scores lie below half way
    assert found.start[best] == pytest.approx(6.4)
    assert found.end[best] == pytest.approx(12.8)
    assert found.score[best] == pytest.approx(found.inner[best] - found.outer[best] + 0.2 * 4.0)


def test_a_batch_changes_no_video() -> None:
    videos = {f"v{i}": acts(i, 20 + 7 * i) for i in range(4)}
    settings = GenericLocalization(class_threshold=0.2, track="cas", times="attention.fg", suppression="soft")
    together = propose(videos, settings)
    for place, (video, one) in enumerate(videos.items()):
        alone = propose({video: one}, settings)
        mine = together.select(together.video == place)
        np.testing.assert_array_equal(mine.start, alone.start)
        np.testing.assert_array_equal(mine.score, alone.score)


@pytest.mark.parametrize("score", ["outer_inner", "mean", "max"])
@pytest.mark.parametrize("suppression", ["hard", "soft", "none"])
def test_attention_proposes_for_every_kept_class(score: str, suppression: str) -> None:
    settings = GenericLocalization(
        class_threshold=0.0, track="attention.fg", scored_on="cas", score=score, suppression=suppression,
        relative=False, thresholds=(0.5,),
    )  # fmt: skip
    found = propose({"v": acts()}, settings)
    spans = {tuple(zip(found.start[found.label == c], found.end[found.label == c], strict=True)) for c in range(3)}
    assert len(spans) == 1
    assert (found.threshold == 0.5).all()


def test_further_curves_can_be_cut_and_masks_cannot() -> None:
    with_tracks = acts(tracks={"u": Track("curve", np.linspace(0, 1, 40)), "m": Track("mask", np.zeros(40, bool))})
    found = propose({"v": with_tracks}, GenericLocalization(track="u", thresholds=(0.75,), class_threshold=1.0))
    assert len(found) == 1
    for name in ("m", "nowhere"):
        with pytest.raises(UsageError, match=r"attention\.fg"):
            propose({"v": with_tracks}, GenericLocalization(track=name))


def test_nothing_in_nothing_out() -> None:
    assert len(propose({}, GenericLocalization())) == 0
    bare = Activations(
        cas=np.zeros((5, 0)), video_scores=np.zeros(0), grid=SnippetGrid.preset("i3d-25fps-16", 5), classes=(),
        attention={"fg": np.ones(5)},
    )  # fmt: skip
    assert len(propose({"v": bare}, GenericLocalization())) == 0
    constant = acts()
    flat = Activations(cas=np.ones((40, 3)), video_scores=np.ones(3), grid=constant.grid, classes=constant.classes)
    assert len(propose({"v": flat}, GenericLocalization())) == 0  # nothing rises above anything
