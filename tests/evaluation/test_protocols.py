from __future__ import annotations

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation import TIOU_PRESETS, EvaluationProtocol, get_protocol, list_protocols, parse_tiou


def test_presets_hold_the_floats_nearest_to_their_decimals():
    assert TIOU_PRESETS["0.1:0.7"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert TIOU_PRESETS["0.1:0.5"] == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert TIOU_PRESETS["0.3:0.7"] == (0.3, 0.4, 0.5, 0.6, 0.7)
    assert TIOU_PRESETS["0.5:0.95"] == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert TIOU_PRESETS["0.1:0.9"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0.3:0.7", TIOU_PRESETS["0.3:0.7"]),
        ("0.2:0.6:0.2", (0.2, 0.4, 0.6)),
        (" 0.5 ", (0.5,)),
        ("0.3, 0.5,0.7", (0.3, 0.5, 0.7)),
        (0.5, (0.5,)),
        (1, (1.0,)),
        ([0.5, 0.3], (0.5, 0.3)),
        (np.float32(0.5), (0.5,)),
        (np.arange(0.1, 0.35, 0.1), (0.1, 0.2, 0.1 + 0.2)),
    ],
)
def test_parse_tiou(given, expected):
    assert parse_tiou(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", "nan", "0", "1.5", "0.1:0.6", "0.1:0.5:0", "0.1:0.5:-1", "0.5:0.1:0.1", "0.1:0.9:1e-9"),
        *(
            "0.1:inf:0.1",
            "0.5,0.5",
            "0.1,0.2:0.3",
            [],
            None,
            -0.5,
            ["x"],
            [[0.1]],
            [float("nan")],
            [0.5, 0.5],
            True,
            [0.5, True],
        ),
    ],
)
def test_parse_tiou_refuses(given):
    with pytest.raises(UsageError):
        parse_tiou(given)


def test_protocols_are_listed_and_found():
    assert list_protocols() == ["activitynet", "thumos14", "wtalc", "wtalc-original"]
    for name in list_protocols():
        assert get_protocol(name).name == name
        assert get_protocol(get_protocol(name)) is get_protocol(name)
    with pytest.raises(UsageError, match="Did you mean 'thumos14'"):
        get_protocol("thumos")


@pytest.mark.parametrize("field", ["chooser", "preference", "ambiguous", "denominator", "grid"])
def test_protocols_are_validated(field):
    with pytest.raises(UsageError, match="'nonsense'"):
        EvaluationProtocol("mine", "", **{field: "nonsense"})
