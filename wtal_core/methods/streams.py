"""RGB and optical flow in the channels of snippet features: first and second half, where a method splits them."""

from __future__ import annotations

from typing import Any

from wtal_core.errors import UsageError
from wtal_core.records import Provenance

__all__ = ["check_streams", "may_be_rgb_and_flow", "splits_streams"]


def splits_streams(config: Any) -> bool:
    """Return whether a method of this config takes halves of the channels for RGB and flow."""
    return bool(getattr(config, "splits_streams", False))


def may_be_rgb_and_flow(provenance: Provenance, dim: int) -> bool:
    """Return whether the halves of `dim` channels can be RGB and flow; features that name no streams are believed."""
    names, widths = [name for name, _ in provenance.modalities], [width for _, width in provenance.modalities]
    return dim % 2 == 0 and (not names or (widths == [dim // 2] * 2 and names != ["flow", "rgb"]))


def check_streams(config: Any, provenance: Provenance, dim: int, *, where: object) -> None:
    """Refuse features that are known not to be RGB and flow of the same width, where the config splits them.

    Args:
        config: of a method.
        provenance: what made the features; where it names no streams, they are taken as they are.
        dim: channels of the features.
        where: names the features in the message.

    Raises:
        UsageError: they are something else.
    """
    streams = provenance.modalities
    if not splits_streams(config) or not streams or may_be_rgb_and_flow(provenance, dim):
        return
    raise UsageError(
        "the features are not RGB and flow of the same width, which this setting of the method takes apart",
        expected=f"RGB in the first half of {dim} channels, flow in the second",
        got=" + ".join(f"{name} ({width})" for name, width in streams),
        where=where,
        next_step="Extract both (wtal extract --backbone i3d), or choose what takes channels as they come, e.g. hamnet",
    )
