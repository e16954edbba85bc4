"""What the timeline is told of a run."""

from __future__ import annotations

import numpy as np

from wtal_core.analysis.explain import explain, judge
from wtal_core.analysis.live import localize_video
from wtal_core.figures import rows
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import localizer_of
from wtal_core.runs.pipeline import stored_activations
from wtal_core.settings import override
from wtal_core.training.planted import World


def test_tracks_of_each_method_hold_its_curves_unrounded(world: World, acmnet: Run) -> None:
    video = world.videos("test")[0]
    acts = stored_activations(acmnet, [video])[video]
    made = {t.key: t for t in rows.activation_rows(acts, "Jump", run="A", views=acmnet.views)}
    np.testing.assert_array_equal(made["cas:A"].series[0].values, acts.cas[:, 1])
    assert made["heat:A"].row == 1
    cells = made["heat:A"].cells
    assert cells is not None
    low, high = made["heat:A"].low, made["heat:A"].high
    np.testing.assert_allclose(low + cells.T / 255 * (high - low), acts.cas, atol=(high - low) / 254)
    assert made["area:A"].kind == "area"


def test_of_many_detections_the_best_are_shown_and_all_are_counted(world: World, acmnet: Run) -> None:
    video = world.videos("test")[0]
    acts = stored_activations(acmnet, [video])[video]
    settings = override(acmnet.config().localization, {"class_threshold": 0.0})
    result = localize_video(localizer_of(acmnet), video, acts, settings)
    verdicts = judge(result.detections, world.annotations, video, tiou=0.1)
    made = rows.detection_row(explain(result, acts, verdicts, most=3), verdicts, run="B", title="a run", key="det")
    assert (made.key, len(made.items)) == ("det:B", 3)
    assert made.note == f"3 best of {len(result.detections)} detections"
    assert sum(made.counts.values()) == len(result.detections) > 3
    assert len(made.misses) == len(verdicts.missed)
