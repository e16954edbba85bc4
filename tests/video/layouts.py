"""Weights of an I3D under the names and axes of a public layout, as the files that people have hold them."""

from __future__ import annotations

import numpy as np

from wtal_core.arrays import Array
from wtal_core.video.i3d import I3D
from wtal_core.video.i3d_weights import Layout, array_names


def to_layout(model: I3D, layout: Layout) -> dict[str, Array]:
    """Return the weights of an unfolded model, whose batch-norm scales are 1 as the TF layout has them."""
    state = {key: value.detach().cpu().numpy() for key, value in model.state_dict().items()}
    assert all((value == 1).all() for key, value in state.items() if key.endswith("norm.weight"))
    arrays: dict[str, Array] = {}
    for ours, theirs in array_names(layout):
        if ours not in state:
            assert ours.startswith("classifier.")
            continue
        value = state[ours]
        if layout == "tf" and value.ndim == 5:
            value = value.transpose(2, 3, 4, 1, 0)
        elif layout == "tf" and ours.endswith(("running_mean", "running_var")):
            value = value.reshape(1, 1, 1, 1, -1)
        arrays[theirs] = np.ascontiguousarray(value)
    return arrays
