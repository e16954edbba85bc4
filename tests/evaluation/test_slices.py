"""mAP on parts of a split, against evaluations of tables from which the rest was taken out."""

from __future__ import annotations

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation import (
    CHARACTERISTICS,
    GroundTruthIndex,
    diagnose,
    evaluate,
    sensitivity,
    slice_by_instances,
    slice_by_videos,
)
from wtal_core.evaluation.benchmark import random_case
from wtal_core.records import Annotations

ROWS, TRUTH = random_case(400, 12, 3, seed=4)
OTHER = ROWS[np.arange(0, 400, 2)]
INDEX = GroundTruthIndex(TRUTH)


@pytest.mark.parametrize("protocol", ["activitynet", "thumos14"])
def test_groups_of_videos_are_evaluations_of_their_annotations(protocol: str) -> None:
    odd, even = INDEX.videos[1::2], INDEX.videos[::2]
    table = slice_by_videos(
        {"a": ROWS, "b": OTHER}, INDEX, {"odd": {*odd, "elsewhere"}, "even": even, "none": ()}, protocol=protocol,
        tiou=0.4,
    )  # fmt: skip
    assert table["slice"].tolist() == ["all", "odd", "even"]
    assert table["videos"].tolist() == [len(INDEX.videos), len(odd), len(even)]
    assert table["instances"].iloc[0] == table["instances"].iloc[1:].sum()
    for (_, row), videos in zip(table.iterrows(), (INDEX.videos, odd, even), strict=True):
        instances, ambiguous = (part[np.isin(part.video, videos)] for part in (TRUTH.instances, TRUTH.ambiguous))
        alone = Annotations(TRUTH.classes, {v: TRUTH.videos[v] for v in videos}, instances, ambiguous=ambiguous)
        for name, rows in (("a", ROWS), ("b", OTHER)):
            rows = rows[np.isin(rows.video, videos)]
            assert row[name] == pytest.approx(evaluate(rows, alone, protocol=protocol, tiou=0.4).average)


@pytest.mark.parametrize("by", CHARACTERISTICS)
def test_slices_of_instances_are_the_sensitivity(by: str) -> None:
    found = {"a": diagnose(ROWS, INDEX), "b": diagnose(OTHER, INDEX)}
    table = slice_by_instances(found, by, "thumos14")
    assert table["slice"].iloc[0] == "all"
    assert table["instances"].iloc[0] == table["instances"].iloc[1:].sum() == len(INDEX.segments)
    for name, diagnosis in found.items():
        rows = sensitivity(diagnosis, "thumos14")
        assert table[name].tolist() == rows[rows["characteristic"].isin(["all", by])]["map_n"].tolist()


def test_nothing_to_slice() -> None:
    with pytest.raises(UsageError, match="coverage"):
        slice_by_instances({"a": diagnose(ROWS, INDEX)}, "coverag")
    with pytest.raises(UsageError, match="nothing to slice"):
        slice_by_instances({}, "length")
    with pytest.raises(UsageError, match="nothing to slice"):
        slice_by_videos({}, INDEX, {})
