"""An evaluation averages over the classes that have instances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wtal_core.errors import DataError
from wtal_core.records import Evaluation


def test_means_leave_out_classes_without_instances() -> None:
    ap = pd.DataFrame([[0.5, 0.25], [np.nan, np.nan], [1.0, 0.25]], index=["a", "b", "c"], columns=[0.3, 0.5])
    found = Evaluation("activitynet", ap, num_videos=2, notes=("one",))
    assert found.tiou == (0.3, 0.5)
    assert found.mean_ap == {0.3: 0.75, 0.5: 0.25}
    assert found.average == 0.5
    plain = found.to_dict()
    assert plain["mean_ap"] == {"0.3": 0.75, "0.5": 0.25}
    assert plain["ap"]["a"] == {"0.3": 0.5, "0.5": 0.25}
    assert plain["notes"] == ["one"]
    assert math.isnan(Evaluation("activitynet", pd.DataFrame()).average)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"protocol": None}, "protocol"),
        ({"ap": {"a": 0.5}}, "ap"),
        ({"matches": []}, "matches"),
        ({"num_videos": "3"}, "num_videos"),
        ({"num_detections": True}, "num_detections"),
        ({"notes": "one"}, "notes"),
    ],
)
def test_every_field_has_a_type(changes: dict[str, Any], field: str) -> None:
    values: dict[str, Any] = {"protocol": "activitynet", "ap": pd.DataFrame()}
    with pytest.raises(DataError, match=f"Evaluation: {field} is of the wrong type"):
        Evaluation(**values | changes)


def test_evaluations_print_the_mean_and_the_first_classes() -> None:
    ap = pd.DataFrame([[0.5, 0.25], [np.nan, np.nan], [1.0, 0.25]], index=["<a>", "b", "c"], columns=[0.3, 0.5])
    found = Evaluation("activitynet", ap, num_videos=2, num_instances=1, notes=("one",))
    assert [line.split() for line in repr(found).splitlines()] == [
        [
            "Evaluation",
            "(activitynet):",
            "average",
            "mAP",
            "50.0",
            "%,",
            "2",
            "videos,",
            "1",
            "instance,",
            "0",
            "detections",
        ],
        ["note", "one"],
        ["AP", "%", "at", "tIoU", "0.3", "0.5", "average"],
        ["mean", "75.0", "25.0", "50.0"],
        ["<a>", "50.0", "25.0", "37.5"],
        ["b", "-", "-", "-"],
        ["c", "100.0", "25.0", "62.5"],
    ]
    assert "<td>&lt;a&gt;</td>" in found._repr_html_()
    assert repr(Evaluation("activitynet", pd.DataFrame())).startswith("Evaluation (activitynet): average mAP nan %")
