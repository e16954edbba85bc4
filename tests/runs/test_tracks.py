"""What the timeline is told of a run."""

from __future__ import annotations

import numpy as np

from tests.planted import World
from wtal_core.runs import tracks
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import stored_activations


def test_tracks_of_each_method_hold_its_curves_unrounded(world: World, acmnet: Run) -> None:
    video = world.videos("test")[0]
    acts = stored_activations(acmnet, [video])[video]
    made = {t.key: t for t in tracks.run_tracks(acts, "Jump", run="A")}
    np.testing.assert_array_equal(made["cas:A"].series[0].values, acts.cas[:, 1])
    assert made["heat:A"].row == 1
    cells = made["heat:A"].cells
    assert cells is not None
    low, high = made["heat:A"].low, made["heat:A"].high
    np.testing.assert_allclose(low + cells.T / 255 * (high - low), acts.cas, atol=(high - low) / 254)
    assert made["area:A"].kind == "area"
