"""Detections of other systems against a data set's annotations."""

from __future__ import annotations

import numpy as np

from wtal_core.data.doctor import check_detections
from wtal_core.records import Detections
from wtal_core.training.planted import make_world


def test_detections_of_other_systems_are_checked() -> None:
    truth = make_world(num_train=4, num_test=2).annotations
    first, second = list(truth.videos)[:2]
    length = truth.videos[first].duration or 0.0
    found = Detections(
        [first, first, "v_" + second, first],
        ["Dive", "Dance", "Dive", "Dive"],
        [0.0, 0.0, 0.0, length + 5],
        [1.0, 1.0, 1.0, length + 6],
        np.ones(4),
    )
    checked = check_detections(found, truth)
    assert (checked.rows, checked.known_rows) == (4, 2)
    said = " ".join(checked.problems)
    assert f"did they mean {second!r}?" in said
    assert "1 of 2 classes are not in the data set, e.g. 'Dance'" in said
    assert "1 detections start after their video's end" in said
    fine = check_detections(Detections(first, "Dive", [0.0], [1.0], [0.5]), truth)
    same = sum(info.subset == truth.videos[first].subset for info in truth.videos.values())  # its split, not all
    assert 1 < same < len(truth.videos)
    assert fine.problems == (f"{same - 1} of {same} videos of training have no detection: they count as misses.",)
