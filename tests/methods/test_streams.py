"""Features whose streams a method cannot take apart are refused; those that say nothing are not."""

from __future__ import annotations

import pytest

from wtal_core.errors import UsageError
from wtal_core.methods.form import config_of
from wtal_core.methods.streams import check_streams, splits_streams
from wtal_core.records import Provenance

RGB = (("rgb", 1024),)
BOTH = (("rgb", 512), ("flow", 512))


@pytest.mark.parametrize(
    ("method", "streams", "splits"),
    [("acn", "both", True), ("acn", "rgb", True), ("cmcs", "both", False), ("cmcs", "late", True),
     ("cmcs", "flow", True), ("hamnet", None, False), ("acmnet", None, False), ("deep_metric", None, False)],
)  # fmt: skip
def test_rgb_alone_has_no_halves(method: str, streams: str | None, splits: bool) -> None:
    config = config_of(method, "thumos14", {"streams": streams} if streams else {})
    assert splits_streams(config) is splits
    for modalities in (RGB, (("rgb", 768), ("flow", 256)), (("flow", 512), ("rgb", 512)), (*BOTH, ("audio", 1))):
        dim = sum(width for _, width in modalities)
        if splits:
            with pytest.raises(UsageError, match=r"f\.h5: the features are not RGB and flow .* got .*\(\d+\)"):
                check_streams(config, Provenance("x", modalities), dim, where="f.h5")
        else:
            check_streams(config, Provenance("x", modalities), dim, where="f.h5")
    check_streams(config, Provenance("x", BOTH), 1024, where="f.h5")
    check_streams(config, Provenance("x", (("appearance", 512), ("motion", 512))), 1024, where="f.h5")
    check_streams(config, Provenance("x"), 1024, where="f.h5")  # they say nothing
