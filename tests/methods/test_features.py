"""Features whose streams a method cannot take apart are refused; those that say nothing are not."""

from __future__ import annotations

import pytest

from wtal_core.methods.features import refused_streams, splits_streams
from wtal_core.methods.form import config_of
from wtal_core.records import Provenance

RGB = (("rgb", 1024),)
BOTH = (("rgb", 512), ("flow", 512))


@pytest.mark.parametrize(
    ("method", "streams", "splits"),
    [("acn", "both", True), ("acn", "rgb", True), ("cmcs", "both", False), ("cmcs", "late", True),
     ("cmcs", "flow", True), ("hamnet", None, False), ("acmnet", None, False), ("deep_metric", None, False),
     ("cola", "both", False), ("cola", "rgb", True), ("co2net", "both", True), ("co2net", "flow", True),
     ("delu", "both", True)],
)  # fmt: skip
def test_rgb_alone_has_no_halves(method: str, streams: str | None, splits: bool) -> None:
    config = config_of(method, "thumos14", {"streams": streams} if streams else {})
    assert splits_streams(config) is splits
    for modalities in (RGB, (("rgb", 768), ("flow", 256)), (("flow", 512), ("rgb", 512)), (*BOTH, ("audio", 1))):
        dim = sum(width for _, width in modalities)
        refusal = refused_streams(config, Provenance("x", modalities), dim)
        assert (refusal is not None) is splits
        if refusal is not None:
            assert modalities[0][0] in refusal.got
            assert refusal.remedy == ({} if method in ("acn", "co2net", "delu") else {"streams": "both"})
    assert refused_streams(config, Provenance("x", BOTH), 1024) is None
    named = Provenance("x", (("appearance", 512), ("motion", 512)))
    assert refused_streams(config, named, 1024) is None
    assert refused_streams(config, Provenance("x"), 1024) is None  # they say nothing
